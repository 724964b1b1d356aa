//! Where a guest is tried: a chain of three filters, of which only the one in the middle is hostile, and events of which
//! only one is the culprit. What must be true afterwards is the same for all guests.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use serde_json::{Value as Json, json};
use weir::config::{Component, FilterStep, Step, filter_from_json};
use weir::event::{Batch, Documents, FieldId, FieldNames, FieldReference};
use weir::filter::{
    Chain, ChainDefinition, ChainEnvironment, Compilation, ConfiguredFilter, Engine, FilterProblem, Processed,
};

#[path = "../../host/build/guests.rs"]
mod guests;

/// How many events a batch has, and which of them is the culprit.
const EVENTS: usize = 24;
const CULPRIT: usize = 17;

/// The memory of an instance unless a trial says otherwise: the default of `limits.memory`.
const MEMORY: u64 = 64 << 20;

/// What trials need.
pub(crate) struct Stage {
    pub(crate) engine: Engine,
    /// Where compiled guests are kept.
    cache: PathBuf,
    /// tests/guests/hostile.
    pub(crate) hostile: Component,
    /// A component of another world.
    pub(crate) wishful: Component,
    /// A filter that ships with Weir, as a file: it is not trusted as the built-in one is.
    pub(crate) geoip: Component,
    /// What looping guests may take, and all others.
    pub(crate) short: Duration,
    pub(crate) long: Duration,
    folder: tempfile::TempDir,
    files: AtomicUsize,
}

/// A chain with a hostile filter in the middle.
pub(crate) struct HostileLine {
    pub(crate) chain: Chain,
    pub(crate) filter: Arc<ConfiguredFilter>,
    names: Arc<FieldNames>,
    message: FieldId,
}

/// What was seen of a guest.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Seen {
    /// How long it took to stop it, with the culprit alone in its batch, and how long the deadline was.
    pub(crate) time: Option<(Duration, Duration)>,
    /// The most memory of an instance, in bytes.
    pub(crate) memory: u64,
}

impl Stage {
    /// Builds the guests that are crates.
    pub(crate) fn prepare(is_measured: bool) -> Result<Self, String> {
        let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).parent().ok_or("the host lies nowhere")?;
        let temporary = Path::new(env!("CARGO_TARGET_TMPDIR"));
        let target = temporary.parent().ok_or("the folder for tests lies nowhere")?;
        let module = |folder: &str, name: &str| -> Result<Component, String> {
            let built: Vec<guests::Guest> = guests::build(workspace, folder, target)?;
            let found = built.into_iter().find(|guest| guest.name == name);
            found.map(|guest| Component::File(guest.module)).ok_or(format!("there is no guest {name}"))
        };
        let cache = temporary.join("cache");
        let said = |error: anyhow::Error| format!("{error:#}");
        Ok(Stage {
            engine: Engine::new(Some(&cache), Compilation::Thorough).map_err(said)?,
            cache,
            hostile: module("tests/guests", "hostile")?,
            wishful: module("tests/guests", "wishful")?,
            geoip: module("guest-filters", "geoip")?,
            // Only what never ends may meet its deadline, however slow the machine is.
            short: Duration::from_millis(if is_measured { 1000 } else { 60 }),
            long: Duration::from_secs(if is_measured { 10 } else { 60 }),
            folder: tempfile::tempdir().map_err(|error| error.to_string())?,
            files: AtomicUsize::new(0),
        })
    }

    /// An engine whose clock ticks only when it is told to; one for each trial, as trials run side by side.
    pub(crate) fn by_hand(&self) -> Engine {
        Engine::ticked_by_hand(Some(&self.cache), Compilation::Thorough).expect("there is an engine already")
    }

    /// A folder for what a trial needs.
    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// A component of these bytes, in a file of its own.
    pub(crate) fn file(&self, bytes: &[u8]) -> Component {
        let number = self.files.fetch_add(1, Ordering::Relaxed);
        let path: PathBuf = self.folder.path().join(format!("guest-{number}.wasm"));
        std::fs::write(&path, bytes).expect("the folder for tests can be written");
        Component::File(path)
    }

    /// A chain of three, in whose middle the component stands with these options; among them may be those of the host.
    pub(crate) fn line(
        &self,
        engine: &Engine,
        component: &Component,
        options: &Json,
    ) -> Result<HostileLine, Vec<FilterProblem>> {
        let mutate = Component::BuiltIn("mutate".to_owned());
        let steps = [
            step(&mutate, &json!({"id": "before", "copy": {"message": "before"}})),
            step(component, options),
            step(&mutate, &json!({"id": "after", "copy": {"before": "after"}})),
        ];
        let mut names = FieldNames::new();
        let message = names.intern(&FieldReference::from_fragments(["message"]));
        let environment = ChainEnvironment::default();
        let definition = ChainDefinition::build(engine, &steps, &Step::in_line(3), &environment, &mut names)?;
        let filter = definition.filters()[1].clone();
        let chain = definition.start().unwrap_or_else(|error| panic!("{error:#}"));
        Ok(HostileLine { chain, filter, names: Arc::new(names), message })
    }

    /// The same of a component that must be taken.
    pub(crate) fn started(&self, component: &Component, options: &Json) -> HostileLine {
        let line = self.line(&self.engine, component, options);
        line.unwrap_or_else(|problems| panic!("{problems:?}"))
    }

    /// The options of a hostile filter that breaks, and is not to meet its deadline unless that is its break.
    pub(crate) fn options(&self, what: &str, kind: &str, on_trap: &str) -> Json {
        let deadline = if kind == "deadline" { self.short } else { self.long };
        let mut options = json!({
            "id": "hostile",
            "on_trap": on_trap,
            "limits": {"deadline": format!("{}ms", deadline.as_millis())},
            "grants": ["patterns"],
        });
        match kind {
            "output" => options["limits"]["output"] = json!("64KiB"),
            "rows" => options["limits"]["rows"] = json!(5),
            _ => {}
        }
        if !what.is_empty() {
            options["do"] = json!(what);
        }
        options
    }
}

/// A step of a component and its options.
pub(crate) fn step(component: &Component, options: &Json) -> FilterStep {
    let (step, problems) = filter_from_json(component.clone(), options.as_object().expect("a map"));
    assert_eq!(problems.errors(), 0, "{options}: {:?}", problems.list());
    step
}

impl HostileLine {
    pub(crate) fn batch(&self, messages: &[String]) -> Batch {
        let mut batch = Batch::new(self.names.clone(), messages.len());
        for (row, message) in messages.iter().enumerate() {
            let cell = batch.text_cell(message);
            batch.column_mut(self.message)[row] = cell;
        }
        batch.set_identities((1..=messages.len() as u128).collect());
        batch
    }

    pub(crate) fn process(&mut self, messages: &[String]) -> anyhow::Result<Processed> {
        let batch = self.batch(messages);
        self.chain.process(batch)
    }
}

/// Events without a culprit.
pub(crate) fn fine() -> Vec<String> {
    (0..EVENTS).map(|number| format!("event é {number}")).collect()
}

/// Events with one culprit among them.
pub(crate) fn with_culprit() -> Vec<String> {
    let mut events = fine();
    events[CULPRIT] = "poison ö".to_owned();
    events
}

/// The events of a batch as documents, `@metadata` included.
pub(crate) fn documents(batch: &Batch) -> Vec<Json> {
    let mut documents = Documents::with_metadata(batch);
    (0..batch.rows())
        .map(|row| serde_json::from_str(&documents.text(row)).expect("a document is JSON"))
        .collect()
}

/// An event that all three filters let through.
pub(crate) fn whole(message: &str, work: Option<&str>) -> Json {
    let mut event = json!({"message": message, "before": message, "after": message});
    if let Some(work) = work {
        event["other"] = json!(work);
    }
    event
}

/// The guest breaks on the culprit: it alone ends where `on_trap` says, with the reason, as it entered the filter; the other
/// events come out whole, and so do those of the next batch. `work` is what the guest writes into `other` of others.
pub(crate) fn check_break(
    stage: &Stage,
    component: &Component,
    what: &str,
    work: Option<&str>,
    kind: &str,
    reason: &str,
) -> Seen {
    let mut seen = Seen::default();
    for on_trap in ["dead_letter", "tag", "drop", "stop"] {
        let options = stage.options(what, kind, on_trap);
        let mut line = stage.started(component, &options);
        let events = with_culprit();
        let processed = line.process(&events);
        let reasons = line.filter.counts.reasons();
        assert!(reasons.len() == 1 && reasons.contains_key(kind), "{reasons:?}, and not {kind}");
        let mut expected: Vec<Json> = events.iter().map(|message| whole(message, work)).collect();
        let mut identities: Vec<u128> = (1..=EVENTS as u128).collect();
        match on_trap {
            "stop" => {
                let error = processed.map(|_| ()).expect_err("the pipeline stops").to_string();
                assert!(error.contains("on_trap = \"stop\"") && error.contains(reason), "{error}");
                seen.memory = seen.memory.max(memory_of(&line));
                continue;
            }
            "tag" => {
                let message = &events[CULPRIT];
                expected[CULPRIT] = whole(message, None);
                expected[CULPRIT]["tags"] = json!(["_hostile_trap"]);
            }
            _ => {
                expected.remove(CULPRIT);
                identities.remove(CULPRIT);
            }
        }
        let processed = processed.unwrap_or_else(|error| panic!("not contained: {error:#}"));
        assert_eq!(documents(&processed.batch), expected, "{on_trap}");
        let out: Vec<u128> = (0..processed.batch.rows()).map(|row| processed.batch.identity(row)).collect();
        assert_eq!(out, identities, "{on_trap}");
        assert_eq!(processed.dropped, u64::from(on_trap == "drop"), "{on_trap}");
        assert_eq!(processed.dead_letters.len(), usize::from(on_trap == "dead_letter"), "{on_trap}");
        for letter in &processed.dead_letters {
            assert_eq!((&*letter.filter, letter.rule, letter.events.identity(0)), ("hostile", "on_trap", 18));
            assert!(letter.reason.contains(reason), "{:?} does not hold {reason:?}", letter.reason);
            let message = &events[CULPRIT];
            assert_eq!(documents(&letter.events), [json!({"message": message, "before": message})]);
        }
        let next = line.process(&fine()).expect("the next batch goes through");
        let expected: Vec<Json> = fine().iter().map(|message| whole(message, work)).collect();
        assert_eq!(documents(&next.batch), expected, "{on_trap}: the next batch");
        seen.memory = seen.memory.max(memory_of(&line));
    }
    let mut line = stage.started(component, &stage.options(what, kind, "drop"));
    let started = Instant::now();
    line.process(&with_culprit()[CULPRIT..=CULPRIT]).expect("contained");
    let deadline = if kind == "deadline" { stage.short } else { stage.long };
    seen.time = Some((started.elapsed(), deadline));
    seen
}

/// The guest breaks whatever comes, and all events are set aside with the reason.
pub(crate) fn check_break_on_all(
    stage: &Stage,
    component: &Component,
    what: &str,
    kind: &str,
    reason: &str,
) -> Seen {
    let mut line = stage.started(component, &stage.options(what, kind, "dead_letter"));
    let processed = line.process(&fine()[..4]).expect("contained");
    assert_eq!((processed.batch.rows(), processed.dropped), (0, 0));
    let mut aside = Vec::new();
    for letter in &processed.dead_letters {
        assert!(letter.reason.contains(reason), "{:?} does not hold {reason:?}", letter.reason);
        aside.extend(documents(&letter.events));
    }
    let entered = |message: &String| json!({"message": message, "before": message});
    assert_eq!(aside, fine()[..4].iter().map(entered).collect::<Vec<Json>>());
    let reasons = line.filter.counts.reasons();
    assert!(reasons.len() == 1 && reasons.contains_key(kind), "{reasons:?}, and not {kind}");
    Seen { time: None, memory: memory_of(&line) }
}

/// Nothing breaks, however odd it is what the guest does; all events come out. `other` is what they have there.
pub(crate) fn check_harmless(stage: &Stage, component: &Component, what: &str, other: Option<&Json>) -> Seen {
    let mut line = stage.started(component, &stage.options(what, "", "dead_letter"));
    let events = with_culprit();
    let processed = line.process(&events).expect("contained");
    let reasons = line.filter.counts.reasons();
    assert_eq!(processed.dead_letters.len(), 0, "{reasons:?}");
    let mut found = documents(&processed.batch);
    assert_eq!(found.len(), EVENTS, "{reasons:?}");
    for (event, message) in found.iter_mut().zip(&events) {
        let written = event.as_object_mut().and_then(|event| event.remove("other"));
        if let Some(other) = other {
            assert_eq!(written.as_ref(), Some(other).filter(|other| !other.is_null()), "{message}");
        }
        assert_eq!(*event, whole(message, None));
    }
    Seen { time: None, memory: memory_of(&line) }
}

/// The pipeline is refused before anything runs, with words that hold `expected`.
pub(crate) fn check_refused(stage: &Stage, component: &Component, what: &str, expected: &str) -> Seen {
    let kind = if what.starts_with("loop") || expected == "deadline" { "deadline" } else { "" };
    let built = stage.line(&stage.engine, component, &stage.options(what, kind, "dead_letter"));
    let problems = built.err().unwrap_or_default();
    assert_eq!(problems.len(), 1, "{problems:?}");
    let message = &problems[0].message;
    assert!(message.contains(expected) && message.len() < 5000, "{message:?} does not hold {expected:?}");
    Seen::default()
}

/// The most memory of an instance, which must be within the limit.
pub(crate) fn memory_of(line: &HostileLine) -> u64 {
    let memory = line.filter.counts.memory.load(Ordering::Relaxed);
    assert!(memory > 0 && memory <= MEMORY, "an instance had {memory} bytes of {MEMORY}");
    memory
}

/// What filters and the host log, by the filter's id: so many lines, and who waits for one.
static LOGGED: Mutex<BTreeMap<String, Logged>> = Mutex::new(BTreeMap::new());

type Logged = (usize, Option<std::sync::mpsc::Sender<()>>);

/// Asks to be told of every line that a filter logs from now on.
pub(crate) fn listen_to(filter: &str) -> std::sync::mpsc::Receiver<()> {
    let (sender, receiver) = std::sync::mpsc::channel();
    let mut logged = LOGGED.lock().unwrap_or_else(PoisonError::into_inner);
    logged.insert(filter.to_owned(), (0, Some(sender)));
    receiver
}

/// How many lines a filter, or the host about it, has logged.
pub(crate) fn lines_of(filter: &str) -> usize {
    LOGGED.lock().unwrap_or_else(PoisonError::into_inner).get(filter).map_or(0, |(lines, _)| *lines)
}

/// What the host has logged about no filter in particular.
static SAID: Mutex<Vec<String>> = Mutex::new(Vec::new());

/// The same, so far.
pub(crate) fn said() -> Vec<String> {
    SAID.lock().unwrap_or_else(PoisonError::into_inner).clone()
}

/// What counts the lines.
pub(crate) struct Lines;

impl<S: tracing::Subscriber> tracing_subscriber::Layer<S> for Lines {
    fn on_event(&self, event: &tracing::Event<'_>, _: tracing_subscriber::layer::Context<'_, S>) {
        let mut line = Line::default();
        event.record(&mut line);
        let Some(filter) = line.filter else {
            SAID.lock().unwrap_or_else(PoisonError::into_inner).push(line.message);
            return;
        };
        let mut logged = LOGGED.lock().unwrap_or_else(PoisonError::into_inner);
        let (lines, listener) = logged.entry(filter).or_default();
        *lines += 1;
        if let Some(listener) = listener {
            // Nobody listens any more.
            let _ = listener.send(());
        }
    }
}

/// A line of the log.
#[derive(Default)]
struct Line {
    filter: Option<String>,
    message: String,
}

impl tracing::field::Visit for Line {
    fn record_str(&mut self, field: &tracing::field::Field, value: &str) {
        if field.name() == "filter" {
            self.filter = Some(value.to_owned());
        }
    }

    fn record_debug(&mut self, field: &tracing::field::Field, value: &dyn std::fmt::Debug) {
        if field.name() == "message" {
            self.message = format!("{value:?}");
        }
    }
}
