//! The public, and what stands in front of the gateways: an open load, of which each
//! request goes to a gateway that says that it is ready.
//!
//! A request is due at its time, whatever becomes of those before. One that fails is
//! asked again with the same idempotency key, as a client does that lost its
//! connection; it has failed all the same.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use app::{load::Report, rest::Rest};
use http::Method;
use serde_json::{Value, json};
use tokio::{
    task::JoinSet,
    time::{Instant, interval, sleep, timeout},
};

/// How often the front looks whether a gateway is ready, and how long it waits for the answer.
const PROBE: Duration = Duration::from_millis(100);
const PROBED: Duration = Duration::from_secs(1);
/// A client asks again after this, and gives up in the end.
const AGAIN: Duration = Duration::from_millis(200);
const PATIENCE: Duration = Duration::from_secs(20);

/// Sends each request to a gateway that is ready, in turn: what a Service of Kubernetes is.
pub(crate) struct Front {
    gateways: Arc<[Gateway]>,
    turn: AtomicUsize,
    _probes: JoinSet<()>,
}

struct Gateway {
    base: String,
    ready: AtomicBool,
}

/// Those who ask.
pub(crate) struct Clients {
    front: Arc<Front>,
    product: String,
    members: Vec<(String, Rest)>,
    pause: Duration,
    /// How many were asked so far.
    number: usize,
}

/// What happened to the requests of a phase.
pub(crate) struct Phase {
    /// How they were answered at first; from when they were due.
    pub(crate) first: Report,
    /// How those failed that did.
    pub(crate) failures: BTreeMap<String, u64>,
    /// Of those, the ones that were not answered later either.
    pub(crate) never: u64,
    /// From when a request was due to its answer, for those that were asked again.
    pub(crate) longest: Duration,
    /// Orders that were taken, at first or later.
    pub(crate) ordered: u64,
}

/// One request, by somebody.
struct Ask {
    who: Rest,
    method: Method,
    path: String,
    body: Option<Value>,
    key: String,
}

/// What became of one request.
struct Outcome {
    /// The status of the first answer, if there was one, and when.
    first: (Option<u16>, Duration),
    /// How it failed at first.
    failure: Option<String>,
    /// When it was answered well, at first or later.
    done: Option<Duration>,
    is_order: bool,
}

impl Front {
    /// In front of the gateways that there may be.
    pub(crate) fn open(gateways: Vec<SocketAddr>) -> Arc<Self> {
        let gateway = |http| Gateway { base: format!("http://{http}"), ready: false.into() };
        let gateways: Arc<[Gateway]> = gateways.into_iter().map(gateway).collect();
        let mut probes = JoinSet::new();
        for number in 0..gateways.len() {
            let gateways = Arc::clone(&gateways);
            probes.spawn(async move { gateways[number].probe().await });
        }
        Arc::new(Self { gateways, turn: AtomicUsize::new(0), _probes: probes })
    }

    /// A gateway, once there is one.
    pub(crate) async fn first_ready(&self) -> String {
        loop {
            match self.next() {
                Some(base) => return base.to_owned(),
                None => sleep(PROBE).await,
            }
        }
    }

    fn next(&self) -> Option<&str> {
        let turn = self.turn.fetch_add(1, Ordering::Relaxed);
        let ready = self.gateways.iter().filter(|gateway| gateway.ready.load(Ordering::Relaxed));
        let ready: Vec<_> = ready.collect();
        Some(&ready.get(turn.checked_rem(ready.len())?)?.base)
    }
}

impl Gateway {
    async fn probe(&self) {
        let rest = Rest::new(&self.base);
        loop {
            let answer = timeout(PROBED, rest.get("/readyz")).await;
            let ready = answer.is_ok_and(|answer| answer.is_ok_and(|it| it.status.is_success()));
            self.ready.store(ready, Ordering::Relaxed);
            sleep(PROBE).await;
        }
    }
}

impl Clients {
    pub(crate) fn new(
        front: Arc<Front>,
        product: String,
        members: Vec<(String, Rest)>,
        rate: u32,
    ) -> Self {
        Self { front, product, members, pause: Duration::from_secs(1) / rate, number: 0 }
    }

    /// Asks until this has come to its end, and waits for the last answer.
    pub(crate) async fn ask_during(&mut self, happening: impl Future<Output = ()>) -> Phase {
        let mut phase = Phase {
            first: Report::new().expect("a histogram"),
            failures: BTreeMap::new(),
            never: 0,
            longest: Duration::ZERO,
            ordered: 0,
        };
        let begun = Instant::now();
        let mut happening = pin!(happening);
        let mut due = interval(self.pause);
        let mut asked = JoinSet::new();
        loop {
            tokio::select! {
                () = &mut happening => break,
                due = due.tick() => {
                    let ask = self.next();
                    asked.spawn(ask.go(Arc::clone(&self.front), due));
                }
                Some(outcome) = asked.join_next() => phase.add(outcome.expect("it was asked")),
            }
        }
        phase.first.took = begun.elapsed();
        while let Some(outcome) = asked.join_next().await {
            phase.add(outcome.expect("it was asked"));
        }
        phase
    }

    /// Of ten requests four read a product, two My Page, two its orders, and two order.
    fn next(&mut self) -> Ask {
        self.number += 1;
        // By somebody else each time the ten are through.
        let (id, who) = &self.members[self.number / 10 % self.members.len()];
        let read = |path| (Method::GET, path, None);
        let (method, path, body) = match self.number % 10 {
            0 | 2 | 5 | 7 => read(format!("/v1/products/{}", self.product)),
            1 | 6 => read(format!("/v1/mypage/{id}")),
            3 | 8 => read(format!("/v1/mypage/{id}/orders?pageSize=10")),
            _ => {
                let lines = json!([{ "productId": self.product, "quantity": 1 }]);
                let order = json!({ "paymentMethod": "WALLET", "lines": lines });
                (Method::POST, "/v1/orders".to_owned(), Some(order))
            }
        };
        let key = format!("rolling-{}", self.number);
        Ask { who: who.clone(), method, path, body, key }
    }
}

impl Ask {
    /// Asks until it is answered well, or for too long.
    async fn go(self, front: Arc<Front>, due: Instant) -> Outcome {
        let (status, mut failure) = self.once(&front).await;
        let mut outcome = Outcome {
            first: (status, due.elapsed()),
            failure: failure.clone(),
            done: None,
            is_order: self.method == Method::POST,
        };
        while failure.is_some() && due.elapsed() < PATIENCE {
            sleep(AGAIN).await;
            (_, failure) = self.once(&front).await;
        }
        outcome.done = failure.is_none().then(|| due.elapsed());
        outcome
    }

    /// The status, and how it failed, if it did.
    async fn once(&self, front: &Front) -> (Option<u16>, Option<String>) {
        let Some(base) = front.next() else {
            return (None, Some("no gateway is ready".to_owned()));
        };
        let key = [("idempotency-key", self.key.as_str())];
        let headers = if self.body.is_some() { key.as_slice() } else { &[] };
        let rest = self.who.at(base);
        let answer = rest.send(self.method.clone(), &self.path, self.body.clone(), headers).await;
        match answer {
            Ok(answer) if answer.status.is_success() => (Some(answer.status.as_u16()), None),
            Ok(answer) => {
                let status = answer.status.as_u16();
                let how = [answer.text("reason"), answer.text("detail")].join(" ");
                (Some(status), Some(format!("{} {} {status} {how}", self.method, self.kind())))
            }
            Err(error) => {
                let cause = error.root_cause();
                (None, Some(format!("{} {} lost: {cause}", self.method, self.kind())))
            }
        }
    }

    /// Of what it is, without whose.
    fn kind(&self) -> &str {
        self.path.split('/').nth(2).unwrap_or_default()
    }
}

impl Phase {
    fn add(&mut self, outcome: Outcome) {
        let Outcome { first: (status, after), failure, done, is_order } = outcome;
        match status {
            Some(status) => self.first.answer(status, after),
            None => self.first.lost += 1,
        }
        self.ordered += u64::from(is_order && done.is_some());
        if let Some(failure) = failure {
            *self.failures.entry(failure).or_default() += 1;
            self.never += u64::from(done.is_none());
            self.longest = self.longest.max(done.unwrap_or_default());
        }
    }

    pub(crate) fn sent(&self) -> u64 {
        self.first.answered() + self.first.lost
    }

    /// Those that were not answered with 2xx when they were first asked.
    pub(crate) fn failed(&self) -> u64 {
        self.sent() - self.first.succeeded()
    }

    /// The share of the others, percent.
    #[expect(clippy::cast_precision_loss, reason = "2^52 requests are enough")]
    pub(crate) fn availability(&self) -> f64 {
        self.first.succeeded() as f64 / self.sent().max(1) as f64 * 100.0
    }
}
