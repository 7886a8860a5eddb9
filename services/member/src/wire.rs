//! How a member, and an address of theirs, look elsewhere: on the wire, and in events.

use contracts::member::v1::{
    self as pb, MemberErased, MemberRegistered, MemberWithdrawn, RoleGranted, RoleRevoked,
    member_event::Event,
};
use identity::auth::Role;

use crate::{
    domain::{MemberId, Membership, Outcome, State},
    store::{Member, address},
};

/// A role on the wire.
fn role(role: Role) -> pb::Role {
    match role {
        Role::Member => pb::Role::Member,
        Role::Seller => pb::Role::Seller,
        Role::Admin => pb::Role::Admin,
    }
}

/// A member on the wire.
pub(crate) fn member(member: &Member) -> pb::Member {
    let Membership { state, flags } = member.membership;
    let state = match state {
        State::Active => pb::member::State::Active,
        State::Withdrawing { .. } => pb::member::State::Withdrawing,
        State::Withdrawn => pb::member::State::Withdrawn,
    };
    pb::Member {
        id: member.id.to_string(),
        email: member.email.clone(),
        display_name: member.display_name.clone(),
        state: state.into(),
        coupon_issued: flags.coupon_issued,
        admin_notified: flags.admin_notified,
        coupon_cancelled: flags.coupon_cancelled,
        create_time: Some(member.create_time.into()),
        roles: member.roles.iter().map(|held| role(*held).into()).collect(),
    }
}

/// An address on the wire.
pub(crate) fn address(stored: &address::Stored) -> pb::Address {
    let address = stored.address.clone();
    pb::Address {
        id: stored.id.to_string(),
        recipient: address.recipient,
        phone: address.phone,
        postcode: address.postcode,
        line1: address.line1,
        line2: address.line2,
        memo: address.memo,
        create_time: Some(stored.create_time.into()),
    }
}

/// The event of what happened to a member.
pub(crate) fn event(member: &Member, outcome: Outcome) -> Event {
    let member_id = member.id.to_string();
    let by = |actor: Option<MemberId>| actor.map(|id| id.to_string()).unwrap_or_default();
    match outcome {
        Outcome::Registered => Event::MemberRegistered(MemberRegistered { member_id }),
        Outcome::Withdrawn => Event::MemberWithdrawn(MemberWithdrawn { member_id }),
        Outcome::Erased => Event::MemberErased(MemberErased { member_id }),
        Outcome::Granted(granted, actor) => Event::RoleGranted(RoleGranted {
            member_id,
            role: role(granted).into(),
            actor_id: by(actor),
        }),
        Outcome::Revoked(revoked, actor) => Event::RoleRevoked(RoleRevoked {
            member_id,
            role: role(revoked).into(),
            actor_id: by(actor),
        }),
    }
}
