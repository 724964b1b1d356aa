//! One process at full speed under faults, for as long as wanted: its memory and its open files must stay flat.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::campaign::{PIPELINE, copy_folder, setting, warm_cache};
use crate::oracle::Verdict;
use crate::world::World;

/// Events put with each step.
const EVENTS_A_STEP: usize = 1000;

/// With a short lookback all open windows are read every time, so that late events arrive while the soak lasts.
const LOOKBACK: &str = "60s";

/// How late events are, in milliseconds.
const LATEST: usize = 30_000;

/// Memory and open files of a process at one time.
#[derive(Clone, Copy, Debug)]
struct Sample {
    kilobytes: u64,
    files: usize,
}

/// Runs for so long, prints the figures and answers whether they stayed flat and nothing was lost, doubled or altered.
pub(crate) fn run(program: &Path, seed: u64, time: Duration) -> bool {
    let cache = warm_cache(program);
    let mut world = World::new(seed);
    let setting = setting(program, &world, "100", LOOKBACK);
    let pipeline = setting.write("pipeline.toml", PIPELINE);
    copy_folder(&cache, &setting.folder().join("state/cache"));
    let running = setting.start(&["run", &pipeline]);
    let process = PathBuf::from(format!("/proc/{}", running.id()));
    let started = Instant::now();
    let mut samples: Vec<Sample> = Vec::new();
    let mut stored = 0;
    while started.elapsed() < time {
        world.put_events(EVENTS_A_STEP, LATEST);
        world.misbehave();
        let until = world.issued.len() * 9 / 10;
        let elasticsearch = &world.elasticsearch;
        elasticsearch.wait_for(Duration::from_secs(2), |_| elasticsearch.count() >= until);
        stored = elasticsearch.count();
        samples.extend(sample(&process));
    }
    world.behave();
    let elasticsearch = &world.elasticsearch;
    let all = world.issued.len();
    let finished = elasticsearch.wait_for(Duration::from_secs(600), |_| elasticsearch.count() >= all);
    let ended = running.stop();
    if !finished || ended.code != Some(0) {
        println!(
            "not all arrived ({stored} of {all}), or no clean end ({:?}):\n{}",
            ended.code, ended.stderr
        );
        return false;
    }
    let verdict = Verdict::of(&world);
    let flat = print(&samples, all, started.elapsed());
    println!(
        "soak: {} lost, {} doubled, {} altered",
        verdict.lost.len(),
        verdict.doubled.len(),
        verdict.altered.len()
    );
    flat && verdict.is_clean()
}

fn print(samples: &[Sample], events: usize, time: Duration) -> bool {
    // The first third fills caches and pools.
    let third = samples.len() / 3;
    let (Some(middle), Some(last)) = (samples.get(third..2 * third), samples.get(2 * third..)) else {
        return false;
    };
    let most = |samples: &[Sample]| {
        let kilobytes = samples.iter().map(|sample| sample.kilobytes).max().unwrap_or_default();
        let files = samples.iter().map(|sample| sample.files).max().unwrap_or_default();
        (kilobytes, files)
    };
    let (before, after) = (most(middle), most(last));
    println!(
        "soak: {events} events in {:.0} s; anonymous memory at most {} kB in the second third and {} kB in the last, \
         open files at most {} and {}",
        time.as_secs_f64(),
        before.0,
        after.0,
        before.1,
        after.1
    );
    after.0 <= before.0 + before.0 / 10 && after.1 <= before.1 + 4
}

fn sample(process: &Path) -> Option<Sample> {
    let status = std::fs::read_to_string(process.join("status")).ok()?;
    let line = status.lines().find(|line| line.starts_with("RssAnon:"))?;
    let kilobytes = line.split_whitespace().nth(1)?.parse().ok()?;
    let files = std::fs::read_dir(process.join("fd")).ok()?.count();
    Some(Sample { kilobytes, files })
}
