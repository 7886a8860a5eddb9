//! Leaving: not with orders or money open; the address is free again, and personal data is erased some
//! days later.

use std::time::Duration;

use app::rest::{Answer, Rest};
use serde_json::json;

use super::shop::{self, refused};
use crate::{
    deployment::{Deployment, eventually},
    people::{Member, refused_for_now, same, with_status, won},
};

async fn withdraw(member: &Member) -> Answer {
    let path = format!("/v1/members/{}:withdraw", member.id);
    member.rest.post(&path, json!({})).await.expect("an answer")
}

async fn pay_out(who: &Rest, member: &str, amount: i64) -> Answer {
    let account = json!({
        "bankCode": "004", "accountNumber": "110-234-567890", "holder": "Kim",
    });
    let body = json!({ "amount": won(amount), "account": account });
    who.post(&format!("/v1/members/{member}/wallet:payOut"), body).await.expect("an answer")
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_leaves_with_orders_or_money_open() {
    let mut deployment = Deployment::split("leaving").await;
    let (admin, seller) = (deployment.admin().await, deployment.seller().await);
    let product = deployment.product(1_000, 10).await;
    let member = deployment.member(5_000).await;

    let order = member.order(&product, 1).await;
    member.eventually_sees(&order, "DELIVERING").await;
    refused(409, "OPEN_ORDERS", &withdraw(&member).await);
    with_status(200, member.confirm_receipt(&order).await);
    refused(409, "WALLET_NOT_EMPTY", &withdraw(&member).await);
    refused(409, "MEMBER_ACTIVE", &pay_out(&admin, &member.id, 4_000).await);
    let payout = with_status(200, pay_out(&member.rest, &member.id, 4_000).await).text("id");
    eventually("the payout SENT", async || {
        same(member.get(&format!("/v1/payouts/{payout}")).await.text("state"), "SENT".to_owned())
    })
    .await;

    // A part of what an order costs is held for whoever paid it.
    let shop::Transfer { order, payment } = member.transfer(&product, 1).await;
    let reference = member.get(&format!("/v1/payments/{payment}")).await.text("depositReference");
    let body = json!({
        "bankTransactionId": "tx 1", "amount": won(400), "depositorName": "Kim",
        "reference": reference,
    });
    let deposit = seller.post("/v1/deposits", body).await.expect("an answer");
    let deposit = with_status(201, deposit).text("id");
    with_status(200, member.cancel(&order).await);
    refused(409, "WALLET_NOT_EMPTY", &withdraw(&member).await);
    let account = json!({ "account": {
        "bankCode": "004", "accountNumber": "110-234-567890", "holder": "Kim",
    } });
    let path = format!("/v1/deposits/{deposit}");
    let refund = seller.post(&format!("{path}:refund"), account).await;
    with_status(200, refund.expect("an answer"));
    eventually("the deposit REFUNDED", async || {
        let state = seller.get(&path).await.expect("an answer").text("state");
        same(state, "REFUNDED".to_owned())
    })
    .await;

    for service in ["order", "payment"] {
        deployment.kill(service);
        refused_for_now(&withdraw(&member).await);
        deployment.start(service).await;
    }
    let left = eventually("a member who has left", async || {
        let answer = withdraw(&member).await;
        if answer.status == 200 { Ok(answer) } else { Err(answer.to_string()) }
    })
    .await;
    assert_eq!(left.text("state"), "WITHDRAWN", "{left}");
    deployment.all_holds().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_signs_up_again_and_what_was_personal_is_erased() {
    let mut deployment = Deployment::split("erased").await;
    deployment.kill("member");
    deployment.start_with_clock("member").await;
    let (admin, anyone) = (deployment.admin().await, deployment.rest());
    let body = json!({
        "email": "kim@example.com", "password": "correct horse", "displayName": "Kim",
    });
    let first = anyone.post("/v1/members", body.clone()).await.expect("an answer");
    let first = with_status(201, first).text("id");
    let sign_in = json!({ "email": "kim@example.com", "password": "correct horse" });
    let path = format!("/v1/members/{first}:withdraw");
    with_status(200, admin.post(&path, json!({})).await.expect("an answer"));
    with_status(401, anyone.post("/v1/sessions", sign_in.clone()).await.expect("an answer"));

    let second = anyone.post("/v1/members", body.clone()).await.expect("an answer");
    let second = with_status(201, second).text("id");
    assert_ne!(first, second);
    refused(409, "EMAIL_TAKEN", &anyone.post("/v1/members", body).await.expect("an answer"));
    let session = anyone.post("/v1/sessions", sign_in).await.expect("an answer");
    assert_eq!(with_status(200, session).text("memberId"), second);

    let name = async |id: &str| {
        let member = admin.get(&format!("/v1/members/{id}")).await.expect("an answer");
        member.text("email") + &member.text("displayName")
    };
    assert_eq!(name(&first).await, "kim@example.comKim");
    deployment.time_passes("member", Duration::from_hours(5 * 24)).await;
    eventually("what was personal erased", async || same(name(&first).await, String::new())).await;
    assert_eq!(name(&second).await, "kim@example.comKim");
    let member = deployment.database("member").await;
    let sql = "select count(*) from member where id::text = $1 and password_hash <> ''";
    let row = member.query_one(sql, &[&first]).await.expect("counts");
    assert_eq!(row.get::<_, i64>(0), 0, "the hash is gone");
    deployment.all_holds().await;
}
