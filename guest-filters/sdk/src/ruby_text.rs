//! Values as Ruby prints them (`to_s`), where Logstash's Ruby filters make texts of them; templates follow Java instead
//! (see `template`).

use serde_json::Value as Json;

use crate::decimal::Decimal;
use crate::value::Value;
use crate::{float_text, timestamp};

/// Writes a scalar at the end of `text`: a null is nothing, a double `1.0e-05`, an exact decimal `0.9543e2`. Lists and
/// maps are written as their JSON.
pub fn write(value: Value<'_>, text: &mut String) {
    match value {
        Value::Null | Value::Object => {}
        Value::Boolean(true) => text.push_str("true"),
        Value::Boolean(false) => text.push_str("false"),
        Value::Integer(integer) => text.push_str(&integer.to_string()),
        Value::Float(float) => float_text::write_ruby(float, text),
        Value::Text(value) => text.push_str(value),
        Value::Timestamp(nanoseconds) => timestamp::write_text(nanoseconds, text),
        Value::Json(json) => match Decimal::parse(json) {
            Some(decimal) if json.contains(['.', 'e', 'E']) => text.push_str(&decimal.ruby_text()),
            _ => text.push_str(json),
        },
    }
}

/// The text of any value (`to_s`): a null is nothing, lists and maps are as [`inspect`] has them.
pub fn text_of(value: Value<'_>) -> String {
    if let Value::Json(json) = value
        && let Ok(json @ (Json::Array(_) | Json::Object(_))) = serde_json::from_str(json)
    {
        return inspect(&json);
    }
    let mut text = String::new();
    write(value, &mut text);
    text
}

/// A list or map as Ruby shows it to a programmer: `["a", nil, {"b" => 1.0}]`.
pub fn inspect(json: &Json) -> String {
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
        scalar => {
            let mut text = String::new();
            write(scalar_of_json(scalar).unwrap_or(Value::Null), &mut text);
            text
        }
    }
}

/// The value of a scalar of JSON, as it would stand in a field; nothing for lists and maps.
pub fn scalar_of_json(json: &Json) -> Option<Value<'_>> {
    match json {
        Json::Null => Some(Value::Null),
        Json::Bool(boolean) => Some(Value::Boolean(*boolean)),
        Json::String(text) => Some(Value::Text(text)),
        Json::Number(number) => Some(Value::from_json_number(number.as_str())),
        Json::Array(_) | Json::Object(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shown() {
        let json: Json = serde_json::from_str(r#"["a",null,{"b":1.0,"c":{}},[true]]"#).unwrap();
        assert_eq!(inspect(&json), r#"["a", nil, {"b" => 1.0, "c" => {}}, [true]]"#);
    }

    #[test]
    fn scalars() {
        for (json, expected) in [
            ("null", ""),
            ("true", "true"),
            ("-5", "-5"),
            ("12345678901234567890", "12345678901234567890"),
            ("2.0", "2.0"),
            ("1e-5", "1.0e-05"),
            ("12345678901234567890.5", "0.123456789012345678905e20"),
            (r#""x""#, "x"),
        ] {
            let json: Json = serde_json::from_str(json).unwrap();
            let mut text = String::new();
            write(scalar_of_json(&json).unwrap(), &mut text);
            assert_eq!(text, expected, "{json}");
        }
    }
}
