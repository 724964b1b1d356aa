//! Files that were cut or changed on the disk: an opening gives what was committed, or sets the file aside and says so. It
//! never gives anything else.

use std::fs;
use std::path::Path;

use super::{Entry, Ledger, Position};

/// All that an input has in the ledger.
fn content(ledger: &Ledger) -> Vec<Entry> {
    let input = ledger.input("input");
    input.range(b"".as_slice()..&[0xff; 40]).expect("an opened ledger can be read")
}

/// In memory where there is such a place: what a disk is told to keep is not what is tried here, and takes most of the time.
fn folder() -> tempfile::TempDir {
    let memory = Path::new("/dev/shm");
    if memory.is_dir() { tempfile::tempdir_in(memory).unwrap() } else { tempfile::tempdir().unwrap() }
}

/// Positions as the CloudWatch input makes them: ids of windows, and windows that are forgotten.
fn commits() -> Vec<Position> {
    let commit = |number: u8| {
        let id = |row: u8| [number.wrapping_mul(31) ^ row; 16];
        let ids: Vec<u8> = (0..200).flat_map(id).collect();
        let puts = vec![(vec![b'i', number], ids), (b"s".to_vec(), vec![number])];
        let removes = if number > 4 { vec![vec![b'i']..vec![b'i', number - 4]] } else { Vec::new() };
        Position { puts, removes }
    };
    (0..12).map(commit).collect()
}

/// A ledger's file and its mark, and what was in it after every commit.
struct Written {
    bytes: Vec<u8>,
    mark: Vec<u8>,
    contents: Vec<Vec<Entry>>,
}

/// `closed`: by its process, which did not just end.
fn write(closed: bool) -> Written {
    let folder = folder();
    let path = folder.path().join("ledger.redb");
    let ledger = Ledger::open(folder.path()).unwrap();
    let mut contents = vec![content(&ledger)];
    for position in commits() {
        ledger.commit(&[("input", &position)]).unwrap();
        contents.push(content(&ledger));
    }
    let bytes = fs::read(&path).unwrap();
    drop(ledger);
    let bytes = if closed { fs::read(&path).unwrap() } else { bytes };
    Written { bytes, mark: fs::read(folder.path().join("ledger.lock")).unwrap(), contents }
}

/// How often an opening gave what.
#[derive(Clone, Copy, Debug, Default)]
struct Outcomes {
    /// All that was committed.
    whole: usize,
    /// What was committed up to a number of commits, which was said.
    older: usize,
    /// Nothing: the file was set aside and a new ledger begun.
    aside: usize,
}

impl Written {
    /// Opens a ledger with these bytes, and takes note of what came of it.
    fn open(&self, folder: &Path, bytes: &[u8], damage: &str, outcomes: &mut Outcomes) {
        for entry in fs::read_dir(folder).unwrap() {
            fs::remove_file(entry.unwrap().path()).unwrap();
        }
        fs::write(folder.join("ledger.redb"), bytes).unwrap();
        fs::write(folder.join("ledger.lock"), &self.mark).unwrap();
        let ledger = Ledger::open(folder).unwrap_or_else(|error| panic!("{damage}: {error:#}"));
        let mut names = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name());
        let is_aside = names.any(|name| name.to_string_lossy().contains(".damaged-"));
        let lost = usize::try_from(ledger.lost_commits()).unwrap();
        let (outcome, right) = match (is_aside, lost) {
            (true, _) => (&mut outcomes.aside, 0),
            (false, 0) => (&mut outcomes.whole, self.contents.len() - 1),
            (false, lost) => (&mut outcomes.older, self.contents.len() - 1 - lost),
        };
        *outcome += 1;
        let found = content(&ledger);
        let which = self.contents.iter().position(|content| *content == found);
        assert_eq!(which, Some(right), "{damage}: the content is not what was said");
        let again = Position { puts: vec![(b"new".to_vec(), b"1".to_vec())], removes: Vec::new() };
        ledger.commit(&[("input", &again)]).unwrap_or_else(|error| panic!("{damage}: {error:#}"));
    }

    /// Damages the file in many ways.
    fn check(&self, damages: impl Iterator<Item = Damage>) -> Outcomes {
        let folder = folder();
        let mut outcomes = Outcomes::default();
        for (name, damage) in damages {
            let mut damaged = self.bytes.clone();
            damage(&mut damaged);
            self.open(folder.path(), &damaged, &name, &mut outcomes);
        }
        println!("{outcomes:?}");
        outcomes
    }
}

type Damage = (String, Box<dyn Fn(&mut Vec<u8>)>);

/// Pages that something lies on: most of a young file is room made in advance.
fn used_pages(bytes: &[u8]) -> Vec<usize> {
    let page = |number: &usize| bytes[number * 4096..].iter().take(4096).any(|byte| *byte != 0);
    (0..bytes.len() / 4096).filter(page).collect()
}

#[test]
fn cut_files() {
    for closed in [true, false] {
        let written = write(closed);
        let length = written.bytes.len();
        let steps = (0..40).map(|step| length * step / 40);
        let ends = used_pages(&written.bytes).into_iter().map(|page| page * 4096 + 100);
        let cuts = steps.chain(ends).chain([1, 9, 63, 64, 320, length - 1]).map(|to| -> Damage {
            (format!("cut to {to} of {length}"), Box::new(move |bytes| bytes.truncate(to)))
        });
        let outcomes = written.check(cuts);
        assert!(outcomes.aside > 20 && outcomes.older > 0, "{outcomes:?}");
    }
}

#[test]
fn flipped_bits() {
    for closed in [true, false] {
        let written = write(closed);
        // Half of the header's first bytes, where redb keeps which of two states counts, and places on every page.
        let pages = used_pages(&written.bytes);
        let in_pages = pages.iter().flat_map(|page| (0..4).map(move |step| page * 4096 + 7 + step * 1019));
        let flips = (0..320).step_by(2).chain(in_pages).map(|place| -> Damage {
            let bit = 1 << (place % 8);
            let flip = move |bytes: &mut Vec<u8>| {
                if let Some(byte) = bytes.get_mut(place) {
                    *byte ^= bit;
                }
            };
            (format!("bit {bit} of byte {place}, closed: {closed}"), Box::new(flip))
        });
        let outcomes = written.check(flips);
        assert!(outcomes.whole > 0 && outcomes.aside + outcomes.older > 50, "{outcomes:?}");
    }
}

#[test]
fn torn_pages_and_foreign_files() {
    let written = write(false);
    let torn = used_pages(&written.bytes).into_iter().map(|page| -> Damage {
        let tear = move |bytes: &mut Vec<u8>| {
            let second_half = page * 4096 + 2048..page * 4096 + 4096;
            bytes.get_mut(second_half).into_iter().for_each(|half| half.fill(0));
        };
        (format!("second half of page {page}"), Box::new(tear))
    });
    let foreign: [Damage; 3] = [
        ("text".to_owned(), Box::new(|bytes| *bytes = b"this is no ledger".repeat(1000))),
        ("zeros".to_owned(), Box::new(|bytes| bytes.fill(0))),
        (
            "every page".to_owned(),
            Box::new(|bytes| bytes.iter_mut().skip(4096).step_by(512).for_each(|byte| *byte ^= 0x55)),
        ),
    ];
    assert!(written.check(torn.chain(foreign)).aside >= 3);
}

/// A file as redb leaves it when its process is ended before the end of its making, and nothing that says that there ever were
/// commits.
#[test]
fn a_making_that_was_cut_off() {
    let check = |bytes: &[u8], mark: Option<&[u8]>, is_aside: bool| {
        let folder = folder();
        fs::write(folder.path().join("ledger.redb"), bytes).unwrap();
        if let Some(mark) = mark {
            fs::write(folder.path().join("ledger.lock"), mark).unwrap();
        }
        let ledger = Ledger::open(folder.path()).unwrap();
        assert_eq!(content(&ledger), []);
        let mut names = fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name());
        assert_eq!(names.any(|name| name.to_string_lossy().contains(".damaged-")), is_aside);
    };
    let unfinished = [0; 8192];
    check(&unfinished, None, false);
    check(&unfinished, Some(b""), false);
    check(&unfinished, Some(&write(false).mark), true);
    check(b"somebody's own file", None, true);
    check(&[0; 8], None, true);
}
