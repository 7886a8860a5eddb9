//! Fields that are filled from text: from a path, from a query, from a map's key.
//! Knows no JSON; where text and JSON write a value alike, it is read as JSON is.

use buffa::{EnumValue, Enumeration, MessageField, ProtoBox, json_helpers};
use buffa_types::google::protobuf::{
    BoolValue, BytesValue, DoubleValue, Duration, FieldMask, FloatValue, Int32Value, Int64Value,
    StringValue, Timestamp, UInt32Value, UInt64Value,
};
use serde::{
    Deserialize as _,
    de::{
        IntoDeserializer as _,
        value::{Error, StrDeserializer},
    },
};

use crate::read::Fields;

/// There is no such field.
pub const UNKNOWN: &str = "unknown query parameter";
/// A oneof holds one member.
pub const TAKEN: &str = "must not be given together with another of its oneof";

/// A field that can be filled from text.
pub trait Slot: 'static {
    /// Takes the value, or says what would be right.
    fn fill(&mut self, text: &str) -> Result<(), &'static str>;

    /// True for a list: each value is added.
    fn takes_many(&self) -> bool {
        false
    }

    /// The field of this name within, or why there is none.
    fn part(&mut self, _name: &str) -> Result<&mut dyn Slot, &'static str> {
        Err(UNKNOWN)
    }
}

/// Refuses what Postgres cannot hold.
pub(crate) fn storable(text: &str) -> Result<(), &'static str> {
    if text.contains('\0') { Err("must not contain U+0000") } else { Ok(()) }
}

impl Slot for String {
    fn fill(&mut self, text: &str) -> Result<(), &'static str> {
        storable(text)?;
        text.clone_into(self);
        Ok(())
    }
}

macro_rules! parsed {
    ($($kind:ty: $expected:literal),*) => {
        $(impl Slot for $kind {
            fn fill(&mut self, text: &str) -> Result<(), &'static str> {
                *self = text.parse().map_err(|_| $expected)?;
                Ok(())
            }
        })*
    };
}

parsed! {
    bool: "must be true or false",
    i32: "must be a 32-bit integer",
    u32: "must be a 32-bit integer, 0 or more",
    i64: "must be a 64-bit integer",
    u64: "must be a 64-bit integer, 0 or more"
}

macro_rules! as_in_json {
    ($($kind:ty: $read:path, $expected:literal),*) => {
        $(impl Slot for $kind {
            fn fill(&mut self, text: &str) -> Result<(), &'static str> {
                let text: StrDeserializer<'_, Error> = text.into_deserializer();
                *self = $read(text).map_err(|_| $expected)?;
                Ok(())
            }
        })*
    };
}

as_in_json! {
    f32: json_helpers::float::deserialize, "must be a number",
    f64: json_helpers::double::deserialize, "must be a number",
    Vec<u8>: json_helpers::bytes::deserialize, "must be base64",
    Timestamp: Timestamp::deserialize, "must be a time such as 2026-01-02T03:04:05Z",
    Duration: Duration::deserialize, "must be a duration such as 1.5s",
    FieldMask: FieldMask::deserialize, "must be fields such as title,author.displayName"
}

macro_rules! wrappers {
    ($($kind:ty),*) => {
        $(impl Slot for $kind {
            fn fill(&mut self, text: &str) -> Result<(), &'static str> {
                self.value.fill(text)
            }
        })*
    };
}

wrappers!(BoolValue, BytesValue, DoubleValue, FloatValue, Int32Value, Int64Value);
wrappers!(StringValue, UInt32Value, UInt64Value);

impl<E: Enumeration + 'static> Slot for EnumValue<E> {
    fn fill(&mut self, text: &str) -> Result<(), &'static str> {
        *self = match (E::from_proto_name(text), text.parse::<i32>()) {
            (Some(value), _) => Self::Known(value),
            (None, Ok(number)) => Self::from(number),
            (None, Err(_)) => return Err("unknown value"),
        };
        Ok(())
    }
}

impl<M: Fields> Slot for M {
    fn fill(&mut self, _: &str) -> Result<(), &'static str> {
        Err("is a message: name one of its fields")
    }

    fn part(&mut self, name: &str) -> Result<&mut dyn Slot, &'static str> {
        Fields::part(self, name)
    }
}

impl<S: Slot + Default, P: ProtoBox<S> + 'static> Slot for MessageField<S, P> {
    fn fill(&mut self, text: &str) -> Result<(), &'static str> {
        self.get_or_insert_default().fill(text)
    }

    fn part(&mut self, name: &str) -> Result<&mut dyn Slot, &'static str> {
        self.get_or_insert_default().part(name)
    }
}

impl<S: Slot + Default> Slot for Option<S> {
    fn fill(&mut self, text: &str) -> Result<(), &'static str> {
        self.insert(S::default()).fill(text)
    }
}

impl<S: Slot + Default> Slot for Vec<S> {
    fn fill(&mut self, text: &str) -> Result<(), &'static str> {
        let mut value = S::default();
        value.fill(text)?;
        self.push(value);
        Ok(())
    }

    fn takes_many(&self) -> bool {
        true
    }
}
