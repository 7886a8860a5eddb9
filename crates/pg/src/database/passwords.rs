//! The password of a role, in a file that may change while we run: it is read for
//! each connection. While the role's own is changed, the file has both.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use base::{Error, error::configuration};
use tokio_postgres::error::SqlState;

/// A file with passwords, a line each: the next is tried where one is refused.
#[derive(Clone, Debug)]
pub(super) struct Passwords(PathBuf);

impl Passwords {
    /// Those of a file, which can be read now.
    pub(super) fn of(path: PathBuf) -> Result<Self, Error> {
        match read(&path) {
            Ok(passwords) if passwords.is_empty() => Err(unusable(&path, "holds no password")),
            Ok(_) => Ok(Self(path)),
            Err(error) => Err(unusable(&path, error)),
        }
    }

    /// Those that are there now; none where the file cannot be read any more.
    pub(super) fn now(&self) -> Vec<String> {
        read(&self.0).unwrap_or_else(|error| {
            let path = self.0.display();
            tracing::warn!(%path, %error, "password file not read, connecting without a password");
            Vec::new()
        })
    }
}

/// Whether a server refused a password.
pub(super) fn refused(error: &tokio_postgres::Error) -> bool {
    error.code() == Some(&SqlState::INVALID_PASSWORD)
}

fn read(path: &Path) -> io::Result<Vec<String>> {
    let lines = fs::read_to_string(path)?;
    Ok(lines.lines().filter(|line| !line.is_empty()).map(str::to_owned).collect())
}

fn unusable(path: &Path, why: impl std::fmt::Display) -> Error {
    configuration(format!("database.password_path: {}: {why}", path.display()))
}
