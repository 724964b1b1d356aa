//! Cases of a filter (`cases/*.toml`): an event, options, and what must come out. Read like a pipeline file, so that a
//! mistake in a case is shown with its place too. Running them is left to `filter::run_case`; all keys are in
//! docs/testing-filters.md.
//!
//! ```toml
//! [[case]]
//! name = "a text is cut at its delimiters"
//! options.mapping.message = "%{a} %{b}"
//! input.message = "x y"                    # or a list of events
//! clock = "2026-01-01T00:00:05Z"           # what the filter sees as now
//! seed = 1                                 # of its random bytes
//! expect.fields = { a = "x", "[b]" = "y" } # field references and exact values
//! expect.tags = []
//! ```

mod accept;
#[cfg(test)]
mod accept_tests;
mod database;
mod expectation;
mod input;
mod pipeline;

use std::cell::RefCell;
use std::ops::Range;
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;

use serde_json::{Map, Value as Json};
use weir_filter::test::Expectation;

use self::database::read_databases;
use self::expectation::read_expectation;
use self::input::{read_clock, read_input};
use super::filter::{Component, FilterStep, read_options};
use super::problem::{Problems, SourceFile};
use super::secrets::Secrets;
use super::section::{Section, Shared};
use super::tree;

pub use accept::{Change, accept, accept_pipeline};
pub use database::NamedDatabase;
pub use input::{CaseFolder, named_files};
pub use pipeline::{OutputEvent, PipelineCase, PipelineTest, TEST_ENDING, read_pipeline_test};

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
    /// Address databases, by the names that options use instead of a path.
    pub databases: Vec<NamedDatabase>,
    /// The events and what must come of them, a batch after the other; one at least.
    pub batches: Vec<CaseBatch>,
    /// Whether the batches are written as such.
    pub has_batches: bool,
    /// Where the case begins.
    pub span: Range<usize>,
}

/// One batch of a case.
#[derive(Clone, Debug, Default)]
pub struct CaseBatch {
    /// The events.
    pub input: Vec<Map<String, Json>>,
    /// What the filter sees as now from here on, if another time than before.
    pub clock: Option<i64>,
    /// Whether the filter is ended before the batch, and a new one takes over what it kept.
    pub save_and_restore: bool,
    /// What must come out.
    pub expect: Expectation,
}

/// How cases are read.
#[derive(Clone, Debug)]
pub struct CaseReading<'f> {
    /// Where the files lie that they name.
    pub folder: CaseFolder<'f>,
    /// Whether a case without `expect` is none to be refused, as what comes out is to be written into it.
    pub may_lack_expect: bool,
}

/// Reads a file of cases. With problems, `cases` holds only what could be read.
///
/// # Errors
/// When the file itself cannot be read.
pub fn read_cases(path: &Path, may_lack_expect: bool) -> std::io::Result<(CaseFile, Problems)> {
    let folder = CaseFolder::disk(path.parent().map_or_else(Default::default, Path::to_path_buf));
    let reading = CaseReading { folder, may_lack_expect };
    Ok(read_cases_of(path, std::fs::read_to_string(path)?, &reading))
}

/// The same of a text that lies (or would lie) at `path`.
pub fn read_cases_of(path: &Path, text: String, reading: &CaseReading<'_>) -> (CaseFile, Problems) {
    let file = Arc::new(SourceFile { name: path.display().to_string(), text });
    let directory = path.parent().map_or_else(Default::default, Path::to_path_buf);
    let secrets = Secrets::default();
    let mut problems = Problems::new(secrets.clone());
    // A case says all itself: what looks like a variable is text for the filter.
    let entries = tree::parse(&file, None, &directory, &secrets, &mut problems).unwrap_or_default();
    let shared = Rc::new(Shared { file: file.clone(), directory, secrets, problems: RefCell::new(problems) });
    let mut root = Section::new("the file".to_owned(), 0..0, entries, shared.clone());
    let component = root.text("use").map(|written| super::filter::component(&root, &written));
    let databases = read_databases(&mut root);
    let cases = root.sections("case").into_iter();
    let cases = cases.map(|mut section| read_case(&mut section, &databases, reading)).collect();
    drop(root);
    let mut problems = shared.problems.replace(Problems::default());
    problems.sort();
    (CaseFile { component, cases, file }, problems)
}

fn read_case(section: &mut Section, databases: &[NamedDatabase], reading: &CaseReading<'_>) -> Case {
    let span = section.span_of("name");
    let name = section.required_text("name");
    let mut options = section.section("options").unwrap_or_else(|| section.absent("options"));
    let step = read_options(&mut options, name.clone(), Component::BuiltIn(String::new()), span.clone());
    let seed = section.integer_in("seed", 0..=i64::MAX).unwrap_or_default();
    let mut own = read_databases(section);
    own.extend(databases.iter().cloned());
    let clock = read_clock(section);
    let has_batches = section.is_set("batches");
    Case {
        name,
        step,
        clock,
        seed: seed.unsigned_abs(),
        environment: ["timezone", "locale", "ecs_compatibility"].map(|key| section.text(key)),
        databases: own,
        batches: if has_batches {
            read_batches(section, &reading.folder)
        } else {
            vec![read_only_batch(section, reading)]
        },
        has_batches,
        span,
    }
}

fn read_only_batch(section: &mut Section, reading: &CaseReading<'_>) -> CaseBatch {
    if !reading.may_lack_expect {
        section.require("expect");
    }
    CaseBatch {
        input: read_input(section, &reading.folder),
        expect: read_expect(section),
        ..CaseBatch::default()
    }
}

fn read_expect(section: &mut Section) -> Expectation {
    match section.section("expect") {
        Some(mut expect) => read_expectation(&mut expect),
        None => Expectation { unsaid: true, ..Expectation::default() },
    }
}

fn read_batches(section: &mut Section, folder: &CaseFolder<'_>) -> Vec<CaseBatch> {
    for key in ["input", "input_file", "expect"] {
        if section.is_set(key) {
            let message = format!("`{key}` and `batches` are both set");
            section.problem(key, &message, "write it into one of the batches");
        }
    }
    let mut batches = Vec::new();
    for mut batch in section.sections("batches") {
        let expect = read_expect(&mut batch);
        if expect.refused && !batches.is_empty() {
            batch.problem("expect", "options are refused before the first batch", "write `error` there");
        }
        batches.push(CaseBatch {
            input: read_input(&mut batch, folder),
            clock: read_clock(&mut batch),
            save_and_restore: batch.boolean("save_and_restore").unwrap_or_default(),
            expect,
        });
    }
    if batches.is_empty() {
        section.problem("batches", "`batches` is empty", "write [[case.batches]] with an input");
    }
    batches
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_text(text: &str) -> (CaseFile, Problems) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("cases.toml");
        std::fs::write(&path, text).unwrap();
        read_cases(&path, false).unwrap()
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
        let [CaseBatch { expect, .. }] = first.batches.as_slice() else { panic!("one batch") };
        assert_eq!(expect.fields[0].0.fragments(), ["a", "0"]);
        assert_eq!(expect.matches[0].1, "^x");
        assert_eq!(expect.tags, Some(Vec::new()));
        assert_eq!(expect.failed, Some(false));
        let [CaseBatch { input, expect, .. }] = second.batches.as_slice() else { panic!("one batch") };
        assert_eq!((input.len(), expect.events.as_ref().map(Vec::len)), (2, Some(1)));
    }

    #[test]
    fn batches_follow_one_another() {
        let (file, problems) = read_text(
            "[databases.\"test:city\"]\nnetworks.\"192.0.2.0/24\" = { city = { names = { en = \"Vienna\" } } }\n\
             [[case]]\nname = \"n\"\n[[case.batches]]\ninput.a = 1\n[[case.batches]]\nclock = \"1970-01-01T00:00:01Z\"\n\
             save_and_restore = true\ninput.a = 2\nexpect.dropped = true\n",
        );
        assert!(problems.list().is_empty(), "{}", problems.render(false));
        let [case] = file.cases.as_slice() else { panic!("one case") };
        assert_eq!(case.databases[0].0, "test:city");
        let [first, second] = case.batches.as_slice() else { panic!("two batches") };
        assert!(first.expect.unsaid && !first.save_and_restore && first.clock.is_none());
        assert!(second.expect.dropped && second.save_and_restore && second.clock == Some(1_000_000_000));
    }

    #[test]
    fn what_cases_take_from_files_is_bounded() {
        let files = [("a.log".to_owned(), "x".repeat(1 << 20))];
        let read = |cases: usize| {
            let text = "[[case]]\nname = \"n\"\ninput_file = \"a.log\"\nexpect = {}\n".repeat(cases);
            let reading = CaseReading { folder: CaseFolder::carried(&files), may_lack_expect: false };
            read_cases_of(Path::new("a.toml"), text, &reading).1.errors()
        };
        assert_eq!((read(64), read(66)), (0, 2));
        let network = |number: usize| format!("\"10.{}.{}.0/24\" = {{}}\n", number / 256, number % 256);
        let networks: String = (0..5000).map(network).collect();
        check(&format!("[databases.x.networks]\n{networks}"), &[(1, 1, "5000 networks are too many")]);
    }

    /// Every mistake with its place and what to do.
    fn check(text: &str, expected: &[(usize, usize, &str)]) {
        let (_, problems) = read_text(text);
        let mut found = Vec::new();
        for problem in problems.list() {
            let (line, column) = problem.file.position(problem.span.as_ref().map_or(0, |span| span.start));
            found.push((line, column, problem.message.clone()));
            assert!(!problem.fix.is_empty(), "{}", problem.message);
        }
        let is_expected =
            |((line, column, message), (l, c, part)): (&(usize, usize, String), &(usize, usize, &str))| {
                (line, column) == (l, c) && message.contains(part)
            };
        let all = found.len() == expected.len() && found.iter().zip(expected).all(is_expected);
        assert!(all, "{text}\n{found:#?}\n{}", problems.render(false));
    }

    #[test]
    fn mistakes_in_cases_have_places() {
        check(
            "[[case]]\nnames = \"n\"\nclock = \"now\"\nexpect.field.a = 1\n",
            &[
                (1, 1, "`name` is missing"),
                (2, 1, "unknown key `names`"),
                (3, 9, "is no time"),
                (4, 8, "unknown key `field`"),
            ],
        );
        let case = |lines: &str| format!("[[case]]\nname = \"n\"\n{lines}");
        check(
            &case("input = [1, { \"@timestamp\" = \"x\" }]\nexpect = {}"),
            &[(3, 10, "table of fields"), (3, 13, "no @timestamp")],
        );
        check(&case("input_file = \"none.log\"\nexpect = {}"), &[(3, 14, "cannot read \"none.log\"")]);
        check(&case("expect.fields.\"a[\" = 1"), &[(3, 15, "a[")]);
        check(&case("expect.match.a = \"(\""), &[(3, 14, "")]);
        check(
            &case("expect = { dropped = true, tags = [] }"),
            &[(3, 35, "`dropped` says that there is not one")],
        );
        check(&case("expect = { error = \"config\", failed = true }"), &[(3, 39, "no meaning")]);
        check(&case("expect.breaks = \"trp\""), &[(3, 17, "unknown value")]);
        check(&case("input.a = 1\n[[case.batches]]\ninput = {}"), &[(3, 1, "`input` and `batches`")]);
        check(
            "[databases.x.networks]\n\"192.0.2.0/33\" = {}\n\"192.0.2.1/32\" = 1\n",
            &[(2, 1, "its length is too large"), (3, 1, "no table")],
        );
    }
}
