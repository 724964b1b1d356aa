//! One thing that is different from what a case expects, and how it is shown: short, by field, the two values under each
//! other.

use std::fmt;

use serde_json::Value as Json;

use crate::field_reference::FieldReference;

/// The longest value that is shown whole, in characters.
const LONGEST_SHOWN: usize = 160;

/// Letters that are shown before the first one that is different.
const SHOWN_BEFORE: usize = 40;

/// So many differing parts of one value, or events, are shown.
const MOST_SHOWN: usize = 5;

/// What is different.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Subject {
    /// A field's value.
    Field(FieldReference),
    /// A field's text does not match.
    Match(FieldReference),
    /// A field that should not be there.
    Absent(FieldReference),
    /// The tags.
    Tags,
    /// How many events came.
    Events,
    /// Whether the filter failed.
    Failed,
    /// Whether the options are taken.
    Options,
    /// Whether and how the filter broke.
    Breaks,
    /// How many events went to the dead letters.
    DeadLetters,
    /// Something that an output was given for the event, by its name (`index`).
    Rendered(String),
    /// Nothing came at all.
    Run,
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Subject::Field(reference) | Subject::Match(reference) | Subject::Absent(reference) => {
                reference.fmt(f)
            }
            Subject::Tags => f.write_str("tags"),
            Subject::Events => f.write_str("events"),
            Subject::Failed => f.write_str("failed"),
            Subject::Options => f.write_str("options"),
            Subject::Breaks => f.write_str("breaks"),
            Subject::DeadLetters => f.write_str("dead letters"),
            Subject::Rendered(name) => f.write_str(name),
            Subject::Run => f.write_str("run"),
        }
    }
}

/// A difference.
#[derive(Clone, Debug, PartialEq)]
pub struct Difference {
    /// Of what.
    pub subject: Subject,
    /// Of which event, from 0, where there may be several.
    pub event: Option<usize>,
    /// Where it was found, where that is not clear: a batch, an output. Empty: it is.
    pub place: String,
    /// What was expected; `None`: nothing.
    pub expected: Option<Json>,
    /// What came; `None`: nothing. Of events all of them.
    pub found: Option<Json>,
    /// A reason that came with what was found; may be empty.
    pub why: String,
}

/// What a line that is shown says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Line {
    /// What the next lines are about.
    Title,
    /// What was expected.
    Expected,
    /// What came.
    Found,
}

impl Difference {
    /// A difference of a case's only batch and event.
    pub fn new(subject: Subject, expected: Option<Json>, found: Option<Json>) -> Self {
        Difference { subject, event: None, place: String::new(), expected, found, why: String::new() }
    }

    /// What to show of it, a line each.
    pub fn lines(&self) -> Vec<(Line, String)> {
        let mut title = self.place.clone();
        if let Some(event) = self.event {
            title.push_str(&format!("{}event {event}", if title.is_empty() { "" } else { ", " }));
        }
        if !title.is_empty() {
            title.push_str(": ");
        }
        let mut lines = Vec::new();
        if let (Subject::Field(reference), Some(expected), Some(found)) =
            (&self.subject, &self.expected, &self.found)
        {
            let mut parts = Vec::new();
            differing_parts(&reference.to_string(), expected, found, &mut parts);
            for (name, expected, found) in parts.iter().take(MOST_SHOWN) {
                lines.push((Line::Title, format!("{title}{name}")));
                push_pair(*expected, *found, &mut lines);
            }
            if let Some(more) = parts.len().checked_sub(MOST_SHOWN + 1) {
                lines.push((Line::Title, format!("{title}and {} more parts of {reference}", more + 1)));
            }
            return lines;
        }
        lines.push((Line::Title, format!("{title}{}", self.subject)));
        match (&self.subject, &self.expected, &self.found) {
            (Subject::Events, Some(expected), Some(Json::Array(events))) => {
                lines.push((Line::Expected, expected.to_string()));
                lines.push((Line::Found, events.len().to_string()));
                for event in events.iter().take(MOST_SHOWN) {
                    lines.push((Line::Found, shortened(&event.to_string(), 0)));
                }
            }
            (Subject::Match(_), Some(Json::String(pattern)), found) => {
                lines.push((Line::Expected, format!("a text that matches {pattern}")));
                lines.push((Line::Found, shown(found.as_ref(), 0)));
            }
            (Subject::Options | Subject::Run, Some(Json::String(expected)), Some(Json::String(found))) => {
                lines.push((Line::Expected, expected.clone()));
                lines.push((Line::Found, found.clone()));
            }
            (_, expected, found) => push_pair(expected.as_ref(), found.as_ref(), &mut lines),
        }
        if let Some((_, line)) = lines.last_mut().filter(|_| !self.why.is_empty()) {
            line.push_str(&format!(" ({})", self.why));
        }
        lines
    }
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, (line, text)) in self.lines().into_iter().enumerate() {
            let before = if number == 0 { "" } else { "\n" };
            match line {
                Line::Title => write!(f, "{before}{text}")?,
                Line::Expected => write!(f, "{before}  expected  {text}")?,
                Line::Found => write!(f, "{before}  found     {text}")?,
            }
        }
        Ok(())
    }
}

/// The parts of two maps that differ, each with its place; of other values the values.
fn differing_parts<'j>(
    name: &str,
    expected: &'j Json,
    found: &'j Json,
    parts: &mut Vec<(String, Option<&'j Json>, Option<&'j Json>)>,
) {
    let (Json::Object(left), Json::Object(right)) = (expected, found) else {
        parts.push((name.to_owned(), Some(expected), Some(found)));
        return;
    };
    for (key, expected) in left {
        let name = format!("{name}[{key}]");
        match right.get(key) {
            Some(found) if super::expectation::is_same(expected, found) => {}
            Some(found) => differing_parts(&name, expected, found, parts),
            None => parts.push((name, Some(expected), None)),
        }
    }
    for (key, found) in right {
        if !left.contains_key(key) {
            parts.push((format!("{name}[{key}]"), None, Some(found)));
        }
    }
}

fn push_pair(expected: Option<&Json>, found: Option<&Json>, lines: &mut Vec<(Line, String)>) {
    let texts = [expected, found].map(|value| value.map(Json::to_string).unwrap_or_default());
    let same = texts[0].chars().zip(texts[1].chars()).take_while(|(left, right)| left == right).count();
    lines.push((Line::Expected, shown(expected, same)));
    lines.push((Line::Found, shown(found, same)));
}

fn shown(value: Option<&Json>, same: usize) -> String {
    value.map_or_else(|| "nothing".to_owned(), |value| shortened(&value.to_string(), same))
}

/// The text, or the part of it around the first letter that is different.
fn shortened(text: &str, same: usize) -> String {
    let letters = text.chars().count();
    if letters <= LONGEST_SHOWN {
        return text.to_owned();
    }
    let start = same.saturating_sub(SHOWN_BEFORE).min(letters - LONGEST_SHOWN);
    let part: String = text.chars().skip(start).take(LONGEST_SHOWN).collect();
    let before = if start > 0 { "…" } else { "" };
    let after = if start + LONGEST_SHOWN < letters { "…" } else { "" };
    format!("{before}{part}{after}")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn check(expected: Option<Json>, found: Option<Json>, shown: &str) {
        let reference = FieldReference::parse("a").expect("a field reference");
        assert_eq!(Difference::new(Subject::Field(reference), expected, found).to_string(), shown);
    }

    #[test]
    fn only_what_differs_is_shown() {
        check(Some(json!("z")), Some(json!("x")), "[a]\n  expected  \"z\"\n  found     \"x\"");
        check(Some(json!(1)), None, "[a]\n  expected  1\n  found     nothing");
        check(
            Some(json!({"b": 1, "c": {"d": 2}, "e": 3})),
            Some(json!({"b": 1, "c": {"d": 4}, "f": 5})),
            "[a][c][d]\n  expected  2\n  found     4\n[a][e]\n  expected  3\n  found     nothing\n[a][f]\n  expected  \
             nothing\n  found     5",
        );
    }

    #[test]
    fn long_texts_are_cut_around_the_difference() {
        let text = |middle: &str| Json::from(format!("{}{middle}{}", "é".repeat(500), "y".repeat(500)));
        let reference = FieldReference::parse("a").expect("a field reference");
        let difference = Difference::new(Subject::Field(reference), Some(text("1")), Some(text("2")));
        let shown = difference.to_string();
        assert!(shown.chars().count() < 400, "{shown}");
        assert!(shown.contains("é1y") && shown.contains("é2y") && shown.contains("…é"), "{shown}");
    }
}
