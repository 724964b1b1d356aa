//! What a field reference means on a row: Logstash's rules of reading, writing and deleting (its `Accessors` and
//! `Event`) over columns, in which a map is its leaves and a list is a JSON cell. This is the general way, a row at a
//! time; whole columns are moved by `filter` and `decorate` where no rule is touched.

use serde_json::Value as Json;
use weir_filter::{FieldReference, Value};

use super::batch::{Batch, Cell, Kind};
use super::lists::{element_mut, index_of, list_above, set_in_list, write_list};
use super::names::FieldId;

/// What a reference leads to.
#[derive(Clone, Debug, PartialEq)]
pub enum Found<'a> {
    /// A value in a cell, or `Value::Object` for a map.
    Value(Value<'a>),
    /// An element of a list, or something inside one.
    Element(Json),
}

/// What the reference leads to on this row, or `None` if there is nothing. `[@metadata]` is always there.
pub fn get<'a>(batch: &'a Batch, row: usize, reference: &FieldReference) -> Option<Found<'a>> {
    let field = batch.names().get(reference);
    if let Some(field) = field
        && let Some(value) = batch.value(row, field)
    {
        return Some(Found::Value(if is_empty_map(value) { Value::Object } else { value }));
    }
    let below_names = field.is_some_and(|field| has_any(batch, row, batch.names().below(field)));
    if below_names
        || is_metadata_root(reference)
        || (field.is_none() && has_leaf_below(batch, row, reference))
    {
        return Some(Found::Value(Value::Object));
    }
    let (list, rest) = list_above(batch, row, reference)?;
    let mut list = serde_json::from_str::<Json>(list).ok()?;
    let element = element_mut(&mut list, rest)?;
    Some(Found::Element(element.take()))
}

/// Whether the reference leads to anything, an explicit null included.
pub fn exists(batch: &Batch, row: usize, reference: &FieldReference) -> bool {
    get(batch, row, reference).is_some()
}

/// Writes a value, as Logstash's `event.set` does: missing parents become maps, a list on the way is written into.
///
/// # Errors
/// When the reference leads below a scalar or null, to a bad index of a list, or against one of the guards of
/// `@timestamp` (timestamps only), `@metadata` (maps only) and `tags` (text or a list of texts). Nothing is changed then.
pub fn set(
    batch: &mut Batch,
    row: usize,
    reference: &FieldReference,
    value: Value<'_>,
) -> Result<(), String> {
    match value {
        Value::Json(text) => match serde_json::from_str::<Json>(text) {
            Ok(json @ (Json::Object(_) | Json::Array(_))) => set_json(batch, row, reference, &json),
            Ok(_) => {
                guard(reference, Written::Other)?;
                let cell = batch.json_cell(text);
                put(batch, row, reference, cell)
            }
            Err(error) => Err(format!("the value for {reference} is not JSON: {error}")),
        },
        _ => {
            guard(reference, written_kind(value))?;
            if list_above(batch, row, reference).is_some() {
                return set_in_list(batch, row, reference, json_of(value));
            }
            let cell = batch.cell_for(value);
            put(batch, row, reference, cell)
        }
    }
}

/// Writes a JSON value: a map becomes its leaves, a list a JSON cell, all else the kind that holds it.
///
/// # Errors
/// As [`set`].
pub fn set_json(
    batch: &mut Batch,
    row: usize,
    reference: &FieldReference,
    json: &Json,
) -> Result<(), String> {
    guard(reference, written_json(json))?;
    if list_above(batch, row, reference).is_some() {
        return set_in_list(batch, row, reference, json.clone());
    }
    match json {
        Json::Object(members) if !members.is_empty() => {
            make_way(batch, row, reference)?;
            for (key, member) in members {
                put_tree(batch, row, &reference.child(key), member);
            }
            Ok(())
        }
        Json::Object(_) if is_metadata_root(reference) => make_way(batch, row, reference),
        _ => {
            let cell = json_leaf(batch, json);
            put(batch, row, reference, cell)
        }
    }
}

/// Removes what the reference leads to; an emptied map stays. Answers whether there was something.
pub fn remove(batch: &mut Batch, row: usize, reference: &FieldReference) -> bool {
    let field = batch.names().get(reference);
    let mut found = false;
    if let Some(field) = field {
        found |= clear(batch, row, field);
        for below in batch.names().below(field).to_vec() {
            found |= clear(batch, row, below);
        }
    } else {
        for id in leaves_below(batch, row, reference) {
            found |= clear(batch, row, id);
        }
    }
    if found {
        keep_parent(batch, row, reference);
        return true;
    }
    let Some((list, rest)) = list_above(batch, row, reference) else { return false };
    let rest = rest.to_vec();
    let Ok(mut list) = serde_json::from_str::<Json>(list) else { return false };
    let Some((last, way)) = rest.split_last() else { return false };
    let Some(parent) = element_mut(&mut list, way) else { return false };
    let removed = match parent {
        Json::Array(elements) => match index_of(last, elements.len()) {
            Some(index) => {
                elements.remove(index);
                true
            }
            None => false,
        },
        Json::Object(members) => members.shift_remove(last).is_some(),
        _ => false,
    };
    if removed {
        write_list(batch, row, reference, rest.len(), &list);
    }
    removed
}

/// JSON text of all that the reference leads to, maps with what is below them; `None` if there is nothing.
pub fn whole_json(batch: &Batch, row: usize, reference: &FieldReference) -> Option<String> {
    whole(batch, row, reference).map(|json| json.to_string())
}

/// The same as a value. Meant for rare rows: conditions on maps, `whole` reads, dead letters.
pub fn whole(batch: &Batch, row: usize, reference: &FieldReference) -> Option<Json> {
    match get(batch, row, reference)? {
        Found::Element(json) => Some(json),
        Found::Value(Value::Object) => {
            let mut map = serde_json::Map::new();
            let depth = reference.fragments().len();
            for id in leaves_below(batch, row, reference) {
                let Some(value) = batch.value(row, id) else { continue };
                let way = batch.names().reference(id).fragments()[depth..].to_vec();
                insert_leaf(&mut map, &way, json_of(value));
            }
            Some(Json::Object(map))
        }
        Found::Value(value) => Some(json_of(value)),
    }
}

/// Adds a tag as Logstash's `event.tag` does: once, to a list that is made where there is none.
pub fn add_tag(batch: &mut Batch, row: usize, tag: &str) {
    let tags = FieldReference::from_fragments(["tags"]);
    let field = batch.intern(&tags);
    let list = match batch.value(row, field) {
        None | Some(Value::Null) => Json::from(vec![tag]),
        Some(Value::Text(text)) if text == tag => return,
        Some(Value::Text(text)) => Json::from(vec![text, tag]),
        Some(Value::Json(text)) => {
            let mut elements = match serde_json::from_str::<Json>(text) {
                Ok(Json::Array(elements)) => elements,
                _ => Vec::new(),
            };
            if elements.iter().any(|element| element == tag) {
                return;
            }
            elements.push(Json::from(tag));
            Json::Array(elements)
        }
        Some(other) => Json::Array(vec![json_of(other), Json::from(tag)]),
    };
    let cell = batch.json_cell(&list.to_string());
    batch.column_mut(field)[row] = cell;
}

/// Sets the tags of an event that comes in. Logstash's rule: what is neither a text nor a list of texts is kept in `_tags`.
pub fn set_tags(batch: &mut Batch, row: usize, tags: Json) {
    let reference = FieldReference::from_fragments(["tags"]);
    if set_json(batch, row, &reference, &tags).is_err() {
        let kept = FieldReference::from_fragments(["_tags"]);
        // Only guarded names can be refused, and this is none.
        let _ = set_json(batch, row, &kept, &Json::Array(vec![tags]));
        add_tag(batch, row, "_tagsparsefailure");
    }
}

/// A value as JSON; timestamps as their text.
pub fn json_of(value: Value<'_>) -> Json {
    match value {
        Value::Null => Json::Null,
        Value::Boolean(value) => Json::Bool(value),
        Value::Integer(value) => Json::from(value),
        Value::Float(value) => Json::from(value),
        Value::Text(text) => Json::from(text),
        Value::Timestamp(nanoseconds) => Json::from(weir_filter::timestamp::to_text(nanoseconds)),
        Value::Json(text) => serde_json::from_str(text).unwrap_or(Json::Null),
        Value::Object => Json::Object(serde_json::Map::new()),
    }
}

enum Written {
    Timestamp,
    Text,
    TextList,
    Object,
    Other,
}

fn written_kind(value: Value<'_>) -> Written {
    match value {
        Value::Timestamp(_) => Written::Timestamp,
        Value::Text(_) => Written::Text,
        Value::Object => Written::Object,
        _ => Written::Other,
    }
}

fn written_json(json: &Json) -> Written {
    match json {
        Json::String(_) => Written::Text,
        Json::Object(_) => Written::Object,
        Json::Array(elements) if elements.iter().all(Json::is_string) => Written::TextList,
        _ => Written::Other,
    }
}

/// The guards of parity 1 §2.4; the last one also refuses `[@metadata][tags][x]`, as Logstash does.
fn guard(reference: &FieldReference, written: Written) -> Result<(), String> {
    let fragments = reference.fragments();
    match fragments {
        [only] if only == "@timestamp" && !matches!(written, Written::Timestamp) => {
            Err("@timestamp takes only a timestamp; use the date filter to make one of a text".to_owned())
        }
        [only] if only == "@metadata" && !matches!(written, Written::Object) => {
            Err("[@metadata] takes only a map".to_owned())
        }
        [only] if only == "tags" && !matches!(written, Written::Text | Written::TextList) => {
            Err("[tags] takes only a text or a list of texts".to_owned())
        }
        [first, _, ..] if first == "tags" => {
            Err(format!("{reference} lies in [tags], which is a list of texts"))
        }
        [first, second, _, ..] if first == "@metadata" && second == "tags" => {
            Err(format!("{reference} lies in [@metadata][tags], which is kept for a list of texts"))
        }
        _ => Ok(()),
    }
}

fn is_metadata_root(reference: &FieldReference) -> bool {
    reference.is_metadata() && reference.fragments().len() == 1
}

fn is_empty_map(value: Value<'_>) -> bool {
    matches!(value, Value::Json(text) if text.starts_with('{'))
}

fn has_any(batch: &Batch, row: usize, fields: &[FieldId]) -> bool {
    fields.iter().any(|field| !batch.cell(row, *field).is_absent())
}

fn has_leaf_below(batch: &Batch, row: usize, reference: &FieldReference) -> bool {
    let names = batch.names();
    names.ids().any(|id| !batch.cell(row, id).is_absent() && names.reference(id).is_below(reference))
}

fn leaves_below(batch: &Batch, row: usize, reference: &FieldReference) -> Vec<FieldId> {
    let names = batch.names();
    let below = |id: &FieldId| !batch.cell(row, *id).is_absent() && names.reference(*id).is_below(reference);
    names.ids().filter(below).collect()
}

/// Clears what is below the reference and turns empty maps above it into maps that have something.
fn make_way(batch: &mut Batch, row: usize, reference: &FieldReference) -> Result<(), String> {
    let field = batch.intern(reference);
    let above = batch.names().above(field).to_vec();
    for id in &above {
        match batch.value(row, *id) {
            None => {}
            Some(Value::Json(text)) if text.starts_with('{') => {}
            Some(_) => {
                let above = batch.names().reference(*id);
                return Err(format!("{reference} cannot be set: {above} is no map"));
            }
        }
    }
    for id in above {
        clear(batch, row, id);
    }
    for id in batch.names().below(field).to_vec() {
        clear(batch, row, id);
    }
    clear(batch, row, field);
    Ok(())
}

fn put(batch: &mut Batch, row: usize, reference: &FieldReference, cell: Cell) -> Result<(), String> {
    make_way(batch, row, reference)?;
    let field = batch.intern(reference);
    batch.column_mut(field)[row] = cell;
    Ok(())
}

fn put_tree(batch: &mut Batch, row: usize, reference: &FieldReference, json: &Json) {
    match json {
        Json::Object(members) if !members.is_empty() => {
            for (key, member) in members {
                put_tree(batch, row, &reference.child(key), member);
            }
        }
        _ => {
            let cell = json_leaf(batch, json);
            let field = batch.intern(reference);
            batch.column_mut(field)[row] = cell;
        }
    }
}

/// A cell for anything but a map with members. JSON floats stand for doubles; whole numbers over 64 bits stay text.
fn json_leaf(batch: &mut Batch, json: &Json) -> Cell {
    match json {
        Json::Null => Cell::NULL,
        Json::Bool(value) => Cell::boolean(*value),
        Json::String(text) => batch.text_cell(text),
        Json::Number(number) => {
            if let Some(value) = number.as_i64() {
                return Cell::integer(value);
            }
            let text = number.to_string();
            let whole = text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'-');
            match text.parse::<f64>() {
                Ok(value) if !whole && value.is_finite() => Cell::float(value),
                _ => batch.json_cell(&text),
            }
        }
        Json::Array(_) | Json::Object(_) => batch.json_cell(&json.to_string()),
    }
}

fn clear(batch: &mut Batch, row: usize, field: FieldId) -> bool {
    if batch.cell(row, field).kind() == Kind::Absent {
        return false;
    }
    batch.column_mut(field)[row] = Cell::ABSENT;
    true
}

/// Logstash keeps a map that has lost its last member.
fn keep_parent(batch: &mut Batch, row: usize, reference: &FieldReference) {
    let fragments = reference.fragments();
    if fragments.len() < 2 {
        return;
    }
    let parent = FieldReference::from_fragments(fragments[..fragments.len() - 1].iter().cloned());
    if is_metadata_root(&parent) || has_leaf_below(batch, row, &parent) {
        return;
    }
    let field = batch.intern(&parent);
    let cell = batch.json_cell("{}");
    batch.column_mut(field)[row] = cell;
}

fn insert_leaf(map: &mut serde_json::Map<String, Json>, way: &[String], value: Json) {
    match way {
        [] => {}
        [key] => {
            map.insert(key.clone(), value);
        }
        [key, rest @ ..] => {
            let member = map.entry(key.clone()).or_insert_with(|| Json::Object(serde_json::Map::new()));
            if let Json::Object(inner) = member {
                insert_leaf(inner, rest, value);
            }
        }
    }
}

#[cfg(test)]
#[path = "fields_tests.rs"]
mod tests;
