//! Versions that turn out bad on live events: the version before is back after a bounded number of events, in `make swap-test`
//! also within a second, and every event comes out, marked by one of the two.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use weir::filter::ConfiguredFilter;
use weir::swapper::SwapRequest;

use crate::bench::{Bench, GUESTS, mark, under_load, version};

/// Events after which a version breaks here, or whose failures are looked at, at the latest: 1,000 of each of two instances.
const MOST_EVENTS: u64 = 2000;

/// Swaps to version 2 with these options and events going on; answers when the version before was back, counted from the
/// swap.
fn check(old: &str, new: &str, reason: &str, rows: usize) {
    let folder = tempfile::tempdir().expect("a folder");
    let first = version(folder.path(), 1, None);
    let filter = format!("[[filter]]\nuse = \"{}\"\nid = \"mark\"\n{old}\n", first.display());
    let bench = Bench::new(folder.path(), "", &filter, 2);
    let options = folder.path().join("options.toml");
    std::fs::write(&options, new).expect("the folder can be written");
    let request = SwapRequest {
        filter: "mark".to_owned(),
        component: version(folder.path(), 2, None).display().to_string(),
        options: Some(options),
        shadow: Some(0),
        ..SwapRequest::default()
    };
    let before = bench.chain.current().number;
    let (mut took, mut new) = (Duration::ZERO, bench.chain.current());
    let (events, _) = under_load(&bench, 2, rows, &["mark"], || {
        // Enough events for a share of failures.
        let patience = Instant::now();
        while counted(&bench, |filter| &filter.version_counts.events_in) < 2000 {
            assert!(patience.elapsed() < Duration::from_secs(60), "the load goes on");
            std::thread::yield_now();
        }
        bench.swapper.swap(&request, &|_| {}).expect("nobody knows yet");
        let started = Instant::now();
        new = bench.chain.current();
        while bench.chain.current().number != before {
            assert!(started.elapsed() < Duration::from_secs(20), "{reason}: it is not back");
            std::thread::yield_now();
        }
        took = started.elapsed();
    });
    assert_eq!(bench.chain.swaps_and_returns(), (1, 1));
    let last = bench.swapper.figures().last.expect("it went back");
    assert_eq!(last.ended, "taken back");
    assert!(last.text.contains(reason), "{reason}: {}", last.text);
    let all = counted(&bench, |filter| &filter.counts.events_in);
    assert_eq!(all, events, "{reason}: every event is counted once, whichever version it came out of");
    println!("{reason}: back {took:?} after the swap; {events} events, none lost");
    if new.number != before {
        let of_new = new.definition.filters()[0].version_counts.events_in.load(Ordering::Relaxed);
        assert!(of_new <= MOST_EVENTS + 3 * rows as u64, "{reason}: back after {of_new} events");
    }
    // `make swap-test` has the machine for itself; beside other tests a thread may not be scheduled for as long.
    if std::env::var_os("WEIR_SWAPS").is_some() {
        assert!(took < Duration::from_secs(1), "{reason}: back after {took:?}");
    }
    assert_eq!(bench.pass(1).check(&["mark"]), Ok(mark(1)));
}

fn counted(bench: &Bench, which: fn(&ConfiguredFilter) -> &AtomicU64) -> u64 {
    which(&bench.chain.current().definition.filters()[0]).load(Ordering::Relaxed)
}

#[test]
fn a_version_that_breaks_goes_back() {
    let quick = "limits.deadline = \"100ms\"\n";
    check("", "break_after = 0", "stopped itself", 32);
    check("", "break_after = 1000", "stopped itself", 32);
    check("", &format!("{quick}break_after = 0\nmisdeed = \"loop\""), "deadline", 32);
    check("", &format!("{quick}break_after = 1000\nmisdeed = \"loop\""), "deadline", 32);
    check(
        "",
        "break_after = 0\nmisdeed = \"loop\"\nlimits.deadline = \"100ms\"\non_trap = \"stop\"",
        "deadline",
        7,
    );
}

#[test]
fn a_version_that_fails_too_often_goes_back() {
    check(
        "",
        "break_after = 0\nmisdeed = \"fail\"",
        "fails on 100.0 % of its events, its version before on 0.0 %",
        100,
    );
    check("", "break_after = 0\nmisdeed = \"fail\"\non_error = \"stop\"", "on_error = \"stop\"", 10);
}

#[test]
fn a_counter_goes_back_with_its_count() {
    let folder = tempfile::tempdir().expect("a folder");
    let first = version(folder.path(), 1, None);
    let filter = format!("[[filter]]\nuse = \"{}\"\nid = \"mark\"\ncount = true\n", first.display());
    let bench = Bench::new(folder.path(), "", &filter, 2);
    let options = folder.path().join("options.toml");
    std::fs::write(&options, "count = true\nbreak_after = 250").expect("the folder can be written");
    let numbered = |out: &crate::bench::Out| {
        for (row, event) in out.events.iter().enumerate() {
            assert_eq!(event["number"], out.first + row as u64, "{event}");
        }
    };
    for _ in 0..10 {
        numbered(&bench.pass(10));
    }
    let request = SwapRequest {
        filter: "mark".to_owned(),
        component: version(folder.path(), 2, None).display().to_string(),
        options: Some(options.clone()),
        shadow: Some(0),
        ..SwapRequest::default()
    };
    let outcome = bench.swapper.swap(&request, &|_| {}).expect("nobody knows yet");
    assert_eq!(outcome.carried, ["mark"]);
    let mut marks = Vec::new();
    for _ in 0..30 {
        let out = bench.pass(10);
        numbered(&out);
        marks.push(out.check(&["mark"]).expect("no event is lost"));
    }
    let mut expected = vec![mark(2); 15];
    expected.resize(30, mark(1));
    assert_eq!(marks, expected, "from the 251st event on it is version 1 again");
    // A state that is not taken: all is as it was, the count too.
    std::fs::write(&options, "count = true\nrefuse_state = true").expect("the folder can be written");
    let error = bench.swapper.swap(&request, &|_| {}).expect_err("the state is not taken").to_string();
    assert!(error.contains("it does not take the state of version 1: it was told to refuse"), "{error}");
    let out = bench.pass(10);
    numbered(&out);
    assert_eq!(out.check(&["mark"]), Ok(mark(1)));
}

#[test]
fn an_event_that_breaks_both_versions_takes_none_back() {
    let folder = tempfile::tempdir().expect("a folder");
    let options = "do = \"break on the word poison\"\ngrants = [\"patterns\"]";
    let hostile = GUESTS.hostile.display().to_string();
    let filter = format!("[[filter]]\nuse = \"{hostile}\"\nid = \"touchy\"\n{options}\n");
    let bench = Bench::new(folder.path(), "", &filter, 2);
    let request = SwapRequest {
        filter: "touchy".to_owned(),
        component: hostile,
        shadow: Some(0),
        ..SwapRequest::default()
    };
    bench.swapper.swap(&request, &|_| {}).expect("it is what it was");
    let number = bench.chain.current().number;
    for _ in 0..3 {
        let out = bench.pass_with(8, Some("poison"));
        assert_eq!((out.events.len(), out.set_aside), (7, 1), "the culprit alone is set aside");
    }
    assert_eq!((bench.chain.current().number, bench.chain.swaps_and_returns()), (number, (1, 0)));
    assert_eq!(counted(&bench, |filter| &filter.counts.events_in), 24);
    assert_eq!(counted(&bench, |filter| &filter.counts.dead_lettered), 3);
}
