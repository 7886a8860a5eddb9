//! Sources: which of the services that My Page hears from answer just now. They are asked for their health
//! in the background, and only while somebody looks at My Page: at rest nobody is asked, and no request
//! waits for a service that is frozen.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use base::Error;
use futures_util::future::join_all;
use rpc::Peer;
use server::ServiceBuilder;
use tokio::{
    sync::{Notify, watch},
    time::{Instant, sleep, timeout},
};
use tokio_util::sync::CancellationToken;

/// All of them.
const SERVICES: [&str; 8] =
    ["coupon", "delivery", "member", "mileage", "notification", "order", "payment", "product"];

/// How often they are asked.
const POLL_INTERVAL: Duration = Duration::from_secs(2);
/// How long they may take to answer; of two answers one has to be good, as a replica may be on its way out.
const TIMEOUT: Duration = Duration::from_millis(500);
/// The same, while somebody waits for the first answers; then they are asked again at once.
const FIRST_TIMEOUT: Duration = Duration::from_millis(250);
/// The longest that a request waits for the first answers.
const FIRST_WAIT: Duration = Duration::from_millis(300);
/// So long after the last look they are not asked any more.
const WATCHED_FOR: Duration = Duration::from_mins(1);

/// Services that can be called, by their names.
pub(crate) type Peers = Arc<[(&'static str, Peer)]>;

/// The services that My Page hears from.
pub(crate) fn peers(builder: &ServiceBuilder<'_>) -> Result<Peers, Error> {
    SERVICES.iter().map(|service| Ok((*service, builder.peer(service)?))).collect()
}

/// Those that do not answer; none while nobody has looked.
pub(crate) type Unavailable = Option<BTreeSet<&'static str>>;

/// What is known of them. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Sources(Arc<Inner>);

struct Inner {
    peers: Peers,
    known: watch::Sender<Unavailable>,
    looked: Mutex<Option<Instant>>,
    /// Notified when somebody looks.
    look: Notify,
}

impl Sources {
    /// Somebody has to [`run`](Self::run) it.
    pub(crate) fn new(peers: Peers) -> Self {
        let (known, _) = watch::channel(None);
        Self(Arc::new(Inner { peers, known, looked: Mutex::default(), look: Notify::new() }))
    }

    /// Those that do not answer, as of a moment ago.
    pub(crate) async fn unavailable(&self) -> Vec<String> {
        let mut known = self.watch();
        match timeout(FIRST_WAIT, known.wait_for(Option::is_some)).await {
            Ok(Ok(known)) => names(&known),
            // Too busy to have asked: nothing is known to be unavailable.
            _ => Vec::new(),
        }
    }

    /// The same, as it changes. Whoever keeps it goes on looking.
    pub(crate) fn watch(&self) -> watch::Receiver<Unavailable> {
        *self.0.looked.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
        self.0.look.notify_one();
        self.0.known.subscribe()
    }

    /// Asks while somebody looks, until the process closes.
    pub(crate) async fn run(self, closing: CancellationToken) {
        let _ = closing.run_until_cancelled(self.ask_while_looked_at()).await;
    }

    async fn ask_while_looked_at(&self) {
        loop {
            self.0.look.notified().await;
            let mut patience = FIRST_TIMEOUT;
            while self.is_looked_at() {
                let unavailable = self.ask(patience).await;
                let hasty = patience == FIRST_TIMEOUT && !unavailable.is_empty();
                self.0.known.send_if_modified(|known| {
                    known.as_ref() != Some(&unavailable) && {
                        *known = Some(unavailable);
                        true
                    }
                });
                patience = TIMEOUT;
                if !hasty {
                    sleep(POLL_INTERVAL).await;
                }
            }
            // Nobody is told: whoever looks next finds out anew.
            self.0.known.send_replace(None);
        }
    }

    fn is_looked_at(&self) -> bool {
        let looked = *self.0.looked.lock().unwrap_or_else(PoisonError::into_inner);
        self.0.known.receiver_count() > 0 || looked.is_some_and(|at| at.elapsed() < WATCHED_FOR)
    }

    /// Asks all of them at once.
    async fn ask(&self, within: Duration) -> BTreeSet<&'static str> {
        let asked = self.0.peers.iter().map(async |(service, peer)| {
            let healthy =
                peer.is_healthy(within).await || within == TIMEOUT && peer.is_healthy(within).await;
            (!healthy).then_some(*service)
        });
        join_all(asked).await.into_iter().flatten().collect()
    }
}

/// As messages have them.
pub(crate) fn names(unavailable: &Unavailable) -> Vec<String> {
    unavailable.iter().flatten().map(|service| (*service).to_owned()).collect()
}
