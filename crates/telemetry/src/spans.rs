//! The current span: its context in headers, and more to be said of it. What nobody
//! keeps is not described, so that it costs next to nothing.

use std::collections::BTreeMap;

use http::{HeaderMap, HeaderName, HeaderValue};
use opentelemetry::{
    Context, global,
    propagation::{Extractor, Injector},
    trace::{SpanContext, SpanRef, TraceContextExt as _},
};

/// The current trace, as headers to keep.
pub fn context_headers() -> BTreeMap<String, String> {
    Context::map_current(headers)
}

/// Adds the current trace to headers to send on.
pub fn inject(headers: &mut HeaderMap) {
    struct Headers<'a>(&'a mut HeaderMap);
    impl Injector for Headers<'_> {
        fn set(&mut self, key: &str, value: String) {
            // An empty `tracestate` says nothing.
            if !value.is_empty()
                && let (Ok(key), Ok(value)) = (key.parse(), HeaderValue::try_from(value))
            {
                self.0.insert::<HeaderName>(key, value);
            }
        }
    }
    Context::map_current(|context| {
        let headers = &mut Headers(headers);
        global::get_text_map_propagator(|propagator| propagator.inject_context(context, headers));
    });
}

/// A trace as headers.
pub fn headers(context: &Context) -> BTreeMap<String, String> {
    struct Headers(BTreeMap<String, String>);
    impl Injector for Headers {
        fn set(&mut self, key: &str, value: String) {
            // An empty `tracestate` says nothing.
            if !value.is_empty() {
                self.0.insert(key.to_owned(), value);
            }
        }
    }
    let mut headers = Headers(BTreeMap::new());
    global::get_text_map_propagator(|propagator| propagator.inject_context(context, &mut headers));
    headers.0
}

/// The trace that a request continues.
pub fn remote_context(headers: &HeaderMap) -> Context {
    struct Headers<'a>(&'a HeaderMap);
    impl Extractor for Headers<'_> {
        fn get(&self, key: &str) -> Option<&str> {
            self.0.get(key).and_then(|value| value.to_str().ok())
        }
        fn keys(&self) -> Vec<&str> {
            self.0.keys().map(HeaderName::as_str).collect()
        }
    }
    global::get_text_map_propagator(|propagator| propagator.extract(&Headers(headers)))
}

/// The trace that an event belongs to; none when nobody keeps it.
pub fn sampled_context(headers: &BTreeMap<String, String>) -> Option<Context> {
    struct Headers<'a>(&'a BTreeMap<String, String>);
    impl Extractor for Headers<'_> {
        fn get(&self, key: &str) -> Option<&str> {
            self.0.get(key).map(String::as_str)
        }
        fn keys(&self) -> Vec<&str> {
            self.0.keys().map(String::as_str).collect()
        }
    }
    if !headers.get("traceparent")?.ends_with("-01") {
        return None;
    }
    let headers = &Headers(headers);
    let context = global::get_text_map_propagator(|propagator| {
        propagator.extract_with_context(&Context::new(), headers)
    });
    context.span().span_context().is_valid().then_some(context)
}

/// What the current span is called elsewhere; valid within a span.
pub(super) fn current() -> SpanContext {
    Context::map_current(|context| context.span().span_context().clone())
}

/// Says more of the current span, if somebody keeps it.
pub fn describe(say: impl FnOnce(&SpanRef<'_>)) {
    Context::map_current(|context| {
        let span = context.span();
        if span.is_recording() {
            say(&span);
        }
    });
}
