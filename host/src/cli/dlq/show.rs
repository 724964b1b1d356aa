//! `weir dlq show`: dead letters whole.

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Result, bail};
use clap::Args;
use serde_json::{Value as Json, json};
use weir::config::Secrets;
use weir::output::dead_letter::{FoundLetter, LetterId};

use super::{Format, Selection, folders, for_each, shown_time, some_folder, write_json};
use crate::cli::terminal;

/// Shows dead letters whole: when, by which plugin and why they were set aside, and the event with its @metadata
#[derive(Args)]
#[command(after_help = "Examples:
  weir dlq show pipeline.toml 1:0
  weir dlq show pipeline.toml --plugin geoip --limit 3
  weir dlq show state/dead-letter --limit 1000000 --format json > letters.ndjson")]
pub(super) struct ShowOptions {
    /// A pipeline file, its state_dir, or a folder of dead letters
    #[arg(value_name = "PLACE")]
    place: PathBuf,

    /// Letters, as `weir dlq list` names them
    #[arg(value_name = "LETTER")]
    letters: Vec<LetterId>,

    #[command(flatten)]
    selection: Selection,

    /// At most so many
    #[arg(long, value_name = "NUMBER", default_value_t = 10)]
    limit: u64,

    /// json: a line of JSON for each letter on stdout
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    format: Format,
}

pub(super) fn run(options: &ShowOptions, secrets: &Secrets) -> Result<ExitCode> {
    let folders = match folders(&options.place, secrets) {
        Ok(folders) => some_folder(folders)?,
        Err(code) => return Ok(code),
    };
    let filter = options.selection.filter(&options.letters);
    let (mut shown, mut left) = (0, 0);
    let damaged = for_each(&folders, &filter, |_, found| {
        if shown == options.limit {
            left += 1;
            return Ok(());
        }
        shown += 1;
        match options.format {
            Format::Json => write_json(&as_json(&found)),
            Format::Text => print(&found),
        }
    })?;
    if left > 0 {
        eprintln!("{left} more; --limit shows them");
    }
    if shown == 0 && !options.letters.is_empty() {
        bail!("there are no such letters; `weir dlq list` shows which there are");
    }
    Ok(if damaged == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn as_json(found: &FoundLetter) -> Json {
    let letter = &found.letter;
    json!({
        "letter": found.id.to_string(),
        "time": chrono::DateTime::from_timestamp_nanos(letter.time).to_rfc3339_opts(chrono::SecondsFormat::Millis, true),
        "pipeline": found.pipeline,
        "plugin": letter.plugin,
        "reason": letter.reason,
        "identity": (letter.identity != 0).then(|| format!("{:032x}", letter.identity)),
        "event": event_of(found),
    })
}

fn event_of(found: &FoundLetter) -> Json {
    // Its checksum fits, so it is what was written.
    serde_json::from_str(&found.letter.event).unwrap_or_else(|_| Json::from(found.letter.event.as_str()))
}

fn print(found: &FoundLetter) -> Result<()> {
    let letter = &found.letter;
    let head = format!("letter {}", found.id);
    let identity = if letter.identity == 0 { "none".to_owned() } else { format!("{:032x}", letter.identity) };
    let mut stdout = std::io::stdout().lock();
    writeln!(stdout, "{}", terminal::styled(&head, "1", terminal::stdout_takes_color()))?;
    writeln!(stdout, "  time      {}", shown_time(letter.time))?;
    writeln!(stdout, "  pipeline  {}", found.pipeline)?;
    writeln!(stdout, "  plugin    {}", letter.plugin)?;
    writeln!(stdout, "  reason    {}", letter.reason)?;
    writeln!(stdout, "  identity  {identity}")?;
    let event = format!("{:#}", event_of(found)).replace('\n', "\n  ");
    writeln!(stdout, "  event     {event}\n")?;
    Ok(())
}
