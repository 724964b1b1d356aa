//! Reads the executed cases of Logstash: where they lie, which are not run, and how values are compared.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde_json::Value as Json;
use weir::event::Value;
use weir_test_support::mmdb;

/// Where cases lie.
pub(crate) struct Places {
    /// The files of cases.
    pub(crate) cases: PathBuf,
    /// The facts of address databases.
    geo: PathBuf,
    /// The project's own folder, with the list of what does not apply.
    project: PathBuf,
}

/// A line of a file.
pub(crate) struct Line {
    /// `file:line`, for messages.
    pub(crate) place: String,
    /// The case, or what is wrong with the line.
    pub(crate) case: Result<Json, String>,
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
    pub(crate) fn lines(&self, subject: &str) -> Result<Vec<Line>, String> {
        let path = self.cases.join(subject).with_extension("jsonl");
        if !path.exists() {
            return Ok(Vec::new());
        }
        let mut lines = Vec::new();
        for (number, line) in read_text(&path)?.lines().enumerate() {
            if !line.trim().is_empty() {
                let place = format!("{}:{}", path.display(), number + 1);
                let case = match serde_json::from_str::<Json>(line) {
                    Ok(case) if case["id"].is_string() => Ok(case),
                    Ok(_) => Err(format!("{place}: this is no case: it has no text \"id\"")),
                    Err(error) => Err(format!("{place}: this is no JSON: {error}")),
                };
                lines.push(Line { place, case });
            }
        }
        Ok(lines)
    }

    /// The ids of cases that need not pass, with the reason, as a list of the project's folder has them.
    pub(crate) fn left_out(&self, file: &str) -> Result<BTreeMap<String, String>, String> {
        let path = self.project.join(file);
        let mut reasons = BTreeMap::new();
        if !path.exists() {
            return Ok(reasons);
        }
        for line in read_text(&path)?.lines() {
            let (id, reason) =
                line.split_once(' ').ok_or_else(|| format!("{file}: {line:?} has no reason"))?;
            reasons.insert(id.to_owned(), reason.to_owned());
        }
        Ok(reasons)
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

/// Equal values of the same kind: `1` and `1.0` differ, `1.0` and `1e0` do not, nor does the order of a map's keys.
pub(crate) fn is_same(wanted: &Json, found: &Json) -> bool {
    match (wanted, found) {
        (Json::Number(wanted), Json::Number(found)) => {
            Value::from_json_number(wanted.as_str()) == Value::from_json_number(found.as_str())
        }
        (Json::Array(wanted), Json::Array(found)) => {
            wanted.len() == found.len()
                && wanted.iter().zip(found).all(|(wanted, found)| is_same(wanted, found))
        }
        (Json::Object(wanted), Json::Object(found)) => {
            wanted.len() == found.len()
                && wanted.iter().all(|(key, value)| found.get(key).is_some_and(|found| is_same(value, found)))
        }
        _ => wanted == found,
    }
}
