//! More cases that were executed against Logstash's own filter, beside those of `tests/conformance`: some for each rule in
//! which the two once differed, and a sample of tens of thousands of random ones.

#[path = "../../../tests/conformance/native.rs"]
#[expect(dead_code, reason = "the cases of tests/conformance are run elsewhere")]
mod native;

#[test]
fn cases() {
    let cases: Vec<_> = include_str!("../cases/executed.jsonl").lines().map(native::read_case).collect();
    assert!(cases.len() > 40, "{} cases", cases.len());
    native::check_all::<weir_fingerprint::Fingerprint>(&cases);
}
