//! The rows of one wallet saga, written by one transaction in one database: pgbench, on
//! the same Postgres. What a shop without services would cost.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use tokio_postgres::{Client, Config, NoTls};

/// As in `one_transaction.sql`.
pub(crate) const MEMBERS: usize = 64;
pub(crate) const PRODUCTS: usize = 200;
/// The contexts whose tables a saga writes to.
const TABLES: [&str; 7] =
    ["order", "payment", "product", "delivery", "mileage", "mypage", "notification"];

/// The same tables in one database, and pgbench.
pub(crate) struct Reference {
    pgbench: PathBuf,
    socket: PathBuf,
}

impl Reference {
    pub(crate) const DATABASE: &str = "one_transaction";

    pub(crate) async fn create(postgres: &Config) -> Self {
        let admin = connect(postgres, "postgres").await;
        let create = format!("create database {}", Self::DATABASE);
        admin.batch_execute(&create).await.expect("a database");
        let database = connect(postgres, Self::DATABASE).await;
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        let services = TABLES.map(|service| root.join("services").join(service));
        for part in [root.join("crates/pg")].iter().chain(&services) {
            for migration in migrations(&part.join("migrations")) {
                let sql = fs::read_to_string(&migration).expect("a migration");
                // Services that each keep a table of the same name: here it is one.
                let sql = sql.replace("create table ", "create table if not exists ");
                let done = database.batch_execute(&sql).await;
                done.unwrap_or_else(|error| panic!("{}: {error:?}", migration.display()));
            }
        }
        let rows = format!(
            "insert into wallet (member_id, balance_minor, currency)
               select lpad(n::text, 32, '0')::uuid, 1000000000000, 'KRW' from generate_series(1, {MEMBERS}) n;
             insert into member_view (member_id)
               select lpad(n::text, 32, '0')::uuid from generate_series(1, {MEMBERS}) n;
             insert into product (id, display_name, price_minor, currency, stock, version)
               select lpad(n::text, 32, '0')::uuid, 'Bibimbap', 1000, 'KRW', 100000000, 1
               from generate_series(1, {PRODUCTS}) n;"
        );
        database.batch_execute(&rows).await.expect("rows");
        let postmaster = admin.query_one("select pg_read_file('postmaster.pid')", &[]).await;
        let postmaster: String = postmaster.expect("a postmaster").get(0);
        // The process first, the socket's directory fifth.
        let line = |number| postmaster.lines().nth(number).expect("a line");
        let server = fs::read_link(format!("/proc/{}/exe", line(0))).expect("Linux");
        Self { pgbench: server.with_file_name("pgbench"), socket: line(4).into() }
    }

    /// Transactions per second; at most `rate`.
    pub(crate) fn run(&self, lasting: Duration, rate: Option<u32>) -> f64 {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../benches/saga/one_transaction.sql");
        let done = Command::new(&self.pgbench)
            .args(["--no-vacuum", "--protocol", "prepared", "--username", "postgres", "--host"])
            .arg(&self.socket)
            .args(["--client", &MEMBERS.to_string(), "--jobs", "2", "--file", script])
            .args(rate.map(|rate| format!("--rate={rate}")))
            .args(["--time", &lasting.as_secs().to_string(), Self::DATABASE])
            .output()
            .expect("pgbench is there");
        let text = String::from_utf8_lossy(&done.stdout);
        let tps = text.lines().find_map(|line| line.strip_prefix("tps = "));
        let tps = tps.and_then(|line| line.split(' ').next()).and_then(|tps| tps.parse().ok());
        let failed = || panic!("{text}{}", String::from_utf8_lossy(&done.stderr));
        tps.filter(|_| done.status.success()).unwrap_or_else(failed)
    }
}

/// The files of a folder, V1 first.
fn migrations(folder: &Path) -> Vec<PathBuf> {
    let files = fs::read_dir(folder).expect("migrations");
    let mut files: Vec<_> = files.map(|file| file.expect("a file").path()).collect();
    let number = |file: &PathBuf| -> u32 {
        let name = file.file_name().and_then(|name| name.to_str()).expect("a name");
        let digits = name.trim_start_matches('V').split('_').next().expect("V1__name");
        digits.parse().expect("a number")
    };
    files.sort_by_key(number);
    files
}

pub(crate) async fn connect(postgres: &Config, database: &str) -> Client {
    let (client, connection) =
        postgres.clone().dbname(database).connect(NoTls).await.expect("connects");
    tokio::spawn(connection);
    client
}
