//! A product's picture, as the product knows it: by the hash of what is stored elsewhere. Whether anything is
//! stored under it is not asked.

#![warn(clippy::arithmetic_side_effects, reason = "as everywhere in the domain")]

/// What a picture is stored under: the SHA-256 of its bytes; empty where there is none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Picture(String);

impl Picture {
    pub(crate) fn parse(hash: &str) -> Result<Self, base::Error> {
        let digit = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
        if !hash.is_empty() && (hash.len() != 64 || !hash.bytes().all(digit)) {
            let rule = "must be empty or 64 lower-case hexadecimal digits";
            return Err(base::Error::violation("picture", rule));
        }
        Ok(Self(hash.to_owned()))
    }

    pub(crate) fn into_string(self) -> String {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_picture_is_a_hash_in_lower_case_or_none() {
        let hash = "0123456789abcdef".repeat(4);
        for right in ["", &hash] {
            assert_eq!(Picture::parse(right).expect(right).into_string(), right);
        }
        for wrong in ["x", &hash[1..], &hash.to_uppercase(), &format!("{hash}0"), &"한".repeat(64)]
        {
            assert!(Picture::parse(wrong).is_err(), "{wrong}");
        }
    }
}
