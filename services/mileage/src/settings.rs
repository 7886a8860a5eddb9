//! What mileage can be told on its own: the section `[service.mileage]`.

use serde::Deserialize;

use crate::domain::Rate;

/// The section `[service.mileage]`.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct MileageSettings {
    /// Points per won paid, in basis points: 100, when absent, is 1%; at most 10,000. What was
    /// earned before a change stays as it is.
    pub(crate) basis_points: Rate,
}
