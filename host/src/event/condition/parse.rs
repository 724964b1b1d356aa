//! From a condition's text to its tree. The grammar is Logstash's: parity 2 §4 of the project's facts, its cases
//! `cond-syntax-*` and `cond-trap-*`.

use weir_filter::FieldReference;

use super::{Comparison, Condition, Expression, Operand, Pattern};

/// Nesting of parentheses, `!`, calls and lists that is followed before a condition is refused.
const DEEPEST: usize = 200;

/// Expressions that may be joined in one condition, in whatever parentheses: each may be a level of the tree.
const LONGEST: usize = 1000;

/// What may stand between tokens; no other white space, as in Logstash.
const BLANKS: [char; 4] = [' ', '\t', '\r', '\n'];

/// Parses a condition.
///
/// # Errors
/// The byte at which it cannot be read, and what was expected there.
pub fn parse(text: &str) -> Result<Condition, (usize, String)> {
    let mut parser = Parser {
        text,
        at: 0,
        depth: 0,
        joined: 0,
        fields: Vec::new(),
        quoted_in_list: Vec::new(),
        departures: Vec::new(),
    };
    let expression = parser.condition()?;
    parser.space();
    if parser.at < text.len() {
        return Err(parser.expected("`and`, `or`, `nand`, `xor` or the end of the condition"));
    }
    Ok(Condition { expression, fields: parser.fields, departures: parser.departures })
}

struct Parser<'t> {
    text: &'t str,
    at: usize,
    depth: usize,
    joined: usize,
    fields: Vec<FieldReference>,
    /// Of the list read last, the elements with quotes and the numbers: all that a comparison looks at.
    quoted_in_list: Vec<Operand>,
    departures: Vec<String>,
}

type Parsed<T> = Result<T, (usize, String)>;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Joint {
    And,
    Or,
    Nand,
    Xor,
}

impl<'t> Parser<'t> {
    /// EXPR (OP EXPR)*, `and` before `or`.
    fn condition(&mut self) -> Parsed<Expression> {
        let start = self.at;
        let mut parts = vec![self.expression()?];
        let mut starts = vec![start];
        let mut joints = Vec::new();
        while let Some(joint) = self.joint() {
            joints.push(joint);
            self.joined += 1;
            if self.joined > LONGEST {
                return Err((start, format!("more than {LONGEST} expressions are joined")));
            }
            self.space();
            starts.push(self.at);
            parts.push(self.expression()?);
        }
        if !joints.is_empty()
            && let Some(part) = parts.iter().position(is_constant)
        {
            let message = "a text, number or list alone decides nothing here; compare a field with it";
            return Err((starts.get(part).copied().unwrap_or(start), message.to_owned()));
        }
        let lonely = joints.iter().any(|joint| matches!(joint, Joint::Nand | Joint::Xor));
        if lonely && joints.len() > 1 {
            let message =
                "`xor` and `nand` stand alone between two expressions; put parentheses around the rest";
            return Err((start, message.to_owned()));
        }
        if joints.windows(3).any(|three| three == [Joint::And, Joint::And, Joint::Or]) {
            self.departures.push(
                "`and` binds tighter than `or` here; Logstash reads `a and b and c or d` as `a and ((b and c) or d)`"
                    .to_owned(),
            );
        }
        Ok(join(parts, &joints))
    }

    fn joint(&mut self) -> Option<Joint> {
        let before = self.at;
        self.space();
        for (word, joint) in
            [("and", Joint::And), ("or", Joint::Or), ("nand", Joint::Nand), ("xor", Joint::Xor)]
        {
            if self.word(word) {
                return Some(joint);
            }
        }
        self.at = before;
        None
    }

    fn expression(&mut self) -> Parsed<Expression> {
        self.space();
        if self.take("(") {
            self.deeper()?;
            let inner = self.condition()?;
            self.depth -= 1;
            self.space();
            if !self.take(")") {
                return Err(self.expected("`)`"));
            }
            return Ok(inner);
        }
        if self.take("!") {
            return self.negation();
        }
        self.relation()
    }

    /// After `!`: a condition in parentheses, or a field and nothing else.
    fn negation(&mut self) -> Parsed<Expression> {
        self.space();
        if self.rest().starts_with('(') {
            let start = self.at;
            let inner = self.expression()?;
            if is_constant(&inner) {
                return Err((start, "`!` takes a field or a comparison, no text, number or list".to_owned()));
            }
            return Ok(Expression::Not(Box::new(inner)));
        }
        if !self.rest().starts_with('[') {
            return Err(self.expected("`(` or a field after `!`, as in `!(\"x\" in [y])`"));
        }
        let field = self.field()?;
        let before = self.at;
        self.space();
        let ends = self.rest().is_empty()
            || self.rest().starts_with(')')
            || ["and", "or", "nand", "xor"].iter().any(|word| self.is_word(word));
        if !ends {
            return Err(self.expected("nothing more after `![field]`; write `!([field] == …)`"));
        }
        self.at = before;
        Ok(Expression::Not(Box::new(Expression::Truth(field))))
    }

    fn relation(&mut self) -> Parsed<Expression> {
        let start = self.at;
        self.quoted_in_list.clear();
        let left = self.operand()?;
        let left_quoted = std::mem::take(&mut self.quoted_in_list);
        let after = self.at;
        self.space();
        if self.word("in") {
            return self.membership(left, start, false);
        }
        if self.is_word("not") {
            // Logstash's grammar wants a blank directly after the word.
            let blank = self.take("not ");
            self.space();
            if !blank || !self.word("in") {
                return Err(self.expected("`in` after `not` and a blank"));
            }
            return self.membership(left, start, true);
        }
        for (operator, negated) in [("=~", false), ("!~", true)] {
            if self.take(operator) {
                if !matches!(left, Operand::Field(_) | Operand::Text(_)) {
                    return Err((start, "only a field or a text is matched against a pattern".to_owned()));
                }
                let pattern = self.pattern()?;
                let matches = Expression::Matches(left, pattern);
                return Ok(if negated { Expression::Not(Box::new(matches)) } else { matches });
            }
        }
        for (operator, comparison) in [
            ("==", Comparison::Equal),
            ("!=", Comparison::Unequal),
            ("<=", Comparison::LessOrEqual),
            (">=", Comparison::GreaterOrEqual),
            ("<", Comparison::Less),
            (">", Comparison::Greater),
        ] {
            if self.take(operator) {
                let right = self.operand()?;
                let right_quoted = std::mem::take(&mut self.quoted_in_list);
                let left = compared(left, left_quoted, true).map_err(|message| (start, message))?;
                let right = compared(right, right_quoted, false).map_err(|message| (start, message))?;
                check_constants(&left, comparison, &right).map_err(|message| (start, message))?;
                return Ok(Expression::Compare(left, comparison, right));
            }
        }
        self.at = after;
        if matches!(left, Operand::List(_)) {
            self.departures.push(
                "a list alone is always true, as in Logstash; `[field] in [\"a\", \"b\"]` asks".to_owned(),
            );
        }
        Ok(Expression::Truth(left))
    }

    fn membership(&mut self, left: Operand, start: usize, negated: bool) -> Parsed<Expression> {
        self.space();
        let right = self.operand()?;
        if matches!((&left, &right), (Operand::List(_), Operand::Field(_))) {
            let message = "a list cannot be looked for in a field; look for its elements one by one";
            return Err((start, message.to_owned()));
        }
        if let Operand::List(elements) = &right
            && elements.len() == 1
        {
            self.departures.push("`[\"x\"]` is a list of one here; Logstash reads it as a field".to_owned());
        }
        let within = Expression::In(left, right);
        Ok(if negated { Expression::Not(Box::new(within)) } else { within })
    }

    fn operand(&mut self) -> Parsed<Operand> {
        self.space();
        self.deeper()?;
        let operand = match self.rest().chars().next() {
            Some('"' | '\'') => Operand::Text(self.quoted()?),
            Some('[') => self.bracketed()?,
            Some('-' | '0'..='9') => self.number()?,
            Some(letter) if letter.is_ascii_alphabetic() || letter == '_' => self.call()?,
            _ => return Err(self.expected("a field such as [name], a quoted text, a number or a list")),
        };
        self.depth -= 1;
        Ok(operand)
    }

    /// One level more of what is read by a function that calls itself.
    fn deeper(&mut self) -> Parsed<()> {
        if self.depth >= DEEPEST {
            return Err((self.at, format!("parentheses and lists are nested deeper than {DEEPEST}")));
        }
        self.depth += 1;
        Ok(())
    }

    /// A list is empty, begins with a quoted text or a list, or has a comma; all else in brackets is a field, `[0]` too.
    fn bracketed(&mut self) -> Parsed<Operand> {
        let inner = self.rest().get(1..).unwrap_or_default().trim_start_matches(BLANKS);
        let first = inner.split([']', '[']).next().unwrap_or_default();
        if inner.starts_with(['"', '\'', ']', '[']) || first.contains(',') {
            return self.list();
        }
        self.field()
    }

    fn bracketed_list(&mut self) -> Parsed<Operand> {
        self.deeper()?;
        let list = self.list()?;
        self.depth -= 1;
        Ok(list)
    }

    fn list(&mut self) -> Parsed<Operand> {
        self.take("[");
        let mut elements = Vec::new();
        self.space();
        if self.take("]") {
            return Ok(Operand::List(elements));
        }
        loop {
            self.space();
            let is_word =
                self.rest().starts_with(|letter: char| letter.is_ascii_alphabetic() || letter == '_');
            let element = self.element()?;
            if !is_word && !matches!(element, Operand::List(_)) {
                self.quoted_in_list.push(element.clone());
            }
            elements.push(element);
            self.space();
            if self.take("]") {
                return Ok(Operand::List(elements));
            }
            if !self.take(",") {
                return Err(self.expected("`,` or `]`"));
            }
        }
    }

    /// In a list, and only there, a text may stand without quotes if it has two letters or more. A list in a list is one
    /// whatever it begins with, as a field cannot be there.
    fn element(&mut self) -> Parsed<Operand> {
        let rest = self.rest();
        let end = rest
            .find(|letter: char| !(letter.is_ascii_alphanumeric() || letter == '_'))
            .unwrap_or(rest.len());
        let is_word = rest.starts_with(|letter: char| letter.is_ascii_alphabetic() || letter == '_');
        if is_word && end > 1 {
            self.at += end;
            return Ok(Operand::Text(rest[..end].to_owned()));
        }
        match rest.bytes().next() {
            Some(b'"' | b'\'' | b'-' | b'0'..=b'9') => self.operand(),
            Some(b'[') => self.bracketed_list(),
            _ => Err(self.expected("a quoted text, a number or a list")),
        }
    }

    /// `[a][b]`: brackets directly after another, without commas inside.
    fn field(&mut self) -> Parsed<Operand> {
        let start = self.at;
        while self.rest().starts_with('[') {
            let Some(end) = self.rest().find(']') else {
                return Err((start, "`[` is not closed".to_owned()));
            };
            let fragment = &self.rest()[1..end];
            if fragment.is_empty() || fragment.contains(['[', ',']) {
                return Err((self.at, format!("[{fragment}] is no field name")));
            }
            self.at += end + 1;
        }
        let reference =
            FieldReference::parse(&self.text[start..self.at]).map_err(|message| (start, message))?;
        let known = self.fields.iter().position(|field| *field == reference);
        Ok(Operand::Field(known.unwrap_or_else(|| {
            self.fields.push(reference);
            self.fields.len() - 1
        })))
    }

    /// Backslashes stay as they are, as in Logstash without `config.support_escapes`; one directly before a quote keeps it
    /// from ending the text, also where it is the second of two.
    fn quoted(&mut self) -> Parsed<String> {
        let quote = self.rest().as_bytes().first().copied().unwrap_or(b'"');
        self.enclosed(
            quote,
            "the quoted text does not end; a backslash before the quote makes it part of the text",
        )
    }

    fn enclosed(&mut self, end: u8, endless: &str) -> Parsed<String> {
        let start = self.at;
        let bytes = self.text.as_bytes();
        let mut at = start + 1;
        while let Some(byte) = bytes.get(at) {
            if *byte == b'\\' && bytes.get(at + 1) == Some(&end) {
                at += 2;
            } else if *byte == end {
                self.at = at + 1;
                return Ok(self.text[start + 1..at].to_owned());
            } else {
                at += 1;
            }
        }
        Err((start, endless.to_owned()))
    }

    /// `-?digits[.digits]`; a leading zero makes a whole number octal, as in Logstash.
    fn number(&mut self) -> Parsed<Operand> {
        let start = self.at;
        let rest = self.rest();
        let end = rest
            .char_indices()
            .find(|(index, letter)| {
                !(letter.is_ascii_digit() || *letter == '.' || (*index == 0 && *letter == '-'))
            })
            .map_or(rest.len(), |(index, _)| index);
        let text = &rest[..end];
        let wrong =
            || (start, format!("{text:?} is no number here: digits, with a minus and a fraction at most"));
        let (digits, negative) = match text.strip_prefix('-') {
            Some(digits) => (digits, true),
            None => (text, false),
        };
        let operand = if let Some((whole, fraction)) = digits.split_once('.') {
            let all_digits = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
            if !all_digits(whole) || !all_digits(fraction) {
                return Err(wrong());
            }
            Operand::Float(text.parse().map_err(|_| wrong())?)
        } else {
            let radix = if digits.len() > 1 && digits.starts_with('0') { 8 } else { 10 };
            let value = i64::from_str_radix(digits, radix).map_err(|_| wrong())?;
            Operand::Integer(if negative { -value } else { value })
        };
        self.at += end;
        Ok(operand)
    }

    /// `name( … )` with one argument means the argument, whatever the name: so `not ([a])` means `[a]`.
    fn call(&mut self) -> Parsed<Operand> {
        let start = self.at;
        let rest = self.rest();
        let end = rest
            .find(|letter: char| !(letter.is_ascii_alphanumeric() || letter == '_'))
            .unwrap_or(rest.len());
        let name = &rest[..end];
        let bare = format!("{name:?} is no value: write [{name}] for the field, or \"{name}\" for the text");
        self.at += end;
        self.space();
        if !self.take("(") {
            return Err((start, bare));
        }
        let argument = self.operand()?;
        self.space();
        if !self.take(")") {
            return Err(self.expected("`)` after one argument"));
        }
        self.departures.push(format!("`{name}( … )` means only what is in its parentheses, as in Logstash"));
        Ok(argument)
    }

    fn pattern(&mut self) -> Parsed<Pattern> {
        self.space();
        let start = self.at;
        let text = match self.rest().chars().next() {
            Some('"' | '\'') => self.quoted()?,
            Some('/') => self.slashed()?,
            _ => return Err(self.expected("/a pattern/ or a quoted one")),
        };
        Pattern::compile(&text).map_err(|message| (start, message))
    }

    fn slashed(&mut self) -> Parsed<String> {
        self.enclosed(b'/', "the pattern does not end with `/`")
    }

    fn rest(&self) -> &'t str {
        self.text.get(self.at..).unwrap_or_default()
    }

    /// Blanks, line ends and `# comments`.
    fn space(&mut self) {
        loop {
            let trimmed = self.rest().trim_start_matches(BLANKS);
            self.at = self.text.len() - trimmed.len();
            if !trimmed.starts_with('#') {
                return;
            }
            self.at += trimmed.find('\n').unwrap_or(trimmed.len());
        }
    }

    fn take(&mut self, token: &str) -> bool {
        let found = self.rest().starts_with(token);
        if found {
            self.at += token.len();
        }
        found
    }

    fn is_word(&self, word: &str) -> bool {
        self.rest().strip_prefix(word).is_some_and(|after| {
            !after.starts_with(|letter: char| letter.is_ascii_alphabetic() || letter == '_')
        })
    }

    fn word(&mut self, word: &str) -> bool {
        let found = self.is_word(word);
        if found {
            self.at += word.len();
        }
        found
    }

    fn expected(&self, what: &str) -> (usize, String) {
        let found: String = self.rest().chars().take(12).collect();
        let found = if found.is_empty() { "the end".to_owned() } else { format!("{found:?}") };
        (self.at, format!("expected {what}, found {found}"))
    }
}

fn is_constant(expression: &Expression) -> bool {
    matches!(expression, Expression::Truth(operand) if !matches!(operand, Operand::Field(_)))
}

/// What a comparison takes a list for: its first quoted text or number. Logstash reads one that stands left only if it is
/// the only one there.
fn compared(operand: Operand, quoted: Vec<Operand>, is_left: bool) -> Result<Operand, String> {
    if !matches!(operand, Operand::List(_)) {
        return Ok(operand);
    }
    let mut quoted = quoted.into_iter();
    match (quoted.next(), quoted.next()) {
        (Some(first), None) => Ok(first),
        (Some(first), Some(_)) if !is_left => Ok(first),
        _ => Err("a list cannot be compared; write `[field] in [\"a\", \"b\"]`".to_owned()),
    }
}

/// Two constants can be equal or not whatever they are; which is larger is asked of the same kind only.
fn check_constants(left: &Operand, comparison: Comparison, right: &Operand) -> Result<(), String> {
    let is_equality = matches!(comparison, Comparison::Equal | Comparison::Unequal);
    let is_field = |operand: &Operand| matches!(operand, Operand::Field(_));
    if is_equality
        || is_field(left)
        || is_field(right)
        || std::mem::discriminant(left) == std::mem::discriminant(right)
    {
        return Ok(());
    }
    Err("a text, a whole number and a fraction written here cannot be compared with each other".to_owned())
}

/// Joins the parts: first what stands between `and`s, then the rest.
fn join(parts: Vec<Expression>, joints: &[Joint]) -> Expression {
    let mut parts = parts.into_iter();
    let Some(mut group) = parts.next() else { return Expression::Truth(Operand::Text(String::new())) };
    let mut groups = Vec::new();
    for (joint, part) in joints.iter().zip(parts) {
        match joint {
            Joint::And => group = Expression::And(Box::new(group), Box::new(part)),
            Joint::Nand => group = Expression::Nand(Box::new(group), Box::new(part)),
            Joint::Xor => group = Expression::Xor(Box::new(group), Box::new(part)),
            Joint::Or => groups.push(std::mem::replace(&mut group, part)),
        }
    }
    groups.push(group);
    let mut groups = groups.into_iter().rev();
    let Some(mut joined) = groups.next() else { return Expression::Truth(Operand::Text(String::new())) };
    for group in groups {
        joined = Expression::Or(Box::new(group), Box::new(joined));
    }
    joined
}
