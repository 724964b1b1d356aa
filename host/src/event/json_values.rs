//! Values as JSON text: what a cell of each kind looks like in a document. Where members and maps go is left to `document`.
//!
//! A document is written onto a *page*: bytes that are there already, of which it uses the first. Each piece is put at a
//! place and answers where the next one begins, or `None` if it does not fit; then the document is begun again on a larger
//! page. A document has a hundred pieces, and telling a `Vec` of each one took half of the time of writing them.

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

    /// Puts a cell's value; an absent one is null.
    #[inline]
    pub(super) fn put(&mut self, cell: Cell, page: &mut [u8], at: usize) -> Option<usize> {
        match cell.kind() {
            Kind::Text => {
                let (buffer, start, length) = cell.place();
                let text = self.texts.get(buffer as usize).copied().unwrap_or_default();
                put_part(text, start as usize, length as usize, page, at)
            }
            Kind::Timestamp => {
                let at = put(b"\"", page, at)?;
                let at = put(self.days.text(cell.number()).as_bytes(), page, at)?;
                put(b"\"", page, at)
            }
            Kind::Integer => put(Digits::of(cell.number()).as_bytes(), page, at),
            Kind::Float => self.floats.put(f64::from_bits(cell.number().cast_unsigned()), page, at),
            Kind::Boolean => put(if cell.number() == 0 { b"false" } else { b"true" }, page, at),
            Kind::Json => {
                let (buffer, start, length) = cell.place();
                let text = self.texts.get(buffer as usize).copied().unwrap_or_default();
                put_json(part(text, start as usize, length as usize), page, at)
            }
            Kind::Null | Kind::Absent => put(b"null", page, at),
        }
    }
}

/// Puts bytes as they are.
#[inline]
pub(super) fn put(bytes: &[u8], page: &mut [u8], at: usize) -> Option<usize> {
    let end = at + bytes.len();
    page.get_mut(at..end)?.copy_from_slice(bytes);
    Some(end)
}

/// Puts the first `length` of `N` bytes: a copy of a known length is a few instructions. The others may follow on the page.
#[inline]
pub(super) fn put_first<const N: usize>(
    bytes: &[u8; N],
    length: usize,
    page: &mut [u8],
    at: usize,
) -> Option<usize> {
    *page.get_mut(at..)?.first_chunk_mut::<N>()? = *bytes;
    Some(at + length)
}

/// A place in a text, as `Batch::text_of` reads it.
#[inline]
fn part(text: &str, start: usize, length: usize) -> &str {
    text.get(start..start + length).unwrap_or_default()
}

/// How many bytes of a short text are looked at and copied at once, whatever its length.
const WINDOW: usize = 32;

/// Puts a part of a text as a JSON string. Most are short and have text after them: such a one is looked at and copied
/// with what follows, which the next piece covers. No branch depends on the length, which no processor foresees.
#[inline]
fn put_part(text: &str, start: usize, length: usize, page: &mut [u8], at: usize) -> Option<usize> {
    let window = text.as_bytes().get(start..).and_then(|rest| rest.first_chunk::<WINDOW>());
    match window {
        Some(window)
            if length <= WINDOW
                && text.is_char_boundary(start)
                && text.is_char_boundary(start + length)
                && !window_needs_escape(window, length) =>
        {
            let room = page.get_mut(at..)?.first_chunk_mut::<{ WINDOW + 2 }>()?;
            room[0] = b'"';
            room[1..=WINDOW].copy_from_slice(window);
            room[length + 1] = b'"';
            Some(at + length + 2)
        }
        _ => put_text(part(text, start, length), page, at),
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

/// Puts a text as a JSON string.
fn put_text(text: &str, page: &mut [u8], at: usize) -> Option<usize> {
    let bytes = text.as_bytes();
    let at = put(b"\"", page, at)?;
    let at = if text_needs_escape(bytes) {
        let mut escaped = Vec::with_capacity(bytes.len() + 16);
        write_escaped(bytes, &mut escaped);
        put(&escaped, page, at)?
    } else {
        put(bytes, page, at)?
    };
    put(b"\"", page, at)
}

/// JSON goes out as it is; a line feed, which JSON has only between its tokens, would tear a document that must be one line.
fn put_json(text: &str, page: &mut [u8], at: usize) -> Option<usize> {
    let end = put(if text.is_empty() { b"null" } else { text.as_bytes() }, page, at)?;
    if memchr2(b'\n', b'\r', text.as_bytes()).is_some() {
        for byte in page.get_mut(at..end)? {
            if matches!(byte, b'\n' | b'\r') {
                *byte = b' ';
            }
        }
    }
    Some(end)
}

/// A number's text, at the end of the bytes.
struct Digits {
    bytes: [u8; 20],
    start: usize,
}

impl Digits {
    fn of(value: i64) -> Self {
        let mut digits = Digits { bytes: [0; 20], start: 20 };
        let mut rest = value.unsigned_abs();
        loop {
            digits.push_before(b'0' + (rest % 10) as u8);
            rest /= 10;
            if rest == 0 {
                break;
            }
        }
        if value < 0 {
            digits.push_before(b'-');
        }
        digits
    }

    /// 64 bits have at most 19 digits and a sign.
    fn push_before(&mut self, byte: u8) {
        self.start = self.start.saturating_sub(1);
        self.bytes[self.start] = byte;
    }

    fn as_bytes(&self) -> &[u8] {
        &self.bytes[self.start..]
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
    fn put(&mut self, value: f64, page: &mut [u8], at: usize) -> Option<usize> {
        if self.slots.is_empty() {
            self.slots.resize(FLOAT_SLOTS, FloatText::default());
        }
        let bits = value.to_bits();
        // The high bits of a product depend on all bits.
        let slot = (bits.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 56) as usize;
        // `None` would say that the page is too small, and nothing else.
        let Some(kept) = self.slots.get_mut(slot) else { return FloatText::of(value).put(page, at) };
        if kept.length == 0 || kept.bits != bits {
            *kept = FloatText::of(value);
        }
        kept.put(page, at)
    }
}

impl FloatText {
    /// The shortest text that reads back as the same float, never that of an integer; null for what JSON has no text for.
    fn of(value: f64) -> Self {
        let mut text = [0; LONGEST_FLOAT];
        let mut rest = &mut text[..];
        // serde_json's text has these properties, and fits.
        let written = serde_json::to_writer(&mut rest, &value).map(|()| LONGEST_FLOAT - rest.len());
        let length = written.unwrap_or_else(|_| {
            text[..4].copy_from_slice(b"null");
            4
        }) as u8;
        FloatText { bits: value.to_bits(), length, text }
    }

    fn put(&self, page: &mut [u8], at: usize) -> Option<usize> {
        put_first(&self.text, usize::from(self.length), page, at)
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

/// Whether any byte needs to be escaped: in pieces whose length the compiler knows, of which the last may overlap the one
/// before it.
#[inline]
fn text_needs_escape(bytes: &[u8]) -> bool {
    if let Some(last) = bytes.last_chunk::<16>() {
        let (chunks, _) = bytes.as_chunks::<16>();
        chunks.iter().fold(any_needs_escape(last), |any, chunk| any | any_needs_escape(chunk))
    } else if let (Some(first), Some(last)) = (bytes.first_chunk::<8>(), bytes.last_chunk::<8>()) {
        word_needs_escape(u64::from_le_bytes(*first)) || word_needs_escape(u64::from_le_bytes(*last))
    } else {
        bytes.iter().fold(false, |any, byte| any | needs_escape(*byte))
    }
}

/// Writes text as a JSON string.
#[inline]
pub fn write_text(text: &str, out: &mut Vec<u8>) {
    let bytes = text.as_bytes();
    out.reserve(bytes.len() + 2);
    out.push(b'"');
    if text_needs_escape(bytes) {
        write_escaped(bytes, out);
    } else {
        out.extend_from_slice(bytes);
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
    out.extend_from_slice(DayText::default().text(nanoseconds).as_bytes());
}

/// Timestamps in Logstash's text form (UTC, `Z`, and 3, 6 or 9 decimals: the fewest that keep the value). The text of the
/// day last written is kept: most events of a batch are of one day.
#[derive(Default)]
struct DayText {
    day: i64,
    text: Vec<u8>,
}

/// A timestamp's text.
struct TimeText {
    bytes: [u8; LONGEST_TIME],
    length: usize,
}

/// `1677-09-21T00:12:43.145224192Z`: 64 bits of nanoseconds reach no year with more digits.
const LONGEST_TIME: usize = 32;

impl TimeText {
    fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..self.length).unwrap_or_default()
    }

    #[inline]
    fn push(&mut self, bytes: &[u8]) {
        if let Some(room) = self.bytes.get_mut(self.length..self.length + bytes.len()) {
            room.copy_from_slice(bytes);
            self.length += bytes.len();
        }
    }
}

impl DayText {
    fn text(&mut self, nanoseconds: i64) -> TimeText {
        let day = nanoseconds.div_euclid(NANOSECONDS_PER_DAY);
        if self.text.is_empty() || self.day != day {
            self.text.clear();
            write_day(day, &mut self.text);
            self.day = day;
        }
        let mut time = TimeText { bytes: [0; LONGEST_TIME], length: 0 };
        time.push(&self.text);
        let in_day = nanoseconds.rem_euclid(NANOSECONDS_PER_DAY).cast_unsigned();
        let (seconds, fraction) = ((in_day / 1_000_000_000) as u32, (in_day % 1_000_000_000) as u32);
        let two = |number: u32| [b'0' + (number / 10) as u8, b'0' + (number % 10) as u8];
        let [h1, h2] = two(seconds / 3600);
        let [m1, m2] = two(seconds / 60 % 60);
        let [s1, s2] = two(seconds % 60);
        time.push(&[h1, h2, b':', m1, m2, b':', s1, s2, b'.']);
        let (mut rest, decimals) = match fraction {
            whole if whole.is_multiple_of(1_000_000) => (whole / 1_000_000, 3),
            whole if whole.is_multiple_of(1000) => (whole / 1000, 6),
            whole => (whole, 9),
        };
        let mut digits = [0; 9];
        for digit in digits[..decimals].iter_mut().rev() {
            *digit = b'0' + (rest % 10) as u8;
            rest /= 10;
        }
        time.push(&digits[..decimals]);
        time.push(b"Z");
        time
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
                    let whole = format!("ab{text}{after}");
                    let mut page = vec![b'-'; out.len() + WINDOW + 3];
                    let end = put_part(&whole, 2, text.len(), &mut page, 1);
                    assert_eq!(end, Some(1 + out.len()), "{text:?} before {after:?}");
                    assert_eq!(page[1..=out.len()], out, "{text:?} before {after:?}");
                    for room in 0..=out.len() {
                        assert_eq!(put_part(&whole, 2, text.len(), &mut page[..room], 1), None);
                    }
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
            let out = days.text(nanoseconds).as_bytes().to_vec();
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
            let mut page = [0; 2 * LONGEST_FLOAT];
            let first = floats.put(value, &mut page, 0).expect("there is room");
            let second = floats.put(value, &mut page, first).expect("there is room");
            assert_eq!(page[..first], page[first..second], "{value}");
            assert_eq!(floats.put(value, &mut page, LONGEST_FLOAT + 1), None);
            let text = String::from_utf8(page[..first].to_vec()).expect("it is ASCII");
            if value.is_finite() {
                assert_eq!(text.parse::<f64>().map(f64::to_bits), Ok(value.to_bits()), "{text}");
                assert!(text.contains(['.', 'e', 'E']), "{text} reads as an integer");
            } else {
                assert_eq!(text, "null");
            }
        }
    }
}
