//! The options of `[input] type = "file"`.

use std::time::Duration;

use crate::config::Section;

/// When the input ends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mode {
    /// At the end of the files.
    #[default]
    Read,
    /// Never: files are followed as they grow and are rotated.
    Tail,
}

/// `[input] type = "file"`.
#[derive(Clone, Debug)]
pub struct FileOptions {
    /// `path`: patterns of paths.
    pub path: Vec<String>,
    /// `mode`.
    pub mode: Mode,
    /// `start_position = "beginning"`: files that are there at the start and not in the ledger are followed from their
    /// beginning, not from their end. In `read` mode that is always so.
    pub from_beginning: bool,
    /// `max_line_bytes`: longer lines are cut.
    pub max_line_bytes: usize,
    /// `stat_interval`: how often files that are followed are looked at.
    pub stat_interval: Duration,
    /// `discover_interval`: how often new files are looked for.
    pub discover_interval: Duration,
}

const MAX_LINE_BYTES: u64 = 2 << 20;

/// Reads the options of `[input] type = "file"`.
pub fn read_options(section: &mut Section) -> FileOptions {
    let path = read_path(section);
    let mode = match section.one_of("mode", &["read", "tail"]).as_deref() {
        Some("tail") => Mode::Tail,
        _ => Mode::Read,
    };
    let start = section.one_of("start_position", &["beginning", "end"]);
    if mode == Mode::Read && start.as_deref() == Some("end") {
        section.problem(
            "start_position",
            "files are read from their beginning in `mode = \"read\"`",
            "leave it out, or write mode = \"tail\"",
        );
    }
    let max_line_bytes = section.bytes("max_line_bytes").unwrap_or(MAX_LINE_BYTES);
    if !(1024..=64 << 20).contains(&max_line_bytes) {
        section.problem("max_line_bytes", "`max_line_bytes` is out of range", "write 1KiB to 64MiB");
    }
    FileOptions {
        path,
        mode,
        from_beginning: mode == Mode::Read || start.as_deref() == Some("beginning"),
        max_line_bytes: usize::try_from(max_line_bytes).unwrap_or(usize::MAX),
        stat_interval: section.duration("stat_interval").unwrap_or(Duration::from_secs(1)),
        discover_interval: section.duration("discover_interval").unwrap_or(Duration::from_secs(15)),
    }
}

/// Patterns are relative to the pipeline file, whose own folder is no pattern.
fn read_path(section: &mut Section) -> Vec<String> {
    let directory = glob::Pattern::escape(&section.directory().to_string_lossy());
    let mut path = Vec::new();
    for (number, pattern) in section.required_texts("path").into_iter().enumerate() {
        let from_root = if pattern.starts_with('/') || directory.is_empty() {
            pattern.clone()
        } else {
            format!("{directory}/{pattern}")
        };
        match glob::Pattern::new(&from_root) {
            Ok(_) => path.push(from_root),
            Err(error) => section.element_problem(
                "path",
                number,
                &format!("{pattern:?} is no pattern of paths: {}", error.msg),
                "write a path, with *, ?, [abc] and ** as in a shell",
            ),
        }
    }
    path
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, problems: &[&str]) -> FileOptions {
        let mut section = Section::parse(text);
        let options = read_options(&mut section);
        let found = section.into_problems();
        assert_eq!(found.len(), problems.len(), "{text}: {found:?}");
        for (found, expected) in found.iter().zip(problems) {
            assert!(found.contains(expected), "{text}: {found}");
        }
        options
    }

    #[test]
    fn forms_and_mistakes() {
        let options = check("path = [\"/var/log/*.log\", \"logs/**/a?.gz\"]", &[]);
        assert_eq!(options.path, ["/var/log/*.log", "./logs/**/a?.gz"]);
        assert_eq!((options.mode, options.from_beginning), (Mode::Read, true));
        let options = check("path = \"a\"\nmode = \"tail\"", &[]);
        assert_eq!((options.mode, options.from_beginning), (Mode::Tail, false));
        assert!(check("path = \"a\"\nmode = \"tail\"\nstart_position = \"beginning\"", &[]).from_beginning);
        check("", &["path"]);
        check("path = \"a[\"", &["no pattern of paths"]);
        check("path = \"a\"\nstart_position = \"end\"", &["from their beginning"]);
        check("path = \"a\"\nmax_line_bytes = 5", &["out of range"]);
    }
}
