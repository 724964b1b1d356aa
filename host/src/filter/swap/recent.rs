//! Copies of batches as they enter the chain, for those who try a new version beside the line: the last ones, kept for when
//! nothing comes, and a tap of what comes. The line never waits for either.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::event::{Batch, Cell};

/// Batches that are kept.
const MOST_KEPT: usize = 8;

/// Bytes of all kept batches together; a larger batch is not kept.
const MOST_BYTES: usize = 16 << 20;

/// One batch is kept in so long: copying each would cost the line.
const KEEP_EVERY: Duration = Duration::from_secs(1);

/// Batches that wait in a tap; what comes while it is full is not tried.
const TAP_LENGTH: usize = 2;

/// The copies of one chain.
#[derive(Default)]
pub(super) struct Recent {
    kept: Mutex<Kept>,
    is_tapped: AtomicBool,
    tap: Mutex<Option<SyncSender<Batch>>>,
}

#[derive(Default)]
struct Kept {
    batches: VecDeque<(Batch, usize)>,
    bytes: usize,
    last: Option<Instant>,
}

impl Recent {
    /// Copies a batch if somebody wants it, or the last was kept long ago.
    pub(super) fn offer(&self, batch: &Batch) {
        if batch.rows() == 0 {
            return;
        }
        if self.is_tapped.load(Ordering::Relaxed)
            && let Ok(tap) = self.tap.try_lock()
            && let Some(tap) = &*tap
        {
            // Full or gone: then not this one.
            let _ = tap.try_send(batch.clone());
        }
        let Ok(mut kept) = self.kept.try_lock() else { return };
        if kept.last.is_none_or(|last| last.elapsed() >= KEEP_EVERY) {
            kept.last = Some(Instant::now());
            kept.keep(batch);
        }
    }

    /// The kept batches, the newest first.
    pub(super) fn kept(&self) -> Vec<Batch> {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.batches.iter().rev().map(|(batch, _)| batch.clone()).collect()
    }

    /// Opens the tap. There is one: an earlier one ends.
    pub(super) fn tap(&self) -> Receiver<Batch> {
        let (sender, receiver) = sync_channel(TAP_LENGTH);
        *self.tap.lock().unwrap_or_else(PoisonError::into_inner) = Some(sender);
        self.is_tapped.store(true, Ordering::Relaxed);
        receiver
    }

    /// Closes the tap.
    pub(super) fn close_tap(&self) {
        self.is_tapped.store(false, Ordering::Relaxed);
        *self.tap.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }
}

impl Kept {
    fn keep(&mut self, batch: &Batch) {
        let bytes = bytes_of(batch);
        if bytes > MOST_BYTES {
            return;
        }
        self.bytes += bytes;
        self.batches.push_back((batch.clone(), bytes));
        while self.batches.len() > MOST_KEPT || self.bytes > MOST_BYTES {
            let Some((_, bytes)) = self.batches.pop_front() else { break };
            self.bytes -= bytes;
        }
    }
}

/// What a batch holds in memory, or a little more.
fn bytes_of(batch: &Batch) -> usize {
    let texts: usize = batch.texts().iter().map(|text| text.len()).sum();
    let columns = batch.names().ids().filter(|id| batch.column(*id).is_some()).count();
    texts + columns * batch.rows() * size_of::<Cell>()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::event::FieldReference;

    fn batch(bytes: usize) -> Batch {
        let mut batch = Batch::new(Arc::default(), 1);
        let field = batch.intern(&FieldReference::from_fragments(["message"]));
        let cell = batch.text_cell(&"x".repeat(bytes));
        batch.column_mut(field)[0] = cell;
        batch
    }

    #[test]
    fn what_is_kept_is_bounded() {
        let mut kept = Kept::default();
        for _ in 0..100 {
            kept.keep(&batch(10));
        }
        assert_eq!(kept.batches.len(), MOST_KEPT);
        for _ in 0..5 {
            kept.keep(&batch(MOST_BYTES / 3));
        }
        assert_eq!(kept.batches.len(), 2);
        kept.keep(&batch(MOST_BYTES + 1));
        assert!(kept.bytes <= MOST_BYTES && kept.batches.len() == 2);
    }

    #[test]
    fn a_full_tap_does_not_hold_the_line() {
        let recent = Recent::default();
        let tap = recent.tap();
        for _ in 0..10 {
            recent.offer(&batch(1));
        }
        recent.close_tap();
        recent.offer(&batch(1));
        assert_eq!(tap.iter().count(), TAP_LENGTH);
        assert_eq!(recent.kept().len(), 1);
    }
}
