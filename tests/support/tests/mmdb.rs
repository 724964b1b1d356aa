//! Address databases are written from facts and read back by the crate that Weir reads them with.

#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use std::net::{IpAddr, Ipv6Addr};

use maxminddb::{Reader, WithinOptions};
use serde_json::{Value, json};
use weir_test_support::mmdb::{Metadata, read_facts, write};

/// The same value, numbers by kind (whole or double) and amount.
fn same(left: &Value, right: &Value) -> bool {
    match (left, right) {
        (Value::Number(left), Value::Number(right)) => {
            left.is_f64() == right.is_f64() && left.as_f64() == right.as_f64()
        }
        (Value::Array(left), Value::Array(right)) => {
            left.len() == right.len() && left.iter().zip(right).all(|(left, right)| same(left, right))
        }
        (Value::Object(left), Value::Object(right)) => {
            left.len() == right.len()
                && left.iter().all(|(key, value)| right.get(key).is_some_and(|other| same(value, other)))
        }
        _ => left == right,
    }
}

fn check(facts: &str, record_size: Option<u16>) {
    let (mut metadata, networks) = read_facts(facts).unwrap();
    metadata.record_size = record_size.unwrap_or(metadata.record_size);
    let name = metadata.database_type.clone();
    let reader = Reader::from_source(write(&metadata, &networks).unwrap()).unwrap();
    reader.verify().unwrap_or_else(|error| panic!("{name}: {error}"));
    assert_eq!(reader.metadata().database_type, name);
    assert_eq!(reader.metadata().record_size, metadata.record_size);
    assert_eq!(reader.metadata().build_epoch, metadata.build_epoch);
    assert_eq!(reader.metadata().languages, metadata.languages);
    let given: Vec<(u128, u32, &Value)> =
        networks.iter().map(|(network, record)| with_bits(network, record)).collect();
    // Everything that is in the database was given ...
    for found in reader.networks(WithinOptions::default()).unwrap() {
        let found = found.unwrap();
        let network = found.network().unwrap().to_string();
        let record: Value = found.decode().unwrap().unwrap();
        let (bits, length, _) = with_bits(&network, &record);
        let covering =
            given.iter().filter(|(start, short, _)| *short <= length && cut(bits, *short) == *start);
        let (.., expected) =
            covering.max_by_key(|(_, short, _)| *short).unwrap_or_else(|| panic!("{name}: {network}"));
        assert!(same(&record, expected), "{name}: {network}: {record} instead of {expected}");
    }
    // ... and everything that was given is there, under each spelling of an address.
    for (network, expected) in &networks {
        let (bits, length, _) = with_bits(network, expected);
        if given.iter().any(|(start, long, _)| *long > length && cut(*start, length) == bits) {
            continue; // another network may have been cut out of it at its first address
        }
        let mut spellings = vec![(bits, length)];
        if length >= 96 && bits >> 32 == 0 {
            spellings.push((bits | 0xffff << 32, length));
            spellings.push((0x2002 << 112 | bits << 80, length - 80));
        }
        for (bits, length) in spellings {
            let found = reader.lookup(IpAddr::V6(Ipv6Addr::from(bits))).unwrap();
            assert_eq!(u32::from(found.network().unwrap().prefix()), length, "{name}: {network}");
            let record: Value =
                found.decode().unwrap().unwrap_or_else(|| panic!("{name}: {network}: no record"));
            assert!(same(&record, expected), "{name}: {network}: {record} instead of {expected}");
        }
    }
}

/// A network in the terms of the tree: an IPv4 one lies under `::/96`.
fn with_bits<'a>(network: &str, record: &'a Value) -> (u128, u32, &'a Value) {
    let (address, length) = network.split_once('/').unwrap();
    let length: u32 = length.parse().unwrap();
    match address.parse().unwrap() {
        IpAddr::V4(address) => (u128::from(u32::from(address)), length + 96, record),
        IpAddr::V6(address) => (u128::from(address), length, record),
    }
}

/// The first `length` bits.
fn cut(bits: u128, length: u32) -> u128 {
    if length == 0 { 0 } else { bits >> (128 - length) << (128 - length) }
}

#[test]
fn every_network_of_the_facts_is_read_back() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../conformance/geo");
    let mut count = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let facts = std::fs::read_to_string(entry.unwrap().path()).unwrap();
        check(&facts, None);
        count += 1;
    }
    assert_eq!(count, 8);
}

#[test]
fn every_record_size_is_read_back() {
    let facts = include_str!("../../conformance/geo/GeoLite2-City-Test.jsonl");
    for record_size in [24, 28, 32] {
        check(facts, Some(record_size));
    }
}

fn metadata(ip_version: u16) -> Metadata {
    Metadata {
        database_type: "Test".to_owned(),
        ip_version,
        record_size: 24,
        languages: vec!["en".to_owned()],
        build_epoch: 1_700_000_000,
        description: vec![("en".to_owned(), "a test".to_owned())],
    }
}

#[test]
fn the_longer_prefix_holds_in_any_order_and_numbers_keep_their_kind() {
    let inner = json!({"small": 1, "negative": -5, "large": 5_000_000_000_u64, "half": 0.5, "whole": 60.0, "yes": true});
    let networks =
        [("10.1.0.0/16".to_owned(), inner.clone()), ("10.0.0.0/8".to_owned(), json!({"small": 2}))];
    let reader = Reader::from_source(write(&metadata(4), &networks).unwrap()).unwrap();
    let found = |address: &str| -> Option<Value> {
        reader.lookup(address.parse().unwrap()).unwrap().decode().unwrap()
    };
    assert!(same(&found("10.1.2.3").unwrap(), &inner));
    assert_eq!(found("10.2.0.1"), Some(json!({"small": 2})));
    assert_eq!(found("11.0.0.1"), None);
    assert_eq!(reader.metadata().description.get("en").map(String::as_str), Some("a test"));
}

#[test]
fn what_cannot_be_written_is_refused() {
    for (version, network, record, reason) in [
        (6, "10.0.0.1/8", json!({}), "bits are set beyond its length"),
        (6, "10.0.0.0/33", json!({}), "too large"),
        (4, "2001:db8::/32", json!({}), "version 4"),
        (6, "10.0.0.0", json!({}), "expected ADDRESS/LENGTH"),
        (6, "10.0.0.0/8", json!({"a": null}), "null"),
        (5, "10.0.0.0/8", json!({}), "expected 4 or 6"),
    ] {
        let error = write(&metadata(version), &[(network.to_owned(), record)]).unwrap_err();
        assert!(error.contains(reason), "{network}: {error}");
    }
    let twice = [("10.0.0.0/8".to_owned(), json!({})), ("::a00:0/104".to_owned(), json!({"a": 1}))];
    assert!(write(&metadata(6), &twice).unwrap_err().contains("twice"));
}
