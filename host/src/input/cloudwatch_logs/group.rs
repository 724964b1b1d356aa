//! What is read of one log group and when: ranges of event time, read again on a schedule until the windows in them are
//! closed. No requests and no ledger here, so every rule can be tried with any clock.
//!
//! All windows from `closed_to` on are open. A *run* pages through one range with parameters that never change. A window is
//! closed when a run read it that began `lookback` (and a minute, in which events become visible) after its end: all
//! events that came late enough to be missed before are then delivered. Young windows are read often, older ones seldom;
//! if all open ones are few pages, all are read every time.

use std::time::{Duration, Instant};

use super::seen::{WINDOW, window_of};

/// How long after the service took an event it may be before readers see it.
const GRACE: i64 = 60_000;
/// Events may be of a time so far ahead (the service takes them up to two hours ahead).
const AHEAD: i64 = 7_200_000;
/// How old the windows are that the runs of a schedule begin with: 1 and 5 minutes, 15 minutes, 1, 6 and 24 hours.
const SPANS: [i64; 6] = [60_000, 300_000, 900_000, 3_600_000, 21_600_000, 86_400_000];
/// If the open windows are so few pages, all of them are read every time.
const FEW_PAGES: u32 = 2;
/// A backlog's run is cut after so many new events: their ids need not be kept then.
pub(super) const CUT_EVENTS: usize = 200_000;

/// One log group.
pub(super) struct Group {
    /// Windows that end before this are never read again, in milliseconds since 1970.
    pub(super) closed_to: i64,
    /// `closed_to` as the ledger has it or will have it; `None` for a group that is not in the ledger.
    pub(super) noted_closed_to: Option<i64>,
    /// The run that is under way.
    pub(super) run: Option<Run>,
    /// When the group is next asked for, and how often that failed in a row.
    pub(super) due: Instant,
    pub(super) failures: u32,
    /// No more runs: it was read once, or cannot be read.
    pub(super) ended: bool,
    lookback: i64,
    /// When each span was last read; the last one stands for all open windows.
    last_read: Vec<i64>,
    /// Pages of the last run over all open windows.
    pages: Option<u32>,
}

/// A paging run over one range.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Run {
    /// In milliseconds since 1970, both inclusive.
    pub(super) start: i64,
    pub(super) end: i64,
    pub(super) token: Option<String>,
    /// The clock when the run began.
    began: i64,
    /// The spans that it covers: those up to this number.
    span: usize,
    pages: u32,
    new_events: usize,
    /// The latest time read.
    last: i64,
    /// All events so far came in the service's order and had ids of its form, so all up to `last` were read.
    in_order: bool,
    /// Pages since the run was begun anew without its token.
    pages_since_restart: u32,
}

/// What a page had in it.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct PageSummary {
    /// Times of the first and the last event, and the latest.
    pub(super) first: Option<i64>,
    pub(super) last: Option<i64>,
    /// Whether the page is in the order of time and has ids of the service's form: stand-ins have neither.
    pub(super) in_order: bool,
    /// Events that were not handed on before.
    pub(super) new_events: usize,
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
    pub(super) fn new(closed_to: i64, is_known: bool, lookback: Duration) -> Self {
        let lookback = i64::try_from(lookback.as_millis()).unwrap_or(i64::MAX / 4);
        let spans = SPANS.iter().filter(|span| **span < lookback).count();
        Group {
            closed_to,
            noted_closed_to: is_known.then_some(closed_to),
            run: None,
            due: Instant::now(),
            failures: 0,
            ended: false,
            lookback,
            last_read: vec![i64::MIN; spans + 1],
            pages: None,
        }
    }

    /// The run that is under way, or a new one.
    pub(super) fn run(&mut self, now: i64) -> &mut Run {
        let run = self.run.take().unwrap_or_else(|| self.new_run(now));
        self.run.insert(run)
    }

    fn new_run(&self, now: i64) -> Run {
        let all = self.last_read.len() - 1;
        let few = self.pages.is_some_and(|pages| pages <= FEW_PAGES);
        let is_due = |span: usize| {
            let period = self.span_length(span) / 2;
            self.last_read.get(span).is_none_or(|last| now.saturating_sub(*last) >= period)
        };
        let span = if few { all } else { (0..=all).rev().find(|span| is_due(*span)).unwrap_or(0) };
        let start = match span == all {
            true => self.closed_to,
            false => window_of(now.saturating_sub(self.span_length(span))).max(self.closed_to),
        };
        Run {
            start,
            end: end_of_range(now).max(start),
            token: None,
            began: now,
            span,
            pages: 0,
            new_events: 0,
            last: start,
            in_order: true,
            pages_since_restart: 0,
        }
    }

    fn span_length(&self, span: usize) -> i64 {
        if span + 1 == self.last_read.len() {
            self.lookback
        } else {
            SPANS.get(span).copied().unwrap_or(self.lookback)
        }
    }

    /// Takes a page into account.
    pub(super) fn page(&mut self, page: PageSummary, token: Option<String>, now: i64) -> Next {
        self.failures = 0;
        let horizon = self.horizon(now);
        let Some(run) = &mut self.run else { return Next::Closed };
        run.pages += 1;
        run.pages_since_restart += 1;
        run.new_events += page.new_events;
        run.in_order &= page.first.is_none_or(|first| page.in_order && first >= run.last);
        run.last = page.last.map_or(run.last, |last| last.max(run.last));
        // A token that leads to itself leads nowhere.
        if token.is_some() && (token != run.token || page.first.is_some()) {
            run.token = token;
            if run.in_order && run.new_events >= CUT_EVENTS && run.last < horizon {
                self.closed_to = self.closed_to.max(run.last);
                run.restart_at_last();
                return Next::Closed;
            }
            return Next::Page;
        }
        self.finish();
        Next::Closed
    }

    fn finish(&mut self) {
        let Some(run) = self.run.take() else { return };
        for last in self.last_read.iter_mut().take(run.span + 1) {
            *last = run.began;
        }
        if run.span + 1 == self.last_read.len() {
            self.pages = Some(run.pages);
            self.closed_to = self.closed_to.max(window_of(self.horizon(run.began)));
        }
    }

    /// The service does not take the run's token: it goes on at the last millisecond read, or begins anew if events
    /// came in an order that does not say what was read. Answers whether something was read since the last time.
    pub(super) fn token_refused(&mut self) -> bool {
        let Some(run) = &mut self.run else { return true };
        let has_progress = run.pages_since_restart > 0;
        if run.in_order {
            run.restart_at_last();
        } else {
            run.token = None;
            run.last = run.start;
            run.in_order = true;
            run.pages_since_restart = 0;
        }
        has_progress
    }

    /// Whether `closed_to` has moved so far that the ledger is to know.
    pub(super) fn is_worth_noting(&self) -> bool {
        self.noted_closed_to.is_none_or(|noted| self.closed_to >= noted.saturating_add(WINDOW))
    }

    /// Windows that end before this get no more events that are waited for.
    fn horizon(&self, now: i64) -> i64 {
        now.saturating_sub(self.lookback).saturating_sub(GRACE)
    }
}

impl Run {
    fn restart_at_last(&mut self) {
        self.start = self.last;
        self.token = None;
        self.new_events = 0;
        self.pages_since_restart = 0;
    }
}

/// The end of the window in which the latest events may lie.
fn end_of_range(now: i64) -> i64 {
    window_of(now.saturating_add(AHEAD)).saturating_add(WINDOW - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 1_700_000_000_000;
    const HOUR: Duration = Duration::from_secs(3600);

    fn page(first: i64, last: i64, new_events: usize) -> PageSummary {
        PageSummary { first: Some(first), last: Some(last), in_order: true, new_events }
    }

    fn token(text: &str) -> Option<String> {
        Some(text.to_owned())
    }

    #[test]
    fn a_backlog_is_one_run_to_the_end() {
        let mut group = Group::new(0, false, HOUR);
        let run = group.run(NOW).clone();
        assert_eq!(run.start, 0);
        assert!(run.end > NOW + AHEAD && run.end < NOW + AHEAD + WINDOW);
        assert_eq!(group.page(PageSummary::default(), token("a"), NOW), Next::Page);
        assert_eq!(group.page(page(5, 9, 2), token("b"), NOW), Next::Page);
        let run = group.run(NOW + 500_000);
        assert_eq!((run.start, run.token.as_deref()), (0, Some("b")), "the parameters stay");
        assert_eq!(group.page(PageSummary::default(), None, NOW + 500_000), Next::Closed);
        assert_eq!(group.closed_to, window_of(NOW - 3_660_000), "what counts is when the run began");
    }

    #[test]
    fn a_long_backlog_is_cut_at_the_last_millisecond() {
        let mut group = Group::new(0, false, HOUR);
        group.run(NOW);
        assert_eq!(group.page(page(5, 70_000, CUT_EVENTS), token("a"), NOW), Next::Closed);
        assert_eq!(group.closed_to, 70_000);
        let run = group.run(NOW).clone();
        assert_eq!((run.start, run.token), (70_000, None));
        // Within the lookback ids are kept anyway.
        assert_eq!(group.page(page(70_000, NOW - 10, CUT_EVENTS), token("b"), NOW), Next::Page);
        // The order of a stand-in says nothing of what was read.
        let mut group = Group::new(0, false, HOUR);
        group.run(NOW);
        let unordered = PageSummary { in_order: false, ..page(5, 70_000, CUT_EVENTS) };
        assert_eq!(group.page(unordered, token("a"), NOW), Next::Page);
        assert_eq!(group.closed_to, 0);
    }

    #[test]
    fn a_refused_token_begins_where_reading_was() {
        let mut group = Group::new(0, false, HOUR);
        group.run(NOW);
        group.page(page(5, 900, 7), token("a"), NOW);
        assert!(group.token_refused());
        let run = group.run(NOW).clone();
        assert_eq!((run.start, run.token), (900, None));
        assert!(!group.token_refused(), "nothing was read since");
        let mut group = Group::new(0, false, HOUR);
        group.run(NOW);
        group.page(page(50, 900, 7), token("a"), NOW);
        group.page(page(5, 100, 7), token("b"), NOW);
        group.token_refused();
        assert_eq!(group.run(NOW).start, 0, "pages went back in time");
    }

    #[test]
    fn a_token_that_leads_to_itself_ends_the_run() {
        let mut group = Group::new(0, false, HOUR);
        group.run(NOW);
        assert_eq!(group.page(PageSummary::default(), token("a"), NOW), Next::Page);
        assert_eq!(group.page(PageSummary::default(), token("a"), NOW), Next::Closed);
    }

    /// Reads with a pause of 5 s for two hours, with `pages` a run over all; the runs' starts, as ages in seconds.
    fn schedule(pages: u32) -> Vec<(i64, i64)> {
        let mut group = Group::new(NOW - 10_000_000, true, HOUR);
        let mut ages = Vec::new();
        let mut now = NOW;
        while now < NOW + 7_200_000 {
            let start = group.run(now).start;
            let wanted = if now - start > 3_600_000 { pages } else { 1 };
            for number in 1..wanted {
                group.page(PageSummary::default(), token(&number.to_string()), now);
            }
            group.page(PageSummary::default(), None, now);
            ages.push((now, (now - start) / 1000));
            now += 5_000;
        }
        ages
    }

    #[test]
    fn few_pages_are_read_every_time() {
        assert!(schedule(2).iter().skip(1).all(|(_, age)| (3660..3780).contains(age)));
    }

    #[test]
    fn many_pages_are_read_on_a_schedule_and_none_is_closed_too_early() {
        let runs = schedule(50);
        let count = |ages: std::ops::Range<i64>| runs.iter().filter(|(_, age)| ages.contains(age)).count();
        assert!(count(0..121) > 1200, "young windows are read nearly every time");
        assert!((25..40).contains(&count(300..361)), "5 minutes: {}", count(300..361));
        assert!((10..20).contains(&count(900..961)), "15 minutes: {}", count(900..961));
        assert!((3..6).contains(&count(3600..6000)), "all: {}", count(3600..6000));
        // Every window was read at least once when it was as old as the lookback.
        for window in (NOW..NOW + 1_800_000).step_by(60_000) {
            let late = |(now, age): &(i64, i64)| now - window >= 3_660_000 && now - age * 1000 <= window;
            assert!(runs.iter().any(late), "window {window}");
        }
    }

    #[test]
    fn a_short_lookback_has_one_span() {
        let mut group = Group::new(NOW, true, Duration::from_secs(1));
        assert_eq!(group.run(NOW + 5).start, NOW);
        group.page(PageSummary::default(), None, NOW + 5);
        assert_eq!(group.closed_to, NOW, "it never goes back");
        assert!(!group.is_worth_noting());
        group.run(NOW + 200_000);
        group.page(PageSummary::default(), None, NOW + 200_000);
        assert!(group.is_worth_noting() && group.closed_to > NOW);
    }
}
