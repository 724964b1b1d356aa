//! What is read of a group and when, with clocks of the tests' own.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::group::{CUT_EVENTS, Group, Next, Pace};
use super::run::PageSummary;
use super::windows::{GRACE, WINDOW, Windows, window_of};

const NOW: i64 = 1_700_000_040_000;
const HOUR: i64 = 3_600_000;
const AHEAD: i64 = 7_200_000;

fn pace(lookback: Duration, once: bool) -> Pace {
    Pace { lookback, interval: Duration::ZERO, once }
}

fn new_group(start: i64) -> Group {
    Group::new(Windows::starting_at(start), false, pace(Duration::from_secs(3600), false))
}

/// A group of an earlier run, which has read everything up to `NOW`.
fn known_group() -> Group {
    let windows = Windows { closed_to: window_of(NOW - HOUR - GRACE), settling_to: window_of(NOW - GRACE) };
    Group::new(windows, true, pace(Duration::from_secs(3600), false))
}

fn page(first: i64, last: i64, new_events: usize) -> PageSummary {
    PageSummary { first: Some(first), last: Some(last), in_order: true, new_events }
}

fn token(text: &str) -> Option<String> {
    Some(text.to_owned())
}

#[test]
fn a_backlog_is_one_run_to_the_end() {
    let mut group = new_group(0);
    let run = group.run(NOW).clone();
    assert_eq!(run.start, 0);
    assert!(run.end > NOW + AHEAD && run.end < NOW + AHEAD + WINDOW);
    assert_eq!(group.lag(NOW), None);
    assert_eq!(group.page(PageSummary::default(), token("a"), NOW), Next::Page);
    assert_eq!(group.page(page(NOW - 9, NOW - 5, 2), token("b"), NOW), Next::Page);
    assert_eq!(group.lag(NOW), Some(5));
    let run = group.run(NOW + 500_000);
    assert_eq!((run.start, run.token.as_deref()), (0, Some("b")), "the parameters stay");
    assert_eq!(group.page(PageSummary::default(), None, NOW + 500_000), Next::Closed);
    let expected = Windows { closed_to: window_of(NOW - HOUR - GRACE), settling_to: window_of(NOW - GRACE) };
    assert_eq!(group.windows, expected, "what counts is when the run began");
    assert_eq!(group.lag(NOW + 500_000), Some(500_000));
}

#[test]
fn a_long_backlog_is_cut_at_the_last_millisecond() {
    let mut group = new_group(0);
    group.run(NOW);
    assert_eq!(group.page(page(5, 70_000, CUT_EVENTS), token("a"), NOW), Next::Closed);
    assert_eq!(group.windows, Windows::starting_at(70_000));
    let run = group.run(NOW).clone();
    assert_eq!((run.start, run.token), (70_000, None));
    // Within the lookback nothing is closed by it, but it need not be read first again.
    assert_eq!(group.page(page(70_000, NOW - 90_010, CUT_EVENTS), token("b"), NOW), Next::Closed);
    let expected = Windows { closed_to: window_of(NOW - HOUR - GRACE), settling_to: NOW - 90_010 };
    assert_eq!(group.windows, expected);
    // More events in a millisecond than a run may have: it cannot be cut there.
    let mut group = new_group(0);
    group.run(NOW);
    assert_eq!(group.page(page(0, 0, CUT_EVENTS), token("a"), NOW), Next::Page);
    assert_eq!(group.page(page(0, 7, 10), token("b"), NOW), Next::Closed);
    // The order of a stand-in says nothing of what was read.
    let mut group = new_group(0);
    group.run(NOW);
    let unordered = PageSummary { in_order: false, ..page(5, 70_000, CUT_EVENTS) };
    assert_eq!(group.page(unordered, token("a"), NOW), Next::Page);
    assert_eq!(group.windows.closed_to, 0);
}

#[test]
fn many_pages_are_cut_where_events_say_what_was_read() {
    let mut group = new_group(0);
    group.run(NOW);
    for number in 0..600 {
        let next = group.page(PageSummary::default(), token(&number.to_string()), NOW);
        assert_eq!(next, Next::Page, "nothing is known of what pages without events have read");
    }
    assert_eq!(group.page(page(80_000, 80_005, 3), token("x"), NOW), Next::Closed);
    assert_eq!(group.windows, Windows::starting_at(80_005));
}

#[test]
fn a_refused_token_begins_where_reading_was() {
    let mut group = new_group(0);
    group.run(NOW);
    group.page(page(5, 900, 7), token("a"), NOW);
    assert!(group.token_refused());
    let run = group.run(NOW).clone();
    assert_eq!((run.start, run.token), (900, None));
    assert!(!group.token_refused(), "nothing was read since");
    group.page(PageSummary::default(), None, NOW);
    assert_eq!(group.windows.closed_to, window_of(NOW - HOUR - GRACE), "both parts were read");
    let mut group = new_group(0);
    group.run(NOW);
    group.page(page(50, 900, 7), token("a"), NOW);
    group.page(page(5, 100, 7), token("b"), NOW);
    group.token_refused();
    assert_eq!(group.run(NOW).start, 0, "pages went back in time");
}

#[test]
fn a_token_that_leads_to_itself_ends_the_run() {
    let mut group = new_group(0);
    group.run(NOW);
    assert_eq!(group.page(PageSummary::default(), token("a"), NOW), Next::Page);
    assert_eq!(group.page(PageSummary::default(), token("a"), NOW), Next::Closed);
}

#[test]
fn a_restart_reads_the_newest_first_and_beside_it_what_settles() {
    let mut group = known_group();
    let later = NOW + 600_000;
    let front = group.run(later).clone();
    assert_eq!(front.start, window_of(NOW - GRACE), "what the last run had not read");
    assert!(front.end > later);
    assert_eq!(group.page(page(NOW, later, 9), token("a"), later), Next::Page);
    let again = group.run(later).clone();
    assert_eq!((again.start, again.end), (window_of(NOW - HOUR - GRACE), window_of(NOW - GRACE) - 1));
    assert_eq!(group.page(PageSummary::default(), token("x"), later), Next::Page);
    assert_eq!(group.run(later).token.as_deref(), Some("a"), "a page of each in turn");
    assert_eq!(group.page(PageSummary::default(), None, later), Next::Closed);
    assert_eq!(group.windows.settling_to, window_of(later - GRACE));
    assert_eq!(group.windows.closed_to, window_of(NOW - HOUR - GRACE), "it was not read again yet");
    // The next front run does not wait for the end of the re-reading.
    assert_eq!(group.run(later).token.as_deref(), Some("x"));
    group.page(PageSummary::default(), token("y"), later);
    assert_eq!(group.run(later).start, window_of(later - GRACE));
    group.page(PageSummary::default(), None, later);
    assert_eq!(group.run(later).token.as_deref(), Some("y"));
    assert_eq!(group.page(PageSummary::default(), None, later), Next::Closed);
    assert_eq!(group.windows.closed_to, window_of(later - HOUR - GRACE));
}

#[test]
fn few_pages_that_turn_out_to_be_many_hold_nothing() {
    let mut group = known_group();
    // One page of each: from now on everything is read every time.
    for _ in 0..3 {
        group.run(NOW);
        group.page(PageSummary::default(), None, NOW);
    }
    let whole = group.run(NOW).clone();
    assert_eq!(whole.start, group.windows.closed_to);
    for number in 0..3 {
        assert!(group.run(NOW).is_before(NOW - HOUR / 2));
        let read = page(NOW - HOUR, NOW - HOUR, 0);
        assert_eq!(group.page(read, token(&number.to_string()), NOW), Next::Page);
    }
    let front = group.run(NOW).clone();
    assert_eq!(front.start, group.windows.settling_to, "the newest events are read beside it");
    group.page(PageSummary::default(), None, NOW);
    assert_eq!(group.run(NOW).token.as_deref(), Some("2"), "and it goes on");
}

/// Reads every 5 s for two hours with so many pages a run over all; when runs began, and what they covered.
fn schedule(pages: u32) -> Vec<(i64, i64, i64)> {
    let mut group = known_group();
    let mut runs = Vec::new();
    let mut begun: BTreeMap<i64, u32> = BTreeMap::new();
    let mut now = NOW;
    while now < NOW + 2 * HOUR {
        for _ in 0..4 {
            let run = group.run(now).clone();
            if run.pages == 0 {
                runs.push((now, run.start, run.end));
                begun.insert(run.origin, 0);
            }
            let wanted = if run.origin == group.windows.closed_to { pages } else { 1 };
            let next = (run.pages + 1 < wanted).then(|| format!("{}", run.pages));
            group.page(PageSummary::default(), next, now);
        }
        now += 5_000;
    }
    runs
}

#[test]
fn few_pages_are_read_every_time() {
    let runs = schedule(1);
    assert!(runs.iter().skip(4).all(|(now, start, _)| (3660..3780).contains(&((now - start) / 1000))));
}

#[test]
fn many_pages_are_read_on_a_schedule_and_none_is_closed_too_early() {
    let runs = schedule(50);
    let count = |ages: std::ops::Range<i64>| {
        runs.iter().filter(|(now, start, _)| ages.contains(&((now - start) / 1000))).count()
    };
    assert!(count(0..121) > 1400, "open windows are read every time: {}", count(0..121));
    assert!((25..50).contains(&count(300..361)), "5 minutes: {}", count(300..361));
    assert!((10..20).contains(&count(900..961)), "15 minutes: {}", count(900..961));
    assert!((4..8).contains(&count(3600..6000)), "all: {}", count(3600..6000));
    // Every window was read at least once when it was as old as the lookback.
    for window in (NOW..NOW + HOUR / 2).step_by(60_000) {
        let late = |(now, start, end): &(i64, i64, i64)| {
            now - window >= HOUR + GRACE && *start <= window && window + WINDOW - 1 <= *end
        };
        assert!(runs.iter().any(late), "window {window}");
    }
    // And its newest events were read all the time.
    let mut fronts: Vec<i64> = runs.iter().filter(|(now, _, end)| end > now).map(|(now, ..)| *now).collect();
    fronts.dedup();
    assert!(fronts.windows(2).all(|pair| pair[1] - pair[0] <= 5_000));
}

#[test]
fn a_short_lookback_closes_what_has_settled() {
    let mut group = Group::new(Windows::starting_at(NOW), true, pace(Duration::from_secs(1), false));
    assert_eq!(group.run(NOW + 5).start, NOW);
    group.page(PageSummary::default(), None, NOW + 5);
    assert_eq!(group.windows.closed_to, NOW, "it never goes back");
    assert!(!group.is_worth_noting());
    group.run(NOW + 200_000);
    group.page(page(NOW + 5, NOW + 6, 1), None, NOW + 200_000);
    assert!(group.is_worth_noting() && group.windows.closed_to > NOW);
    group.note();
    group.run(NOW + 300_000);
    group.page(PageSummary::default(), None, NOW + 300_000);
    assert!(!group.is_worth_noting(), "without events it may wait");
}

#[test]
fn windows_are_counted_from_the_oldest_event() {
    let mut group = new_group(0);
    assert_eq!(group.window_counts(NOW), [0, 0, 0]);
    group.run(NOW);
    group.page(page(NOW - 2 * HOUR, NOW, 2), None, NOW);
    assert_eq!(group.window_counts(NOW), [2, 60, 59]);
}

#[test]
fn a_failure_holds_a_group_for_its_wait() {
    let mut group = new_group(0);
    assert!(group.due() <= Instant::now());
    let later = Instant::now() + Duration::from_secs(60);
    group.hold(later);
    assert_eq!(group.due(), later);
    group.run(NOW);
    assert_eq!(group.due(), later, "a run that is under way waits too");
}
