//! Regular expressions in Ruby's dialect, as Logstash has them: what `=~` and `!~` of conditions, and filters through the
//! kernel `patterns`, search with. One pattern is read once (`parse`) and runs in one of two ways: as an automaton, in time
//! that grows with the text only, or step by step (`search`) where it has what no automaton can do: references, look-around,
//! atomic groups. Both give the same matches, and everything they may cost is bounded.
//!
//! Whose steps count against which deadline is left to the callers. What Ruby knows and this does not (calls of groups, the
//! absent operator, references with a level) is refused when a pattern is compiled, by name.

mod automaton;
mod bracket;
mod escape;
mod fold;
mod parse;
mod program;
mod replacement;
mod search;
mod sets;
mod tree;

use std::ops::Range;
use std::sync::Arc;

use regex_automata::util::primitives::NonMaxUsize;

pub use replacement::Replacement;
pub use search::{Budget, GivenUp};

use automaton::Automaton;
use program::Program;
use replacement::append;
use search::Memory;

/// The longest pattern, in bytes.
const LONGEST: usize = 16 << 10;

/// The steps that a search in any text may take, and those for each byte of it.
const STEPS: u64 = 1_000_000;
const STEPS_A_BYTE: u64 = 16;

/// What is said of a search that took too many steps.
pub const TOO_MANY_STEPS: &str = "a regular expression was given up: it takes too many steps";

/// A compiled pattern. Cloning is cheap.
#[derive(Clone, Debug)]
pub struct Pattern {
    compiled: Arc<Compiled>,
}

#[derive(Debug)]
struct Compiled {
    automaton: Option<Automaton>,
    program: Program,
    names: Vec<Option<String>>,
}

/// What a search found; to be used again, as making it anew costs.
#[derive(Debug, Default)]
pub struct Found {
    memory: Memory,
    slots: Vec<Option<NonMaxUsize>>,
    groups: Vec<Option<Range<usize>>>,
}

/// Why a text was not replaced.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NotReplaced {
    /// The time was up.
    Deadline,
    /// Something about this text.
    Text(String),
}

impl Found {
    /// The places of the groups, the whole match first; `None` for one that took no part.
    pub fn groups(&self) -> &[Option<Range<usize>>] {
        &self.groups
    }
}

impl Pattern {
    /// Compiles a pattern.
    ///
    /// # Errors
    /// With what is wrong with it, or what in it is not supported.
    pub fn compile(pattern: &str) -> Result<Self, String> {
        if pattern.len() > LONGEST {
            return Err(format!(
                "a regular expression of {} bytes is too long, at most {LONGEST} are taken",
                pattern.len()
            ));
        }
        let named =
            |problem: String| format!("/{pattern}/ is no regular expression that can be used: {problem}");
        let parsed = parse::parse(pattern).map_err(named)?;
        let program = Program::compile(&parsed.node, parsed.names.len()).map_err(named)?;
        let automaton = Automaton::compile(&parsed.node);
        Ok(Pattern { compiled: Arc::new(Compiled { automaton, program, names: parsed.names }) })
    }

    /// The names of its groups, the whole match first; an empty text for one without.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        std::iter::once("").chain(self.compiled.names.iter().map(|name| name.as_deref().unwrap_or_default()))
    }

    fn has_names(&self) -> bool {
        self.compiled.names.iter().any(Option::is_some)
    }

    /// What a search in so long a text may cost.
    pub fn steps(length: usize) -> u64 {
        STEPS.saturating_add(STEPS_A_BYTE.saturating_mul(length as u64))
    }

    /// Whether the text has a match anywhere.
    ///
    /// # Errors
    /// When the search is given up because it takes too many steps.
    pub fn is_match(&self, text: &str) -> Result<bool, String> {
        if let Some(automaton) = self.automaton_for(text) {
            return Ok(automaton.is_match(text, 0));
        }
        let mut budget = Budget::new(Pattern::steps(text.len()), None);
        search::search(&self.compiled.program, text, 0, &mut budget, &mut Memory::default())
            .map_err(|_| TOO_MANY_STEPS.to_owned())
    }

    /// Finds the first match from a place on, which is on a character boundary.
    ///
    /// # Errors
    /// When the search is given up.
    pub fn find(
        &self,
        text: &str,
        from: usize,
        budget: &mut Budget,
        found: &mut Found,
    ) -> Result<bool, GivenUp> {
        let groups = self.compiled.names.len() + 1;
        found.groups.clear();
        if let Some(automaton) = self.automaton_for(text) {
            budget.take(1 + (text.len().saturating_sub(from) / 64) as u64)?;
            budget.look_at_clock()?;
            if !automaton.find(text, from, &mut found.slots) {
                return Ok(false);
            }
            let slot = |slot: usize| found.slots.get(slot).copied().flatten().map(NonMaxUsize::get);
            found.groups.extend((0..groups).map(|group| Some(slot(2 * group)?..slot(2 * group + 1)?)));
            return Ok(true);
        }
        if !search::search(&self.compiled.program, text, from, budget, &mut found.memory)? {
            return Ok(false);
        }
        let slot = |slot: usize| found.memory.slots.get(slot).copied().filter(|place| *place <= text.len());
        found.groups.extend((0..groups).map(|group| Some(slot(2 * group)?..slot(2 * group + 1)?)));
        Ok(true)
    }

    /// Writes the text with every match replaced to the end of `out`, as Ruby's `gsub`, and says whether there was one; if
    /// not, nothing is written. The text may become `most` bytes long.
    ///
    /// # Errors
    /// If the search is given up, the replacement is wrong, or the text becomes too long. What was written of it is taken
    /// back.
    pub fn replace_all(
        &self,
        text: &str,
        replacement: &Replacement,
        most: usize,
        budget: &mut Budget,
        found: &mut Found,
        out: &mut String,
    ) -> Result<bool, NotReplaced> {
        let begin = out.len();
        let replaced = self.replace(text, replacement, begin.saturating_add(most), budget, found, out);
        if !matches!(replaced, Ok(true)) {
            out.truncate(begin);
        }
        replaced
    }

    fn replace(
        &self,
        text: &str,
        replacement: &Replacement,
        most: usize,
        budget: &mut Budget,
        found: &mut Found,
        out: &mut String,
    ) -> Result<bool, NotReplaced> {
        let (mut from, mut copied) = (0, 0);
        let mut any = false;
        while self.find(text, from, budget, found)? {
            let Some(Some(whole)) = found.groups.first().cloned() else { break };
            any = true;
            budget.take(1)?;
            let between = text.get(copied..whole.start).unwrap_or_default();
            append(between, most, out).map_err(NotReplaced::Text)?;
            replacement.write(self, text, &found.groups, most, out).map_err(NotReplaced::Text)?;
            copied = whole.end;
            from = whole.end;
            if whole.is_empty() {
                // After an empty match the next character is left as it is.
                let Some(letter) = text.get(from..).and_then(|rest| rest.chars().next()) else { break };
                from += letter.len_utf8();
            }
        }
        if any {
            append(text.get(copied..).unwrap_or_default(), most, out).map_err(NotReplaced::Text)?;
        }
        Ok(any)
    }

    /// The automaton, if there is one and it ends soon.
    fn automaton_for(&self, text: &str) -> Option<&Automaton> {
        self.compiled.automaton.as_ref().filter(|automaton| automaton.is_quick(text.len()))
    }
}

impl From<GivenUp> for NotReplaced {
    fn from(given_up: GivenUp) -> Self {
        match given_up {
            GivenUp::Deadline => NotReplaced::Deadline,
            GivenUp::Steps => NotReplaced::Text(TOO_MANY_STEPS.to_owned()),
        }
    }
}

#[cfg(test)]
mod tests;
