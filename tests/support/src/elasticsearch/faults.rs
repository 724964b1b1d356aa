//! The ways in which the fake server misbehaves on demand.

use std::collections::VecDeque;
use std::time::Duration;

use super::bulk::BulkItem;

/// What happens to a request instead of the right answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// This status, with the body that the server (or the load balancer before it) sends along; nothing is stored.
    Status(u16),
    /// 429 with a `Retry-After` of so many seconds; nothing is stored.
    RetryAfter(u64),
    /// This status though everything was stored, as a gateway does when its time runs out.
    StatusAfterCommit(u16),
    /// The connection is reset; nothing is stored.
    ResetBeforeCommit,
    /// The connection is reset though everything was stored.
    ResetAfterCommit,
    /// Everything is stored at once and the answer comes after this time.
    Slow(Duration),
    /// Everything is stored; the answer has its right length and ends in the middle of its JSON.
    TruncatedJson,
    /// Everything is stored; the connection ends in the middle of the answer.
    CutBody,
    /// Everything is stored; the last item is missing in the answer.
    ItemMissing,
    /// Everything is stored; the answer has its last item twice.
    ItemTwice,
    /// Everything is stored; the items of the answer say nothing of how they went.
    NoStatuses,
    /// Everything is stored; the answer is this text.
    Text(&'static str),
    /// This status with a text that Elasticsearch would not send: of a gateway or a firewall before it.
    Gateway(u16),
    /// This status, to another address; nothing is stored.
    Redirect(u16),
    /// A body that came compressed is taken for damaged, 400; nothing is stored. Others get a right answer.
    NotGzip,
}

/// What happens to one item of a bulk request; it is not stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ItemFault {
    /// The item's status.
    pub status: u16,
    /// The error's type.
    pub kind: String,
    /// The error's reason.
    pub reason: String,
}

impl ItemFault {
    /// Any.
    pub fn new(status: u16, kind: &str, reason: &str) -> Self {
        Self { status, kind: kind.to_owned(), reason: reason.to_owned() }
    }

    /// 429: the write queue is full.
    pub fn rejected() -> Self {
        let reason =
            "rejected execution of processing of [1][indices:data/write/bulk[s][p]]: queue capacity = 200";
        Self::new(429, "es_rejected_execution_exception", reason)
    }

    /// 503: the primary shard is not there.
    pub fn unavailable() -> Self {
        Self::new(
            503,
            "unavailable_shards_exception",
            "[route53][0] primary shard is not active Timeout: [1m]",
        )
    }

    /// 403: the index is blocked because the disk is full.
    pub fn cluster_block() -> Self {
        let reason = "blocked by: [FORBIDDEN/12/index read-only / allow delete (api)];";
        Self::new(403, "cluster_block_exception", reason)
    }

    /// 400: the document does not fit the mapping.
    pub fn mapper_parsing() -> Self {
        Self::new(400, "mapper_parsing_exception", "failed to parse field [status] of type [integer]")
    }
}

/// Decides the fate of each item of a bulk request.
pub type ItemRule = Box<dyn FnMut(&BulkItem) -> Option<ItemFault> + Send>;

/// Decides by a request's body whether it is refused as a whole, and with which status.
pub type RequestRule = Box<dyn FnMut(&[u8]) -> Option<u16> + Send>;

/// How the server misbehaves. The default is not at all.
#[derive(Default)]
pub struct Faults {
    /// What the next bulk requests get, one entry a request; `None` is a right answer.
    pub bulk: VecDeque<Option<Fault>>,
    /// What the next requests of other kinds get.
    pub other: VecDeque<Option<Fault>>,
    /// What every request gets, once the scripts are used up.
    pub always: Option<Fault>,
    /// Which bulk requests are refused for what is in them.
    pub requests: Option<RequestRule>,
    /// What items of bulk requests get.
    pub items: Option<ItemRule>,
    /// The `Authorization` that must come along; another one, or none, gets 401.
    pub authorization: Option<String>,
    /// Bodies over so many bytes get 413 (100 MB unless set).
    pub body_limit: Option<usize>,
    /// How many requests got a fault from the scripts or `always`, or were refused by `requests`.
    pub requests_failed: usize,
    /// How many items got a fault.
    pub items_failed: usize,
    /// Bodies of requests are not kept, for tests with many of them.
    pub forget_bodies: bool,
    /// Documents are kept without their JSON, for tests with many of them.
    pub forget_documents: bool,
}
