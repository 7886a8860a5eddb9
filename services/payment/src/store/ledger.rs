//! The double-entry ledger: what is written once, set by set.

use base::{Error, id::Uuid};
use pg::Tx;

use crate::domain::{MemberId, Method, OrderId, Outcome, Payment};

/// Why money moves.
#[derive(Clone, Copy, Debug)]
pub(super) enum Kind {
    TopUp,
    Payment,
    Refund,
}

pg::names!(Kind, written, constraint ledger_transaction_kind:
    TopUp = "TOP_UP", Payment = "PAYMENT", Refund = "REFUND");

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
    /// Where the money of a sandbox comes from.
    Sandbox,
}

pg::names!(Account, written, constraint ledger_entry_account:
    Wallet = "WALLET", Sales = "SALES", Card = "CARD", Bank = "BANK", Sandbox = "SANDBOX");

/// Ledger transactions to be written, a column each: from one account to another.
#[derive(Default)]
pub(super) struct Ledger {
    ids: Vec<Uuid>,
    kinds: Vec<&'static str>,
    orders: Vec<Option<Uuid>>,
    /// The account that pays, and whose it is when it is a wallet.
    payers: Vec<&'static str>,
    members: Vec<Option<Uuid>>,
    /// What the payer gets; the other account gets the opposite.
    amounts: Vec<i64>,
    others: Vec<&'static str>,
}

impl Ledger {
    pub(super) fn add(&mut self, payment: &Payment, outcome: &Outcome) {
        let (kind, amount) = match outcome {
            Outcome::Approved => (Kind::Payment, -payment.amount.minor()),
            Outcome::Cancelled(refunded) => (Kind::Refund, refunded.minor()),
            Outcome::DepositRequested | Outcome::Declined | Outcome::Expired | Outcome::Voided => {
                return;
            }
        };
        if amount == 0 {
            return;
        }
        let (payer, member) = match payment.method {
            Method::Wallet => (Account::Wallet, Some(payment.member)),
            Method::Card => (Account::Card, None),
            Method::BankTransfer => (Account::Bank, None),
        };
        self.push(kind, Some(payment.order), payer, member, amount, Account::Sales);
    }

    pub(super) fn push(
        &mut self,
        kind: Kind,
        order: Option<OrderId>,
        payer: Account,
        member: Option<MemberId>,
        amount: i64,
        other: Account,
    ) {
        self.ids.push(base::id::new());
        self.kinds.push(kind.name());
        self.orders.push(order.map(|order| order.0));
        self.payers.push(payer.name());
        self.members.push(member.map(|member| member.0));
        self.amounts.push(amount);
        self.others.push(other.name());
    }

    pub(super) async fn save(&self, tx: &mut Tx) -> Result<(), Error> {
        if self.ids.is_empty() {
            return Ok(());
        }
        tx.execute(
            "with transactions as (
               insert into ledger_transaction (id, kind, order_id)
               select * from unnest($1::uuid[], $6::text[], $7::uuid[]))
             insert into ledger_entry (transaction_id, account, member_id, amount_minor)
             select t.id, e.account, e.member_id, e.amount
             from unnest($1::uuid[], $2::text[], $3::uuid[], $4::bigint[], $5::text[])
               as t(id, payer, member_id, amount, other),
             lateral (values (t.payer, t.member_id, t.amount), (t.other, null, -t.amount))
               as e(account, member_id, amount)",
            &[
                &self.ids,
                &self.payers,
                &self.members,
                &self.amounts,
                &self.others,
                &self.kinds,
                &self.orders,
            ],
        )
        .await?;
        Ok(())
    }
}
