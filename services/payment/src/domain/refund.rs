//! Money of a payment that goes back, and how far it has come.

#![warn(clippy::arithmetic_side_effects, reason = "money that wraps is money out of nowhere")]

use base::{Money, id::Uuid};

use super::{
    MemberId, Method, OrderId, Outcome, Payment, Refusal, part::PartId, payout::Account,
    wallet::TopUpId,
};

base::id!(
    /// Identifies a refund, and the payout that carries it to a bank account.
    RefundId
);

/// Where money goes that is given back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Tender {
    Card,
    Wallet,
    BankTransfer(Account),
}

impl Tender {
    /// The method that it is called by.
    pub(crate) fn method(&self) -> Method {
        match self {
            Self::Card => Method::Card,
            Self::Wallet => Method::Wallet,
            Self::BankTransfer(_) => Method::BankTransfer,
        }
    }
}

/// What is given back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct GivenBack {
    pub(crate) amount: Money,
    pub(crate) to: Tender,
}

/// How far a refund has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RefundState {
    Refunding,
    Refunded,
    /// Refused for good: an operator has to see to it.
    Failed,
}

pg::names!(RefundState, constraint refund_state:
    Refunding = "REFUNDING", Refunded = "REFUNDED", Failed = "FAILED");

/// What is given back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Of {
    /// What an order's payment had taken.
    Payment(OrderId),
    /// What a card was charged for an order that nobody placed; nobody else has heard of it.
    Charge(OrderId),
    /// What a card was charged for a wallet that it did not fill.
    TopUp(TopUpId),
}

impl Of {
    /// The order that it is about.
    pub(crate) fn order(self) -> Option<OrderId> {
        match self {
            Self::Payment(order) | Self::Charge(order) => Some(order),
            Self::TopUp(_) => None,
        }
    }
}

/// A refund as it is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Refund {
    pub(crate) id: RefundId,
    pub(crate) of: Of,
    pub(crate) member: MemberId,
    pub(crate) tender: Method,
    pub(crate) amount: Money,
    pub(crate) state: RefundState,
    pub(crate) payout: Option<Uuid>,
    /// The part that it is for; none: what was left of the whole payment.
    pub(crate) part: Option<PartId>,
}

impl Refund {
    /// One that has just been decided. A wallet has its money at once.
    pub(crate) fn new(of: Of, member: MemberId, given_back: &GivenBack) -> Self {
        let id = RefundId(base::id::new());
        let tender = given_back.to.method();
        let (state, payout) = match tender {
            Method::Wallet => (RefundState::Refunded, None),
            Method::Card => (RefundState::Refunding, None),
            Method::BankTransfer => (RefundState::Refunding, Some(id.0)),
        };
        Self { id, of, member, tender, amount: given_back.amount, state, payout, part: None }
    }

    /// The acquirer is about to be asked: until it has said what became of that, nobody settles the refund
    /// by hand. False when it need not be asked any more.
    pub(crate) fn ask(&mut self) -> bool {
        if self.state == RefundState::Failed {
            self.state = RefundState::Refunding;
        }
        self.state == RefundState::Refunding
    }

    /// The acquirer has said what became of it. What is done is done, whoever says otherwise later.
    pub(crate) fn answered(&mut self, done: bool) {
        if self.state != RefundState::Refunded {
            self.state = if done { RefundState::Refunded } else { RefundState::Failed };
        }
    }

    /// Somebody wants the acquirer asked again for what it refuses.
    pub(crate) fn retry(&mut self) -> Result<(), Refusal> {
        self.failed()?;
        self.state = RefundState::Refunding;
        Ok(())
    }

    /// Somebody gives back by this tender what the acquirer refuses to.
    pub(crate) fn settle(&mut self, tender: Method) -> Result<(), Refusal> {
        self.failed()?;
        (self.state, self.tender) = (RefundState::Refunded, tender);
        Ok(())
    }

    fn failed(&self) -> Result<(), Refusal> {
        match self.state {
            RefundState::Failed => Ok(()),
            RefundState::Refunding | RefundState::Refunded => Err(Refusal::RefundNotFailed),
        }
    }
}

impl Outcome {
    /// The refunds that it takes, each with what it gives back.
    pub(crate) fn refunds(&self, payment: &Payment) -> Vec<(GivenBack, Refund)> {
        if let Self::Voided(given_back) = self {
            let refund = Refund::new(Of::Charge(payment.order), payment.member, given_back);
            return vec![(given_back.clone(), refund)];
        }
        let of = Of::Payment(payment.order);
        let (given_back, part) = self.gives_back();
        let refund =
            |it: &GivenBack| (it.clone(), Refund { part, ..Refund::new(of, payment.member, it) });
        given_back.into_iter().map(refund).collect()
    }

    /// What it gives back of what a payment had taken, each by a refund of its own, and the part that it is
    /// for.
    pub(crate) fn gives_back(&self) -> (Vec<&GivenBack>, Option<PartId>) {
        match self {
            Self::Cancelled(given_back) => (given_back.iter().collect(), None),
            Self::WalletRefunded(given_back) => (vec![given_back], None),
            Self::PartRefunded { part, by_method, by_wallet } => {
                (by_method.iter().chain(by_wallet).collect(), Some(*part))
            }
            Self::DepositRequested
            | Self::Approved
            | Self::Declined
            | Self::Expired
            | Self::Voided(_)
            | Self::Reserved
            | Self::Released
            | Self::Reduced { .. } => (Vec::new(), None),
        }
    }
}
