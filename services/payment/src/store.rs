//! All the SQL of payments, wallets and the ledger.

pub(crate) mod deposit;
mod erasure;
mod give_back;
mod ledger;
mod part;
mod payout;
mod read;
mod refund;
mod wallet;

use std::{collections::BTreeMap, time::SystemTime};

use base::{Error, Money, id::Uuid};
use eventlog::{Draft, facts};
use pg::{Cause, Tx};
use tokio_postgres::Row;

use self::ledger::Ledger;
use crate::{
    domain::{
        Line, MemberId, Method, OrderId, Outcome, Payment, PaymentId, Placed, State, Wallets,
        deposit::HeldReason,
        refund::{GivenBack, Refund},
    },
    metrics::Counted,
    tasks, wire,
};
pub(crate) use erasure::erase_members;
pub(crate) use give_back::{
    Owed, answered as refund_answered, ask as ask_refund, retry as retry_refund,
    settle as settle_refund,
};
pub(crate) use part::refund as refund_part;
pub(crate) use payout::{
    Stored as StoredPayout, from_wallet as pay_out, get as payout, has_money, has_withdrawn,
    list as payouts, paid, refused as payout_refused, withdraw_members,
};
pub(crate) use read::{Filter, find, get, list, member_in, member_of};
pub(crate) use refund::{
    Stored as StoredRefund, failed, get as refund, list as list_refunds, of_orders as refunds,
};
pub(crate) use wallet::{
    Entry, adjust, balance, begin_top_up, entries, lock_top_up, save_top_up, top_up_charged,
    wallet_balance,
};

/// All that makes up a payment.
macro_rules! select_payments {
    () => {
        "select id, order_id, member_id, method, amount_minor, wallet_minor, refunded_minor,
           wallet_refunded_minor, state, reason, product_ids, quantities, deposit_due_time, reference,
           depositor_name, confirm_attempts, acquirer_reference, version, create_time
         from payment"
    };
}
use select_payments;

/// A payment as it is stored.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Stored {
    pub(crate) payment: Payment,
    pub(crate) version: i64,
    pub(crate) create_time: SystemTime,
}

impl Stored {
    fn from_row(row: &Row) -> Result<Self, Error> {
        let products: Vec<Uuid> = row.get("product_ids");
        let quantities: Vec<i32> = row.get("quantities");
        let line = |(product, quantity)| Line { product, quantity };
        let payment = Payment {
            id: PaymentId(row.get("id")),
            order: OrderId(row.get("order_id")),
            member: MemberId(row.get("member_id")),
            method: Method::named(row.get("method"))?,
            amount: Money::krw(row.get("amount_minor")),
            wallet: Money::krw(row.get("wallet_minor")),
            refunded: Money::krw(row.get("refunded_minor")),
            wallet_refunded: Money::krw(row.get("wallet_refunded_minor")),
            state: State::named(row.get("state"))?,
            reason: row.get("reason"),
            lines: products.into_iter().zip(quantities).map(line).collect(),
            deposit_due: row.get("deposit_due_time"),
            reference: row.get("reference"),
            depositor: row.get("depositor_name"),
            attempts: row.get("confirm_attempts"),
            acquirer_reference: row.get("acquirer_reference"),
        };
        Ok(Self { payment, version: row.get("version"), create_time: row.get("create_time") })
    }

    /// The event of an outcome, if others would want to know.
    fn tell(
        &mut self,
        outcome: &Outcome,
        refunds: &[Refund],
        cause: Option<&Cause>,
    ) -> Option<Draft> {
        let event = wire::event(&self.payment, outcome, refunds)?;
        self.version += 1;
        let (id, order) = (self.payment.id.0, self.payment.order.0);
        let draft = Draft::of(event, id, self.version, order);
        Some(draft.caused_by(cause))
    }
}

/// What is known of an order, and where it comes from.
#[derive(Clone, Debug)]
pub(crate) struct Learned {
    pub(crate) order: OrderId,
    pub(crate) member: MemberId,
    pub(crate) fact: Fact,
    pub(crate) cause: Cause,
}

/// It is to be paid, or is not any more.
#[derive(Clone, Debug)]
pub(crate) enum Fact {
    Placed(Placed),
    Cancelled { reason: String },
}

/// Takes facts in, in this order, all in this transaction: rows are locked sorted by id, decided in
/// Rust, written set by set.
pub(crate) async fn learn(tx: &mut Tx, facts: &[Learned]) -> Result<(), Error> {
    let orders: BTreeMap<OrderId, MemberId> = facts.iter().map(|l| (l.order, l.member)).collect();
    let mut books = Books::open(tx, &orders).await?;
    for learned in facts {
        let cause = Some(&learned.cause);
        books.change(learned.order, cause, |payment, wallets| match &learned.fact {
            Fact::Placed(placed) => payment.placed(placed.clone(), wallets),
            Fact::Cancelled { reason } => payment.cancelled(reason, None, wallets),
        });
    }
    books.close(tx).await.map(|_| ())
}

/// Locks the payment of an order that has one, and answers it as it is.
pub(crate) async fn lock(tx: &mut Tx, order: OrderId, member: MemberId) -> Result<Stored, Error> {
    let stored = lock_payments(tx, &BTreeMap::from([(order, member)])).await?.remove(&order);
    stored.ok_or_else(|| Error::internal("a payment that was just locked"))
}

/// Changes the payment of one order, NEW if there is none yet, and saves what came of it. What
/// `change` answers beside the outcomes is answered.
pub(crate) async fn update<T>(
    tx: &mut Tx,
    order: OrderId,
    member: MemberId,
    change: impl FnOnce(&mut Payment, &mut Wallets) -> Result<(T, Vec<Outcome>), Error>,
) -> Result<(T, Stored), Error> {
    let mut books = Books::open(tx, &BTreeMap::from([(order, member)])).await?;
    let mut answer = None;
    books.change(order, None, |payment, wallets| match change(payment, wallets) {
        Ok((value, outcomes)) => {
            answer = Some(Ok(value));
            outcomes
        }
        Err(error) => {
            answer = Some(Err(error));
            Vec::new()
        }
    });
    let answer = answer.ok_or_else(|| Error::internal("a payment that was just locked"))??;
    let mut payments = books.close(tx).await?;
    let stored = payments.remove(&order);
    Ok((answer, stored.ok_or_else(|| Error::internal("a payment that was just saved"))?))
}

/// Payments and wallets under lock, and what is to be written when all is decided.
struct Books {
    payments: BTreeMap<OrderId, Stored>,
    before: BTreeMap<OrderId, Stored>,
    wallets: Wallets,
    wallets_before: Wallets,
    drafts: Vec<Draft>,
    ledger: Ledger,
    refunds: Vec<(GivenBack, Refund)>,
    /// Transfers that nothing is waited for any more, by what parts of them are held for.
    given_up: BTreeMap<HeldReason, Vec<Uuid>>,
    tasks: Vec<(OrderId, tasks::Kind)>,
    counted: Vec<Counted>,
}

impl Books {
    /// Makes sure that each order has a payment row, and locks them and their members' wallets.
    async fn open(tx: &mut Tx, orders: &BTreeMap<OrderId, MemberId>) -> Result<Self, Error> {
        let payments = lock_payments(tx, orders).await?;
        let wallets = lock_wallets(tx, &payments).await?;
        Ok(Self {
            before: payments.clone(),
            payments,
            wallets_before: wallets.clone(),
            wallets,
            drafts: Vec::new(),
            ledger: Ledger::default(),
            refunds: Vec::new(),
            given_up: BTreeMap::new(),
            tasks: Vec::new(),
            counted: Vec::new(),
        })
    }

    fn change(
        &mut self,
        order: OrderId,
        cause: Option<&Cause>,
        change: impl FnOnce(&mut Payment, &mut Wallets) -> Vec<Outcome>,
    ) {
        let Some(stored) = self.payments.get_mut(&order) else { return };
        let before = stored.payment.clone();
        let outcomes = change(&mut stored.payment, &mut self.wallets);
        if outcomes.is_empty() && stored.payment != before {
            stored.version += 1;
        }
        for outcome in outcomes {
            self.ledger.add(&stored.payment, &outcome);
            self.counted.push(Counted::of(&stored.payment, &outcome));
            let given_up = match &outcome {
                Outcome::Expired => Some(HeldReason::Late),
                Outcome::Cancelled(None) if stored.payment.method == Method::BankTransfer => {
                    Some(HeldReason::OrderCancelled)
                }
                _ => None,
            };
            if let Some(reason) = given_up {
                self.given_up.entry(reason).or_default().push(order.0);
            }
            let given_back = outcome.refunds(&stored.payment);
            let refunds: Vec<Refund> = given_back.iter().map(|(_, it)| it.clone()).collect();
            self.drafts.extend(stored.tell(&outcome, &refunds, cause));
            let kinds = tasks::after(&stored.payment, &outcome, &refunds);
            self.tasks.extend(kinds.into_iter().map(|kind| (order, kind)));
            self.refunds.extend(given_back);
        }
    }

    /// Writes what changed. Answers the payments as they are now.
    async fn close(self, tx: &mut Tx) -> Result<BTreeMap<OrderId, Stored>, Error> {
        let changed: Vec<&Stored> = self
            .payments
            .values()
            // What told others of something has another version, though nothing else may have changed.
            .filter(|stored| self.before.get(&stored.payment.order) != Some(*stored))
            .collect();
        save_payments(tx, &changed).await?;
        part::save_amounts(tx, &changed, &self.before).await?;
        save_wallets(tx, &self.wallets_before, &self.wallets).await?;
        self.ledger.save(tx).await?;
        refund::insert(tx, &self.refunds).await?;
        for (reason, orders) in &self.given_up {
            deposit::release_short(tx, orders, *reason).await?;
        }
        tasks::schedule(tx, &self.tasks).await?;
        eventlog::append(tx, &self.drafts).await?;
        tx.once_committed(move || self.counted.into_iter().for_each(Counted::count));
        Ok(self.payments)
    }
}

async fn lock_payments(
    tx: &mut Tx,
    orders: &BTreeMap<OrderId, MemberId>,
) -> Result<BTreeMap<OrderId, Stored>, Error> {
    let ids: Vec<Uuid> = orders.keys().map(|_| base::id::new()).collect();
    let (orders, members): (Vec<Uuid>, Vec<Uuid>) = orders.iter().map(|(o, m)| (o.0, m.0)).unzip();
    let make = concat!(
        "with made as (
           insert into payment (id, order_id, member_id, method, amount_minor, currency, state)
           select i, o, m, 'WALLET', 0, 'KRW', 'NEW'
           from unnest($1::uuid[], $2::uuid[], $3::uuid[]) as learned (i, o, m)
           on conflict (order_id) do nothing
           returning id, order_id, member_id, method, amount_minor, wallet_minor, refunded_minor,
             wallet_refunded_minor, state, reason, product_ids, quantities, deposit_due_time,
             reference, depositor_name, confirm_attempts, acquirer_reference, version, create_time)
         select * from (",
        select_payments!(),
        " where order_id = any($2) order by order_id for update) kept
         union all select * from made"
    );
    let again =
        concat!(select_payments!(), " where order_id = any($1) order by order_id for update");
    let rows = facts::lock_or_make(tx, &orders, (make, &[&ids, &orders, &members]), again).await?;
    rows.iter()
        .map(|row| Stored::from_row(row).map(|stored| (stored.payment.order, stored)))
        .collect()
}

async fn lock_wallets(tx: &mut Tx, payments: &BTreeMap<OrderId, Stored>) -> Result<Wallets, Error> {
    let members: Vec<Uuid> = payments.values().map(|stored| stored.payment.member.0).collect();
    let rows = tx
        .query(
            "select member_id, balance_minor from wallet
             where member_id = any($1) order by member_id for update",
            &[&members],
        )
        .await?;
    Ok(rows.iter().map(|row| (MemberId(row.get(0)), Money::krw(row.get(1)))).collect())
}

async fn save_payments(tx: &mut Tx, payments: &[&Stored]) -> Result<(), Error> {
    fn column<'a, T>(payments: &[&'a Stored], of: impl Fn(&'a Stored) -> T) -> Vec<T> {
        payments.iter().map(|stored| of(stored)).collect()
    }
    if payments.is_empty() {
        return Ok(());
    }
    tx.execute(
        "update payment set method = n.method, amount_minor = n.amount_minor, state = n.state,
           reason = n.reason, deposit_due_time = n.deposit_due_time,
           depositor_name = n.depositor_name, confirm_attempts = n.confirm_attempts,
           acquirer_reference = n.acquirer_reference, version = n.version
         from unnest($1::uuid[], $2::text[], $3::bigint[], $4::text[], $5::text[],
           $6::timestamptz[], $7::text[], $8::int[], $9::text[], $10::bigint[])
           as n(order_id, method, amount_minor, state, reason, deposit_due_time, depositor_name,
             confirm_attempts, acquirer_reference, version)
         where payment.order_id = n.order_id",
        &[
            &column(payments, |s| s.payment.order.0),
            &column(payments, |s| s.payment.method.name()),
            &column(payments, |s| s.payment.amount.minor()),
            &column(payments, |s| s.payment.state.name()),
            &column(payments, |s| s.payment.reason.as_str()),
            &column(payments, |s| s.payment.deposit_due),
            &column(payments, |s| s.payment.depositor.as_str()),
            &column(payments, |s| s.payment.attempts),
            &column(payments, |s| s.payment.acquirer_reference.as_str()),
            &column(payments, |s| s.version),
        ],
    )
    .await?;
    save_lines(tx, payments).await
}

/// Lines are kept where a deposit will take them from the stock.
async fn save_lines(tx: &mut Tx, payments: &[&Stored]) -> Result<(), Error> {
    let waiting = |stored: &&&Stored| stored.payment.state == State::WaitingForDeposit;
    let (mut orders, mut products, mut quantities) = (Vec::new(), Vec::new(), Vec::new());
    let mut references = Vec::new();
    for stored in payments.iter().filter(waiting) {
        for line in &stored.payment.lines {
            orders.push(stored.payment.order.0);
            products.push(line.product);
            quantities.push(line.quantity);
            references.push(stored.payment.reference.as_str());
        }
    }
    if orders.is_empty() {
        return Ok(());
    }
    tx.execute(
        "update payment set product_ids = n.product_ids, quantities = n.quantities,
           reference = n.reference
         from (select o, array_agg(p order by i) as product_ids,
                 array_agg(q order by i) as quantities, min(r) as reference
               from unnest($1::uuid[], $2::uuid[], $3::int[], $4::text[])
                 with ordinality as l(o, p, q, r, i)
               group by o) n
         where payment.order_id = n.o",
        &[&orders, &products, &quantities, &references],
    )
    .await?;
    Ok(())
}

async fn save_wallets(tx: &mut Tx, before: &Wallets, after: &Wallets) -> Result<(), Error> {
    let changed = after.iter().filter(|(member, balance)| before.get(member) != Some(balance));
    let (members, balances): (Vec<Uuid>, Vec<i64>) =
        changed.map(|(member, balance)| (member.0, balance.minor())).unzip();
    if members.is_empty() {
        return Ok(());
    }
    tx.execute(
        "update wallet set balance_minor = n.balance_minor
         from unnest($1::uuid[], $2::bigint[]) as n(member_id, balance_minor)
         where wallet.member_id = n.member_id",
        &[&members, &balances],
    )
    .await?;
    // A refund may be the first that comes into a wallet.
    let new = |(member, _): &(&MemberId, &Money)| !before.contains_key(member);
    let (members, balances): (Vec<Uuid>, Vec<i64>) =
        after.iter().filter(new).map(|(member, balance)| (member.0, balance.minor())).unzip();
    if members.is_empty() {
        return Ok(());
    }
    tx.execute(
        "insert into wallet (member_id, balance_minor, currency)
         select m, b, 'KRW' from unnest($1::uuid[], $2::bigint[]) as n(m, b)
         on conflict (member_id) do update
         set balance_minor = wallet.balance_minor + excluded.balance_minor",
        &[&members, &balances],
    )
    .await?;
    Ok(())
}
