//! The tables of the page. A row that counts carries its buckets, so that the
//! page's script can take the difference of two looks.

use serde_json::Value;

use super::{
    super::{
        deployment::Health,
        figures::{Calls, Figures},
        html::Html,
        order::History,
    },
    duration, thousands,
};

/// The columns of [`calls`].
const CALLS: &str = "<th class=\"n\">calls</th><th class=\"n\">per second</th>\
    <th class=\"n\">median</th><th class=\"n\">95 %</th><th class=\"n\">99 %</th>\
    <th class=\"n\">refused</th><th class=\"n\">failed</th></tr></thead><tbody>";

pub(super) fn services(html: &mut Html, figures: &Figures) {
    html.raw("<div class=\"card\"><h2>Services</h2><table id=\"services\"><thead><tr>");
    html.raw("<th>service</th><th>endpoint</th><th>health</th>").raw(CALLS);
    for service in &figures.services {
        row(html, "service", &service.name, service.calls.as_ref());
        html.raw("<td>").text(&service.name).raw("</td><td>").text(&service.endpoint);
        html.raw("</td><td>");
        health(html, &service.health);
        html.raw("</td>");
        calls(html, service.calls.as_ref());
    }
    html.raw("</tbody></table><p class=\"small\">Processes: ");
    for (at, (name, version, memory)) in figures.processes.iter().enumerate() {
        html.raw(if at > 0 { ", " } else { "" });
        html.text(if name.is_empty() { "gateway" } else { name.as_str() }).raw(" ").text(version);
        html.raw(" (").text(format_args!("{:.0} MiB", memory / 1_048_576.0)).raw(")");
    }
    html.raw(". Services are those that the gateway calls, at the endpoints of its <code>peers");
    html.raw("</code>.</p></div>");
}

fn health(html: &mut Html, health: &Health) {
    match health {
        Health::Serving => html.raw("<span class=\"good\">serving</span>"),
        Health::NotServing => html.raw("<span class=\"bad\">not serving</span>"),
        Health::Absent => html.raw("<span class=\"bad\">does not run there</span>"),
        Health::Away(why) => {
            html.raw("<span class=\"bad\">unreachable</span> <small>").text(why).raw("</small>")
        }
    };
}

pub(super) fn requests(html: &mut Html, figures: &Figures) {
    html.raw("<div class=\"card\"><h2>Requests</h2><table id=\"requests-by-route\"><thead><tr>");
    html.raw("<th>route</th>").raw(CALLS);
    for ((verb, route), one) in &figures.requests {
        let route = if route.is_empty() { "(no such path)" } else { route };
        row(html, "route", &format!("{verb} {route}"), Some(one));
        html.raw("<td><b>").text(verb).raw("</b> ").text(route).raw("</td>");
        calls(html, Some(one));
    }
    html.raw("</tbody></table><p class=\"small\">As counted by the gateway that you reached, and ");
    html.raw("by any that shares a process with services. <span class=\"window\">Times since ");
    html.raw("the start.</span></p></div>");
}

/// Begins a row, with what the script needs.
fn row(html: &mut Html, kind: &'static str, key: &str, calls: Option<&Calls>) {
    html.raw("<tr data-").raw(kind).raw("=\"").text(key).raw("\"");
    if let Some(calls) = calls {
        html.raw(" data-count=\"").text(calls.count).raw("\" data-buckets=\"");
        for (at, (bound, up_to)) in calls.buckets.iter().enumerate() {
            html.raw(if at > 0 { " " } else { "" });
            // JavaScript's own word for it.
            if bound.is_finite() {
                html.text(bound)
            } else {
                html.raw("Infinity")
            };
            html.raw(":").text(up_to);
        }
        html.raw("\"");
    }
    html.raw(">");
}

fn calls(html: &mut Html, calls: Option<&Calls>) {
    let none = Calls::default();
    let of = calls.unwrap_or(&none);
    let count = |count: u64| if calls.is_none() { "–".to_owned() } else { thousands(count) };
    html.raw("<td class=\"n\">").text(count(of.count)).raw("</td><td class=\"n rate\">–</td>");
    for share in [0.5, 0.95, 0.99] {
        html.raw("<td class=\"n time\" data-share=\"").text(share).raw("\">");
        html.text(duration(of.quantile(share))).raw("</td>");
    }
    for (figure, class) in [(of.refused, "\">"), (of.failed, " bad\">")] {
        html.raw("<td class=\"n").raw(if figure > 0 { class } else { "\">" });
        html.text(count(figure)).raw("</td>");
    }
    html.raw("</tr>");
}

pub(super) fn breakers(html: &mut Html, figures: &Figures) {
    html.raw("<div class=\"card\"><h2>Breakers</h2><table id=\"breakers\"><tbody>");
    for breaker in figures.open_breakers() {
        html.raw("<tr data-breaker=\"").text(&breaker.upstream).raw("\"><td>");
        html.text(if breaker.process.is_empty() { "gateway" } else { &breaker.process });
        html.raw(" → ").text(&breaker.upstream).raw("</td><td>").text(&breaker.class);
        html.raw("</td><td class=\"bad\">");
        html.raw(if breaker.state > 1.0 { "open" } else { "probing" }).raw("</td></tr>");
    }
    let closed = figures.breakers.len() - figures.open_breakers().count();
    html.raw("<tr><td>closed</td><td></td><td class=\"good\">").text(closed);
    html.raw("</td></tr></tbody></table></div>");
}

pub(super) fn sagas(html: &mut Html, figures: &Figures) {
    html.raw("<div class=\"card\"><h2>Orders under way</h2><table id=\"sagas-by-state\"><tbody>");
    for (state, orders) in &figures.sagas {
        html.raw("<tr data-state=\"").text(state).raw("\"><td>").text(state);
        html.raw("</td><td class=\"n\">").text(orders).raw("</td></tr>");
    }
    if figures.sagas.is_empty() {
        html.raw("<tr><td>Order has told of none.</td></tr>");
    }
    html.raw("</tbody></table></div>");
}

pub(super) fn tasks(html: &mut Html, figures: &Figures) {
    html.raw("<div class=\"card\"><h2>Tasks</h2><table id=\"tasks\"><thead><tr><th>service</th>");
    html.raw("<th class=\"n\">waiting</th><th class=\"n\">overdue</th></tr></thead><tbody>");
    for (service, tasks) in &figures.tasks {
        html.raw("<tr><td>").text(service).raw("</td><td class=\"n\">").text(tasks.waiting);
        html.raw("</td><td class=\"n");
        html.raw(if tasks.overdue_seconds > 60.0 { " bad\">" } else { "\">" });
        let overdue = (tasks.overdue_seconds > 0.0).then_some(tasks.overdue_seconds);
        html.text(duration(overdue)).raw("</td></tr>");
    }
    html.raw("</tbody></table></div>");
}

pub(super) fn consumers(html: &mut Html, figures: &Figures) {
    html.raw("<div class=\"card\"><h2>Consumers</h2><table id=\"consumers\"><thead><tr>");
    html.raw("<th>consumer</th><th>follows</th><th class=\"n\">applied</th>");
    html.raw("<th class=\"n\">behind</th><th class=\"n\">waits for</th>");
    html.raw("<th class=\"n\">parked</th><th class=\"n\">stopped partitions</th></tr></thead>");
    html.raw("<tbody>");
    for ((consumer, source), figure) in &figures.consumers {
        html.raw("<tr data-consumer=\"").text(consumer).raw("\" data-source=\"").text(source);
        html.raw("\"><td>").text(consumer).raw("</td><td>").text(source);
        html.raw("</td><td class=\"n\">").text(figure.position).raw("</td><td class=\"n\">");
        html.text(figure.behind()).raw("</td><td class=\"n\">");
        html.text(duration((figure.lag_seconds > 0.0).then_some(figure.lag_seconds)));
        html.raw("</td><td class=\"n").raw(if figure.parked > 0.0 { " bad\">" } else { "\">" });
        html.text(figure.parked);
        html.raw("</td><td class=\"n").raw(if figure.lost > 0.0 { " bad\">" } else { "\">" });
        html.text(figure.lost).raw("</td></tr>");
    }
    html.raw("</tbody></table><p class=\"small\">Parked events wait for an operator: ");
    html.raw("<code>hansang parked list</code> says which and why. Partitions are stopped where ");
    html.raw("the source has lost events that were applied: <code>hansang log losses</code>. ");
    html.raw("A consumer whose process is unreachable ");
    html.raw("is not in the list.</p></div>");
}

pub(super) fn traces(html: &mut Html, figures: &Figures) {
    html.raw("<div class=\"card\"><h2>Recent traces</h2><table id=\"traces\"><tbody>");
    let now = figures.since_1970().as_secs_f64();
    for trace in &figures.traces {
        let ago = duration(Some((now - trace.time).max(0.0)));
        html.raw("<tr><td>").text(&trace.what).raw("</td><td class=\"n\">");
        html.text(duration(Some(trace.took))).raw("</td><td class=\"n\">").text(ago);
        html.raw(" ago</td><td><code>").text(&trace.id).raw("</code></td></tr>");
    }
    if figures.traces.is_empty() {
        html.raw("<tr><td>None: no trace is kept unless a collector is set ");
        html.raw("(<code>telemetry.otlp.endpoint</code>) or a caller asks for it.</td></tr>");
    }
    html.raw("</tbody></table></div>");
}

/// How an order came along.
pub(super) fn history(html: &mut Html, history: &History) {
    let History { order, page } = history;
    let none = Value::Null;
    let view = page.as_ref().unwrap_or(&none);
    let units = &order["total"]["units"];
    let total = format!("{} {}", said(units), said(&order["total"]["currencyCode"]));
    html.raw("<dl>");
    for (title, value) in [
        ("order", said(&order["id"])),
        ("state", said(&order["state"])),
        ("reason", said(&order["cancelReason"])),
        ("member", said(&order["memberId"])),
        ("total", &total),
        ("paid by", said(&order["paymentMethod"])),
        ("payment", said(&view["paymentState"])),
        ("delivery", said(&view["deliveryState"])),
    ] {
        if !value.is_empty() && !value.ends_with("_UNSPECIFIED") {
            html.raw("<dt>").text(title).raw("</dt><dd>").text(value).raw("</dd>");
        }
    }
    html.raw("</dl>");
    if let Err(why) = page {
        html.raw("<p class=\"bad\">My Page has no history of it: ").text(why).raw("</p>");
    }
    html.raw("<table id=\"history\"><thead><tr><th>passed</th><th colspan=\"2\">state</th>");
    html.raw("<th>trace</th></tr></thead><tbody>");
    for passed in view["history"].as_array().into_iter().flatten() {
        html.raw("<tr><td>").text(said(&passed["at"])).raw("</td><td>");
        html.text(said(&passed["state"])).raw("</td><td>").text(said(&passed["label"]));
        html.raw("</td><td class=\"trace\">").text(said(&passed["traceId"])).raw("</td></tr>");
    }
    html.raw("</tbody></table>");
}

/// Text of JSON; empty where there is none.
fn said(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}
