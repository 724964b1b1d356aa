//! Values as JSON text: what a cell of each kind looks like in a document. Where members and maps go is left to `document`.

use std::io::Write;

use memchr::memchr2;

use super::batch::{Batch, Cell, Kind};

/// What it takes to write a batch's cells.
pub(super) struct Values<'b> {
    /// The batch's texts by number, without the two steps that lie between.
    texts: Vec<&'b str>,
    days: DayText,
    floats: FloatTexts,
}

impl<'b> Values<'b> {
    /// For the cells of a batch.
    pub(super) fn of(batch: &'b Batch) -> Self {
        let texts = batch.texts().iter().map(|text| text.as_str()).collect();
        Values { texts, days: DayText::default(), floats: FloatTexts::default() }
    }

    /// Writes a cell's value; an absent one is null.
    #[inline]
    pub(super) fn write(&mut self, cell: Cell, out: &mut Vec<u8>) {
        match cell.kind() {
            Kind::Text => {
                let (buffer, start, length) = cell.place();
                let text = self.texts.get(buffer as usize).copied().unwrap_or_default();
                write_part(text, start as usize, length as usize, out);
            }
            Kind::Timestamp => {
                out.push(b'"');
                self.days.write(cell.number(), out);
                out.push(b'"');
            }
            Kind::Integer => write_integer(cell.number(), out),
            Kind::Float => self.floats.write(f64::from_bits(cell.number().cast_unsigned()), out),
            Kind::Boolean => out.extend_from_slice(if cell.number() == 0 { b"false" } else { b"true" }),
            Kind::Json => {
                let (buffer, start, length) = cell.place();
                let text = self.texts.get(buffer as usize).copied().unwrap_or_default();
                write_json(part(text, start as usize, length as usize), out);
            }
            Kind::Null | Kind::Absent => out.extend_from_slice(b"null"),
        }
    }
}

/// A place in a text, as `Batch::text_of` reads it.
#[inline]
fn part(text: &str, start: usize, length: usize) -> &str {
    text.get(start..start + length).unwrap_or_default()
}

/// How many bytes of a short text are looked at and copied at once, whatever its length.
const WINDOW: usize = 32;

/// Writes a part of a text as a JSON string. Most are short and have text after them: such a one is looked at and copied
/// with what follows, and what is too much is cut off again. No branch depends on the length, which no processor foresees.
#[inline]
fn write_part(text: &str, start: usize, length: usize, out: &mut Vec<u8>) {
    let window = text.as_bytes().get(start..).and_then(|rest| rest.first_chunk::<WINDOW>());
    match window {
        Some(window)
            if length <= WINDOW
                && text.is_char_boundary(start)
                && text.is_char_boundary(start + length)
                && !window_needs_escape(window, length) =>
        {
            out.push(b'"');
            let end = out.len() + length;
            out.extend_from_slice(window);
            out.truncate(end);
            out.push(b'"');
        }
        _ => write_text(part(text, start, length), out),
    }
}

/// Whether any of the first `length` bytes needs to be escaped; compiles to a few vector instructions.
#[inline]
fn window_needs_escape(window: &[u8; WINDOW], length: usize) -> bool {
    let mut any = false;
    for (index, byte) in window.iter().enumerate() {
        any |= needs_escape(*byte) & ((index as u8) < length as u8);
    }
    any
}

/// JSON goes out as it is; a line feed, which JSON has only between its tokens, would tear a document that must be one line.
fn write_json(text: &str, out: &mut Vec<u8>) {
    let start = out.len();
    out.extend_from_slice(if text.is_empty() { b"null" } else { text.as_bytes() });
    if memchr2(b'\n', b'\r', text.as_bytes()).is_some() {
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

/// Texts of floats written lately: a place's coordinates are in several fields of an event, and places repeat.
#[derive(Default)]
struct FloatTexts {
    /// A float has one slot, by its bits; empty until the first is written.
    slots: Vec<FloatText>,
}

#[derive(Clone, Copy, Default)]
struct FloatText {
    bits: u64,
    /// 0: nothing yet.
    length: u8,
    text: [u8; LONGEST_FLOAT],
}

/// `-1.7976931348623157e308` and the like have up to 24 letters.
const LONGEST_FLOAT: usize = 24;

const FLOAT_SLOTS: usize = 256;

impl FloatTexts {
    fn write(&mut self, value: f64, out: &mut Vec<u8>) {
        if self.slots.is_empty() {
            self.slots.resize(FLOAT_SLOTS, FloatText::default());
        }
        let bits = value.to_bits();
        // The high bits of a product depend on all bits.
        let slot = (bits.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 56) as usize;
        let Some(kept) = self.slots.get_mut(slot) else { return write_float(value, out) };
        if kept.length == 0 || kept.bits != bits {
            let start = out.len();
            write_float(value, out);
            let written = out.get(start..).unwrap_or_default();
            if let Some(text) = kept.text.get_mut(..written.len()) {
                text.copy_from_slice(written);
                (kept.bits, kept.length) = (bits, written.len() as u8);
            }
            return;
        }
        let end = out.len() + usize::from(kept.length);
        out.extend_from_slice(&kept.text);
        out.truncate(end);
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
    use super::*;

    #[test]
    fn texts_read_back_as_they_were() {
        let long = "long enough for several chunks, ".repeat(3);
        let controls: String = (0..0x80_u8).map(char::from).collect();
        let texts = [
            "",
            "plain",
            "a\"b\\c",
            "at its end \"",
            "\\",
            "\n\t\r\u{1}\u{1f}\u{7f}",
            "ä€😀/",
            &long,
            &controls,
        ];
        for text in texts {
            for before in 0..17 {
                let text = format!("{}{text}", "x".repeat(before));
                let mut out = Vec::new();
                write_text(&text, &mut out);
                for after in ["", "y", &"\"".repeat(40)] {
                    let mut part = Vec::new();
                    write_part(&format!("ab{text}{after}"), 2, text.len(), &mut part);
                    assert_eq!(part, out, "{text:?} before {after:?}");
                }
                let read: String = serde_json::from_slice(&out).expect("it is JSON");
                assert_eq!(read, text);
                assert_eq!(out, serde_json::to_vec(&text).expect("a text can be written"), "{text:?}");
            }
        }
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
        let mut floats = FloatTexts::default();
        let mut state = 7_u64;
        for _ in 0..20_000 {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let value = f64::from_bits(state);
            let mut out = Vec::new();
            write_float(value, &mut out);
            let mut kept = Vec::new();
            floats.write(value, &mut kept);
            floats.write(value, &mut kept);
            assert_eq!(kept, [out.clone(), out.clone()].concat());
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
