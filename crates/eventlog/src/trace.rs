//! Traces go on in those who consume: each event that somebody keeps the trace of
//! gets a span there, a child of what it came from and linked to it, and what
//! follows from the event belongs to that span. Events applied in one go share
//! their work: the first one's span stands for it, and the others link to it.

use opentelemetry::{
    Context, KeyValue,
    trace::{SpanContext, TraceContextExt as _},
};
use telemetry::spans;
use tracing::Span;
use tracing_opentelemetry::OpenTelemetrySpanExt as _;

use super::{Arrived, checkpoint::Owner};

/// The spans of a batch, until dropped.
pub(super) struct Traced(Vec<Span>);

impl Traced {
    /// Begins the spans of a batch, and puts the events into them.
    pub(super) fn begin<M>(owner: Owner, events: &mut [Arrived<M>]) -> Self {
        let size = events.len();
        let sampled = events.iter_mut().filter_map(|event| {
            let context = spans::sampled_context(&event.headers)?;
            Some((event, context))
        });
        let mut sampled = sampled.collect::<Vec<_>>();
        let producers = sampled.iter().map(|(_, context)| of(context)).collect::<Vec<_>>();
        let (mut begun, mut first) = (Vec::with_capacity(sampled.len()), None);
        for (event, producer) in &mut sampled {
            let span = tracing::info_span!(parent: None, "consume", otel.kind = "consumer");
            // Fails only where no tracer is installed: then nobody keeps anything.
            let _ = span.set_parent(producer.clone());
            match &first {
                None => producers.iter().for_each(|other| span.add_link(other.clone())),
                Some(first) => {
                    span.add_link(of(producer));
                    span.add_link(SpanContext::clone(first));
                }
            }
            let context = span.context();
            describe(&context, owner, event, size);
            event.headers.extend(spans::headers(&context));
            first.get_or_insert_with(|| of(&context));
            begun.push(span);
        }
        Self(begun)
    }

    /// Where the batch's work belongs.
    pub(super) fn span(&self) -> Span {
        self.0.first().cloned().unwrap_or_else(Span::none)
    }
}

fn of(context: &Context) -> SpanContext {
    context.span().span_context().clone()
}

fn describe<M>(context: &Context, owner: Owner, event: &Arrived<M>, size: usize) {
    let span = context.span();
    let kind = event.kind.clone();
    span.update_name(format!("{} {kind}", owner.consumer));
    span.set_attribute(KeyValue::new("messaging.operation.name", "apply"));
    span.set_attribute(KeyValue::new("messaging.operation.type", "process"));
    span.set_attribute(KeyValue::new("messaging.destination.name", owner.source));
    span.set_attribute(KeyValue::new("messaging.consumer.group.name", owner.consumer));
    span.set_attribute(KeyValue::new("messaging.message.id", event.event_id.to_string()));
    let correlation = event.correlation_id.to_string();
    span.set_attribute(KeyValue::new("messaging.message.conversation_id", correlation));
    let size = i64::try_from(size).unwrap_or(i64::MAX);
    span.set_attribute(KeyValue::new("messaging.batch.message_count", size));
    span.set_attribute(KeyValue::new("hansang.event.type", kind));
}
