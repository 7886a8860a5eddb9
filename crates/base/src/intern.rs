//! Texts that are few and are kept for as long as the process runs.

use std::{
    collections::BTreeSet,
    sync::{Mutex, PoisonError},
};

/// The same text, kept for good: for names from a configuration or from the code, never from a request.
pub fn intern(text: &str) -> &'static str {
    static KNOWN: Mutex<BTreeSet<&'static str>> = Mutex::new(BTreeSet::new());
    let mut known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(known) = known.get(text) {
        return known;
    }
    let text = String::from(text).leak();
    known.insert(text);
    text
}
