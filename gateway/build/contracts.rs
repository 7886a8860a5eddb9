//! The contracts' options: which REST calls a method has, and who may call it.

use prost_reflect::{
    DescriptorPool, DynamicMessage, ExtensionDescriptor, FieldDescriptor, Kind, MessageDescriptor,
    MethodDescriptor, Value,
};

use crate::{
    Result,
    json::{real_oneof, well_known},
    template::Template,
};

/// The options that are read.
pub(crate) struct Contracts {
    http: ExtensionDescriptor,
    access: ExtensionDescriptor,
}

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

impl Contracts {
    pub(crate) fn new(pool: &DescriptorPool) -> Result<Self> {
        let option = |name: &str| {
            pool.get_extension_by_name(name).ok_or_else(|| format!("no option {name}"))
        };
        Ok(Self { http: option("google.api.http")?, access: option("hansang.api.v1.access")? })
    }

    pub(crate) fn bindings(&self, method: &MethodDescriptor) -> Result<Vec<Binding>> {
        let options = method.options();
        if !options.has_extension(&self.http) {
            return Ok(Vec::new());
        }
        let failed = |error| format!("{}: {error}", method.full_name());
        if method.is_client_streaming() {
            return Err(failed("a stream of requests has no REST form".into()).into());
        }
        let has = |message: MessageDescriptor, field| message.get_field_by_name(field).is_some();
        if method.is_server_streaming()
            && !(has(method.input(), "last_event_id") && has(method.output(), "event_id"))
        {
            let why = "a stream goes on after `last_event_id`, the `event_id` of a message";
            return Err(failed(why.into()).into());
        }
        let rule = options.get_extension(&self.http);
        let rule = rule.as_message().ok_or("google.api.http is not a message")?;
        let mut bindings = vec![binding(method, rule).map_err(failed)?];
        for more in list(rule, "additional_bindings") {
            let rule = more.as_message().ok_or("additional_bindings holds no message")?;
            bindings.push(binding(method, rule).map_err(failed)?);
        }
        Ok(bindings)
    }

    /// True when a call needs no token.
    pub(crate) fn open(&self, method: &MethodDescriptor) -> bool {
        const ANYONE: i32 = 1;
        let options = method.options();
        let access = options.get_extension(&self.access);
        access.as_message().is_some_and(|access| {
            list(access, "roles").iter().any(|role| role.as_enum_number() == Some(ANYONE))
        })
    }
}

fn list(message: &DynamicMessage, field: &str) -> Vec<Value> {
    message
        .get_field_by_name(field)
        .and_then(|value| value.as_list().map(<[Value]>::to_vec))
        .unwrap_or_default()
}

fn text(message: &DynamicMessage, field: &str) -> String {
    message
        .get_field_by_name(field)
        .and_then(|value| value.as_str().map(str::to_owned))
        .unwrap_or_default()
}

fn binding(method: &MethodDescriptor, rule: &DynamicMessage) -> Result<Binding> {
    let verbs = [
        ("get", "GET"),
        ("put", "PUT"),
        ("post", "POST"),
        ("delete", "DELETE"),
        ("patch", "PATCH"),
    ];
    let (verb, path) = verbs
        .iter()
        .map(|(field, verb)| (*verb, text(rule, field)))
        .find(|(_, path)| !path.is_empty())
        .ok_or("the http option names none of get, put, post, delete and patch")?;
    let (request, response) = (method.input(), method.output());
    let field = |message: &MessageDescriptor, name: &str| {
        message.get_field_by_name(name).ok_or_else(|| format!("{path}: no field {name}"))
    };
    let body = match text(rule, "body").as_str() {
        "" => Body::None,
        "*" => Body::Whole,
        name => Body::Field(field(&request, name)?),
    };
    let response_body = match text(rule, "response_body").as_str() {
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
