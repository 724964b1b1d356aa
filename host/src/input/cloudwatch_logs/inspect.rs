//! What the service holds, asked beside the reader and without its book-keeping: the same client, credentials, budget of
//! requests, filter pattern and groups, but any span of time, as often as one likes. Nothing is remembered of it.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail};

use super::budget::share;
use super::client::{Question, Refusal, Service};
use super::counters::CloudwatchCounters;
use super::options::CloudwatchLogsOptions;
use super::page::{InspectedBatch, PageMaker, PageSource};
use crate::event::Identity;
use crate::input::InputContext;

/// How often a request is made before it is given up: the waits between come to half a minute.
const TRIES: u32 = 7;

/// Asks the service for an input.
pub(crate) struct Inspector {
    options: CloudwatchLogsOptions,
    service: Service,
    maker: Arc<PageMaker>,
}

/// A log group.
pub(crate) struct InspectedGroup {
    /// Its name, or its ARN, as the pipeline file has it.
    pub(crate) name: String,
    source: Arc<PageSource>,
}

impl InspectedGroup {
    /// What stands for it in the identity of its events.
    pub(crate) fn source(&self) -> &str {
        &self.source.source
    }
}

/// The reading of one span of time of a group, a page after the other.
pub(crate) struct Inspection<'i> {
    inspector: &'i Inspector,
    group: &'i InspectedGroup,
    question: Question,
    ended: bool,
    /// The latest time read, and the events of it: where a reading goes on whose token the service takes no longer.
    last: i64,
    at_last: HashSet<Identity>,
    in_order: bool,
}

impl Inspector {
    /// Finds credentials.
    ///
    /// # Errors
    /// Without any.
    pub(crate) async fn open(options: CloudwatchLogsOptions, context: &InputContext) -> Result<Self> {
        let service = Service::new(&options).await?;
        let counters = Arc::new(CloudwatchCounters::default());
        let maker = Arc::new(PageMaker::new(context, Arc::default(), counters)?);
        Ok(Inspector { options, service, maker })
    }

    /// The log groups that the input reads.
    ///
    /// # Errors
    /// When those of a prefix cannot be listed.
    pub(crate) async fn groups(&self) -> Result<Vec<InspectedGroup>> {
        let mut names: Vec<String> = Vec::new();
        if self.options.log_group_prefix {
            for prefix in &self.options.log_group {
                let mut tries = 0;
                names.extend(loop {
                    match self.service.groups(prefix, || {}).await {
                        Ok(found) => break found,
                        Err(refusal) => wait_after(&mut tries, refusal).await.with_context(|| {
                            format!("cannot list the log groups that begin with {prefix}")
                        })?,
                    }
                });
            }
        } else {
            names.clone_from(&self.options.log_group);
        }
        names.sort();
        names.dedup();
        let group = |name: String| {
            let source = PageSource::new(&name, self.options.source_of(&name));
            InspectedGroup { name, source: Arc::new(source) }
        };
        Ok(names.into_iter().map(group).collect())
    }

    /// Begins to read events from `from` up to but not including `to`, in milliseconds since 1970.
    pub(crate) fn inspect<'i>(&'i self, group: &'i InspectedGroup, from: i64, to: i64) -> Inspection<'i> {
        let question = Question { group: group.name.clone(), start: from, end: to - 1, token: None };
        Inspection {
            inspector: self,
            group,
            question,
            ended: false,
            last: from,
            at_last: HashSet::new(),
            in_order: true,
        }
    }
}

impl Inspection<'_> {
    /// The next page, in batches; `None` after the last. A page may be empty and not the last one.
    ///
    /// # Errors
    /// When the service does not answer, or refuses. A group that is not there has no events.
    pub(crate) async fn next(&mut self) -> Result<Option<Vec<InspectedBatch>>> {
        let mut tries = 0;
        while !self.ended {
            match self.inspector.service.page(&self.question, share(None)).await {
                Ok(page) => {
                    // A token that leads to itself leads nowhere.
                    self.ended =
                        page.token.is_none() || (page.token == self.question.token && page.events.is_empty());
                    self.question.token = page.token;
                    let (maker, source) = (self.inspector.maker.clone(), self.group.source.clone());
                    let inspect = move || maker.inspect(&source, &page.events);
                    let batches =
                        tokio::task::spawn_blocking(inspect).await.context("reading a page broke off")?;
                    return Ok(Some(batches.into_iter().filter_map(|batch| self.new_in(batch)).collect()));
                }
                Err(Refusal::NotFound) if self.inspector.options.log_group_prefix => self.ended = true,
                Err(Refusal::Token) if self.in_order => {
                    tries += 1;
                    if tries > TRIES {
                        bail!("log group {}: the service refuses the tokens that it gives", self.group.name);
                    }
                    (self.question.start, self.question.token) = (self.last, None);
                }
                Err(refusal) => wait_after(&mut tries, refusal)
                    .await
                    .with_context(|| format!("log group {} cannot be read", self.group.name))?,
            }
        }
        Ok(None)
    }

    /// Leaves out what was read before the token was refused.
    fn new_in(&mut self, batch: InspectedBatch) -> Option<InspectedBatch> {
        let mut rows = Vec::with_capacity(batch.times.len());
        for (row, time) in batch.times.iter().enumerate() {
            if *time > self.last {
                self.last = *time;
                self.at_last.clear();
            }
            self.in_order &= *time == self.last;
            if *time != self.last || self.at_last.insert(batch.events.identity(row)) {
                rows.push(row);
            }
        }
        match rows.len() {
            0 => None,
            all if all == batch.times.len() => Some(batch),
            _ => {
                let time = |row: &usize| batch.times.get(*row).copied().unwrap_or_default();
                let event_id = |row: &usize| batch.event_ids.get(*row).cloned().unwrap_or_default();
                Some(InspectedBatch {
                    times: rows.iter().map(time).collect(),
                    event_ids: rows.iter().map(event_id).collect(),
                    events: batch.events.select(&rows),
                })
            }
        }
    }
}

/// Waits before another try.
///
/// # Errors
/// When it was the last one, or there is no use in another.
async fn wait_after(tries: &mut u32, refusal: Refusal) -> Result<()> {
    *tries += 1;
    let reason = match refusal {
        Refusal::NotFound => bail!("there is no such log group; name it as the service shows it"),
        Refusal::Lasting(reason) => bail!("{reason}"),
        Refusal::Throttled => "the service is asked too often".to_owned(),
        Refusal::Token => "the service takes the token no longer, and its events are in no order".to_owned(),
        Refusal::Passing(reason) => reason,
    };
    if *tries >= TRIES {
        bail!("{reason}");
    }
    tracing::info!(reason, "asking CloudWatch Logs again");
    tokio::time::sleep(Duration::from_millis(250) * 2_u32.pow(tries.saturating_sub(1))).await;
    Ok(())
}
