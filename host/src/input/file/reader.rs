//! All files of an input together: which are there, whose turn it is, and the lines that wait for their batch. Blocks;
//! waiting and stopping is left to the input.

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::fs;
use std::ops::Range;
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Result, bail};

use super::followed::{FollowedFile, Start};
use super::options::{FileOptions, Mode};
use super::progress::{FileKey, KEYS, Progress, file_key};
use crate::event::Identity;
use crate::input::lines::{Filled, Lines};
use crate::ledger::{InputLedger, Position};

/// Files that are open at a time, as in Logstash.
const MAX_OPEN_FILES: usize = 4095;
/// A file that is no longer at a path that is looked for is closed when nothing came for so long.
const CLOSE_AFTER: Duration = Duration::from_secs(60);
/// Files that are not there are forgotten after so long, as in Logstash.
const FORGET_AFTER_SECONDS: i64 = 14 * 86_400;

/// What [`Reader::collect`] came to.
pub(super) enum Collected {
    Batch(Batch),
    /// Nothing to be read now; whether lines wait for more.
    Nothing {
        waiting: bool,
    },
    /// There will be nothing more.
    End,
}

/// Lines of some files.
pub(super) struct Batch {
    pub(super) lines: Lines,
    pub(super) files: Vec<FileRows>,
    pub(super) position: Position,
}

/// The rows of a batch that came from one file.
pub(super) struct FileRows {
    pub(super) rows: Range<usize>,
    pub(super) path: String,
    pub(super) identity: Identity,
}

/// The files, and the batch that is being filled.
pub(super) struct Reader {
    options: FileOptions,
    ledger: InputLedger,
    batch_size: usize,
    /// In `read` mode: what is still to be opened.
    waiting: VecDeque<String>,
    open: VecDeque<FollowedFile>,
    /// In `tail` mode: what was read of files, before the ledger knows.
    noted: HashMap<FileKey, Progress>,
    /// Files that cannot be read, each told once.
    failed: BTreeMap<String, String>,
    lines: Lines,
    files: Vec<FileRows>,
    puts: BTreeMap<Vec<u8>, Vec<u8>>,
    removes: Vec<Range<Vec<u8>>>,
    next_discovery: Instant,
    first_discovery: bool,
    ended: bool,
}

impl Reader {
    pub(super) fn open(options: FileOptions, ledger: InputLedger, batch_size: usize) -> Result<Self> {
        let mut reader = Reader {
            options,
            ledger,
            batch_size,
            waiting: VecDeque::new(),
            open: VecDeque::new(),
            noted: HashMap::new(),
            failed: BTreeMap::new(),
            lines: Lines::new(batch_size),
            files: Vec::new(),
            puts: BTreeMap::new(),
            removes: Vec::new(),
            next_discovery: Instant::now(),
            first_discovery: true,
            ended: false,
        };
        let found = reader.find_files();
        reader.forget_old_files(&found)?;
        if reader.options.mode == Mode::Read {
            if found.is_empty() {
                bail!("no file matches {}: write paths that are there", reader.options.path.join(", "));
            }
            reader.waiting = found.into_iter().map(|(path, _)| path).collect();
        }
        Ok(reader)
    }

    /// Fills the batch. It is handed out when it is full, at the end, and with `flush` however few its lines are.
    pub(super) fn collect(&mut self, flush: bool) -> Result<Collected> {
        match self.options.mode {
            Mode::Read => self.read_on(),
            Mode::Tail => self.follow(),
        }
        // The position of a file that is taken up at its end does not wait for lines.
        let has_only_positions = self.lines.is_empty() && !self.puts.is_empty();
        let flush = (flush || self.ended) && !self.lines.is_empty();
        if self.lines.is_full() || flush || has_only_positions {
            return Ok(Collected::Batch(self.take_batch()));
        }
        if self.ended {
            if let Some((path, reason)) = self.failed.first_key_value() {
                bail!("{} of the files could not be read to the end: {path}: {reason}", self.failed.len());
            }
            return Ok(Collected::End);
        }
        Ok(Collected::Nothing { waiting: !self.lines.is_empty() })
    }

    fn take_batch(&mut self) -> Batch {
        let lines = std::mem::replace(&mut self.lines, Lines::new(self.batch_size));
        let puts = std::mem::take(&mut self.puts).into_iter().collect();
        let removes = std::mem::take(&mut self.removes);
        Batch { lines, files: std::mem::take(&mut self.files), position: Position { puts, removes } }
    }

    /// One file after the other, to their ends.
    fn read_on(&mut self) {
        while !self.lines.is_full() {
            let Some(mut file) = self.open.pop_front() else {
                let Some(path) = self.waiting.pop_front() else {
                    self.ended = true;
                    return;
                };
                match FollowedFile::open(
                    &path,
                    |key| self.known(key),
                    Start::Beginning,
                    self.options.max_line_bytes,
                ) {
                    Ok(file) => self.open.push_back(file),
                    Err(error) => self.fail(path, &error),
                }
                continue;
            };
            match file.fill(&mut self.lines, true) {
                Ok((added, filled)) => {
                    self.note(&file, added);
                    if filled == Filled::Full {
                        self.open.push_front(file);
                    }
                }
                Err(error) => self.fail(file.path, &error),
            }
        }
    }

    /// What there is in all files, each in its turn.
    fn follow(&mut self) {
        if Instant::now() >= self.next_discovery
            || self.open.iter().any(|file| !file.rotated && was_rotated(file))
        {
            self.discover();
        }
        for _ in 0..self.open.len() {
            if self.lines.is_full() {
                return;
            }
            let Some(mut file) = self.open.pop_front() else { return };
            let filled = file.restart_if_emptied().and_then(|_| {
                let finish = file.is_complete();
                file.fill(&mut self.lines, finish)
            });
            match filled {
                Ok((added, _)) => {
                    self.note(&file, added);
                    self.open.push_back(file);
                }
                // The file is opened again at the next discovery.
                Err(error) => self.fail(file.path, &error),
            }
        }
    }

    fn discover(&mut self) {
        self.next_discovery = Instant::now() + self.options.discover_interval;
        let found = self.find_files();
        let there: HashSet<FileKey> = found.iter().map(|(_, key)| *key).collect();
        let (gone, stay) = std::mem::take(&mut self.open)
            .into_iter()
            .partition(|file| !there.contains(&file.key) && file.grew.elapsed() >= CLOSE_AFTER);
        self.open = stay;
        for file in &mut self.open {
            file.rotated = was_rotated(file);
        }
        for file in gone {
            self.removes.push(single(&file.key));
            self.noted.remove(&file.key);
        }
        let followed: HashSet<FileKey> = self.open.iter().map(|file| file.key).collect();
        // Files that appear later are new: nothing of them is old.
        let from_end = self.first_discovery && !self.options.from_beginning;
        let start = if from_end { Start::End } else { Start::Beginning };
        self.first_discovery = false;
        for (path, _) in found.into_iter().filter(|(_, key)| !followed.contains(key)) {
            if self.open.len() >= MAX_OPEN_FILES {
                self.fail(path, &"too many files are open already");
                continue;
            }
            match FollowedFile::open(&path, |key| self.known(key), start, self.options.max_line_bytes) {
                Ok(file) => {
                    self.failed.remove(&path);
                    if start == Start::End {
                        self.note_progress(&file);
                    }
                    self.open.push_back(file);
                }
                Err(error) => self.fail(path, &error),
            }
        }
    }

    fn known(&self, key: &FileKey) -> Option<Progress> {
        if let Some(progress) = self.noted.get(key) {
            return Some(progress.clone());
        }
        // An unreadable ledger stops the line at its next commit; a file is then read again from its start.
        self.ledger.get(key).ok().flatten().and_then(|bytes| Progress::decode(&bytes))
    }

    fn note(&mut self, file: &FollowedFile, added: usize) {
        if added == 0 {
            return;
        }
        let end = self.lines.rows().len();
        let identity = file.progress.identity(&file.key);
        self.files.push(FileRows { rows: end - added..end, path: file.path.clone(), identity });
        self.note_progress(file);
    }

    fn note_progress(&mut self, file: &FollowedFile) {
        let progress = Progress { time: seconds_now(), ..file.progress.clone() };
        self.puts.insert(file.key.to_vec(), progress.encode());
        if self.options.mode == Mode::Tail {
            self.noted.insert(file.key, progress);
        }
    }

    fn fail(&mut self, path: String, error: &dyn std::fmt::Display) {
        let reason = error.to_string();
        if self.failed.get(&path) != Some(&reason) {
            tracing::error!(file = path, reason, "the file cannot be read");
            self.failed.insert(path, reason);
        }
    }

    /// The files that match, the longest unchanged first, as in Logstash.
    fn find_files(&mut self) -> Vec<(String, FileKey)> {
        let mut found: Vec<(SystemTime, String, FileKey)> = Vec::new();
        let mut keys = HashSet::new();
        for pattern in &self.options.path {
            // The patterns were parsed when the options were read.
            let Ok(paths) = glob::glob(pattern) else { continue };
            for path in paths {
                let path = match path {
                    Ok(path) => path,
                    Err(error) => {
                        tracing::warn!(pattern, %error, "a folder cannot be looked into");
                        continue;
                    }
                };
                let Ok(metadata) = fs::metadata(&path) else { continue };
                if metadata.is_file() && keys.insert(file_key(&metadata)) {
                    let modified = metadata.modified().unwrap_or(SystemTime::UNIX_EPOCH);
                    found.push((modified, path.to_string_lossy().into_owned(), file_key(&metadata)));
                }
            }
        }
        found.sort();
        found.into_iter().map(|(_, path, key)| (path, key)).collect()
    }

    /// The ledger does not grow for ever.
    fn forget_old_files(&mut self, found: &[(String, FileKey)]) -> Result<()> {
        let there: HashSet<&[u8]> = found.iter().map(|(_, key)| key.as_slice()).collect();
        let oldest = seconds_now() - FORGET_AFTER_SECONDS;
        for (key, value) in self.ledger.range(&[KEYS]..&[KEYS + 1])? {
            let time = Progress::decode(&value).map_or(0, |progress| progress.time);
            if time < oldest && !there.contains(key.as_slice()) {
                self.removes.push(single(&key));
            }
        }
        Ok(())
    }
}

/// Whether another file stands at the path now.
fn was_rotated(file: &FollowedFile) -> bool {
    fs::metadata(&file.path).is_ok_and(|metadata| file_key(&metadata) != file.key)
}

/// The range of one key.
fn single(key: &[u8]) -> Range<Vec<u8>> {
    let mut end = key.to_vec();
    end.push(0);
    key.to_vec()..end
}

fn seconds_now() -> i64 {
    chrono::Utc::now().timestamp()
}
