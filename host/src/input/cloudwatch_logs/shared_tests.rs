//! Groups and inputs side by side: the budget that they share, how much is held in memory, and what a re-reading holds up.

use std::collections::HashSet;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::reader::REQUESTS_AT_A_TIME;
use super::tests::{MINUTE, NOW, Setting};
use crate::input::{Input, testing};
use crate::ledger::Ledger;

const DAY: i64 = 24 * 60 * MINUTE;

#[tokio::test]
async fn a_backlog_of_thirty_days_without_events_is_a_request_or_two() {
    for option in ["", "start_position = 2592000", "start_position = \"beginning\"\nlookback = \"14d\""] {
        let setting = Setting::new(option);
        setting.fake.create_group("/a");
        assert_eq!(setting.read_once().await, Vec::new());
        assert_eq!(setting.fake.calls().len(), 1, "{option}");
        // Thirty days without a process.
        setting.set_clock(NOW + 30 * DAY);
        let mut later = setting.beside(option);
        later.once = false;
        let mut line = later.start().await;
        setting.cycles(&mut line, 6).await;
        let ends: HashSet<i64> = setting
            .fake
            .calls()
            .iter()
            .skip(1)
            .map(|call| call.parameters["endTime"].as_i64().unwrap())
            .collect();
        assert!(ends.len() <= 3, "{option}: {ends:?}");
        let first = &setting.fake.calls()[1].parameters;
        assert!(first["endTime"].as_i64().unwrap() > NOW + 30 * DAY, "the first request reads all of it");
    }
}

#[tokio::test]
async fn inputs_of_one_account_share_a_budget() {
    let one = Setting::following("log_group = [\"/a\", \"/b\"]\nrequests_per_second = 100");
    for group in ["/a", "/b", "/c", "/d"] {
        one.fake.create_group(group);
    }
    let mut two = one.beside("log_group = [\"/c\", \"/d\"]\nrequests_per_second = 100");
    two.ledger = Ledger::in_memory().unwrap();
    let (mut first, mut second) = (one.start().await, two.start().await);
    tokio::join!(one.cycles(&mut first, 60), two.cycles(&mut second, 60));
    let calls = one.fake.calls();
    let took = calls[59].at - calls[0].at;
    assert!(took >= Duration::from_millis(10) * 57, "60 calls in {took:?}");
    for group in ["/a", "/b", "/c", "/d"] {
        let asked = calls.iter().filter(|call| call.parameters["logGroupName"] == group).count();
        assert!(asked >= 8, "{group} was asked {asked} times of 60");
    }
}

#[tokio::test]
async fn a_group_that_is_behind_gets_more_and_holds_no_other() {
    // So few that a busy machine makes them too: shares are of requests that are short.
    let setting = Setting::following("log_group = [\"/behind\", \"/fresh\"]\nrequests_per_second = 50");
    for number in 0..200 {
        setting.fake.put("/behind", "s", NOW - 30 * DAY + number, &format!("{number}"));
    }
    setting.fake.create_group("/fresh");
    setting.fake.faults().short_pages = Some(1);
    let mut line = setting.start().await;
    setting.follow(&mut line, 200).await;
    let calls = setting.fake.calls();
    let asked = |group: &str| calls.iter().filter(|call| call.parameters["logGroupName"] == group).count();
    let (behind, fresh) = (asked("/behind"), asked("/fresh"));
    assert!(fresh >= 6, "the other group is read all the while: {fresh} of {}", calls.len());
    assert!(behind > 3 * fresh, "{behind} and {fresh}");
}

#[tokio::test]
async fn what_is_held_in_memory_is_bounded() {
    let groups = ["/a", "/b", "/c", "/d", "/e", "/f"];
    let mut setting = Setting::new(&format!("log_group = {groups:?}\nlookback = \"10m\""));
    setting.batch_size = 100;
    let page = 500;
    setting.fake.faults().short_pages = Some(page);
    for number in 0..2000 {
        for group in groups {
            setting.fake.put(group, "s", NOW - 60 * MINUTE + number, &format!("{group} {number}"));
        }
    }
    let mut reader = setting.open().await;
    let counters = reader.counters().cloudwatch_logs.clone().unwrap();
    let mut found = HashSet::new();
    while let Some(read) = reader.next().await.unwrap() {
        found.extend(testing::seen(&read.events).into_iter().map(|event| event.identity));
        // The line is slow, and acknowledges late.
        tokio::time::sleep(Duration::from_micros(200)).await;
        setting.ledger.commit(&[("test", &read.position)]).unwrap();
    }
    assert_eq!(found.len(), 12_000);
    let most = counters.most_held_events.load(Ordering::Relaxed);
    let bound = (REQUESTS_AT_A_TIME + 1) * page;
    assert!(most <= bound as u64 && most > page as u64, "{most} events were held");
    assert_eq!(counters.held_events.load(Ordering::Relaxed), 0);
    assert!(counters.invariants().iter().all(|(_, holds)| *holds), "{:?}", counters.invariants());
}

#[tokio::test]
async fn a_long_re_reading_does_not_hold_the_newest_events() {
    let setting = Setting::following("lookback = \"30m\"");
    for number in 0..600 {
        setting.fake.put("/a", "s", NOW - 25 * MINUTE + number, &format!("old {number}"));
    }
    let mut line = setting.start().await;
    setting.follow(&mut line, 600).await;
    setting.cycles(&mut line, 3).await;
    drop(line);
    // The re-reading of these takes 300 pages; a crash makes it begin anew.
    setting.fake.faults().short_pages = Some(2);
    for round in 1..4 {
        let now = NOW + round * 5 * MINUTE;
        setting.set_clock(now);
        let before = setting.fake.calls().len();
        let mut line = setting.start().await;
        setting.fake.put("/a", "s", now - 1000, &format!("new {round}"));
        assert_eq!(testing::messages(&setting.follow(&mut line, 1).await), [format!("new {round}")]);
        setting.fake.put("/a", "s", now - 500, &format!("newer {round}"));
        assert_eq!(testing::messages(&setting.follow(&mut line, 1).await), [format!("newer {round}")]);
        let asked = setting.fake.calls().len() - before;
        assert!(asked < 60, "round {round}: {asked} requests before the newest events were there");
    }
}

#[tokio::test]
async fn two_groups_that_do_not_answer_hold_no_other() {
    use weir_test_support::cloudwatch::Fault;
    let setting = Setting::following("log_group = [\"/slow\", \"/slower\", \"/slowest\", \"/a\"]");
    for group in ["/slow", "/slower", "/slowest"] {
        setting.fake.create_group(group);
        setting.fake.faults().groups.insert(group.to_owned(), Fault::Slow(Duration::from_secs(3600)));
    }
    setting.fake.put("/a", "s", NOW - 5, "one");
    let mut line = setting.start().await;
    assert_eq!(testing::messages(&setting.follow(&mut line, 1).await), ["one"]);
    setting.fake.put("/a", "s", NOW - 4, "two");
    assert_eq!(testing::messages(&setting.follow(&mut line, 1).await), ["two"]);
}

#[tokio::test]
async fn figures_have_names_and_groups() {
    let setting = Setting::new("");
    setting.fake.put("/a", "s", NOW - 90 * MINUTE, "old");
    setting.fake.put("/a", "s", NOW - 2 * MINUTE, "young");
    setting.fake.faults().empty_pages = 1;
    let mut reader = setting.open().await;
    let read = reader.next().await.unwrap().unwrap();
    let counters = reader.counters();
    let figure = |name: &str, label: &str| {
        let found = counters.figures().into_iter().find(|figure| {
            figure.name == name && (label.is_empty() || figure.labels.iter().any(|(_, value)| value == label))
        });
        found.unwrap_or_else(|| panic!("no figure {name} {label}")).value
    };
    assert_eq!((figure("seen_ids", ""), figure("unacknowledged_ids", "")), (2.0, 2.0));
    assert_eq!((figure("requests", ""), figure("empty_pages", "")), (2.0, 1.0));
    assert!(figure("oldest_unacknowledged_seconds", "") > 0.0);
    assert_eq!(figure("invariant_holds", "nothing_lost"), 1.0);
    assert_eq!(figure("windows", "closed"), 29.0);
    assert_eq!(figure("windows", "settling"), 60.0);
    assert_eq!(figure("lag_seconds", "/a"), 0.0);
    assert_eq!(figure("requests_per_second", ""), 1000.0);
    setting.ledger.commit(&[("test", &read.position)]).unwrap();
    assert_eq!(figure("unacknowledged_ids", ""), 0.0);
    assert_eq!(figure("oldest_unacknowledged_seconds", ""), 0.0);
    assert!(figure("ledger_used_bytes", "") > 30.0);
}
