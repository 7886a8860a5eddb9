//! The one error path. A context's refusal says its kind and reason; only this
//! module builds a `tonic::Status` from it, with the standard error details. What a
//! fault of ours was (the database's words, say) stays in the log: the caller gets a
//! constant sentence, and the id of the trace that the log has it under.

use std::{borrow::Cow, fmt, time::Duration};

use opentelemetry::{Context, trace::TraceContextExt as _};
use prost::Message as _;
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt as _};

/// `google.rpc.ErrorInfo.domain` of every error of this system.
pub const DOMAIN: &str = "hansang";

/// What a caller gets of a fault of ours.
const FAULT: &str = "a fault on our side, not in the request";

/// What kind of failure it is; each is one gRPC code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The request can never work as it is (`INVALID_ARGUMENT`).
    Invalid,
    /// No valid token (`UNAUTHENTICATED`).
    Unauthenticated,
    /// The caller's roles do not allow it (`PERMISSION_DENIED`).
    Forbidden,
    /// No such resource, or another member's (`NOT_FOUND`).
    NotFound,
    /// It is there already (`ALREADY_EXISTS`).
    AlreadyExists,
    /// The resource's state does not allow it (`FAILED_PRECONDITION`).
    Conflict,
    /// Lost a race; the same call may work now (`ABORTED`).
    Aborted,
    /// Too much of it (`RESOURCE_EXHAUSTED`).
    Exhausted,
    /// Try again later (`UNAVAILABLE`).
    Unavailable,
    /// Took too long; the outcome is unknown (`DEADLINE_EXCEEDED`).
    DeadlineExceeded,
    /// A fault of ours (`INTERNAL`).
    Internal,
}

impl Kind {
    const fn code(self) -> Code {
        match self {
            Self::Invalid => Code::InvalidArgument,
            Self::Unauthenticated => Code::Unauthenticated,
            Self::Forbidden => Code::PermissionDenied,
            Self::NotFound => Code::NotFound,
            Self::AlreadyExists => Code::AlreadyExists,
            Self::Conflict => Code::FailedPrecondition,
            Self::Aborted => Code::Aborted,
            Self::Exhausted => Code::ResourceExhausted,
            Self::Unavailable => Code::Unavailable,
            Self::DeadlineExceeded => Code::DeadlineExceeded,
            Self::Internal => Code::Internal,
        }
    }

    const fn from_code(code: Code) -> Self {
        match code {
            Code::InvalidArgument | Code::OutOfRange => Self::Invalid,
            Code::Unauthenticated => Self::Unauthenticated,
            Code::PermissionDenied => Self::Forbidden,
            Code::NotFound => Self::NotFound,
            Code::AlreadyExists => Self::AlreadyExists,
            Code::FailedPrecondition => Self::Conflict,
            Code::Aborted => Self::Aborted,
            Code::ResourceExhausted => Self::Exhausted,
            Code::Unavailable => Self::Unavailable,
            // tonic reports its own timeouts as Cancelled.
            Code::DeadlineExceeded | Code::Cancelled => Self::DeadlineExceeded,
            Code::Ok | Code::Unknown | Code::Internal | Code::Unimplemented | Code::DataLoss => {
                Self::Internal
            }
        }
    }
}

/// A field of the request and what is wrong with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// The path as REST clients know it: `lines[0].productId`.
    pub field: String,
    /// What would be right.
    pub description: String,
}

/// Any failure, ready for the wire.
#[derive(Clone, Debug)]
pub struct Error(Box<Inner>);

#[derive(Clone, Debug)]
struct Inner {
    kind: Kind,
    reason: Cow<'static, str>,
    /// What the caller gets.
    detail: String,
    /// What the log gets instead, where that is more.
    cause: Option<String>,
    violations: Vec<Violation>,
    retry_after: Option<Duration>,
}

impl Error {
    /// An error with a machine-readable `reason` (`OUT_OF_STOCK`) and a sentence for people.
    pub fn new(
        kind: Kind,
        reason: impl Into<Cow<'static, str>>,
        detail: impl Into<String>,
    ) -> Self {
        Self(Box::new(Inner {
            kind,
            reason: reason.into(),
            detail: detail.into(),
            cause: None,
            violations: Vec::new(),
            retry_after: None,
        }))
    }

    /// A field that cannot be as it is.
    pub fn violation(field: impl Into<String>, description: impl Into<String>) -> Self {
        Self::violations(vec![Violation { field: field.into(), description: description.into() }])
    }

    /// Several fields that cannot be as they are; at least one.
    pub fn violations(violations: Vec<Violation>) -> Self {
        let detail = violations
            .iter()
            .map(|v| format!("{}: {}", v.field, v.description))
            .collect::<Vec<_>>()
            .join("; ");
        let mut error = Self::new(Kind::Invalid, "INVALID_FIELD", detail);
        error.0.violations = violations;
        error
    }

    /// Something this depends on is away for now; worth a retry after a second.
    pub fn unavailable(reason: impl Into<Cow<'static, str>>, detail: impl Into<String>) -> Self {
        Self::new(Kind::Unavailable, reason, detail).retry_after(Duration::from_secs(1))
    }

    /// A fault of ours; `cause` goes to the log alone.
    pub fn internal(cause: impl Into<String>) -> Self {
        Self::new(Kind::Internal, "INTERNAL", FAULT).because(cause)
    }

    /// What was behind it: for the log, instead of the sentence that the caller gets.
    #[must_use]
    pub fn because(mut self, cause: impl Into<String>) -> Self {
        self.0.cause = Some(cause.into());
        self
    }

    /// Says when to try again.
    #[must_use]
    pub fn retry_after(mut self, after: Duration) -> Self {
        self.0.retry_after = Some(after);
        self
    }

    /// When to try again, if it says so.
    pub fn wait(&self) -> Option<Duration> {
        self.0.retry_after
    }

    /// As it is stored: a `google.rpc.Status`.
    pub fn to_bytes(&self) -> Vec<u8> {
        Status::from(self.clone()).details().to_vec()
    }

    /// An error that was stored.
    pub fn from_bytes(stored: &[u8]) -> Self {
        let Ok(status) = tonic_types::pb::Status::decode(stored) else {
            return Self::internal("a stored refusal cannot be read");
        };
        let details = stored.to_vec().into();
        Status::with_details(Code::from(status.code), status.message, details).into()
    }

    /// What kind of failure it is.
    pub fn kind(&self) -> Kind {
        self.0.kind
    }

    /// The machine-readable reason.
    pub fn reason(&self) -> &str {
        &self.0.reason
    }

    /// True for failures that pass by themselves: not the request's own fault.
    pub fn is_outage(&self) -> bool {
        matches!(
            self.0.kind,
            Kind::Unavailable | Kind::DeadlineExceeded | Kind::Aborted | Kind::Exhausted
        )
    }
}

/// For the log: the cause, where there is one.
impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.0.reason, self.0.cause.as_ref().unwrap_or(&self.0.detail))
    }
}

impl std::error::Error for Error {}

impl From<Error> for Status {
    fn from(error: Error) -> Self {
        let mut inner = *error.0;
        let cause = inner.cause.unwrap_or_default();
        if inner.kind == Kind::Internal {
            tracing::error!(reason = %inner.reason, %cause, "internal error");
            if let Some(trace) = trace_id() {
                inner.detail = format!("{} (trace {trace})", inner.detail);
            }
        } else if !cause.is_empty() {
            tracing::debug!(reason = %inner.reason, %cause, "the call is refused");
        }
        let mut details = ErrorDetails::new();
        details.set_error_info(inner.reason, DOMAIN, std::collections::HashMap::new());
        for violation in inner.violations {
            details.add_bad_request_violation(violation.field, violation.description);
        }
        if inner.retry_after.is_some() {
            details.set_retry_info(inner.retry_after);
        }
        Status::with_error_details(inner.kind.code(), inner.detail, details)
    }
}

impl From<Status> for Error {
    fn from(status: Status) -> Self {
        let details = status.get_error_details();
        let reason = details.error_info().map_or_else(
            || Cow::from(status.code().description()),
            |i| Cow::from(i.reason.clone()),
        );
        let mut error = match Kind::from_code(status.code()) {
            // Whatever it says, of whatever library, is no concern of this side's caller.
            Kind::Internal => Self::new(Kind::Internal, reason, FAULT).because(status.message()),
            kind => Self::new(kind, reason, status.message()),
        };
        error.0.retry_after = details.retry_info().and_then(|r| r.retry_delay);
        error.0.violations = details.bad_request().map_or_else(Vec::new, |bad| {
            bad.field_violations
                .iter()
                .map(|v| Violation { field: v.field.clone(), description: v.description.clone() })
                .collect()
        });
        error
    }
}

/// A context's own refusals: what a rule of the domain says no with.
pub trait Refuse: fmt::Display {
    /// What kind of failure it is.
    fn kind(&self) -> Kind;
    /// The machine-readable reason: `OUT_OF_STOCK`.
    fn reason(&self) -> &'static str;
    /// The request's field at fault, if one is.
    fn field(&self) -> Option<String> {
        None
    }
}

impl<R: Refuse> From<R> for Error {
    fn from(refusal: R) -> Self {
        let mut error = Self::new(refusal.kind(), refusal.reason(), refusal.to_string());
        if let Some(field) = refusal.field() {
            error.0.violations = vec![Violation { field, description: refusal.to_string() }];
        }
        if refusal.kind() == Kind::Unavailable {
            error = error.retry_after(Duration::from_secs(1));
        }
        error
    }
}

/// A setting that cannot be as it is.
pub fn configuration(error: impl fmt::Display) -> Error {
    Error::new(Kind::Invalid, "CONFIGURATION", error.to_string())
}

/// The one answer for what is not there and for what is someone else's.
pub fn not_found() -> Error {
    Error::new(Kind::NotFound, "NOT_FOUND", "there is no such resource")
}

/// The id of the current trace, where there is one.
pub fn trace_id() -> Option<String> {
    let current = Context::map_current(|context| context.span().span_context().clone());
    current.is_valid().then(|| current.trace_id().to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_survives_the_wire() {
        let sent = Error::violation("lines[0].quantity", "must be 1 or more");
        let received = Error::from(Status::from(sent.clone()));
        let stored = Error::from_bytes(&sent.to_bytes());
        for error in [received, stored] {
            assert_eq!((error.kind(), error.reason()), (Kind::Invalid, "INVALID_FIELD"));
            assert_eq!(error.to_string(), sent.to_string());
            assert_eq!(error.0.violations, sent.0.violations);
        }
    }

    #[test]
    fn the_cause_of_a_fault_is_for_the_log_alone() {
        let fault = Error::internal("database: bigint out of range (22003)");
        assert_eq!(fault.to_string(), "INTERNAL: database: bigint out of range (22003)");
        let status = Status::from(fault);
        assert_eq!(status.message(), FAULT);

        // Nor is what another service or a library says of its own faults.
        let passed_on = Error::from(Status::internal("h2 protocol error"));
        assert_eq!(passed_on.to_string(), "Internal error: h2 protocol error");
        assert_eq!(Status::from(passed_on).message(), FAULT);
    }

    #[test]
    fn an_outage_says_when_to_try_again() {
        let received = Error::from(Status::from(Error::unavailable("AWAY", "away")));
        assert!(received.is_outage());
        assert_eq!(received.0.retry_after, Some(Duration::from_secs(1)));
        assert_eq!(received.reason(), "AWAY");
    }
}
