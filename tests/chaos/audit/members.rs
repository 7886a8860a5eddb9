//! Each member's money, points and coupons are what their orders left of them, and My
//! Page says the same as those whose page it is made of.

use std::{collections::HashMap, sync::Arc};

use serde_json::Value;

use super::{Reader, Seen, grouped, number, text};
use crate::{
    customer::units,
    model::{Account, Fate, Standing},
    shop::Shop,
    taken::kept,
};

/// Of what was paid, in points.
const POINTS: i64 = 100;
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
        // Whoever left at once has none.
        let allowed: &[&[&str]] = if gone { &[&[], &["CANCELLED"]] } else { &[&["ISSUED"]] };
        if text(member, "state") != state || !allowed.iter().any(|those| states == *those) {
            self.wrong(format!("should be {state}: {member}, with coupons {coupons:?}"));
        }
        let issued = !states.is_empty();
        for shown in [member, mine] {
            let flags = ["couponIssued", "adminNotified", "couponCancelled"];
            let flags = flags.map(|flag| shown[flag].as_bool());
            if flags != [Some(issued), Some(true), Some(issued && gone)]
                || text(shown, "state") != state
            {
                self.wrong(format!("{state} with coupons {states:?}, and yet {shown}"));
            }
        }
        if grouped(coupons.to_vec(), |it| (text(it, "id"), text(it, "state"))).keys().any(
            |(id, state)| {
                let shown = mine["coupons"].as_array().into_iter().flatten();
                !shown.into_iter().any(|it| text(it, "id") == *id && text(it, "state") == *state)
            },
        ) {
            self.wrong(format!("My Page has other coupons than {coupons:?}: {mine}"));
        }
        let key = ("ADMIN".to_owned(), self.account.id.clone());
        let told = self.seen.notifications.get(&key).map_or(0, Vec::len);
        if told != 1 {
            self.wrong(format!("the admin was told {told} times"));
        }
    }

    /// The balance is what was paid in, less the orders that stand.
    fn money(&self, balance: i64, entries: &[Value]) {
        let amounts = |kind: &str| {
            let of = entries.iter().filter(|entry| text(entry, "kind") == kind);
            of.map(|entry| (text(entry, "orderId"), units_signed(&entry["amount"])))
                .collect::<Vec<_>>()
        };
        let sum: i64 = entries.iter().map(|entry| units_signed(&entry["amount"])).sum();
        if sum != balance || balance < 0 {
            self.wrong(format!("a balance of {balance}, and entries of {sum}"));
        }
        let mut paid_in: Vec<i64> = amounts("TOP_UP").into_iter().map(|(_, won)| won).collect();
        for top_up in self.account.top_ups() {
            let at = paid_in.iter().position(|won| *won == top_up.amount);
            match (top_up.fate, at) {
                // An unknown one's answer was lost with the account.
                (Fate::Done | Fate::Unknown, Some(at)) => drop(paid_in.swap_remove(at)),
                (Fate::Done, None) => self.wrong(format!("a lost top-up: {}", top_up.amount)),
                (Fate::Unknown, None) | (Fate::Refused | Fate::Open, _) => {}
            }
        }
        if !paid_in.is_empty() {
            self.wrong(format!("top-ups that nobody asked for: {paid_in:?}"));
        }
        let by_wallet = self.orders.iter().filter(|it| text(it, "paymentMethod") == "WALLET");
        let mut expected: HashMap<String, i64> = HashMap::new();
        for order in by_wallet.filter(|order| text(order, "state") != "CANCELLED") {
            expected.insert(text(order, "id"), -kept(order));
        }
        expected.retain(|_, won| *won != 0);
        let mut moved: HashMap<String, i64> = HashMap::new();
        for (order, won) in [amounts("PAYMENT"), amounts("REFUND")].concat() {
            *moved.entry(order).or_default() += won;
        }
        moved.retain(|_, won| *won != 0);
        // The money of a transfer that was confirmed, and cancelled by the shop, is in the wallet; so is
        // that of what was taken back of one.
        let transfers =
            self.orders.iter().filter(|it| text(it, "paymentMethod") == "BANK_TRANSFER");
        for order in transfers {
            let (id, cancelled) = (text(order, "id"), text(order, "state") == "CANCELLED");
            let gone = units(&order["total"]) - if cancelled { 0 } else { kept(order) };
            if moved.get(&id).is_some_and(|won| (1..=gone).contains(won)) {
                moved.remove(&id);
            }
        }
        if moved != expected {
            let differs = moved.iter().filter(|(order, won)| expected.get(*order) != Some(won));
            let lacks = expected.iter().filter(|(order, _)| !moved.contains_key(*order));
            let orders: Vec<_> = differs.chain(lacks).collect();
            let about: Vec<_> = orders.iter().map(|(order, _)| (*order).clone()).collect();
            self.shop.wrong(&about, format!("paid other than what stands: {orders:?}"));
        }
    }

    /// A hundredth of each payment that stands.
    fn points(&self, mileage: &Value, entries: &[Value], mine: &Value, shown: &[Value]) {
        let earned: Vec<Value> =
            entries.iter().filter(|entry| text(entry, "kind") == "EARN").cloned().collect();
        let by_order = grouped(earned.clone(), |entry| text(entry, "orderId"));
        let mut expected = 0;
        for order in &self.orders {
            let (id, state) = (text(order, "id"), text(order, "state"));
            let entries = by_order.get(&id).map_or(&[][..], Vec::as_slice);
            let (points, most) = (kept(order) / POINTS, units(&order["total"]) / POINTS);
            let earned = ["DELIVERING", "DELIVERED", "CLOSED"].contains(&&*state);
            expected += if earned { points } else { 0 };
            let state = if earned { "EARNED" } else { "CANCELLED" };
            // What was taken back of an order has taken points back, in entries of their own.
            let right = |entry: &Value| {
                text(entry, "state") == state && (points..=most).contains(&number(entry, "points"))
            };
            if entries.len() > 1 || (earned && entries.is_empty()) || !entries.iter().all(right) {
                self.shop.wrong(&[id], format!("points {entries:?} of {order}"));
            }
        }
        let stray = |entry: &&Value| {
            !self.seen.orders.contains_key(&text(entry, "orderId"))
                && text(entry, "state") != "CANCELLED"
        };
        if let Some(entry) = earned.iter().find(stray) {
            self.wrong(format!("points of no order: {entry}"));
        }
        let sum: i64 = entries.iter().map(|entry| number(entry, "points")).sum();
        if sum != expected {
            self.wrong(format!("{expected} points, and entries of {sum}"));
        }
        let balances = [number(mileage, "balance"), number(mine, "mileageBalance")];
        if balances != [expected; 2] {
            self.wrong(format!("{expected} points, not {balances:?} (mileage, My Page)"));
        }
        let those = |of: &[Value]| {
            let one = |it: &Value| (text(it, "id"), text(it, "state"), number(it, "points"));
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
