//! `weir run`: runs pipelines until their inputs end or a signal comes.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Instant;

use anyhow::{Context, Result};
use clap::Args;
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};
use weir::assembly::{self, Prepared, RunOptions};
use weir::config::{Config, Problems, Secrets};
use weir::control;
use weir::filter::{Compilation, Engine};
use weir::observe::{self, Observed, Stage};
use weir::pipeline;
use weir::swapper::{Swapper, watch_files};

use super::{USAGE, cache_folder, pipeline_files};

/// Runs pipelines until their inputs end, or until SIGTERM or Ctrl-C
///
/// Files and samples end by themselves; CloudWatch Logs is read on and on, or with --once up to now. After a signal, what
/// was read is still delivered (for at most `drain_limit`, 30 seconds unless set); a second signal ends at once. What was not delivered is read
/// again at the next start.
///
/// SIGHUP reads the pipeline files again and puts changed filters in place while events go on, as `weir swap` does; --watch
/// does so whenever a file changes. What is wrong in a file changes nothing, and is logged.
#[derive(Args)]
#[command(after_help = "Examples:
  weir run config/file-to-stdout.toml
  weir run --once config/route53-cloudwatch-elasticsearch.toml
  weir run --watch my-pipeline.toml")]
pub(super) struct RunCommand {
    /// Pipeline files
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,

    /// Read what is there now, then end
    #[arg(long)]
    once: bool,

    /// Take up changes of the pipeline files, of the components that they name and of their cases
    #[arg(long)]
    watch: bool,
}

pub(super) fn run(command: &RunCommand, secrets: &Secrets) -> Result<ExitCode> {
    let mut problems = Problems::new(secrets.clone());
    let mut configs = Vec::new();
    for file in &command.files {
        let (config, found) = pipeline_files::read(file, secrets);
        problems.extend(found);
        configs.extend(config);
    }
    let mut prepared = Vec::new();
    if problems.errors() == 0 {
        let engine = Engine::new(cache_of(&configs).as_deref(), Compilation::Thorough)?;
        for config in configs {
            let environment = assembly::environment(&config);
            match assembly::prepare(config, &engine, &environment) {
                Ok(pipeline) => {
                    pipeline_files::add_warnings(&pipeline, &mut problems);
                    prepared.push(pipeline);
                }
                Err(found) => problems.extend(found),
            }
        }
    }
    problems.sort();
    pipeline_files::print(&problems);
    if problems.errors() > 0 {
        return Ok(ExitCode::from(USAGE));
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let runtime = runtime.context("cannot start the threads")?;
    runtime.block_on(run_all(prepared, command))?;
    Ok(ExitCode::SUCCESS)
}

/// Compiled filters are kept where only the service can write: in a pipeline's folder, else the user's.
fn cache_of(configs: &[Config]) -> Option<PathBuf> {
    let state_dir = configs.iter().find_map(|config| config.pipeline.state_dir.as_ref());
    state_dir.map(|folder| folder.join("cache")).or_else(cache_folder)
}

/// Runs all pipelines; when one cannot go on, the others are drained too, and its error is the answer.
async fn run_all(pipelines: Vec<Prepared>, command: &RunCommand) -> Result<()> {
    let stop = CancellationToken::new();
    stop_on_signals(stop.clone())?;
    let mut running = JoinSet::new();
    let pipelines = observed(pipelines);
    let _servers = serve_figures(&pipelines).await?;
    for (pipeline, observed) in pipelines {
        // A token of its own: a line that has ended cancels it.
        running.spawn(run_one(pipeline, observed, command.once, command.watch, stop.child_token()));
    }
    let mut ended = Ok(());
    while let Some(result) = running.join_next().await {
        let result = result.context("a pipeline ended unexpectedly").and_then(|result| result);
        if let Err(error) = result {
            stop.cancel();
            if ended.is_ok() {
                ended = Err(error);
            }
        }
    }
    ended
}

/// What can be seen of each pipeline from outside. Two of one name get a number, or their figures could not be told apart.
fn observed(pipelines: Vec<Prepared>) -> Vec<(Prepared, Arc<Observed>)> {
    let mut taken: Vec<String> = Vec::new();
    let mut observed = Vec::with_capacity(pipelines.len());
    for prepared in pipelines {
        let named = prepared.config.pipeline.name.clone();
        let numbered = (2..).map(|number| format!("{named}-{number}"));
        let name = std::iter::once(named.clone()).chain(numbered).find(|name| !taken.contains(name));
        let name = name.unwrap_or(named);
        taken.push(name.clone());
        let seen = Arc::new(Observed::new(name, &prepared));
        observed.push((prepared, seen));
    }
    observed
}

/// One server for each address that `[observe]` of a pipeline names.
async fn serve_figures(pipelines: &[(Prepared, Arc<Observed>)]) -> Result<Vec<observe::server::Server>> {
    let mut by_address: BTreeMap<SocketAddr, Vec<Arc<Observed>>> = BTreeMap::new();
    for (prepared, observed) in pipelines {
        if let Some(address) = prepared.config.observe.listen {
            by_address.entry(address).or_default().push(observed.clone());
        }
    }
    let mut servers = Vec::with_capacity(by_address.len());
    for (address, observed) in by_address {
        let server = observe::server::serve(address, observed).await?;
        info!(address = %server.address(), "figures are served: /metrics, /status, /health");
        servers.push(server);
    }
    Ok(servers)
}

async fn run_one(
    prepared: Prepared,
    observed: Arc<Observed>,
    once: bool,
    watch: bool,
    stop: CancellationToken,
) -> Result<()> {
    let name = prepared.config.pipeline.name.clone();
    let (counts, waiting) = (observed.counts.clone(), observed.waiting.clone());
    let options = RunOptions { once, counts, waiting, stop: stop.clone(), ..RunOptions::default() };
    let started = Instant::now();
    let line = assembly::open(&prepared, options).await.with_context(|| format!("pipeline {name}"))?;
    let swapper = Arc::new(Swapper::new(&prepared, line.chain.clone()));
    observed.opened(&line, swapper.clone());
    let mut reloading = JoinSet::new();
    reload_on_signal(&mut reloading, swapper.clone())?;
    if watch {
        reloading.spawn(watch_files(swapper.clone()));
    }
    // The lock of the ledger is held until the socket is gone: the next process makes its own.
    let ledger = line.ledger.clone();
    let control = prepared.config.pipeline.state_dir.as_deref().and_then(|state_dir| {
        let served = control::serve(state_dir, observed.clone(), swapper);
        served.map_err(|error| warn!("weir status and weir swap cannot ask this process: {error:#}")).ok()
    });
    info!(
        pipeline = name,
        inputs = prepared.config.inputs.len(),
        filters = prepared.config.filters.len(),
        outputs = prepared.config.outputs.len(),
        "started"
    );
    let stopping = tokio::spawn({
        let observed = observed.clone();
        async move {
            stop.cancelled().await;
            observed.enter(Stage::Stopping);
        }
    });
    let ended = pipeline::drive(line).await;
    stopping.abort();
    drop(reloading);
    observed.enter(Stage::Ended);
    drop(control);
    drop(ledger);
    let events = observed.figures().events;
    info!(
        pipeline = name,
        read = events.read,
        delivered = events.delivered,
        dead_lettered = events.dead_lettered,
        dropped = events.dropped,
        seconds = started.elapsed().as_secs_f64(),
        "ended"
    );
    ended.with_context(|| format!("pipeline {name}"))
}

/// SIGHUP reads the pipeline file again. What comes of it is logged.
fn reload_on_signal(tasks: &mut JoinSet<()>, swapper: Arc<Swapper>) -> Result<()> {
    let mut hangup = signal(SignalKind::hangup()).context("cannot listen for SIGHUP")?;
    tasks.spawn(async move {
        while hangup.recv().await.is_some() {
            let swapper = swapper.clone();
            let reload = move || {
                if let Ok(None) = swapper.reload(&|_| {}) {
                    info!("the pipeline file says what is in place");
                }
            };
            let _ = tokio::task::spawn_blocking(reload).await;
        }
    });
    Ok(())
}

/// The first signal stops the inputs, the second the process.
fn stop_on_signals(stop: CancellationToken) -> Result<()> {
    let mut interrupt = signal(SignalKind::interrupt()).context("cannot listen for SIGINT")?;
    let mut terminate = signal(SignalKind::terminate()).context("cannot listen for SIGTERM")?;
    tokio::spawn(async move {
        loop {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
            if stop.is_cancelled() {
                warn!("ended by a second signal; what was not delivered is read again at the next start");
                std::process::exit(1);
            }
            info!("stopping; what was read is still delivered");
            stop.cancel();
        }
    });
    Ok(())
}
