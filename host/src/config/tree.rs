//! A pipeline file as a tree of values with their places: TOML parsed with recovery, so that several syntax errors come
//! out in one run, and variables replaced. What keys mean is left to `section`.

use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use serde_json::Value as Json;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::problem::{Problem, Problems, Severity, SourceFile};
use super::secrets::Secrets;
use super::variables::{Variables, replace};

/// A key and what it is set to.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub(super) key: String,
    pub(super) key_span: Range<usize>,
    pub(super) value: Node,
}

/// A value and its place.
#[derive(Clone, Debug)]
pub(super) struct Node {
    pub(super) span: Range<usize>,
    pub(super) value: Value,
    /// It came by a variable: an empty one counts as not set, and a number may be read from it.
    pub(super) from_variable: bool,
}

#[derive(Clone, Debug)]
pub(super) enum Value {
    Text(String),
    Integer(i64),
    Float(f64),
    Boolean(bool),
    List(Vec<Node>),
    Table(Vec<Entry>),
}

impl Node {
    /// What kind of value it is, for messages.
    pub(super) fn kind(&self) -> &'static str {
        match self.value {
            Value::Text(_) => "a text",
            Value::Integer(_) => "an integer",
            Value::Float(_) => "a number",
            Value::Boolean(_) => "a boolean",
            Value::List(_) => "a list",
            Value::Table(_) => "a table",
        }
    }

    /// The value as JSON, in the order of the file. Every place is told to `places` with its JSON pointer.
    pub(super) fn to_json(&self, pointer: &str, places: &mut Places) -> Json {
        places.add(pointer, self.span.clone());
        match &self.value {
            Value::Text(text) => Json::from(text.as_str()),
            Value::Integer(number) => Json::from(*number),
            Value::Float(number) => Json::from(*number),
            Value::Boolean(value) => Json::from(*value),
            Value::List(list) => {
                let elements = list.iter().enumerate();
                elements.map(|(index, node)| node.to_json(&format!("{pointer}/{index}"), places)).collect()
            }
            Value::Table(entries) => {
                let mut map = serde_json::Map::new();
                for entry in entries {
                    let pointer = format!("{pointer}/{}", pointer_token(&entry.key));
                    map.insert(entry.key.clone(), entry.value.to_json(&pointer, places));
                    if matches!(entry.value.value, Value::Table(_)) {
                        places.add_table(&pointer);
                    }
                }
                Json::Object(map)
            }
        }
    }
}

/// JSON as entries without places. Numbers that are neither 64-bit integers nor floats become texts, nulls empty texts:
/// a pipeline file has neither.
pub(super) fn entries_from_json(map: &serde_json::Map<String, Json>) -> Vec<Entry> {
    let entries = map.iter();
    entries
        .map(|(key, value)| Entry { key: key.clone(), key_span: 0..0, value: node_from_json(value) })
        .collect()
}

fn node_from_json(json: &Json) -> Node {
    let value = match json {
        Json::Null => Value::Text(String::new()),
        Json::Bool(value) => Value::Boolean(*value),
        Json::Number(number) => match (number.as_i64(), number.as_f64()) {
            (Some(number), _) => Value::Integer(number),
            (None, Some(number)) if number.is_finite() => Value::Float(number),
            _ => Value::Text(number.to_string()),
        },
        Json::String(text) => Value::Text(text.clone()),
        Json::Array(list) => Value::List(list.iter().map(node_from_json).collect()),
        Json::Object(map) => Value::Table(entries_from_json(map)),
    };
    Node { span: 0..0, value, from_variable: false }
}

/// A key as a token of a JSON pointer (RFC 6901).
pub(super) fn pointer_token(key: &str) -> String {
    key.replace('~', "~0").replace('/', "~1")
}

/// Where the parts of a JSON value stand in the file.
#[derive(Clone, Debug, Default)]
pub struct Places {
    spans: Vec<(String, Range<usize>)>,
    keys: Vec<(String, Range<usize>)>,
    tables: Vec<String>,
}

impl Places {
    pub(super) fn add(&mut self, pointer: &str, span: Range<usize>) {
        self.spans.push((pointer.to_owned(), span));
    }

    pub(super) fn add_key(&mut self, pointer: &str, span: Range<usize>) {
        self.keys.push((pointer.to_owned(), span));
    }

    fn add_table(&mut self, pointer: &str) {
        self.tables.push(pointer.to_owned());
    }

    /// The place of the part that a JSON pointer leads to, or of the nearest part above it that is in the file.
    pub fn find(&self, pointer: &str) -> Option<Range<usize>> {
        let mut pointer = pointer;
        loop {
            if let Some((_, span)) = self.spans.iter().find(|(known, _)| known == pointer) {
                return Some(span.clone());
            }
            pointer = &pointer[..pointer.rfind('/')?];
        }
    }

    /// The place of the key of an option.
    pub fn key(&self, pointer: &str) -> Option<Range<usize>> {
        let found = self.keys.iter().find(|(known, _)| known == pointer);
        found.map(|(_, span)| span.clone())
    }

    /// Whether the pointer leads to a table inside an option: `rename.a.b = …` makes one at `/rename/a`.
    pub fn is_nested_table(&self, pointer: &str) -> bool {
        self.tables.iter().any(|known| known == pointer)
    }
}

/// So many mistakes of syntax are shown of a file: one that is no TOML at all has one at every other byte.
const MOST_SYNTAX_ERRORS: usize = 20;

/// Parses a file; without `variables`, texts stay as they are. `None` when its syntax is not TOML: what would be found in
/// the rest is not worth saying.
pub(super) fn parse(
    file: &Arc<SourceFile>,
    variables: Option<&Variables>,
    directory: &Path,
    secrets: &Secrets,
    problems: &mut Problems,
) -> Option<Vec<Entry>> {
    let (table, errors) = DeTable::parse_recoverable(&file.text);
    if !errors.is_empty() {
        let count = errors.len();
        for (number, error) in errors.into_iter().enumerate().take(MOST_SYNTAX_ERRORS + 1) {
            let (message, fix) = match number {
                MOST_SYNTAX_ERRORS => (
                    format!("more mistakes of syntax, from here on: {}", count - MOST_SYNTAX_ERRORS),
                    "mend the ones before first: others follow from them".to_owned(),
                ),
                _ => (error.message().to_owned(), String::new()),
            };
            problems.push(Problem {
                severity: Severity::Error,
                file: file.clone(),
                span: Some(error.span().unwrap_or(0..0)),
                message,
                fix,
            });
        }
        return None;
    }
    let mut reading = Reading { file, variables, directory, secrets, problems };
    Some(reading.entries(table.get_ref()))
}

/// What the conversion of one file needs at every value.
struct Reading<'r> {
    file: &'r Arc<SourceFile>,
    variables: Option<&'r Variables>,
    directory: &'r Path,
    secrets: &'r Secrets,
    problems: &'r mut Problems,
}

impl Reading<'_> {
    fn entries(&mut self, table: &DeTable<'_>) -> Vec<Entry> {
        let mut entries = Vec::with_capacity(table.len());
        for (key, value) in table {
            entries.push(Entry {
                key: key.get_ref().to_string(),
                key_span: key.span(),
                value: self.node(value),
            });
        }
        entries
    }

    fn node(&mut self, written: &Spanned<DeValue<'_>>) -> Node {
        let span = written.span();
        let mut from_variable = false;
        let value = match written.get_ref() {
            DeValue::String(text) => {
                let Some(variables) = self.variables else {
                    return Node { span, value: Value::Text(text.to_string()), from_variable };
                };
                let replaced = replace(text, variables, self.directory, self.secrets);
                from_variable = replaced.replaced;
                for (message, fix) in replaced.problems {
                    self.problem(&span, message, fix);
                }
                Value::Text(replaced.text)
            }
            DeValue::Integer(number) => match i64::from_str_radix(number.as_str(), number.radix()) {
                Ok(number) => Value::Integer(number),
                Err(_) => {
                    let message = format!("{number} is larger than a 64-bit integer");
                    self.problem(&span, message, "write it as a text, in quotes".to_owned());
                    Value::Integer(0)
                }
            },
            DeValue::Float(number) => match number.as_str().parse::<f64>() {
                Ok(number) if number.is_finite() => Value::Float(number),
                _ => {
                    let message = format!("{number} is not a number that an option can have");
                    self.problem(&span, message, String::new());
                    Value::Float(0.0)
                }
            },
            DeValue::Boolean(value) => Value::Boolean(*value),
            DeValue::Datetime(time) => {
                let fix = format!("write it as a text, in quotes: \"{time}\"");
                self.problem(&span, "no option takes a TOML date".to_owned(), fix);
                Value::Text(time.to_string())
            }
            DeValue::Array(list) => Value::List(list.iter().map(|element| self.node(element)).collect()),
            DeValue::Table(table) => Value::Table(self.entries(table)),
        };
        Node { span, value, from_variable }
    }

    fn problem(&mut self, span: &Range<usize>, message: String, fix: String) {
        self.problems.push(Problem {
            severity: Severity::Error,
            file: self.file.clone(),
            span: Some(span.clone()),
            message,
            fix,
        });
    }
}
