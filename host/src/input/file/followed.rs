//! One open file: where it is taken up, moving its lines into a batch, and noticing that it was emptied.

use std::fs::File;
use std::io;
use std::time::Instant;

use super::progress::{FileKey, Progress, Stream, birth, file_key};
use crate::input::lines::{Filled, LineCutter, Lines};

/// A file that is being read.
pub(super) struct FollowedFile {
    pub(super) key: FileKey,
    pub(super) path: String,
    pub(super) progress: Progress,
    /// When there was something to read last.
    pub(super) grew: Instant,
    /// Another file was seen at its path.
    pub(super) rotated: bool,
    stream: Stream,
    cutter: LineCutter,
    max_line_bytes: usize,
}

/// Where a file begins that the ledger does not know.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Start {
    Beginning,
    End,
}

impl FollowedFile {
    /// Opens a file: what was read of it is in `known`, if it is known by its key.
    pub(super) fn open(
        path: &str,
        known: impl Fn(&FileKey) -> Option<Progress>,
        start: Start,
        max_line_bytes: usize,
    ) -> io::Result<Self> {
        let file = File::open(path)?;
        let metadata = file.metadata()?;
        if !metadata.is_file() {
            return Err(io::Error::other("it is no regular file"));
        }
        let key = file_key(&metadata);
        let mut stream = Stream::new(file)?;
        let fresh = Progress { path: path.to_owned(), birth: birth(&metadata), ..Progress::default() };
        let mut cutter = None;
        let progress = match known(&key) {
            Some(known) if known.birth == fresh.birth || known.birth == 0 || fresh.birth == 0 => {
                if known.continues(&mut stream)? {
                    cutter = Some(LineCutter::new(known.offset, max_line_bytes));
                    if known.skipping {
                        cutter.iter_mut().for_each(LineCutter::skip_line);
                    }
                    Progress { path: path.to_owned(), ..known }
                } else {
                    tracing::info!(
                        file = path,
                        "the file was written anew since it was read: it is read from its start"
                    );
                    stream = Stream::new(File::open(path)?)?;
                    Progress { generation: known.generation.saturating_add(1), ..fresh }
                }
            }
            _ if start == Start::End && !stream.is_gzip() => {
                let mut progress = fresh;
                cutter = Some(start_at_end(&mut stream, metadata.len(), &mut progress, max_line_bytes)?);
                progress
            }
            _ => fresh,
        };
        let cutter = cutter.unwrap_or_else(|| LineCutter::new(0, max_line_bytes));
        Ok(FollowedFile {
            key,
            path: path.to_owned(),
            progress,
            grew: Instant::now(),
            rotated: false,
            stream,
            cutter,
            max_line_bytes,
        })
    }

    /// Moves lines into the batch; `finish` if no more will be written, so that a last line without an end is one too.
    /// Answers how many rows were added and whether the file has nothing more now.
    pub(super) fn fill(&mut self, lines: &mut Lines, finish: bool) -> io::Result<(usize, Filled)> {
        let before = lines.rows().len();
        let read_before = self.cutter.read_to();
        let filled = self.cutter.fill(&mut self.stream, lines);
        if finish && matches!(filled, Ok(Filled::Empty)) {
            self.cutter.finish(lines);
        }
        if self.cutter.read_to() != read_before {
            self.grew = Instant::now();
        }
        self.note_progress(lines, before);
        let added = lines.rows().len() - before;
        match filled {
            // What came before the fault is delivered; the next call meets the fault again.
            Err(_) if added > 0 => Ok((added, Filled::Full)),
            filled => Ok((added, filled?)),
        }
    }

    /// Whether the file is one that nobody writes more into: a packed one.
    pub(super) fn is_complete(&self) -> bool {
        self.stream.is_gzip()
    }

    /// Begins again at the start if the file is shorter than what was read of it. Answers whether it was so.
    pub(super) fn restart_if_emptied(&mut self) -> io::Result<bool> {
        if self.stream.is_gzip() || self.stream.metadata()?.len() >= self.cutter.read_to() {
            return Ok(false);
        }
        tracing::info!(file = self.path, "the file was emptied: it is read from its start");
        self.stream.skip_to(0)?;
        self.cutter = LineCutter::new(0, self.max_line_bytes);
        self.progress = Progress {
            path: self.path.clone(),
            birth: self.progress.birth,
            generation: self.progress.generation.saturating_add(1),
            ..Progress::default()
        };
        Ok(true)
    }

    fn note_progress(&mut self, lines: &Lines, first_row: usize) {
        let rows = lines.rows().get(first_row..).unwrap_or_default();
        if let Some(first) = rows.first().filter(|row| row.offset == 0) {
            self.progress.note_line(0, lines.bytes(first));
        }
        if let Some(last) = rows.iter().rev().find(|row| !lines.bytes(row).is_empty() && row.offset > 0) {
            self.progress.note_line(last.offset, lines.bytes(last));
        }
        self.progress.offset = self.cutter.offset();
        self.progress.skipping = self.cutter.is_skipping();
    }
}

/// Takes up a file at its end: a line that is being written there is left out, as its beginning is.
fn start_at_end(
    stream: &mut Stream,
    length: u64,
    progress: &mut Progress,
    max_line_bytes: usize,
) -> io::Result<LineCutter> {
    let mut first = Lines::new(1);
    let mut cutter = LineCutter::new(0, max_line_bytes);
    cutter.fill(&mut io::Read::take(io::Read::by_ref(stream), length), &mut first)?;
    if let Some(row) = first.rows().first() {
        progress.note_line(0, first.bytes(row));
    }
    let mut last = Vec::new();
    let at = length.saturating_sub(1);
    if stream.skip_to(at)? {
        io::Read::read_to_end(&mut io::Read::take(io::Read::by_ref(stream), 1), &mut last)?;
    }
    stream.skip_to(length)?;
    progress.offset = length;
    let mut cutter = LineCutter::new(length, max_line_bytes);
    if last.first().is_some_and(|byte| *byte != b'\n') {
        cutter.skip_line();
        progress.skipping = true;
    }
    Ok(cutter)
}
