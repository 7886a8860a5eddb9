//! What people read on the terminal. Logs are elsewhere: see `telemetry`.

use std::{fmt::Display, io::Write as _};

/// Prints a line. One that nobody reads any more (`hansang up | head`) stops nothing.
pub(crate) fn say(line: impl Display) {
    let _ = writeln!(std::io::stdout().lock(), "{line}");
}

/// Prints a line beside what was asked for: how far it has come.
pub(crate) fn note(line: impl Display) {
    let _ = writeln!(std::io::stderr().lock(), "{line}");
}
