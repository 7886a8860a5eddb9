//! Locks that are held for as long as a process lives and wants them: whatever it
//! dies of, they are free at once. They are advisory locks of one session, on a
//! connection of its own, each released by itself.
//!
//! Unlike a lease in a table, that takes no clock to agree on and no write to renew
//! it. Both ends notice a silent connection: the session says something all the time,
//! and Postgres ends one that says nothing. A pooler in between has to give each
//! client a server connection of its own (session mode).

use std::{
    collections::HashSet,
    future::Future,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, Weak,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use base::Error;
use settings::DatabaseSettings;
use tokio::{
    sync::Mutex as AsyncMutex,
    time::{MissedTickBehavior, interval, sleep, timeout},
};
use tokio_postgres::{Client, Statement};

use super::{Connector, Database, Params};

/// How often to ask for a lock that another process has.
const LOOK: Duration = Duration::from_millis(300);
/// Who could not do what the lock is for leaves it alone for so long: others see it free.
pub const YIELD: Duration = Duration::from_millis(450);

const TAKE: &str = "select pg_try_advisory_lock(hashtextextended($1, 0))";
const RELEASE: &str = "select pg_advisory_unlock(hashtextextended($1, 0))";

/// The locks of this process in one database.
#[derive(Clone)]
pub(super) struct Locks(Arc<Inner>);

struct Inner {
    connector: Connector,
    /// How often the session says something; the answer may take half of it.
    beat: Duration,
    current: AsyncMutex<Weak<Session>>,
}

/// The session, as long as anybody wants a lock.
struct Session {
    client: Client,
    take: Statement,
    release: Statement,
    beat: Duration,
    failed: AtomicBool,
    /// What it has; a second time would be granted as well.
    held: Mutex<HashSet<Box<str>>>,
}

/// A lock that this process has, and others have not. Dropped, it is free.
pub struct Lock {
    name: Box<str>,
    session: Arc<Session>,
    /// Or may have been: whoever asked did not wait for the answer.
    taken: bool,
}

impl Locks {
    pub(super) fn new(connector: &Connector, settings: &DatabaseSettings) -> Self {
        let statement = settings.statement_timeout_ms;
        let options = format!(
            "-c statement_timeout={statement} -c idle_session_timeout={}",
            statement.saturating_mul(5) / 2
        );
        let connector = connector.with(|config| {
            config.options(options);
        });
        let beat = Duration::from_millis(statement);
        Self(Arc::new(Inner { connector, beat, current: AsyncMutex::default() }))
    }

    async fn session(&self) -> Result<Arc<Session>, Error> {
        let mut current = self.0.current.lock().await;
        if let Some(session) = current.upgrade().filter(|session| session.is_open()) {
            return Ok(session);
        }
        let (client, _) = self.0.connector.connect().await?;
        let prepare = async { tokio::try_join!(client.prepare(TAKE), client.prepare(RELEASE)) };
        let silent = |_| Error::unavailable("DATABASE_SILENT", "no answer from the database");
        let (take, release) = timeout(self.0.beat / 2, prepare).await.map_err(silent)??;
        let (beat, failed) = (self.0.beat, AtomicBool::new(false));
        let held = Mutex::default();
        let session = Arc::new(Session { client, take, release, beat, failed, held });
        *current = Arc::downgrade(&session);
        tokio::spawn(watch(Arc::downgrade(&session), self.0.beat));
        Ok(session)
    }
}

/// Has the session say something, so that both ends know of each other, until nobody wants it.
async fn watch(session: Weak<Session>, beat: Duration) {
    let mut beat = interval(beat);
    beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        beat.tick().await;
        let Some(session) = session.upgrade() else { return };
        if session.answer(session.client.simple_query("")).await.is_err() {
            return;
        }
    }
}

impl Session {
    fn held(&self) -> MutexGuard<'_, HashSet<Box<str>>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_open(&self) -> bool {
        !self.failed.load(Ordering::Relaxed) && !self.client.is_closed()
    }

    /// What does not come in time, or fails, is the end of all locks of this session.
    async fn answer<T>(
        &self,
        answer: impl Future<Output = Result<T, tokio_postgres::Error>>,
    ) -> Result<T, Error> {
        let answer = match timeout(self.beat / 2, answer).await {
            Ok(answer) => answer.map_err(Error::from),
            Err(_) => Err(Error::unavailable("DATABASE_SILENT", "no answer from the database")),
        };
        answer.inspect_err(|_| self.failed.store(true, Ordering::Relaxed))
    }
}

impl Lock {
    /// Asks for the lock. A name that this process has is taken, like any other's.
    async fn take(session: &Arc<Session>, name: &str) -> Result<Option<Self>, Error> {
        if !session.held().insert(name.into()) {
            return Ok(None);
        }
        let mut lock = Self { name: name.into(), session: Arc::clone(session), taken: true };
        let row = session.answer(session.client.query_one(&session.take, &[&name])).await?;
        lock.taken = row.get(0);
        Ok(lock.taken.then_some(lock))
    }

    /// False once it is lost, with its connection; somebody else may have it by now.
    pub fn is_held(&self) -> bool {
        self.session.is_open()
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        let (session, name) = (Arc::clone(&self.session), std::mem::take(&mut self.name));
        let runtime = tokio::runtime::Handle::try_current();
        let Some(runtime) = runtime.ok().filter(|_| self.taken && session.is_open()) else {
            session.held().remove(&name);
            return;
        };
        runtime.spawn(async move {
            // Where this fails the session has failed: it is closed, with all its locks.
            let key: Params<'_> = &[&&*name];
            let released = session.client.execute(&session.release, key);
            if let Err(error) = session.answer(released).await {
                tracing::warn!(%error, lock = &*name, "advisory lock not released, closing its session");
            }
            session.held().remove(&name);
        });
    }
}

impl Database {
    /// Waits until no other process has the lock of this name, and takes it.
    pub async fn lock(&self, name: &str) -> Result<Lock, Error> {
        loop {
            // Held while waiting, so that it is the same one.
            let session = self.locks.session().await?;
            if let Some(lock) = Lock::take(&session, name).await? {
                return Ok(lock);
            }
            sleep(LOOK).await;
        }
    }
}
