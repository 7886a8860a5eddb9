//! A real SMTP server for tests, `aiosmtpd` for Python, which keeps what it takes
//! in a directory.

use std::{
    fs,
    path::{Path, PathBuf},
};

use base::id::Uuid;
use testkit::{eventually, python};
use tokio::{
    net::{TcpSocket, TcpStream},
    process::{self, Child},
};

const VERSION: &str = "aiosmtpd==1.4.6";

/// A place for a mail server: a port that is taken, and where nobody answers before it is opened.
pub(crate) struct PostOffice {
    pub(crate) port: u16,
    directory: PathBuf,
    python: PathBuf,
    _port_is_taken: TcpSocket,
    server: Option<Child>,
}

/// An email that the server took.
#[derive(Debug)]
pub(crate) struct Taken(String);

impl PostOffice {
    /// # Panics
    /// When Python is missing, or its package index cannot be reached the first time.
    pub(crate) fn closed() -> Self {
        let port_is_taken = TcpSocket::new_v4().expect("a socket");
        port_is_taken.set_reuseaddr(true).expect("the server may have the port then");
        port_is_taken.bind("127.0.0.1:0".parse().expect("an address")).expect("a free port");
        let port = port_is_taken.local_addr().expect("bound").port();
        let name = format!("hansang-mail-{}", Uuid::now_v7().simple());
        let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        let python = python(env!("CARGO_TARGET_TMPDIR"), VERSION);
        Self { port, directory, python, _port_is_taken: port_is_taken, server: None }
    }

    /// Opens a server that takes emails of at most so many bytes, and refuses others for good.
    pub(crate) async fn open(&mut self, size: u32) {
        let server = process::Command::new(&self.python)
            .args(["-m", "aiosmtpd", "-n", "-l", &format!("127.0.0.1:{}", self.port)])
            .args(["-s", &size.to_string(), "-c", "aiosmtpd.handlers.Mailbox"])
            .arg(&self.directory)
            .kill_on_drop(true)
            .spawn()
            .expect("the server starts");
        self.server = Some(server);
        let answers = || async { TcpStream::connect(("127.0.0.1", self.port)).await.ok() };
        eventually("an SMTP server that answers", answers).await;
    }

    /// What the server took.
    pub(crate) fn taken(&self) -> Vec<Taken> {
        let files = fs::read_dir(self.directory.join("new")).into_iter().flatten().flatten();
        files.map(|file| Taken(fs::read_to_string(file.path()).expect("readable"))).collect()
    }
}

impl Drop for PostOffice {
    fn drop(&mut self) {
        // Not there when it was never opened.
        let _ = fs::remove_dir_all(&self.directory);
    }
}

impl Taken {
    /// A header, as it was sent.
    pub(crate) fn header(&self, name: &str) -> &str {
        let start = format!("{name}: ");
        let line = self.0.lines().find_map(|line| line.strip_prefix(&start));
        line.unwrap_or_else(|| panic!("no {name} in {}", self.0))
    }
}
