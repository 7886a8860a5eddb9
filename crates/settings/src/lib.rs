//! The one configuration, read once at start: defaults, then a TOML file, then
//! the environment (`HANSANG__DATABASE__URL`), then flags. A key that does not
//! exist is an error.
//!
//! Any key may be given as `<key>_file`: the file's content is then the value.
//! That is how secrets come in (`HANSANG__AUTH__SIGNING_KEY_FILE=/run/secrets/key`).
//!
//! What one service alone can be told stands in a section of its own, and only
//! that service knows what may be there: `[service.<name>]`, or
//! `HANSANG__SERVICE__<NAME>__<KEY>`. It reads it with
//! [`Settings::own`].
//!
//! ```
//! use settings::Settings;
//!
//! let env = [("HANSANG__DATABASE__POOL_SIZE".to_owned(), "4".to_owned())];
//! let settings = Settings::load(None, env, [])?;
//! assert_eq!(settings.database.pool_size, 4);
//! # Ok::<(), base::Error>(())
//! ```
//!
//! It refuses to act on any of it: whoever uses a setting reads it here.

mod auth;
mod database;
mod http;
mod ssl;
mod telemetry;
mod tls;

use std::{collections::BTreeMap, fmt, fs, net::SocketAddr, path::Path, time::Duration};

use base::{Error, error::configuration};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::{Map, Value};

pub use self::{
    auth::AuthSettings,
    database::DatabaseSettings,
    http::{HttpSettings, Ops},
    ssl::SslMode,
    telemetry::{LogFormat, OtlpSettings, TelemetrySettings},
    tls::{ListenTls, PeerTls},
};

/// Everything that can be set.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// Postgres.
    pub database: DatabaseSettings,
    /// The gRPC listener, one per process.
    pub grpc: GrpcSettings,
    /// The gateway's REST listener.
    pub http: HttpSettings,
    /// Where the services are.
    pub peers: PeerSettings,
    /// Keys and tokens.
    pub auth: AuthSettings,
    /// Logs, traces, metrics.
    pub telemetry: TelemetrySettings,
    /// How long things may take.
    pub deadline: DeadlineSettings,
    /// What tests need, and nobody else.
    pub testing: TestingSettings,
    /// What services can be told each on its own, by the service's name.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub service: BTreeMap<String, Section>,
}

/// The gRPC listener.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct GrpcSettings {
    /// Address and port; all services of the process answer here.
    pub listen: SocketAddr,
    /// TLS, off unless there is a certificate. Others then reach the services at `https` addresses.
    pub tls: ListenTls,
}

impl Default for GrpcSettings {
    fn default() -> Self {
        Self { listen: SocketAddr::from(([127, 0, 0, 1], 50051)), tls: ListenTls::default() }
    }
}

/// Where the services are.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PeerSettings {
    /// The address of any service; `{service}` stands for its name. Several, with commas between,
    /// or a name that stands for several endpoints, share the calls.
    pub template: String,
    /// Services that are elsewhere, by name.
    pub overrides: BTreeMap<String, String>,
    /// Connections to each endpoint.
    pub connections: usize,
    /// TLS to those at an `https` address.
    pub tls: PeerTls,
}

impl Default for PeerSettings {
    fn default() -> Self {
        let template = "http://127.0.0.1:50051".into();
        Self { template, overrides: BTreeMap::new(), connections: 2, tls: PeerTls::default() }
    }
}

impl PeerSettings {
    /// The address of a service.
    pub fn address(&self, service: &str) -> String {
        self.overrides
            .get(service)
            .cloned()
            .unwrap_or_else(|| self.template.replace("{service}", service))
    }
}

/// How long things may take.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DeadlineSettings {
    /// A request, from the gateway on, with all its retries.
    pub request_ms: u64,
    /// A call from one service to another.
    pub peer_ms: u64,
    /// From the signal to stop, which ends readiness, until nothing new is taken. On Kubernetes as
    /// long as it takes until no load comes any more (5000); 0 where nobody looks at readiness.
    pub drain_ms: u64,
    /// From then on until what is still under way is cut off.
    pub shutdown_ms: u64,
}

impl Default for DeadlineSettings {
    fn default() -> Self {
        Self { request_ms: 5_000, peer_ms: 2_000, drain_ms: 0, shutdown_ms: 10_000 }
    }
}

impl DeadlineSettings {
    /// A request's deadline.
    pub fn request(&self) -> Duration {
        Duration::from_millis(self.request_ms)
    }

    /// The deadline of a call from one service to another.
    pub fn peer(&self) -> Duration {
        Duration::from_millis(self.peer_ms)
    }

    /// The pause between being told to stop and closing.
    pub fn drain(&self) -> Duration {
        Duration::from_millis(self.drain_ms)
    }

    /// The deadline of a graceful stop.
    pub fn shutdown(&self) -> Duration {
        Duration::from_millis(self.shutdown_ms)
    }
}

/// What tests need. Never in production.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TestingSettings {
    /// Serves `hansang.clock.v1.ClockService`: an admin can move the time that what is due goes by.
    /// Never in production.
    pub clock: bool,
    /// Where the process dies; see [`base::fail_point`].
    #[cfg(feature = "testing")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub die_at: Option<String>,
}

/// A value that must not be seen: it prints as `***`.
#[derive(Clone, Default, Deserialize)]
#[serde(transparent)]
pub struct Secret(String);

impl Secret {
    /// Keeps a value from being seen.
    pub fn new(value: impl Into<String>) -> Self {
        Self(value.into())
    }

    /// The value itself.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_empty() { "unset" } else { "***" })
    }
}

impl Serialize for Secret {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(if self.0.is_empty() { "" } else { "***" })
    }
}

/// What one service alone is told, as it was given: only the service knows what may be there. What
/// stands under a key that ends like that of a secret prints as `***`.
#[derive(Clone, Default, Deserialize)]
#[serde(transparent)]
pub struct Section(Map<String, Value>);

impl Section {
    /// How the keys of secrets end. A URL may hold a password.
    const SECRETS: &[&str] = &["password", "secret", "token", "key", "url"];

    fn masked(map: &Map<String, Value>) -> Map<String, Value> {
        let mask = |key: &str, value: &Value| match value {
            Value::Object(inner) => Value::Object(Self::masked(inner)),
            _ if Self::SECRETS.iter().any(|ending| key.ends_with(ending)) => "***".into(),
            _ => value.clone(),
        };
        map.iter().map(|(key, value)| (key.clone(), mask(key, value))).collect()
    }
}

impl fmt::Debug for Section {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(Self::masked(&self.0)).finish()
    }
}

impl Serialize for Section {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        Self::masked(&self.0).serialize(serializer)
    }
}

impl Settings {
    /// Reads all layers. `env` is the whole environment; `flags` are dotted keys with their values.
    pub fn load(
        file: Option<&Path>,
        env: impl IntoIterator<Item = (String, String)>,
        flags: impl IntoIterator<Item = (&'static str, String)>,
    ) -> Result<Self, Error> {
        let mut layers = config::Config::builder();
        if let Some(path) = file {
            layers = layers.add_source(config::File::from(path).format(config::FileFormat::Toml));
        }
        let env = env.into_iter().collect::<std::collections::HashMap<_, _>>();
        for variables in [telemetry::standard(&env), env] {
            layers = layers.add_source(
                config::Environment::with_prefix("HANSANG")
                    .separator("__")
                    .try_parsing(true)
                    .source(Some(variables)),
            );
        }
        for (key, value) in flags {
            layers = layers.set_override(key, value).map_err(configuration)?;
        }
        let mut tree: Value =
            layers.build().and_then(config::Config::try_deserialize).map_err(configuration)?;
        read_files(&mut tree)?;
        let settings: Self = serde_path_to_error::deserialize(tree)
            .map_err(|error| configuration(format!("{}: {}", error.path(), error.inner())))?;
        settings.check()
    }

    /// Reads the section of one service; the default where there is none. `T` denies unknown
    /// fields, and has a default for each.
    pub fn own<T: DeserializeOwned + Default>(&self, service: &str) -> Result<T, Error> {
        let Some(Section(section)) = self.service.get(service) else { return Ok(T::default()) };
        serde_path_to_error::deserialize(Value::Object(section.clone())).map_err(|error| {
            configuration(format!("service.{service}.{}: {}", error.path(), error.inner()))
        })
    }

    /// What is said under a key of a service's own section, where that is a text.
    pub fn own_text(&self, service: &str, key: &str) -> Option<&str> {
        self.service.get(service)?.0.get(key)?.as_str()
    }

    /// Says it, in place of whoever has not.
    pub fn own_text_or(&mut self, service: &str, key: &str, text: String) {
        let section = self.service.entry(service.to_owned()).or_default();
        section.0.entry(key).or_insert(Value::String(text));
    }

    /// Refuses what is said of a service that is none of `known`.
    pub fn check_services(&self, known: &[&str]) -> Result<(), Error> {
        let sections = self.service.keys().map(|name| ("service", name));
        let keys = self.auth.service_keys.keys().map(|name| ("auth.service_keys", name));
        match sections.chain(keys).find(|(_, name)| !known.contains(&name.as_str())) {
            Some((at, name)) => {
                Err(configuration(format!("{at}.{name}: there is no such service")))
            }
            None => Ok(()),
        }
    }

    fn check(self) -> Result<Self, Error> {
        if self.database.statement_timeout_ms >= self.deadline.request_ms {
            return Err(configuration(
                "database.statement_timeout_ms: must be below deadline.request_ms",
            ));
        }
        if self.database.pool_size < 2 {
            return Err(configuration("database.pool_size: must be 2 or more"));
        }
        if self.database.background_pool_size < 2 {
            return Err(configuration("database.background_pool_size: must be 2 or more"));
        }
        if !(0.0..=1.0).contains(&self.telemetry.sample_ratio) {
            return Err(configuration("telemetry.sample_ratio: must be 0 to 1"));
        }
        if self.telemetry.otlp.metrics_interval_ms == 0 || self.telemetry.otlp.timeout_ms == 0 {
            return Err(configuration("telemetry.otlp: its times must be 1 ms or more"));
        }
        if self.peers.connections == 0 {
            return Err(configuration("peers.connections: must be 1 or more"));
        }
        self.grpc.tls.check("grpc.tls")?;
        self.http.tls.check("http.tls")?;
        self.peers.tls.check()?;
        if !self.http.ops_faults.is_empty() && self.http.ops != Ops::Open {
            return Err(configuration("http.ops_faults: is for http.ops = \"open\" alone"));
        }
        if self.http.ops == Ops::Open && !self.http.is_for_this_machine() {
            return Err(configuration(
                "http.ops: may be open only on loopback, and without proxies",
            ));
        }
        Ok(self)
    }
}

/// Replaces each `<key>_file` by `<key>` with the file's content.
fn read_files(tree: &mut Value) -> Result<(), Error> {
    let Value::Object(map) = tree else { return Ok(()) };
    let keys: Vec<String> = map.keys().filter(|key| key.ends_with("_file")).cloned().collect();
    for key in keys {
        let Some(Value::String(path)) = map.remove(&key) else {
            return Err(configuration(format!("{key}: must be a path")));
        };
        let content = fs::read_to_string(&path)
            .map_err(|error| configuration(format!("{key}: {path}: {error}")))?;
        map.insert(key.trim_end_matches("_file").into(), content.trim_end().into());
    }
    map.values_mut().try_for_each(read_files)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn env(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
        pairs.iter().map(|(k, v)| ((*k).into(), (*v).into())).collect()
    }

    #[test]
    fn the_later_layer_wins() {
        let dir = tempfile::tempdir().expect("dir");
        let file = dir.path().join("hansang.toml");
        fs::write(&file, "[database]\npool_size = 3\nstatement_timeout_ms = 100\n").expect("write");
        let settings = Settings::load(
            Some(&file),
            env(&[("HANSANG__DATABASE__POOL_SIZE", "4"), ("PATH", "/bin")]),
            [("http.listen", "127.0.0.1:1234".to_owned())],
        )
        .expect("loads");
        assert_eq!(settings.database.pool_size, 4);
        assert_eq!(settings.database.statement_timeout_ms, 100);
        assert_eq!(settings.http.listen.port(), 1234);
        assert_eq!(settings.deadline.request_ms, 5_000);
    }

    #[test]
    fn an_unknown_key_is_named() {
        let error = Settings::load(None, env(&[("HANSANG__DATABASE__POLL_SIZE", "4")]), [])
            .expect_err("unknown key");
        assert!(error.to_string().contains("poll_size"), "{error}");
    }

    #[test]
    fn no_clock_can_be_moved_unless_it_is_said() {
        assert!(!with_sections(&[]).testing.clock);
        assert!(with_sections(&[("HANSANG__TESTING__CLOCK", "true")]).testing.clock);
    }

    #[test]
    fn a_secret_comes_from_a_file_and_is_not_printed() {
        let dir = tempfile::tempdir().expect("dir");
        let file = dir.path().join("url");
        fs::write(&file, "postgres://u:p@h/d\n").expect("write");
        let path = file.display().to_string();
        let settings = Settings::load(None, env(&[("HANSANG__DATABASE__URL_FILE", &path)]), [])
            .expect("loads");
        assert_eq!(settings.database.url.expose(), "postgres://u:p@h/d");
        assert!(!format!("{settings:?}").contains("postgres://u"));
    }
    #[derive(Debug, Default, PartialEq, Deserialize)]
    #[serde(default, deny_unknown_fields)]
    struct Own {
        size: u32,
        mail: Mail,
    }

    #[derive(Debug, Default, PartialEq, Deserialize)]
    #[serde(default, deny_unknown_fields)]
    struct Mail {
        host: String,
        password: String,
    }

    fn with_sections(pairs: &[(&str, &str)]) -> Settings {
        Settings::load(None, env(pairs), []).expect("loads")
    }

    #[test]
    fn a_service_reads_its_own_section() {
        let settings = with_sections(&[
            ("HANSANG__SERVICE__KITCHEN__SIZE", "4"),
            ("HANSANG__SERVICE__KITCHEN__MAIL__HOST", "localhost"),
        ]);
        let own: Own = settings.own("kitchen").expect("is right");
        assert_eq!((own.size, own.mail.host.as_str()), (4, "localhost"));
        assert_eq!(settings.own::<Own>("cellar").expect("the default"), Own::default());
        settings.check_services(&["cellar", "kitchen"]).expect("both are there");
        let mut settings = settings;
        for text in ["first", "second"] {
            settings.own_text_or("cellar", "wine", text.to_owned());
            assert_eq!(settings.own_text("cellar", "wine"), Some("first"));
        }
        assert_eq!(settings.own_text("kitchen", "wine"), None);
        settings.service.remove("cellar");
        let error = settings.check_services(&["cellar"]).expect_err("no kitchen");
        assert!(error.to_string().contains("service.kitchen"), "{error}");
    }

    #[test]
    fn what_is_wrong_in_a_section_is_named_with_its_path() {
        for (key, value, path) in [
            ("HANSANG__SERVICE__KITCHEN__SIZ", "4", "service.kitchen.siz"),
            ("HANSANG__SERVICE__KITCHEN__SIZE", "-4", "service.kitchen.size"),
            ("HANSANG__SERVICE__KITCHEN__MAIL__PORT", "25", "service.kitchen.mail.port"),
        ] {
            let error = with_sections(&[(key, value)]).own::<Own>("kitchen").expect_err("wrong");
            assert!(error.to_string().contains(&format!("{path}: ")), "{error}");
        }
        let flat = Settings::load(None, env(&[("HANSANG__SERVICE__KITCHEN", "4")]), []);
        let error = flat.expect_err("not a section").to_string();
        assert!(error.contains("service.kitchen: "), "{error}");
    }

    #[test]
    fn a_secret_in_a_section_is_not_printed() {
        let settings = with_sections(&[
            ("HANSANG__SERVICE__KITCHEN__MAIL__PASSWORD", "sesame"),
            ("HANSANG__SERVICE__KITCHEN__MAIL__HOST", "localhost"),
        ]);
        assert_eq!(settings.own::<Own>("kitchen").expect("is right").mail.password, "sesame");
        let debug = format!("{settings:?}");
        let json = serde_json::to_string(&settings).expect("prints");
        for text in [debug, json] {
            assert!(!text.contains("sesame") && text.contains("localhost"), "{text}");
        }
    }
}
