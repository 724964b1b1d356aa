//! A pipeline's filters, loaded and configured: all that workers share. Every problem of every filter is found in one go.

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Result, bail};

use super::chain::Chain;
use super::counts::FilterCounts;
use super::engine::Engine;
use crate::config::FilterStep;
use crate::event::{FieldNames, FieldReference};

/// Where filters take the time from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Clock {
    /// The machine's clock, once a batch.
    #[default]
    System,
    /// Always this time, in nanoseconds since 1970.
    Fixed(i64),
}

/// Where filters take random bytes from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Randomness {
    /// The machine's generator.
    #[default]
    System,
    /// The same bytes in every run.
    Seeded(u64),
}

/// What a pipeline says for all of its filters.
#[derive(Clone, Debug)]
pub struct ChainEnvironment {
    /// The time zone of filters whose own option does not say one.
    pub timezone: String,
    /// The same for the locale.
    pub locale: String,
    /// The same for ECS: `disabled`, `v1` or `v8`.
    pub ecs_compatibility: String,
    /// What relative paths in a guest's options are relative to: the pipeline file's folder.
    pub folder: PathBuf,
    /// Address databases that are no files, by the names that options use instead of a path (`demo:addresses`).
    pub databases: Vec<(String, &'static [u8])>,
    /// The time.
    pub clock: Clock,
    /// Random bytes.
    pub randomness: Randomness,
}

impl Default for ChainEnvironment {
    fn default() -> Self {
        ChainEnvironment {
            timezone: "UTC".to_owned(),
            locale: "en".to_owned(),
            ecs_compatibility: "disabled".to_owned(),
            folder: PathBuf::from("."),
            databases: Vec::new(),
            clock: Clock::System,
            randomness: Randomness::System,
        }
    }
}

/// Something wrong with a filter step, found while the chain was built.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FilterProblem {
    /// Which of the steps, from 0.
    pub step: usize,
    /// A JSON pointer into the step's options, those of the host included (`/use`, `/add_field/type`); empty for the
    /// step as a whole.
    pub pointer: String,
    /// What is wrong.
    pub message: String,
    /// What to do; may be empty.
    pub fix: String,
}

/// One filter of a chain, loaded and configured.
#[derive(Debug)]
pub struct ConfiguredFilter {
    /// The step's id.
    pub id: Arc<str>,
    /// The fields that it reads.
    pub reads: Vec<FieldReference>,
    /// The fields that it writes.
    pub writes: Vec<FieldReference>,
    /// Whether it may read or write fields that it cannot name beforehand.
    pub everything: bool,
    /// Whether it keeps something from event to event.
    pub stateful: bool,
    /// Its figures, of all workers together.
    pub counts: Arc<FilterCounts>,
}

/// The filters of a pipeline, ready for any number of workers.
#[derive(Debug)]
pub struct ChainDefinition {
    filters: Vec<Arc<ConfiguredFilter>>,
}

impl ChainDefinition {
    /// Loads and configures the filters of `steps`. The names of all fields that they read or write are added to
    /// `names`, the table that all batches of the pipeline begin with.
    ///
    /// # Errors
    /// Every problem of every step. A step's guest is only asked about its options when it could be loaded.
    pub fn build(
        _engine: &Engine,
        steps: &[FilterStep],
        _environment: &ChainEnvironment,
        _names: &mut FieldNames,
    ) -> Result<Self, Vec<FilterProblem>> {
        let follows = |step| FilterProblem {
            step,
            pointer: "/use".to_owned(),
            message: "the engine follows in the next commit".to_owned(),
            fix: String::new(),
        };
        if steps.is_empty() {
            return Ok(ChainDefinition { filters: Vec::new() });
        }
        Err((0..steps.len()).map(follows).collect())
    }

    /// The filters, in order.
    pub fn filters(&self) -> &[Arc<ConfiguredFilter>] {
        &self.filters
    }

    /// Whether one worker must see all batches in order.
    pub fn is_stateful(&self) -> bool {
        self.filters.iter().any(|filter| filter.stateful)
    }

    /// The instances of one worker.
    ///
    /// # Errors
    /// When a guest that could be configured before now cannot.
    pub fn start(self: &Arc<Self>) -> Result<Chain> {
        if !self.filters.is_empty() {
            bail!("the engine follows in the next commit");
        }
        Ok(Chain {})
    }
}
