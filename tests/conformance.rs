//! Logstash's executed cases (tests/conformance): those of filters through the compiled components, those of conditions
//! through the evaluator, each a test with a name. Prints a table by subject, and `N passed, N failed` in a line. The
//! cases of the elasticsearch output are run beside it (host/src/output/elasticsearch/conformance.rs).
//!
//! `WEIR_CONFORMANCE=<dir>` runs the files of another folder instead. Arguments are parts of the names of tests to run;
//! `--list` only lists them.

#[path = "conformance/read.rs"]
mod read;

use std::collections::BTreeMap;
use std::io::Write;
use std::ops::ControlFlow;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::Value as Json;
use weir::event::condition::{evaluate, parse};
use weir::event::{Batch, put_example};
use weir::filter::{Compilation, Engine, run_case};

/// The subject whose cases have no filter.
const CONDITIONAL: &str = "conditional";

const SUBJECTS: [&str; 9] = [
    "dissect",
    "date",
    "mutate",
    "fingerprint",
    "geoip",
    "common-options",
    "field-reference",
    "sprintf",
    CONDITIONAL,
];

/// A case to run.
struct Test {
    subject: &'static str,
    name: String,
    case: Json,
    /// Why it is not run.
    skipped: Option<String>,
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
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<ExitCode, String> {
    let places = read::Places::find();
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let wanted: Vec<&String> = arguments.iter().filter(|argument| !argument.starts_with('-')).collect();
    let skipped = places.skipped()?;
    let mut tests = Vec::new();
    for subject in SUBJECTS {
        for case in places.lines(subject)? {
            let id = case["id"].as_str().ok_or_else(|| format!("{subject}: a case has no id"))?;
            let name = format!("{subject}::{id}");
            if wanted.is_empty() || wanted.iter().any(|part| name.contains(part.as_str())) {
                tests.push(Test { subject, name, skipped: skipped.get(id).cloned(), case });
            }
        }
    }
    if arguments.iter().any(|argument| argument == "--list") {
        let mut stdout = std::io::stdout().lock();
        for test in &tests {
            writeln!(stdout, "{}: test", test.name).map_err(|error| error.to_string())?;
        }
        return Ok(ExitCode::SUCCESS);
    }
    if tests.is_empty() && wanted.is_empty() {
        return Err(format!("there are no cases in {}", places.cases.display()));
    }
    let databases = tempfile::tempdir().map_err(|error| error.to_string())?;
    places.write_databases(databases.path())?;
    let cache = Path::new(env!("CARGO_TARGET_TMPDIR")).join("cache");
    let engine = Engine::new(Some(&cache), Compilation::Thorough).map_err(|error| format!("{error:#}"))?;
    let counts = run_all(&tests, &engine, databases.path());
    print_table(&counts).map_err(|error| error.to_string())?;
    let failed = counts.values().any(|count| count.failed > 0);
    Ok(if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

/// Runs tests in a few threads and prints how each ends.
fn run_all(tests: &[Test], engine: &Engine, databases: &Path) -> BTreeMap<&'static str, Count> {
    let counts = Mutex::new(BTreeMap::new());
    let next = AtomicUsize::new(0);
    let work = || {
        while let Some(test) = tests.get(next.fetch_add(1, Ordering::Relaxed)) {
            let ended = match &test.skipped {
                Some(_) => None,
                None => Some(run_test(test, engine, databases)),
            };
            let mut counts = counts.lock().expect("no thread panics with the lock");
            let count: &mut Count = counts.entry(test.subject).or_default();
            match (ended, &test.skipped) {
                (Some(Ok(())), _) => {
                    count.passed += 1;
                    println!("test {} ... ok", test.name);
                }
                (Some(Err(message)), _) => {
                    count.failed += 1;
                    println!("test {} ... FAILED\n{}\n{message}\n", test.name, test.case);
                }
                (None, reason) => {
                    count.skipped += 1;
                    println!("test {} ... skipped, {}", test.name, reason.as_deref().unwrap_or_default());
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
    counts.into_inner().expect("no thread panics with the lock")
}

fn run_test(test: &Test, engine: &Engine, databases: &Path) -> Result<(), String> {
    let run = || {
        if test.subject == CONDITIONAL {
            return run_condition(&test.case);
        }
        let case = match read::filter_case(&test.case)? {
            ControlFlow::Continue(case) => case,
            ControlFlow::Break(()) => return Ok(()),
        };
        let differences = run_case(engine, &case, databases);
        if differences.is_empty() { Ok(()) } else { Err(differences.join("\n")) }
    };
    catch_unwind(AssertUnwindSafe(run)).unwrap_or_else(|_| Err("panicked".to_owned()))
}

fn run_condition(case: &Json) -> Result<(), String> {
    let expected = read::expected(case);
    let when = case["when"].as_str().ok_or("a case has a `when`")?;
    let condition = match (parse(when), expected["error"] == "config") {
        (Err(_), true) => return Ok(()),
        (Ok(_), true) => return Err("should have been refused, and was taken".to_owned()),
        (Err((at, message)), false) => return Err(format!("at {at}: {message}")),
        (Ok(condition), false) => condition,
    };
    let mut batch = Batch::new(std::sync::Arc::default(), 1);
    put_example(&mut batch, 0, case["input"].as_object().ok_or("a case has an input")?, 0)?;
    match (evaluate(&condition, &batch, 0), expected) {
        (Ok(answer), Json::Bool(expected)) if answer == *expected => Ok(()),
        (Err(_), expected) if expected["error"] == "runtime" => Ok(()),
        (answer, expected) => Err(format!("answered {answer:?}, expected {expected}")),
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
