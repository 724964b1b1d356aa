//! The job of the pipeline that Weir replaces: 20,000 lines from CloudWatch Logs (moto) into real servers, every field of
//! every document; a second run; a run that is killed.

use std::collections::BTreeMap;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use serde_json::Value;
use weir_test_support::weir::PATIENCE;
use weir_test_support::{Gate, Server, Setting};

use crate::expected::{self, Expected, Networks};
use crate::{GEO_FACTS, LOG_GROUP, empty_setting, lines, search, seed_pipeline, write_geo_database};

const LINES: usize = 20_000;

#[test]
fn every_field_of_every_document_is_in_elasticsearch() {
    let Some(elasticsearch) = Server::elasticsearch() else { return };
    let Some(job) = Job::start(1, &elasticsearch) else { return };
    job.run_once();
    job.check();
    // A second run finds nothing new: nothing is written, not even the same again.
    let written = search::writes(&job.url);
    job.run_once();
    search::refresh(&job.url);
    assert_eq!(search::writes(&job.url), written);
    job.check();
}

#[test]
fn every_field_of_every_document_is_in_opensearch() {
    let Some(opensearch) = Server::opensearch() else { return };
    let Some(job) = Job::start(2, &opensearch) else { return };
    job.run_once();
    job.check();
}

#[test]
fn a_run_that_was_killed_is_taken_up_again() {
    let Some(elasticsearch) = Server::elasticsearch() else { return };
    let Some(mut job) = Job::start(3, &elasticsearch) else { return };
    let gate = Gate::start(&job.url, 3).unwrap();
    job.setting.set("WEIR_ELASTICSEARCH", &gate.url());
    let running = job.setting.start(&["run", "--once", &job.pipeline]);
    let holding = gate.wait_until_holding(PATIENCE);
    let ended = running.kill();
    assert!(holding && ended.code.is_none(), "it was to be killed in the middle:\n{}", ended.stderr);
    search::refresh(&job.url);
    let stored = search::count(&job.url) as usize;
    assert!(stored > 0 && stored < job.expected.documents.len(), "{stored} documents are there");
    job.setting.set("WEIR_ELASTICSEARCH", &job.url);
    job.run_once();
    job.check();
}

/// Lines in moto, and the run that is to bring them into a server.
struct Job {
    setting: Setting,
    pipeline: String,
    url: String,
    expected: Expected,
    _moto: Server,
}

impl Job {
    fn start(seed: u64, server: &Server) -> Option<Self> {
        let moto = Server::moto()?;
        let networks = Networks::new(GEO_FACTS);
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis() as i64;
        lines::put(&moto.url(), LOG_GROUP, &lines::make(seed, LINES, now, &networks));
        let events = lines::read_back(&moto.url(), LOG_GROUP);
        assert_eq!(events.len(), LINES);
        let expected = expected::of(&events, LOG_GROUP, &networks);

        let mut setting = empty_setting();
        let database = write_geo_database(setting.folder());
        setting.set("WEIR_GEOIP_DATABASE", &database.display().to_string());
        setting.set("WEIR_CLOUDWATCH_ENDPOINT", &moto.url());
        setting.set("WEIR_ELASTICSEARCH", &server.url());
        let pipeline = seed_pipeline().display().to_string();
        Some(Self { setting, pipeline, url: server.url(), expected, _moto: moto })
    }

    fn run_once(&self) {
        let started = Instant::now();
        self.setting.run(&["run", "--once", &self.pipeline]).expect_code(0);
        println!("a run took {:.1} s", started.elapsed().as_secs_f64());
    }

    /// Everything in the server is what was expected, and nothing else is there.
    fn check(&self) {
        search::refresh(&self.url);
        let found = search::all(&self.url);
        let missing: Vec<_> =
            self.expected.documents.iter().filter(|(key, _)| !found.contains_key(*key)).collect();
        assert!(
            missing.is_empty(),
            "{} are missing, such as {:#?}",
            missing.len(),
            &missing[..missing.len().min(5)]
        );
        let mut by_code = BTreeMap::new();
        for (key, document) in &found {
            let expected = self
                .expected
                .documents
                .get(key)
                .unwrap_or_else(|| panic!("nobody asked for {key:?}: {document:#}"));
            assert!(
                expected.iter().any(|expected| expected::same(expected, document)),
                "{key:?}: {document:#}\ninstead of {:#}",
                expected[0]
            );
            if let Some(code) = document["response_code"].as_str() {
                *by_code.entry(code.to_owned()).or_insert(0) += 1;
            }
        }
        assert_eq!(search::count(&self.url), self.expected.documents.len() as u64);
        assert_eq!(search::terms(&self.url, "response_code"), by_code);
        let types = search::types(&self.url, "resolver_ipaddress");
        assert!(types.len() > 20, "{types:?}");
        assert!(types.values().all(|kind| kind == "ip"), "the template was not there in time: {types:?}");
        self.check_dead_letters();
    }

    /// What the server does not take is set aside whole, with the server's reason. A run that is killed may set an event
    /// aside twice.
    fn check_dead_letters(&self) {
        let mut found = BTreeMap::new();
        let mut segments = Vec::new();
        for entry in std::fs::read_dir(self.setting.folder().join("state/dead-letter")).unwrap() {
            let path = entry.unwrap().path();
            if path.extension().is_some_and(|extension| extension == "ndjson") {
                segments.push(std::fs::read_to_string(path).unwrap());
            }
        }
        for line in segments.iter().flat_map(|segment| segment.lines()) {
            let mut letter: Value = serde_json::from_str(line).unwrap();
            assert!(letter["reason"].as_str().unwrap().contains("mapper_parsing_exception"), "{letter:#}");
            let mut event = letter["event"].take();
            let metadata = event.as_object_mut().unwrap().remove("@metadata").unwrap();
            assert!(metadata["fingerprint"].is_u64() && metadata["local_time"].is_string(), "{metadata}");
            found.insert(event["cloudwatch_logs"]["event_id"].as_str().unwrap().to_owned(), event);
        }
        assert!(!found.is_empty());
        assert_eq!(found, self.expected.rejected);
    }
}
