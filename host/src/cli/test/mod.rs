//! `weir test`: the cases of filters, run through the real components under the limits of production. Where cases lie is found in
//! `find`, what came of them is shown by `show` and written into their files by `accept`.

mod accept;
mod coverage;
mod find;
mod pipeline;
mod show;
mod watch;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::Args;
use weir::config::cases::{Case, CaseFile, CaseFolder, CaseReading, read_cases, read_cases_of};
use weir::config::{Component, Problem, Problems, Secrets, Severity};
use weir::filter::{CaseRun, Compilation, Engine, run_case};

use super::terminal::ColorChoice;
use super::{Format, USAGE, cache_folder, pipeline_files};
use coverage::Coverage;
use find::{Found, Source};

/// Runs the cases of filters (cases/*.toml) and of pipelines (*.test.toml) through the real components
///
/// A path is a folder, which is searched; a file of cases; a .wasm, whose cases lie in cases/ beside it, or else are carried in
/// it; the name of a built-in filter; or a pipeline file NAME.toml, whose tests lie in NAME.test.toml. A file of cases belongs to the filter whose folder it lies in, or to the one that
/// `use = "…"` at its top names. docs/testing-filters.md has all that a case may say.
#[derive(Args)]
#[command(after_help = "Examples:
  weir test guest-filters/dissect
  weir test my-filter.wasm --filter \"long number\" --fuel
  weir test --watch my-filter
  weir test config/branches.toml
  weir test --accept my-filter/cases/numbers.toml")]
pub(super) struct TestOptions {
    /// Folders, files of cases, .wasm files or built-in filters
    #[arg(value_name = "PATH", default_value = ".")]
    paths: Vec<PathBuf>,

    /// Only cases whose name has this text in it
    #[arg(long, value_name = "TEXT")]
    filter: Option<String>,

    /// Show how many WebAssembly instructions each case took, the same on every machine
    #[arg(long)]
    fuel: bool,

    /// Write what comes out into the files of cases, where it is not as expected; a case without `expect` gets one
    #[arg(long)]
    accept: bool,

    /// Show which options of the filters no case sets
    #[arg(long, conflicts_with = "filter")]
    coverage: bool,

    /// The same, and fail if there is one
    #[arg(long, conflicts_with = "filter")]
    coverage_required: bool,

    /// Run again whenever a component or its cases change; a filter's crate is built first
    #[arg(long)]
    watch: bool,

    /// Where address databases are looked for that are not beside a file of cases
    #[arg(long, value_name = "DIR")]
    databases: Option<PathBuf>,

    /// Whether to colour what is different
    #[arg(long, value_name = "WHEN", default_value = "auto")]
    color: ColorChoice,

    /// json: a list of {file, line, filter, name, ok, accepted, fuel, differences} on stdout; with
    /// --coverage an object {cases, coverage}
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    format: Format,
}

/// How one case ended.
struct Outcome {
    file: String,
    line: usize,
    filter: String,
    name: String,
    run: CaseRun,
    /// What is wrong with options that should have been taken, with their places.
    refused: Problems,
    /// What came is in the file now.
    accepted: bool,
    /// Why it is not, where it should be.
    not_accepted: String,
}

/// What came of all cases.
#[derive(Default)]
struct Outcomes {
    list: Vec<Outcome>,
    /// Files that are no files of cases.
    problems: Problems,
    /// Cases that were not run, as `--filter` leaves them out.
    left_out: usize,
    coverage: Coverage,
    /// What was read.
    files: Vec<PathBuf>,
}

impl Outcomes {
    fn show_and_keep(&mut self, options: &TestOptions, outcome: Outcome) -> Result<()> {
        if options.format == Format::Text {
            show::print(&outcome, self.list.last(), options.color.for_stdout(), options.fuel)?;
        }
        self.list.push(outcome);
        Ok(())
    }
}

pub(super) fn run(options: &TestOptions, secrets: &Secrets) -> Result<ExitCode> {
    let cache = cache_folder();
    let engine = match options.fuel {
        true => Engine::metered(cache.as_deref())?,
        false => Engine::new(cache.as_deref(), Compilation::Quick)?,
    };
    if options.watch {
        return watch::watch(options, secrets, &engine);
    }
    run_and_show(options, secrets, &engine).map(|(code, _)| code)
}

/// All cases once. The second answer are the files that it depended on.
fn run_and_show(
    options: &TestOptions,
    secrets: &Secrets,
    engine: &Engine,
) -> Result<(ExitCode, Vec<PathBuf>)> {
    let mut outcomes = run_all(options, secrets, engine)?;
    pipeline_files::print(&outcomes.problems);
    let files = std::mem::take(&mut outcomes.files);
    Ok((finish(options, engine, &outcomes)?, files))
}

fn run_all(options: &TestOptions, secrets: &Secrets, engine: &Engine) -> Result<Outcomes> {
    let mut found = Vec::new();
    for path in &options.paths {
        found.extend(find::find(path, engine)?);
    }
    let mut outcomes = Outcomes { problems: Problems::new(secrets.clone()), ..Outcomes::default() };
    for found in found {
        outcomes.files.push(found.path.clone());
        match found.source {
            Source::Pipeline => pipeline::run_file(options, secrets, engine, &found.path, &mut outcomes)?,
            Source::File | Source::Carried { .. } => run_file(options, engine, &found, &mut outcomes)?,
        }
    }
    Ok(outcomes)
}

fn run_file(options: &TestOptions, engine: &Engine, found: &Found, outcomes: &mut Outcomes) -> Result<()> {
    let read = read(found, options.accept);
    let (mut file, mut wrong) = read.with_context(|| format!("cannot read {}", found.path.display()))?;
    wrong.sort();
    if wrong.errors() > 0 {
        outcomes.problems.extend(wrong);
        return Ok(());
    }
    let all = file.cases.len();
    let cases: Vec<(usize, Case)> = std::mem::take(&mut file.cases).into_iter().enumerate().collect();
    let cases: Vec<(usize, Case)> =
        cases.into_iter().filter(|(_, case)| is_wanted(options, &case.name)).collect();
    outcomes.left_out += all - cases.len();
    if cases.is_empty() {
        return Ok(());
    }
    let component = match (&found.component, file.component.take()) {
        (Some(component), _) => component.clone(),
        (None, Some(component)) => component,
        (None, None) => find::component_of(&found.path)?,
    };
    if let Component::File(path) = &component {
        outcomes.files.push(path.clone());
    }
    let folder = found.path.parent().unwrap_or(Path::new(""));
    let mut ran = Vec::with_capacity(cases.len());
    for (number, mut case) in cases {
        case.step.component = component.clone();
        case.step.id = match &component {
            Component::BuiltIn(name) => name.clone(),
            Component::File(_) => "filter".to_owned(),
        };
        if let Some(databases) = &options.databases {
            find_database(&mut case, folder, databases);
        }
        outcomes.coverage.add(&component, case.step.options.keys());
        let run = run_case(engine, &case, folder);
        let outcome = Outcome {
            file: file.file.name.clone(),
            line: file.file.position(case.span.start).0,
            filter: find::name_of(&component),
            name: case.name.clone(),
            refused: problems_of(&run, &case, &file),
            run,
            accepted: false,
            not_accepted: String::new(),
        };
        ran.push((number, case, outcome));
    }
    if options.accept {
        accept::accept_all(found, &file.file.text, &mut ran)?;
    }
    for (_, _, outcome) in ran {
        outcomes.show_and_keep(options, outcome)?;
    }
    Ok(())
}

/// What the filter says against options that it should take, at its place in the file.
fn problems_of(run: &CaseRun, case: &Case, file: &CaseFile) -> Problems {
    let mut problems = Problems::default();
    for problem in &run.refused {
        let place = case.step.places.find(&problem.pointer).unwrap_or_else(|| case.span.clone());
        problems.push(Problem {
            severity: Severity::Error,
            file: file.file.clone(),
            span: Some(place),
            message: problem.message.clone(),
            fix: problem.fix.clone(),
        });
    }
    problems
}

fn read(found: &Found, may_lack_expect: bool) -> std::io::Result<(CaseFile, Problems)> {
    match &found.source {
        Source::File | Source::Pipeline => read_cases(&found.path, may_lack_expect),
        Source::Carried { text, files } => {
            let reading = CaseReading { folder: CaseFolder::carried(files), may_lack_expect: false };
            Ok(read_cases_of(&found.path, text.clone(), &reading))
        }
    }
}

fn is_wanted(options: &TestOptions, name: &str) -> bool {
    options.filter.as_ref().is_none_or(|text| name.contains(text.as_str()))
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

fn finish(options: &TestOptions, engine: &Engine, outcomes: &Outcomes) -> Result<ExitCode> {
    let coverage = match options.coverage || options.coverage_required {
        true => Some(outcomes.coverage.by_filter(engine)?),
        false => None,
    };
    let failed = show::print_end(options.format, &outcomes.list, outcomes.left_out, coverage.as_deref())?;
    if outcomes.problems.errors() > 0 {
        return Ok(ExitCode::from(USAGE));
    }
    if outcomes.list.is_empty() {
        let paths: Vec<String> = options.paths.iter().map(|path| path.display().to_string()).collect();
        let paths = paths.join(", ");
        match &options.filter {
            Some(text) if outcomes.left_out > 0 => eprintln!("no case in {paths} has {text:?} in its name"),
            _ => eprintln!("there are no cases in {paths}; cases are TOML files in folders named `cases`"),
        }
        return Ok(ExitCode::from(USAGE));
    }
    let is_uncovered =
        options.coverage_required && coverage.iter().flatten().any(|filter| !filter.unused.is_empty());
    Ok(if failed == 0 && !is_uncovered { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
