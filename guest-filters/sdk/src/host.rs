//! What every filter may ask of the host. In a native program (tests) the answers come from [`crate::native`].

/// How much a log line matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// For who looks for a mistake.
    Debug,
    /// Something that is good to know.
    Info,
    /// Something that should be looked at.
    Warn,
    /// Something that is broken.
    Error,
}

/// Writes to the host's log, which limits how often it takes a line.
pub fn log(level: Level, message: &str) {
    #[cfg(target_arch = "wasm32")]
    {
        use crate::boundary::weir::filter::host;
        let level = match level {
            Level::Debug => host::Level::Debug,
            Level::Info => host::Level::Info,
            Level::Warn => host::Level::Warn,
            Level::Error => host::Level::Error,
        };
        host::log(level, message);
    }
    #[cfg(not(target_arch = "wasm32"))]
    crate::native::log(level, message);
}

/// Adds to one of the filter's counters. [`crate::Event::count`] is cheaper for what is counted by event.
pub fn count(metric: &str, by: u64) {
    #[cfg(target_arch = "wasm32")]
    crate::boundary::weir::filter::host::count(metric, by);
    #[cfg(not(target_arch = "wasm32"))]
    crate::native::count(metric, by);
}

/// Nanoseconds since 1970-01-01T00:00:00Z; the same for a whole batch.
pub fn now() -> i64 {
    #[cfg(target_arch = "wasm32")]
    return crate::boundary::weir::filter::host::now();
    #[cfg(not(target_arch = "wasm32"))]
    crate::native::now()
}

/// Random bytes, at most 65,536 of them; the same ones in every run of a test case.
pub fn random(bytes: u32) -> Vec<u8> {
    #[cfg(target_arch = "wasm32")]
    return crate::boundary::weir::filter::host::random(bytes);
    #[cfg(not(target_arch = "wasm32"))]
    crate::native::random(bytes)
}
