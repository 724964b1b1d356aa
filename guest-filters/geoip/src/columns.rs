//! What a kernel's columns hold, row by row.

use weir_filter::{Cell, Column, Numbers, RowMask, Texts};

/// The length that says that a row has no text.
pub(crate) const NO_TEXT: u32 = u32::MAX;

/// The rows that have a value in a column.
pub(crate) fn presence(column: &Column, rows: usize) -> RowMask {
    let mut mask = RowMask::none(rows);
    match column {
        Column::Absent | Column::Object(_) => {}
        Column::Text(texts) | Column::Json(texts) => insert_texts(&mut mask, texts),
        Column::Integer(numbers) | Column::Boolean(numbers) | Column::Timestamp(numbers) => {
            return present(&numbers.present, rows);
        }
        Column::Float(floats) => return present(&floats.present, rows),
        Column::Mixed(cells) => {
            for (row, _) in cells {
                mask.insert(*row as usize);
            }
        }
    }
    mask
}

/// A column of booleans that is false where `column` has no value; only the rows of `rows` have one.
pub(crate) fn with_false(column: &Column, rows: &RowMask) -> Column {
    let mut values = vec![0; rows.rows()];
    let mut present = vec![0; rows.rows().div_ceil(8)];
    for row in rows.iter() {
        present[row / 8] |= 1 << (row % 8);
    }
    match column {
        Column::Boolean(numbers) => {
            for row in presence(column, rows.rows()).iter() {
                if let (Some(value), Some(known)) = (values.get_mut(row), numbers.values.get(row)) {
                    *value = *known;
                }
            }
        }
        Column::Mixed(cells) => {
            for (row, cell) in cells {
                if let (Some(value), Cell::Boolean(true)) = (values.get_mut(*row as usize), cell) {
                    *value = 1;
                }
            }
        }
        _ => {}
    }
    Column::Boolean(Numbers { values, present })
}

/// The rows of both.
pub(crate) fn intersection(one: &RowMask, other: &RowMask) -> RowMask {
    let mut missing = one.clone();
    missing.subtract(other);
    let mut both = one.clone();
    both.subtract(&missing);
    both
}

/// The text at a place.
pub(crate) fn text_at<'t>(texts: &Texts, text: &'t str, row: usize) -> Option<&'t str> {
    let length = texts.lens.get(row).copied().filter(|&length| length != NO_TEXT)? as usize;
    let start = *texts.starts.get(row)? as usize;
    text.get(start..start.checked_add(length)?)
}

fn insert_texts(mask: &mut RowMask, texts: &Texts) {
    for (row, length) in texts.lens.iter().enumerate() {
        if *length != NO_TEXT {
            mask.insert(row);
        }
    }
}

fn present(bits: &[u8], rows: usize) -> RowMask {
    if bits.is_empty() { RowMask::all(rows) } else { RowMask::from_bytes(bits.to_vec(), rows) }
}
