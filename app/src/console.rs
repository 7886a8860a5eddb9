//! What people read on the terminal. Logs are elsewhere: see `kit::telemetry`.

use std::{fmt::Display, io::Write as _};

/// Prints a line. One that nobody reads any more (`hansang up | head`) stops nothing.
pub(crate) fn say(line: impl Display) {
    let _ = writeln!(std::io::stdout().lock(), "{line}");
}
