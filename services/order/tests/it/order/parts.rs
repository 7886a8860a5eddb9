//! Lines that are cancelled and goods that come back: payment gives their share back, or the order is as it was.

use std::{
    collections::HashMap,
    sync::{LazyLock, Mutex},
};

use base::{Error, error::Kind};
use contracts::{
    order::v1::{
        AcceptReturnRequest, CancelLinesRequest, ListOrderReturnsRequest, ListReturnsRequest,
        Order, OrderEvent, Pieces, RejectReturnRequest, RequestReturnRequest, Return,
        order::{Action, State},
        order_event::Event,
        r#return,
        return_service_client::ReturnServiceClient,
    },
    payment::v1::{RefundPartRequest, RefundPartResponse},
};
use prost::Message as _;
use testkit::{eventually, stage::As};
use tonic::{Request, Response, Status, transport::Channel};

use super::{Answer, Shop};

/// What payment gave back, by part: each once, however often it is asked.
static REFUNDED: LazyLock<Mutex<HashMap<String, RefundPartRequest>>> =
    LazyLock::new(Mutex::default);

/// Payment answers as the order's script says.
pub(crate) async fn refund(
    answer: Answer,
    request: RefundPartRequest,
) -> Result<Response<RefundPartResponse>, Status> {
    match answer {
        Answer::Refused => Err(Error::new(Kind::Conflict, "DEPOSIT_CONFIRMED", "too late").into()),
        Answer::Away => Err(Status::unimplemented("turned away")),
        Answer::Cancelled | Answer::Held | Answer::Silence => {
            keep(&request);
            if matches!(answer, Answer::Silence) {
                std::future::pending::<()>().await;
            }
            Ok(Response::new(RefundPartResponse { unpaid: false }))
        }
    }
}

fn keep(request: &RefundPartRequest) {
    let mut refunded = REFUNDED.lock().expect("no panic");
    let known = refunded.entry(request.part_id.clone()).or_insert_with(|| request.clone());
    assert_eq!(known, request, "the same part, asked for something else");
}

/// What payment gave back of an order, by method and wallet.
pub(crate) fn refunded(order: &Order) -> Vec<i64> {
    let refunded = REFUNDED.lock().expect("no panic");
    let of = refunded.values().filter(|request| request.order_id == order.id);
    of.map(|request| request.amount.as_ref().map_or(0, |amount| amount.units)).collect()
}

impl Shop {
    pub(crate) fn returns(&self) -> ReturnServiceClient<Channel> {
        ReturnServiceClient::new(self.stage.channel())
    }

    fn pieces(&self, quantity: i32) -> Vec<Pieces> {
        vec![Pieces { product_id: self.product.to_string(), quantity }]
    }

    fn lines(&self, order: &Order, quantity: i32) -> Request<CancelLinesRequest> {
        let message = CancelLinesRequest {
            order_id: order.id.clone(),
            lines: self.pieces(quantity),
            ..CancelLinesRequest::default()
        };
        self.stage.command(As::Member(self.member), message)
    }

    pub(crate) async fn cancel_lines(&self, order: &Order, quantity: i32) -> Result<Order, Error> {
        let request = self.lines(order, quantity);
        let cancelled = self.orders.clone().cancel_lines(request).await;
        cancelled.map(Response::into_inner).map_err(Error::from)
    }

    pub(crate) async fn request_return(
        &self,
        order: &Order,
        quantity: i32,
    ) -> Result<Return, Error> {
        let message = RequestReturnRequest {
            order_id: order.id.clone(),
            lines: self.pieces(quantity),
            reason: "too hot".into(),
        };
        let request = self.stage.command(As::Member(self.member), message);
        let asked = self.returns().request_return(request).await;
        asked.map(Response::into_inner).map_err(Error::from)
    }

    pub(crate) async fn accept(&self, wanted: &Return) -> Result<Return, Error> {
        let message =
            AcceptReturnRequest { return_id: wanted.id.clone(), ..AcceptReturnRequest::default() };
        let request = self.stage.command(As::Seller(base::id::new()), message);
        let accepted = self.returns().accept_return(request).await;
        accepted.map(Response::into_inner).map_err(Error::from)
    }

    pub(crate) async fn reject(&self, wanted: &Return) -> Result<Return, Error> {
        let message = RejectReturnRequest { return_id: wanted.id.clone(), reason: "worn".into() };
        let request = self.stage.command(As::Seller(base::id::new()), message);
        let rejected = self.returns().reject_return(request).await;
        rejected.map(Response::into_inner).map_err(Error::from)
    }

    /// How many pieces of the first line are bought, cancelled and returned, and whether calls to payment
    /// are under way.
    pub(crate) async fn counts(&self, order: &Order) -> [i32; 3] {
        let line = self.seen(order).await.lines.remove(0);
        [line.quantity, line.cancelled_quantity, line.returned_quantity]
    }

    /// What others are told of an order.
    async fn events(&self, order: &Order) -> Vec<Event> {
        let id = base::id::parse("id", &order.id).expect("an id");
        let mut reader = self.stage.database("order").read().await.expect("reads");
        let sql = "select payload from event where aggregate_id = $1 order by aggregate_version";
        let rows = reader.query(sql, &[&id]).await.expect("reads");
        let event = |row: &tokio_postgres::Row| OrderEvent::decode(row.get::<_, &[u8]>(0));
        rows.iter().filter_map(|row| event(row).expect("an event").event).collect()
    }

    /// An order of four pieces that is paid.
    async fn paid_order(&self, script: &[Answer]) -> Order {
        let order = self.place(script).await;
        self.pay(&order).await;
        self.eventually(&order, State::Paid).await;
        order
    }
}

#[tokio::test]
async fn cancelled_lines_are_told_with_what_they_bear_and_the_rest_goes_on() {
    let shop = Shop::open().await;
    let order = shop.paid_order(&[Answer::Cancelled]).await;
    let request = shop.lines(&order, 3);
    let key = request.metadata().clone();
    let cancelled = shop.orders.clone().cancel_lines(request).await.expect("cancels").into_inner();
    assert_eq!((cancelled.state(), refunded(&order)), (State::Paid, vec![3_000]));
    assert_eq!(shop.counts(&order).await, [4, 3, 0]);
    // The same command is answered again, and does nothing.
    let mut again = shop.lines(&order, 3);
    *again.metadata_mut() = key;
    let again = shop.orders.clone().cancel_lines(again).await.expect("again").into_inner();
    assert_eq!((again, refunded(&order)), (cancelled, vec![3_000]));
    let refused = shop.cancel_lines(&order, 2).await.expect_err("one is left");
    assert_eq!((refused.kind(), refused.reason()), (Kind::Conflict, "LINES_TAKEN"));

    shop.deliver(&order).await;
    shop.eventually(&order, State::Delivering).await;
    let events = shop.events(&order).await;
    let told = events.iter().find_map(|event| match event {
        Event::OrderLinesCancelled(it) => Some((it.lines[0].quantity, it.unpaid)),
        _ => None,
    });
    assert_eq!(told, Some((3, false)));
    let prepared = events.iter().find_map(|event| match event {
        Event::OrderPrepared(it) => Some(it.lines[0].quantity),
        _ => None,
    });
    assert_eq!(prepared, Some(1), "what is prepared is what is left");
    shop.stage.close().await;
}

#[tokio::test]
async fn what_payment_refuses_or_never_hears_of_leaves_the_order_as_it_was() {
    let shop = Shop::open().await;
    for (answer, kind, reason) in [
        (Answer::Refused, Kind::Conflict, "DEPOSIT_CONFIRMED"),
        (Answer::Away, Kind::Unavailable, "PAYMENT_UNAVAILABLE"),
    ] {
        let order = shop.paid_order(&[answer]).await;
        let refused = shop.cancel_lines(&order, 1).await.expect_err("refused");
        assert_eq!((refused.kind(), refused.reason()), (kind, reason));
        assert_eq!(shop.counts(&order).await, [4, 0, 0]);
        assert_eq!(shop.stage.unanswered_keys("order").await, 0);
        assert!(shop.seen(&order).await.allowed_actions().any(|it| it == Action::CancelLines));
    }
    shop.stage.close().await;
}

#[tokio::test]
async fn what_is_in_doubt_goes_on_by_itself_and_nothing_else_is_taken_back_meanwhile() {
    let shop = Shop::open().await;
    let mut script = vec![Answer::Silence; 2];
    script.push(Answer::Cancelled);
    let order = shop.paid_order(&script).await;
    let pending = shop.cancel_lines(&order, 1).await.expect_err("in doubt");
    assert_eq!((pending.kind(), pending.reason()), (Kind::Unavailable, "OUTCOME_PENDING"));
    for refused in [
        shop.cancel_lines(&order, 1).await.expect_err("another is under way"),
        shop.cancel(&order).await.expect_err("another is under way"),
    ] {
        assert_eq!((refused.kind(), refused.reason()), (Kind::Unavailable, "OUTCOME_PENDING"));
        assert!(refused.wait().is_some(), "{refused}");
    }
    let settled = || async { (shop.counts(&order).await == [4, 1, 0]).then_some(()) };
    eventually("the cancellation settled", settled).await;
    assert_eq!((refunded(&order), shop.stage.unanswered_keys("order").await), (vec![1_000], 0));
    shop.stage.close().await;
}

/// While payment is away an order is PLACED: what may be done says so, and so does what is refused.
#[tokio::test]
async fn before_payment_has_said_anything_lines_are_cancelled_in_a_moment_and_the_order_now() {
    let shop = Shop::open().await;
    let order = shop.place(&[Answer::Cancelled]).await;
    assert_eq!(order.state(), State::Placed);
    assert_eq!(order.allowed_actions().collect::<Vec<_>>(), [Action::Cancel]);
    let refused = shop.cancel_lines(&order, 1).await.expect_err("too early");
    assert_eq!((refused.kind(), refused.reason()), (Kind::Unavailable, "PAYMENT_PENDING"));
    assert!(refused.wait().is_some(), "{refused}");
    shop.pay(&order).await;
    shop.eventually(&order, State::Paid).await;
    shop.cancel_lines(&order, 1).await.expect("payment has answered");
    let other = shop.place(&[Answer::Cancelled]).await;
    assert_eq!(shop.cancel(&other).await.expect("cancels"), State::Cancelled);
    shop.stage.close().await;
}

#[tokio::test]
async fn cancelling_everything_in_parts_ends_the_order() {
    let shop = Shop::open().await;
    let order = shop.paid_order(&[Answer::Cancelled]).await;
    assert_eq!(shop.cancel_lines(&order, 3).await.expect("cancels").state(), State::Paid);
    assert_eq!(shop.cancel_lines(&order, 1).await.expect("cancels").state(), State::Cancelled);
    assert_eq!(refunded(&order), [3_000], "the rest is a cancellation of the order");
    shop.stage.close().await;
}

#[tokio::test]
async fn lines_that_are_not_the_orders_are_violations_of_their_fields() {
    let shop = Shop::open().await;
    let order = shop.paid_order(&[Answer::Cancelled]).await;
    let other = Pieces { product_id: base::id::new().to_string(), quantity: 1 };
    let none = Pieces { quantity: 0, ..shop.pieces(1).remove(0) };
    for (lines, field) in [
        (vec![], "lines"),
        (vec![shop.pieces(1).remove(0), other], "lines[1].productId"),
        (vec![none], "lines[0].quantity"),
    ] {
        let mut request = shop.lines(&order, 1);
        request.get_mut().lines = lines;
        let refused = shop.orders.clone().cancel_lines(request).await.expect_err(field);
        let refused = Error::from(refused);
        assert_eq!(refused.kind(), Kind::Invalid);
        assert!(refused.to_string().contains(field), "{refused} for {field}");
    }
    shop.stage.close().await;
}

#[tokio::test]
async fn a_return_is_asked_for_and_accepted_or_rejected_each_once() {
    let shop = Shop::open().await;
    let order = shop.on_its_way(&[Answer::Cancelled]).await;
    let early = shop.request_return(&order, 1).await.expect_err("not there yet");
    assert_eq!(early.reason(), "NOT_DELIVERED");
    shop.arrives(&order).await;
    shop.eventually(&order, State::Delivered).await;
    let (first, second) = (
        shop.request_return(&order, 2).await.expect("asks"),
        shop.request_return(&order, 1).await.expect("asks"),
    );
    let more = shop.request_return(&order, 2).await.expect_err("one is left");
    assert_eq!(more.reason(), "LINES_TAKEN");

    let accepted = shop.accept(&first).await.expect("accepts");
    assert_eq!(accepted.state(), r#return::State::Accepted);
    assert_eq!(accepted.refunded.as_ref().map(|money| money.units), Some(2_000));
    assert_eq!(shop.accept(&first).await.expect("again"), accepted);
    assert_eq!(shop.reject(&first).await.expect_err("accepted").reason(), "RETURN_ACCEPTED");
    let rejected = shop.reject(&second).await.expect("rejects");
    assert_eq!((rejected.state(), &*rejected.reject_reason), (r#return::State::Rejected, "worn"));
    assert_eq!(shop.reject(&second).await.expect("again"), rejected);
    assert_eq!(shop.accept(&second).await.expect_err("rejected").reason(), "RETURN_REJECTED");
    assert_eq!((shop.counts(&order).await, refunded(&order)), ([4, 0, 2], vec![2_000]));

    let request = ListOrderReturnsRequest { order_id: order.id.clone() };
    let request = shop.stage.call(As::Member(shop.member), request);
    let listed = shop.returns().list_order_returns(request).await.expect("lists").into_inner();
    assert_eq!(listed.returns, [accepted.clone(), rejected]);
    let request = ListReturnsRequest {
        state: r#return::State::Accepted.into(),
        ..ListReturnsRequest::default()
    };
    let request = shop.stage.call(As::Seller(base::id::new()), request);
    let listed = shop.returns().list_returns(request).await.expect("lists").into_inner();
    assert_eq!(listed.returns, [accepted]);
    shop.stage.close().await;
}

#[tokio::test]
async fn while_a_return_is_open_the_order_waits_and_after_seven_days_none_is_asked_for() {
    let shop = Shop::open().await;
    let order = shop.on_its_way(&[Answer::Cancelled]).await;
    shop.arrives(&order).await;
    shop.eventually(&order, State::Delivered).await;
    let wanted = shop.request_return(&order, 1).await.expect("asks");
    shop.days_pass(8).await;
    let late = shop.request_return(&order, 1).await.expect_err("too late");
    assert_eq!(late.reason(), "RETURN_PERIOD_OVER");
    let looked = || async {
        let mut reader = shop.stage.database("order").read().await.ok()?;
        let sql = "select from task where kind = 'close-after-delivery' and due_at > clock_now()";
        reader.query_opt(sql, &[]).await.ok()?
    };
    eventually("the closing put off", looked).await;
    assert_eq!(shop.state(&order).await, State::Delivered);
    shop.reject(&wanted).await.expect("rejects");
    shop.days_pass(1).await;
    shop.eventually(&order, State::Closed).await;
    shop.stage.close().await;
}

#[tokio::test]
async fn returns_of_an_order_that_the_shop_cancels_are_not_judged_any_more() {
    let shop = Shop::open().await;
    let order = shop.on_its_way(&[Answer::Cancelled]).await;
    shop.arrives(&order).await;
    shop.eventually(&order, State::Delivered).await;
    let wanted = shop.request_return(&order, 1).await.expect("asks");
    let request = contracts::order::v1::CancelOrderRequest {
        order_id: order.id.clone(),
        ..Default::default()
    };
    let request = shop.stage.command(As::Seller(base::id::new()), request);
    shop.orders.clone().cancel_order(request).await.expect("cancels");
    assert_eq!(shop.accept(&wanted).await.expect_err("too late").reason(), "ORDER_CANCELLED");
    let request = ListOrderReturnsRequest { order_id: order.id.clone() };
    let request = shop.stage.call(As::Member(shop.member), request);
    let listed = shop.returns().list_order_returns(request).await.expect("lists").into_inner();
    assert_eq!(listed.returns[0].state(), r#return::State::Cancelled);
    shop.stage.close().await;
}
