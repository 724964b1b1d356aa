//! Lists on the way of a field reference: JSON cells whose elements are read and written by index, by Logstash's rules
//! (parity 1 §2.3, §2.4). What a reference means on columns is in `fields`.

use serde_json::Value as Json;
use weir_filter::{FieldReference, Value};

use super::batch::Batch;

/// The list on the way to the reference, and the fragments that lead on from it.
pub(super) fn list_above<'a, 'r>(
    batch: &'a Batch,
    row: usize,
    reference: &'r FieldReference,
) -> Option<(&'a str, &'r [String])> {
    let fragments = reference.fragments();
    if fragments.len() < 2 {
        return None;
    }
    for (depth, above) in reference.ancestors().enumerate() {
        let Some(field) = batch.names().get(&above) else { continue };
        match batch.value(row, field) {
            Some(Value::Json(text)) if text.starts_with('[') => return Some((text, &fragments[depth + 1..])),
            Some(_) => return None,
            None => {}
        }
    }
    None
}

/// An index as Logstash reads it: a Java `int`, negative from the end.
pub(super) fn index_of(fragment: &str, length: usize) -> Option<usize> {
    let index: i32 = fragment.parse().ok()?;
    let index = i64::from(index);
    let index = if index < 0 { index + length as i64 } else { index };
    usize::try_from(index).ok().filter(|index| *index < length)
}

/// What the fragments lead to inside a list or map.
pub(super) fn element_mut<'j>(json: &'j mut Json, way: &[String]) -> Option<&'j mut Json> {
    let mut at = json;
    for fragment in way {
        at = match at {
            Json::Array(elements) => {
                let index = index_of(fragment, elements.len())?;
                elements.get_mut(index)?
            }
            Json::Object(members) => members.get_mut(fragment)?,
            _ => return None,
        };
    }
    Some(at)
}

/// Writes a value at a reference that leads into a list.
///
/// # Errors
/// When it leads below a scalar or to an index before the start.
pub(super) fn set_in_list(
    batch: &mut Batch,
    row: usize,
    reference: &FieldReference,
    value: Json,
) -> Result<(), String> {
    let Some((list, rest)) = list_above(batch, row, reference) else {
        return Err(format!("{reference} does not lie in a list"));
    };
    let mut list: Json =
        serde_json::from_str(list).map_err(|error| format!("the list above {reference}: {error}"))?;
    let depth = rest.len();
    if write_element(&mut list, rest, value).map_err(|reason| format!("{reference}: {reason}"))? {
        write_list(batch, row, reference, depth, &list);
    }
    Ok(())
}

/// The longest list that a write may make by padding, as in the SDK: each event of a batch may have its list.
const LONGEST_LIST: usize = 1 << 12;

/// Parity 1 §2.4 for lists: past the end pads with nulls, a bad negative index is an error, no number does nothing.
fn write_element(at: &mut Json, way: &[String], value: Json) -> Result<bool, String> {
    let Some((fragment, rest)) = way.split_first() else {
        *at = value;
        return Ok(true);
    };
    match at {
        Json::Object(members) => match members.get_mut(fragment) {
            Some(member) => write_element(member, rest, value),
            None => {
                members.insert(fragment.clone(), nested(rest, value));
                Ok(true)
            }
        },
        Json::Array(elements) => {
            let Ok(index) = fragment.parse::<i32>() else { return Ok(false) };
            if let Some(element) = index_of(fragment, elements.len()).and_then(|at| elements.get_mut(at)) {
                return write_element(element, rest, value);
            }
            let Ok(index) = usize::try_from(index) else {
                return Err(format!("index {index} lies before the start of the list"));
            };
            if index >= LONGEST_LIST {
                return Err(format!("index {index} is past the longest list that is made ({LONGEST_LIST})"));
            }
            elements.resize(index, Json::Null);
            elements.push(nested(rest, value));
            Ok(true)
        }
        _ => Err("leads below a value that is neither a map nor a list".to_owned()),
    }
}

fn nested(way: &[String], value: Json) -> Json {
    let mut value = value;
    for fragment in way.iter().rev() {
        let mut map = serde_json::Map::new();
        map.insert(fragment.clone(), value);
        value = Json::Object(map);
    }
    value
}

/// Puts a changed list back: the reference without its last `depth` fragments leads to it.
pub(super) fn write_list(
    batch: &mut Batch,
    row: usize,
    reference: &FieldReference,
    depth: usize,
    list: &Json,
) {
    let fragments = reference.fragments();
    let owner = FieldReference::from_fragments(fragments[..fragments.len() - depth].iter().cloned());
    let field = batch.intern(&owner);
    let cell = batch.json_cell(&list.to_string());
    batch.column_mut(field)[row] = cell;
}
