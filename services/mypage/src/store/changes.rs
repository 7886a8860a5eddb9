//! The SQL of what changed of a member, in the order in which it was committed.
//!
//! Whoever changes something of a member first takes the member's advisory lock, which
//! is held until the commit, then a number from a sequence. So a member's numbers are
//! given in the order of the commits: who sees one sees all before it, and a cursor
//! misses nothing. No row is rewritten for that.

use std::collections::{BTreeMap, BTreeSet};

use base::{Error, id::Uuid};
use pg::{Reader, Tx};

use super::{OrderView, select_views};
use crate::domain::{MemberId, OrderId};

/// Where a watch stands: everything of the change up to this order has been seen. The page is
/// before all orders of its change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Cursor {
    pub(crate) change: i64,
    pub(crate) order: OrderId,
}

impl Cursor {
    /// Before everything.
    pub(crate) const START: Self = Self { change: -1, order: OrderId(Uuid::nil()) };

    /// At the page as this change made it.
    pub(crate) const fn page(change: i64) -> Self {
        Self { change, order: OrderId(Uuid::nil()) }
    }
}

/// How far a member has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Head {
    /// The last change.
    pub(crate) change: i64,
    /// The last that the page itself shows.
    pub(crate) page: i64,
}

/// Numbers one change of each of these members; `pages` are those whose page shows it. Answers the
/// numbers. Goes before any other statement about them: see the module doc.
pub(crate) async fn count(
    tx: &mut Tx,
    members: impl IntoIterator<Item = MemberId>,
    pages: &BTreeSet<MemberId>,
) -> Result<BTreeMap<MemberId, i64>, Error> {
    let members: BTreeSet<Uuid> = members.into_iter().map(|member| member.0).collect();
    let members: Vec<Uuid> = members.into_iter().collect();
    // Locked in one order by all, so that two who count the same members wait for each other; each
    // number is taken after its member's lock.
    let rows = tx
        .query(
            "select member, pg_advisory_xact_lock(lock), nextval('change_number') as change
             from (select member, hashtextextended(member::text, 0) as lock
                   from unnest($1::uuid[]) as m (member) order by lock offset 0) ordered",
            &[&members],
        )
        .await?;
    let changes: BTreeMap<MemberId, i64> =
        rows.iter().map(|row| (MemberId(row.get("member")), row.get("change"))).collect();
    let shown = changes.iter().filter(|(member, _)| pages.contains(member));
    let (shown, numbers): (Vec<Uuid>, Vec<i64>) =
        shown.map(|(member, change)| (member.0, *change)).unzip();
    if !shown.is_empty() {
        tx.execute(
            "insert into member_view (member_id, page_change)
             select * from unnest($1::uuid[], $2::bigint[])
             on conflict (member_id) do update set page_change = excluded.page_change",
            &[&shown, &numbers],
        )
        .await?;
    }
    Ok(changes)
}

/// Numbers one change of the page of each of these members; as [`count`].
pub(crate) async fn count_pages(
    tx: &mut Tx,
    members: impl IntoIterator<Item = MemberId>,
) -> Result<(), Error> {
    let pages: BTreeSet<MemberId> = members.into_iter().collect();
    count(tx, pages.iter().copied(), &pages).await.map(|_| ())
}

/// How far these members have come; who has never been heard of is left out.
pub(crate) async fn heads(
    reader: &mut Reader,
    members: &[MemberId],
) -> Result<Vec<(MemberId, Head)>, Error> {
    let members: Vec<Uuid> = members.iter().map(|member| member.0).collect();
    let rows = reader
        .query(
            "select member_id, greatest(coalesce(o.change, 0), m.page_change) as change,
               m.page_change
             from member_view m left join lateral (
               select change from order_view o
               where o.member_id = m.member_id and o.state is not null
               order by change desc limit 1) o on true
             where m.member_id = any($1)",
            &[&members],
        )
        .await?;
    let head = |row: &tokio_postgres::Row| Head {
        change: row.get("change"),
        page: row.get("page_change"),
    };
    Ok(rows.iter().map(|row| (MemberId(row.get("member_id")), head(row))).collect())
}

/// Reads the next of a member's orders that changed after the cursor, up to a change that was
/// there before: what changes meanwhile comes with its new number.
pub(crate) async fn orders(
    reader: &mut Reader,
    member: MemberId,
    after: Cursor,
    up_to: i64,
    limit: i64,
) -> Result<Vec<(Cursor, OrderView)>, Error> {
    let rows = reader
        .query(
            concat!(
                select_views!(
                    "(select * from order_view
                      where member_id = $1 and state is not null and (change, order_id) > ($2, $3)
                        and change <= $4
                      order by change, order_id limit $5)"
                ),
                " order by o.change, o.order_id"
            ),
            &[&member.0, &after.change, &after.order.0, &up_to, &limit],
        )
        .await?;
    let cursor = |row: &tokio_postgres::Row| Cursor {
        change: row.get("change"),
        order: OrderId(row.get("order_id")),
    };
    Ok(rows.iter().map(|row| (cursor(row), OrderView::from_row(row))).collect())
}
