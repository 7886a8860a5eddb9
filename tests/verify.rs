//! `hansang verify` can fail: after a small story each invariant is broken by hand,
//! one at a time, and exactly that line says so. Runs the real program.

mod breaks;
mod parts;

use std::{collections::BTreeSet, process::Command};

use tokio_postgres::{Client, Config, NoTls};

use self::breaks::{Break, MESSAGE};
use crate::{deployment::Deployment, people};

#[tokio::test(flavor = "multi_thread")]
async fn each_invariant_that_is_broken_is_found_and_no_other() {
    let deployment = small_story().await;
    let (well, broken, printed) = verify(&deployment, &AT_ONCE);
    assert!(well && broken.is_empty(), "{printed}");
    let checked: Vec<_> = printed.lines().filter_map(|line| line.strip_prefix("✓ ")).collect();
    for invariant in checked {
        let shown = breaks().any(|it| it.invariants.contains(&invariant));
        assert!(shown, "nothing shows that it can fail: {invariant}");
    }

    let admin = connect("postgres").await;
    for Break { invariants, statements } in breaks() {
        let services: BTreeSet<_> = statements.iter().map(|(service, _)| *service).collect();
        for service in &services {
            keep_a_copy(&admin, &database(&deployment, service)).await;
        }
        for (service, statement) in *statements {
            let inside = connect(&database(&deployment, service)).await;
            inside.batch_execute(statement).await.expect(statement);
        }
        let (well, broken, printed) = verify(&deployment, &AT_ONCE);
        assert!(!well, "not found: {statements:?}\n{printed}");
        let (broken, expected): (BTreeSet<_>, BTreeSet<_>) =
            (broken.iter().map(String::as_str).collect(), invariants.iter().copied().collect());
        assert_eq!(broken, expected, "{statements:?}\n{printed}");
        for service in &services {
            put_back(&admin, &database(&deployment, service)).await;
        }
    }
    let (well, _, printed) = verify(&deployment, &AT_ONCE);
    assert!(well, "{printed}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_open_shop_is_verified_and_what_was_lost_in_it_is_found() {
    let deployment = Deployment::open("verify-open").await;
    let product = deployment.product(10, 1_000_000).await;
    let member = deployment.member(999_999).await;
    let lost = member.order(&product, 1).await;
    member.eventually_sees(&lost, "DELIVERING").await;
    deployment.all_holds().await;

    let buying = async {
        loop {
            member.order(&product, 1).await;
        }
    };
    let (url, notification) =
        (deployment.ground.database_url.clone(), deployment.database("notification").await);
    let verifying = async move {
        let look = |patience| {
            let url = url.clone();
            tokio::task::spawn_blocking(move || run(&url, &["--patience", patience]))
        };
        // Long enough for a machine that is busy with other tests.
        for _ in 0..3 {
            let (well, _, printed) = look("30").await.expect("it runs");
            assert!(well, "{printed}");
        }
        let sql = "delete from notification where audience = 'MARKETING' and subject_id = $1";
        let id: uuid::Uuid = lost.parse().expect("an id");
        notification.execute(sql, &[&id]).await.expect("deleted");
        let (well, broken, printed) = look("5").await.expect("it runs");
        assert!(!well && broken.contains(&MESSAGE.to_owned()), "{printed}");
        assert!(printed.contains(&lost), "it names the order {lost}: {printed}");
    };
    tokio::select! {
        () = verifying => {}
        () = buying => {}
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_has_happened_since_the_last_run_is_read_unless_all_is_asked_for() {
    let deployment = Deployment::open("verify-since").await;
    let product = deployment.product(10, 100).await;
    let member = deployment.member(1_000).await;
    let old = member.order(&product, 1).await;
    member.eventually_sees(&old, "DELIVERING").await;
    deployment.all_holds().await;
    let dir = tempfile::tempdir_in(testkit::scratch()).expect("a directory");
    let file = dir.path().join("seen").display().to_string();
    let (since, all) = (["--patience", "5", "--since", &file], ["--patience", "5", "--all"]);
    assert!(verify(&deployment, &since).0);
    assert!(verify(&deployment, &since).0, "nothing has happened");

    // Something that no event tells of.
    let notification = deployment.database("notification").await;
    let forget = async |order: &str| {
        let sql = "delete from notification where audience = 'MARKETING' and subject_id = $1";
        let id: uuid::Uuid = order.parse().expect("an id");
        assert_eq!(notification.execute(sql, &[&id]).await.expect("deleted"), 1);
    };
    forget(&old).await;
    assert!(verify(&deployment, &since).0, "nothing has happened, as far as the logs say");
    let (_, broken, printed) = verify(&deployment, &all);
    assert_eq!(broken, [MESSAGE], "{printed}");

    let new = member.order(&product, 1).await;
    member.eventually_sees(&new, "DELIVERING").await;
    assert!(verify(&deployment, &since).0);
    let newer = member.order(&product, 1).await;
    member.eventually_sees(&newer, "DELIVERING").await;
    deployment.has_seen_all_of("notification", "payment").await;
    forget(&newer).await;
    for _ in 0..2 {
        let (_, broken, printed) = verify(&deployment, &since);
        assert_eq!(broken, [MESSAGE], "what was found is found until it is well: {printed}");
        assert!(printed.contains(&newer) && !printed.contains(&old), "{printed}");
    }
    // A log that is not the one that was seen proves nothing: everything is read.
    let admin = connect(&database(&deployment, "coupon")).await;
    let forged = "update event set event_id = gen_random_uuid()";
    admin.batch_execute(forged).await.expect("forged");
    let (_, _, printed) = verify(&deployment, &since);
    assert!(printed.contains(&newer) && printed.contains(&old), "{printed}");
}

fn breaks() -> impl Iterator<Item = &'static Break> {
    breaks::BREAKS.iter().chain(parts::BREAKS)
}

/// An order on its way, a cancelled one, one that was short of stock, one that waits for its
/// deposit; somebody who has withdrawn. Then all is still.
async fn small_story() -> Deployment {
    let mut deployment = Deployment::split("verify").await;
    let (product, scarce) =
        (deployment.product(1_000, 100).await, deployment.product(2_000, 0).await);
    let member = deployment.member(999_999).await;
    let (kept, cancelled) = (member.order(&product, 3).await, member.order(&product, 10).await);
    let short = member.order(&scarce, 1).await;
    let waiting = member.order_by_transfer(&product, 1).await;
    member.eventually_sees(&kept, "DELIVERING").await;
    member.eventually_sees(&cancelled, "DELIVERING").await;
    member.eventually_sees(&short, "CANCELLED").await;
    member.eventually_sees(&waiting, "AWAITING_DEPOSIT").await;
    some_deposits(&deployment, &member, &product).await;
    // Points and coupons first, so that there is something to take back.
    let gone = deployment.member(0).await;
    deployment.all_holds().await;
    people::with_status(200, member.cancel(&cancelled).await);
    let path = format!("/v1/members/{}:withdraw", gone.id);
    let left = gone.rest.post(&path, serde_json::json!({})).await.expect("an answer");
    people::with_status(200, left);
    deployment.all_holds().await;
    for service in app::run::SERVICES {
        deployment.kill(service.name);
    }
    deployment
}

/// A deposit that pays an order, one that nobody knows of, and a payout.
async fn some_deposits(
    deployment: &Deployment,
    member: &people::Member,
    product: &people::Product,
) {
    let seller = deployment.seller().await;
    let paid = member.order_by_transfer(product, 2).await;
    member.eventually_sees(&paid, "AWAITING_DEPOSIT").await;
    let payment = member.get(&format!("/v1/payments?orderId={paid}")).await;
    let reference = payment.text("payments/0/depositReference");
    for (transaction, reference) in [("tx 1", &*reference), ("tx 2", "")] {
        let body = serde_json::json!({
            "bankTransactionId": transaction, "amount": people::won(2_000),
            "depositorName": "Kim", "reference": reference,
        });
        let deposit = seller.post("/v1/deposits", body).await.expect("an answer");
        people::with_status(201, deposit);
    }
    member.eventually_sees(&paid, "DELIVERING").await;
    let path = format!("/v1/members/{}/wallet:payOut", member.id);
    let account = serde_json::json!({
        "bankCode": "004", "accountNumber": "110-234-567890", "holder": "Kim",
    });
    let body = serde_json::json!({ "amount": people::won(1_000), "account": account });
    people::with_status(200, member.rest.post(&path, body).await.expect("an answer"));
}

/// Whatever looks wrong is.
const AT_ONCE: [&str; 3] = ["--all", "--patience", "0"];

/// Runs the program; answers whether it ended well, which invariants it found broken, and all
/// that it printed.
fn verify(deployment: &Deployment, args: &[&str]) -> (bool, Vec<String>, String) {
    run(&deployment.ground.database_url, args)
}

fn run(database_url: &str, args: &[&str]) -> (bool, Vec<String>, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_hansang"))
        .arg("verify")
        .args(args)
        .env("HANSANG__DATABASE__URL", database_url)
        .output()
        .expect("hansang runs");
    let printed = String::from_utf8_lossy(&output.stdout).into_owned();
    let broken = printed.lines().filter_map(|line| line.strip_prefix("✗ "));
    let broken = broken.map(|line| line.split(": ").next().unwrap_or_default().to_owned());
    let errors = String::from_utf8_lossy(&output.stderr);
    let code = output.status.code();
    assert!(code == Some(0) || (code == Some(1) && printed.contains('✗')), "{code:?}: {errors}");
    (code == Some(0), broken.collect(), printed)
}

fn database(deployment: &Deployment, service: &str) -> String {
    let url = deployment.ground.database_url.replace("{service}", service);
    let config: Config = url.parse().expect("a URL");
    config.get_dbname().expect("a database").to_owned()
}

/// As a superuser, who may break anything.
async fn connect(database: &str) -> Client {
    let server = testkit::databases(&[]).await.url;
    let mut admin: Config = server.expose().parse().expect("a URL");
    let (client, connection) = admin.dbname(database).connect(NoTls).await.expect("Postgres");
    tokio::spawn(connection);
    client
}

/// What is broken is a copy; the database itself waits under another name.
async fn keep_a_copy(admin: &Client, database: &str) {
    leave(admin, database).await;
    let sql = format!("alter database {database} rename to {database}_whole");
    admin.batch_execute(&sql).await.expect("renamed");
    let sql = format!("create database {database} template {database}_whole");
    admin.batch_execute(&sql).await.expect("copied");
}

async fn put_back(admin: &Client, database: &str) {
    let sql = format!("drop database {database} with (force)");
    admin.batch_execute(&sql).await.expect("dropped");
    let sql = format!("alter database {database}_whole rename to {database}");
    admin.batch_execute(&sql).await.expect("renamed");
}

/// Ends the sessions of killed services and of programs that have just ended.
async fn leave(admin: &Client, database: &str) {
    let sql = "select pg_terminate_backend(pid, 5000) from pg_stat_activity where datname = $1";
    admin.query(sql, &[&database]).await.expect("sessions can be ended");
}
