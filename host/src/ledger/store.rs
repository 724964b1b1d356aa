//! The ledger's file: a redb database with a table of the file's version and a table for every input. redb keeps a checksum
//! of every page; all of them are looked at when the file is opened, which is left to `opening`.
//!
//! redb takes no more questions once the disk has refused it something, since it does not know what the disk has. The database
//! is closed then, and opened anew at the next try: what is found must be all that was acknowledged.

use std::fs;
use std::io::ErrorKind;
use std::ops::{ControlFlow, Range};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{PoisonError, RwLock, RwLockReadGuard, TryLockError};

use anyhow::{Context, Result};
use redb::backends::InMemoryBackend;
use redb::{
    Database, DatabaseError, Durability, ReadOnlyDatabase, ReadTransaction, ReadableDatabase, ReadableTable,
    TableDefinition, TableError, TableHandle, TransactionError,
};

use super::mark::{Mark, MarkFile};
use super::opening::{
    ABOUT, CACHE_BYTES, COMMITS, FILE_VERSION, Refusal, VERSION, is_unfinished, lock, open_database,
    read_about, set_aside,
};
use super::{DiskRefuses, Position};

/// What all inputs together are meant to keep before [`super::Ledger::set_budget`].
const BUDGET: u64 = 4 << 30;

/// Gets a key and its value, and says whether it wants more.
pub(super) type Visitor<'v> = dyn FnMut(&[u8], &[u8]) -> ControlFlow<()> + 'v;

pub(super) struct Store {
    database: RwLock<Opened>,
    /// Opens it anew; a ledger in memory, and one that is only read, have no need of that.
    reopen: Option<Reopen>,
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

/// A database, whole or only to be read; or closed, since the disk refused something.
enum Opened {
    Whole(Database),
    ToRead(ReadOnlyDatabase),
    Closed { reason: String },
}

type Reopen = Box<dyn Fn() -> Result<Database, Refusal> + Send + Sync>;

impl Opened {
    fn begin_read(&self) -> Result<ReadTransaction, redb::Error> {
        let transaction: Result<_, TransactionError> = match self {
            Opened::Whole(database) => database.begin_read(),
            Opened::ToRead(database) => database.begin_read(),
            Opened::Closed { .. } => return Err(redb::Error::DatabaseClosed),
        };
        Ok(transaction?)
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
        Ok(Some(Store::with(Opened::ToRead(database), Some(path), (0, 0), None)))
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
            // Nobody has had a ledger here: there is nothing to be missed.
            Err(Refusal::Damaged(_)) if known.is_none() && is_unfinished(&path) => {
                tracing::info!(ledger = %path.display(), "the making of the ledger was cut off; it is made anew");
                fs::remove_file(&path).with_context(|| format!("cannot remove {}", path.display()))?;
                open_database(&path).map_err(|refusal| refusal.describe(&path, state_dir))?
            }
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
        let again = path.clone();
        let reopen = move || {
            // Opening makes a file that is missing: it would be an empty ledger.
            match fs::metadata(&again) {
                Err(error) if error.kind() == ErrorKind::NotFound => {
                    Err(Refusal::Damaged("its file is gone".to_owned()))
                }
                Err(error) => Err(Refusal::Other(error.into())),
                Ok(_) => open_database(&again),
            }
        };
        let mut store = Store::new(database, Some(path), Some(Box::new(reopen)))?;
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
        Store::new(database, None, None)
    }

    fn new(database: Database, path: Option<PathBuf>, reopen: Option<Reopen>) -> Result<Self> {
        let used_and_commits = used_and_commits(&database).context("cannot read the ledger")?;
        Ok(Store::with(Opened::Whole(database), path, used_and_commits, reopen))
    }

    fn with(
        database: Opened,
        path: Option<PathBuf>,
        (used, commits): (u64, u64),
        reopen: Option<Reopen>,
    ) -> Self {
        Store {
            database: RwLock::new(database),
            reopen,
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

    /// # Errors
    /// [`DiskRefuses`] when the disk does; another try may do better.
    pub(super) fn commit(&self, positions: &[(&str, &Position)]) -> Result<()> {
        let (added, removed) = self
            .mend()
            .and_then(|()| self.with_database(self.opened(), |database| self.try_commit(database, positions)))
            .with_context(|| format!("cannot write {}", self.describe()))?;
        let change = |used: u64| used.saturating_add(added).saturating_sub(removed);
        self.used.update(Ordering::Relaxed, Ordering::Relaxed, change);
        self.write_mark();
        self.look_at_budget();
        Ok(())
    }

    /// Answers how many bytes came and went.
    fn try_commit(
        &self,
        database: &Opened,
        positions: &[(&str, &Position)],
    ) -> Result<(u64, u64), redb::Error> {
        let (mut added, mut removed) = (0, 0);
        if positions.iter().all(|(_, position)| position.is_empty()) {
            return Ok((added, removed));
        }
        let database = match database {
            Opened::Whole(database) => database,
            Opened::Closed { .. } => return Err(redb::Error::DatabaseClosed),
            Opened::ToRead(_) => return Err(redb::Error::Unsupported),
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
        let read = |database: &Opened| -> Result<Option<Vec<u8>>, redb::Error> {
            let name = table_name(input);
            let table = match database.begin_read()?.open_table(table(&name)) {
                Err(TableError::TableDoesNotExist(_)) => return Ok(None),
                table => table?,
            };
            Ok(table.get(key)?.map(|value| value.value().to_vec()))
        };
        self.read(read)
    }

    /// Shows all entries of a range, in order, until told to stop.
    pub(super) fn visit(&self, input: &str, range: Range<&[u8]>, visitor: &mut Visitor<'_>) -> Result<()> {
        let read = |database: &Opened| -> Result<(), redb::Error> {
            let name = table_name(input);
            if range.start >= range.end {
                return Ok(());
            }
            let table = match database.begin_read()?.open_table(table(&name)) {
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
        self.read(read)
    }

    /// Reads without waiting for a database that is being opened anew.
    fn read<T>(&self, read: impl FnOnce(&Opened) -> Result<T, redb::Error>) -> Result<T> {
        let opened = match self.database.try_read() {
            Ok(opened) => Ok(opened),
            Err(TryLockError::Poisoned(poisoned)) => Ok(poisoned.into_inner()),
            Err(TryLockError::WouldBlock) => Err(DiskRefuses::new("it is being opened anew").into()),
        };
        let found = opened.and_then(|opened| self.with_database(opened, read));
        found.with_context(|| format!("cannot read {}", self.describe()))
    }

    fn opened(&self) -> RwLockReadGuard<'_, Opened> {
        self.database.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Does something with the database, and closes it when the disk refuses that.
    fn with_database<T>(
        &self,
        opened: RwLockReadGuard<'_, Opened>,
        work: impl FnOnce(&Opened) -> Result<T, redb::Error>,
    ) -> Result<T> {
        if let Opened::Closed { reason } = &*opened {
            return Err(DiskRefuses::new(reason).into());
        }
        let error = match work(&opened) {
            Ok(done) => return Ok(done),
            Err(error) => error,
        };
        drop(opened);
        if !is_refused(&error) || self.reopen.is_none() {
            return Err(error.into());
        }
        let mut opened = self.database.write().unwrap_or_else(PoisonError::into_inner);
        let reason = match &*opened {
            // Another one met it first, and knows why.
            Opened::Closed { reason } => reason.clone(),
            _ => {
                let reason = error.to_string();
                *opened = Opened::Closed { reason: reason.clone() };
                reason
            }
        };
        Err(DiskRefuses { reason }.into())
    }

    /// Opens a database anew that was closed. It must have all that was acknowledged.
    ///
    /// # Errors
    /// [`DiskRefuses`] when the disk still does; any other when the file is damaged.
    pub(super) fn mend(&self) -> Result<()> {
        let Some(reopen) = self.reopen.as_ref().filter(|_| matches!(*self.opened(), Opened::Closed { .. }))
        else {
            return Ok(());
        };
        let mut opened = self.database.write().unwrap_or_else(PoisonError::into_inner);
        if !matches!(*opened, Opened::Closed { .. }) {
            return Ok(());
        }
        let acknowledged = self.commits.load(Ordering::Relaxed);
        let database = match reopen() {
            Ok(database) => database,
            Err(Refusal::Other(error)) => {
                let reason = format!("{error:#}");
                *opened = Opened::Closed { reason: reason.clone() };
                return Err(DiskRefuses { reason }.into());
            }
            Err(refusal) => {
                let path = self.path.clone().unwrap_or_default();
                return Err(refusal.describe(&path, path.parent().unwrap_or(Path::new("."))));
            }
        };
        let (used, commits) = match used_and_commits(&database) {
            Ok(found) => found,
            Err(error) if is_refused(&error) => return Err(DiskRefuses::new(&error.to_string()).into()),
            Err(error) => return Err(error.into()),
        };
        anyhow::ensure!(
            commits >= acknowledged,
            "it was opened anew and has {commits} of {acknowledged} commits: what the disk said it kept is not there; \
             start again, and what is missing is read again"
        );
        // One commit more is there if the disk kept what it did not confirm. That is written once more, which changes nothing.
        self.commits.store(commits, Ordering::Relaxed);
        self.used.store(used, Ordering::Relaxed);
        *opened = Opened::Whole(database);
        tracing::info!(ledger = self.describe(), "the ledger was opened anew");
        Ok(())
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

/// Whether the disk refused something, now or before. An end of the file in its middle is damage.
fn is_refused(error: &redb::Error) -> bool {
    match error {
        redb::Error::Io(error) => !matches!(error.kind(), ErrorKind::InvalidData | ErrorKind::UnexpectedEof),
        redb::Error::PreviousIo | redb::Error::DatabaseClosed | redb::Error::TransactionPoisoned => true,
        _ => false,
    }
}

/// Bytes of all keys and values, and how many commits there were.
fn used_and_commits(database: &Database) -> Result<(u64, u64), redb::Error> {
    let commits = read_about(database, COMMITS)?.unwrap_or(0);
    let transaction = database.begin_read()?;
    let mut bytes = 0;
    for handle in transaction.list_tables()?.filter(|handle| handle.name().starts_with(TABLE_PREFIX)) {
        for entry in transaction.open_table(table(handle.name()))?.iter()? {
            let (key, value) = entry?;
            bytes += size(key.value(), value.value());
        }
    }
    Ok((bytes, commits))
}

fn table(name: &str) -> TableDefinition<'_, &'static [u8], &'static [u8]> {
    TableDefinition::new(name)
}

/// A ledger on a disk that the tests make.
#[cfg(test)]
impl Store {
    pub(super) fn on(disk: impl redb::StorageBackend + Clone) -> Result<Self> {
        let path = PathBuf::from("ledger.redb");
        let open = move || super::opening::open_on(disk.clone());
        let database = open().map_err(|refusal| refusal.describe(&path, Path::new(".")))?;
        Store::new(database, Some(path), Some(Box::new(open)))
    }
}
