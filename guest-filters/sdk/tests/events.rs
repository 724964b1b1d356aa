//! What an event does when a filter reads, sets and removes fields: a filter that follows a script, run natively.

use serde_json::{Value as Json, json};
use weir_filter::{
    Environment, Event, Failure, Field, FieldReference, Filter, OptionDescription, OptionKind, Options,
    Outcome, Plan, Problems, Template, Value, json as json_values, test,
};

/// Does what its `script` says. A line: a verb, a field, and for `set` a value in JSON.
struct Script {
    steps: Vec<Step>,
    seen: Option<Field>,
}

enum Step {
    Set(Field, Json),
    SetAny(Field, Json),
    Remove(Field),
    /// What the field reads as goes into `seen`.
    See(Field),
    Render(Template),
    SetUnplanned(FieldReference, Json),
    SeeUnplanned(FieldReference),
    RemoveUnplanned(FieldReference),
    EmitCopy(Field, Json),
    EmitEmpty(Field, Json),
    Drop,
    Tag(String),
    Count,
}

const fn list(name: &'static str) -> OptionDescription {
    OptionDescription { name, kind: OptionKind::List, default: None, required: false, doc: "", example: "" }
}

impl Filter for Script {
    const NAME: &'static str = "script";
    const VERSION: &'static str = "0";
    const SUMMARY: &'static str = "follows a script";
    const OPTIONS: &'static [OptionDescription] = &[list("script"), list("whole"), list("everything")];

    fn configure(options: &Options, plan: &mut Plan) -> Result<Self, Problems> {
        let whole = options.texts("whole");
        if options.is_set("everything") {
            plan.everything_read();
            plan.everything_written();
        }
        plan.failure_tags(&["_failed".to_owned()]);
        let mut steps = Vec::new();
        let mut seen = None;
        for line in options.texts("script") {
            let mut words = line.splitn(3, ' ');
            let verb = words.next().unwrap_or_default();
            let name = words.next().unwrap_or("x");
            let reference = FieldReference::parse(name).expect("a reference");
            let value = words.next().map_or(Json::Null, |json| serde_json::from_str(json).expect("JSON"));
            let mut written = || match whole.iter().any(|other| other == name) {
                true => plan.read_write_whole(&reference),
                false => plan.read_write(&reference),
            };
            steps.push(match verb {
                "set" => Step::Set(written(), value),
                "set_any" => Step::SetAny(written(), value),
                "remove" => Step::Remove(written()),
                "emit_copy" => Step::EmitCopy(written(), value),
                "emit_empty" => Step::EmitEmpty(written(), value),
                "set_unplanned" => Step::SetUnplanned(reference, value),
                "see_unplanned" => Step::SeeUnplanned(reference),
                "remove_unplanned" => Step::RemoveUnplanned(reference),
                "see" if whole.iter().any(|other| other == name) => Step::See(plan.read_whole(&reference)),
                "see" => Step::See(plan.read(&reference)),
                "render" => Step::Render(plan.template(&line["render ".len()..])),
                "drop" => Step::Drop,
                "tag" => Step::Tag(name.to_owned()),
                _ => Step::Count,
            });
            seen = Some(plan.write_whole(&FieldReference::from_fragments(["seen"])));
        }
        Ok(Script { steps, seen })
    }

    fn filter(&mut self, event: &mut Event<'_>) -> Result<Outcome, Failure> {
        let seen = self.seen.expect("a script is not empty");
        for step in &self.steps {
            match step {
                Step::Set(field, value) => event.set_json(*field, value)?,
                Step::SetAny(field, Json::String(text)) => event.set_any(*field, text)?,
                Step::SetAny(..) => unreachable!("scripts set texts so"),
                Step::Remove(field) => event.remove(*field),
                Step::See(field) => see(event, *field, seen)?,
                Step::Render(template) => {
                    let text = event.render(template)?;
                    event.set(seen, &text)?;
                }
                Step::SetUnplanned(reference, value) => {
                    let field = event.field(reference)?;
                    event.set_json(field, value)?;
                }
                Step::SeeUnplanned(reference) => {
                    let field = event.field(reference)?;
                    see(event, field, seen)?;
                }
                Step::RemoveUnplanned(reference) => {
                    let field = event.field(reference)?;
                    event.remove(field);
                }
                Step::EmitCopy(field, value) => event.emit_copy(|copy| {
                    copy.set_json(*field, value)?;
                    Ok(Outcome::Matched)
                }),
                Step::EmitEmpty(field, value) => event.emit_empty(|empty| {
                    empty.set_json(*field, value)?;
                    Ok(Outcome::Matched)
                }),
                Step::Drop => event.drop_event(),
                Step::Tag(tag) => event.tag(tag),
                Step::Count => event.count("events", 1),
            }
        }
        Ok(Outcome::Matched)
    }
}

fn see(event: &mut Event<'_>, field: Field, seen: Field) -> Result<(), Failure> {
    let found = match event.get(field) {
        None => json!("nothing"),
        Some(Value::Object) => json!("a map"),
        Some(value) => json_values::to_json(value),
    };
    event.set_json(seen, &found)
}

fn run(options: &Json, events: &[Json]) -> Vec<test::After> {
    test::run_all::<Script>(options, &Environment::default(), events).expect("its options are right")
}

/// One event: what it is afterwards, without `@metadata` that is empty, and why the filter failed.
fn check(options: Json, event: Json, expected: Json, failure: Option<&str>) {
    let after = run(&options, &[event]).remove(0);
    assert_eq!(after.event, expected, "{options}");
    match failure {
        None => assert!(after.failures.is_empty(), "{options}: {:?}", after.failures),
        Some(part) => assert!(after.failures[0].contains(part), "{options}: {:?}", after.failures),
    }
}

#[test]
fn reads_see_what_was_written() {
    check(json!({"script": ["set a 1", "see a"]}), json!({"a": "x"}), json!({"a": 1, "seen": 1}), None);
    check(json!({"script": ["set a \"new\"", "see a"]}), json!({}), json!({"a": "new", "seen": "new"}), None);
    check(json!({"script": ["remove a", "see a"]}), json!({"a": 1}), json!({"seen": "nothing"}), None);
    check(
        json!({"script": ["remove a", "set a 2.5", "see a"]}),
        json!({"a": 1}),
        json!({"a": 2.5, "seen": 2.5}),
        None,
    );
    check(
        json!({"script": ["set a 1", "remove a", "see a"]}),
        json!({"a": 1}),
        json!({"seen": "nothing"}),
        None,
    );
    check(
        json!({"script": ["render <%{a}%{b}>"]}),
        json!({"a": [1, "x"]}),
        json!({"a": [1, "x"], "seen": "<1,x%{b}>"}),
        None,
    );
}

#[test]
fn below_what_is_no_map() {
    let failed = |event: Json| {
        let mut event = event;
        event["tags"] = json!(["_failed"]);
        event
    };
    let script = json!({"script": ["set [a][b] 1"]});
    check(script.clone(), json!({}), json!({"a": {"b": 1}}), None);
    check(script.clone(), json!({"a": {}}), json!({"a": {"b": 1}}), None);
    check(script.clone(), json!({"a": {"c": 2}}), json!({"a": {"c": 2, "b": 1}}), None);
    check(script.clone(), json!({"a": "x"}), failed(json!({"a": "x"})), Some("[a] is no map"));
    check(script, json!({"a": null}), failed(json!({"a": null})), Some("[a] is no map"));
    check(
        json!({"script": ["set a 1", "set [a][b] 1"]}),
        json!({"a": {"b": 2}}),
        failed(json!({"a": 1})),
        Some("[a] is no map"),
    );
    check(json!({"script": ["remove a", "set [a][b] 1"]}), json!({"a": "x"}), json!({"a": {"b": 1}}), None);
    check(
        json!({"script": ["set [a][b] 1", "set a 2", "see [a][b]"]}),
        json!({}),
        json!({"a": 2, "seen": "nothing"}),
        None,
    );
    check(
        json!({"script": ["set [a][b] 1", "remove a", "see [a][b]"]}),
        json!({}),
        json!({"seen": "nothing"}),
        None,
    );
    check(json!({"script": ["remove [a][b]"]}), json!({"a": "x"}), json!({"a": "x"}), None);
}

#[test]
fn guards() {
    let check_refused = |script: &str, reason: &str| {
        check(json!({"script": [script]}), json!({}), json!({"tags": ["_failed"]}), Some(reason));
    };
    check_refused("set @timestamp \"x\"", "@timestamp can only be set to a timestamp");
    check_refused("set tags 1", "tags can only be set to");
    check_refused("set tags [1]", "tags can only be set to");
    check_refused("set [tags][x] 1", "tags is no map");
    check_refused("set [@metadata][tags][x] 1", "tags is no map");
    check_refused("set @metadata 1", "[@metadata] can only be set to a map");
    check_refused("set a {\"b\":1}", "was not declared whole");
    check(json!({"script": ["set tags [\"a\"]"]}), json!({}), json!({"tags": ["a"]}), None);
    check(json!({"script": ["set_any @timestamp \"x\""]}), json!({}), json!({"@timestamp": "x"}), None);
}

#[test]
fn lists() {
    let list = || json!({"l": [1, {"k": "v"}]});
    check(
        json!({"script": ["set [l][0] \"x\"", "see l"]}),
        list(),
        json!({"l": ["x", {"k": "v"}], "seen": ["x", {"k": "v"}]}),
        None,
    );
    check(
        json!({"script": ["set [l][-1][k] 2", "see [l][1][k]"]}),
        list(),
        json!({"l": [1, {"k": 2}], "seen": 2}),
        None,
    );
    check(json!({"script": ["set [l][3] 4"]}), list(), json!({"l": [1, {"k": "v"}, null, 4]}), None);
    check(json!({"script": ["set [l][name] 4"]}), list(), list(), None);
    check(json!({"script": ["remove [l][0]", "remove [l][0]"]}), list(), json!({"l": []}), None);
    check(json!({"script": ["set [l][0] 1"]}), json!({}), json!({"l": {"0": 1}}), None);
    let failed = json!({"l": [1, {"k": "v"}], "tags": ["_failed"]});
    check(json!({"script": ["set [l][-3] 4"]}), list(), failed.clone(), Some("before the beginning"));
    check(json!({"script": ["set [l][4096] 4"]}), list(), failed.clone(), Some("a list longer than 4096"));
    check(json!({"script": ["set [l][0][k] 4"]}), list(), failed, Some("neither map nor list"));
}

#[test]
fn maps_as_a_whole() {
    let whole = |script: &[&str]| json!({"whole": ["a"], "script": script});
    let event = || json!({"a": {"b": 1, "c": {"d": 2}}});
    check(
        whole(&["see a"]),
        event(),
        json!({"a": {"b": 1, "c": {"d": 2}}, "seen": {"b": 1, "c": {"d": 2}}}),
        None,
    );
    check(
        whole(&["set [a][c][d] 3", "remove [a][b]", "see a"]),
        event(),
        json!({"a": {"c": {"d": 3}}, "seen": {"c": {"d": 3}}}),
        None,
    );
    check(
        whole(&["set a {\"x\":{\"y\":1}}", "see [a][x][y]"]),
        event(),
        json!({"a": {"x": {"y": 1}}, "seen": 1}),
        None,
    );
    check(
        whole(&["set a {\"x\":1}", "set [a][z] 2", "see a"]),
        event(),
        json!({"a": {"x": 1, "z": 2}, "seen": {"x": 1, "z": 2}}),
        None,
    );
    check(json!({"script": ["see a", "remove a"]}), event(), json!({"seen": "a map"}), None);
}

#[test]
fn fields_that_the_plan_does_not_name() {
    let all = |script: &[&str]| json!({"everything": true, "script": script});
    let event = || json!({"a": {"b": 1, "l": [7, 8]}, "t": "x"});
    let with = |name: &str, value: Json| {
        let mut event = event();
        event[name] = value;
        event
    };
    check(all(&["see_unplanned t"]), event(), with("seen", json!("x")), None);
    check(all(&["see_unplanned a"]), event(), with("seen", json!({"b": 1, "l": [7, 8]})), None);
    check(all(&["see_unplanned [a][l][-1]"]), event(), with("seen", json!(8)), None);
    check(all(&["see_unplanned [t][u]"]), event(), with("seen", json!("nothing")), None);
    check(
        all(&["set_unplanned new \"y\"", "see_unplanned new"]),
        json!({}),
        json!({"new": "y", "seen": "y"}),
        None,
    );
    check(
        all(&["set_unplanned [a][b] 2", "remove_unplanned t"]),
        event(),
        json!({"a": {"b": 2, "l": [7, 8]}}),
        None,
    );
    check(
        all(&["remove_unplanned a", "see_unplanned a"]),
        event(),
        json!({"t": "x", "seen": "nothing"}),
        None,
    );
    check(all(&["set_unplanned [a][l][0] 1"]), event(), json!({"a": {"b": 1, "l": [1, 8]}, "t": "x"}), None);
    let failed = json!({"a": {"b": 1, "l": [7, 8]}, "t": "x", "tags": ["_failed"]});
    check(all(&["set_unplanned [t][u] 1"]), event(), failed, Some("[t] is no map"));
    // A field that is only written comes among the others; what follows it keeps its number.
    check(
        all(&["set_unplanned z 1"]),
        json!({"seen": 0, "z": 0, "y": 0}),
        json!({"seen": 0, "z": 1, "y": 0}),
        None,
    );
    check(
        json!({"script": ["set_unplanned z 1"]}),
        json!({}),
        json!({"tags": ["_failed"]}),
        Some("did not declare"),
    );
    // What the host would not take is a failure of the event.
    for name in ["x".repeat(4097), "[a]".repeat(65)] {
        let script = [format!("set_unplanned {name} 1")];
        check(
            json!({"everything": true, "script": script}),
            json!({}),
            json!({"tags": ["_failed"]}),
            Some("too long"),
        );
    }
}

#[test]
fn rows_of_one_batch_differ() {
    let options = json!({"script": ["set [a][b] 1", "set x \"set\""]});
    let events = [
        json!({}),
        json!({"a": "text"}),
        json!({"a": 1, "x": 2}),
        json!({"a": {"b": [1]}}),
        json!({"a": [1]}),
    ];
    let after = run(&options, &events);
    let found: Vec<Json> = after.iter().map(|after| after.event.clone()).collect();
    let expected = json!([
        {"a": {"b": 1}, "x": "set"},
        {"a": "text", "tags": ["_failed"]},
        {"a": 1, "x": 2, "tags": ["_failed"]},
        {"a": {"b": 1}, "x": "set"},
        {"a": [1], "x": "set"},
    ]);
    assert_eq!(Json::Array(found), expected);
    assert_eq!(after.iter().map(|after| after.matched).collect::<Vec<_>>(), [1, 0, 0, 1, 1]);
}

#[test]
fn events_are_made_and_dropped() {
    let options = json!({"script": ["set a 1", "emit_copy b \"copy\"", "emit_empty b 2", "drop x", "tag seen", "count"]});
    let after = run(&options, &[json!({"a": 0, "c": true}), json!({"a": "x"})]);
    let found: Vec<(Json, bool)> = after.iter().map(|after| (after.event.clone(), after.dropped)).collect();
    let expected = [
        (json!({"a": 1, "c": true, "tags": ["seen"]}), true),
        (json!({"a": 1, "tags": ["seen"]}), true),
        (json!({"a": 0, "c": true, "b": "copy"}), false),
        (json!({"b": 2}), false),
        (json!({"a": "x", "b": "copy"}), false),
        (json!({"b": 2}), false),
    ];
    assert_eq!(found, expected);
    assert_eq!(weir_filter::native::take_counts().get("events"), Some(&2));
}
