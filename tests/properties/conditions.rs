//! Conditions: texts from their grammar, texts that are none, and all events. Reading and evaluating one ends in an
//! answer or in words, and what is written around a condition changes its answer as logic says.

use std::sync::Arc;

use proptest::collection::vec;
use proptest::prelude::{Just, Strategy};
use proptest::prop_oneof;
use proptest::sample::select;
use proptest::strategy::BoxedStrategy;
use weir::event::condition::{evaluate, parse};
use weir::event::{Batch, FieldNames, FieldReference, RowSet};

use crate::campaign::Tried;
use crate::values::{Change, EVENTS, Event, change, event, letters, reference, text};

/// The usual, or with a small chance what is odd.
fn rarely<T: std::fmt::Debug + 'static>(
    usual: impl Strategy<Value = T> + 'static,
    odd: impl Strategy<Value = T> + 'static,
) -> BoxedStrategy<T> {
    prop_oneof![40 => usual, 1 => odd].boxed()
}

fn field() -> BoxedStrategy<String> {
    rarely(
        reference().prop_map(|name| {
            let name = name.replace(',', ".");
            match FieldReference::parse(&name) {
                Ok(reference) if !name.is_empty() => reference.to_string(),
                _ => "[a]".to_owned(),
            }
        }),
        prop_oneof![reference(), reference().prop_map(|name| format!("[{name}]"))],
    )
}

fn operand() -> BoxedStrategy<String> {
    let quoted = rarely(
        text().prop_map(|text| format!("\"{}\"", text.replace(['"', '\\'], "_"))),
        letters(5).prop_map(|text| format!("'{text}'")),
    );
    let number = rarely(
        select(
            &[
                "0",
                "1",
                "-1",
                "1.5",
                "-0.0",
                "007",
                "9223372036854775807",
                "-9223372036854775807",
                "100000000000000000000.5",
            ][..],
        ),
        select(&["08", "9223372036854775808", "-9223372036854775808", "1.", "1e5", "-", "1.2.3"][..]),
    )
    .prop_map(str::to_owned)
    .boxed();
    let scalar = prop_oneof![6 => field(), 4 => quoted, 3 => number].boxed();
    let list = vec(prop_oneof![4 => scalar.clone(), 1 => Just("word".to_owned())], 2..5)
        .prop_map(|elements| format!("[\"a\", {}]", elements.join(", ")))
        .boxed();
    let odd = prop_oneof![
        list.clone(),
        Just("[]".to_owned()),
        scalar.clone().prop_map(|inner| format!("not ({inner})"))
    ];
    rarely(scalar, odd)
}

fn list() -> BoxedStrategy<String> {
    vec(operand(), 1..4).prop_map(|elements| format!("[\"a\", {}]", elements.join(", "))).boxed()
}

/// A regular expression in Ruby's dialect, or nearly.
pub(crate) fn regular_expression() -> BoxedStrategy<String> {
    let piece = rarely(
        select(
            &[
                "a",
                "b",
                ".",
                "^",
                "$",
                "\\d+",
                "\\h",
                "[a-z]*",
                "[^,]",
                "(a|b)",
                "(?i)",
                "(?m:.)",
                "(?=a)",
                "(?!b)",
                "(?<=a)",
                "(a+)+",
                "\\Z",
                "\\z",
                "\\b",
                "é",
                "[[:alpha:]]",
                "a{2,3}",
                "\\p{L}",
                "(?>a*)",
            ][..],
        ),
        select(&["(?<n>x)", "\\k<n>", "(", "[", "*", "\\", "\\G", "\\X", "{", "?", ")", "\\1"][..]),
    );
    vec(piece, 0..5).prop_map(|pieces| pieces.concat()).boxed()
}

fn pattern() -> BoxedStrategy<String> {
    rarely(
        regular_expression().prop_map(|text| format!("/{text}/")),
        regular_expression().prop_map(|text| format!("\"{text}\"")),
    )
}

fn relation() -> BoxedStrategy<String> {
    // A constant may stand there too, but seldom decides anything.
    let left = || rarely(field(), operand());
    let operator = rarely(
        select(&["==", "!=", "<", ">", "<=", ">="][..]),
        select(&["=", "===", "not", "in ", "not\nin", "<>"][..]),
    );
    let member = rarely(select(&["in", "not in"][..]), Just("not  in"));
    prop_oneof![
        6 => (left(), operator, operand()).prop_map(|(left, operator, right)| format!("{left} {operator} {right}")),
        3 => (left(), member, rarely(list(), operand())).prop_map(|(left, member, right)| format!("{left} {member} {right}")),
        2 => (left(), select(&["=~", "!~"][..]), pattern())
            .prop_map(|(left, operator, pattern)| format!("{left} {operator} {pattern}")),
        2 => left(),
        1 => left().prop_map(|operand| format!("!{operand}")),
    ]
    .boxed()
}

/// A condition, or nearly one.
pub(crate) fn condition() -> BoxedStrategy<String> {
    let join = move |inner: BoxedStrategy<String>| {
        (
            inner.clone(),
            vec((rarely(select(&["and", "or"][..]), select(&["nand", "xor", "AND", "&&"][..])), inner), 0..4),
        )
            .prop_map(|(first, rest)| {
                rest.into_iter().fold(first, |text, (joint, next)| format!("{text} {joint} {next}"))
            })
    };
    let nested = prop_oneof![
        3 => relation(),
        1 => join(relation()).prop_map(|inner| format!("({inner})")),
        1 => join(relation()).prop_map(|inner| format!("!( {inner} )")),
    ]
    .boxed();
    let deep = (
        relation(),
        1..5000_usize,
        select(&[("(", ")"), ("!(", ")"), ("not(", ")"), ("[", "]"), ("[\"a\",", "]"), ("!", "")][..]),
    )
        .prop_map(|(inner, levels, (open, close))| {
            format!("{}{inner}{}", open.repeat(levels), close.repeat(levels))
        });
    let grammatical = prop_oneof![30 => join(nested), 1 => deep].boxed();
    let change = rarely(Just(Change::Nothing), change());
    let changed = (grammatical, change).prop_map(|(text, change)| change.of(&text));
    prop_oneof![30 => changed, 1 => letters(20)].boxed()
}

fn check(text: &str, events: &[Event]) -> Result<Tried, String> {
    let read = match parse(text) {
        Ok(read) => read,
        Err((at, message)) => {
            return if at > text.len() || message.is_empty() {
                Err(format!("refused at {at} of {}: {message:?}", text.len()))
            } else {
                Ok(Tried::refused())
            };
        }
    };
    let around = |open: &str, close: &str| match parse(&format!("{open}{text}\n{close}")) {
        Ok(condition) => Ok(Some(condition)),
        // It is as long or deep as a condition may be, or a constant, which may only stand by itself.
        Err((_, message)) if text.len() > 200 || message.contains("text, number or list") => Ok(None),
        Err((_, message)) => Err(format!("it is none in parentheses: {message}")),
    };
    let (Some(not), Some(same)) = (around("!(", ")")?, around("(", ") and [@timestamp]")?) else {
        return Ok(Tried::refused());
    };
    let mut names = FieldNames::new();
    for reference in read.references() {
        names.intern(reference);
    }
    let mut batch = Batch::new(Arc::new(names), events.len());
    for (row, event) in events.iter().enumerate() {
        event.put(&mut batch, row);
    }
    let selection = read.select(&batch, &RowSet::all(events.len()));
    let undecided: Vec<usize> = selection.undecided.iter().map(|(row, _)| *row).collect();
    let mut held = 0;
    for (row, event) in events.iter().enumerate() {
        let (answer, not, same) =
            (evaluate(&read, &batch, row), evaluate(&not, &batch, row), evaluate(&same, &batch, row));
        held += u64::from(answer == Ok(true));
        if (selection.holds.contains(row), undecided.contains(&row)) != (answer == Ok(true), answer.is_err())
        {
            return Err(format!("{event:?}: {answer:?}, but another answer among others"));
        }
        if not != answer.clone().map(|answer| !answer) || same != answer {
            return Err(format!("{event:?}: {answer:?}, negated {not:?}, in parentheses {same:?}"));
        }
    }
    Ok(Tried::pairs(events.len(), held))
}

fn strategy() -> impl Strategy<Value = (String, Vec<Event>)> {
    (condition(), vec(event(), EVENTS))
}

#[test]
fn conditions() {
    crate::campaign::run("conditions", 8, &strategy(), |(text, events)| check(text, events));
}
