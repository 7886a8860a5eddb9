//! Delivery through gRPC on real Postgres; the test plays order and member: it publishes their events,
//! and answers as order would.

mod carriers;

use std::{
    collections::HashMap,
    sync::{LazyLock, Mutex},
};

use base::{Error, error::Kind, id::Uuid};
use contracts::{
    delivery::v1::{
        DeclareAddressRequest, Delivery, DispatchDeliveryRequest, GetDeliveryRequest,
        ListDeliveriesRequest, MarkDeliveredRequest, delivery::State,
        delivery_service_client::DeliveryServiceClient,
    },
    member::v1::{Address, MemberErased, MemberEvent, member_event},
    order::v1::{
        OrderCancelled, OrderClosed, OrderEvent, OrderPrepared, RecordDispatchRequest,
        RecordDispatchResponse, order_event,
        order_service_server::{OrderService, OrderServiceServer},
    },
};
use eventlog::Draft;
use prost::Message as _;
use server::{Service, ServiceBuilder};
use testkit::{
    eventually,
    stage::{As, Stage},
};
use tonic::{Request, Response, Status, transport::Channel};

/// What order answers to a dispatch.
#[derive(Clone, Copy, Debug)]
enum Answer {
    Agreed,
    /// A definite no.
    Refused,
    /// Nothing, for longer than anyone waits.
    Silence,
    /// It did not run.
    Away,
}

/// What order will answer about each order, the last for ever.
static ANSWERS: LazyLock<Mutex<HashMap<String, Vec<Answer>>>> = LazyLock::new(Mutex::default);

struct Orders;

#[tonic::async_trait]
impl OrderService for Orders {
    async fn record_dispatch(
        &self,
        request: Request<RecordDispatchRequest>,
    ) -> Result<Response<RecordDispatchResponse>, Status> {
        let answer = {
            let mut answers = ANSWERS.lock().expect("no panic");
            match answers.get_mut(&request.get_ref().order_id) {
                Some(script) if script.len() > 1 => script.remove(0),
                Some(script) => script[0],
                None => Answer::Agreed,
            }
        };
        match answer {
            Answer::Agreed => Ok(Response::new(RecordDispatchResponse {})),
            Answer::Refused => {
                Err(Error::new(Kind::Conflict, "ORDER_CANCELLING", "too late").into())
            }
            Answer::Silence => std::future::pending().await,
            Answer::Away => Err(Status::unimplemented("turned away")),
        }
    }
}

static ORDER: Service = Service {
    name: "order",
    migrations: pg::migrations![],
    build: |builder: &mut ServiceBuilder<'_>| {
        builder.serve(OrderServiceServer::new(Orders)).publish::<OrderEvent>();
        Ok(())
    },
};

static MEMBER: Service = Service {
    name: "member",
    migrations: pg::migrations![],
    build: |builder: &mut ServiceBuilder<'_>| {
        builder.publish::<MemberEvent>();
        Ok(())
    },
};

struct Shop {
    stage: Stage,
    deliveries: DeliveryServiceClient<Channel>,
    member: Uuid,
    seller: As,
}

impl Shop {
    async fn open() -> Self {
        let services = [&delivery::SERVICE, &ORDER, &MEMBER];
        let stage = Stage::open_with(&services, &contracts::API, |settings| {
            let section =
                serde_json::json!({ "carriers": { "cj": { "secret": carriers::SECRET } } });
            let section = serde_json::from_value(section).expect("a section");
            settings.service.insert("delivery".into(), section);
        });
        let stage = stage.await.expect("the services start");
        let deliveries = DeliveryServiceClient::new(stage.channel());
        let (member, seller) = (base::id::new(), As::Seller(base::id::new()));
        Self { stage, deliveries, member, seller }
    }

    async fn publish(&self, service: &str, kind: &'static str, about: Uuid, payload: Vec<u8>) {
        let mut tx = self.stage.database(service).begin().await.expect("begins");
        // An aggregate of its own each time: its version does not matter here.
        let draft = Draft::new(kind, base::id::new(), 1, about, payload);
        eventlog::append(&mut tx, &[draft]).await.expect("appends");
        tx.commit().await.expect("commits");
    }

    async fn says(&self, order: Uuid, kind: &'static str) {
        use order_event::Event;
        let (order_id, member_id) = (order.to_string(), self.member.to_string());
        let event = match kind {
            "OrderPrepared" => {
                Event::OrderPrepared(OrderPrepared { order_id, member_id, lines: Vec::new() })
            }
            "OrderClosed" => {
                Event::OrderClosed(OrderClosed { order_id, member_id, ..Default::default() })
            }
            _ => {
                Event::OrderCancelled(OrderCancelled { order_id, member_id, ..Default::default() })
            }
        };
        let payload = OrderEvent { frame: None, event: Some(event) }.encode_to_vec();
        self.publish("order", kind, order, payload).await;
    }

    /// A delivery of a new order, and what order will answer.
    async fn started(&self, script: &[Answer]) -> Delivery {
        let order = base::id::new();
        ANSWERS.lock().expect("no panic").insert(order.to_string(), script.to_vec());
        self.says(order, "OrderPrepared").await;
        eventually("a delivery", || self.of_order(order)).await
    }

    async fn list(&self, caller: As, message: ListDeliveriesRequest) -> Vec<Delivery> {
        let request = self.stage.call(caller, message);
        let list = self.deliveries.clone().list_deliveries(request).await.expect("lists");
        list.into_inner().deliveries
    }

    async fn of_order(&self, order: Uuid) -> Option<Delivery> {
        let message = ListDeliveriesRequest { order_id: order.to_string(), ..Default::default() };
        self.list(As::Member(self.member), message).await.pop()
    }

    async fn get(&self, caller: As, id: &str) -> Result<Delivery, Error> {
        let request = self.stage.call(caller, GetDeliveryRequest { delivery_id: id.into() });
        let found = self.deliveries.clone().get_delivery(request).await;
        found.map(Response::into_inner).map_err(Error::from)
    }

    async fn eventually(&self, delivery: &Delivery, state: State) -> Delivery {
        let ask = || async {
            let found = self.get(self.seller, &delivery.id).await.ok()?;
            (found.state() == state).then_some(found)
        };
        eventually(&format!("{state:?}"), ask).await
    }

    async fn dispatch(&self, delivery: &Delivery, number: &str) -> Result<Delivery, Error> {
        self.dispatch_if(delivery, number, None).await
    }

    /// Dispatches it if this is its etag.
    async fn dispatch_if(
        &self,
        delivery: &Delivery,
        number: &str,
        etag: Option<&str>,
    ) -> Result<Delivery, Error> {
        let message = DispatchDeliveryRequest {
            delivery_id: delivery.id.clone(),
            carrier: "cj".into(),
            tracking_number: number.into(),
        };
        let request = if_match(self.stage.command(self.seller, message), etag);
        let sent = self.deliveries.clone().dispatch_delivery(request).await;
        sent.map(Response::into_inner).map_err(Error::from)
    }

    async fn deliver(&self, delivery: &Delivery) -> Result<Delivery, Error> {
        self.deliver_if(delivery, None).await
    }

    /// Marks it as delivered if this is its etag.
    async fn deliver_if(&self, delivery: &Delivery, etag: Option<&str>) -> Result<Delivery, Error> {
        let message = MarkDeliveredRequest { delivery_id: delivery.id.clone() };
        let request = if_match(self.stage.command(self.seller, message), etag);
        let arrived = self.deliveries.clone().mark_delivered(request).await;
        arrived.map(Response::into_inner).map_err(Error::from)
    }

    async fn declare(&self, order: &str, recipient: &str) {
        let address = Address { recipient: recipient.into(), ..Address::default() };
        let message = DeclareAddressRequest {
            order_id: order.into(),
            member_id: self.member.to_string(),
            address: Some(address),
        };
        let request = self.stage.call(As::ServiceFor("order", self.member), message);
        self.deliveries.clone().declare_address(request).await.expect("is told");
    }

    /// How often others were told of a delivery, by type.
    async fn told(&self, delivery: &Delivery) -> Vec<String> {
        let mut reader = self.stage.database("delivery").read().await.expect("reads");
        let id: Uuid = delivery.id.parse().expect("an id");
        let sql = "select type from event where aggregate_id = $1 order by aggregate_version";
        let rows = reader.query(sql, &[&id]).await.expect("reads");
        rows.iter().map(|row| row.get(0)).collect()
    }
}

fn if_match<T>(mut request: Request<T>, etag: Option<&str>) -> Request<T> {
    if let Some(etag) = etag {
        request.metadata_mut().insert("if-match", etag.parse().expect("ascii"));
    }
    request
}

fn reason(refused: Result<Delivery, Error>) -> String {
    refused.expect_err("refused").reason().to_owned()
}

#[tokio::test]
async fn a_delivery_is_dispatched_and_arrives_once() {
    let shop = Shop::open().await;
    let delivery = shop.started(&[Answer::Agreed]).await;
    assert_eq!(delivery.state(), State::Started);
    assert_eq!(reason(shop.deliver(&delivery).await), "NOT_DISPATCHED");

    let sent = shop.dispatch(&delivery, " 1234 ").await.expect("dispatches");
    assert_eq!(
        (sent.state(), &*sent.carrier, &*sent.tracking_number),
        (State::Dispatched, "cj", "1234")
    );
    assert!(sent.dispatch_time.is_some() && sent.deliver_time.is_none());
    assert_eq!(shop.dispatch(&delivery, "1234").await.expect("again"), sent);
    assert_eq!(reason(shop.dispatch(&delivery, "5").await), "ALREADY_DISPATCHED");

    let arrived = shop.deliver(&delivery).await.expect("arrives");
    assert_eq!(arrived.state(), State::Delivered);
    assert_eq!(shop.deliver(&delivery).await.expect("again"), arrived);
    shop.says(delivery.order_id.parse().expect("an id"), "OrderClosed").await;
    let ended = shop.eventually(&delivery, State::Completed).await;
    assert_eq!(shop.deliver(&delivery).await.expect("again"), ended);
    assert_eq!(
        shop.told(&delivery).await,
        ["DeliveryStarted", "DeliveryDispatched", "DeliveryDelivered", "DeliveryCompleted"]
    );
    shop.stage.close().await;
}

#[tokio::test]
async fn a_stale_etag_dispatches_and_delivers_nothing() {
    let shop = Shop::open().await;
    let started = shop.started(&[Answer::Agreed]).await;
    // Seen with its address, it is not what was seen without.
    shop.declare(&started.order_id, "Kim").await;
    let seen = shop.get(shop.seller, &started.id).await.expect("is there");
    assert_ne!(seen.etag, started.etag);
    let stale = |reason: String| assert_eq!(reason, "STALE_ETAG");
    stale(reason(shop.dispatch_if(&started, "1", Some(&started.etag)).await));
    assert_eq!(shop.get(shop.seller, &started.id).await.expect("is there"), seen);
    let sent = shop.dispatch_if(&seen, "1", Some(&seen.etag)).await.expect("dispatches");
    stale(reason(shop.dispatch_if(&seen, "1", Some(&seen.etag)).await));
    stale(reason(shop.deliver_if(&seen, Some(&seen.etag)).await));
    assert_eq!(shop.get(shop.seller, &seen.id).await.expect("is there"), sent);
    let arrived = shop.deliver_if(&sent, Some(&sent.etag)).await.expect("arrives");
    assert_eq!(arrived.state(), State::Delivered);
    assert_ne!(arrived.etag, sent.etag);
    stale(reason(shop.deliver_if(&sent, Some(&sent.etag)).await));
    assert_eq!(shop.stage.unanswered_keys("delivery").await, 0);
    shop.stage.close().await;
}

#[tokio::test]
async fn sellers_list_deliveries_by_state_and_members_their_own() {
    let shop = Shop::open().await;
    let waits = shop.started(&[Answer::Agreed]).await;
    let sent = shop.started(&[Answer::Agreed]).await;
    shop.dispatch(&sent, "1").await.expect("dispatches");
    let ids = async |caller, state: State| {
        let message = ListDeliveriesRequest { state: state.into(), ..Default::default() };
        let list = shop.list(caller, message).await;
        list.into_iter().map(|delivery| delivery.id).collect::<Vec<_>>()
    };
    let (member, stranger) = (As::Member(shop.member), As::Member(base::id::new()));
    for caller in [shop.seller, member] {
        assert_eq!(ids(caller, State::Started).await, std::slice::from_ref(&waits.id));
        assert_eq!(ids(caller, State::Dispatched).await, std::slice::from_ref(&sent.id));
        assert_eq!(ids(caller, State::Unspecified).await, [sent.id.clone(), waits.id.clone()]);
    }
    assert!(ids(stranger, State::Unspecified).await.is_empty());
    let hidden = shop.get(stranger, &sent.id).await.expect_err("somebody else's");
    assert_eq!(hidden.kind(), Kind::NotFound);
    shop.stage.close().await;
}

#[tokio::test]
async fn order_decides_whether_a_delivery_goes() {
    let shop = Shop::open().await;
    let delivery = shop.started(&[Answer::Refused, Answer::Away, Answer::Agreed]).await;
    assert_eq!(reason(shop.dispatch(&delivery, "1").await), "ORDER_CANCELLING");
    assert_eq!(shop.get(shop.seller, &delivery.id).await.expect("is there"), delivery);
    assert_eq!(reason(shop.dispatch(&delivery, "1").await), "ORDER_UNAVAILABLE");
    assert_eq!(shop.get(shop.seller, &delivery.id).await.expect("is there"), delivery);
    let sent = shop.dispatch(&delivery, "2").await.expect("dispatches");
    assert_eq!(sent.tracking_number, "2");
    assert_eq!(shop.stage.unanswered_keys("delivery").await, 0);
    shop.stage.close().await;
}

#[tokio::test]
async fn a_dispatch_in_doubt_goes_on_by_itself() {
    let shop = Shop::open().await;
    // Longer than one call with its retries waits.
    let silence = [Answer::Silence; 3];
    let script = [&silence[..], &[Answer::Agreed]].concat();
    let delivery = shop.started(&script).await;
    assert_eq!(reason(shop.dispatch(&delivery, "1").await), "OUTCOME_PENDING");
    let there = shop.get(shop.seller, &delivery.id).await.expect("is there");
    assert!(there.state() == State::Dispatched || there == delivery, "{there:?}");
    let sent = shop.eventually(&delivery, State::Dispatched).await;
    assert_eq!(sent.tracking_number, "1");
    shop.stage.close().await;
}

#[tokio::test]
async fn what_the_shop_cancels_goes_nowhere_any_more() {
    let shop = Shop::open().await;
    let delivery = shop.started(&[Answer::Agreed]).await;
    shop.dispatch(&delivery, "1").await.expect("dispatches");
    shop.says(delivery.order_id.parse().expect("an id"), "OrderCancelled").await;
    shop.eventually(&delivery, State::Cancelled).await;
    assert_eq!(reason(shop.dispatch(&delivery, "1").await), "ORDER_CANCELLED");
    assert_eq!(reason(shop.deliver(&delivery).await), "ORDER_CANCELLED");
    shop.stage.close().await;
}

#[tokio::test]
async fn an_address_is_kept_once_and_erased_with_its_member() {
    let shop = Shop::open().await;
    let order: Uuid = base::id::new();
    // Before there is a delivery.
    shop.declare(&order.to_string(), "Kim").await;
    shop.declare(&order.to_string(), "Lee").await;
    shop.says(order, "OrderPrepared").await;
    let delivery = eventually("a delivery", || shop.of_order(order)).await;
    let recipient = |delivery: Delivery| delivery.address.map(|address| address.recipient);
    assert_eq!(recipient(delivery.clone()).as_deref(), Some("Kim"));
    let sent = shop.dispatch(&delivery, "1").await.expect("dispatches");
    assert_eq!(recipient(sent).as_deref(), Some("Kim"));

    let erased = MemberErased { member_id: shop.member.to_string() };
    let event = Some(member_event::Event::MemberErased(erased));
    let payload = MemberEvent { frame: None, event }.encode_to_vec();
    shop.publish("member", "MemberErased", shop.member, payload).await;
    let gone = || async { shop.of_order(order).await.filter(|it| it.address.is_none()) };
    eventually("the address erased", gone).await;
    // What comes late is not kept either.
    shop.declare(&base::id::new().to_string(), "Kim").await;
    let mut reader = shop.stage.database("delivery").read().await.expect("reads");
    let kept = reader.query_one("select count(*) from delivery_address", &[]).await;
    assert_eq!(kept.expect("counts").get::<_, i64>(0), 0);
    shop.stage.close().await;
}
