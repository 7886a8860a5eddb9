//! Metrics of other processes, for tests.

use telemetry::{Exemplar, Kind, Point, Reading, Value};

fn labelled(labels: &[(&str, &str)]) -> Vec<(String, String)> {
    labels.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

fn reading(name: &str, unit: &str, kind: Kind, points: Vec<Point>) -> Reading {
    Reading { name: name.to_owned(), help: "H".to_owned(), unit: unit.to_owned(), kind, points }
}

/// A gauge with one point.
pub(super) fn gauge(name: &str, unit: &str, labels: &[(&str, &str)], value: f64) -> Reading {
    let point = Point { labels: labelled(labels), value: Value::Number(value) };
    reading(name, unit, Kind::Gauge, vec![point])
}

/// Names and values.
type Labels<'a> = &'a [(&'a str, &'a str)];
/// Upper bounds, each with the cases up to there.
type Buckets<'a> = &'a [(f64, u64)];

/// A histogram of seconds with the cases up to each bound.
pub(super) fn durations(name: &str, points: &[(Labels<'_>, Buckets<'_>)]) -> Reading {
    let point = |(labels, buckets): &(Labels<'_>, Buckets<'_>)| {
        let count = buckets.last().map_or(0, |(_, count)| *count);
        let value =
            Value::Spread { sum: 1.0, count, buckets: buckets.to_vec(), examples: Vec::new() };
        Point { labels: labelled(labels), value }
    };
    reading(name, "seconds", Kind::Histogram, points.iter().map(point).collect())
}

/// The same reading, with an example of this trace.
pub(super) fn with_example(mut reading: Reading, trace: &str) -> Reading {
    let example = Exemplar { labels: labelled(&[("trace_id", trace)]), value: 0.5, time: 7.0 };
    for point in &mut reading.points {
        if let Value::Spread { examples, .. } = &mut point.value {
            examples.push(example.clone());
        }
    }
    reading
}
