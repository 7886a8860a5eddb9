//! Server streams over REST, from a My Page that does as its member's name says.

use std::pin::Pin;

use contracts::mypage::v1 as pages;
use futures_util::{Stream, StreamExt as _, stream};
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::DropGuard;

use super::*;

#[derive(Clone, Default)]
pub(super) struct Pages {
    /// Cancelled when the stream of `open` is dropped.
    left: CancellationToken,
}

type Messages = Pin<Box<dyn Stream<Item = Result<pages::WatchMyPageResponse, Status>> + Send>>;

fn message(event_id: &str) -> pages::WatchMyPageResponse {
    pages::WatchMyPageResponse { event_id: event_id.into(), ..Default::default() }
}

fn away() -> Status {
    Error::unavailable("AWAY", "away").retry_after(Duration::from_secs(3)).into()
}

/// Messages, and then this.
fn stream(ids: &[&str], then: impl Stream<Item = Message> + Send + 'static) -> Messages {
    let first: Vec<_> = ids.iter().map(|id| Ok(message(id))).collect();
    stream::iter(first).chain(then).boxed()
}

type Message = Result<pages::WatchMyPageResponse, Status>;

/// Goes on for ever, in silence, and tells when it is dropped.
fn silence(left: DropGuard) -> impl Stream<Item = Message> {
    stream::once(async move {
        let _left = left;
        std::future::pending().await
    })
}

#[tonic::async_trait]
impl pages::my_page_service_server::MyPageService for Pages {
    async fn watch_my_page(&self, request: Request<pages::WatchMyPageRequest>) -> Answer<Messages> {
        let pages::WatchMyPageRequest { member_id, last_event_id } = request.into_inner();
        let messages = match member_id.as_str() {
            "two" => stream(&["1", "2"], stream::empty()),
            "resumes" => stream(&[&last_event_id], stream::empty()),
            "refuses" => return Err(Error::violation("lastEventId", "no").into()),
            "fails" => stream(&[], stream::iter([Err(away())])),
            "breaks" => stream(&["1", "2"], stream::iter([Err(away())])),
            "slow" => stream::unfold(0, |n| async move {
                sleep(Duration::from_millis(300)).await;
                (n < 3).then(|| (Ok(message(&n.to_string())), n + 1))
            })
            .boxed(),
            "open" => stream(&["1"], silence(self.left.clone().drop_guard())),
            _ => stream(&[], silence(self.left.clone().drop_guard())),
        };
        Ok(Response::new(messages))
    }

    async fn get_my_page(&self, _: Request<pages::GetMyPageRequest>) -> Answer<pages::MyPage> {
        Err(Status::unimplemented("not here"))
    }

    async fn list_my_orders(
        &self,
        _: Request<pages::ListMyOrdersRequest>,
    ) -> Answer<pages::ListMyOrdersResponse> {
        Err(Status::unimplemented("not here"))
    }

    async fn get_my_order(&self, _: Request<pages::GetMyOrderRequest>) -> Answer<pages::OrderView> {
        Err(Status::unimplemented("not here"))
    }

    async fn list_my_mileage(
        &self,
        _: Request<pages::ListMyMileageRequest>,
    ) -> Answer<pages::ListMyMileageResponse> {
        Err(Status::unimplemented("not here"))
    }
}

const EVENTS: &str = "accept: text/event-stream\r\n";

impl Table {
    /// Of HTTP/1.0, which knows no chunks.
    fn watch(&self, member: &str, headers: &str) -> String {
        let token = &self.token;
        format!(
            "GET /v1/mypage/{member}:watch HTTP/1.0\r\nauthorization: Bearer {token}\r\n\
             {headers}\r\n"
        )
    }

    /// A whole stream.
    async fn watched(&self, member: &str, headers: &str) -> (u16, String, Value) {
        self.raw(self.watch(member, headers).as_bytes()).await
    }

    /// A stream that is open, once its head has come and this much of its body.
    async fn opened(&self, member: &str, headers: &str, until: &str) -> TcpStream {
        let mut socket = TcpStream::connect(self.address).await.expect("connects");
        socket.write_all(self.watch(member, headers).as_bytes()).await.expect("asks");
        let mut seen = Vec::new();
        while !String::from_utf8_lossy(&seen).contains(until) {
            let read = socket.read_buf(&mut seen);
            let read = timeout(Duration::from_secs(5), read).await.expect("in time");
            assert_ne!(read.expect("reads"), 0, "{}", String::from_utf8_lossy(&seen));
        }
        socket
    }
}

#[tokio::test]
async fn a_stream_is_an_array_lines_or_events() {
    let table = Table::lay().await;
    let (status, head, body) = table.watched("two", "").await;
    assert_eq!((status, &body), (200, &json!([{"eventId": "1"}, {"eventId": "2"}])));
    assert!(head.contains("content-type: application/json\r\n"), "{head}");

    let (_, head, body) = table.watched("two", "accept: application/x-ndjson\r\n").await;
    assert!(head.contains("content-type: application/x-ndjson"), "{head}");
    assert_eq!(body, "{\"eventId\":\"1\"}\n{\"eventId\":\"2\"}\n");

    let (_, head, body) = table.watched("two", EVENTS).await;
    assert!(head.contains("content-type: text/event-stream"), "{head}");
    assert!(head.contains("cache-control: no-store"), "{head}");
    assert_eq!(
        body,
        "retry: 1000\n\nid: 1\ndata: {\"eventId\":\"1\"}\n\n\
         id: 2\ndata: {\"eventId\":\"2\"}\n\nevent: end\ndata: {}\n\n"
    );
    let (status, _, problem) = table.watched("two", "accept: text/html\r\n").await;
    assert_eq!((status, &problem["reason"]), (406, &json!("NOT_ACCEPTABLE")));
}

#[tokio::test]
async fn a_stream_goes_on_after_the_last_event_id() {
    let table = Table::lay().await;
    let (_, _, body) = table.watched("resumes", "last-event-id: 41\r\n").await;
    assert_eq!(body, json!([{"eventId": "41"}]));
}

#[tokio::test]
async fn a_stream_that_fails_before_it_begins_is_a_problem() {
    let table = Table::lay().await;
    for headers in ["", EVENTS] {
        let (status, _, problem) = table.watched("refuses", headers).await;
        assert_eq!((status, &problem["violations"][0]["field"]), (400, &json!("lastEventId")));
        let (status, head, problem) = table.watched("fails", headers).await;
        assert_eq!((status, &problem["reason"]), (503, &json!("AWAY")));
        assert!(head.contains("retry-after: 3"), "{head}");
    }
    let nobody = b"GET /v1/mypage/two:watch HTTP/1.0\r\n\r\n";
    assert_eq!(table.raw(nobody).await.0, 401);
}

#[tokio::test]
async fn a_stream_that_breaks_later_says_so_in_its_last_frame() {
    let table = Table::lay().await;
    let (status, _, body) = table.watched("breaks", "").await;
    assert_eq!((status, body.as_array().map(Vec::len)), (200, Some(3)));
    assert_eq!(body[2]["error"]["reason"], "AWAY");
    assert_eq!(body[2]["error"]["instance"], "/v1/mypage/breaks:watch");
    let (_, _, body) = table.watched("breaks", EVENTS).await;
    let events = body.as_str().expect("text");
    let last = events.trim_end().rsplit("\n\n").next().expect("an event");
    assert!(last.starts_with("retry: 3000\nevent: error\ndata: {"), "{events}");
}

#[tokio::test]
async fn a_stream_may_last_longer_than_a_request() {
    let table = Table::lay().await;
    let begun = Instant::now();
    let (_, _, body) = table.watched("slow", "").await;
    assert_eq!(body.as_array().map(Vec::len), Some(3), "{body}");
    assert!(begun.elapsed() > Duration::from_millis(500), "the deadline of a request");
}

#[tokio::test]
async fn a_stream_with_nothing_to_say_is_open() {
    let table = Table::lay().await;
    let silent = table.opened("silent", EVENTS, "retry: 1000\n\n").await;
    drop(silent);
    table.pages.left.cancelled().await;
}

#[tokio::test]
async fn a_client_that_goes_away_ends_the_call() {
    let table = Table::lay().await;
    let socket = table.opened("open", EVENTS, "id: 1").await;
    assert!(!table.pages.left.is_cancelled());
    drop(socket);
    let left = table.pages.left.cancelled();
    timeout(Duration::from_secs(5), left).await.expect("the service hears of it");
}

#[tokio::test]
async fn open_streams_end_when_the_gateway_closes_and_say_so() {
    let table = Table::lay().await;
    let mut events = table.opened("open", EVENTS, "id: 1").await;
    let mut array = table.opened("open", "", "\"1\"").await;
    table.stop.cancel();
    let (mut rest, mut end) = (String::new(), String::new());
    events.read_to_string(&mut rest).await.expect("an end");
    assert!(rest.contains("retry: 1000\nevent: error\n"), "{rest}");
    array.read_to_string(&mut end).await.expect("an end");
    assert!(end.contains("GATEWAY_CLOSING") && end.ends_with("}\n]\n"), "{end}");
}
