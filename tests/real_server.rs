//! A real Elasticsearch 7.1.1 that is in trouble all the way: a write queue of one request, an index that is made read-only
//! and released, a mapping that some events do not fit, and the end of the server in the middle of the stream. All events
//! arrive, each once; those that did not fit arrive by `weir dlq replay` after the mapping is mended.
//!
//! `WEIR_REAL_EVENTS` says how many events there are (20,000; `make real-servers-test`: 200,000).
#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use std::collections::BTreeSet;
use std::fmt::Write;
use std::time::Instant;

use serde_json::{Value, json};
use weir_test_support::http_client::call;
use weir_test_support::weir::Ended;
use weir_test_support::{Server, Setting};

const PIPELINE: &str = r#"
[pipeline]
state_dir = "state"
batch_size = 256
workers = 4

[input]
type = "file"
path = ["lines.ndjson"]
codec = "json"

[[filter]]
use = "dissect"
mapping.text = "%{word} %{number}"

[output]
type = "elasticsearch"
hosts = ["ELASTICSEARCH"]
index = "logs-%{+yyyy.MM.dd}"
retry_initial_interval = "20ms"
retry_max_interval = "250ms"
resurrect_delay = "250ms"
"#;

/// Every so many-th event has a text where the mapping wants a number.
const UNFIT: usize = 500;

/// The indices, one after the other. The second one is made read-only as by a full disk, the third one by hand: the server
/// says which it is.
const INDICES: [&str; 3] = ["logs-2020.02.21", "logs-2020.02.22", "logs-2020.02.23"];
const BLOCKS: [&str; 2] = ["read_only_allow_delete", "write"];

/// The settings of a node that refuses whatever comes while it writes.
const BUSY: &[&str] = &["thread_pool.write.size=1", "thread_pool.write.queue_size=1"];

#[test]
fn every_event_is_there_once() {
    let events: usize = std::env::var("WEIR_REAL_EVENTS").map_or(20_000, |number| number.parse().unwrap());
    let Some(server) = Server::elasticsearch_with(BUSY) else { return };
    let url = server.url();
    for index in INDICES {
        make_index(&url, index);
    }
    block(&url, INDICES[1], BLOCKS[0], true);
    block(&url, INDICES[2], BLOCKS[1], true);
    let setting = Setting::new(env!("CARGO_BIN_EXE_weir"), env!("CARGO_TARGET_TMPDIR"));
    setting.write("lines.ndjson", &lines(events));
    let pipeline = setting.write("pipeline.toml", &PIPELINE.replace("ELASTICSEARCH", &url));

    let started = Instant::now();
    let running = setting.start(&["run", &pipeline]);
    running.wait_for_log("FORBIDDEN/12/index read-only / allow delete (api)");
    block(&url, INDICES[1], BLOCKS[0], false);
    running.wait_for_log("FORBIDDEN/8/index write (api)");
    // Requests flow again the moment the server ends.
    block(&url, INDICES[2], BLOCKS[1], false);
    server.kill();
    running.wait_for_log(&format!("cannot reach {url}"));
    server.restart().unwrap();
    let ended = running.wait().expect_code(0);
    ended.expect_log("es_rejected_execution_exception");
    let seconds = started.elapsed().as_secs_f64();

    let unfit = events.div_ceil(UNFIT);
    let found = all(&url);
    assert_eq!(found.len(), events - unfit);
    assert!(found.iter().all(|n| !n.is_multiple_of(UNFIT)));
    assert_eq!(letters(&setting.run(&["dlq", "list", &pipeline, "--format", "json"]).expect_code(0)), unfit);

    setting.run(&["dlq", "replay", &pipeline]).expect_code(1).expect_log("mapper_parsing_exception");
    for index in INDICES {
        let mended = json!({"properties": {"value": {"type": "integer", "ignore_malformed": true}}});
        ask("PUT", &format!("{url}/{index}/_mapping"), &mended);
    }
    setting.run(&["dlq", "replay", &pipeline]).expect_code(0);
    assert_eq!(all(&url), (0..events).collect());
    assert_eq!(letters(&setting.run(&["dlq", "list", &pipeline, "--format", "json"]).expect_code(0)), 0);
    let refused = ended.stderr.matches("es_rejected_execution_exception").count();
    println!(
        "{events} events in {seconds:.1} s, {refused} requests with items refused (429) in the log, one index after the other \
         read-only, the server killed once, {unfit} dead letters replayed: 0 lost, 0 doubled, all _version 1"
    );
}

/// Events of three days, a third of them each.
fn lines(events: usize) -> String {
    let mut lines = String::new();
    for n in 0..events {
        let value = if n.is_multiple_of(UNFIT) { json!("many") } else { json!(n) };
        let (day, second) = (21 + n * INDICES.len() / events, n % 60);
        writeln!(
            lines,
            r#"{{"n":{n},"@timestamp":"2020-02-{day}T17:08:{second:02}.000Z","text":"word {n}","value":{value}}}"#
        )
        .unwrap();
    }
    lines
}

fn ask(method: &str, url: &str, body: &Value) -> Value {
    let body = if body.is_null() { String::new() } else { body.to_string() };
    let answer = call(method, url, &[("content-type", "application/json")], body).unwrap();
    assert!(answer.status < 300, "{method} {url}: {}", String::from_utf8_lossy(&answer.body));
    answer.json()
}

fn make_index(url: &str, index: &str) {
    let body = json!({
        "settings": {"number_of_shards": 2, "number_of_replicas": 0},
        "mappings": {"properties": {"value": {"type": "integer"}, "text": {"type": "keyword"}}},
    });
    ask("PUT", &format!("{url}/{index}"), &body);
}

/// Blocks an index, or releases it.
fn block(url: &str, index: &str, kind: &str, blocked: bool) {
    let value = if blocked { json!(true) } else { Value::Null };
    let body = json!({format!("index.blocks.{kind}"): value});
    ask("PUT", &format!("{url}/{index}/_settings"), &body);
}

/// The numbers of all events that are stored. Each is there once, as it was, and was written once.
fn all(url: &str) -> BTreeSet<usize> {
    ask("POST", &format!("{url}/_refresh"), &Value::Null);
    let mut found = BTreeSet::new();
    let first = json!({"size": 5000, "version": true, "sort": ["_doc"]});
    let mut page = ask("POST", &format!("{url}/logs-*/_search?scroll=5m"), &first);
    loop {
        let hits = page["hits"]["hits"].as_array().unwrap();
        if hits.is_empty() {
            return found;
        }
        for hit in hits {
            let event = &hit["_source"];
            assert_eq!(hit["_version"], 1, "{hit}");
            let n: usize = event["n"].to_string().parse().unwrap();
            assert!(found.insert(n), "{n} is there twice");
            let day = event["@timestamp"].as_str().unwrap()[..10].replace('-', ".");
            assert_eq!(hit["_index"].as_str().unwrap(), format!("logs-{day}"), "{hit}");
            assert_eq!(event["number"].as_str().unwrap(), n.to_string(), "{hit}");
        }
        let next = json!({"scroll": "5m", "scroll_id": page["_scroll_id"]});
        page = ask("POST", &format!("{url}/_search/scroll"), &next);
    }
}

fn letters(listed: &Ended) -> usize {
    let groups: Value = serde_json::from_slice(&listed.stdout).unwrap();
    let letters = groups.as_array().unwrap().iter().map(|group| group["letters"].as_u64().unwrap());
    usize::try_from(letters.sum::<u64>()).unwrap()
}
