//! Cases of a filter (`cases/*.toml`): an event, options, and what must come out. Read like a pipeline file, so that a
//! mistake in a case is shown with its place too. Running them is left to the command `test`.
//!
//! ```toml
//! [[case]]
//! name = "a text is cut at its delimiters"
//! options.mapping.message = "%{a} %{b}"
//! input.message = "x y"                    # or a list of events
//! clock = "2026-01-01T00:00:05Z"           # what the filter sees as now
//! seed = 1                                 # of its random bytes
//! expect.fields = { a = "x", "[b]" = "y" } # field references and exact values
//! expect.match = { c = "^[0-9]+$" }        # a regular expression, as for Ruby
//! expect.absent = ["d"]
//! expect.tags = []
//! ```
//! `expect` also takes `dropped = true`, `failed = true`, `error = "config"` (the options are refused), and `events`, a
//! list of field maps, where other than one event comes out.

use std::cell::RefCell;
use std::ops::Range;
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;

use serde_json::Value as Json;
use weir_filter::FieldReference;

use super::filter::{Component, FilterStep, read_options};
use super::problem::{Problems, SourceFile};
use super::secrets::Secrets;
use super::section::{Section, Shared};
use super::tree;
use crate::event::Pattern;

/// A file of cases.
#[derive(Debug)]
pub struct CaseFile {
    /// `use` at its top: the component, where the file's place does not say it.
    pub component: Option<Component>,
    /// The cases, in order.
    pub cases: Vec<Case>,
    /// The file.
    pub file: Arc<SourceFile>,
}

/// One case.
#[derive(Clone, Debug)]
pub struct Case {
    /// What it shows.
    pub name: String,
    /// The filter with the case's options; its component is a placeholder for that of the file.
    pub step: FilterStep,
    /// What the filter sees as now: RFC 3339, in nanoseconds since 1970.
    pub clock: Option<i64>,
    /// The seed of its random bytes.
    pub seed: u64,
    /// The pipeline's `timezone`, `locale` and `ecs_compatibility`, where the case says one.
    pub environment: [Option<String>; 3],
    /// The events.
    pub input: Vec<serde_json::Map<String, Json>>,
    /// What must come out.
    pub expect: Expectation,
    /// Where the case begins.
    pub span: Range<usize>,
}

/// What must come out of a case.
#[derive(Clone, Debug, Default)]
pub struct Expectation {
    /// These fields of the one event, with exactly these values.
    pub fields: Vec<(FieldReference, Json)>,
    /// These fields of the one event are texts that match a regular expression, written as for Ruby.
    pub matches: Vec<(FieldReference, Pattern)>,
    /// These fields must not be there.
    pub absent: Vec<FieldReference>,
    /// Exactly these tags, in this order; none also where there is no field `tags`.
    pub tags: Option<Vec<String>>,
    /// No event comes out.
    pub dropped: bool,
    /// The filter says that it failed, or that it did not.
    pub failed: Option<bool>,
    /// The options are refused.
    pub refused: bool,
    /// The fields of each event that comes out, where these are not one.
    pub events: Option<Vec<Vec<(FieldReference, Json)>>>,
}

/// Reads a file of cases. With problems, `cases` holds only what could be read.
///
/// # Errors
/// When the file itself cannot be read.
pub fn read_cases(path: &Path) -> std::io::Result<(CaseFile, Problems)> {
    Ok(read_cases_of(path, std::fs::read_to_string(path)?))
}

/// The same of a text that lies (or would lie) at `path`.
pub fn read_cases_of(path: &Path, text: String) -> (CaseFile, Problems) {
    let file = Arc::new(SourceFile { name: path.display().to_string(), text });
    let directory = path.parent().map_or_else(Default::default, Path::to_path_buf);
    let secrets = Secrets::default();
    let mut problems = Problems::new(secrets.clone());
    // A case says all itself: what looks like a variable is text for the filter.
    let entries = tree::parse(&file, None, &directory, &secrets, &mut problems).unwrap_or_default();
    let shared = Rc::new(Shared { file: file.clone(), directory, secrets, problems: RefCell::new(problems) });
    let mut root = Section::new("the file".to_owned(), 0..0, entries, shared.clone());
    let component = root.text("use").map(|written| super::filter::component(&root, &written));
    let cases = root.sections("case").into_iter().map(|mut section| read_case(&mut section)).collect();
    drop(root);
    let mut problems = shared.problems.replace(Problems::default());
    problems.sort();
    (CaseFile { component, cases, file }, problems)
}

fn read_case(section: &mut Section) -> Case {
    let span = section.span_of("name");
    let name = section.required_text("name");
    let mut options = section.section("options").unwrap_or_else(|| section.absent("options"));
    let step = read_options(&mut options, name.clone(), Component::BuiltIn(String::new()), span.clone());
    let seed = section.integer_in("seed", 0..=i64::MAX).unwrap_or_default();
    section.require("expect");
    let mut expect = section.section("expect").unwrap_or_else(|| section.absent("expect"));
    let expect = read_expectation(&mut expect);
    let input = read_input(section);
    Case {
        name,
        step,
        clock: read_clock(section),
        seed: seed.unsigned_abs(),
        environment: ["timezone", "locale", "ecs_compatibility"].map(|key| section.text(key)),
        input,
        expect,
        span,
    }
}

fn read_clock(section: &mut Section) -> Option<i64> {
    let text = section.text("clock")?;
    let time = chrono::DateTime::parse_from_rfc3339(&text).ok().and_then(|time| time.timestamp_nanos_opt());
    if time.is_none() {
        let fix = "write it like \"2026-01-01T00:00:05Z\"";
        section.problem("clock", &format!("{text:?} is no time"), fix);
    }
    time
}

fn read_input(section: &mut Section) -> Vec<serde_json::Map<String, Json>> {
    let mut events = Vec::new();
    match section.json("input") {
        Some(Json::Object(event)) => events.push(event),
        Some(Json::Array(list)) => {
            for (element, event) in list.into_iter().enumerate() {
                match event {
                    Json::Object(event) => events.push(event),
                    _ => section.element_problem("input", element, "an event is a table of fields", ""),
                }
            }
        }
        Some(_) => section.problem("input", "`input` must be a table of fields, or a list of such", ""),
        None => events.push(serde_json::Map::new()),
    }
    events
}

fn read_expectation(section: &mut Section) -> Expectation {
    let fields = section.json("fields");
    let events = section.json("events");
    Expectation {
        fields: fields.map(|fields| read_fields(section, "fields", fields)).unwrap_or_default(),
        matches: read_patterns(section),
        absent: read_references(section, "absent"),
        tags: section.is_set("tags").then(|| section.texts("tags")),
        dropped: section.boolean("dropped").unwrap_or_default(),
        failed: section.boolean("failed"),
        refused: section.one_of("error", &["config"]).is_some(),
        events: events.map(|events| match events {
            Json::Array(events) => {
                events.into_iter().map(|event| read_fields(section, "events", event)).collect()
            }
            _ => {
                section.problem("events", "`events` must be a list of field maps", "");
                Vec::new()
            }
        }),
    }
}

fn read_fields(section: &mut Section, key: &str, fields: Json) -> Vec<(FieldReference, Json)> {
    let Json::Object(fields) = fields else {
        section.problem(key, &format!("`{key}` must hold field references and values"), "");
        return Vec::new();
    };
    let mut read = Vec::with_capacity(fields.len());
    for (name, value) in fields {
        match FieldReference::parse(&name) {
            Ok(reference) => read.push((reference, value)),
            Err(message) => section.problem(key, &message, ""),
        }
    }
    read
}

fn read_patterns(section: &mut Section) -> Vec<(FieldReference, Pattern)> {
    let mut patterns = Vec::new();
    for (name, pattern) in section.map("match") {
        let compiled = pattern.as_str().ok_or_else(|| "a regular expression is a text".to_owned());
        match (FieldReference::parse(&name), compiled.and_then(Pattern::compile)) {
            (Ok(reference), Ok(pattern)) => patterns.push((reference, pattern)),
            (Err(message), _) | (_, Err(message)) => section.problem("match", &message, ""),
        }
    }
    patterns
}

fn read_references(section: &mut Section, key: &str) -> Vec<FieldReference> {
    let mut references = Vec::new();
    for (element, name) in section.texts(key).into_iter().enumerate() {
        match FieldReference::parse(&name) {
            Ok(reference) => references.push(reference),
            Err(message) => section.element_problem(key, element, &message, ""),
        }
    }
    references
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_text(text: &str) -> (CaseFile, Problems) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("cases.toml");
        std::fs::write(&path, text).unwrap();
        read_cases(&path).unwrap()
    }

    #[test]
    fn a_case_has_all_its_parts() {
        let (file, problems) = read_text(
            "use = \"mine.wasm\"\n[[case]]\nname = \"n\"\noptions.mapping.message = \"${NOT_A_VARIABLE} %{a}\"\n\
             options.add_tag = [5]\ninput.message = \"x\"\nclock = \"1970-01-01T00:00:01Z\"\nseed = 7\n\
             expect.fields.\"[a][0]\" = 1\nexpect.match.c = \"^x\"\nexpect.absent = [\"b\"]\nexpect.tags = []\nexpect.failed = false\n\
             [[case]]\nname = \"m\"\ninput = [{ a = 1 }, { a = 2 }]\nexpect.events = [{ a = 1 }]\n",
        );
        assert!(problems.list().is_empty(), "{}", problems.render(false));
        assert!(matches!(&file.component, Some(Component::File(path)) if path.ends_with("mine.wasm")));
        let [first, second] = file.cases.as_slice() else { panic!("two cases") };
        assert_eq!(first.step.options["mapping"]["message"], "${NOT_A_VARIABLE} %{a}");
        assert_eq!(first.step.common.add_tag, ["5"]);
        assert_eq!((first.clock, first.seed), (Some(1_000_000_000), 7));
        assert_eq!(first.expect.fields[0].0.fragments(), ["a", "0"]);
        assert_eq!(first.expect.matches[0].1.is_match("xy"), Ok(true));
        assert_eq!(first.expect.tags, Some(Vec::new()));
        assert_eq!(first.expect.failed, Some(false));
        assert_eq!((second.input.len(), second.expect.events.as_ref().map(Vec::len)), (2, Some(1)));
    }

    #[test]
    fn mistakes_in_cases_have_places() {
        let (_, problems) = read_text("[[case]]\nnames = \"n\"\nclock = \"now\"\nexpect.field.a = 1\n");
        let messages: Vec<&str> = problems.list().iter().map(|problem| problem.message.as_str()).collect();
        assert_eq!(messages.len(), 4, "{messages:?}");
    }
}
