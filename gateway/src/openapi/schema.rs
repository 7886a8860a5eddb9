//! Messages as JSON Schema, in canonical proto3 JSON. A message that clients
//! send takes no field that it does not have; one that is only answered has all
//! its fields, but for those that may be absent.

use std::collections::{BTreeMap, BTreeSet};

use prost_reflect::{EnumDescriptor, FieldDescriptor, Kind, MessageDescriptor};
use utoipa::openapi::{
    ArrayBuilder, KnownFormat, ObjectBuilder, Ref, RefOr, Schema, SchemaFormat, Type,
    schema::{AdditionalProperties, SchemaType},
};

use super::contract::{Route, comment};

/// The name of the schema of all problems.
pub(super) const PROBLEM: &str = "Problem";

/// The schemas that the document refers to, by name.
pub(super) struct Schemas {
    named: BTreeMap<String, RefOr<Schema>>,
    /// The messages that clients send.
    sent: BTreeSet<String>,
}

impl Schemas {
    pub(super) fn new(routes: &[Route]) -> Self {
        let mut sent = BTreeSet::new();
        for route in routes {
            reach(&route.method.input(), &mut sent);
        }
        Self { named: BTreeMap::from([(PROBLEM.to_owned(), problem().into())]), sent }
    }

    pub(super) fn into_components(self) -> BTreeMap<String, RefOr<Schema>> {
        self.named
    }

    /// A reference to a message.
    pub(super) fn message(&mut self, message: &MessageDescriptor) -> RefOr<Schema> {
        if let Some(schema) = well_known(message) {
            return schema;
        }
        let name = name(message.full_name());
        if !self.named.contains_key(&name) {
            // In case it holds itself.
            self.named.insert(name.clone(), ObjectBuilder::new().into());
            let object = self.object(message, &[]);
            let about = comment(&message.parent_file(), message.path());
            self.named.insert(name.clone(), object.description(about).into());
        }
        Ref::from_schema_name(name).into()
    }

    /// A message's fields, without some.
    pub(super) fn object(
        &mut self,
        message: &MessageDescriptor,
        without: &[FieldDescriptor],
    ) -> ObjectBuilder {
        let sent = self.sent.contains(message.full_name());
        let mut object = ObjectBuilder::new();
        for field in message.fields().filter(|field| !without.contains(field)) {
            let schema = if sent { self.value(&field) } else { self.field(&field) };
            object = object.property(field.json_name(), schema);
            if !sent && !field.supports_presence() {
                object = object.required(field.json_name());
            }
        }
        if sent {
            object.additional_properties(Some(AdditionalProperties::FreeForm(false)))
        } else {
            object
        }
    }

    /// A field, with its comment.
    pub(super) fn field(&mut self, field: &FieldDescriptor) -> RefOr<Schema> {
        let about = comment(&field.parent_message().parent_file(), field.path());
        if field.is_map() {
            let Kind::Message(entry) = field.kind() else { return RefOr::default() };
            let value = self.kind(&entry.map_entry_value_field());
            let map = ObjectBuilder::new().additional_properties(Some(value));
            return map.description(about).into();
        }
        let value = self.kind(field);
        if field.is_list() {
            return ArrayBuilder::new().items(value).description(about).into();
        }
        match (value, about) {
            (RefOr::Ref(mut reference), Some(about)) => {
                reference.description = about;
                RefOr::Ref(reference)
            }
            (RefOr::T(Schema::Object(mut object)), about) => {
                object.description = about.or(object.description);
                object.into()
            }
            (value, _) => value,
        }
    }

    /// A field where it cannot be empty: what names a resource is a UUID then.
    pub(super) fn value(&mut self, field: &FieldDescriptor) -> RefOr<Schema> {
        match self.field(field) {
            RefOr::T(Schema::Object(mut object)) if field.name().ends_with("_id") => {
                object.format = Some(SchemaFormat::Custom("uuid".to_owned()));
                object.into()
            }
            schema => schema,
        }
    }

    /// One value of a field.
    fn kind(&mut self, field: &FieldDescriptor) -> RefOr<Schema> {
        let kind = match field.kind() {
            Kind::Message(message) => return self.message(&message),
            Kind::Enum(kind) => return self.enumeration(&kind),
            Kind::Bool => ObjectBuilder::new().schema_type(Type::Boolean),
            Kind::Int32 | Kind::Sint32 | Kind::Sfixed32 => integer(KnownFormat::Int32),
            Kind::Uint32 | Kind::Fixed32 => integer(KnownFormat::Int64).minimum(Some(0)),
            Kind::Int64 | Kind::Sint64 | Kind::Sfixed64 => number_as_text("^-?[0-9]+$"),
            Kind::Uint64 | Kind::Fixed64 => number_as_text("^[0-9]+$"),
            Kind::Float | Kind::Double => ObjectBuilder::new().schema_type(Type::Number),
            Kind::Bytes => text().content_encoding("base64"),
            Kind::String => text(),
        };
        kind.into()
    }

    fn enumeration(&mut self, kind: &EnumDescriptor) -> RefOr<Schema> {
        let name = name(kind.full_name());
        let file = kind.parent_file();
        let values = kind.values().filter_map(|value| {
            let about = comment(&file, value.path())?;
            Some(format!("- `{}`: {about}", value.name()))
        });
        let about = comment(&file, kind.path()).into_iter().chain(values);
        let about = about.collect::<Vec<_>>().join("\n");
        let schema = text()
            .enum_values(Some(kind.values().map(|value| value.name().to_owned())))
            .description((!about.is_empty()).then_some(about));
        self.named.insert(name.clone(), schema.into());
        Ref::from_schema_name(name).into()
    }
}

/// RFC 9457, as `crate::problem` writes it.
fn problem() -> ObjectBuilder {
    let violation = ["field", "description"]
        .into_iter()
        .fold(ObjectBuilder::new(), |object, name| object.property(name, text()).required(name));
    let mut object = ObjectBuilder::new()
        .description(Some("What is wrong (RFC 9457)."))
        .property("status", integer(KnownFormat::Int32))
        .required("status");
    for (name, about) in [
        ("type", "`about:blank`, or a URN of domain and reason."),
        ("title", "The status in words."),
        ("detail", "For people."),
        ("instance", "The path that was asked for."),
        ("code", "The name of the gRPC code."),
    ] {
        object = object.property(name, text().description(Some(about))).required(name);
    }
    object
        .property("reason", text().description(Some("For programs: `OUT_OF_STOCK`.")))
        .property("domain", text().description(Some("Whose reason it is.")))
        .property("violations", ArrayBuilder::new().items(violation))
        .property(
            "traceId",
            text().description(Some("Of the trace, for those who run the system.")),
        )
}

/// All messages that a message is made of, and itself.
fn reach(message: &MessageDescriptor, reached: &mut BTreeSet<String>) {
    if reached.insert(message.full_name().to_owned()) {
        for part in message.fields().filter_map(|field| field.kind().as_message().cloned()) {
            reach(&part, reached);
        }
    }
}

/// `hansang.order.v1.Order` is `order.v1.Order`: short, and still nobody else's.
fn name(full_name: &str) -> String {
    full_name.strip_prefix("hansang.").unwrap_or(full_name).to_owned()
}

fn text() -> ObjectBuilder {
    ObjectBuilder::new().schema_type(Type::String)
}

fn integer(format: KnownFormat) -> ObjectBuilder {
    ObjectBuilder::new().schema_type(Type::Integer).format(Some(SchemaFormat::KnownFormat(format)))
}

fn number_as_text(pattern: &str) -> ObjectBuilder {
    text().format(Some(SchemaFormat::KnownFormat(KnownFormat::Int64))).pattern(Some(pattern))
}

/// What proto3 JSON writes in a way of its own.
fn well_known(message: &MessageDescriptor) -> Option<RefOr<Schema>> {
    let any = || ObjectBuilder::new().schema_type(SchemaType::AnyValue);
    let schema = match message.full_name() {
        "google.protobuf.Timestamp" => {
            text().format(Some(SchemaFormat::KnownFormat(KnownFormat::DateTime)))
        }
        "google.protobuf.Duration" => text().pattern(Some(r"^-?[0-9]+(\.[0-9]+)?s$")),
        "google.protobuf.FieldMask" => text(),
        "google.protobuf.Value" => any(),
        "google.protobuf.Struct" | "google.protobuf.Any" => {
            ObjectBuilder::new().additional_properties(Some(AdditionalProperties::FreeForm(true)))
        }
        _ => return None,
    };
    Some(schema.into())
}
