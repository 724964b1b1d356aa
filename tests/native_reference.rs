//! Weir and the native reference of the benches write the same documents, under the same ids into the same indices: else what
//! `make bench` compares would not be one job. Nothing is timed here.

#[path = "../host/benches/city.rs"]
mod city;
#[path = "../host/benches/lines.rs"]
mod lines;
#[path = "../host/benches/native/mod.rs"]
mod native;
#[path = "../host/benches/pipeline_file.rs"]
mod pipeline_file;

use weir_test_support::{FakeElasticsearch, Setting};

const LINES: u64 = 20_000;

#[test]
fn weir_and_the_native_reference_write_the_same_documents() {
    let setting = Setting::new(env!("CARGO_BIN_EXE_weir"), env!("CARGO_TARGET_TMPDIR"));
    let networks = city::Networks::new(3_000);
    let database = city::file(setting.folder(), &networks).expect("a database");
    let lines = lines::file(setting.folder(), LINES, &networks).expect("a file of lines");

    let ours = FakeElasticsearch::start();
    let (input, filters) =
        (pipeline_file::file_input(&lines), pipeline_file::route53_filters(&database).concat());
    let output = pipeline_file::output(Some(&ours.url()));
    let file = setting.write("pipeline.toml", &[input, filters, output].join("\n"));
    setting.run(&["run", &file]).expect_code(0);

    let natives = FakeElasticsearch::start();
    let job = native::Job { lines, database, workers: 2, bulk: Some(natives.url()) };
    assert_eq!(native::run(&job).expect("the reference does its job"), LINES);

    let (ours, natives) = (ours.documents(), natives.documents());
    assert!(
        !ours.is_empty() && ours.keys().all(|index| index.starts_with("route53-2020-")),
        "{:?}",
        ours.keys()
    );
    assert_eq!(ours.keys().collect::<Vec<_>>(), natives.keys().collect::<Vec<_>>());
    let mut located = 0;
    for (index, documents) in &ours {
        assert_eq!(documents.len(), natives[index].len(), "{index}");
        for (id, document) in documents {
            let native = natives[index].get(id).unwrap_or_else(|| panic!("{index} has {id} of Weir alone"));
            let document = document.json();
            assert_eq!(document, native.json(), "{index} {id}");
            located += usize::from(document["src_geoip"]["location"].is_object());
        }
    }
    assert!(located > LINES as usize / 2, "{located} documents have a place");
}
