//! What has been read, delivered and may be forgotten. The ledger stores keys and values for inputs, a position at a
//! time and never before the outputs' acknowledgement; what they mean only their input knows.

use std::ops::Range;

/// A change of what an input has read: applied in one transaction once the batch that it came with is acknowledged.
/// Removes are applied before puts. Keys are the input's own; every input has a space for itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Position {
    /// Keys to be set.
    pub puts: Vec<(Vec<u8>, Vec<u8>)>,
    /// Ranges of keys to be forgotten.
    pub removes: Vec<Range<Vec<u8>>>,
}
