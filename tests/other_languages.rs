//! Filters in other languages than Rust: those of tests/other-languages are built by the tools of their languages, carry their
//! cases, and must pass them under the default limits. A language whose tool is not at hand (`build.sh setup` fetches it) is
//! skipped with a line that says so; WEIR_REQUIRE_LANGUAGES=1 makes that a failure.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value as Json;

fn weir(arguments: &[&str], folder: &Path) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_weir"))
        .args(arguments)
        .current_dir(folder)
        .env("XDG_CACHE_HOME", env!("CARGO_TARGET_TMPDIR"))
        .output()
        .expect("the program can be started");
    let (printed, errors) =
        (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "weir {}\n{printed}\n{errors}", arguments.join(" "));
    printed.into_owned()
}

fn check(language: &str, tool: &str) {
    let folder: PathBuf =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/other-languages").join(language);
    if !folder.join(tool).join(".complete").exists() {
        assert!(
            std::env::var_os("WEIR_REQUIRE_LANGUAGES").is_none(),
            "{language} is not set up: tests/other-languages/{language}/build.sh setup"
        );
        eprintln!("skipped: {language} is not set up (tests/other-languages/{language}/build.sh setup)");
        return;
    }
    let made = tempfile::tempdir().expect("a folder");
    let plain = made.path().join("made.wasm");
    let built =
        Command::new("bash").arg(folder.join("build.sh")).arg(&plain).output().expect("there is a bash");
    assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));

    let cases = folder.join("cases").display().to_string();
    weir(&["build", "made.wasm", "--cases", &cases, "--output", "shorten.wasm"], made.path());
    let text = std::fs::read_to_string(folder.join("cases/shorten.toml")).expect("there are cases");
    let json = weir(&["inspect", "shorten.wasm", "--format", "json"], made.path());
    let json: Json = serde_json::from_str(&json).expect("it prints JSON");
    assert_eq!(json["name"], "shorten");
    assert_eq!(json["world"], "basic");
    assert_eq!(json["imports"], serde_json::json!(["weir:filter/host@0.1.0"]));
    assert_eq!(json["plan"]["writes"], serde_json::json!(["[message]", "[length]"]));
    assert_eq!(json["cases"]["shorten.toml"], text.as_str());

    std::fs::create_dir(made.path().join("cases")).expect("a folder");
    std::fs::write(made.path().join("cases/shorten.toml"), text).expect("a file");
    let printed = weir(&["test", "cases"], made.path());
    assert!(printed.ends_with("\n5 passed, 0 failed\n"), "{printed}");
}

#[test]
fn python() {
    check("python", "venv");
}

#[test]
fn javascript() {
    check("javascript", "node_modules");
}
