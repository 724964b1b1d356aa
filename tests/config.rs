//! `weir check` on pipeline files: what is wrong in `config/invalid` is said as written beside it (`.err`), with line,
//! column and caret; what is in `config/valid`, and the project's own pipelines, passes. `WEIR_BLESS=1` writes the
//! `.err` files anew.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value as Json;

/// The program, in a folder of this repository, with nothing of the caller's environment that would change what it says.
fn weir(folder: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_weir"));
    command.current_dir(repository().join(folder));
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("WEIR_") {
            command.env_remove(name);
        }
    }
    // All tests share one cache of compiled filters.
    command.env("XDG_CACHE_HOME", env!("CARGO_TARGET_TMPDIR"));
    command.env("WEIR_TEST_ZONE", "Secret/Zone").env("WEIR_TEST_SIZE", "many").env("WEIR_TEST_EMPTY", "");
    command
}

fn repository() -> PathBuf {
    let host = Path::new(env!("CARGO_MANIFEST_DIR"));
    host.parent().expect("the host's folder lies in the repository").to_path_buf()
}

fn pipelines(folder: &str) -> Vec<String> {
    let mut names = Vec::new();
    for entry in fs::read_dir(repository().join(folder)).expect("the folder can be read") {
        let name = entry.expect("the folder can be read").file_name().to_string_lossy().into_owned();
        if name.ends_with(".toml") && !name.ends_with(".test.toml") {
            names.push(name);
        }
    }
    names.sort();
    assert!(!names.is_empty(), "no pipeline files in {folder}");
    names
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).expect("the program writes UTF-8")
}

fn run(command: &mut Command) -> Output {
    command.output().expect("the program can be started")
}

#[test]
fn invalid_files_are_explained() {
    let mut wrong = Vec::new();
    for name in pipelines("tests/config/invalid") {
        let output = run(weir("tests/config/invalid").args(["check", &name]));
        assert_eq!(output.status.code(), Some(2), "{name}: {}", text(&output.stderr));
        assert_eq!(text(&output.stdout), "", "{name}");
        let found = text(&output.stderr);
        let expected_file = repository().join("tests/config/invalid").join(&name).with_extension("err");
        if std::env::var_os("WEIR_BLESS").is_some() {
            fs::write(&expected_file, &found).unwrap();
            continue;
        }
        let expected = fs::read_to_string(&expected_file).unwrap_or_default();
        if found != expected {
            wrong.push(format!("--- {name}: expected\n{expected}\n--- {name}: found\n{found}"));
        }
    }
    assert!(wrong.is_empty(), "{}\nWEIR_BLESS=1 writes the .err files anew", wrong.join("\n"));
}

#[test]
fn valid_files_pass() {
    for name in pipelines("tests/config/valid") {
        let output = run(weir("tests/config/valid").env_remove("WEIR_TEST_SIZE").args(["check", &name]));
        assert_eq!(output.status.code(), Some(0), "{name}: {}", text(&output.stderr));
        assert!(text(&output.stdout).starts_with(&format!("{name}: ok (")), "{}", text(&output.stdout));
    }
}

#[test]
fn the_projects_own_pipelines_pass() {
    let names = pipelines("config");
    let output = run(weir("config").arg("check").args(&names));
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    assert_eq!(text(&output.stdout).lines().count(), names.len(), "{}", text(&output.stdout));
}

#[test]
fn what_will_fail_on_every_event_is_a_warning() {
    let folder = tempfile::tempdir().unwrap();
    let pipeline = "[input]\ntype = \"sample\"\n[[filter]]\nuse = \"mutate\"\nadd_field = { \"[a\" = \"x\" }\n\
                    [output]\ntype = \"stdout\"\n";
    fs::write(folder.path().join("pipeline.toml"), pipeline).unwrap();
    let output = run(weir(".").current_dir(&folder).args(["check", "pipeline.toml"]));
    assert_eq!(output.status.code(), Some(0));
    let warning = text(&output.stderr);
    assert!(warning.starts_with("warning: ") && warning.contains("pipeline.toml:5:"), "{warning}");
}

#[test]
fn where_logstash_would_decide_otherwise_is_a_warning() {
    let folder = tempfile::tempdir().unwrap();
    let pipeline = "[input]\ntype = \"sample\"\n[output]\ntype = \"stdout\"\nwhen = '[a] and [b] and [c] or [d]'\n\
                    [[filter]]\nuse = \"branch\"\n[[filter.arm]]\nwhen = '[type] in [\"x\"]'\n";
    fs::write(folder.path().join("pipeline.toml"), pipeline).unwrap();
    let output = run(weir(".").current_dir(&folder).args(["check", "pipeline.toml"]));
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(text(&output.stdout), "pipeline.toml: ok (1 input, 0 filters, 1 branch, 1 output)\n");
    let warnings = text(&output.stderr);
    for place in
        ["warning: `and` binds tighter", "pipeline.toml:5:8", "is a list of one", "pipeline.toml:9:8"]
    {
        assert!(warnings.contains(place), "{place}: {warnings}");
    }
}

#[test]
fn problems_are_json_where_a_machine_reads_them() {
    let output = run(weir("tests/config/invalid").args(["check", "--format", "json", "time-zones.toml"]));
    assert_eq!(output.status.code(), Some(2));
    assert_eq!(text(&output.stderr), "");
    let problems: Json = serde_json::from_slice(&output.stdout).unwrap();
    let first = &problems[0];
    assert_eq!(
        (first["file"].as_str(), first["line"].as_u64(), first["column"].as_u64()),
        (Some("time-zones.toml"), Some(2), Some(12)),
        "{problems:#}"
    );
    assert_eq!(first["end_column"], 24);
    assert_eq!(first["fix"], "did you mean \"Asia/Tokyo\"?");
}

#[test]
fn several_files_are_checked_in_one_run() {
    let files = ["check", "invalid/no-ends.toml", "valid/smallest.toml", "no-such-file.toml"];
    let output = run(weir("tests/config").args(files));
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output.stdout).starts_with("valid/smallest.toml: ok"), "{}", text(&output.stdout));
    let errors = text(&output.stderr);
    assert!(errors.contains("invalid/no-ends.toml") && errors.contains("no-such-file.toml"), "{errors}");
}

/// A component that exports nothing, and a module that is no filter: the smallest that WebAssembly has.
#[test]
fn components_of_another_world_are_refused_at_their_place() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("component.wasm"), b"\0asm\x0d\0\x01\0").unwrap();
    fs::write(folder.path().join("module.wasm"), b"\0asm\x01\0\0\0").unwrap();
    let pipeline = "[input]\ntype = \"sample\"\n[[filter]]\nuse = \"component.wasm\"\n[[filter]]\nuse = \"module.wasm\"\n\
                    [output]\ntype = \"stdout\"\n";
    fs::write(folder.path().join("pipeline.toml"), pipeline).unwrap();
    let output = run(weir(".").current_dir(&folder).args(["check", "--format", "json", "pipeline.toml"]));
    assert_eq!(output.status.code(), Some(2));
    let problems: Json = serde_json::from_slice(&output.stdout).unwrap();
    let places: Vec<Option<u64>> =
        problems.as_array().unwrap().iter().map(|problem| problem["line"].as_u64()).collect();
    assert_eq!(places, [Some(4), Some(6)], "{problems:#}");
}

#[test]
fn what_came_by_a_variable_and_passwords_are_not_shown() {
    let folder = tempfile::tempdir().unwrap();
    let pipeline = "[input]\ntype = \"sample\"\nseed = \"${WEIR_SECRET}\"\n[output]\ntype = \"elasticsearch\"\n\
                    index = \"i\"\nuser = \"u\"\npassword = \"opensesame\" # opensesame\nhosts = \"${WEIR_SECRET}\"\n\
                    retry_initial_interval = \"opensesame\"\n";
    fs::write(folder.path().join("pipeline.toml"), pipeline).unwrap();
    for format in ["text", "json"] {
        let mut command = weir(".");
        command.current_dir(&folder).env("WEIR_SECRET", "ftp://hunter2");
        let output = run(command.args(["check", "--format", format, "pipeline.toml"]));
        assert_eq!(output.status.code(), Some(2));
        let shown = text(&output.stdout) + &text(&output.stderr);
        assert!(!shown.contains("hunter2") && !shown.contains("opensesame"), "{shown}");
    }
}

#[test]
fn a_wrong_command_line_ends_with_2() {
    for arguments in
        [&["check"][..], &["chek", "x"], &["--log", "a=b=c", "check", "x"], &["run", "no-such-file.toml"]]
    {
        let output = run(weir(".").args(arguments));
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {}", text(&output.stderr));
    }
}

#[test]
fn every_command_has_an_example_in_its_help() {
    let help = text(&run(weir(".").arg("--help")).stdout);
    let commands =
        help.lines().skip_while(|line| *line != "Commands:").skip(1).take_while(|line| !line.is_empty());
    let names: Vec<&str> = commands.filter_map(|line| line.strip_prefix("  ")).collect();
    let names: Vec<&str> =
        names.iter().filter_map(|line| line.split(' ').next()).filter(|name| !name.is_empty()).collect();
    assert!(names.contains(&"run") && names.contains(&"check") && names.contains(&"demo"), "{help}");
    for name in names.into_iter().filter(|name| *name != "help") {
        let help = text(&run(weir(".").args([name, "--help"])).stdout);
        assert!(help.contains("Example"), "{name}: {help}");
    }
}
