//! A whole batch, for filters that work by column.

use crate::boundary::columns::{Column, Texts};
use crate::event::Event;
use crate::fields::Guard;
use crate::filter::{Failure, Outcome};
use crate::incoming::{Incoming, NO_VALUE};
use crate::outgoing::placed_in;
use crate::plan::Field;
use crate::row_mask::RowMask;
use crate::scratch::Scratch;
use crate::value::Value;
use crate::work::Work;

/// The events of a batch. Either every row is settled by [`Events::for_each`], or the filter says what became of them
/// with [`Events::matched`], [`Events::tagged`] and [`Events::failed`]; of a row of which nothing is said, nothing became.
#[derive(Debug)]
pub struct Events<'b> {
    pub(crate) incoming: &'b Incoming<'b>,
    pub(crate) work: &'b mut Work,
}

impl<'b> Events<'b> {
    /// How many events there are.
    pub fn len(&self) -> usize {
        self.incoming.rows
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.incoming.rows == 0
    }

    /// The batch's text, in which the places of its columns lie.
    pub fn text(&self) -> &'b str {
        self.incoming.text
    }

    /// A field's column as it came; `None` if the plan does not read it.
    pub fn column(&self, field: Field) -> Option<&'b Column> {
        self.incoming.column(field.index())
    }

    /// A field's places, if all rows that have it have a text.
    pub fn texts(&self, field: Field) -> Option<&'b Texts> {
        match self.column(field)? {
            Column::Text(texts) => Some(texts),
            _ => None,
        }
    }

    /// The text of a row of [`Events::texts`], if it has one.
    #[inline]
    pub fn text_at(&self, texts: &Texts, row: usize) -> Option<&'b str> {
        self.incoming.text_at(texts, row)
    }

    /// Does the work row by row; what `work` answers is what became of the row.
    #[inline]
    pub fn for_each(&mut self, mut work: impl FnMut(&mut Event<'_>) -> Result<Outcome, Failure>) {
        for row in 0..self.incoming.rows {
            let result = self.event(row, &mut work);
            self.work.settle(row, result);
        }
    }

    /// Says of the rows of `done` that the filter did its work, and does it on all others row by row: for filters that work
    /// by column where a batch is as usual, and look at the rows that are not.
    #[inline]
    pub fn for_each_other(
        &mut self,
        done: &RowMask,
        mut work: impl FnMut(&mut Event<'_>) -> Result<Outcome, Failure>,
    ) {
        if done.count() == self.incoming.rows {
            return self.matched(done);
        }
        for row in 0..self.incoming.rows {
            let result = match done.contains(row) {
                true => Ok(Outcome::Matched),
                false => self.event(row, &mut work),
            };
            self.work.settle(row, result);
        }
    }

    /// One event of the batch. What became of it is still to be said; tags that were put on it go with what is said next.
    #[inline]
    pub fn event<T>(&mut self, row: usize, work: impl FnOnce(&mut Event<'_>) -> T) -> T {
        let mut scratch = Scratch::default();
        work(&mut Event {
            incoming: self.incoming,
            work: &mut *self.work,
            scratch: scratch.end(),
            row,
            input_row: row,
        })
    }

    /// Says what became of one row, with the tags that were put on its event.
    pub fn settle(&mut self, row: usize, result: Result<Outcome, Failure>) {
        self.work.settle(row, result);
    }

    /// Whether a field can be set to such a value in every row, without a look at what else the row has: nothing above or
    /// below it is planned or came with the batch, and it may hold the value. [`Events::set_column`] with a column of such
    /// values then does what [`Event::set`] does row by row.
    pub fn is_independent(&self, field: Field, value: Value<'_>) -> bool {
        let info = self.work.fields.get(field);
        let may_hold = match info.guard {
            Guard::Free => true,
            Guard::Timestamp => matches!(value, Value::Timestamp(_)),
            Guard::Tags | Guard::BelowTags | Guard::Metadata => false,
        };
        may_hold && info.written && info.above.is_empty() && info.below.is_empty()
    }

    /// The rows in which `field` cannot be set, because it lies below something that is no map (a list counts as one
    /// here).
    pub fn blocked(&mut self, field: Field) -> RowMask {
        let mut blocked = RowMask::none(self.incoming.rows);
        for index in 0..self.work.fields.get(field).above.len() {
            let above = self.work.fields.get(field).above[index];
            if !self.work.is_touched(above)
                && matches!(
                    self.incoming.column(above.index()),
                    None | Some(Column::Absent | Column::Object(_))
                )
            {
                continue;
            }
            for row in 0..self.incoming.rows {
                let is_map = self.event(row, |event| match event.get(above) {
                    None | Some(Value::Object) => true,
                    Some(Value::Json(text)) => text.starts_with('{'),
                    Some(_) => false,
                });
                if !is_map {
                    blocked.insert(row);
                }
            }
        }
        blocked
    }

    /// Sets a field in all rows that have a value in `column`: one that a kernel answered, or one that was made. Places
    /// are the batch's, a kernel's, or those of [`Events::place`]. Nothing is checked that [`Event::set`] checks, but
    /// what lies below the field is removed.
    pub fn set_column(&mut self, field: Field, column: Column) {
        if matches!(column, Column::Absent | Column::Object(_)) {
            return;
        }
        let below = self.work.fields.get(field).below.clone();
        if !below.is_empty() {
            for row in (0..self.incoming.rows).filter(|row| has_value(&column, *row)) {
                for below in &below {
                    self.work.outgoing[below.index()].remove(row);
                }
            }
        }
        let Err(column) = self.work.outgoing[field.index()].take_over(column) else { return };
        // Something is set there already, or rows differ in kind.
        for row in 0..self.incoming.rows {
            if let Some(placed) = placed_in(&column, row) {
                self.work.set(field, row, placed);
            }
        }
    }

    /// Sets a field to the same value in some rows.
    ///
    /// # Errors
    /// As for [`Event::set`]; rows before the one that failed are set.
    pub fn set_in_rows(&mut self, field: Field, value: Value<'_>, rows: &RowMask) -> Result<(), Failure> {
        // A map may give values to what lies below; of other values it is known what they do where nothing is around.
        let is_alone = !matches!(value, Value::Json(_)) && self.nothing_is_around(field);
        for row in rows.iter().filter(|row| *row < self.incoming.rows) {
            self.event(row, |event| match is_alone {
                true => event.set_alone(field, value),
                false => event.set(field, value),
            })?;
        }
        Ok(())
    }

    /// Whether no row has anything above or below a field.
    fn nothing_is_around(&self, field: Field) -> bool {
        let info = self.work.fields.get(field);
        info.above.iter().chain(&info.below).all(|other| {
            !self.work.is_touched(*other)
                && matches!(self.incoming.column(other.index()), None | Some(Column::Absent))
        })
    }

    /// Keeps a text for a column that is made: answers its start.
    ///
    /// # Errors
    /// If the filter wrote more text than a batch can hold.
    pub fn place(&mut self, text: &str) -> Result<u32, Failure> {
        self.work.place(self.incoming, text)
    }

    /// Says of rows that the filter did its work.
    pub fn matched(&mut self, rows: &RowMask) {
        self.work.verdicts.matched(rows);
    }

    /// Puts tags on rows.
    pub fn tagged(&mut self, rows: &RowMask, tags: &[String]) {
        self.work.verdicts.say_of(rows, false, tags, "");
    }

    /// Says of rows that the filter failed, and puts tags on them.
    pub fn failed(&mut self, rows: &RowMask, tags: &[String], reason: &str) {
        self.work.verdicts.say_of(rows, true, tags, reason);
    }

    /// Adds to one of the filter's counters; told to the host once a batch.
    pub fn count(&mut self, metric: &'static str, by: u64) {
        self.work.count(metric, by);
    }

    /// Nanoseconds since 1970-01-01T00:00:00Z; the same for the whole batch.
    pub fn now(&self) -> i64 {
        self.work.now()
    }
}

/// Keeps of a column only what the rows of `rows` have.
pub fn keep_rows(column: &mut Column, rows: &RowMask) {
    match column {
        Column::Absent => {}
        Column::Text(texts) | Column::Json(texts) => {
            for (eight, kept) in texts.lens.chunks_mut(8).zip(rows.bytes_and_zeros()) {
                if kept == 0xff {
                    continue;
                }
                for (bit, length) in eight.iter_mut().enumerate() {
                    if kept >> bit & 1 == 0 {
                        *length = NO_VALUE;
                    }
                }
            }
        }
        Column::Integer(numbers) | Column::Boolean(numbers) | Column::Timestamp(numbers) => {
            keep_present(&mut numbers.present, numbers.values.len(), rows);
        }
        Column::Float(floats) => keep_present(&mut floats.present, floats.values.len(), rows),
        Column::Object(maps) => keep_bits(maps, rows),
        Column::Mixed(cells) => cells.retain(|(row, _)| rows.contains(*row as usize)),
    }
}

fn keep_present(present: &mut Vec<u8>, count: usize, rows: &RowMask) {
    if present.is_empty() {
        *present = vec![0xff; count.div_ceil(8)];
    }
    keep_bits(present, rows);
}

fn keep_bits(bits: &mut [u8], rows: &RowMask) {
    for (byte, kept) in bits.iter_mut().zip(rows.bytes_and_zeros()) {
        *byte &= kept;
    }
}

fn has_value(column: &Column, row: usize) -> bool {
    placed_in(column, row).is_some()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::boundary::columns::{Cell, Numbers};

    /// Of twelve rows the first, the third and the tenth are kept.
    fn check(mut column: Column, expected: &[usize]) {
        let rows = RowMask::from_bytes(vec![0b101, 0b10], 12);
        keep_rows(&mut column, &rows);
        let found: Vec<usize> = match &column {
            Column::Object(maps) => RowMask::from_bytes(maps.clone(), 12).iter().collect(),
            column => (0..12).filter(|row| has_value(column, *row)).collect(),
        };
        assert_eq!(found, expected, "{column:?}");
    }

    #[test]
    fn rows_that_are_kept() {
        let texts = |lens: Vec<u32>| Column::Text(Texts { starts: vec![0; 12], lens });
        let numbers = |present: Vec<u8>| Column::Integer(Numbers { values: vec![1; 12], present });
        check(Column::Absent, &[]);
        check(texts(vec![1; 12]), &[0, 2, 9]);
        check(texts(vec![1, NO_VALUE, NO_VALUE, 1, 1, 1, 1, 1, 1, 0, 1, 1]), &[0, 9]);
        check(numbers(Vec::new()), &[0, 2, 9]);
        check(numbers(vec![0b110, 0xff]), &[2, 9]);
        check(Column::Object(Vec::new()), &[]);
        check(Column::Object(vec![0xff, 0]), &[0, 2]);
        check(Column::Mixed(vec![(1, Cell::Null), (9, Cell::Null)]), &[9]);
    }
}
