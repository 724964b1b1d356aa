//! The groups together: whose turn it is to be asked, pages that come back, errors that are one group's own affair, and
//! the batches that are ready. One request of a group is under way at a time; its next page is fetched while the batches
//! of the last one are on their way. Groups share the requests by their lag. What is held in memory is bounded: the pages
//! that came back and the batches of one.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow};
use futures::future::BoxFuture;
use serde_json::json;
use tokio::task::JoinSet;

use super::budget::share;
use super::client::{Page, Question, Refusal, Service};
use super::counters::{CloudwatchCounters, GroupFigures};
use super::group::{Group, Next, Pace};
use super::options::{CloudwatchLogsOptions, StartPosition};
use super::page::{PageMaker, PageSource, group_name};
use super::recorded::{group_key, windows_in};
use super::seen::SeenIds;
use super::windows::Windows;
use crate::input::{Input, InputContext, InputCounters, Read};

/// Requests under way at a time: each may bring a page of a megabyte.
pub(super) const REQUESTS_AT_A_TIME: usize = 4;
/// Of those, groups that failed the last time may have so many: a group that does not answer holds no other.
const REQUESTS_OF_FAILING_GROUPS: usize = 2;
/// The longest wait between tries.
const LONGEST_WAIT: Duration = Duration::from_secs(60);
/// Groups of a prefix are listed no more often than this.
const LIST_INTERVAL: Duration = Duration::from_secs(60);
/// How long the end of a failed run waits for what was read to be delivered.
const LAST_COMMIT_LIMIT: Duration = Duration::from_secs(60);

/// What the input goes by in time.
#[derive(Clone)]
pub struct Timing {
    /// Milliseconds since 1970.
    pub clock: Arc<dyn Fn() -> i64 + Send + Sync>,
    /// The wait after a first failure.
    pub first_wait: Duration,
}

impl Timing {
    /// The machine's clock, and half a second.
    pub fn real() -> Self {
        Timing {
            clock: Arc::new(|| chrono::Utc::now().timestamp_millis()),
            first_wait: Duration::from_millis(500),
        }
    }
}

/// The open input.
pub(super) struct Reader {
    options: CloudwatchLogsOptions,
    context: InputContext,
    timing: Timing,
    service: Arc<Service>,
    maker: Arc<PageMaker>,
    seen: Arc<Mutex<SeenIds>>,
    of_input: Arc<InputCounters>,
    counters: Arc<CloudwatchCounters>,
    /// First positions from a Logstash file.
    sincedb: HashMap<String, i64>,
    groups: Vec<TrackedGroup>,
    requests: JoinSet<Answer>,
    /// With prefixes: when the groups are listed next.
    listing: Listing,
    ready: VecDeque<Read>,
    /// The place of the group that was asked last: see [`TrackedGroup::place`].
    place: f64,
    /// In a run that reads once: why groups could not be read.
    errors: Vec<String>,
}

struct TrackedGroup {
    name: String,
    source: Arc<PageSource>,
    state: Group,
    /// Where the first run began; what is older was never asked for. The first ledgers do not say it.
    from: Option<i64>,
    is_asked: bool,
    /// Grows with every question, less for a group with a larger share: the group with the smallest is next.
    place: f64,
}

/// The list of groups with a prefix.
struct Listing {
    due: Option<Instant>,
    is_asked: bool,
    failures: u32,
    is_first: bool,
}

/// What came of a request.
enum Answer {
    Page(usize, Result<Page, Refusal>),
    Groups(Result<Vec<String>, Refusal>),
}

impl Input for Reader {
    fn next(&mut self) -> BoxFuture<'_, Result<Option<Read>>> {
        Box::pin(self.next_batch())
    }

    fn counters(&self) -> Arc<InputCounters> {
        self.of_input.clone()
    }
}

impl Reader {
    pub(super) async fn open(
        options: CloudwatchLogsOptions,
        context: InputContext,
        service: Service,
        timing: Timing,
    ) -> Result<Self> {
        let counters = Arc::new(CloudwatchCounters::new(context.ledger.clone().at_once()));
        counters.set_rate(service.rate());
        let of_input = InputCounters { cloudwatch_logs: Some(counters.clone()), ..InputCounters::default() };
        let of_input = Arc::new(of_input);
        let maker = Arc::new(PageMaker::new(&context, of_input.clone(), counters.clone())?);
        let ledger = context.ledger.clone();
        let sincedb_path = options.sincedb_path.clone();
        let read = move || -> Result<_> {
            let sincedb = sincedb_path.map(|path| super::sincedb::read(&path)).transpose()?;
            Ok((SeenIds::open(ledger)?, sincedb.unwrap_or_default()))
        };
        let (seen, sincedb) =
            tokio::task::spawn_blocking(read).await.context("reading the ledger broke off")??;
        let first_listing = options.log_group_prefix.then(Instant::now);
        let mut reader = Reader {
            options,
            context,
            timing,
            service: Arc::new(service),
            maker,
            seen: Arc::new(Mutex::new(seen)),
            of_input,
            counters,
            sincedb,
            groups: Vec::new(),
            requests: JoinSet::new(),
            listing: Listing { due: first_listing, is_asked: false, failures: 0, is_first: true },
            ready: VecDeque::new(),
            place: 0.0,
            errors: Vec::new(),
        };
        if !reader.options.log_group_prefix {
            reader.add_groups(reader.options.log_group.clone(), true).await?;
        }
        Ok(reader)
    }

    /// Lists the groups of a prefix at the next step.
    #[cfg(test)]
    pub(super) fn list_soon(&mut self) {
        self.listing.due = Some(Instant::now());
    }

    async fn next_batch(&mut self) -> Result<Option<Read>> {
        loop {
            if self.context.stop.is_cancelled() {
                return Ok(None);
            }
            let wake = self.start_requests();
            if let Some(read) = self.ready.pop_front() {
                self.counters.release(read.events.rows());
                return Ok(Some(read));
            }
            if self.requests.is_empty() && wake.is_none() {
                return self.end().await;
            }
            tokio::select! {
                biased;
                () = self.context.stop.cancelled() => return Ok(None),
                Some(answer) = self.requests.join_next() => {
                    match answer.context("a request to CloudWatch Logs broke off")? {
                        Answer::Page(group, Ok(page)) => self.take_page(group, page).await?,
                        Answer::Page(group, Err(refusal)) => self.take_refusal(group, refusal),
                        Answer::Groups(answer) => self.take_groups(answer).await?,
                    }
                }
                () = sleep_until(wake) => {}
            }
        }
    }

    /// Asks for what is due, as far as requests may be under way. Answers when something else will be.
    fn start_requests(&mut self) -> Option<Instant> {
        let now = Instant::now();
        if self.listing.due.is_some_and(|due| due <= now) && !self.listing.is_asked {
            self.listing.is_asked = true;
            let (service, prefixes) = (self.service.clone(), self.options.log_group.clone());
            let counters = self.counters.clone();
            self.requests
                .spawn(async move { Answer::Groups(list_groups(&service, &prefixes, &counters).await) });
        }
        while self.requests.len() < REQUESTS_AT_A_TIME {
            let is_failing = |group: &&mut TrackedGroup| group.state.failures > 0;
            let failing = self.groups.iter_mut().filter(|group| group.is_asked).filter(is_failing).count();
            let may_be_asked = |group: &TrackedGroup| {
                let is_due = !group.is_asked && !group.state.ended && group.state.due() <= now;
                is_due && (group.state.failures == 0 || failing < REQUESTS_OF_FAILING_GROUPS)
            };
            let due = self.groups.iter_mut().enumerate().filter(|(_, group)| may_be_asked(group));
            let Some((index, group)) = due.min_by(|(_, one), (_, other)| one.place.total_cmp(&other.place))
            else {
                break;
            };
            let clock = (self.timing.clock)();
            let share = share(group.state.lag(clock));
            self.place = self.place.max(group.place);
            group.place = self.place + 1.0 / share;
            group.is_asked = true;
            let run = group.state.run(clock);
            let question = Question {
                group: group.name.clone(),
                start: run.start,
                end: run.end,
                token: run.token.clone(),
            };
            let (service, counters) = (self.service.clone(), self.counters.clone());
            counters.requests.fetch_add(1, Ordering::Relaxed);
            self.requests.spawn(async move {
                let page = service.page(&question, share).await;
                counters.set_rate(service.rate());
                counters.hold(page.as_ref().map_or(0, |page| page.events.len()));
                Answer::Page(index, page)
            });
        }
        if self.requests.len() >= REQUESTS_AT_A_TIME {
            // An answer is next, whatever is due.
            return None;
        }
        let groups = self.groups.iter().filter(|group| !group.is_asked && !group.state.ended);
        let listing = self.listing.due.filter(|_| !self.listing.is_asked);
        groups.map(|group| group.state.due()).filter(|due| *due > now).chain(listing).min()
    }

    async fn take_page(&mut self, index: usize, page: Page) -> Result<()> {
        let Some(group) = self.groups.get_mut(index) else { return Ok(()) };
        group.is_asked = false;
        let (maker, seen, source) = (self.maker.clone(), self.seen.clone(), group.source.clone());
        let Page { events, token } = page;
        let read =
            move || maker.read(&source, events, &mut seen.lock().unwrap_or_else(PoisonError::into_inner));
        let (reads, summary) =
            tokio::task::spawn_blocking(read).await.context("reading a page broke off")??;
        self.ready.extend(reads);
        let Some(group) = self.groups.get_mut(index) else { return Ok(()) };
        let clock = (self.timing.clock)();
        let next = group.state.page(summary, token, clock);
        let Windows { closed_to, settling_to } = group.state.windows;
        self.counters.set_group(
            &group.source.log_group,
            GroupFigures {
                windows: group.state.window_counts(clock),
                lag_seconds: group.state.lag(clock).map(|lag| lag as f64 / 1000.0),
                closed_in_order: closed_to <= settling_to,
            },
        );
        if next == Next::Closed && group.state.is_worth_noting() {
            self.note_windows(index);
        }
        Ok(())
    }

    /// The windows go to the ledger with the batch that was read last, so after all that was read before.
    fn note_windows(&mut self, index: usize) {
        let Some(group) = self.groups.get_mut(index) else { return };
        let Windows { closed_to, settling_to } = group.state.note();
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let forgotten = seen.forget(group.source.key, closed_to);
        self.counters.ids_in_memory.store(seen.held() as u64, Ordering::Relaxed);
        let note = json!({
            "log_group": group.source.log_group, "source": group.source.source,
            "closed_to": closed_to, "settling_to": settling_to, "from": group.from,
        });
        let put = (group_key(group.source.key), note.to_string().into_bytes());
        let position = match self.ready.back_mut() {
            Some(read) => &mut read.position,
            None => {
                let position = seen.position(group.source.key, &[]);
                self.counters.handed_on(seen.sequence(), 0);
                self.ready.push_back(Read { events: self.maker.no_events(), position });
                match self.ready.back_mut() {
                    Some(read) => &mut read.position,
                    None => return,
                }
            }
        };
        position.removes.push(forgotten);
        position.puts.push(put);
    }

    fn take_refusal(&mut self, index: usize, refusal: Refusal) {
        let Some(group) = self.groups.get_mut(index) else { return };
        group.is_asked = false;
        let name = &group.name;
        let reason = match refusal {
            Refusal::Throttled => {
                self.counters.throttled.fetch_add(1, Ordering::Relaxed);
                let requests_per_second = self.service.rate();
                tracing::warn!(
                    log_group = name,
                    requests_per_second,
                    "CloudWatch Logs asks for fewer requests: all that share this account and region are slower for a while"
                );
                return;
            }
            Refusal::Token => {
                tracing::info!(
                    log_group = name,
                    "the service no longer takes the token of this reading: it goes on anew"
                );
                self.counters.expired_tokens.fetch_add(1, Ordering::Relaxed);
                if group.state.token_refused() {
                    return;
                }
                "the service refuses the tokens that it gives".to_owned()
            }
            Refusal::Passing(reason) => reason,
            Refusal::NotFound if self.options.log_group_prefix => {
                tracing::info!(log_group = name, "the log group was deleted");
                group.state.ended = true;
                return;
            }
            Refusal::NotFound => {
                let region = &self.options.region;
                let reason =
                    format!("there is no such log group in {region}; name it as the service shows it");
                if self.context.once {
                    self.errors.push(format!("log group {name}: {reason}"));
                    group.state.ended = true;
                    return;
                }
                reason
            }
            Refusal::Lasting(reason) => {
                if self.context.once {
                    self.errors.push(format!("log group {name} cannot be read: {reason}"));
                    group.state.ended = true;
                    return;
                }
                reason
            }
        };
        self.counters.failed_requests.fetch_add(1, Ordering::Relaxed);
        group.state.failures = group.state.failures.saturating_add(1);
        let wait = wait_after(group.state.failures, self.timing.first_wait);
        group.state.hold(Instant::now() + wait);
        tracing::warn!(
            log_group = name,
            reason,
            ?wait,
            "the log group cannot be read now: it is tried again"
        );
    }

    async fn take_groups(&mut self, answer: Result<Vec<String>, Refusal>) -> Result<()> {
        self.listing.is_asked = false;
        let pause = self.options.interval.max(LIST_INTERVAL);
        match answer {
            Ok(names) => {
                self.listing.failures = 0;
                self.listing.due = (!self.context.once).then(|| Instant::now() + pause);
                if names.is_empty() {
                    let prefixes = self.options.log_group.join(", ");
                    if self.context.once {
                        self.errors
                            .push(format!("no log group in {} begins with {prefixes}", self.options.region));
                    } else {
                        tracing::warn!(prefixes, "no log group begins so");
                    }
                }
                let is_first = std::mem::replace(&mut self.listing.is_first, false);
                self.add_groups(names, is_first).await
            }
            Err(Refusal::Lasting(reason)) if self.context.once => {
                self.errors.push(format!("log groups cannot be listed: {reason}"));
                self.listing.due = None;
                Ok(())
            }
            Err(refusal) => {
                if refusal == Refusal::Throttled {
                    self.counters.throttled.fetch_add(1, Ordering::Relaxed);
                } else {
                    self.counters.failed_requests.fetch_add(1, Ordering::Relaxed);
                }
                self.listing.failures = self.listing.failures.saturating_add(1);
                let wait = wait_after(self.listing.failures, self.timing.first_wait);
                tracing::warn!(reason = ?refusal, ?wait, "the log groups cannot be listed now: it is tried again");
                self.listing.due = Some(Instant::now() + wait);
                Ok(())
            }
        }
    }

    /// Takes up groups that are not read yet. Those that are there at the start begin as `start_position` says, those
    /// that appear later at their beginning.
    async fn add_groups(&mut self, names: Vec<String>, is_first: bool) -> Result<()> {
        let mut known: HashSet<String> = HashSet::new();
        for group in &mut self.groups {
            known.insert(group.name.clone());
            if group.state.ended && !self.context.once && names.contains(&group.name) {
                group.state.revive();
            }
        }
        let sources: Vec<(String, PageSource)> = names
            .into_iter()
            .filter(|name| known.insert(name.clone()))
            .map(|name| {
                let source = self.options.source_of(&name);
                (name.clone(), PageSource::new(&name, source))
            })
            .collect();
        let ledger = self.context.ledger.clone();
        let read = move || -> Result<Vec<_>> {
            let mut found = Vec::with_capacity(sources.len());
            for (name, source) in sources {
                let stored = ledger.get(&group_key(source.key))?;
                let stored =
                    stored.and_then(|bytes| serde_json::from_slice::<serde_json::Value>(&bytes).ok());
                let from = stored.as_ref().and_then(|note| note["from"].as_i64());
                found.push((name, source, stored.and_then(|note| windows_in(&note)), from));
            }
            Ok(found)
        };
        let found = tokio::task::spawn_blocking(read).await.context("reading the ledger broke off")??;
        for (name, source, stored, from) in found {
            let first = || Windows::starting_at(self.first_position(&source.log_group, is_first));
            let windows = stored.unwrap_or_else(first);
            let pace = Pace {
                lookback: self.options.lookback,
                interval: self.options.interval,
                once: self.context.once,
            };
            let state = Group::new(windows, stored.is_some(), pace);
            tracing::info!(log_group = name, from = windows.closed_to, "reading the log group");
            self.groups.push(TrackedGroup {
                name,
                source: Arc::new(source),
                state,
                from: if stored.is_some() { from } else { Some(windows.closed_to) },
                is_asked: false,
                place: self.place,
            });
            if stored.is_none() && windows.closed_to > 0 {
                // The next run begins here too, whatever its clock says.
                self.note_windows(self.groups.len() - 1);
            }
        }
        Ok(())
    }

    fn first_position(&self, group: &str, is_first: bool) -> i64 {
        if let Some(position) = self.sincedb.get(group_name(group)) {
            return *position;
        }
        let now = (self.timing.clock)();
        match self.options.start_position {
            _ if !is_first => 0,
            StartPosition::Beginning => 0,
            StartPosition::End => now,
            StartPosition::SecondsBack(seconds) => {
                let back = i64::try_from(seconds).unwrap_or(i64::MAX).saturating_mul(1000);
                now.saturating_sub(back).max(0)
            }
        }
    }

    /// Everything was read once. What could not be read is told after the rest was delivered.
    async fn end(&mut self) -> Result<Option<Read>> {
        if self.errors.is_empty() {
            return Ok(None);
        }
        let limit = Instant::now() + LAST_COMMIT_LIMIT;
        while Instant::now() < limit && !self.context.stop.is_cancelled() {
            let seen = self.seen.clone();
            let all = move || seen.lock().unwrap_or_else(PoisonError::into_inner).all_committed();
            if tokio::task::spawn_blocking(all).await.context("reading the ledger broke off")?? {
                break;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        Err(anyhow!("{}", self.errors.join("; ")))
    }
}

async fn list_groups(
    service: &Service,
    prefixes: &[String],
    counters: &CloudwatchCounters,
) -> Result<Vec<String>, Refusal> {
    let mut names = Vec::new();
    let asked = || {
        counters.requests.fetch_add(1, Ordering::Relaxed);
    };
    for prefix in prefixes {
        names.extend(service.groups(prefix, asked).await?);
    }
    Ok(names)
}

/// Doubles with every failure, and is never quite the same, so that readers do not come together.
fn wait_after(failures: u32, first: Duration) -> Duration {
    let doubled = first.saturating_mul(1 << failures.saturating_sub(1).min(16));
    doubled.min(LONGEST_WAIT).mul_f64(0.5 + rand::random::<f64>() / 2.0)
}

/// Waits until a time; for ever without one.
async fn sleep_until(time: Option<Instant>) {
    match time {
        Some(time) => tokio::time::sleep_until(time.into()).await,
        None => std::future::pending().await,
    }
}
