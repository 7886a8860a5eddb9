//! The seller confirms a deposit, which takes the goods from the stock in the
//! same call.
//!
//! | step | fails | then |
//! |---|---|---|
//! | 1 commit CONFIRMING and a task | not committed | nothing has happened |
//! | 2 call product | provably never ran | `WAITING_FOR_DEPOSIT` as before, 503 |
//! | | refused | payment CANCELLED, and the order by its event, 409 |
//! | | unknown | CONFIRMING stays, 503 `OUTCOME_PENDING`; the task repeats step 2 |
//! | 3 commit the outcome | not committed, or killed before | the task repeats step 2 |
//! | 4 tell mileage | anything | it hears of it from `PaymentApproved` |
//!
//! Product takes an order's lines once, however often it is asked. An attempt
//! that never ran takes CONFIRMING back only when no other attempt has joined.

use contracts::{
    payment::v1::{ConfirmDepositRequest, Payment as Wire},
    product::v1::{self as product, DecreaseStockRequest, DecreaseStockResponse},
};
use kit::{
    Error, Incoming, clock,
    idempotency::{self, Reserved},
    incoming::Command,
    rpc::Failure,
};

use crate::{
    domain::{DEPOSITOR, MemberId, OrderId, PaymentId},
    render,
    service::{Parts, amount},
    store::{self, Stored},
    tasks::{self, Kind},
};

const DECREASE_STOCK: &str = "/hansang.product.v1.ProductService/DecreaseStock";

/// How a confirmation ended for its caller.
pub(crate) enum Ended {
    Now(Wire),
    /// So the same command answered before.
    Before(Wire),
}

/// An attempt that has been committed and may now call product.
struct Attempt<'a> {
    order: OrderId,
    member: MemberId,
    number: i32,
    command: Option<&'a Command>,
}

/// Carries out a seller's confirmation.
pub(crate) async fn confirm(
    parts: &Parts,
    incoming: Incoming<ConfirmDepositRequest>,
) -> Result<Ended, Error> {
    let id = PaymentId::parse("paymentId", &incoming.message.payment_id)?;
    let amount = amount(incoming.message.amount.as_ref())?;
    let depositor = DEPOSITOR.parse("depositorName", &incoming.message.depositor_name)?;
    let (order, member) = store::find(&mut parts.database.read().await?, id).await?;
    let command = incoming.command();
    let mut tx = parts.database.begin().await?;
    if let Reserved::Replay(payment) = idempotency::reserve(&mut tx, &command, id.0).await? {
        return Ok(Ended::Before(payment));
    }
    incoming.check_etag(&render::etag(&store::lock(&mut tx, order, member).await?))?;
    let now = clock::now(&mut tx).await?;
    let (number, stored) = store::update(&mut tx, order, member, |payment, _| {
        Ok((payment.confirm(amount, depositor, now)?, Vec::new()))
    })
    .await?;
    let Some(number) = number else {
        let payment = render::payment(&stored);
        idempotency::store(&mut tx, &command, &payment).await?;
        tx.commit().await?;
        return Ok(Ended::Now(payment));
    };
    tasks::schedule_after(&mut tx, order, Kind::Confirm, parts.deadline).await?;
    tx.commit().await?;
    let attempt = Attempt { order, member, number, command: Some(&command) };
    finish(parts, &attempt, &stored).await.map(Ended::Now)
}

/// Takes up a confirmation whose outcome is not known yet. True when it is definite now.
pub(crate) async fn resume(parts: &Parts, order: OrderId) -> Result<(), Error> {
    let Some(member) = store::member_of(&mut parts.database.read().await?, order).await? else {
        return Ok(());
    };
    let mut tx = parts.database.begin().await?;
    let (number, stored) = store::update(&mut tx, order, member, |payment, _| {
        Ok((payment.join_confirm(), Vec::new()))
    })
    .await?;
    tx.commit().await?;
    let Some(number) = number else { return Ok(()) };
    let attempt = Attempt { order, member, number, command: None };
    finish(parts, &attempt, &stored).await.map(|_| ())
}

/// Steps 2 to 4.
async fn finish(parts: &Parts, attempt: &Attempt<'_>, stored: &Stored) -> Result<Wire, Error> {
    let line = |line: &crate::domain::Line| product::Line {
        product_id: line.product.to_string(),
        quantity: line.quantity,
    };
    let request = DecreaseStockRequest {
        order_id: attempt.order.to_string(),
        member_id: attempt.member.to_string(),
        lines: stored.payment.lines.iter().map(line).collect(),
    };
    let product = parts.product.on_behalf_of(attempt.member.0);
    let asked: Result<DecreaseStockResponse, Failure> =
        product.unary(DECREASE_STOCK, &request, parts.deadline).await;
    match asked {
        Ok(DecreaseStockResponse {}) => confirmed(parts, attempt).await,
        Err(Failure::Refused(status)) => {
            let refusal = Error::from(status);
            refused(parts, attempt, &refusal).await?;
            Err(refusal)
        }
        Err(Failure::NeverRan(_)) => Err(never_ran(parts, attempt).await?),
        Err(Failure::Unknown(_)) => Err(outcome_pending()),
    }
}

async fn confirmed(parts: &Parts, attempt: &Attempt<'_>) -> Result<Wire, Error> {
    let mut tx = parts.database.begin().await?;
    let ((), stored) = store::update(&mut tx, attempt.order, attempt.member, |payment, wallets| {
        Ok(((), payment.confirmed(wallets)))
    })
    .await?;
    tasks::remove(&mut tx, attempt.order, Kind::Confirm).await?;
    let payment = render::payment(&stored);
    let id = stored.payment.id.0;
    let payment = idempotency::settle(&mut tx, attempt.command, id, payment).await?;
    tx.commit().await?;
    parts.mileage.earn(&stored.payment).await;
    Ok(payment)
}

async fn refused(parts: &Parts, attempt: &Attempt<'_>, refusal: &Error) -> Result<(), Error> {
    // The order's words for why it ends: product refuses what is short or was cancelled.
    let reason = if refusal.reason() == "OUT_OF_STOCK" { "OUT_OF_STOCK" } else { "MEMBER_REQUEST" };
    let mut tx = parts.database.begin().await?;
    let ((), stored) = store::update(&mut tx, attempt.order, attempt.member, |payment, _| {
        Ok(((), payment.confirm_refused(reason).into_iter().collect()))
    })
    .await?;
    tasks::remove(&mut tx, attempt.order, Kind::Confirm).await?;
    idempotency::release_unanswered(&mut tx, stored.payment.id.0).await?;
    tx.commit().await
}

async fn never_ran(parts: &Parts, attempt: &Attempt<'_>) -> Result<Error, Error> {
    let mut tx = parts.database.begin().await?;
    let (waits, stored) = store::update(&mut tx, attempt.order, attempt.member, |payment, _| {
        let (waits, outcome) = payment.confirm_never_ran(attempt.number);
        Ok((waits, outcome.into_iter().collect()))
    })
    .await?;
    if !waits {
        return Ok(outcome_pending());
    }
    tasks::remove(&mut tx, attempt.order, Kind::Confirm).await?;
    idempotency::release_unanswered(&mut tx, stored.payment.id.0).await?;
    tx.commit().await?;
    Ok(Error::unavailable(
        "PRODUCT_UNAVAILABLE",
        "product cannot be asked now; the payment still waits for its confirmation",
    ))
}

fn outcome_pending() -> Error {
    Error::unavailable(
        "OUTCOME_PENDING",
        "the confirmation is under way and goes on by itself; look again, or repeat the call",
    )
}
