//! Field references, Logstash's names of fields: `name`, or `[a][b]`. The rules are Logstash's (its
//! `FieldReference`); what a reference means on an event's data is left to the host and to the guests.

use std::fmt;

/// A parsed field reference: the way to a field, fragment by fragment. Never empty.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FieldReference {
    fragments: Vec<String>,
}

impl FieldReference {
    /// The most fragments of a reference that crosses between host and guests.
    pub const MOST_FRAGMENTS: usize = 64;

    /// The most bytes that its fragments have together.
    pub const MOST_BYTES: usize = 4096;

    /// Parses Logstash's form. Without a bracket the whole text is one top-level key, dots and spaces included.
    ///
    /// # Errors
    /// On text outside brackets, an empty fragment, or brackets that do not match; the message says which.
    pub fn parse(text: &str) -> Result<Self, String> {
        if !text.contains(['[', ']']) {
            return Ok(FieldReference { fragments: vec![text.to_owned()] });
        }
        let mut fragments = Vec::new();
        let mut fragment = String::new();
        let mut depth = 0_usize;
        // After a `]` only another bracket may follow.
        let mut closed = false;
        for letter in text.chars() {
            match letter {
                '[' => {
                    if !fragment.is_empty() {
                        return Err(format!("field reference {text:?} has text before a nested bracket"));
                    }
                    depth += 1;
                    closed = false;
                }
                ']' => {
                    if depth == 0 {
                        return Err(format!("field reference {text:?} closes a bracket that was not opened"));
                    }
                    depth -= 1;
                    if !closed {
                        if fragment.is_empty() {
                            return Err(format!("field reference {text:?} has an empty fragment"));
                        }
                        fragments.push(std::mem::take(&mut fragment));
                    }
                    closed = true;
                }
                _ if depth == 0 || closed => {
                    return Err(format!(
                        "field reference {text:?} has text outside brackets; write [a][b], or a name without brackets"
                    ));
                }
                _ => fragment.push(letter),
            }
        }
        if depth != 0 {
            return Err(format!("field reference {text:?} does not close its bracket"));
        }
        Ok(FieldReference { fragments })
    }

    /// A reference made of these fragments.
    ///
    /// # Panics
    /// If there are none: a reference leads somewhere.
    pub fn from_fragments<T: Into<String>>(fragments: impl IntoIterator<Item = T>) -> Self {
        let fragments: Vec<String> = fragments.into_iter().map(Into::into).collect();
        assert!(!fragments.is_empty(), "a field reference has at least one fragment");
        FieldReference { fragments }
    }

    /// The fragments, outermost first.
    pub fn fragments(&self) -> &[String] {
        &self.fragments
    }

    /// Whether it has more fragments or bytes than may cross between host and guests.
    pub fn is_overlong(&self) -> bool {
        let bytes: usize = self.fragments.iter().map(String::len).sum();
        self.fragments.len() > Self::MOST_FRAGMENTS || bytes > Self::MOST_BYTES
    }

    /// Whether the field lies in `[@metadata]`, or is it.
    pub fn is_metadata(&self) -> bool {
        self.fragments[0] == "@metadata"
    }

    /// The reference with one more fragment.
    pub fn child(&self, fragment: &str) -> Self {
        let mut fragments = self.fragments.clone();
        fragments.push(fragment.to_owned());
        FieldReference { fragments }
    }

    /// The references above this one, outermost first.
    pub fn ancestors(&self) -> impl Iterator<Item = FieldReference> + '_ {
        (1..self.fragments.len()).map(|end| FieldReference { fragments: self.fragments[..end].to_vec() })
    }

    /// Whether this reference leads to something inside what `other` leads to.
    pub fn is_below(&self, other: &FieldReference) -> bool {
        self.fragments.len() > other.fragments.len() && self.fragments.starts_with(&other.fragments)
    }
}

/// The canonical form: every fragment in brackets.
impl fmt::Display for FieldReference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for fragment in &self.fragments {
            write!(f, "[{fragment}]")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: Option<&[&str]>) {
        let parsed = FieldReference::parse(text);
        let fragments = parsed.as_ref().ok().map(|reference| reference.fragments());
        let expected: Option<Vec<String>> =
            expected.map(|list| list.iter().map(ToString::to_string).collect());
        assert_eq!(fragments, expected.as_deref(), "{text:?}: {parsed:?}");
    }

    #[test]
    fn forms() {
        check("a", Some(&["a"]));
        check("a.b c%", Some(&["a.b c%"]));
        check("", Some(&[""]));
        check("[a]", Some(&["a"]));
        check("[a][b]", Some(&["a", "b"]));
        check("[[a][b]][c]", Some(&["a", "b", "c"]));
        check("[[x]]", Some(&["x"]));
        check("[@metadata][x.y]", Some(&["@metadata", "x.y"]));
    }

    #[test]
    fn refused() {
        for text in ["a[b]", "[a]b[c]", "[]", "a]", "[a", "[a[b]]", "[a]b", "[[a]b]", "[a][]"] {
            check(text, None);
        }
    }
}
