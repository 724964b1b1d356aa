//! Dead letters on disk: rotation, torn and damaged lines, limits, marks.

use std::fs::OpenOptions;
use std::os::unix::fs::PermissionsExt;
use std::time::{Duration, SystemTime};

use tempfile::TempDir;

use super::letter::tests::letter;
use super::*;
use crate::output::RetryWaits;

const WAITS: RetryWaits = RetryWaits { initial: Duration::from_millis(1), max: Duration::from_millis(1) };

struct Fixture {
    folder: TempDir,
    letters: DeadLetters,
    stop: CancellationToken,
}

impl Fixture {
    fn new(limits: DeadLetterLimits) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let stop = CancellationToken::new();
        let place = DeadLetterPlace::Folder(folder.path().to_owned());
        let limits = DeadLetterLimits { waits: WAITS, ..limits };
        let letters = DeadLetters::open(place, limits, "p", Arc::default(), stop.clone());
        Fixture { folder, letters: letters.expect("a folder can be made"), stop }
    }

    async fn write(&self, reasons: &[&str]) -> Delivery {
        let letters = reasons.iter().map(|reason| letter(reason)).collect();
        self.letters.write(letters).await.expect("there is room, or the letters may be dropped")
    }

    fn segment(&self, number: u64) -> PathBuf {
        self.folder.path().join(format!("{number:012}.ndjson"))
    }

    fn lines(&self) -> Vec<Line> {
        let lines = read_folder(self.folder.path()).expect("there is a folder");
        lines.map(|line| line.expect("it can be read")).collect()
    }

    /// The reasons of the letters that are not done with; `!` for a damaged line.
    fn reasons(&self) -> Vec<String> {
        let lines = self.lines().into_iter().filter_map(|line| match line {
            Line::Letter(found) => (!found.is_done).then_some(found.letter.reason),
            Line::Damaged { .. } => Some("!".to_owned()),
        });
        lines.collect()
    }

    fn mark(&self, reason: &str) {
        let lines = self.lines().into_iter().filter_map(|line| match line {
            Line::Letter(found) if found.letter.reason == reason => Some((found.id, found.checksum)),
            _ => None,
        });
        let marked: Vec<_> = lines.collect();
        let locked = lock(self.folder.path()).expect("it can be locked");
        locked.mark_done(&marked).expect("there is room");
        locked.remove_done().expect("it can be changed");
    }

    fn files(&self) -> Vec<String> {
        let entries = fs::read_dir(self.folder.path()).expect("there is a folder");
        let names = entries.map(|entry| entry.expect("it can be read").file_name().into_string());
        let mut names: Vec<String> = names.map(|name| name.expect("it is text")).collect();
        names.retain(|name| name != "lock");
        names.sort();
        names
    }
}

fn limits(segment_bytes: u64, total_bytes: u64, when_full: WhenFull) -> DeadLetterLimits {
    DeadLetterLimits { segment_bytes, total_bytes, when_full, ..DeadLetterLimits::default() }
}

const KEPT: Delivery = Delivery { delivered: 0, dead_lettered: 1, dropped: 0 };

#[tokio::test]
async fn segments_are_rotated_and_a_torn_line_is_cut_off() {
    let fixture = Fixture::new(limits(300, 1 << 20, WhenFull::Block));
    fixture.write(&["1"]).await;
    let first = fixture.segment(1);
    let mode = fs::metadata(&first).expect("it was written").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let mut torn = OpenOptions::new().append(true).open(&first).expect("it is there");
    torn.write_all(b"{\"time\":\"20").expect("there is room");
    assert_eq!(fixture.reasons(), ["1", "!"]);
    for reason in ["2", "3", "4"] {
        assert_eq!(fixture.write(&[reason]).await, KEPT);
    }
    assert_eq!(fixture.reasons(), ["1", "2", "3", "4"]);
    assert_eq!(segments(fixture.folder.path()).expect("there is a folder").len(), 2);
}

#[tokio::test]
async fn a_damaged_line_hides_no_other() {
    let fixture = Fixture::new(DeadLetterLimits::default());
    fixture.write(&["1", "2", "3"]).await;
    let mut bytes = fs::read(fixture.segment(1)).expect("it was written");
    let middle = bytes.len() / 2;
    bytes[middle] ^= 0x80;
    fs::write(fixture.segment(1), bytes).expect("there is room");
    assert_eq!(fixture.reasons(), ["1", "!", "3"]);
    fixture.mark("1");
    fixture.mark("3");
    assert_eq!(fixture.reasons(), ["!"], "what cannot be read is kept");
}

#[tokio::test]
async fn a_full_folder_is_waited_for() {
    let fixture = Fixture::new(limits(1, 500, WhenFull::Block));
    fixture.write(&["1"]).await;
    fixture.write(&["2"]).await;
    let (delivery, ()) = tokio::join!(fixture.write(&["3"]), async {
        while fixture.letters.waiting.current().is_none() {
            tokio::task::yield_now().await;
        }
        fixture.mark("1");
    });
    assert_eq!(delivery, KEPT);
    assert_eq!(fixture.reasons(), ["2", "3"]);
    fixture.stop.cancel();
    let full = fixture.letters.write(vec![letter("4"), letter("5")]).await;
    full.expect_err("it is full and was stopped");
    assert_eq!(fixture.reasons(), ["2", "3"]);
}

#[tokio::test]
async fn what_is_dropped_for_want_of_room_is_counted() {
    let fixture = Fixture::new(limits(1, 500, WhenFull::DropNewest));
    for (reason, dropped) in [("1", 0), ("2", 0), ("3", 1), ("4", 1)] {
        let expected = Delivery { dead_lettered: 1 - dropped, dropped, delivered: 0 };
        assert_eq!(fixture.write(&[reason]).await, expected, "{reason}");
    }
    assert_eq!((fixture.reasons(), fixture.letters.removed()), (vec!["1".to_owned(), "2".to_owned()], 0));

    let fixture = Fixture::new(limits(1, 500, WhenFull::DropOldest));
    for reason in ["1", "2", "3", "4"] {
        assert_eq!(fixture.write(&[reason]).await, KEPT, "{reason}");
    }
    assert_eq!((fixture.reasons(), fixture.letters.removed()), (vec!["3".to_owned(), "4".to_owned()], 2));
    // A write that is longer than all that is allowed takes the folder for itself, and goes with the next.
    let long: Vec<String> = (0..9).map(|number| format!("long {number}")).collect();
    fixture.write(&long.iter().map(String::as_str).collect::<Vec<_>>()).await;
    assert_eq!(fixture.reasons(), long);
    fixture.write(&["5"]).await;
    assert_eq!((fixture.reasons(), fixture.letters.removed()), (vec!["5".to_owned()], 13));
}

#[tokio::test]
async fn old_segments_go() {
    let age = Duration::from_secs(3600);
    let limits = DeadLetterLimits { max_age: Some(age), ..limits(1, 1 << 20, WhenFull::Block) };
    let fixture = Fixture::new(limits);
    fixture.write(&["1"]).await;
    fixture.write(&["2"]).await;
    let old = fs::File::options().append(true).open(fixture.segment(1)).expect("it was written");
    old.set_modified(SystemTime::now() - age * 2).expect("its time can be set");
    fixture.write(&["3"]).await;
    assert_eq!((fixture.reasons(), fixture.letters.removed()), (vec!["2".to_owned(), "3".to_owned()], 1));
}

#[tokio::test]
async fn old_segments_go_without_new_letters() {
    let age = Duration::from_secs(3600);
    let limits = DeadLetterLimits { max_age: Some(age), ..limits(1, 1 << 20, WhenFull::Block) };
    let fixture = Fixture::new(limits);
    fixture.write(&["1", "2"]).await;
    fixture.write(&["3"]).await;
    let old = fs::File::options().append(true).open(fixture.segment(1)).expect("it was written");
    old.set_modified(SystemTime::now() - age * 2).expect("its time can be set");
    let removed = async {
        while fixture.letters.removed() < 2 {
            tokio::task::yield_now().await;
        }
    };
    tokio::select! {
        () = fixture.letters.remove_old_letters() => panic!("it goes on"),
        () = removed => {}
    }
    assert_eq!(fixture.reasons(), ["3"]);
    // Letters without an age, or without a folder, are not looked at.
    Fixture::new(DeadLetterLimits::default()).letters.remove_old_letters().await;
}

#[tokio::test]
async fn a_segment_that_is_old_gets_no_more_letters() {
    let max_age = Some(Duration::from_secs(3600));
    let fixture = Fixture::new(DeadLetterLimits { max_age, ..DeadLetterLimits::default() });
    // The letters of the tests are years old.
    fixture.write(&["1"]).await;
    fixture.write(&["2"]).await;
    assert_eq!(fixture.files(), ["000000000001.ndjson", "000000000002.ndjson"]);
}

#[tokio::test]
async fn marks_hold_for_their_letter_alone() {
    let fixture = Fixture::new(limits(500, 1 << 20, WhenFull::Block));
    fixture.write(&["1", "2", "3"]).await;
    fixture.mark("2");
    assert_eq!(fixture.reasons(), ["1", "3"]);
    let marks = fixture.folder.path().join("000000000001.done");
    let whole = fs::read_to_string(&marks).expect("it was written");
    // A mark that is torn or of another letter is none.
    for text in [&whole[..whole.len() - 1], &whole.replacen(' ', " 0", 1), "x y\n"] {
        fs::write(&marks, text).expect("there is room");
        assert_eq!(fixture.reasons(), ["1", "2", "3"], "{text:?}");
    }
    fixture.mark("2");
    assert_eq!(fixture.reasons(), ["1", "3"]);
    fixture.mark("1");
    fixture.mark("3");
    assert_eq!(fixture.files(), Vec::<String>::new(), "what is done with goes");

    // Marks that a crash left behind hold for no later letter.
    fs::write(&marks, &whole).expect("there is room");
    fixture.write(&["1", "2", "3"]).await;
    assert_eq!(fixture.reasons(), ["1", "2", "3"]);
    assert_eq!(fixture.files(), ["000000000001.done", "000000000002.ndjson"]);
}

#[tokio::test]
async fn off_drops_and_counts() {
    let letters = DeadLetters::open(
        DeadLetterPlace::Off,
        DeadLetterLimits::default(),
        "p",
        Arc::default(),
        CancellationToken::new(),
    );
    let delivery =
        letters.expect("nothing is opened").write(vec![letter("1")]).await.expect("nothing to wait for");
    assert_eq!(delivery, Delivery { dropped: 1, ..Delivery::default() });
}

#[test]
fn letters_are_asked_for_by_what_they_say() {
    let id = LetterId { segment: 1, offset: 7 };
    let found = FoundLetter {
        id,
        checksum: 0,
        is_done: false,
        pipeline: "p".into(),
        letter: letter("status 400: no"),
    };
    let time = found.letter.time;
    let all = LetterFilter::default();
    let check =
        |filter: LetterFilter, expected: bool| assert_eq!(filter.takes(&found), expected, "{filter:?}");
    check(all.clone(), true);
    check(LetterFilter { plugin: Some("elasticsearch#1".into()), ..all.clone() }, true);
    check(LetterFilter { plugin: Some("elasticsearch".into()), ..all.clone() }, false);
    check(LetterFilter { reason: Some("400".into()), ..all.clone() }, true);
    check(LetterFilter { reason: Some("404".into()), ..all.clone() }, false);
    check(LetterFilter { since: Some(time), until: Some(time + 1), ..all.clone() }, true);
    check(LetterFilter { since: Some(time + 1), ..all.clone() }, false);
    check(LetterFilter { until: Some(time), ..all.clone() }, false);
    check(LetterFilter { ids: vec!["1:7".parse().expect("it is one")], ..all.clone() }, true);
    check(LetterFilter { ids: vec!["1:8".parse().expect("it is one")], ..all.clone() }, false);
    assert!(!all.takes(&FoundLetter { is_done: true, ..found.clone() }));
    assert!("1".parse::<LetterId>().is_err() && "1:x".parse::<LetterId>().is_err());
}
