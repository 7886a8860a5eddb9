//! A program that a test runs: what it finds, where it listens, and how it ends.

use std::{
    ffi::OsStr,
    fs::{self, File},
    net::{SocketAddr, TcpListener},
    os::unix::{fs::PermissionsExt as _, process::ExitStatusExt as _},
    path::Path,
    process::{Child, Command, ExitStatus, Stdio},
    time::{Duration, Instant},
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

use crate::scratch;

/// A program answers within this, and ends within this.
const LIMIT: Duration = Duration::from_mins(1);
const POLL: Duration = Duration::from_millis(10);

/// How a program is started that finds no setting in its environment, and nothing on its input.
pub fn program(path: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new(path);
    for (variable, _) in std::env::vars().filter(|(name, _)| name.starts_with("HANSANG__")) {
        command.env_remove(variable);
    }
    command.env("NO_COLOR", "1").stdin(Stdio::null());
    command
}

/// A directory of its own for a program's data.
///
/// # Panics
/// When there is no place for it.
pub fn data_dir() -> TempDir {
    let dir = tempfile::Builder::new().prefix("hansang-data-").tempdir_in(scratch());
    let dir = dir.expect("a directory");
    // Postgres's own user has to pass through.
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o711)).expect("permissions");
    dir
}

/// A port that stays free while its process is dead: outside the range that the system gives to
/// outgoing connections, any of which could take it meanwhile; and the lock that keeps other tests
/// from it.
///
/// # Panics
/// When locks cannot be written.
pub fn free_address() -> (SocketAddr, File) {
    let locks = scratch().join("hansang-test-ports");
    fs::create_dir_all(&locks).expect("a folder for locks");
    let mut port = 16_000 + (std::process::id() % 16_000);
    loop {
        port = 16_000 + (port - 16_000 + 7) % 16_000;
        let address = SocketAddr::from(([127, 0, 0, 1], u16::try_from(port).expect("a port")));
        let lock = File::create(locks.join(port.to_string())).expect("a lock file");
        if lock.try_lock().is_ok() && TcpListener::bind(address).is_ok() {
            return (address, lock);
        }
    }
}

/// A running program. Dropped, it ends as by a power cut.
pub struct Program(Child);

impl Program {
    /// Starts it.
    ///
    /// # Panics
    /// When it cannot be started.
    pub fn start(command: &mut Command) -> Self {
        Self(command.spawn().expect("the program starts"))
    }

    /// Its process.
    pub fn child(&mut self) -> &mut Child {
        &mut self.0
    }

    /// Its process's number.
    pub fn pid(&self) -> u32 {
        self.0.id()
    }

    /// How it ended; nothing while it runs.
    ///
    /// # Panics
    /// When it is not a child of this process.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.0.try_wait().expect("a child")
    }

    /// Sends it a signal.
    ///
    /// # Panics
    /// When it is gone.
    pub fn signal(&self, signal: Signal) {
        let pid = i32::try_from(self.pid()).expect("a process id");
        kill(Pid::from_raw(pid), signal).expect("a signal is sent");
    }

    /// Tells it to end, and waits until it has, in good order.
    ///
    /// # Panics
    /// When it does not.
    pub fn stop(mut self) {
        self.signal(Signal::SIGTERM);
        let status = self.0.wait().expect("a child");
        assert!(status.success(), "it did not stop well: {status}, signal {:?}", status.signal());
    }

    /// Waits until it answers HTTP there. It may listen long before that.
    ///
    /// # Panics
    /// When it ends, or does not answer within a minute.
    pub async fn answers(&mut self, address: SocketAddr) {
        let began = Instant::now();
        while !has_answered(address).await {
            let ended = self.ended();
            assert!(ended.is_none() && began.elapsed() < LIMIT, "no answer: {ended:?}");
            tokio::time::sleep(POLL).await;
        }
    }
}

/// Whether a request there gets an answer, whichever.
async fn has_answered(address: SocketAddr) -> bool {
    let ask = async {
        let mut stream = TcpStream::connect(address).await?;
        stream.write_all(b"GET / HTTP/1.0\r\n\r\n").await?;
        stream.read_u8().await
    };
    ask.await.is_ok()
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A whole deployment: `up`, on a data directory, with ports of its own.
pub struct Up {
    /// The process.
    pub program: Program,
    /// Where its REST listens.
    pub http: SocketAddr,
    /// Where its gRPC listens.
    pub grpc: SocketAddr,
    _ports: [File; 2],
}

impl Up {
    /// Starts `up` of a program on this directory; `more` adds what else it is told.
    pub fn start(path: &str, dir: &Path, more: impl FnOnce(&mut Command)) -> Self {
        let ((http, one), (grpc, other)) = (free_address(), free_address());
        let mut command = program(path);
        command
            .args(["up", "--http", &http.to_string(), "--grpc", &grpc.to_string(), "--data-dir"])
            .arg(dir)
            .stdout(Stdio::null());
        more(&mut command);
        Self { program: Program::start(&mut command), http, grpc, _ports: [one, other] }
    }

    /// Waits until it answers.
    pub async fn answers(&mut self) {
        self.program.answers(self.http).await;
    }
}
