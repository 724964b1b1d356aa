//! What the seed's pipeline makes of an event, worked out on its own: own cutting, own times, own days in Tokyo, own
//! MurmurHash3, own search of networks. Nothing of Weir's code is used.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv6Addr};

use serde_json::{Value, json};
use weir_test_support::{Random, mmdb};

/// What is to become of the events of a log group.
#[derive(Default)]
pub(crate) struct Expected {
    /// The index and id of a document, and all that it may be: events with the same id in the same index overwrite each
    /// other.
    pub(crate) documents: BTreeMap<(String, String), Vec<Value>>,
    /// The documents that no server takes with the seed's template, by their event ids: their address is none.
    pub(crate) rejected: BTreeMap<String, Value>,
}

const MINUTE: i64 = 60_000;
const DAY: i64 = 24 * 60 * MINUTE;
/// Tokyo has had no summer time since 1951.
const TOKYO: i64 = 9 * 60 * MINUTE;

const FIELDS: [&str; 10] = [
    "log_version",
    "timestamp",
    "hostzone_id",
    "query_name",
    "query_type",
    "response_code",
    "protocol",
    "edge_location",
    "resolver_ipaddress",
    "client_subnet",
];

/// What is to become of all events of a log group.
pub(crate) fn of(events: &[Value], group: &str, networks: &Networks) -> Expected {
    let mut expected = Expected::default();
    for event in events {
        let (index, id, document) = document(event, group, networks);
        let address = document["resolver_ipaddress"].as_str();
        if address.is_some_and(|address| address.parse::<IpAddr>().is_err()) {
            let event_id = document["cloudwatch_logs"]["event_id"].as_str().unwrap().to_owned();
            expected.rejected.insert(event_id, document);
        } else {
            expected.documents.entry((index, id)).or_default().push(document);
        }
    }
    expected
}

/// Index, id and document of an event, which is one of FilterLogEvents' answer.
pub(crate) fn document(event: &Value, group: &str, networks: &Networks) -> (String, String, Value) {
    let message = event["message"].as_str().unwrap();
    let mut time = event["timestamp"].as_i64().unwrap();
    let mut tags = Vec::new();
    let mut document = json!({
        "message": message,
        "@version": "1",
        "type": "route53",
        "cloudwatch_logs": {
            "event_id": event["eventId"],
            "ingestion_time": written(event["ingestionTime"].as_i64().unwrap()),
            "log_group": group,
            "log_stream": event["logStreamName"],
        },
    });
    match cut(message) {
        Some(parts) => {
            for (field, part) in FIELDS.iter().zip(&parts) {
                if *field != "timestamp" {
                    document[*field] = (*part).into();
                }
            }
            match read_time(parts[1]) {
                Some(own) => time = own,
                None => tags.push("_dateparsefailure"),
            }
            let found = parts[8].parse().ok().map(|address| networks.find(address));
            if found.as_ref().is_none_or(|found| found.as_object().unwrap().is_empty()) {
                tags.push("src_geoip_lookup_failure");
            }
            if let Some(found) = found {
                document["src_geoip"] = found;
            }
        }
        None => tags.extend(["_dissectfailure", "src_geoip_lookup_failure"]),
    }
    document["@timestamp"] = written(time).into();
    if !tags.is_empty() {
        document["tags"] = tags.into();
    }
    let index = format!("route53-{}", &written(time + TOKYO)[..10]);
    (index, murmur3(message.as_bytes()).to_string(), document)
}

/// Nine spaces cut ten fields, and more spaces belong to the last one. A space at the very start is Logstash's oddity: it
/// is found again for every field, so all of them are empty and the last one holds the whole line.
fn cut(message: &str) -> Option<Vec<&str>> {
    if message.starts_with(' ') {
        let mut parts = vec![""; FIELDS.len()];
        parts[FIELDS.len() - 1] = message;
        return Some(parts);
    }
    let parts: Vec<&str> = message.splitn(FIELDS.len(), ' ').collect();
    (parts.len() == FIELDS.len()).then_some(parts)
}

/// An ISO 8601 time in milliseconds since 1970: a date, `T`, hours, minutes and seconds, perhaps a fraction, and `Z`, an
/// offset or nothing, which means Tokyo.
fn read_time(text: &str) -> Option<i64> {
    let (date, rest) = text.split_once('T')?;
    let date: Vec<i64> = date.split('-').map(|part| part.parse().ok()).collect::<Option<_>>()?;
    let [year, month, day] = date[..] else { return None };
    let end = rest.find(['Z', '+', '-']).unwrap_or(rest.len());
    let (clock, zone) = rest.split_at(end);
    let (clock, fraction) = clock.split_once('.').unwrap_or((clock, "0"));
    let clock: Vec<i64> = clock.split(':').map(|part| part.parse().ok()).collect::<Option<_>>()?;
    let [hour, minute, second] = clock[..] else { return None };
    let milliseconds: i64 = format!("{fraction:0<3}")[..3].parse().ok()?;
    let lengths = [31, if is_leap(year) { 29 } else { 28 }, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    let length = *lengths.get(usize::try_from(month - 1).ok()?)?;
    if !(1..=length).contains(&day) || hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    let offset = match zone {
        "" => TOKYO,
        "Z" => 0,
        _ => {
            let digits = zone[1..].replace(':', "");
            let minutes = digits[..2].parse::<i64>().ok()? * 60 + digits[2..].parse::<i64>().ok()?;
            if zone.starts_with('-') { -minutes * MINUTE } else { minutes * MINUTE }
        }
    };
    // Whole years, then whole months, counted one by one.
    let mut days = 0;
    for year in 1970..year {
        days += if is_leap(year) { 366 } else { 365 };
    }
    days += lengths[..(month - 1) as usize].iter().sum::<i64>() + day - 1;
    Some(days * DAY + ((hour * 60 + minute) * 60 + second) * 1000 + milliseconds - offset)
}

/// A time as it stands in a document: `2020-02-23T17:08:41.000Z`.
fn written(time: i64) -> String {
    let (mut days, of_day) = (time.div_euclid(DAY), time.rem_euclid(DAY));
    let mut year = 1970;
    while days >= if is_leap(year) { 366 } else { 365 } {
        days -= if is_leap(year) { 366 } else { 365 };
        year += 1;
    }
    let mut month = 1;
    for length in [31, if is_leap(year) { 29 } else { 28 }, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31] {
        if days < length {
            break;
        }
        days -= length;
        month += 1;
    }
    let (hour, minute) = (of_day / 3_600_000, of_day / 60_000 % 60);
    let (second, milliseconds) = (of_day / 1000 % 60, of_day % 1000);
    format!("{year:04}-{month:02}-{:02}T{hour:02}:{minute:02}:{second:02}.{milliseconds:03}Z", days + 1)
}

fn is_leap(year: i64) -> bool {
    year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
}

/// MurmurHash3, x86, 32 bits, seed 0.
fn murmur3(bytes: &[u8]) -> u32 {
    let mix = |word: u32| word.wrapping_mul(0xcc9e_2d51).rotate_left(15).wrapping_mul(0x1b87_3593);
    let mut hash = 0_u32;
    let (words, rest) = bytes.as_chunks::<4>();
    for word in words {
        hash =
            (hash ^ mix(u32::from_le_bytes(*word))).rotate_left(13).wrapping_mul(5).wrapping_add(0xe654_6b64);
    }
    let mut last = [0; 4];
    last[..rest.len()].copy_from_slice(rest);
    hash ^= mix(u32::from_le_bytes(last));
    hash ^= bytes.len() as u32;
    hash = (hash ^ (hash >> 16)).wrapping_mul(0x85eb_ca6b);
    hash = (hash ^ (hash >> 13)).wrapping_mul(0xc2b2_ae35);
    hash ^ (hash >> 16)
}

/// The networks of an address database, searched one by one. IPv4 networks lie under `::/96`.
pub(crate) struct Networks(Vec<(u128, u32, Value)>);

impl Networks {
    pub(crate) fn new(facts: &str) -> Self {
        let (_, networks) = mmdb::read_facts(facts).unwrap();
        let bits = |(network, record): (String, Value)| {
            let (address, length) = network.split_once('/').unwrap();
            let length: u32 = length.parse().unwrap();
            match address.parse().unwrap() {
                IpAddr::V4(address) => (u128::from(u32::from(address)), length + 96, record),
                IpAddr::V6(address) => (u128::from(address), length, record),
            }
        };
        Self(networks.into_iter().map(bits).collect())
    }

    /// The address and length of one of the networks.
    pub(crate) fn pick(&self, random: &mut Random) -> (u128, u32) {
        let (bits, length, _) = &self.0[random.below(self.0.len())];
        (*bits, *length)
    }

    /// What the geoip filter finds of a City database under its target: nothing when there is no place on the map.
    fn find(&self, address: IpAddr) -> Value {
        let bits = match address {
            IpAddr::V4(address) => u128::from(u32::from(address)),
            IpAddr::V6(address) => u128::from(address),
        };
        let covering =
            self.0.iter().filter(|(start, length, _)| *length == 0 || (bits ^ start) >> (128 - length) == 0);
        let Some((.., record)) = covering.max_by_key(|(_, length, _)| *length) else { return json!({}) };
        let (latitude, longitude) = (&record["location"]["latitude"], &record["location"]["longitude"]);
        if latitude.is_null() && longitude.is_null() {
            return json!({});
        }
        let region =
            record["subdivisions"].as_array().and_then(|regions| regions.last()).unwrap_or(&Value::Null);
        let ip = match address {
            IpAddr::V4(address) => address.to_string(),
            IpAddr::V6(address) => eight_groups(address),
        };
        let mut found = json!({
            "ip": ip,
            "city_name": record["city"]["names"]["en"],
            "continent_code": record["continent"]["code"],
            "country_name": record["country"]["names"]["en"],
            "country_code2": record["country"]["iso_code"],
            "country_code3": record["country"]["iso_code"],
            "postal_code": record["postal"]["code"],
            "dma_code": record["location"]["metro_code"],
            "region_name": region["names"]["en"],
            "region_code": region["iso_code"],
            "timezone": record["location"]["time_zone"],
            "latitude": latitude,
            "longitude": longitude,
        });
        if !latitude.is_null() && !longitude.is_null() {
            found["location"] = json!({"lat": latitude, "lon": longitude});
        }
        found.as_object_mut().unwrap().retain(|_, value| !value.is_null());
        found
    }
}

fn eight_groups(address: Ipv6Addr) -> String {
    address.segments().map(|group| format!("{group:x}")).join(":")
}

/// Whether two documents say the same: numbers by amount, everything else to the letter.
pub(crate) fn same(left: &Value, right: &Value) -> bool {
    match (left, right) {
        (Value::Number(left), Value::Number(right)) => left.as_f64() == right.as_f64(),
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

#[test]
fn the_expectation_knows_the_sample_document() {
    // The document that the replaced pipeline made of this line; its address is masked there.
    let sample: Value = serde_json::from_str(include_str!("../data/sample-document.json")).unwrap();
    let source = &sample["_source"];
    let message = source["message"].as_str().unwrap();
    let group = source["cloudwatch_logs"]["log_group"].as_str().unwrap();
    let event = json!({
        "message": message.replace("2a00:xxxxxxx:1", "2a00:1::1"),
        "timestamp": 0,
        "eventId": source["cloudwatch_logs"]["event_id"],
        "ingestionTime": 1_582_477_748_462_i64,
        "logStreamName": source["cloudwatch_logs"]["log_stream"],
    });
    let networks = Networks(vec![(
        0x2a00 << 112,
        16,
        json!({
            "continent": {"code": "EU"},
            "country": {"iso_code": "RU", "names": {"en": "Russia"}},
            "location": {"latitude": 60.0, "longitude": 100.0, "time_zone": "Asia/Krasnoyarsk"},
        }),
    )]);
    let (index, _, mut document) = document(&event, group, &networks);
    // That pipeline took the day of a host in UTC; here it is Tokyo's.
    assert_eq!(index, "route53-2020-02-24");
    assert_eq!(document["src_geoip"]["ip"], "2a00:1:0:0:0:0:0:1");
    document["src_geoip"]["ip"] = source["src_geoip"]["ip"].clone();
    document["message"] = source["message"].clone();
    document["resolver_ipaddress"] = source["resolver_ipaddress"].clone();
    assert!(same(&document, source), "{document:#}");
}

#[test]
fn the_hash_and_the_times_are_right() {
    for (text, hash) in [
        ("", 0),
        ("a", 0x3c25_69b2),
        ("hello, world", 0x149b_bb7f),
        ("The quick brown fox jumps over the lazy dog", 0x2e4f_f723),
    ] {
        assert_eq!(murmur3(text.as_bytes()), hash, "{text}");
    }
    for (text, time) in [
        ("1970-01-01T00:00:00Z", Some(0)),
        ("2020-02-23T17:08:41Z", Some(1_582_477_721_000)),
        ("2020-02-24T02:08:41", Some(1_582_477_721_000)),
        ("2020-02-23T19:08:41.5+02:00", Some(1_582_477_721_500)),
        ("2020-02-23T07:38:41.123456-0930", Some(1_582_477_721_123)),
        ("2021-02-29T00:00:00Z", None),
        ("2020-13-01T00:00:00Z", None),
        ("yesterday", None),
    ] {
        assert_eq!(read_time(text), time, "{text}");
    }
    assert_eq!(written(1_582_477_721_123), "2020-02-23T17:08:41.123Z");
}
