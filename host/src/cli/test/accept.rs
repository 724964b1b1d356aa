//! `weir test --accept`: what came of cases goes into their files, where it is not as expected.

use std::fs;

use anyhow::{Context, Result, anyhow};
use weir::config::cases::{Case, Change, accept};

use super::Outcome;
use super::find::{Found, Source};

/// Writes what came of the failed cases of one file into it, and marks them.
///
/// # Errors
/// When the file cannot be written, or is none.
pub(super) fn accept_all(found: &Found, text: &str, ran: &mut [(usize, Case, Outcome)]) -> Result<()> {
    let mut changes = Vec::new();
    for (place, (number, case, outcome)) in ran.iter().enumerate() {
        for (batch, (written, observed)) in case.batches.iter().zip(&outcome.run.observed).enumerate() {
            let is_new = written.expect.unsaid && !case.has_batches;
            let differences = outcome.run.differences_of(batch);
            if differences.is_empty() && !is_new {
                continue;
            }
            changes.push((
                place,
                *number,
                case.has_batches.then_some(batch),
                is_new,
                differences,
                observed,
                &written.input,
            ));
        }
    }
    if changes.is_empty() {
        return Ok(());
    }
    let list: Vec<Change<'_>> = changes
        .iter()
        .map(|(_, case, batch, unsaid, differences, observed, input)| Change {
            case: *case,
            batch: *batch,
            unsaid: *unsaid,
            differences,
            observed,
            input,
        })
        .collect();
    let places: Vec<usize> = changes.iter().map(|(place, ..)| *place).collect();
    let named = || format!("cannot change {}", found.path.display());
    let refused = match &found.source {
        Source::File | Source::Pipeline => {
            let (new, refused) = accept(text, &list).map_err(|error| anyhow!(error)).with_context(named)?;
            if new != text {
                fs::write(&found.path, new).with_context(named)?;
            }
            refused
        }
        Source::Carried { .. } => {
            let reason = "it lies in the component; change its file and build it again";
            (0..list.len()).map(|number| (number, reason.to_owned())).collect()
        }
    };
    drop(list);
    for (number, place) in places.iter().enumerate() {
        let (_, _, outcome) = &mut ran[*place];
        match refused.iter().find(|(refused, _)| *refused == number) {
            Some((_, reason)) => outcome.not_accepted.clone_from(reason),
            None => outcome.accepted = true,
        }
    }
    for (_, _, outcome) in ran {
        outcome.accepted &= outcome.not_accepted.is_empty();
    }
    Ok(())
}
