//! Reading that waits for a disk that refuses. It is for threads that may block; the wait shows in [`Waiting`] under `ledger`, as
//! that for a commit does, and ends when the database was opened anew, here or by a commit.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Result;
use tokio_util::sync::CancellationToken;

use super::DiskRefuses;
use super::store::Store;
use crate::output::Waiting;

/// How often one looks whether somebody else has opened the database anew.
const LOOK: Duration = Duration::from_millis(50);
/// Opening looks at all of the file, so it is not tried more often than this, then half as often each time …
const FIRST_TRY: Duration = Duration::from_millis(500);
/// … down to this.
const LAST_TRY: Duration = Duration::from_secs(16);

/// The name of the wait.
pub(crate) const WAIT: &str = "ledger";

/// Who waits, and for how long.
#[derive(Clone)]
pub(super) struct Patience {
    pub(super) waiting: Arc<Waiting>,
    pub(super) give_up: CancellationToken,
}

impl Patience {
    /// # Errors
    /// What reading answers, but for a disk that refuses: that only when it is given up.
    pub(super) fn read<T>(&self, store: &Store, mut read: impl FnMut() -> Result<T>) -> Result<T> {
        let mut noted = None;
        let (mut pause, mut next) = (FIRST_TRY, Instant::now() + FIRST_TRY);
        loop {
            let error = match read() {
                Err(error) if error.is::<DiskRefuses>() && !self.give_up.is_cancelled() => error,
                read => return read,
            };
            noted.get_or_insert_with(|| {
                tracing::warn!("nothing is read on: {error:#}");
                self.waiting.during(WAIT, &format!("{error:#}"))
            });
            std::thread::sleep(LOOK);
            if Instant::now() >= next {
                match store.mend() {
                    Err(error) if !error.is::<DiskRefuses>() => return Err(error),
                    _ => {}
                }
                pause = (pause * 2).min(LAST_TRY);
                next = Instant::now() + pause;
            }
        }
    }
}
