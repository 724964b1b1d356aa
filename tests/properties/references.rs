//! Field references: reading, writing and deleting on rows, against a model that keeps an event as a tree of JSON.

use std::sync::Arc;

use proptest::collection::vec;
use proptest::prelude::Strategy;
use proptest::prop_oneof;
use serde_json::{Map, Value as Json};
use weir::event::{Batch, FieldNames, FieldReference, Value, fields};

use crate::campaign::Tried;
use crate::through::documents;
use crate::values::{Event, event, reference, value};

/// What is done with a reference.
#[derive(Clone, Debug)]
enum Deed {
    Set(String, Json),
    Remove(String),
    Tag(String),
}

fn deed() -> impl Strategy<Value = Deed> {
    prop_oneof![
        5 => (reference(), value()).prop_map(|(name, value)| Deed::Set(name, value)),
        3 => reference().prop_map(Deed::Remove),
        1 => reference().prop_map(Deed::Tag),
    ]
}

fn check(rows: &[(Event, Vec<Deed>)]) -> Result<Tried, String> {
    let mut batch = Batch::new(Arc::new(FieldNames::new()), rows.len());
    let mut trees = Vec::with_capacity(rows.len());
    for (row, (event, _)) in rows.iter().enumerate() {
        event.put(&mut batch, row);
    }
    for document in documents(&batch)? {
        trees.push(document.as_object().cloned().unwrap_or_default());
    }
    let mut done = 0;
    for (row, (_, deeds)) in rows.iter().enumerate() {
        for deed in deeds {
            if play(deed, &mut batch, row, &mut trees[row])
                .map_err(|message| format!("{deed:?}: {message}"))?
            {
                done += 1;
            }
        }
    }
    for (row, document) in documents(&batch)?.into_iter().enumerate() {
        if by_value(Json::Object(trees[row].clone())) != by_value(document.clone()) {
            return Err(format!(
                "row {row} should be {}, but is {document}",
                Json::Object(trees[row].clone())
            ));
        }
    }
    Ok(Tried::pairs(rows.len(), done))
}

/// Does it to the row and to the tree; whether anything was done.
fn play(deed: &Deed, batch: &mut Batch, row: usize, tree: &mut Map<String, Json>) -> Result<bool, String> {
    let (Deed::Set(name, _) | Deed::Remove(name) | Deed::Tag(name)) = deed;
    if let Deed::Tag(tag) = deed {
        fields::add_tag(batch, row, tag);
        let tags = fields::whole(batch, row, &FieldReference::from_fragments(["tags"]));
        let list =
            tags.as_ref().and_then(Json::as_array).is_some_and(|tags| tags.iter().any(|one| one == tag));
        if !list && tags != Some(Json::from(tag.as_str())) {
            return Err(format!("the tags are {tags:?}"));
        }
        tree.extend(tags.map(|tags| ("tags".to_owned(), tags)));
        return Ok(true);
    }
    let Ok(reference) = FieldReference::parse(name) else { return Ok(false) };
    let expected = find(tree, reference.fragments()).cloned();
    let found = fields::whole(batch, row, &reference);
    let (expected, found) = (expected.map(by_value), found.map(by_value));
    let is_metadata = reference.fragments() == ["@metadata"];
    if found != expected && !(is_metadata && expected.is_none()) {
        return Err(format!("{reference} is {found:?}, expected {expected:?}"));
    }
    if fields::exists(batch, row, &reference) != found.is_some() {
        return Err(format!("{reference} is {found:?}, but whether it is there is another matter"));
    }
    match deed {
        Deed::Set(_, value) => {
            // What is refused by a guard or by what is on the way is the cases' business; here it must change nothing.
            if fields::set_json(batch, row, &reference, value).is_err() {
                return Ok(false);
            }
            put(tree, reference.fragments(), value)?;
            if is_metadata && value == &Json::Object(Map::new()) {
                tree.remove("@metadata");
            }
        }
        Deed::Remove(_) | Deed::Tag(_) => {
            let removed = fields::remove(batch, row, &reference);
            let mut removed_too = take(tree, reference.fragments());
            if is_metadata {
                // It is always there, and an empty one is written nowhere.
                removed_too = removed;
            }
            if removed != removed_too {
                return Err(format!("something was removed: {removed}, expected {removed_too}"));
            }
        }
    }
    if tree.get("@metadata").and_then(Json::as_object).is_some_and(Map::is_empty) {
        tree.remove("@metadata");
    }
    Ok(true)
}

/// A value as a cell keeps it: a number that no cell holds exactly may be written otherwise.
fn as_stored(value: &Json) -> Json {
    let mut batch = Batch::new(Arc::default(), 1);
    let name = FieldReference::from_fragments(["value"]);
    fields::set_json(&mut batch, 0, &name, value).expect("the name is free");
    fields::whole(&batch, 0, &name).unwrap_or(Json::Null)
}

/// Numbers in one spelling: a column keeps a double, a list the digits that were written.
fn by_value(json: Json) -> Json {
    match json {
        Json::Number(number) => match Value::from_json_number(number.as_str()) {
            Value::Float(float) => Json::from(float),
            _ => Json::Number(number),
        },
        Json::Array(list) => list.into_iter().map(by_value).collect(),
        Json::Object(map) => map.into_iter().map(|(name, member)| (name, by_value(member))).collect(),
        other => other,
    }
}

/// The place of a list's element: from the end, if it is negative.
fn index(fragment: &str, length: usize) -> Option<usize> {
    let number = i64::from(fragment.parse::<i32>().ok()?);
    let length = i64::try_from(length).ok()?;
    usize::try_from(if number < 0 { number + length } else { number }).ok()
}

fn find<'t>(tree: &'t Map<String, Json>, way: &[String]) -> Option<&'t Json> {
    let (first, rest) = way.split_first()?;
    let mut value = tree.get(first)?;
    for fragment in rest {
        value = match value {
            Json::Object(map) => map.get(fragment)?,
            Json::Array(list) => list.get(index(fragment, list.len())?)?,
            _ => return None,
        };
    }
    Some(value)
}

fn put(tree: &mut Map<String, Json>, way: &[String], value: &Json) -> Result<(), String> {
    let (first, rest) = way.split_first().ok_or("a reference is never empty")?;
    if rest.is_empty() {
        tree.insert(first.clone(), as_stored(value));
        return Ok(());
    }
    let mut place = tree.entry(first).or_insert_with(|| Json::Object(Map::new()));
    let mut in_list = false;
    for (number, fragment) in rest.iter().enumerate() {
        in_list |= place.is_array();
        let last = number + 1 == rest.len();
        place = match place {
            Json::Object(map) => map.entry(fragment).or_insert_with(|| Json::Object(Map::new())),
            Json::Array(list) => {
                // What is no index changes nothing.
                let Some(index) = index(fragment, list.len()) else { return Ok(()) };
                while list.len() <= index {
                    list.push(Json::Null);
                }
                let element = &mut list[index];
                if element.is_null() && !last {
                    *element = Json::Object(Map::new());
                }
                element
            }
            other => return Err(format!("written below {other}")),
        };
    }
    // A list keeps numbers as they are written.
    *place = if in_list { value.clone() } else { as_stored(value) };
    Ok(())
}

fn take(tree: &mut Map<String, Json>, way: &[String]) -> bool {
    let Some((last, above)) = way.split_last() else { return false };
    if above.is_empty() {
        return tree.shift_remove(last).is_some();
    }
    let (first, rest) = above.split_first().expect("it is not empty");
    let Some(mut place) = tree.get_mut(first) else { return false };
    for fragment in rest {
        let next = match place {
            Json::Object(map) => map.get_mut(fragment),
            Json::Array(list) => index(fragment, list.len()).and_then(|index| list.get_mut(index)),
            _ => None,
        };
        let Some(next) = next else { return false };
        place = next;
    }
    match place {
        Json::Object(map) => map.shift_remove(last).is_some(),
        Json::Array(list) => match index(last, list.len()).filter(|index| *index < list.len()) {
            Some(index) => {
                list.remove(index);
                true
            }
            None => false,
        },
        _ => false,
    }
}

#[test]
fn field_references() {
    let strategy = vec((event(), vec(deed(), 1..6)), 1..=60);
    crate::campaign::run("field references", 8, &strategy, |rows| check(rows));
}
