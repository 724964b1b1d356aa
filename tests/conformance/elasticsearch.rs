//! The cases of the Elasticsearch output: their option maps are read as a pipeline file's `[output]`, and their events go
//! through the real output to a server that keeps what it is sent. Addresses are turned to that server, and waits take no
//! time but are told; all else is as in a run.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::Method;
use serde_json::{Map, Value as Json};
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;
use weir::config::{Config, OutputOptions};
use weir::event::{Batch, put_example};
use weir::output::dead_letter::{DeadLetterLimits, DeadLetterPlace};
use weir::output::elasticsearch::ElasticsearchOptions;
use weir::output::{DeadLetters, Delivery, Output, OutputContext, Waiting, open};
use weir_test_support::http_server::{Reply, Request};

use crate::pipeline_file;
use crate::read::{expected, is_same};
use crate::server::{RecordingServer, Script, actions, bulk_reply};

/// Runs a case of one of the output's subjects.
pub(crate) fn run(subject: &str, case: &Json) -> Result<(), String> {
    let refused = expected(case)["error"] == "config";
    let options = match (read_options(case), refused || subject == "config") {
        (Ok(options), false) => options,
        (Err(_), true) => return Ok(()),
        (Err(problems), false) => return Err(format!("the options are refused:\n{problems}")),
        // What stands in files is looked at when the output opens.
        (Ok(options), true) => {
            return match with_output(options, 8, nothing_special(), async |_| Ok(())) {
                Err(_) => Ok(()),
                Ok(()) => Err("should have been refused, and was taken".to_owned()),
            };
        }
    };
    match subject {
        "bulk" => bulk(case, options),
        "bulk_split" => bulk_split(case, options),
        "bulk_response" => bulk_response(case, options),
        "backoff" => backoff(case, options),
        "client" => client(case, options),
        _ => Err(format!("there is no subject {subject:?}")),
    }
}

struct Options {
    elasticsearch: ElasticsearchOptions,
    dead_letter: Option<DeadLetterPlace>,
}

fn read_options(case: &Json) -> Result<Options, String> {
    let mut options = Map::from_iter([("type".to_owned(), Json::from("elasticsearch"))]);
    options.extend(case["config"].as_object().ok_or("a case has a map \"config\"")?.clone());
    // Without a word on it Logstash has no dead letters, and refuses options that need them.
    let without_word = case["kind"] == "config" && case["dlq"].is_null();
    if case["dlq"] == false || without_word {
        options.insert("dead_letter".to_owned(), Json::from("off"));
    }
    let Config { mut outputs, .. } = pipeline_file::with_output(&options)?;
    let output = outputs.pop().ok_or("there is no output")?;
    match output.options {
        OutputOptions::Elasticsearch(options) => {
            Ok(Options { elasticsearch: *options, dead_letter: output.dead_letter })
        }
        other => Err(format!("it is an output {}", other.type_name())),
    }
}

fn nothing_special() -> Script {
    Box::new(|_| None)
}

/// An output to a server of its own.
struct Opened {
    output: Box<dyn Output>,
    server: RecordingServer,
    waits: Arc<Mutex<Vec<Duration>>>,
    _folder: TempDir,
}

impl Opened {
    /// Sends the events as one batch.
    async fn send(&self, events: &[Json]) -> Result<Delivery, String> {
        let mut batch = Batch::new(Arc::default(), events.len());
        for (row, event) in events.iter().enumerate() {
            let event = event.as_object().ok_or("an event is a map")?;
            let time = chrono::Utc::now().timestamp_nanos_opt().unwrap_or_default();
            put_example(&mut batch, row, event, time)?;
        }
        self.output.send(Arc::new(batch)).await.map_err(|error| format!("{error:#}"))
    }

    fn waits(&self) -> Vec<Duration> {
        self.waits.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Opens the output and does something with it.
fn with_output(
    options: Options,
    major: u64,
    script: Script,
    work: impl AsyncFnOnce(&Opened) -> Result<(), String>,
) -> Result<(), String> {
    let server = RecordingServer::start(major, script)?;
    let mut elasticsearch = options.elasticsearch;
    for address in &mut elasticsearch.hosts.addresses {
        address.tls = false;
        address.host = "127.0.0.1".to_owned();
        address.port = server.port();
    }
    elasticsearch.resurrect_delay = Duration::from_millis(1);
    elasticsearch.proxy = None;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.map_err(|error| error.to_string())?.block_on(async {
        let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
        let waits = Arc::<Mutex<Vec<Duration>>>::default();
        let told = waits.clone();
        let waiting = Arc::new(Waiting::with_clock(move |wait| {
            told.lock().unwrap_or_else(PoisonError::into_inner).push(wait);
        }));
        let stop = CancellationToken::new();
        let place =
            options.dead_letter.unwrap_or_else(|| DeadLetterPlace::Folder(folder.path().to_path_buf()));
        let dead_letters =
            DeadLetters::open(place, DeadLetterLimits::default(), "case", waiting.clone(), stop.clone());
        let context = OutputContext {
            name: "case".to_owned(),
            pipeline: "case".to_owned(),
            dead_letters: Arc::new(dead_letters.map_err(|error| format!("{error:#}"))?),
            waiting,
            counts: Arc::default(),
            stop: stop.clone(),
        };
        let output = open(OutputOptions::Elasticsearch(Box::new(elasticsearch)), context).await;
        let output = output.map_err(|error| format!("{error:#}"))?;
        let done = work(&Opened { output, server, waits, _folder: folder }).await;
        stop.cancel();
        done
    })
}

/// `weir`'s word on a part of what is expected, or Logstash's.
fn part<'c>(case: &'c Json, key: &str) -> &'c Json {
    case["weir"].get(key).unwrap_or(&case[key])
}

fn list<'c>(case: &'c Json, key: &str) -> Result<&'c Vec<Json>, String> {
    part(case, key).as_array().ok_or_else(|| format!("a case has a list {key:?}"))
}

fn bulk(case: &Json, options: Options) -> Result<(), String> {
    let events = list(case, "events")?;
    let major = case["es_major"].as_u64().unwrap_or(8);
    with_output(options, major, nothing_special(), async |opened| {
        let delivery = opened.send(events).await?;
        let mut found = Vec::new();
        for request in opened.server.requests(&Method::POST) {
            for (_, lines) in actions(&request.body) {
                for (number, line) in lines.into_iter().enumerate() {
                    let line: Json = serde_json::from_slice(line).map_err(|error| error.to_string())?;
                    found.push(if number == 0 { without_nulls(&line) } else { line });
                }
            }
        }
        let mut wanted = Vec::new();
        let mut is_document = false;
        for line in list(case, "expect_bulk_lines")? {
            wanted.push(if is_document { line.clone() } else { without_nulls(line) });
            is_document = !is_document && line.get("delete").is_none();
        }
        if found.len() != wanted.len() {
            return Err(format!("{} lines instead of {}:\n{}", found.len(), wanted.len(), Json::from(found)));
        }
        for (number, (wanted, found)) in wanted.iter().zip(&found).enumerate() {
            if !is_same(wanted, found) {
                return Err(format!("line {}\n  expected  {wanted}\n  found     {found}", number + 1));
            }
        }
        let rejected = part(case, "expect_rejected").as_u64().unwrap_or(0);
        let taken_out = delivery.dead_lettered + delivery.dropped;
        if taken_out != rejected {
            return Err(format!("{taken_out} events were taken out instead of {rejected}"));
        }
        Ok(())
    })
}

/// An action line: a null in it is a key that is not there.
fn without_nulls(line: &Json) -> Json {
    let mut line = line.clone();
    for parameters in line.as_object_mut().into_iter().flat_map(Map::values_mut) {
        if let Some(parameters) = parameters.as_object_mut() {
            parameters.retain(|_, value| !value.is_null());
        }
    }
    line
}

fn bulk_split(case: &Json, options: Options) -> Result<(), String> {
    let mut events = Vec::new();
    for length in list(case, "message_bytes")? {
        let length = length.as_u64().and_then(|length| usize::try_from(length).ok());
        let mut event = case["event_template"].clone();
        event["message"] = "m".repeat(length.ok_or("a length is a number")?).into();
        events.push(event);
    }
    with_output(options, 8, nothing_special(), async |opened| {
        opened.send(&events).await?;
        let requests = opened.server.requests(&Method::POST);
        let counts: Vec<usize> = requests.iter().map(|request| actions(&request.body).len()).collect();
        equal("documents a request", &Json::from(counts), part(case, "expect_docs_per_request"))
    })
}

/// Every item is answered once as the case has it. Each is sent alone, for its outcome, and then all together, for what is
/// sent again.
fn bulk_response(case: &Json, options: Options) -> Result<(), String> {
    let results: Vec<Json> = list(case, "items")?.iter().map(result_of).collect::<Result<_, _>>()?;
    let answers = Arc::new(Mutex::new(Vec::new()));
    let scripted = answers.clone();
    let script: Script = Box::new(move |request| {
        let results = scripted.lock().unwrap_or_else(PoisonError::into_inner).pop();
        results
            .filter(|_| request.method == Method::POST)
            .map(|results: Vec<Json>| bulk_reply(&results, request))
    });
    let event = |number: usize| serde_json::json!({"@timestamp": "2024-03-05T06:07:08.900Z", "n": number});
    with_output(options, 8, script, async |opened| {
        // So that the server has been asked what it is.
        opened.send(&[event(0)]).await?;
        let mut outcomes = Vec::new();
        let answer_with = |results: &[Json]| {
            answers.lock().unwrap_or_else(PoisonError::into_inner).push(results.to_vec());
            opened.server.requests(&Method::POST).len()
        };
        for result in &results {
            let before = answer_with(std::slice::from_ref(result));
            let delivery = opened.send(&[event(0)]).await?;
            let requests = opened.server.requests(&Method::POST).len() - before;
            outcomes.push(match (requests, delivery.delivered, delivery.dropped, delivery.dead_lettered) {
                (1, 1, 0, 0) => "ok",
                (1, 0, 1, 0) => "drop",
                (1, 0, 0, 1) => "dlq",
                (2, 1, 0, 0) => "retry",
                other => return Err(format!("no outcome comes about so: {other:?}")),
            });
        }
        equal("outcomes", &Json::from(outcomes.clone()), expected(case))?;
        let before = answer_with(&results);
        let events: Vec<Json> = (0..results.len()).map(event).collect();
        opened.send(&events).await?;
        let mut sent_again = Vec::new();
        for request in opened.server.requests(&Method::POST).iter().skip(before + 1) {
            for (_, lines) in actions(&request.body) {
                let document = lines.get(1).and_then(|line| serde_json::from_slice::<Json>(line).ok());
                sent_again.push(document.unwrap_or_default()["n"].clone());
            }
        }
        let retries = outcomes.iter().enumerate().filter(|(_, outcome)| **outcome == "retry");
        let retries: Vec<usize> = retries.map(|(number, _)| number).collect();
        equal("sent again", &Json::from(sent_again), &Json::from(retries))
    })
}

/// `{"index": {"status": …}}` without its action.
fn result_of(item: &Json) -> Result<Json, String> {
    let item = item.as_object().and_then(|item| item.values().next());
    item.cloned().ok_or_else(|| "an item is a map of one action".to_owned())
}

/// A request that fails as often as the case has waits: as a whole and by its item, by turns.
fn backoff(case: &Json, options: Options) -> Result<(), String> {
    let wanted = list(case, "expect_seconds")?;
    let (failures, failed) = (wanted.len(), AtomicUsize::new(0));
    let script: Script = Box::new(move |request| {
        let number = failed.load(Ordering::Relaxed);
        if request.method != Method::POST || number == failures {
            return None;
        }
        failed.store(number + 1, Ordering::Relaxed);
        let rejected =
            serde_json::json!({"status": 429, "error": {"type": "es_rejected_execution_exception"}});
        Some(if number % 2 == 0 {
            Reply::new(503, "text/plain", "")
        } else {
            bulk_reply(&[rejected], request)
        })
    });
    with_output(options, 8, script, async |opened| {
        opened.send(&[serde_json::json!({"message": "m"})]).await?;
        let waits: Vec<f64> = opened.waits().iter().map(Duration::as_secs_f64).collect();
        let wanted: Option<Vec<f64>> = wanted.iter().map(Json::as_f64).collect();
        if wanted.as_ref() == Some(&waits) { Ok(()) } else { Err(format!("it waited {waits:?} s")) }
    })
}

/// What a client is made of the options: each of its addresses is asked alone, at first in vain, so that it is looked at.
fn client(case: &Json, options: Options) -> Result<(), String> {
    let wanted = expected(case);
    for key in wanted.as_object().ok_or("an expectation is a map")?.keys() {
        // Weir lists no nodes, so nothing is ever asked by `sniffing_path`.
        if !["urls", "bulk_path", "healthcheck_path", "headers", "sniffing_path"].contains(&key.as_str()) {
            return Err(format!("what is expected has an unknown part {key:?}"));
        }
    }
    let urls: Vec<&str> = wanted["urls"].as_array().into_iter().flatten().filter_map(Json::as_str).collect();
    let addresses = options.elasticsearch.hosts.addresses.clone();
    if urls.len() != addresses.len() {
        return Err(format!("{addresses:?} instead of {urls:?}"));
    }
    for (url, address) in urls.into_iter().zip(addresses) {
        let url = Url::parse(url)?;
        let mark = if address.query.is_empty() { "" } else { "?" };
        let found = format!("{address}{}{mark}{}", address.path, address.query);
        equal("URL", &Json::from(found), &Json::from(url.without_credentials.as_str()))?;
        let in_url = address.path_in_url;
        let mut elasticsearch = options.elasticsearch.clone();
        elasticsearch.hosts.addresses = vec![address];
        let options = Options { elasticsearch, dead_letter: None };
        let checked = AtomicBool::new(false);
        let script: Script = Box::new(move |request| {
            let is_check = request.method == Method::HEAD;
            let lives = checked.fetch_or(is_check, Ordering::Relaxed) || is_check;
            (!lives).then_some(Reply::Reset)
        });
        with_output(options, 8, script, async |opened| {
            opened.send(&[serde_json::json!({"message": "m"})]).await?;
            let paths = [(Method::HEAD, "healthcheck_path"), (Method::POST, "bulk_path")];
            for (method, key) in paths {
                let request = opened.server.first(&method)?;
                let path = wanted[key].as_str().ok_or_else(|| format!("a case has a text {key:?}"))?;
                url.check_request(&request, path, in_url)?;
            }
            for request in opened.server.requests(&Method::POST) {
                url.check_headers(&request, &wanted["headers"])?;
            }
            Ok(())
        })?;
    }
    Ok(())
}

/// A URL of a case.
struct Url {
    without_credentials: String,
    /// `user:password`, decoded.
    credentials: Option<String>,
    path: String,
    query: String,
}

impl Url {
    fn parse(text: &str) -> Result<Self, String> {
        let (scheme, rest) = text.split_once("://").ok_or_else(|| format!("{text:?} is no URL"))?;
        let at = rest.find('/').unwrap_or(rest.len());
        let (authority, path_and_query) = rest.split_at(at);
        let (credentials, host) = match authority.rsplit_once('@') {
            Some((credentials, host)) => (Some(credentials), host),
            None => (None, authority),
        };
        let (path, query) = path_and_query.split_once('?').unwrap_or((path_and_query, ""));
        let parts = credentials.map(|text| text.split(':').map(decoded).collect::<Vec<_>>().join(":"));
        Ok(Url {
            without_credentials: format!("{scheme}://{host}{path_and_query}"),
            credentials: parts,
            path: path.to_owned(),
            query: query.to_owned(),
        })
    }

    /// The path of a URL goes before all paths, also explicit ones; that of the option `path` is in the others already.
    fn check_request(&self, request: &Request, path_and_query: &str, in_url: bool) -> Result<(), String> {
        let (path, query) = path_and_query.split_once('?').unwrap_or((path_and_query, ""));
        let mut wanted = if in_url { format!("{}/{path}", self.path) } else { path.to_owned() };
        while wanted.contains("//") {
            wanted = wanted.replace("//", "/");
        }
        let queries: Vec<&str> =
            [self.query.as_str(), query].into_iter().filter(|part| !part.is_empty()).collect();
        if !queries.is_empty() {
            wanted = format!("{wanted}?{}", queries.join("&"));
        }
        let found = match &request.query {
            Some(query) => format!("{}?{query}", request.path),
            None => request.path.clone(),
        };
        equal(request.method.as_str(), &Json::from(found), &Json::from(wanted))
    }

    fn check_headers(&self, request: &Request, wanted: &Json) -> Result<(), String> {
        for (name, value) in wanted.as_object().ok_or("headers are a map")? {
            let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            equal(name, &Json::from(request.header(&name.to_lowercase())), &Json::from(value))?;
        }
        if wanted.get("Authorization").is_none() {
            let basic = self.credentials.as_ref().map(|text| format!("Basic {}", STANDARD.encode(text)));
            let found = request.header("authorization");
            equal("Authorization", &Json::from(found), &Json::from(basic.unwrap_or_default()))?;
        }
        Ok(())
    }
}

/// A part of a URL as a form has it: `%XX`, and a plus for a space.
fn decoded(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        let code = tail.get(..2).and_then(|code| std::str::from_utf8(code).ok());
        let code = code.filter(|_| *first == b'%').and_then(|code| u8::from_str_radix(code, 16).ok());
        rest = if code.is_some() { &tail[2..] } else { tail };
        bytes.push(code.unwrap_or(if *first == b'+' { b' ' } else { *first }));
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

fn equal(what: &str, found: &Json, wanted: &Json) -> Result<(), String> {
    if is_same(wanted, found) {
        return Ok(());
    }
    Err(format!("{what}\n  expected  {wanted}\n  found     {found}"))
}
