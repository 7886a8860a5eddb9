//! What the auditor knows of the shop: what it asked for, and what it was answered.
//! Stock, money, points and coupons follow from that. Reads nothing of the system.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Instant,
};

use serde_json::Value;

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
    moves: Vec<Moved>,
    /// Where goods may be sent: an address by its id, and what was asked for.
    addresses: Vec<(String, Value)>,
    /// Coupons that admins have issued.
    issued: usize,
}

/// Why money goes into a wallet or out of it, other than for orders.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Why {
    TopUp,
    /// By an admin; below 0 out of it.
    Adjustment,
    /// To a bank account.
    PayOut,
    /// A deposit that was held.
    Credit,
}

/// Money that was to go into a wallet, or out of it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Moved {
    pub(crate) why: Why,
    /// Below 0 out of it.
    pub(crate) amount: i64,
    pub(crate) fate: Fate,
}

impl Account {
    pub(crate) fn new(id: String, email: String, password: String) -> Self {
        let inner = Inner {
            standing: Standing::Open,
            token: None,
            moves: Vec::new(),
            addresses: Vec::new(),
            issued: 0,
        };
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

    /// Money is about to be moved; answers its place.
    pub(crate) fn moves(&self, why: Why, amount: i64) -> usize {
        let mut inner = self.inner();
        inner.moves.push(Moved { why, amount, fate: Fate::Open });
        inner.moves.len() - 1
    }

    pub(crate) fn has_moved(&self, place: usize, fate: Fate) {
        self.inner().moves[place].fate = fate;
    }

    pub(crate) fn moved(&self) -> Vec<Moved> {
        self.inner().moves.clone()
    }

    pub(crate) fn lives_at(&self, id: String, address: Value) {
        self.inner().addresses.push((id, address));
    }

    /// It may be gone from now on.
    pub(crate) fn moves_from(&self, id: &str) {
        self.inner().addresses.retain(|(known, _)| known != id);
    }

    pub(crate) fn addresses(&self) -> Vec<(String, Value)> {
        self.inner().addresses.clone()
    }

    pub(crate) fn is_issued_a_coupon(&self) {
        self.inner().issued += 1;
    }

    pub(crate) fn issued(&self) -> usize {
        self.inner().issued
    }
}

/// Something on sale.
#[derive(Clone, Debug)]
pub(crate) struct Product {
    pub(crate) id: String,
    /// At its registration.
    pub(crate) stock: i64,
    /// Restocked and adjusted, as far as that was answered.
    pub(crate) restocked: i64,
    /// What adjustments may have taken, as they were asked for.
    pub(crate) lessened: i64,
    /// Each price that it has, had, or may have.
    pub(crate) prices: Vec<i64>,
}

/// What an order is to be paid with beside its method, and where it is to go.
#[derive(Clone, Debug, Default)]
pub(crate) struct Besides {
    pub(crate) coupon: Option<String>,
    pub(crate) points: i64,
    pub(crate) wallet: i64,
    /// One of the member's addresses: its id, and what it says.
    pub(crate) address: Option<(String, Value)>,
}

/// An order that was asked for.
#[derive(Clone)]
#[expect(clippy::struct_excessive_bools, reason = "what was asked for and answered, independently")]
pub(crate) struct Intent {
    pub(crate) account: Arc<Account>,
    pub(crate) method: Method,
    /// Places of products, each once, and how many of each.
    pub(crate) lines: Vec<(usize, i64)>,
    pub(crate) besides: Besides,
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
    /// Members who buy nothing, and sell at times.
    pub(crate) clerks: Vec<Arc<Account>>,
    pub(crate) products: Vec<Product>,
    pub(crate) intents: Vec<Intent>,
    /// Texts that templates have, had, or may have.
    pub(crate) texts: Vec<(&'static str, String)>,
    /// Orders whose deposit was confirmed, as it was answered.
    pub(crate) deposited: BTreeSet<String>,
    /// What was answered of deposits, parcels, returns and coupons, and of who did what.
    pub(crate) answered: Answered,
}

/// What was answered, and has to stand.
#[derive(Default)]
pub(crate) struct Answered {
    /// Deposits that were recorded: id and amount.
    pub(crate) deposits: BTreeMap<String, i64>,
    /// Deposits that were credited; how often refunds of each were answered.
    pub(crate) credited: BTreeSet<String>,
    pub(crate) refunded: BTreeMap<String, u64>,
    pub(crate) matched: BTreeSet<String>,
    /// Deliveries with their tracking number; those that have arrived, and of which order they are.
    pub(crate) dispatched: BTreeMap<String, String>,
    pub(crate) arrived: BTreeMap<String, String>,
    /// Returns that were asked for, and what was said of them last.
    pub(crate) returns: BTreeMap<String, &'static str>,
    /// What was done by hand: action, subject, and a reason that nothing else has.
    pub(crate) by_hand: Vec<(&'static str, String, String)>,
    /// Policies of coupons.
    pub(crate) policies: Vec<String>,
    /// Whether clerks sell; how often that has changed; tokens that were good before it did.
    pub(crate) sells: BTreeMap<String, bool>,
    pub(crate) changes: BTreeMap<String, usize>,
    pub(crate) revoked: Vec<(String, String)>,
}

impl Model {
    /// An order is about to be asked for; answers its place.
    pub(crate) fn asks(
        &mut self,
        account: &Arc<Account>,
        method: Method,
        lines: Vec<(usize, i64)>,
        besides: Besides,
    ) -> usize {
        let on_hand = lines.iter().map(|(place, _)| {
            let product = &self.products[*place];
            product.stock + product.restocked
        });
        let (on_hand, account) = (on_hand.collect(), Arc::clone(account));
        let certain = |it: &Moved| it.amount > 0 && it.fate == Fate::Done;
        let balance = account.moved().iter().filter(|it| certain(it)).map(|it| it.amount).sum();
        self.intents.push(Intent {
            account,
            method,
            lines,
            besides,
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
