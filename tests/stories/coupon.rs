//! The coupon story: signing up issues a coupon and tells the admin, whoever is away
//! meanwhile; withdrawing cancels the coupon first, and waits for that.

use app::rest::{Answer, Rest};
use futures_util::future::join_all;
use serde_json::{Value, json};

use super::shop::refused;
use crate::{
    deployment::{Deployment, eventually},
    people::{Member, Product, refused_for_now, same, states, with_status},
};

/// Nobody listens there.
const NOWHERE: &str = "http://127.0.0.1:1";

/// What is known of a member, at member or on My Page.
fn known(state: &str, [issued, notified, cancelled]: [bool; 3]) -> Value {
    json!({
        "state": state,
        "couponIssued": issued,
        "adminNotified": notified,
        "couponCancelled": cancelled,
    })
}

async fn look(who: &Rest, path: &str) -> Value {
    let answer = who.get(path).await.expect("an answer");
    let fields = ["state", "couponIssued", "adminNotified", "couponCancelled"];
    fields.into_iter().map(|field| (field.to_owned(), answer.body[field].clone())).collect()
}

/// Member and My Page say the same of a member, and coupon has what belongs to it.
async fn eventually_known(who: &Rest, id: &str, wanted: &Value, coupons: &[&str]) {
    eventually(&format!("{wanted} and {coupons:?}"), async || {
        let member = look(who, &format!("/v1/members/{id}")).await;
        let page = look(who, &format!("/v1/mypage/{id}")).await;
        same([member, page], [wanted.clone(), wanted.clone()])?;
        same(coupons_of(who, id).await, coupons.iter().map(ToString::to_string).collect())
    })
    .await;
}

async fn coupons_of(who: &Rest, id: &str) -> Vec<String> {
    let answer = who.get(&format!("/v1/members/{id}/coupons")).await.expect("an answer");
    states(&with_status(200, answer), "coupons")
}

async fn withdraw(member: &Member) -> Answer {
    let path = format!("/v1/members/{}:withdraw", member.id);
    member.rest.post(&path, json!({})).await.expect("an answer")
}

/// How many messages told the admin of a member.
async fn told(admin: &Rest, id: &str) -> usize {
    let path = format!("/v1/notifications?audience=ADMIN&subjectId={id}");
    let answer = with_status(200, admin.get(&path).await.expect("an answer"));
    answer.body["notifications"].as_array().map_or(0, Vec::len)
}

#[tokio::test(flavor = "multi_thread")]
async fn signing_up_issues_one_coupon_and_tells_the_admin_once() {
    let deployment = Deployment::open("signing_up").await;
    let admin = deployment.admin().await;
    let body = json!({
        "email": "kim@example.com", "password": "correct horse", "displayName": "김",
    });
    let answer = deployment.rest().post("/v1/members", body).await.expect("an answer");
    let id = with_status(201, answer).text("id");
    eventually_known(&admin, &id, &known("ACTIVE", [true, true, false]), &["ISSUED"]).await;
    assert_eq!(told(&admin, &id).await, 1);

    let other = deployment.member(0).await;
    with_status(403, other.get("/v1/notifications").await);
    with_status(404, other.get(&format!("/v1/members/{id}/coupons")).await);
    deployment.all_holds().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn signing_up_waits_neither_for_coupon_nor_for_notification() {
    let mut deployment = Deployment::split("signing_up_alone").await;
    let admin = deployment.admin().await;
    deployment.kill("coupon");
    deployment.kill("notification");
    let member = deployment.member(0).await;
    let seen = look(&member.rest, &format!("/v1/members/{}", member.id)).await;
    assert_eq!(seen, known("ACTIVE", [false, false, false]));

    deployment.start("coupon").await;
    deployment.start("notification").await;
    let wanted = known("ACTIVE", [true, true, false]);
    eventually_known(&member.rest, &member.id, &wanted, &["ISSUED"]).await;
    assert_eq!(told(&admin, &member.id).await, 1);
    deployment.all_holds().await;
    assert_eq!(deployment.events("coupon", Some(&member.id)).await, ["CouponIssued"]);
    assert_eq!(deployment.events("notification", Some(&member.id)).await, ["NotificationSent"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn withdrawing_cancels_the_coupon_in_the_same_call_and_locks_the_member_out() {
    let deployment = Deployment::open("withdrawing").await;
    let (admin, member) = (deployment.admin().await, deployment.member(0).await);
    let path = format!("/v1/members/{}", member.id);
    let wanted = known("ACTIVE", [true, true, false]);
    eventually_known(&member.rest, &member.id, &wanted, &["ISSUED"]).await;
    let email = member.get(&path).await.text("email");

    let withdrawn = with_status(200, withdraw(&member).await);
    assert_eq!(withdrawn.text("state"), "WITHDRAWN", "{withdrawn}");
    assert_eq!(withdrawn.text("couponCancelled"), "true", "{withdrawn}");
    assert_eq!(coupons_of(&admin, &member.id).await, ["CANCELLED"]);
    let wanted = known("WITHDRAWN", [true, true, true]);
    eventually_known(&admin, &member.id, &wanted, &["CANCELLED"]).await;

    refused(401, "MEMBER_WITHDRAWN", &member.get(&path).await);
    let body = json!({ "email": email, "password": "correct horse" });
    let session = deployment.rest().post("/v1/sessions", body).await.expect("an answer");
    refused(401, "WRONG_CREDENTIALS", &session);

    // Who lost the answer asks again; nothing happens twice.
    assert_eq!(with_status(200, withdraw(&member).await).body, withdrawn.body);
    deployment.all_holds().await;
    let events = deployment.events("coupon", Some(&member.id)).await;
    assert_eq!(events, ["CouponIssued", "CouponCancelled"]);
}

/// What a member may read of their own, at every service; at member itself last.
fn own(id: &str) -> [String; 11] {
    [
        "/v1/members/{id}/wallet",
        "/v1/members/{id}/wallet/entries",
        "/v1/members/{id}/coupons",
        "/v1/members/{id}/mileage",
        "/v1/orders",
        "/v1/payments",
        "/v1/deliveries",
        "/v1/mypage/{id}",
        "/v1/mypage/{id}/orders",
        "/v1/mypage/{id}/mileage",
        "/v1/members/{id}",
    ]
    .map(|path| path.replace("{id}", id))
}

/// The paths of these at which the token is not void; an order is not taken in any case.
async fn open_to(member: &Member, product: &Product, paths: &[String]) -> Vec<String> {
    let mut open = Vec::new();
    for path in paths {
        let answer = member.get(path).await;
        if answer.status != 401 {
            open.push(format!("{path}: {answer}"));
        }
    }
    let answer = member.try_order(product, 1).await;
    if answer.status != 401 {
        open.push(format!("an order: {answer}"));
    }
    open
}

#[tokio::test(flavor = "multi_thread")]
async fn a_withdrawn_members_token_opens_nothing_anywhere() {
    let mut deployment = Deployment::split("withdrawn_token").await;
    let (admin, member) = (deployment.admin().await, deployment.member(0).await);
    let product = deployment.product(1_000, 10).await;
    let paths = own(&member.id);
    let active = known("ACTIVE", [true, true, false]);
    eventually_known(&member.rest, &member.id, &active, &["ISSUED"]).await;
    for path in &paths {
        with_status(200, member.get(path).await);
    }
    with_status(200, withdraw(&member).await);
    let nothing = async || same(open_to(&member, &product, &paths).await, Vec::new());
    eventually("the token void everywhere", nothing).await;
    for path in &paths {
        with_status(200, admin.get(path).await.expect("an answer"));
    }

    // What is known stays in force while nobody can be asked.
    deployment.kill("member");
    let [elsewhere @ .., _] = &paths;
    assert_eq!(open_to(&member, &product, elsewhere).await, [""; 0]);
    deployment.start("member").await;
    // Who starts afterwards is told as well.
    deployment.kill("payment");
    deployment.start("payment").await;
    eventually("the token void everywhere again", nothing).await;
    deployment.all_holds().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn withdrawing_is_refused_while_coupon_is_down_and_works_later() {
    let mut deployment = Deployment::split("withdrawing_without_coupon").await;
    let member = deployment.member(0).await;
    let active = known("ACTIVE", [true, true, false]);
    eventually_known(&member.rest, &member.id, &active, &["ISSUED"]).await;

    deployment.kill("coupon");
    refused_for_now(&withdraw(&member).await);
    let path = format!("/v1/members/{}", member.id);
    assert_eq!(look(&member.rest, &path).await, active);
    deployment.start("coupon").await;
    assert_eq!(coupons_of(&member.rest, &member.id).await, ["ISSUED"]);
    assert_eq!(look(&member.rest, &path).await, active);

    eventually("withdrawn", async || {
        let answer = withdraw(&member).await;
        same((answer.status.as_u16(), answer.text("state")), (200, "WITHDRAWN".to_owned()))
    })
    .await;
    let admin = deployment.admin().await;
    let withdrawn = known("WITHDRAWN", [true, true, true]);
    eventually_known(&admin, &member.id, &withdrawn, &["CANCELLED"]).await;
    deployment.all_holds().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn withdrawing_while_coupon_is_slow_happens_everywhere_or_nowhere() {
    let deployment = Deployment::split("withdrawing_with_slow_coupon").await;
    let (admin, member) = (deployment.admin().await, deployment.member(0).await);
    let active = known("ACTIVE", [true, true, false]);
    eventually_known(&member.rest, &member.id, &active, &["ISSUED"]).await;

    deployment.pause("coupon");
    let answer = withdraw(&member).await;
    refused_for_now(&answer);
    deployment.resume("coupon");
    if answer.text("reason") == "OUTCOME_PENDING" {
        let withdrawn = known("WITHDRAWN", [true, true, true]);
        eventually_known(&admin, &member.id, &withdrawn, &["CANCELLED"]).await;
    } else {
        eventually_known(&admin, &member.id, &active, &["ISSUED"]).await;
    }
    deployment.all_holds().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_withdrawal_that_overtakes_the_coupon_leaves_none_issued() {
    let mut deployment = Deployment::split("withdrawing_first").await;
    let admin = deployment.admin().await;
    // Coupon can be called, but hears of nobody.
    deployment.kill("coupon");
    let deaf = ("HANSANG__PEERS__OVERRIDES__MEMBER", NOWHERE.to_owned());
    deployment.start_with("coupon", &[deaf]).await;
    let early = deployment.member(0).await;
    let withdrawn = eventually("withdrawn", async || {
        let answer = withdraw(&early).await;
        if answer.status == 200 { Ok(answer) } else { Err(answer.to_string()) }
    })
    .await;
    assert_eq!(withdrawn.text("couponCancelled"), "false", "{withdrawn}");
    deployment.kill("coupon");
    deployment.start("coupon").await;

    // And now as it may happen by itself.
    let racing: Vec<_> = join_all((0..8).map(|_| async {
        let member = deployment.member(0).await;
        with_status(200, withdraw(&member).await);
        member.id
    }))
    .await;
    deployment.all_holds().await;
    assert_eq!(coupons_of(&admin, &early.id).await, [""; 0]);
    assert_eq!(deployment.events("coupon", Some(&early.id)).await, [""; 0]);
    for id in racing {
        let coupons = coupons_of(&admin, &id).await;
        assert!(coupons.is_empty() || coupons == ["CANCELLED"], "{coupons:?}");
    }
}
