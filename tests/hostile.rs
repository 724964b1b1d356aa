//! Filters that misbehave: each is contained, the host goes on, and the events go where `on_trap` says. The filter is
//! tests/guests/hostile; its option is the misbehaviour's name.

use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant};

use weir::config::{CommonOptions, Component, FilterStep, Limits, OnFailure, Places, Step};
use weir::event::{Batch, FieldId, FieldNames, FieldReference, Value};
use weir::filter::{
    Chain, ChainDefinition, ChainEnvironment, Compilation, ConfiguredFilter, Engine, Processed,
};

#[path = "../host/build/guests.rs"]
mod guests;

struct Hostile {
    engine: Engine,
    module: PathBuf,
    /// A component of another world.
    wishful: PathBuf,
    /// A built-in filter as a file, which is not trusted as the built-in one is.
    geoip: PathBuf,
}

static HOSTILE: LazyLock<Hostile> = LazyLock::new(|| {
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the host lies in the workspace");
    let temporary = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let target = temporary.parent().expect("the folder for tests lies in the target folder");
    let module = |folder: &str, name: &str| {
        let built = guests::build(workspace, folder, target).expect("the guests are built");
        built.into_iter().find(|guest| guest.name == name).expect("it is among the guests").module
    };
    Hostile {
        engine: Engine::new(Some(&temporary.join("cache")), Compilation::Thorough).expect("an engine"),
        module: module("tests/guests", "hostile"),
        wishful: module("tests/guests", "wishful"),
        geoip: module("guest-filters", "geoip"),
    }
});

fn step(what: &str, on_trap: OnFailure, on_error: OnFailure) -> FilterStep {
    let options = serde_json::json!({ "do": what });
    // Only what never ends may meet its deadline, however slow this machine is.
    let deadline = Duration::from_millis(if what.starts_with("loop") { 60 } else { 10_000 });
    FilterStep {
        id: "hostile".to_owned(),
        component: Component::File(HOSTILE.module.clone()),
        when: None,
        on_error,
        on_trap,
        common: CommonOptions::default(),
        limits: Limits { deadline, memory: 64 << 20 },
        grants: Some(vec!["patterns".to_owned()]),
        options: options.as_object().cloned().expect("a map"),
        places: Places::default(),
        span: 0..0,
    }
}

struct Trial {
    chain: Chain,
    filter: Arc<ConfiguredFilter>,
    names: Arc<FieldNames>,
    message: FieldId,
}

fn trial(what: &str, on_trap: OnFailure, on_error: OnFailure) -> Trial {
    let mut names = FieldNames::new();
    let message = names.intern(&FieldReference::from_fragments(["message"]));
    let steps = [step(what, on_trap, on_error)];
    let definition = ChainDefinition::build(
        &HOSTILE.engine,
        &steps,
        &Step::in_line(1),
        &ChainEnvironment::default(),
        &mut names,
    )
    .unwrap_or_else(|problems| panic!("{what}: {problems:?}"));
    let filter = definition.filters()[0].clone();
    Trial { chain: definition.start().expect("a chain"), filter, names: Arc::new(names), message }
}

impl Trial {
    fn batch(&self, messages: &[&str]) -> Batch {
        let mut batch = Batch::new(self.names.clone(), messages.len());
        for (row, message) in messages.iter().enumerate() {
            let cell = batch.text_cell(message);
            batch.column_mut(self.message)[row] = cell;
        }
        batch.set_identities((1..=messages.len() as u128).collect());
        batch
    }

    fn messages(&self, batch: &Batch) -> Vec<String> {
        (0..batch.rows())
            .map(|row| match batch.value(row, self.message) {
                Some(Value::Text(text)) => text.to_owned(),
                other => panic!("message is {other:?}"),
            })
            .collect()
    }
}

const EVENTS: [&str; 4] = ["one", "twö", "three", "four"];

/// Every event is set aside as it was, the reason holds `reason`, and breaks are counted as `kind`.
fn check_break(what: &str, kind: &str, reason: &str) {
    let mut trial = trial(what, OnFailure::DeadLetter, OnFailure::Tag);
    let started = Instant::now();
    let Processed { batch, dead_letters, dropped, .. } =
        trial.chain.process(trial.batch(&EVENTS)).expect("contained");
    assert!(started.elapsed() < Duration::from_secs(10), "{what} took {:?}", started.elapsed());
    assert_eq!((batch.rows(), dropped), (0, 0), "{what}");
    let mut aside = Vec::new();
    for letter in &dead_letters {
        assert_eq!(&*letter.filter, "hostile");
        assert!(letter.reason.contains(reason), "{what}: {:?} does not hold {reason:?}", letter.reason);
        aside.extend(trial.messages(&letter.events));
        assert!(letter.events.identity(0) > 0, "{what}: the identity is lost");
    }
    assert_eq!(aside, EVENTS, "{what}");
    let reasons = trial.filter.counts.reasons();
    assert!(reasons.contains_key(kind), "{what}: {reasons:?}");
}

#[test]
fn guests_that_break_off() {
    check_break("loop", "deadline", "deadline");
    check_break("allocate", "memory", "bytes of memory");
    check_break("panic", "trap", "stopped itself");
    check_break("recurse", "stack", "stack");
    check_break("recurse with arrays", "trap", "out of bounds");
    check_break("answer 200 MiB", "memory", "bytes of memory");
    check_break("answer 40 MiB of verdicts", "answer", "verdicts");
    check_break("ask for a gigabyte of random bytes", "trap", "random bytes");
}

#[test]
fn lying_places() {
    for what in [
        "place past the answer's text",
        "place over the end of the text",
        "place that wraps around",
        "place in a kernel's text",
        "place within a character",
        "mixed place past the text",
    ] {
        check_break(what, "answer", "lies in no text");
    }
}

#[test]
fn patterns_are_misused() {
    check_break("search past the text", "trap", "outside of the text");
    check_break("search where nothing is", "trap", "outside of the text");
    check_break("search within a character", "trap", "outside of the text");
    check_break("search text that is not UTF-8", "trap", "not UTF-8");
    check_break("search with too few lengths", "trap", "5 starts and 4 lengths");
    check_break("replace with too few replacements", "trap", "5 texts and 4 replacements");
    check_break("replace with nothing", "trap", "has no replacement");
    check_break("search too much", "trap", "too many for one search");
    check_break("use a pattern after its end", "trap", "handle");
    check_break("replace with many floods", "memory", "bytes of memory");
    check_break("loop in a search", "deadline", "deadline");
    check_break("loop in searches of an automaton", "deadline", "deadline");
    check_break("loop in compiling", "deadline", "deadline");
}

#[test]
fn patterns_that_are_too_much_are_errors() {
    for what in ["patterns that are too much", "search in vain", "replace with a flood"] {
        let mut trial = trial(what, OnFailure::DeadLetter, OnFailure::Tag);
        let started = Instant::now();
        let processed = trial.chain.process(trial.batch(&EVENTS)).expect("no break");
        assert_eq!(trial.messages(&processed.batch), EVENTS, "{what}: {:?}", trial.filter.counts.reasons());
        assert!(started.elapsed() < Duration::from_secs(5), "{what} took {:?}", started.elapsed());
    }
}

#[test]
fn lying_lengths() {
    check_break("too many rows", "answer", "elements for");
    check_break("too few rows", "answer", "elements for");
    check_break("starts without lengths", "answer", "elements for");
    check_break("numbers of too few rows", "answer", "elements for");
    check_break("a mask of the wrong length", "answer", "mask");
    check_break("mixed rows that descend", "answer", "do not ascend");
    check_break("a mixed row twice", "answer", "do not ascend");
    check_break("a mixed row past the end", "answer", "do not ascend");
    check_break("a remove's mask too long", "answer", "rows of a remove");
    check_break("a verdict's mask too long", "answer", "rows of a verdict");
    check_break("a drop mask too long", "answer", "rows of drops");
}

#[test]
fn lying_fields_and_texts() {
    check_break("an unknown field", "answer", "changes field 9999");
    check_break("a field that is only read", "answer", "only reads");
    check_break("remove a field that is only read", "answer", "only reads");
    check_break("names that were not planned", "answer", "does not write everything");
    check_break("flood with names", "answer", "new fields");
    check_break("flood with removes", "answer", "removes");
    check_break("text that is not UTF-8", "answer", "UTF-8");
    check_break("JSON that is none", "answer", "JSON is not valid");
    check_break("JSON that is a text", "answer", "kinds of their own");
    check_break("JSON of 100,000 levels", "answer", "JSON is not valid");
    check_break("a map where one value was planned", "answer", "as a whole");
    check_break("the mark of a map", "answer", "never answered");
    check_break("the mark of a map, mixed", "answer", "never answered");
}

#[test]
fn too_much_of_anything() {
    check_break("copies of what was not sent", "answer", "adds a copy");
    check_break("a million events", "answer", "added events");
    check_break("a flood of tags", "answer", "tags");
    check_break("a tag of a megabyte", "answer", "longer than");
}

#[test]
fn a_place_within_a_sent_character_breaks_only_the_event_that_has_one() {
    let mut trial = trial("place within a sent character", OnFailure::DeadLetter, OnFailure::Tag);
    let processed = trial.chain.process(trial.batch(&EVENTS)).expect("contained");
    assert_eq!(trial.messages(&processed.batch), ["one", "three", "four"]);
    assert_eq!(trial.messages(&processed.dead_letters[0].events), ["twö"]);
}

#[test]
fn a_culprit_is_found_and_the_others_go_through() {
    for what in ["break on the word poison", "loop on the word poison", "break in the second step"] {
        let mut trial = trial(what, OnFailure::DeadLetter, OnFailure::Tag);
        let mut events: Vec<String> = (0..300).map(|number| format!("event {number}")).collect();
        events[217] = "poison 217".to_owned();
        let texts: Vec<&str> = events.iter().map(String::as_str).collect();
        let processed = trial.chain.process(trial.batch(&texts)).expect("contained");
        assert_eq!(processed.batch.rows(), 299, "{what}");
        assert_eq!(processed.dead_letters.len(), 1, "{what}");
        let letter = &processed.dead_letters[0];
        assert_eq!(trial.messages(&letter.events), ["poison 217"], "{what}");
        assert_eq!(letter.events.identity(0), 218, "{what}");
        let other = letter.events.names().get(&FieldReference::from_fragments(["other"])).expect("planned");
        assert_eq!(letter.events.value(0, other), None, "{what}: it is not as it entered the filter");
        events.remove(217);
        assert_eq!(trial.messages(&processed.batch), events, "{what}");
        // And the filter goes on with the next batch.
        let processed = trial.chain.process(trial.batch(&["fine"])).expect("contained");
        assert_eq!(processed.batch.rows(), 1, "{what}");
    }
}

#[test]
fn a_batch_of_culprits_ends_soon() {
    let mut trial = trial("loop", OnFailure::DeadLetter, OnFailure::Tag);
    let texts = vec!["event"; 1000];
    let started = Instant::now();
    let processed = trial.chain.process(trial.batch(&texts)).expect("contained");
    assert!(started.elapsed() < Duration::from_secs(5), "{:?}", started.elapsed());
    let aside: usize = processed.dead_letters.iter().map(|letter| letter.events.rows()).sum();
    assert_eq!((processed.batch.rows(), aside), (0, 1000));
}

#[test]
fn on_trap_says_where_events_go() {
    let mut tagging = trial("panic", OnFailure::Tag, OnFailure::Tag);
    let processed = tagging.chain.process(tagging.batch(&EVENTS)).expect("contained");
    assert_eq!(tagging.messages(&processed.batch), EVENTS);
    let tags = processed.batch.names().get(&FieldReference::from_fragments(["tags"])).expect("tagged");
    for row in 0..4 {
        assert_eq!(processed.batch.value(row, tags), Some(Value::Json("[\"_hostile_trap\"]")));
    }

    let mut dropping = trial("panic", OnFailure::Drop, OnFailure::Tag);
    let processed = dropping.chain.process(dropping.batch(&EVENTS)).expect("contained");
    assert_eq!((processed.batch.rows(), processed.dropped, processed.dead_letters.len()), (0, 4, 0));

    let mut stopping = trial("panic", OnFailure::Stop, OnFailure::Tag);
    let error = stopping.chain.process(stopping.batch(&EVENTS)).expect_err("it stops");
    assert!(error.to_string().contains("on_trap = \"stop\""), "{error}");
}

#[test]
fn on_error_says_where_events_go() {
    let mut tagging = trial("fail on all", OnFailure::DeadLetter, OnFailure::Tag);
    let processed = tagging.chain.process(tagging.batch(&EVENTS)).expect("no break");
    let name =
        |name: &str| processed.batch.names().get(&FieldReference::from_fragments([name])).expect("known");
    for row in 0..4 {
        assert_eq!(processed.batch.value(row, name("tags")), Some(Value::Json("[\"_failed\"]")));
        assert_eq!(processed.batch.value(row, name("other")), Some(Value::Text("o")));
    }
    assert_eq!(tagging.filter.counts.reasons().get("on purpose"), Some(&4));

    let mut aside = trial("fail on all", OnFailure::DeadLetter, OnFailure::DeadLetter);
    let processed = aside.chain.process(aside.batch(&EVENTS)).expect("no break");
    let events = &processed.dead_letters[0].events;
    assert_eq!(aside.messages(events), EVENTS);
    assert_eq!(processed.dead_letters[0].reason, "on purpose");
    let other = events.names().get(&FieldReference::from_fragments(["other"])).expect("planned");
    assert_eq!(events.value(0, other), None, "it is not as it entered the filter");

    let mut dropping = trial("fail on all", OnFailure::DeadLetter, OnFailure::Drop);
    let processed = dropping.chain.process(dropping.batch(&EVENTS)).expect("no break");
    assert_eq!((processed.batch.rows(), processed.dropped), (0, 4));

    let mut stopping = trial("fail on all", OnFailure::DeadLetter, OnFailure::Stop);
    assert!(stopping.chain.process(stopping.batch(&EVENTS)).is_err());
}

#[test]
fn floods_are_cut() {
    for what in ["flood the log", "flood with counters"] {
        let mut trial = trial(what, OnFailure::DeadLetter, OnFailure::Tag);
        let processed = trial.chain.process(trial.batch(&EVENTS)).expect("no break");
        assert_eq!(trial.messages(&processed.batch), EVENTS);
        assert!(trial.filter.counts.counters().len() < 100);
    }
}

#[test]
fn what_breaks_in_configure_is_a_problem_of_the_pipeline() {
    let check = |what: &str, expected: &str| {
        let steps = [step(what, OnFailure::DeadLetter, OnFailure::Tag)];
        let environment = ChainEnvironment::default();
        let built = ChainDefinition::build(
            &HOSTILE.engine,
            &steps,
            &Step::in_line(1),
            &environment,
            &mut FieldNames::new(),
        );
        let problems = built.err().unwrap_or_default();
        assert_eq!(problems.len(), 1, "{what}: {problems:?}");
        assert!(problems[0].message.contains(expected), "{what}: {problems:?}");
    };
    check("panic in configure", "stopped itself");
    check("loop in configure", "deadline");
    check("allocate in configure", "memory");
    check("plan no steps", "0 steps");
    check("plan a million steps", "1000000 steps");
    check("plan an empty path", "0 fragments");
    check("plan a deep path", "10000 fragments");
    check("plan a million fields", "fields");
    check("refuse without a word", "does not say why");
}

#[test]
fn what_is_no_filter_is_refused_by_name() {
    let folder = tempfile::tempdir().expect("a folder");
    let check = |bytes: &[u8], expected: &str| {
        let path = folder.path().join("guest.wasm");
        std::fs::write(&path, bytes).expect("written");
        let error = HOSTILE.engine.describe(&Component::File(path)).expect_err("refused");
        let message = format!("{error:#}");
        assert!(message.contains("guest.wasm") && message.contains(expected), "{message}");
    };
    check(b"", "no WebAssembly");
    check(b"#!/bin/sh\n", "no WebAssembly");
    check(b"\0asm\x01\0\0\0", "exports nothing");
    check(b"\0asm\x0d\0\x01\0", "exports nothing");
    check(b"\0asm\x01\0\0\0\xff\xff", "plain module");
    check(b"\0asm\x0d\0\x01\0\xff\xff", "not valid");
    let missing = Component::File(folder.path().join("missing.wasm"));
    let message = format!("{:#}", HOSTILE.engine.describe(&missing).expect_err("refused"));
    assert!(message.contains("missing.wasm") && message.contains("No such file"), "{message}");
    let unknown = Component::BuiltIn("disect".to_owned());
    let message = format!("{:#}", HOSTILE.engine.describe(&unknown).expect_err("refused"));
    assert!(message.contains("\"dissect\""), "{message}");
    let manifest = HOSTILE.engine.describe(&Component::File(HOSTILE.module.clone())).expect("described");
    assert_eq!((manifest.name.as_str(), manifest.version.as_str()), ("hostile", "1.0.0"));
}

#[test]
fn what_was_not_granted_is_named() {
    let message = format!(
        "{:#}",
        HOSTILE.engine.describe(&Component::File(HOSTILE.wishful.clone())).expect_err("refused")
    );
    assert!(message.contains("imports weir:filter/tables@0.2.0, which this version"), "{message}");

    let problems = |component: &Component, grants: Option<Vec<String>>| {
        let options = serde_json::json!({"source": "ip", "target": "geo", "database": "demo:addresses"});
        let step = FilterStep {
            component: component.clone(),
            grants,
            options: options.as_object().cloned().expect("a map"),
            ..step("", OnFailure::DeadLetter, OnFailure::Tag)
        };
        let environment = ChainEnvironment::default();
        let built = ChainDefinition::build(
            &HOSTILE.engine,
            &[step],
            &Step::in_line(1),
            &environment,
            &mut FieldNames::new(),
        );
        built.err().unwrap_or_default().iter().map(|problem| problem.message.clone()).collect::<Vec<_>>()
    };
    let refused = "this component imports weir:filter/addresses, which it was not granted";
    let granted = || Some(vec!["addresses".to_owned()]);
    let file = Component::File(HOSTILE.geoip.clone());
    assert_eq!(problems(&file, None), [refused]);
    assert_eq!(problems(&file, Some(Vec::new())), [refused]);
    assert!(problems(&file, granted()).is_empty());
    let built_in = Component::BuiltIn("geoip".to_owned());
    assert!(problems(&built_in, None).is_empty());
    assert_eq!(problems(&built_in, Some(Vec::new())), [refused]);
}

#[test]
fn long_events_go_through_in_parts() {
    let mut trial = trial("nothing", OnFailure::DeadLetter, OnFailure::Tag);
    let long = "x".repeat(1 << 20);
    let mut texts = vec![long.as_str(); 80];
    texts[40] = "short";
    let processed = trial.chain.process(trial.batch(&texts)).expect("contained");
    assert_eq!(trial.messages(&processed.batch), texts, "80 MB do not fit into the guest's 64 at once");
    assert_eq!(trial.filter.counts.reasons().len(), 0);

    // One that does not fit even alone is set aside, and it alone.
    let longest = "x".repeat(100 << 20);
    texts[40] = &longest;
    let processed = trial.chain.process(trial.batch(&texts[39..42])).expect("contained");
    assert_eq!(trial.messages(&processed.batch), [long.as_str(); 2]);
    assert_eq!(trial.messages(&processed.dead_letters[0].events), [longest.as_str()]);
    assert!(processed.dead_letters[0].reason.contains("memory"), "{}", processed.dead_letters[0].reason);
}
