//! Keeps what is written in the order in which it came, where several batches are under way at once.

use std::sync::{Mutex, PoisonError};

use tokio::sync::oneshot;

/// Whose turn it is. Turns come in the order in which they were taken; one that is dropped, used or not, lets the next on.
#[derive(Default)]
pub(super) struct Turns {
    last: Mutex<Option<oneshot::Receiver<()>>>,
}

/// A place in the order.
pub(super) struct Turn {
    before: Option<oneshot::Receiver<()>>,
    _after: oneshot::Sender<()>,
}

impl Turns {
    /// Takes the next turn.
    pub(super) fn take(&self) -> Turn {
        let (after, receiver) = oneshot::channel();
        let before = self.last.lock().unwrap_or_else(PoisonError::into_inner).replace(receiver);
        Turn { before, _after: after }
    }
}

impl Turn {
    /// Waits until all turns before it are over.
    pub(super) async fn come(&mut self) {
        if let Some(before) = self.before.take() {
            // The other side sends nothing: it is dropped.
            let _ = before.await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    #[tokio::test]
    async fn turns_come_in_order() {
        let turns = Turns::default();
        let order = Arc::new(Mutex::new(Vec::new()));
        let mut tasks = Vec::new();
        for number in 0..20 {
            let (mut turn, order) = (turns.take(), order.clone());
            tasks.push(async move {
                turn.come().await;
                tokio::task::yield_now().await;
                order.lock().expect("no test panicked").push(number);
            });
        }
        tasks.reverse();
        futures::future::join_all(tasks).await;
        assert_eq!(*order.lock().expect("no test panicked"), (0..20).collect::<Vec<_>>());
    }
}
