//! Policies: how each method is called and how much of it is let in. The built-in
//! ones (`policies.toml`, which explains them) with a file laid over them, read
//! again when it changes; one that is wrong is refused, and the one before stays.
//! Turns nothing away itself: that is `admission`.

use std::{
    collections::{BTreeMap, HashMap},
    fs, iter,
    net::IpAddr,
    num::{NonZeroU32, NonZeroUsize},
    path::PathBuf,
    sync::{Arc, LazyLock, OnceLock},
    time::Duration,
};

use base::{Error, error::Kind};
use governor::{DefaultKeyedRateLimiter, Quota};
use prometheus_client::encoding::EncodeLabelSet;
use rpc::{BreakerLimits, Class};
use serde::Deserialize;
use telemetry::Counters;
use tokio::{sync::watch, time::interval};
use uuid::Uuid;

use transcoder::Route;

use crate::ROUTES;

const BUILT_IN: &str = include_str!("../policies.toml");
/// How often the file is looked at, and counts that have run out are forgotten.
const LOOK: Duration = Duration::from_secs(1);

/// Who has how much left, by the generic cell rate algorithm.
pub(crate) type Rates<K> = DefaultKeyedRateLimiter<K>;

/// What a method is worth when the gateway is full.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Priority {
    /// Turned away first.
    Low,
    /// Most methods.
    Normal,
    /// Turned away last.
    High,
}

/// How one method is called, and how much of it is let in.
#[derive(Debug)]
pub(crate) struct Policy {
    /// How long a request may take, if that is not what is configured for all.
    pub(crate) timeout: Option<Duration>,
    /// Retries and breaker.
    pub(crate) calling: rpc::Policy,
    /// What it is worth.
    pub(crate) priority: Priority,
    /// Requests under way at once.
    pub(crate) concurrency: Option<usize>,
    /// What a member may ask.
    pub(crate) members: Option<Arc<Rates<Uuid>>>,
    /// What an address may ask.
    pub(crate) addresses: Option<Arc<Rates<IpAddr>>>,
}

/// The policies of all methods.
#[derive(Debug)]
pub(crate) struct Policies {
    /// Requests under way at once, of all methods.
    pub(crate) concurrency: usize,
    /// Requests that may be under way at once however slow the services have become.
    pub(crate) least_concurrency: usize,
    methods: HashMap<&'static str, Policy>,
    members: Vec<Arc<Rates<Uuid>>>,
    addresses: Vec<Arc<Rates<IpAddr>>>,
}

/// A file, as it is written.
#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct File {
    concurrency: Option<NonZeroUsize>,
    least_concurrency: Option<NonZeroUsize>,
    default: Table,
    service: BTreeMap<String, Table>,
    method: BTreeMap<String, BTreeMap<String, Table>>,
}

/// What it says of one method, or of several; the rest is left open.
#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Table {
    timeout_ms: Option<NonZeroU32>,
    attempts: Option<NonZeroU32>,
    backoff_ms: Option<u32>,
    max_backoff_ms: Option<u32>,
    class: Option<String>,
    breaker: Breaker,
    priority: Option<Priority>,
    concurrency: Option<NonZeroUsize>,
    member_rate: Option<Rate>,
    ip_rate: Option<Rate>,
    /// The counts for those rates: all methods that the table speaks for share them.
    #[serde(skip)]
    members: OnceLock<Arc<Rates<Uuid>>>,
    #[serde(skip)]
    addresses: OnceLock<Arc<Rates<IpAddr>>>,
}

/// What it says of the circuit breaker.
#[derive(Clone, Copy, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Breaker {
    window_ms: Option<NonZeroU32>,
    least_calls: Option<NonZeroU32>,
    failed_percent: Option<NonZeroU32>,
    slow_ms: Option<NonZeroU32>,
    slow_percent: Option<NonZeroU32>,
    open_ms: Option<NonZeroU32>,
    probes: Option<NonZeroU32>,
}

impl Breaker {
    /// The limits that the narrowest of the tables says, for each.
    fn limits(tables: &[&Table]) -> BreakerLimits {
        let usual = BreakerLimits::default();
        let number = |get: fn(&Self) -> Option<NonZeroU32>, usual| {
            tables.iter().find_map(|table| get(&table.breaker)).map_or(usual, NonZeroU32::get)
        };
        let millis = |get: fn(&Self) -> Option<NonZeroU32>, usual| {
            let millis = tables.iter().find_map(|table| get(&table.breaker));
            millis.map_or(usual, |millis| Duration::from_millis(millis.get().into()))
        };
        BreakerLimits {
            window: millis(|breaker| breaker.window_ms, usual.window),
            least_calls: number(|breaker| breaker.least_calls, usual.least_calls),
            failed_percent: number(|breaker| breaker.failed_percent, usual.failed_percent),
            slow: millis(|breaker| breaker.slow_ms, usual.slow),
            slow_percent: number(|breaker| breaker.slow_percent, usual.slow_percent),
            open: millis(|breaker| breaker.open_ms, usual.open),
            probes: number(|breaker| breaker.probes, usual.probes),
        }
    }
}

#[derive(Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields)]
struct Rate {
    per_second: NonZeroU32,
    burst: NonZeroU32,
}

impl From<Rate> for Quota {
    fn from(rate: Rate) -> Self {
        Self::per_second(rate.per_second).allow_burst(rate.burst)
    }
}

impl File {
    fn read(text: &str) -> Result<Self, String> {
        let file = toml::Deserializer::parse(text).map_err(|error| error.message().to_owned())?;
        let file: Self = serde_path_to_error::deserialize(file)
            .map_err(|error| format!("{}: {}", error.path(), error.inner().message()))?;
        for service in file.service.keys().chain(file.method.keys()) {
            if !ROUTES.iter().any(|route| route.service == service) {
                return Err(format!("{service}: there is no such service"));
            }
        }
        for (service, methods) in &file.method {
            for method in methods.keys() {
                let known = |route: &Route| route.service == service && name(route) == method;
                if !ROUTES.iter().any(known) {
                    return Err(format!("method.{service}.{method}: there is no such method"));
                }
            }
        }
        Ok(file)
    }

    fn tables(&self) -> impl Iterator<Item = &Table> {
        let methods = self.method.values().flat_map(BTreeMap::values);
        iter::once(&self.default).chain(self.service.values()).chain(methods)
    }

    fn method(&self, route: &Route) -> Option<&Table> {
        self.method.get(route.service)?.get(name(route))
    }
}

/// `CancelOrder`.
fn name(route: &Route) -> &'static str {
    route.method.rsplit_once('/').map_or(route.method, |(_, name)| name)
}

impl Policies {
    /// The built-in policies with a file's text laid over them.
    pub(crate) fn read(text: &str) -> Result<Self, String> {
        let files = [File::read(text)?, File::read(BUILT_IN)?];
        let number = |get: fn(&File) -> Option<NonZeroUsize>| {
            files.iter().find_map(get).map_or(usize::MAX, NonZeroUsize::get)
        };
        let (concurrency, least_concurrency) =
            (number(|file| file.concurrency), number(|file| file.least_concurrency));
        let policy = |route: &'static Route| (route.method, Policy::of(route, &files));
        let methods = ROUTES.iter().map(policy).collect();
        let tables = || files.iter().flat_map(File::tables);
        Ok(Self {
            concurrency,
            least_concurrency,
            methods,
            members: tables().filter_map(|table| table.members.get().cloned()).collect(),
            addresses: tables().filter_map(|table| table.addresses.get().cloned()).collect(),
        })
    }

    /// The policy of a route's method.
    pub(crate) fn of(&self, route: &Route) -> &Policy {
        self.methods.get(route.method).expect("each method of ROUTES has one")
    }

    /// Forgets those who have all of their rate left.
    fn forget(&self) {
        self.members.iter().for_each(|rates| rates.retain_recent());
        self.addresses.iter().for_each(|rates| rates.retain_recent());
    }
}

impl Policy {
    /// What the narrowest table says, for each thing; of two files the first counts.
    fn of(route: &Route, files: &[File]) -> Self {
        let methods = files.iter().filter_map(|file| file.method(route));
        let services = files.iter().filter_map(|file| file.service.get(route.service));
        let defaults = files.iter().map(|file| &file.default);
        let tables = methods.chain(services).chain(defaults).collect::<Vec<_>>();
        let millis = |get: fn(&Table) -> Option<u32>| {
            let millis = tables.iter().find_map(|table| get(table));
            millis.map(|millis| Duration::from_millis(millis.into()))
        };
        let class = if route.verb.is_safe() { Class::READ } else { Class::WRITE };
        let usual = rpc::Policy::default();
        let attempts = tables.iter().find_map(|table| table.attempts);
        Self {
            timeout: millis(|table| table.timeout_ms.map(NonZeroU32::get)),
            calling: rpc::Policy {
                attempts: attempts.map_or(usual.attempts, NonZeroU32::get),
                backoff: millis(|table| table.backoff_ms).unwrap_or(usual.backoff),
                max_backoff: millis(|table| table.max_backoff_ms).unwrap_or(usual.max_backoff),
                class: tables
                    .iter()
                    .find_map(|table| table.class.as_deref())
                    .map_or(class, Class::named),
                breaker: Breaker::limits(&tables),
            },
            priority: tables.iter().find_map(|table| table.priority).unwrap_or(Priority::Normal),
            concurrency: tables.iter().find_map(|table| table.concurrency).map(NonZeroUsize::get),
            members: tables.iter().find_map(|table| {
                let quota = table.member_rate?.into();
                Some(Arc::clone(table.members.get_or_init(|| Arc::new(Rates::keyed(quota)))))
            }),
            addresses: tables.iter().find_map(|table| {
                let quota = table.ip_rate?.into();
                Some(Arc::clone(table.addresses.get_or_init(|| Arc::new(Rates::keyed(quota)))))
            }),
        }
    }
}

/// The policies that hold now. The file at `path` (none: empty) is read at once, when an error is
/// one of the start, and again whenever it changes. Needs a tokio runtime.
pub(crate) fn follow(path: &str) -> Result<watch::Receiver<Arc<Policies>>, Error> {
    let path = (!path.is_empty()).then(|| PathBuf::from(path));
    let text = match &path {
        Some(path) => fs::read_to_string(path).map_err(|error| error.to_string()),
        None => Ok(String::new()),
    };
    let read = text.as_deref().map_err(Clone::clone).and_then(Policies::read);
    let first = read.map_err(|why| {
        let path = path.as_deref().unwrap_or("".as_ref()).display();
        Error::new(Kind::Invalid, "CONFIGURATION", format!("http.policies: {path}: {why}"))
    })?;
    let (publish, current) = watch::channel(Arc::new(first));
    tokio::spawn(keep(path, text, publish));
    Ok(current)
}

/// Looks at the file again and again: at what is in it, since what is mounted on Kubernetes changes
/// by a symbolic link. Ends when nobody asks for policies any more.
async fn keep(
    path: Option<PathBuf>,
    mut last: Result<String, String>,
    publish: watch::Sender<Arc<Policies>>,
) {
    let mut look = interval(LOOK);
    loop {
        tokio::select! {
            () = publish.closed() => return,
            _ = look.tick() => publish.borrow().forget(),
        }
        let Some(path) = &path else { continue };
        let text = tokio::fs::read_to_string(path).await.map_err(|error| error.to_string());
        if text == last {
            continue;
        }
        match text.as_deref().map_err(Clone::clone).and_then(Policies::read) {
            Ok(policies) => {
                publish.send_replace(Arc::new(policies));
                tracing::info!(path = %path.display(), "policies reloaded");
                count("taken");
            }
            Err(why) => {
                tracing::error!(path = %path.display(), why, "invalid policies file ignored, the previous policies stay in force");
                count("refused");
            }
        }
        last = text;
    }
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Labels {
    outcome: &'static str,
}

static CHANGES: LazyLock<Counters<Labels>> = LazyLock::new(|| {
    let help = "Changes of the file of policies, taken or refused";
    telemetry::counters("hansang.gateway.policies.changes", help)
});

fn count(outcome: &'static str) {
    CHANGES.get_or_create(&Labels { outcome }).inc();
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::route;

    fn read(text: &str) -> Policies {
        Policies::read(text).expect("is right")
    }

    #[test]
    fn the_built_in_policies_shed_payments_and_cancels_last() {
        let policies = read("");
        for method in ["/PlaceOrder", "/CancelOrder", "/ConfirmDeposit", "/TopUpWallet"] {
            assert_eq!(policies.of(route(method)).priority, Priority::High, "{method}");
        }
        let list = policies.of(route("/ListProducts"));
        assert_eq!((list.priority, list.calling.class), (Priority::Normal, Class::READ));
        assert_eq!(policies.of(route("/PlaceOrder")).calling.class, Class::WRITE);
    }

    #[test]
    fn the_narrower_table_counts_and_leaves_the_rest_to_the_wider() {
        let policies = read(
            "default = { timeout_ms = 900, attempts = 5 }\n\
             service.order = { timeout_ms = 800, class = 'orders' }\n\
             method.order.GetOrder = { timeout_ms = 700 }",
        );
        let of = |method| {
            let policy = policies.of(route(method));
            let timeout = policy.timeout.expect("set").as_millis();
            (timeout, policy.calling.attempts, policy.calling.class.name())
        };
        assert_eq!(of("/GetOrder"), (700, 5, "orders"));
        assert_eq!(of("/ListOrders"), (800, 5, "orders"));
        assert_eq!(of("/GetProduct"), (900, 5, "read"));
        assert_eq!(policies.of(route("/CancelOrder")).priority, Priority::High, "built in");
    }

    #[test]
    fn a_breaker_is_put_together_of_what_the_tables_say() {
        let policies = read(
            "default.breaker.open_ms = 5000\n\
             method.order.PlaceOrder.breaker = { slow_ms = 900, failed_percent = 20 }",
        );
        let of = |method| policies.of(route(method)).calling.breaker;
        let (place, get) = (of("/PlaceOrder"), of("/GetOrder"));
        assert_eq!((place.slow.as_millis(), place.failed_percent), (900, 20));
        assert_eq!((get.slow, get.failed_percent), (Duration::from_secs(3), 50), "built in");
        assert_eq!([place.open, get.open], [Duration::from_secs(5); 2]);
    }

    #[test]
    fn methods_of_one_table_share_its_rate() {
        let policies = read("service.order.member_rate = { per_second = 1, burst = 2 }");
        let member = Uuid::now_v7();
        let ask = |method, member| {
            let rates = policies.of(route(method)).members.as_ref().expect("a rate");
            rates.check_key(&member).is_ok()
        };
        assert!(ask("/GetOrder", member) && ask("/ListOrders", member));
        assert!(!ask("/GetOrder", member));
        assert!(ask("/GetOrder", Uuid::now_v7()), "another member has their own");
        assert!(policies.of(route("/GetProduct")).members.is_none());
    }

    #[test]
    fn who_has_all_of_their_rate_left_is_forgotten() {
        let policies = read("default.member_rate = { per_second = 1000, burst = 1 }");
        let rates = policies.of(route("/GetOrder")).members.as_ref().expect("a rate");
        rates.check_key(&Uuid::now_v7()).expect("the first");
        let begun = std::time::Instant::now();
        while !rates.is_empty() {
            policies.forget();
            assert!(begun.elapsed() < Duration::from_secs(10), "still {} known", rates.len());
        }
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (text, why) in [
            ("colour = 1", "colour"),
            ("default.attempts = 0", "default.attempts: "),
            ("service.kitchen = {}", "kitchen: there is no such service"),
            ("method.order.Eat = {}", "method.order.Eat: there is no such method"),
            ("method.order.GetOrder.priority = 'urgent'", "method.order.GetOrder.priority: "),
            ("default.ip_rate = { per_second = 1 }", "burst"),
            ("default.breaker.probes = 0", "default.breaker.probes: "),
            ("default = ", "string values must be quoted"),
        ] {
            let error = Policies::read(text).expect_err("is wrong");
            assert!(error.contains(why) && !error.contains('\n'), "{text}: {error}");
        }
    }
}
