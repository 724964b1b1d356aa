//! `when`: a condition in Logstash's language. A mistake in it is shown at its letter, if the text stands in the file as it
//! is and did not come by a variable.

use std::ops::Range;

use super::super::tree::Value;
use super::Section;
use crate::event::condition::{self, Condition};

impl Section {
    /// A condition. Where Logstash would decide otherwise is a warning.
    pub fn condition(&mut self, key: &str) -> Option<Condition> {
        let node = self.node(key)?;
        let (text, span) = match &node.value {
            Value::Text(text) => (text.clone(), node.span),
            _ => return self.wrong_kind(key, &node, "a text", "write it in quotes"),
        };
        match condition::parse(&text) {
            Ok(condition) => {
                for departure in condition.departures() {
                    self.warning(key, departure, "");
                }
                Some(condition)
            }
            Err((at, message)) => {
                let place = place_of(&self.shared.file.text, &span, &text, at).unwrap_or(span);
                self.report(place, message, fix_of(&text, at));
                None
            }
        }
    }
}

/// The letter in the file that byte `at` of a text begins; past its end the closing quote.
fn place_of(file: &str, span: &Range<usize>, text: &str, at: usize) -> Option<Range<usize>> {
    let written = file.get(span.clone())?;
    let quotes = [("'''", false), ("\"\"\"", true), ("'", false), ("\"", true)];
    let (quote, escapes) = quotes.into_iter().find(|(quote, _)| written.starts_with(quote))?;
    let mut inner = written.strip_prefix(quote)?.strip_suffix(quote)?;
    if quote.len() == 3 {
        inner = inner.strip_prefix('\n').unwrap_or(inner);
    }
    let end = span.end - quote.len();
    let start = end - inner.len();
    let mut place = None;
    let mut read = String::with_capacity(inner.len());
    let mut letters = inner.char_indices();
    while let Some((offset, letter)) = letters.next() {
        if place.is_none() && read.len() >= at {
            place = Some(start + offset);
        }
        read.push(match (letter, escapes) {
            ('\\', true) => match letters.next()?.1 {
                same @ ('"' | '\\') => same,
                't' => '\t',
                'n' => '\n',
                'r' => '\r',
                _ => return None,
            },
            _ => letter,
        });
    }
    if read != text {
        return None;
    }
    let place = place.unwrap_or(end);
    let width = file.get(place..)?.chars().next().map_or(0, char::len_utf8);
    Some(place..place + width)
}

/// What is often meant by what is no condition.
fn fix_of(text: &str, at: usize) -> String {
    let rest = text.get(at..).unwrap_or_default();
    let word = rest.split(|letter: char| !letter.is_ascii_alphabetic()).next().unwrap_or_default();
    let fix = match (word, rest) {
        (_, rest) if rest.starts_with("&&") => "write `and`",
        (_, rest) if rest.starts_with("||") => "write `or`",
        (_, rest) if rest.starts_with('/') => "patterns are regular expressions as in Ruby: /^a.*z$/",
        (_, rest) if rest.starts_with('=') => "write `==`",
        ("AND" | "OR" | "IN" | "NOT", _) => "and, or, in and not are written in small letters",
        ("not", _) => "write `!([field] == \"x\")`, `![field]` or `[field] not in [\"x\", \"y\"]`",
        ("true" | "false", _) => "a boolean field is asked for by `[field]` and `![field]`",
        _ => "conditions are written as in Logstash: [status] >= 400 and [type] in [\"a\", \"b\"]",
    };
    fix.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `at` is where the condition's parser stops; `column` where that is in the file.
    fn check(written: &str, text: &str, at: usize, place: Option<&str>) {
        let file = format!("when = {written}\n");
        let span = 7..7 + written.len();
        let found = place_of(&file, &span, text, at).map(|place| file[place.start..].trim_end().to_owned());
        assert_eq!(found.as_deref(), place, "{written}");
    }

    #[test]
    fn places_in_texts() {
        check("'[a] = 1'", "[a] = 1", 4, Some("= 1'"));
        check("'[a] =='", "[a] ==", 6, Some("'"));
        check("\"[ä] == \\\"x\\\" = 1\"", "[ä] == \"x\" = 1", 12, Some("= 1\""));
        check("\"\\\"x\\\" = 1\"", "\"x\" = 1", 0, Some("\\\"x\\\" = 1\""));
        check("'''\n[a]\n= 1'''", "[a]\n= 1", 4, Some("= 1'''"));
        check("\"\"\"[a] = 1\"\"\"", "[a] = 1", 4, Some("= 1\"\"\""));
        // Not as it stands: a variable, an escape that says a letter by its number.
        check("'${CONDITION}'", "[a] = 1", 4, None);
        check("\"\\u005ba] = 1\"", "[a] = 1", 4, None);
    }

    #[test]
    fn mistakes_have_a_fix() {
        let check = |text: &str, fix: &str| {
            let mut section = Section::parse(&format!("when = '{text}'"));
            assert!(section.condition("when").is_none(), "{text}");
            let problems = section.into_problems();
            assert!(problems.len() == 1 && problems[0].contains(fix), "{text}: {problems:?}");
        };
        check("[a] && [b]", "write `and`");
        check("[a] || [b]", "write `or`");
        check("[a] = 1", "write `==`");
        check("not [a]", "write `!(");
        check("[a] AND [b]", "small letters");
        check("[a] == true", "by `[field]`");
        check("", "as in Logstash");
        let mut section = Section::parse("when = 5");
        assert!(section.condition("when").is_none());
        assert_eq!(
            section.into_problems(),
            ["1:8: `when` must be a text, not an integer (write it in quotes)"]
        );
    }
}
