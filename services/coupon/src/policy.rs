//! When a member signs up, they get a coupon.

use base::Error;
use contracts::member::v1::{MemberEvent, member_event::Event};
use eventlog::{Arrived, Policy};
use pg::Tx;

use crate::{
    domain::{Fact, MemberId},
    store::{self, Learned},
};

pub(crate) struct Members;

impl Policy<MemberEvent> for Members {
    const TYPES: &'static [&'static str] = &[MemberEvent::MEMBER_REGISTERED];
    async fn apply(&self, tx: &mut Tx, batch: &[Arrived<MemberEvent>]) -> Result<(), Error> {
        let facts: Vec<Learned> = batch
            .iter()
            .filter_map(|arrived| learned(arrived).transpose())
            .collect::<Result<_, _>>()?;
        store::learn(tx, &facts).await.map(|_| ())
    }
}

fn learned(arrived: &Arrived<MemberEvent>) -> Result<Option<Learned>, Error> {
    let Some(Event::MemberRegistered(it)) = &arrived.message.event else { return Ok(None) };
    Ok(Some(Learned {
        member: MemberId::parse("member_id", &it.member_id)?,
        fact: Fact::Registered,
        cause: Some(arrived.cause()),
    }))
}
