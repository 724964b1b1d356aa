//! Branches and conditions in the chain, with real filters: `trees` compares branches of every form to three levels with a
//! plain interpreter of Logstash's if, `errors` has conditions that cannot be evaluated.

use std::path::Path;
use std::sync::{Arc, LazyLock};

use serde_json::{Map, Value as Json, json};
use weir::config::{Component, FilterStep, Step, filter_from_json};
use weir::event::{Batch, Documents, FieldNames, put_example};
use weir::filter::{ChainDefinition, ChainEnvironment, Compilation, Engine};

#[path = "../../host/build/guests.rs"]
mod guests;

mod errors;
mod trees;

/// What all tests share: compiling takes most of the time.
static ENGINE: LazyLock<Engine> = LazyLock::new(|| {
    let cache = Path::new(env!("CARGO_TARGET_TMPDIR")).join("cache");
    Engine::new(Some(&cache), Compilation::Thorough).expect("an engine")
});

/// tests/guests/hostile, of which two things are wanted here that no built-in filter does: to drop events and to add some.
static HOSTILE: LazyLock<Component> = LazyLock::new(|| {
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the host lies in the workspace");
    let temporary = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let target = temporary.parent().expect("the folder for tests lies in the target folder");
    let built = guests::build(workspace, "tests/guests", target).expect("the guests are built");
    let hostile = built.into_iter().find(|guest| guest.name == "hostile").expect("it is among the guests");
    Component::File(hostile.module)
});

fn hostile(what: &str) -> FilterStep {
    let mut step = filter(HOSTILE.clone(), json!({ "do": what }));
    // It imports the kernel, used or not.
    step.grants.kernels = Some(vec!["patterns".to_owned()]);
    step
}

fn mutate(options: Json) -> FilterStep {
    filter(Component::BuiltIn("mutate".to_owned()), options)
}

fn filter(component: Component, options: Json) -> FilterStep {
    let (step, problems) = filter_from_json(component, options.as_object().expect("a map"));
    assert_eq!(problems.list().len(), 0, "{}", problems.render(false));
    step
}

/// A chain and the names of its batches.
struct Pipeline {
    definition: ChainDefinition,
    names: Arc<FieldNames>,
}

impl Pipeline {
    fn new(filters: &[FilterStep], steps: &[Step]) -> Self {
        let mut names = FieldNames::new();
        let environment = ChainEnvironment::default();
        let definition = ChainDefinition::build(&ENGINE, filters, steps, &environment, &mut names)
            .unwrap_or_else(|problems| panic!("{problems:?}"));
        Pipeline { definition, names: Arc::new(names) }
    }

    /// A batch of events, each with an identity: its number, from 1.
    fn batch(&self, events: &[Map<String, Json>]) -> Batch {
        let mut batch = Batch::new(self.names.clone(), events.len());
        for (row, event) in events.iter().enumerate() {
            put_example(&mut batch, row, event, 0).expect("an event");
        }
        batch.set_identities((1..=events.len() as u128).collect());
        batch
    }
}

/// The events of a batch without what every event has.
fn events_of(batch: &Batch) -> Vec<Map<String, Json>> {
    let mut documents = Documents::with_metadata(batch);
    let event = |row| {
        let mut event: Map<String, Json> =
            serde_json::from_str(&documents.text(row)).expect("a document is JSON");
        event.retain(|key, _| !key.starts_with('@'));
        event
    };
    (0..batch.rows()).map(event).collect()
}
