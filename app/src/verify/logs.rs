//! What each service's log tells of what it has: every event is there, without a gap.
//! Each is one statement in one database, so what it finds is so at that moment. Of
//! orders and payments the logs are read with them.

use anyhow::Result;

use super::{findings::Suspicions, orders, scope::Scope, sources::Sources};

/// Wherever a version is an event, there are as many events as the version says.
const GAPS: &[(&str, &str)] = &[
    (
        "delivery",
        "select 'delivery ' || d.id || ' is ' || d.state || ' at version ' || d.version
           || ', its log has ' || count(e.id) || ' events'
         from delivery d left join event e on e.aggregate_id = d.id
         where d.state not in ('NEW', 'REFUSED') and ($1::uuid[] is null or d.order_id = any($1))
         group by d.order_id, d.id, d.state, d.version
         having count(e.id) <> d.version or coalesce(max(e.aggregate_version), 0) <> d.version",
    ),
    (
        "mileage",
        "select 'entry ' || m.id || ' is ' || m.state || ' at version ' || m.version
           || ', its log has ' || count(e.id) || ' events'
         from mileage_entry m left join event e on e.aggregate_id = m.id
         where m.state not in ('NEW', 'REFUSED')
           and ($1::uuid[] is null or m.payment_id = any($1))
         group by m.payment_id, m.id, m.state, m.version
         having count(e.id) <> m.version or coalesce(max(e.aggregate_version), 0) <> m.version",
    ),
    (
        "coupon",
        "select 'coupon ' || c.id || ' is ' || c.state || ' at version ' || c.version
           || ', its log has ' || count(e.id) || ' events'
         from member_coupon c left join event e on e.aggregate_id = c.id
         where $1::uuid[] is null or c.member_id = any($1)
         group by c.id
         having count(e.id) <> c.version or coalesce(max(e.aggregate_version), 0) <> c.version",
    ),
    (
        "product",
        "select 'allocation of order ' || a.order_id || ' is ' || a.state || ' at version '
           || a.version || ', its log has ' || count(e.id) || ' events'
         from allocation a left join event e on e.aggregate_id = a.order_id
         where a.state not in ('NEW', 'REFUSED') and ($1::uuid[] is null or a.order_id = any($1))
         group by a.order_id
         having count(e.id) <> a.version or coalesce(max(e.aggregate_version), 0) <> a.version",
    ),
    (
        "product",
        "select 'product ' || p.id || ' is at version ' || p.version || ', its log has '
           || count(e.id) || ' events'
         from product p left join event e on e.aggregate_id = p.id
         where $1::uuid[] is null or p.id = any($1)
         group by p.id
         having count(e.id) <> p.version or coalesce(max(e.aggregate_version), 0) <> p.version",
    ),
    (
        "payment",
        "select 'wallet of member ' || w.member_id || ' is at version ' || w.version
           || ', its log has ' || count(e.id) || ' events'
         from wallet w left join event e on e.aggregate_id = w.member_id
         where $1::uuid[] is null or w.member_id = any($1)
         group by w.member_id
         having count(e.id) <> w.version or coalesce(max(e.aggregate_version), 0) <> w.version",
    ),
    (
        "notification",
        "select 'notification ' || n.id || ' is not in the log'
         from notification n left join event e on e.aggregate_id = n.id
         where ($1::uuid[] is null or n.subject_id = any($1)) and e.id is null",
    ),
    (
        "member",
        "select 'member ' || m.id || ' is ' || m.state || ', the log has '
           || coalesce(string_agg(e.type, ', ' order by e.aggregate_version), 'nothing')
         from member m left join event e on e.aggregate_id = m.id
           and e.type in ('MemberRegistered', 'MemberWithdrawn')
         where $1::uuid[] is null or m.id = any($1)
         group by m.id
         having coalesce(string_agg(e.type, ',' order by e.aggregate_version), '')
           <> case m.state when 'WITHDRAWN' then 'MemberRegistered,MemberWithdrawn'
             else 'MemberRegistered' end",
    ),
];

pub(super) async fn check(sources: &Sources, scope: &Scope, found: &mut Suspicions) -> Result<()> {
    for (service, sql) in GAPS {
        for row in sources.rows(service, sql, &[&scope.ids()]).await? {
            found.certain(orders::TOLD, row.get(0));
        }
    }
    Ok(())
}
