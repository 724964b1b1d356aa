//! What the host keeps for one instance: how much memory and time it may have, what it asked of the host, its open
//! databases and patterns, and the texts that kernels handed it.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use rand::SeedableRng;
use rand::rngs::StdRng;
use wasmtime::ResourceLimiter;
use wasmtime::component::ResourceTable;

use super::addresses::{Databases, KernelTexts};
use super::counts::FilterCounts;
use super::definition::{ChainEnvironment, Clock, Randomness};
use super::log_allowance::LogAllowance;
use super::patterns::MOST_PATTERNS;
use crate::config::Limits;
use crate::event::pattern::Found;

/// The most databases that one filter may hold open.
pub(super) const MOST_DATABASES: usize = 16;

/// The data of an instance's store.
pub(super) struct GuestState {
    pub(super) filter: Arc<str>,
    pub(super) limits: MemoryLimits,
    pub(super) deadline: Duration,
    /// The most bytes of an answer.
    pub(super) output: u64,
    /// When the call under way must end. The engine ends a guest then; what the host does for it must look itself.
    pub(super) ends: Instant,
    pub(super) counts: Arc<FilterCounts>,
    pub(super) environment: Arc<ChainEnvironment>,
    pub(super) shared_databases: Arc<Databases>,
    /// Whether `configure` runs: only then databases may be opened.
    pub(super) configuring: bool,
    pub(super) databases: ResourceTable,
    pub(super) kernel_texts: KernelTexts,
    /// How many were opened so far.
    pub(super) databases_opened: usize,
    pub(super) patterns: ResourceTable,
    /// What the last search found; kept, as making it anew costs.
    pub(super) found: Found,
    /// The time of the batch under way, in nanoseconds since 1970.
    pub(super) now: i64,
    /// What the filter may log; all its instances share it.
    pub(super) log: Arc<LogAllowance>,
    random: Option<StdRng>,
}

impl GuestState {
    pub(super) fn new(
        filter: Arc<str>,
        limits: Limits,
        counts: Arc<FilterCounts>,
        log: Arc<LogAllowance>,
        environment: Arc<ChainEnvironment>,
        shared_databases: Arc<Databases>,
    ) -> Self {
        let random = match environment.randomness {
            Randomness::System => None,
            Randomness::Seeded(seed) => Some(StdRng::seed_from_u64(seed)),
        };
        let mut databases = ResourceTable::new();
        databases.set_max_capacity(MOST_DATABASES);
        let mut patterns = ResourceTable::new();
        patterns.set_max_capacity(MOST_PATTERNS);
        let now = time_of(environment.clock);
        GuestState {
            filter,
            limits: MemoryLimits::new(limits.memory, counts.clone()),
            deadline: limits.deadline,
            output: limits.output,
            ends: Instant::now(),
            counts,
            environment,
            shared_databases,
            configuring: false,
            databases,
            kernel_texts: KernelTexts::default(),
            databases_opened: 0,
            patterns,
            found: Found::default(),
            now,
            log,
            random,
        }
    }

    /// For an instance that is only asked what it is.
    pub(super) fn for_description(databases: &Arc<Databases>) -> Self {
        GuestState::new(
            "describe".into(),
            Limits::default(),
            Arc::default(),
            Arc::new(LogAllowance::new(Limits::default().log_lines)),
            Arc::default(),
            databases.clone(),
        )
    }

    /// Fills `bytes` with random bytes, or such that follow from the seed.
    pub(super) fn fill_random(&mut self, bytes: &mut [u8]) {
        match &mut self.random {
            Some(random) => rand::Rng::fill_bytes(random, bytes),
            None => rand::Rng::fill_bytes(&mut rand::rng(), bytes),
        }
    }
}

/// The time that filters are told.
pub(super) fn time_of(clock: Clock) -> i64 {
    match clock {
        Clock::Fixed(time) => time,
        Clock::System => {
            let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
            i64::try_from(since.as_nanos()).unwrap_or(i64::MAX)
        }
    }
}

/// What an instance may hold. All its memories and tables count together.
pub(super) struct MemoryLimits {
    most: usize,
    used: usize,
    /// Where the most that was used is noted.
    counts: Arc<FilterCounts>,
    /// Whether more was asked for and refused; what the guest does then is to abort.
    pub(super) refused: bool,
}

/// The most elements of a table; a filter of a megabyte has about two thousand functions in one.
const MOST_TABLE_ELEMENTS: usize = 100_000;

/// What an element of a table takes at most, in bytes.
const TABLE_ELEMENT: usize = 16;

impl MemoryLimits {
    fn new(most: u64, counts: Arc<FilterCounts>) -> Self {
        let most = usize::try_from(most).unwrap_or(usize::MAX);
        MemoryLimits { most, used: 0, counts, refused: false }
    }

    /// Whether so many bytes more may be had; they are then taken.
    fn take(&mut self, bytes: usize) -> bool {
        let used = self.used.saturating_add(bytes);
        if used > self.most {
            self.refused = true;
            return false;
        }
        self.used = used;
        self.counts.memory.fetch_max(used as u64, Ordering::Relaxed);
        true
    }

    /// The limit, in bytes.
    pub(super) fn most(&self) -> usize {
        self.most
    }
}

impl ResourceLimiter for MemoryLimits {
    fn memory_growing(
        &mut self,
        current: usize,
        desired: usize,
        maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        // What the module itself does not allow will not be taken.
        if maximum.is_some_and(|maximum| desired > maximum) {
            return Ok(false);
        }
        Ok(self.take(desired.saturating_sub(current)))
    }

    fn table_growing(
        &mut self,
        current: usize,
        desired: usize,
        maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        if maximum.is_some_and(|maximum| desired > maximum) {
            return Ok(false);
        }
        if desired > MOST_TABLE_ELEMENTS {
            self.refused = true;
            return Ok(false);
        }
        Ok(self.take(desired.saturating_sub(current).saturating_mul(TABLE_ELEMENT)))
    }

    fn instances(&self) -> usize {
        64
    }

    fn tables(&self) -> usize {
        64
    }

    fn memories(&self) -> usize {
        8
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memories_count_together() {
        let counts = Arc::<FilterCounts>::default();
        let mut limits = MemoryLimits::new(10, counts.clone());
        assert!(limits.memory_growing(0, 4, None).expect("no error"));
        assert!(limits.memory_growing(0, 4, None).expect("no error"));
        assert!(!limits.refused);
        assert!(!limits.memory_growing(4, 7, None).expect("no error"));
        assert!(limits.refused);
        assert!(limits.memory_growing(4, 6, None).expect("no error"));
        assert!(!limits.table_growing(0, 1, None).expect("no error"));
        assert_eq!(counts.memory.load(Ordering::Relaxed), 10);
    }
}
