//! `weir test` as an author runs it: every form of a case, what is printed, and what it writes. The guest is
//! tests/guests/marking, which marks events, counts them over swaps, and breaks when it is told to.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::LazyLock;

use serde_json::Value as Json;
use tempfile::TempDir;
use weir::config::with_cases;

#[path = "../host/build/guests.rs"]
mod guests;

static MARKING: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the host lies in the workspace");
    let temporary = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let target = temporary.parent().expect("the folder for tests lies in the target folder");
    let built = guests::build(workspace, "tests/guests", target).expect("the guests are built");
    let marking = built.into_iter().find(|guest| guest.name == "marking").expect("it is among the guests");
    fs::read(marking.module).expect("the module can be read")
});

/// A folder `marking` with the component and a file of cases.
struct Project {
    folder: TempDir,
}

impl Project {
    fn new(cases: &str) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        fs::create_dir_all(folder.path().join("marking/cases")).expect("a folder");
        fs::write(folder.path().join("marking/marking.wasm"), &*MARKING).expect("a file");
        let project = Project { folder };
        fs::write(project.cases(), cases).expect("a file");
        project
    }

    fn cases(&self) -> PathBuf {
        self.folder.path().join("marking/cases/a.toml")
    }

    fn test(&self, arguments: &[&str]) -> (i32, String) {
        outcome(weir(self.folder.path()).arg("test").args(arguments))
    }
}

fn weir(folder: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_weir"));
    command.current_dir(folder).env("XDG_CACHE_HOME", env!("CARGO_TARGET_TMPDIR"));
    command.env_remove("WEIR_LOG").env_remove("NO_COLOR");
    command
}

/// The exit code, and all that was printed.
fn outcome(command: &mut Command) -> (i32, String) {
    let Output { status, stdout, stderr } = command.output().expect("the program can be started");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("the program writes UTF-8");
    (status.code().expect("it ends by itself"), text(stdout) + &text(stderr))
}

fn has_all(text: &str, parts: &[&str]) {
    for part in parts {
        assert!(text.contains(part), "{part:?} is not in\n{text}");
    }
}

const EVERY_FORM: &str = r#"
use = "../marking.wasm"

[[case]]
name = "state stays from batch to batch, and over a restart"
options.count = true
[[case.batches]]
input = [{ a = 1 }, { a = 2 }]
[[case.batches]]
input.a = 3
expect.fields = { number = 2, a = 3 }
[[case.batches]]
save_and_restore = true
input_file = "events.ndjson"
expect.events = [{ number = 3, a = 4 }, { number = 4, a = 5 }]

[[case]]
name = "a state that is not taken"
options = { count = true, refuse_state = true }
[[case.batches]]
input.a = 1
[[case.batches]]
save_and_restore = true
input.a = 1
expect.fields = { number = 1 }

[[case]]
name = "lines of a file"
input_file = "lines.log"
expect.events = [{ message = "one" }, { message = "two" }]

[[case]]
name = "it breaks off"
options = { break_after = "0" }
expect.breaks = "trap"

[[case]]
name = "it never ends"
options = { break_after = "0", misdeed = "loop", limits.deadline = "30ms" }
expect = { breaks = "deadline", dead_letters = 1 }

[[case]]
name = "where broken events go"
options = { break_after = "0", on_trap = "tag" }
expect = { breaks = "trap", tags = ["_filter_trap"] }

[[case]]
name = "where failed events go"
options = { break_after = "0", misdeed = "fail", on_error = "dead_letter" }
expect = { dead_letters = 1, failed = true }
"#;

#[test]
fn every_form_of_a_case_runs() {
    let project = Project::new(EVERY_FORM);
    let beside =
        |name: &str, text: &str| fs::write(project.cases().with_file_name(name), text).expect("a file");
    beside("events.ndjson", "{\"a\": 4}\n\n{\"a\": 5}\n");
    beside("lines.log", "one\ntwo\n");
    let (code, text) = project.test(&["."]);
    has_all(&text, &["FAILED  a state that is not taken", "batch 2: run", "6 passed, 1 failed"]);
    assert_eq!(code, 1, "{text}");
    let (code, text) = project.test(&[".", "--filter", "broken"]);
    has_all(&text, &["ok      where broken events go", "1 passed, 0 failed, 6 left out"]);
    assert_eq!(code, 0, "{text}");
    let (code, text) = project.test(&[".", "--filter", "no such name"]);
    has_all(&text, &["no case in . has \"no such name\" in its name"]);
    assert_eq!(code, 2, "{text}");
}

#[test]
fn what_is_expected_by_mistake_is_found() {
    let case = |lines: &str| {
        let project = Project::new(&format!("[[case]]\nname = \"n\"\n{lines}\n"));
        let (code, text) = project.test(&["."]);
        assert_eq!(code, 1, "{text}");
        text
    };
    has_all(
        &case("options.break_after = \"0\"\nexpect.dropped = true"),
        &["breaks\n", "expected  nothing", "found     \"trap\""],
    );
    has_all(&case("expect.breaks = \"trap\""), &["breaks\n", "expected  \"trap\""]);
    has_all(
        &case(
            "options = { break_after = \"0\", misdeed = \"fail\", on_error = \"dead_letter\" }\nexpect = {}",
        ),
        &["dead letters\n", "expected  0", "found     1 ("],
    );
    // The place of an option that the filter refuses.
    has_all(&case("options.misdeed = \"refuse\"\nexpect = {}"), &["it was told to refuse", "a.toml:3:19"]);
}

#[test]
fn databases_and_clocks_stand_in_the_case() {
    let folder = tempfile::tempdir().expect("a folder");
    let cases = folder.path().join("cases.toml");
    let text = r#"
use = "geoip"

[databases."test:city"]
networks."192.0.2.0/24" = { city.names.en = "Vienna", location = { latitude = 48.2, longitude = 16.4 } }
networks."192.0.2.128/25" = { city.names.en = "Graz", location = { latitude = 47.1, longitude = 15.4 } }

[[case]]
name = "the longer prefix holds"
options = { source = "ip", database = "test:city", fields = ["city_name"] }
input = [{ ip = "192.0.2.1" }, { ip = "192.0.2.200" }]
expect.events = [{ "[geoip][city_name]" = "Vienna" }, { "[geoip][city_name]" = "Graz" }]

[[case]]
name = "another kind, in the case itself"
databases."test:asn" = { type = "GeoLite2-ASN", networks."2001:db8::/32" = { autonomous_system_number = 64500 } }
options = { source = "ip", database = "test:asn" }
input.ip = "2001:db8::1"
expect.fields."[geoip][asn]" = 64500
"#;
    fs::write(&cases, text).expect("a file");
    let (code, text) = outcome(weir(folder.path()).args(["test", "cases.toml"]));
    has_all(&text, &["2 passed, 0 failed"]);
    assert_eq!(code, 0, "{text}");
    let text = "use = \"mutate\"\n[[case]]\nname = \"n\"\nclock = \"2026-01-01T00:00:05Z\"\noptions.add_field.t = \"%{+yyyy-MM-dd}\"\n\
                [[case.batches]]\nexpect.fields.t = \"2026-01-01\"\n[[case.batches]]\nclock = \"2027-01-01T00:00:05Z\"\n\
                expect.fields.t = \"2027-01-01\"\n";
    fs::write(&cases, text).expect("a file");
    let (code, text) = outcome(weir(folder.path()).args(["test", "cases.toml"]));
    assert_eq!(code, 0, "{text}");
}

#[test]
fn a_component_carries_its_cases() {
    let project = Project::new("");
    fs::remove_dir_all(project.folder.path().join("marking/cases")).expect("it was there");
    let wasm = project.folder.path().join("marking/marking.wasm");
    let (code, text) = project.test(&["marking/marking.wasm"]);
    has_all(&text, &["carries no cases"]);
    assert_eq!(code, 1, "{text}");
    let file = |name: &str, text: &str| (name.to_owned(), text.to_owned());
    let cases = "[[case]]\nname = \"inside\"\ninput_file = \"e.ndjson\"\nexpect.fields = { mark = \"mark-0000000000!\", a = 1 }\n";
    let files = [file("a.toml", cases), file("e.ndjson", "{\"a\": 1}\n")];
    fs::write(&wasm, with_cases(MARKING.clone(), &files).expect("cases that fit")).expect("a file");
    let (code, text) = project.test(&["marking/marking.wasm"]);
    has_all(&text, &["marking/marking.wasm:a.toml (marking/marking.wasm)", "ok      inside", "1 passed"]);
    assert_eq!(code, 0, "{text}");
    // Nothing but what it carries is read.
    let secret = project.folder.path().join("secret.ndjson");
    fs::write(&secret, "{\"a\": 1}\n").expect("a file");
    let cases =
        format!("[[case]]\nname = \"n\"\ninput_file = {:?}\nexpect = {{}}\n", secret.display().to_string());
    let module = with_cases(MARKING.clone(), &[file("a.toml", &cases)]).expect("cases that fit");
    fs::write(&wasm, module).expect("a file");
    let (code, text) = project.test(&["marking/marking.wasm"]);
    has_all(&text, &["the component does not carry", "a.toml:3:14"]);
    assert_eq!(code, 2, "{text}");
    let (code, text) = project.test(&["dissect"]);
    has_all(&text, &["dissect:dissect.toml (dissect)"]);
    assert_eq!(code, 0, "{text}");
}

#[test]
fn fuel_is_the_same_every_time() {
    let project = Project::new("[[case]]\nname = \"n\"\ninput = [{}, {}]\nexpect.events = [{}, {}]\n");
    let fuel = || {
        let (code, text) = project.test(&[".", "--fuel", "--format", "json"]);
        assert_eq!(code, 0, "{text}");
        let outcomes: Json = serde_json::from_str(&text).expect("JSON");
        outcomes[0]["fuel"].as_u64().expect("fuel")
    };
    let first = fuel();
    assert!(first > 100 && first == fuel(), "{first}");
    let (_, text) = project.test(&[".", "--fuel"]);
    has_all(&text, &[" fuel\n"]);
}

#[test]
fn differences_are_short_and_in_colour_where_asked() {
    let long = "x".repeat(3000);
    let cases = format!(
        "[[case]]\nname = \"n\"\ninput = {{ m = {{ a = 1, b = 2, c = \"{long}1\" }} }}\n\
         expect.fields.m = {{ a = 1, b = 3, c = \"{long}2\" }}\n"
    );
    let project = Project::new(&cases);
    let (_, text) = project.test(&["."]);
    has_all(&text, &["[m][b]\n", "expected  3\n", "found     2\n", "[m][c]\n", "…"]);
    assert!(!text.contains("[m][a]") && text.len() < 2000 && !text.contains('\u{1b}'), "{text}");
    let (_, text) = project.test(&[".", "--color", "always"]);
    has_all(&text, &["expected  \u{1b}[32m3\u{1b}[0m", "found     \u{1b}[31m2\u{1b}[0m"]);
}

#[test]
fn what_came_is_written_where_it_is_accepted() {
    let cases = "# The top.\nuse = \"../marking.wasm\"\n\n[[case]]\nname = \"right\"   # stays\nexpect.fields.mark = \"mark-0000000000!\"\n\n\
                 [[case]]\nname = \"wrong\"\noptions.count = true\nexpect.fields = { mark = \"x\", number = 0 } # why\n\n\
                 [[case]]\nname = \"batches\"\n[[case.batches]]\nexpect.fields.mark = \"mark-0000000000!\"\n[[case.batches]]\nexpect.dropped = true\n\n\
                 [[case]]\nname = \"new\"\ninput.a = 1\n";
    let project = Project::new(cases);
    let (code, text) = project.test(&["."]);
    has_all(&text, &["`expect` is missing"]);
    assert_eq!(code, 2, "{text}");
    let (code, text) = project.test(&[".", "--accept"]);
    has_all(&text, &["written wrong (line 9)", "written new (line 21)", "1 passed, 0 failed, 3 written"]);
    assert_eq!(code, 0, "{text}");
    let written = fs::read_to_string(project.cases()).expect("the file");
    let expected = cases
        .replace("mark = \"x\", number = 0", "mark = \"mark-0000000000!\", number = 0")
        .replace("expect.dropped = true", "expect.fields = { mark = \"mark-0000000000!\" }")
        .replace("input.a = 1\n", "input.a = 1\nexpect = { fields = { mark = \"mark-0000000000!\" } }\n");
    assert_eq!(written, expected);
    let (code, text) = project.test(&["."]);
    assert_eq!(code, 0, "{text}");
}

#[test]
fn options_that_no_case_sets_are_named() {
    let cases = "[[case]]\nname = \"n\"\noptions = { count = true, target = \"m\", break_after = \"9\" }\nexpect = {}\n";
    let project = Project::new(cases);
    let (code, text) = project.test(&[".", "--coverage"]);
    has_all(&text, &["cases set 3 of 5 options, none sets misdeed, refuse_state", "1 passed"]);
    assert_eq!(code, 0, "{text}");
    let (code, text) = project.test(&[".", "--coverage-required", "--format", "json"]);
    let report: Json = serde_json::from_str(&text).expect("JSON");
    assert_eq!(report["coverage"][0]["unused"], serde_json::json!(["misdeed", "refuse_state"]));
    assert_eq!(code, 1, "{text}");
}

#[test]
fn a_change_is_taken_up() {
    let case = |mark: &str| format!("[[case]]\nname = \"n\"\nexpect.fields.mark = \"{mark}\"\n");
    let project = Project::new(&case("mark-0000000000!"));
    let mut command = weir(project.folder.path());
    command.args(["test", "--watch", "marking/marking.wasm"]);
    let mut child =
        command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().expect("the program can be started");
    let mut lines = BufReader::new(child.stdout.take().expect("its output")).lines();
    let mut until = |end: &str| assert!(lines.any(|line| line.is_ok_and(|line| line == end)), "{end}");
    until("1 passed, 0 failed");
    fs::write(project.cases(), case("another")).expect("a file");
    until("0 passed, 1 failed");
    fs::write(project.cases(), "case = 1").expect("a file");
    until("0 passed, 0 failed");
    fs::write(project.cases(), case("mark-0000000000!")).expect("a file");
    until("1 passed, 0 failed");
    child.kill().expect("it runs");
    child.wait().expect("it ends");
}

const PIPELINE: &str = r#"
[input]
type = "stdin"
[[filter]]
use = "dissect"
mapping.message = "%{level} %{text}"
[[output]]
type = "elasticsearch"
hosts = ["${SERVER}"]
when = '[level] != "debug"'
index = "logs-%{level}-%{+yyyy}"
document_id = "%{text}"
[[output]]
type = "file"
when = '[level] == "debug"'
path = "debug-%{text}.ndjson"
"#;

const PIPELINE_TESTS: &str = r#"
variables.SERVER = "http://127.0.0.1:1"

[[case]]
name = "levels go their ways"
clock = "2026-01-01T00:00:00Z"
input = [{ message = "warn a" }, { message = "debug b" }, { message = "info c" }]
[[case.expect.outputs.elasticsearch]]
fields = { level = "warn" }
index = "logs-warn-2026"
document_id = "a"
action = "index"
[[case.expect.outputs.elasticsearch]]
index = "logs-info-2026"
tags = []
[[case.expect.outputs.file]]
path = "debug-b.ndjson"
absent = ["tags"]

[[case]]
name = "an index without a name"
input.message = "one"
expect = { dead_letters = 1, outputs = { elasticsearch = [], file = [] } }
"#;

#[test]
fn a_pipeline_has_tests_beside_it() {
    let folder = tempfile::tempdir().expect("a folder");
    let write = |name: &str, text: &str| fs::write(folder.path().join(name), text).expect("a file");
    write("p.toml", PIPELINE);
    let test = |arguments: &[&str]| outcome(weir(folder.path()).arg("test").args(arguments));
    let (code, text) = test(&["p.toml"]);
    has_all(&text, &["p.test.toml, which is not there"]);
    assert_eq!(code, 1, "{text}");
    write("p.test.toml", PIPELINE_TESTS);
    for path in ["p.toml", "p.test.toml", "."] {
        let (code, text) = test(&[path]);
        has_all(&text, &["2 passed, 0 failed"]);
        assert_eq!(code, 0, "{text}");
    }
    write(
        "p.test.toml",
        &PIPELINE_TESTS.replace("logs-info-2026", "logs-2026").replace("dead_letters = 1, ", ""),
    );
    let (code, text) = test(&["p.toml"]);
    has_all(
        &text,
        &[
            "output elasticsearch, event 1: index",
            "expected  \"logs-2026\"",
            "dead letters",
            "0 passed, 2 failed",
        ],
    );
    assert_eq!(code, 1, "{text}");
    let (code, text) = test(&["p.toml", "--accept"]);
    has_all(&text, &["0 passed, 0 failed, 2 written"]);
    assert_eq!(code, 0, "{text}");
    let written = fs::read_to_string(folder.path().join("p.test.toml")).expect("the file");
    has_all(&written, &["index = \"logs-info-2026\"", "dead_letters = 1"]);
    write("p.test.toml", &PIPELINE_TESTS.replace("outputs.file", "outputs.fil"));
    let (code, text) = test(&["p.toml"]);
    has_all(&text, &["the pipeline has no output \"fil\"", "did you mean `file`?", "p.test.toml:16"]);
    assert_eq!(code, 2, "{text}");
}

/// The pipelines of `config` are tested by what lies beside them.
#[test]
fn the_pipelines_of_the_project_pass_their_tests() {
    let repository = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the repository");
    let (code, text) = outcome(weir(repository).args(["test", "config"]));
    has_all(&text, &["config/branches.toml", "config/route53-cloudwatch-elasticsearch.toml", " 0 failed"]);
    assert_eq!(code, 0, "{text}");
}
