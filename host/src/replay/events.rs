//! Letters as events again, and which letter an event was that fails again. Every event carries its letter in
//! `[@metadata][dead_letter_queue]` (`plugin_id`, `reason` and `entry_time` as in Logstash, and `letter`).

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use anyhow::Result;
use chrono::{DateTime, SecondsFormat};
use serde_json::{Value as Json, json};
use sha2::{Digest, Sha256};
use weir_filter::{FieldReference, Value, timestamp};

use crate::event::{Batch, FieldNames, Identity, RowSet, fields};
use crate::filter::Chain;
use crate::output::DeadLetter;
use crate::output::dead_letter::{FoundLetter, LetterId};
use crate::shares::letters;

/// What became of letters before the outputs.
pub(super) struct Filtered {
    /// The events that go on.
    pub(super) batch: Batch,
    /// What filters set aside again.
    pub(super) dead_letters: Vec<DeadLetter>,
    /// Letters that are no events, and why.
    pub(super) unreadable: Vec<(LetterId, String)>,
}

/// Letters as events.
pub(super) fn unfiltered(letters: &[FoundLetter]) -> Filtered {
    let (batch, unreadable) = batch_of(letters, &Arc::default());
    Filtered { batch, dead_letters: Vec::new(), unreadable }
}

/// Letters as events that went through filters.
///
/// # Errors
/// When a filter stops the pipeline.
pub(super) fn filtered(
    found: &[FoundLetter],
    chain: &mut Chain,
    names: &Arc<FieldNames>,
) -> Result<Filtered> {
    let (batch, unreadable) = batch_of(found, names);
    if batch.rows() == 0 {
        return Ok(Filtered { batch, dead_letters: Vec::new(), unreadable });
    }
    let processed = chain.process(batch)?;
    let mut dead_letters = Vec::new();
    for aside in &processed.dead_letters {
        let rows = (0..aside.events.rows()).map(|row| (row, aside.reason.clone()));
        dead_letters.extend(letters(&aside.filter, &aside.events, rows));
    }
    Ok(Filtered { batch: processed.batch, dead_letters, unreadable })
}

/// The events of letters, and the letters that are none with the reason.
fn batch_of(letters: &[FoundLetter], names: &Arc<FieldNames>) -> (Batch, Vec<(LetterId, String)>) {
    let mut batch = Batch::new(names.clone(), letters.len());
    let mut unreadable = Vec::new();
    let mut gone = RowSet::none(letters.len());
    for (row, found) in letters.iter().enumerate() {
        if let Err(reason) = put_event(&mut batch, row, found) {
            unreadable.push((found.id, reason));
            gone.insert(row);
        }
        batch.set_identity(row, identity_of(found));
    }
    batch.drop_rows(&gone);
    (batch, unreadable)
}

/// An event without an identity gets one of its letter's, so that it is stored once however often it is replayed.
fn identity_of(found: &FoundLetter) -> Identity {
    if found.letter.identity != 0 {
        return found.letter.identity;
    }
    let mut hash = Sha256::new();
    hash.update(format!("dead letter {} {} ", found.id, found.letter.time));
    hash.update(&found.letter.event);
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&hash.finalize()[..16]);
    Identity::from_be_bytes(bytes).max(1)
}

fn put_event(batch: &mut Batch, row: usize, found: &FoundLetter) -> Result<(), String> {
    let event: Json = serde_json::from_str(&found.letter.event).map_err(|error| error.to_string())?;
    let Json::Object(event) = event else { return Err("its event is no object".to_owned()) };
    for (name, value) in &event {
        let reference = FieldReference::from_fragments([name.as_str()]);
        if name == "@timestamp"
            && let Json::String(text) = value
        {
            let time = timestamp::parse(text).ok_or_else(|| format!("{text:?} is no @timestamp"))?;
            fields::set(batch, row, &reference, Value::Timestamp(time))?;
        } else {
            fields::set_json(batch, row, &reference, value)?;
        }
    }
    let letter = &found.letter;
    let about = json!({
        "plugin_id": letter.plugin,
        "reason": letter.reason,
        "entry_time": DateTime::from_timestamp_nanos(letter.time).to_rfc3339_opts(SecondsFormat::Millis, true),
        "letter": found.id.to_string(),
    });
    let reference = FieldReference::from_fragments(["@metadata", "dead_letter_queue"]);
    fields::set_json(batch, row, &reference, &about)
}

/// Which letters fail again.
pub(super) struct Failures {
    letters: Arc<Vec<FoundLetter>>,
    by_identity: HashMap<Identity, LetterId>,
    /// The letters that stay, and why.
    pub(super) failed: BTreeMap<LetterId, String>,
    /// What fails without saying which letter it was.
    pub(super) unknown: Vec<DeadLetter>,
}

impl Failures {
    pub(super) fn new(letters: Arc<Vec<FoundLetter>>) -> Self {
        let by_identity = letters.iter().map(|found| (identity_of(found), found.id)).collect();
        Failures { letters, by_identity, failed: BTreeMap::new(), unknown: Vec::new() }
    }

    pub(super) fn add_unreadable(&mut self, unreadable: Vec<(LetterId, String)>) {
        self.failed.extend(unreadable);
    }

    pub(super) fn add_letters(&mut self, again: Vec<DeadLetter>) {
        for letter in again {
            let named = letter_named_in(&letter.event)
                .filter(|id| self.letters.iter().any(|found| found.id == *id))
                .or_else(|| self.by_identity.get(&letter.identity).copied());
            match named {
                Some(id) => {
                    self.failed.entry(id).or_insert(format!("{}: {}", letter.plugin, letter.reason));
                }
                None => self.unknown.push(letter),
            }
        }
    }
}

fn letter_named_in(event: &str) -> Option<LetterId> {
    let event: Json = serde_json::from_str(event).ok()?;
    event["@metadata"]["dead_letter_queue"]["letter"].as_str()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Documents;

    fn found(offset: u64, identity: Identity, event: &str) -> FoundLetter {
        let letter = DeadLetter {
            time: 1_700_000_000_123_000_000,
            plugin: "date".to_owned(),
            reason: "why".to_owned(),
            identity,
            event: event.to_owned(),
        };
        let id = LetterId { segment: 1, offset };
        FoundLetter { id, checksum: 0, is_done: false, pipeline: "p".to_owned(), letter }
    }

    #[test]
    fn an_event_comes_back_as_it_was() {
        let event = r#"{"@timestamp":"2020-02-23T17:08:41.123456Z","message":"a \"b\" \\ \u0007","n":1.0,"big":123456789012345678901234567890,"map":{"a":{"b":[1,{"c":null}]},"empty":{}},"x.y":null,"tags":["t"],"@metadata":{"k":"v"}}"#;
        let filtered = unfiltered(&[found(7, 0xabc, event), found(8, 0, "[]"), found(9, 0, "{}")]);
        assert_eq!(filtered.batch.rows(), 2);
        let document = Documents::with_metadata(&filtered.batch).text(0);
        let queue = r#""@metadata":{"k":"v","dead_letter_queue":{"plugin_id":"date","reason":"why","entry_time":"2023-11-14T22:13:20.123Z","letter":"1:7"}}"#;
        assert_eq!(document, event.replace(r#""@metadata":{"k":"v"}"#, queue));
        assert_eq!(filtered.batch.identity(0), 0xabc);
        assert_ne!(filtered.batch.identity(1), 0, "a letter without an identity gets one of its own");
        assert_eq!(filtered.unreadable.len(), 1);
        assert_eq!(filtered.unreadable[0].0.offset, 8);
    }

    #[test]
    fn failures_are_led_back_to_their_letters() {
        let letters = Arc::new(vec![found(0, 1, "{}"), found(5, 0, "{}"), found(9, 3, "{}")]);
        let mut failures = Failures::new(letters.clone());
        let named = r#"{"@metadata":{"dead_letter_queue":{"letter":"1:5"}}}"#;
        let again = |identity, event: &str| found(0, identity, event).letter;
        let foreign = named.replace("1:5", "2:5");
        failures.add_letters(vec![again(77, named), again(3, &foreign), again(78, "{}")]);
        assert_eq!(failures.failed.keys().map(|id| id.offset).collect::<Vec<_>>(), [5, 9]);
        assert_eq!(failures.unknown.len(), 1);
    }
}
