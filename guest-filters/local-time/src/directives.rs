//! The directives of a format (`%Y-%m-%d`), compiled once when the pipeline is built: Ruby's `strftime`, as far as the
//! manual lists it. Writing a time by them is left to `writer`.

/// One part of a format.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    /// This text.
    Literal(String),
    /// A number, filled up to a width.
    Number { value: Number, width: usize, padding: Padding },
    /// A name or another word.
    Word { value: Word, upper: bool },
    /// The first digits of the second's fraction.
    Fraction { digits: usize },
    /// The offset from UTC: `+0900`, with `colon` `+09:00`.
    Offset { colon: bool },
}

/// How a number is filled up on the left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Padding {
    None,
    Zeros,
    Blanks,
}

/// What a number says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Number {
    Year,
    Century,
    YearOfCentury,
    Month,
    Day,
    DayOfYear,
    WeekYear,
    WeekYearOfCentury,
    Week,
    /// Weeks that begin on Sunday; 0 before the first.
    WeekFromSunday,
    /// Weeks that begin on Monday; 0 before the first.
    WeekFromMonday,
    /// 1 (Monday) to 7.
    Weekday,
    /// 0 (Sunday) to 6.
    WeekdayFromSunday,
    Hour,
    HourOfHalfDay,
    Minute,
    Second,
    SecondsSince1970,
}

/// What a word says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Word {
    ShortWeekday,
    Weekday,
    ShortMonth,
    Month,
    /// `AM`, `PM`.
    HalfDay,
    /// `am`, `pm`.
    LowerHalfDay,
    /// The zone's abbreviation, such as `JST`.
    Zone,
}

impl Part {
    /// Whether it says the same all day.
    pub(crate) fn is_of_the_day(&self) -> bool {
        match self {
            Part::Literal(_) | Part::Offset { .. } => true,
            Part::Fraction { .. } => false,
            Part::Word { value, .. } => !matches!(value, Word::HalfDay | Word::LowerHalfDay),
            Part::Number { value, .. } => !matches!(
                value,
                Number::Hour
                    | Number::HourOfHalfDay
                    | Number::Minute
                    | Number::Second
                    | Number::SecondsSince1970
            ),
        }
    }
}

/// Why a format is refused, and what to write instead.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Refused {
    pub(crate) message: String,
    pub(crate) fix: String,
}

/// Compiles a format.
///
/// # Errors
/// On a directive that is not in the manual.
pub(crate) fn compile(format: &str) -> Result<Vec<Part>, Refused> {
    let mut parts = Vec::new();
    let mut rest = format;
    while let Some(start) = rest.find('%') {
        literal(&mut parts, &rest[..start]);
        let after = &rest[start + 1..];
        let length = directive(after, &mut parts)?;
        rest = &after[length..];
    }
    literal(&mut parts, rest);
    if parts.is_empty() {
        let message = "the format is empty".to_owned();
        return Err(Refused { message, fix: "write a format such as \"%Y-%m-%d\"".to_owned() });
    }
    Ok(parts)
}

fn literal(parts: &mut Vec<Part>, text: &str) {
    if text.is_empty() {
        return;
    }
    match parts.last_mut() {
        Some(Part::Literal(before)) => before.push_str(text),
        _ => parts.push(Part::Literal(text.to_owned())),
    }
}

/// Compiles the directive at the beginning (after its `%`) and answers its length.
fn directive(text: &str, parts: &mut Vec<Part>) -> Result<usize, Refused> {
    let mut padding = None;
    let mut upper = false;
    let mut colon = false;
    let mut digits = None;
    let mut letters = text.char_indices();
    let (end, letter) = loop {
        let Some((index, letter)) = letters.next() else {
            let message = format!("the format ends within a directive, %{text}");
            return Err(Refused { message, fix: "write %% for a percent sign".to_owned() });
        };
        match letter {
            '-' => padding = Some(Padding::None),
            '0' => padding = Some(Padding::Zeros),
            '_' => padding = Some(Padding::Blanks),
            '^' => upper = true,
            ':' => colon = true,
            '1'..='9' if digits.is_none() => digits = letter.to_digit(10),
            _ => break (index + letter.len_utf8(), letter),
        }
    };
    let refused = |fix: &str| {
        let message = format!("%{} is no directive that this filter knows", &text[..end]);
        Err(Refused { message, fix: fix.to_owned() })
    };
    let is_fraction = matches!(letter, 'N' | 'L');
    if digits.is_some() && !is_fraction {
        return refused("a width is only for %N and %L, such as %3N");
    }
    if colon && letter != 'z' {
        return refused("a colon is only for %:z");
    }
    let number = |value, width: usize, usual: Padding| Part::Number {
        value,
        width,
        padding: padding.unwrap_or(usual),
    };
    let zeros = |value, width: usize| number(value, width, Padding::Zeros);
    let blanks = |value, width: usize| number(value, width, Padding::Blanks);
    let word = |value| Part::Word { value, upper };
    let part = match letter {
        'Y' => zeros(Number::Year, 4),
        'C' => zeros(Number::Century, 2),
        'y' => zeros(Number::YearOfCentury, 2),
        'm' => zeros(Number::Month, 2),
        'd' => zeros(Number::Day, 2),
        'e' => blanks(Number::Day, 2),
        'j' => zeros(Number::DayOfYear, 3),
        'G' => zeros(Number::WeekYear, 4),
        'g' => zeros(Number::WeekYearOfCentury, 2),
        'V' => zeros(Number::Week, 2),
        'U' => zeros(Number::WeekFromSunday, 2),
        'W' => zeros(Number::WeekFromMonday, 2),
        'u' => zeros(Number::Weekday, 1),
        'w' => zeros(Number::WeekdayFromSunday, 1),
        'H' => zeros(Number::Hour, 2),
        'k' => blanks(Number::Hour, 2),
        'I' => zeros(Number::HourOfHalfDay, 2),
        'l' => blanks(Number::HourOfHalfDay, 2),
        'M' => zeros(Number::Minute, 2),
        'S' => zeros(Number::Second, 2),
        's' => zeros(Number::SecondsSince1970, 1),
        'L' => Part::Fraction { digits: digits.unwrap_or(3) as usize },
        'N' => Part::Fraction { digits: digits.unwrap_or(9) as usize },
        'a' => word(Word::ShortWeekday),
        'A' => word(Word::Weekday),
        'b' | 'h' => word(Word::ShortMonth),
        'B' => word(Word::Month),
        'p' => word(Word::HalfDay),
        'P' => word(Word::LowerHalfDay),
        'Z' => word(Word::Zone),
        'z' => Part::Offset { colon },
        'F' | 'T' | 'D' | 'R' | 'r' if padding.is_some() || upper => {
            return refused("write its parts one by one, such as %-m/%-d/%y");
        }
        'F' => return expand("%Y-%m-%d", parts, end),
        'T' => return expand("%H:%M:%S", parts, end),
        'D' => return expand("%m/%d/%y", parts, end),
        'R' => return expand("%H:%M", parts, end),
        'r' => return expand("%I:%M:%S %p", parts, end),
        'n' => return expand("\n", parts, end),
        't' => return expand("\t", parts, end),
        '%' => {
            literal(parts, "%");
            return Ok(end);
        }
        'f' => return refused("write %N, or %3N, %6N, %9N, for the fraction of a second"),
        'E' | 'O' => return refused("leave the E or O out; names are English"),
        'c' | 'x' | 'X' | '+' | 'v' => return refused("write its parts, such as %F %T"),
        'i' => return refused("write %M for the minute"),
        _ => return refused("the manual lists the directives; write %% for a percent sign"),
    };
    parts.push(part);
    Ok(end)
}

fn expand(format: &str, parts: &mut Vec<Part>, end: usize) -> Result<usize, Refused> {
    for part in compile(format)? {
        match part {
            Part::Literal(text) => literal(parts, &text),
            part => parts.push(part),
        }
    }
    Ok(end)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refused_with_a_way_out() {
        let check = |format: &str, part: &str, fix: &str| {
            let refused = compile(format).unwrap_err();
            assert!(refused.message.contains(part) && refused.fix.contains(fix), "{format}: {refused:?}");
        };
        check("%Y-%Q", "%Q is no directive", "%%");
        check("%f", "%f is no", "%3N");
        check("%10Y", "%1", "width");
        check("100%", "ends within", "%%");
        check("%-", "ends within", "%%");
        check("%:H", "%:H", "colon");
        check("%-F", "%-F", "one by one");
        check("%é", "%é", "%%");
        check("", "empty", "%Y-%m-%d");
    }

    #[test]
    fn literals_are_joined() {
        assert_eq!(compile("a%%b%nc").unwrap(), [Part::Literal("a%b\nc".to_owned())]);
    }
}
