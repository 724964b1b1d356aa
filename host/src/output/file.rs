//! The output to files: a line of JSON for each event, appended and on disk before a batch is acknowledged. The path may
//! have references to fields in it. A file is rotated by size or age by giving it a number (`x.ndjson.1`, `.2` …, the
//! newest has the highest); removing old ones is left to others.

use std::collections::HashMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Component, Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use anyhow::{Context, Result};
use futures::FutureExt;
use futures::future::BoxFuture;
use weir_filter::Template;

use super::dead_letter::end_of_whole_lines;
use super::retry::Retry;
use super::text::RowText;
use super::turns::Turns;
use super::{Delivery, Output, OutputContext, Rendered, RetryWaits};
use crate::config::Section;
use crate::event::{Batch, Documents};

/// The most files that are kept open.
const OPEN_FILES: usize = 64;

/// A name of a longer file or folder is refused by all usual file systems.
const NAME_BYTES: usize = 255;

/// The options of `file`.
#[derive(Clone, Debug)]
pub struct FileOptions {
    /// Where a relative path starts.
    pub directory: PathBuf,
    /// The file that an event goes to.
    pub path: Template,
    /// The path's text up to the folder before its first reference: what events may not lead out of.
    pub fixed: String,
    /// Whether the path has references.
    pub varies: bool,
    /// A file is rotated before it would be longer.
    pub rotate_size: Option<u64>,
    /// A file is rotated when it was begun this long ago.
    pub rotate_age: Option<Duration>,
    /// The waits after a failed write.
    pub waits: RetryWaits,
}

/// Reads the options from their section.
pub fn read_options(section: &mut Section) -> FileOptions {
    let text = section.required_text("path");
    let path = Template::parse(&text);
    if let Some(problem) = path.problem() {
        section.problem("path", &format!("`path`: {problem}"), "write %{field}, %{[a][b]} or %{+yyyy.MM.dd}");
    }
    let literal = text.split("%{").next().unwrap_or_default();
    let fixed = literal.rfind('/').map_or("", |slash| &literal[..=slash]).to_owned();
    let rotate_size = section.bytes("rotate_size");
    if rotate_size == Some(0) {
        section.problem("rotate_size", "`rotate_size` is 0", "write it like \"100MiB\"");
    }
    let defaults = RetryWaits { initial: Duration::from_secs(1), max: Duration::from_secs(16) };
    FileOptions {
        directory: section.directory(),
        path,
        fixed,
        varies: text.contains("%{"),
        rotate_size: rotate_size.filter(|bytes| *bytes > 0),
        rotate_age: section.duration("rotate_age").filter(|age| !age.is_zero()),
        waits: RetryWaits {
            initial: section.duration("retry_initial_interval").unwrap_or(defaults.initial),
            max: section.duration("retry_max_interval").unwrap_or(defaults.max),
        },
    }
}

/// Opens the output. Files are opened when there is something for them.
///
/// # Errors
/// Never; it is a `Result` as that of the other outputs.
pub fn open(options: FileOptions, context: OutputContext) -> Result<Box<dyn Output>> {
    let files = Arc::new(Mutex::new(Files { open: HashMap::new(), uses: 0 }));
    Ok(Box::new(FileOutput { options: Arc::new(options), context, files, turns: Turns::default() }))
}

struct FileOutput {
    options: Arc<FileOptions>,
    context: OutputContext,
    files: Arc<Mutex<Files>>,
    turns: Turns,
}

/// What goes to one file.
struct Chunk {
    path: PathBuf,
    lines: Vec<u8>,
    rows: Vec<usize>,
}

impl Output for FileOutput {
    fn send(&self, events: Arc<Batch>) -> BoxFuture<'_, Result<Delivery>> {
        let mut turn = self.turns.take();
        async move {
            turn.come().await;
            let (options, batch) = (self.options.clone(), events.clone());
            let sorted = tokio::task::spawn_blocking(move || sort_by_file(&options, &batch));
            let (chunks, rejected) = sorted.await.context("writing lines broke")?;
            let mut delivery = self.context.set_aside(&events, rejected).await?;
            for chunk in chunks {
                delivery += self.write(&events, chunk).await?;
            }
            Ok(delivery)
        }
        .boxed()
    }

    fn close(&self) -> BoxFuture<'_, Result<()>> {
        async {
            self.files.lock().unwrap_or_else(PoisonError::into_inner).open.clear();
            Ok(())
        }
        .boxed()
    }
}

impl FileOutput {
    async fn write(&self, events: &Arc<Batch>, chunk: Chunk) -> Result<Delivery> {
        let chunk = Arc::new(chunk);
        let context = &self.context;
        let mut retry = Retry::new(&context.name, self.options.waits, &context.waiting, &context.stop);
        loop {
            let (options, files, shared) = (self.options.clone(), self.files.clone(), chunk.clone());
            let append = move || {
                let mut files = files.lock().unwrap_or_else(PoisonError::into_inner);
                files.append(&options, &shared.path, &shared.lines)
            };
            let Err(error) = tokio::task::spawn_blocking(append).await.context("writing a file broke")?
            else {
                return Ok(Delivery { delivered: chunk.rows.len() as u64, ..Delivery::default() });
            };
            let reason = format!("cannot write {}: {error}", chunk.path.display());
            if self.options.varies && is_about_the_path(&error) {
                let rejected = chunk.rows.iter().map(|row| (*row, reason.clone())).collect();
                return context.set_aside(events, rejected).await;
            }
            let advice = match error.kind() {
                io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => "; make room",
                io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
                    "; check its permissions"
                }
                _ => "",
            };
            retry.wait(&format!("{reason}{advice}")).await?;
        }
    }
}

/// Errors that an event's own path brings, and that no wait ends.
fn is_about_the_path(error: &io::Error) -> bool {
    use io::ErrorKind::{AlreadyExists, InvalidFilename, InvalidInput, IsADirectory, NotADirectory};
    matches!(error.kind(), AlreadyExists | IsADirectory | NotADirectory | InvalidFilename | InvalidInput)
}

fn sort_by_file(options: &FileOptions, batch: &Batch) -> (Vec<Chunk>, Vec<(usize, String)>) {
    let paths = RowText::new(&options.path, batch);
    let mut documents = Documents::new(batch);
    let mut chunks: Vec<Chunk> = Vec::new();
    let mut by_path: HashMap<String, usize> = HashMap::new();
    let mut rejected = Vec::new();
    let mut text = String::new();
    for row in 0..batch.rows() {
        text.clear();
        if let Err(error) = paths.render(row, &mut text) {
            rejected.push((row, format!("its path cannot be made: {error}")));
            continue;
        }
        let place = match by_path.get(&text) {
            Some(place) => *place,
            None => match resolved(options, &text) {
                Ok(path) => {
                    by_path.insert(text.clone(), chunks.len());
                    chunks.push(Chunk { path, lines: Vec::new(), rows: Vec::new() });
                    chunks.len() - 1
                }
                Err(reason) => {
                    rejected.push((row, reason));
                    continue;
                }
            },
        };
        let chunk = &mut chunks[place];
        documents.write(row, &mut chunk.lines);
        chunk.lines.push(b'\n');
        chunk.rows.push(row);
    }
    (chunks, rejected)
}

/// The path that each event goes to, as it is rendered; an error is why it can go to none.
pub(super) fn preview(options: &FileOptions, batch: &Batch) -> Vec<Rendered> {
    let paths = RowText::new(&options.path, batch);
    let path = |row| -> Rendered {
        let mut text = String::new();
        paths.render(row, &mut text)?;
        resolved(options, &text)?;
        Ok(vec![("path".to_owned(), text.into())])
    };
    (0..batch.rows()).map(path).collect()
}

/// The path of a rendered text. What comes from an event may name folders and a file, and lead nowhere else.
fn resolved(options: &FileOptions, text: &str) -> Result<PathBuf, String> {
    if options.varies {
        let varying = text.strip_prefix(options.fixed.as_str()).unwrap_or(text);
        let mut names = 0;
        for component in Path::new(varying).components() {
            match component {
                Component::Normal(name) if name.len() <= NAME_BYTES => names += 1,
                Component::CurDir => {}
                _ => {
                    return Err(format!(
                        "its path {text:?} leads out of the folder, or has a name that is too long"
                    ));
                }
            }
        }
        if names == 0 || text.ends_with('/') || text.contains('\0') {
            return Err(format!("its path {text:?} names no file"));
        }
    }
    Ok(options.directory.join(text))
}

struct Files {
    open: HashMap<PathBuf, OpenFile>,
    /// Counts appends, to close the file that was not used for longest.
    uses: u64,
}

struct OpenFile {
    file: File,
    /// Devices and pipes are only written to.
    is_regular: bool,
    length: u64,
    begun: SystemTime,
    used: u64,
}

impl Files {
    /// Appends lines, and has them on disk. After an error nothing of them is left in the file.
    fn append(&mut self, options: &FileOptions, path: &Path, lines: &[u8]) -> io::Result<()> {
        self.uses += 1;
        let mut open = match self.open.remove(path) {
            Some(open) if open.is_still_at(path) => open,
            _ => OpenFile::open(path)?,
        };
        let is_long = options.rotate_size.is_some_and(|size| open.length + lines.len() as u64 > size);
        let age = open.begun.elapsed().unwrap_or_default();
        let is_old = options.rotate_age.is_some_and(|limit| age >= limit);
        if open.is_regular && open.length > 0 && (is_long || is_old) {
            fs::rename(path, next_number(path)?)?;
            open = OpenFile::open(path)?;
        }
        open.append(lines)?;
        open.used = self.uses;
        if self.open.len() >= OPEN_FILES {
            let oldest = self.open.iter().min_by_key(|(_, file)| file.used).map(|(path, _)| path.clone());
            oldest.and_then(|path| self.open.remove(&path));
        }
        self.open.insert(path.to_owned(), open);
        Ok(())
    }
}

impl OpenFile {
    fn open(path: &Path) -> io::Result<Self> {
        if let Some(folder) = path.parent()
            && !folder.as_os_str().is_empty()
        {
            fs::create_dir_all(folder)?;
        }
        // Devices and pipes may be writable only.
        let is_regular = fs::metadata(path).is_ok_and(|metadata| metadata.is_file()) || !path.exists();
        let mut file = OpenOptions::new().create(true).read(is_regular).append(true).open(path)?;
        let metadata = file.metadata()?;
        let mut length = 0;
        if is_regular {
            length = mend_last_line(&mut file)?;
        }
        let begun = metadata.created().or_else(|_| metadata.modified()).unwrap_or_else(|_| SystemTime::now());
        Ok(OpenFile { file, is_regular, length, begun, used: 0 })
    }

    /// Whether the path still leads to this file: someone else may have moved or removed it.
    fn is_still_at(&self, path: &Path) -> bool {
        let (Ok(there), Ok(here)) = (fs::metadata(path), self.file.metadata()) else { return false };
        there.dev() == here.dev()
            && there.ino() == here.ino()
            && (!self.is_regular || here.len() == self.length)
    }

    fn append(&mut self, lines: &[u8]) -> io::Result<()> {
        let written = self.file.write_all(lines);
        if !self.is_regular {
            return written;
        }
        if let Err(error) = written.and_then(|()| self.file.sync_data()) {
            self.file.set_len(self.length)?;
            return Err(error);
        }
        self.length += lines.len() as u64;
        Ok(())
    }
}

/// A process that was killed may have left part of a line: it is cut off, its event will come again. A whole last line
/// without its end (not written by weir) gets one. Answers the file's length.
fn mend_last_line(file: &mut File) -> io::Result<u64> {
    let length = file.metadata()?.len();
    let end = end_of_whole_lines(file)?;
    if end == length {
        return Ok(length);
    }
    let mut last = Vec::new();
    file.seek(SeekFrom::Start(end))?;
    file.take(length - end).read_to_end(&mut last)?;
    let is_torn = last.starts_with(b"{") && serde_json::from_slice::<serde::de::IgnoredAny>(&last).is_err();
    if is_torn {
        file.set_len(end)?;
        return Ok(end);
    }
    file.write_all(b"\n")?;
    Ok(length + 1)
}

/// The name of a file that is rotated: one more than the highest number there is.
fn next_number(path: &Path) -> io::Result<PathBuf> {
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut highest = 0;
    for entry in fs::read_dir(folder)? {
        let entry = entry?.file_name();
        let number = entry
            .to_str()
            .and_then(|entry| entry.strip_prefix(&name)?.strip_prefix('.')?.parse::<u64>().ok());
        highest = highest.max(number.unwrap_or(0));
    }
    Ok(folder.join(format!("{name}.{}", highest + 1)))
}
