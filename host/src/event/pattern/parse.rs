//! Reads a pattern in Ruby's dialect (that of the engines Onigmo and Joni). Escapes are read in `escape`, what stands in
//! square brackets in `bracket`. What is known and cannot be run is refused by name.

use super::fold;
use super::sets::{self, Extent};
use super::tree::{Node, Place, RepeatKind};

/// Groups within groups, and classes within classes.
const DEEPEST: usize = 100;

/// Quantifiers on quantifiers.
const MOST_QUANTIFIERS: usize = 20;

/// The largest number in an interval, as in Ruby.
const MOST_TIMES: u32 = 100_000;

/// The most groups that capture.
const MOST_GROUPS: usize = 500;

/// A pattern that was read.
#[derive(Debug)]
pub(super) struct Parsed {
    pub(super) node: Node,
    /// The names of the groups that capture, from the first.
    pub(super) names: Vec<Option<String>>,
}

/// Reads a pattern.
pub(super) fn parse(pattern: &str) -> Result<Parsed, String> {
    let parsed = Parser::new(pattern, true).parse()?;
    // Where groups have names, those without do not capture.
    let (named, plain) = (parsed.names.iter().any(Option::is_some), parsed.names.iter().any(Option::is_none));
    if named && plain { Parser::new(pattern, false).parse() } else { Ok(parsed) }
}

/// What flags say at a place.
#[derive(Clone, Copy)]
pub(super) struct Flags {
    pub(super) any_case: bool,
    dot_is_any: bool,
    extended: bool,
    pub(super) extent: Extent,
}

pub(super) struct Parser {
    letters: Vec<char>,
    at: usize,
    pub(super) flags: Flags,
    plain_groups: bool,
    /// Of the groups that were opened.
    pub(super) names: Vec<Option<String>>,
    /// The largest number that a reference names.
    pub(super) most_referred: usize,
    pub(super) depth: usize,
    /// Inside `(?<=…)`, where every character counts.
    pub(super) behind: bool,
    negative_behind: bool,
}

enum Atom {
    Node(Node),
    /// `(?i)`: flags for the rest of the group.
    Flags,
}

impl Parser {
    fn new(pattern: &str, plain_groups: bool) -> Self {
        Parser {
            letters: pattern.chars().collect(),
            at: 0,
            flags: Flags { any_case: false, dot_is_any: false, extended: false, extent: Extent::Default },
            plain_groups,
            names: Vec::new(),
            most_referred: 0,
            depth: 0,
            behind: false,
            negative_behind: false,
        }
    }

    fn parse(mut self) -> Result<Parsed, String> {
        let node = self.choice()?;
        if self.peek().is_some() {
            return Err("a parenthesis is closed that was not opened".to_owned());
        }
        if self.most_referred > 0 && self.names.iter().any(Option::is_some) {
            return Err("groups have names, so that \\1 is not allowed; use \\k<name>".to_owned());
        }
        if self.most_referred > self.names.len() {
            return Err(format!("there is no group {}", self.most_referred));
        }
        Ok(Parsed { node, names: self.names })
    }

    pub(super) fn peek(&self) -> Option<char> {
        self.letters.get(self.at).copied()
    }

    pub(super) fn peek_after(&self, letters: usize) -> Option<char> {
        self.letters.get(self.at + letters).copied()
    }

    pub(super) fn next(&mut self) -> Option<char> {
        let letter = self.peek()?;
        self.at += 1;
        Some(letter)
    }

    pub(super) fn eat(&mut self, letter: char) -> bool {
        let found = self.peek() == Some(letter);
        self.at += usize::from(found);
        found
    }

    /// The text up to `end`, which is passed over too; `None` (and nothing is passed over) if there is no such end.
    pub(super) fn until(&mut self, end: char) -> Option<String> {
        let length = self.letters.get(self.at..)?.iter().position(|letter| *letter == end)?;
        let text = self.letters[self.at..self.at + length].iter().collect();
        self.at += length + 1;
        Some(text)
    }

    pub(super) fn rest_has(&self, letter: char) -> bool {
        self.letters.get(self.at..).is_some_and(|rest| rest.contains(&letter))
    }

    pub(super) fn place(&self) -> usize {
        self.at
    }

    pub(super) fn go_back(&mut self, place: usize) {
        self.at = place;
    }

    pub(super) fn deeper(&mut self) -> Result<(), String> {
        self.depth += 1;
        if self.depth > DEEPEST { Err(format!("it is nested more than {DEEPEST} deep")) } else { Ok(()) }
    }

    /// Ways with `|` between them, up to a closing parenthesis or the end.
    fn choice(&mut self) -> Result<Node, String> {
        let mut ways = vec![self.sequence()?];
        while self.eat('|') {
            ways.push(self.sequence()?);
        }
        Ok(Node::choice(ways))
    }

    fn sequence(&mut self) -> Result<Node, String> {
        let mut nodes = Vec::new();
        loop {
            self.skip()?;
            if matches!(self.peek(), None | Some('|' | ')')) {
                break;
            }
            match self.atom()? {
                Atom::Node(node) => nodes.push(self.quantified(node)?),
                // `a(?i)b|c` is `a(?i:b|c)`.
                Atom::Flags => {
                    self.deeper()?;
                    nodes.push(self.choice()?);
                    self.depth -= 1;
                    break;
                }
            }
        }
        Ok(Node::sequence(fold::settle(nodes, !self.behind)))
    }

    /// Passes over comments, and with `(?x)` over white space.
    fn skip(&mut self) -> Result<(), String> {
        loop {
            match self.peek() {
                Some('(') if self.peek_after(1) == Some('?') && self.peek_after(2) == Some('#') => {
                    self.at += 3;
                    loop {
                        match self.next() {
                            None => return Err("a comment (?# is not closed".to_owned()),
                            Some('\\') => self.at += 1,
                            Some(')') => break,
                            Some(_) => {}
                        }
                    }
                }
                Some('#') if self.flags.extended => while self.next().is_some_and(|letter| letter != '\n') {},
                Some(' ' | '\t' | '\n' | '\x0c' | '\r') if self.flags.extended => self.at += 1,
                _ => return Ok(()),
            }
        }
    }

    fn atom(&mut self) -> Result<Atom, String> {
        let node = match self.next() {
            Some('(') => return self.group(),
            Some('[') => {
                let negative = self.peek() == Some('^');
                let set = self.bracket()?;
                let long = self.flags.any_case && !negative && !self.behind;
                if long { fold::long_of_set(set) } else { Node::Set(set) }
            }
            Some('.') if self.flags.dot_is_any => Node::Set(sets::any()),
            Some('.') => Node::Set(sets::any_but_line_feed()),
            Some('^') => Node::Place(Place::LineStart),
            Some('$') => Node::Place(Place::LineEnd),
            Some('\\') => self.escape()?,
            Some('*' | '+' | '?') => return Err(nothing_to_repeat()),
            Some('{') => {
                self.at -= 1;
                if self.interval()?.is_some() {
                    return Err(nothing_to_repeat());
                }
                self.at += 1;
                self.letter('{')
            }
            Some(letter) => self.letter(letter),
            None => Node::Empty,
        };
        Ok(Atom::Node(node))
    }

    pub(super) fn letter(&self, letter: char) -> Node {
        if self.flags.any_case { Node::Folded(letter) } else { Node::Letter(letter) }
    }

    fn quantified(&mut self, mut node: Node) -> Result<Node, String> {
        for _ in 0..MOST_QUANTIFIERS {
            self.skip()?;
            let (least, most) = match self.peek() {
                Some('?') => (0, Some(1)),
                Some('*') => (0, None),
                Some('+') => (1, None),
                Some('{') => match self.interval()? {
                    Some((least, most, exact)) => {
                        // `a{2}?` is `(?:a{2})?`, and `a{1,2}+` is `(?:a{1,2})+`.
                        let lazy = !exact && self.eat('?');
                        node = self.repeat(
                            node,
                            least,
                            most,
                            if lazy { RepeatKind::Lazy } else { RepeatKind::Greedy },
                        );
                        continue;
                    }
                    None => return Ok(node),
                },
                _ => return Ok(node),
            };
            self.at += 1;
            let kind = match self.peek() {
                Some('?') => RepeatKind::Lazy,
                Some('+') => RepeatKind::Possessive,
                _ => RepeatKind::Greedy,
            };
            self.at += usize::from(kind != RepeatKind::Greedy);
            node = self.repeat(node, least, most, kind);
        }
        Err(format!("more than {MOST_QUANTIFIERS} quantifiers follow each other"))
    }

    fn repeat(&self, node: Node, least: u32, most: Option<u32>, kind: RepeatKind) -> Node {
        let node = Node::sequence(fold::settle(vec![node], !self.behind));
        Node::Repeat { node: Box::new(node), least, most, kind }
    }

    /// `{2}`, `{2,}`, `{,2}`, `{1,2}`: the least and the most, and whether it is one number; `None`, with nothing passed
    /// over, if it is none of these.
    fn interval(&mut self) -> Result<Option<(u32, Option<u32>, bool)>, String> {
        let begin = self.at;
        self.at += 1;
        let least = self.number();
        let comma = self.eat(',');
        let most = if comma { self.number() } else { least };
        if !self.eat('}') || least.is_none() && most.is_none() {
            self.at = begin;
            return Ok(None);
        }
        if least.is_some_and(|least| least > MOST_TIMES) || most.is_some_and(|most| most > MOST_TIMES) {
            return Err(format!("a number of repetitions is larger than {MOST_TIMES}"));
        }
        let least = least.unwrap_or(0);
        if most.is_some_and(|most| most < least) {
            return Err("an interval's upper bound is smaller than its lower bound".to_owned());
        }
        Ok(Some((least, most, !comma)))
    }

    pub(super) fn number(&mut self) -> Option<u32> {
        let mut number = None;
        while let Some(digit) = self.peek().and_then(|letter| letter.to_digit(10)) {
            number = Some(number.unwrap_or(0_u32).saturating_mul(10).saturating_add(digit));
            self.at += 1;
        }
        number
    }

    /// After `(`.
    fn group(&mut self) -> Result<Atom, String> {
        self.deeper()?;
        let flags = self.flags;
        let node = if self.eat('?') {
            match self.special_group()? {
                Atom::Flags => {
                    self.depth -= 1;
                    return Ok(Atom::Flags);
                }
                Atom::Node(node) => node,
            }
        } else if self.plain_groups {
            self.capturing(None)?
        } else {
            let node = self.choice()?;
            self.close()?;
            node
        };
        self.flags = flags;
        self.depth -= 1;
        Ok(Atom::Node(node))
    }

    fn close(&mut self) -> Result<(), String> {
        if self.eat(')') { Ok(()) } else { Err("a parenthesis is not closed".to_owned()) }
    }

    fn capturing(&mut self, name: Option<String>) -> Result<Node, String> {
        if self.negative_behind {
            return Err("a group that captures cannot stand in (?<!…)".to_owned());
        }
        if self.names.len() == MOST_GROUPS {
            return Err(format!("it has more than {MOST_GROUPS} groups"));
        }
        self.names.push(name);
        let number = self.names.len() as u32;
        let node = self.choice()?;
        self.close()?;
        Ok(Node::Group(number, Box::new(node)))
    }

    /// After `(?`.
    fn special_group(&mut self) -> Result<Atom, String> {
        let node = match self.next() {
            Some(':') => self.choice()?,
            Some('>') => Node::Atomic(Box::new(self.choice()?)),
            Some('=') => self.ahead(false)?,
            Some('!') => self.ahead(true)?,
            Some('<') if matches!(self.peek(), Some('=' | '!')) => {
                let negative = self.next() == Some('!');
                self.look_behind(negative)?
            }
            Some('<') => return self.named('>').map(Atom::Node),
            Some('\'') => return self.named('\'').map(Atom::Node),
            Some('(') => self.condition()?,
            Some('~') => return Err("the absent operator (?~…) is not supported".to_owned()),
            Some(letter) => {
                if self.read_flags(letter)? {
                    return Ok(Atom::Flags);
                }
                self.choice()?
            }
            None => return Err("a group (? is not finished".to_owned()),
        };
        self.close()?;
        Ok(Atom::Node(node))
    }

    fn ahead(&mut self, negative: bool) -> Result<Node, String> {
        if self.behind {
            return Err("(?=…) and (?!…) cannot stand in (?<=…) or (?<!…)".to_owned());
        }
        Ok(Node::Ahead { negative, node: Box::new(self.choice()?) })
    }

    fn look_behind(&mut self, negative: bool) -> Result<Node, String> {
        let outer = (self.behind, self.negative_behind);
        self.behind = true;
        self.negative_behind |= negative;
        let node = self.choice()?;
        (self.behind, self.negative_behind) = outer;
        let ways = if let Node::Choice(ways) = node { ways } else { vec![node] };
        let mut measured = Vec::with_capacity(ways.len());
        for way in ways {
            match way.width() {
                (least, Some(most)) if least == most => measured.push((least, way)),
                _ => {
                    return Err("what stands in (?<=…) or (?<!…) must have a fixed length, as in Ruby; only the ways of \
                                a choice that is all of it may differ"
                        .to_owned());
                }
            }
        }
        Ok(Node::Behind { negative, ways: measured })
    }

    fn named(&mut self, end: char) -> Result<Node, String> {
        let name = self.until(end).ok_or("the name of a group is not finished")?;
        check_name(&name)?;
        self.capturing(Some(name))
    }

    /// After `(?(`.
    fn condition(&mut self) -> Result<Node, String> {
        let wrong = || "a condition (?(…) names a group: (?(1)…) or (?(<name>)…)".to_owned();
        let groups = match self.peek() {
            Some(open @ ('<' | '\'')) => {
                self.at += 1;
                let name = self.until(if open == '<' { '>' } else { '\'' }).ok_or_else(wrong)?;
                self.groups_of(&name)?
            }
            _ => {
                let number = self.number().filter(|number| *number > 0).ok_or_else(wrong)?;
                self.most_referred = self.most_referred.max(number as usize);
                vec![number]
            }
        };
        if !self.eat(')') {
            return Err(wrong());
        }
        let then = self.sequence()?;
        let otherwise = if self.eat('|') { self.sequence()? } else { Node::Empty };
        Ok(Node::Condition { groups, then: Box::new(then), otherwise: Box::new(otherwise) })
    }

    /// The numbers of the groups of a name.
    pub(super) fn groups_of(&self, name: &str) -> Result<Vec<u32>, String> {
        let named = |known: &Option<String>| known.as_deref() == Some(name);
        let groups: Vec<u32> =
            (1..).zip(&self.names).filter(|(_, known)| named(known)).map(|(number, _)| number).collect();
        if groups.is_empty() {
            Err(format!("there is no group <{name}> before it is referred to"))
        } else {
            Ok(groups)
        }
    }

    /// `imx`, `a`, `d`, `u` and what stands after `-`; whether they hold for the rest of the group they are in, and not for
    /// one of their own.
    fn read_flags(&mut self, first: char) -> Result<bool, String> {
        let mut on = true;
        let mut letter = Some(first);
        loop {
            match letter {
                Some('i') => self.flags.any_case = on,
                Some('m') => self.flags.dot_is_any = on,
                Some('x') => self.flags.extended = on,
                Some('a') if on => self.flags.extent = Extent::Ascii,
                Some('d') if on => self.flags.extent = Extent::Default,
                Some('u') if on => self.flags.extent = Extent::Unicode,
                Some('-') => on = false,
                Some(':') => return Ok(false),
                Some(')') if self.letters.get(self.at.saturating_sub(2)) != Some(&'?') => return Ok(true),
                Some(other) => return Err(format!("(?{other} is no group that Ruby knows")),
                None => return Err("a group (? is not finished".to_owned()),
            }
            letter = self.next();
        }
    }
}

/// A group's name is a word that does not begin with a digit.
pub(super) fn check_name(name: &str) -> Result<(), String> {
    match name.chars().next() {
        None => Err("the name of a group is empty".to_owned()),
        Some(first)
            if first.is_ascii_digit()
                || name.contains([')', '('])
                || !first.is_alphabetic() && first != '_' =>
        {
            Err(format!("<{name}> is no name for a group"))
        }
        Some(_) => Ok(()),
    }
}

fn nothing_to_repeat() -> String {
    "a quantifier stands where there is nothing to repeat".to_owned()
}
