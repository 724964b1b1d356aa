//! How a ledger's file is opened: made if it is missing, looked at page by page, and told apart from one that is damaged, in use,
//! or written by a newer Weir. What is in it is left to `store`.

use std::fs::{self, OpenOptions};
use std::io::Read;
use std::os::unix::fs::OpenOptionsExt;
use std::panic::AssertUnwindSafe;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use redb::{Database, DatabaseError, ReadableDatabase, StorageError, TableDefinition, TableError};

use super::mark::MarkFile;

/// The form of keys and values that this program writes. Raised when an older one could not read them.
pub(super) const VERSION: u64 = 1;
/// The table of what the file says of itself.
pub(super) const ABOUT: TableDefinition<&str, u64> = TableDefinition::new("weir");
/// Keys of that table.
pub(super) const FILE_VERSION: &str = "version";
pub(super) const COMMITS: &str = "commits";
/// What redb may keep of the file in memory.
pub(super) const CACHE_BYTES: usize = 16 << 20;

/// How long a reader of the file is waited for.
const READER_LIMIT: Duration = Duration::from_secs(5);

/// Why a file was not opened.
pub(super) enum Refusal {
    Damaged(String),
    Locked,
    Newer(u64),
    Other(anyhow::Error),
}

impl Refusal {
    /// The error for who opens the ledger.
    pub(super) fn describe(self, path: &Path, state_dir: &Path) -> anyhow::Error {
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

pub(super) fn open_database(path: &Path) -> Result<Database, Refusal> {
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
pub(super) fn lock(path: &Path) -> Result<MarkFile, Refusal> {
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

pub(super) fn read_about(database: &Database, key: &str) -> Result<Option<u64>, redb::Error> {
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

/// Whether a process was ended while it made the file: redb writes the file's first bytes last.
pub(super) fn is_unfinished(path: &Path) -> bool {
    let mut beginning = [1; 9];
    let read = fs::File::open(path).and_then(|mut file| file.read_exact(&mut beginning));
    read.is_ok() && beginning == [0; 9]
}

pub(super) fn set_aside(path: &Path) -> Result<PathBuf> {
    let time = chrono::Utc::now().format("%Y%m%dT%H%M%S%.3fZ");
    let aside = PathBuf::from(format!("{}.damaged-{time}", path.display()));
    fs::rename(path, &aside)
        .with_context(|| format!("the ledger {} is damaged and cannot be set aside", path.display()))?;
    Ok(aside)
}

/// A database on a disk that the tests make.
#[cfg(test)]
pub(super) fn open_on(disk: impl redb::StorageBackend) -> Result<Database, Refusal> {
    look_at_version(builder().create_with_backend(disk).map_err(redb::Error::from)?)
}

/// Makes a ledger of another version, for the tests.
#[cfg(test)]
pub(super) fn write_version(path: &Path, version: u64) -> Result<()> {
    set_version(&create(path)?, version)?;
    Ok(())
}
