//! Logstash's executed cases of mutate.

#[path = "../../../tests/conformance/native.rs"]
mod native;

#[allow(dead_code, unreachable_pub, reason = "the host uses all of it")]
#[path = "../../../host/src/event/pattern/mod.rs"]
mod pattern;

use std::ops::Range;
use std::rc::Rc;

use pattern::{Budget, Found, NotReplaced, Replacement};
use weir_filter::native::PatternFunctions;
use weir_mutate::Mutate;

#[test]
fn cases() {
    install_patterns();
    let cases = native::read_cases("mutate.jsonl");
    assert_eq!(cases.len(), 376);
    native::check_all::<Mutate>(&cases);
}

/// The filter's own cases, as far as they are not about the common options; `weir test` runs all of them.
#[test]
fn the_cases_pass() {
    install_patterns();
    weir_filter::test::run_cases::<Mutate>("cases");
}

/// The host's engine, as the kernel runs it.
fn install_patterns() {
    weir_filter::native::install_patterns(Rc::new(|pattern| {
        let pattern = pattern::Pattern::compile(pattern)?;
        Ok(Rc::new(HostPattern(pattern)) as Rc<dyn PatternFunctions>)
    }));
}

struct HostPattern(pattern::Pattern);

impl PatternFunctions for HostPattern {
    fn names(&self) -> Vec<String> {
        self.0.names().map(str::to_owned).collect()
    }

    fn captures(&self, text: &str) -> Result<Option<Vec<Option<Range<usize>>>>, String> {
        let mut budget = Budget::new(pattern::Pattern::steps(text.len()), None);
        let mut found = Found::default();
        match self.0.find(text, 0, &mut budget, &mut found) {
            Ok(matches) => Ok(matches.then(|| found.groups().to_vec())),
            Err(_) => Err(pattern::TOO_MANY_STEPS.to_owned()),
        }
    }

    fn replace_all(&self, text: &str, replacement: &str) -> Result<Option<String>, String> {
        let mut budget = Budget::new(pattern::Pattern::steps(text.len()), None);
        let (replacement, mut found, mut new) =
            (Replacement::parse(replacement), Found::default(), String::new());
        match self.0.replace_all(text, &replacement, 8 << 20, &mut budget, &mut found, &mut new) {
            Ok(matches) => Ok(matches.then_some(new)),
            Err(NotReplaced::Text(error)) => Err(error),
            Err(NotReplaced::Deadline) => Err("there is no deadline".to_owned()),
        }
    }
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
