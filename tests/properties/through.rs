//! Events through real filters: the compiled components in the host's chain, as a pipeline has them. Says what must hold
//! of any options and any events: no guest breaks, every event is accounted for, keeps its identity and can be written,
//! and an event alone comes out as it does among others.

use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use serde_json::{Map, Value as Json};
use weir::config::{Component, FilterStep, OnFailure, Step, filter_from_json};
use weir::event::{Batch, Documents, FieldNames, FieldReference, Value, fields};
use weir::filter::{Chain, ChainDefinition, ChainEnvironment, Clock, Compilation, Engine, Randomness};
use weir_test_support::mmdb;

use crate::campaign::Tried;
use crate::values::Event;

/// What filters see as now: 2026-01-01T00:00:05Z.
const NOW: i64 = 1_767_225_605_000_000_000;

/// A filter's name and its options, the host's among them.
pub(crate) type Written = (&'static str, Map<String, Json>);

struct Weir {
    engine: Engine,
    environment: ChainEnvironment,
    /// The address databases of the executed cases.
    _databases: tempfile::TempDir,
    /// Compiled code is kept as long as someone has it.
    _compiled: Vec<ChainDefinition>,
}

static WEIR: LazyLock<Weir> = LazyLock::new(|| {
    let cache = Path::new(env!("CARGO_TARGET_TMPDIR")).join("cache");
    let engine = Engine::new(Some(&cache), Compilation::Thorough).expect("an engine");
    let databases = tempfile::tempdir().expect("a folder");
    write_databases(databases.path());
    let environment = ChainEnvironment {
        folder: databases.path().to_path_buf(),
        clock: Clock::Fixed(NOW),
        randomness: Randomness::Seeded(1),
        ..ChainEnvironment::default()
    };
    let mut compiled = Vec::new();
    for (filter, options) in [
        ("dissect", serde_json::json!({})),
        ("date", serde_json::json!({ "match": ["message", "ISO8601"] })),
        ("mutate", serde_json::json!({})),
        ("fingerprint", serde_json::json!({})),
        ("geoip", serde_json::json!({ "source": "message", "database": "demo:addresses" })),
        ("local-time", serde_json::json!({ "target": "day", "timezone": "UTC" })),
    ] {
        let step = step(&(filter, options.as_object().cloned().expect("a map"))).expect("good options");
        let built =
            ChainDefinition::build(&engine, &[step], &Step::in_line(1), &environment, &mut FieldNames::new());
        compiled.push(built.unwrap_or_else(|problems| panic!("{filter}: {problems:?}")));
    }
    Weir { engine, environment, _databases: databases, _compiled: compiled }
});

/// The files of address databases, relative to the folder that options' paths are relative to.
pub(crate) const DATABASES: [&str; 9] = [
    "demo:addresses",
    "GeoIP2-Anonymous-IP-Test.mmdb",
    "GeoIP2-City-Test.mmdb",
    "GeoIP2-Domain-Test.mmdb",
    "GeoIP2-Enterprise-Test.mmdb",
    "GeoIP2-ISP-Test.mmdb",
    "GeoLite2-ASN-Test.mmdb",
    "GeoLite2-City-Test.mmdb",
    "GeoLite2-Country-Test.mmdb",
];

/// What a database of the executed cases says of networks.
fn networks(name: &str) -> (mmdb::Metadata, Vec<(String, Json)>) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/conformance/geo");
    let path = folder.join(name).with_extension("jsonl");
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    mmdb::read_facts(&text).expect("facts of a database")
}

/// The first addresses of the networks that the databases know.
pub(crate) fn known_addresses() -> Vec<String> {
    let addresses = |name: &&str| {
        let networks = networks(name).1.into_iter();
        networks.filter_map(|(network, _)| network.split('/').next().map(str::to_owned)).collect::<Vec<_>>()
    };
    DATABASES[1..].iter().flat_map(addresses).collect()
}

fn write_databases(folder: &Path) {
    for name in &DATABASES[1..] {
        let (metadata, networks) = networks(name);
        let database = mmdb::write(&metadata, &networks).expect("a database");
        std::fs::write(folder.join(name), database).expect("the database is written");
    }
}

fn step((filter, options): &Written) -> Option<FilterStep> {
    let (mut step, problems) = filter_from_json(Component::BuiltIn((*filter).to_owned()), options);
    if problems.errors() > 0 {
        assert!(!problems.render(false).is_empty(), "a refusal without a word");
        return None;
    }
    step.on_trap = OnFailure::Stop;
    // What is tried is that calls end at all, however busy this machine is.
    step.limits.deadline = Duration::from_secs(60);
    Some(step)
}

/// A chain of filters, ready to run; `None` if their options are refused.
pub(crate) struct Through {
    definition: ChainDefinition,
    chain: Chain,
    names: Arc<FieldNames>,
}

/// What came out.
pub(crate) struct Out {
    pub(crate) batch: Batch,
    dropped: u64,
}

impl Through {
    /// Configures the filters.
    ///
    /// # Errors
    /// When a guest breaks instead of saying what is wrong with its options.
    pub(crate) fn build(steps: &[Written]) -> Result<Option<Self>, String> {
        let mut read = Vec::new();
        for (number, written) in steps.iter().enumerate() {
            let Some(mut step) = step(written) else { return Ok(None) };
            step.id = format!("{}-{number}", step.id);
            read.push(step);
        }
        let mut names = FieldNames::new();
        let definition = match ChainDefinition::build(
            &WEIR.engine,
            &read,
            &Step::in_line(read.len()),
            &WEIR.environment,
            &mut names,
        ) {
            Ok(definition) => definition,
            Err(problems) => {
                for problem in &problems {
                    let message = &problem.message;
                    if message.is_empty() || message.contains("broke") || message.contains("not say why") {
                        return Err(format!("{} in configure: {message}", problem.pointer));
                    }
                }
                return Ok(None);
            }
        };
        let chain = definition.start().map_err(|error| format!("cannot start: {error:#}"))?;
        Ok(Some(Through { definition, chain, names: Arc::new(names) }))
    }

    /// A batch of these events.
    pub(crate) fn batch(&self, events: &[Event]) -> Batch {
        Through::batch_with(self.names.clone(), events)
    }

    fn batch_with(names: Arc<FieldNames>, events: &[Event]) -> Batch {
        let mut batch = Batch::new(names, events.len());
        for (row, event) in events.iter().enumerate() {
            event.put(&mut batch, row);
        }
        batch.set_identities((1..=events.len() as u128).collect());
        batch
    }

    /// What becomes of an event in a batch of its own; nothing if it is dropped.
    fn alone(&mut self, event: &Event, names: Arc<FieldNames>) -> Result<Option<Json>, String> {
        let batch = Through::batch_with(names, std::slice::from_ref(event));
        let out = self.process(batch)?;
        Ok(documents(&out.batch)?.pop())
    }

    /// Passes a batch through.
    ///
    /// # Errors
    /// When a guest breaks or answers what it may not, or events are lost.
    pub(crate) fn process(&mut self, batch: Batch) -> Result<Out, String> {
        let before = batch.rows();
        let added = self.count(|counts| &counts.added);
        let processed = self.chain.process(batch).map_err(|error| format!("{error:#}"))?;
        let breaks = self.count(|counts| &counts.breaks);
        if breaks > 0 {
            return Err(format!("{breaks} breaks, but the chain went on"));
        }
        let dead_letters: usize = processed.dead_letters.iter().map(|letter| letter.events.rows()).sum();
        let added = self.count(|counts| &counts.added) - added;
        let out = Out { batch: processed.batch, dropped: processed.dropped };
        if out.batch.rows() as u64 + out.dropped + dead_letters as u64 != before as u64 + added {
            return Err(format!(
                "{before} events went in and {added} were added; {} came out, {dead_letters} are dead letters, {} were dropped",
                out.batch.rows(),
                out.dropped
            ));
        }
        for row in 1..out.batch.rows() {
            if added == 0 && out.batch.identity(row) <= out.batch.identity(row - 1) {
                return Err(format!("row {row} has not its own identity"));
            }
        }
        Ok(out)
    }

    /// A count of all filters together.
    fn count(&self, which: impl Fn(&weir::filter::FilterCounts) -> &AtomicU64) -> u64 {
        self.definition.filters().iter().map(|filter| which(&filter.counts).load(Ordering::Relaxed)).sum()
    }
}

/// Tries events with filters.
///
/// # Errors
/// With what does not hold.
pub(crate) fn check(steps: &[Written], events: &[Event]) -> Result<Tried, String> {
    let Some(mut through) = Through::build(steps)? else { return Ok(Tried::refused()) };
    let batch = through.batch(events);
    let out = through.process(batch)?;
    let documents = documents(&out.batch)?;
    let random =
        steps.iter().any(|(_, options)| options.get("method").is_some_and(|method| method == "UUID"));
    let matched = through.count(|counts| &counts.matched);
    // The first event, and one from the middle.
    for row in [0, events.len() / 2] {
        let Some(event) = events.get(row).filter(|_| !random) else { continue };
        let identity = row as u128 + 1;
        let among = (0..documents.len()).find(|place| out.batch.identity(*place) == identity);
        let among = among.map(|place| &documents[place]);
        let alone = through.alone(event, through.names.clone())?;
        if among == alone.as_ref() {
            continue;
        }
        // Members of maps are in the order in which a batch first has them, and a text or a list made of a map too.
        let has_map = event.fields.values().any(has_members);
        if !has_map || through.alone(event, out.batch.shared_names().clone())?.as_ref() != among {
            return Err(format!("event {row} alone became {alone:?}, among others {among:?}"));
        }
    }
    Ok(Tried::pairs(events.len(), matched))
}

/// Whether there is a map with several members.
fn has_members(json: &Json) -> bool {
    match json {
        Json::Object(map) => map.len() > 1 || map.values().any(has_members),
        Json::Array(list) => list.iter().any(has_members),
        _ => false,
    }
}

/// The documents of a batch, `@metadata` included.
///
/// # Errors
/// When one is no JSON, is not what field references lead to, or a row has a value and something below it.
pub(crate) fn documents(batch: &Batch) -> Result<Vec<Json>, String> {
    let names = batch.names();
    let tops: Vec<FieldReference> = names
        .ids()
        .map(|id| names.reference(id))
        .filter(|name| name.fragments().len() == 1)
        .cloned()
        .collect();
    let mut documents = Vec::with_capacity(batch.rows());
    let (mut whole, mut stored) = (Documents::with_metadata(batch), Documents::new(batch));
    for row in 0..batch.rows() {
        for id in names.ids() {
            let above = |id| names.above(id).iter().find(|above| !batch.cell(row, **above).is_absent());
            if let Some(above) = above(id).filter(|_| !batch.cell(row, id).is_absent()) {
                let (id, above) = (names.reference(id), names.reference(*above));
                return Err(format!("row {row} has both {above} and {id}"));
            }
        }
        let text = whole.text(row);
        let document: Json = match serde_json::from_str(&text) {
            Ok(document) => document,
            // Filters that wrap each other's values may go deeper than serde_json reads.
            Err(error) if error.to_string().starts_with("recursion limit") => {
                documents.push(Json::Null);
                continue;
            }
            Err(error) => return Err(format!("{error}: {text:?}")),
        };
        let text = stored.text(row);
        if text.contains(['\n', '\r']) {
            return Err(format!("the document has several lines: {text:?}"));
        }
        let without: Json = serde_json::from_str(&text).map_err(|error| format!("{error}: {text:?}"))?;
        for name in &tops {
            let key = name.fragments()[0].as_str();
            let expected = fields::whole(batch, row, name);
            let is_metadata = key == "@metadata";
            let found = document.get(key).cloned().or_else(|| is_metadata.then(|| Json::Object(Map::new())));
            if found != expected {
                return Err(format!("{name} is {expected:?}, but is written as {found:?}"));
            }
            if !is_metadata && without.get(key) != document.get(key)
                || is_metadata && without.get(key).is_some()
            {
                return Err(format!("{name} is not stored as it is"));
            }
        }
        documents.push(document);
    }
    Ok(documents)
}

/// The field at the top that has this name, as JSON; nothing where a row has none.
pub(crate) fn field(batch: &Batch, row: usize, name: &str) -> Option<Json> {
    fields::whole(batch, row, &FieldReference::from_fragments([name]))
}

/// One value in a row.
pub(crate) fn set(batch: &mut Batch, row: usize, name: &str, value: Value<'_>) {
    fields::set(batch, row, &FieldReference::from_fragments([name]), value).expect("a plain field");
}
