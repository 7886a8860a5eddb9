//! What the contracts say of each method, and messages for it that make sense.

use std::collections::BTreeMap;

use annotations::{Access, Annotations, Http, IdempotencyLevel, level};
use prost_reflect::{
    DescriptorPool, DynamicMessage, FieldDescriptor, Kind, MessageDescriptor, MethodDescriptor,
    Value,
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
    let annotations = Annotations::of(&pool);
    let methods = pool.services().flat_map(|service| service.methods().collect::<Vec<_>>());
    methods.map(|method| rpc(&annotations, &method)).collect()
}

fn rpc(annotations: &Annotations, method: &MethodDescriptor) -> Rpc {
    let routes = annotations.http(method).expect("a verb");
    let route = routes
        .into_iter()
        .next()
        .map(|Http { verb, path, body, .. }| (verb.to_owned(), path, body == "*"));
    Rpc {
        path: format!("/{}/{}", method.parent_service().full_name(), method.name()),
        access: annotations.access(method).expect("an access option"),
        reads: level(method) == IdempotencyLevel::NoSideEffects,
        streams: method.is_server_streaming(),
        route,
        input: method.input(),
        output: method.output(),
    }
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
    for field in message.fields().filter(|field| !field.is_map() && !is_any(field)) {
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

/// Whether it may be of any type: none is made up.
fn is_any(field: &FieldDescriptor) -> bool {
    field.kind().as_message().is_some_and(|kind| kind.full_name() == "google.protobuf.Any")
}

fn made_up(field: &FieldDescriptor, known: &Known) -> Value {
    match field.kind() {
        Kind::String => Value::String("matrix".into()),
        Kind::Bytes => Value::Bytes("matrix".into()),
        Kind::Bool => Value::Bool(true),
        Kind::Int32 => Value::I32(1),
        Kind::Int64 => Value::I64(1),
        // The second: the first is the one that says nothing.
        Kind::Enum(kind) => Value::EnumNumber(kind.values().nth(1).expect("a value").number()),
        Kind::Message(message) => Value::Message(fill(&message, known, true)),
        other => panic!("{}: nothing is made up for {other:?}", field.full_name()),
    }
}
