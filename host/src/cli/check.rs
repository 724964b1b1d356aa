//! `weir check`: all mistakes of pipeline files in one run.

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use clap::Args;
use weir::assembly;
use weir::config::{Config, Problems, Secrets, Step};
use weir::filter::{Compilation, Engine};

use super::{Format, USAGE, cache_folder, pipeline_files};

/// Finds all mistakes in pipeline files, without running them
///
/// Loads the filters and asks them about their options, and opens the databases that they name; needs no network. Every
/// mistake is shown with its place, its cause and what to do. Exits with 0 if there is none, else with 2.
#[derive(Args)]
#[command(after_help = "Example: weir check config/route53-cloudwatch-elasticsearch.toml")]
pub(super) struct CheckOptions {
    /// Pipeline files
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,

    /// json: a list of {severity, file, line, column, end_line, end_column, message, fix} on stdout
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    format: Format,
}

pub(super) fn run(options: &CheckOptions, secrets: &Secrets) -> Result<ExitCode> {
    let engine = Engine::new(cache_folder().as_deref(), Compilation::Quick)?;
    let mut all = Problems::new(secrets.clone());
    let mut lines = Vec::new();
    for file in &options.files {
        let (config, mut problems) = pipeline_files::read(file, secrets);
        if let Some(config) = config {
            let line = format!("{}: ok ({})", file.display(), parts(&config));
            let environment = assembly::environment(&config);
            match assembly::prepare(config, &engine, &environment) {
                Ok(prepared) => pipeline_files::add_warnings(&prepared, &mut problems),
                Err(found) => problems.extend(found),
            }
            if problems.errors() == 0 {
                lines.push(line);
            }
        }
        problems.sort();
        all.extend(problems);
    }
    let mut stdout = std::io::stdout().lock();
    match options.format {
        Format::Json => writeln!(stdout, "{:#}", all.to_json())?,
        Format::Text => {
            pipeline_files::print(&all);
            for line in lines {
                writeln!(stdout, "{line}")?;
            }
        }
    }
    Ok(if all.errors() == 0 { ExitCode::SUCCESS } else { ExitCode::from(USAGE) })
}

/// `1 input, 6 filters, 1 output`; branches are named where there are some.
fn parts(config: &Config) -> String {
    let count = |count: usize, one: &str, several: &str| {
        format!("{count} {}", if count == 1 { one } else { several })
    };
    let mut parts =
        vec![count(config.inputs.len(), "input", "inputs"), count(config.filters.len(), "filter", "filters")];
    match Step::branches(&config.steps) {
        0 => {}
        branches => parts.push(count(branches, "branch", "branches")),
    }
    parts.push(count(config.outputs.len(), "output", "outputs"));
    parts.join(", ")
}
