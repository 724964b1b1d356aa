//! What must hold of the sources themselves (ARCHITECTURE.md, "what must stay true"): every module says what it is for,
//! files stay small, names say something, nothing is left unfinished, and every filter has cases and a manual.

use std::fs;
use std::path::{Path, PathBuf};

/// Longer files have a seam somewhere.
const MOST_LINES: usize = 550;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn sources(folder: &Path, ending: &str, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("the folder can be read") {
        let path = entry.expect("the folder can be read").path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if path.is_dir() {
            if !matches!(
                name.as_str(),
                "target" | ".git" | "lib" | "classes" | "venv" | "node_modules" | "run" | "jre21"
            ) {
                sources(&path, ending, found);
            }
        } else if name.ends_with(ending) {
            found.push(path);
        }
    }
}

/// Runs a check on every Rust file and reports all that fail.
fn check(what: &str, is_wrong: impl Fn(&Path, &str) -> bool) {
    let mut files = Vec::new();
    for folder in ["host", "guest-filters", "tests"] {
        sources(&root().join(folder), ".rs", &mut files);
    }
    assert!(files.len() > 50, "the sources were found");
    let mut wrong = Vec::new();
    for file in files {
        let text = fs::read_to_string(&file).expect("a source is UTF-8");
        if is_wrong(&file, &text) {
            wrong.push(file.strip_prefix(root()).unwrap_or(&file).display().to_string());
        }
    }
    assert!(wrong.is_empty(), "{what}:\n{}", wrong.join("\n"));
}

#[test]
fn every_module_says_what_it_is_for() {
    check("a module begins with `//!`", |_, text| !text.starts_with("//!"));
}

#[test]
fn files_stay_small() {
    check("a file has too many lines", |_, text| text.lines().count() > MOST_LINES);
}

#[test]
fn names_say_something() {
    let banned = ["util", "utils", "common", "misc", "helper", "helpers", "manager"];
    check("a file name says nothing", |file, _| {
        let stem = file.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        banned.contains(&stem.as_str())
    });
}

#[test]
fn nothing_is_left_unfinished() {
    // Written so that this file does not find itself.
    let marks = [["TO", "DO"].concat(), ["FIX", "ME"].concat()];
    check("something is unfinished", |_, text| marks.iter().any(|mark| text.contains(mark.as_str())));
}

#[test]
fn tests_neither_sleep_nor_hide() {
    let marks = [["#[ign", "ore"].concat(), ["should_", "panic"].concat(), ["thread::", "sleep"].concat()];
    check("a test sleeps, is ignored or expects a panic", |file, text| {
        let is_test = file.components().any(|part| part.as_os_str() == "tests");
        is_test && marks.iter().any(|mark| text.contains(mark.as_str()))
    });
}

#[test]
fn only_the_filter_folder_knows_wasmtime() {
    check("wasmtime is used outside host/src/filter", |file, text| {
        let path = file.to_string_lossy().replace('\\', "/");
        let allowed =
            path.contains("/host/src/filter/") || path.contains("/tests/") || path.contains("/benches/");
        !allowed && text.lines().any(|line| line.trim_start().starts_with("use wasmtime"))
    });
}

#[test]
fn every_filter_has_cases_and_a_manual() {
    let folder = root().join("guest-filters");
    let mut filters = 0;
    for entry in fs::read_dir(folder).expect("there are filters") {
        let path = entry.expect("there are filters").path();
        if !path.is_dir() || path.ends_with("sdk") {
            continue;
        }
        filters += 1;
        let mut cases = Vec::new();
        sources(&path.join("cases"), ".toml", &mut cases);
        assert!(!cases.is_empty(), "{} has no cases", path.display());
        let text = fs::read_to_string(path.join("src/lib.rs")).expect("a filter has a lib.rs");
        assert!(text.contains("weir_filter::manual!()"), "{} has no manual", path.display());
        let mut tests = Vec::new();
        sources(&path.join("tests"), ".rs", &mut tests);
        let checked =
            |test: &PathBuf| fs::read_to_string(test).is_ok_and(|text| text.contains("check_manual::<"));
        assert!(
            tests.iter().any(checked),
            "no test of {} compares its manual with its options",
            path.display()
        );
    }
    assert!(filters >= 6);
}
