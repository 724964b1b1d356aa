//! The cases of the CloudWatch input: a service that holds the events of a case's answers is read by the real input, once
//! and once more. What must come of it are the service's events from the first position on, each once and with Logstash's
//! fields. In which order Logstash asked, how long it waited and what it wrote down is its own.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Map, Value as Json, json};
use tokio_util::sync::CancellationToken;
use weir::event::Documents;
use weir::input::cloudwatch_logs::{CloudwatchLogsOptions, StaticCredentials, Timing, open_with};
use weir::input::{Input, InputContext, InputOptions, Source};
use weir::ledger::Ledger;
use weir_filter::timestamp;
use weir_test_support::cloudwatch::{FakeCloudWatch, Fault, WholeEvent};

use crate::pipeline_file;
use crate::read::{expected, is_same};

/// The input's name in its ledger.
const NAME: &str = "case";

/// Runs a case.
pub(crate) fn run(case: &Json) -> Result<(), String> {
    let (options, mut cloudwatch) = match (read_options(case), expected(case)["error"] == "config") {
        (Ok(options), false) => options,
        (Err(_), true) => return Ok(()),
        (Err(problems), false) => return Err(format!("the options are refused:\n{problems}")),
        (Ok(_), true) => return Err("should have been refused, and was taken".to_owned()),
    };
    let service = Service::of(case)?;
    let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
    cloudwatch.sincedb_path = None;
    if let Some(text) = case["sincedb"].as_str() {
        let path = folder.path().join("sincedb");
        std::fs::write(&path, text).map_err(|error| error.to_string())?;
        cloudwatch.sincedb_path = Some(path);
    }
    cloudwatch.endpoint_url = Some(service.fake.url());
    (cloudwatch.profile, cloudwatch.role_arn) = (None, None);
    cloudwatch.credentials = Some(StaticCredentials {
        access_key_id: "AKID".to_owned(),
        secret_access_key: "secret".to_owned(),
        session_token: None,
    });
    cloudwatch.requests_per_second = 1000.0;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.map_err(|error| error.to_string())?.block_on(async {
        let ledger = Ledger::in_memory().map_err(|error| format!("{error:#}"))?;
        let found = read_once(&options, &cloudwatch, &ledger, &service).await?;
        service.check(expected(case), found)?;
        let again = read_once(&options, &cloudwatch, &ledger, &service).await?;
        if again.is_empty() { Ok(()) } else { Err(format!("read again: {}", Json::from(again))) }
    })
}

fn read_options(case: &Json) -> Result<(InputOptions, CloudwatchLogsOptions), String> {
    let mut config = case["config"].as_object().ok_or("a case has a map \"config\"")?.clone();
    // In a pipeline file `type` is which input it is; the field of that name is added like any other.
    if let Some(kind) = config.insert("type".to_owned(), Json::from("cloudwatch_logs")) {
        let fields = config.entry("add_field").or_insert_with(|| json!({}));
        fields.as_object_mut().ok_or("add_field is a map")?.insert("type".to_owned(), kind);
    }
    let options = pipeline_file::with_input(&config)?.inputs.pop().ok_or("there is no input")?.options;
    match options.source.clone() {
        Source::CloudwatchLogs(cloudwatch) => Ok((options, *cloudwatch)),
        other => Err(format!("it is an input {}", other.type_name())),
    }
}

/// All that one run reads and hands on, in the order of reading.
async fn read_once(
    options: &InputOptions,
    cloudwatch: &CloudwatchLogsOptions,
    ledger: &Ledger,
    service: &Service,
) -> Result<Vec<Json>, String> {
    let context = InputContext {
        name: NAME.to_owned(),
        names: Arc::default(),
        ledger: ledger.input(NAME),
        batch_size: 100,
        batch_delay: Duration::from_millis(1),
        stop: CancellationToken::new(),
        once: true,
        decoration: options.decoration.clone(),
        codec: options.codec,
    };
    let now = service.now;
    let timing = Timing { clock: Arc::new(move || now), first_wait: Duration::from_millis(1) };
    let mut input =
        open_with(cloudwatch.clone(), context, timing).await.map_err(|error| format!("{error:#}"))?;
    let mut events = Vec::new();
    loop {
        let read = match input.next().await {
            Ok(Some(read)) => read,
            Ok(None) => return Ok(events),
            Err(error) => {
                let error = format!("{error:#}");
                let is_expected = service.missing.iter().any(|group| error.contains(group));
                return if is_expected { Ok(events) } else { Err(error) };
            }
        };
        let mut documents = Documents::new(&read.events);
        for row in 0..read.events.rows() {
            events.push(serde_json::from_str(&documents.text(row)).map_err(|error| error.to_string())?);
        }
        ledger.commit(&[(NAME, &read.position)]).map_err(|error| format!("{error:#}"))?;
    }
}

/// A service that holds what a case's answers tell.
struct Service {
    fake: FakeCloudWatch,
    /// The clock of the service and of the input, in milliseconds since 1970.
    now: i64,
    /// By group and id: the events.
    events: BTreeMap<(String, String), WholeEvent>,
    /// Where each group is read from, as far as it is known.
    starts: BTreeMap<String, i64>,
    /// Groups that are not there.
    missing: Vec<String>,
}

impl Service {
    fn of(case: &Json) -> Result<Self, String> {
        let mut service = Service {
            fake: FakeCloudWatch::start(),
            now: 0,
            events: BTreeMap::new(),
            starts: BTreeMap::new(),
            missing: Vec::new(),
        };
        let none = Vec::new();
        let calls = expected(case)["calls"].as_array().unwrap_or(&none);
        let groups = &case["config"]["log_group"];
        let mut named: Vec<&str> =
            groups.as_array().unwrap_or(&none).iter().filter_map(Json::as_str).collect();
        named.extend(groups.as_str());
        for (number, answer) in case["responses"].as_array().ok_or("a case has answers")?.iter().enumerate() {
            // What was never asked for belongs to the first group.
            let group = calls.get(number).and_then(|call| call["log_group_name"].as_str());
            service.take_answer(group.or(named.first().copied()).unwrap_or_default(), answer)?;
        }
        for call in calls {
            if let (Some(group), Some(start)) = (call["log_group_name"].as_str(), call["start_time"].as_i64())
            {
                service.starts.entry(group.to_owned()).or_insert(start);
            }
        }
        if case["config"]["log_group_prefix"] != true {
            for group in named.iter().filter(|group| !service.missing.iter().any(|missing| missing == *group))
            {
                service.fake.create_group(group);
            }
        }
        service.now = service.clock_of(case);
        service.fake.set_now(service.now);
        for ((group, _), event) in &service.events {
            service.fake.put_event(group, event.clone());
        }
        Ok(service)
    }

    fn take_answer(&mut self, group: &str, answer: &Json) -> Result<(), String> {
        for (key, value) in answer.as_object().ok_or("an answer is a map")? {
            match (key.as_str(), value) {
                ("events", Json::Array(events)) => {
                    for event in events {
                        let event = whole_event(event)?;
                        // An event that was answered twice is one.
                        self.events.entry((group.to_owned(), event.id.clone())).or_insert(event);
                    }
                }
                ("groups", Json::Array(groups)) => {
                    groups.iter().filter_map(Json::as_str).for_each(|group| self.fake.create_group(group));
                }
                ("throttle", Json::Bool(true)) => {
                    self.fake.faults().script.push_back(Some(Fault::Throttling));
                }
                ("notfound", Json::Bool(true)) => self.missing.push(group.to_owned()),
                // The service makes tokens of its own.
                ("nextToken" | "next_token", _) | (_, Json::Bool(false) | Json::Null) => {}
                _ => return Err(format!("an answer has an unknown part {key:?}")),
            }
        }
        Ok(())
    }

    /// The time at which Logstash began, where its first question tells; else soon after the last event.
    fn clock_of(&self, case: &Json) -> i64 {
        let start = self.starts.values().next().copied();
        match (&case["config"]["start_position"], start) {
            (Json::String(word), Some(start)) if word == "end" => start,
            (Json::Number(seconds), Some(start)) => start + seconds.as_i64().unwrap_or(0) * 1000,
            _ => {
                self.events.values().map(|event| event.timestamp).max().unwrap_or(1_700_000_000_000) + 600_000
            }
        }
    }

    fn check(&self, expected: &Json, found: Vec<Json>) -> Result<(), String> {
        let named = expected["events"].as_array().into_iter().flatten();
        let named: BTreeMap<&str, &Json> =
            named.filter_map(|event| Some((event["cloudwatch_logs"]["event_id"].as_str()?, event))).collect();
        let mut found = found;
        for ((group, id), event) in &self.events {
            if event.timestamp < self.starts.get(group).copied().unwrap_or(0) {
                continue;
            }
            let wanted =
                named.get(id.as_str()).map_or_else(|| document(group, event), |event| (*event).clone());
            let place = found.iter().position(|found| is_same(&wanted, found)).ok_or_else(|| {
                format!(
                    "an event is missing\n  expected  {wanted}\n  found     {}",
                    Json::from(found.clone())
                )
            })?;
            found.swap_remove(place);
        }
        if found.is_empty() { Ok(()) } else { Err(format!("found beyond that: {}", Json::from(found))) }
    }
}

fn whole_event(event: &Json) -> Result<WholeEvent, String> {
    let text =
        |key: &str| event[key].as_str().map(str::to_owned).ok_or_else(|| format!("an event has a {key}"));
    let number = |key: &str| event[key].as_i64().ok_or_else(|| format!("an event has a {key}"));
    Ok(WholeEvent {
        id: text("eventId")?,
        stream: text("logStreamName")?,
        timestamp: number("timestamp")?,
        ingestion_time: number("ingestionTime")?,
        message: text("message")?,
    })
}

/// An event as Logstash makes it without further options.
fn document(group: &str, event: &WholeEvent) -> Json {
    let time = |milliseconds: i64| timestamp::to_text(milliseconds.saturating_mul(1_000_000));
    let fields = json!({
        "log_group": group, "log_stream": event.stream, "event_id": event.id, "ingestion_time": time(event.ingestion_time),
    });
    Json::Object(Map::from_iter([
        ("message".to_owned(), Json::from(event.message.as_str())),
        ("@version".to_owned(), Json::from("1")),
        ("@timestamp".to_owned(), Json::from(time(event.timestamp))),
        ("cloudwatch_logs".to_owned(), fields),
    ]))
}
