//! A shop that is up, and a request for each call that makes sense of what there is.

use std::time::{Duration, SystemTime};

use app::rest::Rest;
use http::Method;
use identity::auth::Identity;
use prost_reflect::DynamicMessage;
use serde_json::{Value, json};
use settings::AuthSettings;
use tokio::sync::OnceCell;
use tonic::{
    Request, Status,
    metadata::{Ascii, MetadataValue},
    transport::Channel,
};

use super::{
    bodies::{account, address, policy, set},
    sagas::Saga,
};
use crate::{
    deployment::Deployment,
    dynamic::Dynamic,
    matrix::methods::Rpc,
    people::{Member, Product, with_status, won},
};

/// A stream that says nothing for so long was let through.
const SILENCE: Duration = Duration::from_millis(500);

/// Everybody who calls, and what there is to call about.
pub(crate) struct Shop {
    pub(crate) deployment: Deployment,
    channels: Vec<(&'static str, Channel)>,
    auth: AuthSettings,
    seller: String,
    admin: String,
    /// Who calls as a member.
    pub(crate) member: Member,
    token: String,
    /// An order of theirs that is on its way, and its payment and delivery.
    order: String,
    payment: String,
    delivery: String,
    product: Product,
    /// Orders of theirs of many pieces: one is on its way, the other has arrived.
    many: OnceCell<(String, String)>,
    /// A payout of theirs.
    payout: String,
    /// What was set going, to be seen to its end.
    pub(crate) sagas: Vec<Saga>,
}

impl Shop {
    pub(crate) async fn open(story: &str) -> Self {
        // So that the call that moves it is served too.
        let clock = ("HANSANG__TESTING__CLOCK", "true".to_owned());
        // This is not about who is slow.
        let peers = ("HANSANG__DEADLINE__PEER_MS", "8000".to_owned());
        let callers = ("HANSANG__DEADLINE__REQUEST_MS", "20000".to_owned());
        let deployment = Deployment::open_with(story, &[clock, peers, callers]).await;
        let mut channels = Vec::new();
        for service in app::run::SERVICES {
            channels.push((service.name, deployment.channel(service.name).await));
        }
        let auth = deployment.ground.keys.settings().expect("keys");
        let login = |role: &str| deployment.ground.logins.iter().find(|login| login.role == role);
        let (seller, admin) = (login("SELLER").expect("one"), login("ADMIN").expect("one"));
        let seller = sign_in(&deployment, &seller.email, &seller.password).await;
        let admin = sign_in(&deployment, &admin.email, &admin.password).await;
        let (member, token) = sign_up(&deployment).await;
        let path = format!("/v1/members/{}/wallet:topUp", member.id);
        let body = json!({ "amount": won(1_000_000), "cardToken": "tok_visa" });
        with_status(200, member.rest.post(&path, body).await.expect("an answer"));
        let product = deployment.product(1_000, 1_000).await;
        let order = member.buys(std::slice::from_ref(&product.id), 1).await;
        member.eventually_sees(&order, "DELIVERING").await;
        let payment = member.get(&format!("/v1/orders/{order}")).await.text("paymentId");
        let delivery = member.get(&format!("/v1/deliveries?orderId={order}")).await;
        let delivery = delivery.text("deliveries/0/id");
        let path = format!("/v1/members/{}/wallet:payOut", member.id);
        let body = json!({ "amount": won(1_000), "account": account() });
        let payout = member.rest.post(&path, body).await.expect("an answer");
        let payout = with_status(200, payout).text("id");
        let sagas = Vec::new();
        let many = OnceCell::new();
        Self {
            deployment,
            channels,
            auth,
            seller,
            admin,
            member,
            token,
            order,
            payment,
            delivery,
            product,
            many,
            payout,
            sagas,
        }
    }

    /// A request that can be carried out, whatever was carried out before.
    #[expect(clippy::too_many_lines, reason = "a table: each call and a request that is right")]
    pub(crate) async fn request(&self, call: &str, field: &str) -> Value {
        let member = &self.member.id;
        let amount = won(1_000);
        match call {
            "RegisterMember" => {
                let email = format!("{}@example.com", uuid::Uuid::now_v7().simple());
                json!({ "email": email, "password": "correct horse", "displayName": "Guest" })
            }
            "CreateSession" => {
                json!({ "email": "nobody@example.com", "password": "correct horse" })
            }
            "WithdrawMember" => json!({ "memberId": self.deployment.member(0).await.id }),
            "CancelMemberCoupons" => {
                let gone = self.deployment.member(0).await;
                let path = format!("/v1/members/{}:withdraw", gone.id);
                with_status(200, gone.rest.post(&path, json!({})).await.expect("an answer"));
                json!({ "memberId": gone.id })
            }
            "CreateCouponPolicy" => policy(field),
            "GetCouponPolicy" => json!({ "policy": "welcome" }),
            "UpdateCouponPolicy" => {
                let mut policy = policy(field);
                policy["policy"] = json!(self.coupon_policy().await);
                policy
            }
            "IssueCoupons" => json!({ "policy": "welcome", "memberIds": [member] }),
            "RedeemCoupon" => {
                let body = json!({ "policy": self.coupon_policy().await, "memberIds": [member] });
                let coupons = self.admin().post("/v1/coupons:issue", body).await.expect("issued");
                let coupon = with_status(200, coupons).text("coupons/0/id");
                let order = self.member.buys(std::slice::from_ref(&self.product.id), 1).await;
                json!({
                    "couponId": coupon, "orderId": order, "memberId": member, "goodsTotal": amount,
                })
            }
            "SpendPoints" => {
                let order = self.member.buys(std::slice::from_ref(&self.product.id), 1).await;
                json!({ "orderId": order, "memberId": member, "points": 1 })
            }
            "ReleaseCoupon" | "ReleasePoints" => {
                json!({ "orderId": self.order, "memberId": member })
            }
            "GrantRole" | "RevokeRole" => {
                json!({ "memberId": self.deployment.member(0).await.id, "role": 2 })
            }
            "RegisterProduct" => json!({ "displayName": "Bowl", "price": amount, "stock": 10 }),
            "UpdateProduct" | "RestockProduct" | "AdjustStock" => {
                let product = self.on_sale("Bowl", 0).await.text("id");
                if call == "AdjustStock" {
                    return json!({ "productId": product, "delta": 10, "reason": "a test" });
                }
                if call == "RestockProduct" {
                    return json!({ "productId": product, "quantity": 10 });
                }
                json!({ "productId": product, "displayName": "Bowl", "price": amount })
            }
            "BatchGetProducts" => json!({ "productIds": [self.product.id] }),
            "DecreaseStock" => json!({
                "orderId": self.order, "memberId": member,
                "lines": [{ "productId": self.product.id, "quantity": 1 }],
            }),
            "PlaceOrder" => {
                let product = self.on_sale("Bowl", 1_000_000_000).await.text("id");
                let mut order = json!({
                    "paymentMethod": 1, "cardToken": "tok_visa",
                    "lines": [{ "productId": product, "quantity": 1 }],
                });
                let part = field.split('.').next().unwrap_or_default();
                if ["expectedTotal", "walletAmount"].contains(&part) {
                    order[part] = amount;
                }
                order
            }
            "CancelOrder" | "CancelPayment" => {
                let order = self.member.buys(std::slice::from_ref(&self.product.id), 1).await;
                let mut request = json!({ "orderId": order });
                if call == "CancelPayment" {
                    request["memberId"] = json!(member);
                }
                if field.starts_with("refundAccount") {
                    request["refundAccount"] = account();
                }
                request
            }
            "CancelLines" | "RequestReturn" => {
                let (going, there) = self.many().await;
                let order = if call == "CancelLines" { going } else { there };
                let mut request = json!({
                    "orderId": order, "reason": "a test",
                    "lines": [{ "productId": self.product.id, "quantity": 1 }],
                });
                if field.starts_with("refundAccount") {
                    request["refundAccount"] = account();
                }
                request
            }
            "ListOrderReturns" => json!({ "orderId": self.many().await.1 }),
            "AcceptReturn" | "RejectReturn" => {
                let path = format!("/v1/orders/{}/returns", self.many().await.1);
                let body = json!({
                    "reason": "a test", "lines": [{ "productId": self.product.id, "quantity": 1 }],
                });
                let asked = self.member.rest.post(&path, body).await.expect("an answer");
                let mut request = json!({ "returnId": with_status(201, asked).text("id") });
                if call == "RejectReturn" {
                    request["reason"] = json!("a test");
                } else if field.starts_with("refundAccount") {
                    request["refundAccount"] = account();
                }
                request
            }
            // Of an order that nobody has heard of: what can be read is refused for that alone.
            "RefundPart" => json!({
                "orderId": uuid::Uuid::now_v7(), "memberId": member, "partId": uuid::Uuid::now_v7(),
                "amount": amount, "walletAmount": won(0), "refundAccount": account(),
                "lines": [{ "productId": self.product.id, "quantity": 1 }],
            }),
            "DeclareDepositor" => {
                json!({ "orderId": self.order, "memberId": member, "depositorName": "Kim" })
            }
            "RecordDeposit" => json!({
                "bankTransactionId": uuid::Uuid::now_v7(), "amount": amount, "depositorName": "Kim",
            }),
            "GetDeposit" => json!({ "depositId": self.deposit().await }),
            "MatchDeposit" => {
                let order = self.member.order_by_transfer(&self.product, 1).await;
                self.member.eventually_sees(&order, "AWAITING_DEPOSIT").await;
                let payment = self.member.get(&format!("/v1/payments?orderId={order}")).await;
                let payment = payment.text("payments/0/id");
                json!({ "depositId": self.deposit().await, "paymentId": payment })
            }
            "RefundDeposit" => json!({ "depositId": self.deposit().await, "account": account() }),
            "CreditDeposit" => json!({ "depositId": self.deposit().await, "memberId": member }),
            "ConfirmDeposit" => {
                let order = self.member.order_by_transfer(&self.product, 1).await;
                self.member.eventually_sees(&order, "AWAITING_DEPOSIT").await;
                let payment = self.member.get(&format!("/v1/payments?orderId={order}")).await;
                let payment = payment.text("payments/0/id");
                json!({ "paymentId": payment, "amount": amount, "depositorName": "Kim" })
            }
            "Authorize" => json!({
                "orderId": self.order, "memberId": member, "amount": amount, "cardToken": "tok_visa",
                "walletAmount": won(0),
            }),
            "Earn" => json!({
                "paymentId": self.payment, "orderId": self.order, "memberId": member, "amount": amount,
            }),
            "TopUpWallet" => {
                json!({ "memberId": member, "amount": amount, "cardToken": "tok_visa" })
            }
            "AdjustWallet" => {
                json!({ "memberId": member, "amount": amount, "reason": "a test" })
            }
            "PayOutWallet" => json!({ "memberId": member, "amount": amount, "account": account() }),
            "GetPayout" => json!({ "payoutId": self.payout }),
            "GetRefund" | "RetryRefund" => json!({ "refundId": self.refund().await }),
            "SettleRefund" => {
                json!({ "refundId": self.refund().await, "tender": 1, "reason": "a test" })
            }
            "UpdateNotificationTemplate" => {
                json!({ "template": "payment-approved", "body": "{orderId}" })
            }
            "GetNotificationTemplate" => json!({ "template": "payment-approved" }),
            "Advance" => json!({ "duration": "0.1s" }),
            "ParkedEvents.Replay" => json!({ "consumer": "order" }),
            "ParkedEvents.Discard" => json!({
                "consumer": "order", "source": "product", "correlationId": self.order,
                "reason": "a test",
            }),
            "AcceptLogLosses" => json!({
                "consumer": "order", "source": "product", "partitions": [0], "reason": "a test",
            }),
            "GetMyOrder" => json!({ "memberId": member, "orderId": self.order }),
            "GetProduct" => json!({ "productId": self.product.id }),
            "ListTrail" => json!({ "service": "order", "correlationIds": [self.order] }),
            "GetOrder" | "ConfirmReceipt" | "GetOrderTimeline" => json!({ "orderId": self.order }),
            "GetPayment" => json!({ "paymentId": self.payment }),
            "GetDelivery" => json!({ "deliveryId": self.delivery }),
            "CreateAddress" => {
                self.has_no_addresses().await;
                let mut request = address();
                request["memberId"] = json!(member);
                request
            }
            "GetAddress" | "DeleteAddress" => {
                let path = format!("/v1/members/{member}/addresses");
                let made = self.member.rest.post(&path, address()).await.expect("an answer");
                json!({ "memberId": member, "addressId": with_status(201, made).text("id") })
            }
            "RecordDispatch" => {
                let order = self.member.buys(std::slice::from_ref(&self.product.id), 1).await;
                self.member.eventually_sees(&order, "DELIVERING").await;
                json!({ "orderId": order, "memberId": member })
            }
            "DeclareAddress" | "ShowAddress" => {
                json!({ "orderId": self.order, "memberId": member, "address": address() })
            }
            "DispatchDelivery" => json!({
                "deliveryId": self.started().await, "carrier": "CJ", "trackingNumber": "1",
            }),
            "MarkDelivered" => {
                let delivery = self.started().await;
                let path = format!("/v1/deliveries/{delivery}:dispatch");
                let body = json!({ "carrier": "CJ", "trackingNumber": delivery });
                with_status(200, self.seller().post(&path, body).await.expect("an answer"));
                json!({ "deliveryId": delivery })
            }
            "ReportParcel" => json!({ "carrier": "CJ", "notice": {} }),
            "ListProducts" | "ListOrders" | "ListPayments" | "ListDeliveries"
            | "ListNotifications" | "ListPayouts" | "ListDeposits" | "ListAuditEntries"
            | "ListReturns" | "ListRefunds" | "ListMembers" | "ParkedEvents.List"
            | "ListLogLosses" | "ListCouponPolicies" => {
                json!({})
            }
            _ => json!({ "memberId": member }),
        }
    }

    /// Calls with a request of which one field is another; the answer.
    pub(crate) async fn send(
        &self,
        rpc: &Rpc,
        request: &Value,
        change: Option<(&str, &Value)>,
    ) -> Result<Value, Status> {
        let mut request = request.clone();
        let member = request["memberId"].as_str().unwrap_or_default().to_owned();
        if let Some((field, value)) = change {
            set(&mut request, field, value);
        }
        let message = DynamicMessage::deserialize(rpc.input.clone(), request).expect("a message");
        let mut call = Request::new(message);
        if let Some(token) = self.token(rpc, &member) {
            call.metadata_mut().insert("authorization", token);
        }
        let mut client = tonic::client::Grpc::new(self.channel(rpc));
        client.ready().await.expect("a connection");
        let (path, codec) = (rpc.path.parse().expect("a path"), Dynamic(rpc.output.clone()));
        let mut answers = client.server_streaming(call, path, codec).await?.into_inner();
        // A stream may have nothing to say; a call always has.
        let patience = if rpc.streams { SILENCE } else { Duration::MAX };
        let Ok(answer) = tokio::time::timeout(patience, answers.message()).await else {
            return Ok(Value::Null);
        };
        Ok(answer?
            .map(|answer| serde_json::to_value(answer).expect("has a JSON form"))
            .unwrap_or_default())
    }

    /// Made when they are asked for first.
    async fn many(&self) -> &(String, String) {
        let made = self.many.get_or_init(async || {
            let product = std::slice::from_ref(&self.product.id);
            let (going, there) =
                (self.member.buys(product, 200).await, self.member.buys(product, 200).await);
            self.member.eventually_sees(&going, "DELIVERING").await;
            self.arrive(&there).await;
            (going, there)
        });
        made.await
    }

    /// A deposit that is held.
    async fn deposit(&self) -> String {
        let body = json!({
            "bankTransactionId": uuid::Uuid::now_v7(), "amount": won(1_000), "depositorName": "Lee",
        });
        let deposit = self.seller().post("/v1/deposits", body).await.expect("an answer");
        with_status(201, deposit).text("id")
    }

    /// A refund, which is done.
    async fn refund(&self) -> String {
        let order = self.member.buys(std::slice::from_ref(&self.product.id), 1).await;
        self.member.eventually_sees(&order, "DELIVERING").await;
        let path = format!("/v1/orders/{order}:cancel");
        with_status(200, self.member.rest.post(&path, json!({})).await.expect("an answer"));
        let payment = self.member.get(&format!("/v1/payments?orderId={order}")).await;
        payment.text("payments/0/refunds/0/id")
    }

    /// A policy of its own.
    async fn coupon_policy(&self) -> String {
        let made = self.admin().post("/v1/couponPolicies", policy("")).await.expect("an answer");
        with_status(201, made).text("policy")
    }

    /// An admin, signed in.
    fn admin(&self) -> Rest {
        self.deployment.rest().with_token(self.admin.clone())
    }

    /// As many addresses as one may have are soon there.
    async fn has_no_addresses(&self) {
        let path = format!("/v1/members/{}/addresses", self.member.id);
        let there = self.member.get(&path).await;
        for address in there.body["addresses"].as_array().into_iter().flatten() {
            let path = format!("{path}/{}", address["id"].as_str().unwrap_or_default());
            let gone = self.member.rest.send(Method::DELETE, &path, None, &[]).await;
            with_status(200, gone.expect("an answer"));
        }
    }

    /// A delivery that has started.
    async fn started(&self) -> String {
        let order = self.member.buys(std::slice::from_ref(&self.product.id), 1).await;
        self.member.eventually_sees(&order, "DELIVERING").await;
        let found = self.member.get(&format!("/v1/deliveries?orderId={order}")).await;
        found.text("deliveries/0/id")
    }

    /// The seller, signed in.
    pub(crate) fn seller(&self) -> Rest {
        self.deployment.rest().with_token(self.seller.clone())
    }

    fn channel(&self, rpc: &Rpc) -> Channel {
        let package = rpc.path.split('.').nth(1).expect("a package");
        // What every process serves is asked of order's.
        let of = |name: &str| self.channels.iter().find(|(service, _)| *service == name);
        of(package).or_else(|| of("order")).expect("order is up").1.clone()
    }

    /// The token of somebody who may call.
    fn token(&self, rpc: &Rpc, member: &str) -> Option<MetadataValue<Ascii>> {
        let may = |role: &str| rpc.access.roles.iter().any(|known| known == role);
        let person = |token: &str| format!("Bearer {token}").parse().expect("ASCII");
        if may("ANYONE") {
            return None;
        }
        if may("ADMIN") {
            return Some(person(&self.admin));
        }
        if may("SELLER") {
            return Some(person(&self.seller));
        }
        match rpc.access.callers.first().map(String::as_str) {
            None => Some(person(&self.token)),
            Some("operator") => Some(self.deployment.operator()),
            // Any of them may call what all may.
            Some(service) => {
                let service = if service == "*" { "order" } else { service };
                let identity = Identity::service(service, &self.auth).expect("an identity");
                let bearer = identity.bearer_for(SystemTime::now(), member.parse().ok());
                Some(bearer.expect("a token"))
            }
        }
    }
}

async fn sign_in(deployment: &Deployment, email: &str, password: &str) -> String {
    let body = json!({ "email": email, "password": password });
    let session = deployment.rest().post("/v1/sessions", body).await.expect("an answer");
    with_status(200, session).text("accessToken")
}

/// Somebody new, and their token.
async fn sign_up(deployment: &Deployment) -> (Member, String) {
    let email = format!("{}@example.com", uuid::Uuid::now_v7().simple());
    let body = json!({ "email": email, "password": "correct horse", "displayName": "Guest" });
    let member = deployment.rest().post("/v1/members", body).await.expect("an answer");
    let id = with_status(201, member).text("id");
    let token = sign_in(deployment, &email, "correct horse").await;
    (Member { rest: deployment.rest().with_token(token.clone()), id }, token)
}
