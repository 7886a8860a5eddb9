//! What must hold of one order: money, goods, points, a message and a delivery when
//! it is paid, none of them when it is not, everything at most once, and nothing
//! that waits for a message which was lost. A rule that another one covers already
//! says nothing, so that one loss has one name.

use std::collections::BTreeMap;

use uuid::Uuid;

use super::page::{Page, milestone};
use crate::verify::findings::{About, Rule, Suspicions};

pub(in super::super) const RULES: &[Rule] = &[
    PAID, CANCELLED, KNOWN, UNPAID, PLACED, AWAITING, SAME, MEMBER, EARNED, RATE, MESSAGE, ONCE,
    TOLD, PAGE, POINTS,
];

const PAID: Rule = "each paid order has one DONE payment, one stock decrease and one delivery";
const CANCELLED: Rule =
    "each cancelled order has no live payment, no stock, no live delivery, no points";
const KNOWN: Rule =
    "each cancelled order is known as such to payment, product, delivery and mileage";
const UNPAID: Rule = "no order that is not paid has cost money or goods, or earned points";
const PLACED: Rule = "no order is PLACED whose payment is decided, or missing";
const AWAITING: Rule =
    "an order is AWAITING_DEPOSIT exactly when its payment is WAITING_FOR_DEPOSIT";
const SAME: Rule = "each order's payment is the one that it names, and of its amount";
const MEMBER: Rule = "what was done for an order was done for its member";
const EARNED: Rule = "each DONE payment has earned its points, once";
const RATE: Rule = "each payment's points are the rate's part of what is left of it, rounded down";
const MESSAGE: Rule = "each approved payment has one message to marketing, and no other has";
const ONCE: Rule =
    "one payment, allocation and delivery per order at most, one entry of points per payment";
pub(in super::super) const TOLD: Rule =
    "each log has all events of what it tells about, and they say what is so";
const PAGE: Rule = "My Page shows each order as order, payment and delivery say";
pub(in super::super) const POINTS: Rule =
    "My Page shows each member, their coupons and points as they are";

/// An order, as order knows it.
#[derive(Debug, Default)]
pub(super) struct Order {
    pub(super) member: Uuid,
    pub(super) state: String,
    /// The last milestone that others were told of.
    pub(super) told: String,
    pub(super) dispatched: bool,
    pub(super) total: i64,
    pub(super) payment: Option<Uuid>,
    pub(super) cancel_reason: String,
    pub(super) products: Vec<Uuid>,
    /// What was neither cancelled nor returned.
    pub(super) quantities: Vec<i32>,
    pub(super) event_version: i64,
    /// The types of its events, with commas between.
    pub(super) log: String,
    pub(super) last_version: i64,
}

#[derive(Debug, Default)]
pub(super) struct Payment {
    pub(super) id: Uuid,
    pub(super) member: Uuid,
    pub(super) method: String,
    pub(super) state: String,
    /// What the order asked for.
    pub(super) amount: i64,
    /// What was paid of it, or is to be; the method's share of that.
    pub(super) paid: i64,
    pub(super) by_method: i64,
    /// What is left of that.
    pub(super) left: i64,
    /// Parts of it that went back, and those that were not waited for any more.
    pub(super) parts: i64,
    pub(super) reduced: i64,
    /// The types of its events, with commas between.
    pub(super) log: String,
}

#[derive(Debug, Default)]
pub(super) struct Allocation {
    pub(super) member: Uuid,
    pub(super) state: String,
    pub(super) products: Vec<Uuid>,
    pub(super) quantities: Vec<i32>,
}

#[derive(Debug, Default)]
pub(super) struct Delivery {
    pub(super) member: Uuid,
    pub(super) state: String,
}

/// The points of a payment.
#[derive(Debug, Default)]
pub(super) struct Entry {
    pub(super) id: Uuid,
    pub(super) payment: Uuid,
    pub(super) member: Uuid,
    pub(super) points: i64,
    pub(super) taken_back: i64,
    pub(super) state: String,
}

/// The points of a payment, as My Page shows them.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Shown {
    pub(super) entry: Uuid,
    pub(super) payment: Uuid,
    pub(super) member: Uuid,
    pub(super) points: i64,
    pub(super) cancelled: bool,
}

/// What everybody knows of one order.
#[derive(Debug, Default)]
pub(super) struct Whole {
    pub(super) id: Uuid,
    /// None when the order service knows nothing of it.
    pub(super) order: Option<Order>,
    pub(super) payments: Vec<Payment>,
    pub(super) allocations: Vec<Allocation>,
    pub(super) deliveries: Vec<Delivery>,
    pub(super) mileage: Vec<Entry>,
    /// Messages to marketing.
    pub(super) marketing: usize,
    pub(super) page: Option<Page>,
    pub(super) points: Vec<Shown>,
}

/// How an order stands, as far as others are concerned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Standing {
    Paid,
    Cancelled,
    Placed,
    Awaiting,
    /// Between two commits: whatever others did may still be undone.
    HalfDone,
    Unknown,
}

impl Payment {
    /// Between two commits.
    fn is_half_done(&self) -> bool {
        matches!(&*self.state, "NEW" | "AUTHORISING" | "CONFIRMING")
    }

    fn is_over(&self) -> bool {
        matches!(&*self.state, "DECLINED" | "CANCELLED" | "EXPIRED" | "REFUSED")
    }

    fn told(&self, event: &str) -> bool {
        self.log.split(',').any(|told| told == event)
    }

    /// Its events but for those of parts, and of refunds, which go on at any time.
    pub(super) fn milestones(&self) -> Vec<&str> {
        let passing = ["PaymentRefunded", "PaymentPartRefunded", "DepositReduced"];
        self.log.split(',').filter(|event| !passing.contains(event)).collect()
    }

    /// Whether its log may be this one.
    fn may_have_told(&self) -> bool {
        let transfer = self.method == "BANK_TRANSFER";
        let card = self.method == "CARD";
        let count = |event: &str| self.log.split(',').filter(|it| *it == event).count();
        let told = |event, parts| i64::try_from(count(event)) == Ok(parts);
        if !told("PaymentPartRefunded", self.parts) || !told("DepositReduced", self.reduced) {
            return false;
        }
        match (&*self.state, &*self.milestones().join(",")) {
            ("NEW" | "AUTHORISING" | "REFUSED", log) => log.is_empty(),
            ("WAITING_FOR_DEPOSIT" | "CONFIRMING", log) => log == "DepositRequested",
            ("DONE" | "CANCELLED", "PaymentApproved" | "PaymentApproved,PaymentCancelled")
                if transfer =>
            {
                self.by_method == 0
            }
            ("DONE", log) if transfer => log == "DepositRequested,PaymentApproved",
            ("DONE", log) => log == "PaymentApproved",
            ("EXPIRED", log) => log == "DepositRequested,DepositExpired",
            // What a card was refused in the call, and what was voided, is nobody else's matter.
            ("DECLINED" | "CANCELLED", "") => card,
            ("DECLINED", log) => log == "PaymentDeclined",
            (
                "CANCELLED",
                "DepositRequested,PaymentCancelled"
                | "DepositRequested,PaymentApproved,PaymentCancelled",
            ) => transfer,
            ("CANCELLED", log) => log == "PaymentApproved,PaymentCancelled",
            _ => false,
        }
    }
}

impl Whole {
    /// Says what looks wrong.
    pub(super) fn check(&self, rates: &[u32], found: &mut Suspicions) {
        let mut says = |rule, offence: Option<String>| {
            if let Some(state) = offence {
                found.suspect(rule, About::Entity("order", self.id), state);
            }
        };
        says(ONCE, self.doubled());
        if self.doubled().is_some() {
            return;
        }
        says(PAID, self.lacks());
        says(CANCELLED, self.keeps(Standing::Cancelled));
        says(KNOWN, self.unheard());
        for standing in [Standing::Placed, Standing::Awaiting, Standing::Unknown] {
            says(UNPAID, self.keeps(standing));
        }
        says(PLACED, self.forgotten());
        says(AWAITING, self.awaits());
        says(SAME, self.another_payment());
        says(MEMBER, self.another_member());
        says(EARNED, self.unrewarded());
        says(RATE, self.misrated(rates));
        says(MESSAGE, self.unannounced());
        says(TOLD, self.untold());
        let said = self
            .order
            .as_ref()
            .and_then(|order| Page::of(order, self.payments.first(), self.deliveries.first()));
        says(PAGE, Page::differs(said.as_ref(), self.page.as_ref()));
        says(POINTS, self.misshown());
    }

    fn standing(&self) -> Standing {
        match self.order.as_ref().map(|order| order.state.as_str()) {
            Some("PAID" | "PREPARED" | "DELIVERING" | "DELIVERED" | "CLOSED") => Standing::Paid,
            Some("CANCELLED") => Standing::Cancelled,
            Some("PLACED") => Standing::Placed,
            Some("AWAITING_DEPOSIT") => Standing::Awaiting,
            Some(_) => Standing::HalfDone,
            None => Standing::Unknown,
        }
    }

    /// Its only payment.
    fn payment(&self) -> Option<&Payment> {
        self.payments.first()
    }

    fn state(&self) -> &str {
        self.order.as_ref().map_or("unknown", |order| &order.state)
    }

    fn payment_state(&self) -> &str {
        self.payment().map_or("missing", |payment| &payment.state)
    }

    /// What there is more than once.
    fn doubled(&self) -> Option<String> {
        let (payments, allocations) = (self.payments.len(), self.allocations.len());
        let (deliveries, entries) = (self.deliveries.len(), self.mileage.len());
        let doubled = payments > 1 || allocations > 1 || deliveries > 1 || entries > 1;
        doubled.then(|| {
            format!(
                "has {payments} payments, {allocations} allocations, {deliveries} deliveries, \
                 {entries} entries of points"
            )
        })
    }

    /// What a paid order should have and has not.
    fn lacks(&self) -> Option<String> {
        let order = self.order.as_ref().filter(|_| self.standing() == Standing::Paid)?;
        let state = &order.state;
        if self.payment_state() != "DONE" {
            return Some(format!("is {state}, its payment {}", self.payment_state()));
        }
        let taken = self.allocations.first().filter(|taken| taken.state == "DECREASED");
        if !taken.is_some_and(|taken| taken.is_of(order)) {
            let taken = self.allocations.first().map_or("missing", |taken| &taken.state);
            return Some(format!("is {state}, but its lines were not taken: {taken}"));
        }
        let sent = self.deliveries.first().map_or("missing", |delivery| &delivery.state);
        let well = match sent {
            "COMPLETED" => true,
            "DELIVERED" => state == "DELIVERED",
            "STARTED" | "DISPATCHED" => !matches!(&**state, "DELIVERED" | "CLOSED"),
            _ => false,
        };
        // Its member could still cancel it.
        let unheard = matches!(sent, "DISPATCHED" | "DELIVERED") && !order.dispatched;
        (!well || unheard).then(|| {
            let known = if unheard { ", which it has not heard of" } else { "" };
            format!("is {state}, its delivery {sent}{known}")
        })
    }

    /// What an order of this standing, which should have nothing, has all the same.
    fn keeps(&self, standing: Standing) -> Option<String> {
        if self.standing() != standing {
            return None;
        }
        let (state, payment) = (self.state(), self.payment());
        // Money that is on its way takes goods with it, and a payment that is DONE does so too; while
        // the order has not heard of it, that is for another rule.
        let open = matches!(standing, Standing::Placed | Standing::Awaiting);
        let on_its_way = payment.is_some_and(Payment::is_half_done);
        if open && (on_its_way || self.payment_state() == "DONE") {
            return None;
        }
        if let Some(payment) = payment.filter(|it| !open && !it.is_over() && !on_its_way) {
            return Some(format!("is {state}, its payment {}", payment.state));
        }
        if !on_its_way && self.allocations.iter().any(|taken| taken.state == "DECREASED") {
            return Some(format!("is {state}, its stock DECREASED"));
        }
        if self.mileage.iter().any(|entry| entry.state == "EARNED") {
            return Some(format!("is {state}, its points EARNED"));
        }
        let live =
            |state: &str| matches!(state, "STARTED" | "DISPATCHED" | "DELIVERED" | "COMPLETED");
        let live = self.deliveries.iter().find(|delivery| live(&delivery.state));
        live.map(|found| format!("is {state}, its delivery {}", found.state))
    }

    /// Who has not heard of a cancellation: whoever has leaves a tombstone at least.
    fn unheard(&self) -> Option<String> {
        if self.standing() != Standing::Cancelled {
            return None;
        }
        let taken_back = self.payment().is_some_and(|it| it.told("PaymentCancelled"));
        let parts = [
            ("payment", self.payments.is_empty()),
            ("product", self.allocations.is_empty()),
            ("delivery", self.deliveries.is_empty()),
            ("mileage", taken_back && self.mileage.is_empty()),
        ];
        let missing = parts.into_iter().filter(|(_, missing)| *missing).map(|(name, _)| name);
        let missing: Vec<_> = missing.collect();
        (!missing.is_empty()).then(|| format!("is CANCELLED, unknown to {}", missing.join(", ")))
    }

    /// A placed order that nobody goes on with.
    fn forgotten(&self) -> Option<String> {
        let waits =
            self.payment().is_some_and(|it| it.is_half_done() || it.state == "WAITING_FOR_DEPOSIT");
        (self.standing() == Standing::Placed && !waits)
            .then(|| format!("is PLACED, its payment {}", self.payment_state()))
    }

    /// One of order and payment waits, the other does not.
    fn awaits(&self) -> Option<String> {
        let payment = self.payment_state();
        let wrong = match self.standing() {
            Standing::Awaiting => !matches!(payment, "WAITING_FOR_DEPOSIT" | "CONFIRMING"),
            Standing::Placed => payment == "WAITING_FOR_DEPOSIT",
            Standing::Paid | Standing::Cancelled | Standing::HalfDone | Standing::Unknown => false,
        };
        wrong.then(|| format!("is {}, its payment {payment}", self.state()))
    }

    fn another_payment(&self) -> Option<String> {
        let order = self.order.as_ref().filter(|_| self.standing() != Standing::HalfDone)?;
        let payment = self.payment().filter(|it| !matches!(&*it.state, "NEW" | "REFUSED"))?;
        if payment.amount != order.total {
            let (total, amount) = (order.total, payment.amount);
            return Some(format!("of {total} has a payment of {amount}"));
        }
        let should_know = matches!(self.standing(), Standing::Paid | Standing::Awaiting);
        let named = order.payment.map_or(!should_know, |named| named == payment.id);
        (!named).then(|| format!("names payment {:?}, which is {}", order.payment, payment.id))
    }

    fn another_member(&self) -> Option<String> {
        let member = self.order.as_ref()?.member;
        let parts = [
            ("payment", self.payments.first().map(|it| it.member)),
            ("allocation", self.allocations.first().map(|it| it.member)),
            ("delivery", self.deliveries.first().map(|it| it.member)),
            ("points", self.mileage.first().map(|it| it.member)),
        ];
        let other = parts.into_iter().find(|(_, of)| of.is_some_and(|of| of != member));
        other.map(|(what, of)| format!("is {member}'s, its {what} {}'s", of.unwrap_or_default()))
    }

    /// A payment without its points.
    fn unrewarded(&self) -> Option<String> {
        let payment = self.payment().filter(|payment| payment.state == "DONE")?;
        let earned = |entry: &Entry| entry.payment == payment.id && entry.state == "EARNED";
        let points = self.mileage.first().map_or("missing", |entry| &entry.state);
        (!self.mileage.iter().any(earned))
            .then(|| format!("has the payment {} DONE, its points {points}", payment.id))
    }

    /// Points that are not what was paid for.
    fn misrated(&self, rates: &[u32]) -> Option<String> {
        let (payment, entry) = (self.payment()?, self.mileage.first()?);
        let earns = |won: i64, rate: u32| i128::from(won) * i128::from(rate) / 10_000;
        let (points, worth) = (entry.points, entry.points - entry.taken_back);
        let right = |rate: &u32| match &*entry.state {
            "EARNED" => earns(payment.left, *rate) == i128::from(worth),
            // Nothing was taken back in parts when it was heard of first that all was.
            "CANCELLED" => {
                (earns(payment.left, *rate)..=earns(payment.paid, *rate)).contains(&points.into())
            }
            _ => true,
        };
        (!rates.iter().any(right)).then(|| {
            let Payment { paid, left, .. } = payment;
            format!("of {paid}, of which {left} is left, has earned {points} points, worth {worth}")
        })
    }

    /// A message that is missing, or should not be.
    fn unannounced(&self) -> Option<String> {
        let approved = self.payment().is_some_and(|it| it.told("PaymentApproved"));
        (self.marketing != usize::from(approved)).then(|| {
            let payment = self.payment_state();
            format!("has {} messages to marketing, its payment {payment}", self.marketing)
        })
    }

    /// What the logs tell otherwise, or not at all.
    fn untold(&self) -> Option<String> {
        if let Some(order) = &self.order {
            let events = order.log.split(',').filter(|event| !event.is_empty());
            let (count, last) = (events.clone().count(), events.rev().find_map(milestone));
            let count = i64::try_from(count).unwrap_or(i64::MAX);
            let dense = count == order.event_version && count == order.last_version;
            let told = match (last, &*order.told, self.standing()) {
                (None, "PENDING", Standing::HalfDone) => true,
                (Some(last), told, Standing::HalfDone) => last == told,
                (Some(last), told, _) => last == told && told == order.state,
                (None, ..) => false,
            };
            if !dense || !told {
                let (state, version, log) = (&order.state, order.event_version, &order.log);
                return Some(format!("is {state} at event {version}, its log has {log:?}"));
            }
        }
        let payment = self.payment().filter(|payment| !payment.may_have_told())?;
        Some(format!("has the payment {}, whose log has {:?}", payment.state, payment.log))
    }

    /// Points that My Page shows otherwise, or not at all. Tombstones are not shown.
    fn misshown(&self) -> Option<String> {
        let said = self.mileage.iter().filter(|it| matches!(&*it.state, "EARNED" | "CANCELLED"));
        let said: BTreeMap<Uuid, Shown> = said
            .map(|entry| {
                let (payment, member) = (entry.payment, entry.member);
                let (points, cancelled) = (entry.points, entry.state == "CANCELLED");
                (entry.id, Shown { entry: entry.id, payment, member, points, cancelled })
            })
            .collect();
        let wrong = self.points.len() != said.len()
            || self.points.iter().any(|shown| said.get(&shown.entry) != Some(shown));
        wrong.then(|| {
            let line = |it: &Shown| (it.points, if it.cancelled { "CANCELLED" } else { "EARNED" });
            let shown: Vec<_> = self.points.iter().map(line).collect();
            let said: Vec<_> = said.values().map(line).collect();
            format!("is shown with points {shown:?}, not {said:?}")
        })
    }
}

impl Allocation {
    /// Whether it took what the order has.
    fn is_of(&self, order: &Order) -> bool {
        let sum = |products: &[Uuid], quantities: &[i32]| {
            let mut lines = BTreeMap::<Uuid, i64>::new();
            let lines_of = products.iter().zip(quantities);
            for (product, quantity) in lines_of.filter(|(_, quantity)| **quantity > 0) {
                *lines.entry(*product).or_default() += i64::from(*quantity);
            }
            lines
        };
        (&self.products, &self.quantities) == (&order.products, &order.quantities)
            || sum(&self.products, &self.quantities) == sum(&order.products, &order.quantities)
    }
}

#[cfg(test)]
#[path = "whole_tests.rs"]
mod tests;
