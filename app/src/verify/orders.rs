//! Each order and what others did for it: money, goods, points and a delivery when
//! it is paid, none of them when it is not, and everything at most once.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Result;
use uuid::Uuid;

use super::{Finding, sources::Sources};

const ORDERS: &str = "select id, state, total_minor, product_ids, quantities from orders";
const PAYMENTS: &str = "select order_id, id, state, amount_minor from payment";
const ALLOCATIONS: &str = "select order_id, state, product_ids, quantities from allocation";
const DELIVERIES: &str = "select order_id, state from delivery";
const MILEAGE: &str = "select order_id, payment_id, state from mileage_entry";

/// Units by product.
type Lines = BTreeMap<Uuid, i64>;

/// What everybody knows of one order.
#[derive(Debug, Default)]
struct Whole {
    /// None when the order service knows nothing of it.
    order: Option<Order>,
    payments: Vec<Payment>,
    allocations: Vec<(String, Lines)>,
    deliveries: Vec<String>,
    /// Payments and the states of their points.
    mileage: Vec<(Uuid, String)>,
}

#[derive(Debug)]
struct Payment {
    id: Uuid,
    state: String,
    amount: i64,
}

#[derive(Debug)]
struct Order {
    state: String,
    total: i64,
    lines: Lines,
}

/// How an order stands, as far as others are concerned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Standing {
    Paid,
    Cancelled,
    /// Not paid yet, or not known.
    Open,
    /// Between two commits: whatever others did may still be undone.
    HalfDone,
}

pub(super) async fn check(sources: &Sources) -> Result<Vec<Finding>> {
    let wholes = read(sources).await?;
    let all = |offence: fn(&Whole) -> Option<String>| {
        let named = |(id, whole): (&Uuid, &Whole)| Some(format!("order {id} {}", offence(whole)?));
        wholes.iter().filter_map(named).collect()
    };
    Ok(vec![
        Finding {
            invariant: "each paid order has one DONE payment, one stock decrease and one delivery",
            offences: all(Whole::lacks),
        },
        Finding {
            invariant: "each cancelled order has no live payment, no stock, no live delivery, no points",
            offences: all(|whole| whole.keeps(Standing::Cancelled)),
        },
        Finding {
            invariant: "no order that is not paid has cost money or goods, or earned points",
            offences: all(|whole| whole.keeps(Standing::Open)),
        },
        Finding {
            invariant: "each DONE payment has earned its points, once",
            offences: all(Whole::unrewarded),
        },
        Finding {
            invariant: "one payment, allocation and delivery an order at most, one entry of points a payment",
            offences: all(Whole::doubled),
        },
    ])
}

async fn read(sources: &Sources) -> Result<BTreeMap<Uuid, Whole>> {
    let mut wholes: BTreeMap<Uuid, Whole> = BTreeMap::new();
    for row in sources.rows("order", ORDERS).await? {
        let lines = lines(row.get(3), row.get(4));
        let order = Order { state: row.get(1), total: row.get(2), lines };
        wholes.entry(row.get(0)).or_default().order = Some(order);
    }
    for row in sources.rows("payment", PAYMENTS).await? {
        let payment = Payment { id: row.get(1), state: row.get(2), amount: row.get(3) };
        wholes.entry(row.get(0)).or_default().payments.push(payment);
    }
    for row in sources.rows("product", ALLOCATIONS).await? {
        let lines = lines(row.get(2), row.get(3));
        wholes.entry(row.get(0)).or_default().allocations.push((row.get(1), lines));
    }
    for row in sources.rows("delivery", DELIVERIES).await? {
        wholes.entry(row.get(0)).or_default().deliveries.push(row.get(1));
    }
    for row in sources.rows("mileage", MILEAGE).await? {
        wholes.entry(row.get(0)).or_default().mileage.push((row.get(1), row.get(2)));
    }
    Ok(wholes)
}

fn lines(products: Vec<Uuid>, quantities: Vec<i32>) -> Lines {
    let mut lines = Lines::new();
    for (product, quantity) in products.into_iter().zip(quantities) {
        *lines.entry(product).or_default() += i64::from(quantity);
    }
    lines
}

impl Whole {
    fn standing(&self) -> Standing {
        match self.order.as_ref().map(|order| order.state.as_str()) {
            Some("PAID" | "PREPARED" | "DELIVERING" | "CLOSED") => Standing::Paid,
            Some("CANCELLED") => Standing::Cancelled,
            Some("PENDING" | "ABORTING" | "CANCELLING") => Standing::HalfDone,
            _ => Standing::Open,
        }
    }

    /// What a paid order should have and has not.
    fn lacks(&self) -> Option<String> {
        let order = self.order.as_ref().filter(|_| self.standing() == Standing::Paid)?;
        let paid = self.payments.iter().filter(|payment| payment.state == "DONE");
        if !paid.map(|payment| payment.amount).eq([order.total]) {
            let payments: Vec<_> = self.payments.iter().map(|p| (&p.state, p.amount)).collect();
            return Some(format!(
                "of {} is {}, its payments {payments:?}",
                order.total, order.state
            ));
        }
        let taken = self.allocations.iter().filter(|(state, _)| state == "DECREASED");
        if !taken.map(|(_, lines)| lines).eq([&order.lines]) {
            let states: Vec<_> = self.allocations.iter().map(|(state, _)| state).collect();
            return Some(format!("is {}, but its lines were not taken: {states:?}", order.state));
        }
        let sent = self.deliveries.iter().filter(|state| match order.state.as_str() {
            "CLOSED" => *state == "COMPLETED",
            _ => *state == "STARTED" || *state == "COMPLETED",
        });
        (sent.count() != 1)
            .then(|| format!("is {}, its deliveries {:?}", order.state, self.deliveries))
    }

    /// What an order of this standing, which should have nothing, has all the same.
    fn keeps(&self, standing: Standing) -> Option<String> {
        if self.standing() != standing {
            return None;
        }
        let state = self.order.as_ref().map_or("unknown", |order| order.state.as_str());
        let over = |state: &str| matches!(state, "DECLINED" | "CANCELLED" | "EXPIRED" | "REFUSED");
        // One that waits for its deposit is as it should be, as long as the order does.
        let waits = |state: &str| standing == Standing::Open && state != "DONE";
        let live = |payment: &&Payment| !over(&payment.state) && !waits(&payment.state);
        if let Some(payment) = self.payments.iter().find(live) {
            return Some(format!("is {state}, its payment {}", payment.state));
        }
        if self.allocations.iter().any(|(state, _)| state == "DECREASED") {
            return Some(format!("is {state}, its stock DECREASED"));
        }
        if self.mileage.iter().any(|(_, state)| state == "EARNED") {
            return Some(format!("is {state}, its points EARNED"));
        }
        let live = |state: &&String| *state == "STARTED" || *state == "COMPLETED";
        self.deliveries.iter().find(live).map(|found| format!("is {state}, its delivery {found}"))
    }

    /// A payment without its points.
    fn unrewarded(&self) -> Option<String> {
        let earned = |id| self.mileage.iter().any(|(of, state)| *of == id && state == "EARNED");
        let mut done = self.payments.iter().filter(|payment| payment.state == "DONE");
        let payment = done.find(|payment| !earned(payment.id))?;
        Some(format!("has the payment {} DONE and no points EARNED", payment.id))
    }

    /// What there is more than once.
    fn doubled(&self) -> Option<String> {
        let (payments, allocations) = (self.payments.len(), self.allocations.len());
        let (deliveries, entries) = (self.deliveries.len(), self.mileage.len());
        let paid: BTreeSet<_> = self.mileage.iter().map(|(payment, _)| payment).collect();
        (payments > 1 || allocations > 1 || deliveries > 1 || entries > paid.len()).then(|| {
            format!(
                "has {payments} payments, {allocations} allocations, {deliveries} deliveries, \
                 {entries} entries of points"
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn whole(state: &str, payment: &str, allocation: &str, delivery: &str) -> Whole {
        let lines = Lines::from([(Uuid::nil(), 2)]);
        Whole {
            order: Some(Order { state: state.into(), total: 10, lines: lines.clone() }),
            payments: vec![Payment { id: Uuid::nil(), state: payment.into(), amount: 10 }],
            allocations: vec![(allocation.into(), lines)],
            deliveries: vec![delivery.into()],
            mileage: Vec::new(),
        }
    }

    #[test]
    fn a_paid_order_has_its_money_its_goods_and_its_delivery() {
        assert_eq!(whole("DELIVERING", "DONE", "DECREASED", "STARTED").lacks(), None);
        assert_eq!(whole("CLOSED", "DONE", "DECREASED", "COMPLETED").lacks(), None);
        assert!(whole("DELIVERING", "CANCELLED", "DECREASED", "STARTED").lacks().is_some());
        assert!(whole("DELIVERING", "DONE", "SHORT", "STARTED").lacks().is_some());
        assert!(whole("CLOSED", "DONE", "DECREASED", "STARTED").lacks().is_some());
        let mut too_much = whole("PAID", "DONE", "DECREASED", "STARTED");
        too_much.payments[0].amount = 11;
        assert!(too_much.lacks().is_some());
    }

    #[test]
    fn a_cancelled_order_keeps_nothing() {
        let keeps = |payment, allocation, delivery| {
            whole("CANCELLED", payment, allocation, delivery).keeps(Standing::Cancelled)
        };
        assert_eq!(keeps("CANCELLED", "RESTORED", "CANCELLED"), None);
        assert_eq!(keeps("REFUSED", "REFUSED", "REFUSED"), None);
        assert!(keeps("WAITING_FOR_DEPOSIT", "REFUSED", "REFUSED").is_some());
        assert!(keeps("CANCELLED", "DECREASED", "CANCELLED").is_some());
        assert!(keeps("CANCELLED", "RESTORED", "STARTED").is_some());
    }

    #[test]
    fn a_payment_earns_once_and_a_cancelled_one_not_at_all() {
        let mut paid = whole("PAID", "DONE", "DECREASED", "STARTED");
        assert!(paid.unrewarded().is_some());
        paid.mileage.push((Uuid::nil(), "EARNED".into()));
        assert_eq!((paid.unrewarded(), paid.doubled()), (None, None));
        paid.mileage.push((Uuid::nil(), "CANCELLED".into()));
        assert!(paid.doubled().is_some());
        let mut cancelled = whole("CANCELLED", "CANCELLED", "RESTORED", "CANCELLED");
        cancelled.mileage.push((Uuid::nil(), "EARNED".into()));
        assert!(cancelled.keeps(Standing::Cancelled).is_some());
    }

    #[test]
    fn a_charge_without_an_order_is_found() {
        let mut whole = whole("AWAITING_DEPOSIT", "WAITING_FOR_DEPOSIT", "NEW", "NEW");
        assert_eq!(whole.keeps(Standing::Open), None);
        whole.order = None;
        whole.payments[0].state = "DONE".into();
        let found = whole.keeps(Standing::Open);
        assert_eq!(found.as_deref(), Some("is unknown, its payment DONE"));
    }
}
