//! `weir audit`: compares what CloudWatch Logs holds with what Elasticsearch has. How that is found is left to the library.

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result};
use chrono::{DateTime, SecondsFormat, Utc};
use clap::Args;
use serde::Serialize;
use serde_json::{Value as Json, json};
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use weir::assembly;
use weir::audit::{self, AuditOptions, Audited, Hour, MissingEvent, OutputHour, Told};
use weir::config::{Config, Secrets};
use weir::filter::{Compilation, Engine};
use weir::input::Source;

use super::dlq::{parse_time, read_config, write_json};
use super::terminal::{error_label, stdout_takes_color, styled};
use super::{Format, USAGE, cache_folder, pipeline_files};

const DAY: i64 = 86_400_000;
/// How many missing events are told one by one; JSON has all.
const TOLD: usize = 20;

/// Compares what CloudWatch Logs holds with what Elasticsearch has, hour by hour
///
/// For every log group and hour: how far the ledger is, how many events CloudWatch Logs holds, and what became of them:
/// stored in every output that takes them, set aside as dead letters, dropped by a rule of the pipeline (its filters are run
/// once more over what is not found), missing, or not read yet. The pipeline may run meanwhile. Exits with 1 when something
/// is missing.
#[derive(Args)]
#[command(after_help = "Examples:
  weir audit route53.toml
  weir audit route53.toml --since 6h
  weir audit route53.toml --since 2026-11-24T00:00:00Z --until 2026-11-25T00:00:00Z --format json
  weir audit route53.toml --since 2d --fetch")]
pub(super) struct AuditCommand {
    /// The pipeline file
    #[arg(value_name = "FILE")]
    file: PathBuf,

    /// Events of this time or later: 2026-11-24, 2026-11-24T17:00:00Z, or 6h for so long ago; a day before --until unless
    /// said
    #[arg(long, value_name = "TIME", value_parser = parse_time)]
    since: Option<i64>,

    /// Events before this time; up to where no late events are waited for any more (`lookback`) unless said
    #[arg(long, value_name = "TIME", value_parser = parse_time)]
    until: Option<i64>,

    /// Send what is missing through the filters to the outputs that lack it; what is there after all is not changed
    #[arg(long)]
    fetch: bool,

    /// json: a line of JSON for every hour of a log group, every missing event, and for the total
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    format: Format,
}

pub(super) fn run(command: &AuditCommand, secrets: &Secrets) -> Result<ExitCode> {
    let config = match read_config(&command.file, secrets) {
        Ok(config) => config,
        Err(code) => return Ok(code),
    };
    let (since, until) = match span(command, &config) {
        Ok(span) => span,
        Err(message) => {
            eprintln!("{}: {message}", error_label());
            return Ok(ExitCode::from(USAGE));
        }
    };
    let cache = config.pipeline.state_dir.as_ref().map(|folder| folder.join("cache")).or_else(cache_folder);
    let engine = Engine::new(cache.as_deref(), Compilation::Thorough)?;
    let environment = assembly::environment(&config);
    let notes = audit::notes(&config);
    let prepared = match assembly::prepare(config, &engine, &environment) {
        Ok(prepared) => prepared,
        Err(problems) => {
            pipeline_files::print(&problems);
            return Ok(ExitCode::from(USAGE));
        }
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let runtime = runtime.context("cannot start the threads")?;
    let options = AuditOptions { since, until, fetch: command.fetch, stop: CancellationToken::new() };
    let mut page = Page { format: command.format, span: (since, until), group: None, told: Vec::new() };
    if command.format == Format::Text {
        for note in &notes {
            eprintln!("note: {note}");
        }
        let text = format!("{} to {}", shown(since), shown(until));
        writeln!(std::io::stdout().lock(), "{}", styled(&text, "1", stdout_takes_color()))?;
    }
    let audited = runtime.block_on(async {
        stop_on_signals(options.stop.clone())?;
        audit::audit(&prepared, &options, &mut |told| page.take(told)).await
    })?;
    page.end(command, &audited, &notes)?;
    Ok(if audited.is_whole() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// From when to when, in milliseconds since 1970.
fn span(command: &AuditCommand, config: &Config) -> Result<(i64, i64), String> {
    if !config.inputs.iter().any(|input| matches!(input.options.source, Source::CloudwatchLogs(_))) {
        return Err(format!(
            "{} has no input of type cloudwatch_logs, and only CloudWatch Logs can be asked again what it holds",
            config.file.name
        ));
    }
    let milliseconds = |time: i64| time.div_euclid(1_000_000);
    let now = Utc::now().timestamp_millis();
    let settled = audit::settled_until(config, now);
    let until = match (command.until.map(milliseconds), command.since.map(milliseconds)) {
        (Some(until), _) => until,
        // Nothing of what was asked for is settled yet: what there is can be looked at all the same.
        (None, Some(since)) if since >= settled => now,
        (None, _) => settled,
    };
    let since = command.since.map_or(until - DAY, milliseconds);
    if since >= until {
        return Err(format!("there is no time from {} to {}", shown(since), shown(until)));
    }
    Ok((since, until))
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

/// A time in milliseconds since 1970 as it is shown.
fn shown(milliseconds: i64) -> String {
    let format = if milliseconds % 1000 == 0 { SecondsFormat::Secs } else { SecondsFormat::Millis };
    DateTime::from_timestamp_millis(milliseconds).unwrap_or_default().to_rfc3339_opts(format, true)
}

/// What is printed while it is found.
struct Page {
    format: Format,
    /// From when to when, in milliseconds since 1970.
    span: (i64, i64),
    /// The log group whose rows are printed.
    group: Option<(String, String)>,
    /// The first missing events.
    told: Vec<MissingEvent>,
}

impl Page {
    fn take(&mut self, told: Told) -> Result<()> {
        match (self.format, told) {
            (Format::Json, Told::Hour(hour)) => {
                let times = json!({"from": shown(hour.from), "to": shown(hour.to)});
                write_json(&line_of("hour", &hour, times)?)
            }
            (Format::Json, Told::Missing(event)) => {
                write_json(&line_of("missing", &event, json!({"time": shown(event.time)}))?)
            }
            (Format::Text, Told::Hour(hour)) => self.row(&hour),
            (Format::Text, Told::Missing(event)) => {
                if self.told.len() < TOLD {
                    self.told.push(event);
                }
                Ok(())
            }
        }
    }

    /// Columns have fixed widths: rows are printed as they are found.
    fn row(&mut self, hour: &Hour) -> Result<()> {
        let mut stdout = std::io::stdout().lock();
        let group = (hour.input.clone(), hour.log_group.clone());
        let columns = columns_of(hour);
        if self.group.as_ref() != Some(&group) {
            writeln!(stdout, "\ninput {}, log group {}", group.0, group.1)?;
            let mut heads = format!("{:<20}  {:<26}  {:>9}", "hour", "ledger (minutes)", "events");
            for (head, _) in &columns {
                heads.push_str(&format!("  {head:>9}"));
            }
            writeln!(stdout, "{}", styled(&heads, "2", stdout_takes_color()))?;
            self.group = Some(group);
        }
        let mut line = format!("{:<20}  {:<26}  {:>9}", shown(hour.from), ledger(hour), hour.counts.events);
        for (head, number) in &columns {
            let cell = format!("{number:>width$}", width = head.chars().count().max(9));
            let is_bad = *head == "missing" && number != "0";
            line.push_str("  ");
            line.push_str(&styled(&cell, "1;31", is_bad && stdout_takes_color()));
        }
        writeln!(stdout, "{line}")?;
        Ok(())
    }

    fn end(&self, command: &AuditCommand, audited: &Audited, notes: &[String]) -> Result<()> {
        let counts = &audited.counts;
        if self.format == Format::Json {
            let more = json!({"whole": audited.is_whole(), "notes": notes});
            return write_json(&line_of("total", audited, more)?);
        }
        let mut stdout = std::io::stdout().lock();
        let mut line = format!("\n{} events in CloudWatch Logs", counts.events);
        let mut sep = ": ";
        for (number, word) in [
            (counts.stored, "stored"),
            (counts.set_aside, "set aside"),
            (counts.dropped_by_rule, "dropped by rule"),
            (counts.uncompared, "not compared"),
            (counts.not_read, "not read yet"),
            (counts.missing, "missing"),
        ] {
            if number > 0 || word == "missing" {
                line.push_str(&format!("{sep}{number} {word}"));
                sep = ", ";
            }
        }
        writeln!(stdout, "{line}")?;
        for output in audited.outputs.iter().filter(|output| output.compared && !output.by_id) {
            writeln!(stdout, "{}", numbers(output))?;
        }
        if !self.told.is_empty() {
            writeln!(stdout, "\nmissing:")?;
        }
        for event in &self.told {
            let place = match event.outputs.as_slice() {
                [] => "a filter sets it aside, and its dead letter is gone".to_owned(),
                outputs => format!("not in {}", outputs.join(", ")),
            };
            writeln!(
                stdout,
                "  {}  {}  event {}  document {}  {place}",
                shown(event.time),
                event.log_group,
                event.event_id,
                event.document_id
            )?;
        }
        let more = counts.missing.saturating_sub(self.told.len() as u64);
        if more > 0 {
            writeln!(stdout, "  … and {more} more; --format json shows all")?;
        }
        if counts.fetched > 0 {
            let sent = "sent through the filters to the outputs that lack them";
            writeln!(stdout, "\nfetched {}: {sent}; another audit shows what came of it", counts.fetched)?;
        } else if counts.missing > 0 {
            let (file, (since, until)) = (command.file.display(), self.span);
            let span = format!("--since {} --until {}", shown(since), shown(until));
            writeln!(stdout, "\nto deliver them: weir audit {file} {span} --fetch")?;
        }
        Ok(())
    }
}

/// A line of JSON: its kind, then what it is about, with some of it written anew.
fn line_of(kind: &str, about: &impl Serialize, anew: Json) -> Result<Json> {
    let mut line = json!({ "kind": kind });
    for part in [serde_json::to_value(about)?, anew] {
        if let (Some(line), Json::Object(part)) = (line.as_object_mut(), part) {
            line.extend(part);
        }
    }
    Ok(line)
}

fn numbers(output: &OutputHour) -> String {
    let fewer = match output.fewer() {
        0 => String::new(),
        fewer => format!(", {fewer} fewer; which ones cannot be told"),
    };
    let (name, documents, expected) = (&output.output, output.documents, output.expected);
    format!("{name} has {documents} documents of that time and should have {expected}{fewer}")
}

/// The columns after the events, with their heads.
fn columns_of(hour: &Hour) -> Vec<(&str, String)> {
    let counts = &hour.counts;
    let by_id: Vec<&OutputHour> = hour.outputs.iter().filter(|output| output.by_id).collect();
    let by_number = hour.outputs.iter().filter(|output| output.compared && !output.by_id);
    let mut columns = Vec::new();
    if !by_id.is_empty() {
        columns.push(("stored", counts.stored.to_string()));
    }
    columns.push(("set aside", counts.set_aside.to_string()));
    columns.push(("dropped by rule", counts.dropped_by_rule.to_string()));
    columns.push(("missing", counts.missing.to_string()));
    columns.push(("not read", counts.not_read.to_string()));
    if by_id.len() > 1 {
        columns.extend(by_id.iter().map(|output| (output.output.as_str(), output.documents.to_string())));
    }
    columns.extend(
        by_number
            .map(|output| (output.output.as_str(), format!("{} of {}", output.documents, output.expected))),
    );
    columns
}

fn ledger(hour: &Hour) -> String {
    let ledger = &hour.ledger;
    let mut parts = Vec::new();
    for (minutes, word) in [
        (ledger.not_begun, "not begun"),
        (ledger.closed, "closed"),
        (ledger.settling, "settling"),
        (ledger.open, "open"),
    ] {
        if minutes > 0 {
            parts.push(format!("{minutes} {word}"));
        }
    }
    // Those of closed windows only wait to be forgotten.
    if ledger.ids > 0 && ledger.settling + ledger.open > 0 {
        parts.push(format!("{} ids", ledger.ids));
    }
    parts.join(", ")
}
