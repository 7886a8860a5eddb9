//! One order after another, each broken in one way, which has one name.

use super::*;

const ONE: Uuid = Uuid::from_u128(1);

/// An order as it is when all is well, in this state.
fn well(state: &str, payment: &str, allocation: &str, delivery: &str) -> Whole {
    let order = Order {
        state: state.into(),
        told: state.into(),
        total: 1_000,
        payment: Some(ONE),
        products: vec![ONE],
        quantities: vec![2],
        ..Order::default()
    };
    let taken = Allocation {
        state: allocation.into(),
        products: vec![ONE],
        quantities: vec![2],
        ..Allocation::default()
    };
    let log = if payment == "DONE" { "PaymentApproved" } else { "" };
    let paid = Payment {
        id: ONE,
        state: payment.into(),
        amount: 1_000,
        paid: 1_000,
        by_method: 1_000,
        left: 1_000,
        log: log.into(),
        ..Payment::default()
    };
    let entry = Entry { payment: ONE, points: 10, state: "EARNED".into(), ..Entry::default() };
    Whole {
        order: Some(order),
        payments: vec![paid],
        allocations: vec![taken],
        deliveries: vec![Delivery { state: delivery.into(), ..Delivery::default() }],
        mileage: if payment == "DONE" { vec![entry] } else { Vec::new() },
        marketing: usize::from(payment == "DONE"),
        ..Whole::default()
    }
}

fn awaiting(payment: &str) -> Whole {
    Whole {
        allocations: Vec::new(),
        deliveries: Vec::new(),
        ..well("AWAITING_DEPOSIT", payment, "", "")
    }
}

#[test]
fn a_paid_order_has_its_money_its_goods_and_its_delivery() {
    assert_eq!(well("DELIVERING", "DONE", "DECREASED", "STARTED").lacks(), None);
    assert_eq!(well("CLOSED", "DONE", "DECREASED", "COMPLETED").lacks(), None);
    assert!(well("DELIVERING", "CANCELLED", "DECREASED", "STARTED").lacks().is_some());
    assert!(well("DELIVERING", "DONE", "SHORT", "STARTED").lacks().is_some());
    assert!(well("CLOSED", "DONE", "DECREASED", "STARTED").lacks().is_some());
    let mut fewer = well("PAID", "DONE", "DECREASED", "STARTED");
    fewer.allocations[0].quantities = vec![1];
    assert!(fewer.lacks().is_some());
}

#[test]
fn a_paid_order_knows_how_far_its_delivery_is() {
    let sent = |state: &str, delivery: &str| {
        let mut whole = well(state, "DONE", "DECREASED", delivery);
        whole.order.as_mut().expect("there is one").dispatched = true;
        whole
    };
    for (state, delivery) in
        [("DELIVERING", "DISPATCHED"), ("DELIVERED", "DELIVERED"), ("CLOSED", "COMPLETED")]
    {
        assert_eq!(sent(state, delivery).lacks(), None);
    }
    for (state, delivery) in [
        ("DELIVERING", "DELIVERED"),
        ("DELIVERED", "DISPATCHED"),
        ("CLOSED", "DELIVERED"),
        ("DELIVERED", "CANCELLED"),
    ] {
        assert!(sent(state, delivery).lacks().is_some(), "{state} {delivery}");
    }
    let unheard = well("DELIVERING", "DONE", "DECREASED", "DISPATCHED").lacks();
    let expected = "is DELIVERING, its delivery DISPATCHED, which it has not heard of";
    assert_eq!(unheard.as_deref(), Some(expected));
    let mut cancelled = well("CANCELLED", "CANCELLED", "RESTORED", "DISPATCHED");
    cancelled.mileage.clear();
    assert!(cancelled.keeps(Standing::Cancelled).is_some());
}

#[test]
fn a_cancelled_order_keeps_nothing_and_everybody_knows() {
    let keeps = |payment, allocation, delivery| {
        let mut whole = well("CANCELLED", payment, allocation, delivery);
        whole.mileage.clear();
        whole.keeps(Standing::Cancelled)
    };
    assert_eq!(keeps("CANCELLED", "RESTORED", "CANCELLED"), None);
    assert_eq!(keeps("REFUSED", "REFUSED", "REFUSED"), None);
    assert!(keeps("WAITING_FOR_DEPOSIT", "REFUSED", "REFUSED").is_some());
    assert!(keeps("DONE", "REFUSED", "REFUSED").is_some());
    assert!(keeps("CANCELLED", "DECREASED", "CANCELLED").is_some());
    assert!(keeps("CANCELLED", "RESTORED", "STARTED").is_some());

    let mut whole = well("CANCELLED", "DECLINED", "REFUSED", "REFUSED");
    assert_eq!(whole.unheard(), None);
    whole.deliveries.clear();
    assert_eq!(whole.unheard().as_deref(), Some("is CANCELLED, unknown to delivery"));
}

#[test]
fn an_order_that_waits_for_a_lost_message_is_found() {
    let mut whole = well("PLACED", "DECLINED", "", "");
    assert!(whole.forgotten().is_some());
    whole.payments[0].state = "AUTHORISING".into();
    assert_eq!(whole.forgotten(), None, "it is half done, which is for another rule");
    whole.payments.clear();
    assert_eq!(whole.forgotten().as_deref(), Some("is PLACED, its payment missing"));

    assert_eq!(awaiting("WAITING_FOR_DEPOSIT").awaits(), None);
    assert_eq!(awaiting("CONFIRMING").awaits(), None);
    for state in ["EXPIRED", "DONE", "CANCELLED"] {
        let whole = awaiting(state);
        let expected = format!("is AWAITING_DEPOSIT, its payment {state}");
        assert_eq!((whole.awaits(), whole.keeps(Standing::Awaiting)), (Some(expected), None));
    }
}

#[test]
fn the_goods_of_a_deposit_are_taken_before_its_order_is_paid() {
    let mut whole = awaiting("CONFIRMING");
    whole.allocations = well("PAID", "DONE", "DECREASED", "").allocations;
    assert_eq!(whole.keeps(Standing::Awaiting), None);
    whole.payments[0].state = "WAITING_FOR_DEPOSIT".into();
    assert!(whole.keeps(Standing::Awaiting).is_some());
}

#[test]
fn an_order_knows_its_payment() {
    let mut whole = awaiting("WAITING_FOR_DEPOSIT");
    assert_eq!(whole.another_payment(), None);
    whole.payments[0].id = Uuid::from_u128(2);
    assert!(whole.another_payment().is_some());
    whole.order.as_mut().expect("an order").payment = None;
    assert!(whole.another_payment().is_some());
    let mut other = awaiting("WAITING_FOR_DEPOSIT");
    other.payments[0].amount += 1;
    assert!(other.another_payment().is_some());
}

#[test]
fn a_payment_earns_once_and_at_the_rate_of_its_day() {
    let mut paid = well("PAID", "DONE", "DECREASED", "STARTED");
    assert_eq!((paid.unrewarded(), paid.doubled(), paid.misrated(&[100])), (None, None, None));
    assert!(paid.misrated(&[200]).is_some());
    assert_eq!(paid.misrated(&[200, 100]), None);
    paid.mileage.push(Entry::default());
    assert!(paid.doubled().is_some());
    paid.mileage.clear();
    assert!(paid.unrewarded().is_some());
}

#[test]
fn a_payment_of_which_parts_went_back_is_worth_what_is_left() {
    let mut paid = well("PAID", "DONE", "DECREASED", "STARTED");
    (paid.payments[0].left, paid.mileage[0].taken_back) = (600, 4);
    assert_eq!(paid.misrated(&[100]), None);
    paid.mileage[0].taken_back = 3;
    assert!(paid.misrated(&[100]).is_some());
    // Whatever came first.
    (paid.mileage[0].points, paid.mileage[0].taken_back) = (6, 0);
    assert_eq!(paid.misrated(&[100]), None);
    paid.mileage[0].state = "CANCELLED".into();
    assert_eq!(paid.misrated(&[100]), None);
    paid.mileage[0].points = 11;
    assert!(paid.misrated(&[100]).is_some());
}

#[test]
fn a_message_to_marketing_follows_each_approval_and_nothing_else() {
    let mut paid = well("PAID", "DONE", "DECREASED", "STARTED");
    assert_eq!(paid.unannounced(), None);
    paid.marketing = 0;
    assert!(paid.unannounced().is_some());
    let mut declined = well("CANCELLED", "DECLINED", "REFUSED", "REFUSED");
    assert_eq!(declined.unannounced(), None);
    declined.marketing = 1;
    assert!(declined.unannounced().is_some());
}

#[test]
fn a_charge_without_an_order_is_found() {
    let mut whole = awaiting("WAITING_FOR_DEPOSIT");
    assert_eq!(whole.keeps(Standing::Awaiting), None);
    whole.order = None;
    whole.payments[0].state = "DONE".into();
    let found = whole.keeps(Standing::Unknown);
    assert_eq!(found.as_deref(), Some("is unknown, its payment DONE"));
}

#[test]
fn a_log_tells_a_state_in_one_way() {
    let costing = |amount, method: &str, state: &str, log: &str| {
        let (method, state, log) = (method.into(), state.into(), log.into());
        let by_method = amount;
        Payment { method, state, by_method, log, ..Payment::default() }.may_have_told()
    };
    let payment = |method: &str, state: &str, log: &str| costing(1000, method, state, log);
    assert!(payment("CARD", "DECLINED", ""));
    assert!(!payment("WALLET", "DECLINED", ""));
    assert!(payment("WALLET", "DECLINED", "PaymentDeclined"));
    assert!(payment("BANK_TRANSFER", "DONE", "DepositRequested,PaymentApproved"));
    assert!(!payment("BANK_TRANSFER", "DONE", "PaymentApproved"));
    assert!(costing(0, "BANK_TRANSFER", "DONE", "PaymentApproved"));
    assert!(!payment("WALLET", "CANCELLED", "PaymentApproved"));
    assert!(!payment("WALLET", "UNHEARD_OF", ""));
    assert!(payment("CARD", "CANCELLED", "PaymentApproved,PaymentCancelled,PaymentRefunded"));
    let in_parts = |parts, reduced, state: &str, log: &str| {
        let (method, state, log) = ("BANK_TRANSFER".into(), state.into(), log.into());
        Payment { method, state, parts, reduced, log, by_method: 1, ..Payment::default() }
            .may_have_told()
    };
    let paid =
        "DepositRequested,DepositReduced,PaymentApproved,PaymentPartRefunded,PaymentRefunded";
    assert!(in_parts(1, 1, "DONE", paid));
    assert!(!in_parts(2, 1, "DONE", paid));
    assert!(!in_parts(1, 0, "DONE", paid));
    assert!(in_parts(1, 1, "CANCELLED", &format!("{paid},PaymentCancelled,PaymentRefunded")));

    let mut whole = well("PAID", "DONE", "DECREASED", "STARTED");
    let order = whole.order.as_mut().expect("an order");
    (order.log, order.event_version, order.last_version) = ("OrderPlaced,OrderPaid".into(), 2, 2);
    assert_eq!(whole.untold(), None);
    whole.order.as_mut().expect("an order").last_version = 3;
    assert!(whole.untold().is_some());
}
