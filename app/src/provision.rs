//! A database and a role for each service. No role may enter another's
//! database; one more, the verifier, may read them all and change none. Creates
//! what is missing; never drops or empties anything.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result};
use base::cause_of;
use pg::Connector;
use tokio_postgres::{Client, config::Host};

/// What the roles and databases of services are called, before the service's name.
pub const PREFIX: &str = "hansang_";
/// Stands for a service's name where `hansang verify` connects.
pub const VERIFIER: &str = "verify";

/// How roles prove who they are.
#[derive(Debug, Clone)]
pub enum Entry {
    /// By having entered the socket's private directory.
    Socket,
    /// By a password each, by the service's name.
    Passwords(BTreeMap<String, String>),
}

impl Entry {
    fn password(&self, service: &str) -> Option<&str> {
        match self {
            Self::Socket => None,
            Self::Passwords(passwords) => passwords.get(service).map(String::as_str),
        }
    }
}

/// Creates what `services` lack, as the administrator that `admin` connects as. Answers the URL of a
/// service's own database as its own role, in which `{service}` stands for its name; without its
/// password.
pub async fn provision(
    admin: &Connector,
    prefix: &str,
    services: impl IntoIterator<Item = &str>,
    entry: &Entry,
) -> Result<String> {
    let (client, connection) = admin.connect().await.map_err(|error| unreachable(&error))?;
    let verifier = format!("{prefix}{VERIFIER}");
    ensure_verifier(&client, &verifier, entry.password(VERIFIER))
        .await
        .with_context(|| format!("cannot create the role {verifier}"))?;
    for service in services {
        let name = format!("{prefix}{service}");
        ensure(&client, &name, entry.password(service))
            .await
            .with_context(|| format!("cannot create the database and role {name}"))?;
        let_read(admin, &client, &name, &verifier)
            .await
            .with_context(|| format!("cannot let {verifier} read the database {name}"))?;
    }
    drop(client);
    let _ = connection.await;
    Ok(url_template(admin, prefix))
}

/// The URL that [`provision`] answers.
pub(crate) fn url_template(admin: &Connector, prefix: &str) -> String {
    let (query, admin) = (admin.query(), admin.config());
    let ports = admin.get_ports();
    let port = |at: usize| ports.get(at).or(ports.first()).copied().unwrap_or(5432);
    let hosts: Vec<String> = admin
        .get_hosts()
        .iter()
        .enumerate()
        .map(|(at, host)| match host {
            Host::Tcp(name) if name.contains(':') => format!("[{name}]:{}", port(at)),
            Host::Tcp(name) => format!("{name}:{}", port(at)),
            Host::Unix(path) => format!("{}:{}", percent_encode(&path.to_string_lossy()), port(at)),
        })
        .collect();
    let hosts = hosts.join(",");
    format!("postgres://{prefix}{{service}}@{hosts}/{prefix}{{service}}{query}")
}

/// A path as the host part of a URL.
fn percent_encode(path: &str) -> String {
    use std::fmt::Write as _;
    path.bytes().fold(String::with_capacity(path.len() * 2), |mut out, byte| {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.') {
            out.push(char::from(byte));
        } else {
            let _ = write!(out, "%{byte:02X}");
        }
        out
    })
}

async fn ensure_verifier(
    client: &Client,
    name: &str,
    password: Option<&str>,
) -> Result<(), tokio_postgres::Error> {
    ensure_role(client, name, password).await?;
    let alter = "select format('alter role %I set default_transaction_read_only = on', $1::text)";
    execute(client, alter, &[&name]).await
}

async fn ensure_role(
    client: &Client,
    name: &str,
    password: Option<&str>,
) -> Result<(), tokio_postgres::Error> {
    let sql = "select exists (select from pg_roles where rolname = $1::text)";
    if !client.query_one(sql, &[&name]).await?.get::<_, bool>(0) {
        let create = "select format('create role %I login', $1::text) \
                      || coalesce(format(' password %L', $2::text), '')";
        execute(client, create, &[&name, &password]).await?;
    } else if password.is_some() {
        // It is kept here; a new data directory has a new one.
        let alter = "select format('alter role %I password %L', $1::text, $2::text)";
        execute(client, alter, &[&name, &password]).await?;
    }
    Ok(())
}

async fn ensure(
    client: &Client,
    name: &str,
    password: Option<&str>,
) -> Result<(), tokio_postgres::Error> {
    ensure_role(client, name, password).await?;
    let there = client
        .query_one(
            "select exists (select from pg_database where datname = $1::text) as database, \
                    exists (select from pg_database where datname = $1::text \
                            and has_database_privilege('public', oid, 'connect')) as open",
            &[&name],
        )
        .await?;
    if !there.get::<_, bool>("database") {
        // To give a database away, one has to be in the role that gets it.
        execute(client, "select format('grant %I to current_user', $1::text)", &[&name]).await?;
        let create = "select format('create database %1$I owner %1$I template template0 \
                      encoding ''UTF8''', $1::text)";
        execute(client, create, &[&name]).await?;
    }
    if !there.get::<_, bool>("database") || there.get::<_, bool>("open") {
        let revoke = "select format('revoke all on database %I from public', $1::text)";
        execute(client, revoke, &[&name]).await?;
    }
    Ok(())
}

/// Grants the reader what the owner of the database has in it, and what later migrations will add.
async fn let_read(admin: &Connector, client: &Client, name: &str, reader: &str) -> Result<()> {
    let sql = "select has_database_privilege($1::text, $2::text, 'connect')";
    // Granted last of all, so the rest is there too.
    if client.query_one(sql, &[&reader, &name]).await?.get::<_, bool>(0) {
        return Ok(());
    }
    let inside = admin.with(|config| {
        config.dbname(name);
    });
    let (inside, connection) = inside.connect().await?;
    let grant = "select format('begin; set local role %1$I; \
                 grant select on all tables in schema public to %2$I; \
                 alter default privileges in schema public grant select on tables to %2$I; \
                 grant connect on database %1$I to %2$I; commit', $1::text, $2::text)";
    execute(&inside, grant, &[&name, &reader]).await?;
    drop(inside);
    let _ = connection.await;
    Ok(())
}

/// Has Postgres write the statement, names quoted, and then runs it: DDL takes no parameters.
async fn execute(
    client: &Client,
    statement: &str,
    params: &[&(dyn tokio_postgres::types::ToSql + Sync)],
) -> Result<(), tokio_postgres::Error> {
    let statement: String = client.query_one(statement, params).await?.get(0);
    client.batch_execute(&statement).await
}

/// One line that says what did not answer, without the password.
pub fn unreachable(error: &tokio_postgres::Error) -> anyhow::Error {
    let cause = cause_of(error);
    anyhow::anyhow!("cannot reach the database (database.url): {cause}")
}

#[cfg(test)]
mod tests {
    use settings::DatabaseSettings;
    use tokio_postgres::Config;

    use super::*;

    #[test]
    fn a_service_connects_as_the_administrator_does() {
        let url = "postgres://root@a,b/postgres?sslmode=require&target_session_attrs=read-write";
        let admin = Connector::to(&DatabaseSettings::default(), url).unwrap();
        let own = url_template(&admin, PREFIX);
        assert!(own.ends_with("?sslmode=require&target_session_attrs=read-write"), "{own}");
    }

    #[test]
    fn a_service_connects_where_the_administrator_does() {
        for url in
            ["postgres://root:pw@db:6432/postgres", "postgres://root@%2Ftmp%2F한상 {x}:6432/x"]
        {
            let admin = Connector::to(&DatabaseSettings::default(), url).unwrap();
            let own = url_template(&admin, PREFIX).replace("{service}", "order");
            let own: Config = own.parse().unwrap();
            assert_eq!(own.get_hosts(), admin.config().get_hosts());
            assert_eq!(own.get_ports(), admin.config().get_ports());
            assert_eq!(own.get_user(), Some("hansang_order"));
            assert_eq!(own.get_dbname(), Some("hansang_order"));
            assert_eq!(own.get_password(), None, "the administrator's");
        }
    }
}
