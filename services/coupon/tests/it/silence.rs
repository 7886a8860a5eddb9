//! Connections to Postgres that go silent: coupon between a member service that the test plays and
//! a proxy in front of its database.

use std::{
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use base::id::Uuid;
use contracts::{
    coupon::v1::{ListCouponsRequest, coupon_service_client::CouponServiceClient},
    member::v1::{MemberEvent, MemberRegistered, member_event::Event},
};
use eventlog::Draft;
use pg::Database;
use prost::Message as _;
use server::{Service, ServiceBuilder};
use testkit::{
    proxy::Proxy,
    stage::{As, Stage},
};
use tokio::time::{sleep, timeout};
use tonic_health::pb::{
    HealthCheckRequest, health_check_response::ServingStatus, health_client::HealthClient,
};

static MEMBER: Service = Service {
    name: "member",
    migrations: pg::migrations![],
    build: |builder: &mut ServiceBuilder<'_>| {
        builder.publish::<MemberEvent>();
        Ok(())
    },
};

/// What a gateway waits for an answer.
const DEADLINE: Duration = Duration::from_secs(5);
/// Until when events flow again.
const BACK: Duration = Duration::from_secs(30);

struct Shop {
    stage: Stage,
    proxy: Proxy,
    /// Not through the proxy.
    members: Database,
}

impl Shop {
    async fn open() -> Self {
        let kept = Arc::new(Mutex::new(None));
        let keep = Arc::clone(&kept);
        let change = move |settings: &mut settings::Settings| {
            settings.database.statement_timeout_ms = 4_000;
            let members = Database::new(&settings.database, "member").expect("right");
            let proxy = Proxy::before(&mut settings.database);
            *keep.lock().expect("free") = Some((proxy, members));
        };
        let services = [&coupon::SERVICE, &MEMBER];
        let stage = Stage::open_with(&services, &contracts::API, change).await;
        let (proxy, members) = kept.lock().expect("free").take().expect("changed");
        Self { stage: stage.expect("the services start"), proxy, members }
    }

    async fn sign_up(&self) -> Uuid {
        let member = base::id::new();
        let event = Event::MemberRegistered(MemberRegistered { member_id: member.to_string() });
        let payload = MemberEvent { frame: None, event: Some(event) }.encode_to_vec();
        let mut tx = self.members.begin().await.expect("begins");
        let draft = Draft::new("MemberRegistered", member, 1, member, payload);
        eventlog::append(&mut tx, &[draft]).await.expect("appends");
        tx.commit().await.expect("commits");
        member
    }

    /// Whether the member has a coupon, asked as a caller does; none without an answer.
    async fn has_coupon(&self, member: Uuid) -> Option<bool> {
        let request =
            ListCouponsRequest { member_id: member.to_string(), ..ListCouponsRequest::default() };
        let request = self.stage.call(As::Member(member), request);
        let mut coupons = CouponServiceClient::new(self.stage.channel());
        let answer = timeout(DEADLINE, coupons.list_coupons(request)).await;
        answer.ok()?.ok().map(|list| !list.into_inner().coupons.is_empty())
    }

    async fn until_coupon(&self, member: Uuid, within: Duration) {
        let begun = Instant::now();
        while self.has_coupon(member).await != Some(true) {
            assert!(begun.elapsed() < within, "no coupon within {within:?}");
            sleep(Duration::from_millis(20)).await;
        }
    }

    async fn is_serving(&self) -> bool {
        let service = "readiness".to_owned();
        let answer =
            HealthClient::new(self.stage.channel()).check(HealthCheckRequest { service }).await;
        answer.is_ok_and(|answer| answer.into_inner().status() == ServingStatus::Serving)
    }

    async fn until_serving(&self, serving: bool, within: Duration) {
        let begun = Instant::now();
        while self.is_serving().await != serving {
            assert!(begun.elapsed() < within, "serving: {}", !serving);
            sleep(Duration::from_millis(20)).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn events_flow_again_when_connections_have_gone_silent() {
    let shop = Shop::open().await;
    let member = shop.sign_up().await;
    shop.until_coupon(member, BACK).await;
    shop.until_serving(true, BACK).await;

    shop.proxy.freeze_existing();
    let member = shop.sign_up().await;
    shop.until_serving(false, DEADLINE * 2).await;
    shop.until_coupon(member, BACK).await;
    shop.until_serving(true, BACK).await;
    shop.stage.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn health_says_so_while_the_database_is_out_of_reach_and_when_it_is_back() {
    let shop = Shop::open().await;
    shop.until_serving(true, BACK).await;
    shop.proxy.refuse(true);
    shop.proxy.cut();
    shop.until_serving(false, DEADLINE * 2).await;
    shop.proxy.refuse(false);
    shop.until_serving(true, BACK).await;
    let member = shop.sign_up().await;
    shop.until_coupon(member, BACK).await;
    shop.stage.close().await;
}
