//! Regular expressions in Ruby's dialect, on an engine of another: the constructs that mean something else there are
//! rewritten. The engine's step limit bounds what a pattern can cost.

use fancy_regex::{Regex, RegexBuilder};

/// Steps that a search may take back before it is given up. A pattern without look-around or back references takes none.
const MOST_STEPS: usize = 1_000_000;

/// A compiled pattern.
#[derive(Debug, Clone)]
pub struct Pattern {
    regex: Regex,
}

impl Pattern {
    /// Compiles a pattern that is written as for Ruby.
    ///
    /// # Errors
    /// With what is wrong with the pattern.
    pub fn compile(pattern: &str) -> Result<Self, String> {
        let translated = translate(pattern);
        let regex = RegexBuilder::new(&translated).backtrack_limit(MOST_STEPS).build();
        regex
            .map(|regex| Pattern { regex })
            .map_err(|error| format!("/{pattern}/ is no regular expression: {error}"))
    }

    /// Whether the text has a match anywhere.
    ///
    /// # Errors
    /// When the search is given up because it takes too many steps.
    pub fn is_match(&self, text: &str) -> Result<bool, String> {
        self.regex.is_match(text).map_err(|error| format!("a regular expression was given up: {error}"))
    }
}

/// `^` and `$` match at every line in Ruby, and its `(?m)` lets the dot match line ends; `\h` is a hexadecimal digit, `\Z`
/// the end or before a last line end.
fn translate(pattern: &str) -> String {
    let mut translated = String::with_capacity(pattern.len() + 8);
    translated.push_str("(?m)");
    let mut in_class = 0_usize;
    let mut letters = pattern.chars().peekable();
    while let Some(letter) = letters.next() {
        match letter {
            '\\' => match letters.next() {
                Some('h') if in_class > 0 => translated.push_str("0-9a-fA-F"),
                Some('h') => translated.push_str("[0-9a-fA-F]"),
                Some('H') if in_class == 0 => translated.push_str("[^0-9a-fA-F]"),
                Some('Z') if in_class == 0 => translated.push_str("(?=\\n?\\z)"),
                Some('/') => translated.push('/'),
                Some(next) => {
                    translated.push('\\');
                    translated.push(next);
                }
                None => translated.push('\\'),
            },
            '[' => {
                in_class += 1;
                translated.push('[');
            }
            ']' => {
                in_class = in_class.saturating_sub(1);
                translated.push(']');
            }
            '(' if in_class == 0 && letters.peek() == Some(&'?') => {
                translated.push('(');
                translate_flags(&mut letters, &mut translated);
            }
            _ => translated.push(letter),
        }
    }
    translated
}

/// After `(`: copies `?…`, with Ruby's flag `m` written as the engine's `s`.
fn translate_flags(letters: &mut std::iter::Peekable<std::str::Chars<'_>>, translated: &mut String) {
    while let Some(letter) = letters.peek().copied() {
        match letter {
            '?' | 'i' | 'x' | '-' => translated.push(letter),
            'm' => translated.push('s'),
            _ => return,
        }
        letters.next();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(pattern: &str, text: &str, expected: bool) {
        let compiled = Pattern::compile(pattern).expect("it compiles");
        assert_eq!(compiled.is_match(text), Ok(expected), "/{pattern}/ on {text:?}");
    }

    #[test]
    fn rubys_constructs() {
        check("^b$", "a\nb\nc", true);
        check("a.b", "a\nb", false);
        check("(?m)a.b", "a\nb", true);
        check("(?mi:A.b)", "a\nb", true);
        check(r"^\h+$", "0aF", true);
        check(r"^[\h-]+$", "0a-F", true);
        check(r"^\H$", "g", true);
        check(r"b\Z", "ab\n", true);
        check(r"b\z", "ab\n", false);
        check(r"a\/b", "a/b", true);
        check(r"(?<=a)b(?!c)", "abd", true);
        check(r"(?<n>a)\k<n>", "aa", true);
        check("[[:digit:]]", "7", true);
    }

    #[test]
    fn steps_are_bounded() {
        let pattern = Pattern::compile(r"(?=(a+)+\1$)b|(a|aa)+$(?<!x)c").expect("it compiles");
        let text = "a".repeat(2000);
        assert!(pattern.is_match(&text).is_ok_and(|found| !found) || pattern.is_match(&text).is_err());
    }
}
