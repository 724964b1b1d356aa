//! One case: its events through a chain of the one filter, and what is different from what was expected.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use chrono::DateTime;
use serde_json::Value as Json;
use weir::config::Component;
use weir::config::cases::{Case, Expectation};
use weir::event::{Batch, FieldNames, fields};
use weir::filter::{ChainDefinition, ChainEnvironment, Clock, ConfiguredFilter, Engine, Randomness};
use weir_filter::{FieldReference, Value};

/// What the cases of a file share.
pub(super) struct Surroundings<'s> {
    pub(super) engine: &'s Engine,
    pub(super) component: &'s Component,
    /// Where relative paths of options start.
    pub(super) folder: &'s Path,
    /// Where databases are looked for that are not there.
    pub(super) databases: Option<&'s Path>,
}

/// Runs a case and answers what is different; nothing if it passes.
pub(super) fn run_case(case: &Case, surroundings: &Surroundings<'_>) -> Vec<String> {
    let mut step = case.step.clone();
    step.component = surroundings.component.clone();
    step.id = match surroundings.component {
        Component::BuiltIn(name) => name.clone(),
        Component::File(_) => "filter".to_owned(),
    };
    find_database(&mut step.options, surroundings);
    let mut names = FieldNames::new();
    let environment = environment(case, surroundings);
    let definition = ChainDefinition::build(surroundings.engine, &[step], &environment, &mut names);
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

/// A database that is not beside the cases is taken from the folder of databases.
fn find_database(options: &mut serde_json::Map<String, Json>, surroundings: &Surroundings<'_>) {
    let Some(databases) = surroundings.databases else { return };
    let Some(Json::String(path)) = options.get_mut("database") else { return };
    let elsewhere = databases.join(&*path);
    if !surroundings.folder.join(&*path).exists()
        && let Ok(elsewhere) = elsewhere.canonicalize()
    {
        *path = elsewhere.display().to_string();
    }
}

fn environment(case: &Case, surroundings: &Surroundings<'_>) -> ChainEnvironment {
    let default = ChainEnvironment::default();
    let [timezone, locale, ecs_compatibility] = case.environment.clone();
    ChainEnvironment {
        timezone: timezone.unwrap_or(default.timezone),
        locale: locale.unwrap_or(default.locale),
        ecs_compatibility: ecs_compatibility.unwrap_or(default.ecs_compatibility),
        folder: surroundings.folder.to_path_buf(),
        clock: case.clock.map_or(Clock::System, Clock::Fixed),
        randomness: Randomness::Seeded(case.seed),
        ..ChainEnvironment::default()
    }
}

fn process(case: &Case, definition: &Arc<ChainDefinition>, names: FieldNames) -> Result<Batch, String> {
    let mut batch = Batch::new(Arc::new(names), case.input.len());
    for (row, event) in case.input.iter().enumerate() {
        put_event(&mut batch, row, event, case.clock)?;
    }
    let mut chain = definition.start().map_err(|error| format!("cannot start the filter: {error:#}"))?;
    let processed = chain.process(batch).map_err(|error| format!("the filter stopped: {error:#}"))?;
    if let Some(set_aside) = processed.dead_letters.first() {
        return Err(format!("the event went to the dead letters: {}", set_aside.reason));
    }
    Ok(processed.batch)
}

/// An event as an input makes it: with `@timestamp` (the case's clock, or 1970) and `@version` unless it says them.
fn put_event(
    batch: &mut Batch,
    row: usize,
    event: &serde_json::Map<String, Json>,
    clock: Option<i64>,
) -> Result<(), String> {
    let top = |name: &str| FieldReference::from_fragments([name]);
    fields::set(batch, row, &top("@timestamp"), Value::Timestamp(clock.unwrap_or_default()))?;
    fields::set(batch, row, &top("@version"), Value::Text("1"))?;
    for (name, value) in event {
        if name == "@timestamp"
            && let Json::String(text) = value
        {
            let time = DateTime::parse_from_rfc3339(text).ok().and_then(|time| time.timestamp_nanos_opt());
            let time = time.ok_or_else(|| format!("input: {text:?} is no @timestamp"))?;
            fields::set(batch, row, &top(name), Value::Timestamp(time))?;
            continue;
        }
        fields::set_json(batch, row, &top(name), value).map_err(|error| format!("input: {error}"))?;
    }
    Ok(())
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
        (Json::Number(expected), Json::Number(found)) => match (expected.as_i64(), found.as_i64()) {
            (Some(expected), Some(found)) => expected == found,
            (None, None) => expected == found || (expected.as_f64() == found.as_f64() && expected.is_f64()),
            _ => false,
        },
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
