//! From a page of the service to batches of events: what was handed on before is left out, the rest gets its fields and
//! its identity. Runs on a blocking thread: a page may have ten thousand events.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use anyhow::Result;
use aws_sdk_cloudwatchlogs::types::FilteredLogEvent;
use sha2::{Digest, Sha256};

use super::counters::CloudwatchCounters;
use super::recorded::key_of;
use super::run::PageSummary;
use super::seen::{GroupKey, SeenIds};
use super::windows::window_of;
use crate::event::fields::{self, Found};
use crate::event::{Batch, Cell, FieldId, Identity, Value};
use crate::input::events::{EventMaker, now};
use crate::input::{Codec, InputContext, InputCounters, Read};

/// Texts of a batch, beside its number of events.
const BATCH_BYTES: usize = 4 << 20;

/// A group as its events see it.
pub(super) struct PageSource {
    /// The group's name: the field `log_group`.
    pub(super) log_group: String,
    /// Stands for the group in the identity of events.
    pub(super) source: String,
    pub(super) key: GroupKey,
}

impl PageSource {
    pub(super) fn new(group: &str, source: String) -> Self {
        let key = key_of(&source);
        PageSource { log_group: group_name(group).to_owned(), source, key }
    }
}

/// The name in a group's ARN; a name as it is.
pub(super) fn group_name(group: &str) -> &str {
    match group.strip_prefix("arn:").and_then(|arn| arn.split_once(":log-group:")) {
        Some((_, name)) => name.trim_end_matches(":*"),
        None => group,
    }
}

/// Makes the batches of an input.
pub(super) struct PageMaker {
    maker: EventMaker,
    event_id: FieldId,
    ingestion_time: FieldId,
    log_group: FieldId,
    log_stream: FieldId,
    batch_size: usize,
    codec: Codec,
    counters: Arc<CloudwatchCounters>,
}

impl PageMaker {
    pub(super) fn new(
        context: &InputContext,
        of_input: Arc<InputCounters>,
        counters: Arc<CloudwatchCounters>,
    ) -> Result<Self> {
        let names: [&[&str]; 4] = [
            &["cloudwatch_logs", "event_id"],
            &["cloudwatch_logs", "ingestion_time"],
            &["cloudwatch_logs", "log_group"],
            &["cloudwatch_logs", "log_stream"],
        ];
        let (maker, fields) = EventMaker::new(context, &names, of_input);
        let [event_id, ingestion_time, log_group, log_stream] = fields[..] else {
            anyhow::bail!("the fields of cloudwatch_logs have no numbers")
        };
        let (batch_size, codec) = (context.batch_size.max(1), context.codec);
        Ok(PageMaker { maker, event_id, ingestion_time, log_group, log_stream, batch_size, codec, counters })
    }

    /// The page's new events in batches, and what the page was like.
    pub(super) fn read(
        &self,
        source: &PageSource,
        events: Vec<FilteredLogEvent>,
        seen: &mut SeenIds,
    ) -> Result<(Vec<Read>, PageSummary)> {
        let mut summary = summary(&events);
        let ids: Vec<(i64, Identity)> =
            events.iter().map(|event| (window_of(time_of(event)), identity(&source.source, event))).collect();
        let is_new = seen.select_new(source.key, &ids)?;
        let mut reads = Vec::new();
        let mut pending = Pending::default();
        let count = events.len();
        for ((event, id), _) in events.into_iter().zip(ids).zip(is_new).filter(|(_, is_new)| *is_new) {
            summary.new_events += 1;
            pending.bytes += event.message().map_or(0, str::len);
            pending.ids.push(id);
            pending.events.push(event);
            if pending.events.len() >= self.batch_size || pending.bytes >= BATCH_BYTES {
                reads.push(self.batch(source, std::mem::take(&mut pending), seen)?);
            }
        }
        if !pending.events.is_empty() {
            reads.push(self.batch(source, pending, seen)?);
        }
        self.counters.ids_in_memory.store(seen.held() as u64, Ordering::Relaxed);
        let repeated = count - summary.new_events;
        self.counters.repeated_ids.fetch_add(repeated as u64, Ordering::Relaxed);
        self.counters.release(repeated);
        if count == 0 {
            self.counters.empty_pages.fetch_add(1, Ordering::Relaxed);
        }
        Ok((reads, summary))
    }

    /// A batch for a position without events.
    pub(super) fn no_events(&self) -> Batch {
        self.maker.no_events()
    }

    /// The page's events as they are, whether they were handed on or not, in batches.
    pub(super) fn inspect(&self, source: &PageSource, events: &[FilteredLogEvent]) -> Vec<InspectedBatch> {
        let mut batches = Vec::new();
        for part in events.chunks(self.batch_size) {
            let identities: Vec<Identity> =
                part.iter().map(|event| identity(&source.source, event)).collect();
            batches.push(InspectedBatch {
                times: part.iter().map(time_of).collect(),
                event_ids: part.iter().map(|event| event.event_id().unwrap_or_default().to_owned()).collect(),
                events: self.events(source, part, identities),
            });
        }
        batches
    }

    fn batch(&self, source: &PageSource, pending: Pending, seen: &mut SeenIds) -> Result<Read> {
        let Pending { events: found, ids, .. } = pending;
        let events = self.events(source, &found, ids.iter().map(|(_, identity)| *identity).collect());
        let mut position = seen.position(source.key, &ids);
        self.counters.handed_on(seen.sequence(), ids.len() as u64);
        if let Some(given) = seen.give_way()? {
            tracing::warn!(
                ids = given.ids,
                "the ledger_budget is used up: the oldest ids are forgotten before their windows are closed, so their \
                 events may be delivered once more; make ledger_budget larger or lookback shorter"
            );
            self.counters.forgotten_ids.fetch_add(given.ids, Ordering::Relaxed);
            position.removes.extend(given.ranges);
        }
        Ok(Read { events, position })
    }

    /// Events with all their fields.
    fn events(&self, source: &PageSource, found: &[FilteredLogEvent], identities: Vec<Identity>) -> Batch {
        let bytes: usize = found.iter().map(|event| event.message().map_or(0, str::len)).sum();
        let mut text = String::with_capacity(bytes + 96 * found.len());
        let mut append = |part: &str| {
            let start = text.len();
            text.push_str(part);
            // A batch's text is a few megabytes: `BATCH_BYTES` and one event.
            Cell::text(0, start as u32, part.len() as u32)
        };
        let log_group = append(&source.log_group);
        let mut streams: HashMap<&str, Cell> = HashMap::new();
        let mut messages = Vec::with_capacity(found.len());
        let mut event_ids = Vec::with_capacity(found.len());
        let mut log_streams = Vec::with_capacity(found.len());
        let mut ingestion_times = Vec::with_capacity(found.len());
        for event in found {
            messages.push(append(event.message().unwrap_or_default()));
            event_ids.push(event.event_id().map_or(Cell::ABSENT, &mut append));
            let stream = event.log_stream_name();
            let stream = stream.map(|name| *streams.entry(name).or_insert_with(|| append(name)));
            log_streams.push(stream.unwrap_or(Cell::ABSENT));
            let time = event.ingestion_time();
            ingestion_times.push(time.map_or(Cell::ABSENT, |time| Cell::timestamp(nanoseconds(time))));
        }
        let mut events = self.maker.events(text, messages, now());
        self.maker.set_timestamps(&mut events, found.iter().map(|event| nanoseconds(time_of(event))));
        let log_groups = vec![log_group; found.len()];
        for (field, cells) in [
            (self.event_id, event_ids),
            (self.ingestion_time, ingestion_times),
            (self.log_group, log_groups),
            (self.log_stream, log_streams),
        ] {
            match self.codec {
                Codec::Plain => events.set_column(field, cells),
                Codec::Json => set_on_json(&mut events, field, &cells),
            }
        }
        events.set_identities(identities);
        self.maker.decorate(&mut events);
        events
    }
}

/// Events as the service has them, for who compares.
pub(crate) struct InspectedBatch {
    /// The events, each with its identity.
    pub(crate) events: Batch,
    /// Their times in milliseconds since 1970.
    pub(crate) times: Vec<i64>,
    /// The service's own ids of them.
    pub(crate) event_ids: Vec<String>,
}

/// Events that will be a batch.
#[derive(Default)]
struct Pending {
    events: Vec<FilteredLogEvent>,
    ids: Vec<(i64, Identity)>,
    bytes: usize,
}

/// A JSON message may have brought a `cloudwatch_logs` of its own, which gives way where it is no map.
fn set_on_json(events: &mut Batch, field: FieldId, cells: &[Cell]) {
    let reference = events.names().reference(field).clone();
    let parents: Vec<_> = reference.ancestors().collect();
    for (row, cell) in cells.iter().enumerate() {
        let text = events.text_of(*cell).to_owned();
        let value = match events.value_of(*cell) {
            None => continue,
            Some(Value::Timestamp(time)) => Value::Timestamp(time),
            Some(_) => Value::Text(&text),
        };
        for parent in &parents {
            let is_map = matches!(fields::get(events, row, parent), None | Some(Found::Value(Value::Object)));
            if !is_map {
                fields::remove(events, row, parent);
            }
        }
        // Nothing is in the way now.
        let _ = fields::set(events, row, &reference, value);
    }
}

fn summary(events: &[FilteredLogEvent]) -> PageSummary {
    let is_sorted = events.is_sorted_by_key(time_of);
    // The service's ids are long; those of stand-ins, which go stream by stream even where a page does not show it, are
    // not. Nothing but the cutting of long runs depends on it.
    let has_service_ids = events.iter().all(|event| event.event_id().is_some_and(|id| id.len() >= 40));
    PageSummary {
        first: events.first().map(time_of),
        last: events.iter().map(time_of).max(),
        in_order: is_sorted && has_service_ids,
        new_events: 0,
    }
}

/// The event's time in milliseconds since 1970.
fn time_of(event: &FilteredLogEvent) -> i64 {
    event.timestamp().unwrap_or(0)
}

fn nanoseconds(milliseconds: i64) -> i64 {
    milliseconds.saturating_mul(1_000_000)
}

/// 16 bytes of a hash of source, event id and row number (0: the event itself). An event without an id is known by all
/// that it has. Lengths stand before texts, so no two lists of texts are the same bytes.
fn identity(source: &str, event: &FilteredLogEvent) -> Identity {
    let mut digest = Sha256::new();
    let mut add = |text: &str| {
        digest.update((text.len() as u64).to_be_bytes());
        digest.update(text);
    };
    add(source);
    match event.event_id() {
        Some(id) => add(id),
        None => {
            add("");
            add(event.log_stream_name().unwrap_or_default());
            add(event.message().unwrap_or_default());
            digest.update(time_of(event).to_be_bytes());
            digest.update(event.ingestion_time().unwrap_or(0).to_be_bytes());
        }
    }
    digest.update(0_u32.to_be_bytes());
    digest.finalize().iter().take(16).fold(0, |number, byte| number << 8 | Identity::from(*byte))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::input::testing;
    use crate::ledger::Ledger;

    fn event(id: &str, time: i64, message: &str) -> FilteredLogEvent {
        FilteredLogEvent::builder()
            .event_id(id)
            .timestamp(time)
            .ingestion_time(time + 700)
            .log_stream_name("stream/1")
            .message(message)
            .build()
    }

    fn read(codec: Codec, events: Vec<FilteredLogEvent>) -> (Vec<Read>, PageSummary) {
        let ledger = Ledger::in_memory().unwrap();
        let mut context = testing::context_with(&ledger, codec);
        context.batch_size = 2;
        let counters = Arc::new(CloudwatchCounters::default());
        counters.hold(events.len());
        let maker = PageMaker::new(&context, Arc::default(), counters).unwrap();
        let mut seen = SeenIds::open(ledger.input("x")).unwrap();
        let source = PageSource::new("arn:aws:logs:us-east-1:1:log-group:/a:*", "us-east-1//a".to_owned());
        maker.read(&source, events, &mut seen).unwrap()
    }

    #[test]
    fn the_fields_of_an_event() {
        let (reads, summary) = read(Codec::Plain, vec![event("3701", 1_700_000_000_123, "hello")]);
        let seen = testing::seen(&reads[0].events);
        assert_eq!(
            seen[0].document,
            json!({
                "message": "hello", "@version": "1", "@timestamp": "2023-11-14T22:13:20.123Z",
                "cloudwatch_logs": {
                    "event_id": "3701", "ingestion_time": "2023-11-14T22:13:20.823Z", "log_group": "/a",
                    "log_stream": "stream/1",
                },
            })
        );
        assert!(!summary.in_order, "a short id is a stand-in's");
    }

    #[test]
    fn json_messages() {
        let messages = [
            (r#"{"a":1,"@timestamp":"2001-01-01T00:00:00Z"}"#, json!({"a": 1})),
            (r#"{"cloudwatch_logs":"mine"}"#, json!({})),
            (r#"{"cloudwatch_logs":[1]}"#, json!({})),
            ("text", json!({"message": "text", "tags": ["_jsonparsefailure"]})),
        ];
        for (message, expected) in messages {
            let (reads, _) = read(Codec::Json, vec![event("3701", 1_700_000_000_123, message)]);
            let mut document = testing::seen(&reads[0].events)[0].document.clone();
            let document = document.as_object_mut().unwrap();
            let own = document.remove("cloudwatch_logs").unwrap();
            assert_eq!(own["event_id"], "3701", "{message}");
            assert_eq!(document.remove("@timestamp"), Some(json!("2023-11-14T22:13:20.123Z")), "{message}");
            document.remove("@version");
            assert_eq!(serde_json::Value::Object(document.clone()), expected, "{message}");
        }
    }

    #[test]
    fn batches_are_cut_and_events_are_single() {
        let events = ["1", "2", "2", "3", "1"].iter().map(|id| event(id, 5, id)).collect();
        let (reads, summary) = read(Codec::Plain, events);
        assert_eq!(reads.iter().map(|read| read.events.rows()).collect::<Vec<_>>(), [2, 1]);
        assert_eq!(summary.new_events, 3);
    }

    #[test]
    fn identities_depend_on_source_and_id_alone() {
        let of = |source: &str, id: &str| identity(source, &event(id, 5, "x"));
        assert_eq!(of("a", "1"), identity("a", &event("1", 9, "y")));
        assert_ne!(of("a", "1"), of("b", "1"));
        assert_ne!(of("a", "12"), of("a1", "2"));
        let without = |message: &str| FilteredLogEvent::builder().timestamp(5).message(message).build();
        assert_ne!(identity("a", &without("x")), identity("a", &without("y")));
    }

    #[test]
    fn arns_have_names_in_them() {
        assert_eq!(group_name("arn:aws:logs:us-east-1:123:log-group:/a/b:*"), "/a/b");
        assert_eq!(group_name("arn:aws:logs:us-east-1:123:log-group:/a/b"), "/a/b");
        assert_eq!(group_name("/a/b"), "/a/b");
    }
}
