//! The keys of a section that hold a value: texts, numbers, booleans, times, sizes, paths and lists of texts.

use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use super::super::nearest::did_you_mean;
use super::super::quantity::{parse_bytes, parse_duration};
use super::super::tree::{Node, Value};
use super::Section;

impl Section {
    /// A text; as in Logstash a number, a boolean, or one of them in a list, counts as its text.
    pub fn text(&mut self, key: &str) -> Option<String> {
        let node = self.single(key)?;
        word(&node).or_else(|| self.wrong_kind(key, &node, "a text", "write one text, in quotes"))
    }

    /// A text, or this one.
    pub fn text_or(&mut self, key: &str, default: &str) -> String {
        self.text(key).unwrap_or_else(|| default.to_owned())
    }

    /// A text that must be there; empty with a problem if it is not.
    pub fn required_text(&mut self, key: &str) -> String {
        self.require(key);
        self.text(key).unwrap_or_default()
    }

    /// A password: like `text`, and masked wherever it would be shown.
    pub fn password(&mut self, key: &str) -> Option<String> {
        if let Some(node) = self.single(key)
            && !node.from_variable
            && let Some(text) = word(&node)
        {
            self.shared.secrets.add_password(&text);
        }
        self.text(key)
    }

    /// A list of texts; a text alone is a list of one, and numbers and booleans count as their text. Empty if the key is
    /// not there.
    pub fn texts(&mut self, key: &str) -> Vec<String> {
        let Some(node) = self.node(key) else { return Vec::new() };
        let elements = match &node.value {
            Value::List(elements) => elements.clone(),
            Value::Table(_) => {
                self.wrong_kind::<()>(key, &node, "a list of texts", "write [\"…\", \"…\"]");
                return Vec::new();
            }
            _ => vec![node],
        };
        let mut texts = Vec::with_capacity(elements.len());
        for element in elements {
            match word(&element) {
                Some(text) => texts.push(text),
                None => self.wrong_element(key, &element, "write [\"…\", \"…\"]"),
            }
        }
        texts
    }

    /// A list of texts with at least one in it; empty with a problem if it is not so.
    pub fn required_texts(&mut self, key: &str) -> Vec<String> {
        self.require(key);
        let texts = self.texts(key);
        if let Some(Node { value: Value::List(elements), span, .. }) = self.node(key)
            && elements.is_empty()
        {
            self.report(span, format!("`{key}` is empty"), "name at least one".to_owned());
        }
        texts
    }

    /// An integer; a text is read as one if it is written as one, and a variable's whatever is around it.
    pub fn integer(&mut self, key: &str) -> Option<i64> {
        let node = self.single(key)?;
        match &node.value {
            Value::Integer(number) => Some(*number),
            Value::Text(text) if node.from_variable => match text.trim().parse() {
                Ok(number) => Some(number),
                Err(_) => {
                    self.wrong_kind(key, &node, "an integer", "the variable's value must be a whole number")
                }
            },
            Value::Text(text) => match text.parse::<i64>() {
                Ok(number) if number.to_string() == *text => Some(number),
                _ => self.wrong_kind(key, &node, "an integer", "write a whole number"),
            },
            _ => self.wrong_kind(key, &node, "an integer", "write a whole number"),
        }
    }

    /// A list of integers; an integer alone is a list of one. Empty if the key is not there.
    pub fn integers(&mut self, key: &str) -> Vec<i64> {
        let Some(node) = self.node(key) else { return Vec::new() };
        let elements = match node.value {
            Value::List(elements) => elements,
            _ => vec![node],
        };
        let mut integers = Vec::with_capacity(elements.len());
        for element in elements {
            match element.value {
                Value::Integer(integer) => integers.push(integer),
                _ => {
                    self.wrong_kind::<()>(key, &element, "a list of integers", "write [1, 2]");
                }
            }
        }
        integers
    }

    /// An integer of this range.
    pub fn integer_in(&mut self, key: &str, range: RangeInclusive<i64>) -> Option<i64> {
        let number = self.integer(key)?;
        if !range.contains(&number) {
            let fix = if *range.end() == i64::MAX {
                format!("it must be at least {}", range.start())
            } else {
                format!("it must be from {} to {}", range.start(), range.end())
            };
            self.problem(key, &format!("`{key}` is out of range: {number}"), &fix);
            return None;
        }
        Some(number)
    }

    /// A number, whole or not; a text is read as one as by [`Section::integer`].
    pub fn number(&mut self, key: &str) -> Option<f64> {
        let node = self.single(key)?;
        match &node.value {
            // An option's whole number is far below 2^53.
            Value::Integer(number) => Some(*number as f64),
            Value::Float(number) => Some(*number),
            Value::Text(text) if node.from_variable && text.trim().parse::<f64>().is_ok() => {
                text.trim().parse().ok()
            }
            Value::Text(text) => written_number(text)
                .or_else(|| self.wrong_kind(key, &node, "a number", "write digits, without quotes")),
            _ => self.wrong_kind(key, &node, "a number", "write digits, without quotes"),
        }
    }

    /// `true` or `false`, in quotes too.
    pub fn boolean(&mut self, key: &str) -> Option<bool> {
        let node = self.single(key)?;
        match &node.value {
            Value::Boolean(value) => Some(*value),
            Value::Text(text) if text == "true" => Some(true),
            Value::Text(text) if text == "false" => Some(false),
            _ => self.wrong_kind(key, &node, "a boolean", "write true or false"),
        }
    }

    /// `true`, `false` (in quotes too, as Logstash allows) or one of these words, as text.
    pub fn boolean_or(&mut self, key: &str, words: &[&str]) -> Option<String> {
        self.one_of(key, &[&["true", "false"], words].concat())
    }

    /// A length of time: `"50ms"`, `"5s"`, `"10m"`, `"1h"`, `"7d"`; a bare number is seconds.
    pub fn duration(&mut self, key: &str) -> Option<Duration> {
        let node = self.node(key)?;
        let text = number_or_text(&node).or_else(|| {
            self.wrong_kind(key, &node, "a length of time", "write it like \"5s\" or \"50ms\"")
        })?;
        match parse_duration(&text) {
            Ok(duration) => Some(duration),
            Err(fix) => {
                self.problem(key, &format!("`{key}` is no length of time: {text:?}"), &fix);
                None
            }
        }
    }

    /// A word or a number, as it was written: for options that take either.
    pub fn text_or_number(&mut self, key: &str) -> Option<String> {
        let node = self.node(key)?;
        number_or_text(&node).or_else(|| {
            self.wrong_kind(key, &node, "a text or a number", "write a word in quotes, or a number")
        })
    }

    /// A number of bytes: `"512KiB"`, `"20MiB"`, `"1GB"`; a bare number is bytes.
    pub fn bytes(&mut self, key: &str) -> Option<u64> {
        let node = self.node(key)?;
        let text = number_or_text(&node)
            .or_else(|| self.wrong_kind(key, &node, "a size in bytes", "write it like \"20MiB\""))?;
        match parse_bytes(&text) {
            Ok(bytes) => Some(bytes),
            Err(fix) => {
                self.problem(key, &format!("`{key}` is no size in bytes: {text:?}"), &fix);
                None
            }
        }
    }

    /// One of these words.
    pub fn one_of(&mut self, key: &str, words: &[&str]) -> Option<String> {
        let text = self.text(key)?;
        if words.contains(&text.as_str()) {
            return Some(text);
        }
        let fix = did_you_mean(&text, words).map_or_else(
            || format!("it is one of {}", quoted(words)),
            |near| format!("did you mean \"{near}\"?"),
        );
        self.problem(key, &format!("unknown value {text:?} of `{key}`"), &fix);
        None
    }

    /// A path of the file system; a relative one starts at the pipeline file's folder.
    pub fn path(&mut self, key: &str) -> Option<PathBuf> {
        let text = self.text(key)?;
        Some(self.shared.directory.join(text))
    }

    /// The key's value; of a list of one, that one.
    fn single(&mut self, key: &str) -> Option<Node> {
        let node = self.node(key)?;
        match node.value {
            Value::List(mut elements) if elements.len() == 1 => elements.pop(),
            value => Some(Node { value, ..node }),
        }
    }

    pub(super) fn wrong_kind<T>(&mut self, key: &str, node: &Node, expected: &str, fix: &str) -> Option<T> {
        let message = format!("`{key}` must be {expected}, not {}", node.kind());
        self.report(node.span.clone(), message, fix.to_owned());
        None
    }

    pub(super) fn wrong_element(&self, key: &str, element: &Node, fix: &str) {
        let message = format!("`{key}` must hold texts, not {}", element.kind());
        self.report(element.span.clone(), message, fix.to_owned());
    }
}

/// What Logstash takes for a text.
pub(super) fn word(node: &Node) -> Option<String> {
    match &node.value {
        Value::Boolean(value) => Some(value.to_string()),
        Value::Float(number) => {
            let mut text = String::new();
            weir_filter::float_text::write_ruby(*number, &mut text);
            Some(text)
        }
        _ => number_or_text(node),
    }
}

/// A number in quotes that is written as it would be printed: Logstash takes no other.
fn written_number(text: &str) -> Option<f64> {
    let number: f64 = text.parse().ok()?;
    let mut printed = String::new();
    weir_filter::float_text::write_ruby(number, &mut printed);
    let is_printed = printed == text || text.parse::<i64>().is_ok_and(|whole| whole.to_string() == text);
    (is_printed && number.is_finite()).then_some(number)
}

fn number_or_text(node: &Node) -> Option<String> {
    match &node.value {
        Value::Text(text) => Some(text.clone()),
        Value::Integer(number) => Some(number.to_string()),
        Value::Float(number) => Some(number.to_string()),
        _ => None,
    }
}

fn quoted(words: &[&str]) -> String {
    let words: Vec<String> = words.iter().map(|word| format!("\"{word}\"")).collect();
    words.join(", ")
}
