//! `weir dlq replay`: delivers dead letters.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::{Args, ValueEnum};
use serde_json::json;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use weir::assembly;
use weir::config::{Config, Secrets};
use weir::filter::{Compilation, Engine};
use weir::output::dead_letter::LetterId;
use weir::replay::{self, ReplayOptions, ReplayTo, Replayed};

use super::{Format, Selection, count, read_config, some_folder, write_json};
use crate::cli::cache_folder;

/// Delivers dead letters; those that are refused again stay
///
/// An event keeps its identity, so one that is replayed twice (after a kill, say) is stored once. A letter is done with
/// when all that came of it is stored, and is then not shown any more. The pipeline may run meanwhile. Ends on SIGTERM or
/// Ctrl-C: what is not delivered by then stays.
#[derive(Args)]
#[command(after_help = "Examples:
  weir dlq replay --dry-run pipeline.toml
  weir dlq replay pipeline.toml
  weir dlq replay pipeline.toml --plugin geoip --to filters
  weir dlq replay pipeline.toml 1:0 1:412")]
pub(super) struct ReplayCommand {
    /// The pipeline file
    #[arg(value_name = "FILE")]
    file: PathBuf,

    /// Letters, as `weir dlq list` names them; all unless said
    #[arg(value_name = "LETTER")]
    letters: Vec<LetterId>,

    #[command(flatten)]
    selection: Selection,

    /// Where letters go
    #[arg(long, value_name = "WHERE", default_value = "plugin")]
    to: To,

    /// Run the filters and say what would be delivered; deliver nothing, mark nothing
    #[arg(long)]
    dry_run: bool,

    /// json: {replayed, failed, damaged, delivered, failures, strangers} on stdout
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    format: Format,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum To {
    /// On from where it was set aside: to that output, or through that filter and all after it
    Plugin,
    /// Through all filters, from the first one, and to all outputs
    Filters,
    /// To the output that set it aside, without filters; to all outputs if a filter did
    Output,
}

pub(super) fn run(command: &ReplayCommand, secrets: &Secrets) -> Result<ExitCode> {
    let config = match read_config(&command.file, secrets) {
        Ok(config) => config,
        Err(code) => return Ok(code),
    };
    some_folder(assembly::dead_letter_folders(&config))?;
    let cache = config.pipeline.state_dir.as_ref().map(|folder| folder.join("cache")).or_else(cache_folder);
    let engine = Engine::new(cache.as_deref(), Compilation::Thorough)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let runtime = runtime.context("cannot start the threads")?;
    let stop = CancellationToken::new();
    let options = ReplayOptions {
        to: match command.to {
            To::Plugin => ReplayTo::Plugin,
            To::Filters => ReplayTo::Filters,
            To::Output => ReplayTo::Output,
        },
        filter: command.selection.filter(&command.letters),
        dry_run: command.dry_run,
        stop: stop.clone(),
    };
    let replayed = runtime.block_on(async {
        stop_on_signals(stop)?;
        replay::replay(&config, &engine, &assembly::environment(&config), &options).await
    })?;
    match command.format {
        Format::Json => print_json(&replayed)?,
        Format::Text => print(command, &config, &replayed)?,
    }
    let is_whole = replayed.failed == 0 && replayed.damaged == 0 && replayed.strangers.is_empty();
    Ok(if is_whole { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn stop_on_signals(stop: CancellationToken) -> Result<()> {
    let mut interrupt = signal(SignalKind::interrupt()).context("cannot listen for SIGINT")?;
    let mut terminate = signal(SignalKind::terminate()).context("cannot listen for SIGTERM")?;
    tokio::spawn(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
        stop.cancel();
    });
    Ok(())
}

fn print_json(replayed: &Replayed) -> Result<()> {
    let failures: Vec<_> = replayed
        .failures
        .iter()
        .map(|(letter, reason)| json!({"letter": letter.to_string(), "reason": reason}))
        .collect();
    write_json(&json!({
        "replayed": replayed.done,
        "failed": replayed.failed,
        "damaged": replayed.damaged,
        "delivered": replayed.delivered,
        "failures": failures,
        "strangers": replayed.strangers,
    }))
}

fn print(command: &ReplayCommand, config: &Config, replayed: &Replayed) -> Result<()> {
    for (letter, reason) in &replayed.failures {
        eprintln!("letter {letter} stays: {reason}");
    }
    let told = replayed.failures.len() as u64;
    if replayed.failed > told {
        eprintln!("… and {} more", replayed.failed - told);
    }
    for (plugin, letters) in &replayed.strangers {
        eprintln!(
            "{} of {plugin:?} stay: {} has no filter or output of that name; --to filters or --to output replays them",
            count(*letters, "letter"),
            Path::new(&config.file.name).display()
        );
    }
    let verb = if command.dry_run { "would replay" } else { "replayed" };
    let mut line = format!("{verb} {}", count(replayed.done, "letter"));
    if replayed.failed > 0 {
        line.push_str(&format!(", {} stay", replayed.failed));
    }
    if replayed.damaged > 0 {
        line.push_str(&format!(", {} cannot be read", replayed.damaged));
    }
    writeln!(std::io::stdout().lock(), "{line}")?;
    Ok(())
}
