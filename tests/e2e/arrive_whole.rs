//! Odd lines arrive whole, and what cannot be written now is written later.

use std::process::Stdio;

use serde_json::{Value, json};
use weir_test_support::{FakeCloudWatch, FakeElasticsearch};

use crate::{LOG_GROUP, empty_setting, seed_pipeline};

const DISSECT: &str = r#"
[[filter]]
use = "dissect"
mapping.message = "%{first} %{second} %{rest}"
"#;

/// The events that a run printed as lines of JSON.
fn printed(stdout: &[u8]) -> Vec<Value> {
    let text = std::str::from_utf8(stdout).expect("what is printed is UTF-8");
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// Lines that a log has now and then, and the message and tags that come of each.
fn odd_lines() -> (Vec<u8>, Vec<(String, Value)>) {
    let failed = json!(["_dissectfailure"]);
    let long = format!("a b {}", "x".repeat(1_000_000));
    let mut bytes = Vec::new();
    let mut expected = Vec::new();
    for (line, message, tags) in [
        (&b"one two three"[..], "one two three", Value::Null),
        (b"does-not-dissect", "does-not-dissect", failed.clone()),
        (b"", "", failed.clone()),
        (b"with a carriage-return\r", "with a carriage-return", Value::Null),
        (b"\r", "", failed),
        (b"bad \xff\xfe bytes", "bad \u{fffd}\u{fffd} bytes", Value::Null),
        (b"a \xe3\x81 cut", "a \u{fffd} cut", Value::Null),
        ("日本 語 の行".as_bytes(), "日本 語 の行", Value::Null),
        (b"quotes \" and \\ and \x00\x07", "quotes \" and \\ and \u{0}\u{7}", Value::Null),
        (long.as_bytes(), &long, Value::Null),
        (b"the very last", "the very last", Value::Null),
    ] {
        bytes.extend_from_slice(line);
        bytes.push(b'\n');
        expected.push((message.to_owned(), tags));
    }
    bytes.pop(); // the last line has no end
    (bytes, expected)
}

#[track_caller]
fn check(events: &[Value], expected: &[(String, Value)]) {
    assert_eq!(events.len(), expected.len());
    for (event, (message, tags)) in events.iter().zip(expected) {
        let start: String = message.chars().take(40).collect();
        assert!(event["message"] == **message, "{start:?}: {:.200}", event["message"].to_string());
        assert_eq!(&event["tags"], tags, "{start:?}");
        let rest = message.splitn(3, ' ').nth(2);
        assert!(event["rest"].as_str() == rest, "{start:?}: {:.200}", event["rest"].to_string());
    }
}

#[test]
fn odd_lines_of_a_file_arrive_in_elasticsearch() {
    let fake = FakeElasticsearch::start();
    let mut setting = empty_setting();
    setting.set("WEIR_ELASTICSEARCH", &fake.url());
    let (bytes, expected) = odd_lines();
    std::fs::write(setting.folder().join("odd.log"), bytes).unwrap();
    let text = format!(
        "[pipeline]\nstate_dir = \"state\"\n[input]\ntype = \"file\"\npath = [\"odd.log\"]\n{DISSECT}\n[output]\n\
         type = \"elasticsearch\"\nhosts = [\"${{WEIR_ELASTICSEARCH}}\"]\nindex = \"odd\"\n"
    );
    let pipeline = setting.write("pipeline.toml", &text);
    setting.run(&["run", &pipeline]).expect_code(0);
    // Documents lie by id; the requests have them in order.
    let mut events = Vec::new();
    for seen in fake.requests() {
        if seen.request.path.ends_with("/_bulk") {
            let body = std::str::from_utf8(&seen.request.body).unwrap();
            events.extend(
                body.lines().skip(1).step_by(2).map(|line| serde_json::from_str::<Value>(line).unwrap()),
            );
        }
    }
    check(&events, &expected);
    assert_eq!(fake.count(), expected.len(), "each has an id of its own");
}

#[test]
fn odd_lines_of_standard_input_are_printed() {
    let setting = empty_setting();
    let (bytes, expected) = odd_lines();
    let path = setting.folder().join("odd.log");
    std::fs::write(&path, bytes).unwrap();
    let text = format!("[input]\ntype = \"stdin\"\n{DISSECT}\n[output]\ntype = \"stdout\"\n");
    let pipeline = setting.write("pipeline.toml", &text);
    let stdin = Stdio::from(std::fs::File::open(&path).unwrap());
    let ended = setting.start_with_input(&["run", &pipeline], stdin).wait().expect_code(0);
    check(&printed(&ended.stdout), &expected);
}

#[test]
fn an_event_of_one_megabyte_comes_through_the_whole_job() {
    let (cloudwatch, elasticsearch) = (FakeCloudWatch::start(), FakeElasticsearch::start());
    let broken = format!("broken-{}", "y".repeat(1_000_000));
    let name = "n".repeat(1_000_000);
    let whole = format!("1.0 2020-02-23T17:08:41Z Z1 {name} MX NOERROR UDP CDG3-C2 192.0.2.7 -");
    let time = 1_582_477_748_000;
    cloudwatch.put(LOG_GROUP, "s", time, &broken);
    cloudwatch.put(LOG_GROUP, "s", time, &whole);
    cloudwatch.put(LOG_GROUP, "s", time, "small");
    let mut setting = empty_setting();
    setting.set("WEIR_CLOUDWATCH_ENDPOINT", &cloudwatch.url());
    setting.set("WEIR_ELASTICSEARCH", &elasticsearch.url());
    setting.run(&["run", "--once", &seed_pipeline().display().to_string()]).expect_code(0);
    let documents = elasticsearch.documents();
    let mut lengths: Vec<(usize, bool)> = documents["route53-2020-02-24"]
        .values()
        .map(|document| {
            let json = document.json();
            (json["message"].as_str().unwrap().len(), json["query_name"] == *name)
        })
        .collect();
    lengths.sort_unstable();
    assert_eq!(lengths, [(5, false), (broken.len(), false), (whole.len(), true)]);
}

#[test]
fn a_full_disk_is_waited_for_and_nothing_is_lost() {
    // Every write to this device fails as on a full disk.
    assert!(std::path::Path::new("/dev/full").exists(), "this test needs /dev/full");
    let setting = empty_setting();
    let lines: String = (0..1000).map(|number| format!("{number} of many\n")).collect();
    setting.write("lines.log", &lines);
    let writing_to = |path: &str| {
        let text = "[pipeline]\nstate_dir = \"state\"\nbatch_size = 100\n[input]\ntype = \"file\"\n\
                    path = [\"lines.log\"]\n[output]\ntype = \"file\"\npath = \"PATH\"\n";
        setting.write("pipeline.toml", &text.replace("PATH", path))
    };
    let running = setting.start(&["run", &writing_to("/dev/full")]);
    running.wait_for_log("/dev/full");
    running.wait_for_log("No space left on device");
    assert_ne!(running.stop_at_once().code, None);

    setting.run(&["run", &writing_to("out.ndjson")]).expect_code(0);
    let written = printed(&std::fs::read(setting.folder().join("out.ndjson")).unwrap());
    let messages: Vec<&str> = written.iter().map(|event| event["message"].as_str().unwrap()).collect();
    assert_eq!(messages, lines.lines().collect::<Vec<_>>());
}
