//! How a member, and an address of theirs, look on the wire.

use contracts::member::v1 as pb;
use identity::auth::Role;

use crate::{
    domain::{Membership, State},
    store::{Member, address},
};

/// A role on the wire.
pub(crate) fn role(role: Role) -> pb::Role {
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
