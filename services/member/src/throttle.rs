//! Guessing passwords is slow: after [`MOST`] wrong ones for an account within [`WINDOW`], nobody signs in to
//! it until the window has passed, not with the right one either, from whatever address.
//!
//! An account is the hash of an address, whether anybody has it or not: what is answered says nothing
//! of who there is. All replicas count in one table. Of attempts that are checked at the same moment,
//! as many as there are cores per replica, each may be one too many.

use std::time::Duration;

use aws_lc_rs::digest::{SHA256, digest};
use base::{Error, error::Kind};
use pg::Database;

use crate::{
    domain::Email,
    store::failures::{self, Failures},
};

/// Wrong passwords that are told to be wrong.
const MOST: i32 = 10;
/// From the first of them on.
const WINDOW: Duration = Duration::from_mins(10);

/// Refuses an attempt when there were too many wrong ones.
pub(crate) async fn check(database: &Database, email: &Email) -> Result<(), Error> {
    let failures = failures::of(&mut database.read().await?, &account(email)).await?;
    failures.filter(|failures| failures.count >= MOST).map_or(Ok(()), |failures| refused(&failures))
}

/// Counts a wrong password; refuses it as one too many, if it is.
pub(crate) async fn failed(database: &Database, email: &Email) -> Result<(), Error> {
    let counted = failures::count(&mut database.read().await?, &account(email), WINDOW).await?;
    if counted.count > MOST { refused(&counted) } else { Ok(()) }
}

fn account(email: &Email) -> Vec<u8> {
    digest(&SHA256, email.as_str().as_bytes()).as_ref().to_vec()
}

/// Until the window has passed. No overload: trying again at once is of no use, and no breaker is to open.
fn refused(failures: &Failures) -> Result<(), Error> {
    let Some(left) = WINDOW.checked_sub(failures.since) else { return Ok(()) };
    let detail = "too many wrong passwords for this account: try again later";
    let left = left.max(Duration::from_secs(1));
    Err(Error::new(Kind::Conflict, "TOO_MANY_ATTEMPTS", detail).retry_after(left))
}
