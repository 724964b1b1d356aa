//! Reads the executed cases of Logstash: where they lie, what each of them asks, and which are not run.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::Value as Json;
use weir::config::cases::{Case, Expectation};
use weir::config::{Component, filter_from_json};
use weir::event::FieldReference;
use weir::event::condition::Pattern;
use weir_filter::timestamp;
use weir_test_support::mmdb;

/// What filters see as now where a case does not say it; such cases came out the same at any time.
const NOW: i64 = 1_767_225_605_000_000_000;

/// Far beyond what a case takes, however busy the machine is: what is tried here is the answer, not the time.
const DEADLINE: Duration = Duration::from_secs(60);

/// Where cases lie.
pub(crate) struct Places {
    /// The files of cases.
    pub(crate) cases: PathBuf,
    /// The facts of address databases.
    geo: PathBuf,
    /// The project's own folder, with the lists of what is not run.
    project: PathBuf,
}

impl Places {
    /// The project's folder, or the one that `WEIR_CONFORMANCE` names.
    pub(crate) fn find() -> Self {
        let project = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/conformance");
        // Cargo runs tests in the package's folder; a relative path is meant from the workspace's.
        let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        let named = std::env::var_os("WEIR_CONFORMANCE").filter(|folder| !folder.is_empty());
        let cases = named.map_or_else(|| project.clone(), |folder| workspace.join(folder));
        let geo = if cases.join("geo").is_dir() { cases.join("geo") } else { project.join("geo") };
        Places { cases, geo, project }
    }

    /// The lines of a subject's file; none where there is no such file.
    pub(crate) fn lines(&self, subject: &str) -> Result<Vec<Json>, String> {
        let path = self.cases.join(subject).with_extension("jsonl");
        if !path.exists() {
            return Ok(Vec::new());
        }
        let mut cases = Vec::new();
        for (number, line) in read_text(&path)?.lines().enumerate() {
            if !line.trim().is_empty() {
                let case = serde_json::from_str(line);
                cases.push(case.map_err(|error| format!("{}:{}: {error}", path.display(), number + 1))?);
            }
        }
        Ok(cases)
    }

    /// The ids of cases that are not run, with the reason.
    pub(crate) fn skipped(&self) -> Result<BTreeMap<String, String>, String> {
        let mut skipped = BTreeMap::new();
        for file in ["not-yet.txt", "not-applicable.txt"] {
            for line in read_text(&self.project.join(file))?.lines() {
                let (id, reason) =
                    line.split_once(' ').ok_or_else(|| format!("{file}: {line:?} has no reason"))?;
                skipped.insert(id.to_owned(), reason.to_owned());
            }
        }
        Ok(skipped)
    }

    /// Writes the address databases into `folder`.
    pub(crate) fn write_databases(&self, folder: &Path) -> Result<(), String> {
        let entries =
            std::fs::read_dir(&self.geo).map_err(|error| format!("{}: {error}", self.geo.display()))?;
        for entry in entries {
            let facts = entry.map_err(|error| error.to_string())?.path();
            let Some(stem) =
                facts.file_stem().filter(|_| facts.extension().is_some_and(|end| end == "jsonl"))
            else {
                continue;
            };
            let named = |error: String| format!("{}: {error}", facts.display());
            let (metadata, networks) = mmdb::read_facts(&read_text(&facts)?).map_err(named)?;
            let database = mmdb::write(&metadata, &networks).map_err(named)?;
            let path = folder.join(stem).with_extension("mmdb");
            std::fs::write(&path, database).map_err(|error| format!("{}: {error}", path.display()))?;
        }
        Ok(())
    }
}

fn read_text(path: &Path) -> Result<String, String> {
    std::fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))
}

/// What must come of a case: `weir`, where Weir departs on purpose, or what Logstash did.
pub(crate) fn expected(case: &Json) -> &Json {
    case.get("weir").filter(|weir| !weir.is_null()).unwrap_or(&case["expect"])
}

/// A filter's case. Breaks where the case is decided before there is one: the common options are refused.
pub(crate) fn filter_case(line: &Json) -> Result<ControlFlow<(), Case>, String> {
    let text = |key: &str| line.get(key).and_then(Json::as_str);
    let map = |key: &str| line[key].as_object().ok_or_else(|| format!("a case has a map {key:?}"));
    let filter = text("filter").ok_or("a case has a filter")?;
    let (mut step, problems) = filter_from_json(Component::BuiltIn(filter.to_owned()), map("config")?);
    let expect = read_expectation(expected(line))?;
    if problems.errors() > 0 {
        return if expect.refused {
            Ok(ControlFlow::Break(()))
        } else {
            Err(format!("refused: {}", problems.render(false)))
        };
    }
    step.limits.deadline = DEADLINE;
    let now = match text("now") {
        Some(text) => timestamp::parse(text).ok_or_else(|| format!("{text:?} is no time"))?,
        None => NOW,
    };
    Ok(ControlFlow::Continue(Case {
        name: text("id").unwrap_or_default().to_owned(),
        step,
        clock: Some(now),
        seed: 1,
        environment: [text("tz"), text("locale"), None].map(|value| value.map(str::to_owned)),
        input: vec![map("input")?.clone()],
        expect,
        span: 0..0,
    }))
}

fn read_expectation(expected: &Json) -> Result<Expectation, String> {
    let mut expect = Expectation::default();
    let parts = expected.as_object().ok_or("an expectation is a map")?;
    for (part, value) in parts {
        match (part.as_str(), value) {
            ("fields", Json::Object(fields)) => {
                for (name, value) in fields {
                    expect.fields.push((FieldReference::parse(name)?, value.clone()));
                }
            }
            ("match", Json::Object(patterns)) => {
                for (name, pattern) in patterns {
                    let pattern = Pattern::compile(pattern.as_str().ok_or("a pattern is a text")?)?;
                    expect.matches.push((FieldReference::parse(name)?, pattern));
                }
            }
            ("absent", Json::Array(names)) => {
                for name in names {
                    let name = name.as_str().ok_or("a reference is a text")?;
                    expect.absent.push(FieldReference::parse(name)?);
                }
            }
            ("tags", Json::Array(tags)) => {
                let tags = tags.iter().map(|tag| tag.as_str().map(str::to_owned));
                expect.tags = Some(tags.collect::<Option<_>>().ok_or("tags are texts")?);
            }
            ("error", Json::String(error)) if error == "config" => expect.refused = true,
            _ => return Err(format!("what is expected has an unknown part {part:?}: {value}")),
        }
    }
    Ok(expect)
}
