//! A running deployment, who calls it, and what they own.

use std::{
    net::SocketAddr,
    path::Path,
    process::Command,
    time::{Duration, Instant, SystemTime},
};

use app::{keys::Keys, logins, rest::Rest};
use futures_util::stream;
use http::{Method, Request, uri::PathAndQuery};
use http_body_util::{BodyExt as _, Full};
use hyper_util::{client::legacy::Client, rt::TokioExecutor};
use identity::auth::Identity;
use prost_reflect::Value;
use serde_json::json;
use settings::AuthSettings;
use tempfile::TempDir;
use tonic::{
    Code,
    transport::{Channel, Endpoint},
};
use tonic_health::pb::{
    HealthCheckRequest, health_check_response::ServingStatus, health_client::HealthClient,
};
use tonic_reflection::pb::v1::{
    ServerReflectionRequest, server_reflection_client::ServerReflectionClient,
    server_reflection_request::MessageRequest, server_reflection_response::MessageResponse,
};

use super::methods::{Answer, Known, Rpc};
use crate::dynamic::Dynamic;

const LIMIT: Duration = Duration::from_mins(1);
const POLL: Duration = Duration::from_millis(20);
/// So that the call that moves the clock is served too.
const CLOCK: (&str, &str) = ("HANSANG__TESTING__CLOCK", "true");
/// A stream that says nothing for so long was let through.
const SILENCE: Duration = Duration::from_secs(5);

/// Who calls.
#[derive(Clone, Debug)]
pub(crate) enum Who {
    Nobody,
    /// Somebody who signed in.
    Person {
        roles: Vec<String>,
        owner: bool,
    },
    Service {
        name: String,
        acts_for: ActsFor,
    },
    Operator,
}

/// On whose behalf a service calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ActsFor {
    Nobody,
    Owner,
    Somebody,
}

/// A member, and what is theirs.
#[derive(Clone)]
pub(crate) struct Owner {
    pub(crate) id: String,
    token: String,
    known: Known,
}

/// A running deployment, and everybody in it.
pub(crate) struct World {
    _up: testkit::Up,
    http: SocketAddr,
    channel: Channel,
    auth: AuthSettings,
    seller: String,
    admin: String,
    stranger: String,
    product: String,
    operator: String,
    reader: Option<Owner>,
    dir: TempDir,
}

impl World {
    pub(crate) async fn open() -> Self {
        let dir = testkit::data_dir();
        let mut up = testkit::Up::start(env!("CARGO_BIN_EXE_hansang"), dir.path(), |command| {
            command.env(CLOCK.0, CLOCK.1);
        });
        up.answers().await;
        let (http, grpc) = (up.http, up.grpc);
        let channel = Endpoint::from_shared(format!("http://{grpc}")).expect("an address");
        let keys = Keys::ensure(dir.path()).expect("keys");
        let token = hansang(dir.path(), &["token", "--operator", "matrix"]).output().expect("runs");
        assert!(token.status.success(), "{}", String::from_utf8_lossy(&token.stderr));
        let mut world = Self {
            _up: up,
            http,
            channel: channel.connect_lazy(),
            auth: keys.settings().expect("keys"),
            seller: String::new(),
            admin: String::new(),
            stranger: String::new(),
            product: String::new(),
            operator: String::from_utf8_lossy(&token.stdout).trim().to_owned(),
            reader: None,
            dir,
        };
        world.people().await;
        world
    }

    /// Somebody of each role, a product, and a member who has something of everything.
    async fn people(&mut self) {
        for login in logins::ensure(self.dir.path()).expect("logins") {
            let token = self.sign_in(&login.email, &login.password).await;
            if login.role == "ADMIN" { self.admin = token } else { self.seller = token }
        }
        (_, self.stranger, _) = self.sign_up().await;
        let price = json!({ "currencyCode": "KRW", "units": "1000" });
        let body = json!({ "displayName": "Bowl", "price": price, "stock": 1000 });
        self.product = self.post(&self.seller, "/v1/products", body).await.text("id");
        self.reader = Some(self.owner().await);
    }

    /// The owner of what is only read.
    pub(crate) fn reader(&self) -> &Owner {
        self.reader.as_ref().expect("made when the deployment was opened")
    }

    async fn post(&self, token: &str, path: &str, body: serde_json::Value) -> app::rest::Answer {
        let mut rest = Rest::new(format!("http://{}", self.http));
        if !token.is_empty() {
            rest = rest.with_token(token);
        }
        let answer = rest.post(path, body).await.expect("an answer");
        assert!(answer.status.is_success(), "{path}: {answer}");
        answer
    }

    async fn sign_in(&self, email: &str, password: &str) -> String {
        let body = json!({ "email": email, "password": password });
        self.post("", "/v1/sessions", body).await.text("accessToken")
    }

    /// A new member's id, token and address.
    async fn sign_up(&self) -> (String, String, String) {
        let email = format!("{}@example.com", uuid::Uuid::now_v7().simple());
        let body = json!({ "email": email, "password": "correct horse", "displayName": "Guest" });
        let id = self.post("", "/v1/members", body).await.text("id");
        (id, self.sign_in(&email, "correct horse").await, email)
    }

    /// A payout of a member, and a deposit that is held.
    async fn money(&self, id: &str, token: &str) -> (String, String) {
        let account = json!({
            "bankCode": "004", "accountNumber": "110-234-567890", "holder": "Kim",
        });
        let won = json!({ "currencyCode": "KRW", "units": "1000" });
        let body = json!({ "amount": won, "account": account });
        let payout = self.post(token, &format!("/v1/members/{id}/wallet:payOut"), body).await;
        let body = json!({
            "bankTransactionId": uuid::Uuid::now_v7(), "amount": won, "depositorName": "Kim",
        });
        let deposit = self.post(&self.seller, "/v1/deposits", body).await;
        (payout.text("id"), deposit.text("id"))
    }

    /// An address of a member.
    async fn address(&self, member: &str, token: &str) -> String {
        let body = json!({
            "recipient": "Kim", "phone": "010-1234-5678", "postcode": "04524", "line1": "Seoul",
        });
        self.post(token, &format!("/v1/members/{member}/addresses"), body).await.text("id")
    }

    /// A new member with an order that is on its way.
    pub(crate) async fn owner(&self) -> Owner {
        let (id, token, email) = self.sign_up().await;
        let amount = json!({ "currencyCode": "KRW", "units": "5000" });
        let body = json!({ "amount": amount, "cardToken": "tok_visa" });
        self.post(&token, &format!("/v1/members/{id}/wallet:topUp"), body).await;
        let order = self.post(&token, "/v1/orders", order_of(&self.product)).await.text("id");
        let rest = Rest::new(format!("http://{}", self.http)).with_token(token.clone());
        let first = async |path: String, field: &str| found(&rest, &path, field).await;
        let text = |text: &str| Value::String(text.to_owned());
        let (payout, deposit) = self.money(&id, &token).await;
        let gone = self.post(&token, "/v1/orders", order_of(&self.product)).await.text("id");
        first(format!("/v1/payments?orderId={gone}"), "payments/0/id").await;
        // On a busy machine it is answered before it is done, and completes by itself.
        rest.post(&format!("/v1/orders/{gone}:cancel"), json!({})).await.expect("an answer");
        let refund = format!("/v1/payments?orderId={gone}");
        let refund = first(refund, "payments/0/refunds/0/id").await;
        let address = self.address(&id, &token).await;
        let known = Known::from([
            ("payout_id", text(&payout)),
            ("deposit_id", text(&deposit)),
            ("refund_id", text(&refund)),
            ("address_id", text(&address)),
            ("carrier", text("CJ")),
            ("tracking_number", text("1")),
            ("bank_code", text("004")),
            ("account_number", text("110-234-567890")),
            ("member_id", text(&id)),
            ("order_id", text(&order)),
            ("part_id", text(&uuid::Uuid::now_v7().to_string())),
            (
                "payment_id",
                text(&first(format!("/v1/payments?orderId={order}"), "payments/0/id").await),
            ),
            (
                "delivery_id",
                text(&first(format!("/v1/deliveries?orderId={order}"), "deliveries/0/id").await),
            ),
            ("product_id", text(&self.product)),
            ("product_ids", text(&self.product)),
            ("subject_id", text(&id)),
            ("template", text("payment-approved")),
            ("policy", text("welcome")),
            ("member_ids", text(&id)),
            ("email", text(&email)),
            ("password", text("correct horse")),
            ("currency_code", text("KRW")),
            ("units", Value::I64(1000)),
            ("nanos", Value::I32(0)),
        ]);
        // What follows the others is there too.
        first(format!("/v1/mypage/{id}/orders/{order}"), "state").await;
        first(format!("/v1/mypage/{id}"), "memberId").await;
        first(format!("/v1/members/{id}/coupons"), "coupons/0/id").await;
        Owner { id, token, known }
    }

    /// What reflection and health tell somebody without a token: the services, of which all are well.
    pub(crate) async fn services(&self) -> Vec<String> {
        let request = ServerReflectionRequest {
            host: String::new(),
            message_request: Some(MessageRequest::ListServices(String::new())),
        };
        let mut reflection = ServerReflectionClient::new(self.channel.clone());
        let answers = reflection.server_reflection_info(stream::iter([request])).await;
        let answer = answers.expect("it is open").into_inner().message().await;
        let answer = answer.expect("no error").and_then(|answer| answer.message_response);
        let Some(MessageResponse::ListServicesResponse(list)) = answer else {
            panic!("not a list: {answer:?}")
        };
        let check = HealthCheckRequest { service: "readiness".to_owned() };
        let health = HealthClient::new(self.channel.clone()).check(check).await;
        let health = health.expect("it is open").into_inner();
        assert_eq!(health.status(), ServingStatus::Serving);
        list.service.into_iter().map(|service| service.name).collect()
    }

    /// What a caller sends to say who they are, and what they only claim to be.
    fn headers(&self, who: &Who, owner: &Owner) -> Vec<(&'static str, String)> {
        let token = match who {
            Who::Nobody => None,
            Who::Person { owner: true, .. } => Some(owner.token.clone()),
            Who::Person { roles, .. } if roles[0] == "SELLER" => Some(self.seller.clone()),
            Who::Person { roles, .. } if roles[0] == "ADMIN" => Some(self.admin.clone()),
            Who::Person { .. } => Some(self.stranger.clone()),
            Who::Operator => Some(self.operator.clone()),
            Who::Service { name, acts_for } => {
                let member = match acts_for {
                    ActsFor::Nobody => None,
                    ActsFor::Owner => Some(owner.id.parse().expect("an id")),
                    ActsFor::Somebody => Some(base::id::new()),
                };
                let identity = Identity::service(name, &self.auth).expect("the key is one");
                let bearer = identity.bearer_for(SystemTime::now(), member).expect("signs");
                Some(bearer.to_str().expect("ASCII").trim_start_matches("Bearer ").to_owned())
            }
        };
        let mut headers = vec![
            ("x-member-id", owner.id.clone()),
            ("x-user-id", owner.id.clone()),
            ("x-roles", "ADMIN".to_owned()),
            ("on-behalf-of", owner.id.clone()),
            ("x-caller", "service:order".to_owned()),
        ];
        headers.extend(token.map(|token| ("authorization", format!("Bearer {token}"))));
        headers
    }

    pub(crate) async fn call_grpc(&self, method: &Rpc, who: &Who, owner: &Owner) -> Answer {
        let mut request = tonic::Request::new(method.message(&owner.known));
        for (name, value) in self.headers(who, owner) {
            request.metadata_mut().insert(name, value.parse().expect("ASCII"));
        }
        let path: PathAndQuery = method.path.parse().expect("a path");
        let mut client = tonic::client::Grpc::new(self.channel.clone());
        client.ready().await.expect("a connection");
        // One answer is a short stream.
        let first = async {
            let reply =
                client.server_streaming(request, path, Dynamic(method.output.clone())).await?;
            reply.into_inner().message().await
        };
        match tokio::time::timeout(SILENCE, first).await {
            Ok(Ok(message)) => {
                Answer { code: Code::Ok, text: message.map_or_else(String::new, |m| m.to_string()) }
            }
            Ok(Err(status)) => Answer { code: status.code(), text: status.message().to_owned() },
            Err(_) => Answer { code: Code::Ok, text: String::new() },
        }
    }

    pub(crate) async fn call_rest(&self, method: &Rpc, who: &Who, owner: &Owner) -> Answer {
        let (verb, template, has_body) = method.route.as_ref().expect("a route");
        let mut message = method.message(&owner.known);
        let mut path = template.clone();
        for field in method.input.fields() {
            let place = format!("{{{}}}", field.name());
            if path.contains(&place) {
                let value = message.get_field(&field).as_str().expect("text").to_owned();
                path = path.replace(&place, &value);
                message.clear_field(&field);
            }
        }
        let verb: Method = verb.parse().expect("a verb");
        let mut request =
            Request::builder().method(verb).uri(format!("http://{}{path}", self.http));
        let mut body = Vec::new();
        if *has_body {
            request = request.header("content-type", "application/json");
            body = serde_json::to_vec(&message).expect("has a JSON form");
        }
        for (name, value) in self.headers(who, owner) {
            request = request.header(name, value);
        }
        let client = Client::builder(TokioExecutor::new()).build_http::<Full<bytes::Bytes>>();
        let request = request.body(Full::from(body)).expect("a request");
        let response = client.request(request).await.expect("an answer");
        let code = match response.status().as_u16() {
            200..300 => Code::Ok,
            401 => Code::Unauthenticated,
            403 => Code::PermissionDenied,
            404 => Code::NotFound,
            501 => Code::Unimplemented,
            _ => Code::Unknown,
        };
        let text = if method.streams {
            String::new()
        } else {
            let body = response.into_body().collect().await.expect("a body").to_bytes();
            String::from_utf8_lossy(&body).into_owned()
        };
        Answer { code, text }
    }
}

/// What is read there of a field, once it says something.
async fn found(rest: &Rest, path: &str, field: &str) -> String {
    let began = Instant::now();
    loop {
        let answer = rest.get(path).await.expect("an answer");
        let found = answer.text(field);
        if answer.status.is_success() && !found.is_empty() && found != "PLACED" {
            return found;
        }
        assert!(began.elapsed() < LIMIT, "no {field} at {path}: {answer}");
        tokio::time::sleep(POLL).await;
    }
}

/// An order of one of a product, out of the wallet.
fn order_of(product: &str) -> serde_json::Value {
    json!({ "paymentMethod": "WALLET", "lines": [{ "productId": product, "quantity": 1 }] })
}

fn hansang(dir: &Path, arguments: &[&str]) -> Command {
    let mut command = testkit::program(env!("CARGO_BIN_EXE_hansang"));
    command.args(arguments).arg("--data-dir").arg(dir);
    command
}
