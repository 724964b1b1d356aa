//! Regular expressions in Ruby's dialect, run by the host over whole columns. In a native program they are what
//! [`crate::native::install_patterns`] was given.

use crate::boundary::columns::Texts;

/// A compiled pattern.
#[derive(Debug)]
pub struct Pattern {
    #[cfg(target_arch = "wasm32")]
    resource: crate::boundary::weir::filter::patterns::Pattern,
    #[cfg(not(target_arch = "wasm32"))]
    resource: crate::native::NativePattern,
}

impl Pattern {
    /// Compiles a pattern.
    ///
    /// # Errors
    /// If it is none; the message says where.
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

    /// The places of each group in each row's text; a row that does not match, and a group that took no part, has none.
    ///
    /// # Errors
    /// If a text takes too many steps.
    pub fn captures(&self, input: &Texts, text: &str) -> Result<Vec<Texts>, String> {
        #[cfg(target_arch = "wasm32")]
        return self.resource.captures(input, text.as_bytes());
        #[cfg(not(target_arch = "wasm32"))]
        self.resource.captures(input, text)
    }

    /// Replaces every match in each row's text. Ruby's escapes work in `replacement`: `\1`, `\k<name>`, `\\`.
    /// Answers a text and each row's place in it.
    ///
    /// # Errors
    /// If a text takes too many steps.
    pub fn replace_all(
        &self,
        input: &Texts,
        text: &str,
        replacement: &str,
    ) -> Result<(String, Texts), String> {
        #[cfg(target_arch = "wasm32")]
        {
            let (text, places) = self.resource.replace_all(input, text.as_bytes(), replacement)?;
            let text =
                String::from_utf8(text).map_err(|_| "the host answered text that is no UTF-8".to_owned())?;
            Ok((text, places))
        }
        #[cfg(not(target_arch = "wasm32"))]
        self.resource.replace_all(input, text, replacement)
    }
}
