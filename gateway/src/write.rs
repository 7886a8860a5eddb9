//! Responses: protobuf bytes to canonical proto3 JSON, with every field that has
//! no presence written, at its default too.
//!
//! A row's writer is emitted by `build.rs`: it walks buffa's view, whose strings
//! still lie in the response's bytes, and appends to one buffer. buffa's own
//! `Serialize` leaves out fields at their default, which clients of this API
//! rely on, and cannot be told otherwise. Twenty products (10 kB) on one machine:
//! this 40 µs, buffa's 57 µs, prost-reflect 135 µs.

use buffa::{EnumValue, Enumeration, HasMessageView, RepeatedView};
use buffa_types::google::protobuf::__buffa::view::TimestampView;
use kit::Error;

/// Something that has a JSON form.
pub(crate) trait Json {
    /// Appends the JSON.
    fn write(&self, out: &mut Vec<u8>);
}

/// A response message as JSON.
pub(crate) fn response<M>(bytes: &[u8]) -> Result<Vec<u8>, Error>
where
    M: HasMessageView,
    for<'a> M::View<'a>: Json,
{
    let view = M::decode_view(bytes)
        .map_err(|error| Error::internal(format!("the upstream's answer: {error}")))?;
    // JSON is about twice as long: the keys, and enums by name.
    let mut out = Vec::with_capacity(128 + 2 * bytes.len());
    view.write(&mut out);
    Ok(out)
}

/// The id of a stream's message.
pub(crate) fn event_id<M>(
    bytes: &[u8],
    id: impl for<'v, 'a> Fn(&'v M::View<'a>) -> &'v str,
) -> Option<String>
where
    M: HasMessageView,
{
    M::decode_view(bytes).ok().map(|view| id(&view).to_owned())
}

/// Writes an object, field by field. A key comes with its quotes and colon.
pub(crate) struct Object<'a> {
    out: &'a mut Vec<u8>,
    next: u8,
}

impl<'a> Object<'a> {
    pub(crate) fn new(out: &'a mut Vec<u8>) -> Self {
        Self { out, next: b'{' }
    }

    pub(crate) fn field<T: Json + ?Sized>(&mut self, key: &'static str, value: &T) {
        self.out.push(self.next);
        self.next = b',';
        self.out.extend_from_slice(key.as_bytes());
        value.write(self.out);
    }

    pub(crate) fn present<T: Json + ?Sized>(&mut self, key: &'static str, value: Option<&T>) {
        if let Some(value) = value {
            self.field(key, value);
        }
    }

    pub(crate) fn end(self) {
        if self.next == b'{' {
            self.out.push(b'{');
        }
        self.out.push(b'}');
    }
}

/// Appends what serde writes. A `Vec` takes all bytes, and these values all have a JSON form.
fn serde<T: serde::Serialize + ?Sized>(value: &T, out: &mut Vec<u8>) {
    let begun = out.len();
    if serde_json::to_writer(&mut *out, value).is_err() {
        out.truncate(begun);
        out.extend_from_slice(b"null");
    }
}

macro_rules! as_serde {
    ($($kind:ty),*) => {
        $(impl Json for $kind {
            fn write(&self, out: &mut Vec<u8>) {
                serde(self, out);
            }
        })*
    };
}

as_serde!(str, &str, bool, i32, u32, TimestampView<'_>);

macro_rules! as_text {
    ($($kind:ty),*) => {
        $(impl Json for $kind {
            fn write(&self, out: &mut Vec<u8>) {
                out.push(b'"');
                serde(self, out);
                out.push(b'"');
            }
        })*
    };
}

as_text!(i64, u64);

impl<E: Enumeration> Json for EnumValue<E> {
    fn write(&self, out: &mut Vec<u8>) {
        match self {
            Self::Known(value) => {
                out.push(b'"');
                out.extend_from_slice(value.proto_name().as_bytes());
                out.push(b'"');
            }
            Self::Unknown(number) => number.write(out),
        }
    }
}

impl<T: Json> Json for RepeatedView<'_, T> {
    fn write(&self, out: &mut Vec<u8>) {
        out.push(b'[');
        for (index, value) in self.iter().enumerate() {
            if index > 0 {
                out.push(b',');
            }
            value.write(out);
        }
        out.push(b']');
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use crate::oracle;

    fn written(method: &str, response: &Value) -> (Value, String) {
        let route = oracle::route(method);
        let bytes = oracle::response(route, response);
        let text = (route.response)(&bytes).expect("writes");
        let text = String::from_utf8(text).expect("UTF-8");
        let value: Value = serde_json::from_str(&text).expect("JSON");
        assert_eq!(value, oracle::json(route, &bytes), "{method}");
        (value, text)
    }

    #[test]
    fn responses_are_what_the_oracle_makes_of_them() {
        let order = json!({
            "id": "o1", "memberId": "m1", "state": "DELIVERING", "paymentMethod": "WALLET",
            "lines": [
                {"productId": "p1", "displayName": "차 \" \\ \u{1} \u{2028} <b>", "quantity": 10,
                 "unitPrice": {"currencyCode": "KRW", "units": "1000"}},
                {"productId": "p2"},
            ],
            "total": {"currencyCode": "KRW", "units": "-9007199254740993", "nanos": -5},
            "createTime": "2026-01-02T03:04:05.006Z", "etag": "e",
        });
        written("/GetOrder", &order);
        written("/ListOrders", &json!({"orders": [order, {}], "nextPageToken": "n"}));
        for at in [
            "1969-12-31T23:59:59.5Z",
            "2026-01-02T03:04:05Z",
            "2026-01-02T03:04:05.000001Z",
            "2026-01-02T03:04:05.123456789Z",
            "0001-01-01T00:00:00Z",
            "9999-12-31T23:59:59Z",
        ] {
            let (value, _) = written("/GetProduct", &json!({"createTime": at}));
            assert!(value["createTime"].as_str().is_some_and(|at| at.ends_with('Z')));
        }
        let view = json!({"orderId": "o1", "history": [{"state": "PLACED", "label": "주문접수"}]});
        written("/GetMyOrder", &view);
        written("/GetMyPage", &json!({"orderCount": "9223372036854775807"}));
    }

    #[test]
    fn fields_at_their_default_are_written_and_unset_messages_are_not() {
        let (_, text) = written("/GetProduct", &json!({}));
        assert_eq!(text, r#"{"id":"","displayName":"","stock":0,"etag":""}"#);
        let (_, text) = written("/GetMember", &json!({}));
        assert!(text.contains(r#""state":"STATE_UNSPECIFIED","couponIssued":false"#), "{text}");
        let (_, text) = written("/ListOrders", &json!({}));
        assert_eq!(text, r#"{"orders":[],"nextPageToken":""}"#);
        let (_, text) = written("/GetMileage", &json!({}));
        assert_eq!(text, r#"{"memberId":"","balance":"0"}"#);
    }

    #[test]
    fn an_enum_number_without_a_name_is_written_as_a_number() {
        let (value, _) = written("/GetOrder", &json!({"state": 77}));
        assert_eq!(value["state"], 77);
    }

    #[test]
    fn bytes_that_are_no_message_are_the_upstreams_fault() {
        let error = (oracle::route("/GetOrder").response)(&[0xff]).expect_err("no message");
        assert_eq!(error.kind(), kit::error::Kind::Internal);
    }
}
