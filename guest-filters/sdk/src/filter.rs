//! What a filter is: the trait that its author writes, and what it says of an event.

use crate::event::Event;
use crate::events::Events;
use crate::options::{OptionDescription, Options};
use crate::plan::Plan;
use crate::problems::Problems;

/// A filter. Only `configure` and `filter` must be written.
pub trait Filter: Sized + 'static {
    /// What `use = "…"` calls it: lower case, words joined by dashes.
    const NAME: &'static str;
    /// Its version; mostly `env!("CARGO_PKG_VERSION")`.
    const VERSION: &'static str;
    /// What it does, in one line.
    const SUMMARY: &'static str;
    /// Its page in the manual, Markdown: [`crate::manual!`] takes it from the `//!` lines at the head of the filter's `lib.rs`.
    const MANUAL: &'static str = "";
    /// The options it knows. Others are refused before `configure` is called.
    const OPTIONS: &'static [OptionDescription];
    /// The version of what [`Filter::save`] answers.
    const STATE_VERSION: u32 = 0;

    /// Makes the filter from its options, which are known, of the right types and complete by now, and declares in
    /// `plan` what it reads and writes.
    ///
    /// # Errors
    /// Everything that is wrong with the options, at once.
    fn configure(options: &Options, plan: &mut Plan) -> Result<Self, Problems>;

    /// Does the work on one event.
    ///
    /// # Errors
    /// If the filter could not do its work: the pipeline's `on_error` decides. What was set before stays set.
    fn filter(&mut self, event: &mut Event<'_>) -> Result<Outcome, Failure>;

    /// One step of the work, for filters that declare several with [`Plan::steps`]: every event of a batch goes through
    /// step 0, then the common options run, then every event goes through step 1.
    ///
    /// # Errors
    /// As for `filter`.
    fn filter_step(&mut self, step: u32, event: &mut Event<'_>) -> Result<Outcome, Failure> {
        let _ = step;
        self.filter(event)
    }

    /// One step of the work on a whole batch, for filters that work by column.
    fn filter_batch(&mut self, step: u32, events: &mut Events<'_>) {
        events.for_each(|event| self.filter_step(step, event));
    }

    /// What to keep over a swap or a clean stop.
    fn save(&self) -> Vec<u8> {
        Vec::new()
    }

    /// Takes over what `save` answered; called after `configure`.
    ///
    /// # Errors
    /// If this state cannot be taken over; the message says why.
    fn restore(&mut self, state_version: u32, state: &[u8]) -> Result<(), String> {
        let _ = (state_version, state);
        Ok(())
    }
}

/// What became of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The filter did its work: `add_field` and the other common options run.
    Matched,
    /// The event was none of its business.
    Ignored,
    /// It did what it could, and tags that were added with [`Event::tag`] say what not. Not an error.
    Tagged,
}

/// The filter could not do its work on an event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure(Box<FailureParts>);

#[derive(Clone, Debug, PartialEq, Eq)]
struct FailureParts {
    reason: String,
    tags: Option<Vec<String>>,
}

impl Failure {
    /// A failure with its reason, in lower case. The event gets the plan's failure tags, unless [`Failure::tags`] says
    /// otherwise. Rows are counted by reason, so a reason should not quote the event's values.
    pub fn new(reason: impl Into<String>) -> Self {
        Failure(Box::new(FailureParts { reason: reason.into(), tags: None }))
    }

    /// These tags instead of the plan's failure tags; the event's own ones are not repeated.
    #[must_use]
    pub fn tags(mut self, tags: &[String]) -> Self {
        self.0.tags = Some(tags.to_vec());
        self
    }

    /// Why.
    pub fn reason(&self) -> &str {
        &self.0.reason
    }

    /// The tags of [`Failure::tags`], if it was called.
    pub fn own_tags(&self) -> Option<&[String]> {
        self.0.tags.as_deref()
    }
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0.reason)
    }
}

impl std::error::Error for Failure {}
