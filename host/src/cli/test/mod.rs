//! `weir test`: the cases of filters, run through the real components under the limits of production.

mod find;

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::Args;
use serde_json::json;
use weir::config::cases::{Case, read_cases};
use weir::config::{Component, Problems, Secrets};
use weir::filter::{Compilation, Engine, run_case};

use super::terminal::{stdout_takes_color, styled};
use super::{Format, USAGE, cache_folder, pipeline_files};
use find::Found;

/// Runs the cases of filters (cases/*.toml) through the real components
///
/// A path is a folder, which is searched; a file of cases; or a .wasm, whose cases lie in cases/ beside it. A file of
/// cases belongs to the filter whose folder it lies in, or to the one that `use = "…"` at its top names.
#[derive(Args)]
#[command(after_help = "Example: weir test guest-filters/dissect")]
pub(super) struct TestOptions {
    /// Folders, files of cases or .wasm files
    #[arg(value_name = "PATH", default_value = ".")]
    paths: Vec<PathBuf>,

    /// Where address databases are looked for that are not beside a file of cases
    #[arg(long, value_name = "DIR")]
    databases: Option<PathBuf>,

    /// json: a list of {file, line, filter, name, ok, differences} on stdout
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    format: Format,
}

/// How one case ended.
struct Outcome {
    file: String,
    line: usize,
    filter: String,
    name: String,
    differences: Vec<String>,
}

pub(super) fn run(options: &TestOptions, secrets: &Secrets) -> Result<ExitCode> {
    let engine = Engine::new(cache_folder().as_deref(), Compilation::Quick)?;
    let mut found = Vec::new();
    for path in &options.paths {
        found.extend(find::find(path)?);
    }
    let mut problems = Problems::new(secrets.clone());
    let mut outcomes = Vec::new();
    for Found { path, component } in found {
        let (file, mut wrong) =
            read_cases(&path).with_context(|| format!("cannot read {}", path.display()))?;
        wrong.sort();
        if wrong.errors() > 0 {
            problems.extend(wrong);
            continue;
        }
        if file.cases.is_empty() {
            continue;
        }
        let component = match component.or(file.component) {
            Some(component) => component,
            None => find::component_of(&path)?,
        };
        let folder = path.parent().unwrap_or(Path::new(""));
        for mut case in file.cases {
            case.step.component = component.clone();
            case.step.id = match &component {
                Component::BuiltIn(name) => name.clone(),
                Component::File(_) => "filter".to_owned(),
            };
            if let Some(databases) = &options.databases {
                find_database(&mut case, folder, databases);
            }
            let outcome = Outcome {
                file: file.file.name.clone(),
                line: file.file.position(case.span.start).0,
                filter: find::name_of(&component),
                differences: run_case(&engine, &case, folder),
                name: case.name,
            };
            if options.format == Format::Text {
                print_outcome(&outcome, outcomes.last(), stdout_takes_color())?;
            }
            outcomes.push(outcome);
        }
    }
    pipeline_files::print(&problems);
    finish(options, &outcomes, problems.errors())
}

/// A database that is not beside the cases is taken from the folder of databases.
fn find_database(case: &mut Case, folder: &Path, databases: &Path) {
    let Some(serde_json::Value::String(path)) = case.step.options.get_mut("database") else { return };
    let elsewhere = databases.join(&*path);
    if !folder.join(&*path).exists()
        && let Ok(elsewhere) = elsewhere.canonicalize()
    {
        *path = elsewhere.display().to_string();
    }
}

fn finish(options: &TestOptions, outcomes: &[Outcome], wrong_files: usize) -> Result<ExitCode> {
    let failed = outcomes.iter().filter(|outcome| !outcome.differences.is_empty()).count();
    let mut stdout = std::io::stdout().lock();
    match options.format {
        Format::Json => {
            let list: Vec<_> = outcomes.iter().map(outcome_json).collect();
            writeln!(stdout, "{:#}", json!(list))?;
        }
        Format::Text => {
            if failed > 0 {
                writeln!(stdout)?;
            }
            writeln!(stdout, "{} passed, {failed} failed", outcomes.len() - failed)?;
        }
    }
    if wrong_files > 0 {
        return Ok(ExitCode::from(USAGE));
    }
    if outcomes.is_empty() {
        let paths: Vec<String> = options.paths.iter().map(|path| path.display().to_string()).collect();
        eprintln!(
            "there are no cases in {}; cases are TOML files in folders named `cases`",
            paths.join(", ")
        );
        return Ok(ExitCode::from(USAGE));
    }
    Ok(if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// A line for the case, after one for its file where that is another than the last one's.
fn print_outcome(outcome: &Outcome, last: Option<&Outcome>, color: bool) -> Result<()> {
    let mut stdout = std::io::stdout().lock();
    if last.is_none_or(|last| last.file != outcome.file) {
        writeln!(stdout, "{} ({})", styled(&outcome.file, "1", color), outcome.filter)?;
    }
    if outcome.differences.is_empty() {
        writeln!(stdout, "  {}      {}", styled("ok", "32", color), outcome.name)?;
        return Ok(());
    }
    let failed = styled("FAILED", "1;31", color);
    writeln!(stdout, "  {failed}  {} (line {})", outcome.name, outcome.line)?;
    for line in outcome.differences.iter().flat_map(|difference| difference.lines()) {
        writeln!(stdout, "            {line}")?;
    }
    Ok(())
}

fn outcome_json(outcome: &Outcome) -> serde_json::Value {
    json!({
        "file": outcome.file,
        "line": outcome.line,
        "filter": outcome.filter,
        "name": outcome.name,
        "ok": outcome.differences.is_empty(),
        "differences": outcome.differences,
    })
}
