//! The CloudWatch Logs input against moto, a server that Weir had no part in: what is put there comes once, over runs
//! that end, that are killed, and with events that come late.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value as Json, json};
use tokio_util::sync::CancellationToken;
use weir::config::Section;
use weir::event::Documents;
use weir::input::{self, InputContext};
use weir::ledger::Ledger;
use weir_test_support::http_client::cloudwatch_logs;
use weir_test_support::servers::Server;

const GROUP: &str = "/aws/route53/example.name";
const STREAMS: usize = 6;

/// Puts one event a line on a stream, all at about the same time.
fn put(url: &str, stream: usize, time: i64, lines: &[String]) {
    for chunk in lines.chunks(5000) {
        let event = |(number, line): (usize, &String)| json!({"timestamp": time + number as i64 / 100, "message": line});
        let events: Vec<Json> = chunk.iter().enumerate().map(event).collect();
        let stream = format!("Z1CV60OKBEMYL2/{stream}");
        let parameters = json!({"logGroupName": GROUP, "logStreamName": stream, "logEvents": events});
        cloudwatch_logs(url, "PutLogEvents", &parameters).expect("moto takes events");
    }
}

/// Reads up to now with the ledger of this folder, at most so many batches; how often each message was acknowledged.
fn read(url: &str, state_dir: &Path, batches: usize, counts: &mut HashMap<String, usize>) -> usize {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("threads");
    let options = format!(
        "type = \"cloudwatch_logs\"\nlog_group = \"{GROUP}\"\nendpoint_url = \"{url}\"\naccess_key_id = \"test\"\n\
         secret_access_key = \"test\"\nrequests_per_second = 1000"
    );
    let options = input::read_options(&mut Section::parse(&options)).expect("the options are right");
    let ledger = Ledger::open(state_dir).expect("the folder is free");
    runtime.block_on(async {
        let context = InputContext {
            name: "moto".to_owned(),
            names: Arc::default(),
            ledger: ledger.input("moto"),
            batch_size: 1024,
            batch_delay: Duration::from_millis(50),
            stop: CancellationToken::new(),
            once: true,
            decoration: options.decoration,
            codec: options.codec,
        };
        let mut input = input::open(options.source, context).await.expect("it has credentials");
        let mut found = 0;
        for _ in 0..batches {
            let Some(read) = input.next().await.expect("moto answers") else { break };
            let mut documents = Documents::new(&read.events);
            for row in 0..read.events.rows() {
                let document: Json = serde_json::from_str(&documents.text(row)).expect("documents are JSON");
                let own = &document["cloudwatch_logs"];
                assert_eq!(own["log_group"], GROUP);
                assert!(own["log_stream"].as_str().is_some_and(|name| name.starts_with("Z1CV60OKBEMYL2/")));
                assert!(own["event_id"].is_string() && own["ingestion_time"].is_string());
                let message = document["message"].as_str().expect("it is text").to_owned();
                *counts.entry(message).or_default() += 1;
                found += 1;
            }
            ledger.commit(&[("moto", &read.position)]).expect("the disk takes it");
        }
        found
    })
}

#[test]
fn what_is_in_moto_comes_once() {
    let Some(server) = Server::moto() else { return };
    let url = server.url();
    let folder = tempfile::tempdir().expect("a folder");
    cloudwatch_logs(&url, "CreateLogGroup", &json!({"logGroupName": GROUP})).expect("moto makes a group");
    let now = chrono::Utc::now().timestamp_millis();
    let mut lines = 0;
    for stream in 0..STREAMS {
        let name = format!("Z1CV60OKBEMYL2/{stream}");
        let parameters = json!({"logGroupName": GROUP, "logStreamName": name});
        cloudwatch_logs(&url, "CreateLogStream", &parameters).expect("moto makes a stream");
        // From twelve days ago to an hour ago; more than a page in all.
        let texts: Vec<String> = (0..2500).map(|number| format!("stream {stream} line {number}")).collect();
        let days_ago = 12 - 2 * stream as i64;
        put(&url, stream, now - (days_ago * 86_400_000).max(3_600_000), &texts);
        lines += texts.len();
    }
    let mut counts = HashMap::new();
    // Ended in the middle: what was not acknowledged is read again, nothing else.
    let first = read(&url, folder.path(), 5, &mut counts);
    assert_eq!(first, 5 * 1024);
    let rest = read(&url, folder.path(), usize::MAX, &mut counts);
    assert_eq!(first + rest, lines);
    assert!(counts.len() == lines && counts.values().all(|count| *count == 1));
    assert_eq!(read(&url, folder.path(), usize::MAX, &mut counts), 0, "a second run finds nothing new");
    // Of times that were read already.
    put(&url, 0, now - 1_800_000, &["late".to_owned()]);
    put(&url, 1, now - 1_000, &["new".to_owned(), "and another".to_owned()]);
    assert_eq!(read(&url, folder.path(), usize::MAX, &mut counts), 3);
    assert_eq!(read(&url, folder.path(), usize::MAX, &mut counts), 0);
}
