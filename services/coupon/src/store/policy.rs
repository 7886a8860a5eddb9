//! The SQL of policies.

use std::time::SystemTime;

use base::{Error, Money, error::not_found, id::Uuid, page::Page};
use pg::{Reader, Tx};
use tokio_postgres::Row;

use super::{coupon::columns, discount};
use crate::domain::{
    PolicyId,
    terms::{Policy, Terms},
};

/// The policy of the coupons for signing up.
pub(crate) const WELCOME: &str = "welcome";

/// All that makes up a policy.
macro_rules! select_policies {
    () => {
        "select id, name, display_name, amount_minor, percent, maximum_minor, minimum_minor,
           valid_days, version, create_time
         from policy"
    };
}

/// A policy as it is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct StoredPolicy {
    pub(crate) id: PolicyId,
    /// Its id as others know it.
    pub(crate) name: String,
    pub(crate) policy: Policy,
    pub(crate) create_time: SystemTime,
    version: i64,
}

impl StoredPolicy {
    fn from_row(row: &Row) -> Result<Self, Error> {
        let terms = Terms {
            display_name: row.get("display_name"),
            discount: discount(row)?,
            minimum: Money::krw(row.get("minimum_minor")),
        };
        Ok(Self {
            id: PolicyId(row.get("id")),
            name: row.get("name"),
            policy: Policy { terms, valid_days: row.get("valid_days") },
            create_time: row.get("create_time"),
            version: row.get("version"),
        })
    }

    /// Changes with every change.
    pub(crate) fn etag(&self) -> String {
        self.version.to_string()
    }
}

/// Stores a new policy.
pub(crate) async fn create(
    tx: &mut Tx,
    id: PolicyId,
    policy: &Policy,
) -> Result<StoredPolicy, Error> {
    let (amount, percent, maximum) = columns(policy.terms.discount);
    let row = tx
        .query_one(
            "insert into policy (id, name, display_name, amount_minor, percent, maximum_minor,
               minimum_minor, valid_days)
             values ($1, $2, $3, $4, $5, $6, $7, $8)
             returning id, name, display_name, amount_minor, percent, maximum_minor, minimum_minor,
               valid_days, version, create_time",
            &[
                &id.0,
                &id.to_string(),
                &policy.terms.display_name,
                &amount,
                &percent,
                &maximum,
                &policy.terms.minimum.minor(),
                &policy.valid_days,
            ],
        )
        .await?;
    StoredPolicy::from_row(&row)
}

/// Reads a policy.
pub(crate) async fn get(reader: &mut Reader, name: &str) -> Result<StoredPolicy, Error> {
    let sql = concat!(select_policies!(), " where name = $1");
    StoredPolicy::from_row(&reader.query_opt(sql, &[&name]).await?.ok_or_else(not_found)?)
}

/// Reads a policy in a transaction that issues coupons of it.
pub(crate) async fn read(tx: &mut Tx, name: &str) -> Result<StoredPolicy, Error> {
    let sql = concat!(select_policies!(), " where name = $1");
    StoredPolicy::from_row(&tx.query_opt(sql, &[&name]).await?.ok_or_else(not_found)?)
}

/// Reads a policy and keeps it from changing until the transaction ends.
pub(crate) async fn lock(tx: &mut Tx, name: &str) -> Result<StoredPolicy, Error> {
    let sql = concat!(select_policies!(), " where name = $1 for update");
    StoredPolicy::from_row(&tx.query_opt(sql, &[&name]).await?.ok_or_else(not_found)?)
}

/// Saves a policy.
pub(crate) async fn update(tx: &mut Tx, stored: &mut StoredPolicy) -> Result<(), Error> {
    stored.version += 1;
    let terms = &stored.policy.terms;
    let (amount, percent, maximum) = columns(terms.discount);
    tx.execute(
        "update policy set display_name = $2, amount_minor = $3, percent = $4, maximum_minor = $5,
           minimum_minor = $6, valid_days = $7, version = $8
         where id = $1",
        &[
            &stored.id.0,
            &terms.display_name,
            &amount,
            &percent,
            &maximum,
            &terms.minimum.minor(),
            &stored.policy.valid_days,
            &stored.version,
        ],
    )
    .await?;
    Ok(())
}

/// Reads a page of policies, newest first.
pub(crate) async fn list(reader: &mut Reader, page: Page) -> Result<Vec<StoredPolicy>, Error> {
    let sql = concat!(select_policies!(), " where id < $1 order by id desc limit $2");
    let rows = reader.query(sql, &[&page.below.unwrap_or(Uuid::max()), &page.limit()]).await?;
    rows.iter().map(StoredPolicy::from_row).collect()
}
