//! `limits` of a filter: what its guest may use. Holding it to them is left to `filter`.

use std::time::Duration;

use super::section::Section;

/// The most events that a filter may be allowed to add to a batch; as many as the largest batch has.
const MOST_ROWS: i64 = 65_536;

/// What a guest may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The time for one batch.
    pub deadline: Duration,
    /// The memory of an instance, in bytes. Its tables count too.
    pub memory: u64,
    /// What it may answer to one batch, in bytes: its text, and what it says of fields and events.
    pub output: u64,
    /// The events that it may add to one batch.
    pub rows: usize,
    /// The lines that it may log in a second, all workers together.
    pub log_lines: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            deadline: Duration::from_secs(1),
            memory: 64 << 20,
            output: 32 << 20,
            rows: 65_536,
            log_lines: 10,
        }
    }
}

/// Reads the key. What is not written is the default; that of `output` is half of the memory.
pub(super) fn read_limits(section: &mut Section) -> Limits {
    let mut limits = Limits::default();
    let Some(mut section) = section.section("limits") else { return limits };
    if let Some(deadline) = section.duration("deadline") {
        if deadline < Duration::from_millis(20) || deadline > Duration::from_secs(3600) {
            section.problem("deadline", "`deadline` is out of range", "it must be from 20ms to 1h");
        }
        limits.deadline = deadline;
    }
    if let Some(memory) = section.bytes("memory") {
        if !(1 << 20..=4 << 30).contains(&memory) {
            section.problem("memory", "`memory` is out of range", "it must be from 1MiB to 4GiB");
        }
        limits.memory = memory;
        limits.output = memory / 2;
    }
    if let Some(output) = section.bytes("output") {
        if !(1 << 10..=4 << 30).contains(&output) {
            section.problem("output", "`output` is out of range", "it must be from 1KiB to 4GiB");
        } else if output > limits.memory {
            let message = "`output` is larger than the memory that an answer is made in";
            section.problem("output", message, "raise `memory`, or lower `output`");
        }
        limits.output = output;
    }
    if let Some(rows) = section.integer_in("rows", 0..=MOST_ROWS) {
        limits.rows = usize::try_from(rows).unwrap_or(limits.rows);
    }
    if let Some(lines) = section.integer_in("log_lines", 0..=1000) {
        limits.log_lines = u32::try_from(lines).unwrap_or(limits.log_lines);
    }
    limits
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> (Limits, Vec<String>) {
        let mut section = Section::parse(text);
        let limits = read_limits(&mut section);
        (limits, section.into_problems())
    }

    #[test]
    fn what_is_not_written_is_the_default() {
        assert_eq!(read(""), (Limits::default(), Vec::new()));
        let (limits, problems) = read("limits = { memory = \"16MiB\", rows = 0, log_lines = 100 }");
        assert_eq!(problems, [""; 0]);
        let expected =
            Limits { memory: 16 << 20, output: 8 << 20, rows: 0, log_lines: 100, ..Limits::default() };
        assert_eq!(limits, expected);
    }

    #[test]
    fn what_cannot_be_meant_is_refused() {
        let check = |written: &str, expected: &str| {
            let (_, problems) = read(&format!("limits = {{ {written} }}"));
            assert!(problems.len() == 1 && problems[0].contains(expected), "{written}: {problems:?}");
        };
        check("deadline = \"1ms\"", "from 20ms to 1h");
        check("memory = \"8GiB\"", "from 1MiB to 4GiB");
        check("output = 0", "from 1KiB to 4GiB");
        check("output = \"65MiB\"", "larger than the memory");
        check("rows = 70000", "from 0 to 65536");
        check("log_lines = -1", "from 0 to 1000");
        check("lines = 5", "unknown key");
    }
}
