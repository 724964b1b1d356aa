//! One case of a filter: its events through a chain of the one filter, and what is different from what was expected.
//! Where cases come from is left to `config::cases` and to the callers.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use serde_json::Value as Json;

use super::definition::{ChainDefinition, ChainEnvironment, Clock, ConfiguredFilter, Randomness};
use super::engine::Engine;
use crate::config::Step;
use crate::config::cases::{Case, Expectation};
use crate::event::{Batch, FieldNames, FieldReference, Value, fields, put_example};

/// Runs a case and answers what is different, a text each; nothing if it passes. `folder` is where relative paths of
/// options start.
pub fn run_case(engine: &Engine, case: &Case, folder: &Path) -> Vec<String> {
    let mut names = FieldNames::new();
    let environment = environment(case, folder);
    let definition = ChainDefinition::build(
        engine,
        std::slice::from_ref(&case.step),
        &Step::in_line(1),
        &environment,
        &mut names,
    );
    let definition = match (definition, case.expect.refused) {
        (Err(_), true) => return Vec::new(),
        (Ok(_), true) => return vec!["the options should have been refused, and were taken".to_owned()],
        (Err(problems), false) => {
            let problems = problems.iter().map(|problem| {
                let fix = if problem.fix.is_empty() { String::new() } else { format!(" ({})", problem.fix) };
                format!("refused: {}{}{fix}", at(&problem.pointer), problem.message)
            });
            return problems.collect();
        }
        (Ok(definition), false) => Arc::new(definition),
    };
    match process(case, &definition, names) {
        Ok(batch) => compare(&case.expect, &batch, definition.filters()),
        Err(error) => vec![error],
    }
}

fn environment(case: &Case, folder: &Path) -> ChainEnvironment {
    let default = ChainEnvironment::default();
    let [timezone, locale, ecs_compatibility] = case.environment.clone();
    ChainEnvironment {
        timezone: timezone.unwrap_or(default.timezone),
        locale: locale.unwrap_or(default.locale),
        ecs_compatibility: ecs_compatibility.unwrap_or(default.ecs_compatibility),
        folder: folder.to_path_buf(),
        clock: case.clock.map_or(Clock::System, Clock::Fixed),
        randomness: Randomness::Seeded(case.seed),
        ..ChainEnvironment::default()
    }
}

fn process(case: &Case, definition: &Arc<ChainDefinition>, names: FieldNames) -> Result<Batch, String> {
    let mut batch = Batch::new(Arc::new(names), case.input.len());
    for (row, event) in case.input.iter().enumerate() {
        let time = case.clock.unwrap_or_default();
        put_example(&mut batch, row, event, time).map_err(|error| format!("input: {error}"))?;
    }
    let mut chain = definition.start().map_err(|error| format!("cannot start the filter: {error:#}"))?;
    let processed = chain.process(batch).map_err(|error| format!("the filter stopped: {error:#}"))?;
    if let Some(set_aside) = processed.dead_letters.first() {
        return Err(format!("the event went to the dead letters: {}", set_aside.reason));
    }
    Ok(processed.batch)
}

fn compare(expect: &Expectation, batch: &Batch, filters: &[Arc<ConfiguredFilter>]) -> Vec<String> {
    let mut differences = Vec::new();
    let failed = filters.iter().any(|filter| filter.counts.failed.load(Ordering::Relaxed) > 0);
    if let Some(expected) = expect.failed
        && expected != failed
    {
        let reasons: Vec<String> =
            filters.iter().flat_map(|filter| filter.counts.reasons().into_keys()).collect();
        let reasons = if reasons.is_empty() { String::new() } else { format!(": {}", reasons.join("; ")) };
        differences.push(if failed {
            format!("the filter failed{reasons}")
        } else {
            "the filter should have failed, and did not".to_owned()
        });
    }
    let expected_events = match &expect.events {
        Some(events) => events.len(),
        None => usize::from(!expect.dropped),
    };
    if batch.rows() != expected_events {
        differences.push(format!("events: expected {expected_events}, found {}", batch.rows()));
        return differences;
    }
    for (row, event) in expect.events.iter().flatten().enumerate() {
        compare_fields(event, batch, row, &format!("event {row}: "), &mut differences);
    }
    if expect.events.is_some() || expect.dropped {
        return differences;
    }
    compare_fields(&expect.fields, batch, 0, "", &mut differences);
    for (reference, pattern) in &expect.matches {
        let found = fields::whole(batch, 0, reference);
        let matched =
            found.as_ref().and_then(Json::as_str).is_some_and(|text| pattern.is_match(text) == Ok(true));
        if !matched {
            let found = found.map_or_else(|| "nothing".to_owned(), |found| found.to_string());
            differences.push(format!("{reference}\n  expected  a text that matches\n  found     {found}"));
        }
    }
    for reference in &expect.absent {
        if let Some(found) = fields::whole(batch, 0, reference) {
            differences.push(format!("{reference}\n  expected  nothing\n  found     {found}"));
        }
    }
    if let Some(tags) = &expect.tags {
        let found = fields::whole(batch, 0, &FieldReference::from_fragments(["tags"]));
        let expected = Json::from(tags.clone());
        if !(tags.is_empty() && found.is_none()) && found.as_ref() != Some(&expected) {
            differences.push(difference("tags", &expected, found.as_ref()));
        }
    }
    differences
}

fn compare_fields(
    expected: &[(FieldReference, Json)],
    batch: &Batch,
    row: usize,
    prefix: &str,
    differences: &mut Vec<String>,
) {
    for (reference, expected) in expected {
        let found = fields::whole(batch, row, reference);
        if !found.as_ref().is_some_and(|found| same(expected, found)) {
            differences.push(difference(&format!("{prefix}{reference}"), expected, found.as_ref()));
        }
    }
}

fn difference(what: &str, expected: &Json, found: Option<&Json>) -> String {
    let found = found.map_or_else(|| "nothing".to_owned(), Json::to_string);
    format!("{what}\n  expected  {expected}\n  found     {found}")
}

/// Equal values of the same kind: `1` and `1.0` differ, `1.0` and `1e0` do not, nor does the order of a map's keys.
fn same(expected: &Json, found: &Json) -> bool {
    match (expected, found) {
        (Json::Number(expected), Json::Number(found)) => {
            Value::from_json_number(expected.as_str()) == Value::from_json_number(found.as_str())
        }
        (Json::Array(expected), Json::Array(found)) => {
            expected.len() == found.len()
                && expected.iter().zip(found).all(|(expected, found)| same(expected, found))
        }
        (Json::Object(expected), Json::Object(found)) => {
            expected.len() == found.len()
                && expected.iter().all(|(key, value)| found.get(key).is_some_and(|found| same(value, found)))
        }
        _ => expected == found,
    }
}

fn at(pointer: &str) -> String {
    if pointer.is_empty() {
        String::new()
    } else {
        format!("{}: ", pointer.trim_start_matches('/').replace('/', "."))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_the_same_by_kind_and_amount() {
        let check = |left: &str, right: &str, expected: bool| {
            let json = |text: &str| serde_json::from_str::<Json>(text).unwrap();
            assert_eq!(same(&json(left), &json(right)), expected, "{left} {right}");
        };
        check("1", "1", true);
        check("1", "1.0", false);
        check("1.0", "1e0", true);
        check("1.5", "1.50", true);
        check("[1, {\"a\": 2, \"b\": 3}]", "[1, {\"b\": 3, \"a\": 2}]", true);
        check("\"1\"", "1", false);
        check("[]", "[1]", false);
    }
}
