//! A pattern as a program: steps that `search` runs one after the other, and goes back over where one fails.

use regex_syntax::hir::ClassUnicode;

use super::tree::{Node, Place, RepeatKind};

/// The longest program. Repetitions of more than one character are written out, so this bounds what a pattern makes.
const LONGEST: usize = 20_000;

#[derive(Debug)]
pub(super) enum Step {
    /// This text.
    Text(Box<str>),
    /// One character of a set.
    Set(usize),
    /// Characters of a set, as many as can be, or as few.
    Run {
        set: usize,
        least: usize,
        most: usize,
        kind: RepeatKind,
    },
    /// Goes on at the first; at the second, if that leads to nothing.
    Split(usize, usize),
    Jump(usize),
    /// Notes the place.
    Note(usize),
    /// A group ends here; it began where the slot says.
    GroupEnd {
        group: usize,
        began: usize,
    },
    /// Goes on there if nothing was passed over since the place was noted.
    IfEmpty {
        noted: usize,
        to: usize,
    },
    /// Notes how far one would go back.
    Mark(usize),
    /// Forgets what else could be tried since the mark.
    Cut(usize),
    /// As `Cut`, and fails.
    CutAndFail(usize),
    /// Back to a place that was noted.
    Return(usize),
    /// So many characters back.
    Back(usize),
    Reference {
        groups: Box<[u32]>,
        any_case: bool,
    },
    /// Goes on there if none of the groups took part.
    Unless {
        groups: Box<[u32]>,
        to: usize,
    },
    Place(Place),
    Keep,
    Found,
}

/// Characters, quick to look up.
#[derive(Debug)]
pub(super) struct Set {
    ascii: u128,
    ranges: Box<[(char, char)]>,
}

/// A compiled program.
#[derive(Debug)]
pub(super) struct Program {
    pub(super) steps: Vec<Step>,
    pub(super) sets: Vec<Set>,
    /// How many numbers a search keeps: two a group, and those that are noted.
    pub(super) slots: usize,
    /// The bytes that a match can begin with; `None`: any, or none at all.
    pub(super) first: Option<Box<[bool; 256]>>,
    /// It can only match at the start of the text.
    pub(super) only_at_start: bool,
}

impl Set {
    pub(super) fn new(set: &ClassUnicode) -> Self {
        let mut ascii = 0;
        for range in set.iter() {
            for code in u32::from(range.start())..=u32::from(range.end()).min(127) {
                ascii |= 1 << code;
            }
        }
        Set { ascii, ranges: set.iter().map(|range| (range.start(), range.end())).collect() }
    }

    #[inline]
    pub(super) fn contains(&self, letter: char) -> bool {
        if letter.is_ascii() {
            return self.ascii >> u32::from(letter) & 1 == 1;
        }
        let after = self.ranges.partition_point(|(start, _)| *start <= letter);
        after.checked_sub(1).and_then(|at| self.ranges.get(at)).is_some_and(|(_, end)| letter <= *end)
    }
}

impl Program {
    /// The program of a pattern with so many groups.
    pub(super) fn compile(node: &Node, groups: usize) -> Result<Self, String> {
        let mut writer = Writer { steps: Vec::new(), sets: Vec::new(), slots: 2 * (groups + 1) };
        writer.write(node)?;
        writer.push(Step::Found)?;
        let mut first = Box::new([false; 256]);
        let consumes = begins(node, &mut first);
        // No character begins with these bytes; the ranges above are drawn over them.
        first[0x80..0xc0].fill(false);
        Ok(Program {
            steps: writer.steps,
            sets: writer.sets,
            slots: writer.slots,
            first: consumes.then_some(first),
            only_at_start: begins_at_start(node),
        })
    }
}

struct Writer {
    steps: Vec<Step>,
    sets: Vec<Set>,
    slots: usize,
}

impl Writer {
    fn push(&mut self, step: Step) -> Result<usize, String> {
        if self.steps.len() == LONGEST {
            return Err(format!(
                "it is too large: with its repetitions written out it has more than {LONGEST} steps"
            ));
        }
        self.steps.push(step);
        Ok(self.steps.len() - 1)
    }

    fn slot(&mut self) -> usize {
        self.slots += 1;
        self.slots - 1
    }

    fn here(&self) -> usize {
        self.steps.len()
    }

    fn set(&mut self, set: &ClassUnicode) -> usize {
        self.sets.push(Set::new(set));
        self.sets.len() - 1
    }

    fn write(&mut self, node: &Node) -> Result<(), String> {
        match node {
            Node::Empty => {}
            Node::Letter(letter) | Node::Folded(letter) => {
                self.push(Step::Text(letter.to_string().into()))?;
            }
            Node::Set(set) => {
                let set = self.set(set);
                self.push(Step::Set(set))?;
            }
            Node::Sequence(nodes) => self.write_sequence(nodes)?,
            Node::Choice(nodes) => self.write_choice(nodes.iter().map(|node| (0, node)))?,
            Node::Repeat { node, least, most, kind } => self.write_repeat(node, *least, *most, *kind)?,
            Node::Group(number, node) => {
                let began = self.slot();
                self.push(Step::Note(began))?;
                self.write(node)?;
                self.push(Step::GroupEnd { group: *number as usize, began })?;
            }
            Node::Atomic(node) => {
                let mark = self.slot();
                self.push(Step::Mark(mark))?;
                self.write(node)?;
                self.push(Step::Cut(mark))?;
            }
            Node::Ahead { negative, node } => self.write_look(*negative, std::iter::once((0, &**node)))?,
            Node::Behind { negative, ways } => {
                self.write_look(*negative, ways.iter().map(|(length, node)| (*length, node)))?;
            }
            Node::Reference { groups, any_case } => {
                let groups = groups.iter().rev().copied().collect();
                self.push(Step::Reference { groups, any_case: *any_case })?;
            }
            Node::Condition { groups, then, otherwise } => {
                let unless = self.push(Step::Unless { groups: groups.as_slice().into(), to: 0 })?;
                self.write(then)?;
                let jump = self.push(Step::Jump(0))?;
                self.aim(unless, self.here());
                self.write(otherwise)?;
                self.aim(jump, self.here());
            }
            Node::Place(place) => {
                self.push(Step::Place(*place))?;
            }
            Node::Keep => {
                self.push(Step::Keep)?;
            }
        }
        Ok(())
    }

    fn write_sequence(&mut self, nodes: &[Node]) -> Result<(), String> {
        let mut text = String::new();
        for node in nodes {
            if let Node::Letter(letter) = node {
                text.push(*letter);
                continue;
            }
            if !text.is_empty() {
                self.push(Step::Text(std::mem::take(&mut text).into()))?;
            }
            self.write(node)?;
        }
        if !text.is_empty() {
            self.push(Step::Text(text.into()))?;
        }
        Ok(())
    }

    /// Ways, each after so many characters back.
    fn write_choice<'a>(&mut self, ways: impl Iterator<Item = (usize, &'a Node)>) -> Result<(), String> {
        let mut ways = ways.peekable();
        let mut jumps = Vec::new();
        while let Some((back, node)) = ways.next() {
            let split =
                if ways.peek().is_some() { Some(self.push(Step::Split(self.here() + 1, 0))?) } else { None };
            if back > 0 {
                self.push(Step::Back(back))?;
            }
            self.write(node)?;
            if let Some(split) = split {
                jumps.push(self.push(Step::Jump(0))?);
                self.aim(split, self.here());
            }
        }
        for jump in jumps {
            self.aim(jump, self.here());
        }
        Ok(())
    }

    fn write_look<'a>(
        &mut self,
        negative: bool,
        ways: impl Iterator<Item = (usize, &'a Node)>,
    ) -> Result<(), String> {
        let (mark, noted) = (self.slot(), self.slot());
        self.push(Step::Mark(mark))?;
        if negative {
            let split = self.push(Step::Split(self.here() + 1, 0))?;
            self.write_choice(ways)?;
            self.push(Step::CutAndFail(mark))?;
            self.aim(split, self.here());
        } else {
            self.push(Step::Note(noted))?;
            self.write_choice(ways)?;
            self.push(Step::Cut(mark))?;
            self.push(Step::Return(noted))?;
        }
        Ok(())
    }

    fn write_repeat(
        &mut self,
        node: &Node,
        least: u32,
        most: Option<u32>,
        kind: RepeatKind,
    ) -> Result<(), String> {
        let set = match node {
            Node::Letter(letter) => Some(super::sets::with(ClassUnicode::empty(), &[*letter..=*letter])),
            Node::Set(set) => Some(set.clone()),
            _ => None,
        };
        if let Some(set) = set {
            let set = self.set(&set);
            let most = most.map_or(usize::MAX, |most| most as usize);
            self.push(Step::Run { set, least: least as usize, most, kind })?;
            return Ok(());
        }
        if kind == RepeatKind::Possessive {
            let mark = self.slot();
            self.push(Step::Mark(mark))?;
            self.write_repeat(node, least, most, RepeatKind::Greedy)?;
            self.push(Step::Cut(mark))?;
            return Ok(());
        }
        // What is nothing is nothing however often.
        let least = if node.width().1 == Some(0) { least.min(1) } else { least };
        for _ in 0..least {
            self.write(node)?;
        }
        let Some(most) = most else { return self.write_loop(node, kind) };
        let mut splits = Vec::new();
        for _ in least..most.min(if node.width().1 == Some(0) { 1 } else { most }) {
            splits.push(self.split(kind)?);
            self.write(node)?;
        }
        for split in splits {
            self.aim(split, self.here());
        }
        Ok(())
    }

    fn write_loop(&mut self, node: &Node, kind: RepeatKind) -> Result<(), String> {
        let begin = self.here();
        let split = self.split(kind)?;
        // A round that passes over nothing is the last.
        let noted = if node.width().0 == 0 { Some(self.slot()) } else { None };
        if let Some(noted) = noted {
            self.push(Step::Note(noted))?;
        }
        self.write(node)?;
        let empty = match noted {
            Some(noted) => Some(self.push(Step::IfEmpty { noted, to: 0 })?),
            None => None,
        };
        self.push(Step::Jump(begin))?;
        self.aim(split, self.here());
        if let Some(empty) = empty {
            self.aim(empty, self.here());
        }
        Ok(())
    }

    /// A split of which one way is the next step; the other is still to be aimed.
    fn split(&mut self, kind: RepeatKind) -> Result<usize, String> {
        let next = self.here() + 1;
        self.push(if kind == RepeatKind::Lazy {
            Step::Split(usize::MAX, next)
        } else {
            Step::Split(next, usize::MAX)
        })
    }

    fn aim(&mut self, step: usize, to: usize) {
        match self.steps.get_mut(step) {
            Some(Step::Split(first, _)) if *first == usize::MAX => *first = to,
            Some(Step::Split(_, target) | Step::Jump(target)) => *target = to,
            Some(Step::IfEmpty { to: target, .. } | Step::Unless { to: target, .. }) => *target = to,
            _ => {}
        }
    }
}

/// Adds the bytes that a match of the node can begin with; false if it can match nothing.
fn begins(node: &Node, first: &mut [bool; 256]) -> bool {
    match node {
        Node::Letter(letter) | Node::Folded(letter) => {
            first[usize::from(letter.encode_utf8(&mut [0; 4]).as_bytes()[0])] = true;
            true
        }
        Node::Set(set) => {
            for range in set.iter() {
                let byte = |letter: char| letter.encode_utf8(&mut [0; 4]).as_bytes()[0];
                for byte in byte(range.start())..=byte(range.end()) {
                    first[usize::from(byte)] = true;
                }
            }
            true
        }
        Node::Sequence(nodes) => nodes.iter().any(|node| begins(node, first)),
        Node::Choice(nodes) => {
            let mut all = true;
            for node in nodes {
                all &= begins(node, first);
            }
            all
        }
        Node::Repeat { node, least, .. } => begins(node, first) && *least > 0,
        Node::Group(_, node) | Node::Atomic(node) => begins(node, first),
        Node::Condition { then, otherwise, .. } => {
            let then = begins(then, first);
            begins(otherwise, first) && then
        }
        // What a reference holds may be anything.
        Node::Reference { .. } => {
            first.fill(true);
            false
        }
        Node::Empty | Node::Ahead { .. } | Node::Behind { .. } | Node::Place(_) | Node::Keep => false,
    }
}

fn begins_at_start(node: &Node) -> bool {
    match node {
        Node::Place(Place::TextStart) => true,
        Node::Sequence(nodes) => nodes.first().is_some_and(begins_at_start),
        Node::Choice(nodes) => nodes.iter().all(begins_at_start),
        Node::Group(_, node) | Node::Atomic(node) => begins_at_start(node),
        _ => false,
    }
}
