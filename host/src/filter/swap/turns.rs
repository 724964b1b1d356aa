//! The order of batches: each has a number, and what must not overtake waits until all before it are done. Taking a number
//! and reading or changing the pointer to the current version are one step, so a change stands between two batches.

use std::collections::BTreeSet;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

/// Numbers in the order in which they were taken.
#[derive(Default)]
pub(super) struct Turns {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    /// The next number.
    next: u64,
    /// All below are done.
    first_open: u64,
    /// What is done from there on. As many as batches are on their way, at most.
    done: BTreeSet<u64>,
}

/// A number that was taken; done when it is dropped.
pub(super) struct Turn {
    turns: Arc<Turns>,
    number: u64,
}

impl Turns {
    /// Takes a number, and does `work` in the same step.
    pub(super) fn take<T>(self: &Arc<Self>, work: impl FnOnce() -> T) -> (Turn, T) {
        let mut state = self.state();
        let number = state.next;
        state.next += 1;
        let worked = work();
        (Turn { turns: self.clone(), number }, worked)
    }

    /// Does `work` while nobody takes a number.
    pub(super) fn between<T>(&self, work: impl FnOnce() -> T) -> T {
        let _state = self.state();
        work()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Turn {
    /// Waits until all that was taken before is done. Blocks.
    pub(super) fn wait(&self) {
        let mut state = self.turns.state();
        while state.first_open < self.number {
            state = self.turns.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let mut state = self.turns.state();
        state.done.insert(self.number);
        loop {
            let first = state.first_open;
            if !state.done.remove(&first) {
                break;
            }
            state.first_open += 1;
        }
        drop(state);
        self.turns.changed.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_turn_comes_when_all_before_are_done() {
        let turns = Arc::<Turns>::default();
        let (first, ()) = turns.take(|| ());
        let (second, ()) = turns.take(|| ());
        let (third, ()) = turns.take(|| ());
        first.wait();
        let order = Arc::new(Mutex::new(Vec::new()));
        std::thread::scope(|scope| {
            scope.spawn(|| {
                third.wait();
                order.lock().unwrap().push("third");
            });
            // Out of order: the second is done before the first.
            drop(second);
            order.lock().unwrap().push("first");
            drop(first);
        });
        assert_eq!(*order.lock().unwrap(), ["first", "third"]);
    }
}
