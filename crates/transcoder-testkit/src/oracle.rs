//! The same conversions by reflection, to compare with: slow, and known to be right.

use prost::Message as _;
use prost_reflect::{
    DescriptorPool, DeserializeOptions, DynamicMessage, MessageDescriptor, MethodDescriptor,
    SerializeOptions,
};
use serde::Serialize as _;
use serde_json::Value;

use transcoder::Route;

/// Knows a contract by its descriptors.
#[derive(Debug)]
pub struct Oracle(DescriptorPool);

fn message(kind: MessageDescriptor, json: &Value) -> DynamicMessage {
    DynamicMessage::deserialize(kind, json).expect("fits")
}

/// A message as JSON, where only what is set is written.
pub fn set(message: &DynamicMessage) -> Value {
    message.serialize(serde_json::value::Serializer).expect("has a JSON form")
}

impl Oracle {
    /// Of the contracts in an encoded descriptor set.
    ///
    /// # Panics
    /// When it is none; and the methods, when a route is not of these contracts.
    pub fn new(descriptors: &[u8]) -> Self {
        Self(DescriptorPool::decode(descriptors).expect("contracts"))
    }

    /// The request that this JSON is.
    pub fn request(&self, route: &Route, json: &Value) -> DynamicMessage {
        // By way of bytes, where a field at its default is not there.
        self.decode(route, &message(self.method(route).input(), json).encode_to_vec())
    }

    /// The request that this text is, if it is one.
    pub fn parse(&self, route: &Route, text: &str) -> Result<DynamicMessage, serde_json::Error> {
        let mut json = serde_json::Deserializer::from_str(text);
        let options = DeserializeOptions::new();
        let message = DynamicMessage::deserialize_with_options(
            self.method(route).input(),
            &mut json,
            &options,
        )?;
        json.end()?;
        Ok(self.decode(route, &message.encode_to_vec()))
    }

    /// The request that these bytes are.
    pub fn decode(&self, route: &Route, bytes: &[u8]) -> DynamicMessage {
        DynamicMessage::decode(self.method(route).input(), bytes).expect("decodes")
    }

    /// A response in bytes.
    pub fn response(&self, route: &Route, json: &Value) -> Vec<u8> {
        message(self.method(route).output(), json).encode_to_vec()
    }

    /// A response as JSON, fields at their default included.
    pub fn json(&self, route: &Route, bytes: &[u8]) -> Value {
        let message = DynamicMessage::decode(self.method(route).output(), bytes).expect("decodes");
        let options = SerializeOptions::new().skip_default_fields(false);
        // By way of text, where a float is as short as it can be.
        let mut text = serde_json::Serializer::new(Vec::new());
        message.serialize_with_options(&mut text, &options).expect("has a JSON form");
        serde_json::from_slice(&text.into_inner()).expect("JSON")
    }

    fn method(&self, route: &Route) -> MethodDescriptor {
        let (service, name) = route.method[1..].split_once('/').expect("a method");
        let service = self.0.get_service_by_name(service).expect("a service");
        service.methods().find(|method| method.name() == name).expect("the method")
    }
}
