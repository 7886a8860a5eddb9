//! Cards through an acquirer over HTTP: a local server that speaks as Toss Payments
//! does, with real connections, and not always well.

mod refunds;

use std::{
    collections::HashMap,
    convert::Infallible,
    sync::{Arc, Mutex},
};

use base::{Error, error::Kind, id::Uuid};
use bytes::Bytes;
use contracts::{
    Money,
    member::v1::MemberEvent,
    order::v1::OrderEvent,
    payment::v1::{
        AuthorizeRequest, CancelPaymentRequest, ListPaymentsRequest, Refund, RefundPartRequest,
        TopUpWalletRequest, payment::State, payment_service_client::PaymentServiceClient, refund,
    },
};
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use server::{Service, ServiceBuilder};
use testkit::{
    eventually,
    stage::{As, Stage},
};
use tokio::net::TcpListener;

/// `test_sk_secret:` in base64, as basic authentication has it.
const AUTHORIZATION: &str = "Basic dGVzdF9za19zZWNyZXQ6";

/// What the acquirer knows of an order.
#[derive(Clone, Debug, PartialEq)]
struct Charge {
    key: String,
    token: String,
    amount: i64,
    status: &'static str,
    /// What was cancelled of it: each reason, and how much.
    cancels: Vec<(String, i64)>,
}

/// The acquirer's books, by order.
type Books = Arc<Mutex<HashMap<String, Charge>>>;

/// An acquirer that declines `tok_declined`, answers `tok_409` with that status, charges `tok_silence`
/// without ever saying so, `tok_contradiction` after it has declined it, and `tok_late` only when it has
/// been asked for it. It never refunds what ends in `final`, and `tok_mute` without ever saying so.
async fn acquirer() -> (String, Books) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let url = format!("http://{}", listener.local_addr().expect("bound"));
    let books = Books::default();
    let shared = Arc::clone(&books);
    tokio::spawn(async move {
        while let Ok((socket, _)) = listener.accept().await {
            let books = Arc::clone(&shared);
            let service = service_fn(move |request| answer(Arc::clone(&books), request));
            tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(socket), service));
        }
    });
    (url, books)
}

async fn answer(
    books: Books,
    request: Request<Incoming>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let (parts, body) = request.into_parts();
    assert_eq!(parts.headers["authorization"], AUTHORIZATION);
    let body = body.collect().await.expect("a body").to_bytes();
    let body: Value = serde_json::from_slice(&body).unwrap_or(Value::Null);
    let (status, answer) = match (&parts.method, parts.uri.path()) {
        (&Method::POST, "/v1/payments/confirm") => {
            let key = parts.headers["idempotency-key"].to_str().expect("ascii");
            confirm(&books, key, &body).await
        }
        (&Method::GET, path) => {
            let order = path.strip_prefix("/v1/payments/orders/").expect("an order");
            let mut books = books.lock().expect("no panic");
            let known = books.get(order).filter(|charge| charge.status != "LATE").cloned();
            // Now that somebody has asked, it is charged.
            books.entry(order.to_owned()).and_modify(|charge| {
                if charge.status == "LATE" {
                    charge.status = "DONE";
                }
            });
            known.map_or_else(
                || (StatusCode::NOT_FOUND, json!({ "code": "NOT_FOUND_PAYMENT" })),
                |it| {
                    let cancel =
                        |(reason, won)| json!({ "cancelReason": reason, "cancelAmount": won });
                    let cancels: Vec<Value> = it.cancels.into_iter().map(cancel).collect();
                    let known =
                        json!({ "paymentKey": order, "status": it.status, "cancels": cancels });
                    (StatusCode::OK, known)
                },
            )
        }
        (&Method::POST, path) => {
            let order = path.strip_prefix("/v1/payments/").expect("a payment");
            let order = order.strip_suffix("/cancel").expect("a cancellation");
            let mut books = books.lock().expect("no panic");
            let charge = books.get_mut(order).expect("charged");
            cancel(charge, &body)
        }
        other => panic!("{other:?}"),
    };
    let mut response = Response::new(Full::from(answer.to_string()));
    *response.status_mut() = status;
    Ok(response)
}

fn cancel(charge: &mut Charge, body: &Value) -> (StatusCode, Value) {
    if charge.token.ends_with("final") {
        return (StatusCode::FORBIDDEN, json!({ "code": "NOT_CANCELABLE_PAYMENT" }));
    }
    let left = charge.amount - charge.cancels.iter().map(|(_, won)| won).sum::<i64>();
    let won = body["cancelAmount"].as_i64().unwrap_or(left);
    if won > left || left == 0 {
        return (StatusCode::FORBIDDEN, json!({ "code": "NOT_CANCELABLE_AMOUNT" }));
    }
    charge.cancels.push((body["cancelReason"].as_str().expect("a reason").to_owned(), won));
    charge.status = if won == left { "CANCELED" } else { "PARTIAL_CANCELED" };
    if charge.token == "tok_mute" {
        return (StatusCode::GATEWAY_TIMEOUT, Value::Null);
    }
    (StatusCode::OK, json!({ "status": charge.status }))
}

async fn confirm(books: &Books, key: &str, body: &Value) -> (StatusCode, Value) {
    let (order, token) = (body["orderId"].as_str(), body["paymentKey"].as_str());
    let (order, token) = (order.expect("an order"), token.expect("a token"));
    let declined = (StatusCode::BAD_REQUEST, json!({ "code": "REJECT_CARD_COMPANY" }));
    if token == "tok_declined" {
        return declined;
    }
    if let Some(status) = token.strip_prefix("tok_").and_then(|status| status.parse().ok()) {
        return (StatusCode::from_u16(status).expect("a status"), Value::Null);
    }
    let amount = body["amount"].as_i64().expect("an amount");
    let status = if token == "tok_late" { "LATE" } else { "DONE" };
    let (key, cancels) = (key.to_owned(), Vec::new());
    let charge = Charge { key, token: token.to_owned(), amount, status, cancels };
    books.lock().expect("no panic").insert(order.to_owned(), charge);
    match token {
        "tok_silence" | "tok_silence_final" => std::future::pending::<()>().await,
        "tok_late" => return (StatusCode::BAD_GATEWAY, Value::Null),
        "tok_contradiction" => return declined,
        _ => {}
    }
    // Its own reference is the order's id, for short.
    (StatusCode::OK, json!({ "paymentKey": order, "status": "DONE" }))
}

static MEMBER: Service = Service {
    name: "member",
    migrations: pg::migrations![],
    build: |builder: &mut ServiceBuilder<'_>| {
        builder.publish::<MemberEvent>();
        Ok(())
    },
};

static ORDER: Service = Service {
    name: "order",
    migrations: pg::migrations![],
    build: |builder: &mut ServiceBuilder<'_>| {
        builder.publish::<OrderEvent>();
        Ok(())
    },
};

struct Shop {
    stage: Stage,
    books: Books,
    member: Uuid,
}

impl Shop {
    /// Here an acquirer's no is final at once.
    async fn open() -> Self {
        Self::settling_after(0).await
    }

    async fn settling_after(settle_after_s: u64) -> Self {
        let (url, books) = acquirer().await;
        let services = [&payment::SERVICE, &ORDER, &MEMBER];
        let stage = Stage::open_with(&services, &contracts::API, |settings| {
            let acquirer = json!({ "url": url, "secret_key": "test_sk_secret" });
            let section = json!({ "acquirer": acquirer, "settle_after_s": settle_after_s });
            let section = serde_json::from_value(section).expect("a section");
            settings.service.insert("payment".into(), section);
            settings.testing.clock = true;
        });
        Self { stage: stage.await.expect("starts"), books, member: base::id::new() }
    }

    fn payments(&self) -> PaymentServiceClient<tonic::transport::Channel> {
        PaymentServiceClient::new(self.stage.channel())
    }

    async fn authorise(&self, order: Uuid, token: &str) -> Result<State, Error> {
        let request = AuthorizeRequest {
            order_id: order.to_string(),
            member_id: self.member.to_string(),
            amount: Some(Money::from(("KRW", 3_000))),
            card_token: token.into(),
            ..AuthorizeRequest::default()
        };
        let request = self.stage.call(As::ServiceFor("order", self.member), request);
        let answer = self.payments().authorize(request).await.map_err(Error::from)?;
        Ok(answer.into_inner().state())
    }

    async fn cancel(&self, order: Uuid) {
        let request = CancelPaymentRequest {
            order_id: order.to_string(),
            member_id: self.member.to_string(),
            ..CancelPaymentRequest::default()
        };
        let request = self.stage.call(As::ServiceFor("order", self.member), request);
        self.payments().cancel_payment(request).await.expect("cancels");
    }

    async fn refund_part(&self, order: Uuid, won: i64) -> String {
        let part_id = base::id::new().to_string();
        let request = RefundPartRequest {
            order_id: order.to_string(),
            member_id: self.member.to_string(),
            part_id: part_id.clone(),
            amount: Some(Money::from(("KRW", won))),
            ..RefundPartRequest::default()
        };
        let request = self.stage.call(As::ServiceFor("order", self.member), request);
        self.payments().refund_part(request).await.expect("gives back");
        part_id
    }

    /// What an admin, or the member, reads of the refunds of an order.
    async fn refunds(&self, order: Uuid, who: As) -> Vec<(String, refund::State)> {
        let request =
            ListPaymentsRequest { order_id: order.to_string(), ..ListPaymentsRequest::default() };
        let request = self.stage.call(who, request);
        let list = self.payments().list_payments(request).await.expect("lists").into_inner();
        let line = |it: &Refund| (it.part_id.clone(), it.state());
        list.payments[0].refunds.iter().map(line).collect()
    }

    fn charge(&self, order: Uuid) -> Option<Charge> {
        self.books.lock().expect("no panic").get(&order.to_string()).cloned()
    }

    async fn eventually_refunded(&self, order: Uuid) {
        let ask = || async { self.charge(order).filter(|charge| charge.status == "CANCELED") };
        eventually("a refund", ask).await;
    }

    async fn top_up(&self, key: &str, token: &str) -> Result<Money, Error> {
        let request = TopUpWalletRequest {
            member_id: self.member.to_string(),
            amount: Some(Money::from(("KRW", 3_000))),
            card_token: token.into(),
        };
        let mut request = self.stage.call(As::Member(self.member), request);
        request.metadata_mut().insert("idempotency-key", key.parse().expect("ASCII"));
        let wallet = self.payments().top_up_wallet(request).await.map_err(Error::from)?;
        Ok(wallet.into_inner().balance.expect("has one"))
    }

    /// What was found is refunded, and the books say so.
    async fn assert_nothing_held(&self) {
        let sql = "select count(*) filter (where amount_minor > 0), coalesce(sum(amount_minor), 0)::bigint
             from ledger_entry where account = 'HELD'";
        let row = reader(self).await.query_one(sql, &[]).await.expect("sums");
        assert_eq!(row.get::<_, i64>(1), 0, "still held");
        assert!(row.get::<_, i64>(0) > 0, "it was in the books meanwhile");
    }

    /// The state in the database, and how many tasks are left.
    async fn row(&self, order: Uuid) -> (String, i64) {
        let mut reader = self.stage.database("payment").read().await.expect("reads");
        let sql = "select state, (select count(*) from task) from payment where order_id = $1";
        let row = reader.query_one(sql, &[&order]).await.expect("is there");
        (row.get(0), row.get(1))
    }

    async fn eventually_is(&self, order: Uuid, state: &str) {
        let ask = || async { (self.row(order).await == (state.to_owned(), 0)).then_some(()) };
        eventually(&format!("{state}, and no task left"), ask).await;
    }
}

async fn reader(shop: &Shop) -> pg::Reader {
    shop.stage.database("payment").read().await.expect("reads")
}

#[tokio::test]
async fn a_card_is_charged_once_under_the_payments_key_and_refunded() {
    let shop = Shop::open().await;
    let order = base::id::new();
    assert_eq!(shop.authorise(order, "tok_visa").await.expect("charges"), State::Done);
    let charge = shop.charge(order).expect("charged");
    assert_eq!((charge.amount, charge.status), (3_000, "DONE"));
    assert_eq!(charge.key.len(), 36, "the payment's id is the key");
    assert_eq!(shop.authorise(order, "tok_visa").await.expect("again"), State::Done);
    assert_eq!(shop.charge(order), Some(charge));

    shop.cancel(order).await;
    shop.eventually_refunded(order).await;
    shop.eventually_is(order, "CANCELLED").await;
    shop.stage.close().await;
}

#[tokio::test]
async fn a_card_that_the_acquirer_declines_is_declined() {
    let shop = Shop::open().await;
    let order = base::id::new();
    let declined = shop.authorise(order, "tok_declined").await.expect_err("declined");
    assert_eq!((declined.kind(), declined.reason()), (Kind::Conflict, "CARD_DECLINED"));
    shop.eventually_is(order, "DECLINED").await;
    shop.stage.close().await;
}

#[tokio::test]
async fn a_charge_that_nobody_heard_of_is_taken_back() {
    let shop = Shop::open().await;
    let order = base::id::new();
    let unclear = shop.authorise(order, "tok_silence").await.expect_err("no answer");
    assert_eq!((unclear.kind(), unclear.reason()), (Kind::Unavailable, "ACQUIRER_UNAVAILABLE"));
    shop.eventually_refunded(order).await;
    shop.eventually_is(order, "CANCELLED").await;
    shop.assert_nothing_held().await;
    shop.stage.close().await;
}

#[tokio::test]
async fn a_charge_that_is_made_late_or_against_its_own_word_is_found_and_refunded() {
    let shop = Shop::open().await;
    for token in ["tok_late", "tok_contradiction"] {
        let order = base::id::new();
        shop.authorise(order, token).await.expect_err("not that anybody knew");
        shop.eventually_refunded(order).await;
        shop.eventually_is(order, "CANCELLED").await;
    }
    shop.assert_nothing_held().await;
    shop.stage.close().await;
}

#[tokio::test]
async fn what_says_neither_yes_nor_no_declines_no_card() {
    let shop = Shop::open().await;
    for (status, kind) in [
        (400, Kind::Conflict),
        (402, Kind::Conflict),
        (404, Kind::Conflict),
        (401, Kind::Unavailable),
        (408, Kind::Unavailable),
        (409, Kind::Unavailable),
        (429, Kind::Unavailable),
        (500, Kind::Unavailable),
        (503, Kind::Unavailable),
    ] {
        let order = base::id::new();
        let token = format!("tok_{status}");
        let broken = shop.authorise(order, &token).await.expect_err("no charge");
        assert_eq!(broken.kind(), kind, "{status}");
        assert_eq!(shop.charge(order), None);
        shop.eventually_is(order, "DECLINED").await;
        // What was not declined may be ordered again, and is another order.
        let again = shop.authorise(order, "tok_visa").await.expect_err("given up");
        let reason = if kind == Kind::Conflict { "CARD_DECLINED" } else { "ORDER_CANCELLED" };
        assert_eq!((again.kind(), again.reason()), (Kind::Conflict, reason), "{status}");
        assert_eq!(shop.charge(order), None);
    }
    shop.stage.close().await;
}

#[tokio::test]
async fn a_wallet_is_not_filled_by_what_nobody_knows_and_is_refunded() {
    let shop = Shop::open().await;
    for token in ["tok_silence", "tok_late", "tok_contradiction", "tok_500"] {
        let refused = shop.top_up(token, token).await.expect_err("nobody knows");
        assert!(matches!(refused.kind(), Kind::Unavailable | Kind::Conflict), "{token}");
        let ask = || async {
            let sql = "select (select count(*) from top_up where state in ('ABANDONED', 'DECLINED', 'VOIDED')),
                 (select count(*) from top_up), (select count(*) from task)";
            let mut reader = reader(&shop).await;
            let row = reader.query_one(sql, &[]).await.expect("counts");
            let (ended, all, tasks): (i64, i64, i64) = (row.get(0), row.get(1), row.get(2));
            (ended == all && tasks == 0).then_some(())
        };
        eventually("an end of the top-up", ask).await;
    }
    let live = shop.books.lock().expect("no panic").values().any(|it| it.status == "DONE");
    assert!(!live, "everything is refunded");
    shop.assert_nothing_held().await;
    assert_eq!(shop.stage.unanswered_keys("payment").await, 0);
    // One that is declined and one that is charged, each with a key that was used before.
    assert_eq!(shop.top_up("tok_silence", "tok_visa").await.expect("fills").units, 3_000);
    shop.stage.close().await;
}

#[tokio::test]
async fn each_part_of_a_charge_is_refunded_once_and_the_rest_with_the_order() {
    let shop = Shop::open().await;
    // One whose acquirer never says that it has refunded.
    for token in ["tok_visa", "tok_mute"] {
        let order = base::id::new();
        shop.authorise(order, token).await.expect("charges");
        for won in [700, 700, 100] {
            shop.refund_part(order, won).await;
        }
        shop.eventually_is(order, "DONE").await;
        let charge = shop.charge(order).expect("charged");
        let mut sums: Vec<i64> = charge.cancels.iter().map(|(_, won)| *won).collect();
        sums.sort_unstable();
        assert_eq!((charge.status, sums), ("PARTIAL_CANCELED", vec![100, 700, 700]), "{token}");
        let admin = As::Admin(base::id::new());
        let refunds = shop.refunds(order, admin).await;
        let done = refunds.iter().all(|(_, state)| *state == refund::State::Refunded);
        assert!(done, "{token}: {refunds:?}");

        shop.cancel(order).await;
        shop.eventually_refunded(order).await;
        shop.eventually_is(order, "CANCELLED").await;
        let charge = shop.charge(order).expect("charged");
        assert_eq!(charge.cancels.last().expect("the rest").1, 1_500, "{token}");
    }
    shop.stage.close().await;
}

#[tokio::test]
async fn all_parts_of_a_charge_go_back_though_it_is_cancelled_meanwhile() {
    let shop = Shop::open().await;
    for _ in 0..30 {
        let order = base::id::new();
        shop.authorise(order, "tok_visa").await.expect("charges");
        shop.refund_part(order, 700).await;
        shop.cancel(order).await;
        shop.eventually_refunded(order).await;
        shop.eventually_is(order, "CANCELLED").await;
        let charge = shop.charge(order).expect("charged");
        assert_eq!(charge.cancels.iter().map(|(_, won)| won).sum::<i64>(), 3_000);
        let refunds = shop.refunds(order, As::Member(shop.member)).await;
        assert!(refunds.iter().all(|(_, state)| *state == refund::State::Refunded), "{refunds:?}");
    }
    shop.stage.close().await;
}

#[tokio::test]
async fn a_part_that_is_refused_for_good_waits_for_an_operator() {
    let shop = Shop::open().await;
    let order = base::id::new();
    shop.authorise(order, "tok_final").await.expect("charges");
    let part = shop.refund_part(order, 700).await;
    let admin = As::Admin(base::id::new());
    let failed = vec![(part.clone(), refund::State::Failed)];
    let ask = || async { (shop.refunds(order, admin).await == failed).then_some(()) };
    eventually("a refund that has failed", ask).await;
    let refunding = vec![(part, refund::State::Refunding)];
    assert_eq!(shop.refunds(order, As::Member(shop.member)).await, refunding);
    assert_eq!(shop.row(order).await, ("DONE".to_owned(), 1), "it is asked again");
    shop.stage.close().await;
}
