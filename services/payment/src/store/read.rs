//! Payments as they are read.

use base::{Error, error::not_found, id::Uuid, page::Page};
use pg::{Reader, Tx};

use super::{Stored, select_payments};
use crate::domain::{MemberId, OrderId, PaymentId};

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

/// Whose payment it is, and of which order: what [`update`] needs.
pub(crate) async fn find(reader: &mut Reader, id: PaymentId) -> Result<(OrderId, MemberId), Error> {
    let row = reader
        .query_opt(
            "select order_id, member_id from payment where id = $1 and state <> 'REFUSED'",
            &[&id.0],
        )
        .await?
        .ok_or_else(not_found)?;
    Ok((OrderId(row.get(0)), MemberId(row.get(1))))
}

/// Whose order it is; none when payment has not heard of it.
pub(crate) async fn member_of(
    reader: &mut Reader,
    order: OrderId,
) -> Result<Option<MemberId>, Error> {
    let row =
        reader.query_opt("select member_id from payment where order_id = $1", &[&order.0]).await?;
    Ok(row.map(|row| MemberId(row.get(0))))
}

/// The same in a transaction.
pub(crate) async fn member_in(tx: &mut Tx, order: OrderId) -> Result<Option<MemberId>, Error> {
    let row =
        tx.query_opt("select member_id from payment where order_id = $1", &[&order.0]).await?;
    Ok(row.map(|row| MemberId(row.get(0))))
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
    let (below, limit) = (page.below.unwrap_or(Uuid::max()), page.limit());
    let Filter { owner, order, state } = filter;
    // A statement for each filter, so that each has the index that gives its order.
    let rows = match (order, owner, state) {
        (Some(order), owner, state) => {
            let sql = concat!(
                select_payments!(),
                " where order_id = $1 and ($2::uuid is null or member_id = $2)
                    and ($3::text is null or state = $3) and state <> 'REFUSED' and id < $4
                  limit $5"
            );
            reader.query(sql, &[&order.0, owner, state, &below, &limit]).await?
        }
        (None, None, None) => {
            let sql = concat!(
                select_payments!(),
                " where id < $1 and state <> 'REFUSED' order by id desc limit $2"
            );
            reader.query(sql, &[&below, &limit]).await?
        }
        (None, Some(owner), None) => {
            let sql = concat!(
                select_payments!(),
                " where member_id = $1 and id < $2 and state <> 'REFUSED'
                  order by id desc limit $3"
            );
            reader.query(sql, &[owner, &below, &limit]).await?
        }
        (None, None, Some(state)) => {
            let sql = concat!(
                select_payments!(),
                " where state = $1 and id < $2 and state <> 'REFUSED' order by id desc limit $3"
            );
            reader.query(sql, &[state, &below, &limit]).await?
        }
        (None, Some(owner), Some(state)) => {
            // Among the member's, never among all of that state.
            let sql = concat!(
                select_payments!(),
                " where member_id = $1 and state || '' = $2 and id < $3 and state <> 'REFUSED'
                  order by id desc limit $4"
            );
            reader.query(sql, &[owner, state, &below, &limit]).await?
        }
    };
    rows.iter().map(Stored::from_row).collect()
}
