//! Connections on which nothing comes back any more, though nobody has closed them:
//! a machine that is gone, a proxy that forwards nothing. They are given up, and
//! those that lie idle beside them are handed to nobody else.

use std::{
    future::Future,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use deadpool_postgres::{Object, Pool, WeakPool};
use tokio::time::timeout;

/// Beyond the statement timeout, at which Postgres itself answers.
const MARGIN: Duration = Duration::from_secs(1);
/// How long the answer to an empty statement may take.
const PROBE: Duration = Duration::from_secs(1);
/// A statement that was given up after so long may have been given up for silence.
const LONG: Duration = Duration::from_millis(500);

/// Watches the pools of one service.
#[derive(Clone)]
pub(super) struct Watch(Arc<Inner>);

struct Inner {
    /// How long an answer may take.
    patience: Duration,
    calls: WeakPool,
    behind: WeakPool,
    probing: AtomicBool,
    /// Since the last probe.
    answered: AtomicBool,
}

impl Watch {
    pub(super) fn new(statement_timeout: Duration, calls: &Pool, behind: &Pool) -> Self {
        Self(Arc::new(Inner {
            patience: statement_timeout + MARGIN,
            calls: calls.weak(),
            behind: behind.weak(),
            probing: AtomicBool::new(false),
            answered: AtomicBool::new(false),
        }))
    }

    /// Waits for an answer, but not for longer than Postgres takes at most. Until there is one,
    /// `sent` says since when the connection is busy.
    pub(super) async fn answer<T>(
        &self,
        sent: &mut Option<Instant>,
        answer: impl Future<Output = Result<T, tokio_postgres::Error>>,
    ) -> Result<T, tokio_postgres::Error> {
        *sent = Some(Instant::now());
        let Ok(answer) = timeout(self.0.patience, answer).await else {
            self.drop_idle();
            return Err(tokio_postgres::Error::__private_api_timeout());
        };
        *sent = None;
        if answer.is_ok() {
            self.0.answered.store(true, Ordering::Relaxed);
        }
        answer
    }

    /// A caller has given up a statement that was sent at that time. Others may have been sent on
    /// connections that are as silent, so one of those that lie idle is asked.
    pub(super) fn given_up(&self, sent: Instant) {
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
        if sent.elapsed() < LONG || self.0.probing.swap(true, Ordering::Relaxed) {
            return;
        }
        let watch = self.clone();
        runtime.spawn(async move {
            watch.probe_idle(&watch.0.calls).await;
            watch.probe_idle(&watch.0.behind).await;
            watch.0.probing.store(false, Ordering::Relaxed);
        });
    }

    /// Whether the database answers: to anybody since the last time, or else on a connection for the
    /// work behind calls; and on an idle one of those for calls.
    pub(super) async fn probe(&self) -> bool {
        let behind = async {
            if self.0.answered.swap(false, Ordering::Relaxed) {
                return true;
            }
            let Some(pool) = self.0.behind.upgrade() else { return false };
            match timeout(PROBE * 2, pool.get()).await {
                Ok(Ok(connection)) => self.probe_one(connection).await,
                Ok(Err(_)) | Err(_) => false,
            }
        };
        let (behind, calls) = tokio::join!(behind, self.probe_idle(&self.0.calls));
        behind && calls
    }

    /// True also where none lies idle.
    async fn probe_idle(&self, pool: &WeakPool) -> bool {
        let Some(pool) = pool.upgrade().filter(|pool| pool.status().available > 0) else {
            return true;
        };
        match timeout(PROBE, pool.get()).await {
            Ok(Ok(connection)) => self.probe_one(connection).await,
            // Somebody else was faster; or a new one was needed, and cannot be made.
            Err(_) => true,
            Ok(Err(error)) => matches!(error, deadpool_postgres::PoolError::Timeout(_)),
        }
    }

    async fn probe_one(&self, connection: Object) -> bool {
        match timeout(PROBE, connection.simple_query("")).await {
            Ok(Ok(_)) => return true,
            Ok(Err(_)) => {}
            Err(_) => self.drop_idle(),
        }
        drop(Object::take(connection));
        false
    }

    fn drop_idle(&self) {
        let pools = [&self.0.calls, &self.0.behind].into_iter().filter_map(WeakPool::upgrade);
        let dropped: usize = pools.map(|pool| pool.retain(|_, _| false).removed.len()).sum();
        tracing::warn!(dropped, "database connection does not answer, replacing the idle ones");
    }
}
