//! The common options, which every filter has: `add_field`, `remove_field`, `add_tag` and `remove_tag`, in this order, on the
//! rows that matched (parity 1 §5). Whole columns are written where neither names nor values depend on the row.

use serde_json::Value as Json;
use weir_filter::{FieldReference, Template, Value, ruby_text};

use super::batch::{Batch, Cell};
use super::fields;
use super::row_set::RowSet;
use super::sprintf::render;

/// Common options, ready to be applied.
#[derive(Clone, Debug, Default)]
pub struct Decorations {
    add_field: Vec<(Template, Vec<Template>)>,
    remove_field: Vec<Template>,
    add_tag: Vec<Template>,
    remove_tag: Vec<Template>,
}

/// What is wrong with an option: a JSON pointer to it (`/add_field/name`) and a message.
pub type OptionProblem = (String, String);

impl Decorations {
    /// Prepares the options. Also answers what will fail on every event: names that are illegal field references, date
    /// patterns that are none. Logstash starts all the same and fails event by event, so these are for a warning.
    pub fn new(
        add_field: &[(String, Json)],
        remove_field: &[String],
        add_tag: &[String],
        remove_tag: &[String],
    ) -> (Self, Vec<OptionProblem>) {
        let mut problems = Vec::new();
        let mut decoration = Decorations::default();
        for (name, value) in add_field {
            let pointer = format!("/add_field/{}", name.replace('~', "~0").replace('/', "~1"));
            let name = reference_text(name, &pointer, &mut problems);
            let values = match value {
                Json::Array(values) => values.as_slice(),
                value => std::slice::from_ref(value),
            };
            let values = values.iter().map(|value| text(&plain(value), &pointer, &mut problems)).collect();
            decoration.add_field.push((name, values));
        }
        for (index, name) in remove_field.iter().enumerate() {
            let pointer = format!("/remove_field/{index}");
            decoration.remove_field.push(reference_text(name, &pointer, &mut problems));
        }
        for (index, tag) in add_tag.iter().enumerate() {
            decoration.add_tag.push(text(tag, &format!("/add_tag/{index}"), &mut problems));
        }
        for (index, tag) in remove_tag.iter().enumerate() {
            decoration.remove_tag.push(text(tag, &format!("/remove_tag/{index}"), &mut problems));
        }
        (decoration, problems)
    }

    /// Whether there is nothing to do.
    pub fn is_empty(&self) -> bool {
        self.add_field.is_empty()
            && self.remove_field.is_empty()
            && self.add_tag.is_empty()
            && self.remove_tag.is_empty()
    }

    /// The field names that do not depend on an event, to be interned when a pipeline is built.
    pub fn references(&self) -> Vec<FieldReference> {
        let mut names: Vec<&str> = Vec::new();
        names.extend(self.add_field.iter().filter_map(|(name, _)| name.constant()));
        names.extend(self.remove_field.iter().filter_map(Template::constant));
        if !self.add_tag.is_empty() || !self.remove_tag.is_empty() {
            names.push("tags");
        }
        names.into_iter().filter_map(|name| FieldReference::parse(name).ok()).collect()
    }

    /// Applies the options to some rows. `now` is in nanoseconds since 1970. Answers the rows on which one of them failed,
    /// each with the reason; such a row keeps what was done before and gets no more.
    pub fn apply(&self, batch: &mut Batch, rows: &RowSet, now: i64) -> Vec<(usize, String)> {
        let mut failed = Vec::new();
        if self.is_empty() || rows.is_empty() {
            return failed;
        }
        let mut open = rows.clone();
        for (name, values) in &self.add_field {
            if !add_column(batch, &open, name, values) {
                each(batch, &mut open, &mut failed, |batch, row| add_field(batch, row, now, name, values));
            }
        }
        for name in &self.remove_field {
            if !remove_column(batch, &open, name) {
                each(batch, &mut open, &mut failed, |batch, row| {
                    let reference = FieldReference::parse(&rendered(name, batch, row, now)?)?;
                    fields::remove(batch, row, &reference);
                    Ok(())
                });
            }
        }
        if !self.add_tag.is_empty() {
            each(batch, &mut open, &mut failed, |batch, row| {
                let mut tags = tags_of(batch, row).unwrap_or_default();
                for tag in &self.add_tag {
                    tags.push(Json::from(rendered(tag, batch, row, now)?));
                }
                set_tags(batch, row, tags);
                Ok(())
            });
        }
        if !self.remove_tag.is_empty() {
            each(batch, &mut open, &mut failed, |batch, row| {
                let Some(mut tags) = tags_of(batch, row) else { return Ok(()) };
                for tag in &self.remove_tag {
                    let tag = rendered(tag, batch, row, now)?;
                    tags.retain(|other| *other != tag);
                }
                set_tags(batch, row, tags);
                Ok(())
            });
        }
        failed
    }
}

/// What a template comes to on a row.
fn rendered(template: &Template, batch: &Batch, row: usize, now: i64) -> Result<String, String> {
    let mut text = String::new();
    render(template, batch, row, now, &mut text)?;
    Ok(text)
}

fn text(source: &str, pointer: &str, problems: &mut Vec<OptionProblem>) -> Template {
    let template = Template::parse(source);
    if let Some(problem) = template.problem() {
        problems.push((pointer.to_owned(), problem.to_owned()));
    }
    template
}

fn reference_text(source: &str, pointer: &str, problems: &mut Vec<OptionProblem>) -> Template {
    let text = text(source, pointer, problems);
    if let Some(name) = text.constant()
        && let Err(problem) = FieldReference::parse(name)
    {
        problems.push((pointer.to_owned(), problem));
    }
    text
}

/// Values that are no text become text first, as Ruby prints them.
fn plain(value: &Json) -> String {
    let mut text = String::new();
    match ruby_text::scalar_of_json(value) {
        Some(scalar) => ruby_text::write(scalar, &mut text),
        None => text = value.to_string(),
    }
    text
}

fn each(
    batch: &mut Batch,
    open: &mut RowSet,
    failed: &mut Vec<(usize, String)>,
    mut work: impl FnMut(&mut Batch, usize) -> Result<(), String>,
) {
    for row in open.clone().iter() {
        if let Err(reason) = work(batch, row) {
            failed.push((row, reason));
            open.remove(row);
        }
    }
}

/// The common case, a constant in a field that no row has: one copy of the text for all rows. False: not this case.
fn add_column(batch: &mut Batch, rows: &RowSet, name: &Template, values: &[Template]) -> bool {
    let (Some(name), [value]) = (name.constant(), values) else { return false };
    let Some(value) = value.constant() else { return false };
    let Ok(reference) = FieldReference::parse(name) else { return false };
    if matches!(reference.fragments()[0].as_str(), "@timestamp" | "@metadata" | "tags") {
        return false;
    }
    let field = batch.intern(&reference);
    let names = batch.names();
    let related = names.above(field).iter().chain(names.below(field)).chain([&field]);
    if related.into_iter().any(|field| has_values(batch, *field)) {
        return false;
    }
    let cell = batch.text_cell(value);
    let column = batch.column_mut(field);
    if rows.is_all() {
        column.fill(cell);
    } else {
        for row in rows.iter() {
            column[row] = cell;
        }
    }
    true
}

/// A top-level field without anything below it: its cells are cleared. False: not this case.
fn remove_column(batch: &mut Batch, rows: &RowSet, name: &Template) -> bool {
    let Some(name) = name.constant() else { return false };
    let Ok(reference) = FieldReference::parse(name) else { return false };
    if reference.fragments().len() != 1 || reference.is_metadata() {
        return false;
    }
    let Some(field) = batch.names().get(&reference) else { return !has_below(batch, &reference) };
    if batch.names().below(field).iter().any(|field| has_values(batch, *field)) {
        return false;
    }
    if rows.is_all() {
        batch.clear_column(field);
    } else if batch.column(field).is_some() {
        let column = batch.column_mut(field);
        for row in rows.iter() {
            column[row] = Cell::ABSENT;
        }
    }
    true
}

fn has_values(batch: &Batch, field: super::FieldId) -> bool {
    batch.column(field).is_some_and(|cells| cells.iter().any(|cell| !cell.is_absent()))
}

fn has_below(batch: &Batch, reference: &FieldReference) -> bool {
    batch.names().ids().any(|id| batch.names().reference(id).is_below(reference))
}

fn add_field(
    batch: &mut Batch,
    row: usize,
    now: i64,
    name: &Template,
    values: &[Template],
) -> Result<(), String> {
    let name = rendered(name, batch, row, now)?;
    if values.is_empty() {
        // Nothing looks at the name then, whatever it is.
        return Ok(());
    }
    let reference = FieldReference::parse(&name)?;
    for value in values {
        let value = rendered(value, batch, row, now)?;
        match fields::whole(batch, row, &reference) {
            None => fields::set(batch, row, &reference, Value::Text(&value))?,
            Some(old) => {
                let mut list = match old {
                    Json::Null => Vec::new(),
                    Json::Array(list) => list,
                    // Ruby's Array(hash): a list of pairs.
                    Json::Object(map) => map
                        .into_iter()
                        .map(|(key, value)| Json::Array(vec![Json::from(key), value]))
                        .collect(),
                    scalar => vec![scalar],
                };
                list.push(Json::from(value));
                fields::set_json(batch, row, &reference, &Json::Array(list))?;
            }
        }
    }
    Ok(())
}

fn tags_of(batch: &Batch, row: usize) -> Option<Vec<Json>> {
    match fields::whole(batch, row, &FieldReference::from_fragments(["tags"]))? {
        Json::Null => None,
        Json::Array(tags) => Some(tags),
        other => Some(vec![other]),
    }
}

fn set_tags(batch: &mut Batch, row: usize, tags: Vec<Json>) {
    let field = batch.intern(&FieldReference::from_fragments(["tags"]));
    let cell = batch.json_cell(&Json::Array(tags).to_string());
    batch.column_mut(field)[row] = cell;
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use serde_json::json;

    use super::*;

    fn check(options: Json, event: Json, expected: Json) {
        let texts = |key: &str| -> Vec<String> {
            let list = options[key].as_array().cloned().unwrap_or_default();
            list.iter().filter_map(|text| text.as_str().map(str::to_owned)).collect()
        };
        let add_field: Vec<(String, Json)> = options["add_field"]
            .as_object()
            .map(|map| map.iter().map(|(key, value)| (key.clone(), value.clone())).collect())
            .unwrap_or_default();
        let (decoration, problems) =
            Decorations::new(&add_field, &texts("remove_field"), &texts("add_tag"), &texts("remove_tag"));
        assert_eq!(problems, vec![]);
        // Two rows, of which one matched: the whole-column ways must leave the other alone.
        for matched in [RowSet::all(2), one_of_two()] {
            let mut batch = Batch::new(Arc::default(), 2);
            for row in 0..2 {
                for (key, value) in event.as_object().expect("an event is a map") {
                    fields::set_json(&mut batch, row, &FieldReference::from_fragments([key]), value)
                        .expect("the event is one");
                }
            }
            let failed = decoration.apply(&mut batch, &matched, 0);
            assert_eq!(failed, vec![], "{options} on {event}");
            for row in 0..2 {
                let expected = if matched.contains(row) { &expected } else { &event };
                let mut documents = crate::event::Documents::with_metadata(&batch);
                let found: Json = serde_json::from_str(&documents.text(row)).expect("a document is JSON");
                assert_eq!(&found, expected, "{options} on {event}, row {row}");
            }
        }
    }

    fn one_of_two() -> RowSet {
        let mut rows = RowSet::none(2);
        rows.insert(1);
        rows
    }

    #[test]
    fn logstash_rules() {
        check(json!({"add_field": {"type": "x"}}), json!({"a": 1}), json!({"a": 1, "type": "x"}));
        check(json!({"add_field": {"a": "x"}}), json!({"a": 1}), json!({"a": [1, "x"]}));
        check(json!({"add_field": {"a": "x"}}), json!({"a": null}), json!({"a": ["x"]}));
        check(json!({"add_field": {"a": "x"}}), json!({"a": {"k": 1}}), json!({"a": [["k", 1], "x"]}));
        check(
            json!({"add_field": {"%{a}": ["%{b}", "y"]}}),
            json!({"a": "c", "b": 2}),
            json!({"a": "c", "b": 2, "c": ["2", "y"]}),
        );
        check(
            json!({"add_field": {"a": [1.0, 1e20, true]}}),
            json!({}),
            json!({"a": ["1.0", "1.0e+20", "true"]}),
        );
        check(json!({"add_field": {"[m][n]": "x"}}), json!({}), json!({"m": {"n": "x"}}));
        check(
            json!({"remove_field": ["a", "[l][0]", "[l][0]"]}),
            json!({"a": 1, "l": [1, 2, 3]}),
            json!({"l": [3]}),
        );
        check(json!({"remove_field": ["%{b}"]}), json!({"a": 1, "b": "a"}), json!({"b": "a"}));
        check(json!({"remove_field": ["m"]}), json!({"m": {"n": 1}}), json!({}));
        check(json!({"add_tag": ["x", "x"]}), json!({"tags": "a"}), json!({"tags": ["a", "x", "x"]}));
        check(json!({"remove_tag": ["b"]}), json!({"tags": "a"}), json!({"tags": ["a"]}));
        check(json!({"remove_tag": ["a"]}), json!({"tags": ["a", "b", "a"]}), json!({"tags": ["b"]}));
        check(json!({"remove_tag": ["a"]}), json!({}), json!({}));
    }

    #[test]
    fn an_empty_list_adds_nothing() {
        let (decoration, _) = Decorations::new(&[("[a".to_owned(), json!([]))], &[], &["t".to_owned()], &[]);
        let mut batch = Batch::new(Arc::default(), 1);
        assert_eq!(decoration.apply(&mut batch, &RowSet::all(1), 0), vec![]);
        assert!(fields::exists(&batch, 0, &FieldReference::from_fragments(["tags"])));
    }

    #[test]
    fn a_failing_option_ends_the_row() {
        let add = [("[a][b]".to_owned(), json!("x")), ("c".to_owned(), json!("y"))];
        let (decoration, _) = Decorations::new(&add, &[], &[], &[]);
        let mut batch = Batch::new(Arc::default(), 1);
        fields::set_json(&mut batch, 0, &FieldReference::from_fragments(["a"]), &json!(1)).expect("set");
        let failed = decoration.apply(&mut batch, &RowSet::all(1), 0);
        assert_eq!(failed.len(), 1);
        assert!(!fields::exists(&batch, 0, &FieldReference::from_fragments(["c"])));
    }

    #[test]
    fn problems_are_found_at_once() {
        let (_, problems) = Decorations::new(&[("[a".to_owned(), json!("x"))], &["b]".to_owned()], &[], &[]);
        let pointers: Vec<String> = problems.into_iter().map(|(pointer, _)| pointer).collect();
        assert_eq!(pointers, ["/add_field/[a", "/remove_field/0"]);
    }
}
