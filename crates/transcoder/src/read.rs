//! Request bodies: canonical proto3 JSON into buffa's messages, strictly. A field
//! that does not exist, one given twice, two members of a oneof and an array in an
//! object's place are refused; buffa's own `Deserialize` takes the first (with a
//! oneof) and the last. So is U+0000 in a string, which Postgres cannot hold.
//!
//! The reader of each message is emitted by the build. Where in the body
//! something is wrong is found out by `serde_path_to_error` around it, so errors
//! are raised while the value at fault is read.

use std::{borrow::Cow, fmt, hash::Hash, marker::PhantomData};

use buffa::{EnumValue, Enumeration, MessageField, ProtoBox, json_helpers};
use buffa_types::google::protobuf::{
    BoolValue, BytesValue, DoubleValue, Duration, Empty, FieldMask, FloatValue, Int32Value,
    Int64Value, ListValue, StringValue, Struct, Timestamp, UInt32Value, UInt64Value, Value,
};
use serde::de::{
    DeserializeSeed, Deserializer, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor,
    value::UnitDeserializer,
};

use crate::slot::{self, Slot};

/// Something that can be read from JSON, in place.
pub trait Read {
    /// Takes the value.
    fn read<'de, D: Deserializer<'de>>(&mut self, json: D) -> Result<(), D::Error>;

    /// True when `null` is a value, and not the lack of one.
    fn takes_null() -> bool {
        false
    }
}

/// A message: knows its fields by their JSON names and by their own.
pub trait Fields: 'static {
    /// Reads the value of the field that `key` names.
    fn field<'de, A: MapAccess<'de>>(
        &mut self,
        key: &str,
        object: &mut Object<A>,
    ) -> Result<(), A::Error>;

    /// The field that `name` names, to be filled from text; or why there is none.
    fn part(&mut self, name: &str) -> Result<&mut dyn Slot, &'static str>;
}

/// An object that is being read.
pub struct Object<A> {
    entries: A,
    seen: Vec<u32>,
}

impl<'de, A: MapAccess<'de>> Object<A> {
    /// Reads the value of the field with this number. `null` leaves it as it is.
    pub fn value<R: Read>(&mut self, number: u32, field: &mut R) -> Result<(), A::Error> {
        if self.seen.contains(&number) {
            return self.entries.next_value_seed(Refused(TWICE));
        }
        self.seen.push(number);
        self.entries.next_value_seed(Nullable(field)).map(drop)
    }

    /// Reads the value of a oneof's member. `null` leaves the oneof as it is.
    pub fn member<R: Read + Default, O>(
        &mut self,
        number: u32,
        oneof: &mut Option<O>,
        member: fn(R) -> O,
    ) -> Result<(), A::Error> {
        if self.seen.contains(&number) {
            return self.entries.next_value_seed(Refused(TWICE));
        }
        self.seen.push(number);
        let mut value = Member { value: R::default(), taken: oneof.is_some() };
        if self.entries.next_value_seed(Nullable(&mut value))? {
            *oneof = Some(member(value.value));
        }
        Ok(())
    }

    /// Refuses the value of a field that does not exist.
    pub fn unknown(&mut self) -> Result<(), A::Error> {
        self.entries.next_value_seed(Refused("unknown field"))
    }
}

const TWICE: &str = "given more than once";

/// A value for a oneof, which is refused when the oneof has one.
struct Member<R> {
    value: R,
    taken: bool,
}

impl<R: Read> Read for Member<R> {
    fn read<'de, D: Deserializer<'de>>(&mut self, json: D) -> Result<(), D::Error> {
        if self.taken {
            return Refused(slot::TAKEN).deserialize(json);
        }
        self.value.read(json)
    }

    fn takes_null() -> bool {
        R::takes_null()
    }
}

struct Refused(&'static str);

impl<'de> DeserializeSeed<'de> for Refused {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<(), D::Error> {
        // To the end of the value, so that what is no JSON is said to be that.
        let IgnoredAny = serde::Deserialize::deserialize(json)?;
        Err(D::Error::custom(self.0))
    }
}

/// Reads a value, or nothing where there is a `null`; says whether there was one.
struct Nullable<'m, R>(&'m mut R);

impl<'de, R: Read> DeserializeSeed<'de> for Nullable<'_, R> {
    type Value = bool;

    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<bool, D::Error> {
        json.deserialize_option(self)
    }
}

impl<'de, R: Read> Visitor<'de> for Nullable<'_, R> {
    type Value = bool;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value or null")
    }

    fn visit_none<E: serde::de::Error>(self) -> Result<bool, E> {
        if !R::takes_null() {
            return Ok(false);
        }
        self.0.read(UnitDeserializer::new()).map(|()| true)
    }

    fn visit_unit<E: serde::de::Error>(self) -> Result<bool, E> {
        self.visit_none()
    }

    fn visit_some<D: Deserializer<'de>>(self, json: D) -> Result<bool, D::Error> {
        self.0.read(json).map(|()| true)
    }
}

/// A value in a list or a map, which cannot be absent.
struct Item<R>(PhantomData<R>);

impl<'de, R: Read + Default> DeserializeSeed<'de> for Item<R> {
    type Value = R;

    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<R, D::Error> {
        let mut item = R::default();
        if Nullable(&mut item).deserialize(json)? {
            return Ok(item);
        }
        Err(D::Error::custom("must not be null"))
    }
}

struct Message<'m, M>(&'m mut M);

impl<'de, M: Fields> Visitor<'de> for Message<'_, M> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, entries: A) -> Result<(), A::Error> {
        let mut object = Object { entries, seen: Vec::new() };
        while let Some(key) = object.entries.next_key::<Cow<'de, str>>()? {
            self.0.field(&key, &mut object)?;
        }
        Ok(())
    }
}

impl<M: Fields> Read for M {
    fn read<'de, D: Deserializer<'de>>(&mut self, json: D) -> Result<(), D::Error> {
        json.deserialize_map(Message(self))
    }
}

impl<R: Read + Default, P: ProtoBox<R>> Read for MessageField<R, P> {
    fn read<'de, D: Deserializer<'de>>(&mut self, json: D) -> Result<(), D::Error> {
        self.get_or_insert_default().read(json)
    }

    fn takes_null() -> bool {
        R::takes_null()
    }
}

impl<R: Read + Default> Read for Option<R> {
    fn read<'de, D: Deserializer<'de>>(&mut self, json: D) -> Result<(), D::Error> {
        self.insert(R::default()).read(json)
    }
}

struct List<'m, R>(&'m mut Vec<R>);

impl<'de, R: Read + Default> Visitor<'de> for List<'_, R> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        while let Some(item) = items.next_element_seed(Item(PhantomData))? {
            self.0.push(item);
        }
        Ok(())
    }
}

impl<R: Read + Default> Read for Vec<R> {
    fn read<'de, D: Deserializer<'de>>(&mut self, json: D) -> Result<(), D::Error> {
        json.deserialize_seq(List(self))
    }
}

struct Entries<'m, K, R>(&'m mut buffa::Map<K, R>);

impl<'de, K: Slot + Default + Hash + Eq, R: Read + Default> Visitor<'de> for Entries<'_, K, R> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    #[expect(clippy::map_entry, reason = "the value is refused as it is read, to say where it is")]
    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<(), A::Error> {
        while let Some(key) = entries.next_key::<Cow<'de, str>>()? {
            let mut parsed = K::default();
            if let Err(expected) = parsed.fill(&key) {
                entries.next_value_seed(Refused(expected))?;
            } else if self.0.contains_key(&parsed) {
                entries.next_value_seed(Refused(TWICE))?;
            } else {
                self.0.insert(parsed, entries.next_value_seed(Item(PhantomData))?);
            }
        }
        Ok(())
    }
}

#[expect(clippy::implicit_hasher, reason = "buffa's maps have this one")]
impl<K: Slot + Default + Hash + Eq, R: Read + Default> Read for buffa::Map<K, R> {
    fn read<'de, D: Deserializer<'de>>(&mut self, json: D) -> Result<(), D::Error> {
        json.deserialize_map(Entries(self))
    }
}

macro_rules! scalars {
    ($($kind:ty: $read:path),*) => {
        $(impl Read for $kind {
            fn read<'de, D: Deserializer<'de>>(&mut self, json: D) -> Result<(), D::Error> {
                *self = $read(json)?;
                Ok(())
            }
        })*
    };
}

scalars! {
    String: text,
    Vec<u8>: json_helpers::bytes::deserialize,
    bool: json_helpers::proto_bool::deserialize,
    i32: json_helpers::int32::deserialize,
    i64: json_helpers::int64::deserialize,
    u32: json_helpers::uint32::deserialize,
    u64: json_helpers::uint64::deserialize,
    f32: json_helpers::float::deserialize,
    f64: json_helpers::double::deserialize,
    Timestamp: serde::Deserialize::deserialize,
    Duration: serde::Deserialize::deserialize,
    FieldMask: serde::Deserialize::deserialize
}

fn text<'de, D: Deserializer<'de>>(json: D) -> Result<String, D::Error> {
    let text: String = json_helpers::proto_string::deserialize(json)?;
    slot::storable(&text).map_err(D::Error::custom)?;
    Ok(text)
}

impl<E: Enumeration> Read for EnumValue<E> {
    fn read<'de, D: Deserializer<'de>>(&mut self, json: D) -> Result<(), D::Error> {
        *self = json_helpers::proto_enum::deserialize(json)?;
        Ok(())
    }

    /// As `google.protobuf.NullValue` does.
    fn takes_null() -> bool {
        E::from_proto_name("NULL_VALUE").is_some()
    }
}

macro_rules! wrappers {
    ($($kind:ty),*) => {
        $(impl Read for $kind {
            fn read<'de, D: Deserializer<'de>>(&mut self, json: D) -> Result<(), D::Error> {
                self.value.read(json)
            }
        })*
    };
}

wrappers!(BoolValue, BytesValue, DoubleValue, FloatValue, Int32Value, Int64Value);
wrappers!(StringValue, UInt32Value, UInt64Value);

impl Fields for Empty {
    fn field<'de, A: MapAccess<'de>>(
        &mut self,
        _: &str,
        object: &mut Object<A>,
    ) -> Result<(), A::Error> {
        object.unknown()
    }

    fn part(&mut self, _: &str) -> Result<&mut dyn Slot, &'static str> {
        Err(slot::UNKNOWN)
    }
}

impl Read for Struct {
    fn read<'de, D: Deserializer<'de>>(&mut self, json: D) -> Result<(), D::Error> {
        self.fields.read(json)
    }
}

impl Read for ListValue {
    fn read<'de, D: Deserializer<'de>>(&mut self, json: D) -> Result<(), D::Error> {
        self.values.read(json)
    }
}

impl Read for Value {
    fn read<'de, D: Deserializer<'de>>(&mut self, json: D) -> Result<(), D::Error> {
        *self = json.deserialize_any(Any)?;
        Ok(())
    }

    fn takes_null() -> bool {
        true
    }
}

/// Any JSON.
struct Any;

impl<'de> Visitor<'de> for Any {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::null())
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Value, E> {
        slot::storable(text).map_err(E::custom)?;
        Ok(text.into())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, items: A) -> Result<Value, A::Error> {
        let mut list = ListValue::default();
        List(&mut list.values).visit_seq(items)?;
        Ok(list.into())
    }

    fn visit_map<A: MapAccess<'de>>(self, entries: A) -> Result<Value, A::Error> {
        let mut object = Struct::default();
        Entries(&mut object.fields).visit_map(entries)?;
        Ok(object.into())
    }
}
