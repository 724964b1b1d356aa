//! Logstash's executed cases (tests/conformance), each a test with a name: those of filters through the compiled
//! components, those of conditions through the evaluator, those of the Elasticsearch output and the CloudWatch input
//! through these, with a server of their own. Prints a table by subject, and `N passed, N failed` in a line.
//!
//! `WEIR_CONFORMANCE=<dir>` runs the files of another folder instead. Arguments are parts of the names of tests to run;
//! `--exact` takes them whole, `--skip PART` leaves tests out, `--list` only lists them. What does not apply to Weir stands
//! in `not-applicable.txt` with its reason.

#[path = "conformance/cloudwatch.rs"]
mod cloudwatch;
#[path = "conformance/elasticsearch.rs"]
mod elasticsearch;
#[path = "conformance/filters.rs"]
mod filters;
#[path = "conformance/pipeline_file.rs"]
mod pipeline_file;
#[path = "conformance/read.rs"]
mod read;
#[path = "conformance/server.rs"]
mod server;

use std::collections::BTreeMap;
use std::io::Write;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::time::Duration;

use serde_json::Value as Json;
use weir::config::Component;
use weir::filter::{Compilation, Engine};

const SUBJECTS: [&str; 16] = [
    "dissect",
    "date",
    "mutate",
    "fingerprint",
    "geoip",
    "common-options",
    "field-reference",
    "sprintf",
    "conditional",
    "bulk",
    "bulk_split",
    "bulk_response",
    "backoff",
    "client",
    "config",
    "cloudwatch",
];

/// A case that takes longer hangs.
const LIMIT: Duration = Duration::from_secs(90);

/// How many cases may be left out.
const MOST_NOT_APPLICABLE: usize = 15;

/// A case to run.
struct Test {
    subject: &'static str,
    name: String,
    /// The case, or what is wrong with its line.
    case: Result<Json, String>,
    /// Why it need not pass.
    not_applicable: Option<String>,
}

/// What cases need.
#[derive(Clone)]
struct Equipment {
    engine: Engine,
    databases: PathBuf,
}

/// A subject's line of the table.
#[derive(Clone, Copy, Default)]
struct Count {
    passed: usize,
    failed: usize,
    skipped: usize,
}

fn main() -> ExitCode {
    match run() {
        Ok(code) => code,
        Err(error) => {
            eprintln!("conformance: {error}");
            println!("\n0 passed, 1 failed");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<ExitCode, String> {
    let arguments = Arguments::read();
    let places = read::Places::find();
    let tests = find_tests(&places, &arguments)?;
    if arguments.lists {
        let mut stdout = std::io::stdout().lock();
        for test in &tests {
            writeln!(stdout, "{}: test", test.name).map_err(|error| error.to_string())?;
        }
        return Ok(ExitCode::SUCCESS);
    }
    if tests.is_empty() && arguments.selects_all() {
        return Err(format!("there are no cases in {}", places.cases.display()));
    }
    let databases = tempfile::tempdir().map_err(|error| error.to_string())?;
    places.write_databases(databases.path())?;
    let cache = Path::new(env!("CARGO_TARGET_TMPDIR")).join("cache");
    let engine = Engine::new(Some(&cache), Compilation::Thorough).map_err(|error| format!("{error:#}"))?;
    // Compiled before the first case: no case's time has it in it.
    for name in Engine::built_in() {
        engine
            .describe(&Component::BuiltIn(name.to_owned()))
            .map_err(|error| format!("{name}: {error:#}"))?;
    }
    let equipment = Equipment { engine, databases: databases.path().to_path_buf() };
    let counts = run_all(tests, &equipment);
    print_table(&counts).map_err(|error| error.to_string())?;
    let failed = counts.values().any(|count| count.failed > 0);
    Ok(if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

/// What is to be run.
#[derive(Default)]
struct Arguments {
    wanted: Vec<String>,
    unwanted: Vec<String>,
    is_exact: bool,
    lists: bool,
}

impl Arguments {
    fn read() -> Self {
        let mut arguments = Arguments::default();
        let mut words = std::env::args().skip(1);
        while let Some(word) = words.next() {
            match word.as_str() {
                "--list" => arguments.lists = true,
                "--exact" => arguments.is_exact = true,
                "--skip" => arguments.unwanted.extend(words.next()),
                // What cargo's own harness knows, with a value.
                "--test-threads" | "--format" | "--color" | "--logfile" => drop(words.next()),
                _ if word.starts_with('-') => {}
                _ => arguments.wanted.push(word),
            }
        }
        arguments
    }

    fn selects_all(&self) -> bool {
        self.wanted.is_empty() && self.unwanted.is_empty()
    }

    fn select(&self, name: &str) -> bool {
        let named = |part: &String| if self.is_exact { name == part } else { name.contains(part.as_str()) };
        (self.wanted.is_empty() || self.wanted.iter().any(named)) && !self.unwanted.iter().any(named)
    }
}

fn find_tests(places: &read::Places, arguments: &Arguments) -> Result<Vec<Test>, String> {
    let mut not_applicable = places.left_out("not-applicable.txt")?;
    if not_applicable.len() > MOST_NOT_APPLICABLE {
        return Err(format!("more than {MOST_NOT_APPLICABLE} cases are said not to apply"));
    }
    let mut tests = Vec::new();
    for subject in SUBJECTS {
        for line in places.lines(subject)? {
            let id = line.case.as_ref().ok().and_then(|case| case["id"].as_str());
            let name = format!("{subject}::{}", id.unwrap_or(&line.place));
            let reason = id.and_then(|id| not_applicable.remove(id));
            if arguments.select(&name) {
                tests.push(Test { subject, name, case: line.case, not_applicable: reason });
            }
        }
    }
    Ok(tests)
}

/// Runs tests in a few threads and prints how each ends.
fn run_all(tests: Vec<Test>, equipment: &Equipment) -> BTreeMap<&'static str, Count> {
    let tests: Vec<Arc<Test>> = tests.into_iter().map(Arc::new).collect();
    let counts = Mutex::new(BTreeMap::new());
    let next = AtomicUsize::new(0);
    let work = || {
        while let Some(test) = tests.get(next.fetch_add(1, Ordering::Relaxed)) {
            let ended = run_limited(test.clone(), equipment.clone());
            let mut counts = counts.lock().unwrap_or_else(PoisonError::into_inner);
            let count: &mut Count = counts.entry(test.subject).or_default();
            match (ended, &test.not_applicable) {
                (Ok(()), None) => {
                    count.passed += 1;
                    println!("test {} ... ok", test.name);
                }
                (Ok(()), Some(_)) => {
                    count.passed += 1;
                    println!("test {} ... ok, though it is said not to apply: take its line out", test.name);
                }
                (Err(_), Some(reason)) => {
                    count.skipped += 1;
                    println!("test {} ... skipped, {reason}", test.name);
                }
                (Err(message), None) => {
                    count.failed += 1;
                    let case = test.case.as_ref().map(Json::to_string).unwrap_or_default();
                    println!("test {} ... FAILED\n{case}\n{message}\n", test.name);
                }
            }
        }
    };
    let threads = std::thread::available_parallelism().map_or(2, usize::from).min(4);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(work);
        }
    });
    counts.into_inner().unwrap_or_else(PoisonError::into_inner)
}

/// Runs a test in a thread of its own, so that one that hangs or panics fails alone.
fn run_limited(test: Arc<Test>, equipment: Equipment) -> Result<(), String> {
    let (sender, ended) = mpsc::channel();
    let run = move || {
        let outcome = catch_unwind(AssertUnwindSafe(|| run_test(&test, &equipment)));
        let outcome = outcome.unwrap_or_else(|panic| {
            let text = panic.downcast_ref::<String>().map(String::as_str);
            let text = text.or_else(|| panic.downcast_ref::<&str>().copied());
            Err(format!("panicked: {}", text.unwrap_or("without a word")))
        });
        // Nobody listens any more when the time is over.
        let _ = sender.send(outcome);
    };
    let started = std::thread::Builder::new().name("case".to_owned()).spawn(run);
    started.map_err(|error| error.to_string())?;
    ended.recv_timeout(LIMIT).unwrap_or_else(|_| Err(format!("it did not end within {} s", LIMIT.as_secs())))
}

fn run_test(test: &Test, equipment: &Equipment) -> Result<(), String> {
    let case = test.case.as_ref().map_err(String::clone)?;
    match test.subject {
        "conditional" => filters::run_condition(case),
        "cloudwatch" => cloudwatch::run(case),
        subject @ ("bulk" | "bulk_split" | "bulk_response" | "backoff" | "client" | "config") => {
            elasticsearch::run(subject, case)
        }
        _ => filters::run(case, &equipment.engine, &equipment.databases),
    }
}

fn print_table(counts: &BTreeMap<&'static str, Count>) -> std::io::Result<()> {
    let mut stdout = std::io::stdout().lock();
    let mut all = Count::default();
    writeln!(stdout, "\n{:<16} {:>7} {:>7} {:>8}", "subject", "passed", "failed", "skipped")?;
    for subject in SUBJECTS {
        let Some(count) = counts.get(subject) else { continue };
        writeln!(stdout, "{subject:<16} {:>7} {:>7} {:>8}", count.passed, count.failed, count.skipped)?;
        all.passed += count.passed;
        all.failed += count.failed;
        all.skipped += count.skipped;
    }
    writeln!(stdout, "{:<16} {:>7} {:>7} {:>8}\n", "all", all.passed, all.failed, all.skipped)?;
    writeln!(stdout, "{} passed, {} failed", all.passed, all.failed)
}
