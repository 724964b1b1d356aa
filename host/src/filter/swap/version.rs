//! One version of a running pipeline's chain: how it is built, the instances of all workers, and the version to go back to.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Instant, SystemTime};

use anyhow::Result;

use super::live::WatchRules;
use super::state::SavedState;
use crate::event::{Batch, FieldNames};
use crate::filter::chain::Chain;
use crate::filter::definition::ChainDefinition;

/// Versions of all chains of the process have numbers of their own.
static NEXT_NUMBER: AtomicU64 = AtomicU64::new(1);

/// A version of a chain, whole: instances for every worker are there.
pub struct ChainVersion {
    /// Its number, in the order of building, among all of the process.
    pub number: u64,
    /// Its filters.
    pub definition: Arc<ChainDefinition>,
    /// The names that its batches begin with.
    pub names: Arc<FieldNames>,
    /// When it was built.
    pub since: SystemTime,
    chains: Mutex<Vec<Chain>>,
    /// The table that a batch with another one was brought to last, and its own.
    adopted: Mutex<Option<(Arc<FieldNames>, Arc<FieldNames>)>>,
    /// Batches whose wait for this version is still to be recorded: the first of each worker.
    pub(super) first_batches: AtomicU32,
    /// The version before.
    pub(super) before: Mutex<Option<Arc<ChainVersion>>>,
    /// Until when it goes back to the version before when it breaks.
    pub(super) watched_until: Mutex<Option<Instant>>,
    /// By which rules.
    pub(super) rules: Mutex<WatchRules>,
    /// The version that runs in its place, since it was taken back.
    pub(super) instead: OnceLock<Arc<ChainVersion>>,
    /// What its stateful filters kept after the last whole batch; written while it is watched.
    pub(super) checkpoint: Mutex<Option<Vec<SavedState>>>,
}

impl ChainVersion {
    /// Makes the instances of `workers` workers; one in all for a chain that keeps state.
    ///
    /// # Errors
    /// When a guest does not start.
    pub fn start(definition: Arc<ChainDefinition>, names: Arc<FieldNames>, workers: usize) -> Result<Self> {
        let workers = if definition.is_stateful() { 1 } else { workers.max(1) };
        let chains = (0..workers).map(|_| definition.start()).collect::<Result<Vec<_>>>()?;
        Ok(ChainVersion {
            number: NEXT_NUMBER.fetch_add(1, Ordering::Relaxed),
            definition,
            names,
            since: SystemTime::now(),
            chains: Mutex::new(chains),
            adopted: Mutex::default(),
            first_batches: AtomicU32::new(0),
            before: Mutex::default(),
            watched_until: Mutex::default(),
            rules: Mutex::default(),
            instead: OnceLock::new(),
            checkpoint: Mutex::default(),
        })
    }

    /// The version that runs for this one: itself, unless it was taken back.
    pub(super) fn standing(self: &Arc<Self>) -> Arc<ChainVersion> {
        let mut version = self;
        while let Some(instead) = version.instead.get() {
            version = instead;
        }
        version.clone()
    }

    /// The instances of a worker; a new one where all are in use.
    pub(super) fn take(&self) -> Result<Chain> {
        match lock(&self.chains).pop() {
            Some(chain) => Ok(chain),
            None => self.definition.start(),
        }
    }

    /// Gives instances back.
    pub(super) fn put(&self, chain: Chain) {
        lock(&self.chains).push(chain);
    }

    /// Brings a batch to the names of this version.
    pub(super) fn adopt(&self, batch: &mut Batch) {
        let own = batch.shared_names();
        if Arc::ptr_eq(own, &self.names) || own.begins_with(&self.names) {
            return;
        }
        let before = own.clone();
        let prepared = lock(&self.adopted).clone();
        let prepared = prepared.filter(|(from, _)| Arc::ptr_eq(from, &before)).map(|(_, to)| to);
        batch.adopt_names(&self.names, prepared.as_ref());
        if prepared.is_none() {
            *lock(&self.adopted) = Some((before, batch.shared_names().clone()));
        }
    }

    /// The version to go back to, while this one is watched.
    pub(super) fn watched_before(&self) -> Option<Arc<ChainVersion>> {
        let until = (*lock(&self.watched_until))?;
        if Instant::now() >= until {
            *lock(&self.watched_until) = None;
            return None;
        }
        self.before()
    }

    /// The version before, if it is kept.
    pub fn before(&self) -> Option<Arc<ChainVersion>> {
        lock(&self.before).as_ref().map(ChainVersion::standing)
    }
}

pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
