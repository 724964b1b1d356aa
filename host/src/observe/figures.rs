//! The figures of a pipeline as they are written in JSON: what `/status` and `weir status --format json` show. A reader of
//! another version finds defaults where something is missing.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::input::{Figure, FigureKind};
use crate::swapper::SwapFigures;

/// A pipeline at one moment. Times are RFC 3339.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct PipelineFigures {
    /// Its name.
    pub pipeline: String,
    /// `starting`, `running`, `stopping` or `ended`.
    pub stage: String,
    /// The version of Weir.
    pub version: String,
    /// The number of the process.
    pub process: u32,
    /// When it was started.
    pub started: String,
    /// How long ago that is.
    pub seconds: f64,
    /// Its events.
    pub events: Events,
    /// How long ago the oldest event was read that is not acknowledged; `None`: there is none.
    pub oldest_unacknowledged_seconds: Option<f64>,
    /// When a position was committed last.
    pub last_commit: Option<String>,
    /// How long ago that is.
    pub last_commit_seconds: Option<f64>,
    /// What is waited for; empty while all goes well.
    pub waiting: Vec<WaitFigures>,
    /// The inputs.
    pub inputs: Vec<InputFigures>,
    /// The filters, in the order of writing.
    pub filters: Vec<FilterFigures>,
    /// The branches, in the order of writing.
    pub branches: Vec<FilterFigures>,
    /// Changes of the filters since the process was started.
    pub swaps: SwapFigures,
    /// The outputs.
    pub outputs: Vec<OutputFigures>,
    /// Events set aside, by place and reason.
    pub dead_lettered: Vec<Left>,
    /// Events dropped by a rule, by place and reason.
    pub dropped: Vec<Left>,
    /// Dead letters that were removed again, unread, for want of room or for their age.
    pub dead_letters_removed: u64,
    /// What the process has in memory; `None` where the system does not say.
    pub resident_bytes: Option<u64>,
}

/// The events of a pipeline: `read` + `added` + `copied` = `delivered` + `dead_lettered` + `dropped` + `in_flight`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Events {
    /// Read.
    pub read: u64,
    /// Added by filters.
    pub added: u64,
    /// Taken by several outputs: once for each of these but the first.
    pub copied: u64,
    /// Stored, or found stored.
    pub delivered: u64,
    /// Set aside.
    pub dead_lettered: u64,
    /// Dropped by a rule of the user's.
    pub dropped: u64,
    /// On their way, counted where they are and not by what is missing.
    pub in_flight: i64,
    /// Whether the sum holds.
    pub balanced: bool,
    /// Read, with a position that is not in the ledger yet.
    pub unacknowledged: u64,
}

/// Something that is waited for.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct WaitFigures {
    /// Who waits: an output, `dead_letter`, or `ledger`.
    pub what: String,
    /// Since when.
    pub since: String,
    /// How long that is.
    pub seconds: f64,
    /// What went wrong at the last try.
    pub reason: String,
}

/// An input.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct InputFigures {
    /// Its name.
    pub name: String,
    /// Its `type`.
    #[serde(rename = "type")]
    pub kind: String,
    /// Events read.
    pub read: u64,
    /// What it counts beside.
    pub figures: Vec<InputFigure>,
    /// How many figures were too many.
    pub left_out: u64,
}

/// A number that an input counts.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct InputFigure {
    /// Its name.
    pub name: String,
    /// What it counts, as a sentence.
    pub help: String,
    /// Whether it only grows.
    pub grows: bool,
    /// What it is of.
    pub labels: BTreeMap<String, String>,
    /// The number.
    pub value: f64,
}

impl From<Figure> for InputFigure {
    fn from(figure: Figure) -> Self {
        InputFigure {
            name: figure.name.to_owned(),
            help: figure.help.to_owned(),
            grows: figure.kind == FigureKind::Counter,
            labels: figure.labels.into_iter().map(|(name, value)| (name.to_owned(), value)).collect(),
            value: figure.value,
        }
    }
}

/// A filter or branch.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct FilterFigures {
    /// Its id.
    pub id: String,
    /// What it is: a built-in's name, a file, or `branch`.
    #[serde(rename = "use")]
    pub used: String,
    /// The version that the component says it has.
    pub version: String,
    /// The component's SHA-256.
    pub digest: String,
    /// Since when this version runs.
    pub since: String,
    /// Events that entered.
    pub events: u64,
    /// On which it did its work; of a branch, those that took an arm.
    pub matched: u64,
    /// On which it did what it could, and said by tags what not.
    pub tagged: u64,
    /// On which it failed, or for which a condition could not be evaluated.
    pub failed: u64,
    /// Dropped.
    pub dropped: u64,
    /// Added.
    pub added: u64,
    /// Set aside.
    pub dead_lettered: u64,
    /// Events in whose company the guest broke, once none but them was left.
    pub broken: u64,
    /// How often the guest broke.
    pub breaks: u64,
    /// Time spent, of all workers together.
    pub seconds: f64,
    /// The same for an event.
    pub nanoseconds_per_event: Option<f64>,
    /// Failures and breaks by reason.
    pub reasons: BTreeMap<String, u64>,
    /// What the guest counts itself.
    pub counters: BTreeMap<String, u64>,
}

/// An output.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct OutputFigures {
    /// Its name.
    pub name: String,
    /// Its `type`.
    #[serde(rename = "type")]
    pub kind: String,
    /// Events stored, or found stored.
    pub delivered: u64,
    /// Events that it has and has not answered.
    pub in_flight: i64,
}

/// Events that left the way.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Left {
    /// The filter, branch or output.
    pub place: String,
    /// Why.
    pub reason: String,
    /// How many.
    pub events: u64,
}
