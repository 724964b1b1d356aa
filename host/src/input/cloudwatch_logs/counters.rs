//! What reading CloudWatch Logs counts. The words are those of the protocol's model (`tests/model`): windows that are open,
//! settling and closed, ids that were seen, repeated, acknowledged and forgotten, and the invariants by their names.

use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use super::seen::committed;
use crate::input::counters::Figure;
use crate::ledger::InputLedger;

/// Numbers of one input since it was opened.
#[derive(Debug, Default)]
pub struct CloudwatchCounters {
    /// Requests to the service.
    pub requests: AtomicU64,
    /// Requests that the service refused for their number.
    pub throttled: AtomicU64,
    /// Requests that failed for another reason and were made again.
    pub failed_requests: AtomicU64,
    /// Pages without events.
    pub empty_pages: AtomicU64,
    /// Tokens that the service took no longer: the run went on without.
    pub expired_tokens: AtomicU64,
    /// Ids of events that were handed on.
    pub seen_ids: AtomicU64,
    /// Ids that were seen before: their events were left out.
    pub repeated_ids: AtomicU64,
    /// Ids that gave way to `ledger_budget` before their windows were closed.
    pub forgotten_ids: AtomicU64,
    /// Ids of windows that are not closed, as far as memory has them: they know what is read again.
    pub ids_in_memory: AtomicU64,
    /// Events in memory that were read and not handed on yet.
    pub held_events: AtomicU64,
    /// The most that there were of those.
    pub most_held_events: AtomicU64,
    /// Requests a second that are allowed at present: the bits of a float.
    rate: AtomicU64,
    groups: Mutex<BTreeMap<String, GroupFigures>>,
    acknowledgements: Mutex<Acknowledgements>,
}

/// How far a log group is read.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct GroupFigures {
    /// Windows that are open, settling, and closed, from the oldest event on that was read.
    pub windows: [u64; 3],
    /// How long ago the time lies up to which everything visible was read; `None`: not known yet.
    pub lag_seconds: Option<f64>,
    /// Whether the windows follow each other as they must.
    pub closed_in_order: bool,
}

/// What was handed on and what came back of it.
#[derive(Debug, Default)]
struct Acknowledgements {
    ledger: Option<InputLedger>,
    /// Batches that are not acknowledged: the number of their position, how many events, and since when.
    waiting: VecDeque<(u64, u64, Instant)>,
    acknowledged: u64,
    handed_on: u64,
    /// The last position that was made, and the last that was committed.
    last: u64,
    committed: u64,
}

impl CloudwatchCounters {
    pub(super) fn new(ledger: InputLedger) -> Self {
        let counters = CloudwatchCounters::default();
        let committed = committed(&ledger).unwrap_or(0);
        let start = Acknowledgements { committed, last: committed, ..Acknowledgements::default() };
        *counters.acknowledgements() = Acknowledgements { ledger: Some(ledger), ..start };
        counters
    }

    /// What the ledger has of the input.
    pub(crate) fn ledger(&self) -> Option<InputLedger> {
        self.acknowledgements().ledger.clone()
    }

    fn acknowledgements(&self) -> MutexGuard<'_, Acknowledgements> {
        self.acknowledgements.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn groups(&self) -> MutexGuard<'_, BTreeMap<String, GroupFigures>> {
        self.groups.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A batch with the position of this number is handed on.
    pub(super) fn handed_on(&self, sequence: u64, events: u64) {
        self.seen_ids.fetch_add(events, Ordering::Relaxed);
        let mut acknowledgements = self.acknowledgements();
        acknowledgements.handed_on += events;
        acknowledgements.last = acknowledgements.last.max(sequence);
        acknowledgements.waiting.push_back((sequence, events, Instant::now()));
        acknowledgements.look();
    }

    /// So many events more are in memory.
    pub(super) fn hold(&self, events: usize) {
        let before = self.held_events.fetch_add(events as u64, Ordering::Relaxed);
        self.most_held_events.fetch_max(before + events as u64, Ordering::Relaxed);
    }

    /// So many events less are.
    pub(super) fn release(&self, events: usize) {
        self.held_events.fetch_sub(events as u64, Ordering::Relaxed);
    }

    pub(super) fn set_rate(&self, requests_per_second: f64) {
        self.rate.store(requests_per_second.to_bits(), Ordering::Relaxed);
    }

    pub(super) fn set_group(&self, log_group: &str, figures: GroupFigures) {
        self.groups().insert(log_group.to_owned(), figures);
    }

    /// How far a log group is read.
    pub fn group(&self, log_group: &str) -> Option<GroupFigures> {
        self.groups().get(log_group).copied()
    }

    /// The invariants of the protocol as far as a running process can tell, by the names that the model has for them:
    /// what was handed on is acknowledged or on its way (`nothing_lost`), no id was forgotten before its window was closed
    /// (`nothing_doubled`), the ledger has nothing that was not handed on (`nothing_ahead`), and windows are closed after
    /// they have settled (`closed_in_order`). Reads the ledger.
    pub fn invariants(&self) -> [(&'static str, bool); 4] {
        let mut acknowledgements = self.acknowledgements();
        acknowledgements.look();
        let waiting: u64 = acknowledgements.waiting.iter().map(|(_, events, _)| events).sum();
        [
            ("nothing_lost", acknowledgements.handed_on == acknowledgements.acknowledged + waiting),
            ("nothing_doubled", self.forgotten_ids.load(Ordering::Relaxed) == 0),
            ("nothing_ahead", acknowledgements.committed <= acknowledgements.last),
            ("closed_in_order", self.groups().values().all(|group| group.closed_in_order)),
        ]
    }

    /// All numbers. Reads the ledger: it belongs on a blocking thread.
    pub(in crate::input) fn figures(&self) -> Vec<Figure> {
        let mut figures = vec![
            Figure::counter("requests", "Requests to CloudWatch Logs.", &self.requests),
            Figure::counter("throttled", "Requests refused for their number.", &self.throttled),
            Figure::counter(
                "failed_requests",
                "Requests that failed and were made again.",
                &self.failed_requests,
            ),
            Figure::counter("empty_pages", "Pages without events.", &self.empty_pages),
            Figure::counter("expired_tokens", "Tokens that were taken no longer.", &self.expired_tokens),
            Figure::counter("seen_ids", "Ids of events that were handed on.", &self.seen_ids),
            Figure::counter(
                "repeated_ids",
                "Ids seen before; their events were left out.",
                &self.repeated_ids,
            ),
            Figure::counter("forgotten_ids", "Ids that gave way to ledger_budget.", &self.forgotten_ids),
        ];
        let ids = self.ids_in_memory.load(Ordering::Relaxed) as f64;
        figures.push(Figure::gauge("ids_in_memory", "Ids of windows that are not closed, in memory.", ids));
        let held = self.held_events.load(Ordering::Relaxed) as f64;
        figures.push(Figure::gauge("held_events", "Events read and not yet handed on.", held));
        let rate = f64::from_bits(self.rate.load(Ordering::Relaxed));
        let help = "Requests a second that are allowed at present; throttling halves it.";
        figures.push(Figure::gauge("requests_per_second", help, rate));
        for (invariant, holds) in self.invariants() {
            let help = "Whether an invariant of the protocol holds (1), as far as this process can tell.";
            let value = if holds { 1.0 } else { 0.0 };
            figures.push(Figure::gauge("invariant_holds", help, value).with("invariant", invariant));
        }
        {
            let acknowledgements = self.acknowledgements();
            let unacknowledged: u64 = acknowledgements.waiting.iter().map(|(_, events, _)| events).sum();
            let oldest = acknowledgements.waiting.iter().find(|(_, events, _)| *events > 0);
            let oldest = oldest.map_or(0.0, |(_, _, since)| since.elapsed().as_secs_f64());
            let help = "Ids handed on and not yet acknowledged.";
            figures.push(Figure::gauge("unacknowledged_ids", help, unacknowledged as f64));
            let help = "How long ago the oldest of those was handed on.";
            figures.push(Figure::gauge("oldest_unacknowledged_seconds", help, oldest));
            let (used, budget) =
                acknowledgements.ledger.as_ref().map_or((0, 0), InputLedger::used_and_budget);
            let help = "Bytes that the ledger has of all inputs of the pipeline.";
            figures.push(Figure::gauge("ledger_used_bytes", help, used as f64));
            figures.push(Figure::gauge("ledger_budget_bytes", "The ledger_budget.", budget as f64));
        }
        for (log_group, group) in self.groups().iter() {
            for (state, count) in ["open", "settling", "closed"].iter().zip(group.windows) {
                let figure = Figure::gauge("windows", "Windows of event time by their state.", count as f64);
                figures.push(figure.with("log_group", log_group).with("state", state));
            }
            if let Some(lag) = group.lag_seconds {
                let help = "How far reading is behind now.";
                figures.push(Figure::gauge("lag_seconds", help, lag).with("log_group", log_group));
            }
        }
        figures
    }
}

impl Acknowledgements {
    /// Asks the ledger what was committed since.
    fn look(&mut self) {
        let Some(ledger) = &self.ledger else { return };
        // A ledger that cannot be read stops the line by itself.
        let Ok(committed) = committed(ledger) else { return };
        self.committed = committed;
        while let Some((_, events, _)) = self.waiting.pop_front_if(|(sequence, _, _)| *sequence <= committed)
        {
            self.acknowledged += events;
        }
    }
}
