//! Coupons and points as they are around checkout: admins make policies and issue
//! coupons, members see what they have and until when, and what nobody uses expires.

use std::time::Duration;

use app::rest::{Answer, Rest};
use http::Method;
use serde_json::{Value, json};

use crate::{
    deployment::{Deployment, eventually},
    people::{Member, points, same, with_status, won},
};

const DAY: Duration = Duration::from_hours(24);
/// Worth 100 points.
const PRICE: i64 = 10_000;

async fn post(who: &Rest, path: &str, body: Value) -> Answer {
    who.post(path, body).await.expect("an answer")
}

/// A member's coupons, from whoever shows them, the newest first: `["ISSUED 가을 쿠폰"]`.
fn coupons(answer: &Answer) -> Vec<String> {
    let coupons = answer.body["coupons"].as_array().cloned().unwrap_or_default();
    let text = |coupon: &Value, field: &str| coupon[field].as_str().unwrap_or_default().to_owned();
    let one = |it: &Value| format!("{} {}", text(it, "state"), text(it, "displayName"));
    coupons.iter().map(one).collect()
}

impl Member {
    /// Coupon and My Page show these.
    async fn eventually_holds(&self, wanted: &[&str]) {
        let wanted: Vec<String> = wanted.iter().map(ToString::to_string).collect();
        eventually(&format!("{wanted:?}"), async || {
            let held = self.get(&format!("/v1/members/{}/coupons", self.id)).await;
            let shown = self.get(&format!("/v1/mypage/{}", self.id)).await;
            same([coupons(&held), coupons(&shown)], [wanted.clone(), wanted.clone()])
        })
        .await;
    }

    /// Mileage and My Page say that there are so many points, and that so many expire soon.
    async fn eventually_has_points(&self, balance: i64, soon: i64) {
        eventually(&format!("{balance} points, {soon} of them expire soon"), async || {
            let mileage = self.get(&format!("/v1/members/{}/mileage", self.id)).await;
            let page = self.get(&format!("/v1/mypage/{}", self.id)).await;
            let said = (mileage.number("balance"), mileage.number("expiringSoon/points"));
            let shown = (page.number("mileageBalance"), page.number("mileageExpiringSoon/points"));
            same([said, shown], [(Some(balance), Some(soon)); 2])
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_admin_makes_policies_and_issues_coupons_of_them() {
    let mut deployment = Deployment::split("coupon_policies").await;
    deployment.kill("coupon");
    deployment.start_with_clock("coupon").await;
    let (admin, member, other) =
        (deployment.admin().await, deployment.member(0).await, deployment.member(0).await);
    member.eventually_holds(&["ISSUED 가입 축하 쿠폰"]).await;
    other.eventually_holds(&["ISSUED 가입 축하 쿠폰"]).await;

    let body = json!({
        "displayName": "가을 쿠폰", "discount": { "percent": 15, "maximum": won(2_000) },
        "minimumTotal": won(5_000), "validDays": 7,
    });
    with_status(403, post(&member.rest, "/v1/couponPolicies", body.clone()).await);
    let made = with_status(201, post(&admin, "/v1/couponPolicies", body).await);
    let path = format!("/v1/couponPolicies/{}", made.text("policy"));
    assert_eq!(made.headers["location"], path.as_str());

    let issue = json!({ "policy": made.text("policy"), "memberIds": [member.id] });
    for _ in 0..2 {
        let headers = [("idempotency-key", "once")];
        let sent = admin.send(Method::POST, "/v1/coupons:issue", Some(issue.clone()), &headers);
        let issued = with_status(200, sent.await.expect("an answer"));
        assert_eq!(issued.text("coupons/0/memberId"), member.id, "{issued}");
    }
    member.eventually_holds(&["ISSUED 가을 쿠폰", "ISSUED 가입 축하 쿠폰"]).await;

    // What was issued keeps its terms.
    let stale = [("if-match", "\"0\"")];
    let change = json!({ "displayName": "겨울 쿠폰", "discount": { "amount": won(500) } });
    let sent = admin.send(Method::PATCH, &path, Some(change.clone()), &stale).await;
    with_status(412, sent.expect("an answer"));
    let sent = admin.send(Method::PATCH, &path, Some(change), &[]).await;
    assert_eq!(with_status(200, sent.expect("an answer")).number("validDays"), Some(7));
    with_status(200, post(&admin, "/v1/coupons:issue", issue).await);
    let wanted = ["ISSUED 겨울 쿠폰", "ISSUED 가을 쿠폰", "ISSUED 가입 축하 쿠폰"];
    member.eventually_holds(&wanted).await;

    let nobody = json!({ "policy": "welcome", "memberIds": [uuid::Uuid::now_v7()] });
    let nobody = with_status(400, post(&admin, "/v1/coupons:issue", nobody).await);
    assert_eq!(nobody.text("violations/0/field"), "memberIds[0]", "{nobody}");

    deployment.time_passes("coupon", 8 * DAY).await;
    let wanted = ["EXPIRED 겨울 쿠폰", "EXPIRED 가을 쿠폰", "ISSUED 가입 축하 쿠폰"];
    member.eventually_holds(&wanted).await;
    let withdraw = format!("/v1/members/{}:withdraw", member.id);
    with_status(200, post(&member.rest, &withdraw, json!({})).await);
    let held = admin.get(&format!("/v1/members/{}/coupons", member.id)).await.expect("an answer");
    let wanted = ["EXPIRED 겨울 쿠폰", "EXPIRED 가을 쿠폰", "CANCELLED 가입 축하 쿠폰"];
    assert_eq!(coupons(&held), wanted);
    deployment.all_holds().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn points_expire_a_year_after_they_were_earned() {
    let mut deployment = Deployment::split("points_expire").await;
    for part in ["mileage", "mypage"] {
        deployment.kill(part);
        deployment.start_with_clock(part).await;
    }
    let (product, member) = (deployment.product(PRICE, 10).await, deployment.member(0).await);
    let old = member.order_by_card(&product, 2).await;
    let lost = member.order_by_card(&product, 1).await;
    member.eventually_has_points(300, 0).await;
    with_status(200, member.cancel(&lost.text("id")).await);
    member.eventually_has_points(200, 0).await;

    for part in ["mileage", "mypage"] {
        deployment.time_passes(part, 340 * DAY).await;
    }
    let young = member.order_by_card(&product, 3).await;
    member.eventually_has_points(500, 200).await;
    for part in ["mileage", "mypage"] {
        deployment.time_passes(part, 20 * DAY).await;
    }
    // Five days before.
    let admin = deployment.admin().await;
    let messages = async || {
        let path = format!("/v1/notifications?audience=MEMBER&subjectId={}", member.id);
        let list = with_status(200, admin.get(&path).await.expect("an answer"));
        let list = list.body["notifications"].as_array().cloned().unwrap_or_default();
        list.iter()
            .map(|it| it["body"].as_str().unwrap_or_default().contains("200"))
            .collect::<Vec<bool>>()
    };
    eventually("a message", async || same(messages().await, vec![true])).await;
    for part in ["mileage", "mypage"] {
        deployment.time_passes(part, 6 * DAY).await;
    }
    member.eventually_has_points(300, 0).await;
    same(messages().await, vec![true]).expect("no other message");
    for (order, entry) in [(&old, "200 EARNED"), (&lost, "100 CANCELLED"), (&young, "300 EARNED")] {
        assert_eq!(member.points("orderId", &order.text("id")).await, [entry]);
    }
    let kinds = async |path: String| {
        let answer = with_status(200, member.get(&path).await);
        let entries = answer.body["entries"].as_array().cloned().unwrap_or_default();
        let one = |it: &Value| format!("{} {}", it["kind"], it["points"]).replace('"', "");
        let mut kinds: Vec<String> = entries.iter().map(one).collect();
        kinds.sort();
        (kinds, points(&answer).len())
    };
    let wanted = ["EARN 100", "EARN 200", "EARN 300", "EXPIRE -200", "REVOKE -100"];
    let wanted = (wanted.map(str::to_owned).to_vec(), 3);
    assert_eq!(kinds(format!("/v1/members/{}/mileage/entries", member.id)).await, wanted);
    eventually("the same on My Page", async || {
        same(kinds(format!("/v1/mypage/{}/mileage", member.id)).await, wanted.clone())
    })
    .await;
    deployment.all_holds().await;
}
