//! What inputs count beside events: what was not as it should be, and what it cost. Showing the numbers is left to
//! others.

use std::sync::atomic::{AtomicU64, Ordering};

/// Numbers of one input since it was opened.
#[derive(Debug, Default)]
pub struct InputCounters {
    /// Events whose text was no UTF-8: what was not is replaced by U+FFFD.
    pub invalid_utf8: AtomicU64,
    /// Lines that were longer than `max_line_bytes` and were cut.
    pub cut_lines: AtomicU64,
    /// Texts that the codec could not read.
    pub codec_failures: AtomicU64,
    /// Events that were read again and left out, since they were delivered before.
    pub known_events: AtomicU64,
    /// Requests to the service.
    pub requests: AtomicU64,
    /// Requests that the service refused for their number.
    pub throttled: AtomicU64,
    /// Requests that failed for another reason and were made again.
    pub failed_requests: AtomicU64,
}

impl InputCounters {
    /// All of them with their names.
    pub fn values(&self) -> [(&'static str, u64); 7] {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        [
            ("invalid_utf8", read(&self.invalid_utf8)),
            ("cut_lines", read(&self.cut_lines)),
            ("codec_failures", read(&self.codec_failures)),
            ("known_events", read(&self.known_events)),
            ("requests", read(&self.requests)),
            ("throttled", read(&self.throttled)),
            ("failed_requests", read(&self.failed_requests)),
        ]
    }
}
