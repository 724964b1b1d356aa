//! What the host keeps for one instance: how much memory and time it may have, what it asked of the host, its open
//! databases and patterns, and the texts that kernels handed it.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use rand::SeedableRng;
use rand::rngs::StdRng;
use wasmtime::ResourceLimiter;
use wasmtime::component::ResourceTable;

use super::addresses::{Databases, KernelTexts};
use super::counts::FilterCounts;
use super::definition::{ChainEnvironment, Clock, Randomness};
use super::patterns::MOST_PATTERNS;
use crate::config::Limits;
use crate::event::pattern::Found;

/// The most databases that one filter may hold open.
const MOST_DATABASES: usize = 16;

/// Messages that a guest may log in [`LOG_WINDOW`].
const MOST_MESSAGES: u32 = 10;

const LOG_WINDOW: Duration = Duration::from_secs(1);

/// The data of an instance's store.
pub(super) struct GuestState {
    pub(super) filter: Arc<str>,
    pub(super) limits: MemoryLimits,
    pub(super) deadline: Duration,
    /// When the call under way must end. The engine ends a guest then; what the host does for it must look itself.
    pub(super) ends: Instant,
    pub(super) counts: Arc<FilterCounts>,
    pub(super) environment: Arc<ChainEnvironment>,
    pub(super) shared_databases: Arc<Databases>,
    /// Whether `configure` runs: only then databases may be opened.
    pub(super) configuring: bool,
    pub(super) databases: ResourceTable,
    pub(super) kernel_texts: KernelTexts,
    pub(super) patterns: ResourceTable,
    /// What the last search found; kept, as making it anew costs.
    pub(super) found: Found,
    /// The time of the batch under way, in nanoseconds since 1970.
    pub(super) now: i64,
    random: Option<StdRng>,
    log: LogAllowance,
}

impl GuestState {
    pub(super) fn new(
        filter: Arc<str>,
        limits: Limits,
        counts: Arc<FilterCounts>,
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
            limits: MemoryLimits::new(limits.memory),
            deadline: limits.deadline,
            ends: Instant::now(),
            counts,
            environment,
            shared_databases,
            configuring: false,
            databases,
            kernel_texts: KernelTexts::default(),
            patterns,
            found: Found::default(),
            now,
            random,
            log: LogAllowance::default(),
        }
    }

    /// For an instance that is only asked what it is.
    pub(super) fn for_description(databases: &Arc<Databases>) -> Self {
        GuestState::new(
            "describe".into(),
            Limits::default(),
            Arc::default(),
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

    /// Whether a message may be logged now, and how many were not since the last that was.
    pub(super) fn may_log(&mut self) -> Option<u64> {
        self.log.take(Instant::now())
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

/// What an instance may hold. All its memories count together.
pub(super) struct MemoryLimits {
    most: usize,
    used: usize,
    /// Whether more was asked for and refused; what the guest does then is to abort.
    pub(super) refused: bool,
}

/// The most elements of a table; a filter of a megabyte has about two thousand functions in one.
const MOST_TABLE_ELEMENTS: usize = 100_000;

impl MemoryLimits {
    fn new(most: u64) -> Self {
        MemoryLimits { most: usize::try_from(most).unwrap_or(usize::MAX), used: 0, refused: false }
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
        _maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        let used = self.used.saturating_add(desired.saturating_sub(current));
        if used > self.most {
            self.refused = true;
            return Ok(false);
        }
        self.used = used;
        Ok(true)
    }

    fn table_growing(
        &mut self,
        _current: usize,
        desired: usize,
        _maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        self.refused |= desired > MOST_TABLE_ELEMENTS;
        Ok(desired <= MOST_TABLE_ELEMENTS)
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

/// How much may be logged.
#[derive(Default)]
struct LogAllowance {
    window: Option<Instant>,
    written: u32,
    suppressed: u64,
}

impl LogAllowance {
    fn take(&mut self, now: Instant) -> Option<u64> {
        if self.window.is_none_or(|start| now.duration_since(start) >= LOG_WINDOW) {
            self.window = Some(now);
            self.written = 0;
        }
        if self.written >= MOST_MESSAGES {
            self.suppressed = self.suppressed.saturating_add(1);
            return None;
        }
        self.written += 1;
        Some(std::mem::take(&mut self.suppressed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_of_messages_is_cut() {
        let mut allowance = LogAllowance::default();
        let start = Instant::now();
        let written = (0..1000).filter(|_| allowance.take(start).is_some()).count();
        assert_eq!(written, MOST_MESSAGES as usize);
        assert_eq!(allowance.take(start + LOG_WINDOW), Some(1000 - u64::from(MOST_MESSAGES)));
    }

    #[test]
    fn memories_count_together() {
        let mut limits = MemoryLimits::new(10);
        assert!(limits.memory_growing(0, 4, None).expect("no error"));
        assert!(limits.memory_growing(0, 4, None).expect("no error"));
        assert!(!limits.refused);
        assert!(!limits.memory_growing(4, 7, None).expect("no error"));
        assert!(limits.refused);
        assert!(limits.memory_growing(4, 6, None).expect("no error"));
    }
}
