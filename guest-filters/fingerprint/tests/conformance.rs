//! Logstash's executed cases of fingerprint.

#[path = "../../../tests/conformance/native.rs"]
mod native;

use serde_json::json;
use weir_filter::test::run;
use weir_fingerprint::Fingerprint;

#[test]
fn cases() {
    let cases = native::read_cases("fingerprint.jsonl");
    assert_eq!(cases.len(), 166);
    native::check_all::<Fingerprint>(&cases);
}

/// Where Logstash's pipeline would stop there are no cases: the event has failed, without a tag.
#[test]
fn failures() {
    for (options, event) in [
        (json!({"method": "IPV4_NETWORK", "key": "24"}), json!({"message": "no address"})),
        (json!({"method": "IPV4_NETWORK", "key": "33"}), json!({"message": "1.2.3.4"})),
        (json!({"method": "IPV4_NETWORK", "key": "24"}), json!({"message": 5})),
        (json!({"method": "PUNCTUATION"}), json!({"message": ["a!"]})),
        (json!({"target": "[a][b]"}), json!({"message": "x", "a": "text"})),
    ] {
        let after = run::<Fingerprint>(&options, event.clone()).expect("options without mistakes");
        assert_eq!(after.failures.len(), 1, "{options}: {}", after.event);
        assert_eq!((after.event, after.matched), (event, 0), "{options}");
    }
}
