//! What a process costs: its processor time, its memory and how long it took.

use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

/// What a process that has ended took.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Usage {
    /// User and system time of all its threads.
    pub(crate) processor: Duration,
    /// From its start to its end.
    pub(crate) elapsed: Duration,
    /// The most memory it had, in bytes; looked at every 20 ms, as is the next.
    pub(crate) memory: u64,
    /// The most memory it had that is no file's, in bytes.
    pub(crate) anonymous: u64,
}

/// Runs a program to its end. It inherits the processors of this thread ([`pin`]).
///
/// # Errors
/// When it cannot be started or does not end well.
pub(crate) fn run(command: &mut Command) -> Result<Usage> {
    let began = Instant::now();
    let child = command.spawn().with_context(|| format!("{command:?} cannot be started"))?;
    let id = child.id();
    let ended = AtomicBool::new(false);
    let (waited, elapsed, (memory, anonymous)) = std::thread::scope(|scope| {
        let watch = scope.spawn(|| {
            let (mut memory, mut anonymous) = (0, 0);
            while !ended.load(Ordering::Relaxed) {
                // What wait4 says of it is at least what this process had when it began the other one.
                memory = memory.max(status_bytes(id, "VmHWM:").unwrap_or(0));
                anonymous = anonymous.max(anonymous_bytes(id).unwrap_or(0));
                std::thread::park_timeout(Duration::from_millis(20));
            }
            (memory, anonymous)
        });
        let waited = wait(id);
        let elapsed = began.elapsed();
        ended.store(true, Ordering::Relaxed);
        watch.thread().unpark();
        (waited, elapsed, watch.join().unwrap_or((0, 0)))
    });
    let (status, processor) = waited?;
    if status != 0 {
        bail!("{command:?} ended with status {status}");
    }
    Ok(Usage { processor, elapsed, memory, anonymous })
}

/// Waits for a child of this process; answers its status and its processor time. (The standard library waits too, but does
/// not say what children took.)
pub(crate) fn wait(id: u32) -> Result<(i32, Duration)> {
    let mut status = 0;
    // SAFETY: rusage is plain numbers, for which zero is a value.
    let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
    // SAFETY: both pointers are to live variables of the types that wait4 writes. The child is this process's own, and
    // nobody else waits for it: its `Child` is only asked for its number.
    let waited = unsafe { libc::wait4(id.cast_signed(), &mut status, 0, &mut usage) };
    if waited != id.cast_signed() {
        return Err(std::io::Error::last_os_error()).context("waiting for a process");
    }
    let time = |time: libc::timeval| Duration::new(time.tv_sec as u64, time.tv_usec as u32 * 1000);
    Ok((status, time(usage.ru_utime) + time(usage.ru_stime)))
}

/// The memory of a process that is no file's, at this moment.
pub(crate) fn anonymous_bytes(process: u32) -> Option<u64> {
    status_bytes(process, "RssAnon:")
}

fn status_bytes(process: u32, key: &str) -> Option<u64> {
    let text = std::fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let line = text.lines().find(|line| line.starts_with(key))?;
    let kibibytes: u64 = line.split_ascii_whitespace().nth(1)?.parse().ok()?;
    Some(kibibytes * 1024)
}

/// Keeps this thread, and what it starts from now on, on the first two of its processors; answers how many they are.
pub(crate) fn pin() -> Result<usize> {
    // SAFETY: a cpu_set_t is plain bits, for which zero is a value.
    let mut allowed: libc::cpu_set_t = unsafe { std::mem::zeroed() };
    // SAFETY: as above.
    let mut chosen: libc::cpu_set_t = unsafe { std::mem::zeroed() };
    let size = size_of::<libc::cpu_set_t>();
    // SAFETY: the pointer is to a live set of the size that is said; 0 is this thread.
    if unsafe { libc::sched_getaffinity(0, size, &mut allowed) } != 0 {
        return Err(std::io::Error::last_os_error()).context("asking for the processors");
    }
    let mut count = 0;
    for processor in 0..libc::CPU_SETSIZE as usize {
        // SAFETY: the number is below the set's size.
        if count < 2 && unsafe { libc::CPU_ISSET(processor, &allowed) } {
            // SAFETY: as above.
            unsafe { libc::CPU_SET(processor, &mut chosen) };
            count += 1;
        }
    }
    // SAFETY: as for sched_getaffinity.
    if unsafe { libc::sched_setaffinity(0, size, &chosen) } != 0 {
        return Err(std::io::Error::last_os_error()).context("choosing processors");
    }
    Ok(count)
}

/// The processor time of this thread.
pub(crate) fn thread_time() -> Duration {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the pointer is to a live timespec, and the clock is one that Linux has.
    unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &mut time) };
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}
