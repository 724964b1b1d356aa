//! Texts, names, field references, values and events, nasty in a directed way: the same few names everywhere, so that
//! options meet fields; texts at the edge of what is a number, a time or an address; letters that fold, combine and are
//! long in UTF-8; maps and lists in each other, as deep as an input takes them.

use std::fmt;

use proptest::collection::vec;
use proptest::prelude::{Just, Strategy, any};
use proptest::prop_oneof;
use proptest::sample::{Index, select};
use proptest::strategy::BoxedStrategy;
use serde_json::{Map, Value as Json};
use weir::event::{Batch, FieldReference, Value, fields};

/// The deepest maps and lists: serde_json reads 127 levels, and references of 40 fragments may lead to such a value.
const DEEPEST: usize = 80;

/// How many events a configuration meets.
pub(crate) const EVENTS: std::ops::RangeInclusive<usize> = 1..=160;

/// An event as an input makes it.
#[derive(Clone)]
pub(crate) struct Event {
    /// Its `@timestamp`, in nanoseconds since 1970.
    pub(crate) time: i64,
    /// All other fields.
    pub(crate) fields: Map<String, Json>,
}

impl fmt::Debug for Event {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "at {} {}", self.time, Json::Object(self.fields.clone()))
    }
}

impl Event {
    /// An event with one field.
    pub(crate) fn of(name: &str, value: impl Into<Json>) -> Self {
        let mut fields = Map::new();
        fields.insert(name.to_owned(), value.into());
        Event { time: 0, fields }
    }

    /// Puts it on a row. What the host refuses of it (a list in `[@metadata]`, a number in `[tags]`) is left out.
    pub(crate) fn put(&self, batch: &mut Batch, row: usize) {
        let top = |name: &str| FieldReference::from_fragments([name]);
        fields::set(batch, row, &top("@timestamp"), Value::Timestamp(self.time))
            .expect("it takes timestamps");
        fields::set(batch, row, &top("@version"), Value::Text("1")).expect("it is free");
        for (name, value) in &self.fields {
            drop(fields::set_json(batch, row, &top(name), value));
        }
    }
}

/// Names of fields that options and events share.
const NAMES: [&str; 14] = [
    "message",
    "a",
    "b",
    "c",
    "d",
    "a.b",
    "é",
    "0",
    "-1",
    "x y",
    "tags",
    "@metadata",
    "@timestamp",
    "@version",
];

const ODD_NAMES: [&str; 16] = [
    "", " ", "[", "]", "[]", "a]", "[a", "\u{0}", "\n", "😀", "e\u{301}", "%{a}", "a,b", "\"", "\\", "a/b~c",
];

/// A name of a field at the top or below another.
pub(crate) fn name() -> BoxedStrategy<String> {
    prop_oneof![
        12 => select(&NAMES[..9]).prop_map(str::to_owned),
        3 => select(&NAMES[..]).prop_map(str::to_owned),
        1 => select(&ODD_NAMES[..]).prop_map(str::to_owned),
        1 => text(),
    ]
    .boxed()
}

/// A text that is, or is nearly, a field reference.
pub(crate) fn reference() -> BoxedStrategy<String> {
    let fragment = || {
        prop_oneof![
            8 => select(&NAMES[..9]).prop_map(str::to_owned),
            3 => select(&["0", "1", "-1", "-2", "2", "99", "70000", "9223372036854775808", "01", "+1"][..]).prop_map(str::to_owned),
            2 => select(&NAMES[..]).prop_map(str::to_owned),
            1 => select(vec!["x".repeat(300), "😀".to_owned(), " ".to_owned(), "\u{0}".to_owned()]),
        ]
    };
    let nested = vec(fragment(), 1..4)
        .prop_map(|fragments| fragments.iter().map(|fragment| format!("[{fragment}]")).collect::<String>());
    let special = select(
        &[
            "[@metadata][x]",
            "[@metadata]",
            "@metadata",
            "@timestamp",
            "[@timestamp]",
            "tags",
            "[tags]",
            "[tags][0]",
            "[@metadata][tags]",
            "[@metadata][tags][x]",
            "[@timestamp][x]",
            "[[a]]",
            "[[a][b]]",
            "[a][0][b]",
            "[a][-1]",
            "[@version]",
            "[tags][x]",
            "[a][b][c][d][e][f]",
        ][..],
    );
    let broken = select(
        &["[a", "a]", "[]", "[a][", "[a]b", "a[b]", "[a,b]", "[", "]", "", "[[[", "[a]]", "[a][]"][..],
    );
    prop_oneof![
        60 => select(&NAMES[..6]).prop_map(str::to_owned),
        42 => nested,
        18 => special.prop_map(str::to_owned),
        1 => broken.prop_map(str::to_owned),
        1 => nested_deep(),
        1 => text(),
    ]
    .boxed()
}

fn nested_deep() -> impl Strategy<Value = String> {
    (1..40_usize).prop_map(|levels| "[a]".repeat(levels))
}

/// Letters that do harm: what delimits, quotes or begins something, controls, blanks, letters that change their length
/// or number when they are folded, and the ends of UTF-8's lengths.
const LETTERS: [&str; 64] = [
    " ",
    ",",
    ".",
    ":",
    ";",
    "-",
    "+",
    "/",
    "\\",
    "\"",
    "'",
    "[",
    "]",
    "{",
    "}",
    "%",
    "&",
    "*",
    "?",
    ">",
    "<",
    "|",
    "=",
    "_",
    "#",
    "@",
    "!",
    "(",
    ")",
    "$",
    "~",
    "0",
    "1",
    "9",
    "a",
    "b",
    "z",
    "A",
    "Z",
    "e",
    "E",
    "T",
    "x",
    "\t",
    "\n",
    "\r",
    "\u{0}",
    "\u{7f}",
    "\u{80}",
    "\u{85}",
    "\u{a0}",
    "é",
    "ß",
    "İ",
    "ı",
    "ſ",
    "K",
    "ŉ",
    "€",
    "\u{301}",
    "\u{200d}",
    "\u{2028}",
    "😀",
    "\u{10ffff}",
];

/// A piece of a text.
pub(crate) fn letters(most: usize) -> impl Strategy<Value = String> {
    vec(select(&LETTERS[..]), 0..=most).prop_map(|letters| letters.concat())
}

const WORDS: [&str; 24] = [
    "foo",
    "bar",
    "x",
    "NXDOMAIN",
    "GET",
    "ÄÖÜ",
    "straße",
    "ﬃ",
    "ΑΣ",
    "true",
    "false",
    "TRUE",
    "t",
    "yes",
    "no",
    "null",
    "nil",
    "[]",
    "{}",
    "[\"a\"]",
    "{\"a\":1}",
    "127.0.0.1",
    "2001:db8::1",
    "%{a}",
];

const NUMBERS: [&str; 50] = [
    "0",
    "-0",
    "1",
    "-1",
    "+1",
    "007",
    "42",
    "1.5",
    "-1.5",
    ".5",
    "5.",
    "1e3",
    "1E3",
    "1e308",
    "1e309",
    "-1e309",
    "1e-400",
    "4.9e-324",
    "0x1F",
    "0X1f",
    "-0x10",
    "0b101",
    "0o17",
    "1_000",
    "1__0",
    "_1",
    "1_",
    "1,5",
    "1.234,5",
    "1.234.567",
    "1,234.5",
    "NaN",
    "Infinity",
    "-Infinity",
    "inf",
    "9223372036854775807",
    "9223372036854775808",
    "-9223372036854775808",
    "-9223372036854775809",
    "18446744073709551616",
    "99999999999999999999999999999999",
    "0.1000000000000000055511151231257827",
    "1e999999999",
    "1E+999999999999",
    "1e-999999999",
    "-1e2147483648",
    "１２",
    "٣",
    "1 ",
    " 1",
];

const TIMES: [&str; 30] = [
    "2015-03-04T05:06:07.089Z",
    "2015-03-04T05:06:07",
    "2015-03-04 05:06:07",
    "2015-03-04",
    "2015-W10-3",
    "2015-063",
    "20150304T050607Z",
    "2015-03-04T24:00:00Z",
    "2015-02-29T00:00:00Z",
    "2016-02-29T23:59:60Z",
    "-0001-01-01T00:00:00Z",
    "+12345-01-01T00:00:00Z",
    "292278994-08-17T07:12:55.807Z",
    "0000-00-00T00:00:00Z",
    "1677-09-21T00:12:43.145224192Z",
    "1677-09-21T00:12:43.145224191Z",
    "2262-04-11T23:47:16.854775807Z",
    "2262-04-11T23:47:16.854775808Z",
    "2015-03-04T05:06:07,089123456789+09:00",
    "2015-03-04T05:06+0900",
    "2015-03-04T05:06:07-23:59",
    "T05:06:07",
    "2015",
    "@4000000050d506482dbdf024",
    "4000000050d506482dbdf024",
    "ffffffffffffffffffffffff",
    "7fffffffffffffff7fffffff",
    "Mar  4 05:06:07",
    "04/Mar/2015:05:06:07 +0000",
    "12/31/99 12:00:00 AM",
];

/// A text.
pub(crate) fn text() -> BoxedStrategy<String> {
    prop_oneof![
        6 => select(&WORDS[..]).prop_map(str::to_owned),
        5 => select(&NUMBERS[..]).prop_map(str::to_owned),
        4 => select(&TIMES[..]).prop_map(str::to_owned),
        5 => letters(20),
        1 => any::<i64>().prop_map(|number| number.to_string()),
        1 => any::<f64>().prop_map(|number| number.to_string()),
        1 => any::<[u8; 4]>().prop_map(|bytes| std::net::Ipv4Addr::from(bytes).to_string()),
    ]
    .boxed()
}

fn long_text() -> impl Strategy<Value = String> {
    (letters(6), 1..4000_usize).prop_map(|(piece, times)| piece.repeat(times))
}

/// A number of any size and kind.
pub(crate) fn number() -> BoxedStrategy<Json> {
    let exact = |text: &&str| serde_json::from_str(text).unwrap_or(Json::Null);
    prop_oneof![
        4 => select(&[0, 1, -1, i64::MAX, i64::MIN, i32::MAX as i64, 1 << 53, 1_425_445_567, 253_402_300_800][..])
            .prop_map(Json::from),
        2 => any::<i64>().prop_map(Json::from),
        2 => any::<i16>().prop_map(Json::from),
        4 => select(&[0.0, -0.0, 0.1, 1e20, 1e21, 1e-5, 1e-7, f64::MAX, f64::MIN_POSITIVE, 5e-324, 9.2e18, 1.5e9][..])
            .prop_map(Json::from),
        2 => any::<f64>().prop_map(Json::from),
        2 => select(&NUMBERS[..]).prop_map(move |text| exact(&text)),
    ]
    .boxed()
}

fn scalar() -> BoxedStrategy<Json> {
    prop_oneof![
        1 => Just(Json::Null),
        1 => any::<bool>().prop_map(Json::from),
        4 => number(),
        9 => text().prop_map(Json::from),
    ]
    .boxed()
}

/// A value of any kind.
pub(crate) fn value() -> BoxedStrategy<Json> {
    let list = |of: BoxedStrategy<Json>| vec(of, 0..4).prop_map(Json::Array).boxed();
    let map = |of: BoxedStrategy<Json>| {
        vec((name(), of), 0..4).prop_map(|members| Json::Object(members.into_iter().collect())).boxed()
    };
    let texts = vec(text(), 0..4).prop_map(Json::from);
    let flat = prop_oneof![6 => scalar(), 2 => list(scalar()), 2 => map(scalar()), 1 => texts].boxed();
    prop_oneof![
        120 => scalar(),
        24 => list(scalar()),
        24 => map(scalar()),
        8 => list(flat.clone()),
        8 => map(flat.clone()),
        4 => map(map(flat)),
        1 => deep(),
        1 => long_text().prop_map(Json::from),
    ]
    .boxed()
}

/// Maps and lists in each other.
fn deep() -> impl Strategy<Value = Json> {
    (scalar(), vec(any::<bool>(), 1..DEEPEST)).prop_map(|(inner, levels)| {
        levels.into_iter().fold(inner, |inner, is_map| {
            if is_map {
                Json::Object(std::iter::once(("a".to_owned(), inner)).collect())
            } else {
                Json::Array(vec![inner])
            }
        })
    })
}

/// A point in time.
pub(crate) fn time() -> impl Strategy<Value = i64> {
    prop_oneof![
        6 => (1_400_000_000_000..1_800_000_000_000_i64).prop_map(|millis| millis * 1_000_000),
        2 => any::<i64>(),
        1 => select(&[0, -1, 1, i64::MIN, i64::MAX, -62_135_596_800, 999_999_999, -1_000_000_000][..]),
    ]
}

/// Any event. `first` is what its `message` is made of.
pub(crate) fn event_with(first: BoxedStrategy<Json>) -> BoxedStrategy<Event> {
    (time(), proptest::option::weighted(0.9, first), vec((name(), value()), 0..5))
        .prop_map(|(time, message, members)| {
            let mut fields: Map<String, Json> = members.into_iter().collect();
            if let Some(message) = message {
                fields.insert("message".to_owned(), message);
            }
            Event { time, fields }
        })
        .boxed()
}

/// Any event.
pub(crate) fn event() -> BoxedStrategy<Event> {
    event_with(value())
}

/// What happens to a text that would have fitted.
#[derive(Clone, Debug)]
pub(crate) enum Change {
    Nothing,
    Cut(Index),
    Without(Index),
    With(Index, String),
    Twice,
}

/// A change, often none.
pub(crate) fn change() -> impl Strategy<Value = Change> {
    prop_oneof![
        6 => Just(Change::Nothing),
        2 => any::<Index>().prop_map(Change::Cut),
        2 => any::<Index>().prop_map(Change::Without),
        3 => (any::<Index>(), letters(2)).prop_map(|(place, letters)| Change::With(place, letters)),
        1 => Just(Change::Twice),
    ]
}

impl Change {
    /// The changed text.
    pub(crate) fn of(&self, text: &str) -> String {
        let letters: Vec<char> = text.chars().collect();
        let (place, with) = match self {
            Change::Nothing => return text.to_owned(),
            Change::Twice => return text.repeat(2),
            Change::Cut(place) => return letters[..place.index(letters.len() + 1)].iter().collect(),
            Change::Without(place) => (place, ""),
            Change::With(place, letters) => (place, letters.as_str()),
        };
        let place = place.index(letters.len() + 1);
        let skipped = usize::from(with.is_empty());
        let (before, after) = (letters[..place].iter(), letters.iter().skip(place + skipped));
        before.copied().chain(with.chars()).chain(after.copied()).collect()
    }
}
