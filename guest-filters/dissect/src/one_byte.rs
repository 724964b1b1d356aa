//! Lines whose parts all end with the same byte, such as a space: where it stands is found for 64 bytes at once, whatever
//! the parts' lengths, so that nothing in the inner loop has to be guessed by the processor.

use crate::columns::{BLOCK, Cursor, NOT_CUT};
use crate::scan::Occurrences;

/// Where the parts of a block's rows end: a list a part, but for the last one, whose end is the row's.
#[derive(Debug, Default)]
pub(crate) struct Ends(Vec<[u32; BLOCK]>);

impl Ends {
    /// For rows of so many parts.
    pub(crate) fn new(parts: usize) -> Ends {
        Ends(vec![[0; BLOCK]; parts.saturating_sub(1)])
    }

    /// Finds where the parts of each row end. A row that has not enough of them, or begins with the byte (which is not
    /// stepped over there), is not cut.
    pub(crate) fn find(&mut self, text: &[u8], cursors: &mut [Cursor; BLOCK], byte: u8) {
        for (row, cursor) in cursors.iter_mut().enumerate() {
            let mut found = Occurrences::new(text, cursor.left, cursor.end, byte);
            for ends in &mut self.0 {
                let Some(end) = found.next() else {
                    *cursor = NOT_CUT;
                    break;
                };
                ends[row] = end as u32;
            }
            if self.0.first().is_some_and(|ends| ends[row] as usize == cursor.begin) {
                *cursor = NOT_CUT;
            }
        }
    }

    /// Writes the places of a part. Of rows that are not cut it writes anything.
    pub(crate) fn write(&self, part: usize, cursors: &[Cursor], starts: &mut [u32], lens: &mut [u32]) {
        match part.checked_sub(1).and_then(|before| self.0.get(before)) {
            None => {
                for (start, cursor) in starts.iter_mut().zip(cursors) {
                    *start = cursor.left as u32;
                }
            }
            Some(before) => {
                for (start, end) in starts.iter_mut().zip(before) {
                    *start = end.wrapping_add(1);
                }
            }
        }
        match self.0.get(part) {
            None => {
                for ((length, start), cursor) in lens.iter_mut().zip(starts).zip(cursors) {
                    *length = (cursor.end as u32).wrapping_sub(*start);
                }
            }
            Some(ends) => {
                for ((length, start), end) in lens.iter_mut().zip(starts).zip(ends) {
                    *length = end.wrapping_sub(*start);
                }
            }
        }
    }
}
