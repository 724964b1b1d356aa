//! From a configuration to a line that can be driven: builds the chain, opens the ledger, the dead letters, the inputs and
//! the outputs. What a pipeline file means is left to `config`, how events move to `pipeline`.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result};
use tokio_util::sync::CancellationToken;

use crate::config::{Config, OutputConfig, Problems};
use crate::event::FieldNames;
use crate::filter::swap::SwappableChain;
use crate::filter::{ChainDefinition, ChainEnvironment, Engine};
use crate::input::{self, InputContext};
use crate::ledger::Ledger;
use crate::output::dead_letter::{DeadLetterLimits, DeadLetterPlace};
use crate::output::{self, DeadLetters, Output, OutputContext, Waiting};
use crate::pipeline::{Line, LineCounts, LineOutput, take_states};

/// A pipeline whose filters are loaded and configured. Nothing of it is open yet.
pub struct Prepared {
    /// The configuration.
    pub config: Config,
    /// Its filters.
    pub chain: Arc<ChainDefinition>,
    /// The field names that every batch begins with.
    pub names: Arc<FieldNames>,
    /// What loaded the filters, and will load those that take their place.
    pub engine: Engine,
    /// What they were told.
    pub environment: ChainEnvironment,
}

/// How a pipeline is to be run.
#[derive(Default)]
pub struct RunOptions {
    /// Read what is there now, then end.
    pub once: bool,
    /// Outputs in place of the configured ones, each of which gets all events.
    pub outputs: Option<Vec<Arc<dyn Output>>>,
    /// What the outputs wait for at present.
    pub waiting: Arc<Waiting>,
    /// What is counted.
    pub counts: Arc<LineCounts>,
    /// Asks the pipeline to end.
    pub stop: CancellationToken,
}

/// What the pipeline file says for all filters.
pub fn environment(config: &Config) -> ChainEnvironment {
    let folder = Path::new(&config.file.name).parent().map_or_else(PathBuf::new, Path::to_path_buf);
    ChainEnvironment {
        timezone: config.pipeline.timezone.clone(),
        locale: config.pipeline.locale.clone(),
        ecs_compatibility: config.pipeline.ecs_compatibility.clone(),
        folder: if folder.as_os_str().is_empty() { PathBuf::from(".") } else { folder },
        ..ChainEnvironment::default()
    }
}

/// Loads and configures the filters of a pipeline.
///
/// # Errors
/// Every problem that a guest or the host finds in their options, at its place in the pipeline file.
pub fn prepare(
    config: Config,
    engine: &Engine,
    environment: &ChainEnvironment,
) -> Result<Prepared, Problems> {
    let mut names = FieldNames::new();
    match ChainDefinition::build(engine, &config.filters, &config.steps, environment, &mut names) {
        Ok(chain) => {
            for when in config.outputs.iter().filter_map(|output| output.when.as_ref()) {
                when.references().iter().for_each(|reference| {
                    names.intern(reference);
                });
            }
            let (engine, environment) = (engine.clone(), environment.clone());
            Ok(Prepared { config, chain: Arc::new(chain), names: Arc::new(names), engine, environment })
        }
        Err(found) => {
            let mut problems = Problems::new(config.secrets.clone());
            for problem in found {
                let Some(step) = config.filters.get(problem.step) else { continue };
                problems.push(config.filter_problem(step, &problem.pointer, &problem.message, &problem.fix));
            }
            problems.sort();
            Err(problems)
        }
    }
}

/// Opens all parts of a pipeline.
///
/// # Errors
/// When one of them cannot begin; the message names it.
pub async fn open(prepared: &Prepared, options: RunOptions) -> Result<Line> {
    let RunOptions { once, outputs, waiting, counts, stop } = options;
    let Prepared { config, chain, names, .. } = prepared;
    let pipeline = &config.pipeline;
    let abandon = CancellationToken::new();

    let ledger = Arc::new(open_ledger(pipeline.state_dir.clone(), pipeline.ledger_budget).await?);
    let letters = Letters {
        pipeline: pipeline.name.clone(),
        limits: pipeline.dead_letter.limits,
        waiting: waiting.clone(),
        abandon: abandon.clone(),
    };
    let default_place = default_place(config);
    let dead_letters = Arc::new(letters.open(default_place.clone())?);
    let outputs = match outputs {
        Some(outputs) => outputs.into_iter().map(|output| taking_all(output, &dead_letters)).collect(),
        None => {
            let mut opened = Vec::with_capacity(config.outputs.len());
            for output in &config.outputs {
                let dead_letters = match &output.dead_letter {
                    Some(place) if *place != default_place => Arc::new(letters.open(place.clone())?),
                    _ => dead_letters.clone(),
                };
                let context = OutputContext {
                    name: output.name.clone(),
                    pipeline: pipeline.name.clone(),
                    dead_letters: dead_letters.clone(),
                    waiting: waiting.clone(),
                    counts: counts.clone(),
                    stop: abandon.clone(),
                };
                opened.push(LineOutput {
                    name: output.name.clone(),
                    output: open_output(output, context).await?,
                    when: output.when.clone().map(Arc::new),
                    dead_letters,
                });
            }
            opened
        }
    };

    let mut inputs = Vec::with_capacity(config.inputs.len());
    for input in &config.inputs {
        let context = InputContext {
            name: input.name.clone(),
            names: names.clone(),
            ledger: ledger.input(&input.name).patient(waiting.clone(), abandon.clone()),
            batch_size: pipeline.batch_size.max(1),
            batch_delay: pipeline.batch_delay,
            stop: stop.clone(),
            once,
            decoration: input.options.decoration.clone(),
            codec: input.options.codec,
        };
        let opened = input::open(input.options.source.clone(), context).await;
        inputs
            .push((input.name.clone(), opened.with_context(|| format!("cannot open input {}", input.name))?));
    }

    let workers = pipeline.workers.max(1);
    let chain = {
        let (chain, names, ledger) = (chain.clone(), names.clone(), ledger.clone());
        let started = tokio::task::spawn_blocking(move || {
            let states = take_states(&ledger).context("cannot read what the filters kept")?;
            SwappableChain::start(chain, names, workers, &states)
        });
        Arc::new(started.await.context("starting the filters ended unexpectedly")??)
    };
    Ok(Line {
        name: pipeline.name.clone(),
        inputs,
        chain,
        outputs,
        dead_letters,
        ledger,
        in_flight: workers * 2,
        counts,
        stop,
        drain_limit: pipeline.drain_limit,
        abandon,
        waiting,
    })
}

async fn open_ledger(state_dir: Option<PathBuf>, budget: u64) -> Result<Ledger> {
    let opened = tokio::task::spawn_blocking(move || -> Result<Ledger> {
        let ledger = match state_dir {
            Some(folder) => Ledger::open(&folder)?,
            None => Ledger::in_memory()?,
        };
        ledger.set_budget(budget);
        Ok(ledger)
    });
    opened.await.context("opening the ledger ended unexpectedly")?
}

async fn open_output(output: &OutputConfig, context: OutputContext) -> Result<Arc<dyn Output>> {
    let opened = output::open(output.options.clone(), context).await;
    Ok(Arc::from(opened.with_context(|| format!("cannot open output {}", output.name))?))
}

fn taking_all(output: Arc<dyn Output>, dead_letters: &Arc<DeadLetters>) -> LineOutput {
    LineOutput { name: "output".to_owned(), output, when: None, dead_letters: dead_letters.clone() }
}

/// The folders that a pipeline's dead letters go to.
pub fn dead_letter_folders(config: &Config) -> Vec<PathBuf> {
    let mut folders = Vec::new();
    let named = config.outputs.iter().filter_map(|output| output.dead_letter.clone());
    for place in std::iter::once(default_place(config)).chain(named) {
        if let DeadLetterPlace::Folder(folder) = place
            && !folders.contains(&folder)
        {
            folders.push(folder);
        }
    }
    folders
}

/// The folder that an output names is that of the filters too; `"off"` is only for what cannot be stored.
pub(crate) fn default_place(config: &Config) -> DeadLetterPlace {
    let named = config.outputs.iter().find_map(|output| match &output.dead_letter {
        Some(place @ DeadLetterPlace::Folder(_)) => Some(place.clone()),
        _ => None,
    });
    let of_pipeline = config.pipeline.dead_letter.path.clone().map(DeadLetterPlace::Folder);
    match (of_pipeline.or(named), &config.pipeline.state_dir) {
        (Some(place), _) => place,
        (None, Some(folder)) => DeadLetterPlace::Folder(folder.join("dead-letter")),
        (None, None) => DeadLetterPlace::Stderr,
    }
}

struct Letters {
    pipeline: String,
    limits: DeadLetterLimits,
    waiting: Arc<Waiting>,
    abandon: CancellationToken,
}

impl Letters {
    fn open(&self, place: DeadLetterPlace) -> Result<DeadLetters> {
        DeadLetters::open(place, self.limits, &self.pipeline, self.waiting.clone(), self.abandon.clone())
            .context("cannot open the dead letters")
    }
}
