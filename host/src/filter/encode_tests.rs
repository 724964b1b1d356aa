//! What guests get to see, written as text: a column is its kind and a value a row, `-` where there is none.

use std::sync::Arc;

use serde_json::json;

use super::super::interface::{self, Access, Extent};
use super::*;
use crate::event::{FieldNames, FieldReference};

/// A batch of events given as JSON. The names are those of `plan` first, as in a pipeline.
pub(in super::super) fn batch_of(events: &[serde_json::Value], names: &FieldNames) -> Batch {
    let mut batch = Batch::new(Arc::new(names.clone()), events.len());
    for (row, event) in events.iter().enumerate() {
        for (key, value) in event.as_object().expect("an event is a map") {
            let reference = FieldReference::from_fragments([key]);
            if key == "@timestamp" {
                let time = value.as_i64().expect("nanoseconds");
                fields::set(&mut batch, row, &reference, Value::Timestamp(time)).expect("set");
            } else {
                fields::set_json(&mut batch, row, &reference, value).expect("set");
            }
        }
    }
    batch
}

/// A plan of fields: a reference, whether it is read and written, and whether as a whole.
pub(in super::super) fn plan_of(
    fields: &[(&str, bool, bool, bool)],
    everything: Access,
) -> (Plan, FieldNames) {
    let mut names = FieldNames::new();
    let planned = |(path, read, write, whole): &(&str, bool, bool, bool)| {
        let mut access = Access::empty();
        if *read {
            access |= Access::READ;
        }
        if *write {
            access |= Access::WRITE;
        }
        interface::Planned {
            path: FieldReference::parse(path).expect("a reference").fragments().to_vec(),
            access,
            extent: if *whole { Extent::Whole } else { Extent::One },
        }
    };
    let plan = interface::Plan {
        fields: fields.iter().map(planned).collect(),
        everything,
        stateful: false,
        steps: 1,
        failure_tags: Vec::new(),
    };
    (Plan::new(plan, &mut names).expect("a plan"), names)
}

fn shown(column: &Column, text: &str, rows: usize) -> String {
    let place = |start: u32, length: u32| match length {
        NO_VALUE => "-".to_owned(),
        length => text[start as usize..(start + length) as usize].to_owned(),
    };
    let present = |present: &[u8], row: usize| present.is_empty() || present[row / 8] >> (row % 8) & 1 != 0;
    let numbers = |kind: &str, numbers: &Numbers| {
        let value = |row: usize| match present(&numbers.present, row) {
            true => numbers.values[row].to_string(),
            false => "-".to_owned(),
        };
        format!("{kind} {}", (0..rows).map(value).collect::<Vec<_>>().join(" "))
    };
    let texts = |kind: &str, texts: &Texts| {
        let values = texts.starts.iter().zip(&texts.lens).map(|(start, length)| place(*start, *length));
        format!("{kind} {}", values.collect::<Vec<_>>().join(" "))
    };
    match column {
        Column::Absent => "absent".to_owned(),
        Column::Text(column) => texts("text", column),
        Column::Json(column) => texts("json", column),
        Column::Integer(column) => numbers("integer", column),
        Column::Boolean(column) => numbers("boolean", column),
        Column::Timestamp(column) => numbers("timestamp", column),
        Column::Float(floats) => {
            let value = |row: usize| match present(&floats.present, row) {
                true => format!("{:?}", floats.values[row]),
                false => "-".to_owned(),
            };
            format!("float {}", (0..rows).map(value).collect::<Vec<_>>().join(" "))
        }
        Column::Object(bits) => {
            let value = |row: usize| if present(bits, row) { "{" } else { "-" };
            format!("object {}", (0..rows).map(value).collect::<Vec<_>>().join(" "))
        }
        Column::Mixed(mixed) => {
            let value = |(row, cell): &(u32, MixedCell)| {
                let cell = match cell {
                    MixedCell::Null => "null".to_owned(),
                    MixedCell::Boolean(value) => value.to_string(),
                    MixedCell::Integer(value) => value.to_string(),
                    MixedCell::Float(value) => format!("{value:?}"),
                    MixedCell::Text((start, length)) => format!("{:?}", place(*start, *length)),
                    MixedCell::Timestamp(value) => format!("@{value}"),
                    MixedCell::Json((start, length)) => format!("json {}", place(*start, *length)),
                    MixedCell::Object => "{".to_owned(),
                };
                format!("{row}:{cell}")
            };
            format!("mixed {}", mixed.iter().map(value).collect::<Vec<_>>().join(" "))
        }
    }
}

fn check(reference: &str, whole: bool, events: &[serde_json::Value], expected: &str) {
    let (plan, names) =
        plan_of(&[("first", true, false, false), (reference, true, false, whole)], Access::empty());
    let batch = batch_of(events, &names);
    let rows = Rows::All(events.len());
    let mut encoder = Encoder::default();
    // Twice, as buffers are kept.
    for _ in 0..2 {
        encoder.encode(&batch, &rows, &plan, usize::MAX).expect("not too long");
        assert_eq!(
            shown(&encoder.columns[1], &encoder.text, events.len()),
            expected,
            "{reference} of {events:?}"
        );
    }
    // A selection of rows is what a batch of only these rows is.
    let doubled: Vec<serde_json::Value> =
        events.iter().flat_map(|event| [json!({}), event.clone()]).collect();
    let rows = Rows::Some((0..events.len()).map(|row| row * 2 + 1).collect());
    encoder.encode(&batch_of(&doubled, &names), &rows, &plan, usize::MAX).expect("not too long");
    assert_eq!(
        shown(&encoder.columns[1], &encoder.text, events.len()),
        expected,
        "{reference} of {doubled:?}"
    );
}

#[test]
fn columns_of_one_kind() {
    let all = json!({"first": "f"});
    check("a", false, &[all.clone(), json!({"b": 1})], "absent");
    check("a", false, &[json!({"a": "x"}), all.clone(), json!({"a": "", "first": "g"})], "text x - ");
    check("a", false, &[json!({"a": 1}), json!({"a": -2})], "integer 1 -2");
    check("a", false, &[json!({"a": 1}), all.clone()], "integer 1 -");
    check("a", false, &[json!({"a": 1.5}), all.clone()], "float 1.5 -");
    check("a", false, &[json!({"a": true}), json!({"a": false})], "boolean 1 0");
    check("a", false, &[json!({"a": [1]}), all.clone(), json!({"a": {}})], "json [1] - {}");
    check("@timestamp", false, &[json!({"@timestamp": 5})], "timestamp 5");
}

#[test]
fn columns_of_several_kinds() {
    check(
        "a",
        false,
        &[json!({"a": 1}), json!({}), json!({"a": "x"}), json!({"a": null})],
        "mixed 0:1 2:\"x\" 3:null",
    );
    check("a", false, &[json!({"a": null})], "mixed 0:null");
    check("a", false, &[json!({"a": [1]}), json!({"a": "x"})], "mixed 0:json [1] 1:\"x\"");
}

#[test]
fn maps() {
    let map = json!({"a": {"b": {"c": 1}, "d": "x"}});
    check("a", false, &[map.clone(), json!({})], "object { -");
    check("a", false, &[map.clone(), json!({"a": 2})], "mixed 0:{ 1:2");
    check("[a][b]", false, std::slice::from_ref(&map), "object {");
    check("a", true, &[map.clone(), json!({})], "mixed 0:json {\"b\":{\"c\":1},\"d\":\"x\"}");
    check(
        "a",
        true,
        &[map.clone(), json!({"a": 2}), json!({"a": {}})],
        "mixed 0:json {\"b\":{\"c\":1},\"d\":\"x\"} 1:2 2:json {}",
    );
    check("[a][b][c]", false, std::slice::from_ref(&map), "integer 1");
}

#[test]
fn metadata_is_always_there() {
    let events = [json!({}), json!({"@metadata": {"x": 1}})];
    check("@metadata", true, &events[..1], "mixed 0:json {}");
    check("@metadata", true, &events, "mixed 0:json {} 1:json {\"x\":1}");
    check("@metadata", false, &events, "mixed 0:json {} 1:{");
}

#[test]
fn elements_of_lists() {
    let list = json!({"l": ["x", {"k": [1, 2]}, null]});
    check("[l][0]", false, &[list.clone(), json!({"l": {"0": 7}}), json!({})], "mixed 0:\"x\" 1:7");
    check("[l][-1]", false, std::slice::from_ref(&list), "mixed 0:null");
    check("[l][1]", false, std::slice::from_ref(&list), "mixed 0:{");
    check("[l][1]", true, std::slice::from_ref(&list), "mixed 0:json {\"k\":[1,2]}");
    check("[l][1][k][1]", false, std::slice::from_ref(&list), "mixed 0:2");
    check("[l][9]", false, std::slice::from_ref(&list), "mixed ");
    let numbers: serde_json::Value =
        serde_json::from_str(r#"{"l": [1.5, 1e20, 18446744073709551616]}"#).expect("JSON");
    check("[l][0]", false, std::slice::from_ref(&numbers), "mixed 0:1.5");
    check("[l][1]", false, std::slice::from_ref(&numbers), "mixed 0:1e20");
    check("[l][2]", false, std::slice::from_ref(&numbers), "mixed 0:json 18446744073709551616");
}

#[test]
fn everything_is_sent_but_the_plans_fields() {
    let (plan, names) = plan_of(&[("a", true, false, false)], Access::READ);
    let batch = batch_of(&[json!({"a": 1, "b": "x", "m": {"n": 2}}), json!({"c": null})], &names);
    let mut encoder = Encoder::default();
    encoder.encode(&batch, &Rows::All(2), &plan, usize::MAX).expect("not too long");
    let others: Vec<String> = encoder
        .others
        .iter()
        .map(|(path, column)| format!("{}: {}", path.join("."), shown(column, &encoder.text, 2)))
        .collect();
    assert_eq!(others, ["b: text x -", "m.n: integer 2 -", "c: mixed 1:null"]);
}

#[test]
fn long_texts_are_not_sent_together() {
    let (plan, names) = plan_of(&[("a", true, false, false)], Access::empty());
    for long in [json!("x".repeat(100)), json!(["x".repeat(100)])] {
        let batch = batch_of(&[json!({"a": long}), json!({"a": "x"})], &names);
        let mut encoder = Encoder::default();
        assert!(encoder.encode(&batch, &Rows::All(2), &plan, 50).is_err());
        assert!(
            encoder.encode(&batch, &Rows::Some(vec![0]), &plan, 50).is_ok(),
            "one event is sent in any case"
        );
    }
}
