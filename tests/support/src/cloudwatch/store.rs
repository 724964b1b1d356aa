//! The log groups and events that the fake service holds, and which of them a question finds.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;
use std::time::{SystemTime, UNIX_EPOCH};

use super::event_id::event_id;

/// From when on readers see an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Visible {
    /// At once.
    Now,
    /// When so many calls have come to the service.
    AfterCalls(u64),
    /// At this time of the service's clock, in milliseconds since 1970.
    At(i64),
}

/// The place of an event in its group: time, time of ingestion, and which put it was.
pub(super) type Place = (i64, i64, u64);

/// An event with all that the service knows of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WholeEvent {
    /// Its id.
    pub id: String,
    /// The stream that it is in.
    pub stream: String,
    /// Its time in milliseconds since 1970.
    pub timestamp: i64,
    /// When the service took it, likewise.
    pub ingestion_time: i64,
    /// Its text.
    pub message: String,
}

pub(super) struct StoredEvent {
    pub(super) id: String,
    pub(super) stream: String,
    pub(super) message: String,
    visible: Visible,
}

#[derive(Default)]
pub(super) struct Group {
    pub(super) created: i64,
    streams: BTreeSet<String>,
    events: BTreeMap<Place, StoredEvent>,
}

#[derive(Default)]
pub(super) struct Store {
    pub(super) groups: BTreeMap<String, Group>,
    /// The clock, where a test holds it.
    pub(super) now: Option<i64>,
    /// Calls that the service got.
    pub(super) calls: u64,
    puts: u64,
}

/// What `FilterLogEvents` looks for within a group.
pub(super) struct Question {
    pub(super) from: i64,
    /// Inclusive, as the service has it.
    pub(super) to: i64,
    pub(super) streams: Vec<String>,
    pub(super) stream_prefix: Option<String>,
    pub(super) pattern: Pattern,
}

impl Store {
    pub(super) fn create_group(&mut self, name: &str) -> &mut Group {
        let created = self.now();
        self.groups.entry(name.to_owned()).or_insert_with(|| Group { created, ..Group::default() })
    }

    pub(super) fn put(
        &mut self,
        group: &str,
        stream: &str,
        timestamp: i64,
        message: &str,
        visible: Visible,
    ) -> String {
        let id = event_id(timestamp, group, stream, self.puts + 1);
        let (stream, message) = (stream.to_owned(), message.to_owned());
        let event = WholeEvent { id: id.clone(), stream, timestamp, ingestion_time: self.now(), message };
        self.insert(group, event, visible);
        id
    }

    pub(super) fn show_all(&mut self) {
        for event in self.groups.values_mut().flat_map(|group| group.events.values_mut()) {
            event.visible = Visible::Now;
        }
    }

    pub(super) fn put_event(&mut self, group: &str, event: WholeEvent) {
        self.insert(group, event, Visible::Now);
    }

    fn insert(&mut self, group: &str, event: WholeEvent, visible: Visible) {
        self.puts += 1;
        let place = (event.timestamp, event.ingestion_time, self.puts);
        let group = self.create_group(group);
        group.streams.insert(event.stream.clone());
        let stored = StoredEvent { id: event.id, stream: event.stream, message: event.message, visible };
        group.events.insert(place, stored);
    }

    pub(super) fn now(&self) -> i64 {
        self.now.unwrap_or_else(|| {
            let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
            since.as_millis() as i64
        })
    }

    /// The events of a group beyond a place, in the service's order; those not visible yet are passed over.
    pub(super) fn find<'a>(
        &'a self,
        group: &'a Group,
        question: &'a Question,
        beyond: Option<Place>,
    ) -> impl Iterator<Item = (Place, &'a StoredEvent)> {
        let (now, calls) = (self.now(), self.calls);
        let from = match beyond {
            Some(place) => Bound::Excluded(place),
            None => Bound::Included((question.from, i64::MIN, 0)),
        };
        let empty = question.from > question.to;
        let range = if empty {
            None
        } else {
            Some(group.events.range((from, Bound::Included((question.to, i64::MAX, u64::MAX)))))
        };
        range.into_iter().flatten().map(|(place, event)| (*place, event)).filter(move |(_, event)| {
            let visible = match event.visible {
                Visible::Now => true,
                Visible::AfterCalls(number) => calls > number,
                Visible::At(time) => now >= time,
            };
            let in_stream = (question.streams.is_empty() || question.streams.contains(&event.stream))
                && question.stream_prefix.as_ref().is_none_or(|prefix| event.stream.starts_with(prefix));
            visible && in_stream && question.pattern.matches(&event.message)
        })
    }

    /// The first of the named streams that the group does not have.
    pub(super) fn missing_stream<'a>(group: &Group, streams: &'a [String]) -> Option<&'a str> {
        streams.iter().find(|stream| !group.streams.contains(*stream)).map(String::as_str)
    }
}

/// A filter pattern of plain terms: all of them, none of those with `-`, any of those with `?`.
#[derive(Default)]
pub(super) struct Pattern {
    all: Vec<String>,
    any: Vec<String>,
    none: Vec<String>,
}

impl Pattern {
    /// `None` for patterns over JSON or columns, which the fake does not know.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let mut pattern = Self::default();
        let mut rest = text.trim_start();
        if rest.starts_with(['{', '[', '%']) {
            return None;
        }
        while !rest.is_empty() {
            let (terms, after) = match rest.as_bytes()[0] {
                b'?' => (&mut pattern.any, &rest[1..]),
                b'-' => (&mut pattern.none, &rest[1..]),
                _ => (&mut pattern.all, rest),
            };
            let (term, after) = match after.strip_prefix('"') {
                Some(quoted) => quoted.split_once('"')?,
                None => after.split_once(char::is_whitespace).unwrap_or((after, "")),
            };
            terms.push(term.to_owned());
            rest = after.trim_start();
        }
        Some(pattern)
    }

    fn matches(&self, message: &str) -> bool {
        self.all.iter().all(|term| message.contains(term))
            && self.none.iter().all(|term| !message.contains(term))
            && (self.any.is_empty() || self.any.iter().any(|term| message.contains(term)))
    }
}
