//! Watching My Page over REST: as server-sent events, as lines, as an array; and what
//! is seen when gateway and mypage are killed meanwhile: everything.

use std::time::Duration;

use app::rest::Lines;
use serde_json::{Value, json};
use tokio::time::timeout;

use super::shop::refused;
use crate::{
    deployment::{Deployment, eventually},
    people::{Member, with_status},
};

const EVENTS: (&str, &str) = ("accept", "text/event-stream");

/// A browser's `EventSource`, as far as it matters here.
struct Page<'a> {
    member: &'a Member,
    lines: Option<Lines>,
    last_event_id: String,
    /// All that was seen, in order, each with its id.
    seen: Vec<(String, Value)>,
}

impl<'a> Page<'a> {
    fn of(member: &'a Member) -> Self {
        Self { member, lines: None, last_event_id: String::new(), seen: Vec::new() }
    }

    /// Reads on until this has been seen, if it was not seen before; comes again, where it was,
    /// whenever the stream ends. Changes that were missed come at once, each page before the orders
    /// that changed later: what is asked for second may have come first.
    async fn until(&mut self, what: &str, is: impl Fn(&Value) -> bool) {
        let reading = async {
            while !self.seen.iter().any(|(_, message)| is(message)) {
                self.next().await;
            }
        };
        timeout(Duration::from_secs(20), reading).await.unwrap_or_else(|_| panic!("no {what}"));
    }

    /// Takes in the next message, unless the stream has ended or could not be opened.
    async fn next(&mut self) {
        if self.lines.is_none() {
            let id = self.last_event_id.clone();
            let headers = [EVENTS, ("last-event-id", id.as_str())];
            let headers = if id.is_empty() { &headers[..1] } else { &headers };
            let opened = self.member.rest.open(&watch(self.member), headers).await;
            self.lines = opened.ok().filter(|lines| lines.status == 200);
        }
        let Some(lines) = &mut self.lines else {
            tokio::time::sleep(Duration::from_millis(50)).await;
            return;
        };
        let (mut id, mut data, mut kind) = (String::new(), String::new(), String::new());
        while let Ok(Some(line)) = lines.next().await {
            match line.split_once(": ") {
                Some(("id", value)) => value.clone_into(&mut id),
                Some(("data", value)) => value.clone_into(&mut data),
                Some(("event", value)) => value.clone_into(&mut kind),
                _ if line.is_empty() && !data.is_empty() => break,
                _ => {}
            }
        }
        if data.is_empty() || !kind.is_empty() {
            self.lines = None;
            return;
        }
        self.last_event_id.clone_from(&id);
        self.seen.push((id, serde_json::from_str(&data).expect("JSON")));
    }
}

fn watch(member: &Member) -> String {
    format!("/v1/mypage/{}:watch", member.id)
}

fn is_order(message: &Value, order: &str, state: &str) -> bool {
    message["order"]["orderId"] == order && message["order"]["state"] == state
}

fn labels(message: &Value) -> Vec<&str> {
    let history = message["order"]["history"].as_array().expect("a history");
    history.iter().filter_map(|passed| passed["label"].as_str()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_that_is_watched_misses_nothing_though_gateway_and_mypage_are_killed() {
    let mut deployment = Deployment::split("watch_killed").await;
    let member = deployment.member(50_000).await;
    let product = deployment.product(1_000, 100).await;
    let mut page = Page::of(&member);
    page.until("page", |message| message["page"]["memberId"] == *member.id).await;

    let first = member.order(&product, 1).await;
    page.until("order", |message| is_order(message, &first, "DELIVERING")).await;

    let second = member.order(&product, 2).await;
    deployment.kill("gateway");
    deployment.start("gateway").await;
    page.until("second order", |message| is_order(message, &second, "DELIVERING")).await;

    deployment.kill("mypage");
    let third = member.order(&product, 3).await;
    deployment.start("mypage").await;
    page.until("third order", |message| is_order(message, &third, "DELIVERING")).await;
    page.until("three orders", |message| message["page"]["orderCount"] == "3").await;

    let passed = ["주문접수", "입금확인완료", "상품준비완료", "배송중"];
    for order in [first, second, third] {
        let last = page.seen.iter().rev().find(|(_, m)| m["order"]["orderId"] == *order);
        assert_eq!(labels(&last.expect("it was seen").1), passed);
    }
    let mut ids: Vec<_> = page.seen.iter().map(|(id, _)| id).collect();
    let all = ids.len();
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), all, "nothing comes twice");
    deployment.all_holds().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_watch_as_lines_or_as_an_array_says_that_it_broke_off() {
    let mut deployment = Deployment::split("watch_broken").await;
    let member = deployment.member(0).await;
    // The page may not have heard of the member yet.
    eventually("a page", async || {
        let page = member.get(&format!("/v1/mypage/{}", member.id)).await;
        if page.status == 200 { Ok(()) } else { Err(page.to_string()) }
    })
    .await;
    let path = watch(&member);
    let accept = [("accept", "application/x-ndjson")];
    let mut lines = member.rest.open(&path, &accept).await.expect("opens");
    let first = lines.next().await.expect("a line").expect("a line");
    let first: Value = serde_json::from_str(&first).expect("JSON");
    assert_eq!(first["page"]["memberId"], *member.id);
    let mut array = member.rest.open(&path, &[]).await.expect("opens");
    let mut text = array.next().await.expect("a line").expect("a line");

    deployment.kill("mypage");
    let mut last = Value::Null;
    while let Some(line) = lines.next().await.expect("it ends in good order") {
        last = serde_json::from_str(&line).expect("JSON");
    }
    assert_eq!(
        (&last["error"]["status"], &last["error"]["code"]),
        (&json!(503), &json!("UNAVAILABLE"))
    );
    while let Some(line) = array.next().await.expect("it ends in good order") {
        text.push_str(&line);
    }
    let array: Vec<Value> = serde_json::from_str(&text).expect("JSON, also now");
    assert_eq!(array.last().expect("an error")["error"]["reason"], "PEER_LOST");
    deployment.start("mypage").await;
    deployment.all_holds().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_watch_is_refused_as_any_other_call() {
    let deployment = Deployment::open("watch_refused").await;
    let (member, other) = (deployment.member(0).await, deployment.member(0).await);
    let path = watch(&member);
    with_status(404, other.get(&path).await);
    with_status(401, deployment.rest().get(&path).await.expect("an answer"));
    refused(400, "INVALID_FIELD", &member.get(&format!("{path}?lastEventId=x")).await);
    deployment.all_holds().await;
}
