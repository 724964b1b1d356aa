//! A dead letter and its line. A line is a JSON object whose last member, `"crc32"`, is the CRC-32 (IEEE; 8 lower-case
//! hexadecimal digits) of all the line's bytes before `,"crc32":`, so that each line can be verified alone. Where lines
//! lie is left to `folder`.

use anyhow::{Context, Result, bail};
use chrono::{DateTime, SecondsFormat};
use serde_json::Value as Json;

use crate::event::Identity;

/// What stands before a line's checksum.
const TAIL: &str = ",\"crc32\":\"";

/// An event that was set aside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeadLetter {
    /// When, in nanoseconds since 1970. A line keeps milliseconds.
    pub time: i64,
    /// The filter or output that could not do its work.
    pub plugin: String,
    /// Why, in a sentence.
    pub reason: String,
    /// Who the event is; zero if it has no identity.
    pub identity: Identity,
    /// The event as a JSON object, `@metadata` included, as it was before that filter or output.
    pub event: String,
}

/// A line as it was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReadLine {
    /// The pipeline that set the event aside.
    pub pipeline: String,
    /// The letter. The event's text is as it was written.
    pub letter: DeadLetter,
    /// The line's checksum.
    pub checksum: u32,
}

impl DeadLetter {
    /// Writes the letter as a line, its end included.
    pub fn write_line(&self, pipeline: &str, lines: &mut Vec<u8>) {
        let start = lines.len();
        let time = DateTime::from_timestamp_nanos(self.time).to_rfc3339_opts(SecondsFormat::Millis, true);
        let identity = if self.identity == 0 { Json::Null } else { format!("{:032x}", self.identity).into() };
        let text = |text: &str| Json::from(text).to_string();
        // An event is one line of JSON already; a line feed between its tokens would tear the line.
        let event = self.event.replace(['\n', '\r'], " ");
        let head = format!(
            r#"{{"time":"{time}","pipeline":{},"plugin":{},"reason":{},"identity":{identity},"event":{event}"#,
            text(pipeline),
            text(&self.plugin),
            text(&self.reason),
        );
        lines.extend_from_slice(head.as_bytes());
        let checksum = checksum(&lines[start..]);
        lines.extend_from_slice(format!("{TAIL}{checksum:08x}\"}}\n").as_bytes());
    }

    /// Reads a line.
    ///
    /// # Errors
    /// When the checksum does not fit, or a member is missing or of the wrong kind.
    pub fn from_line(line: &str) -> Result<ReadLine> {
        let line = line.trim_end_matches('\n');
        let end = line.rfind(TAIL).context("it has no checksum at its end")?;
        let (head, tail) = (&line[..end], &line[end + TAIL.len()..]);
        let checksum = checksum(head.as_bytes());
        if tail.strip_suffix("\"}") != Some(&format!("{checksum:08x}")) {
            bail!("its checksum does not fit: it was changed or torn");
        }
        #[derive(serde::Deserialize)]
        struct Line<'a> {
            time: String,
            pipeline: String,
            plugin: String,
            reason: String,
            identity: Option<String>,
            #[serde(borrow)]
            event: &'a serde_json::value::RawValue,
        }
        let object = format!("{head}}}");
        let line: Line<'_> = serde_json::from_str(&object).context("it is not as weir writes it")?;
        let time = DateTime::parse_from_rfc3339(&line.time).context("its time is not RFC 3339")?;
        let identity = match line.identity {
            None => 0,
            Some(text) => Identity::from_str_radix(&text, 16).context("its identity is not hexadecimal")?,
        };
        let letter = DeadLetter {
            time: time.timestamp_nanos_opt().context("its time is out of range")?,
            plugin: line.plugin,
            reason: line.reason,
            identity,
            event: line.event.get().to_owned(),
        };
        Ok(ReadLine { pipeline: line.pipeline, letter, checksum })
    }
}

fn checksum(bytes: &[u8]) -> u32 {
    let mut crc = flate2::Crc::new();
    crc.update(bytes);
    crc.sum()
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(in crate::output::dead_letter) fn letter(reason: &str) -> DeadLetter {
        DeadLetter {
            time: 1_700_000_000_123_000_000,
            plugin: "elasticsearch#1".into(),
            reason: reason.into(),
            identity: 0xabc,
            event: r#"{"message":"a,\"crc32\":\"x","n":1.0}"#.into(),
        }
    }

    #[test]
    fn a_line_comes_back_as_it_was() {
        let mut line = Vec::new();
        letter("a \"reason\"\n").write_line("p", &mut line);
        let line = String::from_utf8(line).expect("it is text");
        assert_eq!(line.matches('\n').count(), 1);
        let read = DeadLetter::from_line(&line).expect("it was just written");
        assert_eq!((read.pipeline.as_str(), read.letter), ("p", letter("a \"reason\"\n")));
        for place in 0..line.len() - 1 {
            let mut bytes = line.clone().into_bytes();
            bytes[place] ^= 1;
            let Ok(changed) = String::from_utf8(bytes) else { continue };
            assert!(DeadLetter::from_line(&changed).is_err(), "a changed byte at {place} was not seen");
        }
    }
}
