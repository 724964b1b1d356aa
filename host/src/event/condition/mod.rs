//! Conditions, in Logstash's language: `[response_code] == "NXDOMAIN" and [query_type] in ["A", "AAAA"]`. Parsed once, when
//! a pipeline is built; evaluated by the host over columns. What is done with rows for which a condition is false, or
//! cannot be evaluated, is left to the chain.
//!
//! Weir departs from Logstash in two places on purpose, because Logstash's answers are mistakes: `and` binds tighter than
//! `or` without exception, and `["x"]` is a list.

mod columns;
mod evaluate;
mod parse;

use super::pattern::Pattern;
pub use evaluate::{Selection, evaluate};
pub use parse::parse;

use weir_filter::FieldReference;

/// A parsed condition.
#[derive(Debug, Clone)]
pub struct Condition {
    expression: Expression,
    /// The fields, each once; operands have their numbers.
    fields: Vec<FieldReference>,
    /// Where Logstash itself would have decided otherwise, in words, for `weir check`.
    departures: Vec<String>,
}

impl Condition {
    /// Where Logstash would have decided otherwise: one sentence each.
    pub fn departures(&self) -> &[String] {
        &self.departures
    }

    /// The fields that the condition reads, each once.
    pub fn references(&self) -> &[FieldReference] {
        &self.fields
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
    /// By its number in `Condition::fields`.
    Field(usize),
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

#[cfg(test)]
mod tests;
