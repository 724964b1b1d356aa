//! Letter case. One character folds to one by Unicode's simple rule; beyond that `ß` is `ss` in any letter case, `ﬁ` is
//! `fi`, and so on.

use std::sync::LazyLock;

use regex_syntax::hir::{ClassUnicode, ClassUnicodeRange};

use super::tree::Node;

/// A character that stands for several, and these in their folded form.
struct Long {
    letter: char,
    folded: Vec<char>,
}

/// Where in Unicode such characters are.
const PLACES: [std::ops::RangeInclusive<u32>; 9] = [
    0xdf..=0xdf,
    0x130..=0x130,
    0x149..=0x149,
    0x1f0..=0x1f0,
    0x390..=0x3b0,
    0x587..=0x587,
    0x1e96..=0x1e9e,
    0x1f50..=0x1ffc,
    0xfb00..=0xfb17,
];

static LONG: LazyLock<Vec<Long>> = LazyLock::new(|| {
    let mut long = Vec::new();
    for letter in PLACES.into_iter().flatten().filter_map(char::from_u32) {
        // Unicode's table of full folding, as it follows from those of upper and lower case.
        let lower: Vec<char> = letter.to_lowercase().collect();
        let upper = lower.iter().flat_map(|lower| lower.to_uppercase());
        let folded: Vec<char> = upper.flat_map(char::to_lowercase).collect();
        let folded = if lower.len() > 1 { lower } else { folded };
        if folded.len() > 1 {
            long.push(Long { letter, folded });
        }
    }
    long
});

/// The set of one character in any letter case.
pub(super) fn set_of(letter: char) -> ClassUnicode {
    let mut set = ClassUnicode::new([ClassUnicodeRange::new(letter, letter)]);
    set.case_fold_simple();
    set
}

/// The node of one character in any letter case.
pub(super) fn letter(letter: char) -> Node {
    let set = set_of(letter);
    if set.ranges().len() == 1 && set.ranges()[0].len() == 1 { Node::Letter(letter) } else { Node::Set(set) }
}

/// Makes nodes of characters that stand one after the other. With `long`, what is one character and several is the same.
pub(super) fn settle(nodes: Vec<Node>, long: bool) -> Vec<Node> {
    let mut settled = Vec::with_capacity(nodes.len());
    let mut rest = nodes.as_slice();
    while let Some((first, after)) = rest.split_first() {
        let Node::Folded(one) = first else {
            settled.push(first.clone());
            rest = after;
            continue;
        };
        rest = after;
        if !long {
            settled.push(letter(*one));
            continue;
        }
        let run: Vec<char> = std::iter::once(*one).chain(after.iter().map_while(folded)).take(3).collect();
        match [3, 2].into_iter().find_map(|length| several(run.get(..length)?)) {
            Some((length, node)) => {
                settled.push(node);
                rest = &after[length - 1..];
            }
            None => settled.push(one_or_several(*one)),
        }
    }
    settled
}

/// A set, or what characters of it stand for. For sets that were written out only: in a large one nobody means that.
pub(super) fn long_of_set(set: ClassUnicode) -> Node {
    let count: usize = set.iter().map(ClassUnicodeRange::len).sum();
    let contains = |letter: char| set.iter().any(|range| range.start() <= letter && letter <= range.end());
    let mut ways: Vec<Node> = Vec::new();
    if count <= 512 {
        ways.extend(LONG.iter().filter(|long| contains(long.letter)).map(|long| letters(&long.folded)));
    }
    if ways.is_empty() {
        return Node::Set(set);
    }
    ways.insert(0, Node::Set(set));
    Node::Choice(ways)
}

fn folded(node: &Node) -> Option<char> {
    if let Node::Folded(letter) = node { Some(*letter) } else { None }
}

/// Whether these characters are also one; how many they are, and the node of both.
fn several(run: &[char]) -> Option<(usize, Node)> {
    let folded: Vec<char> = run.iter().flat_map(|letter| letter.to_lowercase()).collect();
    let mut ones = ClassUnicode::empty();
    for long in LONG.iter().filter(|long| long.folded == folded) {
        ones.push(ClassUnicodeRange::new(long.letter, long.letter));
    }
    if ones.ranges().is_empty() {
        return None;
    }
    Some((run.len(), Node::Choice(vec![letters(run), Node::Set(ones)])))
}

fn one_or_several(one: char) -> Node {
    match LONG.iter().find(|long| long.letter == one) {
        Some(long) => {
            let mut ones = set_of(one);
            for other in LONG.iter().filter(|other| other.folded == long.folded) {
                ones.push(ClassUnicodeRange::new(other.letter, other.letter));
            }
            Node::Choice(vec![Node::Set(ones), letters(&long.folded)])
        }
        None => letter(one),
    }
}

fn letters(run: &[char]) -> Node {
    Node::sequence(run.iter().map(|one| letter(*one)).collect())
}
