//! The ids of events that were handed on, by window of event time. In the ledger they are written with the position of
//! the batch that they came in, so what is there was delivered. In memory are the windows in use: a window that leaves
//! memory has everything in the ledger and is read from there when it is needed again.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::hash::{BuildHasherDefault, Hasher};
use std::ops::Range;

use anyhow::Result;

use crate::event::Identity;
use crate::ledger::{InputLedger, Position};

/// The length of a window in milliseconds.
pub(super) const WINDOW: i64 = 60_000;
/// Ids in memory, beyond which windows that were not used lately leave it: some 40 MB.
const IDS_IN_MEMORY: usize = 1_000_000;
/// The key of the last position that was committed.
const SEQUENCE_KEY: &[u8] = b"s";

/// The first millisecond of the window that a time lies in.
pub(super) fn window_of(time: i64) -> i64 {
    time.div_euclid(WINDOW).saturating_mul(WINDOW)
}

/// A group's number in the ledger's keys: a hash of its source.
pub(super) type GroupKey = [u8; 8];

/// Ids that were handed on, of all groups of an input.
pub(super) struct SeenIds {
    ledger: InputLedger,
    windows: HashMap<(GroupKey, i64), Window>,
    ids: usize,
    /// The number of the position that was made last; they are committed in this order.
    sequence: u64,
    clock: u64,
    limit: usize,
}

#[derive(Default)]
struct Window {
    ids: HashSet<Identity, BuildHasherDefault<IdHasher>>,
    /// The last position with ids of this window.
    sequence: u64,
    used: u64,
}

impl SeenIds {
    /// Nothing in memory yet.
    pub(super) fn open(ledger: InputLedger) -> Result<Self> {
        let sequence = committed(&ledger)?;
        Ok(SeenIds { ledger, windows: HashMap::new(), ids: 0, sequence, clock: 0, limit: IDS_IN_MEMORY })
    }

    /// Makes these windows of a group ready for [`Self::insert`].
    pub(super) fn load(&mut self, group: GroupKey, windows: &BTreeSet<i64>) -> Result<()> {
        self.clock += 1;
        for window in windows {
            if let Some(window) = self.windows.get_mut(&(group, *window)) {
                window.used = self.clock;
            }
        }
        let missing: BTreeSet<i64> =
            windows.iter().copied().filter(|window| !self.windows.contains_key(&(group, *window))).collect();
        if let (Some(first), Some(last)) = (missing.first(), missing.last()) {
            self.make_room()?;
            for window in &missing {
                self.windows.insert((group, *window), Window { used: self.clock, ..Window::default() });
            }
            let range = ids_key(group, *first)..ids_key(group, last.saturating_add(WINDOW));
            for (key, value) in self.ledger.range(&range.start..&range.end)? {
                let Some(window) = window_in(&key).filter(|window| missing.contains(window)) else {
                    continue;
                };
                let Some(loaded) = self.windows.get_mut(&(group, window)) else { continue };
                for id in value.chunks_exact(16) {
                    let id = id.iter().fold(0, |number: Identity, byte| number << 8 | Identity::from(*byte));
                    self.ids += usize::from(loaded.ids.insert(id));
                }
            }
        }
        Ok(())
    }

    /// Whether the id is new; it is not from now on. The window was loaded.
    pub(super) fn insert(&mut self, group: GroupKey, window: i64, id: Identity) -> bool {
        let is_new = self.windows.entry((group, window)).or_default().ids.insert(id);
        self.ids += usize::from(is_new);
        is_new
    }

    /// The position of a batch with these new ids, each with its window, in the order of commits.
    pub(super) fn position(&mut self, group: GroupKey, ids: &[(i64, Identity)]) -> Position {
        self.sequence += 1;
        let mut chunks: HashMap<i64, Vec<u8>> = HashMap::new();
        for (window, id) in ids {
            chunks.entry(*window).or_default().extend(id.to_be_bytes());
        }
        let mut puts = vec![(SEQUENCE_KEY.to_vec(), self.sequence.to_be_bytes().to_vec())];
        for (window, chunk) in chunks {
            if let Some(window) = self.windows.get_mut(&(group, window)) {
                window.sequence = self.sequence;
            }
            let mut key = ids_key(group, window);
            key.extend(self.sequence.to_be_bytes());
            puts.push((key, chunk));
        }
        Position { puts, removes: Vec::new() }
    }

    /// Forgets all windows that end before `time`: in memory now, in the ledger with the position that this range of
    /// keys is added to.
    pub(super) fn forget(&mut self, group: GroupKey, time: i64) -> Range<Vec<u8>> {
        let first = window_of(time);
        let mut left = 0;
        self.windows.retain(|(of, window), ids| {
            let stays = *of != group || *window >= first;
            left += if stays { ids.ids.len() } else { 0 };
            stays
        });
        self.ids = left;
        ids_key(group, i64::MIN)..ids_key(group, first)
    }

    /// Whether everything that was handed on has been delivered and committed.
    pub(super) fn all_committed(&self) -> Result<bool> {
        Ok(committed(&self.ledger)? == self.sequence)
    }

    /// Lets the windows go that were not used for the longest time, if all of theirs is in the ledger.
    fn make_room(&mut self) -> Result<()> {
        if self.ids <= self.limit {
            return Ok(());
        }
        let committed = committed(&self.ledger)?;
        let mut leaving: Vec<(u64, (GroupKey, i64))> = self
            .windows
            .iter()
            .filter(|(_, window)| window.sequence <= committed && window.used < self.clock)
            .map(|(key, window)| (window.used, *key))
            .collect();
        leaving.sort_unstable();
        for (_, key) in leaving {
            if self.ids <= self.limit / 2 {
                break;
            }
            self.ids -= self.windows.remove(&key).map_or(0, |window| window.ids.len());
        }
        Ok(())
    }
}

fn committed(ledger: &InputLedger) -> Result<u64> {
    let value = ledger.get(SEQUENCE_KEY)?;
    Ok(value.and_then(|value| value.try_into().ok()).map_or(0, u64::from_be_bytes))
}

/// `i`, group, window (so that keys sort by time), and then the sequence number of the position.
fn ids_key(group: GroupKey, window: i64) -> Vec<u8> {
    let mut key = Vec::with_capacity(25);
    key.push(b'i');
    key.extend(group);
    key.extend((window.cast_unsigned() ^ 1 << 63).to_be_bytes());
    key
}

fn window_in(key: &[u8]) -> Option<i64> {
    let bytes: [u8; 8] = key.get(9..17)?.try_into().ok()?;
    Some((u64::from_be_bytes(bytes) ^ 1 << 63).cast_signed())
}

/// Ids are hashes already.
#[derive(Default)]
struct IdHasher(u64);

impl Hasher for IdHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }

    fn write_u128(&mut self, id: u128) {
        self.0 = (id >> 64) as u64 ^ id as u64;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::Ledger;

    const A: GroupKey = [1; 8];
    const B: GroupKey = [2; 8];

    fn insert(seen: &mut SeenIds, group: GroupKey, window: i64, ids: Range<u128>) -> (usize, Position) {
        seen.load(group, &BTreeSet::from([window])).unwrap();
        let new: Vec<(i64, u128)> =
            ids.filter(|id| seen.insert(group, window, *id)).map(|id| (window, id)).collect();
        (new.len(), seen.position(group, &new))
    }

    #[test]
    fn windows() {
        for (time, window) in
            [(0, 0), (59_999, 0), (60_000, 60_000), (-1, -60_000), (i64::MAX, i64::MAX / WINDOW * WINDOW)]
        {
            assert_eq!(window_of(time), window);
        }
        assert!(ids_key(A, -60_000) < ids_key(A, 0) && ids_key(A, 0) < ids_key(A, 60_000));
        assert_eq!(window_in(&ids_key(A, -60_000)), Some(-60_000));
    }

    #[test]
    fn what_was_committed_is_known_to_the_next_run() {
        let ledger = Ledger::in_memory().unwrap();
        let mut seen = SeenIds::open(ledger.input("x")).unwrap();
        let (count, first) = insert(&mut seen, A, 0, 0..10);
        let (_, second) = insert(&mut seen, A, 60_000, 10..20);
        assert_eq!(count, 10);
        assert_eq!(insert(&mut seen, A, 0, 5..12).0, 2, "known before it is committed");
        assert_eq!(insert(&mut seen, B, 0, 0..3).0, 3, "groups are apart");
        ledger.commit(&[("x", &first)]).unwrap();
        assert!(!seen.all_committed().unwrap());
        drop(second);
        let mut seen = SeenIds::open(ledger.input("x")).unwrap();
        assert_eq!(insert(&mut seen, A, 0, 0..10).0, 0);
        assert_eq!(insert(&mut seen, A, 60_000, 10..20).0, 10, "it was never committed");
    }

    #[test]
    fn windows_leave_memory_only_when_they_are_in_the_ledger() {
        let ledger = Ledger::in_memory().unwrap();
        let mut seen = SeenIds::open(ledger.input("x")).unwrap();
        seen.limit = 10;
        let (_, first) = insert(&mut seen, A, 0, 0..10);
        ledger.commit(&[("x", &first)]).unwrap();
        insert(&mut seen, A, 60_000, 10..20);
        insert(&mut seen, A, 120_000, 20..30);
        assert!(!seen.windows.contains_key(&(A, 0)) && seen.windows.contains_key(&(A, 60_000)));
        assert_eq!(insert(&mut seen, A, 60_000, 10..20).0, 0);
        assert_eq!(insert(&mut seen, A, 0, 0..11).0, 1, "it was read from the ledger again");
    }

    #[test]
    fn closed_windows_are_forgotten() {
        let ledger = Ledger::in_memory().unwrap();
        let mut seen = SeenIds::open(ledger.input("x")).unwrap();
        let positions = [
            insert(&mut seen, A, 0, 0..5).1,
            insert(&mut seen, A, 60_000, 5..9).1,
            insert(&mut seen, B, 0, 0..5).1,
        ];
        for position in &positions {
            ledger.commit(&[("x", position)]).unwrap();
        }
        assert!(seen.all_committed().unwrap());
        let removes = vec![seen.forget(A, 60_001)];
        assert_eq!(seen.ids, 9);
        ledger.commit(&[("x", &Position { puts: vec![], removes })]).unwrap();
        let mut seen = SeenIds::open(ledger.input("x")).unwrap();
        assert_eq!(insert(&mut seen, A, 0, 0..5).0, 5);
        assert_eq!(insert(&mut seen, A, 60_000, 5..9).0, 0);
        assert_eq!(insert(&mut seen, B, 0, 0..5).0, 0);
    }
}
