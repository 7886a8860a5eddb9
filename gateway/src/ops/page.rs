//! The page: figures as HTML. Whole and useful without its script, which has it
//! refreshed in place, makes rates of two looks, and signs in.

mod tables;

use super::{
    door::Viewer,
    figures::{Calls, Figures},
    html::Html,
    order::History,
};

const STYLE: &str = include_str!("page.css");
const SCRIPT: &str = include_str!("page.js");

/// The whole page. `order` is what was asked for, and what was found.
pub(super) fn page(
    figures: &Figures,
    viewer: Viewer,
    order: Option<&(String, Result<History, String>)>,
    nonce: &str,
) -> String {
    let mut html = Html::default();
    begin(&mut html, nonce);
    html.raw("<main>");
    live(&mut html, figures);
    let wanted = order.map_or("", |(id, _)| id.as_str());
    html.raw("<section id=\"order\" class=\"card\"><h2>An order</h2>");
    html.raw(
        "<form id=\"find\" action=\"/ops\"><label>Order id <input name=\"order\" size=\"40\" ",
    );
    html.raw("autocomplete=\"off\" spellcheck=\"false\" value=\"").text(wanted);
    html.raw("\"></label> <button>Show</button></form><div id=\"found\">");
    match order {
        None => {}
        Some((_, Ok(history))) => tables::history(&mut html, history),
        Some((_, Err(why))) => {
            html.raw("<p class=\"bad\">").text(why).raw("</p>");
        }
    }
    html.raw("</div></section>");
    door(&mut html, viewer == Viewer::Admin);
    html.raw("</main></body></html>");
    html.finish()
}

/// The page of somebody who has not signed in, where one has to.
pub(super) fn sign_in(nonce: &str) -> String {
    let mut html = Html::default();
    begin(&mut html, nonce);
    html.raw("<main><section id=\"live\"></section>");
    door(&mut html, false);
    html.raw(
        "<noscript><p>Signing in here needs a script. Without: <code>curl -H \"authorization: ",
    );
    html.raw("Bearer $token\" …/ops</code></p></noscript></main></body></html>");
    html.finish()
}

fn begin(html: &mut Html, nonce: &str) {
    html.raw("<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\">");
    html.raw("<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">");
    html.raw(
        "<meta name=\"color-scheme\" content=\"light dark\"><title>Hansang: how it is</title>",
    );
    html.raw("<link rel=\"icon\" href=\"data:,\">");
    html.raw("<noscript><meta http-equiv=\"refresh\" content=\"5\"></noscript><style nonce=\"");
    html.text(nonce).raw("\">").raw(STYLE).raw("</style><script type=\"module\" nonce=\"");
    html.text(nonce)
        .raw("\">")
        .raw(SCRIPT)
        .raw("</script></head><body><header><h1>한상 Hansang</h1>");
    html.raw("<p id=\"state\" role=\"status\">Refreshes every few seconds.</p></header>");
}

fn door(html: &mut Html, signed_in: bool) {
    html.raw("<section id=\"door\" class=\"card\"");
    html.raw(if signed_in { " hidden>" } else { ">" });
    html.raw("<h2>Sign in as an admin</h2><form id=\"sign-in\" method=\"post\">");
    html.raw(
        "<label>Email <input name=\"email\" type=\"email\" autocomplete=\"username\" required>",
    );
    html.raw("</label> <label>Password <input name=\"password\" type=\"password\" ");
    html.raw("autocomplete=\"current-password\" required></label> <button>Sign in</button> ");
    html.raw("<output id=\"refusal\" class=\"bad\"></output></form></section>");
}

/// What is refreshed.
fn live(html: &mut Html, figures: &Figures) {
    html.raw("<section id=\"live\" data-at=\"").text(figures.since_1970().as_millis()).raw("\">");
    tiles(html, figures);
    tables::services(html, figures);
    tables::requests(html, figures);
    html.raw("<div class=\"beside\">");
    tables::breakers(html, figures);
    tables::sagas(html, figures);
    tables::tasks(html, figures);
    html.raw("</div>");
    tables::consumers(html, figures);
    tables::traces(html, figures);
    html.raw("</section>");
}

/// The deployment in a line.
fn tiles(html: &mut Html, figures: &Figures) {
    let (well, all) = figures.well();
    let open = figures.open_breakers().count();
    let behind = figures.consumers.values().map(super::figures::Consumer::behind);
    let behind = behind.fold(0.0, f64::max);
    let parked: f64 = figures.consumers.values().map(|consumer| consumer.parked).sum();
    let sagas: f64 = figures.sagas.values().sum();
    let failed: u64 = figures.requests.values().map(|calls| calls.failed).sum();
    let all_requests = figures.requests.values().fold(Calls::default(), |mut all, calls| {
        all.count += calls.count;
        all
    });
    html.raw("<div class=\"tiles\">");
    tile(html, "services-up", "services up", &format!("{well} / {all}"), well == all);
    tile(html, "requests", "requests", &thousands(all_requests.count), true);
    tile(html, "failed", "failed (5xx)", &thousands(failed), true);
    tile(html, "open-breakers", "breakers open", &open.to_string(), open == 0);
    tile(html, "behind", "events behind, at most", &behind.to_string(), true);
    tile(html, "parked", "events parked", &parked.to_string(), parked == 0.0);
    tile(html, "sagas", "orders under way", &sagas.to_string(), true);
    html.raw("</div>");
}

fn tile(html: &mut Html, id: &'static str, title: &'static str, figure: &str, good: bool) {
    html.raw("<div class=\"tile\"><b id=\"").raw(id).raw("\"");
    html.raw(if good { ">" } else { " class=\"bad\">" });
    html.text(figure).raw("</b><span>").raw(title).raw("</span></div>");
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
