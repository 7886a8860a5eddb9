//! Emits a row for each REST call: how to find it, and what makes its request
//! and its response.

use std::fmt::Write as _;

use annotations::{Annotations, IdempotencyLevel, level};
use prost_reflect::{Cardinality, FieldDescriptor, Kind, MessageDescriptor, MethodDescriptor};

use crate::{
    Result,
    binding::{Binding, Body},
    json::{names, parts_of, raw, real_oneof, shown, slot, well_known},
    names::{ident, owned},
    template::Variable,
};

pub(crate) fn emit_route(
    out: &mut String,
    annotations: &Annotations,
    method: &MethodDescriptor,
    binding: &Binding,
) -> Result<()> {
    let Binding { verb, path, template, .. } = binding;
    let service = method.parent_service();
    let upstream = service.package_name().split('.').nth(1).ok_or("a package without a service")?;
    let called = format!("/{}/{}", service.full_name(), method.name());
    let idempotent = level(method) != IdempotencyLevel::IdempotencyUnknown;
    let open = annotations.access(method).is_ok_and(|access| access.is_open());
    let (segments, custom) = (&template.segments, &template.custom);
    let variables: Vec<_> = template.variables.iter().map(|v| (v.from, v.to)).collect();
    let media = |raw: bool| if raw { "Media::Any" } else { "Media::Json" };
    let takes = media(match &binding.body {
        Body::None => false,
        Body::Whole => raw(&method.input()),
        Body::Field(field) => field.kind().as_message().is_some_and(raw),
    });
    let gives = media(match &binding.response_body {
        None => raw(&method.output()),
        Some(field) => field.kind().as_message().is_some_and(raw),
    });
    let request = request(method, binding)?;
    let response = response(method, binding)?;
    let output = owned(&method.output());
    let event_id = if method.is_server_streaming() {
        format!("Some(|bytes| write::event_id::<{output}>(bytes, |it| it.event_id))")
    } else {
        "None".into()
    };
    writeln!(
        out,
        "    Route {{
        verb: http::Method::{verb}, path: {path:?}, segments: &{segments:?}, custom: {custom:?},
        variables: &{variables:?}, service: {upstream:?}, method: {called:?},
        idempotent: {idempotent}, open: {open}, event_id: {event_id},
        takes: {takes}, gives: {gives},
        response: |bytes| write::body::<{output}>(bytes, |view, body| {{ {response} }}),
        request: |input| {{
{request}            Ok(buffa::Message::encode_to_vec(&message))
        }},
    }},"
    )?;
    Ok(())
}

/// Statements that make `message` of `input`.
fn request(method: &MethodDescriptor, binding: &Binding) -> Result<String> {
    let mut out = String::new();
    let input = method.input();
    writeln!(out, "            let mut message = {}::default();", owned(&input))?;
    match &binding.body {
        Body::None => {
            writeln!(out, "            input.no_body()?;")?;
            writeln!(out, "            input.query(&mut message, &[])?;")?;
        }
        Body::Whole if raw(&input) => {
            writeln!(out, "            (message.content_type, message.data) = input.bytes();")?;
            writeln!(out, "            input.no_query()?;")?;
        }
        Body::Whole => {
            writeln!(out, "            input.body(&mut message)?;")?;
            writeln!(out, "            input.no_query()?;")?;
        }
        Body::Field(field) => {
            let (ident, names) = (ident(field.name()), names(field).replace(" | ", ", "));
            if field.kind().as_message().is_some_and(raw) {
                writeln!(
                    out,
                    "            let file = message.{ident}.get_or_insert_default();
            (file.content_type, file.data) = input.bytes();"
                )?;
            } else {
                writeln!(out, "            input.body(&mut message.{ident})?;")?;
            }
            writeln!(out, "            input.query(&mut message, &[{names}])?;")?;
        }
    }
    if let Some((mask, body)) = masked(method, binding) {
        let fixed = fixed(binding);
        let parts = parts_of(&body);
        writeln!(out, "            input.mask(&mut message.{mask}, {parts}, &{fixed:?})?;")?;
    }
    for (index, fields) in binding.variables.iter().enumerate() {
        let Variable { from, to, .. } = binding.template.variables[index];
        let read = if to == from + 1 { "path" } else { "path_of_many" };
        let json = fields.iter().map(FieldDescriptor::json_name).collect::<Vec<_>>().join(".");
        let taken = format!("::base::Error::violation({json:?}, slot::TAKEN)");
        let place =
            fields.iter().fold("message".into(), |base: String, field| slot(&base, field, &taken));
        writeln!(out, "            input.{read}({index}, {json:?}, {place})?;")?;
    }
    Ok(out)
}

/// Statements that make `body` of `view`.
fn response(method: &MethodDescriptor, binding: &Binding) -> Result<String> {
    let output = method.output();
    let Some(field) = &binding.response_body else {
        let tag = output.get_field_by_name("etag").filter(is_tag).map(|_| " body.tag(view.etag);");
        return Ok(if raw(&output) {
            "body.bytes(view.content_type, view.data);".into()
        } else {
            format!("body.field(view);{}", tag.unwrap_or_default())
        });
    };
    if real_oneof(field) {
        return Err(format!("{}: a oneof's member cannot be a body", field.full_name()).into());
    }
    let kind = field.kind();
    let ident = ident(field.name());
    let part =
        |statement: &str| format!("if let Some(view) = view.{ident}.as_option() {{ {statement} }}");
    Ok(match kind.as_message() {
        Some(kind) if raw(kind) => part("body.bytes(view.content_type, view.data);"),
        Some(kind)
            if !field.is_list() && kind.get_field_by_name("etag").as_ref().is_some_and(is_tag) =>
        {
            shown("body", "", "view", field) + &part("body.tag(view.etag);")
        }
        _ => shown("body", "", "view", field),
    })
}

fn is_tag(field: &FieldDescriptor) -> bool {
    matches!(field.kind(), Kind::String)
        && field.cardinality() != Cardinality::Repeated
        && field.containing_oneof().is_none()
}

/// The field mask that a PATCH can do without, and the message in the body that it is about.
pub(crate) fn masked(
    method: &MethodDescriptor,
    binding: &Binding,
) -> Option<(String, MessageDescriptor)> {
    let Body::Field(field) = &binding.body else { return None };
    let body = field.kind().as_message().filter(|kind| !well_known(kind) && !raw(kind)).cloned()?;
    let mask = method.input().get_field_by_name("update_mask")?;
    let is_mask = mask.kind().as_message()?.full_name() == "google.protobuf.FieldMask";
    (binding.verb == "PATCH" && is_mask && !mask.is_list() && !field.is_list())
        .then(|| (ident(mask.name()), body))
}

/// What the path says of the body's message: it is not to be changed.
fn fixed(binding: &Binding) -> Vec<String> {
    let Body::Field(body) = &binding.body else { return Vec::new() };
    let within = binding.variables.iter().filter(|fields| fields.first() == Some(body));
    let path = |fields: &Vec<FieldDescriptor>| {
        fields.iter().skip(1).map(FieldDescriptor::name).collect::<Vec<_>>().join(".")
    };
    within.map(path).collect()
}
