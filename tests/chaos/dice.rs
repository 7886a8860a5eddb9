//! Where everything random comes from: one seed, and a stream of its own for each
//! who draws, so that what one draws does not depend on how fast another is.

use std::{ops::RangeInclusive, time::Duration};

use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};

/// A stream of random decisions.
pub(crate) struct Dice(StdRng);

impl Dice {
    /// The stream of this name; the same seed and name give the same decisions.
    pub(crate) fn of(seed: u64, name: &str) -> Self {
        // FNV-1a: names differ, so their streams do.
        let hash = name.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        });
        Self(StdRng::seed_from_u64(seed ^ hash))
    }

    /// True so often of a hundred times.
    pub(crate) fn percent(&mut self, percent: u32) -> bool {
        self.0.random_range(0..100) < percent
    }

    pub(crate) fn between(&mut self, range: RangeInclusive<i64>) -> i64 {
        self.0.random_range(range)
    }

    pub(crate) fn millis(&mut self, range: RangeInclusive<u64>) -> Duration {
        Duration::from_millis(self.0.random_range(range))
    }

    /// One of them; none of none.
    pub(crate) fn pick<'a, T>(&mut self, of: &'a [T]) -> Option<&'a T> {
        if of.is_empty() { None } else { of.get(self.0.random_range(0..of.len())) }
    }

    /// One of them, by their weights.
    pub(crate) fn weighed<T: Copy>(&mut self, of: &[(u32, T)]) -> T {
        let mut at = self.0.random_range(0..of.iter().map(|(weight, _)| weight).sum());
        for (weight, one) in of {
            match at.checked_sub(*weight) {
                Some(rest) => at = rest,
                None => return *one,
            }
        }
        unreachable!("the sum of the weights is above each draw")
    }
}
