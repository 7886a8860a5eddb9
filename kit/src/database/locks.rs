//! Locks that are held for as long as a process lives and wants them: whatever it
//! dies of, they are free at once. All of a process are advisory locks in one
//! transaction that stays open, on a connection of its own.
//!
//! Unlike a lease in a table, that takes no clock to agree on, no write to renew it,
//! and no time to run out. Between statements such a transaction (READ COMMITTED)
//! has neither a snapshot nor an id, so it keeps nothing from being vacuumed; and a
//! pooler that hands connections out by transaction leaves it where it is.

use std::{
    sync::{
        Arc, Weak,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use deadpool_postgres::{ClientWrapper, Object};
use tokio::{sync::Mutex, time::sleep};

use super::Database;
use crate::Error;

/// So that the server notices within half a minute that a machine has gone; and does not mind that
/// nothing happens for long.
const BEGIN: &str = "begin;
    set local idle_in_transaction_session_timeout = 0;
    set local tcp_keepalives_idle = 10;
    set local tcp_keepalives_interval = 5;
    set local tcp_keepalives_count = 3";

/// How often to ask for a lock that another process has.
const LOOK: Duration = Duration::from_millis(500);

/// The transaction of this process, as long as anybody wants a lock.
pub(super) type Locks = Arc<Mutex<Weak<Session>>>;

/// The transaction.
pub(super) struct Session {
    client: ClientWrapper,
    failed: AtomicBool,
}

/// A lock that this process has, and others have not. Dropped with all others of this database, it
/// is free.
pub(crate) struct Lock(Arc<Session>);

impl Session {
    fn is_open(&self) -> bool {
        !self.failed.load(Ordering::Relaxed) && !self.client.is_closed()
    }

    async fn take(&self, name: &str) -> Result<bool, Error> {
        let sql = "select pg_try_advisory_xact_lock(hashtextextended($1, 0))";
        let row = self.client.query_one(sql, &[&name]).await.inspect_err(|_| {
            // With the others of this transaction.
            self.failed.store(true, Ordering::Relaxed);
        })?;
        Ok(row.get(0))
    }
}

impl Lock {
    /// False once it is lost, with its connection; somebody else may have it by now.
    pub(crate) fn is_held(&self) -> bool {
        self.0.is_open()
    }
}

impl Database {
    /// Waits until no other process has the lock of this name, and takes it.
    pub(crate) async fn lock(&self, name: &str) -> Result<Lock, Error> {
        loop {
            let session = self.session().await?;
            if session.take(name).await? {
                return Ok(Lock(session));
            }
            sleep(LOOK).await;
        }
    }

    async fn session(&self) -> Result<Arc<Session>, Error> {
        let mut current = self.locks.lock().await;
        if let Some(session) = current.upgrade().filter(|session| session.is_open()) {
            return Ok(session);
        }
        let client = Object::take(self.connection().await?);
        client.batch_execute(BEGIN).await?;
        let session = Arc::new(Session { client, failed: AtomicBool::new(false) });
        *current = Arc::downgrade(&session);
        Ok(session)
    }
}
