//! # geoip
//!
//! Adds what an address database (MaxMind's format, `.mmdb`) knows of an IP address: place, country, network, provider. It
//! is Logstash's `geoip`, version 8.0.0.
//!
//! ```toml
//! [[filter]]
//! use = "geoip"
//! source = "client_ip"
//! target = "geoip"
//! database = "GeoLite2-City.mmdb"
//! ```
//!
//! The file is read once for the whole pipeline and opened anew when it is replaced. Its kind is told by the type inside it:
//! City, Country, Domain, ASN, ISP, Enterprise, Anonymous-IP.
//!
//! ## Options
//!
//! ### source
//! Text, required. The field with the address: a text with an IPv4 or IPv6 address, or a list, of which the first element counts.
//! `source = "client_ip"`
//!
//! ### target
//! Text; `geoip`. The field that gets what is found. With `ecs_compatibility` on it is `source` without its last fragment if that is `[ip]`, as in
//! `[client][ip]`; otherwise it must be set. What is there already stays; values of the same name are overwritten.
//! `target = "geoip"`
//!
//! ### database
//! Text, required. The file, relative to the pipeline file. MaxMind gives GeoLite2 databases away to anyone with a free account;
//! `geoipupdate` keeps them up to date. `database = "GeoLite2-City.mmdb"`
//!
//! ### fields
//! List; those marked below. The values to take, in any letter case. Unknown names are refused; what the kind of database
//! does not have is passed over. `fields = ["city_name", "location"]`
//!
//! | name | field below the target | with ECS | default for |
//! |---|---|---|---|
//! | `IP` | `ip` | `ip` | all but Domain and Anonymous-IP |
//! | `CITY_NAME` | `city_name` | `[geo][city_name]` | City, Enterprise |
//! | `COUNTRY_NAME` | `country_name` | `[geo][country_name]` | City, Country, Enterprise |
//! | `CONTINENT_CODE` | `continent_code` | `[geo][continent_code]` | City |
//! | `CONTINENT_NAME` | `continent_name` | `[geo][continent_name]` | Country, Enterprise |
//! | `COUNTRY_CODE2` | `country_code2` | `[geo][country_iso_code]` | City, Country, Enterprise |
//! | `COUNTRY_CODE3` (two letters, as in Logstash) | `country_code3` | | City |
//! | `POSTAL_CODE` | `postal_code` | `[geo][postal_code]` | City |
//! | `DMA_CODE` | `dma_code` | `[mmdb][dma_code]` | City |
//! | `REGION_NAME` | `region_name` | `[geo][region_name]` | City, Enterprise |
//! | `REGION_CODE` | `region_code` | `[geo][region_code]` | City without ECS |
//! | `REGION_ISO_CODE` | `region_iso_code` | `[geo][region_iso_code]` | City with ECS, Enterprise |
//! | `TIMEZONE` | `timezone` | `[geo][timezone]` | City |
//! | `LOCATION` | `[location][lat]`, `[location][lon]` | `[geo][location][lat]`, `[geo][location][lon]` | City, Enterprise |
//! | `LATITUDE`, `LONGITUDE` | `latitude`, `longitude` | `[geo][location][lat]`, `[geo][location][lon]` | City |
//! | `AUTONOMOUS_SYSTEM_NUMBER` | `asn` | `[as][number]` | ASN, ISP |
//! | `AUTONOMOUS_SYSTEM_ORGANIZATION` | `as_org` | `[as][organization][name]` | ASN, ISP |
//! | `ISP`, `ORGANIZATION` | `isp`, `organization` | `[mmdb][isp]`, `[mmdb][organization]` | ISP |
//! | `NETWORK` | `network` | `[ip_traits][network]` | |
//! | `HOSTING_PROVIDER`, `TOR_EXIT_NODE`, `ANONYMOUS_VPN`, `ANONYMOUS`, `PUBLIC_PROXY`, `RESIDENTIAL_PROXY` | the same in lower case | the same, in `[ip_traits]` | Anonymous-IP |
//! | `DOMAIN` | `domain` | `domain` | Domain |
//!
//! ### tag_on_failure
//! List, `["_geoip_lookup_failure"]`. The tags of an event whose address was not found.
//! `tag_on_failure = ["src_geoip_lookup_failure"]`
//!
//! ### ecs_compatibility
//! Choice of `disabled`, `v1` and `v8`; the pipeline's. Decides the names of the fields. `ecs_compatibility = "v8"`
//!
//! ### default_database_type
//! Choice, `"City"`. `City` or `ASN`. Taken for Logstash's sake, where it only matters to managed databases.
//! `default_database_type = "ASN"`
//!
//! ### cache_size
//! Number, `1000`. Taken for Logstash's sake: Weir's cache belongs to the database and is shared. `cache_size = 10000`
//!
//! ## When it fails
//!
//! A missing, null or blank source, an address that is not in the database (private ones are in none), or one without any
//! of the wanted values: the event gets the tags of `tag_on_failure`, and the common options do not run. The target becomes
//! an empty map if there was an address and no target yet. A City record without latitude and longitude counts as not found,
//! as in Logstash. This is not an error.
//!
//! It is one, with the same tags, and `on_error` decides, if the source is neither a text nor a list that begins with one,
//! or the target would lie below a text or number.
//!
//! ## Not as in Logstash
//!
//! * There is no managed database and no download: `database` must be set.
//! * A source that is no address is never looked up in the DNS. Zones of IPv6 addresses are read if they are numbers (`%1`).
//! * A record is taken as far as it fits: Logstash finds nothing in one that has a text where a map belongs, say. A Domain
//!   record without a domain counts as not found, where Logstash stores a null.

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
    const SUMMARY: &'static str = "adds what an address database knows of an address";
    const MANUAL: &'static str = weir_filter::manual!();
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
