//! Who plays in the stories, and what they do in all of them.

use anyhow::{Context as _, Result};
use http::Method;
use serde_json::{Value, json};

use super::stage::Stage;
use crate::{
    logins::{self, Login},
    rest::Rest,
    up::Address,
};

/// Every milestone of an order that goes well.
pub(super) const ON_ITS_WAY: &[&str] =
    &["주문접수 PLACED", "입금확인완료 PAID", "상품준비완료 PREPARED", "배송중 DELIVERING"];

/// The shop's people, and the stage that they play on.
pub(super) struct Cast {
    pub(super) stage: Stage,
    pub(super) anyone: Rest,
    pub(super) seller: Rest,
    pub(super) admin: Rest,
}

/// A member who is signed in.
pub(super) struct Guest {
    pub(super) rest: Rest,
    pub(super) id: String,
    pub(super) email: String,
    pub(super) password: String,
}

/// An order, and how many of its milestones My Page has shown.
pub(super) struct Order {
    pub(super) id: String,
    seen: usize,
}

impl Cast {
    /// The seller and the admin sign in.
    pub(super) async fn enter(address: &Address) -> Result<Self> {
        let mut stage = Stage::open("Five stories, one shop.");
        let anyone = Rest::new(format!("http://{}", address.http));
        stage.step("The seller and the admin sign in");
        let login = |role: &str| {
            let found = address.logins.iter().find(|login| login.role == role);
            found.with_context(|| format!("no login for {role}"))
        };
        let sign_in = async |stage: &Stage, Login { email, password, .. }: &Login| {
            sign_in(stage, &anyone, email, password).await
        };
        let seller = sign_in(&stage, login("SELLER")?).await?;
        let admin = sign_in(&stage, login("ADMIN")?).await?;
        Ok(Self { stage, anyone, seller, admin })
    }

    /// Somebody new signs up, and in.
    pub(super) async fn guest(&mut self) -> Result<Guest> {
        self.stage.step("A guest becomes a member, and signs in");
        let email = format!("guest-{}@example.com", uuid::Uuid::now_v7().simple());
        let password = logins::password();
        let body = json!({ "email": email, "password": password, "displayName": "Guest" });
        let member = self.stage.call(&self.anyone, Method::POST, "/v1/members", Some(body)).await?;
        self.stage.expect("member", &member.text("state"), &"ACTIVE".to_owned())?;
        let rest = sign_in(&self.stage, &self.anyone, &email, &password).await?;
        Ok(Guest { rest, id: member.text("id"), email, password })
    }

    /// The seller puts something on sale; answers its id.
    pub(super) async fn product(&mut self, name: &str, price: i64, stock: i64) -> Result<String> {
        self.stage.step(&format!("The seller puts {name} on sale"));
        let body = json!({ "displayName": name, "price": won(price), "stock": stock });
        let product =
            self.stage.call(&self.seller, Method::POST, "/v1/products", Some(body)).await?;
        self.stage.expect("stock", &product.text("stock"), &stock.to_string())?;
        Ok(product.text("id"))
    }

    /// A guest orders.
    pub(super) async fn order(
        &mut self,
        guest: &Guest,
        product: &str,
        quantity: i64,
        method: &str,
    ) -> Result<Order> {
        let body = order(product, quantity, method, "tok_visa");
        let order = self.stage.call(&guest.rest, Method::POST, "/v1/orders", Some(body)).await?;
        Ok(Order { id: order.text("id"), seen: 0 })
    }

    /// My Page shows these milestones next.
    pub(super) async fn my_page_follows(
        &mut self,
        guest: &Guest,
        order: &mut Order,
        labels: &[&str],
    ) -> Result<()> {
        let path = format!("/v1/mypage/{}/orders/{}", guest.id, order.id);
        self.stage.step(&format!("My Page follows: GET {path}"));
        let history = async || {
            // Not there yet when it is younger than the event's way here.
            let view = guest.rest.get(&path).await?;
            let milestones = view.body["history"].as_array().cloned().unwrap_or_default();
            Ok(milestones.iter().map(milestone).collect())
        };
        order.seen = self.stage.follow(labels, order.seen, history).await?;
        Ok(())
    }

    /// Reads a field until it is what it should be.
    pub(super) async fn reads(
        &self,
        client: &Rest,
        what: &str,
        path: &str,
        pointer: &str,
        expected: &str,
    ) -> Result<()> {
        let read = async || Ok(client.get(path).await?.text(pointer));
        self.stage.eventually(what, expected.to_owned(), read).await
    }

    /// Cancels an order, which the answer shows.
    pub(super) async fn cancel(&mut self, guest: &Guest, order: &Order) -> Result<()> {
        let path = format!("/v1/orders/{}:cancel", order.id);
        let answer = self.stage.call(&guest.rest, Method::POST, &path, Some(json!({}))).await?;
        self.stage.expect("order", &answer.text("state"), &"CANCELLED".to_owned())
    }

    /// Reads what an order left with payment, product and delivery, until it is as it should be.
    pub(super) async fn all_is(
        &self,
        guest: &Guest,
        order: &Order,
        product: (&str, i64),
        payment: &str,
        delivery: &str,
    ) -> Result<()> {
        let (product, stock) = (format!("/v1/products/{}", product.0), product.1.to_string());
        let payments = format!("/v1/payments?orderId={}", order.id);
        let deliveries = format!("/v1/deliveries?orderId={}", order.id);
        self.reads(&guest.rest, "stock", &product, "stock", &stock).await?;
        self.reads(&guest.rest, "payment", &payments, "payments/0/state", payment).await?;
        self.reads(&guest.rest, "delivery", &deliveries, "deliveries/0/state", delivery).await
    }
}

async fn sign_in(stage: &Stage, anyone: &Rest, email: &str, password: &str) -> Result<Rest> {
    let body = json!({ "email": email, "password": password });
    let session = stage.call(anyone, Method::POST, "/v1/sessions", Some(body)).await?;
    Ok(anyone.with_token(session.text("accessToken")))
}

/// The body of an order.
pub(super) fn order(product: &str, quantity: i64, method: &str, token: &str) -> Value {
    let lines = json!([{ "productId": product, "quantity": quantity }]);
    match method {
        "CARD" => json!({ "paymentMethod": method, "lines": lines, "cardToken": token }),
        _ => json!({ "paymentMethod": method, "lines": lines }),
    }
}

/// As My Page shows it, and as the contracts call it.
fn milestone(value: &Value) -> String {
    let text = |field: &str| value[field].as_str().unwrap_or_default().to_owned();
    format!("{} {}", text("label"), text("state"))
}

/// Won, as the contracts write it.
pub(super) fn won(amount: i64) -> Value {
    json!({ "currencyCode": "KRW", "units": amount.to_string(), "nanos": 0 })
}
