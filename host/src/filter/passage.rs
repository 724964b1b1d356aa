//! A batch on its way through the chain: which of its rows still go on, and which left it, counted at the filter or branch
//! where they left.

use std::sync::Arc;

use anyhow::{Result, bail};

use super::apply::Tagger;
use super::counts::FilterCounts;
use crate::config::OnFailure;
use crate::event::{Batch, RowSet};

/// The tag of events for which a condition could not be evaluated.
const CONDITION_FAILURE: &str = "_conditionfailure";

/// A batch on its way.
pub(super) struct Passage {
    pub(super) batch: Batch,
    /// The rows that are still on the way; rows that left are taken out of the batch at its end.
    pub(super) rows: RowSet,
    pub(super) dead_letters: Vec<SetAside>,
    pub(super) dropped_at: Vec<Dropped>,
}

/// Events set aside by a filter or a branch, as they entered it.
#[derive(Debug)]
pub struct SetAside {
    /// The id of the filter or branch.
    pub filter: Arc<str>,
    /// By which option: `on_error`, `on_trap`, or `when`, whose failure `on_error` decides on.
    pub rule: &'static str,
    /// Why.
    pub reason: String,
    /// The events.
    pub events: Batch,
}

/// Events that a filter or a branch dropped.
#[derive(Debug)]
pub struct Dropped {
    /// The id of the filter or branch.
    pub filter: Arc<str>,
    /// By which rule: the filter's own (`filter`), `on_error`, `on_trap`, or `when`, whose failure `on_error` decides on.
    pub rule: &'static str,
    /// How many.
    pub events: u64,
}

/// Where on the way something happens: a filter or a branch.
pub(super) struct Place<'a> {
    pub(super) id: &'a Arc<str>,
    pub(super) counts: &'a FilterCounts,
}

impl Passage {
    /// A batch at the beginning of its way.
    pub(super) fn new(batch: Batch) -> Self {
        let rows = RowSet::all(batch.rows());
        Passage { batch, rows, dead_letters: Vec::new(), dropped_at: Vec::new() }
    }

    /// Of some rows, those that go on after a step: what left the way is taken out, and what was added since the batch had
    /// `first_added` rows is put in.
    pub(super) fn go_on(&self, rows: &mut RowSet, first_added: usize) {
        rows.grow(self.batch.rows());
        for row in first_added..self.batch.rows() {
            rows.insert(row);
        }
        rows.intersect(&self.rows);
    }

    pub(super) fn drop(&mut self, place: &Place<'_>, rule: &'static str, rows: &[usize]) {
        for row in rows {
            self.rows.remove(*row);
        }
        self.count_dropped(place, rule, rows.len());
    }

    /// Counts rows that were taken out.
    pub(super) fn count_dropped(&mut self, place: &Place<'_>, rule: &'static str, rows: usize) {
        if rows == 0 {
            return;
        }
        FilterCounts::add(&place.counts.dropped, rows);
        self.dropped_at.push(Dropped { filter: place.id.clone(), rule, events: rows as u64 });
    }

    pub(super) fn set_aside(
        &mut self,
        place: &Place<'_>,
        rule: &'static str,
        reason: &str,
        rows: &[usize],
        events: Batch,
    ) {
        if rows.is_empty() {
            return;
        }
        for row in rows {
            self.rows.remove(*row);
        }
        FilterCounts::add(&place.counts.dead_lettered, rows.len());
        let (filter, reason) = (place.id.clone(), reason.to_owned());
        self.dead_letters.push(SetAside { filter, rule, reason, events });
    }

    /// Sends rows for which a condition could not be evaluated where `on_error` says. They pass by what the condition was
    /// asked for.
    ///
    /// # Errors
    /// When `on_error` is `"stop"`.
    pub(super) fn settle_undecided(
        &mut self,
        place: &Place<'_>,
        on_error: OnFailure,
        undecided: &[(usize, String)],
    ) -> Result<()> {
        FilterCounts::add(&place.counts.failed, undecided.len());
        let mut tagger = Tagger::new();
        // Neighbours mostly share the reason.
        for same in undecided.chunk_by(|(_, first), (_, second)| first == second) {
            let Some((_, reason)) = same.first() else { continue };
            let rows: Vec<usize> = same.iter().map(|(row, _)| *row).collect();
            place.counts.add_reason(reason, rows.len() as u64);
            match on_error {
                OnFailure::Tag => {
                    rows.iter().for_each(|row| tagger.add(&mut self.batch, *row, CONDITION_FAILURE));
                }
                OnFailure::Drop => self.drop(place, "when", &rows),
                OnFailure::DeadLetter => {
                    let events = self.batch.select(&rows);
                    self.set_aside(place, "when", reason, &rows, events);
                }
                OnFailure::Stop => {
                    bail!("{}: {reason} ({} events, on_error = \"stop\")", place.id, rows.len());
                }
            }
        }
        Ok(())
    }
}
