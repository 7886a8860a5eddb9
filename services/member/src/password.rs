//! Passwords: hashed with Argon2id (RFC 9106), never on the runtime's threads,
//! and never more at once than there are cores. Those that wait for their turn are
//! bounded as well: what would come too late is refused at once.

use std::sync::Arc;

use argon2::{
    Argon2,
    password_hash::{PasswordHasher as _, PasswordVerifier as _, phc::PasswordHash},
};
use base::{Error, input::Text};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// What a password may be: taken as it was typed, since only its hash is stored.
const NEW: Text = Text::new(8, 128).verbatim();
/// What somebody may sign in with.
const ATTEMPT: Text = Text::new(1, 128).verbatim();

/// A password as it was typed. Prints as nothing.
pub(crate) struct Password(String);

impl Password {
    pub(crate) fn parse(text: String) -> Result<Self, Error> {
        NEW.parse("password", &text)?;
        Ok(Self(text))
    }

    /// What someone signs in with: a wrong one is just wrong, unless no password is like that.
    pub(crate) fn attempt(text: String) -> Result<Self, Error> {
        ATTEMPT.parse("password", &text)?;
        Ok(Self(text))
    }
}

/// How many wait for each core: at some 50 ms each, the last is answered within the time that a client has.
const QUEUE: usize = 32;

/// Hashes and checks passwords.
#[derive(Clone)]
pub(crate) struct Passwords {
    turns: Arc<Semaphore>,
    /// Places in the queue, those whose turn it is included.
    queue: Arc<Semaphore>,
    /// Checked when there is no such member, so that the answer takes as long.
    nobody: Arc<str>,
}

impl Passwords {
    pub(crate) fn new() -> Result<Self, Error> {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        Ok(Self {
            turns: Arc::new(Semaphore::new(cores)),
            queue: Arc::new(Semaphore::new(cores * (QUEUE + 1))),
            nobody: hash(&Password(base::id::new().to_string()))?.into(),
        })
    }

    /// The hash to store, with a salt of its own.
    pub(crate) async fn hash(&self, password: Password) -> Result<String, Error> {
        let _turn = self.turn().await?;
        apart(move || hash(&password)).await?
    }

    /// Waits for one's turn to have a password checked.
    pub(crate) async fn turn(&self) -> Result<Turn, Error> {
        let place = Arc::clone(&self.queue).try_acquire_owned().map_err(|_| {
            Error::unavailable("OVERLOADED", "too many passwords are being checked; try again")
        })?;
        let turn = Arc::clone(&self.turns).acquire_owned().await.map_err(unusable)?;
        Ok(Turn { _place: place, _turn: turn })
    }

    /// True when the password is the one that was hashed; `None` never is.
    pub(crate) async fn check(
        &self,
        _: &Turn,
        password: Password,
        stored: Option<String>,
    ) -> Result<bool, Error> {
        let known = stored.is_some();
        let stored = stored.unwrap_or_else(|| self.nobody.to_string());
        apart(move || {
            let stored = PasswordHash::new(&stored).map_err(unusable)?;
            let same = Argon2::default().verify_password(password.0.as_bytes(), &stored).is_ok();
            Ok(same && known)
        })
        .await?
    }
}

/// A core to hash on, until dropped.
pub(crate) struct Turn {
    _place: OwnedSemaphorePermit,
    _turn: OwnedSemaphorePermit,
}

async fn apart<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, Error> {
    tokio::task::spawn_blocking(work).await.map_err(unusable)
}

fn hash(password: &Password) -> Result<String, Error> {
    let hash = Argon2::default().hash_password(password.0.as_bytes()).map_err(unusable)?;
    Ok(hash.to_string())
}

fn unusable(error: impl std::fmt::Display) -> Error {
    Error::internal(format!("password: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn only_the_right_password_of_a_known_member_passes() {
        let passwords = Passwords::new().expect("passwords");
        let stored = passwords.hash(Password("correct horse".into())).await.expect("hash");
        let check = async |text: &str, stored| {
            let turn = passwords.turn().await.expect("a turn");
            passwords.check(&turn, Password(text.into()), stored).await
        };
        assert!(check("correct horse", Some(stored.clone())).await.expect("check"));
        assert!(!check("wrong horse", Some(stored)).await.expect("check"));
        assert!(!check("correct horse", None).await.expect("check"));
    }

    #[tokio::test]
    async fn who_would_wait_too_long_is_refused_at_once() {
        let passwords = Passwords::new().expect("passwords");
        let places = passwords.queue.available_permits();
        let waiting = Arc::clone(&passwords.queue)
            .acquire_many_owned(u32::try_from(places).expect("few"))
            .await;
        let refused = passwords.turn().await.err().expect("refused");
        assert_eq!(refused.reason(), "OVERLOADED");
        drop(waiting);
        assert!(passwords.turn().await.is_ok());
    }
}
