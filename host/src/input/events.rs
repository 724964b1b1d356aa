//! From texts to a batch of events: `message`, `@timestamp` and `@version`, or what the codec makes of the text. The
//! texts stay where they were read: a batch takes over their buffer and its cells point into it.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use serde_json::Value as Json;
use weir_filter::{FieldReference, timestamp};

use super::{Codec, InputContext, InputCounters};
use crate::event::decorate::Decorations;
use crate::event::{Batch, Cell, FieldId, FieldNames, RowSet, fields};

/// Makes the batches of one input.
pub(super) struct EventMaker {
    names: Arc<FieldNames>,
    message: FieldId,
    timestamp: FieldId,
    version: FieldId,
    codec: Codec,
    decorations: Decorations,
    counters: Arc<InputCounters>,
}

impl EventMaker {
    /// `extra` are names of fields that the input itself sets; their numbers come back in the same order.
    pub(super) fn new(
        context: &InputContext,
        extra: &[&[&str]],
        counters: Arc<InputCounters>,
    ) -> (Self, Vec<FieldId>) {
        let mut names = FieldNames::clone(&context.names);
        let mut intern =
            |fragments: &[&str]| names.intern(&FieldReference::from_fragments(fragments.to_vec()));
        let message = intern(&["message"]);
        let timestamp = intern(&["@timestamp"]);
        let version = intern(&["@version"]);
        let extra = extra.iter().map(|fragments| intern(fragments)).collect();
        let (decorations, _) = context.decoration.prepared();
        for reference in decorations.references() {
            names.intern(&reference);
        }
        let maker = EventMaker {
            names: Arc::new(names),
            message,
            timestamp,
            version,
            codec: context.codec,
            decorations,
            counters,
        };
        (maker, extra)
    }

    /// An event for each of `messages`, text cells of buffer 0, which is `text`. `now` is for events that have no time
    /// of their own.
    pub(super) fn events(&self, text: String, messages: Vec<Cell>, now: i64) -> Batch {
        let rows = messages.len();
        let mut batch = Batch::new(self.names.clone(), rows);
        batch.adopt_text(Arc::new(text));
        batch.set_column(self.message, messages);
        batch.set_column(self.timestamp, vec![Cell::timestamp(now); rows]);
        let one = batch.text_cell("1");
        batch.set_column(self.version, vec![one; rows]);
        if self.codec == Codec::Json {
            for row in 0..rows {
                if !self.read_json(&mut batch, row) {
                    self.counters.codec_failures.fetch_add(1, Ordering::Relaxed);
                    fields::add_tag(&mut batch, row, "_jsonparsefailure");
                }
            }
        }
        batch
    }

    /// A batch for a position without events.
    pub(super) fn no_events(&self) -> Batch {
        Batch::new(self.names.clone(), 0)
    }

    /// Sets every event's `@timestamp`, which the input knows better than the text.
    pub(super) fn set_timestamps(&self, batch: &mut Batch, nanoseconds: impl Iterator<Item = i64>) {
        batch.set_column(self.timestamp, nanoseconds.map(Cell::timestamp).collect());
    }

    /// Tags and counts the events whose lines were cut; one of `cut` a row.
    pub(super) fn tag_cut_lines(&self, batch: &mut Batch, cut: impl IntoIterator<Item = bool>) {
        for (row, cut) in cut.into_iter().enumerate() {
            if cut {
                self.counters.cut_lines.fetch_add(1, Ordering::Relaxed);
                fields::add_tag(batch, row, "_line_cut");
            }
        }
    }

    /// Puts `add_field` and `tags` on the events, after all that the input itself sets.
    pub(super) fn decorate(&self, batch: &mut Batch) {
        if !self.decorations.is_empty() {
            // A value that cannot be put is left out on that event, as in Logstash; `check` warns of those that never can.
            let rows = RowSet::all(batch.rows());
            self.decorations.apply(batch, &rows, now());
        }
    }

    /// Makes fields of a message's JSON object; `false` leaves the event as it is.
    fn read_json(&self, batch: &mut Batch, row: usize) -> bool {
        let text = batch.text_of(batch.cell(row, self.message));
        let Ok(Json::Object(mut members)) = serde_json::from_str::<Json>(text) else { return false };
        let metadata = members.shift_remove("@metadata");
        if metadata.as_ref().is_some_and(|metadata| !metadata.is_object()) {
            return false;
        }
        let timestamp = members.shift_remove("@timestamp");
        let tags = members.shift_remove("tags");
        batch.column_mut(self.message)[row] = Cell::ABSENT;
        // Only the guarded names can be refused, and those were taken out or looked at.
        if let Some(metadata) = &metadata {
            let _ = fields::set_json(batch, row, &FieldReference::from_fragments(["@metadata"]), metadata);
        }
        for (name, value) in &members {
            let _ = fields::set_json(batch, row, &FieldReference::from_fragments([name.as_str()]), value);
        }
        if let Some(tags) = tags {
            fields::set_tags(batch, row, tags);
        }
        if let Some(timestamp) = timestamp {
            self.set_own_timestamp(batch, row, timestamp);
        }
        true
    }

    /// Logstash's rule: a time that cannot be read is kept in `_@timestamp`, and the event is of now.
    fn set_own_timestamp(&self, batch: &mut Batch, row: usize, timestamp: Json) {
        match &timestamp {
            Json::Null => return,
            Json::String(text) => {
                if let Some(nanoseconds) = timestamp::parse(text) {
                    batch.column_mut(self.timestamp)[row] = Cell::timestamp(nanoseconds);
                    return;
                }
            }
            _ => {}
        }
        let kept = FieldReference::from_fragments(["_@timestamp"]);
        let _ = fields::set_json(batch, row, &kept, &timestamp);
        fields::add_tag(batch, row, "_timestampparsefailure");
    }
}

/// The time in nanoseconds since 1970.
pub(super) fn now() -> i64 {
    chrono::Utc::now().timestamp_nanos_opt().unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::event::Documents;
    use crate::input::{Decoration, testing};

    /// What the JSON codec makes of a text, as a document, with `@timestamp` taken out where it is the time of reading.
    fn check(text: &str, expected: Json) {
        let context = testing::context(Codec::Json);
        let counters = Arc::new(InputCounters::default());
        let (maker, _) = EventMaker::new(&context, &[], counters.clone());
        let cell = Cell::text(0, 0, text.len() as u32);
        let batch = maker.events(text.to_owned(), vec![cell], 1_000_000);
        let document = Documents::with_metadata(&batch).text(0);
        let mut document: Json = serde_json::from_str(&document).expect("documents are JSON");
        if document["@timestamp"] == "1970-01-01T00:00:00.001Z" {
            document.as_object_mut().expect("it is an object").remove("@timestamp");
        }
        assert_eq!(document, expected, "{text}");
        let failed = text.starts_with("{\"@metadata\":1") || !text.starts_with('{');
        assert_eq!(counters.codec_failures.load(Ordering::Relaxed), u64::from(failed), "{text}");
    }

    #[test]
    fn json_objects_become_fields() {
        check(
            r#"{"a":{"b":[1,{"c":2}],"d":{}},"n":1.5}"#,
            json!({"a":{"b":[1,{"c":2}],"d":{}},"n":1.5,"@version":"1"}),
        );
        check(r#"{"message":"m","@version":"7"}"#, json!({"message":"m","@version":"7"}));
        check(r#"{"@metadata":{"x":"y"}}"#, json!({"@version":"1","@metadata":{"x":"y"}}));
        check(r#"{"[a][b]":1,"":2}"#, json!({"@version":"1","[a][b]":1,"":2}));
    }

    #[test]
    fn times_and_tags_of_json_follow_logstash() {
        check(
            r#"{"@timestamp":"2020-02-23T17:08:41Z"}"#,
            json!({"@timestamp":"2020-02-23T17:08:41.000Z","@version":"1"}),
        );
        check(r#"{"@timestamp":null}"#, json!({"@version":"1"}));
        check(
            r#"{"@timestamp":"soon"}"#,
            json!({"@version":"1","_@timestamp":"soon","tags":["_timestampparsefailure"]}),
        );
        check(
            r#"{"@timestamp":17,"tags":"a"}"#,
            json!({"@version":"1","_@timestamp":17,"tags":["a","_timestampparsefailure"]}),
        );
        check(r#"{"tags":["a","b"]}"#, json!({"@version":"1","tags":["a","b"]}));
        check(r#"{"tags":{"a":1}}"#, json!({"@version":"1","_tags":[{"a":1}],"tags":["_tagsparsefailure"]}));
        check(r#"{"tags":null}"#, json!({"@version":"1","_tags":[null],"tags":["_tagsparsefailure"]}));
    }

    #[test]
    fn every_event_is_decorated() {
        let mut context = testing::context(Codec::Json);
        context.decoration = Decoration {
            add_field: vec![
                ("type".to_owned(), json!("route53")),
                ("copy".to_owned(), json!(["%{a}", "%{[b][c]}"])),
                ("[deep][x]".to_owned(), json!(7)),
            ],
            tags: vec!["one".to_owned(), "two".to_owned()],
        };
        let (maker, _) = EventMaker::new(&context, &[], Arc::default());
        let text = r#"{"a":"A","b":{"c":3},"tags":["own"]}"#;
        let mut batch = maker.events(text.to_owned(), vec![Cell::text(0, 0, text.len() as u32)], 0);
        maker.decorate(&mut batch);
        let document = &testing::seen(&batch)[0].document;
        assert_eq!(document["type"], "route53");
        assert_eq!(document["copy"], json!(["A", "3"]));
        assert_eq!(document["deep"], json!({"x": "7"}));
        assert_eq!(document["tags"], json!(["own", "one", "two"]));
    }

    #[test]
    fn what_is_no_object_stays_text() {
        for text in ["", "plain", "[1,2]", "{\"@metadata\":1}", "7"] {
            check(text, json!({"message":text,"@version":"1","tags":["_jsonparsefailure"]}));
        }
    }
}
