//! A database of several hosts. Each has its share of the time to let us in: the
//! driver's own limit ends with the TCP handshake, which the system of a server that
//! has stopped still answers. The host that did last is asked first.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use futures_util::future::BoxFuture;
use tokio::{task::JoinHandle, time::timeout};
use tokio_postgres::{Client, Config, config::Host};

use super::{
    Connector,
    passwords::{self, Passwords},
};

/// Which of the hosts was the primary when last asked.
pub(super) type Last = Arc<AtomicUsize>;

impl Connector {
    /// Connects to the first host that lets us in and is what the URL asks for. The task ends with
    /// the connection.
    pub async fn connect(&self) -> Result<(Client, JoinHandle<()>), tokio_postgres::Error> {
        let config = self.config();
        let hosts = config.get_hosts().len().max(config.get_hostaddrs().len()).max(1);
        let first = self.last.load(Ordering::Relaxed);
        let mut failure = None;
        for at in (first..first + hosts).map(|at| at % hosts) {
            match self.enter(only(config, at)).await {
                Ok(entered) => {
                    self.last.store(at, Ordering::Relaxed);
                    return Ok(entered);
                }
                Err(error) => failure = Some(error),
            }
        }
        Err(failure.unwrap_or_else(tokio_postgres::Error::__private_api_timeout))
    }

    /// Connects to one host, by the first password that it takes.
    async fn enter(
        &self,
        mut one: Config,
    ) -> Result<(Client, JoinHandle<()>), tokio_postgres::Error> {
        let passwords = self.passwords.as_ref().map(Passwords::now).unwrap_or_default();
        let mut passwords = passwords.iter();
        loop {
            if let Some(password) = passwords.next() {
                one.password(password);
            }
            let connecting = timeout(self.share, one.connect(self.tls())).await;
            match connecting.unwrap_or_else(|_| Err(tokio_postgres::Error::__private_api_timeout()))
            {
                Ok((client, connection)) => {
                    let task = tokio::spawn(async move {
                        if let Err(error) = connection.await {
                            // Whoever needs it says what that means; there may be many.
                            tracing::debug!(%error, "a connection to the database broke");
                        }
                    });
                    return Ok((client, task));
                }
                Err(error) if passwords::refused(&error) && passwords.len() > 0 => {}
                Err(error) => return Err(error),
            }
        }
    }
}

impl deadpool_postgres::Connect for Connector {
    /// For a pool: the configuration is our own.
    fn connect(
        &self,
        _: &Config,
    ) -> BoxFuture<'_, Result<(Client, JoinHandle<()>), tokio_postgres::Error>> {
        Box::pin(Self::connect(self))
    }
}

/// The configuration with that one of its hosts alone.
fn only(config: &Config, at: usize) -> Config {
    let mut one = Config::new();
    match config.get_hosts().get(at) {
        Some(Host::Tcp(host)) => {
            one.host(host);
        }
        Some(Host::Unix(path)) => {
            one.host_path(path);
        }
        None => {}
    }
    config.get_hostaddrs().get(at).map(|address| one.hostaddr(*address));
    config.get_ports().get(at).or(config.get_ports().first()).map(|port| one.port(*port));
    config.get_user().map(|user| one.user(user));
    config.get_password().map(|password| one.password(password));
    config.get_dbname().map(|name| one.dbname(name));
    config.get_options().map(|options| one.options(options));
    config.get_application_name().map(|name| one.application_name(name));
    config.get_connect_timeout().map(|time| one.connect_timeout(*time));
    config.get_tcp_user_timeout().map(|time| one.tcp_user_timeout(*time));
    config.get_keepalives_interval().map(|time| one.keepalives_interval(time));
    config.get_keepalives_retries().map(|retries| one.keepalives_retries(retries));
    one.keepalives(config.get_keepalives())
        .keepalives_idle(config.get_keepalives_idle())
        .ssl_mode(config.get_ssl_mode())
        .ssl_negotiation(config.get_ssl_negotiation())
        .target_session_attrs(config.get_target_session_attrs())
        .channel_binding(config.get_channel_binding())
        .load_balance_hosts(config.get_load_balance_hosts());
    one
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_host_alone_is_reached_as_all_are() {
        let of = |hosts: &str| {
            let rest = "d?target_session_attrs=read-write&application_name=x&keepalives_idle=7\
                        &keepalives_interval=8&keepalives_retries=9&tcp_user_timeout=10\
                        &connect_timeout=11&channel_binding=disable&options=-cjit%3Doff\
                        &sslmode=require&load_balance_hosts=random";
            format!("postgres://u:p@{hosts}/{rest}").parse::<Config>().expect("a URL")
        };
        let all = of("a:1,b:2");
        assert_eq!(only(&all, 0), of("a:1"));
        assert_eq!(only(&all, 1), of("b:2"));
        let one_port = "host=a,%2Fb port=3".parse::<Config>().expect("a URL");
        assert_eq!(only(&one_port, 0), "host=a port=3".parse::<Config>().expect("a URL"));
    }
}
