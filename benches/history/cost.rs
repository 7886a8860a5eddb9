//! What work costs: CPU of our processes and of all of Postgres', commits, statements,
//! bytes on disk. Read before and after.

use std::{fs, ops::Sub};

use tokio_postgres::{Client, Config};

use crate::reference::connect;

/// Ticks per second in `/proc` (`USER_HZ`).
const TICKS: f64 = 100.0;

/// What had been spent at a moment, or between two.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Spent {
    /// Seconds of CPU.
    pub(crate) ours: f64,
    pub(crate) postgres: f64,
    pub(crate) commits: f64,
    pub(crate) statements: f64,
    pub(crate) bytes: f64,
}

impl Sub for Spent {
    type Output = Self;

    fn sub(self, before: Self) -> Self {
        Self {
            ours: self.ours - before.ours,
            postgres: self.postgres - before.postgres,
            commits: self.commits - before.commits,
            statements: self.statements - before.statements,
            bytes: self.bytes - before.bytes,
        }
    }
}

/// Reads what has been spent on a server.
pub(crate) struct Meter {
    client: Client,
    postmaster: u32,
}

impl Meter {
    /// On a server that has `pg_stat_statements` loaded.
    pub(crate) async fn new(admin: &Config) -> Self {
        let client = connect(admin, "postgres").await;
        let create = "create extension if not exists pg_stat_statements";
        client.batch_execute(create).await.expect("contrib is there");
        let pid = client.query_one("select pg_read_file('postmaster.pid')", &[]).await;
        let pid: String = pid.expect("a postmaster").get(0);
        let postmaster = pid.lines().next().and_then(|pid| pid.trim().parse().ok());
        Self { client, postmaster: postmaster.expect("a process id") }
    }

    /// Spent so far by these processes of ours and by Postgres.
    pub(crate) async fn read(&self, ours: &[u32]) -> Spent {
        // What a session did is counted once it is idle for a second, or does more.
        tokio::time::sleep(std::time::Duration::from_millis(1_200)).await;
        let sql = "select (select sum(xact_commit) from pg_stat_database)::float8,
              (select sum(calls) from pg_stat_statements)::float8,
              (select sum(pg_database_size(oid)) from pg_database where datallowconn)::float8";
        let row = self.client.query_one(sql, &[]).await.expect("statistics");
        Spent {
            ours: ours.iter().filter_map(|pid| Times::of(*pid)).map(|times| times.own).sum(),
            postgres: self.postgres(),
            commits: row.get(0),
            statements: row.get(1),
            bytes: row.get(2),
        }
    }

    /// Seconds of the postmaster and of its children, those that have ended included.
    fn postgres(&self) -> f64 {
        let postmaster = Times::of(self.postmaster).expect("Postgres runs");
        let processes = fs::read_dir("/proc").expect("Linux");
        let pids = processes.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
        let children = pids.filter_map(Times::of).filter(|times| times.parent == self.postmaster);
        postmaster.own + postmaster.children + children.map(|times| times.own).sum::<f64>()
    }

    /// The statements that took longest since the last reset, one line each.
    pub(crate) async fn statements(&self, most: i64) -> Vec<String> {
        let sql = "select format('%s ms, %s calls, %s rows: %s: %s',
              round(total_exec_time::numeric), calls, rows, datname,
              left(regexp_replace(query, '\\s+', ' ', 'g'), 120))
            from pg_stat_statements join pg_database d on d.oid = dbid
            order by total_exec_time desc limit $1";
        let rows = self.client.query(sql, &[&most]).await.expect("statistics");
        rows.iter().map(|row| row.get(0)).collect()
    }

    pub(crate) async fn forget_statements(&self) {
        let reset = self.client.batch_execute("select pg_stat_statements_reset()").await;
        reset.expect("a superuser may");
    }
}

/// CPU of a process, seconds.
struct Times {
    parent: u32,
    own: f64,
    children: f64,
}

impl Times {
    /// Of a process that is there.
    fn of(pid: u32) -> Option<Self> {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        // The name, in parentheses, may contain anything.
        let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
        let seconds = |at: usize| Some(fields.get(at)?.parse::<f64>().ok()? / TICKS);
        // Fields 4, and 14 to 17, of proc(5), where the state is the third.
        Some(Self {
            parent: fields.get(1)?.parse().ok()?,
            own: seconds(11)? + seconds(12)?,
            children: seconds(13)? + seconds(14)?,
        })
    }
}
