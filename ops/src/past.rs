//! The last minutes, as far as somebody looked: open breakers, events behind, and orders in progress, drawn
//! as lines. Looks at nothing by itself.

use std::{
    collections::VecDeque,
    sync::{Mutex, PoisonError},
    time::{Duration, SystemTime},
};

use maud::{Markup, html};

use super::figures::{Consumer, Figures};

/// How far back it goes.
const SPAN: Duration = Duration::from_mins(5);
/// Looks that are kept; more often than once a second nobody looks.
const MOST: usize = 320;
/// Of a drawing, in its own units.
const SIZE: (f64, f64) = (300.0, 60.0);

/// What was seen at once.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Seen {
    at: SystemTime,
    open: f64,
    behind: f64,
    orders: f64,
}

/// What was seen, the oldest first.
#[derive(Debug, Default)]
pub(super) struct Past(Mutex<VecDeque<Seen>>);

impl Past {
    /// Keeps what is seen now; answers all of the last minutes.
    pub(super) fn note(&self, figures: &Figures) -> Vec<Seen> {
        let open: u16 = figures.open_breakers().map(|_| 1).sum();
        self.keep(Seen {
            at: figures.at,
            open: open.into(),
            behind: figures.consumers.values().map(Consumer::behind).sum(),
            orders: figures.sagas.values().sum(),
        })
    }

    fn keep(&self, now: Seen) -> Vec<Seen> {
        let mut seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // Several who watch see one look.
        if seen.back().is_none_or(|last| last.at < now.at) {
            seen.push_back(now);
        }
        let is_over = |one: &Seen| now.at.duration_since(one.at).is_ok_and(|age| age > SPAN);
        while seen.len() > MOST || seen.front().is_some_and(is_over) {
            seen.pop_front();
        }
        seen.iter().copied().collect()
    }
}

/// The lines.
pub(super) fn charts(seen: &[Seen]) -> Markup {
    html! {
        section.card {
            h2 { "The last minutes" }
            div.beside {
                (chart("orders in progress", seen, |it| it.orders))
                (chart("events behind, of all consumers", seen, |it| it.behind))
                (chart("breakers open", seen, |it| it.open))
            }
            p.small { "As far as somebody looked; 5 minutes wide." }
        }
    }
}

fn chart(title: &str, seen: &[Seen], of: impl Fn(&Seen) -> f64) -> Markup {
    let most = seen.iter().map(&of).fold(0.0, f64::max);
    let now = seen.last().map_or(0.0, &of);
    let (width, height) = SIZE;
    html! {
        figure {
            figcaption { (title) ": " b { (now) } " " small { "at most " (most) } }
            svg.chart viewBox=(format!("0 0 {width} {height}")) preserveAspectRatio="none" role="img"
                aria-label=(format!("{title}: {now} now, {most} at most in the last minutes")) {
                line x1="0" x2=(width) y1=(height) y2=(height) {}
                polyline points=(points(seen, &of, most)) {}
            }
        }
    }
}

/// The line as SVG has it: now is at the right.
fn points(seen: &[Seen], of: impl Fn(&Seen) -> f64, most: f64) -> String {
    let Some(last) = seen.last() else { return String::new() };
    let (width, height) = SIZE;
    let point = |one: &Seen| {
        let age = last.at.duration_since(one.at).unwrap_or_default();
        let x = width * (1.0 - age.as_secs_f64() / SPAN.as_secs_f64());
        // A line at the very edge would be cut.
        let y = height - 1.0 - (height - 2.0) * if most > 0.0 { of(one) / most } else { 0.0 };
        format!("{x:.1},{y:.1}")
    };
    seen.iter().map(point).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(second: u64, orders: f64) -> Seen {
        let at = SystemTime::UNIX_EPOCH + Duration::from_secs(second);
        Seen { at, open: 0.0, behind: 0.0, orders }
    }

    #[test]
    fn what_is_older_than_the_drawing_is_forgotten() {
        let past = Past::default();
        for second in [0, 0, 10, 301] {
            past.keep(seen(second, 1.0));
        }
        let kept = past.keep(seen(301, 1.0));
        assert_eq!(kept, [seen(10, 1.0), seen(301, 1.0)]);
    }

    #[test]
    fn now_is_at_the_right_and_the_most_at_the_top() {
        let line = [seen(0, 0.0), seen(150, 4.0), seen(300, 2.0)];
        assert_eq!(points(&line, |it| it.orders, 4.0), "0.0,59.0 150.0,1.0 300.0,30.0");
        assert_eq!(points(&[seen(0, 0.0)], |it| it.orders, 0.0), "300.0,59.0");
        assert_eq!(points(&[], |it| it.orders, 0.0), "");
    }
}
