//! `weir build`: a filter's component, of its crate or of what another language's tool made.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::Args;
use weir::author::{compile, read_cases_of};
use weir::config::{Component, with_cases};
use weir::filter::{Compilation, Engine};

use super::cache_folder;

/// Makes a filter's component, its cases inside
///
/// PATH is the folder of a crate, which cargo builds with its release profile, offline if it has all it needs; or a .wasm that
/// another tool made, which only gets its cases.
#[derive(Args)]
#[command(after_help = "Example: weir build my-filter\n         weir build app.wasm --output my-filter.wasm")]
pub(super) struct BuildOptions {
    /// The filter's folder, or a .wasm
    #[arg(value_name = "PATH", default_value = ".")]
    path: PathBuf,

    /// The folder of its cases; cases/ in or beside PATH unless set
    #[arg(long, value_name = "DIR")]
    cases: Option<PathBuf>,

    /// The file to write; NAME.wasm in the filter's folder unless set, and a .wasm itself
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
}

/// Builds the crate in a folder, as the command does.
///
/// # Errors
/// As the command.
pub(super) fn build(folder: &Path) -> Result<()> {
    run(&BuildOptions { path: folder.to_path_buf(), cases: None, output: None }).map(|_| ())
}

pub(super) fn run(options: &BuildOptions) -> Result<ExitCode> {
    let path = &options.path;
    let (folder, made, bytes) = if path.extension().is_some_and(|extension| extension == "wasm") {
        let bytes = fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
        (path.parent().unwrap_or(Path::new("")), path.clone(), bytes)
    } else {
        let module = compile(path)?;
        (path.as_path(), path.join(format!("{}.wasm", module.name)), module.bytes)
    };
    let cases = read_cases_of(options.cases.as_deref().unwrap_or(&folder.join("cases")))?;
    let engine = Engine::new(cache_folder().as_deref(), Compilation::Quick)?;
    let component = engine.to_component(&bytes)?.into_owned();
    let component = if cases.is_empty() { component } else { with_cases(component, &cases)? };
    let output = options.output.clone().unwrap_or(made);
    put_in_place(&output, &component)?;

    // It is loaded as a pipeline would, so that what no pipeline takes is told here.
    let built = engine.inspect(&Component::File(output.clone())).context("the component is no filter")?;
    let output = output.strip_prefix(".").unwrap_or(&output);
    writeln!(
        std::io::stdout().lock(),
        "{}: {} {}, {} bytes, {} of cases inside",
        output.display(),
        built.manifest.name,
        built.manifest.version,
        built.bytes,
        match built.cases.iter().filter(|(name, _)| name.ends_with(".toml")).count() {
            1 => "1 file".to_owned(),
            files => format!("{files} files"),
        }
    )?;
    Ok(ExitCode::SUCCESS)
}

/// At once, so that a pipeline that watches the file never sees half of it.
fn put_in_place(path: &Path, bytes: &[u8]) -> Result<()> {
    let mut beside = path.as_os_str().to_owned();
    beside.push(format!(".{}", std::process::id()));
    let beside = PathBuf::from(beside);
    let written = fs::write(&beside, bytes).and_then(|()| fs::rename(&beside, path));
    if written.is_err() {
        // What is left of it is of no use; that it cannot be removed changes nothing.
        let _ = fs::remove_file(&beside);
    }
    written.with_context(|| format!("cannot write {}", path.display()))
}
