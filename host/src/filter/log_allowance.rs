//! How much may be logged about one filter: so many lines a second, whoever of its workers and instances writes them. What is
//! too much is left out and counted, and the next line that is written says how much that was.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// The time for which lines are counted.
const WINDOW: Duration = Duration::from_secs(1);

/// The lines that may be written.
#[derive(Debug)]
pub(super) struct LogAllowance {
    most: u32,
    written: Mutex<Written>,
}

#[derive(Debug, Default)]
struct Written {
    window: Option<Instant>,
    lines: u32,
    suppressed: u64,
}

impl LogAllowance {
    /// So many lines a second.
    pub(super) fn new(most: u32) -> Self {
        LogAllowance { most, written: Mutex::default() }
    }

    /// Whether a line may be written now, and then how many were left out since the last that was.
    pub(super) fn take(&self) -> Option<u64> {
        self.take_at(Instant::now())
    }

    fn take_at(&self, now: Instant) -> Option<u64> {
        let mut written = self.written.lock().unwrap_or_else(PoisonError::into_inner);
        if written.window.is_none_or(|start| now.saturating_duration_since(start) >= WINDOW) {
            written.window = Some(now);
            written.lines = 0;
        }
        if written.lines >= self.most {
            written.suppressed = written.suppressed.saturating_add(1);
            return None;
        }
        written.lines += 1;
        Some(std::mem::take(&mut written.suppressed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_of_lines_is_cut() {
        let allowance = LogAllowance::new(10);
        let start = Instant::now();
        let written = (0..1000).filter(|_| allowance.take_at(start).is_some()).count();
        assert_eq!(written, 10);
        assert_eq!(allowance.take_at(start + WINDOW), Some(990));
        assert_eq!(allowance.take_at(start), Some(0), "another worker's clock may be a little behind");
        assert_eq!(LogAllowance::new(0).take_at(start), None);
    }
}
