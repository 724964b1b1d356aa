//! `make bench`: what Weir costs, as ratios to a native program that does the same by hand, and how the cost grows. Nothing
//! here runs in `make test`, but that Weir and the native reference write the same documents does (tests/native_reference.rs).
//!
//! Processor time is what is compared: of the whole process, user and system together. What is compared runs in turn, in
//! one run, on the same two processors. BENCH names one part, QUICK=1 takes fewer lines and rounds, LINES and ROUNDS say
//! how many.

mod allocations;
mod chain;
mod city;
mod growth;
mod latency;
mod lines;
mod measure;
mod native;
mod null_server;
mod pipeline_file;
mod sandbox;
mod start;
mod table;
mod weir_process;
mod whole;

use std::path::PathBuf;

use anyhow::{Context, Result, bail};

#[global_allocator]
static ALLOCATOR: allocations::Counting = allocations::Counting;

/// How many networks the City database has: the file then has some 50 MB, as GeoLite2-City has 60.
const NETWORKS: usize = 700_000;

/// What all parts share.
struct Setting {
    /// Weir's release binary.
    program: PathBuf,
    /// Where generated files are kept and pipelines run.
    folder: PathBuf,
    lines: u64,
    rounds: usize,
    networks: city::Networks,
}

/// Measures one thing and prints it.
type Part = fn(&Setting) -> Result<()>;

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.first().map(String::as_str) {
        Some("native") => return run_native(&arguments[1..]),
        Some("null-server") => return null_server::serve(),
        _ => {}
    }
    let is_quick = std::env::var("QUICK").is_ok_and(|quick| !matches!(quick.as_str(), "" | "0"));
    let setting = Setting {
        program: PathBuf::from(env!("CARGO_BIN_EXE_weir")),
        folder: PathBuf::from(concat!(env!("CARGO_TARGET_TMPDIR"), "/bench")),
        lines: number("LINES", if is_quick { 300_000 } else { 2_000_000 })?,
        rounds: number("ROUNDS", if is_quick { 3 } else { 5 })?.max(1) as usize,
        networks: city::Networks::new(NETWORKS),
    };
    std::fs::create_dir_all(&setting.folder).with_context(|| setting.folder.display().to_string())?;
    let wanted = std::env::var("BENCH").unwrap_or_default();
    let parts: [(&str, Part); 10] = [
        ("whole", whole::run),
        ("sandbox", sandbox::run),
        ("filters", growth::filters),
        ("batch", growth::batch),
        ("workers", growth::workers),
        ("fields", growth::fields),
        ("length", growth::length),
        ("allocations", allocations::run),
        ("start", start::run),
        ("latency", latency::run),
    ];
    if !wanted.is_empty() && !parts.iter().any(|(name, _)| *name == wanted) {
        bail!("BENCH={wanted}: the parts are {}", parts.map(|(name, _)| name).join(", "));
    }
    for (name, run) in parts {
        if wanted.is_empty() || wanted == name {
            run(&setting).with_context(|| format!("the part {name}"))?;
        }
    }
    Ok(())
}

impl Setting {
    fn lines_file(&self, count: u64) -> Result<PathBuf> {
        lines::file(&self.folder, count, &self.networks)
    }

    fn database(&self) -> Result<PathBuf> {
        city::file(&self.folder, &self.networks)
    }
}

fn run_native(arguments: &[String]) -> Result<()> {
    let [lines, database, workers, bulk] = arguments else { bail!("native LINES DATABASE WORKERS URL|-") };
    let job = native::Job {
        lines: lines.into(),
        database: database.into(),
        workers: workers.parse().context("the number of workers")?,
        bulk: (bulk != "-").then(|| bulk.clone()),
    };
    native::run(&job)?;
    Ok(())
}

/// A number of the environment; empty is as if it were not there.
fn number(name: &str, default: u64) -> Result<u64> {
    match std::env::var(name) {
        Ok(text) if !text.is_empty() => {
            text.parse().with_context(|| format!("{name}={text}: expected a number"))
        }
        _ => Ok(default),
    }
}
