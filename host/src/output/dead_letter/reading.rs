//! Reads dead letters: one after the other, each verified; lines that cannot be read are told with their place and do not
//! hide the others. Reading takes no lock and changes nothing.

use std::fmt;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::str::FromStr;

use anyhow::{Context, Result};

use super::folder::{Segment, segments};
use super::letter::DeadLetter;
use super::marks::Marks;

/// Where a letter lies in its folder.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct LetterId {
    /// Its segment's number.
    pub segment: u64,
    /// Where in the segment its line begins.
    pub offset: u64,
}

impl fmt::Display for LetterId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.segment, self.offset)
    }
}

impl FromStr for LetterId {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let numbers = text.split_once(':').and_then(|(segment, offset)| {
            Some(LetterId { segment: segment.parse().ok()?, offset: offset.parse().ok()? })
        });
        numbers.ok_or_else(|| format!("{text:?} is no letter; write SEGMENT:OFFSET as `weir dlq list` does"))
    }
}

/// A letter and where it was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FoundLetter {
    /// Where it lies.
    pub id: LetterId,
    /// Its line's checksum.
    pub checksum: u32,
    /// Whether it was replayed or removed.
    pub is_done: bool,
    /// The pipeline that set the event aside.
    pub pipeline: String,
    /// The letter.
    pub letter: DeadLetter,
}

/// A line of a segment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Line {
    /// A letter that is whole.
    Letter(FoundLetter),
    /// One that is not.
    Damaged {
        /// Where it lies.
        id: LetterId,
        /// What is wrong with it.
        reason: String,
    },
}

/// Which letters are asked for. The default is all that are not done with.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LetterFilter {
    /// Of this filter or output.
    pub plugin: Option<String>,
    /// With this text in the reason.
    pub reason: Option<String>,
    /// Set aside at this time or later (nanoseconds since 1970).
    pub since: Option<i64>,
    /// Set aside before this time.
    pub until: Option<i64>,
    /// These letters only, unless it is empty.
    pub ids: Vec<LetterId>,
}

impl LetterFilter {
    /// Whether a letter is asked for.
    pub fn takes(&self, found: &FoundLetter) -> bool {
        let letter = &found.letter;
        !found.is_done
            && self.plugin.as_ref().is_none_or(|plugin| *plugin == letter.plugin)
            && self.reason.as_ref().is_none_or(|reason| letter.reason.contains(reason.as_str()))
            && self.since.is_none_or(|since| letter.time >= since)
            && self.until.is_none_or(|until| letter.time < until)
            && (self.ids.is_empty() || self.ids.contains(&found.id))
    }
}

/// All lines of a folder, oldest first; those that are appended meanwhile may be left out.
///
/// # Errors
/// When the folder cannot be read.
pub fn read_folder(folder: &Path) -> Result<impl Iterator<Item = Result<Line>> + use<>> {
    let mut lines = Vec::new();
    for segment in segments(folder)? {
        let marks = Marks::read(&segment.path.with_extension("done"))?;
        lines.push((segment, marks));
    }
    Ok(lines.into_iter().flat_map(|(segment, marks)| {
        let (read, error) = match read_segment(&segment, &marks) {
            Ok(read) => (Some(read), None),
            Err(error) => (None, Some(Err(error))),
        };
        error.into_iter().chain(read.into_iter().flatten())
    }))
}

/// The lines of one segment, up to the length that it had when it was listed. One that a removal took meanwhile has none.
pub(super) fn read_segment(segment: &Segment, marks: &Marks) -> Result<SegmentLines> {
    let file = match File::open(&segment.path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
        file => Some(file.with_context(|| format!("cannot open {}", segment.path.display()))?),
    };
    Ok(SegmentLines {
        reader: file.map(BufReader::new),
        segment: segment.clone(),
        marks: marks.clone(),
        offset: 0,
    })
}

/// Reads a segment line by line.
pub(super) struct SegmentLines {
    reader: Option<BufReader<File>>,
    segment: Segment,
    marks: Marks,
    offset: u64,
}

impl Iterator for SegmentLines {
    type Item = Result<Line>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.offset >= self.segment.bytes {
            return None;
        }
        let id = LetterId { segment: self.segment.number, offset: self.offset };
        let mut bytes = Vec::new();
        match self.reader.as_mut()?.read_until(b'\n', &mut bytes) {
            Ok(0) => return None,
            Ok(length) => self.offset += length as u64,
            Err(error) => {
                self.reader = None;
                let path = self.segment.path.display();
                return Some(Err(error).with_context(|| format!("cannot read {path} at {}", id.offset)));
            }
        }
        if bytes.last() != Some(&b'\n') {
            let reason =
                "it was left half written, by a crash most likely; it was never acknowledged".to_owned();
            return Some(Ok(Line::Damaged { id, reason }));
        }
        let read = std::str::from_utf8(&bytes).context("it is not UTF-8").and_then(DeadLetter::from_line);
        Some(Ok(match read {
            Err(error) => Line::Damaged { id, reason: format!("{error:#}") },
            Ok(line) => Line::Letter(FoundLetter {
                id,
                checksum: line.checksum,
                is_done: self.marks.has(id.offset, line.checksum),
                pipeline: line.pipeline,
                letter: line.letter,
            }),
        }))
    }
}
