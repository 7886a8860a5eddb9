//! Money that goes back: of payments, and of cards that were charged for nothing.

use std::{collections::BTreeMap, time::SystemTime};

use base::{Error, Money, error::not_found, id::Uuid, page::Page};
use eventlog::Draft;
use pg::{Reader, Tx};
use tokio_postgres::Row;

use super::payout;
use crate::{
    domain::{
        MemberId, Method, OrderId,
        part::PartId,
        payout::{Payout, PayoutId, PayoutState},
        refund::{GivenBack, Of, Refund, RefundId, RefundState, Tender},
        wallet::{Note, TopUpId},
    },
    wire,
};

/// All that makes up a refund.
macro_rules! select_refunds {
    () => {
        "select id, order_id, top_up_id, void, member_id, tender, amount_minor, state, payout_id,
           part_id, failure, settle_reason, settled_by, version, create_time,
           (select id from payment where payment.order_id = refund.order_id) as payment_id
         from refund"
    };
}
pub(super) use select_refunds;

/// A refund as it is stored.
#[derive(Clone, Debug)]
pub(crate) struct Stored {
    pub(crate) refund: Refund,
    /// Of one of a payment, or of a charge for an order.
    pub(crate) payment: Option<Uuid>,
    /// Why the acquirer refuses it.
    pub(crate) failure: String,
    /// Who settled it by hand, and why.
    pub(crate) settled: Option<Note>,
    pub(super) version: i64,
    pub(crate) create_time: SystemTime,
}

impl Stored {
    pub(super) fn from_row(row: &Row) -> Result<Self, Error> {
        let order = row.get::<_, Option<Uuid>>("order_id").map(OrderId);
        let top_up = row.get::<_, Option<Uuid>>("top_up_id").map(TopUpId);
        let of = match (order, top_up) {
            (Some(order), _) if row.get("void") => Of::Charge(order),
            (Some(order), _) => Of::Payment(order),
            (None, Some(top_up)) => Of::TopUp(top_up),
            (None, None) => return Err(Error::internal("a refund of nothing")),
        };
        let refund = Refund {
            id: RefundId(row.get("id")),
            of,
            member: MemberId(row.get("member_id")),
            tender: Method::named(row.get("tender"))?,
            amount: Money::krw(row.get("amount_minor")),
            state: RefundState::named(row.get("state"))?,
            payout: row.get("payout_id"),
            part: row.get::<_, Option<Uuid>>("part_id").map(PartId),
        };
        let reason: String = row.get("settle_reason");
        let settled_by: Option<Uuid> = row.get("settled_by");
        Ok(Self {
            refund,
            payment: row.get("payment_id"),
            failure: row.get("failure"),
            settled: settled_by.map(|actor| Note { reason, actor }),
            version: row.get("version"),
            create_time: row.get("create_time"),
        })
    }

    /// Saves how far it has come.
    pub(super) async fn save(&mut self, tx: &mut Tx) -> Result<(), Error> {
        self.version += 1;
        let (reason, actor) =
            self.settled.as_ref().map_or(("", None), |note| (&*note.reason, Some(note.actor)));
        tx.execute(
            "update refund set state = $2, tender = $3, failure = $4, settle_reason = $5,
               settled_by = $6, version = $7
             where id = $1",
            &[
                &self.refund.id.0,
                &self.refund.state.name(),
                &self.refund.tender.name(),
                &self.failure,
                &reason,
                &actor,
                &self.version,
            ],
        )
        .await?;
        Ok(())
    }

    /// What is shown of its payment, which is locked, has changed.
    pub(super) async fn touch(&self, tx: &mut Tx) -> Result<Option<i64>, Error> {
        let sql = "update payment set version = version + 1 where id = $1 returning version";
        let Some(payment) = self.payment else { return Ok(None) };
        Ok(tx.query_opt(sql, &[&payment]).await?.map(|row| row.get(0)))
    }

    /// The same, and others are told if they have heard of the payment.
    pub(super) async fn tell(&self, tx: &mut Tx) -> Result<(), Error> {
        let version = self.touch(tx).await?;
        let (Of::Payment(order), Some(payment)) = (self.refund.of, self.payment) else {
            return Ok(());
        };
        let version = version.ok_or_else(|| Error::internal("a refund of no payment"))?;
        let event = wire::refund::event(payment, order, self);
        eventlog::append(tx, &[Draft::of(event, payment, version, order.0)]).await
    }
}

/// Stores refunds that have been decided, each with what it gives back; has those to bank accounts paid
/// out.
pub(super) async fn insert(tx: &mut Tx, refunds: &[(GivenBack, Refund)]) -> Result<(), Error> {
    fn column<'a, T>(refunds: &'a [(GivenBack, Refund)], of: impl Fn(&'a Refund) -> T) -> Vec<T> {
        refunds.iter().map(|(_, refund)| of(refund)).collect()
    }
    if refunds.is_empty() {
        return Ok(());
    }
    tx.execute(
        "insert into refund (id, order_id, top_up_id, void, member_id, tender, amount_minor, state,
           payout_id, part_id)
         select * from unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::bool[], $5::uuid[],
           $6::text[], $7::bigint[], $8::text[], $9::uuid[], $10::uuid[])",
        &[
            &column(refunds, |it| it.id.0),
            &column(refunds, |it| it.of.order().map(|order| order.0)),
            &column(refunds, |it| match it.of {
                Of::TopUp(top_up) => Some(top_up.0),
                Of::Payment(_) | Of::Charge(_) => None,
            }),
            &column(refunds, |it| matches!(it.of, Of::Charge(_))),
            &column(refunds, |it| it.member.0),
            &column(refunds, |it| it.tender.name()),
            &column(refunds, |it| it.amount.minor()),
            &column(refunds, |it| it.state.name()),
            &column(refunds, |it| it.payout),
            &column(refunds, |it| it.part.map(|part| part.0)),
        ],
    )
    .await?;
    for (given_back, refund) in refunds {
        let Tender::BankTransfer(account) = &given_back.to else { continue };
        let payout = Payout {
            id: PayoutId(refund.id.0),
            member: Some(refund.member),
            deposit: None,
            order: refund.of.order(),
            amount: given_back.amount,
            state: PayoutState::Requested,
            account: account.clone(),
            failure: String::new(),
        };
        payout::request(tx, payout).await?;
    }
    Ok(())
}

/// Locks a refund, and before it the payment that it is of, as everybody locks them.
pub(super) async fn lock(tx: &mut Tx, id: RefundId) -> Result<Option<Stored>, Error> {
    let of = "select order_id from refund where id = $1";
    let Some(row) = tx.query_opt(of, &[&id.0]).await? else { return Ok(None) };
    if let Some(order) = row.get::<_, Option<Uuid>>(0) {
        lock_payment(tx, OrderId(order)).await?;
    }
    let sql = concat!(select_refunds!(), " where id = $1 for update");
    tx.query_opt(sql, &[&id.0]).await?.as_ref().map(Stored::from_row).transpose()
}

pub(super) async fn lock_payment(tx: &mut Tx, order: OrderId) -> Result<(), Error> {
    tx.query_opt("select from payment where order_id = $1 for update", &[&order.0]).await?;
    Ok(())
}

/// Says how far a refund has come, and where it goes; tells others when that is news.
pub(super) async fn set(
    tx: &mut Tx,
    id: RefundId,
    tender: Method,
    state: RefundState,
) -> Result<(), Error> {
    let Some(mut stored) = lock(tx, id).await? else { return Ok(()) };
    if (stored.refund.state, stored.refund.tender) == (state, tender) {
        return Ok(());
    }
    (stored.refund.state, stored.refund.tender) = (state, tender);
    stored.save(tx).await?;
    stored.tell(tx).await
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
        if let Some(order) = stored.refund.of.order() {
            refunds.entry(order).or_default().push(stored);
        }
    }
    Ok(refunds)
}

/// Reads one refund.
pub(crate) async fn get(reader: &mut Reader, id: RefundId) -> Result<Stored, Error> {
    let sql = concat!(select_refunds!(), " where id = $1");
    Stored::from_row(&reader.query_opt(sql, &[&id.0]).await?.ok_or_else(not_found)?)
}

/// Reads a page of refunds, newest first: to a member, in a state, or all.
pub(crate) async fn list(
    reader: &mut Reader,
    member: Option<MemberId>,
    state: Option<&'static str>,
    page: Page,
) -> Result<Vec<Stored>, Error> {
    let (below, limit) = (page.below.unwrap_or(Uuid::max()), page.limit());
    // A statement for each filter, so that each has the index that gives its order.
    let rows = match (member, state) {
        (Some(member), state) => {
            let sql = concat!(
                select_refunds!(),
                " where member_id = $1 and ($2::text is null or state || '' = $2) and id < $3
                  order by id desc limit $4"
            );
            reader.query(sql, &[&member.0, &state, &below, &limit]).await?
        }
        (None, Some(state)) => {
            let sql = concat!(
                select_refunds!(),
                " where state = $1 and id < $2 order by id desc limit $3"
            );
            reader.query(sql, &[&state, &below, &limit]).await?
        }
        (None, None) => {
            let sql = concat!(select_refunds!(), " where id < $1 order by id desc limit $2");
            reader.query(sql, &[&below, &limit]).await?
        }
    };
    rows.iter().map(Stored::from_row).collect()
}

/// How many refunds wait for an operator; those beyond `most` are not counted.
pub(crate) async fn failed(reader: &mut Reader, most: i64) -> Result<i64, Error> {
    let sql =
        "select count(*) from (select from refund where state = 'FAILED' limit $1) as counted";
    Ok(reader.query_one(sql, &[&most]).await?.get(0))
}
