//! Compares, hour by hour, what CloudWatch Logs holds with what the ledger says and with what Elasticsearch has, and can
//! deliver what is missing. Works beside a running pipeline, changes nothing of the ledger, and holds one page of events.
//!
//! In which order things are asked is what makes the answer right while a pipeline runs: first the documents; of events
//! that are not there, whether the ledger says that they were delivered; then the dead letters; and, after a refresh, the
//! documents again. So what the ledger calls delivered, or was replayed, has to be there at the last look. The refresh is
//! left out for what was visible at the last one already.

mod deliver;
mod letters;
mod passage;
mod recorded;
mod report;

use std::collections::{BTreeSet, HashSet};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use tokio_util::sync::CancellationToken;

use self::deliver::Deliverer;
use self::letters::Letters;
use self::passage::{Fate, Passed};
use crate::assembly::{self, Prepared};
use crate::config::{Config, OutputConfig, OutputOptions};
use crate::event::Identity;
use crate::filter::Chain;
use crate::input::cloudwatch_logs::recorded::{Recorded, RecordedQuestion, RecordedWindows};
use crate::input::cloudwatch_logs::{
    CloudwatchLogsOptions, InspectedBatch, InspectedGroup, Inspector, windows::GRACE, windows::WINDOW,
};
use crate::input::{InputContext, Source};
use crate::ledger::Ledger;
use crate::output::dead_letter::DeadLetterPlace;
use crate::output::elasticsearch::lookup::{Comparison, Lookup, comparison, document_id};

pub use report::{Audited, Counts, Hour, LedgerHour, MissingEvent, OutputHour, Told};

const HOUR: i64 = 3_600_000;
/// Ids in one question to the ledger: the question stays below what the socket takes.
const IDS_OF_A_QUESTION: usize = 1000;

/// What is compared.
#[derive(Clone, Debug)]
pub struct AuditOptions {
    /// From this time of events on, in milliseconds since 1970 …
    pub since: i64,
    /// … up to but not including this one.
    pub until: i64,
    /// What is missing is delivered.
    pub fetch: bool,
    /// Ends the audit.
    pub stop: CancellationToken,
}

/// Takes what is found, as it is found.
pub type Tell<'t> = dyn FnMut(Told) -> Result<()> + Send + 't;

/// The end of what is closed by now if the pipeline runs: before it no event is waited for any more.
pub fn settled_until(config: &Config, now: i64) -> i64 {
    let lookback = cloudwatch_inputs(config).map(|(_, options)| options.lookback).max();
    let lookback = i64::try_from(lookback.unwrap_or(Duration::ZERO).as_millis()).unwrap_or(i64::MAX);
    now.saturating_sub(lookback).saturating_sub(GRACE + WINDOW).div_euclid(WINDOW) * WINDOW
}

/// What cannot be compared by id, in plain words.
pub fn notes(config: &Config) -> Vec<String> {
    let mut notes = Vec::new();
    for output in &config.outputs {
        let name = &output.name;
        match kind_of(output) {
            Comparison::ById => {}
            Comparison::ByCount => notes.push(format!(
                "output {name} has a document_id of its own, so its documents cannot be led back to events: only numbers \
                 are compared, of events and of documents by their @timestamp; equal ids make one document of several \
                 events, and a filter that sets @timestamp moves documents to other hours"
            )),
            Comparison::No if output.options.type_name() == "elasticsearch" => notes.push(format!(
                "output {name} updates or removes documents, which cannot be compared with events"
            )),
            Comparison::No => notes.push(format!(
                "output {name} ({}) cannot be asked what it has; nothing is compared there",
                output.options.type_name()
            )),
        }
    }
    for input in &config.inputs {
        if !matches!(input.options.source, Source::CloudwatchLogs(_)) {
            let kind = input.options.source.type_name();
            notes.push(format!(
                "input {} ({kind}) is left out: only CloudWatch Logs can be asked",
                input.name
            ));
        }
    }
    notes
}

/// Audits a pipeline. Events that are missing are told before their hour.
///
/// # Errors
/// When the service, the servers, the ledger or the dead letters do not answer, when a filter stops the pipeline, and when a
/// stop comes.
pub async fn audit(prepared: &Prepared, options: &AuditOptions, tell: &mut Tell<'_>) -> Result<Audited> {
    let config = &prepared.config;
    let mut outputs = Vec::with_capacity(config.outputs.len());
    for output in &config.outputs {
        outputs.push(AuditedOutput::open(output).await?);
    }
    let chain = prepared.chain.clone();
    let chain = tokio::task::spawn_blocking(move || chain.start())
        .await
        .context("starting the filters broke off")??;
    let mut auditor = Auditor {
        config,
        options,
        letters: Letters::new(assembly::dead_letter_folders(config)),
        keeps_letters: matches!(assembly::default_place(config), DeadLetterPlace::Folder(_)),
        chain: Some(chain),
        deliverer: Deliverer::new(config, options.stop.clone()),
        outputs,
        visible_to: i64::MIN,
        tell,
        audited: Audited::default(),
    };
    let stop = options.stop.clone();
    tokio::select! {
        ended = auditor.all_inputs(prepared) => ended?,
        () = stop.cancelled() => bail!("stopped before the end"),
    }
    Ok(auditor.audited)
}

fn cloudwatch_inputs(config: &Config) -> impl Iterator<Item = (&str, &CloudwatchLogsOptions)> {
    config.inputs.iter().filter_map(|input| match &input.options.source {
        Source::CloudwatchLogs(options) => Some((input.name.as_str(), &**options)),
        _ => None,
    })
}

fn kind_of(output: &OutputConfig) -> Comparison {
    match &output.options {
        OutputOptions::Elasticsearch(options) => comparison(options),
        OutputOptions::File(_) | OutputOptions::Stdout(_) => Comparison::No,
    }
}

struct AuditedOutput {
    name: String,
    kind: Comparison,
    lookup: Option<Lookup>,
}

impl AuditedOutput {
    async fn open(output: &OutputConfig) -> Result<Self> {
        let (name, kind) = (output.name.clone(), kind_of(output));
        let lookup = match &output.options {
            OutputOptions::Elasticsearch(options) if kind != Comparison::No => Some(
                Lookup::open(&name, options).await.with_context(|| format!("cannot ask output {name}"))?,
            ),
            _ => None,
        };
        Ok(AuditedOutput { name, kind, lookup })
    }
}

struct Auditor<'a, 't> {
    config: &'a Config,
    options: &'a AuditOptions,
    letters: Letters,
    /// Whether events that filters set aside are kept at all.
    keeps_letters: bool,
    chain: Option<Chain>,
    deliverer: Deliverer<'a>,
    outputs: Vec<AuditedOutput>,
    /// Of the group that is compared: up to here all that was delivered is seen by searches.
    visible_to: i64,
    tell: &'a mut Tell<'t>,
    audited: Audited,
}

/// Where events are compared at present.
struct Place<'p> {
    input: &'p str,
    group: &'p InspectedGroup,
}

impl Auditor<'_, '_> {
    async fn all_inputs(&mut self, prepared: &Prepared) -> Result<()> {
        let memory = Ledger::in_memory()?;
        for input in &self.config.inputs {
            let Source::CloudwatchLogs(options) = &input.options.source else { continue };
            let context = InputContext {
                name: input.name.clone(),
                names: prepared.names.clone(),
                ledger: memory.input(&input.name),
                batch_size: self.config.pipeline.batch_size.max(1),
                batch_delay: Duration::ZERO,
                stop: self.options.stop.clone(),
                once: true,
                decoration: input.options.decoration.clone(),
                codec: input.options.codec,
            };
            let inspector = Inspector::open((**options).clone(), &context).await;
            let inspector = inspector.with_context(|| format!("input {} cannot be asked", input.name))?;
            for group in inspector.groups().await? {
                self.visible_to = i64::MIN;
                let mut from = self.options.since;
                while from < self.options.until {
                    let next = (from.div_euclid(HOUR) + 1).saturating_mul(HOUR).min(self.options.until);
                    self.hour(&inspector, &Place { input: &input.name, group: &group }, from, next).await?;
                    from = next;
                }
            }
        }
        // Numbers of documents are by time and not by input, so they come once, for the whole span.
        for (output, total) in self.outputs.iter().zip(&mut self.audited.outputs) {
            if let (Comparison::ByCount, Some(lookup)) = (output.kind, &output.lookup) {
                lookup.refresh().await?;
                total.documents = lookup.count(self.options.since, self.options.until).await?;
            }
        }
        Ok(())
    }

    async fn hour(&mut self, inspector: &Inspector, place: &Place<'_>, from: i64, to: i64) -> Result<()> {
        let mut hour = Hour {
            input: place.input.to_owned(),
            log_group: place.group.name.clone(),
            from,
            to,
            outputs: self.outputs.iter().map(|output| OutputHour::new(&output.name, output.kind)).collect(),
            ..Hour::default()
        };
        let mut inspection = inspector.inspect(place.group, from, to);
        while let Some(batches) = inspection.next().await? {
            for batch in batches {
                self.batch(place, batch, &mut hour).await?;
            }
        }
        let recorded = self.ask_ledger(place, from, to, &[]).await?;
        hour.ledger = LedgerHour::new(recorded.windows, recorded.ids, from, to);
        for (output, of_hour) in self.outputs.iter().zip(&mut hour.outputs) {
            if let (Comparison::ByCount, Some(lookup)) = (output.kind, &output.lookup) {
                lookup.refresh().await?;
                of_hour.documents = lookup.count(from, to).await?;
            }
        }
        self.audited.add(&hour);
        (self.tell)(Told::Hour(hour))
    }

    async fn ask_ledger(&self, place: &Place<'_>, from: i64, to: i64, ids: &[Identity]) -> Result<Recorded> {
        let mut all = Recorded::default();
        let mut parts: Vec<&[Identity]> = ids.chunks(IDS_OF_A_QUESTION).collect();
        if parts.is_empty() {
            parts.push(&[]);
        }
        for part in parts {
            let question = RecordedQuestion {
                input: place.input.to_owned(),
                source: place.group.source().to_owned(),
                from,
                to,
                ids: part.iter().map(|id| format!("{id:032x}")).collect(),
            };
            let said = recorded::ask(self.config.pipeline.state_dir.clone(), question).await?;
            all.known.extend(said.known);
            (all.windows, all.ids) = (said.windows, said.ids);
        }
        Ok(all)
    }

    /// Looks where events are, in the order that makes the answer right.
    async fn look(
        &mut self,
        place: &Place<'_>,
        batch: &InspectedBatch,
        ids: &[String],
        counts_all: bool,
    ) -> Result<Looked> {
        let identity = |row: usize| batch.events.identity(row);
        let time = |row: usize| batch.times.get(row).copied().unwrap_or_default();
        let mut has = self.stored(ids).await?;
        let mut wanted: Vec<usize> =
            (0..ids.len()).filter(|row| counts_all || is_lacking(ids, *row, &has)).collect();
        let mut not_read = HashSet::new();
        if wanted.is_empty() {
            return Ok(Looked { has, not_read, wanted: BTreeSet::new() });
        }
        let times = || wanted.iter().map(|row| time(*row));
        let (from, to) = (times().min().unwrap_or_default(), times().max().unwrap_or_default() + 1);
        let identities: Vec<Identity> = wanted.iter().map(|row| identity(*row)).collect();
        let said = self.ask_ledger(place, from, to, &identities).await?;
        let known: HashSet<&str> = said.known.iter().map(String::as_str).collect();

        let mut letters = std::mem::replace(&mut self.letters, Letters::new(Vec::new()));
        let reload = move || letters.reload().map(|has_changed| (letters, has_changed));
        let (letters, has_changed) =
            tokio::task::spawn_blocking(reload).await.context("reading the dead letters broke off")??;
        self.letters = letters;

        let lacking: Vec<usize> = wanted.iter().copied().filter(|row| is_lacking(ids, *row, &has)).collect();
        if has_changed || lacking.iter().any(|row| time(*row) >= self.visible_to) {
            self.refresh().await?;
            // What the ledger and the dead letters said before the refresh was stored before it.
            self.visible_to = said.windows.map_or(i64::MIN, |windows| windows.closed_to);
            let lacking: Vec<String> = lacking.iter().filter_map(|row| ids.get(*row).cloned()).collect();
            for (has, now) in has.iter_mut().zip(self.stored(&lacking).await?) {
                if let (Some(has), Some(now)) = (has.as_mut(), now) {
                    has.extend(now);
                }
            }
        }
        wanted.retain(|row| counts_all || is_lacking(ids, *row, &has));
        for row in &wanted {
            let is_delivered = known.contains(format!("{:032x}", identity(*row)).as_str());
            let is_read = said.windows.is_some_and(|windows| was_read(windows, time(*row)));
            if !is_delivered && !is_read && self.letters.of(identity(*row)).next().is_none() {
                not_read.insert(*row);
            }
        }
        let wanted = wanted.into_iter().filter(|row| !not_read.contains(row)).collect();
        Ok(Looked { has, not_read, wanted })
    }

    /// Compares some events.
    async fn batch(&mut self, place: &Place<'_>, batch: InspectedBatch, hour: &mut Hour) -> Result<()> {
        let rows = batch.times.len();
        let identity = |row: usize| batch.events.identity(row);
        let ids: Vec<String> = (0..rows).map(|row| document_id(identity(row))).collect();
        let counts_all = self.outputs.iter().any(|output| output.kind == Comparison::ByCount);
        let Looked { has, not_read, wanted } = self.look(place, &batch, &ids, counts_all).await?;
        let passed = match wanted.is_empty() {
            true => Passed::none(),
            false => {
                let rows: Vec<usize> = wanted.iter().copied().collect();
                Passed::new(&mut self.chain, self.config, batch.events.select(&rows)).await?
            }
        };
        let mut missing = Vec::new();
        for row in 0..rows {
            let id = ids.get(row).map(String::as_str).unwrap_or_default();
            let is_compared = has.iter().any(Option::is_some);
            let is_lacking = is_lacking(&ids, row, &has) || (!is_compared && counts_all);
            let verdict = match wanted.contains(&row) {
                true => self.judge(identity(row), id, &passed, &has, hour),
                false if is_lacking && not_read.contains(&row) => Verdict::NotRead,
                false if is_compared => Verdict::Stored,
                false => Verdict::Uncompared,
            };
            hour.counts.events += 1;
            for (stored, output) in has.iter().zip(&mut hour.outputs) {
                output.documents += u64::from(stored.as_ref().is_some_and(|stored| stored.contains(id)));
            }
            match verdict {
                Verdict::Stored => hour.counts.stored += 1,
                Verdict::SetAside => hour.counts.set_aside += 1,
                Verdict::Dropped => hour.counts.dropped_by_rule += 1,
                Verdict::NotRead => hour.counts.not_read += 1,
                Verdict::Uncompared => hour.counts.uncompared += 1,
                Verdict::Missing(outputs) => {
                    hour.counts.missing += 1;
                    missing.push((row, outputs));
                }
            }
        }
        self.tell_missing(place, &batch, &passed, missing, hour).await
    }

    /// What an event is that was read, and went through the filters once more.
    fn judge(
        &self,
        identity: Identity,
        id: &str,
        passed: &Passed,
        has: &[Option<HashSet<String>>],
        hour: &mut Hour,
    ) -> Verdict {
        let set_aside_by: HashSet<&str> = self.letters.of(identity).collect();
        let of_filter = set_aside_by.iter().any(|by| self.outputs.iter().all(|output| output.name != **by));
        let row = match passed.fate(identity) {
            _ if of_filter => return Verdict::SetAside,
            Fate::Passed(row) => row,
            Fate::Dropped => return Verdict::Dropped,
            // Whoever keeps no dead letters has it dropped.
            Fate::SetAside(_) if !self.keeps_letters => return Verdict::Dropped,
            Fate::SetAside(_) => return Verdict::Missing(Vec::new()),
        };
        let (mut lacking, mut is_taken, mut is_compared) = (Vec::new(), false, false);
        for (number, output) in self.outputs.iter().enumerate() {
            let takes = passed.takes(number, row);
            if takes == Some(false) {
                continue;
            }
            is_taken = true;
            if set_aside_by.contains(output.name.as_str()) {
                continue;
            }
            let stored = has.get(number).and_then(Option::as_ref);
            is_compared |= stored.is_some();
            match stored {
                Some(stored) if !stored.contains(id) => lacking.push(number),
                Some(_) => {}
                None => {
                    if let Some(of_hour) = hour.outputs.get_mut(number) {
                        of_hour.expected += 1;
                    }
                }
            }
        }
        match () {
            () if !is_taken => Verdict::Dropped,
            () if !lacking.is_empty() => Verdict::Missing(lacking),
            () if !set_aside_by.is_empty() => Verdict::SetAside,
            () if is_compared => Verdict::Stored,
            () => Verdict::Uncompared,
        }
    }

    async fn tell_missing(
        &mut self,
        place: &Place<'_>,
        batch: &InspectedBatch,
        passed: &Passed,
        missing: Vec<(usize, Vec<usize>)>,
        hour: &mut Hour,
    ) -> Result<()> {
        if self.options.fetch && !missing.is_empty() {
            let mut letters = Vec::new();
            let mut rows: Vec<Vec<usize>> = vec![Vec::new(); self.outputs.len()];
            for (row, outputs) in &missing {
                match passed.fate(batch.events.identity(*row)) {
                    Fate::Passed(passed) => outputs.iter().for_each(|output| {
                        rows.get_mut(*output).into_iter().for_each(|rows| rows.push(passed));
                    }),
                    Fate::SetAside(letter) => letters.push(letter.clone()),
                    Fate::Dropped => {}
                }
            }
            if !letters.is_empty() {
                self.deliverer.set_aside(letters).await?;
            }
            for (number, rows) in rows.iter().enumerate().filter(|(_, rows)| !rows.is_empty()) {
                self.deliverer.send(number, passed.batch.select(rows)).await?;
            }
            hour.counts.fetched += missing.len() as u64;
        }
        for (row, outputs) in missing {
            let name = |number: &usize| self.outputs.get(*number).map(|output| output.name.clone());
            (self.tell)(Told::Missing(MissingEvent {
                input: place.input.to_owned(),
                log_group: place.group.name.clone(),
                time: batch.times.get(row).copied().unwrap_or_default(),
                event_id: batch.event_ids.get(row).cloned().unwrap_or_default(),
                document_id: document_id(batch.events.identity(row)),
                outputs: outputs.iter().filter_map(name).collect(),
                fetched: self.options.fetch,
            }))?;
        }
        Ok(())
    }

    /// Of every output that is compared by id, which of the ids it has.
    async fn stored(&self, ids: &[String]) -> Result<Vec<Option<HashSet<String>>>> {
        let mut has = Vec::with_capacity(self.outputs.len());
        for output in &self.outputs {
            has.push(match (output.kind, &output.lookup) {
                (Comparison::ById, Some(lookup)) => Some(
                    lookup.stored(ids).await.with_context(|| format!("cannot ask output {}", output.name))?,
                ),
                _ => None,
            });
        }
        Ok(has)
    }

    async fn refresh(&self) -> Result<()> {
        for output in self.outputs.iter().filter(|output| output.kind == Comparison::ById) {
            if let Some(lookup) = &output.lookup {
                lookup.refresh().await.with_context(|| format!("cannot ask output {}", output.name))?;
            }
        }
        Ok(())
    }
}

/// Where events are; by their rows.
struct Looked {
    /// Of every output that is compared by id, the ids that it has.
    has: Vec<Option<HashSet<String>>>,
    /// Events that are not there, and of which nobody says that they should be.
    not_read: HashSet<usize>,
    /// Those that the filters have to tell more about.
    wanted: BTreeSet<usize>,
}

/// Whether an output that is compared by id does not have an event.
fn is_lacking(ids: &[String], row: usize, has: &[Option<HashSet<String>>]) -> bool {
    has.iter().flatten().any(|stored| ids.get(row).is_some_and(|id| !stored.contains(id)))
}

/// What an event is found to be.
enum Verdict {
    Stored,
    SetAside,
    Dropped,
    NotRead,
    Uncompared,
    /// In these outputs; in none by name where a filter sets it aside and its letter is gone.
    Missing(Vec<usize>),
}

/// Whether the reader is done with a time: events of it that it did not deliver then are missing.
fn was_read(windows: RecordedWindows, time: i64) -> bool {
    windows.from.is_none_or(|from| time >= from) && time < windows.closed_to
}
