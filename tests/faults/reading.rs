//! Faults of CloudWatch Logs and of the way to it: events of the fake service through the input, a filter and the output into
//! the fake Elasticsearch, in this process, with whatever a kind of fault does to the service. Then the same pipeline is run
//! once more without faults, and nothing may come again; and the store is compared with what was issued.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;
use weir::assembly::{self, RunOptions};
use weir::config::{self, Config, Secrets, Variables};
use weir::pipeline::{self, LineCounts};
use weir_test_support::cloudwatch::{Fault, Faults, Outcome, TokenBucket, Visible};
use weir_test_support::fault_proxy::ConnectionFault;
use weir_test_support::{Broken, FakeCloudWatch, FakeElasticsearch, FaultProxy, Random};

use crate::delivery::{ENGINE, PATIENCE, RUNTIME};
use crate::{Kind, Tally};

const GROUP: &str = "/faults/one";

/// Makes a connection's fault.
type Cut = fn(&mut Random) -> ConnectionFault;

/// An event that was put.
pub(crate) struct Issued {
    pub(crate) event_id: String,
    /// Milliseconds since 1970.
    pub(crate) time: i64,
    pub(crate) message: String,
}

/// What a kind of fault may set up.
pub(crate) struct World {
    pub(crate) cloudwatch: Arc<FakeCloudWatch>,
    pub(crate) elasticsearch: FakeElasticsearch,
    pub(crate) random: Random,
    /// Where the service is asked.
    endpoint: String,
    /// Where it is asked in the second run.
    later_endpoint: String,
    proxy: Option<FaultProxy>,
    /// The fault shows in something else than the calls.
    happens_surely: bool,
    folder: TempDir,
    issued: BTreeMap<u64, Issued>,
}

pub(crate) fn kinds() -> Vec<Kind> {
    let mut kinds = Vec::new();
    for (what, how, fault) in [
        ("throttling", "`ThrottlingException` on random calls", Fault::Throttling),
        ("service unavailable", "503 on random calls", Fault::ServiceUnavailable),
        ("internal failure", "500 on random calls", Fault::InternalFailure),
        ("bad gateway", "502 with a page of HTML on random calls", Fault::BadGateway),
        ("access denied for a while", "`AccessDeniedException` on random calls", Fault::AccessDenied),
        ("not found for a while", "`ResourceNotFoundException` on random calls", Fault::ResourceNotFound),
        (
            "credentials expired for a while",
            "`ExpiredTokenException` on random calls",
            Fault::ExpiredCredentials,
        ),
        ("reset", "the connection is reset before the answer, on random calls", Fault::Reset),
        ("cut answers", "answers end in the middle, on random calls", Fault::Cut),
        (
            "JSON cut off",
            "an answer of half an object, on random calls",
            Fault::Text("{\"events\":[{\"eventId\":\"1"),
        ),
        (
            "no JSON",
            "an answer of a page of HTML with status 200, on random calls",
            Fault::Text("<html></html>"),
        ),
        (
            "another form",
            "an answer whose events are no list, on random calls",
            Fault::Text("{\"events\":7}"),
        ),
        ("empty answers", "an answer without a byte, on random calls", Fault::Text("")),
    ] {
        kinds.push(kind(&format!("cloudwatch: {what}"), how, move |world| {
            world.break_calls(8, |_| fault.clone());
        }));
    }
    kinds.extend([
        kind(
            "cloudwatch: token refused",
            "on random calls the token is one that the service takes no longer",
            |world| {
                world.cloudwatch.faults().short_pages = Some(20);
                world.break_calls(12, |_| Fault::InvalidParameter);
            },
        ),
        kind("cloudwatch: tokens that expire", "no token is good for the call after it", |world| {
            let mut faults = world.cloudwatch.faults();
            (faults.short_pages, faults.token_life_calls) = (Some(5 + world.random.below(30)), Some(0));
            drop(faults);
            world.end_later(Duration::from_millis(400));
        }),
        kind("cloudwatch: empty pages with a token", "up to five before each page with events", |world| {
            let empty = 1 + world.random.below(5);
            let mut faults = world.cloudwatch.faults();
            (faults.short_pages, faults.empty_pages) = (Some(50), empty);
            world.happens_surely = true;
        }),
        kind("cloudwatch: short pages", "of one to nine events", |world| {
            world.cloudwatch.faults().short_pages = Some(1 + world.random.below(9));
            world.happens_surely = true;
        }),
        kind("cloudwatch: a token after the last page", "it leads to an empty page", |world| {
            let mut faults = world.cloudwatch.faults();
            (faults.short_pages, faults.trailing_token) = (Some(50), true);
            world.happens_surely = true;
        }),
        kind("cloudwatch: events twice in a page", "each stands there two or three times", |world| {
            world.cloudwatch.faults().repeats = 1 + world.random.below(2);
            world.happens_surely = true;
        }),
        kind(
            "cloudwatch: late events",
            "half of the events become visible after up to forty calls more",
            |world| {
                world.put(200, |random, calls| Visible::AfterCalls(calls + random.below(40) as u64));
                world.happens_surely = true;
            },
        ),
        kind(
            "cloudwatch: more events of one millisecond than a page has",
            "half of them late, in pages of seven",
            |world| {
                world.cloudwatch.faults().short_pages = Some(7);
                world.put_burst(60);
                world.happens_surely = true;
            },
        ),
        kind(
            "cloudwatch: another clock",
            "the service's events are up to ten minutes ahead of this machine, or behind it",
            |world| {
                let skew = world.random.one_of(&[-600_000, 600_000]);
                world.put_at(100, skew);
                world.happens_surely = true;
            },
        ),
        kind("cloudwatch: a group that is made later", "reading begins before the group is there", |world| {
            let cloudwatch = world.cloudwatch.clone();
            let issued = std::mem::take(&mut world.issued);
            world.cloudwatch = Arc::new(FakeCloudWatch::start());
            drop(cloudwatch);
            world.endpoint = world.cloudwatch.url();
            world.later_endpoint = world.endpoint.clone();
            world.put_when_asked(issued);
        }),
        kind("cloudwatch: another endpoint", "the second run asks over another address", |world| {
            let proxy = FaultProxy::start(&world.cloudwatch.url(), false).expect("a proxy can be started");
            world.later_endpoint = proxy.url();
            world.proxy = Some(proxy);
            world.happens_surely = true;
        }),
        kind("cloudwatch: slow answers", "a tenth of a second each", |world| {
            world.break_calls(10, |_| Fault::Slow(Duration::from_millis(100)));
            world.happens_surely = true;
        }),
        kind("cloudwatch: too fast", "more than forty calls a second are throttled, for a while", |world| {
            let mut faults = world.cloudwatch.faults();
            (faults.short_pages, faults.throttle) = (Some(10), Some(TokenBucket::new(40.0, 3.0)));
        }),
        kind("cloudwatch: everything at once", "all of these by turns", |world| {
            let mut faults = world.cloudwatch.faults();
            (faults.short_pages, faults.empty_pages, faults.trailing_token) = (Some(30), 1, true);
            drop(faults);
            world.put_late(100);
            world.break_calls(16, |random| {
                let all = [
                    Fault::Throttling,
                    Fault::ServiceUnavailable,
                    Fault::InternalFailure,
                    Fault::InvalidParameter,
                    Fault::Reset,
                    Fault::Cut,
                    Fault::Text("{\"events\":[{"),
                    Fault::Slow(Duration::from_millis(20)),
                ];
                all[random.below(all.len())].clone()
            });
        }),
    ]);
    let cuts: [(&str, &'static str, Cut); 6] = [
        ("closed at once", "connections are closed as soon as they are there", |_| ConnectionFault::Close),
        ("reset at once", "connections are reset as soon as they are there", |_| ConnectionFault::Reset),
        ("no HTTP", "requests are answered with bytes that are no HTTP", |_| ConnectionFault::Garbage),
        ("reset in a request", "reset after a random number of bytes of requests", |random| {
            ConnectionFault::ResetAfterSent(1 + random.below(3_000))
        }),
        ("reset in an answer", "reset after a random number of bytes of answers", |random| {
            ConnectionFault::ResetAfterAnswered(1 + random.below(60_000))
        }),
        ("closed in an answer", "closed in good order after a random number of bytes of answers", |random| {
            ConnectionFault::CloseAfterAnswered(1 + random.below(60_000))
        }),
    ];
    for (what, how, fault) in cuts {
        kinds.push(kind(&format!("cloudwatch: connection {what}"), how, move |world| {
            world.cloudwatch.faults().short_pages = Some(60);
            world.break_connections(4, fault);
        }));
    }
    kinds
}

/// A row of the table.
fn kind(name: &str, how: &'static str, set_up: impl Fn(&mut World) + Send + Sync + 'static) -> Kind {
    let run = move |seed: u64| {
        let mut world = World::new(seed)?;
        set_up(&mut world);
        world.run()
    };
    Kind { name: name.to_owned(), how, outcome: "all stored".to_owned(), run: Box::new(run) }
}

impl World {
    fn new(seed: u64) -> Result<World, String> {
        let (cloudwatch, elasticsearch) = (FakeCloudWatch::start(), FakeElasticsearch::start());
        let endpoint = cloudwatch.url();
        let mut world = World {
            cloudwatch: Arc::new(cloudwatch),
            elasticsearch,
            random: Random(seed),
            later_endpoint: endpoint.clone(),
            endpoint,
            proxy: None,
            happens_surely: false,
            folder: tempfile::tempdir().map_err(|error| error.to_string())?,
            issued: BTreeMap::new(),
        };
        let count = 100 + world.random.below(100);
        world.put(count, |_, _| Visible::Now);
        Ok(world)
    }

    /// Puts events of the last hour. `visible` is told how many calls there were.
    fn put(&mut self, count: usize, visible: impl Fn(&mut Random, u64) -> Visible) {
        let calls = self.cloudwatch.call_count() as u64;
        for _ in 0..count {
            let time = now() - self.random.below(50 * 60_000) as i64;
            let visible = visible(&mut self.random, calls);
            self.put_one(time, visible);
        }
    }

    /// Puts events that are visible late. Their windows are open, so they are read again at once: older ones are read again
    /// on a schedule of minutes and hours where all that is not closed is more than two pages.
    fn put_late(&mut self, count: usize) {
        for _ in 0..count {
            let time = now() - self.random.below(20_000) as i64;
            let visible = Visible::AfterCalls(self.random.below(40) as u64);
            self.put_one(time, visible);
        }
    }

    /// Puts events of one millisecond, each second one visible late.
    fn put_burst(&mut self, count: usize) {
        let time = now() - 10_000;
        for number in 0..count {
            let visible =
                if number % 2 == 0 { Visible::Now } else { Visible::AfterCalls(10 + number as u64) };
            self.put_one(time, visible);
        }
    }

    /// Puts events of a clock that goes wrong by so many milliseconds.
    fn put_at(&mut self, count: usize, skew: i64) {
        for _ in 0..count {
            let time = now() + skew - self.random.below(10_000) as i64;
            self.put_one(time, Visible::Now);
        }
    }

    fn put_one(&mut self, time: i64, visible: Visible) {
        let n = self.issued.len() as u64;
        let odd = self.random.one_of(&["", "\"quoted\"", "back\\slash", "日本 é", "\u{1F600}"]);
        let message = format!("word {n} {odd}");
        let stream = format!("s{}", n % 3);
        let event_id = self.cloudwatch.put_visible(GROUP, &stream, time, &message, visible);
        self.issued.insert(n, Issued { event_id, time, message });
    }

    /// Puts the same events again once the service was asked in vain.
    fn put_when_asked(&mut self, issued: BTreeMap<u64, Issued>) {
        let asked = self.cloudwatch.clone();
        self.happens_surely = true;
        let events: Vec<(u64, i64, String)> =
            issued.into_iter().map(|(n, event)| (n, event.time, event.message)).collect();
        // The ids depend on nothing but what is put and in which order: a second fake gives the same ones.
        let twin = FakeCloudWatch::start();
        for (n, time, message) in &events {
            let event_id = twin.put(GROUP, "s", *time, message);
            self.issued.insert(*n, Issued { event_id, time: *time, message: message.clone() });
        }
        std::thread::spawn(move || {
            asked.wait_for(PATIENCE, |calls| !calls.is_empty());
            for (_, time, message) in &events {
                asked.put(GROUP, "s", *time, message);
            }
        });
    }

    /// Gives about a third of the next calls a fault, and the first two surely: that there are more is not sure, and only the
    /// second has a token that can be refused.
    fn break_calls(&mut self, count: usize, fault: impl Fn(&mut Random) -> Fault) {
        for number in 0..count {
            let fault = fault(&mut self.random);
            let is_broken = number < 2 || self.random.below(3) == 0;
            self.cloudwatch.faults().script.push_back(is_broken.then_some(fault));
        }
    }

    /// Gives most of the next connections a fault, the first one surely.
    fn break_connections(&mut self, count: usize, fault: impl Fn(&mut Random) -> ConnectionFault) {
        let proxy = FaultProxy::start(&self.cloudwatch.url(), false).expect("a proxy can be started");
        let mut next = vec![Some(fault(&mut self.random))];
        for _ in 1..count {
            let fault = fault(&mut self.random);
            next.push((self.random.below(2) > 0).then_some(fault));
        }
        proxy.script().next.extend(next);
        self.endpoint = proxy.url();
        self.proxy = Some(proxy);
    }

    /// The service behaves again after some time.
    fn end_later(&self, after: Duration) {
        let cloudwatch = self.cloudwatch.clone();
        std::thread::spawn(move || {
            std::thread::park_timeout(after);
            *cloudwatch.faults() = Faults::default();
        });
    }

    fn run(&self) -> Result<Tally, String> {
        let all = self.issued.len();
        let first = self.deliver(&self.endpoint, false, || self.elasticsearch.count() >= all)?;
        if !self.happened() {
            return Err("the fault did not happen".to_owned());
        }
        *self.cloudwatch.faults() = Faults::default();
        self.cloudwatch.show_all();
        let again = self.deliver(&self.later_endpoint, true, || false)?;
        let mut broken = self.compare();
        // All was stored, and was committed: nothing may have come again.
        broken.nothing_doubled += usize::try_from(again.delivered).unwrap_or(usize::MAX);
        for invariant in first.broken.iter().chain(&again.broken) {
            match *invariant {
                "nothing_lost" => broken.nothing_lost += 1,
                "nothing_doubled" => broken.nothing_doubled += 1,
                "nothing_ahead" => broken.nothing_ahead += 1,
                _ => broken.closed_in_order += 1,
            }
        }
        Ok(Tally { issued: all, broken })
    }

    fn happened(&self) -> bool {
        let of_connections = self.proxy.as_ref().map_or(0, |proxy| proxy.script().failed);
        let is_fault = |outcome: &Outcome| matches!(outcome, Outcome::Error(_) | Outcome::Cut);
        self.happens_surely
            || of_connections > 0
            || self.cloudwatch.calls().iter().any(|call| is_fault(&call.outcome))
    }

    /// Runs the pipeline until all that is there was read (`once`), or until it is enough.
    fn deliver(&self, endpoint: &str, once: bool, is_enough: impl Fn() -> bool) -> Result<Delivered, String> {
        let config = self.config(endpoint)?;
        let environment = assembly::environment(&config);
        let prepared =
            assembly::prepare(config, &ENGINE, &environment).map_err(|problems| problems.render(false))?;
        let (counts, stop) = (Arc::<LineCounts>::default(), CancellationToken::new());
        let options =
            || RunOptions { once, counts: counts.clone(), stop: stop.clone(), ..RunOptions::default() };
        let invariants = RUNTIME.block_on(async {
            // A request of the run before may not have let go of the ledger yet.
            let opened = Instant::now();
            let line = loop {
                match assembly::open(&prepared, options()).await {
                    Err(error)
                        if format!("{error:#}").contains("is in use") && opened.elapsed() < PATIENCE =>
                    {
                        tokio::time::sleep(Duration::from_millis(2)).await;
                    }
                    opened => break opened?,
                }
            };
            let counters: Vec<_> = line.inputs.iter().map(|(_, input)| input.counters()).collect();
            let enough = async {
                while !is_enough() {
                    tokio::time::sleep(Duration::from_millis(2)).await;
                }
                stop.cancel();
                std::future::pending::<()>().await;
            };
            let driven = async {
                tokio::select! {
                    ended = pipeline::drive(line) => ended,
                    () = enough => Ok(()),
                }
            };
            tokio::time::timeout(PATIENCE, driven)
                .await
                .map_err(|_| anyhow::anyhow!("it does not end"))??;
            let of_input = counters.iter().filter_map(|counters| counters.cloudwatch_logs.clone());
            let all = of_input.flat_map(|counters| counters.invariants());
            Ok(all.filter(|(_, holds)| !holds).map(|(name, _)| name).collect::<Vec<_>>())
        });
        let broken = invariants.map_err(|error: anyhow::Error| format!("{error:#}"))?;
        let figures = counts.figures();
        if !figures.is_in_balance() || figures.in_flight() != 0 {
            return Err(format!("the counts are not in balance: {figures:?}"));
        }
        Ok(Delivered { delivered: figures.delivered.values().sum(), broken })
    }

    fn config(&self, endpoint: &str) -> Result<Config, String> {
        let text = format!(
            r#"
[pipeline]
state_dir = "state"
batch_size = 40
workers = 2

[input]
type = "cloudwatch_logs"
log_group = ["{GROUP}"]
region = "us-east-1"
endpoint_url = "{endpoint}"
access_key_id = "AKIDTEST"
secret_access_key = "secret"
interval = "20ms"
requests_per_second = 500
lookback = "1h"

[[filter]]
use = "dissect"
mapping.message = "%{{word}} %{{n}} %{{}}"

[output]
type = "elasticsearch"
hosts = ["{}"]
index = "logs-%{{+yyyy.MM.dd}}"
"#,
            self.elasticsearch.url()
        );
        let path = self.folder.path().join("pipeline.toml");
        let reading = config::read(&path, text, &Variables::from_environment(), &Secrets::default());
        if reading.problems.errors() > 0 {
            return Err(reading.problems.render(false));
        }
        reading.config.ok_or_else(|| "no configuration".to_owned())
    }

    fn compare(&self) -> Broken {
        compare(&self.elasticsearch, &self.issued, GROUP)
    }
}

/// What a run delivered, and which of its invariants are broken.
struct Delivered {
    delivered: u64,
    broken: Vec<&'static str>,
}

/// What is stored against what was issued.
pub(crate) fn compare(
    elasticsearch: &FakeElasticsearch,
    issued: &BTreeMap<u64, Issued>,
    group: &str,
) -> Broken {
    let mut broken = Broken::default();
    let mut seen = BTreeMap::new();
    for (index, documents) in elasticsearch.documents() {
        for document in documents.values() {
            let json = document.json();
            let n = json["n"].as_str().and_then(|n| n.parse().ok()).unwrap_or(u64::MAX);
            let is_right = issued.get(&n).is_some_and(|event| is_as_issued(&json, &index, event, group));
            broken.nothing_altered += usize::from(!is_right);
            let again = seen.insert(n, ()).is_some();
            broken.nothing_doubled += usize::from(document.version != 1 || again);
        }
    }
    broken.nothing_lost = issued.keys().filter(|n| !seen.contains_key(n)).count();
    broken
}

fn is_as_issued(json: &Value, index: &str, event: &Issued, group: &str) -> bool {
    let Some(time) = chrono::DateTime::from_timestamp_millis(event.time) else { return false };
    json["message"] == event.message.as_str()
        && json["word"] == "word"
        && json["@timestamp"] == time.format("%Y-%m-%dT%H:%M:%S%.3fZ").to_string()
        && json["cloudwatch_logs"]["event_id"] == event.event_id.as_str()
        && json["cloudwatch_logs"]["log_group"] == group
        && index == time.format("logs-%Y.%m.%d").to_string()
}

/// Milliseconds since 1970.
pub(crate) fn now() -> i64 {
    chrono::Utc::now().timestamp_millis()
}
