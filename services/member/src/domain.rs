//! What makes a member: no clock, no network, no SQL.

use kit::{Error, Refuse, auth::Role, error::Kind};

kit::id!(
    /// Identifies a member.
    MemberId
);

/// An email address in lower case. Whether it exists only a message to it would tell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Email(String);

impl Email {
    pub(crate) fn parse(text: &str) -> Result<Self, Error> {
        let text = text.trim().to_lowercase();
        let plausible = text.len() <= 254
            && !text.contains(char::is_whitespace)
            && matches!(text.split_once('@'), Some((local, domain))
                if !local.is_empty() && !domain.is_empty() && !domain.contains('@'));
        if plausible {
            Ok(Self(text))
        } else {
            Err(Error::violation("email", "must be an email address of at most 254 characters"))
        }
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

/// What a member is called.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct DisplayName(String);

impl DisplayName {
    pub(crate) fn parse(text: &str) -> Result<Self, Error> {
        let text = text.trim();
        if (1..=100).contains(&text.chars().count()) {
            Ok(Self(text.to_owned()))
        } else {
            Err(Error::violation("displayName", "must have 1 to 100 characters"))
        }
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

/// How far a membership has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    Active,
    Withdrawing,
    Withdrawn,
}

/// The roles with one more; each once.
pub(crate) fn grant(mut roles: Vec<Role>, role: Role) -> Vec<Role> {
    if !roles.contains(&role) {
        roles.push(role);
    }
    roles
}

/// What member says no with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Refusal {
    #[error("this address is taken")]
    EmailTaken,
    #[error("the address or the password is wrong")]
    WrongCredentials,
}

impl Refuse for Refusal {
    fn kind(&self) -> Kind {
        match self {
            Self::EmailTaken => Kind::AlreadyExists,
            Self::WrongCredentials => Kind::Unauthenticated,
        }
    }

    fn reason(&self) -> &'static str {
        match self {
            Self::EmailTaken => "EMAIL_TAKEN",
            Self::WrongCredentials => "WRONG_CREDENTIALS",
        }
    }

    fn field(&self) -> Option<String> {
        match self {
            Self::EmailTaken => Some("email".into()),
            Self::WrongCredentials => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_that_differ_in_case_are_one() {
        let email = |text| Email::parse(text).map_err(|error| error.to_string());
        assert_eq!(email("Kim@Example.com"), email("kim@example.com "));
        for wrong in ["", "kim", "@example.com", "kim@", "a b@example.com", "a@b@c"] {
            assert!(email(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_role_is_granted_once() {
        let roles = grant(vec![Role::Member], Role::Seller);
        assert_eq!(grant(roles.clone(), Role::Seller), roles);
    }
}
