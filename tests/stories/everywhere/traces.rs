//! Every event says what it is, what it concerns and what led to it; one trace runs
//! from the call that began it all to what the last policy did.

use std::collections::BTreeMap;

use eventlog::v1::{Envelope, Frame, SubscribeRequest, frame::Kind};
use prost::Message;
use tonic::{Request, client::Grpc, codegen::http::uri::PathAndQuery};
use tonic_prost::ProstCodec;

use super::*;

/// Who has something to tell.
const PUBLISHERS: [&str; 8] =
    ["coupon", "delivery", "member", "mileage", "notification", "order", "payment", "product"];

/// Any context's event, as far as its frame.
#[derive(Clone, PartialEq, Message)]
struct Framed {
    #[prost(message, optional, tag = "1")]
    frame: Option<Frame>,
}

/// All that a service has told so far, as a subscriber hears it.
async fn told(deployment: &Deployment, service: &str) -> Vec<Envelope> {
    let mut events = Grpc::new(deployment.channel(service).await);
    events.ready().await.expect("a connection");
    let name = format!("{}{}", service[..1].to_uppercase(), &service[1..]);
    let path = format!("/hansang.{service}.v1.{name}Events/Subscribe");
    let path = PathAndQuery::try_from(path).expect("a path");
    let wanted = SubscribeRequest { group: "a story".to_owned(), ..SubscribeRequest::default() };
    let mut request = Request::new(wanted);
    request.metadata_mut().insert("authorization", deployment.operator());
    let codec = ProstCodec::<SubscribeRequest, Framed>::default();
    let stream = events.server_streaming(request, path, codec).await.expect("a stream");
    let (mut stream, mut envelopes) = (stream.into_inner(), Vec::new());
    loop {
        let message = stream.message().await.expect("a message").expect("an open stream");
        match message.frame.and_then(|frame| frame.kind) {
            Some(Kind::Event(envelope)) => envelopes.push(envelope),
            Some(Kind::CaughtUp(_)) => return envelopes,
            Some(Kind::Opened(_) | Kind::Progress(_)) | None => {}
        }
    }
}

/// The trace that an event belongs to.
fn trace(event: &Envelope) -> &str {
    event.headers.get("traceparent").and_then(|it| it.split('-').nth(1)).unwrap_or_default()
}

/// What led to an event, back to what no event led to: `["OrderPaid", "PaymentApproved", …]`.
fn led_by<'a>(event: &'a Envelope, events: &'a BTreeMap<String, Envelope>) -> Vec<&'a str> {
    let mut kinds = Vec::new();
    let mut cause = event.causation_id.as_str();
    while !cause.is_empty() {
        let event = events.get(cause).expect("the cause of an event is an event");
        kinds.push(event.r#type.as_str());
        cause = &event.causation_id;
    }
    kinds
}

/// The events about an order or a member by their ids, when these are all.
async fn eventually_told(
    deployment: &Deployment,
    about: &str,
    kinds: &[&str],
) -> BTreeMap<String, Envelope> {
    eventually(&format!("{kinds:?}"), async || {
        let mut events = BTreeMap::new();
        for service in PUBLISHERS {
            let told = told(deployment, service).await;
            let about = told.into_iter().filter(|event| event.correlation_id == about);
            events.extend(about.map(|event| (event.event_id.clone(), event)));
        }
        let mut seen: Vec<_> = events.values().map(|event| event.r#type.as_str()).collect();
        let mut kinds = kinds.to_vec();
        seen.sort_unstable();
        kinds.sort_unstable();
        same(seen, kinds).map(|()| events.clone())
    })
    .await
}

/// A call that begins as part of a trace.
async fn call(who: &Rest, path: &str, body: Value, trace: &str) -> Answer {
    let parent = format!("00-{trace}-00f067aa0ba902b7-01");
    let sent = who.send(Method::POST, path, Some(body), &[("traceparent", &parent)]).await;
    sent.expect("an answer")
}

const PLACING: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const CANCELLING: &str = "a3ce929d0e0e47364bf92f3577b34da6";
/// What an order's life consists of, each led to by the one before.
const CHAIN: [&str; 7] = [
    "OrderPlaced",
    "PaymentApproved",
    "OrderPaid",
    "StockDecreased",
    "OrderPrepared",
    "DeliveryStarted",
    "OrderDelivering",
];
/// What `PaymentApproved` leads to besides.
const BESIDE: [&str; 2] = ["MarketingNotificationSent", "MileageEarned"];
const UNDONE: [&str; 5] = [
    "PaymentCancelled",
    "OrderCancelled",
    "StockRestored",
    "DeliveryCancelled",
    "MileageCancelled",
];

#[tokio::test(flavor = "multi_thread")]
async fn one_trace_runs_from_the_call_to_the_last_policy() {
    let deployment = Deployment::split("traces").await;
    let member = deployment.member(BALANCE).await;
    let product = deployment.product(PRICE, STOCK).await;
    let wanted = order("WALLET", &product, 1);
    let placed = call(&member.rest, "/v1/orders", wanted, PLACING).await;
    let id = with_status(201, placed).text("id");

    let kinds = [&CHAIN[..], &BESIDE].concat();
    let events = eventually_told(&deployment, &id, &kinds).await;
    for event in events.values() {
        let kind = event.r#type.as_str();
        let place = CHAIN.iter().position(|it| *it == kind).unwrap_or(2);
        let causes: Vec<_> = CHAIN[..place].iter().rev().copied().collect();
        assert_eq!(led_by(event, &events), causes, "{kind}");
        assert_eq!(trace(event), PLACING, "{kind}");
        assert!(uuid::Uuid::try_parse(&event.event_id).is_ok(), "{event:?}");
        assert!(uuid::Uuid::try_parse(&event.aggregate_id).is_ok(), "{event:?}");
        assert!(event.aggregate_version > 0 && event.occur_time.is_some(), "{event:?}");
    }

    // A cancellation is a call of its own, and so is its trace.
    let cancel = format!("/v1/orders/{id}:cancel");
    with_status(200, call(&member.rest, &cancel, json!({}), CANCELLING).await);
    let events = eventually_told(&deployment, &id, &[&kinds[..], &UNDONE].concat()).await;
    for event in events.values().filter(|event| UNDONE.contains(&event.r#type.as_str())) {
        assert_eq!(trace(event), CANCELLING, "{event:?}");
        let causes: &[&str] = match event.r#type.as_str() {
            "PaymentCancelled" | "OrderCancelled" => &[],
            "MileageCancelled" => &["PaymentCancelled"],
            _ => &["OrderCancelled"],
        };
        // The order hears of its payment from the call or from the event, whichever comes first.
        let mut led = led_by(event, &events);
        led.truncate(1);
        if event.r#type == "OrderCancelled" && led == ["PaymentCancelled"] {
            continue;
        }
        assert_eq!(led, causes, "{event:?}");
    }

    // A refusal says where to look.
    let refusal = call(&member.rest, "/v1/orders", json!({}), PLACING).await;
    assert_eq!(refusal.text("traceId"), PLACING, "{refusal}");
    deployment.all_holds().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_one_service_asks_of_another_is_in_the_same_trace() {
    let deployment = Deployment::split("traces_of_calls").await;
    let (seller, member) = (deployment.seller().await, deployment.member(0).await);
    let product = deployment.product(PRICE, STOCK).await;
    let wanted = order("CARD", &product, 1);
    let placed = call(&member.rest, "/v1/orders", wanted, PLACING).await;
    let id = with_status(201, placed).text("id");
    let kinds = [&CHAIN[..], &BESIDE].concat();
    for event in eventually_told(&deployment, &id, &kinds).await.values() {
        assert_eq!(trace(event), PLACING, "{event:?}");
    }

    let Transfer { order, payment } = member.transfer(&product, 1).await;
    let waiting = ["OrderPlaced", "DepositRequested", "OrderAwaitingDeposit"];
    let before = eventually_told(&deployment, &order, &waiting).await;
    let confirm = format!("/v1/payments/{payment}:confirmDeposit");
    let deposit = json!({ "amount": won(PRICE), "depositorName": "Kim" });
    with_status(200, call(&seller, &confirm, deposit, PLACING).await);
    let after = eventually_told(&deployment, &order, &[&waiting[1..], &kinds].concat()).await;
    for event in after.values() {
        assert_eq!(trace(event) == PLACING, !before.contains_key(&event.event_id), "{event:?}");
    }

    let somebody = json!({
        "email": "kim@example.com", "password": "correct horse", "displayName": "Kim",
    });
    let id = with_status(201, call(&deployment.rest(), "/v1/members", somebody, PLACING).await);
    let events = eventually_told(
        &deployment,
        &id.text("id"),
        &["MemberRegistered", "CouponIssued", "NotificationSent"],
    )
    .await;
    for event in events.values() {
        assert_eq!(trace(event), PLACING, "{event:?}");
        let told = event.r#type == "MemberRegistered";
        assert_eq!(led_by(event, &events), ["MemberRegistered"][usize::from(told)..], "{event:?}");
    }
    deployment.all_holds().await;
}
