//! # date
//!
//! Parses a time out of a field, and puts it into `@timestamp` or another field. It does what Logstash's filter of the same
//! name does (logstash-filter-date 3.1.15, Joda-Time 2.10), to the millisecond.
//!
//! ```toml
//! [[filter]]
//! use = "date"
//! match = ["timestamp", "ISO8601", "dd/MMM/yyyy:HH:mm:ss Z"]
//! timezone = "Asia/Tokyo"
//! ```
//!
//! The formats are tried in their order; the first that fits sets `target`, and the common options (`add_field`, …) run.
//! An event that lacks the field, or has a null there, is left alone. The field itself stays.
//!
//! ## Options
//!
//! ### match
//! List, required. The field to read, then one or more formats, see below.
//! `match = ["timestamp", "ISO8601", "dd/MMM/yyyy:HH:mm:ss Z"]`
//!
//! ### target
//! Text, `"@timestamp"`. The field that gets the time: a reference, in which `%{…}` has no meaning.
//! `target = "[event][start]"`
//!
//! ### timezone
//! Text, the pipeline's `timezone`. The zone of texts that name none: an id of the tz database (`"Europe/Paris"`, `"CET"`,
//! `"EST5EDT"`; letter case counts), an offset (`"+02:00"`), or `"%{field}"` for one that each event says.
//! `timezone = "Asia/Tokyo"`
//!
//! ### locale
//! Text, the pipeline's `locale`. The language of month and weekday names, halves of the day and eras, as a BCP 47 tag; an
//! underscore will do for a dash. `locale = "fr-CA"`
//!
//! ### tag_on_failure
//! List, `["_dateparsefailure"]`. The tags of an event whose field has none of the formats; `[]` adds none.
//! `tag_on_failure = ["no_time"]`
//!
//! ## Formats
//!
//! | format | reads |
//! |---|---|
//! | `ISO8601` | `2015-03-04T05:06:07.123+01:00` and what is less of it: a year, a month, a week (`2015-W10-3`), a day of the year (`2015-063`), a time without a date; also `2015-03-04 05:06:07.123` with a space, where the fraction must be there. `20150304` is the year 20,150,304 |
//! | `UNIX` | seconds since 1970, as a number or as text, at most 2147483647, with a fraction |
//! | `UNIX_MS` | milliseconds since 1970, as a number or as text |
//! | `TAI64N` | `@4000000050d506482dbdf024` |
//! | anything else | a Joda pattern: the whole text must fit |
//!
//! Letters of a pattern; text between quotes stands for itself, letter case aside, and so does everything that is no letter:
//!
//! | letter | meaning |
//! |---|---|
//! | `y` `Y` `x` | year, year of the era, year of weeks; two of them read two digits as a year from 80 years ago to 19 years ahead |
//! | `C` `G` | century, era |
//! | `M` | month: one or two digits; three or more letters: its name, short or long |
//! | `d` `D` `e` `E` `w` | day of the month, of the year, of the week (Monday is 1), name of the weekday, week |
//! | `H` `k` `K` `h` `a` | hour from 0 to 23, 1 to 24, 0 to 11, 1 to 12; half of the day |
//! | `m` `s` `S` | minute, second, digits of a fraction (at most as many as letters) |
//! | `Z` `ZZ` | offset: `+0100`, `+01:00`, `Z` |
//! | `ZZZ` | id of a zone: `Europe/Paris` |
//! | `z` | one of UT, UTC, GMT, EST, EDT, CST, CDT, MST, MDT, PST, PDT |
//!
//! What surprises, here as in Logstash:
//!
//! * A pattern without `y` or `Y` gets this year; December gets last year's while it is January, January next year's while it
//!   is December.
//! * A weekday that does not fit the date moves the date within its week, from Monday to Sunday.
//! * A local time that the clock skips fails; one that it shows twice is the earlier.
//! * ISO8601 and patterns read texts only: the number 2015 is no `yyyy`.
//! * Names are read as they are in the locale, all in lower or all in upper case; `mAr` is no month.
//!
//! ## When it fails
//!
//! If no format fits, the event gets the tags of `tag_on_failure` and counts as failed; the pipeline's `on_error` decides
//! what becomes of it. A format that is none, an unknown zone and an illegal field reference are refused before the first
//! event.
//!
//! ## Not as in Logstash
//!
//! * Where Logstash would stop its pipeline, the event fails: a text too short for TAI64N, a target below a field that is no
//!   map, a zone's template or a common option that goes wrong. A pattern with `zzzz` and a target in `tags`, which can never
//!   work, are refused when the pipeline is built.
//! * A time before 1677-09-21 or after 2262-04-11 does not fit a timestamp of nanoseconds. It is set as the text that would
//!   be written of it, `"+20150-03-04T00:00:00.000Z"`, in `@timestamp` too. Years beyond ±292,275,000 or so fail, where
//!   Joda-Time sometimes goes round in its numbers.
//! * Names are those of OpenJDK 17 for all of its locales, whatever Java a Logstash runs on. A locale that Java does not know
//!   has the short English ones, as in Logstash.
//! * The rules of zones are those of the tz database 2025b, which is newer than that of Joda-Time 2.10.

mod calendar;
mod fields;
mod format;
mod iso8601;
mod names;
mod numeric;
mod pattern;
mod pattern_reader;
mod reader;
mod zone;

use weir_filter::{
    Column, Event, Events, Failure, Field, FieldReference, Filter, Numbers, OptionDescription, OptionKind,
    Options, Outcome, Plan, Problems, RowMask, Template, Value,
};

use crate::calendar::{DAY, date_from_days, week_of_days};
use crate::format::{Attempt, Clock, Format, iso8601_instant};
use crate::iso8601::LastDate;
use crate::names::Locale;
use crate::pattern::Pattern;
use crate::zone::Zone;

/// The date filter.
#[derive(Debug)]
pub struct Date {
    source: Field,
    target: Field,
    formats: Vec<Format>,
    zone: ZoneOption,
    /// The pipeline's zone, in which texts without a year are compared with now.
    home: Zone,
}

/// Where a text is local that names no zone.
#[derive(Debug)]
enum ZoneOption {
    Fixed(Zone),
    /// Said by each event.
    OfEvent {
        id: Template,
        text: String,
        known_text: String,
        known: Option<Zone>,
    },
}

impl Filter for Date {
    const NAME: &'static str = "date";
    const VERSION: &'static str = env!("CARGO_PKG_VERSION");
    const SUMMARY: &'static str = "parses a time out of a field, into @timestamp or another field";
    const MANUAL: &'static str = weir_filter::manual!();
    const OPTIONS: &'static [OptionDescription] = &[
        OptionDescription {
            name: "match",
            kind: OptionKind::List,
            default: None,
            required: true,
            doc: "The field to read, then the formats to try, in their order: `ISO8601`, `UNIX`, `UNIX_MS`, `TAI64N` or \
                  a Joda pattern.",
            example: "match = [\"timestamp\", \"ISO8601\", \"dd/MMM/yyyy:HH:mm:ss Z\"]",
        },
        OptionDescription {
            name: "target",
            kind: OptionKind::Text,
            default: Some("\"@timestamp\""),
            required: false,
            doc: "The field that gets the time.",
            example: "target = \"[event][start]\"",
        },
        OptionDescription {
            name: "timezone",
            kind: OptionKind::Text,
            default: None,
            required: false,
            doc: "The zone of texts that name none: an id or an offset, or `%{…}` for one that each event says. Default: \
                  the pipeline's `timezone`.",
            example: "timezone = \"Asia/Tokyo\"",
        },
        OptionDescription {
            name: "locale",
            kind: OptionKind::Text,
            default: None,
            required: false,
            doc: "The language of month and weekday names, as a BCP 47 tag. Default: the pipeline's `locale`.",
            example: "locale = \"fr-CA\"",
        },
        OptionDescription {
            name: "tag_on_failure",
            kind: OptionKind::List,
            default: Some("[\"_dateparsefailure\"]"),
            required: false,
            doc: "The tags of an event whose field has none of the formats.",
            example: "tag_on_failure = [\"no_time\"]",
        },
    ];

    fn configure(options: &Options, plan: &mut Plan) -> Result<Self, Problems> {
        let mut problems = Problems::new();
        let texts = options.texts("match");
        if texts.len() < 2 || options.list("match").iter().any(|entry| entry.is_object() || entry.is_array())
        {
            problems.push(
                "/match",
                "match takes a field and at least one format",
                "for example: match = [\"timestamp\", \"ISO8601\"]",
            );
            return Err(problems);
        }
        let home_id = &options.environment().timezone;
        let home = Zone::parse(home_id).unwrap_or_else(|| {
            problems.push("", format!("the pipeline's timezone {home_id:?} is not known"), zone_fix(home_id));
            Zone::Fixed(0)
        });
        let formats = read_formats(&texts, options, &home, &mut problems);
        let needs_zone = formats.iter().any(Format::needs_zone);
        let zone = match options.text("timezone") {
            Some(id) if id.contains("%{") => {
                let id = plan.template(id);
                if let Some(problem) = id.problem() {
                    problems.push("/timezone", problem, "");
                }
                ZoneOption::OfEvent { id, text: String::new(), known_text: String::new(), known: None }
            }
            Some(id) => ZoneOption::Fixed(Zone::parse(id).unwrap_or_else(|| {
                // Logstash never looks at the zone where all formats are numeric.
                if needs_zone {
                    problems.push("/timezone", format!("the time zone {id:?} is not known"), zone_fix(id));
                }
                Zone::Fixed(0)
            })),
            None => ZoneOption::Fixed(home.clone()),
        };
        let source = reference("/match/0", &texts[0], &mut problems);
        let target_text = options.text("target").unwrap_or("@timestamp");
        let target = reference("/target", target_text, &mut problems);
        let (Some(source), Some(target)) = (source, target) else { return Err(problems) };
        if target.fragments()[0] == "tags" {
            let fix = "name another field; tags holds texts";
            problems.push("/target", format!("the target {target_text:?} cannot hold a time"), fix);
        }
        plan.failure_tags(&options.texts("tag_on_failure"));
        let filter = Date { source: plan.read(&source), target: plan.write(&target), formats, zone, home };
        problems.into_result(filter)
    }

    fn filter(&mut self, event: &mut Event<'_>) -> Result<Outcome, Failure> {
        let value = match event.get(self.source) {
            None | Some(Value::Null) => return Ok(Outcome::Ignored),
            Some(value) => value,
        };
        let mut zone_known = false;
        for format in &mut self.formats {
            if !zone_known && format.needs_zone() {
                self.zone.look_at(event)?;
                zone_known = true;
            }
            let clock = Clock { now: &|| event.now().div_euclid(1_000_000), zone: &self.home };
            match format.instant_of(value, self.zone.known(), &clock) {
                Attempt::Instant(millis) => {
                    set_time(event, self.target, millis)?;
                    return Ok(Outcome::Matched);
                }
                Attempt::Next => {}
                Attempt::Stop => return Err(Failure::new("the text is too short for TAI64N")),
            }
        }
        Err(Failure::new("the value has none of the formats of match"))
    }

    fn filter_batch(&mut self, step: u32, events: &mut Events<'_>) {
        let set = self.set_texts(events);
        events.for_each_other(&set, |event| self.filter_step(step, event));
    }
}

/// The milliseconds that a timestamp of nanoseconds reaches.
const REACH: std::ops::RangeInclusive<i64> = i64::MIN / 1_000_000..=i64::MAX / 1_000_000;

impl Date {
    /// Sets the target by column in the rows whose source is a text with one of the formats, and answers them.
    fn set_texts(&mut self, events: &mut Events<'_>) -> RowMask {
        let rows = events.len();
        let none = RowMask::none(rows);
        let (Some(texts), ZoneOption::Fixed(zone)) = (events.texts(self.source), &self.zone) else {
            return none;
        };
        if !events.is_independent(self.target, Value::Timestamp(0)) {
            return none;
        }
        let clock = Clock { now: &|| events.now().div_euclid(1_000_000), zone: &self.home };
        let mut set = RowMask::all(rows);
        let mut nanoseconds = Vec::with_capacity(rows);
        for row in 0..rows {
            let text = events.text_at(texts, row);
            let millis = text.and_then(|text| millis_of(&mut self.formats, text, zone, &clock));
            // Asked so, as a multiplication that is checked is one of 128 bits on wasm32.
            let instant = millis.filter(|millis| REACH.contains(millis)).map(|millis| millis * 1_000_000);
            if instant.is_none() {
                set.remove(row);
            }
            nanoseconds.push(instant.unwrap_or(0));
        }
        if set.is_empty() {
            return set;
        }
        let present = if set.count() == rows { Vec::new() } else { set.clone().into_bytes() };
        events.set_column(self.target, Column::Timestamp(Numbers { values: nanoseconds, present }));
        set
    }
}

/// The instant of a text by the first format that fits.
fn millis_of(formats: &mut [Format], text: &str, zone: &Zone, clock: &Clock<'_>) -> Option<i64> {
    for format in formats {
        // The commonest one need not go by the table.
        if let Format::Iso8601(last) = format {
            match iso8601_instant(text, last, zone) {
                Some(millis) => return Some(millis),
                None => continue,
            }
        }
        match format.instant_of(Value::Text(text), Some(zone), clock) {
            Attempt::Instant(millis) => return Some(millis),
            Attempt::Next => {}
            Attempt::Stop => return None,
        }
    }
    None
}

impl ZoneOption {
    /// Reads the zone that an event says, where that is how it is known.
    fn look_at(&mut self, event: &Event<'_>) -> Result<(), Failure> {
        if let ZoneOption::OfEvent { id, text, known_text, known } = self {
            text.clear();
            event.render_into(id, text)?;
            if known.is_none() || text != known_text {
                *known = Zone::parse(text);
                std::mem::swap(text, known_text);
            }
        }
        Ok(())
    }

    /// The zone that holds; none where an event says one that does not exist.
    fn known(&self) -> Option<&Zone> {
        match self {
            ZoneOption::Fixed(zone) => Some(zone),
            ZoneOption::OfEvent { known, .. } => known.as_ref(),
        }
    }
}

/// The formats, compiled. What `match` names first is the field.
fn read_formats(texts: &[String], options: &Options, home: &Zone, problems: &mut Problems) -> Vec<Format> {
    let locale = Locale::of_tag(options.text("locale").unwrap_or(&options.environment().locale));
    // Without a locale of its own, a filter whose pipeline is not English tries English names too.
    let english = (!options.is_set("locale") && !locale.is_english()).then(|| Locale::of_tag("en"));
    let now = weir_filter::host::now().div_euclid(1_000_000);
    let today = (now + home.offset_at(now)).div_euclid(DAY);
    let (year, week_year) = (date_from_days(today).0, week_of_days(today).0);
    let mut formats = Vec::with_capacity(texts.len() - 1);
    for (index, text) in texts.iter().enumerate().skip(1) {
        let pointer = format!("/match/{index}");
        match text.as_str() {
            "ISO8601" => formats.push(Format::Iso8601(LastDate::default())),
            "UNIX" => formats.push(Format::Unix),
            "UNIX_MS" => formats.push(Format::UnixMs),
            "TAI64N" => formats.push(Format::Tai64n),
            pattern => {
                let has_names = pattern.contains("MMM") || pattern.contains('E');
                for locale in [Some(&locale), english.as_ref().filter(|_| has_names)].into_iter().flatten() {
                    match Pattern::compile(pattern, locale, year, week_year) {
                        Ok(compiled) => formats.push(Format::Pattern(Box::new(compiled))),
                        Err(refused) => {
                            let (message, fix) = (refused.message, refused.fix);
                            problems.push(pointer, format!("the format {pattern:?}: {message}"), fix);
                            break;
                        }
                    }
                }
            }
        }
    }
    formats
}

fn reference(pointer: &str, text: &str, problems: &mut Problems) -> Option<FieldReference> {
    match FieldReference::parse(text) {
        Ok(reference) => Some(reference),
        Err(message) => {
            problems.push(pointer, message, "write a name, or [a][b] for a field within a field");
            None
        }
    }
}

fn zone_fix(id: &str) -> String {
    match zone::most_alike(id) {
        Some(name) => format!("did you mean {name:?}?"),
        None => "write an id such as \"Europe/Paris\" or an offset such as \"+02:00\"".to_owned(),
    }
}

/// Sets the target. A time that a timestamp does not reach (before the end of 1677 or after the beginning of 2262) is
/// set as its text, which is what an output would write of it.
fn set_time(event: &mut Event<'_>, target: Field, millis: i64) -> Result<(), Failure> {
    match millis.checked_mul(1_000_000) {
        Some(nanoseconds) => event.set(target, Value::Timestamp(nanoseconds)),
        None => event.set_any(target, timestamp_text(millis).as_str()),
    }
}

/// Logstash's text form of a timestamp: in UTC, years beyond four digits with a sign.
fn timestamp_text(millis: i64) -> String {
    let (year, month, day) = date_from_days(millis.div_euclid(DAY));
    let sign = match year {
        ..0 => "-",
        0..=9_999 => "",
        _ => "+",
    };
    let time = millis.rem_euclid(DAY);
    let (hour, minute, second) = (time / 3_600_000, time / 60_000 % 60, time / 1_000 % 60);
    format!(
        "{sign}{:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{:03}Z",
        year.unsigned_abs(),
        time % 1_000
    )
}

weir_filter::export!(Date);

#[cfg(test)]
mod tests {
    use serde_json::{Value as Json, json};
    use weir_filter::Environment;
    use weir_filter::test::run_all;

    use super::*;

    /// Every event becomes by column what it becomes when it is looked at alone: that is where a number makes its column a
    /// mixed one.
    fn check(options: &Json, values: &[Json]) {
        let mut events: Vec<Json> =
            values.iter().map(|value| json!({ "time": value, "zone": "CET" })).collect();
        events.push(json!({ "zone": "no time" }));
        let run =
            |events: &[Json]| run_all::<Date>(options, &Environment::default(), events).expect("options");
        for (event, found) in events.iter().zip(run(&events)) {
            let alone = run(&[event.clone(), json!({ "time": 1.5 })]).swap_remove(0);
            assert_eq!(format!("{found:?}"), format!("{alone:?}"), "{event} with {options}");
        }
    }

    #[test]
    fn a_batch_is_its_events() {
        let texts = [
            "2020-02-23T17:08:41Z",
            "2020-02-23T17:08:41.123+09:00",
            "2020-02-24T17:08:41.5",
            "2020-02-30T00:00:00Z",
            "2020-03-29T02:30:00",
            "2020-02-24x17:08:41Z",
            "\0\0\0\0\0\0\0\0\0\0T17:08:41Z",
            "+20150-03-04T00:00:00Z",
            "1582477721",
            "@400000",
            "",
            "24/Feb/2020",
        ];
        let texts: Vec<Json> = texts.into_iter().map(Json::from).collect();
        let mut others = texts.clone();
        others.extend([json!(12), json!(null), json!(["2020-02-23"]), json!({ "a": 1 })]);
        for formats in [
            json!(["time", "ISO8601"]),
            json!(["time", "dd/MMM/yyyy", "ISO8601", "UNIX"]),
            json!(["time", "TAI64N", "ISO8601"]),
        ] {
            for (target, zone) in [
                ("@timestamp", "Asia/Tokyo"),
                ("[a][b]", "Europe/Paris"),
                ("time", "UTC"),
                ("[time][x]", "UTC"),
                ("x", "%{zone}"),
            ] {
                let options = json!({ "match": formats, "target": target, "timezone": zone });
                check(&options, &texts);
                check(&options, &others);
            }
        }
    }
}
