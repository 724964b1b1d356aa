//! Action lines beyond the executed cases, as Logstash's source (12.1.6) has them.

use std::sync::Arc;

use serde_json::{Value as Json, json};

use super::body::{self, Bulk};
use super::options::read_options;
use super::server::Server;
use crate::config::Section;
use crate::event::{Batch, put_example};

/// What comes of one event: its action line, or why there is none.
fn check(options: &str, event: Json, expected: Result<Json, &str>) {
    let mut section = Section::parse(options);
    let options = read_options(&mut section, "disabled");
    section.ignore_rest();
    let mut batch = Batch::new(Arc::default(), 1);
    put_example(&mut batch, 0, event.as_object().expect("it is a map"), 0).expect("it can be put");
    let server = Server { is_opensearch: false, version: (8, 0) };
    let Bulk { requests, rejected } = body::build(&options.actions, &server, &batch, options.bulk_bytes, 0);
    match (requests.first(), expected) {
        (Some(request), Ok(expected)) => {
            let bytes = request.payload(0, false).bytes;
            let line = bytes.split(|byte| *byte == b'\n').next().expect("it has a line");
            assert_eq!(serde_json::from_slice::<Json>(line).expect("it is JSON"), expected, "{event}");
        }
        (None, Err(reason)) => assert!(rejected[0].1.contains(reason), "{event}: {rejected:?}"),
        (found, expected) => panic!("{event}: {expected:?}, and not {found:?}, {rejected:?}"),
    }
}

#[test]
fn what_an_event_says_of_its_request_goes_as_it_is() {
    let control = json!({"id": 7, "index": "own", "routing": 1.5, "version": 3, "version_type": "external"});
    let event = json!({"@metadata": {"_ingest_document": control}});
    let line = json!({"index": {"_index": "own", "_id": 7, "routing": 1.5, "version": 3, "version_type": "external"}});
    check("", event.clone(), Ok(line.clone()));
    // The default index is the default one also when it is written down.
    check("index = \"logstash-%{+yyyy.MM.dd}\"", event, Ok(line));
    let nothing = json!({"@metadata": {"_ingest_document": {"id": false, "version": null}}});
    check("index = \"i\"", nothing, Ok(json!({"index": {"_index": "i"}})));
}

#[test]
fn parents_without_a_join_field_are_sent() {
    check(
        "index = \"i\"\nparent = \"%{p}\"",
        json!({"p": 5}),
        Ok(json!({"index": {"_index": "i", "parent": "5"}})),
    );
}

#[test]
fn numbers_are_texts_of_options() {
    check("index = 2024\ndocument_id = 5", json!({}), Ok(json!({"index": {"_index": "2024", "_id": "5"}})));
}

#[test]
fn data_streams_have_no_references_in_their_names() {
    let options = "data_stream = true\necs_compatibility = \"v8\"";
    check(options, json!({"data_stream": {"dataset": "%{x}"}}), Err("has a reference in it"));
    // Written down, `auto` means no.
    let line = json!({"index": {"_index": "ecs-logstash-1970.01.01"}});
    check("data_stream = \"auto\"\necs_compatibility = \"v8\"", json!({}), Ok(line));
}
