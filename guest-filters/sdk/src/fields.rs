//! The fields of a filter: the plan's, and in a batch also those found there or named while it is worked on; with
//! which lie above and below which.

use std::collections::HashMap;

use crate::field_reference::FieldReference;
use crate::plan::Field;

/// What may be put into a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Guard {
    Free,
    /// `@timestamp` takes only a timestamp.
    Timestamp,
    /// `tags` takes only a text or a list of texts.
    Tags,
    /// Nothing may be written below `tags`.
    BelowTags,
    /// `@metadata` takes only a map.
    Metadata,
}

/// A field and its place among the others.
#[derive(Debug)]
pub(crate) struct FieldInfo {
    pub(crate) reference: FieldReference,
    pub(crate) read: bool,
    pub(crate) written: bool,
    pub(crate) whole: bool,
    pub(crate) guard: Guard,
    /// The fields above, outermost first.
    pub(crate) above: Vec<Field>,
    /// The fields below, outermost first.
    pub(crate) below: Vec<Field>,
    /// Written, nothing above or below, no guard: setting it needs no look at anything else.
    pub(crate) plain: bool,
}

/// All fields, by number.
#[derive(Debug, Default)]
pub(crate) struct Fields {
    list: Vec<FieldInfo>,
    numbers: HashMap<FieldReference, Field>,
}

impl Fields {
    /// Declares a field, or adds to what is declared of it; and what lies above a written one.
    pub(crate) fn declare(
        &mut self,
        reference: &FieldReference,
        read: bool,
        written: bool,
        whole: bool,
    ) -> Field {
        if written {
            for (index, ancestor) in reference.ancestors().enumerate() {
                if ancestor.fragments() == ["@metadata"] {
                    continue;
                }
                // Writing into a list changes the list, which is one value.
                let into_a_list = list_index(&reference.fragments()[index + 1]).is_some();
                self.declare_one(&ancestor, true, into_a_list, false);
            }
        }
        self.declare_one(reference, read, written, whole)
    }

    /// Declares that every field is written.
    pub(crate) fn declare_all_written(&mut self) {
        // Those above a written one are declared as it is.
        let mut index = 0;
        while let Some(info) = self.list.get(index) {
            let reference = info.reference.clone();
            self.declare(&reference, false, true, false);
            index += 1;
        }
    }

    fn declare_one(&mut self, reference: &FieldReference, read: bool, written: bool, whole: bool) -> Field {
        let field = self.number_or_add(reference);
        let info = &mut self.list[field.index()];
        info.read |= read;
        info.written |= written;
        info.whole |= whole;
        info.plain = info.is_plain();
        field
    }

    /// The number of a field of a batch, which is added as one that may be read and written if it is new.
    pub(crate) fn find_or_add(&mut self, reference: &FieldReference, written: bool) -> Field {
        if let Some(field) = self.numbers.get(reference) {
            return *field;
        }
        self.declare_one(reference, true, written, true)
    }

    fn number_or_add(&mut self, reference: &FieldReference) -> Field {
        if let Some(field) = self.numbers.get(reference) {
            return *field;
        }
        let field = Field(self.list.len() as u32);
        let mut info = FieldInfo {
            reference: reference.clone(),
            read: false,
            written: false,
            whole: false,
            guard: guard_of(reference),
            above: Vec::new(),
            below: Vec::new(),
            plain: false,
        };
        for index in 0..self.list.len() {
            let other = Field(index as u32);
            if reference.is_below(&self.list[index].reference) {
                info.above.push(other);
                self.list[index].below.push(field);
                self.sort_by_depth(index);
            } else if self.list[index].reference.is_below(reference) {
                info.below.push(other);
                self.list[index].above.push(field);
                self.list[index].plain = false;
            }
        }
        self.list.push(info);
        self.numbers.insert(reference.clone(), field);
        for index in 0..self.list.len() {
            self.sort_by_depth(index);
        }
        field
    }

    fn sort_by_depth(&mut self, index: usize) {
        let mut above = std::mem::take(&mut self.list[index].above);
        let mut below = std::mem::take(&mut self.list[index].below);
        above.sort_by_key(|field| self.depth(*field));
        below.sort_by_key(|field| self.depth(*field));
        let info = &mut self.list[index];
        info.above = above;
        info.below = below;
        info.plain = info.is_plain();
    }

    fn depth(&self, field: Field) -> usize {
        self.list.get(field.index()).map_or(usize::MAX, |info| info.reference.fragments().len())
    }

    /// Forgets the fields from number `count` on.
    pub(crate) fn truncate(&mut self, count: usize) {
        if self.list.len() <= count {
            return;
        }
        for info in self.list.drain(count..) {
            self.numbers.remove(&info.reference);
        }
        for info in &mut self.list {
            info.above.retain(|field| field.index() < count);
            info.below.retain(|field| field.index() < count);
            info.plain = info.is_plain();
        }
    }

    pub(crate) fn get(&self, field: Field) -> &FieldInfo {
        &self.list[field.index()]
    }

    pub(crate) fn len(&self) -> usize {
        self.list.len()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &FieldInfo> {
        self.list.iter()
    }
}

impl FieldInfo {
    fn is_plain(&self) -> bool {
        self.written && self.above.is_empty() && self.below.is_empty() && self.guard == Guard::Free
    }
}

fn guard_of(reference: &FieldReference) -> Guard {
    let fragments: Vec<&str> = reference.fragments().iter().map(String::as_str).collect();
    match fragments.as_slice() {
        ["@timestamp"] => Guard::Timestamp,
        ["@metadata"] => Guard::Metadata,
        ["tags"] => Guard::Tags,
        // That this holds for [@metadata][tags][x] too is how Logstash's guard is written.
        ["tags", _, ..] | ["@metadata", "tags", _, ..] => Guard::BelowTags,
        _ => Guard::Free,
    }
}

/// A fragment as an index into a list, if it is one: what Java's `Integer.parseInt` reads.
pub(crate) fn list_index(fragment: &str) -> Option<i32> {
    fragment.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reference(text: &str) -> FieldReference {
        FieldReference::parse(text).expect("a legal reference")
    }

    #[test]
    fn ancestors_of_written_fields_are_read() {
        let mut fields = Fields::default();
        fields.declare(&reference("[a][0][c]"), false, true, false);
        fields.declare(&reference("[@metadata][x]"), false, true, false);
        let declared: Vec<_> =
            fields.iter().map(|info| (info.reference.to_string(), info.read, info.written)).collect();
        let expected = [
            ("[a]", true, true),
            ("[a][0]", true, false),
            ("[a][0][c]", false, true),
            ("[@metadata][x]", false, true),
        ];
        assert_eq!(declared, expected.map(|(name, read, written)| (name.to_owned(), read, written)));
    }

    #[test]
    fn a_batchs_own_fields_are_forgotten_after_it() {
        let mut fields = Fields::default();
        let planned = fields.declare(&reference("[a]"), true, true, false);
        assert!(fields.get(planned).plain);
        let found = fields.find_or_add(&reference("[a][b]"), true);
        assert!(!fields.get(planned).plain);
        assert_eq!(fields.get(planned).below, [found]);
        fields.truncate(1);
        assert!(fields.get(planned).plain);
        assert_eq!(fields.len(), 1);
    }
}
