//! Replays dead letters: each goes on from where it was set aside, or through all filters, or to the outputs alone. A letter
//! is marked as done with once all that came of it is stored, and not before; one that fails again stays. Every event has
//! the identity that it had, so that what a killed replay had stored already is stored once. Which letters there are, and
//! how marks are kept, is left to `output::dead_letter`; a pipeline that runs meanwhile is not disturbed.

mod events;
mod going;

use std::collections::HashMap;
use std::fs::OpenOptions;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result, bail};
use futures::future::try_join_all;
use tokio_util::sync::CancellationToken;

use self::events::{Failures, Filtered};
use self::going::{Destination, Going, LetterReader};
use crate::assembly;
use crate::config::Config;
use crate::event::FieldNames;
use crate::filter::{Chain, ChainEnvironment, Engine};
use crate::output::dead_letter::{self, DeadLetterPlace, FoundLetter, LetterFilter, LetterId};
use crate::output::{self, DeadLetters, OutputContext, Waiting};
use crate::pipeline::LineOutput;
use crate::shares::Shares;

/// How many failures are told one by one.
const TOLD: usize = 20;

/// Where letters go.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ReplayTo {
    /// To the output that set them aside; through the filter that did, and on from there.
    #[default]
    Plugin,
    /// Through all filters, from the first one, and to all outputs.
    Filters,
    /// To the output that set them aside, or to all where a filter did.
    Output,
}

/// What is replayed, and how.
#[derive(Clone, Debug, Default)]
pub struct ReplayOptions {
    /// Where letters go.
    pub to: ReplayTo,
    /// Which letters.
    pub filter: LetterFilter,
    /// Filters run, but nothing is delivered and nothing is marked.
    pub dry_run: bool,
    /// Ends the replay: what is not delivered by then stays.
    pub stop: CancellationToken,
}

/// What came of a replay.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Replayed {
    /// Letters that are done with: all that came of them is stored, or dropped by a rule of the user's.
    pub done: u64,
    /// Letters that stay, because a filter or output refuses them again.
    pub failed: u64,
    /// The first of those: which letter, and what is wrong.
    pub failures: Vec<(LetterId, String)>,
    /// Letters whose plugin is no filter or output of the pipeline, by plugin; they stay.
    pub strangers: HashMap<String, u64>,
    /// Lines that cannot be read; they stay.
    pub damaged: u64,
    /// Events that were stored, or found stored.
    pub delivered: u64,
}

/// Replays the dead letters of a pipeline.
///
/// # Errors
/// When its filters or outputs cannot be opened, another replay is at work, the folder cannot be read or marked, or a stop
/// came. What was delivered until then is marked as done with.
pub async fn replay(
    config: &Config,
    engine: &Engine,
    environment: &ChainEnvironment,
    options: &ReplayOptions,
) -> Result<Replayed> {
    let mut replayed = Replayed::default();
    for folder in assembly::dead_letter_folders(config) {
        if !folder.exists() {
            continue;
        }
        let lock = if options.dry_run { None } else { Some(lock_replay(&folder)?) };
        let mut replay = Replay {
            config,
            engine,
            environment,
            options,
            folder: folder.clone(),
            kept: Arc::new(open_letters(config, DeadLetterPlace::Kept, options)?),
            chains: HashMap::new(),
            outputs: HashMap::new(),
            replayed: std::mem::take(&mut replayed),
        };
        let ended = replay.run().await;
        if !options.dry_run {
            blocking(move || dead_letter::lock(&folder)?.remove_done()).await?;
        }
        replayed = replay.replayed;
        drop(lock);
        ended?;
    }
    Ok(replayed)
}

/// Two replays at once would deliver events without an identity twice.
fn lock_replay(folder: &Path) -> Result<std::fs::File> {
    let path = folder.join("replay.lock");
    let file = OpenOptions::new().create(true).append(true).mode(0o600).open(&path);
    let file = file.with_context(|| format!("cannot open {}", path.display()))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(std::fs::TryLockError::WouldBlock) => {
            bail!(
                "another `weir dlq replay` or `remove` is at work in {}; wait for its end",
                folder.display()
            )
        }
        Err(std::fs::TryLockError::Error(error)) => {
            Err(error).with_context(|| format!("cannot lock {}", path.display()))
        }
    }
}

/// Marks letters as done with, without delivering them, and answers how many.
///
/// # Errors
/// When a replay is at work, or the folder cannot be read or marked.
pub fn remove(folder: &Path, filter: &LetterFilter) -> Result<u64> {
    let _lock = lock_replay(folder)?;
    let mut marked = Vec::new();
    for line in dead_letter::read_folder(folder)? {
        if let dead_letter::Line::Letter(found) = line?
            && filter.takes(&found)
        {
            marked.push((found.id, found.checksum));
        }
    }
    let locked = dead_letter::lock(folder)?;
    locked.mark_done(&marked)?;
    locked.remove_done()?;
    Ok(marked.len() as u64)
}

fn open_letters(config: &Config, place: DeadLetterPlace, options: &ReplayOptions) -> Result<DeadLetters> {
    let pipeline = &config.pipeline;
    let (limits, waiting) = (pipeline.dead_letter.limits, Arc::<Waiting>::default());
    DeadLetters::open(place, limits, &pipeline.name, waiting, options.stop.clone())
}

/// A replay of one folder.
struct Replay<'r> {
    config: &'r Config,
    engine: &'r Engine,
    environment: &'r ChainEnvironment,
    options: &'r ReplayOptions,
    folder: PathBuf,
    /// Where outputs put what they refuse again.
    kept: Arc<DeadLetters>,
    /// By their first step.
    chains: HashMap<usize, (Chain, Arc<FieldNames>)>,
    /// By their number.
    outputs: HashMap<usize, LineOutput>,
    replayed: Replayed,
}

impl Replay<'_> {
    async fn run(&mut self) -> Result<()> {
        let mut reader =
            LetterReader::open(&self.folder, self.config, self.options.to, self.options.filter.clone())?;
        loop {
            let (back, going) = blocking(move || {
                let going = reader.next_going()?;
                Ok((reader, going))
            })
            .await?;
            reader = back;
            let Some(going) = going else { break };
            if self.options.stop.is_cancelled() {
                bail!("stopped; the letters that were not replayed yet stay");
            }
            self.pass(going).await?;
        }
        self.replayed.damaged += reader.damaged;
        for (plugin, count) in reader.strangers {
            *self.replayed.strangers.entry(plugin).or_default() += count;
        }
        Ok(())
    }

    /// Passes some letters through, and marks those that are done with.
    async fn pass(&mut self, going: Going) -> Result<()> {
        let Going { destination, letters } = going;
        let letters = Arc::new(letters);
        let mut failures = Failures::new(letters.clone());
        let filtered = self.filter(destination, letters.clone()).await?;
        failures.add_unreadable(filtered.unreadable);
        failures.add_letters(filtered.dead_letters);
        if !self.options.dry_run && filtered.batch.rows() > 0 {
            let outputs = self.outputs_of(destination).await?;
            let divide = move || {
                let shares = Shares::new(&outputs, filtered.batch);
                Ok((outputs, shares))
            };
            let (outputs, shares) = blocking(divide).await?;
            let mut sends = Vec::with_capacity(outputs.len());
            for (output, share) in outputs.iter().zip(shares.by_output) {
                sends.extend(share.events.map(|events| output.output.send(events)));
                failures.add_letters(share.undecided);
            }
            let answers = try_join_all(sends).await?;
            self.replayed.delivered += answers.iter().map(|answer| answer.delivered).sum::<u64>();
            failures.add_letters(self.kept.take_kept());
        }
        self.settle(&letters, failures).await
    }

    async fn settle(&mut self, letters: &[FoundLetter], failures: Failures) -> Result<()> {
        let Failures { failed, unknown, .. } = failures;
        if !self.options.dry_run && !unknown.is_empty() {
            // A filter took away by what the letter could be told: what it made of it is a letter of its own.
            let place = DeadLetterPlace::Folder(self.folder.clone());
            self.replayed.failed += unknown.len() as u64;
            open_letters(self.config, place, self.options)?.write(unknown).await?;
        }
        let mut done = Vec::with_capacity(letters.len());
        for found in letters {
            match failed.get(&found.id) {
                None => done.push((found.id, found.checksum)),
                Some(reason) => {
                    self.replayed.failed += 1;
                    if self.replayed.failures.len() < TOLD {
                        self.replayed.failures.push((found.id, reason.clone()));
                    }
                }
            }
        }
        self.replayed.done += done.len() as u64;
        if self.options.dry_run || done.is_empty() {
            return Ok(());
        }
        let folder = self.folder.clone();
        blocking(move || dead_letter::lock(&folder)?.mark_done(&done)).await
    }

    async fn filter(&mut self, destination: Destination, letters: Arc<Vec<FoundLetter>>) -> Result<Filtered> {
        let Destination::Filters(first) = destination else {
            return blocking(move || Ok(events::unfiltered(&letters))).await;
        };
        let (chain, names) = match self.chains.remove(&first) {
            Some(chain) => chain,
            None => self.start_chain(first)?,
        };
        let run = move || {
            let mut chain = chain;
            let filtered = events::filtered(&letters, &mut chain, &names)?;
            Ok((filtered, chain, names))
        };
        let (filtered, chain, names) = blocking(run).await?;
        self.chains.insert(first, (chain, names));
        Ok(filtered)
    }

    fn start_chain(&self, first: usize) -> Result<(Chain, Arc<FieldNames>)> {
        let mut part = self.config.clone();
        part.steps.drain(..first.min(part.steps.len()));
        let prepared = assembly::prepare(part, self.engine, self.environment)
            .map_err(|problems| anyhow::anyhow!("{}", problems.render(false).trim_end()))?;
        Ok((prepared.chain.start()?, prepared.names))
    }

    async fn outputs_of(&mut self, destination: Destination) -> Result<Vec<LineOutput>> {
        let numbers = match destination {
            Destination::Output(number) => number..number + 1,
            Destination::Filters(_) | Destination::Outputs => 0..self.config.outputs.len(),
        };
        let mut outputs = Vec::with_capacity(numbers.len());
        for number in numbers {
            let Some(output) = self.config.outputs.get(number) else { continue };
            if let Some(open) = self.outputs.get(&number) {
                outputs.push(open.clone());
                continue;
            }
            let context = OutputContext {
                name: output.name.clone(),
                pipeline: self.config.pipeline.name.clone(),
                dead_letters: self.kept.clone(),
                waiting: Arc::default(),
                counts: Arc::default(),
                stop: self.options.stop.clone(),
            };
            let opened = output::open(output.options.clone(), context).await;
            let opened = opened.with_context(|| format!("cannot open output {}", output.name))?;
            let opened = LineOutput {
                name: output.name.clone(),
                output: Arc::from(opened),
                when: output.when.clone().map(Arc::new),
                dead_letters: self.kept.clone(),
            };
            self.outputs.insert(number, opened.clone());
            outputs.push(opened);
        }
        Ok(outputs)
    }
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    tokio::task::spawn_blocking(work).await.context("a part of the replay ended unexpectedly")?
}
