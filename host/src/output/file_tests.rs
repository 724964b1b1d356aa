//! The output to files, on files.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

use super::file::{open, read_options};
use crate::config::Section;
use crate::event::{Batch, FieldReference, Value, fields};
use crate::output::dead_letter::{DeadLetterLimits, DeadLetterPlace, segments};
use crate::output::{DeadLetters, Delivery, NotAcknowledged, Output, OutputContext, Waiting};

struct Fixture {
    output: Arc<dyn Output>,
    dead_letters: TempDir,
    stop: CancellationToken,
    waiting: Arc<Waiting>,
}

fn open_with(path: &str, options: &str) -> Fixture {
    let text =
        format!("path = {path:?}\nretry_initial_interval = \"1ms\"\nretry_max_interval = \"1ms\"\n{options}");
    let mut section = Section::parse(&text);
    let options = read_options(&mut section);
    assert_eq!(section.into_problems(), Vec::<String>::new());
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (stop, waiting) = (CancellationToken::new(), Arc::new(Waiting::default()));
    let place = DeadLetterPlace::Folder(folder.path().to_owned());
    let dead_letters =
        DeadLetters::open(place, DeadLetterLimits::default(), "p", waiting.clone(), stop.clone());
    let context = OutputContext {
        name: "file".to_owned(),
        pipeline: "p".to_owned(),
        dead_letters: Arc::new(dead_letters.expect("the folder is there")),
        waiting: waiting.clone(),
        counts: Arc::default(),
        stop: stop.clone(),
    };
    let output = Arc::from(open(options, context).expect("it opens nothing yet"));
    Fixture { output, dead_letters: folder, stop, waiting }
}

fn events(names: &[&str]) -> Arc<Batch> {
    let mut batch = Batch::new(Arc::default(), names.len());
    for (row, name) in names.iter().enumerate() {
        let reference = FieldReference::from_fragments(["a"]);
        fields::set(&mut batch, row, &reference, Value::Text(name)).expect("it can be set");
    }
    Arc::new(batch)
}

fn line(name: &str) -> String {
    format!("{{\"a\":\"{name}\"}}\n")
}

/// All files below a folder, by their path from there.
fn files(folder: &Path) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(folder).expect("it can be read") {
        let path = entry.expect("it can be read").path();
        let name = path.file_name().expect("it has a name").to_string_lossy().into_owned();
        if path.is_dir() {
            found.extend(files(&path).into_iter().map(|(below, text)| (format!("{name}/{below}"), text)));
        } else {
            found.insert(name, fs::read_to_string(&path).expect("it is text"));
        }
    }
    found
}

fn check_files(folder: &Path, expected: &[(&str, &str)]) {
    let expected: BTreeMap<String, String> =
        expected.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect();
    assert_eq!(files(folder), expected);
}

#[tokio::test]
async fn events_go_to_the_file_that_they_name_and_nowhere_else() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let root = folder.path().join("logs");
    let fixture = open_with(&format!("{}/%{{a}}.ndjson", root.display()), "");
    let long = "x".repeat(300);
    let names = [
        "one",
        "sub/two",
        "../../three",
        "/etc/four",
        "sub/../../five",
        &long,
        "one",
        "nul\0",
        "sub/two.ndjson/six",
    ];
    let delivery = fixture.output.send(events(&names)).await.expect("it is written");
    assert_eq!(delivery, Delivery { delivered: 3, dead_lettered: 6, dropped: 0 });
    check_files(&root, &[("one.ndjson", &line("one").repeat(2)), ("sub/two.ndjson", &line("sub/two"))]);
    let letters = segments(fixture.dead_letters.path()).expect("there is a folder");
    let text = fs::read_to_string(&letters[0].path).expect("it is text");
    assert!(text.contains("leads out of the folder") && text.contains("names no file"), "{text}");
    // A file stands where a folder would have to be: no wait ends that.
    assert!(text.contains("two.ndjson/six"), "{text}");
}

#[tokio::test]
async fn a_torn_line_is_cut_off_and_a_whole_one_kept() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("x.ndjson");
    for (before, kept) in [
        ("{\"a\":1}\n{\"a\":\"tor", "{\"a\":1}\n"),
        ("{\"a\":\"tor", ""),
        ("{\"a\":1}", "{\"a\":1}\n"),
        ("not ours", "not ours\n"),
        ("", ""),
    ] {
        fs::write(&path, before).expect("it can be written");
        let fixture = open_with(&path.display().to_string(), "");
        fixture.output.send(events(&["x"])).await.expect("it is written");
        fixture.output.close().await.expect("nothing is open");
        check_files(folder.path(), &[("x.ndjson", &format!("{kept}{}", line("x")))]);
    }
}

#[tokio::test]
async fn files_are_rotated_and_may_be_moved_away() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("x.ndjson");
    let fixture = open_with(&path.display().to_string(), "rotate_size = 20");
    for name in ["1", "2", "3", "4", "5"] {
        fixture.output.send(events(&[name])).await.expect("it is written");
    }
    let two = |first: &str, second: &str| line(first) + &line(second);
    check_files(
        folder.path(),
        &[("x.ndjson", &line("5")), ("x.ndjson.1", &two("1", "2")), ("x.ndjson.2", &two("3", "4"))],
    );
    fs::rename(&path, folder.path().join("moved")).expect("it is there");
    fixture.output.send(events(&["6"])).await.expect("it is written");
    assert_eq!(fs::read_to_string(&path).expect("it was made anew"), line("6"));

    let fixture = open_with(&path.display().to_string(), "rotate_age = \"1ms\"");
    while files(folder.path()).len() < 5 {
        fixture.output.send(events(&["7"])).await.expect("it is written");
    }
    assert_eq!(
        fs::read_to_string(folder.path().join("x.ndjson.3")).expect("it was rotated").lines().next(),
        Some("{\"a\":\"6\"}")
    );
}

#[tokio::test]
async fn a_full_disk_is_waited_for_and_nothing_acknowledged() {
    let full = Path::new("/dev/full");
    if !full.exists() {
        eprintln!("skipped: this system has no /dev/full");
        return;
    }
    let fixture = open_with("/dev/full", "");
    let output = fixture.output.clone();
    let sending = tokio::spawn(async move { output.send(events(&["x"])).await });
    let reason = loop {
        match fixture.waiting.current() {
            Some((_, reason)) => break reason,
            None => tokio::time::sleep(Duration::from_millis(1)).await,
        }
    };
    assert!(reason.starts_with("cannot write /dev/full") && reason.ends_with("; make room"), "{reason}");
    fixture.stop.cancel();
    let error = sending.await.expect("it does not panic").expect_err("nothing was written");
    assert!(error.downcast_ref::<NotAcknowledged>().is_some(), "{error:#}");
}

#[tokio::test]
async fn batches_keep_their_order() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("x.ndjson");
    let fixture = open_with(&path.display().to_string(), "");
    let names: Vec<String> = (0..50).map(|number| number.to_string()).collect();
    let sends = names.iter().map(|name| fixture.output.send(events(&[name])));
    for delivery in futures::future::join_all(sends.collect::<Vec<_>>().into_iter().rev()).await {
        delivery.expect("it is written");
    }
    let expected: String = names.iter().map(|name| line(name)).collect();
    check_files(folder.path(), &[("x.ndjson", &expected)]);
}
