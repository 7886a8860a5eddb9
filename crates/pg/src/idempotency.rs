//! A command with an idempotency key happens once.
//!
//! The command's first transaction reserves its key, together with the id of
//! what it will make; its last one stores the response. A second caller waits
//! on the key's row while the first transaction is open, then gets the stored
//! response, or, when the first never finished, goes on under the same id.

use std::{sync::Arc, time::Duration};

use base::{Error, error::Kind};
use prost::Message;
use tokio::time::sleep;
use tokio_postgres::Row;
use tokio_util::sync::CancellationToken;
use tonic::{Response, metadata::MetadataValue};
use uuid::Uuid;

use crate::{Database, Reader, Tx};

/// How often to look for expired keys.
const FORGET: Duration = Duration::from_mins(1);
/// Keys that one statement deletes.
const FORGOTTEN_AT_ONCE: i64 = 5_000;
/// What others have of the database between two of these statements.
const BREATH: Duration = Duration::from_millis(50);

/// A command that may come twice: the same caller, method and key mean the same command.
#[derive(Clone, Debug)]
pub struct Command {
    /// Who asks, by kind and id.
    pub caller: String,
    /// The method's path.
    pub method: Arc<str>,
    /// The idempotency key, if one came along.
    pub key: Option<String>,
    /// SHA-256 of the request.
    pub request_hash: Vec<u8>,
}

/// What there is under a key.
#[derive(Debug)]
pub(crate) enum Reserved<R> {
    /// Nothing yet, or an attempt that never finished: go on, and make the resource under this id.
    Proceed(Uuid),
    /// The response of the first time.
    Replay(R),
}

/// What a command answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reply<R> {
    message: R,
    /// So the same command answered before.
    replayed: bool,
}

impl<R> Reply<R> {
    /// The answer of a command that has just been carried out.
    pub(crate) fn fresh(message: R) -> Self {
        Self { message, replayed: false }
    }

    /// The answer that the same command got before.
    pub fn replayed(message: R) -> Self {
        Self { message, replayed: true }
    }

    /// Whether it was carried out just now.
    pub fn is_fresh(&self) -> bool {
        !self.replayed
    }

    /// What is answered.
    pub fn message(&self) -> &R {
        &self.message
    }

    /// The response of a command that has made a resource: `location` is its REST path.
    pub fn created(self, location: impl FnOnce(&R) -> String) -> Result<Response<R>, Error> {
        let location = location(&self.message).parse();
        let mut response = Response::from(self);
        let location = location.map_err(|_| Error::internal("location"))?;
        response.metadata_mut().insert("location", location);
        Ok(response)
    }
}

impl<R> From<Reply<R>> for Response<R> {
    fn from(reply: Reply<R>) -> Self {
        let mut response = Self::new(reply.message);
        if reply.replayed {
            let yes = MetadataValue::from_static("true");
            response.metadata_mut().insert("idempotency-replayed", yes);
        }
        response
    }
}

/// Carries out a command in one transaction, once for its key. `id` is what it is about, or is to
/// make.
pub async fn once<R: Message + Default>(
    database: &Database,
    command: &Command,
    id: Uuid,
    carry_out: impl AsyncFnOnce(&mut Tx) -> Result<R, Error>,
) -> Result<Reply<R>, Error> {
    let mut tx = database.begin().await?;
    if let Reserved::Replay(message) = reserve(&mut tx, command, id).await? {
        return Ok(Reply::replayed(message));
    }
    let message = carry_out(&mut tx).await?;
    store(&mut tx, command, &message).await?;
    tx.commit().await?;
    Ok(Reply::fresh(message))
}

/// Reserves the command's key for the resource `id`. Without a key it always answers `Proceed(id)`.
pub(crate) async fn reserve<R: Message + Default>(
    tx: &mut Tx,
    command: &Command,
    id: Uuid,
) -> Result<Reserved<R>, Error> {
    let Some(key) = &command.key else { return Ok(Reserved::Proceed(id)) };
    let row = loop {
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
        // Not locked: whoever goes on locks the resource, and then stores under the key. Here it would
        // be the other way round, and two attempts with one key would deadlock.
        let row = tx
            .query_opt(
                "select request_hash, resource_id, response, refusal from idempotency
                 where caller = $1 and method = $2 and key = $3",
                &[&command.caller, &&*command.method, key],
            )
            .await?;
        // None when it has been given back between the two statements.
        if let Some(row) = row {
            break row;
        }
    };
    if row.get::<_, Vec<u8>>(0) != command.request_hash {
        return Err(Error::new(
            Kind::Invalid,
            "IDEMPOTENCY_KEY_REUSED",
            "this idempotency key came with another request before",
        ));
    }
    let answer = answer(&row)?;
    Ok(answer.map_or_else(|| Reserved::Proceed(row.get("resource_id")), Reserved::Replay))
}

/// Refuses a command whose key is not reserved yet, for what was read outside of a transaction. It may
/// have been answered before, or be under way: then that counts. Otherwise an attempt that came first may
/// still be on its way, and have read something else; so the refusal is the key's answer from now on,
/// unless the same command may work later. Whoever is not let in learns nothing.
pub async fn refuse<R: Message + Default>(
    database: &Database,
    command: &Command,
    refusal: Error,
) -> Result<Reply<R>, Error> {
    if refusal.kind() == Kind::Unauthenticated {
        return Err(refusal);
    }
    let mut tx = database.begin().await?;
    let nothing = Uuid::nil();
    match reserve(&mut tx, command, nothing).await? {
        Reserved::Replay(answer) => return Ok(Reply::replayed(answer)),
        Reserved::Proceed(id) if id != nothing => {
            return Err(Error::unavailable(
                "OUTCOME_PENDING",
                "the same command is in progress; repeat it with its key",
            ));
        }
        Reserved::Proceed(_) => {}
    }
    if let (Some(key), Kind::Conflict) = (&command.key, refusal.kind()) {
        let sql = "update idempotency set response = '\\x00', refusal = $4
             where caller = $1 and method = $2 and key = $3";
        let bytes = refusal.to_bytes();
        tx.execute(sql, &[&command.caller, &&*command.method, key, &bytes]).await?;
        tx.commit().await?;
    }
    Err(refusal)
}

/// The response that the same command got before. For those who would refuse it by now, because of
/// what has changed since: the first answer counts.
pub(crate) async fn recall<R: Message + Default>(
    reader: &mut Reader,
    command: &Command,
) -> Result<Option<R>, Error> {
    let Some(key) = &command.key else { return Ok(None) };
    let Command { caller, method, request_hash, .. } = command;
    let row = reader.query_opt(RESPONSE, &[caller, &&**method, key, request_hash]).await?;
    row.map_or(Ok(None), |row| answer(&row))
}

/// The same in a transaction that has the lock on what the command is about.
pub(crate) async fn recall_in<R: Message + Default>(
    tx: &mut Tx,
    command: &Command,
) -> Result<Option<R>, Error> {
    let Some(key) = &command.key else { return Ok(None) };
    let Command { caller, method, request_hash, .. } = command;
    let row = tx.query_opt(RESPONSE, &[caller, &&**method, key, request_hash]).await?;
    row.map_or(Ok(None), |row| answer(&row))
}

const RESPONSE: &str = "
    select response, refusal from idempotency
    where caller = $1 and method = $2 and key = $3 and request_hash = $4 and response is not null";

/// What stands under a key: a response, nothing yet, or a refusal, which is the error.
fn answer<R: Message + Default>(row: &Row) -> Result<Option<R>, Error> {
    if let Some(refusal) = row.get::<_, Option<&[u8]>>("refusal") {
        return Err(Error::from_bytes(refusal));
    }
    let stored: Option<&[u8]> = row.get("response");
    let response = stored.map(R::decode).transpose();
    response.map_err(|error| Error::internal(format!("stored response: {error}")))
}

/// Whether the command's key is still reserved for the resource `id`; always without a key. For those
/// who have waited for others since they reserved it.
pub async fn is_reserved(tx: &mut Tx, command: &Command, id: Uuid) -> Result<bool, Error> {
    let Some(key) = &command.key else { return Ok(true) };
    let sql = "select from idempotency
         where caller = $1 and method = $2 and key = $3 and resource_id = $4";
    let row = tx.query_opt(sql, &[&command.caller, &&*command.method, key, &id]).await?;
    Ok(row.is_some())
}

/// Stores the command's response under its key, if it has one. Of two attempts at the same command
/// the first counts.
pub(crate) async fn store(
    tx: &mut Tx,
    command: &Command,
    response: &impl Message,
) -> Result<(), Error> {
    if let Some(key) = &command.key {
        tx.execute(
            // By its key alone: asked for `response is null`, the planner may read all that were, which a
            // snapshot that somebody holds keeps in the index of those without an answer.
            "update idempotency set response = coalesce(response, $4)
             where caller = $1 and method = $2 and key = $3",
            &[&command.caller, &&*command.method, key, &response.encode_to_vec()],
        )
        .await?;
    }
    Ok(())
}

/// Ends what was asked for a resource: stores the response of the command that is at hand, if one is,
/// under its key, and gives back all others that have no answer. The key is stored anew where whoever
/// ended it first has given it back. Answers the response that counts: that of the first attempt.
pub(crate) async fn settle<R: Message + Default>(
    tx: &mut Tx,
    command: Option<&Command>,
    id: Uuid,
    response: R,
) -> Result<R, Error> {
    let Some((command, key)) = command.and_then(|it| Some((it, it.key.as_ref()?))) else {
        release_unanswered(tx, id).await?;
        return Ok(response);
    };
    let sql = "
        with others as (
          delete from idempotency where resource_id = $5 and response is null
            and (caller, method, key) <> ($1, $2, $3))
        insert into idempotency (caller, method, key, request_hash, resource_id, response)
        values ($1, $2, $3, $4, $5, $6)
        on conflict (caller, method, key) do update
        set response = coalesce(idempotency.response, excluded.response)
        returning response, refusal";
    let (hash, bytes) = (&command.request_hash, response.encode_to_vec());
    let row =
        tx.query_one(sql, &[&command.caller, &&*command.method, key, hash, &id, &bytes]).await?;
    Ok(answer(&row)?.unwrap_or(response))
}

/// Gives back the keys that are reserved for a resource and have no answer, once what they asked for
/// has ended: it was refused, or never ran, or a task has taken it up after its caller was gone.
/// Whoever comes with such a key again is answered by how the resource is then.
pub async fn release_unanswered(tx: &mut Tx, id: Uuid) -> Result<(), Error> {
    let sql = "delete from idempotency where resource_id = $1 and response is null";
    tx.execute(sql, &[&id]).await?;
    Ok(())
}

/// Forgets keys after a day, until told to stop: a few at a time, so that each statement is short
/// however many there are.
pub async fn forget_old_keys(database: Database, stop: CancellationToken) {
    let mut beat = tokio::time::interval(FORGET);
    while stop.run_until_cancelled(beat.tick()).await.is_some() {
        loop {
            let forgotten = forget_some(&database).await.unwrap_or_else(|error| {
                tracing::warn!(%error, "expired idempotency keys not deleted, trying again later");
                0
            });
            let more = forgotten == FORGOTTEN_AT_ONCE.unsigned_abs();
            if !more || stop.run_until_cancelled(sleep(BREATH)).await.is_none() {
                break;
            }
        }
    }
}

async fn forget_some(database: &Database) -> Result<u64, Error> {
    // By their places, so that nothing but the index by age is read.
    let sql = "delete from idempotency where ctid = any(array(
           select ctid from idempotency where create_time < now() - interval '1 day'
           order by create_time limit $1 for update skip locked))";
    Ok(database.read().await?.execute(sql, &[&FORGOTTEN_AT_ONCE]).await?)
}
