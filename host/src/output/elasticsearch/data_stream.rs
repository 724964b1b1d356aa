//! Data streams: when they are used, which one an event goes to, and the three fields that say so in its document
//! (Logstash's `data_stream_support.rb`).

use std::borrow::Cow;

use crate::config::Section;
use crate::event::fields::{self, Found};
use crate::event::{Batch, FieldReference, Value};

/// The options of data streams.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DataStreamOptions {
    /// Type, dataset and namespace, where the event does not name them.
    pub parts: [String; 3],
    /// Whether the event may name them.
    pub auto_routing: bool,
    /// Whether they are written into the document.
    pub sync_fields: bool,
}

/// The names of the parts inside `[data_stream]`.
const PARTS: [&str; 3] = ["type", "dataset", "namespace"];

/// Reads the options; `None` where events go to indices. `unfit` names options that are set and have no use for data
/// streams: with one of them, or without ECS, `auto` (the default) means no.
pub(super) fn read_data_stream(
    section: &mut Section,
    has_ecs: bool,
    unfit: &[&str],
) -> Option<DataStreamOptions> {
    let choice = section.boolean_or("data_stream", &["auto"]).unwrap_or_else(|| "auto".to_owned());
    let own_keys = [
        "data_stream_type",
        "data_stream_dataset",
        "data_stream_namespace",
        "data_stream_auto_routing",
        "data_stream_sync_fields",
    ];
    let set: Vec<&str> = own_keys.into_iter().filter(|key| section.is_set(key)).collect();
    let kind = section.one_of("data_stream_type", &["logs", "metrics", "synthetics", "traces"]);
    let options = DataStreamOptions {
        parts: [
            kind.unwrap_or_else(|| "logs".to_owned()),
            read_part(section, "data_stream_dataset", "generic"),
            read_part(section, "data_stream_namespace", "default"),
        ],
        auto_routing: section.boolean_or("data_stream_auto_routing", &[]).as_deref() != Some("false"),
        sync_fields: section.boolean_or("data_stream_sync_fields", &[]).as_deref() != Some("false"),
    };
    let is_used = match choice.as_str() {
        "true" => {
            for key in unfit {
                let message = format!("`{key}` does not go with data streams");
                section.problem(key, &message, "remove it, or write data_stream = false");
            }
            if !has_ecs {
                let fix = "write ecs_compatibility = \"v8\"";
                section.problem("data_stream", "data streams need ECS field names", fix);
            }
            true
        }
        "false" => false,
        _ => has_ecs && unfit.is_empty(),
    };
    if !is_used {
        for key in set {
            let message = format!("`{key}` is for data streams, and this output writes to an index");
            section.problem(key, &message, "write data_stream = true, or remove it");
        }
    }
    is_used.then_some(options)
}

fn read_part(section: &mut Section, key: &str, default: &str) -> String {
    let text = section.text_or(key, default);
    let forbidden = |letter: char| "\\/*?\"<>| ,#:".contains(letter);
    if text.is_empty() || text.len() > 100 || text.contains(forbidden) {
        let fix = "it has 1 to 100 bytes and none of \\ / * ? \" < > | space , # :";
        section.problem(key, &format!("`{key}` is no part of a data stream's name: {text:?}"), fix);
    }
    text
}

fn part_reference(part: &str) -> FieldReference {
    FieldReference::from_fragments(["data_stream", part])
}

impl DataStreamOptions {
    /// The data stream that an event goes to.
    pub fn name(&self, batch: &Batch, row: usize) -> String {
        if !self.auto_routing || !is_map(batch, row) {
            return self.parts.join("-");
        }
        let mut name = Vec::with_capacity(3);
        for (part, default) in PARTS.iter().zip(&self.parts) {
            name.push(text_of(batch, row, &part_reference(part)).unwrap_or_else(|| default.clone()));
        }
        name.join("-")
    }

    /// The events with their `[data_stream]` as it is to be stored.
    pub fn with_fields<'b>(&self, batch: &'b Batch) -> Cow<'b, Batch> {
        if !self.sync_fields {
            return Cow::Borrowed(batch);
        }
        let mut synced = batch.clone();
        let map = FieldReference::from_fragments(["data_stream"]);
        for row in 0..synced.rows() {
            if !is_map(&synced, row) {
                fields::remove(&mut synced, row, &map);
            }
            for (part, wanted) in PARTS.iter().zip(&self.parts) {
                let reference = part_reference(part);
                let is_kept = match text_of(&synced, row, &reference) {
                    Some(text) => self.auto_routing || text == *wanted,
                    None => false,
                };
                if !is_kept && let Err(error) = fields::set(&mut synced, row, &reference, Value::Text(wanted))
                {
                    tracing::debug!("cannot set {reference}: {error}");
                }
            }
        }
        Cow::Owned(synced)
    }
}

fn is_map(batch: &Batch, row: usize) -> bool {
    let map = FieldReference::from_fragments(["data_stream"]);
    matches!(fields::get(batch, row, &map), Some(Found::Value(Value::Object)))
}

/// A part that an event names; null and false are as none.
fn text_of(batch: &Batch, row: usize, reference: &FieldReference) -> Option<String> {
    match fields::whole(batch, row, reference)? {
        serde_json::Value::Null | serde_json::Value::Bool(false) => None,
        serde_json::Value::String(text) => Some(text),
        other => Some(other.to_string()),
    }
}
