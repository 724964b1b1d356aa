//! Events that are written down as JSON: in the cases of filters and conditions, and what came of them.

use serde_json::Value as Json;
use weir_filter::{FieldReference, Value, timestamp};

use super::batch::Batch;
use super::fields;

/// Puts an event on a row as an input makes it: with `@version` unless it says one, and with `@timestamp` (nanoseconds
/// since 1970) unless it says one as a text.
///
/// # Errors
/// When the event's `@timestamp` is no time, or a field is against one of the guards of `fields::set`.
pub fn put_example(
    batch: &mut Batch,
    row: usize,
    event: &serde_json::Map<String, Json>,
    time: i64,
) -> Result<(), String> {
    let top = |name: &str| FieldReference::from_fragments([name]);
    fields::set(batch, row, &top("@timestamp"), Value::Timestamp(time))?;
    fields::set(batch, row, &top("@version"), Value::Text("1"))?;
    for (name, value) in event {
        if name == "@timestamp"
            && let Json::String(text) = value
        {
            let time = timestamp::parse(text).ok_or_else(|| format!("{text:?} is no @timestamp"))?;
            fields::set(batch, row, &top(name), Value::Timestamp(time))?;
            continue;
        }
        if name == "tags" {
            fields::set_tags(batch, row, value.clone());
            continue;
        }
        fields::set_json(batch, row, &top(name), value)?;
    }
    Ok(())
}

/// A row's event, whole: with `@metadata`, timestamps as their text.
pub fn take_example(batch: &Batch, row: usize) -> Json {
    let mut event = serde_json::Map::new();
    for id in batch.names().ids() {
        let Some(name) = batch.names().reference(id).fragments().first() else { continue };
        if batch.cell(row, id).is_absent() || event.contains_key(name) {
            continue;
        }
        if let Some(value) = fields::whole(batch, row, &FieldReference::from_fragments([name.as_str()])) {
            event.insert(name.clone(), value);
        }
    }
    Json::Object(event)
}
