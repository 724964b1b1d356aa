//! A folder of dead letters on disk: segments `000000000001.ndjson`, `000000000002.ndjson` …, of which the last one grows,
//! and beside a segment the marks of its letters that are done with (`marks`). Who writes, marks or removes holds an
//! exclusive lock of the file `lock` in the folder meanwhile, so that a pipeline and `weir dlq` can work side by side.
//! Waiting for room is left to [`super::DeadLetters`].

use std::fs::{self, File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use anyhow::{Context, Result, bail};

use super::limits::{DeadLetterLimits, WhenFull};
use super::marks::Marks;
use super::reading::{LetterId, Line, read_segment};

/// A file of dead letters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Segment {
    /// Its number; segments are filled in this order.
    pub number: u64,
    /// Where it lies.
    pub path: PathBuf,
    /// Its length.
    pub bytes: u64,
    /// When it was last written to.
    pub modified: SystemTime,
}

/// A folder whose lock is held.
pub struct LockedFolder {
    folder: PathBuf,
    _lock: File,
}

/// What came of a write.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Appended {
    /// The letters were dropped for want of room.
    pub is_dropped: bool,
    /// So many older letters, not done with, were removed for want of room or for their age.
    pub removed: u64,
}

/// The segments of a folder of dead letters, oldest first.
///
/// # Errors
/// When the folder cannot be read.
pub fn segments(folder: &Path) -> Result<Vec<Segment>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))? {
        let path = entry.with_context(|| format!("cannot read {}", folder.display()))?.path();
        let Some(number) = number_of(&path, "ndjson") else { continue };
        // One that was removed since is none.
        let Ok(metadata) = fs::metadata(&path) else { continue };
        let modified = metadata.modified().unwrap_or(SystemTime::UNIX_EPOCH);
        found.push(Segment { number, path, bytes: metadata.len(), modified });
    }
    found.sort_by_key(|segment| segment.number);
    Ok(found)
}

fn number_of(path: &Path, ending: &str) -> Option<u64> {
    let stem = path.file_name()?.to_str()?.strip_suffix(ending)?.strip_suffix('.')?;
    if stem.len() == 12 { stem.parse().ok() } else { None }
}

/// Locks a folder; waits for who holds it.
///
/// # Errors
/// When the file `lock` cannot be made or locked.
pub fn lock(folder: &Path) -> Result<LockedFolder> {
    let path = folder.join("lock");
    let lock = OpenOptions::new().create(true).append(true).mode(0o600).open(&path);
    let lock = lock.with_context(|| format!("cannot open {}", path.display()))?;
    lock.lock().with_context(|| format!("cannot lock {}", path.display()))?;
    Ok(LockedFolder { folder: folder.to_owned(), _lock: lock })
}

impl LockedFolder {
    /// The segments, oldest first.
    ///
    /// # Errors
    /// When the folder cannot be read.
    pub fn segments(&self) -> Result<Vec<Segment>> {
        segments(&self.folder)
    }

    /// Appends lines to the newest segment, or to a new one, and has them on disk. What a failed write left is cut off.
    ///
    /// # Errors
    /// When the disk refuses, or the folder is full and `limits` say that this blocks.
    pub(super) fn append(&self, lines: &[u8], limits: &DeadLetterLimits) -> Result<Appended> {
        let removed = limits.max_age.map_or(Ok(0), |age| self.remove_older(age))?;
        let mut appended = Appended { removed, ..Appended::default() };
        let mut segments = self.segments()?;
        let mut held: u64 = segments.iter().map(|segment| segment.bytes).sum();
        while held > 0 && held + lines.len() as u64 > limits.total_bytes {
            match limits.when_full {
                WhenFull::Block => bail!(
                    "{} is full ({} bytes allowed); make room with `weir dlq replay` or `weir dlq remove`",
                    self.folder.display(),
                    limits.total_bytes
                ),
                WhenFull::DropNewest => return Ok(Appended { is_dropped: true, ..appended }),
                WhenFull::DropOldest => {
                    let Some(oldest) = segments.first() else { break };
                    appended.removed += self.remove(oldest)?;
                    held -= oldest.bytes;
                    segments.remove(0);
                }
            }
        }
        self.write(lines, segments.last(), limits)?;
        Ok(appended)
    }

    fn write(&self, lines: &[u8], newest: Option<&Segment>, limits: &DeadLetterLimits) -> Result<()> {
        // A segment goes when its newest letter is too old, so it must not take letters for long.
        let keeps = |segment: &&Segment| {
            segment.bytes < limits.segment_bytes
                && limits.max_age.is_none_or(|age| !begun_before(segment, age / 10))
        };
        let growing = newest.filter(keeps);
        let number = match growing {
            Some(segment) => segment.number,
            None => self.last_number()? + 1,
        };
        let path = self.segment_path(number);
        let file = OpenOptions::new().create(true).read(true).append(true).mode(0o600).open(&path);
        let mut file = file.with_context(|| format!("cannot open {}", path.display()))?;
        let before = cut_torn_line(&mut file, &path)?;
        if let Err(error) = file.write_all(lines).and_then(|()| file.sync_data()) {
            let _ = file.set_len(before);
            return Err(error).with_context(|| format!("cannot write {}", path.display()));
        }
        // The segment's name must outlive a power cut too.
        if growing.is_none() { self.sync() } else { Ok(()) }
    }

    /// Writes down that letters are done with. Those of a segment that is gone need no mark.
    ///
    /// # Errors
    /// When the disk refuses; none of the letters may then count as done with.
    pub fn mark_done(&self, letters: &[(LetterId, u32)]) -> Result<()> {
        let mut rest = letters;
        while let Some((first, _)) = rest.first() {
            let number = first.segment;
            let end = rest.iter().position(|(id, _)| id.segment != number).unwrap_or(rest.len());
            let (of_segment, others) = rest.split_at(end);
            if self.segment_path(number).exists() && Marks::append(&self.marks_path(number), of_segment)? {
                self.sync()?;
            }
            rest = others;
        }
        Ok(())
    }

    /// Removes the segments whose letters are all done with. One in which something cannot be read stays.
    ///
    /// # Errors
    /// When the folder cannot be read or changed.
    pub fn remove_done(&self) -> Result<()> {
        for segment in self.segments()? {
            let marks = Marks::read(&self.marks_path(segment.number))?;
            let mut all_done = true;
            for line in read_segment(&segment, &marks)? {
                all_done &= matches!(line?, Line::Letter(found) if found.is_done);
                if !all_done {
                    break;
                }
            }
            if all_done {
                self.remove(&segment)?;
            }
        }
        Ok(())
    }

    /// Removes the segments whose newest letter is older, and answers how many of their letters were not done with.
    pub(super) fn remove_older(&self, age: Duration) -> Result<u64> {
        let mut removed = 0;
        for segment in self.segments()?.iter().take_while(|segment| is_older(segment, age)) {
            removed += self.remove(segment)?;
        }
        Ok(removed)
    }

    /// Removes a segment, and answers how many of its letters were not done with.
    fn remove(&self, segment: &Segment) -> Result<u64> {
        let marks = Marks::read(&self.marks_path(segment.number))?;
        let mut lost = 0;
        for line in read_segment(segment, &marks)? {
            lost += u64::from(!matches!(line?, Line::Letter(found) if found.is_done));
        }
        let gone = |path: &Path| match fs::remove_file(path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                Err(error).with_context(|| format!("cannot remove {}", path.display()))
            }
            _ => Ok(()),
        };
        // The marks outlive the segment, never the other way round: letters that are done with must not come back.
        gone(&segment.path)?;
        self.sync()?;
        gone(&self.marks_path(segment.number))?;
        Ok(lost)
    }

    /// The largest number that a segment or marks have: marks without a segment must not meet a new one.
    fn last_number(&self) -> Result<u64> {
        let mut last = 0;
        let read = || format!("cannot read {}", self.folder.display());
        for entry in fs::read_dir(&self.folder).with_context(read)? {
            let path = entry.with_context(read)?.path();
            let number = number_of(&path, "ndjson").or_else(|| number_of(&path, "done"));
            last = last.max(number.unwrap_or(0));
        }
        Ok(last)
    }

    fn sync(&self) -> Result<()> {
        let synced = File::open(&self.folder).and_then(|folder| folder.sync_all());
        synced.with_context(|| format!("cannot sync {}", self.folder.display()))
    }

    fn segment_path(&self, number: u64) -> PathBuf {
        self.folder.join(format!("{number:012}.ndjson"))
    }

    fn marks_path(&self, number: u64) -> PathBuf {
        self.folder.join(format!("{number:012}.done"))
    }
}

fn is_older(segment: &Segment, age: Duration) -> bool {
    // A clock that was set back makes nothing old.
    segment.modified.elapsed().is_ok_and(|elapsed| elapsed > age)
}

fn begun_before(segment: &Segment, age: Duration) -> bool {
    let first = read_segment(segment, &Marks::default()).ok().and_then(|mut lines| lines.next());
    let Some(Ok(Line::Letter(found))) = first else { return false };
    let now = chrono::Utc::now().timestamp_nanos_opt().unwrap_or_default();
    u128::try_from(now.saturating_sub(found.letter.time)).is_ok_and(|elapsed| elapsed > age.as_nanos())
}

/// Cuts a line off that a killed process or a full disk left half written, says so, and answers the file's length.
fn cut_torn_line(file: &mut File, path: &Path) -> Result<u64> {
    let describe = || format!("cannot read {}", path.display());
    let end = end_of_whole_lines(file).with_context(describe)?;
    let length = file.metadata().with_context(describe)?.len();
    if end < length {
        tracing::warn!(
            segment = %path.display(), at = end, bytes = length - end,
            "a line of dead letters was left half written, by a crash most likely; it was never acknowledged and is cut off"
        );
        file.set_len(end).with_context(|| format!("cannot cut {}", path.display()))?;
    }
    Ok(end)
}

/// Where the last line that has its end ends.
pub(in crate::output) fn end_of_whole_lines(file: &mut File) -> std::io::Result<u64> {
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
