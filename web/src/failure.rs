//! What went wrong, in the visitor's words, with what to do about it. A handler answers with one; `guard`
//! makes a page of it. Knows reasons, not pages.

mod words;

use std::time::Duration;

use axum::response::{IntoResponse, Response};
use base::error::Kind;
use http::StatusCode;
use tonic::{Code, Status};
use tonic_types::StatusExt as _;

use crate::lang::Lang;

/// Something that was refused, or that is out of order.
#[derive(Clone, Debug)]
pub(crate) struct Failure {
    kind: Kind,
    reason: String,
    /// The API's sentence.
    detail: String,
    /// Fields, by the paths that the API gives them, and what would be right.
    violations: Vec<(String, String)>,
    /// Fields of what somebody else has changed meanwhile, and what is in them now.
    now: Vec<(String, String)>,
    wait: Option<Duration>,
}

impl Failure {
    fn new(kind: Kind, reason: &str, detail: &str) -> Self {
        let (reason, detail) = (reason.to_owned(), detail.to_owned());
        Self { kind, reason, detail, violations: Vec::new(), now: Vec::new(), wait: None }
    }

    /// Whoever asks has to sign in first.
    pub(crate) fn sign_in() -> Self {
        Self::new(Kind::Unauthenticated, "UNAUTHENTICATED", "sign in first")
    }

    /// Whoever asks may not.
    pub(crate) fn forbidden() -> Self {
        Self::new(Kind::Forbidden, "ROLE_REQUIRED", "this page is for others")
    }

    /// There is no such page, or nothing that it could show.
    pub(crate) fn not_found() -> Self {
        Self::new(Kind::NotFound, "NOT_FOUND", "there is nothing at this address")
    }

    /// A form that did not come from a page of ours.
    pub(crate) fn foreign() -> Self {
        Self::new(Kind::Forbidden, "FOREIGN_FORM", "the form was not sent by a page of this shop")
    }

    /// A form from before the session, or from another browser.
    pub(crate) fn stale_form() -> Self {
        Self::new(Kind::Forbidden, "STALE_FORM", "the form is out of date; send it again")
    }

    /// A field of the form that cannot be as it is.
    pub(crate) fn field(name: &str, detail: &str) -> Self {
        let mut failure = Self::new(Kind::Invalid, "INVALID_FIELD", detail);
        failure.violations.push((name.to_owned(), detail.to_owned()));
        failure
    }

    /// A fault of ours.
    pub(crate) fn fault(cause: &str) -> Self {
        tracing::error!(cause, "page not rendered, answered with an error");
        Self::new(Kind::Internal, "INTERNAL", "something went wrong here")
    }

    /// The machine-readable reason: `OUT_OF_STOCK`.
    pub(crate) fn reason(&self) -> &str {
        &self.reason
    }

    /// Somebody else has changed it since it was shown.
    pub(crate) fn is_stale(&self) -> bool {
        self.reason == "STALE_ETAG"
    }

    /// Says what is in a field now, for people.
    pub(crate) fn now(mut self, name: &str, text: impl Into<String>) -> Self {
        self.now.push((name.to_owned(), text.into()));
        self
    }

    /// What was asked for cannot be: no id, no page of this list.
    pub(crate) fn is_invalid(&self) -> bool {
        self.kind == Kind::Invalid
    }

    pub(crate) fn is_not_found(&self) -> bool {
        self.kind == Kind::NotFound
    }

    /// The token is not good any more, or there is none.
    pub(crate) fn wants_sign_in(&self) -> bool {
        self.kind == Kind::Unauthenticated && self.reason != "WRONG_CREDENTIALS"
    }

    /// It passes by itself, and what was sent may have been done: the same key is sent again.
    pub(crate) fn is_outage(&self) -> bool {
        matches!(
            self.kind,
            Kind::Unavailable | Kind::DeadlineExceeded | Kind::Aborted | Kind::Exhausted
        )
    }

    /// A part of the shop does not answer: the page can show the others.
    pub(crate) fn is_away(&self) -> bool {
        self.is_outage() && !self.is_too_much()
    }

    /// Whoever asks has asked too often.
    pub(crate) fn is_too_much(&self) -> bool {
        self.kind == Kind::Exhausted || self.reason == "TOO_MANY_ATTEMPTS"
    }

    /// In how many seconds to try again.
    pub(crate) fn wait(&self) -> u64 {
        let seconds = self
            .wait
            .map_or(5, |wait| wait.as_secs().saturating_add(u64::from(wait.subsec_nanos() > 0)));
        seconds.max(1)
    }

    /// The same, where a response has to say so: `Retry-After`.
    pub(crate) fn retry_after(&self) -> Option<u64> {
        (self.is_outage() || self.is_too_much()).then(|| self.wait())
    }

    /// Of a field, or of what is below it: what would be right, or what somebody else has put there.
    pub(crate) fn of_field(&self, name: &str, lang: Lang) -> Option<String> {
        if let Some((_, now)) = self.now.iter().find(|(known, _)| known == name) {
            return Some(words::now(now, lang));
        }
        let below = |path: &str| {
            let rest = path.strip_prefix(name);
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
        };
        let found = self.violations.iter().find(|(path, _)| below(path));
        found.map(|(_, rule)| words::rule(rule, lang))
    }

    /// A sentence: what is wrong, and what to do.
    pub(crate) fn say(&self, lang: Lang) -> String {
        if self.is_too_much() {
            return words::too_much(self.reason == "TOO_MANY_ATTEMPTS", self.wait(), lang);
        }
        match words::of(&self.reason) {
            Some(text) => lang.pick(text.0, text.1).to_owned(),
            None if self.is_outage() => {
                let seconds = self.wait();
                lang.pick(
                    format!("지금은 처리할 수 없습니다. {seconds}초 뒤에 다시 시도해 주세요."),
                    format!("This cannot be done right now. Please try again in {seconds} s."),
                )
            }
            None => self.say_kind(lang),
        }
    }

    fn say_kind(&self, lang: Lang) -> String {
        match self.kind {
            Kind::Internal => lang
                .pick(
                    "저희 쪽에 문제가 생겼습니다. 잠시 뒤에 다시 시도해 주세요.",
                    "Something went wrong on our side. Please try again in a moment.",
                )
                .to_owned(),
            Kind::Invalid => lang
                .pick("입력한 내용을 확인해 주세요.", "Please check what you entered.")
                .to_owned(),
            _ => lang.pick(
                format!("요청을 처리하지 못했습니다. ({})", self.detail),
                format!("This was refused: {}.", self.detail),
            ),
        }
    }

    /// The response's status.
    pub(crate) fn status(&self) -> StatusCode {
        match self.kind {
            Kind::Conflict if self.is_too_much() => StatusCode::TOO_MANY_REQUESTS,
            Kind::Invalid => StatusCode::UNPROCESSABLE_ENTITY,
            Kind::Unauthenticated => StatusCode::UNAUTHORIZED,
            Kind::Forbidden => StatusCode::FORBIDDEN,
            Kind::NotFound => StatusCode::NOT_FOUND,
            Kind::AlreadyExists | Kind::Conflict | Kind::Aborted => StatusCode::CONFLICT,
            Kind::Exhausted => StatusCode::TOO_MANY_REQUESTS,
            Kind::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
            Kind::DeadlineExceeded => StatusCode::GATEWAY_TIMEOUT,
            Kind::Internal => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }
}

impl From<Status> for Failure {
    fn from(status: Status) -> Self {
        let details = status.get_error_details();
        let error = base::Error::from(status.clone());
        let violations = details.bad_request().map(|it| it.field_violations.as_slice());
        let violations = violations.unwrap_or_default().iter();
        let reason = match (status.code(), error.reason()) {
            (Code::InvalidArgument, _) => "INVALID_FIELD",
            (_, reason) => reason,
        };
        Self {
            kind: error.kind(),
            reason: reason.to_owned(),
            detail: status.message().to_owned(),
            violations: violations.map(|it| (it.field.clone(), it.description.clone())).collect(),
            now: Vec::new(),
            wait: error.wait(),
        }
    }
}

/// `guard` makes the page.
impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let mut response = self.status().into_response();
        response.extensions_mut().insert(self);
        response
    }
}

#[cfg(test)]
mod tests {
    use base::Error;

    use super::*;

    #[test]
    fn a_violation_is_found_at_its_field_and_above_what_is_below_it() {
        let status = Status::from(Error::violation("account.bankCode", "must be 3 digits"));
        let failure = Failure::from(status);
        assert_eq!(failure.of_field("account", Lang::En).as_deref(), Some("must be 3 digits"));
        assert!(failure.of_field("acc", Lang::En).is_none());
    }

    #[test]
    fn who_asks_too_often_is_told_when_to_come_back() {
        let often = |kind, reason, wait| {
            Failure::from(Status::from(Error::new(kind, reason, "slow down").retry_after(wait)))
        };
        let rate = often(Kind::Exhausted, "RATE_LIMITED", Duration::from_millis(1_200));
        assert_eq!((rate.status().as_u16(), rate.retry_after()), (429, Some(2)));
        assert!(rate.say(Lang::Ko).contains("2초 뒤") && rate.say(Lang::En).contains("in 2 s"));
        assert!(!rate.is_away(), "nothing is away");
        let guesses = often(Kind::Conflict, "TOO_MANY_ATTEMPTS", Duration::from_secs(61));
        assert_eq!((guesses.status().as_u16(), guesses.retry_after()), (429, Some(61)));
        assert!(
            guesses.say(Lang::Ko).contains("2분 뒤") && guesses.say(Lang::En).contains("2 min")
        );
    }

    #[test]
    fn a_refusal_is_said_in_the_visitors_language() {
        let status = Status::from(Error::new(Kind::Conflict, "OUT_OF_STOCK", "too few"));
        let failure = Failure::from(status);
        assert!(failure.say(Lang::Ko).contains("재고"), "{}", failure.say(Lang::Ko));
        assert_eq!(failure.status(), StatusCode::CONFLICT);
        let away = Failure::from(Status::from(Error::unavailable("PEER_LOST", "away")));
        assert!(away.is_away() && away.say(Lang::En).contains("1 s"), "{}", away.say(Lang::En));
    }
}
