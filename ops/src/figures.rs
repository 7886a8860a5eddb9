//! From the readings of all processes to the figures of the page: what several
//! processes count is added up; where each has its own view of one thing (how far a
//! log has come), the furthest counts, as in the chart's rules. Pure.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, SystemTime},
};

use telemetry::{Point, Reading, Value};

use super::deployment::{Health, Look};

/// Recent traces that are shown.
const TRACES: usize = 12;

/// What the page shows.
pub(super) struct Figures {
    pub(super) at: SystemTime,
    pub(super) services: Vec<Service>,
    /// By verb and route.
    pub(super) requests: BTreeMap<(String, String), Calls>,
    pub(super) breakers: Vec<Breaker>,
    /// By consumer and source.
    pub(super) consumers: BTreeMap<(String, String), Consumer>,
    /// Orders by state.
    pub(super) sagas: BTreeMap<String, f64>,
    /// By service.
    pub(super) tasks: BTreeMap<String, Tasks>,
    /// The newest first.
    pub(super) traces: Vec<Trace>,
    /// Processes by name, with how many there are, their versions, and memory in bytes.
    pub(super) processes: Vec<(String, String, f64)>,
}

/// A service at one of its endpoints.
pub(super) struct Service {
    pub(super) name: String,
    pub(super) endpoint: String,
    pub(super) health: Health,
    /// Of the service at all endpoints together; at its first alone.
    pub(super) calls: Option<Calls>,
}

/// How many there were, and how long they took.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Calls {
    pub(super) count: u64,
    /// Those that the caller got wrong.
    pub(super) refused: u64,
    /// Those that we did.
    pub(super) failed: u64,
    /// Seconds, each with the cases up to there.
    pub(super) buckets: Vec<(f64, u64)>,
}

/// How a process sees an upstream.
pub(super) struct Breaker {
    pub(super) process: String,
    pub(super) upstream: String,
    pub(super) class: String,
    /// 0 closed, 1 probing, 2 open.
    pub(super) state: f64,
}

/// How far a consumer has come in a log.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Consumer {
    pub(super) head: f64,
    pub(super) position: f64,
    pub(super) lag_seconds: f64,
    pub(super) parked: f64,
    /// Partitions that stopped, as the source has lost what was applied of them.
    pub(super) lost: f64,
}

impl Consumer {
    /// Events that wait to be applied.
    pub(super) fn behind(&self) -> f64 {
        (self.head - self.position).max(0.0)
    }
}

/// What a service still has to do.
#[derive(Default)]
pub(super) struct Tasks {
    pub(super) waiting: f64,
    pub(super) overdue_seconds: f64,
}

/// A recent request that somebody keeps the trace of.
pub(super) struct Trace {
    pub(super) id: String,
    pub(super) what: String,
    pub(super) took: f64,
    /// Seconds since 1970.
    pub(super) time: f64,
}

impl Calls {
    fn add(&mut self, count: u64, buckets: &[(f64, u64)]) {
        self.count += count;
        if self.buckets.is_empty() {
            self.buckets = buckets.to_vec();
        } else {
            for ((_, sum), (_, more)) in self.buckets.iter_mut().zip(buckets) {
                *sum += more;
            }
        }
    }

    /// Within which time this share of them was done: straight through the bucket that it falls into,
    /// as Prometheus reckons it. The last bound when it took longer than that.
    pub(super) fn quantile(&self, share: f64) -> Option<f64> {
        let all = self.buckets.last()?.1;
        if all == 0 {
            return None;
        }
        let rank = share * number(all);
        let (mut low, mut before) = (0.0, 0.0);
        for (bound, up_to) in &self.buckets {
            let up_to = number(*up_to);
            if up_to >= rank && up_to > before {
                let into = (rank - before) / (up_to - before);
                return Some(if bound.is_finite() { low + (bound - low) * into } else { low });
            }
            (low, before) = (*bound, up_to);
        }
        None
    }
}

#[expect(clippy::cast_precision_loss, reason = "a count that a person is to read")]
fn number(count: u64) -> f64 {
    count as f64
}

impl Figures {
    pub(super) fn of(look: &Look) -> Self {
        let mut figures = Self {
            at: look.at,
            services: Vec::new(),
            requests: BTreeMap::new(),
            breakers: Vec::new(),
            consumers: BTreeMap::new(),
            sagas: BTreeMap::new(),
            tasks: BTreeMap::new(),
            traces: Vec::new(),
            processes: Vec::new(),
        };
        let mut served: BTreeMap<String, Calls> = BTreeMap::new();
        let mut heads: BTreeMap<String, f64> = BTreeMap::new();
        for process in &look.processes {
            let mut memory = 0.0;
            for reading in &process.readings {
                match reading.plain_name().as_str() {
                    "rpc_server_call_duration" => serve(&mut served, reading),
                    "process_memory_usage" => memory = reading.points.first().map_or(0.0, value),
                    "hansang_log_head" => furthest(&mut heads, reading, "source"),
                    "hansang_order_in_progress" => {
                        furthest(&mut figures.sagas, reading, "order_state");
                    }
                    name => figures.take(name, reading, &process.name),
                }
            }
            figures.processes.push((process.name.clone(), process.version.clone(), memory));
        }
        for ((_, source), consumer) in &mut figures.consumers {
            // A log's own word, where its process answers.
            consumer.head = consumer.head.max(heads.get(source).copied().unwrap_or_default());
        }
        for place in &look.services {
            figures.services.push(Service {
                name: place.service.clone(),
                endpoint: place.endpoint.map(|endpoint| endpoint.to_string()).unwrap_or_default(),
                health: place.health.clone(),
                calls: served.remove(&place.service),
            });
        }
        figures.traces.sort_by(|one, other| other.time.total_cmp(&one.time));
        figures.traces.truncate(TRACES);
        figures
    }

    fn take(&mut self, name: &str, reading: &Reading, process: &str) {
        for point in &reading.points {
            match name {
                "http_server_request_duration" => self.request(point),
                "hansang_rpc_breaker_state" => self.breakers.push(Breaker {
                    process: process.to_owned(),
                    upstream: point.label("upstream").to_owned(),
                    class: point.label("class").to_owned(),
                    state: value(point),
                }),
                "hansang_task_waiting" | "hansang_task_overdue" => {
                    let tasks = self.tasks.entry(point.label("service").to_owned()).or_default();
                    let figure = match name {
                        "hansang_task_waiting" => &mut tasks.waiting,
                        _ => &mut tasks.overdue_seconds,
                    };
                    *figure = figure.max(value(point));
                }
                _ => self.consumer(name, point),
            }
        }
    }

    fn consumer(&mut self, name: &str, point: &Point) {
        let figure: fn(&mut Consumer) -> &mut f64 = match name {
            "hansang_consumer_head" => |consumer| &mut consumer.head,
            "hansang_consumer_position" => |consumer| &mut consumer.position,
            "hansang_consumer_lag" => |consumer| &mut consumer.lag_seconds,
            "hansang_consumer_parked" => |consumer| &mut consumer.parked,
            "hansang_consumer_lost_partitions" => |consumer| &mut consumer.lost,
            _ => return,
        };
        let who = (point.label("consumer").to_owned(), point.label("source").to_owned());
        let figure = figure(self.consumers.entry(who).or_default());
        *figure = figure.max(value(point));
    }

    fn request(&mut self, point: &Point) {
        let Value::Spread { count, buckets, examples, .. } = &point.value else { return };
        let verb = point.label("http_request_method");
        let route = point.label("http_route");
        let calls = self.requests.entry((verb.to_owned(), route.to_owned())).or_default();
        calls.add(*count, buckets);
        match point.label("http_response_status_code").as_bytes().first() {
            Some(b'4') => calls.refused += count,
            Some(b'5') => calls.failed += count,
            _ => {}
        }
        self.traces.extend(examples.iter().filter_map(|example| {
            let (_, id) = example.labels.iter().find(|(key, _)| key == "trace_id")?;
            let what = format!("{verb} {route} {}", point.label("http_response_status_code"));
            Some(Trace { id: id.clone(), what, took: example.value, time: example.time })
        }));
    }

    /// Services that are well at each of their endpoints, and all.
    pub(super) fn well(&self) -> (usize, usize) {
        let names = |only_ill: bool| {
            let services = self.services.iter();
            let some = services.filter(|service| !only_ill || service.health != Health::Serving);
            some.map(|service| &service.name).collect::<std::collections::BTreeSet<_>>().len()
        };
        (names(false) - names(true), names(false))
    }

    /// The services' names, each once.
    pub(super) fn names(&self) -> BTreeSet<&str> {
        self.services.iter().map(|service| service.name.as_str()).collect()
    }

    /// Breakers that are not closed.
    pub(super) fn open_breakers(&self) -> impl Iterator<Item = &Breaker> {
        self.breakers.iter().filter(|breaker| breaker.state > 0.0)
    }

    /// Since 1970.
    pub(super) fn since_1970(&self) -> Duration {
        self.at.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default()
    }
}

/// Calls that were answered, by the service that has the method: `hansang.order.v1.…`.
fn serve(served: &mut BTreeMap<String, Calls>, reading: &Reading) {
    for point in &reading.points {
        let method = point.label("rpc_method").strip_prefix("hansang.");
        let Some((service, _)) = method.and_then(|method| method.split_once('.')) else { continue };
        let Value::Spread { count, buckets, .. } = &point.value else { continue };
        let calls = served.entry(service.to_owned()).or_default();
        calls.add(*count, buckets);
        match point.label("rpc_response_status_code") {
            "OK" | "CANCELLED" => {}
            "UNKNOWN" | "DEADLINE_EXCEEDED" | "INTERNAL" | "UNAVAILABLE" | "DATA_LOSS" => {
                calls.failed += count;
            }
            _ => calls.refused += count,
        }
    }
}

fn furthest(of: &mut BTreeMap<String, f64>, reading: &Reading, label: &str) {
    for point in &reading.points {
        let figure = of.entry(point.label(label).to_owned()).or_default();
        *figure = figure.max(value(point));
    }
}

fn value(point: &Point) -> f64 {
    match point.value {
        Value::Number(number) => number,
        Value::Spread { .. } => 0.0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        deployment::{Place, Process},
        readings::{durations, gauge},
    };

    fn figures(processes: &[Vec<Reading>]) -> Figures {
        let health = Health::Serving;
        let order = Place { service: "order".into(), endpoint: None, health };
        let process = |readings: &Vec<Reading>| Process {
            name: "p".into(),
            version: "1".into(),
            readings: readings.clone(),
        };
        let processes = processes.iter().map(process).collect();
        Figures::of(&Look { at: SystemTime::now(), services: vec![order], processes })
    }

    /// Ten calls of order that went well, and two that did not.
    fn order() -> Vec<Reading> {
        let method = ("rpc_method", "hansang.order.v1.OrderService/GetOrder");
        let code = |code| [method, ("rpc_response_status_code", code)];
        vec![durations(
            "rpc_server_call_duration_seconds",
            &[
                (&code("OK"), &[(0.1, 8), (0.2, 10), (f64::INFINITY, 10)]),
                (&code("UNAVAILABLE"), &[(0.1, 0), (0.2, 0), (f64::INFINITY, 2)]),
            ],
        )]
    }

    #[test]
    fn what_processes_count_is_added_up_with_its_failures() {
        let calls = figures(&[order(), order()]).services[0].calls.clone().expect("calls");
        assert_eq!((calls.count, calls.failed, calls.refused), (24, 4, 0));
        assert_eq!(calls.buckets, [(0.1, 16), (0.2, 20), (f64::INFINITY, 24)]);
        let median = calls.quantile(0.5).expect("a median");
        assert!((median - 0.075).abs() < 1e-9, "{median}");
        let slow = calls.quantile(0.99).expect("the slowest");
        assert!((slow - 0.2).abs() < 1e-9, "longer than the last bound: {slow}");
        assert_eq!(Calls::default().quantile(0.5), None);
    }

    #[test]
    fn a_consumer_is_behind_the_head_that_the_log_itself_knows() {
        let log = vec![gauge("hansang_log_head", "", &[("source", "order")], 12.0)];
        let of = |name, unit, value| {
            gauge(name, unit, &[("consumer", "payment"), ("source", "order")], value)
        };
        let consumer = vec![
            of("hansang_consumer_head", "", 9.0),
            of("hansang_consumer_position", "", 7.0),
            of("hansang_consumer_lag_seconds", "seconds", 1.5),
            of("hansang_consumer_parked", "", 3.0),
        ];
        let figures = figures(&[log, consumer]);
        let who = ("payment".to_owned(), "order".to_owned());
        let payment = &figures.consumers[&who];
        assert_eq!(payment.behind().to_string(), "5");
        assert_eq!((payment.lag_seconds, payment.parked), (1.5, 3.0));
    }
}
