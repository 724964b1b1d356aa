//! Patterns: what stands between delimiters, and how a text is cut up by one. What becomes of the parts is left to the
//! filter.

use crate::scan;

/// What is done with a part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Nothing.
    Skip,
    /// It is stored under the name.
    Plain,
    /// It is appended to what the name holds.
    Append,
    /// It is stored under the name that is the value of the name.
    Indirect,
}

/// A part of a pattern: `%{name}`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Part {
    pub(crate) kind: Kind,
    pub(crate) name: String,
    /// The place among the parts that are appended: `/2`.
    pub(crate) order: u32,
    /// Whether the delimiter after it may stand there several times: `->`.
    pub(crate) greedy: bool,
    /// What stands between it and the part before it; empty for the first.
    pub(crate) delimiter: String,
}

/// A parsed pattern.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Pattern {
    /// What the text must begin with.
    pub(crate) leading: String,
    pub(crate) parts: Vec<Part>,
}

impl Pattern {
    /// Parses a pattern.
    pub(crate) fn parse(pattern: &str) -> Result<Self, String> {
        let mut parts: Vec<Part> = Vec::new();
        let mut leading = String::new();
        let mut rest = pattern;
        while let Some(open) = rest.find("%{")
            && let Some(length) = rest[open + 2..].find('}')
        {
            let mut part = parse_part(&rest[open + 2..open + 2 + length])?;
            let delimiter = rest[..open].to_owned();
            if parts.is_empty() {
                leading = delimiter;
            } else {
                part.delimiter = delimiter;
            }
            parts.push(part);
            rest = &rest[open + 2 + length + 1..];
        }
        // As in Logstash, a pattern without a part is refused, but for one that ends in a brace: that matches no text.
        if parts.is_empty() && !pattern.ends_with('}') {
            return Err(format!("the pattern {pattern:?} has no %{{field}}"));
        }
        // As in Logstash, only what follows the last brace is a delimiter.
        let trailing = rest.rsplit('}').next().unwrap_or_default();
        if !trailing.is_empty() {
            // Its name is Logstash's, and `%{&auto_added_skip}` finds it.
            parts.push(Part { delimiter: trailing.to_owned(), name: "auto_added_skip".to_owned(), ..skip() });
        }
        Ok(Pattern { leading, parts })
    }

    /// Cuts up a text: the begin and end of each part, in their order. `false` if it does not match; then `places` means
    /// nothing.
    #[inline]
    pub(crate) fn cut(&self, text: &str, places: &mut Vec<(usize, usize)>) -> bool {
        places.clear();
        let text = text.as_bytes();
        if !self.leading.is_empty() && !text.starts_with(self.leading.as_bytes()) {
            return false;
        }
        let mut left = self.leading.len();
        let mut before: Option<&Part> = None;
        for (index, part) in self.parts.iter().enumerate() {
            if before.is_some_and(|before| before.greedy) && !part.delimiter.is_empty() {
                while text[left..].starts_with(part.delimiter.as_bytes()) {
                    left += part.delimiter.len();
                }
            }
            let Some(next) = self.parts.get(index + 1) else {
                places.push((left, text.len()));
                return true;
            };
            let Some(end) = scan::find(text, left, text.len(), next.delimiter.as_bytes()) else {
                return false;
            };
            places.push((left, end));
            // As in Logstash, a delimiter at the very beginning is not stepped over.
            if end > 0 {
                left = end + next.delimiter.len();
            }
            before = Some(part);
        }
        false
    }
}

fn skip() -> Part {
    Part { kind: Kind::Skip, name: String::new(), order: 0, greedy: false, delimiter: String::new() }
}

fn parse_part(content: &str) -> Result<Part, String> {
    if content.starts_with("+&") || content.starts_with("&+") {
        return Err(format!("%{{{content}}} cannot be both appended (+) and indirect (&)"));
    }
    let (kind, name) = match content.as_bytes().first() {
        None => (Kind::Skip, content),
        Some(b'?') => (Kind::Skip, &content[1..]),
        Some(b'+') => (Kind::Append, &content[1..]),
        Some(b'&') => (Kind::Indirect, &content[1..]),
        Some(_) => (Kind::Plain, content),
    };
    let mut part = Part { kind, ..skip() };
    let mut name = name;
    let mut ordered = false;
    // Logstash looks for suffixes with a regular expression whose dot stands for no end of a line.
    let is_line = !name.contains(['\n', '\r', '\u{85}', '\u{2028}', '\u{2029}']);
    loop {
        if let Some(shorter) = name.strip_suffix("->").filter(|_| is_line && !part.greedy) {
            part.greedy = true;
            name = shorter;
        } else if let Some((shorter, order)) = order_of(name).filter(|_| is_line && !ordered) {
            ordered = true;
            part.order = order;
            name = shorter;
        } else {
            break;
        }
    }
    if name.is_empty() && matches!(kind, Kind::Append | Kind::Indirect) {
        return Err(format!("%{{{content}}} has no name"));
    }
    part.name = name.to_owned();
    Ok(part)
}

/// A name's suffix `/N`, of one or two digits.
fn order_of(name: &str) -> Option<(&str, u32)> {
    let (shorter, digits) = name.rsplit_once('/')?;
    let order = (1..=2).contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_digit());
    order.then(|| digits.parse().ok()).flatten().map(|order| (shorter, order))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check_part(content: &str, kind: Kind, name: &str, order: u32, greedy: bool) {
        let expected = Part { kind, name: name.to_owned(), order, greedy, delimiter: String::new() };
        assert_eq!(parse_part(content), Ok(expected), "{content}");
    }

    #[test]
    fn parts() {
        check_part("", Kind::Skip, "", 0, false);
        check_part("?a", Kind::Skip, "a", 0, false);
        check_part("a.b c", Kind::Plain, "a.b c", 0, false);
        check_part("->", Kind::Plain, "", 0, true);
        check_part("a->", Kind::Plain, "a", 0, true);
        check_part("+a/12", Kind::Append, "a", 12, false);
        check_part("+a/123", Kind::Append, "a/123", 0, false);
        check_part("+a/2->", Kind::Append, "a", 2, true);
        check_part("+a->/2", Kind::Append, "a", 2, true);
        check_part("&[a][b]", Kind::Indirect, "[a][b]", 0, false);
        check_part("+a->->", Kind::Append, "a->", 0, true);
        check_part("+a/2->/3", Kind::Append, "a/2", 3, true);
        check_part("+a\nb->/3", Kind::Append, "a\nb->/3", 0, false);
        check_part("*a", Kind::Plain, "*a", 0, false);
        for content in ["+&a", "&+a", "+", "&", "+/2", "&->"] {
            assert!(parse_part(content).is_err(), "{content}");
        }
    }

    fn check_cut(pattern: &str, text: &str, expected: Option<&[&str]>) {
        let pattern = Pattern::parse(pattern).expect("a pattern");
        let mut places = Vec::new();
        let matched = pattern.cut(text, &mut places);
        let parts: Vec<&str> = places.iter().map(|(start, end)| &text[*start..*end]).collect();
        assert_eq!(matched.then_some(parts.as_slice()), expected, "{pattern:?} {text:?}");
    }

    #[test]
    fn cuts() {
        check_cut("%{a} %{b}", "x y z", Some(&["x", "y z"]));
        check_cut("[%{a}] %{b}", "[x] y", Some(&["x", "y"]));
        check_cut("[%{a}]", "x]", None);
        check_cut("%{a}%{b}", "xy", None);
        check_cut("%{a->} %{b}", "x   y", Some(&["x", "y"]));
        check_cut("%{a->}  %{b}", "x     y", Some(&["x", " y"]));
        check_cut("%{a},%{b},%{c}", ",x,y", Some(&["", "", ",x,y"]));
        check_cut("%{?->}-%{a}", "-----666", Some(&["", "666"]));
        check_cut("%{a};", "x;", Some(&["x", ""]));
        check_cut("%{a}x}yz", "fooxx}yz", Some(&["fooxx}", ""]));
        check_cut("abc}", "abc}", None);
        check_cut("%{a}é%{b}", "xéy", Some(&["x", "y"]));
    }
}
