//! Writes what happened to a model again, for each order or member of the past, a
//! statement per table and ten thousand of them.

use std::fmt::Write as _;

use futures_util::SinkExt as _;
use tokio_postgres::Client;

use super::{
    Past,
    model::{Column, Model, Table},
};

/// Orders per statement: their events stand together in the log.
const CHUNK: usize = 10_000;
/// A member's changes on My Page per order, at most.
const CHANGES: usize = 64;

/// Foreign keys hold by themselves, and nobody waits for these commits.
pub(super) async fn prepare(client: &Client) {
    let sql = "set session_replication_role = replica; set synchronous_commit = off; set jit = off";
    client.batch_execute(sql).await.expect("a superuser may");
}

/// Writes this past of these models.
pub(super) async fn write(client: &mut Client, service: &str, models: &[Model], past: &[Past]) {
    if models.iter().all(|model| model.tables[service].is_empty()) {
        return;
    }
    stage(client, past).await;
    for chunk in (0..past.len()).step_by(CHUNK) {
        for (number, model) in models.iter().enumerate() {
            for table in &model.tables[service] {
                let sql = again(model, table, number, chunk);
                let done = client.batch_execute(&sql).await;
                done.unwrap_or_else(|error| panic!("{service}: {sql}: {error:?}"));
            }
        }
    }
    client.batch_execute("drop table past").await.expect("a table of our own");
}

/// What differs from one to the next, in a table of our own.
async fn stage(client: &mut Client, past: &[Past]) {
    let create = "create unlogged table past (n int primary key, model int, seconds float8,
        base text, member uuid, nth int, partition smallint)";
    client.batch_execute(create).await.expect("a table of our own");
    let sink = client.copy_in("copy past from stdin").await.expect("a copy");
    futures_util::pin_mut!(sink);
    for (first, chunk) in past.chunks(CHUNK).enumerate() {
        let mut lines = String::new();
        for (n, past) in chunk.iter().enumerate() {
            let Past { model, at, base, member, nth, partition } = past;
            let at = at.duration_since(std::time::SystemTime::UNIX_EPOCH).expect("after 1970");
            let (n, at) = (first * CHUNK + n, at.as_secs_f64());
            writeln!(lines, "{n}\t{model}\t{at}\t{base}\t{member}\t{nth}\t{partition}")
                .expect("memory");
        }
        sink.send(bytes::Bytes::from(lines)).await.expect("a copy");
    }
    sink.finish().await.expect("a copy");
}

/// The statement that writes a table's rows of a model for a chunk of the past.
fn again(model: &Model, table: &Table, number: usize, chunk: usize) -> String {
    let names: Vec<_> = table.columns.iter().map(|column| column.name.as_str()).collect();
    let names = names.join(", ");
    let values = |row: &Vec<Option<String>>| {
        let values =
            table.columns.iter().zip(row).map(|(column, v)| value(model, column, v.as_ref()));
        format!("({})", values.collect::<Vec<_>>().join(", "))
    };
    let rows: Vec<_> = table.rows.iter().map(values).collect();
    let (rows, end) = (rows.join(", "), chunk + CHUNK);
    format!(
        "insert into {} ({names}) select v.* from (
           select base, member, nth, partition, to_timestamp(seconds) as at from past
           where model = {number} and n >= {chunk} and n < {end} order by n) h,
         lateral (values {rows}) v ({names})",
        table.name
    )
}

/// What stands in a column instead of the model's value.
fn value(model: &Model, Column { name, kind }: &Column, value: Option<&String>) -> String {
    let Some(value) = value else { return format!("null::{kind}") };
    match kind.as_str() {
        "smallint" if name == "partition" => "h.partition".to_owned(),
        // A member's changes are counted.
        "bigint" if name == "change" => format!("h.nth::bigint * {CHANGES} + {value}"),
        "bytea" => bytes_of(model, value),
        "text" | "uuid" => format!("({})::{kind}", text_of(model, value)),
        "timestamp with time zone" => {
            format!(
                "h.at + ({}::timestamptz - {}::timestamptz)",
                quoted(value),
                quoted(&model.since)
            )
        }
        _ => format!("{}::{kind}", quoted(value)),
    }
}

/// An id, or what has one in it.
fn text_of(model: &Model, value: &str) -> String {
    // A member's address is theirs alone.
    if model.member.is_none() && value.contains('@') {
        return "h.base || '@example.org'".to_owned();
    }
    let mut parts = Vec::new();
    let mut rest = value;
    while let Some((at, id, expression)) = first_id(model, rest.as_bytes()) {
        parts.push(quoted(&rest[..at]));
        parts.push(expression);
        rest = &rest[at + id..];
    }
    parts.push(quoted(rest));
    parts.retain(|part| part != "''");
    if parts.is_empty() { "''".to_owned() } else { parts.join(" || ") }
}

/// An encoded message, with ids as text in it.
fn bytes_of(model: &Model, value: &str) -> String {
    let hex = value.strip_prefix("\\x").expect("bytea as hex");
    let digits = (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16));
    let bytes: Vec<u8> = digits.collect::<Result<_, _>>().expect("hex");
    let literal = |bytes: &[u8]| {
        let hex = bytes.iter().fold(String::new(), |hex, byte| format!("{hex}{byte:02x}"));
        format!("'\\x{hex}'::bytea")
    };
    let mut parts = Vec::new();
    let mut rest = bytes.as_slice();
    while let Some((at, id, expression)) = first_id(model, rest) {
        parts.push(literal(&rest[..at]));
        parts.push(format!("convert_to({expression}, 'UTF8')"));
        rest = &rest[at + id..];
    }
    parts.push(literal(rest));
    parts.join(" || ")
}

/// Where the first id of the model stands in there, how long it is, and what stands there instead.
fn first_id(model: &Model, bytes: &[u8]) -> Option<(usize, usize, String)> {
    let ids = model.ids.iter().enumerate();
    let ids = ids.map(|(of, id)| (id.to_string(), format!("(h.base || '{of:04x}')")));
    let member = model.member.map(|id| (id.to_string(), "h.member::text".to_owned()));
    let found = ids.chain(member).filter_map(|(id, expression)| {
        let at = bytes.windows(id.len()).position(|window| window == id.as_bytes())?;
        Some((at, id.len(), expression))
    });
    found.min_by_key(|(at, ..)| *at)
}

fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

/// What is kept beside the rows that it is the sum of.
pub(super) async fn add_up(client: &Client, service: &str) {
    let sql = match service {
        "payment" => {
            "update wallet w set balance_minor = e.sum from (
               select member_id, sum(amount_minor) as sum from ledger_entry
               where account = 'WALLET' group by member_id) e
             where w.member_id = e.member_id and w.balance_minor <> e.sum"
        }
        "product" => {
            "update product p set stock = m.sum from (
               select product_id, sum(quantity) as sum from stock_movement
               group by product_id) m
             where p.id = m.product_id and p.stock <> m.sum"
        }
        "mypage" => {
            "update member_view m set change = o.last, page_change = o.last from (
               select member_id, max(change) as last from order_view group by member_id) o
             where m.member_id = o.member_id and m.change < o.last"
        }
        _ => return,
    };
    client.batch_execute(sql).await.expect("sums");
}
