//! Watching a page: what has changed since a cursor, then each change as it comes.
//! Reads the read models like everyone else, so that any replica can go on where
//! another ended; keeps nothing for a watcher but the cursor and what it reads next.
//!
//! One look a tick finds out who of all who are watched has changed; without a
//! watcher there is none.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use base::{Error, error::Kind, id::Uuid};
use contracts::{member::v1::member, mypage::v1::WatchMyPageResponse};
use futures_util::stream::{self, BoxStream, StreamExt as _};
use pg::{Database, Reader};
use tokio::{
    sync::{Notify, watch},
    time::{Instant, MissedTickBehavior, interval, sleep_until},
};
use tokio_util::sync::CancellationToken;
use tonic::Status;

use crate::{
    domain::{MemberId, OrderId},
    service,
    sources::{self, Sources, Unavailable},
    store::changes::{self, Cursor, Head},
    wire,
};

/// How soon a change is seen.
const TICK: Duration = Duration::from_millis(100);
/// Orders that are read at once.
const READ: usize = 50;

/// The messages of one watch.
pub(crate) type Messages = BoxStream<'static, Result<WatchMyPageResponse, Status>>;

/// All watches of this process. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Watches {
    database: Database,
    sources: Sources,
    heads: Arc<Mutex<HashMap<MemberId, watch::Sender<Head>>>>,
    /// Notified when a watch is opened: while there is none nobody looks.
    opened: Arc<Notify>,
    closing: CancellationToken,
    /// How long a watch may last: as long as the token that it was opened with, at most.
    longest: Duration,
}

impl Watches {
    /// Watches until `closing`; somebody has to [`run`](Self::run) them.
    pub(crate) fn new(
        database: Database,
        sources: Sources,
        closing: CancellationToken,
        longest: Duration,
    ) -> Self {
        Self { database, sources, heads: Arc::default(), opened: Arc::default(), closing, longest }
    }

    /// Tells the watches of changes, until the process closes.
    pub(crate) async fn run(self) {
        let mut tick = interval(TICK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut well = true;
        while self.closing.run_until_cancelled(tick.tick()).await.is_some() {
            if self.watched().is_empty() {
                let opened = self.opened.notified();
                if self.closing.run_until_cancelled(opened).await.is_none() {
                    break;
                }
            }
            let looked = self.look().await;
            if let Err(error) = &looked
                && well
            {
                tracing::warn!(%error, "My Page watches: database unavailable, retrying");
            }
            well = looked.is_ok();
        }
    }

    /// The members who have a watch.
    fn watched(&self) -> Vec<MemberId> {
        let mut heads = self.heads();
        heads.retain(|_, head| head.receiver_count() > 0);
        heads.keys().copied().collect()
    }

    async fn look(&self) -> Result<(), Error> {
        let members = self.watched();
        let mut reader = self.database.read().await?;
        let seen = changes::heads(&mut reader, &members).await?;
        let heads = self.heads();
        for (member, head) in seen {
            if let Some(known) = heads.get(&member) {
                known.send_if_modified(|known| std::mem::replace(known, head) != head);
            }
        }
        Ok(())
    }

    fn heads(&self) -> MutexGuard<'_, HashMap<MemberId, watch::Sender<Head>>> {
        self.heads.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Opens a watch after `cursor`.
    pub(crate) async fn open(&self, member: MemberId, cursor: Cursor) -> Result<Messages, Error> {
        // Before anything is read: so that no change falls in between.
        let head = self.heads().entry(member).or_default().subscribe();
        self.opened.notify_one();
        let mut watcher = Watcher {
            watches: self.clone(),
            member,
            cursor,
            head,
            sources: self.sources.watch(),
            unavailable: self.sources.unavailable().await,
            until: Instant::now() + self.longest,
            queue: VecDeque::new(),
            withdrawn: false,
        };
        // Here, so that what is wrong is said instead of a stream.
        watcher.read().await?;
        let messages = stream::unfold(Some(watcher), |watcher| async {
            let mut watcher = watcher?;
            match watcher.next().await {
                Ok(message) => Some((Ok(message), Some(watcher))),
                Err(error) => Some((Err(error.into()), None)),
            }
        });
        Ok(messages.boxed())
    }
}

/// One watch.
struct Watcher {
    watches: Watches,
    member: MemberId,
    /// Everything up to here is in the queue, or has been sent.
    cursor: Cursor,
    head: watch::Receiver<Head>,
    sources: watch::Receiver<Unavailable>,
    /// Those that were unavailable when the page was last sent.
    unavailable: Vec<String>,
    until: Instant,
    queue: VecDeque<WatchMyPageResponse>,
    withdrawn: bool,
}

impl Watcher {
    /// The next message; in the end, why there is none.
    async fn next(&mut self) -> Result<WatchMyPageResponse, Error> {
        loop {
            if self.watches.closing.is_cancelled() || self.until <= Instant::now() {
                return Err(over());
            }
            if let Some(message) = self.queue.pop_front() {
                return Ok(message);
            }
            if self.withdrawn {
                return Err(service::withdrawn());
            }
            self.read().await?;
            if self.queue.is_empty() && !self.withdrawn {
                tokio::select! {
                    () = self.watches.closing.cancelled() => {}
                    () = sleep_until(self.until) => {}
                    changed = self.head.changed() => {
                        changed.map_err(|_| Error::internal("a watch that nobody keeps"))?;
                    }
                    changed = self.sources.changed() => {
                        changed.map_err(|_| Error::internal("sources that nobody asks"))?;
                    }
                }
            }
        }
    }

    /// Reads what comes after the cursor. All of it was committed before the head was read, and what
    /// changes meanwhile comes again: see `store::changes`.
    async fn read(&mut self) -> Result<(), Error> {
        let unavailable = sources::names(&self.sources.borrow_and_update());
        let mut is_stale = self.unavailable != unavailable;
        let mut reader = self.watches.database.read().await?;
        let heads = changes::heads(&mut reader, &[self.member]).await?;
        let Some((_, head)) = heads.first() else { return Ok(()) };
        if self.cursor.change > head.change {
            // Of a database that was restored since: all may be different.
            self.cursor = Cursor::START;
        }
        let limit = i64::try_from(READ).unwrap_or(i64::MAX);
        let orders =
            changes::orders(&mut reader, self.member, self.cursor, head.change, limit).await?;
        let end = match orders.last() {
            Some((last, _)) if orders.len() == READ => *last,
            _ => Cursor { change: head.change, order: OrderId(Uuid::max()) },
        };
        let mut messages = Vec::with_capacity(orders.len() + 1);
        for (cursor, order) in orders {
            let order = Some(wire::order(order)?);
            messages.push((cursor, WatchMyPageResponse { order, ..Default::default() }));
        }
        let at = Cursor::page(head.page);
        if self.cursor < at && at <= end {
            let page = self.page(&mut reader, &unavailable).await?;
            is_stale &= page.is_none();
            messages.extend(page.map(|page| (at, page)));
        }
        messages.sort_unstable_by_key(|(cursor, _)| *cursor);
        for (cursor, message) in messages {
            self.cursor = cursor;
            self.queue.push_back(WatchMyPageResponse { event_id: event_id(cursor), ..message });
        }
        if is_stale && let Some(page) = self.page(&mut reader, &unavailable).await? {
            self.queue.push_back(WatchMyPageResponse { event_id: event_id(self.cursor), ..page });
        }
        self.unavailable = unavailable;
        Ok(())
    }

    /// The page as it is; none before there is one.
    async fn page(
        &mut self,
        reader: &mut Reader,
        unavailable: &[String],
    ) -> Result<Option<WatchMyPageResponse>, Error> {
        let page = match service::page(reader, self.member, unavailable.to_vec()).await {
            Err(error) if error.kind() == Kind::NotFound => return Ok(None),
            page => page?,
        };
        self.withdrawn = page.state() == member::State::Withdrawn;
        Ok(Some(WatchMyPageResponse { page: Some(page), ..Default::default() }))
    }
}

/// The watch ends here, but another one goes on.
fn over() -> Error {
    Error::unavailable("WATCH_OVER", "open the watch again").retry_after(Duration::from_secs(1))
}

/// `12` is the page as the 12th change made it, `12-<order>` an order.
fn event_id(Cursor { change, order }: Cursor) -> String {
    if order.0.is_nil() { change.to_string() } else { format!("{change}-{}", order.0.simple()) }
}

/// Where a watch is to begin.
pub(crate) fn cursor(last_event_id: &str) -> Result<Cursor, Error> {
    if last_event_id.is_empty() {
        return Ok(Cursor::START);
    }
    let (change, order) = match last_event_id.split_once('-') {
        Some((change, order)) => (change, Uuid::try_parse(order).ok()),
        None => (last_event_id, Some(Uuid::nil())),
    };
    match (change.parse(), order) {
        (Ok(change), Some(order)) => Ok(Cursor { change, order: OrderId(order) }),
        _ => Err(Error::violation("lastEventId", "must be the eventId of a message")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_id_is_where_a_watch_goes_on() {
        for at in [Cursor::page(12), Cursor { change: 12, order: OrderId(base::id::new()) }] {
            assert_eq!(cursor(&event_id(at)).expect("is one"), at);
        }
        assert_eq!(cursor("").expect("the start"), Cursor::START);
        for wrong in ["x", "1-x", "-1-", "1.5"] {
            assert_eq!(cursor(wrong).expect_err(wrong).reason(), "INVALID_FIELD");
        }
    }

    #[test]
    fn a_page_comes_before_the_orders_of_its_change() {
        let order = Cursor { change: 12, order: OrderId(base::id::new()) };
        assert!(Cursor::START < Cursor::page(0) && Cursor::page(12) < order);
        assert!(order < Cursor::page(13));
    }
}
