//! The names of a batch's columns. Names are interned when a pipeline is built; every batch of the pipeline starts with
//! that table and adds to a copy of its own only when an event brings a field that nobody knew of. A chain of filters that
//! is built while the pipeline runs adds to the table too: numbers that were given stay.

use std::collections::HashMap;

use weir_filter::FieldReference;

/// A column's number in a batch, and a name's in [`FieldNames`]. Numbers given when the pipeline was built hold in each
/// of its batches.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FieldId(pub(super) u32);

impl FieldId {
    /// The place in [`FieldNames`] and among a batch's columns.
    #[inline]
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

/// Field names and their numbers, with which lie above and below which.
#[derive(Clone, Debug, Default)]
pub struct FieldNames {
    names: Vec<Name>,
    numbers: HashMap<FieldReference, FieldId>,
}

#[derive(Clone, Debug)]
struct Name {
    reference: FieldReference,
    above: Vec<FieldId>,
    below: Vec<FieldId>,
}

impl FieldNames {
    /// A table without names.
    pub fn new() -> Self {
        FieldNames::default()
    }

    /// The number of a name, which is added if it is new.
    pub fn intern(&mut self, reference: &FieldReference) -> FieldId {
        if let Some(id) = self.numbers.get(reference) {
            return *id;
        }
        let id = FieldId(u32::try_from(self.names.len()).expect("a batch has fewer than 2^32 columns"));
        let mut above = Vec::new();
        let mut below = Vec::new();
        for (index, other) in self.names.iter_mut().enumerate() {
            let other_id = FieldId(index as u32);
            if reference.is_below(&other.reference) {
                above.push(other_id);
                other.below.push(id);
            } else if other.reference.is_below(reference) {
                below.push(other_id);
                other.above.push(id);
            }
        }
        self.names.push(Name { reference: reference.clone(), above, below });
        self.numbers.insert(reference.clone(), id);
        id
    }

    /// The number of a name, if it has one.
    pub fn get(&self, reference: &FieldReference) -> Option<FieldId> {
        self.numbers.get(reference).copied()
    }

    /// The name with this number.
    pub fn reference(&self, id: FieldId) -> &FieldReference {
        &self.names[id.index()].reference
    }

    /// The names that lead to something around `id`'s field.
    pub fn above(&self, id: FieldId) -> &[FieldId] {
        &self.names[id.index()].above
    }

    /// The names that lead to something inside `id`'s field.
    pub fn below(&self, id: FieldId) -> &[FieldId] {
        &self.names[id.index()].below
    }

    /// All numbers, in the order in which they were given.
    pub fn ids(&self) -> impl Iterator<Item = FieldId> + use<> {
        (0..self.names.len() as u32).map(FieldId)
    }

    /// Whether the names of `other` stand first here, under the same numbers.
    pub fn begins_with(&self, other: &FieldNames) -> bool {
        let same = |(own, other): (&Name, &Name)| own.reference == other.reference;
        other.names.len() <= self.names.len() && self.names.iter().zip(&other.names).all(same)
    }

    /// How many names there are.
    pub fn len(&self) -> usize {
        self.names.len()
    }

    /// Whether there are no names.
    pub fn is_empty(&self) -> bool {
        self.names.is_empty()
    }
}
