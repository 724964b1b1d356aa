//! Looks for documents: which ids are there, and how many documents there are of a span of time. `weir audit` asks. Nothing
//! is written here.
//!
//! Ids are looked for by a search with an `ids` query over the pattern of the output's index names. `_mget` would name the
//! index of each document, which depends on fields that only the filters know, would need the routing too, and does not
//! go through data streams and the aliases of several indices; a search does all that, in the same words on Elasticsearch
//! 7.1 to 9 and on OpenSearch. What it costs is a refresh: a search sees what was refreshed.

use std::collections::HashSet;

use anyhow::{Result, bail};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use reqwest::Method;
use serde_json::{Value as Json, json};

use super::actions::{Action, ActionChoice};
use super::client::{Answer, Client, Payload};
use super::hosts::percent_encoded;
use super::options::ElasticsearchOptions;
use super::server::plain_payload;
use crate::event::Identity;
use crate::output::RetryWaits;

/// Ids in a request.
const IDS: usize = 1000;
/// How often a request is made before it is given up.
const TRIES: u32 = 5;
/// No index is an error, and neither is one that is closed; half an answer is.
const SEARCH: &str = "ignore_unavailable=true&allow_no_indices=true&allow_partial_search_results=false";

/// How an output's documents can be compared with events.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Comparison {
    /// Each by its id.
    ById,
    /// By their number in a span of `@timestamp`.
    ByCount,
    /// Not at all: the output changes or removes documents.
    No,
}

/// An output's server, to be asked.
pub struct Lookup {
    client: Client,
    waits: RetryWaits,
    /// `/<root>/<pattern>`.
    indices: String,
}

/// The document id that Weir makes of an event's identity.
pub fn document_id(identity: Identity) -> String {
    URL_SAFE_NO_PAD.encode(identity.to_be_bytes())
}

/// How the output's documents can be compared.
pub fn comparison(options: &ElasticsearchOptions) -> Comparison {
    match (&options.actions.action, &options.actions.document_id) {
        (ActionChoice::Always(Action::Update | Action::Delete) | ActionChoice::ByTemplate(_), _) => {
            Comparison::No
        }
        (_, Some(_)) => Comparison::ByCount,
        (_, None) => Comparison::ById,
    }
}

impl Lookup {
    /// Prepares to ask; connects to no server.
    ///
    /// # Errors
    /// When a certificate cannot be read, or there are no AWS credentials.
    pub async fn open(name: &str, options: &ElasticsearchOptions) -> Result<Self> {
        let pattern = percent_encoded(&options.actions.index_pattern).replace("%2A", "*");
        Ok(Lookup {
            client: Client::open(name, options).await?,
            waits: options.waits,
            indices: format!("{}{pattern}", options.hosts.root_path),
        })
    }

    /// Makes all that was stored so far visible to the other questions.
    ///
    /// # Errors
    /// When the server does not answer. One that does not let this user refresh is taken as it is: by itself it
    /// refreshes every second.
    pub async fn refresh(&self) -> Result<()> {
        let path = format!("{}/_refresh?ignore_unavailable=true&allow_no_indices=true", self.indices);
        let answer = self.ask(&path, &Json::Null).await?;
        if !answer.is_success() {
            tracing::warn!("the indices cannot be refreshed: {}", answer.problem());
        }
        Ok(())
    }

    /// Which of the ids are there, in whatever index.
    ///
    /// # Errors
    /// When the server does not answer, or not as a search is answered.
    pub async fn stored(&self, ids: &[String]) -> Result<HashSet<String>> {
        let mut found = HashSet::with_capacity(ids.len());
        let mut parts: Vec<&[String]> = ids.chunks(IDS).collect();
        while let Some(part) = parts.pop() {
            // An id may be in several indices: then more documents are found than were asked for.
            let size = part.len() * 2;
            let question = json!({
                "query": {"ids": {"values": part}}, "_source": false, "size": size, "sort": ["_doc"],
            });
            let filter = "filter_path=timed_out,_shards.failed,hits.hits._id";
            let answer = self.json(&format!("{}/_search?{SEARCH}&{filter}", self.indices), &question).await?;
            let hits = answer["hits"]["hits"].as_array().map(Vec::as_slice).unwrap_or_default();
            if hits.len() >= size && part.len() > 1 {
                let (first, second) = part.split_at(part.len() / 2);
                parts.extend([first, second]);
                continue;
            }
            found.extend(hits.iter().filter_map(|hit| hit["_id"].as_str()).map(str::to_owned));
        }
        Ok(found)
    }

    /// How many documents there are whose `@timestamp` lies in a span (milliseconds since 1970, without its end).
    ///
    /// # Errors
    /// As [`Lookup::stored`].
    pub async fn count(&self, from: i64, to: i64) -> Result<u64> {
        let range = json!({"gte": from, "lt": to, "format": "epoch_millis"});
        let question = json!({"query": {"range": {"@timestamp": range}}});
        let path = format!("{}/_count?ignore_unavailable=true&allow_no_indices=true", self.indices);
        let answer = self.json(&path, &question).await?;
        match answer["count"].as_u64() {
            Some(count) => Ok(count),
            None => bail!("{} does not say how many documents there are", self.client.servers()),
        }
    }

    async fn json(&self, path: &str, question: &Json) -> Result<Json> {
        let answer = self.ask(path, question).await?;
        if !answer.is_success() {
            bail!("cannot look for documents: {}", answer.problem());
        }
        let json: Json = serde_json::from_slice(&answer.body).unwrap_or_default();
        let is_whole = json["_shards"]["failed"].as_u64() == Some(0) && json["timed_out"] != true;
        if !is_whole {
            bail!("{} answered a search only in part", answer.from);
        }
        Ok(json)
    }

    /// Asks until there is an answer that does not pass.
    async fn ask(&self, path: &str, question: &Json) -> Result<Answer> {
        let body = if question.is_null() { String::new() } else { question.to_string() };
        let payload: Payload = plain_payload(body.into(), self.client.signs());
        let mut wait = self.waits.initial;
        for tries in 1.. {
            let answer = self.client.request(Method::POST, path, &payload).await;
            let passes = match &answer {
                Ok(answer) => matches!(answer.status, 408 | 429 | 500..),
                Err(_) => true,
            };
            if !passes || tries == TRIES {
                return answer;
            }
            tokio::time::sleep(wait).await;
            wait = self.waits.after(wait);
        }
        bail!("{} was not asked", self.client.servers())
    }
}

#[cfg(test)]
mod tests {
    use weir_test_support::FakeElasticsearch;
    use weir_test_support::elasticsearch::Fault;
    use weir_test_support::http_client::call;

    use super::super::options::read_options;
    use super::*;
    use crate::config::Section;

    fn options(fake: &FakeElasticsearch, more: &str) -> ElasticsearchOptions {
        let text = format!(
            "hosts = [{:?}]\nretry_initial_interval = \"1ms\"\nretry_max_interval = \"4ms\"\n{more}",
            fake.url()
        );
        read_options(&mut Section::parse(&text), "disabled")
    }

    /// Stores documents 0 to `count` in an index, an hour apart.
    async fn store(fake: &FakeElasticsearch, index: &str, count: usize) {
        let mut body = String::new();
        for id in 0..count {
            let time = format!("2020-02-{:02}T{:02}:00:00.000Z", 1 + id / 24 % 28, id % 24);
            let action = json!({"create": {"_index": index, "_id": format!("d{id}")}});
            body.push_str(&format!("{action}\n{}\n", json!({ "@timestamp": time })));
        }
        let headers = [("content-type", "application/x-ndjson")];
        let url = format!("{}/_bulk", fake.url());
        let sent = tokio::task::spawn_blocking(move || call("POST", &url, &headers, body));
        let answer = sent.await.expect("it ends").expect("it answers");
        assert_eq!(answer.status, 200);
    }

    fn ids(range: std::ops::Range<usize>) -> Vec<String> {
        range.map(|id| format!("d{id}")).collect()
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn ids_are_found_in_whatever_index() {
        let fake = FakeElasticsearch::start();
        let lookup = Lookup::open("o", &options(&fake, "index = \"logs-%{[x]}-%{+yyyy}\"")).await.unwrap();
        assert_eq!(lookup.stored(&ids(0..3)).await.unwrap().len(), 0, "there is no index");
        // The same ids in four indices are more documents than a request asks for.
        for index in ["logs-a-2020", "logs-b-2020", "logs-c-2020", "logs-d-2020", "other-a-2020"] {
            store(&fake, index, 1500).await;
        }
        assert_eq!(lookup.stored(&ids(0..3)).await.unwrap().len(), 0, "nothing was refreshed");
        lookup.refresh().await.unwrap();
        let found = lookup.stored(&ids(1..2500)).await.unwrap();
        assert_eq!(found, ids(1..1500).into_iter().collect());
        assert_eq!(lookup.stored(&[]).await.unwrap().len(), 0);
        // From 2020-02-01T01:00 up to but not including 03:00, in four indices.
        assert_eq!(lookup.count(1_580_518_800_000, 1_580_526_000_000).await.unwrap(), 8 * 2 + 8);
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn half_an_answer_is_none() {
        let fake = FakeElasticsearch::start();
        store(&fake, "logs", 3).await;
        let lookup = Lookup::open("o", &options(&fake, "index = \"logs\"")).await.unwrap();
        lookup.refresh().await.unwrap();
        for passing in [Fault::Status(503), Fault::Status(429), Fault::ResetBeforeCommit, Fault::CutBody] {
            fake.faults().other.extend([Some(passing.clone()), Some(passing)]);
            assert_eq!(lookup.stored(&ids(0..9)).await.unwrap().len(), 3);
        }
        for lasting in [
            Fault::Status(401),
            Fault::TruncatedJson,
            Fault::Text("{}"),
            Fault::Text(r#"{"timed_out":true,"_shards":{"failed":0},"hits":{"hits":[]}}"#),
            Fault::Text(r#"{"timed_out":false,"_shards":{"failed":1},"hits":{"hits":[]}}"#),
        ] {
            fake.faults().other.push_back(Some(lasting.clone()));
            assert!(lookup.stored(&ids(0..9)).await.is_err(), "{lasting:?}");
        }
    }

    #[test]
    fn what_can_be_compared() {
        let fake = FakeElasticsearch::start();
        for (text, expected) in [
            ("", Comparison::ById),
            ("action = \"index\"", Comparison::ById),
            ("document_id = \"%{id}\"", Comparison::ByCount),
            ("document_id = \"%{id}\"\naction = \"update\"", Comparison::No),
            ("document_id = \"%{id}\"\naction = \"%{do}\"", Comparison::No),
        ] {
            assert_eq!(comparison(&options(&fake, text)), expected, "{text}");
        }
        assert_eq!(document_id(0), "A".repeat(22));
    }
}
