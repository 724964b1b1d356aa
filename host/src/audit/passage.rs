//! What the filters make of events: which outputs each then belongs to, which are set aside, and which are dropped by a rule.

use std::collections::HashMap;
use std::sync::Arc;

use anyhow::{Context, Result};

use crate::config::Config;
use crate::event::condition::Condition;
use crate::event::{Batch, Identity, RowSet};
use crate::filter::Chain;
use crate::output::DeadLetter;
use crate::shares::letters;

/// Events after the filters.
pub(super) struct Passed {
    /// Those that went through.
    pub(super) batch: Batch,
    /// Where they stand in it.
    rows: HashMap<Identity, usize>,
    /// Of each output, the events that it takes, and those for which that cannot be told.
    takes: Vec<(RowSet, RowSet)>,
    /// Those that a filter sets aside.
    set_aside: HashMap<Identity, DeadLetter>,
}

/// What becomes of an event.
pub(super) enum Fate<'p> {
    /// It goes to outputs: where it stands in the batch.
    Passed(usize),
    /// A filter sets it aside.
    SetAside(&'p DeadLetter),
    /// A filter takes it out.
    Dropped,
}

impl Passed {
    /// Runs the filters.
    ///
    /// # Errors
    /// When one of them stops the pipeline.
    pub(super) async fn new(chain: &mut Option<Chain>, config: &Config, events: Batch) -> Result<Self> {
        let mut running = chain.take().context("the filters are not started")?;
        let conditions: Vec<Option<Condition>> =
            config.outputs.iter().map(|output| output.when.clone()).collect();
        let run = move || -> Result<(Chain, Passed)> {
            let processed = running.process(events)?;
            let mut set_aside = HashMap::new();
            for aside in &processed.dead_letters {
                let rows = (0..aside.events.rows()).map(|row| (row, aside.reason.clone()));
                for letter in letters(&aside.filter, &aside.events, rows) {
                    set_aside.insert(letter.identity, letter);
                }
            }
            let batch = processed.batch;
            let all = RowSet::all(batch.rows());
            let mut takes = Vec::with_capacity(conditions.len());
            for when in &conditions {
                let mut undecided = RowSet::none(batch.rows());
                let holds = match when {
                    None => all.clone(),
                    Some(when) => {
                        let selection = when.select(&batch, &all);
                        selection.undecided.iter().for_each(|(row, _)| undecided.insert(*row));
                        selection.holds
                    }
                };
                takes.push((holds, undecided));
            }
            let mut rows = HashMap::with_capacity(batch.rows());
            for row in 0..batch.rows() {
                // Events that a filter added stand at the end; the event itself comes first.
                rows.entry(batch.identity(row)).or_insert(row);
            }
            Ok((running, Passed { batch, rows, takes, set_aside }))
        };
        let (running, passed) = tokio::task::spawn_blocking(run).await.context("the filters broke off")??;
        *chain = Some(running);
        Ok(passed)
    }

    /// No events.
    pub(super) fn none() -> Self {
        let batch = Batch::new(Arc::default(), 0);
        Passed { batch, rows: HashMap::new(), takes: Vec::new(), set_aside: HashMap::new() }
    }

    /// What becomes of an event.
    pub(super) fn fate(&self, identity: Identity) -> Fate<'_> {
        match (self.rows.get(&identity), self.set_aside.get(&identity)) {
            (Some(row), _) => Fate::Passed(*row),
            (None, Some(letter)) => Fate::SetAside(letter),
            (None, None) => Fate::Dropped,
        }
    }

    /// Whether an output takes an event; `None` where its `when` cannot be evaluated.
    pub(super) fn takes(&self, output: usize, row: usize) -> Option<bool> {
        let Some((holds, undecided)) = self.takes.get(output) else { return Some(false) };
        (!undecided.contains(row)).then(|| holds.contains(row))
    }
}
