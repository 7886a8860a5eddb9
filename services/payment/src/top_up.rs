//! Filling a wallet by card: charged first, in doubt until the acquirer has said what became
//! of it.
//!
//! | call to the acquirer | then |
//! |---|---|
//! | charged | the balance is higher, and its event |
//! | declined | DECLINED, 409; looked up soon, and once more later |
//! | unknown | AUTHORISING stays, 503; the task looks it up, and what was charged is refunded |
//!
//! The steps around it are those of [`in_doubt`]. No card token is stored, so the task cannot repeat the
//! call: it undoes it. A repetition with the same key before that asks again, and is charged once.

use std::time::Duration;

use base::{Error, Money, id::Uuid};
use contracts::payment::v1::{TopUpWalletRequest, Wallet};
use pg::{
    Database, Tx,
    idempotency::{self, Reply},
    in_doubt::{self, Begun, Commands, Settled},
};
use server::Incoming;

use crate::{
    acquirer::{Acquirer, Charge, Charged},
    domain::{
        CARD_TOKEN, MemberId, Refusal,
        wallet::{TOP_UP, TopUp, TopUpId, TopUpState},
    },
    store,
    tasks::{self, Look},
    wire,
};

/// Fills wallets.
#[derive(Clone)]
pub(crate) struct FillWallet {
    commands: Commands<Call>,
    acquirer: Acquirer,
    settle_after: Duration,
}

/// Asks the acquirer to charge a card.
pub(crate) struct Call {
    acquirer: Acquirer,
}

pub(crate) struct Attempt {
    top_up: TopUpId,
    charge: Charge,
}

impl FillWallet {
    /// `deadline` is that of a call to the acquirer; so long after it, its no is final.
    pub(crate) fn new(
        database: Database,
        acquirer: Acquirer,
        deadline: Duration,
        settle_after: Duration,
    ) -> Self {
        let call = Call { acquirer: acquirer.clone() };
        Self { commands: Commands::new(database, deadline, call), acquirer, settle_after }
    }

    /// Charges the member's card and fills their wallet, or says why not.
    pub(crate) async fn run(
        &self,
        member: MemberId,
        incoming: Incoming<TopUpWalletRequest>,
    ) -> Result<Reply<Wallet>, Error> {
        let message = &incoming.message;
        let amount = message.amount.as_ref().map(contracts::Money::parts);
        let amount = Money::parse_within("amount", amount, &TOP_UP)?;
        let token = CARD_TOKEN.parse("cardToken", &message.card_token)?.to_owned();
        let begin = async |tx: &mut Tx, id| {
            let top_up = TopUp::new(TopUpId(id), member, amount);
            let stored = store::begin_top_up(tx, &top_up).await?;
            if !stored.ask()? {
                let balance = store::wallet_balance(tx, member).await?;
                return Ok(Begun::Already(wire::wallet::wallet(member, balance)));
            }
            let charge = Charge { key: id, order: id, amount, token };
            Ok(Begun::Attempt(Attempt { top_up: stored.id, charge }))
        };
        self.commands.make(&incoming.command(), base::id::new(), begin).await
    }

    /// Looks up a charge whose outcome nobody waits for any more. That is committed before the acquirer
    /// is asked, so that no attempt fills a wallet with what is about to be refunded.
    pub(crate) async fn abandon(&self, id: TopUpId) -> Result<(), Error> {
        let database = self.commands.database();
        let mut tx = database.begin().await?;
        let mut top_up = store::lock_top_up(&mut tx, id).await?;
        let abandoned = top_up.abandon();
        store::save_top_up(&mut tx, &top_up).await?;
        tx.commit().await?;
        if !abandoned {
            return Ok(());
        }
        self.look_up(id, true).await
    }

    /// Asks the acquirer what became of a charge that counts as not made, and has it refunded when it
    /// was made after all.
    pub(crate) async fn look_up(&self, id: TopUpId, first: bool) -> Result<(), Error> {
        let found = self.acquirer.look_up(id.0).await?;
        let mut tx = self.commands.database().begin().await?;
        let mut top_up = store::lock_top_up(&mut tx, id).await?;
        if let Some(reference) = found {
            store::top_up_charged(&mut tx, &mut top_up, &reference).await?;
        } else {
            top_up.not_charged();
            store::save_top_up(&mut tx, &top_up).await?;
            if first && self.acquirer.may_change_its_mind() {
                tasks::look_up_top_up(&mut tx, id, Look::Last(self.settle_after)).await?;
            }
        }
        // Whoever asks again with the same key asks for another top-up.
        idempotency::release_unanswered(&mut tx, id.0).await?;
        tx.commit().await
    }
}

impl in_doubt::Call for Call {
    const TASK: &'static str = tasks::ABANDON_TOP_UP;
    type Attempt = Attempt;
    type Outcome = Result<Charged, Error>;
    type Answer = Wallet;

    fn about(attempt: &Attempt) -> Uuid {
        attempt.top_up.0
    }

    async fn call(&self, attempt: &Attempt) -> Self::Outcome {
        self.acquirer.charge(&attempt.charge).await
    }

    async fn settle(
        &self,
        tx: &mut Tx,
        attempt: &Attempt,
        outcome: Self::Outcome,
    ) -> Result<Settled<Wallet>, Error> {
        let outcome = match outcome {
            Ok(outcome) => outcome,
            Err(error) => return Ok(Settled::InDoubt(error)),
        };
        let mut top_up = store::lock_top_up(tx, attempt.top_up).await?;
        let balance = match outcome {
            Charged::Yes(reference) => store::top_up_charged(tx, &mut top_up, &reference).await?,
            Charged::Declined => {
                top_up.not_charged();
                store::save_top_up(tx, &top_up).await?;
                if self.acquirer.may_change_its_mind() {
                    tasks::look_up_top_up(tx, top_up.id, Look::First).await?;
                }
                store::wallet_balance(tx, top_up.member).await?
            }
        };
        Ok(match top_up.state {
            TopUpState::Done => Settled::Done(wire::wallet::wallet(top_up.member, balance)),
            TopUpState::Declined => Settled::Undone(Refusal::CardDeclined.into()),
            TopUpState::Voided if top_up.fits(balance) => {
                Settled::Undone(Refusal::TopUpAbandoned.into())
            }
            TopUpState::Voided => Settled::Undone(Refusal::WalletFull.into()),
            TopUpState::Authorising | TopUpState::Abandoning | TopUpState::Abandoned => {
                Settled::InDoubt(Refusal::TopUpAbandoned.into())
            }
        })
    }
}
