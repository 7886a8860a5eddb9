//! A log line as one JSON object: time, level, where, the ids of the trace and of
//! the span that it was written in, then what it says, and the spans around it.

use std::fmt;

use opentelemetry::trace::TraceContextExt as _;
use serde_json::{Map, Value};
use tracing::{
    Event, Subscriber,
    field::{Field, Visit},
};
use tracing_subscriber::{
    fmt::{
        FmtContext, FormatEvent, FormatFields, FormattedFields,
        format::{JsonFields, Writer},
        time::{FormatTime as _, SystemTime},
    },
    registry::LookupSpan,
};

/// How the fields of spans are kept until they are wanted.
pub(super) fn fields() -> JsonFields {
    JsonFields::new()
}

/// Writes log lines.
pub(super) struct Json;

impl<S, N> FormatEvent<S, N> for Json
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let mut line = Line::default();
        let mut time = String::new();
        SystemTime.format_time(&mut Writer::new(&mut time))?;
        let metadata = event.metadata();
        line.say("timestamp", time);
        line.say("level", metadata.level().as_str());
        line.say("target", metadata.target());
        // Not by the spans that the log's filter lets through: a warning has a trace too.
        opentelemetry::Context::map_current(|context| {
            let span = context.span();
            let span = span.span_context();
            if span.is_valid() {
                line.say("trace_id", span.trace_id().to_string());
                line.say("span_id", span.span_id().to_string());
            }
        });
        event.record(&mut line);
        let spans: Vec<Value> = context
            .event_scope()
            .into_iter()
            .flat_map(tracing_subscriber::registry::Scope::from_root)
            .map(|span| {
                let extensions = span.extensions();
                let fields = extensions.get::<FormattedFields<N>>();
                let fields = fields.and_then(|fields| serde_json::from_str(&fields.fields).ok());
                let mut fields: Map<String, Value> = fields.unwrap_or_default();
                fields.insert("name".to_owned(), span.name().into());
                fields.into()
            })
            .collect();
        if !spans.is_empty() {
            line.say("spans", spans);
        }
        let line = serde_json::to_string(&line.0).map_err(|_| fmt::Error)?;
        writeln!(writer, "{line}")
    }
}

#[derive(Default)]
struct Line(Map<String, Value>);

impl Line {
    fn say(&mut self, key: &str, value: impl Into<Value>) {
        self.0.insert(key.to_owned(), value.into());
    }
}

impl Visit for Line {
    fn record_f64(&mut self, field: &Field, value: f64) {
        self.say(field.name(), value);
    }
    fn record_i64(&mut self, field: &Field, value: i64) {
        self.say(field.name(), value);
    }
    fn record_u64(&mut self, field: &Field, value: u64) {
        self.say(field.name(), value);
    }
    fn record_bool(&mut self, field: &Field, value: bool) {
        self.say(field.name(), value);
    }
    fn record_str(&mut self, field: &Field, value: &str) {
        self.say(field.name(), value);
    }
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.say(field.name(), format!("{value:?}"));
    }
}
