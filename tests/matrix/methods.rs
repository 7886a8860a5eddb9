//! What the contracts say of each method, and messages for it that make sense.

use std::collections::BTreeMap;

use prost_reflect::{
    DescriptorPool, DynamicMessage, FieldDescriptor, Kind, MessageDescriptor, MethodDescriptor,
    Value, prost_types::method_options::IdempotencyLevel,
};
use tonic::Code;

/// A method, and who may call it.
pub(crate) struct Rpc {
    /// `/hansang.order.v1.OrderService/PlaceOrder`.
    pub(crate) path: String,
    pub(crate) access: Access,
    /// Changes nothing.
    pub(crate) reads: bool,
    pub(crate) streams: bool,
    /// Verb, path and body of its REST form.
    pub(crate) route: Option<(String, String, bool)>,
    pub(crate) input: MessageDescriptor,
    pub(crate) output: MessageDescriptor,
}

/// Who may call a method.
#[derive(Default)]
pub(crate) struct Access {
    pub(crate) roles: Vec<String>,
    pub(crate) owner: Option<String>,
    pub(crate) callers: Vec<String>,
    /// A service has to say for which member it calls.
    pub(crate) on_behalf_of: bool,
}

/// What came back, over gRPC or REST: gRPC's code, and the message or the problem.
pub(crate) struct Answer {
    pub(crate) code: Code,
    pub(crate) text: String,
}

/// What there is, by the name of the field that asks for it.
pub(crate) type Known = BTreeMap<&'static str, Value>;

/// Every method of the contracts.
pub(crate) fn methods() -> Vec<Rpc> {
    let pool = DescriptorPool::decode(gateway::DESCRIPTORS).expect("the contracts");
    pool.services().flat_map(|service| service.methods().collect::<Vec<_>>()).map(rpc).collect()
}

#[expect(clippy::needless_pass_by_value, reason = "for an iterator of values")]
fn rpc(method: MethodDescriptor) -> Rpc {
    let service = method.parent_service().full_name();
    let options = method.method_descriptor_proto().options.clone().unwrap_or_default();
    let access = option(&method, "hansang.api.v1.access").expect("an access option");
    let rule = option(&method, "google.api.http");
    let route = rule.map(|rule| {
        let verb = ["get", "put", "post", "delete", "patch"].into_iter();
        let verb = verb.map(|verb| (verb.to_uppercase(), text(&rule, verb)));
        let (verb, path) = verb.into_iter().find(|(_, path)| !path.is_empty()).expect("a verb");
        (verb, path, text(&rule, "body") == "*")
    });
    let level = options.idempotency_level();
    Rpc {
        path: format!("/{service}/{}", method.name()),
        access: Access {
            roles: list(&access, "roles").iter().map(|role| role_name(&access, role)).collect(),
            owner: Some(text(&access, "owner")).filter(|owner| !owner.is_empty()),
            callers: list(&access, "callers")
                .iter()
                .filter_map(|caller| caller.as_str().map(str::to_owned))
                .collect(),
            on_behalf_of: !text(&access, "on_behalf_of").is_empty(),
        },
        reads: level == IdempotencyLevel::NoSideEffects,
        streams: method.is_server_streaming(),
        route,
        input: method.input(),
        output: method.output(),
    }
}

fn option(method: &MethodDescriptor, name: &str) -> Option<DynamicMessage> {
    let extension = method.parent_pool().get_extension_by_name(name).expect("an option");
    let options = method.options();
    let there = options.has_extension(&extension);
    there.then(|| options.get_extension(&extension).as_message().expect("a message").clone())
}

fn list(message: &DynamicMessage, field: &str) -> Vec<Value> {
    let value = message.get_field_by_name(field).expect("a field");
    value.as_list().expect("a list").to_vec()
}

fn text(message: &DynamicMessage, field: &str) -> String {
    let value = message.get_field_by_name(field).expect("a field");
    value.as_str().expect("text").to_owned()
}

fn role_name(access: &DynamicMessage, role: &Value) -> String {
    use prost_reflect::ReflectMessage as _;
    let field = access.descriptor().get_field_by_name("roles").expect("a field");
    let Kind::Enum(roles) = field.kind() else { panic!("roles are an enum") };
    let number = role.as_enum_number().expect("a role");
    roles.get_value(number).expect("a known role").name().to_owned()
}

impl Rpc {
    /// A message of which everything is known, or at least of the right kind. What only narrows down
    /// what is read is left out.
    pub(crate) fn message(&self, known: &Known) -> DynamicMessage {
        fill(&self.input, known, !self.reads)
    }
}

fn fill(message: &MessageDescriptor, known: &Known, everything: bool) -> DynamicMessage {
    let mut filled = DynamicMessage::new(message.clone());
    for field in message.fields().filter(|field| !field.is_map()) {
        let value = match known.get(field.name()) {
            Some(value) => value.clone(),
            None if everything => made_up(&field, known),
            None => continue,
        };
        let value = if field.is_list() { Value::List(vec![value]) } else { value };
        filled.set_field(&field, value);
    }
    filled
}

fn made_up(field: &FieldDescriptor, known: &Known) -> Value {
    match field.kind() {
        Kind::String => Value::String("matrix".into()),
        Kind::Bool => Value::Bool(true),
        Kind::Int32 => Value::I32(1),
        Kind::Int64 => Value::I64(1),
        // The second: the first is the one that says nothing.
        Kind::Enum(kind) => Value::EnumNumber(kind.values().nth(1).expect("a value").number()),
        Kind::Message(message) => Value::Message(fill(&message, known, true)),
        other => panic!("{}: nothing is made up for {other:?}", field.full_name()),
    }
}
