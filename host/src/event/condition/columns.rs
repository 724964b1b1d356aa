//! The fields of a condition as columns of one batch. A name is looked up once a batch and not once a row; only what lies in
//! a list is left to the general way of `event::fields`.

use weir_filter::{FieldReference, Value};

use crate::event::fields::{self, Found};
use crate::event::{Batch, Cell, Kind};

/// What a field reference leads to in a batch, row by row.
pub(super) struct Column<'a> {
    batch: &'a Batch,
    reference: &'a FieldReference,
    /// Empty if no row has a value at the reference itself.
    cells: &'a [Cell],
    /// The columns in which it may have members.
    below: Vec<&'a [Cell]>,
    /// The columns that may hold a list that it leads into.
    above: Vec<&'a [Cell]>,
    is_metadata: bool,
}

impl<'a> Column<'a> {
    pub(super) fn new(batch: &'a Batch, reference: &'a FieldReference) -> Self {
        let names = batch.names();
        let known = names.get(reference);
        let column = |id| batch.column(id);
        let below = match known {
            Some(id) => names.below(id).iter().copied().filter_map(column).collect(),
            None => {
                names.ids().filter(|id| names.reference(*id).is_below(reference)).filter_map(column).collect()
            }
        };
        let above = reference.ancestors().filter_map(|above| names.get(&above)).filter_map(column).collect();
        Column {
            batch,
            reference,
            cells: known.and_then(column).unwrap_or_default(),
            below,
            above,
            is_metadata: reference.is_metadata() && reference.fragments().len() == 1,
        }
    }

    /// What the reference leads to on a row: the same as [`fields::get`] says.
    #[inline]
    pub(super) fn get(&self, row: usize) -> Option<Found<'a>> {
        let cell = cell_of(self.cells, row);
        if let Some(value) = self.batch.value_of(cell) {
            let is_map =
                cell.kind() == Kind::Json && matches!(value, Value::Json(text) if text.starts_with('{'));
            return Some(Found::Value(if is_map { Value::Object } else { value }));
        }
        if self.is_metadata || self.below.iter().any(|cells| !cell_of(cells, row).is_absent()) {
            return Some(Found::Value(Value::Object));
        }
        if self.above.iter().any(|cells| cell_of(cells, row).kind() == Kind::Json) {
            return fields::get(self.batch, row, self.reference);
        }
        None
    }

    /// The same with all that is below a map: see [`fields::whole`].
    pub(super) fn whole(&self, row: usize) -> Option<serde_json::Value> {
        fields::whole(self.batch, row, self.reference)
    }

    pub(super) fn reference(&self) -> &'a FieldReference {
        self.reference
    }
}

#[inline]
fn cell_of(cells: &[Cell], row: usize) -> Cell {
    cells.get(row).copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use serde_json::json;

    use super::*;
    use crate::event::{FieldNames, put_example};

    /// Every way that a reference can lead, with names that are known beforehand and without.
    #[test]
    fn a_column_says_what_the_general_way_says() {
        let events = [
            json!({"a": "x", "b": {"c": 1, "d": {"e": true}}, "l": [1, {"m": "n"}, [2]], "o": {}, "z": null}),
            json!({"a": {"c": [0]}, "b": 5, "l": {"0": "key"}, "@metadata": {"k": "v"}}),
            json!({"a": 1.5, "b": {"d": "text"}, "l": "none"}),
            json!({}),
        ];
        let references = [
            "a",
            "b",
            "[a][c]",
            "[a][c][0]",
            "[b][c]",
            "[b][d]",
            "[b][d][e]",
            "l",
            "[l][0]",
            "[l][-1]",
            "[l][1][m]",
            "[l][2][0]",
            "[l][9]",
            "o",
            "[o][x]",
            "z",
            "[z][x]",
            "@metadata",
            "[@metadata][k]",
            "none",
            "[none][x]",
        ];
        let references: Vec<FieldReference> =
            references.iter().map(|text| FieldReference::parse(text).expect("a reference")).collect();
        let mut known = FieldNames::new();
        for reference in &references {
            known.intern(reference);
        }
        for names in [FieldNames::new(), known] {
            let mut batch = Batch::new(Arc::new(names), events.len());
            for (row, event) in events.iter().enumerate() {
                put_example(&mut batch, row, event.as_object().expect("a map"), 0).expect("an event");
            }
            for reference in &references {
                let column = Column::new(&batch, reference);
                for row in 0..=events.len() {
                    assert_eq!(column.get(row), fields::get(&batch, row, reference), "{reference} {row}");
                }
            }
        }
    }
}
