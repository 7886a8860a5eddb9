//! What arrived on the shop's bank account.

use std::time::SystemTime;

use base::{Error, Money, error::not_found, id::Uuid, page::Page};
use eventlog::Draft;
use pg::{Reader, Tx};
use tokio_postgres::Row;

use super::{
    erasure,
    ledger::{Account, Kind, Ledger, Move},
    payout, wallet,
};
use crate::{
    domain::{
        MemberId, OrderId, Payment, PaymentId, Refusal, State,
        deposit::{Deposit, DepositId, DepositState, HeldReason, confirmed_by_hand},
        payout::{Account as BankAccount, Payout, PayoutId, PayoutState},
        wallet::{Note, put_in},
    },
    wire,
};

/// All that makes up a deposit.
macro_rules! select_deposits {
    () => {
        "select id, bank_transaction_id, amount_minor, depositor_name, reference, receive_time,
           state, held_reason, order_id, payment_id, matched_minor, held_minor, booked, version,
           create_time
         from deposit"
    };
}

/// A deposit as it is stored.
#[derive(Clone, Debug)]
pub(crate) struct Stored {
    pub(crate) deposit: Deposit,
    pub(crate) version: i64,
    pub(crate) create_time: SystemTime,
}

impl Stored {
    fn from_row(row: &Row) -> Result<Self, Error> {
        let order = row.get::<_, Option<Uuid>>("order_id").map(OrderId);
        let payment = row.get::<_, Option<Uuid>>("payment_id").map(PaymentId);
        let deposit = Deposit {
            id: DepositId(row.get("id")),
            bank_transaction: row.get("bank_transaction_id"),
            amount: Money::krw(row.get("amount_minor")),
            depositor: row.get("depositor_name"),
            reference: row.get("reference"),
            receive_time: row.get("receive_time"),
            state: DepositState::named(row.get("state"))?,
            held_reason: HeldReason::named(row.get("held_reason"))?,
            about: order.zip(payment),
            matched: Money::krw(row.get("matched_minor")),
            held: Money::krw(row.get("held_minor")),
            booked: row.get("booked"),
        };
        let (version, create_time) = (row.get("version"), row.get("create_time"));
        Ok(Self { deposit, version, create_time })
    }

    /// Saves how far it has come, and books it if it is not in the ledger yet.
    pub(crate) async fn save(&mut self, tx: &mut Tx) -> Result<(), Error> {
        let deposit = &mut self.deposit;
        if !deposit.booked && deposit.state != DepositState::Matching {
            deposit.booked = true;
            let moved = Move::new(Kind::Deposit, Account::Bank, Account::Held, deposit.amount);
            book(tx, moved.of(deposit.id.0)).await?;
        }
        self.version += 1;
        tx.execute(
            "update deposit set state = $2, held_reason = $3, order_id = $4, payment_id = $5,
               member_id = coalesce((select member_id from payment where payment.order_id = $4),
                 member_id),
               matched_minor = $6, held_minor = $7, booked = $8, version = $9
             where id = $1",
            &[
                &deposit.id.0,
                &deposit.state.name(),
                &deposit.held_reason.name(),
                &deposit.about.map(|(order, _)| order.0),
                &deposit.about.map(|(_, payment)| payment.0),
                &deposit.matched.minor(),
                &deposit.held.minor(),
                &deposit.booked,
                &self.version,
            ],
        )
        .await?;
        match deposit.state {
            DepositState::Matched | DepositState::Refunded | DepositState::Credited => {
                erasure::deposit_settled(tx, deposit.id).await
            }
            DepositState::Matching | DepositState::Held | DepositState::Refunding => Ok(()),
        }
    }
}

async fn book(tx: &mut Tx, moved: Move) -> Result<(), Error> {
    let mut ledger = Ledger::default();
    ledger.push(moved);
    ledger.save(tx).await
}

/// The one that is there already, or this one, just made; and whether it was made. It is locked.
pub(crate) async fn make(
    tx: &mut Tx,
    deposit: &Deposit,
    recorded_by: &str,
) -> Result<(Stored, bool), Error> {
    let made = tx
        .execute(
            "insert into deposit (id, bank_transaction_id, amount_minor, depositor_name, reference,
               receive_time, state, held_reason, order_id, payment_id, member_id, matched_minor,
               held_minor, recorded_by, booked)
             values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10,
               (select member_id from payment where payment.order_id = $9), $11, $12, $13, false)
             on conflict on constraint deposit_bank_transaction do nothing",
            &[
                &deposit.id.0,
                &deposit.bank_transaction,
                &deposit.amount.minor(),
                &deposit.depositor,
                &deposit.reference,
                &deposit.receive_time,
                &deposit.state.name(),
                &deposit.held_reason.name(),
                &deposit.about.map(|(order, _)| order.0),
                &deposit.about.map(|(_, payment)| payment.0),
                &deposit.matched.minor(),
                &deposit.held.minor(),
                &recorded_by,
            ],
        )
        .await?;
    let sql = concat!(select_deposits!(), " where bank_transaction_id = $1 for update");
    let row = tx.query_one(sql, &[&deposit.bank_transaction]).await?;
    Ok((Stored::from_row(&row)?, made == 1))
}

/// Forgets deposits that were about to be matched and came to nothing: those that are in the ledger are
/// held as before, the others were never there.
pub(crate) async fn unmatch(tx: &mut Tx, order: OrderId) -> Result<(), Error> {
    let sql = "delete from deposit where order_id = $1 and state = 'MATCHING' and not booked";
    tx.execute(sql, &[&order.0]).await?;
    for mut stored in matching(tx, order).await? {
        let reason = stored.deposit.held_reason;
        stored.deposit.hold(reason);
        stored.save(tx).await?;
    }
    Ok(())
}

/// Product has set an order's goods aside: what was going to pay it does, and what was held for it
/// beside that is one too many.
pub(crate) async fn matched(tx: &mut Tx, order: OrderId) -> Result<(), Error> {
    for mut stored in matching(tx, order).await? {
        stored.deposit.matched();
        stored.save(tx).await?;
    }
    release_short(tx, &[order.0], HeldReason::Duplicate).await
}

/// The goods of an order are gone, or it was cancelled: all that was going to pay it is held.
pub(crate) async fn hold(tx: &mut Tx, order: OrderId, reason: HeldReason) -> Result<(), Error> {
    for mut stored in matching(tx, order).await? {
        stored.deposit.hold(reason);
        stored.save(tx).await?;
    }
    release_short(tx, &[order.0], reason).await
}

async fn matching(tx: &mut Tx, order: OrderId) -> Result<Vec<Stored>, Error> {
    let sql = concat!(
        select_deposits!(),
        " where order_id = $1 and state = 'MATCHING' order by id for update"
    );
    tx.query(sql, &[&order.0]).await?.iter().map(Stored::from_row).collect()
}

/// What is held of orders because it was too little has another reason now: no other will complete it.
pub(crate) async fn release_short(
    tx: &mut Tx,
    orders: &[Uuid],
    reason: HeldReason,
) -> Result<(), Error> {
    tx.execute(
        "update deposit set held_reason = $2, version = version + 1
         where order_id = any($1) and state = 'HELD' and held_reason = 'SHORT'",
        &[&orders, &reason.name()],
    )
    .await?;
    Ok(())
}

/// The parts that have arrived of an order whose payment is locked, but for this deposit.
pub(crate) async fn parts(
    tx: &mut Tx,
    order: OrderId,
    but: DepositId,
) -> Result<Vec<Stored>, Error> {
    let sql = concat!(
        select_deposits!(),
        " where order_id = $1 and state = 'HELD' and held_reason = 'SHORT' and id <> $2
          order by id for update"
    );
    tx.query(sql, &[&order.0, &but.0]).await?.iter().map(Stored::from_row).collect()
}

/// What is held of deposits.
pub(crate) fn sum(deposits: &[Stored]) -> Result<Money, Error> {
    let held = deposits.iter().map(|stored| stored.deposit.held);
    let sum = held.into_iter().try_fold(Money::ZERO, Money::plus);
    sum.ok_or_else(|| Error::internal("parts of a deposit that are more than can be counted"))
}

/// Which order a deposit pays: that of its reference, else the only one that waits for this amount from
/// this depositor.
pub(crate) async fn target(
    reader: &mut Reader,
    reference: &str,
    depositor: &str,
    amount: Money,
) -> Result<Option<(OrderId, MemberId)>, Error> {
    let rows = if reference.is_empty() {
        let sql = "
            select order_id, member_id from payment
            where state = 'WAITING_FOR_DEPOSIT' and declared_depositor = $1 and amount_minor = $2
              and declared_depositor <> ''
            limit 2";
        reader.query(sql, &[&depositor, &amount.minor()]).await?
    } else {
        let sql = "select order_id, member_id from payment
             where reference = $1 and reference <> ''";
        reader.query(sql, &[&reference]).await?
    };
    Ok(match rows.as_slice() {
        [row] => Some((OrderId(row.get(0)), MemberId(row.get(1)))),
        _ => None,
    })
}

/// Locks a deposit, and before it the payment that it is about, as everybody locks them.
pub(crate) async fn lock(tx: &mut Tx, id: DepositId) -> Result<Stored, Error> {
    let about = "select order_id from deposit where id = $1";
    let row = tx.query_opt(about, &[&id.0]).await?.ok_or_else(not_found)?;
    let order: Option<Uuid> = row.get(0);
    if let Some(order) = order {
        let lock = "select from payment where order_id = $1 for update";
        tx.query_opt(lock, &[&order]).await?;
    }
    let stored = lock_alone(tx, id).await?;
    let moved = stored.deposit.about.map(|(order, _)| order.0) != order;
    if moved && stored.deposit.held().is_ok() {
        // Its payment is not locked, and it is too late to lock that now.
        return Err(Refusal::Confirming.into());
    }
    Ok(stored)
}

/// Locks a deposit that is about to be of another payment, which is locked.
pub(crate) async fn lock_alone(tx: &mut Tx, id: DepositId) -> Result<Stored, Error> {
    let sql = concat!(select_deposits!(), " where id = $1 for update");
    Stored::from_row(&tx.query_opt(sql, &[&id.0]).await?.ok_or_else(not_found)?)
}

/// Sends what is held of a deposit to a bank account.
pub(crate) async fn refund(
    tx: &mut Tx,
    stored: &mut Stored,
    account: BankAccount,
    actor: Uuid,
) -> Result<(), Error> {
    let deposit = &mut stored.deposit;
    let amount = deposit.held()?;
    let id = PayoutId(base::id::new());
    let moved = Move::new(Kind::Payout, Account::Held, Account::Payout, amount);
    book(tx, moved.of(id.0)).await?;
    let payout = Payout {
        id,
        member: None,
        deposit: Some(deposit.id.0),
        order: deposit.about.map(|(order, _)| order),
        amount,
        state: PayoutState::Requested,
        account,
        failure: String::new(),
    };
    payout::request(tx, payout).await?;
    (deposit.state, deposit.held) = (DepositState::Refunding, Money::ZERO);
    stored.save(tx).await?;
    tell(tx, stored, wire::deposit::refunded(&stored.deposit, amount, actor)).await
}

/// Puts what is held of a deposit into a member's wallet.
pub(crate) async fn credit(
    tx: &mut Tx,
    stored: &mut Stored,
    member: MemberId,
    actor: Uuid,
) -> Result<(), Error> {
    let deposit = &mut stored.deposit;
    let amount = deposit.held()?;
    (deposit.state, deposit.held) = (DepositState::Credited, Money::ZERO);
    let id = deposit.id.0;
    let mut wallet = wallet::lock(tx, member).await?;
    wallet.balance = put_in(wallet.balance, amount)?;
    let reason = format!("deposit {}", deposit.bank_transaction);
    let moved = Move::new(Kind::Credit, Account::Held, member, amount).of(id);
    wallet.save(tx, moved.noted(Note { reason, actor }), None).await?;
    // Whose it was: until now nobody may have known.
    let whose = "update deposit set member_id = coalesce(member_id, $2) where id = $1";
    tx.execute(whose, &[&id, &member.0]).await?;
    stored.save(tx).await?;
    tell(tx, stored, wire::deposit::credited(&stored.deposit, member, amount, actor)).await
}

/// Tells others what somebody did with a deposit that has just been saved.
pub(crate) async fn tell(
    tx: &mut Tx,
    stored: &Stored,
    event: contracts::payment::v1::payment_event::Event,
) -> Result<(), Error> {
    let id = stored.deposit.id.0;
    let correlation = stored.deposit.about.map_or(id, |(order, _)| order.0);
    eventlog::append(tx, &[Draft::of(event, id, stored.version, correlation)]).await
}

/// A payout of what was held of a deposit has ended: it is out, or held again.
pub(super) async fn paid_out(
    tx: &mut Tx,
    id: DepositId,
    amount: Money,
    sent: bool,
) -> Result<(), Error> {
    let mut stored = lock(tx, id).await?;
    if sent {
        stored.deposit.state = DepositState::Refunded;
    } else {
        (stored.deposit.state, stored.deposit.held) = (DepositState::Held, amount);
    }
    stored.save(tx).await
}

/// Whether this command recorded a deposit.
pub(crate) async fn was_recorded_by(
    reader: &mut Reader,
    bank_transaction: &str,
    recorded_by: &str,
) -> Result<bool, Error> {
    let sql = "select from deposit where bank_transaction_id = $1 and recorded_by = $2";
    Ok(reader.query_opt(sql, &[&bank_transaction, &recorded_by]).await?.is_some())
}

/// Reads one deposit.
pub(crate) async fn get(reader: &mut Reader, id: DepositId) -> Result<Stored, Error> {
    let sql = concat!(select_deposits!(), " where id = $1");
    Stored::from_row(&reader.query_opt(sql, &[&id.0]).await?.ok_or_else(not_found)?)
}

/// The same in a transaction.
pub(crate) async fn get_in(tx: &mut Tx, id: DepositId) -> Result<Option<Stored>, Error> {
    let sql = concat!(select_deposits!(), " where id = $1");
    tx.query_opt(sql, &[&id.0]).await?.as_ref().map(Stored::from_row).transpose()
}

/// Reads a page of deposits, newest first: with a reference, in a state, or all.
pub(crate) async fn list(
    reader: &mut Reader,
    reference: &str,
    state: Option<&'static str>,
    page: Page,
) -> Result<Vec<Stored>, Error> {
    let (below, limit) = (page.below.unwrap_or(Uuid::max()), page.limit());
    // A statement for each filter, so that each has the index that gives its order.
    let rows = match (reference, state) {
        ("", None) => {
            let sql = concat!(
                select_deposits!(),
                " where id < $1 and (state <> 'MATCHING' or booked) order by id desc limit $2"
            );
            reader.query(sql, &[&below, &limit]).await?
        }
        ("", Some(state)) => {
            let sql = concat!(
                select_deposits!(),
                " where state = $1 and id < $2 order by id desc limit $3"
            );
            reader.query(sql, &[&state, &below, &limit]).await?
        }
        (reference, state) => {
            let sql = concat!(
                select_deposits!(),
                " where reference = $1 and reference <> '' and ($2::text is null or state || '' = $2)
                    and id < $3 and (state <> 'MATCHING' or booked)
                  order by id desc limit $4"
            );
            reader.query(sql, &[&reference, &state, &below, &limit]).await?
        }
    };
    rows.iter().map(Stored::from_row).collect()
}

/// New numbers for references.
pub(crate) async fn reference_numbers(tx: &mut Tx, count: usize) -> Result<Vec<u64>, Error> {
    let count = i64::try_from(count).unwrap_or(i64::MAX);
    let sql = "select nextval('deposit_reference') from generate_series(1::bigint, $1)";
    let rows = tx.query(sql, &[&count]).await?;
    Ok(rows.iter().map(|row| row.get::<_, i64>(0).unsigned_abs()).collect())
}

/// Keeps who is going to pay for an order.
pub(crate) async fn declare(tx: &mut Tx, order: OrderId, depositor: &str) -> Result<(), Error> {
    let sql = "update payment set declared_depositor = $2 where order_id = $1";
    tx.execute(sql, &[&order.0, &depositor]).await?;
    Ok(())
}

/// Makes the deposit of a payment that a seller confirms, unless one is being matched with it already.
pub(crate) async fn by_hand(tx: &mut Tx, payment: &Payment, now: SystemTime) -> Result<(), Error> {
    if payment.state != State::Confirming || !matching(tx, payment.order).await?.is_empty() {
        return Ok(());
    }
    let mut deposit = Deposit {
        id: DepositId(base::id::new()),
        bank_transaction: confirmed_by_hand(payment.id.0),
        amount: payment.amount,
        depositor: payment.depositor.clone(),
        reference: payment.reference.clone(),
        receive_time: now,
        state: DepositState::Matching,
        held_reason: HeldReason::None,
        about: None,
        matched: Money::ZERO,
        held: Money::ZERO,
        booked: false,
    };
    deposit.begin_match(payment, payment.amount);
    if payment.amount != Money::ZERO {
        make(tx, &deposit, "").await?;
    }
    Ok(())
}
