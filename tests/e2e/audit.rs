//! `weir audit` as a user meets it: all there, documents gone behind its back, fetched again; what was set aside, dropped or
//! not read yet told apart from what is missing; beside a running pipeline and after one that was killed.

use std::collections::BTreeSet;
use std::time::Instant;

use serde_json::{Value, json};
use weir_test_support::cloudwatch::Fault;
use weir_test_support::elasticsearch::{self, ItemFault};
use weir_test_support::http_client::call;
use weir_test_support::weir::{Ended, PATIENCE};
use weir_test_support::{FakeCloudWatch, FakeElasticsearch, Server, Setting};

use crate::empty_setting;

const GROUP: &str = "/audited/group";
/// 2020-02-23T17:00:00Z, in milliseconds.
const BEGIN: i64 = 1_582_477_200_000;
const SPAN: [&str; 4] = ["--since", "2020-02-23T17:00:00Z", "--until", "2020-02-23T19:00:00Z"];

const INPUT: &str = r#"
[pipeline]
state_dir = "state"
batch_size = 16

[input]
type = "cloudwatch_logs"
log_group = ["/audited/group"]
endpoint_url = "${WEIR_CLOUDWATCH_ENDPOINT}"
interval = "100ms"
requests_per_second = 1000
"#;

const FILTERS: &str = r#"
[[filter]]
use = "dissect"
mapping.message = "%{number} %{time}"
on_error = "drop"

[[filter]]
use = "date"
match = ["time", "ISO8601"]
target = "parsed"
on_error = "dead_letter"
"#;

const OUTPUT: &str = r#"
type = "elasticsearch"
hosts = ["${WEIR_ELASTICSEARCH}"]
retry_initial_interval = "10ms"
retry_max_interval = "50ms"
"#;

struct World {
    setting: Setting,
    cloudwatch: FakeCloudWatch,
    elasticsearch: FakeElasticsearch,
    pipeline: String,
}

impl World {
    /// A pipeline with these filters and outputs.
    fn new(rest: &str) -> Self {
        let (cloudwatch, elasticsearch) = (FakeCloudWatch::start(), FakeElasticsearch::start());
        let mut setting = empty_setting();
        setting.set("WEIR_CLOUDWATCH_ENDPOINT", &cloudwatch.url());
        setting.set("WEIR_ELASTICSEARCH", &elasticsearch.url());
        let pipeline = setting.write("pipeline.toml", &format!("{INPUT}{rest}"));
        World { setting, cloudwatch, elasticsearch, pipeline }
    }

    /// Puts an event every three minutes from [`BEGIN`] on; answers their ids.
    fn put(&self, count: i64, message: impl Fn(i64) -> String) -> Vec<String> {
        let time = |number: i64| BEGIN + number * 180_000;
        (0..count).map(|number| self.cloudwatch.put(GROUP, "s", time(number), &message(number))).collect()
    }

    fn run_once(&self) {
        self.setting.run(&["run", "--once", &self.pipeline]).expect_code(0);
    }

    fn audit(&self, arguments: &[&str]) -> Ended {
        self.setting.run(&[&["audit", &self.pipeline], arguments].concat())
    }

    /// Lines of one kind, and the exit code that is expected.
    #[track_caller]
    fn audit_json(&self, arguments: &[&str], code: i32) -> Audit {
        let ended = self.audit(&[arguments, &["--format", "json"]].concat()).expect_code(code);
        let lines = std::str::from_utf8(&ended.stdout).unwrap().lines();
        Audit(lines.map(|line| serde_json::from_str(line).unwrap()).collect())
    }

    /// Ids of all documents.
    fn ids(&self) -> Vec<String> {
        let documents = self.elasticsearch.documents();
        documents.values().flat_map(|documents| documents.keys().cloned()).collect()
    }
}

struct Audit(Vec<Value>);

impl Audit {
    fn of_kind(&self, kind: &str) -> Vec<&Value> {
        self.0.iter().filter(|line| line["kind"] == kind).collect()
    }

    fn total(&self, name: &str) -> u64 {
        self.of_kind("total")[0][name].as_u64().unwrap()
    }

    fn missing(&self, name: &str) -> BTreeSet<String> {
        self.of_kind("missing").iter().map(|event| event[name].as_str().unwrap().to_owned()).collect()
    }
}

fn text(ended: &Ended) -> String {
    String::from_utf8(ended.stdout.clone()).unwrap()
}

fn line(number: i64) -> String {
    format!("{number} 2020-02-23T17:08:41Z")
}

fn one_output(index: &str) -> String {
    format!("{FILTERS}[output]\n{OUTPUT}index = \"{index}\"\n")
}

#[test]
fn what_is_gone_is_told_and_fetched() {
    let world = World::new(&one_output("logs-%{+yyyy.MM.dd}"));
    let event_ids = world.put(40, line);
    world.run_once();
    let audit = world.audit_json(&SPAN, 0);
    let hours: Vec<_> = audit.of_kind("hour").iter().map(|hour| hour["stored"].as_u64().unwrap()).collect();
    assert_eq!(hours, [20, 20]);
    assert_eq!(
        audit.of_kind("hour")[0]["ledger"],
        json!({"closed": 60, "settling": 0, "open": 0, "not_begun": 0, "ids": 0})
    );
    assert_eq!(audit.of_kind("hour")[1]["from"], "2020-02-23T18:00:00Z");
    assert_eq!((audit.total("events"), audit.total("missing")), (40, 0));

    let before = world.elasticsearch.documents();
    let gone: BTreeSet<String> = world.ids().into_iter().step_by(17).collect();
    assert!(gone.iter().all(|id| world.elasticsearch.remove(id)));
    let audit = world.audit_json(&SPAN, 1);
    assert_eq!(audit.missing("document_id"), gone);
    assert_eq!((audit.total("missing"), audit.total("stored")), (3, 37));
    // The service's ids lead to the very events.
    let numbers = |ids: &BTreeSet<String>| -> BTreeSet<String> {
        let documents = before["logs-2020.02.23"].iter().filter(|(id, _)| ids.contains(*id));
        documents.map(|(_, document)| document.json()["number"].as_str().unwrap().to_owned()).collect()
    };
    let by_event_id = audit.missing("event_id");
    let of_event_ids = event_ids.iter().zip(0..).filter(|(id, _)| by_event_id.contains(*id));
    assert_eq!(of_event_ids.map(|(_, number)| number.to_string()).collect::<BTreeSet<_>>(), numbers(&gone));
    let shown = text(&world.audit(&SPAN).expect_code(1));
    for text in [
        "2020-02-23T17:00:00Z  60 closed",
        "40 events in CloudWatch Logs: 37 stored, 3 missing",
        "not in elasticsearch",
        "--fetch",
    ] {
        assert!(shown.contains(text), "{text:?} is not in\n{shown}");
    }

    let fetched = world.audit_json(&[&SPAN[..], &["--fetch"]].concat(), 0);
    assert_eq!((fetched.total("missing"), fetched.total("fetched")), (3, 3));
    assert_eq!(world.elasticsearch.documents(), before, "all there again, and _version 1");
    assert_eq!(world.audit_json(&SPAN, 0).total("stored"), 40);
    // Positions are as they were: a next run has nothing to do.
    let requests = |kind: &str| {
        world.elasticsearch.requests().iter().filter(|seen| seen.request.path.ends_with(kind)).count()
    };
    let bulks = requests("/_bulk");
    world.run_once();
    assert_eq!(requests("/_bulk"), bulks);
}

#[test]
fn what_was_set_aside_dropped_or_not_read_is_not_missing() {
    let world = World::new(&one_output("logs"));
    world.elasticsearch.faults().items = Some(Box::new(|item| {
        let document: Value = serde_json::from_str(&item.source).unwrap();
        document["number"].as_str().unwrap().ends_with('7').then(ItemFault::mapper_parsing)
    }));
    world.put(40, |number| match number % 10 {
        3 => format!("{number} never"),
        5 => "noise".to_owned(),
        _ => line(number),
    });
    world.run_once();
    let audit = world.audit_json(&SPAN, 0);
    let numbers = ["events", "stored", "set_aside", "dropped_by_rule", "missing", "not_read"];
    assert_eq!(numbers.map(|name| audit.total(name)), [40, 28, 8, 4, 0, 0]);

    // One that became visible after its window was closed was never read; one of now is not read yet.
    let late = world.cloudwatch.put(GROUP, "s", BEGIN + 1000, &line(41));
    let now = chrono::Utc::now();
    world.cloudwatch.put(GROUP, "s", now.timestamp_millis(), &line(42));
    let audit = world.audit_json(&SPAN, 1);
    assert_eq!(audit.missing("event_id"), [late.clone()].into());
    let until = (now + chrono::Duration::minutes(1)).to_rfc3339();
    let audit = world.audit_json(&["--since", "5m", "--until", &until], 0);
    assert_eq!(numbers.map(|name| audit.total(name)), [1, 0, 0, 0, 0, 1]);

    // A letter that was given up, and is set aside again.
    world.setting.run(&["dlq", "remove", &world.pipeline, "--plugin", "date"]).expect_code(0);
    let audit = world.audit_json(&[&SPAN[..], &["--fetch"]].concat(), 0);
    assert_eq!((audit.total("missing"), audit.total("set_aside")), (5, 4));
    let audit = world.audit_json(&SPAN, 0);
    assert_eq!(numbers.map(|name| audit.total(name)), [41, 29, 8, 4, 0, 0]);
}

#[test]
fn each_output_has_what_its_condition_takes() {
    let rest = format!(
        "{FILTERS}[[output]]\nid = \"all\"\n{OUTPUT}index = \"all-%{{+yyyy}}\"\n\
         [[output]]\nid = \"even\"\nwhen = '[number] =~ \"[02468]$\"'\n{OUTPUT}index = \"even\"\n\
         [[output]]\ntype = \"file\"\npath = \"out.ndjson\"\n"
    );
    let world = World::new(&rest);
    world.put(20, line);
    world.run_once();
    let ended = world.audit(&SPAN).expect_code(0);
    ended.expect_log("output file (file) cannot be asked");
    assert!(text(&ended).contains("20 events in CloudWatch Logs: 20 stored, 0 missing"), "{}", text(&ended));
    let audit = world.audit_json(&SPAN, 0);
    let outputs = &audit.of_kind("total")[0]["outputs"];
    assert_eq!((&outputs[0]["documents"], &outputs[1]["documents"]), (&json!(20), &json!(10)));

    let even = world.elasticsearch.documents()["even"].keys().next().unwrap().clone();
    let written = std::fs::read(world.setting.folder().join("out.ndjson")).unwrap();
    world.elasticsearch.remove(&even);
    // It is taken out of the first index that has it.
    let audit = world.audit_json(&SPAN, 1);
    assert_eq!(audit.missing("document_id"), [even.clone()].into());
    assert_eq!(audit.of_kind("missing")[0]["outputs"], json!(["all"]));
    world.audit_json(&[&SPAN[..], &["--fetch"]].concat(), 0);
    assert_eq!(world.audit_json(&SPAN, 0).total("stored"), 20);
    let documents = world.elasticsearch.documents();
    assert!(
        documents.values().flat_map(|documents| documents.values()).all(|document| document.version == 1)
    );
    assert_eq!(std::fs::read(world.setting.folder().join("out.ndjson")).unwrap(), written);
}

#[test]
fn documents_with_ids_of_the_users_own_are_counted() {
    let rest = format!("{FILTERS}[output]\n{OUTPUT}index = \"logs\"\ndocument_id = \"n%{{number}}\"\n");
    let world = World::new(&rest);
    world.put(40, |number| if number == 5 { "noise".to_owned() } else { line(number) });
    world.run_once();
    let ended = world.audit(&SPAN).expect_code(0);
    ended.expect_log("only numbers are compared");
    assert!(
        text(&ended).contains("elasticsearch has 39 documents of that time and should have 39"),
        "{}",
        text(&ended)
    );
    assert!(world.elasticsearch.remove("n7"));
    let ended = world.audit(&SPAN).expect_code(1);
    assert!(text(&ended).contains("1 fewer; which ones cannot be told"), "{}", text(&ended));
    let audit = world.audit_json(&SPAN, 1);
    assert_eq!(
        (audit.total("dropped_by_rule"), audit.total("uncompared"), audit.total("missing")),
        (1, 39, 0)
    );
    let hours = audit.of_kind("hour");
    assert_eq!(hours[0]["outputs"][0]["documents"], 18, "{}", hours[0]);
    assert_eq!(hours[0]["outputs"][0]["expected"], 19);
}

#[test]
fn a_running_pipeline_is_asked_and_a_killed_one_is_not_needed() {
    let world = World::new(&one_output("logs"));
    let now = chrono::Utc::now().timestamp_millis();
    for number in 0..20 {
        world.cloudwatch.put(GROUP, "s", now - 600_000 + number, &line(number));
    }
    let running = world.setting.start(&["run", &world.pipeline]);
    assert!(world.elasticsearch.wait_for(PATIENCE, |_| world.elasticsearch.count() == 20));
    assert_eq!(world.audit_json(&["--since", "1h"], 0).total("stored"), 20);
    let gone = world.ids()[0].clone();
    world.elasticsearch.remove(&gone);
    // Its window still settles: it is missing from the moment on when the ledger says that it was delivered.
    let begun = Instant::now();
    let audit = loop {
        let ended = world.audit(&["--since", "1h", "--format", "json"]);
        if ended.code == Some(1) {
            break text(&ended);
        }
        assert!(begun.elapsed() < PATIENCE, "{}", text(&ended));
    };
    assert!(audit.contains(&gone) && audit.contains("\"ids\":20"), "{audit}");
    running.kill();
    assert_eq!(world.audit_json(&["--since", "1h"], 1).missing("document_id"), [gone.clone()].into());
    let running = world.setting.start(&["run", &world.pipeline]);
    running.wait_for_log("started");
    world.audit_json(&["--since", "1h", "--fetch"], 0);
    running.stop().expect_code(0);
    assert_eq!(world.audit_json(&["--since", "1h"], 0).total("stored"), 20);
    assert_eq!(world.elasticsearch.count(), 20);
}

#[test]
fn pages_tokens_and_errors_of_the_service_change_nothing() {
    let world = World::new(&one_output("logs"));
    // Three events of a millisecond each, so that pages end in the middle of one.
    let put = |number: i64| world.cloudwatch.put(GROUP, "s", BEGIN + number / 3 * 60_000, &line(number));
    let event_ids: Vec<String> = (0..200).map(put).collect();
    world.run_once();
    let gone = world.ids()[7].clone();
    let number = world.elasticsearch.documents()["logs"][&gone].json()["number"].as_str().unwrap().to_owned();
    world.elasticsearch.remove(&gone);
    {
        let mut faults = world.cloudwatch.faults();
        (faults.short_pages, faults.empty_pages, faults.trailing_token) = (Some(7), 2, true);
        // One of many tokens is refused: the reading goes on at the last millisecond.
        faults.script.extend(std::iter::repeat_n(None, 20));
        faults.script.push_back(Some(Fault::InvalidParameter));
        faults.script.extend([Some(Fault::Throttling), Some(Fault::Reset), Some(Fault::ServiceUnavailable)]);
    }
    world.elasticsearch.faults().other.extend([None, Some(elasticsearch::Fault::Status(503))]);
    let audit = world.audit_json(&SPAN, 1);
    assert_eq!((audit.total("events"), audit.total("stored")), (200, 199));
    let event_id = event_ids[number.parse::<usize>().unwrap()].clone();
    assert_eq!(audit.missing("event_id"), [event_id].into());

    world.cloudwatch.faults().groups.insert(GROUP.to_owned(), Fault::AccessDenied);
    world.audit(&SPAN).expect_code(1).expect_log("AccessDeniedException");
}

#[test]
fn what_is_older_than_the_beginning_is_not_missing() {
    let world = World::new(&one_output("logs"));
    let text = std::fs::read_to_string(&world.pipeline).unwrap();
    let back = "[\"/audited/group\"]\nstart_position = 7200\nlookback = \"0s\"";
    world.setting.write("pipeline.toml", &text.replace("[\"/audited/group\"]", back));
    let now = chrono::Utc::now().timestamp_millis();
    for minutes in [10, 20, 130, 140, 150] {
        world.cloudwatch.put(GROUP, "s", now - minutes * 60_000, &line(minutes));
    }
    world.run_once();
    let audit = world.audit_json(&["--since", "3h"], 0);
    assert_eq!((audit.total("stored"), audit.total("not_read"), audit.total("missing")), (2, 3, 0));
    let begun =
        audit.of_kind("hour").iter().map(|hour| hour["ledger"]["not_begun"].as_u64().unwrap()).sum::<u64>();
    assert!((58..62).contains(&begun), "{begun}");
}

#[test]
fn real_servers_are_asked_in_the_same_words() {
    for server in [Server::elasticsearch(), Server::opensearch()].into_iter().flatten() {
        let mut world = World::new(&one_output("logs-%{+yyyy.MM.dd}"));
        let url = server.url();
        world.setting.set("WEIR_ELASTICSEARCH", &url);
        // No index is there yet.
        world.put(1, line);
        assert_eq!(world.audit_json(&SPAN, 0).total("not_read"), 1);
        for number in 1..2500 {
            world.cloudwatch.put(GROUP, "s", BEGIN + number * 1000, &line(number));
        }
        world.run_once();
        assert_eq!(world.audit_json(&SPAN, 0).total("stored"), 2500);
        let ask = |method: &str, path: &str, body: Value| -> Value {
            let body = if body.is_null() { String::new() } else { body.to_string() };
            let headers = [("content-type", "application/json")];
            let answer = call(method, &format!("{url}{path}"), &headers, body).unwrap();
            assert!(answer.status < 300, "{}", String::from_utf8_lossy(&answer.body));
            answer.json()
        };
        let some = json!({"query": {"range": {"@timestamp": {"lt": "2020-02-23T17:00:07Z"}}}});
        let found = ask("POST", "/logs-*/_search", some.clone());
        let found = found["hits"]["hits"].as_array().unwrap().iter();
        let gone: BTreeSet<String> = found.map(|hit| hit["_id"].as_str().unwrap().to_owned()).collect();
        assert_eq!(gone.len(), 7);
        ask("POST", "/logs-*/_delete_by_query?refresh=true", some.clone());
        assert_eq!(world.audit_json(&SPAN, 1).missing("document_id"), gone);
        assert_eq!(world.audit_json(&[&SPAN[..], &["--fetch"]].concat(), 0).total("fetched"), 7);
        assert_eq!(world.audit_json(&SPAN, 0).total("stored"), 2500);
        // As the words of a span are counted, for documents with ids of the user's own.
        let own = one_output("logs-%{+yyyy.MM.dd}") + "document_id = \"%{number}\"\n";
        world.setting.write("pipeline.toml", &format!("{INPUT}{own}"));
        let audit = world.audit_json(&SPAN, 0);
        assert_eq!(audit.of_kind("total")[0]["outputs"][0]["documents"], 2500);
    }
}

#[test]
fn what_cannot_be_audited_is_said() {
    let world = World::new("[output]\ntype = \"stdout\"\n");
    world.put(5, line);
    let ended = world.audit(&SPAN).expect_code(0);
    ended.expect_log("output stdout (stdout) cannot be asked");
    assert!(
        text(&ended).contains("5 events in CloudWatch Logs: 5 not compared, 0 missing"),
        "{}",
        text(&ended)
    );
    world
        .audit(&["--since", "2020-01-02", "--until", "2020-01-01"])
        .expect_code(2)
        .expect_log("there is no time");
    world.audit(&["--since", "yesterday"]).expect_code(2);
    let other = world.setting.write("other.toml", "[input]\ntype = \"stdin\"\n[output]\ntype = \"stdout\"\n");
    world.setting.run(&["audit", &other]).expect_code(2).expect_log("no input of type cloudwatch_logs");
    let pipeline = world.pipeline.clone();
    world.setting.write(
        "pipeline.toml",
        &std::fs::read_to_string(&pipeline).unwrap().replace("/audited/group", "/none"),
    );
    world.audit(&SPAN).expect_code(1).expect_log("there is no such log group");
}
