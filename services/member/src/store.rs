//! All the SQL of members.

use std::{
    collections::BTreeMap,
    mem,
    time::{Duration, SystemTime},
};

use base::{Error, constraint, error::not_found, id::Uuid};
use eventlog::{
    Draft,
    facts::{Aggregate, Learned},
};
use identity::auth::Role;
use pg::{Reader, Tx};
use tokio_postgres::Row;

use crate::{
    domain::{
        self, DisplayName, Email, Fact, Flags, MemberId, Membership, Outcome, Refusal, State,
    },
    wire,
};

/// All that makes up a member.
macro_rules! columns {
    () => {
        "id, email, display_name, password_hash, roles, state, withdrawal_attempts,
         coupon_issued, coupon_cancelled, admin_notified, role_revoke_time, version, create_time"
    };
}

macro_rules! select_members {
    () => {
        concat!("select ", columns!(), " from member")
    };
}

pub(crate) mod address;
pub(crate) mod failures;
pub(crate) mod search;

/// A member as they are stored.
#[derive(Clone, Debug)]
pub(crate) struct Member {
    pub(crate) id: MemberId,
    pub(crate) email: String,
    pub(crate) display_name: String,
    pub(crate) password_hash: String,
    pub(crate) roles: Vec<Role>,
    pub(crate) membership: Membership,
    pub(crate) create_time: SystemTime,
    /// When they last lost a role.
    role_revoke_time: Option<SystemTime>,
    version: i64,
}

impl Member {
    fn from_row(row: &Row) -> Result<Self, Error> {
        let roles: Vec<&str> = row.get("roles");
        Ok(Self {
            id: MemberId(row.get("id")),
            email: row.get("email"),
            display_name: row.get("display_name"),
            password_hash: row.get("password_hash"),
            roles: roles.into_iter().map(str::parse).collect::<Result<_, _>>()?,
            membership: Membership {
                state: state(row.get("state"), row.get("withdrawal_attempts"))?,
                flags: Flags {
                    coupon_issued: row.get("coupon_issued"),
                    coupon_cancelled: row.get("coupon_cancelled"),
                    admin_notified: row.get("admin_notified"),
                },
            },
            create_time: row.get("create_time"),
            role_revoke_time: row.get("role_revoke_time"),
            version: row.get("version"),
        })
    }

    /// The event of what happened to them, at this version.
    fn draft(&self, outcome: Outcome) -> Draft {
        Draft::of(wire::event(self, outcome), self.id.0, self.version, self.id.0)
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
    let member = Member::from_row(&row)?;
    eventlog::append(tx, &[member.draft(Outcome::Registered)]).await?;
    Ok(member)
}

/// Changes one member, and saves them; tells others when they have withdrawn by that. What `change`
/// answers is answered.
pub(crate) async fn update<T>(
    tx: &mut Tx,
    id: MemberId,
    change: impl FnOnce(&mut Member) -> T,
) -> Result<(T, Member), Error> {
    let mut member = lock(tx, id).await?;
    let before = member.membership;
    let answer = change(&mut member);
    if member.membership != before {
        member.version += 1;
        save(tx, &member).await?;
    }
    if member.membership.state == State::Withdrawn && before.state != State::Withdrawn {
        eventlog::append(tx, &[member.draft(Outcome::Withdrawn)]).await?;
    }
    Ok((answer, member))
}

/// Forgets the name, the addresses and the password of a member who has withdrawn, and tells others.
pub(crate) async fn erase(tx: &mut Tx, id: MemberId) -> Result<(), Error> {
    let mut member = lock(tx, id).await?;
    if member.membership.state != State::Withdrawn || member.email.is_empty() {
        return Ok(());
    }
    member.version += 1;
    tx.execute(
        "update member set email = '', display_name = '', password_hash = '', version = $2
         where id = $1",
        &[&id.0, &member.version],
    )
    .await?;
    tx.execute("delete from address where member_id = $1", &[&id.0]).await?;
    eventlog::append(tx, &[member.draft(Outcome::Erased)]).await
}

/// Gives a member a role, or takes it back, and tells others who did it, if that was an admin. Answers
/// whether that changed anything.
pub(crate) async fn set_role(
    tx: &mut Tx,
    id: MemberId,
    (role, held): (Role, bool),
    actor: Option<MemberId>,
) -> Result<(Member, bool), Error> {
    let mut member = lock(tx, id).await?;
    if member.roles.contains(&role) == held {
        return Ok((member, false));
    }
    member.version += 1;
    let outcome = if held {
        member.roles = domain::grant(mem::take(&mut member.roles), role);
        Outcome::Granted(role, actor)
    } else {
        member.roles = domain::revoke(mem::take(&mut member.roles), role);
        Outcome::Revoked(role, actor)
    };
    save(tx, &member).await?;
    eventlog::append(tx, &[member.draft(outcome)]).await?;
    Ok((member, true))
}

async fn lock(tx: &mut Tx, id: MemberId) -> Result<Member, Error> {
    let sql = concat!(select_members!(), " where id = $1 for update");
    let row = tx.query_opt(sql, &[&id.0]).await?;
    Member::from_row(&row.ok_or_else(not_found)?)
}

/// Reads a member as they are once nobody is changing them, and when they are so: before any change that
/// comes later, in whole seconds after any role that they have lost.
pub(crate) async fn settled(tx: &mut Tx, id: MemberId) -> Result<(Member, SystemTime), Error> {
    let sql = concat!(
        "select ",
        columns!(),
        ", clock_timestamp() as at from member where id = $1 for share"
    );
    let row = tx.query_opt(sql, &[&id.0]).await?.ok_or_else(not_found)?;
    let member = Member::from_row(&row)?;
    let at: SystemTime = row.get("at");
    let lost = member.role_revoke_time.map(|time| time + Duration::from_secs(1));
    Ok((member, lost.map_or(at, |lost| lost.max(at))))
}

async fn save(tx: &mut Tx, member: &Member) -> Result<(), Error> {
    let Membership { state, flags } = member.membership;
    let (state, attempts) = state_columns(state);
    tx.execute(
        "update member set roles = $2, state = $3, withdrawal_attempts = $4, coupon_issued = $5,
           coupon_cancelled = $6, admin_notified = $7, version = $8,
           withdraw_time = case when $3 = 'WITHDRAWN' then coalesce(withdraw_time, now()) end,
           role_revoke_time = case when roles <@ $2::text[] then role_revoke_time
             else clock_timestamp() end
         where id = $1",
        &[
            &member.id.0,
            &role_names(&member.roles),
            &state,
            &attempts,
            &flags.coupon_issued,
            &flags.coupon_cancelled,
            &flags.admin_notified,
            &member.version,
        ],
    )
    .await?;
    Ok(())
}

impl Aggregate for Member {
    type Key = MemberId;
    type Fact = Fact;

    async fn lock(tx: &mut Tx, facts: &[Learned<Self>]) -> Result<BTreeMap<MemberId, Self>, Error> {
        let ids: Vec<Uuid> = facts.iter().map(|learned| learned.key.0).collect();
        let rows = tx
            .query(
                concat!(select_members!(), " where id = any($1) order by id for update"),
                &[&ids],
            )
            .await?;
        rows.iter().map(|row| Self::from_row(row).map(|member| (member.id, member))).collect()
    }

    /// Nobody else is told of it.
    fn learn(&mut self, _: &mut Tx, fact: &Fact) -> Option<Vec<Draft>> {
        let before = self.membership;
        self.membership.learn(*fact);
        if self.membership == before {
            return None;
        }
        self.version += 1;
        Some(Vec::new())
    }

    async fn save(tx: &mut Tx, changed: &[&Self]) -> Result<(), Error> {
        let column = |of: fn(&Flags) -> bool| {
            changed.iter().map(|member| of(&member.membership.flags)).collect::<Vec<_>>()
        };
        let ids: Vec<Uuid> = changed.iter().map(|member| member.id.0).collect();
        let versions: Vec<i64> = changed.iter().map(|member| member.version).collect();
        tx.execute(
            "update member set coupon_issued = n.issued, coupon_cancelled = n.cancelled,
               admin_notified = n.notified, version = n.version
             from unnest($1::uuid[], $2::bool[], $3::bool[], $4::bool[], $5::bigint[])
               as n(id, issued, cancelled, notified, version)
             where member.id = n.id",
            &[
                &ids,
                &column(|flags| flags.coupon_issued),
                &column(|flags| flags.coupon_cancelled),
                &column(|flags| flags.admin_notified),
                &versions,
            ],
        )
        .await?;
        Ok(())
    }
}

/// Reads a member.
pub(crate) async fn get(reader: &mut Reader, id: MemberId) -> Result<Member, Error> {
    let row = reader.query_opt(concat!(select_members!(), " where id = $1"), &[&id.0]).await?;
    Member::from_row(&row.ok_or_else(not_found)?)
}

/// Reads the member with this address who has not withdrawn, if there is one.
pub(crate) async fn by_email(reader: &mut Reader, email: &Email) -> Result<Option<Member>, Error> {
    let row = reader
        .query_opt(
            concat!(select_members!(), " where email = $1 and state <> 'WITHDRAWN'"),
            &[&email.as_str()],
        )
        .await?;
    row.as_ref().map(Member::from_row).transpose()
}

/// What a member is and may do, if there is one.
pub(crate) async fn standing(
    reader: &mut Reader,
    id: MemberId,
) -> Result<Option<(bool, Vec<Role>)>, Error> {
    let sql = "select state = 'WITHDRAWN', roles from member where id = $1";
    let row = reader.query_opt(sql, &[&id.0]).await?;
    let standing = |row: &Row| {
        let roles: Vec<&str> = row.get(1);
        Ok((row.get(0), roles.into_iter().map(str::parse).collect::<Result<_, Error>>()?))
    };
    row.as_ref().map(standing).transpose()
}

/// Tokens of a member that are void.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Revoked {
    pub(crate) at: SystemTime,
    /// All of them; otherwise those that were issued by then.
    pub(crate) all: bool,
}

/// Reads whose tokens have been revoked since then, but for what is `known` already.
pub(crate) async fn revoked(
    reader: &mut Reader,
    since: SystemTime,
    known: &BTreeMap<MemberId, Revoked>,
) -> Result<Vec<(MemberId, Revoked)>, Error> {
    let ids: Vec<Uuid> = known.keys().map(|id| id.0).collect();
    let times: Vec<SystemTime> = known.values().map(|revoked| revoked.at).collect();
    let rows = reader
        .query(
            "select r.id, r.at, r.everything from (
               select id, withdraw_time as at, true as everything
               from member where withdraw_time > $1
               union all
               select id, role_revoke_time, false
               from member where role_revoke_time > $1 and withdraw_time is null) r
             left join unnest($2::uuid[], $3::timestamptz[]) as known (id, at) using (id)
             where known.at is distinct from r.at",
            &[&since, &ids, &times],
        )
        .await?;
    let revoked = |row: &Row| (MemberId(row.get(0)), Revoked { at: row.get(1), all: row.get(2) });
    Ok(rows.iter().map(revoked).collect())
}

fn role_names(roles: &[Role]) -> Vec<&'static str> {
    roles.iter().map(|role| role.name()).collect()
}

/// A state as the database has it, and its attempts.
fn state_columns(state: State) -> (&'static str, i32) {
    match state {
        State::Active => ("ACTIVE", 0),
        State::Withdrawing { attempts } => ("WITHDRAWING", attempts),
        State::Withdrawn => ("WITHDRAWN", 0),
    }
}

fn state(name: &str, attempts: i32) -> Result<State, Error> {
    let known = [State::Active, State::Withdrawing { attempts }, State::Withdrawn];
    let state = known.into_iter().find(|state| state_columns(*state).0 == name);
    state.ok_or_else(|| Error::internal(format!("member_state: {name}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn states_and_roles_are_stored_as_their_constraints_allow() {
        let allowed = |constraint| pg::names::allowed(crate::SERVICE.migrations, constraint);
        let states = [State::Active, State::Withdrawing { attempts: 1 }, State::Withdrawn];
        assert_eq!(allowed("member_state"), states.map(|state| state_columns(state).0).into());
        let roles = [Role::Member, Role::Seller, Role::Admin];
        assert_eq!(allowed("member_roles"), roles.map(Role::name).into());
    }
}
