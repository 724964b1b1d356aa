//! A guest's answer, checked. Every number in it is taken for hostile: lengths, places, field numbers, row masks, text and
//! JSON. What comes out of here can be applied without asking again; an answer that contradicts the batch, the plan or
//! itself is a break of the guest, and nothing of it is applied.

use std::sync::Arc;

use super::addresses::KernelTexts;
use super::encode::{Encoder, Rows};
use super::instance::Break;
use super::interface::{self, NO_VALUE, Outcome};
use super::places::Places;
use super::plan::{Plan, reference_of};
use crate::event::{Batch, Cell, FieldId, FieldReference, RowSet};

/// Tags that an answer may add, an event of its batch.
const MOST_TAGS: usize = 64;

/// The most names that a batch may have for an answer to add one, and the most cells: each name has a column of as many as there
/// are events.
const MOST_NAMES: usize = 8192;
const MOST_CELLS: usize = 1 << 25;

/// The longest tag or reason, in bytes.
const LONGEST_WORD: usize = 1024;

/// The most events that an answer may add, an event of its batch and whatever its size.
const MOST_ADDS_AN_EVENT: usize = 64;
const MOST_ADDS: usize = 1 << 16;

/// What a guest changes, ready to be applied. Rows are numbered as they were sent, added ones after them.
pub(super) struct Edits {
    /// Buffers that cells point into. The first becomes the batch's next one, and so on.
    pub(super) texts: Vec<Arc<String>>,
    /// The sent row that each added row is a copy of, or `None` for an empty one.
    pub(super) adds: Vec<Option<usize>>,
    pub(super) new_fields: Vec<FieldReference>,
    pub(super) removes: Vec<(Target, RowSet)>,
    pub(super) sets: Vec<Set>,
    pub(super) verdicts: Vec<Verdict>,
    /// Of the sent and the added rows.
    pub(super) drops: RowSet,
}

/// A field that is changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Target {
    Known(FieldId),
    /// By its number in `Edits::new_fields`.
    New(usize),
}

/// Values for one field; absent cells keep what there was.
pub(super) struct Set {
    pub(super) target: Target,
    pub(super) cells: Vec<Cell>,
    /// Whether a cell is a map, which becomes fields.
    pub(super) has_maps: bool,
}

/// What is said of some rows.
pub(super) struct Verdict {
    pub(super) outcome: Outcome,
    pub(super) rows: RowSet,
    pub(super) tags: Vec<String>,
    pub(super) reason: String,
}

/// Checks an answer to what `sent` holds of `rows` of `batch`.
pub(super) fn check(
    answer: interface::Answer,
    plan: &Plan,
    batch: &Batch,
    rows: &Rows,
    sent: &Encoder,
    kernel_texts: &KernelTexts,
) -> Result<Edits, Break> {
    let text = String::from_utf8(answer.text)
        .map_err(|error| lie(format!("its text is not UTF-8: {}", error.utf8_error())))?;
    let sent_rows = sent.rows();
    let adds = check_adds(&answer.adds, sent_rows)?;
    let new_fields = check_new_fields(answer.new_fields, plan, batch)?;
    let fields = Fields { plan, batch, others: sent.other_fields(), new: new_fields.len() };

    let mut places = Places::new(batch, rows, sent, kernel_texts, text);
    bounded("removes", answer.removes.len(), fields.count())?;
    let mut removes = Vec::with_capacity(answer.removes.len());
    for (field, mask) in answer.removes {
        let (target, _) = fields.writable(field)?;
        removes.push((target, rows_of(mask, sent_rows, adds.len(), "a remove")?));
    }
    bounded("sets", answer.sets.len(), fields.count().saturating_mul(2).saturating_add(16))?;
    let mut sets = Vec::with_capacity(answer.sets.len());
    for (field, column) in answer.sets {
        let (target, whole) = fields.writable(field)?;
        let (cells, has_maps) = places.cells(column, sent_rows + adds.len(), whole)?;
        if !cells.is_empty() {
            sets.push(Set { target, cells, has_maps });
        }
    }
    Ok(Edits {
        texts: places.into_texts(),
        removes,
        sets,
        verdicts: check_verdicts(answer.verdicts, sent_rows, adds.len())?,
        drops: rows_of(answer.drops, sent_rows, adds.len(), "drops")?,
        adds,
        new_fields,
    })
}

pub(super) fn lie(message: impl Into<String>) -> Break {
    Break::lying_answer(format!("its answer is not possible: {}", message.into()))
}

fn bounded(what: &str, number: usize, most: usize) -> Result<(), Break> {
    if number > most {
        Err(lie(format!("it has {number} {what}, at most {most} are possible")))
    } else {
        Ok(())
    }
}

fn check_adds(adds: &[u32], sent_rows: usize) -> Result<Vec<Option<usize>>, Break> {
    bounded(
        "added events",
        adds.len(),
        MOST_ADDS.min(sent_rows.saturating_mul(MOST_ADDS_AN_EVENT).max(1024)),
    )?;
    let mut checked = Vec::with_capacity(adds.len());
    for origin in adds {
        checked.push(match *origin {
            NO_VALUE => None,
            origin if (origin as usize) < sent_rows => Some(origin as usize),
            origin => return Err(lie(format!("it adds a copy of event {origin} of {sent_rows}"))),
        });
    }
    Ok(checked)
}

fn check_new_fields(
    paths: Vec<Vec<String>>,
    plan: &Plan,
    batch: &Batch,
) -> Result<Vec<FieldReference>, Break> {
    if paths.is_empty() {
        return Ok(Vec::new());
    }
    if !plan.writes_others {
        return Err(lie("it names new fields, and its plan does not write everything"));
    }
    let most = MOST_NAMES.min(MOST_CELLS / batch.rows().max(1));
    let names = batch.names().len().saturating_add(paths.len());
    if names > most {
        let new = paths.len();
        return Err(lie(format!(
            "with its {new} new fields the batch would have {names} names, at most {most} are possible"
        )));
    }
    let mut references = Vec::with_capacity(paths.len());
    for path in paths {
        let reference = reference_of(path).map_err(lie)?;
        check_granted(plan, &reference)?;
        references.push(reference);
    }
    Ok(references)
}

fn check_granted(plan: &Plan, reference: &FieldReference) -> Result<(), Break> {
    if plan.may_write(reference) {
        Ok(())
    } else {
        Err(lie(format!("it writes {reference}, which it was not granted")))
    }
}

fn check_verdicts(
    verdicts: Vec<interface::Verdict>,
    sent_rows: usize,
    added: usize,
) -> Result<Vec<Verdict>, Break> {
    let all_rows = sent_rows + added;
    bounded("verdicts", verdicts.len(), all_rows.saturating_mul(4).max(64))?;
    let mut tags = 0_usize;
    let mut checked = Vec::with_capacity(verdicts.len());
    for verdict in verdicts {
        let rows = rows_of(verdict.rows, sent_rows, added, "a verdict")?;
        tags = tags.saturating_add(verdict.tags.len().saturating_mul(rows.count()));
        bounded("tags for its events", tags, MOST_TAGS.saturating_mul(all_rows))?;
        if verdict.tags.iter().chain([&verdict.reason]).any(|word| word.len() > LONGEST_WORD) {
            return Err(lie(format!("a tag or reason is longer than {LONGEST_WORD} bytes")));
        }
        checked.push(Verdict { outcome: verdict.outcome, rows, tags: verdict.tags, reason: verdict.reason });
    }
    Ok(checked)
}

/// Rows of the batch, or of the batch and the added ones.
fn rows_of(mask: Vec<u8>, sent_rows: usize, added: usize, what: &str) -> Result<RowSet, Break> {
    let all_rows = sent_rows + added;
    let whole = |mask| RowSet::from_bytes(mask, all_rows);
    if mask.is_empty() || mask.len() == all_rows.div_ceil(8) {
        return whole(mask).ok_or_else(|| lie(format!("the rows of {what} are not {all_rows}")));
    }
    // Without the added ones: bits past the last sent row do not count.
    let Some(sent) = RowSet::from_bytes(mask, sent_rows) else {
        return Err(lie(format!("the rows of {what} are neither {sent_rows} nor {all_rows}")));
    };
    let mut bytes = sent.as_bytes().to_vec();
    bytes.resize(all_rows.div_ceil(8), 0);
    whole(bytes).ok_or_else(|| lie(format!("the rows of {what} are not {all_rows}")))
}

/// The fields that an answer may number.
struct Fields<'a> {
    plan: &'a Plan,
    batch: &'a Batch,
    others: &'a [FieldId],
    new: usize,
}

impl Fields<'_> {
    fn count(&self) -> usize {
        self.plan.fields.len() + self.others.len() + self.new
    }

    /// The field of a number that may be written, and whether it is written as a whole.
    fn writable(&self, number: u32) -> Result<(Target, bool), Break> {
        let index = number as usize;
        if let Some(field) = self.plan.fields.get(index) {
            if !field.write && !self.plan.writes_others {
                return Err(lie(format!("it changes {}, which its plan only reads", field.reference)));
            }
            if !field.write {
                check_granted(self.plan, &field.reference)?;
            }
            return Ok((Target::Known(field.id), field.whole));
        }
        if !self.plan.writes_others {
            return Err(lie(format!(
                "it changes field {number}, and its plan has {}",
                self.plan.fields.len()
            )));
        }
        let index = index - self.plan.fields.len();
        if let Some(field) = self.others.get(index) {
            check_granted(self.plan, self.batch.names().reference(*field))?;
            return Ok((Target::Known(*field), true));
        }
        let index = index - self.others.len();
        if index < self.new {
            return Ok((Target::New(index), true));
        }
        Err(lie(format!("it changes field {number}, and there are {}", self.count())))
    }
}

#[cfg(test)]
#[path = "answer_tests.rs"]
mod tests;
