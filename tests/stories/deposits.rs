//! A deposit is a thing of its own: it pays what it is for, or is held until somebody says whose
//! it is.

use std::time::Duration;

use app::rest::{Answer, Rest};
use http::Method;
use serde_json::{Value, json};

use super::shop::{self, refused};
use crate::{
    deployment::{Deployment, eventually},
    people::{Member, Product, refused_for_now, same, with_status, won},
};

const PRICE: i64 = 1_000;
const STOCK: i64 = 100;

struct Bank {
    deployment: Deployment,
    product: Product,
    member: Member,
    seller: Rest,
}

/// A payment that waits, and what the depositor is told to write.
struct Waiting {
    order: String,
    payment: String,
    reference: String,
}

impl Bank {
    async fn open(story: &str) -> Self {
        Self::on(Deployment::open(story).await).await
    }

    /// With one process per service.
    async fn split(story: &str) -> Self {
        Self::on(Deployment::split(story).await).await
    }

    async fn on(deployment: Deployment) -> Self {
        let product = deployment.product(PRICE, STOCK).await;
        let (member, seller) = (deployment.member(0).await, deployment.seller().await);
        Self { deployment, product, member, seller }
    }

    async fn waiting(&self, product: &Product, quantity: i64) -> Waiting {
        let shop::Transfer { order, payment } = self.member.transfer(product, quantity).await;
        let reference = self.seller.get(&format!("/v1/payments/{payment}")).await;
        let reference = reference.expect("an answer").text("depositReference");
        Waiting { order, payment, reference }
    }

    /// The bank says that this has arrived.
    async fn arrives(&self, transaction: &str, won_: i64, reference: &str) -> Answer {
        let body = json!({
            "bankTransactionId": transaction, "amount": won(won_), "depositorName": "Kim",
            "reference": reference,
        });
        self.seller.post("/v1/deposits", body).await.expect("an answer")
    }

    async fn end(&self, deposit: &str, verb: &str, body: Value) -> Answer {
        let path = format!("/v1/deposits/{deposit}:{verb}");
        self.seller.post(&path, body).await.expect("an answer")
    }

    async fn eventually_is(&self, deposit: &str, wanted: &str) {
        eventually(&format!("a deposit {wanted}"), async || {
            let now = self.seller.get(&format!("/v1/deposits/{deposit}")).await;
            same(is(&now.expect("an answer")), wanted.to_owned())
        })
        .await;
    }

    async fn payment_state(&self, payment: &str) -> String {
        self.member.get(&format!("/v1/payments/{payment}")).await.text("state")
    }
}

/// `HELD SHORT 0+400`: its state, why it is held, how much is matched and held.
fn is(deposit: &Answer) -> String {
    let won = |field: &str| deposit.text(&format!("{field}/units"));
    let reason = deposit.text("heldReason");
    let reason = if reason == "HELD_REASON_UNSPECIFIED" { "-" } else { &reason };
    let (state, matched, held) = (deposit.text("state"), won("matchedAmount"), won("heldAmount"));
    format!("{state} {reason} {matched}+{held}")
}

fn account(number: &str) -> Value {
    json!({ "account": { "bankCode": "004", "accountNumber": number, "holder": "Kim" } })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deposit_with_the_reference_pays_in_the_same_call() {
    let bank = Bank::open("deposit_matched").await;
    let Waiting { order, payment, reference } = bank.waiting(&bank.product, 3).await;
    let deposit = with_status(201, bank.arrives("tx 1", 3_000, &reference).await);
    assert_eq!(is(&deposit), "MATCHED - 3000+0", "{deposit}");
    assert_eq!(deposit.text("paymentId"), payment, "{deposit}");
    assert_eq!(bank.payment_state(&payment).await, "DONE");
    assert_eq!(bank.product.stock().await, Some(STOCK - 3));
    bank.member.eventually_sees(&order, "DELIVERING").await;
    assert_eq!(bank.member.points("paymentId", &payment).await, ["30 EARNED"]);

    // The same transaction again is the same deposit; with another amount it is a mistake.
    let again = with_status(200, bank.arrives("tx 1", 3_000, &reference).await);
    assert_eq!(again.text("id"), deposit.text("id"));
    refused(409, "DEPOSIT_DIFFERS", &bank.arrives("tx 1", 2_999, &reference).await);
    // A command is answered as it was the first time: who recorded it, and who was told that it is.
    for (key, status) in [("one", 201), ("other", 200), ("one", 201), ("other", 200)] {
        let body = json!({
            "bankTransactionId": "tx 0", "amount": won(7), "depositorName": "Kim",
        });
        let headers = [("idempotency-key", key)];
        let sent = bank.seller.send(Method::POST, "/v1/deposits", Some(body), &headers).await;
        with_status(status, sent.expect("an answer"));
    }
    // Another one for the same payment is one too many.
    let twice = with_status(201, bank.arrives("tx 2", 3_000, &reference).await);
    assert_eq!(is(&twice), "HELD DUPLICATE 0+3000", "{twice}");
    let denied = bank.member.rest.get("/v1/deposits").await.expect("an answer");
    assert_eq!(denied.status.as_u16(), 403, "{denied}");
    bank.deployment.all_holds().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deposit_without_a_reference_pays_the_only_one_that_it_can_be_for() {
    let bank = Bank::open("deposit_by_name").await;
    let order = async |name: &str| {
        let body = json!({
            "paymentMethod": "BANK_TRANSFER", "depositorName": name,
            "lines": [{ "productId": bank.product.id, "quantity": 1 }],
        });
        let order = bank.member.rest.post("/v1/orders", body).await.expect("an answer");
        let order = with_status(201, order).text("id");
        bank.member.eventually_sees(&order, "AWAITING_DEPOSIT").await;
        order
    };
    let other = with_status(201, bank.arrives("tx 1", 1_000, "").await);
    assert_eq!(is(&other), "HELD UNMATCHED 0+1000", "nobody waits: {other}");
    let (kim, _) = (order("Kim").await, order("Lee").await);
    let mut transaction = 1;
    // Payment learns of the name a little later than of the order.
    eventually("a match by name", async || {
        transaction += 1;
        let deposit = bank.arrives(&format!("tx {transaction}"), 1_000, "").await;
        same(deposit.text("orderId"), kim.clone())
    })
    .await;
    bank.member.eventually_sees(&kim, "DELIVERING").await;

    let _ = (order("Kim").await, order("Kim").await);
    let either = with_status(201, bank.arrives("tx either", 1_000, "").await);
    assert_eq!(is(&either), "HELD UNMATCHED 0+1000", "it may be either's: {either}");
    let wrong = with_status(201, bank.arrives("tx wrong", 1_000, "HS-000002").await);
    assert_eq!(is(&wrong), "HELD UNMATCHED 0+1000", "{wrong}");
    bank.deployment.all_holds().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn parts_add_up_and_what_is_too_much_is_held() {
    let bank = Bank::open("deposit_parts").await;
    let Waiting { order, payment, reference } = bank.waiting(&bank.product, 3).await;
    let short = with_status(201, bank.arrives("tx 1", 1_200, &reference).await);
    assert_eq!(is(&short), "HELD SHORT 0+1200", "{short}");
    assert_eq!(bank.payment_state(&payment).await, "WAITING_FOR_DEPOSIT");
    let much = with_status(201, bank.arrives("tx 2", 1_801, &reference).await);
    assert_eq!(is(&much), "HELD EXCESS 0+1801", "{much}");
    let rest = with_status(201, bank.arrives("tx 3", 1_800, &reference).await);
    assert_eq!(is(&rest), "MATCHED - 1800+0", "{rest}");
    bank.eventually_is(&short.text("id"), "MATCHED - 1200+0").await;
    bank.member.eventually_sees(&order, "DELIVERING").await;

    // By hand, what is too much pays what is due, and the rest is held.
    let another = bank.waiting(&bank.product, 1).await;
    let by_hand = json!({ "paymentId": another.payment });
    let matched = with_status(200, bank.end(&much.text("id"), "match", by_hand.clone()).await);
    assert_eq!(is(&matched), "HELD EXCESS 1000+801", "{matched}");
    assert_eq!(bank.payment_state(&another.payment).await, "DONE");
    refused(409, "DEPOSIT_NOT_HELD", &bank.end(&rest.text("id"), "match", by_hand).await);
    let id = much.text("id");
    let sent = with_status(200, bank.end(&id, "refund", account("110-234-567890")).await);
    assert_eq!(is(&sent), "REFUNDING EXCESS 1000+0", "{sent}");
    bank.eventually_is(&id, "REFUNDED EXCESS 1000+0").await;
    refused(409, "DEPOSIT_NOT_HELD", &bank.end(&id, "credit", json!({})).await);
    bank.deployment.all_holds().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_comes_too_late_or_for_nothing_is_held_and_given_back_once() {
    let mut bank = Bank::split("deposit_held").await;
    bank.deployment.kill("payment");
    bank.deployment.start_with_clock("payment").await;

    let cancelled = bank.waiting(&bank.product, 2).await;
    let part = with_status(201, bank.arrives("tx 1", 500, &cancelled.reference).await);
    with_status(200, bank.member.cancel(&cancelled.order).await);
    bank.eventually_is(&part.text("id"), "HELD ORDER_CANCELLED 0+500").await;
    let after = with_status(201, bank.arrives("tx 2", 2_000, &cancelled.reference).await);
    assert_eq!(is(&after), "HELD ORDER_CANCELLED 0+2000", "{after}");

    let scarce = bank.deployment.product(PRICE, 1).await;
    let (one, another) = (bank.waiting(&scarce, 1).await, bank.waiting(&scarce, 1).await);
    let deposit = with_status(201, bank.arrives("tx 3", 1_000, &one.reference).await);
    assert_eq!(is(&deposit), "MATCHED - 1000+0", "{deposit}");
    let gone = with_status(201, bank.arrives("tx 4", 1_000, &another.reference).await);
    assert_eq!(is(&gone), "HELD OUT_OF_STOCK 0+1000", "{gone}");
    bank.member.eventually_sees(&another.order, "CANCELLED").await;
    assert_eq!(bank.member.cancel_reason(&another.order).await, "OUT_OF_STOCK");
    // The same by the seller's confirmation, which says no however often it is asked.
    let third = bank.waiting(&scarce, 1).await;
    for _ in 0..2 {
        refused(409, "OUT_OF_STOCK", &shop::confirm(&bank.seller, &third.payment, 1_000).await);
    }
    let held = bank.seller.get("/v1/deposits?state=HELD").await.expect("an answer");
    assert_eq!(held.body["deposits"].as_array().map(Vec::len), Some(4), "{held}");

    let late = bank.waiting(&bank.product, 1).await;
    bank.deployment.time_passes("payment", Duration::from_hours(7 * 24)).await;
    let late = with_status(201, bank.arrives("tx 5", 1_000, &late.reference).await);
    assert_eq!(is(&late), "HELD LATE 0+1000", "{late}");

    // A wallet has it at once, a bank account a little later, or not at all.
    let credited = with_status(200, bank.end(&gone.text("id"), "credit", json!({})).await);
    assert_eq!(is(&credited), "CREDITED OUT_OF_STOCK 0+0", "{credited}");
    let id = late.text("id");
    with_status(200, bank.end(&id, "refund", account("110-234-560000")).await);
    bank.eventually_is(&id, "HELD LATE 0+1000").await;
    let nobody = with_status(201, bank.arrives("tx 6", 700, "").await).text("id");
    let whose = with_status(400, bank.end(&nobody, "credit", json!({})).await);
    assert_eq!(whose.text("violations/0/field"), "memberId", "{whose}");
    let member = json!({ "memberId": bank.deployment.member(0).await.id });
    with_status(200, bank.end(&nobody, "credit", member).await);
    bank.deployment.all_holds().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_came_twice_and_what_it_paid_go_back_each_by_a_payout_of_its_own() {
    let bank = Bank::open("deposit_twice_and_cancelled").await;
    let Waiting { order, payment, reference } = bank.waiting(&bank.product, 2).await;
    with_status(201, bank.arrives("tx 1", 2_000, &reference).await);
    let twice = with_status(201, bank.arrives("tx 2", 1_500, &reference).await).text("id");
    bank.member.eventually_sees(&order, "DELIVERING").await;
    with_status(200, bank.end(&twice, "refund", account("110-234-567890")).await);
    let to = json!({ "refundAccount": account("110-234-567890")["account"] });
    let cancelled = bank.seller.post(&format!("/v1/orders/{order}:cancel"), to).await;
    with_status(200, cancelled.expect("an answer"));
    bank.eventually_is(&twice, "REFUNDED DUPLICATE 0+0").await;
    bank.member.eventually_sees(&order, "CANCELLED").await;
    assert_eq!(bank.payment_state(&payment).await, "CANCELLED");
    bank.deployment.all_holds().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deposit_is_recorded_when_product_is_back() {
    let mut bank = Bank::split("deposit_without_product").await;
    let Waiting { order, payment, reference } = bank.waiting(&bank.product, 1).await;
    bank.deployment.kill("product");
    refused_for_now(&bank.arrives("tx 1", 1_000, &reference).await);
    assert_eq!(bank.payment_state(&payment).await, "WAITING_FOR_DEPOSIT");
    bank.deployment.start("product").await;
    let deposit = eventually("a deposit", async || {
        let answer = bank.arrives("tx 1", 1_000, &reference).await;
        if answer.status.is_success() { Ok(answer) } else { Err(answer.to_string()) }
    })
    .await;
    assert_eq!(is(&deposit), "MATCHED - 1000+0", "{deposit}");
    bank.member.eventually_sees(&order, "DELIVERING").await;
    bank.deployment.all_holds().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_confirmation_leaves_a_matched_deposit_and_is_repeated_only_as_it_was() {
    let bank = Bank::open("deposit_confirmed").await;
    let Waiting { payment, reference, .. } = bank.waiting(&bank.product, 1).await;
    with_status(200, shop::confirm(&bank.seller, &payment, 1_000).await);
    with_status(200, shop::confirm(&bank.seller, &payment, 1_000).await);
    refused(409, "DEPOSIT_CONFIRMED", &shop::confirm(&bank.seller, &payment, 5).await);
    let deposits = bank.seller.get(&format!("/v1/deposits?reference={reference}")).await;
    let deposits = deposits.expect("an answer");
    assert_eq!(deposits.body["deposits"].as_array().map(Vec::len), Some(1), "{deposits}");
    assert_eq!(deposits.text("deposits/0/state"), "MATCHED", "{deposits}");
    bank.deployment.all_holds().await;
}
