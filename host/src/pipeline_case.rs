//! One case of a whole pipeline: its events through the chain, and what each output would be given. Inputs and servers have no
//! part in it: events begin where inputs hand them on, and end where outputs would send them.

use std::sync::Arc;

use weir_filter::test::{Difference, Observed, Subject, compare, is_same};

use crate::assembly;
use crate::config::cases::{OutputEvent, PipelineCase};
use crate::config::{Config, OutputConfig};
use crate::event::{Batch, FieldNames, Pattern, RowSet, take_example};
use crate::filter::{
    CaseRun, ChainDefinition, ChainEnvironment, Clock, Engine, Randomness, case_databases, example_batch,
};
use crate::output::preview;

/// Runs a case of a pipeline.
pub fn run_pipeline_case(engine: &Engine, config: &Config, case: &PipelineCase) -> CaseRun {
    let mut run = CaseRun::default();
    let environment = environment(config, case);
    let mut names = FieldNames::new();
    let built = ChainDefinition::build(engine, &config.filters, &config.steps, &environment, &mut names);
    let definition = match built {
        Ok(definition) => definition,
        Err(problems) => {
            let reasons: Vec<String> = problems.iter().map(|problem| problem.message.clone()).collect();
            stop(&mut run, format!("the filters refuse their options: {}", reasons.join("; ")));
            run.refused = problems;
            return run;
        }
    };
    if let Err(reason) = pass(config, case, &definition, names, &mut run) {
        stop(&mut run, reason);
    }
    run.fuel = definition.filters().iter().map(|filter| filter.counts.fuel()).sum();
    run
}

fn stop(run: &mut CaseRun, reason: String) {
    push(run, Difference::new(Subject::Run, Some("an answer".into()), Some(reason.into())));
}

fn push(run: &mut CaseRun, difference: Difference) {
    run.differences.push(difference);
    run.batch_of.push(0);
}

fn environment(config: &Config, case: &PipelineCase) -> ChainEnvironment {
    ChainEnvironment {
        databases: case_databases(&case.databases),
        clock: case.clock.map_or(Clock::System, Clock::Fixed),
        randomness: Randomness::Seeded(case.seed),
        ..assembly::environment(config)
    }
}

fn pass(
    config: &Config,
    case: &PipelineCase,
    definition: &ChainDefinition,
    names: FieldNames,
    run: &mut CaseRun,
) -> Result<(), String> {
    let mut events = example_batch(&case.input, &Arc::new(names), case.clock.unwrap_or_default())?;
    // Every event has an identity, and document ids may be made of it.
    events.set_identities((1..).take(events.rows()).collect());
    let mut chain = definition.start().map_err(|error| format!("cannot start the filters: {error:#}"))?;
    let processed = chain.process(events).map_err(|error| format!("the pipeline stopped: {error:#}"))?;
    let mut dead_letters = Vec::new();
    for letter in &processed.dead_letters {
        let reason = format!("{}: {}", letter.filter, letter.reason);
        dead_letters.extend(std::iter::repeat_n(reason, letter.events.rows()));
    }
    for output in &config.outputs {
        let given = given_to(output, &processed.batch, &mut dead_letters);
        let expected = case.outputs.iter().find(|(name, _)| *name == output.name);
        if let Some((name, expected)) = expected {
            compare_output(name, expected, &given, run);
        }
    }
    let found = dead_letters.len() as u64;
    if found != case.dead_letters {
        let mut difference =
            Difference::new(Subject::DeadLetters, Some(case.dead_letters.into()), Some(found.into()));
        difference.why = dead_letters.into_iter().next().unwrap_or_default();
        push(run, difference);
    }
    Ok(())
}

/// An event as an output has it.
struct Given {
    event: serde_json::Value,
    rendered: Vec<(String, serde_json::Value)>,
}

/// The events that an output takes; those that it cannot take go to the dead letters.
fn given_to(output: &OutputConfig, batch: &Batch, dead_letters: &mut Vec<String>) -> Vec<Given> {
    let mut rows = RowSet::all(batch.rows());
    if let Some(when) = &output.when {
        let selection = when.select(batch, &rows);
        let undecided = selection.undecided.into_iter();
        dead_letters.extend(undecided.map(|(_, reason)| format!("{}: {reason}", output.name)));
        rows = selection.holds;
    }
    let taken = batch.select(&rows.iter().collect::<Vec<_>>());
    let mut given = Vec::with_capacity(taken.rows());
    for (row, rendered) in preview(&output.options, &taken).into_iter().enumerate() {
        match rendered {
            Ok(rendered) => given.push(Given { event: take_example(&taken, row), rendered }),
            Err(reason) => dead_letters.push(format!("{}: {reason}", output.name)),
        }
    }
    given
}

fn compare_output(name: &str, expected: &[OutputEvent], given: &[Given], run: &mut CaseRun) {
    let place = format!("output {name}");
    if expected.len() != given.len() {
        let events: Vec<serde_json::Value> = given.iter().map(|given| given.event.clone()).collect();
        let difference = Difference::new(Subject::Events, Some(expected.len().into()), Some(events.into()));
        push(run, Difference { place, ..difference });
        return;
    }
    let matches = |pattern: &str, text: &str| {
        Some(Pattern::compile(pattern).is_ok_and(|pattern| pattern.is_match(text) == Ok(true)))
    };
    let several = given.len() > 1;
    for (number, (expected, given)) in expected.iter().zip(given).enumerate() {
        let observed = Observed { events: vec![given.event.clone()], ..Observed::default() };
        let mut differences = compare(&expected.event, &observed, &matches);
        for (key, expected) in &expected.rendered {
            let found = given.rendered.iter().find(|(known, _)| known == key).map(|(_, value)| value);
            if !found.is_some_and(|found| is_same(expected, found)) {
                let subject = Subject::Rendered(key.clone());
                differences.push(Difference::new(subject, Some(expected.clone()), found.cloned()));
            }
        }
        for difference in differences {
            push(run, Difference { place: place.clone(), event: several.then_some(number), ..difference });
        }
    }
}
