//! Passwords: hashed with Argon2id (RFC 9106), never on the runtime's threads,
//! and never more at once than there are cores.

use std::sync::Arc;

use argon2::{
    Argon2,
    password_hash::{PasswordHasher as _, PasswordVerifier as _, phc::PasswordHash},
};
use base::{Error, input::Text};
use tokio::sync::Semaphore;

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

/// Hashes and checks passwords.
#[derive(Clone)]
pub(crate) struct Passwords {
    turns: Arc<Semaphore>,
    /// Checked when there is no such member, so that the answer takes as long.
    nobody: Arc<str>,
}

impl Passwords {
    pub(crate) fn new() -> Result<Self, Error> {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        Ok(Self {
            turns: Arc::new(Semaphore::new(cores)),
            nobody: hash(&Password(base::id::new().to_string()))?.into(),
        })
    }

    /// The hash to store, with a salt of its own.
    pub(crate) async fn hash(&self, password: Password) -> Result<String, Error> {
        self.in_turn(move || hash(&password)).await?
    }

    /// True when the password is the one that was hashed; `None` never is.
    pub(crate) async fn check(
        &self,
        password: Password,
        stored: Option<String>,
    ) -> Result<bool, Error> {
        let known = stored.is_some();
        let stored = stored.unwrap_or_else(|| self.nobody.to_string());
        self.in_turn(move || {
            let stored = PasswordHash::new(&stored).map_err(unusable)?;
            let same = Argon2::default().verify_password(password.0.as_bytes(), &stored).is_ok();
            Ok(same && known)
        })
        .await?
    }

    async fn in_turn<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Error> {
        let _turn = self.turns.acquire().await.map_err(unusable)?;
        tokio::task::spawn_blocking(work).await.map_err(unusable)
    }
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
        let check = |text: &str, stored| passwords.check(Password(text.into()), stored);
        assert!(check("correct horse", Some(stored.clone())).await.expect("check"));
        assert!(!check("wrong horse", Some(stored)).await.expect("check"));
        assert!(!check("correct horse", None).await.expect("check"));
    }
}
