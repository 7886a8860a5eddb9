//! Replays parked events once an operator has asked for it: all events of a
//! correlation together, in their order and in one transaction. What fails again
//! stays parked.

use base::Error;
use bytes::Bytes;
use pg::Database;
use prost::Message;
use uuid::Uuid;

use super::{
    checkpoint::Owner,
    consumer::{self, Arrived, Policy, arrived, kind},
    parked,
    v1::frame::Kind,
};

/// Applies what is wanted. Only an outage is an error: what fails again is logged and stays.
pub(super) async fn replay<M, P>(database: &Database, owner: Owner, policy: &P) -> Result<(), Error>
where
    M: Message + Default + 'static,
    P: Policy<M>,
{
    let Owner { consumer, source } = owner;
    for correlation_id in parked::wanted(database, owner).await? {
        match apply(database, owner, policy, correlation_id).await {
            Ok(events) => {
                tracing::info!(consumer, source, %correlation_id, events, "parked events replayed");
            }
            Err(error) if error.is_outage() => return Err(error),
            Err(error) => {
                tracing::error!(
                    %error, consumer, source, %correlation_id,
                    "replay failed, the events stay parked"
                );
                parked::leave(database, owner, correlation_id, &error).await?;
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
    let messages = parked::take(&mut tx, owner, correlation_id).await?;
    let events: Vec<Arrived<M>> = messages.into_iter().map(read).collect::<Result<_, _>>()?;
    if !events.is_empty() {
        consumer::apply(policy, &mut tx, &events).await?;
    }
    tx.commit().await?;
    Ok(events.len())
}

/// An event as it came.
fn read<M: Message + Default>(message: Bytes) -> Result<Arrived<M>, Error> {
    let Some(Kind::Event(envelope)) = kind(&message)? else {
        return Err(Error::internal("a parked message is no event"));
    };
    let decoded = M::decode(message).map_err(|error| Error::internal(error.to_string()))?;
    arrived(&envelope.span.clone().unwrap_or_default(), envelope, decoded)
}
