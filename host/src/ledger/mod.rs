//! What has been read, delivered and may be forgotten. The ledger stores keys and values for inputs, a position at a
//! time and never before the outputs' acknowledgement; what they mean only their input knows. It lies in
//! `<state_dir>/ledger.redb`, which one process holds at a time. All calls block: they belong into `spawn_blocking`.

#[cfg(test)]
mod damage_tests;
#[cfg(test)]
mod disk_tests;
mod mark;
mod opening;
mod patience;
mod store;

use std::fmt;
use std::ops::{ControlFlow, Range};
use std::path::Path;
use std::sync::Arc;

use anyhow::Result;
use tokio_util::sync::CancellationToken;

use crate::output::Waiting;
use patience::Patience;
pub(crate) use patience::WAIT;
use store::Store;

/// A key and its value.
pub type Entry = (Vec<u8>, Vec<u8>);

/// A change of what an input has read: applied in one transaction once the batch that it came with is acknowledged.
/// Removes are applied before puts. Keys are the input's own; every input has a space for itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Position {
    /// Keys to be set.
    pub puts: Vec<Entry>,
    /// Ranges of keys to be forgotten.
    pub removes: Vec<Range<Vec<u8>>>,
}

impl Position {
    /// Whether there is nothing to be written.
    pub fn is_empty(&self) -> bool {
        self.puts.is_empty() && self.removes.is_empty()
    }
}

/// The error of a ledger that a process has open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InUse;

impl fmt::Display for InUse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the ledger is in use by a process that does not say what is in it")
    }
}

impl std::error::Error for InUse {}

/// The error of a disk that has no room, or does not take or give what is asked for: another try may do better. All that was
/// acknowledged is there still.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DiskRefuses {
    /// What the disk said.
    pub reason: String,
}

impl DiskRefuses {
    fn new(reason: &str) -> Self {
        DiskRefuses { reason: reason.to_owned() }
    }
}

impl fmt::Display for DiskRefuses {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the disk refuses: {}; it is tried again: make room, or mend the disk", self.reason)
    }
}

impl std::error::Error for DiskRefuses {}

/// The open ledger of a pipeline. Clones share it.
#[derive(Clone)]
pub struct Ledger {
    store: Arc<Store>,
}

impl Ledger {
    /// Opens or creates `<state_dir>/ledger.redb` (mode 0600, in a folder of mode 0700) and locks it for this process by
    /// `<state_dir>/ledger.lock`.
    /// A damaged file is set aside as `ledger.redb.damaged-<time>`, which is logged, and a new one begun: events are
    /// then read again, and the identities of documents keep them single. A file that lacks its last commits is used as it
    /// is, which is logged too: what they said is read again.
    ///
    /// # Errors
    /// When another process has it open, when it was written by a newer Weir, and when the disk refuses.
    pub fn open(state_dir: &Path) -> Result<Self> {
        Ok(Ledger { store: Arc::new(Store::open(state_dir)?) })
    }

    /// Opens `<state_dir>/ledger.redb` to be read, without changing what it says; `None` when there is none. No process can
    /// begin to use it while this is open, and waits some seconds for that: it is to be dropped soon.
    ///
    /// # Errors
    /// [`InUse`] when a process has it open; when it was written by a newer Weir, is damaged, or cannot be read.
    pub fn open_to_read(state_dir: &Path) -> Result<Option<Self>> {
        Ok(Store::open_to_read(state_dir)?.map(|store| Ledger { store: Arc::new(store) }))
    }

    /// A ledger that is forgotten with the process: for pipelines without a `state_dir`.
    ///
    /// # Errors
    /// When there is no memory for it.
    pub fn in_memory() -> Result<Self> {
        Ok(Ledger { store: Arc::new(Store::in_memory()?) })
    }

    /// What one input has written. The name is the input's in the pipeline.
    pub fn input(&self, name: &str) -> InputLedger {
        InputLedger { store: self.store.clone(), name: name.to_owned(), patience: None }
    }

    /// How many bytes of keys and values the ledger is meant to keep (4 GiB at first). It says once in the log when nine
    /// tenths are used. Nothing is refused beyond it: inputs look at it and forget what they can do without. The file is
    /// larger than that, up to twice, since redb makes room in advance and gives none back while it is open.
    pub fn set_budget(&self, bytes: u64) {
        self.store.set_budget(bytes);
    }

    /// Bytes of keys and values, and the budget.
    pub fn used_and_budget(&self) -> (u64, u64) {
        (self.store.used(), self.store.budget())
    }

    /// Commits that were acknowledged and that the file lacked when it was opened: it was damaged, or replaced by an older
    /// one. What they said is read again, which is logged.
    pub fn lost_commits(&self) -> u64 {
        self.store.lost_commits()
    }

    /// Writes positions, each with its input's name and in this order, in one transaction that is on the disk when this
    /// returns.
    ///
    /// # Errors
    /// [`DiskRefuses`] when the disk does: nothing of them is promised then, and they may be written once more, as often as one
    /// likes. Any other when the file turns out to be damaged: nothing more is written.
    pub fn commit(&self, positions: &[(&str, &Position)]) -> Result<()> {
        self.store.commit(positions)
    }
}

/// The part of the ledger that belongs to one input. It can only be read here: writing is done by positions.
#[derive(Clone)]
pub struct InputLedger {
    store: Arc<Store>,
    name: String,
    patience: Option<Patience>,
}

impl fmt::Debug for InputLedger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("InputLedger").field("name", &self.name).finish_non_exhaustive()
    }
}

impl InputLedger {
    /// The same for who can do nothing without it: reading waits while the disk refuses, until `give_up` is cancelled.
    /// `waiting` says so.
    #[must_use]
    pub fn patient(self, waiting: Arc<Waiting>, give_up: CancellationToken) -> Self {
        InputLedger { patience: Some(Patience { waiting, give_up }), ..self }
    }

    /// The same for who only looks: a disk that refuses is an error at once.
    #[must_use]
    pub fn at_once(self) -> Self {
        InputLedger { patience: None, ..self }
    }

    /// The value of a key.
    ///
    /// # Errors
    /// When the ledger cannot be read.
    pub fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>> {
        self.read(|| self.store.get(&self.name, key))
    }

    fn read<T>(&self, mut read: impl FnMut() -> Result<T>) -> Result<T> {
        match &self.patience {
            None => read(),
            Some(patience) => patience.read(&self.store, read),
        }
    }

    /// All keys from `range.start` up to but not including `range.end`, with their values, in order.
    ///
    /// # Errors
    /// When the ledger cannot be read.
    pub fn range(&self, range: Range<&[u8]>) -> Result<Vec<Entry>> {
        let mut entries = Vec::new();
        self.visit(range, |key, value| {
            entries.push((key.to_vec(), value.to_vec()));
            ControlFlow::Continue(())
        })?;
        // Where the disk refused in the middle, all came once more.
        entries.sort_unstable();
        entries.dedup();
        Ok(entries)
    }

    /// Shows the same entries one after the other, until told to stop. After a wait for the disk they come from the first
    /// one on again.
    ///
    /// # Errors
    /// When the ledger cannot be read.
    pub fn visit(
        &self,
        range: Range<&[u8]>,
        mut visitor: impl FnMut(&[u8], &[u8]) -> ControlFlow<()>,
    ) -> Result<()> {
        self.read(|| self.store.visit(&self.name, range.clone(), &mut visitor))
    }

    /// Bytes of keys and values that all inputs of the ledger have, and what they are meant to have at most.
    pub fn used_and_budget(&self) -> (u64, u64) {
        (self.store.used(), self.store.budget())
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn put(key: &str, value: &str) -> Position {
        Position { puts: vec![(key.into(), value.into())], removes: vec![] }
    }

    fn get(ledger: &Ledger, input: &str, key: &str) -> Option<String> {
        let value = ledger.input(input).get(key.as_bytes()).expect("the ledger can be read");
        value.map(|value| String::from_utf8(value).expect("tests write text"))
    }

    #[test]
    fn positions_outlive_the_process() {
        let folder = tempfile::tempdir().unwrap();
        let state_dir = folder.path().join("new").join("state");
        let ledger = Ledger::open(&state_dir).unwrap();
        ledger.commit(&[("one", &put("a", "1")), ("two", &put("a", "2")), ("one", &put("a", "3"))]).unwrap();
        drop(ledger);
        let ledger = Ledger::open(&state_dir).unwrap();
        assert_eq!(get(&ledger, "one", "a").as_deref(), Some("3"));
        assert_eq!(get(&ledger, "two", "a").as_deref(), Some("2"));
        assert_eq!(get(&ledger, "three", "a"), None);
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&state_dir.join("ledger.redb")), 0o600);
        assert_eq!(mode(&state_dir), 0o700);
    }

    #[test]
    fn a_ledger_is_read_beside_and_the_next_process_waits_for_that() {
        let folder = tempfile::tempdir().unwrap();
        assert!(Ledger::open_to_read(folder.path()).unwrap().is_none());
        assert!(!folder.path().join("ledger.redb").exists());
        let ledger = Ledger::open(folder.path()).unwrap();
        ledger.commit(&[("one", &put("a", "1"))]).unwrap();
        let error = Ledger::open_to_read(folder.path()).err().expect("a process has it");
        assert!(error.is::<InUse>(), "{error:#}");
        drop(ledger);
        let read = Ledger::open_to_read(folder.path()).unwrap().unwrap();
        let also = Ledger::open_to_read(folder.path()).unwrap().unwrap();
        assert_eq!((get(&read, "one", "a").as_deref(), get(&also, "one", "b")), (Some("1"), None));
        assert!(read.commit(&[("one", &put("a", "2"))]).is_err());
        drop(also);
        let place = folder.path().to_owned();
        let next = std::thread::spawn(move || Ledger::open(&place));
        drop(read);
        let next = next.join().unwrap().unwrap();
        assert_eq!(get(&next, "one", "a").as_deref(), Some("1"));
    }

    #[test]
    fn removes_go_before_puts() {
        let ledger = Ledger::in_memory().unwrap();
        for key in ["a1", "a2", "b1"] {
            ledger.commit(&[("x", &put(key, "old"))]).unwrap();
        }
        let mut position = put("a2", "new");
        position.removes.push(b"a".to_vec()..b"b".to_vec());
        ledger.commit(&[("x", &position)]).unwrap();
        let entries = ledger.input("x").range(b"".as_slice()..b"z".as_slice()).unwrap();
        assert_eq!(entries, vec![(b"a2".to_vec(), b"new".to_vec()), (b"b1".to_vec(), b"old".to_vec())]);
        assert!(ledger.input("x").range(b"z".as_slice()..b"a".as_slice()).unwrap().is_empty());
    }

    #[test]
    fn a_second_process_is_told_so() {
        let folder = tempfile::tempdir().unwrap();
        let _first = Ledger::open(folder.path()).unwrap();
        let error = Ledger::open(folder.path()).err().expect("the ledger is locked").to_string();
        assert!(
            error.contains("another weir") && error.contains(&*folder.path().to_string_lossy()),
            "{error}"
        );
    }

    #[test]
    fn a_newer_ledger_is_refused_by_name() {
        let folder = tempfile::tempdir().unwrap();
        opening::write_version(&folder.path().join("ledger.redb"), 99).unwrap();
        let error = Ledger::open(folder.path()).err().expect("the version is unknown").to_string();
        assert!(error.contains("version 99") && error.contains("ledger.redb"), "{error}");
        assert!(folder.path().join("ledger.redb").exists());
        // The mark says it too, of a file that this program could not even read.
        fs::write(folder.path().join("ledger.redb"), "a form of the future").unwrap();
        let mark = mark::MarkFile::lock(&folder.path().join("ledger.lock")).unwrap().unwrap();
        mark.write(mark::Mark { version: 98, commits: 3 }).unwrap();
        drop(mark);
        let error = Ledger::open(folder.path()).err().expect("the version is unknown").to_string();
        assert!(error.contains("version 98"), "{error}");
        assert_eq!(fs::read(folder.path().join("ledger.redb")).unwrap(), b"a form of the future");
    }

    #[test]
    fn what_is_used_is_counted_over_openings() {
        let folder = tempfile::tempdir().unwrap();
        let ledger = Ledger::open(folder.path()).unwrap();
        ledger.set_budget(100);
        ledger.commit(&[("x", &put("a", "12345")), ("y", &put("bb", "1"))]).unwrap();
        ledger.commit(&[("x", &put("a", "1"))]).unwrap();
        assert_eq!(ledger.used_and_budget(), (5, 100));
        drop(ledger);
        let ledger = Ledger::open(folder.path()).unwrap();
        assert_eq!(ledger.used_and_budget().0, 5);
        let position = Position { removes: vec![b"a".to_vec()..b"b".to_vec()], ..put("c", "1") };
        ledger.commit(&[("x", &position)]).unwrap();
        assert_eq!(ledger.input("y").used_and_budget().0, 5);
    }
}
