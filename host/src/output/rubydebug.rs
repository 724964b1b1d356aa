//! Logstash's `rubydebug` form of an event: what Ruby's awesome_print makes of a map, keys set flush right.

use std::io::Write;

use serde_json::Value as Json;

use crate::event::Value;
use crate::event::document::Node;
use crate::event::json_values::write_timestamp;

/// Writes an event's fields, without a line feed at the end.
pub(super) fn write_rubydebug(fields: &[(&str, Node<'_>)], out: &mut Vec<u8>) {
    write_map(fields, 0, out, &write_node);
}

/// Writes a map whose closing brace stands `indent` spaces in.
fn write_map<K: AsRef<str>, V>(
    members: &[(K, V)],
    indent: usize,
    out: &mut Vec<u8>,
    write_value: &dyn Fn(&V, usize, &mut Vec<u8>),
) {
    if members.is_empty() {
        out.extend_from_slice(b"{}");
        return;
    }
    let keys: Vec<String> = members.iter().map(|(key, _)| inspect(key.as_ref())).collect();
    let width = keys.iter().map(|key| key.chars().count()).max().unwrap_or(0);
    out.extend_from_slice(b"{\n");
    for (index, (key, (_, value))) in keys.iter().zip(members).enumerate() {
        let spaces = indent + 4 + width - key.chars().count();
        out.resize(out.len() + spaces, b' ');
        out.extend_from_slice(key.as_bytes());
        out.extend_from_slice(b" => ");
        write_value(value, indent + 4, out);
        out.extend_from_slice(if index + 1 < members.len() { b",\n" } else { b"\n" });
    }
    out.resize(out.len() + indent, b' ');
    out.push(b'}');
}

fn write_node(node: &Node<'_>, indent: usize, out: &mut Vec<u8>) {
    let value = match node {
        Node::Map(members) => return write_map(members, indent, out, &write_node),
        Node::Value(value) => value,
    };
    match *value {
        Value::Null => out.extend_from_slice(b"nil"),
        Value::Text(text) => out.extend_from_slice(inspect(text).as_bytes()),
        Value::Timestamp(nanoseconds) => write_timestamp(nanoseconds, out),
        Value::Object => out.extend_from_slice(b"{}"),
        Value::Json(text) => match serde_json::from_str(text) {
            Ok(json) => write_json(&json, indent, out),
            Err(_) => out.extend_from_slice(text.as_bytes()),
        },
        // Writing to memory does not fail.
        Value::Boolean(value) => drop(write!(out, "{value}")),
        Value::Integer(value) => drop(write!(out, "{value}")),
        Value::Float(value) => drop(write!(out, "{value:?}")),
    }
}

fn write_json(json: &Json, indent: usize, out: &mut Vec<u8>) {
    match json {
        Json::Null => out.extend_from_slice(b"nil"),
        Json::Bool(value) => drop(write!(out, "{value}")),
        Json::Number(number) => drop(write!(out, "{number}")),
        Json::String(text) => out.extend_from_slice(inspect(text).as_bytes()),
        Json::Array(elements) if elements.is_empty() => out.extend_from_slice(b"[]"),
        Json::Array(elements) => {
            out.extend_from_slice(b"[\n");
            let width = (elements.len() - 1).to_string().len();
            for (index, element) in elements.iter().enumerate() {
                out.resize(out.len() + indent + 4, b' ');
                let _ = write!(out, "[{index:>width$}] ");
                write_json(element, indent + 4, out);
                out.extend_from_slice(if index + 1 < elements.len() { b",\n" } else { b"\n" });
            }
            out.resize(out.len() + indent, b' ');
            out.push(b']');
        }
        Json::Object(map) => {
            let members: Vec<(&String, &Json)> = map.iter().collect();
            write_map(&members, indent, out, &|json: &&Json, indent, out| write_json(json, indent, out));
        }
    }
}

/// Ruby's `String#inspect`.
fn inspect(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    let mut letters = text.chars().peekable();
    while let Some(letter) = letters.next() {
        match letter {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{7}' => out.push_str("\\a"),
            '\u{8}' => out.push_str("\\b"),
            '\u{b}' => out.push_str("\\v"),
            '\u{c}' => out.push_str("\\f"),
            '\u{1b}' => out.push_str("\\e"),
            '#' if matches!(letters.peek(), Some('{' | '$' | '@')) => out.push_str("\\#"),
            letter if letter.is_control() => out.push_str(&format!("\\u{:04X}", letter as u32)),
            letter => out.push(letter),
        }
    }
    out.push('"');
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_as_logstash_prints_it() {
        let fields = [
            ("host", Node::Value(Value::Text("a \"b\" #{c}"))),
            ("@timestamp", Node::Value(Value::Timestamp(1_582_477_721_000_000_000))),
            ("tags", Node::Value(Value::Json(r#"["x",{"k":1.0}]"#))),
            (
                "geo",
                Node::Map(vec![
                    ("ip", Node::Value(Value::Null)),
                    ("location", Node::Map(vec![("lat", Node::Value(Value::Float(60.0)))])),
                ]),
            ),
            ("empty", Node::Value(Value::Json("{}"))),
        ];
        let mut out = Vec::new();
        write_rubydebug(&fields, &mut out);
        let expected = r##"{
          "host" => "a \"b\" \#{c}",
    "@timestamp" => 2020-02-23T17:08:41.000Z,
          "tags" => [
        [0] "x",
        [1] {
            "k" => 1.0
        }
    ],
           "geo" => {
              "ip" => nil,
        "location" => {
            "lat" => 60.0
        }
    },
         "empty" => {}
}"##;
        assert_eq!(String::from_utf8(out).expect("it is text"), expected);
    }
}
