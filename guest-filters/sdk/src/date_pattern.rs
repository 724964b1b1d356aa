//! Printing times by a pattern: Joda's letters (`%{+YYYY.MM.dd}`) and java.time's (`%{{yyyy-MM-dd}}`), in UTC, with English
//! names. Weeks are ISO 8601's. Reading times, zones and other languages are left to the filters that know them.

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
    Quarter,
    Month,
    Week,
    WeekOfMonth,
    DayOfYear,
    Day,
    WeekdayOfMonth,
    Weekday,
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
                Piece::Literal(text) => Item::Literal(text),
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
    pub fn write(&self, nanoseconds: i64, text: &mut String) {
        let civil = Civil::from_nanoseconds(nanoseconds);
        for item in &self.items {
            write_item(item, &civil, text);
        }
    }
}

enum Piece {
    Literal(String),
    Letters(char, usize),
}

/// Cuts a pattern into runs of letters and what stands between them.
fn pieces(pattern: &str, strict: bool) -> Result<Vec<Piece>, String> {
    let mut pieces = Vec::new();
    let mut literal = String::new();
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
            // An optional part is always there when a time is printed.
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
    let year = |number| if count == 2 { Item::TwoDigits(number) } else { Item::Number(number, count) };
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
        ('u', _) => Some(year(Number::Year)),
        ('y', _) => Some(year(Number::YearOfEra)),
        ('Y', _) => Some(year(Number::WeekYear)),
        ('Q' | 'q', 1 | 2) => Some(Item::Number(Number::Quarter, count)),
        ('Q' | 'q', 3) => Some(Item::Name(Name::Quarter)),
        ('Q' | 'q', 4) => Some(Item::Name(Name::QuarterFull)),
        ('Q' | 'q', 5) => Some(Item::Number(Number::Quarter, 1)),
        ('M' | 'L', 1 | 2) => Some(Item::Number(Number::Month, count)),
        ('M' | 'L', _) => named(Name::Month, Name::MonthFull, Name::MonthNarrow),
        ('w', _) => up_to(2, Number::Week),
        ('W', _) => up_to(1, Number::WeekOfMonth),
        ('D', _) => up_to(3, Number::DayOfYear),
        ('d', _) => up_to(2, Number::Day),
        ('F', _) => up_to(1, Number::WeekdayOfMonth),
        ('g', _) => Some(Item::Number(Number::ModifiedJulianDay, count)),
        ('E', 1 | 2) => Some(Item::Name(Name::Weekday)),
        ('e', 1 | 2) | ('c', 1) => Some(Item::Number(Number::Weekday, count)),
        ('E' | 'e' | 'c', _) => named(Name::Weekday, Name::WeekdayFull, Name::WeekdayNarrow),
        ('a', 1) => Some(Item::Name(Name::Half)),
        ('h', _) => up_to(2, Number::ClockHourOfHalf),
        ('H', _) => up_to(2, Number::Hour),
        ('k', _) => up_to(2, Number::ClockHour),
        ('K', _) => up_to(2, Number::HourOfHalf),
        ('m', _) => up_to(2, Number::Minute),
        ('s', _) => up_to(2, Number::Second),
        ('S', 1..=9) => Some(Item::Fraction { digits: count, real: 9 }),
        ('A', _) => Some(Item::Number(Number::MillisecondOfDay, count)),
        ('n', _) => Some(Item::Number(Number::Nanosecond, count)),
        ('N', _) => Some(Item::Number(Number::NanosecondOfDay, count)),
        ('V', 2) | ('z', 1..=4) | ('v', 1 | 4) | ('X', 1..=5) | ('Z', 5) => Some(literal("Z")),
        ('O', 1 | 4) | ('Z', 4) => Some(literal("GMT")),
        ('x', 1) => Some(literal("+00")),
        ('x', 2 | 4) | ('Z', 1..=3) => Some(literal("+0000")),
        ('x', 3 | 5) => Some(literal("+00:00")),
        _ => None,
    }
}

fn write_item(item: &Item, civil: &Civil, text: &mut String) {
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
            write_item(item, civil, &mut inner);
            text.extend(std::iter::repeat_n(' ', width.saturating_sub(inner.chars().count())));
            text.push_str(&inner);
        }
    }
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
        Number::Quarter => i64::from((civil.month - 1) / 3 + 1),
        Number::Month => i64::from(civil.month),
        Number::Week => iso_week(day()).1,
        Number::WeekOfMonth => {
            // The week that holds the month's first Thursday is its first.
            let first = weekday(day_of_date(civil.year, civil.month, 1));
            let before = if first <= 4 { first - 1 } else { first - 8 };
            (i64::from(civil.day) - 1 + before).div_euclid(7) + 1
        }
        Number::DayOfYear => day_of_year(),
        Number::Day => i64::from(civil.day),
        Number::WeekdayOfMonth => i64::from((civil.day - 1) / 7 + 1),
        Number::Weekday => weekday(day()),
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
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::timestamp;

    fn check(pattern: Result<DatePattern, String>, time: &str, expected: &str) {
        let mut text = String::new();
        pattern.expect("a pattern").write(timestamp::parse(time).expect("a time"), &mut text);
        assert_eq!(text, expected, "{time}");
    }

    const TIME: &str = "2015-03-04T05:06:07.089Z";

    #[test]
    fn joda() {
        for (pattern, expected) in [
            ("yyyy-MM-dd'T'HH:mm:ss.SSSZ", "2015-03-04T05:06:07.089+0000"),
            ("ZZZ ZZ z zzzz", "UTC +00:00 UTC Coordinated Universal Time"),
            ("yy M/d", "15 3/4"),
            ("MMM MMMM EEE EEEE", "Mar March Wed Wednesday"),
            ("hh:mm a K k", "05:06 AM 5 5"),
            ("D DDD e", "63 063 3"),
            ("xxxx-'W'ww", "2015-W10"),
            ("S SSS SSSSS", "0 089 08900"),
            ("G CC YYYYY", "AD 20 02015"),
            ("'it''s' ''ss''", "it's '07'"),
            ("%ss'open", "%07open"),
        ] {
            check(DatePattern::joda(pattern), TIME, expected);
        }
        check(DatePattern::joda("xxxx.ww YYYY.ww"), "2013-12-31", "2014.01 2013.01");
        check(DatePattern::joda("SSSSSSSSS"), "2015-03-04T05:06:07.123456789Z", "123000000");
        check(DatePattern::joda("hh KK kk a"), "2015-03-04T12:00Z", "12 00 12 PM");
        check(DatePattern::joda("hh kk"), "2015-03-04T00:00Z", "12 24");
    }

    #[test]
    fn java_time() {
        for (pattern, expected) in [
            ("uuuu-MM-dd'T'HH:mm:ss.SSS", "2015-03-04T05:06:07.089"),
            ("YYYY-'W'ww", "2015-W10"),
            ("D Q QQQ QQQQ", "63 1 Q1 1st quarter"),
            ("XXX VV xx x Z ZZZZ O", "Z Z +0000 +00 +0000 GMT GMT"),
            ("SSSSSSSSS n", "089000000 89000000"),
            ("LLL EEEE EEEEE GGGG", "Mar Wednesday W Anno Domini"),
            ("yyyy[ HH]", "2015 05"),
            ("ppppd|", "   4|"),
            ("W F e", "1 1 3"),
        ] {
            check(DatePattern::java_time(pattern), TIME, expected);
        }
        check(DatePattern::java_time("SSSSSSSSS"), "2015-03-04T05:06:07.123456789Z", "123456789");
    }

    #[test]
    fn refused() {
        for pattern in ["bb", "yyyy i", "J"] {
            assert!(DatePattern::joda(pattern).is_err(), "{pattern}");
        }
        for pattern in ["b", "ddd", "SSSSSSSSSS", "V", "'open", "yyyy#", "p", "OO"] {
            assert!(DatePattern::java_time(pattern).is_err(), "{pattern}");
        }
    }
}
