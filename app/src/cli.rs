//! The command line: the commands, and which module carries out each. Says
//! nothing of how.

use std::{net::SocketAddr, path::PathBuf};

use anyhow::{Context as _, Result};
use clap::{Args, Parser, Subcommand};
use settings::Settings;

use crate::{admin, console, demo, healthcheck, load, operate, run, signals, token, up, verify};

/// Hansang (한상): a commerce backend, every context a bowl on one table.
#[derive(Debug, Parser)]
#[command(name = "hansang", version, propagate_version = true, disable_help_subcommand = true)]
#[command(after_help = "Try `hansang demo`: it brings everything up and shows an order's life.")]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run everything here, on a Postgres of its own, until Ctrl-C
    Up(up::Options),
    /// Run everything here and play the five stories, printing each step
    Demo {
        #[command(flatten)]
        up: up::Options,
        /// Leave after the stories: with 0 when every step did what it should
        #[arg(long)]
        exit: bool,
    },
    /// Run some services, or all, on databases that are there
    Serve {
        #[command(flatten)]
        selection: Selected,
        #[command(flatten)]
        config: ConfigFile,
        #[command(flatten)]
        listen: Listen,
        /// End at once when standard input closes: whoever started this is gone
        #[arg(long, hide = true)]
        lifeline: bool,
    },
    /// Check that what must always hold does hold, in a running deployment: 0 when it does
    Verify(verify::Options),
    /// Load a running deployment with one request, again and again, and say how it was answered
    Load(load::Options),
    /// Bring the services' databases up to date, and leave
    Migrate {
        #[command(flatten)]
        selection: Selected,
        #[command(flatten)]
        config: ConfigFile,
    },
    /// Look at the configuration
    Config {
        #[command(subcommand)]
        command: ConfigCommand,
    },
    /// Ask a running hansang whether it is well: 0 when it is
    Healthcheck(healthcheck::Options),
    /// Print a short-lived token to call the services with
    Token(token::Options),
    /// What a deployment needs before it has an admin
    #[command(subcommand)]
    Admin(admin::Admin),
    /// Look at parts of event logs that were lost, and accept a loss
    #[command(subcommand)]
    Log(operate::Log),
    /// Look at parked events, replay them, or discard them
    #[command(subcommand)]
    Parked(operate::Parked),
}

#[derive(Debug, Subcommand)]
enum ConfigCommand {
    /// Print what is in effect, from file, environment and flags; secrets as ***
    Print {
        #[command(flatten)]
        config: ConfigFile,
        #[command(flatten)]
        listen: Listen,
    },
}

/// Which parts of the deployment.
#[derive(Debug, Args)]
struct Selected {
    /// What to run, by name, separated by commas: services, gateway, web [default: all]
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    run: Vec<String>,
}

/// Where settings come from.
#[derive(Debug, Clone, Args)]
pub(crate) struct ConfigFile {
    /// A TOML file with settings; the environment (`HANSANG__DATABASE__URL`, …) goes above it
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
}

/// Where to listen, when the settings should not say.
#[derive(Debug, Args)]
struct Listen {
    /// Where the gateway listens [default: 127.0.0.1:8080]
    #[arg(long, value_name = "ADDRESS")]
    http: Option<SocketAddr>,
    /// Where the services listen [default: 127.0.0.1:50051]
    #[arg(long, value_name = "ADDRESS")]
    grpc: Option<SocketAddr>,
}

impl Listen {
    fn flags(&self) -> Vec<(&'static str, String)> {
        let http = self.http.map(|address| ("http.listen", address.to_string()));
        let grpc = self.grpc.map(|address| ("grpc.listen", address.to_string()));
        http.into_iter().chain(grpc).collect()
    }
}

impl ConfigFile {
    /// Everything that is set, with `flags` above all.
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

impl Cli {
    /// Does what was asked for; answers when that is done.
    pub fn run(self) -> Result<()> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .enable_all()
            .build()
            .context("cannot start the runtime")?;
        let done = runtime.block_on(async {
            let done = match self.command {
                Command::Up(options) => up::up(options, signals::stop()).await,
                Command::Demo { up, exit } => demo::demo(up, exit, signals::stop()).await,
                Command::Serve { selection, config, listen, lifeline } => {
                    if lifeline {
                        signals::end_with_keeper().context("cannot watch standard input")?;
                    }
                    let settings = config.load(listen.flags())?;
                    let selection = run::Selection::parse(&selection.run)?;
                    Box::pin(run::serve(settings, &selection, signals::stop())).await
                }
                Command::Verify(options) => verify::run(&options).await,
                Command::Load(options) => load::run(&options, signals::stop()).await,
                Command::Migrate { selection, config } => {
                    let settings = config.load(Vec::new())?;
                    run::migrate(&settings, &run::Selection::parse(&selection.run)?).await
                }
                Command::Config { command: ConfigCommand::Print { config, listen } } => {
                    print(&config.load(listen.flags())?)
                }
                Command::Healthcheck(options) => healthcheck::healthcheck(&options).await,
                Command::Token(options) => token::token(&options),
                Command::Admin(command) => admin::run(&command).await,
                Command::Log(command) => operate::log(command).await,
                Command::Parked(command) => operate::parked(command).await,
            };
            telemetry::shutdown().await;
            done
        });
        // What is blocked in the system does not hold up the end.
        runtime.shutdown_background();
        done
    }
}

/// A syntax error comes with a drawing of the place; its words are enough.
fn in_one_line(message: &str) -> String {
    let margin = |c: char| c.is_ascii_digit() || c == ' ';
    let drawn = |line: &&str| line.trim_start_matches(margin).starts_with('|');
    message.lines().filter(|line| !drawn(line)).map(str::trim).collect::<Vec<_>>().join(" ")
}

fn print(settings: &Settings) -> Result<()> {
    let text = toml::to_string_pretty(settings).context("cannot print the configuration")?;
    console::say(text.trim_end());
    Ok(())
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn a_syntax_error_is_told_in_one_line() {
        let drawn = "parse error at line 1, column 6\n  |\n1 | [http\n  |      ^\nunclosed table";
        assert_eq!(in_one_line(drawn), "parse error at line 1, column 6 unclosed table");
    }

    #[test]
    fn services_are_named_after_run() {
        let cli = Cli::parse_from(["hansang", "serve", "--run", "order,gateway"]);
        let Command::Serve { selection, .. } = cli.command else { panic!("not serve") };
        assert_eq!(selection.run, ["order", "gateway"]);
    }
}
