//! `weir help-filter`: what filters are there, and what their options mean, as the filters themselves say it.

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use clap::Args;
use serde_json::{Value as Json, json};
use weir::config::{Component, did_you_mean};
use weir::filter::{Compilation, Engine, Manifest};

use super::terminal::{stdout_takes_color, styled, width};
use super::{Format, cache_folder};

/// Lists the filters that ship with Weir, or prints the options and the manual of one
#[derive(Args)]
#[command(after_help = "Example: weir help-filter dissect")]
pub(super) struct HelpFilterOptions {
    /// A built-in filter, or the path of a .wasm
    #[arg(value_name = "NAME")]
    name: Option<String>,

    /// json: what the filter says of itself, its options as a JSON schema
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    format: Format,
}

pub(super) fn run(options: &HelpFilterOptions) -> Result<ExitCode> {
    let engine = Engine::new(cache_folder().as_deref(), Compilation::Quick)?;
    let mut stdout = std::io::stdout().lock();
    let Some(name) = &options.name else {
        let mut manifests = Vec::new();
        for name in Engine::built_in() {
            manifests.push(engine.describe(&Component::BuiltIn(name.to_owned()))?);
        }
        match options.format {
            Format::Json => writeln!(stdout, "{:#}", Json::from_iter(manifests.iter().map(manifest_json)))?,
            Format::Text => stdout.write_all(list(&manifests, stdout_takes_color()).as_bytes())?,
        }
        return Ok(ExitCode::SUCCESS);
    };
    let manifest = engine.describe(&component(name)?).with_context(|| format!("cannot load {name}"))?;
    match options.format {
        Format::Json => writeln!(stdout, "{:#}", manifest_json(&manifest))?,
        Format::Text => stdout.write_all(page(&manifest, width(), stdout_takes_color()).as_bytes())?,
    }
    Ok(ExitCode::SUCCESS)
}

/// The component that a command line names: a path, or a built-in filter.
pub(super) fn component(name: &str) -> Result<Component> {
    if name.contains('/') || name.ends_with(".wasm") {
        return Ok(Component::File(PathBuf::from(name)));
    }
    let known: Vec<&str> = Engine::built_in().collect();
    if known.contains(&name) {
        return Ok(Component::BuiltIn(name.to_owned()));
    }
    match did_you_mean(name, &known) {
        Some(near) => bail!("there is no built-in filter {name:?}; did you mean {near:?}?"),
        None => bail!("there is no built-in filter {name:?}; there are {}", known.join(", ")),
    }
}

fn manifest_json(manifest: &Manifest) -> Json {
    json!({
        "name": manifest.name,
        "version": manifest.version,
        "summary": manifest.summary,
        "options": schema_json(manifest),
        "manual": manifest.manual,
    })
}

/// A filter's schema of its options; one that is no JSON is shown as the text that it is.
pub(super) fn schema_json(manifest: &Manifest) -> Json {
    let schema = serde_json::from_str(&manifest.options_schema);
    schema.unwrap_or_else(|_| Json::from(manifest.options_schema.as_str()))
}

fn list(manifests: &[Manifest], color: bool) -> String {
    let longest = manifests.iter().map(|manifest| manifest.name.chars().count()).max().unwrap_or_default();
    let mut text = String::new();
    for manifest in manifests {
        let padding = " ".repeat(longest - manifest.name.chars().count());
        text.push_str(&format!("{}{padding}  {}\n", styled(&manifest.name, "1", color), manifest.summary));
    }
    text.push_str("\n`weir help-filter NAME` prints a filter's options and manual. `branch` (if, else if,\nelse) is part of the pipeline file: docs/pipeline-file.md.\n");
    text
}

fn page(manifest: &Manifest, width: usize, color: bool) -> String {
    let name = styled(&manifest.name, "1", color);
    let mut text = format!("{name} {}: {}\n", manifest.version, manifest.summary);
    text.push_str(&options_text(manifest, width, color));
    if !manifest.manual.is_empty() {
        text.push_str(&format!("\n{}\n", manifest.manual.trim()));
    }
    text
}

/// A filter's options and those that every filter has, a paragraph; empty where its schema says nothing.
pub(super) fn options_text(manifest: &Manifest, width: usize, color: bool) -> String {
    let mut text = String::new();
    if let Ok(schema) = serde_json::from_str::<Json>(&manifest.options_schema)
        && let Some(properties) = schema.get("properties").and_then(Json::as_object)
    {
        text.push_str(&format!("\n{}\n", styled("Options", "1", color)));
        let required: Vec<&str> = match schema.get("required").and_then(Json::as_array) {
            Some(names) => names.iter().filter_map(Json::as_str).collect(),
            None => Vec::new(),
        };
        for (name, option) in properties {
            text.push_str(&option_text(name, option, required.contains(&name.as_str()), width, color));
        }
        text.push_str("\nEvery filter also takes id, when, on_error, on_trap, add_field, remove_field, add_tag, remove_tag,\nlimits and grants.\n");
    }
    text
}

fn option_text(name: &str, option: &Json, required: bool, width: usize, color: bool) -> String {
    let mut notes = vec![kind_of(option)];
    if required {
        notes.push("required".to_owned());
    }
    if let Some(default) = option.get("default") {
        notes.push(format!("default {default}"));
    }
    let mut text = format!("  {}  {}\n", styled(name, "1", color), notes.join(", "));
    if let Some(description) = option.get("description").and_then(Json::as_str) {
        text.push_str(&wrapped(description, width, "      "));
    }
    let examples = option.get("x-example").into_iter();
    for example in examples.chain(option.get("examples").and_then(Json::as_array).into_iter().flatten()) {
        let example = example.as_str().map_or_else(|| example.to_string(), str::to_owned);
        text.push_str(&format!("      example: {}\n", example.replace('\n', "\n               ")));
    }
    text
}

fn kind_of(option: &Json) -> String {
    // What the SDK's schema says beside JSON schema, where several JSON types are taken for one kind.
    if let Some(kind) = option.get("x-kind").and_then(Json::as_str).filter(|_| option.get("enum").is_none()) {
        return kind.to_owned();
    }
    if let Some(words) = option.get("enum").and_then(Json::as_array) {
        let words: Vec<String> = words.iter().map(Json::to_string).collect();
        return words.join(" | ");
    }
    let word = |kind: &str| {
        match kind {
            "string" => "text",
            "array" => "list",
            "object" => "map",
            other => other,
        }
        .to_owned()
    };
    match option.get("type") {
        Some(Json::String(kind)) => word(kind),
        // The first is what is meant; the others are what is taken for it too.
        Some(Json::Array(kinds)) => {
            kinds.first().and_then(Json::as_str).map_or_else(|| "value".to_owned(), word)
        }
        _ => "value".to_owned(),
    }
}

/// Words in lines of at most `width` columns, each after the indent.
fn wrapped(text: &str, width: usize, indent: &str) -> String {
    let mut lines = String::new();
    let mut column = 0;
    for word in text.split_whitespace() {
        let length = word.chars().count();
        if column > 0 && column + 1 + length > width {
            lines.push('\n');
            column = 0;
        }
        let before = if column == 0 { indent } else { " " };
        lines.push_str(before);
        lines.push_str(word);
        column += before.len() + length;
    }
    lines.push('\n');
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_has_options_and_manual() {
        let manifest = Manifest {
            name: "cut".to_owned(),
            version: "1.0".to_owned(),
            summary: "cuts".to_owned(),
            options_schema: json!({
                "properties": {
                    "source": { "type": "string", "default": "message", "description": "what is cut, and a long text about it" },
                    "into": { "x-kind": "list", "x-example": "into = [\"a\"]" },
                },
                "required": ["into"],
            })
            .to_string(),
            manual: "# cut\nMore.\n".to_owned(),
            state_version: 0,
        };
        let expected = "cut 1.0: cuts\n\nOptions\n  source  text, default \"message\"\n      what is cut, and a long\n      text \
                        about it\n  into  list, required\n      example: into = [\"a\"]\n\nEvery filter";
        let page = page(&manifest, 30, false);
        assert!(page.starts_with(expected), "{page}");
        assert!(page.ends_with("\n# cut\nMore.\n"), "{page}");
    }
}
