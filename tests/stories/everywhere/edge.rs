//! What HTTP's edge promises: page tokens are of one list, and what is open to everybody is open to
//! those with a stale token.

use serde_json::json;

use crate::{
    deployment::{Deployment, eventually},
    people::{same, with_status},
};

#[tokio::test(flavor = "multi_thread")]
async fn a_page_token_is_of_one_list_with_one_filter() {
    let deployment = Deployment::open("page_tokens").await;
    let (admin, member) = (deployment.admin().await, deployment.member(5_000).await);
    let product = deployment.product(1_000, 10).await;
    for _ in 0..3 {
        let order = member.order(&product, 1).await;
        member.eventually_sees(&order, "DELIVERING").await;
    }
    let next = async |path: &str| {
        let page = admin.get(path).await.expect("an answer");
        with_status(200, page).text("nextPageToken")
    };
    let token = next("/v1/orders?pageSize=1").await;
    for path in ["/v1/orders?pageSize=1", "/v1/orders?pageSize=2", "/v1/orders"] {
        let and = if path.contains('?') { '&' } else { '?' };
        let page = admin.get(&format!("{path}{and}pageToken={token}")).await.expect("an answer");
        with_status(200, page);
    }
    for path in
        ["/v1/orders?state=DELIVERING", "/v1/payments?pageSize=1", "/v1/deliveries?pageSize=1"]
    {
        let foreign = admin.get(&format!("{path}&pageToken={token}")).await.expect("an answer");
        let foreign = with_status(400, foreign);
        assert_eq!(foreign.text("violations/0/field"), "pageToken", "{foreign}");
    }
    deployment.all_holds().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_open_is_open_with_a_stale_token_too() {
    let deployment = Deployment::open("stale_tokens").await;
    let anyone = deployment.rest();
    let gone = deployment.member(0).await;
    let path = format!("/v1/members/{}:withdraw", gone.id);
    with_status(200, gone.rest.post(&path, json!({})).await.expect("an answer"));
    eventually("a token that is revoked", async || {
        same(gone.get("/v1/orders").await.status.as_u16(), 401)
    })
    .await;
    let email = format!("{}@example.com", uuid::Uuid::now_v7().simple());
    let somebody = json!({ "email": email, "password": "correct horse", "displayName": "Kim" });
    with_status(201, anyone.post("/v1/members", somebody).await.expect("an answer"));
    let session = json!({ "email": email, "password": "correct horse" });
    for stale in [gone.rest.clone(), anyone.with_token("nonsense"), anyone.with_token("a.b.c")] {
        with_status(200, stale.get("/v1/products").await.expect("an answer"));
        with_status(200, stale.post("/v1/sessions", session.clone()).await.expect("an answer"));
        with_status(401, stale.get("/v1/orders").await.expect("an answer"));
    }
    deployment.all_holds().await;
}
