//! Members and what they hold: nobody who has withdrawn keeps a coupon, and My Page
//! shows each member's flags, coupons and points as they are.

use std::collections::BTreeSet;

use anyhow::Result;
use uuid::Uuid;

use super::{Finding, sources::Sources};

const WITHDRAWN: &str = "select id from member where state = 'WITHDRAWN'";
const ISSUED: &str = "select member_id, id from coupon where state = 'ISSUED' order by id";

/// The same words from both sides. Tombstones are not shown.
const SAID: &[(&str, &str)] = &[
    (
        "member",
        "select 'member ' || id || case state when 'WITHDRAWN' then ' WITHDRAWN' else '' end from member",
    ),
    (
        "notification",
        "select 'member ' || subject_id || ' told to the admin' from notification
         where audience = 'ADMIN'",
    ),
    (
        "coupon",
        "select 'coupon ' || id || ' of ' || member_id || ' ' || state from coupon
         where state in ('ISSUED', 'CANCELLED')",
    ),
    (
        "mileage",
        "select 'points ' || id || ' of ' || member_id || ': ' || points || ' for payment '
           || payment_id || ' of order ' || order_id || ' ' || state from mileage_entry
         where state in ('EARNED', 'CANCELLED')",
    ),
];

const SHOWN: &str = "
    select 'member ' || member_id || case when withdrawn then ' WITHDRAWN' else '' end
    from member_view where registered
    union all
    select 'member ' || member_id || ' told to the admin' from member_view where admin_notified
    union all
    select 'coupon ' || coupon_id || ' of ' || member_id
      || case when cancelled then ' CANCELLED' else ' ISSUED' end from coupon_view
    union all
    select 'points ' || entry_id || ' of ' || member_id || ': ' || points || ' for payment '
      || payment_id || ' of order ' || order_id
      || case when cancelled then ' CANCELLED' else ' EARNED' end from mileage_view";

pub(super) async fn check(sources: &Sources) -> Result<Vec<Finding>> {
    let withdrawn = sources.rows("member", WITHDRAWN).await?;
    let withdrawn: BTreeSet<Uuid> = withdrawn.iter().map(|row| row.get(0)).collect();
    let issued = sources.rows("coupon", ISSUED).await?;
    let kept = issued.iter().filter(|row| withdrawn.contains(&row.get(0))).map(|row| {
        let (member, coupon): (Uuid, Uuid) = (row.get(0), row.get(1));
        format!("member {member} has the coupon {coupon}")
    });
    Ok(vec![
        Finding {
            invariant: "no member who is WITHDRAWN has a coupon that is ISSUED",
            offences: kept.collect(),
        },
        Finding {
            invariant: "My Page shows each member, their coupons and points as they are",
            offences: differences(sources).await?,
        },
    ])
}

async fn differences(sources: &Sources) -> Result<Vec<String>> {
    let mut said = BTreeSet::new();
    for (service, sql) in SAID {
        said.extend(sources.rows(service, sql).await?.iter().map(|row| row.get::<_, String>(0)));
    }
    let shown = sources.rows("mypage", SHOWN).await?;
    let shown: BTreeSet<String> = shown.iter().map(|row| row.get(0)).collect();
    let missing = said.difference(&shown).map(|line| format!("not shown: {line}"));
    let false_ones = shown.difference(&said).map(|line| format!("shown, but not so: {line}"));
    Ok(missing.chain(false_ones).collect())
}
