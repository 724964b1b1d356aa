//! What mutate does to texts: letter case, strip, split. The rules are Ruby's, which differ from Rust's in the final
//! sigma, in title case and in what counts as white space.

/// Full Unicode upper case (`ß` becomes `SS`), whatever the language.
pub(crate) fn uppercase(text: &str) -> String {
    text.to_uppercase()
}

/// Full Unicode lower case, without Rust's rule for a sigma at the end of a word.
pub(crate) fn lowercase(text: &str) -> String {
    if text.is_ascii() {
        return text.to_ascii_lowercase();
    }
    text.chars().flat_map(char::to_lowercase).collect()
}

/// The first character in title case, all others in lower case.
pub(crate) fn capitalize(text: &str) -> String {
    let mut letters = text.chars();
    let mut capitalized = String::with_capacity(text.len());
    if let Some(first) = letters.next() {
        push_titlecase(&mut capitalized, first);
    }
    capitalized.extend(letters.flat_map(char::to_lowercase));
    capitalized
}

/// The text without ASCII white space and NUL around it.
pub(crate) fn strip(text: &str) -> &str {
    text.trim_matches(|letter| letter == '\0' || is_space(letter))
}

/// The text's parts between `separator`, empty ones at the end dropped. A single space stands for runs of ASCII
/// white space, an empty separator cuts between all characters.
pub(crate) fn split<'a>(text: &'a str, separator: &str) -> Vec<&'a str> {
    match separator {
        " " => return text.split(is_space).filter(|part| !part.is_empty()).collect(),
        "" => return text.split("").filter(|part| !part.is_empty()).collect(),
        _ => {}
    }
    let mut parts: Vec<&str> = text.split(separator).collect();
    while parts.last().is_some_and(|part| part.is_empty()) {
        parts.pop();
    }
    parts
}

/// ASCII white space as Ruby has it: Rust's, and the vertical tab.
pub(crate) fn is_space(letter: char) -> bool {
    matches!(letter, '\t' | '\n' | '\x0b' | '\x0c' | '\r' | ' ')
}

/// Title case differs from upper case, first letter upper and the rest lower, for the characters below: Unicode's
/// digraphs, Georgian letters (which have capitals, but no title case), Greek with iota below, and `ŉ`.
fn push_titlecase(capitalized: &mut String, letter: char) {
    let code = u32::from(letter);
    let title = match code {
        0x1c4..=0x1c6 => 0x1c5,
        0x1c7..=0x1c9 => 0x1c8,
        0x1ca..=0x1cc => 0x1cb,
        0x1f1..=0x1f3 => 0x1f2,
        0x10d0..=0x10fa | 0x10fd..=0x10ff => code,
        0x1c90..=0x1cba | 0x1cbd..=0x1cbf => code - 0x1c90 + 0x10d0,
        0x1f80..=0x1faf => code | 8,
        0x1fb3 | 0x1fbc => 0x1fbc,
        0x1fc3 | 0x1fcc => 0x1fcc,
        0x1ff3 | 0x1ffc => 0x1ffc,
        _ => {
            let mut upper = letter.to_uppercase();
            capitalized.extend(upper.next());
            for following in upper {
                match (code, following) {
                    (0x149, _) => capitalized.push(following),
                    (0x1f00..=0x1fff, '\u{399}') => capitalized.push('\u{345}'),
                    _ => capitalized.extend(following.to_lowercase()),
                }
            }
            return;
        }
    };
    capitalized.extend(char::from_u32(title));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letter_case() {
        assert_eq!(uppercase("straße ﬁ"), "STRASSE FI");
        assert_eq!(lowercase("ὈΔΥΣΣΕΎΣ İ ABC"), "ὀδυσσεύσ i\u{307} abc");
        let cases = [
            ("hello WORLD", "Hello world"),
            ("ßA", "Ssa"),
            ("ﬁN", "Fin"),
            ("ǆABC", "ǅabc"),
            ("ŉA", "ʼNa"),
            ("ᾀ", "ᾈ"),
            ("ᾳ", "ᾼ"),
            ("ᾷ", "Α\u{342}\u{345}"),
            ("ა", "ა"),
            ("Ა Ა", "ა ა"),
            ("ΣΑΣ", "Σασ"),
            (" a", " a"),
            ("1A", "1a"),
            ("", ""),
        ];
        for (text, expected) in cases {
            assert_eq!(capitalize(text), expected, "{text:?}");
        }
    }

    #[test]
    fn strips() {
        for (text, expected) in
            [("\t\n\0\x0b\x0c\r x y \r\n\0 ", "x y"), ("\u{a0}x\u{3000}", "\u{a0}x\u{3000}"), ("  ", "")]
        {
            assert_eq!(strip(text), expected, "{text:?}");
        }
    }

    #[test]
    fn splits() {
        let cases: &[(&str, &str, &[&str])] = &[
            ("a,,b", ",", &["a", "", "b"]),
            (",a,,", ",", &["", "a"]),
            (",,,", ",", &[]),
            ("", ",", &[]),
            ("", "", &[]),
            ("aé", "", &["a", "é"]),
            (" a  b\tc\n", " ", &["a", "b", "c"]),
            ("a||b", "||", &["a", "b"]),
        ];
        for (text, separator, expected) in cases {
            assert_eq!(split(text, separator), *expected, "{text:?} at {separator:?}");
        }
    }
}
