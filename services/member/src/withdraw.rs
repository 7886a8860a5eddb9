//! Withdrawing a member: the member asks, the coupon comes first.
//!
//! | call to coupon | then |
//! |---|---|
//! | succeeded | WITHDRAWN, and its event |
//! | provably never ran | the member is as they were, 503 |
//! | refused | the member stays; the call answers what coupon said |
//! | unknown | WITHDRAWING stays, 503 `OUTCOME_PENDING`; the task repeats the call |
//!
//! The steps around it are those of [`in_doubt`]. Coupon cancels a member's coupons once, however often
//! it is asked, and keeps a tombstone when there are none yet. An attempt that never ran takes
//! WITHDRAWING back only when no other attempt has joined.

use std::time::Duration;

use base::{Error, id::Uuid};
use contracts::{
    coupon::v1::{
        CancelMemberCouponsRequest, CancelMemberCouponsResponse,
        coupon_service::CANCEL_MEMBER_COUPONS,
    },
    member::v1 as pb,
};
use pg::{
    Database, Tx,
    idempotency::{Command, Reply},
    in_doubt::{self, Begun, Commands, Settled},
    task::{self, Outcome, Task},
};
use rpc::{Failure, Peer};

use crate::{
    domain::{Fact, MemberId},
    store, wire,
};

/// Withdraws members.
#[derive(Clone)]
pub(crate) struct Withdraw(Commands<Call>);

/// Asks coupon to cancel a member's coupons.
pub(crate) struct Call {
    coupon: Peer,
    deadline: Duration,
}

pub(crate) struct Attempt {
    member: MemberId,
    number: i32,
}

impl Withdraw {
    pub(crate) fn new(database: Database, coupon: Peer, deadline: Duration) -> Self {
        Self(Commands::new(database, deadline, Call { coupon, deadline }))
    }

    /// Carries out a member's wish to leave.
    pub(crate) async fn run(
        &self,
        member: MemberId,
        command: Command,
    ) -> Result<Reply<pb::Member>, Error> {
        let begin = async |tx: &mut Tx| {
            let begun = store::update(tx, member, |stored| stored.membership.begin_withdrawal());
            let (number, stored) = begun.await?;
            Ok(match number {
                Some(number) => Begun::Attempt(Attempt { member, number }),
                None => Begun::Already(wire::member(&stored)),
            })
        };
        self.0.run(&command, member.0, begin).await
    }
}

impl task::Handler for Withdraw {
    /// Takes up a withdrawal whose outcome is not known yet.
    async fn handle(&self, task: &Task) -> Result<Outcome, Error> {
        let member = MemberId(task.key);
        let join = async |tx: &mut Tx| {
            let joined = store::update(tx, member, |stored| stored.membership.join_withdrawal());
            let (number, _) = joined.await?;
            Ok(number.map(|number| Attempt { member, number }))
        };
        self.0.resume(member.0, join).await?;
        Ok(Outcome::Done)
    }
}

impl in_doubt::Call for Call {
    const TASK: &'static str = "cancel-coupons";
    type Attempt = Attempt;
    type Outcome = Result<CancelMemberCouponsResponse, Failure>;
    type Answer = pb::Member;

    fn about(attempt: &Attempt) -> Uuid {
        attempt.member.0
    }

    async fn call(&self, attempt: &Attempt) -> Self::Outcome {
        let request = CancelMemberCouponsRequest { member_id: attempt.member.to_string() };
        let coupon = self.coupon.on_behalf_of(attempt.member.0);
        coupon.unary(CANCEL_MEMBER_COUPONS, &request, self.deadline).await
    }

    async fn settle(
        &self,
        tx: &mut Tx,
        attempt: &Attempt,
        outcome: Self::Outcome,
    ) -> Result<Settled<pb::Member>, Error> {
        let (definite, stored) = store::update(tx, attempt.member, |stored| {
            let membership = &mut stored.membership;
            match &outcome {
                Ok(answer) => {
                    membership.withdrawn();
                    if answer.cancelled > 0 {
                        membership.learn(Fact::CouponCancelled);
                    }
                    true
                }
                Err(Failure::Refused(_)) => {
                    membership.withdrawal_refused();
                    true
                }
                Err(Failure::NeverRan(_)) => membership.withdrawal_never_ran(attempt.number),
                Err(Failure::Unknown(_)) => false,
            }
        })
        .await?;
        Ok(match outcome {
            Ok(_) => Settled::Done(wire::member(&stored)),
            Err(Failure::Refused(status)) => Settled::Undone(status.into()),
            Err(_) if definite => Settled::Undone(Error::unavailable(
                "COUPON_UNAVAILABLE",
                "coupon is unavailable; the member is unchanged",
            )),
            Err(_) => Settled::InDoubt(Error::unavailable(
                "OUTCOME_PENDING",
                "the withdrawal is in progress and completes by itself; read the member again, or repeat the call",
            )),
        })
    }
}
