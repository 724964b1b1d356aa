//! Modules that are written by hand, for what no compiler of a language makes: pointers to nowhere, allocators that lie,
//! tables that grow. Each is a filter's whole core module with some parts in place of its own; only `process` knows the
//! culprit, all other parts do what they do for every batch.

/// The parts of a module, as WebAssembly text.
#[derive(Clone, Copy)]
pub(crate) struct Parts {
    /// Imports beside `$log` and `$now`.
    pub(crate) imports: &'static str,
    pub(crate) memory: &'static str,
    /// Tables, globals, functions and data.
    pub(crate) declarations: &'static str,
    /// Statements before what the function does else, once the module is configured.
    pub(crate) realloc: &'static str,
    pub(crate) describe: &'static str,
    pub(crate) configure: &'static str,
    /// Statements for a batch with the culprit in it. An answer that is made at 1024 is given by `(return (i32.const 1024))`.
    pub(crate) process: &'static str,
    /// Statements of the function that is called once the answer was taken from a batch with the culprit in it.
    pub(crate) after_process: &'static str,
}

/// A module that does nothing and does it well.
pub(crate) const HARMLESS: Parts = Parts {
    imports: "",
    memory: r#"(memory (export "memory") 2)"#,
    declarations: "",
    realloc: "",
    describe: "",
    configure: "",
    process: "",
    after_process: "",
};

/// The imports of the kernel `patterns` that are tried.
pub(crate) const PATTERNS: &str = r#"
    (import "weir:filter/patterns@0.1.0" "[static]pattern.compile" (func $compile (param i32 i32 i32)))
    (import "weir:filter/patterns@0.1.0" "[method]pattern.names" (func $names (param i32 i32)))
    (import "weir:filter/patterns@0.1.0" "[resource-drop]pattern" (func $drop_pattern (param i32)))"#;

impl Parts {
    /// The module as text. In its first page: an answer without edits at 64, the manifest at 128, the plan (it reads and
    /// writes `message`) at 256, and from 1024 on what a case puts there. What the host sends lies behind that page.
    pub(crate) fn text(&self) -> String {
        let Parts { imports, memory, declarations, realloc, describe, configure, process, after_process } =
            self;
        format!(
            r#"(module
  (import "weir:filter/host@0.1.0" "log" (func $log (param i32 i32 i32)))
  (import "weir:filter/host@0.1.0" "now" (func $now (result i64)))
  {imports}
  {memory}
  (global $heap (mut i32) (i32.const 65536))
  (global $culprit (mut i32) (i32.const 0))
  (global $configured (mut i32) (i32.const 0))
  (data (i32.const 256) "\00\00\00\00\00\02\00\00\01\00\00\00\00\00\00\00\01\00\00\00\00\00\00\00\00\00\00\00")
  (data (i32.const 512) "\30\02\00\00\01\00\00\00\03\00\00\00")
  (data (i32.const 560) "\58\02\00\00\07\00\00\00")
  (data (i32.const 600) "message")
  {declarations}
  (func $poisoned (param $text i32) (param $length i32) (result i32)
    (local $end i32)
    (if (i32.lt_u (local.get $length) (i32.const 4)) (then (return (i32.const 0))))
    (local.set $end (i32.add (local.get $text) (i32.sub (local.get $length) (i32.const 4))))
    (loop $next
      (if (i32.eq (i32.load align=1 (local.get $text)) (i32.const 0x73696f70)) (then (return (i32.const 1))))
      (local.set $text (i32.add (local.get $text) (i32.const 1)))
      (br_if $next (i32.le_u (local.get $text) (local.get $end))))
    (i32.const 0))
  (func (export "cabi_realloc") (param $old i32) (param $old_size i32) (param $align i32) (param $size i32) (result i32)
    (local $place i32)
    (if (global.get $configured) (then {realloc}))
    (local.set $place (i32.and
      (i32.add (global.get $heap) (i32.sub (local.get $align) (i32.const 1)))
      (i32.sub (i32.const 0) (local.get $align))))
    (global.set $heap (i32.add (local.get $place) (local.get $size)))
    (block $fits
      (loop $grow
        (br_if $fits (i32.le_u (global.get $heap) (i32.mul (memory.size) (i32.const 65536))))
        (br_if $grow (i32.ne (memory.grow (i32.const 16)) (i32.const -1)))
        unreachable))
    (local.get $place))
  (func (export "weir:filter/filter@0.1.0#describe") (result i32)
    {describe}
    (i32.const 128))
  (func (export "weir:filter/filter@0.1.0#configure") (param i32 i32 i32 i32 i32 i32 i32 i32 i32) (result i32)
    {configure}
    (global.set $configured (i32.const 1))
    (i32.const 256))
  (func (export "weir:filter/filter@0.1.0#process")
    (param $step i32) (param $rows i32) (param $text i32) (param $length i32) (param i32 i32 i32 i32) (result i32)
    (local $i i32)
    (global.set $culprit (call $poisoned (local.get $text) (local.get $length)))
    (if (global.get $culprit) (then {process}))
    (i32.const 64))
  (func (export "cabi_post_weir:filter/filter@0.1.0#process") (param i32)
    (if (global.get $culprit) (then {after_process}))
    (global.set $heap (i32.const 65536)))
  (func (export "weir:filter/filter@0.1.0#save") (result i32) (i32.const 64))
  (func (export "weir:filter/filter@0.1.0#restore") (param i32 i32 i32) (result i32) (i32.const 64)))
"#
        )
    }

    /// The module.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        wat::parse_str(self.text()).unwrap_or_else(|error| panic!("{error}"))
    }
}

/// What breaks a module on the culprit: what it does, the parts, the word under which the break is counted, and a part of
/// its reason.
pub(crate) const BREAKS: [(&str, Parts, &str, &str); 42] = [
    // Traps of every kind.
    ("stop itself", Parts { process: "unreachable", ..HARMLESS }, "trap", "stopped itself"),
    (
        "divide by zero",
        Parts { process: "(drop (i32.div_u (i32.const 1) (i32.const 0)))", ..HARMLESS },
        "trap",
        "divide by zero",
    ),
    (
        "divide what does not fit",
        Parts { process: "(drop (i32.div_s (i32.const 0x80000000) (i32.const -1)))", ..HARMLESS },
        "trap",
        "overflow",
    ),
    (
        "make an integer of what is no number",
        Parts { process: "(drop (i32.trunc_f32_s (f32.const nan)))", ..HARMLESS },
        "trap",
        "conversion",
    ),
    (
        "read past its memory",
        Parts { process: "(drop (i64.load (i32.const -1)))", ..HARMLESS },
        "trap",
        "out of bounds",
    ),
    (
        "write four gigabytes past its memory",
        Parts {
            process: "(i64.store offset=4294967295 (i32.const -1) (i64.const 1))",
            ..HARMLESS
        },
        "trap",
        "out of bounds",
    ),
    (
        "copy from past its memory",
        Parts {
            process: "(memory.copy (i32.const 0) (i32.const -16) (i32.const 1000))",
            ..HARMLESS
        },
        "trap",
        "out of bounds",
    ),
    (
        "call an empty place of a table",
        Parts {
            declarations: "(table $t 4 funcref) (type $f (func))",
            process: "(call_indirect $t (type $f) (i32.const 2))",
            ..HARMLESS
        },
        "trap",
        "uninitialized element",
    ),
    (
        "call past the end of a table",
        Parts {
            declarations: "(table $t 4 funcref) (type $f (func))",
            process: "(call_indirect $t (type $f) (i32.const -1))",
            ..HARMLESS
        },
        "trap",
        "undefined element",
    ),
    (
        "call a function by the type of another",
        Parts {
            declarations: "(table $t 1 funcref) (elem (table $t) (i32.const 0) func $poisoned) (type $f (func))",
            process: "(call_indirect $t (type $f) (i32.const 0))",
            ..HARMLESS
        },
        "trap",
        "type mismatch",
    ),
    (
        "break once the answer was taken",
        Parts { after_process: "unreachable", ..HARMLESS },
        "trap",
        "stopped itself",
    ),
    (
        "call the host once the answer was taken",
        Parts { after_process: "(drop (call $now))", ..HARMLESS },
        "trap",
        "cannot leave",
    ),
    // What does not end.
    ("loop on the spot", Parts { process: "(loop $l (br $l))", ..HARMLESS }, "deadline", "deadline"),
    (
        "loop by a table of branches",
        Parts { process: "(loop $l (br_table $l $l $l (i32.const 1)))", ..HARMLESS },
        "deadline",
        "deadline",
    ),
    (
        "call itself at the end, again and again",
        Parts {
            declarations: "(func $again (return_call $again))",
            process: "(call $again)",
            ..HARMLESS
        },
        "deadline",
        "deadline",
    ),
    (
        "ask the time again and again",
        Parts { process: "(loop $l (drop (call $now)) (br $l))", ..HARMLESS },
        "deadline",
        "deadline",
    ),
    (
        "fill 60 MiB again and again",
        Parts {
            process: "(drop (memory.grow (i32.const 958)))
                (loop $l (memory.fill (i32.const 0) (i32.const 7) (i32.const 62914560)) (br $l))",
            ..HARMLESS
        },
        "deadline",
        "deadline",
    ),
    (
        "call twice as often at each level",
        Parts {
            declarations: "(func $tree (param $depth i32)
                (if (local.get $depth) (then
                    (call $tree (i32.sub (local.get $depth) (i32.const 1)))
                    (call $tree (i32.sub (local.get $depth) (i32.const 1))))))",
            process: "(call $tree (i32.const 60))",
            ..HARMLESS
        },
        "deadline",
        "deadline",
    ),
    (
        "loop once the answer was taken",
        Parts { after_process: "(loop $l (br $l))", ..HARMLESS },
        "deadline",
        "deadline",
    ),
    // The stack.
    (
        "call itself without an end",
        Parts {
            declarations: "(func $deep (result i32) (i32.add (call $deep) (i32.const 1)))",
            process: "(drop (call $deep))",
            ..HARMLESS
        },
        "stack",
        "deeper",
    ),
    (
        "call itself through a table",
        Parts {
            declarations: "(table $t 1 funcref) (elem (table $t) (i32.const 0) func $deep) (type $f (func (result i32)))
                (func $deep (result i32) (i32.add (call_indirect $t (type $f) (i32.const 0)) (i32.const 1)))",
            process: "(drop (call $deep))",
            ..HARMLESS
        },
        "stack",
        "deeper",
    ),
    // Memory.
    (
        "grow its memory until that is refused",
        Parts {
            process: "(loop $l (br_if $l (i32.ne (memory.grow (i32.const 10)) (i32.const -1)))) unreachable",
            ..HARMLESS
        },
        "memory",
        "bytes of memory",
    ),
    (
        "grow its memory to four gigabytes",
        Parts {
            process: "(if (i32.eq (memory.grow (i32.const 65534)) (i32.const -1)) (then unreachable))",
            ..HARMLESS
        },
        "memory",
        "bytes of memory",
    ),
    (
        "grow a table until that is refused",
        Parts {
            declarations: "(table $t 1 funcref)",
            process: "(loop $l
                (br_if $l (i32.ne (table.grow $t (ref.null func) (i32.const 1000)) (i32.const -1)))) unreachable",
            ..HARMLESS
        },
        "memory",
        "bytes of memory",
    ),
    (
        "grow a table to four billion",
        Parts {
            declarations: "(table $t 1 funcref)",
            process: "(if (i32.eq (table.grow $t (ref.null func) (i32.const -2)) (i32.const -1)) (then unreachable))",
            ..HARMLESS
        },
        "memory",
        "bytes of memory",
    ),
    (
        "grow two memories by turns",
        Parts {
            declarations: "(memory $other 1)",
            process: "(loop $l
                (br_if $l (i32.ne (memory.grow (i32.const 10)) (i32.const -1)))
                (br_if $l (i32.ne (memory.grow $other (i32.const 10)) (i32.const -1)))) unreachable",
            ..HARMLESS
        },
        "memory",
        "bytes of memory",
    ),
    // Answers that lie about where they are.
    (
        "answer from past its memory",
        Parts { process: "(return (i32.const 0x7ffffff0))", ..HARMLESS },
        "trap",
        "out of bounds",
    ),
    ("answer from an odd place", Parts { process: "(return (i32.const 65))", ..HARMLESS }, "trap", "align"),
    (
        "answer a text longer than its memory",
        Parts { process: "(i32.store (i32.const 1028) (i32.const -1)) (return (i32.const 1024))", ..HARMLESS },
        "trap",
        "out of bounds",
    ),
    (
        "answer a list whose length wraps around",
        Parts {
            process: "(i32.store (i32.const 1036) (i32.const 0x24924925)) (return (i32.const 1024))",
            ..HARMLESS
        },
        "trap",
        "out of bounds",
    ),
    (
        "answer a column of a kind that there is not",
        Parts {
            process: "(i32.store (i32.const 1032) (i32.const 2048)) (i32.store (i32.const 1036) (i32.const 1))
                (i32.store8 (i32.const 2052) (i32.const 99)) (return (i32.const 1024))",
            ..HARMLESS
        },
        "trap",
        "discriminant",
    ),
    (
        "answer an outcome that there is not",
        Parts {
            process: "(i32.store (i32.const 1048) (i32.const 2048)) (i32.store (i32.const 1052) (i32.const 1))
                (i32.store8 (i32.const 2048) (i32.const 77)) (return (i32.const 1024))",
            ..HARMLESS
        },
        "trap",
        "discriminant",
    ),
    (
        "answer a reason that is not UTF-8",
        Parts {
            process: "(i32.store (i32.const 1048) (i32.const 2048)) (i32.store (i32.const 1052) (i32.const 1))
                (i32.store (i32.const 2068) (i32.const 3000)) (i32.store (i32.const 2072) (i32.const 2))
                (i32.store16 (i32.const 3000) (i32.const 0xfeff)) (return (i32.const 1024))",
            ..HARMLESS
        },
        "trap",
        "utf-8",
    ),
    (
        "answer the same megabyte a hundred thousand times",
        Parts {
            // The list lies from 128 KiB on, the megabyte of zeros from 3 MiB on.
            process: "(drop (memory.grow (i32.const 80)))
                (i32.store (i32.const 1048) (i32.const 131072)) (i32.store (i32.const 1052) (i32.const 100000))
                (loop $l
                    (i32.store offset=131092 (local.get $i) (i32.const 3145728))
                    (i32.store offset=131096 (local.get $i) (i32.const 1048576))
                    (local.set $i (i32.add (local.get $i) (i32.const 28)))
                    (br_if $l (i32.lt_u (local.get $i) (i32.const 2800000))))
                (return (i32.const 1024))",
            ..HARMLESS
        },
        "output",
        "than its memory holds",
    ),
    (
        "answer a billion new names without letters",
        Parts {
            process: "(i32.store (i32.const 1072) (i32.const 0)) (i32.store (i32.const 1076) (i32.const 0x10000000))
                (return (i32.const 1024))",
            ..HARMLESS
        },
        "trap",
        "out of bounds",
    ),
    // Calls of the host that lie.
    (
        "log from past its memory",
        Parts { process: "(call $log (i32.const 1) (i32.const -16) (i32.const 100))", ..HARMLESS },
        "trap",
        "out of bounds",
    ),
    (
        "log four gigabytes",
        Parts { process: "(call $log (i32.const 1) (i32.const 0) (i32.const -1))", ..HARMLESS },
        "trap",
        "out of bounds",
    ),
    (
        "log at a level that there is not",
        Parts { process: "(call $log (i32.const 99) (i32.const 600) (i32.const 7))", ..HARMLESS },
        "trap",
        "discriminant",
    ),
    (
        "log what is not UTF-8",
        Parts {
            process: "(i32.store16 (i32.const 3000) (i32.const 0xfeff))
                (call $log (i32.const 1) (i32.const 3000) (i32.const 2))",
            ..HARMLESS
        },
        "trap",
        "utf-8",
    ),
    (
        "drop a pattern twice",
        Parts {
            imports: PATTERNS,
            process: "(call $compile (i32.const 600) (i32.const 7) (i32.const 3000))
                (call $drop_pattern (i32.load (i32.const 3004))) (call $drop_pattern (i32.load (i32.const 3004)))",
            ..HARMLESS
        },
        "trap",
        "handle",
    ),
    (
        "drop a pattern that never was",
        Parts { imports: PATTERNS, process: "(call $drop_pattern (i32.const 12345))", ..HARMLESS },
        "trap",
        "handle",
    ),
    (
        "ask a pattern that never was",
        Parts { imports: PATTERNS, process: "(call $names (i32.const -1) (i32.const 3000))", ..HARMLESS },
        "trap",
        "handle",
    ),
];

/// What an allocator does to every batch, so that no event goes through.
pub(crate) const ALLOCATORS: [(&str, &str, &str, &str); 5] = [
    ("give places past its memory", "(return (i32.const 0x7ffffff0))", "trap", "end of memory"),
    ("give odd places", "(return (i32.or (global.get $heap) (i32.const 1)))", "trap", "align"),
    ("stop itself when it is asked for memory", "unreachable", "trap", "stopped itself"),
    ("loop when it is asked for memory", "(loop $l (br $l))", "deadline", "deadline"),
    ("call the host when it is asked for memory", "(drop (call $now))", "trap", "cannot leave"),
];
