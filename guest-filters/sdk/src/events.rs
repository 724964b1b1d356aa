//! A whole batch, for filters that work by column.

use crate::boundary::columns::{Column, Texts};
use crate::event::Event;
use crate::filter::{Failure, Outcome};
use crate::incoming::{Incoming, NO_VALUE};
use crate::outgoing::placed_in;
use crate::plan::Field;
use crate::row_mask::{RowMask, clear_bit};
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

    /// Does the work row by row; what `work` answers is what became of the row.
    #[inline]
    pub fn for_each(&mut self, mut work: impl FnMut(&mut Event<'_>) -> Result<Outcome, Failure>) {
        for row in 0..self.incoming.rows {
            let result = self.event(row, &mut work);
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
        for row in rows.iter().filter(|row| *row < self.incoming.rows) {
            self.event(row, |event| event.set(field, value))?;
        }
        Ok(())
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
    let keep = |present: &mut Vec<u8>, count: usize| {
        if present.is_empty() {
            *present = vec![0xff; count.div_ceil(8)];
        }
        for row in (0..count).filter(|row| !rows.contains(*row)) {
            clear_bit(present, row);
        }
    };
    match column {
        Column::Absent => {}
        Column::Text(texts) | Column::Json(texts) => {
            for (row, length) in texts.lens.iter_mut().enumerate() {
                if !rows.contains(row) {
                    *length = NO_VALUE;
                }
            }
        }
        Column::Integer(numbers) | Column::Boolean(numbers) | Column::Timestamp(numbers) => {
            keep(&mut numbers.present, numbers.values.len());
        }
        Column::Float(floats) => keep(&mut floats.present, floats.values.len()),
        Column::Object(bits) => {
            for row in (0..rows.rows()).filter(|row| !rows.contains(*row)) {
                clear_bit(bits, row);
            }
        }
        Column::Mixed(cells) => cells.retain(|(row, _)| rows.contains(*row as usize)),
    }
}

fn has_value(column: &Column, row: usize) -> bool {
    placed_in(column, row).is_some()
}
