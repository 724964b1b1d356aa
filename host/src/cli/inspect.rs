//! `weir inspect`: all that can be known of a component before it sees an event.

use std::io::Write;
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use clap::Args;
use serde_json::{Map, Value as Json, json};
use weir::event::FieldReference;
use weir::filter::{Compilation, Engine, FilterProblem, Inspection, Planned};

use super::help_filter::{component, options_text, schema_json};
use super::terminal::{stdout_takes_color, styled, width};
use super::{Format, USAGE, cache_folder};

/// Says what a filter is: options, what it reads and writes, imports, cases, size and digest
///
/// What it reads and writes follows from its options. Those that must be set are given with --options.
#[derive(Args)]
#[command(
    after_help = "Example: weir inspect my-filter.wasm\n         weir inspect dissect --options '{\"mapping\": {\"message\": \"%{a} %{b}\"}}'"
)]
pub(super) struct InspectOptions {
    /// The path of a .wasm, or a built-in filter
    #[arg(value_name = "FILTER")]
    filter: String,

    /// Options as a JSON object
    #[arg(long, value_name = "JSON")]
    options: Option<String>,

    /// json: everything as one object
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    format: Format,
}

pub(super) fn run(options: &InspectOptions) -> Result<ExitCode> {
    let given: Option<Map<String, Json>> = match &options.options {
        None => None,
        Some(text) => Some(serde_json::from_str(text).context("--options is no JSON object")?),
    };
    let engine = Engine::new(cache_folder().as_deref(), Compilation::Quick)?;
    let component = component(&options.filter)?;
    let inspection = engine.inspect(&component).with_context(|| format!("cannot load {}", options.filter))?;
    let plan = engine.plan(&component, &given.clone().unwrap_or_default());
    let mut stdout = std::io::stdout().lock();
    match options.format {
        Format::Json => writeln!(stdout, "{:#}", as_json(&inspection, &plan))?,
        Format::Text => stdout.write_all(as_text(&options.filter, &inspection, &plan).as_bytes())?,
    }
    // Without options it is no mistake that some are missing.
    match plan {
        Err(problems) if given.is_some() => {
            drop(stdout);
            if problems.is_empty() {
                bail!("the filter refuses these options and does not say why");
            }
            for problem in &problems {
                eprintln!("{}: {}", super::terminal::error_label(), problem_text(problem));
            }
            Ok(ExitCode::from(USAGE))
        }
        _ => Ok(ExitCode::SUCCESS),
    }
}

fn as_json(inspection: &Inspection, plan: &Result<Planned, Vec<FilterProblem>>) -> Json {
    let names = |references: &[FieldReference]| -> Vec<String> {
        references.iter().map(ToString::to_string).collect()
    };
    let cases: Map<String, Json> =
        inspection.cases.iter().map(|(name, text)| (name.clone(), Json::from(text.as_str()))).collect();
    let mut object = json!({
        "name": inspection.manifest.name,
        "version": inspection.manifest.version,
        "summary": inspection.manifest.summary,
        "options": schema_json(&inspection.manifest),
        "state_version": inspection.manifest.state_version,
        "world": world(inspection),
        "imports": inspection.imports,
        "kernels": inspection.kernels,
        "bytes": inspection.bytes,
        "sha256": inspection.digest,
        "cases": cases,
    });
    let planned = match plan {
        Ok(plan) => json!({
            "reads": names(&plan.reads),
            "writes": names(&plan.writes),
            "everything": plan.everything,
            "stateful": plan.stateful,
        }),
        Err(problems) => json!({"problems": problems.iter().map(problem_text).collect::<Vec<_>>()}),
    };
    if let Some(object) = object.as_object_mut() {
        object.insert("plan".to_owned(), planned);
    }
    object
}

fn as_text(filter: &str, inspection: &Inspection, plan: &Result<Planned, Vec<FilterProblem>>) -> String {
    let color = stdout_takes_color();
    let manifest = &inspection.manifest;
    let mut text =
        format!("{} {}: {}\n\n", styled(&manifest.name, "1", color), manifest.version, manifest.summary);
    let mut line = |what: &str, value: String| {
        text.push_str(&format!("  {}  {value}\n", styled(&format!("{what:9}"), "2", color)));
    };
    line("component", format!("{filter}, {} bytes", inspection.bytes));
    line("sha256", inspection.digest.clone());
    line("world", world(inspection).to_owned());
    line("imports", joined(&inspection.imports));
    if !inspection.kernels.is_empty() {
        line("grants", format!("grants = {}, where it does not ship with Weir", json!(inspection.kernels)));
    }
    let names: Vec<&str> = inspection.cases.iter().map(|(name, _)| name.as_str()).collect();
    line("cases", joined(&names));
    match plan {
        Ok(plan) => {
            let everything = if plan.everything { " and whatever else an event has" } else { "" };
            line("reads", format!("{}{everything}", joined(&plan.reads)));
            line("writes", joined(&plan.writes));
            line(
                "keeps",
                if plan.stateful { "something from event to event".to_owned() } else { "nothing".to_owned() },
            );
        }
        Err(problems) => {
            line("reads", "not known without the right --options:".to_owned());
            for problem in problems {
                line("", problem_text(problem));
            }
        }
    }
    text.push_str(&options_text(manifest, width(), color));
    text
}

fn joined(names: &[impl ToString]) -> String {
    if names.is_empty() {
        return "nothing".to_owned();
    }
    names.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

fn world(inspection: &Inspection) -> &'static str {
    if inspection.kernels.is_empty() { "basic" } else { "with-kernels" }
}

fn problem_text(problem: &FilterProblem) -> String {
    let fix = if problem.fix.is_empty() { String::new() } else { format!(" ({})", problem.fix) };
    format!("{}{fix}", problem.message)
}
