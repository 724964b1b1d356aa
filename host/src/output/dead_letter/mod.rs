//! Dead letters: events that can never be stored, or that broke a filter, set aside with the reason. They lie in files of
//! NDJSON that only the service can read. What a line is says `letter`, how files lie in their folder `folder`, how they are
//! read `reading`; replaying them is left to the module `replay` and to the command `weir dlq`.

mod folder;
mod letter;
mod limits;
mod marks;
mod reading;
#[cfg(test)]
mod tests;

use std::fs;
use std::io::Write;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex as StdMutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result};
use tokio::sync::Mutex;
use tokio_util::sync::CancellationToken;

use super::Delivery;
use super::retry::{Retry, Waiting};

pub(super) use folder::end_of_whole_lines;
pub use folder::{LockedFolder, Segment, lock, segments};
pub use letter::{DeadLetter, ReadLine};
pub use limits::{DeadLetterLimits, DeadLetterOptions, WhenFull, read_options};
pub use reading::{FoundLetter, LetterFilter, LetterId, Line, read_folder};

/// How often letters are looked at for their age: a tenth of `max_age`, but no more often …
const SHORTEST_LOOK: Duration = Duration::from_secs(1);
/// … and no less often than this.
const LONGEST_LOOK: Duration = Duration::from_secs(3600);

/// Where a pipeline's dead letters go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DeadLetterPlace {
    /// Into segments in a folder.
    Folder(PathBuf),
    /// To stderr, a line each: for trying things out.
    Stderr,
    /// Nowhere: the user said that what cannot be stored is to be dropped.
    Off,
    /// Into memory, until they are taken: for a replay, whose letters lie in their folder already.
    Kept,
}

/// The dead letters of one pipeline.
pub struct DeadLetters {
    pipeline: String,
    place: Place,
    limits: DeadLetterLimits,
    waiting: Arc<Waiting>,
    stop: CancellationToken,
    removed: AtomicU64,
}

enum Place {
    /// The lock keeps one write at a time.
    Folder(Mutex<()>, PathBuf),
    Stderr,
    Off,
    Kept(StdMutex<Vec<DeadLetter>>),
}

impl DeadLetters {
    /// Opens the place. A folder is made if it is missing (mode 0700).
    ///
    /// # Errors
    /// When the folder cannot be made.
    pub fn open(
        place: DeadLetterPlace,
        limits: DeadLetterLimits,
        pipeline: &str,
        waiting: Arc<Waiting>,
        stop: CancellationToken,
    ) -> Result<Self> {
        let place = match place {
            DeadLetterPlace::Folder(folder) => {
                make_folder(&folder)?;
                Place::Folder(Mutex::new(()), folder)
            }
            DeadLetterPlace::Stderr => Place::Stderr,
            DeadLetterPlace::Off => Place::Off,
            DeadLetterPlace::Kept => Place::Kept(StdMutex::default()),
        };
        Ok(DeadLetters {
            pipeline: pipeline.to_owned(),
            place,
            limits,
            waiting,
            stop,
            removed: AtomicU64::new(0),
        })
    }

    /// Whether letters are dropped instead of kept.
    pub fn is_off(&self) -> bool {
        matches!(self.place, Place::Off)
    }

    /// How many letters were removed again, unread, for want of room or for their age, since this was opened.
    pub fn removed(&self) -> u64 {
        self.removed.load(Ordering::Relaxed)
    }

    /// The letters that were written to [`DeadLetterPlace::Kept`] since this was last asked.
    pub fn take_kept(&self) -> Vec<DeadLetter> {
        match &self.place {
            Place::Kept(letters) => {
                std::mem::take(&mut *letters.lock().unwrap_or_else(PoisonError::into_inner))
            }
            _ => Vec::new(),
        }
    }

    /// Sets letters aside; they are on disk when this answers. Answers how many were kept (`dead_lettered`) or, where the
    /// user turned dead letters off or there is no room for them and they may be dropped, dropped. Waits while the folder
    /// is full or cannot be written.
    ///
    /// # Errors
    /// [`super::NotAcknowledged`] when a stop was asked for while it waited.
    pub async fn write(&self, letters: Vec<DeadLetter>) -> Result<Delivery> {
        let count = letters.len() as u64;
        let kept = Delivery { dead_lettered: count, ..Delivery::default() };
        let dropped = Delivery { dropped: count, ..Delivery::default() };
        if letters.is_empty() {
            return Ok(kept);
        }
        let (lock, folder) = match &self.place {
            Place::Off => return Ok(dropped),
            Place::Kept(all) => {
                all.lock().unwrap_or_else(PoisonError::into_inner).extend(letters);
                return Ok(kept);
            }
            Place::Stderr => {
                let lines = lines_of(&letters, &self.pipeline);
                // Nothing better can be done where stderr is closed.
                let _ = tokio::task::spawn_blocking(move || std::io::stderr().lock().write_all(&lines)).await;
                return Ok(kept);
            }
            Place::Folder(lock, folder) => (lock, folder),
        };
        let _one_at_a_time = lock.lock().await;
        let lines = Arc::new(lines_of(&letters, &self.pipeline));
        let mut retry = Retry::new("dead_letter", self.limits.waits, &self.waiting, &self.stop);
        loop {
            let (lines, folder, limits) = (lines.clone(), folder.clone(), self.limits);
            let append = move || folder::lock(&folder)?.append(&lines, &limits);
            let appended = tokio::task::spawn_blocking(append).await;
            match appended.context("the writer of dead letters broke").and_then(|result| result) {
                Ok(appended) => {
                    self.count_removed(appended.removed);
                    if appended.is_dropped {
                        tracing::warn!(letters = count, "the dead letters are full: the newest are dropped");
                        return Ok(dropped);
                    }
                    return Ok(kept);
                }
                Err(error) => retry.wait(&format!("dead letters: {error:#}")).await?,
            }
        }
    }

    /// Removes letters that are older than `max_age`, now and again and again, so that they go when no new ones come. Never
    /// ends where there is a `max_age` and a folder.
    pub async fn remove_old_letters(&self) {
        let (Some(age), Place::Folder(lock, folder)) = (self.limits.max_age, &self.place) else { return };
        let pause = (age / 10).clamp(SHORTEST_LOOK, LONGEST_LOOK);
        loop {
            {
                let _one_at_a_time = lock.lock().await;
                let folder = folder.clone();
                let remove = move || folder::lock(&folder)?.remove_older(age);
                match tokio::task::spawn_blocking(remove).await {
                    Ok(Ok(removed)) => self.count_removed(removed),
                    Ok(Err(error)) => tracing::warn!("old dead letters cannot be removed: {error:#}"),
                    // Only when the process ends.
                    Err(_) => return,
                }
            }
            tokio::time::sleep(pause).await;
        }
    }

    fn count_removed(&self, removed: u64) {
        if removed > 0 {
            self.removed.fetch_add(removed, Ordering::Relaxed);
            tracing::warn!(
                letters = removed,
                "dead letters were removed for want of room or for their age, as configured"
            );
        }
    }
}

/// Makes a folder of dead letters (mode 0700) if it is missing.
fn make_folder(folder: &Path) -> Result<()> {
    fs::DirBuilder::new().recursive(true).mode(0o700).create(folder).with_context(|| {
        format!("cannot make the folder of dead letters {}; set dead_letter in [output]", folder.display())
    })
}

fn lines_of(letters: &[DeadLetter], pipeline: &str) -> Vec<u8> {
    let mut lines = Vec::new();
    for letter in letters {
        letter.write_line(pipeline, &mut lines);
    }
    lines
}
