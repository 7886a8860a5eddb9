//! Ids: UUIDs of version 7 (RFC 9562) in newtypes, so that one kind is never taken for another.

pub use uuid::Uuid;

use crate::Error;

/// A new id. Ids sort by the time they were made.
pub fn new() -> Uuid {
    Uuid::now_v7()
}

/// Reads an id from a request; `field` is its path, for the error.
pub fn parse(field: &str, text: &str) -> Result<Uuid, Error> {
    // The hyphenated form alone: one id has one spelling.
    match Uuid::try_parse(text) {
        Ok(id) if text.len() == 36 => Ok(id),
        _ if text.is_empty() => Err(Error::violation(field, "is required")),
        _ => Err(Error::violation(field, "must be a UUID")),
    }
}

/// Reads an id that may be left out.
pub fn optional(field: &str, text: &str) -> Result<Option<Uuid>, Error> {
    (!text.is_empty()).then(|| parse(field, text)).transpose()
}

/// Declares an id type over [`Uuid`] that parses from requests and goes into SQL.
#[macro_export]
macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub $crate::id::Uuid);

        impl $name {
            /// Reads an id from a request; `field` is its path, for the error.
            pub fn parse(field: &str, text: &str) -> ::core::result::Result<Self, $crate::Error> {
                $crate::id::parse(field, text).map(Self)
            }

            /// Reads an id that may be left out.
            #[allow(dead_code, reason = "not every id may be left out")]
            pub fn optional(
                field: &str,
                text: &str,
            ) -> ::core::result::Result<Option<Self>, $crate::Error> {
                Ok($crate::id::optional(field, text)?.map(Self))
            }
        }

        impl ::core::fmt::Display for $name {
            fn fmt(&self, f: &mut ::core::fmt::Formatter<'_>) -> ::core::fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_has_one_spelling() {
        let id = new();
        assert_eq!(parse("id", &id.to_string()).expect("parses"), id);
        assert!(parse("id", &id.simple().to_string()).is_err());
        assert!(parse("id", "").is_err());
        assert_eq!(optional("id", "").expect("may be left out"), None);
        assert!(optional("id", "1").is_err());
    }
}
