//! Who is in the stories, and what they do, in the words of the shop.

use app::rest::{Answer, Rest};
use serde_json::{Value, json};

use crate::deployment::{Deployment, eventually};

/// A member who is signed in.
pub(crate) struct Member {
    pub(crate) rest: Rest,
    pub(crate) id: String,
}

/// A product on sale.
pub(crate) struct Product {
    pub(crate) id: String,
    anyone: Rest,
}

/// Won, as the contracts write it.
pub(crate) fn won(amount: i64) -> Value {
    json!({ "currencyCode": "KRW", "units": amount.to_string(), "nanos": 0 })
}

/// The answer, when it has this status; a panic that shows it otherwise.
#[track_caller]
pub(crate) fn with_status(status: u16, answer: Answer) -> Answer {
    assert_eq!(answer.status.as_u16(), status, "{answer}");
    answer
}

impl Deployment {
    /// Somebody new, with this balance.
    pub(crate) async fn member(&self, balance: i64) -> Member {
        let anyone = self.rest();
        let email = format!("{}@example.com", uuid::Uuid::now_v7().simple());
        let body = json!({ "email": email, "password": "correct horse", "displayName": "Guest" });
        let member = with_status(201, anyone.post("/v1/members", body).await.expect("an answer"));
        let rest = sign_in(&anyone, &email, "correct horse").await;
        let member = Member { rest, id: member.text("id") };
        if balance > 0 {
            let path = format!("/v1/members/{}/wallet:topUp", member.id);
            let body = json!({ "amount": won(balance), "cardToken": "tok_visa" });
            let wallet = member.rest.post(&path, body).await.expect("an answer");
            assert_eq!(with_status(200, wallet).number("balance/units"), Some(balance));
        }
        member
    }

    /// The seller, signed in.
    pub(crate) async fn seller(&self) -> Rest {
        self.signed_in("SELLER").await
    }

    /// The admin, signed in.
    pub(crate) async fn admin(&self) -> Rest {
        self.signed_in("ADMIN").await
    }

    async fn signed_in(&self, role: &str) -> Rest {
        let login = self.ground.logins.iter().find(|login| login.role == role).expect("a login");
        sign_in(&self.rest(), &login.email, &login.password).await
    }

    /// Something new on sale.
    pub(crate) async fn product(&self, price: i64, stock: i64) -> Product {
        let body = json!({ "displayName": "Bibimbap", "price": won(price), "stock": stock });
        let product = self.seller().await.post("/v1/products", body).await.expect("an answer");
        self.known(&with_status(201, product).text("id"))
    }

    /// Something that is on sale already.
    pub(crate) fn known(&self, id: &str) -> Product {
        Product { id: id.to_owned(), anyone: self.rest() }
    }
}

async fn sign_in(anyone: &Rest, email: &str, password: &str) -> Rest {
    let body = json!({ "email": email, "password": password });
    let session = anyone.post("/v1/sessions", body).await.expect("an answer");
    anyone.with_token(with_status(200, session).text("accessToken"))
}

impl Product {
    pub(crate) async fn stock(&self) -> Option<i64> {
        let product = self.anyone.get(&format!("/v1/products/{}", self.id)).await.ok()?;
        product.number("stock")
    }
}

impl Member {
    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.rest.get(path).await.expect("an answer")
    }

    /// Orders from the wallet, which is taken in any case; answers the order's id.
    pub(crate) async fn order(&self, product: &Product, quantity: i64) -> String {
        with_status(201, self.try_order(product, quantity).await).text("id")
    }

    pub(crate) async fn try_order(&self, product: &Product, quantity: i64) -> Answer {
        self.place(product, quantity, json!({ "paymentMethod": "WALLET" })).await
    }

    /// Orders by card, which is charged in the same call; answers the order.
    pub(crate) async fn order_by_card(&self, product: &Product, quantity: i64) -> Answer {
        with_status(201, self.try_order_by_card(product, quantity, "tok_visa").await)
    }

    pub(crate) async fn try_order_by_card(
        &self,
        product: &Product,
        quantity: i64,
        token: &str,
    ) -> Answer {
        let paid = json!({ "paymentMethod": "CARD", "cardToken": token });
        self.place(product, quantity, paid).await
    }

    /// Orders by bank transfer, to be confirmed by the seller; answers the order's id.
    pub(crate) async fn order_by_transfer(&self, product: &Product, quantity: i64) -> String {
        let placed = self.place(product, quantity, json!({ "paymentMethod": "BANK_TRANSFER" }));
        with_status(201, placed.await).text("id")
    }

    /// Orders so many of a product; `order` says the rest.
    pub(crate) async fn place(&self, product: &Product, quantity: i64, mut order: Value) -> Answer {
        order["lines"] = json!([{ "productId": product.id, "quantity": quantity }]);
        self.rest.post("/v1/orders", order).await.expect("an answer")
    }

    pub(crate) async fn cancel(&self, order: &str) -> Answer {
        self.rest.post(&format!("/v1/orders/{order}:cancel"), json!({})).await.expect("an answer")
    }

    pub(crate) async fn confirm_receipt(&self, order: &str) -> Answer {
        let path = format!("/v1/orders/{order}:confirmReceipt");
        self.rest.post(&path, json!({})).await.expect("an answer")
    }

    pub(crate) async fn balance(&self) -> Option<i64> {
        self.get(&format!("/v1/members/{}/wallet", self.id)).await.number("balance/units")
    }

    pub(crate) async fn order_state(&self, order: &str) -> String {
        self.get(&format!("/v1/orders/{order}")).await.text("state")
    }

    /// The states of the payments of an order; there should be one at most.
    pub(crate) async fn payments(&self, order: &str) -> Vec<String> {
        let answer = self.get(&format!("/v1/payments?orderId={order}")).await;
        states(&answer, "payments")
    }

    /// The states of the deliveries of an order; there should be one at most.
    pub(crate) async fn deliveries(&self, order: &str) -> Vec<String> {
        let answer = self.get(&format!("/v1/deliveries?orderId={order}")).await;
        states(&answer, "deliveries")
    }

    /// The entries of the member's mileage that have this `field`: `["100 EARNED"]`.
    pub(crate) async fn points(&self, field: &str, id: &str) -> Vec<String> {
        let path = format!("/v1/members/{}/mileage/entries?{field}={id}", self.id);
        points(&with_status(200, self.get(&path).await))
    }

    /// The labels of the milestones that My Page shows of an order.
    pub(crate) async fn history(&self, order: &str) -> Vec<String> {
        let view = self.get(&format!("/v1/mypage/{}/orders/{order}", self.id)).await;
        let history = view.body["history"].as_array().cloned().unwrap_or_default();
        history.iter().map(|m| m["label"].as_str().unwrap_or_default().to_owned()).collect()
    }

    pub(crate) async fn eventually_has(&self, balance: i64) {
        eventually(&format!("a balance of {balance}"), async || {
            same(self.balance().await, Some(balance))
        })
        .await;
    }

    pub(crate) async fn eventually_sees(&self, order: &str, state: &str) {
        eventually(&format!("the order {state}"), async || {
            same(self.order_state(order).await, state.to_owned())
        })
        .await;
    }

    pub(crate) async fn eventually_gets(&self, order: &str, delivery: &str) {
        eventually(&format!("one delivery, {delivery}"), async || {
            same(self.deliveries(order).await, vec![delivery.to_owned()])
        })
        .await;
    }
}

impl Product {
    pub(crate) async fn eventually_has(&self, stock: i64) {
        eventually(&format!("a stock of {stock}"), async || same(self.stock().await, Some(stock)))
            .await;
    }
}

/// The states of what an answer lists.
pub(crate) fn states(answer: &Answer, list: &str) -> Vec<String> {
    let items = answer.body[list].as_array().cloned().unwrap_or_default();
    items.iter().map(|item| item["state"].as_str().unwrap_or_default().to_owned()).collect()
}

/// What payments earned, of the entries of a mileage, from whoever shows them: `["100 EARNED"]`.
pub(crate) fn points(answer: &Answer) -> Vec<String> {
    let entries = answer.body["entries"].as_array().expect("entries");
    let one = |entry: &Value| format!("{} {}", entry["points"], entry["state"]).replace('"', "");
    entries.iter().filter(|entry| entry["kind"] == "EARN").map(one).collect()
}

/// Not now, without effect, and when to come again.
#[track_caller]
pub(crate) fn refused_for_now(answer: &Answer) {
    assert_eq!(answer.status.as_u16(), 503, "{answer}");
    assert!(answer.headers.contains_key("retry-after"), "{answer}");
}

/// For `eventually`: what was seen, unless it is what should be.
#[expect(clippy::needless_pass_by_value, reason = "reads as a comparison of two values")]
pub(crate) fn same<T: PartialEq + std::fmt::Debug>(seen: T, wanted: T) -> Result<(), String> {
    if seen == wanted { Ok(()) } else { Err(format!("{seen:?}")) }
}
