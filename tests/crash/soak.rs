//! One process at full speed under faults, for as long as wanted: its memory and its open files must stay flat.
//!
//! What grows by design comes to its end early: the ids of windows that are not closed, in memory and in the ledger, are those
//! of some three minutes, since the lookback is short. What is left to grow after [`WARM_UP`] is a leak. The rest of the run is
//! compared in halves, the middle of each: the second may have [`TOLERANCE`] more memory than the first, [`BYTES_OF_AN_ID`] more for
//! each id more that is held (the machine may be quicker in one half), what redb keeps of a larger file, and [`MORE_FILES`].

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use weir::control;

use weir_test_support::weir::copy_private;

use crate::campaign::{PIPELINE, setting, warm_cache};
use crate::ledger::LedgerWatch;
use crate::oracle::Verdict;
use crate::world::World;

/// Events put with each step.
const EVENTS_A_STEP: usize = 1000;

/// A window is closed this long and two to three minutes after its end.
const LOOKBACK: &str = "10s";

/// How late events are, in milliseconds.
const LATEST: usize = 5_000;

/// Time that is not judged: windows begin to be closed, caches and pools fill.
const WARM_UP: Duration = Duration::from_secs(220);

/// Without as much time after that nothing can be said of memory.
const LEAST_JUDGED: Duration = Duration::from_secs(180);

/// Memory that may be added from one half to the other, in parts of a hundred.
const TOLERANCE: u64 = 10;

/// An id takes so much of a table that has just grown.
const BYTES_OF_AN_ID: u64 = 40;

/// redb keeps so much of the ledger's file in memory, in kilobytes: the file grows by doubling, and the memory after it.
const CACHED_OF_LEDGER: u64 = 16 << 10;

/// Open files that may be added: connections come and go.
const MORE_FILES: usize = 4;

/// A process at one time.
#[derive(Clone, Copy, Debug, Default)]
struct Sample {
    at: Duration,
    stored: usize,
    /// Resident memory, and that of it which is no file's, in kilobytes.
    resident: u64,
    anonymous: u64,
    files: usize,
    /// Ids in memory.
    ids: u64,
    /// Bytes of keys and values in the ledger, and of its file.
    ledger: u64,
    ledger_file: u64,
    /// What the process says of the invariants.
    invariants: [(&'static str, bool); 4],
}

/// The invariants that the process itself counts.
const INVARIANTS: [&str; 4] = ["nothing_lost", "nothing_doubled", "nothing_ahead", "closed_in_order"];

/// Runs for so long, prints the figures and answers whether they stayed flat and every invariant held, as the process says at
/// each sample, and as the documents and the ledger say at the end.
///
/// `rate`: no more events a second than this, so that memory is compared at the same load; `None`: as many as it reads.
pub(crate) fn run(program: &Path, seed: u64, time: Duration, rate: Option<f64>) -> bool {
    let cache = warm_cache(program);
    let mut world = World::new(seed);
    let setting = setting(program, &world, "100", LOOKBACK);
    let pipeline = setting.write("pipeline.toml", PIPELINE);
    let state_dir = setting.folder().join("state");
    copy_private(&cache, &state_dir.join("cache"));
    let running = setting.start(&["run", &pipeline]);
    let process = PathBuf::from(format!("/proc/{}", running.id()));
    let started = Instant::now();
    let mut samples: Vec<Sample> = Vec::new();
    let mut shown = Duration::ZERO;
    while started.elapsed() < time {
        let due =
            rate.map_or(Duration::ZERO, |rate| Duration::from_secs_f64(world.issued.len() as f64 / rate));
        // The time itself is what is waited for.
        std::thread::park_timeout(due.saturating_sub(started.elapsed()));
        world.put_events(EVENTS_A_STEP, LATEST);
        world.misbehave();
        let until = world.issued.len() * 9 / 10;
        let elasticsearch = &world.elasticsearch;
        elasticsearch.wait_for(Duration::from_secs(2), |_| elasticsearch.count() >= until);
        let (at, stored) = (started.elapsed(), elasticsearch.count());
        samples.extend(sample(&process, &state_dir).map(|found| Sample { at, stored, ..found }));
        if at >= shown {
            shown = at + time / 30;
            println!("{}", samples.last().copied().unwrap_or_default().line());
        }
    }
    world.behave();
    let elasticsearch = &world.elasticsearch;
    let all = world.issued.len();
    let finished = elasticsearch.wait_for(Duration::from_secs(600), |_| elasticsearch.count() >= all);
    let ended = running.stop();
    let mut watched = LedgerWatch::default();
    if let Err(error) = watched.look(&state_dir, &world) {
        println!("{error}");
        return false;
    }
    if !finished || ended.code != Some(0) {
        println!(
            "not all arrived ({} of {all}), or no clean end ({:?}):\n{}",
            world.elasticsearch.count(),
            ended.code,
            ended.stderr
        );
        return false;
    }
    let mut broken = Verdict::of(&world, watched).broken();
    for sample in &samples {
        for (invariant, holds) in &sample.invariants {
            let count = match *invariant {
                "nothing_lost" => &mut broken.nothing_lost,
                "nothing_doubled" => &mut broken.nothing_doubled,
                "nothing_ahead" => &mut broken.nothing_ahead,
                _ => &mut broken.closed_in_order,
            };
            *count += usize::from(!holds);
        }
    }
    let passed = is_flat(&samples, time) && broken.is_nothing();
    println!("soak: {all} events in {:.0} s: {broken}", started.elapsed().as_secs_f64());
    println!("{} passed, {} failed", u8::from(passed), u8::from(!passed));
    passed
}

impl Sample {
    fn line(&self) -> String {
        format!(
            "{:>5} s {:>9} stored, resident {:>7} kB, anonymous {:>7} kB, {:>3} files, {:>8} ids, ledger {:>6} kB in {:>6} kB",
            self.at.as_secs(),
            self.stored,
            self.resident,
            self.anonymous,
            self.files,
            self.ids,
            self.ledger / 1024,
            self.ledger_file / 1024
        )
    }
}

/// Compares the two halves of what comes after the warm-up.
fn is_flat(samples: &[Sample], time: Duration) -> bool {
    let judged = time.saturating_sub(WARM_UP);
    if judged < LEAST_JUDGED {
        println!(
            "too short to say that memory is flat: SECONDS must be {} at least",
            (WARM_UP + LEAST_JUDGED).as_secs()
        );
        return true;
    }
    let half = |from: Duration| {
        let of_half = samples.iter().filter(|sample| sample.at >= from && sample.at < from + judged / 2);
        middle(&of_half.copied().collect::<Vec<_>>())
    };
    let (before, after) = (half(WARM_UP), half(WARM_UP + judged / 2));
    let (Some(before), Some(after)) = (before, after) else { return false };
    println!("in the middle of the first half:\n{}\nof the second:\n{}", before.line(), after.line());
    let of_ids = after.ids.saturating_sub(before.ids) * BYTES_OF_AN_ID / 1024;
    let cached = |sample: &Sample| (sample.ledger_file / 1024).min(CACHED_OF_LEDGER);
    let of_ledger = cached(&after).saturating_sub(cached(&before));
    let allowed = before.anonymous + before.anonymous * TOLERANCE / 100 + of_ids + of_ledger;
    let memory = after.anonymous <= allowed;
    let files = after.files <= before.files + MORE_FILES;
    println!(
        "soak: anonymous memory {} kB, then {} kB (up to {allowed} kB allowed): {}; open files {}, then {}: {}",
        before.anonymous,
        after.anonymous,
        if memory { "flat" } else { "GROWS" },
        before.files,
        after.files,
        if files { "flat" } else { "GROW" }
    );
    memory && files
}

/// Of each figure the middle one.
fn middle(samples: &[Sample]) -> Option<Sample> {
    fn of<T: Ord + Copy>(samples: &[Sample], figure: impl Fn(&Sample) -> T) -> Option<T> {
        let mut figures: Vec<T> = samples.iter().map(figure).collect();
        figures.sort_unstable();
        figures.get(figures.len() / 2).copied()
    }
    Some(Sample {
        at: of(samples, |sample| sample.at)?,
        stored: of(samples, |sample| sample.stored)?,
        resident: of(samples, |sample| sample.resident)?,
        anonymous: of(samples, |sample| sample.anonymous)?,
        files: of(samples, |sample| sample.files)?,
        ids: of(samples, |sample| sample.ids)?,
        ledger: of(samples, |sample| sample.ledger)?,
        ledger_file: of(samples, |sample| sample.ledger_file)?,
        ..Sample::default()
    })
}

fn sample(process: &Path, state_dir: &Path) -> Option<Sample> {
    let status = std::fs::read_to_string(process.join("status")).ok()?;
    let kilobytes = |name: &str| -> Option<u64> {
        let line = status.lines().find(|line| line.starts_with(name))?;
        line.split_whitespace().nth(1)?.parse().ok()
    };
    let figures = control::ask(state_dir, "status").ok()??;
    let of_input = figures["inputs"][0]["figures"].as_array()?;
    let figure = |name: &str| -> Option<u64> {
        let found = of_input.iter().find(|figure| figure["name"] == name)?;
        found["value"].as_f64().map(|value| value as u64)
    };
    let holds = |invariant: &'static str| {
        let found = of_input.iter().find(|figure| figure["labels"]["invariant"] == invariant);
        (invariant, found.is_some_and(|figure| figure["value"] == 1.0))
    };
    Some(Sample {
        invariants: INVARIANTS.map(holds),
        resident: kilobytes("VmRSS:")?,
        anonymous: kilobytes("RssAnon:")?,
        files: std::fs::read_dir(process.join("fd")).ok()?.count(),
        ids: figure("ids_in_memory")?,
        ledger: figure("ledger_used_bytes")?,
        ledger_file: std::fs::metadata(state_dir.join("ledger.redb")).ok()?.len(),
        ..Sample::default()
    })
}
