//! What a filter changes in a batch: a column for each field that it writes, made when the first row writes it.

use crate::boundary::columns::{Cell, Column, Floats, Numbers, Texts};
use crate::incoming::NO_VALUE;
use crate::row_mask::{clear_bit, has_bit, set_bit};

/// A value to be written, its text as a place.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Placed {
    Null,
    Boolean(bool),
    Integer(i64),
    Float(f64),
    Timestamp(i64),
    Text(u32, u32),
    Json(u32, u32),
}

/// What happened to a field in a row.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Change {
    /// It is as it came.
    None,
    Removed,
    Set(Placed),
}

/// The kind of a column of numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum NumberKind {
    Integer,
    Boolean,
    Timestamp,
}

#[derive(Debug, Default)]
enum Written {
    #[default]
    Nothing,
    Texts(Vec<u32>, Vec<u32>),
    Jsons(Vec<u32>, Vec<u32>),
    Numbers(NumberKind, Vec<i64>, Vec<u8>),
    Floats(Vec<f64>, Vec<u8>),
    /// Rows ascending.
    Mixed(Vec<(u32, Placed)>),
}

/// What is changed in one field.
#[derive(Debug, Default)]
pub(crate) struct Outgoing {
    written: Written,
    /// One bit a row; empty: none.
    removed: Vec<u8>,
    /// Whether any row of the batch changed it.
    pub(crate) touched: bool,
}

impl Outgoing {
    /// What happened to the field in `row`.
    pub(crate) fn change(&self, row: usize) -> Change {
        let placed = match &self.written {
            Written::Nothing => None,
            Written::Texts(starts, lens) => {
                place_at(starts, lens, row).map(|(start, len)| Placed::Text(start, len))
            }
            Written::Jsons(starts, lens) => {
                place_at(starts, lens, row).map(|(start, len)| Placed::Json(start, len))
            }
            Written::Numbers(kind, values, present) => {
                values.get(row).filter(|_| has_bit(present, row)).map(|value| match kind {
                    NumberKind::Integer => Placed::Integer(*value),
                    NumberKind::Boolean => Placed::Boolean(*value != 0),
                    NumberKind::Timestamp => Placed::Timestamp(*value),
                })
            }
            Written::Floats(values, present) => {
                values.get(row).filter(|_| has_bit(present, row)).copied().map(Placed::Float)
            }
            Written::Mixed(cells) => find(cells, row).ok().map(|at| cells[at].1),
        };
        match placed {
            Some(placed) => Change::Set(placed),
            None if has_bit(&self.removed, row) => Change::Removed,
            None => Change::None,
        }
    }

    /// Sets a text in `row`; `rows` is how many rows a new column gets.
    #[inline]
    pub(crate) fn set_text(&mut self, row: usize, rows: usize, start: u32, length: u32) {
        if let Written::Texts(starts, lens) = &mut self.written
            && let (Some(start_slot), Some(length_slot)) = (starts.get_mut(row), lens.get_mut(row))
        {
            *start_slot = start;
            *length_slot = length;
            return;
        }
        self.set(row, rows, Placed::Text(start, length));
    }

    /// Sets a value in `row`; `rows` is how many rows a new column gets.
    pub(crate) fn set(&mut self, row: usize, rows: usize, value: Placed) {
        self.touched = true;
        if matches!(self.written, Written::Nothing) {
            self.written = column_for(value, rows.max(row + 1));
        }
        match (&mut self.written, value) {
            (Written::Texts(starts, lens), Placed::Text(start, length))
            | (Written::Jsons(starts, lens), Placed::Json(start, length)) => {
                if row >= lens.len() {
                    starts.resize(row + 1, 0);
                    lens.resize(row + 1, NO_VALUE);
                }
                starts[row] = start;
                lens[row] = length;
            }
            (Written::Numbers(NumberKind::Integer, values, present), Placed::Integer(value))
            | (Written::Numbers(NumberKind::Timestamp, values, present), Placed::Timestamp(value)) => {
                put_number(values, present, row, value);
            }
            (Written::Numbers(NumberKind::Boolean, values, present), Placed::Boolean(value)) => {
                put_number(values, present, row, i64::from(value));
            }
            (Written::Floats(values, present), Placed::Float(value)) => {
                if row >= values.len() {
                    values.resize(row + 1, 0.0);
                }
                values[row] = value;
                set_bit(present, row);
            }
            (Written::Mixed(cells), value) => put_cell(cells, row, value),
            (_, value) => {
                // The column holds another kind.
                self.unset(row);
                let mut cells = self.cells();
                put_cell(&mut cells, row, value);
                self.written = Written::Mixed(cells);
            }
        }
    }

    /// Removes the field from `row`, and what was set there before.
    pub(crate) fn remove(&mut self, row: usize) {
        self.touched = true;
        self.unset(row);
        set_bit(&mut self.removed, row);
    }

    /// Forgets what was set or removed in `row`.
    pub(crate) fn forget(&mut self, row: usize) {
        self.unset(row);
        clear_bit(&mut self.removed, row);
    }

    fn unset(&mut self, row: usize) {
        match &mut self.written {
            Written::Nothing => {}
            Written::Texts(_, lens) | Written::Jsons(_, lens) => {
                if let Some(length) = lens.get_mut(row) {
                    *length = NO_VALUE;
                }
            }
            Written::Numbers(_, _, present) | Written::Floats(_, present) => clear_bit(present, row),
            Written::Mixed(cells) => {
                if let Ok(at) = find(cells, row) {
                    cells.remove(at);
                }
            }
        }
    }

    /// All that is set, row by row.
    fn cells(&self) -> Vec<(u32, Placed)> {
        let rows = match &self.written {
            Written::Nothing => 0,
            Written::Texts(_, lens) | Written::Jsons(_, lens) => lens.len(),
            Written::Numbers(_, values, _) => values.len(),
            Written::Floats(values, _) => values.len(),
            Written::Mixed(cells) => return cells.clone(),
        };
        let mut cells = Vec::new();
        for row in 0..rows {
            if let Change::Set(value) = self.change(row) {
                cells.push((row as u32, value));
            }
        }
        cells
    }

    /// Takes over a whole column; false if something is set already, or it is of a kind that is not answered.
    pub(crate) fn take_over(&mut self, column: Column) -> Result<(), Column> {
        if !matches!(self.written, Written::Nothing) {
            return Err(column);
        }
        self.written = match column {
            Column::Text(texts) => Written::Texts(texts.starts, texts.lens),
            Column::Json(texts) => Written::Jsons(texts.starts, texts.lens),
            Column::Integer(numbers) => number_column(NumberKind::Integer, numbers),
            Column::Boolean(numbers) => number_column(NumberKind::Boolean, numbers),
            Column::Timestamp(numbers) => number_column(NumberKind::Timestamp, numbers),
            Column::Float(floats) => {
                let present = all_if_empty(floats.present, floats.values.len());
                Written::Floats(floats.values, present)
            }
            other => return Err(other),
        };
        self.touched = true;
        Ok(())
    }

    /// The column to answer, with one value for each of `rows`, and the rows to remove; both are taken out.
    pub(crate) fn finish(&mut self, rows: usize) -> (Option<Column>, Vec<u8>) {
        self.touched = false;
        let mut removed = std::mem::take(&mut self.removed);
        if !removed.is_empty() {
            removed.resize(rows.div_ceil(8), 0);
        }
        let column = match std::mem::take(&mut self.written) {
            Written::Nothing => None,
            Written::Texts(starts, lens) => Some(Column::Text(full_texts(starts, lens, rows))),
            Written::Jsons(starts, lens) => Some(Column::Json(full_texts(starts, lens, rows))),
            Written::Numbers(kind, mut values, mut present) => {
                values.resize(rows, 0);
                present.resize(rows.div_ceil(8), 0);
                let numbers = Numbers { values, present };
                Some(match kind {
                    NumberKind::Integer => Column::Integer(numbers),
                    NumberKind::Boolean => Column::Boolean(numbers),
                    NumberKind::Timestamp => Column::Timestamp(numbers),
                })
            }
            Written::Floats(mut values, mut present) => {
                values.resize(rows, 0.0);
                present.resize(rows.div_ceil(8), 0);
                Some(Column::Float(Floats { values, present }))
            }
            Written::Mixed(cells) => (!cells.is_empty()).then(|| {
                Column::Mixed(cells.into_iter().map(|(row, value)| (row, cell_of(value))).collect())
            }),
        };
        (column, removed)
    }
}

fn place_at(starts: &[u32], lens: &[u32], row: usize) -> Option<(u32, u32)> {
    let length = *lens.get(row)?;
    (length != NO_VALUE).then_some((*starts.get(row)?, length))
}

#[cold]
fn column_for(value: Placed, rows: usize) -> Written {
    let bits = || vec![0; rows.div_ceil(8)];
    match value {
        Placed::Text(..) => Written::Texts(vec![0; rows], vec![NO_VALUE; rows]),
        Placed::Json(..) => Written::Jsons(vec![0; rows], vec![NO_VALUE; rows]),
        Placed::Integer(_) => Written::Numbers(NumberKind::Integer, vec![0; rows], bits()),
        Placed::Boolean(_) => Written::Numbers(NumberKind::Boolean, vec![0; rows], bits()),
        Placed::Timestamp(_) => Written::Numbers(NumberKind::Timestamp, vec![0; rows], bits()),
        Placed::Float(_) => Written::Floats(vec![0.0; rows], bits()),
        Placed::Null => Written::Mixed(Vec::new()),
    }
}

fn put_number(values: &mut Vec<i64>, present: &mut Vec<u8>, row: usize, value: i64) {
    if row >= values.len() {
        values.resize(row + 1, 0);
    }
    values[row] = value;
    set_bit(present, row);
}

fn put_cell(cells: &mut Vec<(u32, Placed)>, row: usize, value: Placed) {
    // Rows come in ascending order, but for filters that work by column.
    if cells.last().is_none_or(|(last, _)| (*last as usize) < row) {
        cells.push((row as u32, value));
        return;
    }
    match find(cells, row) {
        Ok(at) => cells[at].1 = value,
        Err(at) => cells.insert(at, (row as u32, value)),
    }
}

fn find(cells: &[(u32, Placed)], row: usize) -> Result<usize, usize> {
    match cells.last() {
        Some((last, _)) if *last as usize == row => Ok(cells.len() - 1),
        Some((last, _)) if (*last as usize) < row => Err(cells.len()),
        _ => cells.binary_search_by_key(&(row as u32), |(row, _)| *row),
    }
}

/// A value as a cell of a mixed column.
pub(crate) fn cell_of(value: Placed) -> Cell {
    match value {
        Placed::Null => Cell::Null,
        Placed::Boolean(value) => Cell::Boolean(value),
        Placed::Integer(value) => Cell::Integer(value),
        Placed::Float(value) => Cell::Float(value),
        Placed::Timestamp(value) => Cell::Timestamp(value),
        Placed::Text(start, length) => Cell::Text((start, length)),
        Placed::Json(start, length) => Cell::Json((start, length)),
    }
}

fn full_texts(mut starts: Vec<u32>, mut lens: Vec<u32>, rows: usize) -> Texts {
    starts.resize(rows, 0);
    lens.resize(rows, NO_VALUE);
    Texts { starts, lens }
}

fn number_column(kind: NumberKind, numbers: Numbers) -> Written {
    let present = all_if_empty(numbers.present, numbers.values.len());
    Written::Numbers(kind, numbers.values, present)
}

fn all_if_empty(present: Vec<u8>, rows: usize) -> Vec<u8> {
    if present.is_empty() { vec![0xff; rows.div_ceil(8)] } else { present }
}

/// The value of a row of a column; a map's mark is none.
pub(crate) fn placed_in(column: &Column, row: usize) -> Option<Placed> {
    let place = |texts: &Texts| match (texts.starts.get(row), texts.lens.get(row)) {
        (Some(start), Some(length)) if *length != NO_VALUE => Some((*start, *length)),
        _ => None,
    };
    let number = |numbers: &Numbers| {
        let there = numbers.present.is_empty() || has_bit(&numbers.present, row);
        numbers.values.get(row).copied().filter(|_| there)
    };
    match column {
        Column::Absent | Column::Object(_) => None,
        Column::Text(texts) => place(texts).map(|(start, length)| Placed::Text(start, length)),
        Column::Json(texts) => place(texts).map(|(start, length)| Placed::Json(start, length)),
        Column::Integer(numbers) => number(numbers).map(Placed::Integer),
        Column::Boolean(numbers) => number(numbers).map(|value| Placed::Boolean(value != 0)),
        Column::Timestamp(numbers) => number(numbers).map(Placed::Timestamp),
        Column::Float(floats) => {
            let there = floats.present.is_empty() || has_bit(&floats.present, row);
            floats.values.get(row).copied().filter(|_| there).map(Placed::Float)
        }
        Column::Mixed(cells) => {
            let at = cells.binary_search_by_key(&(row as u32), |(row, _)| *row).ok()?;
            Some(match cells[at].1 {
                Cell::Null => Placed::Null,
                Cell::Boolean(value) => Placed::Boolean(value),
                Cell::Integer(value) => Placed::Integer(value),
                Cell::Float(value) => Placed::Float(value),
                Cell::Timestamp(value) => Placed::Timestamp(value),
                Cell::Text((start, length)) => Placed::Text(start, length),
                Cell::Json((start, length)) => Placed::Json(start, length),
                Cell::Object => return None,
            })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_that_differ_become_a_mixed_column() {
        let mut field = Outgoing::default();
        field.set_text(0, 3, 5, 6);
        field.set(1, 3, Placed::Integer(7));
        field.set(0, 3, Placed::Null);
        field.remove(1);
        field.set(2, 3, Placed::Float(1.5));
        assert_eq!(field.change(0), Change::Set(Placed::Null));
        assert_eq!(field.change(1), Change::Removed);
        let (column, removed) = field.finish(3);
        assert_eq!(removed, [0b10]);
        let Some(Column::Mixed(cells)) = column else { panic!("{column:?}") };
        assert!(matches!(cells.as_slice(), [(0, Cell::Null), (2, Cell::Float(_))]), "{cells:?}");
    }

    #[test]
    fn columns_grow_with_added_rows() {
        let mut field = Outgoing::default();
        field.set(0, 2, Placed::Integer(1));
        field.set(5, 2, Placed::Integer(2));
        let (Some(Column::Integer(numbers)), _) = field.finish(8) else { panic!("a column of integers") };
        assert_eq!(numbers.values, [1, 0, 0, 0, 0, 2, 0, 0]);
        assert_eq!(numbers.present, [0b10_0001]);
    }
}
