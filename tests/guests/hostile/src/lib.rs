//! A filter that does what no filter should: it never ends, takes all memory, lies about its answers. Its options are one
//! word, `{"do": "…"}`, which may end in ` when poisoned`: then it only does so to a batch with the text `poison` in it. What
//! the host makes of each is in tests/hostile. It exists only as WebAssembly.
#![cfg(target_arch = "wasm32")]

use std::cell::RefCell;

mod bindings {
    wit_bindgen::generate!({ path: "../../../wit", world: "with-kernels" });
    use super::Hostile;
    export!(Hostile);
}

use bindings::exports::weir::filter::filter::{
    Access, Environment, Extent, Guest, Manifest, Plan, Planned, Problem,
};
use bindings::weir::filter::columns::{
    Answer, Batch, Cell, Column, Floats, Numbers, Outcome, Texts, Verdict,
};
use bindings::weir::filter::host;
use bindings::weir::filter::patterns::Pattern;

thread_local! { static WHAT: RefCell<String> = const { RefCell::new(String::new()) }; }

/// The plan's fields, by number.
const MESSAGE: u32 = 0;
const OTHER: u32 = 1;
const READ_ONLY: u32 = 2;

/// The length of a text that is none.
const NO_VALUE: u32 = u32::MAX;

struct Hostile;

impl Guest for Hostile {
    fn describe() -> Manifest {
        Manifest {
            name: "hostile".to_owned(),
            version: "1.0.0".to_owned(),
            summary: "Misbehaves".to_owned(),
            options_schema: "{}".to_owned(),
            manual: String::new(),
            state_version: 0,
        }
    }

    fn configure(options: String, _environment: Environment) -> Result<Plan, Vec<Problem>> {
        let what = options.trim_start_matches("{\"do\":\"").trim_end_matches("\"}").to_owned();
        let planned =
            |name: &str, access| Planned { path: vec![name.to_owned()], access, extent: Extent::One };
        let mut plan = Plan {
            fields: vec![
                planned("message", Access::READ | Access::WRITE),
                planned("other", Access::WRITE),
                planned("read_only", Access::READ),
            ],
            everything: Access::empty(),
            stateful: false,
            steps: 1,
            failure_tags: Vec::new(),
        };
        match what.as_str() {
            "panic in configure" => panic!("on purpose"),
            "loop in configure" => endless(),
            "allocate in configure" => allocate(),
            "plan no steps" => plan.steps = 0,
            "plan a million steps" => plan.steps = 1_000_000,
            "plan an empty path" => plan.fields[0].path.clear(),
            "plan a deep path" => plan.fields[0].path = vec!["a".to_owned(); 10_000],
            "plan a million fields" => {
                plan.fields = (0..1_000_000).map(|_| planned("a", Access::READ)).collect();
            }
            "plan a million tags" => plan.failure_tags = vec!["tag".to_owned(); 1_000_000],
            "plan a tag of a megabyte" => plan.failure_tags = vec!["x".repeat(1 << 20)],
            "refuse without a word" => return Err(Vec::new()),
            "refuse with a hundred thousand words" => {
                let message = "x".repeat(100);
                let problem =
                    |_| Problem { pointer: "/".repeat(50), message: message.clone(), fix: String::new() };
                return Err((0..100_000).map(problem).collect());
            }
            "refuse with a word of a megabyte" => {
                let (pointer, fix) = ("/~9/\u{0}".to_owned(), String::new());
                return Err(vec![Problem { pointer, message: "ö".repeat(1 << 20), fix }]);
            }
            "loop in configure and say so" => {
                host::log(host::Level::Info, "it loops");
                endless();
            }
            "break in the second step" | "break in the second step when poisoned" => plan.steps = 2,
            "flood with names" | "flood with names when poisoned" => plan.everything = Access::WRITE,
            "tell what it sees" | "write what nobody named when poisoned" => {
                plan.fields.pop();
                plan.everything = Access::READ | Access::WRITE;
            }
            "forge what others decide by" => {
                for path in FORGED {
                    let path = path.iter().map(|fragment| (*fragment).to_owned()).collect();
                    plan.fields.push(Planned { path, access: Access::WRITE, extent: Extent::Whole });
                }
            }
            _ if what.ends_with("the state") => plan.stateful = true,
            _ => {}
        }
        WHAT.set(what);
        Ok(plan)
    }

    fn process(step: u32, batch: Batch) -> Answer {
        let what = WHAT.with_borrow(Clone::clone);
        let rows = batch.rows as usize;
        let sent = batch.text.len() as u32;
        let mut answer = nothing();
        let what = match what.strip_suffix(" when poisoned") {
            Some(what) if is_poisoned(&batch) => what,
            Some(_) => "work",
            None => what.as_str(),
        };
        match what {
            // What a filter should do.
            "work" => {
                answer.text = b"done".to_vec();
                answer.sets = vec![(OTHER, texts(vec![sent; rows], vec![4; rows]))];
                answer.verdicts = vec![verdict(Outcome::Matched, rows)];
            }
            "loop" => endless(),
            "loop and say so" => {
                host::log(host::Level::Info, "it loops");
                endless();
            }
            "loop in asking the time" => loop {
                std::hint::black_box(host::now());
            },
            "loop in counting" => loop {
                host::count("again", 1);
            },
            "loop in asking for random bytes" => loop {
                std::hint::black_box(host::random(65_536));
            },
            "loop in logging" => loop {
                host::log(host::Level::Debug, "and again");
            },
            "leak a mebibyte an event" => {
                std::mem::forget(std::hint::black_box(vec![1_u8; rows << 20]));
                answer.verdicts = vec![verdict(Outcome::Matched, rows)];
            }
            "answer random numbers" => {
                let random = host::random(65_536);
                let mut numbers = random
                    .chunks_exact(4)
                    .map(|bytes| u32::from_le_bytes([bytes[0], bytes[1] & 1, bytes[2] & bytes[3], 0]));
                let mut some = |most: usize| numbers.by_ref().take(most).collect::<Vec<u32>>();
                let places = texts(some(rows), some(rows));
                answer.text = random[..100].to_vec();
                answer.adds = some(3);
                answer.sets = some(4).into_iter().map(|field| (field % 4, places.clone())).collect();
                answer.drops = random[..rows.div_ceil(8)].to_vec();
            }
            "break on the word poison" => {
                if is_poisoned(&batch) {
                    panic!("on purpose");
                }
                answer.sets = vec![(OTHER, texts(vec![0; rows], vec![1; rows]))];
                answer.verdicts = vec![verdict(Outcome::Matched, rows)];
            }
            "loop on the word poison" => {
                if is_poisoned(&batch) {
                    endless();
                }
                answer.verdicts = vec![verdict(Outcome::Matched, rows)];
            }
            "allocate" => allocate(),
            "panic" => panic!("on purpose"),
            "recurse" => answer.text = vec![b'x'; recurse(1) as usize % 2],
            "recurse with arrays" => answer.text = vec![b'x'; recurse_with_arrays(1) as usize % 2],
            "answer 200 MiB" => answer.text = vec![b'x'; 200 << 20],
            "answer forty thousand verdicts" => {
                answer.verdicts = (0..40_000).map(|_| verdict(Outcome::Matched, rows)).collect();
            }
            "break in the second step" => {
                if step == 1 && is_poisoned(&batch) {
                    panic!("on purpose");
                }
                answer.text = b"changed".to_vec();
                answer.sets = vec![(OTHER, texts(vec![sent; rows], vec![7; rows]))];
                answer.verdicts = vec![verdict(Outcome::Matched, rows)];
            }
            // Places.
            "place past the answer's text" => {
                answer.sets = vec![(OTHER, texts(vec![sent + 10; rows], vec![5; rows]))];
            }
            "place over the end of the text" => {
                answer.sets = vec![(OTHER, texts(vec![sent - 1; rows], vec![2; rows]))];
            }
            "place that wraps around" => {
                answer.sets = vec![(OTHER, texts(vec![sent - 1; rows], vec![u32::MAX - 1; rows]))];
            }
            "place in a kernel's text" => {
                answer.sets = vec![(OTHER, texts(vec![1 << 31; rows], vec![1; rows]))];
            }
            "place within a character" => {
                answer.text = "é".as_bytes().to_vec();
                answer.sets = vec![(OTHER, texts(vec![sent + 1; rows], vec![1; rows]))];
            }
            "place within a sent character" => {
                // Two bytes make the letter after the word.
                let poison = batch.text.windows(7).position(|word| word == b"poison ");
                let at = poison.map_or(0, |at| at + 8) as u32;
                answer.sets = vec![(OTHER, texts(vec![at; rows], vec![1; rows]))];
            }
            "mixed place past the text" => {
                answer.sets = vec![(OTHER, Column::Mixed(vec![(0, Cell::Text((sent + 1, 1)))]))];
            }
            // Lengths.
            "too many rows" => {
                answer.sets = vec![(OTHER, texts(vec![0; rows + 5], vec![1; rows + 5]))];
            }
            "too few rows" => {
                answer.sets = vec![(OTHER, texts(vec![0; rows - 1], vec![1; rows - 1]))];
            }
            "starts without lengths" => answer.sets = vec![(OTHER, texts(vec![0; rows], vec![]))],
            "numbers of too few rows" => {
                answer.sets =
                    vec![(OTHER, Column::Integer(Numbers { values: vec![1; rows - 1], present: vec![] }))];
            }
            "a mask of the wrong length" => {
                answer.sets = vec![(
                    OTHER,
                    Column::Integer(Numbers { values: vec![1; rows], present: vec![255; 100] }),
                )];
            }
            "mixed rows that descend" => {
                answer.sets =
                    vec![(OTHER, Column::Mixed(vec![(1, Cell::Integer(1)), (0, Cell::Integer(1))]))];
            }
            "a mixed row twice" => {
                answer.sets =
                    vec![(OTHER, Column::Mixed(vec![(0, Cell::Integer(1)), (0, Cell::Integer(1))]))];
            }
            "a mixed row past the end" => {
                answer.sets = vec![(OTHER, Column::Mixed(vec![(u32::MAX, Cell::Integer(1))]))];
            }
            "a remove's mask too long" => answer.removes = vec![(MESSAGE, vec![255; 1000])],
            "a verdict's mask too long" => {
                answer.verdicts = vec![Verdict { rows: vec![255; 1000], ..verdict(Outcome::Failed, rows) }];
            }
            "a drop mask too long" => answer.drops = vec![255; 1000],
            // Fields.
            "an unknown field" => answer.sets = vec![(9999, texts(vec![0; rows], vec![1; rows]))],
            "a field that is only read" => {
                answer.sets = vec![(READ_ONLY, texts(vec![0; rows], vec![1; rows]))];
            }
            "remove a field that is only read" => answer.removes = vec![(READ_ONLY, vec![255])],
            "names that were not planned" => answer.new_fields = vec![vec!["@metadata".to_owned()]],
            "flood with names" => {
                answer.new_fields = (0..100_000).map(|number| vec![format!("field {number}")]).collect();
            }
            "flood with removes" => answer.removes = vec![(MESSAGE, vec![]); 100_000],
            // Texts.
            "text that is not UTF-8" => answer.text = vec![0xff, 0xfe],
            "JSON that is none" => json(&mut answer, sent, "{\"a\":"),
            "JSON that is a text" => json(&mut answer, sent, "\"a\""),
            "JSON of 100,000 levels" => json(&mut answer, sent, &"[".repeat(100_000)),
            "a map where one value was planned" => json(&mut answer, sent, "{\"a\":1}"),
            "the mark of a map" => answer.sets = vec![(OTHER, Column::Object(vec![255]))],
            "the mark of a map, mixed" => {
                answer.sets = vec![(OTHER, Column::Mixed(vec![(0, Cell::Object)]))];
            }
            // Events.
            "copies of what was not sent" => answer.adds = vec![rows as u32],
            "a million events" => answer.adds = vec![0; 1_000_000],
            "a flood of tags" => {
                answer.verdicts = vec![Verdict {
                    tags: (0..10_000).map(|number| number.to_string()).collect(),
                    ..verdict(Outcome::Tagged, rows)
                }];
            }
            "a tag of a megabyte" => {
                answer.verdicts =
                    vec![Verdict { tags: vec!["x".repeat(1 << 20)], ..verdict(Outcome::Tagged, rows) }];
            }
            "numbers that are none" => {
                let values = vec![f64::NAN, f64::INFINITY, f64::NEG_INFINITY, -0.0];
                let values = values.into_iter().cycle().take(rows).collect();
                answer.sets = vec![(OTHER, Column::Float(Floats { values, present: vec![] }))];
                answer.verdicts = vec![verdict(Outcome::Matched, rows)];
            }
            "times past the end of time" => {
                let values = vec![i64::MAX, i64::MIN].into_iter().cycle().take(rows).collect();
                answer.sets = vec![(OTHER, Column::Timestamp(Numbers { values, present: vec![] }))];
                answer.verdicts = vec![verdict(Outcome::Matched, rows)];
            }
            "booleans that are neither" => {
                let values = (0..rows as i64).map(|row| row * 1_000_003).collect();
                answer.sets = vec![(OTHER, Column::Boolean(Numbers { values, present: vec![] }))];
                answer.verdicts = vec![verdict(Outcome::Matched, rows)];
            }
            "forge what others decide by" => {
                answer.text = b"{\"forged\":[1,{\"a\":null}]}".to_vec();
                let place = texts(vec![sent; rows], vec![answer.text.len() as u32; rows]);
                for field in 0..FORGED.len() as u32 {
                    let Column::Text(places) = place.clone() else { continue };
                    answer.sets.push((READ_ONLY + 1 + field, Column::Json(places)));
                }
                answer.verdicts = vec![verdict(Outcome::Matched, rows)];
            }
            "a field that is set a thousand times" => {
                answer.sets = vec![(OTHER, texts(vec![0; rows], vec![1; rows])); 1000];
            }
            "flood with reasons" => {
                answer.verdicts = (0..rows).map(|row| failure_of(row, rows)).collect();
            }
            "flood with verdicts" => answer.verdicts = vec![verdict(Outcome::Matched, rows); 5 * rows + 64],
            "tell what it sees" => {
                let names: Vec<String> = batch.others.iter().map(|(path, _)| path.join(".")).collect();
                answer.text = names.join(" ").into_bytes();
                let length = answer.text.len() as u32;
                answer.sets = vec![(OTHER, texts(vec![sent; rows], vec![length; rows]))];
                answer.verdicts = vec![verdict(Outcome::Matched, rows)];
            }
            "write what nobody named" => {
                answer.new_fields = vec![vec!["hidden".to_owned(), "deep".to_owned()]];
                let field = READ_ONLY + batch.others.len() as u32;
                answer.sets = vec![(field, texts(vec![0; rows], vec![1; rows]))];
            }
            "answer 200 KiB" => answer.text = vec![b'x'; 200 << 10],
            "add ten events" => answer.adds = vec![0; 10],
            "drop all" => answer.drops = vec![255; rows.div_ceil(8)],
            "copy all" => {
                answer.adds = (0..batch.rows).collect();
                answer.text = b"copy".to_vec();
                let lengths = [vec![NO_VALUE; rows], vec![4; rows]].concat();
                answer.sets = vec![(OTHER, texts(vec![sent; 2 * rows], lengths))];
                answer.verdicts = vec![verdict(Outcome::Matched, rows)];
            }
            // The host's functions.
            "ask for a gigabyte of random bytes" => {
                host::random(1 << 30);
            }
            // Patterns.
            "search past the text" => search(b"abc", 2, 2),
            "search where nothing is" => search(b"abc", u32::MAX, u32::MAX - 1),
            "search within a character" => search("é".as_bytes(), 1, 1),
            "search text that is not UTF-8" => search(&[0xff], 0, 1),
            "search with too few lengths" => {
                compile("a").captures(&Texts { starts: vec![0; 5], lens: vec![0; 4] }, b"abc");
            }
            "replace with too few replacements" => {
                compile("a").replace_all(&places(5, 0, 1), b"abc", &places(4, 0, 1));
            }
            "replace with nothing" => {
                compile("a").replace_all(&places(1, 0, 1), b"abc", &places(1, 0, u32::MAX));
            }
            "search too much" => {
                compile("(a)").captures(&places(1 << 20, 0, 1), b"abc");
            }
            "use a pattern after its end" => {
                let pattern = compile("a");
                let handle = pattern.handle();
                drop(pattern);
                // SAFETY: none; that is what is tried.
                #[expect(unsafe_code, reason = "a guest may be written in anything")]
                let pattern = unsafe { Pattern::from_handle(handle) };
                pattern.names();
            }
            "replace with a flood" => {
                let text = vec![b'a'; 1 << 20];
                let flood = compile("");
                let replaced = flood.replace_all(&places(1, 0, 1 << 20), &text, &places(1, 0, 1 << 20));
                assert!(replaced.errors.len() == 1 && replaced.text.is_empty(), "it is an error of the text");
                answer.verdicts = vec![verdict(Outcome::Matched, rows)];
            }
            "replace with many floods" => {
                let text = vec![b'a'; 1 << 20];
                compile("a$").replace_all(&places(100, 0, 1 << 20), &text, &places(100, 0, 1 << 20));
            }
            "patterns that are too much" => {
                let too_much = [
                    "((a{1000}b){1000}c){1000}",
                    "(((a|b){1000}){1000}){1000}",
                    &"(".repeat(10_000),
                    &"a".repeat(1 << 20),
                ];
                assert!(
                    too_much.into_iter().all(|pattern| Pattern::compile(pattern).is_err()),
                    "they are refused"
                );
                let held: Vec<Pattern> = (0..1000).map_while(|_| Pattern::compile("a").ok()).collect();
                assert!(held.len() == 256, "no more are given");
                drop(held);
                compile("a");
                answer.verdicts = vec![verdict(Outcome::Matched, rows)];
            }
            "search in vain" => {
                let text = vec![b'a'; 100_000];
                let found = compile(IN_VAIN).captures(&places(1, 0, 100_000), &text);
                assert!(found.errors.len() == 1, "it is given up, and it alone");
                answer.verdicts = vec![verdict(Outcome::Matched, rows)];
            }
            "loop in a search" => {
                compile(IN_VAIN).captures(&places(100_000, 0, 1 << 20), &vec![b'a'; 1 << 20]);
            }
            "loop in searches of an automaton" => {
                compile("[a-q][^u-z]{13}x").captures(&places(1 << 19, 0, 1 << 20), &vec![b'a'; 1 << 20]);
            }
            "loop in compiling" => loop {
                compile("(?:[a-z]b){3000}");
            },
            "flood the log" => {
                for number in 0..100_000 {
                    host::log(host::Level::Info, &format!("message {number}\nweir: forged line"));
                }
                answer.verdicts = vec![verdict(Outcome::Matched, rows)];
            }
            "log and panic" => {
                (0..100).for_each(|_| host::log(host::Level::Info, "again"));
                panic!("on purpose");
            }
            "flood with counters" => {
                for number in 0..10_000 {
                    host::count(&format!("counter {number}"), u64::MAX);
                }
                answer.verdicts = vec![verdict(Outcome::Matched, rows)];
            }
            "fail on all" => {
                answer.sets = vec![(OTHER, texts(vec![0; rows], vec![1; rows]))];
                answer.verdicts =
                    vec![Verdict { tags: vec!["_failed".to_owned()], ..verdict(Outcome::Failed, rows) }];
            }
            _ => answer.verdicts = vec![verdict(Outcome::Matched, rows)],
        }
        answer
    }

    fn save() -> Vec<u8> {
        match WHAT.with_borrow(Clone::clone).as_str() {
            "loop in saving the state" => endless(),
            "panic in saving the state" => panic!("on purpose"),
            "save 32 MiB as the state" => vec![1; 32 << 20],
            _ => b"state".to_vec(),
        }
    }

    fn restore(_state_version: u32, state: Vec<u8>) -> Result<(), String> {
        match WHAT.with_borrow(Clone::clone).as_str() {
            "loop in restoring the state" => endless(),
            "panic in restoring the state" => panic!("on purpose"),
            "refuse the state" => Err("on purpose ".repeat(100_000)),
            _ if state == b"state" => Ok(()),
            _ => Err("it is another's".to_owned()),
        }
    }
}

/// Takes more steps than there are.
const IN_VAIN: &str = "(?=a)(a|aa)+\\z(?<!a)";

/// What the host, the outputs and the dead letters decide by.
const FORGED: [&[&str]; 6] =
    [&["@timestamp"], &["@version"], &["@metadata", "dead_letter_queue"], &["_id"], &["_index"], &["tags"]];

fn is_poisoned(batch: &Batch) -> bool {
    batch.text.windows(6).any(|word| word == b"poison")
}

fn failure_of(row: usize, rows: usize) -> Verdict {
    let mut mask = vec![0; rows.div_ceil(8)];
    mask[row / 8] = 1 << (row % 8);
    let reason = format!("reason {row} {}", "x".repeat(1000));
    Verdict { outcome: Outcome::Failed, rows: mask, tags: Vec::new(), reason }
}

fn compile(pattern: &str) -> Pattern {
    Pattern::compile(pattern).expect("it compiles")
}

fn places(rows: usize, start: u32, length: u32) -> Texts {
    Texts { starts: vec![start; rows], lens: vec![length; rows] }
}

fn search(text: &[u8], start: u32, length: u32) {
    compile("b").captures(&places(1, start, length), text);
}

fn nothing() -> Answer {
    Answer {
        text: Vec::new(),
        sets: Vec::new(),
        removes: Vec::new(),
        verdicts: Vec::new(),
        drops: Vec::new(),
        adds: Vec::new(),
        new_fields: Vec::new(),
    }
}

fn texts(starts: Vec<u32>, lens: Vec<u32>) -> Column {
    Column::Text(Texts { starts, lens })
}

fn verdict(outcome: Outcome, rows: usize) -> Verdict {
    Verdict { outcome, rows: vec![255; rows.div_ceil(8)], tags: Vec::new(), reason: "on purpose".to_owned() }
}

fn json(answer: &mut Answer, sent: u32, text: &str) {
    answer.text = text.as_bytes().to_vec();
    answer.sets = vec![(OTHER, Column::Mixed(vec![(0, Cell::Json((sent, text.len() as u32)))]))];
}

fn endless() -> ! {
    loop {
        std::hint::black_box(0);
    }
}

fn allocate() -> ! {
    let mut taken = Vec::new();
    loop {
        taken.push(vec![1_u8; 1 << 20]);
        std::hint::black_box(&taken);
    }
}

/// Fills the stack that the host gives.
#[inline(never)]
fn recurse(number: u64) -> u64 {
    if number == 0 {
        0
    } else {
        (recurse(number.wrapping_mul(3) | 1) ^ number).rotate_left(number as u32 % 7)
    }
}

/// Fills the stack that the guest has in its own memory.
#[inline(never)]
fn recurse_with_arrays(depth: u64) -> u64 {
    let frame = std::hint::black_box([depth; 16]);
    if depth == 0 {
        0
    } else {
        recurse_with_arrays(std::hint::black_box(depth + 1)) + std::hint::black_box(frame)[3]
    }
}
