//! The fuzz targets of what a guest gives to the host: its answers and itself. What they have in common with the others
//! is in `crate::fuzzing`.

use std::sync::{Arc, OnceLock};

use super::addresses::KernelTexts;
use super::answer::check;
use super::apply::{SentRows, Tagger, apply};
use super::encode::{Encoder, Rows};
use super::engine::{Compilation, Engine};
use super::interface::{
    Access, Answer, Column, Extent, Floats, KERNEL_PLACE, MixedCell, NO_VALUE, Numbers, Outcome, Plan,
    Planned, Texts, Verdict,
};
use super::plan::Plan as CheckedPlan;
use crate::config::embedded_cases;
use crate::event::{Batch, FieldNames, RowSet};
use crate::fuzzing::{Choices, case_file, events, use_events};

/// The longest component: compiling a longer one takes too long for a fuzzer.
const LONGEST_COMPONENT: usize = 64 << 10;

/// A component or module of any bytes: loading and describing it ends in a manifest or an error, and so do its cases.
pub fn component(input: &[u8]) {
    static ENGINE: OnceLock<Engine> = OnceLock::new();
    if input.len() > LONGEST_COMPONENT {
        return;
    }
    let engine = ENGINE.get_or_init(|| Engine::new(None, Compilation::Quick).expect("the engine starts"));
    if let Err(error) = engine.describe_bytes(input) {
        assert!(!format!("{error:#}").is_empty());
    }
    for (_, text) in embedded_cases(input).unwrap_or_default() {
        case_file(text.as_bytes());
    }
}

/// An answer, made of the bytes so that most of it is plausible, to what was sent of a batch: it is refused as a lie, or
/// applying it leaves events that are whole, whatever is done with them then.
pub fn answer(input: &[u8]) {
    let mut choices = Choices::new(input);
    let (plan, names) = plan(&mut choices);
    let mut batch = Batch::new(Arc::new(names), 0);
    batch.append_batch(events());
    let rows = match choices.below(4) {
        0 => Rows::Some(vec![1]),
        1 => Rows::Some(vec![0, 2, 4]),
        _ => Rows::All(batch.rows()),
    };
    let mut encoder = Encoder::default();
    encoder.encode(&batch, &rows, &plan, usize::MAX).expect("any length is short enough");
    let mut kernel_texts = KernelTexts::default();
    if choices.below(2) == 1 {
        let texts = ["Tōkyō", "", "Asia"].map(|text| Arc::new(text.to_owned()));
        kernel_texts.add(&texts, false).expect("there is room");
    }
    let answer = make_answer(&mut choices, rows.len(), encoder.text().len() as u32);
    let Ok(mut edits) = check(answer, &plan, &batch, &rows, &encoder, &kernel_texts) else { return };

    let before = batch.clone();
    let (verdicts, drops) = (std::mem::take(&mut edits.verdicts), edits.drops.clone());
    let applied = apply(&mut batch, &rows, &mut edits, "fuzzed");
    assert_eq!(applied.first_added, before.rows());
    for (row, reason) in &applied.failed {
        assert!(*row < batch.rows() && !reason.is_empty());
    }
    for row in 0..before.rows() {
        assert_eq!(batch.identity(row), before.identity(row), "an identity is not a guest's");
    }
    use_events(&batch);
    let sent = SentRows { rows: &rows, sent: rows.len(), first_added: applied.first_added };
    let mut tagger = Tagger::new();
    for verdict in &verdicts {
        for row in verdict.rows.iter() {
            verdict.tags.iter().for_each(|tag| tagger.add(&mut batch, sent.get(row), tag));
        }
    }
    use_events(&batch);
    let mut dropped = RowSet::none(batch.rows());
    drops.iter().for_each(|row| dropped.insert(sent.get(row)));
    let all = Rows::All(batch.rows());
    encoder.encode(&batch, &all, &plan, usize::MAX).expect("any length is short enough");
    let left = batch.rows() - dropped.count();
    batch.drop_rows(&dropped);
    assert_eq!(batch.rows(), left);
    use_events(&batch);
}

const PATHS: [&[&str]; 10] = [
    &["message"],
    &["m"],
    &["m", "n"],
    &["tags"],
    &["new"],
    &["new", "x"],
    &["@timestamp"],
    &["@metadata"],
    &["m", "n", "deeper"],
    &["l", "0"],
];

fn path(choices: &mut Choices<'_>) -> Vec<String> {
    choices.one_of(&PATHS).iter().map(|fragment| (*fragment).to_owned()).collect()
}

/// A plan of up to six fields. A field may be in it twice.
fn plan(choices: &mut Choices<'_>) -> (CheckedPlan, FieldNames) {
    let access = |bits: usize| {
        let mut access = Access::empty();
        if bits & 1 != 0 {
            access |= Access::READ;
        }
        if bits & 2 != 0 {
            access |= Access::WRITE;
        }
        access
    };
    let mut fields = Vec::new();
    for _ in 0..choices.below(7) {
        fields.push(Planned {
            path: path(choices),
            // Mostly read and written.
            access: access(3 - choices.below(4)),
            extent: if choices.below(2) == 0 { Extent::One } else { Extent::Whole },
        });
    }
    let everything = access(choices.below(4));
    let plan = Plan { fields, everything, stateful: false, steps: 1, failure_tags: Vec::new() };
    let mut names = FieldNames::new();
    (CheckedPlan::new(plan, &mut names).expect("the plan is possible"), names)
}

/// Texts of answers: where JSON is meant, and where it is not.
const TEXTS: [&str; 12] = [
    "",
    "é",
    "[1]",
    "{}",
    "{\"n\":2,\"o\":{\"p\":[]}}",
    "12",
    "1E+3",
    "\"x\"",
    "{\"\":{\"\":{}}}",
    "{\"n\":1,\"n\":{\"a\":1}}",
    "null",
    "[\"a\",{\"n\":{}}]",
];

fn make_answer(choices: &mut Choices<'_>, rows: usize, sent: u32) -> Answer {
    let mut text = Vec::new();
    // Where each text lies: any of them is a plausible place.
    let mut places = Vec::new();
    for _ in 0..1 + choices.below(4) {
        let part = choices.one_of(&TEXTS);
        places.push((sent + text.len() as u32, part.len() as u32));
        text.extend_from_slice(part.as_bytes());
    }
    if choices.rarely(32) {
        text.push(choices.byte());
    }
    let mut adds = Vec::new();
    for _ in 0..choices.below(4) {
        adds.push(match choices.below(8) {
            0..5 => (choices.below(rows.max(1))) as u32,
            5 | 6 => NO_VALUE,
            _ => choices.number() as u32,
        });
    }
    let all = rows + adds.len();
    let mut new_fields = Vec::new();
    for _ in 0..choices.below(3) {
        let mut path = path(choices);
        if choices.rarely(16) {
            path = vec![choices.one_of(&TEXTS).to_string(); choices.below(200)];
        }
        new_fields.push(path);
    }
    let mut maker = Maker { choices, places, sent, end: sent + text.len() as u32, rows: all };
    let mut sets = Vec::new();
    for _ in 0..maker.choices.below(5) {
        sets.push((maker.field(), maker.column()));
    }
    let mut removes = Vec::new();
    for _ in 0..maker.choices.below(3) {
        removes.push((maker.field(), maker.mask()));
    }
    let mut verdicts = Vec::new();
    for _ in 0..maker.choices.below(4) {
        verdicts.push(Verdict {
            outcome: *maker.choices.one_of(&[Outcome::Matched, Outcome::Tagged, Outcome::Failed]),
            rows: maker.mask(),
            tags: (0..maker.choices.below(3)).map(|_| maker.choices.one_of(&TEXTS).to_string()).collect(),
            reason: maker.choices.one_of(&TEXTS).repeat(1 + maker.choices.below(300)),
        });
    }
    let drops = maker.mask();
    Answer { text, sets, removes, verdicts, drops, adds, new_fields }
}

/// Makes the parts of an answer.
struct Maker<'c, 'i> {
    choices: &'c mut Choices<'i>,
    /// Of the answer's own texts.
    places: Vec<(u32, u32)>,
    /// Where the sent text ends.
    sent: u32,
    /// Where the answer's own text ends.
    end: u32,
    /// With the added ones.
    rows: usize,
}

impl Maker<'_, '_> {
    fn field(&mut self) -> u32 {
        if self.choices.rarely(24) { self.choices.number() as u32 } else { self.choices.below(12) as u32 }
    }

    fn mask(&mut self) -> Vec<u8> {
        let bytes = match self.choices.below(16) {
            0..4 => 0,
            15 => self.choices.below(4),
            _ => self.rows.div_ceil(8),
        };
        (0..bytes).map(|_| self.choices.byte()).collect()
    }

    fn place(&mut self) -> (u32, u32) {
        match self.choices.below(16) {
            0..7 => *self.choices.one_of(&self.places),
            7..9 => (0, NO_VALUE),
            9..11 if self.sent > 0 => {
                let start = self.choices.byte() as u32 % self.sent;
                (start, (self.choices.below(6) as u32).min(self.sent - start))
            }
            11 => (KERNEL_PLACE | self.choices.below(12) as u32, self.choices.below(8) as u32),
            12 => (self.choices.below(256) as u32 % (self.end + 2), self.choices.below(8) as u32),
            13 => (self.choices.number() as u32, self.choices.number() as u32),
            _ => (self.sent, 0),
        }
    }

    fn integer(&mut self) -> i64 {
        match self.choices.below(4) {
            0 => i64::MIN,
            1 => i64::MAX,
            2 => self.choices.below(256) as i64,
            _ => self.choices.number() as i64,
        }
    }

    fn column(&mut self) -> Column {
        let rows = if self.choices.rarely(32) { self.choices.below(12) } else { self.rows };
        match self.choices.below(10) {
            0 => Column::Absent,
            1 | 2 => Column::Text(self.texts(rows)),
            3 | 4 => Column::Json(self.texts(rows)),
            5 => match self.choices.below(3) {
                0 => Column::Integer(self.numbers(rows)),
                1 => Column::Boolean(self.numbers(rows)),
                _ => Column::Timestamp(self.numbers(rows)),
            },
            6 => {
                let values = (0..rows).map(|_| f64::from_bits(self.integer() as u64)).collect();
                Column::Float(Floats { values, present: self.mask() })
            }
            7 if self.choices.rarely(8) => Column::Object(self.mask()),
            _ => {
                let mut cells = Vec::new();
                for row in 0..rows as u32 {
                    match self.choices.below(16) {
                        0..4 => {}
                        15 => cells.push((self.choices.number() as u32, self.mixed_cell())),
                        _ => cells.push((row, self.mixed_cell())),
                    }
                }
                Column::Mixed(cells)
            }
        }
    }

    fn texts(&mut self, rows: usize) -> Texts {
        let places: Vec<(u32, u32)> = (0..rows).map(|_| self.place()).collect();
        let (starts, mut lens): (Vec<u32>, Vec<u32>) = places.into_iter().unzip();
        if self.choices.rarely(32) {
            lens.pop();
        }
        Texts { starts, lens }
    }

    fn numbers(&mut self, rows: usize) -> Numbers {
        Numbers { values: (0..rows).map(|_| self.integer()).collect(), present: self.mask() }
    }

    fn mixed_cell(&mut self) -> MixedCell {
        match self.choices.below(10) {
            0 => MixedCell::Null,
            1 => MixedCell::Boolean(self.choices.below(2) == 0),
            2 => MixedCell::Integer(self.integer()),
            3 => MixedCell::Float(f64::from_bits(self.integer() as u64)),
            4 | 5 => MixedCell::Text(self.place()),
            6 => MixedCell::Timestamp(self.integer()),
            7 | 8 => MixedCell::Json(self.place()),
            _ => MixedCell::Object,
        }
    }
}
