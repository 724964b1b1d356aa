//! Follows docs/writing-a-filter.md to the letter, with the real binary, in an empty folder and without a network: commands
//! are run, files are written, and what the page shows must come.
//!
//! A block ```` ```console ```` holds commands after `$ `, each with what it prints; `…` stands for anything, a line of it for
//! any lines. A block whose language is followed by a path is that file.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A block of a page that is to be done.
enum Deed {
    Write { path: String, text: String },
    Run { line: usize, command: String, shown: Vec<String> },
}

fn deeds(page: &str) -> Vec<Deed> {
    let mut deeds = Vec::new();
    let mut lines = page.lines().zip(1..);
    while let Some((line, _)) = lines.next() {
        let Some(info) = line.strip_prefix("```").filter(|info| !info.is_empty()) else { continue };
        let block: Vec<(&str, usize)> = lines.by_ref().take_while(|(line, _)| *line != "```").collect();
        if let Some((_, path)) = info.split_once(' ') {
            let text: String = block.iter().map(|(line, _)| format!("{line}\n")).collect();
            deeds.push(Deed::Write { path: path.to_owned(), text });
            continue;
        }
        if info != "console" {
            continue;
        }
        for (text, line) in block {
            match (text.strip_prefix("$ "), deeds.last_mut()) {
                (Some(command), _) => {
                    deeds.push(Deed::Run { line, command: command.to_owned(), shown: Vec::new() });
                }
                (None, Some(Deed::Run { shown, .. })) => shown.push(text.to_owned()),
                (None, _) => panic!("line {line}: a block begins with a command"),
            }
        }
    }
    deeds
}

/// Whether a printed line is as the page shows it.
fn is_as_shown(shown: &str, printed: &str) -> bool {
    let mut parts = shown.split('…');
    let first = parts.next().unwrap_or_default();
    let Some(mut rest) = printed.strip_prefix(first) else { return false };
    let mut parts: Vec<&str> = parts.collect();
    let Some(last) = parts.pop() else { return rest.is_empty() };
    for part in parts {
        match rest.find(part) {
            Some(start) => rest = &rest[start + part.len()..],
            None => return false,
        }
    }
    rest.ends_with(last)
}

/// Compares all that a command printed; answers the first line of the page that did not come.
fn missing(shown: &[String], printed: &str) -> Option<String> {
    let mut printed = printed.lines().map(str::trim_end).filter(|line| !line.is_empty());
    let mut anything = shown.is_empty();
    for line in shown.iter().filter(|line| !line.is_empty()) {
        if line == "…" {
            anything = true;
            continue;
        }
        let found = match anything {
            true => printed.any(|printed| is_as_shown(line, printed)),
            false => printed.next().is_some_and(|printed| is_as_shown(line, printed)),
        };
        if !found {
            return Some(line.clone());
        }
        anything = false;
    }
    match printed.next() {
        Some(more) if !anything => Some(format!("the end, before {more:?}")),
        _ => None,
    }
}

/// A shell in the folder, as an author has it: `weir` is found, and nothing of the cargo that runs this test is set.
fn shell(folder: &Path, command: &str) -> Command {
    let weir = Path::new(env!("CARGO_BIN_EXE_weir"));
    let mut path = weir.parent().map(Path::to_path_buf).unwrap_or_default().into_os_string();
    path.push(":");
    path.push(std::env::var_os("PATH").unwrap_or_default());
    let mut shell = Command::new("bash");
    shell.args(["-ec", command]).current_dir(folder).env("PATH", path);
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy();
        let kept = ["CARGO_HOME", "CARGO_REGISTR", "CARGO_SOURCE_", "CARGO_HTTP_"];
        if text.starts_with("CARGO") && !kept.iter().any(|kept| text.starts_with(kept))
            || text.starts_with("RUSTFLAGS")
            || text.starts_with("WEIR_")
        {
            shell.env_remove(&name);
        }
    }
    shell
        .env("CARGO_NET_OFFLINE", "true")
        .env("CARGO_TERM_COLOR", "never")
        .env("XDG_CACHE_HOME", env!("CARGO_TARGET_TMPDIR"))
        .env_remove("COLUMNS");
    shell
}

#[test]
fn the_page_is_true() {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/writing-a-filter.md");
    let page = fs::read_to_string(page).expect("the page is there");
    let folder = tempfile::tempdir().expect("a folder");
    let deeds = deeds(&page);
    assert!(deeds.len() > 10, "the page has {} blocks and commands", deeds.len());
    for deed in deeds {
        match deed {
            Deed::Write { path, text } => {
                fs::write(folder.path().join(&path), text).unwrap_or_else(|error| panic!("{path}: {error}"));
            }
            Deed::Run { line, command, shown } => {
                let output = shell(folder.path(), &command).output().expect("there is a bash");
                let (printed, errors) =
                    (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
                assert!(output.status.success(), "line {line}: {command}\n{printed}\n{errors}");
                if let Some(missing) = missing(&shown, &printed) {
                    panic!("line {line}: {command}\nshould print {missing}, and prints\n{printed}\n{errors}");
                }
            }
        }
    }
}

#[test]
fn names_and_folders_that_do_not_fit_are_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let refused = |command: &str, code: i32, part: &str| {
        let output = shell(folder.path(), command).output().expect("there is a bash");
        let errors = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(code), "{command}: {errors}");
        assert!(errors.contains(part), "{command}: {errors}");
    };
    refused("weir new My_Filter", 2, "such as \"my-filter\"");
    refused("weir new dissect", 2, "ships with Weir");
    refused("weir new mine --path a/b && weir new mine --path a/b", 1, "a/b/mine is there already");
    refused("weir build nowhere", 1, "`weir new NAME` makes one");
    refused("echo text > x.wasm; weir build x.wasm", 1, "no WebAssembly");
    refused("weir inspect x.wasm", 1, "no WebAssembly");
}

#[test]
fn built_in_filters_can_be_inspected() {
    let folder: PathBuf = std::env::temp_dir();
    let run = |command: &str| {
        let output = shell(&folder, command).output().expect("there is a bash");
        (output.status.code(), String::from_utf8_lossy(&output.stdout).into_owned())
    };
    let (code, text) = run("weir inspect geoip");
    assert_eq!(code, Some(0));
    for part in
        ["with-kernels", "grants = [\"addresses\"]", "city.toml", "not known without the right --options"]
    {
        assert!(text.contains(part), "{part}: {text}");
    }
    let (code, text) =
        run("weir inspect dissect --format json --options '{\"mapping\": {\"message\": \"%{a} %{b}\"}}'");
    let json: serde_json::Value = serde_json::from_str(&text).expect("it prints JSON");
    assert_eq!(code, Some(0));
    assert_eq!(json["plan"]["writes"][0], "[a]", "{json:#}");
    assert!(json["cases"]["dissect.toml"].as_str().is_some_and(|text| text.contains("[[case]]")));
    let (code, _) = run("weir inspect dissect --options '{\"mapping\": 1}'");
    assert_eq!(code, Some(2));
}

#[test]
fn shown_lines_are_compared() {
    let shown = |lines: &[&str]| lines.iter().map(|line| (*line).to_owned()).collect::<Vec<_>>();
    assert_eq!(missing(&shown(&["a", "…", "c…e"]), "a\nb\nx\ncde\n"), None);
    assert_eq!(missing(&shown(&["a", "b"]), "a\n"), Some("b".to_owned()));
    assert_eq!(missing(&shown(&["a"]), "x\na\n"), Some("a".to_owned()));
    assert_eq!(missing(&shown(&["a"]), "a\nb\n"), Some("the end, before \"b\"".to_owned()));
    assert_eq!(missing(&[], "a\n"), None);
    assert!(!is_as_shown("a…b", "ab c") && is_as_shown("a…b", "axb") && !is_as_shown("a", "ab"));
}
