//! The chain as a tree of filters and branches, and the way of rows through it. A branch chooses once for each event, before
//! any of its arms runs; so what an arm does to the field that a condition reads moves no event to another arm. What a
//! filter does with the rows that reach it is left to `chain`.

use std::sync::Arc;
use std::time::Instant;

use anyhow::Result;

use super::chain::Running;
use super::counts::FilterCounts;
use super::passage::{Passage, Place};
use crate::config::{self, OnFailure};
use crate::event::condition::Condition;
use crate::event::{FieldNames, RowSet};

/// A step of a chain: a filter by its number, or a branch.
pub(super) enum Step {
    Filter(usize),
    Branch(Arc<ConfiguredBranch>),
}

/// A branch of a chain, ready to be used.
pub struct ConfiguredBranch {
    /// The step's id.
    pub id: Arc<str>,
    /// Its figures, of all workers together: events that came, that took an arm (`matched`), and for which a condition
    /// could not be evaluated (`failed`).
    pub counts: Arc<FilterCounts>,
    when: Option<Condition>,
    on_error: OnFailure,
    arms: Vec<Arm>,
}

struct Arm {
    when: Option<Condition>,
    steps: Vec<Step>,
}

/// Makes the tree of a configuration's steps. The fields that conditions read are added to `names`, the branches to
/// `branches`, in the order of writing. A branch goes on with the figures of that of the same id in `earlier`.
pub(super) fn build_steps(
    steps: &[config::Step],
    names: &mut FieldNames,
    earlier: &[Arc<ConfiguredBranch>],
    branches: &mut Vec<Arc<ConfiguredBranch>>,
) -> Vec<Step> {
    let mut built = Vec::with_capacity(steps.len());
    for step in steps {
        let branch = match step {
            config::Step::Filter(number) => {
                built.push(Step::Filter(*number));
                continue;
            }
            config::Step::Branch(branch) => branch,
        };
        intern(branch.when.as_ref(), names);
        let place = branches.len();
        let mut arms = Vec::with_capacity(branch.arms.len());
        for arm in &branch.arms {
            intern(arm.when.as_ref(), names);
            arms.push(Arm {
                when: arm.when.clone(),
                steps: build_steps(&arm.steps, names, earlier, branches),
            });
        }
        let branch = Arc::new(ConfiguredBranch {
            id: branch.id.as_str().into(),
            counts: earlier
                .iter()
                .find(|other| *other.id == *branch.id)
                .map_or_else(Arc::default, |other| other.counts.clone()),
            when: branch.when.clone(),
            on_error: branch.on_error,
            arms,
        });
        branches.insert(place, branch.clone());
        built.push(Step::Branch(branch));
    }
    built
}

/// The same steps with figures of their own for each branch; these and the branch's are added to `counts`.
pub(super) fn with_own_counts(
    steps: &[Step],
    counts: &mut Vec<(Arc<FilterCounts>, Arc<FilterCounts>)>,
) -> Vec<Step> {
    let mut copied = Vec::with_capacity(steps.len());
    for step in steps {
        let branch = match step {
            Step::Filter(number) => {
                copied.push(Step::Filter(*number));
                continue;
            }
            Step::Branch(branch) => branch,
        };
        let own = Arc::<FilterCounts>::default();
        counts.push((own.clone(), branch.counts.clone()));
        let mut arms = Vec::with_capacity(branch.arms.len());
        for arm in &branch.arms {
            arms.push(Arm { when: arm.when.clone(), steps: with_own_counts(&arm.steps, counts) });
        }
        copied.push(Step::Branch(Arc::new(ConfiguredBranch {
            id: branch.id.clone(),
            counts: own,
            when: branch.when.clone(),
            on_error: branch.on_error,
            arms,
        })));
    }
    copied
}

/// Adds the fields that a condition reads.
pub(super) fn intern(condition: Option<&Condition>, names: &mut FieldNames) {
    for reference in condition.into_iter().flat_map(Condition::references) {
        names.intern(reference);
    }
}

/// Passes rows through steps, one after the other. Answers those that come out, the added ones with them.
pub(super) fn run_steps(
    steps: &[Step],
    filters: &mut [Running],
    passage: &mut Passage,
    rows: RowSet,
) -> Result<RowSet> {
    let mut rows = rows;
    for step in steps {
        if rows.is_empty() {
            break;
        }
        let first_added = passage.batch.rows();
        match step {
            Step::Filter(number) => {
                if let Some(filter) = filters.get_mut(*number) {
                    run_filter(filter, passage, &rows)?;
                }
            }
            Step::Branch(branch) => run_branch(branch, filters, passage, &rows)?,
        }
        passage.go_on(&mut rows, first_added);
    }
    Ok(rows)
}

fn run_filter(filter: &mut Running, passage: &mut Passage, rows: &RowSet) -> Result<()> {
    let configured = filter.configured().clone();
    let Some(when) = &configured.when else { return filter.run(passage, rows) };
    let started = Instant::now();
    let selection = when.select(&passage.batch, rows);
    passage.settle_undecided(&configured.place(), configured.on_error, &selection.undecided)?;
    configured.counts.add_time(started);
    if selection.holds.is_empty() { Ok(()) } else { filter.run(passage, &selection.holds) }
}

fn run_branch(
    branch: &ConfiguredBranch,
    filters: &mut [Running],
    passage: &mut Passage,
    rows: &RowSet,
) -> Result<()> {
    let chosen = choose(branch, passage, rows)?;
    for (arm, rows) in branch.arms.iter().zip(chosen) {
        let mut rows = rows;
        // An arm before this one may have added rows, none of which are of this arm.
        rows.grow(passage.batch.rows());
        run_steps(&arm.steps, filters, passage, rows)?;
    }
    Ok(())
}

/// The rows of each arm. A row is in one of them at most.
fn choose(branch: &ConfiguredBranch, passage: &mut Passage, rows: &RowSet) -> Result<Vec<RowSet>> {
    let started = Instant::now();
    FilterCounts::add(&branch.counts.events_in, rows.count());
    let mut undecided = Vec::new();
    let mut open = rows.clone();
    if let Some(when) = &branch.when {
        let selection = when.select(&passage.batch, &open);
        open = selection.holds;
        undecided.extend(selection.undecided);
    }
    let mut chosen = Vec::with_capacity(branch.arms.len());
    for arm in &branch.arms {
        let taken = match &arm.when {
            None => open.clone(),
            Some(when) => {
                let selection = when.select(&passage.batch, &open);
                for (row, _) in &selection.undecided {
                    open.remove(*row);
                }
                undecided.extend(selection.undecided);
                selection.holds
            }
        };
        open.subtract(&taken);
        FilterCounts::add(&branch.counts.matched, taken.count());
        chosen.push(taken);
    }
    undecided.sort_unstable();
    let place = Place { id: &branch.id, counts: &branch.counts };
    passage.settle_undecided(&place, branch.on_error, &undecided)?;
    branch.counts.add_time(started);
    Ok(chosen)
}
