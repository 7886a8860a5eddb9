//! The tables of the page. A row that counts carries its buckets, so that the
//! page's script can take the difference of two looks.

use std::fmt::Write as _;

use contracts::{
    Money,
    delivery::v1::delivery::State as Delivery,
    mypage::v1::OrderView,
    order::v1::{
        PaymentMethod,
        order::{CancelReason, State},
    },
    payment::v1::payment::State as Payment,
};
use maud::{Markup, html};

use super::{
    super::{
        deployment::Health,
        figures::{Calls, Figures},
        order::History,
    },
    duration, thousands,
};

pub(super) fn services(figures: &Figures) -> Markup {
    html! {
        div.card {
            h2 { "Services" }
            table #services {
                thead { tr { th { "service" } th { "endpoint" } th { "health" } (titles()) } }
                tbody {
                    @for service in &figures.services {
                        @let calls = service.calls.as_ref();
                        tr data-service=(service.name) data-count=[calls.map(|calls| calls.count)]
                            data-buckets=[calls.map(buckets)] {
                            td { (service.name) }
                            td { (service.endpoint) }
                            td { (health(&service.health)) }
                            (columns(calls))
                        }
                    }
                }
            }
            p.small {
                "Processes: "
                @for (at, (name, version, memory)) in figures.processes.iter().enumerate() {
                    @if at > 0 { ", " }
                    (if name.is_empty() { "gateway" } else { name }) " " (version)
                    " (" (format_args!("{:.0} MiB", memory / 1_048_576.0)) ")"
                }
                ". Services are those that the gateway calls, at the endpoints of its "
                code { "peers" }
                "."
            }
        }
    }
}

fn health(health: &Health) -> Markup {
    html! {
        @match health {
            Health::Serving => span.good { "serving" },
            Health::NotServing => span.bad { "not serving" },
            Health::Absent => span.bad { "does not run there" },
            Health::Away(why) => { span.bad { "unreachable" } " " small { (why) } }
        }
    }
}

pub(super) fn requests(figures: &Figures) -> Markup {
    html! {
        div.card {
            h2 { "Requests" }
            table #requests-by-route {
                thead { tr { th { "route" } (titles()) } }
                tbody {
                    @for ((verb, route), calls) in &figures.requests {
                        @let route = if route.is_empty() { "(no such path)" } else { route };
                        tr data-route=(format_args!("{verb} {route}")) data-count=(calls.count)
                            data-buckets=(buckets(calls)) {
                            td { b { (verb) } " " (route) }
                            (columns(Some(calls)))
                        }
                    }
                }
            }
            p.small {
                "As counted by the gateway that you reached, and by any that shares a process with services. "
                span.window { "Times since the start." }
            }
        }
    }
}

/// The titles of [`columns`].
fn titles() -> Markup {
    html! {
        @for title in ["calls", "per second", "median", "95 %", "99 %", "refused", "failed"] {
            th.n { (title) }
        }
    }
}

/// For the script.
fn buckets(calls: &Calls) -> String {
    let mut text = String::new();
    for (at, (bound, up_to)) in calls.buckets.iter().enumerate() {
        let space = if at > 0 { " " } else { "" };
        // JavaScript's own word for it.
        let bound = if bound.is_finite() { bound.to_string() } else { "Infinity".to_owned() };
        // Writing to a string cannot fail.
        let _ = write!(text, "{space}{bound}:{up_to}");
    }
    text
}

fn columns(calls: Option<&Calls>) -> Markup {
    let none = Calls::default();
    let of = calls.unwrap_or(&none);
    let count = |count: u64| if calls.is_none() { "–".to_owned() } else { thousands(count) };
    html! {
        td.n { (count(of.count)) }
        td.n.rate { "–" }
        @for share in [0.5, 0.95, 0.99] {
            td.n.time data-share=(share) { (duration(of.quantile(share))) }
        }
        td.n { (count(of.refused)) }
        td.n.bad[of.failed > 0] { (count(of.failed)) }
    }
}

pub(super) fn breakers(figures: &Figures) -> Markup {
    let closed = figures.breakers.len() - figures.open_breakers().count();
    html! {
        div.card {
            h2 { "Breakers" }
            table #breakers {
                tbody {
                    @for breaker in figures.open_breakers() {
                        tr data-breaker=(breaker.upstream) {
                            td {
                                (if breaker.process.is_empty() { "gateway" } else { &breaker.process })
                                " → " (breaker.upstream)
                            }
                            td { (breaker.class) }
                            td.bad { (if breaker.state > 1.0 { "open" } else { "half-open" }) }
                        }
                    }
                    tr { td { "closed" } td {} td.good { (closed) } }
                }
            }
        }
    }
}

pub(super) fn sagas(figures: &Figures) -> Markup {
    html! {
        div.card {
            h2 { "Orders in progress" }
            table #sagas-by-state {
                tbody {
                    @for (state, orders) in &figures.sagas {
                        tr data-state=(state) { td { (state) } td.n { (orders) } }
                    }
                    @if figures.sagas.is_empty() {
                        tr { td { "Order has reported none." } }
                    }
                }
            }
        }
    }
}

pub(super) fn tasks(figures: &Figures) -> Markup {
    html! {
        div.card {
            h2 { "Tasks" }
            table #tasks {
                thead { tr { th { "service" } th.n { "waiting" } th.n { "overdue" } } }
                tbody {
                    @for (service, tasks) in &figures.tasks {
                        @let overdue = tasks.overdue_seconds;
                        tr {
                            td { (service) }
                            td.n { (tasks.waiting) }
                            td.n.bad[overdue > 60.0] { (duration((overdue > 0.0).then_some(overdue))) }
                        }
                    }
                }
            }
        }
    }
}

pub(super) fn consumers(figures: &Figures) -> Markup {
    html! {
        div.card {
            h2 { "Consumers" }
            table #consumers {
                thead {
                    tr {
                        th { "consumer" }
                        th { "follows" }
                        @for title in ["applied", "behind", "waits for", "parked", "stopped partitions"] {
                            th.n { (title) }
                        }
                    }
                }
                tbody {
                    @for ((consumer, source), figure) in &figures.consumers {
                        @let lag = figure.lag_seconds;
                        tr data-consumer=(consumer) data-source=(source) {
                            td { (consumer) }
                            td { (source) }
                            td.n { (figure.position) }
                            td.n { (figure.behind()) }
                            td.n { (duration((lag > 0.0).then_some(lag))) }
                            td.n.bad[figure.parked > 0.0] { (figure.parked) }
                            td.n.bad[figure.lost > 0.0] { (figure.lost) }
                        }
                    }
                }
            }
            p.small {
                "Parked events wait for an operator: "
                code { "hansang parked list" }
                " says which and why. Partitions are stopped where the source has lost events that were applied: "
                code { "hansang log losses" }
                ". A consumer whose process is unreachable is not in the list."
            }
        }
    }
}

pub(super) fn traces(figures: &Figures) -> Markup {
    let now = figures.since_1970().as_secs_f64();
    html! {
        div.card {
            h2 { "Recent traces" }
            table #traces {
                tbody {
                    @for trace in &figures.traces {
                        tr {
                            td { (trace.what) }
                            td.n { (duration(Some(trace.took))) }
                            td.n { (duration(Some((now - trace.time).max(0.0)))) " ago" }
                            td { code { (trace.id) } }
                        }
                    }
                    @if figures.traces.is_empty() {
                        tr {
                            td {
                                "None: no trace is kept unless a collector is set ("
                                code { "telemetry.otlp.endpoint" }
                                ") or a caller asks for it."
                            }
                        }
                    }
                }
            }
        }
    }
}

/// How an order came along.
pub(super) fn history(history: &History) -> Markup {
    let History { order, page } = history;
    let view = page.as_ref().ok();
    let reason = match order.cancel_reason() {
        CancelReason::Unspecified => "",
        reason => reason.as_str_name(),
    };
    let payment = match view.map(OrderView::payment_state) {
        None | Some(Payment::Unspecified) => "",
        Some(state) => state.as_str_name(),
    };
    let delivery = match view.map(OrderView::delivery_state) {
        None | Some(Delivery::Unspecified) => "",
        Some(state) => state.as_str_name(),
    };
    let method = match order.payment_method() {
        PaymentMethod::Unspecified => "",
        method => method.as_str_name(),
    };
    let facts = [
        ("order", order.id.as_str()),
        ("state", order.state().as_str_name()),
        ("reason", reason),
        ("member", &order.member_id),
        ("total", &order.total.as_ref().map(money).unwrap_or_default()),
        ("paid by", method),
        ("payment", payment),
        ("delivery", delivery),
    ];
    html! {
        dl {
            @for (title, value) in facts.iter().filter(|(_, value)| !value.is_empty()) {
                dt { (title) }
                dd { (value) }
            }
        }
        @if let Err(why) = page {
            p.bad { "My Page has no history of it: " (why) }
        }
        table #history {
            thead { tr { th { "passed" } th colspan="2" { "state" } th { "trace" } } }
            tbody {
                @for passed in view.iter().flat_map(|view| &view.history) {
                    tr {
                        td { @if let Some(at) = &passed.at { (at) } }
                        td { (State::try_from(passed.state).map_or("", |state| state.as_str_name())) }
                        td { (passed.label) }
                        td.trace { (passed.trace_id) }
                    }
                }
            }
        }
    }
}

fn money(money: &Money) -> String {
    format!("{} {}", money.units, money.currency_code)
}
