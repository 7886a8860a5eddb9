//! Cards through an acquirer over HTTP: a local server that speaks as Toss Payments
//! does, with real connections, and not always well.

use std::{
    collections::HashMap,
    convert::Infallible,
    sync::{Arc, Mutex},
};

use base::{Error, error::Kind, id::Uuid};
use bytes::Bytes;
use contracts::{
    Money,
    order::v1::OrderEvent,
    payment::v1::{
        AuthorizeRequest, CancelPaymentRequest, payment::State,
        payment_service_client::PaymentServiceClient,
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
    amount: i64,
    status: &'static str,
}

/// The acquirer's books, by order.
type Books = Arc<Mutex<HashMap<String, Charge>>>;

/// An acquirer that declines `tok_declined`, breaks down on `tok_broken`, and charges `tok_silence`
/// without ever saying so.
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
            let books = books.lock().expect("no panic");
            books.get(order).map_or_else(
                || (StatusCode::NOT_FOUND, json!({ "code": "NOT_FOUND_PAYMENT" })),
                |it| (StatusCode::OK, json!({ "paymentKey": order, "status": it.status })),
            )
        }
        (&Method::POST, path) => {
            let order = path.strip_prefix("/v1/payments/").expect("a payment");
            let order = order.strip_suffix("/cancel").expect("a cancellation");
            let mut books = books.lock().expect("no panic");
            books.get_mut(order).expect("charged").status = "CANCELED";
            (StatusCode::OK, json!({ "status": "CANCELED" }))
        }
        other => panic!("{other:?}"),
    };
    let mut response = Response::new(Full::from(answer.to_string()));
    *response.status_mut() = status;
    Ok(response)
}

async fn confirm(books: &Books, key: &str, body: &Value) -> (StatusCode, Value) {
    let (order, token) = (body["orderId"].as_str(), body["paymentKey"].as_str());
    let (order, token) = (order.expect("an order"), token.expect("a token"));
    match token {
        "tok_declined" => {
            return (StatusCode::BAD_REQUEST, json!({ "code": "REJECT_CARD_COMPANY" }));
        }
        "tok_broken" => return (StatusCode::INTERNAL_SERVER_ERROR, Value::Null),
        _ => {}
    }
    let amount = body["amount"].as_i64().expect("an amount");
    let charge = Charge { key: key.to_owned(), amount, status: "DONE" };
    books.lock().expect("no panic").insert(order.to_owned(), charge);
    if token == "tok_silence" {
        std::future::pending::<()>().await;
    }
    // Its own reference is the order's id, for short.
    (StatusCode::OK, json!({ "paymentKey": order, "status": "DONE" }))
}

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
    async fn open() -> Self {
        let (url, books) = acquirer().await;
        let services = [&payment::SERVICE, &ORDER];
        let stage = Stage::open_with(&services, &contracts::API, |settings| {
            let acquirer = json!({ "url": url, "secret_key": "test_sk_secret" });
            let section = json!({ "acquirer": acquirer });
            let section = serde_json::from_value(section).expect("a section");
            settings.service.insert("payment".into(), section);
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
        };
        let request = self.stage.call(As::ServiceFor("order", self.member), request);
        let answer = self.payments().authorize(request).await.map_err(Error::from)?;
        Ok(answer.into_inner().state())
    }

    async fn cancel(&self, order: Uuid) {
        let request = CancelPaymentRequest {
            order_id: order.to_string(),
            member_id: self.member.to_string(),
        };
        let request = self.stage.call(As::ServiceFor("order", self.member), request);
        self.payments().cancel_payment(request).await.expect("cancels");
    }

    fn charge(&self, order: Uuid) -> Option<Charge> {
        self.books.lock().expect("no panic").get(&order.to_string()).cloned()
    }

    async fn eventually_refunded(&self, order: Uuid) {
        let ask = || async { self.charge(order).filter(|charge| charge.status == "CANCELED") };
        eventually("a refund", ask).await;
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
    assert_eq!(shop.row(order).await, ("DECLINED".to_owned(), 0));
    shop.stage.close().await;
}

#[tokio::test]
async fn a_charge_that_nobody_heard_of_is_taken_back() {
    let shop = Shop::open().await;
    let order = base::id::new();
    let unclear = shop.authorise(order, "tok_silence").await.expect_err("no answer");
    assert_eq!((unclear.kind(), unclear.reason()), (Kind::Unavailable, "ACQUIRER_UNAVAILABLE"));
    shop.eventually_refunded(order).await;
    shop.eventually_is(order, "DECLINED").await;
    shop.stage.close().await;
}

#[tokio::test]
async fn an_acquirer_that_breaks_down_charges_nothing() {
    let shop = Shop::open().await;
    let order = base::id::new();
    let broken = shop.authorise(order, "tok_broken").await.expect_err("broken");
    assert_eq!(broken.kind(), Kind::Unavailable);
    assert_eq!(shop.charge(order), None);
    shop.eventually_is(order, "DECLINED").await;
    // The card was not declined: the member may order again.
    let again = shop.authorise(order, "tok_visa").await.expect_err("given up");
    assert_eq!((again.kind(), again.reason()), (Kind::Conflict, "ORDER_CANCELLED"));
    assert_eq!(shop.charge(order), None);
    shop.stage.close().await;
}
