//! What was put against what is stored, and what the ledger said meanwhile: the invariants by their names.

use std::collections::BTreeMap;

use chrono::DateTime;
use serde_json::Value;

use weir_test_support::Broken;

use crate::ledger::LedgerWatch;
use crate::world::World;

/// What the comparison came to; numbers are those in the messages.
#[derive(Debug, Default)]
pub(crate) struct Verdict {
    pub(crate) lost: Vec<usize>,
    pub(crate) doubled: Vec<String>,
    pub(crate) altered: Vec<String>,
    pub(crate) ahead: Vec<String>,
    pub(crate) out_of_order: Vec<String>,
}

impl Verdict {
    /// Compares all documents with all events. `watched` is what was seen of the ledger.
    pub(crate) fn of(world: &World, watched: LedgerWatch) -> Self {
        let LedgerWatch { ahead, out_of_order, .. } = watched;
        let mut verdict = Verdict { ahead, out_of_order, ..Verdict::default() };
        let mut found: BTreeMap<usize, usize> = BTreeMap::new();
        for (index, documents) in &world.elasticsearch.documents() {
            for (id, document) in documents {
                let fields = document.json();
                let number = fields["number"].as_str().and_then(|number| number.parse().ok());
                let Some(issued) = number.and_then(|number| world.issued.get(&number)) else {
                    verdict.altered.push(format!("{index}/{id} was never put: {fields}"));
                    continue;
                };
                *found.entry(number.unwrap_or_default()).or_default() += 1;
                if document.version != 1 {
                    verdict.doubled.push(format!("{index}/{id} has version {}", document.version));
                }
                let time = DateTime::from_timestamp_millis(issued.time).unwrap();
                let text = |text: String| Value::String(text);
                let expected = [
                    ("/message", text(issued.message.clone())),
                    ("/word", text(format!("word{}", number.unwrap_or_default() / 2))),
                    ("/kind", text("crash".to_owned())),
                    ("/day", text(time.format("%Y-%m-%d").to_string())),
                    ("/@timestamp", text(time.format("%Y-%m-%dT%H:%M:%S%.3fZ").to_string())),
                    ("/cloudwatch_logs/event_id", text(issued.event_id.clone())),
                    ("/cloudwatch_logs/log_group", text(issued.group.to_owned())),
                    ("/cloudwatch_logs/log_stream", text(issued.stream.clone())),
                ];
                for (pointer, value) in expected {
                    if fields.pointer(pointer) != Some(&value) {
                        verdict.altered.push(format!("{index}/{id}: {pointer} should be {value}: {fields}"));
                    }
                }
                let right = format!("crash-{}", time.format("%Y.%m.%d.%H"));
                if *index != right {
                    verdict.altered.push(format!("{index}/{id} should be in {right}"));
                }
            }
        }
        for (number, issued) in &world.issued {
            match found.get(number).copied().unwrap_or_default() {
                0 => verdict.lost.push(*number),
                1 => {}
                count => verdict.doubled.push(format!("{} is stored {count} times", issued.message)),
            }
        }
        for (id, count) in &world.deliveries().again {
            verdict.doubled.push(format!("{id} was delivered {count} times more after a clean stop"));
        }
        verdict
    }

    /// How often each invariant was broken.
    pub(crate) fn broken(&self) -> Broken {
        Broken {
            nothing_lost: self.lost.len(),
            nothing_doubled: self.doubled.len(),
            nothing_ahead: self.ahead.len(),
            closed_in_order: self.out_of_order.len(),
            nothing_altered: self.altered.len(),
        }
    }
}
