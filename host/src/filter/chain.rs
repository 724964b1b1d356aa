//! One worker's instances of a pipeline's filters, and the way of rows through one of them: what becomes of those that it
//! failed on, and of those that broke it. Which rows reach a filter is left to `branch`, what a step changes to `apply`.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow, bail};

use super::answer;
use super::apply::{self, SentRows, Tagger};
use super::branch::{Step, run_steps, with_own_counts};
use super::counts::FilterCounts;
use super::definition::{Clock, ConfiguredFilter};
use super::encode::{Encoder, Rows};
use super::guest_state::time_of;
use super::instance::{Break, Instance};
use super::interface::Outcome;
use super::passage::{Dropped, Passage, SetAside};
use crate::config::OnFailure;
use crate::event::{Batch, RowSet};

/// The shortest deadline of a retry.
const SHORTEST_RETRY: Duration = Duration::from_millis(20);

/// After so many breaks in one batch, the rest of it goes the way of `on_trap`.
const MOST_BREAKS: usize = 12;

/// The filters of one worker. Calls run guests and may take as long as their deadlines allow: not for a thread of the
/// async runtime.
pub struct Chain {
    filters: Vec<Running>,
    steps: Arc<[Step]>,
    /// What this worker counts in a batch, and where it goes at the batch's end.
    counts: Vec<(Arc<FilterCounts>, Arc<FilterCounts>)>,
}

/// The error of a batch that a guest broke on, of a chain that gives such batches back. Nothing of it is counted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct GivenBack {
    pub(super) filter: Arc<str>,
    pub(super) kind: &'static str,
    pub(super) reason: String,
}

impl std::fmt::Display for GivenBack {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "filter {} broke: {}", self.filter, self.reason)
    }
}

impl std::error::Error for GivenBack {}

/// What became of a batch.
#[derive(Debug)]
pub struct Processed {
    /// The events that go on, in order; events that a filter added stand at the end.
    pub batch: Batch,
    /// Events set aside by `on_error` or `on_trap`.
    pub dead_letters: Vec<SetAside>,
    /// How many events left by the rule of a filter or by `on_error` or `on_trap`.
    pub dropped: u64,
    /// The same, where and by which rule.
    pub dropped_at: Vec<Dropped>,
    /// How many events filters added.
    pub added: u64,
}

impl Chain {
    pub(super) fn start(filters: &[Arc<ConfiguredFilter>], steps: &[Step]) -> Result<Self> {
        let mut counts = Vec::with_capacity(filters.len() + 1);
        let mut running = Vec::with_capacity(filters.len());
        for filter in filters {
            let own = filter.with_own_counts();
            counts.push((own.counts.clone(), filter.counts.clone()));
            counts.push((own.counts.clone(), filter.version_counts.clone()));
            running.push(Running::start(Arc::new(own))?);
        }
        let steps = with_own_counts(steps, &mut counts).into();
        Ok(Chain { filters: running, steps, counts })
    }

    /// Passes a batch through all filters. The batch must have been made with the names of the pipeline.
    ///
    /// # Errors
    /// When a step's `on_error` or `on_trap` says `"stop"`, or a guest cannot be started anew. Nothing of the batch may
    /// then be acknowledged.
    pub fn process(&mut self, batch: Batch) -> Result<Processed> {
        let processed = self.pass(batch);
        for (own, shared) in &self.counts {
            shared.absorb(own);
        }
        self.clear_counts();
        processed
    }

    /// The same for a chain that is not trusted yet: at a guest's first break the batch is given back with the error
    /// [`GivenBack`], whoever runs it again, and so is one after which `accept` says no. Nothing of it is counted then.
    pub(super) fn try_process(
        &mut self,
        batch: Batch,
        accept: impl FnOnce(&Chain) -> Result<()>,
    ) -> Result<Processed> {
        self.give_back(true);
        let processed = self.pass(batch).and_then(|processed| accept(self).map(|()| processed));
        self.give_back(false);
        if processed.is_ok() {
            for (own, shared) in &self.counts {
                shared.absorb(own);
            }
        }
        self.clear_counts();
        processed
    }

    /// Filters are told this time from now on.
    pub(super) fn set_clock(&mut self, clock: Clock) {
        self.filters.iter_mut().for_each(|filter| filter.clock = clock);
    }

    /// Counts for nobody from now on: what is tried beside the line is no event of it.
    pub(super) fn count_nowhere(&mut self) {
        self.counts.iter_mut().for_each(|(_, shared)| *shared = Arc::default());
    }

    /// The filters, to save and restore what they keep.
    pub(super) fn running(&mut self) -> &mut [Running] {
        &mut self.filters
    }

    /// The filters with what this worker counted of the batch under way.
    pub(super) fn filters(&self) -> impl Iterator<Item = &Arc<ConfiguredFilter>> {
        self.filters.iter().map(|running| &running.filter)
    }

    fn give_back(&mut self, gives: bool) {
        self.filters.iter_mut().for_each(|filter| filter.gives_back = gives);
    }

    fn clear_counts(&self) {
        self.counts.iter().for_each(|(own, _)| own.clear());
    }

    fn pass(&mut self, batch: Batch) -> Result<Processed> {
        let entered = batch.rows();
        let mut passage = Passage::new(batch);
        let rows = passage.rows.clone();
        run_steps(&self.steps, &mut self.filters, &mut passage, rows)?;
        let mut gone = RowSet::all(passage.batch.rows());
        gone.subtract(&passage.rows);
        let added = passage.batch.rows().saturating_sub(entered) as u64;
        passage.batch.drop_rows(&gone);
        let Passage { batch, dead_letters, dropped_at, .. } = passage;
        let dropped = dropped_at.iter().map(|dropped| dropped.events).sum();
        Ok(Processed { batch, dead_letters, dropped, dropped_at, added })
    }
}

/// One filter of a worker.
pub(super) struct Running {
    filter: Arc<ConfiguredFilter>,
    /// `None` after a break, until the next call.
    instance: Option<Instance>,
    encoder: Encoder,
    /// Whether a batch that breaks the guest is given back.
    gives_back: bool,
    /// The time that a batch's events are filtered at.
    clock: Clock,
}

/// Rows that are tried together, and the time that they get.
struct Part {
    rows: Rows,
    deadline: Duration,
}

/// What came of trying some rows.
struct Outcomes {
    matched: RowSet,
    tagged: RowSet,
    /// Failed rows, and why.
    failed: BTreeMap<usize, String>,
    dropped: RowSet,
    first_added: usize,
}

enum Attempt {
    Done,
    /// The text is too long for one call.
    TooLong,
    Broke(Break),
}

impl Running {
    fn start(filter: Arc<ConfiguredFilter>) -> Result<Self> {
        let instance = Some(filter.instance()?);
        let clock = filter.environment().clock;
        Ok(Running { filter, instance, encoder: Encoder::default(), gives_back: false, clock })
    }

    /// The filter and its instance, a new one if the last broke.
    pub(super) fn instance(&mut self) -> Result<(&ConfiguredFilter, &mut Instance)> {
        let instance = match &mut self.instance {
            Some(instance) => instance,
            none => none.insert(self.filter.instance()?),
        };
        Ok((&self.filter, instance))
    }

    /// Ends the instance; the next call has a new one.
    pub(super) fn end_instance(&mut self) {
        self.instance = None;
    }

    pub(super) fn configured(&self) -> &Arc<ConfiguredFilter> {
        &self.filter
    }

    /// Passes rows through the filter.
    pub(super) fn run(&mut self, passage: &mut Passage, rows: &RowSet) -> Result<()> {
        let started = Instant::now();
        let now = time_of(self.clock);
        let rows = match rows.count() == passage.batch.rows() {
            true => Rows::All(passage.batch.rows()),
            false => Rows::Some(rows.iter().collect()),
        };
        let entered = rows.len();
        FilterCounts::add(&self.filter.counts.events_in, entered);
        let result = self.run_parts(passage, rows, entered, now);
        self.filter.counts.add_time(started);
        result
    }

    /// Tries all rows at once, and what broke the guest again in halves.
    fn run_parts(&mut self, passage: &mut Passage, rows: Rows, entered: usize, now: i64) -> Result<()> {
        let whole = self.filter.limits.deadline;
        let mut parts = vec![Part { rows, deadline: whole }];
        let mut breaks = 0;
        while let Some(part) = parts.pop() {
            if breaks >= MOST_BREAKS {
                let reason = format!("the guest broke {breaks} times on this batch; the rest was not tried");
                self.give_up(passage, &part.rows, &reason)?;
                continue;
            }
            match self.attempt(passage, &part, now)? {
                Attempt::Done => {}
                Attempt::TooLong => {
                    let (first, second) = halves(&part.rows);
                    parts.push(Part { rows: second, deadline: part.deadline });
                    parts.push(Part { rows: first, deadline: part.deadline });
                }
                Attempt::Broke(broke) if self.gives_back => {
                    let (filter, kind) = (self.filter.id.clone(), broke.kind);
                    return Err(GivenBack { filter, kind, reason: broke.message }.into());
                }
                Attempt::Broke(broke) => {
                    breaks += 1;
                    self.count_break(&broke, part.rows.len());
                    if part.rows.len() == 1 {
                        self.give_up(passage, &part.rows, &format!("the guest broke: {}", broke.message))?;
                        continue;
                    }
                    let (first, second) = halves(&part.rows);
                    for rows in [second, first] {
                        let share = whole.as_secs_f64() * rows.len() as f64 / entered as f64;
                        let deadline = Duration::from_secs_f64(share).max(SHORTEST_RETRY);
                        parts.push(Part { rows, deadline });
                    }
                }
            }
        }
        Ok(())
    }

    /// All steps over some rows. When the guest breaks, the batch is as it was.
    fn attempt(&mut self, passage: &mut Passage, part: &Part, now: i64) -> Result<Attempt> {
        let filter = &self.filter;
        let instance = match &mut self.instance {
            Some(instance) => instance,
            none => none.insert(filter.instance()?),
        };
        instance.state_mut().now = now;
        let longest = usize::try_from(filter.limits.memory / 4).unwrap_or(usize::MAX);
        let before = (filter.plan.steps > 1 || filter.on_error == OnFailure::DeadLetter)
            .then(|| passage.batch.clone());
        let mut outcomes = Outcomes::none(passage.batch.rows());
        for step in 0..filter.plan.steps {
            let encoded = self.encoder.encode(&passage.batch, &part.rows, &filter.plan, longest);
            let broke = match encoded {
                Err(_) if step == 0 => return Ok(Attempt::TooLong),
                Err(_) => {
                    Some(Break { kind: "memory", message: "its events became too long for one call".into() })
                }
                Ok(()) if self.encoder.is_overlong() => {
                    Some(Break { kind: "memory", message: "an event is too long for any call".into() })
                }
                Ok(()) => None,
            };
            let edits = match broke {
                Some(broke) => Err(broke),
                None => instance.process(step, self.encoder.batch(), part.deadline).and_then(|answer| {
                    let added = passage.batch.rows() - outcomes.first_added + answer.adds.len();
                    if added > filter.limits.rows {
                        let most = filter.limits.rows;
                        let message =
                            format!("it adds {added} events, at most {most} may be added (limits.rows)");
                        return Err(Break { kind: "rows", message });
                    }
                    let texts = &instance.state().kernel_texts;
                    answer::check(answer, &filter.plan, &passage.batch, &part.rows, &self.encoder, texts)
                }),
            };
            let mut edits = match edits {
                Ok(edits) => edits,
                Err(broke) => {
                    if let Some(before) = before {
                        passage.batch = before;
                    }
                    // Whatever it did, an instance that broke is in no state to be asked again.
                    self.instance = None;
                    return Ok(Attempt::Broke(broke));
                }
            };
            apply_step(filter, passage, &part.rows, &mut edits, &mut outcomes, now);
        }
        self.settle(passage, outcomes, before)?;
        Ok(Attempt::Done)
    }

    /// Counts what became of the rows, and sends those that failed where `on_error` says.
    fn settle(&mut self, passage: &mut Passage, outcomes: Outcomes, before: Option<Batch>) -> Result<()> {
        let filter = &self.filter;
        let counts = &filter.counts;
        let added = passage.batch.rows() - outcomes.first_added;
        if added > 0 {
            passage.rows.grow(passage.batch.rows());
            for row in outcomes.first_added..passage.batch.rows() {
                passage.rows.insert(row);
            }
        }
        passage.rows.subtract(&outcomes.dropped);
        let dropped = outcomes.dropped.count();
        FilterCounts::add(&counts.added, added);
        passage.count_dropped(&filter.place(), "filter", dropped);
        FilterCounts::add(&counts.matched, outcomes.matched.count());
        FilterCounts::add(&counts.tagged, outcomes.tagged.count());
        FilterCounts::add(&counts.failed, outcomes.failed.len());
        let mut by_reason: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
        for (row, reason) in &outcomes.failed {
            by_reason.entry(reason).or_default().push(*row);
        }
        for (reason, rows) in by_reason {
            counts.add_reason(reason, rows.len() as u64);
            let still_here: Vec<usize> = rows.into_iter().filter(|row| passage.rows.contains(*row)).collect();
            if still_here.is_empty() {
                continue;
            }
            match filter.on_error {
                OnFailure::Tag => {}
                OnFailure::Drop => passage.drop(&filter.place(), "on_error", &still_here),
                OnFailure::DeadLetter => {
                    let (entered, made): (Vec<usize>, Vec<usize>) =
                        still_here.iter().partition(|row| **row < outcomes.first_added);
                    if let Some(before) = &before {
                        let events = before.select(&entered);
                        passage.set_aside(&filter.place(), "on_error", reason, &entered, events);
                    }
                    // An event that this very filter made did not enter it; it is kept as it came out.
                    let events = passage.batch.select(&made);
                    passage.set_aside(&filter.place(), "on_error", reason, &made, events);
                }
                OnFailure::Stop => {
                    bail!(
                        "filter {} failed on {} events: {reason} (on_error = \"stop\")",
                        filter.id,
                        still_here.len()
                    )
                }
            }
        }
        Ok(())
    }

    /// Sends rows where `on_trap` says.
    fn give_up(&mut self, passage: &mut Passage, rows: &Rows, reason: &str) -> Result<()> {
        let filter = &self.filter;
        FilterCounts::add(&filter.counts.broken, rows.len());
        let rows: Vec<usize> = rows.iter().collect();
        match filter.on_trap {
            OnFailure::DeadLetter => {
                let events = passage.batch.select(&rows);
                passage.set_aside(&filter.place(), "on_trap", reason, &rows, events);
            }
            OnFailure::Drop => passage.drop(&filter.place(), "on_trap", &rows),
            OnFailure::Tag => {
                let tag = format!("_{}_trap", filter.id);
                let mut tagger = Tagger::new();
                for row in rows {
                    tagger.add(&mut passage.batch, row, &tag);
                }
            }
            OnFailure::Stop => {
                return Err(anyhow!(
                    "filter {} broke on {} events: {reason} (on_trap = \"stop\")",
                    filter.id,
                    rows.len()
                ));
            }
        }
        Ok(())
    }

    fn count_break(&self, broke: &Break, rows: usize) {
        FilterCounts::add(&self.filter.counts.breaks, 1);
        self.filter.counts.add_reason(broke.kind, 1);
        let Some(suppressed) = self.filter.break_log.take() else { return };
        let filter = &*self.filter.id;
        if suppressed > 0 {
            tracing::warn!(filter, suppressed, "the guest breaks too often; lines about it were left out");
        }
        tracing::warn!(filter, rows, reason = broke.message, "the guest broke and is started anew");
    }
}

impl Outcomes {
    fn none(rows: usize) -> Self {
        Outcomes {
            matched: RowSet::none(rows),
            tagged: RowSet::none(rows),
            failed: BTreeMap::new(),
            dropped: RowSet::none(rows),
            first_added: rows,
        }
    }

    fn grow(&mut self, rows: usize) {
        for set in [&mut self.matched, &mut self.tagged, &mut self.dropped] {
            set.grow(rows);
        }
    }
}

/// Changes the batch by a step's edits, tags what its verdicts say, and runs the common options on what matched.
fn apply_step(
    filter: &ConfiguredFilter,
    passage: &mut Passage,
    rows: &Rows,
    edits: &mut answer::Edits,
    outcomes: &mut Outcomes,
    now: i64,
) {
    let batch = &mut passage.batch;
    let applied = apply::apply(batch, rows, edits, &filter.id);
    outcomes.grow(batch.rows());
    let sent_rows = SentRows { rows, sent: rows.len(), first_added: applied.first_added };
    let mut tagger = Tagger::new();
    let mut matched = RowSet::none(batch.rows());
    for verdict in &edits.verdicts {
        let set = match verdict.outcome {
            Outcome::Matched => Some(&mut matched),
            Outcome::Tagged => Some(&mut outcomes.tagged),
            Outcome::Failed => None,
        };
        match set {
            // Rows and their numbers are the same then.
            Some(set) if matches!(rows, Rows::All(_)) && sent_rows.first_added == sent_rows.sent => {
                set.union(&verdict.rows);
            }
            Some(set) => verdict.rows.iter().for_each(|index| set.insert(sent_rows.get(index))),
            None => {
                for index in verdict.rows.iter() {
                    outcomes.failed.entry(sent_rows.get(index)).or_insert_with(|| verdict.reason.clone());
                }
            }
        }
        for tag in &verdict.tags {
            for index in verdict.rows.iter() {
                tagger.add(batch, sent_rows.get(index), tag);
            }
        }
    }
    for index in edits.drops.iter() {
        outcomes.dropped.insert(sent_rows.get(index));
    }
    let mut failed = applied.failed;
    for (row, _) in &failed {
        matched.remove(*row);
    }
    failed.extend(filter.decorations.apply(batch, &matched, now));
    for (row, reason) in failed {
        for tag in &filter.plan.failure_tags {
            tagger.add(batch, row, tag);
        }
        outcomes.failed.entry(row).or_insert(reason);
    }
    outcomes.matched.union(&matched);
}

fn halves(rows: &Rows) -> (Rows, Rows) {
    let rows: Vec<usize> = rows.iter().collect();
    let (first, second) = rows.split_at(rows.len() / 2);
    (Rows::Some(first.to_vec()), Rows::Some(second.to_vec()))
}
