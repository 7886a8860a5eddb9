//! Requests: what a client sent, to protobuf bytes. A row's `request` (emitted by
//! `transcoder-build`) puts a message together from an [`Input`]: first the body, then the
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
pub struct Input<'a> {
    /// The values of the path's parameters, in order, as sent.
    pub path: &'a [&'a str],
    /// What follows the `?`, as sent.
    pub query: &'a str,
    /// The body; empty is as if nothing were in it.
    pub body: &'a [u8],
    /// The body's `Content-Type`, as sent.
    pub content_type: &'a str,
}

impl Input<'_> {
    /// Reads the body: the message, or one of its fields.
    pub fn body<R: Read + Default>(&self, target: &mut R) -> Result<(), Error> {
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
    pub fn bytes(&self) -> (String, Vec<u8>) {
        (self.content_type.to_owned(), self.body.to_vec())
    }

    /// For a method that takes no body.
    pub fn no_body(&self) -> Result<(), Error> {
        if self.body.is_empty() {
            return Ok(());
        }
        Err(Error::new(Kind::Invalid, "UNEXPECTED_BODY", "this method takes no body"))
    }

    /// Puts the value of a path's parameter that is one segment into its field. A body or a query
    /// that says something else is refused.
    pub fn path<S>(&self, index: usize, field: &str, slot: &mut S) -> Result<(), Error>
    where
        S: Slot + Default + PartialEq,
    {
        self.fill(index, field, slot, decoded)
    }

    /// The same for a parameter that spans segments: a slash is between two, `%2F` is within one,
    /// and stays so that they can be told apart.
    pub fn path_of_many<S>(&self, index: usize, field: &str, slot: &mut S) -> Result<(), Error>
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
    pub fn query<M: Fields>(&self, message: &mut M, without: &[&str]) -> Result<(), Error> {
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
    pub fn no_query(&self) -> Result<(), Error> {
        match form_urlencoded::parse(self.query.as_bytes()).next() {
            Some((key, _)) => Err(Error::violation(key, slot::UNKNOWN)),
            None => Ok(()),
        }
    }

    /// Makes the field mask of a PATCH of what is in the body, when the client sent none. `fixed`
    /// is what the path says: that is not to be changed.
    pub fn mask<P: ProtoBox<FieldMask>>(
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
pub struct Part {
    /// As in JSON, `displayName`.
    pub json: &'static str,
    /// As in the contract, `display_name`.
    pub name: &'static str,
    /// Those within; empty where a mask goes no deeper.
    pub parts: fn() -> &'static [Part],
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
