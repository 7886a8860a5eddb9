//! Why a call has no answer, told apart by what a saga has to know: can it have
//! had an effect?

use std::{error::Error as _, fmt, sync::Arc};

use base::{Error, error::Kind};
use tonic::{Code, Status, TimeoutExpired};

use super::connection::NotSent;

/// A call that did not succeed.
#[derive(Clone, Debug)]
pub enum Failure {
    /// The callee provably did nothing: it could not be reached, its breaker is open, or it turned
    /// the call away at the door.
    NeverRan(Status),
    /// The callee decided, and said no. Asking again gives the same answer.
    Refused(Status),
    /// The callee may have done it: the time was up, the connection was lost, or it failed.
    Unknown(Status),
}

impl Failure {
    /// True when the callee provably did nothing.
    pub fn never_ran(&self) -> bool {
        matches!(self, Self::NeverRan(_))
    }

    /// True when the callee may have done it.
    pub fn is_unknown(&self) -> bool {
        matches!(self, Self::Unknown(_))
    }

    /// The failure as gRPC says it.
    pub fn status(&self) -> &Status {
        match self {
            Self::NeverRan(status) | Self::Refused(status) | Self::Unknown(status) => status,
        }
    }

    /// The failure as gRPC says it.
    pub fn into_status(self) -> Status {
        match self {
            Self::NeverRan(status) | Self::Refused(status) | Self::Unknown(status) => status,
        }
    }

    /// True when it is the way to the callee that failed, or its silence; false for whatever the
    /// callee itself answered.
    pub(super) fn of_transport(&self) -> bool {
        self.status().source().is_some()
    }

    /// The callee cannot be reached, or is left alone for a while: `source` says why.
    pub(super) fn unreachable(
        service: &str,
        retry_after: std::time::Duration,
        source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
    ) -> Self {
        let error = Error::unavailable("PEER_UNREACHABLE", format!("{service} cannot be reached"));
        let mut status = Status::from(error.retry_after(retry_after));
        status.set_source(Arc::from(source.into()));
        Self::NeverRan(status)
    }

    /// The time was up.
    pub(super) fn late(service: &str) -> Self {
        let error = Error::new(
            Kind::DeadlineExceeded,
            "PEER_TIMEOUT",
            format!("{service} did not answer in time"),
        );
        let mut status = Status::from(error);
        status.set_source(Arc::new(Late));
        Self::Unknown(status)
    }

    /// What tonic's status means.
    pub(super) fn read(service: &str, status: Status) -> Self {
        let Some(source) = status.source() else { return Self::answered(service, status) };
        if chain(source).any(<dyn std::error::Error>::is::<TimeoutExpired>) {
            return Self::late(service);
        }
        let never_ran = chain(source).any(|error| {
            error.downcast_ref::<h2::Error>().is_some_and(turned_away) || error.is::<NotSent>()
        });
        let cause = status.message().to_owned();
        if never_ran {
            return Self::unreachable(service, std::time::Duration::from_secs(1), cause);
        }
        // During a rolling restart this comes as Cancelled, Internal or Unknown.
        let error =
            Error::unavailable("PEER_LOST", format!("the connection to {service} was lost"));
        let mut lost = Status::from(error);
        lost.set_source(Arc::from(Box::<dyn std::error::Error + Send + Sync>::from(cause)));
        Self::Unknown(lost)
    }

    fn answered(service: &str, status: Status) -> Self {
        match status.code() {
            // tonic's servers say Cancelled when the time is up.
            Code::Cancelled => Self::late(service),
            // Turned away before its handler ran.
            Code::Unauthenticated | Code::PermissionDenied | Code::Unimplemented => {
                Self::NeverRan(status)
            }
            Code::Ok
            | Code::Unknown
            | Code::DeadlineExceeded
            | Code::ResourceExhausted
            | Code::Aborted
            | Code::Internal
            | Code::Unavailable
            | Code::DataLoss => Self::Unknown(status),
            Code::InvalidArgument
            | Code::NotFound
            | Code::AlreadyExists
            | Code::FailedPrecondition
            | Code::OutOfRange => Self::Refused(status),
        }
    }
}

/// True when the upstream says that it never looked at the call (RFC 9113, 6.8 and 8.7): it refused
/// the stream, or is shutting down and the stream came after the last one that it takes.
fn turned_away(error: &h2::Error) -> bool {
    let goes_away = error.is_go_away() && error.is_remote();
    match error.reason() {
        Some(h2::Reason::REFUSED_STREAM) => true,
        Some(h2::Reason::NO_ERROR) => goes_away,
        _ => false,
    }
}

fn chain<'a>(
    first: &'a (dyn std::error::Error + 'static),
) -> impl Iterator<Item = &'a (dyn std::error::Error + 'static)> {
    std::iter::successors(Some(first), |&error| error.source())
}

/// The time was up on this side.
#[derive(Debug)]
struct Late;

impl fmt::Display for Late {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the deadline has passed")
    }
}

impl std::error::Error for Late {}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.status().message())
    }
}

impl std::error::Error for Failure {}

impl From<Failure> for Error {
    fn from(failure: Failure) -> Self {
        failure.into_status().into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_business_refusal_is_definite_and_an_outage_is_not() {
        let read = |code| Failure::read("shop", Status::new(code, ""));
        assert!(matches!(read(Code::FailedPrecondition), Failure::Refused(_)));
        assert!(matches!(read(Code::Unavailable), Failure::Unknown(_)));
        assert!(matches!(read(Code::Unimplemented), Failure::NeverRan(_)));
        assert!(!read(Code::Unavailable).of_transport());
    }

    #[test]
    fn a_timeout_of_tonic_is_a_deadline() {
        let timed_out = Status::from_error(Box::new(TimeoutExpired(())));
        assert_eq!(timed_out.code(), Code::Cancelled);
        let failure = Failure::read("shop", timed_out);
        assert!(failure.is_unknown());
        assert_eq!(failure.status().code(), Code::DeadlineExceeded);
    }
}
