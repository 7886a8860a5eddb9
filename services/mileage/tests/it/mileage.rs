//! Mileage through gRPC on real Postgres; the test plays the payment and order contexts.

mod checkout;
mod parts;
mod races;
mod warnings;

use std::{
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use base::id::Uuid;
use contracts::{
    Money,
    mileage::v1::{
        EarnRequest, GetMileageRequest, ListMileageEntriesRequest, ListMileageEntriesResponse,
        MileageEntry,
        mileage_entry::{Kind, State},
        mileage_service_client::MileageServiceClient,
    },
    order::v1::OrderEvent,
    payment::v1::{PaymentApproved, PaymentCancelled, PaymentEvent, payment_event::Event},
};
use eventlog::Draft;
use pg::Database;
use prost::Message as _;
use server::{Service, ServiceBuilder};
use settings::Settings;
use testkit::{
    eventually,
    stage::{As, Stage},
};
use tokio::{task::JoinSet, time::sleep};
use tonic::{Code, Status};

static PAYMENT: Service = Service {
    name: "payment",
    migrations: pg::migrations![],
    build: |builder: &mut ServiceBuilder<'_>| {
        builder.publish::<PaymentEvent>();
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

/// A payment of the member's.
#[derive(Clone, Copy, Debug)]
struct Payment {
    id: Uuid,
    order: Uuid,
    amount: i64,
}

impl Payment {
    fn of(amount: i64) -> Self {
        Self { id: base::id::new(), order: base::id::new(), amount }
    }
}

#[derive(Clone, Copy, Debug)]
enum Fact {
    Approved,
    Cancelled,
}

struct Shop {
    stage: Stage,
    mileage: MileageServiceClient<tonic::transport::Channel>,
    database: Database,
    payments: Database,
    member: Uuid,
    published: AtomicI64,
}

impl Shop {
    async fn open() -> Self {
        Self::open_with(&[]).await.expect("the services start")
    }

    /// A shop with this in its environment.
    async fn open_with(env: &[(&str, &str)]) -> Result<Self, base::Error> {
        let env = env.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
        let told = Settings::load(None, env, [])?;
        let services = &[&mileage::SERVICE, &PAYMENT, &ORDER];
        let change = |settings: &mut Settings| settings.service = told.service;
        let stage = Stage::open_with(services, &contracts::API, change).await?;
        Ok(Self {
            mileage: MileageServiceClient::new(stage.channel()),
            database: stage.database("mileage"),
            payments: stage.database("payment"),
            stage,
            member: base::id::new(),
            published: AtomicI64::new(0),
        })
    }

    /// Publishes what happened to payments, each twice: late and double messages are normal.
    async fn publish(&self, facts: &[(Payment, Fact)]) {
        self.publish_of(self.member, facts).await;
    }

    /// The same of anybody's payments.
    async fn publish_of(&self, member: Uuid, facts: &[(Payment, Fact)]) {
        let mut tx = self.payments.begin().await.expect("begins");
        let mut drafts = Vec::new();
        for (payment, fact) in facts.iter().flat_map(|fact| [fact, fact]) {
            let (payment_id, order_id) = (payment.id.to_string(), payment.order.to_string());
            let (member_id, money) = (member.to_string(), ("KRW", payment.amount).into());
            let (kind, event) = match fact {
                Fact::Approved => {
                    let amount = Some(money);
                    let it = PaymentApproved { payment_id, order_id, member_id, amount, method: 0 };
                    ("PaymentApproved", Event::PaymentApproved(it))
                }
                Fact::Cancelled => {
                    let (refunded, reason) = (Some(money), "MEMBER_REQUEST".to_owned());
                    let it = PaymentCancelled {
                        payment_id,
                        order_id,
                        member_id,
                        refunded,
                        reason,
                        refund: None,
                    };
                    ("PaymentCancelled", Event::PaymentCancelled(it))
                }
            };
            let version = self.published.fetch_add(1, Ordering::Relaxed);
            let payload = PaymentEvent { frame: None, event: Some(event) }.encode_to_vec();
            drafts.push(Draft::new(kind, payment.id, version, payment.order, payload));
        }
        eventlog::append(&mut tx, &drafts).await.expect("appends");
        tx.commit().await.expect("commits");
    }

    /// Waits until mileage has applied all that was published.
    async fn settle(&self) {
        let published = self.published.load(Ordering::Relaxed);
        let ask = || async {
            let mut reader = self.database.read().await.expect("reads");
            let row = reader
                .query_one(
                    "select max(position) filter (where source = 'payment'),
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

    fn request(&self, payment: Payment) -> EarnRequest {
        EarnRequest {
            payment_id: payment.id.to_string(),
            order_id: payment.order.to_string(),
            member_id: self.member.to_string(),
            amount: Some(Money::from(("KRW", payment.amount))),
        }
    }

    async fn call_earn(&self, caller: As, request: EarnRequest) -> Result<MileageEntry, Status> {
        let request = self.stage.call(caller, request);
        Ok(self.mileage.clone().earn(request).await?.into_inner())
    }

    async fn earn(&self, payment: Payment) -> Result<MileageEntry, Status> {
        self.call_earn(As::ServiceFor("payment", self.member), self.request(payment)).await
    }

    async fn balance(&self, caller: As) -> Result<i64, Status> {
        let request = GetMileageRequest { member_id: self.member.to_string() };
        let mileage = self.mileage.clone().get_mileage(self.stage.call(caller, request)).await?;
        Ok(mileage.into_inner().balance)
    }

    async fn own_balance(&self) -> i64 {
        self.balance(As::Member(self.member)).await.expect("the owner may")
    }

    async fn list(
        &self,
        caller: As,
        filter: ListMileageEntriesRequest,
    ) -> Result<ListMileageEntriesResponse, Status> {
        let request = ListMileageEntriesRequest { member_id: self.member.to_string(), ..filter };
        let request = self.stage.call(caller, request);
        Ok(self.mileage.clone().list_mileage_entries(request).await?.into_inner())
    }

    async fn entries(&self, filter: ListMileageEntriesRequest) -> Vec<MileageEntry> {
        self.list(As::Member(self.member), filter).await.expect("the owner may").entries
    }

    async fn entry(&self, payment: Payment) -> Option<MileageEntry> {
        let payment_id = payment.id.to_string();
        let mut entries =
            self.entries(ListMileageEntriesRequest { payment_id, ..all() }).await.into_iter();
        let entry = entries.next();
        assert_eq!(entries.next(), None, "one entry a payment");
        entry
    }

    /// The events that mileage published of this order, or of all.
    async fn told(&self, order: Option<Uuid>) -> Vec<String> {
        let mut reader = self.database.read().await.expect("reads");
        let sql =
            "select type from event where $1::uuid is null or correlation_id = $1 order by id";
        let rows = reader.query(sql, &[&order]).await.expect("lists");
        rows.iter().map(|row| row.get(0)).collect()
    }
}

fn all() -> ListMileageEntriesRequest {
    ListMileageEntriesRequest::default()
}

#[tokio::test]
async fn a_payment_earns_a_hundredth_which_is_taken_back_when_it_is_cancelled() {
    let shop = Shop::open().await;
    let (payment, other) = (Payment::of(10_099), Payment::of(500));
    shop.publish(&[(payment, Fact::Approved), (other, Fact::Approved)]).await;
    shop.settle().await;
    let entry = shop.entry(payment).await.expect("is there");
    assert_eq!((entry.points, entry.state()), (100, State::Earned));
    assert_eq!(
        (entry.order_id, entry.member_id),
        (payment.order.to_string(), shop.member.to_string())
    );
    assert_eq!(shop.own_balance().await, 105);

    shop.publish(&[(payment, Fact::Cancelled), (payment, Fact::Approved)]).await;
    shop.settle().await;
    let cancelled = shop.entry(payment).await.expect("is still there");
    assert_eq!((cancelled.state(), cancelled.id), (State::Cancelled, entry.id));
    assert_eq!(shop.own_balance().await, 5);
    assert_eq!(shop.told(Some(payment.order)).await, ["MileageEarned", "MileageCancelled"]);
    shop.stage.close().await;
}

#[tokio::test]
async fn the_points_are_there_when_the_call_returns_however_often_it_is_made() {
    let shop = Shop::open().await;
    let payment = Payment::of(30_000);
    let first = shop.earn(payment).await.expect("earns");
    assert_eq!((first.points, first.state()), (300, State::Earned));
    assert_eq!(shop.own_balance().await, 300);
    assert_eq!(shop.earn(payment).await.expect("earned already"), first);
    shop.publish(&[(payment, Fact::Approved)]).await;
    shop.settle().await;
    assert_eq!(shop.earn(payment).await.expect("earned already"), first);
    assert_eq!(shop.entry(payment).await, Some(first));
    assert_eq!(shop.told(None).await, ["MileageEarned"]);
    shop.stage.close().await;
}

#[tokio::test]
async fn a_payment_that_was_cancelled_before_it_was_heard_of_earns_nothing() {
    let shop = Shop::open().await;
    let payment = Payment::of(30_000);
    shop.publish(&[(payment, Fact::Cancelled)]).await;
    shop.settle().await;
    for _ in 0..2 {
        let refused = shop.earn(payment).await.expect_err("refused");
        assert_eq!(refused.code(), Code::FailedPrecondition);
        assert_eq!(base::Error::from(refused).reason(), "PAYMENT_CANCELLED");
        shop.publish(&[(payment, Fact::Approved)]).await;
        shop.settle().await;
    }
    assert_eq!(shop.entry(payment).await, None);
    assert_eq!(shop.own_balance().await, 0);
    assert_eq!(shop.told(None).await, [""; 0]);
    shop.stage.close().await;
}

#[tokio::test]
async fn a_late_call_for_points_that_were_taken_back_gets_the_cancelled_entry() {
    let shop = Shop::open().await;
    let payment = Payment::of(30_000);
    shop.publish(&[(payment, Fact::Approved), (payment, Fact::Cancelled)]).await;
    shop.settle().await;
    let late = shop.earn(payment).await.expect("answers");
    assert_eq!((late.points, late.state()), (300, State::Cancelled));
    assert_eq!(shop.own_balance().await, 0);
    shop.stage.close().await;
}

#[tokio::test]
async fn however_calls_and_events_race_a_payment_earns_once() {
    let shop = Arc::new(Shop::open().await);
    let mut points = 0;
    for round in 0..20 {
        let payment = Payment::of(1_000 + round * 100);
        let mut calls = JoinSet::new();
        for at in 0..33 {
            let shop = Arc::clone(&shop);
            calls.spawn(async move {
                if at == 7 {
                    shop.publish(&[(payment, Fact::Approved)]).await;
                    return None;
                }
                Some(shop.earn(payment).await.expect("earns"))
            });
        }
        let answers: Vec<MileageEntry> = calls.join_all().await.into_iter().flatten().collect();
        assert_eq!(answers.len(), 32);
        shop.settle().await;
        let entry = shop.entry(payment).await.expect("is there");
        assert!(answers.iter().all(|answer| *answer == entry), "{answers:?}");
        assert_eq!(shop.told(Some(payment.order)).await, ["MileageEarned"]);
        points += 10 + round;
    }
    assert_eq!(shop.own_balance().await, points);
    Arc::into_inner(shop).expect("all are done").stage.close().await;
}

#[tokio::test]
async fn however_earning_and_cancelling_race_a_cancelled_payment_has_no_points() {
    let shop = Arc::new(Shop::open().await);
    shop.publish(&[(Payment::of(0), Fact::Cancelled)]).await;
    shop.settle().await;
    let (mut payments, mut earned, mut wait) = (Vec::new(), 0, Duration::ZERO);
    for _ in 0..40 {
        let few: Vec<Payment> = (0..10).map(|_| Payment::of(1_000)).collect();
        let cancelled: Vec<_> = few.iter().map(|payment| (*payment, Fact::Cancelled)).collect();
        shop.publish(&cancelled).await;
        sleep(wait).await;
        let mut calls = JoinSet::new();
        for payment in few.iter().copied() {
            let shop = Arc::clone(&shop);
            calls.spawn(async move { shop.earn(payment).await });
        }
        let answers = calls.join_all().await;
        let won = answers.iter().filter(|answer| answer.is_ok()).count();
        let lost = answers.into_iter().filter_map(Result::err).map(base::Error::from);
        assert!(lost.into_iter().all(|error| error.reason() == "PAYMENT_CANCELLED"));
        // Stays where neither wins all of the time.
        let step = Duration::from_millis(3);
        wait = if won > 5 { wait + step } else { wait.saturating_sub(step) };
        earned += won;
        payments.extend(few);
    }
    shop.settle().await;
    assert_eq!(shop.own_balance().await, 0);
    let entries = shop.entries(ListMileageEntriesRequest { page_size: 200, ..all() }).await;
    let earned_ones = entries.iter().filter(|entry| entry.kind() == Kind::Earn);
    assert!(earned_ones.into_iter().all(|entry| entry.state() == State::Cancelled));
    let told = shop.told(None).await;
    for kind in ["MileageEarned", "MileageCancelled"] {
        assert_eq!(told.iter().filter(|told| *told == kind).count(), earned, "{kind}");
    }
    println!("{earned} of {} payments earned before they were cancelled", payments.len());
    Arc::into_inner(shop).expect("all are done").stage.close().await;
}

#[tokio::test]
async fn entries_are_found_by_payment_and_by_order_and_paged() {
    let shop = Shop::open().await;
    let payments: Vec<Payment> = [0, 99, 100, 12_345, 70_000].map(Payment::of).to_vec();
    for payment in &payments {
        shop.earn(*payment).await.expect("earns");
    }
    let points: Vec<i64> = shop.entries(all()).await.iter().map(|entry| entry.points).collect();
    assert_eq!(points, [700, 123, 1, 0, 0], "the newest first, also those of no points");

    let order_id = payments[3].order.to_string();
    let of_order = shop.entries(ListMileageEntriesRequest { order_id, ..all() }).await;
    assert_eq!(of_order, [shop.entry(payments[3]).await.expect("is there")]);
    let mismatch = ListMileageEntriesRequest {
        payment_id: payments[2].id.to_string(),
        order_id: payments[3].order.to_string(),
        ..all()
    };
    assert_eq!(shop.entries(mismatch).await, []);

    let (mut seen, mut page_token) = (Vec::new(), String::new());
    loop {
        let page = ListMileageEntriesRequest { page_size: 2, page_token, ..all() };
        let page = shop.list(As::Member(shop.member), page).await.expect("lists");
        seen.extend(page.entries.iter().map(|entry| entry.points));
        page_token = page.next_page_token;
        if page_token.is_empty() {
            break;
        }
    }
    assert_eq!(seen, points);
    shop.stage.close().await;
}

#[tokio::test]
async fn only_whole_won_that_were_paid_earn() {
    let shop = Shop::open().await;
    let right = shop.request(Payment::of(1_000));
    let money = |currency: &str, units, nanos| {
        Some(Money { currency_code: currency.to_owned(), units, nanos })
    };
    for (amount, field) in [
        (None, "amount: "),
        (money("KRW", -1, 0), "amount.units: "),
        (money("KRW", 1, 1), "amount.nanos: "),
        (money("USD", 1, 0), "amount.currencyCode: "),
    ] {
        let request = EarnRequest { amount, ..right.clone() };
        let refused = shop
            .call_earn(As::ServiceFor("payment", shop.member), request)
            .await
            .expect_err("refused");
        assert_eq!(refused.code(), Code::InvalidArgument);
        assert!(refused.message().starts_with(field), "{}", refused.message());
    }
    let most = shop.earn(Payment::of(1_000_000_000_000)).await.expect("earns");
    assert_eq!(most.points, 10_000_000_000);
    let beyond = shop.earn(Payment::of(1_000_000_000_001)).await.expect_err("refused");
    assert!(beyond.message().starts_with("amount.units: "), "{}", beyond.message());
    shop.stage.close().await;
}

#[tokio::test]
async fn payments_from_before_there_was_a_limit_break_no_sum() {
    let shop = Shop::open().await;
    let largest: Vec<_> = (0..101).map(|_| (Payment::of(i64::MAX), Fact::Approved)).collect();
    shop.publish(&largest).await;
    shop.settle().await;
    assert_eq!(shop.own_balance().await, i64::MAX);
    shop.stage.close().await;
}

#[tokio::test]
async fn mileage_is_seen_by_its_owner_and_by_admins_and_earned_by_payment_alone() {
    let shop = Shop::open().await;
    let payment = Payment::of(1_000);
    for (caller, read, earn) in [
        (As::Nobody, Code::Unauthenticated, Code::Unauthenticated),
        (As::Member(base::id::new()), Code::NotFound, Code::PermissionDenied),
        (As::Seller(base::id::new()), Code::NotFound, Code::PermissionDenied),
        (As::Service("order"), Code::PermissionDenied, Code::PermissionDenied),
        (As::Service("payment"), Code::PermissionDenied, Code::PermissionDenied),
        (As::ServiceFor("payment", base::id::new()), Code::PermissionDenied, Code::NotFound),
    ] {
        let refused = shop.balance(caller).await.expect_err("refused");
        assert_eq!(refused.code(), read, "{caller:?}");
        let refused = shop.list(caller, all()).await.expect_err("refused");
        assert_eq!(refused.code(), read, "{caller:?}");
        let refused = shop.call_earn(caller, shop.request(payment)).await.expect_err("refused");
        assert_eq!(refused.code(), earn, "{caller:?}");
    }
    for caller in [As::Member(shop.member), As::Admin(base::id::new())] {
        let refused = shop.call_earn(caller, shop.request(payment)).await.expect_err("refused");
        assert_eq!(refused.code(), Code::PermissionDenied, "{caller:?}");
    }
    shop.earn(payment).await.expect("payment may");
    for caller in [As::Member(shop.member), As::Admin(base::id::new())] {
        assert_eq!(shop.balance(caller).await.expect("may"), 10, "{caller:?}");
        assert_eq!(shop.list(caller, all()).await.expect("may").entries.len(), 1, "{caller:?}");
    }
    shop.stage.close().await;
}

#[tokio::test]
async fn the_rate_is_what_the_configuration_says() {
    let shop = Shop::open_with(&[("HANSANG__SERVICE__MILEAGE__BASIS_POINTS", "250")]).await;
    let shop = shop.expect("starts");
    let (called, heard) = (Payment::of(999), Payment::of(10_000));
    assert_eq!(shop.earn(called).await.expect("earns").points, 24);
    shop.publish(&[(heard, Fact::Approved)]).await;
    shop.settle().await;
    assert_eq!(shop.entry(heard).await.expect("is there").points, 250);
    shop.stage.close().await;
}

#[tokio::test]
async fn a_configuration_that_nobody_understands_is_refused() {
    for (key, value, why) in [
        ("HANSANG__SERVICE__MILEAGE__BASIS_POINTS", "10001", "service.mileage.basis_points: must"),
        ("HANSANG__SERVICE__MILEAGE__RATE", "1", "service.mileage.rate: unknown field"),
        ("HANSANG__SERVICE__PAYMENT__RATE", "1", "service.payment: it has no settings of its own"),
    ] {
        let Err(error) = Shop::open_with(&[(key, value)]).await else { panic!("took {key}") };
        assert!(error.to_string().contains(why), "{error}");
    }
}
