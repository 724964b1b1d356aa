//! What filters cost, as a number that is the same on every machine: the WebAssembly instructions ("fuel") that their calls
//! of `process` run for given events. Counting makes guests slower, so it has an engine of its own and no other counts.
//! Work of the host and of kernels is not in it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use anyhow::{Result, anyhow, bail};
use serde_json::{Map, Value as Json};

use super::definition::{ChainDefinition, ChainEnvironment};
use super::engine::Engine;
use crate::config::{FilterStep, Step};
use crate::event::{Batch, FieldNames, put_example};

/// Passes an event for each of `messages` through the filters, `batch_size` at a time, and answers the fuel that each
/// filter (by its id) used for one event. The events are of the time that the environment's clock tells, so with a fixed
/// clock and seeded randomness the answer is always the same.
///
/// # Errors
/// When a filter refuses its options or breaks.
pub fn measure_fuel(
    filters: &[FilterStep],
    environment: &ChainEnvironment,
    messages: &[String],
    batch_size: usize,
) -> Result<BTreeMap<String, f64>> {
    let engine = Engine::metered(None)?;
    let mut names = FieldNames::new();
    let definition =
        ChainDefinition::build(&engine, filters, &Step::in_line(filters.len()), environment, &mut names)
            .map_err(|problems| {
                let problems: Vec<String> = problems.into_iter().map(|problem| problem.message).collect();
                anyhow!("{}", problems.join("; "))
            })?;
    let names = Arc::new(names);
    let mut chain = definition.start()?;
    let now = super::guest_state::time_of(environment.clock);
    for messages in messages.chunks(batch_size.max(1)) {
        let mut batch = Batch::new(names.clone(), messages.len());
        for (row, message) in messages.iter().enumerate() {
            let event = Map::from_iter([("message".to_owned(), Json::from(message.as_str()))]);
            put_example(&mut batch, row, &event, now).map_err(|error| anyhow!(error))?;
        }
        chain.process(batch)?;
    }
    let mut fuel = BTreeMap::new();
    for filter in definition.filters() {
        if filter.counts.breaks.load(Ordering::Relaxed) > 0 {
            bail!("filter {} broke", filter.id);
        }
        // Both are far below 2^53.
        let events = filter.counts.events_in.load(Ordering::Relaxed).max(1) as f64;
        fuel.insert(filter.id.to_string(), filter.counts.fuel.load(Ordering::Relaxed) as f64 / events);
    }
    Ok(fuel)
}
