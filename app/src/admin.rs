//! `hansang admin`: what a deployment needs before it has an admin. Goes to member's database itself,
//! as nobody may do it over the network.

use std::path::PathBuf;

use anyhow::{Context as _, Result, bail};
use base::error::Kind;
use clap::{Args, Subcommand};
use identity::auth::Role;
use pg::Database;

use crate::{console::say, databases::Databases, options::ConfigFile};

/// What can be done.
#[derive(Debug, Subcommand)]
pub(crate) enum Admin {
    /// Grant a role to a member who has signed up
    Grant(Grant),
}

#[derive(Debug, Args)]
#[command(after_help = "\
The member has to sign up first, and to sign in again afterwards, since the token has the roles. \
Once there is an admin, admins grant roles with POST /v1/members/{id}:grantRole.")]
pub(crate) struct Grant {
    /// The address that the member signed up with
    #[arg(long)]
    email: String,
    /// SELLER or ADMIN
    #[arg(long, default_value = "ADMIN")]
    role: String,
    /// Data directory of `hansang up`, to find its Postgres
    #[arg(long, value_name = "DIR", default_value = ".hansang")]
    data_dir: PathBuf,
    #[command(flatten)]
    config: ConfigFile,
}

/// Runs the command.
pub(crate) async fn run(command: &Admin) -> Result<()> {
    let Admin::Grant(Grant { email, role, data_dir, config }) = command;
    let granted = match role.as_str() {
        "ADMIN" => Role::Admin,
        "SELLER" => Role::Seller,
        other => bail!("--role {other}: must be SELLER or ADMIN"),
    };
    let mut settings = config.load(Vec::new())?;
    settings.database = Databases::find(&settings.database, data_dir)?;
    let database = Database::new(&settings.database, member::SERVICE.name)?;
    match member::grant(&database, email, granted).await {
        Ok(true) => say(format_args!("{email} has the role {role} from the next sign-in on")),
        Ok(false) => say(format_args!("{email} has the role {role} already")),
        Err(error) if error.kind() == Kind::NotFound => {
            bail!("nobody has signed up with {email}, or they have withdrawn")
        }
        Err(error) => return Err(error).context("cannot grant the role"),
    }
    Ok(())
}
