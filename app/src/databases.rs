//! Where `up` keeps the services' databases: on the embedded Postgres, or on a
//! server that it is given. Either way each service gets its own.

use std::{convert::Infallible, path::Path};

use anyhow::Result;
use pg::Connector;
use settings::{DatabaseSettings, Secret};

use embedded_postgres::Embedded;

use crate::{
    passwords,
    provision::{self, Entry, PREFIX, VERIFIER},
    run::SERVICES,
};

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
            let roles = names.clone().chain([VERIFIER]);
            let entry = Entry::Passwords(passwords::ensure(data_dir, roles)?);
            let url = provision::provision(&admin, PREFIX, names, &entry).await?;
            passwords::forget_secret(data_dir)?;
            settings.url = Secret::new(url);
            settings.password_path = Some(passwords::path(data_dir));
        }
        Ok(Self::Server)
    }

    /// Where the databases are that an [`open`](Self::open) with the same settings made ready, as the
    /// settings that it wrote. Starts nothing, makes nothing.
    pub(crate) fn find(settings: &DatabaseSettings, data_dir: &Path) -> Result<DatabaseSettings> {
        let (mut found, given) = (settings.clone(), settings.url.expose());
        if given == DatabaseSettings::default().url.expose() {
            let admin = embedded_postgres::running(data_dir)?;
            let admin = embedded_postgres::admin(admin)?;
            found.url = Secret::new(provision::url_template(&admin, PREFIX));
        } else if !given.contains("{service}") {
            let admin = Connector::to(settings, given)?;
            found.url = Secret::new(provision::url_template(&admin, PREFIX));
            found.password_path = Some(passwords::path(data_dir));
        }
        Ok(found)
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
