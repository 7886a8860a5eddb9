//! What notification can be told on its own: the section `[service.notification]`.

use serde::Deserialize;
use settings::Secret;

/// The section `[service.notification]`.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Settings {
    /// The mail server: `smtps://user:password@host:465`, `smtp://host:587?tls=required`, or
    /// `smtp://host:25` in the clear; a path is the name that we greet it with. Its certificate is
    /// checked against the system's. Absent: no email.
    pub(crate) smtp_url: Secret,
    /// Whom emails are from: `Hansang <shop@example.com>`. Required with `smtp_url`.
    pub(crate) mail_from: String,
    /// Where those for ADMIN go; absent: none are sent.
    pub(crate) admin_to: String,
    /// Where those for MARKETING go; absent: none are sent.
    pub(crate) marketing_to: String,
}
