//! Services that are played, and a browser that asks the pages beside them.

pub(crate) mod edits;
pub(crate) mod money;

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::SystemTime,
};

use axum::{Router, body::Body, extract::ConnectInfo};
use contracts::{
    Money,
    delivery::v1::{
        ListDeliveriesRequest, ListDeliveriesResponse,
        delivery_service_server::{DeliveryService, DeliveryServiceServer},
    },
    member::v1::{
        CreateSessionRequest, ListMembersRequest, ListMembersResponse, Member, Session,
        member_service_server::{MemberService, MemberServiceServer},
    },
    mypage::v1::{
        GetMyOrderRequest, GetMyPageRequest, ListMyOrdersRequest, ListMyOrdersResponse, MyPage,
        OrderView,
        my_page_service_server::{MyPageService, MyPageServiceServer},
        order_view::Action,
    },
    notification::v1::notification_service_server::NotificationServiceServer,
    order::v1::{
        CancelOrderRequest, ListOrdersRequest, ListOrdersResponse, Order, OrderLine, order,
        order_service_server::{OrderService, OrderServiceServer},
    },
    payment::v1::{
        GetWalletRequest, ListPaymentsRequest, ListPaymentsResponse, ListPayoutsRequest,
        ListPayoutsResponse, Payment, Wallet,
        deposit_service_server::DepositServiceServer,
        payment_service_server::{PaymentService, PaymentServiceServer},
        refund_service_server::RefundServiceServer,
    },
    product::v1::{Product, product, product_service_server::ProductServiceServer},
};
use http::{HeaderMap, Request, header};
use http_body_util::BodyExt as _;
use identity::auth::{Issuer, Role};
use settings::Settings;
use testkit::stage;
use tonic::{Response, Status, service::Routes};
use tower::ServiceExt as _;
use uuid::Uuid;
use web::{Api, Web};

/// What every browser here has: its forms are signed with it.
const VISITOR: &str = "AAAAAAAAAAAAAAAAAAAAAA";

/// A shop, and what is to be seen in it.
#[derive(Clone)]
pub(crate) struct Shop {
    /// What all products are called.
    pub(crate) name: String,
    /// What may be done with every order.
    pub(crate) actions: Vec<Action>,
    /// All services but My Page are.
    pub(crate) away: bool,
    /// The gateway turns every call away: too many.
    pub(crate) too_much: bool,
    /// In front of it.
    pub(crate) proxies: usize,
    /// Where pictures are kept; nowhere when it is empty.
    pub(crate) pictures: String,
    /// What a product's picture was changed to last.
    pub(crate) picture: Arc<Mutex<String>>,
    /// What the others have.
    pub(crate) other_picture: String,
    /// What was edited.
    pub(crate) edits: Arc<Mutex<edits::Edits>>,
    /// Commands, and the keys that they came under.
    pub(crate) calls: Arc<Mutex<Vec<(&'static str, String)>>>,
}

/// What was answered.
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) page: String,
    /// It is for the gateway to answer, with a problem.
    pub(crate) problem: bool,
}

/// A form of a visitor's, as it is sent.
pub(crate) fn form(signature: &str, fields: &[(&str, &str)]) -> String {
    let mut form = form_urlencoded::Serializer::new(String::new());
    form.append_pair("csrf", signature).extend_pairs(fields).finish()
}

impl Shop {
    pub(crate) fn open() -> Self {
        let (name, actions) = ("콩나물국밥".to_owned(), Vec::new());
        let (pictures, picture, other_picture) = (String::new(), Arc::default(), String::new());
        Self {
            name,
            actions,
            away: false,
            too_much: false,
            proxies: 0,
            pictures,
            picture,
            other_picture,
            edits: Arc::default(),
            calls: Arc::default(),
        }
    }

    pub(crate) fn behind_a_proxy() -> Self {
        Self { proxies: 1, ..Self::open() }
    }

    /// The cookies of somebody who is signed in.
    pub(crate) fn member(roles: &[Role]) -> String {
        format!("hansang_session={}", token(roles))
    }

    /// The keys of all calls of a command.
    pub(crate) fn calls(&self, command: &str) -> Vec<String> {
        let calls = self.calls.lock().expect("no panic");
        calls.iter().filter(|(name, _)| *name == command).map(|(_, key)| key.clone()).collect()
    }

    fn called(&self, command: &'static str, metadata: &tonic::metadata::MetadataMap) {
        let key = metadata.get("idempotency-key").and_then(|key| key.to_str().ok());
        self.calls.lock().expect("no panic").push((command, key.unwrap_or_default().to_owned()));
    }

    fn there(&self) -> Result<(), Status> {
        self.admits()?;
        if self.away { Err(base::Error::unavailable("PEER_LOST", "away").into()) } else { Ok(()) }
    }

    fn admits(&self) -> Result<(), Status> {
        if self.too_much {
            let often = base::Error::new(base::error::Kind::Exhausted, "RATE_LIMITED", "too many");
            return Err(often.retry_after(std::time::Duration::from_millis(2_500)).into());
        }
        Ok(())
    }

    fn pages(&self) -> Router {
        let mut settings = Settings { auth: stage::auth(), ..Settings::default() };
        settings.http.proxies = self.proxies;
        settings.own_text_or("web", "pictures", self.pictures.clone());
        let routes = Routes::new(ProductServiceServer::new(self.clone()))
            .add_service(MemberServiceServer::new(self.clone()))
            .add_service(MyPageServiceServer::new(self.clone()))
            .add_service(OrderServiceServer::new(self.clone()))
            .add_service(PaymentServiceServer::new(self.clone()))
            .add_service(DepositServiceServer::new(self.clone()))
            .add_service(RefundServiceServer::new(self.clone()))
            .add_service(DeliveryServiceServer::new(self.clone()))
            .add_service(NotificationServiceServer::new(self.clone()))
            .prepare();
        Web::new(&settings, ["order"]).expect("settings").pages(Api::new(routes))
    }

    pub(crate) async fn get(&self, path: &str, headers: &[(&str, &str)]) -> Answer {
        self.send("GET", path, headers, "").await
    }

    /// Sends a form that a page of ours has made.
    pub(crate) async fn post(
        &self,
        path: &str,
        headers: &[(&str, &str)],
        fields: &[(&str, &str)],
    ) -> Answer {
        let signature = self.get("/sign-in", &[]).await.field("csrf");
        self.send("POST", path, headers, &form(&signature, fields)).await
    }

    pub(crate) async fn send(
        &self,
        verb: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &str,
    ) -> Answer {
        let mut request = Request::builder().method(verb).uri(path).header("host", "shop.example");
        request = request.header("cookie", format!("hansang_visitor={VISITOR}"));
        if !headers.iter().any(|(name, _)| *name == "accept") {
            request = request.header("accept", "text/html");
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let from = ConnectInfo(SocketAddr::from(([127, 0, 0, 1], 40_000)));
        let request = request.extension(from).body(Body::from(body.to_owned())).expect("a request");
        let response = self.pages().oneshot(request).await.expect("answers");
        let (parts, body) = response.into_parts();
        let body = body.collect().await.expect("a body").to_bytes();
        Answer {
            status: parts.status.as_u16(),
            problem: parts.extensions.get::<Status>().is_some(),
            headers: parts.headers,
            page: String::from_utf8_lossy(&body).into_owned(),
        }
    }

    fn order(&self) -> OrderView {
        OrderView {
            order_id: "1".to_owned(),
            state: order::State::Placed.into(),
            lines: vec![OrderLine {
                product_id: "1".to_owned(),
                display_name: self.name.clone(),
                quantity: 2,
                ..OrderLine::default()
            }],
            allowed_actions: self.actions.iter().map(|action| (*action).into()).collect(),
            ..OrderView::default()
        }
    }

    fn product(&self, id: &str) -> Product {
        Product {
            id: id.to_owned(),
            display_name: self.name.clone(),
            description: self.name.clone(),
            price: Some(Money::from(("KRW", 8_900))),
            stock: 10,
            state: product::State::OnSale.into(),
            picture: if id == "1" {
                self.picture.lock().expect("no panic").clone()
            } else {
                self.other_picture.clone()
            },
            ..Product::default()
        }
    }
}

impl Answer {
    /// A header; empty when there is none.
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }

    /// A cookie that is set.
    pub(crate) fn cookie(&self, name: &str) -> Option<String> {
        let set = self.headers.get_all(header::SET_COOKIE).iter();
        let mut set = set.filter_map(|cookie| cookie.to_str().ok());
        set.rfind(|cookie| cookie.starts_with(&format!("{name}="))).map(str::to_owned)
    }

    /// What a hidden field has, of the first form that has one.
    pub(crate) fn field(&self, name: &str) -> String {
        let start = format!("name=\"{name}\" value=\"");
        let value = self.page.split(&start).nth(1).and_then(|rest| rest.split('"').next());
        value.expect("a field").to_owned()
    }
}

/// What is no id is refused, as the services do. Here numbers are ids, too.
fn known(field: &str, id: &str) -> Result<(), Status> {
    let is_id = id.parse::<u64>().is_ok() || Uuid::try_parse(id).is_ok();
    is_id.then_some(()).ok_or_else(|| base::Error::violation(field, "must be a UUID").into())
}

fn token(roles: &[Role]) -> String {
    let issuer = Issuer::new(&stage::auth()).expect("the key is one");
    issuer.issue(Uuid::now_v7(), roles.to_vec(), SystemTime::now()).expect("a token").0
}

#[tonic::async_trait]
impl MemberService for Shop {
    async fn list_members(
        &self,
        _: tonic::Request<ListMembersRequest>,
    ) -> Result<Response<ListMembersResponse>, Status> {
        let display_name = self.name.clone();
        let members = vec![Member { id: "1".to_owned(), display_name, ..Member::default() }];
        Ok(Response::new(ListMembersResponse { members, ..Default::default() }))
    }

    async fn create_session(
        &self,
        request: tonic::Request<CreateSessionRequest>,
    ) -> Result<Response<Session>, Status> {
        self.admits()?;
        if request.get_ref().password != "correct horse" {
            let kind = base::error::Kind::Unauthenticated;
            return Err(base::Error::new(kind, "WRONG_CREDENTIALS", "wrong").into());
        }
        let later = SystemTime::now() + std::time::Duration::from_mins(10);
        Ok(Response::new(Session {
            access_token: token(&[Role::Member]),
            expire_time: Some(later.into()),
            ..Session::default()
        }))
    }
}

#[tonic::async_trait]
impl MyPageService for Shop {
    async fn get_my_page(
        &self,
        _: tonic::Request<GetMyPageRequest>,
    ) -> Result<Response<MyPage>, Status> {
        self.admits()?;
        self.calls.lock().expect("no panic").push(("GetMyPage", String::new()));
        let away: &[&str] = if self.away { &["delivery", "order", "payment"] } else { &[] };
        let unavailable = away.iter().map(|service| (*service).to_owned()).collect();
        Ok(Response::new(MyPage { order_count: 1, unavailable, ..MyPage::default() }))
    }

    async fn list_my_orders(
        &self,
        _: tonic::Request<ListMyOrdersRequest>,
    ) -> Result<Response<ListMyOrdersResponse>, Status> {
        self.admits()?;
        let orders = vec![self.order()];
        Ok(Response::new(ListMyOrdersResponse { orders, ..Default::default() }))
    }

    async fn get_my_order(
        &self,
        request: tonic::Request<GetMyOrderRequest>,
    ) -> Result<Response<OrderView>, Status> {
        self.admits()?;
        known("orderId", &request.get_ref().order_id)?;
        Ok(Response::new(self.order()))
    }
}

#[tonic::async_trait]
impl OrderService for Shop {
    async fn cancel_order(
        &self,
        request: tonic::Request<CancelOrderRequest>,
    ) -> Result<Response<Order>, Status> {
        self.admits()?;
        self.called("CancelOrder", request.metadata());
        Ok(Response::new(Order::default()))
    }

    async fn list_orders(
        &self,
        _: tonic::Request<ListOrdersRequest>,
    ) -> Result<Response<ListOrdersResponse>, Status> {
        self.there()?;
        Ok(Response::new(ListOrdersResponse::default()))
    }
}

#[tonic::async_trait]
impl PaymentService for Shop {
    async fn get_wallet(
        &self,
        _: tonic::Request<GetWalletRequest>,
    ) -> Result<Response<Wallet>, Status> {
        self.calls.lock().expect("no panic").push(("GetWallet", String::new()));
        self.there()?;
        Ok(Response::new(Wallet::default()))
    }

    async fn list_payouts(
        &self,
        _: tonic::Request<ListPayoutsRequest>,
    ) -> Result<Response<ListPayoutsResponse>, Status> {
        self.there()?;
        Ok(Response::new(ListPayoutsResponse::default()))
    }

    async fn list_payments(
        &self,
        _: tonic::Request<ListPaymentsRequest>,
    ) -> Result<Response<ListPaymentsResponse>, Status> {
        self.there()?;
        let payment = Payment { deposit_reference: "HS-1234".to_owned(), ..Payment::default() };
        Ok(Response::new(ListPaymentsResponse { payments: vec![payment], ..Default::default() }))
    }
}

#[tonic::async_trait]
impl DeliveryService for Shop {
    async fn list_deliveries(
        &self,
        _: tonic::Request<ListDeliveriesRequest>,
    ) -> Result<Response<ListDeliveriesResponse>, Status> {
        self.there()?;
        Ok(Response::new(ListDeliveriesResponse::default()))
    }
}
