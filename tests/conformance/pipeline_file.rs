//! A case's option map as the table of a pipeline file, read as a user's file is.

use std::path::Path;

use serde_json::{Map, Value as Json};
use weir::config::{Config, Secrets, Variables, read};

/// The configuration of a pipeline whose `[output]` is this map, or what is wrong with it.
pub(crate) fn with_output(options: &Map<String, Json>) -> Result<Config, String> {
    read_text(&format!("[input]\ntype = \"stdin\"\n[output]\n{}", table(options)))
}

/// The configuration of a pipeline whose `[input]` is this map, or what is wrong with it.
pub(crate) fn with_input(options: &Map<String, Json>) -> Result<Config, String> {
    let text = "[pipeline]\nstate_dir = \"state\"\n[output]\ntype = \"stdout\"\n[input]\n";
    read_text(&format!("{text}{}", table(options)))
}

fn read_text(text: &str) -> Result<Config, String> {
    let reading = read(Path::new("case.toml"), text.to_owned(), &Variables::fixed([]), &Secrets::default());
    match reading.config {
        Some(config) if reading.problems.errors() == 0 => Ok(config),
        _ => Err(reading.problems.render(false)),
    }
}

/// A line a key. A null is a key that is not set.
fn table(map: &Map<String, Json>) -> String {
    let set = map.iter().filter(|(_, value)| !value.is_null());
    set.map(|(key, value)| format!("{} = {}\n", text(key), toml(value))).collect()
}

fn toml(value: &Json) -> String {
    match value {
        Json::Null => text(""),
        Json::String(string) => text(string),
        // TOML has no larger integers.
        Json::Number(number) if !number.is_i64() && !number.as_str().contains(['.', 'e', 'E']) => {
            text(number.as_str())
        }
        Json::Bool(_) | Json::Number(_) => value.to_string(),
        Json::Array(elements) => format!("[{}]", elements.iter().map(toml).collect::<Vec<_>>().join(", ")),
        Json::Object(map) => format!("{{ {} }}", table(map).lines().collect::<Vec<_>>().join(", ")),
    }
}

/// Texts of JSON are texts of TOML, but for one letter.
fn text(text: &str) -> String {
    Json::from(text).to_string().replace('\u{7f}', "\\u007f")
}
