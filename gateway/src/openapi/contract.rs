//! What the contracts say of a method: its routes, who may call it, and the
//! comments. Reads descriptors; decides nothing.

use base::Error;
use prost_reflect::{
    DescriptorPool, DynamicMessage, EnumDescriptor, ExtensionDescriptor, FieldDescriptor,
    FileDescriptor, MethodDescriptor, ReflectMessage as _, ServiceDescriptor, Value,
    prost_types::method_options::IdempotencyLevel,
};

const VERBS: [&str; 5] = ["get", "put", "post", "delete", "patch"];

/// The options that are read.
pub(super) struct Contracts<'a> {
    pool: &'a DescriptorPool,
    http: ExtensionDescriptor,
    access: ExtensionDescriptor,
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

/// Who may call.
pub(super) struct Access {
    roles: Vec<String>,
    owner: bool,
}

impl Access {
    /// True when a call needs no token.
    pub(super) fn open(&self) -> bool {
        self.roles.iter().any(|role| role == "anyone")
    }

    /// For people.
    pub(super) fn sentence(&self) -> String {
        let mut who = self.roles.clone();
        who.extend(self.owner.then(|| "the owner".to_owned()));
        format!("*May call:* {}.", who.join(", "))
    }
}

impl<'a> Contracts<'a> {
    pub(super) fn new(pool: &'a DescriptorPool) -> Result<Self, Error> {
        let option = |name: &str| {
            let found = pool.get_extension_by_name(name);
            found.ok_or_else(|| Error::internal(format!("contracts: no option {name}")))
        };
        Ok(Self {
            pool,
            http: option("google.api.http")?,
            access: option("hansang.api.v1.access")?,
        })
    }

    /// All routes, a service after the other.
    pub(super) fn routes(&self) -> Result<Vec<Route>, Error> {
        let mut services: Vec<_> = self.pool.services().collect();
        services.sort_by(|one, other| one.full_name().cmp(other.full_name()));
        let mut routes = Vec::new();
        for method in services.iter().flat_map(ServiceDescriptor::methods) {
            for (index, rule) in self.rules(&method).iter().enumerate() {
                routes.push(self.route(&method, index, rule)?);
            }
        }
        Ok(routes)
    }

    fn rules(&self, method: &MethodDescriptor) -> Vec<DynamicMessage> {
        let options = method.options();
        if !options.has_extension(&self.http) {
            return Vec::new();
        }
        let Some(rule) = options.get_extension(&self.http).as_message().cloned() else {
            return Vec::new();
        };
        let more = list(&rule, "additional_bindings");
        let more: Vec<_> = more.iter().filter_map(|rule| rule.as_message().cloned()).collect();
        [vec![rule], more].concat()
    }

    fn route(
        &self,
        method: &MethodDescriptor,
        index: usize,
        rule: &DynamicMessage,
    ) -> Result<Route, Error> {
        let unmapped = |what: &str| Error::internal(format!("{}: {what}", method.full_name()));
        let verb = VERBS.into_iter().find(|verb| !text(rule, verb).is_empty());
        let verb = verb.ok_or_else(|| unmapped("no verb that OpenAPI knows"))?;
        let (path, parameters) =
            path(method, &text(rule, verb)).ok_or_else(|| unmapped("a path without its field"))?;
        let options = method.method_descriptor_proto().options.clone().unwrap_or_default();
        Ok(Route {
            method: method.clone(),
            verb: verb.to_owned(),
            path,
            parameters,
            body: text(rule, "body"),
            response_body: text(rule, "response_body"),
            index,
            level: options.idempotency_level(),
            access: self.access(method),
        })
    }

    fn access(&self, method: &MethodDescriptor) -> Access {
        let options = method.options();
        let access = options.get_extension(&self.access);
        let Some(access) = access.as_message() else {
            return Access { roles: Vec::new(), owner: false };
        };
        let names = access.descriptor().get_field_by_name("roles");
        let names = names.and_then(|roles| roles.kind().as_enum().cloned());
        let roles = list(access, "roles");
        let roles = roles.iter().filter_map(|role| enum_name(names.as_ref()?, role));
        Access {
            roles: roles.map(|role| role.to_lowercase()).collect(),
            owner: !text(access, "owner").is_empty(),
        }
    }
}

impl Route {
    /// Whether calling it changes something.
    pub(super) fn commands(&self) -> bool {
        self.verb != "get" && self.level != IdempotencyLevel::NoSideEffects
    }

    /// Whether it makes a resource: a POST to a collection, in AIP-133's words.
    pub(super) fn creates(&self) -> bool {
        self.verb == "post" && self.commands() && !self.path.contains(':')
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

fn list(message: &DynamicMessage, field: &str) -> Vec<Value> {
    let value = message.get_field_by_name(field);
    value.and_then(|value| value.as_list().map(<[Value]>::to_vec)).unwrap_or_default()
}

fn text(message: &DynamicMessage, field: &str) -> String {
    let value = message.get_field_by_name(field);
    value.and_then(|value| value.as_str().map(str::to_owned)).unwrap_or_default()
}

fn enum_name(kind: &EnumDescriptor, value: &Value) -> Option<String> {
    Some(kind.get_value(value.as_enum_number()?)?.name().to_owned())
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
