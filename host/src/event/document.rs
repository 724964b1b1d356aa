//! Writes events as JSON documents, straight from a batch's columns: no tree of values is built. What belongs to a batch
//! (which columns nest in which, their keys as JSON) is made once a batch. Where documents go is left to the outputs.

use super::batch::{Batch, Cell};
use super::json_values::{Values, put, put_first, write_text};
use super::names::FieldId;
use weir_filter::Value;

/// The documents of a batch.
pub struct Documents<'b> {
    batch: &'b Batch,
    members: Vec<Member<'b>>,
    columns: Vec<&'b [Cell]>,
    block: Block,
    values: Values<'b>,
    /// Where a document is written (see `json_values`).
    page: Vec<u8>,
}

/// The bytes of the first page; documents of some tens of fields fit.
const FIRST_PAGE: usize = 4096;

/// The cells of some rows that follow each other, row by row. A row's cells lie in as many places of the memory as it has
/// columns, more than a processor foresees: read one by one they took half the time of writing documents.
#[derive(Default)]
struct Block {
    first: usize,
    rows: usize,
    width: usize,
    cells: Vec<Cell>,
}

/// Rows of a block: with some tens of columns it is within the processor's nearest cache.
const BLOCK_ROWS: usize = 32;

/// A key on one level of the documents: a column, a map of further members, or, when rows differ in that, both.
struct Member<'b> {
    key: &'b str,
    /// `,"key":`
    json: Vec<u8>,
    /// The same, if it is short: a copy of a known length is a few instructions.
    short: [u8; SHORT_KEY],
    /// The number of its column, if any row has a value here.
    column: Option<usize>,
    below: Vec<Member<'b>>,
}

/// The longest key, with its quotes, comma and colon, that is copied in the short way.
const SHORT_KEY: usize = 32;

/// A field of one row, for outputs that print events in another form than JSON.
#[derive(Debug, PartialEq)]
pub enum Node<'b> {
    /// One value.
    Value(Value<'b>),
    /// A map with at least one member.
    Map(Vec<(&'b str, Node<'b>)>),
}

impl<'b> Documents<'b> {
    /// The documents as they are stored: without `@metadata`. Keys come in the order of the batch's field numbers.
    pub fn new(batch: &'b Batch) -> Self {
        Documents::of_fields(batch, |batch, id| !batch.names().reference(id).is_metadata())
    }

    /// The whole events, `@metadata` included.
    pub fn with_metadata(batch: &'b Batch) -> Self {
        Documents::of_fields(batch, |_, _| true)
    }

    fn of_fields(batch: &'b Batch, wanted: impl Fn(&Batch, FieldId) -> bool) -> Self {
        let (mut members, mut columns) = (Vec::new(), Vec::new());
        for id in batch.names().ids() {
            let Some(cells) = batch.column(id) else { continue };
            if wanted(batch, id) && cells.iter().any(|cell| !cell.is_absent()) {
                add_member(&mut members, batch.names().reference(id).fragments(), columns.len());
                columns.push(cells);
            }
        }
        Documents {
            batch,
            members,
            columns,
            block: Block::default(),
            values: Values::of(batch),
            page: Vec::new(),
        }
    }

    /// Writes a row's document, a JSON object without any line feed, at the end of `out`.
    pub fn write(&mut self, row: usize, out: &mut Vec<u8>) {
        let Documents { members, columns, block, values, page, .. } = self;
        let cells = block.row(columns, row);
        let end = loop {
            match put_map(members, cells, page, 0, values) {
                Some(end) => break end,
                None => page.resize(FIRST_PAGE.max(2 * page.len()), 0),
            }
        };
        out.extend_from_slice(page.get(..end).unwrap_or_default());
    }

    /// A row's document as text.
    pub fn text(&mut self, row: usize) -> String {
        let mut out = Vec::new();
        self.write(row, &mut out);
        // Keys, texts and JSON cells are UTF-8, and all else is ASCII.
        String::from_utf8(out).unwrap_or_default()
    }

    /// A row's fields.
    pub fn fields(&self, row: usize) -> Vec<(&'b str, Node<'b>)> {
        fields_of(self.batch, &self.columns, &self.members, row)
    }
}

fn add_member<'b>(members: &mut Vec<Member<'b>>, fragments: &'b [String], column: usize) {
    let [key, rest @ ..] = fragments else { return };
    let place = members.iter().position(|member| member.key == key).unwrap_or_else(|| {
        let mut json = vec![b','];
        write_text(key, &mut json);
        json.push(b':');
        let mut short = [0; SHORT_KEY];
        if let Some(start) = short.get_mut(..json.len()) {
            start.copy_from_slice(&json);
        }
        members.push(Member { key, json, short, column: None, below: Vec::new() });
        members.len() - 1
    });
    let member = &mut members[place];
    if rest.is_empty() {
        member.column = Some(column);
    } else {
        add_member(&mut member.below, rest, column);
    }
}

fn fields_of<'b>(
    batch: &'b Batch,
    columns: &[&[Cell]],
    members: &[Member<'b>],
    row: usize,
) -> Vec<(&'b str, Node<'b>)> {
    let mut fields = Vec::new();
    for member in members {
        let cells = member.column.and_then(|column| columns.get(column));
        let cell = cells.and_then(|cells| cells.get(row)).copied().unwrap_or_default();
        if let Some(value) = batch.value_of(cell) {
            fields.push((member.key, Node::Value(value)));
        } else {
            let below = fields_of(batch, columns, &member.below, row);
            if !below.is_empty() {
                fields.push((member.key, Node::Map(below)));
            }
        }
    }
    fields
}

impl Block {
    /// A row's cells.
    #[inline]
    fn row(&mut self, columns: &[&[Cell]], row: usize) -> &[Cell] {
        if row.checked_sub(self.first).is_none_or(|number| number >= self.rows) {
            self.fill(columns, row);
        }
        let start = (row - self.first) * self.width;
        self.cells.get(start..start + self.width).unwrap_or_default()
    }

    fn fill(&mut self, columns: &[&[Cell]], first: usize) {
        (self.first, self.rows, self.width) = (first, BLOCK_ROWS, columns.len());
        self.cells.clear();
        self.cells.resize(self.rows * self.width, Cell::ABSENT);
        for (number, column) in columns.iter().enumerate() {
            let column = column.get(first..).unwrap_or_default();
            let places = self.cells.iter_mut().skip(number).step_by(self.width.max(1));
            for (place, cell) in places.zip(column) {
                *place = *cell;
            }
        }
    }
}

impl Member<'_> {
    #[inline]
    fn put_key(&self, page: &mut [u8], at: usize) -> Option<usize> {
        match self.json.len() {
            length @ ..=SHORT_KEY => put_first(&self.short, length, page, at),
            _ => put(&self.json, page, at),
        }
    }
}

/// Puts a map with at least its braces. `cells` are a row's, by the number of the column.
fn put_map(
    members: &[Member<'_>],
    cells: &[Cell],
    page: &mut [u8],
    start: usize,
    values: &mut Values<'_>,
) -> Option<usize> {
    let mut at = start;
    for member in members {
        let cell = member.column.and_then(|column| cells.get(column)).copied().unwrap_or_default();
        if !cell.is_absent() {
            at = member.put_key(page, at)?;
            at = values.put(cell, page, at)?;
        } else if !member.below.is_empty() {
            let map = member.put_key(page, at)?;
            let end = put_map(&member.below, cells, page, map, values)?;
            // One without members is left out.
            if end > map + EMPTY_MAP {
                at = end;
            }
        }
    }
    // Every member brings a comma before it; the first one's is where the brace belongs.
    *page.get_mut(start)? = b'{';
    put(b"}", page, at.max(start + 1))
}

/// The length of `{}`.
const EMPTY_MAP: usize = 2;

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::event::FieldReference;

    fn set(batch: &mut Batch, row: usize, path: &[&str], value: Value<'_>) {
        let field = batch.intern(&FieldReference::from_fragments(path.iter().copied()));
        let cell = batch.cell_for(value);
        batch.column_mut(field)[row] = cell;
    }

    fn check(fields: &[(&[&str], Value<'_>)], expected: &str) {
        let mut batch = Batch::new(Arc::default(), 1);
        for (path, value) in fields {
            set(&mut batch, 0, path, *value);
        }
        assert_eq!(Documents::new(&batch).text(0), expected);
    }

    #[test]
    fn values() {
        check(&[], "{}");
        check(&[(&["a"], Value::Null), (&["b"], Value::Boolean(true))], r#"{"a":null,"b":true}"#);
        check(
            &[(&["a"], Value::Integer(i64::MIN)), (&["b"], Value::Integer(0))],
            r#"{"a":-9223372036854775808,"b":0}"#,
        );
        check(&[(&["a"], Value::Float(1.0)), (&["b"], Value::Float(0.1))], r#"{"a":1.0,"b":0.1}"#);
        check(
            &[(&["a"], Value::Float(f64::NAN)), (&["b"], Value::Float(f64::INFINITY))],
            r#"{"a":null,"b":null}"#,
        );
        check(
            &[(&["a"], Value::Json("[1,\n {\"b\":\"\\n\"}]")), (&["b"], Value::Object)],
            r#"{"a":[1,  {"b":"\n"}],"b":{}}"#,
        );
        check(
            &[(&["@timestamp"], Value::Timestamp(1_582_477_721_000_000_000))],
            r#"{"@timestamp":"2020-02-23T17:08:41.000Z"}"#,
        );
    }

    #[test]
    fn maps_nest_and_empty_ones_are_left_out() {
        check(
            &[
                (&["a", "x"], Value::Integer(1)),
                (&["b"], Value::Integer(2)),
                (&["a", "y", "z"], Value::Integer(3)),
            ],
            r#"{"a":{"x":1,"y":{"z":3}},"b":2}"#,
        );
        let mut batch = Batch::new(Arc::default(), 3);
        set(&mut batch, 0, &["a", "b", "c"], Value::Integer(1));
        set(&mut batch, 1, &["a", "b"], Value::Integer(2));
        set(&mut batch, 2, &["@metadata", "x"], Value::Text("secret"));
        let mut documents = Documents::new(&batch);
        assert_eq!(documents.text(0), r#"{"a":{"b":{"c":1}}}"#);
        assert_eq!(documents.text(1), r#"{"a":{"b":2}}"#);
        assert_eq!(documents.text(2), "{}");
        assert_eq!(Documents::with_metadata(&batch).text(2), r#"{"@metadata":{"x":"secret"}}"#);
    }

    #[test]
    fn a_document_of_any_length_is_written() {
        for length in (0..300).chain([4_000, 4_070, 4_096, 5_000, 100_000]) {
            let text = "ä\"".repeat(length);
            let mut batch = Batch::new(Arc::default(), 2);
            set(&mut batch, 1, &["k", "l"], Value::Text(&text));
            set(&mut batch, 1, &["m"], Value::Integer(1));
            let mut documents = Documents::new(&batch);
            assert_eq!(documents.text(0), "{}");
            let expected = serde_json::json!({"k": {"l": text}, "m": 1}).to_string();
            assert!(documents.text(1) == expected, "of {length} letters");
            let mut out = b"before ".to_vec();
            documents.write(1, &mut out);
            assert!(out == format!("before {expected}").as_bytes(), "of {length} letters");
        }
    }

    #[test]
    fn keys_are_escaped() {
        check(&[(&["a.b\"", "[x]"], Value::Integer(1))], r#"{"a.b\"":{"[x]":1}}"#);
    }
}
