//! The cases of filters, run through the compiled components, and those of conditions, run through the evaluator.

use std::ops::ControlFlow;
use std::path::Path;
use std::time::Duration;

use serde_json::Value as Json;
use weir::config::cases::{Case, CaseBatch};
use weir::config::{Component, filter_from_json};
use weir::event::condition::{evaluate, parse};
use weir::event::{Batch, FieldReference, Pattern, put_example};
use weir::filter::{Engine, run_case};
use weir_filter::test::Expectation;
use weir_filter::timestamp;

use crate::read::expected;

/// What filters see as now where a case does not say it; such cases came out the same at any time.
const NOW: i64 = 1_767_225_605_000_000_000;

/// Far beyond what a case takes, however busy the machine is: what is tried here is the answer, not the time.
const DEADLINE: Duration = Duration::from_secs(60);

/// Runs a filter's case. `databases` is the folder of address databases.
pub(crate) fn run(case: &Json, engine: &Engine, databases: &Path) -> Result<(), String> {
    let case = match filter_case(case)? {
        ControlFlow::Continue(case) => case,
        ControlFlow::Break(()) => return Ok(()),
    };
    let differences = run_case(engine, &case, databases).differences;
    let texts: Vec<String> = differences.iter().map(ToString::to_string).collect();
    if texts.is_empty() { Ok(()) } else { Err(texts.join("\n")) }
}

/// Runs a condition's case.
pub(crate) fn run_condition(case: &Json) -> Result<(), String> {
    let expected = expected(case);
    let when = case["when"].as_str().ok_or("a case has a `when`")?;
    let condition = match (parse(when), expected["error"] == "config") {
        (Err(_), true) => return Ok(()),
        (Ok(_), true) => return Err("should have been refused, and was taken".to_owned()),
        (Err((at, message)), false) => return Err(format!("at {at}: {message}")),
        (Ok(condition), false) => condition,
    };
    let mut batch = Batch::new(std::sync::Arc::default(), 1);
    put_example(&mut batch, 0, case["input"].as_object().ok_or("a case has an input")?, 0)?;
    match (evaluate(&condition, &batch, 0), expected) {
        (Ok(answer), Json::Bool(expected)) if answer == *expected => Ok(()),
        (Err(_), expected) if expected["error"] == "runtime" => Ok(()),
        (answer, expected) => Err(format!("answered {answer:?}, expected {expected}")),
    }
}

/// A filter's case. Breaks where the case is decided before there is one: the common options are refused.
fn filter_case(line: &Json) -> Result<ControlFlow<(), Case>, String> {
    let text = |key: &str| line.get(key).and_then(Json::as_str);
    let map = |key: &str| line[key].as_object().ok_or_else(|| format!("a case has a map {key:?}"));
    let filter = text("filter").ok_or("a case has a filter")?;
    let (mut step, problems) = filter_from_json(Component::BuiltIn(filter.to_owned()), map("config")?);
    let expect = read_expectation(expected(line))?;
    if problems.errors() > 0 {
        return if expect.refused {
            Ok(ControlFlow::Break(()))
        } else {
            Err(format!("refused: {}", problems.render(false)))
        };
    }
    step.limits.deadline = DEADLINE;
    let now = match text("now") {
        Some(text) => timestamp::parse(text).ok_or_else(|| format!("{text:?} is no time"))?,
        None => NOW,
    };
    Ok(ControlFlow::Continue(Case {
        name: text("id").unwrap_or_default().to_owned(),
        step,
        clock: Some(now),
        seed: 1,
        environment: [text("tz"), text("locale"), None].map(|value| value.map(str::to_owned)),
        databases: Vec::new(),
        batches: vec![CaseBatch { input: vec![map("input")?.clone()], expect, ..CaseBatch::default() }],
        has_batches: false,
        span: 0..0,
    }))
}

fn read_expectation(expected: &Json) -> Result<Expectation, String> {
    let mut expect = Expectation::default();
    let parts = expected.as_object().ok_or("an expectation is a map")?;
    for (part, value) in parts {
        match (part.as_str(), value) {
            ("fields", Json::Object(fields)) => {
                for (name, value) in fields {
                    expect.fields.push((FieldReference::parse(name)?, value.clone()));
                }
            }
            ("match", Json::Object(patterns)) => {
                for (name, pattern) in patterns {
                    let pattern = pattern.as_str().ok_or("a pattern is a text")?;
                    Pattern::compile(pattern)?;
                    expect.matches.push((FieldReference::parse(name)?, pattern.to_owned()));
                }
            }
            ("absent", Json::Array(names)) => {
                for name in names {
                    let name = name.as_str().ok_or("a reference is a text")?;
                    expect.absent.push(FieldReference::parse(name)?);
                }
            }
            ("tags", Json::Array(tags)) => {
                let tags = tags.iter().map(|tag| tag.as_str().map(str::to_owned));
                expect.tags = Some(tags.collect::<Option<_>>().ok_or("tags are texts")?);
            }
            ("error", Json::String(error)) if error == "config" => expect.refused = true,
            _ => return Err(format!("what is expected has an unknown part {part:?}: {value}")),
        }
    }
    Ok(expect)
}
