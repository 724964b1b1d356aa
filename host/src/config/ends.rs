//! `[input]` and `[output]`: which there are and what they are called. Their own options are read by their modules.

use std::path::PathBuf;

use serde_json::Value as Json;
use weir_filter::FieldReference;

use super::filter::{Component, FilterStep, numbered};
use super::section::Section;
use crate::event::condition::Condition;
use crate::input::{self, InputOptions, Source};
use crate::output::dead_letter::DeadLetterPlace;
use crate::output::{elasticsearch, file, stdout};

/// An input of the pipeline.
#[derive(Clone, Debug)]
pub struct InputConfig {
    /// Its name in messages, figures and the ledger, one of its own in the pipeline: its `id`, or its type, with a number
    /// where that stands more than once.
    pub name: String,
    /// Which input it is, and its options.
    pub options: InputOptions,
}

/// An output of the pipeline.
#[derive(Clone, Debug)]
pub struct OutputConfig {
    /// Its name in messages and figures, made like that of an input.
    pub name: String,
    /// Which output it is, and its options.
    pub options: OutputOptions,
    /// Which events it gets; `None`: all.
    pub when: Option<Condition>,
    /// Where events go that it can never store; `None`: where the pipeline's dead letters go by themselves.
    pub dead_letter: Option<DeadLetterPlace>,
}

/// The kinds of outputs, each with its options.
#[derive(Clone, Debug)]
pub enum OutputOptions {
    /// Elasticsearch or OpenSearch.
    Elasticsearch(Box<elasticsearch::ElasticsearchOptions>),
    /// Files.
    File(Box<file::FileOptions>),
    /// The terminal, or a pipe.
    Stdout(stdout::StdoutOptions),
}

impl OutputOptions {
    /// The word for it in the pipeline file: `type`.
    pub fn type_name(&self) -> &'static str {
        match self {
            OutputOptions::Elasticsearch(_) => "elasticsearch",
            OutputOptions::File(_) => "file",
            OutputOptions::Stdout(_) => "stdout",
        }
    }
}

/// Reads all inputs. `state_dir`: whether the pipeline has one.
pub(super) fn read_inputs(sections: Vec<Section>, state_dir: bool) -> Vec<InputConfig> {
    let mut inputs: Vec<InputConfig> = Vec::with_capacity(sections.len());
    for mut section in sections {
        let Some(options) = input::read_options(&mut section) else { continue };
        let kind = options.source.type_name();
        if options.source.needs_state_dir() && !state_dir {
            section.problem(
                "type",
                &format!("the input `{kind}` needs a `state_dir`"),
                "add state_dir = \"state\" to [pipeline]: what was read is written down there",
            );
        }
        let stdin = |input: &InputConfig| matches!(input.options.source, Source::Stdin);
        if kind == "stdin" && inputs.iter().any(stdin) {
            section.problem("type", "standard input can only be read once", "leave one of the two out");
        }
        let names: Vec<String> = inputs.iter().map(|input| input.name.clone()).collect();
        let name = read_name(&mut section, kind, &names);
        inputs.push(InputConfig { name, options });
    }
    inputs
}

/// Reads all outputs. `ecs_compatibility` is the pipeline's, `filters` are those before them.
pub(super) fn read_outputs(
    sections: Vec<Section>,
    ecs_compatibility: &str,
    filters: &[FilterStep],
) -> Vec<OutputConfig> {
    let mut outputs: Vec<OutputConfig> = Vec::with_capacity(sections.len());
    for mut section in sections {
        section.require("type");
        let Some(kind) = section.one_of("type", &["elasticsearch", "file", "stdout"]) else {
            section.ignore_rest();
            continue;
        };
        let options = match kind.as_str() {
            "elasticsearch" => {
                warn_of_short_ids(&mut section, filters);
                let options = elasticsearch::read_options(&mut section, ecs_compatibility);
                OutputOptions::Elasticsearch(Box::new(options))
            }
            "file" => OutputOptions::File(Box::new(file::read_options(&mut section))),
            _ => OutputOptions::Stdout(stdout::read_options(&mut section)),
        };
        let when = section.condition("when");
        let names: Vec<String> = outputs.iter().map(|output| output.name.clone()).collect();
        let name = read_name(&mut section, &kind, &names);
        let dead_letter = read_dead_letter(&mut section);
        outputs.push(OutputConfig { name, options, when, dead_letter });
    }
    outputs
}

fn read_name(section: &mut Section, kind: &str, taken: &[String]) -> String {
    let Some(id) = section.text("id") else { return numbered(kind, taken) };
    if id.is_empty() || taken.contains(&id) {
        section.problem("id", &format!("the id {id:?} is empty or taken"), "give it a name of its own");
    }
    id
}

/// A `document_id` of 32 bits alone makes different events one document: from 77,000 documents in an index on it is more
/// likely than not that two have met (the birthday problem).
fn warn_of_short_ids(section: &mut Section, filters: &[FilterStep]) {
    let Some(id) = section.text("document_id") else { return };
    let Some(field) = id.strip_prefix("%{").and_then(|id| id.strip_suffix('}')) else { return };
    let Ok(field) = FieldReference::parse(field) else { return };
    for step in filters {
        let text = |name: &str| step.options.get(name).and_then(Json::as_str);
        let target = FieldReference::parse(text("target").unwrap_or("fingerprint"));
        if step.component == Component::BuiltIn("fingerprint".to_owned())
            && text("method") == Some("MURMUR3")
            && target.is_ok_and(|target| target == field)
        {
            section.warning(
                "document_id",
                "document ids of 32 bits collide: events that differ become one document, and equal lines too",
                "leave document_id out, and ids are made from the events' own; or use method = \"MURMUR3_128\" or \"SHA256\"",
            );
        }
    }
}

fn read_dead_letter(section: &mut Section) -> Option<DeadLetterPlace> {
    let path: PathBuf = section.path("dead_letter")?;
    if section.text("dead_letter").as_deref() == Some("off") {
        return Some(DeadLetterPlace::Off);
    }
    Some(DeadLetterPlace::Folder(path))
}
