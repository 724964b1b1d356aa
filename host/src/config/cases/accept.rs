//! Writes what came of cases into their file (`weir test --accept`): only what was expected otherwise changes, and comments,
//! order and all else stay as they are.

use serde_json::{Map, Value as Json};
use toml_edit::{Array, DocumentMut, InlineTable, Item, TableLike, Value};
use weir_filter::FieldReference;
use weir_filter::test::{Difference, Observed, Subject, is_same};

/// What came of a batch that is not as expected.
#[derive(Clone, Copy, Debug)]
pub struct Change<'c> {
    /// Which case of the file, from 0.
    pub case: usize,
    /// Which of its batches, where they are written as such.
    pub batch: Option<usize>,
    /// Whether the case says nothing of what must come.
    pub unsaid: bool,
    /// What is different.
    pub differences: &'c [Difference],
    /// What came.
    pub observed: &'c Observed,
    /// The events that it came of.
    pub input: &'c [Map<String, Json>],
}

/// The text of a file of cases with the changes in it.
///
/// # Errors
/// What cannot be written down, by the number of the change: that something came that TOML has no form for, or that
/// nothing came. Of the text as a whole: that it is no TOML.
pub fn accept(text: &str, changes: &[Change<'_>]) -> Result<(String, Vec<(usize, String)>), String> {
    let mut document: DocumentMut = text.parse().map_err(|error: toml_edit::TomlError| error.to_string())?;
    let mut refused = Vec::new();
    for (number, change) in changes.iter().enumerate() {
        // Nothing of a change is written when a part of it cannot be.
        let before = document.clone();
        if let Err(reason) = accept_one(&mut document, change) {
            document = before;
            refused.push((number, reason));
        }
    }
    Ok((document.to_string(), refused))
}

/// The text of a pipeline's tests with what came in it: cases by their number in the file, and what is different. Errors as of
/// [`accept`].
///
/// # Errors
/// As of [`accept`].
pub fn accept_pipeline(
    text: &str,
    changes: &[(usize, &[Difference])],
) -> Result<(String, Vec<(usize, String)>), String> {
    let mut document: DocumentMut = text.parse().map_err(|error: toml_edit::TomlError| error.to_string())?;
    let mut refused = Vec::new();
    for (number, (case, differences)) in changes.iter().enumerate() {
        let before = document.clone();
        for difference in *differences {
            if let Err(reason) = accept_of_pipeline(&mut document, *case, difference) {
                document = before;
                refused.push((number, reason));
                break;
            }
        }
    }
    Ok((document.to_string(), refused))
}

fn accept_of_pipeline(
    document: &mut DocumentMut,
    case: usize,
    difference: &Difference,
) -> Result<(), String> {
    let lost = || "its place in the file was not found".to_owned();
    let case = element(document.get_mut("case"), case).ok_or_else(lost)?;
    let expect = case.get_mut("expect").and_then(Item::as_table_like_mut).ok_or_else(lost)?;
    let Some(output) = difference.place.strip_prefix("output ") else {
        return accept_difference(expect, difference);
    };
    if difference.subject == Subject::Events {
        return Err(format!("the output {output} was given another number of events; write them by hand"));
    }
    let outputs = expect.get_mut("outputs").and_then(Item::as_table_like_mut).ok_or_else(lost)?;
    let event = element(outputs.get_mut(output), difference.event.unwrap_or_default()).ok_or_else(lost)?;
    if let Subject::Rendered(key) = &difference.subject {
        return set_or_drop(event, key, difference.found.as_ref());
    }
    accept_difference(event, &Difference { event: None, ..difference.clone() })
}

fn accept_one(document: &mut DocumentMut, change: &Change<'_>) -> Result<(), String> {
    let lost = || "its place in the file was not found".to_owned();
    let mut table: &mut dyn TableLike = document.as_table_mut();
    table = element(table.get_mut("case"), change.case).ok_or_else(lost)?;
    if let Some(batch) = change.batch {
        table = element(table.get_mut("batches"), batch).ok_or_else(lost)?;
    }
    if !table.contains_key("expect") {
        table.insert("expect", Item::Value(InlineTable::new().into()));
    }
    let expect = table.get_mut("expect").and_then(Item::as_table_like_mut).ok_or_else(lost)?;
    if let Some(run) = change.differences.iter().find(|difference| difference.subject == Subject::Run) {
        let found = run.found.as_ref().and_then(Json::as_str).unwrap_or_default();
        return Err(format!("nothing came that could be expected: {found}"));
    }
    let is_other = |difference: &Difference| matches!(difference.subject, Subject::Events | Subject::Options);
    if change.unsaid || change.differences.iter().any(is_other) {
        return write_anew(expect, change.observed, change.input);
    }
    for difference in change.differences {
        accept_difference(expect, difference)?;
    }
    Ok(())
}

fn accept_difference(expect: &mut dyn TableLike, difference: &Difference) -> Result<(), String> {
    let found = difference.found.as_ref();
    match &difference.subject {
        Subject::Field(reference) => match difference.event {
            Some(event) => {
                let fields =
                    element(expect.get_mut("events"), event).ok_or("the event is not in `events`")?;
                set_field(fields, reference, found)
            }
            None => set_or_remove(expect, "fields", reference, found),
        },
        Subject::Match(reference) => {
            remove_member(expect, "match", reference);
            set_or_remove(expect, "fields", reference, found)
        }
        Subject::Absent(reference) => {
            remove_element(expect, "absent", reference);
            set_or_remove(expect, "fields", reference, found)
        }
        Subject::Tags => {
            let tags = found.cloned().unwrap_or_else(|| Json::Array(Vec::new()));
            put(expect, "tags", value_of(&tags)?);
            Ok(())
        }
        Subject::Failed => set_or_drop(expect, "failed", found),
        Subject::Breaks => set_or_drop(expect, "breaks", found),
        Subject::DeadLetters => {
            set_or_drop(expect, "dead_letters", found.filter(|count| count.as_u64() != Some(0)))
        }
        Subject::Events | Subject::Options | Subject::Run | Subject::Rendered(_) => {
            Err(format!("{} cannot be written into a case", difference.subject))
        }
    }
}

/// All that a case may expect of what came, in place of what it expected.
fn write_anew(
    expect: &mut dyn TableLike,
    observed: &Observed,
    input: &[Map<String, Json>],
) -> Result<(), String> {
    let keys: Vec<String> = expect.iter().map(|(key, _)| key.to_owned()).collect();
    for key in keys {
        expect.remove(&key);
    }
    if !observed.refused.is_empty() {
        put(expect, "error", "config".into());
        return Ok(());
    }
    if let Some(kind) = observed.breaks.first() {
        put(expect, "breaks", kind.as_str().into());
    } else if !observed.dead_letters.is_empty() {
        put(expect, "dead_letters", value_of(&Json::from(observed.dead_letters.len()))?);
    }
    match observed.events.as_slice() {
        [] if observed.breaks.is_empty() && observed.dead_letters.is_empty() => {
            put(expect, "dropped", true.into())
        }
        [] => {}
        [event] => {
            let before = match input {
                [one] => one.clone(),
                _ => Map::new(),
            };
            let mut fields = InlineTable::new();
            for (name, value) in changed(event, &before) {
                if name != "tags" {
                    fields.insert(name, value_of(value)?);
                }
            }
            if !fields.is_empty() {
                put(expect, "fields", fields.into());
            }
            let gone = before.keys().filter(|name| event.get(name.as_str()).is_none());
            let gone: Array = gone.map(String::as_str).collect();
            if !gone.is_empty() {
                put(expect, "absent", gone.into());
            }
            if let Some(tags) = event.get("tags").filter(|tags| before.get("tags") != Some(*tags)) {
                put(expect, "tags", value_of(tags)?);
            }
        }
        events => {
            let mut list = Array::new();
            for event in events {
                let mut fields = InlineTable::new();
                for (name, value) in changed(event, &Map::new()) {
                    fields.insert(name, value_of(value)?);
                }
                list.push(fields);
            }
            put(expect, "events", list.into());
        }
    }
    if observed.failed {
        put(expect, "failed", true.into());
    }
    Ok(())
}

/// The fields of an event that are not as they were, without those that every event has.
fn changed<'e>(event: &'e Json, before: &Map<String, Json>) -> Vec<(&'e String, &'e Json)> {
    let fields = event.as_object().into_iter().flatten();
    let is_new = |(name, value): &(&String, &Json)| match before.get(name.as_str()) {
        Some(before) => !is_same(before, value),
        None => !matches!(name.as_str(), "@version" | "@timestamp"),
    };
    fields.filter(is_new).collect()
}

/// The table at a place of a list, however it is written.
fn element(list: Option<&mut Item>, number: usize) -> Option<&mut dyn TableLike> {
    match list? {
        Item::ArrayOfTables(tables) => tables.get_mut(number).map(|table| table as &mut dyn TableLike),
        Item::Value(Value::Array(values)) => {
            let value = values.get_mut(number)?.as_inline_table_mut()?;
            Some(value as &mut dyn TableLike)
        }
        Item::Table(table) if number == 0 => Some(table),
        Item::Value(Value::InlineTable(table)) if number == 0 => Some(table),
        _ => None,
    }
}

/// A field's value into the map of fields; what did not come goes to `absent`.
fn set_or_remove(
    expect: &mut dyn TableLike,
    key: &str,
    reference: &FieldReference,
    found: Option<&Json>,
) -> Result<(), String> {
    if found.is_none() {
        remove_member(expect, key, reference);
        return add_absent(expect, reference);
    }
    if !expect.contains_key(key) {
        expect.insert(key, Item::Value(InlineTable::new().into()));
    }
    let fields = expect.get_mut(key).and_then(Item::as_table_like_mut).ok_or("`fields` is no table")?;
    set_field(fields, reference, found)
}

fn set_field(
    fields: &mut dyn TableLike,
    reference: &FieldReference,
    found: Option<&Json>,
) -> Result<(), String> {
    let written = written_key(fields, reference);
    match found {
        Some(found) => put(fields, &written.unwrap_or_else(|| plain_name(reference)), value_of(found)?),
        None => {
            fields.remove(&written.ok_or("the field is not in the case")?);
        }
    }
    Ok(())
}

fn remove_member(expect: &mut dyn TableLike, key: &str, reference: &FieldReference) {
    let Some(fields) = expect.get_mut(key).and_then(Item::as_table_like_mut) else { return };
    if let Some(written) = written_key(fields, reference) {
        fields.remove(&written);
    }
    if fields.is_empty() {
        expect.remove(key);
    }
}

fn remove_element(expect: &mut dyn TableLike, key: &str, reference: &FieldReference) {
    let is_it = |value: &Value| {
        value.as_str().is_some_and(|text| FieldReference::parse(text).as_ref() == Ok(reference))
    };
    let is_empty = match expect.get_mut(key) {
        Some(Item::Value(Value::Array(list))) => {
            list.retain(|value| !is_it(value));
            list.is_empty()
        }
        Some(Item::Value(alone)) => is_it(alone),
        _ => false,
    };
    if is_empty {
        expect.remove(key);
    }
}

fn add_absent(expect: &mut dyn TableLike, reference: &FieldReference) -> Result<(), String> {
    let name = plain_name(reference);
    match expect.get_mut("absent") {
        Some(Item::Value(Value::Array(list))) => list.push(name),
        Some(Item::Value(alone)) => {
            let list: Array = [alone.as_str().unwrap_or_default().to_owned(), name].into_iter().collect();
            put(expect, "absent", list.into());
        }
        Some(_) => return Err("`absent` is no list".to_owned()),
        None => put(expect, "absent", Array::from_iter([name]).into()),
    }
    Ok(())
}

fn set_or_drop(expect: &mut dyn TableLike, key: &str, found: Option<&Json>) -> Result<(), String> {
    match found {
        Some(found) => put(expect, key, value_of(found)?),
        None => {
            expect.remove(key);
        }
    }
    Ok(())
}

/// Sets a key. What stands around the value, such as a comment behind it, stays.
fn put(table: &mut dyn TableLike, key: &str, mut value: Value) {
    if let Some(item) = table.get_mut(key) {
        if let Some(old) = item.as_value() {
            *value.decor_mut() = old.decor().clone();
        }
        *item = Item::Value(value);
        return;
    }
    table.insert(key, Item::Value(value));
}

/// The key as the file writes it.
fn written_key(fields: &dyn TableLike, reference: &FieldReference) -> Option<String> {
    let found = fields.iter().find(|(key, _)| FieldReference::parse(key).as_ref() == Ok(reference));
    found.map(|(key, _)| key.to_owned())
}

/// A reference as people write it: `a` for `[a]`.
fn plain_name(reference: &FieldReference) -> String {
    match reference.fragments() {
        [name] if FieldReference::parse(name).as_ref() == Ok(reference) => name.clone(),
        _ => reference.to_string(),
    }
}

fn value_of(json: &Json) -> Result<Value, String> {
    Ok(match json {
        Json::Null => return Err("a null came, which TOML has no form for".to_owned()),
        Json::Bool(value) => (*value).into(),
        Json::String(text) => text.as_str().into(),
        Json::Number(number) => match (number.as_i64(), number.as_f64()) {
            (Some(whole), _) => whole.into(),
            (None, Some(float)) if float.is_finite() => float.into(),
            _ => return Err(format!("the number {number} came, which TOML has no form for")),
        },
        Json::Array(list) => {
            let mut array = Array::new();
            for element in list {
                array.push(value_of(element)?);
            }
            array.into()
        }
        Json::Object(map) => {
            let mut table = InlineTable::new();
            for (key, value) in map {
                table.insert(key, value_of(value)?);
            }
            table.into()
        }
    })
}
