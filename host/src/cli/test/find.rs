//! Where cases lie, and which filter they are for.

use std::fs;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::SystemTime;

use anyhow::{Context, Result, bail};
use weir::config::Component;
use weir::config::cases::TEST_ENDING;
use weir::filter::Engine;

/// How deep folders are searched.
const DEEPEST: usize = 12;

/// A file of cases.
pub(super) struct Found {
    /// Where it lies; of one that a component carries, a name for messages in the component's folder.
    pub(super) path: PathBuf,
    pub(super) source: Source,
    /// The component, where the command line names it.
    pub(super) component: Option<Component>,
}

/// What a file of cases is read from.
pub(super) enum Source {
    /// The file.
    File,
    /// The file, which is that of a pipeline's tests.
    Pipeline,
    /// A component, which carries the text, and all files that the cases may name.
    Carried { text: String, files: Rc<Vec<(String, String)>> },
}

impl Found {
    fn file(path: PathBuf, component: Option<Component>) -> Self {
        Found { path, source: Source::File, component }
    }
}

/// The files of cases that a path of the command line stands for, in order.
///
/// # Errors
/// When there is no such file, or a folder cannot be read.
pub(super) fn find(path: &Path, engine: &Engine) -> Result<Vec<Found>> {
    let name = path.to_str().and_then(|name| Engine::built_in().find(|known| *known == name));
    if let Some(name) = name.filter(|_| !path.exists()) {
        return carried(Component::BuiltIn(name.to_owned()), path, engine);
    }
    let metadata = fs::metadata(path).with_context(|| format!("cannot read {}", path.display()))?;
    if metadata.is_dir() {
        let mut found = Vec::new();
        search(path, 0, &mut found)?;
        return Ok(found);
    }
    if path.extension().is_some_and(|extension| extension == "wasm") {
        let folder = path.parent().unwrap_or(Path::new("")).join("cases");
        let component = Component::File(path.to_path_buf());
        if !folder.is_dir() {
            return carried(component, path, engine);
        }
        let files = case_files(&folder)?;
        return Ok(files.into_iter().map(|path| Found::file(path, Some(component.clone()))).collect());
    }
    if let Some(tests) = tests_of(path)? {
        return Ok(vec![Found { path: tests, source: Source::Pipeline, component: None }]);
    }
    Ok(vec![Found::file(path.to_path_buf(), None)])
}

/// The file of a pipeline's tests that a path stands for: it is that, or a pipeline file that has one beside it.
fn tests_of(path: &Path) -> Result<Option<PathBuf>> {
    let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    if name.ends_with(TEST_ENDING) {
        return Ok(Some(path.to_path_buf()));
    }
    let beside = name.strip_suffix(".toml").map(|stem| path.with_file_name(format!("{stem}{TEST_ENDING}")));
    let Some(beside) = beside else { return Ok(None) };
    if beside.is_file() {
        return Ok(Some(beside));
    }
    let text = fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    let is_pipeline =
        text.lines().any(|line| matches!(line.trim(), "[input]" | "[[input]]" | "[output]" | "[[output]]"));
    if is_pipeline {
        bail!(
            "{} is a pipeline file, and its tests would be in {}, which is not there",
            path.display(),
            beside.display()
        );
    }
    Ok(None)
}

/// The files of cases that a component carries in itself.
fn carried(component: Component, path: &Path, engine: &Engine) -> Result<Vec<Found>> {
    let files = engine.carried_cases(&component)?;
    if files.is_empty() {
        bail!("{} has no folder `cases` beside it and carries no cases in it", path.display());
    }
    let files = Rc::new(files);
    let cases = files.iter().filter(|(name, _)| name.ends_with(".toml"));
    let found = cases.map(|(name, text)| {
        let source = Source::Carried { text: text.clone(), files: files.clone() };
        let path = path.with_file_name(format!("{}:{name}", path.file_name().unwrap_or_default().display()));
        Found { path, source, component: Some(component.clone()) }
    });
    Ok(found.collect())
}

fn search(folder: &Path, depth: usize, found: &mut Vec<Found>) -> Result<()> {
    let name = fs::canonicalize(folder).ok().and_then(|folder| folder.file_name().map(ToOwned::to_owned));
    if name.is_some_and(|name| name == "cases") {
        found.extend(case_files(folder)?.into_iter().map(|path| Found::file(path, None)));
        return Ok(());
    }
    let entries = fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))?;
    let (mut folders, mut tests) = (Vec::new(), Vec::new());
    for entry in entries {
        let entry = entry?;
        let name = entry.file_name();
        let name = name.to_string_lossy();
        // What is built, fetched or hidden holds no cases of its own. Links are not followed: they may lead in circles.
        if entry.file_type()?.is_dir() && !name.starts_with('.') && name != "target" && name != "node_modules"
        {
            folders.push(entry.path());
        } else if name.ends_with(TEST_ENDING) {
            tests.push(entry.path());
        }
    }
    tests.sort();
    found.extend(tests.into_iter().map(|path| Found { path, source: Source::Pipeline, component: None }));
    folders.sort();
    if depth < DEEPEST {
        for folder in folders {
            search(&folder, depth + 1, found)?;
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
