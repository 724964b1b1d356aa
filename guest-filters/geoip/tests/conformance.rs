//! Logstash's executed cases of geoip. The host's address databases are stood in for by the facts of MaxMind's test
//! databases, searched from end to end.

#[path = "../../../tests/conformance/native.rs"]
mod native;

use std::path::Path;
use std::rc::Rc;

use serde_json::json;
use weir_filter::Environment;
use weir_filter::native::{Lookup, install_addresses};
use weir_filter::test::{run, run_all};
use weir_geoip::Geoip;

#[test]
fn cases() {
    install_addresses(Rc::new(open));
    let cases = native::read_cases("geoip.jsonl");
    assert_eq!(cases.len(), 137);
    native::check_all::<Geoip>(&cases);
}

/// Rows that differ in all that matters, in one batch.
#[test]
fn a_batch_of_all_sorts() {
    install_addresses(Rc::new(open));
    let events = [
        json!({"ip": "216.160.83.58"}),
        json!({"ip": ["81.2.69.142", "x"]}),
        json!({"ip": 5}),
        json!({"ip": "  "}),
        json!({"ip": "10.0.0.1", "geoip": null}),
        json!({"ip": "216.160.83.58", "geoip": null}),
        json!({"ip": "216.160.83.58", "geoip": "text"}),
        json!({"ip": "10.0.0.1", "geoip": "text"}),
        json!({"ip": "216.160.83.58", "geoip": {"city_name": "old", "mine": 1}}),
        json!({"ip": []}),
        json!({}),
        json!({"ip": "216.160.83.58", "geoip": {"location": "1,2"}}),
        json!({"ip": "216.160.83.58", "geoip": {"location": {"lat": 1, "old": 2}}}),
        json!({"ip": "10.0.0.1", "geoip": {"location": {"old": 2}}}),
    ];
    let options =
        json!({"source": "ip", "database": "GeoLite2-City-Test.mmdb", "fields": ["city_name", "location"]});
    let after =
        run_all::<Geoip>(&options, &Environment::default(), &events).expect("options without mistakes");
    let found: Vec<_> = after
        .iter()
        .map(|after| (after.get("geoip").cloned(), after.matched, after.failures.len(), after.tags.len()))
        .collect();
    let milton = json!({"city_name": "Milton", "location": {"lat": 47.2513, "lon": -122.3149}});
    let expected = [
        (Some(milton.clone()), 1, 0, 0),
        (Some(json!({"city_name": "London", "location": {"lat": 51.5142, "lon": -0.0931}})), 1, 0, 0),
        (None, 0, 1, 1),
        (None, 0, 0, 1),
        (Some(json!({})), 0, 0, 1),
        (Some(milton.clone()), 1, 0, 0),
        (Some(json!("text")), 0, 1, 1),
        (Some(json!("text")), 0, 0, 1),
        (
            Some(json!({"city_name": "Milton", "mine": 1, "location": {"lat": 47.2513, "lon": -122.3149}})),
            1,
            0,
            0,
        ),
        (None, 0, 1, 1),
        (None, 0, 0, 1),
        (Some(milton.clone()), 1, 0, 0),
        (Some(milton), 1, 0, 0),
        (Some(json!({"location": {"old": 2}})), 0, 0, 1),
    ];
    assert_eq!(found, expected);
}

#[test]
fn what_is_wrong_with_the_options() {
    install_addresses(Rc::new(open));
    let database = "GeoLite2-City-Test.mmdb";
    for (options, part) in [
        (json!({"source": "ip"}), "maxmind.com"),
        (json!({"source": "ip", "database": "missing.mmdb"}), "missing.mmdb cannot be opened"),
        (json!({"source": "ip", "database": database, "cache_size": 0}), "cache_size"),
        (json!({"source": "a[", "database": database}), "/source"),
        (json!({"source": "ip", "database": database, "default_database_type": "Country"}), "City, ASN"),
    ] {
        let problems = run::<Geoip>(&options, json!({})).expect_err("refused");
        assert!(format!("{problems:?}").contains(part), "{options}: {problems:?}");
    }
}

fn open(path: &str) -> Result<(String, Lookup), String> {
    let facts = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/conformance/geo").join(path);
    let text = std::fs::read_to_string(facts.with_extension("jsonl")).map_err(|error| error.to_string())?;
    weir_filter::test::read_facts(&text)
}
