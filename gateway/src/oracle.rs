//! The same conversions by reflection, to compare with: slow, and known to be right.

use std::sync::LazyLock;

use prost::Message as _;
use prost_reflect::{
    DescriptorPool, DynamicMessage, MessageDescriptor, MethodDescriptor, SerializeOptions,
};
use serde_json::Value;

use crate::route::{ROUTES, Route};

/// The route of a method, by the end of its path.
pub(crate) fn route(method: &str) -> &'static Route {
    ROUTES.iter().find(|route| route.method.ends_with(method)).expect("a route")
}

fn method(route: &Route) -> MethodDescriptor {
    static POOL: LazyLock<DescriptorPool> =
        LazyLock::new(|| DescriptorPool::decode(contracts::DESCRIPTORS).expect("contracts"));
    let (service, name) = route.method[1..].split_once('/').expect("a method");
    let service = POOL.get_service_by_name(service).expect("a service");
    service.methods().find(|method| method.name() == name).expect("the method")
}

fn message(kind: MessageDescriptor, json: &Value) -> DynamicMessage {
    DynamicMessage::deserialize(kind, json).expect("fits")
}

/// The request that this JSON is.
pub(crate) fn request(route: &Route, json: &Value) -> DynamicMessage {
    // By way of bytes, where a field at its default is not there.
    decode(route, &message(method(route).input(), json).encode_to_vec())
}

/// The request that these bytes are.
pub(crate) fn decode(route: &Route, bytes: &[u8]) -> DynamicMessage {
    DynamicMessage::decode(method(route).input(), bytes).expect("decodes")
}

/// A response in bytes.
pub(crate) fn response(route: &Route, json: &Value) -> Vec<u8> {
    message(method(route).output(), json).encode_to_vec()
}

/// A response as JSON, fields at their default included.
pub(crate) fn json(route: &Route, bytes: &[u8]) -> Value {
    let message = DynamicMessage::decode(method(route).output(), bytes).expect("decodes");
    let options = SerializeOptions::new().skip_default_fields(false);
    message
        .serialize_with_options(serde_json::value::Serializer, &options)
        .expect("has a JSON form")
}
