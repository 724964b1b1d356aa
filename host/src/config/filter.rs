//! `[[filter]]`: the keys that are the host's, and all others as the guest's own options with their places. Whether the
//! guest takes them is asked of the guest when the chain is built.

use std::ops::Range;
use std::path::PathBuf;
use std::rc::Rc;

use serde_json::Value as Json;

use super::grants::{Grants, read_grants};
use super::limits::{Limits, read_limits};
use super::problem::Problems;
use super::section::{Section, Shared, nested_table};
use super::tree::{Places, entries_from_json, pointer_token};
use crate::event::condition::Condition;

/// One step of the chain: a filter and what the host does around it.
#[derive(Clone, Debug)]
pub struct FilterStep {
    /// Its name in messages and figures, one of its own in the pipeline; the component's name unless set, with a
    /// number where that stands more than once (`mutate`, `mutate-2`).
    pub id: String,
    /// The component.
    pub component: Component,
    /// Which rows it is asked for; the others pass it by unchanged.
    pub when: Option<Condition>,
    /// What becomes of a row that the filter failed on, or for which `when` cannot be evaluated.
    pub on_error: OnFailure,
    /// What becomes of a row that broke the guest.
    pub on_trap: OnFailure,
    /// What the host does to the rows that matched.
    pub common: CommonOptions,
    /// What the guest may use.
    pub limits: Limits,
    /// What it may import, read and write.
    pub grants: Grants,
    /// The guest's options, in the file's order.
    pub options: serde_json::Map<String, Json>,
    /// Where the parts of the options stand in the file, the common options with them (`/add_field/type`).
    pub places: Places,
    /// Where the step itself stands.
    pub span: Range<usize>,
}

impl FilterStep {
    /// Whether both say the same, wherever they stand.
    pub fn is_same_as(&self, other: &FilterStep) -> bool {
        // Conditions have no equality; their form has all that was written.
        let when = |step: &FilterStep| format!("{:?}", step.when);
        self.id == other.id
            && self.component == other.component
            && when(self) == when(other)
            && (self.on_error, self.on_trap) == (other.on_error, other.on_trap)
            && self.common == other.common
            && self.limits == other.limits
            && self.grants == other.grants
            && self.options == other.options
    }
}

/// Where a filter's component comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Component {
    /// One that ships with Weir, by its name.
    BuiltIn(String),
    /// A file, a component or a plain module made by the SDK.
    File(PathBuf),
}

/// What becomes of a row that did not go the normal way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnFailure {
    /// It goes on with a tag that says so.
    Tag,
    /// It leaves the pipeline, counted.
    Drop,
    /// It goes to the dead letters as it entered the filter.
    DeadLetter,
    /// The pipeline stops.
    Stop,
}

/// `add_field`, `remove_field`, `add_tag` and `remove_tag` as written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CommonOptions {
    /// Field references (with templates in them) and values, in the file's order.
    pub add_field: Vec<(String, Json)>,
    /// Field references, with templates in them.
    pub remove_field: Vec<String>,
    /// Templates.
    pub add_tag: Vec<String>,
    /// Templates.
    pub remove_tag: Vec<String>,
}

impl CommonOptions {
    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        *self == CommonOptions::default()
    }
}

/// A step from options that are JSON already (the conformance cases), and what is wrong with them. Places are those of a
/// file without text.
pub fn filter_from_json(
    component: Component,
    options: &serde_json::Map<String, Json>,
) -> (FilterStep, Problems) {
    let shared = Rc::new(Shared::nowhere());
    let mut section = Section::new("the filter".to_owned(), 0..0, entries_from_json(options), shared.clone());
    let id = read_id(&mut section, &component_name(&component), &[]);
    let step = read_options(&mut section, id, component, 0..0);
    drop(section);
    let problems = shared.problems.replace(Problems::default());
    (step, problems)
}

/// Reads a step whose `use` and `id` are known.
pub(super) fn read_filter(section: &mut Section, id: String, component: Component) -> FilterStep {
    let span = section.span_of("use");
    let step = read_options(section, id, component, span);
    refuse_nested_tables(section, &step);
    step
}

/// The maps of the built-in filters are flat: `rename.a.b = …` was meant otherwise than TOML reads it.
fn refuse_nested_tables(section: &Section, step: &FilterStep) {
    if !matches!(step.component, Component::BuiltIn(_)) {
        return;
    }
    for (option, value) in &step.options {
        for (key, value) in value.as_object().into_iter().flatten() {
            let Some(inner) = value.as_object() else { continue };
            let pointer = format!("/{}/{}", pointer_token(option), pointer_token(key));
            let (message, fix) = nested_table(option, key, inner.keys().next().map_or("…", String::as_str));
            section.report(step.places.find(&pointer).unwrap_or_else(|| step.span.clone()), message, fix);
        }
    }
}

/// Reads everything of a step but its component and id.
pub(super) fn read_options(
    section: &mut Section,
    id: String,
    component: Component,
    span: Range<usize>,
) -> FilterStep {
    let when = section.condition("when");
    let on_error = on_failure(section, "on_error", OnFailure::Tag);
    let on_trap = on_failure(section, "on_trap", OnFailure::DeadLetter);
    let common = CommonOptions {
        add_field: section.map("add_field"),
        remove_field: section.texts("remove_field"),
        add_tag: section.texts("add_tag"),
        remove_tag: section.texts("remove_tag"),
    };
    read_without_effect(section);
    refuse_removed(section, &component);
    let limits = read_limits(section);
    let grants = read_grants(section);
    let (options, mut places) = section.rest();
    places.add("", span.clone());
    FilterStep { id, component, when, on_error, on_trap, common, limits, grants, options, places, span }
}

/// The component that `use` names: what looks like a path is a file.
pub(super) fn component(section: &Section, written: &str) -> Component {
    if written.contains('/') || written.ends_with(".wasm") {
        return Component::File(section.directory().join(written));
    }
    Component::BuiltIn(written.to_owned())
}

/// What a filter is called that has no `id`.
pub(super) fn component_name(component: &Component) -> String {
    match component {
        Component::BuiltIn(name) => name.clone(),
        Component::File(path) => {
            path.file_stem().map_or_else(|| "filter".to_owned(), |stem| stem.to_string_lossy().into_owned())
        }
    }
}

/// The `id` of a step, or `name`, with a number where that is taken.
pub(super) fn read_id(section: &mut Section, name: &str, ids: &[String]) -> String {
    let Some(id) = section.text("id") else { return numbered(name, ids) };
    if ids.contains(&id) {
        section.problem("id", &format!("two filters have the id {id:?}"), "give each an id of its own");
    }
    if id.is_empty() {
        section.problem("id", "an id must not be empty", "give it a name, or leave it out");
    }
    id
}

/// A name that is not taken yet: the name itself, or with a number.
pub(super) fn numbered(name: &str, taken: &[String]) -> String {
    let mut candidate = name.to_owned();
    let mut number = 2;
    while taken.contains(&candidate) {
        candidate = format!("{name}-{number}");
        number += 1;
    }
    candidate
}

pub(super) fn on_failure(section: &mut Section, key: &str, default: OnFailure) -> OnFailure {
    match section.one_of(key, &["tag", "drop", "dead_letter", "stop"]).as_deref() {
        Some("tag") => OnFailure::Tag,
        Some("drop") => OnFailure::Drop,
        Some("dead_letter") => OnFailure::DeadLetter,
        Some("stop") => OnFailure::Stop,
        _ => default,
    }
}

/// Options that Logstash gives to every filter and that have no meaning here.
fn read_without_effect(section: &mut Section) {
    for key in ["enable_metric", "periodic_flush"] {
        if section.is_set(key) && section.boolean(key).is_some() {
            section.warning(key, &format!("`{key}` has no effect"), "leave it out");
        }
    }
}

/// Options that Logstash knows only to refuse them, by the filter that had them; every filter: no name.
const REMOVED: [(&str, &str, &str); 5] = [
    ("", "type", "write a condition: when = '[type] == \"…\"'"),
    ("", "tags", "write a condition: when = '\"…\" in [tags]'; `add_tag` adds one"),
    ("", "exclude_tags", "write a condition: when = '\"…\" not in [tags]'"),
    ("mutate", "remove", "write remove_field, which every filter has"),
    ("geoip", "lru_cache_size", "leave it out: the cache of addresses needs no setting"),
];

/// A filter of one's own may have options of these names.
fn refuse_removed(section: &mut Section, component: &Component) {
    let Component::BuiltIn(name) = component else { return };
    for (filter, key, fix) in REMOVED {
        if (filter.is_empty() || filter == name) && section.is_set(key) {
            section.problem(key, &format!("Logstash took the option `{key}` from its filters"), fix);
        }
    }
}
