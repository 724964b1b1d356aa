//! A pipeline's filters, loaded and configured: all that workers share. Every problem of every filter is found in one go.

use std::borrow::Cow;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::SystemTime;

use anyhow::{Context, Result};

use super::branch::{ConfiguredBranch, Step, build_steps, intern};
use super::built_in;
use super::chain::Chain;
use super::component::FilterCode;
use super::counts::FilterCounts;
use super::engine::Engine;
use super::guest_state::GuestState;
use super::instance::{Instance, cut};
use super::interface;
use super::log_allowance::LogAllowance;
use super::passage::Place;
use super::plan::Plan;
use crate::config::{self, Component, FilterStep, Limits, OnFailure};
use crate::event::condition::Condition;
use crate::event::decorate::Decorations;
use crate::event::{FieldNames, FieldReference};

/// The most mistakes that are told of one filter's options.
const MOST_PROBLEMS: usize = 100;

/// The most lines a second about one filter's breaks.
const MOST_BREAK_LINES: u32 = 10;

/// Where filters take the time from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Clock {
    /// The machine's clock, once a batch.
    #[default]
    System,
    /// Always this time, in nanoseconds since 1970.
    Fixed(i64),
}

/// Where filters take random bytes from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Randomness {
    /// The machine's generator.
    #[default]
    System,
    /// The same bytes in every run.
    Seeded(u64),
}

/// What a pipeline says for all of its filters.
#[derive(Clone, Debug)]
pub struct ChainEnvironment {
    /// The time zone of filters whose own option does not say one.
    pub timezone: String,
    /// The same for the locale.
    pub locale: String,
    /// The same for ECS: `disabled`, `v1` or `v8`.
    pub ecs_compatibility: String,
    /// What relative paths in a guest's options are relative to: the pipeline file's folder.
    pub folder: PathBuf,
    /// Address databases that are no files, by the names that options use instead of a path. `demo:addresses` is there
    /// unless it is taken out: a small table of documentation networks that comes with Weir.
    pub databases: Vec<(String, Cow<'static, [u8]>)>,
    /// The time.
    pub clock: Clock,
    /// Random bytes.
    pub randomness: Randomness,
}

impl Default for ChainEnvironment {
    fn default() -> Self {
        ChainEnvironment {
            timezone: "UTC".to_owned(),
            locale: "en".to_owned(),
            ecs_compatibility: "disabled".to_owned(),
            folder: PathBuf::from("."),
            databases: vec![("demo:addresses".to_owned(), Cow::Borrowed(built_in::DEMO_ADDRESSES))],
            clock: Clock::System,
            randomness: Randomness::System,
        }
    }
}

/// Something wrong with a filter step, found while the chain was built.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FilterProblem {
    /// Which of the filters, from 0.
    pub step: usize,
    /// A JSON pointer into the step's options, those of the host included (`/use`, `/add_field/type`); empty for the
    /// step as a whole.
    pub pointer: String,
    /// What is wrong.
    pub message: String,
    /// What to do; may be empty.
    pub fix: String,
}

/// The filters of a chain as they are written, before they are loaded.
#[derive(Clone, Debug, Default)]
pub struct ChainSource {
    /// The filters, in the order of writing.
    pub filters: Vec<FilterStep>,
    /// How they and the branches stand.
    pub steps: Vec<config::Step>,
}

/// One filter of a chain, loaded and configured.
#[derive(Clone)]
pub struct ConfiguredFilter {
    /// The step's id.
    pub id: Arc<str>,
    /// The fields that it reads.
    pub reads: Vec<FieldReference>,
    /// The fields that it writes.
    pub writes: Vec<FieldReference>,
    /// Whether it may read or write fields that it cannot name beforehand.
    pub everything: bool,
    /// Whether it keeps something from event to event.
    pub stateful: bool,
    /// Its figures, of all workers together, and of all versions of it that this pipeline has run.
    pub counts: Arc<FilterCounts>,
    /// The figures of this version alone.
    pub version_counts: Arc<FilterCounts>,
    /// Since when it is as it is: its component, its options and what the host does around it.
    pub since: SystemTime,
    pub(super) plan: Arc<Plan>,
    pub(super) when: Option<Condition>,
    pub(super) on_error: OnFailure,
    pub(super) on_trap: OnFailure,
    pub(super) limits: Limits,
    pub(super) decorations: Arc<Decorations>,
    pub(super) code: Arc<FilterCode>,
    /// What the guest may log, and what is logged about its breaks.
    log: Arc<LogAllowance>,
    pub(super) break_log: Arc<LogAllowance>,
    options: String,
    environment: Arc<ChainEnvironment>,
    engine: Engine,
}

/// The filters of a pipeline, ready for any number of workers.
pub struct ChainDefinition {
    filters: Vec<Arc<ConfiguredFilter>>,
    branches: Vec<Arc<ConfiguredBranch>>,
    steps: Arc<[Step]>,
    warnings: Vec<FilterProblem>,
    source: ChainSource,
}

/// What a chain is built after: the one that runs, whose figures go on in the new one where a filter has the same id.
#[derive(Default)]
pub(super) struct Before<'a> {
    pub(super) chain: Option<&'a ChainDefinition>,
    /// The code of filters, by their number, that is not to be loaded from where the filter's step says.
    pub(super) codes: Vec<Option<Arc<FilterCode>>>,
}

impl ChainDefinition {
    /// Loads and configures `filters`, which stand in the chain as `steps` says. The names of all fields that they and the
    /// conditions read or write are added to `names`, the table that all batches of the pipeline begin with.
    ///
    /// # Errors
    /// Every problem of every filter. A filter's guest is only asked about its options when it could be loaded.
    pub fn build(
        engine: &Engine,
        filters: &[FilterStep],
        steps: &[config::Step],
        environment: &ChainEnvironment,
        names: &mut FieldNames,
    ) -> Result<Self, Vec<FilterProblem>> {
        let source = ChainSource { filters: filters.to_vec(), steps: steps.to_vec() };
        Self::build_after(engine, source, environment, names, &Before::default())
    }

    /// The same, after another chain. What becomes of `names` when it fails does not matter: a copy is given.
    pub(super) fn build_after(
        engine: &Engine,
        source: ChainSource,
        environment: &ChainEnvironment,
        names: &mut FieldNames,
        before: &Before<'_>,
    ) -> Result<Self, Vec<FilterProblem>> {
        let environment = Arc::new(environment.clone());
        let filters = source.filters.as_slice();
        let mut configured = Vec::with_capacity(filters.len());
        let (mut problems, mut warnings) = (Vec::new(), Vec::new());
        for (number, (step, code)) in filters.iter().zip(load_all(engine, filters, &before.codes)).enumerate()
        {
            let common = &step.common;
            let (decorations, doubtful) = Decorations::new(
                &common.add_field,
                &common.remove_field,
                &common.add_tag,
                &common.remove_tag,
            );
            let mut found = Problems { step: number, list: &mut warnings };
            for (pointer, message) in doubtful {
                found.push(&pointer, message, "");
            }
            let mut found = Problems { step: number, list: &mut problems };
            let code = match code {
                Ok(code) => code,
                Err(error) => {
                    found.push("/use", format!("{error:#}"), "");
                    continue;
                }
            };
            check_grants(step, &code, &mut found);
            if let Some(filter) = configure(engine, step, code, decorations, &environment, names, &mut found)
            {
                configured.push(Arc::new(filter.after(step, before.chain)));
            }
        }
        if !problems.is_empty() {
            return Err(problems);
        }
        let mut branches = Vec::new();
        let earlier = before.chain.map_or(&[][..], |chain| &chain.branches);
        let steps = build_steps(&source.steps, names, earlier, &mut branches).into();
        Ok(ChainDefinition { filters: configured, branches, steps, warnings, source })
    }

    /// What it was built of.
    pub fn source(&self) -> &ChainSource {
        &self.source
    }

    /// The filters, in the order of writing.
    pub fn filters(&self) -> &[Arc<ConfiguredFilter>] {
        &self.filters
    }

    /// The branches, in the order of writing.
    pub fn branches(&self) -> &[Arc<ConfiguredBranch>] {
        &self.branches
    }

    /// What is allowed and can hardly be meant: common options that fail on every event.
    pub fn warnings(&self) -> &[FilterProblem] {
        &self.warnings
    }

    /// Whether one worker must see all batches in order.
    pub fn is_stateful(&self) -> bool {
        self.filters.iter().any(|filter| filter.stateful)
    }

    /// The instances of one worker.
    ///
    /// # Errors
    /// When a guest that could be configured before now cannot.
    pub fn start(&self) -> Result<Chain> {
        Chain::start(&self.filters, &self.steps)
    }
}

impl ConfiguredFilter {
    /// The SHA-256 of the component's bytes (packed, of a filter that ships with Weir), in hexadecimal digits.
    pub fn digest(&self) -> String {
        self.code.digest.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// The version that the component says it has. Starts an instance when it is asked first: not for a thread of the async
    /// runtime.
    ///
    /// # Errors
    /// When it does not start or breaks.
    pub fn version(&self) -> Result<String> {
        Ok(self.manifest()?.version.clone())
    }

    /// The version of the state that it saves.
    pub(super) fn state_version(&self) -> Result<u32> {
        Ok(self.manifest()?.state_version)
    }

    fn manifest(&self) -> Result<&interface::Manifest> {
        if let Some(manifest) = self.code.manifest.get() {
            return Ok(manifest);
        }
        let state = GuestState::for_description(self.engine.databases());
        let manifest = Instance::start(&self.code, state)?.describe(&self.code)?;
        Ok(self.code.manifest.get_or_init(|| manifest))
    }

    /// The same filter, with figures of its own: those of one worker, or of a trial that is not to be counted.
    pub(super) fn with_own_counts(&self) -> Self {
        ConfiguredFilter { counts: Arc::default(), ..self.clone() }
    }

    /// Goes on with what the filter of the same id in an earlier chain counted.
    fn after(mut self, step: &FilterStep, chain: Option<&ChainDefinition>) -> Self {
        let Some(chain) = chain else { return self };
        let place = chain.filters.iter().position(|filter| filter.id == self.id);
        let earlier = place.and_then(|place| chain.filters.get(place).zip(chain.source.filters.get(place)));
        if let Some((filter, written)) = earlier {
            self.counts = filter.counts.clone();
            if self.code.digest == filter.code.digest && written.is_same_as(step) {
                self.since = filter.since;
            }
        }
        self
    }

    /// A new instance, configured as the others of this filter are.
    pub(super) fn instance(&self) -> Result<Instance> {
        let state = GuestState::new(
            self.id.clone(),
            self.limits,
            self.counts.clone(),
            self.log.clone(),
            self.environment.clone(),
            self.engine.databases().clone(),
        );
        let named = || format!("filter {}", self.id);
        let mut instance = Instance::start(&self.code, state).with_context(named)?;
        let environment = guest_environment(&self.environment, &self.decorations);
        match instance.configure(&self.code, &self.options, environment).with_context(named)? {
            Ok(_) => Ok(instance),
            Err(problems) => {
                let problems: Vec<String> = problems.into_iter().map(|problem| problem.message).collect();
                anyhow::bail!(
                    "filter {} does not take its options any more: {}",
                    self.id,
                    problems.join("; ")
                )
            }
        }
    }

    /// Where rows leave that do not go on after it.
    pub(super) fn place(&self) -> Place<'_> {
        Place { id: &self.id, counts: &self.counts }
    }

    /// The time that a batch's filters are told.
    pub(super) fn environment(&self) -> &ChainEnvironment {
        &self.environment
    }
}

struct Problems<'a> {
    step: usize,
    list: &'a mut Vec<FilterProblem>,
}

impl Problems<'_> {
    fn push(&mut self, pointer: &str, message: impl Into<String>, fix: impl Into<String>) {
        self.list.push(FilterProblem {
            step: self.step,
            pointer: pointer.to_owned(),
            message: message.into(),
            fix: fix.into(),
        });
    }
}

/// Loads the components of all steps, two at a time: compiling takes most of a start without a cache.
fn load_all(
    engine: &Engine,
    steps: &[FilterStep],
    loaded: &[Option<Arc<FilterCode>>],
) -> Vec<Result<Arc<FilterCode>>> {
    let given = |number: usize| loaded.get(number).cloned().flatten();
    let components: Vec<&Component> = steps.iter().map(|step| &step.component).collect();
    let mut distinct: Vec<&Component> = Vec::new();
    for (number, component) in components.iter().enumerate() {
        if given(number).is_none() && !distinct.contains(component) {
            distinct.push(component);
        }
    }
    let next = AtomicUsize::new(0);
    let load = || {
        // Kept, so that the loads below find them.
        let mut loaded = Vec::new();
        while let Some(component) = distinct.get(next.fetch_add(1, Ordering::Relaxed)) {
            loaded.extend(engine.load(component).ok());
        }
        loaded
    };
    let loaded = std::thread::scope(|scope| {
        let other = scope.spawn(load);
        let mut loaded = load();
        // A thread that panicked has loaded nothing; what it was to load is loaded below.
        loaded.extend(other.join().unwrap_or_default());
        loaded
    });
    let code =
        |(number, component): (usize, &&Component)| given(number).map_or_else(|| engine.load(component), Ok);
    let codes = components.iter().enumerate().map(code).collect();
    drop(loaded);
    codes
}

/// What comes with Weir may have any kernel; what does not needs a word of the user's.
fn check_grants(step: &FilterStep, code: &FilterCode, found: &mut Problems<'_>) {
    let built_in = matches!(step.component, Component::BuiltIn(_));
    for kernel in &code.kernels {
        let granted = match &step.grants.kernels {
            Some(grants) => grants.iter().any(|grant| grant == kernel),
            None => built_in,
        };
        if !granted {
            found.push(
                "/use",
                format!("this component imports weir:filter/{kernel}, which it was not granted"),
                format!("if it may, add \"{kernel}\" to `grants`: grants = [\"{kernel}\"]"),
            );
        }
    }
}

fn configure(
    engine: &Engine,
    step: &FilterStep,
    code: Arc<FilterCode>,
    decorations: Decorations,
    environment: &Arc<ChainEnvironment>,
    names: &mut FieldNames,
    found: &mut Problems<'_>,
) -> Option<ConfiguredFilter> {
    let id: Arc<str> = step.id.as_str().into();
    let counts = Arc::<FilterCounts>::default();
    let log = Arc::new(LogAllowance::new(step.limits.log_lines));
    let options = serde_json::Value::Object(step.options.clone()).to_string();
    let state = GuestState::new(
        id.clone(),
        step.limits,
        counts.clone(),
        log.clone(),
        environment.clone(),
        engine.databases().clone(),
    );
    let answer = Instance::start(&code, state).and_then(|mut instance| {
        instance.configure(&code, &options, guest_environment(environment, &decorations))
    });
    let plan = match answer {
        Ok(Ok(plan)) => Plan::new(plan, names),
        Ok(Err(problems)) => {
            if problems.is_empty() {
                found.push("", "the filter refuses its options and does not say why", "");
            }
            let left_out = problems.len().saturating_sub(MOST_PROBLEMS);
            for problem in problems.into_iter().take(MOST_PROBLEMS) {
                found.push(&problem.pointer, cut(problem.message), cut(problem.fix));
            }
            if left_out > 0 {
                found.push("", format!("the filter finds {left_out} mistakes more"), "");
            }
            return None;
        }
        Err(error) => Err(format!("{error:#}")),
    };
    let mut plan = match plan {
        Ok(plan) => plan,
        Err(message) => {
            found.push("", message, "");
            return None;
        }
    };
    if let Err(refused) = plan.restrict(&step.grants) {
        for (access, field) in refused.iter().take(MOST_PROBLEMS) {
            found.push(
                &format!("/grants/fields/{access}"),
                format!("with these options the filter {access}s {field}, which it was not granted"),
                format!("if it may, add \"{field}\" to grants.fields.{access}"),
            );
        }
        return None;
    }
    for reference in decorations.references() {
        names.intern(&reference);
    }
    intern(step.when.as_ref(), names);
    let references = |used: fn(&super::plan::PlannedField) -> bool| -> Vec<FieldReference> {
        plan.fields.iter().filter(|field| used(field)).map(|field| field.reference.clone()).collect()
    };
    Some(ConfiguredFilter {
        id,
        reads: references(|field| field.read),
        writes: references(|field| field.write),
        everything: plan.reads_others || plan.writes_others,
        stateful: plan.stateful,
        counts,
        version_counts: Arc::default(),
        since: SystemTime::now(),
        plan: Arc::new(plan),
        when: step.when.clone(),
        on_error: step.on_error,
        on_trap: step.on_trap,
        limits: step.limits,
        decorations: Arc::new(decorations),
        code,
        log,
        break_log: Arc::new(LogAllowance::new(MOST_BREAK_LINES)),
        options,
        environment: environment.clone(),
        engine: engine.clone(),
    })
}

fn guest_environment(environment: &ChainEnvironment, decorations: &Decorations) -> interface::Environment {
    interface::Environment {
        timezone: environment.timezone.clone(),
        locale: environment.locale.clone(),
        ecs_compatibility: environment.ecs_compatibility.clone(),
        common_options: !decorations.is_empty(),
    }
}
