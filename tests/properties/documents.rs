//! JSON documents: cells of every kind, in columns that nest, written and read back by serde_json, against a tree that is
//! built of the same values.

use std::sync::Arc;

use proptest::collection::vec;
use proptest::prelude::{Just, Strategy, any};
use proptest::prop_oneof;
use proptest::sample::select;
use serde_json::{Map, Value as Json};
use weir::event::{Batch, Documents, FieldNames, FieldReference, Value};

use crate::campaign::Tried;
use crate::values::{letters, text, value};

/// A cell.
#[derive(Clone, Debug)]
enum Content {
    Absent,
    Null,
    Boolean(bool),
    Integer(i64),
    Float(f64),
    Text(String),
    Timestamp(i64),
    Json(Json),
}

fn content() -> impl Strategy<Value = Content> {
    prop_oneof![
        2 => Just(Content::Absent),
        1 => Just(Content::Null),
        1 => any::<bool>().prop_map(Content::Boolean),
        2 => prop_oneof![any::<i64>(), select(&[i64::MIN, i64::MAX, 0, -1, 10, 99, 100][..])].prop_map(Content::Integer),
        2 => any::<u64>().prop_map(|bits| Content::Float(f64::from_bits(bits))),
        1 => select(&[0.0, -0.0, 1.0, 1e15, 1e16, 1e21, 0.1, f64::NAN, f64::INFINITY][..]).prop_map(Content::Float),
        2 => text().prop_map(Content::Text),
        2 => letters(40).prop_map(Content::Text),
        1 => any::<String>().prop_map(Content::Text),
        2 => prop_oneof![any::<i64>(), any::<i32>().prop_map(i64::from)].prop_map(Content::Timestamp),
        1 => value().prop_filter_map("only lists are cells of JSON", |json| json.is_array().then_some(Content::Json(json))),
    ]
}

/// Names that do not lie in each other.
const COLUMNS: [&[&str]; 9] = [
    &["message"],
    &["a", "x"],
    &["@timestamp"],
    &["a", "y", "z"],
    &["\"\\\n"],
    &["@metadata", "m"],
    &["a", "y", "é"],
    &["a name that is longer than what is copied at once"],
    &[""],
];

fn put(tree: &mut Map<String, Json>, way: &[&str], value: Json) {
    match way {
        [] => {}
        [key] => drop(tree.insert((*key).to_owned(), value)),
        [key, rest @ ..] => {
            let below = tree.entry(*key).or_insert_with(|| Json::Object(Map::new()));
            put(below.as_object_mut().expect("names do not lie in each other"), rest, value);
        }
    }
}

/// A point in time as chrono writes it, in Logstash's form.
pub(crate) fn timestamp_text(nanoseconds: i64) -> String {
    let decimals = match nanoseconds.rem_euclid(1_000_000_000) {
        fraction if fraction % 1_000_000 == 0 => chrono::SecondsFormat::Millis,
        fraction if fraction % 1000 == 0 => chrono::SecondsFormat::Micros,
        _ => chrono::SecondsFormat::Nanos,
    };
    chrono::DateTime::from_timestamp_nanos(nanoseconds).to_rfc3339_opts(decimals, true)
}

fn check(rows: &[Vec<Content>]) -> Result<Tried, String> {
    let mut batch = Batch::new(Arc::new(FieldNames::new()), rows.len());
    let mut trees = Vec::with_capacity(rows.len());
    for (row, contents) in rows.iter().enumerate() {
        let mut tree = Map::new();
        for (way, content) in COLUMNS.iter().zip(contents) {
            let (value, expected, written);
            match content {
                Content::Absent => continue,
                Content::Null => (value, expected) = (Value::Null, Json::Null),
                Content::Boolean(boolean) => {
                    (value, expected) = (Value::Boolean(*boolean), Json::from(*boolean))
                }
                Content::Integer(integer) => {
                    (value, expected) = (Value::Integer(*integer), Json::from(*integer))
                }
                Content::Float(float) => (value, expected) = (Value::Float(*float), Json::from(*float)),
                Content::Text(text) => (value, expected) = (Value::Text(text), Json::from(text.as_str())),
                Content::Timestamp(time) => {
                    (value, expected) = (Value::Timestamp(*time), Json::from(timestamp_text(*time)));
                }
                Content::Json(json) => {
                    written = serde_json::to_string_pretty(json).map_err(|error| error.to_string())?;
                    (value, expected) = (Value::Json(&written), json.clone());
                }
            }
            let field = batch.intern(&FieldReference::from_fragments(way.iter().copied()));
            let cell = batch.cell_for(value);
            batch.column_mut(field)[row] = cell;
            put(&mut tree, way, expected);
        }
        trees.push(tree);
    }
    let (mut whole, mut stored) = (Documents::with_metadata(&batch), Documents::new(&batch));
    for (row, mut tree) in trees.into_iter().enumerate() {
        for (documents, without) in [(&mut whole, false), (&mut stored, true)] {
            if without {
                tree.shift_remove("@metadata");
            }
            let text = documents.text(row);
            let read: Json = serde_json::from_str(&text).map_err(|error| format!("{error}: {text}"))?;
            if text.contains(['\n', '\r']) || read != Json::Object(tree.clone()) {
                return Err(format!("row {row} is {text}, expected {}", Json::Object(tree)));
            }
        }
    }
    Ok(Tried::pairs(rows.len(), rows.len() as u64))
}

#[test]
fn documents() {
    let strategy = vec(vec(content(), COLUMNS.len()), 1..=100);
    crate::campaign::run("documents", 3, &strategy, |rows| check(rows));
}
