//! The line as a whole, through the real program: the order of events, and which of them go where.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value as Json;

/// Runs a pipeline file in a folder of its own, with compiled filters kept for all tests.
fn run(folder: &Path, pipeline: &str) -> Output {
    let file = folder.join("pipeline.toml");
    fs::write(&file, pipeline).expect("the folder can be written");
    let mut command = Command::new(env!("CARGO_BIN_EXE_weir"));
    command.env("XDG_CACHE_HOME", env!("CARGO_TARGET_TMPDIR")).env_remove("WEIR_LOG");
    let output = command.arg("run").arg(file).output().expect("the program can be started");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    output
}

fn messages(file: &Path) -> Vec<String> {
    let text = fs::read_to_string(file).unwrap_or_default();
    let message = |line: &str| -> String {
        let document: Json = serde_json::from_str(line).expect("a line is a document");
        document["message"].as_str().expect("it has a message").to_owned()
    };
    text.lines().map(message).collect()
}

#[test]
fn events_keep_their_order_over_batches_and_workers() {
    let folder = tempfile::tempdir().expect("a folder");
    let lines: Vec<String> = (0..5000).map(|number| format!("line {number}")).collect();
    fs::write(folder.path().join("in.log"), lines.join("\n")).expect("the folder can be written");
    let pipeline = "
        [pipeline]
        batch_size = 7
        workers = 4
        [input]
        type = 'file'
        path = 'in.log'
        [[filter]]
        use = 'dissect'
        mapping.message = '%{word} %{number}'
        [output]
        type = 'file'
        path = 'out.ndjson'
    ";
    run(folder.path(), pipeline);
    assert!(messages(&folder.path().join("out.ndjson")) == lines, "all lines in their order");
}

#[test]
fn nested_branches_and_conditional_outputs() {
    let folder = tempfile::tempdir().expect("a folder");
    let lines = ["200 a", "200 b", "404 a", "404 b", "500 a", "none"];
    fs::write(folder.path().join("in.log"), lines.join("\n")).expect("the folder can be written");
    let pipeline = r#"
        [input]
        type = "file"
        path = "in.log"
        [[filter]]
        use = "dissect"
        mapping.message = "%{status} %{kind}"
        convert_datatype = { status = "int" }
        [[filter]]
        use = "branch"
        on_error = "dead_letter"
        [[filter.arm]]
        when = "[status] < 400"
        [[filter.arm]]
        when = "[status] < 500"
        [[filter.arm.filter]]
        use = "mutate"
        # The arm goes on with what no longer holds.
        replace = { status = "gone" }
        [[filter.arm.filter]]
        use = "branch"
        [[filter.arm.filter.arm]]
        when = "[kind] == 'a'"
        [[filter.arm.filter.arm.filter]]
        use = "mutate"
        add_tag = ["gone a"]
        [[filter.arm.filter.arm]]
        [[filter.arm.filter.arm.filter]]
        use = "mutate"
        add_tag = ["gone other"]
        [[filter.arm.filter]]
        use = "mutate"
        when = "[tags]"
        add_tag = ["client"]
        [[filter.arm]]
        [[filter.arm.filter]]
        use = "mutate"
        add_tag = ["server"]
        [[output]]
        type = "file"
        path = "client.ndjson"
        when = '"client" in [tags]'
        [[output]]
        type = "file"
        path = "all.ndjson"
        dead_letter = "aside"
        [[output]]
        type = "file"
        path = "tags.ndjson"
        when = "[tags][1]"
    "#;
    run(folder.path(), pipeline);
    let found = |name: &str| messages(&folder.path().join(name));
    assert_eq!(found("client.ndjson"), ["404 a", "404 b"]);
    assert_eq!(found("all.ndjson"), ["200 a", "200 b", "404 a", "404 b", "500 a"]);
    assert_eq!(found("tags.ndjson"), ["404 a", "404 b"]);
    let all = fs::read_to_string(folder.path().join("all.ndjson")).expect("it is there");
    let tags: Vec<Json> =
        all.lines().map(|line| serde_json::from_str::<Json>(line).expect("JSON")["tags"].clone()).collect();
    let expected =
        serde_json::json!([null, null, ["gone a", "client"], ["gone other", "client"], ["server"]]);
    assert_eq!(Json::from(tags), expected);
    let aside = fs::read_to_string(folder.path().join("aside/000000000001.ndjson")).expect("a dead letter");
    let letter: Json = serde_json::from_str(aside.trim_end()).expect("one");
    assert_eq!(
        (&letter["event"]["message"], &letter["plugin"]),
        (&Json::from("none"), &Json::from("branch"))
    );
    assert!(
        letter["reason"].as_str().is_some_and(|reason| reason.starts_with("condition evaluation error, "))
    );
}
