//! Patterns that a finite automaton can run: in time that grows with the text only, whatever the pattern. Those with
//! references, look-around and their like are run by `search` alone.

use regex_automata::Input;
use regex_automata::meta::{Config, Regex};
use regex_automata::util::primitives::NonMaxUsize;
use regex_syntax::hir::{Capture, Class, Hir, Look, Repetition};

use super::tree::{Node, Place, RepeatKind};

/// The largest automaton, in bytes.
const LARGEST: usize = 1 << 20;

/// How much work one search may be at worst, in bytes of the automaton times bytes of the text: about a second.
const MOST_WORK: u64 = 1 << 33;

/// A compiled automaton.
#[derive(Debug)]
pub(super) struct Automaton {
    regex: Regex,
    size: u64,
}

impl Automaton {
    /// The automaton of a pattern; `None` if there is none.
    pub(super) fn compile(node: &Node) -> Option<Self> {
        let hir = lower(node, false)?;
        let config = Config::new()
            .nfa_size_limit(Some(LARGEST))
            .onepass(false)
            .hybrid_cache_capacity(2 * LARGEST)
            .dfa(false);
        let regex = Regex::builder().configure(config).build_from_hir(&hir).ok()?;
        let size = regex.memory_usage().max(1) as u64;
        Some(Automaton { regex, size })
    }

    /// Whether a search in so long a text ends soon, whatever the text.
    pub(super) fn is_quick(&self, length: usize) -> bool {
        self.size.saturating_mul(length as u64) <= MOST_WORK
    }

    /// Whether there is a match from a place on.
    pub(super) fn is_match(&self, text: &str, from: usize) -> bool {
        self.regex.is_match(Input::new(text).range(from..))
    }

    /// Finds the first match from a place on, and writes the begins and ends of its groups.
    pub(super) fn find(&self, text: &str, from: usize, slots: &mut Vec<Option<NonMaxUsize>>) -> bool {
        slots.clear();
        slots.resize(2 * self.regex.captures_len(), None);
        self.regex.search_slots(&Input::new(text).range(from..), slots).is_some()
    }
}

/// `consumes`: after this node at least one character must follow.
fn lower(node: &Node, consumes: bool) -> Option<Hir> {
    Some(match node {
        Node::Empty => Hir::empty(),
        Node::Letter(letter) | Node::Folded(letter) => {
            Hir::literal(letter.encode_utf8(&mut [0; 4]).as_bytes().to_vec())
        }
        Node::Set(set) => Hir::class(Class::Unicode(set.clone())),
        Node::Sequence(nodes) => {
            let mut parts = Vec::with_capacity(nodes.len());
            let mut consumes = consumes;
            for node in nodes.iter().rev() {
                parts.push(lower(node, consumes)?);
                consumes |= node.width().0 > 0;
            }
            parts.reverse();
            Hir::concat(parts)
        }
        Node::Choice(nodes) => {
            let mut ways = Vec::with_capacity(nodes.len());
            for node in nodes {
                ways.push(lower(node, consumes)?);
            }
            Hir::alternation(ways)
        }
        Node::Repeat { node, least, most, kind } => {
            // Engines differ in what a repetition of nothing is.
            let nothing = node.width().0 == 0 && *most != Some(1);
            if nothing || *kind == RepeatKind::Possessive {
                return None;
            }
            let sub = Box::new(lower(node, false)?);
            Hir::repetition(Repetition { min: *least, max: *most, greedy: *kind == RepeatKind::Greedy, sub })
        }
        Node::Group(number, node) => {
            Hir::capture(Capture { index: *number, name: None, sub: Box::new(lower(node, consumes)?) })
        }
        Node::Place(Place::TextStart) => Hir::look(Look::Start),
        Node::Place(Place::TextEnd) => Hir::look(Look::End),
        Node::Place(Place::LineEnd) => Hir::look(Look::EndLF),
        // They differ only at the end of the text.
        Node::Place(Place::LineStart) if consumes => Hir::look(Look::StartLF),
        Node::Place(Place::WordEdge { ascii: true, negative }) => {
            Hir::look(if *negative { Look::WordAsciiNegate } else { Look::WordAscii })
        }
        Node::Place(_)
        | Node::Atomic(_)
        | Node::Ahead { .. }
        | Node::Behind { .. }
        | Node::Reference { .. }
        | Node::Condition { .. }
        | Node::Keep => return None,
    })
}
