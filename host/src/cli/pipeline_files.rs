//! The pipeline files that a command is given: read, and their problems shown.

use std::path::Path;
use std::sync::Arc;

use weir::assembly::Prepared;
use weir::config::{self, Config, Problem, Problems, Secrets, Severity, SourceFile, Variables};

use super::terminal;

/// Reads a pipeline file. A configuration comes with problems too, as long as the file's syntax is right. A file that
/// cannot be read is a problem of its own.
pub(super) fn read(path: &Path, secrets: &Secrets) -> (Option<Config>, Problems) {
    match config::read_file(path, &Variables::from_environment(), secrets) {
        Ok(reading) => (reading.config, reading.problems),
        Err(error) => {
            let mut problems = Problems::new(secrets.clone());
            problems.push(Problem {
                severity: Severity::Error,
                file: Arc::new(SourceFile { name: path.display().to_string(), text: String::new() }),
                span: None,
                message: format!("cannot read the file: {error}"),
                fix: String::new(),
            });
            (None, problems)
        }
    }
}

/// Adds what a guest or the host took, but will fail on every event.
pub(super) fn add_warnings(prepared: &Prepared, problems: &mut Problems) {
    let config = &prepared.config;
    for warning in prepared.chain.warnings() {
        let Some(step) = config.filters.get(warning.step) else { continue };
        let problem = config.filter_problem(step, &warning.pointer, &warning.message, &warning.fix);
        problems.push(Problem { severity: Severity::Warning, ..problem });
    }
}

/// Prints problems to stderr, and at the end how many they are.
pub(super) fn print(problems: &Problems) {
    eprint!("{}", problems.render(terminal::stderr_takes_color()));
    let errors = problems.errors();
    if errors > 0 {
        let plural = if errors == 1 { "" } else { "s" };
        eprintln!("{}: {errors} problem{plural} found", terminal::error_label());
    }
}
