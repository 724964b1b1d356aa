//! What the ledger says of a log group: how far it is read, and which ids it has. Asked by `weir audit`, of the ledger's file
//! or of the process that has it open; so question and answer are data that can be sent.

use std::collections::HashSet;
use std::ops::ControlFlow;

use anyhow::Result;
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;
use sha2::{Digest, Sha256};

use super::seen::{GroupKey, ids_in, ids_key};
use super::windows::{Windows, window_of};
use crate::ledger::InputLedger;

/// A question about a log group.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct RecordedQuestion {
    /// The input's name.
    pub input: String,
    /// What stands for the group in the identity of its events.
    pub source: String,
    /// Ids of windows from here on, in milliseconds since 1970 …
    pub from: i64,
    /// … up to here.
    pub to: i64,
    /// Identities (32 hexadecimal digits each) of which those are asked for that the ledger has.
    pub ids: Vec<String>,
}

/// What the ledger says.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Recorded {
    /// How far the group is read; `None`: not begun.
    pub windows: Option<RecordedWindows>,
    /// How many ids the ledger has of windows that were asked for. Those of closed windows are forgotten.
    pub ids: u64,
    /// Those of the question's identities that it has.
    pub known: Vec<String>,
}

/// How far a group is read, in milliseconds since 1970.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecordedWindows {
    /// Where reading began; `None`: an older ledger, which does not say it.
    pub from: Option<i64>,
    /// Windows up to here are closed.
    pub closed_to: i64,
    /// Windows after those, up to here, are settling; what comes then is open.
    pub settling_to: i64,
}

/// Looks in the ledger. Blocks.
///
/// # Errors
/// When it cannot be read.
pub fn recorded(ledger: &InputLedger, question: &RecordedQuestion) -> Result<Recorded> {
    let key = key_of(&question.source);
    let note = ledger.get(&group_key(key))?;
    let note = note.and_then(|bytes| serde_json::from_slice::<Json>(&bytes).ok());
    let windows = note.and_then(|note| {
        let Windows { closed_to, settling_to } = windows_in(&note)?;
        Some(RecordedWindows { from: note["from"].as_i64(), closed_to, settling_to })
    });
    let wanted: HashSet<u128> =
        question.ids.iter().filter_map(|id| u128::from_str_radix(id, 16).ok()).collect();
    let (start, end) = (ids_key(key, window_of(question.from)), ids_key(key, question.to));
    let mut recorded = Recorded { windows, ..Recorded::default() };
    ledger.visit(&start..&end, |_, value| {
        for id in ids_in(value) {
            recorded.ids += 1;
            if wanted.contains(&id) {
                recorded.known.push(format!("{id:032x}"));
            }
        }
        ControlFlow::Continue(())
    })?;
    Ok(recorded)
}

/// A group's number in the ledger's keys.
pub(super) fn key_of(source: &str) -> GroupKey {
    let mut key = [0; 8];
    key.copy_from_slice(&Sha256::digest(source.as_bytes())[..8]);
    key
}

/// The key of what the ledger keeps of a group.
pub(super) fn group_key(group: GroupKey) -> Vec<u8> {
    let mut key = vec![b'g'];
    key.extend(group);
    key
}

/// The windows of a group as the ledger has them; the first ledgers had no `settling_to`.
pub(super) fn windows_in(note: &Json) -> Option<Windows> {
    let closed_to = note["closed_to"].as_i64()?;
    let settling_to = note["settling_to"].as_i64().unwrap_or(closed_to).max(closed_to);
    Some(Windows { closed_to, settling_to })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::input::cloudwatch_logs::seen::SeenIds;
    use crate::ledger::{Ledger, Position};

    #[test]
    fn windows_and_ids_are_told() {
        let ledger = Ledger::in_memory().unwrap();
        let key = key_of("r//a");
        let ids: Vec<(i64, u128)> = (0..5).map(|n| (i64::from(n) * 60_000, 100 + n as u128)).collect();
        let mut seen = SeenIds::open(ledger.input("x")).unwrap();
        seen.select_new(key, &ids).unwrap();
        let ids = seen.position(key, &ids);
        let note = br#"{"closed_to":60000,"settling_to":120000,"from":7}"#.to_vec();
        let note = Position { puts: vec![(group_key(key), note)], removes: Vec::new() };
        ledger.commit(&[("x", &ids), ("x", &note)]).unwrap();
        let ask = |source: &str, from, to, ids: &[u128]| {
            let ids = ids.iter().map(|id| format!("{id:032x}")).collect();
            let (input, source) = ("x".to_owned(), source.to_owned());
            recorded(&ledger.input("x"), &RecordedQuestion { input, source, from, to, ids }).unwrap()
        };
        let found = ask("r//a", 60_001, 180_000, &[100, 101, 7]);
        let windows = RecordedWindows { from: Some(7), closed_to: 60_000, settling_to: 120_000 };
        assert_eq!((found.windows, found.ids), (Some(windows), 2));
        assert_eq!(found.known, [format!("{:032x}", 101)]);
        assert_eq!(ask("r//b", 0, 180_000, &[100]), Recorded::default());
    }
}
