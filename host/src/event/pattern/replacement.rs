//! The text that a match is replaced with, in which Ruby's escapes stand for parts of the match.

use std::ops::Range;

use super::Pattern;

/// A replacement that was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Replacement {
    parts: Vec<Part>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Text(String),
    /// `\0`, `\&`
    Whole,
    /// `\1` to `\9`
    Numbered(usize),
    /// `\k<name>`
    Named(String),
    /// `\+`: the last group that took part.
    Last,
    /// `` \` ``
    Before,
    /// `\'`
    After,
    /// A `\k<` that is not finished: an error where there is a match.
    Unfinished,
}

impl Replacement {
    /// Reads a replacement. It never fails: as in Ruby, what is wrong in it is an error of each text that has a match.
    pub fn parse(text: &str) -> Self {
        let mut parts = Vec::new();
        let mut plain = String::new();
        let mut rest = text;
        while let Some(at) = rest.find('\\') {
            plain.push_str(&rest[..at]);
            let mut letters = rest[at + 1..].chars();
            let letter = letters.next();
            rest = letters.as_str();
            let part = match letter {
                Some('0' | '&') => Part::Whole,
                Some(digit @ '1'..='9') => Part::Numbered(digit as usize - '0' as usize),
                Some('+') => Part::Last,
                Some('`') => Part::Before,
                Some('\'') => Part::After,
                Some('k') if rest.starts_with('<') => match rest[1..].split_once('>') {
                    Some((name, after)) => {
                        rest = after;
                        Part::Named(name.to_owned())
                    }
                    None => {
                        rest = "";
                        Part::Unfinished
                    }
                },
                Some('\\') | None => {
                    plain.push('\\');
                    continue;
                }
                Some(other) => {
                    plain.extend(['\\', other]);
                    continue;
                }
            };
            if !plain.is_empty() {
                parts.push(Part::Text(std::mem::take(&mut plain)));
            }
            parts.push(part);
        }
        plain.push_str(rest);
        if !plain.is_empty() {
            parts.push(Part::Text(plain));
        }
        Replacement { parts }
    }

    /// Writes what a match in `text` with these groups is replaced with, and stops where `out` gets longer than `most`.
    pub(super) fn write(
        &self,
        pattern: &Pattern,
        text: &str,
        groups: &[Option<Range<usize>>],
        most: usize,
        out: &mut String,
    ) -> Result<(), String> {
        let place = |group: usize| groups.get(group).cloned().flatten();
        let whole = place(0).unwrap_or_default();
        for part in &self.parts {
            let written = match part {
                Part::Text(text) => text,
                Part::Whole => &text[whole.clone()],
                Part::Numbered(_) if pattern.has_names() => "",
                Part::Numbered(group) => place(*group).map_or("", |place| &text[place]),
                Part::Named(name) => {
                    let mut known = false;
                    let mut held = None;
                    for (group, _) in
                        pattern.names().enumerate().filter(|(_, known)| *known == name && !name.is_empty())
                    {
                        known = true;
                        held = place(group).or(held);
                    }
                    if !known {
                        return Err(format!(
                            "the replacement names a group <{name}> that the pattern does not have"
                        ));
                    }
                    held.map_or("", |place| &text[place])
                }
                Part::Last => {
                    groups.iter().skip(1).rev().flatten().next().map_or("", |place| &text[place.clone()])
                }
                Part::Before => &text[..whole.start],
                Part::After => &text[whole.end..],
                Part::Unfinished => return Err("the replacement has a \\k< that is not finished".to_owned()),
            };
            append(written, most, out)?;
        }
        Ok(())
    }
}

/// Appends a part of a text that may become `most` bytes long.
pub(super) fn append(part: &str, most: usize, out: &mut String) -> Result<(), String> {
    if out.len().saturating_add(part.len()) > most {
        return Err(format!("a text would be longer than {most} bytes when replaced"));
    }
    out.push_str(part);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes() {
        let text = |text: &str| Part::Text(text.to_owned());
        let check = |replacement: &str, parts: &[Part]| {
            assert_eq!(Replacement::parse(replacement).parts, parts, "{replacement}");
        };
        check(r"a\1\0\&b", &[text("a"), Part::Numbered(1), Part::Whole, Part::Whole, text("b")]);
        check(r"\`\'\+", &[Part::Before, Part::After, Part::Last]);
        check(r"\k<n>x\k<", &[Part::Named("n".to_owned()), text("x"), Part::Unfinished]);
        check(r"\\1\k\é\", &[text(r"\1\k\é\")]);
        check("", &[]);
    }
}
