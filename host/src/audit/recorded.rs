//! Asks what the ledger says: the process that runs, over its socket, or else the file, opened for a moment to be read. So
//! the ledger's lock is not needed, and a pipeline may begin or end meanwhile.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use crate::control;
use crate::input::cloudwatch_logs::recorded::{Recorded, RecordedQuestion, recorded};
use crate::ledger::{InUse, Ledger};

/// How long a process that begins or ends is waited for.
const LIMIT: Duration = Duration::from_secs(30);

/// Asks; blocks on a thread of its own.
///
/// # Errors
/// When the process or the file does not answer.
pub(super) async fn ask(state_dir: Option<PathBuf>, question: RecordedQuestion) -> Result<Recorded> {
    let Some(state_dir) = state_dir else { return Ok(Recorded::default()) };
    let asked = move || {
        let limit = Instant::now() + LIMIT;
        loop {
            let said = control::ask_about(&state_dir, "ledger", &serde_json::to_value(&question)?)?;
            if let Some(said) = said {
                return serde_json::from_value(said).context("the process is of another version of Weir");
            }
            match Ledger::open_to_read(&state_dir) {
                Ok(Some(ledger)) => return recorded(&ledger.input(&question.input), &question),
                Ok(None) => return Ok(Recorded::default()),
                // It holds the ledger already or still, and has no socket yet or any more.
                Err(error) if error.is::<InUse>() && Instant::now() < limit => {
                    std::thread::sleep(Duration::from_millis(50));
                }
                Err(error) => return Err(error),
            }
        }
    };
    tokio::task::spawn_blocking(asked).await.context("reading the ledger broke off")?
}
