//! The output against the fake server of `tests/support`, which fails in every way that real ones do: nothing is lost,
//! nothing is stored twice, and only what can never be stored is set aside.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value as Json;
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;
use weir_test_support::FakeElasticsearch;
use weir_test_support::elasticsearch::{Fault, ItemFault};

use super::{open, read_options};
use crate::config::Section;
use crate::event::{Batch, FieldReference, Value, fields};
use crate::output::dead_letter::{DeadLetter, DeadLetterLimits, DeadLetterPlace, segments};
use crate::output::{DeadLetters, Delivery, NotAcknowledged, Output, OutputContext, Waiting};

struct Fixture {
    output: Arc<dyn Output>,
    folder: TempDir,
    stop: CancellationToken,
    waiting: Arc<Waiting>,
}

/// An output to `hosts`, with waits of a millisecond, and further options as TOML.
async fn try_open(hosts: &[String], options: &str) -> anyhow::Result<Fixture> {
    let text = format!(
        "hosts = {hosts:?}\nindex = \"idx\"\nretry_initial_interval = \"1ms\"\nretry_max_interval = \"4ms\"\n{options}"
    );
    let mut section = Section::parse(&text);
    let options = read_options(&mut section, "disabled");
    assert_eq!(section.into_problems(), Vec::<String>::new());
    let folder = tempfile::tempdir()?;
    let (stop, waiting) = (CancellationToken::new(), Arc::new(Waiting::default()));
    let dead_letters = DeadLetters::open(
        DeadLetterPlace::Folder(folder.path().to_owned()),
        DeadLetterLimits::default(),
        "p",
        waiting.clone(),
        stop.clone(),
    )?;
    let context = OutputContext {
        name: "elasticsearch".to_owned(),
        pipeline: "p".to_owned(),
        dead_letters: Arc::new(dead_letters),
        waiting: waiting.clone(),
        counts: Arc::default(),
        stop: stop.clone(),
    };
    let output = Arc::from(open(options, context).await?);
    Ok(Fixture { output, folder, stop, waiting })
}

async fn open_to(fake: &FakeElasticsearch, options: &str) -> Fixture {
    try_open(&[fake.url()], options).await.expect("it can be opened")
}

/// Events `n` = 0, 1 …, with identities from 1 on, or none.
fn events(count: usize, with_identity: bool) -> Arc<Batch> {
    let mut batch = Batch::new(Arc::default(), count);
    let reference = FieldReference::from_fragments(["n"]);
    for row in 0..count {
        let number = Value::Integer(i64::try_from(row).expect("it is small"));
        fields::set(&mut batch, row, &reference, number).expect("it can be set");
        if with_identity {
            batch.set_identity(row, row as u128 + 1);
        }
    }
    Arc::new(batch)
}

fn reasons(folder: &Path) -> Vec<String> {
    let mut reasons = Vec::new();
    for segment in segments(folder).expect("there is a folder") {
        for line in std::fs::read_to_string(segment.path).expect("it can be read").lines() {
            let letter = DeadLetter::from_line(line).expect("it was written whole").letter;
            reasons.push(format!("{} {}", letter.event, letter.reason));
        }
    }
    reasons
}

fn bulk_requests(fake: &FakeElasticsearch) -> Vec<String> {
    let requests = fake.requests().into_iter().filter(|seen| seen.request.path.ends_with("/_bulk"));
    requests.map(|seen| String::from_utf8_lossy(&seen.request.body).into_owned()).collect()
}

/// All documents are stored, each once.
fn check_stored_once(fake: &FakeElasticsearch, count: usize, what: &str) {
    let documents = fake.documents();
    assert_eq!(fake.count(), count, "{what}");
    for (id, document) in &documents["idx"] {
        assert_eq!(document.version, 1, "{what}: {id}");
        let number = document.json()["n"].as_u64().expect("it is a number");
        let identity = (u128::from(number) + 1).to_be_bytes();
        let expected = base64::Engine::encode(&base64::engine::general_purpose::URL_SAFE_NO_PAD, identity);
        assert_eq!(*id, expected, "{what}");
    }
}

#[tokio::test]
async fn no_fault_of_a_request_loses_or_doubles_anything() {
    let mut faults = vec![
        Fault::RetryAfter(1),
        Fault::StatusAfterCommit(504),
        Fault::ResetBeforeCommit,
        Fault::ResetAfterCommit,
        Fault::Slow(Duration::from_millis(600)),
        Fault::TruncatedJson,
        Fault::CutBody,
        Fault::ItemMissing,
    ];
    faults.extend([301, 400, 401, 403, 404, 408, 413, 429, 500, 502, 503, 504].map(Fault::Status));
    for fault in faults {
        let fake = FakeElasticsearch::start();
        // Refused twice for one event in it, a request of three would have found its event.
        let is_for_an_event = matches!(fault, Fault::Status(400 | 413));
        let times = if is_for_an_event { 1 } else { 2 };
        fake.faults().bulk.extend(std::iter::repeat_n(Some(fault.clone()), times));
        let fixture = open_to(&fake, "timeout = 0.2").await;
        let delivery = fixture.output.send(events(3, true)).await.expect("it goes on until it is delivered");
        assert_eq!(delivery, Delivery { delivered: 3, ..Delivery::default() }, "{fault:?}");
        check_stored_once(&fake, 3, &format!("{fault:?}"));
        assert_eq!(reasons(fixture.folder.path()), Vec::<String>::new(), "{fault:?}");
        assert!(bulk_requests(&fake).len() >= 3, "{fault:?}");
        assert!(fixture.waiting.current().is_none());
    }
}

#[tokio::test]
async fn a_repeated_delivery_changes_nothing() {
    let fake = FakeElasticsearch::start();
    let fixture = open_to(&fake, "").await;
    for _ in 0..2 {
        let delivery = fixture.output.send(events(5, true)).await.expect("it is delivered");
        assert_eq!(delivery, Delivery { delivered: 5, ..Delivery::default() });
    }
    check_stored_once(&fake, 5, "again");
    assert_eq!(fixture.output.send(events(0, true)).await.expect("nothing to do"), Delivery::default());
    assert_eq!(bulk_requests(&fake).len(), 2);
}

#[tokio::test]
async fn a_conflict_that_the_user_asked_for_drops_the_event() {
    let fake = FakeElasticsearch::start();
    let fixture = open_to(&fake, "action = \"create\"\ndocument_id = \"%{n}\"").await;
    fixture.output.send(events(2, true)).await.expect("it is delivered");
    let delivery = fixture.output.send(events(3, true)).await.expect("it is answered");
    assert_eq!(delivery, Delivery { delivered: 1, dropped: 2, dead_lettered: 0 });
}

#[tokio::test]
async fn only_failed_items_are_sent_again() {
    for fault in [ItemFault::rejected(), ItemFault::unavailable(), ItemFault::cluster_block()] {
        let fake = FakeElasticsearch::start();
        let mut left = 2;
        let status = fault.status;
        fake.faults().items = Some(Box::new(move |item| {
            let fails = item.source.contains("\"n\":1") && left > 0;
            left -= usize::from(fails);
            fails.then(|| fault.clone())
        }));
        let fixture = open_to(&fake, "").await;
        let delivery = fixture.output.send(events(3, true)).await.expect("it is delivered");
        assert_eq!(delivery, Delivery { delivered: 3, ..Delivery::default() }, "{status}");
        check_stored_once(&fake, 3, &status.to_string());
        let lines: Vec<usize> = bulk_requests(&fake).iter().map(|body| body.lines().count()).collect();
        assert_eq!(lines, [6, 2, 2], "{status}");
    }
}

#[tokio::test]
async fn what_can_never_be_stored_is_set_aside() {
    let fake = FakeElasticsearch::start();
    fake.faults().items =
        Some(Box::new(|item| item.source.contains("\"n\":1").then(ItemFault::mapper_parsing)));
    let fixture = open_to(&fake, "").await;
    let delivery = fixture.output.send(events(3, true)).await.expect("it is answered");
    assert_eq!(delivery, Delivery { delivered: 2, dead_lettered: 1, dropped: 0 });
    check_stored_once(&fake, 2, "mapping");
    let reasons = reasons(fixture.folder.path());
    let expected = r#"{"n":1} status 400: mapper_parsing_exception: failed to parse field"#;
    assert!(reasons.len() == 1 && reasons[0].starts_with(expected), "{reasons:?}");
}

#[tokio::test]
async fn events_that_cannot_be_asked_for_are_set_aside() {
    let fake = FakeElasticsearch::start();
    let fixture = open_to(&fake, "document_id = \"%{id}\"").await;
    let mut batch = Batch::clone(&events(3, false));
    let id = FieldReference::from_fragments(["id"]);
    for (row, text) in ["x".repeat(513), String::new(), "right".to_owned()].iter().enumerate() {
        fields::set(&mut batch, row, &id, Value::Text(text)).expect("it can be set");
    }
    let delivery = fixture.output.send(Arc::new(batch)).await.expect("it is answered");
    assert_eq!(delivery, Delivery { delivered: 1, dead_lettered: 2, dropped: 0 });
    assert_eq!(fake.documents()["idx"].keys().collect::<Vec<_>>(), ["right"]);
    assert!(reasons(fixture.folder.path())[0].contains("513 bytes"));
}

#[tokio::test]
async fn a_request_that_is_too_large_is_halved() {
    let fake = FakeElasticsearch::start();
    fake.faults().body_limit = Some(200);
    let fixture = open_to(&fake, "").await;
    let mut batch = Batch::clone(&events(9, true));
    let big = FieldReference::from_fragments(["big"]);
    fields::set(&mut batch, 4, &big, Value::Text(&"x".repeat(300))).expect("it can be set");
    let delivery = fixture.output.send(Arc::new(batch)).await.expect("it is answered");
    assert_eq!(delivery, Delivery { delivered: 8, dead_lettered: 1, dropped: 0 });
    check_stored_once(&fake, 8, "halved");
    assert!(reasons(fixture.folder.path())[0].contains("413"));
}

#[tokio::test]
async fn bodies_are_cut_and_compressed() {
    let fake = FakeElasticsearch::start();
    let fixture = open_to(&fake, "bulk_bytes = 200\ncompression_level = 1").await;
    fixture.output.send(events(20, true)).await.expect("it is delivered");
    check_stored_once(&fake, 20, "cut");
    let requests: Vec<_> = fake.requests().into_iter().filter(|seen| seen.request.path == "/_bulk").collect();
    assert!(requests.len() > 5);
    assert!(requests.iter().all(|seen| seen.compressed && seen.request.body.len() <= 200));
}

#[tokio::test]
async fn a_stop_leaves_what_is_not_stored_unacknowledged() {
    let fake = FakeElasticsearch::start();
    let fixture = open_to(&fake, "").await;
    fake.faults().items = Some(Box::new(|_| Some(ItemFault::rejected())));
    let output = fixture.output.clone();
    let sending = tokio::spawn(async move { output.send(events(3, true)).await });
    while bulk_requests(&fake).len() < 3 {
        tokio::task::yield_now().await;
    }
    let (_, reason) = fixture.waiting.current().expect("it waits");
    assert!(reason.contains("3 of 3 events: status 429"), "{reason}");
    fixture.stop.cancel();
    let error = sending.await.expect("it does not panic").expect_err("nothing was stored");
    assert!(error.downcast_ref::<NotAcknowledged>().is_some(), "{error:#}");
}

/// Waits until the output says that it waits for something, and answers what.
async fn waits_for(waiting: &Waiting) -> String {
    loop {
        if let Some((_, reason)) = waiting.current() {
            return reason;
        }
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_server_that_is_not_there_yet_is_waited_for() {
    let port = {
        let fake = FakeElasticsearch::start();
        fake.url().rsplit_once(':').expect("a URL has a port").1.parse().expect("a port is a number")
    };
    let fixture = try_open(&[format!("http://127.0.0.1:{port}")], "").await.expect("it can be opened");
    let output = fixture.output.clone();
    let sending = tokio::spawn(async move { output.send(events(3, true)).await });
    let reason = waits_for(&fixture.waiting).await;
    assert!(reason.starts_with(&format!("cannot reach http://127.0.0.1:{port}")), "{reason}");
    let fake = FakeElasticsearch::start_at(port).expect("the port was free a moment ago");
    sending.await.expect("it does not panic").expect("it is delivered");
    check_stored_once(&fake, 3, "late");
}

#[tokio::test]
async fn refused_credentials_are_waited_for_with_advice() {
    let fake = FakeElasticsearch::start();
    fake.faults().authorization = Some("Basic dTpw".to_owned());
    let fixture = open_to(&fake, "user = \"u\"\npassword = \"wrong\"").await;
    let output = fixture.output.clone();
    let sending = tokio::spawn(async move { output.send(events(3, true)).await });
    let reason = waits_for(&fixture.waiting).await;
    assert!(reason.contains("401: check the credentials"), "{reason}");
    fake.faults().authorization = None;
    sending.await.expect("it does not panic").expect("it is delivered");

    fake.faults().authorization = Some("Basic dTpw".to_owned());
    let fixture = open_to(&fake, "user = \"u\"\npassword = \"p\"").await;
    fixture.output.send(events(3, true)).await.expect("it is delivered");
    check_stored_once(&fake, 3, "credentials");
}

#[tokio::test]
async fn the_template_is_put_before_the_first_document() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = folder.path().join("t.json");
    let write = |text: &str| std::fs::write(&file, text).expect("it can be written");
    let option = format!("template = {:?}", file.display().to_string());
    write(r#"{"index_patterns":["idx*"],"order":1}"#);

    let fake = FakeElasticsearch::start();
    open_to(&fake, &option).await.output.send(events(1, true)).await.expect("it is delivered");
    let paths: Vec<String> = fake.requests().iter().map(|seen| seen.request.path.clone()).collect();
    assert_eq!(paths, ["/", "/_template/p", "/_template/p", "/_bulk"]);
    let order = |fake: &FakeElasticsearch| fake.templates()["_template/p"]["order"].clone();
    assert_eq!(order(&fake), 1);

    write(r#"{"index_patterns":["idx*"],"order":2}"#);
    open_to(&fake, &option).await.output.send(events(1, true)).await.expect("it is delivered");
    assert_eq!(order(&fake), 1);
    let overwrite = format!("{option}\ntemplate_overwrite = true");
    open_to(&fake, &overwrite).await.output.send(events(1, true)).await.expect("it is delivered");
    assert_eq!(order(&fake), 2);

    write(r#"{"index_patterns":["idx*"],"template":{}}"#);
    let error = open_to(&fake, &option)
        .await
        .output
        .send(events(1, true))
        .await
        .expect_err("7.1 has no such templates");
    assert!(format!("{error:#}").contains("does not know"), "{error:#}");
    fake.set_version("2.19.6", Some("opensearch"));
    let named = format!("{option}\ntemplate_name = \"n\"");
    open_to(&fake, &named).await.output.send(events(1, true)).await.expect("it is delivered");
    assert!(fake.templates().contains_key("_index_template/n"));

    fake.set_version("6.8.0", None);
    let error = open_to(&fake, "").await.output.send(events(1, true)).await.expect_err("it is too old");
    assert!(format!("{error:#}").contains("Elasticsearch 6.8"), "{error:#}");
    let missing =
        try_open(&[fake.url()], "template = \"none.json\"").await.err().expect("there is no such file");
    assert!(format!("{missing:#}").contains("none.json"), "{missing:#}");
}

#[tokio::test]
async fn a_dead_host_is_left_out_and_comes_back() {
    let (first, second) = (FakeElasticsearch::start(), FakeElasticsearch::start());
    let port =
        second.url().rsplit_once(':').and_then(|(_, port)| port.parse().ok()).expect("a URL has a port");
    let hosts = [first.url(), second.url()];
    let fixture = try_open(&hosts, "resurrect_delay = \"5ms\"").await.expect("it can be opened");
    fixture.output.send(events(1, true)).await.expect("it is delivered");
    drop(second);
    for _ in 0..10 {
        fixture.output.send(events(1, true)).await.expect("it is delivered by the other one");
    }
    let second = FakeElasticsearch::start_at(port).expect("the port was free a moment ago");
    while bulk_requests(&second).is_empty() {
        fixture.output.send(events(1, true)).await.expect("it is delivered");
    }
    assert!(!bulk_requests(&first).is_empty());
}

#[tokio::test]
async fn the_document_is_the_event_without_metadata() {
    let fake = FakeElasticsearch::start();
    let fixture = open_to(&fake, "pipeline = \"%{[@metadata][p]}\"").await;
    let mut batch = Batch::clone(&events(1, true));
    let event = serde_json::json!({"p": "ingest", "q": 1});
    fields::set_json(&mut batch, 0, &FieldReference::from_fragments(["@metadata"]), &event)
        .expect("it can be set");
    fixture.output.send(Arc::new(batch)).await.expect("it is delivered");
    let body = bulk_requests(&fake).remove(0);
    let lines: Vec<Json> = body.lines().map(|line| serde_json::from_str(line).expect("it is JSON")).collect();
    let id = "AAAAAAAAAAAAAAAAAAAAAQ";
    assert_eq!(lines[0], serde_json::json!({"create": {"_index": "idx", "_id": id, "pipeline": "ingest"}}));
    assert_eq!(lines[1], serde_json::json!({"n": 0}));
}
