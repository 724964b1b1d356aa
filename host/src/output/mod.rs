//! Where events go. An output answers when every event of a batch has been stored, set aside or dropped by a rule of the
//! user's; it retries by itself until then.

use std::sync::Arc;

use anyhow::Result;
use futures::future::BoxFuture;

use crate::event::Batch;

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

/// A destination of batches. Several `send`s may be under way at once.
pub trait Output: Send + Sync {
    /// Delivers a batch. Answers when nothing of it is open any more.
    ///
    /// # Errors
    /// Only when the output cannot go on by itself; nothing of the batch is then acknowledged.
    fn send(&self, events: Arc<Batch>) -> BoxFuture<'_, Result<Delivery>>;

    /// After the last batch: what is buffered goes to disk.
    ///
    /// # Errors
    /// When that fails.
    fn close(&self) -> BoxFuture<'_, Result<()>>;
}
