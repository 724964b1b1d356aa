//! The mutate filter: renames, converts, replaces, splits, joins, merges and copies fields. This module reads the
//! options into lists of operations; what each does is in `operation`, what `gsub` does in `substitution`.

mod convert;
mod number;
mod operation;
mod ruby;
mod substitution;
mod text;

use serde_json::Value as Json;
use weir_filter::options::{pointer, text_of};
use weir_filter::{
    Event, Events, Failure, FieldReference, Filter, OptionDescription, OptionKind, Options, Outcome, Plan,
    Problems, RowMask,
};

use crate::convert::Type;
use crate::operation::{LetterCase, Name, Operation, name};
use crate::substitution::Substitutions;

/// The mutate filter.
pub struct Mutate {
    /// What runs before `gsub`.
    before: Vec<Operation>,
    substitutions: Substitutions,
    /// What runs after it; without `gsub`, nothing.
    after: Vec<Operation>,
}

impl Filter for Mutate {
    const NAME: &'static str = "mutate";
    const VERSION: &'static str = env!("CARGO_PKG_VERSION");
    const SUMMARY: &'static str = "Renames, converts, replaces, splits, joins, merges and copies fields";
    const MANUAL: &'static str = include_str!("manual.md");
    const OPTIONS: &'static [OptionDescription] = OPTIONS;

    fn configure(options: &Options, plan: &mut Plan) -> Result<Self, Problems> {
        let mut problems = Problems::new();
        if let Some(mode) = options.text("ecs_compatibility")
            && !is_ecs_mode(mode)
        {
            let message =
                format!("ecs_compatibility must be disabled or a version such as v8, but is {mode:?}");
            problems.push("/ecs_compatibility", message, "it changes nothing in mutate; leave it out");
        }
        let tag = options.text("tag_on_failure").unwrap_or("_mutate_error");
        plan.failure_tags(&[tag.to_owned()]);
        let mut before = first_operations(options, plan, &mut problems);
        let substitutions = Substitutions::read(options, plan, &mut problems);
        let mut after = last_operations(options, plan);
        if substitutions.is_empty() {
            before.append(&mut after);
        }
        problems.into_result(Mutate { before, substitutions, after })
    }

    fn filter(&mut self, event: &mut Event<'_>) -> Result<Outcome, Failure> {
        run_all(&self.before, event)
    }

    fn filter_batch(&mut self, step: u32, events: &mut Events<'_>) {
        if !self.substitutions.is_empty() {
            self.filter_with_substitutions(events);
        } else if self.before.is_empty() {
            let all = RowMask::all(events.len());
            events.matched(&all);
        } else {
            events.for_each(|event| self.filter_step(step, event));
        }
    }
}

impl Mutate {
    /// `gsub` works on all events at once, the operations before and after it on one after the other.
    fn filter_with_substitutions(&mut self, events: &mut Events<'_>) {
        let mut failures: Vec<Option<Failure>> = (0..events.len())
            .map(|row| events.event(row, |event| run_all(&self.before, event)).err())
            .collect();
        self.substitutions.run(events, &mut failures);
        for (row, failure) in failures.into_iter().enumerate() {
            let result = match failure {
                Some(failure) => Err(failure),
                None => events.event(row, |event| run_all(&self.after, event)),
            };
            events.settle(row, result);
        }
    }
}

fn run_all(operations: &[Operation], event: &mut Event<'_>) -> Result<Outcome, Failure> {
    for operation in operations {
        operation.run(event)?;
    }
    Ok(Outcome::Matched)
}

weir_filter::export!(Mutate);

const OPTIONS: &[OptionDescription] = &[
    table("coerce", "Fields that get a value where they are null", "coerce = { user = \"unknown\" }"),
    table(
        "rename",
        "Old and new names of fields; both are templates",
        "rename = { host = \"[host][name]\" }",
    ),
    table(
        "update",
        "Values, as templates, for fields that exist",
        "update = { message = \"%{source}: %{message}\" }",
    ),
    table("replace", "Values, as templates, for fields", "replace = { type = \"app_%{environment}\" }"),
    table(
        "convert",
        "Types of fields: string, integer, float, boolean, integer_eu, float_eu",
        "convert = { bytes = \"integer\" }",
    ),
    list(
        "gsub",
        "Fields, patterns and replacements, three by three: what matches in a text is replaced",
        "gsub = [\"path\", \"/\", \"_\", \"message\", \"[\\\\?#-]\", \".\"]",
    ),
    list("uppercase", "Fields whose texts become upper case", "uppercase = [\"method\"]"),
    list(
        "capitalize",
        "Fields whose texts begin with a capital, the rest in lower case",
        "capitalize = [\"name\"]",
    ),
    list("lowercase", "Fields whose texts become lower case", "lowercase = [\"[url][domain]\"]"),
    list("strip", "Fields whose texts lose the white space around them", "strip = [\"message\"]"),
    table("split", "Separators at which texts become lists", "split = { hosts = \",\" }"),
    table("join", "Separators with which lists become texts", "join = { hosts = \", \" }"),
    table(
        "merge",
        "Fields, and what is appended to them: a field or a list of fields",
        "merge = { all = [\"a\", \"b\"] }",
    ),
    table("copy", "Fields, and the fields that get a copy", "copy = { message = \"[event][original]\" }"),
    OptionDescription {
        name: "tag_on_failure",
        kind: OptionKind::Text,
        default: Some("\"_mutate_error\""),
        required: false,
        doc: "The tag of an event on which an operation fails",
        example: "tag_on_failure = \"not_a_number\"",
    },
    OptionDescription {
        name: "ecs_compatibility",
        kind: OptionKind::Text,
        default: None,
        required: false,
        doc: "Changes nothing in this filter",
        example: "ecs_compatibility = \"v8\"",
    },
];

const fn table(name: &'static str, doc: &'static str, example: &'static str) -> OptionDescription {
    OptionDescription { name, kind: OptionKind::Map, default: None, required: false, doc, example }
}

const fn list(name: &'static str, doc: &'static str, example: &'static str) -> OptionDescription {
    OptionDescription { name, kind: OptionKind::List, default: None, required: false, doc, example }
}

/// `disabled`, or `v` and a number of one or two digits.
fn is_ecs_mode(text: &str) -> bool {
    let version = text.strip_prefix('v').unwrap_or("");
    text == "disabled" || matches!(version.as_bytes(), [b'1'..=b'9'] | [b'1'..=b'9', b'0'..=b'9'])
}

/// The operations that are set and run before `gsub`, in Logstash's order.
fn first_operations(options: &Options, plan: &mut Plan, problems: &mut Problems) -> Vec<Operation> {
    let mut operations = Vec::new();
    for (field, value) in options.map("coerce") {
        operations
            .push(Operation::Coerce(name(plan, field, Plan::read_write), plan.template(&text_of(value))));
    }
    for (old, new) in options.map("rename") {
        let old = rename_name(plan, old, Plan::read_write_whole);
        operations.push(Operation::Rename(old, rename_name(plan, &text_of(new), Plan::write_whole)));
    }
    for (field, value) in options.map("update") {
        operations
            .push(Operation::Update(name(plan, field, Plan::read_write), plan.template(&text_of(value))));
    }
    for (field, value) in options.map("replace") {
        operations.push(Operation::Replace(name(plan, field, Plan::write), plan.template(&text_of(value))));
    }
    for (field, to) in options.map("convert") {
        match Type::of_option(&text_of(to)) {
            Some(to) => operations.push(Operation::Convert(name(plan, field, Plan::read_write), to)),
            None => problems.push(
                pointer(&["convert", field]),
                format!("{field} cannot be converted to {to}"),
                format!("the types are {}", Type::NAMES.join(", ")),
            ),
        }
    }
    operations
}

/// Those that run after it.
fn last_operations(options: &Options, plan: &mut Plan) -> Vec<Operation> {
    let mut operations = Vec::new();
    let letter_cases: [(&str, LetterCase); 3] =
        [("uppercase", text::uppercase), ("capitalize", text::capitalize), ("lowercase", text::lowercase)];
    for (option, change) in letter_cases {
        for field in options.texts(option) {
            operations.push(Operation::Case(name(plan, &field, Plan::read_write), change));
        }
    }
    for field in options.texts("strip") {
        operations.push(Operation::Strip(name(plan, &field, Plan::read_write)));
    }
    for (field, separator) in options.map("split") {
        let separator = separator.as_str().map(ToOwned::to_owned);
        operations.push(Operation::Split(name(plan, field, Plan::read_write), separator));
    }
    for (field, separator) in options.map("join") {
        let separator = separator.as_str().map(ToOwned::to_owned);
        operations.push(Operation::Join(name(plan, field, Plan::read_write), separator));
    }
    for (into, sources) in options.map("merge") {
        let sources = match sources {
            Json::Array(list) => list.iter().map(text_of).collect(),
            one => vec![text_of(one)],
        };
        let sources = sources.iter().map(|source| name(plan, source, Plan::read_whole)).collect();
        operations.push(Operation::Merge(name(plan, into, Plan::read_write_whole), sources));
    }
    for (from, to) in options.map("copy") {
        let to = name(plan, &text_of(to), Plan::write_whole);
        operations.push(Operation::Copy(name(plan, from, Plan::read_whole), to));
    }
    operations
}

/// A name that depends on the event may be any field's.
fn rename_name(
    plan: &mut Plan,
    text: &str,
    declare: fn(&mut Plan, &FieldReference) -> weir_filter::Field,
) -> Name {
    if !text.contains("%{") {
        return Name::Fixed(name(plan, text, declare));
    }
    plan.everything_read();
    plan.everything_written();
    Name::Template(plan.template(text))
}
