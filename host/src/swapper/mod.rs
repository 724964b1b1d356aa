//! Changes of a running pipeline's filters, from what a request or the pipeline file says to a version in its place: read,
//! build, try the cases, run beside the line, switch. One change at a time; whatever fails leaves all as it was. How versions
//! take each other's place is left to `filter::swap`, who asks to `control` and the commands.

mod reload;
mod report;
mod watch;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError};
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context, Result, anyhow, bail};

use crate::assembly::Prepared;
use crate::config::{self, Component, Config, FilterStep, Secrets, Variables};
use crate::filter::swap::{
    Candidate, CandidateCases, ChainVersion, LoadedComponent, SwappableChain, WatchRules,
};
use crate::filter::{ChainEnvironment, ChainSource, Engine, FilterProblem};
use crate::observe::rfc3339;

pub use report::{ChangedFilter, LastSwap, SwapFigures, SwapOutcome, SwapRequest};
pub use watch::{LOOK_EVERY, Seen, look_at, watch_files};

/// Changes the filters of one running pipeline.
pub struct Swapper {
    chain: Arc<SwappableChain>,
    engine: Engine,
    file: PathBuf,
    secrets: Secrets,
    /// The pipeline file as it was read last, and what it says for all filters.
    read: Mutex<(Config, ChainEnvironment)>,
    /// Held by the change that is under way.
    busy: Mutex<()>,
    running: Mutex<Option<String>>,
    last: Mutex<Option<(SystemTime, LastSwap)>>,
    refused: AtomicU64,
}

/// How a version is tried before it is put in place.
struct Trial {
    shadow: usize,
    shadow_limit: Duration,
    rules: WatchRules,
}

impl Swapper {
    /// For a pipeline that is open.
    pub fn new(prepared: &Prepared, chain: Arc<SwappableChain>) -> Self {
        Swapper {
            chain,
            engine: prepared.engine.clone(),
            file: PathBuf::from(&prepared.config.file.name),
            secrets: prepared.config.secrets.clone(),
            read: Mutex::new((prepared.config.clone(), prepared.environment.clone())),
            busy: Mutex::default(),
            running: Mutex::default(),
            last: Mutex::default(),
            refused: AtomicU64::new(0),
        }
    }

    /// The chain that is changed.
    pub fn chain(&self) -> &Arc<SwappableChain> {
        &self.chain
    }

    /// Puts another component in a filter's place, or other options. `say` is told what is being done. Blocks, as long as
    /// compiling and the shadow run take.
    ///
    /// # Errors
    /// Why it was refused; the filters are as they were.
    pub fn swap(&self, request: &SwapRequest, say: &dyn Fn(&str)) -> Result<SwapOutcome> {
        self.change(&format!("filter {}", request.filter), say, |say| {
            let current = self.chain.current();
            let (number, mut source) = source_with(&current, &request.filter)?;
            let component = component_of(&request.component);
            say(&format!("reading and compiling {}", request.component));
            let loaded = self.engine.load_candidate(&component)?;
            if let Some(step) = source.filters.get_mut(number) {
                if let Some(options) = &request.options {
                    *step = self.read_step(options, step, &component)?;
                }
                step.component = component;
            }
            let trial = self.trial(request.shadow, request.shadow_limit.map(Duration::from_millis));
            let cases = request.cases.clone().map_or(CandidateCases::Embedded, CandidateCases::Folder);
            let keep: Vec<_> = (0..source.filters.len()).map(|number| (number, number)).collect();
            say("configuring it");
            let candidate = self.build(source, &[(number, loaded.clone())], &keep)?;
            let cases = self.run_cases(&loaded, &cases, say)?;
            self.try_and_switch(&candidate, &trial, cases, say)
        })
    }

    /// Puts the version before back in its place: of all filters, or of one.
    ///
    /// # Errors
    /// When there is none, and when it does not take the state of a stateful filter.
    pub fn back(&self, filter: Option<&str>, say: &dyn Fn(&str)) -> Result<SwapOutcome> {
        let what = filter.map_or_else(|| "all filters, back".to_owned(), |id| format!("filter {id}, back"));
        self.change(&what, say, |say| {
            let current = self.chain.current();
            let before = current
                .before()
                .context("there is no version before: none was swapped, or it is back already")?;
            say("going back to the version before");
            let Some(filter) = filter else {
                let switched = self.chain.switch(&current, &before, None)?;
                return Ok(outcome(&current, &before, switched));
            };
            let (number, mut source) = source_with(&current, filter)?;
            let (old, earlier) = source_with(&before, filter)
                .with_context(|| format!("the version before has no filter {filter}"))?;
            let earlier =
                earlier.filters.into_iter().nth(old).context("the version before has fewer filters")?;
            let Some(loaded) = LoadedComponent::of(&before, old) else { bail!("the version before is gone") };
            if let Some(step) = source.filters.get_mut(number) {
                *step = earlier;
            }
            let keep: Vec<_> = (0..source.filters.len()).map(|number| (number, number)).collect();
            let candidate = self.build(source, &[(number, loaded)], &keep)?;
            let switched = self.chain.switch(&candidate.current, &candidate.version, None)?;
            Ok(outcome(&candidate.current, &candidate.version, switched))
        })
    }

    /// What there is to say of swaps.
    pub fn figures(&self) -> SwapFigures {
        let (swaps, returns) = self.chain.swaps_and_returns();
        let pauses = &self.chain.pauses;
        let mut last = lock(&self.last).clone();
        if let Some((time, text)) = self.chain.last_return()
            && last.as_ref().is_none_or(|(ended, _)| *ended <= time)
        {
            let text = self.secrets.mask(&text).into_owned();
            last = Some((time, LastSwap { time: rfc3339(time), ended: "taken back".to_owned(), text }));
        }
        SwapFigures {
            swaps,
            returns,
            refused: self.refused.load(Ordering::Relaxed),
            running: lock(&self.running).clone(),
            last: last.map(|(_, last)| last),
            can_go_back: self.chain.current().before().is_some(),
            pauses: pauses.count(),
            pause_99_seconds: pauses.quantile(0.99).as_secs_f64(),
            pause_longest_seconds: pauses.longest().as_secs_f64(),
        }
    }

    /// One change, with what is shown and logged of it.
    fn change(
        &self,
        what: &str,
        say: &dyn Fn(&str),
        work: impl FnOnce(&dyn Fn(&str)) -> Result<SwapOutcome>,
    ) -> Result<SwapOutcome> {
        let _busy = match self.busy.try_lock() {
            Ok(busy) => busy,
            Err(TryLockError::Poisoned(busy)) => busy.into_inner(),
            Err(TryLockError::WouldBlock) => {
                bail!("another change of the filters is under way; try again when it has ended")
            }
        };
        let started = Instant::now();
        let told = |text: &str| {
            *lock(&self.running) = Some(format!("{what}: {text}"));
            say(text);
        };
        let ended = catch_unwind(AssertUnwindSafe(|| work(&told)));
        *lock(&self.running) = None;
        let ended = ended.unwrap_or_else(|_| bail!("a mistake of Weir's own ended it; please report it"));
        let ended = ended.map(|outcome| SwapOutcome { seconds: started.elapsed().as_secs_f64(), ..outcome });
        let (word, text) = match &ended {
            Ok(outcome) => ("swapped", format!("{what}: {}", outcome.done)),
            Err(error) => ("refused", format!("{what}: {error:#}")),
        };
        let text = self.secrets.mask(&text).into_owned();
        if ended.is_ok() {
            tracing::info!("the filters were changed: {text}");
        } else {
            self.refused.fetch_add(1, Ordering::Relaxed);
            tracing::warn!("a change of the filters was refused, they are as they were: {text}");
        }
        let now = SystemTime::now();
        *lock(&self.last) = Some((now, LastSwap { time: rfc3339(now), ended: word.to_owned(), text }));
        ended.map_err(|error| anyhow!("{}", self.secrets.mask(&format!("{error:#}"))))
    }

    fn trial(&self, shadow: Option<usize>, shadow_limit: Option<Duration>) -> Trial {
        let config = lock(&self.read).0.pipeline.swap;
        Trial {
            shadow: shadow.unwrap_or(config.shadow),
            shadow_limit: shadow_limit.unwrap_or(config.shadow_limit),
            rules: WatchRules { watch: config.watch, failure_rate: config.failure_rate },
        }
    }

    fn build(
        &self,
        source: ChainSource,
        loaded: &[(usize, LoadedComponent)],
        keep: &[(usize, usize)],
    ) -> Result<Candidate> {
        let environment = lock(&self.read).1.clone();
        let ids: Vec<String> = source.filters.iter().map(|step| step.id.clone()).collect();
        let built = self.chain.build(&self.engine, source, &environment, loaded, keep);
        built.map_err(|problems| {
            let texts: Vec<String> = problems.iter().map(|problem| text_of(problem, &ids)).collect();
            anyhow!("{}", texts.join("; "))
        })
    }

    fn run_cases(
        &self,
        loaded: &LoadedComponent,
        cases: &CandidateCases,
        say: &dyn Fn(&str),
    ) -> Result<usize> {
        let folder = lock(&self.read).1.folder.clone();
        if loaded.has_cases() || *cases != CandidateCases::Embedded {
            say("running its cases");
        }
        loaded.run_cases(&self.engine, cases, &folder)
    }

    fn try_and_switch(
        &self,
        candidate: &Candidate,
        trial: &Trial,
        cases: usize,
        say: &dyn Fn(&str),
    ) -> Result<SwapOutcome> {
        let mut shadow = None;
        if trial.shadow > 0 {
            say(&format!("running beside the line, on {} batches", trial.shadow));
            shadow = Some(self.chain.shadow(&candidate.version, trial.shadow, trial.shadow_limit)?);
        }
        let switched = self.chain.switch(&candidate.current, &candidate.version, Some(trial.rules))?;
        let warnings = candidate.version.definition.warnings().iter();
        let ids: Vec<String> =
            candidate.version.definition.filters().iter().map(|filter| filter.id.to_string()).collect();
        Ok(SwapOutcome {
            cases,
            shadow,
            warnings: warnings.map(|warning| text_of(warning, &ids)).collect(),
            ..outcome(&candidate.current, &candidate.version, switched)
        })
    }

    /// All that a file says of a filter's step but its component and id.
    fn read_step(&self, path: &Path, step: &FilterStep, component: &Component) -> Result<FilterStep> {
        let named = || format!("cannot read {}", path.display());
        let text = std::fs::read_to_string(path).with_context(named)?;
        let variables = Variables::from_environment();
        let (read, problems) =
            config::read_step(path, text, &variables, &self.secrets, step.id.clone(), component.clone());
        match read {
            Some(step) if problems.errors() == 0 => Ok(step),
            _ => bail!("{}", problems.render(false).trim_end()),
        }
    }
}

/// What a version was built of, and which of its filters has this id.
fn source_with(version: &ChainVersion, id: &str) -> Result<(usize, ChainSource)> {
    let source = version.definition.source().clone();
    if let Some(number) = source.filters.iter().position(|step| step.id == id) {
        return Ok((number, source));
    }
    let ids: Vec<&str> = source.filters.iter().map(|step| step.id.as_str()).collect();
    let near = config::did_you_mean(id, &ids).map(|near| format!("did you mean {near:?}? "));
    bail!("there is no filter {id:?}; {}the filters are {}", near.unwrap_or_default(), ids.join(", "))
}

/// What looks like a path is a file, as in the pipeline file.
fn component_of(written: &str) -> Component {
    if written.contains('/') || written.ends_with(".wasm") {
        return Component::File(PathBuf::from(written));
    }
    Component::BuiltIn(written.to_owned())
}

/// What is different between two versions.
fn outcome(
    before: &ChainVersion,
    now: &ChainVersion,
    switched: crate::filter::swap::Switched,
) -> SwapOutcome {
    let (old, new) = (before.definition.filters(), now.definition.filters());
    let mut changed = Vec::new();
    for filter in new {
        // A filter that says the same has kept its time.
        let same = old.iter().find(|other| other.id == filter.id && other.since == filter.since);
        if same.is_none_or(|same| same.digest() != filter.digest()) {
            let version = filter.version().unwrap_or_default();
            changed.push(ChangedFilter { id: filter.id.to_string(), version, digest: filter.digest() });
        }
    }
    let gone = old.iter().filter(|filter| !new.iter().any(|other| other.id == filter.id));
    changed
        .extend(gone.map(|filter| ChangedFilter { id: filter.id.to_string(), ..ChangedFilter::default() }));
    let named: Vec<String> = changed
        .iter()
        .map(|changed| match changed.digest.get(..12) {
            Some(digest) => format!("{} is version {} ({digest})", changed.id, changed.version),
            None => format!("{} is gone", changed.id),
        })
        .collect();
    let done =
        if named.is_empty() { "the order of the filters is another".to_owned() } else { named.join(", ") };
    SwapOutcome { done, changed, carried: switched.carried, lost: switched.lost, ..SwapOutcome::default() }
}

fn text_of(problem: &FilterProblem, ids: &[String]) -> String {
    let id = ids.get(problem.step).map_or("", String::as_str);
    let option = problem.pointer.trim_start_matches('/').replace('/', ".");
    let place = if option.is_empty() { String::new() } else { format!("{option}: ") };
    let fix = if problem.fix.is_empty() { String::new() } else { format!(" ({})", problem.fix) };
    format!("filter {id}: {place}{}{fix}", problem.message)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
