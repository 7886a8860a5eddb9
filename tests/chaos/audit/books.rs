//! What was done by hand stands, once: deposits are where they were said to be, parcels
//! and returns as far as they were said to be, and everybody can read who did it.

use std::collections::{BTreeMap, HashMap};

use serde_json::Value;

use super::{Reader, Seen, text};
use crate::{customer::units, shop::Shop};

pub(super) async fn compare(reader: &mut Reader<'_>, seen: &Seen) {
    let shop = reader.shop;
    deposits(shop, seen);
    payouts(shop, seen);
    parcels(shop, seen);
    returns(shop, seen);
    let entries = reader.all("/v1/auditEntries", "entries").await;
    by_hand(shop, seen, &entries);
    roles(reader, &entries).await;
}

/// Each won of a deposit is in one place, which is the one that was answered.
fn deposits(shop: &Shop, seen: &Seen) {
    let model = shop.model();
    let mut known = model.answered.deposits.clone();
    let (credited, refunded, matched) = {
        let answered = &model.answered;
        (answered.credited.clone(), answered.refunded.clone(), answered.matched.clone())
    };
    drop(model);
    let mut paid: HashMap<String, i64> = HashMap::new();
    for deposit in &seen.deposits {
        let (id, state) = (text(deposit, "id"), text(deposit, "state"));
        let won = |field: &str| units(&deposit[field]).max(0);
        let (amount, of_it, held) = (won("amount"), won("matchedAmount"), won("heldAmount"));
        *paid.entry(text(deposit, "paymentId")).or_default() += of_it;
        let about = [id.clone(), text(deposit, "orderId")];
        let wrong = |what: &str| shop.wrong(&about, format!("{what}: {deposit}"));
        let answered = known.remove(&id);
        if answered.is_some_and(|answered| answered != amount) {
            wrong("a deposit of another amount was answered");
        }
        let whole = match state.as_str() {
            "MATCHED" => of_it == amount && held == 0,
            "HELD" => of_it + held == amount && held > 0,
            "REFUNDED" | "CREDITED" => of_it < amount,
            _ => false,
        };
        if !whole {
            wrong("it is not in one place");
        }
        if matched.contains(&id) && of_it == 0 {
            wrong("it was answered to have paid");
        }
        if credited.contains(&id) != (state == "CREDITED") {
            wrong("credited, or not, other than was answered");
        }
        let payouts = seen.payouts.iter().filter(|it| text(it, "depositId") == id);
        let (sent, all) =
            (payouts.clone().filter(|it| text(it, "state") == "SENT"), payouts.count());
        let answered = refunded.get(&id).copied().unwrap_or_default();
        if u64::try_from(all).ok() != Some(answered) || (sent.count() == 1) != (state == "REFUNDED")
        {
            wrong(&format!("{answered} refunds were answered, {all} payouts were made"));
        }
    }
    if !known.is_empty() {
        let about: Vec<_> = known.keys().cloned().collect();
        shop.wrong(&about, format!("deposits that were answered are gone: {known:?}"));
    }
    paid_by_deposits(shop, seen, &paid);
}

/// A transfer that is done was paid by deposits, to the won.
fn paid_by_deposits(shop: &Shop, seen: &Seen, paid: &HashMap<String, i64>) {
    for payment in seen.payments.values().flatten() {
        if text(payment, "method") != "BANK_TRANSFER" {
            continue;
        }
        let parts = payment["parts"].as_array().into_iter().flatten();
        let by_method = parts.filter(|part| text(part, "method") == "BANK_TRANSFER");
        let due: i64 = by_method.map(|part| units(&part["amount"])).sum();
        let came = paid.get(&text(payment, "id")).copied().unwrap_or_default();
        let right = match text(payment, "state").as_str() {
            "DONE" => came == due,
            "CANCELLED" => came == due || came == 0,
            _ => came == 0,
        };
        if !right {
            let about = [text(payment, "orderId"), text(payment, "id")];
            shop.wrong(&about, format!("{due} were due, {came} came: {payment}"));
        }
    }
}

/// Nothing is on its way any more, and numbers of accounts are nobody's business.
fn payouts(shop: &Shop, seen: &Seen) {
    for payout in &seen.payouts {
        let (state, number) = (text(payout, "state"), text(&payout["account"], "accountNumber"));
        shop.count("payouts sent", u64::from(state == "SENT"));
        shop.count("payouts failed", u64::from(state == "FAILED"));
        let wrong_account = number.ends_with("0000");
        let shown = number.chars().filter(char::is_ascii_digit).count();
        // Those of members who are erased say nothing.
        let right =
            if state == "SENT" { !wrong_account } else { wrong_account || number.is_empty() };
        if !["SENT", "FAILED"].contains(&&*state) || shown > 4 || !right {
            let about = [text(payout, "orderId"), text(payout, "memberId")];
            shop.wrong(&about, format!("no end of a payout: {payout}"));
        }
    }
}

/// What was said of a parcel still holds; it goes where its order said.
fn parcels(shop: &Shop, seen: &Seen) {
    let model = shop.model();
    let (dispatched, arrived) = (model.answered.dispatched.clone(), model.answered.arrived.clone());
    let mut intents: BTreeMap<String, _> = BTreeMap::new();
    for intent in &model.intents {
        if let Some(order) = &intent.order {
            let open = intent.account.standing() == crate::model::Standing::Open;
            intents.insert(order.clone(), (open, intent.besides.address.clone()));
        }
    }
    drop(model);
    for delivery in seen.deliveries.values().flatten() {
        let (id, state) = (text(delivery, "id"), text(delivery, "state"));
        let wrong = |what: &str| {
            shop.wrong(&[text(delivery, "orderId")], format!("{what}: {delivery}"));
        };
        let gone = dispatched.get(&id);
        if gone
            .is_some_and(|number| state == "STARTED" || text(delivery, "trackingNumber") != *number)
        {
            wrong("it was answered to be on its way");
        }
        if arrived.contains_key(&id) && ["STARTED", "DISPATCHED"].contains(&&*state) {
            wrong("it was answered to have arrived");
        }
        let Some((open, address)) = intents.get(&text(delivery, "orderId")) else { continue };
        let shown = &delivery["address"];
        let right = match address {
            None => shown.is_null(),
            // Whoever has left is erased.
            Some(_) if !open => true,
            Some((_, asked)) => {
                ["recipient", "line1", "postcode"].iter().all(|it| shown[it] == asked[it])
            }
        };
        shop.count("parcels with an address", u64::from(!shown.is_null()));
        if !right {
            wrong(&format!("its address is {address:?}"));
        }
    }
}

/// What was said of a return still holds, and what came back is what was accepted.
fn returns(shop: &Shop, seen: &Seen) {
    let mut answered = shop.model().answered.returns.clone();
    let mut accepted: HashMap<(String, String), i64> = HashMap::new();
    for part in &seen.returns {
        let (id, order, state) = (text(part, "id"), text(part, "orderId"), text(part, "state"));
        let wrong =
            |what: String| shop.wrong(&[order.clone(), id.clone()], format!("{what}: {part}"));
        let said = answered.remove(&id).unwrap_or_default();
        if !said.is_empty() && said != state {
            wrong(format!("{said} was answered"));
        }
        if state != "ACCEPTED" {
            continue;
        }
        for line in part["lines"].as_array().into_iter().flatten() {
            let product = (order.clone(), text(line, "productId"));
            *accepted.entry(product).or_default() += line["quantity"].as_i64().unwrap_or_default();
        }
        let payments = seen.payments.get(&order).into_iter().flatten();
        let refunds = payments.flat_map(|it| it["refunds"].as_array().into_iter().flatten());
        let of_it = refunds.filter(|refund| text(refund, "partId") == id);
        let back: i64 = of_it.map(|refund| units(&refund["amount"])).sum();
        if back != units(&part["refunded"]) {
            wrong(format!("{back} went back for it"));
        }
    }
    if !answered.is_empty() {
        let about: Vec<_> = answered.keys().cloned().collect();
        shop.wrong(&about, format!("returns that were answered are gone: {answered:?}"));
    }
    for (id, order) in &seen.orders {
        for line in order["lines"].as_array().into_iter().flatten() {
            let came = accepted.remove(&(id.clone(), text(line, "productId"))).unwrap_or_default();
            if line["returnedQuantity"].as_i64() != Some(came) {
                shop.wrong(
                    std::slice::from_ref(id),
                    format!("{came} were accepted back: {line} of {order}"),
                );
            }
        }
    }
}

/// What was done by hand can be read, once for each time that it was done.
fn by_hand(shop: &Shop, seen: &Seen, entries: &[Value]) {
    let mut told: BTreeMap<(String, String), Vec<&Value>> = BTreeMap::new();
    for entry in entries {
        let key = (text(entry, "action"), text(entry, "subjectId"));
        told.entry(key).or_default().push(entry);
    }
    let of = |action: &str, subject: &str| {
        told.get(&(action.to_owned(), subject.to_owned())).map_or(&[][..], Vec::as_slice)
    };
    let expect = |action: &str, subject: &str, times: usize| {
        let told = of(action, subject);
        let right = told.len() == times && told.iter().all(|it| !text(it, "actorId").is_empty());
        if !right {
            let what = format!("{action} was done {times} times to {subject}, and told: {told:?}");
            shop.wrong(&[subject.to_owned()], what);
        }
    };
    for (action, subject, reason) in &shop.model().answered.by_hand {
        let times = of(action, subject).iter().filter(|it| text(it, "reason") == *reason).count();
        if times != 1 {
            let what = format!("{action} to {subject} {reason}: told {times} times");
            shop.wrong(std::slice::from_ref(subject), what);
        }
    }
    for (id, order) in &seen.orders {
        let by_shop = text(order, "cancelReason") == "SHOP_REQUEST";
        expect("ORDER_CANCELLED", id, usize::from(by_shop));
    }
    for deposit in &seen.deposits {
        let id = text(deposit, "id");
        expect("DEPOSIT_CREDITED", &id, usize::from(text(deposit, "state") == "CREDITED"));
        let refunds = seen.payouts.iter().filter(|it| text(it, "depositId") == id).count();
        expect("DEPOSIT_REFUNDED", &id, refunds);
    }
}

/// Clerks are what was answered last; tokens from before a role was taken back are good for nothing.
async fn roles(reader: &mut Reader<'_>, entries: &[Value]) {
    let shop = reader.shop;
    let (clerks, changes, sells, revoked) = {
        let model = shop.model();
        let answered = &model.answered;
        let of = (answered.changes.clone(), answered.sells.clone(), answered.revoked.clone());
        (model.clerks.clone(), of.0, of.1, of.2)
    };
    for clerk in &clerks {
        let member = reader.get(format!("/v1/members/{}", clerk.id)).await;
        let sells = sells.get(&clerk.id).copied().unwrap_or_default();
        let has = member["roles"].as_array().into_iter().flatten().any(|role| role == "SELLER");
        let role = |entry: &&Value| {
            text(entry, "subjectId") == clerk.id && text(entry, "action").starts_with("ROLE_")
        };
        let (told, changes) = (entries.iter().filter(role).count(), changes.get(&clerk.id));
        if has != sells || told != changes.copied().unwrap_or_default() {
            let what = format!("sells: {sells}, {changes:?} changes and {told} told of: {member}");
            shop.wrong(std::slice::from_ref(&clerk.id), what);
        }
        reader.may_sell(clerk, sells).await;
    }
    for (clerk, token) in revoked {
        let rest = shop.rest.clone().with_token(token);
        let answer = rest.get("/v1/deposits?pageSize=1").await;
        if answer.as_ref().is_ok_and(|answer| answer.status != 401) || answer.is_err() {
            shop.wrong(&[clerk], format!("a role was taken back, and yet: {answer:?}"));
        }
    }
}
