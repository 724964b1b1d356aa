//! The ledger's file: a redb database with a table of the file's version and a table for every input.

use std::fs::{self, OpenOptions};
use std::ops::Range;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::panic::AssertUnwindSafe;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use redb::backends::InMemoryBackend;
use redb::{
    Database, DatabaseError, Durability, ReadableDatabase, StorageError, TableDefinition, TableError,
};

use super::{Entry, Position};

/// The form of keys and values that this program writes. Raised when an older one could not read them.
const VERSION: u64 = 1;
const ABOUT: TableDefinition<&str, u64> = TableDefinition::new("weir");
/// What redb may keep of the file in memory.
const CACHE_BYTES: usize = 16 << 20;

pub(super) struct Store {
    database: Database,
    /// For messages; a ledger in memory has none.
    path: Option<PathBuf>,
}

impl Store {
    pub(super) fn open(state_dir: &Path) -> Result<Self> {
        let mut folder = fs::DirBuilder::new();
        folder.recursive(true).mode(0o700);
        folder
            .create(state_dir)
            .with_context(|| format!("cannot create the state_dir {}", state_dir.display()))?;
        let path = state_dir.join("ledger.redb");
        let database = match open_database(&path) {
            Ok(database) => database,
            Err(Refusal::Damaged(reason)) => {
                let aside = set_aside(&path)?;
                tracing::warn!(
                    ledger = %path.display(), set_aside = %aside.display(), reason,
                    "the ledger is damaged: it was set aside and a new one begun, events are read again"
                );
                open_database(&path).map_err(|refusal| refusal.describe(&path, state_dir))?
            }
            Err(refusal) => return Err(refusal.describe(&path, state_dir)),
        };
        Ok(Store { database, path: Some(path) })
    }

    pub(super) fn in_memory() -> Result<Self> {
        let database = Database::builder().create_with_backend(InMemoryBackend::new())?;
        Ok(Store { database, path: None })
    }

    pub(super) fn commit(&self, positions: &[(&str, &Position)]) -> Result<()> {
        self.try_commit(positions).with_context(|| format!("cannot write {}", self.describe()))
    }

    fn try_commit(&self, positions: &[(&str, &Position)]) -> Result<(), redb::Error> {
        if positions.iter().all(|(_, position)| position.is_empty()) {
            return Ok(());
        }
        let mut transaction = self.database.begin_write()?;
        if self.path.is_none() {
            transaction.set_durability(Durability::None)?;
        }
        for (input, position) in positions {
            let name = table_name(input);
            let mut table = transaction.open_table(table(&name))?;
            for range in position.removes.iter().filter(|range| range.start < range.end) {
                table.retain_in(range.start.as_slice()..range.end.as_slice(), |_, _| false)?;
            }
            for (key, value) in &position.puts {
                table.insert(key.as_slice(), value.as_slice())?;
            }
        }
        transaction.commit()?;
        Ok(())
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

    pub(super) fn range(&self, input: &str, range: Range<&[u8]>) -> Result<Vec<Entry>> {
        let read = || -> Result<Vec<Entry>, redb::Error> {
            let mut entries = Vec::new();
            let name = table_name(input);
            if range.start >= range.end {
                return Ok(entries);
            }
            let table = match self.database.begin_read()?.open_table(table(&name)) {
                Err(TableError::TableDoesNotExist(_)) => return Ok(entries),
                table => table?,
            };
            for entry in table.range(range.clone())? {
                let (key, value) = entry?;
                entries.push((key.value().to_vec(), value.value().to_vec()));
            }
            Ok(entries)
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

fn table_name(input: &str) -> String {
    format!("input {input}")
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
            redb::Error::TableTypeMismatch { table, .. } => {
                Refusal::Damaged(format!("table {table} has another type"))
            }
            other => Refusal::Other(other.into()),
        }
    }
}

fn open_database(path: &Path) -> Result<Database, Refusal> {
    let opened = std::panic::catch_unwind(AssertUnwindSafe(|| {
        let database = create(path)?;
        let found = read_version(&database)?;
        match found {
            Some(version) if version > VERSION => return Err(Refusal::Newer(version)),
            Some(_) => {}
            None => set_version(&database, VERSION)?,
        }
        Ok(database)
    }));
    // redb checks a file's pages, but parts of it trust them: what it panics about is damage.
    opened.unwrap_or_else(|_| Err(Refusal::Damaged("its pages contradict each other".to_owned())))
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
    let mut builder = Database::builder();
    builder.set_cache_size(CACHE_BYTES).set_check_integrity_on_open(true);
    Ok(builder.create(path)?)
}

fn read_version(database: &Database) -> Result<Option<u64>, redb::Error> {
    match database.begin_read()?.open_table(ABOUT) {
        Err(TableError::TableDoesNotExist(_)) => Ok(None),
        table => Ok(table?.get("version")?.map(|version| version.value())),
    }
}

fn set_version(database: &Database, version: u64) -> Result<(), redb::Error> {
    let transaction = database.begin_write()?;
    transaction.open_table(ABOUT)?.insert("version", version)?;
    Ok(transaction.commit()?)
}

fn set_aside(path: &Path) -> Result<PathBuf> {
    let time = chrono::Utc::now().format("%Y%m%dT%H%M%S%.3fZ");
    let aside = PathBuf::from(format!("{}.damaged-{time}", path.display()));
    fs::rename(path, &aside)
        .with_context(|| format!("the ledger {} is damaged and cannot be set aside", path.display()))?;
    Ok(aside)
}

/// Makes a ledger of another version, for the tests.
#[cfg(test)]
pub(super) fn write_version(path: &Path, version: u64) -> Result<()> {
    set_version(&create(path)?, version)?;
    Ok(())
}
