//! Reading against a fake of the service: every way in which others lose or repeat events has a test.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use aws_credential_types::provider::error::CredentialsError;
use aws_credential_types::provider::{ProvideCredentials, SharedCredentialsProvider, future};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use weir_test_support::cloudwatch::{FakeCloudWatch, Fault, TokenBucket};

use super::*;
use crate::config::Section;
use crate::input::testing::{self, Seen};
use crate::input::{Codec, Read};
use crate::ledger::Ledger;

pub(super) const NOW: i64 = 1_700_000_000_000;
pub(super) const MINUTE: i64 = 60_000;

/// A service, a clock that both sides go by, and a ledger that outlives the input.
pub(super) struct Setting {
    pub(super) fake: Arc<FakeCloudWatch>,
    clock: Arc<AtomicI64>,
    pub(super) ledger: Ledger,
    stop: CancellationToken,
    pub(super) once: bool,
    pub(super) batch_size: usize,
    /// More options in TOML.
    options: String,
}

impl Setting {
    pub(super) fn new(options: &str) -> Self {
        let fake = Arc::new(FakeCloudWatch::start());
        fake.set_now(NOW);
        Setting {
            fake,
            clock: Arc::new(AtomicI64::new(NOW)),
            ledger: Ledger::in_memory().unwrap(),
            stop: CancellationToken::new(),
            once: true,
            batch_size: 10,
            options: options.to_owned(),
        }
    }

    pub(super) fn following(options: &str) -> Self {
        Setting { once: false, ..Setting::new(options) }
    }

    pub(super) fn set_clock(&self, now: i64) {
        self.clock.store(now, Ordering::Relaxed);
        self.fake.set_now(now);
    }

    /// Another input with the same service, clock and ledger.
    pub(super) fn beside(&self, options: &str) -> Self {
        Setting {
            fake: self.fake.clone(),
            clock: self.clock.clone(),
            ledger: self.ledger.clone(),
            stop: CancellationToken::new(),
            options: options.to_owned(),
            ..*self
        }
    }

    pub(super) async fn open(&self) -> Reader {
        let url = self.fake.url();
        let mut text =
            format!("endpoint_url = \"{url}\"\naccess_key_id = \"AKID\"\nsecret_access_key = \"secret\"\n");
        for (key, value) in
            [("log_group", "\"/a\""), ("interval", "\"1ms\""), ("requests_per_second", "1000")]
        {
            if !self.options.contains(key) {
                text += &format!("{key} = {value}\n");
            }
        }
        let mut section = Section::parse(&(text + &self.options));
        let options = read_options(&mut section);
        assert_eq!(section.into_problems(), Vec::<String>::new());
        let mut context = testing::context_with(&self.ledger, Codec::Plain);
        context.batch_size = self.batch_size;
        context.stop = self.stop.clone();
        context.once = self.once;
        let service = Service::new(&options).await.unwrap();
        let clock = self.clock.clone();
        let timing = Timing {
            clock: Arc::new(move || clock.load(Ordering::Relaxed)),
            first_wait: Duration::from_millis(1),
        };
        Reader::open(options, context, service, timing).await.unwrap()
    }

    /// All that one run with `--once` reads, acknowledged.
    pub(super) async fn read_once(&self) -> Vec<Seen> {
        testing::all(&mut self.open().await, Some(&self.ledger)).await
    }

    /// Waits until the service has been asked `count` times more; no events may come.
    pub(super) async fn cycles(&self, line: &mut Line, count: usize) {
        let fake = self.fake.clone();
        let wanted = fake.calls().len() + count;
        let waiting =
            tokio::task::spawn_blocking(move || fake.wait_for(LIMIT, |calls| calls.len() >= wanted));
        tokio::pin!(waiting);
        loop {
            tokio::select! {
                asked = &mut waiting => {
                    assert!(asked.unwrap(), "the service was not asked {count} times");
                    return;
                }
                read = line.next() => {
                    assert_eq!(testing::seen(&read.events), Vec::new());
                    self.ledger.commit(&[("test", &read.position)]).unwrap();
                }
            }
        }
    }

    /// The next events of an endless run, until there are `count`.
    pub(super) async fn follow(&self, line: &mut Line, count: usize) -> Vec<Seen> {
        let mut seen = Vec::new();
        while seen.len() < count {
            let read = line.next().await;
            seen.extend(testing::seen(&read.events));
            self.ledger.commit(&[("test", &read.position)]).unwrap();
        }
        seen
    }

    pub(super) async fn start(&self) -> Line {
        let mut reader = self.open().await;
        let (sender, reads) = mpsc::channel(1);
        let task = tokio::spawn(async move {
            while let Some(read) = reader.next().await.expect("it goes on by itself") {
                if sender.send(read).await.is_err() {
                    break;
                }
            }
        });
        Line { reads, task }
    }
}

/// How long a test waits for what must come.
pub(super) const LIMIT: Duration = Duration::from_secs(30);

/// An endless run, as the line polls it. Dropping it is a crash.
pub(super) struct Line {
    pub(super) reads: mpsc::Receiver<Read>,
    task: tokio::task::JoinHandle<()>,
}

impl Line {
    async fn next(&mut self) -> Read {
        let read = tokio::time::timeout(LIMIT, self.reads.recv()).await;
        read.expect("something comes in time").expect("it does not end")
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn sorted(events: &[Seen]) -> Vec<&str> {
    let mut messages = testing::messages(events);
    messages.sort_unstable();
    messages
}

fn numbered(range: std::ops::Range<i64>) -> Vec<String> {
    range.map(|number| format!("event {number:05}")).collect()
}

/// Numbered events, a second apart up to the clock, over three streams.
fn put_numbered(fake: &FakeCloudWatch, group: &str, range: std::ops::Range<i64>) {
    let end = range.end;
    for number in range {
        let time = NOW - (end - number) * 1000;
        fake.put(group, &format!("stream {}", number % 3), time, &format!("event {number:05}"));
    }
}

#[tokio::test]
async fn everything_is_read_once_and_a_second_run_finds_nothing() {
    for (short_pages, empty_pages, trailing_token) in
        [(None, 0, false), (Some(7), 2, true), (Some(1), 0, true)]
    {
        let setting = Setting::new("");
        put_numbered(&setting.fake, "/a", 0..60);
        {
            let mut faults = setting.fake.faults();
            faults.short_pages = short_pages;
            faults.empty_pages = empty_pages;
            faults.trailing_token = trailing_token;
        }
        let events = setting.read_once().await;
        assert_eq!(testing::messages(&events), numbered(0..60));
        assert_eq!(setting.read_once().await, Vec::new());
        let event = &events[7].document;
        assert_eq!(event["cloudwatch_logs"]["log_group"], "/a");
        assert_eq!(event["cloudwatch_logs"]["log_stream"], "stream 1");
        assert_eq!(event["cloudwatch_logs"]["event_id"].as_str().unwrap().len(), 56);
        // A backlog is one range, whose parameters stay the same from page to page.
        let mut question = None;
        for call in setting.fake.calls() {
            let token = call.parameters.get("nextToken").cloned();
            let mut rest = call.parameters;
            rest.as_object_mut().unwrap().remove("nextToken");
            if token.is_some() {
                assert_eq!(question.as_ref(), Some(&rest));
            }
            question = Some(rest);
        }
        assert_eq!(setting.fake.calls()[0].parameters["startTime"], 0);
    }
}

#[tokio::test]
async fn events_of_one_millisecond_all_come() {
    let setting = Setting::new("");
    setting.fake.faults().short_pages = Some(3);
    for number in 0..20 {
        setting.fake.put("/a", &format!("stream {}", number % 4), NOW - 5000, &format!("event {number:05}"));
    }
    assert_eq!(sorted(&setting.read_once().await), numbered(0..20));
    // Of the same millisecond, and visible only now.
    setting.fake.put("/a", "stream 9", NOW - 5000, "one more");
    assert_eq!(testing::messages(&setting.read_once().await), ["one more"]);
}

#[tokio::test]
async fn late_events_come_exactly_once_within_the_lookback() {
    let setting = Setting::following("lookback = \"30m\"");
    setting.fake.put("/a", "s", NOW - MINUTE, "on time");
    let mut line = setting.start().await;
    setting.follow(&mut line, 1).await;
    let mut expected = BTreeSet::new();
    let mut found = Vec::new();
    for step in 0..40_i64 {
        let now = NOW + step * MINUTE;
        setting.set_clock(now);
        for age in [0, 2, 7, 18, 29] {
            let message = format!("{step} minutes on, {age} late");
            setting.fake.put("/a", "s", now - age * MINUTE, &message);
            expected.insert(message);
        }
        found.extend(setting.follow(&mut line, 5).await);
    }
    let messages = testing::messages(&found);
    assert_eq!(messages.len(), expected.len(), "none twice");
    assert_eq!(messages.iter().map(ToString::to_string).collect::<BTreeSet<_>>(), expected);
    // What is closed is closed: the ids of old windows are forgotten, so nothing of them is read again.
    setting.fake.put("/a", "s", NOW - 60 * MINUTE, "far too late");
    setting.cycles(&mut line, 5).await;
    drop(line);
    setting.fake.put("/a", "s", NOW + 40 * MINUTE, "after a restart");
    let mut line = setting.start().await;
    assert_eq!(testing::messages(&setting.follow(&mut line, 1).await), ["after a restart"]);
    let ids = setting.ledger.input("test").range(b"i"..b"j").unwrap();
    assert!(ids.len() < 250, "the ledger does not grow for ever: {}", ids.len());
}

#[tokio::test]
async fn events_ahead_of_the_clock_come_at_once_and_once() {
    let setting = Setting::following("");
    setting.fake.put("/a", "s", NOW + 90 * MINUTE, "ahead");
    let mut line = setting.start().await;
    assert_eq!(testing::messages(&setting.follow(&mut line, 1).await), ["ahead"]);
    for step in 1..12 {
        setting.set_clock(NOW + step * 10 * MINUTE);
        setting.cycles(&mut line, 2).await;
    }
}

#[tokio::test]
async fn expired_tokens_lose_and_repeat_nothing() {
    for calls in [0, 1, 3] {
        let setting = Setting::new("");
        put_numbered(&setting.fake, "/a", 0..50);
        {
            let mut faults = setting.fake.faults();
            faults.short_pages = Some(4);
            faults.token_life_calls = Some(calls);
        }
        let events = setting.read_once().await;
        assert_eq!(testing::messages(&events), numbered(0..50), "tokens live for {calls} calls");
    }
    let setting = Setting::following("");
    put_numbered(&setting.fake, "/a", 0..50);
    setting.fake.faults().short_pages = Some(20);
    let mut line = setting.start().await;
    let mut events = setting.follow(&mut line, 1).await;
    setting.fake.expire_tokens();
    events.extend(setting.follow(&mut line, 40).await);
    assert_eq!(testing::messages(&events), numbered(0..50));
}

#[tokio::test]
async fn faults_are_never_an_end() {
    let setting = Setting::new("");
    put_numbered(&setting.fake, "/a", 0..30);
    {
        let mut faults = setting.fake.faults();
        faults.short_pages = Some(4);
        faults.script = VecDeque::from(vec![
            Some(Fault::Throttling),
            Some(Fault::Throttling),
            None,
            Some(Fault::ServiceUnavailable),
            None,
            Some(Fault::InternalFailure),
            Some(Fault::Reset),
            None,
            Some(Fault::Cut),
            Some(Fault::BadGateway),
            Some(Fault::ExpiredCredentials),
            None,
            Some(Fault::InvalidParameter),
        ]);
    }
    let mut reader = setting.open().await;
    let events = testing::all(&mut reader, Some(&setting.ledger)).await;
    assert_eq!(testing::messages(&events), numbered(0..30));
    let counters = reader.counters().cloudwatch_logs.clone().unwrap();
    assert_eq!(counters.throttled.load(Ordering::Relaxed), 2);
    assert_eq!(counters.failed_requests.load(Ordering::Relaxed), 6);
}

#[tokio::test]
async fn the_rate_is_kept_and_a_lower_limit_of_the_service_only_slows() {
    let setting = Setting::new("log_group = [\"/a\", \"/b\"]\nrequests_per_second = 200");
    for group in ["/a", "/b"] {
        put_numbered(&setting.fake, group, 0..20);
    }
    {
        let mut faults = setting.fake.faults();
        faults.short_pages = Some(2);
        faults.throttle = Some(TokenBucket::new(100.0, 1.0));
    }
    assert_eq!(setting.read_once().await.len(), 40);
    let calls = setting.fake.calls();
    let took = calls[calls.len() - 1].at - calls[0].at;
    let least = Duration::from_millis(5) * (calls.len() as u32 - 2);
    assert!(took >= least, "{} calls in {took:?}", calls.len());
}

#[tokio::test]
async fn a_bad_group_holds_no_other() {
    let setting = Setting::following("log_group = [\"/missing\", \"/denied\", \"/a\"]");
    put_numbered(&setting.fake, "/a", 0..30);
    setting.fake.put("/denied", "s", NOW, "not for everybody");
    setting.fake.faults().groups.insert("/denied".to_owned(), Fault::AccessDenied);
    let mut line = setting.start().await;
    assert_eq!(testing::messages(&setting.follow(&mut line, 30).await), numbered(0..30));
    // Both come as soon as they can be read.
    setting.fake.put("/missing", "s", NOW, "here now");
    setting.fake.faults().groups.clear();
    let events = setting.follow(&mut line, 2).await;
    assert_eq!(sorted(&events), ["here now", "not for everybody"]);
}

#[tokio::test]
async fn a_bad_group_fails_a_run_that_reads_once_after_the_others_were_read() {
    let setting = Setting::new("log_group = [\"/missing\", \"/a\", \"/denied\"]");
    put_numbered(&setting.fake, "/a", 0..30);
    setting.fake.faults().groups.insert("/denied".to_owned(), Fault::AccessDenied);
    let mut reader = setting.open().await;
    let mut events = Vec::new();
    let error = loop {
        match reader.next().await {
            Ok(Some(Read { events: batch, position })) => {
                events.extend(testing::seen(&batch));
                setting.ledger.commit(&[("test", &position)]).unwrap();
            }
            Ok(None) => panic!("two groups cannot be read"),
            Err(error) => break format!("{error:#}"),
        }
    };
    assert_eq!(testing::messages(&events), numbered(0..30));
    assert!(error.contains("/missing") && error.contains("us-east-1"), "{error}");
    assert!(error.contains("/denied") && error.contains("AccessDenied"), "{error}");
}

#[tokio::test]
async fn a_run_goes_on_after_what_was_acknowledged() {
    let setting = Setting::new("");
    put_numbered(&setting.fake, "/a", 0..100);
    setting.fake.faults().short_pages = Some(25);
    let mut reader = setting.open().await;
    let mut acknowledged = Vec::new();
    for _ in 0..4 {
        acknowledged.extend(testing::next(&mut reader, Some(&setting.ledger)).await.unwrap());
    }
    // Handed out, perhaps delivered, never acknowledged.
    let lost = testing::next(&mut reader, None).await.unwrap();
    drop(reader);
    let rest = setting.read_once().await;
    let identities = |events: &[Seen]| events.iter().map(|event| event.identity).collect::<Vec<_>>();
    assert_eq!(identities(&rest[..lost.len()]), identities(&lost), "they are the same documents");
    acknowledged.extend(rest);
    assert_eq!(testing::messages(&acknowledged), numbered(0..100));
}

#[tokio::test]
async fn start_positions() {
    for (option, expected) in [
        ("start_position = \"beginning\"", &["old", "young"][..]),
        ("start_position = 60", &["young"][..]),
        ("start_position = \"end\"", &[][..]),
    ] {
        let setting = Setting::new(option);
        setting.fake.put("/a", "s", NOW - 120_000, "old");
        setting.fake.put("/a", "s", NOW - 30_000, "young");
        let events = setting.read_once().await;
        assert_eq!(testing::messages(&events), expected, "{option}");
        setting.set_clock(NOW + 10_000);
        setting.fake.put("/a", "s", NOW + 5_000, "new");
        assert_eq!(testing::messages(&setting.read_once().await), ["new"], "{option}");
    }
}

#[tokio::test]
async fn the_end_is_where_the_first_run_began_even_if_that_read_nothing() {
    let setting = Setting::following("start_position = \"end\"");
    setting.fake.faults().groups.insert("/a".to_owned(), Fault::InternalFailure);
    let mut line = setting.start().await;
    let first = line.next().await;
    assert_eq!(first.events.rows(), 0);
    setting.ledger.commit(&[("test", &first.position)]).unwrap();
    drop(line);
    setting.fake.faults().groups.clear();
    setting.set_clock(NOW + 60 * MINUTE);
    setting.fake.put("/a", "s", NOW + MINUTE, "while it could not be read");
    let mut line = setting.start().await;
    assert_eq!(testing::messages(&setting.follow(&mut line, 1).await), ["while it could not be read"]);
}

#[tokio::test]
async fn a_sincedb_of_logstash_is_the_first_position() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("sincedb");
    std::fs::write(&path, format!("/a {}\n/other 5\n", NOW - 40_000)).unwrap();
    let setting = Setting::new(&format!("sincedb_path = {path:?}"));
    setting.fake.put("/a", "s", NOW - 50_000, "read by Logstash");
    setting.fake.put("/a", "s", NOW - 40_000, "next");
    assert_eq!(testing::messages(&setting.read_once().await), ["next"]);
}

#[tokio::test]
async fn groups_of_a_prefix_and_those_that_appear_later() {
    let setting = Setting::following(
        "log_group = [\"/app/\", \"/app/o\"]\nlog_group_prefix = true\nstart_position = 60",
    );
    for group in ["/app/one", "/app/two", "/other"] {
        setting.fake.put(group, "s", NOW - 120_000, &format!("{group} old"));
        setting.fake.put(group, "s", NOW - 30_000, &format!("{group} young"));
    }
    let mut reader = setting.open().await;
    let mut events = Vec::new();
    while events.len() < 2 {
        events.extend(testing::next(&mut reader, Some(&setting.ledger)).await.unwrap());
    }
    assert_eq!(sorted(&events), ["/app/one young", "/app/two young"]);
    setting.fake.put("/app/three", "s", NOW - 120_000, "read from its beginning");
    reader.list_soon();
    let later = loop {
        let events = testing::next(&mut reader, Some(&setting.ledger)).await.unwrap();
        if !events.is_empty() {
            break events;
        }
    };
    assert_eq!(testing::messages(&later), ["read from its beginning"]);

    let setting = Setting::new("log_group = \"/nothing\"\nlog_group_prefix = true");
    let error = setting.open().await.next().await.err().expect("no group begins so");
    assert!(error.to_string().contains("/nothing"), "{error}");
}

#[tokio::test]
async fn a_stop_ends_the_pause_between_readings() {
    let setting = Setting::following("interval = \"1h\"");
    put_numbered(&setting.fake, "/a", 0..5);
    let mut reader = setting.open().await;
    while testing::next(&mut reader, Some(&setting.ledger)).await.unwrap().is_empty() {}
    let stop = setting.stop.clone();
    let stopping = tokio::spawn(async move { stop.cancel() });
    assert_eq!(testing::next(&mut reader, None).await, None);
    stopping.await.unwrap();
}

#[tokio::test]
async fn filters_and_arns_are_the_services_own() {
    let setting = Setting::new(
        "log_group = \"arn:aws:logs:us-east-1:123456789012:log-group:/a:*\"\nfilter_pattern = \"wanted\"",
    );
    setting.fake.put("/a", "s", NOW - 10, "wanted event");
    setting.fake.put("/a", "s", NOW - 5, "another");
    let events = setting.read_once().await;
    assert_eq!(testing::messages(&events), ["wanted event"]);
    assert_eq!(events[0].document["cloudwatch_logs"]["log_group"], "/a");
}

#[tokio::test]
async fn missing_credentials_are_told_at_the_start() {
    #[derive(Debug)]
    struct Nothing;
    impl ProvideCredentials for Nothing {
        fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
        where
            Self: 'a,
        {
            future::ProvideCredentials::ready(Err(CredentialsError::not_loaded("nothing was found")))
        }
    }
    let options = read_options(&mut Section::parse("log_group = \"/a\""));
    let provider = SharedCredentialsProvider::new(Nothing);
    let error =
        client::require_credentials(&provider, &options).await.expect_err("there are none").to_string();
    assert!(error.contains("AWS_ACCESS_KEY_ID") && error.contains("nothing was found"), "{error}");
}
