//! Logstash's executed cases of geoip. The host's address databases are stood in for by the facts of MaxMind's test
//! databases, searched from end to end.

#[path = "../../../tests/conformance/native.rs"]
mod native;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::Path;
use std::rc::Rc;

use serde_json::{Value as Json, json};
use weir_filter::native::{Lookup, install_addresses};
use weir_filter::test::{run, run_all};
use weir_filter::{Environment, json as paths};
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
    let mut lines = text.lines().map(|line| serde_json::from_str::<Json>(line).expect("facts are JSON"));
    let metadata = lines.next().expect("the metadata");
    let networks: Vec<(IpAddr, u32, Json)> = lines
        .map(|line| {
            let (address, prefix) =
                line["network"].as_str().and_then(|text| text.split_once('/')).expect("a network");
            (address.parse().expect("an address"), prefix.parse().expect("a prefix"), line["record"].clone())
        })
        .collect();
    let lookup = move |address: &str, path: &[String]| {
        let address = parse_address(address)?;
        let (_, prefix, record) =
            networks.iter().find(|(network, prefix, _)| mask(address, *prefix) == Some(*network))?;
        value_in(record, path, address, *prefix)
    };
    Ok((metadata["database_type"].as_str().expect("a type").to_owned(), Rc::new(lookup)))
}

fn value_in(record: &Json, path: &[String], address: IpAddr, prefix: u32) -> Option<Json> {
    match path.first().map(String::as_str) {
        Some("@ip") => Some(Json::from(print_address(address))),
        Some("@network") => Some(Json::from(format!("{}/{prefix}", print_address(mask(address, prefix)?)))),
        Some("@join") => {
            let parts: Option<Vec<&str>> =
                path[2..].split(String::is_empty).map(|path| paths::find(record, path)?.as_str()).collect();
            Some(Json::from(parts?.join(&path[1])))
        }
        _ => paths::find(record, path).cloned(),
    }
}

/// Zero-padded IPv4 parts are decimal, and an IPv4 address inside an IPv6 one is that, as for the JVM.
fn parse_address(text: &str) -> Option<IpAddr> {
    if let Ok(address) = text.parse::<Ipv6Addr>() {
        return Some(address.to_ipv4_mapped().map_or(IpAddr::V6(address), IpAddr::V4));
    }
    let parts: Vec<u8> = text.split('.').map(str::parse).collect::<Result<_, _>>().ok()?;
    let parts: [u8; 4] = parts.try_into().ok()?;
    Some(IpAddr::from(parts))
}

fn mask(address: IpAddr, prefix: u32) -> Option<IpAddr> {
    match address {
        IpAddr::V4(address) => {
            let mask = u32::MAX.checked_shl(32_u32.checked_sub(prefix)?).unwrap_or(0);
            Some(IpAddr::V4(Ipv4Addr::from_bits(address.to_bits() & mask)))
        }
        IpAddr::V6(address) => {
            let mask = u128::MAX.checked_shl(128_u32.checked_sub(prefix)?).unwrap_or(0);
            Some(IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & mask)))
        }
    }
}

fn print_address(address: IpAddr) -> String {
    match address {
        IpAddr::V4(address) => address.to_string(),
        IpAddr::V6(address) => address.segments().map(|segment| format!("{segment:x}")).join(":"),
    }
}
