//! What the contracts say of a method: its routes, who may call it, and the
//! comments. Reads descriptors; decides nothing.

use annotations::{Access, Annotations, Http, IdempotencyLevel, level};
use base::Error;
use prost_reflect::{
    DescriptorPool, FieldDescriptor, FileDescriptor, MethodDescriptor, ServiceDescriptor,
};

/// The contracts, with what their options say.
pub(super) struct Contracts<'a> {
    pool: &'a DescriptorPool,
    annotations: Annotations,
}

/// One way to call a method over REST.
pub(super) struct Route {
    pub(super) method: MethodDescriptor,
    /// `post`.
    pub(super) verb: String,
    /// `/v1/orders/{orderId}:cancel`.
    pub(super) path: String,
    /// What the path holds: each parameter's name, and the request's field.
    pub(super) parameters: Vec<(String, FieldDescriptor)>,
    /// `*`, a field of the request, or empty.
    pub(super) body: String,
    /// The field that is the response's body; empty: the whole response.
    pub(super) response_body: String,
    /// Which of the method's routes it is.
    pub(super) index: usize,
    pub(super) level: IdempotencyLevel,
    pub(super) access: Access,
}

impl<'a> Contracts<'a> {
    pub(super) fn new(pool: &'a DescriptorPool) -> Self {
        Self { pool, annotations: Annotations::of(pool) }
    }

    /// All routes, a service after the other.
    pub(super) fn routes(&self) -> Result<Vec<Route>, Error> {
        let mut services: Vec<_> = self.pool.services().collect();
        services.sort_by(|one, other| one.full_name().cmp(other.full_name()));
        let mut routes = Vec::new();
        for method in services.iter().flat_map(ServiceDescriptor::methods) {
            let rules = self.annotations.http(&method).map_err(|error| wrong(&error))?;
            for (index, rule) in rules.into_iter().enumerate() {
                routes.push(self.route(&method, index, rule)?);
            }
        }
        Ok(routes)
    }

    fn route(&self, method: &MethodDescriptor, index: usize, rule: Http) -> Result<Route, Error> {
        let unmapped = |what: &str| Error::internal(format!("{}: {what}", method.full_name()));
        let (path, parameters) =
            path(method, &rule.path).ok_or_else(|| unmapped("a path without its field"))?;
        Ok(Route {
            method: method.clone(),
            verb: rule.verb.to_lowercase(),
            path,
            parameters,
            body: rule.body,
            response_body: rule.response_body,
            index,
            level: level(method),
            access: self.annotations.access(method).map_err(|error| wrong(&error))?,
        })
    }
}

fn wrong(error: &annotations::Error) -> Error {
    Error::internal(format!("contracts: {error}"))
}

/// Who may call, for people.
pub(super) fn sentence(access: &Access) -> String {
    let mut who: Vec<_> = access.roles.iter().map(|role| role.to_lowercase()).collect();
    who.extend(access.owner.as_ref().map(|_| "the owner".to_owned()));
    format!("*May call:* {}.", who.join(", "))
}

impl Route {
    /// Whether calling it changes something.
    pub(super) fn commands(&self) -> bool {
        self.verb != "get" && self.level != IdempotencyLevel::NoSideEffects
    }

    /// Whether it makes a resource: a POST to a collection, in AIP-133's words, which answers the resource.
    pub(super) fn creates(&self) -> bool {
        let resource = self.method.output().get_field_by_name("id").is_some();
        self.verb == "post" && self.commands() && !self.path.contains(':') && resource
    }

    /// Whether the body is taken as it is, whatever it is.
    pub(super) fn takes_any(&self) -> bool {
        let kind = self.method.input().get_field_by_name(&self.body).map(|field| field.kind());
        kind.is_some_and(|kind| {
            kind.as_message().is_some_and(|message| message.full_name() == "google.api.HttpBody")
        })
    }

    /// Whether what it answers can be asked for under a condition.
    pub(super) fn conditional(&self) -> bool {
        !self.parameters.is_empty() && self.method.output().get_field_by_name("etag").is_some()
    }

    /// `placeOrder`; a second route of a method has a number.
    pub(super) fn id(&self) -> String {
        let name = self.method.name();
        let lower = name[..1].to_lowercase() + &name[1..];
        if self.index == 0 { lower } else { format!("{lower}{}", self.index + 1) }
    }
}

/// A path in OpenAPI's terms, and its parameters. `{name=shelves/*}` is `{name}` there.
fn path(
    method: &MethodDescriptor,
    template: &str,
) -> Option<(String, Vec<(String, FieldDescriptor)>)> {
    let mut pieces = template.split('{');
    let (mut path, mut parameters) = (pieces.next()?.to_owned(), Vec::new());
    for piece in pieces {
        let (variable, rest) = piece.split_once('}')?;
        let (mut message, mut names, mut field) = (Some(method.input()), Vec::new(), None);
        for name in variable.split('=').next()?.split('.') {
            let found = message?.get_field_by_name(name)?;
            names.push(found.json_name().to_owned());
            message = found.kind().as_message().cloned();
            field = Some(found);
        }
        let name = names.join(".");
        path = format!("{path}{{{name}}}{rest}");
        parameters.push((name, field?));
    }
    Some((path, parameters))
}

/// `OrderService` is `Order`.
pub(super) fn title(service: &ServiceDescriptor) -> String {
    service.name().trim_end_matches("Service").to_owned()
}

/// The comment in front of what is at this path of a file, or after it, as one paragraph a paragraph.
pub(super) fn comment(file: &FileDescriptor, path: &[i32]) -> Option<String> {
    let info = file.file_descriptor_proto().source_code_info.as_ref()?;
    let location = info.location.iter().find(|location| location.path == path)?;
    let comment = location.leading_comments.as_ref().or(location.trailing_comments.as_ref())?;
    let paragraphs = comment
        .split("\n\n")
        .map(|paragraph| paragraph.split_whitespace().collect::<Vec<_>>().join(" "));
    Some(paragraphs.collect::<Vec<_>>().join("\n\n")).filter(|comment| !comment.is_empty())
}
