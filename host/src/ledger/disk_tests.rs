//! A disk that is full or breaks at any moment, and processes and machines that end there: what was committed stays
//! readable, and what was not is not half there. A process that goes on commits again when the disk takes it again.

use std::io::{self, ErrorKind};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use redb::StorageBackend;

use super::store::Store;
use super::{DiskRefuses, Entry, Position};

/// What is on the disk, and what would be after a loss of power.
#[derive(Clone, Debug, Default)]
struct Disk(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    bytes: Vec<u8>,
    /// As it was when it was last told to keep everything.
    synced: Vec<u8>,
    /// What was written since.
    written: Vec<(usize, Vec<u8>)>,
    /// Calls that change something so far.
    changes: usize,
    /// Calls from this one on fail ...
    fails_at: Option<usize>,
    /// ... as often as this.
    failures: usize,
    kind: Option<ErrorKind>,
}

impl Disk {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn change(&self) -> io::Result<MutexGuard<'_, State>> {
        let mut state = self.state();
        state.changes += 1;
        let is_broken = state.fails_at.is_some_and(|at| (at..at + state.failures).contains(&state.changes));
        match state.kind {
            Some(kind) if is_broken => Err(io::Error::from(kind)),
            _ => Ok(state),
        }
    }

    /// The same bytes on a disk that does not fail.
    fn mended(bytes: Vec<u8>) -> Self {
        Disk(Arc::new(Mutex::new(State { synced: bytes.clone(), bytes, ..State::default() })))
    }

    /// What a loss of power may leave: of the writes since the last sync those that `is_kept` says, the last one of them torn.
    fn after_power_loss(&self, is_kept: impl Fn(usize) -> bool) -> Vec<u8> {
        let state = self.state();
        let mut bytes = state.synced.clone();
        bytes.resize(state.bytes.len().max(bytes.len()), 0);
        let kept: Vec<_> = state.written.iter().enumerate().filter(|(number, _)| is_kept(*number)).collect();
        for (place, (_, (offset, data))) in kept.iter().enumerate() {
            let is_torn = place + 1 == kept.len() && data.len() > 512;
            let data = if is_torn { &data[..data.len() / 2] } else { data };
            bytes[*offset..offset + data.len()].copy_from_slice(data);
        }
        bytes
    }
}

impl StorageBackend for Disk {
    fn len(&self) -> io::Result<u64> {
        Ok(self.state().bytes.len() as u64)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let state = self.state();
        let start = usize::try_from(offset).expect("the disk is small");
        let found = state.bytes.get(start..start + out.len());
        out.copy_from_slice(found.ok_or(ErrorKind::UnexpectedEof)?);
        Ok(())
    }

    fn set_len(&self, length: u64) -> io::Result<()> {
        let length = usize::try_from(length).expect("the disk is small");
        self.change()?.bytes.resize(length, 0);
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        let mut state = self.change()?;
        state.synced = state.bytes.clone();
        state.written.clear();
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        let mut state = self.change()?;
        let start = usize::try_from(offset).expect("the disk is small");
        state.bytes[start..start + data.len()].copy_from_slice(data);
        state.written.push((start, data.to_vec()));
        Ok(())
    }
}

const COMMITS: u8 = 6;

/// Every commit changes all that it finds, so half of one would show.
fn position(number: u8) -> Position {
    let keys = (0..20).map(|key| vec![b'k', key]);
    let puts = keys.map(|key| (key, vec![number; 300])).chain([(vec![b'n', number], vec![1; 2000])]);
    let removes = if number > 2 { vec![vec![b'n']..vec![b'n', number - 1]] } else { Vec::new() };
    Position { puts: puts.collect(), removes }
}

fn content(store: &Store) -> Vec<Entry> {
    let mut entries = Vec::new();
    let everything = [].as_slice()..[0xff].as_slice();
    let visited = store.visit("input", everything, &mut |key, value| {
        entries.push((key.to_vec(), value.to_vec()));
        std::ops::ControlFlow::Continue(())
    });
    visited.expect("the ledger can be read");
    entries
}

/// What is there after so many commits.
fn contents() -> Vec<Vec<Entry>> {
    let store = Store::on(Disk::default()).unwrap();
    let mut contents = vec![content(&store)];
    for number in 0..COMMITS {
        store.commit(&[("input", &position(number))]).unwrap();
        contents.push(content(&store));
    }
    contents
}

/// Commits until the disk refuses. How many were acknowledged.
fn run(disk: &Disk) -> usize {
    let Ok(store) = Store::on(disk.clone()) else { return 0 };
    for number in 0..COMMITS {
        if store.commit(&[("input", &position(number))]).is_err() {
            if disk.state().failures > 1 {
                let again = store.commit(&[("input", &position(number))]);
                let error = again.expect_err("a full disk takes nothing");
                assert!(error.is::<DiskRefuses>(), "{error:#}");
            }
            // The process ends without a chance to tidy up.
            std::mem::forget(store);
            return usize::from(number);
        }
    }
    std::mem::forget(store);
    usize::from(COMMITS)
}

/// Opens what is left: all that was acknowledged is there, and at most the one commit that was under way, whole.
fn check(bytes: Vec<u8>, acknowledged: usize, contents: &[Vec<Entry>], what: &str) {
    let store = match Store::on(Disk::mended(bytes)) {
        Ok(store) => store,
        // The file was not there yet: nothing had been promised.
        Err(_) if acknowledged == 0 => return,
        Err(error) => panic!("{what}: {error:#}"),
    };
    let found = content(&store);
    let is_right = contents[acknowledged..].iter().take(3).any(|content| *content == found);
    let which = contents.iter().position(|content| *content == found);
    assert!(is_right, "{what}: {acknowledged} commits were acknowledged, {which:?} found");
    let next = Position { puts: vec![(vec![b'z'], vec![9; 5000])], removes: Vec::new() };
    store.commit(&[("input", &next)]).unwrap_or_else(|error| panic!("{what}: {error:#}"));
}

/// How many changes a run makes of which none fails.
fn changes() -> usize {
    let disk = Disk::default();
    assert_eq!(run(&disk), usize::from(COMMITS));
    disk.state().changes
}

#[test]
fn a_disk_that_fails_at_any_moment_holds_what_was_committed() {
    let contents = contents();
    let changes = changes();
    assert!(changes > 40, "{changes}");
    for kind in [ErrorKind::StorageFull, ErrorKind::Other] {
        // Once (a bad sector), and from then on (a full disk).
        for failures in [1, usize::MAX / 2] {
            for at in 1..=changes {
                let disk = Disk::default();
                {
                    let mut state = disk.state();
                    (state.fails_at, state.failures, state.kind) = (Some(at), failures, Some(kind));
                }
                let acknowledged = run(&disk);
                let what = format!("{kind:?} at change {at} of {changes}, {failures} times");
                let left = disk.state().bytes.clone();
                check(left, acknowledged, &contents, &what);
                check(
                    disk.after_power_loss(|_| false),
                    acknowledged,
                    &contents,
                    &format!("{what}, power lost"),
                );
            }
        }
    }
}

#[test]
fn a_commit_is_tried_again_until_the_disk_takes_it() {
    let contents = contents();
    for kind in [ErrorKind::StorageFull, ErrorKind::Other] {
        // For a moment, and until the database has been opened anew in vain.
        for failures in [1, 2, 5, 20] {
            for at in 1..=changes() {
                let what = format!("{kind:?} at change {at}, {failures} times");
                let disk = Disk::default();
                // An opening that fails is an error of the start.
                let store = Store::on(disk.clone()).unwrap();
                let opening = disk.state().changes;
                {
                    let mut state = disk.state();
                    (state.fails_at, state.failures, state.kind) = (Some(opening + at), failures, Some(kind));
                }
                for number in 0..COMMITS {
                    let mut tries = 0;
                    while let Err(error) = store.commit(&[("input", &position(number))]) {
                        assert!(error.is::<DiskRefuses>(), "{what}: {error:#}");
                        // Nothing is read as if it were not there, either.
                        let read = store.get("input", b"k\0");
                        let refused = read.is_err_and(|error| error.is::<DiskRefuses>());
                        assert!(refused, "{what}");
                        tries += 1;
                        assert!(tries <= failures, "{what}: commit {number} is refused for ever");
                    }
                    let found = content(&store);
                    assert_eq!(found, contents[usize::from(number) + 1], "{what}: commit {number}");
                    let bytes =
                        found.iter().map(|(key, value)| (key.len() + value.len()) as u64).sum::<u64>();
                    assert_eq!(store.used(), bytes, "{what}: commit {number}");
                }
            }
        }
    }
}

#[test]
fn a_disk_that_forgot_what_it_kept_is_an_error() {
    let disk = Disk::default();
    let store = Store::on(disk.clone()).unwrap();
    store.commit(&[("input", &position(0))]).unwrap();
    let early = disk.state().bytes.clone();
    store.commit(&[("input", &position(1))]).unwrap();
    {
        let mut state = disk.state();
        let next = state.changes + 1;
        (state.fails_at, state.failures, state.kind) = (Some(next), 1, Some(ErrorKind::Other));
    }
    let error = store.commit(&[("input", &position(2))]).expect_err("the disk refuses");
    assert!(error.is::<DiskRefuses>(), "{error:#}");
    disk.state().bytes = early;
    let error = store.commit(&[("input", &position(2))]).expect_err("a commit is missing");
    assert!(!error.is::<DiskRefuses>() && format!("{error:#}").contains("1 of 2 commits"), "{error:#}");
    disk.state().bytes.clear();
    let error = store.commit(&[("input", &position(2))]).expect_err("everything is missing");
    assert!(!error.is::<DiskRefuses>(), "{error:#}");
}

#[test]
fn a_loss_of_power_at_any_moment_loses_nothing_that_was_committed() {
    let seed: u64 =
        std::env::var("WEIR_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or_else(rand::random);
    println!("WEIR_SEED={seed}");
    let contents = contents();
    for at in 1..=changes() {
        let disk = Disk::default();
        {
            // All that comes after this moment never happened.
            let mut state = disk.state();
            (state.fails_at, state.failures, state.kind) = (Some(at), usize::MAX / 2, Some(ErrorKind::Other));
        }
        let acknowledged = run(&disk);
        for round in 0..8_u64 {
            let mix = |number: usize| {
                let mixed = (seed ^ round << 48 ^ (at as u64) << 24 ^ number as u64)
                    .wrapping_mul(0x9E37_79B9_7F4A_7C15);
                mixed >> 63 == 1
            };
            let bytes = if round == 0 { disk.after_power_loss(|_| true) } else { disk.after_power_loss(mix) };
            check(
                bytes,
                acknowledged,
                &contents,
                &format!("power lost at change {at}, seed {seed}, {round}"),
            );
        }
    }
}
