//! What a collector gets: one trace from the call to the last policy, metrics that
//! point to it, and logs that name it; and that nobody misses a collector which is
//! not there.

mod sink;

use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
};

use app::rest::Rest;
use http::Method;
use opentelemetry_proto::tonic::{
    metrics::v1::{Metric, metric::Data, number_data_point},
    trace::v1::{Span, span::SpanKind},
};
use serde_json::{Value, json};

use self::sink::{Attributes, Sink, attributes, hex};
use crate::{
    deployment::{Deployment, eventually},
    people::{Member, Product, same, with_status},
};

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const CALLER: &str = "00f067aa0ba902b7";
const UNSAMPLED: &str = "a3ce929d0e0e47364bf92f3577b34da6";
const LAST: &str = "929d0e0e47364bf92f3577b34da6a3ce";

/// Who does what on behalf of a wallet order, and what led to it; by the spans' names.
const CHAIN: [(&str, &str, &str); 10] = [
    ("gateway", "POST /v1/orders", ""),
    ("order", "hansang.order.v1.OrderService/PlaceOrder", "POST /v1/orders"),
    ("payment", "payment OrderPlaced", "hansang.order.v1.OrderService/PlaceOrder"),
    ("order", "order PaymentApproved", "payment OrderPlaced"),
    ("notification", "notification PaymentApproved", "payment OrderPlaced"),
    ("mileage", "mileage PaymentApproved", "payment OrderPlaced"),
    ("product", "product OrderPaid", "order PaymentApproved"),
    ("order", "order StockDecreased", "product OrderPaid"),
    ("delivery", "delivery OrderPrepared", "order StockDecreased"),
    ("order", "order DeliveryStarted", "delivery OrderPrepared"),
];

fn told(collector: SocketAddr) -> Vec<(&'static str, String)> {
    vec![
        ("OTEL_EXPORTER_OTLP_ENDPOINT", format!("http://{collector}")),
        ("OTEL_EXPORTER_OTLP_HEADERS", "api-key=a%20key".to_owned()),
        ("OTEL_BSP_SCHEDULE_DELAY", "100".to_owned()),
        ("HANSANG__TELEMETRY__OTLP__METRICS_INTERVAL_MS", "500".to_owned()),
        ("HANSANG__TELEMETRY__FORMAT", "json".to_owned()),
        ("HANSANG__TELEMETRY__LOG", "info,server=debug,gateway=debug".to_owned()),
    ]
}

async fn place(member: &Member, product: &Product, trace: &str, flags: &str) -> String {
    let parent = format!("00-{trace}-{CALLER}-{flags}");
    let lines = json!([{ "productId": product.id, "quantity": 1 }]);
    let order = json!({ "paymentMethod": "WALLET", "lines": lines });
    let headers = [("traceparent", parent.as_str())];
    let placed = member.rest.send(Method::POST, "/v1/orders", Some(order), &headers).await;
    with_status(201, placed.expect("an answer")).text("id")
}

/// The span of this name by this service.
fn find<'a>(spans: &'a [(Attributes, Span)], service: &str, name: &str) -> Option<&'a Span> {
    let mut spans = spans.iter();
    let same =
        |(who, span): &&(Attributes, Span)| who["service.name"] == service && span.name == name;
    spans.find(same).map(|(_, span)| span)
}

/// The whole trace, once it has arrived.
async fn whole(sink: &Sink) -> Vec<(Attributes, Span)> {
    eventually("the trace", async || {
        let spans = sink.trace(TRACE);
        let missing = CHAIN.iter().filter(|(who, name, _)| find(&spans, who, name).is_none());
        let missing = missing.map(|(_, name, _)| *name).collect::<Vec<_>>();
        let seen = spans.iter().map(|(_, span)| span.name.as_str()).collect::<BTreeSet<_>>();
        if missing.is_empty() { Ok(spans) } else { Err(format!("{missing:?} among {seen:?}")) }
    })
    .await
}

/// Each span has its cause in the trace, and consumers link to it.
fn assert_one_tree(spans: &[(Attributes, Span)]) {
    let names: BTreeMap<_, _> =
        spans.iter().map(|(_, span)| (hex(&span.span_id), span.name.as_str())).collect();
    for (who, name, cause) in CHAIN {
        let span = find(spans, who, name).expect("is there");
        let parent = hex(&span.parent_span_id);
        let led = names.get(&parent).copied().unwrap_or_default();
        assert_eq!(led, cause, "{name}: {spans:#?}");
        if cause.is_empty() {
            assert_eq!(parent, CALLER);
        }
        if span.kind() == SpanKind::Consumer {
            assert!(span.links.iter().any(|link| hex(&link.span_id) == parent), "{name}: {span:?}");
        }
    }
    for (who, span) in spans {
        // Of ours alone, and none that came from nowhere.
        let parent = hex(&span.parent_span_id);
        assert!(parent == CALLER || names.contains_key(&parent), "{who:?} {span:?}");
        assert_ne!(span.kind(), SpanKind::Unspecified, "{span:?}");
        for key in ["service.version", "service.instance.id", "service.namespace"] {
            assert!(who.contains_key(key), "{who:?}");
        }
    }
    let gateway = attributes(&find(spans, "gateway", CHAIN[0].1).expect("is there").attributes);
    for (key, value) in [
        ("http.request.method", "POST"),
        ("http.route", "/v1/orders"),
        ("http.response.status_code", "201"),
        ("url.path", "/v1/orders"),
    ] {
        assert_eq!(gateway.get(key).map(String::as_str), Some(value), "{gateway:?}");
    }
}

/// Each milestone says which trace it was passed in.
async fn assert_on_my_page(member: &Member, order: &str, trace: &str) {
    let path = format!("/v1/mypage/{}/orders/{order}", member.id);
    eventually("the traces of four milestones", async || {
        let view = with_status(200, member.rest.get(&path).await.expect("an answer"));
        let history = view.body["history"].as_array().cloned().unwrap_or_default();
        let traces: Vec<_> = history.iter().map(|passed| passed["traceId"].as_str()).collect();
        same(traces, vec![Some(trace); 4])
    })
    .await;
}

/// Logs of what was done in the trace name it, and a span of it.
fn assert_logged(deployment: &Deployment, spans: &[(Attributes, Span)]) {
    let ids: BTreeSet<_> = spans.iter().map(|(_, span)| hex(&span.span_id)).collect();
    for part in ["gateway", "order"] {
        let log = deployment.log(part);
        let lines = log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        let of_it = lines.filter(|line| line["trace_id"] == TRACE).collect::<Vec<_>>();
        assert!(of_it.iter().any(|line| line["message"] == "answered"), "{part}: {log}");
        for line in of_it {
            assert!(ids.contains(line["span_id"].as_str().unwrap_or_default()), "{line}");
        }
    }
}

/// The points of what was last sent of a metric that have this attribute: their values, and the
/// traces of their examples.
fn points(sent: &[(Attributes, Metric)], key: &str, value: &str) -> Vec<(f64, Vec<String>)> {
    let is = |of: &Attributes| of.get(key).is_some_and(|it| it == value);
    let mut found = Vec::new();
    match sent.last().and_then(|(_, metric)| metric.data.as_ref()) {
        Some(Data::Sum(sum)) => {
            for point in sum.data_points.iter().filter(|it| is(&attributes(&it.attributes))) {
                let Some(number_data_point::Value::AsDouble(value)) = point.value else { continue };
                found.push((value, Vec::new()));
            }
        }
        Some(Data::Histogram(histogram)) => {
            for point in histogram.data_points.iter().filter(|it| is(&attributes(&it.attributes))) {
                assert_eq!(point.bucket_counts.iter().sum::<u64>(), point.count, "{point:?}");
                assert_eq!(point.bucket_counts.len(), point.explicit_bounds.len() + 1);
                let traces = point.exemplars.iter().map(|it| hex(&it.trace_id)).collect();
                found.push((point.sum.unwrap_or_default(), traces));
            }
        }
        _ => {}
    }
    found
}

async fn assert_measured(sink: &Sink) {
    eventually("metrics", async || {
        let requests = sink.metric("gateway", "http.server.request.duration");
        let requests = points(&requests, "http.route", "/v1/orders");
        let example = requests.iter().any(|(_, traces)| traces.iter().any(|it| it == TRACE));
        let orders = points(&sink.metric("order", "hansang.events"), "event_type", "OrderPlaced");
        let earned = points(&sink.metric("mileage", "hansang.mileage.points"), "outcome", "earned");
        let orders: Vec<_> = orders.into_iter().map(|(value, _)| value).collect();
        let earned: Vec<_> = earned.into_iter().map(|(value, _)| value).collect();
        same((example, orders, earned), (true, vec![2.0], vec![20.0]))
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_collector_gets_one_trace_from_the_call_to_the_last_policy() {
    let (sink, address) = Sink::open().await;
    let mut deployment = Deployment::split_with("collector", &told(address)).await;
    let member = deployment.member(100_000).await;
    let product = deployment.product(1_000, 10).await;
    let order = place(&member, &product, TRACE, "01").await;
    member.eventually_sees(&order, "DELIVERING").await;
    let spans = whole(&sink).await;
    assert_one_tree(&spans);
    assert_logged(&deployment, &spans);
    assert_on_my_page(&member, &order, TRACE).await;

    // What the caller does not keep nobody keeps; the last requests are not lost when a part ends.
    let order = place(&member, &product, UNSAMPLED, "00").await;
    member.eventually_sees(&order, "DELIVERING").await;
    assert_on_my_page(&member, &order, UNSAMPLED).await;
    assert_measured(&sink).await;
    let parent = format!("00-{LAST}-{CALLER}-01");
    let anyone: Rest = deployment.rest();
    let sent = anyone.send(Method::GET, "/v1/products", None, &[("traceparent", &parent)]).await;
    with_status(200, sent.expect("an answer"));
    deployment.tell_to_stop("gateway");
    deployment.stopped("gateway").await;
    assert!(find(&sink.trace(LAST), "gateway", "GET /v1/products").is_some());
    assert!(sink.trace(UNSAMPLED).is_empty());
    assert!(sink.keys().iter().all(|key| key.as_deref() == Some("a key")));
    deployment.start("gateway").await;
    deployment.all_holds().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_waits_for_a_collector() {
    // Takes connections, and never says a word.
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let mut deployment =
        Deployment::split_with("no_collector", &told(silent.local_addr().expect("an address")))
            .await;
    let member = deployment.member(100_000).await;
    let product = deployment.product(1_000, 10).await;
    for _ in 0..5 {
        let order = member.order(&product, 1).await;
        member.eventually_sees(&order, "DELIVERING").await;
    }
    deployment.tell_to_stop("gateway");
    deployment.stopped("gateway").await;
    deployment.start("gateway").await;
    deployment.all_holds().await;
}
