//! Swaps through the real program: over its socket, by the file that it watches, by SIGHUP, and what a clean stop keeps.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value as Json, json};
use weir::control;

use crate::bench::{mark, version};

/// How long anything may take before a test gives up.
const PATIENCE: Duration = Duration::from_secs(120);

struct Program {
    child: Child,
    stdin: Option<ChildStdin>,
    folder: PathBuf,
    written: u64,
}

impl Program {
    fn start(folder: &Path, arguments: &[&str]) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_weir"));
        command.env("XDG_CACHE_HOME", env!("CARGO_TARGET_TMPDIR")).env_remove("WEIR_LOG");
        command.arg("run").args(arguments).arg(folder.join("pipeline.toml"));
        let log = std::fs::File::create(folder.join("log")).expect("the folder can be written");
        let mut child =
            command.stdin(Stdio::piped()).stderr(log).spawn().expect("the program can be started");
        let stdin = child.stdin.take();
        let program = Program { child, stdin, folder: folder.to_path_buf(), written: 0 };
        program.wait_for(|program| program.status().is_some());
        program
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.folder.join("log")).unwrap_or_default()
    }

    fn wait_for(&self, holds: impl Fn(&Program) -> bool) {
        let started = Instant::now();
        while !holds(self) {
            assert!(started.elapsed() < PATIENCE, "{:#}\n{}", self.status().unwrap_or_default(), self.log());
            std::thread::yield_now();
        }
    }

    fn status(&self) -> Option<Json> {
        control::ask(&self.folder.join("state"), "status").ok().flatten()
    }

    /// Writes events, whose messages are their numbers.
    fn write(&mut self, events: u64) {
        let lines: String =
            (self.written..self.written + events).map(|number| format!("{number}\n")).collect();
        self.stdin.as_mut().expect("it is open").write_all(lines.as_bytes()).expect("the program reads");
        self.written += events;
    }

    fn swap(&self, component: &Path, shadow: usize) -> Result<Json, String> {
        let swap = json!({ "filter": "mark", "component": component, "shadow": shadow });
        let request = json!({ "request": "swap", "swap": swap });
        let answer = control::ask_for_change(&self.folder.join("state"), &request, &mut |_| {});
        answer.map(|answer| answer.expect("it runs")).map_err(|error| format!("{error:#}"))
    }

    /// Closes the input, waits for the end and answers all events that came out.
    fn end(mut self) -> Vec<Json> {
        drop(self.stdin.take());
        let ended = self.child.wait().expect("it ends");
        assert!(ended.success(), "{}", self.log());
        let text = std::fs::read_to_string(self.folder.join("out.ndjson")).expect("there is output");
        text.lines().map(|line| serde_json::from_str(line).expect("a line is a document")).collect()
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn pipeline(filters: &str) -> String {
    format!(
        "[pipeline]\nstate_dir = \"state\"\nbatch_size = 16\nbatch_delay = \"1ms\"\nworkers = 2\n[input]\ntype = \"stdin\"\n\
         [output]\ntype = \"file\"\npath = \"out.ndjson\"\n{filters}"
    )
}

fn filter(component: &Path, options: &str) -> String {
    format!("[[filter]]\nuse = \"{}\"\nid = \"mark\"\n{options}\n", component.display())
}

fn write(folder: &Path, text: &str) {
    // As an editor does it: whole, under the name at once.
    std::fs::write(folder.join("new"), text).expect("the folder can be written");
    std::fs::rename(folder.join("new"), folder.join("pipeline.toml")).expect("the folder can be written");
}

/// Every event once, in order, with a mark of one of the versions.
fn check(events: &[Json], written: u64, versions: u64) -> u64 {
    assert_eq!(events.len() as u64, written);
    let marks: Vec<String> = (0..=versions).map(mark).collect();
    let mut changes = 0;
    for (number, pair) in events.windows(2).enumerate() {
        assert_eq!(pair[0]["message"], number.to_string(), "in order, none lost, none doubled");
        assert!(marks.iter().any(|mark| pair[0]["mark"] == mark.as_str()), "{}", pair[0]);
        changes += u64::from(pair[0]["mark"] != pair[1]["mark"]);
    }
    changes
}

#[test]
fn hundreds_of_swaps_over_the_socket() {
    let folder = tempfile::tempdir().expect("a folder");
    let paths = [version(folder.path(), 0, None), version(folder.path(), 1, None)];
    write(folder.path(), &pipeline(&filter(&paths[0], "")));
    let mut program = Program::start(folder.path(), &[]);
    let swaps = 200;
    for number in 1..=swaps {
        program.write(100);
        // No more than that is ahead of the swap, or all would be read under the last version.
        let before = program.written - 100;
        let delivered = |status: Json| status["events"]["delivered"].as_u64().unwrap_or(0);
        program.wait_for(|program| program.status().is_some_and(|status| delivered(status) >= before));
        let outcome = program.swap(&paths[number % 2], 0).expect("it is good");
        assert!(
            outcome["done"].as_str().is_some_and(|done| done.starts_with("mark is version")),
            "{outcome}"
        );
        let status = program.status().expect("it runs");
        assert_eq!(status["events"]["balanced"], true, "{status:#}");
    }
    program.write(100);
    let status = program.status().expect("it runs");
    assert_eq!((&status["swaps"]["swaps"], &status["swaps"]["returns"]), (&json!(swaps), &json!(0)));
    assert_eq!(status["filters"][0]["use"], paths[0].display().to_string());
    let refused = program.swap(&folder.path().join("none.wasm"), 0).expect_err("there is no such file");
    assert!(refused.contains("none.wasm"), "{refused}");
    let written = program.written;
    let changes = check(&program.end(), written, 1);
    println!("{swaps} swaps over the socket: {written} events, {changes} changes of version among them");
    assert!(changes > swaps as u64 / 4, "{changes}");
}

#[test]
fn the_command_swaps_and_goes_back() {
    let folder = tempfile::tempdir().expect("a folder");
    let paths = [version(folder.path(), 0, None), version(folder.path(), 1, None)];
    write(folder.path(), &pipeline(&filter(&paths[0], "")));
    let mut program = Program::start(folder.path(), &[]);
    program.write(20);
    program.wait_for(|program| program.status().is_some_and(|status| status["events"]["delivered"] == 20));
    let weir = |arguments: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_weir"));
        let output =
            command.arg("swap").args(arguments).current_dir(folder.path()).output().expect("it starts");
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        (output.status.code(), text, String::from_utf8_lossy(&output.stderr).into_owned())
    };
    let (code, text, progress) = weir(&["pipeline.toml", "mark", "v1.wasm"]);
    assert_eq!(code, Some(0), "{text}{progress}");
    for expected in [
        "swapped: mark is version 0.1.0 (",
        "events in 1 batches (kept from before) come out otherwise",
        "- \"mark-0000000000!\"",
        "+ \"mark-0000000001!\"",
    ] {
        assert!(text.contains(expected), "{expected:?} is not in\n{text}");
    }
    assert!(progress.contains("running beside the line, on 8 batches"), "{progress}");
    program.write(20);
    program.wait_for(|program| program.status().is_some_and(|status| status["events"]["delivered"] == 40));
    let (code, text, _) = weir(&["--back", "pipeline.toml", "--format", "json"]);
    assert_eq!(code, Some(0), "{text}");
    let outcome: Json = serde_json::from_str(&text).expect("JSON");
    assert_eq!(outcome["changed"][0]["id"], "mark");
    let (code, _, error) = weir(&["pipeline.toml", "marks", "v1.wasm"]);
    assert_eq!(code, Some(1));
    assert!(error.contains("there is no filter \"marks\"; did you mean \"mark\"?"), "{error}");
    program.write(20);
    let written = program.written;
    let events = program.end();
    assert_eq!(check(&events, written, 1), 2);
    assert_eq!(weir(&["pipeline.toml", "mark", "v1.wasm"]).0, Some(1), "nothing runs any more");
}

#[test]
fn the_watched_file_is_taken_up() {
    let folder = tempfile::tempdir().expect("a folder");
    let paths = [version(folder.path(), 0, None), version(folder.path(), 1, None)];
    let options = "swap.shadow = 0\n";
    let whole = |filters: &str| pipeline(filters).replace("[pipeline]\n", &format!("[pipeline]\n{options}"));
    write(folder.path(), &whole(&filter(&paths[0], "")));
    let mut program = Program::start(folder.path(), &["--watch"]);
    let (swaps, refused) = (
        |program: &Program| {
            program.status().map_or(0, |status| status["swaps"]["swaps"].as_u64().unwrap_or(0))
        },
        |program: &Program| {
            program.status().map_or(0, |status| status["swaps"]["refused"].as_u64().unwrap_or(0))
        },
    );
    program.write(20);
    program.wait_for(|program| program.status().is_some_and(|status| status["events"]["delivered"] == 20));
    // A filter more, of another order, in a branch.
    let more = "[[filter]]\nuse = \"mutate\"\nid = \"more\"\nadd_field = { more = \"yes\" }\n\
                [[filter]]\nuse = \"branch\"\n[[filter.arm]]\nwhen = '[more]'\n[[filter.arm.filter]]\nuse = \"mutate\"\nid = \"deep\"\nadd_tag = [\"deep\"]\n";
    write(folder.path(), &whole(&format!("{more}{}", filter(&paths[1], ""))));
    program.wait_for(|program| swaps(program) == 1);
    program.write(20);
    program.wait_for(|program| program.status().is_some_and(|status| status["events"]["delivered"] == 40));
    let ids = |program: &Program| {
        let status = program.status().expect("it runs");
        let filters = status["filters"].as_array().cloned().unwrap_or_default();
        filters.iter().map(|filter| filter["id"].as_str().unwrap_or_default().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(ids(&program), ["more", "deep", "mark"]);
    // What is wrong changes nothing, and neither does what needs a restart.
    write(folder.path(), &whole(&filter(&paths[1], "nonsense = 1")));
    program.wait_for(|program| refused(program) == 1);
    write(folder.path(), &whole(&filter(&paths[1], "")).replace("out.ndjson", "other.ndjson"));
    program.wait_for(|program| refused(program) == 2);
    let status = program.status().expect("it runs");
    let text = status["swaps"]["last"]["text"].as_str().unwrap_or_default().to_owned();
    assert!(text.contains("[output] changed, which needs a restart"), "{text}");
    assert_eq!(ids(&program), ["more", "deep", "mark"]);
    // The component itself, under the same name, cut off first.
    write(folder.path(), &whole(&filter(&paths[1], "")));
    program.wait_for(|program| swaps(program) == 2);
    let new = std::fs::read(version(folder.path(), 2, None)).expect("it was written");
    std::fs::write(&paths[1], &new[..1000]).expect("the folder can be written");
    program.wait_for(|program| refused(program) == 3);
    std::fs::write(&paths[1], &new).expect("the folder can be written");
    program.wait_for(|program| swaps(program) == 3);
    program.write(20);
    let written = program.written;
    let events = program.end();
    assert_eq!(check(&events, written, 2), 2);
    assert_eq!(events[30]["more"], "yes");
    assert_eq!(events[30]["tags"], json!(["deep"]));
    assert!(events[0].get("more").is_none() && events[50].get("more").is_none());
    assert_eq!(events[50]["mark"], mark(2));
}

#[test]
fn sighup_reads_the_file_and_a_counter_outlives_a_clean_stop() {
    let folder = tempfile::tempdir().expect("a folder");
    let paths = [version(folder.path(), 0, None), version(folder.path(), 1, None)];
    write(folder.path(), &pipeline(&filter(&paths[0], "count = true")));
    let mut program = Program::start(folder.path(), &[]);
    program.write(20);
    program.wait_for(|program| program.status().is_some_and(|status| status["events"]["delivered"] == 20));
    write(folder.path(), &pipeline(&filter(&paths[1], "count = true")));
    let kill = Command::new("kill").args(["-HUP", &program.child.id().to_string()]).status();
    assert!(kill.expect("there is a kill").success());
    program.wait_for(|program| program.status().is_some_and(|status| status["swaps"]["swaps"] == 1));
    program.write(20);
    let events = program.end();
    assert_eq!(check(&events, 40, 1), 1);
    // Again and again: each run goes on where the last clean stop was.
    for run in 1..4 {
        let mut program = Program::start(folder.path(), &[]);
        program.write(10);
        drop(program.stdin.take());
        assert!(program.child.wait().expect("it ends").success(), "{}", program.log());
        drop(program);
        let text = std::fs::read_to_string(folder.path().join("out.ndjson")).expect("there is output");
        let numbers: Vec<u64> = text
            .lines()
            .map(|line| {
                serde_json::from_str::<Json>(line).expect("JSON")["number"].as_u64().expect("a number")
            })
            .collect();
        assert_eq!(numbers, (0..40 + 10 * run).collect::<Vec<_>>());
    }
}
