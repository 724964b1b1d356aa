//! The sets of characters that have names: `\w`, `[[:alpha:]]`, `\p{Greek}`. In Ruby's dialect `\w`, `\d`, `\s` and `\h`
//! are ASCII and bracket names are Unicode's, unless `(?u)` or `(?a)` says otherwise.

use regex_syntax::hir::{Class, ClassUnicode, ClassUnicodeRange, HirKind};

/// What `(?d)`, `(?a)` and `(?u)` say of named sets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Extent {
    /// `\w` is ASCII, `[[:alpha:]]` and `\b` Unicode's.
    Default,
    Ascii,
    Unicode,
}

/// The set of `\w`, `\d`, `\s`, `\h`, or its opposite for a capital; `None` for another letter.
pub(super) fn of_letter(letter: char, extent: Extent) -> Option<ClassUnicode> {
    let extent = if extent == Extent::Unicode { Extent::Default } else { Extent::Ascii };
    let mut set = match letter.to_ascii_lowercase() {
        'w' => of_bracket("word", extent)?,
        'd' => of_bracket("digit", extent)?,
        's' => of_bracket("space", extent)?,
        'h' => of_bracket("xdigit", extent)?,
        _ => return None,
    };
    if letter.is_ascii_uppercase() {
        set.negate();
    }
    Some(set)
}

/// The set of a name between `[:` and `:]`.
pub(super) fn of_bracket(name: &str, extent: Extent) -> Option<ClassUnicode> {
    let mut set = match name {
        "alpha" => unicode("Alphabetic")?,
        "digit" => unicode("Nd")?,
        "alnum" => union(&["Alphabetic", "Nd"])?,
        "upper" => unicode("Uppercase")?,
        "lower" => unicode("Lowercase")?,
        "space" => unicode("White_Space")?,
        "blank" => with(unicode("Zs")?, &['\t'..='\t']),
        "cntrl" => unicode("Cc")?,
        "graph" => graph()?,
        "print" => {
            let mut set = graph()?;
            set.union(&unicode("Zs")?);
            set
        }
        "punct" => with(
            unicode("P")?,
            &['$'..='$', '+'..='+', '<'..='>', '^'..='^', '`'..='`', '|'..='|', '~'..='~'],
        ),
        "word" => union(&["Alphabetic", "M", "Nd", "Pc"])?,
        "xdigit" => with(ClassUnicode::empty(), &['0'..='9', 'A'..='F', 'a'..='f']),
        "ascii" => ascii(),
        _ => return None,
    };
    if extent == Extent::Ascii {
        set.intersect(&ascii());
    }
    Some(set)
}

/// The set of a name between `\p{` and `}`. Letter case, spaces, `-` and `_` do not matter in it.
pub(super) fn of_property(name: &str) -> Option<ClassUnicode> {
    let name: String = name
        .chars()
        .filter(|letter| !matches!(letter, ' ' | '-' | '_'))
        .collect::<String>()
        .to_ascii_lowercase();
    if let Some(set) = of_bracket(&name, Extent::Default) {
        return Some(set);
    }
    match name.as_str() {
        "any" => Some(any()),
        "assigned" => {
            let mut set = unicode("Cn")?;
            set.negate();
            Some(set)
        }
        _ => {
            // With `=` Ruby knows only the age.
            let known = name.starts_with("age=") || name.chars().all(|letter| letter.is_ascii_alphanumeric());
            if known { unicode(&name) } else { None }
        }
    }
}

/// A set by one of Unicode's own names.
pub(super) fn unicode(name: &str) -> Option<ClassUnicode> {
    let parsed = regex_syntax::parse(&format!("\\p{{{name}}}")).ok()?;
    match parsed.into_kind() {
        HirKind::Class(Class::Unicode(set)) => Some(set),
        // A set of one.
        HirKind::Literal(literal) => {
            let letter = std::str::from_utf8(&literal.0).ok()?.chars().next()?;
            Some(with(ClassUnicode::empty(), &[letter..=letter]))
        }
        _ => None,
    }
}

/// All characters.
pub(super) fn any() -> ClassUnicode {
    with(ClassUnicode::empty(), &['\0'..=char::MAX])
}

/// All characters but the line feed.
pub(super) fn any_but_line_feed() -> ClassUnicode {
    let mut set = with(ClassUnicode::empty(), &['\n'..='\n']);
    set.negate();
    set
}

/// The set with some ranges more.
pub(super) fn with(mut set: ClassUnicode, ranges: &[std::ops::RangeInclusive<char>]) -> ClassUnicode {
    for range in ranges {
        set.push(ClassUnicodeRange::new(*range.start(), *range.end()));
    }
    set
}

fn ascii() -> ClassUnicode {
    with(ClassUnicode::empty(), &['\0'..='\x7f'])
}

fn union(names: &[&str]) -> Option<ClassUnicode> {
    let mut set = ClassUnicode::empty();
    for name in names {
        set.union(&unicode(name)?);
    }
    Some(set)
}

fn graph() -> Option<ClassUnicode> {
    let mut set = union(&["White_Space", "Cc", "Cn"])?;
    set.negate();
    Some(set)
}
