//! What mileage can be told on its own: the section `[service.mileage]`.

use std::time::Duration;

use serde::Deserialize;

use crate::domain::Rate;

/// The section `[service.mileage]`.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Settings {
    /// Points per won paid, in basis points: 100, when absent, is 1%; at most 10,000. What was
    /// earned before a change stays as it is.
    pub(crate) basis_points: Rate,
    /// How long after they were earned points expire, in seconds: 31,536,000, when absent, are 365
    /// days. What was earned before a change keeps its time.
    expire_after_s: u32,
    /// How long before they expire a member is told of points, once, in seconds: 604,800, when absent, are 7
    /// days; 0: nobody is told.
    warn_before_s: u32,
}

impl Settings {
    /// How long after they were earned points expire.
    pub(crate) fn expire_after(self) -> Duration {
        Duration::from_secs(self.expire_after_s.into())
    }

    /// How long before they expire a member is told of points.
    pub(crate) fn warn_before(self) -> Duration {
        Duration::from_secs(self.warn_before_s.into())
    }
}

impl Default for Settings {
    fn default() -> Self {
        let day = 24 * 60 * 60;
        let (expire_after_s, warn_before_s) = (365 * day, 7 * day);
        Self { basis_points: Rate::default(), expire_after_s, warn_before_s }
    }
}
