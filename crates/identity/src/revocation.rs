//! Whose tokens are void before they expire, as the service that issues tokens
//! says it: watched in the background, looked up by every call.
//!
//! While the issuer is away, what was last known stays in force. Who starts
//! meanwhile knows of nobody until the issuer is back: for as long as a token
//! lives, at most.

use std::{
    collections::HashMap,
    sync::{
        Arc, PoisonError, RwLock,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, SystemTime},
};

use base::{Error, backoff::Backoff, id};
use rpc::Channel;
use tokio::time::{interval, sleep, timeout};
use tokio_util::sync::CancellationToken;
use tonic::{Request, Streaming};
use uuid::Uuid;

use self::v1::{Revocation, WatchRequest, WatchResponse, revocations_client::RevocationsClient};
use crate::auth::{Identity, seconds};

/// The contract of the watch, as compiled for this crate.
#[allow(
    missing_docs,
    unreachable_pub,
    clippy::pedantic,
    clippy::allow_attributes_without_reason,
    reason = "generated from revocations.proto"
)]
mod v1 {
    tonic::include_proto!("hansang.auth.v1");
}

/// How long a watch may take to open.
const OPEN: Duration = Duration::from_secs(5);
/// How often those are forgotten whose tokens have all expired.
const SWEEP: Duration = Duration::from_mins(1);

/// The subjects whose tokens are void. Cheap to clone; clones share what they know.
#[derive(Clone, Debug, Default)]
pub struct Revoked(Arc<Known>);

#[derive(Debug, Default)]
struct Known {
    /// Whether there is any: mostly there is none, and nobody has to share a lock to learn that.
    any: AtomicBool,
    subjects: RwLock<HashMap<Uuid, Void>>,
}

/// Which tokens of a subject are void.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Void {
    /// Those issued by then, in seconds since 1970 as tokens have it.
    pub issued_by: u64,
    /// When the last of them has expired by itself.
    pub until: SystemTime,
}

impl Revoked {
    /// True when the token that was issued then to this subject is void.
    pub fn contains(&self, subject: Uuid, issued: u64) -> bool {
        self.0.any.load(Ordering::Acquire)
            && self
                .0
                .subjects
                .read()
                .unwrap_or_else(PoisonError::into_inner)
                .get(&subject)
                .is_some_and(|void| issued <= void.issued_by)
    }

    /// Learns of more, and forgets those whose tokens have all expired by `now`.
    pub fn learn(&self, more: impl IntoIterator<Item = (Uuid, Void)>, now: SystemTime) {
        let mut subjects = self.0.subjects.write().unwrap_or_else(PoisonError::into_inner);
        for (subject, void) in more {
            let known = subjects.entry(subject).or_insert(void);
            known.issued_by = known.issued_by.max(void.issued_by);
            known.until = known.until.max(void.until);
        }
        subjects.retain(|_, void| void.until > now);
        self.0.any.store(!subjects.is_empty(), Ordering::Release);
    }
}

/// Keeps [`Revoked`] up to date.
pub struct Watcher {
    /// What is kept up to date.
    pub revoked: Revoked,
    /// The service that issues tokens.
    pub issuer: &'static str,
    /// The way to it.
    pub channel: Channel,
    /// Who asks.
    pub identity: Identity,
}

impl Watcher {
    /// Watches until told to stop; comes back by itself after outages.
    pub async fn run(self, stop: CancellationToken) {
        let mut backoff = Backoff::new(Duration::from_millis(50), Duration::from_secs(2));
        while let Some(Err(error)) = stop.run_until_cancelled(self.session(&mut backoff)).await {
            if backoff.is_fresh() {
                let issuer = self.issuer;
                tracing::warn!(%error, issuer, "revocations not updated, the last known ones stay in force");
            }
            stop.run_until_cancelled(sleep(backoff.pause())).await;
        }
    }

    /// Takes in what the issuer says; never ends well.
    async fn session(&self, backoff: &mut Backoff) -> Result<(), Error> {
        let slow = |_| Error::unavailable("ISSUER_SLOW", "the watch did not open in time");
        let mut stream = timeout(OPEN, self.open()).await.map_err(slow)??;
        backoff.reset();
        let mut sweep = interval(SWEEP);
        loop {
            let more = tokio::select! {
                message = stream.message() => message?
                    .ok_or_else(|| Error::unavailable("ISSUER_ENDED", "the issuer ended the watch"))?
                    .revocations,
                _ = sweep.tick() => Vec::new(),
            };
            let more = more.iter().map(read).collect::<Result<Vec<_>, _>>()?;
            self.revoked.learn(more, SystemTime::now());
        }
    }

    async fn open(&self) -> Result<Streaming<WatchResponse>, Error> {
        let mut request = Request::new(WatchRequest {});
        request.metadata_mut().insert("authorization", self.identity.bearer(SystemTime::now())?);
        let watch = RevocationsClient::new(self.channel.clone()).watch(request).await?;
        Ok(watch.into_inner())
    }
}

fn read(revocation: &Revocation) -> Result<(Uuid, Void), Error> {
    let subject = id::parse("subject", &revocation.subject)?;
    let until = revocation.expire_time.and_then(|time| time.try_into().ok());
    let until = until.ok_or_else(|| Error::violation("expire_time", "is required"))?;
    let issued_by = revocation.issued_by.and_then(|time| time.try_into().ok());
    Ok((subject, Void { issued_by: issued_by.map_or(u64::MAX, seconds), until }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_subject_is_remembered_until_its_last_token_has_expired() {
        let (revoked, now) = (Revoked::default(), SystemTime::now());
        let [one, two, three] = std::array::from_fn(|_| id::new());
        assert!(!revoked.contains(one, 0));
        let later = |seconds| now + Duration::from_secs(seconds);
        let all = |seconds| Void { issued_by: u64::MAX, until: later(seconds) };
        revoked.learn([(one, all(10)), (two, all(20))], now);
        let clone = revoked.clone();
        let void = |revoked: &Revoked| [one, two, three].map(|id| revoked.contains(id, 7));
        assert_eq!(void(&clone), [true, true, false]);
        // The issuer repeats what it said when the watch is opened anew.
        revoked.learn([(two, all(20)), (three, all(30))], later(10));
        assert_eq!(void(&clone), [false, true, true]);
        revoked.learn([], later(30));
        assert_eq!(void(&clone), [false; 3]);
        assert!(!revoked.0.any.load(Ordering::Acquire), "nobody takes the lock any more");
    }

    #[test]
    fn tokens_issued_later_are_good_until_more_is_void() {
        let (revoked, now) = (Revoked::default(), SystemTime::now());
        let (subject, until) = (id::new(), now + Duration::from_secs(10));
        let void = |issued_by| [(subject, Void { issued_by, until })];
        let by = |revoked: &Revoked| [6, 7, 8].map(|issued| revoked.contains(subject, issued));
        revoked.learn(void(7), now);
        assert_eq!(by(&revoked), [true, true, false]);
        revoked.learn(void(6), now);
        assert_eq!(by(&revoked), [true, true, false], "what was void stays void");
        revoked.learn(void(u64::MAX), now);
        assert_eq!(by(&revoked), [true; 3]);
    }
}
