//! Trying a version beside the line: copies of batches go through instances of its own, and through others of the version
//! that runs. What is different is shown; a version that breaks is refused. Nothing of it is counted or delivered.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

use super::live::SwappableChain;
use super::version::ChainVersion;
use crate::event::{Batch, Documents};
use crate::filter::chain::{Chain, GivenBack, Processed};

/// Differences that are shown.
const MOST_SHOWN: usize = 5;

/// The longest text of a value that is shown, in bytes.
const LONGEST_SHOWN: usize = 200;

/// What a shadow run found.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ShadowReport {
    /// Batches that went through both versions.
    pub batches: usize,
    /// How many of these were not live, but kept from before.
    pub kept: usize,
    /// Their events.
    pub events: u64,
    /// Events that come out otherwise, or only of one version.
    pub differing: u64,
    /// Events that come out of the version that runs, and of the new one.
    pub came_out: (u64, u64),
    /// Events that each sets aside.
    pub set_aside: (u64, u64),
    /// The first differences.
    pub first: Vec<Difference>,
}

/// A field that is different in one event.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Difference {
    /// The field's name at the top of the event; empty: the event as a whole.
    pub field: String,
    /// Its value in the version that runs; `None`: it has none.
    pub now: Option<String>,
    /// In the new one.
    pub new: Option<String>,
}

impl SwappableChain {
    /// Tries a version on the next `batches` that come; on what was kept if they do not come within `limit`. Blocks.
    ///
    /// # Errors
    /// How the version broke, on a batch on which the one that runs does not.
    pub fn shadow(&self, candidate: &ChainVersion, batches: usize, limit: Duration) -> Result<ShadowReport> {
        let mut report = ShadowReport::default();
        if batches == 0 {
            return Ok(report);
        }
        let current = self.current();
        let mut trial = Trial { now: start(&current)?, new: start(candidate)? };
        let ends = Instant::now() + limit;
        let tap = self.recent.tap();
        while report.batches < batches {
            let Ok(batch) = tap.recv_timeout(ends.saturating_duration_since(Instant::now())) else { break };
            let tried = trial.try_on(&current, candidate, &batch, &mut report);
            if tried.is_err() {
                self.recent.close_tap();
            }
            tried?;
        }
        self.recent.close_tap();
        if report.batches == 0 {
            let last = Instant::now() + limit;
            for batch in self.recent.kept().into_iter().take(batches) {
                if report.batches > 0 && Instant::now() > last {
                    break;
                }
                trial.try_on(&current, candidate, &batch, &mut report)?;
                report.kept += 1;
            }
        }
        Ok(report)
    }
}

struct Trial {
    now: Chain,
    new: Chain,
}

fn start(version: &ChainVersion) -> Result<Chain> {
    let mut chain = version.definition.start()?;
    chain.count_nowhere();
    Ok(chain)
}

impl Trial {
    fn try_on(
        &mut self,
        current: &ChainVersion,
        candidate: &ChainVersion,
        batch: &Batch,
        report: &mut ShadowReport,
    ) -> Result<()> {
        let brought = |version: &ChainVersion| {
            let mut batch = batch.clone();
            version.adopt(&mut batch);
            batch
        };
        let now = self.now.try_process(brought(current), |_| Ok(()));
        let new = self.new.try_process(brought(candidate), |_| Ok(()));
        report.batches += 1;
        report.events += batch.rows() as u64;
        match (now, new) {
            (Ok(now), Ok(new)) => {
                compare(&now, &new, report);
                Ok(())
            }
            // What breaks both says nothing of the new one.
            (Err(now), Err(new)) if is_break(&now) == is_break(&new) => Ok(()),
            (Err(_), Ok(_)) => Ok(()),
            (_, Err(error)) => Err(error).context("it broke in the shadow run"),
        }
    }
}

fn is_break(error: &anyhow::Error) -> bool {
    error.is::<GivenBack>()
}

fn compare(now: &Processed, new: &Processed, report: &mut ShadowReport) {
    let set_aside = |processed: &Processed| -> u64 {
        processed.dead_letters.iter().map(|aside| aside.events.rows() as u64).sum()
    };
    report.came_out.0 += now.batch.rows() as u64;
    report.came_out.1 += new.batch.rows() as u64;
    report.set_aside.0 += set_aside(now);
    report.set_aside.1 += set_aside(new);
    for (now_row, new_row) in pairs(&now.batch, &new.batch) {
        let text =
            |batch: &Batch, row: Option<usize>| row.map(|row| Documents::with_metadata(batch).text(row));
        let (now, new) = (text(&now.batch, now_row), text(&new.batch, new_row));
        if now == new {
            continue;
        }
        let differences = differences(now.as_deref(), new.as_deref());
        if !differences.is_empty() {
            report.differing += 1;
            let room = MOST_SHOWN.saturating_sub(report.first.len());
            report.first.extend(differences.into_iter().take(room));
        }
    }
}

/// Rows of the same event: both come in order, and a row that only one has stands alone.
fn pairs(now: &Batch, new: &Batch) -> Vec<(Option<usize>, Option<usize>)> {
    let mut pairs = Vec::with_capacity(now.rows().max(new.rows()));
    if now.rows() == new.rows() {
        pairs.extend((0..now.rows()).map(|row| (Some(row), Some(row))));
        return pairs;
    }
    let mut left: std::collections::HashMap<u128, usize> =
        (0..new.rows()).map(|row| (new.identity(row), row)).filter(|(identity, _)| *identity != 0).collect();
    let mut paired = vec![false; new.rows()];
    for row in 0..now.rows() {
        let other = left.remove(&now.identity(row));
        if let Some(paired) = other.and_then(|other| paired.get_mut(other)) {
            *paired = true;
        }
        pairs.push((Some(row), other));
    }
    pairs.extend(paired.iter().enumerate().filter(|(_, paired)| !**paired).map(|(row, _)| (None, Some(row))));
    pairs
}

/// What is different at the top of two documents; key by key, so their order does not matter.
fn differences(now: Option<&str>, new: Option<&str>) -> Vec<Difference> {
    let parsed = |text: Option<&str>| text.and_then(|text| serde_json::from_str::<Json>(text).ok());
    let (Some(Json::Object(now)), Some(Json::Object(new))) = (parsed(now), parsed(new)) else {
        let shown = |text: Option<&str>| text.map(cut);
        return vec![Difference { field: String::new(), now: shown(now), new: shown(new) }];
    };
    let mut found = Vec::new();
    let keys = now.keys().chain(new.keys().filter(|key| !now.contains_key(*key)));
    for key in keys {
        let (now, new) = (now.get(key), new.get(key));
        if now != new {
            let shown = |value: Option<&Json>| value.map(|value| cut(&value.to_string()));
            found.push(Difference { field: cut(key), now: shown(now), new: shown(new) });
        }
    }
    found
}

fn cut(text: &str) -> String {
    match text.get(text.floor_char_boundary(LONGEST_SHOWN)..) {
        Some("") | None => text.to_owned(),
        Some(_) => format!("{}…", &text[..text.floor_char_boundary(LONGEST_SHOWN)]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn differences_are_those_of_fields() {
        let check = |now: &str, new: &str, expected: &[(&str, Option<&str>, Option<&str>)]| {
            let found = differences(Some(now), Some(new));
            let found: Vec<_> = found
                .iter()
                .map(|found| (found.field.as_str(), found.now.as_deref(), found.new.as_deref()))
                .collect();
            assert_eq!(found, expected, "{now} {new}");
        };
        check(r#"{"a":1,"b":2}"#, r#"{"b":2,"a":1}"#, &[]);
        check(
            r#"{"a":1,"b":2}"#,
            r#"{"a":"x","c":3}"#,
            &[("a", Some("1"), Some("\"x\"")), ("b", Some("2"), None), ("c", None, Some("3"))],
        );
        assert_eq!(differences(None, Some("{}"))[0].new.as_deref(), Some("{}"));
        assert_eq!(cut(&"é".repeat(200)).chars().count(), 101);
    }

    #[test]
    fn events_are_paired_by_identity() {
        let batch = |identities: &[u128]| {
            let mut batch = Batch::new(std::sync::Arc::default(), identities.len());
            batch.set_identities(identities.to_vec());
            batch
        };
        let found = pairs(&batch(&[1, 2, 3]), &batch(&[1, 3]));
        assert_eq!(found, [(Some(0), Some(0)), (Some(1), None), (Some(2), Some(1))]);
        let found = pairs(&batch(&[1]), &batch(&[2, 1]));
        assert_eq!(found, [(Some(0), Some(1)), (None, Some(0))]);
    }
}
