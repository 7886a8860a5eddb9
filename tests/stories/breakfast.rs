//! The breakfast story: a payment earns mileage, and cancelling takes it back,
//! from a mileage service that was away as well; a payment service that is too
//! slow is left alone for a while.

use std::time::{Duration, Instant};

use app::rest::Answer;
use futures_util::future::join_all;
use http::Method;
use serde_json::json;

use crate::{
    deployment::{Deployment, eventually},
    people::{Member, points, refused_for_now, same, states, with_status, won},
};

/// Worth 100 points.
const PRICE: i64 = 10_000;
const STOCK: i64 = 1_000;
/// As long as one service waits for another.
const DEADLINE: Duration = Duration::from_secs(2);
/// How long an open breaker lets nobody through.
const COOL_DOWN: Duration = Duration::from_secs(1);
/// The answer of an open breaker takes no longer.
const AT_ONCE: Duration = Duration::from_millis(50);
/// Reading a list takes no longer on a machine that has nothing else to do.
const READ: Duration = Duration::from_millis(10);

#[tokio::test(flavor = "multi_thread")]
async fn a_payment_earns_once_by_the_time_that_it_is_done_and_not_before() {
    let deployment = Deployment::open("earning").await;
    let product = deployment.product(PRICE, STOCK).await;
    let (seller, member) = (deployment.seller().await, deployment.member(0).await);

    let unpaid = member.order(&product, 1).await;
    member.eventually_sees(&unpaid, "CANCELLED").await;
    let order = member.order_by_transfer(&product, 2).await;
    member.eventually_sees(&order, "AWAITING_DEPOSIT").await;
    let payment = member.get(&format!("/v1/orders/{order}")).await.text("paymentId");
    assert_eq!(member.points("orderId", &unpaid).await, [""; 0]);
    assert_eq!(member.points("paymentId", &payment).await, [""; 0]);

    let path = format!("/v1/payments/{payment}:confirmDeposit");
    for (key, replayed) in [("first", false), ("first", true), ("another", false)] {
        let body = json!({ "amount": won(2 * PRICE), "depositorName": "홍길동" });
        let headers = [("idempotency-key", key)];
        let confirmed = seller.send(Method::POST, &path, Some(body), &headers).await;
        let confirmed = with_status(200, confirmed.expect("an answer"));
        assert_eq!(confirmed.text("state"), "DONE");
        assert_eq!(confirmed.headers.contains_key("idempotency-replayed"), replayed);
        assert_eq!(member.points("paymentId", &payment).await, ["200 EARNED"], "{key}");
    }

    let by_card = member.order_by_card(&product, 1).await.text("paymentId");
    assert_eq!(member.points("paymentId", &by_card).await, ["100 EARNED"]);
    // What comes by the event finds it done.
    eventually("My Page with the points", async || {
        same(my_page(&member).await, "300: 100 EARNED, 200 EARNED".to_owned())
    })
    .await;
    assert_eq!(deployment.events("mileage", None).await, ["MileageEarned"; 2]);
    deployment.all_holds().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn mileage_follows_what_was_paid_and_cancelled_while_it_was_away() {
    let mut deployment = Deployment::split("mileage_away").await;
    let product = deployment.product(PRICE, STOCK).await;
    let member = deployment.member(0).await;
    let before = member.order_by_card(&product, 1).await.text("id");
    assert_eq!(member.points("orderId", &before).await, ["100 EARNED"]);

    deployment.pause("mileage");
    let kept = paid_in_time(&member, member.order_by_card(&product, 2)).await;
    deployment.kill("mileage");
    let meanwhile = paid_in_time(&member, member.order_by_card(&product, 3)).await;
    for order in [&before, &meanwhile, &before] {
        assert_eq!(with_status(200, member.cancel(order).await).text("state"), "CANCELLED");
        assert_eq!(member.payments(order).await, ["CANCELLED"]);
    }

    deployment.start("mileage").await;
    for (order, entry) in
        [(&before, "100 CANCELLED"), (&kept, "200 EARNED"), (&meanwhile, "300 CANCELLED")]
    {
        eventually(entry, async || {
            same(member.points("orderId", order).await, vec![entry.to_owned()])
        })
        .await;
    }
    assert_eq!(
        deployment.events("mileage", Some(&before)).await,
        ["MileageEarned", "MileageCancelled"]
    );
    let mileage = member.get(&format!("/v1/members/{}/mileage", member.id)).await;
    assert_eq!(mileage.number("balance"), Some(200));

    // The view shows it all, and goes on when payment and mileage are gone.
    let shown = "200: 300 CANCELLED, 200 EARNED, 100 CANCELLED".to_owned();
    eventually("My Page with the points", async || same(my_page(&member).await, shown.clone()))
        .await;
    deployment.kill("payment");
    deployment.kill("mileage");
    refused_for_now(&member.get(&format!("/v1/members/{}/mileage", member.id)).await);
    assert_eq!(my_page(&member).await, shown);
    deployment.start("payment").await;
    deployment.start("mileage").await;
    deployment.all_holds().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_payment_service_is_left_alone_until_a_probe_finds_it_well() {
    let deployment = Deployment::split("slow_payment").await;
    let product = deployment.product(PRICE, STOCK).await;
    let (member, crowd) = (deployment.member(0).await, deployment.member(0).await);
    let order = member.order_by_card(&product, 1).await.text("id");
    member.eventually_sees(&order, "DELIVERING").await;
    let log = deployment.events("order", None).await;

    deployment.pause("payment");
    let slow = join_all((0..12).map(|_| crowd.try_order_by_card(&product, 1, "tok_visa"))).await;
    slow.iter().for_each(refused_for_now);
    let opened = Instant::now();
    let (mut pay, mut cancel, mut read) = (Vec::new(), Vec::new(), Vec::new());
    // No longer than it is open for sure: the next call is a probe, and waits.
    while pay.len() < 7 && opened.elapsed() < COOL_DOWN / 2 {
        pay.push(refused_in(member.try_order_by_card(&product, 1, "tok_visa")).await);
        cancel.push(refused_in(member.cancel(&order)).await);
        let began = Instant::now();
        with_status(200, member.get("/v1/orders").await);
        read.push(began.elapsed());
    }
    let at_once = at_once_here(median(read));
    for (what, took) in [("pay", pay), ("cancel", cancel)] {
        assert!(median(took.clone()) < at_once, "{what} was refused in {took:?}, not {at_once:?}");
    }
    assert_eq!(states(&member.get("/v1/orders").await, "orders"), ["DELIVERING"]);
    assert_eq!(deployment.events("order", None).await, log);

    deployment.resume("payment");
    tokio::time::sleep(COOL_DOWN).await;
    // The order itself, or what makes sure that nothing is charged for those before it.
    let probe = eventually("a probe that finds payment well", async || {
        let answer = member.try_order_by_card(&product, 1, "tok_visa").await;
        if answer.status == 201 { Ok(answer.text("id")) } else { Err(answer.to_string()) }
    })
    .await;
    let paid = join_all((0..8).map(|_| member.order_by_card(&product, 1))).await;
    with_status(200, member.cancel(&order).await);
    assert_eq!(member.payments(&order).await, ["CANCELLED"]);

    // What the breaker refused has left nothing; what ran into its time is taken back.
    for order in paid.iter().map(|order| order.text("id")).chain([probe]) {
        member.eventually_sees(&order, "DELIVERING").await;
    }
    product.eventually_has(STOCK - 9).await;
    for (who, charged) in [(&member, 9), (&crowd, 0)] {
        eventually("nothing charged for what was not ordered", async || {
            let payments = states(&who.get("/v1/payments").await, "payments");
            let live = payments.into_iter().filter(|state| state != "CANCELLED");
            same(live.collect(), vec!["DONE".to_owned(); charged])
        })
        .await;
    }
    assert_eq!(crowd.get("/v1/orders").await.body["orders"], json!([]));
    deployment.all_holds().await;
}

/// What My Page says of a member's points: the balance, and the entries.
async fn my_page(member: &Member) -> String {
    let page = member.get(&format!("/v1/mypage/{}", member.id)).await;
    let mileage = member.get(&format!("/v1/mypage/{}/mileage", member.id)).await;
    if mileage.status != 200 {
        return mileage.to_string();
    }
    format!("{}: {}", page.text("mileageBalance"), points(&mileage).join(", "))
}

/// An order by card that is paid within the deadline; answers its id.
async fn paid_in_time(member: &Member, order: impl Future<Output = Answer>) -> String {
    let began = Instant::now();
    let order = order.await.text("id");
    assert!(began.elapsed() < DEADLINE, "paid in {:?}", began.elapsed());
    assert_eq!(member.payments(&order).await, ["DONE"]);
    order
}

/// How long it took to be refused.
async fn refused_in(call: impl Future<Output = Answer>) -> Duration {
    let began = Instant::now();
    let answer = call.await;
    let took = began.elapsed();
    refused_for_now(&answer);
    assert_eq!(answer.text("reason"), "PAYMENT_UNAVAILABLE", "{answer}");
    took
}

/// What "at once" means while reading a list takes so long: a machine with a lot else to do gets
/// more time in proportion, and is told.
fn at_once_here(read: Duration) -> Duration {
    let load = read.as_secs_f64() / READ.as_secs_f64();
    if load > 1.0 {
        eprintln!("slow: reading a list took {read:?}, not {READ:?}");
    }
    AT_ONCE.mul_f64(load.max(1.0))
}

fn median(mut took: Vec<Duration>) -> Duration {
    took.sort_unstable();
    took[took.len() / 2]
}
