//! What the tests of several inputs share: a pipeline's context, and reading an input to its end.

use std::sync::Arc;
use std::time::Duration;

use serde_json::Value as Json;
use tokio_util::sync::CancellationToken;

use super::{Codec, Decoration, Input, InputContext};
use crate::event::{Batch, Documents, Identity};
use crate::ledger::Ledger;

/// A context with a ledger in memory.
pub(super) fn context(codec: Codec) -> InputContext {
    context_with(&Ledger::in_memory().expect("memory suffices"), codec)
}

/// A context with this ledger; the input's name is `test`.
pub(super) fn context_with(ledger: &Ledger, codec: Codec) -> InputContext {
    InputContext {
        name: "test".to_owned(),
        names: Arc::default(),
        ledger: ledger.input("test"),
        batch_size: 100,
        batch_delay: Duration::from_millis(1),
        stop: CancellationToken::new(),
        once: false,
        decoration: Decoration::default(),
        codec,
    }
}

/// An event as a test sees it.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Seen {
    pub(super) document: Json,
    pub(super) identity: Identity,
}

impl Seen {
    pub(super) fn message(&self) -> &str {
        self.document["message"].as_str().unwrap_or_default()
    }
}

/// The events of a batch.
pub(super) fn seen(events: &Batch) -> Vec<Seen> {
    let mut documents = Documents::with_metadata(events);
    let seen = |row| Seen {
        document: serde_json::from_str(&documents.text(row)).expect("documents are JSON"),
        identity: events.identity(row),
    };
    (0..events.rows()).map(seen).collect()
}

/// The next batch's events, acknowledged at once if there is a ledger to write to; `None` at the end.
pub(super) async fn next(input: &mut dyn Input, acknowledge: Option<&Ledger>) -> Option<Vec<Seen>> {
    let read = input.next().await.expect("the input goes on by itself")?;
    let seen = seen(&read.events);
    if let Some(ledger) = acknowledge {
        ledger.commit(&[("test", &read.position)]).expect("the ledger can be written");
    }
    Some(seen)
}

/// All events up to the input's end.
pub(super) async fn all(input: &mut dyn Input, acknowledge: Option<&Ledger>) -> Vec<Seen> {
    let mut all = Vec::new();
    while let Some(seen) = next(input, acknowledge).await {
        all.extend(seen);
    }
    all
}

/// The messages of events.
pub(super) fn messages(events: &[Seen]) -> Vec<&str> {
    events.iter().map(Seen::message).collect()
}
