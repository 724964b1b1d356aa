//! Files, line by line: to their ends, or followed as they grow.

use anyhow::{Result, bail};

use super::{Input, InputContext};
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
    /// `path`: patterns of paths, absolute.
    pub path: Vec<String>,
    /// `mode`.
    pub mode: Mode,
    /// `start_position = "beginning"`: files that are there at the start and not in the ledger are followed from their
    /// beginning, not from their end. In `read` mode that is always so.
    pub from_beginning: bool,
    /// `max_line_bytes`: longer lines are cut.
    pub max_line_bytes: usize,
}

const MAX_LINE_BYTES: u64 = 2 << 20;

/// Reads the options of `[input] type = "file"`.
pub fn read_options(section: &mut Section) -> FileOptions {
    let directory = glob::Pattern::escape(&section.directory().to_string_lossy());
    let mut path = Vec::new();
    for (number, pattern) in section.required_texts("path").into_iter().enumerate() {
        let absolute = match pattern.starts_with('/') {
            true => pattern.clone(),
            false => format!("{directory}/{pattern}"),
        };
        match glob::Pattern::new(&absolute) {
            Ok(_) => path.push(absolute),
            Err(error) => section.element_problem(
                "path",
                number,
                &format!("{pattern:?} is no pattern of paths: {}", error.msg),
                "write a path, with *, ?, [abc] and ** as in a shell",
            ),
        }
    }
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
    }
}

/// Opens the files.
///
/// # Errors
/// In `read` mode when no file is there.
pub async fn open(_options: FileOptions, _context: InputContext) -> Result<impl Input + use<>> {
    bail!("files are not read yet") as Result<super::sample::Sample>
}
