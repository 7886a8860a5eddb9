//! Request bodies: canonical proto3 JSON into buffa's messages, strictly. A field
//! that does not exist, one given twice and an array in an object's place are
//! refused; buffa's own `Deserialize` takes the first (with a oneof) and the last.
//!
//! The reader of each message is emitted by `build.rs`. Where in the body
//! something is wrong is found out by `serde_path_to_error` around it, so errors
//! are raised while the value at fault is read.

use std::{borrow::Cow, fmt, marker::PhantomData};

use buffa::{EnumValue, Enumeration, MessageField, json_helpers};
use buffa_types::google::protobuf::Timestamp;
use serde::de::{
    DeserializeSeed, Deserializer, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor,
};

/// Something that can be read from JSON, in place.
pub(crate) trait Read {
    /// Takes the value.
    fn read<'de, D: Deserializer<'de>>(&mut self, json: D) -> Result<(), D::Error>;
}

/// A message: knows its fields by their JSON names and by their own.
pub(crate) trait Fields {
    /// Reads the value of the field that `key` names.
    fn field<'de, A: MapAccess<'de>>(
        &mut self,
        key: &str,
        object: &mut Object<A>,
    ) -> Result<(), A::Error>;
}

/// An object that is being read.
pub(crate) struct Object<A> {
    entries: A,
    seen: Vec<u32>,
}

impl<'de, A: MapAccess<'de>> Object<A> {
    /// Reads the value of the field with this number. `null` leaves it as it is.
    pub(crate) fn value<R: Read>(&mut self, number: u32, field: &mut R) -> Result<(), A::Error> {
        if self.seen.contains(&number) {
            return self.entries.next_value_seed(Refused("given more than once"));
        }
        self.seen.push(number);
        self.entries.next_value_seed(Nullable(field))
    }

    /// Refuses the value of a field that does not exist.
    pub(crate) fn unknown(&mut self) -> Result<(), A::Error> {
        self.entries.next_value_seed(Refused("unknown field"))
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

/// Reads a value, or nothing where there is a `null`.
struct Nullable<'m, R>(&'m mut R);

impl<'de, R: Read> DeserializeSeed<'de> for Nullable<'_, R> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<(), D::Error> {
        json.deserialize_option(self)
    }
}

impl<'de, R: Read> Visitor<'de> for Nullable<'_, R> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value or null")
    }

    fn visit_none<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_some<D: Deserializer<'de>>(self, json: D) -> Result<(), D::Error> {
        self.0.read(json)
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

impl<M: Fields + Default> Read for MessageField<M, buffa::Inline<M>> {
    fn read<'de, D: Deserializer<'de>>(&mut self, json: D) -> Result<(), D::Error> {
        self.get_or_insert_default().read(json)
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

struct Item<R>(PhantomData<R>);

impl<'de, R: Read + Default> DeserializeSeed<'de> for Item<R> {
    type Value = R;

    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<R, D::Error> {
        let mut item = R::default();
        item.read(json)?;
        Ok(item)
    }
}

impl<R: Read + Default> Read for Vec<R> {
    fn read<'de, D: Deserializer<'de>>(&mut self, json: D) -> Result<(), D::Error> {
        json.deserialize_seq(List(self))
    }
}

impl<R: Read + Default> Read for Option<R> {
    fn read<'de, D: Deserializer<'de>>(&mut self, json: D) -> Result<(), D::Error> {
        self.insert(R::default()).read(json)
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
    String: json_helpers::proto_string::deserialize,
    bool: json_helpers::proto_bool::deserialize,
    i32: json_helpers::int32::deserialize,
    i64: json_helpers::int64::deserialize,
    u32: json_helpers::uint32::deserialize,
    u64: json_helpers::uint64::deserialize,
    Timestamp: serde::Deserialize::deserialize
}

impl<E: Enumeration> Read for EnumValue<E> {
    fn read<'de, D: Deserializer<'de>>(&mut self, json: D) -> Result<(), D::Error> {
        *self = json_helpers::proto_enum::deserialize(json)?;
        Ok(())
    }
}
