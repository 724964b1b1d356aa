//! What the filter does with events, and what it refuses before the first one.

use serde_json::{Value, json};
use weir_filter::test::run;
use weir_local_time::LocalTime;

fn check(options: Value, event: Value, expected: Option<&str>, tags: &[&str]) {
    let after = run::<LocalTime>(&options, event.clone()).expect("options without mistakes");
    assert_eq!(after.get("local").and_then(Value::as_str), expected, "{options} {event}");
    assert_eq!(after.tags, tags, "{options} {event}");
    assert_eq!(after.matched > 0, expected.is_some(), "{options} {event}");
}

#[test]
fn sources() {
    let options = json!({"target": "local", "timezone": "Asia/Tokyo"});
    check(options.clone(), json!({"@timestamp": "2020-02-23T17:08:41.000Z"}), Some("2020-02-24"), &[]);
    check(options, json!({"message": "x"}), None, &[]);
    let options =
        json!({"source": "t", "target": "local", "timezone": "America/New_York", "format": "%F %T.%L %Z"});
    check(
        options.clone(),
        json!({"t": "2020-02-23T17:08:41.5+09:00"}),
        Some("2020-02-23 03:08:41.500 EST"),
        &[],
    );
    check(options.clone(), json!({"t": "2020-07-01T00:00Z"}), Some("2020-06-30 20:00:00.000 EDT"), &[]);
    for wrong in
        [json!("yesterday"), json!(1_582_477_721), json!(null), json!(["2020-02-23"]), json!({"a": 1})]
    {
        check(options.clone(), json!({ "t": wrong }), None, &["_localtimefailure"]);
    }
}

#[test]
fn a_target_below_a_scalar_fails() {
    let options = json!({"target": "[a][b]", "timezone": "UTC", "tag_on_failure": ["no_day"]});
    let event = json!({"@timestamp": "2020-02-23T17:08:41.000Z", "a": 1});
    let after = run::<LocalTime>(&options, event).expect("options without mistakes");
    assert_eq!((after.failures.len(), after.tags.as_slice()), (1, ["no_day".to_owned()].as_slice()));
}

#[test]
fn refused_with_a_way_out() {
    let check = |options: Value, expected: &[(&str, &str)]| {
        let problems = run::<LocalTime>(&options, json!({})).expect_err("refused");
        let found: Vec<_> =
            problems.iter().map(|problem| (problem.pointer.as_str(), problem.fix.as_str())).collect();
        assert_eq!(found.len(), expected.len(), "{options}: {problems:?}");
        for ((pointer, fix), (expected_pointer, part)) in found.iter().zip(expected) {
            assert!(pointer == expected_pointer && fix.contains(part), "{options}: {problems:?}");
        }
    };
    check(json!({}), &[("", "target ="), ("", "timezone =")]);
    check(json!({"target": "d", "timezone": "Asia/Tokio"}), &[("/timezone", "\"Asia/Tokyo\"")]);
    check(json!({"target": "d", "timezone": "+09:00"}), &[("/timezone", "an offset alone is none")]);
    check(
        json!({"target": "@timestamp", "timezone": "Tokyo", "format": "%Y-%f", "source": "a]"}),
        &[("/source", "[a][b]"), ("/target", "[@metadata]"), ("/format", "%3N"), ("/timezone", "Asia/Tokyo")],
    );
}
