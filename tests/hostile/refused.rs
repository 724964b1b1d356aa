//! What never runs: guests that break when they are configured or lie in their plan, modules that are none or want more than
//! there is, and imports that nobody gets. Each is refused with its reason.

use super::modules::{HARMLESS, Parts};
use super::stage::{Seen, Stage, check_refused};
use super::trials::Trial;
use serde_json::json;
use weir::config::Component;

pub(crate) const REFUSED: &str = "refused at the start";

/// What a guest does when it is asked for its plan, and what is said of it.
const CONFIGURE: [(&str, &str); 12] = [
    ("panic in configure", "stopped itself"),
    ("loop in configure", "deadline"),
    ("allocate in configure", "memory"),
    ("plan no steps", "0 steps"),
    ("plan a million steps", "1000000 steps"),
    ("plan an empty path", "0 fragments"),
    ("plan a deep path", "10000 fragments"),
    ("plan a million fields", "fields"),
    ("plan a million tags", "1000000 failure tags"),
    ("plan a tag of a megabyte", "1 failure tags"),
    ("refuse without a word", "does not say why"),
    ("refuse with a word of a megabyte", "ööö"),
];

/// Modules that are WebAssembly, and what is said of them.
const MODULES: [(&str, Parts, &str); 23] = [
    ("break in its start function", Parts { declarations: "(func $s unreachable) (start $s)", ..HARMLESS }, "stopped itself"),
    ("loop in its start function", Parts { declarations: "(func $s (loop $l (br $l))) (start $s)", ..HARMLESS }, "deadline"),
    ("answer a plan from past its memory", Parts { configure: "(return (i32.const 0x7ffffff0))", ..HARMLESS }, "out of bounds"),
    (
        "answer what is neither plan nor problems",
        Parts { configure: "(i32.store8 (i32.const 256) (i32.const 7))", ..HARMLESS },
        "discriminant",
    ),
    (
        "plan a name that is not UTF-8",
        Parts { configure: "(i32.store16 (i32.const 600) (i32.const 0xfeff))", ..HARMLESS },
        "utf-8",
    ),
    (
        "plan fields past its memory",
        Parts { configure: "(i32.store (i32.const 264) (i32.const 0x7fffffff))", ..HARMLESS },
        "out of bounds",
    ),
    ("begin with four gigabytes", Parts { memory: r#"(memory (export "memory") 65536)"#, ..HARMLESS }, "bytes of memory"),
    ("begin with a table of ten million", Parts { declarations: "(table 10000000 funcref)", ..HARMLESS }, "bytes of memory"),
    (
        "begin with twenty memories",
        Parts {
            declarations: "(memory 1)(memory 1)(memory 1)(memory 1)(memory 1)(memory 1)(memory 1)(memory 1)(memory 1)
                (memory 1)(memory 1)(memory 1)(memory 1)(memory 1)(memory 1)(memory 1)(memory 1)(memory 1)(memory 1)",
            ..HARMLESS
        },
        "memor",
    ),
    ("fill its memory past the end", Parts { declarations: r#"(data (i32.const 131070) "abcdef")"#, ..HARMLESS }, "out of bounds"),
    ("want 64-bit memory", Parts { declarations: "(memory i64 1)", ..HARMLESS }, "not valid"),
    ("want shared memory", Parts { declarations: "(memory 1 1 shared)", ..HARMLESS }, "not valid"),
    (
        "want SIMD that differs between machines",
        Parts {
            declarations: "(func (param v128 v128 v128) (result v128)
                (f32x4.relaxed_madd (local.get 0) (local.get 1) (local.get 2)))",
            ..HARMLESS
        },
        "not valid",
    ),
    ("want exceptions", Parts { declarations: "(tag $t) (func (throw $t))", ..HARMLESS }, "not valid"),
    ("want structs on a heap", Parts { declarations: "(type (struct (field i32)))", ..HARMLESS }, "not valid"),
    (
        "want files",
        Parts {
            imports: r#"(import "wasi_snapshot_preview1" "path_open" (func (param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32)))"#,
            ..HARMLESS
        },
        "imports wasi_snapshot_preview1",
    ),
    (
        "want the network",
        Parts {
            imports: r#"(import "wasi:sockets/tcp@0.2.0" "[method]tcp-socket.start-connect" (func (param i32 i32 i32)))"#,
            ..HARMLESS
        },
        "imports wasi:sockets/tcp@0.2.0",
    ),
    (
        "want the machine's clock",
        Parts { imports: r#"(import "wasi:clocks/monotonic-clock@0.2.0" "now" (func (result i64)))"#, ..HARMLESS },
        "imports wasi:clocks/monotonic-clock@0.2.0",
    ),
    (
        "want the environment and the exit",
        Parts { imports: r#"(import "wasi:cli/exit@0.2.0" "exit" (func (param i32)))"#, ..HARMLESS },
        "imports wasi:cli/exit@0.2.0",
    ),
    ("want threads", Parts { imports: r#"(import "wasi" "thread-spawn" (func (param i32) (result i32)))"#, ..HARMLESS }, "imports wasi"),
    (
        "want a host of a version that there is not",
        Parts { imports: r#"(import "weir:filter/host@9.0.0" "now" (func (result i64)))"#, ..HARMLESS },
        "weir:filter/host@9.0.0",
    ),
    (
        "call the host by other types",
        Parts { imports: r#"(import "weir:filter/host@0.1.0" "count" (func (param f64)))"#, ..HARMLESS },
        "cannot be made a component",
    ),
    (
        "want a function that the host does not have",
        Parts { imports: r#"(import "weir:filter/host@0.1.0" "sleep" (func (param i64)))"#, ..HARMLESS },
        "cannot be made a component",
    ),
];

/// Bytes that are no filter, and what is said of them.
const BYTES: [(&str, &[u8], &str); 6] = [
    ("be an empty file", b"", "no WebAssembly"),
    ("be a script", b"#!/bin/sh\n", "no WebAssembly"),
    ("be an empty module", b"\0asm\x01\0\0\0", "exports nothing"),
    ("be an empty component", b"\0asm\x0d\0\x01\0", "exports nothing"),
    ("be a module that is cut off", b"\0asm\x01\0\0\0\xff\xff", "plain module"),
    ("be a component that is cut off", b"\0asm\x0d\0\x01\0\xff\xff", "not valid"),
];

pub(crate) fn all() -> Vec<Trial> {
    let mut trials = Vec::new();
    let mut add = |name: &str, run: Box<dyn Fn(&Stage) -> Seen + Send + Sync>| {
        trials.push(Trial { name: name.to_owned(), outcome: REFUSED, run });
    };
    for (what, expected) in CONFIGURE {
        add(what, Box::new(move |stage| check_refused(stage, &stage.hostile, what, expected)));
    }
    for (what, parts, expected) in MODULES {
        add(what, Box::new(move |stage| check_refused(stage, &stage.file(&parts.bytes()), "", expected)));
    }
    for (what, bytes, expected) in BYTES {
        add(what, Box::new(move |stage| check_refused(stage, &stage.file(bytes), "", expected)));
    }
    add(
        "be of another world",
        Box::new(|stage| {
            check_refused(stage, &stage.wishful, "", "imports weir:filter/tables@0.2.0, which this version")
        }),
    );
    add(
        "want a kernel that was not granted",
        Box::new(|stage| {
            let mut options = stage.options("", "", "drop");
            for (option, value) in [("source", "ip"), ("target", "geo"), ("database", "demo:addresses")] {
                options[option] = json!(value);
            }
            let problems = stage.line(&stage.engine, &stage.geoip, &options).err().unwrap_or_default();
            assert_eq!(problems.len(), 1, "{problems:?}");
            let refused = "this component imports weir:filter/addresses, which it was not granted";
            assert_eq!(problems[0].message, refused);
            options["grants"] = json!(["addresses"]);
            assert!(stage.line(&stage.engine, &stage.geoip, &options).is_ok());
            Seen::default()
        }),
    );
    add(
        "break when it is asked what it is",
        Box::new(|stage| {
            let module = Parts { describe: "unreachable", ..HARMLESS };
            check_undescribed(stage, &stage.file(&module.bytes()), "stopped itself")
        }),
    );
    add(
        "say of itself what is in no memory",
        Box::new(|stage| {
            let module = Parts { describe: "(i32.store (i32.const 132) (i32.const -1))", ..HARMLESS };
            check_undescribed(stage, &stage.file(&module.bytes()), "out of bounds")
        }),
    );
    add("be cut off anywhere", Box::new(cut_off_anywhere));
    add(
        "be a file longer than any filter",
        Box::new(|stage| {
            let component = stage.file(b"");
            let Component::File(path) = &component else { panic!("it is a file") };
            let file = std::fs::File::options().write(true).open(path).expect("the file is there");
            file.set_len((64 << 20) + 1).expect("the file can be made longer");
            check_refused(stage, &component, "", "too many for a filter")
        }),
    );
    trials
}

fn check_undescribed(stage: &Stage, component: &Component, expected: &str) -> Seen {
    let error = stage.engine.describe(component).expect_err("it breaks");
    let message = format!("{error:#}");
    assert!(message.contains(expected), "{message:?} does not hold {expected:?}");
    Seen::default()
}

/// A module that is cut off, wherever that is, is refused and nothing else.
fn cut_off_anywhere(stage: &Stage) -> Seen {
    let whole = HARMLESS.bytes();
    for length in (0..whole.len()).step_by(7) {
        let component = stage.file(&whole[..length]);
        let built = stage.line(&stage.engine, &component, &stage.options("", "", "drop"));
        let problems = built.err().unwrap_or_default();
        assert_eq!(problems.len(), 1, "cut off at {length}");
    }
    Seen::default()
}
