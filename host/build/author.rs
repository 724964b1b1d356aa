//! What `weir new` writes into a filter's project beside its own template: the SDK, the interface, and which version of
//! each crate these were tried with. All paths are relative to the project.

use std::collections::BTreeMap;
use std::path::Path;

/// The SDK's folder in a project.
const SDK: &str = "weir-filter";

/// The files by their paths.
///
/// # Errors
/// When a source cannot be read, or the lock file is not as cargo writes it.
pub(crate) fn files(workspace: &Path) -> Result<BTreeMap<String, String>, String> {
    let mut files = BTreeMap::new();
    let sdk = workspace.join("guest-filters/sdk");
    add_sources(&sdk.join("src"), &format!("{SDK}/src"), &mut files)?;
    add_sources(&sdk.join("macros/src"), &format!("{SDK}/macros/src"), &mut files)?;
    files.insert(format!("{SDK}/wit/filter.wit"), read(&workspace.join("wit/filter.wit"))?);
    let boundary = format!("{SDK}/src/boundary.rs");
    if let Some(text) = files.get_mut(&boundary) {
        *text = replaced(text, "path: \"../../wit\"", "path: \"wit\"")?;
    }
    let shared = read(&workspace.join("Cargo.toml"))?;
    let manifest = stand_alone(&read(&sdk.join("Cargo.toml"))?, &shared, "macros")?;
    files.insert(format!("{SDK}/Cargo.toml"), manifest);
    let manifest = stand_alone(&read(&sdk.join("macros/Cargo.toml"))?, &shared, "")?;
    files.insert(format!("{SDK}/macros/Cargo.toml"), manifest);
    files.insert("Cargo.lock".to_owned(), lock_file(&read(&workspace.join("Cargo.lock"))?)?);
    Ok(files)
}

fn add_sources(folder: &Path, name: &str, files: &mut BTreeMap<String, String>) -> Result<(), String> {
    let failed = |error: std::io::Error| format!("{}: {error}", folder.display());
    for entry in std::fs::read_dir(folder).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        let name = format!("{name}/{}", path.file_name().unwrap_or_default().to_string_lossy());
        if path.is_dir() {
            add_sources(&path, &name, files)?;
        } else if name.ends_with(".rs") {
            files.insert(name, read(&path)?);
        }
    }
    Ok(())
}

/// A manifest of this workspace as one that stands alone: what is inherited is written out, lints are left to us.
fn stand_alone(manifest: &str, workspace: &str, macros: &str) -> Result<String, String> {
    let mut text = String::new();
    for line in replaced(manifest, "\n[lints]\nworkspace = true\n", "")?.lines() {
        let Some(key) = line.strip_suffix(".workspace = true") else {
            text.push_str(line);
            text.push('\n');
            continue;
        };
        let inherited = workspace.lines().find(|line| line.starts_with(&format!("{key} = ")));
        let inherited = inherited.ok_or_else(|| format!("Cargo.toml does not say {key}"))?;
        if inherited.contains("path = ") {
            text.push_str(&format!("{key} = {{ path = \"{macros}\" }}\n"));
        } else {
            text.push_str(&format!("{inherited}\n"));
        }
    }
    Ok(text)
}

/// The part of the workspace's lock file that the SDK needs.
fn lock_file(lock: &str) -> Result<String, String> {
    let (head, _) = lock.split_once("[[package]]").ok_or("Cargo.lock names no package")?;
    let packages: Vec<&str> = lock.split("\n[[package]]\n").skip(1).collect();
    let value = |package: &str, key: &str| -> Option<String> {
        let line = package.lines().find(|line| line.starts_with(&format!("{key} = ")))?;
        line.split('"').nth(1).map(str::to_owned)
    };
    let mut needed = vec!["weir-filter".to_owned()];
    let mut kept: Vec<usize> = Vec::new();
    while let Some(dependency) = needed.pop() {
        // "name", or "name version" where there are several.
        let mut words = dependency.split(' ');
        let (name, version) = (words.next().unwrap_or_default().to_owned(), words.next().map(str::to_owned));
        let found = packages.iter().position(|package| {
            value(package, "name").as_deref() == Some(&name)
                && (version.is_none() || value(package, "version") == version)
        });
        let found = found.ok_or_else(|| format!("Cargo.lock does not name {dependency}"))?;
        if kept.contains(&found) {
            continue;
        }
        kept.push(found);
        let dependencies = packages[found].split_once("dependencies = [").map_or("", |(_, list)| list);
        needed.extend(dependencies.split('"').skip(1).step_by(2).map(str::to_owned));
    }
    kept.sort_unstable();
    let mut text = head.to_owned();
    let kept: Vec<String> =
        kept.iter().map(|number| format!("[[package]]\n{}\n", packages[*number].trim_end())).collect();
    text.push_str(&kept.join("\n"));
    Ok(text)
}

fn replaced(text: &str, from: &str, to: &str) -> Result<String, String> {
    if !text.contains(from) {
        return Err(format!("the SDK's sources have changed: {from:?} is not there"));
    }
    Ok(text.replace(from, to))
}

fn read(path: &Path) -> Result<String, String> {
    std::fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))
}
