//! The pipeline file: TOML as written -> typed configuration as needed. Every mistake becomes a problem with file, line,
//! column, cause and fix, all in one run. Reads nothing but the file and what `${file:…}` names; loading guests and
//! opening databases is left to `check` and to the line.

mod branch;
pub mod cases;
mod embedded_cases;
mod ends;
mod filter;
mod grants;
mod limits;
mod nearest;
mod observe;
mod pipeline;
mod problem;
mod quantity;
mod secrets;
mod section;
mod swap;
mod tree;
mod variables;

use std::cell::RefCell;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;

use serde_json::Value as Json;

pub use branch::{Arm, Branch, Step};
pub use embedded_cases::{CASES_SECTION, embedded_cases, with_cases};
pub use ends::{InputConfig, OutputConfig, OutputOptions};
pub use filter::{CommonOptions, Component, FilterStep, OnFailure, filter_from_json};
pub use grants::Grants;
pub use limits::Limits;
pub use nearest::did_you_mean;
pub use observe::ObserveConfig;
pub use pipeline::PipelineConfig;
pub use problem::{Problem, Problems, Severity, SourceFile};
pub use quantity::{parse_bytes, parse_duration};
pub use secrets::Secrets;
pub use section::Section;
pub use swap::SwapConfig;
pub use tree::Places;
pub use variables::Variables;

/// A pipeline file as needed.
#[derive(Clone, Debug)]
pub struct Config {
    /// What holds for the whole line.
    pub pipeline: PipelineConfig,
    /// Where the figures of the running pipeline can be asked for.
    pub observe: ObserveConfig,
    /// Where events come from.
    pub inputs: Vec<InputConfig>,
    /// The filters, in the order of writing.
    pub filters: Vec<FilterStep>,
    /// The chain: how the filters and the branches stand.
    pub steps: Vec<Step>,
    /// Where events go.
    pub outputs: Vec<OutputConfig>,
    /// The file, for problems that are found later.
    pub file: Arc<SourceFile>,
    /// What must not be shown.
    pub secrets: Secrets,
}

impl Config {
    /// A problem that a guest (or the host, of a common option) reports by a JSON pointer into a step's options, at its
    /// place in the file.
    pub fn filter_problem(&self, step: &FilterStep, pointer: &str, message: &str, fix: &str) -> Problem {
        let (mut message, mut fix) = (message.to_owned(), fix.to_owned());
        if step.places.is_nested_table(pointer) {
            let mut tokens = pointer.split('/').skip(1);
            if let (Some(option), Some(key)) = (tokens.next(), tokens.next()) {
                let inner = step.options.get(option).and_then(|map| map.get(key)).and_then(Json::as_object);
                let inner = inner.and_then(|map| map.keys().next()).map_or("…", String::as_str);
                let explained = section::nested_table(option, key, inner);
                message = format!("{}: {message}", explained.0);
                fix = explained.1;
            }
        }
        // Of an unknown option the key is what is wrong, of a known one the value.
        let key = step.places.key(pointer).filter(|_| message.starts_with("unknown option"));
        let place = key.or_else(|| step.places.find(pointer));
        Problem {
            severity: Severity::Error,
            file: self.file.clone(),
            span: place.or_else(|| Some(step.span.clone())),
            message,
            fix,
        }
    }
}

/// What reading a file came to.
#[derive(Debug)]
pub struct Reading {
    /// The configuration, with defaults where something is wrong; `None` when the file's syntax is.
    pub config: Option<Config>,
    /// All problems, sorted by place.
    pub problems: Problems,
}

/// Reads a pipeline file.
///
/// # Errors
/// When the file itself cannot be read.
pub fn read_file(path: &Path, variables: &Variables, secrets: &Secrets) -> std::io::Result<Reading> {
    let text = std::fs::read_to_string(path)?;
    Ok(read(path, text, variables, secrets))
}

/// Reads the text of a pipeline file that lies (or would lie) at `path`.
pub fn read(path: &Path, text: String, variables: &Variables, secrets: &Secrets) -> Reading {
    let file = Arc::new(SourceFile { name: path.display().to_string(), text });
    let directory = path.parent().map_or_else(PathBuf::new, Path::to_path_buf);
    let mut problems = Problems::new(secrets.clone());
    let entries = tree::parse(&file, Some(variables), &directory, secrets, &mut problems);
    let Some(entries) = entries else {
        problems.sort();
        return Reading { config: None, problems };
    };
    let shared = Rc::new(section::Shared {
        file: file.clone(),
        directory,
        secrets: secrets.clone(),
        problems: RefCell::new(problems),
    });
    let mut root = Section::new("the file".to_owned(), 0..0, entries, shared.clone());
    let stem =
        path.file_stem().map_or_else(|| "pipeline".to_owned(), |stem| stem.to_string_lossy().into_owned());
    let mut pipeline = root.section("pipeline").unwrap_or_else(|| root.absent("pipeline"));
    for (key, example) in [("input", "sample"), ("output", "stdout")] {
        if !root.is_set(key) {
            let message = format!("there is no [{key}]");
            root.file_problem(&message, &format!("add [{key}] with type = \"{example}\", or another"));
        }
    }
    let pipeline_config = pipeline::read_pipeline(&mut pipeline, &stem);
    let observe = root.section("observe").as_mut().map(observe::read_observe).unwrap_or_default();
    let (filters, steps) = branch::read_chain(root.sections("filter"));
    let config = Config {
        inputs: ends::read_inputs(root.sections("input"), pipeline_config.state_dir.is_some()),
        outputs: ends::read_outputs(root.sections("output"), &pipeline_config.ecs_compatibility, &filters),
        filters,
        steps,
        observe,
        pipeline: pipeline_config,
        file,
        secrets: secrets.clone(),
    };
    drop((pipeline, root));
    let mut problems = shared.problems.replace(Problems::default());
    problems.sort();
    Reading { config: Some(config), problems }
}

/// Reads the text of a file that says of a filter's step all but its `use` and `id`. `None` when its syntax is wrong.
pub fn read_step(
    path: &Path,
    text: String,
    variables: &Variables,
    secrets: &Secrets,
    id: String,
    component: Component,
) -> (Option<FilterStep>, Problems) {
    let file = Arc::new(SourceFile { name: path.display().to_string(), text });
    let directory = path.parent().map_or_else(PathBuf::new, Path::to_path_buf);
    let mut problems = Problems::new(secrets.clone());
    let entries = tree::parse(&file, Some(variables), &directory, secrets, &mut problems);
    let Some(entries) = entries else {
        problems.sort();
        return (None, problems);
    };
    let secrets = secrets.clone();
    let shared =
        Rc::new(section::Shared { file: file.clone(), directory, secrets, problems: RefCell::new(problems) });
    let mut root = Section::new("the file".to_owned(), 0..0, entries, shared.clone());
    let step = filter::read_filter(&mut root, id, component);
    drop(root);
    let mut problems = shared.problems.replace(Problems::default());
    problems.sort();
    (Some(step), problems)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_text(text: &str) -> Reading {
        let variables = Variables::fixed([("SIZE", "512"), ("ZONE", "Mars/Olympus")]);
        read(Path::new("config/example.toml"), text.to_owned(), &variables, &Secrets::default())
    }

    #[test]
    fn steps_keep_their_order_and_places() {
        let text = "[input]\ntype = \"stdin\"\n[output]\ntype = \"stdout\"\n[pipeline]\nstate_dir = \"state\"\nbatch_size = \"${SIZE}\"\n\n[[filter]]\nuse = \"dissect\"\n\
                    mapping.message = \"%{a} %{b}\"\nadd_tag = \"x\"\n[[filter]]\nuse = \"my.wasm\"\nz = 1\na.b.c = 2\n\
                    limits.memory = \"128MiB\"\n[[filter]]\nuse = \"dissect\"";
        let reading = read_text(text);
        assert_eq!(reading.problems.list().len(), 0, "{}", reading.problems.render(false));
        let config = reading.config.unwrap();
        assert_eq!(config.pipeline.name, "example");
        assert_eq!(config.pipeline.batch_size, 512);
        assert_eq!(config.pipeline.state_dir, Some(PathBuf::from("config/state")));
        let ids: Vec<&str> = config.filters.iter().map(|step| step.id.as_str()).collect();
        assert_eq!(ids, ["dissect", "my", "dissect-2"]);
        let [dissect, mine, _] = config.filters.as_slice() else { panic!("three steps") };
        assert_eq!(
            serde_json::to_string(&dissect.options).unwrap(),
            r#"{"mapping":{"message":"%{a} %{b}"}}"#
        );
        assert_eq!(dissect.common.add_tag, ["x"]);
        assert_eq!(mine.component, Component::File(PathBuf::from("config/my.wasm")));
        assert_eq!(serde_json::to_string(&mine.options).unwrap(), r#"{"z":1,"a":{"b":{"c":2}}}"#);
        assert_eq!(mine.limits.memory, 128 << 20);
        let problem = config.filter_problem(dissect, "/mapping/message", "bad", "");
        assert_eq!(problem.file.position(problem.span.unwrap().start), (11, 19));
        let problem = config.filter_problem(mine, "/a/b", "must be a text", "");
        assert!(problem.message.starts_with("`a.b` is a table inside a map"), "{}", problem.message);
    }

    #[test]
    fn problems_of_all_parts_come_sorted_and_masked() {
        let reading = read_text(
            "[[filter]]\nuse = \"branch\"\n[[filter]]\nuse = \"date\"\nwhen = \"[a\"\non_error = \"ignore\"\n\
             [pipeline]\ntimezone = \"${ZONE}\"\nbatch_sise = 1\n",
        );
        let lines: Vec<(usize, usize)> = reading
            .problems
            .list()
            .iter()
            .filter_map(|problem| Some(problem.file.position(problem.span.as_ref()?.start)))
            .collect();
        assert_eq!(lines, [(2, 7), (5, 9), (6, 12), (8, 12), (9, 1)]);
        let text = reading.problems.render(false);
        assert!(text.contains("there is no [input]") && text.contains("there is no [output]"), "{text}");
        assert!(text.contains("unknown time zone \"${ZONE}\""), "{text}");
        assert!(!text.contains("Olympus"), "{text}");
    }

    #[test]
    fn several_syntax_errors_come_out_in_one_run() {
        let reading = read_text("[pipeline]\nname = \nbatch_size == 3\n[[filter]\nuse = \"x\"\n");
        assert!(reading.config.is_none());
        assert!(reading.problems.list().len() >= 3, "{}", reading.problems.render(false));
    }
}
