//! Values as Java prints them (`String.valueOf`), and digits as Java reads them, where Logstash's Java filters make texts of
//! values and numbers of texts.

use std::borrow::Cow;

use serde_json::Value as Json;

use crate::template;
use crate::value::Value;

/// Writes a value at the end of `text`: a null is `null`, a list `[a, 1]`, a map `{k=v}`, a double `1.0E-5`. A map of
/// which only the mark was read is `{}`.
pub fn write(value: Value<'_>, text: &mut String) {
    match value {
        Value::Null => text.push_str("null"),
        Value::Json(json) => match serde_json::from_str(json) {
            Ok(json @ (Json::Array(_) | Json::Object(_))) => template::write_java_form(&json, text),
            _ => template::write_value(value, text),
        },
        other => template::write_value(other, text),
    }
}

/// The text with the decimal digits of all scripts (`１２`, `٣`) as ASCII ones, which `Long.parseLong` and `BigDecimal`
/// take for the same. They look at units of UTF-16, and so do not know those beyond U+FFFF.
pub fn ascii_digits(text: &str) -> Cow<'_, str> {
    if text.is_ascii() {
        return Cow::Borrowed(text);
    }
    Cow::Owned(text.chars().map(|letter| digit_of(letter).unwrap_or(letter)).collect())
}

fn digit_of(letter: char) -> Option<char> {
    let code = u32::from(letter);
    let zero = ZEROS.iter().find(|zero| (**zero..**zero + 10).contains(&code))?;
    char::from_digit(code - zero, 10)
}

/// The zeros of the scripts that have digits of their own (Unicode's category Nd, up to U+FFFF).
const ZEROS: [u32; 36] = [
    0x660, 0x6f0, 0x7c0, 0x966, 0x9e6, 0xa66, 0xae6, 0xb66, 0xbe6, 0xc66, 0xce6, 0xd66, 0xde6, 0xe50, 0xed0,
    0xf20, 0x1040, 0x1090, 0x17e0, 0x1810, 0x1946, 0x19d0, 0x1a80, 0x1a90, 0x1b50, 0x1bb0, 0x1c40, 0x1c50,
    0xa620, 0xa8d0, 0xa900, 0xa9d0, 0xa9f0, 0xaa50, 0xabf0, 0xff10,
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts() {
        for (value, expected) in [
            (Value::Null, "null"),
            (Value::Float(1e-5), "1.0E-5"),
            (Value::Json(r#"["p",1,null,[true]]"#), "[p, 1, null, [true]]"),
            (Value::Json(r#"{"k":{"l":1.50}}"#), "{k={l=1.5}}"),
            (Value::Json("12345678901234567890"), "12345678901234567890"),
            (Value::Object, "{}"),
            (Value::Text("x"), "x"),
        ] {
            let mut text = String::new();
            write(value, &mut text);
            assert_eq!(text, expected, "{value:?}");
        }
    }

    #[test]
    fn digits() {
        assert_eq!(ascii_digits("-１２.٣x"), "-12.3x");
        assert_eq!(ascii_digits("éⅧ²𝟏"), "éⅧ²𝟏");
        for zero in ZEROS {
            let all: String = (0..10).filter_map(|digit| char::from_u32(zero + digit)).collect();
            assert_eq!(ascii_digits(&all), "0123456789", "{zero:x}");
        }
    }
}
