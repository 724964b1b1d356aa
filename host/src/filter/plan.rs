//! A guest's plan, checked: which fields it reads and writes, by their numbers in a pipeline's batches.

use super::interface::{self, Access, Extent};
use crate::config::Grants;
use crate::event::{FieldId, FieldNames, FieldReference};

/// The most fields of a plan, and steps.
const MOST_FIELDS: usize = 1024;
const MOST_STEPS: u32 = 256;

/// The most failure tags of a plan, and the longest of them, in bytes.
const MOST_TAGS: usize = 64;
const LONGEST_TAG: usize = 1024;

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
    /// Of the fields that it may read or write without naming them: those that were granted, each with all below it;
    /// `None`: all.
    pub(super) granted_reads: Option<Vec<FieldReference>>,
    pub(super) granted_writes: Option<Vec<FieldReference>>,
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
        let tags = &plan.failure_tags;
        if tags.len() > MOST_TAGS || tags.iter().any(|tag| tag.len() > LONGEST_TAG) {
            let tags = tags.len();
            return Err(format!(
                "it plans {tags} failure tags; {MOST_TAGS} of at most {LONGEST_TAG} bytes are possible"
            ));
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
            granted_reads: None,
            granted_writes: None,
        })
    }

    /// Keeps the plan to what was granted. What it says that it reads and writes must all be granted; what it cannot name
    /// beforehand is kept to the grant from batch to batch.
    ///
    /// # Errors
    /// For each field that was not granted: the option that would grant it, and the field.
    pub(super) fn restrict(&mut self, grants: &Grants) -> Result<(), Vec<(&'static str, FieldReference)>> {
        let mut refused = Vec::new();
        for field in &self.fields {
            let reference = &field.reference;
            if let Some(granted) = &grants.read
                && field.read
                && !Grants::hold(granted, reference)
                && (field.whole || !leads_to_granted(reference, grants))
            {
                refused.push(("read", reference.clone()));
            }
            if let Some(granted) = &grants.write
                && field.write
                && !Grants::hold(granted, reference)
            {
                refused.push(("write", reference.clone()));
            }
        }
        self.granted_reads.clone_from(&grants.read);
        self.granted_writes.clone_from(&grants.write);
        if refused.is_empty() { Ok(()) } else { Err(refused) }
    }

    /// Whether a field that the plan does not name may be read.
    pub(super) fn may_read(&self, reference: &FieldReference) -> bool {
        self.granted_reads.as_ref().is_none_or(|granted| Grants::hold(granted, reference))
    }

    /// Whether a field that the plan does not name may be written.
    pub(super) fn may_write(&self, reference: &FieldReference) -> bool {
        self.granted_writes.as_ref().is_none_or(|granted| Grants::hold(granted, reference))
    }
}

/// Whether something below a field was granted. What sets `[a][b]` must see whether `[a]` is one value.
fn leads_to_granted(reference: &FieldReference, grants: &Grants) -> bool {
    let granted = grants.read.iter().chain(&grants.write).flatten();
    granted.into_iter().any(|granted| granted.is_below(reference))
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
