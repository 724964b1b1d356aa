//! Lists and maps as JSON: how field references lead into them (Logstash's rules), and values to JSON and back.

use serde_json::{Map, Number, Value as Json};

use crate::fields::list_index;
use crate::timestamp;
use crate::value::Value;

/// A value as JSON. A timestamp becomes its text form; a double that is no number, null.
pub fn to_json(value: Value<'_>) -> Json {
    match value {
        Value::Null => Json::Null,
        Value::Boolean(value) => Json::Bool(value),
        Value::Integer(value) => Json::from(value),
        Value::Float(value) => Number::from_f64(value).map_or(Json::Null, Json::Number),
        Value::Text(text) => Json::String(text.to_owned()),
        Value::Timestamp(nanoseconds) => Json::String(timestamp::to_text(nanoseconds)),
        Value::Json(text) => serde_json::from_str(text).unwrap_or(Json::Null),
        Value::Object => Json::Object(Map::new()),
    }
}

/// A value of JSON, with a place for the text of what is no scalar.
pub fn from_json<'a>(json: &'a Json, text: &'a mut String) -> Value<'a> {
    match json {
        Json::Null => Value::Null,
        Json::Bool(value) => Value::Boolean(*value),
        Json::String(text) => Value::Text(text),
        Json::Number(number) => {
            *text = number.to_string();
            Value::from_json_number(text)
        }
        Json::Array(_) | Json::Object(_) => {
            *text = json.to_string();
            Value::Json(text)
        }
    }
}

/// What a path leads to.
pub fn find<'j>(mut json: &'j Json, path: &[String]) -> Option<&'j Json> {
    for fragment in path {
        json = match json {
            Json::Object(map) => map.get(fragment)?,
            Json::Array(list) => list.get(position(list, fragment)?)?,
            _ => return None,
        };
    }
    Some(json)
}

/// Writes where a path leads. Answers whether anything changed.
///
/// # Errors
/// If the path leads below something that is neither map nor list, or before the beginning of a list.
pub fn write(json: &mut Json, path: &[String], value: Json) -> Result<bool, String> {
    let Some((fragment, rest)) = path.split_first() else {
        *json = value;
        return Ok(true);
    };
    match json {
        Json::Object(map) => {
            if rest.is_empty() {
                map.insert(fragment.clone(), value);
                return Ok(true);
            }
            write(map.entry(fragment.clone()).or_insert_with(|| Json::Object(Map::new())), rest, value)
        }
        Json::Array(list) => {
            let Some(index) = list_index(fragment) else { return Ok(false) };
            let at = match usize::try_from(index) {
                Ok(at) => at,
                Err(_) => position(list, fragment).ok_or_else(|| {
                    format!("index {index} lies before the beginning of a list of {}", list.len())
                })?,
            };
            let missing = at >= list.len();
            if missing && at >= LONGEST_LIST {
                return Err(format!("index {index} would make a list longer than {LONGEST_LIST}"));
            }
            if missing {
                list.resize(at + 1, Json::Null);
                if !rest.is_empty() {
                    list[at] = Json::Object(Map::new());
                }
            }
            write(&mut list[at], rest, value)
        }
        _ => Err("a field reference leads below something that is neither map nor list".to_owned()),
    }
}

/// A list is not padded beyond this, here and in the host: each event of a batch may have its list.
const LONGEST_LIST: usize = 1 << 12;

/// Deletes what a path leads to. Answers whether anything changed.
pub fn delete(json: &mut Json, path: &[String]) -> bool {
    let Some((fragment, rest)) = path.split_first() else { return false };
    match json {
        Json::Object(map) if rest.is_empty() => map.shift_remove(fragment).is_some(),
        Json::Object(map) => map.get_mut(fragment).is_some_and(|member| delete(member, rest)),
        Json::Array(list) => match position(list, fragment) {
            Some(at) if rest.is_empty() => {
                list.remove(at);
                true
            }
            Some(at) => delete(&mut list[at], rest),
            None => false,
        },
        _ => false,
    }
}

/// The element that a fragment means, if the list has it; negative ones count from the end.
fn position(list: &[Json], fragment: &str) -> Option<usize> {
    let index = i64::from(list_index(fragment)?);
    let at = if index < 0 { index + list.len() as i64 } else { index };
    usize::try_from(at).ok().filter(|at| *at < list.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(text: &str) -> Vec<String> {
        text.split(' ').map(str::to_owned).collect()
    }

    fn check_write(json: &str, at: &str, expected: Result<&str, &str>) {
        let mut value: Json = serde_json::from_str(json).expect("JSON");
        let result = write(&mut value, &path(at), Json::from("X")).map(|_| value.to_string());
        match expected {
            Ok(expected) => assert_eq!(result.as_deref(), Ok(expected), "{json} {at}"),
            Err(part) => assert!(
                result.as_ref().is_err_and(|message| message.contains(part)),
                "{json} {at}: {result:?}"
            ),
        }
    }

    #[test]
    fn writing() {
        check_write("[1,2]", "0", Ok(r#"["X",2]"#));
        check_write("[1,2]", "-1", Ok(r#"[1,"X"]"#));
        check_write("[1]", "3", Ok(r#"[1,null,null,"X"]"#));
        check_write("[1]", "-2", Err("before the beginning"));
        check_write("[1]", "a", Ok("[1]"));
        check_write("[]", "1 a", Ok(r#"[null,{"a":"X"}]"#));
        check_write("[1]", "0 a", Err("below"));
        check_write("{}", "0 a", Ok(r#"{"0":{"a":"X"}}"#));
        check_write(r#"{"a":null}"#, "a b", Err("below"));
    }

    #[test]
    fn deleting() {
        let check = |json: &str, at: &str, expected: &str| {
            let mut value: Json = serde_json::from_str(json).expect("JSON");
            delete(&mut value, &path(at));
            assert_eq!(value.to_string(), expected, "{json} {at}");
        };
        check("[1,2,3]", "0", "[2,3]");
        check("[1,2,3]", "5", "[1,2,3]");
        check(r#"[{"a":1}]"#, "-1 a", "[{}]");
        check(r#"{"a":1,"b":2,"c":3}"#, "a", r#"{"b":2,"c":3}"#);
    }
}
