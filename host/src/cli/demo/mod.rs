//! `weir demo`: sample lines through the six filters to the terminal. No file, no account, no network.

mod table;

use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use clap::{Args, ValueEnum};
use futures::FutureExt;
use futures::future::BoxFuture;
use weir::assembly::{self, RunOptions};
use weir::config::{self, Secrets, Variables};
use weir::event::{Batch, Documents};
use weir::filter::{Compilation, ConfiguredFilter, Engine};
use weir::output::{Delivery, Output};
use weir::pipeline::{self, LineCounts};

use super::terminal::grouped;
use super::{cache_folder, terminal};
use table::Table;

/// The pipeline, as it is in the project's `config` folder.
const PIPELINE: &str = include_str!("../../../../config/route53-demo.toml");

/// Sends made-up Route 53 query log lines through all six filters and shows what comes out
///
/// Needs no file, no account and no network, and ends by itself. The addresses are documentation ones, found in a small
/// database of Weir's own. The pipeline is config/route53-demo.toml.
#[derive(Args)]
#[command(after_help = "Example: weir demo --count 100000 --format json >events.ndjson")]
pub(super) struct DemoOptions {
    /// How many lines
    #[arg(long, value_name = "NUMBER", default_value_t = 20)]
    count: u64,

    /// Lines of the same seed are the same
    #[arg(long, value_name = "NUMBER", default_value_t = 53)]
    seed: u64,

    /// table: a line an event, with what the filters made of it; json: whole documents, a line each
    #[arg(long, value_name = "FORMAT", default_value = "table")]
    format: DemoFormat,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum DemoFormat {
    Table,
    Json,
}

/// Up to here the filters are compiled in half the time; from about here on, faster code is worth the wait.
const QUICK_EVENTS: u64 = 20_000;

pub(super) fn run(options: &DemoOptions) -> Result<ExitCode> {
    let text = PIPELINE
        .replace("count = 20", &format!("count = {}", options.count))
        .replace("seed = 53", &format!("seed = {}", options.seed));
    let reading =
        config::read(Path::new("route53-demo.toml"), text, &Variables::fixed([]), &Secrets::default());
    let Some(config) = reading.config.filter(|_| reading.problems.errors() == 0) else {
        bail!("the demo's pipeline is wrong:\n{}", reading.problems.render(false));
    };
    let compilation = if options.count > QUICK_EVENTS { Compilation::Thorough } else { Compilation::Quick };
    let engine = Engine::new(cache_folder().as_deref(), compilation)?;
    let environment = assembly::environment(&config);
    let prepared = assembly::prepare(config, &engine, &environment)
        .map_err(|problems| anyhow::anyhow!("the demo's pipeline is wrong:\n{}", problems.render(false)))?;
    let output: Arc<dyn Output> = match options.format {
        DemoFormat::Table => {
            let table = Table::new(terminal::width(), terminal::stdout_takes_color());
            Arc::new(Terminal { table: Some(Mutex::new(table)) })
        }
        DemoFormat::Json => Arc::new(Terminal { table: None }),
    };
    let counts = Arc::new(LineCounts::default());
    let run_options = RunOptions {
        counts: counts.clone(),
        outputs: Some(vec![output]),
        once: true,
        ..RunOptions::default()
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let runtime = runtime.context("cannot start the threads")?;
    let elapsed = runtime.block_on(async {
        let mut line = assembly::open(&prepared, run_options).await?;
        // One batch after the other, so that the rows stand in order.
        line.in_flight = 1;
        let started = Instant::now();
        pipeline::drive(line).await?;
        anyhow::Ok(started.elapsed())
    })?;
    let figures = figures(counts.figures().came(), elapsed, prepared.chain.filters());
    // The figures are no result: they stay on the terminal when the documents go to a file.
    writeln!(io::stderr(), "\n{figures}")?;
    Ok(ExitCode::SUCCESS)
}

/// The terminal as an output: rows of a table, or documents.
struct Terminal {
    table: Option<Mutex<Table>>,
}

impl Output for Terminal {
    fn send(&self, events: Arc<Batch>) -> BoxFuture<'_, Result<Delivery>> {
        let mut text = Vec::new();
        match &self.table {
            Some(table) => table.lock().unwrap_or_else(PoisonError::into_inner).write(&events, &mut text),
            None => {
                let mut documents = Documents::new(&events);
                for row in 0..events.rows() {
                    documents.write(row, &mut text);
                    text.push(b'\n');
                }
            }
        }
        let delivered = events.rows() as u64;
        async move {
            let written = tokio::task::spawn_blocking(move || {
                let mut stdout = io::stdout().lock();
                stdout.write_all(&text).and_then(|()| stdout.flush())
            });
            written.await.context("writing ended unexpectedly")??;
            Ok(Delivery { delivered, ..Delivery::default() })
        }
        .boxed()
    }

    fn close(&self) -> BoxFuture<'_, Result<()>> {
        async { Ok(()) }.boxed()
    }
}

/// `20 events in 4.1 ms, 4,878 events/s; dissect 120 µs, date 80 µs …`.
fn figures(events: u64, elapsed: Duration, filters: &[Arc<ConfiguredFilter>]) -> String {
    let rate = events as f64 / elapsed.as_secs_f64().max(1e-9);
    let mut text =
        format!("{} events in {}, {} events/s", grouped(events), short(elapsed), grouped(rate as u64));
    for (number, filter) in filters.iter().enumerate() {
        let time = Duration::from_nanos(filter.counts.nanoseconds.load(Ordering::Relaxed));
        let separator = if number == 0 { "; " } else { ", " };
        text.push_str(&format!("{separator}{} {}", filter.id, short(time)));
    }
    text
}

/// A time in two or three figures and the unit that fits.
fn short(time: Duration) -> String {
    let nanoseconds = time.as_nanos() as f64;
    let (amount, unit) = match nanoseconds {
        below if below < 1e3 => (nanoseconds, "ns"),
        below if below < 1e6 => (nanoseconds / 1e3, "µs"),
        below if below < 1e9 => (nanoseconds / 1e6, "ms"),
        _ => (nanoseconds / 1e9, "s"),
    };
    if amount < 10.0 { format!("{amount:.1} {unit}") } else { format!("{amount:.0} {unit}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_times_are_short() {
        assert_eq!(short(Duration::from_nanos(1_234)), "1.2 µs");
        assert_eq!(short(Duration::from_millis(45)), "45 ms");
    }

    #[test]
    fn the_pipeline_has_what_the_command_line_changes() {
        assert_eq!(PIPELINE.matches("count = 20").count(), 1);
        assert_eq!(PIPELINE.matches("seed = 53").count(), 1);
    }
}
