//! What payment can be told on its own: the section `[service.payment]`.

use serde::Deserialize;

use crate::{acquirer, bank, domain};

/// The section `[service.payment]`.
#[derive(Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Settings {
    /// How long a deposit is waited for, in seconds.
    pub(crate) deposit_within_s: u64,
    /// Who charges cards.
    pub(crate) acquirer: acquirer::Settings,
    /// How long after an acquirer's no it is looked up once more, in seconds.
    pub(crate) settle_after_s: u64,
    /// Who pays money out.
    pub(crate) bank: bank::Settings,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            deposit_within_s: domain::DEPOSIT_WITHIN.as_secs(),
            acquirer: acquirer::Settings::default(),
            settle_after_s: 3_600,
            bank: bank::Settings::default(),
        }
    }
}
