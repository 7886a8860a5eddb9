//! As the ground moves: a service's database is replaced by an older backup of its
//! own, on the same server. Who has applied what that log has lost stops, says so,
//! and goes on once an operator accepts it; nobody else notices.

use std::process::Command;

use eventlog::partition;
use uuid::Uuid;

use crate::{
    deployment::{Deployment, eventually},
    people::{Member, Product},
};

/// Consumers that apply every order of a wallet, whatever becomes of it.
const FOLLOWERS: [&str; 4] = ["payment", "product", "delivery", "mypage"];

fn partition_of(order: &str) -> i16 {
    partition(Uuid::parse_str(order).expect("an order's id"))
}

/// Orders until one is in that partition, or in another; answers it.
async fn order_in(member: &Member, product: &Product, wanted: impl Fn(i16) -> bool) -> String {
    loop {
        let order = member.order(product, 1).await;
        if wanted(partition_of(&order)) {
            return order;
        }
    }
}

/// Runs `hansang` as an operator who asks one service; answers what it printed.
fn operator(deployment: &Deployment, service: &str, arguments: &[&str]) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_hansang"))
        .args(arguments)
        .args(["--consumer", service, "--grpc", &deployment.grpc(service), "--operator", "kim"])
        .env("HANSANG__AUTH__OPERATOR_KEY_FILE", &deployment.ground.keys.operator_key)
        .output()
        .expect("hansang runs");
    let printed = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{printed}{}", String::from_utf8_lossy(&output.stderr));
    printed
}

#[tokio::test(flavor = "multi_thread")]
async fn an_older_backup_stops_only_what_has_seen_more_until_that_is_accepted() {
    let mut deployment = Deployment::split("years").await;
    let member = deployment.member(1_000_000).await;
    let product = deployment.product(100, 10_000).await;
    let kept = member.order(&product, 1).await;
    member.eventually_sees(&kept, "DELIVERING").await;

    deployment.kill("order");
    let server = deployment.server().await;
    let name = deployment.database_name("order");
    let owner = deployment.role("order");
    let copy = format!("create database {name}_backup template {name} owner {owner}");
    server.batch_execute(&copy).await.expect("a backup");
    deployment.start("order").await;
    let lost = order_in(&member, &product, |at| at != partition_of(&kept)).await;
    member.eventually_sees(&lost, "DELIVERING").await;
    for follower in FOLLOWERS {
        deployment.has_seen_all_of(follower, "order").await;
    }

    deployment.kill("order");
    let swap = format!(
        "alter database {name} rename to {name}_replaced;
         alter database {name}_backup rename to {name}"
    );
    server.batch_execute(&swap).await.expect("the backup is in place");
    deployment.start("order").await;

    let stopped = partition_of(&lost);
    let other = order_in(&member, &product, |at| at != stopped).await;
    member.eventually_sees(&other, "DELIVERING").await;
    let stuck = order_in(&member, &product, |at| at == stopped).await;
    for follower in FOLLOWERS {
        eventually(&format!("a loss at {follower}"), async || {
            let printed = operator(&deployment, follower, &["log", "losses"]);
            let said = printed.contains(&format!("(partition {stopped})"));
            if said && printed.contains("stopped") { Ok(()) } else { Err(printed) }
        })
        .await;
    }
    let other = order_in(&member, &product, |at| at != stopped).await;
    member.eventually_sees(&other, "DELIVERING").await;
    assert_eq!(member.order_state(&stuck).await, "PLACED");
    let log = deployment.log("payment");
    assert!(log.contains("partition stopped: the source has lost an event"), "{log}");

    for follower in FOLLOWERS {
        let accept = ["log", "accept", "--source", "order", "--reason", "restored from a backup"];
        let printed = operator(&deployment, follower, &accept);
        assert!(printed.contains("accepted by kim: restored from a backup"), "{printed}");
    }
    member.eventually_sees(&stuck, "DELIVERING").await;
    member.eventually_passed(&stuck, &["주문접수", "입금확인완료", "상품준비완료", "배송중"]).await;

    an_operator_gives_up_on_a_parked_event(&deployment).await;
}

/// What cannot be applied is discarded with a reason, and kept.
async fn an_operator_gives_up_on_a_parked_event(deployment: &Deployment) {
    let correlation = Uuid::now_v7();
    let park =
        "insert into parked (consumer, source, position, correlation_id, type, message, error)
        values ('payment', 'order', 1000000, $1, 'OrderPlaced', '', 'cannot be applied')";
    let payment = deployment.database("payment").await;
    payment.execute(park, &[&correlation]).await.expect("a parked event");
    let printed = operator(deployment, "payment", &["parked", "list"]);
    assert!(printed.contains("cannot be applied"), "{printed}");
    let id = correlation.to_string();
    let discard =
        ["parked", "discard", "--source", "order", "--correlation", &id, "--reason", "broken"];
    assert_eq!(operator(deployment, "payment", &discard), "1 events discarded\n");
    let kept = "select discarded_by || ': ' || reason from discarded where correlation_id = $1";
    let kept = payment.query_one(kept, &[&correlation]).await.expect("it is kept");
    assert_eq!(kept.get::<_, String>(0), "kim: broken");
    assert_eq!(operator(deployment, "payment", &["parked", "list"]), "nothing is parked\n");
}
