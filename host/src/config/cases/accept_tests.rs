//! What `accept` writes, and what it leaves alone.

use serde_json::{Value as Json, json};
use weir_filter::FieldReference;
use weir_filter::test::{Difference, Observed, Subject};

use super::accept::{Change, accept, accept_pipeline};

fn reference(text: &str) -> FieldReference {
    FieldReference::parse(text).unwrap()
}

fn check(text: &str, differences: &[Difference], observed: &Observed, expected: &str) {
    let input = [json!({"message": "m", "gone": 1}).as_object().unwrap().clone()];
    let change = Change {
        case: 0,
        batch: None,
        unsaid: !text.contains("expect"),
        differences,
        observed,
        input: &input,
    };
    let (changed, refused) = accept(text, &[change]).unwrap();
    assert_eq!(refused, [], "{text}");
    assert_eq!(changed, expected);
}

#[test]
fn only_what_is_different_changes() {
    let field = |name: &str, found: Option<Json>| {
        Difference::new(Subject::Field(reference(name)), Some(json!(0)), found)
    };
    let observed = Observed::default();
    check(
        "# top\n[[case]]\nname = \"n\" # why\nexpect.fields = { a = 1, \"[b][c]\" = \"x\" } # both\nexpect.tags = [] # none\n",
        &[
            field("[b][c]", Some(json!("y"))),
            Difference::new(Subject::Tags, Some(json!([])), Some(json!(["t"]))),
        ],
        &observed,
        "# top\n[[case]]\nname = \"n\" # why\nexpect.fields = { a = 1, \"[b][c]\" = \"y\" } # both\nexpect.tags = [\"t\"] # none\n",
    );
    check(
        "case = [{ name = \"n\", expect = { fields = { a = 1 }, absent = [\"q\"], match = { z = \"^a\" } } }]\n",
        &[
            field("a", None),
            Difference::new(Subject::Absent(reference("q")), None, Some(json!({"r": 1.0}))),
            Difference::new(Subject::Match(reference("z")), Some(json!("^a")), Some(json!("b"))),
        ],
        &observed,
        "case = [{ name = \"n\", expect = { absent = [\"a\"], fields = { q = { r = 1.0 }, z = \"b\" } } }]\n",
    );
    check(
        "[[case]]\nname = \"n\"\n[case.expect]\nfailed = false\nevents = [{ a = 1 }, { a = 2 }]\n[[case]]\nname = \"m\"\n",
        &[
            Difference { event: Some(1), ..field("a", Some(json!(3))) },
            Difference::new(Subject::Failed, Some(json!(false)), Some(json!(true))),
        ],
        &observed,
        "[[case]]\nname = \"n\"\n[case.expect]\nfailed = true\nevents = [{ a = 1 }, { a = 3 }]\n[[case]]\nname = \"m\"\n",
    );
}

#[test]
fn what_came_is_written_where_nothing_was() {
    let observed = Observed {
        events: vec![
            json!({"message": "m", "@version": "1", "@timestamp": "x", "a": {"b": 1}, "tags": ["t"]}),
        ],
        failed: true,
        ..Observed::default()
    };
    check(
        "[[case]]\nname = \"n\"\ninput.message = \"m\"\n\n# next\n[[case]]\nname = \"m\"\n",
        &[],
        &observed,
        "[[case]]\nname = \"n\"\ninput.message = \"m\"\nexpect = { fields = { a = { b = 1 } }, absent = [\"gone\"], tags = [\"t\"], \
         failed = true }\n\n# next\n[[case]]\nname = \"m\"\n",
    );
    let dropped = Difference::new(Subject::Events, Some(json!(1)), Some(json!([])));
    check(
        "[[case]]\nname = \"n\"\nexpect.fields.a = 1\n",
        &[dropped],
        &Observed::default(),
        "[[case]]\nname = \"n\"\nexpect.dropped = true\n",
    );
}

#[test]
fn what_outputs_were_given_is_written() {
    let difference = |subject, found: Json| Difference {
        place: "output file-2".to_owned(),
        event: Some(1),
        ..Difference::new(subject, Some(json!("x")), Some(found))
    };
    let text = "[[case]]\nname = \"n\"\nexpect.outputs.file-2 = [{}, { path = \"x\", tags = [] }] # two\n";
    let differences = [
        difference(Subject::Rendered("path".to_owned()), json!("y")),
        difference(Subject::Tags, json!(["t"])),
    ];
    let (changed, refused) = accept_pipeline(text, &[(0, &differences)]).unwrap();
    assert_eq!(refused, []);
    assert_eq!(changed, text.replace("\"x\"", "\"y\"").replace("[] }", "[\"t\"] }"));
    let more = [difference(Subject::Events, json!([]))];
    assert_eq!(accept_pipeline(text, &[(0, &more)]).unwrap().1.len(), 1);
}

#[test]
fn what_has_no_form_is_left_as_it_was() {
    let text = "[[case]]\nname = \"n\"\nexpect = { fields = { b = 2, a = 1 } }\n";
    let differences = [
        Difference::new(Subject::Field(reference("b")), Some(json!(2)), Some(json!(3))),
        Difference::new(Subject::Field(reference("a")), Some(json!(1)), Some(Json::Null)),
    ];
    let observed = Observed::default();
    let change = Change {
        case: 0,
        batch: None,
        unsaid: false,
        differences: &differences,
        observed: &observed,
        input: &[],
    };
    let (changed, refused) = accept(text, &[change]).unwrap();
    assert_eq!(changed, text);
    assert_eq!(refused.len(), 1);
}
