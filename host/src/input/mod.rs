//! Where events come from. An input makes batches of events, each with the position that says it was read; it retries by
//! itself, and what it says of a position is understood by nobody else.

use anyhow::Result;
use futures::future::BoxFuture;

use crate::event::Batch;
use crate::ledger::Position;

/// Events as an input read them, and what the ledger is to remember once all outputs have them.
pub struct Read {
    /// The events.
    pub events: Batch,
    /// What was read with them. May come with no events at all (an empty stretch of time was read).
    pub position: Position,
}

/// A source of batches.
pub trait Input: Send {
    /// The next batch; `None` at the end of a finite input, and soon after a stop was asked for. Waits when there is
    /// nothing to read. Must be safe to drop between polls only after `None`: the line polls one `next` to its end.
    ///
    /// # Errors
    /// Only when the input cannot go on by itself.
    fn next(&mut self) -> BoxFuture<'_, Result<Option<Read>>>;
}
