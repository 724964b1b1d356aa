//! Reads what stands in square brackets: characters, ranges, named sets, sets within, and `&&` between them.

use regex_syntax::hir::{ClassUnicode, ClassUnicodeRange};

use super::parse::Parser;
use super::sets;

/// The longest name between `[:` and `:]`; what is longer is no name but a set within.
const LONGEST_NAME: usize = 20;

enum Item {
    Letter(char),
    /// `[:alpha:]`, `\p{…}`. After it a `-` cannot stand for a range.
    Named(ClassUnicode),
    /// `\w` and its like: as `Named`, but letter case does not matter in it.
    Escaped(ClassUnicode),
    /// A set in square brackets of its own. After it a `-` is a letter.
    Within(ClassUnicode),
}

impl Parser {
    /// After `[`.
    pub(super) fn bracket(&mut self) -> Result<ClassUnicode, String> {
        self.deeper()?;
        let negative = self.eat('^');
        let mut before: Option<ClassUnicode> = None;
        // What letter case matters to, and what is settled already.
        let (mut set, mut settled) = (ClassUnicode::empty(), ClassUnicode::empty());
        let mut first = true;
        loop {
            let Some(letter) = self.next() else { return Err("a [ is not closed".to_owned()) };
            if letter == ']' && !first {
                break;
            }
            if letter == ']' && !self.rest_has(']') {
                return Err("[] is empty".to_owned());
            }
            if letter == '&' && self.peek() == Some('&') {
                self.next();
                before = Some(self.both(before, set, settled));
                (set, settled) = (ClassUnicode::empty(), ClassUnicode::empty());
                first = false;
                continue;
            }
            match self.item(letter)? {
                Item::Letter(begin) => self.letter_or_range(begin, &mut set)?,
                Item::Named(named) => {
                    set.union(&named);
                    self.no_range()?;
                }
                Item::Escaped(named) => {
                    settled.union(&named);
                    self.no_range()?;
                }
                Item::Within(within) => {
                    settled.union(&within);
                    self.hyphen(&mut set);
                }
            }
            first = false;
        }
        let mut set = self.both(before, set, settled);
        if negative {
            set.negate();
        }
        self.depth -= 1;
        Ok(set)
    }

    fn letter_or_range(&mut self, begin: char, set: &mut ClassUnicode) -> Result<(), String> {
        let is_range = self.peek() == Some('-')
            && !matches!(self.peek_after(1), None | Some(']' | '['))
            && !(self.peek_after(1) == Some('&') && self.peek_after(2) == Some('&'));
        if !is_range {
            set.push(ClassUnicodeRange::new(begin, begin));
            return Ok(());
        }
        self.next();
        let Some(letter) = self.next() else { return Err("a [ is not closed".to_owned()) };
        match self.item(letter)? {
            Item::Letter(end) if end < begin => Err(format!("the range {begin}-{end} is empty")),
            Item::Letter(end) => {
                set.push(ClassUnicodeRange::new(begin, end));
                self.hyphen(set);
                Ok(())
            }
            Item::Named(_) | Item::Escaped(_) | Item::Within(_) => {
                Err("a range cannot end with a set of characters".to_owned())
            }
        }
    }

    /// After a range a `-` is a letter.
    fn hyphen(&mut self, set: &mut ClassUnicode) {
        if self.peek() == Some('-') && self.peek_after(1) != Some(']') {
            self.next();
            set.push(ClassUnicodeRange::new('-', '-'));
        }
    }

    fn item(&mut self, letter: char) -> Result<Item, String> {
        match letter {
            '[' => match self.bracket_name()? {
                Some(set) => Ok(Item::Named(set)),
                None => self.bracket().map(Item::Within),
            },
            '\\' => {
                let Some(escaped) = self.peek() else { return Err("it ends with a backslash".to_owned()) };
                self.next();
                if let Some(set) = sets::of_letter(escaped, self.flags.extent) {
                    return Ok(Item::Escaped(set));
                }
                if let Some((mut set, negative)) = self.property(escaped)? {
                    if negative {
                        set.negate();
                    }
                    return Ok(Item::Named(set));
                }
                if escaped == 'b' {
                    return Ok(Item::Letter('\x08'));
                }
                if escaped == 'u' && self.peek() == Some('{') {
                    let letters = self.unicode_list()?;
                    let Some((last, others)) = letters.split_last() else {
                        return Ok(Item::Within(ClassUnicode::empty()));
                    };
                    if others.is_empty() {
                        return Ok(Item::Letter(*last));
                    }
                    let ranges = letters.iter().map(|letter| ClassUnicodeRange::new(*letter, *letter));
                    return Ok(Item::Within(ClassUnicode::new(ranges)));
                }
                self.go_back(self.place() - 1);
                self.escaped_letter().map(Item::Letter)
            }
            letter => Ok(Item::Letter(letter)),
        }
    }

    /// `[:alpha:]`, after the `[`; `None`, with nothing passed over, if there is no such thing.
    fn bracket_name(&mut self) -> Result<Option<ClassUnicode>, String> {
        if self.peek() != Some(':') {
            return Ok(None);
        }
        let mut name = String::new();
        for ahead in 1..LONGEST_NAME {
            match (self.peek_after(ahead), self.peek_after(ahead + 1)) {
                (Some(':'), Some(']')) => {
                    self.go_back(self.place() + ahead + 2);
                    let (negative, plain) =
                        name.strip_prefix('^').map_or((false, name.as_str()), |plain| (true, plain));
                    let Some(mut set) = sets::of_bracket(plain, self.flags.extent) else {
                        return Err(format!("there is no [:{name}:]"));
                    };
                    if negative {
                        set.negate();
                    }
                    return Ok(Some(set));
                }
                (Some(letter @ ('^' | 'a'..='z' | 'A'..='Z')), _) => name.push(letter),
                _ => return Ok(None),
            }
        }
        Ok(None)
    }

    fn no_range(&self) -> Result<(), String> {
        if self.peek() == Some('-') && self.peek_after(1) != Some(']') {
            return Err("a range cannot begin with a set of characters".to_owned());
        }
        Ok(())
    }

    /// What stands before `&&`, if anything does, and what stands after it.
    fn both(
        &self,
        before: Option<ClassUnicode>,
        mut set: ClassUnicode,
        settled: ClassUnicode,
    ) -> ClassUnicode {
        if self.flags.any_case {
            set.case_fold_simple();
        }
        set.union(&settled);
        if let Some(before) = before {
            set.intersect(&before);
        }
        set
    }
}
