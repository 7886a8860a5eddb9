//! The first members of a new shop: someone to run it, someone to sell.

use base::Error;
use identity::auth::Role;
use pg::Database;

use crate::{
    domain::{DisplayName, Email, MemberId},
    password::{Password, Passwords},
    store::{self, Newcomer},
};

/// Makes sure that there is a member with this address and these roles. One that is there
/// already stays as it is, password included.
pub async fn seed(
    database: &Database,
    email: &str,
    password: &str,
    display_name: &str,
    roles: Vec<Role>,
) -> Result<(), Error> {
    let email = Email::parse(email)?;
    let display_name = DisplayName::parse(display_name)?;
    if store::by_email(&mut database.read().await?, &email).await?.is_some() {
        return Ok(());
    }
    let password = Password::parse(password.to_owned())?;
    let password_hash = Passwords::new()?.hash(password).await?;
    let id = MemberId(base::id::new());
    let mut tx = database.begin().await?;
    store::register(&mut tx, &Newcomer { id, email, display_name, password_hash, roles }).await?;
    tx.commit().await
}
