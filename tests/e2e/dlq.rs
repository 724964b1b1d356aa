//! Dead letters as a user meets them: set aside by an output and by a filter, listed, shown, replayed once what kept them
//! out is mended, and removed. A replay that is killed loses and doubles nothing.

use std::collections::BTreeMap;

use serde_json::Value;
use weir_test_support::elasticsearch::{Fault, ItemFault};
use weir_test_support::weir::{Ended, PATIENCE};
use weir_test_support::{FakeElasticsearch, Gate, Setting};

use crate::empty_setting;

const PIPELINE: &str = r#"
[pipeline]
state_dir = "state"
batch_size = 50

[input]
type = "file"
path = ["lines.log"]

[[filter]]
use = "dissect"
mapping.message = "%{number} %{time}"
add_tag = ["dissected"]

[[filter]]
use = "date"
match = ["time", "ISO8601"]
on_error = "dead_letter"

[output]
type = "elasticsearch"
hosts = ["${WEIR_ELASTICSEARCH}"]
index = "lines-%{+yyyy.MM.dd}"
retry_initial_interval = "10ms"
retry_max_interval = "50ms"
"#;

/// Lines of which every tenth has no time: the filter `date` sets them aside.
fn lines(count: usize) -> String {
    let time = |number: usize| if number % 10 == 3 { "never" } else { "2020-02-23T17:08:41Z" };
    (0..count).map(|number| format!("{number} {}\n", time(number))).collect()
}

fn refuse_sevens(fake: &FakeElasticsearch) {
    fake.faults().items = Some(Box::new(|item| {
        let document: Value = serde_json::from_str(&item.source).unwrap();
        document["number"].as_str().unwrap().ends_with('7').then(ItemFault::mapper_parsing)
    }));
}

/// A run of `count` lines: those that end in 7 are refused by the server, in 3 by the filter.
fn set_aside(count: usize) -> (Setting, FakeElasticsearch, String) {
    let fake = FakeElasticsearch::start();
    refuse_sevens(&fake);
    let mut setting = empty_setting();
    setting.set("WEIR_ELASTICSEARCH", &fake.url());
    setting.write("lines.log", &lines(count));
    let pipeline = setting.write("pipeline.toml", PIPELINE);
    setting.run(&["run", &pipeline]).expect_code(0);
    assert_eq!(fake.count(), count / 10 * 8);
    (setting, fake, pipeline)
}

/// What is stored: number, and the document. Every document was written once.
fn stored(fake: &FakeElasticsearch) -> BTreeMap<usize, Value> {
    let mut stored = BTreeMap::new();
    for (index, documents) in fake.documents() {
        for (id, document) in documents {
            assert_eq!(document.version, 1, "{id} was written again");
            let mut json = document.json();
            json["_index"] = index.as_str().into();
            let number = json["number"].as_str().unwrap().parse().unwrap();
            assert!(stored.insert(number, json).is_none(), "{number} is stored twice");
        }
    }
    stored
}

fn json(ended: &Ended) -> Value {
    serde_json::from_slice(&ended.stdout).unwrap()
}

fn groups(setting: &Setting, place: &str) -> Vec<(String, u64)> {
    let listed = json(&setting.run(&["dlq", "list", place, "--format", "json"]).expect_code(0));
    let group =
        |group: &Value| (group["plugin"].as_str().unwrap().to_owned(), group["letters"].as_u64().unwrap());
    listed.as_array().unwrap().iter().map(group).collect()
}

fn text(ended: &Ended) -> String {
    String::from_utf8(ended.stdout.clone()).unwrap()
}

#[test]
fn letters_are_listed_and_shown() {
    let (setting, _fake, pipeline) = set_aside(100);
    let expected = [("date".to_owned(), 10), ("elasticsearch".to_owned(), 10)];
    assert_eq!(groups(&setting, &pipeline), expected);
    let state = setting.folder().join("state").display().to_string();
    assert_eq!(groups(&setting, &state), expected);
    assert_eq!(groups(&setting, &format!("{state}/dead-letter")), expected);

    let listed = setting.run(&["dlq", "list", &pipeline]).expect_code(0);
    assert!(text(&listed).contains("mapper_parsing_exception"), "{}", text(&listed));
    assert!(text(&listed).contains("20 letters in "), "{}", text(&listed));
    let some = |arguments: &[&str]| {
        let all = [&["dlq", "list", &pipeline, "--format", "json"], arguments].concat();
        json(&setting.run(&all).expect_code(0)).as_array().unwrap().len()
    };
    assert_eq!(some(&["--plugin", "date"]), 1);
    assert_eq!(some(&["--reason", "mapper_parsing"]), 1);
    assert_eq!((some(&["--since", "1h"]), some(&["--until", "1h"])), (2, 0));

    let example = json(&setting.run(&["dlq", "list", &pipeline, "--plugin", "date", "--format", "json"]));
    let example = example[0]["example"].as_str().unwrap().to_owned();
    let shown = json(&setting.run(&["dlq", "show", &pipeline, &example, "--format", "json"]).expect_code(0));
    assert_eq!(shown["plugin"], "date");
    assert_eq!(shown["event"]["time"], "never");
    assert_eq!(shown["event"]["tags"], serde_json::json!(["dissected"]));
    assert_eq!(shown["identity"].as_str().unwrap().len(), 32);
    let shown = text(&setting.run(&["dlq", "show", &pipeline, &example]).expect_code(0));
    assert!(shown.contains("plugin    date") && shown.contains("\"time\": \"never\""), "{shown}");
    setting.run(&["dlq", "show", &pipeline, "9:9"]).expect_code(1).expect_log("no such letters");
    setting.run(&["dlq", "show", &pipeline, "first"]).expect_code(2);
}

#[test]
fn a_replay_delivers_what_is_mended_and_keeps_the_rest() {
    let (setting, fake, pipeline) = set_aside(100);
    // Nothing is mended yet: all stay, and nothing is written twice.
    setting.run(&["dlq", "replay", &pipeline]).expect_code(1).expect_log("mapper_parsing_exception");
    assert_eq!(groups(&setting, &pipeline).iter().map(|group| group.1).sum::<u64>(), 20);

    fake.faults().items = None;
    let dry = setting.run(&["dlq", "replay", "--dry-run", &pipeline]).expect_code(1);
    assert_eq!(text(&dry), "would replay 10 letters, 10 stay\n");
    assert_eq!(fake.count(), 80);
    let one = setting.run(&["dlq", "replay", &pipeline, "--plugin", "elasticsearch"]).expect_code(0);
    assert_eq!(text(&one), "replayed 10 letters\n");
    assert_eq!(groups(&setting, &pipeline), [("date".to_owned(), 10)]);
    let stored_now = stored(&fake);
    assert_eq!(stored_now.len(), 90);
    for (number, document) in &stored_now {
        // A letter of the output does not pass the filters again, and its index is that of the event's time.
        assert_eq!(document["tags"], serde_json::json!(["dissected"]), "{number}");
        assert_eq!(document["_index"], "lines-2020.02.23", "{number}");
        assert!(document["@metadata"].is_null(), "{number}");
    }

    // The filter takes the others now: they go on from it, not from the start.
    let mended = PIPELINE.replace("\"ISO8601\"", "\"ISO8601\", \"'never'\"");
    setting.write("pipeline.toml", &mended);
    let replayed = json(&setting.run(&["dlq", "replay", &pipeline, "--format", "json"]).expect_code(0));
    assert_eq!((replayed["replayed"].as_u64(), replayed["failed"].as_u64()), (Some(10), Some(0)));
    let stored = stored(&fake);
    assert_eq!(stored.keys().copied().collect::<Vec<_>>(), (0..100).collect::<Vec<_>>());
    assert!(stored.values().all(|document| document["tags"] == serde_json::json!(["dissected"])));
    assert_eq!(groups(&setting, &pipeline), []);
    let files = std::fs::read_dir(setting.folder().join("state/dead-letter")).unwrap();
    let left =
        files.filter(|file| file.as_ref().unwrap().path().extension().is_some_and(|end| end != "lock"));
    assert_eq!(left.count(), 0, "what is done with goes");
}

#[test]
fn letters_of_a_plugin_that_is_gone_stay_unless_told_where_to_go() {
    let (setting, fake, pipeline) = set_aside(20);
    fake.faults().items = None;
    let renamed = PIPELINE.replace("[output]", "[output]\nid = \"other\"");
    setting.write("pipeline.toml", &renamed);
    let replay = ["dlq", "replay", &pipeline, "--plugin", "elasticsearch"];
    setting.run(&replay).expect_code(1).expect_log("has no filter or output of that name");
    setting.run(&[&replay[..], &["--to", "output"]].concat()).expect_code(0);
    assert_eq!(stored(&fake).len(), 18);
    // From the first filter on, the filter's letters fail again.
    setting.run(&["dlq", "replay", &pipeline, "--to", "filters"]).expect_code(1);
    setting.run(&["dlq", "remove", &pipeline]).expect_code(1).expect_log("--all");
    let removed = setting.run(&["dlq", "remove", &pipeline, "--plugin", "date"]).expect_code(0);
    assert_eq!(text(&removed), "removed 2 letters\n");
    assert_eq!(groups(&setting, &pipeline), []);
    assert_eq!(stored(&fake).len(), 18);
}

#[test]
fn a_letter_of_a_branch_enters_the_branch_again_and_outputs_ask_their_conditions() {
    let branch = PIPELINE
        .replace("[[filter]]\nuse = \"date\"", "[[filter]]\nuse = \"branch\"\n[[filter.arm]]\nwhen = '[time]'\n[[filter.arm.filter]]\nuse = \"date\"")
        .replace("[output]", "[output]\nwhen = '[number] != \"13\"'");
    let fake = FakeElasticsearch::start();
    let mut setting = empty_setting();
    setting.set("WEIR_ELASTICSEARCH", &fake.url());
    setting.write("lines.log", &lines(100));
    let pipeline = setting.write("pipeline.toml", &branch);
    setting.run(&["run", &pipeline]).expect_code(0);
    assert_eq!((fake.count(), groups(&setting, &pipeline)), (90, vec![("date".to_owned(), 10)]));
    setting.write("pipeline.toml", &branch.replace("\"ISO8601\"", "\"ISO8601\", \"'never'\""));
    setting.run(&["dlq", "replay", &pipeline]).expect_code(0);
    let stored = stored(&fake);
    assert_eq!((stored.len(), stored.contains_key(&13)), (99, false));
    assert!(stored.values().all(|document| document["tags"] == serde_json::json!(["dissected"])));
    assert_eq!(groups(&setting, &pipeline), []);
}

#[test]
fn a_replay_that_is_killed_loses_and_doubles_nothing() {
    let (mut setting, fake, pipeline) = set_aside(2000);
    fake.faults().items = None;
    // Held after the server stored a batch and before it answered, and in the middle of the letters.
    fake.faults().bulk.push_back(Some(Fault::Slow(PATIENCE)));
    let before = fake.requests().len();
    let running = setting.start(&["dlq", "replay", &pipeline, "--plugin", "elasticsearch"]);
    let is_bulk = |seen: &weir_test_support::elasticsearch::Seen| seen.request.path.ends_with("/_bulk");
    assert!(fake.wait_for(PATIENCE, |seen| seen[before..].iter().any(is_bulk)));
    assert_eq!(running.kill().code, None);
    let gate = Gate::start(&fake.url(), 2).unwrap();
    setting.set("WEIR_ELASTICSEARCH", &gate.url());
    let running = setting.start(&["dlq", "replay", &pipeline, "--plugin", "elasticsearch"]);
    assert!(gate.wait_until_holding(PATIENCE));
    assert_eq!(running.kill().code, None);
    let some = stored(&fake).len();
    assert!((1601..1800).contains(&some), "the kill came in the middle: {some}");

    setting.set("WEIR_ELASTICSEARCH", &fake.url());
    setting.run(&["dlq", "replay", &pipeline, "--plugin", "elasticsearch"]).expect_code(0);
    assert_eq!(stored(&fake).len(), 1800);
    assert_eq!(groups(&setting, &pipeline), [("date".to_owned(), 200)]);
}

#[test]
fn a_full_folder_holds_the_line_until_letters_are_removed() {
    let fake = FakeElasticsearch::start();
    refuse_sevens(&fake);
    let mut setting = empty_setting();
    setting.set("WEIR_ELASTICSEARCH", &fake.url());
    setting.write("lines.log", &lines(1000));
    let limits = "[pipeline]\ndead_letter = { max_size = \"12KiB\" }";
    let pipeline = setting.write("pipeline.toml", &PIPELINE.replace("[pipeline]", limits));
    let running = setting.start(&["run", &pipeline]);
    // Room is made beside the run, which goes on.
    let mut removed = 0;
    while removed < 200 {
        if fake.count() < 800 {
            running.wait_for_log("is full (12288 bytes allowed)");
        }
        let said = text(&setting.run(&["dlq", "remove", &pipeline, "--all"]).expect_code(0));
        removed += said.split(' ').nth(1).unwrap().parse::<usize>().unwrap();
    }
    running.wait().expect_code(0);
    assert_eq!((removed, stored(&fake).len()), (200, 800));
}
