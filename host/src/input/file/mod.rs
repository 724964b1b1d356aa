//! Files, line by line: to their ends, or followed as they grow and are rotated. An event is a line: `message`, and the
//! file's `path`; the host's name is left out. Files packed with gzip are known by their first bytes. A file is known
//! again by device and inode, so a renamed one goes on where it was; what the ledger knows of a file is in `progress`.

mod followed;
mod options;
mod progress;
mod reader;

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use futures::future::BoxFuture;
use tokio::task::JoinHandle;

use super::events::{EventMaker, now};
use super::{Input, InputContext, InputCounters, Read};
use crate::event::{Batch, Cell, FieldId};
use reader::{Collected, Reader};

pub use options::{FileOptions, Mode, read_options};

/// Opens the files.
///
/// # Errors
/// In `read` mode when no file is there; when the ledger cannot be read.
pub async fn open(options: FileOptions, context: InputContext) -> Result<impl Input + use<>> {
    let counters = Arc::new(InputCounters::default());
    let (maker, fields) = EventMaker::new(&context, &[&["path"]], counters.clone());
    let [path] = fields[..] else { anyhow::bail!("the field `path` has no number") };
    let maker = BatchMaker { maker, path, counters: counters.clone() };
    let (ledger, batch_size) = (context.ledger.clone(), context.batch_size);
    let stat_interval = options.stat_interval;
    let open = move || Reader::open(options, ledger, batch_size);
    let reader = tokio::task::spawn_blocking(open).await.context("the opening of files broke off")??;
    let state = Box::new(State { reader, maker });
    Ok(Files { context, counters, stat_interval, step: None, state: Some(state), deadline: None })
}

/// The reader, and what makes events of its lines: both go to a blocking thread and come back.
struct State {
    reader: Reader,
    maker: BatchMaker,
}

type Step = JoinHandle<(Box<State>, Result<Outcome>)>;

/// What a step on a blocking thread ended with.
enum Outcome {
    /// A batch.
    Batch(Read),
    /// There is nothing to be read now; whether some lines wait for a batch to fill.
    Nothing { waiting: bool },
    /// There will be nothing more.
    End,
}

struct Files {
    context: InputContext,
    counters: Arc<InputCounters>,
    stat_interval: Duration,
    /// The next batch is read while this one is on its way.
    step: Option<Step>,
    state: Option<Box<State>>,
    /// When lines that wait for a batch to fill go without more.
    deadline: Option<Instant>,
}

impl Input for Files {
    fn next(&mut self) -> BoxFuture<'_, Result<Option<Read>>> {
        Box::pin(self.next_batch())
    }

    fn counters(&self) -> Arc<InputCounters> {
        self.counters.clone()
    }
}

impl Files {
    async fn next_batch(&mut self) -> Result<Option<Read>> {
        loop {
            // Lines that were read and not handed out are read again by the next run.
            if self.context.stop.is_cancelled() {
                return Ok(None);
            }
            let is_late = |deadline: Instant| deadline <= Instant::now();
            let flush = self.context.once || self.deadline.is_some_and(is_late);
            match self.take_step(flush).await? {
                Outcome::Batch(read) => {
                    self.deadline = None;
                    self.step = self.start_step(self.context.once);
                    return Ok(Some(read));
                }
                Outcome::End => return Ok(None),
                Outcome::Nothing { .. } if self.context.once => return Ok(None),
                Outcome::Nothing { waiting } => {
                    let soon = Instant::now() + self.stat_interval;
                    if waiting {
                        self.deadline.get_or_insert_with(|| Instant::now() + self.context.batch_delay);
                    }
                    let until = self.deadline.map_or(soon, |deadline| deadline.min(soon));
                    tokio::select! {
                        () = self.context.stop.cancelled() => {}
                        () = tokio::time::sleep_until(until.into()) => {}
                    }
                }
            }
        }
    }

    async fn take_step(&mut self, flush: bool) -> Result<Outcome> {
        let step = match self.step.take() {
            Some(step) => Some(step),
            None => self.start_step(flush),
        };
        let Some(step) = step else { return Ok(Outcome::End) };
        let (state, outcome) = step.await.context("the reading of files broke off")?;
        self.state = Some(state);
        outcome
    }

    fn start_step(&mut self, flush: bool) -> Option<Step> {
        let mut state = self.state.take()?;
        Some(tokio::task::spawn_blocking(move || {
            let outcome = match state.reader.collect(flush) {
                Ok(Collected::Batch(lines)) => Ok(Outcome::Batch(state.maker.batch(lines))),
                Ok(Collected::Nothing { waiting }) => Ok(Outcome::Nothing { waiting }),
                Ok(Collected::End) => Ok(Outcome::End),
                Err(error) => Err(error),
            };
            (state, outcome)
        }))
    }
}

struct BatchMaker {
    maker: EventMaker,
    path: FieldId,
    counters: Arc<InputCounters>,
}

impl BatchMaker {
    fn batch(&self, collected: reader::Batch) -> Read {
        let reader::Batch { lines, files, position } = collected;
        let rows = lines.rows();
        let has_cuts = rows.iter().any(|row| row.cut);
        let cut: Vec<bool> = if has_cuts { rows.iter().map(|row| row.cut).collect() } else { Vec::new() };
        let mut identities = Vec::with_capacity(rows.len());
        for file in &files {
            let of_file = rows.get(file.rows.clone()).unwrap_or_default();
            identities.extend(of_file.iter().map(|row| progress::line_identity(file.identity, row.offset)));
        }
        let (text, messages) = lines.into_text(&self.counters);
        let mut events: Batch = self.maker.events(text, messages, now());
        let mut paths = vec![Cell::ABSENT; events.rows()];
        for file in &files {
            let cell = events.text_cell(&file.path);
            paths.get_mut(file.rows.clone()).unwrap_or_default().fill(cell);
        }
        self.set_paths(&mut events, paths);
        events.set_identities(identities);
        self.maker.tag_cut_lines(&mut events, cut);
        self.maker.decorate(&mut events);
        Read { events, position }
    }

    /// As Logstash does, only where the codec made no `path`.
    fn set_paths(&self, events: &mut Batch, mut paths: Vec<Cell>) {
        if let Some(own) = events.column(self.path) {
            for (path, own) in paths.iter_mut().zip(own) {
                if !own.is_absent() {
                    *path = *own;
                }
            }
        }
        for below in events.names().below(self.path) {
            for (path, own) in paths.iter_mut().zip(events.column(*below).unwrap_or_default()) {
                if !own.is_absent() {
                    *path = Cell::ABSENT;
                }
            }
        }
        events.set_column(self.path, paths);
    }
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
