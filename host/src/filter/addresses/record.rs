//! One record's values at a path: members and elements by name and number, and the paths that are no part of a record:
//! the address itself, its network, values joined to one text.

use std::array;

use maxminddb::{LookupResult, PathElement};
use serde::Deserialize;
use serde::de::{IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::address_text::{self, Address};
use super::database::Content;

/// A value's kind; a text itself is in the buffer.
pub(super) enum Scalar {
    Boolean(bool),
    Integer(i64),
    Float(f64),
    Text,
    /// A map, a list, bytes or a whole number over 64 bits.
    Other,
}

/// What an address leads to.
pub(super) type Record<'r> = LookupResult<'r, Content>;

/// The value at a path; a text is appended to `out`.
pub(super) fn read_path(
    record: &Record<'_>,
    address: Address,
    path: &[String],
    out: &mut String,
) -> Option<Scalar> {
    match path {
        [only] if only == "@ip" => {
            address_text::write_address(address, out);
            Some(Scalar::Text)
        }
        [only] if only == "@network" => {
            let network = record.network().ok()?;
            address_text::write(network.network(), out);
            out.push('/');
            out.push_str(&network.prefix().to_string());
            Some(Scalar::Text)
        }
        [first, separator, paths @ ..] if first == "@join" => {
            for (number, path) in paths.split(String::is_empty).enumerate() {
                if number > 0 {
                    out.push_str(separator);
                }
                match read_value(record, path, out)? {
                    Scalar::Boolean(value) => out.push_str(&value.to_string()),
                    Scalar::Integer(value) => out.push_str(&value.to_string()),
                    Scalar::Float(value) => out.push_str(&value.to_string()),
                    Scalar::Text => {}
                    Scalar::Other => return None,
                }
            }
            Some(Scalar::Text)
        }
        _ => read_value(record, path, out),
    }
}

/// Whether the value at a path depends on the address, not only on the record that it leads to.
pub(super) fn is_of_the_address(path: &[String]) -> bool {
    matches!(path, [only] if only == "@ip" || only == "@network")
}

/// So many fragments of a path need no memory of their own.
const FEW: usize = 8;

/// A value in the record. One that is not there, or not to be read, is absent; a text is appended to `out`.
fn read_value(record: &Record<'_>, path: &[String], out: &mut String) -> Option<Scalar> {
    let few: [PathElement<'_>; FEW] =
        array::from_fn(|number| path.get(number).map_or(PathElement::Index(0), |fragment| element(fragment)));
    let many: Vec<PathElement<'_>>;
    let path = match few.get(..path.len()) {
        Some(few) => few,
        None => {
            many = path.iter().map(|fragment| element(fragment)).collect();
            &many
        }
    };
    match record.decode_path::<Value<'_>>(path).ok()?? {
        Value::Boolean(value) => Some(Scalar::Boolean(value)),
        Value::Integer(value) => Some(Scalar::Integer(value)),
        Value::Float(value) => Some(Scalar::Float(value)),
        Value::Text(text) => {
            out.push_str(text);
            Some(Scalar::Text)
        }
        Value::Other => Some(Scalar::Other),
    }
}

fn element(fragment: &str) -> PathElement<'_> {
    match fragment.parse::<i32>() {
        Ok(index) => PathElement::from(index),
        Err(_) => PathElement::Key(fragment),
    }
}

/// Any value of a record.
enum Value<'r> {
    Boolean(bool),
    Integer(i64),
    Float(f64),
    Text(&'r str),
    Other,
}

impl<'de> Deserialize<'de> for Value<'de> {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ValueVisitor)
    }
}

struct ValueVisitor;

impl<'de> Visitor<'de> for ValueVisitor {
    type Value = Value<'de>;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a value")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value<'de>, E> {
        Ok(Value::Boolean(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value<'de>, E> {
        Ok(Value::Integer(value))
    }

    fn visit_i32<E>(self, value: i32) -> Result<Value<'de>, E> {
        Ok(Value::Integer(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value<'de>, E> {
        Ok(i64::try_from(value).map_or(Value::Other, Value::Integer))
    }

    fn visit_u128<E>(self, value: u128) -> Result<Value<'de>, E> {
        Ok(i64::try_from(value).map_or(Value::Other, Value::Integer))
    }

    fn visit_f32<E>(self, value: f32) -> Result<Value<'de>, E> {
        Ok(Value::Float(value.into()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value<'de>, E> {
        Ok(Value::Float(value))
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Value<'de>, E> {
        Ok(Value::Text(text))
    }

    fn visit_bytes<E>(self, _bytes: &[u8]) -> Result<Value<'de>, E> {
        Ok(Value::Other)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<Value<'de>, A::Error> {
        while elements.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Value::Other)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Value<'de>, A::Error> {
        while members.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Value::Other)
    }
}
