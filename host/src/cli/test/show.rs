//! What `weir test` prints: a line a case, below it what is different, and at the end how many passed.

use std::io::Write;

use anyhow::Result;
use serde_json::{Value as Json, json};
use weir_filter::test::{Difference, Line, Subject};

use super::super::Format;
use super::super::terminal::{grouped, styled};
use super::Outcome;
use super::coverage::FilterCoverage;

/// A line for the case, after one for its file where that is another than the last one's.
pub(super) fn print(outcome: &Outcome, last: Option<&Outcome>, color: bool, with_fuel: bool) -> Result<()> {
    let mut stdout = std::io::stdout().lock();
    if last.is_none_or(|last| last.file != outcome.file) {
        writeln!(stdout, "{} ({})", styled(&outcome.file, "1", color), outcome.filter)?;
    }
    let fuel = match with_fuel {
        true => styled(&format!("  {} fuel", grouped(outcome.run.fuel)), "2", color),
        false => String::new(),
    };
    if outcome.run.differences.is_empty() && !outcome.accepted {
        writeln!(stdout, "  {}      {}{fuel}", styled("ok", "32", color), outcome.name)?;
        return Ok(());
    }
    let end = match outcome.accepted {
        true => styled("written", "1;33", color),
        false => styled("FAILED", "1;31", color) + " ",
    };
    writeln!(stdout, "  {end} {} (line {}){fuel}", outcome.name, outcome.line)?;
    if !outcome.not_accepted.is_empty() {
        writeln!(stdout, "            not written into the file: {}", outcome.not_accepted)?;
    }
    for difference in &outcome.run.differences {
        let is_refusal = matches!(difference.subject, Subject::Options | Subject::Run);
        if is_refusal && outcome.refused.errors() > 0 {
            for line in outcome.refused.render(color).trim_end().lines() {
                writeln!(stdout, "            {line}")?;
            }
            continue;
        }
        print_difference(difference, color, &mut stdout)?;
    }
    Ok(())
}

fn print_difference(difference: &Difference, color: bool, out: &mut impl Write) -> Result<()> {
    for (line, text) in difference.lines() {
        match line {
            Line::Title => writeln!(out, "            {text}")?,
            Line::Expected => {
                writeln!(out, "              expected  {}", styled(&text, "32", color))?;
            }
            Line::Found => writeln!(out, "              found     {}", styled(&text, "31", color))?,
        }
    }
    Ok(())
}

/// How many passed, or all of it as JSON. Answers how many did not.
pub(super) fn print_end(
    format: Format,
    outcomes: &[Outcome],
    left_out: usize,
    coverage: Option<&[FilterCoverage]>,
) -> Result<usize> {
    let accepted = outcomes.iter().filter(|outcome| outcome.accepted).count();
    let failed = |outcome: &&Outcome| !outcome.run.differences.is_empty() && !outcome.accepted;
    let failed = outcomes.iter().filter(failed).count();
    let mut stdout = std::io::stdout().lock();
    match format {
        Format::Json => {
            let list: Vec<_> = outcomes.iter().map(outcome_json).collect();
            let report = match coverage {
                None => json!(list),
                Some(coverage) => json!({
                    "cases": list,
                    "coverage": coverage.iter().map(coverage_json).collect::<Vec<_>>(),
                }),
            };
            writeln!(stdout, "{report:#}")?;
        }
        Format::Text => {
            if failed > 0 {
                writeln!(stdout)?;
            }
            for filter in coverage.unwrap_or_default() {
                writeln!(stdout, "{}", coverage_text(filter))?;
            }
            let passed = outcomes.len() - failed - accepted;
            let others: String = [(accepted, "written"), (left_out, "left out")]
                .into_iter()
                .filter(|(count, _)| *count > 0)
                .map(|(count, what)| format!(", {count} {what}"))
                .collect();
            writeln!(stdout, "{passed} passed, {failed} failed{others}")?;
        }
    }
    Ok(failed)
}

fn coverage_text(coverage: &FilterCoverage) -> String {
    let FilterCoverage { filter, options, unused } = coverage;
    let set = options - unused.len();
    match unused.is_empty() {
        true => format!("{filter}: cases set all {options} options"),
        false => format!("{filter}: cases set {set} of {options} options, none sets {}", unused.join(", ")),
    }
}

fn coverage_json(coverage: &FilterCoverage) -> Json {
    json!({ "filter": coverage.filter, "options": coverage.options, "unused": coverage.unused })
}

fn outcome_json(outcome: &Outcome) -> Json {
    let differences: Vec<Json> = outcome.run.differences.iter().map(difference_json).collect();
    json!({
        "file": outcome.file,
        "line": outcome.line,
        "filter": outcome.filter,
        "name": outcome.name,
        "ok": outcome.run.differences.is_empty(),
        "accepted": outcome.accepted,
        "fuel": (outcome.run.fuel > 0).then_some(outcome.run.fuel),
        "differences": differences,
        "problems": outcome.refused.to_json(),
    })
}

fn difference_json(difference: &Difference) -> Json {
    json!({
        "of": difference.subject.to_string(),
        "place": difference.place,
        "event": difference.event,
        "expected": difference.expected,
        "found": difference.found,
        "why": difference.why,
        "text": difference.to_string(),
    })
}
