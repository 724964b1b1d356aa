//! date and local-time: patterns of all letters in odd numbers, and texts that are printed by the pattern and then
//! changed; numeric formats with numbers at the ends of what there is; zones and locales, known and unknown.

use proptest::collection::vec;
use proptest::prelude::{Just, Strategy, any};
use proptest::prop_oneof;
use proptest::sample::select;
use proptest::strategy::BoxedStrategy;
use serde_json::{Map, Value as Json};

use crate::options::{date_pattern, locale, some_of, with_common, zone};
use crate::through::{Written, check};
use crate::values::{Change, EVENTS, Event, change, event, letters, number, reference, text, value};

/// A piece of a pattern: letters, or a text that stands for itself.
#[derive(Clone, Debug)]
enum Piece {
    Letters(char, usize),
    Literal(&'static str),
}

fn piece() -> impl Strategy<Value = Piece> {
    let count = prop_oneof![10 => 1..5_usize, 1 => 5..12_usize, 1 => 30..200_usize];
    prop_oneof![
        4 => (select(&['y', 'M', 'd', 'H', 'm', 's'][..]), prop_oneof![4 => Just(2_usize), 2 => Just(4), 1 => 1..4_usize])
            .prop_map(|(letter, count)| Piece::Letters(letter, count)),
        4 => (select("GCYxwyDMEeaKhHkmsSdzZ".chars().collect::<Vec<_>>()), count)
            .prop_map(|(letter, count)| Piece::Letters(letter, count)),
        6 => select(&["-", "/", ":", " ", ".", ",", "'T'", "''", "  ", "'é'", "[", "'it''s'"][..]).prop_map(Piece::Literal),
    ]
}

/// One event: what its text is printed of, what is changed, and what stands there instead of the text, if anything.
type Row = (Event, Vec<u32>, Change, Option<Json>);

fn row() -> impl Strategy<Value = Row> {
    let value = prop_oneof![3 => text().prop_map(Json::from), 3 => number(), 1 => value()];
    (event(), vec(any::<u32>(), 0..10), change(), proptest::option::weighted(0.3, value))
}

/// Options and events of date.
pub(crate) fn date_strategy() -> BoxedStrategy<(Written, Vec<Event>)> {
    let format = prop_oneof![
        6 => select(&["ISO8601", "UNIX", "UNIX_MS", "TAI64N"][..]).prop_map(str::to_owned),
        2 => date_pattern(),
        1 => letters(6),
    ];
    let options = some_of(vec![
        ("target", 0.5, reference().prop_map(Json::from).boxed()),
        ("timezone", 0.7, zone().prop_map(Json::from).boxed()),
        ("locale", 0.4, locale().prop_map(Json::from).boxed()),
        ("tag_on_failure", 0.1, vec(text(), 0..3).prop_map(Json::from).boxed()),
    ]);
    let options = with_common(options, &["match", "target", "timezone", "locale", "tag_on_failure"]);
    let pattern = vec(piece(), 1..10);
    (pattern, any::<bool>(), vec(format, 0..3), options, vec(row(), EVENTS)).prop_map(made).boxed()
}

type Parts = (Vec<Piece>, bool, Vec<String>, Map<String, Json>, Vec<Row>);

fn made((pieces, first, formats, mut options, rows): Parts) -> (Written, Vec<Event>) {
    let pattern: String = pieces
        .iter()
        .map(|piece| match piece {
            Piece::Letters(letter, count) => letter.to_string().repeat(*count),
            Piece::Literal(literal) => (*literal).to_owned(),
        })
        .collect();
    let mut entries = vec!["message".to_owned()];
    entries.extend(formats);
    entries.insert(if first { 1 } else { entries.len() }, pattern);
    options.entry("match").or_insert_with(|| Json::from(entries));
    let mut events = Vec::with_capacity(rows.len());
    for (mut event, numbers, change, instead) in rows {
        let text: String = pieces
            .iter()
            .enumerate()
            .map(|(index, piece)| match piece {
                Piece::Letters(letter, count) => {
                    printed(*letter, *count, numbers.get(index).copied().unwrap_or(1))
                }
                Piece::Literal(literal) => {
                    literal.replace("''", "\u{1}").replace('\'', "").replace('\u{1}', "'")
                }
            })
            .collect();
        event.fields.insert("message".to_owned(), instead.unwrap_or_else(|| Json::from(change.of(&text))));
        events.push(event);
    }
    (("date", options), events)
}

/// What a time could show for these letters.
fn printed(letter: char, count: usize, number: u32) -> String {
    let one_of = |texts: &[&str]| texts[number as usize % texts.len()].to_owned();
    let padded = |value: u32| format!("{value:0count$}");
    match letter {
        'G' => one_of(&["AD", "BC", "ad"]),
        'E' => one_of(&["Mon", "Tuesday", "mi", "Wed", "dimanche", "日曜日"]),
        'M' if count >= 3 => one_of(&["Jan", "February", "mär", "Dec", "décembre", "März", "5月", "May"]),
        'a' => one_of(&["AM", "PM", "am", "p"]),
        'z' => one_of(&["UTC", "PST", "CET", "JST", "Pacific Standard Time"]),
        'Z' => one_of(&["+0000", "-07:00", "Z", "Europe/Paris", "+09", "-23:59:59.999"]),
        'S' => number.to_string().chars().cycle().take(count).collect(),
        'C' => padded(number % 30),
        'y' | 'Y' | 'x' if count == 2 => padded(number % 100),
        'y' | 'Y' | 'x' => padded(match number % 8 {
            0 => number,
            1 => number % 292_278_994,
            _ => 1900 + number % 200,
        }),
        'M' => padded(number % 13),
        'd' => padded(number % 32),
        'D' => padded(number % 367),
        'w' => padded(number % 54),
        'e' => padded(number % 8),
        'H' | 'k' | 'h' | 'K' => padded(number % 25),
        _ => padded(number % 61),
    }
}

/// Options and events of local-time.
pub(crate) fn local_time_strategy() -> BoxedStrategy<(Written, Vec<Event>)> {
    let letters_known = "YCymdejGgVUWuwHkIlMSsLNaAbhBpPZzFTDRrnt%".chars().collect::<Vec<_>>();
    let flags = prop_oneof![60 => Just(""), 2 => select(&["-", "0", "_", "^", ":", "3", "9", "-^", "_3", "^:", "--"][..])];
    let directive =
        prop_oneof![100 => select(letters_known), 1 => select(&['f', 'E', 'Q', 'é', '+', 'c', 'i', ' '][..])];
    let piece = prop_oneof![
        6 => (flags, directive).prop_map(|(flags, letter)| format!("%{flags}{letter}")),
        2 => letters(3),
    ];
    let format = vec(piece, 0..6).prop_map(|pieces| Json::from(pieces.concat())).boxed();
    let options = some_of(vec![
        ("source", 0.5, reference().prop_map(Json::from).boxed()),
        ("target", 0.95, reference().prop_map(Json::from).boxed()),
        ("format", 0.9, format),
        ("timezone", 0.95, zone().prop_map(Json::from).boxed()),
        ("tag_on_failure", 0.1, vec(text(), 0..3).prop_map(Json::from).boxed()),
    ]);
    let options = with_common(options, &["source", "target", "format", "timezone", "tag_on_failure"]);
    (options, vec(event(), EVENTS)).prop_map(|(options, events)| (("local-time", options), events)).boxed()
}

#[test]
fn date() {
    crate::campaign::run("date", 13, &date_strategy(), |(step, events)| {
        check(std::slice::from_ref(step), events)
    });
}

#[test]
fn local_time() {
    crate::campaign::run("local-time", 7, &local_time_strategy(), |(step, events)| {
        check(std::slice::from_ref(step), events)
    });
}
