//! A command that asks somebody else to do something, and may not learn whether it was done: it is
//! in doubt until it has.
//!
//! | step | fails | then |
//! |---|---|---|
//! | 1 commit the attempt and a task | not committed | nothing has happened |
//! | 2 call | in any way | [`settle`](Call::settle) decides what that means |
//! | 3 commit the outcome | not committed, or killed before | the task takes the command up |
//!
//! The task is scheduled with the attempt, for a time at which the call has ended, and removed with
//! the outcome. Its handler either repeats the call, with [`resume`](Commands::resume), or undoes it; which
//! of the two is right depends on what was asked, and whether it can be asked again.
//!
//! Several attempts at one command may be under way at once: of callers with the same key, another or
//! none, and of the task. Whoever is asked does it once, however often it is asked; the first answer
//! counts for all that come with the same key.
//!
//! Locks are taken in one order: the row of what the command is about, then those of its keys. Only
//! [`make`](Commands::make) takes its key first, which tells it the row; nobody else knows that row then,
//! or the key leads there already and is not locked.

use std::{future::Future, sync::Arc, time::Duration};

use base::Error;
use prost::Message;
use uuid::Uuid;

use crate::{
    Database, Tx,
    idempotency::{self, Command, Reply, Reserved},
    task::{self, Due},
};

/// What one kind of command asks of somebody else, and what it means how that ends.
pub trait Call: Send + Sync + 'static {
    /// The kind of the task that takes up a command whose caller is gone.
    const TASK: &'static str;
    /// False where only other services ask for it, which have no idempotency keys.
    const KEYED: bool = true;
    /// What has to be known to make the call, and to settle it.
    type Attempt: Send + Sync;
    /// How the call ended, however it did.
    type Outcome: Send;
    /// What the command answers.
    type Answer: Message + Default;

    /// What the command is about; its task has this key, and its idempotency key leads there.
    fn about(attempt: &Self::Attempt) -> Uuid;

    /// Step 2. No transaction is open.
    fn call(&self, attempt: &Self::Attempt) -> impl Future<Output = Self::Outcome> + Send;

    /// Step 3, but for its commit. An error leaves everything as after step 1: the task takes it up.
    fn settle(
        &self,
        tx: &mut Tx,
        attempt: &Self::Attempt,
        outcome: Self::Outcome,
    ) -> impl Future<Output = Result<Settled<Self::Answer>, Error>> + Send;
}

/// What the end of a call means for the command.
#[derive(Debug)]
pub enum Settled<A> {
    /// It was done.
    Done(A),
    /// It was not, and nothing is left to be done: its key is given back, and the task removed.
    Undone(Error),
    /// It counts as not done, and the task has yet to undo what may have been: its key is given back.
    GivenUp(Error),
    /// Nobody knows: the task takes it up, and the key stays reserved.
    InDoubt(Error),
}

/// How step 1 ended.
#[derive(Debug)]
pub enum Begun<C: Call> {
    /// An attempt was made, and may call once it is committed.
    Attempt(C::Attempt),
    /// There is nothing to ask for: this is the answer.
    Already(C::Answer),
}

/// Carries out commands of one kind. Cheap to clone.
pub struct Commands<C> {
    database: Database,
    call: Arc<C>,
    deadline: Duration,
}

impl<C> Clone for Commands<C> {
    fn clone(&self) -> Self {
        let (database, call) = (self.database.clone(), Arc::clone(&self.call));
        Self { database, call, deadline: self.deadline }
    }
}

impl<C: Call> Commands<C> {
    /// Commands whose call takes no longer than `deadline`.
    pub fn new(database: Database, deadline: Duration, call: C) -> Self {
        Self { database, call: Arc::new(call), deadline }
    }

    /// The database of the service that carries them out.
    pub fn database(&self) -> &Database {
        &self.database
    }

    /// Carries out a command about what exists, with this id. `begin` locks that, and changes what has to
    /// be changed before the call.
    pub async fn run(
        &self,
        command: &Command,
        id: Uuid,
        begin: impl AsyncFnOnce(&mut Tx) -> Result<Begun<C>, Error>,
    ) -> Result<Reply<C::Answer>, Error> {
        let mut tx = self.database.begin().await?;
        let begun = match begin(&mut tx).await {
            Ok(begun) => begun,
            Err(refusal) => return self.answered_before(tx, command, refusal).await,
        };
        match idempotency::reserve(&mut tx, command, id).await? {
            Reserved::Proceed(_) => self.go_on(tx, command, begun).await,
            Reserved::Replay(answer) => {
                tx.rollback().await;
                Ok(Reply::replayed(answer))
            }
        }
    }

    /// Carries out a command that makes something, under this id, or that of an earlier attempt with the
    /// same key: `begin` gets it.
    pub async fn make(
        &self,
        command: &Command,
        id: Uuid,
        begin: impl AsyncFnOnce(&mut Tx, Uuid) -> Result<Begun<C>, Error>,
    ) -> Result<Reply<C::Answer>, Error> {
        let mut tx = self.database.begin().await?;
        let id = match idempotency::reserve(&mut tx, command, id).await? {
            Reserved::Proceed(id) => id,
            Reserved::Replay(answer) => return Ok(Reply::replayed(answer)),
        };
        match begin(&mut tx, id).await {
            Ok(begun) => self.go_on(tx, command, begun).await,
            Err(refusal) => self.answered_before(tx, command, refusal).await,
        }
    }

    /// What is refused by now may have been answered before.
    async fn answered_before(
        &self,
        tx: Tx,
        command: &Command,
        refusal: Error,
    ) -> Result<Reply<C::Answer>, Error> {
        tx.rollback().await;
        let answer = idempotency::recall(&mut self.database.read().await?, command).await?;
        answer.map(Reply::replayed).ok_or(refusal)
    }

    /// Ends step 1, and takes the others.
    async fn go_on(
        &self,
        mut tx: Tx,
        command: &Command,
        begun: Begun<C>,
    ) -> Result<Reply<C::Answer>, Error> {
        let attempt = match begun {
            Begun::Attempt(attempt) => attempt,
            Begun::Already(answer) => {
                idempotency::store(&mut tx, command, &answer).await?;
                tx.commit().await?;
                return Ok(Reply::fresh(answer));
            }
        };
        // By then the call has ended.
        let due = Due::After(self.deadline * 2);
        task::schedule(&mut tx, C::TASK, C::about(&attempt), due, &[]).await?;
        tx.commit().await?;
        match self.finish(&attempt, Some(command)).await? {
            Finished::Answered(reply) => Ok(reply),
            Finished::Undone(error) | Finished::Open(error) => Err(error),
        }
    }

    /// Takes up a command about `id` whose outcome is not known yet, for its task. `join` makes another
    /// attempt, or answers that nothing is in doubt any more: somebody else has told the end (an event,
    /// say), and the keys that still wait for it are given back.
    pub async fn resume(
        &self,
        id: Uuid,
        join: impl AsyncFnOnce(&mut Tx) -> Result<Option<C::Attempt>, Error>,
    ) -> Result<(), Error> {
        let mut tx = self.database.begin().await?;
        let attempt = join(&mut tx).await?;
        if attempt.is_none() && C::KEYED {
            idempotency::release_unanswered(&mut tx, id).await?;
        }
        tx.commit().await?;
        let Some(attempt) = attempt else { return Ok(()) };
        match self.finish(&attempt, None).await? {
            Finished::Answered(_) | Finished::Undone(_) => Ok(()),
            Finished::Open(error) => Err(error),
        }
    }

    /// Steps 2 and 3.
    async fn finish(
        &self,
        attempt: &C::Attempt,
        command: Option<&Command>,
    ) -> Result<Finished<C::Answer>, Error> {
        let outcome = self.call.call(attempt).await;
        let about = C::about(attempt);
        let mut tx = self.database.begin().await?;
        let finished = match self.call.settle(&mut tx, attempt, outcome).await? {
            Settled::Done(answer) => {
                task::remove(&mut tx, C::TASK, about).await?;
                let answer = if C::KEYED {
                    idempotency::settle(&mut tx, command, about, answer).await?
                } else {
                    answer
                };
                Finished::Answered(Reply::fresh(answer))
            }
            Settled::Undone(error) => {
                task::remove(&mut tx, C::TASK, about).await?;
                self.give_up(&mut tx, about, command, Finished::Undone(error)).await?
            }
            Settled::GivenUp(error) => {
                self.give_up(&mut tx, about, command, Finished::Open(error)).await?
            }
            Settled::InDoubt(error) => {
                tx.rollback().await;
                return Ok(Finished::Open(error));
            }
        };
        tx.commit().await?;
        Ok(finished)
    }

    /// Gives back the keys; but another attempt with the same may have had its answer.
    async fn give_up(
        &self,
        tx: &mut Tx,
        about: Uuid,
        command: Option<&Command>,
        finished: Finished<C::Answer>,
    ) -> Result<Finished<C::Answer>, Error> {
        if !C::KEYED {
            return Ok(finished);
        }
        idempotency::release_unanswered(tx, about).await?;
        let Some(command) = command else { return Ok(finished) };
        let answer = idempotency::recall_in(tx, command).await?;
        Ok(answer.map_or(finished, |answer| Finished::Answered(Reply::replayed(answer))))
    }
}

/// How an attempt ended.
enum Finished<A> {
    Answered(Reply<A>),
    Undone(Error),
    /// The task has yet to end it.
    Open(Error),
}
