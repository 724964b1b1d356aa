//! A fake of Amazon CloudWatch Logs that behaves as the service does where it matters to a reader: the form of event
//! ids, the order of events over streams, pages that are short or empty, tokens that belong to one question and expire,
//! events that become visible late, throttling. It knows `FilterLogEvents` and `DescribeLogGroups` over the JSON 1.1
//! protocol, and the token service's `AssumeRole`; events are put by a call from the test.

mod answer;
mod assume_role;
mod event_id;
mod faults;
mod store;

use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::http_server::HttpServer;
use answer::Service;

pub use assume_role::ROLE_ACCESS_KEY;
pub use faults::{Fault, Faults, TokenBucket};
pub use store::{Visible, WholeEvent};

/// The account that the fake's groups belong to.
pub const ACCOUNT: &str = "123456789012";
/// The region that the fake's groups lie in.
pub const REGION: &str = "us-east-1";

/// A call that the service got, in the order of arrival.
#[derive(Clone, Debug)]
pub struct Call {
    /// For example `FilterLogEvents`.
    pub operation: String,
    /// The request's body.
    pub parameters: Value,
    /// The access key id of the `Authorization` header; empty without one.
    pub access_key: String,
    /// When it came, since the fake's start.
    pub at: Duration,
    /// What it got.
    pub outcome: Outcome,
}

/// How a call was answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// A page of `FilterLogEvents`: how many events, and whether a token came with them.
    Events(usize, bool),
    /// A page of `DescribeLogGroups`.
    Groups(usize),
    /// Credentials of a role.
    Role,
    /// An error of this type, for example `ThrottlingException`.
    Error(String),
    /// The connection was reset or cut.
    Cut,
}

/// A running fake. Dropping it closes the port.
pub struct FakeCloudWatch {
    server: HttpServer,
    shared: Arc<Shared>,
}

/// What the server's thread and the test share.
struct Shared {
    service: Mutex<Service>,
    faults: Mutex<Faults>,
    calls: Mutex<Vec<Call>>,
    called: Condvar,
    started: Instant,
}

impl FakeCloudWatch {
    /// Starts an empty service on a free port.
    pub fn start() -> Self {
        let shared = Arc::new(Shared {
            service: Mutex::default(),
            faults: Mutex::default(),
            calls: Mutex::default(),
            called: Condvar::new(),
            started: Instant::now(),
        });
        let served = shared.clone();
        let server = HttpServer::start(0, None, move |request| answer::answer(served.clone(), request))
            .expect("a free port on loopback");
        Self { server, shared }
    }

    /// The `endpoint_url` to be used.
    pub fn url(&self) -> String {
        format!("http://{}", self.server.address())
    }

    /// Makes a log group without events.
    pub fn create_group(&self, group: &str) {
        self.service().store.create_group(group);
    }

    /// Puts an event (`timestamp` in milliseconds since 1970), making group and stream where they are missing. Answers its
    /// id. The time of ingestion is now, or what [`Self::set_now`] said.
    pub fn put(&self, group: &str, stream: &str, timestamp: i64, message: &str) -> String {
        self.put_visible(group, stream, timestamp, message, Visible::Now)
    }

    /// The same for an event that readers see only later.
    pub fn put_visible(
        &self,
        group: &str,
        stream: &str,
        timestamp: i64,
        message: &str,
        visible: Visible,
    ) -> String {
        self.service().store.put(group, stream, timestamp, message, visible)
    }

    /// Puts an event exactly as told, its id and time of ingestion (milliseconds since 1970) with it.
    pub fn put_event(&self, group: &str, event: WholeEvent) {
        self.service().store.put_event(group, event);
    }

    /// Holds the service's clock at a time (milliseconds since 1970): the time of ingestion, and of [`Visible::At`].
    pub fn set_now(&self, now: i64) {
        self.service().store.now = Some(now);
    }

    /// Makes every event visible that was to be so later.
    pub fn show_all(&self) {
        self.service().store.show_all();
    }

    /// Makes every token handed out so far one that has expired.
    pub fn expire_tokens(&self) {
        self.service().tokens.clear();
    }

    /// How the service misbehaves from now on; hold the guard no longer than for changing it.
    pub fn faults(&self) -> MutexGuard<'_, Faults> {
        self.shared.faults.lock().expect("no thread panicked with it")
    }

    /// All calls so far.
    pub fn calls(&self) -> Vec<Call> {
        self.shared.calls.lock().expect("no thread panicked with it").clone()
    }

    /// How many calls came so far.
    pub fn call_count(&self) -> usize {
        self.shared.calls.lock().expect("no thread panicked with it").len()
    }

    /// Waits until what was called satisfies a condition. False when it does not in time.
    pub fn wait_for(&self, timeout: Duration, mut condition: impl FnMut(&[Call]) -> bool) -> bool {
        let calls = self.shared.calls.lock().expect("no thread panicked with it");
        let (_calls, waited) = self
            .shared
            .called
            .wait_timeout_while(calls, timeout, |calls| !condition(calls))
            .expect("no thread panicked with it");
        !waited.timed_out()
    }

    fn service(&self) -> MutexGuard<'_, Service> {
        self.shared.service.lock().expect("no thread panicked with it")
    }
}
