//! `weir status`: what a running pipeline does at present, asked over the socket in its `state_dir`.

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::SystemTime;

use anyhow::{Context, Result};
use clap::Args;
use serde_json::json;
use weir::config::Secrets;
use weir::control;
use weir::observe::{FilterFigures, InputFigures, PipelineFigures, rfc3339};

use super::terminal::{stdout_takes_color, styled};
use super::{Format, USAGE, pipeline_files};

/// Shows what a running pipeline does
///
/// Its inputs and how far they are behind, its filters and what they cost, its outputs, what the line waits for and since
/// when, and every event by what became of it. The process is asked over a socket in its state_dir. Exits with 1 if none
/// runs there.
#[derive(Args)]
#[command(after_help = "Examples:
  weir status route53.toml
  weir status --state-dir /var/lib/weir/route53 --format json")]
pub(super) struct StatusOptions {
    /// The pipeline file, which says the state_dir
    #[arg(value_name = "FILE", required_unless_present = "state_dir", conflicts_with = "state_dir")]
    file: Option<PathBuf>,

    /// The state_dir itself
    #[arg(long, value_name = "DIR")]
    state_dir: Option<PathBuf>,

    /// json: one object, the same as of /status; {"running": false, …} if no process runs there
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    format: Format,
}

pub(super) fn run(options: &StatusOptions, secrets: &Secrets) -> Result<ExitCode> {
    let state_dir = match (&options.state_dir, &options.file) {
        (Some(folder), _) => folder.clone(),
        (None, Some(file)) => match state_dir_of(file, secrets) {
            Some(folder) => folder,
            None => return Ok(ExitCode::from(USAGE)),
        },
        (None, None) => return Ok(ExitCode::from(USAGE)),
    };
    let mut stdout = std::io::stdout().lock();
    let Some(answer) = control::ask(&state_dir, "status")? else {
        let last_write = last_write(&state_dir);
        match options.format {
            Format::Json => {
                let state_dir = state_dir.display().to_string();
                let shown = json!({ "running": false, "state_dir": state_dir, "ledger_written": last_write });
                writeln!(stdout, "{shown:#}")?;
            }
            Format::Text => {
                let ledger = last_write.map_or_else(
                    || "there is no ledger either".to_owned(),
                    |time| format!("the ledger was written last at {time}"),
                );
                writeln!(stdout, "no process runs in {}; {ledger}", state_dir.display())?;
            }
        }
        return Ok(ExitCode::FAILURE);
    };
    match options.format {
        Format::Json => writeln!(stdout, "{answer:#}")?,
        Format::Text => {
            let figures: PipelineFigures =
                serde_json::from_value(answer).context("the process is of another version of Weir")?;
            stdout.write_all(page(&figures, stdout_takes_color()).as_bytes())?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// The `state_dir` of a pipeline file. What is wrong with the file is shown; other mistakes than those of its syntax do not
/// matter here.
pub(super) fn state_dir_of(file: &Path, secrets: &Secrets) -> Option<PathBuf> {
    let (config, problems) = pipeline_files::read(file, secrets);
    let Some(config) = config else {
        pipeline_files::print(&problems);
        return None;
    };
    if config.pipeline.state_dir.is_none() {
        eprintln!(
            "{}: {} has no state_dir, so a process that runs it cannot be asked; add state_dir = \"state\" to [pipeline]",
            super::terminal::error_label(),
            file.display()
        );
    }
    config.pipeline.state_dir
}

fn last_write(state_dir: &Path) -> Option<String> {
    let written: SystemTime = state_dir.join("ledger.redb").metadata().ok()?.modified().ok()?;
    Some(rfc3339(written))
}

fn page(figures: &PipelineFigures, color: bool) -> String {
    let mut page = String::new();
    let line = &mut page;
    let _ = writeln!(
        line,
        "{}: {} since {} ({}), weir {}, process {}",
        styled(&figures.pipeline, "1", color),
        figures.stage,
        figures.started,
        length(figures.seconds),
        figures.version,
        figures.process
    );
    for wait in &figures.waiting {
        let waits = styled(&format!("{} waits", wait.what), "1;33", color);
        let _ = writeln!(line, "{waits} since {} ({}): {}", wait.since, length(wait.seconds), wait.reason);
    }
    page.push('\n');
    let inputs = figures.inputs.iter().flat_map(input_rows);
    write_table(&mut page, &["input", "type", "read", "lag"], inputs.collect(), color);
    let filters = figures.filters.iter().chain(&figures.branches).map(filter_row);
    let columns = [
        "filter",
        "use",
        "version",
        "digest",
        "since",
        "events",
        "failed",
        "dropped",
        "set aside",
        "breaks",
        "an event",
    ];
    write_table(&mut page, &columns, filters.collect(), color);
    write_swaps(&mut page, figures);
    let outputs = figures.outputs.iter().map(|output| {
        let (delivered, in_flight) = (output.delivered.to_string(), output.in_flight.to_string());
        vec![output.name.clone(), output.kind.clone(), delivered, in_flight]
    });
    write_table(&mut page, &["output", "type", "delivered", "in flight"], outputs.collect(), color);
    let left = |left: &[weir::observe::Left]| -> Vec<Vec<String>> {
        left.iter()
            .map(|left| vec![left.place.clone(), left.reason.clone(), left.events.to_string()])
            .collect()
    };
    write_table(&mut page, &["set aside at", "reason", "events"], left(&figures.dead_lettered), color);
    if figures.dead_letters_removed > 0 {
        let _ = writeln!(
            page,
            "{} dead letters were removed, unread, for want of room or for their age\n",
            figures.dead_letters_removed
        );
    }
    write_table(&mut page, &["dropped at", "reason", "events"], left(&figures.dropped), color);
    write_events(&mut page, figures);
    page
}

fn write_events(page: &mut String, figures: &PipelineFigures) {
    let events = &figures.events;
    let sign = if events.balanced { "=" } else { "≠" };
    let _ = writeln!(
        page,
        "events: {} read + {} added + {} copied {sign} {} delivered + {} set aside + {} dropped + {} in flight",
        events.read,
        events.added,
        events.copied,
        events.delivered,
        events.dead_lettered,
        events.dropped,
        events.in_flight
    );
    let oldest = figures
        .oldest_unacknowledged_seconds
        .map_or(String::new(), |seconds| format!(", the oldest for {}", length(seconds)));
    let commit = match (&figures.last_commit, figures.last_commit_seconds) {
        (Some(time), Some(seconds)) => format!("; last commit {time} ({} ago)", length(seconds)),
        _ => "; nothing committed yet".to_owned(),
    };
    let _ = writeln!(page, "not acknowledged: {}{oldest}{commit}", events.unacknowledged);
}

/// What a change of the filters does, and how the last one ended; nothing where there was none.
fn write_swaps(page: &mut String, figures: &PipelineFigures) {
    let swaps = &figures.swaps;
    if let Some(running) = &swaps.running {
        let _ = writeln!(page, "a change of the filters is under way: {running}");
    }
    if let Some(last) = &swaps.last {
        let _ = writeln!(
            page,
            "the last change of the filters was {} at {}: {}",
            last.ended, last.time, last.text
        );
        let back = if swaps.can_go_back { "; `weir swap --back` goes back" } else { "" };
        let _ = writeln!(
            page,
            "{} put in place, {} refused, {} taken back; 99 of 100 batches waited {:.0} µs for it at most{back}",
            swaps.swaps,
            swaps.refused,
            swaps.returns,
            swaps.pause_99_seconds * 1e6
        );
        page.push('\n');
    }
}

/// A row for the input; where it reads several log groups, one more for each.
fn input_rows(input: &InputFigures) -> Vec<Vec<String>> {
    let mut lags: Vec<(&str, f64)> = Vec::new();
    for figure in input.figures.iter().filter(|figure| figure.name == "lag_seconds") {
        lags.push((figure.labels.get("log_group").map_or("", String::as_str), figure.value));
    }
    let most = lags
        .iter()
        .map(|(_, lag)| *lag)
        .fold(None, |most: Option<f64>, lag| Some(most.map_or(lag, |most| most.max(lag))));
    let lag = most.map_or_else(|| "-".to_owned(), length);
    let mut rows = vec![vec![input.name.clone(), input.kind.clone(), input.read.to_string(), lag]];
    if lags.len() > 1 {
        for (log_group, lag) in lags {
            rows.push(vec![format!("  {log_group}"), String::new(), String::new(), length(lag)]);
        }
    }
    rows
}

fn filter_row(filter: &FilterFigures) -> Vec<String> {
    let or_dash = |text: &str| if text.is_empty() { "-".to_owned() } else { text.to_owned() };
    let digest = filter.digest.get(..12).unwrap_or(&filter.digest);
    vec![
        filter.id.clone(),
        filter.used.clone(),
        or_dash(&filter.version),
        or_dash(digest),
        or_dash(&filter.since),
        filter.events.to_string(),
        filter.failed.to_string(),
        filter.dropped.to_string(),
        filter.dead_lettered.to_string(),
        filter.breaks.to_string(),
        filter.nanoseconds_per_event.map_or_else(|| "-".to_owned(), |time| format!("{time:.0} ns")),
    ]
}

/// A length of time in the unit that fits.
fn length(seconds: f64) -> String {
    match seconds {
        below if below < 120.0 => format!("{seconds:.1} s"),
        below if below < 7200.0 => format!("{:.0} min", seconds / 60.0),
        below if below < 172_800.0 => format!("{:.1} h", seconds / 3600.0),
        _ => format!("{:.1} d", seconds / 86_400.0),
    }
}

/// Columns as wide as their longest cell; numbers stand right. Nothing for a table without rows.
fn write_table(page: &mut String, heads: &[&str], rows: Vec<Vec<String>>, color: bool) {
    if rows.is_empty() {
        return;
    }
    let width = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count());
        cells.max().unwrap_or(0).max(heads.get(column).map_or(0, |head| head.chars().count()))
    };
    let widths: Vec<usize> = (0..heads.len()).map(width).collect();
    let line = |cells: &[String]| {
        let mut line = String::new();
        for (number, (cell, width)) in cells.iter().zip(&widths).enumerate() {
            let padding = " ".repeat(width - cell.chars().count().min(*width));
            let is_number = rows
                .first()
                .and_then(|row| row.get(number))
                .is_some_and(|cell| cell.starts_with(|first: char| first.is_ascii_digit()) && number > 1);
            let (before, after) = if is_number { (&*padding, "") } else { ("", &*padding) };
            let _ = write!(line, "{before}{cell}{after}  ");
        }
        line.trim_end().to_owned()
    };
    let heads: Vec<String> = heads.iter().map(|head| (*head).to_owned()).collect();
    let _ = writeln!(page, "{}", styled(&line(&heads), "2", color));
    for row in &rows {
        let _ = writeln!(page, "{}", line(row));
    }
    page.push('\n');
}

#[cfg(test)]
mod tests {
    use weir::observe::{Events, InputFigure, OutputFigures, WaitFigures};
    use weir::swapper::{LastSwap, SwapFigures};

    use super::*;

    #[test]
    fn a_page_shows_what_is_waited_for_and_the_sum() {
        let lag = |group: &str, value: f64| InputFigure {
            name: "lag_seconds".to_owned(),
            labels: [("log_group".to_owned(), group.to_owned())].into(),
            value,
            ..InputFigure::default()
        };
        let figures = PipelineFigures {
            pipeline: "route53".to_owned(),
            stage: "running".to_owned(),
            started: "2026-01-02T03:04:05Z".to_owned(),
            seconds: 7260.0,
            waiting: vec![WaitFigures {
                what: "elasticsearch".to_owned(),
                since: "2026-01-02T03:05:00Z".to_owned(),
                seconds: 31.0,
                reason: "the index is read-only".to_owned(),
            }],
            inputs: vec![InputFigures {
                name: "logs".to_owned(),
                kind: "cloudwatch_logs".to_owned(),
                read: 12,
                figures: vec![lag("/a", 1.0), lag("/b", 90_000.0)],
                left_out: 0,
            }],
            outputs: vec![OutputFigures {
                name: "elasticsearch".to_owned(),
                in_flight: 5,
                ..Default::default()
            }],
            swaps: SwapFigures {
                swaps: 2,
                returns: 1,
                running: Some("filter date: running its cases".to_owned()),
                last: Some(LastSwap {
                    time: "2026-01-02T03:05:00Z".to_owned(),
                    ended: "taken back".to_owned(),
                    text: "filter date broke: it did not finish within its deadline".to_owned(),
                }),
                pause_99_seconds: 0.000_164,
                can_go_back: true,
                ..SwapFigures::default()
            },
            events: Events { read: 12, delivered: 7, in_flight: 5, balanced: true, ..Events::default() },
            ..PipelineFigures::default()
        };
        let page = page(&figures, false);
        for text in [
            "route53: running since 2026-01-02T03:04:05Z (2.0 h), weir ",
            "elasticsearch waits since 2026-01-02T03:05:00Z (31.0 s): the index is read-only\n",
            "logs   cloudwatch_logs    12  25.0 h\n",
            "a change of the filters is under way: filter date: running its cases\n",
            "the last change of the filters was taken back at 2026-01-02T03:05:00Z: filter date broke: it did not finish within its deadline\n",
            "2 put in place, 0 refused, 1 taken back; 99 of 100 batches waited 164 µs for it at most; `weir swap --back` goes back\n",
            "12 read + 0 added + 0 copied = 7 delivered + 0 set aside + 0 dropped + 5 in flight\n",
        ] {
            assert!(page.contains(text), "{text:?} is not in\n{page}");
        }
    }
}
