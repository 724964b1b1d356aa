//! Runs a filter natively on events given as JSON, or on the cases of its crate, through the same columns as in a component: the batch that a host
//! would send is made, the filter works on it, and its answer is applied. The common options are the host's; they do not
//! run here.

use serde_json::Value as Json;

use crate::boundary::columns::{Answer, Batch, Cell, Column, Outcome};
use crate::boundary::exported::{Access, Extent, Plan};
use crate::component::Component;
use crate::field_reference::FieldReference;
use crate::filter::Filter;
use crate::native;
use crate::options::Environment;
use crate::outgoing::{Outgoing, cell_of, placed_in};
use crate::problems::Problems;
use crate::row_mask::{RowMask, has_bit};
use crate::timestamp;

mod addresses;
mod cases;
mod difference;
mod expectation;
mod manual;
mod tree;

pub use addresses::{networks_of, read_facts};
pub use cases::{CasesRun, run_cases};
pub use difference::{Difference, Line, Subject};
pub use expectation::{Expectation, Observed, compare, is_same};
pub use manual::check_manual;

use tree::{Leaf, Node};

/// An event after a filter.
#[derive(Clone, Debug)]
pub struct After {
    /// Its fields, with `@metadata`; timestamps in their text form.
    pub event: Json,
    /// Its tags.
    pub tags: Vec<String>,
    /// The steps in which the filter did its work on it.
    pub matched: u32,
    /// Why the filter failed on it, step by step; empty: it did not.
    pub failures: Vec<String>,
    /// Whether the filter took it out of the pipeline.
    pub dropped: bool,
}

impl After {
    /// What a field reference leads to.
    ///
    /// # Panics
    /// If `reference` is none.
    pub fn get(&self, reference: &str) -> Option<&Json> {
        let reference = FieldReference::parse(reference).expect("a legal field reference");
        crate::json::find(&self.event, reference.fragments())
    }
}

/// Runs a filter on one event. `@timestamp`, if there is one, is given in its text form.
///
/// # Errors
/// What is wrong with the options.
pub fn run<F: Filter>(options: &Json, event: Json) -> Result<After, Problems> {
    let mut after = run_all::<F>(options, &Environment::default(), &[event])?;
    Ok(after.swap_remove(0))
}

/// Runs a filter on several events, as one batch. Events that it makes come after them.
///
/// # Errors
/// What is wrong with the options.
///
/// # Panics
/// If the filter's answer is one that a host would refuse.
pub fn run_all<F: Filter>(
    options: &Json,
    environment: &Environment,
    events: &[Json],
) -> Result<Vec<After>, Problems> {
    Ok(Running::<F>::configure(options, environment)?.process(events))
}

/// A filter that is configured, for batch after batch.
pub(crate) struct Running<F> {
    component: Component<F>,
    plan: Plan,
}

impl<F: Filter> Running<F> {
    pub(crate) fn configure(options: &Json, environment: &Environment) -> Result<Self, Problems> {
        let (component, plan) = Component::<F>::configure(&options.to_string(), environment.clone())?;
        Ok(Running { component, plan })
    }

    pub(crate) fn process(&mut self, events: &[Json]) -> Vec<After> {
        let Running { component, plan } = self;
        let mut rows: Vec<Row> = events.iter().map(Row::new).collect();
        for step in 0..plan.steps {
            native::begin_batch();
            let mut live: Vec<&mut Row> = rows.iter_mut().filter(|row| !row.dropped).collect();
            if live.is_empty() {
                break;
            }
            let nodes: Vec<&Node> = live.iter().map(|row| &row.root).collect();
            let (batch, text) = batch_of(plan, &nodes);
            let answer = component.process(step, &text, &batch);
            let added = apply(plan, &batch, &text, answer, &mut live);
            rows.extend(added);
        }
        rows.into_iter().map(Row::into_after).collect()
    }

    /// The same filter anew, with what this one keeps.
    pub(crate) fn restarted(&self, options: &Json, environment: &Environment) -> Result<Self, String> {
        let state = self.component.save();
        let mut next =
            Running::configure(options, environment).map_err(|problems| format!("{problems:?}"))?;
        next.component.restore(F::STATE_VERSION, &state)?;
        Ok(next)
    }
}

struct Row {
    root: Node,
    matched: u32,
    failures: Vec<String>,
    dropped: bool,
}

impl Row {
    fn new(event: &Json) -> Self {
        let mut root = Node::from_json(event);
        if let Some(Node::Leaf(leaf)) = root.get_mut(&["@timestamp"])
            && let Leaf::Text(text) = leaf
            && let Some(nanoseconds) = timestamp::parse(text)
        {
            *leaf = Leaf::Timestamp(nanoseconds);
        }
        Row { root, matched: 0, failures: Vec::new(), dropped: false }
    }

    fn into_after(self) -> After {
        let event = self.root.to_json();
        let tags = match event.get("tags") {
            None => Vec::new(),
            Some(Json::Array(list)) => list.iter().map(crate::options::text_of).collect(),
            Some(other) => vec![crate::options::text_of(other)],
        };
        After { event, tags, matched: self.matched, failures: self.failures, dropped: self.dropped }
    }

    fn tag(&mut self, tag: &str) {
        let mut tags = match self.root.to_json().get("tags") {
            None => Vec::new(),
            Some(Json::Array(list)) => list.clone(),
            Some(other) => vec![other.clone()],
        };
        if !tags.iter().any(|known| known == tag) {
            tags.push(Json::from(tag));
        }
        self.root.set(&["tags"], Node::Leaf(Leaf::Json(Json::Array(tags).to_string())));
    }
}

/// The batch that a host would send, and its text.
fn batch_of(plan: &Plan, rows: &[&Node]) -> (Batch, String) {
    // So that no place is right by being 0.
    let mut text = "the batch's text: ".to_owned();
    let read = plan.fields.iter().filter(|field| field.access.contains(Access::READ));
    let columns = read
        .map(|field| {
            let whole = field.extent == Extent::Whole;
            let values = rows.iter().map(|row| row.find(&field.path).map(|found| value_of(&found, whole)));
            column_of(values.collect(), &mut text)
        })
        .collect();
    let mut others = Vec::new();
    if plan.everything.contains(Access::READ) {
        let mut paths: Vec<Vec<String>> = Vec::new();
        for row in rows {
            row.leaf_paths(&mut Vec::new(), &mut paths);
        }
        for path in paths {
            if plan.fields.iter().any(|field| field.access.contains(Access::READ) && field.path == path) {
                continue;
            }
            let values =
                rows.iter().map(|row| row.find(&path).map(|found| value_of(&found, false))).collect();
            let column = column_of(values, &mut text);
            others.push((path, column));
        }
    }
    (Batch { rows: rows.len() as u32, text: text.clone().into_bytes(), columns, others }, text)
}

fn value_of(node: &Node, whole: bool) -> Option<Leaf> {
    match node {
        Node::Leaf(leaf) => Some(leaf.clone()),
        Node::Map(map) if whole || map.is_empty() => Some(Leaf::Json(node.to_json().to_string())),
        // The mark of a map.
        Node::Map(_) => None,
    }
}

/// Outer `None`: no value; inner `None`: a map.
fn column_of(values: Vec<Option<Option<Leaf>>>, text: &mut String) -> Column {
    let rows = values.len();
    let mut maps = RowMask::none(rows);
    let mut scalars = Outgoing::default();
    for (row, value) in values.into_iter().enumerate() {
        match value {
            None => {}
            Some(None) => maps.insert(row),
            Some(Some(leaf)) => scalars.set(row, rows, leaf.placed(text)),
        }
    }
    match (scalars.finish(rows).0, maps.is_empty()) {
        (None, true) => Column::Absent,
        (None, false) => Column::Object(maps.into_bytes()),
        (Some(column), true) => column,
        (Some(column), false) => {
            let cell = |row| match placed_in(&column, row) {
                None => maps.contains(row).then_some((row as u32, Cell::Object)),
                Some(placed) => Some((row as u32, cell_of(placed))),
            };
            Column::Mixed((0..rows).filter_map(cell).collect())
        }
    }
}

/// Applies an answer as a host does; answers the events that were added.
fn apply(plan: &Plan, batch: &Batch, text: &str, answer: Answer, rows: &mut [&mut Row]) -> Vec<Row> {
    let own_text = String::from_utf8(answer.text).expect("an answer's text is UTF-8");
    let count = rows.len() + answer.adds.len();
    let mut added: Vec<Row> = Vec::new();
    for from in &answer.adds {
        let root = match *from {
            u32::MAX => Node::Map(Vec::new()),
            from => rows[from as usize].root.clone(),
        };
        added.push(Row { root, matched: 0, failures: Vec::new(), dropped: false });
    }
    let mut all: Vec<&mut Row> = rows.iter_mut().map(|row| &mut **row).chain(&mut added).collect();
    let path_of = |field: u32| -> Vec<String> {
        let field = field as usize;
        if let Some(planned) = plan.fields.get(field) {
            assert!(planned.access.contains(Access::WRITE), "{:?} is not declared as written", planned.path);
            return planned.path.clone();
        }
        assert!(plan.everything.contains(Access::WRITE), "field {field} is not in the plan");
        let other = field - plan.fields.len();
        let new = || answer.new_fields[other - batch.others.len()].clone();
        batch.others.get(other).map_or_else(new, |(path, _)| path.clone())
    };
    for (field, removed) in &answer.removes {
        let path = path_of(*field);
        assert_eq!(removed.len(), count.div_ceil(8), "one bit a row in the removes of {path:?}");
        for row in (0..count).filter(|row| has_bit(removed, *row)) {
            all[row].root.remove(&path);
        }
    }
    for (field, column) in &answer.sets {
        let path = path_of(*field);
        for (row, event) in all.iter_mut().enumerate() {
            if let Some(placed) = placed_in(column, row) {
                event.root.set(&path, Node::from_leaf(Leaf::from_placed(placed, text, &own_text)));
            }
        }
    }
    for verdict in &answer.verdicts {
        assert_eq!(verdict.rows.len(), count.div_ceil(8), "one bit a row in {verdict:?}");
        for row in (0..count).filter(|row| has_bit(&verdict.rows, *row)) {
            for tag in &verdict.tags {
                all[row].tag(tag);
            }
            match verdict.outcome {
                Outcome::Matched => all[row].matched += 1,
                Outcome::Tagged => {}
                Outcome::Failed => all[row].failures.push(verdict.reason.clone()),
            }
        }
    }
    for row in (0..count).filter(|row| has_bit(&answer.drops, *row)) {
        all[row].dropped = true;
    }
    added
}
