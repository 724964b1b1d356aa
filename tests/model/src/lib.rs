//! The protocol of reading CloudWatch Logs, explored in full: every order of late events, pages, deliveries, commits and
//! crashes in a small world. RELIABILITY.md has the figures. Run by `make test`.

#![cfg(test)]
#![expect(unreachable_pub, reason = "`windows` is a public module of the program")]

mod protocol;
// The program's own code decides which windows are open, settling and closed.
#[path = "../../../host/src/input/cloudwatch_logs/windows.rs"]
mod windows;

use std::time::Instant;

use protocol::{Broken, Protocol};
use stateright::{Checker, HasDiscoveries, Model};

/// Explores a world in full and answers how many states it has.
fn check(protocol: Protocol) -> usize {
    let began = Instant::now();
    let checker = protocol.checker().threads(2).spawn_bfs().join();
    println!(
        "{} windows, {} events each, {} crashes, side by side {}: {} states in {:.1?}",
        protocol.windows,
        protocol.events,
        protocol.crashes,
        protocol.side_by_side,
        checker.unique_state_count(),
        began.elapsed()
    );
    checker.assert_properties();
    checker.unique_state_count()
}

/// `make model` asks for larger worlds than a test should take.
fn is_full() -> bool {
    std::env::var_os("WEIR_MODEL").is_some_and(|worlds| worlds == "full")
}

/// One run of the group at a time. In full: three windows, three events, two crashes.
#[test]
fn three_windows_hold() {
    let events = if is_full() { 3 } else { 2 };
    let states = check(Protocol { windows: 3, events, crashes: 2, side_by_side: false, broken: None });
    assert!(states > 1_000_000, "{states} states are too few to say anything");
}

/// The front run and a re-reading, a page of each in any order.
#[test]
fn runs_side_by_side_hold() {
    let events = if is_full() { 3 } else { 2 };
    let states = check(Protocol { windows: 2, events, crashes: 2, side_by_side: true, broken: None });
    assert!(states > 100_000, "{states} states are too few to say anything");
}

/// A broken rule is found, by the invariant that says so.
fn check_broken(broken: Broken, invariant: &'static str) {
    let protocol = Protocol { windows: 2, events: 1, crashes: 1, side_by_side: true, broken: Some(broken) };
    let checker = protocol
        .checker()
        .threads(2)
        .finish_when(HasDiscoveries::AllOf([invariant].into()))
        .spawn_bfs()
        .join();
    let found = checker.discovery(invariant);
    let Some(path) = found else { panic!("{broken:?} was not found by {invariant}") };
    println!("{broken:?} breaks {invariant}: {:?}", path.into_actions());
}

#[test]
fn a_commit_before_the_acknowledgement_is_found() {
    check_broken(Broken::CommitBeforeAcknowledgement, "nothing_ahead");
    check_broken(Broken::CommitBeforeAcknowledgement, "nothing_lost");
}

#[test]
fn windows_that_are_closed_too_early_are_found() {
    check_broken(Broken::ClosedTooEarly, "nothing_lost");
    check_broken(Broken::ClosedByTheEndOfTheRun, "nothing_lost");
}

#[test]
fn seen_ids_that_are_forgotten_are_found() {
    check_broken(Broken::SeenIdsForgotten, "nothing_doubled");
}

#[test]
fn errors_that_count_as_read_are_found() {
    check_broken(Broken::ErrorsCountAsRead, "nothing_lost");
}

#[test]
fn windows_that_overtake_their_batches_are_found() {
    check_broken(Broken::WindowsOvertakeBatches, "nothing_lost");
}
