//! `weir test --watch`: runs the cases again whenever something changed that they depend on. Of a filter's crate the sources
//! count too: it is built first.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::SystemTime;

use anyhow::Result;
use weir::config::Secrets;
use weir::filter::Engine;
use weir::swapper::{LOOK_EVERY, Seen, look_at};

use super::super::{build, terminal};
use super::{TestOptions, run_and_show};

/// So many files of a crate are looked at.
const MOST_SOURCES: usize = 2000;

/// Runs cases until the process ends.
///
/// # Errors
/// When stdout is gone. What is wrong with cases and crates is shown, and the next change is waited for.
pub(super) fn watch(options: &TestOptions, secrets: &Secrets, engine: &Engine) -> Result<ExitCode> {
    let crates: Vec<&PathBuf> =
        options.paths.iter().filter(|path| path.join("Cargo.toml").is_file()).collect();
    let mut built: Vec<Option<Seen>> = vec![None; crates.len()];
    loop {
        let mut is_built = true;
        for (folder, built) in crates.iter().zip(&mut built) {
            let sources = look_at(sources(folder));
            if built.as_ref() != Some(&sources) {
                *built = Some(sources);
                is_built &= shown(build::build(folder))?;
            }
        }
        let (mut files, started) = (Vec::new(), SystemTime::now());
        if is_built {
            match run_and_show(options, secrets, engine) {
                Ok((_, read)) => files = read,
                Err(error) => {
                    shown(Err(error))?;
                }
            }
        }
        // Where files come and go, the folder changes.
        files.extend(files.iter().filter_map(|file| Some(file.parent()?.to_path_buf())).collect::<Vec<_>>());
        files.extend(options.paths.iter().cloned());
        crates.iter().for_each(|folder| files.extend(sources(folder)));
        files.sort();
        files.dedup();
        eprintln!("waiting for a change; Ctrl-C ends it");
        wait_for_change(&files, started);
    }
}

/// A change counts when a file has been the same twice: one that is being written is left alone.
fn wait_for_change(files: &[PathBuf], started: SystemTime) {
    let mut taken = look_at(files.iter().cloned());
    let mut last = taken.clone();
    // What changed while the cases ran may have been read before.
    taken.retain(|(_, seen)| seen.is_none_or(|(modified, _)| modified < started));
    loop {
        std::thread::sleep(LOOK_EVERY);
        let now = look_at(files.iter().cloned());
        if now != taken && now == last {
            return;
        }
        last = now;
    }
}

/// Whether it went well. An error is shown, but for that of a stdout that is gone.
fn shown(result: Result<()>) -> Result<bool> {
    match result {
        Ok(()) => Ok(true),
        Err(error) if super::super::reader_is_gone(&error) => Err(error),
        Err(error) => {
            eprintln!("{}: {error:#}", terminal::error_label());
            Ok(false)
        }
    }
}

/// What a crate is compiled of.
fn sources(folder: &Path) -> Vec<PathBuf> {
    let mut files = vec![folder.join("Cargo.toml"), folder.join("Cargo.lock")];
    let mut folders = vec![folder.join("src")];
    while let Some(folder) = folders.pop() {
        let Ok(entries) = fs::read_dir(&folder) else { continue };
        for entry in entries.flatten() {
            if files.len() >= MOST_SOURCES {
                return files;
            }
            match entry.file_type() {
                Ok(kind) if kind.is_dir() => folders.push(entry.path()),
                Ok(_) => files.push(entry.path()),
                Err(_) => {}
            }
        }
    }
    files.sort();
    files
}
