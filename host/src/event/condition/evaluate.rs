//! What a condition says of a row: Logstash's rules, parity 2 §4 of the project's facts.

use std::cmp::Ordering;

use serde_json::Value as Json;
use weir_filter::{FieldReference, Value};

use super::{Comparison, Condition, Expression, Operand};
use crate::event::Batch;
use crate::event::fields::{Found, get, json_of, whole};

/// Whether the condition holds on a row.
///
/// # Errors
/// When two values cannot be compared, or a pattern takes too many steps; the message says why.
pub fn evaluate(condition: &Condition, batch: &Batch, row: usize) -> Result<bool, String> {
    holds(&condition.expression, batch, row)
}

fn holds(expression: &Expression, batch: &Batch, row: usize) -> Result<bool, String> {
    Ok(match expression {
        Expression::And(left, right) => holds(left, batch, row)? && holds(right, batch, row)?,
        Expression::Or(left, right) => holds(left, batch, row)? || holds(right, batch, row)?,
        Expression::Nand(left, right) => !(holds(left, batch, row)? && holds(right, batch, row)?),
        Expression::Xor(left, right) => holds(left, batch, row)? != holds(right, batch, row)?,
        Expression::Not(inner) => !holds(inner, batch, row)?,
        Expression::Truth(operand) => is_true(operand, batch, row),
        Expression::Compare(left, Comparison::Equal, right) => equal(left, right, batch, row),
        Expression::Compare(left, Comparison::Unequal, right) => !equal(left, right, batch, row),
        Expression::Compare(left, comparison, right) => ordered(left, *comparison, right, batch, row)?,
        Expression::In(left, right) => within(left, right, batch, row),
        Expression::Matches(operand, pattern) => match operand {
            Operand::Text(text) => pattern.is_match(text)?,
            Operand::Field(reference) => match get(batch, row, reference) {
                Some(Found::Value(Value::Text(text))) => pattern.is_match(text)?,
                Some(Found::Element(Json::String(text))) => pattern.is_match(&text)?,
                _ => false,
            },
            _ => false,
        },
    })
}

/// A lone value: missing, null, `false`, empty text and the text `false` are false, all else is true.
fn is_true(operand: &Operand, batch: &Batch, row: usize) -> bool {
    match operand {
        Operand::Text(text) => is_true_text(text),
        Operand::Integer(_) | Operand::Float(_) | Operand::List(_) => true,
        Operand::Field(reference) => match get(batch, row, reference) {
            None | Some(Found::Value(Value::Null | Value::Boolean(false))) => false,
            Some(Found::Value(Value::Text(text))) => is_true_text(text),
            Some(Found::Element(Json::Null | Json::Bool(false))) => false,
            Some(Found::Element(Json::String(text))) => is_true_text(&text),
            Some(_) => true,
        },
    }
}

fn is_true_text(text: &str) -> bool {
    !text.is_empty() && text != "false"
}

/// `==`: values of different kinds are never equal, a timestamp equals no text, and both missing are equal.
fn equal(left: &Operand, right: &Operand, batch: &Batch, row: usize) -> bool {
    match (left, right) {
        (Operand::Field(left), Operand::Field(right)) => same(batch, row, left, right),
        (Operand::Field(field), constant) | (constant, Operand::Field(field)) => {
            let Some(constant) = scalar(constant) else { return false };
            match (get(batch, row, field), constant) {
                (Some(Found::Value(Value::Text(text))), Json::String(other)) => text == other,
                (Some(Found::Value(Value::Timestamp(_))), _) => false,
                (Some(Found::Value(value)), other) => same_json(&json_of(value), &other),
                (Some(Found::Element(json)), other) => same_json(&json, &other),
                (None, _) => false,
            }
        }
        (left, right) => match (scalar(left), scalar(right)) {
            (Some(left), Some(right)) => same_json(&left, &right),
            _ => false,
        },
    }
}

/// A list constant counts as its first text or number only.
fn scalar(operand: &Operand) -> Option<Json> {
    match operand {
        Operand::Text(text) => Some(Json::from(text.as_str())),
        Operand::Integer(value) => Some(Json::from(*value)),
        Operand::Float(value) => Some(Json::from(*value)),
        Operand::List(elements) => elements.iter().find_map(scalar),
        Operand::Field(_) => None,
    }
}

fn same(batch: &Batch, row: usize, left: &FieldReference, right: &FieldReference) -> bool {
    let is_timestamp = |reference: &FieldReference| {
        matches!(get(batch, row, reference), Some(Found::Value(Value::Timestamp(_))))
    };
    if is_timestamp(left) != is_timestamp(right) {
        return false;
    }
    match (whole(batch, row, left), whole(batch, row, right)) {
        (None, None) => true,
        (Some(left), Some(right)) => same_json(&left, &right),
        _ => false,
    }
}

/// Deep equality in which a whole number and a fraction differ.
fn same_json(left: &Json, right: &Json) -> bool {
    match (left, right) {
        (Json::Number(left), Json::Number(right)) => match (left.as_i64(), right.as_i64()) {
            (Some(left), Some(right)) => left == right,
            (None, None) => left.as_f64() == right.as_f64(),
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

/// What `<` and its like see of a value.
enum Orderable {
    Missing,
    Integer(i64),
    Float(f64),
    Text(String),
    /// Null, booleans and timestamps: equal to anything.
    Indifferent,
    Unordered(&'static str),
}

fn orderable(operand: &Operand, batch: &Batch, row: usize) -> Orderable {
    let json = match operand {
        Operand::Field(reference) => match get(batch, row, reference) {
            None => return Orderable::Missing,
            Some(Found::Value(Value::Timestamp(_))) => return Orderable::Indifferent,
            Some(Found::Value(value)) => json_of(value),
            Some(Found::Element(json)) => json,
        },
        constant => match scalar(constant) {
            Some(json) => json,
            None => return Orderable::Unordered("a list"),
        },
    };
    match json {
        Json::Null | Json::Bool(_) => Orderable::Indifferent,
        Json::String(text) => Orderable::Text(text),
        Json::Array(_) => Orderable::Unordered("a list"),
        Json::Object(_) => Orderable::Unordered("a map"),
        Json::Number(number) => match number.as_i64() {
            Some(value) => Orderable::Integer(value),
            None => number.as_f64().map_or(Orderable::Unordered("a number"), Orderable::Float),
        },
    }
}

fn ordered(
    left: &Operand,
    comparison: Comparison,
    right: &Operand,
    batch: &Batch,
    row: usize,
) -> Result<bool, String> {
    let ordering = match (orderable(left, batch, row), orderable(right, batch, row)) {
        (Orderable::Missing, _) | (_, Orderable::Missing) => {
            return Err("a missing field cannot be compared; ask first whether it is there".to_owned());
        }
        (Orderable::Unordered(what), _) | (_, Orderable::Unordered(what)) => {
            return Err(format!("{what} cannot be compared with < or >"));
        }
        (Orderable::Indifferent, _) | (_, Orderable::Indifferent) => Some(Ordering::Equal),
        (Orderable::Integer(left), Orderable::Integer(right)) => Some(left.cmp(&right)),
        (Orderable::Integer(left), Orderable::Float(right)) => (left as f64).partial_cmp(&right),
        (Orderable::Float(left), Orderable::Integer(right)) => left.partial_cmp(&(right as f64)),
        (Orderable::Float(left), Orderable::Float(right)) => left.partial_cmp(&right),
        (Orderable::Text(left), Orderable::Text(right)) => Some(left.as_bytes().cmp(right.as_bytes())),
        (Orderable::Text(_), _) | (_, Orderable::Text(_)) => {
            return Err("a text cannot be compared with a number; convert the field first".to_owned());
        }
    };
    Ok(ordering.is_some_and(|ordering| match comparison {
        Comparison::Less => ordering.is_lt(),
        Comparison::LessOrEqual => ordering.is_le(),
        Comparison::Greater => ordering.is_gt(),
        Comparison::GreaterOrEqual => ordering.is_ge(),
        Comparison::Equal => ordering.is_eq(),
        Comparison::Unequal => ordering.is_ne(),
    }))
}

/// `in`: the table of parity 2 §4.
fn within(left: &Operand, right: &Operand, batch: &Batch, row: usize) -> bool {
    match (left, right) {
        (Operand::Field(field), Operand::List(elements)) => {
            let Some(json) = whole(batch, row, field) else { return false };
            let printed = printed(&json);
            elements.iter().filter_map(scalar).any(|element| self::printed(&element) == printed)
        }
        (Operand::Field(left), Operand::Field(right)) => fields_within(batch, row, left, right),
        (Operand::Field(field), constant) => {
            let (Some(Json::String(text)), Some(constant)) = (whole(batch, row, field), scalar(constant))
            else {
                return false;
            };
            let is_timestamp = matches!(get(batch, row, field), Some(Found::Value(Value::Timestamp(_))));
            !is_timestamp && constant_within(&constant, &text)
        }
        _ => within_right(left, right, batch, row),
    }
}

fn fields_within(batch: &Batch, row: usize, left: &FieldReference, right: &FieldReference) -> bool {
    match (whole(batch, row, left), whole(batch, row, right)) {
        (None | Some(Json::Array(_) | Json::Object(_)), _) | (_, None) => false,
        (Some(left), Some(Json::Array(elements))) => elements.iter().any(|element| same_json(element, &left)),
        (Some(Json::String(left)), Some(Json::String(right))) => right.contains(&left),
        (Some(left), Some(right)) => same_json(&left, &right),
    }
}

fn constant_within(constant: &Json, text: &str) -> bool {
    match constant {
        Json::String(constant) => constant.contains(text),
        other => printed(other).contains(text),
    }
}

fn within_right(left: &Operand, right: &Operand, batch: &Batch, row: usize) -> bool {
    match (left, right) {
        (Operand::Text(_) | Operand::Integer(_) | Operand::Float(_), Operand::Field(field)) => {
            let Some(constant) = scalar(left) else { return false };
            match (constant, whole(batch, row, field)) {
                (constant, Some(Json::Array(elements))) => {
                    elements.iter().any(|element| same_json(element, &constant))
                }
                (Json::String(constant), Some(Json::String(text))) => {
                    let found = get(batch, row, field);
                    !matches!(found, Some(Found::Value(Value::Timestamp(_)))) && text.contains(&constant)
                }
                _ => false,
            }
        }
        // Constants on both sides are compared whole: `"a" in "abc"` and `"a" in ["a", "b"]` are false, as in Logstash.
        (_, Operand::List(_)) => false,
        (left, right) => match (scalar(left), scalar(right)) {
            (Some(left), Some(right)) => same_json(&left, &right),
            _ => false,
        },
    }
}

fn printed(json: &Json) -> String {
    match json {
        Json::String(text) => text.clone(),
        other => other.to_string(),
    }
}
