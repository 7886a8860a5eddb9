//! `hansang demo`: everything up, then the wallet story over REST, told step by
//! step. Each step says what it expects; one that turns out otherwise fails the demo.

mod stage;

use anyhow::{Context as _, Result};
use http::Method;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use self::stage::Stage;
use crate::{
    console::say,
    logins::{self, Login},
    rest::Rest,
    up::{self, Address},
};

const PRICE: i64 = 1_000;
const STOCK: i64 = 1_000;
const BALANCE: i64 = 999_999;
const QUANTITY: i64 = 10;
const TOTAL: i64 = PRICE * QUANTITY;

const ON_ITS_WAY: &[&str] =
    &["주문접수 PLACED", "입금확인완료 PAID", "상품준비완료 PREPARED", "배송중 DELIVERING"];

/// Brings everything up and plays the story; then leaves, or serves on until told to stop.
pub(crate) async fn demo(options: up::Options, exit: bool, stop: CancellationToken) -> Result<()> {
    up::run(options, stop.clone(), async |address| {
        let Some(played) = stop.run_until_cancelled(wallet(&address)).await else { return Ok(()) };
        played.context("the demo failed")?;
        if exit {
            stop.cancel();
        } else {
            say(format_args!(
                "\nStill serving at http://{}; Ctrl-C stops everything.",
                address.http
            ));
        }
        Ok(())
    })
    .await
}

async fn wallet(address: &Address) -> Result<()> {
    let title = "The wallet story: a prepaid balance buys goods; cancelling gives everything back.";
    let mut stage = Stage::open(title);
    let anyone = Rest::new(format!("http://{}", address.http));

    let seller = address.logins.iter().find(|login| login.role == "SELLER").context("a seller")?;
    let product_id = put_on_sale(&mut stage, &anyone, seller).await?;
    let (member, member_id) = join(&mut stage, &anyone).await?;
    let mut story = Story { stage, member, member_id, product_id, seen: 0 };

    story.top_up().await?;
    let order_id = story.order().await?;
    story.my_page_follows(&order_id, ON_ITS_WAY).await?;
    story.stage.step("The meal is paid and on its way");
    story.all_is(&order_id, BALANCE - TOTAL, STOCK - QUANTITY, "DONE", "STARTED").await?;
    story.cancel(&order_id).await?;
    story.my_page_follows(&order_id, &["주문취소 CANCELLED"]).await?;
    story.stage.step("Everything is as it was");
    story.all_is(&order_id, BALANCE, STOCK, "CANCELLED", "CANCELLED").await?;
    story.stage.close();
    Ok(())
}

/// The seller's part; answers the product's id.
async fn put_on_sale(stage: &mut Stage, anyone: &Rest, seller: &Login) -> Result<String> {
    stage.step("The seller signs in and puts a table for one on sale");
    let seller = sign_in(stage, anyone, &seller.email, &seller.password).await?;
    let body = json!({ "displayName": "Hansang for one", "price": won(PRICE), "stock": STOCK });
    let product = stage.call(&seller, Method::POST, "/v1/products", Some(body)).await?;
    stage.expect("price", &product.text("price/units"), &PRICE.to_string())?;
    stage.expect("stock", &product.text("stock"), &STOCK.to_string())?;
    Ok(product.text("id"))
}

/// A new member; answers a client that is signed in, and the member's id.
async fn join(stage: &mut Stage, anyone: &Rest) -> Result<(Rest, String)> {
    stage.step("A guest becomes a member, and signs in");
    let email = format!("guest-{}@example.com", uuid::Uuid::now_v7().simple());
    let password = logins::password();
    let body = json!({ "email": email, "password": password, "displayName": "Guest" });
    let member = stage.call(anyone, Method::POST, "/v1/members", Some(body)).await?;
    stage.expect("member", &member.text("state"), &"ACTIVE".to_owned())?;
    let client = sign_in(stage, anyone, &email, &password).await?;
    Ok((client, member.text("id")))
}

async fn sign_in(stage: &Stage, anyone: &Rest, email: &str, password: &str) -> Result<Rest> {
    let body = json!({ "email": email, "password": password });
    let session = stage.call(anyone, Method::POST, "/v1/sessions", Some(body)).await?;
    Ok(anyone.with_token(session.text("accessToken")))
}

/// The member's part.
struct Story {
    stage: Stage,
    member: Rest,
    member_id: String,
    product_id: String,
    /// Milestones that My Page has shown.
    seen: usize,
}

impl Story {
    async fn top_up(&mut self) -> Result<()> {
        self.stage.step("The member tops up the wallet");
        let path = format!("/v1/members/{}/wallet:topUp", self.member_id);
        let body = json!({ "amount": won(BALANCE) });
        let wallet = self.stage.call(&self.member, Method::POST, &path, Some(body)).await?;
        self.stage.expect("balance", &wallet.text("balance/units"), &BALANCE.to_string())
    }

    async fn order(&mut self) -> Result<String> {
        self.stage.step("The member orders ten, from the wallet");
        let body = json!({
            "paymentMethod": "WALLET",
            "lines": [{ "productId": self.product_id, "quantity": QUANTITY }],
        });
        let order = self.stage.call(&self.member, Method::POST, "/v1/orders", Some(body)).await?;
        self.stage.expect("total", &order.text("total/units"), &TOTAL.to_string())?;
        Ok(order.text("id"))
    }

    async fn cancel(&mut self, order_id: &str) -> Result<()> {
        self.stage.step("The member thinks better of it, and cancels");
        let path = format!("/v1/orders/{order_id}:cancel");
        let order = self.stage.call(&self.member, Method::POST, &path, Some(json!({}))).await?;
        self.stage.expect("order", &order.text("state"), &"CANCELLED".to_owned())
    }

    async fn my_page_follows(&mut self, order_id: &str, labels: &[&str]) -> Result<()> {
        let path = format!("/v1/mypage/{}/orders/{order_id}", self.member_id);
        self.stage.step(&format!("My Page follows: GET {path}"));
        let history = async || {
            // Not there yet when it is younger than the event's way here.
            let view = self.member.get(&path).await?;
            let milestones = view.body["history"].as_array().cloned().unwrap_or_default();
            Ok(milestones.iter().map(milestone).collect())
        };
        self.seen = self.stage.follow(labels, self.seen, history).await?;
        Ok(())
    }

    /// Reads everything that the order touched, until it is as it should be.
    async fn all_is(
        &self,
        order_id: &str,
        balance: i64,
        stock: i64,
        payment: &str,
        delivery: &str,
    ) -> Result<()> {
        let wallet = format!("/v1/members/{}/wallet", self.member_id);
        let product = format!("/v1/products/{}", self.product_id);
        let payments = format!("/v1/payments?orderId={order_id}");
        let deliveries = format!("/v1/deliveries?orderId={order_id}");
        for (what, path, pointer, expected) in [
            ("balance", wallet, "balance/units", balance.to_string()),
            ("stock", product, "stock", stock.to_string()),
            ("payment", payments, "payments/0/state", payment.to_owned()),
            ("delivery", deliveries, "deliveries/0/state", delivery.to_owned()),
        ] {
            let read = async || Ok(self.member.get(&path).await?.text(pointer));
            self.stage.eventually(what, expected, read).await?;
        }
        Ok(())
    }
}

/// As My Page shows it, and as the contracts call it.
fn milestone(value: &Value) -> String {
    let text = |field: &str| value[field].as_str().unwrap_or_default().to_owned();
    format!("{} {}", text("label"), text("state"))
}

fn won(amount: i64) -> Value {
    json!({ "currencyCode": "KRW", "units": amount.to_string(), "nanos": 0 })
}
