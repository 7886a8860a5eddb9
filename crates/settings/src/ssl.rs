//! How much TLS to Postgres there has to be, in libpq's words.

use std::{fmt, str::FromStr};

use base::{Error, error::Kind};
use serde::{Deserialize, Serialize};

/// libpq's `sslmode`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SslMode {
    /// No TLS.
    Disable,
    /// TLS where the server has it; nothing is checked.
    #[default]
    Prefer,
    /// TLS; nothing is checked, unless a root certificate is given.
    Require,
    /// TLS with a server whose certificate comes from a trusted authority.
    VerifyCa,
    /// TLS with a server that such a certificate names.
    VerifyFull,
}

impl SslMode {
    const ALL: [Self; 5] =
        [Self::Disable, Self::Prefer, Self::Require, Self::VerifyCa, Self::VerifyFull];

    fn name(self) -> &'static str {
        match self {
            Self::Disable => "disable",
            Self::Prefer => "prefer",
            Self::Require => "require",
            Self::VerifyCa => "verify-ca",
            Self::VerifyFull => "verify-full",
        }
    }
}

impl fmt::Display for SslMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for SslMode {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        Self::ALL.into_iter().find(|mode| mode.name() == text).ok_or_else(|| {
            let all = Self::ALL.map(Self::name).join(", ");
            let detail = format!("database.url: sslmode {text:?} is none of {all}");
            Error::new(Kind::Invalid, "DATABASE_URL", detail)
        })
    }
}
