//! One route as an operation: its parameters, its body, what it answers, and the
//! problems that it may have instead.

use std::collections::{BTreeMap, BTreeSet};

use http::StatusCode;
use prost_reflect::{FieldDescriptor, Kind, MessageDescriptor};
use utoipa::openapi::{
    ArrayBuilder, ContentBuilder, HeaderBuilder, ObjectBuilder, Ref, RefOr, Required, Response,
    ResponseBuilder, Schema, Type,
    path::{Operation, OperationBuilder, Parameter, ParameterBuilder, ParameterIn},
    request_body::{RequestBody, RequestBodyBuilder},
    security::SecurityRequirement,
};

use super::{
    contract::{Route, comment, sentence},
    schema::Schemas,
};

const JSON: &str = "application/json";

/// Every status that tells of a problem, and what it tells.
const PROBLEMS: [(u16, &str); 14] = [
    (400, "Path, query, header or body is not what is asked for: `violations` says which field."),
    (401, "No token, or one that is not valid."),
    (403, "The caller's roles do not allow it."),
    (404, "There is no such resource, or it is another member's."),
    (406, "`Accept` takes nothing that can be answered."),
    (408, "The body did not come in time."),
    (409, "The state of things does not allow it: `reason` says why."),
    (412, "The resource has changed: its etag is not that of `If-Match`."),
    (413, "The body is over 1 MiB."),
    (415, "The body is not JSON."),
    (422, "The `Idempotency-Key` came with another request before."),
    (429, "Too many requests."),
    (503, "Not now. Nothing has happened, unless `reason` is OUTCOME_PENDING."),
    (504, "No answer in time. A command with an `Idempotency-Key` can be repeated."),
];

/// The problems that the document refers to.
#[derive(Default)]
pub(super) struct Problems(BTreeSet<u16>);

impl Problems {
    fn reference(&mut self, status: u16) -> Ref {
        self.0.insert(status);
        Ref::from_response_name(problem_name(status))
    }

    pub(super) fn into_components(self) -> BTreeMap<String, RefOr<Response>> {
        let used = PROBLEMS.into_iter().filter(|(status, _)| self.0.contains(status));
        used.map(|(status, about)| (problem_name(status), problem(status, about).into())).collect()
    }
}

/// The operation of a route.
pub(super) fn operation(
    route: &Route,
    schemas: &mut Schemas,
    problems: &mut Problems,
) -> Operation {
    let about = comment(&route.method.parent_file(), route.method.path());
    let about = about.into_iter().chain([sentence(&route.access)]).collect::<Vec<_>>();
    let mut operation = OperationBuilder::new()
        .operation_id(Some(route.id()))
        .tag(super::contract::title(route.method.parent_service()))
        .summary(Some(summary(route.method.name())))
        .description(Some(about.join("\n\n")))
        .parameters(Some(parameters(route, schemas)))
        .request_body(body(route, schemas));
    if route.access.is_open() {
        // No requirement at all, instead of the document's.
        operation = operation.securities(Some([] as [SecurityRequirement; 0]));
    }
    let (status, response) = answer(route, schemas);
    operation = operation.response(status, response);
    if route.verb == "get" && route.conditional() {
        let unchanged = Response::new("Nothing has changed: the etag is that of `If-None-Match`.");
        operation = operation.response("304", unchanged);
    }
    for status in statuses(route) {
        operation = operation.response(status.to_string(), problems.reference(status));
    }
    operation.build()
}

/// `PlaceOrder` is `Place order`.
fn summary(name: &str) -> String {
    let mut words = String::new();
    for (index, letter) in name.chars().enumerate() {
        if index > 0 && letter.is_uppercase() {
            words.push(' ');
            words.extend(letter.to_lowercase());
        } else {
            words.push(letter);
        }
    }
    words
}

/// The problems that a route may have.
fn statuses(route: &Route) -> Vec<u16> {
    let (commands, body) = (route.commands(), !route.body.is_empty());
    let may = |status: &u16| match status {
        403 => !route.access.is_open(),
        404 => !route.parameters.is_empty(),
        408 | 413 => body,
        415 => body && !route.takes_any(),
        409 | 422 => commands,
        412 => commands && route.conditional(),
        _ => true,
    };
    PROBLEMS.into_iter().map(|(status, _)| status).filter(may).collect()
}

fn parameters(route: &Route, schemas: &mut Schemas) -> Vec<Parameter> {
    let mut all = Vec::new();
    for (name, field) in &route.parameters {
        let schema = schemas.value(field);
        let parameter = parameter(name, ParameterIn::Path, field, schema);
        all.push(parameter.required(Required::True).build());
    }
    if route.body != "*" {
        let bound = bound(route);
        query(&route.method.input(), "", &bound, schemas, &mut all);
    }
    let header = |name: &str, about: &str| {
        ParameterBuilder::new()
            .name(name)
            .parameter_in(ParameterIn::Header)
            .required(Required::False)
            .description(Some(about))
            .schema(Some(ObjectBuilder::new().schema_type(Type::String).max_length(Some(255))))
            .build()
    };
    if route.commands() {
        let about = "The same key with the same request does nothing again, and answers the same.";
        all.push(header("Idempotency-Key", about));
    }
    if route.conditional() {
        all.push(if route.commands() {
            header("If-Match", "Refuse it when the resource's etag is not this.")
        } else {
            header("If-None-Match", "Answer 304 when the resource's etag is this.")
        });
    }
    all
}

/// The fields that a route takes elsewhere than in the query.
fn bound(route: &Route) -> Vec<FieldDescriptor> {
    let body = route.method.input().get_field_by_name(&route.body);
    route.parameters.iter().map(|(_, field)| field.clone()).chain(body).collect()
}

/// The fields of a message as parameters of the query: `expectedTotal.units`.
fn query(
    message: &MessageDescriptor,
    prefix: &str,
    bound: &[FieldDescriptor],
    schemas: &mut Schemas,
    all: &mut Vec<Parameter>,
) {
    for field in message.fields().filter(|field| !bound.contains(field) && !field.is_map()) {
        let name = format!("{prefix}{}", field.json_name());
        match field.kind() {
            Kind::Message(inner) if inner.package_name() != "google.protobuf" => {
                query(&inner, &format!("{name}."), bound, schemas, all);
            }
            _ => {
                let schema = schemas.field(&field);
                all.push(parameter(&name, ParameterIn::Query, &field, schema).build());
            }
        }
    }
}

fn parameter(
    name: &str,
    place: ParameterIn,
    field: &FieldDescriptor,
    schema: RefOr<Schema>,
) -> ParameterBuilder {
    let about = comment(&field.parent_message().parent_file(), field.path());
    ParameterBuilder::new()
        .name(name)
        .parameter_in(place)
        .required(Required::False)
        .description(about)
        .schema(Some(schema))
}

fn body(route: &Route, schemas: &mut Schemas) -> Option<RequestBody> {
    if route.takes_any() {
        let any = ObjectBuilder::new().schema_type(Type::String);
        let content = ContentBuilder::new().schema(Some(any)).build();
        let body = RequestBodyBuilder::new().content("*/*", content);
        return Some(body.required(Some(Required::True)).build());
    }
    let input = route.method.input();
    let (bound, body) = (bound(route), input.get_field_by_name(&route.body));
    let (schema, empty): (RefOr<Schema>, bool) = match (route.body.as_str(), body) {
        ("*", _) => {
            // None at all stands for an empty object.
            let empty = input.fields().all(|field| bound.contains(&field));
            (schemas.object(&input, &bound).into(), empty)
        }
        (_, Some(field)) => (schemas.field(&field), false),
        (_, None) => return None,
    };
    let required = if empty { Required::False } else { Required::True };
    let content = ContentBuilder::new().schema(Some(schema)).build();
    Some(RequestBodyBuilder::new().content(JSON, content).required(Some(required)).build())
}

/// What a route answers when all is well.
fn answer(route: &Route, schemas: &mut Schemas) -> (&'static str, Response) {
    let output = route.method.output();
    let schema = match output.get_field_by_name(&route.response_body) {
        Some(part) => schemas.field(&part),
        None => schemas.message(&output),
    };
    let header = |about: &str| HeaderBuilder::new().description(Some(about)).build();
    let (status, about) = if route.creates() { ("201", "Made.") } else { ("200", "Done.") };
    let mut response = ResponseBuilder::new().description(about);
    let content = |schema: RefOr<Schema>| ContentBuilder::new().schema(Some(schema)).build();
    if route.method.is_server_streaming() {
        let text = || ObjectBuilder::new().schema_type(Type::String).into();
        response = response
            .content(JSON, content(ArrayBuilder::new().items(schema).into()))
            .content("application/x-ndjson", content(text()))
            .content("text/event-stream", content(text()));
    } else {
        response = response.content(JSON, content(schema));
    }
    if route.creates() {
        response = response.header("Location", header("Where the resource is."));
    }
    if route.commands() {
        let about = "`true` when this is the answer that the key got before.";
        response = response.header("Idempotency-Replayed", header(about));
    }
    if output.get_field_by_name("etag").is_some() && !route.creates() {
        response = response.header("ETag", header("Changes with every change."));
    }
    (status, response.build())
}

fn problem_name(status: u16) -> String {
    let status = StatusCode::from_u16(status).ok();
    let reason = status.and_then(|status| status.canonical_reason()).unwrap_or("Problem");
    reason.split(' ').collect()
}

fn problem(status: u16, about: &str) -> Response {
    let schema = Ref::from_schema_name(super::schema::PROBLEM);
    let content = ContentBuilder::new().schema(Some(schema)).build();
    let response =
        ResponseBuilder::new().description(about).content("application/problem+json", content);
    let (name, about, kind) = match status {
        401 => ("WWW-Authenticate", "`Bearer`.", Type::String),
        429 | 503 => ("Retry-After", "Seconds to wait.", Type::Integer),
        _ => return response.build(),
    };
    let schema = ObjectBuilder::new().schema_type(kind);
    let header = HeaderBuilder::new().schema(Some(schema)).description(Some(about)).build();
    response.header(name, header).build()
}
