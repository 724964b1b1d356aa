//! Texts with references, rendered for the events of a batch. What is the same for a whole batch, such as which column a
//! reference leads to, is found once.

use chrono::Utc;
use serde_json::Value as Json;
use weir_filter::Template;

use crate::event::fields::{self, Found};
use crate::event::{Batch, Cell, FieldReference, Kind, Value};

/// A template over a batch.
pub(super) struct RowText<'b> {
    template: &'b Template,
    batch: &'b Batch,
    references: Vec<Bound<'b>>,
    /// The cells of `@timestamp`, where the template needs them.
    timestamps: &'b [Cell],
}

struct Bound<'b> {
    cells: &'b [Cell],
    /// The reference, if it may lead to a map or into a list: then an absent cell does not say that there is nothing.
    elsewhere: Option<&'b FieldReference>,
}

impl<'b> RowText<'b> {
    pub(super) fn new(template: &'b Template, batch: &'b Batch) -> Self {
        let names = batch.names();
        let mut references = Vec::new();
        for reference in template.references() {
            let cells = names.get(reference).and_then(|id| batch.column(id)).unwrap_or_default();
            let is_elsewhere = names.ids().any(|id| {
                let other = names.reference(id);
                batch.column(id).is_some() && (other.is_below(reference) || reference.is_below(other))
            });
            references.push(Bound { cells, elsewhere: is_elsewhere.then_some(reference) });
        }
        let mut timestamps: &[Cell] = &[];
        if template.needs_timestamp() {
            let reference = FieldReference::from_fragments(["@timestamp"]);
            timestamps = names.get(&reference).and_then(|id| batch.column(id)).unwrap_or_default();
        }
        RowText { template, batch, references, timestamps }
    }

    /// Renders the text of a row at the end of `out`.
    ///
    /// # Errors
    /// If there is a mistake in the template.
    pub(super) fn render(&self, row: usize, out: &mut String) -> Result<(), String> {
        // What is in no cell of its own: maps as JSON, and elements of lists.
        let mut found: Vec<Option<Json>> = Vec::new();
        for (index, bound) in self.references.iter().enumerate() {
            let Some(reference) = bound.elsewhere else { continue };
            if bound.cells.get(row).is_none_or(|cell| cell.is_absent()) {
                found.resize(index, None);
                found.push(match fields::get(self.batch, row, reference) {
                    Some(Found::Element(json)) => Some(json),
                    Some(Found::Value(_)) => fields::whole(self.batch, row, reference),
                    None => None,
                });
            }
        }
        let found: Vec<Option<(String, bool)>> = found
            .into_iter()
            .map(|json| match json? {
                Json::String(text) => Some((text, true)),
                Json::Null => None,
                other => Some((other.to_string(), false)),
            })
            .collect();
        let lookup = |index: usize| {
            let cell = self.references.get(index)?.cells.get(row).copied().unwrap_or_default();
            if let Some(value) = self.batch.value_of(cell) {
                return Some(value);
            }
            let (text, is_text) = found.get(index)?.as_ref()?;
            Some(if *is_text { Value::Text(text) } else { Value::Json(text) })
        };
        let timestamp = self.timestamps.get(row).filter(|cell| cell.kind() == Kind::Timestamp);
        let now = || Utc::now().timestamp_nanos_opt().unwrap_or_default();
        self.template.render(out, lookup, timestamp.map(|cell| cell.number()), now)
    }
}

/// The text of a value that stands for an option; `None` for null.
pub(super) fn text_of(value: &Json) -> Option<String> {
    match value {
        Json::Null => None,
        Json::String(text) => Some(text.clone()),
        other => Some(other.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    fn check(event: &str, text: &str, expected: &str) {
        let mut batch = Batch::new(Arc::default(), 2);
        let event: Json = serde_json::from_str(event).expect("it is JSON");
        for (key, value) in event.as_object().expect("an event is a map") {
            let reference = FieldReference::from_fragments([key.as_str()]);
            fields::set_json(&mut batch, 1, &reference, value).expect("it can be set");
        }
        let template = Template::parse(text);
        let mut out = String::new();
        RowText::new(&template, &batch).render(1, &mut out).expect("there is no mistake in it");
        assert_eq!(out, expected, "{text} of {event}");
    }

    #[test]
    fn references_lead_to_cells_maps_and_elements() {
        let event = r#"{"a":"x","m":{"k":{"n":5}},"l":["p",{"q":"r"},7],"@metadata":{"id":"i"},"z":null}"#;
        check(event, "%{a}-%{[m][k][n]}-%{[@metadata][id]}", "x-5-i");
        check(event, "%{[m]}", r#"{"k":{"n":5}}"#);
        check(event, "%{[l][0]}|%{[l][1][q]}|%{[l][-1]}|%{[l][9]}", "p|r|7|%{[l][9]}");
        check(event, "%{z} %{none} %{[a][b]}", "%{z} %{none} %{[a][b]}");
    }
}
