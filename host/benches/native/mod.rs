//! The native reference: a program that does the job of the Route 53 pipeline and nothing else, by hand and in a straight
//! line: no events, no filters, no options. What Weir costs is told as a ratio to this. One thread a worker, each with its
//! part of the file, its own cache of addresses and its own connection.

mod addresses;
mod document;
mod sink;
mod times;

use std::fs::File;
use std::io::{BufRead, BufReader, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use maxminddb::Reader;

use document::Writer;
use sink::Sink;

/// Events a bulk request or a write, as in Weir's batches.
const BATCH: usize = 1024;

/// What the reference is to do.
pub(crate) struct Job {
    /// A file of Route 53 lines; a last line without a line feed is one too.
    pub(crate) lines: PathBuf,
    /// A City database.
    pub(crate) database: PathBuf,
    /// Threads.
    pub(crate) workers: usize,
    /// `http://HOST:PORT` of a server that takes bulk requests; without one, documents go to stdout.
    pub(crate) bulk: Option<String>,
}

/// Does the job and answers how many lines there were.
///
/// # Errors
/// When a file or the server fails, and at a line that is not as Route 53 writes it: the reference has no other way.
pub(crate) fn run(job: &Job) -> Result<u64> {
    let named = |path: &Path| path.display().to_string();
    let bytes = std::fs::read(&job.database).with_context(|| named(&job.database))?;
    let database = Reader::from_source(bytes).context("the database cannot be read")?;
    let length = std::fs::metadata(&job.lines).with_context(|| named(&job.lines))?.len();
    let parts = job.workers.max(1) as u64;
    std::thread::scope(|scope| {
        let mut workers = Vec::new();
        for part in 0..parts {
            let database = &database;
            let (start, end) = (length * part / parts, length * (part + 1) / parts);
            workers.push(scope.spawn(move || work(job, start, end, database)));
        }
        let mut lines = 0;
        for worker in workers {
            lines += worker.join().ok().context("a worker panicked")??;
        }
        Ok(lines)
    })
}

/// The lines that begin from `start` to before `end`.
fn work(job: &Job, start: u64, end: u64, database: &Reader<Vec<u8>>) -> Result<u64> {
    let mut reader = BufReader::with_capacity(1 << 18, File::open(&job.lines)?);
    let mut place = start;
    let mut line = Vec::new();
    if let Some(before) = start.checked_sub(1) {
        // A line that begins before `start` is another worker's.
        reader.seek(SeekFrom::Start(before))?;
        place = before + reader.read_until(b'\n', &mut line)? as u64;
    }
    let path = job.lines.to_str().context("the path of the lines is no text")?;
    let mut writer = Writer::new(database, path, job.bulk.is_some());
    let mut sink = Sink::open(job.bulk.as_deref())?;
    let mut body = sink.body();
    let (mut lines, mut in_batch) = (0, 0);
    while place < end {
        line.clear();
        place += reader.read_until(b'\n', &mut line)? as u64;
        let text = line.strip_suffix(b"\n").unwrap_or(&line);
        if in_batch == 0 {
            writer.begin_batch();
        }
        writer.write(text, &mut body).with_context(|| format!("the line that ends at byte {place}"))?;
        (lines, in_batch) = (lines + 1, in_batch + 1);
        if in_batch == BATCH {
            sink.send(std::mem::take(&mut body), in_batch)?;
            (body, in_batch) = (sink.body(), 0);
        }
    }
    if in_batch > 0 {
        sink.send(body, in_batch)?;
    }
    Ok(lines)
}
