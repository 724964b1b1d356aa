//! All that there is to say of a component without events: what it says of itself, what it imports, which cases it carries,
//! and what it reads and writes with some options.

use anyhow::{Context, Result};
use serde_json::{Map, Value as Json};

use super::built_in;
use super::component::imported_interfaces;
use super::definition::{ChainDefinition, ChainEnvironment, FilterProblem};
use super::engine::{Engine, Manifest};
use crate::config::{Component, Step, embedded_cases, filter_from_json};
use crate::event::{FieldNames, FieldReference};

/// What is known of a component.
#[derive(Clone, Debug)]
pub struct Inspection {
    /// What it says of itself.
    pub manifest: Manifest,
    /// The interfaces that it imports, with their versions; those that only hold types left out.
    pub imports: Vec<String>,
    /// The kernels among them, by the names of their grants.
    pub kernels: Vec<&'static str>,
    /// The names and texts of the files of cases that it carries.
    pub cases: Vec<(String, String)>,
    /// The length of the component or module, in bytes; of a filter that ships with Weir, of the module before it was packed.
    pub bytes: usize,
    /// The SHA-256 by which status and swaps name it, in hexadecimal digits: of the file, or of the packed bytes of a filter
    /// that ships with Weir.
    pub digest: String,
}

/// What a filter does with some options.
#[derive(Clone, Debug)]
pub struct Planned {
    /// The fields that it reads.
    pub reads: Vec<FieldReference>,
    /// The fields that it writes.
    pub writes: Vec<FieldReference>,
    /// Whether it may read or write fields that it cannot name beforehand.
    pub everything: bool,
    /// Whether it keeps something from event to event.
    pub stateful: bool,
}

impl Engine {
    /// What is known of a component.
    ///
    /// # Errors
    /// When it cannot be loaded, breaks when it is asked what it is, or carries cases that are none.
    pub fn inspect(&self, component: &Component) -> Result<Inspection> {
        let manifest = self.describe(component)?;
        let code = self.load(component)?;
        let bytes = self.bytes(component)?;
        let bytes = match component {
            Component::BuiltIn(_) => built_in::unpack(&bytes)?,
            Component::File(_) => bytes.into_owned(),
        };
        Ok(Inspection {
            manifest,
            imports: imported_interfaces(&code),
            kernels: code.kernels.clone(),
            cases: embedded_cases(&bytes)?,
            bytes: bytes.len(),
            digest: code.digest.iter().map(|byte| format!("{byte:02x}")).collect(),
        })
    }

    /// The files that a component carries: cases, and what these name.
    ///
    /// # Errors
    /// When it cannot be read, or carries what is none.
    pub fn carried_cases(&self, component: &Component) -> Result<Vec<(String, String)>> {
        let bytes = self.bytes(component)?;
        match component {
            Component::BuiltIn(_) => embedded_cases(&built_in::unpack(&bytes)?),
            Component::File(path) => embedded_cases(&bytes).with_context(|| path.display().to_string()),
        }
    }

    /// What a filter reads and writes with these options, every kernel granted.
    ///
    /// # Errors
    /// What is wrong with the options.
    pub fn plan(
        &self,
        component: &Component,
        options: &Map<String, Json>,
    ) -> Result<Planned, Vec<FilterProblem>> {
        let (mut step, problems) = filter_from_json(component.clone(), options);
        if problems.errors() > 0 {
            let problem = |message: &str| FilterProblem {
                step: 0,
                pointer: String::new(),
                message: message.to_owned(),
                fix: String::new(),
            };
            return Err(problems.list().iter().map(|found| problem(&found.message)).collect());
        }
        let kernels = self.load(component).map(|code| code.kernels.clone()).unwrap_or_default();
        step.grants.kernels = Some(kernels.into_iter().map(str::to_owned).collect());
        let environment = ChainEnvironment::default();
        let mut names = FieldNames::new();
        let chain = ChainDefinition::build(self, &[step], &Step::in_line(1), &environment, &mut names)?;
        let mut planned =
            Planned { reads: Vec::new(), writes: Vec::new(), everything: false, stateful: false };
        for filter in chain.filters() {
            planned.reads.extend(filter.reads.iter().cloned());
            planned.writes.extend(filter.writes.iter().cloned());
            planned.everything |= filter.everything;
            planned.stateful |= filter.stateful;
        }
        Ok(planned)
    }
}
