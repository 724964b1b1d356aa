//! The committed inputs of every fuzz target, and the repository's own files, through their targets.

use std::fs;
use std::path::{Path, PathBuf};

use super::*;

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// Runs the target on each file of the folder, and answers how many there are.
fn run(target: fn(&[u8]), folder: &Path, ending: &str) -> usize {
    let mut inputs = 0;
    for entry in fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display())) {
        let path = entry.unwrap().path();
        if path.is_file() && path.to_string_lossy().ends_with(ending) {
            // What a target prints of an input that breaks it comes after this.
            println!("{}", path.display());
            target(&fs::read(&path).unwrap());
            inputs += 1;
        }
    }
    inputs
}

fn check(name: &str, target: fn(&[u8])) {
    let folder = repository().join("tests/fuzz/corpus").join(name);
    assert!(run(target, &folder, "") >= 10, "{name} has a corpus");
}

#[test]
fn answers() {
    check("answer", answer);
}

#[test]
fn components() {
    check("component", component);
}

#[test]
fn pipeline_files() {
    check("pipeline_file", pipeline_file);
    for folder in ["config", "tests/config/valid", "tests/config/invalid"] {
        assert!(run(pipeline_file, &repository().join(folder), ".toml") > 3, "{folder}");
    }
}

#[test]
fn case_files() {
    check("case_file", case_file);
    for filter in ["dissect", "date", "geoip", "fingerprint", "mutate", "local-time"] {
        let folder = repository().join("guest-filters").join(filter).join("cases");
        assert!(run(case_file, &folder, ".toml") > 0, "{filter}");
    }
}

#[test]
fn languages() {
    check("language", language);
}
