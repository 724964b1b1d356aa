//! `weir dlq`: looks at dead letters, replays and removes them. What a letter is, and what a replay does, is left to the
//! library.

mod list;
mod remove;
mod replay;
mod show;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use chrono::{DateTime, NaiveDate, SecondsFormat, Utc};
use clap::{Args, Subcommand};
use weir::assembly;
use weir::config::{Config, Secrets, parse_duration};
use weir::output::dead_letter::{self, FoundLetter, LetterFilter, LetterId, Line};

use super::{Format, USAGE, pipeline_files};

/// Looks at dead letters: events that were set aside, with the reason; replays and removes them
#[derive(Args)]
#[command(after_help = "Examples:
  weir dlq list pipeline.toml
  weir dlq show pipeline.toml 1:0
  weir dlq replay --dry-run pipeline.toml
  weir dlq replay pipeline.toml --reason mapper_parsing --since 1d
A pipeline may run meanwhile.")]
pub(super) struct DlqOptions {
    #[command(subcommand)]
    command: DlqCommand,
}

#[derive(Subcommand)]
enum DlqCommand {
    List(list::ListOptions),
    Show(show::ShowOptions),
    Replay(replay::ReplayCommand),
    Remove(remove::RemoveOptions),
}

/// Which letters.
#[derive(Args)]
struct Selection {
    /// Only those that this filter or output set aside (its name, as `weir dlq list` shows it)
    #[arg(long, value_name = "NAME")]
    plugin: Option<String>,

    /// Only those with this text in their reason
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,

    /// Only those set aside at this time or later: 2026-11-24, 2026-11-24T17:00:00Z, or 90m for so long ago
    #[arg(long, value_name = "TIME", value_parser = parse_time)]
    since: Option<i64>,

    /// Only those set aside before this time
    #[arg(long, value_name = "TIME", value_parser = parse_time)]
    until: Option<i64>,
}

pub(super) fn run(options: &DlqOptions, secrets: &Secrets) -> Result<ExitCode> {
    match &options.command {
        DlqCommand::List(options) => list::run(options, secrets),
        DlqCommand::Show(options) => show::run(options, secrets),
        DlqCommand::Replay(options) => replay::run(options, secrets),
        DlqCommand::Remove(options) => remove::run(options, secrets),
    }
}

impl Selection {
    fn filter(&self, ids: &[LetterId]) -> LetterFilter {
        LetterFilter {
            plugin: self.plugin.clone(),
            reason: self.reason.clone(),
            since: self.since,
            until: self.until,
            ids: ids.to_vec(),
        }
    }

    fn is_empty(&self) -> bool {
        self.plugin.is_none() && self.reason.is_none() && self.since.is_none() && self.until.is_none()
    }
}

/// A time in nanoseconds since 1970.
pub(super) fn parse_time(text: &str) -> Result<i64, String> {
    let midnight = |date: NaiveDate| date.and_hms_opt(0, 0, 0).map(|time| time.and_utc());
    let time = match (DateTime::parse_from_rfc3339(text), text.parse::<NaiveDate>()) {
        (Ok(time), _) => Some(time.to_utc()),
        (_, Ok(date)) => midnight(date),
        _ => parse_duration(text)
            .ok()
            .and_then(|ago| Utc::now().checked_sub_signed(chrono::Duration::from_std(ago).ok()?)),
    };
    time.and_then(|time| time.timestamp_nanos_opt())
        .ok_or_else(|| "write 2026-11-24, 2026-11-24T17:00:00Z, or a length of time such as 90m".to_owned())
}

/// A letter's time, as it is shown.
fn shown_time(nanoseconds: i64) -> String {
    DateTime::from_timestamp_nanos(nanoseconds).to_rfc3339_opts(SecondsFormat::Secs, true)
}

/// Reads a pipeline file; its problems are shown, and answered with an exit code.
pub(super) fn read_config(file: &Path, secrets: &Secrets) -> Result<Config, ExitCode> {
    let (config, problems) = pipeline_files::read(file, secrets);
    match config {
        Some(config) if problems.errors() == 0 => Ok(config),
        _ => {
            pipeline_files::print(&problems);
            Err(ExitCode::from(USAGE))
        }
    }
}

/// The folders of dead letters that a pipeline file, a `state_dir`, or a folder of dead letters stands for.
fn folders(place: &Path, secrets: &Secrets) -> Result<Vec<PathBuf>, ExitCode> {
    if !place.is_dir() {
        return Ok(assembly::dead_letter_folders(&read_config(place, secrets)?));
    }
    let inner = place.join("dead-letter");
    Ok(vec![if inner.is_dir() { inner } else { place.to_owned() }])
}

/// Calls `each` with every letter that is asked for; answers how many lines cannot be read. Folders that are not there
/// have none.
fn for_each(
    folders: &[PathBuf],
    filter: &LetterFilter,
    mut each: impl FnMut(&Path, FoundLetter) -> Result<()>,
) -> Result<u64> {
    let mut damaged = 0;
    for folder in folders {
        if !folder.exists() {
            continue;
        }
        for line in dead_letter::read_folder(folder)? {
            match line? {
                Line::Letter(found) if filter.takes(&found) => each(folder, found)?,
                Line::Letter(_) => {}
                Line::Damaged { id, reason } => {
                    damaged += 1;
                    eprintln!("warning: letter {id} in {} cannot be read: {reason}", folder.display());
                }
            }
        }
    }
    Ok(damaged)
}

/// A place that a command needs a folder of.
fn some_folder(folders: Vec<PathBuf>) -> Result<Vec<PathBuf>> {
    if folders.is_empty() {
        bail!(
            "this pipeline keeps no dead letters; give [pipeline] a state_dir, or [pipeline.dead_letter] a path"
        );
    }
    Ok(folders)
}

fn count(number: u64, word: &str) -> String {
    format!("{number} {word}{}", if number == 1 { "" } else { "s" })
}

pub(super) fn write_json(value: &serde_json::Value) -> Result<()> {
    use std::io::Write;
    writeln!(std::io::stdout().lock(), "{value}").context("cannot write to stdout")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read() {
        assert_eq!(parse_time("1970-01-02"), Ok(86_400_000_000_000));
        assert_eq!(parse_time("1970-01-01T01:00:01+01:00"), Ok(1_000_000_000));
        let ago = parse_time("1h").expect("it is a length of time");
        let now = Utc::now().timestamp_nanos_opt().expect("it is in range");
        assert!((3_599_000_000_000..3_660_000_000_000).contains(&(now - ago)), "{ago}");
        assert!(parse_time("yesterday").is_err() && parse_time("").is_err());
    }
}
