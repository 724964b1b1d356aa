//! What has been read, delivered and may be forgotten. The ledger stores keys and values for inputs, a position at a
//! time and never before the outputs' acknowledgement; what they mean only their input knows. It lies in
//! `<state_dir>/ledger.redb`, which one process holds at a time. All calls block: they belong into `spawn_blocking`.

mod store;

use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use anyhow::Result;

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

/// The open ledger of a pipeline. Clones share it.
#[derive(Clone)]
pub struct Ledger {
    store: Arc<Store>,
}

impl Ledger {
    /// Opens or creates `<state_dir>/ledger.redb` (mode 0600, in a folder of mode 0700) and locks it for this process.
    /// A damaged file is set aside as `ledger.redb.damaged-<time>`, which is logged, and a new one begun: events are
    /// then read again, and the identities of documents keep them single.
    ///
    /// # Errors
    /// When another process has it open, when it was written by a newer Weir, and when the disk refuses.
    pub fn open(state_dir: &Path) -> Result<Self> {
        Ok(Ledger { store: Arc::new(Store::open(state_dir)?) })
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
        InputLedger { store: self.store.clone(), name: name.to_owned() }
    }

    /// Writes positions, each with its input's name and in this order, in one transaction that is on the disk when this
    /// returns.
    ///
    /// # Errors
    /// When the disk refuses; nothing is written then.
    pub fn commit(&self, positions: &[(&str, &Position)]) -> Result<()> {
        self.store.commit(positions)
    }
}

/// The part of the ledger that belongs to one input. It can only be read here: writing is done by positions.
#[derive(Clone)]
pub struct InputLedger {
    store: Arc<Store>,
    name: String,
}

impl InputLedger {
    /// The value of a key.
    ///
    /// # Errors
    /// When the ledger cannot be read.
    pub fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>> {
        self.store.get(&self.name, key)
    }

    /// All keys from `range.start` up to but not including `range.end`, with their values, in order.
    ///
    /// # Errors
    /// When the ledger cannot be read.
    pub fn range(&self, range: Range<&[u8]>) -> Result<Vec<Entry>> {
        self.store.range(&self.name, range)
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
        store::write_version(&folder.path().join("ledger.redb"), 99).unwrap();
        let error = Ledger::open(folder.path()).err().expect("the version is unknown").to_string();
        assert!(error.contains("version 99") && error.contains("ledger.redb"), "{error}");
        assert!(folder.path().join("ledger.redb").exists());
    }

    #[test]
    fn a_damaged_ledger_is_set_aside() {
        // A foreign file; a cut one; one with flipped bits in every page.
        let damages: [fn(&mut Vec<u8>); 3] = [
            |bytes| *bytes = b"this is no ledger".repeat(1000),
            |bytes| bytes.truncate(bytes.len() / 2),
            |bytes| bytes.iter_mut().skip(4096).step_by(512).for_each(|byte| *byte ^= 0x55),
        ];
        for (number, damage) in damages.into_iter().enumerate() {
            let folder = tempfile::tempdir().unwrap();
            let ledger = Ledger::open(folder.path()).unwrap();
            ledger.commit(&[("x", &put("key", "value"))]).unwrap();
            drop(ledger);
            let path = folder.path().join("ledger.redb");
            let mut bytes = fs::read(&path).unwrap();
            damage(&mut bytes);
            fs::write(&path, bytes).unwrap();
            let ledger =
                Ledger::open(folder.path()).unwrap_or_else(|error| panic!("damage {number}: {error:#}"));
            assert_eq!(get(&ledger, "x", "key"), None, "damage {number}");
            ledger.commit(&[("x", &put("key", "again"))]).unwrap();
            let aside = fs::read_dir(folder.path()).unwrap().filter_map(Result::ok);
            let aside =
                aside.filter(|entry| entry.file_name().to_string_lossy().contains(".damaged-")).count();
            assert_eq!(aside, 1, "damage {number}");
        }
    }
}
