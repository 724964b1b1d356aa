//! What a running pipeline says of itself. [`Observed`] is filled while a pipeline is opened and driven; its
//! [`Observed::figures`] are what `weir status` (over `control`), `/status` and `/metrics` (over [`server`]) show.

mod figures;
pub mod metrics;
pub mod server;

use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, SystemTime};

use anyhow::{Context, Result};
use chrono::{DateTime, SecondsFormat, Utc};

use crate::assembly::Prepared;
use crate::config::{Component, FilterStep, Secrets};
use crate::counts::{ByReason, LineCounts};
use crate::filter::{ChainDefinition, FilterCounts};
use crate::input::InputCounters;
use crate::input::cloudwatch_logs::recorded::{self, Recorded, RecordedQuestion};
use crate::output::{DeadLetters, Waiting};
use crate::pipeline::Line;
use crate::swapper::Swapper;

pub use figures::{
    Events, FilterFigures, InputFigure, InputFigures, Left, OutputFigures, PipelineFigures, WaitFigures,
};

/// Figures with labels of their own that an input may have; what comes after these is left out, and counted.
const MOST_LABELLED: usize = 4000;

/// A pipeline as far as it can be looked at from outside.
pub struct Observed {
    name: String,
    started: SystemTime,
    stage: AtomicU8,
    inputs: Vec<(String, &'static str)>,
    outputs: Vec<(String, &'static str)>,
    counters: OnceLock<Vec<(String, Arc<InputCounters>)>>,
    /// The filters as they were at the start.
    chain: Arc<ChainDefinition>,
    swapper: OnceLock<Arc<Swapper>>,
    dead_letters: OnceLock<Vec<Arc<DeadLetters>>>,
    /// What is counted.
    pub counts: Arc<LineCounts>,
    /// What is waited for.
    pub waiting: Arc<Waiting>,
    secrets: Secrets,
}

/// How far a pipeline is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Its parts are being opened.
    Starting = 0,
    /// Events are on their way.
    Running = 1,
    /// It was asked to stop, and drains.
    Stopping = 2,
    /// It has ended.
    Ended = 3,
}

impl Stage {
    /// The word for it.
    pub fn word(self) -> &'static str {
        match self {
            Stage::Starting => "starting",
            Stage::Running => "running",
            Stage::Stopping => "stopping",
            Stage::Ended => "ended",
        }
    }
}

impl Observed {
    /// A pipeline that is about to be opened. `name` is its own among the pipelines of the process.
    pub fn new(name: String, prepared: &Prepared) -> Self {
        let config = &prepared.config;
        let inputs = config.inputs.iter().map(|input| (input.name.clone(), input.options.source.type_name()));
        let outputs = config.outputs.iter().map(|output| (output.name.clone(), output.options.type_name()));
        Observed {
            name,
            started: SystemTime::now(),
            stage: AtomicU8::new(Stage::Starting as u8),
            inputs: inputs.collect(),
            outputs: outputs.collect(),
            counters: OnceLock::new(),
            chain: prepared.chain.clone(),
            swapper: OnceLock::new(),
            dead_letters: OnceLock::new(),
            counts: Arc::default(),
            waiting: Arc::default(),
            secrets: config.secrets.clone(),
        }
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The pipeline is open: its inputs count from now on, and `swapper` changes its filters.
    pub fn opened(&self, line: &Line, swapper: Arc<Swapper>) {
        let _ = self.swapper.set(swapper);
        let _ = self.dead_letters.set(line.all_dead_letters());
        let counters = line.inputs.iter().map(|(name, input)| (name.clone(), input.counters()));
        // Only the first line counts; there is no second.
        let _ = self.counters.set(counters.collect());
        self.enter(Stage::Running);
    }

    /// What the ledger says of a log group. Blocks.
    ///
    /// # Errors
    /// When there is no such input, or the ledger cannot be read.
    pub fn recorded(&self, question: &RecordedQuestion) -> Result<Recorded> {
        let inputs = self.counters.get().into_iter().flatten();
        let input = inputs.into_iter().find(|(name, _)| *name == question.input);
        let counters = input.and_then(|(_, counters)| counters.cloudwatch_logs.as_ref());
        let ledger = counters.and_then(|counters| counters.ledger());
        let ledger = ledger.with_context(|| {
            format!(
                "the process that runs has no input {:?} of CloudWatch Logs: is it another pipeline's state_dir?",
                question.input
            )
        })?;
        recorded::recorded(&ledger, question)
    }

    /// The pipeline is at this stage now.
    pub fn enter(&self, stage: Stage) {
        // A stop that comes while the pipeline is opened stays one.
        self.stage.fetch_max(stage as u8, Ordering::Relaxed);
    }

    /// How far it is.
    pub fn stage(&self) -> Stage {
        match self.stage.load(Ordering::Relaxed) {
            0 => Stage::Starting,
            1 => Stage::Running,
            2 => Stage::Stopping,
            _ => Stage::Ended,
        }
    }

    /// The filters that run now.
    fn chain(&self) -> Arc<ChainDefinition> {
        match self.swapper.get() {
            Some(swapper) => swapper.chain().current().definition.clone(),
            None => self.chain.clone(),
        }
    }

    /// All figures as they are now. May read the ledger: not for a thread of the async runtime.
    pub fn figures(&self) -> PipelineFigures {
        let line = self.counts.figures();
        let now = SystemTime::now();
        let since = |time: SystemTime| now.duration_since(time).unwrap_or_default().as_secs_f64();
        let waiting = self.waiting.all().into_iter().map(|wait| WaitFigures {
            what: wait.name,
            since: rfc3339(wait.since),
            seconds: since(wait.since),
            reason: self.secrets.mask(&wait.reason).into_owned(),
        });
        let outputs = self.outputs.iter().map(|(name, kind)| OutputFigures {
            name: name.clone(),
            kind: (*kind).to_owned(),
            delivered: line.delivered.get(name).copied().unwrap_or(0),
            in_flight: line.at_outputs.get(name).copied().unwrap_or(0),
        });
        let chain = self.chain();
        let branches = chain.branches().iter();
        let branches = branches.map(|branch| self.filter(&branch.id, None, &branch.counts));
        PipelineFigures {
            pipeline: self.name.clone(),
            stage: self.stage().word().to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            process: std::process::id(),
            started: rfc3339(self.started),
            seconds: since(self.started),
            events: Events {
                read: line.read.values().sum(),
                added: line.added,
                copied: line.copied,
                delivered: line.delivered.values().sum(),
                dead_lettered: line.dead_lettered.values().sum(),
                dropped: line.dropped.values().sum(),
                in_flight: line.in_flight(),
                balanced: line.is_in_balance(),
                unacknowledged: line.unacknowledged,
            },
            oldest_unacknowledged_seconds: line.oldest_unacknowledged.map(|age| age.as_secs_f64()),
            last_commit: line.last_commit.map(rfc3339),
            last_commit_seconds: line.last_commit.map(since),
            waiting: waiting.collect(),
            inputs: self
                .inputs
                .iter()
                .map(|(name, kind)| self.input(name, kind, line.read.get(name).copied().unwrap_or(0)))
                .collect(),
            filters: self.filters(&chain),
            branches: branches.collect(),
            swaps: self.swapper.get().map(|swapper| swapper.figures()).unwrap_or_default(),
            outputs: outputs.collect(),
            dead_lettered: self.left(&line.dead_lettered),
            dropped: self.left(&line.dropped),
            dead_letters_removed: self
                .dead_letters
                .get()
                .into_iter()
                .flatten()
                .map(|letters| letters.removed())
                .sum(),
            resident_bytes: resident_bytes(),
        }
    }

    fn input(&self, name: &str, kind: &str, read: u64) -> InputFigures {
        let counters = self.counters.get().into_iter().flatten().find(|(other, _)| other == name);
        let mut figures = counters.map(|(_, counters)| counters.figures()).unwrap_or_default();
        let all = figures.len();
        let mut labelled = 0;
        figures.retain(|figure| {
            labelled += usize::from(!figure.labels.is_empty());
            figure.labels.is_empty() || labelled <= MOST_LABELLED
        });
        InputFigures {
            name: name.to_owned(),
            kind: kind.to_owned(),
            read,
            left_out: (all - figures.len()) as u64,
            figures: figures.into_iter().map(InputFigure::from).collect(),
        }
    }

    fn filters(&self, chain: &ChainDefinition) -> Vec<FilterFigures> {
        let described = chain.filters().iter().zip(&chain.source().filters);
        let figures = described.map(|(filter, step)| FilterFigures {
            used: used(step),
            version: filter.version().unwrap_or_default(),
            digest: filter.digest(),
            // A filter was configured before its pipeline was begun.
            since: rfc3339(filter.since.max(self.started)),
            ..self.filter(&filter.id, Some(()), &filter.counts)
        });
        figures.collect()
    }

    fn filter(&self, id: &str, is_filter: Option<()>, counts: &FilterCounts) -> FilterFigures {
        let read = |counter: &std::sync::atomic::AtomicU64| counter.load(Ordering::Relaxed);
        let masked = |map: std::collections::BTreeMap<String, u64>| {
            map.into_iter().map(|(name, count)| (self.secrets.mask(&name).into_owned(), count)).collect()
        };
        let events = read(&counts.events_in);
        let nanoseconds = read(&counts.nanoseconds);
        FilterFigures {
            id: id.to_owned(),
            used: if is_filter.is_some() { String::new() } else { "branch".to_owned() },
            events,
            matched: read(&counts.matched),
            tagged: read(&counts.tagged),
            failed: read(&counts.failed),
            dropped: read(&counts.dropped),
            added: read(&counts.added),
            dead_lettered: read(&counts.dead_lettered),
            broken: read(&counts.broken),
            breaks: read(&counts.breaks),
            seconds: Duration::from_nanos(nanoseconds).as_secs_f64(),
            nanoseconds_per_event: (events > 0).then(|| nanoseconds as f64 / events as f64),
            reasons: masked(counts.reasons()),
            counters: masked(counts.counters()),
            ..FilterFigures::default()
        }
    }

    fn left(&self, events: &ByReason) -> Vec<Left> {
        let left = events.iter().map(|((place, reason), events)| Left {
            place: place.clone(),
            reason: self.secrets.mask(reason).into_owned(),
            events: *events,
        });
        left.collect()
    }
}

/// What a filter's step names as its component.
fn used(step: &FilterStep) -> String {
    match &step.component {
        Component::BuiltIn(name) => name.clone(),
        Component::File(path) => path.display().to_string(),
    }
}

/// A time as the figures write it: UTC, whole seconds.
pub fn rfc3339(time: SystemTime) -> String {
    DateTime::<Utc>::from(time).to_rfc3339_opts(SecondsFormat::Secs, true)
}

/// What the process has in memory; `None` where the system does not say.
fn resident_bytes() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kibibytes.checked_mul(1024)
}
