//! A command with an idempotency key happens once.
//!
//! The command's first transaction reserves its key, together with the id of
//! what it will make; its last one stores the response. A second caller waits
//! on the key's row while the first transaction is open, then gets the stored
//! response, or, when the first never finished, goes on under the same id.

use std::time::Duration;

use prost::Message;
use tokio_util::sync::CancellationToken;
use tonic::Response;
use uuid::Uuid;

use crate::{Database, Error, Tx, database::Reader, error::Kind, incoming::Command};

/// What there is under a key.
#[derive(Debug)]
pub enum Reserved<R> {
    /// Nothing yet, or an attempt that never finished: go on, and make the resource under this id.
    Proceed(Uuid),
    /// The response of the first time.
    Replay(R),
}

/// Reserves the command's key for the resource `id`. Without a key it always answers `Proceed(id)`.
pub async fn reserve<R: Message + Default>(
    tx: &mut Tx,
    command: &Command,
    id: Uuid,
) -> Result<Reserved<R>, Error> {
    let Some(key) = &command.key else { return Ok(Reserved::Proceed(id)) };
    let inserted = tx
        .execute(
            "insert into idempotency (caller, method, key, request_hash, resource_id)
             values ($1, $2, $3, $4, $5) on conflict do nothing",
            &[&command.caller, &&*command.method, key, &command.request_hash, &id],
        )
        .await?;
    if inserted == 1 {
        return Ok(Reserved::Proceed(id));
    }
    let row = tx
        .query_one(
            "select request_hash, resource_id, response from idempotency
             where caller = $1 and method = $2 and key = $3 for update",
            &[&command.caller, &&*command.method, key],
        )
        .await?;
    if row.get::<_, Vec<u8>>(0) != command.request_hash {
        return Err(Error::new(
            Kind::Invalid,
            "IDEMPOTENCY_KEY_REUSED",
            "this idempotency key came with another request before",
        ));
    }
    match row.get::<_, Option<Vec<u8>>>(2) {
        None => Ok(Reserved::Proceed(row.get(1))),
        Some(bytes) => R::decode(bytes.as_slice())
            .map(Reserved::Replay)
            .map_err(|error| Error::internal(format!("stored response: {error}"))),
    }
}

/// The response that the same command got before. For those who would refuse it by now, because of
/// what has changed since: the first answer counts.
pub async fn recall<R: Message + Default>(
    reader: &mut Reader,
    command: &Command,
) -> Result<Option<R>, Error> {
    let rows = reader
        .query(
            "select response from idempotency
             where caller = $1 and method = $2 and key = $3 and request_hash = $4
               and response is not null",
            &[&command.caller, &&*command.method, &command.key, &command.request_hash],
        )
        .await?;
    let response = rows.first().map(|row| R::decode(row.get::<_, Vec<u8>>(0).as_slice()));
    response.transpose().map_err(|error| Error::internal(format!("stored response: {error}")))
}

/// Stores the command's response under its key, if it has one.
pub async fn store(tx: &mut Tx, command: &Command, response: &impl Message) -> Result<(), Error> {
    if let Some(key) = &command.key {
        tx.execute(
            "update idempotency set response = $4 where caller = $1 and method = $2 and key = $3",
            &[&command.caller, &&*command.method, key, &response.encode_to_vec()],
        )
        .await?;
    }
    Ok(())
}

/// Gives the command's key back: the same command may come again, and is then another one.
pub async fn release(tx: &mut Tx, command: &Command) -> Result<(), Error> {
    if let Some(key) = &command.key {
        tx.execute(
            "delete from idempotency where caller = $1 and method = $2 and key = $3",
            &[&command.caller, &&*command.method, key],
        )
        .await?;
    }
    Ok(())
}

/// Gives back the key that was reserved for a resource that is never going to be made, where the
/// command itself is not at hand any more.
pub async fn release_resource(tx: &mut Tx, id: Uuid) -> Result<(), Error> {
    let sql = "delete from idempotency where resource_id = $1 and response is null";
    tx.execute(sql, &[&id]).await?;
    Ok(())
}

/// Marks a response as one that was given before.
pub fn replayed<R>(mut response: Response<R>) -> Response<R> {
    let yes = tonic::metadata::MetadataValue::from_static("true");
    response.metadata_mut().insert("idempotency-replayed", yes);
    response
}

/// Forgets keys after a day, until told to stop.
pub async fn forget_old_keys(database: Database, stop: CancellationToken) {
    let mut hourly = tokio::time::interval(Duration::from_hours(1));
    while stop.run_until_cancelled(hourly.tick()).await.is_some() {
        let forgotten = async {
            let sql = "delete from idempotency where create_time < now() - interval '1 day'";
            Ok::<_, Error>(database.read().await?.execute(sql, &[]).await?)
        };
        if let Err(error) = forgotten.await {
            tracing::warn!(%error, "old idempotency keys stay for now");
        }
    }
}
