//! What a case expects, as it is written: fields, patterns, tags, and how the filter ends. How it is compared with what came is
//! left to the SDK, as cases run without WebAssembly too.

use serde_json::Value as Json;
use weir_filter::FieldReference;
use weir_filter::test::Expectation;

use super::super::section::Section;
use crate::event::Pattern;

/// The ways in which a filter breaks.
const BREAKS: [&str; 5] = ["deadline", "memory", "stack", "trap", "answer"];

/// Reads an expectation.
pub(super) fn read_expectation(section: &mut Section) -> Expectation {
    let events = section.is_set("events").then(|| read_events(section));
    let expect = Expectation {
        dropped: section.boolean("dropped").unwrap_or_default(),
        failed: section.boolean("failed"),
        refused: section.one_of("error", &["config"]).is_some(),
        events,
        breaks: section.one_of("breaks", &BREAKS),
        dead_letters: section.integer_in("dead_letters", 0..=i64::MAX).map(i64::unsigned_abs),
        ..read_event(section)
    };
    refuse_contradictions(section, &expect);
    expect
}

/// Reads what is expected of one event.
pub(super) fn read_event(section: &mut Section) -> Expectation {
    Expectation {
        fields: section.fields("fields"),
        matches: read_patterns(section),
        absent: read_references(section, "absent"),
        tags: section.is_set("tags").then(|| section.texts("tags")),
        ..Expectation::default()
    }
}

/// What cannot hold at once is a mistake of the case's writer, and would be silently true or never.
fn refuse_contradictions(section: &mut Section, expect: &Expectation) {
    let of_one_event = ["fields", "match", "absent", "tags"];
    if expect.refused {
        let others =
            ["fields", "match", "absent", "tags", "dropped", "failed", "events", "breaks", "dead_letters"];
        if let Some(other) = others.into_iter().find(|key| section.is_set(key)) {
            let message = format!("`{other}` has no meaning where the options are refused");
            section.problem(other, &message, "leave out this key or `error`");
        }
        return;
    }
    for (without_one, holds) in [("dropped", expect.dropped), ("events", expect.events.is_some())] {
        let Some(other) = of_one_event.into_iter().find(|key| section.is_set(key)).filter(|_| holds) else {
            continue;
        };
        let message = format!(
            "`{other}` is of the one event that comes out, and `{without_one}` says that there is not one"
        );
        let fix = match without_one {
            "events" => "write what each event must have into `events`",
            _ => "leave out one of the two",
        };
        section.problem(other, &message, fix);
        return;
    }
    if expect.dropped && expect.events.is_some() {
        section.problem(
            "dropped",
            "`dropped` and `events` say the same in two ways",
            "leave out one of the two",
        );
    }
}

fn read_events(section: &mut Section) -> Vec<Vec<(FieldReference, Json)>> {
    let mut events = Vec::new();
    for element in section.elements("events") {
        match element {
            Some(mut event) => events.push(event.rest_as_fields()),
            None => section.problem(
                "events",
                "`events` must be a list of field maps",
                "write events = [{ a = 1 }]",
            ),
        }
    }
    events
}

fn read_patterns(section: &mut Section) -> Vec<(FieldReference, String)> {
    let mut patterns = Vec::new();
    for (name, pattern) in section.map("match") {
        let compiled = match pattern.as_str() {
            Some(text) => Pattern::compile(text).map(|_| text.to_owned()),
            None => Err("a regular expression is a text".to_owned()),
        };
        match (FieldReference::parse(&name), compiled) {
            (Ok(reference), Ok(pattern)) => patterns.push((reference, pattern)),
            (Err(message), _) | (_, Err(message)) => {
                section.member_problem(
                    "match",
                    &name,
                    &message,
                    "write a field and a regular expression, as for Ruby",
                );
            }
        }
    }
    patterns
}

fn read_references(section: &mut Section, key: &str) -> Vec<FieldReference> {
    let mut references = Vec::new();
    for (element, name) in section.texts(key).into_iter().enumerate() {
        match FieldReference::parse(&name) {
            Ok(reference) => references.push(reference),
            Err(message) => {
                section.element_problem(key, element, &message, "write a field's name, or [a][b]");
            }
        }
    }
    references
}
