//! How much a folder of dead letters may hold, how long, and what happens when it is full: the options
//! `[pipeline.dead_letter]`. Keeping to them is left to `folder`.

use std::path::PathBuf;
use std::time::Duration;

use crate::config::Section;
use crate::output::RetryWaits;

/// A segment is as long as this, or an eighth of what the folder may hold where that is less.
const SEGMENT_BYTES: u64 = 16 << 20;
const TOTAL_BYTES: u64 = 1 << 30;

/// What happens to a letter for which there is no room.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum WhenFull {
    /// The line waits until some are replayed or removed: nothing is lost.
    #[default]
    Block,
    /// The oldest segments are removed, which is logged and counted.
    DropOldest,
    /// The letter itself is dropped, and counted.
    DropNewest,
}

/// How much a folder of dead letters may hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DeadLetterLimits {
    /// A segment that is longer gets no more lines.
    pub segment_bytes: u64,
    /// All segments together. One write into an empty folder may be longer.
    pub total_bytes: u64,
    /// Segments whose newest letter is older are removed.
    pub max_age: Option<Duration>,
    /// What happens when they are longer.
    pub when_full: WhenFull,
    /// The waits for room, and after a failed write.
    pub waits: RetryWaits,
}

impl Default for DeadLetterLimits {
    fn default() -> Self {
        let waits = RetryWaits { initial: Duration::from_secs(1), max: Duration::from_secs(16) };
        DeadLetterLimits {
            segment_bytes: SEGMENT_BYTES,
            total_bytes: TOTAL_BYTES,
            max_age: None,
            when_full: WhenFull::Block,
            waits,
        }
    }
}

/// A pipeline's dead letters, as its file says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DeadLetterOptions {
    /// Their folder; `None`: in the `state_dir`.
    pub path: Option<PathBuf>,
    /// What it may hold.
    pub limits: DeadLetterLimits,
}

/// Reads `dead_letter` of the section `[pipeline]`.
pub fn read_options(pipeline: &mut Section) -> DeadLetterOptions {
    let mut options = DeadLetterOptions::default();
    let Some(mut section) = pipeline.section("dead_letter") else { return options };
    options.path = section.path("path");
    let limits = &mut options.limits;
    limits.total_bytes = section.bytes("max_size").unwrap_or(TOTAL_BYTES);
    limits.segment_bytes =
        section.bytes("segment_size").unwrap_or_else(|| SEGMENT_BYTES.min((limits.total_bytes / 8).max(1)));
    limits.max_age = section.duration("max_age");
    if limits.segment_bytes == 0 || limits.segment_bytes > limits.total_bytes / 2 {
        let (key, fix) = match section.is_set("segment_size") {
            true => ("segment_size", "write a size up to half of max_size, such as \"16MiB\""),
            false => ("max_size", "write a larger size, such as \"1GiB\""),
        };
        section.problem(key, "segments must be shorter than half of what the folder may hold", fix);
    }
    if limits.max_age.is_some_and(|age| age.is_zero()) {
        section.problem("max_age", "`max_age` is 0", "write it like \"30d\", or leave it out");
    }
    limits.when_full = match section.one_of("when_full", &["block", "drop_oldest", "drop_newest"]).as_deref()
    {
        Some("drop_oldest") => WhenFull::DropOldest,
        Some("drop_newest") => WhenFull::DropNewest,
        _ => WhenFull::Block,
    };
    options
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: Result<(u64, u64, Option<u64>, WhenFull), &str>) {
        let mut section = Section::parse(text);
        let limits = read_options(&mut section).limits;
        let problems = section.into_problems();
        match expected {
            Ok(expected) => {
                assert_eq!(problems, Vec::<String>::new(), "{text}");
                let age = limits.max_age.map(|age| age.as_secs());
                assert_eq!((limits.segment_bytes, limits.total_bytes, age, limits.when_full), expected);
            }
            Err(part) => assert!(problems.iter().any(|problem| problem.contains(part)), "{problems:?}"),
        }
    }

    #[test]
    fn limits_are_read_and_checked() {
        check("", Ok((16 << 20, 1 << 30, None, WhenFull::Block)));
        check("dead_letter.max_size = \"8MiB\"", Ok((1 << 20, 8 << 20, None, WhenFull::Block)));
        check(
            "dead_letter = { segment_size = 100, max_size = 1000, max_age = \"2d\", when_full = \"drop_oldest\" }",
            Ok((100, 1000, Some(172_800), WhenFull::DropOldest)),
        );
        check("dead_letter.when_full = \"drop\"", Err("drop"));
        check("dead_letter = { segment_size = 600, max_size = 1000 }", Err("half"));
        check("dead_letter.max_size = 1", Err("half"));
        check("dead_letter.max_age = 0", Err("max_age"));
        check("dead_letter.folder = \"x\"", Err("folder"));
    }
}
