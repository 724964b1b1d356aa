//! # mutate
//!
//! Changes fields: renames, converts, replaces, splits, joins, merges and copies them. It is Logstash's `mutate`, version
//! 3.6.0.
//!
//! However they are written, the operations run in this order: `coerce`, `rename`, `update`, `replace`, `convert`, `gsub`,
//! `uppercase`, `capitalize`, `lowercase`, `strip`, `split`, `join`, `merge`, `copy`. Inside one operation the entries run
//! as they are written. The common options (`add_field`, `remove_field`, `add_tag`, `remove_tag`) come last. To have
//! another order, write several filters.
//!
//! ```toml
//! [[filter]]
//! use = "mutate"
//! rename = { client = "[source][ip]" }
//! convert = { bytes = "integer", took = "float" }
//! lowercase = ["method"]
//! remove_field = ["message"]
//! ```
//!
//! With no operation, only common options, the filter reads nothing and costs next to nothing.
//!
//! ## Options
//!
//! Fields are named by field references: `name`, or `[a][b]`; `[list][0]` and `[list][-1]` lead into lists. An option
//! that takes a table also takes a flat list of names and values; one that takes a list also takes a single value. No
//! option has a value unless it is set.
//!
//! ### coerce
//! Table of field and default value. A field that exists and is null gets the value, as text; a missing one stays missing.
//! The value is a template (`%{other}`). `coerce = { user = "unknown" }`
//!
//! ### rename
//! Table of old and new name. The new field is overwritten if it exists; a missing old one changes nothing. Both names are
//! templates. If the new field cannot be set, the value is lost, as in Logstash. `rename = { host = "[host][name]" }`
//!
//! ### update
//! Table of field and value. Sets the field, as text, only if it exists. The value is a template.
//! `update = { message = "%{source}: %{message}" }`
//!
//! ### replace
//! Table of field and value. Sets the field, as text, whether it exists or not. The value is a template.
//! `replace = { type = "app_%{environment}" }`
//!
//! ### convert
//! Table of field and type: `string`, `integer`, `float`, `boolean`, `integer_eu`, `float_eu` (with `.` between thousands
//! and a decimal `,`). `convert = { bytes = "integer" }`
//!
//! * Missing fields, nulls and maps stay as they are. Of a list every element is converted, or none.
//! * Texts may hold white space around the number, commas, an exponent, underscores between digits, or `0x` and
//!   hexadecimal digits. `integer` cuts toward zero and has no upper bound (but 4,096 digits). A text that is no number is an
//!   error. True and false become 1 and 0.
//! * `boolean` takes `true`, `t`, `yes`, `y`, `1`, `1.0` and `false`, `f`, `no`, `n`, `0`, `0.0`, in any letter case, and
//!   the empty text as false. Anything else stays as it is.
//!
//! ### gsub
//! List of field, regular expression and replacement, three by three. In a text, and in each text of a list, everything that
//! the expression matches is replaced; other values stay. `gsub = ["path", "/", "_", "message", "[\\?#-]", "."]`
//!
//! * The expression is in Ruby's dialect: `^` and `$` stand at every line, `(?m)` lets the dot match line feeds, `\h` is a
//!   hexadecimal digit, `\w`, `\d` and `\s` are ASCII and `[[:alpha:]]` and `\p{…}` are not; look-around, references, atomic
//!   groups, `[a-z&&[^x]]` and the rest are there.
//! * In the replacement `\1` to `\9` are groups, `\0` or `\&` the whole match, `\k<name>` a named group, `` \` `` and `\'` what
//!   stands before and after the match, `\\` a backslash. A group that took no part is nothing; a name that there is not is an
//!   error. Where groups have names, those without do not capture, and `\1` is nothing.
//! * The replacement is a template. So is the expression if it holds `%{`: it is then made for each event, as it is and not
//!   escaped, and one that is none is an error of that event. In TOML a backslash is doubled in `"…"` and not in `'…'`.
//! * All entries run in the order in which they are written, each on what the ones before it left.
//! * A search that takes too many steps is an error of that event.
//!
//! ### uppercase
//! List of fields. Texts, and texts in a list, become upper case, by Unicode's rules (`ß` becomes `SS`); anything else stays.
//! `uppercase = ["method"]`
//!
//! ### capitalize
//! List of fields. Texts, and texts in a list, begin with a capital and go on in lower case. `capitalize = ["name"]`
//!
//! ### lowercase
//! List of fields. Texts, and texts in a list, become lower case. `lowercase = ["[url][domain]"]`
//!
//! ### strip
//! List of fields. Takes ASCII white space (and NUL) from both ends of a text, or of each text in a list. A list that holds anything else
//! is an error. `strip = ["message"]`
//!
//! ### split
//! Table of field and separator. Makes a list of a text; empty parts at the end are dropped. A single space stands for
//! runs of white space, an empty separator cuts between all characters. `split = { hosts = "," }`
//!
//! ### join
//! Table of field and separator. Makes a text of a list. `join = { hosts = ", " }`
//!
//! ### merge
//! Table of field and field, or list of fields. Appends the second to the first: lists are joined, single values become
//! lists of one, a map takes over the members of a map. A map and something else do not mix: nothing happens. With
//! several sources and a first field that is no list, only the last source is appended, as in Logstash.
//! `merge = { all = ["a", "b"] }`
//!
//! ### copy
//! Table of field and new field. A null or a missing field copies nothing. `copy = { message = "[event][original]" }`
//!
//! ### tag_on_failure
//! Text, `"_mutate_error"`. The tag of an event on which an operation fails. `tag_on_failure = "not_a_number"`
//!
//! ### ecs_compatibility
//! Text. Changes nothing in this filter; Logstash has it everywhere. `ecs_compatibility = "v8"`
//!
//! ## When it fails
//!
//! An operation fails if a value cannot be converted, if a field would lie below a text or number, if `@timestamp` would
//! get something that is no timestamp, `tags` something that is no text or list of texts, if a field reference or a date
//! pattern in a template is illegal, or if `gsub` cannot replace. What was done before stays, the rest is not done, the event
//! gets the tag of `tag_on_failure`, and the pipeline's `on_error` decides what becomes of it.
//!
//! ## Not as in Logstash
//!
//! * `gsub` refuses what Ruby has and Weir has not, by name: the call of a group (`\g<name>`), the absent operator (`(?~…)`),
//!   references with a level (`\k<name+1>`), names of blocks (`\p{InGreek}`), and expressions that are too long (16 KiB) or too
//!   large when their repetitions are written out. In any letter case `ß` is `ss` and `ﬁ` is `fi`, but not inside look-behind
//!   or across a quantifier (`s{2}`). JRuby's mistakes with `(?i)[^é]` and `(?i)[[:upper:]]` are not repeated.
//! * `gsub` gives up a search after a million steps and 16 for each byte of the text; a text may become an eighth of the memory
//!   limit long. Logstash has no bounds there.
//! * A timestamp inside a map that is renamed, copied or merged as a whole becomes its text.
//! * A list is not filled up beyond a million elements, and a number not beyond 4,096 digits: that is an error.
//! * Texts of lists and maps inside lists (`convert` to `string`, `join`) are those of Ruby 3.4.

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
    const SUMMARY: &'static str = "renames, converts, replaces, splits, joins, merges and copies fields";
    const MANUAL: &'static str = weir_filter::manual!();
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
