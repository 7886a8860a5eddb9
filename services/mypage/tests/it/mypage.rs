//! My Page through gRPC on real Postgres; the test plays all the others: it
//! publishes their events, and answers no call.

mod audit;
mod parcels;
mod sources;
mod timeline;
mod watch;

use std::sync::atomic::{AtomicI64, Ordering};

use base::{Error, error::Kind, id::Uuid};
use contracts::{
    Money,
    coupon::v1::{
        Coupon, CouponCancelled, CouponEvent, CouponExpired, CouponIssued, CouponRedeemed, coupon,
        coupon_event,
    },
    delivery::v1::DeliveryEvent,
    member::v1::{MemberEvent, MemberRegistered, MemberWithdrawn, member, member_event},
    mileage::v1::{
        MileageCancelled, MileageEarned, MileageEntry, MileageEvent, MileageExpired, MileageLot,
        MileageSpent,
        mileage_entry::{self, Kind as EntryKind},
        mileage_event,
    },
    mypage::v1::{
        GetMyOrderRequest, GetMyPageRequest, ListMyMileageRequest, ListMyMileageResponse, MyPage,
        OrderView, my_page_service_client::MyPageServiceClient,
    },
    notification::v1::{
        NotificationEvent, NotificationSent, notification::Audience, notification_event,
    },
    order::v1::{
        OrderAwaitingDeposit, OrderCancelled, OrderEvent, OrderPlaced, PaymentMethod,
        order::{self, CancelReason},
        order_event,
    },
    payment::v1::{DepositExpired, DepositRequested, PaymentEvent, payment, payment_event},
};
use eventlog::Draft;
use prost::Message;
use server::{Service, ServiceBuilder};
use testkit::{
    eventually,
    stage::{As, Stage},
};
use tonic::{Response, transport::Channel};

/// A service of which there are only the events.
macro_rules! played {
    ($($service:ident = $name:literal: $events:ident),* $(,)?) => {
        $(static $service: Service = Service {
            name: $name,
            migrations: pg::migrations![],
            build: |builder: &mut ServiceBuilder<'_>| {
                builder.publish::<$events>();
                Ok(())
            },
        };)*
    };
}

played! {
    COUPON = "coupon": CouponEvent,
    DELIVERY = "delivery": DeliveryEvent,
    MEMBER = "member": MemberEvent,
    MILEAGE = "mileage": MileageEvent,
    NOTIFICATION = "notification": NotificationEvent,
    ORDER = "order": OrderEvent,
    PAYMENT = "payment": PaymentEvent,
}

/// Nobody plays product.
static SERVICES: [&Service; 8] =
    [&mypage::SERVICE, &COUPON, &DELIVERY, &MEMBER, &MILEAGE, &NOTIFICATION, &ORDER, &PAYMENT];

struct Shop {
    stage: Stage,
    pages: MyPageServiceClient<Channel>,
    member: Uuid,
    published: AtomicI64,
}

impl Shop {
    async fn open() -> Self {
        Self::on(Stage::open(&SERVICES, &contracts::API).await)
    }

    fn on(stage: Stage) -> Self {
        let pages = MyPageServiceClient::new(stage.channel());
        Self { stage, pages, member: base::id::new(), published: AtomicI64::new(0) }
    }

    /// A shop whose page knows the member.
    async fn with_member() -> Self {
        let shop = Self::open().await;
        shop.registered().await;
        eventually("the page", || async { shop.page(As::Member(shop.member)).await.ok() }).await;
        shop
    }

    /// Publishes an event twice: double messages are normal.
    async fn publish(&self, service: &str, kind: &'static str, about: Uuid, event: impl Message) {
        let mut tx = self.stage.database(service).begin().await.expect("begins");
        let draft = || {
            let version = self.published.fetch_add(1, Ordering::Relaxed) + 1;
            Draft::new(kind, about, version, about, event.encode_to_vec())
        };
        eventlog::append(&mut tx, &[draft(), draft()]).await.expect("appends");
        tx.commit().await.expect("commits");
    }

    async fn registered(&self) {
        let registered = MemberRegistered { member_id: self.member.to_string() };
        let event = Some(member_event::Event::MemberRegistered(registered));
        let event = MemberEvent { frame: None, event };
        self.publish("member", "MemberRegistered", self.member, event).await;
    }

    async fn withdrawn(&self) {
        let withdrawn = MemberWithdrawn { member_id: self.member.to_string() };
        let event = Some(member_event::Event::MemberWithdrawn(withdrawn));
        let event = MemberEvent { frame: None, event };
        self.publish("member", "MemberWithdrawn", self.member, event).await;
    }

    async fn notified(&self, audience: Audience) {
        let sent = NotificationSent {
            notification_id: base::id::new().to_string(),
            audience: audience.into(),
            subject_id: self.member.to_string(),
        };
        let event = Some(notification_event::Event::NotificationSent(sent));
        let event = NotificationEvent { frame: None, event };
        self.publish("notification", "NotificationSent", self.member, event).await;
    }

    async fn coupon_issued(&self, coupon: Uuid) {
        let (coupon_id, member_id) = (coupon.to_string(), self.member.to_string());
        let event = Some(coupon_event::Event::CouponIssued(CouponIssued {
            coupon_id,
            member_id,
            coupon: None,
        }));
        self.publish("coupon", "CouponIssued", coupon, CouponEvent { frame: None, event }).await;
    }

    async fn coupon_cancelled(&self, coupon: Uuid) {
        let (coupon_id, member_id) = (coupon.to_string(), self.member.to_string());
        let cancelled = CouponCancelled { coupon_id, member_id, coupon: None };
        let event = Some(coupon_event::Event::CouponCancelled(cancelled));
        self.publish("coupon", "CouponCancelled", coupon, CouponEvent { frame: None, event }).await;
    }

    async fn earned(&self, entry: Uuid, points: i64) {
        let event = Some(mileage_event::Event::MileageEarned(MileageEarned {
            entry_id: entry.to_string(),
            payment_id: entry.to_string(),
            order_id: entry.to_string(),
            member_id: self.member.to_string(),
            points,
            ..MileageEarned::default()
        }));
        self.publish("mileage", "MileageEarned", entry, MileageEvent { frame: None, event }).await;
    }

    async fn taken_back(&self, entry: Uuid, points: i64) {
        let event = Some(mileage_event::Event::MileageCancelled(MileageCancelled {
            entry_id: entry.to_string(),
            payment_id: entry.to_string(),
            order_id: entry.to_string(),
            member_id: self.member.to_string(),
            points,
            ..MileageCancelled::default()
        }));
        let event = MileageEvent { frame: None, event };
        self.publish("mileage", "MileageCancelled", entry, event).await;
    }

    async fn order(&self, kind: &'static str, order: Uuid, event: order_event::Event) {
        self.publish("order", kind, order, OrderEvent { frame: None, event: Some(event) }).await;
    }

    async fn payment(&self, kind: &'static str, order: Uuid, event: payment_event::Event) {
        let event = PaymentEvent { frame: None, event: Some(event) };
        self.publish("payment", kind, order, event).await;
    }

    async fn page(&self, caller: As) -> Result<MyPage, Error> {
        let message = GetMyPageRequest { member_id: self.member.to_string() };
        let request = self.stage.call(caller, message);
        let page = self.pages.clone().get_my_page(request).await.map_err(Error::from)?;
        Ok(page.into_inner())
    }

    /// The page as an admin sees it, as soon as it is so.
    async fn eventually(&self, what: &str, is: impl Fn(&MyPage) -> bool) -> MyPage {
        let ask = || async { self.page(As::Admin(Uuid::nil())).await.ok().filter(|page| is(page)) };
        eventually(what, ask).await
    }

    async fn mileage(&self, page_size: i32, page_token: String) -> ListMyMileageResponse {
        let member_id = self.member.to_string();
        let message = ListMyMileageRequest { member_id, page_size, page_token };
        let request = self.stage.call(As::Member(self.member), message);
        let mileage = self.pages.clone().list_my_mileage(request).await.expect("lists");
        mileage.into_inner()
    }

    async fn my_order(&self, order: Uuid) -> Option<OrderView> {
        let (member_id, order_id) = (self.member.to_string(), order.to_string());
        let request = GetMyOrderRequest { member_id, order_id };
        let request = self.stage.call(As::Member(self.member), request);
        self.pages.clone().get_my_order(request).await.map(Response::into_inner).ok()
    }

    /// The order's states, once its payment has this one and it has this many.
    async fn history(&self, order: Uuid, payment: payment::State, count: usize) -> Vec<String> {
        let ask = || async {
            let view = self.my_order(order).await?;
            let there = view.payment_state() == payment && view.history.len() == count;
            there.then(|| view.history.into_iter().map(|passed| passed.label).collect())
        };
        eventually(&format!("{count} milestones with {payment:?}"), ask).await
    }
}

#[tokio::test]
async fn a_page_shows_what_was_done_for_a_member_in_whatever_order_it_is_heard() {
    let shop = Shop::open().await;
    let coupon = base::id::new();
    // All before member says that there is somebody.
    shop.coupon_issued(coupon).await;
    shop.notified(Audience::Marketing).await;
    shop.notified(Audience::Admin).await;
    shop.earned(base::id::new(), 100).await;
    let unknown = shop.page(As::Member(shop.member)).await.expect_err("not heard of");
    assert_eq!(unknown.kind(), Kind::NotFound);

    shop.registered().await;
    let all =
        |page: &MyPage| page.coupon_issued && page.admin_notified && page.mileage_balance == 100;
    let page = shop.eventually("all of it", all).await;
    assert_eq!((page.state(), page.coupon_cancelled), (member::State::Active, false));
    let [issued] = page.coupons.as_slice() else { panic!("one coupon: {page:?}") };
    assert_eq!((&issued.id, issued.state()), (&coupon.to_string(), coupon::State::Issued));
    assert_eq!(shop.page(As::Member(shop.member)).await.expect("their own"), page);
    shop.stage.close().await;
}

#[tokio::test]
async fn a_withdrawal_shows() {
    let shop = Shop::with_member().await;
    let coupon = base::id::new();
    // The cancellation is heard of first.
    shop.coupon_cancelled(coupon).await;
    shop.coupon_issued(coupon).await;
    shop.withdrawn().await;
    let gone = |page: &MyPage| page.state() == member::State::Withdrawn && page.coupon_cancelled;
    let page = shop.eventually("withdrawn", gone).await;
    assert!(page.coupon_issued);
    assert_eq!(page.coupons.len(), 1);
    assert_eq!(page.coupons[0].state(), coupon::State::Cancelled);
    shop.stage.close().await;
}

#[tokio::test]
async fn points_show_as_earned_and_as_taken_back() {
    let shop = Shop::with_member().await;
    let entries: Vec<Uuid> = (0..5).map(|_| base::id::new()).collect();
    for (entry, points) in entries.iter().zip([10, 20, 40, 80, 160]) {
        shop.earned(*entry, points).await;
    }
    shop.taken_back(entries[1], 20).await;
    // Taken back before it is heard of.
    let early = base::id::new();
    shop.taken_back(early, 1_000).await;
    shop.earned(early, 1_000).await;
    let balance = |page: &MyPage| page.mileage_balance == 290;
    shop.eventually("the balance", balance).await;
    eventually("all entries", || async {
        (shop.mileage(0, String::new()).await.entries.len() == 8).then_some(())
    })
    .await;

    let (mut seen, mut token) = (Vec::new(), String::new());
    loop {
        let page = shop.mileage(4, token).await;
        assert_eq!(page.balance, 290, "of all pages");
        seen.extend(page.entries);
        token = page.next_page_token;
        if token.is_empty() {
            break;
        }
    }
    // What was taken back has an entry of its own.
    let revoked: i64 =
        seen.iter().filter(|it| it.kind() == EntryKind::Revoke).map(|it| it.points).sum();
    assert_eq!(revoked, -1_020);
    seen.retain(|entry| entry.kind() == EntryKind::Earn);
    let earned: Vec<bool> =
        seen.iter().map(|entry| entry.state() == mileage_entry::State::Earned).collect();
    assert_eq!(earned, [false, true, true, true, false, true]);
    assert_eq!((seen[5].points, &seen[5].id), (10, &entries[0].to_string()));
    shop.stage.close().await;
}

#[tokio::test]
async fn a_coupon_shows_its_terms_and_what_became_of_it() {
    let shop = Shop::with_member().await;
    let id = base::id::new();
    let (coupon_id, member_id) = (id.to_string(), shop.member.to_string());
    let said = |state: coupon::State| Coupon {
        id: coupon_id.clone(),
        member_id: member_id.clone(),
        state: state.into(),
        display_name: "가을 쿠폰".to_owned(),
        minimum_total: Some(Money::from(("KRW", 10_000))),
        ..Coupon::default()
    };
    let shows = async |state: coupon::State| {
        let is = |page: &MyPage| page.coupons.first().is_some_and(|it| it.state() == state);
        let page = shop.eventually("the coupon", is).await;
        assert_eq!(page.coupons[0].display_name, "가을 쿠폰");
        assert_eq!(page.coupons[0].minimum_total, Some(Money::from(("KRW", 10_000))));
        page.coupons[0].order_id.clone()
    };
    let publish = async |kind, event| {
        let event = CouponEvent { frame: None, event: Some(event) };
        shop.publish("coupon", kind, id, event).await;
    };
    let (coupon, order_id) = (Some(said(coupon::State::Issued)), base::id::new().to_string());
    let issued =
        CouponIssued { coupon_id: coupon_id.clone(), member_id: member_id.clone(), coupon };
    publish("CouponIssued", coupon_event::Event::CouponIssued(issued)).await;
    assert_eq!(shows(coupon::State::Issued).await, "");
    let coupon = Coupon { order_id: order_id.clone(), ..said(coupon::State::Redeemed) };
    let redeemed = CouponRedeemed {
        coupon_id: coupon_id.clone(),
        member_id: member_id.clone(),
        order_id: order_id.clone(),
        coupon: Some(coupon),
        ..CouponRedeemed::default()
    };
    publish("CouponRedeemed", coupon_event::Event::CouponRedeemed(redeemed)).await;
    assert_eq!(shows(coupon::State::Redeemed).await, order_id);
    let coupon = Some(said(coupon::State::Expired));
    let expired =
        CouponExpired { coupon_id: coupon_id.clone(), member_id: member_id.clone(), coupon };
    publish("CouponExpired", coupon_event::Event::CouponExpired(expired)).await;
    assert_eq!(shows(coupon::State::Expired).await, "");
    shop.stage.close().await;
}

#[tokio::test]
async fn points_show_as_spent_and_as_about_to_expire() {
    let shop = Shop::with_member().await;
    let (lot, order) = (base::id::new(), base::id::new());
    let member_id = shop.member.to_string();
    let soon = std::time::SystemTime::now() + std::time::Duration::from_hours(24);
    let lots = |remaining, version| {
        let (entry_id, expire_time) = (lot.to_string(), Some(soon.into()));
        vec![MileageLot { entry_id, remaining, expire_time, version }]
    };
    let entry = |kind: EntryKind, points| MileageEntry {
        id: base::id::new().to_string(),
        order_id: order.to_string(),
        points,
        kind: kind.into(),
        ..MileageEntry::default()
    };
    let publish = async |kind, about, event| {
        let event = MileageEvent { frame: None, event: Some(event) };
        shop.publish("mileage", kind, about, event).await;
    };
    let expired = MileageExpired {
        member_id: member_id.clone(),
        entries: vec![entry(EntryKind::Expire, -10)],
        lots: lots(60, 3),
    };
    let spent = MileageSpent {
        order_id: order.to_string(),
        member_id: member_id.clone(),
        entry: Some(entry(EntryKind::Spend, -30)),
        lots: lots(70, 2),
    };
    let earned = MileageEarned {
        entry_id: lot.to_string(),
        payment_id: lot.to_string(),
        order_id: lot.to_string(),
        member_id,
        points: 100,
        expire_time: Some(soon.into()),
        lots: lots(100, 1),
    };
    // The later ones may be heard of first.
    publish("MileageExpired", shop.member, mileage_event::Event::MileageExpired(expired)).await;
    publish("MileageSpent", order, mileage_event::Event::MileageSpent(spent)).await;
    publish("MileageEarned", lot, mileage_event::Event::MileageEarned(earned)).await;
    let page = shop.eventually("the balance", |page: &MyPage| page.mileage_balance == 60).await;
    assert_eq!(page.mileage_expiring_soon.expect("is there").points, 60);
    let entries = shop.mileage(0, String::new()).await.entries;
    let said: Vec<_> = entries.iter().map(|entry| (entry.kind(), entry.points)).collect();
    assert_eq!(said.len(), 3, "{said:?}");
    for each in [(EntryKind::Earn, 100), (EntryKind::Spend, -30), (EntryKind::Expire, -10)] {
        assert!(said.contains(&each), "{said:?}");
    }
    shop.stage.close().await;
}

#[tokio::test]
async fn a_bank_transfer_shows_the_deposit_that_is_waited_for_and_its_end() {
    use payment::State as Payment;
    let shop = Shop::with_member().await;
    let order = base::id::new();
    let (order_id, member_id, payment_id) =
        (order.to_string(), shop.member.to_string(), base::id::new().to_string());
    let requested = payment_event::Event::DepositRequested(DepositRequested {
        payment_id: payment_id.clone(),
        order_id: order_id.clone(),
        member_id: member_id.clone(),
        ..DepositRequested::default()
    });
    shop.payment("DepositRequested", order, requested).await;
    let placed = order_event::Event::OrderPlaced(OrderPlaced {
        order_id: order_id.clone(),
        member_id: member_id.clone(),
        lines: Vec::new(),
        total: Some(Money::from(("KRW", 3_000))),
        payment_method: PaymentMethod::BankTransfer.into(),
        ..OrderPlaced::default()
    });
    shop.order("OrderPlaced", order, placed).await;
    let waits = OrderAwaitingDeposit { order_id: order_id.clone(), member_id: member_id.clone() };
    let waits = order_event::Event::OrderAwaitingDeposit(waits);
    shop.order("OrderAwaitingDeposit", order, waits).await;
    let history = shop.history(order, Payment::WaitingForDeposit, 2).await;
    assert_eq!(history, ["주문접수", "입금확인대기"]);
    let view = shop.my_order(order).await.expect("is there");
    assert_eq!(view.payment_state_label, "입금대기");

    let expired =
        DepositExpired { payment_id, order_id: order_id.clone(), member_id: member_id.clone() };
    shop.payment("DepositExpired", order, payment_event::Event::DepositExpired(expired)).await;
    let cancelled = order_event::Event::OrderCancelled(OrderCancelled {
        order_id,
        member_id,
        reason: CancelReason::DepositExpired.into(),
        ..OrderCancelled::default()
    });
    shop.order("OrderCancelled", order, cancelled).await;
    let history = shop.history(order, Payment::Expired, 3).await;
    assert_eq!(history, ["주문접수", "입금확인대기", "주문취소"]);
    let view = shop.my_order(order).await.expect("is there");
    assert_eq!(view.state(), order::State::Cancelled);
    assert_eq!(view.cancel_reason(), CancelReason::DepositExpired);
    assert_eq!(view.payment_state_label, "입금기한만료");
    assert_eq!(shop.page(As::Member(shop.member)).await.expect("theirs").order_count, 1);
    shop.stage.close().await;
}

#[tokio::test]
async fn a_page_is_its_owners_alone() {
    let shop = Shop::with_member().await;
    for (caller, kind) in [
        (As::Nobody, Kind::Unauthenticated),
        (As::Member(base::id::new()), Kind::NotFound),
        (As::Seller(base::id::new()), Kind::NotFound),
        (As::Service("order"), Kind::Forbidden),
    ] {
        assert_eq!(shop.page(caller).await.expect_err("refused").kind(), kind, "{caller:?}");
    }
    shop.page(As::Admin(base::id::new())).await.expect("an admin may");
    shop.stage.close().await;
}

#[tokio::test]
async fn points_from_before_there_was_a_limit_break_no_sum() {
    let shop = Shop::with_member().await;
    for _ in 0..3 {
        shop.earned(base::id::new(), i64::MAX).await;
    }
    shop.eventually("the balance", |page: &MyPage| page.mileage_balance == i64::MAX).await;
    shop.stage.close().await;
}
