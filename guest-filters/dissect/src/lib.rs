//! The dissect filter: cuts a text into fields by a pattern of delimiters, as Logstash's does.

mod convert;
mod pattern;
mod scan;

use weir_filter::{
    Event, Failure, Field, FieldReference, Filter, OptionDescription, OptionKind, Options, Outcome, Plan,
    Problems, RowMask, Value, float_text, options, template,
};

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
    source: Field,
    pattern: Pattern,
    /// What is stored, in the order in which it is.
    stored: Vec<Stored>,
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
    const MANUAL: &'static str = include_str!("../manual.md");
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
            example: "tag_on_failure = [\"_dissectfailure\"]",
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
            return Ok(convert::convert_all(&self.conversions, event));
        };
        mapping.dissect(event, &mut self.places, &mut self.given_up)
    }
}

weir_filter::export!(Dissect);

impl Mapping {
    fn new(source: &str, text: &str, plan: &mut Plan) -> Result<Self, String> {
        let pattern = Pattern::parse(text)?;
        let mut stored = Vec::new();
        for (index, part) in pattern.parts.iter().enumerate() {
            if part.kind == Kind::Skip {
                continue;
            }
            let reference = FieldReference::parse(&part.name)?;
            let field = match part.kind {
                Kind::Append => plan.read_write(&reference),
                Kind::Indirect => {
                    plan.everything_read();
                    plan.everything_written();
                    plan.read(&reference)
                }
                Kind::Plain | Kind::Skip => plan.write(&reference),
            };
            let joiner = if part.delimiter.is_empty() { " " } else { &part.delimiter };
            let namesake = pattern
                .parts
                .iter()
                .enumerate()
                .position(|(other, each)| other != index && each.name == part.name);
            stored.push(Stored { part: index, field, what: part.kind, joiner: joiner.to_owned(), namesake });
        }
        stored.sort_by_key(|stored| match stored.what {
            Kind::Skip | Kind::Plain => (0, 0),
            Kind::Append => (1, pattern.parts[stored.part].order),
            Kind::Indirect => (2, 0),
        });
        let source = FieldReference::parse(source)?;
        Ok(Mapping {
            source: plan.read(&source),
            stored,
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
        let text = match event.text(self.source) {
            Some(text) => text,
            None => match event.get(self.source) {
                Some(other) => {
                    made = ruby_text(other);
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
            let result = match stored.what {
                Kind::Skip | Kind::Plain => event.set_any(stored.field, value),
                Kind::Append => append(event, stored, value),
                Kind::Indirect => {
                    let name = stored.namesake.map_or("", |part| &text[places[part].0..places[part].1]);
                    set_indirect(event, stored.field, name, value)
                }
            };
            if let Err(failure) = result {
                given_up.insert(event.row());
                return Err(failure);
            }
        }
        Ok(Outcome::Matched)
    }
}

fn append(event: &mut Event<'_>, stored: &Stored, value: &str) -> Result<(), Failure> {
    let before = match event.get(stored.field) {
        None => return event.set_any(stored.field, value),
        Some(Value::Null) => return Err(Failure::new("a part cannot be appended to a null")),
        Some(Value::Object) => return Err(Failure::new("a part cannot be appended to a map")),
        Some(before) => before,
    };
    let mut joined = String::new();
    template::write_value(before, &mut joined);
    joined.push_str(&stored.joiner);
    joined.push_str(value);
    event.set_any(stored.field, &joined)
}

/// Stores a part under the name that the event has in `field`, or else under `name`.
fn set_indirect(event: &mut Event<'_>, field: Field, name: &str, value: &str) -> Result<(), Failure> {
    let mut key = String::new();
    match event.get(field) {
        None => key.push_str(name),
        Some(Value::Null) => key.push_str("null"),
        Some(there) => template::write_value(there, &mut key),
    }
    if key.is_empty() {
        return Ok(());
    }
    let reference =
        FieldReference::parse(&key).map_err(|_| Failure::new("a part's name is no field reference"))?;
    let field = event.field(&reference);
    event.set_any(field, value)
}

/// A value that is no text, as Ruby writes it.
fn ruby_text(value: Value<'_>) -> String {
    let mut text = String::new();
    match value {
        Value::Float(value) => float_text::write_ruby(value, &mut text),
        Value::Json(json) => match weir_filter::Decimal::parse(json) {
            Some(decimal) if json.contains(['.', 'e', 'E']) => text = decimal.ruby_text(),
            _ => text.push_str(json),
        },
        // An empty text is a failure.
        Value::Object => {}
        other => template::write_value(other, &mut text),
    }
    text
}
