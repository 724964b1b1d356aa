//! Logstash's `%{…}` templates over a row of a batch. The language itself is the filters' too and lies in the crate
//! `weir-filter`.

use serde_json::Value as Json;
use weir_filter::{Template, Value};

use super::batch::Batch;
use super::fields::{Found, get, whole_json};
use weir_filter::FieldReference;

/// Renders a template at the end of `text`. `now` is in nanoseconds since 1970. A field that is missing or null leaves
/// its `%{…}` as it stands.
///
/// # Errors
/// When the template holds an illegal field reference or date pattern.
pub fn render(
    template: &Template,
    batch: &Batch,
    row: usize,
    now: i64,
    text: &mut String,
) -> Result<(), String> {
    let mut owned = Vec::new();
    for reference in template.references() {
        owned.push(match get(batch, row, reference) {
            Some(Found::Value(Value::Object)) => whole_json(batch, row, reference).map(|json| (false, json)),
            Some(Found::Element(Json::String(text))) => Some((true, text)),
            Some(Found::Element(json)) => Some((false, json.to_string())),
            Some(Found::Value(_)) | None => None,
        });
    }
    let lookup = |index: usize| match owned.get(index)? {
        Some((true, text)) => Some(Value::Text(text)),
        Some((false, json)) => Some(element_value(json)),
        None => match get(batch, row, template.references().get(index)?) {
            Some(Found::Value(value)) => Some(value),
            _ => None,
        },
    };
    let timestamp = if template.needs_timestamp() { timestamp(batch, row) } else { None };
    template.render(text, lookup, timestamp, || now)
}

/// The event's `@timestamp`, if it is a timestamp.
pub fn timestamp(batch: &Batch, row: usize) -> Option<i64> {
    let field = batch.names().get(&FieldReference::from_fragments(["@timestamp"]))?;
    match batch.value(row, field) {
        Some(Value::Timestamp(nanoseconds)) => Some(nanoseconds),
        _ => None,
    }
}

/// An element of a list as the value that it would be in a column of its own.
fn element_value(json: &str) -> Value<'_> {
    match json {
        "null" => Value::Null,
        "true" => Value::Boolean(true),
        "false" => Value::Boolean(false),
        whole if whole.starts_with(['{', '[']) => Value::Json(whole),
        number => Value::from_json_number(number),
    }
}
