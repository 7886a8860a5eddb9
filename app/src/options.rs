//! Options that several commands have: the file of settings, and what is set by it, by the environment and by
//! flags.

use std::path::PathBuf;

use anyhow::{Context as _, Result};
use clap::Args;
use settings::Settings;

use crate::run;

/// Where settings come from.
#[derive(Debug, Clone, Args)]
pub(crate) struct ConfigFile {
    /// A TOML file with settings; the environment (`HANSANG__DATABASE__URL`, …) overrides it
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
}

impl ConfigFile {
    /// All settings; `flags` override the others.
    pub(crate) fn load(&self, flags: Vec<(&'static str, String)>) -> Result<Settings> {
        if let Some(path) = &self.config {
            // The layers' own message does not always name the file.
            std::fs::metadata(path).with_context(|| format!("--config {}", path.display()))?;
        }
        let env = std::env::vars_os().filter_map(|(name, value)| {
            Some((name.into_string().ok()?, value.into_string().ok()?))
        });
        let services = run::SERVICES.iter().map(|service| service.name);
        let services: Vec<_> = services.chain([run::WEB]).collect();
        let loaded = Settings::load(self.config.as_deref(), env, flags)
            .and_then(|settings| settings.check_services(&services).map(|()| settings));
        loaded.map_err(|error| anyhow::anyhow!(in_one_line(&error.to_string())))
    }
}

/// A syntax error comes with a drawing of the place; its words are enough.
fn in_one_line(message: &str) -> String {
    let margin = |c: char| c.is_ascii_digit() || c == ' ';
    let drawn = |line: &&str| line.trim_start_matches(margin).starts_with('|');
    message.lines().filter(|line| !drawn(line)).map(str::trim).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_syntax_error_is_told_in_one_line() {
        let drawn = "parse error at line 1, column 6\n  |\n1 | [http\n  |      ^\nunclosed table";
        assert_eq!(in_one_line(drawn), "parse error at line 1, column 6 unclosed table");
    }
}
