//! Which letters go together on the same way: read in their order, asked for by the user, to the same destination.

use std::collections::HashMap;
use std::path::Path;

use anyhow::Result;

use super::ReplayTo;
use crate::config::{Config, Step};
use crate::output::dead_letter::{self, FoundLetter, LetterFilter, Line};

/// The text of letters that go together, at most, unless one alone is longer.
const TEXT_BYTES: usize = 8 << 20;

/// Where a letter goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Destination {
    /// Through the filters from this step on, then to all outputs.
    Filters(usize),
    /// To one output.
    Output(usize),
    /// To all outputs.
    Outputs,
}

/// Letters that go together.
pub(super) struct Going {
    pub(super) destination: Destination,
    pub(super) letters: Vec<FoundLetter>,
}

/// Reads the letters of a folder by those that go together.
pub(super) struct LetterReader {
    lines: Box<dyn Iterator<Item = Result<Line>> + Send>,
    filter: LetterFilter,
    to: ReplayTo,
    ways: Ways,
    batch_size: usize,
    /// Read, and for the next batch.
    waiting: Option<(Destination, FoundLetter)>,
    /// Lines that cannot be read.
    pub(super) damaged: u64,
    /// Letters of plugins that the pipeline does not have.
    pub(super) strangers: HashMap<String, u64>,
}

/// The pipeline's filters and outputs by their names.
struct Ways {
    steps: HashMap<String, usize>,
    outputs: HashMap<String, usize>,
}

impl LetterReader {
    pub(super) fn open(folder: &Path, config: &Config, to: ReplayTo, filter: LetterFilter) -> Result<Self> {
        Ok(LetterReader {
            lines: Box::new(dead_letter::read_folder(folder)?),
            filter,
            to,
            ways: Ways::new(config),
            batch_size: config.pipeline.batch_size.max(1),
            waiting: None,
            damaged: 0,
            strangers: HashMap::new(),
        })
    }

    /// The next letters that go together; `None` after the last.
    pub(super) fn next_going(&mut self) -> Result<Option<Going>> {
        let mut going: Option<Going> = None;
        let mut bytes = 0;
        while let Some((destination, found)) = self.next_letter()? {
            let is_full = |going: &Going| {
                going.destination != destination
                    || going.letters.len() >= self.batch_size
                    || bytes + found.letter.event.len() > TEXT_BYTES
            };
            if going.as_ref().is_some_and(is_full) {
                self.waiting = Some((destination, found));
                break;
            }
            bytes += found.letter.event.len();
            going.get_or_insert_with(|| Going { destination, letters: Vec::new() }).letters.push(found);
        }
        Ok(going)
    }

    fn next_letter(&mut self) -> Result<Option<(Destination, FoundLetter)>> {
        if let Some(waiting) = self.waiting.take() {
            return Ok(Some(waiting));
        }
        for line in self.lines.by_ref() {
            match line? {
                Line::Damaged { id, reason } => {
                    tracing::warn!(letter = %id, "a dead letter cannot be read and stays: {reason}");
                    self.damaged += 1;
                }
                Line::Letter(found) if !self.filter.takes(&found) => {}
                Line::Letter(found) => match self.ways.destination(&found.letter.plugin, self.to) {
                    Some(destination) => return Ok(Some((destination, found))),
                    None => *self.strangers.entry(found.letter.plugin).or_default() += 1,
                },
            }
        }
        Ok(None)
    }
}

impl Ways {
    fn new(config: &Config) -> Self {
        let mut steps = HashMap::new();
        for (number, step) in config.steps.iter().enumerate() {
            add_names(config, step, number, &mut steps);
        }
        let outputs = config.outputs.iter().enumerate();
        Ways { steps, outputs: outputs.map(|(number, output)| (output.name.clone(), number)).collect() }
    }

    fn destination(&self, plugin: &str, to: ReplayTo) -> Option<Destination> {
        let output = self.outputs.get(plugin).copied();
        match to {
            ReplayTo::Filters => Some(Destination::Filters(0)),
            ReplayTo::Output => Some(output.map_or(Destination::Outputs, Destination::Output)),
            ReplayTo::Plugin => {
                let step = || self.steps.get(plugin).copied().map(Destination::Filters);
                output.map(Destination::Output).or_else(step)
            }
        }
    }
}

/// The names of a step and of all in it lead to the step: a part of a branch is entered by its conditions.
fn add_names(config: &Config, step: &Step, number: usize, steps: &mut HashMap<String, usize>) {
    match step {
        Step::Filter(filter) => {
            steps.extend(config.filters.get(*filter).map(|filter| (filter.id.clone(), number)));
        }
        Step::Branch(branch) => {
            steps.insert(branch.id.clone(), number);
            for step in branch.arms.iter().flat_map(|arm| &arm.steps) {
                add_names(config, step, number, steps);
            }
        }
    }
}
