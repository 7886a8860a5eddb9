//! A past: any number of finished orders and their members, with all that belongs to
//! them in every service's database, as years of trade would have left it. Written by
//! SQL alone, a few minutes for 300,000.
//!
//! Knows no service's tables. A few orders and a member that really went through, the
//! models, are read from all databases and written again and again: under other ids, at
//! other times, by other members. Nothing of the shop may run meanwhile.

mod log;
mod model;
mod write;

use std::{
    collections::BTreeMap,
    time::{Duration, SystemTime},
};

use app::run::SERVICES;
use tokio::task::JoinSet;
use tokio_postgres::{Client, Config, NoTls};
use uuid::Uuid;

use self::model::Model;

/// The first order of a past was so long ago, the last one a day.
const AGO: Duration = Duration::from_hours(24 * 300);
const DAY: Duration = Duration::from_hours(24);
/// A member of the past has so many orders.
const ORDERS_EACH: usize = 30;

/// The databases of a shop, for a superuser.
#[derive(Clone)]
pub(crate) struct Databases {
    admin: Config,
    /// With `{service}` in it.
    url: String,
}

/// What a past is made of.
pub(crate) struct Models {
    /// Somebody with a filled wallet who has never ordered.
    pub(crate) member: Uuid,
    /// Finished orders, and who ordered them. Each stands for as many of the past as the others.
    pub(crate) orders: Vec<(Uuid, Uuid)>,
    /// What was bought: it stays the same.
    pub(crate) products: Vec<Uuid>,
}

impl Databases {
    pub(crate) fn new(admin: &Config, url: &str) -> Self {
        Self { admin: admin.clone(), url: url.to_owned() }
    }

    /// A superuser's connection to a service's database.
    pub(crate) async fn connect(&self, service: &str) -> Client {
        let own: Config = self.url.replace("{service}", service).parse().expect("a URL");
        let mut config = self.admin.clone();
        config.dbname(own.get_dbname().expect("a database"));
        let (client, connection) = config.connect(NoTls).await.expect("Postgres");
        tokio::spawn(connection);
        client
    }

    /// One to each.
    pub(crate) async fn connect_all(&self) -> BTreeMap<&'static str, Client> {
        let mut clients = BTreeMap::new();
        for service in SERVICES {
            clients.insert(service.name, self.connect(service.name).await);
        }
        clients
    }

    /// Has each of them do this.
    pub(crate) async fn each(&self, sql: &str) {
        for (service, client) in self.connect_all().await {
            let done = client.batch_execute(sql).await;
            done.unwrap_or_else(|error| panic!("{service}: {sql}: {error:?}"));
        }
    }
}

/// One order or member of the past.
struct Past {
    model: usize,
    at: SystemTime,
    /// Its ids but for the last four digits, which say of what.
    base: String,
    /// Who ordered.
    member: Uuid,
    /// Which order of the member it is.
    nth: usize,
    /// Where the events about it are.
    partition: i16,
}

/// Writes so many finished orders into the databases of a shop that is down and at rest.
pub(crate) async fn write(databases: &Databases, models: &Models, orders: usize) {
    let clients = databases.connect_all().await;
    let mut shared = models.products.clone();
    shared.extend([models.member]);
    shared.extend(models.orders.iter().map(|(_, member)| *member));
    let mut order_models = Vec::new();
    for (order, member) in &models.orders {
        order_models.push(Model::read(&clients, *order, &shared, Some(*member)).await);
    }
    let member = Model::read(&clients, models.member, &models.products, None).await;
    let members = members(orders.div_ceil(ORDERS_EACH));
    let past = past(orders, &order_models, &members);

    let mut services = JoinSet::new();
    let parts: std::sync::Arc<_> = (member, members, order_models, past).into();
    for (service, mut client) in clients {
        let parts = std::sync::Arc::clone(&parts);
        services.spawn(async move {
            let (member, members, order_models, past) = &*parts;
            write::prepare(&client).await;
            write::write(&mut client, service, std::slice::from_ref(member), members).await;
            write::write(&mut client, service, order_models, past).await;
            write::add_up(&client, service).await;
            log::number(&client).await;
            (service, client)
        });
    }
    let clients: BTreeMap<_, _> = services.join_all().await.into_iter().collect();
    log::follow(&clients).await;
    for client in clients.values() {
        client.batch_execute("checkpoint").await.expect("a checkpoint");
    }
}

fn members(number: usize) -> Vec<Past> {
    let member = |number| {
        let base = base(AGO + DAY, number);
        let id = id(&base, 0);
        let partition = eventlog::partition(id);
        Past { model: 0, at: SystemTime::now() - AGO - DAY, base, member: id, nth: 0, partition }
    };
    (0..number).map(member).collect()
}

fn past(number: usize, models: &[Model], members: &[Past]) -> Vec<Past> {
    let step = AGO.saturating_sub(DAY) / u32::try_from(number.max(1)).expect("not that many");
    let order = |number: usize| {
        let ago = AGO.saturating_sub(step * u32::try_from(number).expect("not that many"));
        let base = base(ago, number);
        let partition = eventlog::partition(id(&base, 0));
        let member = members[number % members.len()].member;
        let (at, nth) = (SystemTime::now() - ago, number / members.len() + 1);
        Past { model: number % models.len(), at, base, member, nth, partition }
    };
    (0..number).map(order).collect()
}

/// A time-ordered UUID (version 7) without its last four digits.
fn base(ago: Duration, number: usize) -> String {
    let since = (SystemTime::now() - ago).duration_since(SystemTime::UNIX_EPOCH);
    let time = format!("{:012x}", since.expect("after 1970").as_millis());
    let random: u16 = rand::random_range(0..0x1000);
    format!("{}-{}-7{random:03x}-8{:03x}-{:08x}", &time[..8], &time[8..], random ^ 0xabc, number)
}

/// The id of one of the things that belong together; the first is the order or the member itself.
fn id(base: &str, of: usize) -> Uuid {
    format!("{base}{of:04x}").parse().expect("a UUID")
}
