//! How the recent calls to one upstream went: counts over a sliding window. Only
//! counts; what follows from them is the breaker's matter.

use tokio::time::Instant;

use super::BreakerLimits;

const SLOTS: usize = 10;

/// Calls counted over a sliding window, in [`SLOTS`] slots.
#[derive(Debug, Default)]
pub(super) struct Window {
    slots: [Slot; SLOTS],
    begun: Option<Instant>,
}

/// How one call went.
#[derive(Clone, Copy, Debug)]
pub(super) struct Went {
    pub(super) failed: bool,
    pub(super) slow: bool,
}

#[derive(Clone, Copy, Debug, Default)]
struct Slot {
    number: u128,
    calls: u32,
    failed: u32,
    slow: u32,
}

impl Window {
    /// Counts one call; true when too many of the recent ones failed, or were slow.
    pub(super) fn count(&mut self, limits: &BreakerLimits, now: Instant, went: Went) -> bool {
        let begun = *self.begun.get_or_insert(now);
        let width = limits.window.as_millis() / SLOTS as u128;
        let number = now.duration_since(begun).as_millis() / width.max(1);
        let index = usize::try_from(number % SLOTS as u128).unwrap_or_default();
        let slot = &mut self.slots[index];
        if slot.number != number {
            *slot = Slot { number, ..Slot::default() };
        }
        slot.calls += 1;
        slot.failed += u32::from(went.failed);
        slot.slow += u32::from(went.slow);

        let recent = self.slots.iter().filter(|slot| slot.number + SLOTS as u128 > number);
        let all = recent.fold(Slot::default(), |all, slot| Slot {
            number,
            calls: all.calls + slot.calls,
            failed: all.failed + slot.failed,
            slow: all.slow + slot.slow,
        });
        all.calls >= limits.least_calls
            && (all.failed * 100 >= all.calls * limits.failed_percent
                || all.slow * 100 >= all.calls * limits.slow_percent)
    }
}
