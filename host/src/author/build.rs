//! Makes a module of a filter's crate, by the author's own cargo. Without the network where the crates that it needs are in
//! cargo's cache, so that a registry that cannot be reached does not keep it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value as Json;

use crate::config::cases::named_files;

/// What filters are compiled for: no operating system, so nothing to import but Weir's own interfaces.
const TARGET: &str = "wasm32-unknown-unknown";

/// A filter's crate as cargo built it.
pub struct Module {
    /// The crate's name.
    pub name: String,
    /// The plain module.
    pub bytes: Vec<u8>,
}

/// Builds the crate in a folder with its release profile; cargo's messages go to stderr.
///
/// # Errors
/// When there is no such crate, no cargo or no target for WebAssembly, or the crate does not compile.
pub fn compile(folder: &Path) -> Result<Module> {
    let manifest = folder.join("Cargo.toml");
    ensure!(
        manifest.is_file(),
        "there is no {}: name a filter's folder; `weir new NAME` makes one",
        manifest.display()
    );
    let metadata = |network: &[&str]| {
        let mut arguments = vec!["metadata", "--format-version=1", "--filter-platform", TARGET];
        arguments.extend(network);
        cargo(folder, &arguments)
    };
    // It needs the manifest of every crate, so it tells whether all are there.
    let (metadata, network): (_, &[&str]) = match metadata(&["--offline"]).stderr(Stdio::null()).output() {
        Ok(output) if output.status.success() => (output, &["--offline"]),
        Err(error) => return Err(error).context("cannot run cargo; https://rustup.rs installs it"),
        Ok(_) => (metadata(&[]).stderr(Stdio::inherit()).output().context("cannot run cargo")?, &[]),
    };
    ensure!(metadata.status.success(), "cargo metadata failed in {}: {}", folder.display(), metadata.status);
    let metadata: Json = serde_json::from_slice(&metadata.stdout).context("cargo metadata is no JSON")?;
    let (id, name) = package(&metadata, folder)?;

    let mut arguments =
        vec!["build", "--release", "--target", TARGET, "--message-format=json-render-diagnostics"];
    arguments.extend(network);
    let output = cargo(folder, &arguments).stderr(Stdio::inherit()).output().context("cannot run cargo")?;
    if !output.status.success() {
        bail!("cargo could not build {name}{}", target_hint());
    }
    let module = String::from_utf8_lossy(&output.stdout)
        .lines()
        .filter_map(|line| serde_json::from_str(line).ok())
        .find_map(|message: Json| module_of(&message, &id))
        .with_context(|| format!("cargo built no module of {name}"))?;
    let bytes = fs::read(&module).with_context(|| format!("cannot read {}", module.display()))?;
    Ok(Module { name, bytes })
}

/// The files of cases in a folder, by name, and those that they take events from. A folder that is not there has none.
///
/// # Errors
/// When one cannot be read.
pub fn read_cases_of(folder: &Path) -> Result<Vec<(String, String)>> {
    let mut cases = Vec::new();
    if !folder.is_dir() {
        return Ok(cases);
    }
    for entry in fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "toml") {
            let text =
                fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
            cases.push((path.file_name().unwrap_or_default().to_string_lossy().into_owned(), text));
        }
    }
    let mut named: Vec<String> = cases.iter().flat_map(|(_, text)| named_files(text)).collect();
    named.sort();
    named.dedup();
    for name in named {
        let path = folder.join(&name);
        let text = fs::read_to_string(&path)
            .with_context(|| format!("cannot read {}, which a case names", path.display()))?;
        cases.push((name, text));
    }
    cases.sort();
    Ok(cases)
}

/// A cargo in the filter's folder, so that the settings beside it (`.cargo/config.toml`) hold.
fn cargo(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(folder).args(arguments).stdin(Stdio::null()).stdout(Stdio::piped());
    command
}

/// The id and name of the package whose manifest lies in the folder.
fn package(metadata: &Json, folder: &Path) -> Result<(String, String)> {
    let manifest = fs::canonicalize(folder.join("Cargo.toml"))
        .with_context(|| format!("cannot find {}", folder.display()))?;
    let package = metadata["packages"].as_array().into_iter().flatten().find(|package| {
        let path = package["manifest_path"].as_str().map(fs::canonicalize);
        path.is_some_and(|path| path.is_ok_and(|path| path == manifest))
    });
    let package = package.with_context(|| format!("{} is no package's manifest", manifest.display()))?;
    let name = package["name"].as_str().unwrap_or_default().to_owned();
    let targets = package["targets"].as_array().into_iter().flatten();
    let kinds = targets.flat_map(|target| target["kind"].as_array().into_iter().flatten());
    ensure!(
        kinds.into_iter().any(|kind| kind == "cdylib"),
        "{name} makes no module: write crate-type = [\"cdylib\", \"rlib\"] in the section [lib] of {}",
        manifest.display()
    );
    Ok((package["id"].as_str().unwrap_or_default().to_owned(), name))
}

fn module_of(message: &Json, id: &str) -> Option<PathBuf> {
    if message["reason"] != "compiler-artifact" || message["package_id"] != id {
        return None;
    }
    let mut files = message["filenames"].as_array().into_iter().flatten().filter_map(Json::as_str);
    files.find(|file| file.ends_with(".wasm")).map(PathBuf::from)
}

/// What to do where the target may be missing.
fn target_hint() -> String {
    let libraries = Command::new("rustc").args(["--print", "target-libdir", "--target", TARGET]).output();
    let installed =
        libraries.is_ok_and(|output| Path::new(String::from_utf8_lossy(&output.stdout).trim()).is_dir());
    if installed {
        return String::new();
    }
    format!("; the target {TARGET} is not installed: rustup target add {TARGET}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(manifest: Option<&str>, expected: &str) {
        let folder = tempfile::tempdir().unwrap();
        if let Some(text) = manifest {
            fs::create_dir(folder.path().join("src")).unwrap();
            fs::write(folder.path().join("src/lib.rs"), "//! Nothing.\n").unwrap();
            fs::write(folder.path().join("Cargo.toml"), text).unwrap();
        }
        let error = compile(folder.path()).err().map(|error| format!("{error:#}")).unwrap_or_default();
        assert!(error.contains(expected), "{error}");
    }

    #[test]
    fn what_is_no_filter_is_told() {
        check(None, "`weir new NAME` makes one");
        check(Some("[package]\nname = \"x\"\nedition = \"2024\"\n[workspace]\n"), "crate-type = [\"cdylib\"");
    }
}
