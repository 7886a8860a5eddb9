//! The My Page service's calls: parse, call, render.

use std::mem;

use base::{Error, error::Kind, id::Uuid};
use contracts::{
    Money,
    coupon::v1::{self as coupon, coupon::State as CouponState},
    delivery::v1::delivery,
    member::v1::{Address, member},
    mileage::v1::{ExpiringPoints, MileageEntry, mileage_entry},
    mypage::v1::{
        self as pb, GetMyOrderRequest, GetMyPageRequest, ListMyMileageRequest,
        ListMyMileageResponse, ListMyOrdersRequest, ListMyOrdersResponse, ShowAddressRequest,
        ShowAddressResponse, WatchMyPageRequest, my_page_service_server::MyPageService, order_view,
    },
    order::v1::{OrderPlaced, PaymentMethod, order},
    payment::v1::{Refund, payment, refund},
};
use pg::{Database, Reader};
use prost::Message as _;
use server::Incoming;
use tonic::{Request, Response, Status};

use crate::{
    store::{
        self, Coupon, OrderView, Passed,
        points::{Line, Movement, Points},
    },
    taken::Taken,
    watch::{self, Watches},
};

/// Answers calls about members' pages.
pub(crate) struct Pages {
    database: Database,
    watches: Watches,
}

impl Pages {
    pub(crate) fn new(database: Database, watches: Watches) -> Self {
        Self { database, watches }
    }
}

#[tonic::async_trait]
impl MyPageService for Pages {
    async fn get_my_page(
        &self,
        request: Request<GetMyPageRequest>,
    ) -> Result<Response<pb::MyPage>, Status> {
        let (_, id) = Incoming::owned(request, "memberId", |m| &m.member_id)?;
        let mut reader = self.database.read().await?;
        Ok(Response::new(page(&mut reader, id).await?))
    }

    async fn watch_my_page(
        &self,
        request: Request<WatchMyPageRequest>,
    ) -> Result<Response<watch::Messages>, Status> {
        let (incoming, member) = Incoming::owned(request, "memberId", |m| &m.member_id)?;
        let cursor = watch::cursor(&incoming.message.last_event_id)?;
        Ok(Response::new(self.watches.open(member, cursor).await?))
    }

    async fn list_my_orders(
        &self,
        request: Request<ListMyOrdersRequest>,
    ) -> Result<Response<ListMyOrdersResponse>, Status> {
        let (incoming, member) = Incoming::owned(request, "memberId", |m| &m.member_id)?;
        let page = incoming.page()?;
        let mut reader = self.database.read().await?;
        let orders = store::orders(&mut reader, member, page).await?;
        let render = |view: OrderView| Ok::<_, Error>((view.order, render_order(view)?));
        let orders = orders.into_iter().map(render).collect::<Result<Vec<_>, _>>()?;
        let (orders, next_page_token) = page.cut(orders);
        Ok(Response::new(ListMyOrdersResponse { orders, next_page_token }))
    }

    async fn get_my_order(
        &self,
        request: Request<GetMyOrderRequest>,
    ) -> Result<Response<pb::OrderView>, Status> {
        let (incoming, member) = Incoming::owned(request, "memberId", |m| &m.member_id)?;
        let order = base::id::parse("orderId", &incoming.message.order_id)?;
        let mut reader = self.database.read().await?;
        Ok(Response::new(render_order(store::order(&mut reader, member, order).await?)?))
    }

    async fn list_my_mileage(
        &self,
        request: Request<ListMyMileageRequest>,
    ) -> Result<Response<ListMyMileageResponse>, Status> {
        let (incoming, member) = Incoming::owned(request, "memberId", |m| &m.member_id)?;
        let page = incoming.page()?;
        let mut reader = self.database.read().await?;
        let balance = store::points::balance(&mut reader, member).await?;
        let lines = store::points::list(&mut reader, member, page).await?;
        let entries = lines.iter().map(|line| (line.id(), render_line(line)));
        let (entries, next_page_token) = page.cut(entries);
        Ok(Response::new(ListMyMileageResponse { balance, entries, next_page_token }))
    }

    async fn show_address(
        &self,
        request: Request<ShowAddressRequest>,
    ) -> Result<Response<ShowAddressResponse>, Status> {
        let (incoming, member) = Incoming::owned(request, "memberId", |m| &m.member_id)?;
        let order = base::id::parse("orderId", &incoming.message.order_id)?;
        let address = incoming.message.address.as_ref();
        let address = address.ok_or_else(|| Error::violation("address", "is required"))?;
        let mut tx = self.database.begin().await?;
        store::addresses::keep(&mut tx, order, member, &address.encode_to_vec()).await?;
        tx.commit().await?;
        Ok(Response::new(ShowAddressResponse {}))
    }
}

/// The page of a member who has signed up.
pub(crate) async fn page(reader: &mut Reader, id: Uuid) -> Result<pb::MyPage, Error> {
    let member = store::member(reader, id).await?;
    let coupons = store::coupons::list(reader, id).await?;
    let mileage_balance = store::points::balance(reader, id).await?;
    let (points, before) = store::points::expiring(reader, id).await?;
    let state = if member.withdrawn { member::State::Withdrawn } else { member::State::Active };
    Ok(pb::MyPage {
        member_id: id.to_string(),
        order_count: member.orders,
        state: state.into(),
        coupon_issued: !coupons.is_empty(),
        admin_notified: member.admin_notified,
        coupon_cancelled: coupons.iter().any(Coupon::cancelled),
        coupons: coupons.iter().map(render_coupon).collect::<Result<_, _>>()?,
        mileage_balance,
        mileage_expiring_soon: Some(ExpiringPoints { points, before: Some(before.into()) }),
    })
}

/// The token is void, though it has not expired.
pub(crate) fn withdrawn() -> Error {
    Error::new(Kind::Unauthenticated, "MEMBER_WITHDRAWN", "the member has withdrawn")
}

fn render_coupon(coupon: &Coupon) -> Result<coupon::Coupon, Error> {
    let body = coupon.body.as_deref().unwrap_or_default();
    let said = coupon::Coupon::decode(body)
        .map_err(|error| Error::internal(format!("stored coupon: {error}")))?;
    let state = CouponState::from_str_name(&coupon.state).unwrap_or_default();
    Ok(coupon::Coupon {
        id: coupon.id.to_string(),
        member_id: coupon.member.to_string(),
        state: state.into(),
        create_time: Some(coupon.create_time.into()),
        ..said
    })
}

fn render_line(line: &Line) -> MileageEntry {
    match line {
        Line::Earned(points) => render_points(points),
        Line::Moved(movement) => render_movement(movement),
    }
}

fn render_points(points: &Points) -> MileageEntry {
    let state = if points.cancelled {
        mileage_entry::State::Cancelled
    } else {
        mileage_entry::State::Earned
    };
    MileageEntry {
        id: points.entry.to_string(),
        payment_id: points.payment.to_string(),
        order_id: points.order.to_string(),
        member_id: points.member.to_string(),
        points: points.points,
        state: state.into(),
        create_time: Some(points.create_time.into()),
        kind: mileage_entry::Kind::Earn.into(),
        expire_time: points.expire_time.map(Into::into),
        earn_entry_id: String::new(),
    }
}

fn render_movement(movement: &Movement) -> MileageEntry {
    let id = |id: Option<Uuid>| id.map(|id| id.to_string()).unwrap_or_default();
    MileageEntry {
        id: movement.entry.to_string(),
        payment_id: String::new(),
        order_id: id(movement.order),
        member_id: movement.member.to_string(),
        points: movement.points,
        state: mileage_entry::State::Unspecified.into(),
        create_time: Some(movement.create_time.into()),
        kind: mileage_entry::Kind::from_str_name(&movement.kind).unwrap_or_default().into(),
        expire_time: movement.expire_time.map(Into::into),
        earn_entry_id: id(movement.earn_entry),
    }
}

pub(crate) fn render_order(view: OrderView) -> Result<pb::OrderView, Error> {
    let mut placed = OrderPlaced::decode(view.placed.as_slice())
        .map_err(|error| Error::internal(format!("stored order: {error}")))?;
    let state = order::State::from_str_name(&view.state).unwrap_or_default();
    let closed = order::CloseReason::from_str_name(&view.close_reason).unwrap_or_default();
    let milestone = |Passed { state, at, trace_id }| {
        let state = order::State::from_str_name(&state).unwrap_or_default();
        let (at, label) = (Some(at.into()), label(state));
        let close_reason =
            if state == order::State::Closed { closed } else { order::CloseReason::Unspecified };
        let close_reason = close_reason.into();
        order_view::Milestone { state: state.into(), label, at, trace_id, close_reason }
    };
    let payment_state = payment::State::from_str_name(&view.payment_state).unwrap_or_default();
    let delivery = delivery::State::from_str_name(&view.delivery_state).unwrap_or_default();
    let method = placed.payment_method();
    let member = view.member.to_string();
    let taken = Taken::of(&view.parts, &member, state == order::State::Cancelled)?;
    let mut lines = mem::take(&mut placed.lines);
    let left = taken.leaves(&lines);
    taken.mark(&mut lines);
    let returnable = view.returnable_until.is_some_and(|until| view.now < until);
    let actions = allowed(state, method, delivery, Rest { left, returnable });
    Ok(pb::OrderView {
        order_id: view.order.to_string(),
        state: state.into(),
        state_label: label(state),
        payment_state: payment_state.into(),
        payment_state_label: payment_label(payment_state).to_owned(),
        delivery_state: delivery.into(),
        payable: payable(&placed)?,
        coupon_discount: Some(placed.coupon_discount.unwrap_or_else(nothing)),
        points_used: placed.points,
        wallet_used: Some(placed.wallet_amount.unwrap_or_else(nothing)),
        payment_method: method.into(),
        allowed_actions: actions.into_iter().map(Into::into).collect(),
        lines,
        total: placed.total,
        history: view.history.into_iter().map(milestone).collect(),
        refunds: view.refunds.iter().map(|body| given_back(body)).collect::<Result<_, _>>()?,
        cancel_reason: order::CancelReason::from_str_name(&view.cancel_reason)
            .unwrap_or_default()
            .into(),
        carrier: view.carrier,
        tracking_number: view.tracking_number,
        address: view
            .address
            .map(|body| Address::decode(&*body))
            .transpose()
            .map_err(|error| Error::internal(format!("stored address: {error}")))?,
        returns: taken.returns,
        returnable_until: view.returnable_until.map(Into::into),
    })
}

fn nothing() -> Money {
    base::Money::ZERO.to_wire().into()
}

/// What the method pays of an order.
fn payable(placed: &OrderPlaced) -> Result<Option<Money>, Error> {
    let money = |field, amount: Option<&Money>| {
        base::Money::parse(field, Some(amount.unwrap_or(&nothing()).parts()))
    };
    let amount = money("amount", placed.amount.as_ref().or(placed.total.as_ref()))?;
    let wallet = money("wallet_amount", placed.wallet_amount.as_ref())?;
    Ok(amount.minus(wallet).map(|payable| payable.to_wire().into()))
}

/// What of an order is not taken back.
#[derive(Clone, Copy)]
struct Rest {
    /// Pieces are left that nobody wants back.
    left: bool,
    /// A return may still be asked for.
    returnable: bool,
}

/// What the member may do with an order: order's rules, as My Page has heard of it.
fn allowed(
    state: order::State,
    method: PaymentMethod,
    delivery: delivery::State,
    rest: Rest,
) -> Vec<order_view::Action> {
    use order_view::Action;
    let dispatched = matches!(
        delivery,
        delivery::State::Dispatched | delivery::State::Delivered | delivery::State::Completed
    );
    let transfer = method == PaymentMethod::BankTransfer;
    let returns = (rest.left && rest.returnable).then_some(Action::RequestReturn);
    let lines = rest.left.then_some(Action::CancelLines);
    let cancel = [Some(Action::Cancel), lines];
    let actions = match state {
        order::State::AwaitingDeposit => [cancel.as_slice(), &[Some(Action::PayDeposit)]].concat(),
        order::State::Paid | order::State::Prepared if transfer => Vec::new(),
        order::State::Placed => vec![Some(Action::Cancel)],
        order::State::Paid | order::State::Prepared => cancel.to_vec(),
        order::State::Delivering if transfer || dispatched => vec![Some(Action::ConfirmReceipt)],
        order::State::Delivering => [cancel.as_slice(), &[Some(Action::ConfirmReceipt)]].concat(),
        order::State::Delivered => vec![Some(Action::ConfirmReceipt), returns],
        order::State::Closed => vec![returns],
        order::State::Unspecified | order::State::Cancelling | order::State::Cancelled => {
            Vec::new()
        }
    };
    actions.into_iter().flatten().collect()
}

/// A refund as its member reads it: that it failed is the shop's matter.
fn given_back(body: &[u8]) -> Result<Refund, Error> {
    let mut refund =
        Refund::decode(body).map_err(|error| Error::internal(format!("stored refund: {error}")))?;
    if refund.state() == refund::State::Failed {
        refund.set_state(refund::State::Refunding);
    }
    Ok(refund)
}

/// What the page calls a payment's state.
fn payment_label(state: payment::State) -> &'static str {
    match state {
        payment::State::Authorising => "결제승인중",
        payment::State::WaitingForDeposit => "입금대기",
        payment::State::Confirming => "입금확인중",
        payment::State::Done => "결제완료",
        payment::State::Declined => "결제거절",
        payment::State::Cancelled => "결제취소",
        payment::State::Expired => "입금기한만료",
        payment::State::Unspecified => "",
    }
}

/// What the page calls an order's state.
fn label(state: order::State) -> String {
    match state {
        order::State::Placed => "주문접수",
        order::State::AwaitingDeposit => "입금확인대기",
        order::State::Paid => "입금확인완료",
        order::State::Prepared => "상품준비완료",
        order::State::Delivering => "배송중",
        order::State::Delivered => "배송완료",
        order::State::Closed => "수령확인",
        order::State::Cancelled => "주문취소",
        // Never a milestone.
        order::State::Unspecified | order::State::Cancelling => "",
    }
    .to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_be_done_is_what_order_would_not_refuse() {
        use order_view::Action::{Cancel, CancelLines, ConfirmReceipt, PayDeposit, RequestReturn};
        let (card, transfer) = (PaymentMethod::Card, PaymentMethod::BankTransfer);
        let (none, started) = (delivery::State::Unspecified, delivery::State::Started);
        let rest = Rest { left: true, returnable: true };
        for (state, method, delivery, actions) in [
            (order::State::Placed, card, none, &[Cancel][..]),
            (order::State::AwaitingDeposit, transfer, none, &[Cancel, CancelLines, PayDeposit]),
            (order::State::Prepared, card, none, &[Cancel, CancelLines]),
            (order::State::Prepared, transfer, none, &[]),
            (order::State::Delivering, card, started, &[Cancel, CancelLines, ConfirmReceipt]),
            (order::State::Delivering, transfer, started, &[ConfirmReceipt]),
            (order::State::Delivering, card, delivery::State::Dispatched, &[ConfirmReceipt]),
            (
                order::State::Delivered,
                card,
                delivery::State::Delivered,
                &[ConfirmReceipt, RequestReturn],
            ),
            (order::State::Closed, card, delivery::State::Completed, &[RequestReturn]),
            (order::State::Cancelled, card, delivery::State::Cancelled, &[]),
        ] {
            assert_eq!(allowed(state, method, delivery, rest), actions, "{state:?} {method:?}");
        }
        let (closed, completed) = (order::State::Closed, delivery::State::Completed);
        for rest in [Rest { left: false, ..rest }, Rest { returnable: false, ..rest }] {
            assert_eq!(allowed(closed, card, completed, rest), []);
        }
    }

    #[test]
    fn what_the_method_pays_is_what_all_else_leaves() {
        let won = |units| Some(Money::from(("KRW", units)));
        let plain = OrderPlaced { total: won(10_000), ..OrderPlaced::default() };
        assert_eq!(payable(&plain).expect("money"), won(10_000));
        let part = OrderPlaced { amount: won(6_000), wallet_amount: won(400), ..plain };
        assert_eq!(payable(&part).expect("money"), won(5_600));
    }
}
