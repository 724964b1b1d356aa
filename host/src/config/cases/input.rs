//! The events of a case: written in it, or in a file beside it.

use std::cell::Cell;
use std::fs;
use std::io::Read;
use std::path::PathBuf;

use serde_json::{Map, Value as Json};
use weir_filter::timestamp;

use super::super::section::Section;

/// The longest file of events, in bytes.
const LONGEST_FILE: u64 = 16 << 20;

/// The most events of a batch; as in a pipeline.
const MOST_EVENTS: usize = 65_536;

/// The most bytes that the cases of one file may take from files, in sum: many may name the same one.
const MOST_READ: usize = 64 << 20;

/// Where the files lie that cases name.
#[derive(Clone, Debug)]
pub struct CaseFolder<'f> {
    place: Place<'f>,
    /// What was read so far.
    read: Cell<usize>,
}

#[derive(Clone, Debug)]
enum Place<'f> {
    Disk(PathBuf),
    Carried(&'f [(String, String)]),
}

impl<'f> CaseFolder<'f> {
    /// A folder: that of the file of cases.
    pub fn disk(folder: PathBuf) -> Self {
        CaseFolder { place: Place::Disk(folder), read: Cell::new(0) }
    }

    /// The component that carries the cases: names and texts. No other file is read.
    pub fn carried(files: &'f [(String, String)]) -> Self {
        CaseFolder { place: Place::Carried(files), read: Cell::new(0) }
    }

    /// The text of a file, within what all may have.
    fn read(&self, name: &str) -> Result<String, (String, &'static str)> {
        let text = self.place.read(name)?;
        self.read.set(self.read.get().saturating_add(text.len()));
        if self.read.get() > MOST_READ {
            let message = format!("the cases of this file take more than {MOST_READ} bytes from files");
            return Err((message, "name smaller files, or use several files of cases"));
        }
        Ok(text)
    }
}

impl Place<'_> {
    /// The text of a file; an error says what is wrong with it, and what to do.
    fn read(&self, name: &str) -> Result<String, (String, &'static str)> {
        match self {
            Place::Disk(folder) => {
                let failed = |error: std::io::Error| {
                    (format!("cannot read {name:?}: {error}"), "its path starts at the folder of this file")
                };
                let mut text = String::new();
                let file = fs::File::open(folder.join(name)).map_err(failed)?;
                let length = file.take(LONGEST_FILE + 1).read_to_string(&mut text).map_err(failed)?;
                if length as u64 > LONGEST_FILE {
                    let message = format!("{name:?} has more than {LONGEST_FILE} bytes");
                    return Err((message, "keep the events that the case needs"));
                }
                Ok(text)
            }
            Place::Carried(files) => {
                let found = files.iter().find(|(known, _)| known == name);
                found.map(|(_, text)| text.clone()).ok_or_else(|| {
                    let message = format!("the component does not carry {name:?}");
                    (message, "`weir build` takes the files beside the cases that they name")
                })
            }
        }
    }
}

/// Reads `input` or `input_file`; an event without fields where there is neither.
pub(super) fn read_input(section: &mut Section, folder: &CaseFolder<'_>) -> Vec<Map<String, Json>> {
    if let Some(name) = section.text("input_file") {
        if section.is_set("input") {
            section.problem(
                "input_file",
                "`input` and `input_file` are both set",
                "leave out one of the two",
            );
        }
        return read_file(section, &name, folder);
    }
    let mut events = Vec::new();
    match section.json("input") {
        Some(Json::Object(event)) => {
            check_event(section, None, &event);
            events.push(event);
        }
        Some(Json::Array(list)) => {
            for (element, event) in list.into_iter().enumerate() {
                match event {
                    Json::Object(event) => {
                        check_event(section, Some(element), &event);
                        events.push(event);
                    }
                    _ => section.element_problem(
                        "input",
                        element,
                        "an event is a table of fields",
                        "write { message = \"…\" }",
                    ),
                }
            }
        }
        Some(_) => section.problem(
            "input",
            "`input` must be a table of fields, or a list of such",
            "write input.message = \"…\", or input = [{ message = \"…\" }]",
        ),
        None => events.push(Map::new()),
    }
    if events.len() > MOST_EVENTS {
        section.problem(
            "input",
            &format!("more than {MOST_EVENTS} events in a batch"),
            "use several batches",
        );
        events.truncate(MOST_EVENTS);
    }
    events
}

/// What would keep the event from entering, found before anything runs.
fn check_event(section: &mut Section, element: Option<usize>, event: &Map<String, Json>) {
    let Some(Json::String(text)) = event.get("@timestamp") else { return };
    if timestamp::parse(text).is_some() {
        return;
    }
    let (message, fix) = (format!("{text:?} is no @timestamp"), "write it like \"2026-01-01T00:00:05Z\"");
    match element {
        Some(element) => section.element_problem("input", element, &message, fix),
        None => section.problem("input", &message, fix),
    }
}

fn read_file(section: &mut Section, name: &str, folder: &CaseFolder<'_>) -> Vec<Map<String, Json>> {
    let text = match folder.read(name) {
        Ok(text) => text,
        Err((message, fix)) => {
            section.problem("input_file", &message, fix);
            return Vec::new();
        }
    };
    let is_json = [".ndjson", ".jsonl", ".json"].iter().any(|ending| name.ends_with(ending));
    let mut events = Vec::new();
    for (number, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
        if events.len() == MOST_EVENTS {
            let message = format!("{name:?} has more than {MOST_EVENTS} events");
            section.problem("input_file", &message, "use several batches");
            break;
        }
        if !is_json {
            events.push(Map::from_iter([("message".to_owned(), Json::from(line))]));
            continue;
        }
        match serde_json::from_str::<Json>(line) {
            Ok(Json::Object(event)) => events.push(event),
            Ok(_) | Err(_) => {
                let message = format!("line {} of {name:?} is no JSON object", number + 1);
                section.problem(
                    "input_file",
                    &message,
                    "an event is a line; in a file of another ending a text",
                );
                break;
            }
        }
    }
    events
}

/// The files that the cases of a text take their events from, so that a component can carry them too.
pub fn named_files(text: &str) -> Vec<String> {
    let Ok(table) = text.parse::<toml::Table>() else { return Vec::new() };
    let mut names = Vec::new();
    let list = |table: &toml::Table, key: &str| table.get(key).and_then(toml::Value::as_array).cloned();
    for case in list(&table, "case").unwrap_or_default() {
        let Some(case) = case.as_table() else { continue };
        let batches = list(case, "batches").unwrap_or_default();
        for table in batches.iter().filter_map(toml::Value::as_table).chain([case]) {
            let name = table.get("input_file").and_then(toml::Value::as_str).map(str::to_owned);
            names.extend(name.filter(|name| !names.contains(name)));
        }
    }
    names
}

/// Reads `clock`: RFC 3339, as nanoseconds since 1970.
pub(super) fn read_clock(section: &mut Section) -> Option<i64> {
    let text = section.text("clock")?;
    let time = chrono::DateTime::parse_from_rfc3339(&text).ok().and_then(|time| time.timestamp_nanos_opt());
    if time.is_none() {
        let fix = "write it like \"2026-01-01T00:00:05Z\"";
        section.problem("clock", &format!("{text:?} is no time"), fix);
    }
    time
}
