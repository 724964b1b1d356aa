//! A filter's options: declared as a table, checked and coerced by Logstash's rules before the filter sees them. The
//! options that are the host's (`use`, `when`, `add_field`, …) never come here.

use serde_json::{Map, Value};

use crate::problems::Problems;
use crate::{float_text, ruby_text};

/// One option of a filter.
#[derive(Clone, Copy, Debug)]
pub struct OptionDescription {
    /// Its name, Logstash's where there is one.
    pub name: &'static str,
    /// What it takes.
    pub kind: OptionKind,
    /// Its value when it is not set, as JSON.
    pub default: Option<&'static str>,
    /// Whether it must be set.
    pub required: bool,
    /// What it does, Markdown.
    pub doc: &'static str,
    /// How it is written, TOML. Where it is empty, the doc may end with it, as code.
    pub example: &'static str,
}

impl OptionDescription {
    /// What it does and how it is written, an example at the end of the doc taken from it.
    pub(crate) fn doc_and_example(&self) -> (&'static str, &'static str) {
        let doc = self.doc.trim();
        if !self.example.is_empty() {
            return (doc, self.example);
        }
        let code = doc.strip_suffix('`').and_then(|rest| rest.rsplit_once('`'));
        match code {
            Some((doc, example)) if example.starts_with(self.name) => (doc.trim_end(), example),
            _ => (doc, ""),
        }
    }

    fn fix(&self) -> String {
        let (_, example) = self.doc_and_example();
        if example.is_empty() { String::new() } else { format!("for example: {example}") }
    }
}

/// What an option takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OptionKind {
    /// A text; another scalar, or a list of one, is taken as its text.
    Text,
    /// One of these texts.
    Choice(&'static [&'static str]),
    /// A text that is never shown.
    Password,
    /// A list; a scalar is a list of one.
    List,
    /// A table, or a flat list of names and values.
    Map,
    /// True or false, also as text, or in a list of one.
    Boolean,
    /// A number, also as text, or in a list of one.
    Number,
}

/// What the pipeline says for all filters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Environment {
    /// The time zone where a filter's own option says nothing.
    pub timezone: String,
    /// The locale where a filter's own option says nothing.
    pub locale: String,
    /// `disabled`, or `v1`, `v8`, …
    pub ecs_compatibility: String,
    /// Whether the filter has an `add_field`, `remove_field`, `add_tag` or `remove_tag`.
    pub common_options: bool,
}

impl Default for Environment {
    fn default() -> Self {
        Environment {
            timezone: "UTC".to_owned(),
            locale: "en".to_owned(),
            ecs_compatibility: "disabled".to_owned(),
            common_options: false,
        }
    }
}

/// The options of a filter, checked: every one that is set or has a default has a value of its kind.
#[derive(Clone, Debug)]
pub struct Options {
    values: Vec<(&'static str, Setting)>,
    environment: Environment,
}

#[derive(Clone, Debug)]
struct Setting {
    value: Coerced,
    set: bool,
}

#[derive(Clone, Debug)]
enum Coerced {
    Nothing,
    Text(String),
    List(Vec<Value>),
    Map(Vec<(String, Value)>),
    Boolean(bool),
    Number(f64),
}

impl Options {
    /// Reads and checks options. Also answers the names that nobody knows: these do not stand in the way of what the
    /// filter itself finds wrong, so that all is told at once.
    ///
    /// # Errors
    /// Everything that is wrong with them, when types are wrong or something is missing.
    pub fn read(
        json: &str,
        descriptions: &'static [OptionDescription],
        environment: Environment,
    ) -> Result<(Self, Problems), Problems> {
        let written = match serde_json::from_str(json) {
            Ok(Value::Object(map)) => map,
            Ok(_) => return Err(Problems::one("", "the options are no table", "")),
            Err(error) => return Err(Problems::one("", format!("the options are no JSON: {error}"), "")),
        };
        let mut unknown = Problems::new();
        refuse_unknown(&written, descriptions, &mut unknown);
        let mut problems = Problems::new();
        check_ecs_compatibility(&written, descriptions, &mut problems);
        let mut values = Vec::with_capacity(descriptions.len());
        for description in descriptions {
            let set = written.get(description.name).filter(|value| !value.is_null());
            if set.is_none() && description.required {
                problems.push("", format!("the option {} is missing", description.name), description.fix());
            }
            let default = description.default.and_then(|json| serde_json::from_str(json).ok());
            let value = match set.or(default.as_ref()) {
                None => Coerced::Nothing,
                Some(value) => coerce(description, value).unwrap_or_else(|message| {
                    problems.push(pointer(&[description.name]), message, description.fix());
                    Coerced::Nothing
                }),
            };
            values.push((description.name, Setting { value, set: set.is_some() }));
        }
        if problems.is_empty() {
            return Ok((Options { values, environment }, unknown));
        }
        unknown.extend(problems);
        Err(unknown)
    }

    /// What the pipeline says for all filters.
    pub fn environment(&self) -> &Environment {
        &self.environment
    }

    /// Whether the option is written in the pipeline file.
    pub fn is_set(&self, name: &str) -> bool {
        self.setting(name).is_some_and(|setting| setting.set)
    }

    /// A text, choice or password; `None` if it is not set and has no default.
    pub fn text(&self, name: &str) -> Option<&str> {
        match &self.setting(name)?.value {
            Coerced::Text(text) => Some(text),
            _ => None,
        }
    }

    /// A boolean; false if it is not set and has no default.
    pub fn boolean(&self, name: &str) -> bool {
        matches!(self.setting(name), Some(Setting { value: Coerced::Boolean(true), .. }))
    }

    /// A number; `None` if it is not set and has no default.
    pub fn number(&self, name: &str) -> Option<f64> {
        match self.setting(name)?.value {
            Coerced::Number(number) => Some(number),
            _ => None,
        }
    }

    /// A list; empty if it is not set and has no default. Its elements are as they were written.
    pub fn list(&self, name: &str) -> &[Value] {
        match self.setting(name) {
            Some(Setting { value: Coerced::List(list), .. }) => list,
            _ => &[],
        }
    }

    /// A list, each element as text.
    pub fn texts(&self, name: &str) -> Vec<String> {
        self.list(name).iter().map(text_of).collect()
    }

    /// A table, in the order in which it was written; empty if it is not set and has no default.
    pub fn map(&self, name: &str) -> &[(String, Value)] {
        match self.setting(name) {
            Some(Setting { value: Coerced::Map(map), .. }) => map,
            _ => &[],
        }
    }

    fn setting(&self, name: &str) -> Option<&Setting> {
        debug_assert!(
            self.values.iter().any(|(known, _)| *known == name),
            "{name} is not among the filter's options"
        );
        self.values.iter().find(|(known, _)| *known == name).map(|(_, setting)| setting)
    }
}

/// A JSON pointer to an option, or to something in one: `pointer(&["mapping", "message"])`.
pub fn pointer(parts: &[&str]) -> String {
    let mut pointer = String::new();
    for part in parts {
        pointer.push('/');
        pointer.push_str(&part.replace('~', "~0").replace('/', "~1"));
    }
    pointer
}

/// A value of an option as text: a text as it is, a number as Ruby prints it, lists and tables as JSON.
pub fn text_of(value: &Value) -> String {
    let mut text = String::new();
    match ruby_text::scalar_of_json(value) {
        Some(scalar) => ruby_text::write(scalar, &mut text),
        None => text = value.to_string(),
    }
    text
}

fn refuse_unknown(written: &Map<String, Value>, descriptions: &[OptionDescription], problems: &mut Problems) {
    for name in written.keys() {
        if name == ECS_COMPATIBILITY || descriptions.iter().any(|description| description.name == name) {
            continue;
        }
        let nearest = did_you_mean(name, descriptions.iter().map(|description| description.name));
        let fix = match nearest {
            Some(nearest) => format!("did you mean {nearest}?"),
            None if descriptions.is_empty() => "this filter has no options of its own".to_owned(),
            None => {
                let known: Vec<_> = descriptions.iter().map(|description| description.name).collect();
                format!("its options are {}", known.join(", "))
            }
        };
        problems.push(pointer(&[name]), format!("unknown option {name}"), fix);
    }
}

const ECS_COMPATIBILITY: &str = "ecs_compatibility";

/// Every filter takes this option, also those that do nothing with it: `disabled`, or `v` and a number up to 99.
fn check_ecs_compatibility(
    written: &Map<String, Value>,
    descriptions: &[OptionDescription],
    problems: &mut Problems,
) {
    if descriptions.iter().any(|description| description.name == ECS_COMPATIBILITY) {
        return;
    }
    let Some(mode) = written.get(ECS_COMPATIBILITY) else { return };
    let is_mode = single_text(mode).is_some_and(|mode| match mode.strip_prefix('v').map(str::as_bytes) {
        Some([b'1'..=b'9']) | Some([b'1'..=b'9', b'0'..=b'9']) => true,
        _ => mode == "disabled",
    });
    if !is_mode {
        let message = format!(
            "the option ecs_compatibility must be disabled or a version such as v8, but is {}",
            name_of(mode)
        );
        problems.push(
            pointer(&[ECS_COMPATIBILITY]),
            message,
            "it changes nothing in this filter; leave it out",
        );
    }
}

/// The one of `known` that is most like `name`, if any is.
pub fn did_you_mean<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let allowed = (name.chars().count() / 3).clamp(1, 3);
    known
        .into_iter()
        .map(|candidate| (edit_distance(name, candidate), candidate))
        .filter(|(distance, _)| *distance <= allowed)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

fn edit_distance(from: &str, to: &str) -> usize {
    let to: Vec<char> = to.chars().collect();
    let mut row: Vec<usize> = (0..=to.len()).collect();
    for (index, letter) in from.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = index + 1;
        for column in 0..to.len() {
            let substituted = diagonal + usize::from(letter != to[column]);
            diagonal = row[column + 1];
            row[column + 1] = substituted.min(diagonal + 1).min(row[column] + 1);
        }
    }
    row[to.len()]
}

fn coerce(description: &OptionDescription, value: &Value) -> Result<Coerced, String> {
    let wrong = |expected: &str| {
        format!("the option {} must be {expected}, but is {}", description.name, name_of(value))
    };
    Ok(match description.kind {
        OptionKind::Text => Coerced::Text(single_text(value).ok_or_else(|| wrong("a text"))?),
        // What was written stays out of the message.
        OptionKind::Password => Coerced::Text(
            single_text(value).ok_or_else(|| format!("the option {} must be a text", description.name))?,
        ),
        OptionKind::Choice(choices) => {
            let text = single_text(value).ok_or_else(|| wrong("a text"))?;
            if !choices.contains(&text.as_str()) {
                return Err(format!(
                    "the option {} must be one of {}, but is {text:?}",
                    description.name,
                    choices.join(", ")
                ));
            }
            Coerced::Text(text)
        }
        OptionKind::List => match value {
            Value::Array(list) => Coerced::List(list.clone()),
            other => Coerced::List(vec![other.clone()]),
        },
        OptionKind::Map => match value {
            Value::Object(map) => {
                Coerced::Map(map.iter().map(|(name, value)| (name.clone(), value.clone())).collect())
            }
            Value::Array(list) if list.len() % 2 == 0 => Coerced::Map(pairs(list)),
            Value::Array(_) => {
                return Err(format!("the option {} is a list with an odd number of items", description.name));
            }
            _ => return Err(wrong("a table")),
        },
        OptionKind::Boolean => match single(value) {
            Some(Value::Bool(value)) => Coerced::Boolean(*value),
            Some(Value::String(text)) if text == "true" => Coerced::Boolean(true),
            Some(Value::String(text)) if text == "false" => Coerced::Boolean(false),
            _ => return Err(wrong("true or false")),
        },
        OptionKind::Number => {
            let number = match single(value) {
                Some(Value::Number(number)) => number.as_f64(),
                Some(Value::String(text)) => written_number(text),
                _ => None,
            };
            Coerced::Number(number.filter(|number| number.is_finite()).ok_or_else(|| wrong("a number"))?)
        }
    })
}

/// A number in quotes counts if it is written as Ruby prints it: `5` and `1.5`, not `+5`, `05`, `1e3` or `1.50`.
fn written_number(text: &str) -> Option<f64> {
    let number: f64 = text.parse().ok()?;
    let mut printed = String::new();
    float_text::write_ruby(number, &mut printed);
    let digits = text.strip_prefix('-').unwrap_or(text);
    let is_whole =
        digits.bytes().all(|byte| byte.is_ascii_digit()) && !digits.starts_with('0') && !digits.is_empty();
    (printed == text || is_whole || text == "0").then_some(number)
}

/// A scalar, or the scalar in a list of one.
fn single(value: &Value) -> Option<&Value> {
    match value {
        Value::Array(list) if list.len() == 1 => single(&list[0]),
        Value::Array(_) | Value::Object(_) | Value::Null => None,
        scalar => Some(scalar),
    }
}

fn single_text(value: &Value) -> Option<String> {
    single(value).map(text_of)
}

/// A flat list of names and values; the values of a repeated name are collected.
fn pairs(list: &[Value]) -> Vec<(String, Value)> {
    let mut pairs: Vec<(String, Value)> = Vec::new();
    for pair in list.chunks_exact(2) {
        let name = text_of(&pair[0]);
        match pairs.iter_mut().find(|(known, _)| *known == name) {
            None => pairs.push((name, pair[1].clone())),
            Some((_, Value::Array(values))) => values.push(pair[1].clone()),
            Some((_, value)) => *value = Value::Array(vec![value.take(), pair[1].clone()]),
        }
    }
    pairs
}

fn name_of(value: &Value) -> String {
    match value {
        Value::Array(list) => format!("a list of {}", list.len()),
        Value::Object(_) => "a table".to_owned(),
        Value::String(text) => format!("{text:?}"),
        scalar => scalar.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: &[OptionDescription] = &[
        describe("text", OptionKind::Text, None),
        describe("list", OptionKind::List, None),
        describe("map", OptionKind::Map, None),
        describe("flag", OptionKind::Boolean, Some("true")),
        describe("number", OptionKind::Number, Some("3")),
        describe("choice", OptionKind::Choice(&["one", "two"]), Some("\"one\"")),
    ];

    const fn describe(
        name: &'static str,
        kind: OptionKind,
        default: Option<&'static str>,
    ) -> OptionDescription {
        OptionDescription { name, kind, default, required: false, doc: "", example: "text = \"x\"" }
    }

    fn check(json: &str, expected: &[(&str, &str)]) {
        let problems = match Options::read(json, TABLE, Environment::default()) {
            Ok((_, problems)) | Err(problems) => problems,
        };
        let problems: Vec<_> =
            problems.iter().map(|problem| (problem.pointer.clone(), problem.fix.clone())).collect();
        let expected: Vec<_> =
            expected.iter().map(|(at, fix)| ((*at).to_owned(), (*fix).to_owned())).collect();
        assert_eq!(problems, expected, "{json}");
    }

    #[test]
    fn every_problem_at_once() {
        let example = "for example: text = \"x\"";
        check("{}", &[]);
        check(r#"{"txt": 1, "flag": "yes"}"#, &[("/txt", "did you mean text?"), ("/flag", example)]);
        check(r#"{"map": ["a"], "text": ["a", "b"]}"#, &[("/text", example), ("/map", example)]);
        check(r#"{"number": "1e3", "ecs_compatibility": "v8"}"#, &[("/number", example)]);
        let leave = "it changes nothing in this filter; leave it out";
        check(r#"{"ecs_compatibility": "v08"}"#, &[("/ecs_compatibility", leave)]);
        check(r#"{"map": 1, "choice": "three"}"#, &[("/map", example), ("/choice", example)]);
        check(r#"{"a/b~": 1}"#, &[("/a~1b~0", "its options are text, list, map, flag, number, choice")]);
    }

    #[test]
    fn coerced_as_in_logstash() {
        let json = r#"{"text": [5], "list": "x", "map": ["a", 1, "b", 2, "a", 3], "flag": ["false"], "number": "2.5"}"#;
        let (options, unknown) = Options::read(json, TABLE, Environment::default()).expect("they are right");
        assert!(unknown.is_empty());
        assert_eq!(options.text("text"), Some("5"));
        assert_eq!(options.texts("list"), ["x"]);
        assert_eq!(
            options.map("map"),
            [("a".to_owned(), serde_json::json!([1, 3])), ("b".to_owned(), serde_json::json!(2))]
        );
        assert!(!options.boolean("flag"));
        assert_eq!(options.number("number"), Some(2.5));
        assert_eq!(options.text("choice"), Some("one"));
        assert!(options.is_set("text") && !options.is_set("choice"));
    }
}
