//! The local-time filter: writes a time in a named zone. It takes the place of the `ruby` filter that names an index by
//! the local day. This file is the filter itself; the format is left to `directives`, the text to `writer`.

mod calendar;
mod directives;
mod writer;

use chrono_tz::{TZ_VARIANTS, Tz};
use weir_filter::options::did_you_mean;
use weir_filter::{
    Event, Failure, Field, FieldReference, Filter, OptionDescription, OptionKind, Options, Outcome, Plan,
    Problems, Value, timestamp,
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
    const MANUAL: &'static str = include_str!("manual.md");
    const OPTIONS: &'static [OptionDescription] = &[
        OptionDescription {
            name: "source",
            kind: OptionKind::Text,
            default: Some("\"@timestamp\""),
            required: false,
            doc: "The field that holds the time: a timestamp, or a text in ISO 8601.",
            example: "source = \"@timestamp\"",
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
            example: "format = \"%Y-%m-%d\"",
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
            example: "tag_on_failure = [\"_localtimefailure\"]",
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
