//! The service's time: the database's, so that all replicas agree, and in a test
//! as far ahead of it as the test has moved it. What is due goes by it; events,
//! tokens and idempotency keys keep the real time.
//!
//! In SQL it is `clock_now()`.

use std::time::{Duration, SystemTime};

use base::Error;

use crate::{Database, Tx};

/// What time it is in this transaction.
pub async fn now(tx: &mut Tx) -> Result<SystemTime, Error> {
    Ok(tx.query_one("select clock_now()", &[]).await?.get(0))
}

/// Moves the clock ahead. For tests.
pub async fn advance(database: &Database, by: Duration) -> Result<(), Error> {
    let sql = "update clock set ahead = ahead + $1 * interval '1 second'";
    database.read().await?.execute(sql, &[&by.as_secs_f64()]).await?;
    Ok(())
}
