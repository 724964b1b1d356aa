//! How Ruby prints values, where mutate makes texts of them: `convert` to string, `convert` to boolean, `join`.

use serde_json::Value as Json;
use weir_filter::{Value, ruby_text};

/// The text of a value that is no list and no map. A null is the empty text.
pub(crate) fn text_of_value(value: Value<'_>) -> String {
    let mut text = String::new();
    ruby_text::write(value, &mut text);
    text
}

/// The elements of a list as one text: nulls are nothing, lists inside are joined alike.
pub(crate) fn join(list: &[Json], separator: &str) -> String {
    let mut parts = Vec::with_capacity(list.len());
    for element in list {
        parts.push(match element {
            Json::Array(inner) => join(inner, separator),
            element => match ruby_text::scalar_of_json(element) {
                Some(scalar) => text_of_value(scalar),
                None => inspect(element),
            },
        });
    }
    parts.join(separator)
}

/// A list or map as Ruby shows it to a programmer: `["a", nil, {"b" => 1.0}]`.
pub(crate) fn inspect(json: &Json) -> String {
    match json {
        Json::Null => "nil".to_owned(),
        // Ruby and JSON differ only in what needs an escape beyond these.
        Json::String(_) => json.to_string(),
        Json::Array(list) => {
            let elements: Vec<String> = list.iter().map(inspect).collect();
            format!("[{}]", elements.join(", "))
        }
        Json::Object(map) if map.is_empty() => "{}".to_owned(),
        Json::Object(map) => {
            let members: Vec<String> = map
                .iter()
                .map(|(key, value)| format!("{} => {}", Json::from(key.as_str()), inspect(value)))
                .collect();
            format!("{{{}}}", members.join(", "))
        }
        scalar => ruby_text::scalar_of_json(scalar).map(text_of_value).unwrap_or_default(),
    }
}

/// Whether a JSON number has a fraction or an exponent.
pub(crate) fn is_decimal(number: &str) -> bool {
    number.contains(['.', 'e', 'E'])
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn joined() {
        let list = json!(["a", null, ["b", [1, 2.0]], true, {"k": [null, "x"]}]);
        assert_eq!(join(list.as_array().unwrap(), "-"), "a--b-1-2.0-true-{\"k\" => [nil, \"x\"]}");
    }
}
