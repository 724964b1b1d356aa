//! mutate: all operations with options of all shapes on the fields of events; alone and before another filter that reads
//! whole events, so that what mutate leaves behind is read again.

use proptest::collection::vec;
use proptest::prelude::Strategy;
use proptest::prop_oneof;
use proptest::sample::select;
use proptest::strategy::BoxedStrategy;
use serde_json::Value as Json;

use crate::conditions::regular_expression;
use crate::fingerprint;
use crate::options::{some_of, table, template, with_common};
use crate::through::{Written, check};
use crate::values::{EVENTS, Event, event, letters, reference, text, value};

const OPERATIONS: [&str; 16] = [
    "coerce",
    "rename",
    "update",
    "replace",
    "convert",
    "gsub",
    "uppercase",
    "capitalize",
    "lowercase",
    "strip",
    "split",
    "join",
    "merge",
    "copy",
    "tag_on_failure",
    "ecs_compatibility",
];

/// Options of mutate.
pub(crate) fn step() -> BoxedStrategy<Written> {
    let references = || reference().prop_map(Json::from).boxed();
    let templates = || prop_oneof![8 => template().prop_map(Json::from), 1 => value()].boxed();
    let names = || prop_oneof![6 => reference(), 1 => template()].boxed();
    let fields = || vec(reference(), 0..4).prop_map(Json::from).boxed();
    let types = prop_oneof![
        30 => select(&["string", "integer", "float", "boolean", "integer_eu", "float_eu"][..]).prop_map(Json::from),
        1 => value(),
    ];
    let separators = || {
        prop_oneof![
            6 => select(&[",", " ", ", ", "", "é", "aa", "\n", "."][..]).prop_map(Json::from),
            1 => letters(3).prop_map(Json::from),
            1 => value(),
        ]
        .boxed()
    };
    let sources = prop_oneof![2 => references(), 2 => fields()].boxed();
    let replacement = prop_oneof![
        3 => select(&["", "_", "\\1", "\\0", "\\2\\1", "\\k<n>", "\\\\", "\\", "é", "\\&", "\\'"][..]).prop_map(str::to_owned),
        1 => template(),
        1 => letters(4),
    ];
    let replacements = vec((reference(), regular_expression(), replacement), 1..4)
        .prop_map(|threes| {
            threes.into_iter().flat_map(|(name, pattern, with)| [name, pattern, with]).collect::<Json>()
        })
        .boxed();
    let chance = 0.22;
    let options = some_of(vec![
        ("coerce", chance, table(reference(), templates(), 3)),
        ("rename", chance, table(names(), prop_oneof![4 => references(), 1 => templates()].boxed(), 3)),
        ("update", chance, table(reference(), templates(), 3)),
        ("replace", chance, table(reference(), templates(), 3)),
        ("convert", 0.4, table(reference(), types.boxed(), 4)),
        ("gsub", chance, replacements),
        ("uppercase", chance, fields()),
        ("capitalize", chance, fields()),
        ("lowercase", chance, fields()),
        ("strip", chance, fields()),
        ("split", chance, table(reference(), separators(), 3)),
        ("join", chance, table(reference(), separators(), 3)),
        ("merge", chance, table(reference(), sources, 3)),
        ("copy", chance, table(reference(), references(), 3)),
        ("tag_on_failure", 0.05, text().prop_map(Json::from).boxed()),
        (
            "ecs_compatibility",
            0.03,
            select(&["disabled", "v1", "v8", "v100", ""][..]).prop_map(Json::from).boxed(),
        ),
    ]);
    with_common(options, &OPERATIONS).prop_map(|options| ("mutate", options)).boxed()
}

/// A chain, and events.
pub(crate) fn strategy() -> BoxedStrategy<(Vec<Written>, Vec<Event>)> {
    let steps = prop_oneof![
        6 => step().prop_map(|step| vec![step]),
        1 => (step(), fingerprint::step()).prop_map(|(first, second)| vec![first, second]),
        1 => (step(), step()).prop_map(|(first, second)| vec![first, second]),
    ];
    (steps, vec(event(), EVENTS)).boxed()
}

#[test]
fn mutate() {
    crate::campaign::run("mutate", 16, &strategy(), |(steps, events)| check(steps, events));
}
