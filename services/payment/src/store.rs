//! All the SQL of payments, wallets and the ledger.

use std::{collections::BTreeMap, time::SystemTime};

use kit::{
    Cause, Error, Money, Tx,
    database::Reader,
    event::{self, Draft},
    id::Uuid,
    incoming::not_found,
    page::Page,
};
use tokio_postgres::Row;

use crate::{
    domain::{
        self, MemberId, Method, OrderId, Outcome, Payment, PaymentId, State, Transfer, Wallets,
    },
    words,
};

/// All that makes up a payment.
macro_rules! select_payments {
    () => {
        "select id, order_id, member_id, method, amount_minor, state, reason, version, create_time
         from payment"
    };
}

/// A payment as it is stored.
#[derive(Clone, Debug)]
pub(crate) struct Stored {
    pub(crate) payment: Payment,
    pub(crate) version: i64,
    pub(crate) create_time: SystemTime,
}

impl Stored {
    fn from_row(row: &Row) -> Result<Self, Error> {
        let payment = Payment {
            id: PaymentId(row.get("id")),
            order: OrderId(row.get("order_id")),
            member: MemberId(row.get("member_id")),
            method: words::method(row.get("method"))?,
            amount: Money::krw(row.get("amount_minor")),
            state: words::state(row.get("state"))?,
            reason: row.get("reason"),
        };
        Ok(Self { payment, version: row.get("version"), create_time: row.get("create_time") })
    }
}

/// What an order wants of payment.
#[derive(Clone, Debug)]
pub(crate) struct Wish {
    pub(crate) order: OrderId,
    pub(crate) member: MemberId,
    pub(crate) want: Want,
    /// The event that led to it; none for a call.
    pub(crate) cause: Option<Cause>,
}

/// To pay, or to give back.
#[derive(Clone, Debug)]
pub(crate) enum Want {
    Pay { amount: Money, method: Method },
    GiveBack { reason: String },
}

/// Decides wishes in order, all in this transaction: rows are locked sorted by id, decided in
/// Rust, written set by set. Answers the orders' payments as they are then.
pub(crate) async fn decide(
    tx: &mut Tx,
    wishes: &[Wish],
) -> Result<BTreeMap<OrderId, Stored>, Error> {
    let mut payments = lock_payments(tx, wishes).await?;
    let mut wallets = lock_wallets(tx, &payments).await?;
    let before = wallets.clone();
    let (mut drafts, mut ledger) = (Vec::new(), Ledger::default());
    for wish in wishes {
        let Some(stored) = payments.get_mut(&wish.order) else { continue };
        let outcome = match &wish.want {
            Want::Pay { amount, method } => {
                if stored.payment.state == State::New {
                    (stored.payment.amount, stored.payment.method) = (*amount, *method);
                }
                stored.payment.placed(&mut wallets)
            }
            Want::GiveBack { reason } => stored.payment.cancelled(reason, &mut wallets),
        };
        if let Some(transfer) = outcome.transfer() {
            ledger.add(&stored.payment, transfer);
        }
        drafts.extend(tell(stored, &outcome, wish.cause.as_ref()));
    }
    save_payments(tx, &payments).await?;
    save_wallets(tx, &before, &wallets).await?;
    ledger.save(tx).await?;
    event::append(tx, &drafts).await?;
    Ok(payments)
}

/// The event of an outcome, if others would want to know.
fn tell(stored: &mut Stored, outcome: &Outcome, cause: Option<&Cause>) -> Option<Draft> {
    let (kind, payload) = words::event(&stored.payment, outcome)?;
    stored.version += 1;
    let (id, order) = (stored.payment.id.0, stored.payment.order.0);
    let draft = Draft::new(kind, id, stored.version, order, payload);
    Some(match cause {
        Some(cause) => draft.caused_by(cause.clone()),
        None => draft,
    })
}

/// Makes sure that each order has a payment row, NEW if need be, and locks them all.
async fn lock_payments(tx: &mut Tx, wishes: &[Wish]) -> Result<BTreeMap<OrderId, Stored>, Error> {
    let members: BTreeMap<Uuid, Uuid> = wishes.iter().map(|w| (w.order.0, w.member.0)).collect();
    let ids: Vec<Uuid> = members.keys().map(|_| kit::id::new()).collect();
    let (orders, members): (Vec<Uuid>, Vec<Uuid>) = members.into_iter().unzip();
    tx.execute(
        "insert into payment (id, order_id, member_id, method, amount_minor, currency, state)
         select i, o, m, 'WALLET', 0, 'KRW', 'NEW'
         from unnest($1::uuid[], $2::uuid[], $3::uuid[]) as wish(i, o, m)
         on conflict (order_id) do nothing",
        &[&ids, &orders, &members],
    )
    .await?;
    let rows = tx
        .query(
            concat!(select_payments!(), " where order_id = any($1) order by order_id for update"),
            &[&orders],
        )
        .await?;
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

async fn save_payments(tx: &mut Tx, payments: &BTreeMap<OrderId, Stored>) -> Result<(), Error> {
    let column = |of: fn(&Stored) -> &'static str| payments.values().map(of).collect::<Vec<_>>();
    let orders: Vec<Uuid> = payments.keys().map(|order| order.0).collect();
    let amounts: Vec<i64> = payments.values().map(|s| s.payment.amount.minor()).collect();
    let reasons: Vec<&str> = payments.values().map(|s| s.payment.reason.as_str()).collect();
    let versions: Vec<i64> = payments.values().map(|s| s.version).collect();
    tx.execute(
        "update payment set method = n.method, amount_minor = n.amount_minor, state = n.state,
           reason = n.reason, version = n.version
         from unnest($1::uuid[], $2::text[], $3::bigint[], $4::text[], $5::text[], $6::bigint[])
           as n(order_id, method, amount_minor, state, reason, version)
         where payment.order_id = n.order_id and payment.state <> n.state",
        &[
            &orders,
            &column(|s| words::method_name(s.payment.method)),
            &amounts,
            &column(|s| words::state_name(s.payment.state)),
            &reasons,
            &versions,
        ],
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
    Ok(())
}

/// Ledger transactions to be written, a column each: from one account to another.
#[derive(Default)]
struct Ledger {
    ids: Vec<Uuid>,
    kinds: Vec<&'static str>,
    orders: Vec<Option<Uuid>>,
    members: Vec<Uuid>,
    /// What the wallet gets; the other account gets the opposite.
    amounts: Vec<i64>,
    others: Vec<&'static str>,
}

impl Ledger {
    fn add(&mut self, payment: &Payment, transfer: Transfer) {
        let (kind, amount) = match transfer {
            Transfer::Payment => ("PAYMENT", -payment.amount.minor()),
            Transfer::Refund => ("REFUND", payment.amount.minor()),
        };
        self.push(kind, Some(payment.order.0), payment.member, amount, "SALES");
    }

    fn push(
        &mut self,
        kind: &'static str,
        order: Option<Uuid>,
        member: MemberId,
        amount: i64,
        other: &'static str,
    ) {
        self.ids.push(kit::id::new());
        self.kinds.push(kind);
        self.orders.push(order);
        self.members.push(member.0);
        self.amounts.push(amount);
        self.others.push(other);
    }

    async fn save(&self, tx: &mut Tx) -> Result<(), Error> {
        if self.ids.is_empty() {
            return Ok(());
        }
        tx.execute(
            "insert into ledger_transaction (id, kind, order_id)
             select * from unnest($1::uuid[], $2::text[], $3::uuid[])",
            &[&self.ids, &self.kinds, &self.orders],
        )
        .await?;
        tx.execute(
            "insert into ledger_entry (transaction_id, account, member_id, amount_minor)
             select t.id, e.account, e.member_id, e.amount
             from unnest($1::uuid[], $2::uuid[], $3::bigint[], $4::text[])
               as t(id, member_id, amount, other),
             lateral (values ('WALLET', t.member_id, t.amount), (t.other, null, -t.amount))
               as e(account, member_id, amount)",
            &[&self.ids, &self.members, &self.amounts, &self.others],
        )
        .await?;
        Ok(())
    }
}

/// Adds money to a wallet, which is made if need be. Answers the balance.
pub(crate) async fn top_up(tx: &mut Tx, member: MemberId, amount: Money) -> Result<Money, Error> {
    tx.execute(
        "insert into wallet (member_id, balance_minor, currency) values ($1, 0, 'KRW')
         on conflict (member_id) do nothing",
        &[&member.0],
    )
    .await?;
    let row = tx
        .query_one(
            "select balance_minor, version from wallet where member_id = $1 for update",
            &[&member.0],
        )
        .await?;
    let balance = domain::top_up(Money::krw(row.get(0)), amount)?;
    let version = row.get::<_, i64>(1) + 1;
    tx.execute(
        "update wallet set balance_minor = $2, version = $3 where member_id = $1",
        &[&member.0, &balance.minor(), &version],
    )
    .await?;
    let mut ledger = Ledger::default();
    ledger.push("TOP_UP", None, member, amount.minor(), "SANDBOX");
    ledger.save(tx).await?;
    let (kind, payload) = words::topped_up(member, amount);
    event::append(tx, &[Draft::new(kind, member.0, version, member.0, payload)]).await?;
    Ok(balance)
}

/// Reads a wallet's balance; 0 where there is no wallet yet.
pub(crate) async fn balance(reader: &mut Reader, member: MemberId) -> Result<Money, Error> {
    let row = reader
        .query_opt("select balance_minor from wallet where member_id = $1", &[&member.0])
        .await?;
    Ok(row.map_or(Money::ZERO, |row| Money::krw(row.get(0))))
}

/// One movement of a wallet.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub(crate) id: Uuid,
    pub(crate) kind: String,
    pub(crate) amount: Money,
    pub(crate) order: Option<Uuid>,
    pub(crate) create_time: SystemTime,
}

/// Reads a page of a wallet's movements, newest first.
pub(crate) async fn entries(
    reader: &mut Reader,
    member: MemberId,
    page: Page,
) -> Result<Vec<Entry>, Error> {
    let rows = reader
        .query(
            "select t.id, t.kind, e.amount_minor, t.order_id, t.create_time
             from ledger_entry e join ledger_transaction t on t.id = e.transaction_id
             where e.member_id = $1 and ($2::uuid is null or e.transaction_id < $2)
             order by e.transaction_id desc limit $3",
            &[&member.0, &page.below, &page.limit()],
        )
        .await?;
    let entry = |row: &Row| Entry {
        id: row.get(0),
        kind: row.get(1),
        amount: Money::krw(row.get(2)),
        order: row.get(3),
        create_time: row.get(4),
    };
    Ok(rows.iter().map(entry).collect())
}

/// Reads one payment that `owner` may see (`None`: any).
pub(crate) async fn get(
    reader: &mut Reader,
    id: PaymentId,
    owner: Option<Uuid>,
) -> Result<Stored, Error> {
    let row = reader
        .query_opt(
            concat!(
                select_payments!(),
                " where id = $1 and state <> 'REFUSED' and ($2::uuid is null or member_id = $2)"
            ),
            &[&id.0, &owner],
        )
        .await?;
    Stored::from_row(&row.ok_or_else(not_found)?)
}

/// Which payments to list.
pub(crate) struct Filter {
    /// Only those of this member.
    pub(crate) owner: Option<Uuid>,
    pub(crate) order: Option<OrderId>,
    pub(crate) state: Option<&'static str>,
}

/// Reads a page of payments, newest first.
pub(crate) async fn list(
    reader: &mut Reader,
    filter: &Filter,
    page: Page,
) -> Result<Vec<Stored>, Error> {
    let rows = reader
        .query(
            concat!(
                select_payments!(),
                " where state <> 'REFUSED' and ($1::uuid is null or member_id = $1)
                    and ($2::uuid is null or order_id = $2) and ($3::text is null or state = $3)
                    and ($4::uuid is null or id < $4)
                  order by id desc limit $5"
            ),
            &[
                &filter.owner,
                &filter.order.map(|order| order.0),
                &filter.state,
                &page.below,
                &page.limit(),
            ],
        )
        .await?;
    rows.iter().map(Stored::from_row).collect()
}
