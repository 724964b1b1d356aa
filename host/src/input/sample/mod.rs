//! Made-up Route 53 query log lines, the same for the same seed.

mod lines;

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Result;
use futures::future::BoxFuture;

use super::events::{EventMaker, now};
use super::{Input, InputContext, InputCounters, Read};
use crate::config::Section;
use crate::event::Cell;
use crate::ledger::Position;

pub use lines::{SampleLines, lines};

/// `[input] type = "sample"`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SampleOptions {
    /// `count`: how many lines; endless without.
    pub count: Option<u64>,
    /// `seed`: lines of the same seed are the same.
    pub seed: u64,
    /// `rate`: lines a second; as fast as they are taken without.
    pub rate: Option<f64>,
}

/// Reads the options of `[input] type = "sample"`.
pub fn read_options(section: &mut Section) -> SampleOptions {
    let count = section.integer_in("count", 0..=i64::MAX).map(i64::cast_unsigned);
    let seed = section.integer("seed").unwrap_or(0).cast_unsigned();
    let rate = section.number("rate");
    if rate.is_some_and(|rate| !(0.001..=1e9).contains(&rate)) {
        section.problem("rate", "`rate` is out of range", "write lines a second, such as 100");
    }
    SampleOptions { count, seed, rate }
}

/// Opens the input.
///
/// # Errors
/// Never: it needs nothing.
pub fn open(options: SampleOptions, context: InputContext) -> Result<impl Input + use<>> {
    let counters = Arc::new(InputCounters::default());
    let (maker, _) = EventMaker::new(&context, &[], counters.clone());
    let lines = lines(options.seed);
    Ok(Sample { options, context, maker, counters, lines, made: 0, since: None })
}

struct Sample {
    options: SampleOptions,
    context: InputContext,
    maker: EventMaker,
    counters: Arc<InputCounters>,
    lines: SampleLines,
    made: u64,
    /// When the first line was asked for: `rate` counts from here.
    since: Option<Instant>,
}

impl Input for Sample {
    fn next(&mut self) -> BoxFuture<'_, Result<Option<Read>>> {
        Box::pin(self.next_batch())
    }

    fn counters(&self) -> Arc<InputCounters> {
        self.counters.clone()
    }
}

impl Sample {
    async fn next_batch(&mut self) -> Result<Option<Read>> {
        let left = self.options.count.map_or(u64::MAX, |count| count - self.made);
        let full = left.min(self.context.batch_size as u64);
        if full == 0 || self.context.stop.is_cancelled() {
            return Ok(None);
        }
        let Some(count) = self.wait_for_rate(full).await else { return Ok(None) };
        let mut text = String::with_capacity(128 * count as usize);
        let mut messages = Vec::with_capacity(count as usize);
        for _ in 0..count {
            let start = text.len();
            self.lines.write(&mut text);
            messages.push(Cell::text(0, start as u32, (text.len() - start) as u32));
        }
        self.made += count;
        let mut events = self.maker.events(text, messages, now());
        self.maker.decorate(&mut events);
        Ok(Some(Read { events, position: Position::default() }))
    }

    /// How many lines are due, up to `full`; waits for one, and then for `batch_delay` at most. `None` on a stop.
    async fn wait_for_rate(&mut self, full: u64) -> Option<u64> {
        let Some(rate) = self.options.rate else { return Some(full) };
        let since = *self.since.get_or_insert_with(Instant::now);
        let due_at = |line: u64| since + Duration::from_secs_f64(line as f64 / rate);
        let first = due_at(self.made).max(Instant::now());
        let until = due_at(self.made + full - 1).min(first + self.context.batch_delay);
        tokio::select! {
            () = self.context.stop.cancelled() => return None,
            () = tokio::time::sleep_until(until.into()) => {}
        }
        let due = (since.elapsed().as_secs_f64() * rate) as u64 + 1;
        Some(due.saturating_sub(self.made).clamp(1, full))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::input::{Codec, testing};

    #[tokio::test]
    async fn as_many_lines_as_asked_for() {
        for rate in [None, Some(1e6)] {
            let options = SampleOptions { count: Some(250), seed: 7, rate };
            let mut input = open(options, testing::context(Codec::Plain)).unwrap();
            let events = testing::all(&mut input, None).await;
            assert_eq!(testing::messages(&events), lines(7).take(250).collect::<Vec<_>>());
        }
    }

    #[tokio::test]
    async fn a_stop_ends_an_endless_input() {
        for rate in [None, Some(0.001)] {
            let context = testing::context(Codec::Plain);
            let stop = context.stop.clone();
            let mut input = open(SampleOptions { rate, ..SampleOptions::default() }, context).unwrap();
            assert!(testing::next(&mut input, None).await.is_some());
            stop.cancel();
            assert_eq!(testing::next(&mut input, None).await, None);
        }
    }

    #[test]
    fn mistakes_are_told() {
        let mut section = Section::parse("count = -1\nrate = 0");
        read_options(&mut section);
        assert_eq!(section.into_problems().len(), 2);
    }
}
