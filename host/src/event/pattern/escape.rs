//! Reads what follows a backslash: outside of square brackets, and the part that is the same inside.

use regex_syntax::hir::ClassUnicode;

use super::parse::{Parser, check_name};
use super::sets::{self, Extent};
use super::tree::{Node, Place, RepeatKind};

impl Parser {
    /// After a backslash that stands outside of square brackets.
    pub(super) fn escape(&mut self) -> Result<Node, String> {
        let Some(letter) = self.next() else { return Err("it ends with a backslash".to_owned()) };
        if let Some(set) = sets::of_letter(letter, self.flags.extent) {
            return Ok(Node::Set(set));
        }
        if let Some((mut set, negative)) = self.property(letter)? {
            if self.flags.any_case {
                set.case_fold_simple();
            }
            if negative {
                set.negate();
            }
            return Ok(Node::Set(set));
        }
        let ascii = self.flags.extent == Extent::Ascii;
        Ok(match letter {
            'A' => Node::Place(Place::TextStart),
            'z' => Node::Place(Place::TextEnd),
            'Z' => Node::Place(Place::LastLineEnd),
            'G' => Node::Place(Place::SearchStart),
            'b' => Node::Place(Place::WordEdge { ascii, negative: false }),
            'B' => Node::Place(Place::WordEdge { ascii, negative: true }),
            'K' => Node::Keep,
            'R' => line_break(),
            'X' => cluster().ok_or("\\X is not supported")?,
            'k' if matches!(self.peek(), Some('<' | '\'')) => self.reference()?,
            'g' if matches!(self.peek(), Some('<' | '\'')) => {
                return Err("\\g<…>, the call of a group, is not supported; write the group out".to_owned());
            }
            '1'..='9' => return self.numbered(),
            'u' if self.peek() == Some('{') => {
                let letters = self.unicode_list()?;
                let nodes = letters.into_iter().map(|letter| self.letter(letter)).collect();
                Node::sequence(super::fold::settle(nodes, !self.behind))
            }
            _ => {
                self.go_back(self.place() - 1);
                let letter = self.escaped_letter()?;
                self.letter(letter)
            }
        })
    }

    /// `\p{…}`, `\P{…}`, `\p{^…}`, after the letter: the named set, and whether its opposite is meant; `None` for anything
    /// else.
    pub(super) fn property(&mut self, letter: char) -> Result<Option<(ClassUnicode, bool)>, String> {
        if !matches!(letter, 'p' | 'P') || self.peek() != Some('{') {
            return Ok(None);
        }
        self.next();
        let name = self.until('}').ok_or("the name of a property \\p{…} is not finished")?;
        let (caret, plain) = name.strip_prefix('^').map_or((false, name.as_str()), |plain| (true, plain));
        let set = sets::of_property(plain).ok_or_else(|| format!("no property \\p{{{plain}}} is known"))?;
        Ok(Some((set, caret != (letter == 'P'))))
    }

    /// `\k<…>`, after the `k`.
    fn reference(&mut self) -> Result<Node, String> {
        let end = if self.next() == Some('<') { '>' } else { '\'' };
        let name = self.until(end).ok_or("a reference \\k<…> is not finished")?;
        let any_case = self.flags.any_case;
        let digits = name.strip_prefix('-').unwrap_or(&name);
        if !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit()) {
            let number: usize = digits.parse().unwrap_or(usize::MAX);
            let known = self.names.len();
            let number = if name.starts_with('-') { (known + 1).checked_sub(number) } else { Some(number) };
            let Some(number) = number.filter(|number| (1..=known).contains(number)) else {
                return Err(format!("there is no group {name} before it is referred to"));
            };
            self.most_referred = self.most_referred.max(number);
            return Ok(Node::Reference { groups: vec![number as u32], any_case });
        }
        if let Some((_, level)) = name.rsplit_once(['+', '-'])
            && !level.is_empty()
            && level.bytes().all(|byte| byte.is_ascii_digit())
        {
            return Err(format!("\\k<{name}>, a reference with a level, is not supported"));
        }
        check_name(&name)?;
        Ok(Node::Reference { groups: self.groups_of(&name)?, any_case })
    }

    /// A digit but zero: a group's number, or else an octal number.
    fn numbered(&mut self) -> Result<Node, String> {
        self.go_back(self.place() - 1);
        let begin = self.place();
        let number = self.number().unwrap_or(u32::MAX) as usize;
        if number <= 9 || number <= self.names.len() {
            self.most_referred = self.most_referred.max(number);
            return Ok(Node::Reference { groups: vec![number as u32], any_case: self.flags.any_case });
        }
        self.go_back(begin);
        let letter = self.escaped_letter()?;
        Ok(self.letter(letter))
    }

    /// An escape that stands for one character, inside square brackets too.
    pub(super) fn escaped_letter(&mut self) -> Result<char, String> {
        let Some(letter) = self.next() else { return Err("it ends with a backslash".to_owned()) };
        Ok(match letter {
            't' => '\t',
            'n' => '\n',
            'r' => '\r',
            'f' => '\x0c',
            'v' => '\x0b',
            'a' => '\x07',
            'e' => '\x1b',
            'x' | '0'..='7' => {
                self.go_back(self.place() - 1);
                self.bytes()?
            }
            'u' => {
                let mut code = 0;
                for _ in 0..4 {
                    let digit = self.next().and_then(|letter| letter.to_digit(16));
                    code = code * 16 + digit.ok_or("\\u needs four hexadecimal digits, or \\u{…}")?;
                }
                char::from_u32(code).ok_or_else(|| format!("\\u{code:04x} is no character"))?
            }
            'c' => self.control()?,
            'C' if self.eat('-') => self.control()?,
            'C' => return Err("\\C-x is not finished".to_owned()),
            'M' if self.peek() == Some('-') => {
                return Err("\\M-x is no character of a text in UTF-8".to_owned());
            }
            other => other,
        })
    }

    /// The characters of `\u{…}`, after the `u`.
    pub(super) fn unicode_list(&mut self) -> Result<Vec<char>, String> {
        self.next();
        let list = self.until('}').ok_or("\\u{…} is not finished")?;
        let mut letters = Vec::new();
        for code in list.split_ascii_whitespace() {
            let letter = u32::from_str_radix(code, 16).ok().and_then(char::from_u32);
            letters.push(letter.ok_or_else(|| format!("\\u{{{code}}} is no character"))?);
        }
        if letters.is_empty() { Err("\\u{} names no character".to_owned()) } else { Ok(letters) }
    }

    /// After `\c` or `\C-`.
    fn control(&mut self) -> Result<char, String> {
        match self.next() {
            Some('?') => Ok('\x7f'),
            Some('\\') => {
                let letter = self.escaped_letter()?;
                Ok(char::from((u32::from(letter) & 0x1f) as u8))
            }
            Some(letter) if letter.is_ascii() => Ok(char::from(letter as u8 & 0x1f)),
            _ => Err("\\c needs a character of ASCII".to_owned()),
        }
    }

    /// `\x41`, `\101`: a byte, or several that are one character in UTF-8.
    fn bytes(&mut self) -> Result<char, String> {
        let mut bytes = vec![self.byte()?];
        let length = match bytes[0] {
            0..0x80 => 1,
            0xc2..0xe0 => 2,
            0xe0..0xf0 => 3,
            0xf0..0xf5 => 4,
            _ => 0,
        };
        while bytes.len() < length && self.eat('\\') {
            bytes.push(self.byte()?);
        }
        match std::str::from_utf8(&bytes).ok().and_then(|text| text.chars().next()) {
            Some(letter) => Ok(letter),
            None => Err("bytes are written that are no character in UTF-8".to_owned()),
        }
    }

    /// After the backslash.
    fn byte(&mut self) -> Result<u8, String> {
        let (radix, most) = if self.eat('x') { (16, 2) } else { (8, 3) };
        let mut byte = None;
        for _ in 0..most {
            let Some(digit) = self.peek().and_then(|letter| letter.to_digit(radix)) else { break };
            byte = Some(byte.unwrap_or(0) * radix + digit);
            self.next();
        }
        let byte =
            byte.ok_or("\\x needs hexadecimal digits, and \\ bytes of one character need each other")?;
        u8::try_from(byte).map_err(|_| format!("\\{byte:o} is no byte"))
    }
}

/// `\R`: a line end of any kind.
fn line_break() -> Node {
    let one = sets::with(ClassUnicode::empty(), &['\n'..='\r', '\u{85}'..='\u{85}', '\u{2028}'..='\u{2029}']);
    let both = Node::Sequence(vec![Node::Letter('\r'), Node::Letter('\n')]);
    Node::Atomic(Box::new(Node::Choice(vec![both, Node::Set(one)])))
}

/// `\X`: what a reader takes for one character, by the rules of Unicode's Annex 29.
fn cluster() -> Option<Node> {
    let set = |name: &str| sets::unicode(&format!("gcb={name}"));
    let node = |name: &str| set(name).map(Node::Set);
    let many = |node: Node, least: u32| Node::Repeat {
        node: Box::new(node),
        least,
        most: None,
        kind: RepeatKind::Greedy,
    };
    let (leading, vowel, trailing) = (node("L")?, node("V")?, node("T")?);
    let syllable = Node::Choice(vec![
        many(vowel.clone(), 1),
        Node::Sequence(vec![node("LV")?, many(vowel, 0)]),
        node("LVT")?,
    ]);
    let picture = Node::Set(sets::unicode("Extended_Pictographic")?);
    let joined = Node::Sequence(vec![many(node("Extend")?, 0), node("ZWJ")?, picture.clone()]);
    let mut other = set("Control")?;
    other.union(&sets::with(ClassUnicode::empty(), &['\n'..='\n', '\r'..='\r']));
    other.negate();
    let core = Node::Choice(vec![
        Node::Sequence(vec![many(leading.clone(), 0), syllable, many(trailing.clone(), 0)]),
        many(leading, 1),
        many(trailing, 1),
        Node::Sequence(vec![node("RI")?, node("RI")?]),
        Node::Sequence(vec![picture, many(joined, 0)]),
        Node::Set(other),
    ]);
    let mut after = set("Extend")?;
    after.union(&set("ZWJ")?);
    after.union(&set("SpacingMark")?);
    let whole = Node::Sequence(vec![many(node("Prepend")?, 0), core, many(Node::Set(after), 0)]);
    let line_end = Node::Sequence(vec![Node::Letter('\r'), Node::Letter('\n')]);
    Some(Node::Atomic(Box::new(Node::Choice(vec![line_end, whole, Node::Set(sets::any())]))))
}
