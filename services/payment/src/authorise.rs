//! Charging a card for an order that is about to be placed.
//!
//! | step | fails | then |
//! |---|---|---|
//! | 1 commit AUTHORISING and a task | not committed | nothing has happened |
//! | 2 ask the acquirer | declined | DECLINED, 409 |
//! | | unknown | AUTHORISING stays, 503; the order cancels, the task has the charge forgotten |
//! | 3 commit the outcome | not committed, or killed before | as unknown |
//! | 4 tell mileage | anything | it hears of it from `PaymentApproved` |
//!
//! No card token is stored, so the task cannot repeat step 2: it undoes it. When
//! the order was cancelled meanwhile, step 3 voids instead of approving.

use kit::{Error, Money};

use contracts::payment::v1::AuthorizeRequest;

use crate::{
    acquirer::{Charge, Charged},
    domain::{AMOUNT, Authorise, CARD_TOKEN, MemberId, OrderId, Refusal, State},
    service::Parts,
    store::{self, Stored},
    tasks::{self, Kind},
};

/// Charges the card, or says why not.
pub(crate) async fn authorise(
    parts: &Parts,
    member: MemberId,
    message: AuthorizeRequest,
) -> Result<Stored, Error> {
    let order = OrderId::parse("orderId", &message.order_id)?;
    let amount = message.amount.as_ref().map(contracts::Money::parts);
    let amount = Money::parse_within("amount", amount, &AMOUNT)?;
    let token = CARD_TOKEN.parse("cardToken", &message.card_token)?;

    let mut tx = parts.database.begin().await?;
    let (todo, stored) = store::update(&mut tx, order, member, |payment, _| {
        Ok((payment.authorise(amount)?, Vec::new()))
    })
    .await?;
    if todo == Authorise::Charged {
        return Ok(stored);
    }
    tasks::schedule_after(&mut tx, order, Kind::Abandon, parts.deadline).await?;
    tx.commit().await?;

    let charge = Charge { payment: stored.payment.id, order, amount, token };
    let charged = parts.acquirer.charge(&charge).await?;

    let mut tx = parts.database.begin().await?;
    let ((), stored) = store::update(&mut tx, order, member, |payment, _| {
        Ok((
            (),
            match &charged {
                Charged::Yes(reference) => payment.charged(reference).into_iter().collect(),
                Charged::Declined => {
                    payment.not_charged("CARD_DECLINED");
                    Vec::new()
                }
            },
        ))
    })
    .await?;
    tasks::remove(&mut tx, order, Kind::Abandon).await?;
    tx.commit().await?;
    match stored.payment.state {
        State::Done => {
            parts.mileage.earn(&stored.payment).await;
            Ok(stored)
        }
        State::Declined => Err(Refusal::CardDeclined.into()),
        _ => Err(Refusal::OrderCancelled.into()),
    }
}

/// Has a charge forgotten whose outcome nobody waits for any more.
pub(crate) async fn abandon(parts: &Parts, order: OrderId) -> Result<(), Error> {
    parts.acquirer.refund(order).await?;
    let Some(member) = store::member_of(&mut parts.database.read().await?, order).await? else {
        return Ok(());
    };
    let mut tx = parts.database.begin().await?;
    store::update(&mut tx, order, member, |payment, _| {
        payment.not_charged("ABANDONED");
        Ok(((), Vec::new()))
    })
    .await?;
    tx.commit().await
}
