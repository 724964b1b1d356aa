//! `weir swap`: puts another component in the place of a running filter, or the one before back. The process is asked over
//! the socket in its `state_dir`; all of the work is done there.

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use clap::Args;
use serde_json::json;
use weir::config::Secrets;
use weir::control;
use weir::swapper::{SwapOutcome, SwapRequest};

use super::status::state_dir_of;
use super::terminal::{stdout_takes_color, styled};
use super::{Format, USAGE};

/// Puts another component in a running filter's place
///
/// The running process reads the component, checks what it imports, compiles and configures it, runs its cases, and runs it
/// beside the line on the next batches, whose differences are shown. Only then it takes the filter's place, between two
/// batches: no event is lost or waits. If anything fails the old one stays, the reason is shown, and the command exits with 1.
///
/// The version before is kept. It comes back by itself when the new one breaks, or fails on clearly more events, within an
/// hour (`[pipeline] swap`), and with --back at any time. The pipeline file is not changed: write it there too, or the next
/// start has the old component.
#[derive(Args)]
#[command(after_help = "Examples:
  weir swap route53.toml dissect new.wasm
  weir swap route53.toml dissect new.wasm --shadow 100 --cases cases/
  weir swap route53.toml mutate mutate --options mutate.toml
  weir swap --back route53.toml dissect")]
pub(super) struct SwapOptions {
    /// The pipeline file, which says the state_dir
    #[arg(value_name = "FILE")]
    file: PathBuf,

    /// The filter's id, as `weir status` shows it; with --back it may be left out: all filters go back
    #[arg(value_name = "FILTER", required_unless_present = "back")]
    filter: Option<String>,

    /// The new component: a .wasm file, or the name of a built-in filter
    #[arg(value_name = "COMPONENT", required_unless_present = "back", conflicts_with = "back")]
    component: Option<String>,

    /// Put the version before back in its place
    #[arg(long)]
    back: bool,

    /// A TOML file with all that the filter's step says but `use` and `id`; without it the step stays as it is
    #[arg(long, value_name = "FILE", conflicts_with = "back")]
    options: Option<PathBuf>,

    /// A folder of cases that must pass, in place of those that the component carries
    #[arg(long, value_name = "DIR", conflicts_with = "back")]
    cases: Option<PathBuf>,

    /// Batches that it runs beside the line on; 0: none [default: 8, or what `[pipeline] swap` says]
    #[arg(long, value_name = "N", conflicts_with = "back")]
    shadow: Option<usize>,

    /// json: one object with what was done
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    format: Format,
}

pub(super) fn run(options: &SwapOptions, secrets: &Secrets) -> Result<ExitCode> {
    let Some(state_dir) = state_dir_of(&options.file, secrets) else { return Ok(ExitCode::from(USAGE)) };
    let request = match (options.back, &options.component) {
        (false, Some(component)) => json!({ "request": "swap", "swap": request(options, component)? }),
        _ => json!({ "request": "back", "filter": options.filter }),
    };
    let mut say = |text: &str| eprintln!("{text}");
    let Some(answer) = control::ask_for_change(&state_dir, &request, &mut say)? else {
        bail!(
            "no process runs in {}; start it with `weir run {}`",
            state_dir.display(),
            options.file.display()
        )
    };
    let mut stdout = std::io::stdout().lock();
    match options.format {
        Format::Json => writeln!(stdout, "{answer:#}")?,
        Format::Text => {
            let outcome: SwapOutcome =
                serde_json::from_value(answer).context("the process is of another version of Weir")?;
            stdout.write_all(page(&outcome, stdout_takes_color()).as_bytes())?;
            let file = options.file.display();
            writeln!(
                stdout,
                "{file} is as it was: write the change there too, or the next start has the old one"
            )?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// The process runs in a folder of its own, so paths are whole.
fn request(options: &SwapOptions, component: &str) -> Result<SwapRequest> {
    let whole = |path: &Path| -> Result<PathBuf> {
        let named = || format!("cannot read {}", path.display());
        path.canonicalize().with_context(named)
    };
    let is_file = component.contains('/') || component.ends_with(".wasm");
    let component = match is_file {
        true => whole(Path::new(component))?.display().to_string(),
        false => component.to_owned(),
    };
    Ok(SwapRequest {
        filter: options.filter.clone().unwrap_or_default(),
        component,
        options: options.options.as_deref().map(whole).transpose()?,
        cases: options.cases.as_deref().map(whole).transpose()?,
        shadow: options.shadow,
        shadow_limit: None,
    })
}

fn page(outcome: &SwapOutcome, color: bool) -> String {
    let mut page = String::new();
    let _ =
        writeln!(page, "{}: {} ({:.1} s)", styled("swapped", "1;32", color), outcome.done, outcome.seconds);
    if outcome.cases > 0 {
        let _ = writeln!(page, "cases: {} passed", outcome.cases);
    }
    if let Some(shadow) = &outcome.shadow {
        let from = if shadow.kept > 0 { "kept from before" } else { "live" };
        match shadow.batches {
            0 => page.push_str("beside the line: nothing was read meanwhile or before\n"),
            batches => {
                let _ = writeln!(
                    page,
                    "beside the line: {} of {} events in {batches} batches ({from}) come out otherwise",
                    shadow.differing, shadow.events
                );
            }
        }
        if shadow.came_out.0 != shadow.came_out.1 || shadow.set_aside.0 != shadow.set_aside.1 {
            let _ = writeln!(
                page,
                "  come out: {} -> {}; set aside: {} -> {}",
                shadow.came_out.0, shadow.came_out.1, shadow.set_aside.0, shadow.set_aside.1
            );
        }
        for difference in &shadow.first {
            let field = if difference.field.is_empty() { "the event" } else { &difference.field };
            let value = |value: &Option<String>| value.clone().unwrap_or_else(|| "(none)".to_owned());
            let (now, new) = (value(&difference.now), value(&difference.new));
            let _ = writeln!(
                page,
                "  {field}\n    {}\n    {}",
                styled(&format!("- {now}"), "31", color),
                styled(&format!("+ {new}"), "32", color)
            );
        }
    }
    for carried in &outcome.carried {
        let _ = writeln!(page, "what filter {carried} keeps went over");
    }
    for lost in &outcome.lost {
        let _ = writeln!(page, "{}: what it kept is lost: {lost}", styled("warning", "1;33", color));
    }
    for warning in &outcome.warnings {
        let _ = writeln!(page, "{}: {warning}", styled("warning", "1;33", color));
    }
    page
}
