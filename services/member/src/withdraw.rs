//! Withdrawing a member: the member asks. Order and payment say whether they may leave, which changes
//! nothing; then the coupon comes first.
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
    order::v1::{self as order, order_service},
    payment::v1::{self as payment, payment_service},
};
use pg::{
    Database, Tx,
    idempotency::{self, Command, Reply},
    in_doubt::{self, Begun, Commands, Settled},
};
use rpc::{Failure, Peer};

use crate::{
    domain::{Fact, MemberId, State},
    erase, store, wire,
};

/// Who is asked.
#[derive(Clone)]
pub(crate) struct Peers {
    pub(crate) order: Peer,
    pub(crate) payment: Peer,
    pub(crate) coupon: Peer,
}

/// Withdraws members.
#[derive(Clone)]
pub(crate) struct Withdraw {
    commands: Commands<Call>,
    peers: Peers,
    deadline: Duration,
}

/// Asks coupon to cancel a member's coupons.
pub(crate) struct Call {
    coupon: Peer,
    deadline: Duration,
    erase_after: Duration,
}

pub(crate) struct Attempt {
    member: MemberId,
    number: i32,
}

impl Withdraw {
    /// So long after a withdrawal the member is erased.
    pub(crate) fn new(
        database: Database,
        peers: Peers,
        deadline: Duration,
        erase_after: Duration,
    ) -> Self {
        let call = Call { coupon: peers.coupon.clone(), deadline, erase_after };
        Self { commands: Commands::new(database, deadline, call), peers, deadline }
    }

    /// Carries out a member's wish to leave.
    pub(crate) async fn run(
        &self,
        member: MemberId,
        command: Command,
    ) -> Result<Reply<pb::Member>, Error> {
        let mut reader = self.commands.database().read().await?;
        let state = store::get(&mut reader, member).await?.membership.state;
        drop(reader);
        // Who is about to leave, or has left, has been let go.
        if state == State::Active
            && let Err(refusal) = self.may_leave(member).await
        {
            return idempotency::refuse(self.commands.database(), &command, refusal).await;
        }
        let begin = async |tx: &mut Tx| {
            let begun = store::update(tx, member, |stored| stored.membership.begin_withdrawal());
            let (number, stored) = begun.await?;
            Ok(match number {
                Some(number) => Begun::Attempt(Attempt { member, number }),
                None => Begun::Already(wire::member(&stored)),
            })
        };
        self.commands.run(&command, member.0, begin).await
    }

    /// Takes up a withdrawal whose outcome is not known yet.
    pub(crate) async fn resume(&self, member: MemberId) -> Result<(), Error> {
        let join = async |tx: &mut Tx| {
            let joined = store::update(tx, member, |stored| stored.membership.join_withdrawal());
            let (number, _) = joined.await?;
            Ok(number.map(|number| Attempt { member, number }))
        };
        self.commands.resume(member.0, join).await
    }

    /// Whether order and payment let a member go.
    async fn may_leave(&self, member: MemberId) -> Result<(), Error> {
        let away = |failure: Failure, service: &str| match failure {
            Failure::Refused(status) => status.into(),
            Failure::NeverRan(_) | Failure::Unknown(_) => Error::unavailable(
                format!("{}_UNAVAILABLE", service.to_uppercase()),
                format!("{service} is unavailable; the member is unchanged"),
            ),
        };
        let member_id = member.to_string();
        let request = order::AskWithdrawalRequest { member_id: member_id.clone() };
        let asked = self.peers.order.on_behalf_of(member.0);
        let asked = asked.unary(order_service::ASK_WITHDRAWAL, &request, self.deadline).await;
        asked.map_err(|failure| away(failure, "order"))?;
        let request = payment::AskWithdrawalRequest { member_id };
        let asked = self.peers.payment.on_behalf_of(member.0);
        let asked = asked.unary(payment_service::ASK_WITHDRAWAL, &request, self.deadline).await;
        asked.map_err(|failure| away(failure, "payment"))?;
        Ok(())
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
        if outcome.is_ok() {
            erase::schedule(tx, attempt.member, self.erase_after).await?;
        }
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
