//! # local-time
//!
//! Writes a time as text in a named time zone: the local day for the name of an index, say. It does in a sandbox what
//! pipelines of Logstash use a `ruby` filter for.
//!
//! ```toml
//! [[filter]]
//! use = "local-time"
//! source = "@timestamp"
//! target = "[@metadata][local_time]"
//! format = "%Y-%m-%d"
//! timezone = "Asia/Tokyo"
//! ```
//!
//! An event whose `@timestamp` is 2020-02-23T17:08:41Z gets `2020-02-24`, for it is past midnight in Tokyo.
//!
//! ## Options
//!
//! ### source
//! Text, `"@timestamp"`. The field that holds the time: a timestamp, or a text such as `2020-02-23T17:08:41.123Z` (in UTC, if
//! it names no offset). `source = "[event][start]"`
//!
//! ### target
//! Text, required. The field that gets the text. `target = "[@metadata][local_time]"`
//!
//! ### format
//! Text, `"%Y-%m-%d"`. How the time is written, see below. `format = "%Y.%m.%d"`
//!
//! ### timezone
//! Text, required. The zone, by its id in the tz database. An offset alone is none, as it knows no summer time.
//! `timezone = "Asia/Tokyo"`
//!
//! ### tag_on_failure
//! List, `["_localtimefailure"]`. The tags of an event whose source is no time; `[]` adds none.
//! `tag_on_failure = ["no_local_day"]`
//!
//! ## Format
//!
//! | directive | writes |
//! |---|---|
//! | `%Y` `%C` `%y` | year, century, year of the century |
//! | `%m` `%b` `%h` `%B` | month: 02, Feb, Feb, February |
//! | `%d` `%e` `%j` | day: 05, with a blank ` 5`; day of the year 036 |
//! | `%a` `%A` `%u` `%w` | weekday: Sun, Sunday; 1 (Monday) to 7; 0 (Sunday) to 6 |
//! | `%G` `%g` `%V` | year of ISO weeks, its last two digits, ISO week |
//! | `%U` `%W` | week of the year, from the first Sunday or Monday on |
//! | `%H` `%k` `%I` `%l` | hour: 00 to 23, with a blank; 01 to 12, with a blank |
//! | `%M` `%S` `%p` `%P` | minute, second, AM or PM, am or pm |
//! | `%L` `%N` `%3N` `%6N` `%9N` | fraction of the second: milliseconds, nanoseconds, so many digits, cut |
//! | `%z` `%:z` `%Z` | offset +0900, +09:00; the zone's abbreviation, JST |
//! | `%s` | seconds since 1970-01-01T00:00:00Z |
//! | `%F` `%D` `%T` `%R` `%r` | `%Y-%m-%d`, `%m/%d/%y`, `%H:%M:%S`, `%H:%M`, `%I:%M:%S %p` |
//! | `%n` `%t` `%%` | line feed, tab, percent sign |
//!
//! Between the percent sign and the letter may stand `-` (no padding: `%-m` is 2), `0` or `_` (padded with zeros or blanks)
//! and `^` (capitals: `%^b` is FEB). Names are English. Any other directive is refused before the first event.
//!
//! ## When it fails
//!
//! An event that lacks the source is left alone. If the source is no time (a number, a null, another text), or the target
//! lies below a field that is no map, the event gets the tags of `tag_on_failure` and counts as failed; the pipeline's
//! `on_error` decides what becomes of it.
//!
//! ## Not as in Logstash
//!
//! Logstash has no such filter; its pipelines have code:
//!
//! ```ruby
//! ruby { code => "event.set('[@metadata][local_time]', event.get('@timestamp').time.localtime.strftime('%Y-%m-%d'))" }
//! ```
//!
//! * `localtime` takes the zone of the machine, silently another one on another machine; `localtime('+09:00')` knows no
//!   summer time. Here the zone always has a name.
//! * An event without a timestamp raises in ruby and is tagged `_rubyexception`; here it is left alone.
//! * What ruby's code may do besides (files, network, any other field) this filter cannot.

mod calendar;
mod directives;
mod writer;

use chrono_tz::{TZ_VARIANTS, Tz};
use weir_filter::options::did_you_mean;
use weir_filter::{
    Column, Event, Events, Failure, Field, FieldReference, Filter, OptionDescription, OptionKind, Options,
    Outcome, Plan, Problems, RowMask, Texts, Value, timestamp,
};

use crate::writer::Writer;

/// The local-time filter.
#[derive(Debug)]
pub struct LocalTime {
    source: Field,
    target: Field,
    writer: Writer,
}

impl Filter for LocalTime {
    const NAME: &'static str = "local-time";
    const VERSION: &'static str = env!("CARGO_PKG_VERSION");
    const SUMMARY: &'static str =
        "writes a time as text in a named time zone, such as the local day for an index's name";
    const MANUAL: &'static str = weir_filter::manual!();
    const OPTIONS: &'static [OptionDescription] = &[
        OptionDescription {
            name: "source",
            kind: OptionKind::Text,
            default: Some("\"@timestamp\""),
            required: false,
            doc: "The field that holds the time: a timestamp, or a text in ISO 8601.",
            example: "source = \"[event][start]\"",
        },
        OptionDescription {
            name: "target",
            kind: OptionKind::Text,
            default: None,
            required: true,
            doc: "The field that gets the text.",
            example: "target = \"[@metadata][local_time]\"",
        },
        OptionDescription {
            name: "format",
            kind: OptionKind::Text,
            default: Some("\"%Y-%m-%d\""),
            required: false,
            doc: "How the time is written: directives of `strftime`.",
            example: "format = \"%Y.%m.%d\"",
        },
        OptionDescription {
            name: "timezone",
            kind: OptionKind::Text,
            default: None,
            required: true,
            doc: "The zone, by its id in the tz database.",
            example: "timezone = \"Asia/Tokyo\"",
        },
        OptionDescription {
            name: "tag_on_failure",
            kind: OptionKind::List,
            default: Some("[\"_localtimefailure\"]"),
            required: false,
            doc: "The tags of an event whose source is no time.",
            example: "tag_on_failure = [\"no_local_day\"]",
        },
    ];

    fn configure(options: &Options, plan: &mut Plan) -> Result<Self, Problems> {
        let mut problems = Problems::new();
        let source = reference(options, "source", &mut problems);
        let target = reference(options, "target", &mut problems);
        if let Some(target) = &target
            && matches!(target.fragments(), [only] if only == "@timestamp" || only == "@metadata")
        {
            let message = format!("the target {target} cannot hold a text");
            problems.push("/target", message, "name another field, for example [@metadata][local_time]");
        }
        let parts = match directives::compile(options.text("format").unwrap_or_default()) {
            Ok(parts) => parts,
            Err(refused) => {
                problems.push("/format", refused.message, refused.fix);
                Vec::new()
            }
        };
        let id = options.text("timezone").unwrap_or_default();
        let zone = id.parse().unwrap_or_else(|_| {
            problems.push("/timezone", format!("the time zone {id:?} is not known"), zone_fix(id));
            Tz::UTC
        });
        plan.failure_tags(&options.texts("tag_on_failure"));
        let (Some(source), Some(target)) = (source, target) else { return Err(problems) };
        let writer = Writer::new(parts, zone);
        problems.into_result(LocalTime { source: plan.read(&source), target: plan.write(&target), writer })
    }

    fn filter(&mut self, event: &mut Event<'_>) -> Result<Outcome, Failure> {
        let nanoseconds = match event.get(self.source) {
            None => return Ok(Outcome::Ignored),
            Some(Value::Timestamp(nanoseconds)) => nanoseconds,
            Some(Value::Text(text)) => timestamp::parse(text)
                .ok_or_else(|| Failure::new("the text of the source is no time in ISO 8601"))?,
            Some(_) => return Err(Failure::new("the source is no time")),
        };
        let seconds = nanoseconds.div_euclid(timestamp::SECOND);
        let text = self.writer.write(seconds, nanoseconds.rem_euclid(timestamp::SECOND));
        event.set(self.target, text)?;
        Ok(Outcome::Matched)
    }

    fn filter_batch(&mut self, step: u32, events: &mut Events<'_>) {
        let set = self.set_timestamps(events);
        events.for_each_other(&set, |event| self.filter_step(step, event));
    }
}

/// The length that says that a row has no text.
const NO_TEXT: u32 = u32::MAX;

impl LocalTime {
    /// Sets the target by column in the rows whose source is a timestamp, and answers them.
    fn set_timestamps(&mut self, events: &mut Events<'_>) -> RowMask {
        let rows = events.len();
        let Some(Column::Timestamp(times)) = events.column(self.source) else { return RowMask::none(rows) };
        if !events.is_independent(self.target, Value::Text("")) {
            return RowMask::none(rows);
        }
        let mut set = match times.present.is_empty() {
            true => RowMask::all(rows),
            false => RowMask::from_bytes(times.present.clone(), rows),
        };
        let mut texts = Texts { starts: vec![0; rows], lens: vec![NO_TEXT; rows] };
        // What was written last, and when it says the same.
        let (mut start, mut length, mut alike) = (0, 0, 0..0);
        for (row, nanoseconds) in times.values.iter().enumerate() {
            if !set.contains(row) {
                continue;
            }
            if !alike.contains(nanoseconds) {
                let (seconds, rest) =
                    (nanoseconds.div_euclid(timestamp::SECOND), nanoseconds.rem_euclid(timestamp::SECOND));
                let text = self.writer.write(seconds, rest);
                let Ok(place) = events.place(text) else {
                    set.remove(row);
                    continue;
                };
                (start, length, alike) = (place, text.len() as u32, self.writer.alike());
            }
            texts.starts[row] = start;
            texts.lens[row] = length;
        }
        if !set.is_empty() {
            events.set_column(self.target, Column::Text(texts));
        }
        set
    }
}

fn reference(options: &Options, name: &str, problems: &mut Problems) -> Option<FieldReference> {
    let text = options.text(name)?;
    match FieldReference::parse(text) {
        Ok(reference) => Some(reference),
        Err(message) => {
            let fix = "write a name, or [a][b] for a field within a field";
            problems.push(format!("/{name}"), message, fix);
            None
        }
    }
}

fn zone_fix(id: &str) -> String {
    let wanted = id.replace(' ', "_");
    let names = || TZ_VARIANTS.iter().map(|zone| zone.name());
    let city = |name: &str| name.rsplit('/').next().unwrap_or(name).to_ascii_lowercase();
    let alike = names()
        .find(|name| name.eq_ignore_ascii_case(&wanted))
        .or_else(|| names().find(|name| city(name) == city(&wanted)))
        .or_else(|| did_you_mean(&wanted, names()));
    match alike {
        Some(name) => format!("did you mean {name:?}?"),
        None => {
            "write the id of a zone, such as \"Asia/Tokyo\" or \"UTC\"; an offset alone is none".to_owned()
        }
    }
}

weir_filter::export!(LocalTime);

#[cfg(test)]
mod tests {
    use serde_json::{Value as Json, json};
    use weir_filter::Environment;
    use weir_filter::test::run_all;

    use super::*;

    /// Every event becomes by column what it becomes when it is looked at alone: that is where a text makes its column a
    /// mixed one.
    fn check(options: &Json, events: &[Json]) {
        let run = |events: &[Json]| {
            run_all::<LocalTime>(options, &Environment::default(), events).expect("options")
        };
        for (event, found) in events.iter().zip(run(events)) {
            let alone = run(&[event.clone(), json!({ "@timestamp": "no time" })]).swap_remove(0);
            assert_eq!(format!("{found:?}"), format!("{alone:?}"), "{event} with {options}");
        }
    }

    #[test]
    fn a_batch_is_its_events() {
        let times = [
            "2020-02-23T14:59:59.999Z",
            "2020-02-23T15:00:00.000Z",
            "2020-02-23T14:59:59.999999999Z",
            "1969-12-31T23:59:59.999999999Z",
            "1677-09-21T00:12:44.000Z",
            "2262-04-11T23:47:16.854Z",
            "2020-03-29T00:59:59.000Z",
            "2020-03-29T01:00:00.000Z",
        ];
        let mut events: Vec<Json> =
            times.iter().map(|time| json!({ "@timestamp": time, "a": "x" })).collect();
        for with_gap in [false, true] {
            if with_gap {
                events.insert(2, json!({ "a": "no time" }));
            }
            for zone in ["Asia/Tokyo", "Europe/Paris", "UTC"] {
                for format in ["%Y-%m-%d", "%F %T.%N %Z", "%H", "a day"] {
                    for target in ["[@metadata][day]", "day", "a", "[a][b]"] {
                        check(&json!({ "target": target, "format": format, "timezone": zone }), &events);
                    }
                }
            }
        }
    }
}
