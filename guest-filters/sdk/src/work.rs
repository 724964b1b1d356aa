//! A batch while it is worked on: what is changed in it, said of it and counted. Made into an answer at its end.

use std::cell::OnceCell;

use crate::boundary::columns::{Answer, Column};
use crate::field_reference::FieldReference;
use crate::fields::Fields;
use crate::filter::{Failure, Outcome};
use crate::host;
use crate::incoming::{Incoming, KERNEL_PLACE};
use crate::outgoing::{Outgoing, Placed};
use crate::plan::{Field, Plan};
use crate::row_mask::RowMask;
use crate::verdicts::Verdicts;

/// What a filter does to a batch. Kept from batch to batch, empty in between.
#[derive(Debug)]
pub(crate) struct Work {
    pub(crate) fields: Fields,
    /// How many of the fields are the plan's.
    planned: usize,
    /// The numbers by which the host knows the plan's fields and the batch's others; new ones follow.
    numbers: Vec<u32>,
    /// How many others the batch has.
    others: usize,
    everything_written: bool,
    failure_tags: Vec<String>,
    rows: usize,
    pub(crate) outgoing: Vec<Outgoing>,
    /// The answer's own text.
    pub(crate) text: String,
    /// The tags of the event that is worked on.
    pub(crate) tags: Vec<String>,
    pub(crate) drops: RowMask,
    adds: Vec<u32>,
    pub(crate) verdicts: Verdicts,
    counts: Vec<(&'static str, u64)>,
    now: OnceCell<i64>,
    /// The plan's written fields, outermost first: in this order they are answered.
    order: Vec<usize>,
}

impl Work {
    pub(crate) fn new(plan: Plan) -> Self {
        let planned = plan.fields.len();
        Work {
            planned,
            numbers: (0..planned as u32).collect(),
            others: 0,
            everything_written: plan.everything_written,
            failure_tags: plan.failure_tags,
            rows: 0,
            outgoing: std::iter::repeat_with(Outgoing::default).take(planned).collect(),
            text: String::new(),
            tags: Vec::new(),
            drops: RowMask::default(),
            adds: Vec::new(),
            verdicts: Verdicts::default(),
            counts: Vec::new(),
            now: OnceCell::new(),
            order: in_order(&plan.fields),
            fields: plan.fields,
        }
    }

    /// Begins a batch with these other fields than the plan's, whose columns it answers with the plan's.
    pub(crate) fn begin<'b>(
        &mut self,
        rows: usize,
        columns: &'b [Column],
        others: &'b [(Vec<String>, Column)],
    ) -> Vec<Option<&'b Column>> {
        self.rows = rows;
        let mut columns = columns.iter();
        let mut by_field: Vec<Option<&Column>> =
            self.fields.iter().map(|field| if field.read { columns.next() } else { None }).collect();
        self.others = others.len();
        for (number, (path, column)) in others.iter().enumerate() {
            if path.is_empty() {
                continue;
            }
            // A field that the plan only writes comes as another one, and keeps its number.
            let field = self.find_or_add(&FieldReference::from_fragments(path.iter().map(String::as_str)));
            if field.index() == self.numbers.len() {
                self.numbers.push((self.planned + number) as u32);
            }
            by_field.resize(by_field.len().max(field.index() + 1), None);
            by_field[field.index()] = Some(column);
        }
        by_field
    }

    /// The number of a field, which is added for this batch if it is new.
    pub(crate) fn find_or_add(&mut self, reference: &FieldReference) -> Field {
        let field = self.fields.find_or_add(reference, self.everything_written);
        if field.index() >= self.outgoing.len() {
            self.outgoing.resize_with(field.index() + 1, Outgoing::default);
        }
        field
    }

    /// Whether any row of the batch changed the field.
    #[inline]
    pub(crate) fn is_touched(&self, field: Field) -> bool {
        self.outgoing[field.index()].touched
    }

    #[inline]
    pub(crate) fn set_text(&mut self, field: Field, row: usize, start: u32, length: u32) {
        self.outgoing[field.index()].set_text(row, self.rows, start, length);
    }

    pub(crate) fn set(&mut self, field: Field, row: usize, placed: Placed) {
        self.outgoing[field.index()].set(row, self.rows, placed);
    }

    /// The place of a text: in the batch's if it is a part of it, else in the answer's own.
    #[inline]
    pub(crate) fn place(&mut self, incoming: &Incoming<'_>, text: &str) -> Result<u32, Failure> {
        match incoming.place_of(text) {
            Some(start) => Ok(start),
            None => self.append(incoming, text),
        }
    }

    fn append(&mut self, incoming: &Incoming<'_>, text: &str) -> Result<u32, Failure> {
        // The same text is often set in many rows.
        if !self.text.ends_with(text) {
            if incoming.text.len() + self.text.len() + text.len() >= KERNEL_PLACE as usize {
                return Err(Failure::new("the filter wrote more text than a batch can hold"));
            }
            self.text.push_str(text);
        }
        Ok((incoming.text.len() + self.text.len() - text.len()) as u32)
    }

    /// Notes a new event, made from a row; answers its number.
    pub(crate) fn add(&mut self, from: u32) -> usize {
        self.adds.push(from);
        self.rows + self.adds.len() - 1
    }

    #[inline]
    pub(crate) fn settle(&mut self, row: usize, result: Result<Outcome, Failure>) {
        self.verdicts.settle(row, result, &mut self.tags, &self.failure_tags);
    }

    pub(crate) fn count(&mut self, metric: &'static str, by: u64) {
        match self.counts.iter_mut().find(|(known, _)| *known == metric) {
            Some((_, count)) => *count += by,
            None => self.counts.push((metric, by)),
        }
    }

    pub(crate) fn now(&self) -> i64 {
        *self.now.get_or_init(host::now)
    }

    /// Makes the answer, and is empty afterwards.
    pub(crate) fn finish(&mut self) -> Answer {
        for (metric, by) in self.counts.drain(..) {
            host::count(metric, by);
        }
        self.now.take();
        let rows = self.rows + self.adds.len();
        let order = if self.fields.len() == self.planned { None } else { Some(in_order(&self.fields)) };
        let mut sets = Vec::new();
        let mut removes = Vec::new();
        for index in order.as_ref().unwrap_or(&self.order) {
            if !self.outgoing[*index].touched {
                continue;
            }
            let (column, removed) = self.outgoing[*index].finish(rows);
            let new = || (self.planned + self.others + *index - self.numbers.len()) as u32;
            let number = self.numbers.get(*index).copied().unwrap_or_else(new);
            sets.extend(column.map(|column| (number, column)));
            if !removed.is_empty() {
                removes.push((number, removed));
            }
        }
        // What is not written may hold what was derived from what lies above it; it is not answered.
        for outgoing in self.outgoing.iter_mut().filter(|outgoing| outgoing.touched) {
            outgoing.finish(rows);
        }
        let new_fields = match self.everything_written {
            true => self
                .fields
                .iter()
                .skip(self.numbers.len())
                .map(|field| field.reference.fragments().to_vec())
                .collect(),
            false => Vec::new(),
        };
        self.numbers.truncate(self.planned);
        self.fields.truncate(self.planned);
        self.outgoing.truncate(self.planned);
        let mut drops = std::mem::take(&mut self.drops);
        if !drops.is_empty() {
            drops.grow(rows);
        }
        Answer {
            text: std::mem::take(&mut self.text).into_bytes(),
            sets,
            removes,
            verdicts: self.verdicts.finish(rows),
            drops: drops.into_bytes(),
            adds: std::mem::take(&mut self.adds),
            new_fields,
        }
    }
}

/// The numbers of the written fields, outermost first.
fn in_order(fields: &Fields) -> Vec<usize> {
    let mut order: Vec<(usize, usize)> = fields
        .iter()
        .enumerate()
        .filter(|(_, field)| field.written)
        .map(|(index, field)| (field.reference.fragments().len(), index))
        .collect();
    order.sort_unstable();
    order.into_iter().map(|(_, index)| index).collect()
}
