//! Where events go. An output answers when every event of a batch has been stored, set aside or dropped by a rule of the
//! user's; it retries by itself until then. How often a batch is tried, and in which order, is left to the line.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use anyhow::Result;
use chrono::Utc;
use futures::future::BoxFuture;
use tokio_util::sync::CancellationToken;

use crate::config::OutputOptions;
use crate::counts::{LineCounts, reason_word};
use crate::event::{Batch, Documents};

pub mod dead_letter;
pub mod elasticsearch;
pub mod file;
#[cfg(test)]
mod file_tests;
mod preview;
pub mod retry;
mod rubydebug;
pub mod stdout;
mod text;
mod turns;

pub use dead_letter::{DeadLetter, DeadLetters};
pub use preview::{Rendered, preview};
pub use retry::{NotAcknowledged, RetryWaits, Wait, Waiting};

/// What became of a batch's events.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Delivery {
    /// Stored, or found stored by an earlier try.
    pub delivered: u64,
    /// Written to the dead letters, with the reason.
    pub dead_lettered: u64,
    /// Dropped by a rule that the user wrote.
    pub dropped: u64,
}

impl std::ops::AddAssign for Delivery {
    fn add_assign(&mut self, other: Delivery) {
        self.delivered += other.delivered;
        self.dead_lettered += other.dead_lettered;
        self.dropped += other.dropped;
    }
}

/// What an output is given when it is opened, beside its options.
#[derive(Clone)]
pub struct OutputContext {
    /// What it is called in logs and dead letters: its `id`, or its type and number (`elasticsearch#1`).
    pub name: String,
    /// The pipeline's name.
    pub pipeline: String,
    /// Where events go that can never be stored.
    pub dead_letters: Arc<DeadLetters>,
    /// What is waited for at present, for `weir status`.
    pub waiting: Arc<Waiting>,
    /// Where what does not arrive is counted, with its reason.
    pub counts: Arc<LineCounts>,
    /// Cancelled when the line no longer waits: what is not stored by then is answered with [`NotAcknowledged`].
    pub stop: CancellationToken,
}

impl OutputContext {
    /// Counts events that a rule of the user's takes out. The answer of [`Output::send`] has them in `dropped`.
    pub fn count_dropped(&self, reason: &str, events: u64) {
        self.counts.left_at_output(&self.name, reason, events, false);
    }

    /// Makes dead letters of events, by row and reason, with all that they hold. They are on disk when this answers.
    ///
    /// # Errors
    /// [`NotAcknowledged`] when a stop was asked for while it waited.
    pub async fn set_aside(&self, events: &Arc<Batch>, rejected: Vec<(usize, String)>) -> Result<Delivery> {
        let Some((_, first_reason)) = rejected.first() else { return Ok(Delivery::default()) };
        let what = if self.dead_letters.is_off() { "dropped" } else { "set aside as dead letters" };
        tracing::warn!(
            output = self.name,
            events = rejected.len(),
            "events {what}; the first one: {first_reason}"
        );
        let time = Utc::now().timestamp_nanos_opt().unwrap_or_default();
        let mut letters = Vec::with_capacity(rejected.len());
        let mut by_reason = BTreeMap::<String, u64>::new();
        {
            let mut documents = Documents::with_metadata(events);
            for (row, reason) in rejected {
                let (plugin, identity) = (self.name.clone(), events.identity(row));
                *by_reason.entry(reason_word(&reason)).or_default() += 1;
                letters.push(DeadLetter { time, plugin, reason, identity, event: documents.text(row) });
            }
        }
        let written = self.dead_letters.write(letters).await?;
        for (reason, events) in by_reason {
            self.counts.left_at_output(&self.name, &reason, events, written.dropped == 0);
        }
        Ok(written)
    }
}

/// The error of an output whose reader went away (`weir … | head`): the run ends quietly.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OutputGone;

impl fmt::Display for OutputGone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the reader of stdout went away")
    }
}

impl std::error::Error for OutputGone {}

/// A destination of batches. Several `send`s may be under way at once.
pub trait Output: Send + Sync {
    /// Delivers a batch. Answers when nothing of it is open any more.
    ///
    /// # Errors
    /// Only when the output cannot go on by itself; nothing of the batch is then acknowledged. [`NotAcknowledged`]: a
    /// stop came before the batch was stored.
    fn send(&self, events: Arc<Batch>) -> BoxFuture<'_, Result<Delivery>>;

    /// After the last batch: what is buffered goes to disk.
    ///
    /// # Errors
    /// When that fails.
    fn close(&self) -> BoxFuture<'_, Result<()>>;
}

/// Opens an output.
///
/// # Errors
/// When it cannot begin; an output whose server cannot be reached waits instead.
pub async fn open(options: OutputOptions, context: OutputContext) -> Result<Box<dyn Output>> {
    match options {
        OutputOptions::Elasticsearch(options) => elasticsearch::open(*options, context).await,
        OutputOptions::File(options) => file::open(*options, context),
        OutputOptions::Stdout(options) => stdout::open(options, context),
    }
}
