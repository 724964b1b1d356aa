//! Every kind of fault, made from outside, several times with different seeds: whatever happens, all events arrive, each
//! once and as it was, and the line comes to its end. What kinds there are stands in the modules, each with how it is made
//! and what must come out; RELIABILITY.md has the same table, which is compared (`WEIR_BLESS=1` writes it anew).
//!
//! `WEIR_FAULT_SEEDS` says how many seeds each kind gets (1), `WEIR_FAULT_SEED` which is the first: a failing run names its
//! own. Arguments are parts of the names of kinds to run; `--list` only lists them. The last line but one is
//! `K kinds, N runs: … lost, … doubled, … altered`.

#[path = "faults/connections.rs"]
mod connections;
#[path = "faults/delivery.rs"]
mod delivery;
#[path = "faults/items.rs"]
mod items;
#[path = "faults/processes.rs"]
mod processes;
#[path = "faults/reading.rs"]
mod reading;
#[path = "faults/requests.rs"]
mod requests;

use std::io::Write;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use weir_test_support::Broken;

/// A kind of fault.
struct Kind {
    /// What it is called: the layer, a colon, and what happens.
    name: String,
    /// How it is made.
    how: &'static str,
    /// What must come out.
    outcome: String,
    /// Makes it, and compares what arrived with what was issued. An error says what is wrong beside the figures.
    run: Box<dyn Fn(u64) -> Result<Tally, String> + Send + Sync>,
}

/// What became of the events of a run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Tally {
    issued: usize,
    broken: Broken,
}

impl Tally {
    fn add(&mut self, other: Tally) {
        self.issued += other.issued;
        self.broken.add(other.broken);
    }

    fn is_right(&self) -> bool {
        self.issued > 0 && self.broken.is_nothing()
    }
}

/// Where RELIABILITY.md has the table.
const TABLE: [&str; 2] = ["<!-- faults -->\n", "<!-- end of faults -->"];

fn main() -> ExitCode {
    match run() {
        Ok(code) => code,
        Err(error) => {
            eprintln!("faults: {error}");
            ExitCode::FAILURE
        }
    }
}

fn kinds() -> Vec<Kind> {
    let mut kinds = connections::kinds();
    kinds.extend(requests::kinds());
    kinds.extend(items::kinds());
    kinds.extend(reading::kinds());
    kinds.extend(processes::kinds());
    kinds
}

fn run() -> Result<ExitCode, String> {
    let number = |name: &str, default: u64| match std::env::var(name) {
        Ok(text) => text.parse().map_err(|_| format!("{name} is no number: {text:?}")),
        Err(_) => Ok(default),
    };
    let (seeds, first_seed) = (number("WEIR_FAULT_SEEDS", 1)?, number("WEIR_FAULT_SEED", 20_200_223)?);
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let wanted: Vec<&String> = arguments.iter().filter(|argument| !argument.starts_with('-')).collect();
    let all = kinds();
    let is_table_right = wanted.is_empty().then(|| compare_table(&all)).transpose()?.unwrap_or(true);
    let is_wanted =
        |kind: &Kind| wanted.is_empty() || wanted.iter().any(|part| kind.name.contains(part.as_str()));
    let kinds: Vec<Kind> = all.into_iter().filter(is_wanted).collect();
    if arguments.iter().any(|argument| argument == "--list") {
        for kind in &kinds {
            println!("{}: test", kind.name);
        }
        return Ok(ExitCode::SUCCESS);
    }
    let (tally, failed) = run_all(&kinds, seeds, first_seed);
    let mut stdout = std::io::stdout().lock();
    let runs = kinds.len() as u64 * seeds;
    let Broken { nothing_lost, nothing_doubled, nothing_altered, .. } = tally.broken;
    writeln!(
        stdout,
        "\n{}\n{} kinds, {runs} runs, {} events: {nothing_lost} lost, {nothing_doubled} doubled, {nothing_altered} altered",
        tally.broken,
        kinds.len(),
        tally.issued,
    )
    .map_err(|error| error.to_string())?;
    let table = usize::from(!is_table_right);
    writeln!(stdout, "{} passed, {} failed", kinds.len() - failed, failed + table)
        .map_err(|error| error.to_string())?;
    Ok(if failed + table == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Runs every kind with every seed, in a few threads; answers the sum, and how many kinds failed.
fn run_all(kinds: &[Kind], seeds: u64, first_seed: u64) -> (Tally, usize) {
    let sum = Mutex::new((Tally::default(), 0));
    let next = AtomicUsize::new(0);
    let work = || {
        while let Some(kind) = kinds.get(next.fetch_add(1, Ordering::Relaxed)) {
            let mut wrong = Vec::new();
            let mut of_kind = Tally::default();
            for seed in first_seed..first_seed + seeds {
                let ended = catch_unwind(AssertUnwindSafe(|| (kind.run)(seed)));
                match ended.unwrap_or_else(|_| Err("panicked".to_owned())) {
                    Ok(tally) => {
                        of_kind.add(tally);
                        if !tally.is_right() {
                            wrong.push(format!("  seed {seed}: {tally:?}"));
                        }
                    }
                    Err(message) => wrong.push(format!("  seed {seed}: {message}")),
                }
            }
            let mut sum = sum.lock().expect("no thread panics with the lock");
            sum.0.add(of_kind);
            if wrong.is_empty() {
                println!("test {} ... ok", kind.name);
            } else {
                sum.1 += 1;
                println!("test {} ... FAILED\n{}", kind.name, wrong.join("\n"));
            }
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(work);
        }
    });
    sum.into_inner().expect("no thread panics with the lock")
}

/// Whether RELIABILITY.md has the table of these kinds.
fn compare_table(kinds: &[Kind]) -> Result<bool, String> {
    let mut table = "| fault | how it is made | what comes out |\n|---|---|---|\n".to_owned();
    for kind in kinds {
        table.push_str(&format!("| {} | {} | {} |\n", kind.name, kind.how, kind.outcome));
    }
    let path: PathBuf = Path::new(env!("CARGO_MANIFEST_DIR")).join("../RELIABILITY.md");
    let text = std::fs::read_to_string(&path).map_err(|error| format!("RELIABILITY.md: {error}"))?;
    let place = text.find(TABLE[0]).zip(text.find(TABLE[1]));
    let (start, end) = place.ok_or("RELIABILITY.md has no place for the table of faults")?;
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
