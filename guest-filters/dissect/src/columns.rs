//! The usual mapping, by column: each part is skipped or becomes a field of its own. All rows of a block go through one part
//! before any goes through the next, so that delimiter and column stay the same in the inner loop. Rows whose text is not cut
//! up here (it does not match, or is no text) are left to the filter, which looks at each of them alone.

use weir_filter::{Column, Events, Field, RowMask, Texts, Value};

use crate::one_byte::Ends;
use crate::pattern::{Kind, Pattern};
use crate::scan;

/// The length that says that a row has no text.
const NO_TEXT: u32 = u32::MAX;

/// Rows that go through a part together: their text stays in the processor's nearest cache meanwhile.
pub(crate) const BLOCK: usize = 128;

/// The parts of a mapping and where each goes.
#[derive(Debug)]
pub(crate) struct Cutter {
    source: Field,
    leading: Vec<u8>,
    parts: Vec<CutPart>,
    /// What every part but the last ends with, if it is the same byte, and only once.
    only_byte: Option<u8>,
    /// The fields, in the order of their columns.
    fields: Vec<Field>,
}

#[derive(Debug)]
struct CutPart {
    /// What ends the part; none: it is the last, and takes the rest.
    end: Option<Vec<u8>>,
    /// What may stand several times before it begins.
    repeated: Vec<u8>,
    /// The number of its column; none: it is skipped.
    column: Option<usize>,
}

/// How far a row has been cut up: places in the batch's text.
#[derive(Clone, Copy)]
pub(crate) struct Cursor {
    pub(crate) begin: usize,
    /// Where the next part begins; past `end`: the row is not cut up here.
    pub(crate) left: usize,
    pub(crate) end: usize,
}

pub(crate) const NOT_CUT: Cursor = Cursor { begin: 0, left: usize::MAX, end: 0 };

impl Cutter {
    /// A cutter for a mapping that stores these parts (each with its number in the pattern); none if one of them needs more
    /// than its own text.
    pub(crate) fn new(source: Field, pattern: &Pattern, stored: &[(usize, Field)]) -> Option<Cutter> {
        // Without a part nothing matches.
        if pattern.parts.is_empty() {
            return None;
        }
        let mut fields: Vec<Field> = Vec::with_capacity(stored.len());
        for (_, field) in stored {
            if fields.contains(field) {
                return None;
            }
            fields.push(*field);
        }
        let mut parts = Vec::with_capacity(pattern.parts.len());
        for (index, part) in pattern.parts.iter().enumerate() {
            if matches!(part.kind, Kind::Append | Kind::Indirect) {
                return None;
            }
            let before = index.checked_sub(1).and_then(|before| pattern.parts.get(before));
            let repeated = match before {
                Some(before) if before.greedy => part.delimiter.clone().into_bytes(),
                _ => Vec::new(),
            };
            let end = pattern.parts.get(index + 1).map(|next| next.delimiter.clone().into_bytes());
            // Nothing between two parts never matches.
            if end.as_ref().is_some_and(Vec::is_empty) {
                return None;
            }
            let column = stored.iter().position(|(number, _)| *number == index);
            parts.push(CutPart { end, repeated, column });
        }
        let leading = pattern.leading.clone().into_bytes();
        Some(Cutter { source, leading, only_byte: only_byte(&parts), parts, fields })
    }

    /// Cuts up what it can, and sets the fields of these rows, which it answers.
    pub(crate) fn run(&self, events: &mut Events<'_>) -> RowMask {
        let rows = events.len();
        let none = RowMask::none(rows);
        let Some(source) = events.texts(self.source) else { return none };
        if !self.fields.iter().all(|field| events.is_independent(*field, Value::Text(""))) {
            return none;
        }
        let text = events.text().as_bytes();
        let mut columns: Vec<Texts> = Vec::with_capacity(self.fields.len());
        columns.resize_with(self.fields.len(), || Texts { starts: vec![0; rows], lens: vec![0; rows] });
        let mut skipped = Texts { starts: vec![0; BLOCK], lens: vec![0; BLOCK] };
        let mut ends = Ends::new(if self.only_byte.is_some() { self.parts.len() } else { 0 });
        let mut cut = RowMask::all(rows);
        for first in (0..rows).step_by(BLOCK) {
            let block = first..rows.min(first + BLOCK);
            let mut cursors = [NOT_CUT; BLOCK];
            let places = source.starts.iter().zip(&source.lens).skip(first);
            for (cursor, (start, length)) in cursors.iter_mut().zip(places) {
                *cursor = self.enter(text, *start, *length);
            }
            if let Some(byte) = self.only_byte {
                ends.find(text, &mut cursors, byte);
            }
            let cursors = &mut cursors[..block.len()];
            for (number, part) in self.parts.iter().enumerate() {
                let (column, range) = match part.column {
                    Some(column) => (&mut columns[column], block.clone()),
                    None => (&mut skipped, 0..block.len()),
                };
                let (starts, lens) = (&mut column.starts[range.clone()], &mut column.lens[range]);
                match self.only_byte {
                    Some(_) => ends.write(number, cursors, starts, lens),
                    None => part.cut(text, cursors, starts, lens),
                }
            }
            for (row, cursor) in block.zip(cursors) {
                if cursor.left > cursor.end {
                    cut.remove(row);
                    for column in &mut columns {
                        column.lens[row] = NO_TEXT;
                    }
                }
            }
        }
        if !cut.is_empty() {
            for (field, column) in self.fields.iter().zip(columns) {
                events.set_column(*field, Column::Text(column));
            }
        }
        cut
    }

    /// The text of a row, after what it must begin with.
    fn enter(&self, text: &[u8], start: u32, length: u32) -> Cursor {
        let begin = start as usize;
        let end = begin.checked_add(length as usize).filter(|_| length != NO_TEXT && length > 0);
        match end.and_then(|end| text.get(begin..end)) {
            // Asked first, as a comparison of nothing is a call too.
            Some(row) if self.leading.is_empty() || row.starts_with(&self.leading) => {
                Cursor { begin, left: begin + self.leading.len(), end: begin + row.len() }
            }
            _ => NOT_CUT,
        }
    }
}

/// What all parts but the last end with, if it is one byte that stands there once.
fn only_byte(parts: &[CutPart]) -> Option<u8> {
    let (last, others) = parts.split_last()?;
    let [byte] = others.first()?.end.as_deref()? else { return None };
    let alike = others.iter().all(|part| part.end.as_deref() == Some(&[*byte]) && part.repeated.is_empty());
    (alike && last.repeated.is_empty()).then_some(*byte)
}

impl CutPart {
    /// Cuts the part off what is left of each row, and answers its places.
    fn cut(&self, text: &[u8], cursors: &mut [Cursor], starts: &mut [u32], lens: &mut [u32]) {
        if !self.repeated.is_empty() {
            for cursor in cursors.iter_mut() {
                while let Some(rest) = text.get(cursor.left..cursor.end)
                    && rest.starts_with(&self.repeated)
                {
                    cursor.left += self.repeated.len();
                }
            }
        }
        let places = starts.iter_mut().zip(lens);
        let Some(delimiter) = &self.end else {
            for (cursor, (start, length)) in cursors.iter().zip(places) {
                *start = cursor.left as u32;
                *length = cursor.end.wrapping_sub(cursor.left) as u32;
            }
            return;
        };
        for (cursor, (start, length)) in cursors.iter_mut().zip(places) {
            let Some(end) = scan::find(text, cursor.left, cursor.end, delimiter) else {
                *cursor = NOT_CUT;
                continue;
            };
            *start = cursor.left as u32;
            *length = (end - cursor.left) as u32;
            // As in Logstash, a delimiter at the very beginning is not stepped over.
            if end > cursor.begin {
                cursor.left = end + delimiter.len();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value as Json, json};
    use weir_filter::Environment;
    use weir_filter::test::run_all;

    use crate::Dissect;

    /// Every event becomes by column what it becomes when it is looked at alone: that is where a number makes its columns
    /// mixed ones.
    fn check(options: &Json, messages: &[Json]) {
        let mut events: Vec<Json> =
            messages.iter().map(|message| json!({ "message": message, "kept": 1 })).collect();
        events.push(json!({ "kept": "no message" }));
        let run =
            |events: &[Json]| run_all::<Dissect>(options, &Environment::default(), events).expect("options");
        let number = json!({ "message": 1.5, "b": 1.5 });
        let alone: Vec<String> =
            events.iter().map(|event| format!("{:?}", run(&[event.clone(), number.clone()])[0])).collect();
        // More than a block.
        let many: Vec<Json> = events.iter().cycle().take(super::BLOCK + 20).cloned().collect();
        for (index, found) in run(&many).iter().enumerate() {
            let expected = &alone[index % events.len()];
            assert_eq!(&format!("{found:?}"), expected, "{} with {options}", many[index]);
        }
    }

    #[test]
    fn a_batch_is_its_events() {
        let texts = [
            "1 2 3",
            "x  y z w",
            " a b c",
            "a b",
            "",
            "é ü ß",
            "1 2 3 and a tail that is longer than a vector",
        ];
        let texts: Vec<Json> = texts.into_iter().map(Json::from).collect();
        let mut others = texts.clone();
        others.extend([json!(12), json!(null), json!(["a b c"]), json!({ "a": "b c d" }), json!(true)]);
        for pattern in [
            "%{a} %{b} %{c}",
            " %{a} %{} %{c}",
            "%{a};",
            "%{a}",
            "%{a->} %{b} %{?c} %{d}",
            "%{} %{message} %{c}",
            "1 %{a} %{b}",
            "%{a} %{a} %{b}",
            "%{a} %{+a} %{b}",
            "%{?a} %{&a} %{b}",
            "%{a} %{[kept][b]} %{[c][d]}",
            "%{[c]} %{[c][d]} %{e}",
            "%{tags} %{@timestamp} %{[@metadata][x]}",
            "%{a}  %{b};",
            "%{a}é%{b}",
            "%{a}%{b}",
            "abc}",
        ] {
            let options = json!({ "mapping": { "message": pattern } });
            check(&options, &texts);
            check(&options, &others);
            let options = json!({
                "mapping": { "message": pattern, "b": "%{f} %{g}" },
                "convert_datatype": { "a": "int" },
            });
            check(&options, &others);
        }
    }
}
