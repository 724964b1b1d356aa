//! Conditions, in Logstash's language: `[response_code] == "NXDOMAIN" and [query_type] in ["A", "AAAA"]`. Parsed once, when
//! a pipeline is built; evaluated by the host over columns. What is done with rows for which a condition is false, or
//! cannot be evaluated, is left to the chain.
//!
//! Weir departs from Logstash in two places on purpose, because Logstash's answers are mistakes: `and` binds tighter than
//! `or` without exception, and `["x"]` is a list.

mod evaluate;
mod parse;
mod pattern;

pub use evaluate::evaluate;
pub use parse::parse;
pub use pattern::Pattern;

use weir_filter::FieldReference;

/// A parsed condition.
#[derive(Debug, Clone)]
pub struct Condition {
    expression: Expression,
    /// Where Logstash itself would have decided otherwise, in words, for `weir check`.
    departures: Vec<String>,
}

impl Condition {
    /// Where Logstash would have decided otherwise: one sentence each.
    pub fn departures(&self) -> &[String] {
        &self.departures
    }

    /// The fields that the condition reads.
    pub fn references(&self) -> Vec<FieldReference> {
        let mut references = Vec::new();
        collect(&self.expression, &mut references);
        references
    }
}

#[derive(Debug, Clone)]
pub(super) enum Expression {
    And(Box<Expression>, Box<Expression>),
    Or(Box<Expression>, Box<Expression>),
    Nand(Box<Expression>, Box<Expression>),
    Xor(Box<Expression>, Box<Expression>),
    Not(Box<Expression>),
    Truth(Operand),
    Compare(Operand, Comparison, Operand),
    In(Operand, Operand),
    Matches(Operand, Pattern),
}

#[derive(Debug, Clone)]
pub(super) enum Operand {
    Field(FieldReference),
    Text(String),
    Integer(i64),
    Float(f64),
    List(Vec<Operand>),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Comparison {
    Equal,
    Unequal,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

fn collect(expression: &Expression, references: &mut Vec<FieldReference>) {
    match expression {
        Expression::And(left, right)
        | Expression::Or(left, right)
        | Expression::Nand(left, right)
        | Expression::Xor(left, right) => {
            collect(left, references);
            collect(right, references);
        }
        Expression::Not(inner) => collect(inner, references),
        Expression::Truth(operand) | Expression::Matches(operand, _) => collect_operand(operand, references),
        Expression::Compare(left, _, right) | Expression::In(left, right) => {
            collect_operand(left, references);
            collect_operand(right, references);
        }
    }
}

fn collect_operand(operand: &Operand, references: &mut Vec<FieldReference>) {
    match operand {
        Operand::Field(reference) => references.push(reference.clone()),
        Operand::List(elements) => elements.iter().for_each(|element| collect_operand(element, references)),
        Operand::Text(_) | Operand::Integer(_) | Operand::Float(_) => {}
    }
}

#[cfg(test)]
mod tests;
