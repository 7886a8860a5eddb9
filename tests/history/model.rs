//! A model: one order or member that went through, with every row of every database
//! that has its id, or the id of something that belongs to it.

use std::collections::BTreeMap;

use tokio_postgres::Client;
use uuid::Uuid;

/// What is not of one order or member alone, or is forgotten after a while.
const ELSEWHERE: [&str; 6] =
    ["checkpoint", "discarded", "idempotency", "log_loss", "parked", "task"];

/// The rows of one thing and what belongs to it.
pub(super) struct Model {
    /// Its own id first.
    pub(super) ids: Vec<Uuid>,
    /// Who ordered; of a member none.
    pub(super) member: Option<Uuid>,
    /// By service and table.
    pub(super) tables: BTreeMap<&'static str, Vec<Table>>,
    /// When it began, as Postgres writes it.
    pub(super) since: String,
}

/// A table that has rows of a model.
pub(super) struct Table {
    pub(super) name: String,
    pub(super) columns: Vec<Column>,
    /// As text; in the order in which they were written.
    pub(super) rows: Vec<Vec<Option<String>>>,
}

/// A column that is written: not one that the database gives.
#[derive(Clone)]
pub(super) struct Column {
    pub(super) name: String,
    pub(super) kind: String,
}

impl Model {
    /// Reads all that belongs to `id`. What is `shared` with others is not followed.
    pub(super) async fn read(
        clients: &BTreeMap<&'static str, Client>,
        id: Uuid,
        shared: &[Uuid],
        member: Option<Uuid>,
    ) -> Self {
        let mut ids = vec![id];
        loop {
            let known = ids.len();
            let mut tables = BTreeMap::new();
            for (service, client) in clients {
                tables.insert(*service, read(client, &ids).await);
            }
            for table in tables.values().flatten() {
                for found in table.ids() {
                    if !ids.contains(&found) && !shared.contains(&found) {
                        ids.push(found);
                    }
                }
            }
            if ids.len() == known {
                let since = since(&tables);
                return Self { ids, member, tables, since };
            }
        }
    }
}

impl Table {
    fn ids(&self) -> impl Iterator<Item = Uuid> {
        let columns = self.columns.iter().enumerate().filter(|(_, column)| column.kind == "uuid");
        let values =
            columns.flat_map(|(at, _)| self.rows.iter().filter_map(move |r| r[at].as_ref()));
        values.map(|id| id.parse().expect("a UUID"))
    }
}

/// All rows of a database that have one of these ids in a column.
async fn read(client: &Client, ids: &[Uuid]) -> Vec<Table> {
    let columns = client
        .query(
            "select c.relname::text, a.attname::text, format_type(a.atttypid, a.atttypmod),
               a.attidentity <> '' or pg_get_expr(d.adbin, d.adrelid) ~ 'pg_current_xact_id'
             from pg_class c join pg_attribute a on a.attrelid = c.oid
             left join pg_attrdef d on d.adrelid = c.oid and d.adnum = a.attnum
             where c.relkind = 'r' and c.relnamespace = 'public'::regnamespace and a.attnum > 0
               and not a.attisdropped and c.relname <> all($1)
             order by c.relname, a.attnum",
            &[&ELSEWHERE.map(str::to_owned).to_vec()],
        )
        .await
        .expect("columns");
    let mut tables: BTreeMap<String, (Vec<Column>, String)> = BTreeMap::new();
    for row in &columns {
        let given: Option<bool> = row.get(3);
        let (columns, order) =
            tables.entry(row.get(0)).or_insert_with(|| (Vec::new(), "ctid".to_owned()));
        if given == Some(true) {
            // Of those that the database gives, a number says what came first.
            if row.get::<_, String>(2) == "bigint" {
                *order = row.get(1);
            }
        } else {
            columns.push(Column { name: row.get(1), kind: row.get(2) });
        }
    }
    let mut found = Vec::new();
    for (name, (columns, order)) in tables {
        let rows = rows(client, &name, &columns, &order, ids).await;
        if !rows.is_empty() {
            found.push(Table { name, columns, rows });
        }
    }
    found
}

async fn rows(
    client: &Client,
    table: &str,
    columns: &[Column],
    order: &str,
    ids: &[Uuid],
) -> Vec<Vec<Option<String>>> {
    let has = columns.iter().filter(|column| column.kind == "uuid");
    let has: Vec<_> = has.map(|column| format!("{} = any($1)", column.name)).collect();
    if has.is_empty() {
        return Vec::new();
    }
    let all: Vec<_> = columns.iter().map(|column| format!("{}::text", column.name)).collect();
    let (all, has) = (all.join(", "), has.join(" or "));
    let sql = format!("select {all} from {table} where {has} order by {order}");
    let rows = client.query(&sql, &[&ids]).await.expect("rows of a model");
    rows.iter().map(|row| (0..columns.len()).map(|at| row.get(at)).collect()).collect()
}

/// The time of the first thing that happened.
fn since(tables: &BTreeMap<&'static str, Vec<Table>>) -> String {
    let times = tables.values().flatten().flat_map(|table| {
        let columns = table.columns.iter().enumerate();
        let columns = columns.filter(|(_, c)| c.kind.starts_with("timestamp"));
        columns.flat_map(|(at, _)| table.rows.iter().filter_map(move |row| row[at].clone()))
    });
    times.min().expect("a model has a time")
}
