//! What the auditor knows of the shop: what it asked for, and what it was answered.
//! Stock, money, points and coupons follow from that. Reads nothing of the system.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Instant,
};

/// How an order is paid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Method {
    Card,
    Wallet,
    BankTransfer,
}

impl Method {
    /// As the contract has it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Card => "CARD",
            Self::Wallet => "WALLET",
            Self::BankTransfer => "BANK_TRANSFER",
        }
    }
}

/// What became of a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    /// Asked, and not answered for good yet.
    Open,
    /// It has happened.
    Done,
    /// It has not happened, and never will.
    Refused,
    /// Nobody can ask any more: the account is closed.
    Unknown,
}

/// How far an account has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    Open,
    /// A withdrawal was asked for.
    Leaving,
    Gone,
}

/// Somebody who signs in.
pub(crate) struct Account {
    pub(crate) id: String,
    pub(crate) email: String,
    pub(crate) password: String,
    inner: Mutex<Inner>,
}

struct Inner {
    standing: Standing,
    /// The token, and when it was issued.
    token: Option<(String, Instant)>,
    top_ups: Vec<TopUp>,
}

/// Money that was put into a wallet.
#[derive(Clone, Copy, Debug)]
pub(crate) struct TopUp {
    pub(crate) amount: i64,
    pub(crate) fate: Fate,
}

impl Account {
    pub(crate) fn new(id: String, email: String, password: String) -> Self {
        let inner = Inner { standing: Standing::Open, token: None, top_ups: Vec::new() };
        Self { id, email, password, inner: Mutex::new(inner) }
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn standing(&self) -> Standing {
        self.inner().standing
    }

    pub(crate) fn stands(&self, standing: Standing) {
        self.inner().standing = standing;
    }

    pub(crate) fn token(&self) -> Option<(String, Instant)> {
        self.inner().token.clone()
    }

    pub(crate) fn signed_in(&self, token: Option<String>) {
        self.inner().token = token.map(|token| (token, Instant::now()));
    }

    /// A top-up is about to be asked for; answers its place.
    pub(crate) fn tops_up(&self, amount: i64) -> usize {
        let mut inner = self.inner();
        inner.top_ups.push(TopUp { amount, fate: Fate::Open });
        inner.top_ups.len() - 1
    }

    pub(crate) fn topped_up(&self, place: usize, fate: Fate) {
        self.inner().top_ups[place].fate = fate;
    }

    pub(crate) fn top_ups(&self) -> Vec<TopUp> {
        self.inner().top_ups.clone()
    }
}

/// Something on sale.
#[derive(Clone, Debug)]
pub(crate) struct Product {
    pub(crate) id: String,
    /// At its registration.
    pub(crate) stock: i64,
    /// Restocked, as far as that was answered.
    pub(crate) restocked: i64,
    /// Each price that it has, had, or may have.
    pub(crate) prices: Vec<i64>,
}

/// An order that was asked for.
#[derive(Clone)]
#[expect(clippy::struct_excessive_bools, reason = "what was asked for and answered, independently")]
pub(crate) struct Intent {
    pub(crate) account: Arc<Account>,
    pub(crate) method: Method,
    /// Places of products, each once, and how many of each.
    pub(crate) lines: Vec<(usize, i64)>,
    pub(crate) fate: Fate,
    /// Once it was answered.
    pub(crate) order: Option<String>,
    pub(crate) total: i64,
    /// What was on hand of each line, and in the wallet, if no order had ever taken any.
    pub(crate) on_hand: Vec<i64>,
    pub(crate) balance: i64,
    /// Cancelling it was asked for; was answered.
    pub(crate) cancel_asked: bool,
    /// The shop asked for it.
    pub(crate) shop_asked: bool,
    pub(crate) cancelled: bool,
    /// Cancelling some of it was asked for.
    pub(crate) parts_asked: bool,
    /// Its receipt was confirmed, and answered.
    pub(crate) closed: bool,
    /// A state that was seen, and when that was answered.
    pub(crate) seen: Option<(String, Instant)>,
}

/// All of it.
#[derive(Default)]
pub(crate) struct Model {
    pub(crate) accounts: Vec<Arc<Account>>,
    pub(crate) products: Vec<Product>,
    pub(crate) intents: Vec<Intent>,
    /// Texts that templates have, had, or may have.
    pub(crate) texts: Vec<(&'static str, String)>,
    /// Orders whose deposit was confirmed, as it was answered.
    pub(crate) deposited: BTreeSet<String>,
}

impl Model {
    /// An order is about to be asked for; answers its place.
    pub(crate) fn asks(
        &mut self,
        account: &Arc<Account>,
        method: Method,
        lines: Vec<(usize, i64)>,
    ) -> usize {
        let on_hand = lines.iter().map(|(place, _)| {
            let product = &self.products[*place];
            product.stock + product.restocked
        });
        let (on_hand, account) = (on_hand.collect(), Arc::clone(account));
        let done = account.top_ups().into_iter().filter(|top_up| top_up.fate == Fate::Done);
        let balance = done.map(|top_up| top_up.amount).sum();
        self.intents.push(Intent {
            account,
            method,
            lines,
            fate: Fate::Open,
            order: None,
            total: 0,
            on_hand,
            balance,
            cancel_asked: false,
            shop_asked: false,
            cancelled: false,
            parts_asked: false,
            closed: false,
            seen: None,
        });
        self.intents.len() - 1
    }

    /// The order that was answered with this id.
    pub(crate) fn order(&mut self, id: &str) -> Option<&mut Intent> {
        // The youngest are asked about most.
        self.intents.iter_mut().rev().find(|intent| intent.order.as_deref() == Some(id))
    }
}
