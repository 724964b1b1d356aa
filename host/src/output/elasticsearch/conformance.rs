//! The facts about Logstash's elasticsearch output in `tests/conformance`: each case is read, and its options and events go
//! through this output's own code.

use std::sync::Arc;
use std::time::Duration;

use serde_json::Value as Json;

use super::actions::IndexChoice;
use super::body;
use super::client::Client;
use super::options::{ElasticsearchOptions, read_options};
use super::response::{ItemAnswer, Outcome, Sent};
use super::server::Server;
use crate::config::Section;
use crate::event::{Batch, FieldReference, Value, fields};

/// The cases of a file, without those that do not apply to weir.
fn cases(name: &str) -> Vec<Json> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/conformance");
    let read = |name: &str| {
        std::fs::read_to_string(format!("{folder}/{name}")).expect("the cases are in the repository")
    };
    let left_out = read("not-applicable.txt");
    let left_out: Vec<&str> = left_out.lines().filter_map(|line| line.split_whitespace().next()).collect();
    let cases = read(name)
        .lines()
        .map(|line| serde_json::from_str::<Json>(line).expect("a case is JSON"))
        .collect::<Vec<_>>();
    let count = cases.len();
    let cases: Vec<Json> = cases.into_iter().filter(|case| !left_out.contains(&id_of(case))).collect();
    assert!(cases.len() + left_out.len() >= count && !cases.is_empty());
    cases
}

fn id_of(case: &Json) -> &str {
    case["id"].as_str().expect("a case has an id")
}

/// The options of a case, and what is wrong with them.
fn options_of(case: &Json) -> (ElasticsearchOptions, Vec<String>) {
    let mut text = String::new();
    for (key, value) in case["config"].as_object().expect("options are a map") {
        text.push_str(&format!("{key} = {}\n", toml_of(value)));
    }
    if case["dlq"] == Json::Bool(false) {
        text.push_str("dead_letter = \"off\"\n");
    }
    let mut section = Section::parse(&text);
    let options = read_options(&mut section, "disabled");
    section.text("dead_letter");
    (options, section.into_problems())
}

/// A value as TOML: texts, numbers and lists are as in JSON.
fn toml_of(value: &Json) -> String {
    match value {
        Json::Object(map) => {
            let members: Vec<String> =
                map.iter().map(|(key, value)| format!("{key:?} = {}", toml_of(value))).collect();
            format!("{{ {} }}", members.join(", "))
        }
        Json::Array(elements) => format!("[{}]", elements.iter().map(toml_of).collect::<Vec<_>>().join(", ")),
        other => other.to_string(),
    }
}

fn right_options_of(case: &Json) -> ElasticsearchOptions {
    let (options, problems) = options_of(case);
    assert_eq!(problems, Vec::<String>::new(), "{}", id_of(case));
    options
}

/// An event as a map of Logstash becomes one of a batch.
fn set_event(batch: &mut Batch, row: usize, event: &Json) {
    let set = |batch: &mut Batch, key: &str, value: &Json| {
        fields::set_json(batch, row, &FieldReference::from_fragments([key]), value)
    };
    set(batch, "@version", &"1".into()).expect("it can be set");
    for (key, value) in event.as_object().expect("an event is a map") {
        match (key.as_str(), value) {
            ("@timestamp", Json::String(text)) => {
                let time = chrono::DateTime::parse_from_rfc3339(text).expect("it is a time");
                let time = Value::Timestamp(time.timestamp_nanos_opt().expect("it is in range"));
                let reference = FieldReference::from_fragments(["@timestamp"]);
                fields::set(batch, row, &reference, time).expect("it can be set");
            }
            ("tags", Json::Object(_)) => {
                set(batch, "_tags", &Json::Array(vec![value.clone()])).expect("it can be set");
                set(batch, "tags", &serde_json::json!(["_tagsparsefailure"])).expect("it can be set");
            }
            _ => set(batch, key, value).expect("it can be set"),
        }
    }
}

fn batch_of(events: &[Json]) -> Batch {
    let mut batch = Batch::new(Arc::default(), events.len());
    for (row, event) in events.iter().enumerate() {
        set_event(&mut batch, row, event);
    }
    batch
}

fn server_of(case: &Json) -> Server {
    let major = case["es_major"].as_u64().unwrap_or(8);
    Server { is_opensearch: false, version: (u32::try_from(major).expect("it is small"), 0) }
}

/// A line of a body as it is compared: numbers as numbers, and a null in an action line as nothing.
fn comparable(line: &Json, is_action: bool) -> Json {
    let mut line = line.clone();
    if is_action && let Some(action) = line.as_object_mut().and_then(|line| line.values_mut().next()) {
        action.as_object_mut().expect("an action is a map").retain(|_, value| !value.is_null());
    }
    line
}

fn is_action(line: &Json) -> bool {
    let map = line.as_object().expect("a line is a map");
    let action = map.iter().next().filter(|_| map.len() == 1);
    action.is_some_and(|(name, value)| {
        ["index", "create", "update", "delete"].contains(&name.as_str()) && value.get("_index").is_some()
    })
}

#[test]
fn bodies() {
    for case in cases("bulk.jsonl") {
        let options = right_options_of(&case);
        let events = case["events"].as_array().expect("a case has events");
        let bulk = body::build(&options.actions, &server_of(&case), &batch_of(events), options.bulk_bytes);
        let mut lines: Vec<Json> = Vec::new();
        for request in &bulk.requests {
            assert_eq!(request.bytes().last(), Some(&b'\n'), "{}", id_of(&case));
            for line in request.bytes().split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
                let line: Json = serde_json::from_slice(line).expect("a line is JSON");
                lines.push(comparable(&line, is_action(&line)));
            }
        }
        let expected = case["expect_bulk_lines"].as_array().expect("a case has lines");
        let expected: Vec<Json> = expected.iter().map(|line| comparable(line, is_action(line))).collect();
        assert_eq!(lines, expected, "{}", id_of(&case));
        let rejected = case["expect_rejected"].as_u64().unwrap_or(0);
        assert_eq!(bulk.rejected.len() as u64, rejected, "{}: {:?}", id_of(&case), bulk.rejected);
    }
}

#[test]
fn cuts() {
    for case in cases("bulk_split.jsonl") {
        let options = right_options_of(&case);
        let mut events = Vec::new();
        for length in case["message_bytes"].as_array().expect("a case has lengths") {
            let mut event = case["event_template"].clone();
            let length = length.as_u64().and_then(|length| usize::try_from(length).ok());
            event["message"] = "m".repeat(length.expect("it is a length")).into();
            events.push(event);
        }
        let bulk = body::build(&options.actions, &server_of(&case), &batch_of(&events), options.bulk_bytes);
        let counts: Vec<usize> = bulk.requests.iter().map(|request| request.items.len()).collect();
        let expected: Vec<usize> =
            serde_json::from_value(case["expect_docs_per_request"].clone()).expect("it is a list of counts");
        assert_eq!(counts, expected, "{}", id_of(&case));
    }
}

#[test]
fn outcomes() {
    for case in cases("bulk_response.jsonl") {
        if case["expect"]["error"] == "config" {
            assert_ne!(options_of(&case).1, Vec::<String>::new(), "{}", id_of(&case));
            continue;
        }
        let options = right_options_of(&case);
        let mut outcomes = Vec::new();
        for item in case["items"].as_array().expect("a case has items") {
            let item = &item["index"];
            let answer = ItemAnswer {
                status: item["status"]
                    .as_u64()
                    .and_then(|status| u16::try_from(status).ok())
                    .expect("a status"),
                error: item.get("error").cloned(),
            };
            outcomes.push(match options.outcomes.outcome(Sent::default(), &answer) {
                Outcome::Delivered => "ok",
                Outcome::Dropped => "drop",
                Outcome::Retry => "retry",
                Outcome::DeadLetter if case["dlq"] == true => "dlq",
                Outcome::DeadLetter => "drop",
            });
        }
        assert_eq!(serde_json::json!(outcomes), case["expect"], "{}", id_of(&case));
    }
}

#[test]
fn waits() {
    for case in cases("backoff.jsonl") {
        let waits = right_options_of(&case).waits;
        let mut wait = waits.initial;
        for (number, seconds) in
            case["expect_seconds"].as_array().expect("a case has waits").iter().enumerate()
        {
            let expected = Duration::from_secs(seconds.as_u64().expect("it is seconds"));
            assert_eq!(wait, expected, "{}: wait {number}", id_of(&case));
            wait = waits.after(wait);
        }
    }
}

#[tokio::test]
async fn clients() {
    for case in cases("client.jsonl") {
        let options = right_options_of(&case);
        let id = id_of(&case);
        let mut urls = Vec::new();
        for address in &options.hosts.addresses {
            let credentials =
                address.credentials.as_ref().map(|(user, password)| format!("{user}:{password}@"));
            let (scheme, rest) = address
                .to_string()
                .split_once("://")
                .map(|(a, b)| (a.to_owned(), b.to_owned()))
                .expect("a URL");
            let mark = if address.query.is_empty() { "" } else { "?" };
            let credentials = credentials.unwrap_or_default();
            urls.push(format!("{scheme}://{credentials}{rest}{}{mark}{}", address.path, address.query));
        }
        let expect = &case["expect"];
        assert_eq!(serde_json::json!(urls), expect["urls"], "{id}");
        assert_eq!(options.hosts.bulk_path, expect["bulk_path"].as_str().expect("a path"), "{id}");
        assert_eq!(
            options.hosts.healthcheck_path,
            expect["healthcheck_path"].as_str().expect("a path"),
            "{id}"
        );
        let client = Client::open("test", &options).await.expect("it needs no server");
        let headers = client.first_headers();
        for (name, value) in expect["headers"].as_object().expect("it is a map") {
            assert_eq!(headers[name.as_str()], value.as_str().expect("it is a text"), "{id}: {name}");
        }
    }
}

#[test]
fn mistakes() {
    for case in cases("config.jsonl") {
        let (options, problems) = options_of(&case);
        assert_ne!(problems, Vec::<String>::new(), "{}", id_of(&case));
        assert!(matches!(options.actions.index, IndexChoice::Named(..) | IndexChoice::DataStream(_)));
    }
}
