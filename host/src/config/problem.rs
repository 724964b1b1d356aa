//! What is wrong with a pipeline file, where, and what to do: collected over a whole run, and shown in rustc's style or
//! as JSON. Finding the problems is left to the modules that read.

use std::ops::Range;
use std::sync::Arc;

use annotate_snippets::{AnnotationKind, Group, Level, Origin, Renderer, Snippet};
use serde_json::{Value, json};

use super::secrets::Secrets;

/// A file as it was read: its name as the user gave it, and its text.
#[derive(Debug)]
pub struct SourceFile {
    /// The name for messages.
    pub name: String,
    /// The text that spans point into.
    pub text: String,
}

impl SourceFile {
    /// Line and column (both from 1, columns in characters) of a byte of the text.
    pub fn position(&self, byte: usize) -> (usize, usize) {
        let mut byte = byte.min(self.text.len());
        while !self.text.is_char_boundary(byte) {
            byte -= 1;
        }
        let before = &self.text[..byte];
        let line_start = before.rfind('\n').map_or(0, |at| at + 1);
        (before.matches('\n').count() + 1, before[line_start..].chars().count() + 1)
    }
}

/// Whether a problem keeps the pipeline from running.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severity {
    /// It does not run.
    Error,
    /// It runs, perhaps not as meant.
    Warning,
}

/// One thing that is wrong.
#[derive(Clone, Debug)]
pub struct Problem {
    /// Error or warning.
    pub severity: Severity,
    /// The file.
    pub file: Arc<SourceFile>,
    /// The bytes of the file's text that it is about; `None`: the file as a whole.
    pub span: Option<Range<usize>>,
    /// What is wrong: lower case, no full stop.
    pub message: String,
    /// What to do; may be empty.
    pub fix: String,
}

/// All problems of a run.
#[derive(Debug, Default)]
pub struct Problems {
    list: Vec<Problem>,
    secrets: Secrets,
}

impl Problems {
    /// No problems yet. What `secrets` knows is masked when they are shown.
    pub fn new(secrets: Secrets) -> Self {
        Problems { list: Vec::new(), secrets }
    }

    /// Adds one. The same problem at the same place is kept once.
    pub fn push(&mut self, problem: Problem) {
        let known = self.list.iter().any(|other| {
            Arc::ptr_eq(&other.file, &problem.file)
                && other.span == problem.span
                && other.message == problem.message
        });
        if !known {
            self.list.push(problem);
        }
    }

    /// Adds those of another file or step.
    pub fn extend(&mut self, others: Problems) {
        for problem in others.list {
            self.push(problem);
        }
    }

    /// The problems so far.
    pub fn list(&self) -> &[Problem] {
        &self.list
    }

    /// How many are errors.
    pub fn errors(&self) -> usize {
        self.list.iter().filter(|problem| problem.severity == Severity::Error).count()
    }

    /// Sorts by place: files in the order in which they came, then by line and column.
    pub fn sort(&mut self) {
        let mut files: Vec<Arc<SourceFile>> = Vec::new();
        for problem in &self.list {
            if !files.iter().any(|file| Arc::ptr_eq(file, &problem.file)) {
                files.push(problem.file.clone());
            }
        }
        self.list.sort_by_key(|problem| {
            let file = files.iter().position(|file| Arc::ptr_eq(file, &problem.file));
            (file, problem.span.as_ref().map_or(0, |span| span.start))
        });
    }

    /// All of them in rustc's style, with an empty line after each.
    pub fn render(&self, color: bool) -> String {
        let renderer = if color { Renderer::styled() } else { Renderer::plain() };
        let mut text = String::new();
        for problem in &self.list {
            text.push_str(&self.render_one(problem, &renderer));
            text.push_str("\n\n");
        }
        text
    }

    fn render_one(&self, problem: &Problem, renderer: &Renderer) -> String {
        let level = match problem.severity {
            Severity::Error => Level::ERROR,
            Severity::Warning => Level::WARNING,
        };
        let message = self.secrets.mask(&problem.message);
        let fix = self.secrets.mask(&problem.fix);
        let source = self.secrets.mask_source(&problem.file.text);
        let mut group = Group::with_title(level.primary_title(message.as_ref()));
        group = match &problem.span {
            Some(span) => group.element(
                Snippet::source(source.as_ref())
                    .path(problem.file.name.as_str())
                    .annotation(AnnotationKind::Primary.span(within(span, &source))),
            ),
            None => group.element(Origin::path(problem.file.name.as_str())),
        };
        if !fix.is_empty() {
            group = group.element(Level::HELP.message(fix.as_ref()));
        }
        renderer.render(&[group])
    }

    /// All of them as a JSON list of `{severity, file, line, column, end_line, end_column, message, fix}`; places are
    /// from 1, and null for the file as a whole.
    pub fn to_json(&self) -> Value {
        let list = self.list.iter().map(|problem| {
            let place = problem.span.as_ref().map(|span| {
                (problem.file.position(span.start), problem.file.position(span.end.max(span.start)))
            });
            json!({
                "severity": match problem.severity { Severity::Error => "error", Severity::Warning => "warning" },
                "file": problem.file.name,
                "line": place.map(|((line, _), _)| line),
                "column": place.map(|((_, column), _)| column),
                "end_line": place.map(|(_, (line, _))| line),
                "end_column": place.map(|(_, (_, column))| column),
                "message": self.secrets.mask(&problem.message),
                "fix": self.secrets.mask(&problem.fix),
            })
        });
        Value::Array(list.collect())
    }
}

/// The span cut to the text, and at least one letter wide where there is one.
fn within(span: &Range<usize>, text: &str) -> Range<usize> {
    let start = span.start.min(text.len());
    let end = span.end.clamp(start, text.len());
    if start < end {
        return start..end;
    }
    let next = text[start..].chars().next().filter(|letter| *letter != '\n').map_or(0, char::len_utf8);
    start..start + next
}
