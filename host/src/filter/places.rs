//! An answer's columns as cells, every place and length checked. A place in what was sent becomes a part of the cell that
//! was sent, one in the answer's own text or a kernel's points into that text: nothing is copied.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::addresses::{KernelText, KernelTexts};
use super::answer::lie;
use super::encode::{Encoder, Rows};
use super::instance::Break;
use super::interface::{Column, KERNEL_PLACE, MixedCell, NO_VALUE, Numbers, Texts};
use crate::event::{Batch, Cell};

/// Understands places: in what was sent, in the answer's own text, in a kernel's.
pub(super) struct Places<'a> {
    batch: &'a Batch,
    rows: &'a Rows,
    sent: &'a Encoder,
    kernel_texts: &'a KernelTexts,
    text: Arc<String>,
    /// Whether `text` is ASCII.
    ascii: bool,
    /// The buffers that cells point into so far.
    texts: Vec<Arc<String>>,
    answer_buffer: Option<u32>,
    sent_buffer: Option<u32>,
    /// By the number of a kernel's text.
    kernel_buffers: BTreeMap<usize, u32>,
    /// The text of the last kernel's place, and its buffer.
    last_kernel: Option<(&'a KernelText, u32)>,
}

impl<'a> Places<'a> {
    /// For an answer with `text` to what `sent` holds of `rows` of `batch`.
    pub(super) fn new(
        batch: &'a Batch,
        rows: &'a Rows,
        sent: &'a Encoder,
        kernel_texts: &'a KernelTexts,
        text: String,
    ) -> Self {
        Places {
            batch,
            rows,
            sent,
            kernel_texts,
            ascii: text.is_ascii(),
            text: Arc::new(text),
            texts: Vec::new(),
            answer_buffer: None,
            sent_buffer: None,
            kernel_buffers: BTreeMap::new(),
            last_kernel: None,
        }
    }

    /// The buffers that the cells point into: the first is the one after the batch's last.
    pub(super) fn into_texts(self) -> Vec<Arc<String>> {
        self.texts
    }

    /// A column as cells, one a row, and whether there are maps among them; no cells if it has no value at all.
    pub(super) fn cells(
        &mut self,
        column: Column,
        rows: usize,
        whole: bool,
    ) -> Result<(Vec<Cell>, bool), Break> {
        let mut has_maps = false;
        let cells = match column {
            Column::Absent => Vec::new(),
            Column::Text(texts) => self.text_cells(&texts, rows)?,
            Column::Json(texts) => {
                check_lengths(texts.starts.len(), texts.lens.len(), rows)?;
                let mut cells = Vec::with_capacity(rows);
                for (row, (start, length)) in texts.starts.iter().zip(&texts.lens).enumerate() {
                    cells.push(match *length {
                        NO_VALUE => Cell::ABSENT,
                        length => self.json(row, *start, length, whole, &mut has_maps)?,
                    });
                }
                cells
            }
            Column::Integer(numbers) => number_cells(&numbers, rows, Cell::integer)?,
            Column::Timestamp(numbers) => number_cells(&numbers, rows, Cell::timestamp)?,
            Column::Boolean(numbers) => number_cells(&numbers, rows, |value| Cell::boolean(value != 0))?,
            Column::Float(floats) => {
                check_present(floats.values.len(), &floats.present, rows)?;
                let cell = |(row, value): (usize, &f64)| match is_present(&floats.present, row) {
                    true => Cell::float(*value),
                    false => Cell::ABSENT,
                };
                floats.values.iter().enumerate().map(cell).collect()
            }
            Column::Object(_) => {
                return Err(lie("it sets a map by the mark `object`, which is never answered"));
            }
            Column::Mixed(mixed) => {
                let mut cells = vec![Cell::ABSENT; rows];
                let mut next = 0;
                for (row, value) in mixed {
                    let row = row as usize;
                    let Some(cell) = cells.get_mut(row).filter(|_| row >= next) else {
                        return Err(lie(format!(
                            "a mixed column's rows do not ascend, or one is not below {rows}"
                        )));
                    };
                    *cell = self.mixed_cell(row, value, whole, &mut has_maps)?;
                    next = row + 1;
                }
                cells
            }
        };
        Ok((cells, has_maps))
    }

    fn mixed_cell(
        &mut self,
        row: usize,
        value: MixedCell,
        whole: bool,
        has_maps: &mut bool,
    ) -> Result<Cell, Break> {
        Ok(match value {
            MixedCell::Null => Cell::NULL,
            MixedCell::Boolean(value) => Cell::boolean(value),
            MixedCell::Integer(value) => Cell::integer(value),
            MixedCell::Float(value) => Cell::float(value),
            MixedCell::Timestamp(value) => Cell::timestamp(value),
            MixedCell::Text((start, length)) => self.text(row, start, length)?,
            MixedCell::Json((start, length)) => self.json(row, start, length, whole, has_maps)?,
            MixedCell::Object => {
                return Err(lie("it sets a map by the mark `object`, which is never answered"));
            }
        })
    }

    fn text_cells(&mut self, texts: &Texts, rows: usize) -> Result<Vec<Cell>, Break> {
        check_lengths(texts.starts.len(), texts.lens.len(), rows)?;
        let mut cells = Vec::with_capacity(rows);
        self.push_parts(texts, &mut cells);
        for (row, (start, length)) in texts.starts.iter().zip(&texts.lens).enumerate().skip(cells.len()) {
            let cell = match *length {
                NO_VALUE => Cell::ABSENT,
                length => match self.part_of_last_kernel(*start, length) {
                    Some(cell) => cell,
                    None => self.text(row, *start, length)?,
                },
            };
            cells.push(cell);
        }
        Ok(cells)
    }

    /// The most frequent column: parts of the very row's text in one field that was sent, all of it ASCII. Goes as far as
    /// rows are like that; three times faster than asking for each place whose text it is.
    fn push_parts(&self, texts: &Texts, cells: &mut Vec<Cell>) {
        let first =
            texts.lens.iter().position(|length| *length != NO_VALUE).and_then(|row| texts.starts.get(row));
        let Some(source) = first.and_then(|first| self.sent.source_around(*first)) else { return };
        let (Rows::All(_), true, Some(column)) =
            (self.rows, self.sent.is_ascii(), self.batch.column(source.field))
        else {
            return;
        };
        let places = texts.starts.iter().zip(&texts.lens);
        let sent = source.texts.starts.iter().zip(&source.texts.lens);
        for (((start, length), (own, own_length)), cell) in places.zip(sent).zip(column) {
            if *length == NO_VALUE {
                cells.push(Cell::ABSENT);
                continue;
            }
            let offset = start.wrapping_sub(*own);
            let inside = *own_length != NO_VALUE
                && start >= own
                && u64::from(offset) + u64::from(*length) <= u64::from(*own_length);
            if !inside {
                return;
            }
            cells.push(cell.part(offset, *length));
        }
    }

    /// A text cell for a place. A part of what was sent becomes a part of the cell that was sent: nothing is copied.
    #[inline]
    fn text(&mut self, row: usize, start: u32, length: u32) -> Result<Cell, Break> {
        let sent_length = self.sent.text().len();
        if start & KERNEL_PLACE != 0 {
            return self.kernel_text(start & !KERNEL_PLACE, length);
        }
        if (start as usize) < sent_length {
            return self.sent_text(row, start, length);
        }
        let at = start as usize - sent_length;
        let end = at + length as usize;
        let whole = end <= self.text.len()
            && (self.ascii || self.text.is_char_boundary(at) && self.text.is_char_boundary(end));
        if !whole {
            return Err(out_of_place(start, length));
        }
        if length == 0 {
            return Ok(Cell::text(self.answer_buffer(), 0, 0));
        }
        Ok(Cell::text(self.answer_buffer(), at as u32, length))
    }

    #[inline]
    fn sent_text(&mut self, row: usize, start: u32, length: u32) -> Result<Cell, Break> {
        let text = self.sent.text();
        let (at, end) = (start as usize, start as usize + length as usize);
        let whole = end <= text.len()
            && (self.sent.is_ascii() || text.is_char_boundary(at) && text.is_char_boundary(end));
        if !whole {
            return Err(out_of_place(start, length));
        }
        if let Some((field, offset)) = self.sent.source(row, start, length) {
            let cell = self.batch.cell(self.rows.get(row), field);
            return Ok(cell.part(offset, length));
        }
        // Another row's text, an added row's, JSON, or more than one value: rare, so the sent text is kept as it is.
        let buffer = match self.sent_buffer {
            Some(buffer) => buffer,
            None => {
                let buffer = self.keep(Arc::new(text.to_owned()));
                self.sent_buffer = Some(buffer);
                buffer
            }
        };
        Ok(Cell::text(buffer, start, length))
    }

    /// Most kernel places of a column lie in one text.
    #[inline]
    fn part_of_last_kernel(&self, start: u32, length: u32) -> Option<Cell> {
        let (text, buffer) = self.last_kernel?;
        let at = text.find(start.checked_sub(KERNEL_PLACE)?, length)?;
        Some(Cell::text(buffer, at, length))
    }

    fn kernel_text(&mut self, start: u32, length: u32) -> Result<Cell, Break> {
        let Some((number, text)) = self.kernel_texts.around(start) else {
            return Err(out_of_place(start | KERNEL_PLACE, length));
        };
        let Some(at) = text.find(start, length) else {
            return Err(out_of_place(start | KERNEL_PLACE, length));
        };
        let buffer = match self.kernel_buffers.get(&number) {
            Some(buffer) => *buffer,
            None => {
                let buffer = self.keep(text.text().clone());
                self.kernel_buffers.insert(number, buffer);
                buffer
            }
        };
        self.last_kernel = Some((text, buffer));
        Ok(Cell::text(buffer, at, length))
    }

    fn json(
        &mut self,
        row: usize,
        start: u32,
        length: u32,
        whole: bool,
        has_maps: &mut bool,
    ) -> Result<Cell, Break> {
        let cell = self.text(row, start, length)?;
        let (buffer, start, length) = cell.place();
        let text = self.text_of(cell);
        // As a value, so that the depth of what is read again later is bounded here.
        let parsed: serde_json::Value =
            serde_json::from_str(text).map_err(|error| lie(format!("its JSON is not valid: {error}")))?;
        match parsed {
            serde_json::Value::Array(_) => {}
            serde_json::Value::Object(members) if members.is_empty() => {}
            serde_json::Value::Object(_) if whole => *has_maps = true,
            serde_json::Value::Object(_) => {
                return Err(lie("it sets a map at a field that its plan does not write as a whole"));
            }
            serde_json::Value::Number(number) => {
                if let Some(value) = number.as_i64() {
                    return Ok(Cell::integer(value));
                }
            }
            _ => return Err(lie("its JSON is a text, boolean or null, which have kinds of their own")),
        }
        Ok(Cell::json(buffer, start, length))
    }

    /// The text of a cell that points into the batch or into the buffers that will follow.
    fn text_of(&self, cell: Cell) -> &str {
        let (buffer, start, length) = cell.place();
        match (buffer as usize).checked_sub(self.batch.texts().len()) {
            None => self.batch.text_of(cell),
            Some(number) => {
                let (start, length) = (start as usize, length as usize);
                self.texts.get(number).and_then(|text| text.get(start..start + length)).unwrap_or_default()
            }
        }
    }

    #[inline]
    fn answer_buffer(&mut self) -> u32 {
        match self.answer_buffer {
            Some(buffer) => buffer,
            None => {
                let buffer = self.keep(self.text.clone());
                self.answer_buffer = Some(buffer);
                buffer
            }
        }
    }

    fn keep(&mut self, text: Arc<String>) -> u32 {
        self.texts.push(text);
        (self.batch.texts().len() + self.texts.len() - 1) as u32
    }
}

fn out_of_place(start: u32, length: u32) -> Break {
    lie(format!("a place of {length} bytes from {start} lies in no text, or not on character boundaries"))
}

fn check_lengths(first: usize, second: usize, rows: usize) -> Result<(), Break> {
    if first != rows || second != rows {
        return Err(lie(format!("a column has {first} and {second} elements for {rows} rows")));
    }
    Ok(())
}

fn check_present(values: usize, present: &[u8], rows: usize) -> Result<(), Break> {
    if !present.is_empty() && present.len() != rows.div_ceil(8) {
        return Err(lie(format!("a column's mask has {} bytes for {rows} rows", present.len())));
    }
    check_lengths(values, values, rows)
}

#[inline]
fn is_present(present: &[u8], row: usize) -> bool {
    present.is_empty() || present.get(row / 8).is_some_and(|byte| byte >> (row % 8) & 1 != 0)
}

fn number_cells(numbers: &Numbers, rows: usize, cell: impl Fn(i64) -> Cell) -> Result<Vec<Cell>, Break> {
    check_present(numbers.values.len(), &numbers.present, rows)?;
    if numbers.present.is_empty() {
        return Ok(numbers.values.iter().map(|value| cell(*value)).collect());
    }
    let value = |(row, value): (usize, &i64)| match is_present(&numbers.present, row) {
        true => cell(*value),
        false => Cell::ABSENT,
    };
    Ok(numbers.values.iter().enumerate().map(value).collect())
}
