//! What delivery can be told on its own: the section `[service.delivery]`.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::carrier;

/// The section `[service.delivery]`.
#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Settings {
    /// Carriers whose notices are believed, by the name that their webhook's path has.
    pub(crate) carriers: BTreeMap<String, carrier::Settings>,
}
