//! The rules of addresses: what one is made of, and how many a member has.

#![warn(clippy::arithmetic_side_effects, reason = "the same in every domain")]

use base::{Error, Refuse, error::Kind, input::Text};

base::id!(
    /// Identifies an address.
    AddressId
);

/// How many addresses a member may have.
pub(crate) const MOST: i64 = 20;

const RECIPIENT: Text = Text::new(1, 100);
const LINE1: Text = Text::new(1, 200);
const LINE2: Text = Text::new(0, 200);
const MEMO: Text = Text::new(0, 200);
/// How long a phone number may be, without the plus sign.
const PHONE: std::ops::RangeInclusive<usize> = 7..=20;

/// Where a member has goods sent. Never said in events or logs.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Address {
    pub(crate) recipient: String,
    pub(crate) phone: String,
    pub(crate) postcode: String,
    pub(crate) line1: String,
    pub(crate) line2: String,
    pub(crate) memo: String,
}

impl Address {
    /// An address within its limits, trimmed.
    pub(crate) fn parse(address: &Self) -> Result<Self, Error> {
        Ok(Self {
            recipient: RECIPIENT.parse("recipient", &address.recipient)?.to_owned(),
            phone: phone(&address.phone)?.to_owned(),
            postcode: postcode(&address.postcode)?.to_owned(),
            line1: LINE1.parse("line1", &address.line1)?.to_owned(),
            line2: LINE2.parse("line2", &address.line2)?.to_owned(),
            memo: MEMO.parse("memo", &address.memo)?.to_owned(),
        })
    }
}

fn phone(text: &str) -> Result<&str, Error> {
    let number = text.strip_prefix('+').unwrap_or(text);
    let right = PHONE.contains(&number.len())
        && number.bytes().all(|byte| byte.is_ascii_digit() || byte == b'-')
        && number.bytes().any(|byte| byte.is_ascii_digit());
    let rule = "must be 7 to 20 digits and hyphens, such as 010-1234-5678";
    if right { Ok(text) } else { Err(Error::violation("phone", rule)) }
}

fn postcode(text: &str) -> Result<&str, Error> {
    let right = text.len() == 5 && text.bytes().all(|byte| byte.is_ascii_digit());
    let rule = "must be 5 digits, such as 04524";
    if right { Ok(text) } else { Err(Error::violation("postcode", rule)) }
}

/// What member says no to an address with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Refusal {
    #[error("there are 20 addresses: delete one first")]
    Full,
}

impl Refuse for Refusal {
    fn kind(&self) -> Kind {
        match self {
            Self::Full => Kind::Conflict,
        }
    }

    fn reason(&self) -> &'static str {
        match self {
            Self::Full => "ADDRESSES_FULL",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn home() -> Address {
        Address {
            recipient: " 김 ".into(),
            phone: "010-1234-5678".into(),
            postcode: "04524".into(),
            line1: "서울 중구 세종대로 110".into(),
            line2: String::new(),
            memo: String::new(),
        }
    }

    #[test]
    fn an_address_is_trimmed() {
        let parsed = Address::parse(&home()).map_err(|error| error.to_string());
        assert!(parsed.is_ok_and(|address| address.recipient == "김"));
    }

    #[test]
    fn each_part_has_its_limits() {
        let long = "가".repeat(201);
        let wrong = |change: &dyn Fn(&mut Address)| {
            let mut address = home();
            change(&mut address);
            Address::parse(&address).map(drop).expect_err("refused").to_string()
        };
        let starts = |refused: String, field: &str| {
            assert!(refused.starts_with(&format!("INVALID_FIELD: {field}: ")), "{refused}");
        };
        starts(wrong(&|it| it.recipient = " ".into()), "recipient");
        for phone in ["", "123456", "010 1234 5678", "-------", "1+2345678", &"1".repeat(21)] {
            starts(wrong(&|it| it.phone = phone.into()), "phone");
        }
        for postcode in ["", "4524", "045241", "0452a"] {
            starts(wrong(&|it| it.postcode = postcode.into()), "postcode");
        }
        starts(wrong(&|it| it.line1 = String::new()), "line1");
        starts(wrong(&|it| it.line2.clone_from(&long)), "line2");
        starts(wrong(&|it| it.memo.clone_from(&long)), "memo");
    }
}
