//! The ids of events that were handed on, by window of event time. In the ledger they are written with the position of the
//! batch that they came in, so what is there was delivered. Memory has the windows in use, and the ids whose batches are on
//! their way; a window with more ids than may be held is looked up in the ledger, a page at a time.

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::hash::{BuildHasherDefault, Hasher};
use std::ops::{ControlFlow, Range};

use anyhow::Result;

use super::windows::{WINDOW, window_of};
use crate::event::Identity;
use crate::ledger::{InputLedger, Position};

/// Ids in memory, beyond which windows that were not used lately leave it: some 40 MB.
const IDS_IN_MEMORY: usize = 1_000_000;
/// A window with more ids is not held.
const IDS_OF_A_WINDOW: usize = IDS_IN_MEMORY / 4;
/// Ids in a value of the ledger: such a value fills one of its pages of 4 KiB.
const IDS_OF_A_VALUE: usize = 248;
/// The key of the last position that was committed.
pub(super) const SEQUENCE_KEY: &[u8] = b"s";

/// A group's number in the ledger's keys: a hash of its source.
pub(super) type GroupKey = [u8; 8];

type Ids = HashSet<Identity, BuildHasherDefault<IdHasher>>;

/// Ids that were handed on, of all groups of an input.
pub(super) struct SeenIds {
    ledger: InputLedger,
    windows: HashMap<(GroupKey, i64), Window>,
    /// Ids in `windows`.
    ids: usize,
    /// What was handed on and is not in the ledger yet. The line bounds it.
    on_their_way: VecDeque<OnItsWay>,
    /// The number of the position that was made last; they are committed in this order.
    sequence: u64,
    /// The ledger ran out of its budget: ids of windows before this are not kept in it.
    kept_from: i64,
    /// The position with which ids leave the ledger for its budget.
    leaving: u64,
    clock: u64,
    limit: usize,
    window_limit: usize,
}

#[derive(Default)]
struct Window {
    /// All ids of the window, or none if they are too many.
    ids: Ids,
    is_too_large: bool,
    used: u64,
}

struct OnItsWay {
    sequence: u64,
    group: GroupKey,
    ids: Vec<(i64, Identity)>,
}

/// Ids that leave the ledger before their windows are closed.
pub(super) struct GivenWay {
    /// How many.
    pub(super) ids: u64,
    /// Their keys.
    pub(super) ranges: Vec<Range<Vec<u8>>>,
}

impl SeenIds {
    /// Nothing in memory yet.
    pub(super) fn open(ledger: InputLedger) -> Result<Self> {
        let sequence = committed(&ledger)?;
        Ok(SeenIds {
            ledger,
            windows: HashMap::new(),
            ids: 0,
            on_their_way: VecDeque::new(),
            sequence,
            kept_from: i64::MIN,
            leaving: 0,
            clock: 0,
            limit: IDS_IN_MEMORY,
            window_limit: IDS_OF_A_WINDOW,
        })
    }

    /// With room for fewer ids.
    #[cfg(test)]
    pub(super) fn limited(mut self, limit: usize) -> Self {
        (self.limit, self.window_limit) = (limit, limit / 4);
        self
    }

    /// Which of a page's ids, each with its window, are new; they are not from now on. The positions of their batches are
    /// to be made before this is called again.
    pub(super) fn select_new(&mut self, group: GroupKey, ids: &[(i64, Identity)]) -> Result<Vec<bool>> {
        self.clock += 1;
        self.forget_what_arrived()?;
        let mut rows: BTreeMap<i64, Vec<usize>> = BTreeMap::new();
        for (row, (window, _)) in ids.iter().enumerate() {
            rows.entry(*window).or_default().push(row);
        }
        let mut new = vec![false; ids.len()];
        let id_of = |row: usize| ids.get(row).map_or(0, |(_, id)| *id);
        for (window, rows) in rows {
            self.make_room();
            self.load(group, window)?;
            let known = match self.windows.get(&(group, window)) {
                Some(found) if found.is_too_large => {
                    Some(self.known(group, window, rows.iter().map(|row| id_of(*row)))?)
                }
                _ => None,
            };
            let mut in_page = Ids::default();
            let Some(held) = self.windows.get_mut(&(group, window)) else { continue };
            for row in rows {
                let id = id_of(row);
                let is_new = match &known {
                    Some(known) => !known.contains(&id) && in_page.insert(id),
                    None => held.ids.insert(id),
                };
                self.ids += usize::from(is_new && known.is_none());
                if let Some(new) = new.get_mut(row) {
                    *new = is_new;
                }
            }
        }
        Ok(new)
    }

    /// Makes a window ready: with all its ids, or with none if they are too many.
    fn load(&mut self, group: GroupKey, window: i64) -> Result<()> {
        if let Some(found) = self.windows.get_mut(&(group, window)) {
            found.used = self.clock;
            return Ok(());
        }
        let mut loaded = Window { used: self.clock, ..Window::default() };
        let (limit, range) = (self.window_limit, keys_of(group, window));
        self.ledger.visit(&range.start..&range.end, |_, value| {
            loaded.ids.extend(ids_in(value));
            loaded.is_too_large = loaded.ids.len() > limit;
            if loaded.is_too_large { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        })?;
        if loaded.is_too_large {
            loaded.ids = Ids::default();
        } else {
            loaded.ids.extend(self.on_their_way_in(group, window));
        }
        self.ids += loaded.ids.len();
        self.windows.insert((group, window), loaded);
        Ok(())
    }

    /// Those of a page's ids that a window too large to be held has.
    fn known(&self, group: GroupKey, window: i64, ids: impl Iterator<Item = Identity>) -> Result<Ids> {
        let wanted: Ids = ids.collect();
        let mut known: Ids = self.on_their_way_in(group, window).filter(|id| wanted.contains(id)).collect();
        let range = keys_of(group, window);
        self.ledger.visit(&range.start..&range.end, |_, value| {
            known.extend(ids_in(value).filter(|id| wanted.contains(id)));
            if known.len() == wanted.len() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        })?;
        Ok(known)
    }

    fn on_their_way_in(&self, group: GroupKey, window: i64) -> impl Iterator<Item = Identity> {
        let of_group = self.on_their_way.iter().filter(move |batch| batch.group == group);
        of_group.flat_map(|batch| &batch.ids).filter(move |(of, _)| *of == window).map(|(_, id)| *id)
    }

    /// The position of a batch with these new ids, each with its window, in the order of commits.
    pub(super) fn position(&mut self, group: GroupKey, ids: &[(i64, Identity)]) -> Position {
        self.sequence += 1;
        let mut values: BTreeMap<i64, Vec<Identity>> = BTreeMap::new();
        for (window, id) in ids.iter().filter(|(window, _)| *window >= self.kept_from) {
            values.entry(*window).or_default().push(*id);
        }
        let mut puts = vec![(SEQUENCE_KEY.to_vec(), self.sequence.to_be_bytes().to_vec())];
        for (window, ids) in values {
            for (part, ids) in (0_u32..).zip(ids.chunks(IDS_OF_A_VALUE)) {
                let mut key = ids_key(group, window);
                key.extend(self.sequence.to_be_bytes());
                key.extend(part.to_be_bytes());
                puts.push((key, ids.iter().flat_map(|id| id.to_be_bytes()).collect()));
            }
        }
        if !ids.is_empty() {
            self.on_their_way.push_back(OnItsWay { sequence: self.sequence, group, ids: ids.to_vec() });
        }
        Position { puts, removes: Vec::new() }
    }

    /// How many ids are in memory.
    pub(super) fn held(&self) -> usize {
        self.ids
    }

    /// The number of the position that was made last.
    pub(super) fn sequence(&self) -> u64 {
        self.sequence
    }

    /// Forgets all windows that end at `time` or before: in memory now, in the ledger with the position that this range of
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

    /// Makes room in a ledger that is larger than its budget: the ids of the oldest windows, a tenth of all, leave it with
    /// the position that these ranges of keys are added to. Their events are handed on once
    /// more if they are read again when memory does not know them any longer.
    pub(super) fn give_way(&mut self) -> Result<Option<GivenWay>> {
        let (used, budget) = self.ledger.used_and_budget();
        if used <= budget || committed(&self.ledger)? < self.leaving {
            return Ok(None);
        }
        let mut sizes: BTreeMap<i64, u64> = BTreeMap::new();
        let mut groups: HashSet<GroupKey> = HashSet::new();
        self.ledger.visit(b"i"..b"j", |key, value| {
            if let Some((group, window)) = window_in(key) {
                groups.insert(group);
                *sizes.entry(window).or_default() += value.len() as u64;
            }
            ControlFlow::Continue(())
        })?;
        let wanted = used - budget + budget / 10;
        let mut freed = 0;
        for (window, size) in sizes {
            if freed >= wanted {
                break;
            }
            freed += size;
            self.kept_from = window.saturating_add(WINDOW).max(self.kept_from);
        }
        if freed == 0 {
            return Ok(None);
        }
        self.leaving = self.sequence;
        let ranges = groups
            .into_iter()
            .map(|group| ids_key(group, i64::MIN)..ids_key(group, self.kept_from))
            .collect();
        Ok(Some(GivenWay { ids: freed / 16, ranges }))
    }

    /// Whether everything that was handed on has been delivered and committed.
    pub(super) fn all_committed(&self) -> Result<bool> {
        Ok(committed(&self.ledger)? == self.sequence)
    }

    fn forget_what_arrived(&mut self) -> Result<()> {
        let committed = committed(&self.ledger)?;
        while self.on_their_way.pop_front_if(|batch| batch.sequence <= committed).is_some() {}
        Ok(())
    }

    /// Lets the windows go that were not used for the longest time, and those that have become too large.
    fn make_room(&mut self) {
        for window in self.windows.values_mut().filter(|window| window.ids.len() > self.window_limit) {
            self.ids -= window.ids.len();
            (window.ids, window.is_too_large) = (Ids::default(), true);
        }
        if self.ids <= self.limit {
            return;
        }
        let held = self.windows.iter().filter(|(_, window)| !window.is_too_large);
        let mut leaving: Vec<(u64, (GroupKey, i64))> =
            held.map(|(key, window)| (window.used, *key)).collect();
        leaving.sort_unstable();
        for (_, key) in leaving {
            if self.ids <= self.limit / 2 {
                break;
            }
            self.ids -= self.windows.remove(&key).map_or(0, |window| window.ids.len());
        }
    }
}

/// The number of the position that was committed last.
pub(super) fn committed(ledger: &InputLedger) -> Result<u64> {
    let value = ledger.get(SEQUENCE_KEY)?;
    Ok(value.and_then(|value| value.try_into().ok()).map_or(0, u64::from_be_bytes))
}

pub(super) fn ids_in(value: &[u8]) -> impl Iterator<Item = Identity> {
    value.as_chunks().0.iter().map(|id| Identity::from_be_bytes(*id))
}

fn keys_of(group: GroupKey, window: i64) -> Range<Vec<u8>> {
    ids_key(group, window)..ids_key(group, window.saturating_add(WINDOW))
}

/// `i`, group, window (so that keys sort by time); then come the sequence number of the position and the part of it.
pub(super) fn ids_key(group: GroupKey, window: i64) -> Vec<u8> {
    let mut key = Vec::with_capacity(29);
    key.push(b'i');
    key.extend(group);
    key.extend((window.cast_unsigned() ^ 1 << 63).to_be_bytes());
    key
}

fn window_in(key: &[u8]) -> Option<(GroupKey, i64)> {
    let group = key.get(1..9)?.try_into().ok()?;
    let bytes: [u8; 8] = key.get(9..17)?.try_into().ok()?;
    Some((group, (u64::from_be_bytes(bytes) ^ 1 << 63).cast_signed()))
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
        let ids: Vec<(i64, u128)> = ids.map(|id| (window, id)).collect();
        let is_new = seen.select_new(group, &ids).unwrap();
        let new: Vec<(i64, u128)> =
            ids.into_iter().zip(is_new).filter(|(_, is_new)| *is_new).map(|(id, _)| id).collect();
        (new.len(), seen.position(group, &new))
    }

    #[test]
    fn keys_sort_by_time() {
        assert!(ids_key(A, -60_000) < ids_key(A, 0) && ids_key(A, 0) < ids_key(A, 60_000));
        assert_eq!(window_in(&ids_key(A, -60_000)), Some((A, -60_000)));
    }

    #[test]
    fn what_was_committed_is_known_to_the_next_run() {
        let ledger = Ledger::in_memory().unwrap();
        let mut seen = SeenIds::open(ledger.input("x")).unwrap();
        let (count, first) = insert(&mut seen, A, 0, 0..1000);
        let (_, second) = insert(&mut seen, A, 60_000, 10..20);
        assert_eq!(count, 1000);
        assert_eq!(insert(&mut seen, A, 0, 995..1002).0, 2, "known before it is committed");
        assert_eq!(insert(&mut seen, B, 0, 0..3).0, 3, "groups are apart");
        ledger.commit(&[("x", &first)]).unwrap();
        assert!(!seen.all_committed().unwrap());
        drop(second);
        let mut seen = SeenIds::open(ledger.input("x")).unwrap();
        assert_eq!(insert(&mut seen, A, 0, 0..1000).0, 0);
        assert_eq!(insert(&mut seen, A, 60_000, 10..20).0, 10, "it was never committed");
    }

    #[test]
    fn memory_is_bounded_and_knows_what_left_it() {
        let ledger = Ledger::in_memory().unwrap();
        let mut seen = SeenIds::open(ledger.input("x")).unwrap().limited(40);
        let mut positions = VecDeque::new();
        for number in 0..20_i64 {
            let ids = (number * 9).unsigned_abs();
            positions
                .push_back(insert(&mut seen, A, number * WINDOW, u128::from(ids)..u128::from(ids) + 9).1);
            if number % 3 == 2 {
                ledger.commit(&[("x", &positions.pop_front().unwrap())]).unwrap();
            }
            assert!(seen.ids <= 60, "{} ids are held", seen.ids);
        }
        for number in 0..20_i64 {
            let ids = u128::from((number * 9).unsigned_abs());
            assert_eq!(insert(&mut seen, A, number * WINDOW, ids..ids + 10).0, 1, "window {number}");
        }
        assert!(seen.windows.len() < 20);
    }

    #[test]
    fn a_window_too_large_for_memory_is_looked_up() {
        let ledger = Ledger::in_memory().unwrap();
        let mut seen = SeenIds::open(ledger.input("x")).unwrap().limited(400);
        for page in 0..50 {
            let (count, position) = insert(&mut seen, A, 0, page * 50..page * 50 + 60);
            assert_eq!(count, if page == 0 { 60 } else { 50 }, "page {page}");
            // Every other batch is still on its way when the next page comes.
            if page % 2 == 0 {
                ledger.commit(&[("x", &position)]).unwrap();
            } else {
                assert_eq!(insert(&mut seen, A, 0, page * 50..page * 50 + 60).0, 0, "page {page}");
                ledger.commit(&[("x", &position)]).unwrap();
            }
            assert!(seen.ids <= 460, "{} ids are held", seen.ids);
        }
        assert!(seen.windows[&(A, 0)].is_too_large);
        let mut seen = SeenIds::open(ledger.input("x")).unwrap().limited(400);
        assert_eq!(insert(&mut seen, A, 0, 0..2520).0, 10, "as a new process finds it");
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

    #[test]
    fn the_oldest_ids_give_way_to_the_budget() {
        let ledger = Ledger::in_memory().unwrap();
        ledger.set_budget(5000);
        let mut seen = SeenIds::open(ledger.input("x")).unwrap();
        let mut forgotten = 0;
        for minute in 0..100_i64 {
            let first = u128::from(minute.unsigned_abs()) * 20;
            let (_, mut position) = insert(&mut seen, A, minute * WINDOW, first..first + 20);
            if let Some(given) = seen.give_way().unwrap() {
                forgotten += given.ids;
                position.removes = given.ranges;
                assert!(seen.give_way().unwrap().is_none(), "one at a time");
            }
            ledger.commit(&[("x", &position)]).unwrap();
            assert!(ledger.used_and_budget().0 < 5400, "{:?}", ledger.used_and_budget());
        }
        assert!((1600..2000).contains(&forgotten), "{forgotten}");
        assert_eq!(insert(&mut seen, A, 0, 0..20).0, 0, "memory still knows them");
        let mut seen = SeenIds::open(ledger.input("x")).unwrap();
        assert_eq!(insert(&mut seen, A, 99 * WINDOW, 1980..2000).0, 0, "the youngest are kept");
        assert_eq!(insert(&mut seen, A, 0, 0..20).0, 20);
    }
}
