//! Changes a batch by checked edits: whole columns at once where nothing lies above or below the field, by Logstash's
//! rules a row at a time where something does.

use sha2::{Digest, Sha256};

use super::answer::{Edits, Set, Target};
use super::encode::Rows;
use crate::event::fields;
use crate::event::{Batch, Cell, FieldId, FieldReference, Identity, Kind, RowSet, Value};

/// What came of applying edits.
pub(super) struct Applied {
    /// The batch's first added row; added rows are the last ones.
    pub(super) first_added: usize,
    /// Rows of the batch on which a set is not possible, and why.
    pub(super) failed: Vec<(usize, String)>,
}

/// Applies edits to what was sent of `rows`. `filter` is the filter's id, which goes into the identity of added events.
pub(super) fn apply(batch: &mut Batch, rows: &Rows, edits: &mut Edits, filter: &str) -> Applied {
    for text in edits.texts.drain(..) {
        batch.adopt_text(text);
    }
    let first_added = batch.rows();
    add_rows(batch, rows, &edits.adds, filter);
    let rows = SentRows { rows, sent: rows.len(), first_added };
    let new: Vec<FieldId> = edits.new_fields.iter().map(|reference| batch.intern(reference)).collect();
    let field = |target: Target| match target {
        Target::Known(field) => Some(field),
        Target::New(number) => new.get(number).copied(),
    };
    for (target, mask) in &edits.removes {
        if let Some(field) = field(*target) {
            remove(batch, &rows, field, mask);
        }
    }
    let mut failed = Vec::new();
    for set in edits.sets.drain(..) {
        if let Some(field) = field(set.target) {
            apply_set(batch, &rows, field, set, &mut failed);
        }
    }
    Applied { first_added, failed }
}

/// Adds a tag to a row, and keeps the cell that it makes for rows without any tags.
pub(super) struct Tagger {
    tags: FieldReference,
    made: Option<(String, Cell)>,
}

impl Tagger {
    pub(super) fn new() -> Self {
        Tagger { tags: FieldReference::from_fragments(["tags"]), made: None }
    }

    /// Adds `tag` unless the row has it. Most rows that are tagged are tagged alike, and share the cell.
    pub(super) fn add(&mut self, batch: &mut Batch, row: usize, tag: &str) {
        let field = batch.intern(&self.tags);
        if !batch.cell(row, field).is_absent() {
            fields::add_tag(batch, row, tag);
            return;
        }
        match &self.made {
            Some((made, cell)) if made == tag => batch.column_mut(field)[row] = *cell,
            _ => {
                fields::add_tag(batch, row, tag);
                self.made = Some((tag.to_owned(), batch.cell(row, field)));
            }
        }
    }
}

/// Sent rows and added ones, as rows of the batch.
pub(super) struct SentRows<'a> {
    pub(super) rows: &'a Rows,
    pub(super) sent: usize,
    pub(super) first_added: usize,
}

impl SentRows<'_> {
    /// The batch's row for an answer's.
    #[inline]
    pub(super) fn get(&self, index: usize) -> usize {
        match index.checked_sub(self.sent) {
            None => self.rows.get(index),
            Some(added) => self.first_added + added,
        }
    }
}

fn add_rows(batch: &mut Batch, rows: &Rows, adds: &[Option<usize>], filter: &str) {
    if adds.is_empty() {
        return;
    }
    let first = batch.rows();
    batch.add_rows(adds.len());
    // How many were made of each sent row before.
    let mut made = vec![0_u64; rows.len()];
    for (number, origin) in adds.iter().enumerate() {
        let Some(origin) = *origin else { continue };
        let row = rows.get(origin);
        batch.copy_row(row, first + number);
        let Some(made) = made.get_mut(origin) else { continue };
        *made += 1;
        let identity = batch.identity(row);
        if identity != 0 {
            batch.set_identity(first + number, derived_identity(identity, filter, *made));
        }
    }
}

/// Who the `number`th event is that a filter made of an event: the same in every run.
fn derived_identity(origin: Identity, filter: &str, number: u64) -> Identity {
    let digest = Sha256::new()
        .chain_update(origin.to_be_bytes())
        .chain_update(number.to_be_bytes())
        .chain_update(filter)
        .finalize();
    let (first, _) = digest.split_at(16);
    Identity::from_be_bytes(first.try_into().unwrap_or_default())
}

fn remove(batch: &mut Batch, rows: &SentRows<'_>, field: FieldId, mask: &RowSet) {
    let top_level = batch.names().reference(field).fragments().len() == 1;
    let has_below = batch.names().below(field).iter().any(|below| batch.column(*below).is_some());
    if top_level && !has_below {
        if batch.column(field).is_none() {
            return;
        }
        if matches!(rows.rows, Rows::All(_)) && mask.is_all() && batch.rows() == rows.sent {
            batch.clear_column(field);
            return;
        }
        let cells = batch.column_mut(field);
        for index in mask.iter() {
            if let Some(cell) = cells.get_mut(rows.get(index)) {
                *cell = Cell::ABSENT;
            }
        }
        return;
    }
    let reference = batch.names().reference(field).clone();
    for index in mask.iter() {
        fields::remove(batch, rows.get(index), &reference);
    }
}

fn apply_set(
    batch: &mut Batch,
    rows: &SentRows<'_>,
    field: FieldId,
    set: Set,
    failed: &mut Vec<(usize, String)>,
) {
    let reference = batch.names().reference(field).clone();
    let names = batch.names();
    let related: Vec<FieldId> = names
        .above(field)
        .iter()
        .chain(names.below(field))
        .copied()
        .filter(|id| batch.column(*id).is_some())
        .collect();
    let guarded = set.has_maps || is_guarded(&reference, &set.cells);
    let mut cells = set.cells;
    let touched = touched_rows(batch, rows, &related, &cells, guarded);
    let mut by_rule = Vec::with_capacity(touched.len());
    for index in touched {
        if let Some(cell) = cells.get_mut(index) {
            by_rule.push((rows.get(index), std::mem::take(cell)));
        }
    }
    move_cells(batch, rows, field, cells);
    for (row, cell) in by_rule {
        let Some(value) = batch.value_of(cell).map(Owned::new) else { continue };
        if let Err(reason) = fields::set(batch, row, &reference, value.borrowed()) {
            failed.push((row, reason));
        }
    }
}

/// Which cells must be set by Logstash's rules: all of a guarded field, else those of rows that have a value above or
/// below it. Absent ones are never among them.
fn touched_rows(
    batch: &Batch,
    rows: &SentRows<'_>,
    related: &[FieldId],
    cells: &[Cell],
    guarded: bool,
) -> Vec<usize> {
    if guarded {
        return (0..cells.len()).filter(|index| !cells[*index].is_absent()).collect();
    }
    let mut touched = RowSet::none(cells.len());
    for field in related {
        let Some(column) = batch.column(*field) else { continue };
        for (index, cell) in cells.iter().enumerate() {
            if !cell.is_absent() && column.get(rows.get(index)).is_some_and(|other| !other.is_absent()) {
                touched.insert(index);
            }
        }
    }
    touched.iter().collect()
}

fn move_cells(batch: &mut Batch, rows: &SentRows<'_>, field: FieldId, cells: Vec<Cell>) {
    if cells.iter().all(|cell| cell.is_absent()) {
        return;
    }
    let all = matches!(rows.rows, Rows::All(_)) && cells.len() == batch.rows();
    if !all {
        let column = batch.column_mut(field);
        for (index, cell) in cells.into_iter().enumerate() {
            if let Some(slot) = column.get_mut(rows.get(index)).filter(|_| !cell.is_absent()) {
                *slot = cell;
            }
        }
        return;
    }
    let Some(old) = batch.column(field) else {
        batch.set_column(field, cells);
        return;
    };
    let mut cells = cells;
    for (cell, old) in cells.iter_mut().zip(old) {
        if cell.is_absent() {
            *cell = *old;
        }
    }
    batch.set_column(field, cells);
}

/// Whether Logstash's guards of a field must be asked (`fields::set` has them).
fn is_guarded(reference: &FieldReference, cells: &[Cell]) -> bool {
    let fragments = reference.fragments();
    match fragments[0].as_str() {
        // A text too, as Logstash's own Java filters may put one there: dissect, and date for a time that a timestamp does
        // not reach. Filters for which it would be a mistake have the SDK's guard.
        "@timestamp" if fragments.len() == 1 => {
            cells.iter().any(|cell| !matches!(cell.kind(), Kind::Timestamp | Kind::Text | Kind::Absent))
        }
        "tags" => true,
        "@metadata" => fragments.get(1).is_none_or(|second| second == "tags"),
        _ => false,
    }
}

/// A value apart from the batch that is about to be changed.
enum Owned {
    Text(String),
    Json(String),
    Other(Value<'static>),
}

impl Owned {
    fn new(value: Value<'_>) -> Self {
        match value {
            Value::Text(text) => Owned::Text(text.to_owned()),
            Value::Json(text) => Owned::Json(text.to_owned()),
            Value::Null => Owned::Other(Value::Null),
            Value::Boolean(value) => Owned::Other(Value::Boolean(value)),
            Value::Integer(value) => Owned::Other(Value::Integer(value)),
            Value::Float(value) => Owned::Other(Value::Float(value)),
            Value::Timestamp(value) => Owned::Other(Value::Timestamp(value)),
            Value::Object => Owned::Other(Value::Object),
        }
    }

    fn borrowed(&self) -> Value<'_> {
        match self {
            Owned::Text(text) => Value::Text(text),
            Owned::Json(text) => Value::Json(text),
            Owned::Other(value) => *value,
        }
    }
}
