//! What the page shows of a deployment, and what can be put into it from elsewhere.

use std::time::{Duration, SystemTime};

use contracts::{
    mypage::v1::{OrderView, order_view::Milestone},
    order::v1::Order,
};

use super::*;
use crate::{
    deployment::{Health, Look, Place, Process},
    readings::{durations, gauge, with_example},
};

/// What somebody would write who could have their way with a label, a refusal, an id.
const EVIL: &str = "\"><script>alert('&')</script>";
const TAMED: &str = "&quot;&gt;&lt;script&gt;alert('&amp;')&lt;/script&gt;";

/// A deployment in which everything that comes from elsewhere is evil.
fn evil() -> Figures {
    let gauges = [
        ("hansang_rpc_breaker_state", ["upstream", "class"]),
        ("hansang_consumer_parked", ["consumer", "source"]),
        ("hansang_order_in_progress", ["order_state", "x"]),
        ("hansang_task_waiting", ["service", "x"]),
    ];
    let mut readings: Vec<_> = gauges
        .map(|(name, labels)| gauge(name, "", &labels.map(|label| (label, EVIL)), 2.0))
        .into();
    let route: &[(&str, &str)] = &[("http_request_method", EVIL), ("http_route", EVIL)];
    let served = durations("http_server_request_duration", &[(route, &[(f64::INFINITY, 1)])]);
    readings.push(with_example(served, EVIL));
    let (evil, version) = (EVIL.to_owned(), EVIL.to_owned());
    let processes = vec![Process { name: evil, version, readings }];
    let health = Health::Away(EVIL.to_owned());
    let services = vec![Place { service: EVIL.to_owned(), endpoint: None, health }];
    Figures::of(&Look { at: SystemTime::UNIX_EPOCH + Duration::from_secs(9), services, processes })
}

fn nothing() -> More {
    More { past: Vec::new(), faults: true }
}

#[test]
fn nothing_that_comes_from_elsewhere_becomes_markup() {
    let figures = evil();
    let evil = EVIL.to_owned();
    let order = || Order { id: evil.clone(), member_id: evil.clone(), ..Order::default() };
    let passed = Milestone { label: evil.clone(), trace_id: evil.clone(), ..Milestone::default() };
    let view = OrderView { history: vec![passed], ..OrderView::default() };
    for (found, most) in [
        (Ok(History { order: order(), page: Ok(view) }), 25),
        (Ok(History { order: order(), page: Err(EVIL.to_owned()) }), 24),
        (Err(EVIL.to_owned()), 20),
    ] {
        let page = page(&figures, Viewer::Local, Some(&(EVIL.to_owned(), found)), &nothing(), "n");
        let page = page.into_string();
        assert!(!page.contains(EVIL), "{page}");
        assert_eq!(page.matches("<script").count(), 1, "its own: {page}");
        let tamed = page.matches(TAMED).count();
        assert!(tamed >= most, "all of it is shown: {tamed}\n{page}");
    }
}

#[test]
fn what_is_wrong_stands_out() {
    let page = page(&evil(), Viewer::Admin, None, &nothing(), "n").into_string();
    for shown in [
        "<b id=\"services-up\" class=\"bad\">0 / 1</b>",
        "<b id=\"open-breakers\" class=\"bad\">1</b>",
        "<b id=\"parked\" class=\"bad\">2</b>",
        "<span class=\"bad\">unreachable</span>",
        "<td class=\"bad\">open</td>",
        "<section class=\"card\" id=\"door\" hidden>",
    ] {
        assert!(page.contains(shown), "{shown}: {page}");
    }
}

#[test]
fn figures_are_written_for_people() {
    assert_eq!([0, 999, 1_000, 1_234_567].map(thousands), ["0", "999", "1,000", "1,234,567"]);
    let times = [None, Some(0.0042), Some(0.25), Some(1.25), Some(600.0)].map(duration);
    assert_eq!(times, ["–", "4.2 ms", "250 ms", "1.25 s", "10 min"]);
}

#[test]
fn the_page_loads_nothing_and_sets_nothing_in_place() {
    let (figures, sign_in) = (evil(), sign_in("n"));
    for page in [page(&figures, Viewer::Local, None, &nothing(), "n"), sign_in] {
        let page = page.into_string();
        for never in ["http://", "https://", " src=", "@import", " style=\"", " onclick"] {
            assert!(!page.contains(never), "{never}: {page}");
        }
        assert!(page.contains("<script type=\"module\" nonce=\"n\">"));
    }
}
