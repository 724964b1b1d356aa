//! What a line counts: every event by where it is or what became of it, with the place and the reason. All changes of one
//! step happen under one lock, so that a snapshot is in balance at every moment. Who shows the figures is left to `observe`.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use crate::output::Delivery;

/// Reasons that are counted apart from each other at one place; what comes after these is counted as "other".
const MOST_REASONS: usize = 64;

/// The place of events that no output took.
const OUTPUTS: &str = "outputs";

/// Events by the place where they left (a filter, branch or output) and the reason, a word or two of a bounded set.
pub type ByReason = BTreeMap<(String, String), u64>;

/// The counts of a running line. Clones of the `Arc` around it share them.
#[derive(Debug, Default)]
pub struct LineCounts {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    figures: LineFigures,
    /// Batches that are not committed, in the order of reading: when they were read, and how many events they had.
    batches: VecDeque<(Instant, u64)>,
}

/// A line's events at one moment.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct LineFigures {
    /// Events read, by input.
    pub read: BTreeMap<String, u64>,
    /// Events that filters added.
    pub added: u64,
    /// Events that several outputs took or set aside: once for each of these but the first.
    pub copied: u64,
    /// Events stored by an output, or found stored, by output.
    pub delivered: BTreeMap<String, u64>,
    /// Events set aside, by filters and outputs.
    pub dead_lettered: ByReason,
    /// Events dropped by a rule of the user's, in filters and outputs, and those that no output took.
    pub dropped: ByReason,
    /// Events read that have not left the filters.
    pub in_filters: i64,
    /// Events that outputs have and have not answered, by output.
    pub at_outputs: BTreeMap<String, i64>,
    /// Events set aside by filters whose dead letters are being written.
    pub to_dead_letters: i64,
    /// Events read whose position is not in the ledger yet.
    pub unacknowledged: u64,
    /// How long ago the oldest of these was read.
    pub oldest_unacknowledged: Option<Duration>,
    /// When a position was committed last.
    pub last_commit: Option<SystemTime>,
}

/// What became of a batch in the filters.
#[derive(Debug, Default)]
pub(crate) struct Passed {
    /// Events that entered.
    pub(crate) entered: u64,
    /// Events that filters added.
    pub(crate) added: u64,
    /// Events dropped.
    pub(crate) dropped: ByReason,
    /// Events set aside.
    pub(crate) dead_lettered: ByReason,
}

impl LineFigures {
    /// All events that came: read, added by filters, and copied for several outputs.
    pub fn came(&self) -> u64 {
        self.read.values().sum::<u64>() + self.added + self.copied
    }

    /// Events on their way.
    pub fn in_flight(&self) -> i64 {
        self.in_filters + self.to_dead_letters + self.at_outputs.values().sum::<i64>()
    }

    /// Whether what came is delivered, set aside, dropped or on its way, each event once.
    pub fn is_in_balance(&self) -> bool {
        let left: u64 =
            self.delivered.values().chain(self.dead_lettered.values()).chain(self.dropped.values()).sum();
        let is_negative = self.in_filters < 0
            || self.to_dead_letters < 0
            || self.at_outputs.values().any(|count| *count < 0);
        !is_negative && i128::from(self.came()) == i128::from(left) + i128::from(self.in_flight())
    }
}

impl LineCounts {
    /// The figures as they are now.
    pub fn figures(&self) -> LineFigures {
        let state = self.state();
        let oldest = state.batches.iter().find(|(_, events)| *events > 0);
        LineFigures {
            unacknowledged: state.batches.iter().map(|(_, events)| events).sum(),
            oldest_unacknowledged: oldest.map(|(since, _)| since.elapsed()),
            ..state.figures.clone()
        }
    }

    /// A batch was read.
    pub(crate) fn read(&self, input: &str, events: u64) {
        let mut state = self.state();
        *entry(&mut state.figures.read, input) += events;
        state.figures.in_filters += signed(events);
        state.batches.push_back((Instant::now(), events));
    }

    /// A batch left the filters: `given` are the events that each output takes or sets aside, `untaken` those that none
    /// does.
    pub(crate) fn filtered<'l>(
        &self,
        passed: &Passed,
        given: impl Iterator<Item = (&'l str, u64)>,
        copied: u64,
        untaken: u64,
    ) {
        let figures = &mut self.state().figures;
        figures.in_filters -= signed(passed.entered);
        figures.added += passed.added;
        figures.copied += copied;
        figures.to_dead_letters += signed(passed.dead_lettered.values().sum());
        for ((place, reason), events) in &passed.dropped {
            add(&mut figures.dropped, place, reason, *events);
        }
        for (output, events) in given {
            *entry(&mut figures.at_outputs, output) += signed(events);
        }
        if untaken > 0 {
            add(&mut figures.dropped, OUTPUTS, "no_output", untaken);
        }
    }

    /// The dead letters of filters are written; `kept` is `false` where the user's rule was to drop them.
    pub(crate) fn set_aside_by_filters(&self, events: &ByReason, kept: bool) {
        let figures = &mut self.state().figures;
        figures.to_dead_letters -= signed(events.values().sum());
        let map = if kept { &mut figures.dead_lettered } else { &mut figures.dropped };
        for ((place, reason), events) in events {
            add(map, place, reason, *events);
        }
    }

    /// An output set events aside (`kept`) or dropped them.
    pub(crate) fn left_at_output(&self, output: &str, reason: &str, events: u64, kept: bool) {
        if events == 0 {
            return;
        }
        let figures = &mut self.state().figures;
        *entry(&mut figures.at_outputs, output) -= signed(events);
        let map = if kept { &mut figures.dead_lettered } else { &mut figures.dropped };
        add(map, output, reason, events);
    }

    /// An output answered for a batch of which it was given so many events. What it set aside or dropped was counted when
    /// it did so.
    pub(crate) fn answered(&self, output: &str, given: u64, delivery: Delivery) {
        let figures = &mut self.state().figures;
        *entry(&mut figures.delivered, output) += delivery.delivered;
        let left = delivery.dead_lettered.saturating_add(delivery.dropped);
        *entry(&mut figures.at_outputs, output) -= signed(given) - signed(left);
    }

    /// The position of the oldest batch that was not committed is in the ledger.
    pub(crate) fn committed(&self) {
        let mut state = self.state();
        state.batches.pop_front();
        state.figures.last_commit = Some(SystemTime::now());
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The word for the reason of a dead letter: what a server said by status and type of error, or `rejected`. Texts of
/// reasons name values of events; they are in the dead letters and in no figure.
pub(crate) fn reason_word(reason: &str) -> String {
    let Some((_, after)) = reason.split_once("status ") else { return "rejected".to_owned() };
    let Some(status) = after.get(..3).filter(|status| status.bytes().all(|byte| byte.is_ascii_digit()))
    else {
        return "rejected".to_owned();
    };
    let is_type = |word: &&str| {
        !word.is_empty()
            && word.len() <= 64
            && word.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_')
    };
    let rest = after.get(3..).and_then(|rest| rest.strip_prefix(": "));
    match rest.and_then(|rest| rest.split(':').next()).filter(is_type) {
        Some(kind) => format!("{status} {kind}"),
        None => status.to_owned(),
    }
}

/// Adds events to a map by place and reason, which has no more than a number of reasons for each place.
pub(crate) fn add(map: &mut ByReason, place: &str, reason: &str, events: u64) {
    let key = (place.to_owned(), reason.to_owned());
    if let Some(count) = map.get_mut(&key) {
        *count += events;
        return;
    }
    let is_full = map.keys().filter(|(other, _)| other == place).count() >= MOST_REASONS;
    let key = if is_full { (key.0, "other".to_owned()) } else { key };
    *map.entry(key).or_default() += events;
}

fn entry<'m, T: Default>(map: &'m mut BTreeMap<String, T>, name: &str) -> &'m mut T {
    if !map.contains_key(name) {
        map.insert(name.to_owned(), T::default());
    }
    map.entry(name.to_owned()).or_default()
}

fn signed(events: u64) -> i64 {
    i64::try_from(events).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_on_its_way_is_in_balance_at_every_step() {
        let counts = LineCounts::default();
        let check = |in_flight: i64| {
            let figures = counts.figures();
            assert!(figures.is_in_balance(), "{figures:?}");
            assert_eq!(figures.in_flight(), in_flight, "{figures:?}");
        };
        check(0);
        counts.read("input", 10);
        check(10);
        let mut passed = Passed { entered: 10, added: 2, ..Passed::default() };
        add(&mut passed.dropped, "mutate", "filter", 3);
        add(&mut passed.dead_lettered, "date", "on_error", 1);
        // Eight are left: all go to one output, two of them to another too, and none is left out.
        counts.filtered(&passed, [("all", 8), ("some", 2)].into_iter(), 2, 0);
        check(11);
        counts.set_aside_by_filters(&passed.dead_lettered, true);
        check(10);
        counts.left_at_output("all", "400 mapper_parsing_exception", 2, true);
        check(8);
        counts.answered("all", 8, Delivery { delivered: 6, dead_lettered: 2, dropped: 0 });
        check(2);
        counts.answered("some", 2, Delivery { delivered: 2, ..Delivery::default() });
        check(0);
        assert!(counts.figures().oldest_unacknowledged.is_some());
        counts.committed();
        let figures = counts.figures();
        assert_eq!((figures.unacknowledged, figures.oldest_unacknowledged), (0, None));
        assert_eq!(figures.dead_lettered[&("date".to_owned(), "on_error".to_owned())], 1);
    }

    #[test]
    fn an_output_that_answers_for_too_few_is_found_out() {
        let counts = LineCounts::default();
        counts.read("input", 3);
        counts.filtered(&Passed { entered: 3, ..Passed::default() }, [("output", 3)].into_iter(), 0, 0);
        counts.answered("output", 3, Delivery { delivered: 2, ..Delivery::default() });
        assert!(!counts.figures().is_in_balance());
    }

    #[test]
    fn reasons_are_words_and_bounded() {
        let check = |reason: &str, word: &str| assert_eq!(reason_word(reason), word, "{reason}");
        check(
            "status 400: mapper_parsing_exception: failed to parse [a] in 'x'",
            "400 mapper_parsing_exception",
        );
        check("status 404", "404");
        check("status 422: Some text of a proxy", "422");
        check("http://x: status 413: too large", "413");
        check("cannot write /a: it is a folder", "rejected");
        check("status é", "rejected");
        let mut map = ByReason::new();
        for number in 0..1000 {
            add(&mut map, "output", &number.to_string(), 1);
        }
        assert_eq!(map.len(), MOST_REASONS + 1);
        assert_eq!(map[&("output".to_owned(), "other".to_owned())], 1000 - MOST_REASONS as u64);
    }
}
