//! The page: figures as HTML. Whole and useful without its script, which has it
//! refreshed in place, makes rates of two looks, and signs in.

mod tables;

use maud::{DOCTYPE, Markup, PreEscaped, html};

use super::{
    door::Viewer,
    faults,
    figures::{Consumer, Figures},
    order::History,
    past::{self, Seen},
};

const STYLE: PreEscaped<&str> = PreEscaped(include_str!("page.css"));
const SCRIPT: PreEscaped<&str> = PreEscaped(include_str!("page.js"));

/// What the page has besides the figures.
pub(super) struct More {
    /// The last minutes.
    pub(super) past: Vec<Seen>,
    /// Whether it has switches to break something.
    pub(super) faults: bool,
}

/// The whole page. `order` is what was asked for, and what was found.
pub(super) fn page(
    figures: &Figures,
    viewer: Viewer,
    order: Option<&(String, Result<History, String>)>,
    more: &More,
    nonce: &str,
) -> Markup {
    let wanted = order.map_or("", |(id, _)| id.as_str());
    whole(
        nonce,
        &html! {
            (live(figures, &more.past))
            @if more.faults { (faults::switches(figures.names().into_iter())) }
            section #order .card {
                h2 { "An order" }
                form #find action="/ops" {
                    label {
                        "Order id "
                        input name="order" size="40" autocomplete="off" spellcheck="false" value=(wanted);
                    }
                    " "
                    button { "Show" }
                }
                div #found {
                    @match order {
                        None => {}
                        Some((_, Ok(history))) => (tables::history(history)),
                        Some((_, Err(why))) => p.bad { (why) },
                    }
                }
            }
            (door(viewer == Viewer::Admin))
        },
    )
}

/// The page of somebody who has not signed in, where one has to.
pub(super) fn sign_in(nonce: &str) -> Markup {
    whole(
        nonce,
        &html! {
            section #live {}
            (door(false))
            noscript {
                p {
                    "Signing in here needs a script. Without: "
                    code { "curl -H \"authorization: Bearer $token\" …/ops" }
                }
            }
        },
    )
}

fn whole(nonce: &str, main: &Markup) -> Markup {
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                title { "Hansang: operations" }
                link rel="icon" href="data:,";
                noscript { meta http-equiv="refresh" content="5"; }
                style nonce=(nonce) { (STYLE) }
                script type="module" nonce=(nonce) { (SCRIPT) }
            }
            body {
                header {
                    h1 { "한상 Hansang" }
                    p #state role="status" { "Refreshes every few seconds." }
                }
                main { (main) }
            }
        }
    }
}

fn door(signed_in: bool) -> Markup {
    html! {
        section #door .card hidden[signed_in] {
            h2 { "Sign in as an admin" }
            form #sign-in method="post" {
                label {
                    "Email "
                    input name="email" type="email" autocomplete="username" required;
                }
                " "
                label {
                    "Password "
                    input name="password" type="password" autocomplete="current-password" required;
                }
                " "
                button { "Sign in" }
                " "
                output #refusal .bad {}
            }
        }
    }
}

/// What is refreshed.
fn live(figures: &Figures, past: &[Seen]) -> Markup {
    html! {
        section #live data-at=(figures.since_1970().as_millis()) {
            (tiles(figures))
            (past::charts(past))
            (tables::services(figures))
            (tables::requests(figures))
            div.beside {
                (tables::breakers(figures))
                (tables::sagas(figures))
                (tables::tasks(figures))
            }
            (tables::consumers(figures))
            (tables::traces(figures))
        }
    }
}

/// The deployment in a line.
fn tiles(figures: &Figures) -> Markup {
    let (healthy, all) = figures.well();
    let open = figures.open_breakers().count();
    let behind = figures.consumers.values().map(Consumer::behind).fold(0.0, f64::max);
    let parked: f64 = figures.consumers.values().map(|consumer| consumer.parked).sum();
    let sagas: f64 = figures.sagas.values().sum();
    let failed: u64 = figures.requests.values().map(|calls| calls.failed).sum();
    let requests: u64 = figures.requests.values().map(|calls| calls.count).sum();
    html! {
        div.tiles {
            (tile("services-up", "services up", &format!("{healthy} / {all}"), healthy == all))
            (tile("requests", "requests", &thousands(requests), true))
            (tile("failed", "failed (5xx)", &thousands(failed), true))
            (tile("open-breakers", "breakers open", &open.to_string(), open == 0))
            (tile("behind", "events behind, at most", &behind.to_string(), true))
            (tile("parked", "events parked", &parked.to_string(), parked == 0.0))
            (tile("sagas", "orders in progress", &sagas.to_string(), true))
        }
    }
}

fn tile(id: &str, title: &str, figure: &str, good: bool) -> Markup {
    html! {
        div.tile {
            b id=(id) class=[(!good).then_some("bad")] { (figure) }
            span { (title) }
        }
    }
}

/// `1,234,567`.
fn thousands(count: u64) -> String {
    let digits = count.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// `4.2 ms`, `1.25 s`; a dash where there is nothing.
fn duration(seconds: Option<f64>) -> String {
    match seconds {
        None => "–".to_owned(),
        Some(seconds) if seconds < 0.01 => format!("{:.1} ms", seconds * 1e3),
        Some(seconds) if seconds < 1.0 => format!("{:.0} ms", seconds * 1e3),
        Some(seconds) if seconds < 120.0 => format!("{seconds:.2} s"),
        Some(seconds) => format!("{:.0} min", seconds / 60.0),
    }
}

#[cfg(test)]
mod tests;
