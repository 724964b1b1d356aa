//! fingerprint and geoip: all methods and kinds of databases on values of all kinds.

use proptest::collection::vec;
use proptest::prelude::{Strategy, any};
use proptest::prop_oneof;
use proptest::sample::select;
use proptest::strategy::BoxedStrategy;
use serde_json::Value as Json;

use crate::options::{boolean, some_of, with_common};
use crate::through::{DATABASES, Written, check, known_addresses};
use crate::values::{EVENTS, Event, change, event, event_with, reference, text, value};

const METHODS: [&str; 10] = [
    "SHA1",
    "SHA256",
    "SHA384",
    "SHA512",
    "MD5",
    "MURMUR3",
    "MURMUR3_128",
    "IPV4_NETWORK",
    "UUID",
    "PUNCTUATION",
];

/// Options of fingerprint.
pub(crate) fn step() -> BoxedStrategy<Written> {
    let method = prop_oneof![30 => select(&METHODS[..]).prop_map(Json::from), 1 => value()].boxed();
    let key = prop_oneof![
        3 => select(&["0", "24", "32", "33", "128", "-1", "24x", "99999999999", "", "secret"][..]).prop_map(Json::from),
        1 => text().prop_map(Json::from),
        1 => (0..130_i64).prop_map(Json::from),
    ];
    let mode = select(&["disabled", "v1", "v8"][..]).prop_map(Json::from).boxed();
    let options = some_of(vec![
        ("source", 0.9, vec(reference(), 0..4).prop_map(Json::from).boxed()),
        ("target", 0.5, reference().prop_map(Json::from).boxed()),
        ("method", 0.95, method),
        ("key", 0.6, key.boxed()),
        ("base64encode", 0.3, boolean()),
        ("concatenate_sources", 0.3, boolean()),
        ("concatenate_all_fields", 0.2, boolean()),
        ("ecs_compatibility", 0.2, mode),
    ]);
    let names = &[
        "source",
        "target",
        "method",
        "key",
        "base64encode",
        "concatenate_sources",
        "concatenate_all_fields",
    ];
    with_common(options, names).prop_map(|options| ("fingerprint", options)).boxed()
}

const FIELDS: [&str; 14] = [
    "city_name",
    "location",
    "coordinates",
    "country_name",
    "country_code2",
    "region_code",
    "timezone",
    "ip",
    "latitude",
    "postal_code",
    "asn",
    "as_org",
    "domain",
    "anonymous",
];

fn geoip_step() -> BoxedStrategy<Written> {
    let database = prop_oneof![
        30 => select(&DATABASES[..]).prop_map(Json::from),
        1 => select(&["", "missing.mmdb", ".", "\u{0}"][..]).prop_map(Json::from),
        1 => value(),
    ];
    let field = prop_oneof![40 => select(&FIELDS[..]).prop_map(str::to_owned), 1 => text()];
    let mode = select(&["disabled", "v1", "v8"][..]).prop_map(Json::from).boxed();
    let source = prop_oneof![12 => select(&["message", "message", "[message]", "[client][ip]"][..]).prop_map(Json::from), 1 => reference().prop_map(Json::from)];
    let options = some_of(vec![
        ("source", 0.97, source.boxed()),
        ("target", 0.6, reference().prop_map(Json::from).boxed()),
        ("database", 0.98, database.boxed()),
        ("fields", 0.3, vec(field, 0..6).prop_map(Json::from).boxed()),
        ("cache_size", 0.05, value()),
        ("default_database_type", 0.1, select(&["City", "ASN"][..]).prop_map(Json::from).boxed()),
        ("tag_on_failure", 0.1, vec(text(), 0..3).prop_map(Json::from).boxed()),
        ("ecs_compatibility", 0.3, mode),
    ]);
    let names = &["source", "target", "database", "fields", "cache_size", "tag_on_failure"];
    with_common(options, names).prop_map(|options| ("geoip", options)).boxed()
}

/// Addresses: of networks that the databases know, of any, with a change, in lists, and what is none.
fn address() -> BoxedStrategy<Json> {
    let known = prop_oneof![
        8 => select(known_addresses()),
        1 => select(&["::1", "0.0.0.0", "255.255.255.255", "2002:5102:458e::", "fe80::1%eth0", " 81.2.69.142 "][..])
            .prop_map(str::to_owned),
    ]
    .boxed();
    let any_address = prop_oneof![
        any::<[u8; 4]>().prop_map(|bytes| std::net::Ipv4Addr::from(bytes).to_string()),
        any::<u128>().prop_map(|bits| std::net::Ipv6Addr::from_bits(bits).to_string()),
    ];
    let changed = (known.clone(), change()).prop_map(|(address, change)| change.of(&address));
    let one = prop_oneof![12 => known, 2 => any_address, 2 => changed].boxed();
    prop_oneof![
        20 => one.clone().prop_map(Json::from),
        1 => vec(one, 0..3).prop_map(Json::from),
        1 => value(),
    ]
    .boxed()
}

fn geoip_strategy() -> BoxedStrategy<(Written, Vec<Event>)> {
    let ip = |event: Event, address: Json| {
        let mut event = event;
        event.fields.insert("client".to_owned(), serde_json::json!({ "ip": address }));
        event
    };
    let event = (event_with(address()), address()).prop_map(move |(event, address)| ip(event, address));
    (geoip_step(), vec(event, EVENTS)).boxed()
}

#[test]
fn fingerprint() {
    let strategy = (step(), vec(prop_oneof![event(), event_with(address())], EVENTS));
    crate::campaign::run("fingerprint", 8, &strategy, |(step, events)| {
        check(std::slice::from_ref(step), events)
    });
}

#[test]
fn geoip() {
    crate::campaign::run("geoip", 5, &geoip_strategy(), |(step, events)| {
        check(std::slice::from_ref(step), events)
    });
}
