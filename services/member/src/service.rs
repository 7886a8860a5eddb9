//! The member service's calls: parse, call, render.

use std::mem;

use base::Error;
use contracts::member::v1::{
    self as pb, CreateSessionRequest, GetMemberRequest, GrantRoleRequest, ListMembersRequest,
    ListMembersResponse, RegisterMemberRequest, RevokeRoleRequest, Session, WithdrawMemberRequest,
    member_service_server::MemberService,
};
use identity::auth::{Caller, Issuer, Role};
use pg::{Database, Tx, idempotency};
use prost::Message;
use server::{Incoming, incoming::to_the_end};
use tonic::{Request, Response, Status};

use crate::{
    domain::{DisplayName, Email, MemberId, QUERY, Refusal, State},
    password::{Password, Passwords},
    store::{self, Newcomer, search},
    throttle, wire,
    withdraw::Withdraw,
};

/// Answers calls about members.
pub(crate) struct Members {
    database: Database,
    issuer: Issuer,
    passwords: Passwords,
    withdraw: Withdraw,
}

impl Members {
    pub(crate) fn new(
        database: Database,
        issuer: Issuer,
        withdraw: Withdraw,
    ) -> Result<Self, Error> {
        Ok(Self { database, issuer, passwords: Passwords::new()?, withdraw })
    }

    /// Grants a role, or takes it back.
    async fn set_role<Q>(
        &self,
        incoming: Incoming<Q>,
        (member, role): (&str, pb::Role),
        held: bool,
    ) -> Result<Response<pb::Member>, Status>
    where
        Q: Message + Default,
    {
        refuse_revoked(&self.database, &incoming.caller).await?;
        let id = MemberId::parse("memberId", member)?;
        let role = match role {
            pb::Role::Seller => Role::Seller,
            pb::Role::Admin => Role::Admin,
            pb::Role::Member | pb::Role::Unspecified => {
                return Err(Error::violation("role", "must be SELLER or ADMIN").into());
            }
        };
        let Caller::Member { id: actor, .. } = incoming.caller else {
            return Err(Error::internal("an admin is a member").into());
        };
        let command = incoming.command();
        let set = async |tx: &mut Tx| {
            let actor = Some(MemberId(actor));
            let (member, _) = store::set_role(tx, id, (role, held), actor).await?;
            Ok(wire::member(&member))
        };
        Ok(idempotency::once(&self.database, &command, id.0, set).await?.into())
    }
}

#[tonic::async_trait]
impl MemberService for Members {
    async fn register_member(
        &self,
        request: Request<RegisterMemberRequest>,
    ) -> Result<Response<pb::Member>, Status> {
        let mut incoming = Incoming::granted(request)?;
        // Taken out of the message: what is stored of it must not help to guess the password.
        let password = Password::parse(mem::take(&mut incoming.message.password))?;
        let email = Email::parse(&incoming.message.email)?;
        let display_name = DisplayName::parse(&incoming.message.display_name)?;
        let password_hash = self.passwords.hash(password).await?;
        let command = incoming.command();
        let id = MemberId(base::id::new());
        let roles = vec![Role::Member];
        let newcomer = Newcomer { id, email, display_name, password_hash, roles };
        let register = async |tx: &mut Tx| Ok(wire::member(&store::register(tx, &newcomer).await?));
        let reply = idempotency::once(&self.database, &command, id.0, register).await?;
        Ok(reply.created(|member| format!("/v1/members/{}", member.id))?)
    }

    async fn create_session(
        &self,
        request: Request<CreateSessionRequest>,
    ) -> Result<Response<Session>, Status> {
        let message = Incoming::granted(request)?.message;
        let email = Email::parse(&message.email)?;
        let password = Password::attempt(message.password)?;
        let turn = self.passwords.turn().await?;
        throttle::check(&self.database, &email).await?;
        let member = store::by_email(&mut self.database.read().await?, &email).await?;
        let member = member.filter(|member| member.membership.state != State::Withdrawn);
        let stored = member.as_ref().map(|member| member.password_hash.clone());
        let right = self.passwords.check(&turn, password, stored).await?;
        drop(turn);
        let Some(member) = member.filter(|_| right) else {
            throttle::failed(&self.database, &email).await?;
            return Err(Error::from(Refusal::WrongCredentials).into());
        };
        // As they are now: roles may have been taken back since, and tokens from before are void.
        let mut tx = self.database.begin().await?;
        let (member, at) = store::settled(&mut tx, member.id).await?;
        tx.commit().await?;
        if member.membership.state == State::Withdrawn {
            return Err(Error::from(Refusal::WrongCredentials).into());
        }
        let (access_token, expires) = self.issuer.issue(member.id.0, member.roles, at)?;
        Ok(Response::new(Session {
            access_token,
            expire_time: Some(expires.into()),
            member_id: member.id.to_string(),
        }))
    }

    async fn get_member(
        &self,
        request: Request<GetMemberRequest>,
    ) -> Result<Response<pb::Member>, Status> {
        let (incoming, id) = Incoming::owned(request, "memberId", |m| &m.member_id)?;
        refuse_revoked(&self.database, &incoming.caller).await?;
        let mut reader = self.database.read().await?;
        Ok(Response::new(wire::member(&store::get(&mut reader, MemberId(id)).await?)))
    }

    async fn list_members(
        &self,
        request: Request<ListMembersRequest>,
    ) -> Result<Response<ListMembersResponse>, Status> {
        let incoming = Incoming::granted(request)?;
        refuse_revoked(&self.database, &incoming.caller).await?;
        let page = incoming.page()?;
        let query = QUERY.parse("query", &incoming.message.query)?;
        let words: Vec<&str> = query.split_whitespace().collect();
        let mut reader = self.database.read().await?;
        let members = if words.is_empty() {
            search::list(&mut reader, page).await?
        } else {
            search::find(&mut reader, page, &words).await?
        };
        let members = members.iter().map(|member| (member.id.0, wire::member(member)));
        let (members, next_page_token) = page.cut(members);
        Ok(Response::new(ListMembersResponse { members, next_page_token }))
    }

    async fn withdraw_member(
        &self,
        request: Request<WithdrawMemberRequest>,
    ) -> Result<Response<pb::Member>, Status> {
        let (incoming, id) = Incoming::owned(request, "memberId", |m| &m.member_id)?;
        // But for their own withdrawal: who has lost the answer asks again.
        if !matches!(incoming.caller, Caller::Member { id: caller, .. } if caller == id) {
            refuse_revoked(&self.database, &incoming.caller).await?;
        }
        let withdraw = self.withdraw.clone();
        let command = incoming.command();
        let withdrawn = to_the_end(async move { withdraw.run(MemberId(id), command).await });
        Ok(withdrawn.await?.into())
    }

    async fn grant_role(
        &self,
        request: Request<GrantRoleRequest>,
    ) -> Result<Response<pb::Member>, Status> {
        let incoming = Incoming::granted(request)?;
        let (member, role) = (incoming.message.member_id.clone(), incoming.message.role());
        self.set_role(incoming, (&member, role), true).await
    }

    async fn revoke_role(
        &self,
        request: Request<RevokeRoleRequest>,
    ) -> Result<Response<pb::Member>, Status> {
        let incoming = Incoming::granted(request)?;
        let (member, role) = (incoming.message.member_id.clone(), incoming.message.role());
        self.set_role(incoming, (&member, role), false).await
    }
}

/// Refuses the token of a member who has withdrawn or lost a role, though it has not expired.
pub(crate) async fn refuse_revoked(database: &Database, caller: &Caller) -> Result<(), Error> {
    let Caller::Member { id, roles } = caller else { return Ok(()) };
    match store::standing(&mut database.read().await?, MemberId(*id)).await? {
        Some((true, _)) => Err(Refusal::Withdrawn.into()),
        Some((_, held)) if roles.iter().any(|role| !held.contains(role)) => {
            Err(Refusal::RoleRevoked.into())
        }
        _ => Ok(()),
    }
}
