//! What a contract says of its methods in options: who may call them (`hansang.api.v1.access`), how
//! they are called over REST (`google.api.http`), and whether a call may be repeated
//! (`idempotency_level`). The only reader of these options: build scripts, the OpenAPI document and
//! tests see them through here.
//!
//! ```
//! use annotations::Annotations;
//! use prost_reflect::DescriptorPool;
//!
//! let pool = DescriptorPool::global();
//! let annotations = Annotations::of(&pool);
//! for method in pool.services().flat_map(|service| service.methods().collect::<Vec<_>>()) {
//!     println!("{}: {:?}", method.full_name(), annotations.access(&method));
//! }
//! ```
//!
//! It decides nothing: neither whether a caller may call, nor which request a path belongs to.

use prost_reflect::{
    DescriptorPool, DynamicMessage, ExtensionDescriptor, MethodDescriptor, ReflectMessage as _,
    Value,
};

use prost_reflect::prost_types::MethodOptions;
pub use prost_reflect::prost_types::method_options::IdempotencyLevel;

/// The role that everybody has, also without a token.
pub const ANYONE: &str = "ANYONE";

const HTTP: &str = "google.api.http";
const ACCESS: &str = "hansang.api.v1.access";
const VERBS: [(&str, &str); 5] =
    [("get", "GET"), ("put", "PUT"), ("post", "POST"), ("delete", "DELETE"), ("patch", "PATCH")];

/// What is wrong with a contract.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Nobody may call this method: it does not carry the option, or an empty one.
    #[error("{0} does not say who may call it (option {ACCESS})")]
    NoAccess(String),
    /// This method's REST form has another verb than the five, or none.
    #[error("{0}: the option {HTTP} names none of get, put, post, delete and patch")]
    NoVerb(String),
}

/// The options that are read.
#[derive(Clone, Debug)]
pub struct Annotations {
    http: Option<ExtensionDescriptor>,
    access: Option<ExtensionDescriptor>,
}

/// Who may call a method. At least one of the first three says something.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Access {
    /// Callers with one of these, as the contract has them: `MEMBER`; [`ANYONE`].
    pub roles: Vec<String>,
    /// The owner of the resource: the field that names the owner, or `resource`.
    pub owner: Option<String>,
    /// Services that may call; `*` is every service.
    pub callers: Vec<String>,
    /// The field with the member for whom a service calls.
    pub on_behalf_of: Option<String>,
}

/// One way to call a method over REST, as written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Http {
    /// `POST`.
    pub verb: &'static str,
    /// The path's template: `/v1/orders/{order_id}:cancel`.
    pub path: String,
    /// `*`, a field of the request, or empty.
    pub body: String,
    /// The field that is the response's body; empty: the whole response.
    pub response_body: String,
}

impl Annotations {
    /// The options, as these descriptors have them. Where they do not, no method says anything.
    pub fn of(pool: &DescriptorPool) -> Self {
        let option = |name| pool.get_extension_by_name(name);
        Self { http: option(HTTP), access: option(ACCESS) }
    }

    /// Who may call a method.
    pub fn access(&self, method: &MethodDescriptor) -> Result<Access, Error> {
        let none = || Error::NoAccess(method.full_name().to_owned());
        let access = message(method, self.access.as_ref()).ok_or_else(none)?;
        let access = Access {
            roles: roles(&access),
            owner: Some(text(&access, "owner")).filter(|owner| !owner.is_empty()),
            callers: list(&access, "callers")
                .iter()
                .filter_map(|caller| caller.as_str().map(str::to_owned))
                .collect(),
            on_behalf_of: Some(text(&access, "on_behalf_of")).filter(|field| !field.is_empty()),
        };
        let empty = access.roles.is_empty() && access.owner.is_none() && access.callers.is_empty();
        if empty { Err(none()) } else { Ok(access) }
    }

    /// The ways to call a method over REST, in the contract's order; most internal methods have none.
    pub fn http(&self, method: &MethodDescriptor) -> Result<Vec<Http>, Error> {
        let Some(first) = message(method, self.http.as_ref()) else { return Ok(Vec::new()) };
        let more = list(&first, "additional_bindings");
        let more = more.iter().filter_map(Value::as_message);
        std::iter::once(&first).chain(more).map(|rule| http(method, rule)).collect()
    }
}

impl Access {
    /// Whether a call needs no token.
    pub fn is_open(&self) -> bool {
        self.roles.iter().any(|role| role == ANYONE)
    }
}

/// Whether calls of a method may be repeated, and whether they change anything.
pub fn level(method: &MethodDescriptor) -> IdempotencyLevel {
    let options = method.method_descriptor_proto().options.as_ref();
    options.map_or(IdempotencyLevel::IdempotencyUnknown, MethodOptions::idempotency_level)
}

fn http(method: &MethodDescriptor, rule: &DynamicMessage) -> Result<Http, Error> {
    let verb = VERBS.iter().map(|(field, verb)| (*verb, text(rule, field)));
    let (verb, path) = verb
        .into_iter()
        .find(|(_, path)| !path.is_empty())
        .ok_or_else(|| Error::NoVerb(method.full_name().to_owned()))?;
    Ok(Http { verb, path, body: text(rule, "body"), response_body: text(rule, "response_body") })
}

fn message(
    method: &MethodDescriptor,
    option: Option<&ExtensionDescriptor>,
) -> Option<DynamicMessage> {
    let (option, options) = (option?, method.options());
    let there = options.has_extension(option);
    there.then(|| options.get_extension(option).as_message().cloned()).flatten()
}

fn roles(access: &DynamicMessage) -> Vec<String> {
    let field = access.descriptor().get_field_by_name("roles");
    let names = field.and_then(|field| field.kind().as_enum().cloned());
    let name = |role: &Value| {
        let role = names.as_ref()?.get_value(role.as_enum_number()?)?;
        Some(role.name().to_owned())
    };
    list(access, "roles").iter().filter_map(name).collect()
}

fn list(message: &DynamicMessage, field: &str) -> Vec<Value> {
    let value = message.get_field_by_name(field);
    value.and_then(|value| value.as_list().map(<[Value]>::to_vec)).unwrap_or_default()
}

fn text(message: &DynamicMessage, field: &str) -> String {
    let value = message.get_field_by_name(field);
    value.and_then(|value| value.as_str().map(str::to_owned)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The methods of one service, by their source.
    fn pool(methods: &str) -> DescriptorPool {
        let source = format!(
            r#"syntax = "proto3";
            package test.v1;
            import "google/api/annotations.proto";
            import "hansang/api/v1/options.proto";
            message Page {{ string id = 1; }}
            service Pages {{ {methods} }}"#
        );
        let dir = tempfile::tempdir().expect("a folder");
        std::fs::write(dir.path().join("test.proto"), source).expect("a file");
        let proto = concat!(env!("CARGO_MANIFEST_DIR"), "/../../proto");
        let mut compiler = protox::Compiler::new([dir.path(), proto.as_ref()]).expect("a compiler");
        compiler.include_imports(true).open_file("test.proto").expect("it compiles");
        let set = compiler.encode_file_descriptor_set();
        DescriptorPool::decode(set.as_slice()).expect("descriptors")
    }

    fn method(pool: &DescriptorPool) -> MethodDescriptor {
        let service = pool.get_service_by_name("test.v1.Pages").expect("a service");
        service.methods().next().expect("a method")
    }

    #[test]
    fn a_method_that_says_nothing_of_access_is_an_error() {
        for silent in [
            "rpc Get(Page) returns (Page);",
            "rpc Get(Page) returns (Page) { option (hansang.api.v1.access) = {}; }",
        ] {
            let pool = pool(&format!(
                "{silent} rpc Open(Page) returns (Page) {{ \
                option (hansang.api.v1.access) = {{roles: [ANYONE]}}; \
                option (google.api.http) = {{get: \"/v1/pages\"}}; }}"
            ));
            let annotations = Annotations::of(&pool);
            let error = annotations.access(&method(&pool)).expect_err("nobody may call it");
            assert_eq!(error, Error::NoAccess("test.v1.Pages.Get".to_owned()));
        }
    }

    #[test]
    fn everything_that_is_said_is_read() {
        let pool = pool(
            r#"rpc Turn(Page) returns (Page) {
                option idempotency_level = IDEMPOTENT;
                option (hansang.api.v1.access) =
                    {roles: [SELLER, ADMIN], owner: "id", callers: ["order"], on_behalf_of: "id"};
                option (google.api.http) = {
                    post: "/v1/pages/{id}:turn" body: "*"
                    additional_bindings {put: "/v1/turned" body: "id" response_body: "id"}
                }; }"#,
        );
        let (annotations, turn) = (Annotations::of(&pool), method(&pool));
        let access = annotations.access(&turn).expect("it says who");
        assert!(!access.is_open());
        assert_eq!(access.roles, ["SELLER", "ADMIN"]);
        assert_eq!(
            (access.owner.as_deref(), access.on_behalf_of.as_deref()),
            (Some("id"), Some("id"))
        );
        assert_eq!(access.callers, ["order"]);
        assert_eq!(level(&turn), IdempotencyLevel::Idempotent);
        let http = annotations.http(&turn).expect("verbs");
        let routes: Vec<_> = http
            .iter()
            .map(|http| (http.verb, &*http.path, &*http.body, &*http.response_body))
            .collect();
        assert_eq!(
            routes,
            [("POST", "/v1/pages/{id}:turn", "*", ""), ("PUT", "/v1/turned", "id", "id")]
        );
    }

    #[test]
    fn a_verb_that_rest_does_not_have_is_an_error() {
        let pool = pool(
            r#"rpc Get(Page) returns (Page) {
                option (hansang.api.v1.access) = {roles: [ANYONE]};
                option (google.api.http) = {custom: {kind: "HEAD" path: "/v1/pages"}}; }"#,
        );
        let annotations = Annotations::of(&pool);
        assert_eq!(
            annotations.http(&method(&pool)),
            Err(Error::NoVerb("test.v1.Pages.Get".to_owned()))
        );
    }
}
