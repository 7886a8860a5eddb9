//! Server streams over REST, in the form that the client accepts: a JSON array,
//! lines of JSON, or server-sent events (the `text/event-stream` of the HTML
//! standard), whose ids let a browser go on where it was.
//!
//! A stream that fails before it has begun is a problem with its status. One that
//! ends before its end, later, says so in its last frame: nobody takes a part for
//! the whole. Reads a message when the client has taken the one before, and keeps
//! none.

use std::{convert::Infallible, time::Duration};

use base::{Error, error::Kind};
use bytes::Bytes;
use futures_util::stream::{self, BoxStream, StreamExt as _};
use http::{HeaderMap, HeaderValue, Response, header};
use http_body_util::StreamBody;
use hyper::body::Frame;
use rpc::{Failure, Messages};
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tonic::{Status, body::Body};

use transcoder::Route;

use crate::{accept, problem};

/// The field of a request that a client's `Last-Event-ID` is for.
const LAST_EVENT_ID: &str = "lastEventId";
/// A stream that has said nothing for so long has not failed at once.
const BEGUN: Duration = Duration::from_millis(200);
/// How long server-sent events may be silent: proxies cut off what seems dead.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// How a stream is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// `[…]`, one message a line.
    Array,
    /// One message a line.
    Lines,
    /// Server-sent events.
    Events,
}

impl Form {
    const ALL: [Self; 3] = [Self::Array, Self::Lines, Self::Events];

    fn kind(self) -> &'static str {
        match self {
            Self::Array => "application/json",
            Self::Lines => "application/x-ndjson",
            Self::Events => "text/event-stream",
        }
    }

    /// The form that the client likes best.
    pub(crate) fn accepted(sent: &HeaderMap) -> Result<Self, Error> {
        let kinds = Self::ALL.map(Self::kind);
        let form = accept::preferred(sent, &kinds).map(|at| Self::ALL[at]);
        form.ok_or_else(|| {
            let detail = format!("this stream is {}", kinds.join(", "));
            Error::new(Kind::Invalid, problem::NOT_ACCEPTABLE, detail)
        })
    }
}

/// The query of a request for a stream: a browser that comes again says where it was in
/// `Last-Event-ID`, and repeats the URL, which may say where it once began.
pub(crate) fn query(headers: &HeaderMap, query: &str) -> Result<String, Error> {
    let Some(id) = headers.get("last-event-id") else { return Ok(query.to_owned()) };
    let id = std::str::from_utf8(id.as_bytes())
        .map_err(|_| Error::violation("Last-Event-ID", "must be UTF-8"))?;
    let others = form_urlencoded::parse(query.as_bytes())
        .filter(|(key, _)| key != LAST_EVENT_ID && key != "last_event_id");
    Ok(form_urlencoded::Serializer::new(String::new())
        .extend_pairs(others)
        .append_pair(LAST_EVENT_ID, id)
        .finish())
}

/// The messages of a stream, which ends with an error when the gateway closes before it does.
pub(crate) fn until_closing(messages: Messages, closing: CancellationToken) -> Incoming {
    let messages = stream::unfold(Some((messages, closing)), |state| async {
        let (messages, closing) = state?;
        let next = tokio::select! {
            next = messages.next() => next.map_err(Failure::into_status),
            () = closing.cancelled() => Err(closed().into()),
        };
        match next {
            Ok(message) => message.map(|message| (Ok(message), Some((messages, closing)))),
            Err(status) => Some((Err(status), None)),
        }
    });
    messages.boxed()
}

/// Messages on their way to a client.
pub(crate) type Incoming = BoxStream<'static, Result<Bytes, Status>>;

fn closed() -> Error {
    let error = Error::unavailable("GATEWAY_CLOSING", "gateway shutting down; reconnect");
    error.retry_after(Duration::from_secs(1))
}

/// The response that a stream is, once it is known to have begun.
pub(crate) async fn response(
    mut messages: Incoming,
    mut frames: Frames,
) -> Result<Response<Body>, Status> {
    let begin = match timeout(BEGUN, messages.next()).await {
        Ok(first) => frames.write(first.transpose()?.map(Ok)),
        Err(_) => frames.begin(),
    };
    let kind = frames.form.kind();
    let rest = stream::unfold((messages, frames), |(mut messages, mut frames)| async {
        if frames.ended {
            return None;
        }
        let chunk = tokio::select! {
            next = messages.next() => frames.write(next),
            () = sleep(KEEP_ALIVE), if frames.form == Form::Events => b":\n\n".to_vec(),
        };
        Some((chunk, (messages, frames)))
    });
    let chunks = stream::once(async { begin }).chain(rest);
    let body = chunks.map(|chunk| Ok::<_, Infallible>(Frame::data(Bytes::from(chunk))));
    let mut response = Response::new(Body::new(StreamBody::new(body)));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    // It has three forms.
    headers.insert(header::VARY, header::ACCEPT.into());
    // nginx would collect what comes, and pass it on when there is enough.
    headers.insert("x-accel-buffering", HeaderValue::from_static("no"));
    Ok(response)
}

/// Writes a stream, message by message.
pub(crate) struct Frames {
    form: Form,
    route: &'static Route,
    /// Of the request, for problems.
    path: String,
    /// The trace's id, for problems.
    trace: Option<String>,
    begun: bool,
    /// There has been a message.
    any: bool,
    ended: bool,
}

impl Frames {
    pub(crate) fn new(
        form: Form,
        route: &'static Route,
        path: &str,
        trace: Option<String>,
    ) -> Self {
        let path = path.to_owned();
        Self { form, route, path, trace, begun: false, any: false, ended: false }
    }

    /// What comes before everything; nothing the second time.
    fn begin(&mut self) -> Vec<u8> {
        if std::mem::replace(&mut self.begun, true) {
            return Vec::new();
        }
        match self.form {
            Form::Array => b"[".to_vec(),
            Form::Lines => Vec::new(),
            // How long a browser waits before it comes again, in milliseconds.
            Form::Events => b"retry: 1000\n\n".to_vec(),
        }
    }

    /// A message, what went wrong instead, or the end.
    fn write(&mut self, next: Option<Result<Bytes, Status>>) -> Vec<u8> {
        let mut out = self.begin();
        let written = match next {
            Some(Ok(message)) => self.message(&message, &mut out).map_err(Status::from),
            Some(Err(status)) => Err(status),
            None => {
                self.end(&mut out);
                Ok(())
            }
        };
        if let Err(status) = written {
            self.error(&status, &mut out);
        }
        out
    }

    fn message(&mut self, message: &[u8], out: &mut Vec<u8>) -> Result<(), Error> {
        let json = (self.route.response)(message)?.bytes;
        match self.form {
            Form::Array => self.item(&json, out),
            Form::Lines => {
                out.extend_from_slice(&json);
                out.push(b'\n');
            }
            Form::Events => {
                let id = self.route.event_id.and_then(|id| id(message));
                if let Some(id) = id.filter(|id| !id.contains(['\n', '\r', '\0'])) {
                    out.extend_from_slice(format!("id: {id}\n").as_bytes());
                }
                event(&json, out);
            }
        }
        Ok(())
    }

    fn end(&mut self, out: &mut Vec<u8>) {
        self.ended = true;
        match self.form {
            Form::Array => out.extend_from_slice(b"]\n"),
            Form::Lines => {}
            // A connection that just closes is opened again.
            Form::Events => out.extend_from_slice(b"event: end\ndata: {}\n\n"),
        }
    }

    fn error(&mut self, status: &Status, out: &mut Vec<u8>) {
        self.ended = true;
        let problem = problem::response(status, &self.path, self.trace.as_deref());
        let retry = problem.headers().get(header::RETRY_AFTER).cloned();
        let problem = problem.into_body().into_inner().unwrap_or_default();
        let wrapped = [br#"{"error":"#, problem.as_ref(), b"}"].concat();
        match self.form {
            Form::Array => {
                self.item(&wrapped, out);
                out.extend_from_slice(b"]\n");
            }
            Form::Lines => {
                out.extend_from_slice(&wrapped);
                out.push(b'\n');
            }
            Form::Events => {
                if let Some(seconds) = retry.as_ref().and_then(|retry| retry.to_str().ok()) {
                    out.extend_from_slice(format!("retry: {seconds}000\n").as_bytes());
                }
                out.extend_from_slice(b"event: error\n");
                event(&problem, out);
            }
        }
    }

    fn item(&mut self, json: &[u8], out: &mut Vec<u8>) {
        if std::mem::replace(&mut self.any, true) {
            out.push(b',');
        }
        out.extend_from_slice(json);
        // Now and not before the next: who reads lines has a message as soon as it is there.
        out.push(b'\n');
    }
}

/// JSON holds no line break.
fn event(json: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(b"data: ");
    out.extend_from_slice(json);
    out.extend_from_slice(b"\n\n");
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt as _;
    use serde_json::{Value, json};

    use super::*;
    use crate::{mapping::ORACLE, route};

    #[test]
    fn the_client_chooses_the_form() {
        for form in Form::ALL {
            let headers =
                HeaderMap::from_iter([(header::ACCEPT, HeaderValue::from_static(form.kind()))]);
            assert_eq!(Form::accepted(&headers).ok(), Some(form));
        }
        let html = HeaderMap::from_iter([(header::ACCEPT, HeaderValue::from_static("text/html"))]);
        let refused = Form::accepted(&html).expect_err("no form");
        assert_eq!(refused.reason(), problem::NOT_ACCEPTABLE);
    }

    #[test]
    fn a_browser_that_comes_again_goes_on_where_it_was() {
        let headers = HeaderMap::from_iter([(
            "last-event-id".parse().expect("a name"),
            "9 a".parse().expect("ascii"),
        )]);
        for before in ["", "lastEventId=3", "last_event_id=3"] {
            assert_eq!(query(&headers, before).expect("fits"), "lastEventId=9+a", "{before}");
        }
        assert_eq!(query(&headers, "a=b").expect("fits"), "a=b&lastEventId=9+a");
        assert_eq!(query(&HeaderMap::new(), "lastEventId=3").expect("fits"), "lastEventId=3");
    }

    /// What is written of two messages and then this.
    fn written(form: Form, last: Option<Result<Bytes, Status>>) -> String {
        let route = route("/WatchMyPage");
        let message = |id: &str| {
            let message = json!({"eventId": id, "order": {"orderId": "o", "stateLabel": "배송중"}});
            Some(Ok(Bytes::from(ORACLE.response(route, &message))))
        };
        let mut frames = Frames::new(form, route, "/v1/mypage/m:watch", None);
        let mut out = Vec::new();
        for next in [message("1"), message("2"), last] {
            out.extend(frames.write(next));
        }
        assert!(frames.ended);
        String::from_utf8(out).expect("UTF-8")
    }

    fn ids(messages: &[Value]) -> Vec<&str> {
        messages.iter().filter_map(|message| message["eventId"].as_str()).collect()
    }

    fn away() -> Status {
        Error::unavailable("AWAY", "away").retry_after(Duration::from_secs(2)).into()
    }

    #[test]
    fn an_array_is_json_however_it_ends() {
        let array = |last| -> Vec<Value> {
            serde_json::from_str(&written(Form::Array, last)).expect("JSON")
        };
        let whole = array(None);
        assert_eq!((ids(&whole), whole.len()), (vec!["1", "2"], 2));
        let part = array(Some(Err(away())));
        assert_eq!((ids(&part), part.len()), (vec!["1", "2"], 3));
        assert_eq!(part[2]["error"]["status"], 503);
        let mut empty = Frames::new(Form::Array, route("/WatchMyPage"), "/", None);
        assert_eq!(empty.write(None), b"[]\n");
    }

    #[test]
    fn lines_are_json_each_and_the_last_may_be_an_error() {
        let lines = |last| -> Vec<Value> {
            let text = written(Form::Lines, last);
            text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
        };
        assert_eq!(ids(&lines(None)), ["1", "2"]);
        let part = lines(Some(Err(away())));
        assert_eq!(part[2]["error"]["reason"], "AWAY");
        let broken = lines(Some(Ok(Bytes::from_static(&[0xff]))));
        assert_eq!(broken[2]["error"]["status"], 500);
    }

    #[test]
    fn events_have_ids_and_say_when_to_come_again() {
        let text = written(Form::Events, None);
        let events: Vec<&str> = text.split_terminator("\n\n").collect();
        assert_eq!(events[0], "retry: 1000");
        assert!(events[1].starts_with("id: 1\ndata: {\"eventId\":\"1\""), "{text}");
        assert!(events[2].starts_with("id: 2\ndata: {"), "{text}");
        assert_eq!(events[3], "event: end\ndata: {}");
        let text = written(Form::Events, Some(Err(away())));
        let last = text.split_terminator("\n\n").last().expect("an event");
        assert!(last.starts_with("retry: 2000\nevent: error\ndata: {"), "{text}");
        assert!(last.contains(r#""reason":"AWAY""#), "{text}");
    }

    #[tokio::test(start_paused = true)]
    async fn silent_events_are_kept_alive() {
        let frames = Frames::new(Form::Events, route("/WatchMyPage"), "/", None);
        let silent = stream::pending().boxed();
        let begun = tokio::time::Instant::now();
        let mut body = response(silent, frames).await.expect("opens").into_body();
        for (expected, after) in [("retry: 1000\n\n", 0), (":\n\n", 15), (":\n\n", 30)] {
            let frame = body.frame().await.expect("a frame").expect("a frame");
            assert_eq!(frame.data_ref().expect("data"), expected.as_bytes());
            assert_eq!(begun.elapsed().as_secs(), after);
        }
    }
}
