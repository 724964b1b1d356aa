//! A delivery under faults: events of a file through a filter into the fake Elasticsearch, in this process, with whatever a
//! kind of fault does to the server and the connections. Afterwards the fake's store is compared with what was issued.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::runtime::Runtime;
use weir::assembly::{self, RunOptions};
use weir::config::{self, Config, Secrets, Variables};
use weir::filter::{Compilation, Engine};
use weir::output::Waiting;
use weir::output::dead_letter::{Line, read_folder};
use weir::pipeline::{self, LineCounts};
use weir::replay::{self, ReplayOptions};
use weir_test_support::elasticsearch::{BulkItem, Fault, Faults};
use weir_test_support::fault_proxy::ConnectionFault;
use weir_test_support::{Broken, FakeElasticsearch, FaultProxy, Random};

use crate::{Kind, Tally};

/// How long a run may take before it counts as one that does not end.
pub(crate) const PATIENCE: Duration = Duration::from_secs(180);

pub(crate) static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| {
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    builder.worker_threads(4).enable_all().build().expect("threads can be started")
});

pub(crate) static ENGINE: LazyLock<Engine> = LazyLock::new(|| {
    let cache = Path::new(env!("CARGO_TARGET_TMPDIR")).join("cache");
    Engine::new(Some(&cache), Compilation::Quick).expect("the engine can be made")
});

/// What must become of the events.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// All are stored.
    Stored,
    /// The chosen ones are set aside with this in the reason, all others stored; when the fault is over, a replay stores
    /// those too.
    SetAside(&'static str),
    /// The chosen ones are dropped by a rule of the user's, and counted.
    Dropped,
}

/// What a kind of fault may set up.
pub(crate) struct World {
    pub(crate) fake: Arc<FakeElasticsearch>,
    /// Before the fake, where one was asked for.
    pub(crate) proxy: Option<Arc<FaultProxy>>,
    pub(crate) random: Random,
    /// Where the output sends to: the proxy, or the fake.
    pub(crate) hosts: Vec<String>,
    /// Further options of the output, as TOML.
    pub(crate) options: String,
    /// How many pipelines with a ledger of their own deliver the same events, one after the other.
    pub(crate) deliveries: usize,
    /// The fault shows in something else than the counts of the fakes.
    pub(crate) happens_surely: bool,
    folder: TempDir,
    issued: BTreeMap<u64, Value>,
}

/// A row of a table of kinds.
pub(crate) fn kind(
    name: &str,
    how: &'static str,
    outcome: Outcome,
    set_up: impl Fn(&mut World) + Send + Sync + 'static,
) -> Kind {
    let said = match outcome {
        Outcome::Stored => "all stored".to_owned(),
        Outcome::SetAside(reason) => {
            format!("set aside (`{reason}`), the rest stored; stored by `weir dlq replay` later")
        }
        Outcome::Dropped => "dropped by the user's rule and counted, the rest stored".to_owned(),
    };
    let run = move |seed: u64| {
        let mut world = World::new(seed)?;
        set_up(&mut world);
        world.run(outcome)
    };
    Kind { name: name.to_owned(), how, outcome: said, run: Box::new(run) }
}

/// Whether an event is one of those that a fault chooses: some, never all.
pub(crate) fn is_chosen(n: u64) -> bool {
    n % 17 == 5
}

/// The number of a bulk item's event.
pub(crate) fn number_of(item: &BulkItem) -> u64 {
    let document: Value = serde_json::from_str(&item.source).unwrap_or(Value::Null);
    document["n"].as_u64().unwrap_or(u64::MAX)
}

impl World {
    fn new(seed: u64) -> Result<World, String> {
        let mut random = Random(seed);
        let fake = Arc::new(FakeElasticsearch::start());
        let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
        let count = 200 + random.below(200) as u64;
        let issued: BTreeMap<u64, Value> = (0..count).map(|n| (n, event(n, &mut random))).collect();
        let lines: String = issued.values().map(|event| format!("{event}\n")).collect();
        std::fs::write(folder.path().join("lines.ndjson"), lines).map_err(|error| error.to_string())?;
        let hosts = vec![fake.url()];
        Ok(World {
            fake,
            proxy: None,
            random,
            hosts,
            options: String::new(),
            deliveries: 1,
            happens_surely: false,
            folder,
            issued,
        })
    }

    /// Puts a proxy before the fake, over TLS if wanted.
    pub(crate) fn with_proxy(&mut self, with_tls: bool) -> Arc<FaultProxy> {
        let proxy = Arc::new(FaultProxy::start(&self.fake.url(), with_tls).expect("a proxy can be started"));
        if let Some(pem) = proxy.ca_pem() {
            let path = self.folder.path().join("authority.pem");
            std::fs::write(&path, pem).expect("there is room");
            self.options
                .push_str(&format!("ssl_certificate_authorities = {:?}\n", path.display().to_string()));
        }
        self.hosts = vec![proxy.url()];
        self.proxy = Some(proxy.clone());
        proxy
    }

    /// Gives most of the next connections a fault, the first one surely.
    pub(crate) fn break_connections(&mut self, count: usize, fault: impl Fn(&mut Random) -> ConnectionFault) {
        let proxy = self.proxy.clone().unwrap_or_else(|| self.with_proxy(false));
        let mut next = vec![Some(fault(&mut self.random))];
        for _ in 1..count {
            let fault = fault(&mut self.random);
            next.push((self.random.below(4) > 0).then_some(fault));
        }
        proxy.script().next.extend(next);
    }

    /// Gives about half of the next bulk requests a fault, and one of the first three surely.
    pub(crate) fn break_requests(&mut self, count: usize, fault: impl Fn(&mut Random) -> Fault) {
        let sure = self.random.below(3);
        for number in 0..count {
            let fault = fault(&mut self.random);
            let is_broken = number == sure || self.random.below(2) == 0;
            self.fake.faults().bulk.push_back(is_broken.then_some(fault));
        }
    }

    fn run(&self, outcome: Outcome) -> Result<Tally, String> {
        let mut dropped = 0;
        for delivery in 0..self.deliveries {
            dropped += self.deliver(&self.config(delivery)?)?;
        }
        if !self.happened() {
            return Err("the fault did not happen".to_owned());
        }
        let expected_aside: BTreeSet<u64> = match outcome {
            Outcome::Stored => BTreeSet::new(),
            _ => self.issued.keys().copied().filter(|n| is_chosen(*n)).collect(),
        };
        let config = self.config(0)?;
        let aside = self.set_aside(&config)?;
        let is_dropped = outcome == Outcome::Dropped;
        let missing = if is_dropped { BTreeSet::new() } else { expected_aside.clone() };
        if aside.keys().copied().collect::<BTreeSet<u64>>() != missing {
            return Err(format!("set aside: {aside:?}, expected: {missing:?}"));
        }
        if dropped != if is_dropped { expected_aside.len() as u64 } else { 0 } {
            return Err(format!("{dropped} dropped"));
        }
        if let Outcome::SetAside(part) = outcome {
            if let Some((n, reason)) = aside.iter().find(|(_, reason)| !reason.contains(part)) {
                return Err(format!("event {n} was set aside for another reason: {reason}"));
            }
            let tally = self.compare(&expected_aside);
            if !tally.is_right() {
                return Ok(tally);
            }
            *self.fake.faults() = Faults::default();
            self.replay(&config, expected_aside.len() as u64)?;
            return Ok(self.compare(&BTreeSet::new()));
        }
        Ok(self.compare(&expected_aside))
    }

    /// A pipeline of these options. `delivery` has a ledger of its own.
    fn config(&self, delivery: usize) -> Result<Config, String> {
        let text = format!(
            r#"
[pipeline]
state_dir = "state{delivery}"
batch_size = 40
workers = 2

[input]
type = "file"
path = ["lines.ndjson"]
codec = "json"

[[filter]]
use = "dissect"
mapping.text = "%{{word}} %{{rest}}"

[output]
type = "elasticsearch"
hosts = {:?}
index = "logs-%{{+yyyy.MM.dd}}"
retry_initial_interval = "1ms"
retry_max_interval = "8ms"
resurrect_delay = "5ms"
{}"#,
            self.hosts, self.options
        );
        let path = self.folder.path().join("pipeline.toml");
        let reading = config::read(&path, text, &Variables::from_environment(), &Secrets::default());
        if reading.problems.errors() > 0 {
            return Err(reading.problems.render(false));
        }
        reading.config.ok_or_else(|| "no configuration".to_owned())
    }

    /// Runs a pipeline to its end; answers how many events were dropped.
    fn deliver(&self, config: &Config) -> Result<u64, String> {
        let environment = assembly::environment(config);
        let prepared = assembly::prepare(config.clone(), &ENGINE, &environment)
            .map_err(|problems| problems.render(false))?;
        let (counts, waiting) = (Arc::<LineCounts>::default(), Arc::<Waiting>::default());
        let options = RunOptions {
            once: true,
            counts: counts.clone(),
            waiting: waiting.clone(),
            ..RunOptions::default()
        };
        let proxy = self.proxy.clone();
        let ended = RUNTIME.block_on(async {
            let line = assembly::open(&prepared, options).await?;
            // A server that went away comes back once the line waits for it.
            let return_of_server = async {
                loop {
                    tokio::time::sleep(Duration::from_millis(1)).await;
                    if let Some(proxy) = &proxy
                        && proxy.is_refusing()
                        && waiting.current().is_some()
                    {
                        proxy.refuse(false);
                    }
                }
            };
            let driven = async {
                tokio::select! {
                    ended = pipeline::drive(line) => ended,
                    () = return_of_server => Ok(()),
                }
            };
            match tokio::time::timeout(PATIENCE, driven).await {
                Ok(ended) => ended,
                Err(_) => anyhow::bail!("it does not end: {:?}", waiting.current()),
            }
        });
        ended.map_err(|error| format!("{error:#}"))?;
        let figures = counts.figures();
        match figures.is_in_balance() && figures.in_flight() == 0 {
            true => Ok(figures.dropped.values().sum()),
            false => Err(format!("the counts are not in balance: {figures:?}")),
        }
    }

    fn happened(&self) -> bool {
        let of_connections = self.proxy.as_ref().map_or(0, |proxy| proxy.script().failed);
        let faults = self.fake.faults();
        self.happens_surely || of_connections + faults.requests_failed + faults.items_failed > 0
    }

    /// The numbers of the events that lie in the dead letters, with the reasons.
    fn set_aside(&self, config: &Config) -> Result<BTreeMap<u64, String>, String> {
        let mut aside = BTreeMap::new();
        for folder in assembly::dead_letter_folders(config) {
            for line in read_folder(&folder).map_err(|error| format!("{error:#}"))? {
                match line.map_err(|error| format!("{error:#}"))? {
                    Line::Damaged { id, reason } => return Err(format!("letter {id}: {reason}")),
                    Line::Letter(found) if found.is_done => {}
                    Line::Letter(found) => {
                        let event: Value =
                            serde_json::from_str(&found.letter.event).map_err(|error| error.to_string())?;
                        let n = event["n"].as_u64().ok_or("a letter's event has its number")?;
                        if found.letter.identity == 0 || !self.is_as_issued(n, &event) {
                            return Err(format!("the letter of event {n} is not as it was issued: {event}"));
                        }
                        if aside.insert(n, found.letter.reason).is_some() {
                            return Err(format!("event {n} was set aside twice"));
                        }
                    }
                }
            }
        }
        Ok(aside)
    }

    fn replay(&self, config: &Config, letters: u64) -> Result<(), String> {
        let environment = assembly::environment(config);
        let options = ReplayOptions::default();
        let replayed = RUNTIME.block_on(replay::replay(config, &ENGINE, &environment, &options));
        let replayed = replayed.map_err(|error| format!("{error:#}"))?;
        if (replayed.done, replayed.failed) == (letters, 0) { Ok(()) } else { Err(format!("{replayed:?}")) }
    }

    fn is_as_issued(&self, n: u64, document: &Value) -> bool {
        let Some(issued) = self.issued.get(&n) else { return false };
        let mut expected = issued.clone();
        expected["@version"] = json!("1");
        expected["path"] = document["path"].clone();
        let text = issued["text"].as_str().unwrap_or_default();
        if let Some((word, rest)) = text.split_once(' ') {
            expected["word"] = json!(word);
            expected["rest"] = json!(rest);
        }
        expected == *document
    }

    /// What is stored against what was issued, but for those events that are elsewhere.
    fn compare(&self, elsewhere: &BTreeSet<u64>) -> Tally {
        let mut broken = Broken::default();
        let mut seen = BTreeSet::new();
        for (index, documents) in self.fake.documents() {
            for document in documents.values() {
                let json = document.json();
                let n = json["n"].as_u64().unwrap_or(u64::MAX);
                let day = json["@timestamp"].as_str().and_then(|time| time.get(..10)).unwrap_or_default();
                let is_right =
                    self.is_as_issued(n, &json) && index == format!("logs-{}", day.replace('-', "."));
                broken.nothing_altered += usize::from(!is_right);
                broken.nothing_doubled +=
                    usize::from(document.version != 1 || !seen.insert(n) || elsewhere.contains(&n));
            }
        }
        broken.nothing_lost =
            self.issued.keys().filter(|n| !seen.contains(n) && !elsewhere.contains(n)).count();
        Tally { issued: self.issued.len(), broken }
    }
}

fn event(n: u64, random: &mut Random) -> Value {
    let letters: Vec<char> = "abcxyz0189 \"\\\té日本\u{1F600}".chars().collect();
    let length = 20 + random.below(300);
    let rest: String = (0..length).map(|_| random.one_of(&letters)).collect();
    let poison = if is_chosen(n) { "poison" } else { "word" };
    let (day, hour, second) = (21 + random.below(4), random.below(24), random.below(60));
    json!({
        "n": n,
        "@timestamp": format!("2020-02-{day}T{hour:02}:00:{second:02}.000Z"),
        "text": format!("{poison} {rest}"),
        "size": random.below(1_000_000) as f64 / 8.0 + 0.125,
        "deep": {"list": [n, {"k": null}], "flag": n.is_multiple_of(2)},
    })
}
