//! The default way of delivery under faults of both services and kills at any moment: every event is stored, and stored
//! once. Both ends are fakes, which know what came and how often.

use std::collections::VecDeque;
use std::time::Duration;

use weir_test_support::cloudwatch::{self, TokenBucket};
use weir_test_support::elasticsearch::{Fault, ItemFault, Seen};
use weir_test_support::weir::PATIENCE;
use weir_test_support::{FakeCloudWatch, FakeElasticsearch, Random};

use crate::LOG_GROUP;
use crate::empty_setting;

const EVENTS: usize = 4000;

const PIPELINE: &str = r#"
[pipeline]
state_dir = "state"
batch_size = 100

[input]
type = "cloudwatch_logs"
log_group = ["/aws/route53/example.name"]
region = "us-east-1"
endpoint_url = "${WEIR_CLOUDWATCH_ENDPOINT}"

[[filter]]
use = "dissect"
mapping.message = "%{word} %{number}"

[output]
type = "elasticsearch"
hosts = ["${WEIR_ELASTICSEARCH}"]
index = "lines"
timeout = "2s"
retry_initial_interval = "10ms"
retry_max_interval = "50ms"
resurrect_delay = "10ms"
"#;

#[test]
fn every_event_is_stored_once() {
    let seed = std::env::var("WEIR_TEST_SEED").map_or(20_200_223, |seed| seed.parse().unwrap());
    println!("the seed of the faults is {seed}");
    let mut random = Random(seed);
    let (cloudwatch, elasticsearch) = (FakeCloudWatch::start(), FakeElasticsearch::start());
    for number in 0..EVENTS {
        // Equal lines at equal times over several streams are events of their own.
        let (stream, time) =
            (format!("s{}", random.below(4)), 1_582_477_721_000 + random.below(60_000) as i64);
        cloudwatch.put(LOG_GROUP, &stream, time, &format!("line {}", number / 2));
    }
    {
        let mut faults = cloudwatch.faults();
        faults.short_pages = Some(300);
        faults.empty_pages = 1;
        faults.trailing_token = true;
        faults.throttle = Some(TokenBucket::new(50.0, 3.0));
        faults.script = cloudwatch_faults(&mut random);
    }
    {
        let mut faults = elasticsearch.faults();
        faults.bulk = bulk_faults(&mut random);
        faults.body_limit = Some(30_000); // a whole batch is too large for it
        let mut items = Random(seed);
        faults.items = Some(Box::new(move |_| match items.below(60) {
            0 => Some(ItemFault::rejected()),
            1 => Some(ItemFault::unavailable()),
            2 => Some(ItemFault::cluster_block()),
            _ => None,
        }));
    }

    let mut setting = empty_setting();
    setting.set("WEIR_CLOUDWATCH_ENDPOINT", &cloudwatch.url());
    setting.set("WEIR_ELASTICSEARCH", &elasticsearch.url());
    let pipeline = setting.write("pipeline.toml", PIPELINE);
    let mut bulks_before = 0;
    for _ in 0..4 {
        let running = setting.start(&["run", "--once", &pipeline]);
        let bulks_more = 1 + random.below(5);
        let came = elasticsearch.wait_for(PATIENCE, |seen| bulks(seen) >= bulks_before + bulks_more);
        let ended = running.kill();
        assert!(came, "{}", ended.stderr);
        assert_eq!(ended.code, None, "it ended before it could be killed:\n{}", ended.stderr);
        bulks_before = bulks(&elasticsearch.requests());
        cloudwatch.expire_tokens();
    }
    assert!(elasticsearch.count() < EVENTS, "all was stored before the last kill");
    setting.run(&["run", "--once", &pipeline]).expect_code(0);

    let set_aside = std::fs::read_to_string(setting.folder().join("state/dead-letter/000000000001.ndjson"));
    assert_eq!(set_aside.unwrap_or_default(), "", "something was set aside");
    let documents = elasticsearch.documents();
    let lines = &documents["lines"];
    let mut numbers: Vec<usize> = Vec::new();
    for (id, document) in lines {
        assert_eq!(document.version, 1, "{id} was written again");
        let fields = document.json();
        assert_eq!(
            fields["message"].as_str().unwrap(),
            format!("line {}", fields["number"].as_str().unwrap())
        );
        numbers.push(fields["number"].as_str().unwrap().parse().unwrap());
    }
    numbers.sort_unstable();
    let missing: Vec<usize> = (0..EVENTS / 2).filter(|number| !numbers.contains(number)).collect();
    assert_eq!((missing, numbers.len()), (Vec::new(), EVENTS));
    assert_eq!(numbers, (0..EVENTS).map(|number| number / 2).collect::<Vec<_>>());
}

fn bulks(seen: &[Seen]) -> usize {
    seen.iter().filter(|seen| seen.request.path.ends_with("/_bulk")).count()
}

fn bulk_faults(random: &mut Random) -> VecDeque<Option<Fault>> {
    let fault = |_| match random.below(24) {
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
        11 => Some(Fault::Slow(Duration::from_millis(200))),
        12 => Some(Fault::Status(401)),
        13 => Some(Fault::Status(403)),
        _ => None,
    };
    (0..100).map(fault).collect()
}

fn cloudwatch_faults(random: &mut Random) -> VecDeque<Option<cloudwatch::Fault>> {
    let fault = |_| match random.below(16) {
        0 => Some(cloudwatch::Fault::Throttling),
        1 => Some(cloudwatch::Fault::ServiceUnavailable),
        2 => Some(cloudwatch::Fault::InternalFailure),
        3 => Some(cloudwatch::Fault::Reset),
        4 => Some(cloudwatch::Fault::Cut),
        5 => Some(cloudwatch::Fault::BadGateway),
        6 => Some(cloudwatch::Fault::InvalidParameter),
        _ => None,
    };
    (0..60).map(fault).collect()
}
