//! The hostile guests of tests/guests/hostile, by what they do, and what must come of each. Modules that are written by hand
//! are in `modules`, what is refused before it runs in `refused`, and what is more than one batch in `stories`.

use serde_json::json;

use super::modules::{ALLOCATORS, BREAKS, HARMLESS, Parts};
use super::stage::{Seen, Stage, check_break, check_break_on_all, check_harmless};

/// One hostile guest.
pub(crate) struct Trial {
    /// What the guest does.
    pub(crate) name: String,
    /// What comes of it: the word under which its break is counted, or what else stops it.
    pub(crate) outcome: &'static str,
    pub(crate) run: Box<dyn Fn(&Stage) -> Seen + Send + Sync>,
}

/// The break of a guest by its options: what it does, the word under which the break is counted, and a part of the reason.
const GUEST_BREAKS: [(&str, &str, &str); 62] = [
    // What does not end.
    ("loop", "deadline", "deadline"),
    ("loop in asking the time", "deadline", "deadline"),
    ("loop in counting", "deadline", "deadline"),
    ("loop in asking for random bytes", "deadline", "deadline"),
    ("loop in logging", "deadline", "deadline"),
    ("loop in a search", "deadline", "deadline"),
    ("loop in searches of an automaton", "deadline", "deadline"),
    ("loop in compiling", "deadline", "deadline"),
    // What takes too much.
    ("allocate", "memory", "bytes of memory"),
    ("answer 200 MiB", "memory", "bytes of memory"),
    ("replace with many floods", "memory", "bytes of memory"),
    ("recurse", "stack", "deeper"),
    ("recurse with arrays", "trap", "out of bounds"),
    ("panic", "trap", "stopped itself"),
    ("break in the second step", "trap", "stopped itself"),
    // Places that are none.
    ("place past the answer's text", "answer", "lies in no text"),
    ("place over the end of the text", "answer", "lies in no text"),
    ("place that wraps around", "answer", "lies in no text"),
    ("place in a kernel's text", "answer", "lies in no text"),
    ("place within a character", "answer", "lies in no text"),
    ("place within a sent character", "answer", "lies in no text"),
    ("mixed place past the text", "answer", "lies in no text"),
    // Lengths that do not fit.
    ("too many rows", "answer", "elements for"),
    ("too few rows", "answer", "elements for"),
    ("starts without lengths", "answer", "elements for"),
    ("numbers of too few rows", "answer", "elements for"),
    ("a mask of the wrong length", "answer", "mask"),
    ("mixed rows that descend", "answer", "do not ascend"),
    ("a mixed row twice", "answer", "do not ascend"),
    ("a mixed row past the end", "answer", "do not ascend"),
    ("a remove's mask too long", "answer", "rows of a remove"),
    ("a verdict's mask too long", "answer", "rows of a verdict"),
    ("a drop mask too long", "answer", "rows of drops"),
    // Fields and texts that it may not write, or nobody could.
    ("an unknown field", "answer", "changes field 9999"),
    ("a field that is only read", "answer", "only reads"),
    ("remove a field that is only read", "answer", "only reads"),
    ("names that were not planned", "answer", "does not write everything"),
    ("text that is not UTF-8", "answer", "UTF-8"),
    ("JSON that is none", "answer", "JSON is not valid"),
    ("JSON that is a text", "answer", "kinds of their own"),
    ("JSON of 100,000 levels", "answer", "JSON is not valid"),
    ("a map where one value was planned", "answer", "as a whole"),
    ("the mark of a map", "answer", "never answered"),
    ("the mark of a map, mixed", "answer", "never answered"),
    // Too much of anything.
    ("answer forty thousand verdicts", "answer", "verdicts"),
    ("flood with verdicts", "answer", "verdicts"),
    ("flood with removes", "answer", "removes"),
    ("a field that is set a thousand times", "answer", "sets"),
    ("copies of what was not sent", "answer", "adds a copy"),
    ("a million events", "rows", "at most 5 may be added (limits.rows)"),
    ("answer 200 KiB", "output", "at most 65536 are taken (limits.output)"),
    ("add ten events", "rows", "at most 5 may be added (limits.rows)"),
    ("a flood of tags", "answer", "tags"),
    ("a tag of a megabyte", "answer", "longer than"),
    // The host's functions, misused.
    ("ask for a gigabyte of random bytes", "trap", "random bytes"),
    ("search past the text", "trap", "outside of the text"),
    ("search within a character", "trap", "outside of the text"),
    ("search text that is not UTF-8", "trap", "not UTF-8"),
    ("search with too few lengths", "trap", "5 starts and 4 lengths"),
    ("replace with nothing", "trap", "has no replacement"),
    ("search too much", "trap", "too many for one search"),
    ("use a pattern after its end", "trap", "handle"),
];

/// The same where no event goes through, as the guest does it to all.
const GUEST_BREAKS_ON_ALL: [(&str, &str, &str); 3] = [
    ("flood with names", "answer", "new fields"),
    ("search where nothing is", "trap", "outside of the text"),
    ("replace with too few replacements", "trap", "5 texts and 4 replacements"),
];

/// What is odd and no break.
const GUEST_ODDITIES: [&str; 7] = [
    "numbers that are none",
    "times past the end of time",
    "booleans that are neither",
    "flood with counters",
    "patterns that are too much",
    "search in vain",
    "replace with a flood",
];

/// The same of modules.
const MODULE_ODDITIES: [(&str, Parts); 4] = [
    ("do nothing", HARMLESS),
    (
        "ask for four gigabytes and go on without",
        Parts { process: "(drop (memory.grow (i32.const 65534)))", ..HARMLESS },
    ),
    (
        "fill its stack half and come back",
        Parts {
            declarations: "(func $deep (param $depth i32) (result i32)
                (if (result i32) (local.get $depth)
                    (then (i32.add (call $deep (i32.sub (local.get $depth) (i32.const 1))) (i32.const 1)))
                    (else (i32.const 0))))",
            process: "(drop (call $deep (i32.const 5000)))",
            ..HARMLESS
        },
    ),
    (
        "answer lists of nothing from the end of its memory",
        Parts {
            process:
                "(i32.store (i32.const 1032) (i32.const 131072)) (i32.store (i32.const 1048) (i32.const 131068))
                (return (i32.const 1024))",
            ..HARMLESS
        },
    ),
];

/// All trials of one batch.
pub(crate) fn all() -> Vec<Trial> {
    let mut trials = Vec::new();
    for (what, kind, reason) in GUEST_BREAKS {
        let run = move |stage: &Stage| {
            let what = format!("{what} when poisoned");
            check_break(stage, &stage.hostile, &what, Some("done"), kind, reason)
        };
        trials.push(Trial { name: what.to_owned(), outcome: kind, run: Box::new(run) });
    }
    for (what, kind, reason) in GUEST_BREAKS_ON_ALL {
        let run = move |stage: &Stage| check_break_on_all(stage, &stage.hostile, what, kind, reason);
        trials.push(Trial { name: format!("{what}, always"), outcome: kind, run: Box::new(run) });
    }
    for (what, parts, kind, reason) in BREAKS {
        let run =
            move |stage: &Stage| check_break(stage, &stage.file(&parts.bytes()), "", None, kind, reason);
        trials.push(Trial { name: what.to_owned(), outcome: kind, run: Box::new(run) });
    }
    for (what, realloc, kind, reason) in ALLOCATORS {
        let parts = Parts { realloc, ..HARMLESS };
        let run =
            move |stage: &Stage| check_break_on_all(stage, &stage.file(&parts.bytes()), "", kind, reason);
        trials.push(Trial { name: what.to_owned(), outcome: kind, run: Box::new(run) });
    }
    for what in GUEST_ODDITIES {
        let run = move |stage: &Stage| check_harmless(stage, &stage.hostile, what, None);
        trials.push(Trial { name: what.to_owned(), outcome: "no break", run: Box::new(run) });
    }
    for (what, parts) in MODULE_ODDITIES {
        let run =
            move |stage: &Stage| check_harmless(stage, &stage.file(&parts.bytes()), "", Some(&json!(null)));
        trials.push(Trial { name: what.to_owned(), outcome: "no break", run: Box::new(run) });
    }
    trials
}
