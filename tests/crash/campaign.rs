//! Epochs of kills: each has services and a state folder of its own, so that a run of a thousand kills stays as quick as
//! one of fifty, and a failure is repeated by its epoch's seed.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use weir_test_support::weir::copy_private;
use weir_test_support::{Broken, Random};

use crate::ledger::LedgerWatch;
use crate::moment::Moment;
use crate::oracle::Verdict;
use crate::world::World;
use weir_test_support::Setting;

pub(crate) const PIPELINE: &str = r#"
[pipeline]
state_dir = "state"
batch_size = "${BATCH_SIZE}"
workers = 2

[input]
type = "cloudwatch_logs"
log_group = ["/crash/"]
log_group_prefix = true
region = "us-east-1"
endpoint_url = "${WEIR_CLOUDWATCH_ENDPOINT}"
interval = "50ms"
requests_per_second = 200
lookback = "${LOOKBACK}"

[[filter]]
use = "dissect"
mapping.message = "%{word} %{number} %{}"

[[filter]]
use = "local-time"
source = "@timestamp"
target = "day"
format = "%Y-%m-%d"
timezone = "UTC"

[[filter]]
use = "mutate"
add_field = { kind = "crash" }

[output]
type = "elasticsearch"
hosts = ["${WEIR_ELASTICSEARCH}"]
index = "crash-%{+yyyy.MM.dd.HH}"
timeout = "1s"
retry_initial_interval = "10ms"
retry_max_interval = "50ms"
resurrect_delay = "10ms"
"#;

/// How late events are, in milliseconds: nearly as late as the lookback allows.
const LATEST: usize = 59 * 60_000;

/// What an epoch came to.
struct Epoch {
    verdict: Verdict,
    kills: usize,
    events: usize,
    items: usize,
    /// Where the kills fell.
    moments: BTreeMap<&'static str, usize>,
}

/// Runs so many kills and prints what they came to. Answers whether nothing was lost, doubled or altered.
pub(crate) fn run(program: &Path, seed: u64, kills: usize, kills_an_epoch: usize) -> bool {
    let started = Instant::now();
    let cache = warm_cache(program);
    let epochs = kills.div_ceil(kills_an_epoch);
    let (next, results) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    let work = || {
        loop {
            let number = next.fetch_add(1, Ordering::Relaxed);
            if number >= epochs {
                return;
            }
            let share = kills_an_epoch.min(kills - number * kills_an_epoch);
            let result = run_epoch(program, seed.wrapping_add(number as u64), share, &cache);
            if let Err(message) = &result {
                println!(
                    "epoch {number} (WEIR_SEED={}) broke off: {message}",
                    seed.wrapping_add(number as u64)
                );
            }
            results.lock().unwrap().push((number, result));
        }
    };
    std::thread::scope(|scope| {
        scope.spawn(work);
        scope.spawn(work);
    });
    report(seed, started, &results.into_inner().unwrap())
}

fn report(seed: u64, started: Instant, results: &[(usize, Result<Epoch, String>)]) -> bool {
    let mut moments: BTreeMap<&'static str, usize> = BTreeMap::new();
    let (mut kills, mut events, mut items, mut broken) = (0, 0, 0, 0);
    let mut sum = Broken::default();
    for (number, result) in results {
        let Ok(epoch) = result else {
            broken += 1;
            continue;
        };
        kills += epoch.kills;
        events += epoch.events;
        items += epoch.items;
        for (moment, count) in &epoch.moments {
            *moments.entry(moment).or_default() += count;
        }
        let verdict = &epoch.verdict;
        sum.add(verdict.broken());
        if !verdict.broken().is_nothing() {
            println!(
                "epoch {number} (WEIR_SEED={}): {}",
                seed.wrapping_add(*number as u64),
                verdict.broken()
            );
            println!("  lost: {:?}", verdict.lost.iter().take(20).collect::<Vec<_>>());
            let ids = verdict.ahead.iter().map(|id| format!("the ledger has {id}, which is not stored"));
            for line in ids.take(20) {
                println!("  {line}");
            }
            let others = verdict.doubled.iter().chain(&verdict.altered).chain(&verdict.out_of_order);
            for line in others.take(20) {
                println!("  {line}");
            }
        }
    }
    let seconds = started.elapsed().as_secs_f64();
    println!("{events} events, {items} bulk items, {seconds:.0} s; ended {moments:?}");
    // A line that the sum of all tests is made of, and the one that a reader looks for.
    let passed = sum.is_nothing() && broken == 0;
    println!("{} passed, {} failed", u8::from(passed), u8::from(!passed));
    println!("{sum}");
    let Broken { nothing_lost, nothing_doubled, nothing_altered, .. } = sum;
    println!("{kills} kills: {nothing_lost} lost, {nothing_doubled} doubled, {nothing_altered} altered");
    passed
}

fn run_epoch(program: &Path, seed: u64, kills: usize, cache: &Path) -> Result<Epoch, String> {
    let mut world = World::new(seed);
    let batch_size = world.random.one_of(&["7", "20", "100"]);
    let setting = setting(program, &world, batch_size, "1h");
    let pipeline = setting.write("pipeline.toml", PIPELINE);
    if world.random.below(8) > 0 {
        copy_private(cache, &setting.folder().join("state/cache"));
    }
    let mut moments: BTreeMap<&'static str, usize> = BTreeMap::new();
    let mut watched = LedgerWatch::default();
    let state_dir = setting.folder().join("state");
    let mut killed = 0;
    while killed < kills {
        let count = 20 + world.random.below(80);
        world.put_events(count, LATEST);
        world.misbehave();
        let mut choice = Random(world.random.number());
        let moment = Moment::choose(&mut choice);
        world.begin();
        let running = setting.start(&["run", &pipeline]);
        if moment.end(running, &state_dir, &world)? {
            world.settle();
        }
        watched.look(&state_dir, &world)?;
        killed += usize::from(moment.is_kill());
        *moments.entry(name_of(moment)).or_default() += 1;
        if world.random.below(4) == 0 {
            world.cloudwatch.expire_tokens();
        }
    }
    world.behave();
    drain(&setting, &pipeline, &world)?;
    watched.look(&state_dir, &world)?;
    let items = world.deliveries().items;
    Ok(Epoch {
        verdict: Verdict::of(&world, watched),
        kills: killed,
        events: world.issued.len(),
        items,
        moments,
    })
}

/// Reads what is left, and once more: then nothing may come again.
fn drain(setting: &Setting, pipeline: &str, world: &World) -> Result<(), String> {
    for _ in 0..2 {
        world.begin();
        let ended = setting.run(&["run", "--once", pipeline]);
        if ended.code != Some(0) {
            return Err(format!("the last run ended with {:?}:\n{}", ended.code, ended.stderr));
        }
        world.settle();
    }
    Ok(())
}

pub(crate) fn setting(program: &Path, world: &World, batch_size: &str, lookback: &str) -> Setting {
    let mut setting = Setting::new(program, env!("CARGO_TARGET_TMPDIR"));
    setting.set("WEIR_CLOUDWATCH_ENDPOINT", &world.cloudwatch.url());
    setting.set("WEIR_ELASTICSEARCH", &world.elasticsearch.url());
    setting.set("BATCH_SIZE", batch_size);
    setting.set("LOOKBACK", lookback);
    setting
}

/// A folder with the compiled filters, so that most epochs need not compile them.
pub(crate) fn warm_cache(program: &Path) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("crash-cache");
    let world = World::new(0);
    let setting = setting(program, &world, "100", "1h");
    let pipeline = setting.write("pipeline.toml", PIPELINE);
    copy_private(&folder, &setting.folder().join("state/cache"));
    let ended = setting.run(&["run", "--once", &pipeline]);
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    copy_private(&setting.folder().join("state/cache"), &folder);
    folder
}

fn name_of(moment: Moment) -> &'static str {
    match moment {
        Moment::Start(_) => "at the start",
        Moment::Question(..) => "between questions",
        Moment::Answer(..) => "after an answer",
        Moment::Swap(..) => "in swaps",
        Moment::Drain(..) => "while draining",
        Moment::CleanStop(_) => "cleanly",
    }
}
