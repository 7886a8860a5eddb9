//! Coupon through gRPC on real Postgres; the test plays the member and order contexts.

mod checkout;
mod races;

use std::{
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use base::id::Uuid;
use contracts::{
    coupon::v1::{
        CancelMemberCouponsRequest, Coupon, ListCouponsRequest, coupon::State,
        coupon_service_client::CouponServiceClient,
    },
    member::v1::{MemberEvent, MemberRegistered, member_event::Event},
    order::v1::OrderEvent,
};
use eventlog::Draft;
use pg::Database;
use prost::Message as _;
use server::{Service, ServiceBuilder};
use testkit::{
    eventually,
    stage::{As, Stage},
};
use tokio::{task::JoinSet, time::sleep};
use tonic::{Code, Status};

static MEMBER: Service = Service {
    name: "member",
    migrations: pg::migrations![],
    build: |builder: &mut ServiceBuilder<'_>| {
        builder.publish::<MemberEvent>();
        Ok(())
    },
};

static ORDER: Service = Service {
    name: "order",
    migrations: pg::migrations![],
    build: |builder: &mut ServiceBuilder<'_>| {
        builder.publish::<OrderEvent>();
        Ok(())
    },
};

struct Shop {
    stage: Stage,
    coupons: CouponServiceClient<tonic::transport::Channel>,
    database: Database,
    members: Database,
    published: AtomicI64,
}

impl Shop {
    async fn open() -> Self {
        let services = [&coupon::SERVICE, &MEMBER, &ORDER];
        let stage = Stage::open(&services, &contracts::API).await;
        let coupons = CouponServiceClient::new(stage.channel());
        let (database, members) = (stage.database("coupon"), stage.database("member"));
        Self { stage, coupons, database, members, published: AtomicI64::new(0) }
    }

    /// Publishes that members signed up, of each twice: late and double messages are normal.
    async fn sign_up(&self, members: &[Uuid]) {
        let mut tx = self.members.begin().await.expect("begins");
        let mut drafts = Vec::new();
        for member in members.iter().chain(members) {
            let version = self.published.fetch_add(1, Ordering::Relaxed);
            let event = Event::MemberRegistered(MemberRegistered { member_id: member.to_string() });
            let payload = MemberEvent { frame: None, event: Some(event) }.encode_to_vec();
            drafts.push(Draft::new("MemberRegistered", *member, version, *member, payload));
        }
        eventlog::append(&mut tx, &drafts).await.expect("appends");
        tx.commit().await.expect("commits");
    }

    /// Waits until coupon has applied all that was published.
    async fn settle(&self) {
        let published = self.published.load(Ordering::Relaxed);
        let ask = || async {
            let mut reader = self.database.read().await.expect("reads");
            let row = reader
                .query_one(
                    "select max(position) filter (where source = 'member'),
                       (select count(*) from parked) from checkpoint",
                    &[],
                )
                .await
                .expect("sums");
            assert_eq!(row.get::<_, Option<i64>>(1).unwrap_or(0), 0, "nothing is parked");
            (row.get::<_, Option<i64>>(0) == Some(published)).then_some(())
        };
        eventually(&format!("{published} events applied"), ask).await;
    }

    async fn coupons(&self, caller: As, member: Uuid) -> Result<Vec<Coupon>, Status> {
        let request =
            ListCouponsRequest { member_id: member.to_string(), ..ListCouponsRequest::default() };
        let list = self.coupons.clone().list_coupons(self.stage.call(caller, request)).await?;
        Ok(list.into_inner().coupons)
    }

    async fn states(&self, member: Uuid) -> Vec<State> {
        let coupons = self.coupons(As::Member(member), member).await.expect("lists");
        coupons.iter().map(Coupon::state).collect()
    }

    async fn cancel(&self, caller: As, member: Uuid) -> Result<i32, Status> {
        let request = CancelMemberCouponsRequest { member_id: member.to_string() };
        let request = self.stage.call(caller, request);
        Ok(self.coupons.clone().cancel_member_coupons(request).await?.into_inner().cancelled)
    }

    async fn withdraw(&self, member: Uuid) -> i32 {
        self.cancel(As::ServiceFor("member", member), member).await.expect("cancels")
    }

    /// The events that coupon published, and which member each concerns.
    async fn told(&self) -> Vec<(String, Uuid)> {
        let mut reader = self.database.read().await.expect("reads");
        let rows = reader.query("select type, correlation_id from event order by id", &[]).await;
        rows.expect("lists").iter().map(|row| (row.get(0), row.get(1))).collect()
    }
}

#[tokio::test]
async fn a_member_gets_one_coupon_which_ends_with_their_membership() {
    let shop = Shop::open().await;
    let member = base::id::new();
    shop.sign_up(&[member]).await;
    shop.settle().await;
    let coupons = shop.coupons(As::Member(member), member).await.expect("lists");
    let [coupon] = coupons.as_slice() else { panic!("not one coupon: {coupons:?}") };
    assert_eq!((coupon.state(), coupon.member_id.clone()), (State::Issued, member.to_string()));
    assert!(coupon.create_time.is_some());

    for _ in 0..3 {
        assert_eq!(shop.withdraw(member).await, 1);
    }
    assert_eq!(shop.states(member).await, [State::Cancelled]);
    shop.sign_up(&[member]).await;
    shop.settle().await;
    assert_eq!(shop.states(member).await, [State::Cancelled]);
    let told = [("CouponIssued".to_owned(), member), ("CouponCancelled".to_owned(), member)];
    assert_eq!(shop.told().await, told);
    shop.stage.close().await;
}

#[tokio::test]
async fn a_withdrawal_that_overtakes_the_issuing_leaves_no_coupon() {
    let shop = Shop::open().await;
    let (gone, stays) = (base::id::new(), base::id::new());
    assert_eq!(shop.withdraw(gone).await, 0);
    shop.sign_up(&[gone, stays]).await;
    shop.settle().await;
    assert_eq!(shop.withdraw(gone).await, 0);
    assert_eq!(shop.states(gone).await, []);
    assert_eq!(shop.states(stays).await, [State::Issued]);
    assert_eq!(shop.told().await, [("CouponIssued".to_owned(), stays)]);
    shop.stage.close().await;
}

#[tokio::test]
async fn however_withdrawals_and_issuing_race_no_withdrawn_member_holds_a_coupon() {
    let shop = Arc::new(Shop::open().await);
    let (mut members, mut had_one, mut wait) = (vec![base::id::new()], 0, Duration::ZERO);
    shop.sign_up(&members).await;
    shop.settle().await;
    had_one += shop.withdraw(members[0]).await;
    for _ in 0..40 {
        let few: Vec<Uuid> = (0..10).map(|_| base::id::new()).collect();
        shop.sign_up(&few).await;
        sleep(wait).await;
        let mut withdrawals = JoinSet::new();
        for member in few.iter().copied() {
            let shop = Arc::clone(&shop);
            // Twice at once: a withdrawal in doubt is repeated.
            withdrawals
                .spawn(async move { tokio::join!(shop.withdraw(member), shop.withdraw(member)) });
        }
        let answers = withdrawals.join_all().await;
        assert!(answers.iter().all(|(first, second)| first == second), "{answers:?}");
        let issued: i32 = answers.iter().map(|(first, _)| first).sum();
        // Stays where neither wins all of the time.
        let step = Duration::from_millis(3);
        wait = if issued < 5 { wait + step } else { wait.saturating_sub(step) };
        had_one += issued;
        members.extend(few);
    }
    let had_one = usize::try_from(had_one).expect("not negative");
    shop.settle().await;
    for member in &members {
        assert!(!shop.states(*member).await.contains(&State::Issued), "{member}");
    }
    let told = shop.told().await;
    for kind in ["CouponIssued", "CouponCancelled"] {
        let mut of: Vec<Uuid> = told.iter().filter(|it| it.0 == kind).map(|it| it.1).collect();
        assert_eq!(of.len(), had_one, "{kind}: as many as the withdrawals met");
        of.sort();
        of.dedup();
        assert_eq!(of.len(), had_one, "{kind}: each once");
    }
    println!("{had_one} of {} coupons were issued before the withdrawal", members.len());
    Arc::into_inner(shop).expect("all are done").stage.close().await;
}

#[tokio::test]
async fn a_members_coupons_are_seen_by_that_member_and_by_admins() {
    let shop = Shop::open().await;
    let member = base::id::new();
    shop.sign_up(&[member]).await;
    shop.settle().await;
    for (caller, code) in [
        (As::Nobody, Code::Unauthenticated),
        (As::Member(base::id::new()), Code::NotFound),
        (As::Seller(base::id::new()), Code::NotFound),
        (As::Service("member"), Code::PermissionDenied),
    ] {
        let refused = shop.coupons(caller, member).await.expect_err("refused");
        assert_eq!(refused.code(), code, "{caller:?}");
    }
    let seen = shop.coupons(As::Admin(base::id::new()), member).await.expect("an admin may");
    assert_eq!(seen, shop.coupons(As::Member(member), member).await.expect("the owner may"));
    shop.stage.close().await;
}

#[tokio::test]
async fn only_the_member_service_cancels_coupons() {
    let shop = Shop::open().await;
    let member = base::id::new();
    shop.sign_up(&[member]).await;
    shop.settle().await;
    for (caller, code) in [
        (As::Nobody, Code::Unauthenticated),
        (As::Member(member), Code::PermissionDenied),
        (As::Admin(base::id::new()), Code::PermissionDenied),
        (As::Service("order"), Code::PermissionDenied),
        (As::Service("member"), Code::PermissionDenied),
        (As::ServiceFor("member", base::id::new()), Code::NotFound),
    ] {
        let refused = shop.cancel(caller, member).await.expect_err("refused");
        assert_eq!(refused.code(), code, "{caller:?}");
    }
    assert_eq!(shop.states(member).await, [State::Issued]);
    shop.stage.close().await;
}
