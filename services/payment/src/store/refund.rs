//! Money of payments that goes back.

use std::{collections::BTreeMap, time::SystemTime};

use base::{Error, Money, id::Uuid};
use eventlog::Draft;
use pg::{Reader, Tx};
use tokio_postgres::Row;

use super::payout;
use crate::{
    acquirer::Refunded,
    domain::{
        Method, OrderId, Payment,
        part::PartId,
        payout::{Payout, PayoutId, PayoutState},
        refund::{GivenBack, Refund, RefundId, RefundState, Tender},
    },
    wire,
};

/// All that makes up a refund.
macro_rules! select_refunds {
    () => {
        "select id, order_id, tender, amount_minor, state, payout_id, part_id, create_time from refund"
    };
}

/// A refund as it is stored.
#[derive(Clone, Debug)]
pub(crate) struct Stored {
    pub(crate) refund: Refund,
    pub(crate) create_time: SystemTime,
}

impl Stored {
    fn from_row(row: &Row) -> Result<Self, Error> {
        let refund = Refund {
            id: RefundId(row.get("id")),
            order: OrderId(row.get("order_id")),
            tender: Method::named(row.get("tender"))?,
            amount: Money::krw(row.get("amount_minor")),
            state: RefundState::named(row.get("state"))?,
            payout: row.get("payout_id"),
            part: row.get::<_, Option<Uuid>>("part_id").map(PartId),
        };
        Ok(Self { refund, create_time: row.get("create_time") })
    }
}

/// Stores refunds that have been decided, each with what it gives back; has those to bank accounts paid
/// out.
pub(super) async fn insert(
    tx: &mut Tx,
    refunds: &[(Payment, GivenBack, Refund)],
) -> Result<(), Error> {
    fn column<'a, T>(
        refunds: &'a [(Payment, GivenBack, Refund)],
        of: impl Fn(&'a Refund) -> T,
    ) -> Vec<T> {
        refunds.iter().map(|(.., refund)| of(refund)).collect()
    }
    if refunds.is_empty() {
        return Ok(());
    }
    tx.execute(
        "insert into refund (id, order_id, tender, amount_minor, state, payout_id, part_id)
         select * from unnest($1::uuid[], $2::uuid[], $3::text[], $4::bigint[], $5::text[],
           $6::uuid[], $7::uuid[])",
        &[
            &column(refunds, |it| it.id.0),
            &column(refunds, |it| it.order.0),
            &column(refunds, |it| it.tender.name()),
            &column(refunds, |it| it.amount.minor()),
            &column(refunds, |it| it.state.name()),
            &column(refunds, |it| it.payout),
            &column(refunds, |it| it.part.map(|part| part.0)),
        ],
    )
    .await?;
    for (payment, given_back, refund) in refunds {
        let Tender::BankTransfer(account) = &given_back.to else { continue };
        let payout = Payout {
            id: PayoutId(refund.id.0),
            member: Some(payment.member),
            deposit: None,
            order: Some(payment.order),
            amount: given_back.amount,
            state: PayoutState::Requested,
            account: account.clone(),
            failure: String::new(),
        };
        payout::request(tx, payout).await?;
    }
    Ok(())
}

/// The acquirer has said what became of the refund of all that was left of a charge. Answers whether it
/// is done.
pub(crate) async fn refunded(
    tx: &mut Tx,
    order: OrderId,
    refunded: &Refunded,
) -> Result<bool, Error> {
    let state = state_of(refunded);
    let sql = "select id from refund where order_id = $1 and tender = 'CARD' and part_id is null
           and state <> 'REFUNDED'";
    for row in tx.query(sql, &[&order.0]).await? {
        set(tx, RefundId(row.get(0)), order, Method::Card, state).await?;
    }
    Ok(state == RefundState::Refunded)
}

/// The same of a part of a charge.
pub(crate) async fn part_refunded(
    tx: &mut Tx,
    refund: &Refund,
    refunded: &Refunded,
) -> Result<bool, Error> {
    let state = state_of(refunded);
    set(tx, refund.id, refund.order, Method::Card, state).await?;
    Ok(state == RefundState::Refunded)
}

fn state_of(refunded: &Refunded) -> RefundState {
    match refunded {
        Refunded::Done => RefundState::Refunded,
        Refunded::Refused(_) => RefundState::Failed,
    }
}

/// A refund to a card that is not done, if it is there.
pub(crate) async fn card(reader: &mut Reader, id: RefundId) -> Result<Option<Refund>, Error> {
    let sql =
        concat!(select_refunds!(), " where id = $1 and tender = 'CARD' and state <> 'REFUNDED'");
    let row = reader.query_opt(sql, &[&id.0]).await?;
    Ok(row.as_ref().map(Stored::from_row).transpose()?.map(|stored| stored.refund))
}

/// Says how far a refund has come, and where it goes; tells others when that is news.
pub(super) async fn set(
    tx: &mut Tx,
    id: RefundId,
    order: OrderId,
    tender: Method,
    state: RefundState,
) -> Result<(), Error> {
    // The payment before its refunds, as everybody locks them.
    let lock = "select id, member_id, version from payment where order_id = $1 for update";
    let payment = tx.query_one(lock, &[&order.0]).await?;
    let row = tx
        .query_opt(
            "update refund set state = $2, tender = $3 where id = $1 and (state, tender) <> ($2, $3)
             returning id, order_id, tender, amount_minor, state, payout_id, part_id, create_time",
            &[&id.0, &state.name(), &tender.name()],
        )
        .await?;
    let Some(row) = row else { return Ok(()) };
    let stored = Stored::from_row(&row)?;
    let version = payment.get::<_, i64>(2) + 1;
    tx.execute("update payment set version = $2 where order_id = $1", &[&order.0, &version])
        .await?;
    let event = wire::refund_event(payment.get(0), payment.get(1), &stored);
    eventlog::append(tx, &[Draft::of(event, payment.get(0), version, order.0)]).await
}

/// Reads the refunds of orders.
pub(crate) async fn of_orders(
    reader: &mut Reader,
    orders: &[Uuid],
) -> Result<BTreeMap<OrderId, Vec<Stored>>, Error> {
    let mut refunds: BTreeMap<_, Vec<_>> = BTreeMap::new();
    if orders.is_empty() {
        return Ok(refunds);
    }
    let sql = concat!(select_refunds!(), " where order_id = any($1) order by id");
    for row in &reader.query(sql, &[&orders]).await? {
        let stored = Stored::from_row(row)?;
        refunds.entry(stored.refund.order).or_default().push(stored);
    }
    Ok(refunds)
}

/// How many refunds wait for an operator; those beyond `most` are not counted.
pub(crate) async fn failed(reader: &mut Reader, most: i64) -> Result<i64, Error> {
    let sql =
        "select count(*) from (select from refund where state = 'FAILED' limit $1) as counted";
    Ok(reader.query_one(sql, &[&most]).await?.get(0))
}
