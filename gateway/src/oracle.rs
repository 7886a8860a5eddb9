//! The same conversions by reflection, to compare with: slow, and known to be right.

use std::sync::LazyLock;

use prost::Message as _;
use prost_reflect::{
    DescriptorPool, DeserializeOptions, DynamicMessage, MessageDescriptor, MethodDescriptor,
    SerializeOptions,
};
use serde::Serialize as _;
use serde_json::Value;

use crate::{
    library,
    route::{ROUTES, Route},
};

/// The route of a method, by the end of its path.
pub(crate) fn route(method: &str) -> &'static Route {
    let mut routes = ROUTES.iter().chain(library::ROUTES);
    routes.find(|route| route.method.ends_with(method)).expect("a route")
}

fn method(route: &Route) -> MethodDescriptor {
    static POOLS: LazyLock<[DescriptorPool; 2]> = LazyLock::new(|| {
        [contracts::DESCRIPTORS, library::DESCRIPTORS]
            .map(|bytes| DescriptorPool::decode(bytes).expect("contracts"))
    });
    let (service, name) = route.method[1..].split_once('/').expect("a method");
    let service = POOLS.iter().find_map(|pool| pool.get_service_by_name(service));
    let mut methods = service.as_ref().expect("a service").methods();
    methods.find(|method| method.name() == name).expect("the method")
}

fn message(kind: MessageDescriptor, json: &Value) -> DynamicMessage {
    DynamicMessage::deserialize(kind, json).expect("fits")
}

/// The request that this JSON is.
pub(crate) fn request(route: &Route, json: &Value) -> DynamicMessage {
    // By way of bytes, where a field at its default is not there.
    decode(route, &message(method(route).input(), json).encode_to_vec())
}

/// The request that this text is, if it is one.
pub(crate) fn parse(route: &Route, text: &str) -> Result<DynamicMessage, serde_json::Error> {
    let mut json = serde_json::Deserializer::from_str(text);
    let options = DeserializeOptions::new();
    let message =
        DynamicMessage::deserialize_with_options(method(route).input(), &mut json, &options)?;
    json.end()?;
    Ok(decode(route, &message.encode_to_vec()))
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
    // By way of text, where a float is as short as it can be.
    let mut text = serde_json::Serializer::new(Vec::new());
    message.serialize_with_options(&mut text, &options).expect("has a JSON form");
    serde_json::from_slice(&text.into_inner()).expect("JSON")
}

/// A message as JSON, where only what is set is written.
pub(crate) fn set(message: &DynamicMessage) -> Value {
    message.serialize(serde_json::value::Serializer).expect("has a JSON form")
}
