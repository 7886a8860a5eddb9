//! All the SQL of what is taken back of orders.

use std::{collections::BTreeMap, iter::zip, time::SystemTime};

use base::{Error, error::not_found, id::Uuid, page::Page};
use pg::{Reader, Tx};
use tokio_postgres::Row;

use super::Stored;
use crate::domain::{
    MemberId, Order, OrderId, State,
    parts::{Kind, PartId, Parts, Pieces, Taken},
    pieces::Bears,
};

/// All that makes up a part.
macro_rules! select_parts {
    () => {
        "select id, order_id, member_id, kind, state, line_numbers, quantities, reason, actor_id,
           reject_reason, refund_account, coupon_shares, points_shares, wallet_shares, payable_shares,
           create_time
         from order_part"
    };
}

/// How far a part has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PartState {
    /// A return that the shop has to judge.
    Requested,
    /// Payment is being asked.
    UnderWay,
    Done,
    Rejected,
    /// The whole order was, first.
    Cancelled,
}

pg::names!(PartState, constraint order_part_state:
    Requested = "REQUESTED", UnderWay = "UNDER_WAY", Done = "DONE", Rejected = "REJECTED",
    Cancelled = "CANCELLED");

/// What is taken back at once.
#[derive(Clone, Debug)]
pub(crate) struct Part {
    pub(crate) id: PartId,
    pub(crate) order: OrderId,
    pub(crate) member: MemberId,
    pub(crate) kind: Kind,
    pub(crate) state: PartState,
    pub(crate) pieces: Vec<Pieces>,
    /// Why, as whoever asked for it says.
    pub(crate) reason: String,
    /// Who of the shop cancelled, accepted or rejected.
    pub(crate) actor: Option<Uuid>,
    pub(crate) reject_reason: String,
    /// Where the money of a bank transfer goes, encoded; none: to the wallet.
    pub(crate) refund_account: Option<Vec<u8>>,
    /// What the pieces bear, once it is done.
    pub(crate) bears: Vec<Bears>,
    pub(crate) create_time: SystemTime,
}

impl Part {
    fn from_row(row: &Row) -> Result<Self, Error> {
        let lines: Vec<i32> = row.get("line_numbers");
        let quantities: Vec<i32> = row.get("quantities");
        let pieces = zip(lines, quantities).map(|(line, quantity)| {
            let line = usize::try_from(line).map_err(|_| Error::internal("a negative line"))?;
            Ok(Pieces { line, quantity })
        });
        Ok(Self {
            id: PartId(row.get("id")),
            order: OrderId(row.get("order_id")),
            member: MemberId(row.get("member_id")),
            kind: Kind::named(row.get("kind"))?,
            state: PartState::named(row.get("state"))?,
            pieces: pieces.collect::<Result<_, Error>>()?,
            reason: row.get("reason"),
            actor: row.get("actor_id"),
            reject_reason: row.get("reject_reason"),
            refund_account: row.get("refund_account"),
            bears: bears(row),
            create_time: row.get("create_time"),
        })
    }
}

fn bears(row: &Row) -> Vec<Bears> {
    let column = |name| row.get::<_, Vec<i64>>(name);
    let discounts = zip(column("coupon_shares"), column("points_shares"));
    let paid = zip(column("wallet_shares"), column("payable_shares"));
    zip(discounts, paid)
        .map(|((coupon, points), (wallet, payable))| Bears { coupon, points, wallet, payable })
        .collect()
}

/// What an order's row says of what has been taken back of it.
pub(super) fn of_order(row: &Row) -> Parts {
    let column = |name| row.get::<_, Option<Vec<i32>>>(name).unwrap_or_default();
    let gone = zip(column("cancelled_quantities"), column("returned_quantities"));
    let taken = zip(gone, column("open_quantities"));
    Parts {
        taken: taken
            .map(|((cancelled, returned), open)| Taken { cancelled, returned, open })
            .collect(),
        under_way: row.get::<_, Option<Uuid>>("part_id").map(PartId),
        attempts: row.get("part_attempts"),
        arrived: row.get("arrived_at"),
    }
}

pub(super) async fn save_taken(tx: &mut Tx, order: &Order) -> Result<(), Error> {
    let Parts { taken, under_way, attempts, .. } = &order.parts;
    let column = |of: fn(&Taken) -> i32| {
        (!taken.is_empty()).then(|| taken.iter().map(of).collect::<Vec<_>>())
    };
    tx.execute(
        "update orders set cancelled_quantities = $2, returned_quantities = $3, open_quantities = $4,
           part_id = $5, part_attempts = $6
         where id = $1",
        &[
            &order.id.0,
            &column(|taken| taken.cancelled),
            &column(|taken| taken.returned),
            &column(|taken| taken.open),
            &under_way.map(|part| part.0),
            attempts,
        ],
    )
    .await?;
    Ok(())
}

/// Returns of orders that have been cancelled as a whole are not judged any more.
pub(super) async fn void(tx: &mut Tx, orders: &[&Stored]) -> Result<(), Error> {
    let cancelled = orders.iter().filter(|stored| {
        matches!(stored.order.state(), State::Cancelled(_)) && stored.order.parts.is_open()
    });
    let cancelled: Vec<Uuid> = cancelled.map(|stored| stored.order.id.0).collect();
    if cancelled.is_empty() {
        return Ok(());
    }
    tx.execute(
        "update order_part set state = 'CANCELLED'
         where order_id = any($1) and state = 'REQUESTED'",
        &[&cancelled],
    )
    .await?;
    Ok(())
}

/// Stores a new part; answers when that was.
pub(crate) async fn insert(tx: &mut Tx, part: &Part) -> Result<SystemTime, Error> {
    let lines = part.pieces.iter().map(|pieces| i32::try_from(pieces.line));
    let lines: Vec<i32> =
        lines.collect::<Result<_, _>>().map_err(|_| Error::internal("too many lines"))?;
    let quantities: Vec<i32> = part.pieces.iter().map(|pieces| pieces.quantity).collect();
    let row = tx
        .query_one(
            "insert into order_part (id, order_id, member_id, kind, state, line_numbers, quantities, reason,
               actor_id, refund_account)
             values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) returning create_time",
            &[
                &part.id.0,
                &part.order.0,
                &part.member.0,
                &part.kind.name(),
                &part.state.name(),
                &lines,
                &quantities,
                &part.reason,
                &part.actor,
                &part.refund_account,
            ],
        )
        .await?;
    Ok(row.get(0))
}

/// Saves how far a part has come, and who of the shop says so.
pub(crate) async fn save(tx: &mut Tx, part: &Part) -> Result<(), Error> {
    let column = |of: fn(&Bears) -> i64| part.bears.iter().map(of).collect::<Vec<_>>();
    tx.execute(
        "update order_part set state = $2, actor_id = $3, reject_reason = $4, refund_account = $5,
           coupon_shares = $6, points_shares = $7, wallet_shares = $8, payable_shares = $9
         where id = $1",
        &[
            &part.id.0,
            &part.state.name(),
            &part.actor,
            &part.reject_reason,
            &part.refund_account,
            &column(|bears| bears.coupon),
            &column(|bears| bears.points),
            &column(|bears| bears.wallet),
            &column(|bears| bears.payable),
        ],
    )
    .await?;
    Ok(())
}

/// Removes a cancellation that came to nothing.
pub(crate) async fn remove(tx: &mut Tx, part: PartId) -> Result<(), Error> {
    tx.execute("delete from order_part where id = $1", &[&part.0]).await?;
    Ok(())
}

/// Reads a part of an order that is locked.
pub(crate) async fn get(tx: &mut Tx, part: PartId) -> Result<Part, Error> {
    let row = tx.query_opt(concat!(select_parts!(), " where id = $1"), &[&part.0]).await?;
    Part::from_row(&row.ok_or_else(not_found)?)
}

/// The order that a return is of.
pub(crate) async fn order_of(reader: &mut Reader, part: PartId) -> Result<OrderId, Error> {
    let sql = "select order_id from order_part where id = $1 and kind = 'RETURN'";
    let row = reader.query_opt(sql, &[&part.0]).await?;
    Ok(OrderId(row.ok_or_else(not_found)?.get(0)))
}

/// The returns of an order, the oldest first.
pub(crate) async fn of(reader: &mut Reader, order: OrderId) -> Result<Vec<Part>, Error> {
    let sql =
        concat!(select_parts!(), " where order_id = $1 and kind = 'RETURN' order by id limit $2");
    let rows = reader.query(sql, &[&order.0, &MOST_RETURNS]).await?;
    rows.iter().map(Part::from_row).collect()
}

/// How many returns of an order are shown.
const MOST_RETURNS: i64 = 200;

/// Reads a page of everyone's returns, the newest first, each with the products of its order's lines.
pub(crate) async fn list(
    reader: &mut Reader,
    state: Option<PartState>,
    page: Page,
) -> Result<Vec<(Part, Vec<Uuid>)>, Error> {
    let (below, limit) = (page.below.unwrap_or(Uuid::max()), page.limit());
    // A statement for each filter, so that each has the index that gives its order.
    let rows = if let Some(state) = state {
        let sql = concat!(
            select_parts!(),
            " where kind = 'RETURN' and state = $1 and id < $2 order by id desc limit $3"
        );
        reader.query(sql, &[&state.name(), &below, &limit]).await?
    } else {
        let sql = concat!(
            select_parts!(),
            " where kind = 'RETURN' and id < $1 order by id desc limit $2"
        );
        reader.query(sql, &[&below, &limit]).await?
    };
    let parts: Vec<Part> = rows.iter().map(Part::from_row).collect::<Result<_, _>>()?;
    let orders: Vec<Uuid> = parts.iter().map(|part| part.order.0).collect();
    let sql = "select id, product_ids from orders where id = any($1)";
    let products = reader.query(sql, &[&orders]).await?;
    let products: BTreeMap<Uuid, Vec<Uuid>> =
        products.iter().map(|row| (row.get(0), row.get(1))).collect();
    let with = |part: Part| {
        let products = products.get(&part.order.0).cloned().unwrap_or_default();
        (part, products)
    };
    Ok(parts.into_iter().map(with).collect())
}
