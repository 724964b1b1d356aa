//! A set of rows of a batch: one bit a row, the lowest bit of the first byte for row 0.

/// Some of a batch's rows.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct RowMask {
    bytes: Vec<u8>,
    rows: usize,
}

impl RowMask {
    /// No row out of `rows`.
    pub fn none(rows: usize) -> Self {
        RowMask { bytes: vec![0; rows.div_ceil(8)], rows }
    }

    /// All of `rows`.
    pub fn all(rows: usize) -> Self {
        let mut mask = RowMask { bytes: vec![0xff; rows.div_ceil(8)], rows };
        mask.clear_tail();
        mask
    }

    /// The rows of a kernel's answer: one bit a row; missing bytes are no rows.
    pub fn from_bytes(mut bytes: Vec<u8>, rows: usize) -> Self {
        bytes.resize(rows.div_ceil(8), 0);
        let mut mask = RowMask { bytes, rows };
        mask.clear_tail();
        mask
    }

    fn clear_tail(&mut self) {
        if let (Some(last), tail @ 1..) = (self.bytes.last_mut(), self.rows % 8) {
            *last &= (1_u8 << tail) - 1;
        }
    }

    /// How many rows the set is drawn from.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Whether `row` is in the set; false past the end.
    #[inline]
    pub fn contains(&self, row: usize) -> bool {
        has_bit(&self.bytes, row)
    }

    /// Adds `row`; past the end, the set grows.
    #[inline]
    pub fn insert(&mut self, row: usize) {
        if row >= self.rows {
            self.rows = row + 1;
        }
        set_bit(&mut self.bytes, row);
    }

    /// Takes `row` out.
    #[inline]
    pub fn remove(&mut self, row: usize) {
        clear_bit(&mut self.bytes, row);
    }

    /// How many rows are in the set.
    pub fn count(&self) -> usize {
        self.bytes.iter().map(|byte| byte.count_ones() as usize).sum()
    }

    /// Whether no row is in the set.
    pub fn is_empty(&self) -> bool {
        self.bytes.iter().all(|byte| *byte == 0)
    }

    /// The rows that are in this set or in `other`.
    pub fn union(&mut self, other: &RowMask) {
        self.grow(other.rows);
        for (byte, more) in self.bytes.iter_mut().zip(&other.bytes) {
            *byte |= more;
        }
    }

    /// Takes out the rows of `other`.
    pub fn subtract(&mut self, other: &RowMask) {
        for (byte, less) in self.bytes.iter_mut().zip(&other.bytes) {
            *byte &= !less;
        }
    }

    /// The rows in the set, ascending.
    pub fn iter(&self) -> impl Iterator<Item = usize> + '_ {
        self.bytes.iter().enumerate().flat_map(|(index, byte)| {
            (0..8).filter(move |bit| byte >> bit & 1 != 0).map(move |bit| index * 8 + bit)
        })
    }

    /// Draws the set from more rows.
    pub(crate) fn grow(&mut self, rows: usize) {
        if rows > self.rows {
            self.rows = rows;
            self.bytes.resize(rows.div_ceil(8), 0);
        }
    }

    /// One bit a row, and nothing but zeros after the last byte.
    pub(crate) fn bytes_and_zeros(&self) -> impl Iterator<Item = u8> + '_ {
        self.bytes.iter().copied().chain(std::iter::repeat(0))
    }

    /// One bit a row, as columns have it.
    pub fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }
}

/// Whether the bit of `row` is set; not past the end.
#[inline]
pub(crate) fn has_bit(bits: &[u8], row: usize) -> bool {
    bits.get(row >> 3).is_some_and(|byte| byte >> (row & 7) & 1 != 0)
}

/// Sets the bit of `row`; the bits grow if they must.
#[inline]
pub(crate) fn set_bit(bits: &mut Vec<u8>, row: usize) {
    if bits.len() <= row >> 3 {
        bits.resize((row >> 3) + 1, 0);
    }
    bits[row >> 3] |= 1 << (row & 7);
}

/// Clears the bit of `row`, if there is one.
#[inline]
pub(crate) fn clear_bit(bits: &mut [u8], row: usize) {
    if let Some(byte) = bits.get_mut(row >> 3) {
        *byte &= !(1 << (row & 7));
    }
}
