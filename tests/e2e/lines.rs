//! Made-up Route 53 query log lines, the same for the same seed, with all that goes wrong in real ones: lines that do not
//! dissect, times that are none, addresses that no database knows, lines twice.

use std::net::{IpAddr, Ipv6Addr};

use serde_json::{Value, json};
use weir_test_support::Random;
use weir_test_support::http_client::cloudwatch_logs;

use crate::expected::Networks;

/// A line as it is put into CloudWatch Logs.
pub(crate) struct Line {
    pub(crate) stream: String,
    /// Milliseconds since 1970.
    pub(crate) timestamp: i64,
    pub(crate) message: String,
}

/// The days that the lines' own times lie on: leap days, ends of years, and a day on which Tokyo's date differs.
const DAYS: &[&str] = &[
    "1999-12-31",
    "2000-02-29",
    "2004-12-31",
    "2009-02-13",
    "2012-02-29",
    "2016-12-31",
    "2019-04-30",
    "2020-02-23",
    "2020-12-31",
    "2023-07-14",
    "2024-02-29",
    "2024-12-31",
    "2025-06-30",
    "2026-01-01",
];
const STREAMS: &[&str] = &[
    "Z1CV60OKBEMYL2/CDG3-C2",
    "Z1CV60OKBEMYL2/NRT12-C1",
    "Z1CV60OKBEMYL2/FRA2-C1",
    "Z2FDTNDATAQYW2/IAD12-C3",
    "Z2FDTNDATAQYW2/SFO5-C1",
    "Z2FDTNDATAQYW2/GRU1",
];
const NAMES: &[&str] = &[
    "example.name",
    "www.example.name",
    "_dmarc.example.name",
    "\\052.example.name",
    "mail-01.eu.example.name",
    "a.very.long.name.with.many.labels.below.the.zone.of.example.name",
    "EXAMPLE.name",
];
const TYPES: &[&str] = &["A", "AAAA", "MX", "TXT", "NS", "SOA", "CAA", "PTR", "HTTPS"];
const CODES: &[&str] = &["NOERROR", "NOERROR", "NOERROR", "NXDOMAIN", "NXDOMAIN", "SERVFAIL", "REFUSED"];
/// What does not dissect: too few fields, other texts, signs that JSON must escape.
const BROKEN: &[&str] = &[
    "1.0 2020-02-23T17:08:41Z Z1CV60OKBEMYL2 example.name MX NOERROR UDP CDG3-C2 192.0.2.7",
    "truncated 2020-02-23T17:08",
    "x",
    " ",
    "he said \"no\" \\ and\tleft\u{1}",
    "日本語の行 ünïcode \u{1F600}",
    "{\"looks\":\"like json\"}",
];

/// `count` lines whose put times lie within ten days before `now` (milliseconds since 1970).
pub(crate) fn make(seed: u64, count: usize, now: i64, networks: &Networks) -> Vec<Line> {
    println!("the seed of the lines is {seed}");
    let mut random = Random(seed);
    let mut lines: Vec<Line> = Vec::with_capacity(count);
    for _ in 0..count {
        let message = match random.below(1000) {
            0..20 if !lines.is_empty() => lines[random.below(lines.len())].message.clone(),
            20..40 => {
                let broken = random.one_of(BROKEN);
                format!("{broken}{}", "!".repeat(random.below(3)))
            }
            _ => query(&mut random, networks),
        };
        let stream = random.one_of(STREAMS).to_owned();
        let timestamp = now - 1000 - random.below(10 * 86_400_000) as i64;
        lines.push(Line { stream, timestamp, message });
    }
    lines
}

fn query(random: &mut Random, networks: &Networks) -> String {
    let time = time(random);
    let zone = random.one_of(&["Z1CV60OKBEMYL2", "Z2FDTNDATAQYW2"]);
    let (name, kind, code) = (random.one_of(NAMES), random.one_of(TYPES), random.one_of(CODES));
    let (protocol, edge) = (random.one_of(&["UDP", "TCP"]), random.one_of(&["CDG3-C2", "NRT12-C1", "GRU1"]));
    let address = address(random, networks);
    let subnet = match random.below(10) {
        0 => "203.0.113.0/24",
        1 => "2001:db8::/32",
        2 => "- and more",
        _ => "-",
    };
    format!("1.0 {time} {zone} {name} {kind} {code} {protocol} {edge} {address} {subnet}")
}

/// Mostly as Route 53 writes it; now and then another ISO 8601 form, and what is no time.
fn time(random: &mut Random) -> String {
    let day = random.one_of(DAYS);
    let (hour, minute, second) = (random.below(24), random.below(60), random.below(60));
    let form = match random.below(100) {
        0 => ".5Z",
        1 => ".123456Z",
        2 => "+02:00",
        3 => "-0930",
        4 => "",
        5 => {
            return random
                .one_of(&["yesterday", "2020-13-01T00:00:00Z", "2021-02-29T00:00:00Z", "0x1F"])
                .to_owned();
        }
        _ => "Z",
    };
    format!("{day}T{hour:02}:{minute:02}:{second:02}{form}")
}

fn address(random: &mut Random, networks: &Networks) -> String {
    if random.below(5) == 0 {
        let host = random.below(250);
        return random
            .one_of(&[format!("192.0.2.{host}"), format!("2001:db8:53::{host:x}")].each_ref())
            .clone();
    }
    let (bits, length) = networks.pick(random);
    let host = u128::from(random.number()) << 64 | u128::from(random.number());
    let bits = bits | if length < 128 { host >> length } else { 0 };
    match u32::try_from(bits) {
        Ok(old) if length >= 96 => IpAddr::from(old.to_be_bytes()).to_string(),
        _ => Ipv6Addr::from(bits).to_string(),
    }
}

/// Puts lines into a log group over plain HTTP, in batches as the service takes them: of one stream, in the order of
/// time, over at most a day, of at most 10,000 events.
pub(crate) fn put(url: &str, group: &str, lines: &[Line]) {
    let call = |operation: &str, parameters: Value| cloudwatch_logs(url, operation, &parameters).unwrap();
    call("CreateLogGroup", json!({"logGroupName": group}));
    for stream in STREAMS {
        call("CreateLogStream", json!({"logGroupName": group, "logStreamName": stream}));
        let mut of_stream: Vec<&Line> = lines.iter().filter(|line| line.stream == *stream).collect();
        of_stream.sort_by_key(|line| line.timestamp);
        let same_day =
            |first: &&Line, second: &&Line| first.timestamp / 86_400_000 == second.timestamp / 86_400_000;
        for day in of_stream.chunk_by(same_day) {
            for batch in day.chunks(10_000) {
                let events: Vec<Value> = batch
                    .iter()
                    .map(|line| json!({"timestamp": line.timestamp, "message": line.message}))
                    .collect();
                let answer = call(
                    "PutLogEvents",
                    json!({"logGroupName": group, "logStreamName": stream, "logEvents": events}),
                );
                assert!(answer.get("rejectedLogEventsInfo").is_none(), "{answer}");
            }
        }
    }
}

/// All events of a log group, as the service gives them.
pub(crate) fn read_back(url: &str, group: &str) -> Vec<Value> {
    let (mut events, mut token) = (Vec::new(), Value::Null);
    loop {
        let mut parameters = json!({"logGroupName": group, "limit": 10_000});
        if !token.is_null() {
            parameters["nextToken"] = token;
        }
        let mut page = cloudwatch_logs(url, "FilterLogEvents", &parameters).unwrap();
        events.append(page["events"].as_array_mut().unwrap());
        token = page["nextToken"].take();
        if token.is_null() {
            return events;
        }
    }
}
