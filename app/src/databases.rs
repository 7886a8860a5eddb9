//! Where `up` keeps the services' databases: on the embedded Postgres, or on a
//! server that it is given. Either way each service gets its own.

use std::{convert::Infallible, fs, io::ErrorKind, path::Path};

use anyhow::{Context as _, Result};
use pg::Connector;
use settings::{DatabaseSettings, Secret};

use embedded_postgres::Embedded;

use crate::{
    data_dir::write_private,
    logins,
    provision::{self, Entry, PREFIX},
    run::SERVICES,
};

/// The file in the data directory that keeps what passwords are made of.
const SECRET: &str = "database_secret";

/// Where the databases are, for as long as the deployment is up.
#[derive(Debug)]
pub(crate) enum Databases {
    /// On a Postgres of our own.
    Embedded(Box<Embedded>),
    /// On somebody else's.
    Server,
}

impl Databases {
    /// Makes the databases ready and writes into `settings` where they are. A URL that is set and
    /// names no `{service}` is an administrator's.
    pub(crate) async fn open(settings: &mut DatabaseSettings, data_dir: &Path) -> Result<Self> {
        let names = SERVICES.iter().map(|service| service.name);
        let given = settings.url.expose();
        if given == DatabaseSettings::default().url.expose() {
            let embedded = Embedded::start(data_dir).await?;
            let admin = embedded.admin()?;
            return match provision::provision(&admin, PREFIX, names, &Entry::Socket).await {
                Ok(url) => {
                    settings.url = Secret::new(url);
                    Ok(Self::Embedded(Box::new(embedded)))
                }
                Err(error) => {
                    embedded.stop().await;
                    Err(error)
                }
            };
        }
        if !given.contains("{service}") {
            let admin = Connector::to(settings, given)?;
            let entry = Entry::Secret(secret(data_dir)?);
            let url = provision::provision(&admin, PREFIX, names, &entry).await?;
            settings.url = Secret::new(url);
        }
        Ok(Self::Server)
    }

    /// Where the databases are that an [`open`](Self::open) with the same settings made ready, as the
    /// URL that it wrote. Starts nothing, makes nothing.
    pub(crate) fn find(settings: &DatabaseSettings, data_dir: &Path) -> Result<String> {
        let given = settings.url.expose();
        if given == DatabaseSettings::default().url.expose() {
            let admin = embedded_postgres::running(data_dir)?;
            let admin = embedded_postgres::admin(admin)?;
            return Ok(provision::url_template(&admin, PREFIX, &Entry::Socket));
        }
        if given.contains("{service}") {
            return Ok(settings.with_tls(given));
        }
        let admin = Connector::to(settings, given)?;
        let path = data_dir.join(SECRET);
        let secret = fs::read_to_string(&path).with_context(|| {
            format!("cannot read {}; give the --data-dir of `hansang up`", path.display())
        })?;
        let entry = Entry::Secret(secret.trim().to_owned());
        Ok(provision::url_template(&admin, PREFIX, &entry))
    }

    /// How a person looks inside.
    pub(crate) fn for_people(&self) -> String {
        match self {
            Self::Embedded(embedded) => match embedded.elsewhere() {
                Some(path) => format!("{}    files in {}", embedded.psql(), path.display()),
                None => embedded.psql(),
            },
            Self::Server => "the databases are on the server of database.url".to_owned(),
        }
    }

    /// Keeps the embedded Postgres running.
    pub(crate) async fn keep(&mut self) -> Infallible {
        match self {
            Self::Embedded(embedded) => embedded.keep().await,
            Self::Server => std::future::pending().await,
        }
    }

    /// Stops what was started.
    pub(crate) async fn close(self) {
        if let Self::Embedded(embedded) = self {
            embedded.stop().await;
        }
    }
}

/// What the roles' passwords are made of, on a server that anyone may reach.
fn secret(data_dir: &Path) -> Result<String> {
    let path = data_dir.join(SECRET);
    match fs::read_to_string(&path) {
        Ok(secret) => Ok(secret.trim().to_owned()),
        Err(error) if error.kind() == ErrorKind::NotFound => {
            let secret = logins::password();
            write_private(&path, secret.as_bytes())?;
            Ok(secret)
        }
        Err(error) => Err(error).context(format!("cannot read {}", path.display())),
    }
}
