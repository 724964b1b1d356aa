//! A pattern as a tree, after all that its text leaves open is settled: letter case, line ends and classes are sets of
//! characters by now. Reading it is in `parse`, running it in `automaton` and `program`.

use regex_syntax::hir::ClassUnicode;

/// A part of a pattern.
#[derive(Clone, Debug)]
pub(super) enum Node {
    /// Matches nothing, anywhere.
    Empty,
    /// This character.
    Letter(char),
    /// This character, whatever its letter case. Only while a pattern is read.
    Folded(char),
    /// One character of a set.
    Set(ClassUnicode),
    /// One after the other.
    Sequence(Vec<Node>),
    /// The first that leads to a match.
    Choice(Vec<Node>),
    Repeat {
        node: Box<Node>,
        least: u32,
        most: Option<u32>,
        kind: RepeatKind,
    },
    /// A group that captures, by its number.
    Group(u32, Box<Node>),
    /// `(?>…)`: once it has matched, it is not tried otherwise.
    Atomic(Box<Node>),
    /// `(?=…)`, `(?!…)`.
    Ahead {
        negative: bool,
        node: Box<Node>,
    },
    /// `(?<=…)`, `(?<!…)`: the ways to match what lies before, each with how many characters it has.
    Behind {
        negative: bool,
        ways: Vec<(usize, Node)>,
    },
    /// What one of these groups holds, the last of them that took part.
    Reference {
        groups: Vec<u32>,
        any_case: bool,
    },
    /// The first if one of the groups took part, else the second.
    Condition {
        groups: Vec<u32>,
        then: Box<Node>,
        otherwise: Box<Node>,
    },
    Place(Place),
    /// `\K`: the match begins here.
    Keep,
}

/// How a repetition chooses how often.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum RepeatKind {
    /// As often as it can.
    Greedy,
    /// As seldom as it can.
    Lazy,
    /// As often as it can, and never tried otherwise.
    Possessive,
}

/// What is asked of a place in the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// `^`: after a line feed that is not the last character, or at the start.
    LineStart,
    /// `$`
    LineEnd,
    /// `\A`
    TextStart,
    /// `\z`
    TextEnd,
    /// `\Z`: at the end, or before a line feed that is the last character.
    LastLineEnd,
    /// `\G`: where the search begins.
    SearchStart,
    /// `\b` and `\B`.
    WordEdge { ascii: bool, negative: bool },
}

impl Node {
    /// One node of several.
    pub(super) fn sequence(mut nodes: Vec<Node>) -> Node {
        match nodes.len() {
            0 => Node::Empty,
            1 => nodes.swap_remove(0),
            _ => Node::Sequence(nodes),
        }
    }

    /// One node of several ways.
    pub(super) fn choice(mut nodes: Vec<Node>) -> Node {
        if nodes.len() == 1 { nodes.swap_remove(0) } else { Node::Choice(nodes) }
    }

    /// How many characters it matches at least and at most; `None`: any number.
    pub(super) fn width(&self) -> (usize, Option<usize>) {
        match self {
            Node::Letter(_) | Node::Folded(_) | Node::Set(_) => (1, Some(1)),
            Node::Empty | Node::Ahead { .. } | Node::Behind { .. } | Node::Place(_) | Node::Keep => {
                (0, Some(0))
            }
            Node::Sequence(nodes) => {
                nodes.iter().fold((0, Some(0)), |(least, most): (usize, Option<usize>), node| {
                    let (node_least, node_most) = node.width();
                    (least.saturating_add(node_least), most.and_then(|most| most.checked_add(node_most?)))
                })
            }
            Node::Choice(nodes) => {
                let widths: Vec<_> = nodes.iter().map(Node::width).collect();
                let least = widths.iter().map(|(least, _)| *least).min().unwrap_or(0);
                let most = widths.iter().try_fold(0, |most, (_, node_most)| Some(most.max((*node_most)?)));
                (least, most)
            }
            Node::Repeat { node, least, most, .. } => {
                let (node_least, node_most) = node.width();
                let most = match (*most, node_most) {
                    (_, Some(0)) => Some(0),
                    (Some(most), Some(width)) => width.checked_mul(most as usize),
                    _ => None,
                };
                (node_least.saturating_mul(*least as usize), most)
            }
            Node::Group(_, node) | Node::Atomic(node) => node.width(),
            Node::Condition { then, otherwise, .. } => {
                let ((least, most), (other_least, other_most)) = (then.width(), otherwise.width());
                (least.min(other_least), most.and_then(|most| Some(most.max(other_most?))))
            }
            Node::Reference { .. } => (0, None),
        }
    }
}
