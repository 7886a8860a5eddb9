//! What makes a member, and how a membership ends: no clock, no network, no SQL.
//!
//! What is done for a member elsewhere comes as facts, in any order, more than
//! once, and also after the withdrawal.

#![warn(clippy::arithmetic_side_effects, reason = "a count that wraps forgets who is still asking")]

pub(crate) mod address;

use base::{Error, Refuse, error::Kind, input::Text};
use identity::auth::Role;

base::id!(
    /// Identifies a member.
    MemberId
);

/// What happened to a member, to be told to others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    Registered,
    Withdrawn,
    /// What is personal of them is gone.
    Erased,
    /// They have a role; the admin who gave it, if it was one.
    Granted(Role, Option<MemberId>),
    /// They have lost it.
    Revoked(Role, Option<MemberId>),
}

/// How long an address may be (RFC 5321, 4.5.3.1.3).
const EMAIL: Text = Text::new(3, 254).bytes(254);
/// What a member may be called.
const DISPLAY_NAME: Text = Text::new(1, 100);
/// What members are searched for.
pub(crate) const QUERY: Text = Text::new(0, 100);

/// An email address in lower case. Whether it exists only a message to it would tell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Email(String);

impl Email {
    pub(crate) fn parse(text: &str) -> Result<Self, Error> {
        // In lower case some letters are longer.
        let text = EMAIL.parse("email", text)?.to_lowercase();
        let text = EMAIL.parse("email", &text)?;
        let plausible = !text.contains(char::is_whitespace)
            && matches!(text.split_once('@'), Some((local, domain))
                if !local.is_empty() && !domain.is_empty() && !domain.contains('@'));
        if plausible {
            Ok(Self(text.to_owned()))
        } else {
            Err(Error::violation("email", "must be an email address, such as kim@example.com"))
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
        DISPLAY_NAME.parse("displayName", text).map(|name| Self(name.to_owned()))
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

/// How far a membership has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    Active,
    /// The member wants to leave; the coupon comes first.
    Withdrawing {
        /// Calls to coupon that may be under way; above 0.
        attempts: i32,
    },
    Withdrawn,
}

/// Something that was done for a member elsewhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fact {
    CouponIssued,
    CouponCancelled,
    AdminNotified,
}

/// The facts that are known of a member.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Flags {
    pub(crate) coupon_issued: bool,
    pub(crate) coupon_cancelled: bool,
    pub(crate) admin_notified: bool,
}

/// A membership: how far it has come, and what is known of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Membership {
    pub(crate) state: State,
    pub(crate) flags: Flags,
}

impl Membership {
    /// Takes in a fact; facts are kept in every state.
    pub(crate) fn learn(&mut self, fact: Fact) {
        match fact {
            Fact::CouponIssued => self.flags.coupon_issued = true,
            Fact::CouponCancelled => self.flags.coupon_cancelled = true,
            Fact::AdminNotified => self.flags.admin_notified = true,
        }
    }

    /// The member wants to leave. Answers this attempt's number, or `None` when they have left.
    pub(crate) fn begin_withdrawal(&mut self) -> Option<i32> {
        let number = match self.state {
            State::Active => 1,
            State::Withdrawing { attempts } => attempts.saturating_add(1),
            State::Withdrawn => return None,
        };
        self.state = State::Withdrawing { attempts: number };
        Some(number)
    }

    /// Takes up a withdrawal that is under way. Answers this attempt's number, or `None` when none
    /// is.
    pub(crate) fn join_withdrawal(&mut self) -> Option<i32> {
        match self.state {
            State::Withdrawing { .. } => self.begin_withdrawal(),
            State::Active | State::Withdrawn => None,
        }
    }

    /// Coupon has cancelled what there was: the member has left.
    pub(crate) fn withdrawn(&mut self) {
        self.state = State::Withdrawn;
    }

    /// Coupon refused: the member stays, unless another attempt has had its answer.
    pub(crate) fn withdrawal_refused(&mut self) {
        match self.state {
            State::Active | State::Withdrawing { .. } => self.state = State::Active,
            State::Withdrawn => {}
        }
    }

    /// The call to coupon never ran. The member is as they were, unless another attempt joined:
    /// then its outcome counts. True when they are as they were.
    pub(crate) fn withdrawal_never_ran(&mut self, attempt: i32) -> bool {
        let alone = attempt == 1 && self.state == State::Withdrawing { attempts: 1 };
        if alone {
            self.state = State::Active;
        }
        alone
    }
}

/// The roles with one more; each once.
pub(crate) fn grant(mut roles: Vec<Role>, role: Role) -> Vec<Role> {
    if !roles.contains(&role) {
        roles.push(role);
    }
    roles
}

/// The roles without one. MEMBER stays.
pub(crate) fn revoke(mut roles: Vec<Role>, role: Role) -> Vec<Role> {
    roles.retain(|held| *held != role || role == Role::Member);
    roles
}

/// What member says no with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Refusal {
    #[error("this address is taken")]
    EmailTaken,
    #[error("the address or the password is wrong")]
    WrongCredentials,
    #[error("the member has withdrawn")]
    Withdrawn,
    #[error("a role has been taken back since you signed in: sign in again")]
    RoleRevoked,
}

impl Refuse for Refusal {
    fn kind(&self) -> Kind {
        match self {
            Self::EmailTaken => Kind::AlreadyExists,
            Self::WrongCredentials | Self::Withdrawn | Self::RoleRevoked => Kind::Unauthenticated,
        }
    }

    fn reason(&self) -> &'static str {
        match self {
            Self::EmailTaken => "EMAIL_TAKEN",
            Self::WrongCredentials => "WRONG_CREDENTIALS",
            Self::Withdrawn => "MEMBER_WITHDRAWN",
            // As other services have it.
            Self::RoleRevoked => "TOKEN_REVOKED",
        }
    }

    fn field(&self) -> Option<String> {
        match self {
            Self::EmailTaken => Some("email".into()),
            Self::WrongCredentials | Self::Withdrawn | Self::RoleRevoked => None,
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
        assert_eq!(revoke(roles.clone(), Role::Admin), roles);
        assert_eq!(revoke(roles, Role::Seller), [Role::Member]);
    }

    fn member() -> Membership {
        Membership { state: State::Active, flags: Flags::default() }
    }

    #[test]
    fn facts_are_kept_whenever_and_however_often_they_come() {
        let facts = [Fact::CouponIssued, Fact::CouponCancelled, Fact::AdminNotified];
        for late in 0..=3 {
            let mut member = member();
            let (early, late) = facts.split_at(late);
            for fact in early {
                member.learn(*fact);
            }
            member.begin_withdrawal().expect("active");
            member.withdrawn();
            for fact in late.iter().chain(early) {
                member.learn(*fact);
            }
            let all = Flags { coupon_issued: true, coupon_cancelled: true, admin_notified: true };
            assert_eq!(member, Membership { state: State::Withdrawn, flags: all });
        }
    }

    #[test]
    fn a_call_that_never_ran_leaves_the_member_as_they_were_unless_another_joined() {
        let mut alone = member();
        assert_eq!(alone.begin_withdrawal(), Some(1));
        assert!(alone.withdrawal_never_ran(1));
        assert_eq!(alone, member());

        let mut joined = member();
        joined.begin_withdrawal().expect("active");
        assert_eq!(joined.join_withdrawal(), Some(2));
        assert!(!joined.withdrawal_never_ran(1));
        assert!(!joined.withdrawal_never_ran(2));
        assert_eq!(joined.state, State::Withdrawing { attempts: 2 });
    }

    #[test]
    fn a_member_who_has_left_stays_away() {
        let mut left = member();
        left.begin_withdrawal().expect("active");
        left.begin_withdrawal().expect("joins");
        left.withdrawn();
        left.withdrawal_refused();
        assert!(!left.withdrawal_never_ran(1));
        assert_eq!((left.begin_withdrawal(), left.join_withdrawal()), (None, None));
        assert_eq!(left.state, State::Withdrawn);
    }

    #[test]
    fn only_a_withdrawal_under_way_is_joined() {
        assert_eq!(member().join_withdrawal(), None);
        let mut refused = member();
        refused.begin_withdrawal().expect("active");
        refused.withdrawal_refused();
        assert_eq!((refused, refused.join_withdrawal()), (member(), None));
    }
}
