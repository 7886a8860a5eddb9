//! Whoever makes a synchronous call dies between its steps, as in a power cut:
//! before it asks, when it has the answer, when the outcome is committed. Started
//! again it finds its way by itself, all or nothing of it has happened everywhere,
//! and whoever lost the answer may ask again.

use std::{
    os::unix::process::ExitStatusExt as _,
    time::{Duration, Instant},
};

use app::rest::{Answer, Rest};
use http::Method;
use nix::sys::signal::Signal;
use serde_json::{Value, json};

use crate::{
    deployment::{Deployment, eventually},
    parts::STARTED,
    people::{Member, Product, same, states, with_status, won},
};

const PLACE_ORDER: &str = "/hansang.order.v1.OrderService/PlaceOrder";
const CANCEL_ORDER: &str = "/hansang.order.v1.OrderService/CancelOrder";
const AUTHORIZE: &str = "/hansang.payment.v1.PaymentService/Authorize";
const CANCEL_PAYMENT: &str = "/hansang.payment.v1.PaymentService/CancelPayment";
const CONFIRM_DEPOSIT: &str = "/hansang.payment.v1.PaymentService/ConfirmDeposit";
const DECREASE_STOCK: &str = "/hansang.product.v1.ProductService/DecreaseStock";
const DISPATCH: &str = "/hansang.delivery.v1.DeliveryService/DispatchDelivery";
const RECORD_DISPATCH: &str = "/hansang.order.v1.OrderService/RecordDispatch";
const EARN: &str = "/hansang.mileage.v1.MileageService/Earn";
const WITHDRAW: &str = "/hansang.member.v1.MemberService/WithdrawMember";
const CANCEL_COUPONS: &str = "/hansang.coupon.v1.CouponService/CancelMemberCoupons";

/// Worth 100 points.
const PRICE: i64 = 10_000;
const STOCK: i64 = 1_000;
/// By then a call in doubt is taken up.
const LATER: Duration = Duration::from_mins(1);

/// A command that may be sent again: it carries its key.
struct Command {
    rest: Rest,
    path: String,
    body: Value,
    key: String,
}

impl Command {
    fn new(rest: &Rest, path: String, body: Value) -> Self {
        Self { rest: rest.clone(), path, body, key: uuid::Uuid::now_v7().to_string() }
    }

    fn place(member: &Member, product: &Product) -> Self {
        let lines = json!([{ "productId": product.id, "quantity": 1 }]);
        let body = json!({ "paymentMethod": "CARD", "cardToken": "tok_visa", "lines": lines });
        Self::new(&member.rest, "/v1/orders".to_owned(), body)
    }

    fn cancel(member: &Member, order: &str) -> Self {
        Self::new(&member.rest, format!("/v1/orders/{order}:cancel"), json!({}))
    }

    fn confirm(seller: &Rest, payment: &str) -> Self {
        let body = json!({ "amount": won(PRICE), "depositorName": "Kim" });
        Self::new(seller, format!("/v1/payments/{payment}:confirmDeposit"), body)
    }

    fn dispatch(seller: &Rest, delivery: &str) -> Self {
        let body = json!({ "carrier": "CJ", "trackingNumber": delivery });
        Self::new(seller, format!("/v1/deliveries/{delivery}:dispatch"), body)
    }

    fn withdraw(member: &Member) -> Self {
        Self::new(&member.rest, format!("/v1/members/{}:withdraw", member.id), json!({}))
    }

    async fn send(&self) -> Answer {
        let (headers, body) = ([("idempotency-key", &*self.key)], self.body.clone());
        self.rest.send(Method::POST, &self.path, Some(body), &headers).await.expect("an answer")
    }

    /// The first answer that is not a 5xx, which must have this status.
    async fn answered(&self, status: u16) -> Answer {
        let answer = eventually("an answer to the repeated command", async || {
            let answer = self.send().await;
            if answer.status.is_server_error() { Err(answer.to_string()) } else { Ok(answer) }
        });
        with_status(status, answer.await)
    }

    /// Who lost the answer asks until there is one.
    async fn repeat(&self, status: u16) -> Answer {
        eventually("an answer to the repeated command", async || {
            let answer = self.send().await;
            if answer.status == status { Ok(answer) } else { Err(answer.to_string()) }
        })
        .await
    }
}

impl Deployment {
    /// A part dies at this point of a command, and is started again once it is dead.
    async fn dies(&mut self, part: &str, point: &str, command: &Command) {
        self.kill(part);
        self.start_with(part, &[("HANSANG__TESTING__DIE_AT", point.to_owned())]).await;
        let began = Instant::now();
        let status = loop {
            // Not once: who died before may be left alone for a while.
            let answer = command.send().await;
            assert!(answer.status.is_server_error(), "{point}: answered all the same: {answer}");
            if let Some(status) = self.ended(part) {
                break status;
            }
            assert!(began.elapsed() < STARTED, "{part} never came to {point}: {answer}");
        };
        assert_eq!(status.signal(), Some(Signal::SIGABRT as i32), "{part} at {point}: {status}");
        self.start_with_clock(part).await;
    }
}

impl Member {
    async fn listed(&self, path: &str, list: &str) -> Result<Vec<String>, String> {
        let answer = self.get(path).await;
        if answer.status == 200 { Ok(states(&answer, list)) } else { Err(answer.to_string()) }
    }

    /// This is all there is of this member's orders, payments and points; `""`: nothing.
    async fn eventually_owns(&self, at: &str, [order, payment, points]: [&str; 3]) {
        let list = |item: &str| {
            [item].iter().filter(|item| !item.is_empty()).map(ToString::to_string).collect()
        };
        let wanted: [Vec<String>; 3] = [list(order), list(payment), list(points)];
        eventually(&format!("{wanted:?} after {at}"), async || {
            let orders = self.listed("/v1/orders", "orders").await?;
            let payments = self.listed("/v1/payments", "payments").await?;
            same([orders, payments, self.points("orderId", "").await], wanted.clone())
        })
        .await;
    }

    /// Besides what was given up, there is one order of this member, paid once.
    async fn eventually_owns_one(&self, at: &str) {
        let alive = |states: Vec<String>| -> Vec<String> {
            let dead = ["CANCELLED", "DECLINED"];
            states
                .into_iter()
                .filter(|state| !dead.iter().any(|end| state.ends_with(end)))
                .collect()
        };
        let wanted = ["DELIVERING", "DONE", "100 EARNED"].map(|state| vec![state.to_owned()]);
        eventually(&format!("one order after {at}"), async || {
            let orders = self.listed("/v1/orders", "orders").await?;
            let payments = self.listed("/v1/payments", "payments").await?;
            let points = self.points("orderId", "").await;
            same([orders, alive(payments), alive(points)], wanted.clone())
        })
        .await;
    }
}

const NOTHING: [&str; 3] = [""; 3];
const PAID: [&str; 3] = ["DELIVERING", "DONE", "100 EARNED"];
/// Paid, and taken back before there was an order.
const TAKEN_BACK: [&str; 3] = ["", "CANCELLED", "100 CANCELLED"];
/// The card was never charged, or the charge is forgotten.
const FORGOTTEN: [&str; 3] = ["", "DECLINED", ""];

#[tokio::test(flavor = "multi_thread")]
async fn order_dies_while_it_has_a_card_charged() {
    let mut deployment = Deployment::split("killed_placing").await;
    let product = deployment.product(PRICE, STOCK).await;
    let mut members = Vec::new();
    for (point, left) in [
        (format!("asking:{AUTHORIZE}"), NOTHING),
        (format!("answered:{AUTHORIZE}"), TAKEN_BACK),
        (format!("served:{PLACE_ORDER}"), PAID),
    ] {
        members.push((deployment.member(0).await, point, left));
    }
    for (member, point, left) in &members {
        let place = Command::place(member, &product);
        deployment.dies("order", point, &place).await;
        deployment.time_passes("order", LATER).await;
        deployment.all_holds().await;
        member.eventually_owns(point, *left).await;

        // What was given up is forgotten: the next attempt is another order.
        let placed = place.answered(201).await;
        assert_eq!(placed.headers.contains_key("idempotency-replayed"), *left == PAID, "{point}");
        assert_eq!(place.repeat(201).await.text("id"), placed.text("id"), "{point}");
        member.eventually_owns_one(point).await;
    }
    deployment.all_holds().await;
    assert_eq!(product.stock().await, Some(STOCK - 3));
}

#[tokio::test(flavor = "multi_thread")]
async fn order_dies_while_it_has_a_card_charged_and_is_asked_again_at_once() {
    let mut deployment = Deployment::split("killed_placing_at_once").await;
    let product = deployment.product(PRICE, STOCK).await;
    let members = [deployment.member(0).await, deployment.member(0).await];
    for (member, moment) in members.iter().zip(["asking", "answered"]) {
        let (place, point) = (Command::place(member, &product), format!("{moment}:{AUTHORIZE}"));
        deployment.dies("order", &point, &place).await;
        place.repeat(201).await;
        deployment.all_holds().await;
        member.eventually_owns_one(&point).await;
    }
    assert_eq!(product.stock().await, Some(STOCK - 2));
}

#[tokio::test(flavor = "multi_thread")]
async fn payment_dies_while_it_charges_a_card() {
    let mut deployment = Deployment::split("killed_charging").await;
    let product = deployment.product(PRICE, STOCK).await;
    let mut members = Vec::new();
    for (point, left) in [
        ("asking:acquirer".to_owned(), FORGOTTEN),
        ("answered:acquirer".to_owned(), FORGOTTEN),
        (format!("asking:{EARN}"), TAKEN_BACK),
        (format!("answered:{EARN}"), TAKEN_BACK),
        (format!("served:{AUTHORIZE}"), TAKEN_BACK),
    ] {
        members.push((deployment.member(0).await, point, left));
    }
    deployment.kill("order");
    deployment.start_with_clock("order").await;
    for (member, point, left) in &members {
        let place = Command::place(member, &product);
        deployment.dies("payment", point, &place).await;
        deployment.time_passes("order", LATER).await;
        deployment.time_passes("payment", LATER).await;
        deployment.all_holds().await;
        member.eventually_owns(point, *left).await;

        place.repeat(201).await;
        member.eventually_owns_one(point).await;
    }
    deployment.all_holds().await;
    assert_eq!(product.stock().await, Some(STOCK - 5));
}

#[tokio::test(flavor = "multi_thread")]
async fn order_dies_while_it_has_a_payment_cancelled() {
    let mut deployment = Deployment::split("killed_cancelling").await;
    let product = deployment.product(PRICE, STOCK).await;
    let mut members = Vec::new();
    for point in [
        format!("asking:{CANCEL_PAYMENT}"),
        format!("answered:{CANCEL_PAYMENT}"),
        format!("served:{CANCEL_ORDER}"),
    ] {
        let member = deployment.member(0).await;
        let order = member.order_by_card(&product, 1).await.text("id");
        member.eventually_gets(&order, "STARTED").await;
        members.push((member, order, point));
    }
    for (member, order, point) in &members {
        let cancel = Command::cancel(member, order);
        deployment.dies("order", point, &cancel).await;
        deployment.time_passes("order", LATER).await;
        deployment.all_holds().await;
        member.eventually_owns(point, ["CANCELLED", "CANCELLED", "100 CANCELLED"]).await;
        member.eventually_gets(order, "CANCELLED").await;

        assert_eq!(cancel.repeat(200).await.text("state"), "CANCELLED", "{point}");
        let events = deployment.events("order", Some(order)).await;
        assert_eq!(events.iter().filter(|kind| *kind == "OrderCancelled").count(), 1, "{point}");
    }
    deployment.all_holds().await;
    assert_eq!(product.stock().await, Some(STOCK));
}

#[tokio::test(flavor = "multi_thread")]
async fn payment_dies_while_it_has_the_goods_of_a_deposit_taken() {
    let mut deployment = Deployment::split("killed_confirming").await;
    let (product, seller) = (deployment.product(PRICE, STOCK).await, deployment.seller().await);
    let mut members = Vec::new();
    for point in [
        format!("asking:{DECREASE_STOCK}"),
        format!("answered:{DECREASE_STOCK}"),
        format!("asking:{EARN}"),
        format!("answered:{EARN}"),
        format!("served:{CONFIRM_DEPOSIT}"),
    ] {
        let member = deployment.member(0).await;
        let transfer = member.transfer(&product, 1).await;
        members.push((member, transfer, point));
    }
    for (taken, (member, transfer, point)) in (1..).zip(&members) {
        let confirm = Command::confirm(&seller, &transfer.payment);
        deployment.dies("payment", point, &confirm).await;
        deployment.time_passes("payment", LATER).await;
        deployment.all_holds().await;
        member.eventually_owns(point, PAID).await;
        member.eventually_gets(&transfer.order, "STARTED").await;

        assert_eq!(confirm.repeat(200).await.text("state"), "DONE", "{point}");
        assert_eq!(product.stock().await, Some(STOCK - taken), "{point}");
        assert_eq!(deployment.events("mileage", Some(&transfer.order)).await, ["MileageEarned"]);
    }
    deployment.all_holds().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn delivery_dies_while_it_has_a_dispatch_agreed_to() {
    let mut deployment = Deployment::split("killed_dispatching").await;
    let (product, seller) = (deployment.product(PRICE, STOCK).await, deployment.seller().await);
    let mut members = Vec::new();
    for point in [
        format!("asking:{RECORD_DISPATCH}"),
        format!("answered:{RECORD_DISPATCH}"),
        format!("served:{DISPATCH}"),
    ] {
        let member = deployment.member(0).await;
        let order = member.order_by_card(&product, 1).await.text("id");
        member.eventually_gets(&order, "STARTED").await;
        let delivery = member.get(&format!("/v1/deliveries?orderId={order}")).await;
        members.push((member, order, delivery.text("deliveries/0/id"), point));
    }
    for (member, order, delivery, point) in &members {
        let dispatch = Command::dispatch(&seller, delivery);
        deployment.dies("delivery", point, &dispatch).await;
        deployment.time_passes("delivery", LATER).await;
        deployment.all_holds().await;
        member.eventually_gets(order, "DISPATCHED").await;

        assert_eq!(dispatch.repeat(200).await.text("state"), "DISPATCHED", "{point}");
        assert_eq!(member.cancel(order).await.text("reason"), "ORDER_DISPATCHED", "{point}");
        let events = deployment.events("delivery", Some(order)).await;
        assert_eq!(events, ["DeliveryStarted", "DeliveryDispatched"], "{point}");
    }
    deployment.all_holds().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn member_dies_while_it_has_the_coupon_of_a_withdrawal_cancelled() {
    let mut deployment = Deployment::split("killed_withdrawing").await;
    let admin = deployment.admin().await;
    let coupons = async |member: &Member| {
        let path = format!("/v1/members/{}/coupons", member.id);
        states(&with_status(200, admin.get(&path).await.expect("an answer")), "coupons")
    };
    let mut members = Vec::new();
    for point in [
        format!("asking:{CANCEL_COUPONS}"),
        format!("answered:{CANCEL_COUPONS}"),
        format!("served:{WITHDRAW}"),
    ] {
        let member = deployment.member(0).await;
        eventually("a coupon", async || same(coupons(&member).await, vec!["ISSUED".to_owned()]))
            .await;
        members.push((member, point));
    }
    for (member, point) in &members {
        let withdraw = Command::withdraw(member);
        deployment.dies("member", point, &withdraw).await;
        deployment.time_passes("member", LATER).await;
        deployment.all_holds().await;
        eventually(&format!("withdrawn after {point}"), async || {
            let path = format!("/v1/members/{}", member.id);
            let seen = admin.get(&path).await.expect("an answer");
            let seen = [seen.text("state"), seen.text("couponCancelled")];
            same(seen, ["WITHDRAWN".to_owned(), "true".to_owned()])
        })
        .await;
        assert_eq!(coupons(member).await, ["CANCELLED"], "{point}");

        assert_eq!(withdraw.repeat(200).await.text("state"), "WITHDRAWN", "{point}");
        let events = deployment.events("coupon", Some(&member.id)).await;
        assert_eq!(events, ["CouponIssued", "CouponCancelled"], "{point}");
    }
    deployment.all_holds().await;
}
