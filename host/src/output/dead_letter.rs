//! Dead letters: events that can never be stored, or that broke a filter, set aside with the reason. They lie in files of
//! NDJSON that only the service can read; listing and replaying them is left to the command `dlq`, which reads lines with
//! [`DeadLetter::from_line`].
//!
//! A folder holds segments `000000000001.ndjson`, `000000000002.ndjson` …; the last one grows until it is
//! `segment_bytes` long. Who reads or removes segments holds an exclusive lock of the file `lock` in the folder while it
//! does so. A line is a JSON object whose last member, `"crc32"`, is the CRC-32 (IEEE; 8 lower-case hexadecimal digits) of
//! all the line's bytes before `,"crc32":`.

use std::fs::{self, File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use chrono::{DateTime, SecondsFormat};
use serde_json::Value as Json;
use tokio::sync::Mutex;
use tokio_util::sync::CancellationToken;

use super::Delivery;
use super::retry::{Retry, RetryWaits, Waiting};
use crate::event::Identity;

/// An event that was set aside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeadLetter {
    /// When, in nanoseconds since 1970.
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

/// Where a pipeline's dead letters go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DeadLetterPlace {
    /// Into segments in a folder.
    Folder(PathBuf),
    /// To stderr, a line each: for trying things out.
    Stderr,
    /// Nowhere: the user said that what cannot be stored is to be dropped.
    Off,
}

/// How much a folder of dead letters may hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DeadLetterLimits {
    /// A segment that is longer gets no more lines.
    pub segment_bytes: u64,
    /// All segments together. When they are longer, the line waits until some are removed.
    pub total_bytes: u64,
    /// The waits for room, and after a failed write.
    pub waits: RetryWaits,
}

impl Default for DeadLetterLimits {
    fn default() -> Self {
        let waits = RetryWaits { initial: Duration::from_secs(1), max: Duration::from_secs(16) };
        DeadLetterLimits { segment_bytes: 16 << 20, total_bytes: 1 << 30, waits }
    }
}

/// The dead letters of one pipeline.
pub struct DeadLetters {
    pipeline: String,
    place: Place,
    limits: DeadLetterLimits,
    waiting: Arc<Waiting>,
    stop: CancellationToken,
}

enum Place {
    /// The lock keeps one write at a time.
    Folder(Mutex<()>, PathBuf),
    Stderr,
    Off,
}

impl DeadLetters {
    /// Opens the place. A folder is made if it is missing (mode 0700).
    ///
    /// # Errors
    /// When the folder cannot be made.
    pub fn open(
        place: DeadLetterPlace,
        limits: DeadLetterLimits,
        pipeline: &str,
        waiting: Arc<Waiting>,
        stop: CancellationToken,
    ) -> Result<Self> {
        let place = match place {
            DeadLetterPlace::Folder(folder) => {
                fs::DirBuilder::new().recursive(true).mode(0o700).create(&folder).with_context(|| {
                    format!(
                        "cannot make the folder of dead letters {}; set dead_letter in [output]",
                        folder.display()
                    )
                })?;
                Place::Folder(Mutex::new(()), folder)
            }
            DeadLetterPlace::Stderr => Place::Stderr,
            DeadLetterPlace::Off => Place::Off,
        };
        Ok(DeadLetters { pipeline: pipeline.to_owned(), place, limits, waiting, stop })
    }

    /// Whether letters are dropped instead of kept.
    pub fn is_off(&self) -> bool {
        matches!(self.place, Place::Off)
    }

    /// Sets letters aside; they are on disk when this answers. Answers how many were kept (`dead_lettered`) or, where the
    /// user turned dead letters off, dropped. Waits while the folder is full or cannot be written.
    ///
    /// # Errors
    /// [`super::NotAcknowledged`] when a stop was asked for while it waited.
    pub async fn write(&self, letters: Vec<DeadLetter>) -> Result<Delivery> {
        let count = letters.len() as u64;
        let kept = Delivery { dead_lettered: count, ..Delivery::default() };
        if letters.is_empty() {
            return Ok(kept);
        }
        let (lock, folder) = match &self.place {
            Place::Off => return Ok(Delivery { dropped: count, ..Delivery::default() }),
            Place::Stderr => {
                let lines = lines_of(&letters, &self.pipeline);
                // Nothing better can be done where stderr is closed.
                let _ = tokio::task::spawn_blocking(move || std::io::stderr().lock().write_all(&lines)).await;
                return Ok(kept);
            }
            Place::Folder(lock, folder) => (lock, folder),
        };
        let _one_at_a_time = lock.lock().await;
        let lines = Arc::new(lines_of(&letters, &self.pipeline));
        let mut retry = Retry::new("dead_letter", self.limits.waits, &self.waiting, &self.stop);
        loop {
            let (lines, folder, limits) = (lines.clone(), folder.clone(), self.limits);
            let written = tokio::task::spawn_blocking(move || append(&folder, &lines, &limits)).await;
            match written.context("the writer of dead letters broke").and_then(|result| result) {
                Ok(()) => return Ok(kept),
                Err(error) => retry.wait(&format!("dead letters: {error:#}")).await?,
            }
        }
    }
}

/// The segments of a folder of dead letters, oldest first.
///
/// # Errors
/// When the folder cannot be read.
pub fn segments(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))? {
        let path = entry.with_context(|| format!("cannot read {}", folder.display()))?.path();
        if segment_number(&path).is_some() {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}

fn segment_number(path: &Path) -> Option<u64> {
    let name = path.file_name()?.to_str()?.strip_suffix(".ndjson")?;
    if name.len() != 12 { None } else { name.parse().ok() }
}

/// Appends lines to the newest segment, or to a new one, and has them on disk. What a failed write left is cut off.
fn append(folder: &Path, lines: &[u8], limits: &DeadLetterLimits) -> Result<()> {
    let lock_path = folder.join("lock");
    let lock = OpenOptions::new().create(true).append(true).mode(0o600).open(&lock_path);
    let lock = lock.with_context(|| format!("cannot open {}", lock_path.display()))?;
    lock.lock().with_context(|| format!("cannot lock {}", lock_path.display()))?;

    let segments = segments(folder)?;
    let mut total = lines.len() as u64;
    for segment in &segments {
        total += fs::metadata(segment).map_or(0, |metadata| metadata.len());
    }
    if total > limits.total_bytes {
        bail!(
            "{} is full ({} bytes allowed); replay or remove dead letters with `weir dlq`",
            folder.display(),
            limits.total_bytes
        );
    }
    let newest = segments.last();
    let newest_number = newest.and_then(|path| segment_number(path)).unwrap_or(0);
    let newest_bytes =
        newest.and_then(|path| fs::metadata(path).ok()).map_or(u64::MAX, |metadata| metadata.len());
    let is_new = newest_bytes >= limits.segment_bytes;
    let number = if is_new { newest_number + 1 } else { newest_number };
    let path = folder.join(format!("{number:012}.ndjson"));
    let file = OpenOptions::new().create(true).read(true).append(true).mode(0o600).open(&path);
    let mut file = file.with_context(|| format!("cannot open {}", path.display()))?;
    let before = cut_torn_line(&mut file).with_context(|| format!("cannot read {}", path.display()))?;
    if let Err(error) = file.write_all(lines).and_then(|()| file.sync_all()) {
        let _ = file.set_len(before);
        return Err(error).with_context(|| format!("cannot write {}", path.display()));
    }
    if is_new {
        // The segment's name must outlive a power cut too.
        File::open(folder)
            .and_then(|folder| folder.sync_all())
            .with_context(|| format!("cannot sync {}", folder.display()))?;
    }
    Ok(())
}

/// Cuts a line off that a killed process left half written, and answers the file's length.
fn cut_torn_line(file: &mut File) -> std::io::Result<u64> {
    let end = end_of_whole_lines(file)?;
    if end < file.metadata()?.len() {
        file.set_len(end)?;
    }
    Ok(end)
}

/// Where the last line that has its end ends.
pub(super) fn end_of_whole_lines(file: &mut File) -> std::io::Result<u64> {
    let mut end = file.metadata()?.len();
    let mut block = [0_u8; 4096];
    while end > 0 {
        let size = end.min(block.len() as u64);
        file.seek(SeekFrom::Start(end - size))?;
        let part = &mut block[..size as usize];
        file.read_exact(part)?;
        if let Some(place) = part.iter().rposition(|byte| *byte == b'\n') {
            return Ok(end - size + place as u64 + 1);
        }
        end -= size;
    }
    Ok(0)
}

fn lines_of(letters: &[DeadLetter], pipeline: &str) -> Vec<u8> {
    let mut lines = Vec::new();
    for letter in letters {
        letter.write_line(pipeline, &mut lines);
    }
    lines
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
        lines.extend_from_slice(format!(",\"crc32\":\"{checksum:08x}\"}}\n").as_bytes());
    }

    /// Reads a line, and answers the pipeline that it names with the letter. The event's text is as it was written.
    ///
    /// # Errors
    /// When the checksum does not fit, or a member is missing or of the wrong kind.
    pub fn from_line(line: &str) -> Result<(String, DeadLetter)> {
        const TAIL: &str = ",\"crc32\":\"";
        let line = line.trim_end_matches('\n');
        let end = line.rfind(TAIL).context("a dead letter has no checksum at its end")?;
        let (head, tail) = (&line[..end], &line[end + TAIL.len()..]);
        if tail.strip_suffix("\"}") != Some(&format!("{:08x}", checksum(head.as_bytes()))) {
            bail!("a dead letter's checksum does not fit: the line was changed or torn");
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
        let line: Line<'_> =
            serde_json::from_str(&object).context("a dead letter is not as weir writes it")?;
        let time =
            DateTime::parse_from_rfc3339(&line.time).context("a dead letter's time is not RFC 3339")?;
        let identity = match line.identity {
            None => 0,
            Some(text) => {
                Identity::from_str_radix(&text, 16).context("a dead letter's identity is not hexadecimal")?
            }
        };
        let letter = DeadLetter {
            time: time.timestamp_nanos_opt().context("a dead letter's time is out of range")?,
            plugin: line.plugin,
            reason: line.reason,
            identity,
            event: line.event.get().to_owned(),
        };
        Ok((line.pipeline, letter))
    }
}

fn checksum(bytes: &[u8]) -> u32 {
    let mut crc = flate2::Crc::new();
    crc.update(bytes);
    crc.sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn letter(reason: &str) -> DeadLetter {
        DeadLetter {
            time: 1_700_000_000_123_000_000,
            plugin: "elasticsearch#1".into(),
            reason: reason.into(),
            identity: 0xabc,
            event: r#"{"message":"a,\"crc32\":\"x","n":1.0}"#.into(),
        }
    }

    fn open(folder: &Path, limits: DeadLetterLimits, stop: &CancellationToken) -> DeadLetters {
        let place = DeadLetterPlace::Folder(folder.join("dead"));
        DeadLetters::open(place, limits, "p", Arc::default(), stop.clone()).expect("a folder can be made")
    }

    fn read_all(folder: &Path) -> Vec<String> {
        let mut reasons = Vec::new();
        for segment in segments(&folder.join("dead")).expect("there is a folder") {
            for line in fs::read_to_string(segment).expect("it can be read").lines() {
                reasons.push(DeadLetter::from_line(line).expect("it was written whole").1.reason);
            }
        }
        reasons
    }

    #[test]
    fn a_line_comes_back_as_it_was() {
        let mut line = Vec::new();
        letter("a \"reason\"\n").write_line("p", &mut line);
        let line = String::from_utf8(line).expect("it is text");
        assert_eq!(line.matches('\n').count(), 1);
        assert_eq!(
            DeadLetter::from_line(&line).expect("it was just written"),
            ("p".into(), letter("a \"reason\"\n"))
        );
        let error = DeadLetter::from_line(&line.replace("1.0", "1.5")).expect_err("a byte was changed");
        assert!(error.to_string().contains("checksum"), "{error}");
    }

    #[tokio::test]
    async fn segments_are_rotated_and_a_torn_line_is_cut_off() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().expect("a temporary folder");
        let stop = CancellationToken::new();
        let limits = DeadLetterLimits { segment_bytes: 300, ..DeadLetterLimits::default() };
        open(folder.path(), limits, &stop).write(vec![letter("1")]).await.expect("there is room");
        let first = folder.path().join("dead/000000000001.ndjson");
        let mode = fs::metadata(&first).expect("it was written").permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        let mut torn = OpenOptions::new().append(true).open(&first).expect("it is there");
        torn.write_all(b"{\"time\":\"20").expect("there is room");
        let letters = open(folder.path(), limits, &stop);
        for reason in ["2", "3", "4"] {
            let delivery = letters.write(vec![letter(reason)]).await.expect("there is room");
            assert_eq!(delivery, Delivery { dead_lettered: 1, ..Delivery::default() });
        }
        assert_eq!(read_all(folder.path()), ["1", "2", "3", "4"]);
        assert_eq!(segments(&folder.path().join("dead")).expect("there is a folder").len(), 2);
    }

    #[tokio::test]
    async fn a_full_folder_is_waited_for() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let stop = CancellationToken::new();
        let waits = RetryWaits { initial: Duration::from_millis(1), max: Duration::from_millis(1) };
        let limits = DeadLetterLimits { segment_bytes: 1, total_bytes: 500, waits };
        let letters = open(folder.path(), limits, &stop);
        letters.write(vec![letter("1")]).await.expect("there is room");
        letters.write(vec![letter("2")]).await.expect("there is room");
        let (written, ()) = tokio::join!(letters.write(vec![letter("3")]), async {
            while letters.waiting.current().is_none() {
                tokio::task::yield_now().await;
            }
            fs::remove_file(folder.path().join("dead/000000000001.ndjson")).expect("it is there");
        });
        written.expect("room was made");
        assert_eq!(read_all(folder.path()), ["2", "3"]);
        stop.cancel();
        letters.write(vec![letter("4"), letter("5")]).await.expect_err("it is full and was stopped");
        assert_eq!(read_all(folder.path()), ["2", "3"]);
    }

    #[tokio::test]
    async fn off_drops_and_counts() {
        let letters = DeadLetters::open(
            DeadLetterPlace::Off,
            DeadLetterLimits::default(),
            "p",
            Arc::default(),
            CancellationToken::new(),
        );
        let delivery =
            letters.expect("nothing is opened").write(vec![letter("1")]).await.expect("nothing to wait for");
        assert_eq!(delivery, Delivery { dropped: 1, ..Delivery::default() });
    }
}
