//! Hostile guests, each a test with a name: filters that never end, take all memory, lie in every number of an answer, break
//! the calls between host and guest, flood, or are no filters. Each runs in a real chain between two filters that behave: the
//! process lives, the event that the guest broke on ends where `on_trap` or `on_error` says with the reason, the other events
//! come out whole, and the memory of the guest stays within its limit.
//!
//! `WEIR_HOSTILE=table` (`make hostile`) runs them with the deadline that is the default, one after the other, and prints what
//! stopped each, after how many milliseconds and at how much memory. Arguments are parts of the names of trials to run;
//! `--list` only lists them. RELIABILITY.md has a table of all, which is compared (`WEIR_BLESS=1` writes it anew).

mod bombs;
mod modules;
mod refused;
mod stage;
mod stories;
mod trials;

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::process::ExitCode;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use stage::{Lines, Seen, Stage};
use tracing_subscriber::Layer;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt;
use trials::Trial;

/// Where RELIABILITY.md has the table.
const TABLE: [&str; 2] = ["<!-- hostile guests -->\n", "<!-- end of hostile guests -->"];

fn main() -> ExitCode {
    match run() {
        Ok(code) => code,
        Err(error) => {
            eprintln!("hostile: {error}");
            println!("\n0 passed, 1 failed");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<ExitCode, String> {
    let is_measured = std::env::var("WEIR_HOSTILE").as_deref() == Ok("table");
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let wanted: Vec<&String> = arguments.iter().filter(|argument| !argument.starts_with('-')).collect();
    let mut trials = trials::all();
    trials.extend(refused::all());
    trials.extend(bombs::all());
    trials.extend(stories::all());
    let names: std::collections::BTreeSet<&String> = trials.iter().map(|trial| &trial.name).collect();
    if names.len() < trials.len() {
        return Err("two trials have one name".to_owned());
    }
    let is_table_right = !wanted.is_empty() || compare_table(&trials)?;
    let is_wanted = |trial: &Trial| wanted.is_empty() || wanted.iter().any(|part| trial.name.contains(*part));
    trials.retain(is_wanted);
    if arguments.iter().any(|argument| argument == "--list") {
        for trial in &trials {
            println!("{}: test", trial.name);
        }
        return Ok(ExitCode::SUCCESS);
    }
    let lines = Lines.with_filter(Targets::new().with_target("weir", tracing::Level::DEBUG));
    tracing::subscriber::set_global_default(tracing_subscriber::registry().with(lines))
        .map_err(|error| error.to_string())?;
    let stage = Stage::prepare(is_measured)?;
    let threads = if is_measured { 1 } else { 4 };
    let seen = run_all(&trials, &stage, threads);
    if is_measured {
        print_measured(&trials, &seen);
    }
    let failed = trials.len() - seen.len() + usize::from(!is_table_right);
    println!("\n{} passed, {failed} failed", seen.len());
    Ok(if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Runs all trials in a few threads; answers what was seen of those that ended well, by their numbers.
fn run_all(trials: &[Trial], stage: &Stage, threads: usize) -> BTreeMap<usize, Seen> {
    let seen = Mutex::new(BTreeMap::new());
    let next = AtomicUsize::new(0);
    let work = || {
        loop {
            let number = next.fetch_add(1, Ordering::Relaxed);
            let Some(trial) = trials.get(number) else { break };
            let started = Instant::now();
            match catch_unwind(AssertUnwindSafe(|| (trial.run)(stage))) {
                Ok(what) => {
                    println!("test {} ... ok, {:.2} s", trial.name, started.elapsed().as_secs_f64());
                    seen.lock().unwrap_or_else(PoisonError::into_inner).insert(number, what);
                }
                // What it was the panic has said already.
                Err(_) => println!("test {} ... FAILED", trial.name),
            }
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(work);
        }
    });
    seen.into_inner().unwrap_or_else(PoisonError::into_inner)
}

fn print_measured(trials: &[Trial], seen: &BTreeMap<usize, Seen>) {
    println!("\n{:<56} {:<22} {:>9} {:>9}", "the guest", "stopped by", "ms", "KiB");
    let mut latest = 0.0_f64;
    for (number, trial) in trials.iter().enumerate() {
        let Some(seen) = seen.get(&number) else { continue };
        let milliseconds = seen.time.map(|(took, _)| took.as_secs_f64() * 1e3);
        if let Some((took, deadline)) = seen.time {
            latest = latest.max((took.as_secs_f64() - deadline.as_secs_f64()) * 1e3);
        }
        let time = milliseconds.map_or_else(String::new, |time| format!("{time:.2}"));
        let memory = if seen.memory > 0 { (seen.memory >> 10).to_string() } else { String::new() };
        println!("{:<56} {:<22} {time:>9} {memory:>9}", trial.name, trial.outcome);
    }
    println!("\nthe latest stop came {latest:.1} ms after the deadline");
}

/// Whether RELIABILITY.md has the table of these trials: how many of each outcome, and which.
fn compare_table(trials: &[Trial]) -> Result<bool, String> {
    let mut outcomes: Vec<(&str, Vec<&str>)> = Vec::new();
    for trial in trials {
        match outcomes.iter_mut().find(|(outcome, _)| *outcome == trial.outcome) {
            Some((_, names)) => names.push(&trial.name),
            None => outcomes.push((trial.outcome, vec![&trial.name])),
        }
    }
    let mut table = "| what stops it | guests | what they do |\n|---|---|---|\n".to_owned();
    for (outcome, names) in outcomes {
        table.push_str(&format!("| {outcome} | {} | {} |\n", names.len(), names.join("; ")));
    }
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../RELIABILITY.md");
    let text = std::fs::read_to_string(&path).map_err(|error| format!("RELIABILITY.md: {error}"))?;
    let place = text.find(TABLE[0]).zip(text.find(TABLE[1]));
    let (start, end) = place.ok_or("RELIABILITY.md has no place for the table of hostile guests")?;
    let start = start + TABLE[0].len();
    if text.get(start..end) == Some(table.as_str()) {
        return Ok(true);
    }
    if std::env::var("WEIR_BLESS").as_deref() == Ok("1") {
        let text = format!("{}{table}{}", &text[..start], &text[end..]);
        std::fs::write(&path, text).map_err(|error| format!("RELIABILITY.md: {error}"))?;
        return Ok(true);
    }
    println!("test the table in RELIABILITY.md ... FAILED\n  it differs; WEIR_BLESS=1 writes it anew");
    Ok(false)
}
