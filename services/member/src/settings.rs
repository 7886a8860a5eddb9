//! What member can be told on its own: the section `[service.member]`.

use std::time::Duration;

use serde::Deserialize;

/// The section `[service.member]`.
#[derive(Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Settings {
    /// How long after a withdrawal name, address and password are erased, in seconds.
    erase_after_s: u64,
}

impl Settings {
    /// How long after a withdrawal what is personal is erased.
    pub(crate) fn erase_after(&self) -> Duration {
        Duration::from_secs(self.erase_after_s)
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self { erase_after_s: 432_000 }
    }
}
