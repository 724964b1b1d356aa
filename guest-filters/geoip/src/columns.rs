//! What a kernel's columns hold, row by row.

use weir_filter::{Cell, Column, Numbers, RowMask, Texts};

/// The length that says that a row has no text.
pub(crate) const NO_TEXT: u32 = u32::MAX;

/// The rows that have a value in a column.
pub(crate) fn presence(column: &Column, rows: usize) -> RowMask {
    match column {
        Column::Absent | Column::Object(_) => RowMask::none(rows),
        Column::Text(texts) | Column::Json(texts) => with_text(texts, rows),
        Column::Integer(numbers) | Column::Boolean(numbers) | Column::Timestamp(numbers) => {
            present(&numbers.present, rows)
        }
        Column::Float(floats) => present(&floats.present, rows),
        Column::Mixed(cells) => {
            let mut mask = RowMask::none(rows);
            for (row, _) in cells {
                mask.insert(*row as usize);
            }
            mask
        }
    }
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

/// The rows that have a text.
fn with_text(texts: &Texts, rows: usize) -> RowMask {
    let mut bytes = Vec::with_capacity(rows.div_ceil(8));
    let (eights, rest) = texts.lens.as_chunks::<8>();
    for eight in eights {
        bytes.push(bits_of(eight));
    }
    bytes.push(bits_of(rest));
    RowMask::from_bytes(bytes, rows)
}

/// A bit for each of eight lengths that is one. A table of bits, as the compiler makes shifts into something much longer.
#[inline(always)]
fn bits_of(lens: &[u32]) -> u8 {
    let mut byte = 0;
    for (length, bit) in lens.iter().zip([1, 2, 4, 8, 16, 32, 64, 128]) {
        byte |= if *length == NO_TEXT { 0 } else { bit };
    }
    byte
}

fn present(bits: &[u8], rows: usize) -> RowMask {
    if bits.is_empty() { RowMask::all(rows) } else { RowMask::from_bytes(bits.to_vec(), rows) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use weir_filter::Floats;

    fn rows(mask: &RowMask) -> Vec<usize> {
        mask.iter().collect()
    }

    #[test]
    fn rows_with_values() {
        let numbers = |present: &[u8]| Numbers { values: vec![1, 0, 1], present: present.to_vec() };
        let texts = Texts { starts: vec![0; 3], lens: vec![2, NO_TEXT, 0] };
        for (column, expected) in [
            (Column::Absent, vec![]),
            (Column::Text(texts), vec![0, 2]),
            (Column::Integer(numbers(&[])), vec![0, 1, 2]),
            (Column::Boolean(numbers(&[0b110])), vec![1, 2]),
            (Column::Float(Floats { values: vec![0.0; 3], present: vec![0b1] }), vec![0]),
            (Column::Mixed(vec![(1, Cell::Integer(5))]), vec![1]),
        ] {
            assert_eq!(rows(&presence(&column, 3)), expected, "{column:?}");
        }
    }

    #[test]
    fn missing_flags_are_false() {
        let found = RowMask::from_bytes(vec![0b1011], 4);
        let check = |column: Column, expected: [i64; 4]| {
            let Column::Boolean(flags) = with_false(&column, &found) else { panic!("booleans") };
            assert_eq!((flags.values.as_slice(), flags.present), (&expected[..], vec![0b1011]), "{column:?}");
        };
        check(Column::Absent, [0; 4]);
        check(Column::Boolean(Numbers { values: vec![1, 0, 0, 1], present: vec![0b1001] }), [1, 0, 0, 1]);
        check(Column::Boolean(Numbers { values: vec![1, 0, 1, 1], present: Vec::new() }), [1, 0, 1, 1]);
        check(Column::Mixed(vec![(0, Cell::Boolean(false)), (3, Cell::Boolean(true))]), [0, 0, 0, 1]);
    }

    #[test]
    fn rows_of_both() {
        let mask = |bits: u8| RowMask::from_bytes(vec![bits], 6);
        assert_eq!(intersection(&mask(0b11_0110), &mask(0b10_1010)), mask(0b10_0010));
    }
}
