//! Tests of a whole pipeline (`NAME.test.toml` beside `NAME.toml`): events as they enter the filters, and what each output
//! must be given. Running them is left to `pipeline_case`.

use std::cell::RefCell;
use std::collections::HashMap;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;

use serde_json::{Map, Value as Json};
use weir_filter::test::Expectation;

use super::super::nearest::did_you_mean;
use super::super::problem::{Problems, SourceFile};
use super::super::secrets::Secrets;
use super::super::section::{Section, Shared};
use super::super::variables::Variables;
use super::super::{Config, read_file, tree};
use super::database::{NamedDatabase, read_databases};
use super::expectation::read_event;
use super::input::{CaseFolder, read_clock, read_input};

/// The ending of a test file's name.
pub const TEST_ENDING: &str = ".test.toml";

/// What an output renders for an event and a case may expect; `elasticsearch` all but the last, which is of `file`.
const RENDERED: [&str; 7] = ["action", "index", "document_id", "routing", "pipeline", "version", "path"];

/// A test file and the pipeline that it is for.
#[derive(Debug)]
pub struct PipelineTest {
    /// The pipeline.
    pub config: Config,
    /// The pipeline's file.
    pub pipeline: PathBuf,
    /// The cases, in order.
    pub cases: Vec<PipelineCase>,
    /// The test file.
    pub file: Arc<SourceFile>,
}

/// One case of a pipeline.
#[derive(Clone, Debug)]
pub struct PipelineCase {
    /// What it shows.
    pub name: String,
    /// What filters see as now, in nanoseconds since 1970.
    pub clock: Option<i64>,
    /// The seed of their random bytes.
    pub seed: u64,
    /// Address databases, by the names that options use instead of a path.
    pub databases: Vec<NamedDatabase>,
    /// The events, as inputs give them to the filters.
    pub input: Vec<Map<String, Json>>,
    /// What outputs must be given, by their names; of others nothing is said.
    pub outputs: Vec<(String, Vec<OutputEvent>)>,
    /// So many events go to the dead letters.
    pub dead_letters: u64,
    /// Where the case begins.
    pub span: Range<usize>,
}

/// An event that an output must be given.
#[derive(Clone, Debug, Default)]
pub struct OutputEvent {
    /// Its fields and tags.
    pub event: Expectation,
    /// What the output makes for it, by name.
    pub rendered: Vec<(String, Json)>,
}

/// Reads a test file, and the pipeline file that it is for. `None` where one of the two has another form.
///
/// # Errors
/// When the test file cannot be read.
pub fn read_pipeline_test(
    path: &Path,
    secrets: &Secrets,
) -> std::io::Result<(Option<PipelineTest>, Problems)> {
    let file =
        Arc::new(SourceFile { name: path.display().to_string(), text: std::fs::read_to_string(path)? });
    let directory = path.parent().map_or_else(PathBuf::new, Path::to_path_buf);
    let mut problems = Problems::new(secrets.clone());
    let Some(entries) = tree::parse(&file, None, &directory, secrets, &mut problems) else {
        return Ok((None, problems));
    };
    let shared = Rc::new(Shared {
        file: file.clone(),
        directory: directory.clone(),
        secrets: secrets.clone(),
        problems: RefCell::new(problems),
    });
    let mut root = Section::new("the file".to_owned(), 0..0, entries, shared.clone());
    let named = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let stem = named.strip_suffix(TEST_ENDING).unwrap_or("pipeline");
    let pipeline = root.path("pipeline").unwrap_or_else(|| directory.join(format!("{stem}.toml")));
    let variables: HashMap<String, String> =
        root.members("variables").into_iter().map(|(name, value)| (name, text_of(&value))).collect();
    let variables = Variables::fixed(variables.iter().map(|(name, value)| (name.as_str(), value.as_str())));
    let (config, of_pipeline) = match read_file(&pipeline, &variables, secrets) {
        Ok(reading) => (reading.config, Some(reading.problems)),
        Err(error) => {
            let message = format!("cannot read the pipeline file {}: {error}", pipeline.display());
            root.problem("pipeline", &message, "name it: pipeline = \"….toml\"");
            (None, None)
        }
    };
    let databases = read_databases(&mut root);
    let folder = CaseFolder::disk(directory);
    let names: Vec<String> =
        config.iter().flat_map(|config| &config.outputs).map(|output| output.name.clone()).collect();
    let mut cases = Vec::new();
    for mut section in root.sections("case") {
        cases.push(read_case(&mut section, &databases, &folder, &names));
    }
    drop(root);
    let mut problems = shared.problems.replace(Problems::default());
    problems.sort();
    if let Some(of_pipeline) = of_pipeline.filter(|problems| problems.errors() > 0) {
        problems.extend(of_pipeline);
    }
    let test = config.map(|config| PipelineTest { config, pipeline, cases, file });
    Ok((test, problems))
}

fn read_case(
    section: &mut Section,
    databases: &[NamedDatabase],
    folder: &CaseFolder<'_>,
    names: &[String],
) -> PipelineCase {
    let span = section.span_of("name");
    let name = section.required_text("name");
    let mut own = read_databases(section);
    own.extend(databases.iter().cloned());
    section.require("expect");
    let mut expect = section.section("expect").unwrap_or_else(|| section.absent("expect"));
    let dead_letters = expect.integer_in("dead_letters", 0..=i64::MAX).unwrap_or_default();
    PipelineCase {
        name,
        clock: read_clock(section),
        seed: section.integer_in("seed", 0..=i64::MAX).unwrap_or_default().unsigned_abs(),
        databases: own,
        input: read_input(section, folder),
        outputs: read_outputs(&mut expect, names),
        dead_letters: dead_letters.unsigned_abs(),
        span,
    }
}

fn read_outputs(expect: &mut Section, names: &[String]) -> Vec<(String, Vec<OutputEvent>)> {
    let mut outputs = Vec::new();
    let Some(mut section) = expect.section("outputs") else { return outputs };
    for name in section.keys() {
        let mut events = Vec::new();
        for event in section.elements(&name) {
            match event {
                Some(mut event) => events.push(read_output_event(&mut event)),
                None => section.problem(
                    &name,
                    "what an output is given must be a list of tables",
                    "write [[case.expect.outputs.NAME]] for each event, or NAME = [] for none",
                ),
            }
        }
        if !names.contains(&name) && !names.is_empty() {
            let known: Vec<&str> = names.iter().map(String::as_str).collect();
            let fix = did_you_mean(&name, &known).map_or_else(
                || format!("the pipeline's outputs are {}", known.join(", ")),
                |near| format!("did you mean `{near}`?"),
            );
            expect.member_problem("outputs", &name, &format!("the pipeline has no output {name:?}"), &fix);
        }
        outputs.push((name, events));
    }
    outputs
}

fn read_output_event(section: &mut Section) -> OutputEvent {
    let event = read_event(section);
    let rendered = RENDERED.iter().filter_map(|key| Some(((*key).to_owned(), section.json(key)?))).collect();
    OutputEvent { event, rendered }
}

fn text_of(value: &Json) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}
