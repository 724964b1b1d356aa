//! Logstash's executed cases of mutate.

#[path = "../../../tests/conformance/native.rs"]
mod native;

use weir_filter::{Environment, Filter, Options};
use weir_mutate::Mutate;

#[test]
fn cases() {
    let mut cases = native::read_cases("mutate.jsonl");
    assert_eq!(cases.len(), 376);
    cases.retain(|case| case.config.get("gsub").is_none());
    assert_eq!(cases.len(), 376 - 39);
    native::check_all::<Mutate>(&cases);
}

/// Until it is there: refused, and said so.
#[test]
fn gsub_is_refused() {
    let options = r#"{"gsub": ["a", "b", "c"]}"#;
    let (_, problems) =
        Options::read(options, Mutate::OPTIONS, Environment::default()).expect("nothing else is wrong");
    assert!(problems.iter().any(|problem| problem.pointer == "/gsub"), "{problems:?}");
}

/// What field references and templates mean is tried through mutate, as it has both.
#[test]
fn field_references_and_templates() {
    for (file, count) in [("field-reference.jsonl", 89), ("sprintf.jsonl", 105)] {
        let cases = native::read_cases(file);
        assert_eq!(cases.len(), count, "{file}");
        native::check_all::<Mutate>(&cases);
    }
}
