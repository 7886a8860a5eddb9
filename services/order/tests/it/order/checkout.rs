//! Orders with a coupon, points and a wallet: all is reserved before anybody sees
//! the order, or nothing stays reserved.

use std::{
    collections::HashSet,
    sync::{
        LazyLock, Mutex,
        atomic::{AtomicBool, Ordering},
    },
};

use base::{Error, error::Kind, id::Uuid};
use contracts::{
    Money,
    coupon::v1::{
        self as coupon,
        coupon_service_server::{CouponService, CouponServiceServer},
    },
    mileage::v1::{
        self as mileage,
        mileage_service_server::{MileageService, MileageServiceServer},
    },
    order::v1::{Order, OrderEvent, PaymentMethod, PlaceOrderRequest, order::State, order_event},
};
use prost::Message as _;
use server::{Service, ServiceBuilder};
use testkit::eventually;
use tonic::{Code, Request, Response, Status};

use super::Shop;

/// Orders that hold something of whom the test plays; each test is a process of its own.
static HELD: LazyLock<Mutex<HashSet<(&'static str, String)>>> = LazyLock::new(Mutex::default);

/// Whether coupons are taken back.
static RELEASES: AtomicBool = AtomicBool::new(true);

/// What they are asked for says what they do.
const TAKEN: i64 = 6;
const REFUSED: i64 = 7;
const AWAY: i64 = 8;
const SILENT: i64 = 9;

async fn answer(who: &'static str, order: &str, asked: i64) -> Result<(), Status> {
    match asked {
        REFUSED => Err(Error::new(Kind::Conflict, "INSUFFICIENT_POINTS", "too many").into()),
        AWAY => Err(Status::unimplemented("turned away")),
        // One after the other.
        TAKEN if !HELD.lock().expect("no panic").is_empty() => {
            Err(Error::new(Kind::Conflict, "COUPON_REDEEMED", "another order has it").into())
        }
        asked => {
            HELD.lock().expect("no panic").insert((who, order.to_owned()));
            if asked == SILENT {
                std::future::pending::<()>().await;
            }
            Ok(())
        }
    }
}

fn release(who: &'static str, order: &str) {
    HELD.lock().expect("no panic").remove(&(who, order.to_owned()));
}

struct Coupons;

#[tonic::async_trait]
impl CouponService for Coupons {
    /// The last digit of the coupon's id says what it does.
    async fn redeem_coupon(
        &self,
        request: Request<coupon::RedeemCouponRequest>,
    ) -> Result<Response<coupon::RedeemCouponResponse>, Status> {
        let request = request.into_inner();
        let id = base::id::parse("couponId", &request.coupon_id)?.as_u128();
        answer("coupon", &request.order_id, (id % 10).try_into().expect("a digit")).await?;
        let discount = Some(Money::from(("KRW", 300)));
        Ok(Response::new(coupon::RedeemCouponResponse { discount, coupon: None }))
    }

    async fn release_coupon(
        &self,
        request: Request<coupon::ReleaseCouponRequest>,
    ) -> Result<Response<coupon::ReleaseCouponResponse>, Status> {
        if !RELEASES.load(Ordering::SeqCst) {
            return Err(Status::unavailable("busy"));
        }
        release("coupon", &request.get_ref().order_id);
        Ok(Response::new(coupon::ReleaseCouponResponse::default()))
    }
}

struct Points;

#[tonic::async_trait]
impl MileageService for Points {
    async fn spend_points(
        &self,
        request: Request<mileage::SpendPointsRequest>,
    ) -> Result<Response<mileage::SpendPointsResponse>, Status> {
        let request = request.into_inner();
        answer("points", &request.order_id, request.points).await?;
        Ok(Response::new(mileage::SpendPointsResponse::default()))
    }

    async fn release_points(
        &self,
        request: Request<mileage::ReleasePointsRequest>,
    ) -> Result<Response<mileage::ReleasePointsResponse>, Status> {
        release("points", &request.get_ref().order_id);
        Ok(Response::new(mileage::ReleasePointsResponse::default()))
    }
}

pub(crate) static COUPON: Service = Service {
    name: "coupon",
    migrations: pg::migrations![],
    build: |builder: &mut ServiceBuilder<'_>| {
        builder.serve(CouponServiceServer::new(Coupons));
        Ok(())
    },
};

pub(crate) static MILEAGE: Service = Service {
    name: "mileage",
    migrations: pg::migrations![],
    build: |builder: &mut ServiceBuilder<'_>| {
        builder.serve(MileageServiceServer::new(Points));
        Ok(())
    },
};

/// A coupon's id that says what redeeming it does.
fn coupon(does: i64) -> String {
    let id = base::id::new().as_u128() / 10 * 10;
    Uuid::from_u128(id + u128::from(does.unsigned_abs())).to_string()
}

impl Shop {
    fn paid(&self, method: PaymentMethod, coupon: i64, points: i64) -> PlaceOrderRequest {
        let card = method == PaymentMethod::Card;
        PlaceOrderRequest {
            payment_method: method.into(),
            card_token: if card { "tok_1".into() } else { String::new() },
            coupon_id: if coupon == 0 { String::new() } else { self::coupon(coupon) },
            points,
            ..self.by_card("tok_1")
        }
    }

    /// The events of an order.
    async fn told(&self, order: &Order) -> Vec<order_event::Event> {
        let id = base::id::parse("id", &order.id).expect("an id");
        let mut reader = self.stage.database("order").read().await.expect("reads");
        let sql = "select payload from event where aggregate_id = $1 order by aggregate_version";
        let rows = reader.query(sql, &[&id]).await.expect("reads");
        let event = |row: &tokio_postgres::Row| OrderEvent::decode(row.get::<_, &[u8]>(0));
        rows.iter().filter_map(|row| event(row).expect("an event").event).collect()
    }
}

fn won(amount: Option<&Money>) -> i64 {
    amount.map_or(0, |amount| amount.units)
}

fn held(order: &Order) -> usize {
    HELD.lock().expect("no panic").iter().filter(|(_, of)| *of == order.id).count()
}

#[tokio::test]
async fn what_coupon_and_points_leave_the_method_pays() {
    let shop = Shop::open().await;
    for (method, state) in [
        (PaymentMethod::Card, State::Paid),
        (PaymentMethod::Wallet, State::Placed),
        (PaymentMethod::BankTransfer, State::Placed),
    ] {
        let order = shop.try_place(shop.paid(method, 1, 100)).await.expect("placed");
        assert_eq!((order.state(), held(&order)), (state, 2));
        let amounts = (won(order.goods_total.as_ref()), won(order.coupon_discount.as_ref()));
        assert_eq!((amounts, order.points_used), ((1_000, 300), 100));
        assert_eq!((won(order.payable.as_ref()), won(order.wallet_used.as_ref())), (600, 0));
        let [line] = &order.lines[..] else { panic!("{order:?}") };
        let shares = [&line.coupon_share, &line.points_share, &line.payable_share];
        assert_eq!(shares.map(|share| won(share.as_ref())), [300, 100, 600]);
        let events = shop.told(&order).await;
        let Some(order_event::Event::OrderPlaced(placed)) = events.first() else {
            panic!("{events:?}");
        };
        assert_eq!((won(placed.total.as_ref()), won(placed.amount.as_ref())), (1_000, 600));
        assert_eq!((&placed.coupon_id, placed.points), (&order.coupon_id, 100));
        assert_eq!(placed.lines, order.lines);
    }
    shop.stage.close().await;
}

#[tokio::test]
async fn an_order_that_reserves_nothing_asks_nobody() {
    let shop = Shop::open().await;
    let wallet_amount = Some(Money::from(("KRW", 400)));
    let message =
        PlaceOrderRequest { wallet_amount, ..shop.paid(PaymentMethod::BankTransfer, 0, 0) };
    let order = shop.try_place(message).await.expect("placed");
    assert_eq!((held(&order), won(order.payable.as_ref())), (0, 600));
    let events = shop.told(&order).await;
    let Some(order_event::Event::OrderPlaced(placed)) = events.first() else {
        panic!("{events:?}");
    };
    assert_eq!((placed.amount.as_ref(), won(placed.wallet_amount.as_ref())), (None, 400));
    shop.stage.close().await;
}

#[tokio::test]
async fn a_cancelled_order_says_what_paid_for_it_besides_money() {
    let shop = Shop::open().await;
    for (coupon, points) in [(1, 100), (1, 0), (0, 100), (0, 0)] {
        let message = shop.paid(PaymentMethod::Wallet, coupon, points);
        let order = shop.try_place(message).await.expect("placed");
        assert_eq!(shop.cancel(&order).await.expect("cancels"), State::Cancelled);
        let events = shop.told(&order).await;
        let Some(order_event::Event::OrderCancelled(cancelled)) = events.last() else {
            panic!("{events:?}");
        };
        assert!(cancelled.says_checkout);
        assert_eq!((&cancelled.coupon_id, cancelled.points), (&order.coupon_id, points));
        assert_eq!(order.coupon_id.is_empty(), coupon == 0);
    }
    shop.stage.close().await;
}

#[tokio::test]
async fn whoever_fails_nothing_stays_reserved() {
    let shop = Shop::open().await;
    let cases = [
        (REFUSED, 0, "tok_1", Code::FailedPrecondition, "INSUFFICIENT_POINTS"),
        (AWAY, 0, "tok_1", Code::Unavailable, "COUPON_UNAVAILABLE"),
        (SILENT, 0, "tok_1", Code::Unavailable, "COUPON_UNAVAILABLE"),
        (1, REFUSED, "tok_1", Code::FailedPrecondition, "INSUFFICIENT_POINTS"),
        (1, AWAY, "tok_1", Code::Unavailable, "MILEAGE_UNAVAILABLE"),
        (1, SILENT, "tok_1", Code::Unavailable, "MILEAGE_UNAVAILABLE"),
        (1, 1, "tok_declined", Code::FailedPrecondition, "CARD_DECLINED"),
        (0, 1, "tok_away", Code::Unavailable, "PAYMENT_UNAVAILABLE"),
        (1, 1, "tok_silence", Code::Unavailable, "PAYMENT_UNAVAILABLE"),
    ];
    for (coupon, points, token, code, reason) in cases {
        let message = PlaceOrderRequest {
            card_token: token.into(),
            ..shop.paid(PaymentMethod::Card, coupon, points)
        };
        let refused = shop.try_place(message).await.expect_err(token);
        assert_eq!(refused.code(), code, "{coupon} {points} {token}");
        assert_eq!(Error::from(refused).reason(), reason, "{coupon} {points} {token}");
        assert_eq!(shop.listed().await, [], "{coupon} {points} {token}");
        let ask = || async { (shop.rows().await == (0, 0)).then_some(()) };
        eventually("no order and no task", ask).await;
        let held = HELD.lock().expect("no panic").clone();
        assert!(held.is_empty(), "{coupon} {points} {token}: {held:?}");
    }
    shop.stage.close().await;
}

/// Whoever was told to try again is not told that somebody else has the coupon.
#[tokio::test]
async fn an_order_after_one_that_is_giving_its_coupon_back_may_come_again() {
    let shop = Shop::open().await;
    RELEASES.store(false, Ordering::SeqCst);
    let lost = shop.paid(PaymentMethod::Card, TAKEN, SILENT);
    let again = PlaceOrderRequest { points: 0, ..lost.clone() };
    let refused = Error::from(shop.try_place(lost).await.expect_err("no answer"));
    assert_eq!(refused.reason(), "MILEAGE_UNAVAILABLE");
    let early = Error::from(shop.try_place(again.clone()).await.expect_err("not back yet"));
    assert_eq!((early.kind(), early.reason()), (Kind::Unavailable, "CHECKOUT_PENDING"));
    assert!(early.wait().is_some(), "{early}");
    RELEASES.store(true, Ordering::SeqCst);
    let back = || async { shop.try_place(again.clone()).await.ok() };
    let order = eventually("the coupon is back", back).await;
    assert_eq!(held(&order), 1);
    let taken = Error::from(shop.try_place(again).await.expect_err("the order has it"));
    assert_eq!((taken.kind(), taken.reason()), (Kind::Conflict, "COUPON_REDEEMED"));
    shop.stage.close().await;
}

#[tokio::test]
async fn more_than_there_is_left_to_pay_is_refused_on_its_field() {
    let shop = Shop::open().await;
    let wallet = |units| Some(Money::from(("KRW", units)));
    for (field, message) in [
        ("points", shop.paid(PaymentMethod::Wallet, 0, 1_001)),
        ("points", shop.paid(PaymentMethod::Wallet, 1, 701)),
        ("points", shop.paid(PaymentMethod::Wallet, 0, -1)),
        ("couponId", PlaceOrderRequest { coupon_id: "x".into(), ..shop.by_card("tok_1") }),
        (
            "walletAmount.units",
            PlaceOrderRequest { wallet_amount: wallet(1_001), ..shop.by_card("tok_1") },
        ),
        (
            "walletAmount.units",
            PlaceOrderRequest {
                wallet_amount: wallet(601),
                ..shop.paid(PaymentMethod::Card, 1, 100)
            },
        ),
    ] {
        let refused = Error::from(shop.try_place(message).await.expect_err(field));
        assert_eq!(refused.kind(), Kind::Invalid, "{refused}");
        assert!(refused.to_string().contains(&format!("{field}: ")), "{refused}");
    }
    let ask = || async { (shop.rows().await == (0, 0)).then_some(()) };
    eventually("no order and no task", ask).await;
    shop.stage.close().await;
}
