//! The main job from end to end, with the real binary: CloudWatch Logs (moto, or the fake) through the six sandboxed
//! filters into Elasticsearch and OpenSearch (real, or the fake). What comes out is compared with what `expected` works
//! out on its own, by other code than Weir's.
#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

mod arrive_whole;
mod audit;
mod dlq;
mod expected;
mod lines;
mod refused;
mod role;
mod search;
mod seed_job;
mod signed;

use std::path::{Path, PathBuf};

use weir_test_support::{Setting, mmdb};

/// The log group of the seed's pipeline.
const LOG_GROUP: &str = "/aws/route53/example.name";

/// The facts of a City database: the networks that `expected` looks up.
const GEO_FACTS: &str = include_str!("../conformance/geo/GeoLite2-City-Test.jsonl");

/// An empty place to run the binary in.
fn empty_setting() -> Setting {
    Setting::new(env!("CARGO_BIN_EXE_weir"), env!("CARGO_TARGET_TMPDIR"))
}

/// The pipeline that replaces Logstash's.
fn seed_pipeline() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../config/route53-cloudwatch-elasticsearch.toml")
}

/// Writes the address database of [`GEO_FACTS`] into a folder.
fn write_geo_database(folder: &Path) -> PathBuf {
    let (metadata, networks) = mmdb::read_facts(GEO_FACTS).unwrap();
    let path = folder.join("GeoLite2-City.mmdb");
    std::fs::write(&path, mmdb::write(&metadata, &networks).unwrap()).unwrap();
    path
}
