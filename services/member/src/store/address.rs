//! The SQL of addresses.

use std::time::SystemTime;

use base::{Error, error::not_found, page::Page};
use pg::{Reader, Tx};
use tokio_postgres::Row;
use uuid::Uuid;

use super::lock;
use crate::domain::{
    self, MemberId, State,
    address::{Address, AddressId, MOST, Refusal},
};

/// All that makes up an address.
macro_rules! columns {
    () => {
        "id, recipient, phone, postcode, line1, line2, memo, create_time"
    };
}

macro_rules! select_addresses {
    () => {
        concat!("select ", columns!(), " from address")
    };
}

/// An address as it is stored.
pub(crate) struct Stored {
    pub(crate) id: AddressId,
    pub(crate) address: Address,
    pub(crate) create_time: SystemTime,
}

impl Stored {
    fn from_row(row: &Row) -> Self {
        let address = Address {
            recipient: row.get("recipient"),
            phone: row.get("phone"),
            postcode: row.get("postcode"),
            line1: row.get("line1"),
            line2: row.get("line2"),
            memo: row.get("memo"),
        };
        Self { id: AddressId(row.get("id")), address, create_time: row.get("create_time") }
    }
}

/// Stores a new address of a member, unless they have as many as one may have.
pub(crate) async fn insert(
    tx: &mut Tx,
    member: MemberId,
    id: AddressId,
    address: &Address,
) -> Result<Stored, Error> {
    // Whoever has left is going to be erased, and has no new one that would stay.
    if lock(tx, member).await?.membership.state == State::Withdrawn {
        return Err(domain::Refusal::Withdrawn.into());
    }
    let sql = "select count(*) from address where member_id = $1";
    if tx.query_one(sql, &[&member.0]).await?.get::<_, i64>(0) >= MOST {
        return Err(Refusal::Full.into());
    }
    let Address { recipient, phone, postcode, line1, line2, memo } = address;
    let row = tx
        .query_one(
            concat!(
                "insert into address (id, member_id, recipient, phone, postcode, line1, line2, memo)
                 values ($1, $2, $3, $4, $5, $6, $7, $8) returning ",
                columns!()
            ),
            &[&id.0, &member.0, recipient, phone, postcode, line1, line2, memo],
        )
        .await?;
    Ok(Stored::from_row(&row))
}

/// Reads one of a member's addresses.
pub(crate) async fn get(
    reader: &mut Reader,
    member: MemberId,
    id: AddressId,
) -> Result<Stored, Error> {
    let sql = concat!(select_addresses!(), " where id = $1 and member_id = $2");
    let row = reader.query_opt(sql, &[&id.0, &member.0]).await?;
    row.as_ref().map(Stored::from_row).ok_or_else(not_found)
}

/// Reads a page of a member's addresses, newest first.
pub(crate) async fn list(
    reader: &mut Reader,
    member: MemberId,
    page: Page,
) -> Result<Vec<Stored>, Error> {
    let sql =
        concat!(select_addresses!(), " where member_id = $1 and id < $2 order by id desc limit $3");
    let below = page.below.unwrap_or(Uuid::max());
    let rows = reader.query(sql, &[&member.0, &below, &page.limit()]).await?;
    Ok(rows.iter().map(Stored::from_row).collect())
}

/// Deletes one of a member's addresses.
pub(crate) async fn delete(tx: &mut Tx, member: MemberId, id: AddressId) -> Result<(), Error> {
    let sql = "delete from address where id = $1 and member_id = $2";
    if tx.execute(sql, &[&id.0, &member.0]).await? == 0 { Err(not_found()) } else { Ok(()) }
}
