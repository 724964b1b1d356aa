//! The chain of a running pipeline: batches take its current version when they are read, a new version is put in its place
//! between two batches, and one that breaks while it is watched is taken back.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context, Result, bail};
use arc_swap::ArcSwap;

use super::pauses::Pauses;
use super::recent::Recent;
use super::state::SavedState;
use super::turns::{Turn, Turns};
use super::version::{ChainVersion, lock};
use crate::event::{Batch, FieldNames};
use crate::filter::chain::{Chain, Processed};
use crate::filter::definition::{ChainDefinition, ConfiguredFilter};

/// Events of a version before its share of failures is looked at.
const FEWEST_EVENTS: u64 = 1000;

/// When a new version goes back to the one before it by itself.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct WatchRules {
    /// For how long it is watched.
    pub watch: Duration,
    /// By how much the share of events on which a filter fails may be above that of the version before, 0 to 1.
    pub failure_rate: f64,
}

impl Default for WatchRules {
    fn default() -> Self {
        WatchRules { watch: Duration::from_secs(3600), failure_rate: 0.1 }
    }
}

/// The chain of a running pipeline.
pub struct SwappableChain {
    current: ArcSwap<ChainVersion>,
    turns: Arc<Turns>,
    workers: usize,
    pub(super) recent: Recent,
    /// How long batches waited because of swaps.
    pub pauses: Pauses,
    swaps: AtomicU64,
    returns: AtomicU64,
    last_return: Mutex<Option<(SystemTime, String)>>,
}

/// A batch's place in the order of reading, and the version that filters it.
pub struct Assigned {
    turn: Turn,
    version: Arc<ChainVersion>,
}

/// What came of putting a version in its place.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Switched {
    /// Stateful filters whose state went over.
    pub carried: Vec<String>,
    /// Filters whose state is lost, since the instance before did not give it, and why.
    pub lost: Vec<String>,
}

impl SwappableChain {
    /// The chain with its first version. `states` is what its stateful filters kept in an earlier run; one that does not
    /// take it begins anew, which is logged.
    ///
    /// # Errors
    /// When a guest does not start.
    pub fn start(
        definition: Arc<ChainDefinition>,
        names: Arc<FieldNames>,
        workers: usize,
        states: &[SavedState],
    ) -> Result<Self> {
        let version = ChainVersion::start(definition, names, workers)?;
        if !states.is_empty() {
            let mut chain = version.take()?;
            for reason in chain.restore(states).err().unwrap_or_default() {
                tracing::warn!("what a filter kept over the stop is lost, it begins anew: {reason}");
            }
            version.put(chain);
        }
        Ok(SwappableChain {
            current: ArcSwap::from_pointee(version),
            turns: Arc::default(),
            workers: workers.max(1),
            recent: Recent::default(),
            pauses: Pauses::default(),
            swaps: AtomicU64::new(0),
            returns: AtomicU64::new(0),
            last_return: Mutex::default(),
        })
    }

    /// The version that the next batch gets.
    pub fn current(&self) -> Arc<ChainVersion> {
        self.current.load_full()
    }

    /// Batches that may be filtered at the same time.
    pub fn workers(&self) -> usize {
        self.workers
    }

    /// Versions that were put in place, and how many of these were taken back by themselves.
    pub fn swaps_and_returns(&self) -> (u64, u64) {
        (self.swaps.load(Ordering::Relaxed), self.returns.load(Ordering::Relaxed))
    }

    /// When a version was taken back last, and why.
    pub fn last_return(&self) -> Option<(SystemTime, String)> {
        lock(&self.last_return).clone()
    }

    /// Takes the next place in the order of reading. To be called for each batch, in that order.
    pub fn assign(&self) -> Assigned {
        let (turn, version) = self.turns.take(|| self.current.load_full());
        Assigned { turn, version }
    }

    /// Passes a batch through the version that it was assigned to. Blocks; runs guests.
    ///
    /// # Errors
    /// As [`Chain::process`].
    pub fn process(&self, assigned: Assigned, mut batch: Batch) -> Result<Processed> {
        let Assigned { turn, version } = assigned;
        self.recent.offer(&batch);
        let version = ready(&version, &turn);
        let started = Instant::now();
        let mut chain = version.take()?;
        version.adopt(&mut batch);
        let first = version
            .first_batches
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1));
        if first.is_ok() {
            self.pauses.record(started.elapsed());
        }
        let processed = match version.watched_before() {
            Some(before) => self.process_watched(&version, &before, &mut chain, batch, &turn),
            None => chain.process(batch),
        };
        version.put(chain);
        processed
    }

    /// A batch that breaks the version runs again with the one before; if that does better, the version is taken back.
    fn process_watched(
        &self,
        version: &Arc<ChainVersion>,
        before: &Arc<ChainVersion>,
        chain: &mut Chain,
        batch: Batch,
        turn: &Turn,
    ) -> Result<Processed> {
        let copy = batch.clone();
        let rules = rules_of(version);
        let error = match chain.try_process(batch, |chain| check_failures(chain, before, rules.failure_rate))
        {
            Ok(processed) => {
                if version.definition.is_stateful() {
                    let (states, _) = chain.save();
                    *lock(&version.checkpoint) = Some(states);
                }
                return Ok(processed);
            }
            Err(error) => error,
        };
        let failures = error.downcast_ref::<TooManyFailures>().cloned();
        match run_before(version, before, &copy, turn, failures.as_ref()) {
            Ok(processed) => {
                self.take_back(version, before, &format!("{error:#}"));
                Ok(processed)
            }
            Err(again) => {
                tracing::warn!(
                    "a new version of the filters stays, since the one before does no better: {error:#}; {again:#}"
                );
                if failures.is_some() {
                    // What comes is of another kind than before: the shares say nothing of the version.
                    *lock(&version.rules) = WatchRules { failure_rate: 1.0, ..rules };
                }
                if let Some(states) = lock(&version.checkpoint).clone() {
                    // What the aborted try did to the filters' states is undone.
                    let _ = chain.restore(&states);
                }
                chain.process(copy)
            }
        }
    }

    /// The version before stands in place of this one from now on, for the batches too that were assigned to it.
    fn take_back(&self, version: &Arc<ChainVersion>, before: &Arc<ChainVersion>, reason: &str) {
        let is_first = self.turns.between(|| {
            if Arc::ptr_eq(&self.current.load(), version) {
                self.current.store(before.clone());
            }
            version.instead.set(before.clone()).is_ok()
        });
        if is_first {
            self.returns.fetch_add(1, Ordering::Relaxed);
            *lock(&self.last_return) = Some((SystemTime::now(), reason.to_owned()));
            tracing::warn!(
                version = version.number,
                before = before.number,
                "the version before of the filters is back, no event was lost: {reason}"
            );
        }
    }

    /// Puts a version in the place of `current`, upon which it was built. It goes back by itself by `rules`; `None`: it does
    /// not. Where both keep state, this waits for the batches before, and the state goes over. Blocks.
    ///
    /// # Errors
    /// When `current` is that no longer, and when a filter does not take the state of its version before; all is as it was
    /// then.
    pub fn switch(
        &self,
        current: &Arc<ChainVersion>,
        next: &Arc<ChainVersion>,
        rules: Option<WatchRules>,
    ) -> Result<Switched> {
        if next.instead.get().is_some() {
            bail!("this version was taken back");
        }
        next.first_batches.store(u32::try_from(self.workers).unwrap_or(u32::MAX), Ordering::Relaxed);
        *lock(&next.watched_until) = rules.map(|rules| Instant::now() + rules.watch);
        *lock(&next.rules) = rules.unwrap_or_default();
        *lock(&next.checkpoint) = None;
        let older = lock(&current.before).take();
        *lock(&next.before) = Some(current.clone());
        let (turn, is_current) = self.turns.take(|| {
            let is_current = Arc::ptr_eq(&self.current.load(), current);
            if is_current {
                self.current.store(next.clone());
            }
            is_current
        });
        if !is_current {
            *lock(&current.before) = older;
            *lock(&next.before) = None;
            bail!("the filters were changed meanwhile; try again");
        }
        let mut switched = Switched::default();
        if next.definition.is_stateful() {
            turn.wait();
            let started = Instant::now();
            match carry(&current.standing(), next) {
                Ok(carried) => switched = carried,
                Err(reasons) => {
                    let before = current.standing();
                    self.turns.between(|| {
                        if Arc::ptr_eq(&self.current.load(), next) {
                            self.current.store(before.clone());
                        }
                        let _ = next.instead.set(before);
                    });
                    *lock(&current.before) = older;
                    bail!("the state of the version before is not taken: {}", reasons.join("; "));
                }
            }
            self.pauses.record(started.elapsed());
        }
        drop(turn);
        self.swaps.fetch_add(1, Ordering::Relaxed);
        Ok(switched)
    }

    /// What the stateful filters keep once the last batch is done. Blocks.
    ///
    /// # Errors
    /// When the instances cannot be had.
    pub fn final_states(&self) -> Result<Vec<SavedState>> {
        let (turn, version) = self.turns.take(|| self.current.load_full());
        turn.wait();
        let version = version.standing();
        if !version.definition.is_stateful() {
            return Ok(Vec::new());
        }
        let mut chain = version.take().context("the filters cannot be asked for what they keep")?;
        let (states, lost) = chain.save();
        version.put(chain);
        for reason in lost {
            tracing::warn!("what a filter keeps is lost over the stop: {reason}");
        }
        Ok(states)
    }
}

/// The version that stands for `version`, once it is this batch's turn if it keeps state.
fn ready(version: &Arc<ChainVersion>, turn: &Turn) -> Arc<ChainVersion> {
    let standing = version.standing();
    if !standing.definition.is_stateful() {
        return standing;
    }
    turn.wait();
    // It may have been taken back meanwhile. Whatever stands now, all batches before are done.
    version.standing()
}

/// The same batch with the version before. An error: it does no better.
fn run_before(
    version: &ChainVersion,
    before: &ChainVersion,
    batch: &Batch,
    turn: &Turn,
    failures: Option<&TooManyFailures>,
) -> Result<Processed> {
    if before.definition.is_stateful() {
        turn.wait();
    }
    let mut chain = before.take()?;
    if let Some(states) = lock(&version.checkpoint).as_ref() {
        for reason in chain.restore(states).err().unwrap_or_default() {
            tracing::warn!("what a filter kept is lost on the way back to its version before: {reason}");
        }
    }
    let mut batch = batch.clone();
    before.adopt(&mut batch);
    let does_better = |chain: &Chain| match failures {
        Some(failures) => {
            let failed =
                chain.filters().find(|filter| filter.id == failures.filter).map_or(0, batch_failures);
            if failed >= failures.failed {
                bail!(
                    "filter {} fails on as many events of this batch in the version before",
                    failures.filter
                );
            }
            Ok(())
        }
        None => Ok(()),
    };
    let processed = chain.try_process(batch, does_better);
    before.put(chain);
    processed
}

/// The states of the old version's filters, given to the new one's.
fn carry(from: &ChainVersion, to: &ChainVersion) -> Result<Switched, Vec<String>> {
    let failed = |error: anyhow::Error| vec![format!("{error:#}")];
    let mut switched = Switched::default();
    let mut states = Vec::new();
    if from.definition.is_stateful() {
        let mut chain = from.take().map_err(failed)?;
        (states, switched.lost) = chain.save();
        from.put(chain);
    }
    let mut chain = to.take().map_err(failed)?;
    let restored = chain.restore(&states);
    to.put(chain);
    restored?;
    let stateful =
        |id: &str| to.definition.filters().iter().any(|filter| filter.stateful && *filter.id == *id);
    switched.carried = states.into_iter().map(|saved| saved.filter).filter(|id| stateful(id)).collect();
    Ok(switched)
}

/// A filter fails on more events than its version before did.
#[derive(Clone, Debug)]
struct TooManyFailures {
    filter: Arc<str>,
    /// In the batch with which it was too many.
    failed: u64,
    share: f64,
    share_before: f64,
}

impl std::fmt::Display for TooManyFailures {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (filter, share, before) = (&self.filter, self.share * 100.0, self.share_before * 100.0);
        write!(f, "filter {filter} fails on {share:.1} % of its events, its version before on {before:.1} %")
    }
}

impl std::error::Error for TooManyFailures {}

fn rules_of(version: &ChainVersion) -> WatchRules {
    *lock(&version.rules)
}

fn batch_failures(filter: &Arc<ConfiguredFilter>) -> u64 {
    filter.counts.failed.load(Ordering::Relaxed)
}

/// Compares the share of failures of each filter, the batch under way included, with that of the version before.
fn check_failures(chain: &Chain, before: &ChainVersion, most: f64) -> Result<()> {
    let share = |failed: u64, events: u64| failed as f64 / events.max(1) as f64;
    for filter in chain.filters() {
        let failed = batch_failures(filter);
        if failed == 0 {
            continue;
        }
        // Other workers add to the counts of the versions meanwhile, a batch at a time.
        let (of_version, failed_before) = filter.version_counts.entered_and_failed();
        let events = of_version + filter.counts.events_in.load(Ordering::Relaxed);
        let all_failed = failed_before + failed;
        let earlier = before.definition.filters().iter().find(|other| other.id == filter.id);
        let Some(earlier) = earlier.map(|earlier| &earlier.version_counts) else { continue };
        let (earlier_events, earlier_failed) = earlier.entered_and_failed();
        if events < FEWEST_EVENTS || earlier_events < FEWEST_EVENTS {
            continue;
        }
        let share_before = share(earlier_failed, earlier_events);
        let share = share(all_failed, events);
        if share > share_before + most {
            return Err(TooManyFailures { filter: filter.id.clone(), failed, share, share_before }.into());
        }
    }
    Ok(())
}
