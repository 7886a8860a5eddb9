//! Requests: what a client sent, to protobuf bytes. A row's `request` (emitted by
//! `build.rs`) puts a message together from an [`Input`]: first the JSON body,
//! then the path, then the query.
//!
//! Strict on purpose: a field, a query key or a value that cannot be taken is
//! refused with its path, never dropped.

use std::borrow::Cow;

use buffa::{EnumValue, Enumeration};
use kit::{Error, error::Kind};
use serde_path_to_error::{Deserializer as Tracked, Track};

use crate::read::{Fields, Read as _};

/// The parts of a request that make up the message.
pub(crate) struct Input<'a> {
    /// The values of the path's parameters, in order, as sent.
    pub(crate) path: &'a [&'a str],
    /// What follows the `?`, as sent.
    pub(crate) query: &'a str,
    /// The body; empty is `{}`.
    pub(crate) body: &'a [u8],
}

impl Input<'_> {
    /// The message in the body.
    pub(crate) fn body<M: Fields + Default>(&self) -> Result<M, Error> {
        let mut message = M::default();
        if self.body.is_empty() {
            return Ok(message);
        }
        let mut json = serde_json::Deserializer::from_slice(self.body);
        if message.read(&mut json).and_then(|()| json.end()).is_err() {
            return Err(self.refusal::<M>());
        }
        Ok(message)
    }

    /// What is wrong with the body, and where. Read again to find out: keeping track of where costs
    /// as much as reading.
    fn refusal<M: Fields + Default>(&self) -> Error {
        let mut json = serde_json::Deserializer::from_slice(self.body);
        let mut track = Track::new();
        let read = M::default().read(Tracked::new(&mut json, &mut track));
        match read.and_then(|()| json.end()) {
            Err(error) => unreadable(track.path().to_string(), &error),
            Ok(()) => Error::internal("a body that could not be read, and then could"),
        }
    }

    /// An empty message, for a method that takes no body.
    pub(crate) fn no_body<M: Default>(&self) -> Result<M, Error> {
        if self.body.is_empty() {
            return Ok(M::default());
        }
        Err(Error::new(Kind::Invalid, "UNEXPECTED_BODY", "this method takes no body"))
    }

    /// Puts a path parameter into its field. A body that says something else is refused.
    pub(crate) fn path<S>(&self, index: usize, field: &str, slot: &mut S) -> Result<(), Error>
    where
        S: Slot + Default + PartialEq,
    {
        let sent = self.path.get(index).copied().unwrap_or_default();
        let text = percent_encoding::percent_decode_str(sent)
            .decode_utf8()
            .map_err(|_| Error::violation(field, "must be UTF-8"))?;
        let mut value = S::default();
        value.fill(&text).map_err(|expected| Error::violation(field, expected))?;
        if *slot != S::default() && *slot != value {
            return Err(Error::violation(field, "must be as in the path, or absent"));
        }
        *slot = value;
        Ok(())
    }

    /// Puts the query's values into the fields that `slot` finds for their keys.
    pub(crate) fn query<M>(
        &self,
        message: &mut M,
        slot: impl for<'m> Fn(&'m mut M, &str) -> Option<&'m mut dyn Slot>,
    ) -> Result<(), Error> {
        let mut seen: Vec<Cow<'_, str>> = Vec::new();
        for (key, value) in form_urlencoded::parse(self.query.as_bytes()) {
            let Some(slot) = slot(message, &key) else {
                return Err(Error::violation(key, "unknown query parameter"));
            };
            if seen.contains(&key) && !slot.takes_many() {
                return Err(Error::violation(key, "given more than once"));
            }
            slot.fill(&value).map_err(|expected| Error::violation(key.as_ref(), expected))?;
            seen.push(key);
        }
        Ok(())
    }
}

fn unreadable(field: String, error: &serde_json::Error) -> Error {
    let text = error.to_string();
    if !error.is_data() {
        return Error::new(Kind::Invalid, "MALFORMED_JSON", format!("not JSON: {text}"));
    }
    // The path says where; lines and columns do not help.
    let text = text.rsplit_once(" at line ").map_or(text.as_str(), |(text, _)| text);
    let field = if field == "." { String::new() } else { field };
    Error::violation(field, text)
}

/// A field that can be filled from text.
pub(crate) trait Slot {
    /// Takes the value, or says what would be right.
    fn fill(&mut self, text: &str) -> Result<(), &'static str>;

    /// True for a list: each value is added.
    fn takes_many(&self) -> bool {
        false
    }
}

impl Slot for String {
    fn fill(&mut self, text: &str) -> Result<(), &'static str> {
        text.clone_into(self);
        Ok(())
    }
}

macro_rules! parsed {
    ($($kind:ty: $expected:literal),*) => {
        $(impl Slot for $kind {
            fn fill(&mut self, text: &str) -> Result<(), &'static str> {
                *self = text.parse().map_err(|_| $expected)?;
                Ok(())
            }
        })*
    };
}

parsed! {
    bool: "must be true or false",
    i32: "must be a 32-bit integer",
    u32: "must be a 32-bit integer, 0 or more",
    i64: "must be a 64-bit integer",
    u64: "must be a 64-bit integer, 0 or more"
}

impl<E: Enumeration> Slot for EnumValue<E> {
    fn fill(&mut self, text: &str) -> Result<(), &'static str> {
        *self = match (E::from_proto_name(text), text.parse::<i32>()) {
            (Some(value), _) => Self::Known(value),
            (None, Ok(number)) => Self::from(number),
            (None, Err(_)) => return Err("unknown value"),
        };
        Ok(())
    }
}

impl<S: Slot + Default> Slot for Option<S> {
    fn fill(&mut self, text: &str) -> Result<(), &'static str> {
        self.insert(S::default()).fill(text)
    }
}

impl<S: Slot + Default> Slot for Vec<S> {
    fn fill(&mut self, text: &str) -> Result<(), &'static str> {
        let mut value = S::default();
        value.fill(text)?;
        self.push(value);
        Ok(())
    }

    fn takes_many(&self) -> bool {
        true
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use tonic_types::StatusExt as _;

    use super::*;
    use crate::oracle;

    fn input<'a>(path: &'a [&'a str], query: &'a str, body: &'a str) -> Input<'a> {
        Input { path, query, body: body.as_bytes() }
    }

    fn refusal(method: &str, input: &Input<'_>) -> (String, Vec<String>) {
        let error = (oracle::route(method).request)(input).expect_err("refused");
        assert_eq!(error.kind(), Kind::Invalid);
        let reason = error.reason().to_owned();
        let bad = tonic::Status::from(error).get_details_bad_request();
        let fields = bad.into_iter().flat_map(|bad| bad.field_violations);
        (reason, fields.map(|violation| violation.field).collect())
    }

    fn field(method: &str, input: &Input<'_>) -> String {
        let (reason, mut fields) = refusal(method, input);
        assert_eq!((reason.as_str(), fields.len()), ("INVALID_FIELD", 1));
        fields.remove(0)
    }

    #[test]
    fn bodies_become_what_the_oracle_makes_of_them() {
        let bodies = [
            "",
            "{}",
            r#"{"paymentMethod": "WALLET", "lines": [{"productId": "p", "quantity": 10}]}"#,
            r#"{"payment_method": 2, "lines": [{"product_id": "p", "quantity": "10"}, {}]}"#,
            r#"{"paymentMethod": null, "lines": null, "cardToken": null, "expectedTotal": null}"#,
            r#"{"expectedTotal": {"currencyCode": "KRW", "units": "9007199254740993"}}"#,
            r#"{"expectedTotal": {"currencyCode": "KRW", "units": 10000, "nanos": 0}}"#,
            r#"{"paymentMethod": 77, "cardToken": "주문 \u00e9 \" \\ \n"}"#,
            r#"{"expectedTotal": {}}"#,
            r#"{"lines": [{"quantity": 1e2}, {"quantity": 2.0}, {"quantity": -1}]}"#,
        ];
        let route = oracle::route("/PlaceOrder");
        for body in bodies {
            let bytes = (route.request)(&input(&[], "", body)).expect(body);
            let json = serde_json::from_str(body).unwrap_or_else(|_| json!({}));
            assert_eq!(oracle::decode(route, &bytes), oracle::request(route, &json), "{body}");
        }
    }

    #[test]
    fn an_optional_field_is_there_when_it_was_sent() {
        let route = oracle::route("/UpdateProduct");
        for body in [json!({}), json!({"displayName": ""}), json!({"displayName": "tea"})] {
            let text = body.to_string();
            let bytes = (route.request)(&input(&["p1"], "", &text)).expect("fits");
            let mut whole = body.clone();
            whole["productId"] = "p1".into();
            assert_eq!(oracle::decode(route, &bytes), oracle::request(route, &whole), "{text}");
        }
    }

    #[test]
    fn path_and_query_become_fields() {
        let route = oracle::route("/ListWalletEntries");
        let sent = input(&["m%2F1"], "pageSize=20&pageToken=a%20b%2Bc+d", "");
        let bytes = (route.request)(&sent).expect("fits");
        let same = json!({"memberId": "m/1", "pageSize": 20, "pageToken": "a b+c d"});
        assert_eq!(oracle::decode(route, &bytes), oracle::request(route, &same));

        let route = oracle::route("/ListOrders");
        for query in ["state=PLACED", "state=1"] {
            let bytes = (route.request)(&input(&[], query, "")).expect("fits");
            let same = json!({"state": "PLACED"});
            assert_eq!(oracle::decode(route, &bytes), oracle::request(route, &same));
        }
    }

    #[test]
    fn what_cannot_be_taken_is_refused_with_its_path() {
        let cases = [
            (r#"{"paymentMethod": "WALLET", "coupon": 1}"#, "coupon"),
            (r#"{"lines": [{"productId": "p"}, {"colour": "red"}]}"#, "lines[1].colour"),
            (r#"{"lines": [{"productId": 7}]}"#, "lines[0].productId"),
            (r#"{"lines": [{"quantity": "ten"}]}"#, "lines[0].quantity"),
            (r#"{"lines": [{"quantity": 2147483648}]}"#, "lines[0].quantity"),
            (r#"{"lines": [{"quantity": 1.5}]}"#, "lines[0].quantity"),
            (r#"{"lines": {}}"#, "lines"),
            (r#"{"lines": [["p", 1]]}"#, "lines[0]"),
            (r#"{"lines": [null]}"#, "lines[0]"),
            (r#"{"expectedTotal": []}"#, "expectedTotal"),
            (r#"{"card_token": "a", "cardToken": "b"}"#, "cardToken"),
            (r#"{"paymentMethod": "BARTER"}"#, "paymentMethod"),
            (r#"{"expectedTotal": {"units": "1.5"}}"#, "expectedTotal.units"),
            (r#"{"cardToken": "a", "cardToken": "b"}"#, "cardToken"),
        ];
        for (body, path) in cases {
            assert_eq!(field("/PlaceOrder", &input(&[], "", body)), path, "{body}");
        }
        assert_eq!(field("/ListOrders", &input(&[], "state=LOST", "")), "state");
        assert_eq!(field("/ListOrders", &input(&[], "pageSize=1&pageSize=2", "")), "pageSize");
        assert_eq!(field("/ListOrders", &input(&[], "colour=red", "")), "colour");
        assert_eq!(field("/GetOrder", &input(&["o1"], "orderId=o2", "")), "orderId");
        assert_eq!(field("/PlaceOrder", &input(&[], "cardToken=t", "")), "cardToken");
        assert_eq!(field("/CancelOrder", &input(&["o1"], "", r#"{"orderId": "o2"}"#)), "orderId");
        assert_eq!(field("/GetOrder", &input(&["%ff"], "", "")), "orderId");
    }

    #[test]
    fn a_body_may_repeat_the_path() {
        let route = oracle::route("/CancelOrder");
        let bytes = (route.request)(&input(&["o1"], "", r#"{"orderId": "o1"}"#)).expect("fits");
        let same = json!({"orderId": "o1"});
        assert_eq!(oracle::decode(route, &bytes), oracle::request(route, &same));
    }

    #[test]
    fn what_is_not_json_is_said_so() {
        for body in ["{", "{} x", "{'a': 1}", "nope", "\u{0}"] {
            assert_eq!(refusal("/PlaceOrder", &input(&[], "", body)).0, "MALFORMED_JSON", "{body}");
        }
        for body in ["[]", r#"["WALLET"]"#, "1", "\"a\"", "null"] {
            assert_eq!(refusal("/PlaceOrder", &input(&[], "", body)).0, "INVALID_FIELD", "{body}");
        }
        assert_eq!(refusal("/GetOrder", &input(&["o1"], "", "{}")).0, "UNEXPECTED_BODY");
    }
}
