//! The types of wit/filter.wit as they cross the boundary, one for one. What they mean is written there; checking what a
//! guest says with them is left to `answer`.

use wasmtime::component::{ComponentType, Lift, Lower};

/// A length that says that a row has no value.
pub(super) const NO_VALUE: u32 = u32::MAX;

/// Set in the start of a place in a kernel's text.
pub(super) const KERNEL_PLACE: u32 = 1 << 31;

#[derive(ComponentType, Lift, Lower, Debug, Default, Clone)]
#[component(record)]
pub(super) struct Texts {
    pub(super) starts: Vec<u32>,
    pub(super) lens: Vec<u32>,
}

#[derive(ComponentType, Lift, Lower, Debug, Default, Clone)]
#[component(record)]
pub(super) struct Numbers {
    pub(super) values: Vec<i64>,
    pub(super) present: Vec<u8>,
}

#[derive(ComponentType, Lift, Lower, Debug, Default, Clone)]
#[component(record)]
pub(super) struct Floats {
    pub(super) values: Vec<f64>,
    pub(super) present: Vec<u8>,
}

#[derive(ComponentType, Lift, Lower, Debug, Clone)]
#[component(variant)]
pub(super) enum MixedCell {
    #[component(name = "null")]
    Null,
    #[component(name = "boolean")]
    Boolean(bool),
    #[component(name = "integer")]
    Integer(i64),
    #[component(name = "float")]
    Float(f64),
    #[component(name = "text")]
    Text((u32, u32)),
    #[component(name = "timestamp")]
    Timestamp(i64),
    #[component(name = "json")]
    Json((u32, u32)),
    #[component(name = "object")]
    Object,
}

#[derive(ComponentType, Lift, Lower, Debug, Default, Clone)]
#[component(variant)]
pub(super) enum Column {
    #[default]
    #[component(name = "absent")]
    Absent,
    #[component(name = "text")]
    Text(Texts),
    #[component(name = "integer")]
    Integer(Numbers),
    #[component(name = "float")]
    Float(Floats),
    #[component(name = "boolean")]
    Boolean(Numbers),
    #[component(name = "timestamp")]
    Timestamp(Numbers),
    #[component(name = "json")]
    Json(Texts),
    #[component(name = "object")]
    Object(Vec<u8>),
    #[component(name = "mixed")]
    Mixed(Vec<(u32, MixedCell)>),
}

#[derive(ComponentType, Lower, Debug)]
#[component(record)]
pub(super) struct Found {
    pub(super) groups: Vec<Texts>,
    pub(super) errors: Vec<(u32, String)>,
}

#[derive(ComponentType, Lower, Debug)]
#[component(record)]
pub(super) struct Replaced {
    pub(super) text: Vec<u8>,
    pub(super) places: Texts,
    pub(super) errors: Vec<(u32, String)>,
}

pub(super) type OtherColumn = (Vec<String>, Column);

#[derive(ComponentType, Lower)]
#[component(record)]
pub(super) struct Batch<'a> {
    pub(super) rows: u32,
    pub(super) text: &'a [u8],
    pub(super) columns: &'a [Column],
    pub(super) others: &'a [OtherColumn],
}

#[derive(ComponentType, Lift, Clone, Copy, Debug, PartialEq, Eq)]
#[component(enum)]
#[repr(u8)]
#[cfg_attr(not(any(test, feature = "fuzzing")), expect(dead_code, reason = "guests make them"))]
pub(super) enum Outcome {
    #[component(name = "matched")]
    Matched,
    #[component(name = "tagged")]
    Tagged,
    #[component(name = "failed")]
    Failed,
}

#[derive(ComponentType, Lift, Debug)]
#[component(record)]
pub(super) struct Verdict {
    pub(super) outcome: Outcome,
    pub(super) rows: Vec<u8>,
    pub(super) tags: Vec<String>,
    pub(super) reason: String,
}

#[derive(ComponentType, Lift, Debug)]
#[component(record)]
pub(super) struct Answer {
    pub(super) text: Vec<u8>,
    pub(super) sets: Vec<(u32, Column)>,
    pub(super) removes: Vec<(u32, Vec<u8>)>,
    pub(super) verdicts: Vec<Verdict>,
    pub(super) drops: Vec<u8>,
    pub(super) adds: Vec<u32>,
    #[component(name = "new-fields")]
    pub(super) new_fields: Vec<Vec<String>>,
}

impl Answer {
    /// How much it is, in bytes as they crossed the boundary, lists and texts with a word for each.
    pub(super) fn bytes(&self) -> u64 {
        let texts = |texts: &[String]| texts.iter().map(|text| text.len() + 8).sum::<usize>();
        let mut bytes = self.text.len() + self.drops.len() + 4 * self.adds.len();
        bytes += self.sets.iter().map(|(_, column)| 8 + column.bytes()).sum::<usize>();
        bytes += self.removes.iter().map(|(_, rows)| 8 + rows.len()).sum::<usize>();
        for verdict in &self.verdicts {
            bytes += 28 + verdict.rows.len() + verdict.reason.len() + texts(&verdict.tags);
        }
        bytes += self.new_fields.iter().map(|path| 8 + texts(path)).sum::<usize>();
        bytes as u64
    }
}

impl Column {
    fn bytes(&self) -> usize {
        match self {
            Column::Absent => 0,
            Column::Text(texts) | Column::Json(texts) => 4 * (texts.starts.len() + texts.lens.len()),
            Column::Integer(numbers) | Column::Boolean(numbers) | Column::Timestamp(numbers) => {
                8 * numbers.values.len() + numbers.present.len()
            }
            Column::Float(floats) => 8 * floats.values.len() + floats.present.len(),
            Column::Object(rows) => rows.len(),
            Column::Mixed(cells) => 24 * cells.len(),
        }
    }
}

#[derive(ComponentType, Lift, Clone, Copy, Debug, PartialEq, Eq)]
#[component(enum)]
#[repr(u8)]
#[cfg_attr(not(any(test, feature = "fuzzing")), expect(dead_code, reason = "guests make them"))]
pub(super) enum Extent {
    #[component(name = "one")]
    One,
    #[component(name = "whole")]
    Whole,
}

wasmtime::component::flags! {
    Access {
        #[component(name = "read")]
        const READ;
        #[component(name = "write")]
        const WRITE;
    }
}

#[derive(ComponentType, Lift, Debug)]
#[component(record)]
pub(super) struct Planned {
    pub(super) path: Vec<String>,
    pub(super) access: Access,
    pub(super) extent: Extent,
}

#[derive(ComponentType, Lift, Debug)]
#[component(record)]
pub(super) struct Plan {
    pub(super) fields: Vec<Planned>,
    pub(super) everything: Access,
    pub(super) stateful: bool,
    pub(super) steps: u32,
    #[component(name = "failure-tags")]
    pub(super) failure_tags: Vec<String>,
}

#[derive(ComponentType, Lower, Debug, Clone)]
#[component(record)]
pub(super) struct Environment {
    pub(super) timezone: String,
    pub(super) locale: String,
    #[component(name = "ecs-compatibility")]
    pub(super) ecs_compatibility: String,
    #[component(name = "common-options")]
    pub(super) common_options: bool,
}

#[derive(ComponentType, Lift, Debug)]
#[component(record)]
pub(super) struct Problem {
    pub(super) pointer: String,
    pub(super) message: String,
    pub(super) fix: String,
}

#[derive(ComponentType, Lift, Debug)]
#[component(record)]
pub(super) struct Manifest {
    pub(super) name: String,
    pub(super) version: String,
    pub(super) summary: String,
    #[component(name = "options-schema")]
    pub(super) options_schema: String,
    pub(super) manual: String,
    #[component(name = "state-version")]
    pub(super) state_version: u32,
}

#[derive(ComponentType, Lift, Clone, Copy, Debug)]
#[component(enum)]
#[repr(u8)]
#[expect(dead_code, reason = "guests make them")]
pub(super) enum Level {
    #[component(name = "debug")]
    Debug,
    #[component(name = "info")]
    Info,
    #[component(name = "warn")]
    Warn,
    #[component(name = "error")]
    Error,
}
