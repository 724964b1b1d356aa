//! The output to Elasticsearch (7.0 to 9) and OpenSearch (1 to 3). A batch becomes bulk requests; each item's status decides
//! for that event alone, and whatever can be tried again is, without end. Nothing is dropped but by a rule of the user's.

mod actions;
mod auth;
mod body;
#[cfg(test)]
mod body_tests;
mod client;
mod data_stream;
#[cfg(test)]
mod fault_tests;
mod foreign;
mod hosts;
pub mod lookup;
mod options;
mod response;
mod server;

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::{Context, Result};
use futures::FutureExt;
use futures::future::BoxFuture;
use reqwest::Method;
use serde_json::Value as Json;
use tokio::sync::OnceCell;

use self::body::{Bulk, BulkBody};
use self::client::{Answer, Client};
use self::response::{Outcome, parse_answer, stored_all};
use self::server::{IndexTemplate, Server, find_server, put_template, read_index_template};
use super::retry::Retry;
use super::{Delivery, NotAcknowledged, Output, OutputContext, Rendered};
use crate::counts::reason_word;
use crate::event::Batch;

pub use options::{ElasticsearchOptions, read_options};

/// What the action line of each event says, by the names that options have (`index`, `document_id`); for a server of
/// version 8.
pub(super) fn preview(options: &ElasticsearchOptions, batch: &Batch) -> Vec<Rendered> {
    body::preview(&options.actions, &Server { is_opensearch: false, version: (8, 0) }, batch)
}

/// Opens the output: reads its files and finds its credentials, and begins to look for the server, which may come later.
///
/// # Errors
/// When a file cannot be read, or there are no AWS credentials.
pub async fn open(options: ElasticsearchOptions, context: OutputContext) -> Result<Box<dyn Output>> {
    let mut template = None;
    if let Some(file) = options.template.file.clone() {
        let name = options.template.name.clone().unwrap_or_else(|| context.pipeline.clone());
        let (api, overwrite) = (options.template.api, options.template.overwrite);
        let root_path = options.hosts.root_path.clone();
        let read = move || read_index_template(&file, &name, api, overwrite, &root_path);
        template = Some(tokio::task::spawn_blocking(read).await.context("reading the template broke")??);
    }
    let client = Arc::new(Client::open(&context.name, &options).await?);
    tokio::spawn(client::resurrect(Arc::downgrade(&client), options.resurrect_delay, context.stop.clone()));
    let output = Arc::new(Elasticsearch {
        options,
        context,
        client,
        template,
        server: OnceCell::new(),
        event_bytes: AtomicUsize::new(FIRST_EVENT_BYTES),
    });
    // Asked for at once, so that a server that is not there is told of before the first event comes.
    let early = output.clone();
    tokio::spawn(async move {
        let stop = early.context.stop.clone();
        tokio::select! {
            // An error comes again with the first batch, and ends the run then.
            found = early.server() => if let Err(error) = found {
                tracing::warn!(output = early.context.name, "{error:#}");
            },
            () = stop.cancelled() => {}
        }
    });
    Ok(Box::new(Handle(output)))
}

struct Handle(Arc<Elasticsearch>);

struct Elasticsearch {
    options: ElasticsearchOptions,
    context: OutputContext,
    client: Arc<Client>,
    template: Option<IndexTemplate>,
    server: OnceCell<Server>,
    /// About how many bytes of a body an event takes, as the last batch had it.
    event_bytes: AtomicUsize,
}

/// The same before the first batch.
const FIRST_EVENT_BYTES: usize = 512;

impl Output for Handle {
    fn send(&self, events: Arc<Batch>) -> BoxFuture<'_, Result<Delivery>> {
        let output = self.0.clone();
        async move {
            let stop = output.context.stop.clone();
            tokio::select! {
                delivery = output.deliver(events) => delivery,
                () = stop.cancelled() => Err(NotAcknowledged { reason: "an answer of the server".to_owned() }.into()),
            }
        }
        .boxed()
    }

    fn close(&self) -> BoxFuture<'_, Result<()>> {
        async { Ok(()) }.boxed()
    }
}

/// What became of one request.
enum Step {
    /// Its events are stored or set aside, all but these.
    Rest(Option<(BulkBody, String)>),
    /// It is to be sent again as two.
    Halve,
    /// It is to be sent again as it is.
    Again(String),
    /// It is to be sent again uncompressed.
    Plain,
}

impl Elasticsearch {
    fn retry(&self) -> Retry<'_> {
        Retry::new(&self.context.name, self.options.waits, &self.context.waiting, &self.context.stop)
    }

    /// The server, with the template in it. The first to ask waits for it, and all others with it.
    async fn server(&self) -> Result<&Server> {
        let find = async || {
            let mut retry = self.retry();
            let server = if self.options.is_serverless() {
                // A serverless collection does not say what it is.
                Server { is_opensearch: true, version: (2, 0) }
            } else {
                find_server(&self.client, &self.options.hosts.root_path, &mut retry).await?
            };
            if let Some(template) = &self.template {
                put_template(&self.client, &server, template, &mut retry).await?;
            }
            let kind = if server.is_opensearch { "OpenSearch" } else { "Elasticsearch" };
            let (major, minor) = server.version;
            tracing::info!(
                output = self.context.name,
                servers = self.client.servers(),
                "writes to {kind} {major}.{minor}"
            );
            Ok(server)
        };
        self.server.get_or_try_init(find).await
    }

    async fn deliver(self: Arc<Self>, events: Arc<Batch>) -> Result<Delivery> {
        let mut delivery = Delivery::default();
        if events.rows() == 0 {
            return Ok(delivery);
        }
        let server = self.server().await?.clone();
        let (this, batch) = (self.clone(), events.clone());
        let build = move || {
            let expected = this.event_bytes.load(Ordering::Relaxed).saturating_mul(batch.rows());
            let bulk = body::build(&this.options.actions, &server, &batch, this.options.bulk_bytes, expected);
            let bytes: usize = bulk.requests.iter().map(BulkBody::len).sum();
            // A little more, so that the next batch's body need not grow.
            this.event_bytes.store(bytes / batch.rows() * 17 / 16 + 1, Ordering::Relaxed);
            bulk
        };
        let Bulk { requests, rejected } =
            tokio::task::spawn_blocking(build).await.context("making a bulk body broke")?;
        delivery += self.context.set_aside(&events, rejected).await?;
        // One after the other: events of one id stay in their order.
        for request in requests {
            delivery += self.deliver_request(&events, request).await?;
        }
        Ok(delivery)
    }

    async fn deliver_request(self: &Arc<Self>, events: &Arc<Batch>, request: BulkBody) -> Result<Delivery> {
        let mut delivery = Delivery::default();
        let mut retry = self.retry();
        let mut pending = VecDeque::from([request]);
        let mut level = self.options.compression_level;
        while let Some(request) = pending.pop_front() {
            match self.try_request(events, &request, level, &mut delivery).await? {
                Step::Rest(None) => {}
                Step::Rest(Some((rest, reason))) => {
                    retry.wait(&reason).await?;
                    pending.push_front(rest);
                }
                Step::Halve => {
                    let (first, second) = request.items.split_at(request.items.len() / 2);
                    pending.push_front(request.part(second));
                    pending.push_front(request.part(first));
                }
                Step::Again(reason) => {
                    retry.wait(&reason).await?;
                    pending.push_front(request);
                }
                Step::Plain => {
                    level = 0;
                    pending.push_front(request);
                    continue;
                }
            }
            level = self.options.compression_level;
        }
        Ok(delivery)
    }

    async fn try_request(
        self: &Arc<Self>,
        events: &Arc<Batch>,
        request: &BulkBody,
        level: u32,
        delivery: &mut Delivery,
    ) -> Result<Step> {
        let (body, with_hash) = (request.clone(), self.client.signs());
        let payload = if level == 0 && !with_hash {
            body.payload(level, with_hash)
        } else {
            let pack = move || body.payload(level, with_hash);
            tokio::task::spawn_blocking(pack).await.context("compressing a bulk body broke")?
        };
        let answer = match self.client.request(Method::POST, &self.options.hosts.bulk_path, &payload).await {
            Ok(answer) => answer,
            Err(error) => return Ok(Step::Again(format!("{error:#}"))),
        };
        if !answer.is_success() {
            // A request is refused whole for its size, or for one bad event in it: halves find the event.
            let is_for_an_event = answer.status == 413 || (answer.status == 400 && has_typed_error(&answer));
            return match request.items[..] {
                // Perhaps it is not the event, but gzip that something on the way does not get along with.
                [_] if is_for_an_event && level > 0 => Ok(Step::Plain),
                [item] if is_for_an_event => {
                    let reason = answer.problem();
                    *delivery += self.context.set_aside(events, vec![(item.row, reason)]).await?;
                    Ok(Step::Rest(None))
                }
                _ if is_for_an_event => Ok(Step::Halve),
                _ => Ok(Step::Again(answer.problem())),
            };
        }
        if stored_all(&answer.body, request.items.len()) {
            delivery.delivered += request.items.len() as u64;
            return Ok(Step::Rest(None));
        }
        let items = match parse_answer(&answer.body, request.items.len()) {
            Ok(items) => items,
            Err(problem) => {
                return Ok(Step::Again(format!("{}: {problem}; the request is sent again", answer.from)));
            }
        };
        let mut rejected = Vec::new();
        let mut again = Vec::new();
        let mut reason = String::new();
        for (sent, item) in request.items.iter().zip(&items) {
            match self.options.outcomes.outcome(sent.sent, item) {
                Outcome::Delivered => delivery.delivered += 1,
                Outcome::Dropped => {
                    delivery.dropped += 1;
                    self.context.count_dropped(&reason_word(&item.reason()), 1);
                    if self.options.outcomes.logs(item) {
                        tracing::warn!(output = self.context.name, "event dropped: {}", item.reason());
                    }
                }
                Outcome::DeadLetter => rejected.push((sent.row, item.reason())),
                Outcome::Retry => {
                    if again.is_empty() {
                        reason = item.reason();
                    }
                    again.push(*sent);
                }
            }
        }
        *delivery += self.context.set_aside(events, rejected).await?;
        if again.is_empty() {
            return Ok(Step::Rest(None));
        }
        let reason = format!("{}: {} of {} events: {reason}", answer.from, again.len(), items.len());
        Ok(Step::Rest(Some((request.part(&again), reason))))
    }
}

/// Whether an answer is Elasticsearch's own word on the request, not that of a proxy before it.
fn has_typed_error(answer: &Answer) -> bool {
    serde_json::from_slice::<Json>(&answer.body).is_ok_and(|json| json["error"]["type"].is_string())
}
