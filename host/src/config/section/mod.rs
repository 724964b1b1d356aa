//! A table of the pipeline file being read: every module asks for its own keys by name and kind. What is wrong becomes a
//! problem with its place and reading goes on, so one run shows all; keys that nobody asked for are unknown. Nothing
//! here opens or looks at what the options name.

mod condition;
mod tables;
mod values;

use std::cell::RefCell;
use std::ops::Range;
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;

use super::nearest::did_you_mean;
use super::problem::{Problem, Problems, Severity, SourceFile};
use super::secrets::Secrets;
use super::tree::{self, Entry, Node, Value};
use super::variables::Variables;

pub(super) use tables::nested_table;

/// What all sections of a file share.
pub(super) struct Shared {
    pub(super) file: Arc<SourceFile>,
    pub(super) directory: PathBuf,
    pub(super) secrets: Secrets,
    pub(super) problems: RefCell<Problems>,
}

impl Shared {
    /// For sections that are in no file.
    pub(super) fn nowhere() -> Self {
        let secrets = Secrets::default();
        Shared {
            file: Arc::new(SourceFile { name: String::new(), text: String::new() }),
            directory: PathBuf::new(),
            problems: RefCell::new(Problems::new(secrets.clone())),
            secrets,
        }
    }
}

/// A table being read. Dropping it reports the keys that were not asked for.
pub struct Section {
    title: String,
    span: Range<usize>,
    entries: Vec<Entry>,
    asked: Vec<String>,
    rest_is_known: bool,
    shared: Rc<Shared>,
}

impl Section {
    pub(super) fn new(title: String, span: Range<usize>, entries: Vec<Entry>, shared: Rc<Shared>) -> Self {
        Section { title, span, entries, asked: Vec::new(), rest_is_known: false, shared }
    }

    /// A section of its own from TOML text, for the tests of a module's options; it stands in a file `test.toml` of
    /// folder `.`, without any variables.
    pub fn parse(text: &str) -> Self {
        let file = Arc::new(SourceFile { name: "test.toml".to_owned(), text: text.to_owned() });
        let secrets = Secrets::default();
        let mut problems = Problems::new(secrets.clone());
        let directory = PathBuf::from(".");
        let entries = tree::parse(&file, Some(&Variables::fixed([])), &directory, &secrets, &mut problems);
        let shared = Shared { file, directory, secrets, problems: RefCell::new(problems) };
        Section::new("[test]".to_owned(), 0..0, entries.unwrap_or_default(), Rc::new(shared))
    }

    /// The end of a section made by [`Section::parse`]: the problems, unknown keys with them, each as
    /// `line:column: message (fix)`.
    pub fn into_problems(self) -> Vec<String> {
        let shared = self.shared.clone();
        drop(self);
        let mut problems = shared.problems.borrow_mut();
        problems.sort();
        let texts = problems.list().iter().map(|problem| {
            let (line, column) = shared.file.position(problem.span.as_ref().map_or(0, |span| span.start));
            format!("{line}:{column}: {} ({})", problem.message, problem.fix)
        });
        texts.collect()
    }

    /// The name of the section in messages, such as `[output]`.
    pub fn title(&self) -> &str {
        &self.title
    }

    /// Whether the key is there and has a value: `"${NAME:}"` without the variable has none.
    pub fn is_set(&mut self, key: &str) -> bool {
        self.node(key).is_some()
    }

    /// Whether the key's value came by a variable.
    pub fn is_from_variable(&mut self, key: &str) -> bool {
        self.node(key).is_some_and(|node| node.from_variable)
    }

    /// The folder that relative paths start at.
    pub fn directory(&self) -> PathBuf {
        self.shared.directory.clone()
    }

    /// The keys that were not asked for are not reported: what would know them is itself unknown.
    pub fn ignore_rest(&mut self) {
        self.rest_is_known = true;
    }

    /// Something is wrong with the value of this key; without the key, with the section.
    pub fn problem(&mut self, key: &str, message: &str, fix: &str) {
        let span = self.span_of(key);
        self.report(span, message.to_owned(), fix.to_owned());
    }

    /// Something is wrong with the file as a whole.
    pub(super) fn file_problem(&self, message: &str, fix: &str) {
        let file = self.shared.file.clone();
        let (message, fix) = (message.to_owned(), fix.to_owned());
        let problem = Problem { severity: Severity::Error, file, span: None, message, fix };
        self.shared.problems.borrow_mut().push(problem);
    }

    /// Something is wrong with an element (from 0) of the list that this key has.
    pub fn element_problem(&mut self, key: &str, element: usize, message: &str, fix: &str) {
        let mut span = self.span_of(key);
        if let Some(Node { value: Value::List(elements), .. }) = self.node(key)
            && let Some(element) = elements.get(element)
        {
            span = element.span.clone();
        }
        self.report(span, message.to_owned(), fix.to_owned());
    }

    /// The pipeline runs, but perhaps not as its writer thinks.
    pub fn warning(&mut self, key: &str, message: &str, fix: &str) {
        let span = self.span_of(key);
        self.push(Severity::Warning, span, message.to_owned(), fix.to_owned());
    }

    /// The place of a key's value, or of the section.
    pub(super) fn span_of(&mut self, key: &str) -> Range<usize> {
        self.node(key).map_or_else(|| self.span.clone(), |node| node.span)
    }

    /// Reports a key that must be there and is not.
    pub(super) fn require(&mut self, key: &str) {
        if self.is_set(key) {
            return;
        }
        let message = format!("`{key}` is missing in {}", self.title);
        // An empty variable leaves the key without a value: then the place is the key's.
        let written = self.entries.iter().find(|entry| entry.key == key);
        let (span, fix) = match written {
            Some(entry) => (entry.value.span.clone(), "the variable is empty or not set".to_owned()),
            None => (self.span.clone(), format!("add `{key} = …`")),
        };
        self.report(span, message, fix);
    }

    fn node(&mut self, key: &str) -> Option<Node> {
        if !self.asked.iter().any(|asked| asked == key) {
            self.asked.push(key.to_owned());
        }
        let entry = self.entries.iter().find(|entry| entry.key == key)?;
        (!is_unset(&entry.value)).then(|| entry.value.clone())
    }

    fn inner(&self, key: &str, span: Range<usize>, entries: Vec<Entry>) -> Section {
        // The whole file has no brackets around its name.
        let title = match self.title.strip_suffix(']') {
            Some(title) => format!("{title}.{key}]"),
            None => format!("[{key}]"),
        };
        Section::new(title, span, entries, self.shared.clone())
    }

    pub(super) fn report(&self, span: Range<usize>, message: String, fix: String) {
        self.push(Severity::Error, span, message, fix);
    }

    fn push(&self, severity: Severity, span: Range<usize>, message: String, fix: String) {
        let file = self.shared.file.clone();
        self.shared.problems.borrow_mut().push(Problem { severity, file, span: Some(span), message, fix });
    }
}

impl Drop for Section {
    fn drop(&mut self) {
        if self.rest_is_known {
            return;
        }
        let known: Vec<&str> = self.asked.iter().map(String::as_str).collect();
        for entry in &self.entries {
            if known.contains(&entry.key.as_str()) {
                continue;
            }
            let fix = did_you_mean(&entry.key, &known)
                .map_or_else(|| known_keys(&known), |near| format!("did you mean `{near}`?"));
            self.report(
                entry.key_span.clone(),
                format!("unknown key `{}` in {}", entry.key, self.title),
                fix,
            );
        }
    }
}

/// `"${NAME:}"` without the variable: as if the key were not there.
fn is_unset(node: &Node) -> bool {
    node.from_variable && matches!(&node.value, Value::Text(text) if text.is_empty())
}

fn known_keys(known: &[&str]) -> String {
    let mut known: Vec<String> = known.iter().map(|key| format!("`{key}`")).collect();
    known.sort();
    if known.is_empty() { String::new() } else { format!("known keys are {}", known.join(", ")) }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use serde_json::Value as Json;

    use super::*;

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
    fn scalars_are_taken_as_in_logstash() {
        let mut section = Section::parse(
            "a = 5\nb = [true]\nc = \"12\"\nd = \"true\"\ne = [\"1.5\"]\nf = [1, 2.0, \"x\"]\ng = 1e20\n\
             m = [\"k\", 1, \"l\", 2, \"k\", 3, 5, [4]]",
        );
        assert_eq!(section.text("a").as_deref(), Some("5"));
        assert_eq!(section.text("b").as_deref(), Some("true"));
        assert_eq!(section.boolean("b"), Some(true));
        assert_eq!(section.integer("c"), Some(12));
        assert_eq!(section.boolean("d"), Some(true));
        assert_eq!(section.number("e"), Some(1.5));
        assert_eq!(section.number("c"), Some(12.0));
        assert_eq!(section.texts("f"), ["1", "2.0", "x"]);
        assert_eq!(section.texts("a"), ["5"]);
        assert_eq!(section.text("g").as_deref(), Some("1.0e+20"));
        let map: Vec<String> = section.map("m").iter().map(|(key, value)| format!("{key}={value}")).collect();
        assert_eq!(map, ["k=[1,3]", "l=2", "5=[4]"]);
        assert_eq!(section.into_problems(), Vec::<String>::new());
    }

    #[test]
    fn every_mistake_is_reported_with_its_place() {
        let mut section = Section::parse(
            "text = [1, 2]\nnumber = \"012\"\nmode = \"reed\"\nwait = \"5 weeks\"\nlist = [\"a\", {}]\n\
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
}
