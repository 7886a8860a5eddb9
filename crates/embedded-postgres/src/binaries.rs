//! Where the Postgres server programs are. Only looks; installs nothing.

use std::{
    cmp::Reverse,
    env, fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Result, bail};

/// Where Debian and Ubuntu keep one folder a major version.
const DEBIAN: &str = "/usr/lib/postgresql";
/// The oldest version whose features are relied on (`pg_current_xact_id`, `initdb --no-instructions`).
const OLDEST: u32 = 14;

/// A folder with `postgres` and `initdb` of one version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Binaries {
    folder: PathBuf,
    major: u32,
}

impl Binaries {
    /// The first usable one of PATH, `pg_config --bindir` and Debian's folders, these the newest first.
    /// A cluster that exists needs the version that made it.
    pub fn find(made_by: Option<u32>) -> Result<Self> {
        let found: Vec<Self> =
            folders().into_iter().filter_map(|folder| Self::at(&folder)).collect();
        choose(found, made_by)
    }

    /// The full path of one program.
    pub fn program(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    fn at(folder: &Path) -> Option<Self> {
        // Through a link in PATH to the real folder: both programs must be there.
        let folder = fs::canonicalize(folder.join("postgres")).ok()?.parent()?.to_path_buf();
        if !folder.join("initdb").is_file() {
            return None;
        }
        let major = major_version(&folder.join("postgres"))?;
        Some(Self { folder, major })
    }
}

fn choose(found: Vec<Binaries>, made_by: Option<u32>) -> Result<Binaries> {
    let Some(wanted) = made_by else {
        return match found.into_iter().find(|b| b.major >= OLDEST) {
            Some(binaries) => Ok(binaries),
            None => bail!(
                "no Postgres server programs (initdb, postgres) of version {OLDEST} or later in \
                 PATH, in `pg_config --bindir` or in {DEBIAN}/*/bin; install them (Debian, Ubuntu: \
                 apt-get install postgresql; macOS: brew install postgresql) or point \
                 HANSANG__DATABASE__URL to a server"
            ),
        };
    };
    match found.into_iter().find(|b| b.major == wanted) {
        Some(binaries) => Ok(binaries),
        None => bail!(
            "the data directory was made by Postgres {wanted}, whose server programs are not \
             installed; install Postgres {wanted} or choose another --data-dir"
        ),
    }
}

fn folders() -> Vec<PathBuf> {
    let mut folders: Vec<PathBuf> =
        env::var_os("PATH").map(|path| env::split_paths(&path).collect()).unwrap_or_default();
    folders.extend(pg_config());
    let mut debian: Vec<PathBuf> = fs::read_dir(DEBIAN)
        .into_iter()
        .flatten()
        .filter_map(|entry| Some(entry.ok()?.path().join("bin")))
        .collect();
    debian.sort_by_key(|folder| Reverse(version_in(folder)));
    folders.extend(debian);
    folders
}

fn pg_config() -> Option<PathBuf> {
    let output = Command::new("pg_config").arg("--bindir").output().ok()?;
    let folder = String::from_utf8(output.stdout).ok()?;
    output.status.success().then(|| PathBuf::from(folder.trim()))
}

/// 15 of `/usr/lib/postgresql/15/bin`.
fn version_in(folder: &Path) -> Option<u32> {
    folder.parent()?.file_name()?.to_str()?.parse().ok()
}

/// 15 of `postgres (PostgreSQL) 15.18 (Debian …)`.
fn major_version(postgres: &Path) -> Option<u32> {
    let output = Command::new(postgres).arg("--version").output().ok()?;
    parse_version(std::str::from_utf8(&output.stdout).ok()?)
}

fn parse_version(line: &str) -> Option<u32> {
    let version = line.split_whitespace().find(|w| w.starts_with(|c: char| c.is_ascii_digit()))?;
    version.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn binaries(major: u32) -> Binaries {
        Binaries { folder: PathBuf::from("/x"), major }
    }

    #[test]
    fn versions_are_read_from_what_postgres_says_of_itself() {
        assert_eq!(parse_version("postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)"), Some(15));
        assert_eq!(parse_version("postgres (PostgreSQL) 18beta1"), Some(18));
        assert_eq!(parse_version("no such thing"), None);
    }

    #[test]
    fn a_new_cluster_takes_the_first_that_is_not_too_old() {
        let chosen = choose(vec![binaries(9), binaries(15), binaries(17)], None).unwrap();
        assert_eq!(chosen.major, 15);
    }

    #[test]
    fn an_existing_cluster_takes_the_version_that_made_it() {
        let chosen = choose(vec![binaries(15), binaries(17)], Some(17)).unwrap();
        assert_eq!(chosen.major, 17);
        let refusal = choose(vec![binaries(15)], Some(17)).unwrap_err().to_string();
        assert!(refusal.contains("made by Postgres 17"), "{refusal}");
    }

    #[test]
    fn without_programs_it_says_what_to_install() {
        let refusal = choose(vec![], None).unwrap_err().to_string();
        assert!(refusal.contains("apt-get install postgresql"), "{refusal}");
    }
}
