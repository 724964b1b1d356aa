//! Texts with `%{…}` in them: Logstash's sprintf, parsed once and rendered for each event. What a reference leads to is
//! left to who renders.

use std::fmt::Write;

use serde_json::Value as Json;

use crate::date_pattern::DatePattern;
use crate::decimal::Decimal;
use crate::field_reference::FieldReference;
use crate::float_text;
use crate::plan::Field;
use crate::timestamp;
use crate::value::Value;

/// A parsed template.
#[derive(Clone, Debug)]
pub struct Template {
    parts: Vec<Part>,
    references: Vec<FieldReference>,
    problem: Option<String>,
    /// A date pattern that is none; it is no matter of events without `@timestamp`.
    date_problem: Option<String>,
    /// The fields of the references, where a plan made the template.
    pub(crate) fields: Vec<Field>,
    /// The field `@timestamp`, where a plan made the template and it is needed.
    pub(crate) timestamp: Option<Field>,
}

#[derive(Clone, Debug)]
enum Part {
    Text(String),
    /// A reference by its number, and what stays where it leads to nothing.
    Reference(usize, String),
    Seconds,
    Date(DatePattern),
    Now,
}

impl Template {
    /// Parses a template. It never fails: as in Logstash, a mistake in it is an error of each event that it is rendered
    /// for; [`Template::problem`] tells it at once.
    pub fn parse(text: &str) -> Self {
        let mut template = Template {
            parts: Vec::new(),
            references: Vec::new(),
            problem: None,
            date_problem: None,
            fields: Vec::new(),
            timestamp: None,
        };
        let mut literal = String::new();
        let mut rest = text;
        while let Some(open) = rest.find("%{") {
            let Some(length) = rest[open + 2..].find('}') else { break };
            literal.push_str(&rest[..open]);
            let content = &rest[open + 2..open + 2 + length];
            let mut end = open + 2 + length + 1;
            let part = if let Some(pattern) = content.strip_prefix('{')
                && rest[end..].starts_with('}')
            {
                end += 1;
                match pattern {
                    "" => None,
                    "TIME_NOW" => Some(Part::Now),
                    pattern => template.date(DatePattern::java_time(pattern)),
                }
            } else if content.starts_with('{') && end == rest.len() {
                template.note(format!("%{{{content}}} opens two braces and closes one"));
                None
            } else if "+%s".starts_with(content) {
                Some(Part::Seconds)
            } else if let Some(pattern) = content.strip_prefix('+') {
                template.date(DatePattern::joda(pattern))
            } else {
                template.reference(content, &rest[open..end])
            };
            if let Some(part) = part {
                template.push_text(&mut literal);
                template.parts.push(part);
            }
            rest = &rest[end..];
        }
        literal.push_str(rest);
        template.push_text(&mut literal);
        template
    }

    /// The references in it, each once; [`Template::render`] asks for them by their place in this list.
    pub fn references(&self) -> &[FieldReference] {
        &self.references
    }

    /// Whether it needs the event's `@timestamp`, other than as a reference.
    pub fn needs_timestamp(&self) -> bool {
        self.date_problem.is_some()
            || self.parts.iter().any(|part| matches!(part, Part::Seconds | Part::Date(_)))
    }

    /// What is wrong with it, if anything is.
    pub fn problem(&self) -> Option<&str> {
        self.problem.as_deref().or(self.date_problem.as_deref())
    }

    /// Its text, if it is the same for every event.
    pub fn constant(&self) -> Option<&str> {
        match self.parts.as_slice() {
            _ if self.problem().is_some() => None,
            [] => Some(""),
            [Part::Text(text)] => Some(text),
            _ => None,
        }
    }

    /// Renders it at the end of `text`. `lookup` answers the value of a reference, a map as JSON; `timestamp` is the
    /// event's `@timestamp` if it is one, in nanoseconds since 1970; `now` the current time.
    ///
    /// # Errors
    /// If the template has a [`Template::problem`] (one with a date only where there is a timestamp), or a date does not fit
    /// its width; the answer says which.
    pub fn render<'v>(
        &self,
        text: &mut String,
        mut lookup: impl FnMut(usize) -> Option<Value<'v>>,
        timestamp: Option<i64>,
        now: impl Fn() -> i64,
    ) -> Result<(), String> {
        if let Some(problem) = &self.problem {
            return Err(problem.clone());
        }
        if let (Some(problem), Some(_)) = (&self.date_problem, timestamp) {
            return Err(problem.clone());
        }
        for part in &self.parts {
            match part {
                Part::Text(literal) => text.push_str(literal),
                Part::Reference(index, written) => match lookup(*index) {
                    None | Some(Value::Null) => text.push_str(written),
                    Some(value) => write_value(value, text),
                },
                Part::Seconds => {
                    if let Some(timestamp) = timestamp {
                        write_integer(timestamp.div_euclid(timestamp::SECOND), text);
                    }
                }
                Part::Date(pattern) => {
                    if let Some(timestamp) = timestamp {
                        pattern.write(timestamp, text)?;
                    }
                }
                Part::Now => timestamp::write_text(now(), text),
            }
        }
        Ok(())
    }

    fn push_text(&mut self, literal: &mut String) {
        if literal.is_empty() {
            return;
        }
        self.parts.push(Part::Text(std::mem::take(literal)));
    }

    fn note(&mut self, problem: String) {
        self.problem.get_or_insert(problem);
    }

    fn date(&mut self, pattern: Result<DatePattern, String>) -> Option<Part> {
        let noted = pattern.map_err(|problem| {
            self.date_problem.get_or_insert(problem);
        });
        noted.ok().map(Part::Date)
    }

    fn reference(&mut self, content: &str, written: &str) -> Option<Part> {
        let reference = match FieldReference::parse(content) {
            Ok(reference) => reference,
            Err(problem) => {
                self.note(problem);
                return None;
            }
        };
        let known = self.references.iter().position(|known| *known == reference);
        let index = known.unwrap_or_else(|| {
            self.references.push(reference);
            self.references.len() - 1
        });
        Some(Part::Reference(index, written.to_owned()))
    }
}

/// Writes a value as sprintf does. A null is nothing here: what a reference to one becomes is up to the template.
pub fn write_value(value: Value<'_>, text: &mut String) {
    match value {
        Value::Null => {}
        Value::Boolean(value) => text.push_str(if value { "true" } else { "false" }),
        Value::Integer(value) => write_integer(value, text),
        Value::Float(value) => float_text::write_java(value, text),
        Value::Text(value) => text.push_str(value),
        Value::Timestamp(value) => timestamp::write_text(value, text),
        Value::Object => text.push_str("{}"),
        Value::Json(json) => match serde_json::from_str(json) {
            Ok(Json::Array(list)) => write_joined(&list, text),
            Ok(Json::Object(map)) => write_json(&Json::Object(map), text),
            // A number that is no double is an exact decimal.
            _ => match Decimal::parse(json) {
                Some(decimal) => text.push_str(&decimal.java_text()),
                None => text.push_str(json),
            },
        },
    }
}

fn write_integer(value: i64, text: &mut String) {
    // Writing to a String cannot fail.
    let _ = write!(text, "{value}");
}

/// A list's elements with commas between; lists in it are flattened, maps in Java's form, null is nothing.
fn write_joined(list: &[Json], text: &mut String) {
    for (index, element) in list.iter().enumerate() {
        if index > 0 {
            text.push(',');
        }
        match element {
            Json::Null => {}
            Json::Array(list) => write_joined(list, text),
            other => write_java_form(other, text),
        }
    }
}

/// The form of Java's collections: `{k=v, k2=[1, s], k3=null}`.
pub(crate) fn write_java_form(json: &Json, text: &mut String) {
    match json {
        Json::Null => text.push_str("null"),
        Json::Bool(value) => text.push_str(if *value { "true" } else { "false" }),
        Json::Number(number) => write_number(number, text),
        Json::String(value) => text.push_str(value),
        Json::Array(list) => {
            text.push('[');
            for (index, element) in list.iter().enumerate() {
                text.push_str(if index > 0 { ", " } else { "" });
                write_java_form(element, text);
            }
            text.push(']');
        }
        Json::Object(map) => {
            text.push('{');
            for (index, (name, value)) in map.iter().enumerate() {
                text.push_str(if index > 0 { ", " } else { "" });
                text.push_str(name);
                text.push('=');
                write_java_form(value, text);
            }
            text.push('}');
        }
    }
}

/// Compact JSON with doubles in Java's form.
fn write_json(json: &Json, text: &mut String) {
    match json {
        Json::Number(number) => write_number(number, text),
        Json::Array(list) => {
            text.push('[');
            for (index, element) in list.iter().enumerate() {
                text.push_str(if index > 0 { "," } else { "" });
                write_json(element, text);
            }
            text.push(']');
        }
        Json::Object(map) => {
            text.push('{');
            for (index, (name, value)) in map.iter().enumerate() {
                text.push_str(if index > 0 { "," } else { "" });
                text.push_str(&Json::String(name.clone()).to_string());
                text.push(':');
                write_json(value, text);
            }
            text.push('}');
        }
        scalar => text.push_str(&scalar.to_string()),
    }
}

fn write_number(number: &serde_json::Number, text: &mut String) {
    let written = number.to_string();
    match Value::from_json_number(&written) {
        Value::Float(value) => float_text::write_java(value, text),
        Value::Integer(value) => write_integer(value, text),
        _ => match Decimal::parse(&written) {
            Some(decimal) => text.push_str(&decimal.java_text()),
            None => text.push_str(&written),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Renders with `a` the text `x`, `n` a null, `l` and `m` a list and a map, and at 2015-03-04T05:06:07.089Z.
    fn render(template: &str, timestamp: Option<&str>) -> Result<String, String> {
        let template = Template::parse(template);
        let lookup = |index: usize| match template.references()[index].to_string().as_str() {
            "[a]" => Some(Value::Text("x")),
            "[n]" => Some(Value::Null),
            "[f]" => Some(Value::Float(1e20)),
            "[d]" => Some(Value::Json("1E+3")),
            "[l]" => Some(Value::Json(r#"["foo",["bar",null],{"k":[1,"s"],"n":null}]"#)),
            "[m]" => Some(Value::Json(r#"{"k":[1,2.5,true,"q\"/é"],"f":1e+20}"#)),
            "[t]" => Some(Value::Timestamp(0)),
            _ => None,
        };
        let mut text = String::new();
        template.render(&mut text, lookup, timestamp.and_then(timestamp::parse), || 1_500_000_000)?;
        Ok(text)
    }

    fn check(template: &str, expected: &str) {
        assert_eq!(render(template, Some("2015-03-04T05:06:07.089Z")).as_deref(), Ok(expected), "{template}");
    }

    #[test]
    fn references() {
        check("/full/%{a}/%{missing}/%{n}", "/full/x/%{missing}/%{n}");
        check("%{+YYY/web", "%{+YYY/web");
        check("%%{a}% {a}", "%x% {a}");
        check("%{%{a}}", "%{%{a}}");
        check("%{ a }%{[a]}", "%{ a }x");
        check("%{{foo}x", "%{{foo}x");
        check("%{f} %{d} %{t}", "1.0E20 1E+3 1970-01-01T00:00:00.000Z");
        check("%{l}", "foo,bar,,{k=[1, s], n=null}");
        check("%{m}", r#"{"k":[1,2.5,true,"q\"/é"],"f":1.0E20}"#);
    }

    #[test]
    fn dates() {
        check("a%{}b%{+}c%{+%}d%{+%s}", "a1425445567b1425445567c1425445567d1425445567");
        check("%{+%ss}", "%07");
        check("%{{yyyy}}-%{a}-%{+MM}", "2015-x-03");
        check("%{{TIME_NOW}}|%{{}}", "1970-01-01T00:00:01.500Z|");
        assert_eq!(render("<%{+YYYY}%{+%s}%{{yyyy}}>", None).as_deref(), Ok("<>"));
        assert_eq!(render("<%{+bb}%{{yyyy]}}>", None).as_deref(), Ok("<>"));
        assert_eq!(render("%{+%s}", Some("1969-12-31T23:59:59.500Z")).as_deref(), Ok("-1"));
    }

    #[test]
    fn mistakes_show_when_rendered() {
        for template in ["%{a[b}", "x%{[}y", "%{{foo}", "%{+bb}", "%{{b}}"] {
            assert!(render(template, Some("2015-03-04")).is_err(), "{template}");
            assert!(Template::parse(template).problem().is_some(), "{template}");
        }
    }

    #[test]
    fn constants() {
        assert_eq!(Template::parse("route53 }").constant(), Some("route53 }"));
        assert_eq!(Template::parse("").constant(), Some(""));
        assert_eq!(Template::parse("%{a}").constant(), None);
    }
}
