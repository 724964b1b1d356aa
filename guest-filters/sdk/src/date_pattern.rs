//! Printing times by a pattern: Joda's letters (`%{+YYYY.MM.dd}`) and java.time's (`%{{yyyy-MM-dd}}`), in UTC, with English
//! names. Joda's weeks are ISO 8601's; java.time's are those of its English locale, which begin on Sunday and of which the
//! first holds January 1st. Reading times, zones and other languages are left to the filters that know them.

use crate::timestamp::{Civil, SECOND, day_of_date};

/// A parsed pattern.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DatePattern {
    items: Vec<Item>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Item {
    Literal(String),
    /// A number, filled with zeros to this width.
    Number(Number, usize),
    /// The last two digits.
    TwoDigits(Number),
    Name(Name),
    /// Digits of the second's fraction, and how many of them there really are (Joda knows milliseconds only).
    Fraction {
        digits: usize,
        real: usize,
    },
    /// What follows, filled with spaces to a width.
    Padded(usize, Box<Item>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Number {
    Century,
    Year,
    YearOfEra,
    WeekYear,
    SundayWeekYear,
    Quarter,
    Month,
    Week,
    SundayWeek,
    SundayWeekOfMonth,
    DayOfYear,
    Day,
    WeekdayOfMonth,
    Weekday,
    WeekdayFromSunday,
    Hour,
    HourOfHalf,
    ClockHour,
    ClockHourOfHalf,
    Minute,
    Second,
    Nanosecond,
    MillisecondOfDay,
    NanosecondOfDay,
    ModifiedJulianDay,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Name {
    Era,
    EraFull,
    EraNarrow,
    Month,
    MonthFull,
    MonthNarrow,
    Weekday,
    WeekdayFull,
    WeekdayNarrow,
    Quarter,
    QuarterFull,
    Half,
    DayPeriod,
    DayPeriodNarrow,
}

const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];
const WEEKDAYS: [&str; 7] = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"];

impl DatePattern {
    /// Parses a pattern of Joda-Time.
    ///
    /// # Errors
    /// On a letter that has no meaning; the message names it.
    pub fn joda(pattern: &str) -> Result<Self, String> {
        let mut items = Vec::new();
        for piece in pieces(pattern, false)? {
            let item = match piece {
                Piece::Literal(text) => Item::Literal(text),
                Piece::Letters(letter, count) => joda_item(letter, count)
                    .ok_or_else(|| format!("{letter:?} has no meaning in the date pattern {pattern:?}"))?,
                Piece::Bracket => continue,
            };
            items.push(item);
        }
        Ok(DatePattern { items })
    }

    /// Parses a pattern of java.time's `DateTimeFormatter`.
    ///
    /// # Errors
    /// On a letter that has no meaning, or not that many times; the message names it.
    pub fn java_time(pattern: &str) -> Result<Self, String> {
        let mut items = Vec::new();
        let mut pad = None;
        for piece in pieces(pattern, true)? {
            let item = match piece {
                Piece::Letters('p', count) if pad.is_none() => {
                    pad = Some(count);
                    continue;
                }
                Piece::Letters(letter, count) => java_item(letter, count).ok_or_else(|| {
                    format!("{letter:?} has no meaning {count} times in the date pattern {pattern:?}")
                })?,
                _ if pad.is_some() => {
                    return Err(format!("'p' stands before no letter in the date pattern {pattern:?}"));
                }
                Piece::Literal(text) => Item::Literal(text),
                // An optional part is always there when a time is printed.
                Piece::Bracket => continue,
            };
            items.push(match pad.take() {
                Some(width) => Item::Padded(width, Box::new(item)),
                None => item,
            });
        }
        if pad.is_some() {
            return Err(format!("'p' is the last letter of the date pattern {pattern:?}"));
        }
        Ok(DatePattern { items })
    }

    /// Writes a time, in nanoseconds since 1970-01-01T00:00:00Z, at the end of `text`.
    ///
    /// # Errors
    /// If a part is longer than the width to which `p` is to fill it.
    pub fn write(&self, nanoseconds: i64, text: &mut String) -> Result<(), String> {
        let civil = Civil::from_nanoseconds(nanoseconds);
        for item in &self.items {
            write_item(item, &civil, text)?;
        }
        Ok(())
    }
}

enum Piece {
    Literal(String),
    Letters(char, usize),
    /// The beginning or end of an optional part.
    Bracket,
}

/// Cuts a pattern into runs of letters and what stands between them.
fn pieces(pattern: &str, strict: bool) -> Result<Vec<Piece>, String> {
    let mut pieces = Vec::new();
    let mut literal = String::new();
    let mut open_brackets = 0_usize;
    let mut letters = pattern.chars().peekable();
    while let Some(letter) = letters.next() {
        if letter.is_ascii_alphabetic() {
            let mut count = 1;
            while letters.next_if_eq(&letter).is_some() {
                count += 1;
            }
            if !literal.is_empty() {
                pieces.push(Piece::Literal(std::mem::take(&mut literal)));
            }
            pieces.push(Piece::Letters(letter, count));
        } else if letter == '\'' {
            if letters.next_if_eq(&'\'').is_some() {
                literal.push('\'');
                continue;
            }
            let mut closed = false;
            while let Some(quoted) = letters.next() {
                if quoted != '\'' {
                    literal.push(quoted);
                } else if letters.next_if_eq(&'\'').is_some() {
                    literal.push('\'');
                } else {
                    closed = true;
                    break;
                }
            }
            if strict && !closed {
                return Err(format!("the date pattern {pattern:?} does not close its quote"));
            }
        } else if strict && matches!(letter, '{' | '}' | '#') {
            return Err(format!("{letter:?} has no meaning in the date pattern {pattern:?}"));
        } else if strict && matches!(letter, '[' | ']') {
            let opened = if letter == '[' { Some(open_brackets + 1) } else { open_brackets.checked_sub(1) };
            open_brackets =
                opened.ok_or_else(|| format!("the date pattern {pattern:?} has a ']' without a '['"))?;
            if !literal.is_empty() {
                pieces.push(Piece::Literal(std::mem::take(&mut literal)));
            }
            pieces.push(Piece::Bracket);
        } else {
            literal.push(letter);
        }
    }
    if !literal.is_empty() {
        pieces.push(Piece::Literal(literal));
    }
    Ok(pieces)
}

fn joda_item(letter: char, count: usize) -> Option<Item> {
    let year = |number| if count == 2 { Item::TwoDigits(number) } else { Item::Number(number, count) };
    let literal = |text: &str| Item::Literal(text.to_owned());
    Some(match letter {
        'G' => Item::Name(Name::Era),
        'C' => Item::Number(Number::Century, count),
        'y' => year(Number::Year),
        'Y' => year(Number::YearOfEra),
        'x' => year(Number::WeekYear),
        'M' if count >= 4 => Item::Name(Name::MonthFull),
        'M' if count == 3 => Item::Name(Name::Month),
        'M' => Item::Number(Number::Month, count),
        'w' => Item::Number(Number::Week, count),
        'e' => Item::Number(Number::Weekday, count),
        'E' if count >= 4 => Item::Name(Name::WeekdayFull),
        'E' => Item::Name(Name::Weekday),
        'D' => Item::Number(Number::DayOfYear, count),
        'd' => Item::Number(Number::Day, count),
        'a' => Item::Name(Name::Half),
        'H' => Item::Number(Number::Hour, count),
        'k' => Item::Number(Number::ClockHour, count),
        'K' => Item::Number(Number::HourOfHalf, count),
        'h' => Item::Number(Number::ClockHourOfHalf, count),
        'm' => Item::Number(Number::Minute, count),
        's' => Item::Number(Number::Second, count),
        'S' => Item::Fraction { digits: count, real: 3 },
        'z' if count >= 4 => literal("Coordinated Universal Time"),
        'z' => literal("UTC"),
        'Z' if count == 1 => literal("+0000"),
        'Z' if count == 2 => literal("+00:00"),
        'Z' => literal("UTC"),
        _ => return None,
    })
}

fn java_item(letter: char, count: usize) -> Option<Item> {
    let literal = |text: &str| Item::Literal(text.to_owned());
    let up_to = |most: usize, number| (count <= most).then_some(Item::Number(number, count));
    // Java's own limits: a table of it ends at ten digits, and is not asked from nineteen on.
    let year = |number, most: usize| match count {
        2 => Some(Item::TwoDigits(number)),
        11..=18 => None,
        _ => (count <= most).then_some(Item::Number(number, count)),
    };
    let named = |short, full, narrow| match count {
        3 => Some(Item::Name(short)),
        4 => Some(Item::Name(full)),
        5 => Some(Item::Name(narrow)),
        _ => None,
    };
    match (letter, count) {
        ('G', 1..=3) => Some(Item::Name(Name::Era)),
        ('G', 4) => Some(Item::Name(Name::EraFull)),
        ('G', 5) => Some(Item::Name(Name::EraNarrow)),
        ('u', _) => year(Number::Year, 19),
        ('y', _) => year(Number::YearOfEra, 19),
        ('Y', _) => year(Number::SundayWeekYear, usize::MAX),
        ('Q' | 'q', 1 | 2) => Some(Item::Number(Number::Quarter, count)),
        ('Q' | 'q', 3) => Some(Item::Name(Name::Quarter)),
        ('Q' | 'q', 4) => Some(Item::Name(Name::QuarterFull)),
        ('Q' | 'q', 5) => Some(Item::Number(Number::Quarter, 1)),
        ('M' | 'L', 1 | 2) => Some(Item::Number(Number::Month, count)),
        ('M' | 'L', _) => named(Name::Month, Name::MonthFull, Name::MonthNarrow),
        ('w', _) => up_to(2, Number::SundayWeek),
        ('W', _) => up_to(1, Number::SundayWeekOfMonth),
        ('D', _) => up_to(3, Number::DayOfYear),
        ('d', _) => up_to(2, Number::Day),
        // The week, as since Java 19; before it was the day, counted within weeks that begin with the month.
        ('F', _) => up_to(1, Number::WeekdayOfMonth),
        ('g', _) => up_to(19, Number::ModifiedJulianDay),
        ('E', 1 | 2) => Some(Item::Name(Name::Weekday)),
        ('e', 1 | 2) | ('c', 1) => Some(Item::Number(Number::WeekdayFromSunday, count)),
        ('E' | 'e' | 'c', _) => named(Name::Weekday, Name::WeekdayFull, Name::WeekdayNarrow),
        ('a', 1) => Some(Item::Name(Name::Half)),
        ('B', 1 | 4) => Some(Item::Name(Name::DayPeriod)),
        ('B', 5) => Some(Item::Name(Name::DayPeriodNarrow)),
        ('h', _) => up_to(2, Number::ClockHourOfHalf),
        ('H', _) => up_to(2, Number::Hour),
        ('k', _) => up_to(2, Number::ClockHour),
        ('K', _) => up_to(2, Number::HourOfHalf),
        ('m', _) => up_to(2, Number::Minute),
        ('s', _) => up_to(2, Number::Second),
        ('S', 1..=9) => Some(Item::Fraction { digits: count, real: 9 }),
        ('A', _) => up_to(19, Number::MillisecondOfDay),
        ('n', _) => up_to(19, Number::Nanosecond),
        ('N', _) => up_to(19, Number::NanosecondOfDay),
        ('V', 2) | ('z', 1..=4) | ('v', 1 | 4) | ('X', 1..=5) | ('Z', 5) => Some(literal("Z")),
        ('O', 1 | 4) | ('Z', 4) => Some(literal("GMT")),
        ('x', 1) => Some(literal("+00")),
        ('x', 2 | 4) | ('Z', 1..=3) => Some(literal("+0000")),
        ('x', 3 | 5) => Some(literal("+00:00")),
        _ => None,
    }
}

fn write_item(item: &Item, civil: &Civil, text: &mut String) -> Result<(), String> {
    match item {
        Item::Literal(literal) => text.push_str(literal),
        Item::Number(number, width) => write_number(number_of(*number, civil), *width, text),
        Item::TwoDigits(number) => write_number(number_of(*number, civil).rem_euclid(100), 2, text),
        Item::Name(name) => text.push_str(name_of(*name, civil)),
        Item::Fraction { digits, real } => {
            let mut place = SECOND / 10;
            for digit in 0..*digits {
                let shown =
                    if digit < *real && place > 0 { i64::from(civil.nanosecond) / place % 10 } else { 0 };
                text.push(char::from(b'0' + shown as u8));
                place /= 10;
            }
        }
        Item::Padded(width, item) => {
            let mut inner = String::new();
            write_item(item, civil, &mut inner)?;
            let missing = width.checked_sub(inner.chars().count());
            let missing = missing
                .ok_or_else(|| format!("{inner:?} is longer than the {width} that 'p' is to fill it to"))?;
            text.extend(std::iter::repeat_n(' ', missing));
            text.push_str(&inner);
        }
    }
    Ok(())
}

fn write_number(number: i64, width: usize, text: &mut String) {
    if number < 0 {
        text.push('-');
    }
    let mut buffer = [b'0'; 20];
    let mut start = buffer.len();
    let mut rest = number.unsigned_abs();
    while rest > 0 {
        start -= 1;
        buffer[start] = b'0' + (rest % 10) as u8;
        rest /= 10;
    }
    let digits = buffer.len() - start;
    text.extend(std::iter::repeat_n('0', width.max(1).saturating_sub(digits)));
    text.extend(buffer[start..].iter().map(|byte| char::from(*byte)));
}

fn number_of(number: Number, civil: &Civil) -> i64 {
    let day = || day_of_date(civil.year, civil.month, civil.day);
    let day_of_year = || day() - day_of_date(civil.year, 1, 1) + 1;
    let second_of_day = i64::from(civil.hour * 3600 + civil.minute * 60 + civil.second);
    let year_of_era = if civil.year <= 0 { 1 - civil.year } else { civil.year };
    let hour = i64::from(civil.hour);
    let one_to = |most: i64, value: i64| if value == 0 { most } else { value };
    match number {
        Number::Century => year_of_era / 100,
        Number::Year => civil.year,
        Number::YearOfEra => year_of_era,
        Number::WeekYear => iso_week(day()).0,
        Number::SundayWeekYear => sunday_week(day()).0,
        Number::Quarter => i64::from((civil.month - 1) / 3 + 1),
        Number::Month => i64::from(civil.month),
        Number::Week => iso_week(day()).1,
        Number::SundayWeek => sunday_week(day()).1,
        Number::SundayWeekOfMonth => {
            let first = weekday(day_of_date(civil.year, civil.month, 1)) % 7;
            (i64::from(civil.day) - 1 + first) / 7 + 1
        }
        Number::DayOfYear => day_of_year(),
        Number::Day => i64::from(civil.day),
        Number::WeekdayOfMonth => i64::from((civil.day - 1) / 7 + 1),
        Number::Weekday => weekday(day()),
        Number::WeekdayFromSunday => weekday(day()) % 7 + 1,
        Number::Hour => hour,
        Number::HourOfHalf => hour % 12,
        Number::ClockHour => one_to(24, hour),
        Number::ClockHourOfHalf => one_to(12, hour % 12),
        Number::Minute => i64::from(civil.minute),
        Number::Second => i64::from(civil.second),
        Number::Nanosecond => i64::from(civil.nanosecond),
        Number::MillisecondOfDay => second_of_day * 1000 + i64::from(civil.nanosecond / 1_000_000),
        Number::NanosecondOfDay => second_of_day * SECOND + i64::from(civil.nanosecond),
        Number::ModifiedJulianDay => day() + 40_587,
    }
}

/// 1 for Monday to 7 for Sunday. Day 0, 1970-01-01, was a Thursday.
fn weekday(day: i64) -> i64 {
    (day + 3).rem_euclid(7) + 1
}

/// Week-year and week of ISO 8601: the week belongs to the year of its Thursday.
fn iso_week(day: i64) -> (i64, i64) {
    let thursday = day - weekday(day) + 4;
    let (year, _, _) = crate::timestamp::date_of_day(thursday);
    (year, (thursday - day_of_date(year, 1, 1)) / 7 + 1)
}

/// The same of weeks that begin on Sunday: the week belongs to the year of its Saturday.
fn sunday_week(day: i64) -> (i64, i64) {
    let saturday = day - weekday(day) % 7 + 6;
    let (year, _, _) = crate::timestamp::date_of_day(saturday);
    (year, (saturday - day_of_date(year, 1, 1)) / 7 + 1)
}

fn name_of(name: Name, civil: &Civil) -> &'static str {
    let month = MONTHS[(civil.month as usize - 1) % 12];
    let weekday = || WEEKDAYS[weekday(day_of_date(civil.year, civil.month, civil.day)) as usize - 1];
    let quarter = (civil.month as usize - 1) / 3 % 4;
    let era = |after: &'static str, before: &'static str| if civil.year <= 0 { before } else { after };
    match name {
        Name::Era => era("AD", "BC"),
        Name::EraFull => era("Anno Domini", "Before Christ"),
        Name::EraNarrow => era("A", "B"),
        Name::Month => &month[..3],
        Name::MonthFull => month,
        Name::MonthNarrow => &month[..1],
        Name::Weekday => &weekday()[..3],
        Name::WeekdayFull => weekday(),
        Name::WeekdayNarrow => &weekday()[..1],
        Name::Quarter => ["Q1", "Q2", "Q3", "Q4"][quarter],
        Name::QuarterFull => ["1st quarter", "2nd quarter", "3rd quarter", "4th quarter"][quarter],
        Name::Half => {
            if civil.hour < 12 {
                "AM"
            } else {
                "PM"
            }
        }
        Name::DayPeriod => day_period(civil),
        Name::DayPeriodNarrow => match day_period(civil) {
            "midnight" => "mi",
            "noon" => "n",
            other => other,
        },
    }
}

/// The parts of an English day; midnight and noon last a minute.
fn day_period(civil: &Civil) -> &'static str {
    match (civil.hour, civil.minute) {
        (0, 0) => "midnight",
        (12, 0) => "noon",
        (6..=11, _) => "in the morning",
        (12..=17, _) => "in the afternoon",
        (18..=20, _) => "in the evening",
        _ => "at night",
    }
}

#[cfg(test)]
#[path = "date_pattern_tests.rs"]
mod tests;
