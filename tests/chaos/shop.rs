//! What all who take part share: the system, the model, what was noted, and whatever
//! turned out to be wrong.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use app::rest::Rest;
use tokio_util::sync::CancellationToken;

use crate::{
    history::History,
    model::{Account, Model},
    system::System,
};

/// Steps that are shown of a violation.
const STEPS: usize = 40;
/// Violations that are kept; the others are counted.
const KEPT: usize = 20;

/// Something that must not be.
pub(crate) struct Violation {
    pub(crate) what: String,
    pub(crate) steps: Vec<String>,
}

/// What all share.
pub(crate) struct Shop {
    pub(crate) seed: u64,
    pub(crate) system: System,
    pub(crate) history: History,
    /// A client of the gateway, not signed in.
    pub(crate) rest: Rest,
    pub(crate) seller: Arc<Account>,
    pub(crate) admin: Arc<Account>,
    model: Mutex<Model>,
    tally: Mutex<BTreeMap<&'static str, u64>>,
    violations: Mutex<Vec<Violation>>,
    pub(crate) wrong: AtomicU64,
    /// No new commands are begun.
    pub(crate) closing: CancellationToken,
    /// From then on every command has to be answered for good.
    patience: Mutex<Option<Instant>>,
    pub(crate) operations: AtomicU64,
}

impl Shop {
    pub(crate) fn new(seed: u64, system: System) -> Self {
        let account = |role: &str| {
            let logins = &system.ground.logins;
            let login = logins.iter().find(|login| login.role == role).expect("a login");
            let (email, password) = (login.email.clone(), login.password.clone());
            Arc::new(Account::new(role.to_lowercase(), email, password))
        };
        Self {
            seed,
            history: History::new(),
            seller: account("SELLER"),
            admin: account("ADMIN"),
            rest: system.rest(),
            system,
            model: Mutex::default(),
            tally: Mutex::default(),
            violations: Mutex::default(),
            wrong: AtomicU64::new(0),
            closing: CancellationToken::new(),
            patience: Mutex::default(),
            operations: AtomicU64::new(0),
        }
    }

    pub(crate) fn model(&self) -> MutexGuard<'_, Model> {
        self.model.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts something that is to happen now and then.
    pub(crate) fn count(&self, what: &'static str, times: u64) {
        if times > 0 {
            let mut tally = self.tally.lock().unwrap_or_else(PoisonError::into_inner);
            *tally.entry(what).or_default() += times;
        }
    }

    pub(crate) fn tally(&self) -> BTreeMap<&'static str, u64> {
        self.tally.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Something is wrong with these: it is kept with their last steps.
    pub(crate) fn wrong(&self, about: &[String], what: String) {
        self.wrong.fetch_add(1, Ordering::Relaxed);
        let mut violations = self.violations.lock().unwrap_or_else(PoisonError::into_inner);
        if violations.len() < KEPT {
            eprintln!("chaos: violation: {what}");
            let steps = self.history.concerning(about, STEPS);
            violations.push(Violation { what, steps });
        }
        // What follows from it would only hide it.
        self.closing.cancel();
    }

    pub(crate) fn violations(&self) -> MutexGuard<'_, Vec<Violation>> {
        self.violations.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// There are no more faults: from now on commands are answered for good within this time.
    pub(crate) fn expects_answers(&self, within: Duration) {
        let mut patience = self.patience.lock().unwrap_or_else(PoisonError::into_inner);
        *patience = Some(Instant::now() + within);
    }

    /// Whether a command should have been answered by now.
    pub(crate) fn is_overdue(&self) -> bool {
        let patience = *self.patience.lock().unwrap_or_else(PoisonError::into_inner);
        patience.is_some_and(|until| Instant::now() > until)
    }
}
