//! Options that are declared as a struct: what is taken, what is refused and with which words, and the schema of them.

use std::time::Duration;

use serde_json::json;
use weir_filter::{Environment, FieldReference, Options, Problems, Tables, Template, schema};

weir_filter::options! {
    /// What is counted.
    enum Unit {
        /// By length in memory.
        Bytes = "bytes",
        Letters = "letters",
    }
}

#[derive(Clone, Debug, PartialEq, serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Rule {
    prefix: String,
    #[serde(default)]
    level: u8,
}

weir_filter::options! {
    /// All kinds of options.
    struct Settings {
        /// The field that is measured.
        /// Mostly a text. `source = "[http][body]"`
        source: FieldReference = "message",
        /// Must be there. `title = "%{host}"`
        title: Template,
        unit: Unit = "bytes",
        longest: Option<u16>,
        share: f64 = 0.5,
        wait: Duration = "1.5s",
        strict: bool,
        words: Vec<String> = ["a", "b"],
        fields: Vec<FieldReference>,
        names: Vec<(FieldReference, String)>,
        rule: Tables<Rule>,
    }
}

fn read(options: serde_json::Value) -> Result<Settings, Problems> {
    let (options, unknown) = Options::read(&options.to_string(), Settings::OPTIONS, Environment::default())?;
    unknown.into_result(())?;
    Settings::read(&options)
}

#[test]
fn defaults_and_what_is_set() {
    let settings = read(json!({"title": "%{host}"})).expect("no mistake");
    assert_eq!(settings.source.fragments(), ["message"]);
    assert_eq!(settings.title.references().len(), 1);
    assert_eq!((settings.unit, settings.longest, settings.share), (Unit::Bytes, None, 0.5));
    assert_eq!((settings.wait, settings.strict), (Duration::from_millis(1500), false));
    assert_eq!(settings.words, ["a", "b"]);
    assert!(settings.fields.is_empty() && settings.names.is_empty() && settings.rule.0.is_empty());

    let settings = read(json!({
        "title": "x", "unit": "letters", "longest": "7", "strict": "true", "words": "one", "fields": ["[a][b]"],
        "names": {"[z]": "first", "a": 2}, "rule": [{"prefix": "p"}, {"prefix": "q", "level": 3}],
    }))
    .expect("no mistake");
    assert_eq!((settings.unit, settings.longest, settings.strict), (Unit::Letters, Some(7), true));
    assert_eq!(settings.words, ["one"]);
    assert_eq!(settings.fields[0].fragments(), ["a", "b"]);
    let names: Vec<_> = settings.names.iter().map(|(name, text)| (name.to_string(), text.as_str())).collect();
    assert_eq!(names.iter().map(|(_, text)| *text).collect::<Vec<_>>(), ["first", "2"]);
    assert_eq!(settings.rule.0[1], Rule { prefix: "q".to_owned(), level: 3 });
}

#[test]
fn every_mistake_at_once() {
    let check = |options: serde_json::Value, expected: &[(&str, &str)]| {
        let problems = read(options.clone()).expect_err("there are mistakes");
        let found: Vec<_> = problems
            .iter()
            .map(|problem| (problem.pointer.as_str(), format!("{} {}", problem.message, problem.fix)))
            .collect();
        assert_eq!(found.len(), expected.len(), "{options}: {found:?}");
        for ((at, text), (expected_at, part)) in found.iter().zip(expected) {
            assert!(at == expected_at && text.contains(part), "{options}: {found:?}");
        }
    };
    check(json!({}), &[("", "for example: title = \"%{host}\"")]);
    check(
        json!({
            "title": "%{[a}", "source": "a]", "longest": 70_000, "wait": "5 weeks", "fields": ["x", "b]"],
            "names": {"c]": "x"}, "rule": [{"prefx": "p"}, {"prefix": 1}],
        }),
        &[
            ("/source", "write a name, or [a][b]"),
            ("/title", "%{[a][b]}"),
            ("/longest", "a whole number from 0, but is 70000"),
            ("/wait", "such as \"5s\""),
            ("/fields/1", "write a name"),
            ("/names/c]", "write a name"),
            ("/rule/0", "did you mean prefix?"),
            ("/rule/1", "item 1 of rule"),
        ],
    );
    check(json!({"title": "x", "longest": 1.5, "unit": "words"}), &[("/unit", "one of bytes, letters")]);
    check(json!({"title": "x", "longest": -1}), &[("/longest", "but is -1")]);
}

#[test]
fn docs_and_defaults_are_the_schema() {
    let schema = schema::of(Settings::OPTIONS);
    let source = json!({
        "type": ["string", "number", "boolean", "array"],
        "description": "The field that is measured.\nMostly a text.",
        "x-kind": "text",
        "default": "message",
        "x-example": "source = \"[http][body]\"",
    });
    assert_eq!(schema["properties"]["source"], source);
    assert_eq!(schema["required"], json!(["title"]));
    assert_eq!(schema["properties"]["unit"]["enum"], json!(["bytes", "letters"]));
    assert_eq!(schema["properties"]["words"]["default"], json!(["a", "b"]));
    assert_eq!(schema["properties"]["names"]["x-kind"], "map");
    assert_eq!(schema["properties"]["longest"].get("default"), None);
}
