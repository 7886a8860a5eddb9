//! The life of an order: no clock, no network, no SQL.
//!
//! An order keeps what it has learned as facts and derives its state from them,
//! so facts may arrive in any order and more than once.

#![warn(clippy::arithmetic_side_effects, reason = "a total that wraps is a price that nobody set")]

pub(crate) mod checkout;
mod ending;
pub(crate) mod parts;
pub(crate) mod pieces;
mod refusal;

use std::ops::RangeInclusive;

use base::{
    Error, Money,
    id::Uuid,
    input::{self, Text},
};

use self::{
    checkout::{Checkout, Won},
    parts::Parts,
};
pub(crate) use self::{ending::CloseReason, refusal::Refusal};

base::id!(
    /// Identifies an order.
    OrderId
);
base::id!(
    /// Identifies a product; of the product context.
    ProductId
);
base::id!(
    /// Identifies a member; of the member context.
    MemberId
);

/// How many lines an order may have.
pub(crate) const LINES: RangeInclusive<usize> = 1..=100;
/// How many units of one product an order may have.
pub(crate) const QUANTITY: RangeInclusive<i32> = 1..=1_000_000_000;
/// What an order may cost, in won.
pub(crate) const TOTAL: RangeInclusive<i64> = 0..=1_000_000_000_000;
/// What an acquirer may know a card by.
pub(crate) const CARD_TOKEN: Text = Text::new(1, 200);
/// Who pays, as the bank will say.
pub(crate) const DEPOSITOR: Text = Text::new(0, 100);
/// Why the shop cancels an order.
pub(crate) const NOTE: Text = Text::new(0, 200);
/// What a product is called, on an order and in its events.
pub(crate) const DISPLAY_NAME: Text = Text::new(1, 200);

/// How an order is paid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Method {
    Card,
    Wallet,
    BankTransfer,
}

pg::names!(Method, constraint orders_method:
    Card = "CARD", Wallet = "WALLET", BankTransfer = "BANK_TRANSFER");

/// How far an order has come. The order of the variants is the order of life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum State {
    /// Its card is being charged, its coupon redeemed, its points spent. Unseen.
    Pending,
    /// It shall not be: what was done for it is being undone. Unseen.
    Aborting,
    Placed,
    AwaitingDeposit,
    Paid,
    Prepared,
    Delivering,
    Delivered,
    Closed,
    Cancelling,
    Cancelled(CancelReason),
}

/// Why an order was cancelled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum CancelReason {
    MemberRequest,
    OutOfStock,
    InsufficientBalance,
    DepositExpired,
    CardDeclined,
    MemberWithdrawn,
    ShopRequest,
}

pg::names!(CancelReason, constraint orders_cancel_reason:
    MemberRequest = "MEMBER_REQUEST", OutOfStock = "OUT_OF_STOCK",
    InsufficientBalance = "INSUFFICIENT_BALANCE", DepositExpired = "DEPOSIT_EXPIRED",
    CardDeclined = "CARD_DECLINED", MemberWithdrawn = "MEMBER_WITHDRAWN",
    ShopRequest = "SHOP_REQUEST");

/// Something that happened elsewhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fact {
    /// Payment waits for a deposit; its id.
    DepositRequested(Uuid),
    /// Payment approved; its id.
    Paid(Uuid),
    /// Payment will not happen, or was taken back.
    PaymentLost(CancelReason),
    StockDecreased,
    StockShort,
    DeliveryStarted,
    /// A carrier has the goods.
    Dispatched,
    /// The goods have arrived, as the carrier or the seller says.
    Delivered,
}

/// A line as it was bought.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Line {
    pub(crate) product: ProductId,
    pub(crate) display_name: String,
    /// 1 or more.
    pub(crate) quantity: i32,
    pub(crate) unit_price: Money,
}

impl Line {
    /// What it costs. It has been added up before: no total is larger.
    pub(crate) fn cost(&self) -> Won {
        self.unit_price.minor().saturating_mul(self.quantity.into())
    }
}

/// What there is before an order is placed that something is reserved or charged for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pending {
    Pending,
    Aborting,
}

pg::names!(Pending, constraint orders_pending: Pending = "PENDING", Aborting = "ABORTING");

/// Somebody of the shop who cancels, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ByShop {
    /// A member's id.
    pub(crate) actor: Uuid,
    pub(crate) note: String,
}

/// What somebody wants who cancels.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Wish {
    /// None: it is the member's.
    pub(crate) by_shop: Option<ByShop>,
    /// Where the money of a bank transfer goes, encoded; none: to the wallet.
    pub(crate) refund_account: Option<Vec<u8>>,
}

impl Wish {
    /// Why the order is cancelled then.
    fn reason(&self) -> CancelReason {
        match self.by_shop {
            Some(_) => CancelReason::ShopRequest,
            None => CancelReason::MemberRequest,
        }
    }
}

/// What an order has learned.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "facts are independent of one another")]
pub(crate) struct Facts {
    pub(crate) pending: Option<Pending>,
    /// Calls to payment that may be under way to place it.
    pub(crate) place_attempts: i32,
    pub(crate) deposit_requested: bool,
    pub(crate) paid: bool,
    pub(crate) stock_decreased: bool,
    pub(crate) delivery_started: bool,
    pub(crate) dispatched: bool,
    pub(crate) delivered: bool,
    pub(crate) closed: Option<CloseReason>,
    /// Calls to payment that may be under way.
    pub(crate) cancel_attempts: i32,
    pub(crate) cancelled: Option<CancelReason>,
}

impl Facts {
    /// How far the facts carry without gaps.
    pub(crate) fn state(&self) -> State {
        match self.pending {
            Some(Pending::Pending) => return State::Pending,
            Some(Pending::Aborting) => return State::Aborting,
            None => {}
        }
        if let Some(reason) = self.cancelled {
            return State::Cancelled(reason);
        }
        if self.cancel_attempts > 0 {
            return State::Cancelling;
        }
        match (self.paid, self.stock_decreased, self.delivery_started) {
            (true, true, true) if self.closed.is_some() => State::Closed,
            (true, true, true) if self.delivered => State::Delivered,
            (true, true, true) => State::Delivering,
            (true, true, false) => State::Prepared,
            (true, false, _) => State::Paid,
            (false, ..) if self.deposit_requested => State::AwaitingDeposit,
            (false, ..) => State::Placed,
        }
    }
}

/// What a member bought, and how far it has come.
#[derive(Clone, Debug)]
pub(crate) struct Order {
    pub(crate) id: OrderId,
    pub(crate) member: MemberId,
    pub(crate) method: Method,
    pub(crate) lines: Vec<Line>,
    pub(crate) total: Money,
    /// What pays beside the method.
    pub(crate) checkout: Checkout,
    pub(crate) payment: Option<Uuid>,
    pub(crate) facts: Facts,
    /// Of a cancellation that is under way, or has been.
    pub(crate) wish: Wish,
    /// The last milestone that others were told of.
    pub(crate) told: State,
    /// What has been taken back of it.
    pub(crate) parts: Parts,
}

/// Milestones that were passed, the first first.
pub(crate) type Milestones = Vec<State>;

impl Order {
    /// Its state now.
    pub(crate) fn state(&self) -> State {
        self.facts.state()
    }

    /// Takes in a fact. Facts that change nothing any more are kept, and pass no milestone.
    pub(crate) fn learn(&mut self, fact: Fact) -> Milestones {
        match fact {
            Fact::Paid(payment) => {
                self.facts.paid = true;
                self.payment = Some(payment);
            }
            Fact::DepositRequested(payment) => {
                self.facts.deposit_requested = true;
                self.payment = Some(payment);
            }
            Fact::StockDecreased => self.facts.stock_decreased = true,
            Fact::DeliveryStarted => self.facts.delivery_started = true,
            Fact::Dispatched => self.facts.dispatched = true,
            Fact::Delivered => self.facts.delivered = true,
            Fact::StockShort => self.lose(CancelReason::OutOfStock),
            Fact::PaymentLost(reason) => self.lose(reason),
        }
        self.pass()
    }

    /// The order cannot go on, unless it has ended already. While somebody's wish is with payment, that
    /// wish is the reason.
    fn lose(&mut self, reason: CancelReason) {
        match self.state() {
            // Not placed: there is nothing to lose, and whoever places it hears of it.
            State::Pending | State::Aborting | State::Cancelled(_) | State::Closed => {}
            State::Cancelling => self.facts.cancelled = Some(self.wish.reason()),
            State::Placed
            | State::AwaitingDeposit
            | State::Paid
            | State::Prepared
            | State::Delivering
            | State::Delivered => self.facts.cancelled = Some(reason),
        }
    }

    /// The calls are about to be made that a PENDING order needs. Answers this attempt's number.
    pub(crate) fn begin_place(&mut self) -> Result<i32, Refusal> {
        if self.facts.pending != Some(Pending::Pending) {
            return Err(Refusal::NotPlaced);
        }
        self.facts.place_attempts = self.facts.place_attempts.saturating_add(1);
        Ok(self.facts.place_attempts)
    }

    /// All is reserved, and the card charged, if one is to be: the order is placed, by card it is paid;
    /// unless it was given up.
    pub(crate) fn place(
        &mut self,
        checkout: Checkout,
        payment: Option<Uuid>,
    ) -> Result<Milestones, Refusal> {
        match self.facts.pending {
            Some(Pending::Aborting) => return Err(Refusal::NotPlaced),
            // Another attempt with the same key has placed it; so it stays.
            None => {}
            Some(Pending::Pending) => self.checkout = checkout,
        }
        self.facts.pending = None;
        Ok(match payment {
            Some(payment) => self.learn(Fact::Paid(payment)),
            None => self.pass(),
        })
    }

    /// The order shall not be; what was reserved and charged for it is to be undone.
    pub(crate) fn abort(&mut self) {
        if self.facts.pending.is_some() {
            self.facts.pending = Some(Pending::Aborting);
        }
    }

    /// True when no calls but this attempt's can be under way.
    pub(crate) fn places_alone(&self, attempt: i32) -> bool {
        attempt == 1 && self.facts.place_attempts == 1
    }

    /// The member wants to cancel, or the shop; payment decides. Answers this attempt's number, or `None`
    /// when the order is cancelled already.
    pub(crate) fn begin_cancel(&mut self, wish: Wish) -> Result<Option<i32>, Refusal> {
        match self.state() {
            State::Cancelled(_) => Ok(None),
            State::Closed => Err(Refusal::Closed),
            State::Pending | State::Aborting => Err(Refusal::NotPlaced),
            State::Placed
            | State::AwaitingDeposit
            | State::Paid
            | State::Prepared
            | State::Delivering
            | State::Delivered
            | State::Cancelling => {
                if wish.by_shop.is_none() && self.facts.dispatched {
                    return Err(Refusal::Dispatched);
                }
                if self.parts.under_way.is_some() {
                    return Err(Refusal::PartUnderWay);
                }
                // What the shop wants counts, whoever else wants it too.
                if wish.by_shop.is_some() || self.wish.by_shop.is_none() {
                    self.wish = wish;
                }
                self.facts.cancel_attempts = self.facts.cancel_attempts.saturating_add(1);
                Ok(Some(self.facts.cancel_attempts))
            }
        }
    }

    /// Takes up a cancellation that is under way. Answers this attempt's number, or `None` when
    /// none is.
    pub(crate) fn join_cancel(&mut self) -> Option<i32> {
        match self.state() {
            State::Cancelling => {
                self.facts.cancel_attempts = self.facts.cancel_attempts.saturating_add(1);
                Some(self.facts.cancel_attempts)
            }
            _ => None,
        }
    }

    /// Payment has cancelled: so has the order.
    pub(crate) fn cancelled(&mut self, wish: &Wish) -> Milestones {
        if self.facts.cancelled.is_none() {
            self.wish = Wish { by_shop: wish.by_shop.clone(), refund_account: None };
            self.facts.cancelled = Some(self.wish.reason());
        }
        self.pass()
    }

    /// Payment refused: the order goes on from what it has learned meanwhile.
    pub(crate) fn cancel_refused(&mut self) -> Milestones {
        self.facts.cancel_attempts = 0;
        self.wish = Wish::default();
        self.pass()
    }

    /// The call to payment never ran. The order is as it was, unless another attempt joined: then
    /// its outcome counts. True when it is as it was.
    pub(crate) fn cancel_never_ran(&mut self, attempt: i32) -> (bool, Milestones) {
        let alone = attempt == 1 && self.facts.cancel_attempts == 1;
        if alone {
            self.facts.cancel_attempts = 0;
            self.wish = Wish::default();
        }
        (alone, self.pass())
    }

    /// The milestones between what others were told and what is so now.
    fn pass(&mut self) -> Milestones {
        let now = self.state();
        let passed = match now {
            // Milestones say what is left of the order: that is not known yet.
            _ if self.parts.under_way.is_some() => Vec::new(),
            State::Pending | State::Aborting | State::Cancelling => Vec::new(),
            State::Cancelled(_) if now == self.told => Vec::new(),
            State::Cancelled(_) => vec![now],
            _ => self.path().into_iter().filter(|s| *s > self.told && *s <= now).collect(),
        };
        if let Some(last) = passed.last() {
            self.told = *last;
        }
        passed
    }

    /// All milestones of an order that goes well.
    fn path(&self) -> Vec<State> {
        let mut path = vec![State::Placed, State::Paid, State::Prepared, State::Delivering];
        if self.facts.delivered {
            path.push(State::Delivered);
        }
        path.push(State::Closed);
        if self.method == Method::BankTransfer {
            path.insert(1, State::AwaitingDeposit);
        }
        path
    }
}

/// The units of one product in an order, with those of another line; `field` is its path.
pub(crate) fn more_of(field: &str, units: i32, more: i32) -> Result<i32, Error> {
    input::number(field, units.saturating_add(more), &QUANTITY)
}

/// The sum of the lines, which is refused when it is more than an order may cost.
pub(crate) fn total(lines: &[Line]) -> Result<Money, Error> {
    let sum = lines.iter().try_fold(Money::ZERO, |sum, line| {
        sum.plus(line.unit_price.times(i64::from(line.quantity))?)
    });
    let most = Money::krw(*TOTAL.end());
    sum.filter(|sum| *sum <= most).ok_or_else(|| {
        let most = input::grouped(most.minor());
        Error::violation("lines", format!("must cost at most {most} won in all"))
    })
}

#[cfg(test)]
#[path = "domain_tests.rs"]
mod tests;
