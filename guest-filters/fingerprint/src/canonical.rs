//! The text of a value that is hashed: scalars as Ruby prints them, maps and lists flattened with `|`.

use serde_json::{Map, Value as Json};
use weir_filter::{Event, Value, json, ruby_text};

/// Appends the text of a field's value. A null is the empty text.
pub(crate) fn push_value(text: &mut String, value: Value<'_>) {
    if let Value::Json(json) = value
        && let Ok(json @ (Json::Array(_) | Json::Object(_))) = serde_json::from_str(json)
    {
        return push_json(text, &json);
    }
    ruby_text::write(value, text);
}

/// Appends the text of a value inside a list or map: `key|value|key|value` with the keys in byte order, and the
/// elements of lists, all joined with `|`. Nothing is escaped, as in Logstash.
pub(crate) fn push_json(text: &mut String, json: &Json) {
    match json {
        Json::Array(list) => {
            for (index, element) in list.iter().enumerate() {
                if index > 0 {
                    text.push('|');
                }
                push_json(text, element);
            }
        }
        Json::Object(map) => push_map(text, map),
        element => {
            if let Some(value) = ruby_text::scalar_of_json(element) {
                ruby_text::write(value, text);
            }
        }
    }
}

/// `|name|value|name|value|` of all top-level fields, names in byte order; `@metadata` is none of them.
pub(crate) fn text_of_event(event: &Event<'_>) -> String {
    let mut fields = Map::new();
    event.for_each_field(|reference, value| {
        if !reference.is_metadata() {
            insert(&mut fields, reference.fragments(), value);
        }
    });
    let mut text = String::from("|");
    push_map(&mut text, &fields);
    text.push('|');
    text
}

fn push_map(text: &mut String, map: &Map<String, Json>) {
    let mut members: Vec<(&String, &Json)> = map.iter().collect();
    members.sort_by_key(|(key, _)| key.as_str());
    for (index, (key, value)) in members.into_iter().enumerate() {
        if index > 0 {
            text.push('|');
        }
        text.push_str(key);
        text.push('|');
        push_json(text, value);
    }
}

/// Puts a leaf where its fragments lead. No event has both a value and something below it.
fn insert(map: &mut Map<String, Json>, fragments: &[String], value: Value<'_>) {
    match fragments {
        [] => {}
        [name] => {
            map.insert(name.clone(), json::to_json(value));
        }
        [name, below @ ..] => {
            let inner = map.entry(name.clone()).or_insert_with(|| Json::Object(Map::new()));
            if let Json::Object(inner) = inner {
                insert(inner, below, value);
            }
        }
    }
}
