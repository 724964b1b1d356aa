//! Waits between tries: doubling, endless, said in the log now and then, ended by a stop. What is worth another try is
//! left to the outputs.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use anyhow::Result;
use tokio_util::sync::CancellationToken;

/// How often a wait that goes on is repeated in the log.
const LOG_INTERVAL: Duration = Duration::from_secs(30);

/// How long to wait before the tries of one thing: `initial`, then twice as long each time, up to `max` (Logstash's
/// `retry_initial_interval` and `retry_max_interval`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RetryWaits {
    /// Before the second try. Taken as it is, even above `max`.
    pub initial: Duration,
    /// The longest wait after that.
    pub max: Duration,
}

impl Default for RetryWaits {
    fn default() -> Self {
        RetryWaits { initial: Duration::from_secs(2), max: Duration::from_secs(64) }
    }
}

impl RetryWaits {
    /// The wait that follows a wait.
    pub fn after(&self, wait: Duration) -> Duration {
        wait.saturating_mul(2).min(self.max)
    }
}

/// The error of an output that was stopped while something was not stored yet: it is to be read again next time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotAcknowledged {
    /// What was waited for.
    pub reason: String,
}

impl fmt::Display for NotAcknowledged {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "stopped before the events were acknowledged; they will be read again (was waiting: {})",
            self.reason
        )
    }
}

impl std::error::Error for NotAcknowledged {}

/// What outputs and dead letters wait for at present, and since when. Shared between them and who asks.
#[derive(Default)]
pub struct Waiting {
    by_name: Mutex<BTreeMap<String, WaitingState>>,
    passes: Option<Box<dyn Fn(Duration) + Send + Sync>>,
}

impl fmt::Debug for Waiting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Waiting").field("by_name", &self.by_name).finish_non_exhaustive()
    }
}

#[derive(Debug)]
struct WaitingState {
    waiters: usize,
    since: SystemTime,
    reason: String,
}

/// One that waits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wait {
    /// The output's name, `dead_letter` or `ledger`.
    pub name: String,
    /// Since when.
    pub since: SystemTime,
    /// For what: what went wrong at the last try.
    pub reason: String,
}

impl Waiting {
    /// Where time is the caller's: a wait takes none, `passes` is told how long it would have been.
    pub fn with_clock(passes: impl Fn(Duration) + Send + Sync + 'static) -> Self {
        Waiting { by_name: Mutex::default(), passes: Some(Box::new(passes)) }
    }

    /// Since when something is waited for, and what: `None` while all goes well. Of several waits the oldest.
    pub fn current(&self) -> Option<(SystemTime, String)> {
        let oldest = self.all().into_iter().min_by_key(|wait| wait.since)?;
        Some((oldest.since, oldest.reason))
    }

    /// All that wait at present, one for each name.
    pub fn all(&self) -> Vec<Wait> {
        let by_name = self.by_name.lock().unwrap_or_else(PoisonError::into_inner);
        let wait = |(name, state): (&String, &WaitingState)| {
            let (name, reason) = (name.clone(), state.reason.clone());
            Wait { name, since: state.since, reason }
        };
        by_name.iter().map(wait).collect()
    }

    /// Something is waited for until the answer is dropped.
    pub(crate) fn during<'w>(&'w self, name: &'w str, reason: &str) -> During<'w> {
        self.begin(name, reason, true);
        During { waiting: self, name }
    }

    async fn pass(&self, wait: Duration) {
        match &self.passes {
            None => tokio::time::sleep(wait).await,
            Some(passes) => {
                passes(wait);
                tokio::task::yield_now().await;
            }
        }
    }

    fn begin(&self, name: &str, reason: &str, is_new: bool) {
        let mut by_name = self.by_name.lock().unwrap_or_else(PoisonError::into_inner);
        let state = by_name.entry(name.to_owned()).or_insert_with(|| WaitingState {
            waiters: 0,
            since: SystemTime::now(),
            reason: String::new(),
        });
        state.waiters += usize::from(is_new);
        reason.clone_into(&mut state.reason);
    }

    fn end(&self, name: &str) {
        let mut by_name = self.by_name.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(state) = by_name.get_mut(name) else { return };
        state.waiters = state.waiters.saturating_sub(1);
        if state.waiters == 0 {
            by_name.remove(name);
        }
    }
}

/// A wait that is under way.
pub(crate) struct During<'w> {
    waiting: &'w Waiting,
    name: &'w str,
}

impl Drop for During<'_> {
    fn drop(&mut self) {
        self.waiting.end(self.name);
    }
}

/// The waits of one thing that is tried until it works.
pub struct Retry<'a> {
    name: &'a str,
    /// What is not yet, for the log.
    says: &'a str,
    waits: RetryWaits,
    next: Duration,
    tries: u64,
    begun: Instant,
    logged: Option<Instant>,
    waiting: &'a Waiting,
    stop: &'a CancellationToken,
}

impl<'a> Retry<'a> {
    /// Nothing has been tried yet. `name` is whose waits these are, for the log.
    pub fn new(name: &'a str, waits: RetryWaits, waiting: &'a Waiting, stop: &'a CancellationToken) -> Self {
        Retry {
            name,
            says: "not delivered yet",
            waits,
            next: waits.initial,
            tries: 0,
            begun: Instant::now(),
            logged: None,
            waiting,
            stop,
        }
    }

    /// The same for something else than a delivery: what is not yet, for the log.
    #[must_use]
    pub fn saying(self, says: &'a str) -> Self {
        Retry { says, ..self }
    }

    /// Waits before another try. `reason` says what went wrong and what would help.
    ///
    /// # Errors
    /// [`NotAcknowledged`] when a stop was asked for.
    pub async fn wait(&mut self, reason: &str) -> Result<()> {
        self.waiting.begin(self.name, reason, self.tries == 0);
        self.tries += 1;
        if self.stop.is_cancelled() {
            return Err(NotAcknowledged { reason: reason.to_owned() }.into());
        }
        if self.logged.is_none_or(|logged| logged.elapsed() >= LOG_INTERVAL) {
            self.logged = Some(Instant::now());
            tracing::warn!(
                output = self.name,
                tries = self.tries,
                waiting_seconds = self.begun.elapsed().as_secs(),
                next_try_seconds = self.next.as_secs_f64(),
                "{}: {reason}",
                self.says
            );
        }
        let wait = self.next;
        self.next = self.waits.after(wait);
        tokio::select! {
            () = self.waiting.pass(wait) => Ok(()),
            () = self.stop.cancelled() => Err(NotAcknowledged { reason: reason.to_owned() }.into()),
        }
    }
}

impl Drop for Retry<'_> {
    fn drop(&mut self) {
        if self.tries > 0 {
            self.waiting.end(self.name);
        }
        if self.logged.is_some() && !self.stop.is_cancelled() {
            tracing::info!(output = self.name, tries = self.tries, "goes on");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(initial: u64, max: u64, expected: &[u64]) {
        let waits = RetryWaits { initial: Duration::from_secs(initial), max: Duration::from_secs(max) };
        let mut wait = waits.initial;
        for (number, seconds) in expected.iter().enumerate() {
            assert_eq!(wait, Duration::from_secs(*seconds), "wait {number} of {waits:?}");
            wait = waits.after(wait);
        }
    }

    #[test]
    fn waits_double() {
        check(2, 64, &[2, 4, 8, 16, 32, 64, 64]);
        check(100, 64, &[100, 64, 64]);
    }

    #[tokio::test]
    async fn a_stop_ends_the_wait() {
        let waiting = Waiting::default();
        let stop = CancellationToken::new();
        let waits = RetryWaits { initial: Duration::from_secs(3600), max: Duration::from_secs(3600) };
        let mut retry = Retry::new("test", waits, &waiting, &stop);
        let (result, ()) = tokio::join!(retry.wait("no server"), async {
            assert_eq!(waiting.current().map(|(_, reason)| reason).as_deref(), Some("no server"));
            stop.cancel();
        });
        let error = result.expect_err("it was stopped");
        assert!(error.downcast_ref::<NotAcknowledged>().is_some(), "{error:#}");
        drop(retry);
        assert!(waiting.current().is_none());
    }
}
