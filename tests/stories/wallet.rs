//! The wallet story: a prepaid balance buys goods; cancelling restores balance
//! and stock; nothing is ever taken twice or lost, whoever dies meanwhile.

use crate::{
    deployment::{Deployment, eventually},
    people::{Member, Product, same, with_status},
};

const PRICE: i64 = 1_000;
const STOCK: i64 = 1_000;
const BALANCE: i64 = 999_999;

/// A product at 1000 with stock 1000; a balance of 999999.
async fn background(deployment: Deployment) -> (Deployment, Product, Member) {
    let product = deployment.product(PRICE, STOCK).await;
    let member = deployment.member(BALANCE).await;
    (deployment, product, member)
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_takes_money_and_stock_and_a_cancellation_gives_both_back() {
    let (deployment, product, member) =
        background(Deployment::open("ordering_and_cancelling").await).await;

    let order = member.order(&product, 10).await;
    member.eventually_sees(&order, "DELIVERING").await;
    member.eventually_has(989_999).await;
    product.eventually_has(990).await;
    member.eventually_gets(&order, "STARTED").await;
    assert_eq!(member.payments(&order).await, ["DONE"]);
    let passed = ["주문접수", "입금확인완료", "상품준비완료", "배송중"];
    eventually("My Page with every milestone", async || {
        same(member.history(&order).await, passed.map(str::to_owned).to_vec())
    })
    .await;

    with_status(200, member.cancel(&order).await);
    member.eventually_has(BALANCE).await;
    product.eventually_has(STOCK).await;
    member.eventually_gets(&order, "CANCELLED").await;
    assert_eq!(member.payments(&order).await, ["CANCELLED"]);

    // However often it is asked, it happens once.
    with_status(200, member.cancel(&order).await);
    assert_eq!(member.order_state(&order).await, "CANCELLED");
    assert_eq!((member.balance().await, product.stock().await), (Some(BALANCE), Some(STOCK)));
    eventually("My Page with the cancellation", async || {
        same(member.history(&order).await.last().cloned(), Some("주문취소".to_owned()))
    })
    .await;
    deployment.all_holds().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn too_little_stock_reverts_the_debit_in_full() {
    let (deployment, _, member) = background(Deployment::open("too_little_stock").await).await;
    let scarce = deployment.product(PRICE, 9).await;

    let order = member.order(&scarce, 10).await;
    member.eventually_sees(&order, "CANCELLED").await;
    let reason = member.get(&format!("/v1/orders/{order}")).await.text("cancelReason");
    assert_eq!(reason, "OUT_OF_STOCK");
    member.eventually_has(BALANCE).await;
    eventually("the payment cancelled", async || {
        same(member.payments(&order).await, vec!["CANCELLED".to_owned()])
    })
    .await;
    assert_eq!(scarce.stock().await, Some(9));
    assert_eq!(member.deliveries(&order).await, [""; 0]);
    deployment.all_holds().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn too_little_balance_cancels_the_order_and_leaves_the_stock() {
    let (deployment, product, _) = background(Deployment::open("too_little_balance").await).await;
    let poor = deployment.member(999).await;

    let order = poor.order(&product, 1).await;
    poor.eventually_sees(&order, "CANCELLED").await;
    let reason = poor.get(&format!("/v1/orders/{order}")).await.text("cancelReason");
    assert_eq!(reason, "INSUFFICIENT_BALANCE");
    assert_eq!((poor.balance().await, product.stock().await), (Some(999), Some(STOCK)));
    assert_eq!(poor.deliveries(&order).await, [""; 0]);
    deployment.all_holds().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn my_page_lists_both_orders_while_the_order_service_is_down() {
    let (mut deployment, product, member) =
        background(Deployment::split("my_page_without_order").await).await;
    let orders = [member.order(&product, 1).await, member.order(&product, 2).await];
    for order in &orders {
        member.eventually_sees(order, "DELIVERING").await;
    }
    let path = format!("/v1/mypage/{}/orders", member.id);
    let listed = async || {
        let page = member.get(&path).await;
        let list = page.body["orders"].as_array().cloned().unwrap_or_default();
        list.iter()
            .map(|order| format!("{} {}", order["orderId"], order["stateLabel"]))
            .collect::<Vec<_>>()
    };
    let expected: Vec<_> =
        orders.iter().rev().map(|order| format!("\"{order}\" \"배송중\"")).collect();
    eventually("both orders on My Page", async || same(listed().await, expected.clone())).await;

    deployment.kill("order");
    let answer = with_status(503, member.get("/v1/orders").await);
    assert!(answer.headers.contains_key("retry-after"), "{answer}");
    assert_eq!(listed().await, expected);

    deployment.start("order").await;
    eventually("the orders again", async || {
        same(member.get("/v1/orders").await.status.as_u16(), 200)
    })
    .await;
    deployment.all_holds().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_goes_on_where_a_killed_service_left_it() {
    let (mut deployment, product, member) =
        background(Deployment::split("killed_services").await).await;
    for part in ["payment", "product", "delivery", "order", "mypage"] {
        deployment.kill(part);
        if part == "order" {
            deployment.start(part).await;
        }
        let order = member.order(&product, 1).await;
        if part != "order" {
            deployment.start(part).await;
        }
        member.eventually_sees(&order, "DELIVERING").await;
        member.eventually_gets(&order, "STARTED").await;
        assert_eq!(member.payments(&order).await, ["DONE"], "{part}");
    }
    member.eventually_has(BALANCE - 5 * PRICE).await;
    product.eventually_has(STOCK - 5).await;
    deployment.all_holds().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_ledger_sums_to_zero_and_a_balance_is_the_sum_of_its_entries() {
    let (deployment, product, member) = background(Deployment::open("ledger").await).await;
    let scarce = deployment.product(PRICE, 0).await;
    let kept = member.order(&product, 3).await;
    let cancelled = member.order(&product, 10).await;
    let short = member.order(&scarce, 1).await;
    let refused = member.order(&product, STOCK).await;
    for (order, state) in [
        (&kept, "DELIVERING"),
        (&cancelled, "DELIVERING"),
        (&short, "CANCELLED"),
        (&refused, "CANCELLED"),
    ] {
        member.eventually_sees(order, state).await;
    }
    with_status(200, member.cancel(&cancelled).await);
    member.eventually_has(BALANCE - 3 * PRICE).await;

    let entries = member.get(&format!("/v1/members/{}/wallet/entries", member.id)).await;
    let amounts = entries.body["entries"].as_array().expect("entries").iter().map(|entry| {
        let units = entry["amount"]["units"].as_str().expect("won");
        units.parse::<i64>().expect("a number")
    });
    // Topped up; paid three orders, of which two came back.
    let mut amounts: Vec<_> = amounts.collect();
    assert_eq!(Some(amounts.iter().sum()), member.balance().await);
    amounts.sort_unstable();
    assert_eq!(amounts, [-10_000, -3_000, -1_000, 1_000, 10_000, BALANCE]);

    let payment = deployment.database("payment").await;
    let one_sided = payment
        .query_one(
            "select count(*) from (select from ledger_entry group by transaction_id \
             having sum(amount_minor) <> 0 or count(*) < 2) as one_sided",
            &[],
        )
        .await
        .expect("the ledger can be read");
    assert_eq!(one_sided.get::<_, i64>(0), 0);
    let rewritten = payment.execute("update ledger_entry set amount_minor = 0", &[]).await;
    assert!(rewritten.is_err(), "the ledger was rewritten");
    deployment.all_holds().await;
}
