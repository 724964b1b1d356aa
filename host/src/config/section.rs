//! A table of the pipeline file being read: every module asks for its own keys by name and kind. What is wrong becomes a
//! problem with its place and reading goes on, so one run shows all; keys that nobody asked for are unknown. Nothing
//! here opens or looks at what the options name.

use std::cell::RefCell;
use std::ops::{Range, RangeInclusive};
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value as Json;

use super::nearest::{did_you_mean, known_keys, quoted};
use super::problem::{Problem, Problems, Severity, SourceFile};
use super::quantity::{parse_bytes, parse_duration};
use super::secrets::Secrets;
use super::tree::{Entry, Node, Places, Value, nested_table, pairs, pointer_token};
use super::variables::Variables;

/// What all sections of a file share.
pub(super) struct Shared {
    pub(super) file: Arc<SourceFile>,
    pub(super) directory: PathBuf,
    pub(super) secrets: Secrets,
    pub(super) problems: RefCell<Problems>,
}

impl Shared {
    /// For sections that are in no file.
    pub(super) fn nowhere() -> Self {
        let secrets = Secrets::default();
        Shared {
            file: Arc::new(SourceFile { name: String::new(), text: String::new() }),
            directory: PathBuf::new(),
            problems: RefCell::new(Problems::new(secrets.clone())),
            secrets,
        }
    }
}

/// A table being read. Dropping it reports the keys that were not asked for.
pub struct Section {
    title: String,
    span: Range<usize>,
    entries: Vec<Entry>,
    asked: Vec<String>,
    rest_is_known: bool,
    shared: Rc<Shared>,
}

impl Section {
    pub(super) fn new(title: String, span: Range<usize>, entries: Vec<Entry>, shared: Rc<Shared>) -> Self {
        Section { title, span, entries, asked: Vec::new(), rest_is_known: false, shared }
    }

    /// A section of its own from TOML text, for the tests of a module's options; it stands in a file `test.toml` of
    /// folder `.`, without any variables.
    pub fn parse(text: &str) -> Self {
        let file = Arc::new(SourceFile { name: "test.toml".to_owned(), text: text.to_owned() });
        let secrets = Secrets::default();
        let mut problems = Problems::new(secrets.clone());
        let directory = PathBuf::from(".");
        let entries =
            super::tree::parse(&file, Some(&Variables::fixed([])), &directory, &secrets, &mut problems);
        let shared = Shared { file, directory, secrets, problems: RefCell::new(problems) };
        Section::new("[test]".to_owned(), 0..0, entries.unwrap_or_default(), Rc::new(shared))
    }

    /// The end of a section made by [`Section::parse`]: the problems, unknown keys with them, each as
    /// `line:column: message (fix)`.
    pub fn into_problems(self) -> Vec<String> {
        let shared = self.shared.clone();
        drop(self);
        let mut problems = shared.problems.borrow_mut();
        problems.sort();
        let texts = problems.list().iter().map(|problem| {
            let (line, column) = shared.file.position(problem.span.as_ref().map_or(0, |span| span.start));
            format!("{line}:{column}: {} ({})", problem.message, problem.fix)
        });
        texts.collect()
    }

    /// The name of the section in messages, such as `[output]`.
    pub fn title(&self) -> &str {
        &self.title
    }

    /// Whether the key is there and has a value: `"${NAME:}"` without the variable has none.
    pub fn is_set(&mut self, key: &str) -> bool {
        self.node(key).is_some()
    }

    /// A text. Numbers and booleans are not texts.
    pub fn text(&mut self, key: &str) -> Option<String> {
        let node = self.node(key)?;
        match node.value {
            Value::Text(text) => Some(text),
            _ => self.wrong_kind(key, &node, "a text", "write it in quotes"),
        }
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
        if let Some(node) = self.node(key)
            && !node.from_variable
            && let Value::Text(text) = &node.value
        {
            self.shared.secrets.add_password(text);
        }
        self.text(key)
    }

    /// A list of texts; a text alone is a list of one. Empty if the key is not there.
    pub fn texts(&mut self, key: &str) -> Vec<String> {
        let Some(node) = self.node(key) else { return Vec::new() };
        let elements = match node.value {
            Value::Text(text) => return vec![text],
            Value::List(elements) => elements,
            _ => {
                self.wrong_kind::<()>(key, &node, "a list of texts", "write [\"…\", \"…\"]");
                return Vec::new();
            }
        };
        let mut texts = Vec::with_capacity(elements.len());
        for element in elements {
            match element.value {
                Value::Text(text) => texts.push(text),
                _ => {
                    self.wrong_element(key, &element, "write it in quotes");
                }
            }
        }
        texts
    }

    /// A list of texts as Logstash takes one: numbers and booleans in it count as their text.
    pub fn words(&mut self, key: &str) -> Vec<String> {
        let Some(node) = self.node(key) else { return Vec::new() };
        let elements = match &node.value {
            Value::List(elements) => elements.clone(),
            _ => vec![node],
        };
        let mut words = Vec::with_capacity(elements.len());
        for element in elements {
            match &element.value {
                Value::Boolean(value) => words.push(value.to_string()),
                _ => match number_or_text(&element) {
                    Some(text) => words.push(text),
                    None => self.wrong_element(key, &element, "write [\"…\", \"…\"]"),
                },
            }
        }
        words
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

    /// An integer; a text that came by a variable is read as one.
    pub fn integer(&mut self, key: &str) -> Option<i64> {
        let node = self.node(key)?;
        match &node.value {
            Value::Integer(number) => Some(*number),
            Value::Text(text) if node.from_variable => match text.trim().parse() {
                Ok(number) => Some(number),
                Err(_) => {
                    self.wrong_kind(key, &node, "an integer", "the variable's value must be a whole number")
                }
            },
            Value::Text(text) if text.parse::<i64>().is_ok() => {
                let fix = format!("write it without quotes: {key} = {text}");
                self.wrong_kind(key, &node, "an integer", &fix)
            }
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

    /// A number, whole or not.
    pub fn number(&mut self, key: &str) -> Option<f64> {
        let node = self.node(key)?;
        match &node.value {
            // An option's whole number is far below 2^53.
            Value::Integer(number) => Some(*number as f64),
            Value::Float(number) => Some(*number),
            Value::Text(text) if node.from_variable && text.trim().parse::<f64>().is_ok() => {
                text.trim().parse().ok()
            }
            _ => self.wrong_kind(key, &node, "a number", "write it without quotes"),
        }
    }

    /// `true` or `false`; a text that came by a variable is read as one.
    pub fn boolean(&mut self, key: &str) -> Option<bool> {
        let node = self.node(key)?;
        match &node.value {
            Value::Boolean(value) => Some(*value),
            Value::Text(text) if node.from_variable && text == "true" => Some(true),
            Value::Text(text) if node.from_variable && text == "false" => Some(false),
            Value::Text(text) if text == "true" || text == "false" => {
                let fix = format!("write it without quotes: {key} = {text}");
                self.wrong_kind(key, &node, "a boolean", &fix)
            }
            _ => self.wrong_kind(key, &node, "a boolean", "write true or false"),
        }
    }

    /// `true`, `false` (in quotes too, as Logstash allows) or one of these words, as text.
    pub fn boolean_or(&mut self, key: &str, words: &[&str]) -> Option<String> {
        if let Some(Node { value: Value::Boolean(value), .. }) = self.node(key) {
            return Some(value.to_string());
        }
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

    /// The folder that relative paths start at.
    pub fn directory(&self) -> PathBuf {
        self.shared.directory.clone()
    }

    /// A table of its own kind, to be read by the same calls.
    pub fn section(&mut self, key: &str) -> Option<Section> {
        let node = self.node(key)?;
        match node.value {
            Value::Table(entries) => Some(self.inner(key, node.span, entries)),
            _ => self.wrong_kind(key, &node, "a table", &format!("write {key} = {{ … = … }}")),
        }
    }

    /// The section that would stand at `key`, empty.
    pub(super) fn absent(&self, key: &str) -> Section {
        self.inner(key, 0..0, Vec::new())
    }

    /// A table that may stand several times (`[[key]]`), or once (`[key]`).
    pub fn sections(&mut self, key: &str) -> Vec<Section> {
        let Some(node) = self.node(key) else { return Vec::new() };
        let elements = match node.value {
            Value::List(elements) => elements,
            _ => vec![node],
        };
        let mut sections = Vec::with_capacity(elements.len());
        for element in elements {
            match element.value {
                Value::Table(entries) => sections.push(self.inner(key, element.span, entries)),
                _ => {
                    self.wrong_kind::<()>(key, &element, "a table", &format!("write it as [[{key}]]"));
                }
            }
        }
        sections
    }

    /// A flat map of names to values (`add_field`), in the file's order. Values are texts, numbers, booleans or lists. As
    /// in Logstash, a list of names and values by turns is a map too.
    pub fn map(&mut self, key: &str) -> Vec<(String, Json)> {
        let Some(node) = self.node(key) else { return Vec::new() };
        if let Value::List(elements) = &node.value
            && let Some(map) = pairs(elements)
        {
            return map;
        }
        let Value::Table(entries) = &node.value else {
            self.wrong_kind::<()>(key, &node, "a map", &format!("write {key} = {{ name = \"value\" }}"));
            return Vec::new();
        };
        let mut map = Vec::with_capacity(entries.len());
        for entry in entries {
            if let Value::Table(inner) = &entry.value.value {
                let inner = inner.first().map_or("…", |entry| entry.key.as_str());
                let (message, fix) = nested_table(key, &entry.key, inner);
                self.report(entry.value.span.clone(), message, fix);
                continue;
            }
            map.push((entry.key.clone(), entry.value.to_json("", &mut Places::default())));
        }
        map
    }

    /// Any value, as JSON in the file's order.
    pub fn json(&mut self, key: &str) -> Option<Json> {
        let node = self.node(key)?;
        Some(node.to_json("", &mut Places::default()))
    }

    /// All keys that were not asked for, as JSON in the file's order; they count as known. With them the places of all
    /// keys, asked for or not.
    pub fn rest(&mut self) -> (serde_json::Map<String, Json>, Places) {
        self.rest_is_known = true;
        let mut places = Places::default();
        let mut rest = serde_json::Map::new();
        for entry in &self.entries {
            if is_unset(&entry.value) {
                continue;
            }
            let pointer = format!("/{}", pointer_token(&entry.key));
            places.add_key(&pointer, entry.key_span.clone());
            let value = entry.value.to_json(&pointer, &mut places);
            if !self.asked.contains(&entry.key) {
                rest.insert(entry.key.clone(), value);
            }
        }
        (rest, places)
    }

    /// The keys that were not asked for are not reported: what would know them is itself unknown.
    pub fn ignore_rest(&mut self) {
        self.rest_is_known = true;
    }

    /// Something is wrong with the value of this key; without the key, with the section.
    pub fn problem(&mut self, key: &str, message: &str, fix: &str) {
        let span = self.span_of(key);
        self.report(span, message.to_owned(), fix.to_owned());
    }

    /// Something is wrong with the file as a whole.
    pub(super) fn file_problem(&self, message: &str, fix: &str) {
        let file = self.shared.file.clone();
        let (message, fix) = (message.to_owned(), fix.to_owned());
        let problem = Problem { severity: Severity::Error, file, span: None, message, fix };
        self.shared.problems.borrow_mut().push(problem);
    }

    /// Something is wrong with an element (from 0) of the list that this key has.
    pub fn element_problem(&mut self, key: &str, element: usize, message: &str, fix: &str) {
        let mut span = self.span_of(key);
        if let Some(Node { value: Value::List(elements), .. }) = self.node(key)
            && let Some(element) = elements.get(element)
        {
            span = element.span.clone();
        }
        self.report(span, message.to_owned(), fix.to_owned());
    }

    /// The pipeline runs, but perhaps not as its writer thinks.
    pub fn warning(&mut self, key: &str, message: &str, fix: &str) {
        let span = self.span_of(key);
        self.push(Severity::Warning, span, message.to_owned(), fix.to_owned());
    }

    /// The place of a key's value, or of the section.
    pub(super) fn span_of(&mut self, key: &str) -> Range<usize> {
        self.node(key).map_or_else(|| self.span.clone(), |node| node.span)
    }

    /// Reports a key that must be there and is not.
    pub(super) fn require(&mut self, key: &str) {
        if self.is_set(key) {
            return;
        }
        let message = format!("`{key}` is missing in {}", self.title);
        // An empty variable leaves the key without a value: then the place is the key's.
        let written = self.entries.iter().find(|entry| entry.key == key);
        let (span, fix) = match written {
            Some(entry) => (entry.value.span.clone(), "the variable is empty or not set".to_owned()),
            None => (self.span.clone(), format!("add `{key} = …`")),
        };
        self.report(span, message, fix);
    }

    fn node(&mut self, key: &str) -> Option<Node> {
        if !self.asked.iter().any(|asked| asked == key) {
            self.asked.push(key.to_owned());
        }
        let entry = self.entries.iter().find(|entry| entry.key == key)?;
        (!is_unset(&entry.value)).then(|| entry.value.clone())
    }

    fn inner(&self, key: &str, span: Range<usize>, entries: Vec<Entry>) -> Section {
        // The whole file has no brackets around its name.
        let title = match self.title.strip_suffix(']') {
            Some(title) => format!("{title}.{key}]"),
            None => format!("[{key}]"),
        };
        Section::new(title, span, entries, self.shared.clone())
    }

    fn wrong_kind<T>(&mut self, key: &str, node: &Node, expected: &str, fix: &str) -> Option<T> {
        let message = format!("`{key}` must be {expected}, not {}", node.kind());
        self.report(node.span.clone(), message, fix.to_owned());
        None
    }

    fn wrong_element(&self, key: &str, element: &Node, fix: &str) {
        let message = format!("`{key}` must hold texts, not {}", element.kind());
        self.report(element.span.clone(), message, fix.to_owned());
    }

    fn report(&self, span: Range<usize>, message: String, fix: String) {
        self.push(Severity::Error, span, message, fix);
    }

    fn push(&self, severity: Severity, span: Range<usize>, message: String, fix: String) {
        let file = self.shared.file.clone();
        self.shared.problems.borrow_mut().push(Problem { severity, file, span: Some(span), message, fix });
    }
}

impl Drop for Section {
    fn drop(&mut self) {
        if self.rest_is_known {
            return;
        }
        let known: Vec<&str> = self.asked.iter().map(String::as_str).collect();
        for entry in &self.entries {
            if known.contains(&entry.key.as_str()) {
                continue;
            }
            let fix = did_you_mean(&entry.key, &known)
                .map_or_else(|| known_keys(&known), |near| format!("did you mean `{near}`?"));
            self.report(
                entry.key_span.clone(),
                format!("unknown key `{}` in {}", entry.key, self.title),
                fix,
            );
        }
    }
}

/// `"${NAME:}"` without the variable: as if the key were not there.
fn is_unset(node: &Node) -> bool {
    node.from_variable && matches!(&node.value, Value::Text(text) if text.is_empty())
}

fn number_or_text(node: &Node) -> Option<String> {
    match &node.value {
        Value::Text(text) => Some(text.clone()),
        Value::Integer(number) => Some(number.to_string()),
        Value::Float(number) => Some(number.to_string()),
        _ => None,
    }
}
