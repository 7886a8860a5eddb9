//! Withdrawing a member: the member asks, the coupon comes first.
//!
//! How each step fails:
//!
//! | step | fails | then |
//! |---|---|---|
//! | 1 commit WITHDRAWING and a task | not committed | nothing has happened |
//! | 2 call coupon | provably never ran | the member is as they were, 503 |
//! | | refused | the member stays; the call answers what coupon said |
//! | | unknown | WITHDRAWING stays, 503 `OUTCOME_PENDING`; the task repeats step 2 |
//! | 3 commit WITHDRAWN and its event | not committed, or killed before | the task repeats step 2 |
//!
//! Coupon cancels a member's coupons once, however often it is asked, and keeps a
//! tombstone when there are none yet. An attempt that never ran takes WITHDRAWING
//! back only when no other attempt has joined.

use std::{sync::Arc, time::Duration};

use contracts::{
    coupon::v1::{CancelMemberCouponsRequest, CancelMemberCouponsResponse},
    member::v1 as pb,
};
use kit::{
    Database, Error,
    error::Kind,
    idempotency::{self, Reserved},
    incoming::Command,
    rpc::{Failure, Peer},
    task::{self, Due, Outcome, Task},
};

use crate::{
    domain::{Fact, MemberId},
    render, store,
};

const CANCEL_COUPONS: &str = "/hansang.coupon.v1.CouponService/CancelMemberCoupons";
const TASK: &str = "cancel-coupons";

/// Withdraws members.
#[derive(Clone)]
pub(crate) struct Withdraw(Arc<Parts>);

struct Parts {
    database: Database,
    coupon: Peer,
    deadline: Duration,
}

/// An attempt that has been committed and may now call coupon.
struct Attempt {
    member: MemberId,
    number: i32,
}

/// How a withdrawal ended for its caller.
pub(crate) enum Ended {
    /// The member is withdrawn.
    Now(pb::Member),
    /// So the same command answered before.
    Before(pb::Member),
}

impl Withdraw {
    pub(crate) fn new(database: Database, coupon: Peer, deadline: Duration) -> Self {
        Self(Arc::new(Parts { database, coupon, deadline }))
    }

    /// Carries out a member's wish to leave.
    pub(crate) async fn run(&self, member: MemberId, command: Command) -> Result<Ended, Error> {
        let mut tx = self.0.database.begin().await?;
        if let Reserved::Replay(member) = idempotency::reserve(&mut tx, &command, member.0).await? {
            return Ok(Ended::Before(member));
        }
        let (attempt, stored) =
            store::update(&mut tx, member, |stored| stored.membership.begin_withdrawal()).await?;
        let Some(number) = attempt else {
            let stored = render::member(&stored);
            idempotency::store(&mut tx, &command, &stored).await?;
            tx.commit().await?;
            return Ok(Ended::Now(stored));
        };
        task::schedule(&mut tx, TASK, member.0, Due::After(self.0.deadline * 2), &[]).await?;
        tx.commit().await?;
        self.finish(&Attempt { member, number }, Some(&command)).await.map(Ended::Now)
    }

    /// Steps 2 and 3.
    async fn finish(
        &self,
        attempt: &Attempt,
        command: Option<&Command>,
    ) -> Result<pb::Member, Error> {
        let request = CancelMemberCouponsRequest { member_id: attempt.member.to_string() };
        let coupon = self.0.coupon.on_behalf_of(attempt.member.0);
        let asked: Result<CancelMemberCouponsResponse, Failure> =
            coupon.unary(CANCEL_COUPONS, &request, self.0.deadline).await;
        match asked {
            Ok(answer) => self.withdrawn(attempt, &answer, command).await,
            Err(Failure::Refused(status)) => {
                self.refused(attempt).await?;
                Err(status.into())
            }
            Err(Failure::NeverRan(_)) => Err(self.never_ran(attempt).await?),
            Err(Failure::Unknown(_)) => Err(outcome_pending()),
        }
    }

    async fn withdrawn(
        &self,
        attempt: &Attempt,
        answer: &CancelMemberCouponsResponse,
        command: Option<&Command>,
    ) -> Result<pb::Member, Error> {
        let mut tx = self.0.database.begin().await?;
        let ((), stored) = store::update(&mut tx, attempt.member, |stored| {
            stored.membership.withdrawn();
            if answer.cancelled > 0 {
                stored.membership.learn(Fact::CouponCancelled);
            }
        })
        .await?;
        task::remove(&mut tx, TASK, attempt.member.0).await?;
        let member = render::member(&stored);
        let member = idempotency::settle(&mut tx, command, attempt.member.0, member).await?;
        tx.commit().await?;
        Ok(member)
    }

    async fn refused(&self, attempt: &Attempt) -> Result<(), Error> {
        let mut tx = self.0.database.begin().await?;
        store::update(&mut tx, attempt.member, |stored| stored.membership.withdrawal_refused())
            .await?;
        task::remove(&mut tx, TASK, attempt.member.0).await?;
        idempotency::release_unanswered(&mut tx, attempt.member.0).await?;
        tx.commit().await
    }

    async fn never_ran(&self, attempt: &Attempt) -> Result<Error, Error> {
        let mut tx = self.0.database.begin().await?;
        let (as_they_were, _) = store::update(&mut tx, attempt.member, |stored| {
            stored.membership.withdrawal_never_ran(attempt.number)
        })
        .await?;
        if !as_they_were {
            return Ok(outcome_pending());
        }
        task::remove(&mut tx, TASK, attempt.member.0).await?;
        idempotency::release_unanswered(&mut tx, attempt.member.0).await?;
        tx.commit().await?;
        Ok(Error::unavailable(
            "COUPON_UNAVAILABLE",
            "coupon cannot be asked now; the member is as they were",
        ))
    }
}

impl task::Handler for Withdraw {
    /// Takes up a withdrawal whose outcome is not known yet.
    async fn handle(&self, task: &Task) -> Result<Outcome, Error> {
        let member = MemberId(task.key);
        let mut tx = self.0.database.begin().await?;
        let (number, _) =
            store::update(&mut tx, member, |stored| stored.membership.join_withdrawal()).await?;
        tx.commit().await?;
        let Some(number) = number else { return Ok(Outcome::Done) };
        match self.finish(&Attempt { member, number }, None).await {
            // Definite, either way.
            Ok(_) => Ok(Outcome::Done),
            Err(error) if error.kind() == Kind::Conflict => Ok(Outcome::Done),
            Err(error) => Err(error),
        }
    }
}

fn outcome_pending() -> Error {
    Error::unavailable(
        "OUTCOME_PENDING",
        "the withdrawal is under way and goes on by itself; look again, or repeat the call",
    )
}
