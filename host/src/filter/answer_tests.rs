//! What answers do to events. Lies are tried by tests/hostile.rs through a real guest, and here by chance.

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde_json::json;

use super::super::apply::apply;
use super::super::encode::tests::{batch_of, plan_of};
use super::super::interface::{Access, Answer, Column, Floats, MixedCell, Numbers, Texts};
use super::*;
use crate::event::Documents;

fn nothing() -> Answer {
    Answer {
        text: Vec::new(),
        sets: Vec::new(),
        removes: Vec::new(),
        verdicts: Vec::new(),
        drops: Vec::new(),
        adds: Vec::new(),
        new_fields: Vec::new(),
    }
}

fn documents(batch: &Batch) -> Vec<serde_json::Value> {
    let mut documents = Documents::with_metadata(batch);
    (0..batch.rows())
        .map(|row| serde_json::from_str(&documents.text(row)).expect("a document is JSON"))
        .collect()
}

/// Three events: `message` (fields 0, read and written as one value), `m` (1, as a whole), `[m][n]` (2), `new` (3).
/// `text` is the answer's; places of it begin after the sent text, which is the three messages.
fn check(messages: [&str; 3], text: &str, answer: impl Fn(u32) -> Answer, expected: &[serde_json::Value]) {
    let (plan, names) = plan_of(
        &[
            ("message", true, true, false),
            ("m", false, true, true),
            ("[m][n]", false, true, false),
            ("new", false, true, false),
        ],
        Access::WRITE,
    );
    let events: Vec<_> = messages.iter().map(|message| json!({"message": message})).collect();
    let sent_length = messages.iter().map(|message| message.len() as u32).sum();
    // Alone, and as every second row of a longer batch.
    let mut spread = vec![json!({"message": "untouched"}); 7];
    for (number, event) in events.iter().enumerate() {
        spread[number * 2 + 1] = event.clone();
    }
    for (events, rows) in [(events, Rows::All(3)), (spread, Rows::Some(vec![1, 3, 5]))] {
        let mut batch = batch_of(&events, &names);
        let mut encoder = Encoder::default();
        encoder.encode(&batch, &rows, &plan, usize::MAX).expect("not too long");
        let answer = Answer { text: text.as_bytes().to_vec(), ..answer(sent_length) };
        let mut edits = super::check(answer, &plan, &batch, &rows, &encoder, &KernelTexts::default())
            .unwrap_or_else(|broke| panic!("{broke:?}"));
        let applied = apply(&mut batch, &rows, &mut edits, "filter");
        assert_eq!(applied.failed, vec![]);
        let mut found = documents(&batch);
        if let Rows::Some(rows) = &rows {
            let added = found.split_off(events.len());
            assert!((0..7).filter(|row| row % 2 == 0).all(|row| found[row] == events[row]), "{found:?}");
            found = rows.iter().map(|row| found[*row].clone()).chain(added).collect();
        }
        assert_eq!(found, expected);
    }
}

fn texts(starts: &[u32], lens: &[u32]) -> Column {
    Column::Text(Texts { starts: starts.to_vec(), lens: lens.to_vec() })
}

#[test]
fn parts_of_the_sent_text() {
    let own = |_| Answer { sets: vec![(3, texts(&[0, 3, 7], &[1, NO_VALUE, 2]))], ..nothing() };
    check(
        ["abc", "def", "ghi"],
        "",
        own,
        &[
            json!({"message": "abc", "new": "a"}),
            json!({"message": "def"}),
            json!({"message": "ghi", "new": "hi"}),
        ],
    );
    // Another row's text, and more than one value's.
    let others = |_| Answer { sets: vec![(0, texts(&[3, 0, 2], &[3, 0, 5]))], ..nothing() };
    check(
        ["abc", "déf", "ghi"],
        "",
        others,
        &[json!({"message": "dé"}), json!({"message": ""}), json!({"message": "cdéf"})],
    );
}

#[test]
fn texts_of_the_answer() {
    let answer = |sent| Answer { sets: vec![(3, texts(&[sent, sent + 2, 0], &[2, 3, 1]))], ..nothing() };
    check(
        ["abc", "", "ghi"],
        "éxyz",
        answer,
        &[
            json!({"message": "abc", "new": "é"}),
            json!({"message": "", "new": "xyz"}),
            json!({"message": "ghi", "new": "a"}),
        ],
    );
}

#[test]
fn kinds() {
    let numbers = |present| Numbers { values: vec![1, 2, 0], present };
    let kinds = |column: Column, first: serde_json::Value, second: serde_json::Value| {
        let answer = |_| Answer { sets: vec![(3, column.clone())], ..nothing() };
        let expected = [
            json!({"message": "a", "new": first}),
            json!({"message": "b", "new": second}),
            json!({"message": "c"}),
        ];
        check(["a", "b", "c"], "", answer, &expected);
    };
    kinds(Column::Integer(numbers(vec![0b1111_1011])), json!(1), json!(2));
    kinds(Column::Boolean(numbers(vec![3])), json!(true), json!(true));
    kinds(
        Column::Timestamp(numbers(vec![3])),
        json!("1970-01-01T00:00:00.000000001Z"),
        json!("1970-01-01T00:00:00.000000002Z"),
    );
    kinds(Column::Float(Floats { values: vec![0.5, 1.0, 0.0], present: vec![3] }), json!(0.5), json!(1.0));
    kinds(Column::Mixed(vec![(0, MixedCell::Null), (1, MixedCell::Text((1, 1)))]), json!(null), json!("b"));
}

#[test]
fn maps_and_what_is_in_them() {
    let whole = |sent| Answer {
        sets: vec![
            (1, Column::Mixed(vec![(0, MixedCell::Json((sent, 22))), (1, MixedCell::Json((sent + 22, 2)))])),
            (2, Column::Mixed(vec![(0, MixedCell::Integer(5)), (1, MixedCell::Integer(6))])),
        ],
        ..nothing()
    };
    check(
        ["a", "b", "c"],
        "{\"n\":1,\"k\":{\"l\":[1]}} {}",
        whole,
        &[
            json!({"message": "a", "m": {"n": 5, "k": {"l": [1]}}}),
            json!({"message": "b", "m": {"n": 6}}),
            json!({"message": "c"}),
        ],
    );
    let replaced = |_| Answer {
        sets: vec![
            (2, Column::Integer(Numbers { values: vec![1; 3], present: vec![] })),
            (1, texts(&[0, 0, 0], &[1, 1, NO_VALUE])),
        ],
        removes: vec![(0, vec![0b110])],
        ..nothing()
    };
    check(
        ["a", "b", "c"],
        "",
        replaced,
        &[json!({"message": "a", "m": "a"}), json!({"m": "a"}), json!({"m": {"n": 1}})],
    );
}

#[test]
fn new_fields_and_new_events() {
    let answer = |sent| Answer {
        sets: vec![(
            4,
            texts(&[sent, sent, sent, sent, sent, sent], &[NO_VALUE, 3, NO_VALUE, 3, 2, NO_VALUE]),
        )],
        adds: vec![0, NO_VALUE, 2],
        new_fields: vec![vec!["x".to_owned(), "y.z".to_owned()]],
        ..nothing()
    };
    check(
        ["a", "b", "c"],
        "new",
        answer,
        &[
            json!({"message": "a"}),
            json!({"message": "b", "x": {"y.z": "new"}}),
            json!({"message": "c"}),
            json!({"message": "a", "x": {"y.z": "new"}}),
            json!({"x": {"y.z": "ne"}}),
            json!({"message": "c"}),
        ],
    );
}

#[test]
fn added_events_have_identities_of_their_own() {
    let (plan, names) = plan_of(&[("message", true, true, false)], Access::empty());
    let identities = |filter: &str, rows: &Rows| {
        let mut batch = batch_of(&[json!({"message": "a"}), json!({"message": "b"})], &names);
        batch.set_identities(vec![7, 8]);
        let mut encoder = Encoder::default();
        encoder.encode(&batch, rows, &plan, usize::MAX).expect("not too long");
        let answer = Answer { adds: vec![0, 0, NO_VALUE], ..nothing() };
        let mut edits =
            super::check(answer, &plan, &batch, rows, &encoder, &KernelTexts::default()).expect("no lie");
        apply(&mut batch, rows, &mut edits, filter);
        (0..batch.rows()).map(|row| batch.identity(row)).collect::<Vec<_>>()
    };
    let first = identities("split", &Rows::All(2));
    assert_eq!(first[..2], [7, 8]);
    assert_ne!(first[2], first[3]);
    assert!(first[2] > 8 && first[3] > 8 && first[4] == 0, "{first:?}");
    assert_eq!(first, identities("split", &Rows::All(2)), "the same in every run");
    assert_ne!(first[2], identities("clone", &Rows::All(2))[2], "another filter makes other events");
    // It depends on the event, not on its place in a batch.
    assert_eq!(first[2], identities("split", &Rows::Some(vec![0]))[2]);
}

/// Random answers, near enough to right ones that many pass: none may panic, and what passes leaves events whole.
#[test]
fn no_answer_harms_the_host() {
    let seed: u64 = rand::random();
    let mut random = StdRng::seed_from_u64(seed);
    let (plan, names) = plan_of(
        &[
            ("message", true, true, false),
            ("m", true, true, true),
            ("[m][n]", true, true, false),
            ("tags", true, true, false),
        ],
        Access::READ | Access::WRITE,
    );
    let events = [
        json!({"message": "dé", "m": {"n": 1, "o": [1]}, "tags": ["x"]}),
        json!({"message": "abc", "m": 5}),
        json!({"m": {}, "other": true}),
    ];
    let (mut passed, mut refused) = (0, 0);
    for _ in 0..20_000 {
        let mut batch = batch_of(&events, &names);
        let rows = if random.random_bool(0.5) { Rows::All(3) } else { Rows::Some(vec![0, 2]) };
        let mut encoder = Encoder::default();
        encoder.encode(&batch, &rows, &plan, usize::MAX).expect("not too long");
        let answer = random_answer(&mut random, rows.len(), encoder.text().len() as u32);
        let shown = format!("{answer:?}");
        match super::check(answer, &plan, &batch, &rows, &encoder, &KernelTexts::default()) {
            Err(broke) => {
                assert_eq!(broke.kind, "answer");
                refused += 1;
            }
            Ok(mut edits) => {
                apply(&mut batch, &rows, &mut edits, "filter");
                passed += 1;
                documents(&batch);
                for row in 0..batch.rows() {
                    for id in batch.names().ids().filter(|id| !batch.cell(row, *id).is_absent()) {
                        let mut below = batch.names().below(id).iter();
                        assert!(
                            below.all(|below| batch.cell(row, *below).is_absent()),
                            "seed {seed}: row {row} has a value at and below {}: {shown}",
                            batch.names().reference(id)
                        );
                    }
                }
            }
        }
    }
    assert!(passed > 1000 && refused > 1000, "seed {seed}: {passed} passed, {refused} were refused");
}

fn random_answer(random: &mut StdRng, rows: usize, sent: u32) -> Answer {
    let texts = ["", "é", "[1]", "{}", "{\"n\":2}", "12", "1E+3", "\"x\""];
    let text = texts[random.random_range(0..texts.len())];
    let end = sent + text.len() as u32;
    let adds: Vec<u32> = match random.random_range(0..10) {
        0 => vec![random.random_range(0..4)],
        1 => vec![NO_VALUE],
        _ => vec![],
    };
    let all = rows + adds.len();
    let place = |random: &mut StdRng| match random.random_range(0..12) {
        0 => (random.random(), random.random_range(0..9)),
        1 => (random.random_range(0..=end), random.random_range(0..9)),
        2 => (0, NO_VALUE),
        3 => (1 << 31, 0),
        4..8 => (sent, text.len() as u32),
        _ => (random.random_range(0..sent), 1),
    };
    let column = |random: &mut StdRng| {
        let rows = if random.random_bool(0.05) { all + 1 } else { all };
        let places: Vec<(u32, u32)> = (0..rows).map(|_| place(random)).collect();
        let (starts, lens) = places.iter().copied().unzip();
        let present = if random.random_bool(0.5) { vec![] } else { vec![random.random()] };
        match random.random_range(0..8) {
            0 => Column::Absent,
            1 => Column::Text(Texts { starts, lens }),
            2 => Column::Json(Texts { starts, lens }),
            3 => Column::Integer(Numbers { values: vec![3; rows], present }),
            4 => Column::Timestamp(Numbers { values: vec![3; rows], present }),
            5 => Column::Float(Floats { values: vec![f64::NAN; rows], present }),
            6 => Column::Object(present),
            _ => {
                let cell = |(row, place): (usize, &(u32, u32))| {
                    (row as u32, if row == 0 { MixedCell::Json(*place) } else { MixedCell::Text(*place) })
                };
                Column::Mixed(places.iter().enumerate().map(cell).collect())
            }
        }
    };
    let sets = (0..random.random_range(0..3)).map(|_| (random.random_range(0..7), column(random))).collect();
    let mask = |random: &mut StdRng| match random.random_range(0..8) {
        0 => vec![],
        1 => vec![1, 1],
        _ => vec![random.random()],
    };
    let removes = (0..random.random_range(0..2)).map(|_| (random.random_range(0..6), mask(random))).collect();
    let new_fields = match random.random_range(0..8) {
        0 => vec![vec!["m".to_owned(), "n".to_owned(), "deeper".to_owned()]],
        1 => vec![vec!["tags".to_owned(), "0".to_owned()]],
        2 => vec![vec![]],
        _ => vec![],
    };
    Answer {
        text: text.as_bytes().to_vec(),
        sets,
        removes,
        drops: mask(random),
        adds,
        new_fields,
        ..nothing()
    }
}
