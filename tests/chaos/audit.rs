//! When all is quiet: whether what the API shows is what the model expects. Waits
//! until nothing is under way any more, has `hansang verify` look, reads everything
//! there is over REST, and compares.

mod books;
mod members;
mod orders;
mod paid;
mod shares;
mod stock;

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
    time::{Duration, Instant},
};

use serde_json::Value;

use crate::{actor::Actor, command::Command, dice::Dice, model::Account, operator, shop::Shop};

/// After the faults everything is decided within this: a task may wait for half a minute, and its
/// lease as long.
const SETTLED: Duration = Duration::from_mins(3);
const LOOK: Duration = Duration::from_millis(500);
/// More than any deposit is waited for.
const A_LONG_TIME: Duration = Duration::from_hours(8 * 24);
/// States between others: (list, what, state).
const UNDER_WAY: &[(&str, &str)] = &[
    ("orders", "PLACED"),
    ("orders", "AWAITING_DEPOSIT"),
    ("orders", "PAID"),
    ("orders", "PREPARED"),
    ("orders", "CANCELLING"),
    ("payments", "AUTHORISING"),
    ("payments", "WAITING_FOR_DEPOSIT"),
    ("payments", "CONFIRMING"),
    ("payouts", "REQUESTED"),
    ("deposits", "REFUNDING"),
];

/// Everything that the API shows.
pub(crate) struct Seen {
    /// By id.
    pub(crate) orders: BTreeMap<String, Value>,
    /// By order.
    pub(crate) payments: HashMap<String, Vec<Value>>,
    pub(crate) deliveries: HashMap<String, Vec<Value>>,
    /// By audience and subject.
    pub(crate) notifications: HashMap<(String, String), Vec<Value>>,
    /// By id.
    pub(crate) products: HashMap<String, Value>,
    pub(crate) coupons: Vec<Value>,
    pub(crate) deposits: Vec<Value>,
    pub(crate) payouts: Vec<Value>,
    pub(crate) returns: Vec<Value>,
}

/// Waits until nothing is under way, and compares.
pub(crate) async fn audit(shop: &Shop) {
    let mut reader = Reader { shop, dice: Dice::of(shop.seed, "audit") };
    operator::time_passes(shop, A_LONG_TIME).await;
    if !reader.settles().await {
        return;
    }
    let (holds, printed) = shop.system.verify().await;
    if !holds {
        let broken: Vec<_> = printed.lines().filter(|line| !line.starts_with('✓')).collect();
        let about: Vec<_> = broken.iter().flat_map(|line| ids_in(line)).collect();
        shop.wrong(&about, format!("hansang verify:\n{}", broken.join("\n")));
    }
    let seen = reader.everything().await;
    orders::compare(shop, &seen);
    stock::compare(shop, &seen);
    paid::compare(shop, &seen);
    books::compare(&mut reader, &seen).await;
    let accounts = shop.model().accounts.clone();
    for account in &accounts {
        members::compare(&mut reader, &seen, account).await;
    }
}

/// The ids that a text names.
fn ids_in(text: &str) -> Vec<String> {
    let word = |c: char| !(c.is_ascii_hexdigit() || c == '-');
    text.split(word).filter(|word| word.len() == 36).map(str::to_owned).collect()
}

/// Reads as the admin, who sees everything.
pub(crate) struct Reader<'a> {
    pub(crate) shop: &'a Shop,
    dice: Dice,
}

impl Reader<'_> {
    /// One answer; null when there is none.
    pub(crate) async fn get(&mut self, path: String) -> Value {
        let admin: Arc<Account> = Arc::clone(&self.shop.admin);
        let command = Command::get(&admin, "audit", path);
        let ended = command.insist(self.shop, &mut self.dice).await;
        ended.with(200).map(|answer| answer.body.clone()).unwrap_or_default()
    }

    /// All pages of a list.
    pub(crate) async fn all(&mut self, path: &str, list: &str) -> Vec<Value> {
        let (mut all, mut token) = (Vec::new(), String::new());
        let mark = if path.contains('?') { '&' } else { '?' };
        loop {
            let page = format!("{path}{mark}pageSize=200&pageToken={token}");
            let answer = self.get(page).await;
            all.extend(answer[list].as_array().cloned().unwrap_or_default());
            token = text(&answer, "nextPageToken");
            if token.is_empty() {
                return all;
            }
        }
    }

    /// Waits until nothing is under way; false when it does not come to that.
    async fn settles(&mut self) -> bool {
        let began = Instant::now();
        loop {
            let parked = operator::parked(self.shop).await;
            if let Some(parked) = &parked {
                operator::replay(self.shop, parked).await;
            }
            let mut under_way = Vec::new();
            for (list, state) in UNDER_WAY {
                let path = format!("/v1/{list}?state={state}&pageSize=10");
                let answer = self.get(path).await;
                under_way.extend(answer[*list].as_array().cloned().unwrap_or_default());
            }
            let aside = parked.is_none_or(|parked| !parked.is_empty());
            if under_way.is_empty() && !aside {
                under_way = self.refunding().await;
                if under_way.is_empty() {
                    return true;
                }
            }
            if began.elapsed() > SETTLED * testkit::patience() {
                let parked = operator::parked(self.shop).await;
                let about: Vec<_> = under_way.iter().map(|one| text(one, "id")).collect();
                let what = format!("not settled: {under_way:?}; set aside: {parked:?}");
                self.shop.wrong(&about, what);
                return false;
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    /// Payments of which money is on its way back.
    async fn refunding(&mut self) -> Vec<Value> {
        let mut payments = self.all("/v1/payments", "payments").await;
        payments.retain(|payment| {
            let mut refunds = payment["refunds"].as_array().into_iter().flatten();
            refunds.any(|refund| text(refund, "state") == "REFUNDING")
        });
        payments
    }

    /// Whether a clerk may sell is what was answered.
    pub(crate) async fn may_sell(&mut self, clerk: &Arc<Account>, sells: bool) {
        Actor::new(self.shop, "audit of clerks").may_sell(clerk, sells).await;
    }

    async fn everything(&mut self) -> Seen {
        let orders = self.all("/v1/orders", "orders").await;
        let payments = self.all("/v1/payments", "payments").await;
        let deliveries = self.all("/v1/deliveries", "deliveries").await;
        let notifications = self.all("/v1/notifications", "notifications").await;
        let products = self.all("/v1/products", "products").await;
        let deposits = self.all("/v1/deposits", "deposits").await;
        let payouts = self.all("/v1/payouts", "payouts").await;
        let returns = self.all("/v1/returns", "returns").await;
        let mut coupons = Vec::new();
        let accounts = self.shop.model().accounts.clone();
        for account in &accounts {
            let path = format!("/v1/members/{}/coupons", account.id);
            coupons.extend(self.all(&path, "coupons").await);
        }
        let about = |it: &Value| (text(it, "audience"), text(it, "subjectId"));
        Seen {
            orders: orders.into_iter().map(|it| (text(&it, "id"), it)).collect(),
            payments: grouped(payments, |it| text(it, "orderId")),
            deliveries: grouped(deliveries, |it| text(it, "orderId")),
            notifications: grouped(notifications, about),
            products: products.into_iter().map(|it| (text(&it, "id"), it)).collect(),
            coupons,
            deposits,
            payouts,
            returns,
        }
    }
}

/// What belongs together.
pub(crate) fn grouped<K: std::hash::Hash + Eq>(
    all: Vec<Value>,
    by: impl Fn(&Value) -> K,
) -> HashMap<K, Vec<Value>> {
    let mut groups: HashMap<K, Vec<Value>> = HashMap::new();
    for one in all {
        groups.entry(by(&one)).or_default().push(one);
    }
    groups
}

/// A field as text; empty when absent.
pub(crate) fn text(value: &Value, field: &str) -> String {
    value[field].as_str().unwrap_or_default().to_owned()
}

/// A field that canonical JSON writes as text, as a number.
pub(crate) fn number(value: &Value, field: &str) -> i64 {
    let field = &value[field];
    field.as_i64().or_else(|| field.as_str()?.parse().ok()).unwrap_or(-1)
}
