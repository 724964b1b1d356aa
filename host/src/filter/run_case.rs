//! One case of a filter: its events through a chain of the one filter, batch after batch, and what is different from what was
//! expected. Where cases come from is left to `config::cases` and to the callers, what counts as different to the SDK.

use std::borrow::Cow;
use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use serde_json::{Map, Value as Json};
use weir_filter::test::{Difference, Observed, compare};

use super::chain::Chain;
use super::definition::{ChainDefinition, ChainEnvironment, Clock, FilterProblem, Randomness};
use super::engine::Engine;
use crate::config::Step;
use crate::config::cases::{Case, CaseBatch, NamedDatabase};
use crate::event::{Batch, FieldNames, Pattern, put_example, take_example};

/// What came of a case.
#[derive(Debug, Default)]
pub struct CaseRun {
    /// What is different from what was expected; nothing if it passes.
    pub differences: Vec<Difference>,
    /// The number of the batch that each difference is of.
    pub batch_of: Vec<usize>,
    /// What came of each batch; of one alone where the options were refused.
    pub observed: Vec<Observed>,
    /// Why the options were refused.
    pub refused: Vec<FilterProblem>,
    /// WebAssembly instructions that the filter ran for the events; 0 unless the engine counts them.
    pub fuel: u64,
}

impl CaseRun {
    /// What is different in one of the batches.
    pub fn differences_of(&self, batch: usize) -> Vec<Difference> {
        let numbered = self.differences.iter().zip(&self.batch_of);
        numbered.filter(|(_, of)| **of == batch).map(|(difference, _)| difference.clone()).collect()
    }
}

/// Runs a case. `folder` is where relative paths of options start.
pub fn run_case(engine: &Engine, case: &Case, folder: &Path) -> CaseRun {
    let mut run = CaseRun::default();
    let mut names = FieldNames::new();
    let environment = environment(case, folder);
    let definition = ChainDefinition::build(
        engine,
        std::slice::from_ref(&case.step),
        &Step::in_line(1),
        &environment,
        &mut names,
    );
    match definition {
        Err(problems) => {
            let refused = problems.iter().map(text_of).collect();
            run.observed.push(Observed { refused, ..Observed::default() });
            run.refused = problems;
        }
        Ok(definition) => {
            run_batches(case, &definition, &Arc::new(names), &mut run);
            for filter in definition.filters() {
                run.fuel += filter.counts.fuel.load(Ordering::Relaxed);
            }
        }
    }
    compare_all(case, &mut run);
    run
}

/// What an environment has for the address databases of a case, and for those that come with Weir.
pub fn case_databases(of_case: &[NamedDatabase]) -> Vec<(String, Cow<'static, [u8]>)> {
    let own = of_case.iter().map(|(name, bytes)| (name.clone(), Cow::Owned(bytes.to_vec())));
    own.chain(ChainEnvironment::default().databases).collect()
}

fn environment(case: &Case, folder: &Path) -> ChainEnvironment {
    let default = ChainEnvironment::default();
    let [timezone, locale, ecs_compatibility] = case.environment.clone();
    ChainEnvironment {
        timezone: timezone.unwrap_or(default.timezone),
        locale: locale.unwrap_or(default.locale),
        ecs_compatibility: ecs_compatibility.unwrap_or(default.ecs_compatibility),
        folder: folder.to_path_buf(),
        databases: case_databases(&case.databases),
        clock: case.clock.map_or(Clock::System, Clock::Fixed),
        randomness: Randomness::Seeded(case.seed),
    }
}

fn run_batches(case: &Case, definition: &ChainDefinition, names: &Arc<FieldNames>, run: &mut CaseRun) {
    let mut chain = match definition.start() {
        Ok(chain) => chain,
        Err(error) => {
            let stopped = Some(format!("cannot start the filter: {error:#}"));
            run.observed.push(Observed { stopped, ..Observed::default() });
            return;
        }
    };
    let mut time = case.clock;
    for batch in &case.batches {
        time = batch.clock.or(time);
        if let Some(time) = batch.clock {
            chain.set_clock(Clock::Fixed(time));
        }
        let before = counted(definition);
        let mut observed = match process(batch, &mut chain, names, time.unwrap_or_default()) {
            Ok(observed) => observed,
            Err(stopped) => Observed { stopped: Some(stopped), ..Observed::default() },
        };
        count(definition, &before, &mut observed);
        let ends = observed.stopped.is_some();
        run.observed.push(observed);
        if ends {
            return;
        }
    }
}

fn process(
    batch: &CaseBatch,
    chain: &mut Chain,
    names: &Arc<FieldNames>,
    time: i64,
) -> Result<Observed, String> {
    if batch.save_and_restore {
        let (states, lost) = chain.save();
        if !lost.is_empty() {
            return Err(format!("its state cannot be saved: {}", lost.join("; ")));
        }
        chain
            .restore(&states)
            .map_err(|refused| format!("its state is not taken: {}", refused.join("; ")))?;
    }
    let events = example_batch(&batch.input, names, time)?;
    let processed = chain.process(events).map_err(|error| format!("the filter stopped: {error:#}"))?;
    let mut dead_letters = Vec::new();
    for letter in &processed.dead_letters {
        dead_letters.extend(std::iter::repeat_n(letter.reason.clone(), letter.events.rows()));
    }
    Ok(Observed {
        events: (0..processed.batch.rows()).map(|row| take_example(&processed.batch, row)).collect(),
        dead_letters,
        ..Observed::default()
    })
}

/// A batch of events that are written down.
///
/// # Errors
/// When an event cannot be one.
pub fn example_batch(
    events: &[Map<String, Json>],
    names: &Arc<FieldNames>,
    time: i64,
) -> Result<Batch, String> {
    let mut batch = Batch::new(names.clone(), events.len());
    for (row, event) in events.iter().enumerate() {
        put_example(&mut batch, row, event, time).map_err(|error| format!("input: {error}"))?;
    }
    Ok(batch)
}

/// What filters counted so far: failed events, and how often each reason was given.
type Counted = (u64, HashMap<String, u64>);

fn counted(definition: &ChainDefinition) -> Counted {
    let mut counted = Counted::default();
    for filter in definition.filters() {
        counted.0 += filter.counts.failed.load(Ordering::Relaxed);
        for (reason, count) in filter.counts.reasons() {
            *counted.1.entry(reason).or_default() += count;
        }
    }
    counted
}

/// Adds to what was observed what was counted since `before`.
fn count(definition: &ChainDefinition, before: &Counted, observed: &mut Observed) {
    const BREAKS: [&str; 5] = ["deadline", "memory", "stack", "trap", "answer"];
    let now = counted(definition);
    let broke = definition.filters().iter().any(|filter| filter.counts.breaks.load(Ordering::Relaxed) > 0);
    observed.failed = now.0 > before.0;
    for (reason, count) in now.1 {
        if count <= before.1.get(&reason).copied().unwrap_or_default() {
            continue;
        }
        match broke && BREAKS.contains(&reason.as_str()) {
            true => observed.breaks.push(reason),
            false => observed.reasons.push(reason),
        }
    }
    observed.breaks.sort();
    observed.reasons.sort();
}

fn compare_all(case: &Case, run: &mut CaseRun) {
    let mut compiled: HashMap<String, Pattern> = HashMap::new();
    for (_, pattern) in case.batches.iter().flat_map(|batch| &batch.expect.matches) {
        if let Ok(pattern_compiled) = Pattern::compile(pattern) {
            compiled.insert(pattern.clone(), pattern_compiled);
        }
    }
    let matches = |pattern: &str, text: &str| {
        Some(compiled.get(pattern).is_some_and(|pattern| pattern.is_match(text) == Ok(true)))
    };
    for (number, (batch, observed)) in case.batches.iter().zip(&run.observed).enumerate() {
        for mut difference in compare(&batch.expect, observed, &matches) {
            if case.batches.len() > 1 {
                difference.place = format!("batch {}", number + 1);
            }
            run.differences.push(difference);
            run.batch_of.push(number);
        }
    }
}

fn text_of(problem: &FilterProblem) -> String {
    let fix = if problem.fix.is_empty() { String::new() } else { format!(" ({})", problem.fix) };
    let pointer = problem.pointer.trim_start_matches('/').replace('/', ".");
    let at = if pointer.is_empty() { String::new() } else { format!("{pointer}: ") };
    format!("{at}{}{fix}", problem.message)
}
