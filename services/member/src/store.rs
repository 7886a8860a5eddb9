//! All the SQL of members.

use std::time::SystemTime;

use contracts::member::v1::{MemberEvent, MemberRegistered, member_event::Event};
use kit::{
    Error, Tx,
    auth::Role,
    database::Reader,
    error::constraint,
    event::{self, Draft},
    incoming::not_found,
};
use prost::Message as _;
use tokio_postgres::Row;

use crate::domain::{DisplayName, Email, MemberId, Refusal, State};

/// All that makes up a member.
macro_rules! columns {
    () => {
        "id, email, display_name, password_hash, roles, state, coupon_issued, admin_notified,
         coupon_cancelled, version, create_time"
    };
}

/// A member as they are stored.
#[derive(Clone, Debug)]
pub(crate) struct Member {
    pub(crate) id: MemberId,
    pub(crate) email: String,
    pub(crate) display_name: String,
    pub(crate) password_hash: String,
    pub(crate) roles: Vec<Role>,
    pub(crate) state: State,
    pub(crate) flags: Flags,
    pub(crate) create_time: SystemTime,
}

/// What has been done for the member elsewhere.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Flags {
    pub(crate) coupon_issued: bool,
    pub(crate) admin_notified: bool,
    pub(crate) coupon_cancelled: bool,
}

impl Member {
    fn from_row(row: &Row) -> Result<Self, Error> {
        let roles: Vec<&str> = row.get("roles");
        Ok(Self {
            id: MemberId(row.get("id")),
            email: row.get("email"),
            display_name: row.get("display_name"),
            password_hash: row.get("password_hash"),
            roles: roles.into_iter().map(role).collect::<Result<_, _>>()?,
            state: state(row.get("state"))?,
            flags: Flags {
                coupon_issued: row.get("coupon_issued"),
                admin_notified: row.get("admin_notified"),
                coupon_cancelled: row.get("coupon_cancelled"),
            },
            create_time: row.get("create_time"),
        })
    }
}

/// Someone who signs up.
pub(crate) struct Newcomer {
    pub(crate) id: MemberId,
    pub(crate) email: Email,
    pub(crate) display_name: DisplayName,
    pub(crate) password_hash: String,
    pub(crate) roles: Vec<Role>,
}

/// Stores a new member, and tells others.
pub(crate) async fn register(tx: &mut Tx, newcomer: &Newcomer) -> Result<Member, Error> {
    let row = tx
        .query_one(
            concat!(
                "insert into member (id, email, display_name, password_hash, roles, state, version)
                 values ($1, $2, $3, $4, $5, 'ACTIVE', 1) returning ",
                columns!()
            ),
            &[
                &newcomer.id.0,
                &newcomer.email.as_str(),
                &newcomer.display_name.as_str(),
                &newcomer.password_hash,
                &role_names(&newcomer.roles),
            ],
        )
        .await
        .map_err(|error| match constraint(&error) {
            Some("member_email_unique") => Refusal::EmailTaken.into(),
            _ => Error::from(error),
        })?;
    let member_id = newcomer.id.to_string();
    let event = Event::MemberRegistered(MemberRegistered { member_id });
    let payload = MemberEvent { frame: None, event: Some(event) }.encode_to_vec();
    let id = newcomer.id.0;
    event::append(tx, &[Draft::new("MemberRegistered", id, 1, id, payload)]).await?;
    Member::from_row(&row)
}

/// Reads a member and keeps them from changing until the transaction ends.
pub(crate) async fn lock(tx: &mut Tx, id: MemberId) -> Result<Member, Error> {
    let row = tx
        .query_opt(
            concat!("select ", columns!(), " from member where id = $1 for update"),
            &[&id.0],
        )
        .await?;
    Member::from_row(&row.ok_or_else(not_found)?)
}

/// Saves a member's roles.
pub(crate) async fn set_roles(tx: &mut Tx, member: &Member) -> Result<(), Error> {
    tx.execute(
        "update member set roles = $2, version = version + 1 where id = $1",
        &[&member.id.0, &role_names(&member.roles)],
    )
    .await?;
    Ok(())
}

/// Reads a member.
pub(crate) async fn get(reader: &mut Reader, id: MemberId) -> Result<Member, Error> {
    let row = reader
        .query_opt(concat!("select ", columns!(), " from member where id = $1"), &[&id.0])
        .await?;
    Member::from_row(&row.ok_or_else(not_found)?)
}

/// Reads the member with this address, if there is one.
pub(crate) async fn by_email(reader: &mut Reader, email: &Email) -> Result<Option<Member>, Error> {
    let row = reader
        .query_opt(
            concat!("select ", columns!(), " from member where email = $1"),
            &[&email.as_str()],
        )
        .await?;
    row.as_ref().map(Member::from_row).transpose()
}

fn role_names(roles: &[Role]) -> Vec<&'static str> {
    let name = |role: &Role| match role {
        Role::Member => "MEMBER",
        Role::Seller => "SELLER",
        Role::Admin => "ADMIN",
    };
    roles.iter().map(name).collect()
}

fn role(name: &str) -> Result<Role, Error> {
    match name {
        "MEMBER" => Ok(Role::Member),
        "SELLER" => Ok(Role::Seller),
        "ADMIN" => Ok(Role::Admin),
        other => Err(Error::internal(format!("member role {other}"))),
    }
}

fn state(name: &str) -> Result<State, Error> {
    match name {
        "ACTIVE" => Ok(State::Active),
        "WITHDRAWING" => Ok(State::Withdrawing),
        "WITHDRAWN" => Ok(State::Withdrawn),
        other => Err(Error::internal(format!("member state {other}"))),
    }
}
