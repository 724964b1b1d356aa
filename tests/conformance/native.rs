//! The executed cases of Logstash's plugins, run through a filter natively. The common options are the host's, so they
//! are taken out, and with them the expectations that stem from them: where the filter did its work, fields that
//! `add_field` or `remove_field` changes, and the tags if `add_tag` or `remove_tag` is set. The whole cases run through the
//! components elsewhere.

use std::path::Path;

use serde_json::Value as Json;
use weir_filter::test::{After, run_all};
use weir_filter::{Environment, FieldReference, Filter, Value, native, timestamp};

/// One case.
pub(crate) struct Case {
    /// Its name.
    pub id: String,
    /// Logstash's option map.
    pub config: Json,
    input: Json,
    now: Option<i64>,
    /// The pipeline's time zone.
    tz: String,
    expect: Json,
}

/// The options that every filter has, and that the host sees to.
const COMMON_OPTIONS: [&str; 7] =
    ["add_field", "remove_field", "add_tag", "remove_tag", "id", "enable_metric", "periodic_flush"];

/// Reads `tests/conformance/<file>`, as seen from a guest's own folder.
pub(crate) fn read_cases(file: &str) -> Vec<Case> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/conformance").join(file);
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    text.lines().map(read_case).collect()
}

pub(crate) fn read_case(line: &str) -> Case {
    let case: Json = serde_json::from_str(line).expect("a case is JSON");
    let now = case.get("now").and_then(Json::as_str).map(|now| timestamp::parse(now).expect("a timestamp"));
    let mut input = case["input"].clone();
    for (name, value) in [("@version", "1"), ("@timestamp", "2026-01-01T00:00:05Z")] {
        if input.get(name).is_none() {
            input[name] = Json::from(value);
        }
    }
    Case {
        id: case["id"].as_str().expect("a case has an id").to_owned(),
        config: case["config"].clone(),
        input,
        now,
        tz: case.get("tz").and_then(Json::as_str).unwrap_or("UTC").to_owned(),
        expect: case.get("weir").unwrap_or(&case["expect"]).clone(),
    }
}

/// Runs cases and tells all that went wrong.
pub(crate) fn check_all<F: Filter>(cases: &[Case]) {
    let wrong: Vec<String> = cases
        .iter()
        .filter_map(|case| check::<F>(case).err().map(|message| format!("{}: {message}", case.id)))
        .collect();
    assert!(wrong.is_empty(), "{} of {} cases are wrong:\n{}", wrong.len(), cases.len(), wrong.join("\n"));
}

/// Runs one case.
pub(crate) fn check<F: Filter>(case: &Case) -> Result<(), String> {
    let mut options = case.config.clone();
    if let Json::Object(options) = &mut options {
        options.retain(|name, _| !COMMON_OPTIONS.contains(&name.as_str()));
    }
    native::set_now(case.now.unwrap_or(1_767_225_605_000_000_000));
    let environment = Environment { timezone: case.tz.clone(), ..Environment::default() };
    let is_refused = case.expect.get("error").is_some();
    let after = match run_all::<F>(&options, &environment, std::slice::from_ref(&case.input)) {
        Ok(mut after) => after.swap_remove(0),
        Err(_) if is_refused => return Ok(()),
        Err(problems) => return Err(format!("the options are refused: {problems:?}")),
    };
    if is_refused {
        return Err(format!("the options are not refused: {}", case.config));
    }
    compare(case, &after).map_err(|message| format!("{message}; after: {} {:?}", after.event, after.failures))
}

fn compare(case: &Case, after: &After) -> Result<(), String> {
    let is_the_hosts = |reference: &str| after.matched > 0 && names_field(&case.config, reference);
    for (reference, expected) in case.expect["fields"].as_object().into_iter().flatten() {
        let found = after.get(reference);
        if !is_the_hosts(reference) && !found.is_some_and(|found| is_same(found, expected)) {
            return Err(format!("{reference} should be {expected}, but is {found:?}"));
        }
    }
    for reference in case.expect["absent"].as_array().into_iter().flatten().filter_map(Json::as_str) {
        let empty_tags = reference == "[tags]" && after.tags.is_empty();
        if !is_the_hosts(reference) && after.get(reference).is_some() && !empty_tags {
            return Err(format!("{reference} should be absent"));
        }
    }
    let tags_are_the_hosts =
        after.matched > 0 && ["add_tag", "remove_tag"].iter().any(|option| case.config.get(option).is_some());
    if let Some(expected) = case.expect["tags"].as_array()
        && !tags_are_the_hosts
        && after.tags.iter().map(String::as_str).ne(expected.iter().filter_map(Json::as_str))
    {
        return Err(format!("the tags should be {expected:?}, but are {:?}", after.tags));
    }
    // The only pattern in the cases is that of a random UUID.
    for (reference, _) in case.expect["match"].as_object().into_iter().flatten() {
        if !after.get(reference).and_then(Json::as_str).is_some_and(is_random_uuid) {
            return Err(format!("{reference} should be a random UUID"));
        }
    }
    Ok(())
}

/// Whether a common option writes the field, or one above or below it.
fn names_field(config: &Json, reference: &str) -> bool {
    let Ok(reference) = FieldReference::parse(reference) else { return false };
    let named = |name: &str| {
        FieldReference::parse(name)
            .is_ok_and(|named| named == reference || named.is_below(&reference) || reference.is_below(&named))
    };
    let added = config["add_field"].as_object().into_iter().flatten().any(|(name, _)| named(name));
    let removed = match &config["remove_field"] {
        Json::Array(list) => list.iter().filter_map(Json::as_str).any(named),
        Json::String(name) => named(name),
        _ => false,
    };
    added || removed
}

/// Equal by value and by kind: 1 is not 1.0.
fn is_same(found: &Json, expected: &Json) -> bool {
    match (found, expected) {
        (Json::Number(found), Json::Number(expected)) => {
            Value::from_json_number(found.as_str()) == Value::from_json_number(expected.as_str())
        }
        (Json::Array(found), Json::Array(expected)) => {
            found.len() == expected.len()
                && found.iter().zip(expected).all(|(found, expected)| is_same(found, expected))
        }
        (Json::Object(found), Json::Object(expected)) => {
            found.len() == expected.len()
                && found
                    .iter()
                    .all(|(name, found)| expected.get(name).is_some_and(|expected| is_same(found, expected)))
        }
        _ => found == expected,
    }
}

fn is_random_uuid(text: &str) -> bool {
    let shape: String = text.chars().map(|letter| if letter == '-' { '-' } else { 'x' }).collect();
    let digits = |letter: char| letter == '-' || matches!(letter, '0'..='9' | 'a'..='f');
    shape == "xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx"
        && text.chars().all(digits)
        && text[14..].starts_with('4')
        && text[19..].starts_with(['8', '9', 'a', 'b'])
}
