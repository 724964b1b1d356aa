//! Files as they are found: read to their ends, followed, packed, rotated, emptied, damaged.

use std::collections::HashSet;
use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;

use flate2::Compression;
use flate2::write::GzEncoder;
use tokio_util::sync::CancellationToken;

use super::*;
use crate::input::Codec;
use crate::input::testing::{self, Seen};
use crate::ledger::Ledger;

/// A folder with files, and a ledger that outlives the input.
struct Setting {
    folder: tempfile::TempDir,
    ledger: Ledger,
    mode: Mode,
    from_beginning: bool,
    batch_size: usize,
    stop: CancellationToken,
}

impl Setting {
    fn new(mode: Mode) -> Self {
        Setting {
            folder: tempfile::tempdir().unwrap(),
            ledger: Ledger::in_memory().unwrap(),
            mode,
            from_beginning: true,
            batch_size: 3,
            stop: CancellationToken::new(),
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn write(&self, name: &str, bytes: impl AsRef<[u8]>) {
        fs::write(self.path(name), bytes).unwrap();
    }

    fn append(&self, name: &str, text: &str) {
        let mut file = OpenOptions::new().append(true).open(self.path(name)).unwrap();
        file.write_all(text.as_bytes()).unwrap();
    }

    async fn open(&self, pattern: &str) -> Box<dyn Input> {
        let options = FileOptions {
            path: vec![self.path(pattern).to_string_lossy().into_owned()],
            mode: self.mode,
            from_beginning: self.from_beginning,
            max_line_bytes: 2 << 20,
            stat_interval: Duration::from_millis(1),
            discover_interval: Duration::from_millis(1),
        };
        let mut context = testing::context_with(&self.ledger, Codec::Plain);
        context.batch_size = self.batch_size;
        context.stop = self.stop.clone();
        Box::new(open(options, context).await.unwrap())
    }

    /// Reads all there is in `read` mode and acknowledges it.
    async fn read(&self, pattern: &str) -> Vec<Seen> {
        testing::all(&mut *self.open(pattern).await, Some(&self.ledger)).await
    }
}

fn gzip(text: &str) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(text.as_bytes()).unwrap();
    encoder.finish().unwrap()
}

/// The next events of a followed file, until there are `count`.
async fn follow(input: &mut dyn Input, ledger: &Ledger, count: usize) -> Vec<Seen> {
    let mut seen = Vec::new();
    while seen.len() < count {
        seen.extend(testing::next(input, Some(ledger)).await.expect("a followed file has no end"));
    }
    seen
}

fn distinct_identities(events: &[Seen]) -> usize {
    events.iter().map(|event| event.identity).collect::<HashSet<_>>().len()
}

#[tokio::test]
async fn files_are_read_to_their_ends() {
    let setting = Setting::new(Mode::Read);
    setting.write("a.log", "one\r\ntwo\n\nfour");
    setting.write("b.log", gzip("five\nsix\n"));
    setting.write("c.log", "");
    setting.write("other", "not this");
    let events = setting.read("*.log").await;
    let mut found = testing::messages(&events);
    found.sort_unstable();
    assert_eq!(found, ["", "five", "four", "one", "six", "two"]);
    let one = events.iter().find(|event| event.message() == "one").unwrap();
    assert_eq!(one.document["path"], setting.path("a.log").to_string_lossy().as_ref());
    assert_eq!(one.document["@version"], "1");
    assert_eq!(distinct_identities(&events), 6);
    assert!(setting.read("*.log").await.is_empty(), "a second run finds nothing new");
    setting.append("a.log", "\nfive\n");
    assert_eq!(testing::messages(&setting.read("*.log").await), ["", "five"]);
}

#[tokio::test]
async fn a_run_goes_on_after_what_was_acknowledged() {
    for packed in [false, true] {
        let setting = Setting::new(Mode::Read);
        let lines: Vec<String> = (0..20).map(|number| format!("line {number}")).collect();
        let text = lines.join("\n") + "\n";
        setting.write("a", if packed { gzip(&text) } else { text.into_bytes() });
        let mut input = setting.open("a").await;
        let mut events = Vec::new();
        for _ in 0..3 {
            events.extend(testing::next(&mut *input, Some(&setting.ledger)).await.unwrap());
        }
        // Handed out, and never acknowledged.
        let lost = testing::next(&mut *input, None).await.unwrap();
        drop(input);
        let rest = setting.read("a").await;
        assert_eq!(
            rest[..lost.len()].iter().map(|event| event.identity).collect::<Vec<_>>(),
            lost.iter().map(|event| event.identity).collect::<Vec<_>>()
        );
        events.extend(rest);
        assert_eq!(testing::messages(&events), lines, "packed: {packed}");
        assert_eq!(distinct_identities(&events), 20);
    }
}

#[tokio::test]
async fn another_file_in_the_place_of_one_is_read_from_its_start() {
    let setting = Setting::new(Mode::Read);
    setting.write("a", "one\ntwo\nthree\n");
    let first = setting.read("a").await;
    // The same inode with other text, as long as before and longer.
    setting.write("a", "one\nowt\neerht\nfour\n");
    let second = setting.read("a").await;
    assert_eq!(testing::messages(&second), ["one", "owt", "eerht", "four"]);
    let all: Vec<Seen> = first.into_iter().chain(second).collect();
    assert_eq!(distinct_identities(&all), 7);
    setting.write("a", "short\n");
    assert_eq!(testing::messages(&setting.read("a").await), ["short"]);
    // A renamed file is the same file.
    fs::rename(setting.path("a"), setting.path("b")).unwrap();
    assert!(setting.read("b").await.is_empty());
}

#[tokio::test]
async fn odd_lines() {
    let mut setting = Setting::new(Mode::Read);
    setting.batch_size = 100;
    let long = "x".repeat(1_000_000);
    let mut bytes = b"bad \xff byte\n".to_vec();
    bytes.extend(format!("{long}\n").bytes());
    bytes.extend("y".repeat(3 << 20).bytes());
    bytes.extend(b"\nlast");
    setting.write("a", bytes);
    let mut input = setting.open("a").await;
    let events = testing::all(&mut *input, None).await;
    assert_eq!(events[0].message(), "bad \u{fffd} byte");
    assert_eq!(events[1].message(), long);
    assert_eq!(events[2].message().len(), 2 << 20);
    assert_eq!(events[2].document["tags"], serde_json::json!(["_line_cut"]));
    assert_eq!(events[3].message(), "last");
    assert!(events[1].document.get("tags").is_none());
    let counters = input.counters();
    assert_eq!(counters.invalid_utf8.load(Ordering::Relaxed), 1);
    assert_eq!(counters.cut_lines.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn a_run_that_ended_in_a_cut_line_goes_on_after_it() {
    let mut setting = Setting::new(Mode::Read);
    setting.batch_size = 1;
    setting.write("a", "y".repeat(5 << 20) + "\nnext\n");
    let mut input = setting.open("a").await;
    let cut = testing::next(&mut *input, Some(&setting.ledger)).await.unwrap();
    assert_eq!(cut[0].message().len(), 2 << 20);
    drop(input);
    assert_eq!(testing::messages(&setting.read("a").await), ["next"]);
}

#[tokio::test]
async fn one_bad_file_does_not_hold_the_others() {
    let setting = Setting::new(Mode::Read);
    let packed = gzip(&"a line\n".repeat(1000));
    setting.write("a", &packed[..packed.len() - 9]);
    setting.write("b", "good\n");
    let mut input = setting.open("*").await;
    let mut found = 0;
    let error = loop {
        match input.next().await {
            Ok(Some(read)) => found += read.events.rows(),
            Ok(None) => panic!("a file that is cut off is an error"),
            Err(error) => break error.to_string(),
        }
    };
    assert!(found > 1, "{found}");
    assert!(error.contains(&*setting.path("a").to_string_lossy()), "{error}");
}

#[tokio::test]
async fn no_file_is_an_error() {
    let setting = Setting::new(Mode::Read);
    let mut section = crate::config::Section::parse("path = \"nothing/*.here\"");
    let error =
        open(read_options(&mut section), testing::context(Codec::Plain)).await.err().expect("no file");
    assert!(error.to_string().contains("nothing/*.here"), "{error}");
    drop(setting);
}

#[tokio::test]
async fn followed_files_grow_and_are_rotated() {
    let setting = Setting::new(Mode::Tail);
    setting.write("app.log", "one\ntw");
    let mut input = setting.open("app.log*").await;
    let mut seen = follow(&mut *input, &setting.ledger, 1).await;
    setting.append("app.log", "o\nthree\n");
    seen.extend(follow(&mut *input, &setting.ledger, 2).await);
    // Rotated: what is still written to the old file comes too, and nothing twice.
    fs::rename(setting.path("app.log"), setting.path("app.log.1")).unwrap();
    setting.append("app.log.1", "four\n");
    setting.write("app.log", "five\n");
    seen.extend(follow(&mut *input, &setting.ledger, 2).await);
    let mut found = testing::messages(&seen);
    found[3..].sort_unstable();
    assert_eq!(found, ["one", "two", "three", "five", "four"]);
    // Emptied and written anew, as `copytruncate` does.
    setting.write("app.log", "");
    setting.append("app.log", "six\n");
    seen.extend(follow(&mut *input, &setting.ledger, 1).await);
    assert_eq!(seen[5].message(), "six");
    assert_eq!(distinct_identities(&seen), 6);
    drop(input);
    // A new run goes on after all of them.
    setting.append("app.log", "seven\n");
    let mut input = setting.open("app.log*").await;
    assert_eq!(testing::messages(&follow(&mut *input, &setting.ledger, 1).await), ["seven"]);
    setting.stop.cancel();
    assert_eq!(testing::next(&mut *input, None).await, None);
}

#[tokio::test]
async fn following_from_the_end() {
    let mut setting = Setting::new(Mode::Tail);
    setting.from_beginning = false;
    setting.write("a", "old\nhalf of a li");
    let mut input = setting.open("*").await;
    // The place is in the ledger before anything is written.
    assert_eq!(testing::next(&mut *input, Some(&setting.ledger)).await, Some(Vec::new()));
    drop(input);
    setting.append("a", "ne\nwhile nobody looked\n");
    let mut input = setting.open("*").await;
    let seen = follow(&mut *input, &setting.ledger, 1).await;
    assert_eq!(testing::messages(&seen), ["while nobody looked"]);
    setting.write("b", "a new file has nothing old\n");
    let seen = follow(&mut *input, &setting.ledger, 1).await;
    assert_eq!(testing::messages(&seen), ["a new file has nothing old"]);
}

#[test]
fn old_files_are_forgotten() {
    let ledger = Ledger::in_memory().unwrap();
    let progress = progress::Progress { time: 1_000, ..Default::default() };
    let key = [progress::KEYS; 17];
    let put = (key.to_vec(), progress.encode());
    ledger.commit(&[("test", &crate::ledger::Position { puts: vec![put], removes: vec![] })]).unwrap();
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("a"), "line\n").unwrap();
    let mut section = crate::config::Section::parse(&format!("path = {:?}", Path::join(folder.path(), "a")));
    let mut reader = Reader::open(read_options(&mut section), ledger.input("test"), 10).unwrap();
    let Ok(Collected::Batch(batch)) = reader.collect(true) else { panic!("there is a line") };
    assert_eq!(batch.position.removes.len(), 1);
    ledger.commit(&[("test", &batch.position)]).unwrap();
    assert_eq!(ledger.input("test").get(&key).unwrap(), None);
}
