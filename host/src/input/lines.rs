//! Cutting a stream of bytes into lines, straight into the text of the batch that they become. Where the bytes come from
//! and what the events are like is left to `file` and `stdin`.

use std::io::{ErrorKind, Read, Result};
use std::sync::atomic::Ordering;

use memchr::memchr;

use super::InputCounters;
use crate::event::Cell;

/// How many bytes are asked of a source at a time.
const CHUNK_BYTES: usize = 64 << 10;
/// A batch is full when its text has this many bytes, however few its lines are.
const BATCH_BYTES: usize = 4 << 20;

/// Lines that will be a batch.
pub(super) struct Lines {
    text: Vec<u8>,
    rows: Vec<Line>,
    batch_size: usize,
}

/// A line in the text of [`Lines`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Line {
    start: usize,
    length: usize,
    /// Where the line begins in its stream.
    pub(super) offset: u64,
    /// Whether its end was cut off.
    pub(super) cut: bool,
}

impl Lines {
    pub(super) fn new(batch_size: usize) -> Self {
        Lines { text: Vec::with_capacity(4 * CHUNK_BYTES), rows: Vec::with_capacity(batch_size), batch_size }
    }

    pub(super) fn rows(&self) -> &[Line] {
        &self.rows
    }

    /// A line as it was read.
    pub(super) fn bytes(&self, line: &Line) -> &[u8] {
        self.text.get(line.start..line.start + line.length).unwrap_or_default()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    pub(super) fn is_full(&self) -> bool {
        self.is_full_at(self.text.len())
    }

    /// Whether the batch is full, of whose text the bytes from `end` on are no part.
    fn is_full_at(&self, end: usize) -> bool {
        self.rows.len() >= self.batch_size || end >= BATCH_BYTES
    }

    /// The text, and a cell in it for every line. What is not UTF-8 is replaced by U+FFFD, and counted by the line.
    pub(super) fn into_text(self, counters: &InputCounters) -> (String, Vec<Cell>) {
        match String::from_utf8(self.text) {
            Ok(text) => {
                let cells = self.rows.iter().map(|row| cell(row.start, row.length)).collect();
                (text, cells)
            }
            Err(error) => {
                let bytes = error.as_bytes();
                let mut text = String::with_capacity(bytes.len() + bytes.len() / 8);
                let mut cells = Vec::with_capacity(self.rows.len());
                let mut invalid = 0;
                for row in &self.rows {
                    let start = text.len();
                    let line = bytes.get(row.start..row.start + row.length).unwrap_or_default();
                    for chunk in line.utf8_chunks() {
                        text.push_str(chunk.valid());
                        if !chunk.invalid().is_empty() {
                            text.push(char::REPLACEMENT_CHARACTER);
                        }
                    }
                    invalid += u64::from(std::str::from_utf8(line).is_err());
                    cells.push(cell(start, text.len() - start));
                }
                counters.invalid_utf8.fetch_add(invalid, Ordering::Relaxed);
                (text, cells)
            }
        }
    }

    /// A line, without its line feed. Whether it is cut depends on nothing but itself, so that it is the same when it
    /// is read again.
    fn push(&mut self, start: usize, end: usize, offset: u64, max_line_bytes: usize) {
        let carriage_return = end > start && self.text[end - 1] == b'\r';
        let mut length = end - start - usize::from(carriage_return);
        let cut = length > max_line_bytes;
        if cut {
            length = character_boundary(&self.text, start, start + max_line_bytes) - start;
        }
        self.rows.push(Line { start, length, offset, cut });
    }
}

/// The text of a batch is far below 4 GiB: `BATCH_BYTES` and one line.
fn cell(start: usize, length: usize) -> Cell {
    Cell::text(0, u32::try_from(start).unwrap_or(u32::MAX), u32::try_from(length).unwrap_or(0))
}

/// What [`LineCutter::fill`] ended with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Filled {
    /// The batch is full.
    Full,
    /// The source has nothing more now.
    Empty,
}

/// The place in a stream of lines, between batches.
#[derive(Debug)]
pub(super) struct LineCutter {
    /// What was read of the stream and is in no batch.
    carry: Vec<u8>,
    /// Where the carry begins in the stream.
    offset: u64,
    /// The line that is being read is too long: all up to its end is left out.
    skipping: bool,
    max_line_bytes: usize,
}

impl LineCutter {
    /// `offset` is where the stream's next byte lies, at the beginning of a line.
    pub(super) fn new(offset: u64, max_line_bytes: usize) -> Self {
        LineCutter { carry: Vec::new(), offset, skipping: false, max_line_bytes }
    }

    /// Leaves out all up to the next line feed.
    pub(super) fn skip_line(&mut self) {
        self.skipping = true;
    }

    /// Whether what comes next belongs to a line that is left out from here on.
    pub(super) fn is_skipping(&self) -> bool {
        self.skipping
    }

    /// Where the next line begins: everything before is in a batch.
    pub(super) fn offset(&self) -> u64 {
        self.offset
    }

    /// Where the stream's next byte lies.
    pub(super) fn read_to(&self) -> u64 {
        self.offset + self.carry.len() as u64
    }

    /// Moves lines from the source into the batch until that is full or the source has nothing more.
    pub(super) fn fill(&mut self, source: &mut dyn Read, lines: &mut Lines) -> Result<Filled> {
        let mut line = lines.text.len();
        lines.text.append(&mut self.carry);
        let mut scanned = line;
        loop {
            while let Some(distance) = memchr(b'\n', &lines.text[scanned..]) {
                let end = scanned + distance;
                if self.skipping {
                    self.skipping = false;
                } else {
                    lines.push(line, end, self.offset, self.max_line_bytes);
                }
                self.offset += (end + 1 - line) as u64;
                line = end + 1;
                scanned = line;
                if lines.is_full_at(line) {
                    self.carry = lines.text.split_off(line);
                    return Ok(Filled::Full);
                }
            }
            scanned = lines.text.len();
            if self.skipping {
                self.offset += (scanned - line) as u64;
                lines.text.truncate(line);
                scanned = line;
            } else if scanned - line > self.max_line_bytes + 1 {
                // One more than the limit may be the carriage return of a line that is just long enough.
                let end = character_boundary(&lines.text, line, line + self.max_line_bytes);
                lines.rows.push(Line { start: line, length: end - line, offset: self.offset, cut: true });
                self.offset += (scanned - line) as u64;
                lines.text.truncate(end);
                self.skipping = true;
                line = end;
                scanned = end;
                if lines.is_full_at(line) {
                    return Ok(Filled::Full);
                }
            }
            let before = lines.text.len();
            lines.text.resize(before + CHUNK_BYTES, 0);
            let read = loop {
                match source.read(&mut lines.text[before..]) {
                    Err(error) if error.kind() == ErrorKind::Interrupted => {}
                    read => break read,
                }
            };
            lines.text.truncate(before + read.as_ref().map_or(0, |count| (*count).min(CHUNK_BYTES)));
            if !matches!(read, Ok(1..)) {
                self.carry = lines.text.split_off(line);
                return read.map(|_| Filled::Empty);
            }
        }
    }

    /// At the end of a stream that gets no more: what is left is a line too.
    pub(super) fn finish(&mut self, lines: &mut Lines) {
        if self.carry.is_empty() {
            return;
        }
        let start = lines.text.len();
        lines.text.append(&mut self.carry);
        let end = lines.text.len();
        lines.push(start, end, self.offset, self.max_line_bytes);
        self.offset += (end - start) as u64;
    }
}

/// The last place up to `end` at which no character is cut.
fn character_boundary(text: &[u8], start: usize, end: usize) -> usize {
    let is_continuation = |at: usize| text.get(at).is_some_and(|byte| byte & 0xc0 == 0x80);
    let mut boundary = end;
    while boundary > start && end - boundary < 3 && is_continuation(boundary) {
        boundary -= 1;
    }
    if is_continuation(boundary) { end } else { boundary }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Cuts `text` with batches of `batch_size`, reading `step` bytes at a time; lines with their offsets.
    fn cut(text: &[u8], batch_size: usize, step: usize, max_line_bytes: usize) -> Vec<(String, u64, bool)> {
        struct Steps<'a>(&'a [u8], usize);
        impl Read for Steps<'_> {
            fn read(&mut self, buffer: &mut [u8]) -> Result<usize> {
                let count = self.0.len().min(self.1).min(buffer.len());
                buffer[..count].copy_from_slice(&self.0[..count]);
                self.0 = &self.0[count..];
                Ok(count)
            }
        }
        let counters = InputCounters::default();
        let mut source = Steps(text, step);
        let mut cutter = LineCutter::new(0, max_line_bytes);
        let mut found = Vec::new();
        loop {
            let mut lines = Lines::new(batch_size);
            let filled = cutter.fill(&mut source, &mut lines).expect("the source does not fail");
            if filled == Filled::Empty {
                cutter.finish(&mut lines);
            }
            let rows = lines.rows().to_vec();
            assert!(rows.len() <= batch_size + 1);
            let (text, cells) = lines.into_text(&counters);
            for (row, cell) in rows.iter().zip(cells) {
                let (_, start, length) = cell.place();
                let line = text[start as usize..(start + length) as usize].to_owned();
                found.push((line, row.offset, row.cut));
            }
            if filled == Filled::Empty {
                assert_eq!(cutter.offset(), cutter.read_to());
                return found;
            }
        }
    }

    fn check(text: &[u8], max_line_bytes: usize, expected: &[(&str, u64, bool)]) {
        let expected: Vec<_> = expected.iter().map(|(line, at, cut)| (line.to_string(), *at, *cut)).collect();
        for batch_size in [1, 2, 1000] {
            for step in [1, 3, 7, 100_000] {
                let found = cut(text, batch_size, step, max_line_bytes);
                assert_eq!(found, expected, "batches of {batch_size}, steps of {step}");
            }
        }
    }

    #[test]
    fn lines_end_with_the_line_feed_or_the_stream() {
        check(b"", 1024, &[]);
        check(b"a\nbc\n", 1024, &[("a", 0, false), ("bc", 2, false)]);
        check(
            b"a\r\n\r\n\nlast",
            1024,
            &[("a", 0, false), ("", 3, false), ("", 5, false), ("last", 6, false)],
        );
        check("ä\nß".as_bytes(), 1024, &[("ä", 0, false), ("ß", 3, false)]);
        check(b"a\rb\n", 1024, &[("a\rb", 0, false)]);
    }

    #[test]
    fn bytes_that_are_no_text_are_replaced() {
        check(
            b"ok\n\xff\xfebad\xc3\nok\n",
            1024,
            &[("ok", 0, false), ("\u{fffd}\u{fffd}bad\u{fffd}", 3, false), ("ok", 10, false)],
        );
    }

    #[test]
    fn long_lines_are_cut_between_characters() {
        let lines = [("ab", 0, false), ("12345", 3, true), ("x", 14, false)];
        check(b"ab\n1234567890\nx\n", 5, &lines);
        check("ääääääääää\nx".as_bytes(), 5, &[("ää", 0, true), ("x", 21, false)]);
        check(
            b"12345\r\n123456\r\n12345",
            5,
            &[("12345", 0, false), ("12345", 7, true), ("12345", 15, false)],
        );
    }

    #[test]
    fn a_line_of_a_megabyte_passes() {
        let long = "x".repeat(1 << 20);
        let found = cut(format!("{long}\nshort\n").as_bytes(), 1000, 100_000, 2 << 20);
        assert_eq!(found, [(long, 0, false), ("short".to_owned(), (1 << 20) + 1, false)]);
    }
}
