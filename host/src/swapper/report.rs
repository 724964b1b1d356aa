//! What is asked of a swap, what came of it, and what `weir status` shows of swaps. As JSON it crosses the socket in the
//! `state_dir`; a reader of another version finds defaults where something is missing.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::filter::swap::ShadowReport;

/// One filter's component, or its options too, is to be another.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SwapRequest {
    /// The filter's id.
    pub filter: String,
    /// The component: a file's whole path, or the name of a built-in filter.
    pub component: String,
    /// A TOML file with all that the filter's step says but `use` and `id`; `None`: what it says now stays.
    pub options: Option<PathBuf>,
    /// A folder of cases, in place of the component's own.
    pub cases: Option<PathBuf>,
    /// Batches of the shadow run; `None`: as the pipeline file says.
    pub shadow: Option<usize>,
    /// How long it waits for them, in milliseconds.
    pub shadow_limit: Option<u64>,
}

/// A change that came to its end.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct SwapOutcome {
    /// What was done, as a sentence.
    pub done: String,
    /// Filters that were changed, by their ids.
    pub changed: Vec<ChangedFilter>,
    /// Cases that passed.
    pub cases: usize,
    /// What the shadow run found; `None`: there was none.
    pub shadow: Option<ShadowReport>,
    /// Stateful filters whose state went over.
    pub carried: Vec<String>,
    /// Stateful filters whose state is lost, and why.
    pub lost: Vec<String>,
    /// What is allowed and can hardly be meant.
    pub warnings: Vec<String>,
    /// How long it took.
    pub seconds: f64,
}

/// A filter that is another now.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ChangedFilter {
    /// Its id.
    pub id: String,
    /// The version that its component says it has; empty if the filter is gone.
    pub version: String,
    /// The component's SHA-256.
    pub digest: String,
}

/// What there is to say of a pipeline's swaps.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct SwapFigures {
    /// Versions that were put in place.
    pub swaps: u64,
    /// Changes that were refused.
    pub refused: u64,
    /// Versions that were taken back by themselves.
    pub returns: u64,
    /// What a running change does; `None`: there is none.
    pub running: Option<String>,
    /// How the last change ended, or that its version was taken back.
    pub last: Option<LastSwap>,
    /// Whether a version before is kept.
    pub can_go_back: bool,
    /// Batches that may have waited because of a swap.
    pub pauses: u64,
    /// How long 99 of 100 of these waited at most, in seconds.
    pub pause_99_seconds: f64,
    /// The longest wait.
    pub pause_longest_seconds: f64,
}

/// The end of a change.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct LastSwap {
    /// When, RFC 3339.
    pub time: String,
    /// `swapped`, `refused` or `taken back`.
    pub ended: String,
    /// What was done, or why not.
    pub text: String,
}
