//! What takes more than a batch, or another look than where events ended: deadlines counted in ticks of the clock, floods of
//! the log, states that are saved and restored, files that change under the host, `on_error`, and grants.

use std::fs::OpenOptions;
use std::io::Write;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use serde_json::{Value as Json, json};
use weir::config::{Component, Step};
use weir::event::FieldNames;
use weir::filter::swap::{SavedState, SwappableChain};
use weir::filter::{ChainDefinition, ChainEnvironment, Engine};
use weir_test_support::mmdb::{self, Metadata};

use super::modules::{HARMLESS, Parts};
use super::refused::REFUSED;
use super::stage::{
    Seen, Stage, check_harmless, documents, fine, lines_of, listen_to, memory_of, said, step, whole,
    with_culprit,
};
use super::trials::Trial;

pub(crate) fn all() -> Vec<Trial> {
    let trial = |name: &str, outcome: &'static str, run: fn(&Stage) -> Seen| Trial {
        name: name.to_owned(),
        outcome,
        run: Box::new(run),
    };
    vec![
        trial("loop, by a clock that is ticked by hand", "deadline", loop_by_hand),
        trial("loop in configure, by a clock that is ticked by hand", "deadline", configure_by_hand),
        trial("wait for a slow database", "no break", slow_database),
        trial("loop on every event of a batch", "deadline", culprits_only),
        trial("break for ever after", "trap", breaks_for_ever),
        trial("leak a mebibyte an event", "memory", leak),
        trial("answer random numbers", "answer", random_answers),
        trial("forge what others decide by", "no break", forge),
        trial("flood the log", "a limit on lines", flood_the_log),
        trial("log again by being started anew", "a limit on lines", break_to_log),
        trial("read and write what was not granted", REFUSED, read_and_write),
        trial("look at all fields with few granted", "the grant", look_at_all),
        trial("write what nobody named", "answer", write_unnamed),
        trial("drop all", "its own right", drop_all),
        trial("copy all", "its own right", copy_all),
        trial("fail on all", "on_error", fail_on_all),
        trial("flood with reasons", "on_error", flood_with_reasons),
        trial("loop in saving the state", "deadline", |stage| lose_state(stage, "loop in saving the state")),
        trial("panic in saving the state", "trap", |stage| lose_state(stage, "panic in saving the state")),
        trial("save 32 MiB as the state", "a limit on states", |stage| {
            lose_state(stage, "save 32 MiB as the state")
        }),
        trial("loop in restoring the state", "deadline", |stage| {
            refuse_state(stage, "loop in restoring the state", "deadline")
        }),
        trial("panic in restoring the state", "trap", |stage| {
            refuse_state(stage, "panic in restoring the state", "stopped itself")
        }),
        trial("refuse the state", "its own right", |stage| {
            refuse_state(stage, "refuse the state", "on purpose")
        }),
        trial("be another file once it was checked", "the code that was checked", swapped_file),
        trial("get events longer than its memory", "memory", long_events),
        trial("bring 30 MiB that no code is", "no break", custom_section),
    ]
}

/// A guest that has said that it loops is there at the tick before its deadline, and is stopped by the tick of its deadline,
/// whatever the machine does meanwhile.
fn loop_by_hand(stage: &Stage) -> Seen {
    let deadline = Duration::from_millis(50);
    let options = json!({
        "id": "looping", "do": "loop and say so when poisoned", "grants": ["patterns"],
        "limits": {"deadline": "50ms"},
    });
    let engine = stage.by_hand();
    let line = stage.line(&engine, &stage.hostile, &options);
    let mut line = line.unwrap_or_else(|problems| panic!("{problems:?}"));
    line.process(&fine()).expect("fine events go through while the clock stands");
    let looping = listen_to("looping");
    std::thread::scope(|scope| {
        let (process, line) = (with_culprit()[17..18].to_vec(), &mut line);
        let guest = scope.spawn(move || line.process(&process).expect("contained"));
        looping.recv().expect("it says that it loops");
        for _ in 1..Engine::ticks_of(deadline) {
            engine.tick();
        }
        assert!(!guest.is_finished(), "it was stopped before its deadline");
        engine.tick();
        let processed = guest.join().expect("it was stopped");
        assert_eq!(processed.dead_letters.len(), 1);
        assert!(processed.dead_letters[0].reason.contains("deadline"));
    });
    Seen { time: None, memory: memory_of(&line) }
}

fn configure_by_hand(stage: &Stage) -> Seen {
    let deadline = Duration::from_millis(50);
    let options = json!({
        "id": "looping-at-once", "do": "loop in configure and say so", "grants": ["patterns"],
        "limits": {"deadline": "50ms"},
    });
    let engine = stage.by_hand();
    let looping = listen_to("looping-at-once");
    std::thread::scope(|scope| {
        let building = scope.spawn(|| stage.line(&engine, &stage.hostile, &options).err());
        looping.recv().expect("it says that it loops");
        for _ in 0..Engine::ticks_of(deadline) {
            engine.tick();
        }
        let problems = building.join().expect("it was stopped").expect("it is refused");
        assert!(problems[0].message.contains("deadline"), "{problems:?}");
    });
    Seen::default()
}

/// Reading a database is the host's work: however long the disk takes, the guest's time is not over.
fn slow_database(stage: &Stage) -> Seen {
    let metadata = Metadata {
        database_type: "Test-City".to_owned(),
        ip_version: 6,
        record_size: 24,
        languages: vec!["en".to_owned()],
        build_epoch: 1,
        description: vec![("en".to_owned(), "a test".to_owned())],
    };
    let database =
        mmdb::write(&metadata, &[("192.0.2.0/24".to_owned(), json!({"country": {"iso_code": "JP"}}))]);
    let database = database.expect("it can be written");
    // Reading from a pipe lasts until it is written.
    let pipe = stage.folder().join("slow.mmdb");
    let made = Command::new("mkfifo").arg(&pipe).status().expect("mkfifo is there");
    assert!(made.success());
    let options = json!({"source": "message", "database": pipe, "limits": {"deadline": "50ms"}});
    let engine = stage.by_hand();
    std::thread::scope(|scope| {
        let building =
            scope.spawn(|| stage.line(&engine, &Component::BuiltIn("geoip".to_owned()), &options).err());
        let mut writing = OpenOptions::new().write(true).open(&pipe).expect("it is being read");
        for _ in 0..2 * Engine::ticks_of(Duration::from_millis(50)) {
            engine.tick();
        }
        writing.write_all(&database).expect("it is being read");
        // Each instance opens it; the others find a file.
        let file = stage.folder().join("fast.mmdb");
        std::fs::write(&file, &database).expect("the folder can be written");
        std::fs::rename(&file, &pipe).expect("the folder can be written");
        drop(writing);
        let problems = building.join().expect("it is built");
        assert!(problems.is_none(), "{problems:?}");
    });
    Seen::default()
}

/// After twelve breaks the rest of a batch is not tried.
fn culprits_only(stage: &Stage) -> Seen {
    let mut line = stage.started(&stage.hostile, &stage.options("loop", "deadline", "dead_letter"));
    let events = vec!["event".to_owned(); 1000];
    let processed = line.process(&events).expect("contained");
    let aside: usize = processed.dead_letters.iter().map(|letter| letter.events.rows()).sum();
    assert_eq!((processed.batch.rows(), aside), (0, 1000));
    assert_eq!(line.filter.counts.reasons().get("deadline"), Some(&12));
    Seen { time: None, memory: memory_of(&line) }
}

/// A guest that breaks in each batch is contained in each.
fn breaks_for_ever(stage: &Stage) -> Seen {
    let mut line =
        stage.started(&stage.hostile, &stage.options("panic when poisoned", "trap", "dead_letter"));
    for _ in 0..50 {
        let processed = line.process(&with_culprit()).expect("contained");
        assert_eq!((processed.batch.rows(), processed.dead_letters.len()), (23, 1));
    }
    Seen { time: None, memory: memory_of(&line) }
}

/// A leak costs instances, and no events.
fn leak(stage: &Stage) -> Seen {
    let what = "leak a mebibyte an event";
    let mut line = stage.started(&stage.hostile, &stage.options(what, "memory", "dead_letter"));
    for _ in 0..6 {
        let processed = line.process(&fine()).expect("contained");
        let expected: Vec<Json> = fine().iter().map(|message| whole(message, None)).collect();
        assert_eq!(documents(&processed.batch), expected);
    }
    let reasons = line.filter.counts.reasons();
    assert!(reasons.get("memory").is_some_and(|breaks| (1..=4).contains(breaks)), "{reasons:?}");
    Seen { time: None, memory: memory_of(&line) }
}

/// Numbers of chance are refused, or applied where they happen to be possible; then the events are whole but for that.
fn random_answers(stage: &Stage) -> Seen {
    let options = stage.options("answer random numbers", "answer", "dead_letter");
    let mut line = stage.started(&stage.hostile, &options);
    for _ in 0..20 {
        let processed = line.process(&fine()).expect("contained");
        let aside: usize = processed.dead_letters.iter().map(|letter| letter.events.rows()).sum();
        let all = processed.batch.rows() + aside + processed.dropped as usize;
        assert_eq!(all as u64, fine().len() as u64 + processed.added);
        documents(&processed.batch);
    }
    Seen { time: None, memory: memory_of(&line) }
}

/// A guest may write what its plan says, whatever that is, and no more: not who an event is.
fn forge(stage: &Stage) -> Seen {
    let options = stage.options("forge what others decide by", "answer", "dead_letter");
    let mut line = stage.started(&stage.hostile, &options);
    let processed = line.process(&fine()).expect("no break");
    assert_eq!((processed.batch.rows(), processed.dead_letters.len()), (24, 0));
    for (row, (event, message)) in documents(&processed.batch).iter().zip(fine()).enumerate() {
        assert_eq!(processed.batch.identity(row), row as u128 + 1);
        assert_eq!((&event["message"], &event["after"]), (&json!(message), &json!(message)));
        assert_eq!(event["_id"], json!({"forged": [1, {"a": null}]}), "that is only a field");
    }
    Seen { time: None, memory: memory_of(&line) }
}

/// Whatever a guest logs, so many lines a second are written.
fn flood_the_log(stage: &Stage) -> Seen {
    let mut seen = Seen::default();
    for (id, most) in [("flooding", 10), ("flooding less", 2), ("not flooding", 0)] {
        let mut options = stage.options("flood the log", "", "dead_letter");
        options["id"] = json!(id);
        options["limits"]["log_lines"] = json!(most);
        let mut line = stage.started(&stage.hostile, &options);
        let started = Instant::now();
        let processed = line.process(&fine()).expect("no break");
        assert_eq!(processed.batch.rows(), 24);
        let lines = lines_of(id);
        assert!((most..=most_lines(most, started)).contains(&lines), "{lines} lines of {most}");
        seen.memory = memory_of(&line);
    }
    seen
}

/// A new instance may not log anew, and the host's own lines about breaks are bounded too.
fn break_to_log(stage: &Stage) -> Seen {
    let mut options = stage.options("log and panic", "", "dead_letter");
    options["id"] = json!("breaking");
    let mut line = stage.started(&stage.hostile, &options);
    let started = Instant::now();
    for _ in 0..20 {
        line.process(&fine()).expect("contained");
    }
    assert_eq!(line.filter.counts.breaks.load(Ordering::Relaxed), 20 * 12);
    let lines = lines_of("breaking");
    assert!((20..=2 * most_lines(10, started)).contains(&lines), "{lines} lines");
    Seen { time: None, memory: memory_of(&line) }
}

/// How many lines there are at most since then; one more a second says how many were left out.
fn most_lines(a_second: usize, since: Instant) -> usize {
    let seconds = usize::try_from(since.elapsed().as_secs()).expect("not so long");
    if a_second == 0 { 0 } else { (a_second + 1) * (seconds + 2) }
}

/// A plan that wants more than was granted is refused, each field by its name and with what to write.
fn read_and_write(stage: &Stage) -> Seen {
    let refused = |fields: Json| -> Vec<(String, String)> {
        let mut options = stage.options("work", "", "dead_letter");
        options["grants"] = json!({"kernels": ["patterns"], "fields": fields});
        let built = stage.line(&stage.engine, &stage.hostile, &options);
        let problems = built.err().unwrap_or_default();
        assert!(problems.iter().all(|problem| !problem.fix.is_empty()));
        problems.into_iter().map(|problem| (problem.pointer, problem.message)).collect()
    };
    let problem = |access: &str, field: &str| {
        let message = format!("with these options the filter {access}s [{field}], which it was not granted");
        (format!("/grants/fields/{access}"), message)
    };
    assert_eq!(refused(json!({})), []);
    assert_eq!(refused(json!({"read": ["message", "[read_only]"], "write": ["message", "other"]})), []);
    assert_eq!(refused(json!({"read": ["message"]})), [problem("read", "read_only")]);
    assert_eq!(
        refused(json!({"read": ["[read_only][deeper]"], "write": ["message"]})),
        [problem("read", "message"), problem("write", "other")],
        "above what was granted it may see whether there is one value"
    );
    Seen::default()
}

/// A filter that may read what it cannot name gets what was granted, and no more.
fn look_at_all(stage: &Stage) -> Seen {
    let sees = |fields: Json| {
        let mut options = stage.options("tell what it sees", "", "dead_letter");
        options["grants"] = json!({"kernels": ["patterns"], "fields": fields});
        let mut line = stage.started(&stage.hostile, &options);
        let processed = line.process(&fine()).expect("no break");
        (documents(&processed.batch)[0]["other"].clone(), memory_of(&line))
    };
    assert_eq!(sees(json!({})).0, json!("before"));
    assert_eq!(sees(json!({"read": ["message", "before"]})).0, json!("before"));
    let (other, memory) = sees(json!({"read": ["message"]}));
    assert_eq!(other, json!(""));
    Seen { time: None, memory }
}

/// A filter that may write what it cannot name breaks when that was not granted.
fn write_unnamed(stage: &Stage) -> Seen {
    let mut seen = Seen::default();
    for (granted, breaks) in
        [(json!(["message", "other"]), true), (json!(["message", "other", "hidden"]), false)]
    {
        let mut options = stage.options("write what nobody named when poisoned", "answer", "dead_letter");
        options["grants"] = json!({"kernels": ["patterns"], "fields": {"write": granted}});
        let mut line = stage.started(&stage.hostile, &options);
        let processed = line.process(&with_culprit()).expect("contained");
        assert_eq!(processed.batch.rows(), 24 - usize::from(breaks));
        let reason = "it writes [hidden][deep], which it was not granted";
        assert!(processed.dead_letters.iter().all(|letter| letter.reason.contains(reason)));
        seen.memory = memory_of(&line);
    }
    seen
}

fn drop_all(stage: &Stage) -> Seen {
    let mut line = stage.started(&stage.hostile, &stage.options("drop all", "", "dead_letter"));
    let processed = line.process(&fine()).expect("no break");
    assert_eq!((processed.batch.rows(), processed.dropped, processed.dead_letters.len()), (0, 24, 0));
    assert_eq!((&*processed.dropped_at[0].filter, processed.dropped_at[0].rule), ("hostile", "filter"));
    Seen { time: None, memory: memory_of(&line) }
}

/// Copies are other events than what they were made of.
fn copy_all(stage: &Stage) -> Seen {
    let mut line = stage.started(&stage.hostile, &stage.options("copy all", "", "dead_letter"));
    let processed = line.process(&fine()).expect("no break");
    assert_eq!((processed.batch.rows(), processed.added), (48, 24));
    let identities: std::collections::BTreeSet<u128> =
        (0..48).map(|row| processed.batch.identity(row)).collect();
    assert_eq!(identities.len(), 48);
    Seen { time: None, memory: memory_of(&line) }
}

/// What a filter fails on goes where `on_error` says.
fn fail_on_all(stage: &Stage) -> Seen {
    let mut seen = Seen::default();
    for on_error in ["tag", "drop", "dead_letter", "stop"] {
        let mut options = stage.options("fail on all", "", "stop");
        options["on_error"] = json!(on_error);
        let mut line = stage.started(&stage.hostile, &options);
        let processed = line.process(&fine());
        if on_error == "stop" {
            let error = processed.map(|_| ()).expect_err("the pipeline stops").to_string();
            assert!(error.contains("on_error = \"stop\"") && error.contains("on purpose"), "{error}");
            continue;
        }
        let processed = processed.expect("no break");
        assert_eq!(line.filter.counts.reasons().get("on purpose"), Some(&24));
        match on_error {
            "tag" => {
                for event in documents(&processed.batch) {
                    assert_eq!((&event["tags"], &event["after"]), (&json!(["_failed"]), &event["message"]));
                }
            }
            "drop" => assert_eq!((processed.batch.rows(), processed.dropped), (0, 24)),
            _ => {
                let letter = &processed.dead_letters[0];
                assert_eq!((letter.rule, &*letter.reason), ("on_error", "on purpose"));
                let entered = |message: &String| json!({"message": message, "before": message});
                assert_eq!(documents(&letter.events), fine().iter().map(entered).collect::<Vec<Json>>());
            }
        }
        seen.memory = seen.memory.max(memory_of(&line));
    }
    seen
}

/// Reasons of chance do not make figures without end.
fn flood_with_reasons(stage: &Stage) -> Seen {
    let mut line = stage.started(&stage.hostile, &stage.options("flood with reasons", "", "stop"));
    let events: Vec<String> = (0..500).map(|number| format!("event {number}")).collect();
    let processed = line.process(&events).expect("no break");
    assert_eq!(processed.batch.rows(), 500);
    let reasons = line.filter.counts.reasons();
    assert!(reasons.len() <= 65 && reasons.values().sum::<u64>() == 500, "{}", reasons.len());
    assert!(reasons.keys().all(|reason| reason.len() <= 120));
    Seen { time: None, memory: memory_of(&line) }
}

fn swappable(stage: &Stage, what: &str, states: &[SavedState]) -> SwappableChain {
    let mut options = stage.options(what, "deadline", "dead_letter");
    options["id"] = json!(what);
    let steps = [step(&stage.hostile, &options)];
    let mut names = FieldNames::new();
    let environment = ChainEnvironment::default();
    let built = ChainDefinition::build(&stage.engine, &steps, &Step::in_line(1), &environment, &mut names);
    let definition = built.unwrap_or_else(|problems| panic!("{problems:?}"));
    SwappableChain::start(Arc::new(definition), Arc::new(names), 1, states).expect("the chain starts")
}

/// A filter that does not give its state loses it, and the stop goes on.
fn lose_state(stage: &Stage, what: &str) -> Seen {
    let states = swappable(stage, what, &[]).final_states().expect("the stop goes on");
    assert_eq!(states.len(), 0);
    let states = swappable(stage, "keep the state", &[]).final_states().expect("the stop goes on");
    assert_eq!(states.len(), 1, "others keep theirs");
    Seen::default()
}

/// A filter that does not take its state begins without, and that is said.
fn refuse_state(stage: &Stage, what: &str, expected: &str) -> Seen {
    let states = swappable(stage, "keep the state", &[]).final_states().expect("there is a state");
    let states = states.into_iter().map(|state| SavedState { filter: what.to_owned(), ..state });
    let chain = swappable(stage, what, &states.collect::<Vec<_>>());
    let said = said();
    let told = |line: &&String| line.contains(&format!("filter {what}: ")) && line.contains(expected);
    let line = said.iter().find(told).unwrap_or_else(|| panic!("it is not told: {said:?}"));
    assert!(line.len() < 5000, "a line of {} bytes", line.len());
    assert_eq!(chain.final_states().expect("it goes on").len(), 1);
    Seen::default()
}

/// What was checked is what runs: instances that are made later are of the same code, whatever the file is then.
fn swapped_file(stage: &Stage) -> Seen {
    let gentle = Parts { process: "unreachable", ..HARMLESS };
    let component = stage.file(&gentle.bytes());
    let mut line = stage.started(&component, &stage.options("", "trap", "dead_letter"));
    let Component::File(path) = &component else { panic!("it is a file") };
    std::fs::write(path, Parts { realloc: "unreachable", ..HARMLESS }.bytes()).expect("written");
    for _ in 0..3 {
        let processed = line.process(&with_culprit()).expect("contained");
        assert_eq!((processed.batch.rows(), processed.dead_letters.len()), (23, 1));
    }
    Seen { time: None, memory: memory_of(&line) }
}

/// What does not fit into a guest's memory at once goes in parts; what never fits is set aside, and it alone.
fn long_events(stage: &Stage) -> Seen {
    let mut line = stage.started(&stage.hostile, &stage.options("nothing", "", "dead_letter"));
    let long = "x".repeat(1 << 20);
    let mut texts = vec![long.clone(); 70];
    texts[40] = "short".to_owned();
    let processed = line.process(&texts).expect("contained");
    assert_eq!(processed.batch.rows(), 70, "70 MB do not fit into the guest's 64 at once");
    assert_eq!(line.filter.counts.reasons().len(), 0);
    texts[40] = "x".repeat(100 << 20);
    let processed = line.process(&texts[39..42]).expect("contained");
    let out: Vec<Json> = documents(&processed.batch);
    assert_eq!(out, [whole(&long, None), whole(&long, None)]);
    assert_eq!(processed.dead_letters.len(), 1);
    assert!(processed.dead_letters[0].reason.contains("memory"), "{}", processed.dead_letters[0].reason);
    Seen { time: None, memory: memory_of(&line) }
}

fn custom_section(stage: &Stage) -> Seen {
    let mut module = HARMLESS.bytes();
    let length: u32 = 30 << 20;
    module.push(0);
    let mut rest = length;
    while rest >= 0x80 {
        module.push((rest & 0x7f) as u8 | 0x80);
        rest >>= 7;
    }
    module.push(rest as u8);
    module.push(4);
    module.extend_from_slice(b"void");
    module.resize(module.len() + length as usize - 5, 0);
    check_harmless(stage, &stage.file(&module), "", None)
}
