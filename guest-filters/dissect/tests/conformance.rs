//! The filter does what Logstash's does: the cases of tests/conformance, run natively. Those with common options, which
//! are the host's, are left to the tests of the whole pipeline.

use serde_json::Value;
use weir_dissect::Dissect;
use weir_filter::{Decimal, FieldReference, test};

const CASES: &str = include_str!("../../../tests/conformance/dissect.jsonl");
const COMMON_OPTIONS: [&str; 4] = ["add_field", "remove_field", "add_tag", "remove_tag"];

#[test]
fn does_what_logstash_does() {
    let mut run = 0;
    let mut wrong = Vec::new();
    for line in CASES.lines() {
        let case: Value = serde_json::from_str(line).expect("a case is JSON");
        if COMMON_OPTIONS.iter().any(|option| case["config"].get(option).is_some()) {
            continue;
        }
        run += 1;
        if let Err(message) = check(&case) {
            wrong.push(format!("{}: {message}", case["id"]));
        }
    }
    assert!(wrong.is_empty(), "{} of {run} cases went wrong:\n{}", wrong.len(), wrong.join("\n"));
    assert!(run > 130, "only {run} cases were run");
}

fn check(case: &Value) -> Result<(), String> {
    let expected = &case["expect"];
    let after = test::run::<Dissect>(&case["config"], case["input"].clone());
    let after = match (after, expected.get("error")) {
        (Err(_), Some(_)) => return Ok(()),
        (Err(problems), None) => return Err(format!("its options are refused: {problems:?}")),
        (Ok(_), Some(_)) => return Err("its options are not refused".to_owned()),
        (Ok(after), None) => after,
    };
    for (reference, value) in expected["fields"].as_object().into_iter().flatten() {
        let found = after.get(reference);
        if !found.is_some_and(|found| same(found, value)) {
            return Err(format!("{reference} is {found:?}, not {value}"));
        }
    }
    for reference in expected["absent"].as_array().into_iter().flatten().filter_map(Value::as_str) {
        FieldReference::parse(reference)?;
        if let Some(found) = after.get(reference) {
            return Err(format!("{reference} is {found}, but should be absent"));
        }
    }
    match expected.get("tags").and_then(Value::as_array) {
        Some(tags) if *tags != after.tags => Err(format!("the tags are {:?}, not {tags:?}", after.tags)),
        _ => Ok(()),
    }
}

/// Numbers are compared as exact decimals, and a whole number is none that is written with a fraction.
fn same(found: &Value, expected: &Value) -> bool {
    let (Value::Number(found), Value::Number(expected)) = (found, expected) else { return found == expected };
    let (found, expected) = (found.to_string(), expected.to_string());
    let whole = |text: &str| !text.contains(['.', 'e', 'E']);
    match (Decimal::parse(&found), Decimal::parse(&expected)) {
        (Some(one), Some(other)) => one.same_number(&other) && whole(&found) == whole(&expected),
        _ => false,
    }
}
