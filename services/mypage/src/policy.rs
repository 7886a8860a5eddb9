//! When something happened to a member, their orders, coupons or points, the page
//! shows it.

use std::time::{Duration, SystemTime};

use base::Error;
use contracts::{
    coupon::v1::{CouponEvent, coupon, coupon_event},
    delivery::v1::{DeliveryEvent, delivery, delivery_event},
    member::v1::{MemberEvent, member_event},
    mileage::v1::MileageEvent,
    notification::v1::{NotificationEvent, notification::Audience, notification_event},
    order::v1::{OrderEvent, order, order_event},
    payment::v1::{PaymentEvent, payment, payment_event},
    product::v1::ProductEvent,
};
use eventlog::{Arrived, Policy, facts};
use pg::Tx;
use prost::Message as _;

use crate::{
    audit,
    domain::{CouponId, MemberId, OrderId, RefundId},
    points,
    store::{
        self, Coupon, Fact, Learned, Milestone, Parcel, Part, PartState, Refund, parts::PartEvent,
    },
};

/// My Page may be this late: what passes within it is written once.
const LINGER: Duration = Duration::from_millis(100);

/// Follows order: states and history.
pub(crate) struct Orders;

impl Policy<OrderEvent> for Orders {
    const TYPES: &'static [&'static str] = &[
        OrderEvent::ORDER_PLACED,
        OrderEvent::ORDER_AWAITING_DEPOSIT,
        OrderEvent::ORDER_PAID,
        OrderEvent::ORDER_PREPARED,
        OrderEvent::ORDER_DELIVERING,
        OrderEvent::ORDER_DELIVERED,
        OrderEvent::ORDER_CLOSED,
        OrderEvent::ORDER_CANCELLED,
        OrderEvent::ORDER_LINES_CANCELLED,
        OrderEvent::RETURN_REQUESTED,
        OrderEvent::RETURN_ACCEPTED,
        OrderEvent::RETURN_REJECTED,
    ];
    const LINGER: Duration = LINGER;

    async fn apply(&self, tx: &mut Tx, batch: &[Arrived<OrderEvent>]) -> Result<(), Error> {
        store::pass(tx, &facts::of(batch, milestone)?).await?;
        store::parts::keep(tx, &facts::of(batch, part)?).await?;
        store::audit::keep(tx, &facts::of(batch, audit::of_order)?).await
    }
}

fn milestone(arrived: &Arrived<OrderEvent>) -> Result<Option<Milestone>, Error> {
    use order_event::Event;
    let Some(event) = &arrived.message.event else { return Ok(None) };
    let (order, member, state) = match event {
        Event::OrderPlaced(it) => (&it.order_id, &it.member_id, order::State::Placed),
        Event::OrderAwaitingDeposit(it) => {
            (&it.order_id, &it.member_id, order::State::AwaitingDeposit)
        }
        Event::OrderPaid(it) => (&it.order_id, &it.member_id, order::State::Paid),
        Event::OrderPrepared(it) => (&it.order_id, &it.member_id, order::State::Prepared),
        Event::OrderDelivering(it) => (&it.order_id, &it.member_id, order::State::Delivering),
        Event::OrderDelivered(it) => (&it.order_id, &it.member_id, order::State::Delivered),
        Event::OrderClosed(it) => (&it.order_id, &it.member_id, order::State::Closed),
        Event::OrderCancelled(it) => (&it.order_id, &it.member_id, order::State::Cancelled),
        Event::OrderLinesCancelled(_)
        | Event::ReturnRequested(_)
        | Event::ReturnAccepted(_)
        | Event::ReturnRejected(_) => return Ok(None),
    };
    let (placed, cancel_reason) = match event {
        Event::OrderPlaced(it) => (Some(it.encode_to_vec()), ""),
        Event::OrderCancelled(it) => (None, it.reason().as_str_name()),
        _ => (None, ""),
    };
    let close_reason = match event {
        Event::OrderClosed(it) => it.reason().as_str_name(),
        _ => "",
    };
    let returnable_until = match event {
        Event::OrderDelivered(it) => it.returnable_until,
        Event::OrderClosed(it) => it.returnable_until,
        _ => None,
    };
    let returnable_until = returnable_until.map(SystemTime::try_from).transpose();
    Ok(Some(Milestone {
        order: OrderId::parse("order_id", order)?,
        member: MemberId::parse("member_id", member)?,
        state: state.as_str_name(),
        version: arrived.aggregate_version,
        at: arrived.occurred_at,
        trace_id: arrived.trace_id().to_owned(),
        placed,
        cancel_reason,
        close_reason,
        returnable_until: returnable_until.map_err(|error| Error::internal(error.to_string()))?,
    }))
}

/// What is said of a part of an order.
fn part(arrived: &Arrived<OrderEvent>) -> Result<Option<PartEvent>, Error> {
    use order_event::Event;
    let (order, member) = match &arrived.message.event {
        Some(Event::OrderLinesCancelled(it)) => (&it.order_id, &it.member_id),
        Some(Event::ReturnRequested(it)) => (&it.order_id, &it.member_id),
        Some(Event::ReturnAccepted(it)) => (&it.order_id, &it.member_id),
        Some(Event::ReturnRejected(it)) => (&it.order_id, &it.member_id),
        _ => return Ok(None),
    };
    let event = OrderEvent { frame: None, event: arrived.message.event.clone() };
    Ok(Some(PartEvent {
        order: OrderId::parse("order_id", order)?,
        member: MemberId::parse("member_id", member)?,
        version: arrived.aggregate_version,
        at: arrived.occurred_at,
        body: event.encode_to_vec(),
    }))
}

/// Follows payment.
pub(crate) struct Payments;

impl Policy<PaymentEvent> for Payments {
    const TYPES: &'static [&'static str] = &[
        PaymentEvent::DEPOSIT_REQUESTED,
        PaymentEvent::DEPOSIT_EXPIRED,
        PaymentEvent::PAYMENT_APPROVED,
        PaymentEvent::PAYMENT_DECLINED,
        PaymentEvent::PAYMENT_CANCELLED,
        PaymentEvent::PAYMENT_REFUNDED,
        PaymentEvent::PAYMENT_PART_REFUNDED,
        PaymentEvent::WALLET_ADJUSTED,
        PaymentEvent::DEPOSIT_MATCHED,
        PaymentEvent::DEPOSIT_REFUNDED,
        PaymentEvent::DEPOSIT_CREDITED,
        PaymentEvent::REFUND_RETRIED,
        PaymentEvent::REFUND_SETTLED,
    ];
    const LINGER: Duration = LINGER;

    async fn apply(&self, tx: &mut Tx, batch: &[Arrived<PaymentEvent>]) -> Result<(), Error> {
        use payment_event::Event;
        let states = facts::of(batch, |arrived| {
            let (order, member, state) = match &arrived.message.event {
                Some(Event::DepositRequested(it)) => {
                    (&it.order_id, &it.member_id, payment::State::WaitingForDeposit)
                }
                Some(Event::DepositExpired(it)) => {
                    (&it.order_id, &it.member_id, payment::State::Expired)
                }
                Some(Event::PaymentApproved(it)) => {
                    (&it.order_id, &it.member_id, payment::State::Done)
                }
                Some(Event::PaymentDeclined(it)) => {
                    (&it.order_id, &it.member_id, payment::State::Declined)
                }
                Some(Event::PaymentCancelled(it)) => {
                    (&it.order_id, &it.member_id, payment::State::Cancelled)
                }
                // Of a part, the payment is what it was.
                Some(Event::PaymentRefunded(it)) if it.of_part => return Ok(None),
                Some(Event::PaymentRefunded(it)) => {
                    (&it.order_id, &it.member_id, payment::State::Cancelled)
                }
                _ => return Ok(None),
            };
            part_state(order, member, state.as_str_name(), arrived.aggregate_version).map(Some)
        })?;
        store::set_part(tx, Part::Payment, &states).await?;
        store::keep_refunds(tx, &refunds(batch)?).await?;
        store::audit::keep(tx, &facts::of(batch, audit::of_payment)?).await
    }
}

/// What of payments goes back, as these events say.
fn refunds(batch: &[Arrived<PaymentEvent>]) -> Result<Vec<Refund>, Error> {
    use payment_event::Event;
    let said = batch.iter().flat_map(|arrived| {
        let (order, refunds) = match &arrived.message.event {
            Some(Event::PaymentCancelled(it)) => (&*it.order_id, [it.refund.as_ref(), None]),
            Some(Event::PaymentRefunded(it)) => (&*it.order_id, [it.refund.as_ref(), None]),
            Some(Event::PaymentPartRefunded(it)) => {
                (&*it.order_id, [it.refund.as_ref(), it.wallet_refund.as_ref()])
            }
            _ => ("", [None, None]),
        };
        refunds.into_iter().flatten().map(move |refund| (arrived, order, refund))
    });
    let keep = |(arrived, order, refund): (
        &Arrived<PaymentEvent>,
        &str,
        &contracts::payment::v1::Refund,
    )| {
        let mut refund = refund.clone();
        // It is as old as the event that first spoke of it.
        refund.create_time.get_or_insert_with(|| arrived.occurred_at.into());
        Ok(Refund {
            order: OrderId::parse("order_id", order)?,
            id: RefundId::parse("refund.id", &refund.id)?,
            body: refund.encode_to_vec(),
            version: arrived.aggregate_version,
        })
    };
    said.map(keep).collect()
}

/// Follows delivery.
pub(crate) struct Deliveries;

impl Policy<DeliveryEvent> for Deliveries {
    const LINGER: Duration = LINGER;

    async fn apply(&self, tx: &mut Tx, batch: &[Arrived<DeliveryEvent>]) -> Result<(), Error> {
        use delivery_event::Event;
        let states = facts::of(batch, |arrived| {
            let (order, member, state) = match &arrived.message.event {
                Some(Event::DeliveryStarted(it)) => {
                    (&it.order_id, &it.member_id, delivery::State::Started)
                }
                Some(Event::DeliveryCompleted(it)) => {
                    (&it.order_id, &it.member_id, delivery::State::Completed)
                }
                Some(Event::DeliveryCancelled(it)) => {
                    (&it.order_id, &it.member_id, delivery::State::Cancelled)
                }
                Some(Event::DeliveryDispatched(it)) => {
                    (&it.order_id, &it.member_id, delivery::State::Dispatched)
                }
                Some(Event::DeliveryDelivered(it)) => {
                    (&it.order_id, &it.member_id, delivery::State::Delivered)
                }
                None => return Ok(None),
            };
            part_state(order, member, state.as_str_name(), arrived.aggregate_version).map(Some)
        })?;
        store::set_part(tx, Part::Delivery, &states).await?;
        let parcels = facts::of(batch, |arrived| match &arrived.message.event {
            Some(Event::DeliveryDispatched(it)) => Ok(Some(Parcel {
                order: OrderId::parse("order_id", &it.order_id)?,
                carrier: it.carrier.clone(),
                tracking_number: it.tracking_number.clone(),
            })),
            _ => Ok(None),
        })?;
        store::keep_parcels(tx, &parcels).await
    }
}

fn part_state(
    order: &str,
    member: &str,
    state: &'static str,
    version: i64,
) -> Result<PartState, Error> {
    Ok(PartState {
        order: OrderId::parse("order_id", order)?,
        member: MemberId::parse("member_id", member)?,
        state,
        version,
    })
}

/// Follows member: who there is.
pub(crate) struct Members;

impl Policy<MemberEvent> for Members {
    const TYPES: &'static [&'static str] = &[
        MemberEvent::MEMBER_REGISTERED,
        MemberEvent::MEMBER_WITHDRAWN,
        MemberEvent::MEMBER_ERASED,
        MemberEvent::ROLE_GRANTED,
        MemberEvent::ROLE_REVOKED,
    ];
    const LINGER: Duration = LINGER;

    async fn apply(&self, tx: &mut Tx, batch: &[Arrived<MemberEvent>]) -> Result<(), Error> {
        use member_event::Event;
        let facts = facts::of(batch, |arrived| {
            let (member, fact) = match &arrived.message.event {
                Some(Event::MemberRegistered(it)) => (&it.member_id, Fact::Registered),
                Some(Event::MemberWithdrawn(it)) => (&it.member_id, Fact::Withdrawn),
                _ => return Ok(None),
            };
            Ok(Some(Learned { member: MemberId::parse("member_id", member)?, fact }))
        })?;
        store::learn(tx, &facts).await?;
        let erased = facts::of(batch, |arrived| match &arrived.message.event {
            Some(Event::MemberErased(it)) => MemberId::parse("member_id", &it.member_id).map(Some),
            _ => Ok(None),
        })?;
        store::addresses::erase_members(tx, &erased).await?;
        store::audit::keep(tx, &facts::of(batch, audit::of_member)?).await
    }
}

/// Follows product: what its stock was corrected by.
pub(crate) struct Products;

impl Policy<ProductEvent> for Products {
    const TYPES: &'static [&'static str] = &[ProductEvent::STOCK_ADJUSTED];
    const LINGER: Duration = LINGER;

    async fn apply(&self, tx: &mut Tx, batch: &[Arrived<ProductEvent>]) -> Result<(), Error> {
        store::audit::keep(tx, &facts::of(batch, audit::of_product)?).await
    }
}

/// Follows notification: the messages that tell the shop's admin of a member.
pub(crate) struct Notifications;

impl Policy<NotificationEvent> for Notifications {
    const TYPES: &'static [&'static str] = &[NotificationEvent::NOTIFICATION_SENT];
    const LINGER: Duration = LINGER;

    async fn apply(&self, tx: &mut Tx, batch: &[Arrived<NotificationEvent>]) -> Result<(), Error> {
        use notification_event::Event;
        let facts = facts::of(batch, |arrived| match &arrived.message.event {
            Some(Event::NotificationSent(it)) if it.audience() == Audience::Admin => {
                let member = MemberId::parse("subject_id", &it.subject_id)?;
                Ok(Some(Learned { member, fact: Fact::AdminNotified }))
            }
            Some(Event::NotificationSent(_)) | None => Ok(None),
        })?;
        store::learn(tx, &facts).await
    }
}

/// Follows coupon.
pub(crate) struct Coupons;

impl Policy<CouponEvent> for Coupons {
    const LINGER: Duration = LINGER;

    async fn apply(&self, tx: &mut Tx, batch: &[Arrived<CouponEvent>]) -> Result<(), Error> {
        store::coupons::keep(tx, &facts::of(batch, coupon)?).await
    }
}

fn coupon(arrived: &Arrived<CouponEvent>) -> Result<Option<Coupon>, Error> {
    use coupon_event::Event;
    // What versions before said has no more than its type.
    let (id, member, body, state) = match &arrived.message.event {
        Some(Event::CouponIssued(it)) => {
            (&it.coupon_id, &it.member_id, &it.coupon, coupon::State::Issued)
        }
        Some(Event::CouponCancelled(it)) => {
            (&it.coupon_id, &it.member_id, &it.coupon, coupon::State::Cancelled)
        }
        Some(Event::CouponRedeemed(it)) => {
            (&it.coupon_id, &it.member_id, &it.coupon, coupon::State::Redeemed)
        }
        Some(Event::CouponReleased(it)) => {
            (&it.coupon_id, &it.member_id, &it.coupon, coupon::State::Issued)
        }
        Some(Event::CouponExpired(it)) => {
            (&it.coupon_id, &it.member_id, &it.coupon, coupon::State::Expired)
        }
        None => return Ok(None),
    };
    Ok(Some(Coupon {
        id: CouponId::parse("coupon_id", id)?,
        member: MemberId::parse("member_id", member)?,
        state: state.as_str_name().to_owned(),
        version: arrived.aggregate_version,
        body: body.as_ref().map(prost::Message::encode_to_vec),
        create_time: arrived.occurred_at,
    }))
}

/// Follows mileage.
pub(crate) struct Mileages;

impl Policy<MileageEvent> for Mileages {
    const LINGER: Duration = LINGER;

    async fn apply(&self, tx: &mut Tx, batch: &[Arrived<MileageEvent>]) -> Result<(), Error> {
        store::points::keep(tx, &facts::of(batch, points::said)?).await
    }
}
