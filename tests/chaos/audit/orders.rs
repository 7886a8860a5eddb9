//! Each order that was asked for is there once, or not at all; and it has the payment,
//! the delivery and the message that its state asks for.

use std::collections::BTreeMap;

use serde_json::Value;

use super::{Seen, text};
use crate::{
    customer::units,
    model::{Fate, Intent, Method},
    shop::Shop,
};

pub(super) fn compare(shop: &Shop, seen: &Seen) {
    let (intents, texts, deposited) = {
        let model = shop.model();
        (model.intents.clone(), model.texts.clone(), model.deposited.clone())
    };
    let taken = quantities(&intents);
    let mut known: BTreeMap<&str, &Intent> = BTreeMap::new();
    for intent in &intents {
        let Some(id) = intent.order.as_deref() else { continue };
        if known.insert(id, intent).is_some() {
            shop.wrong(&[id.to_owned()], format!("two commands were answered with order {id}"));
        }
        if !seen.orders.contains_key(id) {
            shop.wrong(&[id.to_owned()], format!("order {id} was answered, and is gone"));
        }
    }
    let mut unknown: Vec<&Intent> = intents.iter().filter(|it| it.fate == Fate::Unknown).collect();
    for (id, order) in &seen.orders {
        match known.get(id.as_str()) {
            Some(intent) => {
                placed(shop, seen, intent, id, order);
                possible(shop, intent, &taken, order);
                let kept = deposited.contains(id) && !intent.shop_asked;
                if kept && text(order, "state") == "CANCELLED" {
                    shop.wrong(
                        std::slice::from_ref(id),
                        format!("the deposit was confirmed: {order}"),
                    );
                }
            }
            None => {
                if let Some(at) = unknown.iter().position(|intent| may_be(intent, order)) {
                    // Its answer was lost with its member's account.
                    unknown.swap_remove(at);
                } else {
                    let about = [id.clone(), text(order, "memberId")];
                    shop.wrong(&about, format!("nobody placed this order: {order}"));
                }
            }
        }
        state(shop, seen, id, order);
        messages(shop, seen, &texts, id, order);
    }
    strays(shop, seen);
}

/// How many of each product were ever asked for.
fn quantities(intents: &[Intent]) -> Vec<i64> {
    let mut sums = Vec::new();
    for (place, quantity) in intents.iter().flat_map(|intent| &intent.lines) {
        if sums.len() <= *place {
            sums.resize(place + 1, 0);
        }
        sums[*place] += quantity;
    }
    sums
}

fn may_be(intent: &Intent, order: &Value) -> bool {
    intent.account.id == text(order, "memberId")
        && intent.method.name() == text(order, "paymentMethod")
        && order["lines"].as_array().is_some_and(|lines| {
            let quantities = lines.iter().map(|line| line["quantity"].as_i64());
            quantities.eq(intent.lines.iter().map(|(_, quantity)| Some(*quantity)))
        })
}

/// What was answered about it still holds.
fn placed(shop: &Shop, seen: &Seen, intent: &Intent, id: &str, order: &Value) {
    let (state, reason) = (text(order, "state"), text(order, "cancelReason"));
    let wrong = |what: &str| shop.wrong(&[id.to_owned()], format!("{what}: {order}"));
    if units(&order["total"]) != intent.total || text(order, "memberId") != intent.account.id {
        wrong("it is not what was answered");
    }
    if intent.cancelled && state != "CANCELLED" {
        wrong("its cancellation was answered");
    }
    if intent.closed && state != "CLOSED" {
        wrong("its receipt was confirmed");
    }
    if reason == "MEMBER_REQUEST" && !intent.cancel_asked {
        wrong("nobody asked for its cancellation");
    }
    if reason == "SHOP_REQUEST" && !intent.shop_asked {
        wrong("the shop did not ask for its cancellation");
    }
    let own: &[&str] = match intent.method {
        Method::Card => &[],
        Method::Wallet => &["INSUFFICIENT_BALANCE"],
        Method::BankTransfer if intent.besides.wallet > 0 => {
            &["DEPOSIT_EXPIRED", "INSUFFICIENT_BALANCE"]
        }
        Method::BankTransfer => &["DEPOSIT_EXPIRED"],
    };
    let allowed = [&["", "MEMBER_REQUEST", "SHOP_REQUEST", "OUT_OF_STOCK"], own].concat();
    let reason = if reason == "CANCEL_REASON_UNSPECIFIED" { "" } else { &*reason };
    if !allowed.contains(&reason) || (state == "CANCELLED") == reason.is_empty() {
        wrong("it cannot have ended for that");
    }
    match reason {
        "OUT_OF_STOCK" if intent.method != Method::BankTransfer => {
            shop.count("compensated: out of stock", 1);
        }
        "INSUFFICIENT_BALANCE" => shop.count("refused: insufficient balance", 1),
        "DEPOSIT_EXPIRED" => shop.count("deposit expired", 1),
        _ => {}
    }
    let payments = seen.payments.get(id).map_or(&[][..], Vec::as_slice);
    let method = |payment: &Value| text(payment, "method") == intent.method.name();
    if !payments.iter().all(method) {
        wrong("it is paid another way");
    }
}

/// Nothing was refused of which there was enough whatever else was taken.
fn possible(shop: &Shop, intent: &Intent, taken: &[i64], order: &Value) {
    let about = [text(order, "id")];
    match &*text(order, "cancelReason") {
        "OUT_OF_STOCK" => {
            let enough = |((place, quantity), on_hand): (&(usize, i64), &i64)| {
                let lessened = shop.model().products[*place].lessened;
                on_hand - lessened - (taken[*place] - quantity) >= *quantity
            };
            if intent.lines.iter().zip(&intent.on_hand).all(enough) {
                shop.wrong(&about, format!("there was enough in stock: {order}"));
            }
        }
        "INSUFFICIENT_BALANCE" if !was_short(shop, intent) => {
            shop.wrong(&about, format!("there was enough in the wallet: {order}"));
        }
        _ => {}
    }
}

/// Whether a wallet may have had too little, whatever came first.
fn was_short(shop: &Shop, intent: &Intent) -> bool {
    let own = |it: &Intent| match it.method {
        Method::Wallet => it.total,
        _ => it.besides.wallet,
    };
    let model = shop.model();
    let theirs = model.intents.iter().filter(|other| other.account.id == intent.account.id);
    let (mut spent, mut certain) = (0, true);
    for other in theirs {
        spent += own(other);
        certain &= other.fate != Fate::Unknown || own(other) == 0;
    }
    let out: i64 = intent.account.moved().iter().map(|it| (-it.amount).max(0)).sum();
    !certain || intent.balance - out - (spent - own(intent)) < own(intent)
}

/// What there has to be of an order that has come to rest.
fn state(shop: &Shop, seen: &Seen, id: &str, order: &Value) {
    let wrong = |what: String| shop.wrong(&[id.to_owned()], format!("{what}: {order}"));
    let payments = seen.payments.get(id).map_or(&[][..], Vec::as_slice);
    let deliveries = seen.deliveries.get(id).map_or(&[][..], Vec::as_slice);
    if payments.len() > 1 || deliveries.len() > 1 {
        wrong(format!("more than one of a kind: {payments:?} {deliveries:?}"));
    }
    let payment = payments.first().map(|it| text(it, "state")).unwrap_or_default();
    let delivery = deliveries.first().map(|it| text(it, "state")).unwrap_or_default();
    let (state, reason) = (text(order, "state"), text(order, "cancelReason"));
    let paid_back: &[&str] = match reason.as_str() {
        "INSUFFICIENT_BALANCE" => &["DECLINED"],
        "DEPOSIT_EXPIRED" => &["EXPIRED"],
        // Cancelled before payment had heard of it, or while it was too late for it already.
        "MEMBER_REQUEST" | "SHOP_REQUEST" => &["", "CANCELLED", "DECLINED", "EXPIRED"],
        _ => &["CANCELLED"],
    };
    let (pays, delivers): (&[&str], &[&str]) = match state.as_str() {
        "DELIVERING" => (&["DONE"], &["STARTED", "DISPATCHED"]),
        "DELIVERED" => (&["DONE"], &["DELIVERED"]),
        "CLOSED" => (&["DONE"], &["COMPLETED"]),
        "CANCELLED" if ["MEMBER_REQUEST", "SHOP_REQUEST"].contains(&&*reason) => {
            (paid_back, &["", "CANCELLED"])
        }
        "CANCELLED" => (paid_back, &[""]),
        _ => return wrong("it has not come to rest".to_owned()),
    };
    if !pays.contains(&payment.as_str()) || !delivers.contains(&delivery.as_str()) {
        wrong(format!("its payment is {payment:?}, its delivery {delivery:?}"));
    }
}

/// Whoever pays is written to, once, in words that there were.
fn messages(shop: &Shop, seen: &Seen, texts: &[(&str, String)], id: &str, order: &Value) {
    let key = ("MARKETING".to_owned(), id.to_owned());
    let messages = seen.notifications.get(&key).map_or(&[][..], Vec::as_slice);
    let wrong = |what: &str| {
        shop.wrong(&[id.to_owned()], format!("{what}: {messages:?} about {order}"));
    };
    let approved = ["DELIVERING", "DELIVERED", "CLOSED"].contains(&&*text(order, "state"));
    if messages.len() > 1 || (approved && messages.is_empty()) {
        wrong("one message was to be sent");
    }
    let member = text(order, "memberId");
    let worded = |body: &str| {
        let of = texts.iter().filter(|(template, _)| *template == "payment-approved");
        of.map(|(_, text)| text.replace("{orderId}", id).replace("{memberId}", &member))
            .any(|text| text == body)
    };
    if !messages.iter().all(|message| worded(&text(message, "body"))) {
        wrong("nobody wrote these words");
    }
}

/// What belongs to no order that there is has to have come to nothing.
fn strays(shop: &Shop, seen: &Seen) {
    for (order, payments) in &seen.payments {
        let over = |it: &&Value| ["CANCELLED", "DECLINED"].contains(&&*text(it, "state"));
        if !seen.orders.contains_key(order) && !payments.iter().all(|it| over(&it)) {
            shop.wrong(std::slice::from_ref(order), format!("payments of no order: {payments:?}"));
        }
    }
    for (order, deliveries) in &seen.deliveries {
        if !seen.orders.contains_key(order) {
            shop.wrong(
                std::slice::from_ref(order),
                format!("deliveries of no order: {deliveries:?}"),
            );
        }
    }
}
