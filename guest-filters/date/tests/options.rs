//! What the filter refuses before the first event, and what it does with values that Logstash's cases leave out.

use serde_json::{Value, json};
use weir_date::Date;
use weir_filter::test::{run, run_all};
use weir_filter::{Environment, native};

fn check_refused(options: Value, expected: &[(&str, &str)]) {
    let problems = run::<Date>(&options, json!({})).expect_err("refused");
    let found: Vec<_> =
        problems.iter().map(|problem| (problem.pointer.as_str(), problem.fix.as_str())).collect();
    assert_eq!(found.len(), expected.len(), "{options}: {problems:?}");
    for ((pointer, fix), (expected_pointer, part)) in found.iter().zip(expected) {
        assert!(pointer == expected_pointer && fix.contains(part), "{options}: {problems:?}");
    }
}

#[test]
fn refused_with_a_way_out() {
    check_refused(json!({"match": ["t"]}), &[("/match", "ISO8601")]);
    check_refused(json!({"match": {"t": "ISO8601", "u": "UNIX"}}), &[("/match", "ISO8601")]);
    check_refused(json!({"match": ["t", "yyyy-bb"]}), &[("/match/1", "between quotes")]);
    check_refused(json!({"match": ["t", "ISO8601", "uuuu"]}), &[("/match/2", "yyyy")]);
    check_refused(json!({"match": ["t", "yyyy zzzz"]}), &[("/match/1", "ZZZ")]);
    check_refused(json!({"match": ["t", ""]}), &[("/match/1", "yyyy")]);
    check_refused(json!({"match": ["a[b]", "UNIX"], "target": "tags"}), &[("/match/0", "[a][b]")]);
    check_refused(json!({"match": ["t", "UNIX"], "target": "[tags][x]"}), &[("/target", "another field")]);
    check_refused(
        json!({"match": ["t", "ISO8601"], "timezone": "asia/tokio"}),
        &[("/timezone", "\"Asia/Tokyo\"")],
    );
    check_refused(
        json!({"match": ["t", "ISO8601"], "timezone": "Tokyo"}),
        &[("/timezone", "\"Asia/Tokyo\"")],
    );
    check_refused(
        json!({"match": ["t", "ISO8601", "J"], "timezone": "x", "target": "[", "locale": "fr"}),
        &[("/match/2", "quotes"), ("/timezone", "Europe/Paris"), ("/target", "[a][b]")],
    );
    check_refused(json!({"match": ["t", "ISO8601"], "timezone": "%{[}"}), &[("/timezone", "")]);
}

fn check(options: Value, value: Value, expected: Result<&str, &str>) {
    let after = run::<Date>(&options, json!({ "t": value })).expect("options without mistakes");
    let found = match after.failures.first() {
        Some(reason) => Err(reason.as_str()),
        None => Ok(after.get("@timestamp").and_then(Value::as_str).unwrap_or("nothing")),
    };
    assert_eq!(found, expected, "{options} {value}");
    assert_eq!(after.matched > 0, found.is_ok_and(|found| found != "nothing"));
}

#[test]
fn values_beyond_the_cases() {
    let none = Err("the value has none of the formats of match");
    let number = |text: &str| serde_json::from_str::<Value>(text).unwrap();
    let unix = json!({"match": ["t", "UNIX"]});
    check(unix.clone(), Value::Null, Ok("nothing"));
    check(unix.clone(), number("1425445567.0010000000000000000001"), Ok("2015-03-04T05:06:07.001Z"));
    check(unix.clone(), number("14254455670000000000000000"), none);
    check(unix.clone(), json!(1.001), Ok("1970-01-01T00:00:01.000Z"));
    check(
        json!({"match": ["t", "UNIX_MS"]}),
        number("1425445567123.90000000000000000001"),
        Ok("2015-03-04T05:06:07.123Z"),
    );
    check(json!({"match": ["t", "UNIX_MS"]}), json!(-1), Ok("1969-12-31T23:59:59.999Z"));
    // Logstash would stop here; the next format is not tried.
    check(
        json!({"match": ["t", "TAI64N", "ISO8601"]}),
        json!("2015"),
        Err("the text is too short for TAI64N"),
    );
    check(
        json!({"match": ["t", "ISO8601"]}),
        json!("2262-04-11T23:47:16.854Z"),
        Ok("2262-04-11T23:47:16.854Z"),
    );
    check(
        json!({"match": ["t", "ISO8601"]}),
        json!("2262-04-11T23:47:16.855Z"),
        Ok("2262-04-11T23:47:16.855Z"),
    );
    check(
        json!({"match": ["t", "ISO8601"], "timezone": "America/New_York"}),
        json!("2150-07-01T00:00"),
        Ok("2150-07-01T04:00:00.000Z"),
    );
    check(
        json!({"match": ["t", "MMM yyyy"], "locale": "xx"}),
        json!("Mar 2015"),
        Ok("2015-03-01T00:00:00.000Z"),
    );
}

#[test]
fn a_pipeline_that_is_not_english() {
    native::set_now(1_425_000_000_000_000_000);
    let environment = Environment {
        locale: "fr-FR".to_owned(),
        timezone: "Europe/Paris".to_owned(),
        ..Environment::default()
    };
    let times = |options: Value, texts: &[&str]| -> Vec<Option<String>> {
        let events: Vec<Value> = texts.iter().map(|text| json!({ "t": text })).collect();
        let after = run_all::<Date>(&options, &environment, &events).expect("options without mistakes");
        after.iter().map(|after| Some(after.get("@timestamp")?.as_str()?.to_owned())).collect()
    };
    let july = Some("2015-06-30T22:00:00.000Z".to_owned());
    // Its own names, then English ones; with a locale of the filter's only those.
    assert_eq!(
        times(json!({"match": ["t", "MMMM yyyy"]}), &["juillet 2015", "July 2015"]),
        [july.clone(), july.clone()]
    );
    assert_eq!(
        times(json!({"match": ["t", "MMMM yyyy"], "locale": "fr"}), &["juillet 2015", "July 2015"]),
        [july.clone(), None]
    );
    assert_eq!(times(json!({"match": ["t", "MMMM"]}), &["July"]), [july]);
}

#[test]
fn a_target_below_a_scalar_fails() {
    let options = json!({"match": ["t", "UNIX"], "target": "[t][x]"});
    let after = run::<Date>(&options, json!({"t": "1"})).expect("options without mistakes");
    assert_eq!(
        (after.failures.len(), after.tags.as_slice()),
        (1, ["_dateparsefailure".to_owned()].as_slice())
    );
    assert_eq!(after.get("t"), Some(&json!("1")));
}

#[test]
fn zones_change_from_event_to_event() {
    let options = json!({"match": ["t", "ISO8601"], "timezone": "%{z}"});
    let events = ["Asia/Tokyo", "Nowhere", "Nowhere", "UTC", "Asia/Tokyo"]
        .map(|zone| json!({"t": "2015-03-04", "z": zone}));
    let after =
        run_all::<Date>(&options, &Environment::default(), &events).expect("options without mistakes");
    let found: Vec<_> = after.iter().map(|after| after.get("@timestamp").and_then(Value::as_str)).collect();
    let (tokyo, utc) = (Some("2015-03-03T15:00:00.000Z"), Some("2015-03-04T00:00:00.000Z"));
    assert_eq!(found, [tokyo, None, None, utc, tokyo]);
}
