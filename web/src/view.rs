//! What pages show again and again: money, times, states, lists that go on.

use std::time::{SystemTime, UNIX_EPOCH};

use contracts::Money;
use maud::{Markup, html};
use prost_types::Timestamp;
use time::{OffsetDateTime, UtcOffset};

use crate::{
    lang::{Lang, Text},
    paths,
    visit::Visit,
};

/// Won of a message; absent is none.
pub(crate) fn won(money: Option<&Money>) -> i64 {
    money.map_or(0, |money| money.parts().1)
}

/// Won for a message.
#[expect(clippy::unnecessary_wraps, reason = "messages have an option of it")]
pub(crate) fn money(won: i64) -> Option<Money> {
    Some(Money::from(("KRW", won)))
}

/// `12,000원`, `₩12,000`.
pub(crate) fn price(visit: &Visit, won: i64) -> String {
    let number = grouped(won);
    visit.lang.pick(format!("{number}원"), format!("₩{number}"))
}

/// `1,234 P`.
pub(crate) fn points(points: i64) -> String {
    format!("{} P", grouped(points))
}

/// `-1,234,567`.
pub(crate) fn grouped(number: i64) -> String {
    let digits = number.unsigned_abs().to_string();
    let groups: Vec<_> = digits.as_bytes().rchunks(3).rev().map(String::from_utf8_lossy).collect();
    format!("{}{}", if number < 0 { "-" } else { "" }, groups.join(","))
}

/// A time, as clocks in Korea show it; nothing for none.
pub(crate) fn time(visit: &Visit, at: Option<&Timestamp>) -> Markup {
    let Some(at) = at.and_then(in_korea) else { return html! {} };
    let day = day_of(visit.lang, at);
    let text = format!("{day} {:02}:{:02}", at.hour(), at.minute());
    html! { time datetime=(machine(at)) { (text) } }
}

/// The day of a time.
pub(crate) fn day(visit: &Visit, at: Option<&Timestamp>) -> Markup {
    let Some(at) = at.and_then(in_korea) else { return html! {} };
    html! { time datetime=(machine(at)) { (day_of(visit.lang, at)) } }
}

fn in_korea(at: &Timestamp) -> Option<OffsetDateTime> {
    let nine = UtcOffset::from_hms(9, 0, 0).ok()?;
    OffsetDateTime::from_unix_timestamp(at.seconds).ok()?.checked_to_offset(nine)
}

fn day_of(lang: Lang, at: OffsetDateTime) -> String {
    let (year, month, day) = at.to_calendar_date();
    let number = u8::from(month);
    lang.pick(
        format!("{year}. {number}. {day}."),
        format!("{day} {} {year}", &month.to_string()[..3]),
    )
}

fn machine(at: OffsetDateTime) -> String {
    let (year, month, day) = at.to_calendar_date();
    let (hour, minute, second) = at.to_hms();
    let month = u8::from(month);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}+09:00")
}

/// Whether a time is over.
pub(crate) fn is_over(at: Option<&Timestamp>) -> bool {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |it| it.as_secs());
    at.is_some_and(|at| u64::try_from(at.seconds).unwrap_or(0) <= now)
}

/// How a state looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tone {
    /// It is as it is.
    Plain,
    /// It goes on by itself.
    Busy,
    /// It waits for somebody.
    Waiting,
    Good,
    Bad,
}

/// A state, in a pill.
pub(crate) fn badge(tone: Tone, text: &str) -> Markup {
    let class = match tone {
        Tone::Plain => "badge",
        Tone::Busy => "badge badge-busy",
        Tone::Waiting => "badge badge-waiting",
        Tone::Good => "badge badge-good",
        Tone::Bad => "badge badge-bad",
    };
    html! { span class=(class) { (text) } }
}

/// Where there is nothing yet: what would be here, and what to do.
pub(crate) fn empty(title: &str, text: &str, next: Option<(&str, &str)>) -> Markup {
    html! {
        div.empty {
            p.empty-title { (title) }
            p { (text) }
            @if let Some((path, label)) = next { a.button href=(path) { (label) } }
        }
    }
}

/// A part of a page that cannot be shown now; the page's script looks again by itself.
pub(crate) fn away(visit: &Visit, what: Text, seconds: u64) -> Markup {
    let text = visit.lang.pick(
        format!("{} 서비스가 잠시 응답하지 않습니다.", what.0),
        format!("{} does not answer just now.", what.1),
    );
    all_away(visit, &html! { p { (text) } }, seconds)
}

/// The same, of whatever there is to be said.
pub(crate) fn all_away(visit: &Visit, what: &Markup, seconds: u64) -> Markup {
    let again = visit.lang.pick(
        format!("{seconds}초 뒤에 다시 확인합니다."),
        format!("We look again in {seconds} s."),
    );
    html! {
        div.alert.alert-wait role="status" data-again=(seconds) {
            (what)
            p { (again) " " a href=(visit.here()) { (visit.t("지금 다시 확인", "Look again now")) } }
        }
    }
}

/// A table: what its columns are called, and rows of as many cells. It scrolls by itself where it is too
/// wide.
pub(crate) fn table(caption: &str, columns: &[&str], rows: &[Vec<Markup>]) -> Markup {
    html! {
        div.table tabindex="0" role="region" aria-label=(caption) {
            table {
                caption.unseen { (caption) }
                thead { tr { @for column in columns { th scope="col" { (column) } } } }
                tbody {
                    @for row in rows {
                        tr {
                            // A telephone shows a cell with what its column is called.
                            @for (cell, column) in row.iter().zip(columns) {
                                td data-label=(column) { div { (cell) } }
                            }
                        }
                    }
                }
            }
        }
    }
}

/// Pairs of what something is and what it is.
pub(crate) fn facts(pairs: &[(&str, Markup)]) -> Markup {
    html! {
        dl.facts { @for (term, fact) in pairs { div { dt { (term) } dd { (fact) } } } }
    }
}

/// The way on in a list: `query` is what else is asked for, `page` the token that this page has, `next`
/// that of the next.
pub(crate) fn pages(
    visit: &Visit,
    path: &str,
    query: &[(&str, &str)],
    page: &str,
    next: &str,
) -> Markup {
    let onward: Vec<_> = query.iter().copied().chain([("page", next)]).collect();
    html! {
        @if !page.is_empty() || !next.is_empty() {
            nav.pages aria-label=(visit.t("쪽", "Pages")) {
                @if !page.is_empty() {
                    a.button.button-quiet href=(paths::with(path, query)) {
                        (visit.t("처음으로", "First page"))
                    }
                }
                @if !next.is_empty() {
                    a.button.button-quiet rel="next" href=(paths::with(path, &onward)) {
                        (visit.t("다음", "Next"))
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_grouped_by_thousands() {
        assert_eq!([0, 990, -1_000, 1_234_567].map(grouped), ["0", "990", "-1,000", "1,234,567"]);
        assert_eq!(grouped(i64::MIN), "-9,223,372,036,854,775,808");
    }

    #[test]
    fn times_are_those_of_korea() {
        let at = in_korea(&Timestamp { seconds: 1_767_193_200, nanos: 0 }).expect("a time");
        assert_eq!(machine(at), "2026-01-01T00:00:00+09:00");
        assert_eq!(day_of(Lang::Ko, at), "2026. 1. 1.");
        assert_eq!(day_of(Lang::En, at), "1 Jan 2026");
        assert!(in_korea(&Timestamp { seconds: i64::MAX, nanos: 0 }).is_none());
    }
}
