//! What was done and answered, and which faults there were: as much of it as helps
//! to understand a violation, and no more.

use std::{
    collections::VecDeque,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

/// Steps that are kept.
const KEPT: usize = 300_000;
/// Faults that are shown before the last step of a violation.
const FAULTS: usize = 12;

struct Step {
    at: Duration,
    text: String,
    /// The ids of what it concerns; nothing for a fault.
    about: Vec<String>,
}

/// The steps of a run, the oldest forgotten first.
pub(crate) struct History {
    begun: Instant,
    steps: Mutex<VecDeque<Step>>,
}

impl History {
    pub(crate) fn new() -> Self {
        Self { begun: Instant::now(), steps: Mutex::default() }
    }

    /// How long the run has been going on.
    pub(crate) fn now(&self) -> Duration {
        self.begun.elapsed()
    }

    /// A step that concerns these.
    pub(crate) fn note(&self, about: Vec<String>, text: String) {
        let mut steps = self.steps.lock().unwrap_or_else(PoisonError::into_inner);
        if steps.len() == KEPT {
            steps.pop_front();
        }
        steps.push_back(Step { at: self.now(), text, about });
    }

    /// A fault.
    pub(crate) fn fault(&self, text: String) {
        self.note(Vec::new(), text);
    }

    /// The last `most` steps that concern any of these, with the faults of that time among them.
    pub(crate) fn concerning(&self, about: &[String], most: usize) -> Vec<String> {
        let steps = self.steps.lock().unwrap_or_else(PoisonError::into_inner);
        let (mut shown, mut faults, mut theirs) = (Vec::new(), 0, 0);
        for step in steps.iter().rev() {
            if step.about.iter().any(|id| about.contains(id)) {
                theirs += 1;
            } else if step.about.is_empty() && theirs > 0 && faults < FAULTS {
                faults += 1;
            } else {
                continue;
            }
            let mark = if step.about.is_empty() { "  fault" } else { "" };
            shown.push(format!("{:>9.3} s{mark}  {}", step.at.as_secs_f64(), step.text));
            if theirs == most {
                break;
            }
        }
        shown.reverse();
        shown
    }
}
