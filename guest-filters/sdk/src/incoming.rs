//! The batch as it came: values read out of columns.

use crate::boundary::columns::{Cell, Column, Texts};
use crate::row_mask::has_bit;
use crate::value::Value;

/// A length that says: no value.
pub(crate) const NO_VALUE: u32 = u32::MAX;
/// The bit of a start that says: a kernel's text, which stays in the host.
pub(crate) const KERNEL_PLACE: u32 = 1 << 31;

/// The events of a batch as they came.
#[derive(Debug)]
pub(crate) struct Incoming<'b> {
    pub(crate) rows: usize,
    pub(crate) text: &'b str,
    /// By field number; a field that is not read, or not there, has none.
    pub(crate) columns: Vec<Option<&'b Column>>,
}

impl<'b> Incoming<'b> {
    /// The column of a field.
    #[inline]
    pub(crate) fn column(&self, field: usize) -> Option<&'b Column> {
        self.columns.get(field).copied().flatten()
    }

    /// The text of a row, if it has one there.
    #[inline]
    pub(crate) fn text(&self, field: usize, row: usize) -> Option<&'b str> {
        match self.column(field)? {
            Column::Text(texts) => self.text_at(texts, row),
            Column::Mixed(_) => match self.value(field, row)? {
                Value::Text(text) => Some(text),
                _ => None,
            },
            _ => None,
        }
    }

    /// The value of a row.
    pub(crate) fn value(&self, field: usize, row: usize) -> Option<Value<'b>> {
        if row >= self.rows {
            return None;
        }
        let present = |bits: &[u8]| bits.is_empty() || has_bit(bits, row);
        match self.column(field)? {
            Column::Absent => None,
            Column::Text(texts) => self.text_at(texts, row).map(Value::Text),
            Column::Json(texts) => self.text_at(texts, row).map(Value::Json),
            Column::Integer(numbers) if present(&numbers.present) => {
                numbers.values.get(row).copied().map(Value::Integer)
            }
            Column::Timestamp(numbers) if present(&numbers.present) => {
                numbers.values.get(row).copied().map(Value::Timestamp)
            }
            Column::Boolean(numbers) if present(&numbers.present) => {
                numbers.values.get(row).map(|value| Value::Boolean(*value != 0))
            }
            Column::Float(floats) if present(&floats.present) => {
                floats.values.get(row).copied().map(Value::Float)
            }
            Column::Integer(_) | Column::Timestamp(_) | Column::Boolean(_) | Column::Float(_) => None,
            Column::Object(rows) => has_bit(rows, row).then_some(Value::Object),
            Column::Mixed(cells) => {
                let at = cells.binary_search_by_key(&(row as u32), |(row, _)| *row).ok()?;
                Some(match cells[at].1 {
                    Cell::Null => Value::Null,
                    Cell::Boolean(value) => Value::Boolean(value),
                    Cell::Integer(value) => Value::Integer(value),
                    Cell::Float(value) => Value::Float(value),
                    Cell::Timestamp(value) => Value::Timestamp(value),
                    Cell::Text((start, length)) => Value::Text(self.place(start, length)?),
                    Cell::Json((start, length)) => Value::Json(self.place(start, length)?),
                    Cell::Object => Value::Object,
                })
            }
        }
    }

    #[inline]
    pub(crate) fn text_at(&self, texts: &Texts, row: usize) -> Option<&'b str> {
        let length = *texts.lens.get(row)?;
        if length == NO_VALUE {
            return None;
        }
        self.place(*texts.starts.get(row)?, length)
    }

    #[inline]
    fn place(&self, start: u32, length: u32) -> Option<&'b str> {
        let start = start as usize;
        self.text.get(start..start.checked_add(length as usize)?)
    }

    /// Where `part` lies in the batch's text, if it is a part of it.
    #[inline]
    pub(crate) fn place_of(&self, part: &str) -> Option<u32> {
        let offset = (part.as_ptr() as usize).wrapping_sub(self.text.as_ptr() as usize);
        // A text that begins in the batch's one allocation also ends in it.
        (offset < self.text.len()).then_some(offset as u32)
    }
}
