//! A line as a document, and the action before it.

use std::hint::black_box;

use anyhow::{Context, Result};
use chrono_tz::Tz;
use maxminddb::Reader;

use super::addresses::Addresses;
use super::times::Times;

/// Writes the documents of lines.
pub(crate) struct Writer<'d> {
    times: Times,
    addresses: Addresses<'d>,
    /// The members that all documents have, and the key of the message, which follows.
    beginning: Vec<u8>,
    actions: bool,
}

/// The keys of the words of a line, each with what stands before it. The time's word is not written.
const KEYS: [&str; 10] = [
    ",\"log_version\":\"",
    "",
    "\",\"hostzone_id\":\"",
    "\",\"query_name\":\"",
    "\",\"query_type\":\"",
    "\",\"response_code\":\"",
    "\",\"protocol\":\"",
    "\",\"edge_location\":\"",
    "\",\"resolver_ipaddress\":\"",
    "\",\"client_subnet\":\"",
];

impl<'d> Writer<'d> {
    /// For lines of the file at `path`; with `actions` there is a bulk action before each document.
    pub(crate) fn new(database: &'d Reader<Vec<u8>>, path: &str, actions: bool) -> Self {
        let path = serde_json::Value::from(path);
        let beginning = format!("{{\"@version\":\"1\",\"path\":{path},\"type\":\"route53\",\"message\":\"");
        Writer {
            times: Times::new(Tz::Asia__Tokyo),
            addresses: Addresses::new(database),
            beginning: beginning.into_bytes(),
            actions,
        }
    }

    pub(crate) fn begin_batch(&mut self) {
        self.addresses.begin_batch();
    }

    /// Appends the lines of an event.
    pub(crate) fn write(&mut self, line: &[u8], out: &mut Vec<u8>) -> Result<()> {
        let line = std::str::from_utf8(line)?.as_bytes();
        let words = split(line).context("it does not have ten words")?;
        let seconds = self.times.read(words[1]).context("its second word is no time")?;
        let id = murmur3(line);
        let day = self.times.day(seconds);
        if self.actions {
            out.extend_from_slice(b"{\"index\":{\"_index\":\"route53-");
            out.extend_from_slice(day);
            out.extend_from_slice(b"\",\"_id\":\"");
            write_number(id, out);
            out.extend_from_slice(b"\"}}\n");
        } else {
            black_box((id, day));
        }
        out.extend_from_slice(&self.beginning);
        // What the line has nothing of, none of its words has.
        let plain =
            line.iter().fold(true, |plain, byte| plain & (*byte >= 0x20 && *byte != b'"' && *byte != b'\\'));
        write_text(line, plain, out);
        out.extend_from_slice(b"\",\"@timestamp\":\"");
        self.times.write(seconds, out);
        out.push(b'"');
        for (key, word) in KEYS.iter().zip(words) {
            if !key.is_empty() {
                out.extend_from_slice(key.as_bytes());
                write_text(word, plain, out);
            }
        }
        out.push(b'"');
        out.extend_from_slice(self.addresses.members(words[8])?);
        out.extend_from_slice(b"}\n");
        Ok(())
    }
}

/// The ten words of a line; what follows the ninth space is the last one.
fn split(line: &[u8]) -> Option<[&[u8]; 10]> {
    let mut words: [&[u8]; 10] = [&[]; 10];
    let mut start = 0;
    let mut spaces = memchr::memchr_iter(b' ', line);
    for word in &mut words[..9] {
        let end = spaces.next()?;
        *word = &line[start..end];
        start = end + 1;
    }
    words[9] = &line[start..];
    Some(words)
}

/// A text inside quotes.
fn write_text(text: &[u8], plain: bool, out: &mut Vec<u8>) {
    if plain {
        out.extend_from_slice(text);
        return;
    }
    for byte in text {
        match byte {
            b'"' | b'\\' => out.extend_from_slice(&[b'\\', *byte]),
            0..0x20 => out.extend_from_slice(format!("\\u{byte:04x}").as_bytes()),
            _ => out.push(*byte),
        }
    }
}

fn write_number(mut number: u32, out: &mut Vec<u8>) {
    let mut digits = [0; 10];
    let mut start = digits.len();
    loop {
        start -= 1;
        digits[start] = b'0' + (number % 10) as u8;
        number /= 10;
        if number == 0 {
            break;
        }
    }
    out.extend_from_slice(&digits[start..]);
}

/// MurmurHash3, 32 bits, seed 0 (Appleby, public domain).
fn murmur3(bytes: &[u8]) -> u32 {
    let mix = |block: u32| block.wrapping_mul(0xcc9e_2d51).rotate_left(15).wrapping_mul(0x1b87_3593);
    let mut hash = 0_u32;
    let (blocks, rest) = bytes.as_chunks::<4>();
    for block in blocks {
        hash = (hash ^ mix(u32::from_le_bytes(*block)))
            .rotate_left(13)
            .wrapping_mul(5)
            .wrapping_add(0xe654_6b64);
    }
    if !rest.is_empty() {
        let mut last = [0; 4];
        last[..rest.len()].copy_from_slice(rest);
        hash ^= mix(u32::from_le_bytes(last));
    }
    hash ^= bytes.len() as u32;
    hash = (hash ^ (hash >> 16)).wrapping_mul(0x85eb_ca6b);
    hash = (hash ^ (hash >> 13)).wrapping_mul(0xc2b2_ae35);
    hash ^ (hash >> 16)
}
