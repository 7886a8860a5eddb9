//! Which REST calls a method has: the rules as its contract writes them, with the fields that they name.

use annotations::{Annotations, Http};
use prost_reflect::{FieldDescriptor, Kind, MessageDescriptor, MethodDescriptor};

use crate::{
    Result,
    json::{real_oneof, well_known},
    template::Template,
};

/// One way to call a method over REST.
pub(crate) struct Binding {
    pub(crate) verb: &'static str,
    /// The template as written.
    pub(crate) path: String,
    pub(crate) template: Template,
    /// The field that each variable of the template fills: `order`, `id`.
    pub(crate) variables: Vec<Vec<FieldDescriptor>>,
    pub(crate) body: Body,
    /// The field that is the response's body; without one, the whole response is.
    pub(crate) response_body: Option<FieldDescriptor>,
}

/// What the request's body becomes.
pub(crate) enum Body {
    /// There is none.
    None,
    /// The request, but for what the path holds.
    Whole,
    /// One of the request's fields.
    Field(FieldDescriptor),
}

/// The ways to call a method over REST.
pub(crate) fn bindings(
    annotations: &Annotations,
    method: &MethodDescriptor,
) -> Result<Vec<Binding>> {
    let rules = annotations.http(method)?;
    let failed = |error| format!("{}: {error}", method.full_name());
    if !rules.is_empty() && method.is_client_streaming() {
        return Err(failed("a stream of requests has no REST form".into()).into());
    }
    let has = |message: MessageDescriptor, field| message.get_field_by_name(field).is_some();
    if !rules.is_empty()
        && method.is_server_streaming()
        && !(has(method.input(), "last_event_id") && has(method.output(), "event_id"))
    {
        let why = "a stream goes on after `last_event_id`, the `event_id` of a message";
        return Err(failed(why.into()).into());
    }
    rules.into_iter().map(|rule| Ok(binding(method, rule).map_err(failed)?)).collect()
}

fn binding(method: &MethodDescriptor, rule: Http) -> Result<Binding> {
    let Http { verb, path, body, response_body } = rule;
    let (request, response) = (method.input(), method.output());
    let field = |message: &MessageDescriptor, name: &str| {
        message.get_field_by_name(name).ok_or_else(|| format!("{path}: no field {name}"))
    };
    let body = match body.as_str() {
        "" => Body::None,
        "*" => Body::Whole,
        name => Body::Field(field(&request, name)?),
    };
    let response_body = match response_body.as_str() {
        "" => None,
        name => Some(field(&response, name)?),
    };
    let template = Template::parse(&path)?;
    let variables = template
        .variables
        .iter()
        .map(|variable| field_path(&request, &variable.field))
        .collect::<Result<_>>()
        .map_err(|error| format!("{path}: {error}"))?;
    Ok(Binding { verb, path, template, variables, body, response_body })
}

/// The fields on the way to one that a path can hold: `order.id`.
fn field_path(request: &MessageDescriptor, path: &str) -> Result<Vec<FieldDescriptor>> {
    let mut message = Some(request.clone());
    let mut fields: Vec<FieldDescriptor> = Vec::new();
    for name in path.split('.') {
        let field = message.as_ref().and_then(|message| message.get_field_by_name(name));
        let field = field.ok_or_else(|| format!("no field {path}"))?;
        message = match field.kind() {
            Kind::Message(kind) if !field.is_list() && !field.is_map() && !well_known(&kind) => {
                Some(kind)
            }
            _ => None,
        };
        fields.push(field);
    }
    let last = fields.last().filter(|_| message.is_none());
    let fits = |field: &FieldDescriptor| {
        !field.is_list() && !field.is_map() && !matches!(field.kind(), Kind::Message(_))
    };
    // A oneof's message on the way would be one that the path chooses.
    let chosen = fields.iter().rev().skip(1).any(real_oneof);
    if chosen || !last.is_some_and(fits) {
        return Err(format!("{path} cannot be in a path").into());
    }
    Ok(fields)
}
