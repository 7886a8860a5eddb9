//! `hansang token`: a token for a person who runs the system, to call the services
//! with (grpcurl, say). Signed here with the operators' key: whoever can read that
//! may. Asks nobody, and cannot make one for a member: they sign in.

use std::{
    fs,
    path::{Path, PathBuf},
    time::SystemTime,
};

use anyhow::{Context as _, Result};
use clap::{Args, builder::NonEmptyStringValueParser};
use identity::auth::Identity;
use settings::{AuthSettings, Secret};

use crate::{console::say, keys, options::ConfigFile};

/// Whose token, and where the key is.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Issue an operator's token; the name appears in logs
    #[arg(
        long, value_name = "NAME", required = true, num_args = 0..=1,
        default_missing_value = "operator", value_parser = NonEmptyStringValueParser::new()
    )]
    operator: String,
    /// Data directory of `hansang up`, to find the key if the settings have none
    #[arg(long, value_name = "DIR", default_value = ".hansang")]
    data_dir: PathBuf,
    #[command(flatten)]
    config: ConfigFile,
}

/// Prints a token that is good for minutes.
pub(crate) fn token(options: &Options) -> Result<()> {
    let auth = with_key(options.config.load(Vec::new())?.auth, &options.data_dir)?;
    say(sign(&options.operator, &auth)?);
    Ok(())
}

/// With the operators' key of `hansang up`, where the settings have none.
pub(crate) fn with_key(mut auth: AuthSettings, data_dir: &Path) -> Result<AuthSettings> {
    if auth.operator_key.expose().is_empty() && auth.service_key.expose().is_empty() {
        let path = keys::operator_key(data_dir);
        let key = fs::read_to_string(&path).with_context(|| {
            format!("cannot read {}: is it the --data-dir of a `hansang up`?", path.display())
        })?;
        auth.operator_key = Secret::new(key);
    }
    Ok(auth)
}

fn sign(name: &str, auth: &AuthSettings) -> Result<String> {
    let header = Identity::operator(name, auth)?.bearer(SystemTime::now())?;
    let token = header.to_str().context("not ASCII")?;
    Ok(token.trim_start_matches("Bearer ").to_owned())
}

#[cfg(test)]
mod tests {
    use identity::auth::{Caller, Verifier};

    use super::*;
    use crate::keys::Keys;

    #[test]
    fn a_token_is_the_operators_to_whoever_has_the_public_key() {
        let dir = tempfile::tempdir().unwrap();
        let keys = Keys::ensure(dir.path()).unwrap();
        let auth = with_key(AuthSettings::default(), dir.path()).unwrap();
        let header = format!("Bearer {}", sign("kim", &auth).unwrap());
        let services_jwks = fs::read_to_string(keys.services_jwks).unwrap();
        let public = AuthSettings { services_jwks, ..AuthSettings::default() };
        let caller = Verifier::new(&public).unwrap().caller(Some(&header)).unwrap();
        assert_eq!(caller, Caller::Operator("kim".into()));
    }
}
