//! One worker's instances of a pipeline's filters, and the way of a batch through them.

use std::sync::Arc;

use anyhow::Result;

use crate::event::Batch;

/// The filters of one worker. Calls run guests and may take as long as their deadlines allow: not for a thread of the
/// async runtime.
pub struct Chain {}

/// What became of a batch.
#[derive(Debug)]
pub struct Processed {
    /// The events that go on, in order; events that a filter added stand at the end.
    pub batch: Batch,
    /// Events set aside by `on_error` or `on_trap`.
    pub dead_letters: Vec<SetAside>,
    /// How many events left by the rule of a filter or by `on_error` or `on_trap`.
    pub dropped: u64,
}

/// Events set aside by a filter, as they entered it.
#[derive(Debug)]
pub struct SetAside {
    /// The filter's id.
    pub filter: Arc<str>,
    /// Why.
    pub reason: String,
    /// The events.
    pub events: Batch,
}

impl Chain {
    /// Passes a batch through all filters.
    ///
    /// # Errors
    /// When a step's `on_error` or `on_trap` says `"stop"`, or a guest cannot be started anew. Nothing of the batch may
    /// then be acknowledged.
    pub fn process(&mut self, batch: Batch) -> Result<Processed> {
        Ok(Processed { batch, dead_letters: Vec::new(), dropped: 0 })
    }
}
