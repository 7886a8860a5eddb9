//! Services on real Postgres, in this process, as one would meet them: over gRPC,
//! with tokens. Other contexts are played by the test itself, which publishes
//! their events.

use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
    time::SystemTime,
};

use base::{Error, Stop};
use identity::auth::{self, Identity, Issuer, Role};
use pg::Database;
use rpc::IDEMPOTENCY_KEY;
use schema::Api;
use server::{Server, Service};
use settings::{AuthSettings, Secret, Settings};
use tokio::{net::TcpListener, task::JoinHandle};
use tokio_util::sync::CancellationToken;
use tonic::{
    Request,
    transport::{Channel, Endpoint},
};
use uuid::Uuid;

/// Signs everything in tests, and nothing else.
const KEY: &str = "\
-----BEGIN PRIVATE KEY-----
MC4CAQAwBQYDK2VwBCIEIIyGe021yBkxVNQNRddBWim0CI2Y09LuJCG5UDjz7MaX
-----END PRIVATE KEY-----
";

/// Keys for tests.
pub fn auth() -> AuthSettings {
    let key = Secret::new(KEY);
    let jwk = auth::public_jwk("key", &key).expect("the key is one");
    AuthSettings {
        jwks: serde_json::json!({ "keys": [jwk] }).to_string(),
        signing_key: key.clone(),
        service_key: key,
        ..AuthSettings::default()
    }
}

/// Who calls.
#[derive(Clone, Copy, Debug)]
pub enum As {
    /// Someone without a token.
    Nobody,
    /// A member.
    Member(Uuid),
    /// A member who sells.
    Seller(Uuid),
    /// A member who runs the shop.
    Admin(Uuid),
    /// A service, for nobody in particular.
    Service(&'static str),
    /// A service, on behalf of a member.
    ServiceFor(&'static str, Uuid),
}

/// Services that run for the length of a test.
pub struct Stage {
    settings: Settings,
    channel: Channel,
    stop: CancellationToken,
    serving: JoinHandle<Result<(), Error>>,
    /// Those that were looked into, by service.
    databases: Mutex<BTreeMap<String, Database>>,
}

impl Stage {
    /// Runs these services on one listener, each with a database of its own.
    ///
    /// # Panics
    /// When they do not start.
    pub async fn open(services: &[&'static Service], api: &'static Api) -> Self {
        Self::open_with(services, api, |_| {}).await.expect("the services start")
    }

    /// The same; tokens that `issuer` has revoked are refused.
    ///
    /// # Panics
    /// When they do not start.
    pub async fn open_with_issuer(
        services: &[&'static Service],
        api: &'static Api,
        issuer: &'static str,
    ) -> Self {
        let stage = Self::start(services, api, |_| {}, Some(issuer));
        stage.await.expect("the services start")
    }

    /// The same with settings changed, maybe so that the services refuse to start.
    ///
    /// # Panics
    /// When there is no Postgres.
    pub async fn open_with(
        services: &[&'static Service],
        api: &'static Api,
        change: impl FnOnce(&mut Settings),
    ) -> Result<Self, Error> {
        Self::start(services, api, change, None).await
    }

    async fn start(
        services: &[&'static Service],
        api: &'static Api,
        change: impl FnOnce(&mut Settings),
        issuer: Option<&'static str>,
    ) -> Result<Self, Error> {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = format!("http://{}", listener.local_addr().expect("bound"));
        let names: Vec<&str> = services.iter().map(|service| service.name).collect();
        let database = super::databases(&names).await;
        let mut settings = Settings { database, auth: auth(), ..Settings::default() };
        settings.peers.template.clone_from(&address);
        // Short, so that a test of a deadline need not wait long.
        settings.deadline.peer_ms = 300;
        let stop = CancellationToken::new();
        change(&mut settings);
        let ending = Stop::after(stop.clone(), settings.deadline.drain());
        let mut server = Server::prepare(&settings, services, api, ending).await?;
        if let Some(issuer) = issuer {
            server = server.refuse_revoked(&settings, issuer)?;
        }
        let serving = tokio::spawn(server.run(listener));
        let channel = Endpoint::from_shared(address).expect("an address").connect_lazy();
        Ok(Self { settings, channel, stop, serving, databases: Mutex::default() })
    }

    /// To call the services with generated clients.
    pub fn channel(&self) -> Channel {
        self.channel.clone()
    }

    /// A service's database, to look into, or to publish from.
    ///
    /// # Panics
    /// When there is none.
    pub fn database(&self, service: &str) -> Database {
        let mut databases = self.databases.lock().unwrap_or_else(PoisonError::into_inner);
        let database = databases.entry(service.to_owned()).or_insert_with(|| {
            Database::new(&self.settings.database, service).expect("settings are right")
        });
        database.clone()
    }

    /// A call by someone.
    ///
    /// # Panics
    /// When no token can be made.
    pub fn call<T>(&self, caller: As, message: T) -> Request<T> {
        let now = SystemTime::now();
        let auth = &self.settings.auth;
        let member = |id, roles| {
            let issuer = Issuer::new(auth).expect("the key is one");
            let (token, _) = issuer.issue(id, roles, now).expect("signs");
            Some(format!("Bearer {token}").parse().expect("ascii"))
        };
        let service = |name, on_behalf_of| {
            let identity = Identity::service(name, auth).expect("the key is one");
            Some(identity.bearer_for(now, on_behalf_of).expect("signs"))
        };
        let bearer = match caller {
            As::Nobody => None,
            As::Member(id) => member(id, vec![Role::Member]),
            As::Seller(id) => member(id, vec![Role::Member, Role::Seller]),
            As::Admin(id) => member(id, vec![Role::Member, Role::Admin]),
            As::Service(name) => service(name, None),
            As::ServiceFor(name, member) => service(name, Some(member)),
        };
        let mut request = Request::new(message);
        if let Some(bearer) = bearer {
            request.metadata_mut().insert("authorization", bearer);
        }
        request
    }

    /// A command by someone, with an idempotency key of its own.
    ///
    /// # Panics
    /// When no token can be made.
    pub fn command<T>(&self, caller: As, message: T) -> Request<T> {
        let mut request = self.call(caller, message);
        let key = base::id::new().to_string().parse().expect("ascii");
        request.metadata_mut().insert(IDEMPOTENCY_KEY, key);
        request
    }

    /// How many idempotency keys of a service have no answer.
    ///
    /// # Panics
    /// When the database cannot be read.
    pub async fn unanswered_keys(&self, service: &str) -> i64 {
        let mut reader = self.database(service).read().await.expect("reads");
        let sql = "select count(*) from idempotency where response is null";
        reader.query_one(sql, &[]).await.expect("counts").get(0)
    }

    /// Stops the services as a signal would.
    ///
    /// # Panics
    /// When they do not stop as they should.
    pub async fn close(self) {
        self.stop.cancel();
        self.serving.await.expect("no panic").expect("stops cleanly");
    }
}
