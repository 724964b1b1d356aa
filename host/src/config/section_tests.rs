//! Sections read whole, and every mistake in one.

use std::path::PathBuf;
use std::time::Duration;

use serde_json::Value as Json;

use super::section::Section;

#[test]
fn every_kind_is_read() {
    let mut section = Section::parse(
        "a = \"x\"\nb = [\"x\", \"y\"]\nc = 5\nd = true\ne = \"50ms\"\nf = \"20MiB\"\ng = { h.i = 1 }\n\
         m = { z = \"1\", a = 2 }\np = \"data/x\"",
    );
    assert_eq!(section.required_text("a"), "x");
    assert_eq!(section.texts("a"), ["x"]);
    assert_eq!(section.texts("b"), ["x", "y"]);
    assert_eq!(section.integer_in("c", 1..=5), Some(5));
    assert_eq!(section.boolean("d"), Some(true));
    assert_eq!(section.duration("e"), Some(Duration::from_millis(50)));
    assert_eq!(section.duration("c"), Some(Duration::from_secs(5)));
    assert_eq!(section.bytes("f"), Some(20 << 20));
    let mut inner = section.section("g").and_then(|mut g| g.section("h")).unwrap();
    assert_eq!(inner.title(), "[test.g.h]");
    assert_eq!(inner.integer("i"), Some(1));
    drop(inner);
    assert_eq!(section.map("m"), [("z".to_owned(), Json::from("1")), ("a".to_owned(), Json::from(2))]);
    assert_eq!(section.path("p"), Some(PathBuf::from("./data/x")));
    assert_eq!(section.into_problems(), Vec::<String>::new());
}

#[test]
fn every_mistake_is_reported_with_its_place() {
    let mut section = Section::parse(
        "text = 1\nnumber = \"12\"\nmode = \"reed\"\nwait = \"5 weeks\"\nlist = [\"a\", 2]\n\
         add_field.a.b = 1\nhots = []\nsmall = 0",
    );
    section.text("text");
    section.integer("number");
    section.one_of("mode", &["read", "tail"]);
    section.duration("wait");
    section.texts("list");
    section.map("add_field");
    section.required_texts("hosts");
    section.integer_in("small", 1..=i64::MAX);
    let problems = section.into_problems();
    let places: Vec<&str> = problems.iter().filter_map(|problem| problem.split(": ").next()).collect();
    assert_eq!(
        places,
        ["1:1", "1:8", "2:10", "3:8", "4:8", "5:14", "6:11", "7:1", "8:9"],
        "{}",
        problems.join("\n")
    );
    assert!(problems[7].contains("did you mean `hosts`?"), "{}", problems[7]);
    assert!(problems[3].contains("did you mean \"read\"?"), "{}", problems[3]);
}
