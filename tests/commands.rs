//! The commands as a user runs them: what they print, where, and their exit codes. `weir check` has `config.rs`.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::Value as Json;

/// The filters that ship with Weir.
const BUILT_IN: [&str; 6] = ["date", "dissect", "fingerprint", "geoip", "local-time", "mutate"];

/// The program, in the folder of this repository, with one cache of compiled filters for all tests.
fn weir() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_weir"));
    command.current_dir(repository()).env("XDG_CACHE_HOME", env!("CARGO_TARGET_TMPDIR"));
    command.env_remove("WEIR_LOG").env_remove("WEIR_LOGS").env_remove("COLUMNS");
    command
}

fn repository() -> PathBuf {
    let host = Path::new(env!("CARGO_MANIFEST_DIR"));
    host.parent().expect("the host's folder lies in the repository").to_path_buf()
}

fn run(command: &mut Command) -> Output {
    command.output().expect("the program can be started")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).expect("the program writes UTF-8")
}

fn documents(output: &Output) -> Vec<Json> {
    let lines = text(&output.stdout);
    lines.lines().map(|line| serde_json::from_str(line).expect("a line is a document")).collect()
}

#[test]
fn run_reads_files_to_stdout() {
    let output = run(weir().args(["run", "config/file-to-stdout.toml"]));
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let documents = documents(&output);
    assert_eq!(documents.len(), 3);
    assert_eq!(documents[0]["query_name"], "example.name");
    assert_eq!(documents[0]["@timestamp"], "2020-02-23T17:08:41.000Z");
    assert_eq!(documents[2]["resolver_ipaddress"], "2001:db8:4000::53");
    assert!(documents.iter().all(|document| document["timestamp"].is_null()));
}

#[test]
fn run_takes_several_pipelines() {
    let output = run(weir().args(["run", "config/file-to-stdout.toml", "config/route53-demo.toml"]));
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let documents = documents(&output);
    assert_eq!(documents.len(), 23);
    let enriched = documents.iter().filter(|document| document["type"] == "route53");
    assert_eq!(enriched.clone().count(), 20);
    assert!(enriched.filter(|document| document["src_geoip"]["country_code2"].is_string()).count() > 10);
}

#[test]
fn run_sends_events_where_conditions_say() {
    let folder = tempfile::tempdir().unwrap();
    let unknown = folder.path().join("unknown.ndjson");
    let output = run(weir().env("WEIR_UNKNOWN_NAMES", &unknown).args(["run", "config/branches.toml"]));
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let shown = documents(&output);
    let unknown = fs::read_to_string(unknown).unwrap();
    let unknown: Vec<Json> = unknown.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(shown.len() + unknown.len(), 20);
    assert!(!unknown.is_empty() && unknown.iter().all(|event| event["response_code"] == "NXDOMAIN"));
    assert!(
        shown.iter().all(|event| event["response_code"] != "NXDOMAIN"
            && !event["tags"].to_string().contains("unknown_name"))
    );
    assert!(shown.iter().any(|event| event["src_geoip"].is_object()));
    assert!(shown.iter().all(|event| event["problem"].is_null() == (event["response_code"] == "NOERROR")));
}

#[test]
fn run_says_what_keeps_a_pipeline_from_running() {
    let folder = tempfile::tempdir().unwrap();
    let pipeline = folder.path().join("pipeline.toml");
    fs::write(
        &pipeline,
        "[input]\ntype = \"file\"\npath = \"no-such-folder/*.log\"\n[output]\ntype = \"stdut\"\n",
    )
    .unwrap();
    let output = run(weir().arg("run").arg(&pipeline));
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output.stderr).contains("did you mean \"stdout\"?"), "{}", text(&output.stderr));
}

#[test]
fn demo_prints_documents_and_figures() {
    let first = run(weir().args(["demo", "--format", "json", "--count", "50"]));
    assert_eq!(first.status.code(), Some(0), "{}", text(&first.stderr));
    let events = documents(&first);
    assert_eq!(events.len(), 50);
    assert!(events.iter().all(|event| event["type"] == "route53" && event["query_name"].is_string()));
    assert!(events.iter().filter(|event| event["src_geoip"]["timezone"].is_string()).count() > 25);
    let figures = text(&first.stderr);
    assert!(figures.contains("50 events in ") && figures.contains(" events/s; dissect "), "{figures}");
    let again = run(weir().args(["demo", "--format", "json", "--count", "50"]));
    assert_eq!(text(&first.stdout), text(&again.stdout), "lines of the same seed are the same");
    let other = run(weir().args(["demo", "--format", "json", "--count", "50", "--seed", "1"]));
    assert_ne!(text(&first.stdout), text(&other.stdout));
}

#[test]
fn demo_prints_a_table_that_fits() {
    for columns in [80, 120] {
        let output = run(weir().arg("demo").env("COLUMNS", columns.to_string()));
        assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
        let table = text(&output.stdout);
        let longest = table.lines().map(|line| line.chars().count()).max();
        assert!(longest <= Some(columns), "{columns}: {longest:?}\n{table}");
        assert_eq!(table.lines().count(), 22, "two lines of headings and twenty events:\n{table}");
        assert!(table.starts_with("@timestamp"), "{table}");
    }
}

#[test]
fn a_reader_that_goes_away_ends_a_command_quietly() {
    let commands: [&[&str]; 2] = [
        &["demo", "--count", "300000", "--format", "json"],
        &["--log", "error", "run", "tests/config/valid/endless.toml"],
    ];
    for arguments in commands {
        let mut child = weir().args(arguments).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut first = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut first).unwrap();
        assert!(first.starts_with('{'), "{first}");
        let output = child.wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{arguments:?}: {}", text(&output.stderr));
        assert_eq!(text(&output.stderr), "", "{arguments:?}");
    }
}

#[test]
fn help_filter_lists_and_explains() {
    let list = text(&run(weir().arg("help-filter")).stdout);
    for name in BUILT_IN {
        assert!(list.lines().any(|line| line.starts_with(&format!("{name} "))), "{name}: {list}");
        let page = run(weir().args(["help-filter", name]));
        assert_eq!(page.status.code(), Some(0));
        assert!(text(&page.stdout).contains("Options"), "{}", text(&page.stdout));
    }
    let manifest = run(weir().args(["help-filter", "dissect", "--format", "json"]));
    let manifest: Json = serde_json::from_slice(&manifest.stdout).unwrap();
    assert!(manifest["options"]["properties"]["mapping"].is_object(), "{manifest:#}");
    let unknown = run(weir().args(["help-filter", "disect"]));
    assert_eq!(unknown.status.code(), Some(1));
    assert!(text(&unknown.stderr).contains("did you mean \"dissect\"?"), "{}", text(&unknown.stderr));
}

#[test]
fn test_shows_what_is_different() {
    let folder = tempfile::tempdir().unwrap();
    let cases = folder.path().join("mine/cases");
    fs::create_dir_all(&cases).unwrap();
    let file = "use = \"dissect\"\n\
        [[case]]\nname = \"right\"\noptions.mapping.message = \"%{a} %{b}\"\ninput.message = \"x y\"\n\
        expect.fields = { a = \"x\", \"[b]\" = \"y\" }\nexpect.absent = [\"c\"]\nexpect.tags = []\nexpect.failed = false\n\
        [[case]]\nname = \"wrong\"\noptions.mapping.message = \"%{a} %{b}\"\ninput.message = \"x y\"\n\
        expect.fields.a = \"z\"\nexpect.tags = [\"t\"]\n\
        [[case]]\nname = \"refused\"\noptions.maping = {}\nexpect.error = \"config\"\n";
    fs::write(cases.join("a.toml"), file).unwrap();
    let output = run(weir().arg("test").arg(folder.path()));
    let shown = text(&output.stdout);
    assert_eq!(output.status.code(), Some(1), "{shown}{}", text(&output.stderr));
    assert!(shown.contains("ok      right") && shown.contains("ok      refused"), "{shown}");
    assert!(shown.contains("FAILED  wrong (line 11)"), "{shown}");
    assert!(shown.contains("expected  \"z\"") && shown.contains("found     \"x\""), "{shown}");
    assert!(shown.ends_with("2 passed, 1 failed\n"), "{shown}");
    let output = run(weir().args(["test", "--format", "json"]).arg(cases.join("a.toml")));
    let outcomes: Json = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(outcomes[1]["ok"], false);
    assert_eq!(outcomes[1]["differences"].as_array().map(Vec::len), Some(2), "{outcomes:#}");
    let nothing = run(weir()
        .arg("test")
        .arg(folder.path().join("mine").join("cases").join("..").join(".."))
        .arg("wit"));
    assert_eq!(nothing.status.code(), Some(1));
    let nothing = run(weir().args(["test", "wit"]));
    assert_eq!(nothing.status.code(), Some(2), "a run without cases is a mistake");
}

#[test]
fn every_built_in_filter_has_cases_and_passes_them() {
    let output = run(weir().args(["test", "guest-filters", "--format", "json"]));
    let outcomes: Json = serde_json::from_slice(&output.stdout).expect("a list of outcomes");
    let outcomes = outcomes.as_array().expect("a list of outcomes");
    let failed: Vec<&Json> = outcomes.iter().filter(|outcome| outcome["ok"] == false).collect();
    assert!(failed.is_empty(), "{failed:#?}");
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    for name in BUILT_IN {
        assert!(outcomes.iter().any(|outcome| outcome["filter"] == name), "{name} has no cases");
    }
}
