//! Answers one request: decompression, faults, routing.

use std::io::Read;
use std::sync::Arc;
use std::time::Duration;

use flate2::read::GzDecoder;
use http::Method;
use serde_json::{Value, json};

use super::faults::{Fault, Faults};
use super::store::Store;
use super::{Seen, Shared, bulk, search};
use crate::http_server::{Reply, Request};

pub(super) const JSON: &str = "application/json; charset=UTF-8";
const BODY_LIMIT: usize = 100 << 20;

pub(super) async fn answer(shared: Arc<Shared>, mut request: Request) -> Reply {
    let at = shared.started.elapsed();
    {
        let mut seen = shared.seen.lock().expect("no thread panicked with it");
        seen.in_flight += 1;
        seen.most_in_flight = seen.most_in_flight.max(seen.in_flight);
    }
    let compressed = request.header("content-encoding") == "gzip";
    let (reply, wait) = decide(&shared, &mut request, compressed);
    let status = match &reply {
        Reply::Whole(response) => Some(response.status().as_u16()),
        Reply::Cut(..) | Reply::Reset => None,
    };
    if shared.faults.lock().expect("no thread panicked with it").forget_bodies {
        request.body.clear();
    }
    {
        let mut seen = shared.seen.lock().expect("no thread panicked with it");
        seen.all.push(Seen { request, compressed, status, at });
    }
    shared.changed.notify_all();
    if let Some(wait) = wait {
        tokio::time::sleep(wait).await;
    }
    shared.seen.lock().expect("no thread panicked with it").in_flight -= 1;
    reply
}

fn decide(shared: &Shared, request: &mut Request, compressed: bool) -> (Reply, Option<Duration>) {
    let mut faults = shared.faults.lock().expect("no thread panicked with it");
    let mut store = shared.store.lock().expect("no thread panicked with it");
    store.keep_sources = !faults.forget_documents;
    let too_large = request.body.len() > faults.body_limit.unwrap_or(BODY_LIMIT);
    if compressed {
        let mut body = Vec::new();
        if GzDecoder::new(&request.body[..]).read_to_end(&mut body).is_err() {
            return (error(400, "parse_exception", "Not in GZIP format"), None);
        }
        request.body = body.into();
    }
    let is_bulk = request.path.ends_with("/_bulk");
    let script = if is_bulk { &mut faults.bulk } else { &mut faults.other };
    let fault = match script.pop_front() {
        Some(fault) => fault,
        None => faults.always.clone(),
    };
    if matches!(fault, Some(Fault::NotGzip)) && !compressed {
        return (route(request, &mut store, &mut faults), None);
    }
    faults.requests_failed += usize::from(fault.is_some());
    match fault {
        Some(Fault::Status(status)) => return (failure(status), None),
        Some(Fault::Gateway(status)) => return (html(status, "Blocked"), None),
        Some(Fault::NotGzip) => return (error(400, "parse_exception", "Not in GZIP format"), None),
        Some(Fault::Redirect(status)) => {
            return (html(status, "Moved").header("location", "http://127.0.0.1:9/"), None);
        }
        Some(Fault::RetryAfter(seconds)) => {
            return (failure(429).header("retry-after", &seconds.to_string()), None);
        }
        Some(Fault::ResetBeforeCommit) => return (Reply::Reset, None),
        _ => {}
    }
    if too_large {
        faults.requests_failed += 1;
        return (failure(413), None);
    }
    if let Some(expected) = &faults.authorization
        && request.header("authorization") != expected
    {
        return (failure(401).header("www-authenticate", "Basic realm=\"security\" charset=\"UTF-8\""), None);
    }
    if is_bulk && let Some(status) = faults.requests.as_mut().and_then(|rule| rule(&request.body)) {
        faults.requests_failed += 1;
        return (failure(status), None);
    }
    let reply = route(request, &mut store, &mut faults);
    match (fault, reply) {
        (Some(Fault::Text(text)), _) => (Reply::new(200, JSON, text), None),
        (
            Some(fault @ (Fault::ItemMissing | Fault::ItemTwice | Fault::NoStatuses)),
            Reply::Whole(response),
        ) => (Reply::Whole(response.map(|body| with_wrong_items(&body, &fault))), None),
        (Some(Fault::StatusAfterCommit(status)), _) => (failure(status), None),
        (Some(Fault::ResetAfterCommit), _) => (Reply::Reset, None),
        (Some(Fault::Slow(wait)), reply) => (reply, Some(wait)),
        (Some(Fault::TruncatedJson), Reply::Whole(response)) => {
            (Reply::Whole(response.map(|body| body.slice(..body.len() / 2))), None)
        }
        (Some(Fault::CutBody), Reply::Whole(response)) => {
            let length = response.body().len() / 2;
            (Reply::Cut(response, length), None)
        }
        (_, reply) => (reply, None),
    }
}

/// An answer with items that do not fit the request.
fn with_wrong_items(body: &[u8], fault: &Fault) -> bytes::Bytes {
    let mut answer: Value = serde_json::from_slice(body).unwrap_or(Value::Null);
    if let Some(items) = answer["items"].as_array_mut() {
        match fault {
            Fault::ItemMissing => drop(items.pop()),
            Fault::ItemTwice => items.extend(items.last().cloned()),
            _ => items.iter_mut().for_each(|item| *item = json!({"create": {}})),
        }
    }
    answer.to_string().into()
}

fn route(request: &Request, store: &mut Store, faults: &mut Faults) -> Reply {
    let path: Vec<&str> = request.path.split('/').filter(|part| !part.is_empty()).collect();
    let (opensearch, version) = (store.distribution.is_some(), store.version());
    let reply = match (&request.method, path.as_slice()) {
        (&Method::GET | &Method::HEAD, []) => Reply::new(200, JSON, describe(store).to_string()),
        (&Method::POST | &Method::PUT, ["_bulk"] | [_, "_bulk"]) => {
            let default_index = if path.len() == 2 { path[0] } else { "" };
            bulk_request(request, default_index, store, faults)
        }
        (method, [kind @ ("_template" | "_index_template"), name])
            if *kind == "_template" || opensearch || version >= (7, 8) =>
        {
            template(method, kind, name, request, store)
        }
        (&Method::GET | &Method::POST, ["_count"]) => search::count(request, store, "*"),
        (&Method::GET | &Method::POST, [index, "_count"]) => search::count(request, store, index),
        (&Method::GET | &Method::POST, ["_search"]) => search::search(request, store, "*"),
        (&Method::GET | &Method::POST, [index, "_search"]) => search::search(request, store, index),
        (&Method::GET | &Method::POST, ["_refresh"]) => search::refresh(request, store, "*"),
        (&Method::GET | &Method::POST, [index, "_refresh"]) => search::refresh(request, store, index),
        (&Method::GET, ["_cluster", "health"]) => Reply::new(200, JSON, r#"{"status":"green"}"#),
        (method, _) => {
            let reason = format!("no handler found for uri [{}] and method [{method}]", request.path);
            Reply::new(400, JSON, json!({"error": reason}).to_string())
        }
    };
    if !opensearch && version >= (7, 14) { reply.header("x-elastic-product", "Elasticsearch") } else { reply }
}

fn describe(store: &Store) -> Value {
    let mut version = json!({"number": store.number, "build_type": "tar", "build_snapshot": false});
    let tagline = match &store.distribution {
        Some(distribution) => {
            version["distribution"] = distribution.as_str().into();
            "The OpenSearch Project: https://opensearch.org/"
        }
        None => {
            version["build_flavor"] =
                if store.version() >= (7, 11) { "default".into() } else { "oss".into() };
            "You Know, for Search"
        }
    };
    json!({"name": "fake-node", "cluster_name": "fake", "cluster_uuid": "pNLoKP7nSF2Kp5KWVA-9Fg", "version": version, "tagline": tagline})
}

fn bulk_request(request: &Request, default_index: &str, store: &mut Store, faults: &mut Faults) -> Reply {
    let content_type = request.header("content-type").split(';').next().unwrap_or_default().trim().to_owned();
    if !matches!(content_type.as_str(), "application/json" | "application/x-ndjson") {
        let reason = format!("Content-Type header [{content_type}] is not supported");
        return Reply::new(406, JSON, json!({"error": reason, "status": 406}).to_string());
    }
    let Ok(body) = std::str::from_utf8(&request.body) else {
        return error(400, "json_parse_exception", "Invalid UTF-8 start byte");
    };
    let items = match bulk::parse(body, default_index, store) {
        Ok(items) => items,
        Err(reason) => return error(400, "illegal_argument_exception", &reason),
    };
    let answer = bulk::store(items, store, faults, request.query.as_deref().unwrap_or_default());
    Reply::new(200, JSON, answer.to_string())
}

fn template(method: &Method, kind: &str, name: &str, request: &Request, store: &mut Store) -> Reply {
    let key = format!("{kind}/{name}");
    let there = store.templates.get(&key).cloned();
    match (method, there) {
        (&Method::PUT | &Method::POST, _) => match serde_json::from_slice::<Value>(&request.body) {
            Ok(body) if body["index_patterns"].is_array() => {
                store.templates.insert(key, body);
                Reply::new(200, JSON, r#"{"acknowledged":true}"#)
            }
            _ => error(
                400,
                "action_request_validation_exception",
                "Validation Failed: 1: index patterns are missing;",
            ),
        },
        (&Method::GET | &Method::HEAD, Some(body)) => {
            let body = match kind {
                "_template" => json!({name: body}),
                _ => json!({"index_templates": [{"name": name, "index_template": body}]}),
            };
            Reply::new(200, JSON, body.to_string())
        }
        (&Method::DELETE, Some(_)) => {
            store.templates.remove(&key);
            Reply::new(200, JSON, r#"{"acknowledged":true}"#)
        }
        _ => Reply::new(404, JSON, "{}"),
    }
}

/// The body that usually comes with a status.
fn failure(status: u16) -> Reply {
    match status {
        401 => {
            error(401, "security_exception", "missing authentication credentials for REST request [/_bulk]")
        }
        403 => error(
            403,
            "security_exception",
            "action [indices:data/write/bulk] is unauthorized for user [weir]",
        ),
        404 => error(404, "index_not_found_exception", "no such index [nope]"),
        408 => error(408, "timeout_exception", "the request took too long"),
        413 => Reply::new(413, "text/plain", "Request Entity Too Large"),
        429 => error(
            429,
            "circuit_breaking_exception",
            "[in_flight_requests] Data too large, data for [<http_request>]",
        ),
        502 => html(502, "502 Bad Gateway"),
        503 => error(
            503,
            "cluster_block_exception",
            "blocked by: [SERVICE_UNAVAILABLE/1/state not recovered / initialized];",
        ),
        504 => html(504, "504 Gateway Time-out"),
        400 => error(400, "illegal_argument_exception", "told to refuse this request"),
        _ => error(status, "exception", "told to fail"),
    }
}

fn html(status: u16, title: &str) -> Reply {
    let page = format!("<html><head><title>{title}</title></head><body><h1>{title}</h1></body></html>");
    Reply::new(status, "text/html", page)
}

pub(super) fn error(status: u16, kind: &str, reason: &str) -> Reply {
    let cause = json!({"type": kind, "reason": reason});
    let body = json!({"error": {"root_cause": [cause], "type": kind, "reason": reason}, "status": status});
    Reply::new(status, JSON, body.to_string())
}
