//! When something happened elsewhere, the order learns it; and the catalogue's
//! copy follows product.

use base::{Error, Money};
use contracts::{
    delivery::v1::{DeliveryEvent, delivery_event},
    member::v1::{MemberEvent, member_event},
    payment::v1::{PaymentEvent, payment_event},
    product::v1::{ProductEvent, product, product_event},
};
use eventlog::{
    Arrived, Policy,
    facts::{self, Learned},
};
use pg::{Tx, task};

use crate::{
    closing::Terms,
    domain::{CancelReason, DISPLAY_NAME, Fact, OrderId, ProductId},
    store::{self, Offer, Stored},
};

/// Follows product: its catalogue, and what became of the orders' goods.
pub(crate) struct Products;

impl Policy<ProductEvent> for Products {
    const TYPES: &'static [&'static str] = &[
        ProductEvent::PRODUCT_REGISTERED,
        ProductEvent::PRODUCT_UPDATED,
        ProductEvent::STOCK_DECREASED,
        ProductEvent::STOCK_SHORT,
    ];
    async fn apply(&self, tx: &mut Tx, batch: &[Arrived<ProductEvent>]) -> Result<(), Error> {
        let (mut offers, mut facts) = (Vec::new(), Vec::new());
        for arrived in batch {
            use product_event::Event;
            match &arrived.message.event {
                Some(Event::ProductRegistered(it)) => {
                    offers.push(offer(
                        &it.product_id,
                        &it.display_name,
                        it.price.as_ref(),
                        (1, true),
                    )?);
                }
                Some(Event::ProductUpdated(it)) => {
                    let (name, price) = (&it.display_name, it.price.as_ref());
                    let said = (it.version, it.state() != product::State::OffSale);
                    offers.push(offer(&it.product_id, name, price, said)?);
                }
                Some(Event::StockDecreased(it)) => {
                    facts.push(learned(arrived, &it.order_id, Fact::StockDecreased)?);
                }
                Some(Event::StockShort(it)) => {
                    facts.push(learned(arrived, &it.order_id, Fact::StockShort)?);
                }
                _ => {}
            }
        }
        if !offers.is_empty() {
            store::keep_offers(tx, &offers).await?;
        }
        facts::learn(tx, &facts).await.map(drop)
    }
}

/// Follows payment.
pub(crate) struct Payments;

impl Policy<PaymentEvent> for Payments {
    const TYPES: &'static [&'static str] = &[
        PaymentEvent::DEPOSIT_REQUESTED,
        PaymentEvent::PAYMENT_APPROVED,
        PaymentEvent::PAYMENT_DECLINED,
        PaymentEvent::PAYMENT_CANCELLED,
        PaymentEvent::DEPOSIT_EXPIRED,
    ];
    async fn apply(&self, tx: &mut Tx, batch: &[Arrived<PaymentEvent>]) -> Result<(), Error> {
        use payment_event::Event;
        let facts = facts::of(batch, |arrived| {
            let (order, fact) = match &arrived.message.event {
                Some(Event::DepositRequested(it)) => {
                    let payment = base::id::parse("payment_id", &it.payment_id)?;
                    (&it.order_id, Fact::DepositRequested(payment))
                }
                Some(Event::DepositExpired(it)) => {
                    (&it.order_id, Fact::PaymentLost(CancelReason::DepositExpired))
                }
                Some(Event::PaymentApproved(it)) => {
                    (&it.order_id, Fact::Paid(base::id::parse("payment_id", &it.payment_id)?))
                }
                Some(Event::PaymentDeclined(it)) => {
                    (&it.order_id, Fact::PaymentLost(CancelReason::named(&it.reason)?))
                }
                Some(Event::PaymentCancelled(it)) => {
                    (&it.order_id, Fact::PaymentLost(CancelReason::named(&it.reason)?))
                }
                _ => return Ok(None),
            };
            learned(arrived, order, fact).map(Some)
        })?;
        facts::learn(tx, &facts).await.map(drop)
    }
}

/// Follows delivery: how far the goods have come, from which on an order closes by itself.
pub(crate) struct Deliveries(pub(crate) Terms);

impl Policy<DeliveryEvent> for Deliveries {
    const TYPES: &'static [&'static str] = &[
        DeliveryEvent::DELIVERY_STARTED,
        DeliveryEvent::DELIVERY_DISPATCHED,
        DeliveryEvent::DELIVERY_DELIVERED,
    ];
    async fn apply(&self, tx: &mut Tx, batch: &[Arrived<DeliveryEvent>]) -> Result<(), Error> {
        use delivery_event::Event;
        let facts = facts::of(batch, |arrived| {
            let (order, fact) = match &arrived.message.event {
                Some(Event::DeliveryStarted(it)) => (&it.order_id, Fact::DeliveryStarted),
                Some(Event::DeliveryDispatched(it)) => (&it.order_id, Fact::Dispatched),
                Some(Event::DeliveryDelivered(it)) => (&it.order_id, Fact::Delivered),
                _ => return Ok(None),
            };
            learned(arrived, order, fact).map(Some)
        })?;
        let known = facts::learn(tx, &facts).await?;
        // Of orders that were never placed here nothing is due.
        let plans = facts.iter().filter(|learned| known.contains_key(&learned.key));
        let plans: Vec<_> =
            plans.filter_map(|learned| self.0.plan(learned.key, learned.fact)).collect();
        task::schedule_all(tx, &plans).await
    }
}

/// Follows member: who withdrew places no orders.
pub(crate) struct Members;

impl Policy<MemberEvent> for Members {
    const TYPES: &'static [&'static str] = &[MemberEvent::MEMBER_WITHDRAWN];
    async fn apply(&self, tx: &mut Tx, batch: &[Arrived<MemberEvent>]) -> Result<(), Error> {
        let withdrawn = facts::of(batch, |arrived| match &arrived.message.event {
            Some(member_event::Event::MemberWithdrawn(it)) => {
                base::id::parse("member_id", &it.member_id).map(Some)
            }
            _ => Ok(None),
        })?;
        store::withdraw_members(tx, &withdrawn).await
    }
}

fn learned<M>(arrived: &Arrived<M>, order: &str, fact: Fact) -> Result<Learned<Stored>, Error> {
    Ok(Learned { key: OrderId::parse("order_id", order)?, fact, cause: Some(arrived.cause()) })
}

fn offer(
    product: &str,
    display_name: &str,
    price: Option<&contracts::Money>,
    (version, on_sale): (i64, bool),
) -> Result<Offer, Error> {
    Ok(Offer {
        product: ProductId::parse("product_id", product)?,
        // An event may be older than the limit.
        display_name: DISPLAY_NAME.clip(display_name),
        price: Money::parse("price", price.map(contracts::Money::parts))?,
        version,
        on_sale,
    })
}
