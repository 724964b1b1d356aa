//! The line: input -> filters -> output -> ledger. Everything on it keeps the order of reading, so a position is committed
//! only when all that was read before it has been delivered. What the parts do is left to them; opening them is in
//! `assembly`.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow};
use futures::future::try_join_all;
use futures::stream::{self, BoxStream, StreamExt, TryStreamExt};
use tokio_util::sync::CancellationToken;

use crate::event::condition::Condition;
use crate::filter::{Chain, SetAside};
use crate::input::{Input, Read};
use crate::ledger::{Ledger, Position};
use crate::output::{DeadLetter, DeadLetters, Delivery, Output};
use crate::shares::{Shares, letters};

/// The parts of a pipeline, opened.
pub struct Line {
    /// The pipeline's name, for messages.
    pub name: String,
    /// Inputs with their names in the ledger.
    pub inputs: Vec<(String, Box<dyn Input>)>,
    /// One chain for each batch that may be filtered at the same time; one in all for a chain that keeps state.
    pub chains: Vec<Chain>,
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
    /// Cancelled by [`drive`] when the drain takes longer than [`DRAIN_LIMIT`]: outputs then give up, and what they had
    /// is read again at the next start.
    pub abandon: CancellationToken,
    /// What is counted.
    pub counts: Arc<LineCounts>,
}

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

/// Events by what became of them: `read` + `copied` + those that filters added (`added` of each) = `delivered` +
/// `dead_lettered` + `dropped` + those on their way.
#[derive(Debug, Default)]
pub struct LineCounts {
    /// Events read.
    pub read: AtomicU64,
    /// Events that several outputs took or set aside: once for each of these but the first.
    pub copied: AtomicU64,
    /// Events that left the filters.
    pub filtered: AtomicU64,
    /// Events stored by an output, or found stored.
    pub delivered: AtomicU64,
    /// Events set aside, by filters and outputs.
    pub dead_lettered: AtomicU64,
    /// Events dropped by a rule of the user's, in filters and outputs, and those that no output took.
    pub dropped: AtomicU64,
    /// Nanoseconds from the start of the line to the first event delivered; 0: none yet.
    pub first_event: AtomicU64,
}

/// How long a drain may take after a stop was asked for.
pub const DRAIN_LIMIT: Duration = Duration::from_secs(30);

/// Runs the line until its inputs end, by themselves or because `stop` was cancelled.
///
/// # Errors
/// When an input, a filter (`on_error` or `on_trap` is `"stop"`), an output or the ledger cannot go on. Nothing that was
/// not delivered has been committed then.
pub async fn drive(line: Line) -> Result<()> {
    let started = Instant::now();
    let watch = tokio::spawn(watch_drain(line.name.clone(), line.stop.clone(), line.abandon.clone()));
    let outputs = line.outputs.clone();
    let ended = drive_stages(line, started).await;
    watch.abort();
    for output in &outputs {
        let closed = output.output.close().await.context("cannot close an output");
        if ended.is_ok() {
            closed?;
        }
    }
    ended
}

async fn watch_drain(name: String, stop: CancellationToken, abandon: CancellationToken) {
    stop.cancelled().await;
    tokio::time::sleep(DRAIN_LIMIT).await;
    let seconds = DRAIN_LIMIT.as_secs();
    tracing::warn!(
        pipeline = name,
        seconds,
        "draining takes too long; what is open is left to the next start"
    );
    abandon.cancel();
}

async fn drive_stages(line: Line, started: Instant) -> Result<()> {
    let Line { inputs, chains, outputs, dead_letters, ledger, in_flight, counts, stop, .. } = line;
    let workers = chains.len().max(1);
    let chains = Arc::new(Mutex::new(chains));
    let outputs: Arc<[LineOutput]> = outputs.into();
    let names: Arc<[String]> = inputs.iter().map(|(name, _)| name.clone()).collect();
    let input_error = Arc::new(Mutex::new(None));
    let read = stream::select_all(
        inputs
            .into_iter()
            .enumerate()
            .map(|(number, (name, input))| read_all(number, name, input, stop.clone(), input_error.clone())),
    );

    let stages = read
        .map_ok(|(number, read)| {
            counts.read.fetch_add(read.events.rows() as u64, Ordering::Relaxed);
            let (chains, outputs) = (chains.clone(), outputs.clone());
            joined(tokio::task::spawn_blocking(move || filter(&chains, &outputs, number, read)))
        })
        .try_buffered(workers)
        .map_ok(|filtered| deliver(filtered, &outputs, &dead_letters, &counts, started))
        .try_buffered(in_flight.max(1))
        .map_ok(|(number, position)| {
            let ledger = ledger.clone();
            let names = names.clone();
            joined(tokio::task::spawn_blocking(move || {
                let Some(name) = names.get(number) else { return Ok(()) };
                ledger
                    .commit(&[(name.as_str(), &position)])
                    .context("cannot write down what has been delivered")
            }))
        })
        .try_buffered(1)
        .try_for_each(async |()| Ok(()));
    stages.await?;
    let error = input_error.lock().unwrap_or_else(PoisonError::into_inner).take();
    error.map_or(Ok(()), Err)
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
    dropped: u64,
}

fn filter(chains: &Mutex<Vec<Chain>>, outputs: &[LineOutput], number: usize, read: Read) -> Result<Filtered> {
    let Read { events, position } = read;
    if events.rows() == 0 {
        let shares = Shares::default();
        return Ok(Filtered { number, position, shares, dead_letters: Vec::new(), dropped: 0 });
    }
    let taken = chains.lock().unwrap_or_else(PoisonError::into_inner).pop();
    let Some(mut chain) = taken else {
        return Err(anyhow!("more batches are being filtered than there are chains"));
    };
    let processed = chain.process(events);
    chains.lock().unwrap_or_else(PoisonError::into_inner).push(chain);
    let processed = processed?;
    Ok(Filtered {
        number,
        position,
        shares: Shares::new(outputs, processed.batch),
        dead_letters: processed.dead_letters.iter().flat_map(letters_of).collect(),
        dropped: processed.dropped,
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
    started: Instant,
) -> impl Future<Output = Result<(usize, Position)>> + 'l {
    let Filtered { number, position, shares, dead_letters: letters, dropped } = filtered;
    counts.filtered.fetch_add(shares.events, Ordering::Relaxed);
    counts.copied.fetch_add(shares.copied, Ordering::Relaxed);
    let untaken = shares.untaken;
    let mut sends = Vec::with_capacity(outputs.len());
    let mut writes = vec![dead_letters.write(letters)];
    for (output, share) in outputs.iter().zip(shares.by_output) {
        if let Some(events) = share.events {
            sends.push(output.output.send(events));
        }
        if !share.undecided.is_empty() {
            writes.push(output.dead_letters.write(share.undecided));
        }
    }
    async move {
        let writes = async { try_join_all(writes).await.context("cannot write dead letters") };
        let (written, answers) = tokio::try_join!(writes, try_join_all(sends))?;
        let mut delivery = Delivery { dropped: dropped + untaken, ..Delivery::default() };
        for answer in written.into_iter().chain(answers) {
            delivery += answer;
        }
        counts.add(delivery, started);
        Ok((number, position))
    }
}

impl LineCounts {
    fn add(&self, delivery: Delivery, started: Instant) {
        self.delivered.fetch_add(delivery.delivered, Ordering::Relaxed);
        self.dead_lettered.fetch_add(delivery.dead_lettered, Ordering::Relaxed);
        self.dropped.fetch_add(delivery.dropped, Ordering::Relaxed);
        if delivery.delivered > 0 && self.first_event.load(Ordering::Relaxed) == 0 {
            let nanoseconds = u64::try_from(started.elapsed().as_nanos()).unwrap_or(u64::MAX);
            self.first_event.store(nanoseconds.max(1), Ordering::Relaxed);
        }
    }
}

/// A spawned task's answer; a panic in it is an error of the line.
async fn joined<T>(task: tokio::task::JoinHandle<Result<T>>) -> Result<T> {
    task.await.map_err(|error| anyhow!("a task of the line ended unexpectedly: {error}"))?
}
