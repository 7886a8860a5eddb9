//! Money on its way out to bank accounts.

use std::time::SystemTime;

use base::{Error, Money, error::not_found, id::Uuid, page::Page};
use pg::{Reader, Tx};
use tokio_postgres::Row;

use super::{
    deposit, erasure,
    ledger::{Account, Kind, Ledger, Move},
    refund, wallet,
};
use crate::{
    bank::Paid,
    domain::{
        MemberId, Method, OrderId, Refusal,
        deposit::DepositId,
        payout::{self, Payout, PayoutId, PayoutState},
        refund::{RefundId, RefundState},
        wallet::take_out,
    },
    tasks,
};

/// All that makes up a payout.
macro_rules! select_payouts {
    () => {
        "select id, member_id, deposit_id, order_id, amount_minor, state, bank_code,
           account_number, holder, failure, create_time from payout"
    };
}

/// A payout as it is stored.
#[derive(Clone, Debug)]
pub(crate) struct Stored {
    pub(crate) payout: Payout,
    pub(crate) create_time: SystemTime,
}

impl Stored {
    fn from_row(row: &Row) -> Result<Self, Error> {
        let payout = Payout {
            id: PayoutId(row.get("id")),
            member: row.get::<_, Option<Uuid>>("member_id").map(MemberId),
            deposit: row.get("deposit_id"),
            order: row.get::<_, Option<Uuid>>("order_id").map(OrderId),
            amount: Money::krw(row.get("amount_minor")),
            state: PayoutState::named(row.get("state"))?,
            account: payout::Account {
                bank_code: row.get("bank_code"),
                number: row.get("account_number"),
                holder: row.get("holder"),
            },
            failure: row.get("failure"),
        };
        Ok(Self { payout, create_time: row.get("create_time") })
    }
}

/// Takes money from a wallet, to be sent to an account once this is committed.
pub(crate) async fn from_wallet(
    tx: &mut Tx,
    id: PayoutId,
    member: MemberId,
    amount: Money,
    account: payout::Account,
) -> Result<Stored, Error> {
    let mut wallet = wallet::lock(tx, member).await?;
    wallet.balance = take_out(wallet.balance, amount)?;
    let moved = Move::new(Kind::Payout, member, Account::Payout, amount);
    wallet.save(tx, moved.of(id.0), None).await?;
    let (state, failure) = (PayoutState::Requested, String::new());
    let member = Some(member);
    let payout = Payout { id, member, deposit: None, order: None, amount, state, account, failure };
    request(tx, payout).await
}

/// Stores a payout whose money has left where it was, and has it sent.
pub(super) async fn request(tx: &mut Tx, payout: Payout) -> Result<Stored, Error> {
    let row = tx
        .query_one(
            "insert into payout (id, member_id, deposit_id, order_id, amount_minor, state,
               bank_code, account_number, holder)
             values ($1, $2, $3, $4, $5, $6, $7, $8, $9) returning create_time",
            &[
                &payout.id.0,
                &payout.member.map(|id| id.0),
                &payout.deposit,
                &payout.order.map(|id| id.0),
                &payout.amount.minor(),
                &payout.state.name(),
                &payout.account.bank_code,
                &payout.account.number,
                &payout.account.holder,
            ],
        )
        .await?;
    tasks::send_payout(tx, payout.id).await?;
    Ok(Stored { payout, create_time: row.get(0) })
}

/// The bank has said what became of a payout: the money is out, or back where it came from.
pub(crate) async fn paid(tx: &mut Tx, id: PayoutId, paid: &Paid) -> Result<(), Error> {
    let sql = concat!(select_payouts!(), " where id = $1 for update");
    let row = tx.query_opt(sql, &[&id.0]).await?.ok_or_else(not_found)?;
    let mut payout = Stored::from_row(&row)?.payout;
    if payout.state != PayoutState::Requested {
        return Ok(());
    }
    let mut ledger = Ledger::default();
    match paid {
        Paid::Pending => return Ok(()),
        Paid::Sent => {
            (payout.state, payout.failure) = (PayoutState::Sent, String::new());
            if let Some(deposit) = payout.deposit {
                deposit::paid_out(tx, DepositId(deposit), payout.amount, true).await?;
            } else if payout.order.is_some() {
                let refund = RefundId(id.0);
                refund::set(tx, refund, Method::BankTransfer, RefundState::Refunded).await?;
            }
            let sent = Move::new(Kind::PayoutSent, Account::Payout, Account::Bank, payout.amount);
            ledger.push(sent.of(id.0));
        }
        Paid::Failed(reason) | Paid::Refused(reason) => {
            payout.state = PayoutState::Failed;
            payout.failure.clone_from(reason);
            give_back(tx, &payout).await?;
        }
    }
    ledger.save(tx).await?;
    tx.execute(
        "update payout set state = $2, failure = $3 where id = $1",
        &[&id.0, &payout.state.name(), &payout.failure],
    )
    .await?;
    erasure::payout_settled(tx, id).await
}

/// The bank has refused a payout that it may have heard of before: it is asked once more.
pub(crate) async fn refused(tx: &mut Tx, id: PayoutId, reason: &str) -> Result<(), Error> {
    let sql = "update payout set failure = $2 where id = $1 and state = 'REQUESTED'";
    tx.execute(sql, &[&id.0, &reason]).await?;
    Ok(())
}

/// What could not be sent is held again, or its member's.
async fn give_back(tx: &mut Tx, payout: &Payout) -> Result<(), Error> {
    if let Some(deposit) = payout.deposit {
        let moved = Move::new(Kind::PayoutFailed, Account::Payout, Account::Held, payout.amount);
        let mut ledger = Ledger::default();
        ledger.push(moved.of(payout.id.0));
        ledger.save(tx).await?;
        return deposit::paid_out(tx, DepositId(deposit), payout.amount, false).await;
    }
    let member = payout.member.ok_or_else(|| Error::internal("a payout of nobody's"))?;
    if payout.order.is_some() {
        let refund = RefundId(payout.id.0);
        refund::set(tx, refund, Method::Wallet, RefundState::Refunded).await?;
    }
    let mut wallet = wallet::lock(tx, member).await?;
    // It was in there before: not refused by a limit.
    wallet.balance = wallet.balance.plus(payout.amount).ok_or(Refusal::WalletFull)?;
    let moved = Move::new(Kind::PayoutFailed, Account::Payout, member, payout.amount);
    wallet.save(tx, moved.of(payout.id.0), None).await
}

/// Reads one payout that `owner` may see (`None`: any).
pub(crate) async fn get(
    reader: &mut Reader,
    id: PayoutId,
    owner: Option<Uuid>,
) -> Result<Stored, Error> {
    let sql = concat!(select_payouts!(), " where id = $1 and ($2::uuid is null or member_id = $2)");
    let row = reader.query_opt(sql, &[&id.0, &owner]).await?;
    Stored::from_row(&row.ok_or_else(not_found)?)
}

/// Reads a page of payouts, newest first: of a member, in a state, or all.
pub(crate) async fn list(
    reader: &mut Reader,
    member: Option<Uuid>,
    state: Option<&'static str>,
    page: Page,
) -> Result<Vec<Stored>, Error> {
    let (below, limit) = (page.below.unwrap_or(Uuid::max()), page.limit());
    // A statement for each filter, so that each has the index that gives its order.
    let rows = match (member, state) {
        (Some(member), state) => {
            let sql = concat!(
                select_payouts!(),
                " where member_id = $1 and ($2::text is null or state || '' = $2) and id < $3
                  order by id desc limit $4"
            );
            reader.query(sql, &[&member, &state, &below, &limit]).await?
        }
        (None, Some(state)) => {
            let sql = concat!(
                select_payouts!(),
                " where state = $1 and id < $2 order by id desc limit $3"
            );
            reader.query(sql, &[&state, &below, &limit]).await?
        }
        (None, None) => {
            let sql = concat!(select_payouts!(), " where id < $1 order by id desc limit $2");
            reader.query(sql, &[&below, &limit]).await?
        }
    };
    rows.iter().map(Stored::from_row).collect()
}

/// Keeps that members have withdrawn.
pub(crate) async fn withdraw_members(tx: &mut Tx, members: &[Uuid]) -> Result<(), Error> {
    tx.execute(
        "insert into withdrawn_member (member_id) select unnest($1::uuid[]) on conflict do nothing",
        &[&members],
    )
    .await?;
    Ok(())
}

/// Whether there is money that belongs to a member: a balance, a deposit that is held, a payout under way.
pub(crate) async fn has_money(reader: &mut Reader, member: MemberId) -> Result<bool, Error> {
    let sql = "
        select exists (select from wallet where member_id = $1 and balance_minor > 0)
          or exists (select from deposit where member_id = $1
            and state in ('MATCHING', 'HELD', 'REFUNDING'))
          or exists (select from payout where member_id = $1 and state || '' = 'REQUESTED')";
    Ok(reader.query_one(sql, &[&member.0]).await?.get(0))
}

/// Whether a member has withdrawn.
pub(crate) async fn has_withdrawn(tx: &mut Tx, member: MemberId) -> Result<bool, Error> {
    let sql = "select from withdrawn_member where member_id = $1";
    Ok(tx.query_opt(sql, &[&member.0]).await?.is_some())
}
