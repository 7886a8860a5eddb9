//! Members' wallets: balances, top-ups, and what moved them.

use std::time::SystemTime;

use base::{Error, Money, id::Uuid, page::Page};
use eventlog::Draft;
use pg::{Reader, Tx};
use tokio_postgres::Row;

use super::ledger::{Account, Kind, Ledger};
use crate::{
    domain::{self, MemberId},
    wire,
};

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
    let amount_minor = amount.minor();
    ledger.push(Kind::TopUp, None, Account::Wallet, Some(member), amount_minor, Account::Sandbox);
    ledger.save(tx).await?;
    let topped_up = Draft::of(wire::topped_up(member, amount), member.0, version, member.0);
    eventlog::append(tx, &[topped_up]).await?;
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
        create_time: row.get(4),
    };
    Ok(rows.iter().map(entry).collect())
}
