//! All the SQL of coupons.

pub(crate) mod coupon;
pub(crate) mod holder;
pub(crate) mod policy;
pub(crate) mod redemption;

use std::collections::BTreeSet;

use base::{Error, Money};
use pg::{Tx, clock};
use tokio_postgres::Row;

use self::coupon::Stored;
use crate::domain::{CouponId, MemberId, coupon::Outcome, terms::Discount};

pub(crate) use self::policy::StoredPolicy;

/// An amount, or a percentage and its maximum, of a coupon's row, or a policy's.
fn discount(row: &Row) -> Result<Discount, Error> {
    let amount = row.get::<_, Option<i64>>("amount_minor").map(Money::krw);
    let maximum = row.get::<_, Option<i64>>("maximum_minor").map(Money::krw);
    match (amount, row.get("percent")) {
        (Some(amount), None) => Ok(Discount::Amount(amount)),
        (None, Some(percent)) => Ok(Discount::Percent { percent, maximum }),
        _ => Err(Error::internal("neither an amount nor a percentage")),
    }
}

/// What became of issuing coupons.
pub(crate) struct Issued {
    /// In the order of the members.
    pub(crate) coupons: Vec<Stored>,
    /// Who has withdrawn.
    pub(crate) withdrawn: Vec<MemberId>,
}

/// Issues a coupon of a policy to each of these members, once to who is named twice. Who has withdrawn
/// gets none; an error names all that coupon has not heard of.
pub(crate) async fn issue(
    tx: &mut Tx,
    policy: &str,
    members: &[MemberId],
) -> Result<Issued, Error> {
    let policy = policy::read(tx, policy).await?.policy;
    let known = holder::lock_known(tx, members.iter().copied()).await?;
    let unknown = members.iter().enumerate().filter(|(_, member)| !known.contains_key(member));
    let unknown: Vec<_> = unknown
        .map(|(at, _)| base::error::Violation {
            field: format!("memberIds[{at}]"),
            description: "is of no member".to_owned(),
        })
        .collect();
    if !unknown.is_empty() {
        return Err(Error::violations(unknown));
    }
    let now = clock::now(tx).await?;
    let mut issued = Issued { coupons: Vec::new(), withdrawn: Vec::new() };
    let (mut drafts, mut seen) = (Vec::new(), BTreeSet::new());
    for member in members.iter().filter(|member| seen.insert(**member)) {
        if known.get(member).is_some_and(|state| state.withdrawn()) {
            issued.withdrawn.push(*member);
            continue;
        }
        let mut stored = Stored::issue(CouponId(base::id::new()), *member, &policy, now);
        drafts.push(stored.draft(Outcome::Issued));
        issued.coupons.push(stored);
    }
    coupon::insert(tx, &issued.coupons.iter().collect::<Vec<_>>()).await?;
    eventlog::append(tx, &drafts).await?;
    Ok(issued)
}
