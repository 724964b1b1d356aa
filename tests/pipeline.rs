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
