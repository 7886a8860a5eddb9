//! Programs for tests that only Python has, installed once by its own means:
//! into a place below the target folder, and nowhere else.

use std::{
    fs::File,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

/// A Python that has this package, `aiosmtpd==1.4.6`; `tmp` is the `CARGO_TARGET_TMPDIR` of the test.
///
/// # Panics
/// When Python is missing, or its package index cannot be reached the first time.
pub fn python(tmp: &str, package: &str) -> PathBuf {
    let home = Path::new(tmp).join(package.replace("==", "-"));
    let lock = File::create(home.with_extension("lock")).expect("a lock file");
    lock.lock().expect("locks");
    let (python, done) = (home.join("bin/python3"), home.join("done"));
    if !done.exists() {
        run(Command::new("python3").args(["-m", "venv", "--clear"]).arg(&home));
        run(Command::new(&python).args(["-m", "pip", "install", "--quiet", package]));
        File::create(done).expect("writable");
    }
    python
}

fn run(command: &mut Command) {
    let needs = "this test needs Python with venv (Debian: apt-get install python3-venv) \
        and, the first time, PyPI";
    let output = command.stdin(Stdio::null()).output();
    let output = output.unwrap_or_else(|error| panic!("{needs}: {command:?}: {error}"));
    let said = [output.stdout, output.stderr].concat();
    assert!(output.status.success(), "{needs}: {command:?}: {}", String::from_utf8_lossy(&said));
}
