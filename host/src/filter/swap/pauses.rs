//! How long batches waited because of a swap: a histogram of fixed size, counted by all workers.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Parts of each power of two.
const PARTS: u64 = 4;

/// The steps of the histogram: up to hours.
const STEPS: usize = 44 * PARTS as usize;

/// Times by their length, each step a fifth longer than the one before it, or less.
pub struct Pauses {
    counts: Box<[AtomicU64]>,
    longest: AtomicU64,
}

impl Default for Pauses {
    fn default() -> Self {
        Pauses { counts: (0..STEPS).map(|_| AtomicU64::new(0)).collect(), longest: AtomicU64::new(0) }
    }
}

impl Pauses {
    pub(super) fn record(&self, pause: Duration) {
        let nanoseconds = u64::try_from(pause.as_nanos()).unwrap_or(u64::MAX);
        self.longest.fetch_max(nanoseconds, Ordering::Relaxed);
        if let Some(count) = self.counts.get(step_of(nanoseconds)).or(self.counts.last()) {
            count.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// How many there were.
    pub fn count(&self) -> u64 {
        self.steps().map(|(_, count)| count).sum()
    }

    /// The longest of all.
    pub fn longest(&self) -> Duration {
        Duration::from_nanos(self.longest.load(Ordering::Relaxed))
    }

    /// A length that this share of them (0 to 1) does not exceed.
    pub fn quantile(&self, share: f64) -> Duration {
        let wanted = self.count() as f64 * share;
        let mut seen = 0;
        for (below, count) in self.steps() {
            seen += count;
            if count > 0 && seen as f64 >= wanted {
                return below.min(self.longest());
            }
        }
        self.longest()
    }

    /// The steps that are not empty: a length that none of it exceeds, and how many it has.
    pub fn histogram(&self) -> Vec<(Duration, u64)> {
        self.steps().filter(|(_, count)| *count > 0).collect()
    }

    fn steps(&self) -> impl Iterator<Item = (Duration, u64)> {
        self.counts.iter().enumerate().map(|(step, count)| (end_of(step), count.load(Ordering::Relaxed)))
    }
}

/// Below four nanoseconds each has a step; from there on a power of two has four.
fn step_of(nanoseconds: u64) -> usize {
    if nanoseconds < PARTS {
        return usize::try_from(nanoseconds).unwrap_or(0);
    }
    let power = u64::from(nanoseconds.ilog2());
    let part = (nanoseconds >> (power - 2)) - PARTS;
    usize::try_from((power - 1) * PARTS + part).unwrap_or(STEPS)
}

fn end_of(step: usize) -> Duration {
    let step = step as u64;
    if step < PARTS {
        return Duration::from_nanos(step);
    }
    let (power, part) = (step / PARTS + 1, step % PARTS);
    Duration::from_nanos(((PARTS + part + 1) << (power - 2)) - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_length_is_in_a_step_that_is_hardly_longer() {
        for nanoseconds in (0..100).chain([127, 128, 129, 1_000_000, 999_999_999, u64::MAX >> 20]) {
            let end = end_of(step_of(nanoseconds)).as_nanos() as u64;
            assert!(end >= nanoseconds && end <= nanoseconds + nanoseconds / 4, "{nanoseconds} {end}");
        }
        assert!(step_of(u64::MAX) >= STEPS);
    }

    #[test]
    fn quantiles_are_those_of_what_was_recorded() {
        let pauses = Pauses::default();
        for microseconds in 1..=100 {
            pauses.record(Duration::from_micros(microseconds));
        }
        pauses.record(Duration::from_secs(u64::MAX));
        assert_eq!(pauses.count(), 101);
        let half = pauses.quantile(0.5);
        assert!(half >= Duration::from_micros(50) && half <= Duration::from_micros(63), "{half:?}");
        assert!(pauses.longest() > Duration::from_secs(1_000_000));
    }
}
