//! Takes up what was set aside, once an operator has asked for it: all events of a
//! correlation together, in their order and in one transaction. What fails again
//! stays set aside.

use bytes::Bytes;
use prost::Message;
use uuid::Uuid;

use super::{
    checkpoint::{self, Owner},
    consumer::{Arrived, Policy, arrived, kind},
    gauge,
    v1::frame::Kind,
};
use crate::{Database, Error};

/// Applies what is wanted. Only an outage is an error: what fails again is logged and left.
pub(super) async fn replay<M, P>(database: &Database, owner: Owner, policy: &P) -> Result<(), Error>
where
    M: Message + Default + 'static,
    P: Policy<M>,
{
    let Owner { consumer, source } = owner;
    for correlation_id in checkpoint::wanted(database, owner).await? {
        match apply(database, owner, policy, correlation_id).await {
            Ok(events) => {
                tracing::info!(consumer, source, %correlation_id, events, "applied again");
                gauge::fewer_parked(owner, events);
            }
            Err(error) if error.is_outage() => return Err(error),
            Err(error) => {
                tracing::error!(%error, consumer, source, %correlation_id, "failed again");
                checkpoint::leave(database, owner, correlation_id, &error).await?;
            }
        }
    }
    Ok(())
}

async fn apply<M, P>(
    database: &Database,
    owner: Owner,
    policy: &P,
    correlation_id: Uuid,
) -> Result<usize, Error>
where
    M: Message + Default + 'static,
    P: Policy<M>,
{
    let mut tx = database.begin().await?;
    let messages = checkpoint::take(&mut tx, owner, correlation_id).await?;
    let events: Vec<Arrived<M>> = messages.into_iter().map(read).collect::<Result<_, _>>()?;
    if !events.is_empty() {
        policy.apply(&mut tx, &events).await?;
    }
    tx.commit().await?;
    Ok(events.len())
}

/// An event as it came.
fn read<M: Message + Default>(message: Bytes) -> Result<Arrived<M>, Error> {
    let Some(Kind::Event(envelope)) = kind(&message)? else {
        return Err(Error::internal("what was set aside is no event"));
    };
    let decoded = M::decode(message).map_err(|error| Error::internal(error.to_string()))?;
    arrived(envelope.span.unwrap_or_default(), envelope, decoded)
}
