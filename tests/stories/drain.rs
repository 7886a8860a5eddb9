//! Being told to stop: readiness fails first, what is under way is finished, open
//! streams end, and then the process does.

use serde_json::json;

use crate::{
    deployment::{Deployment, eventually},
    people::{same, with_status},
};

const DRAIN: (&str, &str) = ("HANSANG__DEADLINE__DRAIN_MS", "1500");

#[tokio::test(flavor = "multi_thread")]
async fn a_call_under_way_outlives_the_end_of_the_gateway_and_of_the_service() {
    let mut deployment = Deployment::split("drain_under_way").await;
    let member = deployment.member(0).await;
    let product = deployment.product(1_000, 100).await;
    // What is under way is to end by being answered, on a slow machine too.
    let patient = ["REQUEST_MS", "PEER_MS", "SHUTDOWN_MS"]
        .map(|deadline| (format!("HANSANG__DEADLINE__{deadline}"), "30000".to_owned()));
    let patient: Vec<_> = patient.iter().map(|(key, ms)| (key.as_str(), ms.clone())).collect();
    for part in ["gateway", "order"] {
        deployment.kill(part);
        deployment.start_with(part, &patient).await;
    }
    deployment.pause("payment");
    let order = async { member.order_by_card(&product, 1).await };
    let stop = async {
        // Order has called payment, which does not answer.
        eventually("an order under way", async || {
            let waiting = deployment.database("order").await;
            let sql = "select count(*) from orders where state = 'PENDING'";
            let row = waiting.query_one(sql, &[]).await.map_err(|error| error.to_string())?;
            same(row.get::<_, i64>(0), 1)
        })
        .await;
        deployment.tell_to_stop("gateway");
        deployment.tell_to_stop("order");
        eventually("nobody new at the gateway", async || {
            same(deployment.rest().get("/healthz").await.is_err(), true)
        })
        .await;
        deployment.resume("payment");
    };
    let (order, ()) = tokio::join!(order, stop);
    assert_eq!(order.text("paymentMethod"), "CARD");
    for part in ["gateway", "order"] {
        deployment.stopped(part).await;
        deployment.start(part).await;
    }
    let order = member.get(&format!("/v1/orders/{}", order.text("id"))).await;
    with_status(200, order);
    deployment.all_holds().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_that_is_told_to_stop_is_not_ready_and_serves_on_for_a_while() {
    let mut deployment = Deployment::split("drain_ready").await;
    let product = deployment.product(1_000, 100).await;
    let told = [(DRAIN.0, DRAIN.1.to_owned())];
    for part in ["gateway", "product"] {
        deployment.kill(part);
        deployment.start_with(part, &told).await;
    }
    let anyone = deployment.rest();
    assert_eq!(anyone.get("/readyz").await.expect("an answer").status, 200);
    deployment.tell_to_stop("product");
    deployment.tell_to_stop("gateway");
    eventually("not ready", async || {
        let ready = anyone.get("/readyz").await.map_err(|error| error.to_string())?;
        same(ready.status.as_u16(), 503)
    })
    .await;
    eventually("not ready", async || same(deployment.is_ready("product").await, false)).await;
    assert_eq!(anyone.get("/healthz").await.expect("an answer").status, 200);
    assert_eq!(product.stock().await, Some(100), "still served");
    for part in ["gateway", "product"] {
        deployment.stopped(part).await;
        deployment.start(part).await;
    }
    deployment.all_holds().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn open_watches_end_with_the_gateway_and_say_so() {
    let mut deployment = Deployment::split("drain_watch").await;
    let member = deployment.member(0).await;
    let path = format!("/v1/mypage/{}:watch", member.id);
    let events = [("accept", "text/event-stream")];
    let mut lines = member.rest.open(&path, &events).await.expect("opens");
    assert_eq!(lines.next().await.expect("a line").as_deref(), Some("retry: 1000"));
    deployment.tell_to_stop("gateway");
    let (mut ended, mut problem) = (false, json!(null));
    while let Some(line) = lines.next().await.expect("it ends in good order") {
        ended |= line == "event: error";
        if let (true, Some(data)) = (ended, line.strip_prefix("data: ")) {
            problem = serde_json::from_str(data).expect("JSON");
        }
    }
    assert_eq!(problem["reason"], "GATEWAY_CLOSING");
    deployment.stopped("gateway").await;
    deployment.start("gateway").await;
    deployment.all_holds().await;
}
