//! What was taken is played to its end: orders are delivered and cancelled, stock and
//! money come back, and after all of it the shop is as well as before.

use app::run::SERVICES;
use http::Method;
use serde_json::{Value, json};

use super::shop::Shop;
use crate::{
    deployment::eventually,
    people::{Member, Product, same, with_status, won},
};

/// An order that was set going.
pub(crate) struct Saga {
    order: String,
    end: End,
}

/// Where it ends.
#[expect(clippy::large_enum_variant, reason = "a handful of them")]
enum End {
    /// It is delivered, cancelled, and gives back what it took.
    GivenBack {
        product: Product,
        stock: i64,
    },
    /// It is delivered, and cancelled.
    Taken,
    /// It is delivered; it cannot be cancelled any more.
    Delivered,
    Cancelled,
}

impl Shop {
    /// Sets going what follows from a call that was answered.
    pub(crate) async fn remember(&mut self, call: &str, request: &Value, answer: Option<Value>) {
        let Some(answer) = answer else { return };
        let text = |of: &Value, field: &str| of[field].as_str().unwrap_or_default().to_owned();
        let name = text(&answer, "displayName");
        assert!(name.trim() == name && name.chars().count() <= 200, "{call}: {name:?}");
        let saga = match call {
            "UpdateProduct" if answer["state"] != "ON_SALE" => return,
            "RegisterProduct" | "UpdateProduct" | "RestockProduct" | "AdjustStock" => {
                self.sell(&answer).await
            }
            "PlaceOrder" => Saga {
                order: text(&answer, "id"),
                end: match answer["paymentMethod"].as_str() {
                    Some("BANK_TRANSFER") => End::Cancelled,
                    _ => End::Taken,
                },
            },
            "ConfirmDeposit" => Saga { order: text(&answer, "orderId"), end: End::Delivered },
            "CancelOrder" | "CancelPayment" => {
                Saga { order: text(request, "orderId"), end: End::Cancelled }
            }
            _ => return,
        };
        if answer["paymentMethod"] == "BANK_TRANSFER" {
            self.member.eventually_sees(&saga.order, "AWAITING_DEPOSIT").await;
            with_status(200, self.member.cancel(&saga.order).await);
        }
        self.sagas.push(saga);
    }

    /// Orders some of a product, and restocks as much.
    async fn sell(&self, product: &Value) -> Saga {
        let id = product["id"].as_str().expect("an id");
        // What is 0 is left out.
        let stock = product["stock"].as_i64().unwrap_or_default();
        let (product, units) = (self.deployment.known(id), stock.min(10));
        let order = self.member.buys(std::slice::from_ref(&product.id), units.max(1)).await;
        if units == 0 {
            return Saga { order, end: End::Cancelled };
        }
        product.eventually_has(stock - units).await;
        with_status(200, self.restock(&product, units).await);
        Saga { order, end: End::GivenBack { product, stock: stock + units } }
    }

    /// An order is dispatched, and arrives.
    pub(crate) async fn arrive(&self, order: &str) {
        self.member.eventually_sees(order, "DELIVERING").await;
        let delivery = self.member.get(&format!("/v1/deliveries?orderId={order}")).await;
        let delivery = delivery.text("deliveries/0/id");
        let path = format!("/v1/deliveries/{delivery}:dispatch");
        let body = json!({ "carrier": "CJ", "trackingNumber": delivery });
        with_status(200, self.seller().post(&path, body).await.expect("an answer"));
        let path = format!("/v1/deliveries/{delivery}:markDelivered");
        with_status(200, self.seller().post(&path, json!({})).await.expect("an answer"));
        self.member.eventually_sees(order, "DELIVERED").await;
    }

    pub(crate) async fn restock(&self, product: &Product, units: i64) -> app::rest::Answer {
        let path = format!("/v1/products/{}:restock", product.id);
        self.seller().post(&path, json!({ "quantity": units })).await.expect("an answer")
    }

    /// Everything that was set going ends as it should, and the shop is well.
    pub(crate) async fn all_ends_well(&mut self) {
        for Saga { order, end } in std::mem::take(&mut self.sagas) {
            match end {
                End::Cancelled => self.member.eventually_sees(&order, "CANCELLED").await,
                End::Delivered => {
                    self.member.eventually_sees(&order, "DELIVERING").await;
                    with_status(200, self.member.confirm_receipt(&order).await);
                }
                End::Taken => self.member.has_and_cancels(&order).await,
                End::GivenBack { product, stock } => {
                    self.member.has_and_cancels(&order).await;
                    product.eventually_has(stock).await;
                }
            }
        }
        self.is_well().await;
    }

    /// All are up, a new order goes through, and all that must hold holds.
    pub(crate) async fn is_well(&self) {
        for part in SERVICES.iter().map(|service| service.name).chain(["gateway"]) {
            assert!(self.deployment.is_ready(part).await, "{part} is not ready");
        }
        let (somebody, product) =
            (self.deployment.member(1_000).await, self.deployment.product(1_000, 1).await);
        let order = somebody.order(&product, 1).await;
        somebody.eventually_sees(&order, "DELIVERING").await;
        eventually("My Page with the order", async || {
            let view = somebody.get(&format!("/v1/mypage/{}/orders/{order}", somebody.id)).await;
            same(view.text("state"), "DELIVERING".to_owned())
        })
        .await;
        self.deployment.all_holds().await;
    }

    /// A new product of this name, and so many of it.
    pub(crate) async fn on_sale(&self, name: &str, stock: i64) -> app::rest::Answer {
        let body = json!({ "displayName": name, "price": won(1_000), "stock": stock });
        // The same key makes the same product, however often it takes.
        let key = uuid::Uuid::now_v7().to_string();
        let (seller, path, key) = (self.seller(), "/v1/products", [("idempotency-key", &*key)]);
        let made = eventually("a product", async || {
            let answer = seller.send(Method::POST, path, Some(body.clone()), &key).await;
            let answer = answer.expect("an answer");
            if answer.status == 503 { Err(answer.to_string()) } else { Ok(answer) }
        });
        with_status(201, made.await)
    }
}

impl Member {
    /// The order is delivered, and cancelled all the same.
    pub(crate) async fn has_and_cancels(&self, order: &str) {
        self.eventually_sees(order, "DELIVERING").await;
        with_status(200, self.cancel(order).await);
        self.eventually_sees(order, "CANCELLED").await;
        self.eventually_gets(order, "CANCELLED").await;
    }

    /// Orders by card so many of each; the order's id.
    pub(crate) async fn buys(&self, products: &[String], quantity: i64) -> String {
        let line = |product| json!({ "productId": product, "quantity": quantity });
        let lines: Vec<_> = products.iter().map(line).collect();
        let order = json!({ "paymentMethod": "CARD", "cardToken": "tok_visa", "lines": lines });
        self.places(&order).await
    }

    /// Places an order; where payment cannot be asked in time, there is none, and it asks again.
    pub(crate) async fn places(&self, order: &Value) -> String {
        let placed = eventually("an order", async || {
            let answer = self.rest.post("/v1/orders", order.clone()).await.expect("an answer");
            if answer.status == 503 { Err(answer.to_string()) } else { Ok(answer) }
        });
        with_status(201, placed.await).text("id")
    }
}
