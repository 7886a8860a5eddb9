//! The command line: the commands, and which module carries out each. Says
//! nothing of how.

use std::net::SocketAddr;

use anyhow::{Context as _, Result};
use clap::{Args, Parser, Subcommand};
use settings::Settings;

use crate::{
    admin, console, demo, healthcheck, load, operate, options::ConfigFile, run, signals, token, up,
    verify,
};

/// Hansang (한상): a commerce backend, every context a bowl on one table.
#[derive(Debug, Parser)]
#[command(name = "hansang", version, propagate_version = true, disable_help_subcommand = true)]
#[command(after_help = "Try `hansang demo`: it starts everything and plays five stories.")]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run everything on this machine, with a Postgres of its own, until Ctrl-C
    Up(up::Options),
    /// Run everything on this machine and play five stories, printing each step
    Demo {
        #[command(flatten)]
        up: up::Options,
        /// Exit after the stories: with status 0 if every step did what it should
        #[arg(long)]
        exit: bool,
    },
    /// Run some services, or all, against existing databases
    Serve {
        #[command(flatten)]
        selection: Selected,
        #[command(flatten)]
        config: ConfigFile,
        #[command(flatten)]
        listen: Listen,
        /// Exit as soon as standard input is closed: the parent process is gone
        #[arg(long, hide = true)]
        lifeline: bool,
    },
    /// Check every invariant of a running deployment; exit with status 0 if all hold
    Verify(verify::Options),
    /// Send one request to a running deployment repeatedly, and report latencies and status codes
    Load(load::Options),
    /// Migrate the services' databases, and exit
    Migrate {
        #[command(flatten)]
        selection: Selected,
        #[command(flatten)]
        config: ConfigFile,
    },
    /// Show the configuration
    Config {
        #[command(subcommand)]
        command: ConfigCommand,
    },
    /// Ask a running process for its health; exit with status 0 if it is healthy
    Healthcheck(healthcheck::Options),
    /// Issue a short-lived token for calls to the services
    Token(token::Options),
    /// Set up the first admin of a deployment
    #[command(subcommand)]
    Admin(admin::Admin),
    /// List parts of event logs that were lost, and accept a loss
    #[command(subcommand)]
    Log(operate::Log),
    /// List parked events, replay them, or discard them
    #[command(subcommand)]
    Parked(operate::Parked),
}

#[derive(Debug, Subcommand)]
enum ConfigCommand {
    /// Print all settings in effect, from file, environment and flags; secrets as ***
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

/// Where to listen, instead of where the settings say.
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

impl Cli {
    /// Runs the command to its end.
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
    fn services_are_named_after_run() {
        let cli = Cli::parse_from(["hansang", "serve", "--run", "order,gateway"]);
        let Command::Serve { selection, .. } = cli.command else { panic!("not serve") };
        assert_eq!(selection.run, ["order", "gateway"]);
    }
}
