//! Compiles and keeps components.

use std::path::Path;

use anyhow::{Result, bail};

use crate::config::Component;

/// What compiles components and keeps their code; one for the process. Cloning is cheap.
#[derive(Clone)]
pub struct Engine {}

/// What a filter says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Manifest {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// One line of what it does.
    pub summary: String,
    /// A JSON schema of its options, with descriptions, defaults and examples.
    pub options_schema: String,
    /// Its page, Markdown; may be empty.
    pub manual: String,
    /// The version of the state that it saves.
    pub state_version: u32,
}

impl Engine {
    /// An engine that keeps compiled code in `cache` (a folder that only this user can write; it is made if it is not
    /// there), or only in memory.
    ///
    /// # Errors
    /// When the machine cannot run compiled WebAssembly.
    pub fn new(_cache: Option<&Path>) -> Result<Self> {
        Ok(Engine {})
    }

    /// The names of the filters that ship with Weir.
    pub fn built_in() -> impl Iterator<Item = &'static str> {
        std::iter::empty()
    }

    /// What a component says of itself.
    ///
    /// # Errors
    /// When it cannot be loaded (no such file, no WebAssembly, no component, another world) or breaks.
    pub fn describe(&self, _component: &Component) -> Result<Manifest> {
        bail!("the engine follows in the next commit")
    }
}
