//! How Ruby prints values, where mutate makes texts of them: `convert` to string, `convert` to boolean, `join`.

use serde_json::Value as Json;
use weir_filter::Value;
use weir_filter::ruby_text::{self, inspect};

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
