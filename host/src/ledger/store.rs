//! The ledger's file: a redb database with a table of the file's version and a table for every input. redb keeps a checksum
//! of every page; all of them are looked at when the file is opened.

use std::fs::{self, OpenOptions};
use std::ops::{ControlFlow, Range};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::panic::AssertUnwindSafe;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use redb::backends::InMemoryBackend;
use redb::{
    Database, DatabaseError, Durability, ReadOnlyDatabase, ReadTransaction, ReadableDatabase, ReadableTable,
    StorageError, TableDefinition, TableError, TableHandle, TransactionError,
};

use super::Position;
use super::mark::{Mark, MarkFile};

/// The form of keys and values that this program writes. Raised when an older one could not read them.
const VERSION: u64 = 1;
const ABOUT: TableDefinition<&str, u64> = TableDefinition::new("weir");
/// Keys of that table.
const FILE_VERSION: &str = "version";
const COMMITS: &str = "commits";
/// What redb may keep of the file in memory.
const CACHE_BYTES: usize = 16 << 20;

/// How long a reader of the file is waited for.
const READER_LIMIT: Duration = Duration::from_secs(5);

/// What all inputs together are meant to keep before [`super::Ledger::set_budget`].
const BUDGET: u64 = 4 << 30;

/// Gets a key and its value, and says whether it wants more.
pub(super) type Visitor<'v> = dyn FnMut(&[u8], &[u8]) -> ControlFlow<()> + 'v;

pub(super) struct Store {
    database: Opened,
    /// For messages; a ledger in memory has none.
    path: Option<PathBuf>,
    /// Bytes of all keys and values.
    used: AtomicU64,
    budget: AtomicU64,
    /// It was said that the budget is nearly used up.
    is_near_budget: AtomicBool,
    commits: AtomicU64,
    /// Commits that the file lacked when it was opened.
    lost_commits: u64,
    /// Locked as long as the file is open: a file that is set aside is not held by its own lock.
    mark: Option<MarkFile>,
}

/// A database, whole or only to be read.
enum Opened {
    Whole(Database),
    ToRead(ReadOnlyDatabase),
}

impl Opened {
    fn begin_read(&self) -> Result<ReadTransaction, TransactionError> {
        match self {
            Opened::Whole(database) => database.begin_read(),
            Opened::ToRead(database) => database.begin_read(),
        }
    }
}

impl Store {
    /// Opens a file that no process has open, to be read only; `None` when there is none.
    ///
    /// # Errors
    /// [`super::InUse`] when a process has it open, for ever or for a moment.
    pub(super) fn open_to_read(state_dir: &Path) -> Result<Option<Self>> {
        let path = state_dir.join("ledger.redb");
        if !path.exists() {
            return Ok(None);
        }
        let describe = |refusal: Refusal| match refusal {
            Refusal::Locked => anyhow::Error::new(super::InUse),
            other => other.describe(&path, state_dir),
        };
        let open = || -> Result<ReadOnlyDatabase, DatabaseError> {
            Database::builder().set_cache_size(CACHE_BYTES).open_read_only(&path)
        };
        let database = match open() {
            // Its process was killed. What a next one would do is done now, under the lock that it would take.
            Err(DatabaseError::RepairAborted) => {
                let mark = lock(&state_dir.join("ledger.lock")).map_err(describe)?;
                drop(open_database(&path).map_err(describe)?);
                drop(mark);
                open()
            }
            opened => opened,
        };
        let database = database.map_err(|error| describe(redb::Error::from(error).into()))?;
        let transaction = database.begin_read()?;
        let version = match transaction.open_table(ABOUT) {
            Err(TableError::TableDoesNotExist(_)) => None,
            table => table?.get(FILE_VERSION)?.map(|value| value.value()),
        };
        if let Some(version) = version.filter(|version| *version > VERSION) {
            return Err(Refusal::Newer(version).describe(&path, state_dir));
        }
        drop(transaction);
        Ok(Some(Store::with(Opened::ToRead(database), Some(path), 0, 0)))
    }

    pub(super) fn open(state_dir: &Path) -> Result<Self> {
        let mut folder = fs::DirBuilder::new();
        folder.recursive(true).mode(0o700);
        folder
            .create(state_dir)
            .with_context(|| format!("cannot create the state_dir {}", state_dir.display()))?;
        let path = state_dir.join("ledger.redb");
        let mark =
            lock(&state_dir.join("ledger.lock")).map_err(|refusal| refusal.describe(&path, state_dir))?;
        let known = mark.read().with_context(|| format!("cannot read the mark of {}", path.display()))?;
        if let Some(Mark { version, .. }) = known.filter(|mark| mark.version > VERSION) {
            return Err(Refusal::Newer(version).describe(&path, state_dir));
        }
        let mut is_new = false;
        let database = match open_database(&path) {
            Ok(database) => database,
            Err(Refusal::Damaged(reason)) => {
                let aside = set_aside(&path)?;
                tracing::warn!(
                    ledger = %path.display(), set_aside = %aside.display(), reason,
                    "the ledger is damaged: it was set aside and a new one begun, events are read again"
                );
                is_new = true;
                open_database(&path).map_err(|refusal| refusal.describe(&path, state_dir))?
            }
            Err(refusal) => return Err(refusal.describe(&path, state_dir)),
        };
        let mut store = Store::new(database, Some(path))?;
        if let Some(known) = known.filter(|_| !is_new) {
            store.lost_commits = known.commits.saturating_sub(store.commits.load(Ordering::Relaxed));
        }
        if store.lost_commits > 0 {
            tracing::warn!(
                ledger = store.describe(),
                lost_commits = store.lost_commits,
                "the ledger lacks its last commits: it was damaged, or replaced by an older one; what they say is read again"
            );
        }
        store.mark = Some(mark);
        store.write_mark();
        Ok(store)
    }

    pub(super) fn in_memory() -> Result<Self> {
        let database = Database::builder().create_with_backend(InMemoryBackend::new())?;
        Store::new(database, None)
    }

    fn new(database: Database, path: Option<PathBuf>) -> Result<Self> {
        let used = bytes_of(&database).context("cannot read the ledger")?;
        let commits = read_about(&database, COMMITS).context("cannot read the ledger")?;
        Ok(Store::with(Opened::Whole(database), path, used, commits.unwrap_or(0)))
    }

    fn with(database: Opened, path: Option<PathBuf>, used: u64, commits: u64) -> Self {
        Store {
            database,
            path,
            used: AtomicU64::new(used),
            budget: AtomicU64::new(BUDGET),
            is_near_budget: AtomicBool::new(false),
            commits: AtomicU64::new(commits),
            lost_commits: 0,
            mark: None,
        }
    }

    pub(super) fn lost_commits(&self) -> u64 {
        self.lost_commits
    }

    fn write_mark(&self) {
        let Some(file) = &self.mark else { return };
        let mark = Mark { version: VERSION, commits: self.commits.load(Ordering::Relaxed) };
        if let Err(error) = file.write(mark) {
            // The ledger is whole without it; only damage may be noticed less.
            tracing::debug!(ledger = self.describe(), %error, "the mark of the ledger cannot be written");
        }
    }

    pub(super) fn used(&self) -> u64 {
        self.used.load(Ordering::Relaxed)
    }

    pub(super) fn budget(&self) -> u64 {
        self.budget.load(Ordering::Relaxed)
    }

    pub(super) fn set_budget(&self, bytes: u64) {
        self.budget.store(bytes, Ordering::Relaxed);
        self.look_at_budget();
    }

    /// Says once that the budget is nearly used up, and again after there was room in between.
    fn look_at_budget(&self) {
        let (used, budget) = (self.used(), self.budget());
        if used >= budget / 10 * 9 {
            if !self.is_near_budget.swap(true, Ordering::Relaxed) {
                tracing::warn!(
                    ledger = self.describe(),
                    used,
                    budget,
                    "the ledger has nearly used up its ledger_budget: beyond it the oldest ids give way, and events read \
                     again are then handed on again"
                );
            }
        } else if used < budget / 10 * 8 {
            self.is_near_budget.store(false, Ordering::Relaxed);
        }
    }

    pub(super) fn commit(&self, positions: &[(&str, &Position)]) -> Result<()> {
        let (added, removed) =
            self.try_commit(positions).with_context(|| format!("cannot write {}", self.describe()))?;
        let change = |used: u64| used.saturating_add(added).saturating_sub(removed);
        self.used.update(Ordering::Relaxed, Ordering::Relaxed, change);
        self.write_mark();
        self.look_at_budget();
        Ok(())
    }

    /// Answers how many bytes came and went.
    fn try_commit(&self, positions: &[(&str, &Position)]) -> Result<(u64, u64), redb::Error> {
        let (mut added, mut removed) = (0, 0);
        if positions.iter().all(|(_, position)| position.is_empty()) {
            return Ok((added, removed));
        }
        let Opened::Whole(database) = &self.database else {
            return Err(redb::Error::Io(std::io::ErrorKind::ReadOnlyFilesystem.into()));
        };
        let mut transaction = database.begin_write()?;
        if self.path.is_none() {
            transaction.set_durability(Durability::None)?;
        }
        for (input, position) in positions {
            let name = table_name(input);
            let mut table = transaction.open_table(table(&name))?;
            for range in position.removes.iter().filter(|range| range.start < range.end) {
                table.retain_in(range.start.as_slice()..range.end.as_slice(), |key, value| {
                    removed += size(key, value);
                    false
                })?;
            }
            for (key, value) in &position.puts {
                let before = table.insert(key.as_slice(), value.as_slice())?;
                removed += before.map_or(0, |before| size(key, before.value()));
                added += size(key, value);
            }
        }
        // One transaction is under way at a time, so the number is the next one.
        let commits = self.commits.load(Ordering::Relaxed) + 1;
        transaction.open_table(ABOUT)?.insert(COMMITS, commits)?;
        transaction.commit()?;
        self.commits.store(commits, Ordering::Relaxed);
        Ok((added, removed))
    }

    pub(super) fn get(&self, input: &str, key: &[u8]) -> Result<Option<Vec<u8>>> {
        let read = || -> Result<Option<Vec<u8>>, redb::Error> {
            let name = table_name(input);
            let table = match self.database.begin_read()?.open_table(table(&name)) {
                Err(TableError::TableDoesNotExist(_)) => return Ok(None),
                table => table?,
            };
            Ok(table.get(key)?.map(|value| value.value().to_vec()))
        };
        read().with_context(|| format!("cannot read {}", self.describe()))
    }

    /// Shows all entries of a range, in order, until told to stop.
    pub(super) fn visit(&self, input: &str, range: Range<&[u8]>, visitor: &mut Visitor<'_>) -> Result<()> {
        let mut read = || -> Result<(), redb::Error> {
            let name = table_name(input);
            if range.start >= range.end {
                return Ok(());
            }
            let table = match self.database.begin_read()?.open_table(table(&name)) {
                Err(TableError::TableDoesNotExist(_)) => return Ok(()),
                table => table?,
            };
            for entry in table.range(range.clone())? {
                let (key, value) = entry?;
                if visitor(key.value(), value.value()).is_break() {
                    break;
                }
            }
            Ok(())
        };
        read().with_context(|| format!("cannot read {}", self.describe()))
    }

    fn describe(&self) -> String {
        match &self.path {
            Some(path) => format!("the ledger {}", path.display()),
            None => "the ledger in memory".to_owned(),
        }
    }
}

const TABLE_PREFIX: &str = "input ";

fn table_name(input: &str) -> String {
    format!("{TABLE_PREFIX}{input}")
}

fn size(key: &[u8], value: &[u8]) -> u64 {
    (key.len() + value.len()) as u64
}

fn bytes_of(database: &Database) -> Result<u64, redb::Error> {
    let transaction = database.begin_read()?;
    let mut bytes = 0;
    for handle in transaction.list_tables()?.filter(|handle| handle.name().starts_with(TABLE_PREFIX)) {
        for entry in transaction.open_table(table(handle.name()))?.iter()? {
            let (key, value) = entry?;
            bytes += size(key.value(), value.value());
        }
    }
    Ok(bytes)
}

fn table(name: &str) -> TableDefinition<'_, &'static [u8], &'static [u8]> {
    TableDefinition::new(name)
}

/// Why a file was not opened.
enum Refusal {
    Damaged(String),
    Locked,
    Newer(u64),
    Other(anyhow::Error),
}

impl Refusal {
    fn describe(self, path: &Path, state_dir: &Path) -> anyhow::Error {
        let path = path.display();
        match self {
            Refusal::Locked => anyhow::anyhow!(
                "the state_dir {} is in use: another weir runs with it; stop that one, or give this pipeline a \
                 state_dir of its own",
                state_dir.display()
            ),
            Refusal::Newer(version) => anyhow::anyhow!(
                "the ledger {path} has version {version}, written by a newer weir, and this one knows versions up to \
                 {VERSION}: run the newer weir, or give the pipeline another state_dir"
            ),
            Refusal::Damaged(reason) => anyhow::anyhow!("the ledger {path} is damaged: {reason}"),
            Refusal::Other(error) => error.context(format!("cannot open the ledger {path}")),
        }
    }
}

impl From<redb::Error> for Refusal {
    fn from(error: redb::Error) -> Self {
        match error {
            redb::Error::DatabaseAlreadyOpen | redb::Error::LockProtocolMismatch => Refusal::Locked,
            redb::Error::Corrupted(reason) => Refusal::Damaged(reason),
            // What redb answers for a file that does not begin as its files do, or ends too early.
            redb::Error::Io(error)
                if matches!(
                    error.kind(),
                    std::io::ErrorKind::InvalidData | std::io::ErrorKind::UnexpectedEof
                ) =>
            {
                Refusal::Damaged(error.to_string())
            }
            redb::Error::UpgradeRequired(version) => {
                Refusal::Damaged(format!("it has a form ({version}) that no weir has written"))
            }
            redb::Error::TableTypeMismatch { table, .. } => {
                Refusal::Damaged(format!("table {table} has another type"))
            }
            other => Refusal::Other(other.into()),
        }
    }
}

fn open_database(path: &Path) -> Result<Database, Refusal> {
    let opened = std::panic::catch_unwind(AssertUnwindSafe(|| look_at_version(create(path)?)));
    // redb checks a file's pages, but parts of it trust them: what it panics about is damage.
    opened.unwrap_or_else(|_| Err(Refusal::Damaged("its pages contradict each other".to_owned())))
}

fn look_at_version(database: Database) -> Result<Database, Refusal> {
    match read_about(&database, FILE_VERSION)? {
        Some(version) if version > VERSION => return Err(Refusal::Newer(version)),
        Some(_) => {}
        None => set_version(&database, VERSION)?,
    }
    Ok(database)
}

/// One process at a time, and one ledger in a process: the lock goes with the answer.
fn lock(path: &Path) -> Result<MarkFile, Refusal> {
    match MarkFile::lock(path) {
        Ok(Some(mark)) => Ok(mark),
        Ok(None) => Err(Refusal::Locked),
        Err(error) => {
            Err(Refusal::Other(anyhow::Error::new(error).context(format!("cannot lock {}", path.display()))))
        }
    }
}

fn create(path: &Path) -> Result<Database, redb::Error> {
    let io = |error| DatabaseError::Storage(StorageError::Io(error));
    // redb would create the file with the user's umask.
    OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(path)
        .map_err(io)?;
    // Who has it open beside the lock is one that only reads, for a moment.
    let limit = Instant::now() + READER_LIMIT;
    loop {
        match builder().create(path) {
            Err(DatabaseError::DatabaseAlreadyOpen) if Instant::now() < limit => {
                std::thread::sleep(Duration::from_millis(20));
            }
            opened => return Ok(opened?),
        }
    }
}

fn builder() -> redb::Builder {
    let mut builder = Database::builder();
    builder.set_cache_size(CACHE_BYTES).set_check_integrity_on_open(true);
    builder
}

fn read_about(database: &Database, key: &str) -> Result<Option<u64>, redb::Error> {
    match database.begin_read()?.open_table(ABOUT) {
        Err(TableError::TableDoesNotExist(_)) => Ok(None),
        table => Ok(table?.get(key)?.map(|value| value.value())),
    }
}

fn set_version(database: &Database, version: u64) -> Result<(), redb::Error> {
    let transaction = database.begin_write()?;
    transaction.open_table(ABOUT)?.insert(FILE_VERSION, version)?;
    Ok(transaction.commit()?)
}

fn set_aside(path: &Path) -> Result<PathBuf> {
    let time = chrono::Utc::now().format("%Y%m%dT%H%M%S%.3fZ");
    let aside = PathBuf::from(format!("{}.damaged-{time}", path.display()));
    fs::rename(path, &aside)
        .with_context(|| format!("the ledger {} is damaged and cannot be set aside", path.display()))?;
    Ok(aside)
}

/// A ledger on a disk that the tests make.
#[cfg(test)]
impl Store {
    pub(super) fn on(disk: impl redb::StorageBackend) -> Result<Self> {
        let database = builder().create_with_backend(disk)?;
        let path = PathBuf::from("ledger.redb");
        let database =
            look_at_version(database).map_err(|refusal| refusal.describe(&path, Path::new(".")))?;
        Store::new(database, Some(path))
    }
}

/// Makes a ledger of another version, for the tests.
#[cfg(test)]
pub(super) fn write_version(path: &Path, version: u64) -> Result<()> {
    set_version(&create(path)?, version)?;
    Ok(())
}
