//! Requests: what a client sent, to protobuf bytes. A row's `request` (emitted by
//! the build) puts a message together from an [`Input`]: first the body, then the
//! query, then the path. They may say the same, but not different things.
//!
//! Strict on purpose: a field, a query key or a value that cannot be taken is
//! refused with its path, never dropped.

use std::borrow::Cow;

use base::{Error, error::Kind};
use buffa::{MessageField, ProtoBox};
use buffa_types::google::protobuf::FieldMask;
use serde_json::Value;
use serde_path_to_error::{Deserializer as Tracked, Track};

use crate::{
    read::{Fields, Read},
    slot::{self, Slot},
};

/// Messages deep in a query, such as `a.b.c`; protobuf itself goes 100 deep.
const DEEPEST: usize = 32;

/// The parts of a request that make up the message.
pub(crate) struct Input<'a> {
    /// The values of the path's parameters, in order, as sent.
    pub(crate) path: &'a [&'a str],
    /// What follows the `?`, as sent.
    pub(crate) query: &'a str,
    /// The body; empty is as if nothing were in it.
    pub(crate) body: &'a [u8],
    /// The body's `Content-Type`, as sent.
    pub(crate) content_type: &'a str,
}

impl Input<'_> {
    /// Reads the body: the message, or one of its fields.
    pub(crate) fn body<R: Read + Default>(&self, target: &mut R) -> Result<(), Error> {
        if self.body.is_empty() {
            return Ok(());
        }
        let mut json = serde_json::Deserializer::from_slice(self.body);
        if target.read(&mut json).and_then(|()| json.end()).is_err() {
            return Err(self.refusal::<R>());
        }
        Ok(())
    }

    /// What is wrong with the body, and where. Read again to find out: keeping track of where costs
    /// as much as reading.
    fn refusal<R: Read + Default>(&self) -> Error {
        let mut json = serde_json::Deserializer::from_slice(self.body);
        let mut track = Track::new();
        let read = R::default().read(Tracked::new(&mut json, &mut track));
        match read.and_then(|()| json.end()) {
            Err(error) => unreadable(track.path().to_string(), &error),
            Ok(()) => Error::internal("a body that could not be read, and then could"),
        }
    }

    /// The body as it is, and what type it has.
    pub(crate) fn bytes(&self) -> (String, Vec<u8>) {
        (self.content_type.to_owned(), self.body.to_vec())
    }

    /// For a method that takes no body.
    pub(crate) fn no_body(&self) -> Result<(), Error> {
        if self.body.is_empty() {
            return Ok(());
        }
        Err(Error::new(Kind::Invalid, "UNEXPECTED_BODY", "this method takes no body"))
    }

    /// Puts the value of a path's parameter that is one segment into its field. A body or a query
    /// that says something else is refused.
    pub(crate) fn path<S>(&self, index: usize, field: &str, slot: &mut S) -> Result<(), Error>
    where
        S: Slot + Default + PartialEq,
    {
        self.fill(index, field, slot, decoded)
    }

    /// The same for a parameter that spans segments: a slash is between two, `%2F` is within one,
    /// and stays so that they can be told apart.
    pub(crate) fn path_of_many<S>(
        &self,
        index: usize,
        field: &str,
        slot: &mut S,
    ) -> Result<(), Error>
    where
        S: Slot + Default + PartialEq,
    {
        self.fill(index, field, slot, |sent| {
            let slashes = sent.match_indices('%').filter(|(at, _)| {
                sent.get(at + 1..at + 3).is_some_and(|code| code.eq_ignore_ascii_case("2f"))
            });
            let (mut text, mut from) = (String::new(), 0);
            for (at, _) in slashes {
                text += &decoded(&sent[from..at])?;
                text += &sent[at..at + 3];
                from = at + 3;
            }
            text += &decoded(&sent[from..])?;
            Some(text.into())
        })
    }

    fn fill<'s, S>(
        &'s self,
        index: usize,
        field: &str,
        slot: &mut S,
        decode: impl Fn(&'s str) -> Option<Cow<'s, str>>,
    ) -> Result<(), Error>
    where
        S: Slot + Default + PartialEq,
    {
        let sent = self.path.get(index).copied().unwrap_or_default();
        let text = decode(sent).ok_or_else(|| Error::violation(field, "must be UTF-8"))?;
        let mut value = S::default();
        value.fill(&text).map_err(|expected| Error::violation(field, expected))?;
        if *slot != S::default() && *slot != value {
            return Err(Error::violation(field, "must be as in the path, or absent"));
        }
        *slot = value;
        Ok(())
    }

    /// Puts the query's values into the fields that their keys name: `filter.state`. `without`
    /// names the field that the body is.
    pub(crate) fn query<M: Fields>(&self, message: &mut M, without: &[&str]) -> Result<(), Error> {
        let mut seen: Vec<String> = Vec::new();
        for (key, value) in form_urlencoded::parse(self.query.as_bytes()) {
            let failed = |why| Error::violation(key.as_ref(), why);
            let mut names = key.split('.');
            let first = names.next().filter(|name| !without.contains(name));
            let mut slot: &mut dyn Slot =
                first.ok_or(slot::UNKNOWN).and_then(|name| message.part(name)).map_err(failed)?;
            for (depth, name) in names.enumerate() {
                let deep = if depth < DEEPEST { slot.part(name) } else { Err("is too deep") };
                slot = deep.map_err(failed)?;
            }
            // `page_size` is `pageSize`.
            let same = key.replace('_', "").to_ascii_lowercase();
            if seen.contains(&same) && !slot.takes_many() {
                return Err(failed("given more than once"));
            }
            slot.fill(&value).map_err(failed)?;
            seen.push(same);
        }
        Ok(())
    }

    /// For a method whose body holds all that is not in the path.
    pub(crate) fn no_query(&self) -> Result<(), Error> {
        match form_urlencoded::parse(self.query.as_bytes()).next() {
            Some((key, _)) => Err(Error::violation(key, slot::UNKNOWN)),
            None => Ok(()),
        }
    }

    /// Makes the field mask of a PATCH of what is in the body, when the client sent none. `fixed`
    /// is what the path says: that is not to be changed.
    pub(crate) fn mask<P: ProtoBox<FieldMask>>(
        &self,
        mask: &mut MessageField<FieldMask, P>,
        parts: &[Part],
        fixed: &[&str],
    ) -> Result<(), Error> {
        if mask.is_set() || self.body.is_empty() {
            return Ok(());
        }
        let body = serde_json::from_slice(self.body)
            .map_err(|_| Error::internal("a body that was read, and then could not be"))?;
        let paths = &mut mask.get_or_insert_default().paths;
        present(&body, parts, "", paths);
        paths.retain(|path| !fixed.contains(&path.as_str()));
        Ok(())
    }
}

/// A field's names, and those of the fields within: where a field mask can go.
pub(crate) struct Part {
    pub(crate) json: &'static str,
    pub(crate) name: &'static str,
    pub(crate) parts: fn() -> &'static [Part],
}

/// Adds the paths of the fields that are in a message's JSON.
fn present(message: &Value, parts: &[Part], before: &str, paths: &mut Vec<String>) {
    for (key, value) in message.as_object().into_iter().flatten() {
        let Some(part) = parts.iter().find(|part| [part.json, part.name].contains(&key.as_str()))
        else {
            continue;
        };
        let path = format!("{before}{}", part.name);
        let within = (part.parts)();
        let empty = value.as_object().is_none_or(serde_json::Map::is_empty);
        if within.is_empty() || empty {
            paths.push(path);
        } else {
            present(value, within, &format!("{path}."), paths);
        }
    }
}

fn decoded(sent: &str) -> Option<Cow<'_, str>> {
    percent_encoding::percent_decode_str(sent).decode_utf8().ok()
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

#[cfg(test)]
mod tests {
    use serde_json::json;
    use tonic_types::StatusExt as _;

    use super::*;
    use crate::oracle;

    fn input<'a>(path: &'a [&'a str], query: &'a str, body: &'a str) -> Input<'a> {
        Input { path, query, body: body.as_bytes(), content_type: "" }
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
