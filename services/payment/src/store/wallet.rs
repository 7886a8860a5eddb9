//! Members' wallets: balances, what fills and corrects them, and what moved them.

use std::time::SystemTime;

use base::{Error, Money, error::not_found, id::Uuid, page::Page};
use contracts::payment::v1::payment_event::Event;
use eventlog::Draft;
use pg::{Reader, Tx};
use tokio_postgres::Row;

use super::{
    ledger::{Account, Kind, Ledger, Move},
    refund,
};
use crate::{
    domain::{
        MemberId, Refusal,
        refund::{GivenBack, Of, Refund, Tender},
        wallet::{self, Charged, Note, TopUp, TopUpId, TopUpState},
    },
    tasks, wire,
};

/// A wallet under lock.
pub(super) struct Wallet {
    member: MemberId,
    pub(super) balance: Money,
    version: i64,
}

/// Locks a member's wallet, which is made if need be.
pub(super) async fn lock(tx: &mut Tx, member: MemberId) -> Result<Wallet, Error> {
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
    Ok(Wallet { member, balance: Money::krw(row.get(0)), version: row.get(1) })
}

impl Wallet {
    /// Saves the balance and what made it so, and tells others of it if there is an event.
    pub(super) async fn save(
        &mut self,
        tx: &mut Tx,
        moved: Move,
        event: Option<Event>,
    ) -> Result<(), Error> {
        self.version += i64::from(event.is_some());
        tx.execute(
            "update wallet set balance_minor = $2, version = $3 where member_id = $1",
            &[&self.member.0, &self.balance.minor(), &self.version],
        )
        .await?;
        let mut ledger = Ledger::default();
        ledger.push(moved);
        ledger.save(tx).await?;
        let member = self.member.0;
        let drafts = event.map(|event| Draft::of(event, member, self.version, member));
        eventlog::append(tx, drafts.as_slice()).await
    }
}

/// Makes a top-up, unless it is there already, and locks it.
pub(crate) async fn begin_top_up(tx: &mut Tx, top_up: &TopUp) -> Result<TopUp, Error> {
    tx.execute(
        "insert into top_up (id, member_id, amount_minor, state) values ($1, $2, $3, $4)
         on conflict (id) do nothing",
        &[&top_up.id.0, &top_up.member.0, &top_up.amount.minor(), &top_up.state.name()],
    )
    .await?;
    let balance = wallet_balance(tx, top_up.member).await?;
    let stored = lock_top_up(tx, top_up.id).await?;
    if stored.state == TopUpState::Authorising {
        // Nobody is charged for what does not fit; it is looked at again when the charge is known.
        wallet::put_in(balance, top_up.amount)?;
    }
    Ok(stored)
}

/// Locks a top-up.
pub(crate) async fn lock_top_up(tx: &mut Tx, id: TopUpId) -> Result<TopUp, Error> {
    let row = tx
        .query_opt(
            "select member_id, amount_minor, state, acquirer_reference
             from top_up where id = $1 for update",
            &[&id.0],
        )
        .await?
        .ok_or_else(not_found)?;
    Ok(TopUp {
        id,
        member: MemberId(row.get(0)),
        amount: Money::krw(row.get(1)),
        state: TopUpState::named(row.get(2))?,
        acquirer_reference: row.get(3),
    })
}

/// Saves how far a top-up has come.
pub(crate) async fn save_top_up(tx: &mut Tx, top_up: &TopUp) -> Result<(), Error> {
    tx.execute(
        "update top_up set state = $2, acquirer_reference = $3 where id = $1",
        &[&top_up.id.0, &top_up.state.name(), &top_up.acquirer_reference],
    )
    .await?;
    Ok(())
}

/// The acquirer has charged a top-up that is locked: fills the wallet, or has the card refunded. Answers
/// the balance.
pub(crate) async fn top_up_charged(
    tx: &mut Tx,
    top_up: &mut TopUp,
    reference: &str,
) -> Result<Money, Error> {
    let mut wallet = lock(tx, top_up.member).await?;
    let charged = top_up.charged(reference, wallet.balance);
    save_top_up(tx, top_up).await?;
    match charged {
        Charged::Known => Ok(wallet.balance),
        Charged::Filled(balance) => {
            wallet.balance = balance;
            let moved = Move::new(Kind::TopUp, Account::Card, top_up.member, top_up.amount);
            let told = wire::wallet::topped_up(top_up.member, top_up.amount);
            wallet.save(tx, moved.of(top_up.id.0), Some(told)).await?;
            Ok(balance)
        }
        Charged::Void => {
            let moved = Move::new(Kind::ChargeFound, Account::Card, Account::Held, top_up.amount);
            let mut ledger = Ledger::default();
            ledger.push(moved.of(top_up.id.0));
            ledger.save(tx).await?;
            let given_back = GivenBack { amount: top_up.amount, to: Tender::Card };
            let refund = Refund::new(Of::TopUp(top_up.id), top_up.member, &given_back);
            tasks::give_back(tx, &refund).await?;
            refund::insert(tx, &[(given_back, refund)]).await?;
            Ok(wallet.balance)
        }
    }
}

/// Corrects a balance, up or down. Answers it.
pub(crate) async fn adjust(
    tx: &mut Tx,
    member: MemberId,
    by: Money,
    note: Note,
) -> Result<Money, Error> {
    let mut wallet = lock(tx, member).await?;
    wallet.balance = wallet::adjust(wallet.balance, by)?;
    let told = wire::wallet::adjusted(member, by, &note);
    let moved = if by.is_negative() {
        let amount = Money::ZERO.minus(by).ok_or(Refusal::InsufficientBalance)?;
        Move::new(Kind::Adjustment, member, Account::Adjustment, amount)
    } else {
        Move::new(Kind::Adjustment, Account::Adjustment, member, by)
    };
    wallet.save(tx, moved.noted(note), Some(told)).await?;
    Ok(wallet.balance)
}

/// Reads a wallet's balance; 0 where there is no wallet yet.
pub(crate) async fn balance(reader: &mut Reader, member: MemberId) -> Result<Money, Error> {
    let row = reader.query_opt(BALANCE, &[&member.0]).await?;
    Ok(row.map_or(Money::ZERO, |row| Money::krw(row.get(0))))
}

/// The same in a transaction.
pub(crate) async fn wallet_balance(tx: &mut Tx, member: MemberId) -> Result<Money, Error> {
    let row = tx.query_opt(BALANCE, &[&member.0]).await?;
    Ok(row.map_or(Money::ZERO, |row| Money::krw(row.get(0))))
}

const BALANCE: &str = "select balance_minor from wallet where member_id = $1";

/// One movement of a wallet.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub(crate) id: Uuid,
    pub(crate) kind: String,
    pub(crate) amount: Money,
    pub(crate) order: Option<Uuid>,
    pub(crate) subject: Option<Uuid>,
    pub(crate) reason: String,
    pub(crate) actor: Option<Uuid>,
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
            "select t.id, t.kind, e.amount_minor, t.order_id, t.subject_id, t.reason, t.actor_id,
               t.create_time
             from ledger_entry e join ledger_transaction t on t.id = e.transaction_id
             where e.member_id = $1 and e.transaction_id < $2
             order by e.transaction_id desc limit $3",
            &[&member.0, &page.below.unwrap_or(Uuid::max()), &page.limit()],
        )
        .await?;
    let entry = |row: &Row| Entry {
        id: row.get(0),
        kind: row.get(1),
        amount: Money::krw(row.get(2)),
        order: row.get(3),
        subject: row.get(4),
        reason: row.get(5),
        actor: row.get(6),
        create_time: row.get(7),
    };
    Ok(rows.iter().map(entry).collect())
}
