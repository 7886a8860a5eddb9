//! Wrong passwords, counted for each account.

use std::time::Duration;

use base::Error;
use pg::Reader;
use tokio_postgres::Row;

/// Wrong passwords for an account since the first of them.
pub(crate) struct Failures {
    pub(crate) count: i32,
    /// How long ago the first of them was; by a clock that a test may have moved.
    pub(crate) since: Duration,
}

impl Failures {
    fn from_row(row: &Row) -> Self {
        let since = Duration::try_from_secs_f64(row.get(1)).unwrap_or_default();
        Self { count: row.get(0), since }
    }
}

/// Reads how many there were.
pub(crate) async fn of(reader: &mut Reader, account: &[u8]) -> Result<Option<Failures>, Error> {
    let sql = "select failures, extract(epoch from clock_now() - since)::float8
         from sign_in_failures where account = $1";
    let row = reader.query_opt(sql, &[&account]).await?;
    Ok(row.as_ref().map(Failures::from_row))
}

/// Counts one, from one again when the last window has passed; some of other accounts whose window has are
/// forgotten.
pub(crate) async fn count(
    reader: &mut Reader,
    account: &[u8],
    window: Duration,
) -> Result<Failures, Error> {
    let row = reader
        .query_one(
            // By their places, as idempotency keys are.
            "with passed as (
               delete from sign_in_failures where ctid = any(array(
                 select ctid from sign_in_failures
                 where since < clock_now() - $2 * interval '1 second' and account <> $1
                 order by since limit 10 for update skip locked)))
             insert into sign_in_failures as f (account, failures, since)
             values ($1, 1, clock_now())
             on conflict (account) do update set
               failures = case when f.since < clock_now() - $2 * interval '1 second'
                 then 1 else least(f.failures, 1000000) + 1 end,
               since = case when f.since < clock_now() - $2 * interval '1 second'
                 then clock_now() else f.since end
             returning failures, extract(epoch from clock_now() - since)::float8",
            &[&account, &window.as_secs_f64()],
        )
        .await?;
    Ok(Failures::from_row(&row))
}
