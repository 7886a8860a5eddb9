//! When an order is placed, take the money; when it is cancelled, give it back.

use std::time::{Duration, SystemTime};

use base::{Error, Money};
use contracts::{
    member::v1::{MemberEvent, member_event},
    order::v1::{OrderEvent, OrderLine, OrderPlaced, PaymentMethod, order_event::Event},
};
use eventlog::{Arrived, Policy, facts};
use pg::Tx;
use pg::clock;

use crate::{
    domain::{Line, MemberId, Method, OrderId, Placed, deposit},
    store::{self, Fact, Learned},
    wire,
};

pub(crate) struct Orders {
    /// How long a deposit is waited for.
    pub(crate) deposit_within: Duration,
}

impl Policy<OrderEvent> for Orders {
    const TYPES: &'static [&'static str] = &[OrderEvent::ORDER_PLACED, OrderEvent::ORDER_CANCELLED];
    async fn apply(&self, tx: &mut Tx, batch: &[Arrived<OrderEvent>]) -> Result<(), Error> {
        // What is due goes by the clock, so what it is due after does too.
        let now = if batch.iter().any(waits) { Some(clock::now(tx).await?) } else { None };
        let due = |arrived: &Arrived<_>| now.unwrap_or(arrived.occurred_at) + self.deposit_within;
        let waiting = batch.iter().filter(|arrived| waits(arrived)).count();
        let mut numbers = if waiting == 0 {
            Vec::new()
        } else {
            store::deposit::reference_numbers(tx, waiting).await?
        };
        let facts = facts::of(batch, |arrived| {
            let number = if waits(arrived) { numbers.pop() } else { None };
            let reference = number.map(deposit::reference).unwrap_or_default();
            learned(arrived, due(arrived), reference)
        })?;
        store::learn(tx, &facts).await
    }
}

/// Follows member: what comes to those who have withdrawn is paid out by an admin; what is personal of
/// those who are erased is erased.
pub(crate) struct Members;

impl Policy<MemberEvent> for Members {
    const TYPES: &'static [&'static str] =
        &[MemberEvent::MEMBER_WITHDRAWN, MemberEvent::MEMBER_ERASED];
    async fn apply(&self, tx: &mut Tx, batch: &[Arrived<MemberEvent>]) -> Result<(), Error> {
        let erased = facts::of(batch, |arrived| match &arrived.message.event {
            Some(member_event::Event::MemberErased(it)) => {
                base::id::parse("member_id", &it.member_id).map(Some)
            }
            _ => Ok(None),
        })?;
        if !erased.is_empty() {
            store::erase_members(tx, &erased).await?;
        }
        let withdrawn = facts::of(batch, |arrived| match &arrived.message.event {
            Some(member_event::Event::MemberWithdrawn(it)) => {
                base::id::parse("member_id", &it.member_id).map(Some)
            }
            _ => Ok(None),
        })?;
        store::withdraw_members(tx, &withdrawn).await
    }
}

/// Whether a deposit is going to be waited for.
fn waits(arrived: &Arrived<OrderEvent>) -> bool {
    let event = &arrived.message.event;
    matches!(event, Some(Event::OrderPlaced(it)) if it.payment_method() == PaymentMethod::BankTransfer)
}

fn learned(
    arrived: &Arrived<OrderEvent>,
    deposit_due: SystemTime,
    reference: String,
) -> Result<Option<Learned>, Error> {
    let (order, member, fact) = match &arrived.message.event {
        Some(Event::OrderPlaced(it)) => {
            let method = wire::method_from(it.payment_method())?;
            let (amount, wallet) = parts(it, method)?;
            let placed = Placed {
                amount,
                wallet,
                method,
                lines: it.lines.iter().map(line).collect::<Result<_, _>>()?,
                deposit_due,
                reference,
            };
            (&it.order_id, &it.member_id, Fact::Placed(placed))
        }
        Some(Event::OrderCancelled(it)) => {
            let reason = it.reason().as_str_name().to_owned();
            (&it.order_id, &it.member_id, Fact::Cancelled { reason })
        }
        _ => return Ok(None),
    };
    Ok(Some(Learned {
        order: OrderId::parse("order_id", order)?,
        member: MemberId::parse("member_id", member)?,
        fact,
        cause: arrived.cause(),
    }))
}

/// What an order's method pays, and what the wallet pays beside it.
fn parts(order: &OrderPlaced, method: Method) -> Result<(Money, Money), Error> {
    let total = order.amount.as_ref().or(order.total.as_ref()).map(contracts::Money::parts);
    let total = Money::parse("amount", total)?;
    let wallet = order.wallet_amount.as_ref().map(contracts::Money::parts);
    let wallet = wallet.map(|parts| Money::parse("walletAmount", Some(parts))).transpose()?;
    match wallet {
        // Then it is all of one kind.
        Some(wallet) if method != Method::Wallet => {
            let amount = total.minus(wallet).filter(|amount| !amount.is_negative());
            let amount = amount.ok_or_else(|| Error::internal("a part that is more than all"))?;
            Ok((amount, wallet))
        }
        _ => Ok((total, Money::ZERO)),
    }
}

fn line(line: &OrderLine) -> Result<Line, Error> {
    let product = base::id::parse("product_id", &line.product_id)?;
    Ok(Line { product, quantity: line.quantity })
}
