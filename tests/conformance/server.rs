//! A server that stands in for Elasticsearch where a case says what it answers: it takes whatever it is sent, keeps it, and
//! answers by the case's script, or that all went well. What a server does with documents is not looked at.

use std::io::Read;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use flate2::read::GzDecoder;
use http::Method;
use serde_json::{Map, Value as Json, json};
use weir_test_support::http_server::{HttpServer, Reply, Request};

const JSON: &str = "application/json";

/// How long something is waited for that must come.
const LIMIT: Duration = Duration::from_secs(20);

/// Says what a request gets; `None`: that all went well.
pub(crate) type Script = Box<dyn FnMut(&Request) -> Option<Reply> + Send>;

/// A running server.
pub(crate) struct RecordingServer {
    http: HttpServer,
    shared: Arc<Shared>,
}

struct Shared {
    version: String,
    script: Mutex<Script>,
    requests: Mutex<Vec<Request>>,
    changed: Condvar,
}

impl RecordingServer {
    /// Starts one that says it is Elasticsearch of this major version.
    pub(crate) fn start(major: u64, script: Script) -> Result<Self, String> {
        let minor = if major == 7 { 17 } else { 15 };
        let shared = Arc::new(Shared {
            version: format!("{major}.{minor}.0"),
            script: Mutex::new(script),
            requests: Mutex::default(),
            changed: Condvar::new(),
        });
        let served = shared.clone();
        let http = HttpServer::start(0, None, move |request| {
            let reply = served.answer(request);
            async { reply }
        });
        Ok(RecordingServer { http: http.map_err(|error| error.to_string())?, shared })
    }

    pub(crate) fn port(&self) -> u16 {
        self.http.address().port()
    }

    /// The requests of a method so far; their bodies are decompressed.
    pub(crate) fn requests(&self, method: &Method) -> Vec<Request> {
        let requests = self.shared.requests();
        requests.iter().filter(|request| request.method == *method).cloned().collect()
    }

    /// The first request of a method; waits for it.
    pub(crate) fn first(&self, method: &Method) -> Result<Request, String> {
        let missing = |requests: &mut Vec<Request>| !requests.iter().any(|request| request.method == *method);
        let waited = self.shared.changed.wait_timeout_while(self.shared.requests(), LIMIT, missing);
        let (requests, _) = waited.map_err(|_| "the server broke")?;
        let found = requests.iter().find(|request| request.method == *method);
        found.cloned().ok_or_else(|| format!("there was no {method} request"))
    }
}

impl Shared {
    fn requests(&self) -> MutexGuard<'_, Vec<Request>> {
        self.requests.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn answer(&self, mut request: Request) -> Reply {
        if request.header("content-encoding") == "gzip" {
            let mut body = Vec::new();
            if GzDecoder::new(&request.body[..]).read_to_end(&mut body).is_err() {
                return Reply::new(400, JSON, "{}");
            }
            request.body = body.into();
        }
        let scripted = (self.script.lock().unwrap_or_else(PoisonError::into_inner))(&request);
        let reply = scripted.unwrap_or_else(|| self.all_went_well(&request));
        self.requests().push(request);
        self.changed.notify_all();
        reply
    }

    fn all_went_well(&self, request: &Request) -> Reply {
        let body = match request.method {
            Method::POST => {
                items_answer(&vec![json!({"status": 201}); actions(&request.body).len()], request)
            }
            Method::PUT => json!({"acknowledged": true}),
            _ => json!({"version": {"number": self.version, "build_flavor": "default"},
                        "tagline": "You Know, for Search"}),
        };
        Reply::new(200, JSON, body.to_string()).header("x-elastic-product", "Elasticsearch")
    }
}

/// An answer with a result for each item of a bulk request.
pub(crate) fn bulk_reply(results: &[Json], request: &Request) -> Reply {
    Reply::new(200, JSON, items_answer(results, request).to_string())
}

fn items_answer(results: &[Json], request: &Request) -> Json {
    let names = actions(&request.body).into_iter().map(|(name, _)| name);
    let items: Vec<Json> = names
        .zip(results)
        .map(|(name, result)| Json::Object(Map::from_iter([(name, result.clone())])))
        .collect();
    let errors = results.iter().any(|result| result.get("error").is_some());
    json!({"errors": errors, "items": items})
}

/// The lines of a bulk body by the items that they belong to: what is asked for, and the lines.
pub(crate) fn actions(body: &[u8]) -> Vec<(String, Vec<&[u8]>)> {
    let mut items: Vec<(String, Vec<&[u8]>)> = Vec::new();
    let mut has_document = false;
    for line in body.split_inclusive(|byte| *byte == b'\n') {
        match items.last_mut().filter(|_| has_document) {
            Some((_, lines)) => {
                lines.push(line);
                has_document = false;
            }
            None => {
                let action = serde_json::from_slice::<Map<String, Json>>(line).unwrap_or_default();
                let name = action.keys().next().cloned().unwrap_or_default();
                has_document = name != "delete";
                items.push((name, vec![line]));
            }
        }
    }
    items
}
