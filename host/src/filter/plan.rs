//! A guest's plan, checked: which fields it reads and writes, by their numbers in a pipeline's batches.

use super::interface::{self, Access, Extent};
use crate::event::{FieldId, FieldNames, FieldReference};

/// The most fields of a plan, and steps.
const MOST_FIELDS: usize = 1024;
const MOST_STEPS: u32 = 256;

/// What a filter reads and writes.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) fields: Vec<PlannedField>,
    /// May it read, or write, fields that are not in `fields`?
    pub(super) reads_others: bool,
    pub(super) writes_others: bool,
    pub(super) stateful: bool,
    pub(super) steps: u32,
    pub(super) failure_tags: Vec<String>,
}

/// One field of a plan.
#[derive(Debug)]
pub(super) struct PlannedField {
    pub(super) id: FieldId,
    pub(super) reference: FieldReference,
    pub(super) read: bool,
    pub(super) write: bool,
    /// With all below it, as JSON.
    pub(super) whole: bool,
}

impl Plan {
    /// Checks a plan, and adds its fields to the names of the pipeline.
    pub(super) fn new(plan: interface::Plan, names: &mut FieldNames) -> Result<Self, String> {
        if plan.fields.len() > MOST_FIELDS {
            return Err(format!("it plans {} fields, at most {MOST_FIELDS} are possible", plan.fields.len()));
        }
        if plan.steps == 0 || plan.steps > MOST_STEPS {
            return Err(format!("it plans {} steps, 1 to {MOST_STEPS} are possible", plan.steps));
        }
        let mut fields = Vec::with_capacity(plan.fields.len());
        for planned in plan.fields {
            let reference = reference_of(planned.path)?;
            fields.push(PlannedField {
                id: names.intern(&reference),
                reference,
                read: planned.access.contains(Access::READ),
                write: planned.access.contains(Access::WRITE),
                whole: planned.extent == Extent::Whole,
            });
        }
        Ok(Plan {
            fields,
            reads_others: plan.everything.contains(Access::READ),
            writes_others: plan.everything.contains(Access::WRITE),
            stateful: plan.stateful,
            steps: plan.steps,
            failure_tags: plan.failure_tags,
        })
    }
}

/// A path that a guest names, as a reference.
pub(super) fn reference_of(path: Vec<String>) -> Result<FieldReference, String> {
    let (fragments, bytes) = (path.len(), path.iter().map(String::len).sum::<usize>());
    let reference = (fragments > 0).then(|| FieldReference::from_fragments(path));
    reference.filter(|reference| !reference.is_overlong()).ok_or_else(|| {
        format!(
            "it names a field by {fragments} fragments of {bytes} bytes; 1 to {} of at most {} are possible",
            FieldReference::MOST_FRAGMENTS,
            FieldReference::MOST_BYTES
        )
    })
}
