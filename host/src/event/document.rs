//! Writes events as JSON documents, straight from a batch's columns: no tree of values is built. What belongs to a batch
//! (which columns nest in which, their keys as JSON) is made once a batch. Where documents go is left to the outputs.

use std::io::Write;

use super::batch::{Batch, Cell, Kind};
use super::names::FieldId;
use weir_filter::Value;

/// The documents of a batch.
pub struct Documents<'b> {
    batch: &'b Batch,
    members: Vec<Member<'b>>,
    days: DayText,
}

/// A key on one level of the documents: a column, a map of further members, or, when rows differ in that, both.
struct Member<'b> {
    key: &'b str,
    /// `,"key":`
    json: Vec<u8>,
    /// The same, if it is short: a copy of a known length is a few instructions.
    short: [u8; SHORT_KEY],
    cells: &'b [Cell],
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
        let mut members = Vec::new();
        for id in batch.names().ids() {
            let Some(cells) = batch.column(id) else { continue };
            if wanted(batch, id) && cells.iter().any(|cell| !cell.is_absent()) {
                add_member(&mut members, batch.names().reference(id).fragments(), cells);
            }
        }
        Documents { batch, members, days: DayText::default() }
    }

    /// Writes a row's document, a JSON object without any line feed, at the end of `out`.
    pub fn write(&mut self, row: usize, out: &mut Vec<u8>) {
        let start = out.len();
        write_members(self.batch, &self.members, row, out, &mut self.days);
        // Every member brings a comma before it; the first one's is where the brace belongs.
        match out.get_mut(start) {
            Some(first) => *first = b'{',
            None => out.push(b'{'),
        }
        out.push(b'}');
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
        fields_of(self.batch, &self.members, row)
    }
}

fn add_member<'b>(members: &mut Vec<Member<'b>>, fragments: &'b [String], cells: &'b [Cell]) {
    let [key, rest @ ..] = fragments else { return };
    let place = members.iter().position(|member| member.key == key).unwrap_or_else(|| {
        let mut json = vec![b','];
        write_text(key, &mut json);
        json.push(b':');
        let mut short = [0; SHORT_KEY];
        if let Some(start) = short.get_mut(..json.len()) {
            start.copy_from_slice(&json);
        }
        members.push(Member { key, json, short, cells: &[], below: Vec::new() });
        members.len() - 1
    });
    let member = &mut members[place];
    if rest.is_empty() {
        member.cells = cells;
    } else {
        add_member(&mut member.below, rest, cells);
    }
}

fn fields_of<'b>(batch: &'b Batch, members: &[Member<'b>], row: usize) -> Vec<(&'b str, Node<'b>)> {
    let mut fields = Vec::new();
    for member in members {
        let cell = member.cells.get(row).copied().unwrap_or_default();
        if let Some(value) = batch.value_of(cell) {
            fields.push((member.key, Node::Value(value)));
        } else {
            let below = fields_of(batch, &member.below, row);
            if !below.is_empty() {
                fields.push((member.key, Node::Map(below)));
            }
        }
    }
    fields
}

impl Member<'_> {
    #[inline]
    fn write_key(&self, out: &mut Vec<u8>) {
        if self.json.len() <= SHORT_KEY {
            let end = out.len() + self.json.len();
            out.extend_from_slice(&self.short);
            out.truncate(end);
        } else {
            out.extend_from_slice(&self.json);
        }
    }
}

fn write_members(batch: &Batch, members: &[Member<'_>], row: usize, out: &mut Vec<u8>, days: &mut DayText) {
    for member in members {
        let cell = member.cells.get(row).copied().unwrap_or_default();
        if !cell.is_absent() {
            member.write_key(out);
            write_cell(batch, cell, out, days);
        } else if !member.below.is_empty() {
            let before = out.len();
            member.write_key(out);
            let start = out.len();
            write_members(batch, &member.below, row, out, days);
            if let Some(first) = out.get_mut(start) {
                *first = b'{';
                out.push(b'}');
            } else {
                out.truncate(before);
            }
        }
    }
}

#[inline]
fn write_cell(batch: &Batch, cell: Cell, out: &mut Vec<u8>, days: &mut DayText) {
    match cell.kind() {
        Kind::Text => write_text(batch.text_of(cell), out),
        Kind::Timestamp => {
            out.push(b'"');
            days.write(cell.number(), out);
            out.push(b'"');
        }
        Kind::Integer => write_integer(cell.number(), out),
        Kind::Float => write_float(f64::from_bits(cell.number().cast_unsigned()), out),
        Kind::Boolean => out.extend_from_slice(if cell.number() == 0 { b"false" } else { b"true" }),
        Kind::Json => write_json(batch.text_of(cell), out),
        Kind::Null | Kind::Absent => out.extend_from_slice(b"null"),
    }
}

/// JSON goes out as it is; a line feed, which JSON has only between its tokens, would tear a document that must be one line.
fn write_json(text: &str, out: &mut Vec<u8>) {
    let start = out.len();
    out.extend_from_slice(if text.is_empty() { b"null" } else { text.as_bytes() });
    if text.bytes().any(|byte| byte == b'\n' || byte == b'\r') {
        for byte in &mut out[start..] {
            if matches!(byte, b'\n' | b'\r') {
                *byte = b' ';
            }
        }
    }
}

fn write_integer(value: i64, out: &mut Vec<u8>) {
    let mut digits = [0_u8; 20];
    let mut start = digits.len();
    let mut rest = value.unsigned_abs();
    loop {
        start -= 1;
        digits[start] = b'0' + (rest % 10) as u8;
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    if value < 0 {
        out.push(b'-');
    }
    out.extend_from_slice(&digits[start..]);
}

/// The shortest text that reads back as the same float, never that of an integer; null for what JSON has no text for.
fn write_float(value: f64, out: &mut Vec<u8>) {
    // serde_json's text has these properties; writing to memory does not fail.
    if serde_json::to_writer(&mut *out, &value).is_err() {
        out.extend_from_slice(b"null");
    }
}

#[inline]
fn needs_escape(byte: u8) -> bool {
    byte < 0x20 || byte == b'"' || byte == b'\\'
}

/// Whether any of 16 bytes needs to be escaped; compiles to a few vector instructions.
#[inline]
fn any_needs_escape(bytes: &[u8; 16]) -> bool {
    bytes.iter().fold(false, |any, byte| any | needs_escape(*byte))
}

/// The same of the bytes of a word. (The usual tests for a byte below a bound and for one that is zero; they may see more
/// than there is above a byte that needs it, never less.)
#[inline]
fn word_needs_escape(word: u64) -> bool {
    const ONES: u64 = 0x0101_0101_0101_0101;
    const HIGH: u64 = ONES * 0x80;
    let is_zero = |word: u64| word.wrapping_sub(ONES) & !word & HIGH;
    let is_control = word.wrapping_sub(ONES * 0x20) & !word & HIGH;
    is_control | is_zero(word ^ (ONES * u64::from(b'"'))) | is_zero(word ^ (ONES * u64::from(b'\\'))) != 0
}

/// Writes text as a JSON string. Most has nothing to escape: it is looked at and copied at once, in pieces whose length
/// the compiler knows; the last piece may overlap the one before it.
#[inline]
pub fn write_text(text: &str, out: &mut Vec<u8>) {
    let bytes = text.as_bytes();
    out.reserve(bytes.len() + 16);
    out.push(b'"');
    let start = out.len();
    let mut any = false;
    if let Some(last) = bytes.last_chunk::<16>() {
        let (chunks, tail) = bytes.as_chunks::<16>();
        for chunk in chunks {
            any |= any_needs_escape(chunk);
            out.extend_from_slice(chunk);
        }
        if !tail.is_empty() {
            any |= any_needs_escape(last);
            out.truncate(start + bytes.len() - 16);
            out.extend_from_slice(last);
        }
    } else if let (Some(first), Some(last)) = (bytes.first_chunk::<8>(), bytes.last_chunk::<8>()) {
        any = word_needs_escape(u64::from_le_bytes(*first)) || word_needs_escape(u64::from_le_bytes(*last));
        out.extend_from_slice(first);
        out.truncate(start + bytes.len() - 8);
        out.extend_from_slice(last);
    } else {
        for byte in bytes {
            any |= needs_escape(*byte);
            out.push(*byte);
        }
    }
    if any {
        out.truncate(start);
        write_escaped(bytes, out);
    }
    out.push(b'"');
}

#[cold]
fn write_escaped(bytes: &[u8], out: &mut Vec<u8>) {
    let mut start = 0;
    for (index, byte) in bytes.iter().enumerate() {
        if !needs_escape(*byte) {
            continue;
        }
        out.extend_from_slice(&bytes[start..index]);
        start = index + 1;
        match byte {
            b'"' => out.extend_from_slice(b"\\\""),
            b'\\' => out.extend_from_slice(b"\\\\"),
            b'\n' => out.extend_from_slice(b"\\n"),
            b'\r' => out.extend_from_slice(b"\\r"),
            b'\t' => out.extend_from_slice(b"\\t"),
            0x08 => out.extend_from_slice(b"\\b"),
            0x0c => out.extend_from_slice(b"\\f"),
            // Writing to memory does not fail.
            other => drop(write!(out, "\\u{other:04x}")),
        }
    }
    out.extend_from_slice(&bytes[start..]);
}

const NANOSECONDS_PER_DAY: i64 = 86_400_000_000_000;

/// Writes a timestamp, nanoseconds since 1970, in Logstash's text form.
pub fn write_timestamp(nanoseconds: i64, out: &mut Vec<u8>) {
    DayText::default().write(nanoseconds, out);
}

/// Writes timestamps in Logstash's text form (UTC, `Z`, and 3, 6 or 9 decimals: the fewest that keep the value). The text
/// of the day last written is kept: most events of a batch are of one day.
#[derive(Default)]
struct DayText {
    day: i64,
    text: Vec<u8>,
}

impl DayText {
    fn write(&mut self, nanoseconds: i64, out: &mut Vec<u8>) {
        let day = nanoseconds.div_euclid(NANOSECONDS_PER_DAY);
        if self.text.is_empty() || self.day != day {
            self.text.clear();
            write_day(day, &mut self.text);
            self.day = day;
        }
        out.extend_from_slice(&self.text);
        let in_day = nanoseconds.rem_euclid(NANOSECONDS_PER_DAY).cast_unsigned();
        let (seconds, fraction) = ((in_day / 1_000_000_000) as u32, (in_day % 1_000_000_000) as u32);
        let two = |number: u32| [b'0' + (number / 10) as u8, b'0' + (number % 10) as u8];
        let [h1, h2] = two(seconds / 3600);
        let [m1, m2] = two(seconds / 60 % 60);
        let [s1, s2] = two(seconds % 60);
        let mut text = [h1, h2, b':', m1, m2, b':', s1, s2, b'.', 0, 0, 0, 0, 0, 0, 0, 0, 0];
        let mut rest = fraction;
        for digit in text[9..].iter_mut().rev() {
            *digit = b'0' + (rest % 10) as u8;
            rest /= 10;
        }
        let decimals = if fraction.is_multiple_of(1_000_000) {
            3
        } else if fraction.is_multiple_of(1000) {
            6
        } else {
            9
        };
        out.extend_from_slice(&text[..9 + decimals]);
        out.push(b'Z');
    }
}

/// `2020-02-23T`, of a day's number since 1970. (The algorithm is Howard Hinnant's `civil_from_days`.)
fn write_day(day: i64, out: &mut Vec<u8>) {
    let shifted = day + 719_468;
    let era = shifted.div_euclid(146_097);
    let day_of_era = shifted.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day_of_month = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    // Writing to memory does not fail.
    let _ = write!(out, "{year:04}-{month:02}-{day_of_month:02}T");
}

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
    fn texts_read_back_as_they_were() {
        let long = "long enough for several chunks, ".repeat(3);
        let controls: String = (0..0x80_u8).map(char::from).collect();
        let texts = ["", "plain", "a\"b\\c", "\n\t\r\u{1}\u{1f}\u{7f}", "ä€😀/", &long, &controls];
        for text in texts {
            for before in 0..17 {
                let text = format!("{}{text}", "x".repeat(before));
                let mut out = Vec::new();
                write_text(&text, &mut out);
                let read: String = serde_json::from_slice(&out).expect("it is JSON");
                assert_eq!(read, text);
                assert_eq!(out, serde_json::to_vec(&text).expect("a text can be written"), "{text:?}");
            }
        }
    }

    #[test]
    fn keys_are_escaped() {
        check(&[(&["a.b\"", "[x]"], Value::Integer(1))], r#"{"a.b\"":{"[x]":1}}"#);
    }

    #[test]
    fn timestamps_are_those_of_chrono() {
        let check = |nanoseconds: i64, days: &mut DayText| {
            let mut out = Vec::new();
            days.write(nanoseconds, &mut out);
            let time = chrono::DateTime::from_timestamp_nanos(nanoseconds);
            let decimals = match nanoseconds.rem_euclid(1_000_000_000) {
                n if n % 1_000_000 == 0 => chrono::SecondsFormat::Millis,
                n if n % 1000 == 0 => chrono::SecondsFormat::Micros,
                _ => chrono::SecondsFormat::Nanos,
            };
            assert_eq!(String::from_utf8_lossy(&out), time.to_rfc3339_opts(decimals, true));
        };
        let mut days = DayText::default();
        for nanoseconds in [0, 1, -1, 1_000, 1_000_000, i64::MIN, i64::MAX, 951_782_400_000_000_000] {
            check(nanoseconds, &mut days);
        }
        let mut state = 42_u64;
        for _ in 0..20_000 {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            check(state.cast_signed(), &mut days);
        }
    }

    #[test]
    fn floats_read_back_as_they_were() {
        let mut state = 7_u64;
        for _ in 0..20_000 {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let value = f64::from_bits(state);
            let mut out = Vec::new();
            write_float(value, &mut out);
            let text = String::from_utf8(out).expect("it is ASCII");
            if value.is_finite() {
                assert_eq!(text.parse::<f64>().map(f64::to_bits), Ok(value.to_bits()), "{text}");
                assert!(text.contains(['.', 'e', 'E']), "{text} reads as an integer");
            } else {
                assert_eq!(text, "null");
            }
        }
    }
}
