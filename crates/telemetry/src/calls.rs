//! gRPC calls as the conventions have them, served here and made from here: how long
//! they take, how they end. A method is a label by its full name.

use std::{sync::LazyLock, time::Duration};

use http::uri::PathAndQuery;
use opentelemetry::{KeyValue, trace::Status};
use prometheus_client::encoding::{EncodeLabelSet, LabelSetEncoder};
use tonic::Code;

use super::{CALL_BUCKETS, Histograms, durations, spans};

/// Calls that this process answered.
pub static SERVED: LazyLock<Calls> = LazyLock::new(|| {
    let help = "Time from a call's headers to its response's";
    Calls(durations("rpc.server.call.duration", help, CALL_BUCKETS))
});

/// Calls that this process made, with all their tries.
pub static MADE: LazyLock<Calls> = LazyLock::new(|| {
    let help = "Time that a call took its caller, with all tries";
    Calls(durations("rpc.client.call.duration", help, CALL_BUCKETS))
});

/// Calls on one side.
pub struct Calls(Histograms<Labels>);

impl Calls {
    /// Counts one call.
    pub fn took(&self, method: &PathAndQuery, code: Code, took: Duration) {
        // Anyone can make up methods; each would be a time series of its own.
        let method = match code {
            Code::Unimplemented => PathAndQuery::from_static("/_OTHER"),
            _ => method.clone(),
        };
        self.0.took(&Labels { method, code: code as i32 }, took);
    }
}

/// Says of the current span which call it is, and how that ended.
pub fn describe(method: &str, code: Code) {
    spans::describe(|span| {
        let method = method.trim_start_matches('/').to_owned();
        span.update_name(method.clone());
        span.set_attribute(KeyValue::new("rpc.system.name", "grpc"));
        span.set_attribute(KeyValue::new("rpc.method", method));
        span.set_attribute(KeyValue::new("rpc.response.status_code", name(code)));
        if is_failure(code) {
            span.set_attribute(KeyValue::new("error.type", name(code)));
            span.set_status(Status::error(""));
        }
    });
}

/// The codes that are a server's fault, as the conventions have them.
fn is_failure(code: Code) -> bool {
    use Code::{DataLoss, DeadlineExceeded, Internal, Unavailable, Unimplemented, Unknown};
    matches!(code, DataLoss | DeadlineExceeded | Internal | Unavailable | Unimplemented | Unknown)
}

#[derive(Clone, Debug, Hash, PartialEq, Eq)]
struct Labels {
    method: PathAndQuery,
    code: i32,
}

impl EncodeLabelSet for Labels {
    fn encode(&self, encoder: &mut LabelSetEncoder<'_>) -> Result<(), std::fmt::Error> {
        let method = self.method.path().trim_start_matches('/');
        let code = name(Code::from_i32(self.code));
        [("rpc_method", method), ("rpc_response_status_code", code)].encode(encoder)
    }
}

/// `NOT_FOUND`.
fn name(code: Code) -> &'static str {
    match code {
        Code::Ok => "OK",
        Code::Cancelled => "CANCELLED",
        Code::Unknown => "UNKNOWN",
        Code::InvalidArgument => "INVALID_ARGUMENT",
        Code::DeadlineExceeded => "DEADLINE_EXCEEDED",
        Code::NotFound => "NOT_FOUND",
        Code::AlreadyExists => "ALREADY_EXISTS",
        Code::PermissionDenied => "PERMISSION_DENIED",
        Code::ResourceExhausted => "RESOURCE_EXHAUSTED",
        Code::FailedPrecondition => "FAILED_PRECONDITION",
        Code::Aborted => "ABORTED",
        Code::OutOfRange => "OUT_OF_RANGE",
        Code::Unimplemented => "UNIMPLEMENTED",
        Code::Internal => "INTERNAL",
        Code::Unavailable => "UNAVAILABLE",
        Code::DataLoss => "DATA_LOSS",
        Code::Unauthenticated => "UNAUTHENTICATED",
    }
}
