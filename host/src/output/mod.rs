//! Where events go. An output answers when every event of a batch has been stored, set aside or dropped by a rule of the
//! user's; it retries by itself until then. How often a batch is tried, and in which order, is left to the line.

use std::fmt;
use std::sync::Arc;

use anyhow::Result;
use futures::future::BoxFuture;
use tokio_util::sync::CancellationToken;

use crate::config::OutputOptions;
use crate::event::Batch;

pub mod dead_letter;
pub mod retry;
mod rubydebug;
pub mod stdout;

pub use dead_letter::{DeadLetter, DeadLetters};
pub use retry::{NotAcknowledged, RetryWaits, Waiting};

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
    /// Cancelled when the line drains: a try that is under way is finished, no wait for another is begun, and what is
    /// then open is answered with [`NotAcknowledged`].
    pub stop: CancellationToken,
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
        OutputOptions::Stdout(options) => stdout::open(options, context),
    }
}
