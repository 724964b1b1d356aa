//! Mistakes in a filter's options: what is wrong, where, and how to mend it. All are told at once.

use crate::boundary::exported::Problem as BoundaryProblem;

/// One mistake in the options.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// A JSON pointer into the options, such as `/mapping/message`; empty: the filter as a whole.
    pub pointer: String,
    /// What is wrong: lower case, names the thing, says what was expected.
    pub message: String,
    /// How to mend it; may be empty.
    pub fix: String,
}

/// Mistakes in the options.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Problems {
    list: Vec<Problem>,
}

impl Problems {
    /// No problem yet.
    pub fn new() -> Self {
        Problems::default()
    }

    /// A single problem.
    pub fn one(pointer: impl Into<String>, message: impl Into<String>, fix: impl Into<String>) -> Self {
        let mut problems = Problems::new();
        problems.push(pointer, message, fix);
        problems
    }

    /// Adds a problem.
    pub fn push(&mut self, pointer: impl Into<String>, message: impl Into<String>, fix: impl Into<String>) {
        self.list.push(Problem { pointer: pointer.into(), message: message.into(), fix: fix.into() });
    }

    /// Adds all problems of another list.
    pub fn extend(&mut self, others: Problems) {
        self.list.extend(others.list);
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// The problems, in the order in which they were found.
    pub fn iter(&self) -> impl Iterator<Item = &Problem> {
        self.list.iter()
    }

    /// `value`, if there are no problems.
    ///
    /// # Errors
    /// The problems, if there are any.
    pub fn into_result<T>(self, value: T) -> Result<T, Problems> {
        if self.list.is_empty() { Ok(value) } else { Err(self) }
    }

    pub(crate) fn into_boundary(self) -> Vec<BoundaryProblem> {
        self.list
            .into_iter()
            .map(|problem| BoundaryProblem {
                pointer: problem.pointer,
                message: problem.message,
                fix: problem.fix,
            })
            .collect()
    }
}
