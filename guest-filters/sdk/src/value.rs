//! The value of a field, as filters and the host see it. How values are stored and sent is left to the columns.

use crate::decimal::Decimal;

/// A value of a field. Text and JSON are borrowed from the batch.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Value<'a> {
    /// An explicit null: the field exists.
    Null,
    /// `true` or `false`.
    Boolean(bool),
    /// A whole number of 64 bits.
    Integer(i64),
    /// A double.
    Float(f64),
    /// UTF-8 text.
    Text(&'a str),
    /// Nanoseconds since 1970-01-01T00:00:00Z.
    Timestamp(i64),
    /// JSON text of what no other kind holds: a list, an empty map, a whole number over 64 bits, an exact decimal
    /// such as `1E+3`, or (where a map is read or set as a whole) a map.
    Json(&'a str),
    /// The field is a map; what is in it was not asked for.
    Object,
}

impl<'a> Value<'a> {
    /// The value of a number written in JSON: an integer or a double if that holds it exactly (a double by its shortest
    /// digits), else the text itself.
    pub fn from_json_number(text: &'a str) -> Self {
        if !text.contains(['.', 'e', 'E']) {
            return text.parse().map_or(Value::Json(text), Value::Integer);
        }
        let (Ok(float), Some(exact)) = (text.parse::<f64>(), Decimal::parse(text)) else {
            return Value::Json(text);
        };
        let shortest = format!("{float:e}");
        match Decimal::parse(&shortest) {
            Some(decimal) if float.is_finite() && decimal.same_number(&exact) => Value::Float(float),
            _ => Value::Json(text),
        }
    }
}

impl<'a> From<&'a str> for Value<'a> {
    fn from(text: &'a str) -> Self {
        Value::Text(text)
    }
}

impl<'a> From<&'a String> for Value<'a> {
    fn from(text: &'a String) -> Self {
        Value::Text(text)
    }
}

impl From<i64> for Value<'_> {
    fn from(number: i64) -> Self {
        Value::Integer(number)
    }
}

impl From<i32> for Value<'_> {
    fn from(number: i32) -> Self {
        Value::Integer(i64::from(number))
    }
}

impl From<u32> for Value<'_> {
    fn from(number: u32) -> Self {
        Value::Integer(i64::from(number))
    }
}

impl From<f64> for Value<'_> {
    fn from(number: f64) -> Self {
        Value::Float(number)
    }
}

impl From<bool> for Value<'_> {
    fn from(value: bool) -> Self {
        Value::Boolean(value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_json() {
        let check = |text, expected| assert_eq!(Value::from_json_number(text), expected, "{text}");
        check("12", Value::Integer(12));
        check("9223372036854775808", Value::Json("9223372036854775808"));
        check("1.0", Value::Float(1.0));
        check("1e20", Value::Float(1e20));
        check("95.43", Value::Float(95.43));
        check("43947404257507186289.345324", Value::Json("43947404257507186289.345324"));
        check("1e999", Value::Json("1e999"));
        check("-0.0", Value::Float(-0.0));
    }
}
