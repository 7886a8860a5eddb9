//! When a member signs up, they get a coupon.

use base::Error;
use contracts::member::v1::{MemberEvent, member_event::Event};
use eventlog::{
    Arrived, Policy,
    facts::{self, Learned},
};
use pg::Tx;

use crate::{
    domain::{Fact, MemberId},
    store::Coupon,
};

pub(crate) struct Members;

impl Policy<MemberEvent> for Members {
    const TYPES: &'static [&'static str] = &[MemberEvent::MEMBER_REGISTERED];
    async fn apply(&self, tx: &mut Tx, batch: &[Arrived<MemberEvent>]) -> Result<(), Error> {
        facts::learn(tx, &facts::of(batch, learned)?).await.map(drop)
    }
}

fn learned(arrived: &Arrived<MemberEvent>) -> Result<Option<Learned<Coupon>>, Error> {
    let Some(Event::MemberRegistered(it)) = &arrived.message.event else { return Ok(None) };
    Ok(Some(Learned {
        key: MemberId::parse("member_id", &it.member_id)?,
        fact: Fact::Registered,
        cause: Some(arrived.cause()),
    }))
}
