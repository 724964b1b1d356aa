//! Joda-Time's patterns (`dd/MMM/yyyy:HH:mm:ss Z`): what a pattern is made of, compiled once when the pipeline is built.
//! Reading a text by it is left to `pattern_reader`.

use crate::fields::Field;
use crate::names::{Locale, NameTable};

/// One part of a pattern, as it is read from a text.
#[derive(Debug)]
pub(crate) enum Part {
    /// This text, letter case aside.
    Literal(String),
    /// A number of up to `max` digits.
    Number { field: Field, max: usize, signed: bool },
    /// A year of which two digits mean one within 100 years around now; `exact`: no more and no fewer than two digits.
    ShortYear { field: Field, first: i64, exact: bool },
    /// A name of this field.
    Name { field: Field, names: NameTable },
    /// Digits of a fraction of a second.
    Fraction { max: usize },
    /// An offset from UTC.
    Offset,
    /// A zone's id.
    ZoneId,
    /// A zone's abbreviation.
    ZoneAbbreviation,
}

/// A compiled pattern.
#[derive(Debug)]
pub(crate) struct Pattern {
    pub(crate) parts: Vec<Part>,
    /// The fields in the order in which they are applied, each with the number of its value among those read.
    pub(crate) order: Vec<(Field, usize)>,
    /// The values of the text being read, in the order of the pattern; the last is the default year.
    pub(crate) values: Vec<i64>,
    /// The usual fields, each at most once: a shorter way to a local time.
    pub(crate) usual: Option<Usual>,
    /// No letter of a year anywhere, quoted or not: the year is guessed from now.
    pub(crate) yearless: bool,
    /// A `Z` anywhere, quoted or not.
    pub(crate) zoned: bool,
}

/// Where the values of a pattern's usual fields are; a field that is not there has a value that holds its default.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Usual {
    pub(crate) year: usize,
    pub(crate) month: usize,
    pub(crate) day: usize,
    pub(crate) weekday: Option<usize>,
    pub(crate) hour: Hour,
    pub(crate) minute: usize,
    pub(crate) second: usize,
    pub(crate) fraction: usize,
}

/// How a pattern says the hour.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Hour {
    /// 0 to 23.
    OfDay(usize),
    /// 1 to 12, and the half of the day.
    OfHalfDay { clock_hour: usize, half: usize },
}

impl Pattern {
    /// Compiles a pattern. Names are the locale's; `year` and `week_year` are now's, for years of two digits and for
    /// texts without a year.
    ///
    /// # Errors
    /// A message that says which part of the pattern is wrong, and what to write instead.
    pub(crate) fn compile(
        text: &str,
        locale: &Locale,
        year: i64,
        week_year: i64,
    ) -> Result<Pattern, Refused> {
        let tokens = tokens(text);
        let mut parts = Vec::with_capacity(tokens.len());
        for (index, token) in tokens.iter().enumerate() {
            let numeric_next = tokens.get(index + 1).is_some_and(Token::is_numeric);
            match token {
                Token::Text(literal) if literal.is_empty() => {}
                Token::Text(literal) => parts.push(Part::Literal(literal.clone())),
                Token::Letters(letter, run) => {
                    parts.push(part(*letter, *run, numeric_next, locale, year, week_year)?);
                }
            }
        }
        if parts.is_empty() {
            let message = "a pattern needs at least one letter of a time".to_owned();
            return Err(Refused {
                message,
                fix: "write a pattern such as \"yyyy-MM-dd HH:mm:ss\"".to_owned(),
            });
        }
        let mut order: Vec<(Field, usize)> = Vec::new();
        for part in &parts {
            let field = match part {
                Part::Number { field, .. } | Part::ShortYear { field, .. } | Part::Name { field, .. } => {
                    *field
                }
                Part::Fraction { .. } => Field::Fraction,
                Part::Literal(_) | Part::Offset | Part::ZoneId | Part::ZoneAbbreviation => continue,
            };
            order.push((field, order.len()));
        }
        let read = order.len();
        order.sort_by_key(|(field, _)| field.rank());
        if order.first().is_some_and(|(field, _)| field.needs_year()) {
            order.insert(0, (Field::Year, read));
        }
        let mut values = vec![0; read];
        values.push(year);
        let usual = usual(&order, &mut values);
        let yearless = !text.contains(['y', 'Y']);
        Ok(Pattern { parts, order, values, usual, yearless, zoned: text.contains('Z') })
    }
}

/// Why a pattern is refused.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Refused {
    pub(crate) message: String,
    pub(crate) fix: String,
}

enum Token {
    /// One letter, so many times.
    Letters(char, usize),
    /// Text between letters, quotes resolved.
    Text(String),
}

impl Token {
    /// Whether Joda takes it for a number, so that a year before it may not read on.
    fn is_numeric(&self) -> bool {
        match self {
            Token::Letters('M', run) => *run <= 2,
            Token::Letters(letter, _) => "cCxyYdhHmsSeDFwWkK".contains(*letter),
            Token::Text(_) => false,
        }
    }
}

fn tokens(pattern: &str) -> Vec<Token> {
    let mut tokens = Vec::new();
    let mut letters = pattern.chars().peekable();
    while let Some(&letter) = letters.peek() {
        if letter.is_ascii_alphabetic() {
            let mut run = 0;
            while letters.next_if_eq(&letter).is_some() {
                run += 1;
            }
            tokens.push(Token::Letters(letter, run));
            continue;
        }
        let mut text = String::new();
        let mut quoted = false;
        while let Some(&letter) = letters.peek() {
            if letter.is_ascii_alphabetic() && !quoted {
                break;
            }
            letters.next();
            if letter != '\'' {
                text.push(letter);
            } else if letters.next_if_eq(&'\'').is_some() {
                text.push('\'');
            } else {
                quoted = !quoted;
            }
        }
        tokens.push(Token::Text(text));
    }
    tokens
}

fn part(
    letter: char,
    run: usize,
    numeric_next: bool,
    locale: &Locale,
    year: i64,
    week_year: i64,
) -> Result<Part, Refused> {
    let number = |field, max: usize| Ok(Part::Number { field, max: max.max(run), signed: false });
    let name = |field, names: NameTable| Ok(Part::Name { field, names });
    match letter {
        'G' => name(Field::Era, locale.eras()),
        'C' => Ok(Part::Number { field: Field::CenturyOfEra, max: run, signed: true }),
        'x' | 'y' | 'Y' => {
            let field = if letter == 'x' { Field::WeekYear } else { Field::Year };
            if run == 2 {
                let now = if letter == 'x' { week_year } else { year };
                return Ok(Part::ShortYear { field, first: now - 80, exact: numeric_next });
            }
            let max = if numeric_next { run } else { run.max(9) };
            let field = if letter == 'Y' { Field::YearOfEra } else { field };
            Ok(Part::Number { field, max, signed: letter != 'Y' })
        }
        'M' if run >= 3 => name(Field::Month, locale.months()),
        'M' => number(Field::Month, 2),
        'd' => number(Field::DayOfMonth, 2),
        'a' => name(Field::HalfDay, locale.half_days()),
        'h' => number(Field::ClockHourOfHalfDay, 2),
        'H' => number(Field::HourOfDay, 2),
        'k' => number(Field::ClockHourOfDay, 2),
        'K' => number(Field::HourOfHalfDay, 2),
        'm' => number(Field::Minute, 2),
        's' => number(Field::Second, 2),
        'S' => Ok(Part::Fraction { max: run }),
        'e' => number(Field::DayOfWeek, 1),
        'E' => name(Field::DayOfWeek, locale.weekdays()),
        'D' => number(Field::DayOfYear, 3),
        'w' => number(Field::WeekOfYear, 2),
        'z' if run <= 3 => Ok(Part::ZoneAbbreviation),
        'z' => Err(Refused {
            message: "full names of time zones (zzzz) cannot be read".to_owned(),
            fix: "use z for an abbreviation such as EST, ZZZ for an id such as Europe/Paris, or Z for an offset"
                .to_owned(),
        }),
        'Z' if run <= 2 => Ok(Part::Offset),
        'Z' => Ok(Part::ZoneId),
        _ => Err(Refused { message: format!("{letter:?} is no letter of a date pattern"), fix: instead(letter) }),
    }
}

/// What was probably meant by a letter that patterns do not have.
fn instead(letter: char) -> String {
    match letter {
        'u' => "write yyyy for the year".to_owned(),
        'L' => "write M for the month".to_owned(),
        'X' | 'O' | 'V' => {
            "write Z for an offset such as +0100, ZZZ for an id such as Europe/Paris".to_owned()
        }
        'T' => "put text between quotes: 'T'".to_owned(),
        'n' | 'N' | 'A' | 'F' | 'f' => "write S for digits of a fraction of a second".to_owned(),
        'c' => "write e for the number of a weekday, E for its name".to_owned(),
        'W' => "write w for the week of the year".to_owned(),
        _ => format!(
            "put text between quotes ('{letter}'); the letters are G C x y Y M w D d e E a H k K h m s S z Z"
        ),
    }
}

/// The short way, if the pattern has only what it knows. Fields that the pattern lacks get a value of their own.
fn usual(order: &[(Field, usize)], values: &mut Vec<i64>) -> Option<Usual> {
    let repeated = |field: Field| order.iter().filter(|(other, _)| *other == field).count() > 1;
    let known = [
        Field::Year,
        Field::Month,
        Field::DayOfMonth,
        Field::DayOfWeek,
        Field::HourOfDay,
        Field::HalfDay,
        Field::ClockHourOfHalfDay,
        Field::Minute,
        Field::Second,
        Field::Fraction,
    ];
    if order.iter().any(|(field, _)| !known.contains(field) || repeated(*field)) {
        return None;
    }
    let find = |field: Field| order.iter().find(|(other, _)| *other == field).map(|(_, value)| *value);
    let has_half_day = find(Field::HalfDay).is_some() || find(Field::ClockHourOfHalfDay).is_some();
    if has_half_day && find(Field::HourOfDay).is_some() {
        return None;
    }
    // A weekday may move the date into another month or year, where a field that the text does not name stays.
    let has_date =
        [Field::Year, Field::Month, Field::DayOfMonth].into_iter().all(|field| find(field).is_some());
    if find(Field::DayOfWeek).is_some() && !has_date {
        return None;
    }
    let mut place = |field: Field, otherwise: i64| {
        find(field).unwrap_or_else(|| {
            values.push(otherwise);
            values.len() - 1
        })
    };
    let hour = if has_half_day {
        Hour::OfHalfDay { clock_hour: place(Field::ClockHourOfHalfDay, 12), half: place(Field::HalfDay, 0) }
    } else {
        Hour::OfDay(place(Field::HourOfDay, 0))
    };
    Some(Usual {
        year: place(Field::Year, 1970),
        month: place(Field::Month, 1),
        day: place(Field::DayOfMonth, 1),
        weekday: find(Field::DayOfWeek),
        hour,
        minute: place(Field::Minute, 0),
        second: place(Field::Second, 0),
        fraction: place(Field::Fraction, 0),
    })
}
