//! What the fuzz targets of `tests/fuzz` do, one function a target: any bytes go in, and what must hold whatever they are is
//! asserted. Only there for them and for the test below, which runs every committed input through its target.

use std::path::Path;
use std::sync::{Arc, OnceLock};

use serde_json::Value as Json;
use weir_filter::date_pattern::DatePattern;
use weir_filter::{FieldReference, Template};

use crate::config::cases::{CaseFolder, CaseReading, read_cases_of};
use crate::config::{Config, Problems, Secrets, Variables, parse_bytes, parse_duration, read};
use crate::event::condition::{Condition, parse};
use crate::event::pattern::{Budget, Found, Pattern, Replacement};
use crate::event::{Batch, Documents, FieldNames, RowSet, fields, put_example, sprintf};
pub use crate::filter::fuzzing::{answer, component};

/// Longer inputs try nothing that shorter ones do not.
const LONGEST_TEXT: usize = 16 << 10;

/// A time, in nanoseconds since 1970.
const NOW: i64 = 1_582_477_721_000_000_000;

/// A pipeline file: whatever is in it, reading ends, and each problem has a place in the file and can be shown.
pub fn pipeline_file(input: &[u8]) {
    let Some(text) = text_without_files(input) else { return };
    let variables = Variables::fixed([("SIZE", "512"), ("ZONE", "Mars/Olympus"), ("EMPTY", "")]);
    let secrets = Secrets::default();
    let reading = read(Path::new("folder/pipeline.toml"), text.to_owned(), &variables, &secrets);
    check_problems(&reading.problems, text);
    match &reading.config {
        Some(config) => check_filter_problems(config, text),
        None => assert!(reading.problems.errors() > 0, "nothing was read, and nothing is wrong"),
    }
}

/// What guests say of their options is shown at the options' places.
fn check_filter_problems(config: &Config, text: &str) {
    let mut problems = Problems::new(config.secrets.clone());
    for step in &config.filters {
        for (option, value) in &step.options {
            let pointer = format!("/{}", option.replace('~', "~0").replace('/', "~1"));
            for pointer in [&pointer, &format!("{pointer}/0"), &format!("{pointer}/a")] {
                problems.push(config.filter_problem(step, pointer, "unknown option", &value.to_string()));
            }
        }
        problems.push(config.filter_problem(step, "", "is wrong", ""));
    }
    check_problems(&problems, text);
}

/// A file of cases: as a pipeline file.
pub fn case_file(input: &[u8]) {
    let Some(text) = text_without_files(input) else { return };
    // It is to read no file.
    let reading = CaseReading { folder: CaseFolder::carried(&[]), may_lack_expect: false };
    let (file, problems) = read_cases_of(Path::new("filter/cases/some.toml"), text.to_owned(), &reading);
    check_problems(&problems, text);
    for case in &file.cases {
        assert!(case.span.start <= case.span.end && text.get(case.span.clone()).is_some(), "{:?}", case.span);
    }
}

/// Text that names no other file. A fuzzer is to read none.
fn text_without_files(input: &[u8]) -> Option<&str> {
    let text = std::str::from_utf8(input).ok()?;
    (text.len() <= LONGEST_TEXT && !text.contains("${file:")).then_some(text)
}

fn check_problems(problems: &Problems, text: &str) {
    let lines = text.matches('\n').count() + 1;
    for problem in problems.list() {
        assert!(!problem.message.is_empty());
        let Some(span) = &problem.span else { continue };
        assert!(
            span.start <= span.end && text.get(span.clone()).is_some(),
            "{span:?} is no part of the file: {}",
            problem.message
        );
        let (line, column) = problem.file.position(span.start);
        assert!((1..=lines).contains(&line) && column >= 1);
        let letters = text.split('\n').nth(line - 1).unwrap_or_default().chars().count();
        assert!(column <= letters + 1, "column {column} of {letters}: {}", problem.message);
    }
    let json = problems.to_json();
    assert_eq!(json.as_array().map(Vec::len), Some(problems.list().len()));
    for color in [false, true] {
        assert_eq!(problems.render(color).is_empty(), problems.list().is_empty());
    }
}

/// The languages in texts of a pipeline and of events. The first byte says which, lines are its parts.
pub fn language(input: &[u8]) {
    let Some((which, rest)) = input.split_first() else { return };
    let Some(text) = std::str::from_utf8(rest).ok().filter(|text| text.len() <= LONGEST_TEXT) else { return };
    match which % 8 {
        0 | 1 => condition(text),
        2 => template(text),
        3 => reference(text),
        4 | 5 => pattern(text),
        6 => document(text),
        _ => formats(text),
    }
}

fn condition(text: &str) {
    match parse(text) {
        Ok(condition) => {
            let batch = events();
            let rows = RowSet::all(batch.rows());
            let selection = condition.select(batch, &rows);
            for (row, reason) in &selection.undecided {
                assert!(!selection.holds.contains(*row) && !reason.is_empty());
            }
        }
        Err((place, message)) => {
            assert!(text.is_char_boundary(place) && !message.is_empty(), "{place}: {message}");
        }
    }
}

fn template(text: &str) {
    let template = Template::parse(text);
    let batch = events();
    for row in 0..batch.rows() {
        let mut rendered = "before".to_owned();
        let answer = sprintf::render(&template, batch, row, NOW, &mut rendered);
        assert!(rendered.starts_with("before"));
        assert!(answer.err().is_none_or(|message| !message.is_empty()));
    }
}

/// Writes, reads and removes at the reference.
fn reference(text: &str) {
    let (text, value) = text.split_once('\n').unwrap_or((text, "5"));
    let Ok(reference) = FieldReference::parse(text) else { return };
    let mut batch = events().clone();
    for row in 0..batch.rows() {
        fields::exists(&batch, row, &reference);
        fields::whole_json(&batch, row, &reference);
        let value = serde_json::from_str::<Json>(value).unwrap_or_else(|_| value.into());
        let set = fields::set_json(&mut batch, row, &reference, &value);
        check_events(&batch);
        // As in Logstash, what is no number does nothing in a list.
        let is_key = |fragment: &String| fragment.parse::<i32>().is_err();
        let may_do_nothing = reference.fragments().iter().skip(1).any(is_key);
        let is_there = fields::exists(&batch, row, &reference);
        assert!(set.is_err() || is_there || may_do_nothing, "{reference} was set");
        fields::remove(&mut batch, row, &reference);
        check_events(&batch);
    }
}

fn pattern(text: &str) {
    let mut parts = text.splitn(3, '\n');
    let Ok(pattern) = Pattern::compile(parts.next().unwrap_or_default()) else { return };
    let (text, replacement) = (parts.next().unwrap_or("abc 1"), parts.next().unwrap_or("<\\0>"));
    let (mut found, mut out) = (Found::default(), "before".to_owned());
    if let Ok(true) = pattern.find(text, 0, &mut Budget::new(20_000, None), &mut found) {
        assert_eq!(found.groups().len(), pattern.names().count());
        for group in found.groups().iter().flatten() {
            assert!(text.get(group.clone()).is_some(), "{group:?} is no part of the text");
        }
    }
    let replacement = Replacement::parse(replacement);
    let mut budget = Budget::new(20_000, None);
    let replaced = pattern.replace_all(text, &replacement, 1000, &mut budget, &mut found, &mut out);
    assert!(out.starts_with("before") && out.len() <= 1006);
    assert!(matches!(replaced, Ok(true)) || out == "before");
}

/// An event that is written as a document and read again is the same.
fn document(text: &str) {
    let Ok(Json::Object(event)) = serde_json::from_str(text) else { return };
    let Some(first) = put_and_write(&event) else { return };
    let second = first.as_object().and_then(put_and_write);
    assert_eq!(second.as_ref(), Some(&first));
}

fn put_and_write(event: &serde_json::Map<String, Json>) -> Option<Json> {
    let mut batch = Batch::new(Arc::new(FieldNames::new()), 1);
    put_example(&mut batch, 0, event, NOW).ok()?;
    check_events(&batch);
    Some(serde_json::from_str(&Documents::with_metadata(&batch).text(0)).expect("a document is JSON"))
}

fn formats(text: &str) {
    for pattern in [DatePattern::joda(text), DatePattern::java_time(text)].into_iter().flatten() {
        for time in [NOW, 0, -1, i64::MIN, i64::MAX] {
            let mut written = String::new();
            drop(pattern.write(time, &mut written));
        }
    }
    drop(parse_duration(text));
    drop(parse_bytes(text));
}

/// What must hold of events at any time: no row has a value at a path and one below it, each can be written as JSON.
pub(crate) fn check_events(batch: &Batch) {
    let mut documents = Documents::with_metadata(batch);
    for row in 0..batch.rows() {
        for id in batch.names().ids().filter(|id| !batch.cell(row, *id).is_absent()) {
            let below = batch.names().below(id).iter().find(|below| !batch.cell(row, **below).is_absent());
            assert!(below.is_none(), "row {row} has a value at and below {}", batch.names().reference(id));
        }
        let document: Result<Json, _> = serde_json::from_str(&documents.text(row));
        assert!(document.is_ok_and(|document| document.is_object()), "row {row} is no JSON");
    }
}

/// Events with values of every kind.
pub(crate) fn events() -> &'static Batch {
    static EVENTS: OnceLock<Batch> = OnceLock::new();
    EVENTS.get_or_init(|| {
        let texts = [
            r#"{"message":"dé abc","m":{"n":1,"o":[1,{"p":null}]},"tags":["x","y"]}"#,
            r#"{"message":"","m":5,"a":true,"big":123456789012345678901234567890}"#,
            r#"{"m":{},"other":1.5,"tags":"x","l":[],"@metadata":{"a":{"b":"c"}}}"#,
            r#"{"message":["list"],"m":{"n":{"deeper":{"still":"text"}}},"a":null}"#,
            r#"{"message":"10.0.0.1 GET","m":[[1,2],"b"],"a":"2020-02-23","@metadata":{"tags":["z"]}}"#,
        ];
        let mut batch = Batch::new(Arc::new(FieldNames::new()), texts.len());
        for (row, text) in texts.iter().enumerate() {
            let event = serde_json::from_str(text).expect("an event is JSON");
            put_example(&mut batch, row, &event, NOW + row as i64).expect("an event can be set");
        }
        batch.set_identities((1..=texts.len() as u128).collect());
        batch
    })
}

/// Every public way of reading and reshaping a batch.
pub(crate) fn use_events(batch: &Batch) {
    static CONDITIONS: OnceLock<Vec<Condition>> = OnceLock::new();
    let conditions = CONDITIONS.get_or_init(|| {
        ["[m][n] == 1 or [m] =~ /a/", "[message] in [tags] and [m][o][0] > 0", "![new][x] nand \"x\" in [m]"]
            .map(|text| parse(text).expect("a condition"))
            .into()
    });
    let template =
        Template::parse("%{message} %{[m][n]} %{m} %{tags} %{[new][x]} %{+YYYY.MM.dd} %{[m][o][0]}");
    check_events(batch);
    let rows = RowSet::all(batch.rows());
    for condition in conditions {
        condition.select(batch, &rows);
    }
    let documents = Documents::new(batch);
    for row in 0..batch.rows() {
        documents.fields(row);
        drop(sprintf::render(&template, batch, row, NOW, &mut String::new()));
        for id in batch.names().ids() {
            let reference = batch.names().reference(id);
            let is_there = fields::exists(batch, row, reference);
            assert!(is_there || batch.cell(row, id).is_absent());
            assert_eq!(fields::whole_json(batch, row, reference).is_some(), is_there, "{reference}");
        }
    }
    let halves: Vec<usize> = (0..batch.rows()).filter(|row| row % 2 == 1).collect();
    let mut selected = batch.select(&halves);
    selected.append_batch(batch);
    assert_eq!(selected.rows(), halves.len() + batch.rows());
    check_events(&selected);
    let mut changed = batch.clone();
    for row in 0..changed.rows() {
        fields::add_tag(&mut changed, row, "tag");
        for path in ["[m][n][0]", "[m]", "[new][x][y]"] {
            let reference = FieldReference::parse(path).expect("a reference");
            drop(fields::set(&mut changed, row, &reference, weir_filter::Value::Integer(7)));
            fields::remove(&mut changed, row, &reference);
        }
    }
    check_events(&changed);
}

/// Numbers and choices made of bytes, one after the other; zeros when there are no more.
pub(crate) struct Choices<'i> {
    bytes: &'i [u8],
}

impl<'i> Choices<'i> {
    pub(crate) fn new(bytes: &'i [u8]) -> Self {
        Choices { bytes }
    }

    /// The next byte.
    pub(crate) fn byte(&mut self) -> u8 {
        let Some((first, rest)) = self.bytes.split_first() else { return 0 };
        self.bytes = rest;
        *first
    }

    /// A number below `bound`, which is at most 256 and not 0.
    pub(crate) fn below(&mut self, bound: usize) -> usize {
        usize::from(self.byte()) % bound
    }

    /// Once in `often`; never when there are no more bytes.
    pub(crate) fn rarely(&mut self, often: usize) -> bool {
        self.below(often) == often - 1
    }

    /// Eight bytes as a number.
    pub(crate) fn number(&mut self) -> u64 {
        (0..8).fold(0, |number, _| number << 8 | u64::from(self.byte()))
    }

    /// One of some.
    pub(crate) fn one_of<'o, T>(&mut self, options: &'o [T]) -> &'o T {
        &options[self.below(options.len())]
    }
}

#[cfg(test)]
#[path = "fuzzing_tests.rs"]
mod tests;
