//! Where cases lie, and which filter they are for.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use anyhow::{Context, Result, bail};
use weir::config::Component;
use weir::filter::Engine;

/// How deep folders are searched.
const DEEPEST: usize = 12;

/// A file of cases.
pub(super) struct Found {
    pub(super) path: PathBuf,
    /// The component, where the command line names it.
    pub(super) component: Option<Component>,
}

/// The files of cases that a path of the command line stands for, in order.
///
/// # Errors
/// When there is no such file, or a folder cannot be read.
pub(super) fn find(path: &Path) -> Result<Vec<Found>> {
    let metadata = fs::metadata(path).with_context(|| format!("cannot read {}", path.display()))?;
    if metadata.is_dir() {
        let mut files = Vec::new();
        search(path, 0, &mut files)?;
        return Ok(files.into_iter().map(|path| Found { path, component: None }).collect());
    }
    if path.extension().is_some_and(|extension| extension == "wasm") {
        let folder = path.parent().unwrap_or(Path::new("")).join("cases");
        let component = Some(Component::File(path.to_path_buf()));
        let files = case_files(&folder)
            .with_context(|| format!("{} has no cases beside it, in {}", path.display(), folder.display()))?;
        return Ok(files.into_iter().map(|path| Found { path, component: component.clone() }).collect());
    }
    Ok(vec![Found { path: path.to_path_buf(), component: None }])
}

fn search(folder: &Path, depth: usize, files: &mut Vec<PathBuf>) -> Result<()> {
    let name = fs::canonicalize(folder).ok().and_then(|folder| folder.file_name().map(ToOwned::to_owned));
    if name.is_some_and(|name| name == "cases") {
        files.extend(case_files(folder)?);
        return Ok(());
    }
    let entries = fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))?;
    let mut folders = Vec::new();
    for entry in entries {
        let entry = entry?;
        let name = entry.file_name();
        let name = name.to_string_lossy();
        // What is built, fetched or hidden holds no cases of its own. Links are not followed: they may lead in circles.
        if entry.file_type()?.is_dir() && !name.starts_with('.') && name != "target" && name != "node_modules"
        {
            folders.push(entry.path());
        }
    }
    folders.sort();
    if depth < DEEPEST {
        for folder in folders {
            search(&folder, depth + 1, files)?;
        }
    }
    Ok(())
}

fn case_files(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "toml") {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

/// The filter that a file of cases is for by its place: `<filter>/cases/x.toml`.
///
/// # Errors
/// When its place does not say it, or the filter has not been built.
pub(super) fn component_of(cases: &Path) -> Result<Component> {
    let place = fs::canonicalize(cases).with_context(|| format!("cannot read {}", cases.display()))?;
    let folder = place.parent().filter(|folder| folder.file_name().is_some_and(|name| name == "cases"));
    let Some(folder) = folder.and_then(Path::parent) else {
        bail!("{} does not say which filter it is for; write `use = \"…\"` at its top", cases.display());
    };
    let name = folder.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    if Engine::built_in().any(|known| known == name) {
        return Ok(Component::BuiltIn(name));
    }
    let file = format!("{}.wasm", name.replace('-', "_"));
    let beside = [folder.join(&file), folder.join(format!("{name}.wasm"))];
    let built = folder.ancestors().flat_map(|folder| {
        ["release", "debug"]
            .map(|profile| folder.join("target/wasm32-unknown-unknown").join(profile).join(&file))
    });
    let newest = beside
        .into_iter()
        .chain(built)
        .filter_map(|path| {
            Some((fs::metadata(&path).ok()?.modified().unwrap_or(SystemTime::UNIX_EPOCH), path))
        })
        .max();
    match newest {
        Some((_, path)) => Ok(Component::File(path)),
        None => bail!(
            "the filter {name:?} of {} is not built; build it with `cargo build --release --target wasm32-unknown-unknown`, \
             or write `use = \"….wasm\"` at the top of its cases",
            cases.display()
        ),
    }
}

/// The component for messages.
pub(super) fn name_of(component: &Component) -> String {
    match component {
        Component::BuiltIn(name) => name.clone(),
        Component::File(path) => path.display().to_string(),
    }
}
