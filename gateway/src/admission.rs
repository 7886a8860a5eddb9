//! Admission: what the gateway refuses before anything is read or called, so that
//! it costs next to nothing: what is over somebody's rate (429), and what would only
//! wait when too much is under way already (503). The rates and bounds are those of
//! `policies`; what matters most is refused last.
//!
//! How much is too much is learned. Each method has a limit that TCP Vegas sets
//! (Brakmo, Peterson 1995; Netflix's concurrency-limits, by the crate tower-acc):
//! it compares how long calls take with how long they take without a queue, grows
//! while there is none, and shrinks when one builds up. Up to `least_concurrency`
//! requests are let in whatever the limits say. What nobody minds to wait for is no queue,
//! and a method that rests for a second begins anew: a burst is served, and the next one.

use std::{
    collections::HashMap,
    hash::Hash,
    net::{IpAddr, Ipv6Addr, SocketAddr},
    sync::{
        LazyLock, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use axum::extract::ConnectInfo;
use base::{Error, error::Kind};
use governor::clock::{Clock as _, DefaultClock};
use http::request::Parts;
use identity::auth::Caller;
use prometheus_client::encoding::EncodeLabelSet;
use telemetry::Counters;
use tokio::time::Instant;
use tower_acc::{Algorithm as _, Vegas};
use transcoder::Route;

use crate::{
    ROUTES,
    policies::{Policies, Policy, Priority, Rates},
};

/// What a method's limit is before anything is known of it: a burst.
const FIRST_LIMIT: usize = 128;
/// A call that takes less has not waited for long, however quick its method is without a queue.
const QUICK: Duration = Duration::from_millis(5);
/// What was learned is forgotten when nothing was under way for so long.
const REST: Duration = Duration::from_secs(1);
/// Calls between two looks at how long one takes without a queue, per place of the limit.
const CALLS_PER_PROBE: usize = 1_000;

/// Counts what is under way.
pub(crate) struct Admission {
    /// Proxies in front that can be believed.
    proxies: usize,
    all: AtomicUsize,
    methods: HashMap<&'static str, Method>,
}

/// What is under way of one method, and how much may be.
#[derive(Debug)]
struct Method {
    under_way: AtomicUsize,
    limit: AtomicUsize,
    learned: Mutex<Learned>,
}

#[derive(Debug)]
struct Learned {
    vegas: Vegas,
    /// When the last call ended of those that were under way.
    rests: Instant,
}

/// A request's place among those under way, until dropped.
#[derive(Debug)]
pub(crate) struct Place<'a> {
    all: &'a AtomicUsize,
    method: &'a Method,
}

impl Place<'_> {
    /// Takes note of how long the call behind the request took: what the method's limit is made of.
    /// One that ran out of time is `late`; those that fail otherwise say nothing of the load.
    pub(crate) fn called(&self, took: Duration, late: bool) {
        let under_way = self.method.under_way.load(Ordering::Relaxed);
        let Learned { vegas, .. } = &mut *self.method.learned();
        vegas.update(took.max(QUICK), under_way, late, false);
        self.method.limit.store(vegas.max_concurrency(), Ordering::Relaxed);
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.all.fetch_sub(1, Ordering::Relaxed);
        let left = self.method.under_way.fetch_sub(1, Ordering::Relaxed) - 1;
        if left == 0 && self.method.has_learned() {
            self.method.learned().rests = Instant::now();
        }
    }
}

impl Method {
    fn new() -> Self {
        Self {
            under_way: AtomicUsize::new(0),
            limit: AtomicUsize::new(FIRST_LIMIT),
            learned: Mutex::new(Learned { vegas: vegas(), rests: Instant::now() }),
        }
    }

    /// Counts one more, and answers how many there were.
    fn enter(&self) -> usize {
        let same = self.under_way.fetch_add(1, Ordering::Relaxed);
        if same == 0 && self.has_learned() {
            let mut learned = self.learned();
            if learned.rests.elapsed() >= REST {
                learned.vegas = vegas();
                self.limit.store(FIRST_LIMIT, Ordering::Relaxed);
            }
        }
        same
    }

    fn has_learned(&self) -> bool {
        self.limit.load(Ordering::Relaxed) != FIRST_LIMIT
    }

    fn learned(&self) -> MutexGuard<'_, Learned> {
        self.learned.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn vegas() -> Vegas {
    // Bounded by what the policies say of all methods.
    let vegas = Vegas::builder().initial_limit(FIRST_LIMIT).max_limit(usize::from(u16::MAX));
    vegas.probe_multiplier(CALLS_PER_PROBE).build()
}

impl Admission {
    pub(crate) fn new(proxies: usize) -> Self {
        let methods = ROUTES.iter().map(|route| (route.method, Method::new())).collect();
        Self { proxies, all: AtomicUsize::new(0), methods }
    }

    /// Lets a request in, or says what is in the way.
    pub(crate) fn enter(
        &self,
        policies: &Policies,
        route: &Route,
        parts: &Parts,
    ) -> Result<Place<'_>, Error> {
        let policy = policies.of(route);
        if let Some(rates) = &policy.addresses
            && let Some(address) = self.client(parts)
        {
            check(rates, &network(address), "ip_rate", policy)?;
        }
        let share = |of: usize| match policy.priority {
            Priority::Low => (of / 2).max(1),
            Priority::Normal => (of / 5 * 4).max(1),
            Priority::High => of,
        };
        let method = self.methods.get(route.method).expect("each method of ROUTES has a count");
        let all = self.all.fetch_add(1, Ordering::Relaxed);
        let same = method.enter();
        let place = Place { all: &self.all, method };
        let full = all >= share(policies.concurrency)
            || policy.concurrency.is_some_and(|most| same >= most);
        let slow = all >= share(policies.least_concurrency)
            && same >= method.limit.load(Ordering::Relaxed);
        if full || slow {
            refused(if full { "concurrency" } else { "latency" }, policy);
            return Err(Error::unavailable("OVERLOADED", "too many requests are under way"));
        }
        Ok(place)
    }

    /// The client's address: the connection's, or what the outermost proxy that can be believed
    /// says of its own.
    fn client(&self, parts: &Parts) -> Option<IpAddr> {
        let connection =
            parts.extensions.get::<ConnectInfo<SocketAddr>>().map(|remote| remote.0.ip());
        if self.proxies == 0 {
            return connection;
        }
        // Each proxy adds the address that it was called from at the end.
        let hops = parts.headers.get_all("x-forwarded-for").iter();
        let hops = hops.filter_map(|hops| hops.to_str().ok()).flat_map(|hops| hops.split(','));
        let hops = hops.collect::<Vec<_>>();
        let hop = hops.len().checked_sub(self.proxies).and_then(|index| hops.get(index));
        hop.and_then(|hop| hop.trim().parse().ok()).or(connection)
    }
}

/// Refuses what is over a member's rate.
pub(crate) fn check_member(policy: &Policy, caller: &Caller) -> Result<(), Error> {
    match (&policy.members, caller) {
        (Some(rates), Caller::Member { id, .. }) => check(rates, id, "member_rate", policy),
        _ => Ok(()),
    }
}

fn check<K: Clone + Eq + Hash>(
    rates: &Rates<K>,
    key: &K,
    what: &'static str,
    policy: &Policy,
) -> Result<(), Error> {
    rates.check_key(key).map_err(|until| {
        refused(what, policy);
        let wait = until.wait_time_from(DefaultClock::default().now());
        Error::new(Kind::Exhausted, "RATE_LIMITED", "too many requests; slow down")
            .retry_after(wait.max(Duration::from_millis(1)))
    })
}

/// Who has one address of version 6 has 2^64 of them.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() >> 64 << 64)),
        v4 @ IpAddr::V4(_) => v4,
    }
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Labels {
    reason: &'static str,
    priority: &'static str,
}

static REFUSED: LazyLock<Counters<Labels>> = LazyLock::new(|| {
    telemetry::counters("hansang.gateway.refused", "Requests turned away at the door")
});

fn refused(reason: &'static str, policy: &Policy) {
    let priority = match policy.priority {
        Priority::Low => "low",
        Priority::Normal => "normal",
        Priority::High => "high",
    };
    REFUSED.get_or_create(&Labels { reason, priority }).inc();
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;
    use crate::route;

    fn from(address: &str, forwarded: &str) -> Parts {
        let mut request = Request::new(());
        request
            .extensions_mut()
            .insert(ConnectInfo(SocketAddr::from((address.parse::<IpAddr>().expect("ip"), 1))));
        if !forwarded.is_empty() {
            let value = forwarded.parse().expect("ascii");
            request.headers_mut().insert("x-forwarded-for", value);
        }
        request.into_parts().0
    }

    #[test]
    fn the_full_gateway_takes_what_matters_most() {
        let text = "concurrency = 10\nmethod.product.ListProducts.priority = 'low'";
        let policies = Policies::read(text).expect("is right");
        let admission = Admission::new(0);
        let parts = from("192.0.2.1", "");
        let enter = |method| admission.enter(&policies, route(method), &parts);
        let mut places = Vec::new();
        for (method, most) in [("/ListProducts", 5), ("/GetOrder", 8), ("/CancelOrder", 10)] {
            while let Ok(place) = enter(method) {
                places.push(place);
            }
            assert_eq!(places.len(), most, "{method}");
        }
        assert_eq!(enter("/CancelOrder").map(drop).expect_err("full").reason(), "OVERLOADED");
        places.clear();
        assert!(enter("/ListProducts").is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn a_method_whose_calls_queue_gets_less_and_more_again_later() {
        let policies = Policies::read("least_concurrency = 4").expect("is right");
        let admission = Admission::new(0);
        let parts = from("192.0.2.1", "");
        let fill = |method| {
            let enter = || admission.enter(&policies, route(method), &parts).ok();
            std::iter::from_fn(enter).collect::<Vec<_>>()
        };
        // As many as are let in call at once, so many times; so many are answered at a time, each within
        // 60 ms. Answers how many are let in then.
        let load = |times: usize, capacity: usize| {
            for _ in 0..times {
                let places = fill("/PlaceOrder");
                let turns = u32::try_from(places.len().div_ceil(capacity)).expect("few");
                for place in &places {
                    place.called(Duration::from_millis(60) * turns, false);
                }
            }
            fill("/PlaceOrder").len()
        };
        assert_eq!(fill("/PlaceOrder").len(), FIRST_LIMIT);
        assert!(load(1, 1_000) > FIRST_LIMIT);
        let shrunk = load(5, 8);
        assert!(shrunk < FIRST_LIMIT / 4, "{shrunk}");
        assert_eq!(fill("/GetOrder").len(), FIRST_LIMIT, "the others have their own");
        let grown = load(10, 1_000);
        assert!(grown > shrunk * 2, "{grown} after {shrunk}");
        let shrunk = load(5, 8);
        assert!(shrunk < FIRST_LIMIT / 4, "{shrunk}");
        tokio::time::advance(REST).await;
        assert_eq!(fill("/PlaceOrder").len(), FIRST_LIMIT, "it has rested");
    }

    #[test]
    fn what_is_quick_is_no_queue() {
        let policies = Policies::read("least_concurrency = 4").expect("is right");
        let admission = Admission::new(0);
        let parts = from("192.0.2.1", "");
        let enter = || admission.enter(&policies, route("/GetOrder"), &parts).ok();
        let fill = || std::iter::from_fn(enter).collect::<Vec<_>>();
        for took in [1, 4, 4, 4] {
            for place in fill() {
                place.called(Duration::from_millis(took), false);
            }
        }
        assert!(fill().len() >= FIRST_LIMIT);
    }

    #[test]
    fn the_least_is_let_in_whatever_the_limits_are() {
        let policies = Policies::read("").expect("is right");
        let admission = Admission::new(0);
        let parts = from("192.0.2.1", "");
        let enter = || admission.enter(&policies, route("/PlaceOrder"), &parts).ok();
        let fill = || std::iter::from_fn(enter).collect::<Vec<_>>();
        for took in [1, 1_000, 1_000, 1_000] {
            for place in fill() {
                place.called(Duration::from_millis(took), took > 1);
            }
        }
        assert_eq!(fill().len(), policies.least_concurrency);
    }

    #[test]
    fn one_method_may_have_a_limit_of_its_own() {
        let policies = Policies::read("method.order.PlaceOrder.concurrency = 1").expect("is right");
        let admission = Admission::new(0);
        let parts = from("192.0.2.1", "");
        let enter = |method| admission.enter(&policies, route(method), &parts);
        let place = enter("/PlaceOrder").expect("the first");
        assert!(enter("/PlaceOrder").is_err());
        assert!(enter("/GetOrder").is_ok());
        drop(place);
        assert!(enter("/PlaceOrder").is_ok());
    }

    #[test]
    fn an_address_has_its_rate_however_many_of_its_network_it_uses() {
        let text = "method.product.GetProduct.ip_rate = { per_second = 1, burst = 1 }";
        let policies = Policies::read(text).expect("is right");
        let admission = Admission::new(0);
        let get = |address| {
            let entered = admission.enter(&policies, route("/GetProduct"), &from(address, ""));
            entered.map(drop).map_err(|error| error.kind())
        };
        assert_eq!(get("192.0.2.1"), Ok(()));
        assert_eq!(get("192.0.2.1"), Err(Kind::Exhausted));
        assert_eq!(get("192.0.2.2"), Ok(()));
        assert_eq!(get("2001:db8::1"), Ok(()));
        assert_eq!(get("2001:db8::2"), Err(Kind::Exhausted));
    }

    #[test]
    fn only_proxies_of_ours_say_who_the_client_is() {
        let client = |proxies, forwarded| {
            let client = Admission::new(proxies).client(&from("192.0.2.9", forwarded));
            client.expect("an address").to_string()
        };
        assert_eq!(client(0, "10.0.0.1"), "192.0.2.9");
        assert_eq!(client(1, "forged, 10.0.0.1"), "10.0.0.1");
        assert_eq!(client(2, "10.0.0.1, 10.0.0.2"), "10.0.0.1");
        assert_eq!(client(1, ""), "192.0.2.9", "it came around the proxy");
    }
}
