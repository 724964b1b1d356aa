//! Regular expressions in Ruby's dialect, run by the host over many texts at once. In a native program they are what
//! [`crate::native::install_patterns`] was given.

use crate::boundary::columns::Texts;
use crate::incoming::NO_VALUE;

/// A compiled pattern.
#[derive(Debug)]
pub struct Pattern {
    #[cfg(target_arch = "wasm32")]
    resource: crate::boundary::weir::filter::patterns::Pattern,
    #[cfg(not(target_arch = "wasm32"))]
    resource: crate::native::NativePattern,
}

/// What was found in texts.
#[derive(Clone, Debug, Default)]
pub struct Found {
    /// The places of each group; the first is the whole match. A text without a match, and a group that took no part, has
    /// none.
    pub groups: Vec<Texts>,
    /// Texts that could not be searched, and why.
    pub errors: Vec<(u32, String)>,
}

/// Texts in which matches were replaced.
#[derive(Clone, Debug)]
pub struct Replaced {
    text: String,
    places: Texts,
    /// The length of the text that was searched.
    searched: usize,
    /// Texts that could not be replaced, and why.
    pub errors: Vec<(u32, String)>,
}

impl Replaced {
    /// The new text of a number; `None` if it had no match, or could not be replaced.
    pub fn get(&self, number: usize) -> Option<&str> {
        let (start, length) = (*self.places.starts.get(number)?, *self.places.lens.get(number)?);
        if length == NO_VALUE {
            return None;
        }
        let start = (start as usize).checked_sub(self.searched)?;
        self.text.get(start..start.checked_add(length as usize)?)
    }
}

impl Pattern {
    /// Compiles a pattern.
    ///
    /// # Errors
    /// If it is none, or has what is not supported; the message says what.
    pub fn compile(pattern: &str) -> Result<Self, String> {
        #[cfg(target_arch = "wasm32")]
        let resource = crate::boundary::weir::filter::patterns::Pattern::compile(pattern)?;
        #[cfg(not(target_arch = "wasm32"))]
        let resource = crate::native::NativePattern::compile(pattern)?;
        Ok(Pattern { resource })
    }

    /// The names of its groups, by number; an empty text for one without.
    pub fn names(&self) -> Vec<String> {
        self.resource.names()
    }

    /// The first match in each text; `input` are places in `text`.
    pub fn captures(&self, input: &Texts, text: &str) -> Found {
        #[cfg(target_arch = "wasm32")]
        let found = self.resource.captures(input, text.as_bytes());
        #[cfg(not(target_arch = "wasm32"))]
        let found = self.resource.captures(input, text);
        Found { groups: found.groups, errors: found.errors }
    }

    /// Every match in each text replaced; `replacements` are places in `text` too, and Ruby's escapes work in them: `\1`,
    /// `\k<name>`, `\\`.
    pub fn replace_all(&self, input: &Texts, text: &str, replacements: &Texts) -> Replaced {
        #[cfg(target_arch = "wasm32")]
        let replaced = self.resource.replace_all(input, text.as_bytes(), replacements);
        #[cfg(not(target_arch = "wasm32"))]
        let replaced = self.resource.replace_all(input, text, replacements);
        Replaced {
            // The host answers UTF-8.
            text: String::from_utf8(replaced.text).unwrap_or_default(),
            places: replaced.places,
            searched: text.len(),
            errors: replaced.errors,
        }
    }
}
