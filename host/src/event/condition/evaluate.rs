//! What a condition says of rows: Logstash's rules, parity 2 §4 of the project's facts.

use std::borrow::Cow;
use std::cmp::Ordering;

use serde_json::Value as Json;
use weir_filter::{Value, float_text, ruby_text};

use super::columns::Column;
use super::{Comparison, Condition, Expression, Operand};
use crate::event::fields::{Found, json_of};
use crate::event::{Batch, RowSet};

/// Which rows a condition holds on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Selection {
    /// Those on which it holds.
    pub holds: RowSet,
    /// Those on which it cannot be decided, ascending, and why, in words that begin as Logstash's.
    pub undecided: Vec<(usize, String)>,
}

impl Condition {
    /// Decides for each of `rows`.
    pub fn select(&self, batch: &Batch, rows: &RowSet) -> Selection {
        let mut selection = Selection { holds: RowSet::none(batch.rows()), undecided: Vec::new() };
        if rows.is_empty() {
            return selection;
        }
        let evaluation = Evaluation::new(self, batch);
        for row in rows.iter() {
            match evaluation.holds(&self.expression, row) {
                Ok(true) => selection.holds.insert(row),
                Ok(false) => {}
                Err(reason) => {
                    selection.undecided.push((row, format!("condition evaluation error, {reason}")))
                }
            }
        }
        selection
    }
}

/// Whether the condition holds on a row.
///
/// # Errors
/// When two values cannot be compared, or a pattern takes too many steps; the message says why.
pub fn evaluate(condition: &Condition, batch: &Batch, row: usize) -> Result<bool, String> {
    Evaluation::new(condition, batch).holds(&condition.expression, row)
}

/// A condition's fields, found in a batch.
struct Evaluation<'a> {
    columns: Vec<Column<'a>>,
}

impl<'a> Evaluation<'a> {
    fn new(condition: &'a Condition, batch: &'a Batch) -> Self {
        Evaluation { columns: condition.fields.iter().map(|field| Column::new(batch, field)).collect() }
    }

    fn holds(&self, expression: &Expression, row: usize) -> Result<bool, String> {
        Ok(match expression {
            Expression::And(left, right) => self.holds(left, row)? && self.holds(right, row)?,
            Expression::Or(left, right) => self.holds(left, row)? || self.holds(right, row)?,
            Expression::Nand(left, right) => !(self.holds(left, row)? && self.holds(right, row)?),
            Expression::Xor(left, right) => self.holds(left, row)? != self.holds(right, row)?,
            Expression::Not(inner) => !self.holds(inner, row)?,
            Expression::Truth(operand) => self.is_true(operand, row),
            Expression::Compare(left, Comparison::Equal, right) => self.equal(left, right, row),
            Expression::Compare(left, Comparison::Unequal, right) => !self.equal(left, right, row),
            Expression::Compare(left, comparison, right) => self.ordered(left, *comparison, right, row)?,
            Expression::In(left, right) => self.within(left, right, row),
            Expression::Matches(operand, pattern) => match operand {
                Operand::Text(text) => pattern.is_match(text)?,
                Operand::Field(field) => match self.text(*field, row) {
                    Some(text) => pattern.is_match(&text)?,
                    None => false,
                },
                _ => false,
            },
        })
    }

    #[inline]
    fn get(&self, field: usize, row: usize) -> Option<Found<'a>> {
        self.columns.get(field)?.get(row)
    }

    fn whole(&self, field: usize, row: usize) -> Option<Json> {
        self.columns.get(field)?.whole(row)
    }

    /// The field's text, if it is one; a timestamp is none.
    fn text(&self, field: usize, row: usize) -> Option<Cow<'a, str>> {
        match self.get(field, row)? {
            Found::Value(Value::Text(text)) => Some(Cow::Borrowed(text)),
            Found::Element(Json::String(text)) => Some(Cow::Owned(text)),
            _ => None,
        }
    }

    /// A lone value: missing, null, `false`, empty text and the text `false` are false, all else is true.
    fn is_true(&self, operand: &Operand, row: usize) -> bool {
        match operand {
            Operand::Text(text) => is_true_text(text),
            Operand::Integer(_) | Operand::Float(_) | Operand::List(_) => true,
            Operand::Field(field) => match self.get(*field, row) {
                None | Some(Found::Value(Value::Null | Value::Boolean(false))) => false,
                Some(Found::Value(Value::Text(text))) => is_true_text(text),
                Some(Found::Element(Json::Null | Json::Bool(false))) => false,
                Some(Found::Element(Json::String(text))) => is_true_text(&text),
                Some(_) => true,
            },
        }
    }

    /// `==`: values of different kinds are never equal, a timestamp equals no text, and both missing are equal.
    fn equal(&self, left: &Operand, right: &Operand, row: usize) -> bool {
        match (left, right) {
            (Operand::Field(left), Operand::Field(right)) => self.same(*left, *right, row),
            (Operand::Field(field), constant) | (constant, Operand::Field(field)) => {
                let Some(constant) = scalar(constant) else { return false };
                match self.get(*field, row) {
                    None => false,
                    Some(Found::Value(value)) => equals_constant(value, constant),
                    Some(Found::Element(json)) => same_json(&json, &constant.json()),
                }
            }
            (left, right) => match (scalar(left), scalar(right)) {
                (Some(left), Some(right)) => same_json(&left.json(), &right.json()),
                _ => false,
            },
        }
    }

    /// Two fields, maps and lists with all that is in them.
    fn same(&self, left: usize, right: usize, row: usize) -> bool {
        let is_timestamp = |found: &Found<'_>| matches!(found, Found::Value(Value::Timestamp(_)));
        match (self.get(left, row), self.get(right, row)) {
            (None, None) => true,
            (None, _) | (_, None) => false,
            (Some(Found::Value(Value::Text(left))), Some(Found::Value(Value::Text(right)))) => left == right,
            (Some(first), Some(second)) if is_timestamp(&first) != is_timestamp(&second) => false,
            _ => match (self.whole(left, row), self.whole(right, row)) {
                (Some(left), Some(right)) => same_json(&left, &right),
                _ => false,
            },
        }
    }

    fn ordered(
        &self,
        left: &Operand,
        comparison: Comparison,
        right: &Operand,
        row: usize,
    ) -> Result<bool, String> {
        // Logstash asks the field for its order, on whichever side it stands, and of two fields the left one.
        let is_mirrored = matches!(right, Operand::Field(_)) && !matches!(left, Operand::Field(_));
        let (first, second) = if is_mirrored { (right, left) } else { (left, right) };
        let ordering = match (self.orderable(first, row), self.orderable(second, row)) {
            (Orderable::Missing, _) => return Err(self.missing(first)),
            (Orderable::Unordered(what), _) | (_, Orderable::Unordered(what)) => {
                return Err(format!("{what} cannot be compared with < or >"));
            }
            (Orderable::Indifferent, _) => Some(Ordering::Equal),
            (_, Orderable::Missing) => return Err(self.missing(second)),
            (_, Orderable::Indifferent) => {
                return Err(
                    "a null, boolean or timestamp on the right cannot be compared with < or >".to_owned()
                );
            }
            (Orderable::Integer(left), Orderable::Integer(right)) => Some(left.cmp(&right)),
            (Orderable::Integer(left), Orderable::Float(right)) => (left as f64).partial_cmp(&right),
            (Orderable::Float(left), Orderable::Integer(right)) => left.partial_cmp(&(right as f64)),
            (Orderable::Float(left), Orderable::Float(right)) => left.partial_cmp(&right),
            (Orderable::Text(left), Orderable::Text(right)) => Some(left.as_bytes().cmp(right.as_bytes())),
            (Orderable::Text(_), _) | (_, Orderable::Text(_)) => {
                return Err("a text cannot be compared with a number; convert the field first".to_owned());
            }
        };
        let ordering = if is_mirrored { ordering.map(Ordering::reverse) } else { ordering };
        Ok(ordering.is_some_and(|ordering| match comparison {
            Comparison::Less => ordering.is_lt(),
            Comparison::LessOrEqual => ordering.is_le(),
            Comparison::Greater => ordering.is_gt(),
            Comparison::GreaterOrEqual => ordering.is_ge(),
            Comparison::Equal => ordering.is_eq(),
            Comparison::Unequal => ordering.is_ne(),
        }))
    }

    fn missing(&self, operand: &Operand) -> String {
        let reference = match operand {
            Operand::Field(field) => self.columns.get(*field).map(|column| column.reference().to_string()),
            _ => None,
        };
        let reference = reference.unwrap_or_else(|| "a field".to_owned());
        format!("{reference} is missing and cannot be compared; ask first whether it is there")
    }

    fn orderable<'o>(&self, operand: &'o Operand, row: usize) -> Orderable<'o>
    where
        'a: 'o,
    {
        let Operand::Field(field) = operand else {
            return match scalar(operand) {
                Some(Constant::Text(text)) => Orderable::Text(Cow::Borrowed(text)),
                Some(Constant::Integer(value)) => Orderable::Integer(value),
                Some(Constant::Float(value)) => Orderable::Float(value),
                None => Orderable::Unordered("a list"),
            };
        };
        let json = match self.get(*field, row) {
            None => return Orderable::Missing,
            Some(Found::Value(Value::Text(text))) => return Orderable::Text(Cow::Borrowed(text)),
            Some(Found::Value(Value::Integer(value))) => return Orderable::Integer(value),
            Some(Found::Value(Value::Timestamp(_))) => return Orderable::Indifferent,
            Some(Found::Value(value)) => json_of(value),
            Some(Found::Element(json)) => json,
        };
        match json {
            Json::Null | Json::Bool(_) => Orderable::Indifferent,
            Json::String(text) => Orderable::Text(Cow::Owned(text)),
            Json::Array(_) => Orderable::Unordered("a list"),
            Json::Object(_) => Orderable::Unordered("a map"),
            Json::Number(number) => match number.as_i64() {
                Some(value) => Orderable::Integer(value),
                None => number.as_f64().map_or(Orderable::Unordered("a number"), Orderable::Float),
            },
        }
    }

    /// `in`: the table of parity 2 §4.
    fn within(&self, left: &Operand, right: &Operand, row: usize) -> bool {
        match (left, right) {
            (Operand::Field(field), Operand::List(elements)) => self.is_listed(*field, elements, row),
            (Operand::Field(left), Operand::Field(right)) => self.field_within(*left, *right, row),
            (Operand::Field(field), constant) => match (self.text(*field, row), scalar(constant)) {
                (Some(text), Some(constant)) => constant.printed().contains(&*text),
                _ => false,
            },
            (Operand::Text(_) | Operand::Integer(_) | Operand::Float(_), Operand::Field(field)) => {
                scalar(left).is_some_and(|constant| self.constant_within(constant, *field, row))
            }
            // Constants on both sides are compared whole: `"a" in "abc"` and `"a" in ["a", "b"]` are false, as in Logstash.
            (left, right) => same_constants(left, right),
        }
    }

    /// Whether the field's value, printed, is one of the list's printed elements.
    fn is_listed(&self, field: usize, elements: &[Operand], row: usize) -> bool {
        let printed = match self.get(field, row) {
            None => return false,
            Some(Found::Value(Value::Text(text))) => Cow::Borrowed(text),
            Some(Found::Value(Value::Integer(value))) => {
                // Whole numbers print alike when they are equal, and only then.
                return elements.iter().any(|element| match element {
                    Operand::Integer(other) => *other == value,
                    Operand::Text(text) => *text == value.to_string(),
                    _ => false,
                });
            }
            Some(Found::Value(_)) => match self.whole(field, row) {
                Some(json) => Cow::Owned(printed(&json)),
                None => return false,
            },
            Some(Found::Element(json)) => Cow::Owned(printed(&json)),
        };
        elements.iter().any(|element| match element {
            Operand::Text(text) => *text == printed,
            other => printed_constant(other) == printed,
        })
    }

    fn field_within(&self, left: usize, right: usize, row: usize) -> bool {
        match (self.whole(left, row), self.whole(right, row)) {
            (None | Some(Json::Array(_) | Json::Object(_)), _) | (_, None) => false,
            (Some(left), Some(Json::Array(elements))) => {
                elements.iter().any(|element| same_json(element, &left))
            }
            (Some(Json::String(left)), Some(Json::String(right))) => right.contains(&left),
            (Some(left), Some(right)) => same_json(&left, &right),
        }
    }

    fn constant_within(&self, constant: Constant<'_>, field: usize, row: usize) -> bool {
        match (self.get(field, row), constant) {
            (Some(Found::Value(Value::Text(text))), Constant::Text(constant)) => text.contains(constant),
            (Some(Found::Element(Json::String(text))), Constant::Text(constant)) => text.contains(constant),
            (Some(Found::Value(Value::Json(_)) | Found::Element(_)), constant) => {
                let constant = constant.json();
                let elements = self.whole(field, row);
                let elements = elements.as_ref().and_then(Json::as_array);
                elements.is_some_and(|elements| elements.iter().any(|element| same_json(element, &constant)))
            }
            _ => false,
        }
    }
}

fn is_true_text(text: &str) -> bool {
    !text.is_empty() && text != "false"
}

/// What `<` and its like see of a value.
enum Orderable<'o> {
    Missing,
    Integer(i64),
    Float(f64),
    Text(Cow<'o, str>),
    /// Null, booleans and timestamps: equal to anything, where they are asked.
    Indifferent,
    Unordered(&'static str),
}

/// A constant of a condition.
#[derive(Clone, Copy)]
enum Constant<'o> {
    Text(&'o str),
    Integer(i64),
    Float(f64),
}

/// A list constant counts as its first text or number only.
fn scalar(operand: &Operand) -> Option<Constant<'_>> {
    match operand {
        Operand::Text(text) => Some(Constant::Text(text)),
        Operand::Integer(value) => Some(Constant::Integer(*value)),
        Operand::Float(value) => Some(Constant::Float(*value)),
        Operand::List(elements) => elements.iter().find_map(scalar),
        Operand::Field(_) => None,
    }
}

impl<'o> Constant<'o> {
    fn json(self) -> Json {
        match self {
            Constant::Text(text) => Json::from(text),
            Constant::Integer(value) => Json::from(value),
            Constant::Float(value) => Json::from(value),
        }
    }

    fn printed(self) -> Cow<'o, str> {
        match self {
            Constant::Text(text) => Cow::Borrowed(text),
            Constant::Integer(value) => Cow::Owned(value.to_string()),
            Constant::Float(value) => Cow::Owned(printed_constant(&Operand::Float(value))),
        }
    }
}

/// Whether a field's value is the constant; a whole number and a fraction differ.
#[inline]
fn equals_constant(value: Value<'_>, constant: Constant<'_>) -> bool {
    match (value, constant) {
        (Value::Text(text), Constant::Text(other)) => text == other,
        (Value::Integer(value), Constant::Integer(other)) => value == other,
        (Value::Float(value), Constant::Float(other)) => value == other,
        (Value::Json(_), constant) => same_json(&json_of(value), &constant.json()),
        _ => false,
    }
}

/// Deep equality in which a whole number and a fraction differ.
fn same_json(left: &Json, right: &Json) -> bool {
    match (left, right) {
        (Json::Number(left), Json::Number(right)) => match (left.as_i64(), right.as_i64()) {
            (Some(left), Some(right)) => left == right,
            // Beyond 64 bits, whole numbers are told apart by their digits.
            (None, None) => match [left, right].map(|number| number.as_str().contains(['.', 'e', 'E'])) {
                [false, false] => left == right,
                [true, true] => left.as_f64() == right.as_f64(),
                _ => false,
            },
            _ => false,
        },
        (Json::Array(left), Json::Array(right)) => {
            left.len() == right.len() && left.iter().zip(right).all(|(left, right)| same_json(left, right))
        }
        (Json::Object(left), Json::Object(right)) => {
            left.len() == right.len()
                && left
                    .iter()
                    .all(|(key, member)| right.get(key).is_some_and(|other| same_json(member, other)))
        }
        _ => left == right,
    }
}

/// Constants of the same kind with the same value; lists with the same elements.
fn same_constants(left: &Operand, right: &Operand) -> bool {
    match (left, right) {
        (Operand::Text(left), Operand::Text(right)) => left == right,
        (Operand::Integer(left), Operand::Integer(right)) => left == right,
        (Operand::Float(left), Operand::Float(right)) => left == right,
        (Operand::List(left), Operand::List(right)) => {
            left.len() == right.len()
                && left.iter().zip(right).all(|(left, right)| same_constants(left, right))
        }
        _ => false,
    }
}

/// As Logstash prints a value of an event: a fraction as Ruby does, a map as Java, a list with the name of its class (so
/// none is ever equal to one that is written in a condition), null as nothing.
fn printed(json: &Json) -> String {
    match json {
        Json::Array(elements) => {
            let elements: Vec<String> = elements.iter().map(printed).collect();
            format!("ConvertedList{{delegate=[{}]}}", elements.join(", "))
        }
        Json::Object(members) => {
            let members: Vec<String> =
                members.iter().map(|(key, member)| format!("{key}={}", printed(member))).collect();
            format!("{{{}}}", members.join(", "))
        }
        scalar => {
            let mut text = String::new();
            if let Some(scalar) = ruby_text::scalar_of_json(scalar) {
                ruby_text::write(scalar, &mut text);
            }
            text
        }
    }
}

/// The same of a constant, whose fractions are Java's.
fn printed_constant(constant: &Operand) -> String {
    match constant {
        Operand::Text(text) => text.clone(),
        Operand::Integer(value) => value.to_string(),
        Operand::Float(value) => {
            let mut text = String::new();
            float_text::write_java(*value, &mut text);
            text
        }
        Operand::List(elements) => {
            let elements: Vec<String> = elements.iter().map(printed_constant).collect();
            format!("[{}]", elements.join(", "))
        }
        Operand::Field(_) => String::new(),
    }
}
