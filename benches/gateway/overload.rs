//! An open load beyond the peak, of the whole deployment on one core: what is answered well must
//! neither become less nor come much later.
//!
//! Card orders are what a shop has too many of; what bears them is the services and Postgres, and a
//! refusal costs a small part of an order. A product is read so cheaply that a refusal costs a good
//! part of it: how far that goes is printed, without a goal.

use app::{
    load::{self, Options, Report},
    rest::Rest,
};
use serde_json::json;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::place::{self, Place, Subject};

const ROUND: f64 = 6.0;
/// Before it counts: a burst is let in, and the gateway has to see that it does not end.
const BURST: f64 = 2.0;
/// Who orders; each has a token, and so many of the connections.
const BUYERS: usize = 16;
const CONNECTIONS: usize = 1_000;
/// Orders of these states are still worked on.
const UNDER_WAY: [&str; 3] = ["PLACED", "PAID", "PREPARED"];

/// One request, by many.
struct Load<'a> {
    gateway: &'a Subject,
    path: String,
    body: Option<String>,
    tokens: Vec<String>,
}

/// Measures, and prints what came of it.
pub(crate) async fn measure(place: &Place) {
    place.gather();
    place::pin(std::process::id(), place::SUBJECT);
    let gateway = place.gateway(false).await;
    place::pin(gateway.pid(), place::LOAD);
    let rest = Rest::new(format!("http://{}", gateway.http));
    let mut tokens = Vec::new();
    for number in 0..BUYERS {
        tokens.push(sign_up(&rest, number).await);
    }
    let lines = json!([{ "productId": place.product, "quantity": 1 }]);
    let order = json!({ "paymentMethod": "CARD", "cardToken": "tok_visa", "lines": lines });
    let orders = Load {
        gateway: &gateway,
        path: "/v1/orders".into(),
        body: Some(order.to_string()),
        tokens,
    };
    let settled = async || place.settled(&UNDER_WAY).await;
    println!("\noverload of card orders, the whole deployment on one core");
    orders.beyond_the_peak(&[0.5, 1.0, 2.0, 5.0, 10.0], settled).await;
    println!(
        "goals at 10 times: 0.90 of the peak; p99 of what is accepted at most 5 times the usual"
    );
    let one = format!("/v1/products/{}", place.product);
    let tokens = vec![place.token.clone()];
    let reads = Load { gateway: &gateway, path: one, body: None, tokens };
    println!("\noverload of reads of one product, the same core");
    reads.beyond_the_peak(&[0.5, 1.0, 2.0, 4.0], async || ()).await;
}

/// The token of a new member.
async fn sign_up(rest: &Rest, number: usize) -> String {
    let email = format!("buyer-{number}@example.com");
    let member = json!({ "email": email, "password": "correct horse", "displayName": "Buyer" });
    let answer = rest.post("/v1/members", member).await.expect("an answer");
    assert_eq!(answer.status, 201, "{:?}", answer.body);
    let session = json!({ "email": email, "password": "correct horse" });
    rest.post("/v1/sessions", session).await.expect("an answer").text("accessToken")
}

impl Load<'_> {
    async fn beyond_the_peak(&self, loads: &[f64], settled: impl AsyncFn()) {
        let mut peak = 0.0_f64;
        for connections in [16, 64] {
            peak = peak.max(self.round(None, connections, ROUND).await.goodput());
            settled().await;
        }
        println!("peak {peak:.0} a second\n");
        println!(
            "{:>6} {:>10} {:>10} {:>8} {:>8} {:>8} {:>8} {:>6}",
            "times", "answered/s", "accepted/s", "/ peak", "p50 ms", "p99 ms", "/ usual", "lost"
        );
        let mut usual = None;
        for times in loads {
            self.round(Some(peak * times), CONNECTIONS, BURST).await;
            let report = self.round(Some(peak * times), CONNECTIONS, ROUND).await;
            settled().await;
            let late = report.accepted_within(0.99);
            println!(
                "{times:>6.1} {:>10.0} {:>10.0} {:>8.2} {:>8.1} {late:>8.1} {:>8.1} {:>6}",
                report.throughput(),
                report.goodput(),
                report.goodput() / peak,
                report.accepted_within(0.5),
                late / *usual.get_or_insert(late),
                report.lost,
            );
        }
    }

    /// One round of all who ask.
    async fn round(&self, rate: Option<f64>, connections: usize, seconds: f64) -> Report {
        let many = self.tokens.len();
        let each = f64::from(u32::try_from(many).expect("few")).recip();
        let mut all = JoinSet::new();
        for token in &self.tokens {
            let options = Options {
                url: format!("http://{}{}", self.gateway.http, self.path).parse().expect("a URL"),
                body: self.body.clone(),
                token: Some(token.clone()),
                rate: rate.map(|rate| rate * each),
                connections: connections / many,
                seconds,
            };
            all.spawn(async move { load::load(&options, CancellationToken::new()).await });
        }
        let mut report = Report::new().expect("bounds");
        for part in all.join_all().await {
            report.add(part.expect("loads")).expect("the same bounds");
        }
        report
    }
}
