//! A fake of Elasticsearch and OpenSearch: the requests that an output makes (what the server is, templates, bulk), with
//! every way of failing that a test asks for. Documents are kept by index and id with their version, so that a test sees
//! what was stored, how often, and by which requests. Of searching it knows what an audit asks: ids, and counts by time.

mod answer;
mod bulk;
mod faults;
mod search;
mod store;

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::http_server::{HttpServer, Request};
use store::Store;

pub use bulk::{Action, BulkItem};
pub use faults::{Fault, Faults, ItemFault, ItemRule, RequestRule};
pub use store::StoredDocument;

/// A request that the server got, in the order of arrival.
#[derive(Clone, Debug)]
pub struct Seen {
    /// The request; the body is decompressed (and empty where [`Faults::forget_bodies`] is set).
    pub request: Request,
    /// Whether the body came compressed.
    pub compressed: bool,
    /// The status that it got; `None` where the connection was reset or cut.
    pub status: Option<u16>,
    /// When it came, since the fake's start.
    pub at: Duration,
}

/// A running fake. Dropping it closes the port.
pub struct FakeElasticsearch {
    server: HttpServer,
    shared: Arc<Shared>,
}

/// What the server's thread and the test share.
struct Shared {
    store: Mutex<Store>,
    faults: Mutex<Faults>,
    seen: Mutex<SeenRequests>,
    changed: Condvar,
    started: Instant,
}

#[derive(Default)]
struct SeenRequests {
    all: Vec<Seen>,
    in_flight: usize,
    most_in_flight: usize,
}

impl FakeElasticsearch {
    /// Starts an empty Elasticsearch 7.1.1 on a free port.
    pub fn start() -> Self {
        Self::start_at(0).expect("a free port on loopback")
    }

    /// Starts on a port of one's own, for a server that comes late or again.
    ///
    /// # Errors
    /// When the port cannot be had.
    pub fn start_at(port: u16) -> io::Result<Self> {
        let shared = Arc::new(Shared {
            store: Mutex::default(),
            faults: Mutex::default(),
            seen: Mutex::default(),
            changed: Condvar::new(),
            started: Instant::now(),
        });
        let served = shared.clone();
        let server = HttpServer::start(port, None, move |request| answer::answer(served.clone(), request))?;
        Ok(Self { server, shared })
    }

    /// Where it answers.
    pub fn url(&self) -> String {
        format!("http://{}", self.server.address())
    }

    /// Makes it another version, for example `8.15.0`; OpenSearch if a distribution is given.
    pub fn set_version(&self, number: &str, distribution: Option<&str>) {
        let mut store = self.store();
        store.number = number.to_owned();
        store.distribution = distribution.map(str::to_owned);
    }

    /// How the server misbehaves from now on; hold the guard no longer than for changing it.
    pub fn faults(&self) -> MutexGuard<'_, Faults> {
        self.shared.faults.lock().expect("no thread panicked with it")
    }

    /// What is stored: index, id, document.
    pub fn documents(&self) -> BTreeMap<String, BTreeMap<String, StoredDocument>> {
        self.store().indices.clone()
    }

    /// Takes a document away behind everybody's back, out of what searches see too; answers whether it was there.
    pub fn remove(&self, id: &str) -> bool {
        let mut store = self.store();
        store.searchable.values_mut().for_each(|documents| drop(documents.remove(id)));
        store.indices.values_mut().any(|documents| documents.remove(id).is_some())
    }

    /// How many documents are stored in all indices.
    pub fn count(&self) -> usize {
        self.store().indices.values().map(BTreeMap::len).sum()
    }

    /// Those of some ids that no index has.
    pub fn missing(&self, ids: impl IntoIterator<Item = String>) -> Vec<String> {
        let store = self.store();
        let is_missing = |id: &String| !store.indices.values().any(|documents| documents.contains_key(id));
        ids.into_iter().filter(is_missing).collect()
    }

    /// The templates put so far: `_template/NAME` or `_index_template/NAME`, and the body.
    pub fn templates(&self) -> BTreeMap<String, Value> {
        self.store().templates.clone()
    }

    /// All requests so far.
    pub fn requests(&self) -> Vec<Seen> {
        self.seen().all.clone()
    }

    /// The most requests that were open at the same time.
    pub fn most_in_flight(&self) -> usize {
        self.seen().most_in_flight
    }

    /// Waits until the requests so far satisfy a condition, which may look at the documents too. False when they do not
    /// in time.
    pub fn wait_for(&self, timeout: Duration, mut condition: impl FnMut(&[Seen]) -> bool) -> bool {
        let seen = self.seen();
        let waited = self.shared.changed.wait_timeout_while(seen, timeout, |seen| !condition(&seen.all));
        let (_seen, waited) = waited.expect("no thread panicked with it");
        !waited.timed_out()
    }

    fn store(&self) -> MutexGuard<'_, Store> {
        self.shared.store.lock().expect("no thread panicked with it")
    }

    fn seen(&self) -> MutexGuard<'_, SeenRequests> {
        self.shared.seen.lock().expect("no thread panicked with it")
    }
}
