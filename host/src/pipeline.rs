//! The line: input -> filters -> output -> ledger. Everything on it keeps the order of reading, so a position is committed
//! only when all that was read before it has been delivered. What the parts do is left to them; opening them is in
//! `assembly`, changing the filters meanwhile in `filter::swap`.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use futures::future::{BoxFuture, FutureExt, try_join_all};
use futures::stream::{self, BoxStream, StreamExt, TryStreamExt};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::counts::{ByReason, Passed, add};
use crate::event::condition::Condition;
use crate::filter::SetAside;
use crate::filter::swap::SavedState;
use crate::filter::swap::{Assigned, SwappableChain, read_states, write_states};
use crate::input::{Input, Read};
use crate::ledger::{DiskRefuses, Ledger, Position, WAIT};
use crate::output::retry::Retry;
use crate::output::{DeadLetter, DeadLetters, Output, RetryWaits, Waiting};
use crate::shares::{Shares, letters};

pub use crate::counts::{LineCounts, LineFigures};

/// The parts of a pipeline, opened.
pub struct Line {
    /// The pipeline's name, for messages.
    pub name: String,
    /// Inputs with their names in the ledger.
    pub inputs: Vec<(String, Box<dyn Input>)>,
    /// The filters; they may be changed while the line is driven.
    pub chain: Arc<SwappableChain>,
    /// Every output gets the events for which its condition holds.
    pub outputs: Vec<LineOutput>,
    /// Where events go that a filter failed on, if the user says so, or that broke it.
    pub dead_letters: Arc<DeadLetters>,
    /// Where positions are committed.
    pub ledger: Arc<Ledger>,
    /// Batches that may be on their way to the outputs at the same time.
    pub in_flight: usize,
    /// Asks the inputs to end.
    pub stop: CancellationToken,
    /// How long the drain may take after a stop was asked for.
    pub drain_limit: Duration,
    /// Cancelled by [`drive`] when the drain takes longer than that: outputs then give up, and what they had is read again
    /// at the next start.
    pub abandon: CancellationToken,
    /// What is waited for: a ledger that cannot be written holds the line.
    pub waiting: Arc<Waiting>,
    /// What is counted.
    pub counts: Arc<LineCounts>,
}

impl Line {
    /// The dead letters of filters and outputs, each once.
    pub fn all_dead_letters(&self) -> Vec<Arc<DeadLetters>> {
        let mut all = vec![self.dead_letters.clone()];
        for output in &self.outputs {
            if !all.iter().any(|letters| Arc::ptr_eq(letters, &output.dead_letters)) {
                all.push(output.dead_letters.clone());
            }
        }
        all
    }
}

/// How long a delivered batch waits for others to be committed with it, and how many are at most: a commit costs the disk
/// and the processor as much as a hundred events or two, whatever is in it.
const TOGETHER: Duration = Duration::from_millis(10);
const MOST_TOGETHER: usize = 64;

/// Waits for a disk that does not take a commit: opening the ledger anew looks at all of it.
const DISK_WAITS: RetryWaits =
    RetryWaits { initial: Duration::from_millis(500), max: Duration::from_secs(16) };

/// An output and which events it gets.
#[derive(Clone)]
pub struct LineOutput {
    /// Its name in dead letters.
    pub name: String,
    /// The output.
    pub output: Arc<dyn Output>,
    /// `None`: all events.
    pub when: Option<Arc<Condition>>,
    /// Where events go for which `when` cannot be evaluated.
    pub dead_letters: Arc<DeadLetters>,
}

/// Runs the line until its inputs end, by themselves or because `stop` was cancelled.
///
/// # Errors
/// When an input, a filter (`on_error` or `on_trap` is `"stop"`) or an output cannot go on, or the ledger is damaged. Nothing
/// that was not delivered has been committed then. While the disk does not take a commit the line holds.
pub async fn drive(line: Line) -> Result<()> {
    let watch = tokio::spawn(watch_drain(
        line.name.clone(),
        line.drain_limit,
        line.stop.clone(),
        line.abandon.clone(),
    ));
    let outputs = line.outputs.clone();
    // Ends with this function.
    let mut aging = JoinSet::new();
    for letters in line.all_dead_letters() {
        aging.spawn(async move { letters.remove_old_letters().await });
    }
    let ended = drive_stages(line).await;
    watch.abort();
    for output in &outputs {
        let closed = output.output.close().await.context("cannot close an output");
        if ended.is_ok() {
            closed?;
        }
    }
    ended
}

async fn watch_drain(name: String, limit: Duration, stop: CancellationToken, abandon: CancellationToken) {
    stop.cancelled().await;
    tokio::time::sleep(limit).await;
    let seconds = limit.as_secs_f64();
    tracing::warn!(
        pipeline = name,
        seconds,
        "draining takes too long; what is open is left to the next start"
    );
    abandon.cancel();
}

async fn drive_stages(line: Line) -> Result<()> {
    let Line {
        inputs, chain, outputs, dead_letters, ledger, in_flight, counts, stop, abandon, waiting, ..
    } = line;
    let workers = chain.workers();
    let outputs: Arc<[LineOutput]> = outputs.into();
    let names: Arc<[String]> = inputs.iter().map(|(name, _)| name.clone()).collect();
    let input_error = Arc::new(Mutex::new(None));
    let read = stream::select_all(
        inputs
            .into_iter()
            .enumerate()
            .map(|(number, (name, input))| read_all(number, name, input, stop.clone(), input_error.clone())),
    );

    let delivered = read
        .map_ok(|(number, read)| {
            counts.read(names.get(number).map_or("", String::as_str), read.events.rows() as u64);
            let (chain, outputs) = (chain.clone(), outputs.clone());
            // Here, where batches come in the order of reading.
            let assigned = chain.assign();
            joined(tokio::task::spawn_blocking(move || filter(&chain, assigned, &outputs, number, read)))
        })
        .try_buffered(workers)
        .map_ok(|filtered| deliver(filtered, &outputs, &dead_letters, &counts))
        .try_buffered(in_flight.max(1));
    let stages = tokio_stream::StreamExt::chunks_timeout(delivered, MOST_TOGETHER, TOGETHER)
        .map(|delivered| {
            let (mut positions, mut failed) = (Vec::with_capacity(delivered.len()), None);
            for batch in delivered {
                match batch {
                    Ok((number, position)) => {
                        positions.push((names.get(number).cloned().unwrap_or_default(), position));
                    }
                    Err(error) => {
                        failed = Some(error);
                        break;
                    }
                }
            }
            let (batches, counts) = (positions.len(), counts.clone());
            let committed = commit(&ledger, positions, &waiting, &abandon);
            async move {
                committed.await.context("cannot write down what has been delivered")?;
                (0..batches).for_each(|_| counts.committed());
                failed.map_or(Ok(()), Err)
            }
        })
        .buffered(1)
        .try_for_each(async |()| Ok(()));
    stages.await?;
    keep_states(chain, &ledger, &waiting, &abandon).await?;
    let error = input_error.lock().unwrap_or_else(PoisonError::into_inner).take();
    error.map_or(Ok(()), Err)
}

/// Where the ledger has what filters keep over a clean stop.
const FILTER_STATES: &str = "\0filters";

/// Writes down what stateful filters keep, once all that they saw is committed.
async fn keep_states(
    chain: Arc<SwappableChain>,
    ledger: &Arc<Ledger>,
    waiting: &Waiting,
    abandon: &CancellationToken,
) -> Result<()> {
    let states = move || Ok(write_states(&chain.final_states()?));
    let puts = joined(tokio::task::spawn_blocking(states)).await?;
    if puts.is_empty() {
        return Ok(());
    }
    let position = Position { puts, removes: Vec::new() };
    let committed = commit(ledger, vec![(FILTER_STATES.to_owned(), position)], waiting, abandon).await;
    committed.context("cannot write down what the filters keep")
}

/// Commits positions, each with the name that the ledger has it under. A disk that refuses is waited for: meanwhile nothing
/// is acknowledged, and soon nothing is read, since the line is full.
async fn commit(
    ledger: &Arc<Ledger>,
    positions: Vec<(String, Position)>,
    waiting: &Waiting,
    abandon: &CancellationToken,
) -> Result<()> {
    if positions.is_empty() {
        return Ok(());
    }
    let written = Arc::new(positions);
    let mut retry =
        Retry::new(WAIT, DISK_WAITS, waiting, abandon).saying("delivered, and not yet written down");
    loop {
        let (ledger, written) = (ledger.clone(), written.clone());
        let write = move || {
            let positions: Vec<_> =
                written.iter().map(|(name, position)| (name.as_str(), position)).collect();
            ledger.commit(&positions)
        };
        match joined(tokio::task::spawn_blocking(write)).await {
            Err(error) if error.is::<DiskRefuses>() => retry.wait(&format!("{error:#}")).await?,
            committed => return committed,
        }
    }
}

/// What stateful filters kept at the last stop, if it was a clean one. It is taken out of the ledger: after a kill filters
/// begin anew.
///
/// # Errors
/// When the ledger cannot be read or written.
pub(crate) fn take_states(ledger: &Ledger) -> Result<Vec<SavedState>> {
    let all = (Vec::new(), vec![0xff]);
    let entries = ledger.input(FILTER_STATES).range(&all.0..&all.1)?;
    if !entries.is_empty() {
        let position = Position { puts: Vec::new(), removes: vec![all.0..all.1] };
        ledger.commit(&[(FILTER_STATES, &position)])?;
    }
    read_states(entries)
}

/// All of an input's batches, with the input's number. An input that cannot go on ends the others too, and its error waits
/// until what was read before has been delivered.
fn read_all(
    number: usize,
    name: String,
    input: Box<dyn Input>,
    stop: CancellationToken,
    input_error: Arc<Mutex<Option<anyhow::Error>>>,
) -> BoxStream<'static, Result<(usize, Read)>> {
    stream::unfold(input, move |mut input| {
        let (name, stop, input_error) = (name.clone(), stop.clone(), input_error.clone());
        async move {
            match input.next().await {
                Ok(read) => read.map(|read| (Ok((number, read)), input)),
                Err(error) => {
                    let error = error.context(format!("input {name} cannot go on"));
                    input_error.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
                    stop.cancel();
                    None
                }
            }
        }
    })
    .boxed()
}

/// A batch that has been through the filters.
struct Filtered {
    number: usize,
    position: Position,
    shares: Shares,
    dead_letters: Vec<DeadLetter>,
    passed: Passed,
}

fn filter(
    chain: &SwappableChain,
    assigned: Assigned,
    outputs: &[LineOutput],
    number: usize,
    read: Read,
) -> Result<Filtered> {
    let Read { events, position } = read;
    let entered = events.rows();
    if entered == 0 {
        let (shares, passed) = (Shares::default(), Passed::default());
        return Ok(Filtered { number, position, shares, dead_letters: Vec::new(), passed });
    }
    let processed = chain.process(assigned, events)?;
    let mut passed = Passed { entered: entered as u64, added: processed.added, ..Passed::default() };
    for dropped in &processed.dropped_at {
        add(&mut passed.dropped, &dropped.filter, dropped.rule, dropped.events);
    }
    for aside in &processed.dead_letters {
        add(&mut passed.dead_lettered, &aside.filter, aside.rule, aside.events.rows() as u64);
    }
    Ok(Filtered {
        number,
        position,
        shares: Shares::new(outputs, processed.batch),
        dead_letters: processed.dead_letters.iter().flat_map(letters_of).collect(),
        passed,
    })
}

/// Events that a filter set aside, as the dead letters keep them.
fn letters_of(aside: &SetAside) -> Vec<DeadLetter> {
    let rows = (0..aside.events.rows()).map(|row| (row, aside.reason.clone()));
    letters(&aside.filter, &aside.events, rows)
}

/// Hands a batch to all outputs that have a share in it. They are asked here and now, in the order of reading, which outputs
/// that write one line after the other keep; the work is in what is answered.
fn deliver<'l>(
    filtered: Filtered,
    outputs: &'l [LineOutput],
    dead_letters: &'l DeadLetters,
    counts: &'l LineCounts,
) -> impl Future<Output = Result<(usize, Position)>> + 'l {
    let Filtered { number, position, shares, dead_letters: letters, passed } = filtered;
    let given = outputs.iter().zip(&shares.by_output).map(|(output, share)| {
        let events = share.events.as_ref().map_or(0, |events| events.rows());
        (output.name.as_str(), (events + share.undecided.len()) as u64)
    });
    counts.filtered(&passed, given, shares.copied, shares.untaken);
    let mut open: Vec<BoxFuture<'l, Result<()>>> = Vec::with_capacity(outputs.len() + 1);
    if !letters.is_empty() {
        open.push(write_filters_letters(dead_letters, letters, passed.dead_lettered, counts).boxed());
    }
    for (output, share) in outputs.iter().zip(shares.by_output) {
        if let Some(events) = share.events {
            let given = events.rows() as u64;
            let send = output.output.send(events);
            open.push(
                async move {
                    counts.answered(&output.name, given, send.await?);
                    Ok(())
                }
                .boxed(),
            );
        }
        if !share.undecided.is_empty() {
            open.push(write_undecided(output, share.undecided, counts).boxed());
        }
    }
    async move {
        try_join_all(open).await?;
        Ok((number, position))
    }
}

async fn write_filters_letters(
    dead_letters: &DeadLetters,
    letters: Vec<DeadLetter>,
    by_reason: ByReason,
    counts: &LineCounts,
) -> Result<()> {
    let written = dead_letters.write(letters).await.context("cannot write dead letters")?;
    counts.set_aside_by_filters(&by_reason, written.dropped == 0);
    Ok(())
}

/// Sets aside the events for which an output's condition could not be evaluated.
async fn write_undecided(output: &LineOutput, letters: Vec<DeadLetter>, counts: &LineCounts) -> Result<()> {
    let events = letters.len() as u64;
    let written = output.dead_letters.write(letters).await.context("cannot write dead letters")?;
    counts.left_at_output(&output.name, "when", events, written.dropped == 0);
    Ok(())
}

/// A spawned task's answer; a panic in it is an error of the line.
async fn joined<T>(task: tokio::task::JoinHandle<Result<T>>) -> Result<T> {
    task.await.map_err(|error| anyhow!("a task of the line ended unexpectedly: {error}"))?
}
