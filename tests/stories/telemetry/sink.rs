//! A collector: takes what is sent over OTLP, and shows it.

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard},
};

use opentelemetry_proto::tonic::{
    collector::{
        metrics::v1::{
            ExportMetricsServiceRequest, ExportMetricsServiceResponse,
            metrics_service_server::{MetricsService, MetricsServiceServer},
        },
        trace::v1::{
            ExportTraceServiceRequest, ExportTraceServiceResponse,
            trace_service_server::{TraceService, TraceServiceServer},
        },
    },
    common::v1::{KeyValue, any_value::Value},
    metrics::v1::Metric,
    resource::v1::Resource,
    trace::v1::Span,
};
use tokio::net::TcpListener;
use tonic::{
    Request, Response, Status, async_trait,
    transport::{Server, server::TcpIncoming},
};

/// What came: of whom, and what.
#[derive(Default)]
struct Taken {
    spans: Vec<(Attributes, Span)>,
    metrics: Vec<(Attributes, Metric)>,
    keys: Vec<Option<String>>,
}

/// Attributes by name, as text.
pub(super) type Attributes = BTreeMap<String, String>;

/// The collector.
#[derive(Clone, Default)]
pub(super) struct Sink(Arc<Mutex<Taken>>);

impl Sink {
    /// Takes what is sent to the address that it answers.
    pub(super) async fn open() -> (Self, SocketAddr) {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let sink = Self::default();
        let serving = Server::builder()
            .add_service(TraceServiceServer::new(sink.clone()))
            .add_service(MetricsServiceServer::new(sink.clone()))
            .serve_with_incoming(TcpIncoming::from(listener));
        tokio::spawn(serving);
        (sink, address)
    }

    fn taken(&self) -> MutexGuard<'_, Taken> {
        self.0.lock().expect("not poisoned")
    }

    /// The spans of a trace so far, each with who sent it.
    pub(super) fn trace(&self, id: &str) -> Vec<(Attributes, Span)> {
        let taken = self.taken();
        let of = taken.spans.iter().filter(|(_, span)| hex(&span.trace_id) == id);
        of.cloned().collect()
    }

    /// All that was sent of a metric by a service.
    pub(super) fn metric(&self, service: &str, name: &str) -> Vec<(Attributes, Metric)> {
        let taken = self.taken();
        let of = taken.metrics.iter().filter(|(resource, metric)| {
            resource.get("service.name").is_some_and(|it| it == service) && metric.name == name
        });
        of.cloned().collect()
    }

    /// The `api-key` of each export.
    pub(super) fn keys(&self) -> Vec<Option<String>> {
        self.taken().keys.clone()
    }

    fn key<T>(&self, request: &Request<T>) {
        let key = request.metadata().get("api-key").and_then(|key| key.to_str().ok());
        self.taken().keys.push(key.map(str::to_owned));
    }
}

#[async_trait]
impl TraceService for Sink {
    async fn export(
        &self,
        request: Request<ExportTraceServiceRequest>,
    ) -> Result<Response<ExportTraceServiceResponse>, Status> {
        self.key(&request);
        for of in request.into_inner().resource_spans {
            let who = resource(of.resource);
            let spans = of.scope_spans.into_iter().flat_map(|scope| scope.spans);
            self.taken().spans.extend(spans.map(|span| (who.clone(), span)));
        }
        Ok(Response::new(ExportTraceServiceResponse::default()))
    }
}

#[async_trait]
impl MetricsService for Sink {
    async fn export(
        &self,
        request: Request<ExportMetricsServiceRequest>,
    ) -> Result<Response<ExportMetricsServiceResponse>, Status> {
        self.key(&request);
        for of in request.into_inner().resource_metrics {
            let who = resource(of.resource);
            let metrics = of.scope_metrics.into_iter().flat_map(|scope| scope.metrics);
            self.taken().metrics.extend(metrics.map(|metric| (who.clone(), metric)));
        }
        Ok(Response::new(ExportMetricsServiceResponse::default()))
    }
}

fn resource(resource: Option<Resource>) -> Attributes {
    attributes(&resource.expect("whoever sends says who it is").attributes)
}

/// Attributes as text.
pub(super) fn attributes(attributes: &[KeyValue]) -> Attributes {
    let text = |value: &KeyValue| match value.value.as_ref().and_then(|it| it.value.as_ref()) {
        Some(Value::StringValue(text)) => text.clone(),
        Some(Value::IntValue(number)) => number.to_string(),
        other => format!("{other:?}"),
    };
    attributes.iter().map(|attribute| (attribute.key.clone(), text(attribute))).collect()
}

/// An id, as people write it.
pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}
