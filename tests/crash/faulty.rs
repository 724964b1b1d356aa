//! Builds Weir with a mistake in it, from a copy of the sources: the harness must find that events are lost or doubled.
//! The mistakes are data, in `faulty/faults.toml`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

const FAULTS: &str = include_str!("faulty/faults.toml");

/// What the build needs.
const SOURCES: [&str; 9] = [
    "Cargo.toml",
    "Cargo.lock",
    "rust-toolchain.toml",
    "host",
    "guest-filters",
    "wit",
    "config",
    "tests",
    "LICENSE",
];

/// A mistake.
#[derive(Debug)]
pub(crate) struct Fault {
    says: String,
    found_by: String,
    file: PathBuf,
    find: String,
    replace: String,
}

/// The names of the mistakes that `by` finds: `kills` or `soak`.
pub(crate) fn found_by(by: &str) -> Vec<String> {
    faults().into_iter().filter(|(_, fault)| fault.found_by == by).map(|(name, _)| name).collect()
}

/// All mistakes by name.
fn faults() -> BTreeMap<String, Fault> {
    let table: toml::Table = FAULTS.parse().unwrap();
    let fault = |(name, value): (String, toml::Value)| {
        let text = |key: &str| value[key].as_str().unwrap().to_owned();
        let (says, file, found_by) = (text("says"), PathBuf::from(text("file")), text("found_by"));
        (name, Fault { says, found_by, file, find: text("find"), replace: text("replace") })
    };
    table.into_iter().map(fault).collect()
}

/// Whether every mistake can still be made: its text stands in its file, once.
pub(crate) fn check_all() -> bool {
    let mut all = true;
    for (name, fault) in faults() {
        let text = std::fs::read_to_string(root().join(&fault.file)).unwrap_or_default();
        let count = text.matches(&fault.find).count();
        if count != 1 {
            println!(
                "faulty/faults.toml: {name}: the text to be replaced stands {count} times in {}",
                fault.file.display()
            );
            all = false;
        }
    }
    all
}

/// Builds Weir with a mistake and answers the binary.
pub(crate) fn build(name: &str) -> PathBuf {
    let faults = faults();
    let Some(fault) = faults.get(name) else {
        panic!("no fault is called {name:?}; there are {:?}", faults.keys().collect::<Vec<_>>())
    };
    println!("building Weir with a mistake: {}", fault.says);
    let scratch = Path::new(env!("CARGO_TARGET_TMPDIR")).join("faulty");
    let copy = scratch.join("sources");
    let _ = std::fs::remove_dir_all(&copy);
    for source in SOURCES {
        copy_tree(&root().join(source), &copy.join(source));
    }
    let path = copy.join(&fault.file);
    let text = std::fs::read_to_string(&path).unwrap();
    assert_eq!(text.matches(&fault.find).count(), 1, "{name} does not fit {}", fault.file.display());
    std::fs::write(&path, text.replace(&fault.find, &fault.replace)).unwrap();
    // A target folder of its own: the binary of the other tests must not become a faulty one.
    let target = scratch.join("target");
    let built = Command::new(env!("CARGO"))
        .args(["build", "--quiet", "-p", "weir", "--target-dir"])
        .arg(&target)
        .current_dir(&copy)
        .env_remove("CARGO_TARGET_DIR")
        .status();
    assert!(built.unwrap().success(), "the faulty Weir does not build");
    target.join("debug/weir")
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_path_buf()
}

fn copy_tree(from: &Path, to: &Path) {
    if !from.is_dir() {
        std::fs::create_dir_all(to.parent().unwrap()).unwrap();
        std::fs::copy(from, to).unwrap();
        return;
    }
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        if entry.file_name() != "target" {
            copy_tree(&entry.path(), &to.join(entry.file_name()));
        }
    }
}
