//! Order through gRPC on real Postgres; the test plays product, payment and
//! delivery: it publishes their events, and answers as payment would.

mod card;
mod checkout;
mod deliveries;
mod parts;
mod races;

use std::{
    collections::HashMap,
    sync::{LazyLock, Mutex},
};

use base::{Error, error::Kind, id::Uuid};
use contracts::{
    Money,
    delivery::v1::{
        DeliveryEvent, DeliveryStarted, delivery_event,
        delivery_service_server::DeliveryServiceServer,
    },
    member::v1::{
        MemberEvent, MemberWithdrawn, address_service_server::AddressServiceServer, member_event,
    },
    mypage::v1::my_page_service_server::MyPageServiceServer,
    order::v1::{
        CancelOrderRequest, ConfirmReceiptRequest, GetOrderRequest, ListOrdersRequest, Order,
        PaymentMethod, PlaceOrderRequest, order::State, order_service_client::OrderServiceClient,
        place_order_request::Line,
    },
    payment::v1::{
        self as payment, PaymentApproved, PaymentEvent, payment_event,
        payment_service_server::{PaymentService, PaymentServiceServer},
    },
    product::v1::{ProductEvent, ProductRegistered, StockDecreased, product_event},
};
use eventlog::Draft;
use prost::Message as _;
use server::{Service, ServiceBuilder};
use testkit::{
    eventually,
    stage::{As, Stage},
};
use tokio::sync::Notify;

use self::checkout::{COUPON, MILEAGE};
use tonic::{Code, Request, Response, Status, transport::Channel};

/// What payment answers to a cancellation.
#[derive(Clone, Copy, Debug)]
enum Answer {
    Cancelled,
    /// A definite no.
    Refused,
    /// Nothing, for longer than anyone waits.
    Silence,
    /// It did not run.
    Away,
    /// As [`Cancelled`](Self::Cancelled), once [`HELD`] is notified.
    Held,
}

/// What payment will answer about each order, the last for ever.
static ANSWERS: LazyLock<Mutex<HashMap<String, Vec<Answer>>>> = LazyLock::new(Mutex::default);

/// Orders that payment was asked to cancel.
static CANCELLED: LazyLock<Mutex<Vec<String>>> = LazyLock::new(Mutex::default);
/// Lets a charge of `tok_held`, or a cancellation, be answered.
static HELD: Notify = Notify::const_new();

/// What payment answers now.
fn answer(order: &str) -> Answer {
    let mut answers = ANSWERS.lock().expect("no panic");
    match answers.get_mut(order) {
        Some(script) if script.len() > 1 => script.remove(0),
        Some(script) => script[0],
        None => Answer::Cancelled,
    }
}

struct Payments;

#[tonic::async_trait]
impl PaymentService for Payments {
    async fn cancel_payment(
        &self,
        request: Request<payment::CancelPaymentRequest>,
    ) -> Result<Response<payment::CancelPaymentResponse>, Status> {
        CANCELLED.lock().expect("no panic").push(request.get_ref().order_id.clone());
        let answer = answer(&request.get_ref().order_id);
        if matches!(answer, Answer::Held) {
            HELD.notified().await;
        }
        match answer {
            Answer::Cancelled | Answer::Held => {
                Ok(Response::new(payment::CancelPaymentResponse::default()))
            }
            Answer::Refused => {
                Err(Error::new(Kind::Conflict, "DEPOSIT_CONFIRMED", "too late").into())
            }
            Answer::Silence => std::future::pending().await,
            Answer::Away => Err(Status::unimplemented("turned away")),
        }
    }

    async fn refund_part(
        &self,
        request: Request<payment::RefundPartRequest>,
    ) -> Result<Response<payment::RefundPartResponse>, Status> {
        parts::refund(answer(&request.get_ref().order_id), request.into_inner()).await
    }

    /// The card's token says what payment does.
    async fn authorize(
        &self,
        request: Request<payment::AuthorizeRequest>,
    ) -> Result<Response<payment::Payment>, Status> {
        if request.get_ref().card_token == "tok_held" {
            HELD.notified().await;
        }
        match request.get_ref().card_token.as_str() {
            "tok_declined" => Err(Error::new(Kind::Conflict, "CARD_DECLINED", "declined").into()),
            "tok_away" => Err(Status::unimplemented("turned away")),
            "tok_silence" => std::future::pending().await,
            _ => Ok(Response::new(payment::Payment {
                id: base::id::new().to_string(),
                ..payment::Payment::default()
            })),
        }
    }
}

static PRODUCT: Service = Service {
    name: "product",
    migrations: pg::migrations![],
    build: |builder: &mut ServiceBuilder<'_>| {
        builder.publish::<ProductEvent>();
        Ok(())
    },
};

static PAYMENT: Service = Service {
    name: "payment",
    migrations: pg::migrations![],
    build: |builder: &mut ServiceBuilder<'_>| {
        builder.serve(PaymentServiceServer::new(Payments)).publish::<PaymentEvent>();
        Ok(())
    },
};

static MEMBER: Service = Service {
    name: "member",
    migrations: pg::migrations![],
    build: |builder: &mut ServiceBuilder<'_>| {
        builder.serve(AddressServiceServer::new(deliveries::Addresses)).publish::<MemberEvent>();
        Ok(())
    },
};

static MYPAGE: Service = Service {
    name: "mypage",
    migrations: pg::migrations![],
    build: |builder: &mut ServiceBuilder<'_>| {
        builder.serve(MyPageServiceServer::new(deliveries::Pages));
        Ok(())
    },
};

static DELIVERY: Service = Service {
    name: "delivery",
    migrations: pg::migrations![],
    build: |builder: &mut ServiceBuilder<'_>| {
        builder
            .serve(DeliveryServiceServer::new(deliveries::Deliveries))
            .publish::<DeliveryEvent>();
        Ok(())
    },
};

struct Shop {
    stage: Stage,
    orders: OrderServiceClient<Channel>,
    member: Uuid,
    product: Uuid,
}

impl Shop {
    /// A shop whose catalogue's copy has one product at 1000.
    async fn open() -> Self {
        Self::open_with(|_| {}).await
    }

    async fn open_with(change: impl FnOnce(&mut settings::Settings)) -> Self {
        let services =
            [&order::SERVICE, &PRODUCT, &PAYMENT, &DELIVERY, &MEMBER, &MYPAGE, &COUPON, &MILEAGE];
        let stage = Stage::open_with(&services, &contracts::API, change).await;
        let stage = stage.expect("the services start");
        let orders = OrderServiceClient::new(stage.channel());
        let shop = Self { stage, orders, member: base::id::new(), product: base::id::new() };
        let registered = product_event::Event::ProductRegistered(ProductRegistered {
            product_id: shop.product.to_string(),
            display_name: "bibimbap".into(),
            price: Some(Money::from(("KRW", 1_000))),
            stock: 1_000,
        });
        let payload = ProductEvent { frame: None, event: Some(registered) }.encode_to_vec();
        shop.publish("product", "ProductRegistered", shop.product, payload).await;
        let database = shop.stage.database("order");
        eventually("the product in the catalogue's copy", || async {
            let mut reader = database.read().await.ok()?;
            reader.query_opt("select from catalogue", &[]).await.ok()?
        })
        .await;
        shop
    }

    async fn publish(&self, service: &str, kind: &'static str, about: Uuid, payload: Vec<u8>) {
        let mut tx = self.stage.database(service).begin().await.expect("begins");
        // An aggregate of its own each time: its version does not matter here.
        let draft = Draft::new(kind, base::id::new(), 1, about, payload);
        eventlog::append(&mut tx, &[draft]).await.expect("appends");
        tx.commit().await.expect("commits");
    }

    /// Has payment, product and delivery do their parts.
    async fn deliver(&self, order: &Order) {
        let id = base::id::parse("id", &order.id).expect("an id");
        let (order_id, member_id) = (order.id.clone(), order.member_id.clone());
        let started = delivery_event::Event::DeliveryStarted(DeliveryStarted {
            delivery_id: base::id::new().to_string(),
            order_id: order_id.clone(),
            member_id: member_id.clone(),
        });
        let payload = DeliveryEvent { frame: None, event: Some(started) }.encode_to_vec();
        self.publish("delivery", "DeliveryStarted", id, payload).await;
        let decreased = product_event::Event::StockDecreased(StockDecreased {
            order_id: order_id.clone(),
            member_id: member_id.clone(),
            lines: Vec::new(),
        });
        let payload = ProductEvent { frame: None, event: Some(decreased) }.encode_to_vec();
        self.publish("product", "StockDecreased", id, payload).await;
        self.pay(order).await;
    }

    /// Has payment do its part.
    async fn pay(&self, order: &Order) {
        let id = base::id::parse("id", &order.id).expect("an id");
        let (order_id, member_id) = (order.id.clone(), order.member_id.clone());
        let approved = payment_event::Event::PaymentApproved(PaymentApproved {
            payment_id: base::id::new().to_string(),
            order_id,
            member_id,
            amount: order.total.clone(),
            method: PaymentMethod::Wallet.into(),
        });
        let payload = PaymentEvent { frame: None, event: Some(approved) }.encode_to_vec();
        self.publish("payment", "PaymentApproved", id, payload).await;
    }

    async fn try_place(&self, message: PlaceOrderRequest) -> Result<Order, Status> {
        let request = self.stage.call(As::Member(self.member), message);
        self.orders.clone().place_order(request).await.map(Response::into_inner)
    }

    /// Places an order, and scripts payment.
    async fn place(&self, script: &[Answer]) -> Order {
        let line = Line { product_id: self.product.to_string(), quantity: 2 };
        let message = PlaceOrderRequest {
            payment_method: PaymentMethod::Wallet.into(),
            lines: vec![line.clone(), line],
            ..PlaceOrderRequest::default()
        };
        let order = self.try_place(message).await.expect("placed");
        ANSWERS.lock().expect("no panic").insert(order.id.clone(), script.to_vec());
        order
    }

    async fn state(&self, order: &Order) -> State {
        let request = GetOrderRequest { order_id: order.id.clone() };
        let request = self.stage.call(As::Member(self.member), request);
        self.orders.clone().get_order(request).await.expect("is there").into_inner().state()
    }

    async fn eventually(&self, order: &Order, state: State) {
        let ask = || async { (self.state(order).await == state).then_some(()) };
        eventually(&format!("{state:?}"), ask).await;
    }

    async fn cancel(&self, order: &Order) -> Result<State, Error> {
        let request =
            CancelOrderRequest { order_id: order.id.clone(), ..CancelOrderRequest::default() };
        let request = self.stage.command(As::Member(self.member), request);
        let cancelled = self.orders.clone().cancel_order(request).await.map_err(Error::from)?;
        Ok(cancelled.into_inner().state())
    }
}

#[tokio::test]
async fn facts_that_come_in_the_wrong_order_still_deliver_the_order() {
    let shop = Shop::open().await;
    let order = shop.place(&[Answer::Cancelled]).await;
    assert_eq!(order.lines.len(), 1, "lines of one product are merged");
    assert_eq!(order.total, Some(Money::from(("KRW", 4_000))));
    shop.deliver(&order).await;
    shop.eventually(&order, State::Delivering).await;

    let request = ConfirmReceiptRequest { order_id: order.id.clone() };
    let request = shop.stage.call(As::Member(shop.member), request);
    let closed = shop.orders.clone().confirm_receipt(request).await.expect("closes");
    assert_eq!(closed.into_inner().state(), State::Closed);
    assert_eq!(shop.cancel(&order).await.expect_err("too late").reason(), "ORDER_CLOSED");
    shop.stage.close().await;
}

#[tokio::test]
async fn a_cancellation_that_payment_refuses_leaves_the_order_going_on() {
    let shop = Shop::open().await;
    let order = shop.place(&[Answer::Refused]).await;
    let refused = shop.cancel(&order).await.expect_err("refused");
    assert_eq!((refused.kind(), refused.reason()), (Kind::Conflict, "DEPOSIT_CONFIRMED"));
    assert_eq!(shop.state(&order).await, State::Placed);
    assert_eq!(shop.stage.unanswered_keys("order").await, 0);
    shop.deliver(&order).await;
    shop.eventually(&order, State::Delivering).await;
    shop.stage.close().await;
}

#[tokio::test]
async fn a_cancellation_whose_end_an_event_tells_leaves_no_key_without_an_answer() {
    let shop = Shop::open().await;
    let order = shop.place(&[Answer::Silence]).await;
    let unknown = shop.cancel(&order).await.expect_err("nobody knows");
    assert_eq!((unknown.kind(), unknown.reason()), (Kind::Unavailable, "OUTCOME_PENDING"));
    assert_eq!(shop.stage.unanswered_keys("order").await, 1);
    // Payment has cancelled it, and says so before the task asks.
    let id = base::id::parse("id", &order.id).expect("an id");
    let cancelled = payment_event::Event::PaymentCancelled(payment::PaymentCancelled {
        payment_id: base::id::new().to_string(),
        order_id: order.id.clone(),
        member_id: order.member_id.clone(),
        refunded: order.total.clone(),
        reason: "MEMBER_REQUEST".into(),
        refund: None,
    });
    let payload = PaymentEvent { frame: None, event: Some(cancelled) }.encode_to_vec();
    shop.publish("payment", "PaymentCancelled", id, payload).await;
    shop.eventually(&order, State::Cancelled).await;
    let given_back = || async { (shop.stage.unanswered_keys("order").await == 0).then_some(()) };
    eventually("the key given back", given_back).await;
    shop.stage.close().await;
}

#[tokio::test]
async fn a_cancellation_that_never_reached_payment_leaves_the_order_as_it_was() {
    let shop = Shop::open().await;
    let order = shop.place(&[Answer::Away, Answer::Cancelled]).await;
    let away = shop.cancel(&order).await.expect_err("away");
    assert_eq!((away.kind(), away.reason()), (Kind::Unavailable, "PAYMENT_UNAVAILABLE"));
    assert_eq!(shop.state(&order).await, State::Placed);
    assert_eq!(shop.stage.unanswered_keys("order").await, 0);
    assert_eq!(shop.cancel(&order).await.expect("cancels"), State::Cancelled);
    assert_eq!(shop.cancel(&order).await.expect("again"), State::Cancelled);
    shop.stage.close().await;
}

#[tokio::test]
async fn a_cancellation_in_doubt_goes_on_by_itself() {
    let shop = Shop::open().await;
    // Longer than one call with its retries waits.
    let mut script = vec![Answer::Silence; 2];
    script.push(Answer::Cancelled);
    let order = shop.place(&script).await;
    let pending = shop.cancel(&order).await.expect_err("in doubt");
    assert_eq!((pending.kind(), pending.reason()), (Kind::Unavailable, "OUTCOME_PENDING"));
    assert_eq!(shop.state(&order).await, State::Cancelling);
    // What is learned meanwhile is kept, and shows nothing.
    shop.deliver(&order).await;
    shop.eventually(&order, State::Cancelled).await;
    assert_eq!(shop.stage.unanswered_keys("order").await, 0);
    shop.stage.close().await;
}

impl Shop {
    fn by_card(&self, token: &str) -> PlaceOrderRequest {
        PlaceOrderRequest {
            payment_method: PaymentMethod::Card.into(),
            lines: vec![Line { product_id: self.product.to_string(), quantity: 1 }],
            card_token: token.into(),
            ..PlaceOrderRequest::default()
        }
    }

    async fn listed(&self) -> Vec<Order> {
        let request = self.stage.call(As::Member(self.member), ListOrdersRequest::default());
        self.orders.clone().list_orders(request).await.expect("lists").into_inner().orders
    }

    /// Rows of orders, seen or not, and of tasks.
    async fn rows(&self) -> (i64, i64) {
        let mut reader = self.stage.database("order").read().await.expect("reads");
        let row = reader
            .query_one("select (select count(*) from orders), (select count(*) from task)", &[])
            .await
            .expect("counts");
        (row.get(0), row.get(1))
    }
}

#[tokio::test]
async fn a_member_who_withdrew_places_no_orders() {
    let shop = Shop::open().await;
    shop.place(&[Answer::Cancelled]).await;
    let withdrawn = member_event::Event::MemberWithdrawn(MemberWithdrawn {
        member_id: shop.member.to_string(),
    });
    let payload = MemberEvent { frame: None, event: Some(withdrawn) }.encode_to_vec();
    shop.publish("member", "MemberWithdrawn", shop.member, payload).await;
    let refused =
        eventually("a refusal", || async { shop.try_place(shop.by_card("tok_1")).await.err() })
            .await;
    assert_eq!(refused.code(), Code::Unauthenticated);
    shop.stage.close().await;
}

#[tokio::test]
async fn a_bad_order_is_refused_with_the_field_at_fault() {
    let shop = Shop::open().await;
    let good = PlaceOrderRequest {
        payment_method: PaymentMethod::Wallet.into(),
        lines: vec![Line { product_id: shop.product.to_string(), quantity: 1 }],
        ..PlaceOrderRequest::default()
    };
    let with_line = |product_id: String, quantity| PlaceOrderRequest {
        lines: vec![Line { product_id, quantity }],
        ..good.clone()
    };
    let bad = [
        (PlaceOrderRequest { lines: Vec::new(), ..good.clone() }, "lines"),
        (with_line(shop.product.to_string(), 0), "lines[0].quantity"),
        (with_line("x".into(), 1), "lines[0].productId"),
        (PlaceOrderRequest { payment_method: 0, ..good.clone() }, "paymentMethod"),
    ];
    for (message, field) in bad {
        let refused = shop.try_place(message).await.expect_err(field);
        assert_eq!(refused.code(), Code::InvalidArgument, "{field}");
        assert!(refused.message().starts_with(field), "{} for {field}", refused.message());
    }
    shop.stage.close().await;
}
