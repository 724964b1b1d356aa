//! The tests of a pipeline file, for `weir test`.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, anyhow};
use weir::config::cases::{PipelineTest, accept_pipeline, read_pipeline_test};
use weir::config::{Component, Problems, Secrets};
use weir::filter::{CaseRun, Engine};
use weir::pipeline_case::run_pipeline_case;

use super::{Outcome, Outcomes, TestOptions, is_wanted};

/// Runs the cases of a test file.
///
/// # Errors
/// When the file cannot be read, or stdout is gone.
pub(super) fn run_file(
    options: &TestOptions,
    secrets: &Secrets,
    engine: &Engine,
    path: &Path,
    outcomes: &mut Outcomes,
) -> Result<()> {
    let (test, problems) =
        read_pipeline_test(path, secrets).with_context(|| format!("cannot read {}", path.display()))?;
    let wrong = problems.errors() > 0;
    outcomes.problems.extend(problems);
    let Some(test) = test.filter(|_| !wrong) else { return Ok(()) };
    outcomes.files.push(test.pipeline.clone());
    for step in &test.config.filters {
        outcomes.coverage.add(&step.component, step.options.keys());
        if let Component::File(path) = &step.component {
            outcomes.files.push(path.clone());
        }
    }
    let mut ran = Vec::with_capacity(test.cases.len());
    for (number, case) in test.cases.iter().enumerate() {
        if !is_wanted(options, &case.name) {
            outcomes.left_out += 1;
            continue;
        }
        let run = run_pipeline_case(engine, &test.config, case);
        let outcome = Outcome {
            file: test.file.name.clone(),
            line: test.file.position(case.span.start).0,
            filter: test.pipeline.display().to_string(),
            name: case.name.clone(),
            refused: problems_of(&run, &test),
            run,
            accepted: false,
            not_accepted: String::new(),
        };
        ran.push((number, outcome));
    }
    if options.accept {
        accept_all(path, &test.file.text, &mut ran)?;
    }
    for (_, outcome) in ran {
        outcomes.show_and_keep(options, outcome)?;
    }
    Ok(())
}

/// Writes what came of the failed cases into the file, and marks them.
fn accept_all(path: &Path, text: &str, ran: &mut [(usize, Outcome)]) -> Result<()> {
    let failed: Vec<usize> =
        (0..ran.len()).filter(|place| !ran[*place].1.run.differences.is_empty()).collect();
    let changes: Vec<_> =
        failed.iter().map(|place| (ran[*place].0, ran[*place].1.run.differences.as_slice())).collect();
    let named = || format!("cannot change {}", path.display());
    let (new, refused) =
        accept_pipeline(text, &changes).map_err(|error| anyhow!(error)).with_context(named)?;
    if new != text {
        fs::write(path, new).with_context(named)?;
    }
    for (number, place) in failed.into_iter().enumerate() {
        let outcome = &mut ran[place].1;
        match refused.iter().find(|(refused, _)| *refused == number) {
            Some((_, reason)) => outcome.not_accepted.clone_from(reason),
            None => outcome.accepted = true,
        }
    }
    Ok(())
}

/// What filters say against their options, at its place in the pipeline file.
fn problems_of(run: &CaseRun, test: &PipelineTest) -> Problems {
    let mut problems = Problems::new(test.config.secrets.clone());
    for problem in &run.refused {
        let Some(step) = test.config.filters.get(problem.step) else { continue };
        problems.push(test.config.filter_problem(step, &problem.pointer, &problem.message, &problem.fix));
    }
    problems
}
