//! `weir test --coverage`: which options of a filter no case sets. What the filter declares is asked of the component.

use std::collections::BTreeSet;

use anyhow::{Context, Result};
use serde_json::Value as Json;
use weir::config::Component;
use weir::filter::Engine;

use super::find;

/// The options that cases set, by component.
#[derive(Default)]
pub(super) struct Coverage {
    used: Vec<(Component, BTreeSet<String>)>,
}

/// What the cases of one filter set.
pub(super) struct FilterCoverage {
    /// The filter.
    pub(super) filter: String,
    /// How many options it has.
    pub(super) options: usize,
    /// Those that no case sets, in the order of the filter's own list.
    pub(super) unused: Vec<String>,
}

impl Coverage {
    /// A case sets these options.
    pub(super) fn add<'o>(&mut self, component: &Component, options: impl Iterator<Item = &'o String>) {
        let place = self.used.iter().position(|(known, _)| known == component).unwrap_or_else(|| {
            self.used.push((component.clone(), BTreeSet::new()));
            self.used.len() - 1
        });
        if let Some((_, used)) = self.used.get_mut(place) {
            used.extend(options.cloned());
        }
    }

    /// The options of each filter that had cases.
    ///
    /// # Errors
    /// When a component does not say what it is.
    pub(super) fn by_filter(&self, engine: &Engine) -> Result<Vec<FilterCoverage>> {
        let mut filters = Vec::with_capacity(self.used.len());
        for (component, used) in &self.used {
            let filter = find::name_of(component);
            let manifest = engine.describe(component).with_context(|| format!("cannot load {filter}"))?;
            let schema: Json = serde_json::from_str(&manifest.options_schema)
                .with_context(|| format!("the options that {filter} declares are no JSON"))?;
            let declared = schema["properties"].as_object().into_iter().flatten().map(|(name, _)| name);
            let declared: Vec<&String> = declared.collect();
            let unused = declared.iter().filter(|name| !used.contains(name.as_str()));
            filters.push(FilterCoverage {
                filter,
                options: declared.len(),
                unused: unused.map(|name| (*name).clone()).collect(),
            });
        }
        Ok(filters)
    }
}
