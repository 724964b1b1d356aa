//! What a guest gets to see of a batch: the columns that its plan reads, for the rows that enter it. Buffers are kept from
//! batch to batch.

use super::interface::{
    Batch as SentBatch, Column, Floats, KERNEL_PLACE, MixedCell, NO_VALUE, Numbers, OtherColumn, Texts,
};
use super::plan::{Plan, PlannedField};
use crate::event::fields::{self, Found};
use crate::event::{Batch, Cell, FieldId, Kind, Value};

/// Rows of a batch, in ascending order.
#[derive(Clone, Debug)]
pub(super) enum Rows {
    /// All of them.
    All(usize),
    /// These.
    Some(Vec<usize>),
}

impl Rows {
    pub(super) fn len(&self) -> usize {
        match self {
            Rows::All(rows) => *rows,
            Rows::Some(rows) => rows.len(),
        }
    }

    /// The row of the batch that is the `index`th of these; one past the end if there are not so many.
    #[inline]
    pub(super) fn get(&self, index: usize) -> usize {
        match self {
            Rows::All(_) => index,
            Rows::Some(rows) => rows.get(index).copied().unwrap_or(usize::MAX),
        }
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = usize> + '_ {
        (0..self.len()).map(|index| self.get(index))
    }
}

/// The text of these rows is too long for one call.
#[derive(Debug)]
pub(super) struct TooLong;

/// A batch as it was sent, with what is needed to understand places in it.
#[derive(Default)]
pub(super) struct Encoder {
    rows: usize,
    text: String,
    ascii: bool,
    columns: Vec<Column>,
    others: Vec<OtherColumn>,
    /// The fields of `others`.
    other_fields: Vec<FieldId>,
    /// Where the texts of plain text columns lie, in order.
    sources: Vec<Source>,
    gathered: Vec<Cell>,
}

/// A text column: its texts follow each other in the sent text, row by row, and each is a cell of the batch.
#[derive(Clone, Copy, Debug)]
struct Source {
    field: FieldId,
    /// Its number among `columns`.
    column: usize,
    start: u32,
    end: u32,
}

/// A text column as it was sent, of cells of one field.
pub(super) struct SentTexts<'a> {
    pub(super) field: FieldId,
    pub(super) texts: &'a Texts,
}

impl Encoder {
    /// Encodes what the plan reads of `rows`. With more than `longest` bytes of text and several rows it gives up.
    pub(super) fn encode(
        &mut self,
        batch: &Batch,
        rows: &Rows,
        plan: &Plan,
        longest: usize,
    ) -> Result<(), TooLong> {
        self.rows = rows.len();
        self.text.clear();
        self.sources.clear();
        let reads = plan.fields.iter().filter(|field| field.read).count();
        self.columns.resize_with(reads, Column::default);
        for (number, field) in plan.fields.iter().filter(|field| field.read).enumerate() {
            let kept = self.columns.get_mut(number).map(std::mem::take).unwrap_or_default();
            let column = self.encode_field(batch, rows, field, number, kept, longest)?;
            if let Some(slot) = self.columns.get_mut(number) {
                *slot = column;
            }
        }
        self.others.clear();
        self.other_fields.clear();
        if plan.reads_others {
            self.encode_others(batch, rows, plan, longest)?;
        }
        self.ascii = self.text.is_ascii();
        Ok(())
    }

    /// The batch to be sent.
    pub(super) fn batch(&self) -> SentBatch<'_> {
        SentBatch {
            rows: u32::try_from(self.rows).unwrap_or(u32::MAX),
            text: self.text.as_bytes(),
            columns: &self.columns,
            others: &self.others,
        }
    }

    /// How many rows were sent.
    pub(super) fn rows(&self) -> usize {
        self.rows
    }

    /// The text that was sent.
    pub(super) fn text(&self) -> &str {
        &self.text
    }

    /// Whether that text is ASCII, so that any place in it is on character boundaries.
    pub(super) fn is_ascii(&self) -> bool {
        self.ascii
    }

    /// The fields that were sent beyond the plan's.
    pub(super) fn other_fields(&self) -> &[FieldId] {
        &self.other_fields
    }

    /// The text column that a place lies in, whichever the row.
    pub(super) fn source_around(&self, start: u32) -> Option<SentTexts<'_>> {
        let source = self.sources.iter().find(|source| source.start <= start && start < source.end)?;
        match self.columns.get(source.column) {
            Some(Column::Text(texts)) => Some(SentTexts { field: source.field, texts }),
            _ => None,
        }
    }

    /// The field whose text in this row a place lies in, and the place's offset in it.
    #[inline]
    pub(super) fn source(&self, row: usize, start: u32, length: u32) -> Option<(FieldId, u32)> {
        // Zero-length places lie at ends, so the first column that can own one does.
        for source in &self.sources {
            if start > source.end || start < source.start {
                continue;
            }
            let Some(Column::Text(texts)) = self.columns.get(source.column) else { continue };
            let (own, own_length) = (texts.starts.get(row)?, texts.lens.get(row)?);
            let inside = *own_length != NO_VALUE
                && start >= *own
                && u64::from(start) + u64::from(length) <= u64::from(*own) + u64::from(*own_length);
            if inside {
                return Some((source.field, start - own));
            }
        }
        None
    }

    fn encode_field(
        &mut self,
        batch: &Batch,
        rows: &Rows,
        field: &PlannedField,
        number: usize,
        kept: Column,
        longest: usize,
    ) -> Result<Column, TooLong> {
        let names = batch.names();
        let below: Vec<&[Cell]> = names.below(field.id).iter().filter_map(|id| batch.column(*id)).collect();
        // [@metadata] is there even where nothing is in it.
        let always_there = field.reference.is_metadata() && field.reference.fragments().len() == 1;
        if always_there || (field.whole && !below.is_empty()) || has_list_above(batch, field.id) {
            return self.encode_by_row(batch, rows, field, longest);
        }
        let Some(cells) = batch.column(field.id) else {
            return Ok(if below.is_empty() { Column::Absent } else { maps(&below, rows) });
        };
        if below.is_empty() {
            return self.encode_cells(batch, field.id, Some(number), cells, rows, kept, longest);
        }
        // A map has no cell of its own, and a row with one has nothing below.
        let mut mixed = Vec::new();
        for (index, row) in rows.iter().enumerate() {
            let cell = cells.get(row).copied().unwrap_or_default();
            if !cell.is_absent() {
                self.push_mixed(&mut mixed, index, batch, cell);
            } else if below.iter().any(|column| column.get(row).is_some_and(|cell| !cell.is_absent())) {
                mixed.push((index as u32, MixedCell::Object));
            }
        }
        self.bounded(Column::Mixed(mixed), longest)
    }

    fn encode_others(
        &mut self,
        batch: &Batch,
        rows: &Rows,
        plan: &Plan,
        longest: usize,
    ) -> Result<(), TooLong> {
        for id in batch.names().ids() {
            let Some(cells) = batch.column(id) else { continue };
            if plan.fields.iter().any(|field| field.read && field.id == id) {
                continue;
            }
            if !plan.may_read(batch.names().reference(id)) {
                continue;
            }
            let column = self.encode_cells(batch, id, None, cells, rows, Column::Absent, longest)?;
            if !matches!(column, Column::Absent) {
                self.others.push((batch.names().reference(id).fragments().to_vec(), column));
                self.other_fields.push(id);
            }
        }
        Ok(())
    }

    /// A column of cells as they are. `number` is its number among the columns that texts may be parts of.
    #[expect(clippy::too_many_arguments, reason = "all are of one call's two callers")]
    fn encode_cells(
        &mut self,
        batch: &Batch,
        field: FieldId,
        number: Option<usize>,
        cells: &[Cell],
        rows: &Rows,
        kept: Column,
        longest: usize,
    ) -> Result<Column, TooLong> {
        let mut gathered = std::mem::take(&mut self.gathered);
        let cells = match rows {
            // An earlier step of this filter may have added rows after these.
            Rows::All(rows) => cells.get(..*rows).unwrap_or(cells),
            Rows::Some(rows) => {
                gathered.clear();
                gathered.extend(rows.iter().map(|row| cells.get(*row).copied().unwrap_or_default()));
                &gathered
            }
        };
        let mut kinds = 0_u32;
        for cell in cells {
            kinds |= bit(cell.kind());
        }
        let some_absent = kinds & bit(Kind::Absent) != 0;
        kinds &= !bit(Kind::Absent);
        let column = if kinds == 0 {
            Ok(Column::Absent)
        } else if kinds == bit(Kind::Text) || kinds == bit(Kind::Json) {
            let start = self.text.len();
            let texts = self.encode_texts(batch, cells, kept, longest);
            texts.map(|texts| {
                if kinds == bit(Kind::Json) {
                    return Column::Json(texts);
                }
                if let (Some(column), Ok(start), Ok(end)) =
                    (number, u32::try_from(start), u32::try_from(self.text.len()))
                {
                    self.sources.push(Source { field, column, start, end });
                }
                Column::Text(texts)
            })
        } else if kinds == bit(Kind::Float) {
            let values = cells.iter().map(|cell| f64::from_bits(cell.number().cast_unsigned())).collect();
            Ok(Column::Float(Floats { values, present: present(cells, some_absent) }))
        } else if kinds == bit(Kind::Integer) || kinds == bit(Kind::Timestamp) || kinds == bit(Kind::Boolean)
        {
            let values = cells.iter().map(|cell| cell.number()).collect();
            let numbers = Numbers { values, present: present(cells, some_absent) };
            Ok(match kinds {
                kind if kind == bit(Kind::Integer) => Column::Integer(numbers),
                kind if kind == bit(Kind::Timestamp) => Column::Timestamp(numbers),
                _ => Column::Boolean(numbers),
            })
        } else {
            let mut mixed = Vec::new();
            for (index, cell) in cells.iter().enumerate() {
                if !cell.is_absent() {
                    self.push_mixed(&mut mixed, index, batch, *cell);
                }
            }
            self.bounded(Column::Mixed(mixed), longest)
        };
        self.gathered = gathered;
        column
    }

    fn encode_texts(
        &mut self,
        batch: &Batch,
        cells: &[Cell],
        kept: Column,
        longest: usize,
    ) -> Result<Texts, TooLong> {
        let mut texts = match kept {
            Column::Text(texts) | Column::Json(texts) => texts,
            _ => Texts::default(),
        };
        let bytes: usize =
            cells.iter().filter(|cell| !cell.is_absent()).map(|cell| cell.place().2 as usize).sum();
        if self.rows > 1 && self.text.len() + bytes > longest {
            return Err(TooLong);
        }
        self.text.reserve(bytes);
        texts.starts.clear();
        texts.lens.clear();
        texts.starts.reserve(cells.len());
        texts.lens.reserve(cells.len());
        for cell in cells {
            texts.starts.push(self.text.len() as u32);
            if cell.is_absent() {
                texts.lens.push(NO_VALUE);
                continue;
            }
            let text = batch.text_of(*cell);
            texts.lens.push(text.len() as u32);
            self.text.push_str(text);
        }
        Ok(texts)
    }

    /// Fields that need Logstash's rules for each row: maps as a whole, elements of lists.
    fn encode_by_row(
        &mut self,
        batch: &Batch,
        rows: &Rows,
        field: &PlannedField,
        longest: usize,
    ) -> Result<Column, TooLong> {
        let mut mixed = Vec::new();
        for (index, row) in rows.iter().enumerate() {
            let cell = match fields::get(batch, row, &field.reference) {
                None => continue,
                Some(Found::Value(Value::Object)) => self.map_cell(batch, row, field),
                Some(Found::Value(value)) => self.value_cell(value),
                Some(Found::Element(json)) => self.element_cell(&json, field.whole),
            };
            mixed.push((index as u32, cell));
        }
        self.bounded(Column::Mixed(mixed), longest)
    }

    fn map_cell(&mut self, batch: &Batch, row: usize, field: &PlannedField) -> MixedCell {
        match fields::whole_json(batch, row, &field.reference) {
            Some(json) if field.whole || json == "{}" => MixedCell::Json(self.push_text(&json)),
            _ => MixedCell::Object,
        }
    }

    fn element_cell(&mut self, json: &serde_json::Value, whole: bool) -> MixedCell {
        match json {
            serde_json::Value::Null => MixedCell::Null,
            serde_json::Value::Bool(value) => MixedCell::Boolean(*value),
            serde_json::Value::String(text) => MixedCell::Text(self.push_text(text)),
            serde_json::Value::Number(number) => {
                self.value_cell(Value::from_json_number(&number.to_string()))
            }
            serde_json::Value::Object(members) if !whole && !members.is_empty() => MixedCell::Object,
            serde_json::Value::Array(_) | serde_json::Value::Object(_) => {
                MixedCell::Json(self.push_text(&json.to_string()))
            }
        }
    }

    fn push_mixed(&mut self, mixed: &mut Vec<(u32, MixedCell)>, index: usize, batch: &Batch, cell: Cell) {
        if let Some(value) = batch.value_of(cell) {
            let cell = self.value_cell(value);
            mixed.push((index as u32, cell));
        }
    }

    fn value_cell(&mut self, value: Value<'_>) -> MixedCell {
        match value {
            Value::Null => MixedCell::Null,
            Value::Boolean(value) => MixedCell::Boolean(value),
            Value::Integer(value) => MixedCell::Integer(value),
            Value::Float(value) => MixedCell::Float(value),
            Value::Timestamp(value) => MixedCell::Timestamp(value),
            Value::Text(text) => MixedCell::Text(self.push_text(text)),
            Value::Json(text) => MixedCell::Json(self.push_text(text)),
            Value::Object => MixedCell::Object,
        }
    }

    fn push_text(&mut self, text: &str) -> (u32, u32) {
        let start = self.text.len();
        self.text.push_str(text);
        // `bounded` and the caller's check of the whole text keep these in range.
        (start as u32, text.len() as u32)
    }

    fn bounded(&self, column: Column, longest: usize) -> Result<Column, TooLong> {
        if self.rows > 1 && self.text.len() > longest { Err(TooLong) } else { Ok(column) }
    }

    /// Whether the text is so long that places in it would look like a kernel's.
    pub(super) fn is_overlong(&self) -> bool {
        self.text.len() >= KERNEL_PLACE as usize
    }
}

#[inline]
fn bit(kind: Kind) -> u32 {
    1 << kind as u32
}

fn present(cells: &[Cell], some_absent: bool) -> Vec<u8> {
    if !some_absent {
        return Vec::new();
    }
    let mut bits = vec![0_u8; cells.len().div_ceil(8)];
    for (row, cell) in cells.iter().enumerate() {
        bits[row / 8] |= u8::from(!cell.is_absent()) << (row % 8);
    }
    bits
}

/// Which rows have something below a field.
fn maps(below: &[&[Cell]], rows: &Rows) -> Column {
    let mut bits = vec![0_u8; rows.len().div_ceil(8)];
    for column in below {
        for (index, row) in rows.iter().enumerate() {
            bits[index / 8] |= u8::from(column.get(row).is_some_and(|cell| !cell.is_absent())) << (index % 8);
        }
    }
    if bits.iter().all(|byte| *byte == 0) { Column::Absent } else { Column::Object(bits) }
}

/// Whether any row may have a list above the field: then a fragment may be an index.
fn has_list_above(batch: &Batch, field: FieldId) -> bool {
    batch.names().above(field).iter().any(|above| {
        batch.column(*above).is_some_and(|cells| {
            cells.iter().any(|cell| cell.kind() == Kind::Json && batch.text_of(*cell).starts_with('['))
        })
    })
}

#[cfg(test)]
#[path = "encode_tests.rs"]
pub(super) mod tests;
