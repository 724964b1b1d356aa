//! Kills the real binary, again and again and at any moment, between a CloudWatch that issues ids and an Elasticsearch that
//! keeps id, version and hash of each document, and then counts: what was put and is not stored is *lost*, what is stored
//! twice or delivered again after a clean stop is *doubled*, what differs from what was put is *altered*.
//!
//! `WEIR_KILLS` says how many kills (30 unless set), `WEIR_SEED` repeats a run, `WEIR_SOAK_SECONDS` runs one process under
//! faults instead and watches its memory and open files (`WEIR_SOAK_RATE`: at so many events a second). `WEIR_FAULT` names
//! a mistake to be built in, or `all` of them one after the other, which must then be found: see its README.
#![expect(clippy::unwrap_used, reason = "a harness stops at the first surprise")]

mod campaign;
mod faulty;
mod ledger;
mod moment;
mod oracle;
mod soak;
mod world;

use std::path::Path;
use std::process::ExitCode;
use std::str::FromStr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Kills in one epoch: each begins with empty services and an empty state folder.
const KILLS_AN_EPOCH: usize = 50;

fn main() -> ExitCode {
    if std::env::args().any(|argument| argument == "--list") {
        println!("crash: test");
        return ExitCode::SUCCESS;
    }
    let seed = number("WEIR_SEED").unwrap_or_else(|| {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        u64::from(since.subsec_nanos()) ^ since.as_secs()
    });
    println!("WEIR_SEED={seed}");
    let kills = number("WEIR_KILLS").unwrap_or(30);
    let run = |program: &Path| campaign::run(program, seed, kills, KILLS_AN_EPOCH);
    let program = Path::new(env!("CARGO_BIN_EXE_weir"));
    let rate = number("WEIR_SOAK_RATE");
    let soak = |program: &Path, seconds| soak::run(program, seed, Duration::from_secs(seconds), rate);
    let passed = match (number::<u64>("WEIR_SOAK_SECONDS"), number::<String>("WEIR_FAULT").as_deref()) {
        (Some(seconds), None) => soak(program, seconds),
        (Some(seconds), Some("all")) => are_found("soak", |program| soak(program, seconds)),
        (Some(seconds), Some(name)) => soak(&faulty::build(name), seconds),
        (None, None) => faulty::check_all() && run(program),
        (None, Some("all")) => are_found("kills", run),
        (None, Some(name)) => run(&faulty::build(name)),
    };
    if passed { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Whether all mistakes are found that are there to be found by `by`.
fn are_found(by: &str, run: impl Fn(&Path) -> bool) -> bool {
    faulty::found_by(by).iter().all(|name| {
        let is_found = !run(&faulty::build(name));
        println!("{name}: {}", if is_found { "found, as it must be" } else { "NOT FOUND" });
        is_found
    })
}

/// What a variable holds; a text that is none ends the program.
fn number<T: FromStr>(name: &str) -> Option<T> {
    let text = std::env::var(name).ok().filter(|text| !text.is_empty())?;
    let Ok(number) = text.parse() else { panic!("{name} must be a number, and is {text:?}") };
    Some(number)
}
