//! # dissect
//!
//! Cuts a text into fields by the delimiters between them. It knows no regular expressions, which makes it the fastest way to
//! take apart lines whose parts stand in a fixed order. It is Logstash's `dissect`, version 1.3.0.
//!
//! ```toml
//! [[filter]]
//! use = "dissect"
//! mapping.message = "%{timestamp} %{level} [%{thread}] %{text}"
//! convert_datatype = { thread = "int" }
//! ```
//!
//! ## Options
//!
//! ### mapping
//! Table, `{}`. The fields to cut up, each with its pattern, see below. They are worked on in their order, so a later one
//! may use what an earlier one made. An empty pattern does nothing. `mapping.message = "%{timestamp} %{level} %{text}"`
//!
//! ### convert_datatype
//! Table, `{}`. Fields to turn into numbers afterwards, each with `int` (a whole number of any size, cut toward zero) or
//! `float` (exact: `12.50` stays `12.50`), in any letter case. `convert_datatype = { status = "int", seconds = "float" }`
//!
//! ### tag_on_failure
//! List, `["_dissectfailure"]`. The tags of an event whose text a pattern does not match; `[]` adds none.
//! `tag_on_failure = ["not_my_line"]`
//!
//! ## Patterns
//!
//! `%{name}` takes all up to the text that follows it in the pattern; the last one takes the rest. A name is a field reference:
//! `%{[http][status]}` is the field `status` in `http`; a dot is a letter like others.
//!
//! | in the pattern | meaning |
//! |---|---|
//! | `%{name}` | the part becomes the field `name`; what was there is replaced |
//! | `%{}`, `%{?name}` | the part is skipped; a name can be used by `%{&name}` |
//! | `%{+name}` | the part is appended to `name`, after the delimiter before it (a space, if there is none) |
//! | `%{+name/2}` | the same, in the order of the numbers (up to 99); no number is 0 |
//! | `%{&name}` | the part becomes the field whose name is the value of `name` |
//! | `%{name->}` | the delimiter after the part may stand there several times |
//!
//! A text before the first part must be what the field begins with. A text after the last part must be found too.
//! Nothing is stored unless the whole pattern matches. Two parts without anything between them never match.
//! A value that is no text is cut up as Ruby writes it: `1.5`, `true`, `["a", nil]`.
//!
//! ## When it fails
//!
//! The event gets the tags of `tag_on_failure` and counts as failed; nothing else is changed. So does a field that is empty
//! or null, and one whose parts cannot be stored (below a field that is no map, under a name that is no field reference):
//! then what was stored before stays, and later mappings and conversions are left out. An event without the field is left
//! alone, and counted as `missing_source`. A pattern without any part, and one with `%{+&name}`, are refused before the first
//! event.
//!
//! A field that cannot be converted keeps its value and gets the tag `_dataconversionuncoercible_<field>_<type>`, or
//! `_dataconversionnullvalue_<field>_<type>` if it is missing or null.
//!
//! `add_field`, `add_tag` and the other common options run once for each mapping that matched, before the conversions.
//!
//! As in Logstash, a delimiter at the very beginning of a text is not stepped over: `%{a},%{b}` makes of `,x` an empty `a` and
//! a `b` of `,x`. Write `,%{b}`, or `%{a->},%{b}`.
//!
//! ## Not as in Logstash
//!
//! * The exponent of a number that is converted is at most 10,000: `1e10001` is no number here.
//! * Texts of lists and maps are those of Ruby 3.4.

mod columns;
mod convert;
mod one_byte;
mod pattern;
mod scan;

use weir_filter::{
    Event, Events, Failure, Field, FieldReference, Filter, OptionDescription, OptionKind, Options, Outcome,
    Plan, Problems, RowMask, Value, java_text, options, ruby_text,
};

use columns::Cutter;
use convert::Conversion;
use pattern::{Kind, Pattern};

/// The filter.
#[derive(Debug)]
pub struct Dissect {
    mappings: Vec<Mapping>,
    conversions: Vec<Conversion>,
    /// Begin and end of the parts of the text that is worked on.
    places: Vec<(usize, usize)>,
    /// Rows on which an error ended the work; the later steps leave them alone.
    given_up: RowMask,
}

/// One entry of `mapping`: its step.
#[derive(Debug)]
struct Mapping {
    /// The field, or what is wrong with its name: an error of every event, as in Logstash.
    source: Result<Field, Failure>,
    pattern: Pattern,
    /// Cuts up whole columns; none if the mapping is not a usual one.
    cutter: Option<Cutter>,
    /// What is stored, in the order in which it is.
    stored: Vec<Stored>,
    /// What is wrong with the name of the part after those.
    illegal: Option<Failure>,
    empty: Failure,
    no_match: Failure,
}

/// A part of a pattern that is stored.
#[derive(Debug)]
struct Stored {
    /// Its place in the pattern.
    part: usize,
    /// The field of its name.
    field: Field,
    what: Kind,
    /// What stands between what is there and what is appended.
    joiner: String,
    /// The first other part with the same name.
    namesake: Option<usize>,
}

impl Filter for Dissect {
    const NAME: &'static str = "dissect";
    const VERSION: &'static str = env!("CARGO_PKG_VERSION");
    const SUMMARY: &'static str = "cuts text into fields by a pattern of delimiters";
    const MANUAL: &'static str = weir_filter::manual!();
    const OPTIONS: &'static [OptionDescription] = &[
        OptionDescription {
            name: "mapping",
            kind: OptionKind::Map,
            default: Some("{}"),
            required: false,
            doc: "The fields to cut up, each with its pattern. They are worked on in their order, so a later one may use what an earlier one made.",
            example: "mapping.message = \"%{timestamp} %{level} %{text}\"",
        },
        OptionDescription {
            name: "convert_datatype",
            kind: OptionKind::Map,
            default: Some("{}"),
            required: false,
            doc: "Fields to turn into numbers afterwards, each with `int` or `float`.",
            example: "convert_datatype = { status = \"int\", seconds = \"float\" }",
        },
        OptionDescription {
            name: "tag_on_failure",
            kind: OptionKind::List,
            default: Some("[\"_dissectfailure\"]"),
            required: false,
            doc: "Tags for an event whose text a pattern does not match. An event without the field is left alone.",
            example: "tag_on_failure = [\"not_my_line\"]",
        },
    ];

    fn configure(options: &Options, plan: &mut Plan) -> Result<Self, Problems> {
        let mut problems = Problems::new();
        let mut mappings = Vec::new();
        for (source, pattern) in options.map("mapping") {
            let pattern = options::text_of(pattern);
            // An empty pattern says nothing, as in Logstash.
            if pattern.is_empty() {
                continue;
            }
            match Mapping::new(source, &pattern, plan) {
                Ok(mapping) => mappings.push(mapping),
                Err(message) => {
                    let fix =
                        "write %{name} for each part that is to become a field, with the text between them";
                    problems.push(options::pointer(&["mapping", source]), message, fix);
                }
            }
        }
        let mut conversions = Vec::new();
        for (name, number_type) in options.map("convert_datatype") {
            match Conversion::new(name, &options::text_of(number_type), plan) {
                Ok(conversion) => conversions.push(conversion),
                Err((message, fix)) => {
                    problems.push(options::pointer(&["convert_datatype", name]), message, fix)
                }
            }
        }
        plan.failure_tags(&options.texts("tag_on_failure"));
        // The common options run after each mapping, and before the conversions.
        plan.steps(mappings.len() as u32 + u32::from(!conversions.is_empty()));
        problems.into_result(Dissect {
            mappings,
            conversions,
            places: Vec::new(),
            given_up: RowMask::default(),
        })
    }

    fn filter(&mut self, event: &mut Event<'_>) -> Result<Outcome, Failure> {
        self.filter_step(0, event)
    }

    fn filter_step(&mut self, step: u32, event: &mut Event<'_>) -> Result<Outcome, Failure> {
        let step = step as usize;
        if step == 0 {
            self.given_up.remove(event.row());
        } else if self.given_up.contains(event.row()) {
            return Ok(Outcome::Ignored);
        }
        let Some(mapping) = self.mappings.get(step) else {
            return convert::convert_all(&self.conversions, event);
        };
        mapping.dissect(event, &mut self.places, &mut self.given_up)
    }

    fn filter_batch(&mut self, step: u32, events: &mut Events<'_>) {
        let mapping = self.mappings.get(step as usize);
        if step == 0 {
            self.given_up = RowMask::none(events.len());
        }
        let cut = match mapping.and_then(|mapping| mapping.cutter.as_ref()) {
            Some(cutter) if self.given_up.is_empty() => cutter.run(events),
            _ => return events.for_each(|event| self.filter_step(step, event)),
        };
        events.for_each_other(&cut, |event| self.filter_step(step, event));
    }
}

weir_filter::export!(Dissect);

impl Mapping {
    fn new(source: &str, text: &str, plan: &mut Plan) -> Result<Self, String> {
        let pattern = Pattern::parse(text)?;
        // The order in which parts are stored; those that are equal keep the pattern's.
        let rank = |part: &pattern::Part| match part.kind {
            Kind::Skip | Kind::Plain => (0, 0),
            Kind::Append => (1, part.order),
            Kind::Indirect => (2, 0),
        };
        let mut parts: Vec<(usize, &pattern::Part)> =
            pattern.parts.iter().enumerate().filter(|(_, part)| part.kind != Kind::Skip).collect();
        parts.sort_by_key(|(_, part)| rank(part));
        let mut stored = Vec::with_capacity(parts.len());
        let mut illegal = None;
        for (index, part) in parts {
            let reference = match FieldReference::parse(&part.name) {
                Ok(reference) => reference,
                Err(message) => {
                    illegal = Some(Failure::new(message));
                    break;
                }
            };
            let field = match part.kind {
                Kind::Append => plan.read_write_whole(&reference),
                Kind::Indirect => {
                    plan.everything_read();
                    plan.everything_written();
                    plan.read_whole(&reference)
                }
                Kind::Plain | Kind::Skip => plan.write(&reference),
            };
            let before = if index == 0 { &pattern.leading } else { &part.delimiter };
            let joiner = if before.is_empty() { " " } else { before };
            let namesake = pattern
                .parts
                .iter()
                .enumerate()
                .position(|(other, each)| other != index && each.name == part.name);
            stored.push(Stored { part: index, field, what: part.kind, joiner: joiner.to_owned(), namesake });
        }
        let source_field =
            FieldReference::parse(source).map(|reference| plan.read_whole(&reference)).map_err(Failure::new);
        let cutter = match (&source_field, &illegal) {
            (Ok(source), None) => {
                let stored: Vec<(usize, Field)> =
                    stored.iter().map(|stored| (stored.part, stored.field)).collect();
                Cutter::new(*source, &pattern, &stored)
            }
            _ => None,
        };
        Ok(Mapping {
            source: source_field,
            cutter,
            stored,
            illegal,
            empty: Failure::new(format!("{source} is empty")),
            no_match: Failure::new(format!("the pattern of {source} does not match")),
            pattern,
        })
    }

    fn dissect(
        &self,
        event: &mut Event<'_>,
        places: &mut Vec<(usize, usize)>,
        given_up: &mut RowMask,
    ) -> Result<Outcome, Failure> {
        let made;
        let source = match &self.source {
            Ok(source) => *source,
            Err(failure) => return give_up(failure, event, given_up),
        };
        let text = match event.text(source) {
            Some(text) => text,
            None => match event.get(source) {
                Some(other) => {
                    made = ruby_text::text_of(other);
                    &made
                }
                None => {
                    event.count("missing_source", 1);
                    return Ok(Outcome::Ignored);
                }
            },
        };
        if text.is_empty() {
            return Err(self.empty.clone());
        }
        if !self.pattern.cut(text, places) {
            return Err(self.no_match.clone());
        }
        for stored in &self.stored {
            let (start, end) = places[stored.part];
            let value = &text[start..end];
            let field = stored.field;
            let result = match stored.what {
                Kind::Skip | Kind::Plain => event.set_any(field, value),
                Kind::Append => append(event, field, &stored.joiner, value),
                Kind::Indirect => {
                    let name = stored.namesake.map_or("", |part| &text[places[part].0..places[part].1]);
                    set_indirect(event, field, name, value)
                }
            };
            if let Err(failure) = result {
                given_up.insert(event.row());
                return Err(failure);
            }
        }
        match &self.illegal {
            None => Ok(Outcome::Matched),
            Some(failure) => give_up(failure, event, given_up),
        }
    }
}

/// Fails, and no more work is done on this event.
#[cold]
fn give_up(failure: &Failure, event: &Event<'_>, given_up: &mut RowMask) -> Result<Outcome, Failure> {
    given_up.insert(event.row());
    Err(failure.clone())
}

fn append(event: &mut Event<'_>, field: Field, joiner: &str, value: &str) -> Result<(), Failure> {
    let before = match event.get(field) {
        None => return event.set_any(field, value),
        Some(Value::Null) => return Err(Failure::new("a part cannot be appended to a null")),
        Some(before) => before,
    };
    let mut joined = String::new();
    java_text::write(before, &mut joined);
    joined.push_str(joiner);
    joined.push_str(value);
    event.set_any(field, &joined)
}

/// Stores a part under the name that the event has in `field`, or else under `name`.
fn set_indirect(event: &mut Event<'_>, field: Field, name: &str, value: &str) -> Result<(), Failure> {
    let mut key = String::new();
    match event.get(field) {
        None => key.push_str(name),
        Some(there) => java_text::write(there, &mut key),
    }
    if key.is_empty() {
        return Ok(());
    }
    let reference =
        FieldReference::parse(&key).map_err(|_| Failure::new("a part's name is no field reference"))?;
    let field = event.field(&reference)?;
    event.set_any(field, value)
}
