//! What is read of one log group and when. No requests and no ledger here, so every rule can be tried with any clock. Which
//! windows a reading closes is in `windows`.
//!
//! A *run* pages through one contiguous range with parameters that never change. The *front* run reads the open windows, as
//! often as `interval` says; a *re-reading* run goes through the settling ones, young ones often, old ones seldom. Both may
//! be under way at the same time, a page of each in turn: however long a re-reading takes, it does not hold the newest
//! events. As long as all windows that are not closed are few pages, one run reads all of them every time.

use std::time::{Duration, Instant};

use super::run::{PageSummary, Run};
use super::windows::{WINDOW, Windows, window_of};

/// Events may be of a time so far ahead (the service takes them up to two hours ahead).
const AHEAD: i64 = 7_200_000;
/// How old the windows are that re-readings begin with: 5 and 15 minutes, 1, 6 and 24 hours; all at last.
const SPANS: [i64; 5] = [300_000, 900_000, 3_600_000, 21_600_000, 86_400_000];
/// If all windows that are not closed are so few pages, all of them are read every time.
const FEW_PAGES: u32 = 2;
/// A run is cut after so many new events or so many pages: what it has read counts then, and ids need not be kept.
pub(super) const CUT_EVENTS: usize = 200_000;
const CUT_PAGES: u32 = 500;
/// Without events, what moved by fewer windows is not worth a transaction of its own.
const WINDOWS_WORTH_NOTING: i64 = 10;

/// One log group.
pub(super) struct Group {
    pub(super) windows: Windows,
    /// The windows as the ledger has them or will have them; `None` for a group that is not in the ledger.
    pub(super) noted: Option<Windows>,
    /// How often asking failed in a row.
    pub(super) failures: u32,
    /// No more runs: it was read once, or cannot be read.
    pub(super) ended: bool,
    pace: Pace,
    front: Option<Run>,
    again: Option<Run>,
    /// Which run the last question was of.
    asked: Part,
    /// When the next front run begins.
    due: Instant,
    /// When runs go on after a failure.
    held_until: Instant,
    /// The clock when each span, and at last everything, was last read.
    last_read: Vec<i64>,
    /// Pages of the last reading of all windows that are not closed.
    pages: Option<u32>,
    /// The time up to which everything visible was read; `None`: not known yet.
    read_to: Option<i64>,
    /// The time of the oldest event read.
    oldest: Option<i64>,
    /// Events were handed on that the ledger may have sooner than the windows.
    has_new: bool,
}

/// How a group is read.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pace {
    /// How long after its time an event may become visible.
    pub(super) lookback: Duration,
    /// The pause between front runs.
    pub(super) interval: Duration,
    /// Everything is read once.
    pub(super) once: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    Front,
    Again,
}

/// What follows from a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// The next page.
    Page,
    /// The run has ended, or goes on as a new one where it is.
    Closed,
}

impl Group {
    pub(super) fn new(windows: Windows, is_known: bool, pace: Pace) -> Self {
        let lookback = milliseconds(pace.lookback);
        let spans = SPANS.iter().filter(|span| **span < lookback).count();
        Group {
            windows,
            noted: is_known.then_some(windows),
            failures: 0,
            ended: false,
            pace,
            front: None,
            again: None,
            asked: Part::Again,
            due: Instant::now(),
            held_until: Instant::now(),
            last_read: vec![i64::MIN; spans + 1],
            pages: None,
            read_to: is_known.then_some(windows.settling_to),
            oldest: None,
            has_new: false,
        }
    }

    /// When the group is to be asked for.
    pub(super) fn due(&self) -> Instant {
        if self.front.is_some() || self.again.is_some() {
            self.held_until
        } else {
            self.due.max(self.held_until)
        }
    }

    /// Not before this time, because asking failed.
    pub(super) fn hold(&mut self, until: Instant) {
        self.held_until = until;
    }

    /// Reads a group that had ended again, at once.
    pub(super) fn revive(&mut self) {
        (self.front, self.again) = (None, None);
        self.ended = false;
        self.due = Instant::now();
    }

    /// The run whose turn it is: one that is under way, or a new one.
    pub(super) fn run(&mut self, now: i64) -> &Run {
        if self.front.is_none() && (self.due <= Instant::now() || self.again.is_none()) {
            self.begin(now);
        }
        self.asked = match (&self.front, &self.again) {
            (Some(_), Some(_)) if self.asked == Part::Front => Part::Again,
            (None, Some(_)) => Part::Again,
            _ => Part::Front,
        };
        let begins_at = self.windows.settling_to;
        match self.asked {
            Part::Front => self.front.get_or_insert_with(|| Run::new(begins_at, end_of_range(now), now)),
            Part::Again => self.again.get_or_insert_with(|| Run::new(begins_at, end_of_range(now), now)),
        }
    }

    /// A new front run, and a re-reading when one is due.
    fn begin(&mut self, now: i64) {
        let is_first = self.windows.closed_to == self.windows.settling_to;
        if is_first && self.last_read.iter().all(|last| *last == i64::MIN) {
            // Nothing was read before that could be read again.
            self.last_read.fill(now);
        }
        let all = self.pace.once || self.pages.is_some_and(|pages| pages <= FEW_PAGES);
        let start = if all { self.windows.closed_to } else { self.windows.settling_to };
        self.front = Some(Run::new(start, end_of_range(now).max(start), now));
        if !all && self.again.is_none() {
            self.again = self.new_again(now);
        }
    }

    /// The widest span that was not read for half of its length.
    fn new_again(&self, now: i64) -> Option<Run> {
        let is_due = |span: &usize| {
            let period = self.span_length(*span) / 2;
            self.last_read.get(*span).is_none_or(|last| now.saturating_sub(*last) >= period)
        };
        let span = (0..self.last_read.len()).rev().find(is_due)?;
        let start = self.span_start(span, now);
        (start < self.windows.settling_to).then(|| Run::new(start, self.windows.settling_to - 1, now))
    }

    fn span_start(&self, span: usize, now: i64) -> i64 {
        if span + 1 == self.last_read.len() {
            self.windows.closed_to
        } else {
            window_of(now.saturating_sub(self.span_length(span))).max(self.windows.closed_to)
        }
    }

    fn span_length(&self, span: usize) -> i64 {
        if span + 1 == self.last_read.len() {
            milliseconds(self.pace.lookback)
        } else {
            SPANS.get(span).copied().unwrap_or(i64::MAX)
        }
    }

    fn slot(&mut self) -> &mut Option<Run> {
        match self.asked {
            Part::Front => &mut self.front,
            Part::Again => &mut self.again,
        }
    }

    /// Takes a page of the run that was asked for into account.
    pub(super) fn page(&mut self, page: PageSummary, token: Option<String>, now: i64) -> Next {
        self.failures = 0;
        self.has_new |= page.new_events > 0;
        self.oldest = self.oldest.into_iter().chain(page.first).min();
        let is_front = self.asked == Part::Front;
        let settling_to = self.windows.settling_to;
        let Some(run) = self.slot() else { return Next::Closed };
        let goes_on = run.page(page, token);
        let reading_at = run.last_read_time();
        if !goes_on {
            self.finish();
            return Next::Closed;
        }
        if is_front && reading_at.is_some_and(|time| self.read_to.is_none_or(|to| to < time)) {
            self.read_to = reading_at;
        }
        let lookback = milliseconds(self.pace.lookback);
        let Some(run) = self.slot() else { return Next::Closed };
        if run.is_long(CUT_EVENTS, CUT_PAGES) {
            let (from, to, began) = run.cut(now);
            self.windows.read(from, to, began, lookback);
            return Next::Closed;
        }
        if is_front && !self.pace.once && self.again.is_none() {
            // What was thought to be few pages is many: it goes on as a re-reading, and the newest events are read beside it.
            let is_behind = |run: &mut Run| run.pages > FEW_PAGES && run.is_before(settling_to);
            self.again = self.front.take_if(is_behind);
            if let Some(run) = &self.again {
                self.pages = Some(run.pages);
                (self.asked, self.due) = (Part::Again, Instant::now());
            }
        }
        Next::Page
    }

    fn finish(&mut self) {
        let Some(run) = self.slot().take() else { return };
        for span in 0..self.last_read.len() {
            let is_read = run.origin <= self.span_start(span, run.first_began);
            if let Some(last) = self.last_read.get_mut(span).filter(|_| is_read) {
                *last = run.first_began.max(*last);
            }
        }
        if run.origin <= self.windows.closed_to {
            self.pages = Some(run.pages + u32::from(self.asked == Part::Again));
        }
        self.windows.read(run.from, run.end.saturating_add(1), run.began, milliseconds(self.pace.lookback));
        if self.asked == Part::Front {
            self.read_to = self.read_to.max(Some(run.began.min(run.end)));
            self.due = Instant::now() + self.pace.interval;
            self.ended = self.pace.once;
        }
    }

    /// The service does not take the run's token: it goes on at the last millisecond read, or begins anew if events came in
    /// an order that does not say what was read. Answers whether something was read since the last time.
    pub(super) fn token_refused(&mut self) -> bool {
        self.slot().as_mut().is_none_or(Run::token_refused)
    }

    /// Whether the windows moved so far that the ledger is to know.
    pub(super) fn is_worth_noting(&self) -> bool {
        let Some(noted) = self.noted else { return true };
        let least = if self.has_new { WINDOW } else { WINDOWS_WORTH_NOTING * WINDOW };
        let moved = |now: i64, noted: i64| now >= noted.saturating_add(least);
        moved(self.windows.closed_to, noted.closed_to)
            || moved(self.windows.settling_to, noted.settling_to)
            || self.ended && noted != self.windows
    }

    /// The windows go to the ledger as they are now.
    pub(super) fn note(&mut self) -> Windows {
        self.noted = Some(self.windows);
        self.has_new = false;
        self.windows
    }

    /// How many windows are open, settling, and closed, from the oldest event on that was read.
    pub(super) fn window_counts(&self, now: i64) -> [u64; 3] {
        let Windows { closed_to, settling_to } = self.windows;
        let end = window_of(now).saturating_add(WINDOW);
        let begin =
            self.oldest.map_or(end, window_of).min(if self.noted.is_some() { closed_to } else { end });
        let between = |from: i64, to: i64| {
            let (from, to) = (window_of(from.max(begin)), window_of(to));
            u64::try_from(to.saturating_sub(from) / WINDOW).unwrap_or(0)
        };
        [between(settling_to, end), between(closed_to, settling_to), between(begin, closed_to)]
    }

    /// How long ago the time lies up to which everything was read, in milliseconds; `None`: not known yet.
    pub(super) fn lag(&self, now: i64) -> Option<i64> {
        self.read_to.map(|read_to| now.saturating_sub(read_to).max(0))
    }
}

fn milliseconds(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX / 4)
}

/// The end of the window in which the latest events may lie.
fn end_of_range(now: i64) -> i64 {
    window_of(now.saturating_add(AHEAD)).saturating_add(WINDOW - 1)
}
