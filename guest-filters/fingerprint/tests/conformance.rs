//! Logstash's executed cases of fingerprint.

#[path = "../../../tests/conformance/native.rs"]
mod native;

use weir_fingerprint::Fingerprint;

#[test]
fn cases() {
    let cases = native::read_cases("fingerprint.jsonl");
    assert_eq!(cases.len(), 166);
    native::check_all::<Fingerprint>(&cases);
}
