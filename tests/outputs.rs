//! Conditional outputs: which events each of them gets, what is counted, and that a position is committed only when all
//! that had a share of its batch have answered. The line is built from a pipeline file, with outputs of the test's own.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::Result;
use futures::FutureExt;
use futures::future::BoxFuture;
use serde_json::{Value as Json, json};
use tokio::sync::watch;
use weir::assembly::{self, RunOptions};
use weir::config::{self, Secrets, Variables};
use weir::event::{Batch, Documents};
use weir::filter::{Compilation, Engine};
use weir::output::{Delivery, Output};
use weir::pipeline::{self, Line, LineCounts};

/// An output that writes down the numbers (`n`) of the events that it gets, and answers while its gate is open.
struct Recorder {
    numbers: Mutex<Vec<u64>>,
    received: watch::Sender<usize>,
    gate: watch::Receiver<bool>,
}

impl Recorder {
    fn new(gate: &watch::Sender<bool>) -> Arc<Self> {
        Arc::new(Recorder {
            numbers: Mutex::default(),
            received: watch::Sender::new(0),
            gate: gate.subscribe(),
        })
    }

    fn open() -> Arc<Self> {
        Recorder::new(&watch::Sender::new(true))
    }

    /// Waits until it has got so many events, answered or not.
    async fn has_received(&self, events: usize) {
        let mut received = self.received.subscribe();
        received.wait_for(|received| *received >= events).await.expect("the output is there");
    }

    fn numbers(&self) -> Vec<u64> {
        self.numbers.lock().expect("no thread panicked with it").clone()
    }

    fn sorted(&self) -> Vec<u64> {
        let mut numbers = self.numbers();
        numbers.sort_unstable();
        numbers
    }
}

impl Output for Recorder {
    fn send(&self, events: Arc<Batch>) -> BoxFuture<'_, Result<Delivery>> {
        assert!(events.rows() > 0, "an output is not asked for nothing");
        let mut documents = Documents::new(&events);
        for row in 0..events.rows() {
            let document: Json = serde_json::from_str(&documents.text(row)).expect("JSON");
            self.numbers
                .lock()
                .expect("no thread panicked with it")
                .push(document["n"].as_u64().expect("a number"));
        }
        self.received.send_modify(|received| *received += events.rows());
        let mut gate = self.gate.clone();
        async move {
            // An error is a gate that is gone: it stays as it was.
            if gate.wait_for(|open| *open).await.is_err() && !*gate.borrow() {
                futures::future::pending::<()>().await;
            }
            Ok(Delivery { delivered: events.rows() as u64, ..Delivery::default() })
        }
        .boxed()
    }

    fn close(&self) -> BoxFuture<'_, Result<()>> {
        async { Ok(()) }.boxed()
    }
}

/// Opens a pipeline file whose outputs are replaced, in their order and with their conditions.
async fn open(folder: &Path, text: &str, outputs: &[Arc<Recorder>]) -> (Line, Arc<LineCounts>) {
    let file = folder.join("pipeline.toml");
    let reading = config::read(&file, text.to_owned(), &Variables::fixed([]), &Secrets::default());
    assert_eq!(reading.problems.list().len(), 0, "{}", reading.problems.render(false));
    let config = reading.config.expect("a configuration");
    let cache = Path::new(env!("CARGO_TARGET_TMPDIR")).join("cache");
    let engine = Engine::new(Some(&cache), Compilation::Thorough).expect("an engine");
    let environment = assembly::environment(&config);
    let prepared = assembly::prepare(config, &engine, &environment)
        .unwrap_or_else(|problems| panic!("{}", problems.render(false)));
    let counts = Arc::<LineCounts>::default();
    let options = RunOptions { counts: counts.clone(), ..RunOptions::default() };
    let mut line = assembly::open(&prepared, options).await.expect("it opens");
    assert_eq!(line.outputs.len(), outputs.len());
    for (place, output) in line.outputs.iter_mut().zip(outputs) {
        place.output = output.clone();
    }
    (line, counts)
}

fn write_lines(file: &Path, events: impl IntoIterator<Item = Json>) {
    let lines: Vec<String> = events.into_iter().map(|event| event.to_string()).collect();
    fs::write(file, lines.join("\n") + "\n").expect("the folder can be written");
}

/// A runtime whose blocking work is done one after the other, so that what was asked for before has been done after.
fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread()
        .max_blocking_threads(1)
        .enable_all()
        .build()
        .expect("a runtime")
}

/// Lets everything happen that can.
async fn settle() {
    for _ in 0..100 {
        tokio::task::yield_now().await;
        tokio::task::spawn_blocking(|| ()).await.expect("it does nothing");
    }
}

fn in_balance(counts: &LineCounts) -> [u64; 4] {
    let figures = counts.figures();
    assert!(figures.is_in_balance() && figures.in_flight() == 0, "{figures:?}");
    let left = [
        figures.delivered.values().sum(),
        figures.dead_lettered.values().sum(),
        figures.dropped.values().sum(),
    ];
    let [delivered, dead_lettered, dropped] = left;
    [figures.read.values().sum(), delivered, dead_lettered, dropped]
}

#[test]
fn every_event_goes_to_exactly_the_outputs_whose_condition_holds() {
    let folder = tempfile::tempdir().unwrap();
    // Of the three lowest bits of `n` each is a flag: none, all, and everything between.
    let event = |n: u64| json!({"n": n, "a": n & 1 != 0, "b": n & 2 != 0, "c": n & 4 != 0});
    write_lines(&folder.path().join("even.ndjson"), (0..500).map(|n| event(n * 2)));
    write_lines(&folder.path().join("odd.ndjson"), (0..500).map(|n| event(n * 2 + 1)));
    let text = "
        [pipeline]
        state_dir = 'state'
        batch_size = 7
        workers = 2
        [[input]]
        type = 'file'
        path = 'even.ndjson'
        codec = 'json'
        [[input]]
        type = 'file'
        path = 'odd.ndjson'
        codec = 'json'
        [[filter]]
        use = 'mutate'
        when = '[c]'
        add_tag = ['c']
        [[output]]
        type = 'stdout'
        when = '[a]'
        [[output]]
        type = 'stdout'
        when = '[b]'
        [[output]]
        type = 'stdout'
        when = '\"c\" in [tags]'
    ";
    let outputs = [Recorder::open(), Recorder::open(), Recorder::open()];
    let counts = runtime().block_on(async {
        let (line, counts) = open(folder.path(), text, &outputs).await;
        pipeline::drive(line).await.expect("it ends");
        counts
    });
    for (bit, output) in outputs.iter().enumerate() {
        let expected: Vec<u64> = (0..1000).filter(|n| n >> bit & 1 != 0).collect();
        assert_eq!(output.sorted(), expected, "output {bit}");
        // Each input's events in their order.
        for parity in [0, 1] {
            let numbers = output.numbers().into_iter().filter(|n| n % 2 == parity);
            assert!(numbers.is_sorted(), "output {bit}");
        }
    }
    assert_eq!(in_balance(&counts), [1000, 1500, 0, 125]);

    // All of it was committed: another run reads nothing.
    let again = [Recorder::open(), Recorder::open(), Recorder::open()];
    let counts = runtime().block_on(async {
        let (line, counts) = open(folder.path(), text, &again).await;
        pipeline::drive(line).await.expect("it ends");
        counts
    });
    assert_eq!(in_balance(&counts), [0; 4]);
}

#[test]
fn a_position_waits_for_all_outputs_that_have_a_share_and_for_no_other() {
    let folder = tempfile::tempdir().unwrap();
    // Batches of four: the slow output has events of the second only.
    write_lines(
        &folder.path().join("in.ndjson"),
        (0..12).map(|n| json!({"n": n, "slow": (4..8).contains(&n) && n != 5})),
    );
    let text = "
        [pipeline]
        state_dir = 'state'
        batch_size = 4
        workers = 2
        [input]
        type = 'file'
        path = 'in.ndjson'
        codec = 'json'
        [[output]]
        type = 'stdout'
        [[output]]
        type = 'stdout'
        when = '[slow]'
        [[output]]
        type = 'stdout'
        when = '[none]'
    ";
    let gate = watch::Sender::new(false);
    let [all, slow, none] = [Recorder::open(), Recorder::new(&gate), Recorder::open()];
    runtime().block_on(async {
        let (line, counts) = open(folder.path(), text, &[all.clone(), slow.clone(), none.clone()]).await;
        let held = async {
            all.has_received(12).await;
            slow.has_received(3).await;
            settle().await;
            // A commit waits a moment for others.
            let committed = async {
                while counts.figures().unacknowledged > 8 {
                    tokio::task::yield_now().await;
                }
            };
            tokio::time::timeout(Duration::from_secs(30), committed)
                .await
                .expect("the first batch is committed");
        };
        // The run is cut off while the slow output has not answered.
        tokio::select! {
            ended = pipeline::drive(line) => panic!("it waits for the slow output: {ended:?}"),
            () = held => {}
        }
        let figures = counts.figures();
        assert!(figures.is_in_balance(), "{figures:?}");
        let delivered: u64 = figures.delivered.values().sum();
        assert_eq!(
            (delivered, figures.in_flight()),
            (12, 3),
            "the slow output has three of the second batch"
        );
        assert_eq!(figures.unacknowledged, 8, "the first batch is committed");
    });
    assert_eq!((all.sorted(), slow.sorted(), none.sorted()), ((0..12).collect(), vec![4, 6, 7], vec![]));

    // What was not committed comes again: the second batch and the third, not the first.
    let [all, slow, none] = [Recorder::open(), Recorder::new(&gate), Recorder::open()];
    runtime().block_on(async {
        let (line, counts) = open(folder.path(), text, &[all.clone(), slow.clone(), none.clone()]).await;
        let release = async {
            slow.has_received(3).await;
            gate.send_replace(true);
        };
        let (ended, ()) = tokio::join!(pipeline::drive(line), release);
        ended.expect("it ends");
        assert_eq!(in_balance(&counts), [8, 11, 0, 0]);
    });
    assert_eq!((all.sorted(), slow.sorted(), none.sorted()), ((4..12).collect(), vec![4, 6, 7], vec![]));
}

#[test]
fn what_cannot_be_decided_goes_to_the_outputs_own_dead_letters() {
    let folder = tempfile::tempdir().unwrap();
    let events = [
        json!({"n": 0, "size": 10}),
        json!({"n": 1, "size": 1}),
        json!({"n": 2}),
        json!({"n": 3, "size": "x", "other": true}),
    ];
    write_lines(&folder.path().join("in.ndjson"), events);
    let text = "
        [input]
        type = 'file'
        path = 'in.ndjson'
        codec = 'json'
        [[output]]
        type = 'stdout'
        id = 'large'
        when = '[size] > 5'
        dead_letter = 'aside'
        [[output]]
        type = 'stdout'
        id = 'small'
        when = '[size] <= 5'
        dead_letter = 'off'
        [[output]]
        type = 'stdout'
        when = '[other]'
    ";
    let outputs = [Recorder::open(), Recorder::open(), Recorder::open()];
    let counts = runtime().block_on(async {
        let (line, counts) = open(folder.path(), text, &outputs).await;
        pipeline::drive(line).await.expect("it ends");
        counts
    });
    let numbers = outputs.each_ref().map(|output| output.numbers());
    assert_eq!(numbers, [vec![0], vec![1], vec![3]]);
    // Two events, each set aside by the one output and dropped by the other.
    assert_eq!(in_balance(&counts), [4, 3, 2, 2]);
    let mut letters = String::new();
    for entry in fs::read_dir(folder.path().join("aside")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "ndjson") {
            letters.push_str(&fs::read_to_string(path).unwrap());
        }
    }
    let letters: Vec<Json> =
        letters.lines().map(|line| serde_json::from_str(line).expect("a line is JSON")).collect();
    let found: BTreeSet<(u64, &str, &str)> = letters
        .iter()
        .map(|letter| {
            let text = |key: &str| letter[key].as_str().expect("a text");
            (letter["event"]["n"].as_u64().expect("a number"), text("plugin"), text("reason"))
        })
        .collect();
    let missing =
        "condition evaluation error, [size] is missing and cannot be compared; ask first whether it is there";
    let wrong =
        "condition evaluation error, a text cannot be compared with a number; convert the field first";
    assert_eq!(found, BTreeSet::from([(2, "large", missing), (3, "large", wrong)]));
    assert_eq!(letters.len(), 2);
}
