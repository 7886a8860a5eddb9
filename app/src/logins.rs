//! The first two people of a new installation: an admin and a seller, with
//! random passwords that only the data directory's owner can read again.

use std::{fs, io::ErrorKind, path::Path};

use anyhow::{Context as _, Result};
use identity::auth::Role;
use pg::Database;
use serde::{Deserialize, Serialize};
use settings::Settings;

use crate::data_dir::write_private;

/// Letters and digits that cannot be mistaken for one another.
const ALPHABET: &[u8] = b"abcdefghjkmnpqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ23456789";
/// 20 of 55 characters: 115 bits.
const LENGTH: usize = 20;

/// Somebody who can sign in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Login {
    /// `ADMIN` or `SELLER`.
    pub role: String,
    /// The address to sign in with.
    pub email: String,
    /// In the clear.
    pub password: String,
}

/// The logins of `<data_dir>/logins.json`, made the first time.
pub fn ensure(data_dir: &Path) -> Result<Vec<Login>> {
    let path = data_dir.join("logins.json");
    match fs::read(&path) {
        Ok(json) => serde_json::from_slice(&json)
            .with_context(|| format!("{} is not what hansang wrote", path.display())),
        Err(error) if error.kind() == ErrorKind::NotFound => {
            let logins = vec![login("ADMIN", "admin"), login("SELLER", "seller")];
            // Before anyone is registered: a password that nobody knows would be worse than none.
            write_private(&path, format!("{:#}\n", serde_json::json!(logins)).as_bytes())?;
            Ok(logins)
        }
        Err(error) => Err(error).context(format!("cannot read {}", path.display())),
    }
}

/// Registers those who are not registered yet. The member service's database is up to date.
pub async fn seed(settings: &Settings, logins: &[Login]) -> Result<()> {
    let database = Database::new(&settings.database, member::SERVICE.name)?;
    for Login { role, email, password } in logins {
        let (name, role) = match role.as_str() {
            "ADMIN" => ("Admin", Role::Admin),
            _ => ("Seller", Role::Seller),
        };
        member::seed(&database, email, password, name, vec![role])
            .await
            .with_context(|| format!("cannot register {email}"))?;
    }
    Ok(())
}

fn login(role: &str, name: &str) -> Login {
    let email = format!("{name}@hansang.local");
    Login { role: role.into(), email, password: password() }
}

pub(crate) fn password() -> String {
    (0..LENGTH).map(|_| char::from(ALPHABET[rand::random_range(0..ALPHABET.len())])).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn logins_are_made_once() {
        let dir = tempfile::tempdir().unwrap();
        let first = ensure(dir.path()).unwrap();
        assert_eq!(first, ensure(dir.path()).unwrap());
        assert_eq!(first.iter().map(|l| l.role.as_str()).collect::<Vec<_>>(), ["ADMIN", "SELLER"]);
        assert_ne!(first[0].password, first[1].password);
    }
}
