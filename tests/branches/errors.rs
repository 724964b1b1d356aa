//! Conditions that cannot be evaluated: the event goes where `on_error` of the filter or branch says, counted with the
//! reason, and the others go on as if it were not there.

use std::sync::atomic::Ordering::Relaxed;

use anyhow::Result;
use serde_json::{Map, Value as Json, json};
use weir::config::{Arm, Branch, OnFailure, Step};
use weir::event::condition::parse;
use weir::filter::{FilterCounts, Processed};

use super::{Pipeline, events_of, mutate};

const MISSING: &str =
    "condition evaluation error, [size] is missing and cannot be compared; ask first whether it is there";
const TEXT: &str =
    "condition evaluation error, a text cannot be compared with a number; convert the field first";

/// Events that the condition `[size] > 5` holds on, does not, and cannot be asked for, for two reasons.
fn events() -> Vec<Map<String, Json>> {
    let events = [
        json!({"n": 0}),
        json!({"n": 1, "size": 10}),
        json!({"n": 2, "size": "x"}),
        json!({"n": 3, "size": 1}),
        json!({"n": 4}),
    ];
    events.iter().map(|event| event.as_object().cloned().expect("a map")).collect()
}

/// Events set aside: filter, reason and their numbers.
type Aside = (String, String, Vec<Json>);

/// The events that went on, and those set aside.
fn outcome(processed: &Processed) -> (Vec<Json>, Vec<Aside>) {
    let aside = processed.dead_letters.iter().map(|aside| {
        let events: Vec<Json> = events_of(&aside.events).iter().map(|event| event["n"].clone()).collect();
        for (row, number) in events.iter().enumerate() {
            let identity = aside.events.identity(row);
            assert_eq!(number.as_u64().map(|number| u128::from(number) + 1), Some(identity));
        }
        (aside.filter.to_string(), aside.reason.clone(), events)
    });
    (events_of(&processed.batch).into_iter().map(Json::Object).collect(), aside.collect())
}

fn counted(counts: &FilterCounts) -> [u64; 5] {
    [&counts.events_in, &counts.matched, &counts.failed, &counts.dropped, &counts.dead_lettered]
        .map(|count| count.load(Relaxed))
}

/// Runs events through a step whose condition is `[size] > 5`, and then a filter that tags all.
fn run(on_error: OnFailure, is_branch: bool) -> (Pipeline, Result<Processed>) {
    let mut inner = mutate(json!({"add_tag": ["large"]}));
    inner.id = "inner".to_owned();
    inner.on_error = on_error;
    let after = mutate(json!({"add_tag": ["after"]}));
    let step = if is_branch {
        let arm = |when: Option<&str>, steps| Arm {
            when: when.map(|when| parse(when).expect("a condition")),
            steps,
        };
        let other = mutate(json!({"add_tag": ["else"]}));
        let arms = vec![
            // Decided before the condition that fails is asked.
            arm(Some("[n] == 4"), vec![]),
            arm(Some("[size] > 5"), vec![Step::Filter(0)]),
            arm(None, vec![Step::Filter(2)]),
        ];
        let branch = Branch { id: "by-size".to_owned(), when: None, on_error, arms };
        let pipeline =
            Pipeline::new(&[inner, after, other], &[Step::Branch(Box::new(branch)), Step::Filter(1)]);
        return run_events(pipeline);
    } else {
        inner.when = Some(parse("[n] == 4 or [size] > 5").expect("a condition"));
        Step::Filter(0)
    };
    run_events(Pipeline::new(&[inner, after], &[step, Step::Filter(1)]))
}

fn run_events(pipeline: Pipeline) -> (Pipeline, Result<Processed>) {
    let mut chain = pipeline.definition.start().expect("a chain");
    let processed = chain.process(pipeline.batch(&events()));
    (pipeline, processed)
}

#[test]
fn of_a_filter() {
    let held = [
        json!({"n": 1, "size": 10, "tags": ["large", "after"]}),
        json!({"n": 3, "size": 1, "tags": ["after"]}),
        json!({"n": 4, "tags": ["large", "after"]}),
    ];
    let (pipeline, processed) = run(OnFailure::Tag, false);
    let (events, aside) = outcome(&processed.expect("nothing stops"));
    let tagged = [
        json!({"n": 0, "tags": ["_conditionfailure", "after"]}),
        held[0].clone(),
        json!({"n": 2, "size": "x", "tags": ["_conditionfailure", "after"]}),
        held[1].clone(),
        held[2].clone(),
    ];
    assert_eq!((events, aside.len()), (tagged.to_vec(), 0));
    let counts = &pipeline.definition.filters()[0].counts;
    assert_eq!(counted(counts), [2, 2, 2, 0, 0]);
    let reasons: Vec<(String, u64)> = counts.reasons().into_iter().collect();
    assert_eq!(reasons, [(MISSING.to_owned(), 1), (TEXT.to_owned(), 1)]);

    let (pipeline, processed) = run(OnFailure::Drop, false);
    let processed = processed.expect("nothing stops");
    assert_eq!((outcome(&processed), processed.dropped), ((held.to_vec(), vec![]), 2));
    assert_eq!(counted(&pipeline.definition.filters()[0].counts), [2, 2, 2, 2, 0]);

    let (pipeline, processed) = run(OnFailure::DeadLetter, false);
    let processed = processed.expect("nothing stops");
    let inner = || "inner".to_owned();
    let aside =
        vec![(inner(), MISSING.to_owned(), vec![json!(0)]), (inner(), TEXT.to_owned(), vec![json!(2)])];
    assert_eq!((outcome(&processed), processed.dropped), ((held.to_vec(), aside), 0));
    assert_eq!(counted(&pipeline.definition.filters()[0].counts), [2, 2, 2, 0, 2]);

    let (_, processed) = run(OnFailure::Stop, false);
    let error = processed.expect_err("it stops").to_string();
    assert_eq!(error, format!("inner: {MISSING} (1 events, on_error = \"stop\")"));
}

#[test]
fn of_a_branch() {
    let held = [
        json!({"n": 1, "size": 10, "tags": ["large", "after"]}),
        json!({"n": 3, "size": 1, "tags": ["else", "after"]}),
        json!({"n": 4, "tags": ["after"]}),
    ];
    let (pipeline, processed) = run(OnFailure::Tag, true);
    let (events, aside) = outcome(&processed.expect("nothing stops"));
    // Neither the arm nor the else, and on after the branch.
    let tagged = [
        json!({"n": 0, "tags": ["_conditionfailure", "after"]}),
        held[0].clone(),
        json!({"n": 2, "size": "x", "tags": ["_conditionfailure", "after"]}),
        held[1].clone(),
        held[2].clone(),
    ];
    assert_eq!((events, aside.len()), (tagged.to_vec(), 0));
    let counts = &pipeline.definition.branches()[0].counts;
    assert_eq!(counted(counts), [5, 3, 2, 0, 0]);
    assert_eq!(
        counts.reasons().into_iter().collect::<Vec<_>>(),
        [(MISSING.to_owned(), 1), (TEXT.to_owned(), 1)]
    );

    let (pipeline, processed) = run(OnFailure::Drop, true);
    let processed = processed.expect("nothing stops");
    assert_eq!((outcome(&processed), processed.dropped), ((held.to_vec(), vec![]), 2));
    assert_eq!(counted(&pipeline.definition.branches()[0].counts), [5, 3, 2, 2, 0]);

    let (pipeline, processed) = run(OnFailure::DeadLetter, true);
    let processed = processed.expect("nothing stops");
    let aside = vec![
        ("by-size".to_owned(), MISSING.to_owned(), vec![json!(0)]),
        ("by-size".to_owned(), TEXT.to_owned(), vec![json!(2)]),
    ];
    assert_eq!((outcome(&processed), processed.dropped), ((held.to_vec(), aside), 0));
    assert_eq!(counted(&pipeline.definition.branches()[0].counts), [5, 3, 2, 0, 2]);

    let (_, processed) = run(OnFailure::Stop, true);
    let error = processed.expect_err("it stops").to_string();
    assert_eq!(error, format!("by-size: {MISSING} (1 events, on_error = \"stop\")"));
}

/// The branch's own condition is asked before those of its arms.
#[test]
fn of_a_branch_as_a_whole() {
    let inner = mutate(json!({"add_tag": ["all"]}));
    let branch = Branch {
        id: "large".to_owned(),
        when: Some(parse("[size] > 5").expect("a condition")),
        on_error: OnFailure::Tag,
        arms: vec![Arm { when: None, steps: vec![Step::Filter(0)] }],
    };
    let (pipeline, processed) = run_events(Pipeline::new(&[inner], &[Step::Branch(Box::new(branch))]));
    let (events, _) = outcome(&processed.expect("nothing stops"));
    let expected = [
        json!({"n": 0, "tags": ["_conditionfailure"]}),
        json!({"n": 1, "size": 10, "tags": ["all"]}),
        json!({"n": 2, "size": "x", "tags": ["_conditionfailure"]}),
        json!({"n": 3, "size": 1}),
        json!({"n": 4, "tags": ["_conditionfailure"]}),
    ];
    assert_eq!(events, expected);
    assert_eq!(counted(&pipeline.definition.branches()[0].counts), [5, 1, 3, 0, 0]);
}
