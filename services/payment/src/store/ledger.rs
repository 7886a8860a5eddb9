//! The double-entry ledger: what is written once, set by set.

use base::{Error, Money, id::Uuid};
use pg::Tx;

use crate::domain::{
    MemberId, Method, OrderId, Outcome, Payment,
    refund::{GivenBack, Tender},
    wallet::Note,
};

/// Why money moves.
#[derive(Clone, Copy, Debug)]
pub(super) enum Kind {
    TopUp,
    Payment,
    Refund,
    Adjustment,
    /// On its way to a bank account.
    Payout,
    PayoutSent,
    /// Back from where it could not go.
    PayoutFailed,
    Deposit,
    /// What was held goes to a wallet.
    Credit,
    /// A card was charged though nobody waited for it any more.
    ChargeFound,
    /// And has it back.
    ChargeReturned,
    /// The shop gives back in another way what the acquirer refuses to, which it still owes.
    RefundSettled,
    /// What the wallet pays beside the method: held, given back, paid, refunded.
    WalletReserved,
    WalletReleased,
    WalletPayment,
    WalletRefund,
}

pg::names!(Kind, written, constraint ledger_transaction_kind:
    TopUp = "TOP_UP", Payment = "PAYMENT", Refund = "REFUND", Adjustment = "ADJUSTMENT",
    Payout = "PAYOUT", PayoutSent = "PAYOUT_SENT", PayoutFailed = "PAYOUT_FAILED",
    Deposit = "DEPOSIT", Credit = "CREDIT", ChargeFound = "CHARGE_FOUND",
    ChargeReturned = "CHARGE_RETURNED", WalletReserved = "WALLET_RESERVED",
    WalletReleased = "WALLET_RELEASED", WalletPayment = "WALLET_PAYMENT",
    WalletRefund = "WALLET_REFUND", RefundSettled = "REFUND_SETTLED");

/// Where money is.
#[derive(Clone, Copy, Debug)]
pub(super) enum Account {
    /// A member's.
    Wallet,
    /// The shop's own.
    Sales,
    /// What the acquirer owes.
    Card,
    Bank,
    /// Came in, and belongs to whoever paid it.
    Held,
    /// On its way to a bank account.
    Payout,
    /// What admins gave and took.
    Adjustment,
    /// Where the money of versions before came from.
    #[expect(dead_code, reason = "read by the database's constraint alone")]
    Sandbox,
}

pg::names!(Account, written, constraint ledger_entry_account:
    Wallet = "WALLET", Sales = "SALES", Card = "CARD", Bank = "BANK", Held = "HELD",
    Payout = "PAYOUT", Adjustment = "ADJUSTMENT", Sandbox = "SANDBOX");

/// An account, and whose it is when it is a wallet.
#[derive(Clone, Copy, Debug)]
pub(super) struct Side {
    account: Account,
    member: Option<MemberId>,
}

impl From<Account> for Side {
    fn from(account: Account) -> Self {
        Self { account, member: None }
    }
}

impl From<MemberId> for Side {
    fn from(member: MemberId) -> Self {
        Self { account: Account::Wallet, member: Some(member) }
    }
}

/// Money that moves from one account to another.
#[derive(Clone, Debug)]
pub(super) struct Move {
    kind: Kind,
    from: Side,
    to: Side,
    amount: Money,
    order: Option<OrderId>,
    subject: Option<Uuid>,
    note: Option<Note>,
}

impl Move {
    pub(super) fn new(
        kind: Kind,
        from: impl Into<Side>,
        to: impl Into<Side>,
        amount: Money,
    ) -> Self {
        let (from, to) = (from.into(), to.into());
        Self { kind, from, to, amount, order: None, subject: None, note: None }
    }

    /// About an order; once of its kind, and once for each part of the order that is its subject.
    pub(super) fn of_order(self, order: OrderId) -> Self {
        Self { order: Some(order), ..self }
    }

    /// About something else; once of its kind.
    pub(super) fn of(self, subject: Uuid) -> Self {
        Self { subject: Some(subject), ..self }
    }

    /// By somebody who said why.
    pub(super) fn noted(self, note: Note) -> Self {
        Self { note: Some(note), ..self }
    }
}

/// What the method paid goes back.
fn refund(member: MemberId, GivenBack { amount, to }: &GivenBack) -> Move {
    let to = match to {
        Tender::Card => Account::Card.into(),
        Tender::Wallet => Side::from(member),
        Tender::BankTransfer(_) => Account::Payout.into(),
    };
    Move::new(Kind::Refund, Account::Sales, to, *amount)
}

/// Ledger transactions to be written.
#[derive(Default)]
pub(super) struct Ledger(Vec<Move>);

impl Ledger {
    /// What an outcome of a payment moves.
    pub(super) fn add(&mut self, payment: &Payment, outcome: &Outcome) {
        let side = || match payment.method {
            Method::Wallet => Side::from(payment.member),
            Method::Card => Account::Card.into(),
            // Each deposit goes there first.
            Method::BankTransfer => Account::Held.into(),
        };
        let Payment { order, member, amount, wallet, .. } = payment;
        let moved = match outcome {
            Outcome::Approved => {
                let wallet = Move::new(Kind::WalletPayment, Account::Held, Account::Sales, *wallet);
                self.push(wallet.of_order(*order));
                Move::new(Kind::Payment, side(), Account::Sales, *amount)
            }
            Outcome::Cancelled(Some(given_back)) => refund(*member, given_back),
            Outcome::Voided(_) => {
                Move::new(Kind::ChargeFound, Account::Card, Account::Held, *amount)
            }
            Outcome::Reserved => Move::new(Kind::WalletReserved, *member, Account::Held, *wallet),
            Outcome::Released => Move::new(Kind::WalletReleased, Account::Held, *member, *wallet),
            Outcome::WalletRefunded(GivenBack { amount, .. }) => {
                Move::new(Kind::WalletRefund, Account::Sales, *member, *amount)
            }
            Outcome::Reduced { part, wallet } => {
                Move::new(Kind::WalletReleased, Account::Held, *member, *wallet).of(part.0)
            }
            Outcome::PartRefunded { part, by_method, by_wallet } => {
                let by_method = by_method.iter().map(|it| refund(*member, it));
                let by_wallet = by_wallet.iter().map(|GivenBack { amount, .. }| {
                    Move::new(Kind::WalletRefund, Account::Sales, *member, *amount)
                });
                for moved in by_method.chain(by_wallet) {
                    self.push(moved.of_order(*order).of(part.0));
                }
                return;
            }
            Outcome::Cancelled(None)
            | Outcome::DepositRequested
            | Outcome::Declined
            | Outcome::Expired => return,
        };
        self.push(moved.of_order(*order));
    }

    /// Adds a movement, unless nothing moves.
    pub(super) fn push(&mut self, moved: Move) {
        if moved.amount != Money::ZERO {
            self.0.push(moved);
        }
    }

    pub(super) async fn save(&self, tx: &mut Tx) -> Result<(), Error> {
        fn column<'a, T>(moves: &'a [Move], of: impl Fn(&'a Move) -> T) -> Vec<T> {
            moves.iter().map(of).collect()
        }
        let moves = &self.0;
        if moves.is_empty() {
            return Ok(());
        }
        tx.execute(
            "with moves as materialized (
               select * from unnest($1::uuid[], $2::text[], $3::uuid[], $4::uuid[], $5::text[],
                 $6::uuid[], $7::text[], $8::uuid[], $9::text[], $10::uuid[], $11::bigint[])
               as m(id, kind, order_id, subject_id, reason, actor_id, payer, payer_member,
                 payee, payee_member, amount)),
             transactions as (
               insert into ledger_transaction (id, kind, order_id, subject_id, reason, actor_id)
               select id, kind, order_id, subject_id, reason, actor_id from moves)
             insert into ledger_entry (transaction_id, account, member_id, amount_minor)
             select m.id, e.account, e.member_id, e.amount
             from moves m,
             lateral (values (m.payer, m.payer_member, -m.amount),
               (m.payee, m.payee_member, m.amount)) as e(account, member_id, amount)",
            &[
                &column(moves, |_| base::id::new()),
                &column(moves, |it| it.kind.name()),
                &column(moves, |it| it.order.map(|id| id.0)),
                &column(moves, |it| it.subject),
                &column(moves, |it| it.note.as_ref().map_or("", |note| note.reason.as_str())),
                &column(moves, |it| it.note.as_ref().map(|note| note.actor)),
                &column(moves, |it| it.from.account.name()),
                &column(moves, |it| it.from.member.map(|id| id.0)),
                &column(moves, |it| it.to.account.name()),
                &column(moves, |it| it.to.member.map(|id| id.0)),
                &column(moves, |it| it.amount.minor()),
            ],
        )
        .await?;
        Ok(())
    }
}
