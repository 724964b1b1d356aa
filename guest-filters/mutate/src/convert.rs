//! The option `convert`: values of one type made values of another, by Logstash's table.

use serde_json::{Number, Value as Json};
use weir_filter::{Value, ruby_text};

use crate::number::{self, Whole};
use crate::ruby;

/// What to convert to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Type {
    /// Text.
    Text,
    /// A whole number of any size.
    Integer,
    /// A double.
    Float,
    /// A boolean.
    Boolean,
    /// As `Integer`, from texts with `.` between thousands and a decimal `,`.
    IntegerEu,
    /// As `Float`, from such texts.
    FloatEu,
}

/// What came of a conversion.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Converted {
    /// The value stays as it is.
    Unchanged,
    /// A boolean.
    Boolean(bool),
    /// A whole number that fits 64 bits.
    Integer(i64),
    /// A double.
    Float(f64),
    /// A text.
    Text(String),
    /// A list, or a whole number that does not fit 64 bits.
    Json(Json),
}

impl Type {
    /// The names that the option takes, spelt exactly so.
    pub(crate) const NAMES: [&'static str; 6] =
        ["string", "integer", "float", "boolean", "integer_eu", "float_eu"];

    /// The type that an option's text names.
    pub(crate) fn of_option(name: &str) -> Option<Type> {
        let types = [Type::Text, Type::Integer, Type::Float, Type::Boolean, Type::IntegerEu, Type::FloatEu];
        Type::NAMES.iter().position(|known| *known == name).map(|place| types[place])
    }
}

/// Converts a field's value. Nulls and maps stay; of a list every element is converted.
///
/// # Errors
/// If the value, or one element of a list, cannot be converted.
pub(crate) fn convert(value: Value<'_>, to: Type) -> Result<Converted, String> {
    let Value::Json(text) = value else { return convert_scalar(value, to) };
    match serde_json::from_str(text) {
        Ok(Json::Array(list)) => {
            let mut converted = Vec::with_capacity(list.len());
            for element in list {
                converted.push(convert_element(element, to)?);
            }
            Ok(Converted::Json(Json::Array(converted)))
        }
        Ok(Json::Number(_)) => convert_scalar(value, to),
        _ => Ok(Converted::Unchanged),
    }
}

fn convert_element(element: Json, to: Type) -> Result<Json, String> {
    if element.is_array() || element.is_object() {
        return match to {
            Type::Text => Ok(Json::String(ruby_text::inspect(&element))),
            Type::Boolean => Ok(element),
            _ => Err("a list or map inside a list cannot be converted".to_owned()),
        };
    }
    match convert_scalar(ruby_text::scalar_of_json(&element).unwrap_or(Value::Null), to)? {
        Converted::Unchanged => Ok(element),
        Converted::Boolean(boolean) => Ok(Json::Bool(boolean)),
        Converted::Integer(integer) => Ok(Json::from(integer)),
        Converted::Float(float) => match Number::from_f64(float) {
            Some(number) => Ok(Json::Number(number)),
            None => Err("a number inside a list is too large for a float".to_owned()),
        },
        Converted::Text(text) => Ok(Json::String(text)),
        Converted::Json(json) => Ok(json),
    }
}

/// Here a JSON value is a number that no other kind holds.
fn convert_scalar(value: Value<'_>, to: Type) -> Result<Converted, String> {
    if matches!(value, Value::Null | Value::Object) {
        return Ok(Converted::Unchanged);
    }
    match to {
        Type::Text => match value {
            Value::Text(_) => Ok(Converted::Unchanged),
            _ => Ok(Converted::Text(ruby::text_of_value(value))),
        },
        Type::Boolean => Ok(to_boolean(value)),
        Type::Integer => to_integer(value, false),
        Type::IntegerEu => to_integer(value, true),
        Type::Float => to_float(value, false),
        Type::FloatEu => to_float(value, true),
    }
}

fn to_integer(value: Value<'_>, european: bool) -> Result<Converted, String> {
    let whole = match value {
        Value::Integer(_) => return Ok(Converted::Unchanged),
        Value::Boolean(boolean) => Some(Whole::Small(boolean.into())),
        Value::Float(float) => number::integer_of_float(float),
        Value::Text(text) if european => number::integer_of_text(&number::swap_separators(text)),
        Value::Text(text) => number::integer_of_text(text),
        Value::Timestamp(nanoseconds) => Some(Whole::Small(nanoseconds.div_euclid(1_000_000_000))),
        Value::Json(text) if ruby::is_decimal(text) => number::integer_of_decimal(text),
        Value::Json(_) => return Ok(Converted::Unchanged),
        Value::Null | Value::Object => None,
    };
    match whole {
        Some(Whole::Small(integer)) => Ok(Converted::Integer(integer)),
        Some(Whole::Big(digits)) => match serde_json::from_str(&digits) {
            Ok(json) => Ok(Converted::Json(json)),
            Err(error) => Err(format!("a whole number could not be stored: {error}")),
        },
        None => Err("the value is not a number that can become an integer".to_owned()),
    }
}

fn to_float(value: Value<'_>, european: bool) -> Result<Converted, String> {
    let float = match value {
        Value::Float(_) => return Ok(Converted::Unchanged),
        Value::Boolean(boolean) => Some(f64::from(u8::from(boolean))),
        Value::Integer(integer) => Some(integer as f64),
        Value::Text(text) if european => number::float_of_text(&number::swap_separators(text)),
        Value::Text(text) => number::float_of_text(text),
        Value::Timestamp(nanoseconds) => Some(nanoseconds as f64 / 1e9),
        Value::Json(text) => text.parse().ok(),
        Value::Null | Value::Object => None,
    };
    match float {
        Some(float) => Ok(Converted::Float(float)),
        None => Err("the value is not a number that can become a float".to_owned()),
    }
}

fn to_boolean(value: Value<'_>) -> Converted {
    if let Value::Boolean(_) = value {
        return Converted::Unchanged;
    }
    let text = ruby::text_of_value(value);
    // Logstash's patterns are anchored to lines, and their dots are any character: `1x0` says true.
    if text.split('\n').any(|line| says(line, &["true", "t", "yes", "y", "1"], '1')) {
        return Converted::Boolean(true);
    }
    if text.is_empty() || text.split('\n').any(|line| says(line, &["false", "f", "no", "n", "0"], '0')) {
        return Converted::Boolean(false);
    }
    Converted::Unchanged
}

fn says(line: &str, words: &[&str], digit: char) -> bool {
    if words.iter().any(|word| line.eq_ignore_ascii_case(word)) {
        return true;
    }
    let mut letters = line.chars();
    letters.next() == Some(digit)
        && letters.next().is_some()
        && letters.next() == Some('0')
        && letters.next().is_none()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn check(value: Value<'_>, to: Type, expected: Option<Converted>) {
        assert_eq!(convert(value, to).ok(), expected, "{value:?} to {to:?}");
    }

    #[test]
    fn lists() {
        let list = Value::Json(r#"["1", null, 2.9, true, 1]"#);
        check(list, Type::Integer, Some(Converted::Json(json!([1, null, 2, 1, 1]))));
        check(list, Type::Float, Some(Converted::Json(json!([1.0, null, 2.9, 1.0, 1.0]))));
        check(list, Type::Text, Some(Converted::Json(json!(["1", null, "2.9", "true", "1"]))));
        check(list, Type::Boolean, Some(Converted::Json(json!([true, null, 2.9, true, true]))));
        check(Value::Json(r#"["x"]"#), Type::Integer, None);
        check(Value::Json(r#"[["x"]]"#), Type::Text, Some(Converted::Json(json!([r#"["x"]"#]))));
        check(Value::Json(r#"[["x"]]"#), Type::Boolean, Some(Converted::Json(json!([["x"]]))));
        check(Value::Json(r#"[{}]"#), Type::Float, None);
        check(Value::Json(r#"["1e400"]"#), Type::Float, None);
    }

    #[test]
    fn exact_numbers() {
        let exact = Value::Json("12345678901234567890.5");
        check(
            exact,
            Type::Integer,
            Some(Converted::Json(serde_json::from_str("12345678901234567890").unwrap())),
        );
        check(exact, Type::Float, Some(Converted::Float(12_345_678_901_234_567_890.5)));
        check(exact, Type::Text, Some(Converted::Text("0.123456789012345678905e20".to_owned())));
        check(Value::Json("1.0"), Type::Boolean, Some(Converted::Unchanged));
        check(Value::Json("12345678901234567890"), Type::Integer, Some(Converted::Unchanged));
    }

    #[test]
    fn booleans() {
        for (text, expected) in [
            ("1x0", Some(true)),
            ("1é0", Some(true)),
            ("foo\nTRUE", Some(true)),
            ("0-0", Some(false)),
            ("", Some(false)),
            ("x\n\ny", Some(true)),
            (" true ", None),
            ("2", None),
        ] {
            let expected = expected.map_or(Converted::Unchanged, Converted::Boolean);
            check(Value::Text(text), Type::Boolean, Some(expected));
        }
    }

    #[test]
    fn other_kinds() {
        check(Value::Null, Type::Integer, Some(Converted::Unchanged));
        check(Value::Json("{}"), Type::Text, Some(Converted::Unchanged));
        check(Value::Object, Type::Text, Some(Converted::Unchanged));
        check(Value::Timestamp(-1), Type::Integer, Some(Converted::Integer(-1)));
        check(Value::Float(f64::NAN), Type::Integer, None);
        check(
            Value::Text("9223372036854775808"),
            Type::Integer,
            Some(Converted::Json(serde_json::from_str("9223372036854775808").unwrap())),
        );
    }
}
