//! The passwords of the services' roles on a server that anyone may reach: each made
//! by itself and kept in a file of its own in the data directory, so that none says
//! anything of another. Changes no role.

use std::{
    collections::BTreeMap,
    fs::{self, DirBuilder},
    io::ErrorKind,
    os::unix::fs::DirBuilderExt as _,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result};

use crate::{data_dir::write_private, logins};

/// What earlier versions made all passwords of.
const SECRET: &str = "database_secret";

/// The passwords of these roles; those that are missing are made.
pub(crate) fn ensure<'a>(
    data_dir: &Path,
    roles: impl IntoIterator<Item = &'a str>,
) -> Result<BTreeMap<String, String>> {
    let dir = directory(data_dir);
    match DirBuilder::new().mode(0o700).create(&dir) {
        Err(error) if error.kind() != ErrorKind::AlreadyExists => {
            return Err(error).context(format!("cannot create {}", dir.display()));
        }
        Ok(()) | Err(_) => {}
    }
    roles.into_iter().map(|role| Ok((role.to_owned(), password(&dir.join(role))?))).collect()
}

/// Forgets what earlier versions made passwords of: no role has such a one any more.
pub(crate) fn forget_secret(data_dir: &Path) -> Result<()> {
    let path = data_dir.join(SECRET);
    match fs::remove_file(&path) {
        Err(error) if error.kind() != ErrorKind::NotFound => {
            Err(error).context(format!("cannot remove {}", path.display()))
        }
        Ok(()) | Err(_) => Ok(()),
    }
}

/// Where they are, as `database.password_path` has it.
pub(crate) fn path(data_dir: &Path) -> PathBuf {
    directory(data_dir).join("{service}")
}

fn directory(data_dir: &Path) -> PathBuf {
    data_dir.join("database_passwords")
}

/// The first line of a file: where there are more, the last is what the role is to have next.
fn password(path: &Path) -> Result<String> {
    match fs::read_to_string(path) {
        Ok(lines) => Ok(lines.lines().next().unwrap_or_default().to_owned()),
        Err(error) if error.kind() == ErrorKind::NotFound => {
            let password = logins::password();
            write_private(path, password.as_bytes())?;
            Ok(password)
        }
        Err(error) => Err(error).context(format!("cannot read {}", path.display())),
    }
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeSet, os::unix::fs::PermissionsExt as _};

    use super::*;

    #[test]
    fn each_role_has_a_password_of_its_own_that_stays() {
        let dir = tempfile::tempdir().unwrap();
        let roles = ["order", "payment", "verify"];
        let passwords = ensure(dir.path(), roles).unwrap();
        assert_eq!(passwords.values().collect::<BTreeSet<_>>().len(), 3);
        assert_eq!(ensure(dir.path(), roles).unwrap(), passwords);
        let file = path(dir.path()).to_string_lossy().replace("{service}", "order");
        let mode = fs::metadata(file).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }
}
