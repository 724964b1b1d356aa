//! The geoip filter: adds what an address database knows of an address. This module reads the options; what each kind
//! of database has is in `kind`, a batch is worked on in `lookup`. The database itself is the host's.

mod columns;
mod kind;
mod lookup;

use weir_filter::addresses::Database;
use weir_filter::host::{self, Level};
use weir_filter::{
    Event, Events, Failure, FieldReference, Filter, OptionDescription, OptionKind, Options, Outcome, Plan,
    Problems,
};

use crate::kind::{GeoField, Kind};
use crate::lookup::Lookup;

/// The geoip filter.
pub struct Geoip {
    lookup: Lookup,
}

impl Filter for Geoip {
    const NAME: &'static str = "geoip";
    const VERSION: &'static str = env!("CARGO_PKG_VERSION");
    const SUMMARY: &'static str = "Adds what an address database knows of an address";
    const MANUAL: &'static str = include_str!("manual.md");
    const OPTIONS: &'static [OptionDescription] = OPTIONS;

    fn configure(options: &Options, plan: &mut Plan) -> Result<Self, Problems> {
        let mut problems = Problems::new();
        let ecs = options.text("ecs_compatibility").unwrap_or(&options.environment().ecs_compatibility)
            != "disabled";
        let source = read_reference("source", options.text("source").unwrap_or(""), &mut problems);
        let target = read_target(options, &source, ecs, &mut problems);
        let requested = read_fields(options, &mut problems);
        if options.number("cache_size").is_some_and(|size| size < 1.0) {
            problems.push(
                "/cache_size",
                "cache_size must be a number above 0",
                "leave it out: Weir's cache is its own",
            );
        }
        let database = open_database(options, &mut problems);
        let (Some((database, kind)), true) = (database, problems.is_empty()) else { return Err(problems) };
        let fields = if requested.is_empty() { kind.default_fields(ecs) } else { requested };
        let tags = options.texts("tag_on_failure");
        plan.failure_tags(&tags);
        Ok(Geoip { lookup: Lookup::new(database, kind, &source, &target, &fields, ecs, tags, plan) })
    }

    /// One event alone; the host always sends whole batches.
    fn filter(&mut self, _event: &mut Event<'_>) -> Result<Outcome, Failure> {
        Err(Failure::new("geoip works on batches"))
    }

    fn filter_batch(&mut self, _step: u32, events: &mut Events<'_>) {
        self.lookup.run(events);
    }
}

weir_filter::export!(Geoip);

const OPTIONS: &[OptionDescription] = &[
    OptionDescription {
        name: "source",
        kind: OptionKind::Text,
        default: None,
        required: true,
        doc: "The field with the address: a text, or a list of which the first counts",
        example: r#"source = "client_ip""#,
    },
    OptionDescription {
        name: "target",
        kind: OptionKind::Text,
        default: None,
        required: false,
        doc: "The field below which the values are put: `geoip`, or with ECS what `source` lies in",
        example: r#"target = "geoip""#,
    },
    OptionDescription {
        name: "database",
        kind: OptionKind::Text,
        default: None,
        // Its own message says how to get one.
        required: false,
        doc: "The database file, relative to the pipeline file",
        example: r#"database = "GeoLite2-City.mmdb""#,
    },
    OptionDescription {
        name: "default_database_type",
        kind: OptionKind::Choice(&["City", "ASN"]),
        default: Some(r#""City""#),
        required: false,
        doc: "Only matters to Logstash's managed databases",
        example: r#"default_database_type = "ASN""#,
    },
    OptionDescription {
        name: "fields",
        kind: OptionKind::List,
        default: None,
        required: false,
        doc: "The values to add; by default those of the database's kind",
        example: r#"fields = ["city_name", "location"]"#,
    },
    OptionDescription {
        name: "cache_size",
        kind: OptionKind::Number,
        default: Some("1000"),
        required: false,
        doc: "Taken for Logstash's sake: Weir's cache belongs to the database",
        example: "cache_size = 10000",
    },
    OptionDescription {
        name: "tag_on_failure",
        kind: OptionKind::List,
        default: Some(r#"["_geoip_lookup_failure"]"#),
        required: false,
        doc: "The tags of an event whose address was not found",
        example: r#"tag_on_failure = ["src_geoip_lookup_failure"]"#,
    },
    OptionDescription {
        name: "ecs_compatibility",
        kind: OptionKind::Choice(&["disabled", "v1", "v8"]),
        default: None,
        required: false,
        doc: "Whether fields have ECS names; the pipeline's unless set",
        example: r#"ecs_compatibility = "v8""#,
    },
];

const DATABASE_FIX: &str = "there is no managed database: get a GeoLite2 file with a free account at maxmind.com, and \
    write for example database = \"GeoLite2-City.mmdb\"";

fn open_database(options: &Options, problems: &mut Problems) -> Option<(Database, Kind)> {
    let Some(path) = options.text("database") else {
        problems.push("", "the option database is missing", DATABASE_FIX);
        return None;
    };
    let database = match Database::open(path) {
        Ok(database) => database,
        Err(message) => {
            problems.push("/database", format!("{path} cannot be opened: {message}"), "");
            return None;
        }
    };
    let database_type = database.kind();
    let Some(kind) = Kind::of_database_type(&database_type) else {
        let message =
            format!("{path} is a database of the type {database_type:?}, which geoip does not know");
        let fix = "it knows City, Country, Domain, ASN, ISP, Enterprise and Anonymous-IP databases";
        problems.push("/database", message, fix);
        return None;
    };
    Some((database, kind))
}

fn read_fields(options: &Options, problems: &mut Problems) -> Vec<GeoField> {
    let mut fields = Vec::new();
    for name in options.texts("fields") {
        match GeoField::of_option(&name) {
            Some(field) if !fields.contains(&field) => fields.push(field),
            Some(_) => {}
            None => {
                let names: Vec<&str> = GeoField::option_names().collect();
                problems.push(
                    "/fields",
                    format!("unknown field {name:?}"),
                    format!("the fields are {}", names.join(", ")),
                );
            }
        }
    }
    fields
}

/// The target that is set, or its default.
fn read_target(
    options: &Options,
    source: &FieldReference,
    ecs: bool,
    problems: &mut Problems,
) -> FieldReference {
    if let Some(target) = options.text("target") {
        return read_reference("target", target, problems);
    }
    if !ecs {
        return FieldReference::from_fragments(["geoip"]);
    }
    match source.fragments() {
        [parents @ .., last] if last == "ip" && !parents.is_empty() => {
            if !["client", "destination", "host", "observer", "server", "source"]
                .contains(&parents[0].as_str())
            {
                let message = format!("ECS has no place for geo fields in {source}");
                host::log(Level::Warn, &message);
            }
            FieldReference::from_fragments(parents)
        }
        _ => {
            problems.push(
                "",
                "with ecs_compatibility, geoip needs a target unless its source ends in [ip] below a field",
                "for example: target = \"[client]\"",
            );
            FieldReference::from_fragments(["geoip"])
        }
    }
}

fn read_reference(option: &str, text: &str, problems: &mut Problems) -> FieldReference {
    FieldReference::parse(text).unwrap_or_else(|message| {
        problems.push(format!("/{option}"), message, "write name, or [a][b]");
        FieldReference::from_fragments([text])
    })
}
