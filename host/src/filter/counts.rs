//! What is counted of a filter, and of a branch: rows by what became of them, breaks, time, and the guest's own counters. All workers of a
//! pipeline count into one, each its own batch at its end; who shows the figures is left to the commands.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

/// Names that are counted apart from each other; what comes after these is counted as "other".
const MOST_NAMES: usize = 64;

/// The longest name of a counter, in bytes. A longer one is cut.
const LONGEST_NAME: usize = 120;

/// The counters of a filter or a branch.
#[derive(Debug, Default)]
pub struct FilterCounts {
    /// Events that entered.
    pub events_in: AtomicU64,
    /// Events on which the filter did its work.
    pub matched: AtomicU64,
    /// Events on which it did what it could, and said by tags what not.
    pub tagged: AtomicU64,
    /// Events on which it failed, or for which its condition could not be evaluated.
    pub failed: AtomicU64,
    /// Events dropped, by the filter's rule or by `on_error` or `on_trap`.
    pub dropped: AtomicU64,
    /// Events added.
    pub added: AtomicU64,
    /// Events set aside as dead letters.
    pub dead_lettered: AtomicU64,
    /// Events in whose company the guest broke, once none but them was left.
    pub broken: AtomicU64,
    /// How often the guest broke and a new instance was made.
    pub breaks: AtomicU64,
    /// Nanoseconds spent, the host's share included.
    pub nanoseconds: AtomicU64,
    /// The most memory that one instance had, in bytes; its tables count too.
    pub memory: AtomicU64,
    /// WebAssembly instructions of the calls of `process`; counted by the engine of `fuel` only.
    pub(super) fuel: AtomicU64,
    reasons: Mutex<BTreeMap<String, u64>>,
    counters: Mutex<BTreeMap<String, u64>>,
    /// Held while a batch's counts are added, and while numbers are read that must be of the same batches.
    adding: Mutex<()>,
}

impl FilterCounts {
    /// Adds what `other` counted.
    pub(super) fn absorb(&self, other: &FilterCounts) {
        let _adding = self.adding.lock();
        for (own, other) in self.numbers().into_iter().zip(other.numbers()) {
            let count = other.load(Ordering::Relaxed);
            if count > 0 {
                own.fetch_add(count, Ordering::Relaxed);
            }
        }
        self.memory.fetch_max(other.memory.load(Ordering::Relaxed), Ordering::Relaxed);
        for (reason, count) in other.reasons() {
            self.add_reason(&reason, count);
        }
        for (name, count) in other.counters() {
            self.add_counter(&name, count);
        }
    }

    /// Events that entered, and those of the same batches on which the filter failed.
    pub(super) fn entered_and_failed(&self) -> (u64, u64) {
        let _adding = self.adding.lock();
        (self.events_in.load(Ordering::Relaxed), self.failed.load(Ordering::Relaxed))
    }

    /// Counts from nothing again. What an instance has in memory, it keeps.
    pub(super) fn clear(&self) {
        for number in self.numbers() {
            number.store(0, Ordering::Relaxed);
        }
        for map in [&self.reasons, &self.counters] {
            if let Ok(mut map) = map.lock() {
                map.clear();
            }
        }
    }

    fn numbers(&self) -> [&AtomicU64; 11] {
        [
            &self.events_in,
            &self.matched,
            &self.tagged,
            &self.failed,
            &self.dropped,
            &self.added,
            &self.dead_lettered,
            &self.broken,
            &self.breaks,
            &self.nanoseconds,
            &self.fuel,
        ]
    }

    /// WebAssembly instructions of the calls of `process`; 0 unless the engine counts them.
    pub fn fuel(&self) -> u64 {
        self.fuel.load(Ordering::Relaxed)
    }

    /// Failures and breaks by their reason.
    pub fn reasons(&self) -> BTreeMap<String, u64> {
        self.reasons.lock().map(|map| map.clone()).unwrap_or_default()
    }

    /// The counters that the guest keeps by `host.count`.
    pub fn counters(&self) -> BTreeMap<String, u64> {
        self.counters.lock().map(|map| map.clone()).unwrap_or_default()
    }

    pub(super) fn add(counter: &AtomicU64, by: usize) {
        counter.fetch_add(by as u64, Ordering::Relaxed);
    }

    pub(super) fn add_time(&self, started: Instant) {
        let spent = usize::try_from(started.elapsed().as_nanos()).unwrap_or(usize::MAX);
        FilterCounts::add(&self.nanoseconds, spent);
    }

    pub(super) fn add_reason(&self, reason: &str, by: u64) {
        add_bounded(&self.reasons, reason, by);
    }

    pub(super) fn add_counter(&self, name: &str, by: u64) {
        add_bounded(&self.counters, name, by);
    }
}

fn add_bounded(map: &Mutex<BTreeMap<String, u64>>, name: &str, by: u64) {
    let name = &name[..name.floor_char_boundary(LONGEST_NAME)];
    let Ok(mut map) = map.lock() else { return };
    if let Some(count) = map.get_mut(name) {
        *count = count.saturating_add(by);
        return;
    }
    let name = if map.len() < MOST_NAMES { name } else { "other" };
    let count = map.entry(name.to_owned()).or_default();
    *count = count.saturating_add(by);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_bounded() {
        let counts = FilterCounts::default();
        for number in 0..1000 {
            counts.add_counter(&format!("counter {number} {}", "é".repeat(200)), 1);
        }
        counts.add_counter("counter", u64::MAX);
        let counters = counts.counters();
        assert_eq!(counters.len(), MOST_NAMES + 1);
        assert!(counters.keys().all(|name| name.len() <= LONGEST_NAME));
        assert_eq!(counters["other"], u64::MAX);
    }
}
