//! A chain under load without a line around it: threads that pass batches of numbered events through, and what came out of
//! each. The guest is tests/guests/marking in as many versions as a test wants.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, LazyLock, Mutex};

use serde_json::Value as Json;
use weir::assembly::{self, Prepared};
use weir::config::{self, Secrets, Variables};
use weir::event::{Batch, Documents, FieldId, FieldNames, FieldReference};
use weir::filter::swap::SwappableChain;
use weir::filter::{Compilation, Engine};
use weir::swapper::Swapper;

#[path = "../../host/build/guests.rs"]
mod guests;

/// What the guest's mark is in its module.
const MARK: &[u8; 16] = b"mark-0000000000!";

pub(crate) struct Guests {
    pub(crate) engine: Engine,
    marking: Vec<u8>,
    pub(crate) hostile: PathBuf,
    pub(crate) wishful: PathBuf,
    pub(crate) geoip: PathBuf,
}

pub(crate) static GUESTS: LazyLock<Guests> = LazyLock::new(|| {
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the host lies in the workspace");
    let temporary = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let target = temporary.parent().expect("the folder for tests lies in the target folder");
    let module = |folder: &str, name: &str| {
        let built = guests::build(workspace, folder, target).expect("the guests are built");
        built.into_iter().find(|guest| guest.name == name).expect("it is among the guests").module
    };
    Guests {
        engine: Engine::new(Some(&temporary.join("cache")), Compilation::Quick).expect("an engine"),
        marking: std::fs::read(module("tests/guests", "marking")).expect("the module can be read"),
        hostile: module("tests/guests", "hostile"),
        wishful: module("tests/guests", "wishful"),
        geoip: module("guest-filters", "geoip"),
    }
});

/// The mark of a version.
pub(crate) fn mark(version: u64) -> String {
    format!("mark-{version:010}!")
}

/// A version of the guest, as a file in `folder`; with `cases`, it carries them.
pub(crate) fn version(folder: &Path, version: u64, cases: Option<&str>) -> PathBuf {
    let mut module = GUESTS.marking.clone();
    let place =
        module.windows(MARK.len()).position(|bytes| bytes == MARK).expect("the mark is in the module");
    module[place..place + MARK.len()].copy_from_slice(mark(version).as_bytes());
    if let Some(cases) = cases {
        let name = b"weir:cases";
        let content = serde_json::json!({ "cases.toml": cases }).to_string();
        let mut section = vec![name.len() as u8];
        section.extend(name);
        section.extend(content.as_bytes());
        module.push(0);
        let mut length = section.len();
        while length > 0x7f {
            module.push((length & 0x7f) as u8 | 0x80);
            length >>= 7;
        }
        module.push(length as u8);
        module.extend(section);
    }
    let path = folder.join(format!("v{version}{}.wasm", if cases.is_some() { "-with-cases" } else { "" }));
    std::fs::write(&path, module).expect("the folder can be written");
    path
}

/// A pipeline's chain, with who changes it.
pub(crate) struct Bench {
    pub(crate) chain: Arc<SwappableChain>,
    pub(crate) swapper: Arc<Swapper>,
    names: Arc<FieldNames>,
    message: FieldId,
    own: FieldId,
    /// The next event, and the order of reading: both change together.
    next: Mutex<u64>,
}

/// What came of one batch.
pub(crate) struct Out {
    pub(crate) first: u64,
    pub(crate) entered: usize,
    pub(crate) events: Vec<Json>,
    pub(crate) set_aside: usize,
}

impl Bench {
    /// A pipeline file with these filters, in `folder`.
    pub(crate) fn new(folder: &Path, pipeline: &str, filters: &str, workers: usize) -> Self {
        let file = folder.join("pipeline.toml");
        let text = format!(
            "[pipeline]\n{pipeline}\n[input]\ntype = \"stdin\"\n[output]\ntype = \"stdout\"\n{filters}"
        );
        std::fs::write(&file, &text).expect("the folder can be written");
        let reading = config::read(&file, text, &Variables::from_environment(), &Secrets::default());
        assert_eq!(reading.problems.errors(), 0, "{}", reading.problems.render(false));
        let config = reading.config.expect("a configuration");
        let environment = assembly::environment(&config);
        let prepared = assembly::prepare(config, &GUESTS.engine, &environment)
            .unwrap_or_else(|problems| panic!("{}", problems.render(false)));
        let Prepared { chain, names, .. } = &prepared;
        let chain = SwappableChain::start(chain.clone(), names.clone(), workers, &[]).expect("a chain");
        let chain = Arc::new(chain);
        // As an input does it: names of its own after those of the pipeline.
        let mut own_names = FieldNames::clone(names);
        let message = own_names.intern(&FieldReference::from_fragments(["message"]));
        let own = own_names.intern(&FieldReference::from_fragments(["own"]));
        let swapper = Arc::new(Swapper::new(&prepared, chain.clone()));
        Bench { chain, swapper, names: Arc::new(own_names), message, own, next: Mutex::new(0) }
    }

    /// One batch through the chain.
    pub(crate) fn pass(&self, rows: usize) -> Out {
        self.pass_with(rows, None)
    }

    /// The same with another text in the first event's place.
    pub(crate) fn pass_with(&self, rows: usize, first_message: Option<&str>) -> Out {
        let (first, assigned) = {
            let mut next = self.next.lock().expect("nobody panicked");
            let first = *next;
            *next += rows as u64;
            (first, self.chain.assign())
        };
        let mut batch = Batch::new(self.names.clone(), rows);
        for row in 0..rows {
            let cell = batch.text_cell(&(first + row as u64).to_string());
            batch.column_mut(self.own)[row] = cell;
            let message = first_message.filter(|_| row == 0).map(|text| batch.text_cell(text));
            batch.column_mut(self.message)[row] = message.unwrap_or(cell);
        }
        batch.set_identities((0..rows).map(|row| u128::from(first) + row as u128 + 1).collect());
        let processed = self.chain.process(assigned, batch).expect("the chain goes on");
        let mut documents = Documents::with_metadata(&processed.batch);
        let events = (0..processed.batch.rows())
            .map(|row| serde_json::from_str(&documents.text(row)).expect("a document is JSON"))
            .collect();
        let set_aside = processed.dead_letters.iter().map(|aside| aside.events.rows()).sum();
        Out { first, entered: rows, events, set_aside }
    }
}

impl Out {
    /// Every event that entered came out, once and in order, marked by one version in all `fields`; answers the mark.
    pub(crate) fn check(&self, fields: &[&str]) -> Result<String, String> {
        if self.set_aside > 0 || self.events.len() != self.entered {
            return Err(format!(
                "{} of {} events came out, {} were set aside",
                self.events.len(),
                self.entered,
                self.set_aside
            ));
        }
        let marks = |event: &Json| -> Vec<String> {
            fields.iter().map(|field| event[*field].as_str().unwrap_or("none").to_owned()).collect()
        };
        let all = self.events.first().map(marks).unwrap_or_default();
        let mark = all.first().cloned().unwrap_or_default();
        for (row, event) in self.events.iter().enumerate() {
            let number = (self.first + row as u64).to_string();
            if event["message"] != number.as_str() || event["own"] != number.as_str() {
                return Err(format!("event {number} is {event}"));
            }
            if marks(event).iter().any(|other| *other != mark) {
                return Err(format!("a mixture in the batch of event {number}: {event} after {mark}"));
            }
        }
        Ok(mark)
    }
}

/// Passes batches through on threads until `work` is done; answers how many events there were, and how often the version was
/// another one than that of the batch before on the same thread.
pub(crate) fn under_load(
    bench: &Bench,
    threads: usize,
    rows: usize,
    fields: &[&str],
    work: impl FnOnce(),
) -> (u64, u64) {
    let ended = AtomicBool::new(false);
    let (events, changes) = (AtomicU64::new(0), AtomicU64::new(0));
    let failure = Mutex::new(None);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                let mut last = String::new();
                while !ended.load(Ordering::Relaxed) {
                    match bench.pass(rows).check(fields) {
                        Ok(mark) => {
                            changes.fetch_add(u64::from(mark != last), Ordering::Relaxed);
                            last = mark;
                        }
                        Err(error) => {
                            failure.lock().expect("nobody panicked").get_or_insert(error);
                            return;
                        }
                    }
                    events.fetch_add(rows as u64, Ordering::Relaxed);
                }
            });
        }
        // Also when the work panics: the threads would go on for ever.
        let _end = EndOnDrop(&ended);
        work();
    });
    if let Some(failure) = failure.into_inner().expect("nobody panicked") {
        panic!("{failure}");
    }
    (events.into_inner(), changes.into_inner())
}

struct EndOnDrop<'a>(&'a AtomicBool);

impl Drop for EndOnDrop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}
