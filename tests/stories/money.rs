//! Whatever comes in is in the books until it is spent or given back.

use app::rest::{Answer, Rest};
use serde_json::{Value, json};

use super::shop::{self, refused};
use crate::{
    deployment::{Deployment, eventually},
    people::{Member, Product, same, with_status},
};

const PRICE: i64 = 1_000;
const STOCK: i64 = 100;

/// A deployment with something on sale, a member, the seller and the admin.
struct Shop {
    deployment: Deployment,
    product: Product,
    member: Member,
    seller: Rest,
    admin: Rest,
}

impl Shop {
    async fn open(story: &str, balance: i64) -> Self {
        let deployment = Deployment::open(story).await;
        let product = deployment.product(PRICE, STOCK).await;
        let (member, seller) = (deployment.member(balance).await, deployment.seller().await);
        let admin = deployment.admin().await;
        Self { deployment, product, member, seller, admin }
    }

    /// An order whose deposit the seller has confirmed, on its way.
    async fn paid_by_transfer(&self, quantity: i64) -> String {
        let shop::Transfer { order, payment } = self.member.transfer(&self.product, quantity).await;
        with_status(200, shop::confirm(&self.seller, &payment, PRICE * quantity).await);
        self.member.eventually_sees(&order, "DELIVERING").await;
        order
    }

    /// What My Page says of the refunds of an order, once it says this.
    async fn eventually_gives_back(&self, order: &str, refunds: &[(&str, i64, &str)]) {
        let path = format!("/v1/mypage/{}/orders/{order}", self.member.id);
        let wanted: Vec<_> =
            refunds.iter().map(|(tender, won, state)| format!("{tender} {won} {state}")).collect();
        eventually(&format!("refunds {wanted:?}"), async || {
            let view = self.member.get(&path).await;
            let refunds = view.body["refunds"].as_array().cloned().unwrap_or_default();
            let of = |it: &Value, field: &str| it[field].as_str().unwrap_or_default().to_owned();
            let seen = refunds.iter().map(|it| {
                let won = it["amount"]["units"].as_str().unwrap_or_default();
                format!("{} {won} {}", of(it, "tender"), of(it, "state"))
            });
            same(seen.collect(), wanted.clone())
        })
        .await;
    }
}

async fn cancel(who: &Rest, order: &str, body: Value) -> Answer {
    who.post(&format!("/v1/orders/{order}:cancel"), body).await.expect("an answer")
}

fn account(number: &str) -> Value {
    json!({ "bankCode": "004", "accountNumber": number, "holder": "Kim" })
}

#[tokio::test(flavor = "multi_thread")]
async fn the_shop_cancels_a_confirmed_transfer_and_the_money_goes_where_it_is_told() {
    let shop = Shop::open("shop_cancels_a_transfer", 0).await;

    let order = shop.paid_by_transfer(3).await;
    refused(409, "DEPOSIT_CONFIRMED", &shop.member.cancel(&order).await);
    let cancelled = with_status(200, cancel(&shop.seller, &order, json!({})).await);
    assert_eq!(cancelled.text("cancelReason"), "SHOP_REQUEST", "{cancelled}");
    shop.member.eventually_has(3 * PRICE).await;
    shop.eventually_gives_back(&order, &[("WALLET", 3 * PRICE, "REFUNDED")]).await;

    let order = shop.paid_by_transfer(2).await;
    let to = json!({ "reason": "damaged", "refundAccount": account("110-234-567890") });
    with_status(200, cancel(&shop.admin, &order, to.clone()).await);
    shop.eventually_gives_back(&order, &[("BANK_TRANSFER", 2 * PRICE, "REFUNDED")]).await;
    // However often it is asked, it happens once.
    with_status(200, cancel(&shop.admin, &order, to).await);

    // An account that nothing can be sent to.
    let order = shop.paid_by_transfer(1).await;
    let wrong = json!({ "refundAccount": account("11") });
    let wrong = with_status(400, cancel(&shop.seller, &order, wrong).await);
    assert_eq!(wrong.text("violations/0/field"), "refundAccount.accountNumber", "{wrong}");
    assert_eq!(shop.member.order_state(&order).await, "DELIVERING");
    let closed = json!({ "refundAccount": account("110-234-560000") });
    with_status(200, cancel(&shop.seller, &order, closed).await);
    shop.eventually_gives_back(&order, &[("WALLET", PRICE, "REFUNDED")]).await;

    shop.member.eventually_has(4 * PRICE).await;
    shop.product.eventually_has(STOCK).await;
    shop.deployment.all_holds().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_shop_cancels_whatever_is_not_closed() {
    let shop = Shop::open("shop_cancels", 10 * PRICE).await;

    let wallet = shop.member.order(&shop.product, 1).await;
    let card = shop.member.order_by_card(&shop.product, 1).await.text("id");
    let waiting = shop.member.transfer(&shop.product, 1).await.order;
    for (order, refunds) in [
        (&wallet, &[("WALLET", PRICE, "REFUNDED")][..]),
        (&card, &[("CARD", PRICE, "REFUNDED")]),
        (&waiting, &[]),
    ] {
        let cancelled = with_status(200, cancel(&shop.seller, order, json!({})).await);
        assert_eq!(cancelled.text("cancelReason"), "SHOP_REQUEST", "{cancelled}");
        shop.eventually_gives_back(order, refunds).await;
    }
    let refunds = shop.member.get(&format!("/v1/payments?orderId={card}")).await;
    assert_eq!(refunds.text("payments/0/refunds/0/state"), "REFUNDED", "{refunds}");

    let closed = shop.member.order(&shop.product, 1).await;
    shop.member.eventually_sees(&closed, "DELIVERING").await;
    with_status(200, shop.member.confirm_receipt(&closed).await);
    refused(409, "ORDER_CLOSED", &cancel(&shop.seller, &closed, json!({})).await);
    shop.product.eventually_has(STOCK - 1).await;
    shop.deployment.all_holds().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_that_costs_nothing_is_paid_at_once_by_whatever_method() {
    let shop = Shop::open("costs_nothing", 0).await;
    let free = shop.deployment.product(0, 10).await;
    let card = shop.member.order_by_card(&free, 1).await.text("id");
    let transfer = shop.member.order_by_transfer(&free, 1).await;
    let wallet = shop.member.order(&free, 1).await;
    for order in [&card, &transfer, &wallet] {
        shop.member.eventually_sees(order, "DELIVERING").await;
    }
    free.eventually_has(7).await;
    with_status(200, cancel(&shop.seller, &transfer, json!({})).await);
    free.eventually_has(8).await;
    shop.eventually_gives_back(&transfer, &[]).await;
    shop.deployment.all_holds().await;
}
