//! One service's own database: a pool, transactions, migrations.
//!
//! A transaction is a value that owns its connection. When it is dropped
//! without a commit it rolls back; when it is dropped in the middle of a query
//! (the caller's deadline passed), the connection is thrown away.

mod connector;
mod hosts;
mod locks;
mod metrics;
mod passwords;
mod silence;
mod tls;

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use base::Error;
use deadpool_postgres::{Manager, ManagerConfig, Object, Pool, RecyclingMethod, Runtime, Timeouts};
use settings::DatabaseSettings;
use telemetry::spans;
use tokio::sync::{Notify, watch};
use tokio_postgres::{Row, error::SqlState, types::ToSql};
use uuid::Uuid;

pub use self::connector::Connector;
pub use self::locks::{Lock, YIELD};
use self::{locks::Locks, metrics::Meter, silence::Watch};

/// What holds for each connection. Every statement of a service reads few rows by an index, at any
/// size: so only such plans are left, whatever the statistics say, for foreign keys and triggers too,
/// whose plans are kept from when their tables were empty.
const PLANS: &str = "-c jit=off \
    -c enable_seqscan=off -c enable_hashjoin=off -c enable_mergejoin=off";

/// Parameters of a statement.
pub type Params<'a> = &'a [&'a (dyn ToSql + Sync)];

/// Pools of connections to one service's database: one for calls, and one for the work behind them,
/// which then never queues behind calls for a connection. Cheap to clone.
#[derive(Clone)]
pub struct Database {
    pool: Pool,
    committed: Arc<Notify>,
    /// Something was committed here that has no position yet.
    unnumbered: Arc<AtomicBool>,
    /// Transactions of this process that have appended events and not ended.
    appending: Arc<AtomicUsize>,
    meter: Meter,
    locks: Locks,
    watch: Watch,
    /// Notified after each commit that scheduled a task.
    scheduled: Arc<Notify>,
    /// The last position of the log that was shown here.
    log_head: watch::Sender<i64>,
    /// How long at most until what other processes appended is looked for.
    quiet_poll: Duration,
    /// What [`background`](Self::background) takes its connections from.
    behind: (Pool, Meter),
}

impl Database {
    /// Pools for `service`'s database. Connects when first asked for a connection.
    pub fn new(settings: &DatabaseSettings, service: &str) -> Result<Self, Error> {
        let connector = Connector::of(settings, service)?;
        let pool = connections(&connector, settings, settings.pool_size)?;
        let meter = Meter::calls(service, &pool);
        let behind = connections(&connector, settings, settings.background_pool_size)?;
        let statement_timeout = Duration::from_millis(settings.statement_timeout_ms);
        let watch = Watch::new(statement_timeout, &pool, &behind);
        let locks = Locks::new(&connector, settings);
        let behind = (behind.clone(), Meter::background(service, &behind));
        Ok(Self {
            pool,
            committed: Arc::default(),
            unnumbered: Arc::default(),
            appending: Arc::default(),
            meter,
            locks,
            watch,
            scheduled: Arc::default(),
            log_head: watch::Sender::default(),
            quiet_poll: Duration::from_millis(settings.quiet_poll_ms),
            behind,
        })
    }

    /// The same database for work that no caller waits for: sequencer, consumers, durable tasks,
    /// gauges, health.
    #[must_use]
    pub fn background(&self) -> Self {
        let (pool, meter) = self.behind.clone();
        Self { pool, meter, ..self.clone() }
    }

    /// Begins a transaction, READ COMMITTED.
    pub async fn begin(&self) -> Result<Tx, Error> {
        let mut tx = Tx {
            connection: Some(self.connection().await?),
            busy: None,
            failed: false,
            demoted: false,
            appended: false,
            cause: Cause { causation_id: None, headers: spans::context_headers() },
            watch: self.watch.clone(),
            database: self.clone(),
            begun: Instant::now(),
            after: Vec::new(),
        };
        tx.batch("begin").await?;
        Ok(tx)
    }

    /// A connection for statements that each stand alone.
    pub async fn read(&self) -> Result<Reader, Error> {
        let connection = Some(self.connection().await?);
        Ok(Reader {
            connection,
            busy: None,
            failed: false,
            demoted: false,
            watch: self.watch.clone(),
        })
    }

    async fn connection(&self) -> Result<Object, Error> {
        let asked = Instant::now();
        let connection = self.pool.get().await;
        self.meter.waited(asked.elapsed(), connection.is_ok());
        Ok(connection?)
    }

    /// The service that it belongs to.
    pub fn service(&self) -> Arc<str> {
        self.meter.service()
    }

    /// Notified after each commit that scheduled a task.
    pub fn scheduled(&self) -> Arc<Notify> {
        Arc::clone(&self.scheduled)
    }

    /// Whether the database answers, at once.
    pub async fn answers(&self) -> bool {
        self.watch.probe().await
    }

    /// Notified after each commit that appended events.
    pub fn committed(&self) -> &Arc<Notify> {
        &self.committed
    }

    /// How long at most until what other processes appended is looked for.
    pub fn quiet_poll(&self) -> Duration {
        self.quiet_poll
    }

    /// The last position of the service's own log, once a process that publishes it has seen it: it
    /// changes after something has happened, here or at another replica.
    pub fn log_head(&self) -> watch::Receiver<i64> {
        self.log_head.subscribe()
    }

    /// The log has been seen to end there.
    pub fn log_ends_at(&self, position: i64) {
        self.log_head.send_if_modified(|known| std::mem::replace(known, position) != position);
    }

    /// Set with [`committed`](Self::committed) where the transaction has not numbered its events.
    pub fn unnumbered(&self) -> &AtomicBool {
        &self.unnumbered
    }
}

fn connections(
    connector: &Connector,
    settings: &DatabaseSettings,
    size: usize,
) -> Result<Pool, Error> {
    let statement = settings.statement_timeout_ms;
    let options = format!(
        "-c statement_timeout={statement} -c lock_timeout={statement} \
         -c idle_in_transaction_session_timeout={} {PLANS}",
        statement.saturating_mul(5) / 2
    );
    let connector = connector.with(|config| {
        config.options(options);
    });
    let manager = Manager::from_connect(
        connector.config().clone(),
        connector,
        ManagerConfig { recycling_method: RecyclingMethod::Fast },
    );
    let wait = Duration::from_millis(settings.acquire_timeout_ms);
    Pool::builder(manager)
        .max_size(size)
        .runtime(Runtime::Tokio1)
        .timeouts(Timeouts { wait: Some(wait), create: Some(wait), recycle: Some(wait) })
        .build()
        .map_err(|error| Error::internal(error.to_string()))
}

/// Whether the server that answers takes no writes.
fn is_demotion(error: &tokio_postgres::Error) -> bool {
    error.code() == Some(&SqlState::READ_ONLY_SQL_TRANSACTION)
}

/// Where an effect comes from: goes into the events that it leads to.
#[derive(Clone, Debug, Default)]
pub struct Cause {
    /// The event that is being handled; none when a call is.
    pub causation_id: Option<Uuid>,
    /// Propagated context, `traceparent` first of all.
    pub headers: BTreeMap<String, String>,
}

/// A transaction. Commit it, or it has not happened.
pub struct Tx {
    connection: Option<Object>,
    /// Since when a statement is under way.
    busy: Option<Instant>,
    /// A statement has failed since the beginning, or since the last savepoint was gone back to.
    failed: bool,
    /// It leads to a server that takes no writes any more.
    demoted: bool,
    appended: bool,
    cause: Cause,
    watch: Watch,
    database: Database,
    begun: Instant,
    after: Vec<Box<dyn FnOnce() + Send + Sync>>,
}

/// A connection for single statements outside a transaction.
pub struct Reader {
    connection: Option<Object>,
    /// Since when a statement is under way.
    busy: Option<Instant>,
    failed: bool,
    /// It leads to a server that takes no writes any more.
    demoted: bool,
    watch: Watch,
}

/// Statements on a connection, prepared once and cached. A statement that is
/// dropped before it has answered leaves its connection marked busy.
macro_rules! statements {
    ($($name:ident -> $answer:ty),*) => { $(
        /// Runs a prepared statement.
        pub async fn $name(
            &mut self,
            sql: &'static str,
            params: Params<'_>,
        ) -> Result<$answer, tokio_postgres::Error> {
            let connection = self.connection.as_ref().expect("present until drop");
            let answer = async {
                let statement = connection.prepare_cached(sql).await?;
                connection.$name(&statement, params).await
            };
            let answer = self.watch.answer(&mut self.busy, answer).await;
            self.failed |= answer.is_err();
            self.demoted |= answer.as_ref().is_err_and(is_demotion);
            answer
        }
    )* };
}

impl Tx {
    statements!(query -> Vec<Row>, query_opt -> Option<Row>, query_one -> Row, execute -> u64);

    /// Runs statements without parameters, unprepared.
    pub async fn batch(&mut self, sql: &'static str) -> Result<(), tokio_postgres::Error> {
        let connection = self.connection.as_ref().expect("present until drop");
        let answer = connection.batch_execute(sql);
        let answer = self.watch.answer(&mut self.busy, answer).await;
        self.demoted |= answer.as_ref().is_err_and(is_demotion);
        self.failed = answer.is_err() || (self.failed && !sql.starts_with("rollback to"));
        answer
    }

    /// Says where the effects of this transaction come from.
    pub fn caused_by(&mut self, cause: Cause) {
        self.cause = cause;
    }

    /// Where the effects of this transaction come from.
    pub fn cause(&self) -> &Cause {
        &self.cause
    }

    /// The service whose database this is.
    pub fn service(&self) -> Arc<str> {
        self.database.service()
    }

    /// Has something counted once this has happened, and not if it does not.
    pub fn once_committed(&mut self, count: impl FnOnce() + Send + Sync + 'static) {
        self.after.push(Box::new(count));
    }

    /// Notified once a task was scheduled.
    pub fn scheduled(&self) -> Arc<Notify> {
        self.database.scheduled()
    }

    /// Has the commit number what was appended, or wake the sequencer.
    pub fn mark_appended(&mut self) {
        if !std::mem::replace(&mut self.appended, true) {
            self.database.appending.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Makes it durable. After a connection that broke in here nobody knows whether it happened.
    pub async fn commit(mut self) -> Result<(), Error> {
        if self.failed {
            // Postgres would answer this commit with a rollback, and no error.
            return Err(Error::internal(
                "a statement of this transaction failed before its commit",
            ));
        }
        let numbered = self.commit_numbered().await?;
        drop(self.connection.take());
        self.database.meter.ended(self.begun.elapsed(), "commit");
        self.after.drain(..).for_each(|count| count());
        if self.appended {
            if !numbered {
                self.database.unnumbered.store(true, Ordering::Release);
            }
            self.database.committed.notify_one();
        }
        Ok(())
    }

    /// Commits, and numbers what was appended in the same flush, unless others are at it: they are
    /// served better by one numbering of all of them, after their commits. Answers whether nothing is
    /// left to be numbered.
    async fn commit_numbered(&mut self) -> Result<bool, Error> {
        if !self.appended {
            self.batch("commit").await?;
            return Ok(true);
        }
        if self.database.appending.load(Ordering::Relaxed) > 1 {
            self.batch("commit").await?;
            return Ok(false);
        }
        let connection = self.connection.as_ref().expect("present until drop");
        let answer = async {
            let number = connection.prepare_cached("select number_events(false)").await?;
            // Sent together. Where numbering fails, the commit that follows rolls back.
            let (head, committed) = tokio::join!(
                connection.query_one(&number, &[]),
                connection.batch_execute("commit")
            );
            let head = head?.get::<_, Option<i64>>(0);
            committed.map(|()| head.is_some())
        };
        Ok(self.watch.answer(&mut self.busy, answer).await?)
    }

    /// Undoes it, and waits for that.
    pub async fn rollback(mut self) {
        if self.batch("rollback").await.is_ok() && !self.demoted {
            drop(self.connection.take());
            self.database.meter.ended(self.begun.elapsed(), "rollback");
        }
    }
}

impl Drop for Tx {
    fn drop(&mut self) {
        if self.appended {
            self.database.appending.fetch_sub(1, Ordering::Relaxed);
        }
        let Some(connection) = self.connection.take() else { return };
        self.database.meter.ended(self.begun.elapsed(), "rollback");
        if let Some(sent) = self.busy {
            self.watch.given_up(sent);
        }
        let unusable = self.busy.is_some() || self.demoted;
        if unusable || tokio::runtime::Handle::try_current().is_err() {
            drop(Object::take(connection));
            return;
        }
        let watch = self.watch.clone();
        tokio::spawn(async move {
            let answer = connection.batch_execute("rollback");
            if watch.answer(&mut None, answer).await.is_err() {
                drop(Object::take(connection));
            }
        });
    }
}

impl Reader {
    statements!(query -> Vec<Row>, query_opt -> Option<Row>, query_one -> Row, execute -> u64);
}

impl Drop for Reader {
    fn drop(&mut self) {
        let Some(connection) = self.connection.take() else { return };
        if let Some(sent) = self.busy {
            self.watch.given_up(sent);
        }
        if self.busy.is_some() || self.demoted {
            drop(Object::take(connection));
        }
    }
}
