//! Faults of the process and of its disk: the real binary between the fake services, ended, held, starved of room and of open
//! files, with a ledger that was damaged, replaced or taken away in between. At the end everything is read once more, and the
//! store is compared with what was issued. A disk that fails at each single write is left to `ledger/disk_tests.rs`.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::LazyLock;
use std::time::{Duration, Instant};

use serde_json::Value;
use weir::control;
use weir_test_support::cloudwatch::Visible;
use weir_test_support::weir::{PATIENCE, Running, copy_private};
use weir_test_support::{FakeCloudWatch, FakeElasticsearch, Random, Setting};

use crate::reading::{Issued, compare, now};
use crate::{Kind, Tally};

const GROUP: &str = "/faults/process";

const PIPELINE: &str = r#"
[pipeline]
state_dir = "state"
batch_size = 20
workers = 2

[input]
type = "cloudwatch_logs"
log_group = ["/faults/process"]
region = "us-east-1"
endpoint_url = "${WEIR_CLOUDWATCH_ENDPOINT}"
interval = "20ms"
requests_per_second = 200
lookback = "1h"

[[filter]]
use = "dissect"
mapping.message = "%{word} %{n} %{}"

[output]
type = "elasticsearch"
hosts = ["${WEIR_ELASTICSEARCH}"]
index = "logs-%{+yyyy.MM.dd}"
"#;

/// A folder with the compiled filters, so that not every process compiles them anew.
static COMPILED: LazyLock<PathBuf> = LazyLock::new(|| {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("faults-cache");
    let (cloudwatch, elasticsearch) = (FakeCloudWatch::start(), FakeElasticsearch::start());
    cloudwatch.create_group(GROUP);
    let (setting, pipeline) = setting(&cloudwatch, &elasticsearch);
    setting.run(&["run", "--once", &pipeline]).expect_code(0);
    copy_private(&setting.folder().join("state/cache"), &folder);
    folder
});

/// The most events that may be read and not acknowledged: those of all batches that the line has room for, of positions that are
/// committed together, and of one more.
const MOST_UNACKNOWLEDGED: u64 = (8 + 128) * 20;

/// As `prlimit` takes it: files may be no longer than this, though the ledger is. Writes beyond it are refused (EFBIG).
const FULL: &str = "--fsize=4096:";

/// What a kind of fault works on.
struct World {
    cloudwatch: FakeCloudWatch,
    elasticsearch: FakeElasticsearch,
    random: Random,
    setting: Setting,
    pipeline: String,
    issued: BTreeMap<u64, Issued>,
}

pub(crate) fn kinds() -> Vec<Kind> {
    let mut kinds = vec![
        kind("process: SIGKILL", "at random moments, four times", |world| {
            for _ in 0..4 {
                let running = world.start_and_put();
                world.pass(40_000);
                running.kill();
            }
            Ok(())
        }),
        kind("process: SIGTERM", "at random moments, four times", |world| {
            for _ in 0..4 {
                let running = world.start_and_put();
                world.pass(40_000);
                world.expect_clean(running)?;
            }
            Ok(())
        }),
        kind("process: a second SIGTERM", "while it drains, four times", |world| {
            for _ in 0..4 {
                let running = world.start_and_put();
                world.pass(20_000);
                running.terminate();
                world.pass(2_000);
                running.terminate();
                running.wait();
            }
            Ok(())
        }),
        kind("process: held and let go", "SIGSTOP and SIGCONT at random moments, five times", |world| {
            let running = world.start_and_put();
            for _ in 0..5 {
                signal(&running, "-STOP")?;
                world.put(20);
                world.pass(60_000);
                signal(&running, "-CONT")?;
                world.pass(20_000);
            }
            world.wait_for_all()?;
            world.expect_clean(running)
        }),
        kind("process: killed while it is held", "SIGSTOP, then SIGKILL, three times", |world| {
            for _ in 0..3 {
                let running = world.start_and_put();
                world.pass(20_000);
                signal(&running, "-STOP")?;
                running.kill();
            }
            Ok(())
        }),
        kind("process: another one on the same state_dir", "it is refused, and the first goes on", |world| {
            let running = world.start_and_put();
            for _ in 0..2 {
                let second = world.setting.run(&["run", &world.pipeline]);
                if second.code == Some(0) || !second.stderr.contains("another weir runs with it") {
                    return Err(format!("the second was not refused: {:?}\n{}", second.code, second.stderr));
                }
                world.put(20);
            }
            world.wait_for_all()?;
            world.expect_clean(running)
        }),
        kind(
            "process: no open files are left",
            "the limit is what is open, until it waits or fails; then raised",
            |world| {
                let running = world.start_and_put();
                world.elasticsearch.wait_for(PATIENCE, |seen| seen.len() > 3);
                let open = fs::read_dir(format!("/proc/{}/fd", running.id())).map_err(text)?.count();
                limit(&running, &format!("--nofile={open}:"))?;
                world.put(60);
                world.pass(400_000);
                limit(&running, "--nofile=1024:")?;
                world.wait_for_all()?;
                world.expect_clean(running)
            },
        ),
        kind(
            "disk: full",
            "no file may grow any more, until `weir status` shows that the ledger waits; then there is room",
            |world| {
                let running = world.start_in_room(None)?;
                world.elasticsearch.wait_for(PATIENCE, |seen| seen.len() > 3);
                limit(&running, FULL)?;
                world.hold_until_full(&running)?;
                limit(&running, "--fsize=unlimited:")?;
                world.wait_for_all()?;
                world.wait_until_nothing_waits()?;
                world.expect_clean(running)
            },
        ),
        kind(
            "disk: full, and stopped",
            "SIGTERM while the ledger waits; what it could not write down is read again",
            |world| {
                let running = world.start_in_room(Some("200ms"))?;
                world.elasticsearch.wait_for(PATIENCE, |seen| seen.len() > 3);
                limit(&running, FULL)?;
                world.hold_until_full(&running)?;
                running.terminate();
                let ended = running.wait();
                match ended.code {
                    Some(1) if ended.stderr.contains("ledger") => Ok(()),
                    code => Err(format!("it ended with {code:?}:\n{}", ended.stderr)),
                }
            },
        ),
        kind("disk: full, and killed", "SIGKILL while the ledger waits", |world| {
            let running = world.start_in_room(None)?;
            world.elasticsearch.wait_for(PATIENCE, |seen| seen.len() > 3);
            limit(&running, FULL)?;
            world.hold_until_full(&running)?;
            running.kill();
            Ok(())
        }),
        kind(
            "ledger: taken away while it runs",
            "renamed, while the disk refuses: it ends with an error",
            |world| {
                let running = world.start_in_room(None)?;
                world.elasticsearch.wait_for(PATIENCE, |seen| seen.len() > 3);
                limit(&running, FULL)?;
                world.hold_until_full(&running)?;
                fs::rename(world.ledger(), world.ledger().with_extension("away")).map_err(text)?;
                let ended = running.wait();
                fs::rename(world.ledger().with_extension("away"), world.ledger()).map_err(text)?;
                match ended.code {
                    Some(1) if ended.stderr.contains("its file is gone") => Ok(()),
                    code => Err(format!("it ended with {code:?}:\n{}", ended.stderr)),
                }
            },
        ),
    ];
    let damages: [(&str, &'static str, Damage); 6] = [
        ("gone", "its file is gone at a start, with its mark or without", |path, random| {
            fs::remove_file(path)?;
            if random.below(2) == 0 {
                fs::remove_file(path.with_extension("lock"))?;
            }
            Ok(())
        }),
        ("empty", "its file is empty at a start", |path, _| fs::write(path, "")),
        ("cut", "its file is cut at a random place", |path, random| {
            let length = fs::metadata(path)?.len();
            fs::File::options().write(true).open(path)?.set_len(random.below(length as usize) as u64)
        }),
        ("a flipped bit", "one to twenty random bits of its file are flipped", |path, random| {
            let mut bytes = fs::read(path)?;
            for _ in 0..1 + random.below(20) {
                let place = random.below(bytes.len());
                bytes[place] ^= 1 << random.below(8);
            }
            fs::write(path, bytes)
        }),
        ("a torn page", "half of a random page is zeros", |path, random| {
            let mut bytes = fs::read(path)?;
            let page = random.below(bytes.len() / 4096) * 4096;
            bytes[page + 2048..page + 4096].fill(0);
            fs::write(path, bytes)
        }),
        ("another file", "its file is none of a ledger", |path, _| {
            fs::write(path, "no ledger ".repeat(1000))
        }),
    ];
    for (what, how, damage) in damages {
        kinds.push(kind(&format!("ledger: {what}"), how, move |world| {
            for _ in 0..2 {
                let running = world.start_and_put();
                world.wait_for_all()?;
                if world.random.below(2) == 0 {
                    running.kill();
                } else {
                    world.expect_clean(running)?;
                }
                damage(&world.ledger(), &mut world.random).map_err(text)?;
            }
            Ok(())
        }));
    }
    kinds.extend([
        kind("ledger: an older one", "a copy of an earlier one takes its place", |world| {
            let running = world.start_and_put();
            world.wait_for_all()?;
            world.expect_clean(running)?;
            let copy = fs::read(world.ledger()).map_err(text)?;
            let running = world.start_and_put();
            world.wait_for_all()?;
            running.kill();
            fs::write(world.ledger(), copy).map_err(text)
        }),
        kind(
            "ledger: of a newer version",
            "it is refused by name and left as it is, until the right one is back",
            |world| {
                let running = world.start_and_put();
                world.wait_for_all()?;
                world.expect_clean(running)?;
                let mark = world.ledger().with_extension("lock");
                let right = fs::read(&mark).map_err(text)?;
                fs::write(&mark, mark_of_version(99)).map_err(text)?;
                let refused = world.setting.run(&["run", &world.pipeline]);
                if refused.code == Some(0) || !refused.stderr.contains("version 99") {
                    return Err(format!("it was not refused: {:?}\n{}", refused.code, refused.stderr));
                }
                fs::write(&mark, right).map_err(text)
            },
        ),
    ]);
    kinds
}

/// Damages a ledger's file.
type Damage = fn(&Path, &mut Random) -> std::io::Result<()>;

/// A row of the table. Afterwards all that is left is read by another process.
fn kind(
    name: &str,
    how: &'static str,
    run: impl Fn(&mut World) -> Result<(), String> + Send + Sync + 'static,
) -> Kind {
    let run = move |seed: u64| {
        let mut world = World::new(seed);
        run(&mut world)?;
        world.drain()?;
        let broken = compare(&world.elasticsearch, &world.issued, GROUP);
        Ok(Tally { issued: world.issued.len(), broken })
    };
    Kind { name: name.to_owned(), how, outcome: "all stored".to_owned(), run: Box::new(run) }
}

impl World {
    fn new(seed: u64) -> Self {
        let (cloudwatch, elasticsearch) = (FakeCloudWatch::start(), FakeElasticsearch::start());
        cloudwatch.create_group(GROUP);
        let (setting, pipeline) = setting(&cloudwatch, &elasticsearch);
        copy_private(&COMPILED, &setting.folder().join("state/cache"));
        World { cloudwatch, elasticsearch, random: Random(seed), setting, pipeline, issued: BTreeMap::new() }
    }

    fn ledger(&self) -> PathBuf {
        self.setting.folder().join("state/ledger.redb")
    }

    /// Puts events of the last hour, some of which become visible late.
    fn put(&mut self, count: usize) {
        let calls = self.cloudwatch.call_count() as u64;
        for _ in 0..count {
            let n = self.issued.len() as u64;
            let time = now() - self.random.below(40 * 60_000) as i64;
            let odd = self.random.one_of(&["", "\"quoted\"", "back\\slash", "日本 é", "\u{1F600}"]);
            let message = format!("word {n} {odd}");
            let visible = match self.random.below(4) {
                0 => Visible::AfterCalls(calls + self.random.below(20) as u64),
                _ => Visible::Now,
            };
            let event_id = self.cloudwatch.put_visible(GROUP, "s", time, &message, visible);
            self.issued.insert(n, Issued { event_id, time, message });
        }
    }

    /// Puts events, starts a process and waits until it has delivered something.
    fn start_and_put(&mut self) -> Running {
        let count = 100 + self.random.below(100);
        self.put(count);
        let bulks = self.elasticsearch.requests().len();
        let running = self.setting.start(&["run", &self.pipeline]);
        self.elasticsearch.wait_for(PATIENCE, |seen| seen.len() > bulks);
        running
    }

    /// The same for a process that lives on when it writes beyond its limit of file sizes, as beyond the end of a disk.
    fn start_in_room(&mut self, drain_limit: Option<&str>) -> Result<Running, String> {
        let drain_limit = drain_limit.map(|limit| format!("drain_limit = \"{limit}\"\n")).unwrap_or_default();
        let text = PIPELINE.replace("workers = 2\n", &format!("workers = 2\n{drain_limit}"));
        let pipeline = self.setting.write("pipeline.toml", &text);
        self.put(150);
        let script = "trap '' XFSZ; exec \"$0\" run \"$1\"";
        let program = env!("CARGO_BIN_EXE_weir");
        let running = self.setting.start_program(
            Path::new("/bin/sh"),
            &["-c", script, program, &pipeline],
            Stdio::null(),
        );
        Ok(running)
    }

    /// Puts events until the process says that it waits for its ledger, and looks that it acknowledges nothing meanwhile.
    fn hold_until_full(&mut self, running: &Running) -> Result<(), String> {
        let started = Instant::now();
        while self.wait_of_ledger()?.is_none() {
            if started.elapsed() > PATIENCE {
                return Err(format!("it does not wait for the ledger:\n{}", running.log()));
            }
            self.put(5);
            std::thread::park_timeout(Duration::from_millis(5));
        }
        let reason = self.wait_of_ledger()?.unwrap_or_default();
        if !reason.is_empty() && !reason.contains("the disk refuses") {
            return Err(format!("it waits for something else: {reason}"));
        }
        // The line fills up: then nothing is read any more, whatever is put.
        let before = self.status()?;
        self.put(2 * MOST_UNACKNOWLEDGED as usize);
        self.pass(500_000);
        let after = self.status()?;
        if self.wait_of_ledger()?.is_none() {
            return Err("it no longer waits, though there is no room".to_owned());
        }
        let unacknowledged = after["events"]["unacknowledged"].as_u64().unwrap_or(u64::MAX);
        if before["last_commit"] != after["last_commit"] || unacknowledged > MOST_UNACKNOWLEDGED {
            return Err(format!("it goes on without a ledger: {before}, then {after}"));
        }
        Ok(())
    }

    fn status(&self) -> Result<Value, String> {
        let answer = control::ask(&self.setting.folder().join("state"), "status");
        answer.map_err(|error| format!("{error:#}"))?.ok_or_else(|| "no process answers".to_owned())
    }

    /// What the ledger waits for, as the process says.
    fn wait_of_ledger(&self) -> Result<Option<String>, String> {
        let status = self.status()?;
        let waits = status["waiting"].as_array().cloned().unwrap_or_default();
        let of_ledger = waits.into_iter().find(|wait| wait["what"] == "ledger");
        Ok(of_ledger.map(|wait| wait["reason"].as_str().unwrap_or_default().to_owned()))
    }

    fn wait_until_nothing_waits(&self) -> Result<(), String> {
        let started = Instant::now();
        while self.wait_of_ledger()?.is_some() {
            if started.elapsed() > PATIENCE {
                return Err("it waits for the ledger, though there is room".to_owned());
            }
            std::thread::park_timeout(Duration::from_millis(10));
        }
        Ok(())
    }

    fn wait_for_all(&self) -> Result<(), String> {
        self.cloudwatch.show_all();
        let all = self.issued.len();
        let elasticsearch = &self.elasticsearch;
        match elasticsearch.wait_for(PATIENCE, |_| elasticsearch.count() >= all) {
            true => Ok(()),
            false => Err(format!("{} of {all} arrived", elasticsearch.count())),
        }
    }

    fn expect_clean(&self, running: Running) -> Result<(), String> {
        let ended = running.stop();
        // A stop that comes before the process listens for it ends it.
        match ended.code {
            Some(0) | None => Ok(()),
            code => Err(format!("it ended with {code:?}:\n{}", ended.stderr)),
        }
    }

    fn drain(&self) -> Result<(), String> {
        self.cloudwatch.show_all();
        let ended = self.setting.run(&["run", "--once", &self.pipeline]);
        if ended.code == Some(0) { Ok(()) } else { Err(format!("{:?}:\n{}", ended.code, ended.stderr)) }
    }

    /// Lets a random time pass, up to so many microseconds: the time itself is the moment of the fault.
    fn pass(&mut self, limit: usize) {
        std::thread::park_timeout(Duration::from_micros(self.random.below(limit) as u64));
    }
}

/// The environment of a process between the two services, and its pipeline.
fn setting(cloudwatch: &FakeCloudWatch, elasticsearch: &FakeElasticsearch) -> (Setting, String) {
    let mut setting = Setting::new(env!("CARGO_BIN_EXE_weir"), env!("CARGO_TARGET_TMPDIR"));
    setting.set("WEIR_CLOUDWATCH_ENDPOINT", &cloudwatch.url());
    setting.set("WEIR_ELASTICSEARCH", &elasticsearch.url());
    let pipeline = setting.write("pipeline.toml", PIPELINE);
    (setting, pipeline)
}

/// A mark (`ledger/mark.rs`) that says so.
fn mark_of_version(version: u64) -> Vec<u8> {
    use sha2::{Digest, Sha256};
    let mut bytes = b"weir led".to_vec();
    bytes.extend(version.to_be_bytes());
    bytes.extend(1_u64.to_be_bytes());
    let digest = Sha256::digest(&bytes);
    bytes.extend(&digest[..8]);
    bytes
}

fn signal(running: &Running, signal: &str) -> Result<(), String> {
    run("kill", &[signal, &running.id().to_string()])
}

/// Changes a limit of a running process; the value after the colon, which nobody may raise again, stays.
fn limit(running: &Running, limit: &str) -> Result<(), String> {
    run("prlimit", &["--pid", &running.id().to_string(), limit])
}

fn run(program: &str, arguments: &[&str]) -> Result<(), String> {
    let ended =
        Command::new(program).args(arguments).output().map_err(|error| format!("{program}: {error}"))?;
    if ended.status.success() { Ok(()) } else { Err(String::from_utf8_lossy(&ended.stderr).into_owned()) }
}

fn text(error: std::io::Error) -> String {
    error.to_string()
}
