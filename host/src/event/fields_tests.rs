//! Reading, writing and deleting on one row, as a table of steps and the event that they leave.

use std::sync::Arc;

use serde_json::{Value as Json, json};

use super::*;

fn reference(text: &str) -> FieldReference {
    FieldReference::parse(text).expect("a reference")
}

fn batch_of(event: &Json) -> Batch {
    let mut batch = Batch::new(Arc::default(), 1);
    for (key, value) in event.as_object().expect("an event is a map") {
        set_json(&mut batch, 0, &FieldReference::from_fragments([key]), value).expect("the event is one");
    }
    batch
}

fn event_of(batch: &Batch) -> Json {
    let mut event = serde_json::Map::new();
    for id in batch.names().ids() {
        if let Some(value) = batch.value(0, id) {
            insert_leaf(&mut event, batch.names().reference(id).fragments(), json_of(value));
        }
    }
    Json::Object(event)
}

fn check_set(event: Json, target: &str, value: Json, expected: Result<Json, ()>) {
    let mut batch = batch_of(&event);
    let outcome = set_json(&mut batch, 0, &reference(target), &value);
    match expected {
        Ok(expected) => {
            assert_eq!(outcome, Ok(()), "{target} = {value} on {event}");
            assert_eq!(event_of(&batch), expected, "{target} = {value} on {event}");
        }
        Err(()) => {
            assert!(outcome.is_err(), "{target} = {value} on {event} is refused");
            assert_eq!(event_of(&batch), event, "a refused write changes nothing");
        }
    }
}

#[test]
fn writing() {
    check_set(json!({}), "[a][b]", json!(1), Ok(json!({"a": {"b": 1}})));
    check_set(json!({"a": {"b": 1}}), "a", json!("x"), Ok(json!({"a": "x"})));
    check_set(json!({"a": {}}), "[a][b]", json!(2.0), Ok(json!({"a": {"b": 2.0}})));
    check_set(json!({"a": 1}), "[a][b]", json!(1), Err(()));
    check_set(json!({"a": null}), "[a][b]", json!(1), Err(()));
    check_set(json!({"a": {"b": {"c": 1}}}), "[a]", json!({"d": 1}), Ok(json!({"a": {"d": 1}})));
    check_set(json!({}), "[a][0]", json!("x"), Ok(json!({"a": {"0": "x"}})));
    check_set(json!({"a": ["x"]}), "[a][3]", json!("y"), Ok(json!({"a": ["x", null, null, "y"]})));
    check_set(json!({"a": ["x", "z"]}), "[a][-1]", json!("y"), Ok(json!({"a": ["x", "y"]})));
    check_set(json!({"a": ["x"]}), "[a][-2]", json!("y"), Err(()));
    check_set(json!({"a": ["x"]}), "[a][k]", json!("y"), Ok(json!({"a": ["x"]})));
    check_set(json!({"a": ["x"]}), "[a][0][b]", json!("y"), Err(()));
    check_set(json!({"a": [{"b": 1}]}), "[a][0][b]", json!("y"), Ok(json!({"a": [{"b": "y"}]})));
    check_set(json!({"a": []}), "[a][1][b]", json!(1), Ok(json!({"a": [null, {"b": 1}]})));
}

#[test]
fn guards() {
    check_set(json!({}), "@timestamp", json!("2020-01-01T00:00:00Z"), Err(()));
    check_set(json!({}), "tags", json!(["a", "b"]), Ok(json!({"tags": ["a", "b"]})));
    check_set(json!({}), "tags", json!([1]), Err(()));
    check_set(json!({}), "tags", Json::Null, Err(()));
    check_set(json!({}), "[tags][0]", json!("a"), Err(()));
    check_set(json!({}), "[@metadata][tags][x]", json!("a"), Err(()));
    check_set(json!({}), "@metadata", json!("a"), Err(()));
    check_set(
        json!({"@metadata": {"a": 1}}),
        "@metadata",
        json!({"b": 1}),
        Ok(json!({"@metadata": {"b": 1}})),
    );
}

fn check_remove(event: Json, target: &str, expected: Json) {
    let mut batch = batch_of(&event);
    remove(&mut batch, 0, &reference(target));
    assert_eq!(event_of(&batch), expected, "{target} of {event}");
}

#[test]
fn deleting() {
    check_remove(json!({"a": {"b": 1}}), "[a][b]", json!({"a": {}}));
    check_remove(json!({"a": {"b": {"c": 1}, "d": 2}}), "[a][b]", json!({"a": {"d": 2}}));
    check_remove(json!({"a": {"b": 1}}), "a", json!({}));
    check_remove(json!({"a": [1, 2, 3]}), "[a][-1]", json!({"a": [1, 2]}));
    check_remove(json!({"a": [1, {"b": 1}]}), "[a][1][b]", json!({"a": [1, {}]}));
    check_remove(json!({"a": [1]}), "[a][7]", json!({"a": [1]}));
    check_remove(json!({"@metadata": {"a": 1}}), "@metadata", json!({}));
    check_remove(json!({"a": 1}), "b", json!({"a": 1}));
}

fn check_get(event: Json, target: &str, expected: Option<Json>) {
    let batch = batch_of(&event);
    assert_eq!(whole(&batch, 0, &reference(target)), expected, "{target} of {event}");
}

#[test]
fn reading() {
    check_get(json!({"a": {"b": [1, {"c": null}]}}), "[a][b][1][c]", Some(Json::Null));
    check_get(json!({"a": {"b": [1, {"c": null}]}}), "[a]", Some(json!({"b": [1, {"c": null}]})));
    check_get(json!({"a": [1, 2]}), "[a][+1]", Some(json!(2)));
    check_get(json!({"a": [1, 2]}), "[a][-3]", None);
    check_get(json!({"a": "x"}), "[a][b]", None);
    check_get(json!({"a": {}}), "a", Some(json!({})));
    check_get(json!({}), "@metadata", Some(json!({})));
    check_get(
        json!({"a": 123456789012345678901234567890_f64}),
        "a",
        Some(json!(123456789012345678901234567890_f64)),
    );
}

#[test]
fn tags_are_added_once() {
    for (before, expected) in [
        (json!({}), json!(["t"])),
        (json!({"tags": "x"}), json!(["x", "t"])),
        (json!({"tags": ["t"]}), json!(["t"])),
        (json!({"tags": ["a", "b"]}), json!(["a", "b", "t"])),
    ] {
        let mut batch = batch_of(&before);
        add_tag(&mut batch, 0, "t");
        assert_eq!(whole(&batch, 0, &reference("tags")), Some(expected), "{before}");
    }
}
