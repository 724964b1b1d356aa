//! dissect: patterns of all modifiers and of delimiters that overlap, are empty or take several bytes, and texts that are
//! made from the pattern, so that they match, and then changed.

use proptest::collection::vec;
use proptest::prelude::{Just, Strategy};
use proptest::prop_oneof;
use proptest::sample::select;
use proptest::strategy::BoxedStrategy;
use serde_json::{Map, Value as Json};

use crate::options::{some_of, table, with_common};
use crate::through::{Written, check};
use crate::values::{Change, EVENTS, Event, change, event, letters, reference, text, value};

/// A part of a pattern and the delimiter after it.
#[derive(Clone, Debug)]
struct Piece {
    part: String,
    delimiter: String,
}

fn piece() -> impl Strategy<Value = Piece> {
    let before = prop_oneof![
        24 => Just(""), 6 => Just("?"), 9 => Just("+"), 9 => Just("&"), 3 => Just("*"), 1 => select(&["+&", "&+", "?+", "+?"][..]),
    ];
    let after = prop_oneof![
        8 => Just(""), 3 => Just("->"), 2 => select(&["/1", "/2", "/12"][..]), 1 => select(&["->/3", "/3->", "/", "/x", "/123", "->->", ">"][..]),
    ];
    let name = prop_oneof![1 => Just(String::new()), 40 => reference()];
    let delimiter = prop_oneof![
        8 => select(&[" ", ",", ", ", ":", "  ", "-", "|", "->", "%", "{", "}", "é", "😀", "aa", "aaa", "\n", "] ["][..])
            .prop_map(str::to_owned),
        1 => Just(String::new()),
        1 => letters(3),
    ];
    (before, name, after, delimiter).prop_map(|(before, name, after, delimiter)| Piece {
        part: format!("%{{{before}{name}{after}}}"),
        delimiter,
    })
}

/// What the parts of a pattern hold in an event, and what is changed then.
type Row = (Event, Vec<String>, Change);

fn row() -> impl Strategy<Value = Row> {
    let part = prop_oneof![4 => text(), 2 => letters(6), 1 => Just(String::new()), 1 => reference()];
    (event(), vec(part, 0..7), change())
}

/// Options and events.
pub(crate) fn strategy() -> BoxedStrategy<(Written, Vec<Event>)> {
    let leading = prop_oneof![4 => Just(String::new()), 1 => letters(3)];
    let other_mappings =
        table(reference(), vec(piece(), 1..4).prop_map(|pieces| Json::from(pattern("", &pieces))).boxed(), 2);
    let types = prop_oneof![
        8 => select(&["int", "float", "INT", "Float"][..]).prop_map(Json::from), 1 => value()
    ];
    let others = some_of(vec![
        ("mapping", 0.3, other_mappings),
        ("convert_datatype", 0.4, table(reference(), types.boxed(), 3)),
        ("tag_on_failure", 0.1, vec(text(), 0..3).prop_map(Json::from).boxed()),
    ]);
    let others = with_common(others, &["mapping", "convert_datatype", "tag_on_failure"]);
    (leading, vec(piece(), 1..7), others, vec(row(), EVENTS)).prop_map(made).boxed()
}

fn pattern(leading: &str, pieces: &[Piece]) -> String {
    let mut pattern = leading.to_owned();
    for piece in pieces {
        pattern.push_str(&piece.part);
        pattern.push_str(&piece.delimiter);
    }
    pattern
}

fn made(
    (leading, pieces, mut options, rows): (String, Vec<Piece>, Map<String, Json>, Vec<Row>),
) -> (Written, Vec<Event>) {
    let written = Json::from(pattern(&leading, &pieces));
    match options.get_mut("mapping") {
        Some(Json::Object(mapping)) => {
            let mut all: Map<String, Json> = std::iter::once(("message".to_owned(), written)).collect();
            all.append(mapping);
            *mapping = all;
        }
        // Of another kind than it should be.
        Some(_) => {}
        None => {
            options.insert("mapping".to_owned(), serde_json::json!({ "message": written }));
        }
    }
    let mut events = Vec::with_capacity(rows.len());
    for (mut event, parts, change) in rows {
        let mut text = leading.clone();
        for (index, piece) in pieces.iter().enumerate() {
            text.push_str(parts.get(index).map_or("", String::as_str));
            text.push_str(&piece.delimiter);
        }
        event.fields.insert("message".to_owned(), Json::from(change.of(&text)));
        events.push(event);
    }
    (("dissect", options), events)
}

#[test]
fn dissect() {
    crate::campaign::run("dissect", 13, &strategy(), |(step, events)| {
        check(std::slice::from_ref(step), events)
    });
}
