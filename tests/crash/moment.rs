//! The moments at which a process is killed: at its start, between the questions it asks, while a bulk request is on its
//! way, between the answer and the commit, in the commit, while its filters are swapped, while it drains.

use std::path::Path;
use std::time::Duration;

use serde_json::json;
use weir::control;
use weir_test_support::Random;

use crate::world::World;
use weir_test_support::weir::Running;

/// How long the first of something is waited for: the process has to start, beside other work of the machine.
const START: Duration = Duration::from_secs(5);
/// How long the next ones are, which may not come because there is nothing left to do.
const PATIENCE: Duration = Duration::from_millis(300);

/// When a process ends, and how.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Moment {
    /// So long after its start.
    Start(Duration),
    /// So long after the n-th question to CloudWatch.
    Question(usize, Duration),
    /// So long after the n-th bulk request was answered: the commit follows there.
    Answer(usize, Duration),
    /// So long after its filters began to be swapped again and again, from the first question to CloudWatch on.
    Swap(Duration),
    /// So long after it was asked to stop, which happens after the n-th bulk request.
    Drain(usize, Duration),
    /// Not killed: asked to stop after the n-th bulk request.
    CleanStop(usize),
}

impl Moment {
    /// One of all.
    pub(crate) fn choose(random: &mut Random) -> Self {
        match random.below(20) {
            0..3 => Moment::Start(Duration::from_micros(random.below(250_000) as u64)),
            3..7 => Moment::Question(1 + random.below(12), short(random)),
            7..13 => Moment::Answer(1 + random.below(8), short(random)),
            13..15 => Moment::Swap(Duration::from_micros(random.below(200_000) as u64)),
            15..17 => Moment::Drain(1 + random.below(6), short(random)),
            _ => Moment::CleanStop(1 + random.below(8)),
        }
    }

    /// Whether the process is killed.
    pub(crate) fn is_kill(self) -> bool {
        !matches!(self, Moment::CleanStop(_))
    }

    /// Waits for the moment, and ends the process, which runs in `state_dir`. Answers whether it ended cleanly.
    ///
    /// # Errors
    /// When it ended by itself, or could not end when it was asked to.
    pub(crate) fn end(self, running: Running, state_dir: &Path, world: &World) -> Result<bool, String> {
        let questions = world.cloudwatch.call_count();
        let bulks = world.elasticsearch.requests().len();
        let wait_for_bulk = |number: usize| {
            world.elasticsearch.wait_for(START, |seen| seen.len() > bulks);
            world.elasticsearch.wait_for(PATIENCE, |seen| seen.len() >= bulks + number);
        };
        match self {
            Moment::Start(after) => wait(after),
            Moment::Question(number, after) => {
                world.cloudwatch.wait_for(START, |calls| calls.len() > questions);
                world.cloudwatch.wait_for(PATIENCE, |calls| calls.len() >= questions + number);
                wait(after);
            }
            Moment::Answer(number, after) => {
                wait_for_bulk(number);
                wait(after);
            }
            Moment::Swap(after) => {
                world.cloudwatch.wait_for(START, |calls| calls.len() > questions);
                let ended = std::thread::scope(|scope| {
                    let swapping = scope.spawn(|| swap_on_and_on(state_dir));
                    wait(after);
                    let ended = running.kill();
                    (ended, swapping.join())
                });
                return match ended {
                    (ended, Ok(Ok(()))) if ended.code.is_none() => Ok(false),
                    (_, Ok(Err(refused))) => Err(format!("a swap was refused: {refused}")),
                    (ended, _) => Err(format!("it ended by itself with {:?}:\n{}", ended.code, ended.stderr)),
                };
            }
            Moment::Drain(number, after) => {
                wait_for_bulk(number);
                running.terminate();
                wait(after);
            }
            Moment::CleanStop(number) => {
                wait_for_bulk(number);
                let ended = running.stop();
                return match ended.code {
                    Some(0) => Ok(true),
                    // It had not come as far as listening for the signal.
                    None => Ok(false),
                    code => Err(format!("asked to stop, it ended with {code:?}:\n{}", ended.stderr)),
                };
            }
        }
        let ended = running.kill();
        match ended.code {
            None => Ok(false),
            // A drain may be over before the kill.
            Some(0) if matches!(self, Moment::Drain(..)) => Ok(true),
            code => Err(format!("it ended by itself with {code:?}:\n{}", ended.stderr)),
        }
    }
}

/// Swaps filters for the same ones, each after a run beside the line, until nobody answers any more.
///
/// # Errors
/// Why a swap was refused.
fn swap_on_and_on(state_dir: &Path) -> Result<(), String> {
    for filter in ["dissect", "mutate", "local-time"].into_iter().cycle() {
        let swap = json!({ "filter": filter, "component": filter, "shadow": 1, "shadow_limit": 20 });
        let request = json!({ "request": "swap", "swap": swap });
        match control::ask_for_change(state_dir, &request, &mut |_| {}) {
            Ok(Some(_)) => {}
            // The process is gone, before the question or with it.
            Ok(None) => break,
            Err(error) if error.chain().any(|cause| cause.is::<std::io::Error>()) => break,
            Err(error) if error.chain().any(|cause| cause.is::<serde_json::Error>()) => break,
            Err(error) => return Err(format!("{error:#}")),
        }
    }
    Ok(())
}

/// Mostly a moment of microseconds, sometimes of milliseconds.
fn short(random: &mut Random) -> Duration {
    let limit = random.one_of(&[1, 300, 3_000, 30_000]);
    Duration::from_micros(random.below(limit) as u64)
}

/// A sleep is what is wanted here: the time itself is the moment.
fn wait(time: Duration) {
    std::thread::park_timeout(time);
}
