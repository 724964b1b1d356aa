//! Reads a text by a compiled pattern. Nothing is allocated, whether the text fits or not.

use crate::calendar::{self, DAY, YEARS, days_from_date, days_in_month};
use crate::fields::{self, Field};
use crate::pattern::{Hour, Part, Pattern, Usual};
use crate::reader;
use crate::zone::Zone;

/// What a text says by a pattern.
pub(crate) struct Reading {
    /// The local time: milliseconds since 1970-01-01T00:00, as if the zone were UTC.
    pub(crate) local: i64,
    /// The offset from UTC that the text names, in milliseconds.
    pub(crate) offset: Option<i64>,
    /// The zone that the text names.
    pub(crate) zone: Option<Zone>,
}

/// Reads the whole text; `None` if it does not fit the pattern or names a time that does not exist.
pub(crate) fn read(pattern: &mut Pattern, text: &str) -> Option<Reading> {
    let bytes = text.as_bytes();
    let mut at = 0;
    let mut next = 0;
    let (mut offset, mut zone) = (None, None);
    for part in &pattern.parts {
        let value = match part {
            Part::Literal(literal) => {
                at = literal_end(literal, text, at)?;
                continue;
            }
            Part::Offset => {
                let (ahead, end) = reader::offset(bytes, at, true)?;
                offset = Some(ahead);
                at = end;
                continue;
            }
            Part::ZoneId => {
                let (named, end) = Zone::id_in_text(text, at)?;
                zone = Some(named);
                at = end;
                continue;
            }
            Part::ZoneAbbreviation => {
                let (named, end) = Zone::abbreviation(text, at)?;
                zone = Some(named);
                at = end;
                continue;
            }
            Part::Number { max, signed, .. } => {
                let (value, end) = reader::number(bytes, at, *max, *signed)?;
                at = end;
                value
            }
            Part::ShortYear { first, exact, .. } => {
                let (value, end) = short_year(bytes, at, *first, *exact)?;
                at = end;
                value
            }
            Part::Name { names, .. } => {
                let (value, end) = names.read(bytes, at)?;
                at = end;
                value
            }
            Part::Fraction { max } => {
                let (value, end) = reader::fraction(bytes, at, *max, 1_000)?;
                at = end;
                value
            }
        };
        *pattern.values.get_mut(next)? = value;
        next += 1;
    }
    if at != text.len() {
        return None;
    }
    let values = &pattern.values;
    let local = match &pattern.usual {
        Some(usual) => local_time(usual, values)?,
        None => {
            let value = |&(field, index): &(Field, usize)| (field, values.get(index).copied().unwrap_or(0));
            fields::combine(pattern.order.iter().map(value))?
        }
    };
    Some(Reading { local, offset, zone })
}

fn literal_end(literal: &str, text: &str, at: usize) -> Option<usize> {
    let rest = text.as_bytes().get(at..)?;
    if let Some(start) = rest.get(..literal.len())
        && start.eq_ignore_ascii_case(literal.as_bytes())
    {
        return Some(at + literal.len());
    }
    if literal.is_ascii() {
        return None;
    }
    let mut letters = text.get(at..)?.chars();
    for expected in literal.chars() {
        let letter = letters.next()?;
        if !same_letter(letter, expected) {
            return None;
        }
    }
    Some(text.len() - letters.as_str().len())
}

/// Java's comparison that ignores case: a letter at a time, so that ß is not SS.
fn same_letter(one: char, other: char) -> bool {
    one == other || single(one.to_uppercase()) == single(other.to_uppercase())
}

fn single(mut letters: impl Iterator<Item = char>) -> Option<char> {
    let letter = letters.next();
    if letters.next().is_some() { None } else { letter }
}

/// Two digits are a year of the hundred years from `first` on; another number of digits, or a sign, the year itself.
fn short_year(text: &[u8], at: usize, first: i64, exact: bool) -> Option<(i64, usize)> {
    let two = || {
        let value = reader::two_digits(text, at)?;
        Some((first + (value - first).rem_euclid(100), at + 2))
    };
    if exact {
        return two();
    }
    let (value, end) = reader::number(text, at, usize::MAX, true)?;
    let signed = matches!(text.get(at), Some(b'+' | b'-'));
    if !signed && end == at + 2 { two() } else { Some((value, end)) }
}

fn local_time(usual: &Usual, values: &[i64]) -> Option<i64> {
    let value = |index: usize| values.get(index).copied().unwrap_or(0);
    let (year, month, day) = (value(usual.year), value(usual.month), value(usual.day));
    if !YEARS.contains(&year) || !(1..=12).contains(&month) || day < 1 {
        return None;
    }
    if day > 28 && day > days_in_month(year, month) {
        return None;
    }
    let mut days = days_from_date(year, month, day);
    if let Some(weekday) = usual.weekday {
        let wanted = value(weekday);
        if !(1..=7).contains(&wanted) {
            return None;
        }
        days += wanted - calendar::weekday(days);
    }
    let hour = match usual.hour {
        Hour::OfDay(hour) => value(hour),
        Hour::OfHalfDay { clock_hour, half } => {
            let clock_hour = value(clock_hour);
            if !(1..=12).contains(&clock_hour) {
                return None;
            }
            clock_hour % 12 + value(half) * 12
        }
    };
    let (minute, second) = (value(usual.minute), value(usual.second));
    if hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    Some(days * DAY + hour * 3_600_000 + minute * 60_000 + second * 1_000 + value(usual.fraction))
}
