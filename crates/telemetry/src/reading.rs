//! The registry, read: its metrics as values, by way of the messages that Prometheus gets. So what is sent
//! over OTLP and what a page in this process shows cannot differ from what Prometheus sees. Another
//! process's messages are read in the same way.

use prometheus_client::encoding::prometheus_protobuf::prometheus_data_model::{
    Histogram, LabelPair, Metric, MetricFamily, MetricType,
};
use prost::{DecodeError, Message as _};
use prost_types::Timestamp;

use super::metrics::{conventional, families};

/// One metric, as it is now.
#[derive(Clone, Debug, PartialEq)]
pub struct Reading {
    /// `http.server.request.duration`, by the semantic conventions.
    pub name: String,
    /// What it tells.
    pub help: String,
    /// `seconds`, `bytes`, or nothing.
    pub unit: String,
    /// How it behaves.
    pub kind: Kind,
    /// One for each set of labels.
    pub points: Vec<Point>,
}

/// How a metric behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Only grows.
    Counter,
    /// Goes up and down.
    Gauge,
    /// Is spread.
    Histogram,
}

/// One value of a metric.
#[derive(Clone, Debug, PartialEq)]
pub struct Point {
    /// Names and values; names as Prometheus has them.
    pub labels: Vec<(String, String)>,
    /// What it is.
    pub value: Value,
}

/// What a point is.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// Of a counter or a gauge.
    Number(f64),
    /// Of a histogram.
    Spread {
        /// Of all cases.
        sum: f64,
        /// Cases.
        count: u64,
        /// Upper bounds, the last being infinite, each with the cases up to there.
        buckets: Vec<(f64, u64)>,
        /// Recent cases.
        examples: Vec<Exemplar>,
    },
}

/// A recent case, and its trace.
#[derive(Clone, Debug, PartialEq)]
pub struct Exemplar {
    /// `trace_id`, `span_id`.
    pub labels: Vec<(String, String)>,
    /// What it was.
    pub value: f64,
    /// When, in seconds since 1970.
    pub time: f64,
}

impl Point {
    /// The value of a label; empty when there is none.
    pub fn label(&self, name: &str) -> &str {
        self.labels.iter().find(|(key, _)| key == name).map_or("", |(_, value)| value)
    }
}

impl Reading {
    /// `http_server_request_duration`: its name, whether this process has it or another, and without
    /// the unit.
    pub fn plain_name(&self) -> String {
        let name = self.name.replace('.', "_");
        match name.strip_suffix(self.unit.as_str()).and_then(|name| name.strip_suffix('_')) {
            Some(name) if !self.unit.is_empty() => name.to_owned(),
            _ => name,
        }
    }
}

/// All metrics of this process as they are now.
pub fn readings() -> Vec<Reading> {
    families().into_iter().map(reading).collect()
}

/// What `/metrics` of a process answers to whoever asks for [`PROTOBUF`](crate::PROTOBUF). A metric that this
/// process does not have keeps the name that Prometheus knows.
pub fn read(mut bytes: &[u8]) -> Result<Vec<Reading>, DecodeError> {
    let mut readings = Vec::new();
    while !bytes.is_empty() {
        readings.push(reading(MetricFamily::decode_length_delimited(&mut bytes)?));
    }
    Ok(readings)
}

fn reading(family: MetricFamily) -> Reading {
    let kind = match family.r#type() {
        MetricType::Counter => Kind::Counter,
        MetricType::Histogram => Kind::Histogram,
        _ => Kind::Gauge,
    };
    // Prometheus adds that to what only grows.
    let name = family.name.strip_suffix("_total").filter(|_| kind == Kind::Counter);
    let name = name.unwrap_or(&family.name);
    Reading {
        name: conventional(name).unwrap_or(name).to_owned(),
        help: family.help.trim_end_matches('.').to_owned(),
        unit: family.unit,
        kind,
        points: family.metric.into_iter().filter_map(point).collect(),
    }
}

fn point(metric: Metric) -> Option<Point> {
    let value = match (metric.counter, metric.gauge, metric.histogram) {
        (Some(counter), ..) => Value::Number(counter.value),
        (_, Some(gauge), _) => Value::Number(gauge.value),
        (.., Some(histogram)) => spread(histogram),
        _ => return None,
    };
    Some(Point { labels: labels(metric.label), value })
}

fn spread(histogram: Histogram) -> Value {
    let (count, sum) = (histogram.sample_count, histogram.sample_sum);
    let (mut buckets, mut examples) = (Vec::new(), Vec::new());
    for bucket in histogram.bucket {
        buckets.push((bucket.upper_bound, bucket.cumulative_count));
        examples.extend(bucket.exemplar.map(|example| Exemplar {
            labels: labels(example.label),
            value: example.value,
            time: example.timestamp.map_or(0.0, seconds),
        }));
    }
    // It may be left out.
    if buckets.last().is_none_or(|(bound, _)| bound.is_finite()) {
        buckets.push((f64::INFINITY, count));
    }
    Value::Spread { sum, count, buckets, examples }
}

fn labels(pairs: Vec<LabelPair>) -> Vec<(String, String)> {
    pairs.into_iter().map(|pair| (pair.name, pair.value)).collect()
}

/// Since 1970; exact to less than a microsecond.
#[expect(clippy::cast_precision_loss, reason = "seconds since 1970 fit")]
fn seconds(time: Timestamp) -> f64 {
    time.seconds as f64 + f64::from(time.nanos) / 1e9
}

#[cfg(test)]
mod tests {
    use prometheus_client::encoding::{
        EncodeLabelSet, prometheus_protobuf::prometheus_data_model as data,
    };

    use super::*;
    use crate::{counters, exposition, histograms, metrics::plain_metrics};

    #[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
    struct Dish {
        dish_name: String,
    }

    #[test]
    fn what_is_registered_is_read_as_it_is() {
        let eaten = counters("kitchen.dishes.eaten", "Dishes eaten");
        let odd = Dish { dish_name: "a \"hot\" one, {spicy}\\\nwith rice".to_owned() };
        eaten.get_or_create(&odd).inc_by(3);
        let sizes = histograms("kitchen.table.size", "Guests", &[2.0, 4.0]);
        let of = |name: &str| Dish { dish_name: name.to_owned() };
        for guests in [1.0, 3.0, 9.0] {
            sizes.observe(&of("rice"), guests);
        }
        let mut asked = http::HeaderMap::new();
        asked.insert(http::header::ACCEPT, http::HeaderValue::from_static(crate::PROTOBUF));
        let (kind, bytes) = exposition(&asked);
        assert_eq!(kind, crate::PROTOBUF);
        for readings in [readings(), read(&bytes).expect("as it was written")] {
            let find =
                |name| readings.iter().find(|reading| reading.name == name).expect("is there");
            let eaten = find("kitchen.dishes.eaten");
            assert_eq!((eaten.kind, eaten.help.as_str()), (Kind::Counter, "Dishes eaten"));
            assert_eq!(eaten.points[0].label("dish_name"), odd.dish_name);
            assert_eq!(eaten.points[0].value, Value::Number(3.0));
            let buckets = vec![(2.0, 1), (4.0, 2), (f64::INFINITY, 3)];
            let spread = Value::Spread { sum: 13.0, count: 3, buckets, examples: Vec::new() };
            assert_eq!(find("kitchen.table.size").points[0].value, spread);
        }
        assert!(read(b"# HELP a A.\n").is_err(), "text is not that");
    }

    #[test]
    fn a_metric_has_one_plain_name_wherever_it_comes_from() {
        let of = |name: &str, unit: &str, kind| Reading {
            name: name.to_owned(),
            help: String::new(),
            unit: unit.to_owned(),
            kind,
            points: Vec::new(),
        };
        assert_eq!(of("a_b_seconds", "seconds", Kind::Gauge).plain_name(), "a_b");
        assert_eq!(of("a.b", "seconds", Kind::Gauge).plain_name(), "a_b");
        assert_eq!(of("c_d", "", Kind::Counter).plain_name(), "c_d");
    }

    #[test]
    fn examples_are_read_and_older_scrapers_are_spared_them() {
        let pair = |name: &str| LabelPair { name: name.to_owned(), value: "4b".to_owned() };
        let example = data::Exemplar {
            label: vec![pair("trace_id")],
            value: 0.5,
            timestamp: Some(Timestamp { seconds: 17, nanos: 250_000_000 }),
        };
        let bucket = data::Bucket {
            cumulative_count: 2,
            upper_bound: 1.0,
            exemplar: Some(example),
            ..data::Bucket::default()
        };
        let histogram = Histogram { sample_count: 2, bucket: vec![bucket], ..Histogram::default() };
        let Value::Spread { examples, .. } = spread(histogram) else { panic!("a spread") };
        assert_eq!(examples[0].labels[0], ("trace_id".to_owned(), "4b".to_owned()));
        assert!((examples[0].time - 17.25).abs() < f64::EPSILON);

        let counter = counters("kitchen.plates.broken", "Plates broken");
        counter.get_or_create(&Dish { dish_name: "soup".to_owned() }).inc();
        let plain = plain_metrics();
        assert!(plain.contains("# TYPE kitchen_plates_broken_total counter\n"), "{plain}");
        assert!(plain.contains("kitchen_plates_broken_total{dish_name=\"soup\"} 1\n"), "{plain}");
        assert!(!plain.contains("# EOF") && !plain.contains(" # {"), "{plain}");
    }
}
