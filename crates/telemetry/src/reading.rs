//! The registry, read: what `/metrics` says, as values. It is read from that text,
//! as the registry has no other door; so what is sent over OTLP and what a page in
//! this process shows cannot differ from what Prometheus sees. Another process's
//! text is read in the same way.

use super::metrics::{conventional, metrics};

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
    read(&metrics())
}

/// What `/metrics` of a process says in the `OpenMetrics` format. A metric that this process does not
/// have keeps the name that Prometheus knows.
pub fn read(text: &str) -> Vec<Reading> {
    let mut readings: Vec<(&str, Reading)> = Vec::new();
    for line in text.lines() {
        let said = line.strip_prefix("# ").and_then(|said| {
            let mut words = said.splitn(3, ' ');
            Some((words.next()?, words.next()?, words.next()?))
        });
        match (said, readings.last_mut()) {
            (Some(("HELP", name, help)), _) => readings.push((name, begun(name, help))),
            (Some(("TYPE", _, kind)), Some((_, reading))) => {
                reading.kind = match kind {
                    "counter" => Kind::Counter,
                    "histogram" => Kind::Histogram,
                    _ => Kind::Gauge,
                };
            }
            (Some(("UNIT", _, unit)), Some((_, reading))) => unit.clone_into(&mut reading.unit),
            (None, Some((name, reading))) => {
                // Written by a registry like ours; what is not understood is left out.
                let _ = take(name, reading, line);
            }
            _ => {}
        }
    }
    readings.into_iter().map(|(_, reading)| reading).collect()
}

fn begun(name: &str, help: &str) -> Reading {
    Reading {
        name: conventional(name).map_or_else(|| name.to_owned(), str::to_owned),
        help: help.trim_end_matches('.').to_owned(),
        unit: String::new(),
        kind: Kind::Gauge,
        points: Vec::new(),
    }
}

/// Takes in one line: `name_suffix{label="value"} 1 # {trace_id="…"} 0.5 1234`.
fn take(name: &str, reading: &mut Reading, line: &str) -> Option<()> {
    let rest = line.strip_prefix(name)?;
    let end = rest.find(['{', ' '])?;
    let (suffix, rest) = rest.split_at(end);
    let (mut labels, rest) = labels(rest)?;
    let (value, example) = match rest.split_once(" # ") {
        Some((value, example)) => (value, Some(example)),
        None => (rest, None),
    };
    let value = value.trim();
    if reading.kind != Kind::Histogram {
        let value = Value::Number(value.parse().ok()?);
        reading.points.push(Point { labels, value });
        return Some(());
    }
    if suffix == "_sum" {
        let sum = value.parse().ok()?;
        let value = Value::Spread { sum, count: 0, buckets: Vec::new(), examples: Vec::new() };
        reading.points.push(Point { labels, value });
        return Some(());
    }
    let Value::Spread { count, buckets, examples, .. } = &mut reading.points.last_mut()?.value
    else {
        return None;
    };
    let number: u64 = value.parse().ok()?;
    if suffix == "_count" {
        *count = number;
        return Some(());
    }
    let place = labels.iter().position(|(key, _)| key == "le")?;
    let bound = labels.remove(place).1;
    buckets.push((if bound == "+Inf" { f64::INFINITY } else { bound.parse().ok()? }, number));
    if let Some(example) = example {
        examples.push(exemplar(example)?);
    }
    Some(())
}

fn exemplar(text: &str) -> Option<Exemplar> {
    let (labels, rest) = labels(text)?;
    let mut numbers = rest.split_whitespace().map(|number| number.parse().ok());
    Some(Exemplar { labels, value: numbers.next()??, time: numbers.next()?? })
}

/// Labels, and what follows them.
fn labels(text: &str) -> Option<(Vec<(String, String)>, &str)> {
    let mut labels = Vec::new();
    let Some(mut rest) = text.strip_prefix('{') else { return Some((labels, text)) };
    loop {
        rest = rest.trim_start_matches(',');
        if let Some(rest) = rest.strip_prefix('}') {
            return Some((labels, rest));
        }
        let (key, after) = rest.split_once("=\"")?;
        let mut value = String::new();
        let mut letters = after.char_indices();
        rest = loop {
            match letters.next()? {
                (at, '"') => break &after[at + 1..],
                (_, '\\') => value.push(match letters.next()?.1 {
                    'n' => '\n',
                    letter => letter,
                }),
                (_, letter) => value.push(letter),
            }
        };
        labels.push((key.to_owned(), value));
    }
}

#[cfg(test)]
mod tests {
    use prometheus_client::encoding::EncodeLabelSet;

    use super::*;
    use crate::{counters, histograms, plain_metrics};

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
        let readings = readings();
        let find = |name| readings.iter().find(|reading| reading.name == name).expect("is there");
        let eaten = find("kitchen.dishes.eaten");
        assert_eq!((eaten.kind, eaten.help.as_str()), (Kind::Counter, "Dishes eaten"));
        assert_eq!(eaten.points[0].label("dish_name"), odd.dish_name);
        assert_eq!(eaten.points[0].value, Value::Number(3.0));
        let buckets = vec![(2.0, 1), (4.0, 2), (f64::INFINITY, 3)];
        let spread = Value::Spread { sum: 13.0, count: 3, buckets, examples: Vec::new() };
        assert_eq!(find("kitchen.table.size").points[0].value, spread);
    }

    #[test]
    fn a_metric_has_one_plain_name_wherever_it_comes_from() {
        let text = "# HELP a_b_seconds A.\n# TYPE a_b_seconds gauge\n# UNIT a_b_seconds seconds\n\
                    a_b_seconds 1\n# HELP c_d C.\n# TYPE c_d counter\nc_d_total 2\n# EOF\n";
        let read = read(text);
        let names: Vec<_> = read.iter().map(Reading::plain_name).collect();
        assert_eq!(names, ["a_b", "c_d"]);
        assert_eq!(read[1].points[0].value, Value::Number(2.0));
        let own = Reading { name: "a.b".into(), unit: "seconds".into(), ..read[0].clone() };
        assert_eq!(own.plain_name(), "a_b");
    }

    #[test]
    fn examples_are_read_and_older_scrapers_are_spared_them() {
        let line = "t_bucket{le=\"1.0\",a=\"b\"} 2 # {trace_id=\"4b\",span_id=\"00\"} 0.5 17.25";
        let text =
            format!("# HELP t T.\n# TYPE t histogram\nt_sum{{a=\"b\"}} 1.5\n{line}\n# EOF\n");
        let [reading] = &read(&text)[..] else { panic!("one metric") };
        let Value::Spread { examples, .. } = &reading.points[0].value else { panic!("a spread") };
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
