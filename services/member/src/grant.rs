//! Granting a role from outside: to the first admin of a deployment, whom no admin can grant it.

use base::{Error, error::not_found};
use identity::auth::Role;
use pg::Database;

use crate::{
    domain::Email,
    store::{self, Member},
};

/// Grants a role to whoever has this address, and tells others, naming no admin who did it. Answers
/// false when they had it already; `NOT_FOUND` when nobody has the address.
pub async fn grant(database: &Database, email: &str, role: Role) -> Result<bool, Error> {
    let email = Email::parse(email)?;
    let found = store::by_email(&mut database.read().await?, &email).await?;
    let Member { id, .. } = found.ok_or_else(not_found)?;
    let mut tx = database.begin().await?;
    let granted = store::set_role(&mut tx, id, (role, true), None).await?;
    tx.commit().await?;
    Ok(granted.1)
}
