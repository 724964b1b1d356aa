//! A service that is not there, or says no: Weir says so, waits, loses nothing, and ends when it is told to.

use std::collections::VecDeque;
use std::net::TcpListener;

use weir_test_support::cloudwatch::Outcome;
use weir_test_support::elasticsearch::Fault;
use weir_test_support::weir::PATIENCE;
use weir_test_support::{FakeCloudWatch, FakeElasticsearch, Setting};

use crate::{LOG_GROUP, empty_setting, seed_pipeline};

/// Ten lines of a file into Elasticsearch, with short waits. What comes from the environment would be masked in the log.
const PIPELINE: &str = r#"
[pipeline]
state_dir = "state"

[input]
type = "file"
path = ["lines.log"]

[output]
type = "elasticsearch"
hosts = ["ELASTICSEARCH"]
index = "lines"
retry_initial_interval = "50ms"
retry_max_interval = "200ms"
resurrect_delay = "50ms"
"#;

fn setting(elasticsearch: &str) -> (Setting, String) {
    let setting = empty_setting();
    let lines: String = (0..10).map(|number| format!("line {number}\n")).collect();
    setting.write("lines.log", &lines);
    let pipeline = setting.write("pipeline.toml", &PIPELINE.replace("ELASTICSEARCH", elasticsearch));
    (setting, pipeline)
}

fn expect_ten_lines(fake: &FakeElasticsearch) {
    let documents = fake.documents();
    let mut messages: Vec<String> = documents["lines"]
        .values()
        .map(|document| document.json()["message"].as_str().unwrap().to_owned())
        .collect();
    messages.sort();
    assert_eq!(messages, (0..10).map(|number| format!("line {number}")).collect::<Vec<_>>());
}

#[test]
fn elasticsearch_that_is_not_there_is_waited_for() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    drop(listener);
    let (setting, pipeline) = setting(&format!("http://127.0.0.1:{port}"));
    let running = setting.start(&["run", &pipeline]);
    running.wait_for_log("not delivered yet");
    running.wait_for_log(&format!("127.0.0.1:{port}"));
    let fake = FakeElasticsearch::start_at(port).unwrap();
    running.wait().expect_code(0);
    expect_ten_lines(&fake);
}

#[test]
fn elasticsearch_that_refuses_is_waited_for() {
    for (status, word) in [(401, "401"), (403, "403")] {
        // From the first request on, and only from the first bulk request on.
        for only_bulk in [false, true] {
            let fake = FakeElasticsearch::start();
            if only_bulk {
                fake.faults().bulk = VecDeque::from(vec![Some(Fault::Status(status)); 1000]);
            } else {
                fake.faults().always = Some(Fault::Status(status));
            }
            let (setting, pipeline) = setting(&fake.url());
            let running = setting.start(&["run", &pipeline]);
            running.wait_for_log(word);
            assert!(fake.wait_for(PATIENCE, |seen| {
                seen.iter().filter(|seen| seen.status == Some(status)).count() >= 2
            }));
            assert_eq!(fake.count(), 0);
            *fake.faults() = Default::default();
            running.wait().expect_code(0);
            expect_ten_lines(&fake);
        }
    }
}

#[test]
fn a_run_that_waits_ends_when_told_to_and_loses_nothing() {
    let fake = FakeElasticsearch::start();
    fake.faults().always = Some(Fault::Status(503));
    let (setting, pipeline) = setting(&fake.url());
    let running = setting.start(&["run", &pipeline]);
    running.wait_for_log("not delivered yet");
    let ended = running.stop_at_once();
    assert_ne!(ended.code, None, "{}", ended.stderr);
    assert_eq!(fake.count(), 0);
    *fake.faults() = Default::default();
    setting.run(&["run", &pipeline]).expect_code(0);
    expect_ten_lines(&fake);
    setting.run(&["run", &pipeline]).expect_code(0);
    assert!(fake.documents()["lines"].values().all(|document| document.version == 1));
}

#[test]
fn a_log_group_that_is_not_there_is_named_and_the_others_are_read() {
    let (cloudwatch, elasticsearch) = (FakeCloudWatch::start(), FakeElasticsearch::start());
    cloudwatch.put("/there", "s", 1_582_477_721_000, "a line");
    let mut setting = empty_setting();
    setting.set("WEIR_CLOUDWATCH_ENDPOINT", &cloudwatch.url());
    setting.set("WEIR_ELASTICSEARCH", &elasticsearch.url());
    let text = r#"
[pipeline]
state_dir = "state"

[input]
type = "cloudwatch_logs"
log_group = ["/not/there", "/there"]
region = "us-east-1"
interval = "1s"
endpoint_url = "${WEIR_CLOUDWATCH_ENDPOINT}"

[output]
type = "elasticsearch"
hosts = ["${WEIR_ELASTICSEARCH}"]
index = "lines"
"#;
    let pipeline = setting.write("pipeline.toml", text);
    let alone = text.replace(", \"/there\"", "").replace("\"state\"", "\"state-alone\"");
    let alone = setting.write("alone.toml", &alone);
    setting.run(&["run", "--once", &alone]).expect_code(1).expect_log("/not/there");

    let running = setting.start(&["run", &pipeline]);
    running.wait_for_log("/not/there");
    assert!(
        elasticsearch.wait_for(PATIENCE, |seen| seen.iter().any(|seen| seen.request.path.ends_with("_bulk")))
    );
    // A group that is made later is read too.
    cloudwatch.put("/not/there", "s", 1_582_477_721_000, "another line");
    let mut bulks = 0;
    assert!(elasticsearch.wait_for(PATIENCE, |seen| {
        bulks = seen.iter().filter(|seen| seen.request.path.ends_with("_bulk")).count();
        bulks >= 2
    }));
    running.stop().expect_code(0).expect_log("/not/there");
    assert_eq!(elasticsearch.count(), 2);
}

#[test]
fn missing_aws_credentials_are_named() {
    let (cloudwatch, elasticsearch) = (FakeCloudWatch::start(), FakeElasticsearch::start());
    cloudwatch.put(LOG_GROUP, "s", 1_582_477_721_000, "a line");
    let mut setting = empty_setting();
    setting.set("WEIR_CLOUDWATCH_ENDPOINT", &cloudwatch.url());
    setting.set("WEIR_ELASTICSEARCH", &elasticsearch.url());
    setting.unset("AWS_ACCESS_KEY_ID");
    setting.unset("AWS_SECRET_ACCESS_KEY");
    let pipeline = seed_pipeline().display().to_string();
    setting.run(&["run", &pipeline]).expect_code(1).expect_log("AWS_ACCESS_KEY_ID");
    assert_eq!(elasticsearch.count(), 0);
    // With credentials, nothing is lost.
    setting.set("AWS_ACCESS_KEY_ID", "AKIDTEST");
    setting.set("AWS_SECRET_ACCESS_KEY", "secret");
    setting.run(&["run", "--once", &pipeline]).expect_code(0);
    assert_eq!(elasticsearch.count(), 1);
    let calls = cloudwatch.calls();
    assert!(calls.iter().any(|call| matches!(call.outcome, Outcome::Events(1, _))));
    assert!(calls.iter().all(|call| call.access_key == "AKIDTEST"));
}
