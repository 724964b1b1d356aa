//! The operations, in the order in which they run, and what each does to one event.

use serde_json::Value as Json;
use weir_filter::{Event, Failure, Field, FieldReference, Plan, Template, Value, json};

use crate::convert::{self, Converted, Type};
use crate::{ruby, text};

/// A field that an operation names. An illegal reference is an error of every event, as in Logstash.
pub(crate) type Named = Result<Field, String>;

/// A change of letter case.
pub(crate) type LetterCase = fn(&str) -> String;

/// One entry of an option.
pub(crate) enum Operation {
    /// Gives a null field a value.
    Coerce(Named, Template),
    /// Moves a field.
    Rename(Name, Name),
    /// Sets a field that exists.
    Update(Named, Template),
    /// Sets a field.
    Replace(Named, Template),
    /// Makes a field's value one of another type.
    Convert(Named, Type),
    /// Changes the letter case of texts.
    Case(Named, LetterCase),
    /// Takes white space from texts.
    Strip(Named),
    /// Makes a list of a text. A separator that is no text is an error of every event that has one to split.
    Split(Named, Option<String>),
    /// Makes a text of a list; the separator as with `Split`.
    Join(Named, Option<String>),
    /// Appends the second field, and those after it, to the first.
    Merge(Named, Vec<Named>),
    /// Copies the first field to the second.
    Copy(Named, Named),
}

/// A name of `rename`: these alone are templates.
pub(crate) enum Name {
    /// The same for every event.
    Fixed(Named),
    /// It depends on the event.
    Template(Template),
}

/// Parses a field reference and declares it.
pub(crate) fn name(plan: &mut Plan, text: &str, declare: fn(&mut Plan, &FieldReference) -> Field) -> Named {
    FieldReference::parse(text).map(|reference| declare(plan, &reference))
}

impl Operation {
    /// Does the work on one event.
    ///
    /// # Errors
    /// If it cannot be done; what was done before stays.
    pub(crate) fn run(&self, event: &mut Event<'_>) -> Result<(), Failure> {
        match self {
            Operation::Coerce(named, template) => {
                let field = found(named)?;
                if matches!(event.get(field), Some(Value::Null)) {
                    set_rendered(event, field, template)?;
                }
                Ok(())
            }
            Operation::Rename(old, new) => rename(event, old, new),
            Operation::Update(named, template) => {
                let field = found(named)?;
                if event.exists(field) {
                    set_rendered(event, field, template)?;
                }
                Ok(())
            }
            Operation::Replace(named, template) => set_rendered(event, found(named)?, template),
            Operation::Convert(named, to) => convert(event, found(named)?, *to),
            Operation::Case(named, change) => {
                let field = found(named)?;
                match event.get(field) {
                    Some(Value::Text(text)) => event.set(field, change(text).as_str()),
                    Some(Value::Json(json)) => change_texts(event, field, json, *change),
                    _ => Ok(()),
                }
            }
            Operation::Strip(named) => strip(event, found(named)?),
            Operation::Split(named, separator) => {
                let field = found(named)?;
                let Some(Value::Text(text)) = event.get(field) else { return Ok(()) };
                let parts = text::split(text, as_text(separator)?);
                event.set_json(field, &Json::from(parts))
            }
            Operation::Join(named, separator) => {
                let field = found(named)?;
                let Some(Json::Array(list)) = event.get(field).and_then(json_of) else { return Ok(()) };
                // Of nothing Ruby makes the empty text before it looks at the separator.
                if list.is_empty() {
                    return event.set(field, "");
                }
                let joined = ruby::join(&list, as_text(separator)?);
                event.set(field, joined.as_str())
            }
            Operation::Merge(into, sources) => merge(event, into, sources),
            Operation::Copy(from, to) => match event.get(found(from)?) {
                None | Some(Value::Null) => Ok(()),
                Some(value) => event.set(found(to)?, value),
            },
        }
    }
}

fn found(named: &Named) -> Result<Field, Failure> {
    match named {
        Ok(field) => Ok(*field),
        Err(message) => Err(Failure::new(message.as_str())),
    }
}

fn as_text(separator: &Option<String>) -> Result<&str, Failure> {
    separator.as_deref().ok_or_else(|| Failure::new("the separator is not a text"))
}

fn set_rendered(event: &mut Event<'_>, field: Field, template: &Template) -> Result<(), Failure> {
    let text = event.render(template)?;
    event.set(field, text.as_str())
}

fn rename(event: &mut Event<'_>, old: &Name, new: &Name) -> Result<(), Failure> {
    let old = rendered(event, old)?;
    let new = rendered(event, new)?;
    let old = referred(event, old)?;
    let Some(value) = event.get(old) else { return Ok(()) };
    event.remove(old);
    // What cannot be stored under the new name is lost.
    let new = referred(event, new)?;
    event.set(new, value)
}

/// A name of `rename`, its template rendered.
enum Rendered<'a> {
    Fixed(&'a Named),
    Text(String),
}

fn rendered<'a>(event: &Event<'_>, name: &'a Name) -> Result<Rendered<'a>, Failure> {
    match name {
        Name::Fixed(named) => Ok(Rendered::Fixed(named)),
        Name::Template(template) => Ok(Rendered::Text(event.render(template)?)),
    }
}

fn referred(event: &mut Event<'_>, name: Rendered<'_>) -> Result<Field, Failure> {
    match name {
        Rendered::Fixed(named) => found(named),
        Rendered::Text(text) => {
            let reference = FieldReference::parse(&text).map_err(Failure::new)?;
            event.field(&reference)
        }
    }
}

fn convert(event: &mut Event<'_>, field: Field, to: Type) -> Result<(), Failure> {
    let Some(value) = event.get(field) else { return Ok(()) };
    match convert::convert(value, to).map_err(Failure::new)? {
        Converted::Unchanged => Ok(()),
        Converted::Boolean(boolean) => event.set(field, boolean),
        Converted::Integer(integer) => event.set(field, integer),
        Converted::Float(float) => event.set(field, float),
        Converted::Text(text) => event.set(field, text.as_str()),
        Converted::Json(json) => event.set_json(field, &json),
    }
}

/// The texts of a list, not those of lists inside it; a map is left alone.
fn change_texts(event: &mut Event<'_>, field: Field, json: &str, change: LetterCase) -> Result<(), Failure> {
    let Ok(Json::Array(mut list)) = serde_json::from_str(json) else { return Ok(()) };
    for element in &mut list {
        if let Json::String(text) = element {
            *text = change(text);
        }
    }
    event.set_json(field, &Json::Array(list))
}

fn strip(event: &mut Event<'_>, field: Field) -> Result<(), Failure> {
    match event.get(field) {
        Some(Value::Text(text)) => event.set(field, text::strip(text)),
        Some(value) => {
            let Some(Json::Array(mut list)) = json_of(value) else { return Ok(()) };
            for element in &mut list {
                let Json::String(text) = element else {
                    return Err(Failure::new("a list to be stripped holds something that is no text"));
                };
                *text = text::strip(text).to_owned();
            }
            event.set_json(field, &Json::Array(list))
        }
        None => Ok(()),
    }
}

/// Appends each source to what `into` held at first; only if that was a list or a map does it grow from one source to
/// the next. That is Logstash's way, which changes a list or map in place and makes a new list of anything else.
fn merge(event: &mut Event<'_>, into: &Named, sources: &[Named]) -> Result<(), Failure> {
    let into = found(into)?;
    let mut target = event.get(into).and_then(json_of);
    for source in sources {
        let source = event.get(found(source)?).and_then(json_of);
        let merged = match (&target, source) {
            (Some(Json::Object(map)), Some(Json::Object(more))) => {
                let mut map = map.clone();
                map.extend(more);
                Json::Object(map)
            }
            // A map and something else do not mix.
            (Some(Json::Object(_)), _) | (_, Some(Json::Object(_))) => continue,
            (target, source) => {
                let mut list = list_of(target.clone());
                list.extend(list_of(source));
                Json::Array(list)
            }
        };
        event.set_json(into, &merged)?;
        if matches!(target, Some(Json::Array(_) | Json::Object(_))) {
            target = Some(merged);
        }
    }
    Ok(())
}

fn list_of(value: Option<Json>) -> Vec<Json> {
    match value {
        None | Some(Json::Null) => Vec::new(),
        Some(Json::Array(list)) => list,
        Some(scalar) => vec![scalar],
    }
}

/// A value as JSON, but for a map of which only the mark was read.
fn json_of(value: Value<'_>) -> Option<Json> {
    if value == Value::Object { None } else { Some(json::to_json(value)) }
}
