//! Texts that are made while an event is worked on and read back in the same call, such as a list that was changed. They
//! live as long as the event.

use std::cell::{Cell, OnceCell};

/// Keeps texts: a list that only grows.
#[derive(Debug, Default)]
pub(crate) struct Scratch {
    first: Slot,
}

type Slot = OnceCell<Box<Kept>>;

#[derive(Debug)]
struct Kept {
    text: String,
    next: Slot,
}

/// Where the next text goes.
#[derive(Debug)]
pub(crate) struct ScratchEnd<'s>(Cell<&'s Slot>);

impl Scratch {
    /// Where to keep texts. There is only one such end at a time.
    pub(crate) fn end(&mut self) -> ScratchEnd<'_> {
        ScratchEnd(Cell::new(&self.first))
    }
}

impl<'s> ScratchEnd<'s> {
    pub(crate) fn keep(&self, text: String) -> &'s str {
        let kept = self.0.get().get_or_init(|| Box::new(Kept { text, next: Slot::new() }));
        self.0.set(&kept.next);
        &kept.text
    }
}

/// One after the other, as a long list would be too deep for the stack.
impl Drop for Scratch {
    fn drop(&mut self) {
        let mut next = self.first.take();
        while let Some(mut kept) = next {
            next = kept.next.take();
        }
    }
}
