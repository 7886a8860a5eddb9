//! Member through gRPC on real Postgres; the test plays coupon and notification:
//! it publishes their events, and answers as coupon would.

mod addresses;
mod search;

use std::{
    collections::HashMap,
    sync::{LazyLock, Mutex},
    time::Duration,
};

use base::{Error, error::Kind, id::Uuid};
use contracts::{
    coupon::v1::{
        self as coupon, CouponCancelled, CouponEvent, CouponIssued, coupon_event,
        coupon_service_server::{CouponService, CouponServiceServer},
    },
    member::v1::{
        CreateSessionRequest, GetMemberRequest, GrantRoleRequest, Member, RegisterMemberRequest,
        Role, WithdrawMemberRequest, member::State, member_service_client::MemberServiceClient,
    },
    notification::v1::{
        NotificationEvent, NotificationSent, notification::Audience, notification_event,
    },
};
use eventlog::Draft;
use pg::task::{self, Due};
use prost::Message as _;
use server::{Service, ServiceBuilder};
use testkit::{
    eventually,
    stage::{As, Stage},
};
use tokio::task::JoinSet;
use tonic::{Code, Request, Response, Status, transport::Channel};

use crate::others::{ORDER, PAYMENT};

const PASSWORD: &str = "correct horse";

/// What coupon answers to a cancellation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Answer {
    /// So many coupons are cancelled now.
    Cancelled(i32),
    /// A definite no.
    Refused,
    /// Nothing, for longer than anyone waits; but its coupon is cancelled.
    Silence,
    /// It did not run.
    Away,
}

/// What coupon will answer about each member, the last for ever, and what it has answered.
#[derive(Default)]
struct Script {
    answers: Vec<Answer>,
    given: Vec<Answer>,
}

static SCRIPTS: LazyLock<Mutex<HashMap<Uuid, Script>>> = LazyLock::new(Mutex::default);

struct Coupons;

#[tonic::async_trait]
impl CouponService for Coupons {
    async fn cancel_member_coupons(
        &self,
        request: Request<coupon::CancelMemberCouponsRequest>,
    ) -> Result<Response<coupon::CancelMemberCouponsResponse>, Status> {
        let member = base::id::parse("member_id", &request.get_ref().member_id)?;
        let answer = {
            let mut scripts = SCRIPTS.lock().expect("no panic");
            let Script { answers, given } = scripts.get_mut(&member).expect("a script");
            given.push(if answers.len() > 1 { answers.remove(0) } else { answers[0] });
            *given.last().expect("just given")
        };
        match answer {
            Answer::Cancelled(cancelled) => {
                Ok(Response::new(coupon::CancelMemberCouponsResponse { cancelled }))
            }
            Answer::Refused => Err(Error::new(Kind::Conflict, "COUPON_SPENT", "too late").into()),
            Answer::Silence => std::future::pending().await,
            Answer::Away => Err(Status::unimplemented("turned away")),
        }
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
        let stage = Stage::open(&services, &contracts::API).await;
        let members = MemberServiceClient::new(stage.channel());
        Self { stage, members }
    }

    /// Somebody new; scripts coupon.
    async fn sign_up(&self, script: &[Answer]) -> Uuid {
        let message = RegisterMemberRequest {
            email: format!("{}@example.com", base::id::new().simple()),
            password: PASSWORD.into(),
            display_name: "Guest".into(),
        };
        let request = self.stage.call(As::Nobody, message);
        let member = self.members.clone().register_member(request).await.expect("signs up");
        let id = base::id::parse("id", &member.into_inner().id).expect("an id");
        let script = Script { answers: script.to_vec(), given: Vec::new() };
        SCRIPTS.lock().expect("no panic").insert(id, script);
        id
    }

    async fn sign_in(&self, email: &str) -> Result<(), Error> {
        self.try_password(email, PASSWORD).await
    }

    async fn try_password(&self, email: &str, password: &str) -> Result<(), Error> {
        let message = CreateSessionRequest { email: email.into(), password: password.into() };
        let request = self.stage.call(As::Nobody, message);
        self.members.clone().create_session(request).await.map(drop).map_err(Error::from)
    }

    async fn get(&self, caller: As, member: Uuid) -> Result<Member, Error> {
        let message = GetMemberRequest { member_id: member.to_string() };
        let request = self.stage.call(caller, message);
        let member = self.members.clone().get_member(request).await.map_err(Error::from)?;
        Ok(member.into_inner())
    }

    /// The member as an admin sees them.
    async fn seen(&self, member: Uuid) -> Member {
        self.get(As::Admin(Uuid::nil()), member).await.expect("an admin may")
    }

    async fn eventually(&self, what: &str, member: Uuid, is: impl Fn(&Member) -> bool) {
        let ask = || async { is(&self.seen(member).await).then_some(()) };
        eventually(what, ask).await;
    }

    async fn try_withdraw(
        &self,
        caller: As,
        member: Uuid,
        key: Option<&str>,
    ) -> Result<Response<Member>, Status> {
        let message = WithdrawMemberRequest { member_id: member.to_string() };
        let mut request = self.stage.command(caller, message);
        if let Some(key) = key {
            let key = key.parse().expect("ascii");
            request.metadata_mut().insert(rpc::IDEMPOTENCY_KEY, key);
        }
        self.members.clone().withdraw_member(request).await
    }

    /// The member withdraws.
    async fn withdraw(&self, member: Uuid) -> Result<Member, Error> {
        let withdrawn = self.try_withdraw(As::Member(member), member, None).await;
        withdrawn.map(Response::into_inner).map_err(Error::from)
    }

    /// How often others were told that the member has withdrawn.
    async fn told(&self, member: Uuid) -> i64 {
        let mut reader = self.stage.database("member").read().await.expect("reads");
        let sql = "select count(*) from event where aggregate_id = $1 and type = 'MemberWithdrawn'";
        reader.query_one(sql, &[&member]).await.expect("counts").get(0)
    }

    /// Publishes an event twice: double messages are normal.
    async fn publish(&self, service: &str, kind: &'static str, about: Uuid, payload: Vec<u8>) {
        let mut tx = self.stage.database(service).begin().await.expect("begins");
        // An aggregate of its own each time: its version does not matter here.
        let draft = || Draft::new(kind, base::id::new(), 1, about, payload.clone());
        eventlog::append(&mut tx, &[draft(), draft()]).await.expect("appends");
        tx.commit().await.expect("commits");
    }

    async fn coupon_issued(&self, member: Uuid) {
        let (coupon_id, member_id) = (base::id::new().to_string(), member.to_string());
        let event =
            coupon_event::Event::CouponIssued(CouponIssued { coupon_id, member_id, coupon: None });
        let payload = CouponEvent { frame: None, event: Some(event) }.encode_to_vec();
        self.publish("coupon", "CouponIssued", member, payload).await;
    }

    async fn coupon_cancelled(&self, member: Uuid) {
        let (coupon_id, member_id) = (base::id::new().to_string(), member.to_string());
        let event = coupon_event::Event::CouponCancelled(CouponCancelled {
            coupon_id,
            member_id,
            coupon: None,
        });
        let payload = CouponEvent { frame: None, event: Some(event) }.encode_to_vec();
        self.publish("coupon", "CouponCancelled", member, payload).await;
    }

    async fn notified(&self, audience: Audience, subject: Uuid) {
        let event = notification_event::Event::NotificationSent(NotificationSent {
            notification_id: base::id::new().to_string(),
            audience: audience.into(),
            subject_id: subject.to_string(),
        });
        let payload = NotificationEvent { frame: None, event: Some(event) }.encode_to_vec();
        self.publish("notification", "NotificationSent", subject, payload).await;
    }
}

fn flags(member: &Member) -> (bool, bool, bool) {
    (member.coupon_issued, member.admin_notified, member.coupon_cancelled)
}

#[tokio::test]
async fn what_is_done_for_a_member_elsewhere_is_learned() {
    let shop = Shop::open().await;
    let member = shop.sign_up(&[Answer::Away]).await;
    assert_eq!(flags(&shop.seen(member).await), (false, false, false));

    shop.notified(Audience::Marketing, member).await;
    // Of an order, say: nobody here.
    shop.notified(Audience::Admin, base::id::new()).await;
    shop.coupon_issued(member).await;
    shop.eventually("a coupon", member, |m| m.coupon_issued).await;
    assert_eq!(flags(&shop.seen(member).await), (true, false, false));

    shop.notified(Audience::Admin, member).await;
    shop.eventually("the admin told", member, |m| m.admin_notified).await;
    assert_eq!(flags(&shop.seen(member).await), (true, true, false));
    shop.stage.close().await;
}

#[tokio::test]
async fn a_withdrawal_cancels_the_coupon_and_ends_the_membership() {
    let shop = Shop::open().await;
    let member = shop.sign_up(&[Answer::Cancelled(1)]).await;
    let email = shop.seen(member).await.email;
    shop.sign_in(&email).await.expect("a member");

    let left = shop.try_withdraw(As::Member(member), member, Some("k")).await.expect("leaves");
    let left = left.into_inner();
    assert_eq!((left.state(), left.coupon_cancelled), (State::Withdrawn, true));
    assert_eq!(shop.seen(member).await, left);

    assert_eq!(shop.sign_in(&email).await.expect_err("left").reason(), "WRONG_CREDENTIALS");
    let refused = shop.get(As::Member(member), member).await.expect_err("left");
    assert_eq!((refused.kind(), refused.reason()), (Kind::Unauthenticated, "MEMBER_WITHDRAWN"));

    let again = shop.try_withdraw(As::Member(member), member, Some("k")).await.expect("again");
    assert!(again.metadata().contains_key("idempotency-replayed"));
    assert_eq!(again.into_inner(), left);
    assert_eq!(shop.withdraw(member).await.expect("does nothing"), left);
    assert_eq!(shop.told(member).await, 1);
    shop.stage.close().await;
}

#[tokio::test]
async fn a_withdrawal_is_for_the_member_and_an_admin_alone() {
    let shop = Shop::open().await;
    let member = shop.sign_up(&[Answer::Cancelled(1)]).await;
    for (caller, code) in [
        (As::Nobody, Code::Unauthenticated),
        (As::Member(base::id::new()), Code::NotFound),
        (As::Seller(base::id::new()), Code::NotFound),
        (As::Service("order"), Code::PermissionDenied),
    ] {
        let refused = shop.try_withdraw(caller, member, None).await.expect_err("refused");
        assert_eq!(refused.code(), code, "{caller:?}");
    }
    let unknown = shop.try_withdraw(As::Admin(Uuid::nil()), base::id::new(), None).await;
    assert_eq!(unknown.expect_err("nobody").code(), Code::NotFound);
    let left = shop.try_withdraw(As::Admin(Uuid::nil()), member, None).await.expect("may");
    assert_eq!(left.into_inner().state(), State::Withdrawn);
    shop.stage.close().await;
}

#[tokio::test]
async fn an_admin_who_has_withdrawn_may_do_nothing_any_more() {
    let shop = Shop::open().await;
    let admin = shop.sign_up(&[Answer::Cancelled(0)]).await;
    let other = shop.sign_up(&[Answer::Away]).await;
    shop.withdraw(admin).await.expect("leaves");

    let seen = shop.get(As::Admin(admin), other).await.expect_err("left");
    assert_eq!(seen.reason(), "MEMBER_WITHDRAWN");
    let withdrawn = shop.try_withdraw(As::Admin(admin), other, None).await.expect_err("left");
    assert_eq!(withdrawn.code(), Code::Unauthenticated);
    let grant = GrantRoleRequest { member_id: other.to_string(), role: Role::Admin.into() };
    let grant = shop.stage.call(As::Admin(admin), grant);
    let granted = shop.members.clone().grant_role(grant).await.expect_err("left");
    assert_eq!(granted.code(), Code::Unauthenticated);
    shop.stage.close().await;
}

#[tokio::test]
async fn a_withdrawal_that_never_reached_coupon_leaves_the_member_as_they_were() {
    let shop = Shop::open().await;
    let member = shop.sign_up(&[Answer::Away, Answer::Cancelled(1)]).await;
    let before = shop.seen(member).await;
    let away = shop.withdraw(member).await.expect_err("away");
    assert_eq!((away.kind(), away.reason()), (Kind::Unavailable, "COUPON_UNAVAILABLE"));
    assert_eq!(shop.seen(member).await, before);
    assert_eq!(shop.stage.unanswered_keys("member").await, 0);
    shop.sign_in(&before.email).await.expect("still a member");
    assert_eq!(shop.withdraw(member).await.expect("leaves").state(), State::Withdrawn);
    shop.stage.close().await;
}

#[tokio::test]
async fn a_withdrawal_in_doubt_goes_on_by_itself() {
    let shop = Shop::open().await;
    // Longer than one call with its retries waits.
    let script = [Answer::Silence, Answer::Silence, Answer::Cancelled(1)];
    let member = shop.sign_up(&script).await;
    let pending = shop.withdraw(member).await.expect_err("in doubt");
    assert_eq!((pending.kind(), pending.reason()), (Kind::Unavailable, "OUTCOME_PENDING"));
    // Not gone yet: may look, and come back to look.
    let looked = shop.get(As::Member(member), member).await.expect("the owner looks");
    assert_eq!(looked.state(), State::Withdrawing);
    shop.sign_in(&looked.email).await.expect("signs in");
    let gone = |m: &Member| m.state() == State::Withdrawn && m.coupon_cancelled;
    shop.eventually("withdrawn", member, gone).await;
    assert_eq!(shop.stage.unanswered_keys("member").await, 0);
    assert_eq!(shop.told(member).await, 1);
    shop.stage.close().await;
}

#[tokio::test]
async fn a_withdrawal_whose_process_was_killed_is_taken_up() {
    let shop = Shop::open().await;
    // Once before coupon was asked, once after it had answered: nobody can tell the two apart.
    let member = shop.sign_up(&[Answer::Away, Answer::Cancelled(1)]).await;
    let mut tx = shop.stage.database("member").begin().await.expect("begins");
    let sql = "update member set state = 'WITHDRAWING', withdrawal_attempts = 1 where id = $1";
    tx.execute(sql, &[&member]).await.expect("updates");
    let due = Due::After(Duration::ZERO);
    task::schedule(&mut tx, "cancel-coupons", member, due, &[]).await.expect("schedules");
    tx.commit().await.expect("commits");
    shop.eventually("withdrawn", member, |m| m.state() == State::Withdrawn).await;
    assert_eq!(shop.told(member).await, 1);
    shop.stage.close().await;
}

#[tokio::test]
async fn a_withdrawal_that_coupon_refuses_leaves_a_member() {
    let shop = Shop::open().await;
    let member = shop.sign_up(&[Answer::Refused]).await;
    let refused = shop.withdraw(member).await.expect_err("refused");
    assert_eq!((refused.kind(), refused.reason()), (Kind::Conflict, "COUPON_SPENT"));
    assert_eq!(shop.seen(member).await.state(), State::Active);
    shop.stage.close().await;
}

#[tokio::test]
async fn a_withdrawal_that_overtakes_the_coupons_issuing_learns_of_it_all_the_same() {
    let shop = Shop::open().await;
    let member = shop.sign_up(&[Answer::Cancelled(0)]).await;
    let left = shop.withdraw(member).await.expect("leaves");
    assert_eq!(flags(&left), (false, false, false));

    shop.coupon_cancelled(member).await;
    shop.eventually("a coupon cancelled", member, |m| m.coupon_cancelled).await;
    shop.coupon_issued(member).await;
    shop.notified(Audience::Admin, member).await;
    shop.eventually("all facts", member, |m| flags(m) == (true, true, true)).await;
    assert_eq!(shop.seen(member).await.state(), State::Withdrawn);
    assert_eq!(shop.told(member).await, 1);
    shop.stage.close().await;
}

/// Sixteen times at once; how many were told that it is done.
async fn withdraw_from_everywhere(shop: &Shop, member: Uuid) -> usize {
    let mut clients = JoinSet::new();
    for _ in 0..16 {
        let message = WithdrawMemberRequest { member_id: member.to_string() };
        let request = shop.stage.call(As::Member(member), message);
        let mut members = shop.members.clone();
        clients.spawn(async move { members.withdraw_member(request).await });
    }
    let mut done = 0;
    for ended in clients.join_all().await {
        match ended.map(Response::into_inner).map_err(Error::from) {
            Ok(left) => {
                assert_eq!(left.state(), State::Withdrawn);
                done += 1;
            }
            Err(error) => assert_eq!(error.kind(), Kind::Unavailable, "{error}"),
        }
    }
    done
}

#[tokio::test]
async fn however_many_withdraw_at_once_a_member_leaves_once() {
    let shop = Shop::open().await;
    for _ in 0..20 {
        let member = shop.sign_up(&[Answer::Cancelled(1)]).await;
        assert_eq!(withdraw_from_everywhere(&shop, member).await, 16);
        assert_eq!(shop.told(member).await, 1);
    }
    shop.stage.close().await;
}

/// Fixed pseudo-random answers (xorshift, Marsaglia 2003): a failure comes again.
fn answers(seed: u64) -> Vec<Answer> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state % 8
    };
    let answer = |roll| match roll {
        0 => Answer::Silence,
        1 => Answer::Cancelled(1),
        _ => Answer::Away,
    };
    let mut script: Vec<Answer> = (0..16).map(|_| answer(next())).collect();
    script.push(Answer::Cancelled(1));
    script
}

#[tokio::test]
async fn a_race_with_a_coupon_that_comes_and_goes_ends_with_all_or_nothing() {
    let shop = Shop::open().await;
    for seed in 0..8 {
        let member = shop.sign_up(&answers(seed)).await;
        let done = withdraw_from_everywhere(&shop, member).await;
        shop.eventually("an end", member, |m| m.state() != State::Withdrawing).await;
        let given = {
            let scripts = SCRIPTS.lock().expect("no panic");
            scripts[&member].given.clone()
        };
        let cancelled = given.iter().any(|answer| *answer != Answer::Away);
        let seen = shop.seen(member).await;
        let expected = if cancelled { State::Withdrawn } else { State::Active };
        assert_eq!((seen.state(), seen.coupon_cancelled), (expected, cancelled), "{given:?}");
        assert!(cancelled || done == 0);
        assert_eq!(shop.told(member).await, i64::from(cancelled), "{given:?}");
    }
    shop.stage.close().await;
}

#[tokio::test]
async fn after_ten_wrong_passwords_an_account_is_closed_for_ten_minutes() {
    let shop = Shop::open().await;
    let [guessed, other] = [shop.sign_up(&[]).await, shop.sign_up(&[]).await];
    let [guessed, other] = [shop.seen(guessed).await.email, shop.seen(other).await.email];
    let nobody = "nobody@example.com".to_owned();
    for email in [&guessed, &nobody] {
        for _ in 0..10 {
            let refused = shop.try_password(email, "wrong").await.expect_err("wrong");
            assert_eq!(refused.reason(), "WRONG_CREDENTIALS");
        }
        for password in ["wrong", PASSWORD] {
            let refused = shop.try_password(email, password).await.expect_err("closed");
            assert_eq!(refused.reason(), "TOO_MANY_ATTEMPTS");
            let wait = refused.wait().expect("says how long");
            assert!(wait > Duration::from_mins(9) && wait <= Duration::from_mins(10), "{wait:?}");
        }
    }
    shop.sign_in(&other).await.expect("others sign in");
    pg::clock::advance(&shop.stage.database("member"), Duration::from_mins(10))
        .await
        .expect("time");
    shop.sign_in(&guessed).await.expect("open again");
    let wrong = shop.try_password(&guessed, "wrong").await.expect_err("wrong");
    assert_eq!(wrong.reason(), "WRONG_CREDENTIALS", "counted from one again");
    let left = "select count(*) from sign_in_failures";
    assert_eq!(testkit::number(&shop.stage.database("member"), left).await, 1, "the other is gone");
    shop.stage.close().await;
}
