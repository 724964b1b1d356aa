//! A batch of events: columns of 16-byte cells over a few text buffers that the whole batch shares. A row is an event,
//! a column a field. Cells are what moves; text stays where it is. What a field reference means on this (maps, lists,
//! writing below a scalar) is in `fields`.

use std::ops::Range;
use std::sync::Arc;

use weir_filter::{FieldReference, Value};

use super::names::{FieldId, FieldNames};
use super::row_set::RowSet;

/// What a cell holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
#[repr(u8)]
pub enum Kind {
    /// The row does not have the field.
    #[default]
    Absent,
    /// An explicit null.
    Null,
    /// A boolean.
    Boolean,
    /// An i64.
    Integer,
    /// An f64.
    Float,
    /// UTF-8 text in one of the batch's buffers.
    Text,
    /// Nanoseconds since 1970-01-01T00:00:00Z.
    Timestamp,
    /// JSON text: a list, an empty map, or a number that no other kind holds exactly.
    Json,
}

/// One row's value in one column: a number, or a place in a text buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Cell {
    kind: Kind,
    buffer: u32,
    bits: u64,
}

impl Cell {
    /// No value.
    pub const ABSENT: Cell = Cell { kind: Kind::Absent, buffer: 0, bits: 0 };
    /// An explicit null.
    pub const NULL: Cell = Cell { kind: Kind::Null, buffer: 0, bits: 0 };

    /// A boolean.
    pub fn boolean(value: bool) -> Self {
        Cell { kind: Kind::Boolean, buffer: 0, bits: u64::from(value) }
    }

    /// A whole number.
    #[inline]
    pub fn integer(value: i64) -> Self {
        Cell { kind: Kind::Integer, buffer: 0, bits: value.cast_unsigned() }
    }

    /// A double.
    #[inline]
    pub fn float(value: f64) -> Self {
        Cell { kind: Kind::Float, buffer: 0, bits: value.to_bits() }
    }

    /// Nanoseconds since 1970.
    #[inline]
    pub fn timestamp(nanoseconds: i64) -> Self {
        Cell { kind: Kind::Timestamp, buffer: 0, bits: nanoseconds.cast_unsigned() }
    }

    /// `length` bytes of text from `start` in buffer number `buffer` of the batch. A place that is not in the buffer, or
    /// not on character boundaries, reads as empty text.
    #[inline]
    pub fn text(buffer: u32, start: u32, length: u32) -> Self {
        Cell { kind: Kind::Text, buffer, bits: u64::from(start) << 32 | u64::from(length) }
    }

    /// The same for JSON text.
    #[inline]
    pub fn json(buffer: u32, start: u32, length: u32) -> Self {
        Cell { kind: Kind::Json, buffer, bits: u64::from(start) << 32 | u64::from(length) }
    }

    /// What the cell holds.
    #[inline]
    pub fn kind(self) -> Kind {
        self.kind
    }

    /// Whether the row has no value.
    #[inline]
    pub fn is_absent(self) -> bool {
        self.kind == Kind::Absent
    }

    /// The number of a boolean (0 or 1), integer or timestamp cell, or a float's bits.
    #[inline]
    pub fn number(self) -> i64 {
        self.bits.cast_signed()
    }

    /// The place of a text or JSON cell: buffer, start, length.
    #[inline]
    pub fn place(self) -> (u32, u32, u32) {
        (self.buffer, (self.bits >> 32) as u32, self.bits as u32)
    }

    /// A part of a text cell, `offset` bytes in.
    #[inline]
    pub fn part(self, offset: u32, length: u32) -> Self {
        let (buffer, start, _) = self.place();
        Cell::text(buffer, start.saturating_add(offset), length)
    }
}

/// Who an event is: its input's hash of where it came from (ARCHITECTURE.md, "identity"). Zero: it has none.
pub type Identity = u128;

/// Events on their way through the line.
#[derive(Clone, Debug, Default)]
pub struct Batch {
    rows: usize,
    names: Arc<FieldNames>,
    /// By field number; a column that no row has may be empty or missing.
    columns: Vec<Vec<Cell>>,
    texts: Vec<Arc<String>>,
    /// One a row, or empty if no event has one.
    identities: Vec<Identity>,
}

/// Texts of a batch are appended to a buffer until it is this long; then a new one is begun.
const BUFFER_BYTES: usize = 1 << 30;

impl Batch {
    /// `rows` events without any field.
    pub fn new(names: Arc<FieldNames>, rows: usize) -> Self {
        Batch { rows, names, columns: Vec::new(), texts: Vec::new(), identities: Vec::new() }
    }

    /// How many events there are.
    #[inline]
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// The table of field names.
    pub fn names(&self) -> &FieldNames {
        &self.names
    }

    /// The table, to make another batch with.
    pub fn shared_names(&self) -> &Arc<FieldNames> {
        &self.names
    }

    /// The number of a name, which is added for this batch if it is new.
    pub fn intern(&mut self, reference: &FieldReference) -> FieldId {
        match self.names.get(reference) {
            Some(id) => id,
            None => Arc::make_mut(&mut self.names).intern(reference),
        }
    }

    /// Brings the batch to a table of names, so that the numbers of `names` hold in it: what filters were built with is
    /// another table than an input's when they were swapped after the input was opened. Where the batch's own table begins
    /// with `names` they hold already. `prepared` is the table of a batch that was brought here before, which spares making
    /// another one with the same names.
    pub fn adopt_names(&mut self, names: &Arc<FieldNames>, prepared: Option<&Arc<FieldNames>>) {
        if Arc::ptr_eq(&self.names, names) || self.names.begins_with(names) {
            return;
        }
        if names.begins_with(&self.names) {
            self.names = names.clone();
            return;
        }
        let before = std::mem::replace(&mut self.names, prepared.unwrap_or(names).clone());
        let columns = std::mem::take(&mut self.columns);
        for (id, column) in before.ids().zip(columns) {
            if !column.is_empty() {
                let target = self.intern(before.reference(id));
                self.set_column(target, column);
            }
        }
    }

    /// The cells of a field, or `None` if no row has it.
    #[inline]
    pub fn column(&self, field: FieldId) -> Option<&[Cell]> {
        self.columns.get(field.index()).filter(|column| !column.is_empty()).map(Vec::as_slice)
    }

    /// The cells of a field, to be written.
    #[inline]
    pub fn column_mut(&mut self, field: FieldId) -> &mut [Cell] {
        if self.columns.len() <= field.index() {
            self.columns.resize_with(self.names.len().max(field.index() + 1), Vec::new);
        }
        let column = &mut self.columns[field.index()];
        if column.is_empty() {
            column.resize(self.rows, Cell::ABSENT);
        }
        column
    }

    /// Replaces a whole column; `cells` has one a row.
    pub fn set_column(&mut self, field: FieldId, cells: Vec<Cell>) {
        debug_assert_eq!(cells.len(), self.rows);
        if self.columns.len() <= field.index() {
            self.columns.resize_with(self.names.len().max(field.index() + 1), Vec::new);
        }
        self.columns[field.index()] = cells;
    }

    /// Removes a field from every row.
    pub fn clear_column(&mut self, field: FieldId) {
        if let Some(column) = self.columns.get_mut(field.index()) {
            column.clear();
        }
    }

    /// One cell; absent past the end.
    #[inline]
    pub fn cell(&self, row: usize, field: FieldId) -> Cell {
        self.columns.get(field.index()).and_then(|column| column.get(row)).copied().unwrap_or_default()
    }

    /// What a cell of this batch holds, or `None` for an absent one.
    #[inline]
    pub fn value_of(&self, cell: Cell) -> Option<Value<'_>> {
        Some(match cell.kind {
            Kind::Absent => return None,
            Kind::Null => Value::Null,
            Kind::Boolean => Value::Boolean(cell.bits != 0),
            Kind::Integer => Value::Integer(cell.number()),
            Kind::Float => Value::Float(f64::from_bits(cell.bits)),
            Kind::Timestamp => Value::Timestamp(cell.number()),
            Kind::Text => Value::Text(self.text_of(cell)),
            Kind::Json => Value::Json(self.text_of(cell)),
        })
    }

    /// The value of a row's cell in one column. A map's members are in columns of their own: see `fields`.
    #[inline]
    pub fn value(&self, row: usize, field: FieldId) -> Option<Value<'_>> {
        self.value_of(self.cell(row, field))
    }

    /// The text of a text or JSON cell; empty for other kinds.
    #[inline]
    pub fn text_of(&self, cell: Cell) -> &str {
        if !matches!(cell.kind, Kind::Text | Kind::Json) {
            return "";
        }
        let (buffer, start, length) = cell.place();
        let (start, length) = (start as usize, length as usize);
        self.texts.get(buffer as usize).and_then(|text| text.get(start..start + length)).unwrap_or_default()
    }

    /// The text buffers, by number.
    pub fn texts(&self) -> &[Arc<String>] {
        &self.texts
    }

    /// Takes over a buffer, and answers its number.
    pub fn adopt_text(&mut self, text: Arc<String>) -> u32 {
        self.texts.push(text);
        (self.texts.len() - 1) as u32
    }

    /// A text cell with a copy of `text`.
    pub fn text_cell(&mut self, text: &str) -> Cell {
        let (buffer, start) = self.append(text);
        Cell::text(buffer, start, text.len() as u32)
    }

    /// A JSON cell with a copy of `text`.
    pub fn json_cell(&mut self, text: &str) -> Cell {
        let (buffer, start) = self.append(text);
        Cell::json(buffer, start, text.len() as u32)
    }

    fn append(&mut self, text: &str) -> (u32, u32) {
        let fits = |buffer: &Arc<String>| buffer.len() + text.len() <= BUFFER_BYTES;
        let last = self.texts.last_mut().filter(|buffer| fits(buffer)).and_then(Arc::get_mut);
        if let Some(buffer) = last {
            let start = buffer.len();
            buffer.push_str(text);
            return ((self.texts.len() - 1) as u32, start as u32);
        }
        (self.adopt_text(Arc::new(text.to_owned())), 0)
    }

    /// A cell for a value. Text is copied into the batch; `Object` is an empty map.
    pub fn cell_for(&mut self, value: Value<'_>) -> Cell {
        match value {
            Value::Null => Cell::NULL,
            Value::Boolean(value) => Cell::boolean(value),
            Value::Integer(value) => Cell::integer(value),
            Value::Float(value) => Cell::float(value),
            Value::Timestamp(value) => Cell::timestamp(value),
            Value::Text(text) => self.text_cell(text),
            Value::Json(text) => self.json_cell(text),
            Value::Object => self.json_cell("{}"),
        }
    }

    /// The event's identity; zero if it has none.
    pub fn identity(&self, row: usize) -> Identity {
        self.identities.get(row).copied().unwrap_or_default()
    }

    /// Gives every event its identity; one a row.
    pub fn set_identities(&mut self, identities: Vec<Identity>) {
        debug_assert_eq!(identities.len(), self.rows);
        self.identities = identities;
    }

    /// Adds `count` events without fields or identity at the end.
    pub fn add_rows(&mut self, count: usize) {
        self.rows += count;
        for column in self.columns.iter_mut().filter(|column| !column.is_empty()) {
            column.resize(self.rows, Cell::ABSENT);
        }
        if !self.identities.is_empty() {
            self.identities.resize(self.rows, 0);
        }
    }

    /// Sets one event's identity.
    pub fn set_identity(&mut self, row: usize, identity: Identity) {
        if self.identities.is_empty() {
            self.identities.resize(self.rows, 0);
        }
        if let Some(slot) = self.identities.get_mut(row) {
            *slot = identity;
        }
    }

    /// Copies all cells of one row over those of another.
    pub fn copy_row(&mut self, from: usize, to: usize) {
        for column in self.columns.iter_mut().filter(|column| column.len() > from.max(to)) {
            column[to] = column[from];
        }
    }

    /// Removes the rows in `dropped`.
    pub fn drop_rows(&mut self, dropped: &RowSet) {
        if dropped.is_empty() {
            return;
        }
        for column in self.columns.iter_mut().filter(|column| !column.is_empty()) {
            let mut row = 0;
            column.retain(|_| {
                row += 1;
                !dropped.contains(row - 1)
            });
        }
        let mut row = 0;
        self.identities.retain(|_| {
            row += 1;
            !dropped.contains(row - 1)
        });
        self.rows -= dropped.count();
    }

    /// A batch of only these rows, in their order. Text is shared, not copied.
    pub fn select(&self, rows: &[usize]) -> Batch {
        let columns = self
            .columns
            .iter()
            .map(|column| {
                if column.is_empty() {
                    return Vec::new();
                }
                rows.iter().map(|row| column.get(*row).copied().unwrap_or_default()).collect()
            })
            .collect();
        let identities = if self.identities.is_empty() {
            Vec::new()
        } else {
            rows.iter().map(|row| self.identity(*row)).collect()
        };
        Batch { rows: rows.len(), names: self.names.clone(), columns, texts: self.texts.clone(), identities }
    }

    /// The rows of a range as a batch of their own.
    pub fn slice(&self, rows: Range<usize>) -> Batch {
        self.select(&rows.collect::<Vec<_>>())
    }

    /// Puts another batch's rows after this one's. Both came from one pipeline; names that differ are added.
    pub fn append_batch(&mut self, other: &Batch) {
        let first_text = self.texts.len() as u32;
        let before = self.rows;
        if !other.identities.is_empty() && self.identities.is_empty() {
            self.identities.resize(before, 0);
        }
        self.texts.extend(other.texts.iter().cloned());
        self.add_rows(other.rows);
        for id in other.names.ids() {
            let Some(cells) = other.column(id) else { continue };
            let target = self.intern(other.names.reference(id));
            for (cell, from) in self.column_mut(target)[before..].iter_mut().zip(cells) {
                *cell = Cell {
                    buffer: if matches!(from.kind, Kind::Text | Kind::Json) {
                        from.buffer + first_text
                    } else {
                        0
                    },
                    ..*from
                };
            }
        }
        for row in 0..other.rows {
            if let Some(slot) = self.identities.get_mut(before + row) {
                *slot = other.identity(row);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn batch_of(values: &[&str]) -> (Batch, FieldId) {
        let mut batch = Batch::new(Arc::default(), values.len());
        let field = batch.intern(&FieldReference::from_fragments(["message"]));
        for (row, text) in values.iter().enumerate() {
            let cell = batch.text_cell(text);
            batch.column_mut(field)[row] = cell;
        }
        (batch, field)
    }

    #[test]
    fn a_cell_has_16_bytes() {
        assert_eq!(size_of::<Cell>(), 16);
    }

    #[test]
    fn texts_are_shared_between_rows_and_batches() {
        let (batch, field) = batch_of(&["one", "two", "three"]);
        let selected = batch.select(&[2, 0]);
        assert_eq!(selected.value(0, field), Some(Value::Text("three")));
        assert_eq!(selected.value(1, field), Some(Value::Text("one")));
        assert!(Arc::ptr_eq(&batch.texts()[0], &selected.texts()[0]));
    }

    #[test]
    fn another_table_of_names_is_adopted() {
        let reference = |name: &str| FieldReference::from_fragments([name]);
        let table = |names: &[&str]| {
            let mut table = FieldNames::new();
            names.iter().for_each(|name| {
                table.intern(&reference(name));
            });
            Arc::new(table)
        };
        let check = |own: &[&str], adopted: &[&str], len: usize| {
            let adopted = table(adopted);
            let mut batch = Batch::new(table(own), 1);
            for name in own.iter().filter(|name| **name != "empty") {
                let (field, cell) = (batch.intern(&reference(name)), batch.text_cell(name));
                batch.column_mut(field)[0] = cell;
            }
            batch.adopt_names(&adopted, None);
            assert!(batch.names().begins_with(&adopted), "{own:?}");
            assert_eq!(batch.names().len(), len, "{own:?}");
            for name in own.iter().filter(|name| **name != "empty") {
                let field = batch.names().get(&reference(name)).unwrap();
                assert_eq!(batch.value(0, field), Some(Value::Text(name)), "{own:?}");
            }
        };
        check(&["a", "b"], &["a", "b"], 2);
        check(&["a", "b"], &["a", "b", "c"], 3);
        check(&["a", "b", "own"], &["a", "b"], 3);
        check(&["a", "own", "b"], &["a", "new", "b"], 4);
        check(&["a", "empty", "b"], &["a", "new", "b"], 3);
    }

    #[test]
    fn dropped_rows_close_up() {
        let (mut batch, field) = batch_of(&["a", "b", "c"]);
        batch.set_identities(vec![1, 2, 3]);
        let mut dropped = RowSet::none(3);
        dropped.insert(1);
        batch.drop_rows(&dropped);
        assert_eq!(batch.rows(), 2);
        assert_eq!(batch.value(1, field), Some(Value::Text("c")));
        assert_eq!(batch.identity(1), 3);
    }

    #[test]
    fn appended_rows_keep_their_values() {
        let (mut batch, field) = batch_of(&["a"]);
        let (mut other, _) = batch_of(&["b"]);
        let extra = other.intern(&FieldReference::from_fragments(["x", "y"]));
        other.column_mut(extra)[0] = Cell::integer(7);
        other.set_identities(vec![9]);
        batch.append_batch(&other);
        assert_eq!(batch.rows(), 2);
        assert_eq!(batch.value(1, field), Some(Value::Text("b")));
        let extra = batch.names().get(&FieldReference::from_fragments(["x", "y"])).expect("it was added");
        assert_eq!(batch.value(0, extra), None);
        assert_eq!(batch.value(1, extra), Some(Value::Integer(7)));
        assert_eq!((batch.identity(0), batch.identity(1)), (0, 9));
    }

    #[test]
    fn places_out_of_range_read_as_empty_text() {
        let (mut batch, field) = batch_of(&["ä"]);
        batch.column_mut(field)[0] = Cell::text(0, 1, 1);
        assert_eq!(batch.value(0, field), Some(Value::Text("")));
        batch.column_mut(field)[0] = Cell::text(7, 0, u32::MAX);
        assert_eq!(batch.value(0, field), Some(Value::Text("")));
    }
}
