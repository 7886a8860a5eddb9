//! Whose tokens are void, through gRPC on real Postgres; the test plays coupon,
//! which has nothing to cancel, and is the other service where a token is tried.

use std::time::Duration;

use base::{Error, id::Uuid};
use contracts::{
    auth::v1::{Revocation, WatchRequest, WatchResponse, revocations_client::RevocationsClient},
    coupon::v1::{
        CancelMemberCouponsRequest, CancelMemberCouponsResponse, CouponEvent, ListCouponsRequest,
        ListCouponsResponse,
        coupon_service_client::CouponServiceClient,
        coupon_service_server::{CouponService, CouponServiceServer},
    },
    member::v1::{
        CreateSessionRequest, GetMemberRequest, GrantRoleRequest, Member, RegisterMemberRequest,
        RevokeRoleRequest, Role, WithdrawMemberRequest, member::State,
        member_service_client::MemberServiceClient,
    },
    notification::v1::NotificationEvent,
};
use server::{Service, ServiceBuilder};
use testkit::{
    eventually,
    stage::{As, Stage},
};
use tokio::time::timeout;
use tonic::{Code, Request, Response, Status, Streaming, transport::Channel};

use crate::others::{ORDER, PAYMENT};

struct Coupons;

#[tonic::async_trait]
impl CouponService for Coupons {
    async fn cancel_member_coupons(
        &self,
        _: Request<CancelMemberCouponsRequest>,
    ) -> Result<Response<CancelMemberCouponsResponse>, Status> {
        Ok(Response::new(CancelMemberCouponsResponse { cancelled: 0 }))
    }

    async fn list_coupons(
        &self,
        _: Request<ListCouponsRequest>,
    ) -> Result<Response<ListCouponsResponse>, Status> {
        Ok(Response::new(ListCouponsResponse::default()))
    }
}

static COUPON: Service = Service {
    name: "coupon",
    migrations: pg::migrations![],
    build: |builder: &mut ServiceBuilder<'_>| {
        builder.serve(CouponServiceServer::new(Coupons)).publish::<CouponEvent>();
        Ok(())
    },
};

static NOTIFICATION: Service = Service {
    name: "notification",
    migrations: pg::migrations![],
    build: |builder: &mut ServiceBuilder<'_>| {
        builder.publish::<NotificationEvent>();
        Ok(())
    },
};

struct Shop {
    stage: Stage,
    members: MemberServiceClient<Channel>,
}

impl Shop {
    async fn open() -> Self {
        let services = [&member::SERVICE, &COUPON, &NOTIFICATION, &ORDER, &PAYMENT];
        let api = &contracts::API;
        let stage = Stage::open_with_issuer(&services, api, "member").await;
        let members = MemberServiceClient::new(stage.channel());
        Self { stage, members }
    }

    async fn sign_up(&self) -> Uuid {
        let message = RegisterMemberRequest {
            email: format!("{}@example.com", base::id::new().simple()),
            password: "correct horse".into(),
            display_name: "Guest".into(),
        };
        let request = self.stage.call(As::Nobody, message);
        let member = self.members.clone().register_member(request).await.expect("signs up");
        base::id::parse("id", &member.into_inner().id).expect("an id")
    }

    async fn withdraw(&self, member: Uuid) -> Member {
        let message = WithdrawMemberRequest { member_id: member.to_string() };
        let request = self.stage.call(As::Member(member), message);
        let left = self.members.clone().withdraw_member(request).await.expect("leaves");
        assert_eq!(left.get_ref().state(), State::Withdrawn);
        left.into_inner()
    }

    /// Whose tokens are void, as other services hear it.
    async fn watch(&self, caller: As) -> Result<Streaming<WatchResponse>, Status> {
        let request = self.stage.call(caller, WatchRequest {});
        let mut revocations = RevocationsClient::new(self.stage.channel());
        revocations.watch(request).await.map(Response::into_inner)
    }

    /// The same, for a service, which may.
    async fn watched(&self) -> Streaming<WatchResponse> {
        self.watch(As::Service("order")).await.expect("a service may")
    }

    /// A token of the member.
    async fn sign_in(&self, member: Uuid) -> String {
        let mut member = self.get(As::Admin(Uuid::nil()), member).await.expect("there");
        let email = std::mem::take(&mut member.email);
        let message = CreateSessionRequest { email, password: "correct horse".into() };
        let request = self.stage.call(As::Nobody, message);
        let session = self.members.clone().create_session(request).await.expect("signs in");
        format!("Bearer {}", session.into_inner().access_token)
    }

    async fn get(&self, caller: As, member: Uuid) -> Result<Member, Status> {
        let message = GetMemberRequest { member_id: member.to_string() };
        let request = self.stage.call(caller, message);
        self.members.clone().get_member(request).await.map(Response::into_inner)
    }

    /// Why another service than member refuses the member's token, if it does.
    async fn refused_elsewhere(&self, member: Uuid) -> Option<String> {
        let message = ListCouponsRequest { member_id: member.to_string(), ..Default::default() };
        self.refused(self.stage.call(As::Member(member), message)).await
    }

    /// Why it refuses this token.
    async fn refused_with(&self, member: Uuid, token: &str) -> Option<String> {
        let message = ListCouponsRequest { member_id: member.to_string(), ..Default::default() };
        let mut request = Request::new(message);
        request.metadata_mut().insert("authorization", token.parse().expect("ascii"));
        self.refused(request).await
    }

    async fn refused(&self, request: Request<ListCouponsRequest>) -> Option<String> {
        let listed = CouponServiceClient::new(self.stage.channel()).list_coupons(request).await;
        listed.err().map(|status| Error::from(status).reason().to_owned())
    }
}

/// What the next message says.
async fn next(watch: &mut Streaming<WatchResponse>) -> Vec<Revocation> {
    let message = timeout(Duration::from_secs(10), watch.message()).await.expect("within 10 s");
    message.expect("no error").expect("no end").revocations
}

/// Whom the next message is about.
async fn subjects(watch: &mut Streaming<WatchResponse>) -> Vec<Uuid> {
    let subject = |it: &Revocation| base::id::parse("subject", &it.subject).expect("an id");
    next(watch).await.iter().map(subject).collect()
}

#[tokio::test]
async fn who_watches_is_told_once_of_each_withdrawal_also_of_those_before() {
    let shop = Shop::open().await;
    let [early, late] = [shop.sign_up().await, shop.sign_up().await];
    shop.withdraw(early).await;
    let mut watch = shop.watched().await;
    assert_eq!(subjects(&mut watch).await, [early]);
    shop.withdraw(late).await;
    assert_eq!(subjects(&mut watch).await, [late]);
    assert_eq!(subjects(&mut shop.watched().await).await, [early, late]);

    shop.stage.close().await;
    assert_eq!(watch.message().await.expect("ends well"), None);
}

#[tokio::test]
async fn a_revocation_outlasts_the_tokens() {
    let shop = Shop::open().await;
    shop.withdraw(shop.sign_up().await).await;
    let told = next(&mut shop.watched().await).await;
    let [Revocation { revoke_time: Some(since), expire_time: Some(until), .. }] = &told[..] else {
        panic!("one, with both times: {told:?}")
    };
    assert!(until.seconds - since.seconds > 900, "{told:?}");
    shop.stage.close().await;
}

#[tokio::test]
async fn a_withdrawal_that_commits_late_is_told_all_the_same() {
    let shop = Shop::open().await;
    let [slow, fast] = [shop.sign_up().await, shop.sign_up().await];
    let mut watch = shop.watched().await;
    let mut tx = shop.stage.database("member").begin().await.expect("begins");
    let sql = "update member set state = 'WITHDRAWN', withdraw_time = now() where id = $1";
    tx.execute(sql, &[&slow]).await.expect("updates");
    shop.withdraw(fast).await;
    assert_eq!(subjects(&mut watch).await, [fast]);
    tx.commit().await.expect("commits");
    assert_eq!(subjects(&mut watch).await, [slow]);
    shop.stage.close().await;
}

#[tokio::test]
async fn however_many_have_withdrawn_no_message_is_larger_than_a_client_takes() {
    let shop = Shop::open().await;
    let sql = "insert into member (id, email, display_name, password_hash, roles, state, version,
           withdraw_time)
         select gen_random_uuid(), n || '@example.com', 'x', 'x', '{MEMBER}', 'WITHDRAWN', 1, now()
         from generate_series(1, 20000) as n";
    let database = shop.stage.database("member");
    database.read().await.expect("a connection").execute(sql, &[]).await.expect("withdrawn");
    let (mut watch, mut told) = (shop.watched().await, std::collections::BTreeSet::new());
    while told.len() < 20_000 {
        let subjects = subjects(&mut watch).await;
        assert!(subjects.len() <= 1_000, "{}", subjects.len());
        assert!(subjects.into_iter().all(|subject| told.insert(subject)), "told twice");
    }
    shop.stage.close().await;
}

#[tokio::test]
async fn only_services_may_watch() {
    let shop = Shop::open().await;
    for (caller, code) in
        [(As::Nobody, Code::Unauthenticated), (As::Admin(Uuid::nil()), Code::PermissionDenied)]
    {
        assert_eq!(shop.watch(caller).await.expect_err("refused").code(), code, "{caller:?}");
    }
    shop.stage.close().await;
}

#[tokio::test]
async fn a_withdrawn_members_token_is_void_at_other_services_and_member_decides_itself() {
    let shop = Shop::open().await;
    let [member, other] = [shop.sign_up().await, shop.sign_up().await];
    assert_eq!(shop.refused_elsewhere(member).await, None);
    let left = shop.withdraw(member).await;
    eventually("the token void", || async {
        (shop.refused_elsewhere(member).await? == "TOKEN_REVOKED").then_some(())
    })
    .await;
    assert_eq!(shop.refused_elsewhere(other).await, None);

    let message = GetMemberRequest { member_id: member.to_string() };
    let request = shop.stage.call(As::Member(member), message);
    let refused = shop.members.clone().get_member(request).await.expect_err("left");
    assert_eq!(Error::from(refused).reason(), "MEMBER_WITHDRAWN");
    assert_eq!(shop.withdraw(member).await, left, "who lost the answer asks again");
    shop.stage.close().await;
}

#[tokio::test]
async fn a_role_that_is_taken_back_voids_the_tokens_from_before_and_no_later_ones() {
    let shop = Shop::open().await;
    let [admin, member, other] = [base::id::new(), shop.sign_up().await, shop.sign_up().await];
    let seller = Role::Seller.into();
    let grant = GrantRoleRequest { member_id: member.to_string(), role: seller };
    let grant = shop.stage.call(As::Admin(admin), grant);
    shop.members.clone().grant_role(grant).await.expect("granted");
    let mut watch = shop.watched().await;
    assert_eq!(shop.refused_elsewhere(member).await, None);
    let before = shop.sign_in(member).await;

    let revoke = || {
        let revoke = RevokeRoleRequest { member_id: member.to_string(), role: seller };
        shop.stage.call(As::Admin(admin), revoke)
    };
    shop.members.clone().revoke_role(revoke()).await.expect("revoked");
    let told = next(&mut watch).await;
    assert!(matches!(&told[..], [Revocation { issued_by: Some(_), .. }]), "{told:?}");
    eventually("the token void", || async {
        (shop.refused_with(member, &before).await? == "TOKEN_REVOKED").then_some(())
    })
    .await;
    assert_eq!(shop.refused_elsewhere(other).await, None);
    // At once, though it is the same second.
    let after = shop.sign_in(member).await;
    assert_eq!(shop.refused_with(member, &after).await, None);
    let sql = "select count(*) from event where type in ('RoleGranted', 'RoleRevoked')";
    let events = async || testkit::number(&shop.stage.database("member"), sql).await;
    assert_eq!(events().await, 2);
    // Nothing to take back: nothing is revoked.
    shop.members.clone().revoke_role(revoke()).await.expect("nothing to do");
    assert_eq!(shop.refused_with(member, &after).await, None);
    assert_eq!(events().await, 2);
    shop.stage.close().await;
}

#[tokio::test]
async fn member_itself_refuses_a_token_with_a_role_that_is_taken_back() {
    let shop = Shop::open().await;
    let [admin, other] = [shop.sign_up().await, shop.sign_up().await];
    let refused = shop.get(As::Admin(admin), other).await.expect_err("never was one");
    assert_eq!(Error::from(refused).reason(), "TOKEN_REVOKED");
    let grant = GrantRoleRequest { member_id: admin.to_string(), role: Role::Admin.into() };
    let grant = shop.stage.call(As::Admin(Uuid::nil()), grant);
    shop.members.clone().grant_role(grant).await.expect("granted");
    shop.get(As::Admin(admin), other).await.expect("an admin may");
    // An admin may give it back.
    let revoke = RevokeRoleRequest { member_id: admin.to_string(), role: Role::Admin.into() };
    let revoke = shop.stage.call(As::Admin(admin), revoke);
    shop.members.clone().revoke_role(revoke).await.expect("revoked");
    let refused = shop.get(As::Admin(admin), other).await.expect_err("no admin any more");
    assert_eq!(Error::from(refused).reason(), "TOKEN_REVOKED");
    for role in [Role::Member, Role::Unspecified] {
        let revoke = RevokeRoleRequest { member_id: other.to_string(), role: role.into() };
        let revoke = shop.stage.call(As::Admin(Uuid::nil()), revoke);
        let refused = shop.members.clone().revoke_role(revoke).await.expect_err("refused");
        assert_eq!(refused.code(), Code::InvalidArgument, "{role:?}");
    }
    shop.stage.close().await;
}
