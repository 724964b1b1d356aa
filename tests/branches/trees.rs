//! Branches of every form to three levels: one to three arms with a condition, with and without an else, arms that do
//! nothing, set the field that conditions read, drop events or add some, and a branch in any one of the arms. On one level
//! all conditions and arms are tried with each other; on two and three all forms, filled from a seed that is printed.
//!
//! All trees stand in one chain, behind branches that look for the number of the tree that an event is for, so that a batch
//! has events for many of them.

use std::collections::BTreeMap;

use serde_json::{Map, Value as Json, json};
use weir::config::{Arm, Branch, FilterStep, OnFailure, Step};
use weir::event::condition::parse;
use weir_test_support::Random;

use super::{Pipeline, events_of, hostile, mutate};

/// A condition as Weir reads it and as the interpreter does, on the fields `a` and `b`.
type Condition = (&'static str, fn(bool, bool) -> bool);

const A: Condition = ("[a]", |a, _| a);
const B: Condition = ("[b]", |_, b| b);
const CONDITIONS: [Condition; 5] =
    [A, B, ("![a]", |a, _| !a), ("[a] and [b]", |a, b| a && b), ("[a] xor [b]", |a, b| a != b)];

/// What a filter of the chain does.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Action {
    /// Adds a tag: the way of an event is its tags.
    Mark(&'static str),
    /// Adds a tag to events with `[a]`, by the filter's own `when`.
    MarkIfA(&'static str),
    Set(&'static str, bool),
    Remove(&'static str),
    Drop,
    /// Adds a copy of the event with another text in `other`.
    Copy,
}

/// Every filter, once. Steps that do the same are the same filter.
const ACTIONS: [Action; 24] = [
    Action::Mark("first.0"),
    Action::Mark("first.1"),
    Action::Mark("first.2"),
    Action::Mark("second.0"),
    Action::Mark("second.1"),
    Action::Mark("second.2"),
    Action::Mark("third.0"),
    Action::Mark("third.1"),
    Action::Mark("third.2"),
    Action::Mark("first.else"),
    Action::Mark("second.else"),
    Action::Mark("third.else"),
    Action::Mark("rest"),
    Action::Mark("after"),
    Action::MarkIfA("is a"),
    Action::Set("a", true),
    Action::Set("a", false),
    Action::Set("b", true),
    Action::Set("b", false),
    Action::Remove("a"),
    Action::Remove("b"),
    Action::Drop,
    Action::Copy,
    Action::Mark("end"),
];

#[derive(Clone, Debug)]
enum Node {
    Do(Action),
    Branch(Vec<(Option<Condition>, Vec<Node>)>),
}

#[test]
fn a_branch_does_what_logstashs_if_does() {
    let seed = rand_seed();
    println!("seed {seed}");
    let mut trees = trees_of_one_level();
    trees.extend(trees_of_more_levels(&mut Random(seed)));
    let filters: Vec<FilterStep> = ACTIONS.iter().map(|action| filter_of(*action)).collect();
    let mut steps = gate(&trees, 0);
    // Whatever became of them in a tree, events meet after it.
    steps.push(filter_step(Action::Mark("end")));
    let pipeline = Pipeline::new(&filters, &steps);
    let mut chain = pipeline.definition.start().expect("a chain");
    let numbers: Vec<usize> = (0..trees.len()).collect();
    for numbers in numbers.chunks(64) {
        check(&trees, numbers, &pipeline, &mut chain, seed);
    }
}

/// Passes events for some trees through the chain, those of one tree far from each other.
fn check(
    trees: &[Vec<Node>],
    numbers: &[usize],
    pipeline: &Pipeline,
    chain: &mut weir::filter::Chain,
    seed: u64,
) {
    let mut events = Vec::new();
    for a in [Some(true), Some(false), None] {
        for b in [Some(true), Some(false), None] {
            for tree in numbers {
                let mut event = Map::new();
                event.insert("number".to_owned(), Json::from(events.len()));
                event.insert("tree".to_owned(), Json::from(*tree));
                for (name, value) in [("a", a), ("b", b)] {
                    value.map(|value| event.insert(name.to_owned(), Json::from(value)));
                }
                events.push(event);
            }
        }
    }
    let processed = chain.process(pipeline.batch(&events)).expect("nothing stops");
    assert_eq!(processed.dead_letters.len(), 0);

    let number_of = |event: &Map<String, Json>| event["number"].as_u64().expect("a number") as usize;
    let found = events_of(&processed.batch);
    let originals: Vec<usize> =
        found.iter().take_while(|event| !event.contains_key("other")).map(number_of).collect();
    assert!(originals.is_sorted_by(|first, second| first < second), "the order of events is kept");
    let mut by_number: BTreeMap<usize, Vec<String>> = BTreeMap::new();
    for event in &found {
        by_number.entry(number_of(event)).or_default().push(shown(event));
    }
    let (mut dropped, mut not_copied) = (0, 0);
    for (number, event) in events.iter().enumerate() {
        let tree = event["tree"].as_u64().expect("a tree") as usize;
        let nodes: Vec<&Node> = trees[tree].iter().chain(&[Node::Do(Action::Mark("end"))]).collect();
        let mut expected = Vec::new();
        interpret(&nodes, event.clone(), &mut expected, &mut dropped);
        not_copied += expected.iter().filter(|event| !event.contains_key("other")).count();
        let mut expected: Vec<String> = expected.iter().map(shown).collect();
        let mut found = by_number.remove(&number).unwrap_or_default();
        expected.sort();
        found.sort();
        assert_eq!(found, expected, "seed {seed}, event {event:?} through tree {tree}: {:#?}", trees[tree]);
    }
    assert_eq!(originals.len(), not_copied, "added events stand at the end");
    assert_eq!(processed.dropped, dropped);
}

/// Logstash's if chain, one event at a time.
fn interpret(nodes: &[&Node], event: Map<String, Json>, out: &mut Vec<Map<String, Json>>, dropped: &mut u64) {
    let mut event = event;
    let Some((node, rest)) = nodes.split_first() else {
        out.push(event);
        return;
    };
    match node {
        Node::Do(Action::Drop) => *dropped += 1,
        Node::Do(action) => {
            if *action == Action::Copy {
                let mut copy = event.clone();
                copy.insert("other".to_owned(), json!("copy"));
                interpret(rest, copy, out, dropped);
            }
            act(*action, &mut event);
            interpret(rest, event, out, dropped);
        }
        Node::Branch(arms) => {
            let holds = |condition: &Option<Condition>| match condition {
                None => true,
                Some((_, holds)) => holds(is_true(&event, "a"), is_true(&event, "b")),
            };
            let taken = arms.iter().find(|(condition, _)| holds(condition));
            let arm: Vec<&Node> = taken.into_iter().flat_map(|(_, nodes)| nodes).collect();
            let mut from_arm = Vec::new();
            interpret(&arm, event, &mut from_arm, dropped);
            for event in from_arm {
                interpret(rest, event, out, dropped);
            }
        }
    }
}

fn act(action: Action, event: &mut Map<String, Json>) {
    match action {
        Action::MarkIfA(_) if !is_true(event, "a") => {}
        Action::Mark(mark) | Action::MarkIfA(mark) => {
            let tags = event.entry("tags").or_insert_with(|| json!([]));
            tags.as_array_mut().expect("a list").push(json!(mark));
        }
        Action::Set(field, value) => {
            event.insert(field.to_owned(), json!(value.to_string()));
        }
        Action::Remove(field) => {
            event.remove(field);
        }
        Action::Drop | Action::Copy => {}
    }
}

fn is_true(event: &Map<String, Json>, field: &str) -> bool {
    event.get(field).is_some_and(|value| *value == json!(true) || *value == json!("true"))
}

/// An event with its fields in order.
fn shown(event: &Map<String, Json>) -> String {
    let fields: BTreeMap<&String, &Json> = event.iter().collect();
    format!("{fields:?}")
}

fn filter_of(action: Action) -> FilterStep {
    match action {
        Action::Mark(mark) => mutate(json!({ "add_tag": [mark] })),
        Action::MarkIfA(mark) => mutate(json!({ "when": "[a]", "add_tag": [mark] })),
        Action::Set(field, value) => mutate(json!({ "replace": { field: value.to_string() } })),
        Action::Remove(field) => mutate(json!({ "remove_field": [field] })),
        Action::Drop => hostile("drop all"),
        Action::Copy => hostile("copy all"),
    }
}

fn filter_step(action: Action) -> Step {
    Step::Filter(ACTIONS.iter().position(|other| *other == action).expect("every action has a filter"))
}

fn steps_of(nodes: &[Node]) -> Vec<Step> {
    let step = |node: &Node| match node {
        Node::Do(action) => filter_step(*action),
        Node::Branch(arms) => {
            let arm = |(when, nodes): &(Option<Condition>, Vec<Node>)| {
                arm(when.map(|(text, _)| text), steps_of(nodes))
            };
            branch(arms.iter().map(arm).collect())
        }
    };
    nodes.iter().map(step).collect()
}

fn branch(arms: Vec<Arm>) -> Step {
    Step::Branch(Box::new(Branch { id: "branch".to_owned(), when: None, on_error: OnFailure::Stop, arms }))
}

fn arm(when: Option<&str>, steps: Vec<Step>) -> Arm {
    Arm { when: when.map(|when| parse(when).expect("a condition")), steps }
}

/// Branches that lead an event to the tree whose number it has; the first of these trees is number `first`.
fn gate(trees: &[Vec<Node>], first: usize) -> Vec<Step> {
    if let [tree] = trees {
        return steps_of(tree);
    }
    let (left, right) = trees.split_at(trees.len() / 2);
    let middle = first + left.len();
    let is_left = format!("[tree] < {middle}");
    vec![branch(vec![arm(Some(&is_left), gate(left, first)), arm(None, gate(right, middle))])]
}

const LEVELS: [[&str; 4]; 3] = [
    ["first.0", "first.1", "first.2", "first.else"],
    ["second.0", "second.1", "second.2", "second.else"],
    ["third.0", "third.1", "third.2", "third.else"],
];

/// How many arms have a condition, and whether there is an else.
type Form = (usize, bool);

const FORMS: [Form; 6] = [(1, false), (1, true), (2, false), (2, true), (3, false), (3, true)];

/// The mark of an arm by its place; the else is the last.
fn mark(level: usize, arm: usize, conditions: usize) -> Action {
    Action::Mark(LEVELS[level][if arm == conditions { 3 } else { arm }])
}

/// Every form with the conditions `[a]` and `[b]`, and with every action in every arm.
fn trees_of_one_level() -> Vec<Vec<Node>> {
    let mut trees = Vec::new();
    for (conditions, has_else) in FORMS {
        let arms = conditions + usize::from(has_else);
        for chosen in 0..1_usize << conditions {
            for actions in 0..1_usize << (2 * arms) {
                let arm = |number: usize| {
                    let condition =
                        (number < conditions).then(|| if chosen >> number & 1 == 0 { A } else { B });
                    let own = if condition.is_none_or(|condition| condition.0 == A.0) { "a" } else { "b" };
                    let mut nodes = vec![Node::Do(mark(0, number, conditions))];
                    nodes.extend(match actions >> (2 * number) & 3 {
                        0 => None,
                        // Its own condition no longer holds, or for an else that of another arm does.
                        1 => Some(Node::Do(Action::Set(own, condition.is_none()))),
                        2 => Some(Node::Do(Action::Drop)),
                        _ => Some(Node::Do(Action::Copy)),
                    });
                    nodes.push(Node::Do(Action::Mark("rest")));
                    (condition, nodes)
                };
                trees.push(vec![Node::Branch((0..arms).map(arm).collect()), Node::Do(Action::Mark("after"))]);
            }
        }
    }
    trees
}

/// Every form in every arm of every form, on two levels four times, on three once.
fn trees_of_more_levels(random: &mut Random) -> Vec<Vec<Node>> {
    let mut trees = Vec::new();
    let mut plant = |levels: &[(Form, usize)]| {
        trees.push(vec![grown(levels, 0, random), Node::Do(Action::Mark("after"))]);
    };
    for outer in places() {
        for inner in FORMS {
            (0..4).for_each(|_| plant(&[outer, (inner, NOWHERE)]));
        }
        for inner in places() {
            FORMS.iter().for_each(|innermost| plant(&[outer, inner, (*innermost, NOWHERE)]));
        }
    }
    trees
}

/// The place of the next level where there is none.
const NOWHERE: usize = usize::MAX;

/// Every arm of every form.
fn places() -> Vec<(Form, usize)> {
    let mut places = Vec::new();
    for form in FORMS {
        places.extend((0..form.0 + usize::from(form.1)).map(|arm| (form, arm)));
    }
    places
}

/// A branch of the first of these forms, with the next one in the arm that is said.
fn grown(levels: &[(Form, usize)], level: usize, random: &mut Random) -> Node {
    let Some((((conditions, has_else), place), inner)) = levels.split_first() else {
        return Node::Branch(Vec::new());
    };
    let mut arms = Vec::new();
    for number in 0..conditions + usize::from(*has_else) {
        let condition = (number < *conditions).then(|| random.one_of(&CONDITIONS));
        let mut nodes = Vec::new();
        // An arm without filters is one too.
        if number == *place || random.below(8) > 0 {
            nodes.push(Node::Do(mark(level, number, *conditions)));
            nodes.extend(any_action(random));
            if number == *place {
                nodes.push(grown(inner, level + 1, random));
                nodes.extend(any_action(random));
            }
            nodes.push(Node::Do(Action::Mark("rest")));
        }
        arms.push((condition, nodes));
    }
    Node::Branch(arms)
}

fn any_action(random: &mut Random) -> Option<Node> {
    let settings = [
        Action::Set("a", true),
        Action::Set("a", false),
        Action::Set("b", true),
        Action::Set("b", false),
        Action::Remove("a"),
        Action::Remove("b"),
        Action::MarkIfA("is a"),
    ];
    match random.below(12) {
        0..6 => Some(Node::Do(random.one_of(&settings))),
        6 => Some(Node::Do(Action::Drop)),
        7 | 8 => Some(Node::Do(Action::Copy)),
        _ => None,
    }
}

/// From the environment to repeat a run, else a new one.
fn rand_seed() -> u64 {
    let given = std::env::var("WEIR_TEST_SEED").ok().and_then(|seed| seed.parse().ok());
    given.unwrap_or_else(|| {
        let time = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        time.map_or(0, |time| time.as_nanos() as u64)
    })
}
