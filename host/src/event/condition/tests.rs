//! The cases of tests/conformance/conditional.jsonl, which were executed by Logstash.

use std::sync::Arc;

use serde_json::Value as Json;

use super::*;
use crate::event::{Batch, put_example};

fn check(case: &Json) -> Result<(), String> {
    let when = case["when"].as_str().ok_or("a case has a `when`")?;
    let expected = case.get("weir").filter(|weir| !weir.is_null()).unwrap_or(&case["expect"]);
    let condition = match parse(when) {
        Ok(condition) => condition,
        Err(_) if expected["error"] == "config" => return Ok(()),
        Err((at, message)) => return Err(format!("at {at}: {message}")),
    };
    if expected["error"] == "config" {
        return Err("was not refused".to_owned());
    }
    let mut batch = Batch::new(Arc::default(), 1);
    put_example(&mut batch, 0, case["input"].as_object().ok_or("a case has an input")?, 0)?;
    match (evaluate(&condition, &batch, 0), expected) {
        (Ok(answer), Json::Bool(expected)) if answer == *expected => Ok(()),
        (Err(_), expected) if expected["error"] == "runtime" => Ok(()),
        (answer, expected) => Err(format!("answered {answer:?}, expected {expected}")),
    }
}

#[test]
fn logstash_cases() {
    let cases = include_str!("../../../../tests/conformance/conditional.jsonl");
    let mut wrong = Vec::new();
    for line in cases.lines() {
        let case: Json = serde_json::from_str(line).expect("a case is JSON");
        if let Err(reason) = check(&case) {
            wrong.push(format!("{} {}: {reason}", case["id"], case["when"]));
        }
    }
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), cases.lines().count(), wrong.join("\n"));
}

/// What Logstash's own parser and evaluator (8.19) said of more conditions, all on the event in the first line.
#[test]
fn further_conditions_as_logstash_decides_them() {
    let mut lines = include_str!("cases.jsonl").lines();
    let first: Json = serde_json::from_str(lines.next().expect("the event")).expect("the event is JSON");
    let mut wrong = Vec::new();
    for line in lines {
        let mut case: Json = serde_json::from_str(line).expect("a case is JSON");
        case["input"] = first["input"].clone();
        if let Err(reason) = check(&case) {
            wrong.push(format!("{}: {reason}", case["when"]));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn what_logstash_would_decide_otherwise_is_said() {
    for (when, count) in [
        ("[a] and [b] and [c] or [d]", 1),
        ("[a] in [\"x\"]", 1),
        ("not ([a])", 1),
        ("[a] in [\"x\", \"y\"] and [b] or [c]", 0),
    ] {
        let condition = parse(when).expect("it can be read");
        assert_eq!(condition.departures().len(), count, "{when}");
    }
}

#[test]
fn what_is_too_deep_is_refused() {
    let check = |open: &str, close: &str, levels: usize, expected: bool| {
        // A list holds no fields.
        let inner = if open.starts_with("[b]") { "\"a\"" } else { "[a]" };
        let when = format!("{}{inner}{}", open.repeat(levels), close.repeat(levels));
        assert_eq!(parse(&when).is_ok(), expected, "{levels} times {open}");
    };
    for (open, close) in
        [("(", ")"), ("!(", ")"), ("not(", ")"), ("(", " and [b])"), ("[b] in [\"a\", ", "]")]
    {
        let levels = if open.starts_with("[b]") { 1 } else { 190 };
        check(open, close, levels, true);
        check(open, close, 100_000, false);
    }
    let when = |levels| format!("[a] in {}\"a\"{}", "[\"a\", ".repeat(levels), "]".repeat(levels));
    assert!(parse(&when(190)).is_ok());
    assert!(parse(&when(100_000)).is_err());
    // Every joint may be a level too.
    check("(", &format!("{})", " and [b]".repeat(100)), 150, false);
}
