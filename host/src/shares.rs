//! Which events of a batch each output gets. Decided where filters run, on blocking threads; how the shares are delivered is
//! left to `pipeline`.

use std::sync::Arc;

use chrono::Utc;

use crate::event::{Batch, Documents, RowSet};
use crate::output::DeadLetter;
use crate::pipeline::LineOutput;

/// A batch, divided among the outputs.
#[derive(Default)]
pub(crate) struct Shares {
    /// One for each output, in their order; none for a batch without events.
    pub(crate) by_output: Vec<Share>,
    /// How many events no output takes.
    pub(crate) untaken: u64,
    /// Events that several outputs take or set aside: once for each of these but the first.
    pub(crate) copied: u64,
}

/// What one output gets of a batch.
#[derive(Default)]
pub(crate) struct Share {
    /// The events for which its condition holds; `None` if there are none.
    pub(crate) events: Option<Arc<Batch>>,
    /// Those for which it cannot be evaluated.
    pub(crate) undecided: Vec<DeadLetter>,
}

impl Shares {
    /// Divides a batch. Outputs that take all of it share it, the others get a copy of their rows.
    pub(crate) fn new(outputs: &[LineOutput], batch: Batch) -> Self {
        let rows = batch.rows();
        if rows == 0 {
            return Shares::default();
        }
        let batch = Arc::new(batch);
        let mut untaken = RowSet::all(rows);
        let mut taken_times = 0;
        let mut by_output = Vec::with_capacity(outputs.len());
        for output in outputs {
            let (holds, share) = share_of(output, &batch);
            untaken.subtract(&holds);
            taken_times += holds.count();
            by_output.push(share);
        }
        let untaken = untaken.count();
        Shares { by_output, untaken: untaken as u64, copied: (taken_times + untaken - rows) as u64 }
    }
}

/// An output's share, and the rows that it takes or sets aside.
fn share_of(output: &LineOutput, batch: &Arc<Batch>) -> (RowSet, Share) {
    let all = RowSet::all(batch.rows());
    let Some(when) = &output.when else {
        return (all, Share { events: Some(batch.clone()), undecided: Vec::new() });
    };
    let selection = when.select(batch, &all);
    let mut taken = selection.holds;
    let events = match taken.count() {
        0 => None,
        count if count == batch.rows() => Some(batch.clone()),
        _ => Some(Arc::new(batch.select(&taken.iter().collect::<Vec<_>>()))),
    };
    for (row, _) in &selection.undecided {
        taken.insert(*row);
    }
    if let Some((_, reason)) = selection.undecided.first() {
        let (output, events) = (&output.name, selection.undecided.len());
        tracing::warn!(output, events, "events are set aside as dead letters; the first one: {reason}");
    }
    let undecided = letters(&output.name, batch, selection.undecided);
    (taken, Share { events, undecided })
}

/// Events as the dead letters keep them, by row and reason.
pub(crate) fn letters(
    plugin: &str,
    events: &Batch,
    rows: impl IntoIterator<Item = (usize, String)>,
) -> Vec<DeadLetter> {
    let time = Utc::now().timestamp_nanos_opt().unwrap_or_default();
    let mut documents = Documents::with_metadata(events);
    let rows = rows.into_iter();
    rows.map(|(row, reason)| DeadLetter {
        time,
        plugin: plugin.to_owned(),
        reason,
        identity: events.identity(row),
        event: documents.text(row),
    })
    .collect()
}
