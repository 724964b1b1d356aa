//! A set of rows of a batch: one bit a row. The same form crosses the boundary (`rows` in wit/filter.wit).

/// Some of a batch's rows.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct RowSet {
    bytes: Vec<u8>,
    rows: usize,
}

impl RowSet {
    /// No row out of `rows`.
    pub fn none(rows: usize) -> Self {
        RowSet { bytes: vec![0; rows.div_ceil(8)], rows }
    }

    /// All of `rows`.
    pub fn all(rows: usize) -> Self {
        let mut set = RowSet { bytes: vec![0xff; rows.div_ceil(8)], rows };
        set.clear_tail();
        set
    }

    /// The rows that a guest named, or `None` if the length is not that of `rows` rows. Empty means no row.
    pub fn from_bytes(mut bytes: Vec<u8>, rows: usize) -> Option<Self> {
        if bytes.is_empty() {
            bytes = vec![0; rows.div_ceil(8)];
        }
        if bytes.len() != rows.div_ceil(8) {
            return None;
        }
        let mut set = RowSet { bytes, rows };
        set.clear_tail();
        Some(set)
    }

    fn clear_tail(&mut self) {
        if let (Some(last), tail @ 1..) = (self.bytes.last_mut(), self.rows % 8) {
            *last &= (1_u8 << tail) - 1;
        }
    }

    /// The bits, the lowest bit of the first byte for row 0.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// How many rows the set is drawn from.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Whether `row` is in the set; false past the end.
    #[inline]
    pub fn contains(&self, row: usize) -> bool {
        self.bytes.get(row / 8).is_some_and(|byte| byte >> (row % 8) & 1 != 0)
    }

    /// Adds `row`, which must be one of the rows.
    #[inline]
    pub fn insert(&mut self, row: usize) {
        debug_assert!(row < self.rows);
        if let Some(byte) = self.bytes.get_mut(row / 8) {
            *byte |= 1 << (row % 8);
        }
    }

    /// Takes `row` out.
    #[inline]
    pub fn remove(&mut self, row: usize) {
        if let Some(byte) = self.bytes.get_mut(row / 8) {
            *byte &= !(1 << (row % 8));
        }
    }

    /// Draws the set from `rows` rows, of which there are no fewer than before. The new ones are not in it.
    pub fn grow(&mut self, rows: usize) {
        debug_assert!(rows >= self.rows);
        self.bytes.resize(rows.div_ceil(8), 0);
        self.rows = rows;
    }

    /// How many rows are in the set.
    pub fn count(&self) -> usize {
        self.bytes.iter().map(|byte| byte.count_ones() as usize).sum()
    }

    /// Whether no row is in the set.
    pub fn is_empty(&self) -> bool {
        self.bytes.iter().all(|byte| *byte == 0)
    }

    /// Whether every row is in the set.
    pub fn is_all(&self) -> bool {
        self.count() == self.rows
    }

    /// Adds the rows of another set over the same rows.
    pub fn union(&mut self, other: &RowSet) {
        for (byte, more) in self.bytes.iter_mut().zip(&other.bytes) {
            *byte |= more;
        }
    }

    /// Keeps only the rows that are in the other set too.
    pub fn intersect(&mut self, other: &RowSet) {
        for (index, byte) in self.bytes.iter_mut().enumerate() {
            *byte &= other.bytes.get(index).copied().unwrap_or(0);
        }
    }

    /// Takes out the rows of the other set.
    pub fn subtract(&mut self, other: &RowSet) {
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
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tail_bits_are_ignored() {
        let set = RowSet::from_bytes(vec![0xff, 0xff], 10).expect("the right length");
        assert_eq!(set.count(), 10);
        assert!(set.is_all());
        assert_eq!(set, RowSet::all(10));
        assert!(RowSet::from_bytes(vec![0xff], 10).is_none());
        assert_eq!(RowSet::from_bytes(vec![], 10), Some(RowSet::none(10)));
    }

    #[test]
    fn set_operations() {
        let mut set = RowSet::none(20);
        set.insert(3);
        set.insert(19);
        let mut other = RowSet::all(20);
        other.subtract(&set);
        assert_eq!(other.count(), 18);
        other.union(&set);
        other.remove(0);
        other.intersect(&set);
        assert_eq!(other.iter().collect::<Vec<_>>(), vec![3, 19]);
    }
}
