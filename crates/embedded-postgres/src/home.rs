//! Where a cluster lives and as whom it runs. Postgres refuses to run as root,
//! so root lends it to an unprivileged user, who must be able to enter the
//! directory; below a home that only root may enter, the files go elsewhere.

use std::{
    env, fs,
    fs::{DirBuilder, OpenOptions},
    io::{Read as _, Seek as _, SeekFrom},
    os::unix::fs::{DirBuilderExt as _, MetadataExt as _, chown, symlink},
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context as _, Result, bail};
use nix::unistd::geteuid;

/// Takes clusters whose data directory the unprivileged user cannot enter.
const ELSEWHERE: &str = "/var/lib/hansang";
/// What `sockaddr_un` holds on Linux (108) and macOS (104), without the final zero.
const LONGEST_SOCKET_PATH: usize = 103;
const SOCKET_FILE: &str = ".s.PGSQL.5432";

/// The user that Postgres runs as, when that is not the one who runs this.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct User {
    uid: u32,
    gid: u32,
}

impl User {
    /// Who it has to be: of root, `postgres` where a package made that user, else `nobody`.
    pub fn other() -> Result<Option<Self>> {
        if geteuid().is_root() { unprivileged().map(Some) } else { Ok(None) }
    }

    /// Gives a file or a directory to this user.
    pub fn own(self, path: &Path) -> Result<()> {
        chown(path, Some(self.uid), Some(self.gid))
            .with_context(|| format!("cannot give {} to Postgres's user", path.display()))
    }

    /// Has a command run as this user.
    pub fn run(self, command: &mut Command) {
        use std::os::unix::process::CommandExt as _;
        command.uid(self.uid).gid(self.gid);
    }
}

/// The directories of one cluster.
#[derive(Debug)]
pub(super) struct Home {
    root: PathBuf,
    socket_dir: PathBuf,
    /// The socket directory is for this run only.
    passing: bool,
    log: PathBuf,
    lent: Option<User>,
    elsewhere: bool,
}

impl Home {
    /// Finds or creates the directories of the cluster of `data_dir`.
    pub(super) fn prepare(data_dir: &Path) -> Result<Self> {
        let data_dir = fs::canonicalize(data_dir)
            .with_context(|| format!("cannot enter {}", data_dir.display()))?;
        let link = data_dir.join("postgres");
        let mut lent = User::other()?;
        let root = match fs::canonicalize(&link) {
            Ok(root) => root,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                create(&data_dir, &link, lent)?
            }
            Err(error) => return Err(error).context(format!("cannot enter {}", link.display())),
        };
        let owner = fs::metadata(&root).context("cannot read the cluster's directory")?;
        if lent.is_some() && owner.uid() != 0 {
            // Made by an ordinary user earlier: it stays theirs.
            lent = Some(User { uid: owner.uid(), gid: owner.gid() });
        }
        if !geteuid().is_root() && owner.uid() != geteuid().as_raw() {
            bail!(
                "{} belongs to another user; run this as that user or choose another --data-dir",
                root.display()
            );
        }
        let (socket_dir, passing) = socket_dir(&root, lent)?;
        Ok(Self {
            elsewhere: !root.starts_with(&data_dir),
            log: data_dir.join("postgres.log"),
            root,
            socket_dir,
            passing,
            lent,
        })
    }

    /// The directory that Postgres calls its data directory.
    pub(super) fn cluster(&self) -> PathBuf {
        self.root.join("data")
    }

    /// Where initdb works, until it is done.
    pub(super) fn unfinished(&self) -> PathBuf {
        self.root.join("data.unfinished")
    }

    pub(super) fn socket_dir(&self) -> &Path {
        &self.socket_dir
    }

    pub(super) fn elsewhere(&self) -> Option<&Path> {
        self.elsewhere.then_some(self.root.as_path())
    }

    /// The major version that made the cluster; none when there is no cluster yet.
    pub(super) fn version(&self) -> Option<u32> {
        fs::read_to_string(self.cluster().join("PG_VERSION")).ok()?.trim().parse().ok()
    }

    pub(super) fn admin_config(&self) -> tokio_postgres::Config {
        admin_config(&self.socket_dir)
    }

    /// A command that runs as Postgres's user, with nothing of ours but what it is given.
    pub(super) fn command(&self, program: &Path) -> Result<tokio::process::Command> {
        let mut command = Command::new(program);
        if let Some(user) = self.lent {
            user.run(&mut command);
        }
        for (name, _) in env::vars_os() {
            if name.to_string_lossy().starts_with("PG") {
                command.env_remove(name);
            }
        }
        let log = OpenOptions::new()
            .create(true)
            .append(true)
            .open(&self.log)
            .with_context(|| format!("cannot write {}", self.log.display()))?;
        let errors = log.try_clone().context("cannot share the log")?;
        command
            .env("LC_ALL", "C")
            .current_dir(&self.root)
            .stdin(Stdio::null())
            .stdout(log)
            .stderr(errors);
        Ok(command.into())
    }

    /// The last complaint in the log, or else its last line.
    pub(super) fn last_log_line(&self) -> String {
        let tail = tail(&self.log).unwrap_or_default();
        let mut lines = tail.lines().rev().filter(|line| !line.trim().is_empty());
        let complaint = |line: &&str| line.contains("FATAL:") || line.contains("PANIC:");
        let last = lines.clone().take(5).find(complaint).or_else(|| lines.next());
        format!("{} (see {})", last.unwrap_or("Postgres said nothing").trim(), self.log.display())
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        if self.passing {
            let _ = fs::remove_dir_all(&self.socket_dir);
        }
    }
}

/// How the superuser connects to the server with that socket.
pub(super) fn admin_config(socket_dir: &Path) -> tokio_postgres::Config {
    let mut config = tokio_postgres::Config::new();
    config.host_path(socket_dir).user("postgres").dbname("postgres");
    config.application_name("hansang-admin");
    config
}

/// `postgres` where a package made that user, else `nobody`.
fn unprivileged() -> Result<User> {
    for name in ["postgres", "nobody"] {
        if let Ok(Some(user)) = nix::unistd::User::from_name(name) {
            return Ok(User { uid: user.uid.as_raw(), gid: user.gid.as_raw() });
        }
    }
    bail!("Postgres does not run as root, and there is no user `postgres` or `nobody` to run it as")
}

fn create(data_dir: &Path, link: &Path, lent: Option<User>) -> Result<PathBuf> {
    if lent.is_none_or(|lent| may_enter(data_dir, lent)) {
        private_dir(link, lent)?;
        return Ok(link.to_path_buf());
    }
    let root = Path::new(ELSEWHERE).join(uuid::Uuid::now_v7().simple().to_string());
    DirBuilder::new().recursive(true).mode(0o755).create(ELSEWHERE).with_context(|| {
        format!(
            "Postgres does not run as root, and its user can enter neither {} nor a new {ELSEWHERE}",
            data_dir.display()
        )
    })?;
    private_dir(&root, lent)?;
    symlink(&root, link).with_context(|| format!("cannot create {}", link.display()))?;
    Ok(root)
}

fn private_dir(path: &Path, owner: Option<User>) -> Result<()> {
    let made = DirBuilder::new().mode(0o700).create(path);
    made.with_context(|| format!("cannot create {}", path.display()))?;
    owner.map_or(Ok(()), |owner| owner.own(path))
}

/// Asks as that user: permissions, ACLs and mounts all have a say.
fn may_enter(dir: &Path, user: User) -> bool {
    let mut command = Command::new("/bin/sh");
    user.run(&mut command);
    command.current_dir("/").args(["-c", r#"cd -- "$1""#, "sh"]).arg(dir);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

/// Beside the cluster, or in a new temporary directory when that path is too long for a socket.
fn socket_dir(root: &Path, lent: Option<User>) -> Result<(PathBuf, bool)> {
    let beside = root.join("socket");
    if fits(&beside) {
        if !beside.is_dir() {
            private_dir(&beside, lent)?;
        }
        return Ok((beside, false));
    }
    let name = format!("hansang-{}", uuid::Uuid::now_v7().simple());
    let passing = env::temp_dir().join(name);
    if !fits(&passing) {
        bail!("no place for a socket: {} and {} are too long", beside.display(), passing.display());
    }
    private_dir(&passing, lent)?;
    Ok((passing, true))
}

fn fits(dir: &Path) -> bool {
    dir.as_os_str().len() + 1 + SOCKET_FILE.len() <= LONGEST_SOCKET_PATH
}

fn tail(log: &Path) -> std::io::Result<String> {
    let mut file = fs::File::open(log)?;
    let length = file.metadata()?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(8 * 1024)))?;
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_socket_path_is_as_long_as_the_system_allows() {
        let longest = LONGEST_SOCKET_PATH - 1 - SOCKET_FILE.len();
        assert!(fits(Path::new(&"x".repeat(longest))));
        assert!(!fits(Path::new(&"x".repeat(longest + 1))));
    }
}
