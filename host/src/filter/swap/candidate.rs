//! A version that is not in place yet: the component's file, read once; its cases; and the chain, built whole beside the
//! line.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result, bail};

use super::live::SwappableChain;
use super::version::ChainVersion;
use crate::config::cases::{self, Case, CaseFolder, CaseReading};
use crate::config::{Component, embedded_cases};
use crate::filter::component::FilterCode;
use crate::filter::definition::{Before, ChainDefinition, ChainEnvironment, ChainSource, FilterProblem};
use crate::filter::engine::Engine;
use crate::filter::run_case::run_case;

/// The most names of fields that a running pipeline may come to know; each batch has a place for a column of every one.
const MOST_NAMES: usize = 8192;

/// A component of a file as it was when it was read. What is checked is what is loaded: the file is not read again.
#[derive(Clone)]
pub struct LoadedComponent {
    component: Component,
    code: Arc<FilterCode>,
    /// The names and texts of the files of cases that it carries.
    cases: Vec<(String, String)>,
}

/// Where a candidate's cases come from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum CandidateCases {
    /// The component's own, in its custom section; it may have none.
    #[default]
    Embedded,
    /// The files of a folder.
    Folder(PathBuf),
}

/// A version that was built upon the one that ran then.
pub struct Candidate {
    /// The version that ran.
    pub current: Arc<ChainVersion>,
    /// The new one.
    pub version: Arc<ChainVersion>,
}

impl Engine {
    /// Reads a component and compiles it, as far as it is not compiled yet.
    ///
    /// # Errors
    /// When it cannot be read, is no component, or is one of another world.
    pub fn load_candidate(&self, component: &Component) -> Result<LoadedComponent> {
        let (code, cases) = match component {
            Component::BuiltIn(_) => (self.load(component)?, Vec::new()),
            Component::File(path) => {
                let named = || path.display().to_string();
                let bytes = Engine::read_component(path)?;
                let code = self.load_read(&bytes).with_context(named)?;
                (code, embedded_cases(&bytes).with_context(named)?)
            }
        };
        Ok(LoadedComponent { component: component.clone(), code, cases })
    }
}

impl LoadedComponent {
    /// What it was read from.
    pub fn component(&self) -> &Component {
        &self.component
    }

    /// A filter's component as a version has it; `None`: it has no such filter.
    pub fn of(version: &ChainVersion, filter: usize) -> Option<Self> {
        let component = version.definition.source().filters.get(filter)?.component.clone();
        let code = version.definition.filters().get(filter)?.code.clone();
        Some(LoadedComponent { component, code, cases: Vec::new() })
    }

    /// Whether it carries cases.
    pub fn has_cases(&self) -> bool {
        !self.cases.is_empty()
    }

    /// The SHA-256 of its bytes, in hexadecimal digits.
    pub fn digest(&self) -> String {
        self.code.digest.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// Runs cases through the component, and answers how many there are. `grants` and limits are those that each case says.
    ///
    /// # Errors
    /// The cases that fail, and how; cases that cannot be read.
    pub fn run_cases(&self, engine: &Engine, from: &CandidateCases, folder: &Path) -> Result<usize> {
        // What the cases say of a component is a placeholder; this engine has these bytes under the path.
        let engine = engine.with_component(self.component.clone(), self.code.clone());
        let mut failures = Vec::new();
        let files = match from {
            CandidateCases::Folder(folder) => files_of(folder)?,
            CandidateCases::Embedded => embedded(&self.cases, folder)?,
        };
        let mut count = 0;
        for (file, folder, cases) in files {
            for mut case in cases {
                count += 1;
                case.step.component = self.component.clone();
                let differences = run_case(&engine, &case, &folder).differences;
                if !differences.is_empty() {
                    let texts: Vec<String> = differences.iter().map(ToString::to_string).collect();
                    failures.push(format!("{file}: {}: {}", case.name, texts.join("; ")));
                }
            }
        }
        if failures.is_empty() {
            return Ok(count);
        }
        let all = failures.len();
        failures.truncate(5);
        bail!("{all} of its {count} cases fail: {}", failures.join(" | "))
    }
}

type CasesOfFile = (String, PathBuf, Vec<Case>);

fn files_of(folder: &Path) -> Result<Vec<CasesOfFile>> {
    let named = || format!("cannot read cases in {}", folder.display());
    let reading = CaseReading { folder: CaseFolder::disk(folder.to_path_buf()), may_lack_expect: false };
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).with_context(named)? {
        let path = entry.with_context(named)?.path();
        if path.extension().is_some_and(|ending| ending == "toml") {
            let text = std::fs::read_to_string(&path).with_context(named)?;
            let cases = cases_of(&path, text, &reading)?;
            files.push((path.display().to_string(), folder.to_path_buf(), cases));
        }
    }
    if files.is_empty() {
        bail!("there are no cases (*.toml) in {}", folder.display());
    }
    Ok(files)
}

fn embedded(cases: &[(String, String)], folder: &Path) -> Result<Vec<CasesOfFile>> {
    // One for all files: what they may take from others is bounded in sum.
    let reading = CaseReading { folder: CaseFolder::carried(cases), may_lack_expect: false };
    let mut files = Vec::new();
    for (name, text) in cases.iter().filter(|(name, _)| name.ends_with(".toml")) {
        let cases = cases_of(Path::new(name), text.clone(), &reading)?;
        files.push((name.clone(), folder.to_path_buf(), cases));
    }
    Ok(files)
}

fn cases_of(path: &Path, text: String, reading: &CaseReading<'_>) -> Result<Vec<Case>> {
    let (file, problems) = cases::read_cases_of(path, text, reading);
    if problems.errors() > 0 {
        bail!("{}", problems.render(false).trim_end());
    }
    Ok(file.cases)
}

impl SwappableChain {
    /// Builds a version of the chain beside the line, workers' instances included. `loaded` are components, by the number of
    /// their filter, that take the place of what the filter's step names; `keep` says which filters have the code that
    /// runs, by its number there. Blocks: compiles what is not compiled yet.
    ///
    /// # Errors
    /// Every problem of every filter; a problem of the chain as a whole has no pointer and is that of step 0.
    pub fn build(
        &self,
        engine: &Engine,
        source: ChainSource,
        environment: &ChainEnvironment,
        loaded: &[(usize, LoadedComponent)],
        keep: &[(usize, usize)],
    ) -> Result<Candidate, Vec<FilterProblem>> {
        let current = self.current();
        let whole = |message: String, fix: &str| {
            vec![FilterProblem { step: 0, pointer: String::new(), message, fix: fix.to_owned() }]
        };
        let mut codes: Vec<Option<Arc<FilterCode>>> = vec![None; source.filters.len()];
        let kept = keep.iter().map(|(new, old)| (*new, current.definition.filters().get(*old)));
        for (number, filter) in kept {
            if let (Some(slot), Some(filter)) = (codes.get_mut(number), filter) {
                *slot = Some(filter.code.clone());
            }
        }
        for (number, loaded) in loaded {
            if let Some(slot) = codes.get_mut(*number) {
                *slot = Some(loaded.code.clone());
            }
        }
        let mut names = (*current.names).clone();
        let before = Before { chain: Some(&current.definition), codes };
        let definition = ChainDefinition::build_after(engine, source, environment, &mut names, &before)?;
        if names.len() > MOST_NAMES.max(current.names.len()) {
            return Err(whole(
                format!(
                    "the pipeline would know {} names of fields, at most {MOST_NAMES} are possible",
                    names.len()
                ),
                "restart it: names that are not used any more are forgotten then",
            ));
        }
        let version = ChainVersion::start(Arc::new(definition), Arc::new(names), self.workers())
            .map_err(|error| whole(format!("{error:#}"), ""))?;
        Ok(Candidate { current, version: Arc::new(version) })
    }
}
