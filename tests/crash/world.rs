//! The two services that the binary stands between: what events come and when they become visible, and how both services
//! misbehave. Everything follows from the seed but the clock: events are of the last hour, as late ones are.

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use weir_test_support::cloudwatch::{self, TokenBucket, Visible};
use weir_test_support::elasticsearch::{Fault, ItemFault};
use weir_test_support::{FakeCloudWatch, FakeElasticsearch, Random};

const HOUR: i64 = 3_600_000;

/// Two groups that are there from the start, and one of their prefix that appears later.
pub(crate) const GROUPS: [&str; 3] = ["/crash/one", "/crash/two", "/crash/later"];

/// An event that was put.
#[derive(Clone, Debug)]
pub(crate) struct Issued {
    pub(crate) event_id: String,
    pub(crate) group: &'static str,
    pub(crate) stream: String,
    /// Milliseconds since 1970.
    pub(crate) time: i64,
    pub(crate) message: String,
}

/// Both services, and what was put.
pub(crate) struct World {
    pub(crate) cloudwatch: FakeCloudWatch,
    pub(crate) elasticsearch: FakeElasticsearch,
    /// By the number in the message.
    pub(crate) issued: BTreeMap<usize, Issued>,
    deliveries: Arc<Mutex<Deliveries>>,
    pub(crate) random: Random,
}

/// How often each document's id came in a bulk request.
#[derive(Default)]
pub(crate) struct Deliveries {
    /// Ids whose delivery was acknowledged and committed before a clean stop.
    pub(crate) settled: HashSet<String>,
    /// Ids that came in the run that is under way.
    came: HashSet<String>,
    /// Settled ids that came again nevertheless.
    pub(crate) again: HashMap<String, usize>,
    /// Items stored, and items found stored before (409): the repeats that the default id makes harmless.
    pub(crate) items: usize,
}

impl World {
    pub(crate) fn new(seed: u64) -> Self {
        let (cloudwatch, elasticsearch) = (FakeCloudWatch::start(), FakeElasticsearch::start());
        let deliveries = Arc::<Mutex<Deliveries>>::default();
        cloudwatch.create_group(GROUPS[0]);
        cloudwatch.create_group(GROUPS[1]);
        elasticsearch.faults().forget_bodies = true;
        let mut world =
            World { cloudwatch, elasticsearch, issued: BTreeMap::new(), deliveries, random: Random(seed) };
        world.put_backlog();
        world
    }

    pub(crate) fn deliveries(&self) -> MutexGuard<'_, Deliveries> {
        self.deliveries.lock().unwrap()
    }

    /// Events older than the lookback, which are only there before the first start.
    fn put_backlog(&mut self) {
        for _ in 0..200 {
            let age = HOUR + self.random.below(3 * 86_400_000) as i64;
            self.put(GROUPS[0], now() - age, Visible::Now);
        }
    }

    /// Puts events that are up to `latest` milliseconds late: some visible at once, some only after so many calls more,
    /// many of one millisecond.
    pub(crate) fn put_events(&mut self, count: usize, latest: usize) {
        let calls = self.cloudwatch.call_count() as u64;
        let now = now();
        let burst = now - self.random.below(latest) as i64;
        for _ in 0..count {
            let time = match self.random.below(4) {
                0 => burst,
                1 => now,
                _ => now - self.random.below(latest) as i64,
            };
            let visible = match self.random.below(3) {
                0 => Visible::AfterCalls(calls + self.random.below(60) as u64),
                _ => Visible::Now,
            };
            let last = if self.issued.len() > 600 { 3 } else { 2 };
            let group = GROUPS[self.random.below(last)];
            self.put(group, time, visible);
        }
    }

    fn put(&mut self, group: &'static str, time: i64, visible: Visible) {
        let number = self.issued.len();
        // Pairs of equal words over several streams are events of their own; odd letters must arrive whole.
        let odd = self.random.one_of(&[
            "",
            "\"quoted\"",
            "back\\slash",
            "ünïcode 日本",
            "tab\tinside",
            "\u{1F600}",
        ]);
        let message = format!("word{} {number} {odd}", number / 2);
        let stream = format!("s{}", self.random.below(4));
        let event_id = self.cloudwatch.put_visible(group, &stream, time, &message, visible);
        self.issued.insert(number, Issued { event_id, group, stream, time, message });
    }

    /// Makes both services misbehave in a new way, for a while.
    pub(crate) fn misbehave(&mut self) {
        let random = &mut self.random;
        {
            let mut faults = self.cloudwatch.faults();
            faults.short_pages = random.one_of(&[None, Some(40), Some(200)]);
            faults.empty_pages = random.below(3) / 2;
            faults.trailing_token = random.below(2) == 0;
            faults.token_life_calls = random.one_of(&[None, None, Some(3)]);
            faults.throttle = random.one_of(&[false, false, true]).then(|| TokenBucket::new(80.0, 10.0));
            faults.script = cloudwatch_faults(random);
        }
        let mut faults = self.elasticsearch.faults();
        faults.bulk = bulk_faults(random);
        faults.body_limit = random.one_of(&[None, Some(6_000)]);
        let (mut items, deliveries) = (Random(random.number()), self.deliveries.clone());
        let refuse = random.one_of(&[40, 400, usize::MAX]);
        faults.items = Some(Box::new(move |item| {
            let mut deliveries = deliveries.lock().unwrap();
            deliveries.items += 1;
            let id = item.id.clone().unwrap_or_default();
            if deliveries.settled.contains(&id) {
                *deliveries.again.entry(id.clone()).or_default() += 1;
            }
            deliveries.came.insert(id);
            match items.below(refuse) {
                0 => Some(ItemFault::rejected()),
                1 => Some(ItemFault::unavailable()),
                2 => Some(ItemFault::cluster_block()),
                _ => None,
            }
        }));
    }

    /// Makes both services behave; what is invisible becomes visible.
    pub(crate) fn behave(&mut self) {
        *self.cloudwatch.faults() = cloudwatch::Faults::default();
        {
            let mut faults = self.elasticsearch.faults();
            faults.bulk.clear();
            faults.body_limit = None;
        }
        self.cloudwatch.show_all();
    }

    /// A run begins.
    pub(crate) fn begin(&self) {
        self.deliveries().came.clear();
    }

    /// The run ended cleanly: all that it delivered has been committed.
    pub(crate) fn settle(&self) {
        let mut deliveries = self.deliveries();
        let came = std::mem::take(&mut deliveries.came);
        deliveries.settled.extend(came);
    }
}

/// Milliseconds since 1970.
pub(crate) fn now() -> i64 {
    i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis()).unwrap()
}

fn bulk_faults(random: &mut Random) -> VecDeque<Option<Fault>> {
    let fault = |_| match random.below(40) {
        0 => Some(Fault::Status(429)),
        1 => Some(Fault::RetryAfter(0)),
        2 => Some(Fault::Status(500)),
        3 => Some(Fault::Status(502)),
        4 => Some(Fault::Status(503)),
        5 => Some(Fault::StatusAfterCommit(504)),
        6 => Some(Fault::ResetBeforeCommit),
        7 => Some(Fault::ResetAfterCommit),
        8 => Some(Fault::TruncatedJson),
        9 => Some(Fault::CutBody),
        10 => Some(Fault::ItemMissing),
        11 => Some(Fault::Slow(Duration::from_millis(150))),
        12 => Some(Fault::Status(401)),
        13 => Some(Fault::Status(403)),
        _ => None,
    };
    (0..30).map(fault).collect()
}

fn cloudwatch_faults(random: &mut Random) -> VecDeque<Option<cloudwatch::Fault>> {
    use cloudwatch::Fault;
    let fault = |_| match random.below(40) {
        0 => Some(Fault::Throttling),
        1 => Some(Fault::ServiceUnavailable),
        2 => Some(Fault::InternalFailure),
        3 => Some(Fault::Reset),
        4 => Some(Fault::Cut),
        5 => Some(Fault::BadGateway),
        6 => Some(Fault::InvalidParameter),
        7 => Some(Fault::Slow(Duration::from_millis(50))),
        _ => None,
    };
    (0..30).map(fault).collect()
}
