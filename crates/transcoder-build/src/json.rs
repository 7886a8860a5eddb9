//! Emits, for each message that travels over REST, what reads it from JSON, from
//! paths and from queries, and what writes it as JSON.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
};

use prost_reflect::{
    FieldDescriptor, FileDescriptor, Kind, MessageDescriptor, MethodDescriptor, Syntax,
};

use crate::{
    Result,
    binding::{Binding, Body},
    names::{ident, oneof, oneof_view, owned, variant, view},
    routes::masked,
};

/// What the routes need of the contracts.
#[derive(Default)]
pub(crate) struct Used {
    /// Proto files whose types are generated.
    pub(crate) files: BTreeSet<String>,
    requests: Messages,
    responses: Messages,
    masked: Messages,
}

/// Messages by their full names.
type Messages = BTreeMap<String, MessageDescriptor>;

impl Used {
    pub(crate) fn binding(&mut self, method: &MethodDescriptor, binding: &Binding) {
        let Self { files, requests, responses, masked: masks } = self;
        use_file(files, &method.input().parent_file());
        use_file(files, &method.output().parent_file());
        // Bytes as they are have no JSON.
        if !raw(&method.input()) {
            let bytes = match &binding.body {
                Body::Field(field) => field.kind().as_message().filter(|kind| raw(kind)).cloned(),
                _ => None,
            };
            collect(requests, &method.input(), bytes.as_ref());
        }
        match &binding.response_body {
            None if raw(&method.output()) => {}
            None => collect(responses, &method.output(), None),
            Some(field) => {
                if let Some(kind) = field.kind().as_message().filter(|kind| !raw(kind)) {
                    collect(responses, kind, None);
                }
            }
        }
        if let Some((_, body)) = masked(method, binding) {
            collect(masks, &body, None);
        }
    }

    pub(crate) fn emit(&self, out: &mut String) -> Result<()> {
        for message in self.requests.values() {
            emit_reader(out, message)?;
        }
        for message in self.responses.values() {
            emit_writer(out, message)?;
        }
        for message in self.masked.values() {
            emit_parts(out, message)?;
        }
        Ok(())
    }
}

/// Adds a message, and those that it is made of, but for `without`.
fn collect(
    messages: &mut Messages,
    message: &MessageDescriptor,
    without: Option<&MessageDescriptor>,
) {
    if well_known(message) || without == Some(message) {
        return;
    }
    // A map's entry is no message of its own in Rust.
    if message.is_map_entry()
        || messages.insert(message.full_name().into(), message.clone()).is_none()
    {
        for part in parts(message) {
            collect(messages, &part, without);
        }
    }
}

/// Adds a file, and the files of the types that its messages have.
fn use_file(files: &mut BTreeSet<String>, file: &FileDescriptor) {
    if file.package_name() == "google.protobuf" || !files.insert(file.name().into()) {
        return;
    }
    let mut messages: Vec<_> = file.messages().collect();
    while let Some(message) = messages.pop() {
        for field in message.fields() {
            match field.kind() {
                Kind::Message(kind) => use_file(files, &kind.parent_file()),
                Kind::Enum(kind) => use_file(files, &kind.parent_file()),
                _ => {}
            }
        }
        messages.extend(message.child_messages());
    }
}

/// The messages that a message is made of.
fn parts(message: &MessageDescriptor) -> Vec<MessageDescriptor> {
    message.fields().filter_map(|field| field.kind().as_message().cloned()).collect()
}

pub(crate) fn well_known(message: &MessageDescriptor) -> bool {
    message.package_name() == "google.protobuf"
}

/// A body that is bytes of any type, and no JSON.
pub(crate) fn raw(message: &MessageDescriptor) -> bool {
    message.full_name() == "google.api.HttpBody"
}

pub(crate) fn real_oneof(field: &FieldDescriptor) -> bool {
    field.containing_oneof().is_some() && !field.field_descriptor_proto().proto3_optional()
}

/// A field's names in JSON, as a pattern: parsers of proto3 JSON take the proto's own name too.
pub(crate) fn names(field: &FieldDescriptor) -> String {
    let (json, name) = (field.json_name(), field.name());
    if json == name { format!("{json:?}") } else { format!("{json:?} | {name:?}") }
}

/// An expression for what a path or a query fills: a field of `base`. `taken` is the error where
/// another member of its oneof is set.
pub(crate) fn slot(base: &str, field: &FieldDescriptor, taken: &str) -> String {
    if let Some(of) = field.containing_oneof().filter(|_| real_oneof(field)) {
        let (place, variant) = (ident(of.name()), format!("{}::{}", oneof(&of), variant(field)));
        // buffa boxes messages.
        let value = if field.kind().as_message().is_some() { "&mut **value" } else { "value" };
        return format!(
            "match {base}.{place}.get_or_insert_with(|| {variant}(Default::default())) {{ \
             {variant}(value) => {value}, _ => return Err({taken}) }}"
        );
    }
    let place = format!("{base}.{}", ident(field.name()));
    match field.kind() {
        Kind::Message(_) if !field.is_list() => format!("{place}.get_or_insert_default()"),
        _ => format!("&mut {place}"),
    }
}

/// Whether a query can hold a field, or parts of it.
fn queried(field: &FieldDescriptor) -> bool {
    let shapeless = ["Struct", "Value", "ListValue"];
    match field.kind() {
        _ if field.is_map() => false,
        Kind::Message(kind) if well_known(&kind) => !shapeless.contains(&kind.name()),
        Kind::Message(kind) => !raw(&kind),
        _ => true,
    }
}

fn emit_reader(out: &mut String, message: &MessageDescriptor) -> Result<()> {
    let kind = owned(message);
    let (mut arms, mut slots) = (String::new(), String::new());
    for field in message.fields() {
        let names = names(&field);
        if field.kind().as_message().is_some_and(raw) {
            continue;
        }
        check(&field)?;
        let number = field.number();
        let read = if let Some(of) = field.containing_oneof().filter(|_| real_oneof(&field)) {
            let variant = format!("{}::{}", oneof(&of), variant(&field));
            let member = match field.kind() {
                // buffa boxes messages.
                Kind::Message(_) => format!("|value| {variant}(Box::new(value))"),
                _ => variant,
            };
            format!("member({number}, &mut self.{}, {member})", ident(of.name()))
        } else {
            format!("value({number}, &mut self.{})", ident(field.name()))
        };
        writeln!(arms, "            {names} => object.{read},")?;
        if queried(&field) {
            writeln!(slots, "            {names} => Ok({}),", slot("self", &field, "slot::TAKEN"))?;
        }
    }
    writeln!(
        out,
        "impl read::Fields for {kind} {{
    fn field<'de, A: serde::de::MapAccess<'de>>(
        &mut self, key: &str, object: &mut read::Object<A>,
    ) -> std::result::Result<(), A::Error> {{
        match key {{
{arms}            _ => object.unknown(),
        }}
    }}
    fn part(&mut self, name: &str) -> std::result::Result<&mut dyn slot::Slot, &'static str> {{
        match name {{
{slots}            _ => Err(slot::UNKNOWN),
        }}
    }}
}}"
    )?;
    Ok(())
}

fn emit_writer(out: &mut String, message: &MessageDescriptor) -> Result<()> {
    let kind = view(message);
    let mut fields = String::new();
    for field in message.fields() {
        check(&field)?;
        let key = format!("{:?}:", field.json_name());
        let Some(of) = field.containing_oneof().filter(|_| real_oneof(&field)) else {
            writeln!(fields, "        {}", shown("object", &format!("{key:?}, "), "self", &field))?;
            continue;
        };
        let (place, kind, variant) = (ident(of.name()), oneof_view(&of), variant(&field));
        writeln!(
            fields,
            "        if let Some({kind}::{variant}(value)) = &self.{place} {{
            object.field({key:?}, value);
        }}"
        )?;
    }
    writeln!(
        out,
        "impl Json for {kind}<'_> {{
    fn write(&self, out: &mut Body) {{
        let mut object = Object::new(out);
{fields}        object.end();
    }}
}}"
    )?;
    Ok(())
}

/// A call of `writer` with a field of `base`; one with presence may be absent.
pub(crate) fn shown(writer: &str, key: &str, base: &str, field: &FieldDescriptor) -> String {
    let ident = ident(field.name());
    let get = match field.kind() {
        _ if field.is_list() || field.is_map() || !field.supports_presence() => None,
        Kind::Message(_) => Some("as_option"),
        _ => Some("as_ref"),
    };
    match get {
        Some(get) => format!("{writer}.present({key}{base}.{ident}.{get}());"),
        None => format!("{writer}.field({key}&{base}.{ident});"),
    }
}

/// Writes the names that a field mask has for a message.
fn emit_parts(out: &mut String, message: &MessageDescriptor) -> Result<()> {
    writeln!(out, "static {}: &[::transcoder::request::Part] = &[", parts_of(message))?;
    for field in message.fields() {
        let parts = match field.kind() {
            Kind::Message(kind) if !field.is_list() && !field.is_map() && !well_known(&kind) => {
                parts_of(&kind)
            }
            _ => "&[]".into(),
        };
        let (json, name) = (field.json_name(), field.name());
        writeln!(
            out,
            "    ::transcoder::request::Part {{ json: {json:?}, name: {name:?}, parts: || {parts} }},"
        )?;
    }
    out.push_str("];\n");
    Ok(())
}

/// The static that holds a message's names.
pub(crate) fn parts_of(message: &MessageDescriptor) -> String {
    message.full_name().replace('.', "_").to_uppercase()
}

/// Refuses what `read.rs` and `write.rs` have no JSON for.
fn check(field: &FieldDescriptor) -> Result<()> {
    let refused = match field.kind() {
        _ if field.parent_file().syntax() != Syntax::Proto3 => "is not of proto3",
        Kind::Message(kind) if kind.full_name() == "google.protobuf.Any" => {
            "Any says only at run time what it holds, and the gateway knows only what contracts \
             name: give the field a message's type, or a oneof of them"
        }
        Kind::Message(kind) if raw(&kind) => "HttpBody can be a body, and no part of one",
        _ => return Ok(()),
    };
    Err(format!("{}: {refused}", field.full_name()).into())
}
