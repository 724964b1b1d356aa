//! What a case expects, and what is different from it in what came: the same for `weir test`, where a filter runs as a
//! component, and for its cases in a native test. How a case is written is left to those who read it.

use serde_json::Value as Json;

use super::difference::{Difference, Subject};
use crate::field_reference::FieldReference;
use crate::value::Value;

/// What must come out of a batch.
#[derive(Clone, Debug, Default)]
pub struct Expectation {
    /// Nothing is said: whatever comes is right, as long as the filter does not break.
    pub unsaid: bool,
    /// These fields of the one event, with exactly these values.
    pub fields: Vec<(FieldReference, Json)>,
    /// These fields of the one event are texts that match a regular expression.
    pub matches: Vec<(FieldReference, String)>,
    /// These fields must not be there.
    pub absent: Vec<FieldReference>,
    /// Exactly these tags, in this order; none also where there is no field `tags`.
    pub tags: Option<Vec<String>>,
    /// No event comes out.
    pub dropped: bool,
    /// The filter says that it failed, or that it did not.
    pub failed: Option<bool>,
    /// The options are refused.
    pub refused: bool,
    /// The fields of each event that comes out, where these are not one.
    pub events: Option<Vec<Vec<(FieldReference, Json)>>>,
    /// The filter breaks, in this way: `deadline`, `memory`, `stack`, `trap` or `answer`.
    pub breaks: Option<String>,
    /// So many events go to the dead letters. Unless it is said, none does where the filter does not break.
    pub dead_letters: Option<u64>,
}

/// What came of a batch.
#[derive(Clone, Debug, Default)]
pub struct Observed {
    /// Why the options were refused.
    pub refused: Vec<String>,
    /// Why nothing came at all.
    pub stopped: Option<String>,
    /// The events that came out, whole.
    pub events: Vec<Json>,
    /// Whether the filter failed on an event.
    pub failed: bool,
    /// Why it failed, and what else was counted with a reason.
    pub reasons: Vec<String>,
    /// In which ways the filter broke.
    pub breaks: Vec<String>,
    /// Why events went to the dead letters, one reason an event.
    pub dead_letters: Vec<String>,
}

/// What is different. `matches` says whether a text matches a regular expression; `None`: that cannot be told here.
pub fn compare(
    expect: &Expectation,
    observed: &Observed,
    matches: &dyn Fn(&str, &str) -> Option<bool>,
) -> Vec<Difference> {
    let different = |subject, expected: &str, found: String| {
        vec![Difference::new(subject, Some(Json::from(expected)), Some(Json::from(found)))]
    };
    if expect.refused == observed.refused.is_empty() {
        return match expect.refused {
            true => different(Subject::Options, "refused", "taken".to_owned()),
            false => {
                different(Subject::Options, "taken", format!("refused: {}", observed.refused.join("; ")))
            }
        };
    }
    if expect.refused {
        return Vec::new();
    }
    if let Some(stopped) = &observed.stopped {
        return different(Subject::Run, "an answer", stopped.clone());
    }
    let mut differences = compare_breaks(expect, observed);
    if expect.unsaid {
        return differences;
    }
    if let Some(expected) = expect.failed
        && expected != observed.failed
    {
        let mut difference =
            Difference::new(Subject::Failed, Some(expected.into()), Some(observed.failed.into()));
        difference.why = if observed.failed { observed.reasons.join("; ") } else { String::new() };
        differences.push(difference);
    }
    compare_events(expect, observed, matches, &mut differences);
    differences
}

fn compare_breaks(expect: &Expectation, observed: &Observed) -> Vec<Difference> {
    let mut differences = Vec::new();
    let is_as_expected = match &expect.breaks {
        Some(kind) => observed.breaks.contains(kind),
        None => observed.breaks.is_empty(),
    };
    if !is_as_expected {
        let found = (!observed.breaks.is_empty()).then(|| Json::from(observed.breaks.join(", ")));
        let expected = expect.breaks.as_deref().map(Json::from);
        let mut difference = Difference::new(Subject::Breaks, expected, found);
        difference.why = observed.dead_letters.first().cloned().unwrap_or_default();
        differences.push(difference);
    }
    let found = observed.dead_letters.len() as u64;
    let expected = match expect.dead_letters {
        Some(expected) => expected,
        // A filter that breaks sends events there, unless `on_trap` says otherwise.
        None if !observed.breaks.is_empty() => found,
        None => 0,
    };
    if expected != found {
        let mut difference = Difference::new(Subject::DeadLetters, Some(expected.into()), Some(found.into()));
        difference.why = observed.dead_letters.first().cloned().unwrap_or_default();
        differences.push(difference);
    }
    differences
}

fn compare_events(
    expect: &Expectation,
    observed: &Observed,
    matches: &dyn Fn(&str, &str) -> Option<bool>,
    differences: &mut Vec<Difference>,
) {
    let expected = match &expect.events {
        Some(events) => events.len(),
        None if expect.dropped => 0,
        // What went to the dead letters does not come out, and then nothing can be said of it.
        None if expect.says_nothing_of_the_event()
            && (expect.breaks.is_some() || expect.dead_letters.is_some()) =>
        {
            return;
        }
        None => 1,
    };
    if observed.events.len() != expected {
        differences.push(Difference::new(
            Subject::Events,
            Some(Json::from(expected)),
            Some(Json::from(observed.events.clone())),
        ));
        return;
    }
    if let Some(events) = &expect.events {
        for (number, (fields, event)) in events.iter().zip(&observed.events).enumerate() {
            compare_fields(fields, event, Some(number), differences);
        }
        return;
    }
    let Some(event) = observed.events.first() else { return };
    compare_fields(&expect.fields, event, None, differences);
    for (reference, pattern) in &expect.matches {
        let found = crate::json::find(event, reference.fragments());
        let text = found.and_then(Json::as_str);
        if text.map_or(Some(false), |text| matches(pattern, text)) == Some(false) {
            let expected = Json::from(pattern.as_str());
            let subject = Subject::Match(reference.clone());
            differences.push(Difference::new(subject, Some(expected), found.cloned()));
        }
    }
    for reference in &expect.absent {
        if let Some(found) = crate::json::find(event, reference.fragments()) {
            differences.push(Difference::new(Subject::Absent(reference.clone()), None, Some(found.clone())));
        }
    }
    if let Some(tags) = &expect.tags {
        let found = event.get("tags");
        let expected = Json::from(tags.clone());
        if !(tags.is_empty() && found.is_none()) && found != Some(&expected) {
            differences.push(Difference::new(Subject::Tags, Some(expected), found.cloned()));
        }
    }
}

impl Expectation {
    /// Whether it names no field and no tag.
    pub fn says_nothing_of_the_event(&self) -> bool {
        self.fields.is_empty() && self.matches.is_empty() && self.absent.is_empty() && self.tags.is_none()
    }
}

fn compare_fields(
    expected: &[(FieldReference, Json)],
    event: &Json,
    number: Option<usize>,
    differences: &mut Vec<Difference>,
) {
    for (reference, expected) in expected {
        let found = crate::json::find(event, reference.fragments());
        if !found.is_some_and(|found| is_same(expected, found)) {
            let subject = Subject::Field(reference.clone());
            let mut difference = Difference::new(subject, Some(expected.clone()), found.cloned());
            difference.event = number;
            differences.push(difference);
        }
    }
}

/// Equal values of the same kind: `1` and `1.0` differ, `1.0` and `1e0` do not, nor does the order of a map's keys.
pub fn is_same(expected: &Json, found: &Json) -> bool {
    match (expected, found) {
        (Json::Number(expected), Json::Number(found)) => {
            Value::from_json_number(expected.as_str()) == Value::from_json_number(found.as_str())
        }
        (Json::Array(expected), Json::Array(found)) => {
            expected.len() == found.len()
                && expected.iter().zip(found).all(|(expected, found)| is_same(expected, found))
        }
        (Json::Object(expected), Json::Object(found)) => {
            expected.len() == found.len()
                && expected
                    .iter()
                    .all(|(key, value)| found.get(key).is_some_and(|found| is_same(value, found)))
        }
        _ => expected == found,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn reference(text: &str) -> FieldReference {
        FieldReference::parse(text).expect("a field reference")
    }

    fn check(expect: &Expectation, observed: &Observed, expected: &[&str]) {
        let matches = |pattern: &str, text: &str| Some(text.starts_with(pattern));
        let found: Vec<String> = compare(expect, observed, &matches)
            .iter()
            .map(|difference| difference.subject.to_string())
            .collect();
        assert_eq!(found, expected, "{expect:?} {observed:?}");
    }

    #[test]
    fn numbers_are_the_same_by_kind_and_amount() {
        let check = |left: &str, right: &str, expected: bool| {
            let json = |text: &str| serde_json::from_str::<Json>(text).expect("JSON");
            assert_eq!(is_same(&json(left), &json(right)), expected, "{left} {right}");
        };
        check("1", "1", true);
        check("1", "1.0", false);
        check("1.0", "1e0", true);
        check("1.5", "1.50", true);
        check("[1, {\"a\": 2, \"b\": 3}]", "[1, {\"b\": 3, \"a\": 2}]", true);
        check("\"1\"", "1", false);
        check("[]", "[1]", false);
    }

    #[test]
    fn every_kind_of_difference_is_found() {
        let one = |event: Json| Observed { events: vec![event], ..Observed::default() };
        let event = one(json!({"a": "x", "b": {"c": 1}, "tags": ["t"]}));
        let expect = Expectation {
            fields: vec![(reference("a"), json!("x")), (reference("[b][c]"), json!(2))],
            matches: vec![(reference("a"), "y".to_owned()), (reference("z"), String::new())],
            absent: vec![reference("b"), reference("q")],
            tags: Some(Vec::new()),
            failed: Some(true),
            ..Expectation::default()
        };
        check(&expect, &event, &["failed", "[b][c]", "[a]", "[z]", "[b]", "tags"]);
        check(&Expectation::default(), &event, &[]);
        check(&Expectation { dropped: true, ..Expectation::default() }, &event, &["events"]);
        check(&Expectation { refused: true, ..Expectation::default() }, &event, &["options"]);
        let events = vec![vec![(reference("a"), json!("y"))]];
        check(&Expectation { events: Some(events), ..Expectation::default() }, &event, &["[a]"]);
    }

    #[test]
    fn a_break_is_never_expected_by_silence() {
        let broken = Observed {
            breaks: vec!["trap".to_owned()],
            dead_letters: vec!["the guest broke".to_owned()],
            ..Observed::default()
        };
        let breaks = |kind: &str| Expectation { breaks: Some(kind.to_owned()), ..Expectation::default() };
        check(&breaks("trap"), &broken, &[]);
        check(&breaks("deadline"), &broken, &["breaks"]);
        check(&Expectation { unsaid: true, ..Expectation::default() }, &broken, &["breaks"]);
        check(&Expectation { dead_letters: Some(2), ..breaks("trap") }, &broken, &["dead letters"]);
        let set_aside = Observed { dead_letters: vec!["why".to_owned()], ..Observed::default() };
        check(&Expectation { dropped: true, ..Expectation::default() }, &set_aside, &["dead letters"]);
        check(&Expectation { dead_letters: Some(1), ..Expectation::default() }, &set_aside, &[]);
    }
}
