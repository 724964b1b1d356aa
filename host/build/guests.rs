//! Builds filters for WebAssembly by a cargo of its own, for `build.rs` and for tests that bring filters of their own.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// What filters are compiled for: no operating system, so nothing to import but Weir's own interfaces.
const TARGET: &str = "wasm32-unknown-unknown";

/// A filter as cargo built it: a plain module.
pub(crate) struct Guest {
    /// The name of its folder, which is the filter's name.
    pub(crate) name: String,
    /// The module.
    pub(crate) module: PathBuf,
}

/// Builds every crate with a `cdylib` in a folder right below `folder` (relative to the workspace), sorted by name. Cargo
/// works in `target/guests`.
///
/// # Errors
/// When there is no target for WebAssembly, or a guest does not compile; cargo's own messages have gone to stderr.
pub(crate) fn build(workspace: &Path, folder: &str, target: &Path) -> Result<Vec<Guest>, String> {
    let manifest = workspace.join("Cargo.toml");
    let metadata = cargo(&["metadata", "--no-deps", "--format-version=1"], &manifest, &[])?;
    let metadata: serde_json::Value =
        serde_json::from_str(&metadata).map_err(|error| format!("cargo metadata is not JSON: {error}"))?;
    let mut packages = Vec::new();
    for package in metadata["packages"].as_array().into_iter().flatten() {
        let crate_folder = Path::new(package["manifest_path"].as_str().unwrap_or_default()).parent();
        let Some(crate_folder) = crate_folder.filter(|path| path.parent() == Some(&workspace.join(folder)))
        else {
            continue;
        };
        let makes_module = |target: &serde_json::Value| {
            target["kind"].as_array().into_iter().flatten().any(|kind| kind == "cdylib")
        };
        if package["targets"].as_array().into_iter().flatten().any(makes_module) {
            let name = crate_folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
            packages.push((name, package["name"].as_str().unwrap_or_default().to_owned()));
        }
    }
    packages.sort();
    let target = target.join("guests");
    let target = target.to_string_lossy();
    let mut arguments = vec![
        "build",
        "--profile=guest",
        "--target",
        TARGET,
        "--locked",
        "--message-format=json-render-diagnostics",
        "--target-dir",
        &*target,
    ];
    for (_, package) in &packages {
        arguments.extend(["--package", package]);
    }
    let flags = "-Ctarget-feature=+simd128";
    let messages = cargo(&arguments, &manifest, &[("CARGO_ENCODED_RUSTFLAGS", flags)]).map_err(explain)?;
    let mut guests = Vec::new();
    for (name, package) in packages {
        let module = module_of(&messages, &package)
            .ok_or_else(|| format!("cargo built no module of the filter {name} (package {package})"))?;
        guests.push(Guest { name, module });
    }
    Ok(guests)
}

/// The module that cargo says it made of a package.
fn module_of(messages: &str, package: &str) -> Option<PathBuf> {
    for line in messages.lines() {
        let Ok(message) = serde_json::from_str::<serde_json::Value>(line) else { continue };
        // The target of a library is its package's name with underscores.
        if message["reason"] != "compiler-artifact" || message["target"]["name"] != package.replace('-', "_")
        {
            continue;
        }
        for file in message["filenames"].as_array().into_iter().flatten() {
            if let Some(file) = file.as_str().filter(|file| file.ends_with(".wasm")) {
                return Some(PathBuf::from(file));
            }
        }
    }
    None
}

/// Runs a cargo that knows nothing of the one that runs this program, and answers what it wrote to stdout.
fn cargo(arguments: &[&str], manifest: &Path, variables: &[(&str, &str)]) -> Result<String, String> {
    let program = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(program);
    command.args(arguments).arg("--manifest-path").arg(manifest).stderr(Stdio::inherit());
    for (name, _) in std::env::vars_os() {
        if is_of_outer_cargo(&name.to_string_lossy()) {
            command.env_remove(name);
        }
    }
    command.envs(variables.iter().copied());
    let output = command.output().map_err(|error| format!("cannot run cargo: {error}"))?;
    if !output.status.success() {
        return Err(format!("cargo {} failed: {}", arguments.first().unwrap_or(&""), output.status));
    }
    String::from_utf8(output.stdout).map_err(|error| format!("cargo's answer is not UTF-8: {error}"))
}

/// Settings of the build that is under way are not the guests': its flags, its target, its linter, and an encoded
/// RUSTFLAGS that is set but empty, which would beat all others. The user's own settings of cargo stay.
fn is_of_outer_cargo(name: &str) -> bool {
    const KEPT: [&str; 7] = [
        "CARGO_HOME",
        "CARGO_MAKEFLAGS",
        "CARGO_NET_",
        "CARGO_HTTP_",
        "CARGO_REGISTR",
        "CARGO_SOURCE_",
        "CARGO_TERM_",
    ];
    const REMOVED: [&str; 2] = ["CARGO", "RUSTC"];
    let named = ["RUSTFLAGS", "RUSTDOCFLAGS", "TARGET", "HOST", "PROFILE", "OUT_DIR"].contains(&name);
    let kept = KEPT.iter().any(|prefix| name.starts_with(prefix));
    named || name.starts_with("CLIPPY") || (!kept && REMOVED.iter().any(|prefix| name.starts_with(prefix)))
}

fn explain(error: String) -> String {
    let installed = Command::new("rustc")
        .args(["--print", "target-libdir", "--target", TARGET])
        .output()
        .is_ok_and(|output| Path::new(String::from_utf8_lossy(&output.stdout).trim()).is_dir());
    if installed {
        return error;
    }
    format!("{error}; the target {TARGET} is not installed: rustup target add {TARGET}")
}
