//! Filters against second implementations of what they do: times against chrono, hashes against the crates of their
//! functions, numbers against Rust's own reading and writing.

use chrono::{DateTime, LocalResult, NaiveDate, NaiveDateTime, NaiveTime, Offset, TimeZone};
use chrono_tz::Tz;
use hmac::{Hmac, KeyInit, Mac};
use md5::{Digest, Md5};
use proptest::collection::vec;
use proptest::prelude::{Strategy, any};
use proptest::prop_oneof;
use proptest::sample::select;
use serde_json::{Value as Json, json};
use sha1::Sha1;
use sha2::{Sha256, Sha384, Sha512};

use crate::campaign::{Tried, run};
use crate::documents::timestamp_text;
use crate::through::{Through, field, set};
use crate::values::{EVENTS, Event, letters, text};

const ZONES: [Tz; 10] = [
    Tz::UTC,
    Tz::Asia__Tokyo,
    Tz::Europe__Paris,
    Tz::America__New_York,
    Tz::America__Sao_Paulo,
    Tz::Australia__Lord_Howe,
    Tz::Asia__Kathmandu,
    Tz::Pacific__Apia,
    Tz::Africa__Casablanca,
    Tz::America__Caracas,
];

fn through(filter: &'static str, options: &Json) -> Result<Through, String> {
    let step = (filter, options.as_object().cloned().expect("a map"));
    Through::build(&[step])?.ok_or_else(|| format!("{options} were refused"))
}

/// The field `out` of every event.
fn outcomes(filter: &'static str, options: &Json, events: &[Event]) -> Result<Vec<Option<Json>>, String> {
    let mut through = through(filter, options)?;
    let batch = through.batch(events);
    let out = through.process(batch)?;
    Ok((0..out.batch.rows()).map(|row| field(&out.batch, row, "out")).collect())
}

/// # Errors
/// With the first difference.
fn compare(
    options: &Json,
    events: &[Event],
    found: &[Option<Json>],
    expected: impl Fn(usize) -> Option<Json>,
) -> Result<Tried, String> {
    let mut done = 0;
    for (row, found) in found.iter().enumerate() {
        let expected = expected(row);
        if *found != expected {
            return Err(format!("{options} on {:?}: {found:?}, expected {expected:?}", events[row]));
        }
        done += u64::from(found.is_some());
    }
    Ok(Tried::pairs(events.len(), done))
}

/// Ways to write date, time and zone that Joda and chrono both have.
const DATES: [(&str, &str); 4] = [
    ("yyyy-MM-dd", "%Y-%m-%d"),
    ("dd/MMM/yyyy", "%d/%b/%Y"),
    ("EEE, d MMMM yyyy", "%a, %-d %B %Y"),
    ("yyyy DDD", "%Y %j"),
];
const TIMES: [(&str, &str); 4] = [
    ("HH:mm:ss.SSS", "%H:%M:%S.%3f"),
    ("hh:mm:ss.SSS a", "%I:%M:%S.%3f %p"),
    ("HHmmssSSS", "%H%M%S%3f"),
    ("HH:mm:ss,SSS", "%H:%M:%S,%3f"),
];
const OFFSETS: [(&str, &str); 2] = [(" Z", " %z"), ("ZZ", "%:z")];

/// Milliseconds since 1970 of a local time.
fn local_times(years: std::ops::Range<i32>) -> impl Strategy<Value = NaiveDateTime> {
    (years, 1..=366_u32, 0..86_400_u32, 0..1000_u32).prop_map(|(year, day, second, millis)| {
        let date = NaiveDate::from_yo_opt(year, day.min(365)).unwrap_or_default();
        let time = NaiveTime::from_num_seconds_from_midnight_opt(second, millis * 1_000_000);
        date.and_time(time.unwrap_or_default())
    })
}

/// A point in time as the date filter sets it.
fn instant_text(time: DateTime<chrono::Utc>) -> Json {
    match time.timestamp_nanos_opt() {
        Some(nanoseconds) => Json::from(timestamp_text(nanoseconds)),
        None => Json::from(time.format("%Y-%m-%dT%H:%M:%S%.3fZ").to_string()),
    }
}

#[test]
fn dates_with_an_offset_are_those_of_chrono() {
    let row = (local_times(1001..9998), -1080..=1080_i32);
    let strategy = (select(&DATES[..]), select(&TIMES[..]), select(&OFFSETS[..]), vec(row, EVENTS));
    run("dates with an offset", 2, &strategy, |(date, time, offset, rows)| {
        let joda = format!("{} {}{}", date.0, time.0, offset.0);
        let form = format!("{} {}{}", date.1, time.1, offset.1);
        let times: Vec<_> = rows
            .iter()
            .filter_map(|(local, minutes)| {
                chrono::FixedOffset::east_opt(minutes * 60)?.from_local_datetime(local).single()
            })
            .collect();
        let events: Vec<Event> =
            times.iter().map(|time| Event::of("message", time.format(&form).to_string())).collect();
        let options = json!({ "match": ["message", joda], "target": "out" });
        let found = outcomes("date", &options, &events)?;
        compare(&options, &events, &found, |row| Some(instant_text(times[row].to_utc())))
    });
}

#[test]
fn dates_in_a_zone_are_those_of_chrono() {
    let strategy =
        (select(&DATES[..]), select(&TIMES[..]), select(&ZONES[..]), vec(local_times(1980..2037), EVENTS));
    run("dates in a zone", 2, &strategy, |(date, time, zone, locals)| {
        let (joda, form) = (format!("{} {}", date.0, time.0), format!("{} {}", date.1, time.1));
        let events: Vec<Event> =
            locals.iter().map(|local| Event::of("message", local.format(&form).to_string())).collect();
        let options = json!({ "match": ["message", joda], "target": "out", "timezone": zone.name() });
        let found = outcomes("date", &options, &events)?;
        compare(&options, &events, &found, |row| match zone.from_local_datetime(&locals[row]) {
            LocalResult::Single(time) => Some(instant_text(time.to_utc())),
            // The first of two, as Joda takes it; what the clock skips is no time.
            LocalResult::Ambiguous(first, _) => Some(instant_text(first.to_utc())),
            LocalResult::None => None,
        })
    });
}

/// Directives that mean the same in local-time and in chrono.
const DIRECTIVES: [&str; 34] = [
    "%Y", "%m", "%d", "%H", "%M", "%S", "%j", "%y", "%C", "%G", "%g", "%V", "%U", "%W", "%u", "%w", "%e",
    "%k", "%I", "%l", "%a", "%A", "%b", "%B", "%p", "%P", "%z", "%:z", "%F", "%T", "%D", "%R", "%s", "%%",
];

#[test]
fn local_times_are_those_of_chrono() {
    let piece = (select(&DIRECTIVES[..]), select(&["", " ", "-", "é", ":"][..]));
    let strategy = (vec(piece, 1..9), select(&ZONES[..]), vec(any::<i64>(), EVENTS));
    run("local times", 2, &strategy, |(pieces, zone, times)| {
        let form: String =
            pieces.iter().map(|(directive, literal)| format!("{directive}{literal}")).collect();
        let options =
            json!({ "source": "@timestamp", "target": "out", "format": form, "timezone": zone.name() });
        let events: Vec<Event> =
            times.iter().map(|time| Event { time: *time, ..Event::of("a", 1) }).collect();
        let found = outcomes("local-time", &options, &events)?;
        compare(&options, &events, &found, |row| {
            let time = DateTime::from_timestamp_nanos(times[row]).with_timezone(zone);
            // Offsets before there were zones have seconds, which %z does not show.
            let shown = time.offset().fix().local_minus_utc();
            (shown % 60 == 0)
                .then(|| Json::from(time.format(&form).to_string()))
                .or_else(|| found[row].clone())
        })
    });
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn digest<D: Digest>(text: &str) -> String {
    hexadecimal(&D::digest(text))
}

fn keyed<M: KeyInit + Mac>(key: &str, text: &str) -> String {
    let mut mac = <M as KeyInit>::new_from_slice(key.as_bytes()).expect("keys of any length");
    mac.update(text.as_bytes());
    hexadecimal(&mac.finalize().into_bytes())
}

fn hash(method: &str, key: Option<&str>, text: &str) -> Json {
    let digits = match (method, key) {
        ("MURMUR3", _) => {
            return Json::from(murmur3::murmur3_32(&mut text.as_bytes(), 0).expect("it reads memory"));
        }
        ("MURMUR3_128", _) => {
            let hash = murmur3::murmur3_x64_128(&mut text.as_bytes(), 2).expect("it reads memory");
            hexadecimal(&hash.to_le_bytes())
        }
        ("SHA1", None) => digest::<Sha1>(text),
        ("SHA256", None) => digest::<Sha256>(text),
        ("SHA384", None) => digest::<Sha384>(text),
        ("SHA512", None) => digest::<Sha512>(text),
        ("MD5", None) => digest::<Md5>(text),
        ("SHA1", Some(key)) => keyed::<Hmac<Sha1>>(key, text),
        ("SHA256", Some(key)) => keyed::<Hmac<Sha256>>(key, text),
        ("SHA384", Some(key)) => keyed::<Hmac<Sha384>>(key, text),
        ("SHA512", Some(key)) => keyed::<Hmac<Sha512>>(key, text),
        (_, Some(key)) => keyed::<Hmac<Md5>>(key, text),
        (_, None) => unreachable!("{method} is not among the methods"),
    };
    Json::from(digits)
}

#[test]
fn hashes_are_those_of_their_crates() {
    let methods = select(&["MURMUR3", "MURMUR3_128", "SHA1", "SHA256", "SHA384", "SHA512", "MD5"][..]);
    let texts = vec(prop_oneof![letters(80), text(), any::<String>()], EVENTS);
    let strategy = (methods, proptest::option::of(letters(200)), texts);
    run("hashes", 1, &strategy, |(method, key, texts)| {
        let mut options = json!({ "source": "message", "target": "out", "method": method });
        if let Some(key) = key {
            options["key"] = Json::from(key.as_str());
        }
        let events: Vec<Event> = texts.iter().map(|text| Event::of("message", text.as_str())).collect();
        let found = outcomes("fingerprint", &options, &events)?;
        compare(&options, &events, &found, |row| Some(hash(method, key.as_deref(), &texts[row])))
    });
}

#[test]
fn numbers_are_those_of_rust() {
    let bits = prop_oneof![
        any::<u64>(),
        any::<f64>().prop_map(f64::to_bits),
        (0..2000_u64).prop_map(|small| (small as f64 / 8.0).to_bits())
    ];
    let strategy = vec((any::<i64>(), bits), EVENTS);
    run("numbers", 2, &strategy, |numbers| {
        let numbers: Vec<(i64, f64)> = numbers
            .iter()
            .map(|(integer, bits)| (*integer, f64::from_bits(*bits)))
            .filter(|(_, float)| float.is_finite())
            .collect();
        let options = json!({
            "replace": { "out": "%{float}" },
            "convert": { "integer": "integer", "written": "float", "float": "string" },
        });
        let mut through = through("mutate", &options)?;
        let events: Vec<Event> =
            numbers.iter().map(|(integer, _)| Event::of("integer", integer.to_string())).collect();
        let mut batch = through.batch(&events);
        for (row, (_, float)) in numbers.iter().enumerate() {
            set(&mut batch, row, "written", weir::event::Value::Text(&format!("{float:e}")));
            set(&mut batch, row, "float", weir::event::Value::Float(*float));
        }
        let out = through.process(batch)?.batch;
        for (row, (integer, float)) in numbers.iter().enumerate() {
            let read = |name: &str| field(&out, row, name);
            let as_float = |json: Option<Json>| match json {
                Some(Json::String(text)) => text.parse::<f64>().ok(),
                Some(Json::Number(number)) => number.as_f64(),
                _ => None,
            };
            let same = |name: &str| as_float(read(name)).map(f64::to_bits) == Some(float.to_bits());
            if read("integer") != Some(Json::from(*integer))
                || !same("written")
                || !same("float")
                || !same("out")
            {
                return Err(format!(
                    "{integer} and {float:e} became {:?}",
                    ["integer", "written", "float", "out"].map(read)
                ));
            }
        }
        Ok(Tried::pairs(numbers.len(), numbers.len() as u64))
    });
}
