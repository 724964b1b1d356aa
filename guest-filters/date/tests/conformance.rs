//! Runs the cases that were executed against Logstash's own date filter (tests/conformance/date.jsonl).
//!
//! The common options are the host's: they are taken out of a case's options, and where the filter matched, so is what
//! they would have done: the fields of `add_field` and `remove_field`, and the tags if `add_tag` or `remove_tag` is
//! there. Where the filter did not match they must not have run, and the whole expectation holds.

use serde_json::{Map, Value};
use weir_date::Date;
use weir_filter::{Environment, native, test, timestamp};

const COMMON: [&str; 4] = ["add_field", "remove_field", "add_tag", "remove_tag"];

#[test]
fn cases_of_logstash() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/conformance/date.jsonl");
    let cases = std::fs::read_to_string(path).unwrap();
    let mut wrong = Vec::new();
    let mut count = 0;
    for line in cases.lines() {
        let case: Value = serde_json::from_str(line).unwrap();
        count += 1;
        if let Err(message) = check(&case) {
            wrong.push(format!("{}: {message}\n    {line}", case["id"]));
        }
    }
    assert!(wrong.is_empty(), "{} of {count} cases are wrong:\n{}", wrong.len(), wrong.join("\n"));
    assert_eq!(count, 314);
}

fn check(case: &Value) -> Result<(), String> {
    let mut options = case["config"].as_object().expect("a case has options").clone();
    let common: Map<String, Value> = COMMON.iter().filter_map(|name| options.remove_entry(*name)).collect();
    let now = case["now"].as_str().unwrap_or("2023-05-06T07:08:09Z");
    native::set_now(timestamp::parse(now).expect("a time"));
    let environment =
        Environment { timezone: case["tz"].as_str().unwrap_or("UTC").to_owned(), ..Environment::default() };
    let expect = &case["expect"];
    let options = Value::Object(options);
    let after = match test::run_all::<Date>(&options, &environment, std::slice::from_ref(&case["input"])) {
        Err(problems) if expect["error"] == "config" => {
            let told = problems
                .iter()
                .all(|problem| !problem.message.is_empty() && problem.pointer.starts_with('/'));
            return if told { Ok(()) } else { Err(format!("{problems:?}")) };
        }
        Err(problems) => return Err(format!("refused: {problems:?}")),
        Ok(_) if expect["error"] == "config" => return Err("not refused".to_owned()),
        Ok(mut after) => after.swap_remove(0),
    };
    let matched = after.matched > 0;
    for (reference, expected) in expect["fields"].as_object().unwrap_or(&Map::new()) {
        if matched && names(&common, "add_field").contains(&bare(reference)) {
            continue;
        }
        let found = after.get(reference);
        if !found.is_some_and(|found| same(found, expected)) {
            return Err(format!("{reference} is {found:?}"));
        }
    }
    for reference in expect["absent"].as_array().unwrap_or(&Vec::new()) {
        let reference = reference.as_str().expect("a reference");
        if matched && names(&common, "remove_field").contains(&bare(reference)) {
            continue;
        }
        if let Some(found) = after.get(reference) {
            return Err(format!("{reference} is there: {found}"));
        }
    }
    let tags_change = common.contains_key("add_tag") || common.contains_key("remove_tag");
    if let Some(tags) = expect["tags"].as_array()
        && !(matched && tags_change)
        && *tags != after.tags.iter().map(|tag| Value::from(tag.as_str())).collect::<Vec<_>>()
    {
        return Err(format!("tags are {:?}", after.tags));
    }
    Ok(())
}

/// The fields that a common option names.
fn names(common: &Map<String, Value>, option: &str) -> Vec<String> {
    match common.get(option) {
        Some(Value::Object(fields)) => fields.keys().map(|name| bare(name)).collect(),
        Some(Value::Array(names)) => names.iter().filter_map(Value::as_str).map(bare).collect(),
        Some(Value::String(name)) => vec![bare(name)],
        _ => Vec::new(),
    }
}

/// A reference of one fragment without its brackets.
fn bare(reference: &str) -> String {
    match reference.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        Some(name) if !name.contains('[') => name.to_owned(),
        _ => reference.to_owned(),
    }
}

/// Numbers are compared by value, but a whole number is no double.
fn same(one: &Value, other: &Value) -> bool {
    match (one, other) {
        (Value::Number(one), Value::Number(other)) => {
            one.is_i64() == other.is_i64() && one.as_f64() == other.as_f64()
        }
        _ => one == other,
    }
}
