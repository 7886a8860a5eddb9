//! Each member's money, points and coupons are what their orders left of them, and My
//! Page says the same as those whose page it is made of.

use std::{collections::HashMap, sync::Arc};

use serde_json::Value;

use super::{
    Reader, Seen, number,
    paid::{self, took},
    text,
};
use crate::{
    customer::units,
    model::{Account, Fate, Standing, Why},
    shop::Shop,
};

/// What an order passes when all goes well.
const PATH: &[&str] =
    &["PLACED", "AWAITING_DEPOSIT", "PAID", "PREPARED", "DELIVERING", "DELIVERED", "CLOSED"];

/// One member, and all that is about them.
struct Page<'a> {
    shop: &'a Shop,
    account: &'a Arc<Account>,
    orders: Vec<&'a Value>,
    seen: &'a Seen,
}

pub(super) async fn compare(reader: &mut Reader<'_>, seen: &Seen, account: &Arc<Account>) {
    let shop = reader.shop;
    let id = &account.id;
    let orders = seen.orders.values().filter(|order| text(order, "memberId") == *id).collect();
    let page = Page { shop, account, orders, seen };
    let member = reader.get(format!("/v1/members/{id}")).await;
    let coupons = reader.all(&format!("/v1/members/{id}/coupons"), "coupons").await;
    let mine = reader.get(format!("/v1/mypage/{id}")).await;
    page.membership(&member, &coupons, &mine);
    let wallet = reader.get(format!("/v1/members/{id}/wallet")).await;
    let entries = reader.all(&format!("/v1/members/{id}/wallet/entries"), "entries").await;
    page.money(units(&wallet["balance"]), &entries);
    let mileage = reader.get(format!("/v1/members/{id}/mileage")).await;
    let points = reader.all(&format!("/v1/members/{id}/mileage/entries"), "entries").await;
    let shown = reader.all(&format!("/v1/mypage/{id}/mileage"), "entries").await;
    page.points(&mileage, &points, &mine, &shown);
    let views = reader.all(&format!("/v1/mypage/{id}/orders"), "orders").await;
    page.views(&mine, views);
}

impl Page<'_> {
    fn wrong(&self, what: String) {
        self.shop.wrong(std::slice::from_ref(&self.account.id), what);
    }

    fn membership(&self, member: &Value, coupons: &[Value], mine: &Value) {
        let gone = self.account.standing() == Standing::Gone;
        let state = if gone { "WITHDRAWN" } else { "ACTIVE" };
        let states: Vec<_> = coupons.iter().map(|coupon| text(coupon, "state")).collect();
        let allowed: &[&str] = if gone {
            &["CANCELLED", "REDEEMED", "EXPIRED"]
        } else {
            &["ISSUED", "REDEEMED", "EXPIRED"]
        };
        let expected = 1 + self.account.issued();
        // Whoever left at once has no welcome coupon.
        let all = states.len() == expected || (gone && states.len() + 1 == expected);
        let right = states.iter().all(|state| allowed.contains(&&**state));
        if text(member, "state") != state || !all || !right {
            self.wrong(format!("{state} with {expected} coupons: {member}, and {coupons:?}"));
        }
        let (issued, cancelled) =
            (!states.is_empty(), states.iter().any(|state| state == "CANCELLED"));
        for shown in [member, mine] {
            let flags = ["couponIssued", "adminNotified", "couponCancelled"];
            let flags = flags.map(|flag| shown[flag].as_bool());
            if flags != [Some(issued), Some(true), Some(cancelled)] || text(shown, "state") != state
            {
                self.wrong(format!("{state} with coupons {states:?}, and yet {shown}"));
            }
        }
        let those = |of: &[Value]| {
            let mut all: Vec<_> = of.iter().map(|it| (text(it, "id"), text(it, "state"))).collect();
            all.sort();
            all
        };
        let shown = mine["coupons"].as_array().cloned().unwrap_or_default();
        if those(coupons) != those(&shown) {
            self.wrong(format!("My Page has other coupons than {coupons:?}: {mine}"));
        }
        let key = ("ADMIN".to_owned(), self.account.id.clone());
        let told = self.seen.notifications.get(&key).map_or(0, Vec::len);
        if told != 1 {
            self.wrong(format!("the admin was told {told} times"));
        }
    }

    /// The balance is what came in by hand and by card, less what orders have of it.
    fn money(&self, balance: i64, entries: &[Value]) {
        let sum: i64 = entries.iter().map(|entry| units_signed(&entry["amount"])).sum();
        if sum != balance || balance < 0 {
            self.wrong(format!("a balance of {balance}, and entries of {sum}"));
        }
        let kinds = [
            ("TOP_UP", Why::TopUp),
            ("ADJUSTMENT", Why::Adjustment),
            ("PAYOUT", Why::PayOut),
            ("CREDIT", Why::Credit),
        ];
        for (kind, why) in kinds {
            self.by_hand(kind, why, entries);
        }
        let failed = |it: &&Value| {
            let whose = text(it, "memberId") == self.account.id;
            whose && text(it, "state") == "FAILED" && text(it, "depositId").is_empty()
        };
        let failed = self.seen.payouts.iter().filter(failed);
        let mut expected: Vec<_> =
            failed.map(|it| (text(it, "id"), units(&it["amount"]))).collect();
        let of = entries.iter().filter(|it| text(it, "kind") == "PAYOUT_FAILED");
        let mut back: Vec<_> =
            of.map(|it| (text(it, "payoutId"), units_signed(&it["amount"]))).collect();
        expected.sort();
        back.sort();
        if expected != back {
            self.wrong(format!("{expected:?} could not be paid out, {back:?} came back"));
        }
        let mut moved: HashMap<String, i64> = HashMap::new();
        for entry in entries.iter().filter(|it| ["PAYMENT", "REFUND"].contains(&&*text(it, "kind")))
        {
            *moved.entry(text(entry, "orderId")).or_default() -= units_signed(&entry["amount"]);
        }
        for order in &self.orders {
            let id = text(order, "id");
            let (has, expected) =
                (moved.remove(&id).unwrap_or_default(), took(self.seen, order).wallet);
            if has != expected {
                let payments = &self.seen.payments.get(&id);
                let what =
                    format!("has {has} of the wallet, not {expected}: {order}, {payments:?}");
                self.shop.wrong(&[id], what);
            }
        }
        moved.retain(|_, won| *won != 0);
        if !moved.is_empty() {
            self.wrong(format!("the wallet paid for no order of theirs: {moved:?}"));
        }
    }

    /// What was moved by hand is what was asked for and answered.
    fn by_hand(&self, kind: &str, why: Why, entries: &[Value]) {
        let of = entries.iter().filter(|it| text(it, "kind") == kind);
        let mut moved: Vec<i64> = of.map(|it| units_signed(&it["amount"])).collect();
        for asked in self.account.moved().into_iter().filter(|it| it.why == why) {
            let at = moved.iter().position(|won| *won == asked.amount);
            match (asked.fate, at) {
                // An unknown one's answer was lost with the account.
                (Fate::Done | Fate::Unknown, Some(at)) => drop(moved.swap_remove(at)),
                (Fate::Done, None) => self.wrong(format!("a lost {kind}: {}", asked.amount)),
                (Fate::Unknown, None) | (Fate::Refused | Fate::Open, _) => {}
            }
        }
        if !moved.is_empty() {
            self.wrong(format!("{kind} that nobody asked for: {moved:?}"));
        }
    }

    /// A hundredth of each payment that stands; and what orders that stand are paid with is gone.
    fn points(&self, mileage: &Value, entries: &[Value], mine: &Value, shown: &[Value]) {
        let of = |kind: &str, field: &str, id: &str| {
            let of = entries.iter().filter(|it| text(it, "kind") == kind && text(it, field) == id);
            of.cloned().collect::<Vec<_>>()
        };
        for order in &self.orders {
            let (id, state) = (text(order, "id"), text(order, "state"));
            let earned = of("EARN", "orderId", &id);
            let (least, most, worth) = paid::earned(order);
            let done = ["DELIVERING", "DELIVERED", "CLOSED"].contains(&&*state);
            let entry_state = if done { "EARNED" } else { "CANCELLED" };
            // What was taken back of an order has taken points back, in entries of their own.
            let right = |entry: &Value| {
                text(entry, "state") == entry_state
                    && (least..=most).contains(&number(entry, "points"))
            };
            if earned.len() > 1 || (done && earned.is_empty()) || !earned.iter().all(right) {
                self.shop.wrong(std::slice::from_ref(&id), format!("points {earned:?} of {order}"));
            }
            for entry in &earned {
                let lot = text(entry, "id");
                let (revoked, expired) =
                    (of("REVOKE", "earnEntryId", &lot), of("EXPIRE", "earnEntryId", &lot));
                let left = number_signed(entry) + points_of(&revoked) - worth;
                self.shop.count("points expired", u64::from(!expired.is_empty()));
                // What has expired is not taken back any more.
                if left < 0 || left > -points_of(&expired) {
                    let what = format!("{entry} is worth {worth}: {revoked:?}, {expired:?}");
                    self.shop.wrong(std::slice::from_ref(&id), what);
                }
            }
            let used =
                points_of(&of("SPEND", "orderId", &id)) + points_of(&of("RESTORE", "orderId", &id));
            let expected = took(self.seen, order).points;
            if used != -expected {
                self.shop
                    .wrong(&[id], format!("{used} points, not {expected}, were used: {order}"));
            }
        }
        self.sums(mileage, entries, mine, shown);
    }

    fn sums(&self, mileage: &Value, entries: &[Value], mine: &Value, shown: &[Value]) {
        let known = |it: &Value| self.seen.orders.contains_key(&text(it, "orderId"));
        let strays = entries.iter().filter(|it| !text(it, "orderId").is_empty() && !known(it));
        // An order that came to nothing has given back what it used.
        let mut of: HashMap<String, i64> = HashMap::new();
        for entry in strays.filter(|it| text(it, "state") != "CANCELLED") {
            *of.entry(text(entry, "orderId")).or_default() += number_signed(entry);
        }
        of.retain(|_, points| *points != 0);
        if !of.is_empty() {
            self.wrong(format!("points of no order: {of:?}"));
        }
        let sum = points_of(entries);
        let balances =
            [number_signed_at(mileage, "balance"), number_signed_at(mine, "mileageBalance")];
        if balances != [sum; 2] {
            self.wrong(format!("entries of {sum} points, not {balances:?} (mileage, My Page)"));
        }
        let those = |of: &[Value]| {
            let one = |it: &Value| (text(it, "id"), text(it, "state"), number_signed(it));
            let mut all: Vec<_> = of.iter().map(one).collect();
            all.sort();
            all
        };
        if those(entries) != those(shown) {
            self.wrong("My Page shows other points than mileage".to_owned());
        }
    }

    /// My Page's orders are those that there are, with all that became of them.
    fn views(&self, mine: &Value, views: Vec<Value>) {
        let count = number(mine, "orderCount");
        if usize::try_from(count).ok() != Some(self.orders.len()) {
            self.wrong(format!("{} orders, My Page counts {count}", self.orders.len()));
        }
        let mut views: HashMap<String, Value> =
            views.into_iter().map(|view| (text(&view, "orderId"), view)).collect();
        for order in &self.orders {
            let id = text(order, "id");
            match views.remove(&id) {
                Some(view) => self.view(&id, order, &view),
                None => self.shop.wrong(&[id], format!("not on My Page: {order}")),
            }
        }
        if !views.is_empty() {
            self.wrong(format!("orders on My Page alone: {:?}", views.keys()));
        }
    }

    fn view(&self, id: &str, order: &Value, view: &Value) {
        let wrong = |what: &str| {
            let what = format!("My Page: {what}: {view}, and the order is {order}");
            self.shop.wrong(&[id.to_owned()], what);
        };
        let part = |all: &HashMap<String, Vec<Value>>, none: &str| {
            let first = all.get(id).and_then(|all| all.first());
            first.map_or_else(|| none.to_owned(), |it| text(it, "state"))
        };
        let payment = part(&self.seen.payments, "STATE_UNSPECIFIED");
        let delivery = part(&self.seen.deliveries, "STATE_UNSPECIFIED");
        for field in ["state", "cancelReason", "total", "payable"] {
            if order[field] != view[field] {
                wrong(field);
            }
        }
        // What each line bears is told where there is something to share.
        let bought = |of: &Value| -> Vec<Value> {
            let fields = [
                "productId",
                "displayName",
                "quantity",
                "unitPrice",
                "cancelledQuantity",
                "returnedQuantity",
            ];
            let lines = of["lines"].as_array().into_iter().flatten();
            lines.flat_map(|line| fields.map(|field| line[field].clone())).collect()
        };
        if bought(order) != bought(view) {
            wrong("lines");
        }
        if text(view, "paymentState") != payment || text(view, "deliveryState") != delivery {
            wrong(&format!("not {payment} and {delivery}"));
        }
        let history = view["history"].as_array().cloned().unwrap_or_default();
        let passed: Vec<_> = history.iter().map(|milestone| text(milestone, "state")).collect();
        let transfer = text(order, "paymentMethod") == "BANK_TRANSFER";
        // Nobody may have said that it had arrived.
        let arrived = passed.iter().any(|state| state == "DELIVERED");
        let path = PATH.iter().filter(|state| transfer || **state != "AWAITING_DEPOSIT");
        let path = path.filter(|state| arrived || **state != "DELIVERED");
        let state = text(order, "state");
        let mut expected: Vec<String> = Vec::new();
        for milestone in path {
            let on = passed.contains(&(*milestone).to_owned());
            if !on {
                break;
            }
            expected.push((*milestone).to_owned());
        }
        if state == "CANCELLED" {
            expected.push(state.clone());
        }
        if passed != expected || passed.last() != Some(&state) {
            wrong("a history that cannot be");
        }
    }
}

/// The units of an amount that may be below 0.
fn units_signed(money: &Value) -> i64 {
    money["units"].as_str().and_then(|units| units.parse().ok()).unwrap_or_default()
}

/// The points of an entry, which may be below 0.
fn number_signed(entry: &Value) -> i64 {
    number_signed_at(entry, "points")
}

fn number_signed_at(value: &Value, field: &str) -> i64 {
    let field = &value[field];
    field.as_i64().or_else(|| field.as_str()?.parse().ok()).unwrap_or_default()
}

fn points_of(entries: &[Value]) -> i64 {
    entries.iter().map(number_signed).sum()
}
