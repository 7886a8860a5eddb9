//! What order can be told on its own: the section `[service.order]`.

use std::time::Duration;

use serde::Deserialize;

use crate::closing::Terms;

/// The section `[service.order]`.
#[derive(Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Settings {
    /// How long after its delivery an order closes by itself, in seconds.
    close_after_delivery_s: u64,
    /// How long after its delivery has started it does, when nobody says that the goods have arrived, in
    /// seconds.
    close_after_start_s: u64,
}

impl Settings {
    /// When orders close by themselves.
    pub(crate) fn terms(&self) -> Terms {
        Terms {
            after_start: Duration::from_secs(self.close_after_start_s),
            after_delivery: Duration::from_secs(self.close_after_delivery_s),
        }
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self { close_after_delivery_s: 604_800, close_after_start_s: 1_814_400 }
    }
}
