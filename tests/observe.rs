//! What a running pipeline says of itself: that its sum holds at any moment of a run under faults, what is served on
//! `[observe] listen`, what `weir status` shows, and how long a drain may take.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::{Value as Json, json};
use weir::assembly::{self, RunOptions};
use weir::config::{self, Secrets, Variables};
use weir::filter::{Compilation, Engine};
use weir::output::Waiting;
use weir::pipeline::{self, LineCounts, LineFigures};
use weir_test_support::elasticsearch::{Fault, ItemFault};
use weir_test_support::weir::PATIENCE;
use weir_test_support::{FakeCloudWatch, FakeElasticsearch, Random, Setting, http_client};

const EVENTS: u64 = 6000;

/// Events leave in every way: two filters set some aside or drop them, one output's condition cannot always be evaluated,
/// and Elasticsearch refuses some for good, by a rule, or for a while.
const BALANCE: &str = r#"
[pipeline]
state_dir = "state"
batch_size = 50
workers = 2
[input]
type = "file"
path = "in.ndjson"
codec = "json"
[[filter]]
use = "date"
id = "time"
match = ["t", "ISO8601"]
on_error = "dead_letter"
[[filter]]
use = "mutate"
id = "shape"
when = "[size] > 3"
on_error = "drop"
add_tag = ["large"]
[[output]]
type = "elasticsearch"
id = "large"
when = '"large" in [tags] or [kind] > 2'
hosts = ["${SERVER}"]
index = "large"
drop_error_types = ["strict_dynamic_mapping_exception"]
retry_initial_interval = "1ms"
retry_max_interval = "4ms"
resurrect_delay = "1ms"
[[output]]
type = "elasticsearch"
id = "odd"
when = "[odd]"
hosts = ["${SERVER}"]
index = "odd"
retry_initial_interval = "1ms"
retry_max_interval = "4ms"
resurrect_delay = "1ms"
"#;

fn event(random: &mut Random, number: u64) -> Json {
    json!({
        "n": number,
        "t": if random.below(20) == 0 { "yesterday" } else { "2026-01-02T03:04:05Z" },
        "size": if random.below(25) == 0 { json!("big") } else { json!(random.below(10)) },
        "kind": if random.below(30) == 0 { json!("none") } else { json!(random.below(4)) },
        "odd": number % 2 == 1,
    })
}

fn add_faults(elasticsearch: &FakeElasticsearch, seed: u64) {
    let mut faults = elasticsearch.faults();
    let mut random = Random(seed);
    let bulk = |_| match random.below(12) {
        0 => Some(Fault::Status(503)),
        1 => Some(Fault::StatusAfterCommit(504)),
        2 => Some(Fault::ResetBeforeCommit),
        3 => Some(Fault::ResetAfterCommit),
        4 => Some(Fault::TruncatedJson),
        _ => None,
    };
    faults.bulk = (0..200).map(bulk).collect();
    let mut items = Random(seed + 1);
    faults.items = Some(Box::new(move |item| {
        // What is refused for good is refused at every try.
        let document: Json = serde_json::from_str(&item.source).unwrap_or_default();
        match (document["n"].as_u64().unwrap_or(0) % 37, items.below(30)) {
            (0, _) => Some(ItemFault::mapper_parsing()),
            (1, _) => Some(ItemFault::new(400, "strict_dynamic_mapping_exception", "not allowed")),
            (_, 0) => Some(ItemFault::rejected()),
            (_, 1) => Some(ItemFault::unavailable()),
            (_, 2) => Some(ItemFault::cluster_block()),
            _ => None,
        }
    }));
}

/// Looks at the figures again and again until it is told to end; answers how often, and how often events were on their way.
fn look(counts: &LineCounts, ended: &AtomicBool, seed: u64) -> Result<(u64, u64), Box<LineFigures>> {
    let mut random = Random(seed);
    let (mut looks, mut busy) = (0, 0);
    while !ended.load(Ordering::Relaxed) {
        let figures = counts.figures();
        looks += 1;
        busy += u64::from(figures.in_flight() > 0);
        if !figures.is_in_balance() {
            return Err(Box::new(figures));
        }
        for _ in 0..random.below(2000) {
            std::hint::spin_loop();
        }
    }
    Ok((looks, busy))
}

#[test]
fn the_sum_holds_at_every_moment_of_a_run_under_faults() {
    let seed = std::env::var("WEIR_TEST_SEED").map_or(9600, |seed| seed.parse().expect("a number"));
    println!("the seed is {seed}");
    let folder = tempfile::tempdir().expect("a folder");
    let mut random = Random(seed);
    let lines: Vec<String> = (0..EVENTS).map(|number| event(&mut random, number).to_string()).collect();
    std::fs::write(folder.path().join("in.ndjson"), lines.join("\n")).expect("the folder can be written");
    let elasticsearch = FakeElasticsearch::start();
    add_faults(&elasticsearch, seed);

    let text = BALANCE.replace("${SERVER}", &elasticsearch.url());
    let file = folder.path().join("pipeline.toml");
    let reading = config::read(&file, text, &Variables::fixed([]), &Secrets::default());
    assert_eq!(reading.problems.errors(), 0, "{}", reading.problems.render(false));
    let config = reading.config.expect("a configuration");
    let cache = Path::new(env!("CARGO_TARGET_TMPDIR")).join("cache");
    let engine = Engine::new(Some(&cache), Compilation::Thorough).expect("an engine");
    let environment = assembly::environment(&config);
    let prepared = assembly::prepare(config, &engine, &environment)
        .unwrap_or_else(|problems| panic!("{}", problems.render(false)));
    let (counts, waiting) = (Arc::<LineCounts>::default(), Arc::<Waiting>::default());
    let ended = Arc::new(AtomicBool::new(false));
    let looking = {
        let (counts, ended) = (counts.clone(), ended.clone());
        std::thread::spawn(move || look(&counts, &ended, seed))
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    let driven = runtime.block_on(async {
        let options = RunOptions { counts: counts.clone(), waiting, ..RunOptions::default() };
        pipeline::drive(assembly::open(&prepared, options).await?).await
    });
    ended.store(true, Ordering::Relaxed);
    driven.expect("it ends");
    let (looks, busy) = looking.join().expect("it looks").unwrap_or_else(|figures| panic!("{figures:?}"));
    assert!(looks > 100 && busy > 20, "it was looked at {looks} times, {busy} with events on their way");

    let figures = counts.figures();
    assert!(figures.is_in_balance(), "{figures:?}");
    assert_eq!((figures.read["file"], figures.in_flight(), figures.unacknowledged), (EVENTS, 0, 0));
    // What is counted is what is there.
    let documents = elasticsearch.documents();
    for index in ["large", "odd"] {
        assert_eq!(figures.delivered[index], documents[index].len() as u64, "{index}");
    }
    let mut letters = 0;
    for entry in std::fs::read_dir(folder.path().join("state/dead-letter")).expect("dead letters") {
        let path = entry.expect("dead letters").path();
        if path.extension().is_some_and(|ending| ending == "ndjson") {
            letters += std::fs::read_to_string(path).expect("a segment").lines().count() as u64;
        }
    }
    assert_eq!(figures.dead_lettered.values().sum::<u64>(), letters);
    let reasons = |map: &std::collections::BTreeMap<(String, String), u64>| -> Vec<String> {
        map.keys().map(|(place, reason)| format!("{place}: {reason}")).collect()
    };
    assert_eq!(
        reasons(&figures.dead_lettered),
        [
            "large: 400 mapper_parsing_exception",
            "large: when",
            "odd: 400 mapper_parsing_exception",
            "odd: 400 strict_dynamic_mapping_exception",
            "time: on_error"
        ]
    );
    assert_eq!(
        reasons(&figures.dropped),
        ["large: 400 strict_dynamic_mapping_exception", "outputs: no_output", "shape: when"]
    );
}

const BLOCKED: &str = r#"
[pipeline]
name = "lines"
state_dir = "state"
batch_size = 10
drain_limit = "100ms"
[observe]
listen = "127.0.0.1:0"
[input]
type = "sample"
count = 200
[[filter]]
use = "dissect"
mapping.message = "%{version} %{rest}"
[output]
type = "elasticsearch"
hosts = ["${SERVER}"]
index = "lines"
retry_initial_interval = "10ms"
retry_max_interval = "20ms"
"#;

fn get(address: &str, path: &str) -> (u16, String) {
    let answer = http_client::call("GET", &format!("http://{address}{path}"), &[], "").expect("an answer");
    (answer.status, String::from_utf8(answer.body.to_vec()).expect("text"))
}

/// Every line of the text is a comment or a series with a number, and each name has its HELP and TYPE before it.
fn check_metrics(text: &str) {
    let mut known = String::new();
    for line in text.lines() {
        if let Some(rest) = line.strip_prefix("# TYPE ") {
            known = rest.split(' ').next().unwrap_or_default().to_owned();
        } else if !line.starts_with("# HELP ") {
            let name = line.split(['{', ' ']).next().unwrap_or_default();
            assert_eq!(name, known, "{line}");
            let value = line.rsplit(' ').next().unwrap_or_default();
            assert!(value.parse::<f64>().is_ok(), "{line}");
        }
    }
}

#[test]
fn a_blocked_index_is_said_everywhere_and_a_drain_has_its_limit() {
    let elasticsearch = FakeElasticsearch::start();
    elasticsearch.faults().items = Some(Box::new(|_| Some(ItemFault::cluster_block())));
    let setting = Setting::new(env!("CARGO_BIN_EXE_weir"), env!("CARGO_TARGET_TMPDIR"));
    let file = setting.write("pipeline.toml", &BLOCKED.replace("${SERVER}", &elasticsearch.url()));

    let nobody = setting.run(&["status", &file]).expect_code(1);
    assert!(String::from_utf8_lossy(&nobody.stdout).contains("no process runs in"));

    let running = setting.start(&["run", &file]);
    running.wait_for_log("not delivered yet");
    let log = running.log();
    let address = log.split("address=").nth(1).and_then(|rest| rest.split_whitespace().next());
    let address = address.unwrap_or_else(|| panic!("no address in the log:\n{log}"));

    let (status, health) = get(address, "/health");
    assert_eq!(
        (status, health.as_str()),
        (200, "{\"status\":\"ok\",\"pipelines\":{\"lines\":\"running\"}}\n")
    );
    let (status, metrics) = get(address, "/metrics");
    assert_eq!(status, 200);
    check_metrics(&metrics);
    for line in [
        "weir_events_delivered_total{pipeline=\"lines\",output=\"elasticsearch\"} 0\n",
        "weir_events_balanced{pipeline=\"lines\"} 1\n",
        "weir_waiting_seconds{pipeline=\"lines\",what=\"elasticsearch\"} ",
        "weir_filter_info{pipeline=\"lines\",filter=\"dissect\",use=\"dissect\",version=\"",
        "weir_resident_memory_bytes ",
    ] {
        assert!(metrics.contains(line), "{line} is not in\n{metrics}");
    }
    assert_eq!(get(address, "/").0, 404);
    let posted =
        http_client::call("POST", &format!("http://{address}/metrics"), &[], "x").expect("an answer");
    assert_eq!(posted.status, 405);

    let served: Json = serde_json::from_str(&get(address, "/status").1).expect("JSON");
    let asked = setting.run(&["status", &file, "--format", "json"]).expect_code(0);
    let asked: Json = serde_json::from_slice(&asked.stdout).expect("JSON");
    for status in [&served[0], &asked] {
        assert_eq!(status["events"]["balanced"], true, "{status:#}");
        assert!(status["events"]["in_flight"].as_i64().is_some_and(|events| events > 0), "{status:#}");
        assert!(status["oldest_unacknowledged_seconds"].as_f64().is_some_and(|age| age > 0.0), "{status:#}");
        let reason = status["waiting"][0]["reason"].as_str().unwrap_or_default();
        assert!(reason.contains("cluster_block_exception"), "{status:#}");
    }
    let page = setting.run(&["status", "--state-dir", "state"]).expect_code(0);
    let page = String::from_utf8(page.stdout).expect("text");
    assert!(
        page.contains("elasticsearch waits since ") && page.contains("cluster_block_exception"),
        "{page}"
    );

    // Stopped, it gives up what it cannot deliver, and the next run has it all.
    let ended = running.stop().expect_code(1);
    ended.expect_log("draining takes too long").expect_log("seconds=0.1");
    assert_eq!(elasticsearch.count(), 0);
    let nobody = setting.run(&["status", &file, "--format", "json"]).expect_code(1);
    let nobody: Json = serde_json::from_slice(&nobody.stdout).expect("JSON");
    assert_eq!(nobody["running"], false);
    assert!(nobody["ledger_written"].is_string(), "{nobody:#}");
    elasticsearch.faults().items = None;
    setting.run(&["run", &file]).expect_code(0);
    assert!(elasticsearch.wait_for(PATIENCE, |_| elasticsearch.count() == 200));
}

#[test]
fn pipelines_of_one_process_share_an_address_and_show_their_lag() {
    let cloudwatch = FakeCloudWatch::start();
    cloudwatch.put("/aws/one", "stream", 1_582_477_721_000, "a line");
    let setting = Setting::new(env!("CARGO_BIN_EXE_weir"), env!("CARGO_TARGET_TMPDIR"));
    let text = |state_dir: &str, group: &str| {
        format!(
            "[pipeline]\nname = \"lines\"\nstate_dir = \"{state_dir}\"\n[observe]\nlisten = \"localhost:0\"\n[input]\n\
             type = \"cloudwatch_logs\"\nlog_group = [\"{group}\"]\nendpoint_url = \"{}\"\nrequests_per_second = 100\n\
             [output]\ntype = \"file\"\npath = \"{state_dir}.ndjson\"\n",
            cloudwatch.url()
        )
    };
    cloudwatch.put("/aws/two", "stream", 1_582_477_721_000, "another");
    let (first, second) = (
        setting.write("first.toml", &text("first", "/aws/one")),
        setting.write("second.toml", &text("second", "/aws/two")),
    );
    let running = setting.start(&["run", &first, &second]);
    running.wait_for_log("figures are served");
    let log = running.log();
    let address =
        log.split("address=").nth(1).and_then(|rest| rest.split_whitespace().next()).expect("it is said");
    let expected = [
        "weir_lag_seconds{pipeline=\"lines\",input=\"cloudwatch_logs\",log_group=\"/aws/one\"} ",
        "weir_lag_seconds{pipeline=\"lines-2\",input=\"cloudwatch_logs\",log_group=\"/aws/two\"} ",
        "weir_events_delivered_total{pipeline=\"lines\",output=\"file\"} 1\n",
        "weir_events_delivered_total{pipeline=\"lines-2\",output=\"file\"} 1\n",
    ];
    let started = std::time::Instant::now();
    loop {
        let metrics = get(address, "/metrics").1;
        check_metrics(&metrics);
        if expected.iter().all(|line| metrics.contains(line)) {
            break;
        }
        assert!(started.elapsed() < PATIENCE, "{metrics}");
    }
    let page = setting.run(&["status", &second]).expect_code(0);
    let page = String::from_utf8(page.stdout).expect("text");
    assert!(page.starts_with("lines-2: running since ") && page.contains("1 read + 0 added"), "{page}");
    running.stop().expect_code(0);
}

#[test]
fn an_address_that_is_taken_is_named() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = taken.local_addr().expect("an address").to_string();
    let setting = Setting::new(env!("CARGO_BIN_EXE_weir"), env!("CARGO_TARGET_TMPDIR"));
    let text = format!(
        "[observe]\nlisten = \"{address}\"\n[input]\ntype = \"sample\"\ncount = 1\n[output]\ntype = \"stdout\"\n"
    );
    let file = setting.write("pipeline.toml", &text);
    let ended = setting.run(&["run", &file]).expect_code(1);
    ended.expect_log(&format!("cannot listen on {address} ([observe] listen)"));
}
